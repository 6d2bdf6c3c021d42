"""Composite alpha on cases worked by hand: the sign that everyone would expect, and the figure."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from engine.cards import composite_alpha as cards
from engine.market.mirror import mirror
from engine.market.view import WINDOWS, View

HOUR = (WINDOWS[3],)
Make = Callable[..., View]


def value(id, view):
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return getattr(cards, id)(view)


def one(id, view):
    return float(value(id, view)[0, 0])


@pytest.fixture(scope="module")
def hour(make_view: Make) -> View:
    return make_view(symbols=1, windows=HOUR)


def cells(*last, before=0.0, length=61):
    """(length, 1): `before`, then these."""
    return np.array([before] * (length - len(last)) + list(last))[:, None]


def still(edit, hour, **spans):
    """Sixty hours from 9.99 to 10.01 that end where they began; ATR 0.02."""
    flat = {"open": 10.0, "close": 10.0, "high": 10.01, "low": 9.99}
    return edit(hour, spans=flat | spans)


def test_bids_that_flicker_are_not_believed(edit, hour) -> None:
    book = {"bid_taken": 1.0, "ask_taken": 1.0, "bid_50": 9.0, "ask_50": 9.0}
    view = edit(hour, spans=book | {"bid_cancelled": 30.0, "ask_cancelled": 10.0})
    assert one("liquidity_authenticity", view) == pytest.approx(10 / 40 - 10 / 20)


def test_a_sound_trend_is_not_exhausted_and_a_tired_one_is(edit, hour) -> None:
    deltas = np.where(np.arange(61) % 2, 1.0, -1.0)[:, None]
    flow = {"buy": 2 + deltas, "sell": 2 - deltas}
    rise = still(edit, hour, close=cells(10.02, before=10.0), **flow)
    path = 10.0 + 0.02 / 12 * np.clip(np.arange(-107, 13), 0, None)[:, None]
    sound = edit(
        rise, bars={"close": path, "buy": 3.0, "sell": 1.0},
        spans={"buy": flow["buy"] + cells(4.0), "sell": flow["sell"]},
    )  # fmt: skip
    assert one("trend_exhaustion", sound) == pytest.approx(0.0, abs=1e-9)
    # all the way in the first half, no volume in the second, and sellers at the end
    path = 10.0 + 0.02 / 6 * np.clip(np.arange(-107, 13), 0, 6)[:, None]
    volume = np.where(np.arange(120) >= 114, 0.0, 1.0)[:, None]
    bars = {"close": path, "buy": volume, "sell": volume}
    tired = edit(rise, bars=bars, spans={"buy": 1.0, "sell": 3.0})
    assert one("trend_exhaustion", tired) == pytest.approx(-1.0)


def test_crowded_shorts_under_a_near_cluster_are_a_setup(edit, hour) -> None:
    wave = np.tile([0.1, -0.1], 31)[:61][:, None]
    shorts = {"funding": wave + cells(-0.4), "global_accounts": wave + cells(-0.4)}
    view = still(edit, hour, **shorts, oi=np.arange(1.0, 62.0)[:, None])
    cluster = np.zeros((100, 1))
    cluster[2] = 5.0
    near = edit(view, liquidations={"above": cluster, "below": 0.0})
    far = edit(view, liquidations={"above": cluster[::-1], "below": cluster})
    # both are 3 deviations of 0.1 below their mean of 0; open interest is at its highest
    assert one("squeeze_setup", near) == pytest.approx(3 * 0.02 / 0.0225, rel=1e-6)
    assert 0 < one("squeeze_setup", far) < one("squeeze_setup", near) / 4
    assert one("squeeze_setup", mirror(near)) == pytest.approx(-one("squeeze_setup", near))
    assert one("squeeze_setup", edit(near, liquidations={"above": 0.0})) == 0.0


def squeezed(edit, hour, liquidated=50.0, oi=90.0, close=10.05):
    wobble = np.tile([100.0, 101.0], 31)[:60].tolist()
    moves = np.tile([0.01, -0.01], 30).tolist()
    return edit(
        hour,
        spans={"open": 10.0, "close": np.array([*(10 + x for x in moves), close])[:, None],
               "buy": 50.0, "sell": 50.0, "long_liq": 0.0, "short_liq": cells(liquidated),
               "oi": np.array([*wobble, oi])[:, None]},
    )  # fmt: skip


def test_a_squeeze_that_has_run_is_read_against_it(edit, hour) -> None:
    # five deviations of price; the burst is 50 times, the fall of open interest 11 times the usual
    assert one("squeeze_exhaustion", squeezed(edit, hour)) == pytest.approx(-4.0)
    for less in ({"liquidated": 0.5}, {"oi": 101.0}, {"close": 9.95}):
        assert one("squeeze_exhaustion", squeezed(edit, hour, **less)) == 0.0


def test_a_swept_low_is_bullish_and_a_mere_low_is_not(edit, hour) -> None:
    quiet = {"long_swept": 0.0, "short_swept": 0.0}
    swept = still(edit, hour, low=cells(9.95, before=9.99), **quiet)
    atr = (13 * 0.02 + 0.06) / 14
    part = (0.04 / (0.04 + 0.1 * atr)) * (0.01 / (0.01 + 0.1 * atr))
    assert one("sweep_and_reverse", swept) == pytest.approx(0.05 / atr * part)
    broken = edit(swept, spans={"close": cells(9.96, before=10.0)})
    assert one("sweep_and_reverse", broken) == 0.0
    pocket = still(edit, hour, buy=50.0, sell=50.0, short_swept=0.0,
                   long_swept=cells(9.0), close=cells(10.01, before=10.0))  # fmt: skip
    assert one("sweep_and_reverse", pocket) == pytest.approx(0.5)


def test_a_failed_break_traps_those_who_joined(edit, hour) -> None:
    # bars of the last hour: up to 10.03, half of each beyond the top of 10.01, then back at 10
    bars = {"high": 10.03, "low": 9.99, "oi": 100 * 1.001 ** np.arange(120.0)[:, None]}
    spans = {"high": cells(10.03, before=10.01), "oi": np.tile([100.0, 101.0], 31)[:61][:, None]}
    view = edit(still(edit, hour, **spans), bars=bars)
    atr = (13 * 0.02 + 0.04) / 14
    failed = (0.02 / (0.02 + 0.1 * atr)) * (0.01 / (0.01 + 0.1 * atr))
    added, usual = 12 * 0.5 * 2 * 0.001 / 2.001, 2 / 201
    assert one("trap_detector", view) == pytest.approx(-failed * added / usual)
    assert one("trap_detector", edit(view, bars={"oi": 100.0})) == 0.0
    assert one("trap_detector", mirror(view)) > 0


def test_a_break_needs_company(edit, hour) -> None:
    wave = np.tile([1.0, -1.0], 31)[:61][:, None]
    out = {"close": cells(10.04, before=10.0), "high": cells(10.04, before=10.01)}
    view = still(edit, hour, **out, buy=10 + wave + cells(9.0), sell=10.0,
                 oi=np.array([100.0, 101.0] * 30 + [104.0])[:, None])  # fmt: skip
    alone = still(edit, hour, **out, buy=10 + wave - cells(9.0), sell=10.0, oi=100.0)
    assert one("breakout_quality", view) > 2
    assert one("breakout_quality", alone) == 0.0
    assert one("breakout_quality", still(edit, hour)) == 0.0


def test_heavy_selling_that_moves_nothing_is_absorbed(edit, hour) -> None:
    wave = np.tile([1.0, -1.0], 31)[:61][:, None]
    flow = {"buy": 2 + wave, "sell": 2 - wave, "open": 10.0, "close": 10 + 0.01 * wave}
    sold = {name: x if name == "open" else np.vstack([x[:-1], [[y]]])
            for (name, x), y in zip(flow.items(), (0.0, 8.0, 0.0, 10.0), strict=True)}  # fmt: skip
    view = edit(hour, spans=sold)
    # 8 sold would move it by 0.04 at the usual 0.01 for 2; it did not move
    assert one("absorption", view) == pytest.approx(0.04 / (0.04 + 0.001))
    moved = edit(view, spans={"close": np.vstack([sold["close"][:-1], [[9.95]]])})
    assert one("absorption", moved) == 0.0
    assert one("flow_price_divergence", moved) == pytest.approx(5.0 - 4.0)
    unsold = edit(moved, spans={"sell": flow["sell"], "buy": flow["buy"]})
    assert one("flow_price_divergence", unsold) == pytest.approx(5.0)


def test_a_crowd_within_one_sigma_is_nobody(edit, hour) -> None:
    wave = np.tile([0.1, -0.1], 31)[:61][:, None]
    crowd = {"funding": wave + cells(0.2), "global_accounts": wave + cells(0.2), "index": 10.0}
    view = still(edit, hour, **crowd, mark=10 + wave + cells(0.2), oi=np.arange(61.0)[:, None])
    assert one("positioning_crowding", view) == pytest.approx(-2.0)
    calm = edit(view, spans={"funding": wave, "global_accounts": wave, "mark": 10 + wave})
    assert one("positioning_crowding", calm) == 0.0


def consensus(view, **scores):
    """Flow consensus where each category's cards all score this; NaN: not available."""
    first = view.first
    table = [scores.get(name, 0.9) for name in first.categories]
    by_window = np.broadcast_to(np.array(table)[:, None, None], first.by_window.shape)
    return value("flow_consensus", replace(view, first=replace(first, by_window=by_window)))


@pytest.mark.parametrize(
    ("scores", "want"),
    [
        ((0.6, 0.3, 0.3), 0.4),
        ((-0.6, -0.3, -0.3), -0.4),
        ((0.6, 0.3, -0.3), 0.0),
        ((0.6, 0.6, 0.0), 0.0),
        ((0.6, 0.6, 0.025), 1.225 / 3 / 2),
        ((0.6, 0.3, np.nan), 0.3),
        ((0.6, np.nan, np.nan), np.nan),
    ],
)
def test_three_kinds_of_flow_agree_or_say_nothing(scores, want, make_view: Make) -> None:
    named = dict(zip(("order_flow", "smart_money", "derivatives"), scores, strict=True))
    got = consensus(make_view(), **named)
    np.testing.assert_allclose(got, np.full((3, 6, 3), want), atol=1e-12)


def test_consensus_of_a_small_card_set(make_view: Make) -> None:
    view = make_view()
    first = view.first
    kept = replace(
        first, cards=first.cards[:2], categories=first.categories[:2],
        by_window=first.by_window[:, :2], weight=first.weight[:, :2],
    )  # fmt: skip
    assert np.isnan(value("flow_consensus", replace(view, first=kept))).all()
