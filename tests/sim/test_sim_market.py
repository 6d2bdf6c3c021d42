"""The market's truth holds together: books, quotes, tape, candles, positions, and the seed."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from engine.clock import NS
from engine.sim.market import SimulatedMarket
from engine.sim.market.book import NEAR, grid_step
from engine.sim.market.chance import stream, wave_path
from engine.sim.market.past import CLOSE, COUNT, HIGH, LOW, OPEN, TAKEN, VOLUME, merge
from engine.sim.market.scenario import SCENARIOS

SHORT = ("BTCUSDT", "PEPEUSDT")


def tape_of(market: SimulatedMarket) -> list[list[tuple[int, ...]]]:
    return [[tuple(fill) for fill in tape] for tape in market.tapes]


def run(seed: int, ticks: int = 300, **how: object) -> SimulatedMarket:
    market = SimulatedMarket(SHORT, seed=seed, **how)
    for _ in range(ticks):
        market.tick()
    return market


def test_the_same_seed_makes_the_same_market() -> None:
    one, two = run(7), run(7)
    assert tape_of(one) == tape_of(two)
    assert [(b.bids, b.asks, b.seq) for b in one.books] == [
        (b.bids, b.asks, b.seq) for b in two.books
    ]
    np.testing.assert_array_equal(one.bars.past.minutes, two.bars.past.minutes)
    np.testing.assert_array_equal(one.positions.liquidation, two.positions.liquidation)


def test_another_seed_makes_another_market() -> None:
    one, two = run(7), run(8)
    assert tape_of(one) != tape_of(two)
    assert (one.bars.past.minutes != two.bars.past.minutes).mean() > 0.5


def test_diffs_replayed_are_the_book(minutes) -> None:
    for place, book in enumerate(minutes.market.books):
        bids, asks, seq = minutes.first_books[place]
        bids, asks = dict(bids), dict(asks)
        for tick in minutes.ticks:
            diff = tick.played[place].diff
            assert diff.previous == seq
            assert diff.first == seq + 1
            seq = diff.last
            for side, changes in ((bids, diff.bids), (asks, diff.asks)):
                side.update(changes)
                for price in [price for price, size in side.items() if not size]:
                    del side[price]
        assert (bids, asks, seq) == (book.bids, book.asks, book.seq)


def test_books_never_cross_and_their_touch_is_theirs(minutes) -> None:
    for book in minutes.market.books:
        assert max(book.bids) == book.bid < book.ask == min(book.asks)
        assert min(book.bids.values()) > 0
        assert min(book.asks.values()) > 0
    for tick in minutes.ticks:
        for played in tick.played:
            for touch in played.touches:
                assert touch.bid < touch.ask
                assert touch.bid_size > 0
                assert touch.ask_size > 0
                assert played.diff.previous < touch.seq <= played.diff.last
            sequences = [touch.seq for touch in played.touches]
            assert sequences == sorted(sequences)


@dataclass
class Rest:
    """A book kept by replaying diffs a tick behind."""

    bids: dict[int, int]
    asks: dict[int, int]


def test_trades_execute_inside_the_reach_of_the_book(minutes) -> None:
    """A fill is no better than the touch and no further from it than the tick's own moves."""
    for place, listing in enumerate(minutes.market.listings):
        before = Rest(*(dict(side) for side in minutes.first_books[place][:2]))
        for tick in minutes.ticks:
            played = tick.played[place]
            touches = played.touches
            low = min([max(before.bids), *(t.bid for t in touches)])
            high = max([min(before.asks), *(t.ask for t in touches)])
            reach = max(60, round(2e-3 * listing.ticks))
            for fill in played.prints:
                assert fill.size > 0
                assert low - reach <= fill.price <= high + reach
            for side, changes in ((before.bids, played.diff.bids), (before.asks, played.diff.asks)):
                side.update(changes)
                for price in [price for price, size in side.items() if not size]:
                    del side[price]


def test_a_taker_gets_what_rests_there() -> None:
    book = run(3, ticks=20).books[0]
    ask, there = book.ask, book.asks[book.ask]
    assert book.take(True, 1) == [(ask, 1)]
    assert book.asks.get(ask, 0) == there - 1
    fills = book.take(True, there + 5)
    assert fills[0] == (ask, there - 1) if there > 1 else fills[0][0] > ask
    assert ask not in book.asks
    assert all(price > ask for price, _ in fills[1:])
    book.mend()
    assert book.asks[ask] > 0


def test_trade_ids_and_times_rise_without_gaps(minutes) -> None:
    for tape in minutes.market.tapes:
        fills = list(tape)
        assert [fill.id for fill in fills] == list(range(fills[0].id, fills[0].id + len(fills)))
        assert all(b.first == a.last + 1 for a, b in pairwise(fills))
        assert all(b.ms >= a.ms for a, b in pairwise(fills))
        assert fills[0].ms >= minutes.market.start // 1_000_000
        assert fills[-1].ms < minutes.market.now // 1_000_000


def test_a_limited_tape_keeps_its_numbering() -> None:
    whole, short = run(5, ticks=600), run(5, ticks=600, kept=100)
    for all_of_it, end in zip(whole.tapes, short.tapes, strict=True):
        kept = list(end)
        assert len(kept) >= min(100, len(all_of_it))
        assert kept == list(all_of_it)[-len(kept) :]
    assert len(short.tapes[0]) < len(whole.tapes[0])


def test_candles_are_the_tape(minutes) -> None:
    market = minutes.market
    for place, tape in enumerate(market.tapes):
        begin, rows = market.bars.select(place, 60, market.start // NS, market.now // NS)
        assert begin == market.start // NS
        assert len(rows) == 3
        for count, row in enumerate(rows):
            since = (begin + 60 * count) * 1000
            fills = [fill for fill in tape if since <= fill.ms < since + 60_000]
            prices = [fill.price for fill in fills]
            assert list(row[[OPEN, HIGH, LOW, CLOSE]]) == [
                prices[0], max(prices), min(prices), prices[-1]
            ]  # fmt: skip
            assert row[VOLUME] == sum(fill.size for fill in fills)
            assert row[TAKEN] == sum(fill.size for fill in fills if fill.buy)
            assert row[COUNT] == sum(fill.last - fill.first + 1 for fill in fills)


def test_a_minute_without_trades_stays_at_the_last_price() -> None:
    market = SimulatedMarket(("FILUSDT",), rate=1e-6)
    for _ in range(610):
        market.tick()
    _, rows = market.bars.select(0, 60, market.start // NS, market.now // NS)
    last = market.bars.past.minutes[-1, CLOSE, 0]
    quiet = [row for row in rows if not row[VOLUME]]
    assert quiet
    assert all((row[:VOLUME] == last).all() for row in quiet)


def test_the_past_ends_where_the_live_part_begins(minutes) -> None:
    market, past = minutes.market, minutes.market.bars.past
    assert past.minutes_from + 60 * len(past.minutes) == market.start // NS
    assert past.hours_from + 3600 * len(past.hours) == past.minutes_from
    ends = past.minutes[-1, CLOSE]
    np.testing.assert_allclose(ends, [listing.ticks for listing in market.listings], atol=1)
    assert len(past.minutes) >= 8 * 1440
    assert past.hours_from <= market.start // NS - 180 * 86400 + 3600


def test_volatility_is_one_path_across_the_seam() -> None:
    """A wave of the past ends where the live one begins, and is stationary all the same."""
    last = np.linspace(-1.5, 1.5, 200)
    path = wave_path(stream(1, "seam"), 3000, 200, 0.999, last)
    np.testing.assert_allclose(path[-1], last, atol=5 * np.sqrt(1 - 0.999**2))
    assert np.std(path[:500]) == pytest.approx(1.0, abs=0.15)


def test_longer_ticks_make_a_coarser_market_that_holds_together() -> None:
    market = run(6, ticks=130, dt=0.5)
    assert market.now - market.start == 65 * NS
    for place, tape in enumerate(market.tapes):
        fills = list(tape)
        assert all(b.ms >= a.ms for a, b in pairwise(fills))
        assert fills[-1].ms < market.now // 1_000_000
        _, rows = market.bars.select(place, 60, market.start // NS, market.now // NS)
        assert len(rows) == 2
        assert rows[:, VOLUME].sum() == sum(fill.size for fill in fills)
    for book in market.books:
        assert max(book.bids) == book.bid < book.ask == min(book.asks)


@pytest.mark.parametrize("part", ["minutes", "hours"])
def test_past_candles_are_candles(minutes, part: str) -> None:
    bars = getattr(minutes.market.bars.past, part)
    assert (bars[:, LOW] <= np.minimum(bars[:, OPEN], bars[:, CLOSE])).all()
    assert (bars[:, HIGH] >= np.maximum(bars[:, OPEN], bars[:, CLOSE])).all()
    assert (bars[:, LOW] > 0).all()
    assert (bars[:, TAKEN] <= bars[:, VOLUME]).all()
    assert (bars[:, TAKEN] >= 0).all()
    opened, before = bars[1:, OPEN], bars[:-1, CLOSE]
    np.testing.assert_array_equal(opened, before)


def test_hours_are_their_minutes(minutes) -> None:
    market = minutes.market
    now = market.now // NS
    begin, hours = market.bars.select(0, 3600, now - 30 * 3600, now)
    first, ones = market.bars.select(0, 60, begin, now)
    assert first == begin
    np.testing.assert_array_equal(hours, merge(ones, 60))
    assert len(hours) == now // 3600 - begin // 3600 + 1


def test_hours_reach_back_half_a_year(minutes) -> None:
    market = minutes.market
    begin, hours = market.bars.select(1, 3600, 0, market.now // NS)
    assert begin == market.bars.past.hours_from
    assert len(hours) == (market.now // NS // 3600) - begin // 3600 + 1
    np.testing.assert_array_equal(hours[1:, OPEN][:100], hours[:-1, CLOSE][:100])


def test_the_mid_moves_by_whole_ticks_and_trading_leaves_no_trace(minutes) -> None:
    """What is told of the touch at each tick's end is where the process put it."""
    market = minutes.market
    assert ((market.mids - minutes.first_mids) % 1 == 0).all()
    for place, book in enumerate(market.books):
        told = [t.played[place].touches[-1] for t in minutes.ticks if t.played[place].touches]
        assert (told[-1].bid, told[-1].ask) == (book.bid, book.ask)


def test_a_mark_through_a_cohort_closes_it() -> None:
    market = run(4, ticks=50)
    positions = market.positions
    price, size = positions.clusters(0, long=True)[0]
    assert price < market.mids[0]
    interest = positions.interest[0]
    mark = market.mids.astype(float)
    mark[0] = price - 1
    orders = positions.liquidate(mark)
    assert {(order.symbol, order.long) for order in orders} == {(0, True)}
    assert orders[0].steps >= int(size)
    assert positions.interest[0] < interest
    assert positions.clusters(0, long=True)[0][0] < price - 1
    assert positions.liquidate(mark) == []


@pytest.mark.slow
def test_a_cascade_liquidates_longs() -> None:
    market = SimulatedMarket(SHORT, "cascade", seed=1)
    closed: list[bool] = []
    for _ in range(11 * 600):
        tick = market.tick()
        closed += [done.long for played in tick.played for done in played.closed]
    assert len(closed) > 20
    assert np.mean(closed) > 0.8
    assert market.mids[0] < 0.993 * market.listings[0].ticks


def test_open_interest_and_funding_are_plausible(minutes) -> None:
    market = minutes.market
    worth = [x.price * x.step for x in market.listings]
    usd = market.positions.interest * worth
    stated = np.array([x.interest for x in market.listings])
    assert (usd > 0.5 * stated).all()
    assert (usd < 2 * stated).all()
    assert (np.abs(market.mark.rate) < 0.003).all()
    assert market.mark.next % (8 * 3600) == 0
    assert 0 < market.mark.next - market.now // NS <= 8 * 3600
    np.testing.assert_allclose(market.mark.mark, market.mids, rtol=5e-3)


@pytest.mark.parametrize("distance", [0, 1, NEAR, NEAR + 1, 100, 1_000, 14_000])
def test_orders_far_away_rest_on_round_prices(distance: int) -> None:
    step = grid_step(distance)
    assert int(str(step).rstrip("0")) in (1, 2, 5)
    assert step == 1 or step <= distance / 8


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_every_scenario_runs(name: str) -> None:
    market = SimulatedMarket(("BTCUSDT",), name)
    for _ in range(100):
        market.tick()
    assert len(market.tapes[0])


@pytest.mark.slow
def test_the_breakout_comes_out_of_the_range_within_half_an_hour() -> None:
    market = SimulatedMarket(("BTCUSDT",), "breakout", dt=0.5)
    _, rows = market.bars.select(0, 60, market.start // NS - 6 * 3600, market.start // NS - 60)
    assert rows[:, CLOSE].min() > 935_000
    assert rows[:, CLOSE].max() < 949_000
    high, at_six = 0.0, 0.0
    for tick in range(31 * 120):
        market.tick()
        high = max(high, float(market.mids[0]))
        if tick == 6 * 120:
            at_six = float(market.mids[0])
    assert 938_000 < at_six < 946_000
    assert 957_000 < high < 966_000
