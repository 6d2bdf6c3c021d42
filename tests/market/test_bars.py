"""Every flow field of the View against a plain model of the tape, over random streams."""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from math import floor, log, log2
from statistics import median

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.events import Trade
from engine.market.history import BAR_RING, SPAN_RING
from engine.market.market import Market
from engine.market.view import BARS, HISTORY, WINDOWS, View

NS = 1_000_000_000
START = 1_750_000_020 * NS
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@dataclass
class Print:
    """A trade of the model, with the bar time and the size classes it was given."""

    order: int
    at: int
    ts: int
    price: float
    notional: float
    side: str
    big: bool = False
    bunch: float = 0.0
    large: bool = False
    small: bool = False


@dataclass
class Sizes:
    """Log2 histogram in eighths of an octave, forgetting over four hours."""

    counts: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    prints: int = 0
    big: float = np.inf
    large: float = np.inf
    small: float = 0.0

    def add(self, notional: float) -> None:
        self.counts[min(max(floor((log2(notional) + 6) * 8), 0), 255)] += 1
        self.prints += 1

    def update(self, seconds: float) -> None:
        if self.prints >= 200:
            self.big, self.large, self.small = (self._edge(q) for q in (0.99, 0.75, 0.25))
        for place in self.counts:
            self.counts[place] *= np.exp(-seconds / 14400)

    def _edge(self, share: float) -> float:
        total, so_far = sum(self.counts.values()), 0.0
        for place in sorted(self.counts):
            so_far += self.counts[place]
            if so_far / total >= share:
                return 2.0 ** ((place + 1) / 8 - 6)
        raise AssertionError


class Model:
    """Seconds one by one: waiting trades, clock offset, cells as lists of prints."""

    def __init__(self) -> None:
        self.cells: dict[tuple[str, int], list[Print]] = defaultdict(list)
        self.sizes = {s: Sizes() for s in SYMBOLS}
        self.bigs: dict[str, list[int]] = defaultdict(list)
        self.live_from: dict[str, int] = {}
        self.sized: dict[tuple[str, int], bool] = {}
        self.waiting: list[tuple[int, Trade]] = []
        self.minima: list[int] = []
        self.offset = 0
        self.late = 0
        self.arrived = 0

    def run(self, stream: list[Trade], until: int, start: int | None = None) -> None:
        """Trades in order of arrival; the clock is the latest receipt so far."""
        now, end, fresh = 0, 0 if start is None else start + NS, []
        sized_at = 0
        for event in [*stream, None]:
            recv = until if event is None else (event.recv or 0)
            if not end:
                end = (recv // NS + 1) * NS
            while recv >= end:
                self.settle(end, fresh)
                fresh = []
                for s in SYMBOLS:
                    self.sized[s, end // NS - 1] = self.sizes[s].prints >= 200
                if end - sized_at >= 10 * NS:
                    for s in SYMBOLS:
                        self.sizes[s].update((end - sized_at) / NS if sized_at else 0.0)
                    sized_at = end
                end += NS
            if event is None:
                return
            now = max(now, recv)
            self.live_from.setdefault(event.symbol or "", now)
            self.waiting.append((self.arrived, event))
            fresh.append(recv - event.ts)
            self.arrived += 1

    def settle(self, end: int, fresh: list[int]) -> None:
        """The offset in force is that of the seconds before; the first one judges itself."""
        if not self.minima:
            self.learn(fresh)
            fresh = []
        ready = [(order, t, min(t.ts + self.offset, t.recv or 0)) for order, t in self.waiting]
        self.waiting = [(order, t) for order, t, at in ready if at >= end]
        for order, t, at in ready:
            if at < end and at // NS <= (end - 1) // NS - 600:
                self.late += 1
            elif at < end:
                self.print(order, t, at)
        for _, t, at in ready:
            if (end - 1) // NS - 600 < at // NS < end // NS:
                self.sizes[t.symbol or ""].add(t.price * t.size)
        self.learn(fresh)

    def learn(self, fresh: list[int]) -> None:
        if fresh:
            usual = median(fresh)
            self.minima = [*self.minima, min(d for d in fresh if d >= usual - 5 * NS)][-30:]
            many = sorted(self.minima)
            self.offset = many[-1] if len(many) < 3 else many[(len(many) - 1) // 2]

    def print(self, order: int, t: Trade, at: int) -> None:
        name, notional = t.symbol or "", t.price * t.size
        sizes = self.sizes[name]
        made = Print(order, at, min(t.ts, at - self.offset), t.price, notional, t.side)
        made.big, made.large = notional >= sizes.big, notional >= sizes.large
        made.small = notional <= sizes.small
        if made.big:
            near = [b for b in self.bigs[name] if at - 5 * NS <= b <= at]
            made.bunch = 1.0 + len(near)
            self.bigs[name].append(at)
        self.cells[name, at // NS].append(made)

    def prints(self, name: str, first: int, last: int) -> list[Print]:
        return [p for cell in range(first, last) for p in self.cells.get((name, cell), [])]

    def ohlc(self, name: str, first: int, last: int, ring: int) -> tuple[float, ...] | None:
        """Of the seconds first..last-1: cells of `ring` seconds, flat at the last price before."""
        found: list[tuple[float, float, float, float]] = []
        for cell in range(first, last, ring):
            prices = sorted(self.prints(name, cell, cell + ring), key=lambda p: (p.ts, p.order))
            if prices:
                values = [p.price for p in prices]
                found.append((values[0], max(values), min(values), values[-1]))
            elif (before := self.last(name, cell)) is not None:
                found.append((before,) * 4)
        if not found:
            return None
        return (found[0][0], max(f[1] for f in found), min(f[2] for f in found), found[-1][3])

    def last(self, name: str, cell: int) -> float | None:
        at = bisect_left(self._sorted[name], cell)
        if not at:
            return None
        return max(
            self.cells[name, self._sorted[name][at - 1]], key=lambda p: (p.ts, p.order)
        ).price

    @cached_property
    def _sorted(self) -> dict[str, list[int]]:
        """Cells with trades; once all have run."""
        return {name: sorted(c for s, c in self.cells if s == name) for name in SYMBOLS}


SUMS = {
    "buy": lambda p: p.notional * (p.side == "buy"),
    "sell": lambda p: p.notional * (p.side == "sell"),
    "buys": lambda p: p.side == "buy",
    "sells": lambda p: p.side == "sell",
    "big_buy": lambda p: p.notional * p.big * (p.side == "buy"),
    "big_sell": lambda p: p.notional * p.big * (p.side == "sell"),
    "bunched_buy": lambda p: p.notional * p.bunch * (p.side == "buy"),
    "bunched_sell": lambda p: p.notional * p.bunch * (p.side == "sell"),
    "large_buy": lambda p: p.notional * p.large * (p.side == "buy"),
    "large_sell": lambda p: p.notional * p.large * (p.side == "sell"),
    "small_buy": lambda p: p.notional * p.small * (p.side == "buy"),
    "small_sell": lambda p: p.notional * p.small * (p.side == "sell"),
}
SIZED = ("big", "bunched", "large", "small")


def compare(view: View, model: Model) -> int:
    """Every stretch of every window and symbol; returns how many were known."""
    known, now = 0, view.now // NS
    for w, window in enumerate(WINDOWS):
        for cells, each, rings, count, part in (
            (view.bars, window.bar, BAR_RING, BARS, "bars"),
            (view.spans, window.span, SPAN_RING, HISTORY, "spans"),
        ):
            if part == "spans" and window.span > 3600:
                continue
            need = 0.999 if part == "spans" and window.span <= 60 else 0.5
            for s, name in enumerate(SYMBOLS):
                for n in range(count):
                    last = now - (count - 1 - n) * each
                    if last <= START // NS - 10:
                        continue
                    got = {f: float(getattr(cells, f)[w, n, s]) for f in cells.__dataclass_fields__}
                    where = f"{part} {window.name} {name} {n}"
                    known += check(got, model, name, last - each, last, rings[each], need, where)
    return known


def check(got: dict[str, float], model: Model, name: str, first: int, last: int, ring: int,
          need: float, where: str) -> bool:  # fmt: skip
    since = model.live_from.get(name)
    begin = last if since is None else max(first, -(-since // NS))
    covered = max(last - begin, 0) / (last - first)
    assert got["covered"] == pytest.approx(covered, abs=1e-6), where
    sums = [f for f in SUMS if f in got]
    if covered < need:
        assert all(np.isnan(got[f]) for f in (*sums, "open", "high", "low", "close", "vwap")), where
        return False
    prints = model.prints(name, first, last)
    sized = sum(model.sized[name, c] for c in range(begin, last)) / (last - first) >= need
    for f in sums:
        if f.startswith(SIZED) and not sized:
            assert np.isnan(got[f]), (where, f)
        else:
            wanted = float(sum(SUMS[f](p) for p in prints))
            assert got[f] == pytest.approx(wanted, rel=1e-9, abs=0.01), (where, f)
    ohlc = model.ohlc(name, first, last, ring)
    assert ohlc is not None
    for f, price in zip(("open", "high", "low", "close"), ohlc, strict=True):
        assert got[f] == pytest.approx(log(price), abs=1e-12), (where, f)
    volume = sum(p.notional for p in prints)
    vwap = sum(p.notional * log(p.price) for p in prints) / volume if volume else log(ohlc[3])
    # Exact but for the quantum in which the rings count.
    assert got["vwap"] == pytest.approx(vwap, abs=2**-13 / max(volume, 1.0) + 1e-7), where
    return True


def random_stream(make, rng: np.random.Generator, seconds: int, rate: float,
                  skew: float, disorder: bool) -> list[Trade]:  # fmt: skip
    """Trades in order of arrival; exchange clock `skew` s ahead of the receiving one."""
    out = []
    price = dict(zip(SYMBOLS, (94_000.0, 3_200.0, 0.15), strict=True))
    for name in SYMBOLS:
        times = np.cumsum(rng.exponential(1 / rate, int(seconds * rate))) + rng.uniform(0, 3)
        for t in times[times < seconds - 0.5]:
            price[name] *= float(np.exp(rng.normal(0, 2e-4)))
            latency = 0.02 + float(rng.exponential(0.08))
            if disorder and rng.random() < 0.03:
                latency += float(rng.uniform(1, 6))
            size = float(np.exp(rng.normal(6, 1.5))) / price[name]
            side = "buy" if rng.random() < 0.5 else "sell"
            if t + latency < seconds:
                out.append((t + latency, t + skew, name, price[name], size, side))
    out.sort()
    if disorder:
        swaps = rng.integers(0, len(out) - 1, len(out) // 40)
        for n in swaps:
            out[n], out[n + 1] = out[n + 1], out[n]
    return [make.trade(recv, p, q, side, ts=ts, symbol=name) for recv, ts, name, p, q, side in out]


@settings(deadline=None, max_examples=3, suppress_health_check=SHARED, phases=[Phase.generate])
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.27, -0.9]), st.booleans())
def test_flow_equals_the_model(make, seed: int, skew: float, disorder: bool) -> None:
    """Random latency, late by seconds, receipts going backwards, both clocks wrong."""
    make.ids.clear()
    rng = np.random.default_rng(seed)
    stream = random_stream(make, rng, 360, 3.0, skew, disorder)
    market, model = Market(SYMBOLS), Model()
    for event in stream:
        market.apply(event)
    now = START + 360 * NS
    view = market.view(now)
    model.run(stream, now)
    assert compare(view, model) > 500
    assert not market.drops


@pytest.mark.slow
def test_flow_equals_the_model_over_most_of_an_hour(make) -> None:
    """Sparse trades and a mark a second; the 1 h window is known."""
    stream = random_stream(make, np.random.default_rng(7), 2460, 0.3, 0.0, False)
    marks = [make.mark(t + 0.9) for t in range(2459)]  # the tape is heard of without trades
    market, model = Market(SYMBOLS), Model()
    for event in sorted([*stream, *marks], key=lambda e: e.recv):
        market.apply(event)
    now = START + 2460 * NS
    view = market.view(now)
    model.run(stream, now, START)
    assert compare(view, model) > 1000
    assert not np.isnan(view.spans.close[3, -1]).any()


@pytest.mark.parametrize("first", [True, False])
def test_absurd_timestamps_move_nothing_else(make, first: bool) -> None:
    """One far ahead, one far behind: each changes its own trade's place and nothing more."""
    stream = random_stream(make, np.random.default_rng(3), 120, 4.0, 1.27, False)
    at = 1 if first else len(stream) // 2
    future = make.trade((stream[at].recv - START) / NS, 90_000.0, 0.1, ts=4e8, symbol="BTCUSDT")
    past = make.trade((stream[at].recv - START) / NS, 1.0, 0.1, ts=-1e9, symbol="ETHUSDT", id=10**9)
    odd = [*stream[:at], future, past, *stream[at:]]
    # Ids in order of arrival, as the venue numbers them.
    odd = [replace(t, id=str(n)) for n, t in enumerate(odd)]
    market, model = Market(SYMBOLS), Model()
    for event in odd:
        market.apply(event)
    now = START + 120 * NS
    view = market.view(now)
    model.run(odd, now)
    assert compare(view, model) > 100
    assert model.late == 1
    assert market.drops["trade too late for its bar"] == 1
    assert abs(market.offsets["binance"] / 1e9 + 1.25) < 0.05
    assert market.now == stream[-1].recv


@pytest.mark.parametrize("skew", [1.27, -1.27])
def test_offset_of_the_clocks(make, skew: float) -> None:
    """The recorder's clock 1.27 s behind the exchange's, or ahead."""
    market = Market(["BTCUSDT"])
    for n in range(200):
        market.apply(make.trade(n * 0.1 + 0.03 + 0.01 * (n % 7), 100 + n, ts=n * 0.1 + skew))
    market.roll(START + 21 * NS)
    assert market.offsets["binance"] / NS == pytest.approx(0.03 - skew, abs=0.011)
    prices = market.history.prices[1]
    closes = [prices.cells[(START // NS + s) % prices.size, 3, 0] for s in range(19)]
    assert closes == [100 + 10 * s + 9 for s in range(19)]


def test_ids_repeated_skipped_and_late(make) -> None:
    market = Market(["BTCUSDT"])
    for n, number in enumerate((1, 2, 3, 3, 2, 7, 5, 5, 8)):
        market.apply(make.trade(n * 0.1, 100.0, 1.0, id=number))
    assert market.drops == {"repeated trade": 3, "trades missed": 2}
    listed = market.listed["binance", "BTCUSDT"]
    assert listed.events("trade") == 6
    assert listed.trade_gaps == 1
    assert market.gap_at[0] == make.at(0.5)


def test_ids_without_order_are_told_by_memory(make) -> None:
    market = Market(["BTCUSDT"])
    for n, number in enumerate((9, 4, 9, 7, 4, "a", "a")):
        market.apply(replace(make.trade(n * 0.1, id=number), venue="gate"))
    assert market.drops == {"repeated trade": 3}


def test_the_clock_never_runs_backwards(make) -> None:
    market = Market(["BTCUSDT"])
    times = [0.0, 5.0, 3.0, 4.9, 0.1, 6.0, 2.0]
    seen = []
    for t in times:
        market.apply(make.trade(t))
        seen.append(market.now)
    assert seen == [make.at(max(times[: n + 1])) for n in range(len(times))]
    assert market.events == len(times)


def test_foreign_events_are_counted_by_reason(make) -> None:
    market = Market(["BTCUSDT"])
    market.apply(make.trade(0, symbol="XYZUSDT"))
    market.apply(replace(make.trade(0.1), market="spot"))
    market.apply(make.quote(0.2, bid=100.0, ask=100.0))
    quote = make.quote(0.3)
    market.apply(quote)
    market.apply(quote)
    market.apply(make.trade(0.4, price=0.0))
    market.apply(make.trade(0.5, price=float("nan")))
    market.roll(make.at(2))
    assert market.drops == {
        "symbol not configured": 1, "not a perpetual": 1, "crossed quote": 1, "repeated quote": 1,
        "trade without price or size": 2,
    }  # fmt: skip
    assert set(market.listed) == {("binance", "BTCUSDT")}
