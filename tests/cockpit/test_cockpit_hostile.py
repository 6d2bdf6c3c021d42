"""Texts from outside break nothing: brackets, emoji, right-to-left, controls, ten thousand of them.

Symbols, headlines, alerts, feed notes, errors and config values are such texts.
"""

from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from wcwidth import wcswidth

from cockpit.cli import run
from cockpit.failing import Failing
from cockpit.screens.palette import Command, find
from cockpit.settings import harmless
from cockpit.theme import Look
from cockpit.widgets import text
from cockpit.widgets.prose import lay, parse, plain
from cockpit.widgets.states import centred
from cockpit.widgets.text import Line, clean, fit
from engine.snapshot import Alert, Detail, Notice, Snapshot

HOSTILE = (
    "[/", "[b]bold[/b]", "[@click=app.quit]", "[" * 40, "\x1b[2J\x1b[31m", "\r\n\t\x00\x7f",
    "漢字漢字", "👩‍👩‍👧‍👦 🇩🇪 ⚡️ 1️⃣", "שלום 42.5% עולם", "مرحبا 1,234.5", "\u202egnp.exe",
    "e\u0301\u0300\u0302",
    "\ufeff\u200b\u2066x\u2069", "ｗｉｄｅ", "𝒶𝒷𝒸 \U000e0041", "a" * 10_000, "漢[" * 5_000, "",
)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=60))
WIDTHS = st.integers(1, 130)


def width_of(line: Line) -> tuple[int, int, int]:
    """Cells of a line as rich, as wcwidth and as Python's len count them."""
    said = "".join(segment.text for cell in line for segment in cell)
    return cell_len(said), wcswidth(said), len(said)


@given(TEXTS, WIDTHS, st.sampled_from(["left", "right", "centre"]), st.sampled_from(["", "~", "…"]))
@settings(deadline=None)
def test_a_cell_is_as_wide_as_it_was_asked(said: str, width: int, align: str, dots: str) -> None:
    assert width_of((text.cell(said, width, Look().ink()["text"], align, dots),)) == (width,) * 3
    assert clean(said).isprintable() or not said
    assert clean(clean(said)) == clean(said)
    assert cell_len(fit(clean(said), width, align)) == width


@given(TEXTS, WIDTHS)
@settings(deadline=None)
def test_wrapped_lines_fit_and_lose_no_word(said: str, width: int) -> None:
    lines = text.wrap(said, width)
    assert all(len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(clean(said).split())


@given(st.lists(TEXTS, max_size=6), st.integers(12, 130), st.integers(1, 30))
@settings(deadline=None)
def test_states_and_prose_are_as_wide_as_the_widget(
    said: list[str], width: int, height: int
) -> None:
    look = Look()
    shown = centred([(s, "text") for s in said], width, height, look, look.ink())
    for line in [*shown, *lay([plain(s) for s in said], width, look).lines]:
        assert width_of(line) == (width,) * 3
    for s in said:
        for line in lay(parse(s.replace("\r", " ")), width, look).lines:
            assert width_of(line) == (width,) * 3


@given(TEXTS, TEXTS)
@settings(deadline=None, max_examples=50)
def test_the_palette_s_search_takes_anything(query: str, name: str) -> None:
    command = Command(name[:200], name[:200], "", "")
    assert len(find(query[:50], (command,))) <= 1


@given(TEXTS)
@settings(deadline=None)
def test_what_is_printed_moves_no_cursor(said: str) -> None:
    shown = harmless(said, 300)
    assert shown.isprintable()
    assert len(shown) <= 303


def hostile(lab: ModuleType, said: str) -> Snapshot:
    """The same text wherever one comes from outside."""
    made = lab.picture("partial")
    notices = tuple(Notice(lab.TS - n * lab.NS, s, said)
                    for n, s in ((300, "info"), (9, "error")))  # fmt: skip
    alerts = tuple(
        Alert(9 - n, lab.TS - n * lab.NS, rule, "error", symbol, None, feed, said)
        for n, (rule, symbol, feed) in enumerate(((said, said, None), ("bias", None, said)))
    )
    change = msgspec.structs.replace
    rows = (change(made.symbols[0], id=f"{said}USDT"), *made.symbols[1:])
    ill = change(made.feeds["binance"], note=said, refused={said: said}, dropped=7,
                 dropped_by_reason={said: 7})  # fmt: skip
    blocked = change(lab.feed("blocked", said), streams={said: ill.streams["depth"]})
    return change(made, symbols=rows, feeds={said: ill, "bybit": blocked}, notices=notices,
                  alerts=alerts)  # fmt: skip


class Hostile:
    """Answers with the text in the details too."""

    def __init__(self, lab: ModuleType, said: str) -> None:
        self._lab = lab
        self._said = said
        self.snapshot = hostile(lab, said)

    def latest(self) -> Snapshot:
        return self.snapshot

    def at(self, ns: int) -> Snapshot | None:
        return None

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        found = self._lab.Fixed(self._lab.full()).detail("BTCUSDT", parts)
        readings = {
            mode: tuple(
                msgspec.structs.replace(r, name=self._said, reason=self._said)
                if n % 2 else r for n, r in enumerate(rs)
            )
            for mode, rs in found.readings.items()
        }  # fmt: skip
        return msgspec.structs.replace(found, symbol=symbol, readings=readings, notes=(self._said,))


WAYS = ((), ("enter",), ("enter",), ("escape", "escape", "m"), ("c",), ("a",), ("f",), ("A",),
        ("question_mark",), ("escape", "escape", "colon"),
        ("escape", "slash", "left_square_bracket"), ("enter",), ("escape", "J"))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("said", HOSTILE, ids=lambda s: repr(s[:10]).encode().hex()[:12])
async def test_every_screen_keeps_its_shape(said: str, lab: ModuleType) -> None:
    """Each line exactly as wide as the screen, as rich and as wcwidth count, nothing that moves."""
    app = lab.cockpit(lab.full())
    app.source = Hostile(lab, said)
    app._desk._source = app.source
    async with app.run_test(size=(120, 40)) as pilot:
        for keys in WAYS:
            await lab.settle(pilot, *keys)
            for strip in app.screen._compositor.render_strips():
                shown = strip.text
                assert (cell_len(shown), wcswidth(shown)) == (120, 120), (keys, shown)
        app._failure = f"engine stopped: {said}"
        await lab.settle(pilot, "escape", "escape", "escape")
        assert all(s.cell_length == 120 for s in app.screen._compositor.render_strips())


async def test_a_toast_of_hostile_alerts(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        for n, said in enumerate(HOSTILE):
            alert = Alert(n + 1, lab.TS, "price", "error", "BTCUSDT", None, None, said)
            app.source.snapshot = msgspec.structs.replace(lab.full(), alerts=(alert,))
            await lab.settle(pilot)
            for strip in app.screen._compositor.render_strips():
                assert wcswidth(strip.text) == 80, said


@pytest.mark.parametrize("said", HOSTILE, ids=lambda s: repr(s[:10]).encode().hex()[:12])
def test_a_config_value_is_one_printable_line(
    said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    for chosen in ({"theme": said}, {"keymap": {said: "x"}}, {"keymap": {"pause": said}}):
        file.write_bytes(msgspec.json.encode({"cockpit": chosen}))
        code = run(["config", "check", "--config", str(file)])
        streams = capsys.readouterr()
        printed = streams.err or streams.out
        assert code == 2 or not said.strip(" ,\r\n\t") or chosen == {"keymap": {"pause": ""}}
        assert printed.count("\n") == 1
        assert printed.strip("\n").isprintable()
        assert len(printed) < 3000


def test_a_crash_is_one_printable_line() -> None:
    for said in HOSTILE:
        app = Failing()
        app._log_path = None
        app._note = lambda what, error: None  # type: ignore[method-assign]
        app._close_messages_no_wait = lambda: None  # type: ignore[method-assign]
        app._handle_exception(RuntimeError(said))
        assert app._crashed.isprintable()
        assert len(app._crashed) <= 303
