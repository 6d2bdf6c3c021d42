"""Smoothing and volatility over bars that cards share; holds no card itself.

Lanes are (window, symbol) pairs, arrays (W, N, S). Every lane is brought into one form first:
known bars at the end, so that any indicator starts at the lane's own first known bar.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.cards.measure import known_mean, over, summed
from engine.market.view import Array, View, Window

Mask = NDArray[np.bool_]
Count = NDArray[np.int64]

WILDER = 14
_DECAY = 1 - 1 / WILDER
# A running sum of n squares is exact to about n eps; a variance below this share of it is 0.
_ROUNDING = 1e-13


class Candles(NamedTuple):
    """Bars (W, N, S) without NaN, and how many of each lane are known (W, S).

    Unknown bars stand in front, flat at the first known close, so that they add nothing to sums of
    differences. Bars missing in between are closed up, as trading days are in daily charts.
    A lane whose current bar is unknown has no known bar.
    """

    open: Array
    high: Array
    low: Array
    close: Array
    known: Count


class Volatility(NamedTuple):
    """Rolling Yang-Zhang volatility (W, N, S) over `length` (W, 1) bars.

    Known at the last `known` (W, S) bars, 0 before them; `squares` is its square.
    """

    sigma: Array
    squares: Array
    length: Count
    known: Count


@lru_cache(maxsize=1)
def candles(view: View) -> Candles:
    """The view's bars in the form of `Candles`."""
    bars = view.bars
    together = bars.open + bars.high + bars.low + bars.close
    known = together == together
    if known.all():
        whole = np.full(known[:, 0].shape, known.shape[1])
        return Candles(bars.open, bars.high, bars.low, bars.close, whole)
    known &= known[:, -1:]
    lanes = np.nonzero((known[:, :-1] & ~known[:, 1:]).any(axis=1))
    order = np.argsort(known[lanes[0], :, lanes[1]], axis=1, kind="stable")
    number = known.sum(axis=1)
    unknown = np.arange(known.shape[1])[:, None] < (known.shape[1] - number)[:, None]
    close = _closed_up(bars.close, lanes, order)
    seed = np.take_along_axis(close, np.minimum(-number, -1)[:, None] % known.shape[1], axis=1)
    seed[number[:, None] == 0] = 0.0
    prices = (_closed_up(x, lanes, order) for x in (bars.open, bars.high, bars.low))
    opened, high, low, close = (np.where(unknown, seed, x) for x in (*prices, close))
    return Candles(opened, high, low, close, number)


def _closed_up(x: Array, lanes: tuple[Count, ...], order: Count) -> Array:
    """x with the bars of these lanes put in this order."""
    if not order.size:
        return x
    out = x.copy()
    at = lanes[0], slice(None), lanes[1]
    out[at] = np.take_along_axis(x[at], order, axis=1)
    return out


def at_least(bars: int | Count, value: Array, known: Count) -> Array:
    """`value` (W, S) where that many bars are known, NaN elsewhere."""
    return np.where(known >= bars, value, np.nan)


def latest(bars: int | Count, total: int) -> Array:
    """1 for the last so many of `total` bars, 0 for those before, (W, N) for bars (W, 1)."""
    return (np.arange(total) >= total - np.asarray(bars)).astype(np.float64)


def weighted(weight: Array, x: Array) -> Array:
    """Sum of x (W, N, S) over the bars with weights (N,), (W, N) or (W, N, S); (W, S)."""
    if weight.ndim == 3:
        return summed(weight * x)
    out: Array = weight @ x if weight.ndim == 1 else (weight[:, None] @ x)[:, 0]
    return out


def window_return(view: View) -> Array:
    """Log return over the window, (W, S)."""
    return view.spans.close[:, -1] - view.spans.open[:, -1]


@lru_cache(maxsize=1)
def realised(view: View) -> Array:
    """Root mean square of the up to 60 window returns before this one (eight at least), (W, S).

    About zero, not about their mean: a steady drift is movement too.
    """
    past = view.spans.close[:, :-1] - view.spans.open[:, :-1]
    return np.sqrt(known_mean(past**2, least=8))


def emas(bars: Candles, lengths: tuple[int, ...]) -> Array:
    """Last EMA of the close minus the first known close (W, lengths, S), seeded at that close."""
    out: Array = _ema_weights(lengths, bars.close.shape[1]) @ (bars.close - bars.close[:, :1])
    return out


@lru_cache
def _ema_weights(lengths: tuple[int, ...], total: int) -> Array:
    """Weights (lengths, N) of the last EMA over bars whose first is 0, oldest first."""
    alpha = 2 / (np.array(lengths)[:, None] + 1)
    out: Array = alpha * (1 - alpha) ** np.arange(total - 1, -1, -1)
    return out


def wilder(x: Array, known: Count, start: int = 1, seed: int = WILDER) -> Array:
    """Wilder's 14-bar mean y = y' + (x - y')/14 of x (W, N, S) at the last bar, (W, S).

    `start`: the lane's first known bar that has an x; the mean starts as the sum of the first
    `seed` of them over 14, so it is whole from start + seed known bars on.
    Source: Wilder, New Concepts in Technical Trading Systems (1978).
    """
    total = x.shape[1]
    out: Array = weighted(_rows(_wilder(total, start, seed), known), x) * _DECAY ** (total - 1)
    return out


def wilder_norm(x: Array, known: Count) -> Array:
    """Mean of `wilder` at all earlier bars where it is whole, (W, S); from 16 known bars on."""
    return weighted(_rows(_wilder_norm(x.shape[1]), known), x)


def wilder_ratio(
    top: Array, bottom: Array, known: Count, seed: int = WILDER, bars: int | None = None
) -> Array:
    """Wilder's mean of one over that of the other at each of the last `bars` (default: all).

    0 where the bottom is. Both decay alike, so the sums of what they take in have the same ratio.
    """
    weight = _rows(_wilder(top.shape[1], 1, seed), known)
    above, below = (_running(x, weight, bars or x.shape[1]) for x in (top, bottom))
    return over(above, below)


def _running(x: Array, weight: Array, bars: int) -> Array:
    """Weighted running sum of x at its last bars."""
    early = x.shape[1] - bars
    out: Array = np.cumsum(x[:, early:] * weight[:, early:], axis=1)
    if early:
        out += weighted(weight[:, :early], x[:, :early])[:, None]
    return out


@lru_cache
def _wilder(total: int, start: int, seed: int) -> Array:
    """What Wilder's mean takes in of each bar before decay, by known bars: (N + 1, N)."""
    bar = np.arange(total)
    age = bar - (total - np.arange(total + 1)[:, None])
    early = np.maximum(start + seed - 1 - age, 0)
    return np.where(age >= start, _DECAY ** -(bar + early) / WILDER, 0.0)


@lru_cache
def _wilder_norm(total: int) -> Array:
    """Weights of the mean of all but the last of Wilder's means, by known bars: (N + 1, N)."""
    bar = np.arange(total)
    whole = bar - (total - np.arange(total + 1)[:, None]) >= WILDER
    decay = np.where(whole & (bar < total - 1), _DECAY**bar, 0.0)
    number = np.maximum(np.count_nonzero(decay, axis=1), 1)[:, None]
    out: Array = _wilder(total, 1, WILDER) * np.cumsum(decay[:, ::-1], axis=1)[:, ::-1] / number
    return out


def _rows(table: Array, known: Count) -> Array:
    """A row for each lane, (W, N, S); one for all, (1, N, 1), where as many bars are known."""
    number = int(known.flat[0])
    if (known == number).all():
        return np.asarray(table[number])[None, :, None]
    return np.asarray(table[known]).transpose(0, 2, 1)


@lru_cache(maxsize=1)
def true_range(view: View) -> Array:
    """max(high, previous close) - min(low, previous close), (W, N, S); the first is 0."""
    bars = candles(view)
    out = np.zeros_like(bars.close)
    before = bars.close[:, :-1]
    top, bottom = np.maximum(bars.high[:, 1:], before), np.minimum(bars.low[:, 1:], before)
    np.subtract(top, bottom, out=out[:, 1:])
    return out


@lru_cache(maxsize=1)
def wilder_atr(view: View) -> Array:
    """Wilder's ATR(14) in log price at the last bar (W, S), from 15 known bars on."""
    return wilder(true_range(view), candles(view).known)


def directional_movement(bars: Candles) -> tuple[Array, Array]:
    """Wilder's +DM and -DM of every bar, (W, N, S); the first is 0."""
    plus, minus = np.zeros_like(bars.high), np.zeros_like(bars.low)
    up = bars.high[:, 1:] - bars.high[:, :-1]
    down = bars.low[:, :-1] - bars.low[:, 1:]
    np.multiply(np.maximum(up, 0.0), up > down, out=plus[:, 1:])
    np.multiply(np.maximum(down, 0.0), down > up, out=minus[:, 1:])
    return plus, minus


@lru_cache
def stretch(windows: tuple[Window, ...]) -> Count:
    """Bars a volatility is measured over, (W, 1): those of the window, 14 at least."""
    return np.array([max(w.span // w.bar, WILDER) for w in windows])[:, None]


@lru_cache(maxsize=1)
def yang_zhang(view: View) -> Volatility:
    """Yang-Zhang volatility per bar over the last n = max(span / bar, 14) bars, at every bar.

    sigma^2 = var(open - previous close) + k var(close - open) + (1 - k) mean of Rogers-Satchell,
    k = 0.34 / (1.34 + (n + 1)/(n - 1)); needs n + 1 bars.

    Source: Yang, Zhang, Drift Independent Volatility Estimation (2000).
    """
    lengths = stretch(view.windows)
    bars = candles(view)
    n = lengths[:, :, None]
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    body, up, down = bars.close - bars.open, bars.high - bars.open, bars.low - bars.open
    squares = up * (up - body) + down * (down - body)
    squares *= (1 - k) * (n - 1) / n
    squares += k * body * body
    gap = bars.open[:, 1:] - bars.close[:, :-1]
    squares[:, 1:] += gap * gap
    energy = np.cumsum(squares, axis=1)
    bodies = _since(np.cumsum(body, axis=1), lengths)
    gaps = _since(bars.close, lengths) - bodies
    variance = _since(energy, lengths) - (gaps * gaps + k * bodies * bodies) / n
    known = np.maximum(bars.known - lengths, 0)
    sure = np.arange(body.shape[1])[:, None] >= body.shape[1] - known[:, None]
    sure &= variance > _ROUNDING * energy
    variance *= sure / (n - 1)
    return Volatility(np.sqrt(variance), variance, lengths, known)


def _since(x: Array, lengths: Count) -> Array:
    """x (W, N, S) at each bar minus x so many bars (W, 1) before, 0 at the first of them."""
    out = np.zeros_like(x)
    for row, n in enumerate(lengths.flat):
        np.subtract(x[row, n:], x[row, :-n], out=out[row, n:])
    return out
