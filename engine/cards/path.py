"""Price paths bar by bar, for cards of statistics, regime and risk; holds no card itself.

Unknown bars stand in front and do not move (`averages.candles`), so sums over steps leave them out.
"""

from functools import lru_cache
from math import exp, lgamma, pi, sqrt

import numpy as np

from engine.cards.averages import Count, Mask, at_least, candles
from engine.cards.basket import BPS
from engine.cards.measure import clip, over, summed
from engine.market.view import Array, View

HURST_BARS = 96
BLOCKS = (12, 32, 96)
MEAN_BARS = 20
# A variance below this share of its squares is lost in rounding.
ROUNDING = 1e-9


@lru_cache(maxsize=1)
def steps(view: View) -> Array:
    """Log return of each bar but the first, in bps, (W, N - 1, S); 0 where unknown."""
    close = candles(view).close
    return (close[:, 1:] - close[:, :-1]) * BPS


def squares(x: Array) -> Array:
    """Sum of squares along axis 1, (W, S)."""
    return summed(x * x)


@lru_cache(maxsize=1)
def stretch(view: View) -> Array:
    """z of the log close among the last 20 bars, (W, S); 0 where price stands still."""
    bars = candles(view)
    last = bars.close[:, -MEAN_BARS:]
    off = last - last.mean(axis=1, keepdims=True)
    z = over(off[:, -1], np.sqrt(squares(off) / MEAN_BARS))
    return at_least(MEAN_BARS, z, bars.known)


def straightness(view: View) -> Array:
    """R^2 of the line through the last 20 log closes, (W, S); 0 where price stands still."""
    bars = candles(view)
    last = (bars.close[:, -MEAN_BARS:] - bars.close[:, -1:]) * BPS
    time = np.arange(MEAN_BARS) - (MEAN_BARS - 1) / 2
    whole = squares(last) - summed(last) ** 2 / MEAN_BARS
    line = (time @ last) ** 2 / (time @ time)
    return at_least(MEAN_BARS, clip(over(line, np.maximum(whole, 0.0)), 0, 1), bars.known)


def rescaled_slope(view: View) -> Array:
    """Slope on log n of log R/S(n) - log of its mean for independent returns, (W, S).

    Hurst's exponent minus a half, over the last 96 steps; 0 where R/S is.
    """
    close, step = candles(view).close, steps(view)
    shape = close[:, 0].shape
    path = _by_time((close[:, -HURST_BARS - 1 :] - close[:, -1:]) * BPS)
    energy = _by_time(step[:, -HURST_BARS:]) ** 2
    ratio = np.array([_rescaled_range(path, energy, n) for n in BLOCKS])
    moved = (ratio > 0).all(axis=0)
    excess = np.log(np.where(moved, ratio, 1.0)) - _UNRELATED[:, None]
    return np.where(moved, _TILT @ excess, 0.0).reshape(shape)


def _by_time(x: Array) -> Array:
    """(W, N, S) as (N, W S): what is done along time is fastest so."""
    return np.ascontiguousarray(x.swapaxes(0, 1)).reshape(x.shape[1], -1)


def _rescaled_range(path: Array, energy: Array, n: int) -> Array:
    """Mean over blocks of n steps of the range of their path about its trend / their std.

    `path` (97, lanes): the closes; `energy`: squares of the steps between them.
    """
    shape = len(energy) // n, n, energy.shape[1]
    drift = (path[n::n] - path[:-1:n]) / n
    off = path[:-1].reshape(shape) - drift[:, None] * np.arange(n)[:, None]
    square = energy.reshape(shape).sum(axis=1)
    variance = square / n - drift * drift
    spread = np.sqrt(np.where(variance > ROUNDING * square, variance, 0.0))
    ratio = over(off.max(axis=1) - off.min(axis=1), spread)
    out: Array = ratio.sum(axis=0) / np.maximum((ratio > 0).sum(axis=0), 1)
    return out


def _unrelated(n: int) -> float:
    """E[R/S] of n independent normal steps (Anis, Lloyd 1976)."""
    gamma = exp(lgamma((n - 1) / 2) - lgamma(n / 2)) / sqrt(pi)
    return gamma * sum(sqrt((n - i) / i) for i in range(1, n))


_UNRELATED = np.log([_unrelated(n) for n in BLOCKS])
_SIZES = np.log(BLOCKS) - np.log(BLOCKS).mean()
# What makes a least-squares slope on log n of values at each n.
_TILT = _SIZES / (_SIZES @ _SIZES)


def pattern_counts(close: Array, known: Count) -> Array:
    """How often each order of three consecutive closes (W, N, S) comes, (8, W, S).

    Two of the eight are impossible and stay 0; equal closes count half as rising, half as falling.
    """
    before, now = close[:, :-1], close[:, 1:]
    early, late = close[:, :-2], close[:, 2:]
    whole = np.arange(early.shape[1])[:, None] >= close.shape[1] - known[:, None]
    total = _tally(now >= before, late >= early, whole)
    total = total + _tally(now > before, late > early, whole)
    return total.reshape(*known.shape, 8).transpose(2, 0, 1) / 2.0


def _tally(next_up: Mask, second_up: Mask, whole: Mask) -> Count:
    """Orders by lane: 4 for a rise to the next close, 2 for the one after, 1 over both."""
    up = next_up.view(np.uint8)
    code = 4 * up[:, :-1] + 2 * up[:, 1:] + second_up.view(np.uint8)
    lanes = np.arange(whole[:, 0].size).reshape(whole[:, :1].shape) * 8
    at = code + lanes
    chosen = at.ravel() if whole.all() else at[whole]
    out: Count = np.bincount(chosen, minlength=lanes.size * 8)
    return out
