"""How symbols move together: beta and correlation over the last 60 whole windows."""

from functools import lru_cache

import numpy as np

from engine.cards.measure import TINY, clip, market_leader, summed
from engine.market.view import Array, View

LEAST = 20  # whole windows that both must know
BETA_SPAN = 3600


@lru_cache(maxsize=1)
def returns(view: View) -> Array:
    """Log return of each of the last 60 whole windows, oldest first, (W, 60, S)."""
    return view.spans.close[:, 1:] - view.spans.close[:, :-1]


@lru_cache(maxsize=1)
def betas(view: View) -> Array:
    """Least-squares slope of each symbol's window returns on BTC's, (W, S).

    NaN with fewer than 20 windows known to both, or without BTC; 1 for BTC itself.
    """
    place = market_leader(view)
    if place is None:
        return np.full((len(view.windows), len(view.symbols)), np.nan)
    moves = returns(view)
    return slope(moves, moves[:, :, place, None])


def slope(y: Array, x: Array) -> Array:
    """Least-squares slope along axis 1 of y on x over what both know, 20 values at least."""
    known = (y == y) & (x == x)
    n = summed(known)
    a, b = np.where(known, x, 0.0), np.where(known, y, 0.0)
    count = np.maximum(n, 1.0)
    mean_a, mean_b = summed(a) / count, summed(b) / count
    covariance = summed(a * b) / count - mean_a * mean_b
    variance = summed(a * a) / count - mean_a * mean_a
    usable = (n >= LEAST) & (variance > TINY**2)
    out: Array = np.where(usable, covariance / np.where(usable, variance, 1.0), np.nan)
    return out


def correlations(view: View) -> Array:
    """Correlation of the window returns of each pair of symbols, (W, S, S); NaN under 20 known."""
    moves = returns(view).swapaxes(1, 2)
    there = moves == moves
    known, x = there.astype(np.float64), np.where(there, moves, 0.0)
    n = known @ known.swapaxes(1, 2)
    count = np.maximum(n, 1.0)
    total = x @ known.swapaxes(1, 2)
    square = (x * x) @ known.swapaxes(1, 2)
    cross = x @ x.swapaxes(1, 2)
    other = total.swapaxes(1, 2)
    covariance = cross / count - total * other / count**2
    variance = square / count - (total / count) ** 2
    scale = np.sqrt(np.maximum(variance * variance.swapaxes(1, 2), 0.0))
    usable = (n >= LEAST) & (scale > TINY**2)
    out: Array = np.where(usable, covariance / np.where(usable, scale, 1.0), np.nan)
    return clip(out, -1.0, 1.0)


def beta_to_leader(view: View) -> Array:
    """Beta to BTC from the last 60 hours, (S,); NaN where it is not known."""
    spans = [window.span for window in view.windows]
    if BETA_SPAN not in spans:
        return np.full(len(view.symbols), np.nan)
    out: Array = betas(view)[spans.index(BETA_SPAN)]
    return out
