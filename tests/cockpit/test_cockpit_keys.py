"""Each key does what the help says, and the registry, bindings, footer and help agree."""

from types import ModuleType

import msgspec
import pytest

from cockpit import actions
from cockpit.app import CockpitApp
from cockpit.screens.categories import Categories
from cockpit.screens.help import Help


def line_of(lab: ModuleType, app: CockpitApp, start: str) -> str:
    lines = lab.screen_text(app).splitlines()
    return next(line for line in lines if line[1:].startswith(start))


async def test_modes(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        for key, mode in (("2", "day"), ("1", "scalp"), ("2", "day"), ("3", "swing")):
            await lab.settle(pilot, key)
            assert app.mode == mode
            assert f"{mode} bias" in lab.screen_text(app)


async def test_cursor(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        for key, symbol in (
            ("k", "BTC"), ("j", "ETH"), ("down", "SOL"), ("k", "ETH"), ("G", "FIL"), ("g", "BTC"),
            ("end", "FIL"), ("j", "FIL"), ("home", "BTC"), ("pagedown", "FIL"), ("up", "ARB"),
            ("pageup", "BTC"),
        ):  # fmt: skip
            await lab.settle(pilot, key)
            assert f"▸{symbol} " in lab.screen_text(app), key


async def test_click_moves_the_cursor(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot)
        await pilot.click("#grid", offset=(5, 4))
        await lab.settle(pilot)
        shown = lab.screen_text(app)
        assert "▸BNB" in shown
        assert "BNB  day" in shown


async def test_filter_and_escape(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "slash", "q", "1", "backspace", "backspace", "s", "o")
        assert "SOL" in lab.screen_text(app)
        assert "BTC" not in lab.screen_text(app)
        await lab.settle(pilot, "enter", "1")
        assert app.mode == "scalp"
        assert "/so 1 of 21" in lab.screen_text(app)
        await lab.settle(pilot, "escape")
        assert "BTC" in lab.screen_text(app)
        await lab.settle(pilot, "slash", "s", "escape")
        assert "of 21" not in lab.screen_text(app)


async def test_breakdown_is_a_screen_when_narrow_and_a_panel_when_wide(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "c", "j")
        assert isinstance(app.screen, Categories)
        assert "ETH  day" in lab.screen_text(app)
        await lab.settle(pilot, "c")
        assert app.screen is app.home
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 30)) as pilot:
        await lab.settle(pilot)
        assert "Order Flow" in lab.screen_text(app)
        await lab.settle(pilot, "c")
        assert app.screen is app.home
        assert "Order Flow" not in lab.screen_text(app)
        assert "liq L/S" not in lab.screen_text(app)
        assert "fund 8h" in lab.screen_text(app)


async def test_breakdown_adds_up(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "j")
        found = app.source.snapshot.symbols[1].modes["day"]
        shown = [line[82:] for line in lab.screen_text(app).splitlines()]
        sums = {line.split()[0]: float(line.split()[-1]) for line in shown[-12:] if line.strip()
                and line.split()[0] in ("categories", "btc", "bias")}  # fmt: skip
        assert sums["bias"] == round(found.bias, 1)
        assert sums["categories"] + sums["btc"] == pytest.approx(found.bias, abs=0.1)


async def test_help_scrolls_and_closes(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "question_mark")
        assert isinstance(app.screen, Help)
        first = lab.screen_text(app)
        await lab.settle(pilot, "pagedown")
        assert lab.screen_text(app) != first
        await lab.settle(pilot, "question_mark")
        assert app.screen is app.home


async def test_pause_holds_the_picture_while_data_flows(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "p")
        held = lab.screen_text(app).splitlines()
        app.source.snapshot = lab.full(phase=1.0, number=8)
        await lab.settle(pilot)
        now = lab.screen_text(app).splitlines()
        assert now[:23] == held[:23]
        assert "PAUSED 0s" in now[23]
        await lab.settle(pilot, "p")
        assert lab.screen_text(app).splitlines()[:23] != held[:23]


async def test_quit_and_only_our_bindings(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        keys = set(app._bindings.key_to_bindings)
        assert not keys & {"ctrl+q", "ctrl+s", "ctrl+p"}
        await pilot.press("q")
    assert app.return_code == 0


def test_registry_bindings_footer_and_help_agree() -> None:
    bound = {binding.id: binding for binding in actions.bindings()}
    assert set(bound) == {a.id for a in actions.ACTIONS}
    assert len(bound) == len(actions.ACTIONS)
    for action in actions.ACTIONS:
        name = action.action.split("(")[0]
        assert hasattr(CockpitApp, f"action_{name}"), action.id
    told = {word for kind in actions.FOOTERS for _, word in actions.hints(kind)}
    assert told == {a.hint for a in actions.ACTIONS if a.hint}
    assert [text for _, text in actions.help_lines()] == [a.help for a in actions.ACTIONS]
    assert all("".join(line).isascii() for line in actions.help_lines(arrows=False))


@pytest.mark.parametrize("size", [(79, 24), (80, 23), (40, 10), (10, 3)])
async def test_too_small_says_so(size: tuple[int, int], lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot)
        assert "80x24"[: size[0]] in lab.screen_text(app)
        assert "BTC" not in lab.screen_text(app)
        await pilot.resize_terminal(80, 24)
        await lab.settle(pilot)
        assert "BTC" in lab.screen_text(app)


@pytest.mark.parametrize("text", ["[/", "[b]x[/b]", "[", "\x1b[31m", "[@click=quit]"])
async def test_runtime_text_is_never_markup(text: str, lab: ModuleType) -> None:
    """Symbols, notices and feed notes come from outside."""
    notice = lab.Notice(lab.TS, "error", text)
    made = msgspec.structs.replace(lab.full(), notices=(notice,))
    rows = (msgspec.structs.replace(made.symbols[0], id=f"{text}USDT"), *made.symbols[1:])
    made = msgspec.structs.replace(made, symbols=rows, feeds={text: lab.feed("blocked", text)})
    app = lab.cockpit(made)
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot)
        shown = lab.screen_text(app)
        assert text.replace("\x1b", " ") in shown
        assert "\x1b" not in shown


async def test_more_symbols_than_lines_scroll(lab: ModuleType) -> None:
    made = lab.full()
    more = tuple(msgspec.structs.replace(s, id=f"X{s.id}") for s in made.symbols)
    app = lab.cockpit(msgspec.structs.replace(made, symbols=made.symbols + more))
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "G")
        assert "▸XFIL" in lab.screen_text(app)
        await lab.settle(pilot, "g")
        assert "▸BTC" in lab.screen_text(app)
