"""On-chain cards: plain references, the sign of obvious cases, what is missing."""

import statistics
from dataclasses import replace

import numpy as np
import pytest

from engine.cards.card import registry

CARDS = {c.id: c for c in registry() if c.category == "on_chain"}
SERIES = {
    "exchange_reserves": ("exchange_reserves",),
    "exchange_netflow": ("exchange_inflow", "exchange_outflow"),
    "whale_transfers": ("whale_transfers",),
    "stablecoin_supply": ("stablecoin_supply",),
    "active_addresses": ("active_addresses",),
    "valuation_ratio": ("mvrv",),
}
WEEKEND = np.tile([1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.8], 9)[2:]


def value(name, view):
    with np.errstate(invalid="ignore", divide="ignore"):
        return CARDS[name].compute(view)


def course(view, values):
    return np.broadcast_to(np.asarray(values, float)[:, None], view.spans.close.shape)


def growth(after, before):
    return 2 * (after - before) / (after + before)


def slow(name, view, w, s):
    """The card of one window and symbol, from lists."""
    x, *more = ([float(v) for v in view.outside[n][w, :, s]] for n in SERIES[name])
    if name == "exchange_reserves":
        return -growth(x[-1], x[-8])
    if name == "exchange_netflow":
        gross = [a + b for a, b in zip(x, more[0], strict=True)]
        return (more[0][-1] - x[-1]) / statistics.fmean(gross[:-1])
    if name == "stablecoin_supply":
        return growth(x[-1], x[-8])
    if name == "active_addresses":
        return growth(statistics.fmean(x[-7:]), statistics.fmean(x[-14:-7]))
    if name == "valuation_ratio":
        return -(x[-1] - statistics.fmean(x[:-1])) / statistics.pstdev(x[:-1])
    spans = view.spans
    highs, lows = spans.high[w, -14:, s], spans.low[w, -14:, s]
    atr = statistics.fmean(float(h - low) for h, low in zip(highs, lows, strict=True))
    trend = np.tanh((spans.close[w, -1, s] - spans.open[w, -1, s]) / atr)
    return -growth(x[-1], statistics.fmean(x[:-1])) * trend


@pytest.mark.parametrize("name", CARDS)
def test_equals_the_plain_reference(name, make_view):
    view = make_view(seed=12)
    want = [[slow(name, view, w, s) for s in range(3)] for w in range(6)]
    np.testing.assert_allclose(value(name, view), want, rtol=1e-9)


@pytest.mark.parametrize("name", CARDS)
def test_daily_values_exist_in_the_day_alone(name):
    card = CARDS[name]
    assert card.cadence == 86_400
    assert card.mirror_exempt
    assert not card.level


@pytest.mark.parametrize("name", CARDS)
def test_what_no_source_brings_is_not_available(name, make_view):
    view = make_view()
    known = {n: x for n, x in view.outside.items() if n not in SERIES[name]}
    assert np.isnan(value(name, replace(view, outside=known))).all()


@pytest.mark.parametrize("name", [n for n in CARDS if n != "stablecoin_supply"])
def test_an_asset_that_is_not_counted_has_none(name, make_view, edit):
    view = make_view()
    holes = {n: view.outside[n] * np.array([1.0, 1.0, np.nan]) for n in SERIES[name]}
    out = value(name, edit(view, outside=holes))
    np.testing.assert_array_equal(np.isnan(out), [[False, False, True]] * 6)


def test_coins_that_leave_exchanges_are_bullish(make_view, edit):
    view = make_view()
    left = course(view, np.linspace(2.4e6, 2.3e6, 61))
    flows = {"exchange_inflow": 1000.0, "exchange_outflow": 1500.0}
    view = edit(view, outside={"exchange_reserves": left, **flows})
    assert (value("exchange_reserves", view) > 0).all()
    np.testing.assert_allclose(value("exchange_netflow", view), 500 / 2500)
    back = {"exchange_inflow": 1500.0, "exchange_outflow": 1000.0}
    np.testing.assert_allclose(value("exchange_netflow", edit(view, outside=back)), -500 / 2500)


def test_a_day_of_heavy_flow_counts_for_more(make_view, edit):
    view = make_view()
    heavy = np.ones(61)
    heavy[-1] = 4.0
    flows = {
        "exchange_inflow": course(view, 1500.0 * heavy),
        "exchange_outflow": course(view, 1000.0 * heavy),
    }
    np.testing.assert_allclose(value("exchange_netflow", edit(view, outside=flows)), -4 * 0.2)


def test_whales_move_against_the_trend(make_view, edit):
    view = make_view()
    busy = np.ones(61)
    busy[-1] = 3.0
    up = {"open": 10.0, "low": 9.99, "high": 10.03, "close": 10.02}
    rising = edit(view, spans=up, outside={"whale_transfers": course(view, busy)})
    np.testing.assert_allclose(value("whale_transfers", rising), -np.tanh(0.5))
    falling = edit(rising, spans={"open": 10.02, "close": 10.0})
    np.testing.assert_allclose(value("whale_transfers", falling), np.tanh(0.5))


def test_stablecoins_are_of_the_whole_market(make_view, edit):
    view = make_view()
    minted = course(view, np.linspace(250e9, 260e9, 61))
    out = value("stablecoin_supply", edit(view, outside={"stablecoin_supply": minted}))
    assert (out > 0).all()
    assert (out == out[0, 0]).all()


def test_weekends_are_no_decline(make_view, edit):
    """Fewer addresses are active on two days of seven, every week."""
    view = make_view()
    for start in range(7):
        days = course(view, 9e5 * np.roll(WEEKEND, start))
        out = value("active_addresses", edit(view, outside={"active_addresses": days}))
        np.testing.assert_allclose(out, 0.0, atol=1e-12)
    grown = course(view, 9e5 * WEEKEND * np.where(np.arange(61) >= 54, 1.1, 1.0))
    out = value("active_addresses", edit(view, outside={"active_addresses": grown}))
    np.testing.assert_allclose(out, growth(1.1, 1.0))


def test_dear_against_what_holders_paid_is_bearish(make_view, edit):
    view = make_view()
    paid = np.where(np.arange(61) % 2, 1.9, 2.1)
    paid[-1] = 2.3
    out = value("valuation_ratio", edit(view, outside={"mvrv": course(view, paid)}))
    np.testing.assert_allclose(out, -3.0)
