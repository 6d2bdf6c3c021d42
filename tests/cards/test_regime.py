"""Regime cards: against plain slow implementations, then markets of a known kind."""

import math
import statistics as st
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from engine.cards import regime as cards
from engine.market.view import WINDOWS, Array, View

Make = Callable[..., View]
Slow = Callable[[View, int, int], float]


def closes(view: View, w: int, s: int) -> list[float]:
    return [float(x) for x in view.bars.close[w, :, s]]


def trend(view: View, w: int, s: int) -> float:
    spans = view.spans
    atr = float(np.mean((spans.high - spans.low)[w, -14:, s]))
    return math.tanh(float(spans.close[w, -1, s] - spans.open[w, -1, s]) / atr)


def kind(view: View, w: int, s: int) -> float:
    last = closes(view, w, s)[-20:]
    straight = float(np.corrcoef(range(20), last)[0, 1]) ** 2
    share = min(max((straight - 0.2) / 0.5, 0.0), 1.0)
    z = (last[-1] - st.fmean(last)) / st.pstdev(last)
    return share * trend(view, w, s) - (1 - share) * z / 2


def transition(view: View, w: int, s: int) -> float:
    """One step of Hamilton's filter, bar by bar."""
    r = [float(x) * 1e4 for x in np.diff(view.bars.close[w, :, s])]
    local = [st.fmean(x * x for x in r[k - 7 : k + 1]) for k in range(8, len(r) - 3)]
    own = [r[k] ** 2 for k in range(8, len(r) - 3)]
    mean = st.fmean(local)
    high = [v > mean for v in local]
    wild = st.fmean(x for x, h in zip(own, high, strict=True) if h)
    calm = st.fmean(x for x, h in zip(own, high, strict=True) if not h)
    pairs = list(pairwise(high))
    up = (sum(b and not a for a, b in pairs) + 1) / (high.count(False) + 2)
    down = (sum(a and not b for a, b in pairs) + 1) / (high.count(True) + 2)
    three = r[-3:]

    def likelihood(variance: float) -> float:
        return math.prod(math.exp(-x * x / variance / 2) / math.sqrt(variance) for x in three)

    def after(chance: float, other: float, same: float) -> float:
        return chance * other / (chance * other + (1 - chance) * same)

    odds = likelihood(wild) / likelihood(calm) if wild > calm else 1.0
    was = local[-1] ** 2 / (local[-1] ** 2 + mean**2)
    left = (1 - was) * after(1 - (1 - up) ** 3, odds, 1.0)
    left += was * after(1 - (1 - down) ** 3, 1.0, odds)
    return left * math.tanh(sum(three) / math.sqrt(3 * mean))


def liquidity(view: View, w: int, s: int) -> float:
    spans = view.spans
    spread, depth = spans.spread[w, :, s], (spans.bid_50 + spans.ask_50)[w, :, s]
    d = (spans.buy - spans.sell)[w, :, s]
    thin = math.log(spread[-1] / spread[:-1].mean()) - math.log(depth[-1] / depth[:-1].mean())
    return math.tanh(thin / 2) * math.tanh(float(d[-1]) / math.sqrt(np.mean(d[:-1] ** 2)))


def efficiency(view: View, w: int, s: int) -> float:
    n = WINDOWS[w].span // WINDOWS[w].bar
    last = closes(view, w, s)[-n - 1 :]
    return (last[-1] - last[0]) / sum(abs(b - a) for a, b in pairwise(last))


REFERENCES: dict[str, Slow] = {
    "market_regime": kind,
    "regime_transition": transition,
    "liquidity_regime": liquidity,
    "trend_range_score": efficiency,
}


def value(name: str, view: View) -> Array:
    found: Array = getattr(cards, name)(view)
    return found


@pytest.mark.parametrize("name", REFERENCES)
def test_plain_reference(name: str, make_view: Make) -> None:
    for seed in range(4):
        view = make_view(seed)
        want = [[REFERENCES[name](view, w, s) for s in range(3)] for w in range(6)]
        np.testing.assert_allclose(value(name, view), want, rtol=1e-6, atol=1e-9)


def bars(step: Array) -> dict[str, Array]:
    """Bars whose closes take these steps (119,), the same in all windows and symbols."""
    close = np.concatenate([[0.0], np.cumsum(step)])[None, :, None] + 10.0
    opened = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    return {"open": opened, "close": close, "high": np.maximum(opened, close),
            "low": np.minimum(opened, close)}  # fmt: skip


RISEN = {"open": 10.0, "close": 10.01, "high": 10.01, "low": 10.0}


def test_a_straight_rise_is_followed_and_a_stretched_range_faded(
    make_view: Make, edit: Make
) -> None:
    up = edit(make_view(), bars=bars(np.full(119, 1e-3)), spans=RISEN)
    np.testing.assert_allclose(value("market_regime", up), math.tanh(1.0))
    np.testing.assert_allclose(value("trend_range_score", up), 1.0)
    to_and_fro = 1e-3 * np.where(np.arange(119) % 2, -1.0, 1.0)
    top = edit(make_view(), bars=bars(to_and_fro), spans=RISEN)
    assert (value("market_regime", top) < -0.3).all()
    assert (np.abs(value("trend_range_score", top)) < 0.2).all()


def test_a_burst_out_of_calm_goes_on_with_the_break(make_view: Make, edit: Make) -> None:
    rng = np.random.default_rng(0)
    step = 1e-4 * rng.normal(size=119)
    step[30:50] *= 10
    calm = value("regime_transition", edit(make_view(), bars=bars(step)))
    step[-3:] = 1e-3
    up = value("regime_transition", edit(make_view(), bars=bars(step)))
    step[-3:] = -1e-3
    down = value("regime_transition", edit(make_view(), bars=bars(step)))
    assert (up > 0.9).all()
    np.testing.assert_allclose(down, -up, rtol=0.05)
    assert (np.abs(calm) < 0.1).all()


def test_flow_counts_in_a_thin_book_and_is_doubted_in_a_thick_one(
    make_view: Make, edit: Make
) -> None:
    flat = {"spread": 1.0, "bid_50": 1e6, "ask_50": 1e6, "buy": 1e5, "sell": 9e4}

    def scene(depth: float, bought: float) -> Array:
        now = {name: np.full((6, 61, 3), x) for name, x in flat.items()}
        now["bid_50"][:, -1] = now["ask_50"][:, -1] = depth
        now["buy"][:, -1] = bought
        return value("liquidity_regime", edit(make_view(), spans=now))

    assert (scene(2e5, 2e5) > 0.5).all()
    assert (scene(5e6, 2e5) < -0.5).all()
    assert (scene(2e5, 1e4) < -0.5).all()
    np.testing.assert_allclose(scene(1e6, 2e5), 0.0, atol=1e-12)


def test_still_markets_have_no_side(make_view: Make, edit: Make) -> None:
    flat = edit(make_view(), bars=bars(np.zeros(119)), spans={**RISEN, "close": 10.0})
    for name in ("market_regime", "regime_transition", "trend_range_score"):
        assert (value(name, flat) == 0).all(), name
