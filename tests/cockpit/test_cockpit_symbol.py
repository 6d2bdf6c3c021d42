"""The symbol's screen: what it adds up to, what it asks for, what its keys do."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.app import CockpitApp
from cockpit.screens.categories import Categories
from cockpit.screens.symbol import Symbol
from cockpit.widgets.cards import Cards, layout
from cockpit.widgets.chart import PriceChart
from cockpit.widgets.ranks import ORDERS, points, rank
from cockpit.widgets.scene import Scene
from engine.snapshot import MODES, CategoryLine


def _lab() -> ModuleType:
    """The conftest, for property tests: hypothesis takes no fixtures of one function."""
    spec = importlib.util.spec_from_file_location("lab", Path(__file__).parent / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LAB = _lab()
BASE = LAB.readings(LAB.symbol(1), "day")[0]


def cards_of(app: CockpitApp) -> list[str]:
    """Names of the cards shown, top to bottom, as far as they are available."""
    widget = app.screen.query_one(Cards)
    assert widget.ranked is not None
    return [card.name for card in widget.ranked.cards]


def sums(shown: str) -> dict[str, float]:
    line = next(line for line in shown.splitlines() if "= bias" in line)
    found = re.findall(r"  (= bias|cards|btc stress) ([+-]?\d+\.\d\d)\b", line)
    return {name: float(value) for name, value in found}


def check_sums(app: CockpitApp, place: int, lab: ModuleType) -> None:
    """What the screen shows of a symbol's cards adds up to its bias."""
    found = app.source.snapshot.symbols[place].modes[app.mode]
    shown = sums(lab.screen_text(app))
    assert shown["= bias"] == pytest.approx(found.bias, abs=0.005)
    assert shown["cards"] + shown["btc stress"] == pytest.approx(found.bias, abs=0.011)
    ranked = app.screen.query_one(Cards).ranked
    each = [round(p, 2) for p in ranked.points if p is not None]
    assert sum(each) == pytest.approx(shown["cards"], abs=0.005 * len(each))
    lines = found.categories
    for category in lab.FROM_CARD:
        own = [p for c, p in zip(ranked.cards, ranked.points, strict=True)
               if c.category == category and p is not None]  # fmt: skip
        assert sum(own) == pytest.approx(lines[category].contribution, abs=1e-9)


@pytest.mark.parametrize(("key", "mode"), [("1", "scalp"), ("2", "day"), ("3", "swing")])
async def test_cards_add_up_to_the_bias(key: str, mode: str, lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, key, "enter")
        assert app.mode == mode
        before = 0
        for place in (0, 1, 8, 13):
            await lab.settle(pilot, *["right_square_bracket"] * (place - before))
            check_sums(app, place, lab)
            before = place


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=9), st.floats(0.1, 90))
@settings(deadline=None)
def test_points_hold_where_contributions_cancel_out(parts: list[float], factor: float) -> None:
    """The sum of two opposite categories is nothing; their cards have their points all the same."""
    change = msgspec.structs.replace
    cards = [
        change(BASE, category=category, contribution=sign * part)
        for category, sign in (("order_flow", 1.0), ("order_book", -1.0))
        for part in parts
    ]
    lines = {
        "order_flow": CategoryLine(0.1, "", factor * sum(parts), 9, 9),
        "order_book": CategoryLine(-0.1, "", -factor * sum(parts), 9, 9),
    }
    found = change(LAB.composite(0, 0, "day"), bias=0.0, categories=lines)
    shown = points(tuple(cards), found)
    assert sum(p for p in shown if p is not None) == pytest.approx(0.0, abs=1e-6)
    if abs(sum(parts)) > 1e-6:
        assert shown == pytest.approx([factor * c.contribution for c in cards], rel=1e-6, abs=1e-9)


def test_no_bias_has_no_points(lab: ModuleType) -> None:
    state = lab.full().symbols[18]
    assert set(points(lab.readings(state, "day"), state.modes["day"])) == {None}


async def test_enter_and_the_ways_back(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        for back in ("escape", "backspace"):
            await lab.settle(pilot, "G", "k", "enter")
            assert isinstance(app.screen, Symbol)
            assert "ARBUSDT" in lab.screen_text(app)
            await lab.settle(pilot, back)
            assert app.screen is app.home
        await lab.settle(pilot, "c", "enter")
        assert isinstance(app.screen, Symbol)
        await lab.settle(pilot, "enter", "escape")
        assert isinstance(app.screen, Symbol)


async def test_next_and_previous(lab: ModuleType) -> None:
    """From one to the next, and the grid's cursor has gone along; the first has none before it."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        for key, symbol in (
            ("left", "BTC"), ("right_square_bracket", "ETH"), ("right", "SOL"), ("left", "ETH"),
            ("left_square_bracket", "BTC"), ("right", "ETH"),
        ):  # fmt: skip
            await lab.settle(pilot, "enter", key)
            assert f" {symbol}USDT" in lab.screen_text(app)
            await lab.settle(pilot, "escape")
            assert f"▸{symbol} " in lab.screen_text(app)


def check_order(app: CockpitApp, order: str) -> None:
    ranked = app.screen.query_one(Cards).ranked
    there = [(c, p) for c, p in zip(ranked.cards, ranked.points, strict=True) if c.available]
    sizes = {"contribution": [-abs(p) for _, p in there],
             "score": [-abs(c.score) for c, _ in there],
             "name": [c.name.casefold() for c, _ in there],
             "category": [(c.category, -abs(p)) for c, p in there]}  # fmt: skip
    assert sizes[order] == sorted(sizes[order])
    assert app.screen.order == order
    assert all(not card.available for card in ranked.cards[len(there) :])


async def test_orders(lab: ModuleType) -> None:
    """Each key from each order, all the way round both ways."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "j", "enter")
        check_order(app, "contribution")
        for key, order in (
            ("o", "score"), ("o", "name"), ("o", "category"), ("o", "contribution"),
            ("greater_than_sign", "score"), ("less_than_sign", "contribution"),
            ("less_than_sign", "category"), ("less_than_sign", "name"), ("less_than_sign", "score"),
        ):  # fmt: skip
            await lab.settle(pilot, key)
            check_order(app, order)


async def test_filter_of_cards_and_its_end(lab: ModuleType) -> None:
    """Name, id and category are searched; the grid's own filter is left alone."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "slash", "c", "v", "d")
        assert sorted(cards_of(app)) == ["CVD", "CVD Divergence"]
        await lab.settle(pilot, "enter", "o")
        assert app.screen.order == "score"
        assert "/cvd" in lab.screen_text(app)
        await lab.settle(pilot, "escape")
        assert len(cards_of(app)) == 39
        assert isinstance(app.screen, Symbol)
        await lab.settle(pilot, "slash", "z", "z")
        assert "No card contains 'zz'" in lab.screen_text(app)
        await lab.settle(pilot, "escape", "escape")
        assert app.screen is app.home
        assert "of 21" not in lab.screen_text(app)


async def test_lines_and_pages_scroll(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter")
        cards = app.screen.query_one(Cards)
        first = cards_of(app)[0]
        assert first in lab.screen_text(app)
        await lab.settle(pilot, "j", "j")
        assert (cards.place_of_cursor, cards.scroll_offset.y) == (2, 0)
        await lab.settle(pilot, "pagedown")
        assert cards.place_of_cursor == 2 + cards.size.height - 1
        assert cards.scroll_offset.y == 2
        await lab.settle(pilot, "G")
        assert cards.place_of_cursor == 38
        assert cards.scroll_offset.y == 39 - cards.size.height
        await lab.settle(pilot, "right_square_bracket")
        assert (cards.place_of_cursor, cards.scroll_offset.y) == (0, 0)


async def test_breakdown_beside_or_by_itself(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "c")
        assert isinstance(app.screen, Categories)
        await lab.settle(pilot, "escape")
        assert isinstance(app.screen, Symbol)
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "enter")
        assert "Composite Alpha" in lab.screen_text(app)
        await lab.settle(pilot, "c")
        assert isinstance(app.screen, Symbol)
        assert "Composite Alpha" not in lab.screen_text(app)


async def test_a_detail_is_asked_for_while_the_screen_is_open_alone(lab: ModuleType) -> None:
    """Readings once a step; never by the grid; nothing at all while the picture is held."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        app.paint()
        assert app.source.details == []
        await lab.settle(pilot, "enter")
        asked = app.source.details
        assert asked[0] == ("BTCUSDT", frozenset({"readings", "bars"}))
        count = len(asked)
        app.paint()
        app.paint()
        assert len(asked) == count
        made = app.source.snapshot
        app.source.snapshot = msgspec.structs.replace(made, number=made.number + 1)
        app.paint()
        assert asked[count:] == [("BTCUSDT", frozenset({"bars"}))]
        count = len(asked)
        app.source.snapshot = msgspec.structs.replace(made, step=made.step + 1)
        app.paint()
        assert asked[count:] == [("BTCUSDT", frozenset({"readings", "bars"}))]
        await lab.settle(pilot, "p")
        count = len(asked)
        app.source.snapshot = msgspec.structs.replace(made, step=made.step + 2)
        await lab.settle(pilot, "right_square_bracket", "left_square_bracket")
        assert len(asked) == count
        await lab.settle(pilot, "p", "escape")
        count = len(asked)
        app.paint()
        assert len(asked) == count


async def test_held_cards_are_those_of_the_held_picture(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "enter", "p")
        held = sums(lab.screen_text(app))
        app.source.snapshot = msgspec.structs.replace(lab.full(phase=1.0), step=900)
        await lab.settle(pilot)
        assert sums(lab.screen_text(app)) == held


async def test_a_held_picture_is_not_shown_with_details_of_an_older_one(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "enter", "escape")
        asked = len(app.source.details)
        app.source.snapshot = msgspec.structs.replace(lab.full(phase=1.0), step=900, number=900)
        await lab.settle(pilot, "p", "enter")
        assert len(app.source.details) == asked
        assert "p lets go" in lab.screen_text(app)
        await lab.settle(pilot, "p")
        assert len(app.source.details) == asked + 1


async def test_nothing_is_painted_when_nothing_changes(lab: ModuleType) -> None:
    """Also under a screen that covers it nothing is."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(200, 50)) as pilot:
        await lab.settle(pilot, "enter")
        seen: list[object] = []
        widgets = app.screen.shown()
        for widget in widgets:
            widget.refresh = lambda *regions, **_: seen.extend(regions)
        app.paint()
        assert seen == []
        await lab.settle(pilot, "f")
        app.source.snapshot = msgspec.structs.replace(lab.full(phase=1.0), step=900)
        await lab.settle(pilot)
        assert seen == []


async def test_one_card_changes_one_line(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter", "o", "o")
        cards = app.screen.query_one(Cards)
        place = next(n for n, c in enumerate(cards.ranked.cards) if c.available)
        name = cards.ranked.cards[place].name
        real = app.source.detail

        def other(symbol: str, parts: frozenset[str]) -> object:
            made = real(symbol, parts)
            day = tuple(
                msgspec.structs.replace(r, confidence=0.11) if r.name == name else r
                for r in made.readings["day"]
            )
            return msgspec.structs.replace(made, readings=made.readings | {"day": day})

        app.source.detail = other
        app.source.snapshot = msgspec.structs.replace(app.source.snapshot, step=999)
        seen: list[object] = []
        cards.refresh = lambda *regions, **_: seen.extend(regions)
        app.paint()
        assert {region.y for region in seen} == {place}
        assert sum(region.width for region in seen) <= 4


@given(st.integers(40, 260), st.sampled_from(MODES))
@settings(deadline=None)
def test_columns_of_cards_fit(width: int, mode: str) -> None:
    windows = LAB.WINDOWS[mode]
    places = layout(width, windows)
    assert 1 + sum(size + 1 for _, _, size in places) <= width
    if width >= 80:
        named = {name for name, _, _ in places}
        assert {"name", "points", "score", "windows", "confidence", "weight", "strength",
                "category"} <= named  # fmt: skip
        assert named & {"raw", "raws"}
    if width >= 160:
        assert [w for name, w, _ in places if name == "raws"] == list(windows)
        assert [w for name, w, _ in places if name == "scores"] == list(windows)


async def test_a_source_without_readings_or_bars_is_told(lab: ModuleType) -> None:
    """A store keeps neither; the screen says so instead of failing."""
    app = lab.cockpit(lab.full())
    empty = lab.Detail("BTCUSDT", {}, (), (), (), (), ("not stored",))
    app.source.detail = lambda symbol, parts: empty
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter")
        assert "No cards yet" in lab.screen_text(app)
        assert "no bars yet" in lab.screen_text(app)


@pytest.mark.parametrize("count", [1, 2, 3, 30, 240])
async def test_any_number_of_bars(count: int, lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    real = app.source.detail
    app.source.detail = lambda symbol, parts: msgspec.structs.replace(
        real(symbol, parts), bars=lab.bars(0)[-count:]
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "enter")
        chart = app.screen.query_one(PriceChart)
        drawn = ["".join(s.text for cell in line for s in cell) for line in chart._lines[1:]]
        assert any(0x2800 <= ord(c) < 0x2900 for line in drawn for c in line)
        assert all(len(line) == chart.size.width for line in drawn)


def test_rank_knows_no_symbol(lab: ModuleType) -> None:
    assert rank(Scene(lab.full(), "day", filter="NONE"), ORDERS[0], "") is None
