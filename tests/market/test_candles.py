"""Candles and the live tape: no hole and no double count, whatever the clocks say."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import pytest
from msgspec.structs import replace

from engine.events import Kline, Trade
from engine.market.candles import KEPT_MINUTES, Candles
from engine.market.history import KEPT, History
from engine.market.market import Market
from engine.market.tape import Batch

NS = 1_000_000_000
HOUR = 1_750_003_200 * NS  # a whole hour
BASE = 1_750_000_020 * NS  # what the maker counts from
FIRST = (HOUR - BASE) / NS


@dataclass
class Truth:
    """A continuous stream from FIRST for some seconds; sizes keep sums of notional exact."""

    trades: list[Trade]  # in order of their time

    def between(self, start: float, end: float) -> list[Trade]:
        first, after = (bisect_left(self.trades, at, key=lambda t: t.ts) for at in (start, end))
        return self.trades[first:after]

    def minute(self, n: int, seconds: int = 60, whole: bool = True) -> Kline:
        start = HOUR + n * seconds * NS
        inside = self.between(start, start + seconds * NS)
        prices = [t.price for t in inside]
        assert inside or not whole
        typical = (max(prices) + min(prices) + prices[-1]) / 3
        # Volume such that typical price x volume is the true notional.
        sums = [sum(t.price * t.size for t in inside if t.side in s) for s in ("buysell", "buy")]
        return Kline(venue="binance", market="perp", symbol="BTCUSDT", ts=start, recv=None,
                     history=True, interval_s=seconds, open=prices[0], high=max(prices),
                     low=min(prices), close=prices[-1], volume=sums[0] / typical,
                     taker_buy_volume=sums[1] / typical)  # fmt: skip

    def flow(self, start: float, end: float) -> tuple[float, float]:
        inside = self.between(HOUR + start * NS, HOUR + end * NS)
        return tuple(sum(t.price * t.size for t in inside if t.side == s) for s in ("buy", "sell"))


def stream(make, seconds: float, skew: float = 0.0, latency: float = 0.0) -> Truth:
    """Five trades a second; `skew`: how far the exchange's clock is ahead of ours."""
    rng = np.random.default_rng(5)
    out = []
    for n in range(int(seconds * 5)):
        ts = n * 0.2 + 0.1
        price = 100 + 0.25 * float(rng.integers(-40, 40))
        side = "buy" if rng.random() < 0.5 else "sell"
        out.append(make.trade(FIRST + ts - skew + latency, price, float(rng.integers(1, 9)), side,
                              ts=FIRST + ts))  # fmt: skip
    return Truth(out)


def supply(market: Market, truth: Truth, at: int, minutes: range | list[int],
           seconds: int = 60) -> None:  # fmt: skip
    for n in minutes:
        market.apply(replace(truth.minute(n, seconds), recv=at))


def assert_true(market: Market, truth: Truth, seconds: int, cells: range) -> None:
    prices, flow = market.history.prices[seconds], market.history.flow[seconds]
    for n in cells:
        wanted = truth.minute(n, seconds)
        end = np.array([HOUR // (seconds * NS) + n + 1])
        ohlc = prices.stretches(end, 1)[0, :, 0]
        assert ohlc.tolist() == [wanted.open, wanted.high, wanted.low, wanted.close], n
        buy, sell, _, covered = flow.sums(end, 1)[0, :, 0]
        assert (buy, sell) == pytest.approx(truth.flow(n * seconds, (n + 1) * seconds), abs=1e-3)
        assert covered == pytest.approx(seconds, abs=1e-5)


def asked(market: Market, now: int) -> list[int]:
    """Minutes after HOUR that the market wants."""
    holes = market.holes(now)
    return [(t - HOUR) // (60 * NS) for _, a, b in holes for t in range(max(a, HOUR), b, 60 * NS)]


@pytest.mark.parametrize("latency", [0.0, 0.15])
def test_live_joins_history(make, latency: float) -> None:
    """Candles up to minute 7, the tape from the middle of minute 7; minute 7 is asked for."""
    truth = stream(make, 15 * 60, latency=latency)
    market = Market(["BTCUSDT"])
    start = HOUR + round((7 * 60 + 33.3) * NS)
    live = [t for t in truth.trades if t.recv >= start]
    early = live[0].recv
    market.apply(live[0])
    supply(market, truth, early, range(7))
    market.apply(replace(truth.minute(7), recv=early))
    assert market.drops == {"candle not closed or without taker volume": 1}
    for t in live[1:]:
        now = t.recv
        if now >= HOUR + round((8 * 60 + 20) * NS) and 7 in asked(market, now):
            supply(market, truth, now, [m for m in asked(market, now) if m >= 0])
        market.apply(t)
    now = HOUR + 15 * 60 * NS
    market.view(now)
    assert asked(market, now) == []
    if latency:
        # Bars are in time of receipt: the sum is whole, single minutes end a little later.
        ends = np.array([HOUR // (60 * NS) + 15])
        sums = market.history.flow[60].sums(ends, 15)[0, :2, 0]
        assert sums.tolist() == pytest.approx(truth.flow(0, 15 * 60 - latency), abs=0.1)
        assert_true(market, truth, 60, range(8))
    else:
        assert_true(market, truth, 60, range(15))


@pytest.mark.parametrize("skew", [1.27, -1.27])
def test_seams_are_exact_with_clocks_apart(make, skew: float) -> None:
    """Each trade is counted once at both seams of a candle put between live minutes."""
    truth = stream(make, 10 * 60, skew=skew, latency=0.05)
    market = Market(["BTCUSDT"])
    hole = (HOUR + round(200.0 * NS), HOUR + round(230.0 * NS))  # exchange time
    last = None
    supplied = False
    for t in truth.trades:
        if hole[0] <= t.ts < hole[1]:
            continue
        if t.ts >= hole[1] and last is not None and last < hole[0]:
            market.apply(make.status((t.recv - BASE) / NS - 29, "closed", "trade"))
        if not supplied and t.ts > HOUR + 300 * NS:
            supply(market, truth, t.recv, [3])
            supplied = True
        market.apply(t)
        last = t.ts
    now = market.now // NS * NS
    market.view(now)
    first, end = HOUR // (60 * NS) - 1, HOUR // (60 * NS) + 11
    flow = market.history.flow[60].sums(np.array([end]), end - first)[0, :2, 0]
    # Bar times: the exchange's plus the offset of the clocks.
    until = (now - market.offsets["binance"] - HOUR) / NS
    assert flow.tolist() == pytest.approx(truth.flow(0, until), abs=0.1)
    hours = market.history.flow[3600].sums(np.array([HOUR // (3600 * NS) + 1]), 2)[0, :2, 0]
    assert hours.tolist() == pytest.approx(flow.tolist(), abs=0.1)


def test_reconnect_gap_is_repaired(make) -> None:
    """Twenty seconds and then nearly three minutes are lost; whole minutes come back as candles."""
    truth = stream(make, 13 * 60)
    market = Market(["BTCUSDT"])
    gaps = [(185.05, 205.05), (420.05, 590.05)]
    for t in truth.trades:
        at = (t.ts - HOUR) / NS
        if any(a <= at < b for a, b in gaps):
            if any(at - 0.2 < a <= at for a, _ in gaps):
                market.apply(make.status(FIRST + at, "closed", "trade"))
            continue
        second = round(at * 10) % 600
        if second == 251 and at > 60:
            for n in asked(market, t.recv):
                market.apply(replace(truth.minute(n), recv=t.recv))
        market.apply(t)
    now = HOUR + 13 * 60 * NS
    market.view(now)
    assert market.blind_ns["binance"] == pytest.approx(190 * NS, abs=0.5 * NS)
    assert asked(market, now) == []
    assert_true(market, truth, 60, range(1, 13))


@pytest.mark.slow
def test_hours_come_from_minutes(make) -> None:
    """One hour by its minutes' candles, the next three quarters candles, the rest live."""
    truth = stream(make, 2 * 3600)
    market = Market(["BTCUSDT"])
    live = [t for t in truth.trades if t.ts >= HOUR + 105 * 60 * NS]
    market.apply(live[0])
    supply(market, truth, live[0].recv, range(104))
    for t in live[1:]:
        market.apply(t)
    market.view(HOUR + 2 * 3600 * NS)
    last = HOUR + 2 * 3600 * NS
    supply(market, truth, last, [104, 105])
    market.view(last)
    assert_true(market, truth, 60, range(120))
    assert_true(market, truth, 3600, range(2))


def test_hour_candles_outrank_their_minutes(make) -> None:
    truth = stream(make, 3600)
    market = Market(["BTCUSDT"])
    hour = replace(truth.minute(0, 3600), high=500.0)
    now = HOUR + 3700 * NS
    market.apply(replace(hour, recv=now))
    supply(market, truth, now, range(60))
    market.apply(replace(hour, ts=hour.ts - 3600 * NS, recv=now))
    market.view(now + 2 * NS)
    ohlc = market.history.prices[3600].stretches(np.array([HOUR // (3600 * NS) + 1]), 1)
    assert ohlc[0, 1, 0] == 500.0


def test_late_trades_of_a_sealed_minute_are_the_candles(make) -> None:
    """Neither the minute nor the hour counts them again."""
    truth = stream(make, 180)
    market = Market(["BTCUSDT"])
    late = [t for t in truth.trades if HOUR + 50 * NS <= t.ts < HOUR + 60 * NS]
    for t in truth.trades:
        if t not in late:
            market.apply(t)
    supply(market, truth, market.now, [0])
    market.roll(market.now + NS)
    for t in late:
        market.apply(replace(t, id=10_000 + t.id, recv=market.now))
    market.view(HOUR + 182 * NS)
    assert_true(market, truth, 60, range(3))
    hour = market.history.flow[3600].sums(np.array([HOUR // (3600 * NS) + 1]), 1)[0, :2, 0]
    assert hour.tolist() == pytest.approx(truth.flow(0, 180), abs=0.01)


@pytest.mark.parametrize(
    "change",
    [
        {"taker_buy_volume": None}, {"interval_s": 300}, {"ts": HOUR + 7}, {"low": 0.0},
        {"high": float("nan")}, {"ts": HOUR + 120 * NS},
    ],
)  # fmt: skip
def test_candles_that_cannot_be_used_are_counted(make, change: dict[str, object]) -> None:
    truth = stream(make, 120)
    market = Market(["BTCUSDT"])
    market.apply(replace(truth.minute(0), recv=HOUR + 130 * NS, **change))
    assert market.drops["candle not closed or without taker volume"] == 1
    assert market.candles.sealed_until[0] == 0


def test_candles_older_than_the_ring_change_nothing(make) -> None:
    truth = stream(make, 120)
    market = Market(["BTCUSDT"])
    for t in truth.trades:
        market.apply(t)
    for back in (KEPT[60] - 1, KEPT[60], KEPT[60] + 1, 10 * KEPT[60]):
        kline = truth.minute(0)
        market.apply(replace(kline, ts=kline.ts - back * 60 * NS, recv=market.now))
    market.view(HOUR + 120 * NS)
    flow = market.history.flow
    assert not any(np.isnan(flow[s]._cum).any() for s in (60, 3600))
    assert_true(market, truth, 60, range(1, 2))


def test_memory_of_trades_between_minutes_is_bounded() -> None:
    candles = Candles(History(1))
    one = np.ones(1)
    for n in range(3 * KEPT_MINUTES):
        at = np.array([HOUR + 60 * n * NS + NS // 20])
        batch = Batch(np.zeros(1, dtype=np.int64), at, at - NS // 10, one, one, one > 0)
        candles.note(batch)
    assert KEPT_MINUTES <= len(candles._astray) <= 2 * KEPT_MINUTES
