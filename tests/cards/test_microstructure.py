"""Microstructure: plain references, least squares by a library, and the sign of obvious cases."""

import statistics
from collections.abc import Callable

import numpy as np
import pytest

from engine.cards.card import registry
from engine.market.mirror import mirror
from engine.market.view import Array, View

Make = Callable[..., View]
CARDS = {c.id: c for c in registry() if c.category == "microstructure"}
INPUTS = {
    "trade_arrival_rate": ("buys", "sells"),
    "tick_run": ("up_runs", "down_runs"),
    "sweep_detector": ("sweep_buy", "sweep_sell", "buy", "sell"),
    "quote_flicker": (
        "bid_added",
        "bid_cancelled",
        "bid_50",
        "ask_added",
        "ask_cancelled",
        "ask_50",
    ),
    "effective_spread": ("paid_buy", "paid_sell", "buy", "sell"),
    "iceberg_refill": ("bid_hidden", "ask_hidden", "buy", "sell"),
}


def value(name: str, view: View) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return CARDS[name].compute(view)


def at(view: View, w: int, s: int, *names: str) -> list[float]:
    return [float(getattr(view.spans, n)[w, -1, s]) for n in names]


def before(view: View, w: int, s: int, *names: str) -> float:
    return statistics.fmean(sum(getattr(view.spans, n)[w, h, s] for n in names) for h in range(60))


def slow_impact(view: View, w: int, s: int) -> float:
    """Normal equations of r = a + b d + c |d|, the variance of |d| up by a tenth."""
    close = view.bars.close[w, -61:, s]
    d = (view.bars.buy - view.bars.sell)[w, -60:, s]
    x = np.stack([d, np.abs(d)])
    x = x - x.mean(axis=1, keepdims=True)
    r = np.diff(close) - np.diff(close).mean()
    gram = x @ x.T
    gram[1, 1] *= 1.1
    slope = np.linalg.solve(gram, x @ r)[1]
    return float(2 * slope * np.std(np.abs(d)) / np.std(r))


def slow_arrival(view: View, w: int, s: int) -> float:
    buys, sells = at(view, w, s, "buys", "sells")
    return (buys - sells) / before(view, w, s, "buys", "sells")


def slow_runs(view: View, w: int, s: int) -> float:
    up, down = at(view, w, s, "up_runs", "down_runs")
    return (up - down) / (up + down)


def slow_sweeps(view: View, w: int, s: int) -> float:
    buy, sell = at(view, w, s, "sweep_buy", "sweep_sell")
    return (buy - sell) / before(view, w, s, "buy", "sell")


def slow_flicker(view: View, w: int, s: int) -> float:
    sides = []
    for side in ("ask", "bid"):
        added, gone, depth = at(view, w, s, *(f"{side}_{x}" for x in ("added", "cancelled", "50")))
        sides.append(min(added, gone) / depth)
    return (sides[0] - sides[1]) / sum(sides)


def slow_spread(view: View, w: int, s: int) -> float:
    paid_buy, paid_sell, buy, sell = at(view, w, s, "paid_buy", "paid_sell", "buy", "sell")
    little = 0.01 * statistics.fmean((view.spans.buy + view.spans.sell)[w, :, s])
    mean = (paid_buy + paid_sell) / (buy + sell)
    bought = (paid_buy + little * mean) / (buy + little)
    return 2e4 * (bought - (paid_sell + little * mean) / (sell + little))


def slow_hidden(view: View, w: int, s: int) -> float:
    bid, ask, buy, sell = at(view, w, s, "bid_hidden", "ask_hidden", "buy", "sell")
    return (bid - ask) / (buy + sell)


REFERENCES = {
    "price_impact": slow_impact,
    "trade_arrival_rate": slow_arrival,
    "tick_run": slow_runs,
    "sweep_detector": slow_sweeps,
    "quote_flicker": slow_flicker,
    "effective_spread": slow_spread,
    "iceberg_refill": slow_hidden,
}


@pytest.mark.parametrize("name", CARDS)
def test_plain_reference(name: str, make_view: Make) -> None:
    for seed in range(4):
        view = make_view(seed)
        want = [[REFERENCES[name](view, w, s) for s in range(3)] for w in range(6)]
        np.testing.assert_allclose(value(name, view), want, rtol=1e-8, atol=1e-12)


def market(make_view: Make, buys_move: float, sells_move: float, drift: float = 0.0) -> View:
    """One symbol whose price moves that far for each unit that is net bought, or net sold."""
    rng = np.random.default_rng(3)
    d = rng.normal(0, 1, (120, 1))
    noise = rng.normal(0, 0.1, d.shape)
    move = np.where(d > 0, buys_move, sells_move) * d + noise + drift
    close = np.cumsum(move, axis=0)
    flow = {"buy": np.maximum(d, 0), "sell": np.maximum(-d, 0)}
    return make_view(symbols=1, bars={"close": close, **flow})


def test_the_side_that_moves_price_more(make_view: Make) -> None:
    even = value("price_impact", market(make_view, 1.0, 1.0))
    buyers = value("price_impact", market(make_view, 2.0, 0.5))
    assert (np.abs(even) < 0.15).all()
    assert (buyers > 0.3).all()
    np.testing.assert_allclose(value("price_impact", mirror(market(make_view, 2.0, 0.5))), -buyers)
    # a drift that has nothing to do with flow changes nothing
    drifting = value("price_impact", market(make_view, 2.0, 0.5, drift=3.0))
    np.testing.assert_allclose(drifting, buyers, rtol=1e-6)


def test_one_sided_flow_tells_nothing_of_the_other_side(make_view: Make) -> None:
    d = np.abs(np.random.default_rng(4).normal(0, 1, (120, 1)))
    view = make_view(symbols=1, bars={"close": np.cumsum(d, axis=0), "buy": d, "sell": 0.0})
    np.testing.assert_allclose(value("price_impact", view), 0, atol=1e-9)


def test_standing_still_is_nothing_to_compare(make_view: Make) -> None:
    names = {n for fields in INPUTS.values() for n in fields}
    still = make_view(spans=dict.fromkeys(names, 0.0), bars={"close": 5.0})
    for name in CARDS:
        np.testing.assert_array_equal(value(name, still), np.zeros((6, 3)))
    np.testing.assert_array_equal(
        value("price_impact", make_view(bars={"buy": 7.0, "sell": 3.0})), np.zeros((6, 3))
    )


def test_impact_needs_thirty_moves(make_view: Make) -> None:
    assert np.isnan(value("price_impact", make_view(known_bars=30))).all()
    assert np.isfinite(value("price_impact", make_view(known_bars=31))).all()


@pytest.mark.parametrize("name", INPUTS)
def test_each_input_missing_is_not_known(name: str, make_view: Make, edit: Make) -> None:
    view = make_view(1)
    for field in INPUTS[name]:
        assert np.isnan(value(name, edit(view, spans={field: np.nan}))).all(), field


SIGNS = {
    "trade_arrival_rate": ({"buys": 30.0, "sells": 10.0}, 0.5),
    "tick_run": ({"up_runs": 9.0, "down_runs": 3.0}, 0.5),
    "sweep_detector": ({"sweep_buy": 5.0, "sweep_sell": 1.0, "buy": 10.0, "sell": 10.0}, 0.2),
    "quote_flicker": (
        {"ask_added": 90.0, "ask_cancelled": 60.0, "ask_50": 20.0}
        | {"bid_added": 20.0, "bid_cancelled": 90.0, "bid_50": 20.0},
        0.5,
    ),
    "effective_spread": ({"paid_buy": 2e-3, "paid_sell": 1e-3, "buy": 10.0, "sell": 10.0}, 2.0),
    "iceberg_refill": ({"bid_hidden": 4.0, "ask_hidden": 0.0, "buy": 10.0, "sell": 10.0}, 0.2),
}


@pytest.mark.parametrize("name", SIGNS)
def test_sign_and_size(name: str, make_view: Make) -> None:
    spans, want = SIGNS[name]
    found = value(name, make_view(spans=spans))
    np.testing.assert_allclose(found, want, rtol=0.03)
    np.testing.assert_allclose(value(name, mirror(make_view(spans=spans))), -found)


def test_a_side_that_hardly_traded_tells_nothing_of_its_spread(make_view: Make) -> None:
    """One tiny sale at a bad price is no urgency to sell."""
    spans = {"buy": 1e6, "paid_buy": 1e6 * 1e-4, "sell": 1.0, "paid_sell": 1e-2}
    found = value("effective_spread", make_view(spans=spans))
    assert (np.abs(found) < 0.05).all()
