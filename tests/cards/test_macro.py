"""Macro cards: plain references, the sign of obvious cases, releases, daily data in step."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.card import registry
from engine.cards.elsewhere import agreed, correlation, equity_moves

CARDS = {c.id: c for c in registry() if c.category == "macro"}
DAY = 5
DAILY = ("macro_regime", "liquidity_proxy", "rates_pressure")
NS = 10**9
MIDNIGHT = 20_000 * 86_400 * NS


def value(name, view):
    with np.errstate(invalid="ignore", divide="ignore"):
        return CARDS[name].compute(view)


def course(view, values):
    return np.broadcast_to(np.asarray(values, float)[:, None], view.spans.close.shape)


def growth(x, n=1):
    return [2 * (b - a) / (b + a) for a, b in zip(x[:-n], x[n:], strict=True)]


def rms(x):
    return np.sqrt(np.mean(np.square(x)))


def column(view, name, w):
    return [float(v) for v in view.outside[name][w, :, 0]]


def slow_regime(view, w):
    parts = []
    for name, side in (("equity_index_daily", 1), ("dollar_index", -1), ("gold", -1)):
        moves = growth(column(view, name, w), 7)
        parts.append(side * moves[-1] / rms(moves[:-1]))
    yields = np.array(column(view, "yield_10y", w))
    moves = yields[7:] - yields[:-7]
    parts.append(-moves[-1] / rms(moves[:-1]))
    return np.mean(parts) * abs(sum(parts)) / sum(map(abs, parts))


def slow_correlation(view, w):
    moves = growth(column(view, "equity_index", w))
    bitcoin = np.diff(view.spans.close[w, :, 0])
    return np.corrcoef(bitcoin, moves)[0, 1] * moves[-1] / rms(moves[:-1])


def slow_liquidity(view, w):
    dollar = growth(column(view, "dollar_index", w), 7)
    coins = growth(column(view, "stablecoin_supply", w), 7)
    z = (coins[-1] - np.mean(coins[:-1])) / np.std(coins[:-1])
    return (z - dollar[-1] / rms(dollar[:-1])) / 2


def slow_rates(view, w):
    yields = column(view, "yield_10y", w)
    return yields[-2] - yields[-1]


REFERENCES = {
    "macro_regime": slow_regime,
    "equity_correlation": slow_correlation,
    "liquidity_proxy": slow_liquidity,
    "rates_pressure": slow_rates,
}


@pytest.mark.parametrize("name", REFERENCES)
def test_equals_the_plain_reference_for_every_symbol(name, make_view):
    view = make_view(seed=31)
    want = np.array([[REFERENCES[name](view, w)] * 3 for w in range(6)])
    np.testing.assert_allclose(value(name, view), want, rtol=1e-8)


def test_published_quotes_exist_in_the_day_alone():
    assert {c.id for c in CARDS.values() if c.cadence == 86_400} == set(DAILY)


# -- what the cards share


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 59))
def test_correlation_is_that_of_what_both_know(seed, missing):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0, 1e-4, (2, 1, 60, 1))
    x[0, rng.permutation(60)[:missing]] = np.nan
    y[0, rng.permutation(60)[:5]] = np.nan
    both = ~np.isnan(x + y)[0, :, 0]
    out = correlation(x, y)[0, 0]
    if both.sum() < 20:
        assert np.isnan(out)
    else:
        want = np.corrcoef(x[0, both, 0], y[0, both, 0])[0, 1]
        np.testing.assert_allclose(out, want, rtol=1e-9, atol=1e-12)


def test_nothing_correlates_with_what_stands_still():
    moves = np.random.default_rng(0).normal(0, 1e-3, (1, 60, 1))
    assert correlation(moves, np.full_like(moves, 0.1)) == 0
    assert correlation(moves * 0, moves) == 0


def test_parts_that_cancel_read_next_to_nothing():
    parts = np.array(
        [[1.0, 1.0, 1.0, np.nan], [1.0, -1.0, -0.5, np.nan], [1.0, 0.0, np.nan, np.nan]]
    )
    even = np.ones_like(parts)
    np.testing.assert_allclose(agreed(parts, even), [1.0, 0.0, 0.25 * 0.5 / 1.5, np.nan])


# -- scenes


def test_risk_on_is_bullish_and_a_transition_is_not(make_view, edit):
    view = make_view()
    rng = np.random.default_rng(2)
    noise = 100 * np.exp(np.cumsum(rng.normal(0, 0.005, 61)))
    up = noise.copy()
    up[-3:] *= 1.04
    down = noise.copy()
    down[-3:] *= 0.96
    names = ("equity_index_daily", "dollar_index", "yield_10y", "gold")
    on = dict(zip(names, (course(view, x) for x in (up, down, down, down)), strict=True))
    assert (value("macro_regime", edit(view, outside=on)) > 1).all()
    off = dict(zip(names, (course(view, x) for x in (down, up, up, up)), strict=True))
    assert (value("macro_regime", edit(view, outside=off)) < -1).all()
    mixed = on | {"dollar_index": on["equity_index_daily"], "gold": on["equity_index_daily"]}
    assert (np.abs(value("macro_regime", edit(view, outside=mixed))) < 0.1).all()


def test_a_regime_needs_three_of_four(make_view):
    view = make_view()
    three = {n: x for n, x in view.outside.items() if n != "gold"}
    assert np.isfinite(value("macro_regime", replace(view, outside=three))).all()
    two = {n: x for n, x in three.items() if n != "yield_10y"}
    assert np.isnan(value("macro_regime", replace(view, outside=two))).all()


def test_equities_count_as_bitcoin_moves_with_them(make_view, edit):
    view = make_view()
    walk = np.cumsum(np.random.default_rng(5).normal(0, 1e-3, 61))
    walk[-1] = walk[-2] + 2e-3
    risen = {"equity_index": course(view, 500 * np.exp(walk))}
    along = edit(view, spans={"close": course(view, 11 + 3 * walk)}, outside=risen)
    against = edit(view, spans={"close": course(view, 11 - 3 * walk)}, outside=risen)
    out = value("equity_correlation", along)
    assert (out > 1.5).all()
    np.testing.assert_allclose(value("equity_correlation", against), -out, rtol=1e-6)
    assert np.isnan(value("equity_correlation", replace(along, symbols=("A", "B", "C")))).all()


def test_the_published_index_stands_in_for_days_until_the_contract_has_a_history(make_view, edit):
    view = make_view(seed=3)
    young = view.outside["equity_index"].copy()
    young[:, :-2] = np.nan
    view = edit(view, outside={"equity_index": young})
    moves, daily = equity_moves(view)
    np.testing.assert_array_equal(daily, [False] * 5 + [True])
    np.testing.assert_allclose(moves[DAY, :, 0], growth(column(view, "equity_index_daily", DAY)))
    out = value("equity_correlation", view)
    assert np.isfinite(out[DAY]).all()
    assert np.isnan(out[:DAY]).all()


@pytest.mark.parametrize("hour", [0, 6, 9, 12, 20, 22])
def test_daily_values_meet_the_bitcoin_of_their_day(hour, make_view, edit):
    """Index and BTC are one walk by the hour; the index of 21:00 UTC is told at midnight.

    Of a day's move, two windows of BTC see shares 1 - a and a; mixed by these they correlate with
    it at sqrt((1 - a)^2 + a^2), never under 0.7, where one window alone falls to 0.04. After 21:00
    the window before begins an hour or two late.
    """
    view = make_view()
    view = replace(view, now=MIDNIGHT + hour * 3600 * NS)
    ends = 24 * 78 + hour - 24 * np.arange(60, -1, -1)
    told = 24 * (ends // 24) - 3
    found = []
    for seed in range(40):
        hours = np.cumsum(np.random.default_rng(seed).normal(0, 1e-2, 24 * 80))
        index = {"equity_index": np.nan, "equity_index_daily": course(view, np.exp(hours[told]))}
        seen = edit(view, spans={"close": course(view, hours[ends])}, outside=index)
        moves = growth(np.exp(hours[told]))
        found.append(value("equity_correlation", seen)[DAY, 0] / (moves[-1] / rms(moves[:-1])))
    share = min((hour + 3) / 24, 1.0)
    want = np.hypot(1 - share, share) - max(hour - 21, 0) / 24
    np.testing.assert_allclose(np.mean(found), want, atol=0.03)


def test_dollars_that_weaken_and_coins_that_grow_are_bullish(make_view, edit):
    view = make_view()
    noise = np.random.default_rng(4).normal(0, 0.002, 61)
    slope = np.zeros(61)
    slope[-5:] = 0.004
    weak = course(view, 120 * np.exp(np.cumsum(noise - slope)))
    grown = course(view, 2.5e11 * np.exp(np.cumsum(noise[::-1] + slope)))
    view = edit(view, outside={"dollar_index": weak, "stablecoin_supply": grown})
    assert (value("liquidity_proxy", view) > 1).all()


def test_rising_yields_are_bearish(make_view, edit):
    view = make_view()
    steps = np.full(61, 4.20)
    steps[-1] = 4.31
    out = value("rates_pressure", edit(view, outside={"yield_10y": course(view, steps)}))
    np.testing.assert_allclose(out, -0.11)


@pytest.mark.parametrize(("ahead", "behind", "near"), [
    (np.inf, np.inf, np.nan), (np.inf, 900.0, np.nan), (86_400.0, 7200.0, 0.0),
    (3600.0, np.inf, 0.5), (0.0, 1e6, 1.0), (1e6, 900.0, 0.5), (1e6, 0.0, 1.0), (1e6, 1800.0, 0.0),
])  # fmt: skip
def test_a_release_damps_the_trend_of_bitcoin(ahead, behind, near, make_view, edit):
    rising = {"open": 10.0, "low": 9.99, "high": 10.03, "close": 10.02}
    view = edit(make_view(), spans=rising)
    view = replace(view, calendar=replace(view.calendar, to_release=ahead, since_release=behind))
    np.testing.assert_allclose(value("event_window", view), -near * np.tanh(0.5), atol=1e-12)
    falling = edit(view, spans={"open": 10.02, "close": 10.0})
    np.testing.assert_allclose(value("event_window", falling), near * np.tanh(0.5), atol=1e-12)
