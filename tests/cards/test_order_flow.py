"""Order flow cards: plain references, symmetries, missing data, and the sign of obvious cases."""

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.card import registry
from engine.market.mirror import mirror

# id, name, needs, role, scale, cadence, twin; then the fields that the card reads.
FACTS = {
    "buy_volume": ("Buy Volume", ("trades",), "direction", "std", 0, "sell_volume"),
    "sell_volume": ("Sell Volume", ("trades",), "direction", "std", 0, "buy_volume"),
    "volume_delta": ("Volume Delta", ("trades",), "direction", "std", 0, ""),
    "volume_ratio": ("Volume Ratio", ("trades",), "direction", "std", 0, ""),
    "order_flow_imbalance": ("Order Flow Imbalance", ("book",), "direction", "std", 0, ""),
    "vpin": ("VPIN", ("trades",), "context", "std", 0, ""),
    "toxic_flow_index": ("Toxic Flow Index", ("trades", "book"), "direction", "std", 0, ""),
    "large_trade_clustering": ("Large Trade Clustering", ("trades",), "direction", "std", 0, ""),
    "cvd": ("CVD", ("trades",), "direction", "std", 0, ""),
    "cvd_divergence": ("CVD Divergence", ("trades", "bars"), "direction", "std", 0, ""),
    "taker_buy_sell_ratio": ("Taker Buy/Sell Ratio", ("ratio",), "direction", "std", 300, ""),
    "stacked_imbalance": ("Stacked Imbalance", ("trades",), "direction", "std", 0, ""),
    "trade_size_skew": ("Trade Size Skew", ("trades",), "direction", "std", 0, ""),
}
FLOW = {"spans": ("buy", "sell")}
READS = {
    "buy_volume": FLOW,
    "sell_volume": FLOW,
    "volume_delta": FLOW,
    "volume_ratio": FLOW,
    "order_flow_imbalance": {"spans": ("ofi", "top")},
    "vpin": {"bars": ("buy", "sell")},
    "toxic_flow_index": {"bars": ("buy", "sell", "close", "mid"), "spans": ("buy", "sell")},
    "large_trade_clustering": {"spans": ("bunched_buy", "bunched_sell", "buy", "sell")},
    "cvd": {"bars": ("buy", "sell")},
    "cvd_divergence": {"bars": ("buy", "sell", "high", "low")},
    "taker_buy_sell_ratio": {"spans": ("taker_ratio",)},
    "stacked_imbalance": {"footprint": ("buy", "sell")},
    "trade_size_skew": {"spans": ("large_buy", "large_sell", "small_buy", "small_sell")},
}
BOUNDS = {
    "vpin": 1.0,
    "toxic_flow_index": 1.0,
    "cvd": 1.5,
    "cvd_divergence": 1.0,
    "stacked_imbalance": 32.0,
    "trade_size_skew": 2.0,
}
REGISTERED = {c.id: c for c in registry() if c.category == "order_flow"}
EVERY = pytest.mark.parametrize("name", FACTS)
SEEDS = st.integers(0, 10_000)


def value(name, view):
    return REGISTERED[name].compute(view)


def close(got, want, tolerance=1e-9):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def lanes(view):
    return [(w, s) for w in range(len(view.windows)) for s in range(len(view.symbols))]


def compare(name, view, reference):
    want = np.full((len(view.windows), len(view.symbols)), np.nan)
    for w, s in lanes(view):
        want[w, s] = reference(view, w, s)
    close(value(name, view), want)


# -- what is registered


def test_thirteen_cards_as_catalogued():
    got = {c.id: (c.name, c.needs, c.role, c.scale, c.cadence, c.twin) for c in REGISTERED.values()}
    assert got == FACTS
    assert list(REGISTERED) == list(FACTS)
    for c in REGISTERED.values():
        assert (c.scope, c.prior, c.level, c.mirror_exempt) == ("symbol", 1.0, False, "")
        assert "Sign:" in c.compute.__doc__
        assert "Units:" in c.compute.__doc__
        assert c.source


# -- references


def past(cells, name, w, s):
    return list(map(float, getattr(cells, name)[w, :-1, s]))


def slow_surplus(view, name, w, s):
    spans = view.spans
    both = [b + a for b, a in zip(spans.buy[w, :, s], spans.sell[w, :, s], strict=True)]
    base = max(statistics.fmean(past(spans, name, w, s)), 0.01 * statistics.fmean(both))
    return float(getattr(spans, name)[w, -1, s]) / base - 1


def slow_log_ratio(view, w, s):
    spans = view.spans
    both = [b + a for b, a in zip(spans.buy[w, :, s], spans.sell[w, :, s], strict=True)]
    small = 0.01 * statistics.fmean(both)
    return math.log((spans.buy[w, -1, s] + small) / (spans.sell[w, -1, s] + small))


def slow_buckets(buy, sell, count):
    """Fills one bucket after the other, in exact fractions."""
    flows = [(Fraction(float(b)), Fraction(float(s))) for b, s in zip(buy, sell, strict=True)]
    size = sum(b + s for b, s in flows) / count
    out, delta, room = [], Fraction(0), size
    for b, s in flows:
        left = b + s
        while left > 0:
            part = min(left, room)
            delta += (b - s) * part / (b + s)
            left -= part
            room -= part
            if room == 0:
                out.append(float(delta / size))
                delta, room = Fraction(0), size
    return out


def slow_vpin(view, w, s):
    parts = slow_buckets(view.bars.buy[w, :, s], view.bars.sell[w, :, s], 100)
    course = [statistics.fmean(map(abs, parts[n - 50 : n])) for n in range(50, 101)]
    return (course[-1] - statistics.median(course)) * math.copysign(1, parts[-1])


def slow_follow(moves, flows):
    return min(max(statistics.correlation(flows, moves), 0.0), 1.0)


def slow_toxic(view, w, s):
    bars, spans = view.bars, view.spans
    d = [float(b - a) for b, a in zip(bars.buy[w, :, s], bars.sell[w, :, s], strict=True)]
    rise = [float(bars.close[w, n, s] - bars.close[w, n - 1, s]) for n in range(60, 120)]
    drift = [float(bars.mid[w, n, s] - bars.mid[w, n - 1, s]) for n in range(60, 120)]
    parts = slow_buckets(bars.buy[w, 60:, s], bars.sell[w, 60:, s], 50)
    toxic = statistics.fmean(map(abs, parts))
    mean = (toxic + slow_follow(rise, d[60:]) + slow_follow(drift, d[59:-1])) / 3
    return math.copysign(mean, spans.buy[w, -1, s] - spans.sell[w, -1, s])


def slow_cvd(view, w, s):
    n = view.windows[w].span // view.windows[w].bar
    line, volume = [0.0], 0.0
    for b, a in zip(view.bars.buy[w, -n:, s], view.bars.sell[w, -n:, s], strict=True):
        line.append(line[-1] + b - a)
        volume += b + a
    return statistics.linear_regression(range(n + 1), line).slope * n / volume


def slow_divergence(view, w, s):
    bars = view.bars
    n = view.windows[w].span // view.windows[w].bar
    line, total = [], 0.0
    for b, a in zip(bars.buy[w, -60:, s], bars.sell[w, -60:, s], strict=True):
        total += b - a
        line.append(total)
    high, low = list(bars.high[w, -60:, s]), list(bars.low[w, -60:, s])
    out = 0.0
    if min(low[-n:]) < min(low[:-n]):
        out += max(line[low.index(min(low[-n:]))] - min(line[:-n]), 0.0)
    if max(high[-n:]) > max(high[:-n]):
        out -= max(max(line[:-n]) - line[high.index(max(high[-n:]))], 0.0)
    return out / (max(line) - min(line))


def slow_stacked(view, w, s):
    buy, sell = list(view.footprint.buy[w, :, s]), list(view.footprint.sell[w, :, s])
    traded = [b + a for b, a in zip(buy, sell, strict=True) if b + a > 0]
    least = 0.25 * statistics.fmean(traded)
    longest = {"buy": 0, "sell": 0}
    run = {"buy": 0, "sell": 0}
    for i in range(len(buy)):
        below = sell[i - 1] if i > 0 else 0.0
        above = buy[i + 1] if i + 1 < len(buy) else 0.0
        for side, own, other in (("buy", buy[i], below), ("sell", sell[i], above)):
            run[side] = run[side] + 1 if own > 0 and own >= max(least, 3 * other) else 0
            longest[side] = max(longest[side], run[side])
    return longest["buy"] - longest["sell"]


def slow_skew(view, w, s):
    def net(size):
        buy = getattr(view.spans, f"{size}_buy")[w, -1, s]
        sell = getattr(view.spans, f"{size}_sell")[w, -1, s]
        return (buy - sell) / (buy + sell)

    return net("large") - net("small")


def slow_clustering(view, w, s):
    spans = view.spans
    net = spans.bunched_buy[w, -1, s] - spans.bunched_sell[w, -1, s]
    return net / (spans.buy[w, -1, s] + spans.sell[w, -1, s])


REFERENCES = {
    "buy_volume": lambda v, w, s: slow_surplus(v, "buy", w, s),
    "sell_volume": lambda v, w, s: -slow_surplus(v, "sell", w, s),
    "volume_delta": lambda v, w, s: v.spans.buy[w, -1, s] - v.spans.sell[w, -1, s],
    "volume_ratio": slow_log_ratio,
    "order_flow_imbalance": lambda v, w, s: v.spans.ofi[w, -1, s] / v.spans.top[w, -1, s],
    "vpin": slow_vpin,
    "toxic_flow_index": slow_toxic,
    "large_trade_clustering": slow_clustering,
    "cvd": slow_cvd,
    "cvd_divergence": slow_divergence,
    "taker_buy_sell_ratio": lambda v, w, s: (
        v.spans.taker_ratio[w, -1, s] - statistics.fmean(past(v.spans, "taker_ratio", w, s))
    ),
    "stacked_imbalance": slow_stacked,
    "trade_size_skew": slow_skew,
}


@EVERY
def test_plain_reference(name, make_view):
    for seed in range(4):
        compare(name, make_view(seed, symbols=3), REFERENCES[name])


def test_divergences_are_among_the_reference_cases(make_view):
    found = np.concatenate([value("cvd_divergence", make_view(n)).ravel() for n in range(4)])
    assert (found > 0).any()
    assert (found < 0).any()


# -- properties


@settings(deadline=None, max_examples=15)
@given(seed=SEEDS)
def test_mirror(seed, make_view):
    view = make_view(seed)
    turned = mirror(view)
    for name, c in REGISTERED.items():
        close(value(name, turned), -value(c.twin or name, view))


@settings(deadline=None, max_examples=15)
@given(seed=SEEDS, shift=st.sampled_from([math.log(1000), -math.log(1000)]))
def test_price_scale_does_not_matter(seed, shift, make_view, shift_prices):
    view = make_view(seed)
    moved = shift_prices(view, shift)
    for name in REGISTERED:
        close(value(name, moved), value(name, view))


NOTIONAL = [
    f"{kind}_{side}" for kind in ("large", "small", "bunched", "big") for side in ("buy", "sell")
]
NOTIONAL += ["buy", "sell", "ofi", "top"]


@settings(deadline=None, max_examples=10)
@given(seed=SEEDS, k=st.sampled_from([1e-3, 7.0, 1e4]))
def test_notional_scale_matters_to_delta_alone(seed, k, make_view, edit):
    view = make_view(seed)
    larger = edit(
        view,
        bars={f: getattr(view.bars, f) * k for f in NOTIONAL},
        spans={f: getattr(view.spans, f) * k for f in NOTIONAL},
        footprint={"buy": view.footprint.buy * k, "sell": view.footprint.sell * k},
    )
    for name in REGISTERED:
        factor = k if name == "volume_delta" else 1.0
        close(value(name, larger), value(name, view) * factor)


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
    view = make_view(3)
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
    # 31 known bars are 30 moves from one to the next
    view = make_view(1, known_bars=31, known_spans=3)
    short = set(FACTS) - {"cvd_divergence"}
    for name in short:
        assert np.isfinite(value(name, view)).all(), name
    # 1 d spans 24 bars and would need as many before it
    assert np.isfinite(value("cvd_divergence", view)[:3]).all()
    assert np.isnan(value("cvd_divergence", view)[5]).all()
    nothing = make_view(1, known_bars=0, known_spans=0)
    for name in short - {"stacked_imbalance"}:
        assert np.isnan(value(name, nothing)).all(), name


def test_gap_in_the_window_leaves_its_bars_out(make_view, edit):
    view = make_view(2, symbols=1)
    buy = view.bars.buy.copy()
    buy[0, -10:-6] = np.nan
    n, kept = 6, slice(-6, None)
    d = (view.bars.buy - view.bars.sell)[0, kept, 0]
    v = (view.bars.buy + view.bars.sell)[0, kept, 0].sum()
    want = np.polyfit(np.arange(n + 1), np.concatenate([[0.0], np.cumsum(d)]), 1)[0] * n / v
    close(value("cvd", edit(view, bars={"buy": buy}))[0, 0], want)
    buy[0, -6:-4] = np.nan
    assert np.isnan(value("cvd", edit(view, bars={"buy": buy}))[0, 0])


def test_market_without_trades_is_zero_not_missing(make_view, edit):
    view = make_view(4)
    flat = dict.fromkeys(("open", "high", "low", "close", "mid", "vwap"), 11.0)
    empty = dict.fromkeys((*NOTIONAL, "taker_ratio"), 0.0)
    still = edit(view, bars=flat | empty, spans=flat | empty, footprint={"buy": 0.0, "sell": 0.0})
    for name in FACTS:
        close(value(name, still), np.zeros((6, 3)))
