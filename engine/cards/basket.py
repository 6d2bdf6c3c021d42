"""The symbols as one market: BTC, the rest beside it, how many rise; holds no card itself.

Several cards ask the same of one view, so the last answer is kept; nobody writes into it.
"""

from functools import lru_cache

import numpy as np

from engine.cards.measure import direction, known_mean, market_leader, over, usual_volume
from engine.cards.peers import returns
from engine.market.view import Array, View, Window

BPS = 1e4
LEAST_BARS = 30


def leader(view: View, x: Array) -> Array:
    """BTC's column of x (W, N, S), (W, N, 1); NaN without BTC."""
    place = market_leader(view)
    return np.full_like(x[:, :, :1], np.nan) if place is None else x[:, :, place : place + 1]


def not_leader(view: View, x: Array) -> Array:
    """x (W, S) with NaN for BTC, of which the card cannot speak."""
    place = market_leader(view)
    out = x.copy()
    if place is not None:
        out[:, place] = np.nan
    return out


@lru_cache(maxsize=1)
def breadth(view: View) -> Array:
    """Mean side of the symbols, -1..+1, weighted by the root of their usual notional; (W, 1).

    A symbol's side is tanh(window return / window ATR); two symbols at least.
    """
    side = direction(view)
    weight = np.sqrt(usual_volume(view))
    known = (side == side) & (weight == weight)
    total = np.where(known, side * weight, 0.0).sum(axis=1)
    mean = over(total, np.where(known, weight, 0.0).sum(axis=1))
    return np.where(known.sum(axis=1) >= 2, mean, np.nan)[:, None]


def rest(view: View) -> Array:
    """Mean window return of the symbols beside BTC, (W, 60, 1); two known at least."""
    place = market_leader(view)
    chosen = [n for n in range(len(view.symbols)) if n != place]
    across = returns(view)[:, :, chosen].swapaxes(1, 2)
    return known_mean(across, least=min(2, max(len(chosen), 1)))[:, :, None]


@lru_cache(maxsize=1)
def bar_moves(view: View) -> Array:
    """Log return of each bar but the first, in bps, (W, N - 1, S)."""
    return (view.bars.close[:, 1:] - view.bars.close[:, :-1]) * BPS


def dots(x: Array, y: Array) -> Array:
    """Sums over the bars of x (W, N) times y (W, N, S), (W, S)."""
    out: Array = (x[:, None] @ y)[:, 0]
    return out


@lru_cache
def followed(windows: tuple[Window, ...]) -> Array:
    """Bars of each window that make up its last 10 to 60 s, ten at most, (W, 1)."""
    return np.array([[max(1, min(10, 60 // w.bar))] for w in windows])
