"""Runs, sweeps, prices paid and hidden size against plain loops over the whole tape."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.events import Event, Quote, Trade
from engine.market.fields import LIVE, LIVE_AT
from engine.market.listed import Listed
from engine.market.market import Market
from engine.market.micro import Micro
from engine.market.tape import SizeClasses
from engine.market.view import WINDOWS, View

NS = 1_000_000_000
SHARED = [HealthCheck.function_scoped_fixture]
SYMBOLS = ("BTCUSDT", "ETHUSDT")
W = {window.name: n for n, window in enumerate(WINDOWS)}
FIELDS = ("up_runs", "down_runs", "sweep_buy", "sweep_sell", "paid_buy", "paid_sell",
          "bid_hidden", "ask_hidden", "huge_buy", "huge_sell")  # fmt: skip


@dataclass(frozen=True)
class Fill:
    """One trade with the quote that stands when it comes; prices in ticks of 0.1 from 100."""

    ms: int
    symbol: int
    buy: bool
    ticks: int
    size: float
    bid_size: float
    ask_size: float

    @property
    def price(self) -> float:
        return round(100 + self.ticks * 0.1, 1)


fills = st.lists(
    st.builds(Fill, ms=st.integers(0, 4999), symbol=st.integers(0, 1), buy=st.booleans(),
              ticks=st.integers(-3, 3), size=st.sampled_from([0.5, 1.0, 2.0]),
              bid_size=st.sampled_from([1.0, 4.0]), ask_size=st.sampled_from([1.0, 4.0])),
    max_size=60,
)  # fmt: skip


def events(make, tape: list[Fill]) -> list[tuple[Trade, Quote]]:
    """Each trade and the quote at its arrival; the touch is at 100.0 and 100.1."""
    make.ids.clear()
    out = []
    for fill in sorted(tape, key=lambda f: f.ms):
        at = fill.ms / 1000
        quote = make.quote(at, 100.0, 100.1, fill.bid_size, fill.ask_size)
        symbol = SYMBOLS[fill.symbol]
        trade = make.trade(at, fill.price, fill.size, "buy" if fill.buy else "sell", symbol=symbol)
        out.append((trade, replace(quote, symbol=symbol)))
    return out


def measured(make, tape: list[Fill], ran: np.ndarray | None = None) -> np.ndarray:
    """(seconds, fields, symbols) as the code under test has it."""
    micro = Micro({s: n for n, s in enumerate(SYMBOLS)}, SizeClasses(2))
    listings = [Listed("binance", s, n) for n, s in enumerate(SYMBOLS)]
    pairs = events(make, tape)
    out = np.zeros((5, len(LIVE), 2))
    for second in range(5):
        for trade, quote in pairs:
            if make.at(second) <= trade.ts < make.at(second + 1):
                listing = listings[SYMBOLS.index(trade.symbol)]
                listing.quote = quote
                micro.waiting.append((trade, quote))
        micro.second(out[second], listings, np.ones(2, dtype=bool) if ran is None else ran)
        assert micro.waiting == []
    return out


def plain_runs(prices: list[float]) -> tuple[float, float]:
    up = down = run = way = 0
    for before, price in pairwise(prices):
        step = (price > before) - (price < before)
        if step:
            run = run + 1 if step == way else 1
            way = step
            up, down = up + run * (step > 0), down + run * (step < 0)
    return up, down


def plain_sweeps(tape: list[Fill]) -> dict[bool, float]:
    groups: list[list[Fill]] = []
    for fill in tape:
        last = groups[-1] if groups else []
        if last and last[0].buy == fill.buy and fill.ms - last[0].ms <= 100:
            last.append(fill)
        else:
            groups.append([fill])
    out = {True: 0.0, False: 0.0}
    for group in groups:
        if len({f.price for f in group}) > 1:
            out[group[0].buy] += sum(f.price * f.size for f in group)
    return out


@settings(deadline=None, max_examples=80, suppress_health_check=SHARED)
@given(fills)
def test_runs_sweeps_and_prices_paid_are_those_of_a_plain_loop(make, tape: list[Fill]) -> None:
    total = measured(make, tape).sum(axis=0)
    for s in range(2):
        mine = sorted((f for f in tape if f.symbol == s), key=lambda f: f.ms)
        up, down = plain_runs([f.price for f in mine])
        swept = plain_sweeps(mine)
        paid = {True: 0.0, False: 0.0}
        for f in mine:
            cost = f.price * f.size * np.log(f.price / 100.05)
            paid[f.buy] += cost if f.buy else -cost
        want = {
            "up_runs": up, "down_runs": down, "sweep_buy": swept[True],
            "sweep_sell": swept[False], "paid_buy": paid[True], "paid_sell": paid[False],
        }  # fmt: skip
        got = {name: total[LIVE_AT[name], s] for name in want}
        assert got == pytest.approx(want, abs=0.02)


@settings(deadline=None, max_examples=80, suppress_health_check=SHARED)
@given(fills)
def test_hidden_size_is_what_the_display_does_not_explain(make, tape: list[Fill]) -> None:
    seconds = measured(make, tape)
    touch: dict[int, Fill] = {}
    for second in range(5):
        for s in range(2):
            mine = [f for f in sorted(tape, key=lambda f: f.ms) if f.symbol == s]
            mine = [f for f in mine if second * 1000 <= f.ms < second * 1000 + 1000]
            for buy, name, price in ((True, "ask_hidden", 100.1), (False, "bid_hidden", 100.0)):
                side = "ask_size" if buy else "bid_size"
                at = [f for f in mine if f.buy == buy and f.price == price]
                want = 0.0
                if at:
                    before = getattr(touch[s], side) if s in touch else 0.0
                    shown = max(getattr(at[0], side), before)
                    lost = max(shown - getattr(mine[-1], side), 0.0)
                    want = max(sum(f.size for f in at) - lost, 0.0) * price
                    assert want <= sum(f.size for f in at) * price
                assert seconds[second, LIVE_AT[name], s] == pytest.approx(want)
            if mine:
                touch[s] = mine[-1]


@settings(deadline=None, max_examples=40, suppress_health_check=SHARED)
@given(fills)
def test_no_part_is_more_than_the_whole(make, tape: list[Fill]) -> None:
    seconds = measured(make, tape)
    total = seconds.sum(axis=0)
    for s in range(2):
        for buy, side, book in ((True, "buy", "ask"), (False, "sell", "bid")):
            traded = sum(f.price * f.size for f in tape if f.symbol == s and f.buy == buy)
            for name in (f"sweep_{side}", f"{book}_hidden"):
                assert -1e-9 <= total[LIVE_AT[name], s] <= traded + 0.02


def test_a_sweep_may_cross_the_second_and_counts_once(make) -> None:
    tape = [
        Fill(ms, 0, True, ticks, 1.0, 1.0, 1.0)
        for ms, ticks in ((980, 0), (1020, 1), (1079, 1), (1081, 2))
    ]
    out = measured(make, tape)[:, LIVE_AT["sweep_buy"], 0]
    assert out.tolist() == pytest.approx([0.0, 100.0 + 100.1 + 100.1, 0, 0, 0], abs=1e-3)


def test_a_tape_that_broke_off_begins_anew(make) -> None:
    tape = [Fill(500, 0, True, 0, 1.0, 1.0, 1.0), Fill(1500, 0, True, 1, 1.0, 1.0, 1.0)]
    assert measured(make, tape)[1, LIVE_AT["up_runs"], 0] == 1
    silent = measured(make, tape, ran=np.zeros(2, dtype=bool))
    assert silent[1, LIVE_AT["up_runs"], 0] == 0


def test_without_a_quote_nothing_is_said_of_cost_and_display(make) -> None:
    micro = Micro({"BTCUSDT": 0}, SizeClasses(1))
    listed = Listed("binance", "BTCUSDT", 0)
    stale = make.quote(0.0)
    micro.waiting += [(make.trade(20.0, 100.1), stale), (make.trade(20.1, 100.1), None)]
    micro.waiting += [(make.trade(20.2, float("nan")), None), (make.trade(20.3, -1.0), stale)]
    out = np.zeros((len(LIVE), 1))
    prints = micro.second(out, [listed], np.ones(1, dtype=bool))
    assert len(prints) == 2
    assert not out.any()


def test_huge_prints_are_those_of_the_largest_half_percent(make) -> None:
    sizes = SizeClasses(1)
    notional = np.exp(np.random.default_rng(1).normal(7, 1, 20_000))
    sizes.add(np.zeros(20_000, dtype=np.int64), notional)
    sizes.update(0.0)
    assert sizes.huge[0] == pytest.approx(np.quantile(notional, 0.995), rel=0.1)
    assert sizes.big[0] <= sizes.huge[0]
    micro = Micro({"BTCUSDT": 0}, sizes)
    for n, worth in enumerate((sizes.huge[0] * 1.01, sizes.huge[0] * 0.99)):
        micro.waiting.append((make.trade(0.1 + n, 1.0, worth, "sell"), None))
    out = np.zeros((len(LIVE), 1))
    micro.second(out, [], np.ones(1, dtype=bool))
    assert out[LIVE_AT["huge_sell"], 0] == pytest.approx(sizes.huge[0] * 1.01, rel=1e-6)
    assert out[LIVE_AT["huge_buy"], 0] == 0


def walk(make, seconds: int) -> list[Event]:
    rng = np.random.default_rng(3)
    make.ids.clear()
    out: list[Event] = []
    for t in np.sort(rng.uniform(0, seconds, seconds * 6)).tolist():
        price = round(100 + float(rng.normal(0, 0.05)), 2)
        if rng.random() < 0.5:
            out.append(make.quote(t, price - 0.01, price + 0.01, *rng.uniform(1, 9, 2).tolist()))
        else:
            side = "buy" if rng.random() < 0.5 else "sell"
            out.append(make.trade(t, price, float(rng.exponential(3)) + 0.01, side, ts=t - 0.05))
    return out


def rows(view: View) -> dict[str, np.ndarray]:
    return {name: getattr(view.spans, name) for name in FIELDS}


def test_looking_within_a_second_changes_nothing(make) -> None:
    seen, unseen = Market(["BTCUSDT"]), Market(["BTCUSDT"])
    for event in walk(make, 25):
        seen.apply(event)
        unseen.apply(event)
        seen.view(seen.now)
    now = make.at(25)
    for name, values in rows(seen.view(now)).items():
        assert np.array_equal(values, rows(unseen.view(now))[name], equal_nan=True), name


def test_a_closed_stream_is_not_known(make) -> None:
    market = Market(["BTCUSDT"])
    for event in walk(make, 30):
        market.apply(event)
    w = W["10s"]
    known = market.view(make.at(30)).spans
    assert known.up_runs[w, -1, 0] > 0
    assert known.sweep_buy[w, -1, 0] >= 0
    market.apply(make.status(30.5, "closed", "trade"))
    after = market.view(make.at(45)).spans
    for name in ("up_runs", "sweep_buy", "paid_buy", "huge_buy"):
        assert np.isnan(getattr(after, name)[w, -1, 0]), name
