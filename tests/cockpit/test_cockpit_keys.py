"""Each key does what the help says, and the registry, bindings, footer and help agree."""

from types import ModuleType

import msgspec
import pytest

from cockpit import actions
from cockpit.app import CockpitApp
from cockpit.keymap import Keymap
from cockpit.screens.categories import Categories
from cockpit.screens.help import Help
from cockpit.screens.stage import Stage


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
            ("pageup", "BTC"), ("ctrl+d", "TRX"), ("ctrl+u", "BTC"), ("ctrl+f", "FIL"),
            ("ctrl+b", "BTC"), ("space", "FIL"), ("b", "BTC"),
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
        assert keys == {key for a in actions.ACTIONS for key in app.keymap.of(a.id)}
        assert not keys & {"ctrl+q", "ctrl+s"}
        await pilot.press("q")
    assert app.return_code == 0


def test_registry_bindings_and_footer_agree() -> None:
    """Each action once, each an action of the App; what a footer tells acts on its screen."""
    keymap = Keymap()
    bound = {binding.id: binding for binding in keymap.bindings()}
    assert set(bound) == {a.id for a in actions.ACTIONS if a.keys}
    assert len(bound) == len(keymap.bindings())
    assert len(actions.BY_ID) == len(actions.ACTIONS)
    for action in actions.ACTIONS:
        name = action.action.split("(")[0]
        assert hasattr(CockpitApp, f"action_{name}"), action.id
        assert keymap.shown(action.id, plain=True).isascii()
        assert len(action.help) <= 63, action.id
    hints = [a.hint for a in actions.ACTIONS if a.hint]
    assert {word for told in keymap.hints.values() for _, word in told} == set(hints)
    assert len(set(hints)) == len(hints)
    for kind, ids in actions.FOOTERS.items():
        assert {a.id for a in actions.applicable(kind)} >= set(ids), kind


def test_every_kind_of_screen_is_known() -> None:
    """Stages name the kinds that the registry speaks of."""
    kinds = {kind.kind for kind in stages()}
    assert kinds == set(actions.FOOTERS)
    assert {kind for a in actions.ACTIONS for kind in a.on} <= kinds


# An action that a screen answers by a method of its own, and that method.
ANSWERS = {"link": "link", "zoom_in": "zoom", "earlier": "pan", "pin": "pin", "preset": "preset",
           "turn": "turn", "order": "reorder"}  # fmt: skip


@pytest.mark.parametrize("id", ANSWERS)
def test_what_acts_on_a_screen_is_what_it_answers(id: str) -> None:
    method = ANSWERS[id]
    answering = {k.kind for k in stages() if getattr(k, method) is not getattr(Stage, method)}
    assert actions.BY_ID[id].on == answering


def stages() -> set[type[Stage]]:
    """Every Stage of the cockpit, found below the base."""
    found, waiting = set(), [Stage]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found.add(kind)
    return {k for k in found if k.__module__.startswith("cockpit.")}


@pytest.mark.parametrize("size", [(79, 24), (80, 23), (40, 10), (20, 5), (10, 3)])
async def test_too_small_says_so(size: tuple[int, int], lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot)
        shown = lab.screen_text(app)
        assert "80x24"[: size[0]] in shown
        if size >= (20, 5):
            assert "enlarge the window" in shown
            assert "press q" in shown
            assert "DEMO" in shown
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
