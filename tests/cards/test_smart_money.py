"""Smart money cards: against plain slow implementations, then scenes worked by hand."""

import math
import statistics
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from engine.cards import smart_money as cards
from engine.market.view import Array, View

Make = Callable[..., View]
Slow = Callable[[View, int, int], float]


def lane(view: View, field: str, w: int, s: int) -> list[float]:
    return [float(x) for x in getattr(view.spans, field)[w, :, s]]


def above_mean(field: str) -> Slow:
    def measure(view: View, w: int, s: int) -> float:
        *before, now = lane(view, field, w, s)
        return now - statistics.fmean(before)

    return measure


def anchored(field: str) -> Slow:
    def measure(view: View, w: int, s: int) -> float:
        before, now = lane(view, field, w, s)[-2:]
        return now - float(getattr(view.calendar, f"{field}_open")[s]) + now - before

    return measure


def gap(left: str, right: str) -> Slow:
    return lambda view, w, s: lane(view, left, w, s)[-1] - lane(view, right, w, s)[-1]


def large_prints(view: View, w: int, s: int) -> float:
    buys, sells = lane(view, "huge_buy", w, s), lane(view, "huge_sell", w, s)
    both = [b + c for b, c in zip(buys, sells, strict=True)]
    return (buys[-1] - sells[-1]) / (both[-1] + statistics.fmean(both[:-1]))


def whales(view: View, w: int, s: int) -> float:
    venues = view.venues
    bought = sold = 0.0
    for place, dex in enumerate(venues.dex):
        if dex:
            bought += float(venues.buy[place, w, s])
            sold += float(venues.sell[place, w, s])
    lean = (bought - sold) / (bought + sold)
    return math.copysign(lean * lean, lean)


def z(x: list[float]) -> float:
    return x[-1] / math.sqrt(statistics.fmean(v * v for v in x[:-1]))


def steps(x: list[float]) -> list[float]:
    return [b - a for a, b in pairwise(x)]


def grown(x: list[float]) -> list[float]:
    return [2 * (b - a) / (a + b) for a, b in pairwise(x)]


def accumulated(view: View, w: int, s: int) -> float:
    highs, lows = lane(view, "high", w, s)[-14:], lane(view, "low", w, s)[-14:]
    atr = statistics.fmean(h - low for h, low in zip(highs, lows, strict=True))
    move = lane(view, "close", w, s)[-1] - lane(view, "open", w, s)[-1]
    drift = z(steps(lane(view, "top_positions", w, s)))
    opened = max(z(grown(lane(view, "oi", w, s))), 0.0)
    return drift * opened * math.exp(-((move / (atr / 2)) ** 2))


REFERENCES: dict[str, Slow] = {
    "anchored_top_accounts": anchored("top_accounts"),
    "anchored_top_positions": anchored("top_positions"),
    "top_account_ratio": above_mean("top_accounts"),
    "top_position_ratio": above_mean("top_positions"),
    "top_vs_global_gap": gap("top_accounts", "global_accounts"),
    "account_position_gap": gap("top_positions", "top_accounts"),
    "large_print_bias": large_prints,
    "dex_whale_net": whales,
    "accumulation_distribution": accumulated,
}


def value(name: str, view: View) -> Array:
    found: Array = getattr(cards, name)(view)
    return found


@pytest.mark.parametrize("name", REFERENCES)
def test_plain_reference(name: str, make_view: Make) -> None:
    for seed in range(4):
        view = make_view(seed)
        want = [[REFERENCES[name](view, w, s) for s in range(3)] for w in range(6)]
        np.testing.assert_allclose(value(name, view), want, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("who", ["accounts", "positions"])
def test_top_traders_who_turned_long_since_the_open_are_bullish(
    who: str, make_view: Make, edit: Make
) -> None:
    ratio = np.append(np.full(60, 0.3), 0.5)[:, None]
    view = edit(make_view(), spans={f"top_{who}": ratio}, calendar={f"top_{who}_open": 0.1})
    # 0.4 since the open, 0.2 of it in this window
    np.testing.assert_allclose(value(f"anchored_top_{who}", view), np.full((6, 3), 0.6))
    np.testing.assert_allclose(value(f"top_{who[:-1]}_ratio", view), np.full((6, 3), 0.2))


def test_an_unknown_anchor_leaves_only_the_anchored_cards_unknown(
    make_view: Make, edit: Make
) -> None:
    view = edit(make_view(), calendar={"top_accounts_open": np.nan})
    assert np.isnan(value("anchored_top_accounts", view)).all()
    assert np.isfinite(value("anchored_top_positions", view)).all()
    assert np.isfinite(value("top_account_ratio", view)).all()


def test_gaps_have_the_sign_of_the_better_informed(make_view: Make, edit: Make) -> None:
    ratios = {"top_accounts": 0.2, "top_positions": 0.5, "global_accounts": 0.9}
    view = edit(make_view(), spans=ratios)
    np.testing.assert_allclose(value("top_vs_global_gap", view), np.full((6, 3), -0.7))
    np.testing.assert_allclose(value("account_position_gap", view), np.full((6, 3), 0.3))


def test_one_lone_large_print_is_no_unanimity(make_view: Make, edit: Make) -> None:
    now = np.arange(61)[:, None] == 60
    usual = {"huge_buy": 1e6, "huge_sell": 1e6}
    lone = edit(make_view(), spans={"huge_buy": np.where(now, 5e5, 1e6), "huge_sell": 1e6 * ~now})
    np.testing.assert_allclose(value("large_print_bias", lone), np.full((6, 3), 0.2))
    balanced = edit(make_view(), spans=usual)
    np.testing.assert_allclose(value("large_print_bias", balanced), np.zeros((6, 3)))
    none = edit(make_view(), spans=dict.fromkeys(usual, 0.0))
    np.testing.assert_array_equal(value("large_print_bias", none), np.zeros((6, 3)))


def test_a_whale_outweighs_a_crowd_of_small_prints(make_view: Make, edit: Make) -> None:
    view = make_view()
    lean = np.array([0.1, -0.1, 0.8])
    of_dex = view.venues.dex[:, None, None]
    view = edit(view, venues={
        "buy": np.where(of_dex, 1 + lean, 1.0), "sell": np.where(of_dex, 1 - lean, 9.0),
    })  # fmt: skip
    np.testing.assert_allclose(
        value("dex_whale_net", view), np.tile([0.01, -0.01, 0.64], (6, 1)), rtol=1e-12
    )


def test_the_share_of_a_net_is_the_concentration_of_its_prints() -> None:
    """E[(d/v)^2] of prints on random sides is their Herfindahl index, as the card takes it."""
    rng = np.random.default_rng(1)
    for sizes in (np.ones(100), np.append(np.ones(99), 50.0)):
        d = (rng.choice([-1, 1], (20_000, 100)) * sizes).sum(axis=1)
        index = np.sum(sizes**2) / sizes.sum() ** 2
        assert np.mean((d / sizes.sum()) ** 2) == pytest.approx(index, rel=0.05)


def test_without_a_decentralised_venue_there_is_nothing_to_read(
    make_view: Make, edit: Make
) -> None:
    view = edit(make_view(), venues={"buy": np.nan})
    assert np.isnan(value("dex_whale_net", view)).all()
    quiet = edit(make_view(), venues={"buy": 0.0, "sell": 0.0})
    np.testing.assert_array_equal(value("dex_whale_net", quiet), np.zeros((6, 3)))


def test_longs_built_in_a_flat_price_are_accumulation(make_view: Make, edit: Make) -> None:
    time = np.arange(61)[:, None]
    # changes of +-0.01, twice that now; open interest +-1 %, three times that now
    ratio = np.where(time == 60, 0.02, np.where(time % 2 == 0, 0.0, 0.01))
    oi = 1e5 * np.where(time == 60, 1.03, np.where(time % 2 == 0, 1.0, 1.01))
    oi[59] = 1e5
    ratio[59] = 0.0
    flat = {"open": 10.0, "close": 10.0, "high": 10.001, "low": 9.999}
    view = edit(make_view(), spans={"top_positions": ratio, "oi": oi, **flat})
    found = value("accumulation_distribution", view)
    assert found == pytest.approx(np.full((6, 3), 6.0), rel=0.05)
    falling = edit(view, spans={"top_positions": -ratio})
    np.testing.assert_allclose(value("accumulation_distribution", falling), -found)
    running = edit(view, spans={"close": 10.002})
    assert (value("accumulation_distribution", running) < 0.02 * found).all()
    closing = edit(view, spans={"oi": 2e5 - oi})
    np.testing.assert_array_equal(value("accumulation_distribution", closing), np.zeros((6, 3)))
