"""Derivatives cards: against plain slow implementations, then scenes with known sign and size."""

import math
import statistics
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards import derivatives as cards
from engine.cards.positioning import beyond, mild, together
from engine.market.view import WINDOWS, Array, View

Make = Callable[..., View]
Slow = Callable[[View, int, int], float]
DAY_OF_WINDOWS = (24, 24, 24, 24, 6, 1)


def lane(view: View, field: str, w: int, s: int) -> list[float]:
    return [float(x) for x in getattr(view.spans, field)[w, :, s]]


def rms(x: list[float]) -> float:
    return math.sqrt(statistics.fmean(v * v for v in x))


def z(x: list[float]) -> float:
    return x[-1] / rms(x[:-1])


def standing(x: list[float]) -> float:
    return (x[-1] - statistics.fmean(x[:-1])) / statistics.pstdev(x[:-1])


def grown(x: list[float]) -> list[float]:
    return [2 * (b - a) / (a + b) for a, b in pairwise(x)]


def oi_growth(view: View, w: int, s: int) -> list[float]:
    return grown(lane(view, "oi", w, s))


def stretch(view: View, w: int, s: int) -> float:
    """Return over the window in ATR."""
    highs, lows = lane(view, "high", w, s)[-14:], lane(view, "low", w, s)[-14:]
    atr = statistics.fmean(h - low for h, low in zip(highs, lows, strict=True))
    return (lane(view, "close", w, s)[-1] - lane(view, "open", w, s)[-1]) / atr


def trend(view: View, w: int, s: int) -> float:
    return math.tanh(stretch(view, w, s))


def delta(view: View, w: int, s: int) -> list[float]:
    pairs = zip(lane(view, "buy", w, s), lane(view, "sell", w, s), strict=True)
    return [b - a for b, a in pairs]


def quadrant(view: View, w: int, s: int) -> float:
    n = WINDOWS[w].span // WINDOWS[w].bar
    moves = [float(x) for x in (view.bars.close - view.bars.open)[w, -30:, s]]
    opened = grown([float(x) for x in view.bars.oi[w, -31:, s]])
    parts = [max(g, 0.0) * math.tanh(r / rms(moves)) for g, r in zip(opened, moves, strict=True)]
    return 100 * sum(parts[-n:])


def rate_of_change(view: View, w: int, s: int) -> float:
    buy, sell = lane(view, "buy", w, s)[-1], lane(view, "sell", w, s)[-1]
    return 100 * oi_growth(view, w, s)[-1] * 3600 / WINDOWS[w].span * (buy - sell) / (buy + sell)


def buildup(view: View, w: int, s: int) -> float:
    paying = math.tanh(lane(view, "funding", w, s)[-1] / 1e-4)
    still = math.exp(-((2 * stretch(view, w, s)) ** 2))
    return -paying * max(z(oi_growth(view, w, s)), 0.0) * still


def leverage(view: View, w: int, s: int) -> float:
    volume = [b + a for b, a in zip(lane(view, "buy", w, s), lane(view, "sell", w, s), strict=True)]
    oi = lane(view, "oi", w, s)
    now = oi[-1] / statistics.fmean(volume[-DAY_OF_WINDOWS[w] :])
    excess = math.log(now) - math.log(statistics.fmean(oi) / statistics.fmean(volume))
    return -max(excess, 0.0) * math.tanh(standing(lane(view, "global_accounts", w, s)))


def skew(view: View, w: int, s: int) -> float:
    x = standing(lane(view, "global_accounts", w, s))
    return -math.copysign(max(abs(x) - 1, 0.0), x)


def basis(view: View, w: int, s: int) -> float:
    pairs = zip(lane(view, "mid", w, s), lane(view, "index", w, s), strict=True)
    x = standing([a - b for a, b in pairs])
    return math.copysign(1, x) * max(min(abs(x), 2 - abs(x)), -2)


REFERENCES: dict[str, Slow] = {
    "open_interest": lambda v, w, s: 100 * max(oi_growth(v, w, s)[-1], 0) * trend(v, w, s),
    "oi_price_divergence": lambda v, w, s: -trend(v, w, s) * max(-z(oi_growth(v, w, s)), 0),
    "oi_price_quadrant": quadrant,
    "oi_rate_of_change": rate_of_change,
    "oi_regime": lambda v, w, s: math.tanh(standing(lane(v, "oi", w, s)) / 2) * trend(v, w, s),
    "oi_spike": lambda v, w, s: max(z(oi_growth(v, w, s)) - 3, 0) * math.tanh(z(delta(v, w, s))),
    "oi_flush": lambda v, w, s: -max(-z(oi_growth(v, w, s)) - 3, 0) * trend(v, w, s),
    "oi_buildup": buildup,
    "leverage_ratio": leverage,
    "long_short_skew": skew,
    "basis_state": basis,
}


def value(name: str, view: View) -> Array:
    found: Array = getattr(cards, name)(view)
    return found


@pytest.mark.parametrize("name", REFERENCES)
def test_plain_reference(name: str, make_view: Make, edit: Make) -> None:
    for seed in range(4):
        view = make_view(seed)
        if name in ("oi_spike", "oi_flush"):
            jump = np.where(np.arange(61)[:, None] == 60, [1.2, 0.8, 1.5], 1.0)
            view = edit(view, spans={"oi": view.spans.oi * jump})
        want = [[REFERENCES[name](view, w, s) for s in range(3)] for w in range(6)]
        np.testing.assert_allclose(value(name, view), want, rtol=1e-7, atol=1e-10)


# -- scenes


def scene(view: View, edit: Make, oi: float, move: float) -> View:
    """Open interest of 100 that wavers by 1, then goes to `oi`; price moves by `move` ATR."""
    time = np.arange(61)[:, None]
    held = np.where(time == 60, oi, np.where(time % 2 == 0, 101.0, 100.0))
    prices = {"high": 10.01, "low": 10.0, "open": 10.005, "close": 10.005}
    prices["close"] = np.where(time == 60, 10.005 + 0.01 * move, 10.005)
    return edit(view, spans={"oi": held, **prices})


@pytest.mark.parametrize(("oi", "move"), [(103.0, 0.5), (103.0, -0.5), (97.0, 0.5), (97.0, -0.5)])
def test_the_four_combinations_of_price_and_open_interest(
    oi: float, move: float, make_view: Make, edit: Make
) -> None:
    view = scene(make_view(), edit, oi, move)
    with_move, against = value("open_interest", view), value("oi_price_divergence", view)
    if oi > 100:
        want = 100 * 2 * (oi - 100) / (oi + 100) * math.tanh(move)
        np.testing.assert_allclose(with_move, np.full((6, 3), want), rtol=1e-9)
        np.testing.assert_array_equal(against, np.zeros((6, 3)))
    else:
        np.testing.assert_array_equal(with_move, np.zeros((6, 3)))
        # 3.05 times the usual change
        np.testing.assert_allclose(against, np.full((6, 3), -3.06 * math.tanh(move)), rtol=0.01)


def test_longs_on_the_way_up_and_shorts_on_the_way_back_cancel(make_view: Make, edit: Make) -> None:
    one = make_view(windows=(WINDOWS[2],))
    bars = np.arange(120)[:, None]
    up, down = (bars >= 110) & (bars < 115), bars >= 115
    oi = 100 * 1.01 ** np.maximum(bars - 109, 0)
    move = np.where(up, 0.001, np.where(down, -0.001, 0.0))
    view = edit(one, bars={"oi": oi, "open": 5.0, "close": 5.0 + move})
    np.testing.assert_allclose(value("oi_price_quadrant", view), np.zeros((1, 3)), atol=1e-9)
    held = edit(view, bars={"oi": np.where(down, oi[114], oi)})
    found = value("oi_price_quadrant", held)
    # five bars of 1 % on moves of sqrt(3) rms (10 bars of 30 moved)
    np.testing.assert_allclose(found, np.full((1, 3), 5 * math.tanh(math.sqrt(3))), rtol=0.01)
    shorts = edit(held, bars={"close": 5.0 - move})
    np.testing.assert_allclose(value("oi_price_quadrant", shorts), -found)
    falling = edit(view, bars={"oi": 100 * 0.99**bars})
    np.testing.assert_array_equal(value("oi_price_quadrant", falling), np.zeros((1, 3)))


def test_a_quadrant_needs_half_of_its_bars(make_view: Make, edit: Make) -> None:
    view = make_view(windows=(WINDOWS[2],))
    for known, there in ((5, True), (4, False)):
        bars = np.where(np.arange(120)[:, None] >= 120 - known, 0.0, np.nan)
        some = edit(view, bars={"oi": view.bars.oi[:, -2:-1] * np.ones((1, 120, 1)) + bars})
        # growth needs the bar before
        assert np.isfinite(value("oi_price_quadrant", some)).all() == (there and known - 1 >= 5)
        more = edit(
            some, bars={"oi": np.where(np.arange(120)[:, None] >= 119 - known, 7.0, np.nan)}
        )
        assert np.isfinite(value("oi_price_quadrant", more)).all() == there


def test_what_buyers_open_is_bullish(make_view: Make, edit: Make) -> None:
    view = scene(make_view(), edit, 103.0, 0.0)
    bought = edit(view, spans={"buy": 3e6, "sell": 1e6})
    found = value("oi_rate_of_change", bought)
    # 2.96 % in the window, half of the volume net bought
    np.testing.assert_allclose(found[3], np.full(3, 100 * 6 / 203 / 2))
    np.testing.assert_allclose(found[2], 12 * found[3])
    sold = edit(view, spans={"buy": 1e6, "sell": 3e6})
    np.testing.assert_allclose(value("oi_rate_of_change", sold), -found)


@pytest.mark.parametrize("lean", [1, -1])
def test_a_jump_is_signed_with_who_opened_it(lean: int, make_view: Make, edit: Make) -> None:
    time = np.arange(61)[:, None]
    side = np.where(time == 60, lean * 2e6, 1e6 * (-1.0) ** time)
    quiet = scene(make_view(), edit, 102.0, 0.0)
    flow = {"buy": 3e6 + side / 2, "sell": 3e6 - side / 2}
    np.testing.assert_array_equal(value("oi_spike", edit(quiet, spans=flow)), np.zeros((6, 3)))
    view = edit(scene(make_view(), edit, 105.0, 0.0), spans=flow)
    growth = 2 * 5 / 205 / (2 / 201)
    want = lean * (growth - 3) * math.tanh(2)
    np.testing.assert_allclose(value("oi_spike", view), np.full((6, 3), want), rtol=1e-6)


@pytest.mark.parametrize("move", [1.0, -1.0])
def test_a_flush_is_read_against_its_move(move: float, make_view: Make, edit: Make) -> None:
    view = scene(make_view(), edit, 95.0, move)
    shrunk = 2 * 5 / 195 / (2 / 201)
    want = -(shrunk - 3) * math.tanh(move)
    np.testing.assert_allclose(value("oi_flush", view), np.full((6, 3), want), rtol=1e-6)
    np.testing.assert_array_equal(
        value("oi_flush", scene(view, edit, 98.0, move)), np.zeros((6, 3))
    )


def test_longs_who_pay_while_price_is_flat_are_bearish(make_view: Make, edit: Make) -> None:
    view = edit(scene(make_view(), edit, 102.0, 0.0), spans={"funding": 2e-4})
    found = value("oi_buildup", view)
    np.testing.assert_allclose(found, np.full((6, 3), -math.tanh(2) * 4 / 202 / (2 / 201)))
    paid = edit(view, spans={"funding": -2e-4})
    np.testing.assert_allclose(value("oi_buildup", paid), -found)
    moving = edit(scene(view, edit, 102.0, 1.0), spans={"funding": 2e-4})
    np.testing.assert_allclose(value("oi_buildup", moving), found * math.exp(-4))


@pytest.mark.parametrize("held", [103.0, 97.0])
def test_expanded_open_interest_goes_with_the_trend(
    held: float, make_view: Make, edit: Make
) -> None:
    side = 1 if held > 100 else -1
    view = scene(make_view(), edit, held, 0.5)
    assert (side * value("oi_regime", view) > 0.3).all()
    assert (side * value("oi_regime", scene(view, edit, held, -0.5)) < -0.3).all()


def test_leverage_weighs_on_the_crowded_side(make_view: Make, edit: Make) -> None:
    time = np.arange(61)[:, None]
    crowd = np.where(time == 60, 2.0, (-1.0) ** time)
    doubled = np.where(time == 60, 2e5, 1e5)
    flow = {"buy": 1e6, "sell": 1e6, "oi": doubled, "global_accounts": crowd}
    view = edit(make_view(), spans=flow)
    want = -math.log(2 / (62 / 61)) * math.tanh(2)
    np.testing.assert_allclose(value("leverage_ratio", view), np.full((6, 3), want), rtol=1e-9)
    short = edit(view, spans={"global_accounts": -crowd})
    np.testing.assert_allclose(value("leverage_ratio", short), np.full((6, 3), -want), rtol=1e-9)
    low = edit(view, spans={"oi": np.where(time == 60, 5e4, 1e5)})
    np.testing.assert_array_equal(value("leverage_ratio", low), np.zeros((6, 3)))
    still = edit(view, spans={"buy": 0.0, "sell": 0.0})
    np.testing.assert_array_equal(value("leverage_ratio", still), np.zeros((6, 3)))


@pytest.mark.parametrize(("crowd", "want"), [(0.9, 0.0), (3.0, -2.0), (-3.0, 2.0)])
def test_a_crowd_counts_beyond_one_sigma(
    crowd: float, want: float, make_view: Make, edit: Make
) -> None:
    time = np.arange(61)[:, None]
    view = edit(make_view(), spans={
        "global_accounts": 0.7 + 0.1 * np.where(time == 60, crowd, (-1.0) ** time)
    })  # fmt: skip
    np.testing.assert_allclose(value("long_short_skew", view), np.full((6, 3), want), atol=1e-9)


@pytest.mark.parametrize(
    ("dear", "want"), [(1.0, 1.0), (-0.5, -0.5), (2.0, 0.0), (3.0, -1.0), (-9.0, 2.0)]
)
def test_a_mild_basis_is_demand_and_an_extreme_one_a_crowd(
    dear: float, want: float, make_view: Make, edit: Make
) -> None:
    time = np.arange(61)[:, None]
    gap = 1e-4 * np.where(time == 60, dear, (-1.0) ** time)
    view = edit(make_view(), spans={"index": 5.0, "mid": 5.0 + 3e-4 + gap})
    np.testing.assert_allclose(value("basis_state", view), np.full((6, 3), want), atol=1e-6)


def test_nothing_happens_in_a_market_that_stands_still(make_view: Make, edit: Make) -> None:
    flat = dict.fromkeys(("open", "high", "low", "close", "mid", "index", "mark"), 10.0)
    empty = dict.fromkeys(("buy", "sell", "funding", "global_accounts"), 0.0) | {"oi": 1e5}
    view = edit(make_view(), spans=flat | empty, bars=flat | empty)
    for name in REFERENCES:
        np.testing.assert_array_equal(value(name, view), np.zeros((6, 3)), err_msg=name)


def test_no_open_interest_is_not_a_growth_without_bounds(make_view: Make, edit: Make) -> None:
    time = np.arange(61)[:, None]
    view = edit(make_view(), spans={"oi": np.where(time == 60, 1e5, 0.0)})
    for name in REFERENCES:
        assert np.isfinite(value(name, view)).all(), name
    assert (np.abs(value("open_interest", view)) <= 200).all()


# -- shared shapes

NUMBERS = st.floats(-50, 50)


@settings(deadline=None, max_examples=100)
@given(x=NUMBERS, y=NUMBERS)
def test_shapes_are_odd_and_continuous(x: float, y: float) -> None:
    one, other = np.array([[x]]), np.array([[y]])
    near = one + 1e-9
    for shape in (lambda v: beyond(v, 1.0), mild, lambda v: together(v, other)):
        assert abs(shape(near) - shape(one)).max() < 1e-6
    assert mild(-one) == -mild(one)
    assert beyond(-one, 1.0) == -beyond(one, 1.0)
    assert together(-one, -other) == -together(one, other)
    both = together(one, other)
    assert both == 0 if x * y <= 0 else both == pytest.approx(math.copysign(x * y, x))
