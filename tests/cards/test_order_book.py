"""Order book cards: plain references, symmetries, missing data, and the sign of obvious cases."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.card import registry
from engine.market.mirror import mirror

# id: name, needs, role, scale
FACTS = {
    "depth_imbalance_near": ("Depth Imbalance Near", ("book",), "direction", "std"),
    "depth_imbalance_wide": ("Depth Imbalance Wide", ("book",), "direction", "centred"),
    "microprice_tilt": ("Micro-price Tilt", ("book",), "direction", "std"),
    "spread_state": ("Spread State", ("book",), "context", "std"),
    "book_resilience": ("Book Resilience", ("book", "trades"), "direction", "std"),
    "global_combined_book": ("Global Combined Book", ("book", "venues"), "direction", "centred"),
    "wall_proximity": ("Wall Proximity", ("book",), "direction", "std"),
    "wall_persistence": ("Wall Persistence", ("book",), "direction", "std"),
    "depth_trend": ("Depth Trend", ("book",), "direction", "std"),
    "liquidity_vacuum": ("Liquidity Vacuum", ("book",), "direction", "std"),
}
WALLS = ("bid_wall", "ask_wall")
READS = {
    "depth_imbalance_near": {"spans": ("bid_10", "ask_10")},
    "depth_imbalance_wide": {"spans": ("bid_100", "ask_100")},
    "microprice_tilt": {"spans": ("tilt",)},
    "spread_state": {"spans": ("spread", "open", "close", "high", "low")},
    "book_resilience": {"spans": ("bid_taken", "ask_taken", "bid_refill", "ask_refill")},
    "global_combined_book": {"spans": ("bid_50", "ask_50")},
    "wall_proximity": {
        "spans": (
            *WALLS,
            *("bid_wall_distance", "ask_wall_distance", "bid_100", "ask_100", "high", "low"),
        )
    },
    "wall_persistence": {"spans": (*WALLS, "bid_wall_life", "ask_wall_life")},
    "depth_trend": {"bars": ("bid_50", "ask_50")},
    "liquidity_vacuum": {"spans": ("bid_thin", "ask_thin")},
}
BOUNDS = {
    "depth_imbalance_near": 1.0,
    "depth_imbalance_wide": 1.0,
    "global_combined_book": 1.0,
    "microprice_tilt": 0.5,
    "book_resilience": 2.0,
    "liquidity_vacuum": 1.0,
}
REGISTERED = {c.id: c for c in registry() if c.category == "order_book"}
EVERY = pytest.mark.parametrize("name", FACTS)
SEEDS = st.integers(0, 10_000)


def value(name, view):
    return REGISTERED[name].compute(view)


def close(got, want, tolerance=1e-9):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def full(x):
    return np.full((6, 3), float(x))


# -- what is registered


def test_ten_cards_as_catalogued():
    assert {c.id: (c.name, c.needs, c.role, c.scale) for c in REGISTERED.values()} == FACTS
    assert list(REGISTERED) == list(FACTS)
    for c in REGISTERED.values():
        rest = (c.scope, c.cadence, c.prior, c.level, c.twin, c.mirror_exempt)
        assert rest == ("symbol", 0.0, 1.0, False, "", "")
        assert "Sign:" in c.compute.__doc__
        assert "Units:" in c.compute.__doc__
        assert c.source


# -- references


def last(view, field, w, s):
    return float(getattr(view.spans, field)[w, -1, s])


def slow_imbalance(band):
    def measure(view, w, s):
        bid, ask = (last(view, f"{side}_{band}", w, s) for side in ("bid", "ask"))
        return (bid - ask) / (bid + ask)

    return measure


def slow_atr(view, w, s):
    highs, lows = view.spans.high[w, -14:, s], view.spans.low[w, -14:, s]
    return statistics.fmean(float(h - l_) for h, l_ in zip(highs, lows, strict=True))


def slow_spread(view, w, s):
    norm = statistics.fmean(map(float, view.spans.spread[w, :-1, s]))
    trend = (last(view, "close", w, s) - last(view, "open", w, s)) / slow_atr(view, w, s)
    return math.log(last(view, "spread", w, s) / norm) * math.tanh(trend)


def slow_resilience(view, w, s):
    bid, ask = (
        min(last(view, f"{side}_refill", w, s) / last(view, f"{side}_taken", w, s), 2.0)
        for side in ("bid", "ask")
    )
    return bid - ask


def slow_pull(view, side, w, s):
    wall = last(view, f"{side}_wall", w, s)
    if wall == 0:
        return 0.0
    reach = slow_atr(view, w, s)
    return wall * reach / (last(view, f"{side}_wall_distance", w, s) + 0.1 * reach)


def slow_proximity(view, w, s):
    sides = (view.spans.bid_100[w, :, s], view.spans.ask_100[w, :, s])
    depth = statistics.fmean(float(b + a) / 2 for b, a in zip(*sides, strict=True))
    return (slow_pull(view, "bid", w, s) - slow_pull(view, "ask", w, s)) / depth


def slow_persistence(view, w, s):
    bid, ask = (
        last(view, f"{side}_wall_life", w, s) if last(view, f"{side}_wall", w, s) else 0.0
        for side in ("bid", "ask")
    )
    return (bid - ask) / view.windows[w].span


def slow_trend(view, w, s):
    n = view.windows[w].span // view.windows[w].bar

    def growth(side):
        depth = [float(x) for x in getattr(view.bars, f"{side}_50")[w, -n:, s]]
        early, late = depth[: n // 2], depth[n // 2 :]
        return math.log(statistics.fmean(late) / statistics.fmean(early))

    return growth("bid") - growth("ask")


REFERENCES = {
    "depth_imbalance_near": slow_imbalance(10),
    "depth_imbalance_wide": slow_imbalance(100),
    "microprice_tilt": lambda v, w, s: last(v, "tilt", w, s),
    "spread_state": slow_spread,
    "book_resilience": slow_resilience,
    "global_combined_book": slow_imbalance(50),
    "wall_proximity": slow_proximity,
    "wall_persistence": slow_persistence,
    "depth_trend": slow_trend,
    "liquidity_vacuum": lambda v, w, s: last(v, "ask_thin", w, s) - last(v, "bid_thin", w, s),
}


@EVERY
def test_plain_reference(name, make_view):
    for seed in range(6):
        view = make_view(seed)
        want = [[REFERENCES[name](view, w, s) for s in range(3)] for w in range(6)]
        close(value(name, view), want)


# -- properties


@settings(deadline=None, max_examples=15)
@given(seed=SEEDS)
def test_mirror(seed, make_view):
    view = make_view(seed)
    turned = mirror(view)
    for name in REGISTERED:
        close(value(name, turned), -value(name, view))


@settings(deadline=None, max_examples=15)
@given(seed=SEEDS, shift=st.sampled_from([math.log(1000), -math.log(1000)]))
def test_price_scale_does_not_matter(seed, shift, make_view, shift_prices):
    view = make_view(seed)
    moved = shift_prices(view, shift)
    for name in REGISTERED:
        close(value(name, moved), value(name, view))


NOTIONAL = [
    f"{side}_{field}"
    for side in ("bid", "ask")
    for field in ("10", "50", "100", "wall", "taken", "refill")
]


@settings(deadline=None, max_examples=10)
@given(seed=SEEDS, k=st.sampled_from([1e-3, 7.0, 1e4]))
def test_notional_scale_does_not_matter(seed, k, make_view, edit):
    view = make_view(seed)
    larger = edit(
        view,
        bars={f: getattr(view.bars, f) * k for f in NOTIONAL},
        spans={f: getattr(view.spans, f) * k for f in NOTIONAL},
    )
    for name in REGISTERED:
        close(value(name, larger), value(name, view))


@settings(deadline=None, max_examples=15)
@given(seed=SEEDS, keep=st.sets(st.integers(0, 5), min_size=1))
def test_any_subset_of_windows(seed, keep, make_view, pick_windows):
    view = make_view(seed, symbols=2)
    chosen = sorted(keep)
    for name in REGISTERED:
        close(value(name, pick_windows(view, chosen)), value(name, view)[chosen])


@settings(deadline=None, max_examples=15)
@given(seed=SEEDS)
def test_finite_and_bounded(seed, make_view):
    view = make_view(seed)
    for name in REGISTERED:
        got = value(name, view)
        assert got.shape == (6, 3)
        assert got.dtype == np.float64
        assert np.isfinite(got).all(), name
        assert (np.abs(got) <= BOUNDS.get(name, np.inf)).all(), name


@EVERY
def test_reads_its_fields_and_no_other(name, make_view, edit):
    there = {"bid_wall": 1e6, "ask_wall": 2e6, "bid_wall_distance": 1e-3, "bid_wall_life": 9.0}
    there |= {"ask_wall_distance": 2e-3, "ask_wall_life": 7.0}
    view = edit(make_view(3), spans=there)
    whole = value(name, view)
    blank = {}
    for part in ("bars", "spans", "footprint"):
        every = type(getattr(view, part)).__dataclass_fields__
        blank[part] = {f: np.nan for f in every if f not in READS[name].get(part, ())}
    close(value(name, edit(view, **blank)), whole)
    for part, needed in READS[name].items():
        for field in needed:
            assert np.isnan(value(name, edit(view, **{part: {field: np.nan}}))).all(), field


@EVERY
def test_one_symbol_missing_leaves_the_others(name, make_view, edit):
    view = make_view(5)
    gone = np.where(np.arange(3) == 1, np.nan, 1.0)
    part = {
        part: {f: getattr(getattr(view, part), f) * gone for f in needed}
        for part, needed in READS[name].items()
    }
    got, whole = value(name, edit(view, **part)), value(name, view)
    assert np.isnan(got[:, 1]).all()
    close(got[:, [0, 2]], whole[:, [0, 2]])


def test_cold_start(make_view):
    # the longest window has 24 bars: 13 of them reach into both of its halves
    view = make_view(1, known_bars=13, known_spans=3)
    for name in FACTS:
        assert np.isfinite(value(name, view)).all(), name
    first = make_view(1, known_bars=13, known_spans=1)
    for name in FACTS:
        without_past = name in ("spread_state", "wall_proximity")
        assert np.isnan(value(name, first)).all() == without_past, name
    nothing = make_view(1, known_bars=0, known_spans=0)
    for name in FACTS:
        assert np.isnan(value(name, nothing)).all(), name


def test_half_a_window_has_no_depth_trend(make_view):
    # 24 bars in 1 d; with the newest 12 known there is nothing to grow from
    assert np.isnan(value("depth_trend", make_view(known_bars=12))[5]).all()


def test_empty_book_and_still_market_are_zero_not_missing(make_view, edit):
    fields = dict.fromkeys((*NOTIONAL, "spread", "tilt", "bid_thin", "ask_thin"), 0.0)
    fields |= dict.fromkeys(("open", "high", "low", "close", "mid", "vwap"), 11.0)
    fields |= dict.fromkeys(("bid_wall_distance", "ask_wall_distance"), np.nan)
    fields |= dict.fromkeys(("bid_wall_life", "ask_wall_life"), np.nan)
    still = edit(make_view(), bars=fields, spans=fields)
    for name in FACTS:
        close(value(name, still), full(0))


# -- the obvious sign, with figures worked by hand


@pytest.mark.parametrize(
    ("name", "band"),
    [("depth_imbalance_near", 10), ("global_combined_book", 50), ("depth_imbalance_wide", 100)],
)
def test_more_bids_are_bullish(name, band, make_view, edit):
    view = edit(make_view(), spans={f"bid_{band}": 3e6, f"ask_{band}": 1e6})
    close(value(name, view), full(0.5))
    one_sided = edit(view, spans={f"ask_{band}": 0.0})
    close(value(name, one_sided), full(1.0))


def test_heavier_best_bid_is_bullish(make_view, edit):
    close(value("microprice_tilt", edit(make_view(), spans={"tilt": 0.3})), full(0.3))


@pytest.mark.parametrize(("close_at", "move"), [(10.01, 1.0), (10.0, 0.0), (9.995, -0.5)])
def test_wide_spread_goes_with_the_trend(close_at, move, make_view, edit):
    want = math.tanh(move)
    spread = np.where(np.arange(61) == 60, math.e, 1.0)[:, None]
    prices = {"open": 10.0, "close": close_at, "high": 10.0 + 5e-3, "low": 10.0 - 5e-3}
    view = edit(make_view(), spans={"spread": spread, **prices})
    close(value("spread_state", view), full(want))
    # at half the usual spread it reads against the trend
    narrow = edit(view, spans={"spread": np.where(spread > 1, 0.5, 1.0)})
    close(value("spread_state", narrow), full(math.log(0.5) * want))


def test_bids_that_come_back_are_bullish(make_view, edit):
    hit = {"bid_taken": 100.0, "bid_refill": 90.0, "ask_taken": 200.0, "ask_refill": 50.0}
    view = edit(make_view(), spans=hit)
    close(value("book_resilience", view), full(0.65))
    # a side that was not hit shows nothing
    close(value("book_resilience", edit(view, spans={"ask_taken": 0.0})), full(0))
    close(value("book_resilience", edit(view, spans={"bid_refill": 1e9})), full(2 - 0.25))


def test_near_bid_wall_is_bullish(make_view, edit):
    flat = {"high": 10.001, "low": 10.0, "bid_100": 1e6, "ask_100": 1e6}
    walls = {"bid_wall": 5e5, "ask_wall": 5e5}
    far = {"bid_wall_distance": 4e-4, "ask_wall_distance": 9e-4}
    view = edit(make_view(), spans={**flat, **walls, **far})
    # half the usual depth each, at 0.4 and 0.9 ATR: 0.5 / 0.5 - 0.5 / 1.0
    close(value("wall_proximity", view), full(0.5))
    alone = edit(view, spans={"bid_wall": 0.0, "bid_wall_distance": np.nan})
    close(value("wall_proximity", alone), full(-0.5))
    at_price = edit(view, spans={"bid_wall_distance": 0.0})
    close(value("wall_proximity", at_price), full(5 - 0.5))


def test_bid_walls_that_stay_are_bullish(make_view, edit):
    lives = {"bid_wall": 1e6, "ask_wall": 1e6, "bid_wall_life": 600.0, "ask_wall_life": 60.0}
    view = edit(make_view(), spans=lives)
    close(value("wall_persistence", view)[:, 0], [54, 9, 1.8, 0.15, 0.0375, 0.00625])
    alone = edit(view, spans={"bid_wall": 0.0, "bid_wall_life": np.nan})
    assert (value("wall_persistence", alone) < 0).all()


def test_growing_bids_are_bullish(make_view, edit):
    # the one minute window is six bars: bids 1 1 1 2 2 2, asks steady
    bid = np.where(np.arange(120) >= 117, 2e6, 1e6)[:, None]
    view = edit(make_view(), bars={"bid_50": bid, "ask_50": 3e6})
    close(value("depth_trend", view)[1], math.log(2) * np.ones(3))
    assert (value("depth_trend", view) > 0).all()
    # a band that widens on both sides alike is no growth
    both = edit(view, bars={"ask_50": bid * 3})
    close(value("depth_trend", both), full(0))
    gone = edit(view, bars={"bid_50": 0.0})
    close(value("depth_trend", gone), full(0))


def test_thin_asks_are_bullish(make_view, edit):
    view = edit(make_view(), spans={"ask_thin": 0.7, "bid_thin": 0.2})
    close(value("liquidity_vacuum", view), full(0.5))
