"""Statistical cards: against plain slow implementations, then processes with a known answer."""

import math
import statistics as st
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from scipy import special

from engine.cards import statistical as cards
from engine.market.view import BARS, Array, View

Make = Callable[..., View]
Slow = Callable[[View, int, int], float]


def closes(view: View, w: int, s: int) -> list[float]:
    return [float(x) for x in view.bars.close[w, :, s] if x == x]


def steps(view: View, w: int, s: int) -> list[float]:
    return [b - a for a, b in pairwise(closes(view, w, s))]


def trend(view: View, w: int, s: int) -> float:
    spans = view.spans
    ranges = spans.high[w, -14:, s] - spans.low[w, -14:, s]
    return math.tanh((spans.close[w, -1, s] - spans.open[w, -1, s]) / ranges.mean())


def soft(x: float, band: float = 1.5) -> float:
    return math.copysign(max(abs(x) - band, 0.0), x)


def rank(view: View, w: int, s: int) -> float:
    spans = view.spans
    parts = []
    for x in (spans.close - spans.open, spans.buy - spans.sell):
        lane = x[w, :, s]
        parts.append(sum((v < lane[-1]) + 0.5 * (v == lane[-1]) for v in lane[:-1]) / 60)
    return float(st.fmean(parts) - 0.5)


def persistence(view: View, w: int, s: int) -> float:
    """Lo and MacKinlay 1988, equations 12a to 13."""
    p, q = closes(view, w, s), 4
    n = len(p) - 1
    mean = (p[-1] - p[0]) / n
    one = sum((p[k] - p[k - 1] - mean) ** 2 for k in range(1, n + 1)) / (n - 1)
    m = q * (n - q + 1) * (1 - q / n)
    many = sum((p[k] - p[k - q] - q * mean) ** 2 for k in range(q, n + 1)) / m
    return (many / one - 1) * trend(view, w, s)


def reversion(view: View, w: int, s: int) -> float:
    last = closes(view, w, s)[-20:]
    return -soft((last[-1] - st.fmean(last)) / st.pstdev(last))


def rescaled(block: list[float]) -> float:
    mean = st.fmean(block)
    path, total = [0.0], 0.0
    for x in block:
        total += x - mean
        path.append(total)
    return (max(path) - min(path)) / st.pstdev(block)


def hurst(view: View, w: int, s: int) -> float:
    last = steps(view, w, s)[-96:]
    sizes, excess = [], []
    for n in (12, 32, 96):
        found = st.fmean(rescaled(last[k : k + n]) for k in range(0, 96, n))
        usual = special.gamma((n - 1) / 2) / (math.sqrt(math.pi) * special.gamma(n / 2))
        usual *= sum(math.sqrt((n - i) / i) for i in range(1, n))
        sizes.append(math.log(n))
        excess.append(math.log(found) - math.log(usual))
    return float(np.polyfit(sizes, excess, 1)[0]) * trend(view, w, s)


def follow(view: View, w: int, s: int) -> float:
    r = steps(view, w, s)
    rho = sum(a * b for a, b in pairwise(r)) / sum(x * x for x in r)
    return rho * r[-1] / math.sqrt(st.fmean(x * x for x in r))


def disorder(p: list[float]) -> float:
    """Permutation entropy of order 3 over log 6, ties broken once forward and once back."""
    orders: Counter[tuple[int, ...]] = Counter()
    for k in range(len(p) - 2):
        three = p[k : k + 3]
        orders[tuple(sorted(range(3), key=lambda i: (three[i], i)))] += 1
        orders[tuple(sorted(range(3), key=lambda i: (three[i], -i)))] += 1
    total = sum(orders.values())
    return -sum(c / total * math.log(c / total) for c in orders.values()) / math.log(6)


def order(view: View, w: int, s: int) -> float:
    return (1 - disorder(closes(view, w, s))) * trend(view, w, s)


def residual(view: View, w: int, s: int) -> float:
    if s == 0:
        return math.nan
    own, lead = steps(view, w, s), steps(view, w, 0)
    beta = sum(a * b for a, b in zip(own, lead, strict=True)) / sum(b * b for b in lead)
    path = list(np.cumsum([a - beta * b for a, b in zip(own, lead, strict=True)]))
    return -soft((path[-1] - st.fmean(path)) / st.pstdev(path))


REFERENCES: dict[str, Slow] = {
    "percentile_rank": rank,
    "momentum_persistence": persistence,
    "zscore_reversion": reversion,
    "hurst_state": hurst,
    "autocorrelation": follow,
    "entropy": order,
    "residual_vs_btc": residual,
}


def value(name: str, view: View) -> Array:
    found: Array = getattr(cards, name)(view)
    return found


@pytest.mark.parametrize("name", REFERENCES)
def test_plain_reference(name: str, make_view: Make) -> None:
    for seed in range(4):
        view = make_view(seed)
        want = [[REFERENCES[name](view, w, s) for s in range(3)] for w in range(6)]
        np.testing.assert_allclose(value(name, view), want, rtol=1e-6, atol=1e-9)


def path(step: Array) -> dict[str, Array]:
    """Bars whose closes take these steps (119,), the same in all windows and symbols."""
    close = np.concatenate([[0.0], np.cumsum(step)])[None, :, None] + 10.0
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    return {"open": opened, "close": close, "high": np.maximum(opened, close),
            "low": np.minimum(opened, close)}  # fmt: skip


def rising(view: View, edit: Make, step: Array) -> View:
    """A view with such bars, whose windows rise by one ATR."""
    spans = {"open": 10.0, "close": 10.01, "high": 10.01, "low": 10.0}
    return edit(view, bars=path(step), spans=spans)


def coloured(phi: float, seed: int) -> Array:
    noise = 1e-3 * np.random.default_rng(seed).normal(size=BARS - 1)
    out = noise.copy()
    for k in range(1, len(out)):
        out[k] += phi * out[k - 1]
    return out


@pytest.mark.parametrize("name", ["momentum_persistence", "hurst_state"])
def test_persistent_paths_go_on_and_alternating_ones_turn(
    name: str, make_view: Make, edit: Make
) -> None:
    view = make_view()
    means = [
        np.mean([value(name, rising(view, edit, coloured(phi, seed)))[0, 0] for seed in range(40)])
        for phi in (-0.5, 0.0, 0.5)
    ]
    assert means[0] < -0.05 < means[1] < 0.05 < means[2]


def test_a_last_rise_is_carried_on_or_taken_back(make_view: Make, edit: Make) -> None:
    up = np.full(119, 1e-3)
    turns = 1e-3 * np.where(np.arange(119) % 2, -1.0, 1.0)
    np.testing.assert_allclose(
        value("autocorrelation", rising(make_view(), edit, up)), 118 / 119, atol=1e-9
    )
    found = value("autocorrelation", rising(make_view(), edit, turns))
    np.testing.assert_allclose(found, -118 / 119, atol=1e-9)


def test_a_straight_path_is_all_order_and_a_flat_one_has_none(make_view: Make, edit: Make) -> None:
    straight = value("entropy", rising(make_view(), edit, np.full(119, 1e-3)))
    np.testing.assert_allclose(straight, math.tanh(1.0), rtol=1e-9)
    for name in ("momentum_persistence", "hurst_state", "autocorrelation", "zscore_reversion"):
        flat = value(name, edit(make_view(), bars=path(np.zeros(119)), spans={"close": 1.0}))
        assert (flat == 0).all(), name


def test_bandt_and_pompe_s_own_example() -> None:
    """4 7 9 10 6 11 3 has two 012, two 120 and one 201: 1.522 bits."""
    counts = cards.pattern_counts(
        np.array([4.0, 7, 9, 10, 6, 11, 3])[None, :, None], np.array([[7]])
    )[:, 0, 0]
    share = counts[counts > 0] / counts.sum()
    assert -(share * np.log2(share)).sum() == pytest.approx(1.522, abs=1e-3)


def test_a_jump_ahead_of_btc_is_expected_back(make_view: Make, edit: Make) -> None:
    view = make_view(3)
    close = view.bars.close.copy()
    close[:, -3:, 1] += 0.2
    found = value("residual_vs_btc", edit(view, bars={"close": close}))
    assert (found[:, 1] < -2).all()
    assert np.isnan(found[:, 0]).all()
    alone = edit(view, bars={"close": np.repeat(close[:, :, :1], 3, axis=2)})
    np.testing.assert_allclose(value("residual_vs_btc", alone)[:, 1:], 0.0, atol=1e-12)


@pytest.mark.parametrize(
    "name", ["momentum_persistence", "zscore_reversion", "autocorrelation", "entropy",
             "residual_vs_btc"]
)  # fmt: skip
def test_missing_bars_are_left_out(name: str, make_view: Make) -> None:
    """80 known bars give what they alone give, however many unknown ones stand before them."""
    view = make_view(5, known_bars=80)
    want = [[REFERENCES[name](view, w, s) for s in range(3)] for w in range(6)]
    np.testing.assert_allclose(value(name, view), want, rtol=1e-6, atol=1e-9)


def test_too_few_bars_are_unknown(make_view: Make) -> None:
    assert np.isnan(value("hurst_state", make_view(5, known_bars=96))).all()
    assert np.isfinite(value("hurst_state", make_view(5, known_bars=97))).all()
    for name in ("momentum_persistence", "autocorrelation", "entropy"):
        assert np.isnan(value(name, make_view(5, known_bars=59))).all(), name
