"""What keys, clicks and the wheel do on the tabs of a symbol; what is asked for, what painted."""

from itertools import pairwise
from types import ModuleType

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot

from cockpit.app import CockpitApp
from cockpit.screens.card import CardPage
from cockpit.screens.symbol import BODIES, Symbol
from cockpit.theme import ASCII, BLOCK, BRAILLE
from cockpit.widgets import axes, panes, raster
from cockpit.widgets.candles import SPANS, Candles, body
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.past import Past
from cockpit.widgets.tables import Tab
from cockpit.widgets.tabs import NAMES, Tabs
from engine.snapshot import BAR_SPANS

NS = 1_000_000_000


def stage(app: CockpitApp) -> Symbol:
    assert isinstance(app.screen, Symbol)
    return app.screen


def visible(app: CockpitApp) -> list[str]:
    """Bodies of tabs that are shown."""
    return [name for name in BODIES if app.screen.query_one(f"#{name}").display]


async def to_chart(pilot: Pilot[None], lab: ModuleType) -> Candles:
    await lab.settle(pilot, "enter", "tab")
    chart = pilot.app.screen.query_one("#tab-chart", Candles)
    assert chart.columns > 20
    return chart


async def test_tab_and_its_way_back_go_round(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "enter")
        for place in (*range(1, len(NAMES)), 0):
            await lab.settle(pilot, "tab")
            assert (stage(app).tab, visible(app)) == (place, [BODIES[place]])
        for place in (*reversed(range(1, len(NAMES))), 0):
            await lab.settle(pilot, "shift+tab")
            assert (stage(app).tab, visible(app)) == (place, [BODIES[place]])


async def test_a_click_on_a_name_opens_its_tab(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter")
        left = 0
        for place, name in enumerate(NAMES):
            await pilot.click(Tabs, offset=(left + 1 + len(name) // 2, 0))
            await lab.settle(pilot)
            assert visible(app) == [BODIES[place]]
            left += len(name) + 2
        await pilot.click(Tabs, offset=(left + 3, 0))
        await lab.settle(pilot)
        assert stage(app).tab == len(NAMES) - 1


async def test_each_tab_asks_for_its_own_parts_alone(lab: ModuleType) -> None:
    """None of a tab that is not shown, and what changes by the step only after one."""
    app = lab.cockpit(lab.full())
    wanted = (
        {"readings", "bars:1m"}, {"bars:1m", "swings", "levels", "liquidation_map", "history"},
        {"cvd", "tape", "footprint:5m"}, {"books", "walls"}, {"positioning"}, {"venues"},
        {"history", "transitions"},
    )  # fmt: skip
    by_step = {"readings", "levels", "liquidation_map", "history", "transitions"}
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "enter")
        for place, parts in enumerate(wanted):
            if place:
                await lab.settle(pilot, "tab")
            asked = app.source.details
            assert asked[-1] == ("BTCUSDT", frozenset(parts))
            made, count = app.source.snapshot, len(asked)
            app.paint()
            assert len(asked) == count
            app.source.snapshot = msgspec.structs.replace(made, number=made.number + 1)
            app.paint()
            moving = frozenset(parts - by_step)
            assert asked[count:] == ([("BTCUSDT", moving)] if moving else [])


async def test_what_changes_by_the_step_stays_in_between(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await to_chart(pilot, lab)
        before = stage(app).scene.detail
        made = app.source.snapshot
        app.source.snapshot = msgspec.structs.replace(made, number=made.number + 1)
        app.paint()
        after = stage(app).scene.detail
        assert after is not before
        assert (after.levels, after.clusters) == (before.levels, before.clusters)
        assert after.decisions is before.decisions
        assert None not in (after.levels, after.clusters, after.swings, after.decisions)


async def test_zoom_goes_through_all_bars_and_stops(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await to_chart(pilot, lab)
        for span in (*SPANS[1:], SPANS[-1]):
            await lab.settle(pilot, "minus")
            assert stage(app).span == span
            assert f" {span} bars" in lab.screen_text(app)
        for span in (*reversed(SPANS[:-1]), SPANS[0]):
            await lab.settle(pilot, "plus")
            assert stage(app).span == span
        await lab.settle(pilot, "tab", "minus", "minus")
        assert stage(app).window == "4h"
        assert app.source.details[-1][1] == {"cvd", "tape", "footprint:4h"}
        assert stage(app).span == SPANS[0]


@pytest.mark.slow
async def test_pan_goes_back_as_far_as_bars_are_kept(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        chart = await to_chart(pilot, lab)
        await lab.settle(pilot, "full_stop")
        assert stage(app).end is None
        await lab.settle(pilot, "comma")
        length = BAR_SPANS["1m"] * NS
        newest = -(-lab.TS // length) * length
        assert stage(app).end == newest - chart.columns // 3 * length
        assert f"bars:1m@{stage(app).end}" in app.source.details[-1][1]
        assert " to " in lab.screen_text(app).splitlines()[5]
        await lab.settle(pilot, "minus", "minus", "minus", *["comma"] * 90)
        oldest = stage(app).scene.detail.oldest
        assert stage(app).end > oldest
        last = stage(app).end
        await lab.settle(pilot, "comma")
        assert stage(app).end == last
        await lab.settle(pilot, *["full_stop"] * 91)
        assert stage(app).end is None
        await lab.settle(pilot, "comma", "right_square_bracket")
        assert stage(app).end is None


async def test_the_wheel_scrolls_in_time_and_zooms_with_control(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        chart = await to_chart(pilot, lab)
        await pilot._post_mouse_events([events_up()], chart, offset=(9, 9))
        await lab.settle(pilot)
        end = stage(app).end
        assert end is not None
        await pilot._post_mouse_events([events_down()], chart, offset=(9, 9))
        await lab.settle(pilot)
        assert stage(app).end is None
        await pilot._post_mouse_events([events_down()], chart, offset=(9, 9), control=True)
        await lab.settle(pilot)
        assert stage(app).span == SPANS[1]


def events_up() -> type:
    from textual.events import MouseScrollUp

    return MouseScrollUp


def events_down() -> type:
    from textual.events import MouseScrollDown

    return MouseScrollDown


async def test_history_scrolls_and_enter_opens_cards_alone(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "shift+tab", "j", "j")
        assert app.screen.query_one(Past).top == 2
        await lab.settle(pilot, "G")
        assert "14 to 20" in lab.screen_text(app)
        await lab.settle(pilot, "g", "enter")
        assert app.screen.query_one(Past).top == 0
        assert isinstance(app.screen, Symbol)
        await lab.settle(pilot, "tab", "enter")
        assert isinstance(app.screen, CardPage)
        await lab.settle(pilot, "escape", "tab", "slash", "c", "v", "d")
        assert stage(app).tab == 0


@pytest.mark.slow
@pytest.mark.parametrize("presses", range(1, len(NAMES)))
async def test_only_what_changed_is_painted(presses: int, lab: ModuleType) -> None:
    """A picture that is the same paints nothing; another second of it a part of the lines."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "enter", *["tab"] * presses)
        seen: list[object] = []
        hidden: list[object] = []
        for widget in (*app.screen.query(Tab), *app.screen.query(Candles)):
            here = widget.id == BODIES[presses]
            kept = seen if here else hidden
            widget.refresh = lambda *regions, kept=kept, **_: kept.extend(regions)
        app.paint()
        assert seen == []
        made = app.source.snapshot
        app.source.snapshot = msgspec.structs.replace(
            made, number=made.number + 1, ts=made.ts + 3 * NS
        )
        app.paint()
        assert hidden == []
        assert sum(r.area for r in seen) <= 1500


async def test_rising_and_falling_differ_without_colour(lab: ModuleType) -> None:
    """Hollow and full bodies; flow to both sides of its middle."""
    for glyphs, hollow, full in (("braille", "║", "┃"), ("ascii", "O", "#")):
        app = lab.cockpit(lab.full(), glyphs=glyphs)
        async with app.run_test(size=(120, 40)) as pilot:
            chart = await to_chart(pilot, lab)
            drawn = ["".join(s.text for part in line for s in part) for line in chart._lines]
            bars = {b.ts: b for b in stage(app).scene.detail.bars}
            last = lab.TS // (60 * NS)
            for column in range(chart.columns):
                bar = bars.get((last - chart.columns + 1 + column) * 60 * NS)
                above = {line[1 + column] for line in drawn[1:24]}
                if bar is None:
                    assert not above & {hollow, full}
                elif bar.close != bar.open:
                    assert (hollow in above, full in above) == (
                        bar.close > bar.open, bar.close < bar.open
                    )  # fmt: skip


@given(st.integers(0, 200), st.integers(0, 200))
@settings(deadline=None)
def test_a_body_is_within_its_half_rows(top: int, height: int) -> None:
    first, last = body(top, top + height)
    assert first <= last
    assert 2 * first >= top - 1
    assert 2 * last + 1 <= top + height + 1


@given(st.floats(1e-8, 1e6), st.floats(1e-9, 1e5), st.integers(2, 12))
@settings(deadline=None)
def test_round_values_are_within_and_few(low: float, size: float, most: int) -> None:
    found = axes.round_values(low, low + size, most)
    assert len(found) <= most + 1
    assert all(low - size * 1e-6 <= v <= low + size * (1 + 1e-6) for v in found)
    assert found == sorted(found)


@given(st.integers(1, 2_000_000_000), st.sampled_from([30, 60, 300, 900, 3600, 14_400]),
       st.integers(10, 240))  # fmt: skip
@settings(deadline=None)
def test_times_of_an_axis_do_not_overlap(start: int, seconds: int, columns: int) -> None:
    found = axes.times(start * NS, seconds, columns, None)
    for (left, said), (right, _) in pairwise(found):
        assert left + len(said) < right
    assert all(x + len(said) <= columns + 1 for x, said in found)


@pytest.mark.parametrize("glyphs", [BRAILLE, BLOCK, ASCII])
def test_a_line_is_drawn_in_every_set_of_glyphs(glyphs: object) -> None:
    canvas = Canvas(20, 5)
    values = np.linspace(0.0, 10.0, 20)
    values[7:9] = np.nan
    panes.line(canvas, 0, 0, values, (0.0, 10.0), 5, glyphs, ["accent"] * 20)
    told = ["".join(s.text for s in canvas.row(y, dict.fromkeys(("accent", "blank"))))
            for y in range(5)]  # fmt: skip
    columns = [any(line[x] != " " for line in told) for x in range(20)]
    assert columns == [x not in (7, 8) for x in range(20)]
    assert raster.grain(glyphs) in ((1, 2), (2, 4))
