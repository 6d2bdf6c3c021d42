"""Jump mode: a letter on whatever a click would reach, and typing it is that click."""

from itertools import pairwise
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.screens.jump import Jump, Target, labels, targets


@given(st.integers(0, 600))
def test_labels_are_different_and_none_begins_another(count: int) -> None:
    made = labels(count)
    assert len(set(made)) == len(made) == count
    assert all(len(label) <= 2 for label in made)
    assert not any(two.startswith(one) for one, two in pairwise(sorted(made)))


def label_of(app: object, wanted: Target) -> str:
    found = app.screen._targets  # type: ignore[attr-defined]
    return next(label for label, target in found.items() if target == wanted)


async def test_a_letter_goes_to_a_row(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "J")
        assert isinstance(app.screen, Jump)
        shown = lab.screen_text(app).splitlines()
        assert shown[2].startswith("aBTC")
        assert shown[4].startswith("dSOL")
        assert "DEMO" in shown[0]
        assert "DEMO" in shown[-1]
        await lab.settle(pilot, "d")
        assert app.screen is app.home
        assert "▸SOL" in lab.screen_text(app)


@pytest.mark.parametrize("end", ["escape", "9", "J"])
async def test_any_other_key_ends_it(end: str, lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        # The first picture decides what there is room for.
        await lab.settle(pilot)
        await lab.settle(pilot)
        before = lab.screen_text(app)
        await lab.settle(pilot, "ctrl+o")
        assert isinstance(app.screen, Jump)
        await lab.settle(pilot, "down", end)
        assert app.screen is app.home
        assert lab.screen_text(app) == before


async def test_a_head_sorts_and_a_panel_opens(lab: ModuleType) -> None:
    """Two letters where there are more places than letters."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot)
        places = targets(app.home)
        head = next(t for t in places if t.widget.id == "heads" and t.x > 20)
        await lab.settle(pilot, "J")
        await lab.settle(pilot, *label_of(app, head))
        assert app.home.order.column != "symbol"
        news = next(t for t in places if t.action == "alerts")
        await lab.settle(pilot, "J")
        await lab.settle(pilot, *label_of(app, news))
        assert app.screen.kind == "alerts"


SCREENS = ((), ("enter",), ("enter", "enter"), ("m",), ("A",), ("c",), ("a",), ("f",),
           ("question_mark",))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("keys", SCREENS, ids="-".join)
@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_each_label_does_what_a_click_does(
    keys: tuple[str, ...], size: tuple[int, int], lab: ModuleType
) -> None:
    """The same screen after the letter as after the mouse, for some places of every screen."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, *keys)
        found = [t for t in targets(app.screen) if not t.action][::7][:4]
    for target in found:
        seen = []
        for way in ("letter", "mouse"):
            app = lab.cockpit(lab.full())
            async with app.run_test(size=size) as pilot:
                await lab.settle(pilot, *keys)
                if way == "mouse":
                    await pilot.click(offset=(target.column, target.row))
                else:
                    place = (target.column, target.row)
                    await lab.settle(pilot, "J")
                    known = app.screen._targets.items()
                    label = next(k for k, t in known if (t.column, t.row) == place)
                    await lab.settle(pilot, *label)
                await lab.settle(pilot)
                seen.append((app.screen.kind, lab.screen_text(app)))
        assert seen[0] == seen[1], target


async def test_it_ends_when_the_window_changes(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "J")
        await pilot.resize_terminal(100, 30)
        await lab.settle(pilot)
        assert app.screen is app.home
        await pilot.resize_terminal(60, 20)
        await lab.settle(pilot, "J")
        assert app.screen is app.home
