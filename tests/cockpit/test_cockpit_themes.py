"""Themes, changed while the cockpit runs: every screen as if it had been started with them."""

from types import ModuleType
from typing import get_type_hints

import pytest
from textual.pilot import Pilot

from cockpit.palettes import THEMES
from engine.config import CockpitConfig

pytestmark = pytest.mark.slow

SCREENS = ((), ("enter",), ("enter", "enter"), ("m",), ("A",), ("c",), ("a",), ("f",),
           ("question_mark",), ("colon", "e"), ("slash", "b"))  # fmt: skip


def styles(lab: ModuleType, app: object) -> str:
    return str(lab.screen_styles(app, range(app.size.height)))  # type: ignore[attr-defined]


async def at_rest(lab: ModuleType, pilot: Pilot[None], *keys: str) -> None:
    """Settled, and painted once more: the first picture decides what there is room for."""
    await lab.settle(pilot, *keys)
    await lab.settle(pilot)


def test_the_config_knows_the_themes() -> None:
    assert get_type_hints(CockpitConfig)["theme"].__args__ == tuple(THEMES)


@pytest.mark.parametrize("keys", SCREENS, ids="-".join)
async def test_a_theme_put_on_is_as_one_started_with(
    keys: tuple[str, ...], lab: ModuleType
) -> None:
    """Nothing that was drawn before stays, neither on top nor on the screens beneath."""
    app = lab.cockpit(lab.picture("alerts"))
    async with app.run_test(size=(120, 40)) as pilot:
        await at_rest(lab, pilot, *keys)
        app.action_theme("colour-blind-light")
        await lab.settle(pilot)
        changed = styles(lab, app)
        await at_rest(lab, pilot, *["escape"] * len(keys))
        beneath = styles(lab, app)
    fresh = lab.cockpit(lab.picture("alerts"), theme="colour-blind-light")
    async with fresh.run_test(size=(120, 40)) as pilot:
        await at_rest(lab, pilot, *keys)
        assert changed == styles(lab, fresh)
        await at_rest(lab, pilot, *["escape"] * len(keys))
        assert beneath == styles(lab, fresh)


async def test_the_action_goes_through_all_of_them(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        seen = [app.look.theme]
        for _ in THEMES:
            app.action_theme()
            await lab.settle(pilot)
            seen.append(app.look.theme)
            assert "▸BTC" in lab.screen_text(app)
        assert seen == [*THEMES, seen[0]]


@pytest.mark.parametrize("colours", ["", "alacritty", "mono"])
async def test_every_theme_on_every_terminal(
    colours: str, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words are the same, whatever the colours."""
    if colours == "mono":
        monkeypatch.setenv("NO_COLOR", "1")
    elif colours:
        monkeypatch.setenv("TERM", colours)
    texts = set()
    for theme in THEMES:
        app = lab.cockpit(lab.full(), theme=theme)
        async with app.run_test(size=(120, 40)) as pilot:
            await at_rest(lab, pilot)
            texts.add(lab.screen_text(app))
    assert len(texts) == 1
