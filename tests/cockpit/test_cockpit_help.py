"""Help begins with what the screen beneath shows and lists every key once."""

from types import ModuleType

import pytest

from cockpit.actions import ACTIONS, applicable
from cockpit.screens.explained import EXPLAINED
from cockpit.screens.help import Help, HelpText
from cockpit.widgets.columns import COLUMNS

WHERE = {"home": (), "symbol": ("enter",), "card": ("enter", "enter"), "map": ("m",),
         "academy": ("A",), "alerts": ("a",), "feeds": ("f",), "categories": ("c",)}  # fmt: skip


def blocks(app: object) -> dict[str, tuple[tuple[str, str], ...]]:
    return dict(app.screen.query_one(HelpText).blocks)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", WHERE)
async def test_it_is_about_the_screen_beneath(kind: str, lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, *WHERE[kind])
        assert app.screen.kind == kind
        explained = app.screen.explains()
        assert explained
        await lab.settle(pilot, "question_mark")
        assert isinstance(app.screen, Help)
        told = blocks(app)
        assert next(iter(told.values())) == explained
        acting = applicable(kind)
        assert [said for _, said in told["keys here"]] == [a.help for a in acting]
        others = [a.help for a in ACTIONS if a not in acting]
        assert [said for _, said in told.get("keys on other screens", ())] == others
        first = lab.screen_text(app).splitlines()
        assert first[1].endswith(": how to read it")
        assert explained[0][1][:40] in first[2]
        await lab.settle(pilot, "question_mark")
        assert app.screen.kind == kind


async def test_every_column_of_the_grid_is_explained(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        said = dict(app.home.explains())
        assert all(said[c.head or "symbol"] == c.help for c in COLUMNS.values())


async def test_it_never_stays_beneath(lab: ModuleType) -> None:
    """From help to the feeds and back is where help was asked for."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "question_mark", "f")
        assert [screen.kind for screen in app.screen_stack] == ["home", "feeds"]
        await lab.settle(pilot, "question_mark")
        assert " feeds: how to read it" in lab.screen_text(app)
        assert "symbols whose stream is fresh" in lab.screen_text(app)
        await lab.settle(pilot, "escape", "escape")
        assert app.screen is app.home


def test_sentences_fit_eighty_columns() -> None:
    for pairs in EXPLAINED.values():
        assert all(len(name) <= 15 and len(said) <= 66 for name, said in pairs), pairs
