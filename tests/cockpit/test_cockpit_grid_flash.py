"""Flash: digits that changed are bright for one paint, and cost their cells alone."""

from types import ModuleType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from rich.style import Style

from cockpit.widgets.flash import flashed
from cockpit.widgets.grid import Grid
from engine.snapshot import Snapshot

PLAIN, BRIGHT = Style(color="white"), Style(color="red")


def run(text: str) -> tuple[Segment, ...]:
    return (Segment("bar ", PLAIN), Segment(text, PLAIN))


@given(st.text("0123456789+-.,% ", min_size=1, max_size=10), st.data())
def test_exactly_the_digits_that_changed_are_bright(before: str, data: st.DataObject) -> None:
    size = len(before)
    after = data.draw(st.text("0123456789+-.,% ", min_size=size, max_size=size))
    found = flashed(run(before), run(after), BRIGHT)
    assert "".join(s.text for s in found) == "bar " + after
    drawn = [(c, s.style) for s in found[1:] for c in s.text]
    for old, (new, style) in zip(before, drawn, strict=True):
        assert (style is BRIGHT) == (new != old and new.isdigit())


def test_another_width_or_no_number_does_not_flash() -> None:
    for before, after in ((run("9"), run("10")), ((), run("1")), (run("1"), ())):
        assert flashed(before, after, BRIGHT) is after
    assert flashed(run("12"), run("12"), BRIGHT) == run("12")


def moved(made: Snapshot, tick: float) -> Snapshot:
    """BTC's price moved, nothing else."""
    first, *rest = made.symbols
    price = msgspec.structs.replace(first.price, last=first.price.last + tick)
    row = msgspec.structs.replace(first, price=price)
    return msgspec.structs.replace(made, symbols=(row, *rest), number=made.number + 1)


def bright(app: object, lab: ModuleType, row: int = 2) -> str:
    """Characters of a row's price that are as bright as the symbol's name."""
    strip = app.screen._compositor.render_strips()[row].crop(7, 17)
    strong = app.look.ink("cursor")["strong"].color
    return "".join(text for text, style, _ in strip if style.color == strong)


async def test_a_digit_is_bright_for_one_paint(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full(), paint_hz=0.2)
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        assert bright(app, lab) == ""
        app.source.snapshot = moved(lab.full(), 0.3)
        app.paint()
        await pilot.pause()
        assert lab.screen_text(app).splitlines()[2][7:17] == "  94,231.8"
        assert bright(app, lab) == "8"
        app.source.snapshot = moved(lab.full(), 10.3)
        app.paint()
        await pilot.pause()
        assert bright(app, lab) == "4"
        app.paint()
        await pilot.pause()
        assert bright(app, lab) == ""


async def test_the_end_of_a_flash_repaints_its_digits_alone(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = lab.cockpit(lab.full(), paint_hz=0.2)
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        app.source.snapshot = moved(lab.full(), 0.3)
        app.paint()
        await pilot.pause()
        seen: list[object] = []
        monkeypatch.setattr(Grid, "refresh", lambda self, *regions, **_: seen.extend(regions))
        app.paint()
        assert [(r.x, r.y, r.width, r.height) for r in seen] == [(16, 0, 1, 1)]
        seen.clear()
        app.paint()
        assert seen == []


@pytest.mark.parametrize("how", ["config", "mono", "mode", "cursor", "stale", "away"])
async def test_what_did_not_move_does_not_flash(
    how: str, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Off by the config, without colours, after a change of mode or row, when stale, on return."""
    if how == "mono":
        monkeypatch.setenv("NO_COLOR", "1")
    made = lab.full()
    app = lab.cockpit(made, paint_hz=0.2, flash=how != "config")
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "v")
        after = moved(made, 0.3)
        if how == "stale":
            first, *rest = after.symbols
            old = msgspec.structs.replace(first.price, age=90.0)
            row = msgspec.structs.replace(first, price=old)
            app.source.snapshot = msgspec.structs.replace(made, symbols=(row, *rest))
            await lab.settle(pilot)
            row = msgspec.structs.replace(row, price=msgspec.structs.replace(old, last=94231.8))
            after = msgspec.structs.replace(made, symbols=(row, *rest))
        if how == "away":
            await lab.settle(pilot, "a")
        app.source.snapshot = after
        if how in ("mode", "cursor", "away"):
            await pilot.press({"mode": "1", "cursor": "j", "away": "escape"}[how])
        app.paint()
        await pilot.pause()
        assert "94,231.8" in lab.screen_text(app)
        grid = app.home.query_one(Grid)
        assert not any(row.plain for row in grid._rows.values())
