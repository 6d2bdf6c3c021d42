"""Cross-exchange cards: plain references, silent venues, and the sign of obvious cases."""

import math
import statistics
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.card import registry
from engine.cards.cross_exchange import FOLLOWS
from engine.market.view import WINDOWS

CARDS = {c.id: c for c in registry() if c.category == "cross_exchange"}
BINANCE, BYBIT, OKX, HYPERLIQUID, COINBASE = range(5)
PERPS = (BINANCE, BYBIT, OKX, HYPERLIQUID)
OTHERS = (BYBIT, OKX, HYPERLIQUID)
ELSEWHERE = ("agg_funding_rate", "agg_open_interest", "agg_volume_delta", "agg_liquidations")
OF_SPOT_TOO = ("price_lead_lag", "venue_premium_spread")


def value(name, view):
    with np.errstate(invalid="ignore", divide="ignore"):
        return CARDS[name].compute(view)


def silenced(view, venue, symbol=slice(None)):
    """The view once nothing comes from a venue any more."""
    new = {}
    for f in fields(view.venues):
        x = getattr(view.venues, f.name)
        if isinstance(x, np.ndarray) and x.dtype == np.float64:
            x = x.copy()
            x[venue, ..., symbol] = np.nan
            new[f.name] = x
    return replace(view, venues=replace(view.venues, **new))


def without(view, venue):
    """The view as if there were no such venue."""
    keep = [v for v in range(len(view.venues.names)) if v != venue]
    new = {"names": tuple(view.venues.names[v] for v in keep)}
    for f in fields(view.venues):
        x = getattr(view.venues, f.name)
        if isinstance(x, np.ndarray):
            new[f.name] = x[keep]
    new["reference"] = new["names"].index("binance") if "binance" in new["names"] else -1
    return replace(view, venues=replace(view.venues, **new))


# -- references


def slow_funding(v, w, s):
    known = [n for n in OTHERS if not math.isnan(v.funding[n, s])]
    held = {n: v.oi[n, s] for n in known if not math.isnan(v.oi[n, s])}
    usual = statistics.fmean(held.values()) if held else 1.0
    weights = [held.get(n, usual) for n in known]
    rates = [v.funding[n, s] for n in known]
    return -sum(a * b for a, b in zip(weights, rates, strict=True)) / sum(weights)


def slow_divergence(v, w, s):
    rates = [float(v.funding[n, s]) for n in PERPS if not math.isnan(v.funding[n, s])]
    return statistics.median(rates) - statistics.fmean(rates)


def complete(v, w, s, venues):
    """Venues of which open interest then and now and flow are known."""
    parts = {n: (v.oi[n, s], v.oi_before[n, w, s], v.buy[n, w, s], v.sell[n, w, s]) for n in venues}
    return [n for n, known in parts.items() if not any(map(math.isnan, known))]


def slow_interest(v, w, s):
    known = complete(v, w, s, OTHERS)
    before, now = sum(v.oi_before[n, w, s] for n in known), sum(v.oi[n, s] for n in known)
    buy, sell = sum(v.buy[n, w, s] for n in known), sum(v.sell[n, w, s] for n in known)
    return (now / before - 1) * (buy - sell) / (buy + sell)


def slow_delta(v, w, s):
    known = [n for n in OTHERS if not math.isnan(v.buy[n, w, s])]
    buy, sell = sum(v.buy[n, w, s] for n in known), sum(v.sell[n, w, s] for n in known)
    return (buy - sell) / (buy + sell)


def slow_lead_lag(v, w, s):
    own = v.course[BINANCE, :, s]
    leads, pulled = 0.0, 0.0
    for n in (BYBIT, OKX, HYPERLIQUID, COINBASE):
        other = v.course[n, :, s]
        if np.isnan(other).any():
            continue
        forward = backward = x = y = 0.0
        for t in range(FOLLOWS + 1, len(own) - FOLLOWS):
            a, b = other[t] - other[t - 1], own[t] - own[t - 1]
            for lag in range(1, FOLLOWS + 1):
                forward += (other[t - lag] - other[t - lag - 1]) * b
                backward += (own[t - lag] - own[t - lag - 1]) * a
            x, y = x + a * a, y + b * b
        lead = min(max((forward - backward) / math.sqrt(x * y), 0.0), 1.0)
        leads += lead
        pulled += lead * (other[-1] - other[-6] - own[-1] + own[-6])
    return pulled / max(leads, 1.0)


def slow_premium(view, v, w, s):
    def price(venues):
        total = weight = 0.0
        for n in venues:
            course = v.course[n, -min(view.windows[w].span, 120) :, s]
            traded = max(v.buy[n, w, s] + v.sell[n, w, s], 1.0)
            if not np.isnan(course).all() and not math.isnan(traded):
                weight += traded
                total += traded * float(np.nanmean(course))
        return total / weight

    return price([COINBASE]) - price(PERPS)


def slow_migration(v, w, s):
    known = complete(v, w, s, PERPS)
    now, before = sum(v.oi[n, s] for n in known), sum(v.oi_before[n, w, s] for n in known)
    return sum(
        (v.oi[n, s] / now - v.oi_before[n, w, s] / before)
        * (v.buy[n, w, s] - v.sell[n, w, s])
        / (v.buy[n, w, s] + v.sell[n, w, s])
        for n in known
    )


def slow_liquidations(v, w, s):
    known = [n for n in OTHERS if not math.isnan(v.long_liq[n, w, s])]
    volume = sum(v.buy[n, w, s] + v.sell[n, w, s] for n in known)
    return sum(v.short_liq[n, w, s] - v.long_liq[n, w, s] for n in known) / volume


REFERENCES = {
    "agg_funding_rate": slow_funding,
    "funding_divergence": slow_divergence,
    "agg_open_interest": slow_interest,
    "agg_volume_delta": slow_delta,
    "price_lead_lag": slow_lead_lag,
    "oi_migration": slow_migration,
    "agg_liquidations": slow_liquidations,
}


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("quiet", [None, BYBIT, HYPERLIQUID])
def test_equals_the_plain_sum_over_venues(name, quiet, make_view):
    view = make_view(seed=21)
    if quiet is not None:
        view = silenced(view, quiet, 1)
    slow = REFERENCES.get(name, lambda v, w, s: slow_premium(view, v, w, s))
    want = [[slow(view.venues, w, s) for s in range(3)] for w in range(6)]
    np.testing.assert_allclose(value(name, view), want, rtol=1e-6, atol=1e-12)


# -- what is not counted


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("venue", [BYBIT, OKX, HYPERLIQUID])
def test_a_silent_venue_is_as_if_it_were_not(name, venue, make_view):
    view = make_view(seed=3)
    np.testing.assert_allclose(
        value(name, silenced(view, venue)), value(name, without(view, venue)), rtol=1e-12
    )


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_reference_is_left_out(name, make_view):
    view = make_view(seed=4)
    np.testing.assert_array_equal(value(name, silenced(view, BINANCE)), value(name, view))


@pytest.mark.parametrize("name", [n for n in CARDS if n not in OF_SPOT_TOO])
def test_spot_is_no_perpetual(name, make_view):
    view = make_view(seed=5)
    np.testing.assert_allclose(value(name, silenced(view, COINBASE)), value(name, view), rtol=1e-12)


def test_two_sides_are_needed(make_view):
    view = make_view(seed=6)
    assert np.isnan(value("venue_premium_spread", silenced(view, COINBASE))).all()
    assert np.isnan(value("price_lead_lag", silenced(view, BINANCE))).all()
    alone = view
    for venue in OTHERS:
        alone = silenced(alone, venue)
    for name in (*ELSEWHERE, "funding_divergence", "oi_migration"):
        assert np.isnan(value(name, alone)).all(), name


def test_no_venue_at_all_is_unknown(make_view):
    view = make_view(seed=6)
    for venue in range(4, -1, -1):
        view = without(view, venue)
    assert view.venues.names == ()
    for name in CARDS:
        assert np.isnan(value(name, view)).all(), name


# -- scenes


def test_funding_weighs_by_open_interest(make_view, edit):
    funding = np.array([[5e-4], [1e-4], [-3e-4], [np.nan], [np.nan]])
    held = np.array([[9e9], [3e9], [1e9], [1e9], [np.nan]])
    view = edit(make_view(), venues={"funding": funding, "oi": held})
    np.testing.assert_allclose(value("agg_funding_rate", view), 0.0, atol=1e-18)
    crowded = edit(view, venues={"funding": np.abs(funding)})
    np.testing.assert_allclose(value("agg_funding_rate", crowded), -(3 * 1e-4 + 3e-4) / 4)
    blind = edit(crowded, venues={"oi": np.full((5, 1), np.nan)})
    np.testing.assert_allclose(value("agg_funding_rate", blind), -2e-4)


def test_an_outlier_that_pays_more_is_bearish(make_view, edit):
    quiet = np.array([[1e-5], [1e-5], [1e-5], [1e-5], [np.nan]])
    even = edit(make_view(), venues={"funding": quiet})
    np.testing.assert_allclose(value("funding_divergence", even), 0.0, atol=1e-18)
    quiet[OKX] = 9e-5
    out = value("funding_divergence", edit(even, venues={"funding": quiet}))
    np.testing.assert_allclose(out, -2e-5)


def test_new_positions_of_buyers_are_bullish(make_view, edit):
    view = edit(make_view(), venues={"oi": 1.02e9, "oi_before": 1e9, "buy": 3e6, "sell": 1e6})
    np.testing.assert_allclose(value("agg_open_interest", view), 0.02 * 0.5)
    np.testing.assert_allclose(value("agg_volume_delta", view), 0.5)
    np.testing.assert_allclose(value("oi_migration", view), 0.0, atol=1e-15)


def test_positions_that_move_to_buyers_are_bullish(make_view, edit):
    now = np.array([[1e9], [2e9], [np.nan], [np.nan], [np.nan]])
    before = np.array([1.5e9, 1.5e9, np.nan, np.nan, np.nan])[:, None, None]
    buy = np.array([1e6, 3e6, 1e6, 1e6, 1e6])[:, None, None]
    view = edit(make_view(), venues={"oi": now, "oi_before": before, "buy": buy, "sell": 4e6 - buy})
    np.testing.assert_allclose(value("oi_migration", view), 1 / 6 * 0.5 + 1 / 6 * 0.5)


def test_shorts_liquidated_elsewhere_are_bullish(make_view, edit):
    forced = {"buy": 5e6, "sell": 5e6, "long_liq": 1e5, "short_liq": 6e5}
    view = edit(make_view(), venues=forced)
    np.testing.assert_allclose(value("agg_liquidations", view), 0.05)
    still = edit(view, venues=dict.fromkeys(forced, 0.0))
    np.testing.assert_array_equal(value("agg_liquidations", still), 0.0)
    np.testing.assert_array_equal(value("agg_volume_delta", still), 0.0)


def led(view, edit, lag, jump, rng, leader=COINBASE):
    """Course in which the leader runs `lag` seconds ahead of all others and has just jumped."""
    walk = np.cumsum(rng.normal(0, 1e-5, (120 + lag, 1)), axis=0)
    course = np.repeat(walk[None, :120], 5, axis=0)
    course += np.cumsum(rng.normal(0, 1e-6, course.shape), axis=1)
    course[leader] = walk[lag:]
    course[leader, -1] += jump
    return edit(view, venues={"course": course})


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.sampled_from([-1, 1]), st.integers(0, 1000))
def test_the_reference_follows_the_venue_that_leads(make_view, edit, lag, side, seed):
    view = make_view(windows=WINDOWS[:2])
    view = led(view, edit, lag, side * 1e-3, np.random.default_rng(seed))
    out = value("price_lead_lag", view)
    assert (np.sign(out) == side).all()
    assert (np.abs(out) > 2e-4).all()
    assert (np.abs(out) < 1.5e-3).all()


def test_who_follows_leads_nobody(make_view, edit):
    view = led(make_view(), edit, 2, 0.0, np.random.default_rng(1), leader=BINANCE)
    late = view.venues.course.copy()
    late[BYBIT:, -1] += 1e-3
    out = value("price_lead_lag", edit(view, venues={"course": late}))
    assert (np.abs(out) < 2e-4).all()


def test_courses_that_stand_still_say_nothing(make_view, edit):
    out = value("price_lead_lag", edit(make_view(), venues={"course": 9.5}))
    np.testing.assert_array_equal(out, 0.0)


def test_dear_spot_is_bullish(make_view, edit):
    course = np.full((5, 120, 3), 11.0)
    course[COINBASE, -60:] = 11.002
    view = edit(make_view(), venues={"course": course})
    out = value("venue_premium_spread", view)
    np.testing.assert_allclose(out[:2], 0.002)
    np.testing.assert_allclose(out[2:], 0.001)
    idle = edit(view, venues={"buy": 0.0, "sell": 0.0})
    np.testing.assert_allclose(value("venue_premium_spread", idle), out)
