"""Funding cards: against plain slow implementations, then scenes with known sign and size."""

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engine.cards import funding as cards
from engine.market.view import WINDOWS, Array, View

Make = Callable[..., View]
Slow = Callable[[View, int, int], float]
TIME = np.arange(61)[:, None]


def lane(view: View, field: str, w: int, s: int) -> list[float]:
    return [float(x) for x in getattr(view.spans, field)[w, :, s]]


def inside(view: View, x: Array, w: int, s: int) -> list[float]:
    n = WINDOWS[w].span // WINDOWS[w].bar
    return [float(v) for v in x[w, -n:, s]]


def z(x: list[float]) -> float:
    return x[-1] / math.sqrt(statistics.fmean(v * v for v in x[:-1]))


def steps(x: list[float]) -> list[float]:
    return [b - a for a, b in pairwise(x)]


def soft(x: float, band: float) -> float:
    return math.copysign(max(abs(x) - band, 0.0), x)


def trend(view: View, w: int, s: int) -> float:
    highs, lows = lane(view, "high", w, s)[-14:], lane(view, "low", w, s)[-14:]
    atr = statistics.fmean(h - low for h, low in zip(highs, lows, strict=True))
    return math.tanh((lane(view, "close", w, s)[-1] - lane(view, "open", w, s)[-1]) / atr)


def rate(view: View, w: int, s: int) -> float:
    return -soft(statistics.fmean(inside(view, view.bars.funding, w, s)), 1e-4)


def regime(view: View, w: int, s: int) -> float:
    rates = lane(view, "funding", w, s)
    side, rise = trend(view, w, s), math.tanh(z(steps(rates)))
    if side * rise <= 0:
        return 0.0
    return side * abs(rise) * max(-1.0, min(1.0, 2 - abs(rates[-1]) / 3e-4))


def mean_premium(view: View, w: int, s: int) -> float:
    return statistics.fmean(inside(view, view.bars.mark - view.bars.index, w, s))


def carry(view: View, w: int, s: int) -> float:
    paid = statistics.fmean(inside(view, view.bars.funding, w, s))
    return -soft(3 * 365 * paid + 365 * mean_premium(view, w, s), 0.2)


def forecast(view: View, w: int, s: int) -> float:
    """By the venue's own average: premia of weight 1, 2, ... n, of which the first are settled."""
    n = 10_000
    left = float(view.calendar.to_funding[s]) / float(view.calendar.funding_interval[s])
    settled = round((1 - left) * n)
    to_come = n * (n + 1) - settled * (settled + 1)
    current = lane(view, "funding", w, s)[-1]
    return -to_come / (n * (n + 1)) * (soft(mean_premium(view, w, s), 5e-4) - current)


def premium(view: View, w: int, s: int) -> float:
    pairs = zip(lane(view, "mark", w, s), lane(view, "index", w, s), strict=True)
    gap = [a - b for a, b in pairs]
    x = (gap[-1] - statistics.fmean(gap[:-1])) / statistics.pstdev(gap[:-1])
    extreme = min(max(abs(x) - 1, 0.0), 1.0)
    return (1 - extreme) * z(steps(gap)) - extreme * x


REFERENCES: dict[str, tuple[Slow, float]] = {
    "funding_rate": (rate, 1e-8),
    "funding_regime": (regime, 1e-7),
    "basis_trade_opp": (carry, 1e-8),
    "funding_forecast": (forecast, 1e-3),
    "perp_premium": (premium, 1e-6),
}


def value(name: str, view: View) -> Array:
    found: Array = getattr(cards, name)(view)
    return found


@pytest.mark.parametrize("name", REFERENCES)
def test_plain_reference(name: str, make_view: Make) -> None:
    slow, tolerance = REFERENCES[name]
    for seed in range(4):
        view = make_view(seed)
        want = [[slow(view, w, s) for s in range(3)] for w in range(6)]
        np.testing.assert_allclose(value(name, view), want, rtol=tolerance, atol=1e-10)


@pytest.mark.parametrize(
    ("paid", "want"), [(3e-4, -2e-4), (-3e-4, 2e-4), (0.9e-4, 0.0), (-0.9e-4, 0.0)]
)
def test_longs_who_pay_beyond_the_dead_band_are_bearish(
    paid: float, want: float, make_view: Make, edit: Make
) -> None:
    view = edit(make_view(), bars={"funding": paid})
    np.testing.assert_allclose(value("funding_rate", view), np.full((6, 3), want), atol=1e-15)


def test_without_an_interest_part_there_is_no_dead_band(make_view: Make, edit: Make) -> None:
    view = edit(make_view(), bars={"funding": 0.5e-4})
    names = ("dydx", *view.venues.names[1:])
    plain = replace(view, venues=replace(view.venues, names=names))
    np.testing.assert_allclose(value("funding_rate", plain), np.full((6, 3), -0.5e-4))
    unheard = replace(plain, venues=replace(plain.venues, reference=-1))
    np.testing.assert_array_equal(value("funding_rate", unheard), np.zeros((6, 3)))


def test_the_long_window_reads_what_was_paid_over_it(make_view: Make, edit: Make) -> None:
    bars = np.where(np.arange(120)[:, None] >= 112, 4e-4, 0.0)
    found = value("funding_rate", edit(make_view(), bars={"funding": bars}))
    # 8 of 24 hours in 1 d, all of the 6 bars in 1 m
    np.testing.assert_allclose(found[5], np.full(3, -(4e-4 / 3 - 1e-4)), rtol=1e-9)
    np.testing.assert_allclose(found[1], np.full(3, -3e-4), rtol=1e-9)


def test_a_mean_needs_half_of_its_window(make_view: Make) -> None:
    view = make_view(known_bars=6)
    # 10 s, 1 m, 5 m and 1 h have 10, 6, 10 and 12 bars, the longer ones more
    there = [True, True, True, True, False, False]
    for name in ("funding_rate", "basis_trade_opp", "funding_forecast"):
        assert np.isfinite(value(name, view)).all(axis=1).tolist() == there, name
        assert np.isnan(value(name, view)).any(axis=1).tolist() == [not x for x in there], name


@pytest.mark.parametrize(
    ("now", "move", "want"),
    [
        (2e-4, 1.0, 1.0),  # rising and mild, in a rise
        (-2e-4, -1.0, -1.0),  # falling and mild, in a fall
        (2e-4, -1.0, 0.0),  # against the trend
        (9e-4, 1.0, -1.0),  # rising into the extreme
        (6e-4, 1.0, 0.0),
    ],
)
def test_mild_funding_that_follows_the_trend_carries_it(
    now: float, move: float, want: float, make_view: Make, edit: Make
) -> None:
    rates = np.where(TIME == 60, now, 1e-6 * (TIME % 2))
    prices = {"high": 10.01, "low": 10.0, "open": 10.005, "close": 10.005 + 0.01 * move}
    view = edit(make_view(), spans={"funding": rates, **prices})
    want *= math.tanh(1.0)
    np.testing.assert_allclose(value("funding_regime", view), np.full((6, 3), want), atol=1e-9)


@pytest.mark.parametrize(
    ("paid", "gap", "want"),
    [
        (2e-4, 5e-4, -(0.219 + 0.1825 - 0.2)),
        (-2e-4, -5e-4, 0.219 + 0.1825 - 0.2),
        (2e-4, -5e-4, 0.0),  # paid, but the perpetual is cheap
        (1e-4, 1e-4, 0.0),  # below the hurdle
    ],
)
def test_carry_above_the_hurdle_is_sold(
    paid: float, gap: float, want: float, make_view: Make, edit: Make
) -> None:
    view = edit(make_view(), bars={"funding": paid, "mark": 7.0 + gap, "index": 7.0})
    np.testing.assert_allclose(value("basis_trade_opp", view), np.full((6, 3), want), atol=1e-9)


@pytest.mark.parametrize(
    ("gap", "left", "want"),
    [
        (15e-4, 1.0, -8e-4),  # at the start all is still to come: 0.10 % against 0.02 %
        (15e-4, 0.5, -6e-4),  # half-way, three quarters of the weight
        (15e-4, 0.0, 0.0),  # settled
        (4e-4, 1.0, 2e-4),  # within the clamp: back to neutral
        (-15e-4, 1.0, 12e-4),
    ],
)
def test_the_forecast_follows_the_venues_average(
    gap: float, left: float, want: float, make_view: Make, edit: Make
) -> None:
    view = edit(
        make_view(),
        bars={"mark": 7.0 + gap, "index": 7.0},
        spans={"funding": 2e-4},
        calendar={"to_funding": 28_800 * left, "funding_interval": 28_800},
    )
    np.testing.assert_allclose(value("funding_forecast", view), np.full((6, 3), want), atol=1e-12)


def test_without_a_funding_time_there_is_no_forecast(make_view: Make, edit: Make) -> None:
    assert np.isnan(
        value("funding_forecast", edit(make_view(), calendar={"to_funding": np.nan}))
    ).all()


def test_a_premium_has_momentum_while_small_and_turns_when_extreme(
    make_view: Make, edit: Make
) -> None:
    def at(now: float, before: float) -> Array:
        gap = np.where(TIME == 60, now, (-1.0) ** TIME)
        gap[59] = before
        return value(
            "perp_premium", edit(make_view(), spans={"index": 7.0, "mark": 7 + 1e-4 * gap})
        )

    # steps of 2 sigma are usual
    assert at(0.5, -0.5) == pytest.approx(np.full((6, 3), 0.5), rel=0.02)
    assert at(-0.5, 0.5) == pytest.approx(np.full((6, 3), -0.5), rel=0.05)
    assert at(4.0, 2.0) == pytest.approx(np.full((6, 3), -4.0), rel=0.1)
    assert at(-4.0, -2.0) == pytest.approx(np.full((6, 3), 4.0), rel=0.1)


def test_nothing_paid_and_no_premium_is_zero(make_view: Make, edit: Make) -> None:
    still = {"funding": 0.0, "mark": 9.0, "index": 9.0, "open": 9.0, "close": 9.0}
    view = edit(make_view(), spans=still, bars=still)
    for name in REFERENCES:
        np.testing.assert_array_equal(value(name, view), np.zeros((6, 3)), err_msg=name)
