"""The liquidation map against a plain replay, its accounts, and the simulator's true positions."""

from collections import defaultdict
from math import exp, floor, log

import numpy as np
import pytest
from scipy.stats import spearmanr

from engine.events import Event, Kline, OpenInterest, Quote, Trade
from engine.market.fields import LIVE, LIVE_AT
from engine.market.liquidation_map import (
    AWAY,
    FEW,
    LEVERAGE,
    LONG,
    PASSED,
    POINTS,
    SHARE,
    SHORT,
    SIZE,
    LiquidationMap,
)
from engine.market.market import Market
from engine.market.unknown import BUCKET, BUCKETS
from engine.sim.market import SimulatedMarket

NS = 1_000_000_000
CELL = 300 * NS
START = 1_750_002_000 * NS  # twenty minutes before a whole hour
SYMBOLS = ("BTCUSDT", "ETHUSDT")
Bar = tuple[float, float, float, float, float, float]


def interest(at: int, base: float, history: bool = True, recv: int = 0,
             venue: str = "binance") -> OpenInterest:  # fmt: skip
    return OpenInterest(venue=venue, market="perp", symbol="BTCUSDT", ts=at, recv=recv or at,
                        history=history, base=base, usd=None)  # fmt: skip


def minutes(seed: int, count: int, vol: float = 1.5e-3, volume: float = 3.0) -> list[Bar]:
    """Open, high, low, close, volume and taker volume of each minute, from 100 on."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, vol, count)))
    opened = np.append(100.0, close[:-1])
    high = np.maximum(opened, close) * (1 + rng.uniform(0, vol, count))
    low = np.minimum(opened, close) * (1 - rng.uniform(0, vol, count))
    amount = rng.lognormal(log(volume), 1, count)
    rows = zip(opened, high, low, close, amount, amount * rng.uniform(0.2, 0.8, count), strict=True)
    return [tuple(float(x) for x in row) for row in rows]


def told(bars: list[Bar], levels: list[float], recv: int) -> list[Event]:
    """History up to START: candles of minutes, and open interest at the end of each five."""
    out: list[Event] = [
        Kline(venue="binance", market="perp", symbol="BTCUSDT", recv=recv, history=True,
              ts=START - (len(bars) - n) * 60 * NS, interval_s=60, open=o, high=h, low=low, close=c,
              volume=v, taker_buy_volume=taker)
        for n, (o, h, low, c, v, taker) in enumerate(bars)
    ]  # fmt: skip
    out += [interest(START - (len(levels) - 1 - n) * CELL, x, recv=recv)
            for n, x in enumerate(levels)]  # fmt: skip
    return out


def filled(bars: list[Bar], levels: list[float], seconds: int = 20) -> Market:
    """A market that has taken that history in; the first symbol's alone."""
    market = Market(SYMBOLS)
    now = START + 5 * NS
    market.roll(now)
    for event in told(bars, levels, now):
        market.apply(event)
    market.roll(START + seconds * NS)
    return market


def plain(bars: list[Bar], levels: list[float]) -> list[dict[int, float]]:
    """The rule, five minutes by five minutes: base units by bucket, longs and shorts."""
    held: list[dict[int, float]] = [defaultdict(float), defaultdict(float)]
    for n in range(len(levels) - 1):
        cell = bars[5 * n : 5 * n + 5]
        high, low = log(max(b[1] for b in cell)), log(min(b[2] for b in cell))
        before, after = levels[n], levels[n + 1]
        typical = [(b[1] + b[2] + b[3]) / 3 for b in cell]
        bought = sum(p * b[5] for p, b in zip(typical, cell, strict=True))
        both = sum(p * b[4] for p, b in zip(typical, cell, strict=True))
        passed = min(PASSED * both / cell[-1][3], before, after)
        opened, closed = max(after - before, 0) + passed, max(before - after, 0) + passed
        reached = (lambda b, low=low: b >= low, lambda b, high=high: b <= high)
        for side in (LONG, SHORT):
            for at in list(held[side]):
                held[side][at] *= 1 - closed / before
                if reached[side]((at + 0.5) * BUCKET):
                    del held[side][at]
            share = bought / both if side == LONG else 1 - bought / both
            for point in POINTS:
                for tier, part in enumerate(SHARE):
                    at = floor((low + (high - low) * point + AWAY[side, tier]) / BUCKET)
                    if not reached[side]((at + 0.5) * BUCKET):
                        held[side][at] += opened * share * part / len(POINTS)
    return held


def around(held: list[dict[int, float]], price: float) -> tuple[list[float], list[float]]:
    """(above, below) in notional by buckets away from a price."""
    out = [[0.0] * BUCKETS, [0.0] * BUCKETS]
    for side, way in ((SHORT, 1), (LONG, -1)):
        for at, base in held[side].items():
            away = floor(way * ((at + 0.5) * BUCKET - log(price)) / BUCKET)
            if 0 <= away < BUCKETS:
                out[side == LONG][away] += base * exp((at + 0.5) * BUCKET)
    return out[0], out[1]


def levels_of(seed: int, cells: int) -> list[float]:
    steps = np.random.default_rng(seed).normal(0, 0.01, cells + 1)
    return [float(x) for x in 1e4 * np.exp(np.cumsum(steps))]


@pytest.mark.parametrize("seed", range(4))
def test_the_map_is_that_of_a_plain_replay(seed: int) -> None:
    bars, levels = minutes(seed, 600), levels_of(seed, 120)
    market = filled(bars, levels)
    price = bars[-1][3]
    got = market.liquidation_map.view(np.log([price, price]))
    above, below = around(plain(bars, levels), price)
    np.testing.assert_allclose(got.above[:, 0], above, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got.below[:, 0], below, rtol=1e-6, atol=1e-6)
    assert sum(above) > 0
    assert sum(below) > 0
    # Nothing is known of the other symbol.
    assert np.isnan(got.above[:, 1]).all()


def live(market: Market, seconds: int, seed: int, each: int = 3) -> None:
    """A trade every few seconds around a walk, open interest every half minute."""
    rng = np.random.default_rng(seed)
    price, base = 100.0, 1e4
    make = _Numbers()
    for second in range(seconds):
        now = START + second * NS + NS // 2
        price *= exp(float(rng.normal(0, 4e-4)))
        if second % each == 0:
            market.apply(make.trade(now, price, float(rng.exponential(1))))
        if second % 30 == 0:
            base *= exp(float(rng.normal(0, 0.01)))
            market.apply(interest(now, base, history=False))


class _Numbers:
    def __init__(self) -> None:
        self.last = 0

    def trade(self, now: int, price: float, size: float) -> Trade:
        self.last += 1
        return Trade(venue="binance", market="perp", symbol="BTCUSDT", ts=now, recv=now,
                     price=price, size=size, side="buy" if self.last % 3 else "sell",
                     id=self.last)  # fmt: skip


@pytest.mark.slow
def test_lived_through_or_read_from_history_it_is_the_same() -> None:
    market = Market(SYMBOLS)
    live(market, 1790, 5)
    market.roll(START + 1791 * NS)
    lived = market.liquidation_map
    again = LiquidationMap(market.history, market.board)
    out = np.zeros((len(LIVE), 2))
    for end in (START + 1790 * NS, START + 1791 * NS):
        again.second(out, end)
    assert again.held.sum() > 0
    np.testing.assert_allclose(again.held, lived.held, rtol=1e-9, atol=1e-9)
    assert again.cells.tolist() == lived.cells.tolist()


def test_what_price_goes_through_is_told_once_and_gone() -> None:
    bars, levels = minutes(1, 300, vol=3e-4), [1e4 * 1.01**n for n in range(61)]
    market = filled(bars, levels)
    chart, make = market.liquidation_map, _Numbers()
    price = bars[-1][3]
    now = START + 20 * NS
    for step in range(60):
        now += NS
        price *= 1 - 6e-4
        before = chart.held.copy()
        out = np.zeros((len(LIVE), 2))
        market.apply(make.trade(now - NS // 2, price, 1.0))
        market.roll(now)
        chart.second(out, now + step)  # the same prices again: nothing more to take
        assert not out.any()
        ring = market.history.live[1].sums(np.array([now // NS]), 1)[0]
        left = before - chart.held
        assert (left >= 0).all()
        assert not left[:, 1].any()
        # The bucket of base units that left tells their price.
        value = sum(base * exp((at + 0.5) * BUCKET) for at, base in _near(left[LONG, 0], price))
        assert ring[LIVE_AT["long_swept"], 0] == pytest.approx(value, abs=1e-3)
        assert ring[LIVE_AT["short_swept"], 0] == 0
        view = chart.view(np.log([price, price]))
        assert view.below[:, 0].sum() <= 1.01 * (chart.held[LONG, 0].sum() * price)
    assert market.history.live[60].sums(np.array([now // NS // 60 + 1]), 2)[0][
        LIVE_AT["long_swept"], 0] > 0  # fmt: skip


def _near(held: np.ndarray, price: float) -> list[tuple[int, float]]:
    """(bucket, base) of a ring of buckets around a price."""
    here, size = floor(log(price) / BUCKET), len(held)
    ids = range(here - size // 2, here + size // 2)
    return [(at, float(held[at % size])) for at in ids if held[at % size]]


def test_open_interest_that_shrinks_takes_its_share() -> None:
    quiet = [(100.0, 100.01, 99.99, 100.0, 1e-9, 5e-10)] * 300
    whole = filled(quiet, [1e4] * 30 + [1.1e4] * 31)
    less = filled(quiet, [1e4] * 30 + [1.1e4] * 30 + [0.55e4])
    a, b = (m.liquidation_map.held[:, 0] for m in (whole, less))
    assert a.sum(axis=1) == pytest.approx([500, 500], rel=1e-6)
    np.testing.assert_allclose(b, a / 2, rtol=1e-6)


def test_tiers_are_where_leverage_puts_them() -> None:
    assert SHARE.sum() == pytest.approx(1)
    quiet = [(100.0, 100.0, 100.0, 100.0, 1e-9, 5e-10)] * 300
    held = filled(quiet, [1e4] * 30 + [1.1e4] * 31).liquidation_map.held[:, 0]
    for leverage, share in zip(LEVERAGE, SHARE, strict=True):
        prices = 100 * (1 - 1 / leverage) / 0.995, 100 * (1 + 1 / leverage) / 1.005
        for side, price in zip((LONG, SHORT), prices, strict=True):
            found = held[side, floor(log(price) / BUCKET) % held.shape[1]]
            assert found == pytest.approx(500 * share, rel=1e-6), leverage


def test_nothing_is_told_before_an_hour_of_open_interest() -> None:
    bars = minutes(2, 600)
    here = np.log([bars[-1][3], np.nan])
    few = filled(bars, levels_of(2, FEW - 1)).liquidation_map
    enough = filled(bars, levels_of(2, FEW)).liquidation_map
    assert np.isnan(few.view(here).above[:, 0]).all()
    assert np.isfinite(enough.view(here).above[:, 0]).all()
    assert np.isnan(enough.view(here).above[:, 1]).all()


def test_history_that_comes_late_is_taken_in() -> None:
    bars, levels = minutes(3, 600), levels_of(3, 120)
    market = Market(SYMBOLS)
    market.roll(START)
    market.roll(START + 30 * NS)
    assert not market.liquidation_map.held.any()
    for event in told(bars, levels, START + 30 * NS):
        market.apply(event)
    market.roll(START + 50 * NS)
    assert market.liquidation_map.cells[0] == 120
    np.testing.assert_array_equal(
        market.liquidation_map.held, filled(bars, levels).liquidation_map.held
    )


def test_the_past_has_no_map() -> None:
    bars = minutes(4, 600)
    market = filled(bars, levels_of(4, 120))
    assert np.isnan(market.view(START - 3600 * NS).liquidations.above).all()


@pytest.mark.slow
def test_a_price_that_runs_away_leaves_bounded_arrays() -> None:
    market = Market(SYMBOLS)
    make, price = _Numbers(), 100.0
    for step in range(40):
        now = START + step * CELL + NS // 2
        price *= 1.06 if step < 20 else 0.92
        market.apply(interest(now, 1e4 + 500 * step, history=False))
        for second in range(3):
            market.apply(make.trade(now + second * NS, price, 1.0))
        market.apply(make.trade(now + 280 * NS, price, 1.0))
    chart = market.liquidation_map
    assert chart.held.shape == (2, 2, SIZE)
    assert np.isfinite(chart.held).all()
    assert (chart.held >= 0).all()


@pytest.mark.slow
def test_other_venues_stand_in_for_a_reference_that_tells_none() -> None:
    market = Market(SYMBOLS)
    make = _Numbers()
    for step in range(0, 1500, 5):
        now = START + step * NS + NS // 2
        market.apply(make.trade(now, 100.0 + 0.01 * (step % 4), 1e-6))
        for venue, base in (("bybit", 1e4 + 3 * step), ("okx", 2e4)):
            market.apply(interest(now, base, history=False, venue=venue))
            market.apply(_quote(venue, now))
    market.roll(START + 1500 * NS)
    held = market.liquidation_map.held[:, 0].sum()
    assert market.liquidation_map.cells[0] == 4
    # Four cells of 300 s, 3 base units a second: 900 each.
    assert held == pytest.approx(4 * 900, rel=0.05)


def _quote(venue: str, now: int) -> Quote:
    return Quote(venue=venue, market="perp", symbol="BTCUSDT", ts=now, recv=now, bid=99.9,
                 ask=100.1, bid_size=1.0, ask_size=1.0, seq=now)  # fmt: skip


# -- the simulator's truth -----------------------------------------------------------------

FOUR = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT")


def simulated(seed: int) -> tuple[SimulatedMarket, Market]:
    """A market that knows the simulator's candles; of its open interest, that it stood still."""
    sim = SimulatedMarket(FOUR, seed=seed)
    market = Market(FOUR)
    now = sim.start
    market.roll(now)
    for place, listing in enumerate(sim.listings):
        begin, rows = sim.bars.select(place, 60, now // NS - 8 * 86_400, now // NS - 60)
        for n, row in enumerate(rows.tolist()):
            o, h, low, c = (x * listing.tick for x in row[:4])
            market.apply(Kline(venue="binance", market="perp", symbol=listing.id, recv=now,
                               ts=(begin + 60 * n) * NS, history=True, interval_s=60, open=o,
                               high=h, low=low, close=c, volume=row[4] * listing.step,
                               taker_buy_volume=row[5] * listing.step))  # fmt: skip
        base = float(sim.positions.interest[place]) * listing.step
        for cell in range(2304):
            market.apply(OpenInterest(venue="binance", market="perp", symbol=listing.id,
                                      ts=now - cell * CELL, recv=now, history=True, base=base,
                                      usd=None))  # fmt: skip
    market.roll(now + 20 * NS)
    return sim, market


def truth(sim: SimulatedMarket, place: int, long: bool, price: float) -> np.ndarray:
    """Size of the true liquidation prices by buckets away from the price."""
    pairs = np.array(sim.positions.clusters(place, long))
    away = np.log(pairs[:, 0] * sim.listings[place].tick / price) * (-1 if long else 1)
    at = np.floor(away / BUCKET).astype(int)
    inside = (at >= 0) & (at < BUCKETS)
    return np.bincount(at[inside], pairs[inside, 1], BUCKETS)


@pytest.mark.slow
def test_rank_correlation_with_the_simulators_true_liquidation_prices() -> None:
    """By distance, in steps of 10 and of 50 bps; the estimate knows neither leverages nor ages."""
    found: dict[int, list[float]] = {1: [], 5: []}
    for seed in (1, 2, 3):
        sim, market = simulated(seed)
        prices = sim.mids * [listing.tick for listing in sim.listings]
        view = market.liquidation_map.view(np.log(prices))
        for place, price in enumerate(prices.tolist()):
            for long, estimate in ((True, view.below), (False, view.above)):
                true = truth(sim, place, long, price)
                for width, out in found.items():
                    pair = (x.reshape(-1, width).sum(1) for x in (true, estimate[:, place]))
                    out.append(float(spearmanr(*pair)[0]))
    fine, coarse = (np.array(x) for x in found.values())
    # Chance alone is within 0.1 of nought: 24 maps, 100 buckets each.
    told = f"by 10 bps {fine.mean():.2f} ({fine.min():.2f} to {fine.max():.2f}), "
    told += f"by 50 bps {coarse.mean():.2f} ({coarse.min():.2f} to {coarse.max():.2f})"
    assert fine.mean() > 0.1, told
    assert (fine > 0).mean() > 0.75, told
