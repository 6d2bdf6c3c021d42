"""Order flow cards on cases worked by hand: the sign that everyone would expect, and the figure."""

import numpy as np
import pytest

from engine.cards import order_flow as cards
from engine.cards.volume_clock import bucket_imbalance
from engine.market.mirror import mirror

BUYING = (
    *("buy_volume", "volume_delta", "volume_ratio", "order_flow_imbalance", "toxic_flow_index"),
    *("large_trade_clustering", "cvd", "taker_buy_sell_ratio", "stacked_imbalance"),
    "trade_size_skew",
)


def value(name, view):
    return getattr(cards, name)(view)


def close(got, want, tolerance=1e-9):
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def test_buckets_by_hand():
    # 10 bought, then 30 sold: four buckets of 10, or two of 20 with the first half and half
    buy, sell = np.array([[[10.0], [0.0]]]), np.array([[[0.0], [30.0]]])
    close(bucket_imbalance(buy, sell, 4), [[[1, -1, -1, -1]]])
    close(bucket_imbalance(buy, sell, 2), [[[0, -1]]])
    # 4:2 within one bar stays 4:2 wherever it is cut; unknown and empty bars count nothing
    buy, sell = np.array([[[4.0], [np.nan], [0], [3]]]), np.array([[[2.0], [1], [0], [9]]])
    close(bucket_imbalance(buy, sell, 3), [[[1 / 3, -0.5, -0.5]]])


def test_stacked_by_hand(make_view, edit):
    buy, sell = np.zeros((6, 32, 1)), np.zeros((6, 32, 1))
    # buys 30 over sells 10 one level below, at three levels in a row; the fourth has 29 over 10
    buy[:, 11:15, 0], sell[:, 10:14, 0] = [30, 30, 30, 29], 10
    view = edit(make_view(symbols=1), footprint={"buy": buy, "sell": sell})
    # level 10's ten sold have no 30:10 of their own: the 30 bought above them are too many
    close(value("stacked_imbalance", view), np.full((6, 1), 3.0))
    trivial = edit(view, footprint={"buy": np.where(buy > 0, 30.0, 0.2)})
    # buys of 0.2 beside them have no sells against them, but are too small to lengthen the run
    close(value("stacked_imbalance", trivial), np.full((6, 1), 4.0))


def test_one_sided_window_is_finite(make_view, edit):
    view = make_view(6)
    sell = view.spans.sell.copy()
    sell[:, -1] = 0.0
    got = value("volume_ratio", edit(view, spans={"sell": sell}))
    assert (got > 3).all()
    assert np.isfinite(got).all()


def newest(x, last, factor):
    """x with its last cells multiplied."""
    out = x.copy()
    out[:, -last:] *= factor
    return out


def test_heavy_buying_is_bullish(make_view, edit):
    view = make_view(7)
    spans, bars = view.spans, view.bars
    bought = {
        "buy": newest(spans.buy, 1, 20.0),
        "bunched_buy": newest(spans.bunched_buy, 1, 50.0),
        "large_buy": newest(spans.large_buy, 1, 50.0),
        "ofi": newest(np.abs(spans.ofi), 1, 5.0),
        "taker_ratio": newest(np.abs(spans.taker_ratio) + 1, 1, 9.0),
    }
    heavy = edit(
        view,
        spans=bought,
        bars={"buy": newest(bars.buy, 24, 20.0), "close": np.cumsum(bars.buy - bars.sell, axis=1)},
        footprint={"buy": view.footprint.sell + 1e9},
    )
    for name in BUYING:
        assert (value(name, heavy) > 0).all(), name
    sold = mirror(heavy)
    for name in (*BUYING[1:], "sell_volume"):
        assert (value(name, sold) < 0).all(), name


def test_small_traders_selling_to_large_ones_is_bullish(make_view, edit):
    sizes = {"large_buy": 3.0, "large_sell": 1.0, "small_buy": 1.0, "small_sell": 3.0}
    close(value("trade_size_skew", edit(make_view(), spans=sizes)), np.ones((6, 3)))
    none = edit(make_view(), spans=sizes | {"small_buy": 0.0, "small_sell": 0.0})
    close(value("trade_size_skew", none), np.zeros((6, 3)))


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_new_extreme_without_flow_is_read_against_the_price(side, make_view, edit):
    # price walks on for 60 bars while the last 24 bars are traded the other way
    price = 10 + side * 1e-3 * np.arange(-119, 1)[:, None] * np.ones(3)
    delta = np.where(np.arange(120) >= 96, -side, side)[:, None]
    bars = {"high": price + 1e-4, "low": price - 1e-4, "buy": 2 + delta, "sell": 2 - delta}
    got = value("cvd_divergence", edit(make_view(), bars=bars))
    assert (np.sign(got) == -side).all()
    # 60 bars: 36 of 2 to the peak of 72, then 24 of -2 back to 24, where price has its extreme;
    # the range goes from the first bar's 2 to 72.
    close(got[5], -side * 48 / 70 * np.ones(3))
    close(got[0], -side * 48 / 70 * np.ones(3))


def test_confirmed_extreme_is_no_divergence(make_view, edit):
    price = 10 + 1e-3 * np.arange(-119, 1)[:, None] * np.ones(3)
    bars = {"high": price + 1e-4, "low": price - 1e-4, "buy": 3.0, "sell": 1.0}
    close(value("cvd_divergence", edit(make_view(), bars=bars)), np.zeros((6, 3)))


def test_steady_buying_reads_one(make_view, edit):
    close(value("cvd", edit(make_view(), bars={"buy": 5.0, "sell": 0.0})), np.ones((6, 3)))


def test_vpin_rises_when_flow_turns_one_sided(make_view, edit):
    # 90 balanced bars, then 30 with all buying
    buy = np.where(np.arange(120) >= 90, 2.0, 1.0)[:, None]
    sell = np.where(np.arange(120) >= 90, 0.0, 1.0)[:, None]
    got = value("vpin", edit(make_view(), bars={"buy": buy, "sell": sell}))
    # bars of equal volume: buckets 75..100 are one-sided, so VPIN is 25/50 and its median, the
    # 26th of the 51 values 0 (26 times), 1/50, ..., 25/50, is 0
    close(got, np.full((6, 3), 0.5))
    assert (value("vpin", mirror(edit(make_view(), bars={"buy": buy, "sell": sell}))) < 0).all()
