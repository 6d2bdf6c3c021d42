"""Sorting the grid: by key, by a click on a head, and rows that keep still."""

from types import ModuleType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.ranking import AGAIN_S, Ranking
from cockpit.widgets.cards import CardHeads, Cards
from cockpit.widgets.columns import column_at, layout, sortable
from cockpit.widgets.grid import Heads
from cockpit.widgets.presets import BUILT_IN, OVERVIEW, Preset
from cockpit.widgets.sorting import OWN, SORTS, Order, ranked, value_of
from engine.snapshot import MODES


def listed(lab: ModuleType, app: object) -> list[str]:
    """Coins of the grid, top to bottom."""
    lines = lab.screen_text(app).splitlines()[2:23]
    return [line[1:6].strip() for line in lines]


@pytest.mark.parametrize("column", SORTS)
def test_largest_first_and_the_unknown_last(column: str, lab: ModuleType) -> None:
    symbols = lab.full().symbols
    states = {state.id: state for state in symbols}
    for mode in MODES:
        for reverse in (False, True):
            ids = ranked(symbols, Order(column, reverse), mode)
            assert sorted(ids) == sorted(states)
            values = [SORTS[column](states[id], mode) for id in ids]
            known = [v for v in values if v is not None]
            assert known == sorted(known, reverse=not reverse)
            assert values[len(known) :] == [None] * (len(values) - len(known))


def test_equal_rows_keep_the_config_s_order(lab: ModuleType) -> None:
    symbols = lab.loading().symbols
    own = tuple(s.id for s in symbols)
    for reverse in (False, True):
        assert ranked(symbols, Order("change", reverse), "day") == own
    assert ranked(symbols, Order(), "day") == own
    assert ranked(symbols, Order(OWN, True), "day") == own[::-1]


def test_the_same_column_again_turns_the_order() -> None:
    order = Order().by("change")
    assert order == Order("change")
    assert order.by("change") == Order("change", True)
    assert order.by("change").by("age") == Order("age")


def test_rows_keep_still_between_two_rankings(lab: ModuleType) -> None:
    now = [100.0]
    ranking = Ranking(lambda: now[0])
    order = Order("day")
    first = ranking.order(lab.full(), order, "day")
    moved = lab.full(phase=2.0)
    assert ranked(moved.symbols, order, "day") != first
    assert ranking.order(moved, order, "day") == first
    now[0] += AGAIN_S
    assert ranking.order(moved, order, "day") == ranked(moved.symbols, order, "day")
    assert ranking.order(moved, Order("day", True), "day") != first
    assert ranking.order(moved, Order(), "day") == tuple(s.id for s in moved.symbols)


@given(st.integers(80, 260), st.sampled_from(MODES), st.sampled_from(BUILT_IN))
def test_every_place_of_the_heads_belongs_to_its_column(
    width: int, mode: str, preset: Preset
) -> None:
    left = 1
    places = layout(width, mode, preset)
    for name, size in places:
        wanted = name if name == OWN or value_of(name) else None
        assert column_at(left + 1, places) == wanted
        left += size + 1
    assert sortable(places)[0] == OWN
    if preset in (OVERVIEW, BUILT_IN[-1]):
        assert set(MODES) <= set(sortable(places))


async def test_keys_choose_the_column_and_turn_it(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        own = listed(lab, app)
        await lab.settle(pilot, "greater_than_sign", "greater_than_sign")
        changes = [lab.full().symbols[own.index(c)].price.change_24h for c in listed(lab, app)]
        assert "24h▼" in lab.screen_text(app).splitlines()[1]
        assert changes[:-1] == sorted(changes[:-1], reverse=True)
        assert changes[-1] is None
        await lab.settle(pilot, "r")
        assert "24h▲" in lab.screen_text(app).splitlines()[1]
        turned = listed(lab, app)
        assert (turned[:-1], turned[-1]) != (own[:-1], own[0])
        assert turned[-1] == "FIL"
        await lab.settle(pilot, "less_than_sign", "less_than_sign")
        assert listed(lab, app) == own
        assert "▼" not in lab.screen_text(app).splitlines()[1]
        await lab.settle(pilot, "less_than_sign")
        assert "age▼" in lab.screen_text(app).splitlines()[1]
        assert listed(lab, app)[0] == "APT"


async def test_the_cursor_stays_on_its_symbol(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "j", "j", "greater_than_sign", "r")
        row = next(line for line in lab.screen_text(app).splitlines() if line.startswith("▸"))
        assert row[1:4] == "SOL"


@pytest.mark.slow
@pytest.mark.parametrize(("width", "glyphs"), [(80, "braille"), (120, "ascii"), (200, "braille")])
async def test_a_click_on_each_head_marks_it(width: int, glyphs: str, lab: ModuleType) -> None:
    app = lab.cockpit(lab.full(), glyphs=glyphs)
    async with app.run_test(size=(width, 40)) as pilot:
        await lab.settle(pilot)
        heads = app.screen.query_one(Heads)
        left = 1
        for name, size in layout(heads.size.width, "day"):
            await pilot.click(Heads, offset=(left + size - 1, 0))
            await lab.settle(pilot)
            if name in SORTS:
                assert app.home.order == Order(name)
                cell = lab.screen_text(app).splitlines()[1][left : left + size]
                assert app.look.glyphs.arrow_down in cell
                await pilot.click(Heads, offset=(left, 0))
                await lab.settle(pilot)
                assert app.home.order == Order(name, True)
            left += size + 1


async def test_the_filter_and_the_order_go_together(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "greater_than_sign", "slash", "d", "o", "enter")
        assert [c for c in listed(lab, app) if c] == ["DOT", "DOGE"]
        await lab.settle(pilot, "r")
        assert [c for c in listed(lab, app) if c] == ["DOGE", "DOT"]


async def test_cards_turn_and_their_heads_take_clicks(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "enter")
        ranked_cards = app.screen.query_one(Cards).ranked.cards
        await lab.settle(pilot, "r")
        turned = app.screen.query_one(Cards).ranked.cards
        there = [c for c in ranked_cards if c.available]
        assert list(turned[: len(there)]) == there[::-1]
        assert not any(c.available for c in turned[len(there) :])
        await pilot.click(CardHeads, offset=(3, 0))
        await lab.settle(pilot)
        assert (app.screen.order, app.screen.reverse) == ("name", False)
        assert "card▼" in lab.screen_text(app)
        await pilot.click(CardHeads, offset=(3, 0))
        await lab.settle(pilot)
        assert "card▲" in lab.screen_text(app)


async def test_only_the_cards_in_view_are_drawn(lab: ModuleType) -> None:
    """A list of any length costs what is seen of it; scrolled to, every line is right."""
    made = lab.full()
    app = lab.cockpit(made)
    whole = lab.Fixed.detail
    many = 173

    def detail(self: object, symbol: str, parts: frozenset[str]) -> object:
        one = whole(app.source, symbol, parts)
        cards = one.readings["day"]
        long = tuple(
            msgspec.structs.replace(cards[n % len(cards)], card=f"card_{n}", name=f"Card {n:03}",
                                    available=True)
            for n in range(many)
        )  # fmt: skip
        return msgspec.structs.replace(one, readings={"day": long})

    app.source.detail = detail.__get__(app.source)
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "enter")
        cards = app.screen.query_one(Cards)
        assert len(cards._drawn) < many / 3
        await lab.settle(pilot, "greater_than_sign", "greater_than_sign")
        for _ in range(9):
            await lab.settle(pilot, "pagedown")
        lines = [n for n in range(many) if f"Card {n:03}" in lab.screen_text(app)]
        assert lines == list(range(many - cards.size.height, many))
        await lab.settle(pilot, "g", "r")
        lines = [n for n in range(many) if f"Card {n:03}" in lab.screen_text(app)]
        assert lines == list(range(many - cards.size.height, many))
