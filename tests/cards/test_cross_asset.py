"""Cross-asset cards: against plain slow implementations, then scenes with a known answer."""

import math
import statistics as st
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from engine.cards import cross_asset as cards
from engine.market.mirror import mirror
from engine.market.view import WINDOWS, Array, View

Make = Callable[..., View]
Slow = Callable[[View, int, int], float]


def moves(view: View, w: int, s: int) -> Array:
    return np.diff(view.spans.close[w, :, s])


def beta(view: View, w: int, s: int) -> float:
    return float(np.polyfit(moves(view, w, 0), moves(view, w, s), 1)[0])


def z(x: Array) -> float:
    return float(x[-1] / math.sqrt(np.mean(x[:-1] ** 2)))


def lagged(view: View, w: int, s: int) -> float:
    if s == 0 or w > 2:
        return math.nan
    lead = np.diff(view.bars.close[w, :, 0]) * 1e4
    own = np.diff(view.bars.close[w, :, s]) * 1e4
    k = (10, 6, 2)[w]
    x = [float(lead[t - k : t].sum()) for t in range(k, 119)]
    y = [float(own[t]) for t in range(k, 119)]
    slope = sum(a * b for a, b in zip(x, y, strict=True)) / sum(a * a for a in x)
    left = sum((b - slope * a) ** 2 for a, b in zip(x, y, strict=True)) / (len(x) - 1)
    t2 = slope**2 * sum(a * a for a in x) / left
    sure = max(1 - 1 / t2, 0.0)
    return max(slope, 0.0) * sure * sum((k - age) * float(lead[-1 - age]) for age in range(k))


def spill(view: View, w: int, s: int) -> float:
    if s == 0:
        return math.nan
    spans = view.spans
    fall = max(-z(spans.close[w, :, 0] - spans.open[w, :, 0]) - 1, 0.0)
    liq = spans.long_liq[w, :, 0]
    floor = 0.01 * float(np.mean((spans.buy + spans.sell)[w, :-1, 0]))
    burst = (liq[-1] - liq[:-1].mean()) / math.hypot(float(liq[:-1].std()), floor)
    burst = max(float(burst), 0.0)
    return -min(max(beta(view, w, s), 0.0), 3.0) * fall * (1 + burst / (burst + 3))


def strength(view: View, w: int, s: int) -> float:
    return math.nan if s == 0 else z(moves(view, w, s) - beta(view, w, s) * moves(view, w, 0))


def side(view: View, w: int, s: int) -> float:
    spans = view.spans
    atr = float(np.mean((spans.high - spans.low)[w, -14:, s]))
    return math.tanh(float(spans.close[w, -1, s] - spans.open[w, -1, s]) / atr)


def broad(view: View, w: int, s: int) -> float:
    volume = (view.spans.buy + view.spans.sell)[w, :-1].mean(axis=0)
    weights = [math.sqrt(v) for v in volume]
    total = sum(weight * side(view, w, k) for k, weight in enumerate(weights))
    return total / sum(weights)


def drift(view: View, w: int, s: int) -> float:
    rest = np.mean([moves(view, w, k) for k in range(1, len(view.symbols))], axis=0)
    found = z(moves(view, w, 0) - rest)
    return found if s == 0 else -found


REFERENCES: dict[str, Slow] = {
    "btc_beta": lagged,
    "btc_stress_spill": spill,
    "relative_strength": strength,
    "market_breadth": broad,
    "dominance_drift": drift,
}


def value(name: str, view: View) -> Array:
    found: Array = getattr(cards, name)(view)
    return found


@pytest.mark.parametrize("name", REFERENCES)
def test_plain_reference(name: str, make_view: Make) -> None:
    last = 3 if name == "btc_beta" else 6
    for seed in range(4):
        view = make_view(seed, symbols=4)
        want = [[REFERENCES[name](view, w, s) for s in range(4)] for w in range(last)]
        np.testing.assert_allclose(value(name, view)[:last], want, rtol=1e-7, atol=1e-10)


def test_a_follower_is_expected_to_follow(make_view: Make, edit: Make) -> None:
    """S1 does what BTC did a bar before, S2 what it does at once, and BTC has just jumped."""
    rng = np.random.default_rng(1)
    lead = 1e-4 * rng.normal(size=(6, 120))
    lead[:, -1] = 2e-3
    late = np.concatenate([np.zeros((6, 1)), lead[:, :-1]], axis=1)
    close = 5 + np.cumsum(np.stack([lead, late, lead], axis=2), axis=1)
    found = value("btc_beta", edit(make_view(), bars={"close": close}))
    assert (found[:3, 1] > 5).all()
    assert (np.abs(found[:3, 2]) < 0.3 * found[:3, 1]).all()
    down = value("btc_beta", edit(make_view(), bars={"close": -close}))
    np.testing.assert_allclose(down, -found, rtol=1e-9)


def test_stress_is_bearish_only_and_more_so_with_forced_selling(
    make_view: Make, edit: Make
) -> None:
    view = make_view(2)
    spans = view.spans
    close, liq = np.repeat(spans.close[:, :, :1], 3, axis=2), spans.long_liq * 0.0
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)

    def scene(move: float, forced: float) -> Array:
        moved, burst = close.copy(), liq.copy()
        moved[:, -1] = opened[:, -1] + move
        burst[:, -1] = forced
        changes = {"open": opened, "close": moved, "long_liq": burst}
        return value("btc_stress_spill", edit(view, spans=changes))[:, 1:]

    assert (scene(0.5, 0.0) == 0).all()
    assert (scene(-0.5, 0.0) < -1).all()
    assert (scene(-0.5, 1e12) < 1.5 * scene(-0.5, 0.0)).all()


def test_strength_and_dominance_without_btc_are_unknown(make_view: Make) -> None:
    view = replace(make_view(), symbols=("A", "B", "C"))
    for name in ("btc_beta", "btc_stress_spill", "relative_strength", "dominance_drift"):
        assert np.isnan(value(name, view)).all(), name
    assert np.isfinite(value("market_breadth", view)).all()


def test_what_beta_explains_is_no_strength(make_view: Make, edit: Make) -> None:
    close = make_view(7).spans.close
    own = np.stack([close[..., 0], 2 * close[..., 0], 2 * close[..., 0]], axis=2)
    own[:, -1, 2] += 0.05
    found = value("relative_strength", edit(make_view(7), spans={"close": own}))
    np.testing.assert_allclose(found[:, 1], 0.0, atol=1e-9)
    assert (found[:, 2] > 1).all()


def test_a_rising_share_of_btc_is_its_own_gain(make_view: Make, edit: Make) -> None:
    view = make_view(1)
    close = view.spans.close.copy()
    close[:, -1, 0] += 0.3
    found = value("dominance_drift", edit(view, spans={"close": close}))
    assert (found[:, 0] > 1).all()
    np.testing.assert_allclose(found[:, 1:], -found[:, :1].repeat(2, axis=1))


def test_peers_confirm_by_their_correlation(make_view: Make) -> None:
    view = make_view(4, symbols=9)
    assert view.first is not None
    found = value("correlated_confirmation", view)
    score = view.first.by_window.mean(axis=1)
    for w in range(len(WINDOWS)):
        alike = np.corrcoef(np.stack([moves(view, w, s) for s in range(9)]))
        for s in range(9):
            best = sorted((k for k in range(9) if k != s), key=lambda k: -alike[s, k])[:5]
            say = {k: max(float(alike[s, k]), 0.0) for k in best}
            for m in range(3):
                total = sum(say.values())
                want = sum(x * float(score[m, w, k]) for k, x in say.items()) / total
                assert found[m, w, s] == pytest.approx(want, abs=1e-9)


def test_a_mirrored_first_pass_gives_the_mirrored_answer(make_view: Make) -> None:
    view = make_view(3, symbols=7)
    one, other = (value("correlated_confirmation", v) for v in (view, mirror(view)))
    np.testing.assert_allclose(one, -other, atol=1e-9)


def test_an_inverted_card_of_a_peer_speaks_the_other_way(make_view: Make) -> None:
    view = make_view(4)
    assert view.first is not None
    turned = replace(view, first=replace(view.first, weight=-view.first.weight))
    one, other = (value("correlated_confirmation", v) for v in (view, turned))
    np.testing.assert_allclose(one, -other)


def test_without_a_first_pass_there_is_nothing(make_view: Make) -> None:
    assert value("correlated_confirmation", replace(make_view(), first=None)).shape == (0, 6, 3)


def test_breadth_is_that_of_the_many_weighted_by_what_is_traded(
    make_view: Make, edit: Make
) -> None:
    flat = {"open": 1.0, "high": 1.01, "low": 1.0}
    close = np.array([1.01, 1.0, 1.0])
    usual = {"buy": np.array([9.0, 1.0, 1.0]), "sell": 0.0}
    found = value("market_breadth", edit(make_view(), spans={**flat, **usual, "close": close}))
    np.testing.assert_allclose(found, math.tanh(1) * 3 / 5, rtol=1e-9)
    assert st.fmean(found.ravel()) > 0
