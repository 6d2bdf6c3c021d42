"""DeFi cards: plain references, the sign of obvious cases, what is missing."""

import numpy as np
import pytest

from engine.cards.card import registry

CARDS = {c.id: c for c in registry() if c.category == "defi"}
HYPERLIQUID, COINBASE = 3, 4
RECENT, WHOLE, DAY = 3, 4, 5


def value(name, view):
    with np.errstate(invalid="ignore", divide="ignore"):
        return CARDS[name].compute(view)


def line(view, *values):
    """A series whose last windows are these and that stood at the first before."""
    out = np.full(view.spans.close.shape, float(values[0]))
    out[:, -len(values) :] = np.array(values, dtype=float)[:, None]
    return out


def net(bought, sold):
    return (bought - sold) / (bought + sold)


@pytest.mark.parametrize("seed", [1, 2])
def test_books_and_flow_equal_the_plain_sums(seed, make_view):
    view = make_view(seed=seed)
    v = view.venues
    for s in range(3):
        here = net(v.bid_50[:3, s].sum(), v.ask_50[:3, s].sum())
        there = net(v.bid_50[HYPERLIQUID, s], v.ask_50[HYPERLIQUID, s])
        np.testing.assert_allclose(value("cross_venue_liquidity", view)[:, s], there - here)

        volume = (v.buy + v.sell)[:COINBASE, :, s]
        before = np.maximum(volume[:, WHOLE] - volume[:, RECENT], 0)
        shares = volume[HYPERLIQUID, RECENT] / volume[:, RECENT].sum(), before[-1] / before.sum()
        side = net(v.buy[HYPERLIQUID, RECENT, s], v.sell[HYPERLIQUID, RECENT, s])
        want = (shares[0] - shares[1]) * side
        np.testing.assert_allclose(value("dex_volume_share", view)[:, s], want)


def test_bids_on_decentralised_venues_are_bullish(make_view, edit):
    bids = np.array([1e6, 1e6, 1e6, 3e6, 9e9])[:, None]
    view = edit(make_view(), venues={"bid_50": bids, "ask_50": 1e6})
    np.testing.assert_allclose(value("cross_venue_liquidity", view), 0.5)
    blind = bids.copy()
    blind[HYPERLIQUID] = np.nan
    view = edit(view, venues={"bid_50": blind})
    assert np.isnan(value("cross_venue_liquidity", view)).all()


@pytest.mark.parametrize(("buy", "sell"), [(3e6, 1e6), (1e6, 3e6)])
def test_volume_that_moves_to_decentralised_buyers_is_bullish(buy, sell, make_view, edit):
    """A fifth of the last hour, a ninth of the three hours before."""
    bought, sold = np.full((5, 6, 3), 8e6), np.full((5, 6, 3), 8e6)
    bought[:3, WHOLE] = sold[:3, WHOLE] = 32e6 + 8e6 / 3
    bought[HYPERLIQUID, RECENT], sold[HYPERLIQUID, RECENT] = 3 * buy, 3 * sell
    bought[HYPERLIQUID, WHOLE], sold[HYPERLIQUID, WHOLE] = 3 * buy + 10e6, 3 * sell + 10e6
    view = edit(make_view(), venues={"buy": bought, "sell": sold})
    late = 12 / (12 + 48)
    early = 20 / (20 + 6 * (24 + 8 / 3))
    want = (late - early) * net(buy, sell)
    np.testing.assert_allclose(value("dex_volume_share", view), want)
    assert (np.sign(value("dex_volume_share", view)) == np.sign(buy - sell)).all()


def test_a_share_needs_both_stretches(make_view, pick_windows, edit):
    view = make_view()
    assert np.isnan(value("dex_volume_share", pick_windows(view, [RECENT]))).all()
    np.testing.assert_array_equal(
        value("dex_volume_share", pick_windows(view, [RECENT, WHOLE])),
        value("dex_volume_share", view)[:2],
    )
    young = view.venues.buy.copy()
    young[HYPERLIQUID, WHOLE] = np.nan
    assert np.isnan(value("dex_volume_share", edit(view, venues={"buy": young}))).all()


def test_value_locked_counts_in_coins(make_view, edit):
    """A price that doubles doubles the value locked: no coin has come."""
    view = make_view()
    rising = np.zeros(view.spans.close.shape)
    rising[:, -3:] = np.log(1.02)
    dearer = edit(view, spans={"close": rising}, outside={"tvl": line(view, 50.0, 51, 51, 51)})
    np.testing.assert_allclose(value("tvl_flow_momentum", dearer), 0.0, atol=1e-5)
    came = edit(view, spans={"close": 0.0}, outside={"tvl": line(view, 50.0, 51.0)})
    np.testing.assert_allclose(value("tvl_flow_momentum", came), np.log(1.02), rtol=1e-4)


def test_only_growth_of_the_last_week_counts(make_view, edit):
    view = make_view()
    grown = edit(view, outside={"chain_stablecoins": line(view, 100.0, *[104.0] * 7)})
    np.testing.assert_allclose(value("stablecoin_flow", grown), np.log(1.04), rtol=1e-3)
    old = edit(view, outside={"chain_stablecoins": line(view, 100.0, *[104.0] * 8)})
    np.testing.assert_array_equal(value("stablecoin_flow", old), 0.0)
    none = edit(view, outside={"chain_stablecoins": 0.0})
    np.testing.assert_array_equal(value("stablecoin_flow", none), 0.0)


@pytest.mark.parametrize(("name", "series"), [
    ("tvl_flow_momentum", "tvl"), ("stablecoin_flow", "chain_stablecoins"),
])  # fmt: skip
def test_a_coin_without_a_chain_has_none(name, series, make_view, edit):
    view = make_view()
    known = view.outside[series] * np.array([1.0, np.nan, 1.0])
    out = value(name, edit(view, outside={series: known}))
    np.testing.assert_array_equal(np.isnan(out), [[False, True, False]] * 6)
    assert CARDS[name].cadence == 86_400
