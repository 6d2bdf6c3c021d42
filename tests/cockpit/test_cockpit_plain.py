"""Without colour and in ASCII every state is still told from every other, by words and signs."""

from itertools import combinations
from types import ModuleType

import msgspec
import pytest

from cockpit.theme import GLYPHS, Look
from cockpit.widgets import marks, news
from engine.snapshot import Snapshot

STATES = {
    "strong up": (72.0, "STRONG_LONG", "STRONG_BULLISH"), "up": (45.0, "LONG", "BULLISH"),
    "weak up": (24.0, "LEAN_LONG", "BULLISH"), "flat": (0.0, "WAIT", "NEUTRAL"),
    "weak down": (-24.0, "LEAN_SHORT", "BEARISH"), "down": (-45.0, "SHORT", "BEARISH"),
    "strong down": (-72.0, "STRONG_SHORT", "STRONG_BEARISH"),
    "conflicted": (24.0, "LEAN_LONG", "CONFLICTED"), "none": (None, "WAIT", "NEUTRAL"),
}  # fmt: skip


def with_states(lab: ModuleType) -> Snapshot:
    """The first rows in one state each, all else of them alike; then a stale one."""
    made = lab.full()
    rows = []
    pattern = made.symbols[0]
    for n, (bias, decision, state) in enumerate([*STATES.values(), STATES["up"]]):
        # Conflicted are those whose shortest and longest window take different sides.
        longest = -_sign(bias) if state == "CONFLICTED" else _sign(bias)
        windows = {"1m": _sign(bias), "5m": _sign(bias), "1h": longest}
        found = msgspec.structs.replace(
            pattern.modes["day"], bias=bias, decision=decision, state=state, history=(),
            agreement_by_window=dict.fromkeys(windows) if bias is None else windows,
        )  # fmt: skip
        age = 94.0 if n == len(STATES) else 0.4
        rows.append(msgspec.structs.replace(
            pattern, id=f"C{n:02}USDT", modes=pattern.modes | {"day": found},
            price=msgspec.structs.replace(pattern.price, age=age)))  # fmt: skip
    return msgspec.structs.replace(made, symbols=tuple(rows))


def _sign(bias: float | None) -> int:
    return ((bias or 0) > 0) - ((bias or 0) < 0)


@pytest.mark.parametrize("glyphs", GLYPHS)
@pytest.mark.parametrize("width", [80, 120, 200])
async def test_rows_of_different_states_read_differently(
    width: int, glyphs: str, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Text alone, so neither colour nor bold is what tells them apart."""
    monkeypatch.setenv("NO_COLOR", "1")
    app = lab.cockpit(with_states(lab), glyphs=glyphs)
    async with app.run_test(size=(width, 40)) as pilot:
        await lab.settle(pilot, "G")
        grid = app.home.query_one("#grid").size.width
        lines = {line[1:4]: line[5:grid] for line in lab.screen_text(app).splitlines()
                 if line[1:3] in ("C0", "C1")}  # fmt: skip
    rows = {name: lines[f"C{n:02}"] for n, name in enumerate([*STATES, "stale"])}
    for one, other in combinations(rows, 2):
        assert rows[one] != rows[other], (one, other)
    if glyphs == "ascii":
        assert all(row.isascii() for row in lines.values())


@pytest.mark.parametrize("kind", ["live", "demo", "replay", "store"])
async def test_where_the_data_comes_from_is_a_word(kind: str, lab: ModuleType) -> None:
    app = lab.cockpit(msgspec.structs.replace(lab.full(), mode_of_data=kind), glyphs="ascii")
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        assert lab.screen_text(app).splitlines()[-1].split()[0] == kind.upper()
        await lab.settle(pilot, "p")
        assert "PAUSED" in lab.screen_text(app)


@pytest.mark.parametrize("name", GLYPHS)
def test_signs_are_different(name: str) -> None:
    glyphs = GLYPHS[name]
    said = ("info", "warning", "error")
    severities = [news.Item(0, s, "", "", "", "").mark(glyphs) for s in said]
    assert len(set(severities)) == 3
    cells = [
        marks.category(score, state, glyphs)[0]
        for score, state in (
            (0.5, ""),
            (0.1, ""),
            (0.0, ""),
            (-0.1, ""),
            (-0.5, ""),
            (0.5, "CONFLICTED"),
            (None, ""),
        )
    ]
    assert len(set(cells)) == 7
    assert len({marks.arrow(side, glyphs)[0] for side in (1, 0, -1, None)}) == 4
    bars = {tuple(s.text for s in marks.bar(v, 8, glyphs, Look().ink()))
            for v in (80.0, 40.0, 15.0, 0.0, -15.0, -40.0, -80.0, None)}  # fmt: skip
    assert len(bars) == 8


@pytest.mark.parametrize("glyphs", ["ascii", "block", "braille"])
async def test_ascii_is_ascii_on_every_screen(glyphs: str, lab: ModuleType) -> None:
    """And the block set has no braille in it."""
    app = lab.cockpit(lab.picture("alerts"), glyphs=glyphs)
    async with app.run_test(size=(120, 40)) as pilot:
        for keys in ((), ("enter",), ("enter",), ("m",), ("f",), ("a",), ("question_mark",),
                     ("question_mark", "c"), ("colon",), ("escape", "J")):  # fmt: skip
            await lab.settle(pilot, *keys)
            shown = lab.screen_text(app)
            if glyphs == "ascii":
                assert shown.isascii(), [c for c in shown if not c.isascii()]
            elif glyphs == "block":
                assert not any("\u2800" <= c <= "\u28ff" for c in shown), keys
