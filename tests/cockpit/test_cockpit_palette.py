"""The command palette: exactly what applies, found by a few letters, done by Enter or a click."""

import asyncio
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.actions import ACTIONS, applicable
from cockpit.calling import card_ids
from cockpit.fuzzy import match
from cockpit.keymap import Keymap
from cockpit.palettes import THEMES
from cockpit.screens.academy import Academy
from cockpit.screens.card import CardPage
from cockpit.screens.palette import Command, Palette, find
from cockpit.screens.symbol import Symbol

SIZES = ((80, 24), (120, 40), (200, 50))
WHERE = {
    "home": (),
    "symbol": ("enter",),
    "card": ("enter", "enter"),
    "map": ("m",),
    "academy": ("A",),
    "alerts": ("a",),
    "feeds": ("f",),
    "help": ("question_mark",),
}


def top(lab: ModuleType, app: object) -> str:
    """The first command of the list."""
    return str(lab.screen_text(app).splitlines()[2])


@pytest.mark.parametrize("kind", WHERE)
async def test_it_lists_exactly_what_applies_beneath(kind: str, lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, *WHERE[kind])
        assert app.screen.kind == kind
        await lab.settle(pilot, "ctrl+p")
        assert isinstance(app.screen, Palette)
        listed = [found.command for found in app.screen.found]
        acting = [a for a in applicable(kind) if a.id != "palette"]
        assert listed[: len(acting)] == [
            Command(a.name, a.help, Keymap().shown(a.id), a.action) for a in acting
        ]
        rest = [c.name for c in listed[len(acting) :]]
        assert rest[:21] == [f"go to {base}USDT" for base in lab.PRICES]
        assert rest[21 : 21 + len(THEMES)] == [f"theme {name}" for name in THEMES]
        pages = [name for name in rest if name.startswith("read ")]
        assert len([name for name in rest if name.startswith("card ")]) == len(card_ids())
        assert len(rest) == 21 + len(THEMES) + len(pages) + len(card_ids())
        assert len({c.name for c in listed}) == len(listed)
        await lab.settle(pilot, "escape")
        assert app.screen.kind == kind


@pytest.mark.slow
async def test_every_action_of_the_palette_can_be_run(lab: ModuleType) -> None:
    """By Enter on its whole name, from the grid; each leaves the palette."""
    for action in applicable("home"):
        if action.id in ("palette", "suspend", "quit"):
            continue
        app = lab.cockpit(lab.full())
        async with app.run_test(size=(80, 24)) as pilot:
            await lab.settle(pilot, "colon", *(c if c != " " else "space" for c in action.name))
            assert f"▸{action.name} " in top(lab, app), action.id
            await lab.settle(pilot, "enter")
            assert not isinstance(app.screen, Palette), action.id


async def test_letters_find_a_symbol_and_show_it(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "slash", *"btc", "enter", "colon", *"goso")
        assert "▸go to SOLUSDT" in top(lab, app)
        await lab.settle(pilot, "enter")
        assert isinstance(app.screen, Symbol)
        assert "SOLUSDT" in lab.screen_text(app)
        await lab.settle(pilot, "colon", *"gotoeth", "enter")
        assert isinstance(app.screen, Symbol)
        assert "ETHUSDT" in lab.screen_text(app).splitlines()[1]
        await lab.settle(pilot, "escape")
        assert "▸ETH" in lab.screen_text(app)
        assert "▸BTC" not in lab.screen_text(app)


async def test_a_card_a_page_a_theme(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "j", "colon", *"card", "space", *"vpin", "enter")
        assert isinstance(app.screen, CardPage)
        assert app.screen.card == "vpin"
        assert "No reading of this card yet" in lab.screen_text(app)
        await lab.settle(pilot, "colon", *"readsmart", "enter")
        assert isinstance(app.screen, Academy)
        assert "Smart Money" in lab.screen_text(app)
        await lab.settle(pilot, "escape", "colon", *"themelight", "enter")
        assert app.look.theme == "light"
        assert isinstance(app.screen, CardPage)


async def test_keys_and_the_mouse_choose(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "colon", "down", "down", "up")
        assert "▸jump" in lab.screen_text(app)
        await lab.settle(pilot, "pagedown", "pagedown", "pageup")
        assert "▸" in lab.screen_text(app)
        await lab.settle(pilot, "x", "y", "z", "z", "y")
        assert "Nothing is called 'xyzzy'" in lab.screen_text(app)
        await lab.settle(pilot, "enter")
        assert isinstance(app.screen, Palette)
        await lab.settle(pilot, *["backspace"] * 5, *"feeds")
        await pilot.click("#whole", offset=(3, 0))
        await lab.settle(pilot)
        assert app.screen.kind == "feeds"
        await lab.settle(pilot, "ctrl+p", "ctrl+p")
        assert app.screen.kind == "feeds"


@pytest.mark.parametrize("glyphs", ["braille", "ascii"])
@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
async def test_goldens(size: tuple[int, int], glyphs: str, lab: ModuleType) -> None:
    app = lab.cockpit(lab.full(), glyphs=glyphs)
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, "colon", *"mode")
        name = "palette" if glyphs == "braille" else "palette_ascii"
        lab.compare(f"{name}_{size[0]}x{size[1]}", lab.screen_text(app))
        if size == (80, 24) and glyphs == "braille":
            lab.compare("styles_palette", lab.screen_styles(app, range(1, 7)))


def test_ranking() -> None:
    """Beginnings of words and runs of letters before letters scattered about."""
    names = ("page down", "pause", "preset back", "map", "theme ansi-16", "help")
    commands = tuple(Command(name, f"about {n}", "", "") for n, name in enumerate(names))
    assert [f.command.name for f in find("pa", commands)][:2] == ["pause", "page down"]
    assert [f.command.name for f in find("pb", commands)] == ["preset back"]
    assert [f.command.name for f in find("about 5", commands)] == ["help"]
    assert find("", commands)[3].command.name == "map"
    assert match("tan", "theme ansi-16") is not None
    assert find("ansi", commands)[0].places == (6, 7, 8, 9)


@given(st.text(max_size=12), st.text(max_size=30))
@settings(deadline=None)
def test_what_is_found_has_the_letters_in_their_order(query: str, name: str) -> None:
    wanted = "".join(query.lower().split())
    found = match(query, name)
    if found is None:
        rest = iter(name.lower())
        assert not all(letter in rest for letter in wanted)
        return
    assert list(found[1]) == sorted(set(found[1]))
    assert "".join(name.lower()[n] for n in found[1]) == wanted


async def test_it_comes_at_once(lab: ModuleType) -> None:
    """Opened, and a letter answered, without anyone waiting for it."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "colon", "escape")
        loop = asyncio.get_running_loop()
        started = loop.time()
        app.action_palette()
        opened = loop.time() - started
        await lab.settle(pilot)
        commands = app.screen._commands
        started = loop.time()
        find("liquidity", commands)
        answered = loop.time() - started
    assert len(commands) > len(ACTIONS) + 200
    assert opened < 0.25
    assert answered < 0.25
