"""Risk cards: against plain slow implementations, then scenes with the danger on one side."""

import math
import statistics as st
from collections.abc import Callable
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy import stats

from engine.cards import risk_management as cards
from engine.market.view import Array, View

Make = Callable[..., View]
Slow = Callable[[View, int, int], float]


def steps(view: View, w: int, s: int) -> list[float]:
    return [float(x) for x in np.diff(view.bars.close[w, :, s])]


def hill(x: list[float]) -> float:
    largest = sorted(x)[-11:]
    return st.fmean(math.log(v / largest[0]) for v in largest[1:])


def tails(view: View, w: int, s: int) -> float:
    r = steps(view, w, s)
    return hill(r) - hill([-x for x in r])


def reached(level: float, drift: float) -> float:
    """Harrison 1985: chance that a unit Brownian motion with drift passes the level by time 1."""
    normal = stats.norm.cdf
    return float(normal(drift - level) + math.exp(2 * drift * level) * normal(-drift - level))


def drawdown(view: View, w: int, s: int) -> float:
    spans = view.spans
    move = np.diff(spans.close[w, :, s])
    t2 = move.mean() ** 2 / np.mean(move**2) * 60
    drift = move.mean() * t2 / (1 + t2)
    oi = spans.oi[w, :, s]
    size = math.sqrt(np.mean(move[-10:] ** 2) * min(max(oi[-1] / oi[:-1].mean(), 0.25), 4.0))
    atr = float(np.mean((spans.high - spans.low)[w, -14:, s]))
    level, ahead = 1.5 * atr / (size * 2), float(drift) * 2 / size
    return reached(level, ahead) - reached(level, -ahead)


def slippage(size: float, reach: list[float], depth: list[float]) -> float:
    """Filled in a thousand small slices, each at its own distance."""
    xs, ys = [0.0, *depth], [0.0, *reach]
    slices = (np.arange(200_000) + 0.5) / 200_000 * size
    at = np.where(slices <= depth[-1], np.interp(slices, xs, ys), 2 * reach[-1])
    return float(at.mean())


def cost(view: View, w: int, s: int) -> float:
    spans = view.spans
    size = 0.5 * float(np.mean((spans.bid_50 + spans.ask_50)[w, :-1, s])) / 2
    reach = [float(getattr(spans, f"band_{b}")[w, -1, s]) for b in (10, 50, 100)]
    ask, bid = (
        [float(getattr(spans, f"{side}_{b}")[w, -1, s]) for b in (10, 50, 100)]
        for side in ("ask", "bid")
    )
    return slippage(size, reach, ask) - slippage(size, reach, bid)


def jumps(view: View, w: int, s: int) -> float:
    """Bipower variation as Barndorff-Nielsen and Shephard 2004, per bar."""
    r = steps(view, w, s)
    local = math.pi / 2 * st.fmean(abs(a) * abs(b) for a, b in pairwise(r))
    signed = sum(math.copysign(max(x * x - 9 * local, 0.0), x) for x in r)
    return signed / sum(x * x for x in r)


REFERENCES: dict[str, tuple[Slow, float]] = {
    "tail_risk": (tails, 1e-9),
    "max_drawdown_prob": (drawdown, 1e-6),
    "liquidity_risk": (cost, 1e-3),
    "gap_risk": (jumps, 1e-9),
}


def value(name: str, view: View) -> Array:
    found: Array = getattr(cards, name)(view)
    return found


@pytest.mark.parametrize("name", REFERENCES)
def test_plain_reference(name: str, make_view: Make) -> None:
    slow, tolerance = REFERENCES[name]
    for seed in range(3):
        view = make_view(seed)
        want = [[slow(view, w, s) for s in range(3)] for w in range(6)]
        np.testing.assert_allclose(value(name, view), want, atol=tolerance, rtol=1e-6)


def test_mean_pair_correlation_over_its_norm(make_view: Make) -> None:
    view = make_view(3, symbols=5)
    spans = view.spans
    for w in range(6):
        unit = np.diff(spans.close[w], axis=0)
        unit /= np.sqrt(np.mean(unit**2, axis=0))

        def mean(x: Array) -> float:
            pairs = [x[:, a] * x[:, b] for a, b in combinations(range(5), 2)]
            return float(np.mean(pairs) / np.mean(x**2))

        volume = np.sqrt((spans.buy + spans.sell)[w, :-1].mean(axis=0))
        atr = (spans.high - spans.low)[w, -14:].mean(axis=0)
        side = np.tanh((spans.close - spans.open)[w, -1] / atr)
        want = (mean(unit[-10:]) - mean(unit[:-10])) * float((side * volume).sum() / volume.sum())
        np.testing.assert_allclose(value("correlation_risk", view)[w], want, atol=1e-9)


def test_moving_as_one_in_a_fall_is_bearish(make_view: Make, edit: Make) -> None:
    view = make_view(0)
    own = np.diff(view.spans.close, axis=1)
    own[:, -10:] = -np.abs(own[:, -10:, :1])
    close = np.concatenate([view.spans.close[:, :1], view.spans.close[:, :1] + own.cumsum(1)], 1)
    fall = {"open": close + 0.1, "close": close, "high": close + 0.1, "low": close}
    found = value("correlation_risk", edit(view, spans=fall))
    assert (found < -0.3).all()


def with_steps(view: View, edit: Make, step: Array) -> View:
    close = np.concatenate([[0.0], np.cumsum(step)])[None, :, None] + 10.0
    return edit(view, bars={"open": close, "high": close, "low": close, "close": close})


def test_a_crash_fattens_the_left_tail_and_shows_as_a_jump(make_view: Make, edit: Make) -> None:
    step = 1e-4 * np.random.default_rng(1).normal(size=119)
    step[20:60:5] = -5e-3
    view = with_steps(make_view(), edit, step)
    assert (value("tail_risk", view) < -0.5).all()
    assert (value("gap_risk", view) < -0.8).all()
    up = with_steps(make_view(), edit, -step)
    for name in ("tail_risk", "gap_risk"):
        np.testing.assert_allclose(value(name, up), -value(name, view), rtol=1e-9)


@pytest.mark.slow
def test_hill_finds_the_exponent_of_a_pareto_tail(make_view: Make, edit: Make) -> None:
    """Right tail of exponent 2, left of 5: 1/2 - 1/5 on the mean of many."""
    rng, found = np.random.default_rng(5), []
    for _ in range(60):
        tail = 1e-4 * np.concatenate([1 + rng.pareto(2.0, 60), -1 - rng.pareto(5.0, 59)])
        found.append(value("tail_risk", with_steps(make_view(), edit, rng.permutation(tail)))[0, 0])
    assert np.mean(found) == pytest.approx(0.3, abs=0.06)


def test_thin_bids_make_selling_dear(make_view: Make, edit: Make) -> None:
    usual = {"bid_10": 4e5, "ask_10": 4e5, "bid_50": 2e6, "ask_50": 2e6, "bid_100": 5e6,
             "ask_100": 5e6, "band_10": 10.0, "band_50": 50.0, "band_100": 100.0}  # fmt: skip
    even = edit(make_view(), spans=usual)
    np.testing.assert_allclose(value("liquidity_risk", even), 0.0, atol=1e-12)
    thin = {}
    for name in ("bid_10", "bid_50", "bid_100"):
        x = np.full((6, 61, 3), usual[name])
        x[:, -1] /= 10
        thin[name] = x
    found = value("liquidity_risk", edit(even, spans=thin))
    # Buying 1 m: 0.4 m at 5 bps, 0.6 m at 17.5; selling: 0.5 m on the book, 0.5 m at 200 bps.
    buying = (4e5 * 5 + 6e5 * 17.5) / 1e6
    selling = (4e4 * 5 + 1.6e5 * 30 + 3e5 * 75 + 5e5 * 200) / 1e6
    np.testing.assert_allclose(found, buying - selling)


def test_a_downward_drift_makes_the_drawdown_likelier(make_view: Make, edit: Make) -> None:
    view = make_view(6)
    time = np.arange(61)[:, None]
    move = np.where(time % 2, 1.0, -1.4) * 1e-3
    close = 5 + np.cumsum(np.broadcast_to(move, (61, 3)), axis=0)
    spans = {"open": close, "high": close + 1e-3, "low": close - 1e-3, "close": close}
    found = value("max_drawdown_prob", edit(view, spans=spans))
    assert (found < -0.05).all()
    levered = view.spans.oi.copy()
    levered[:, -1] *= 3
    assert np.isfinite(value("max_drawdown_prob", edit(view, spans={"oi": levered}))).all()
