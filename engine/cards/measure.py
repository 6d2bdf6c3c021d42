"""Measures that cards of several categories share, mostly along axis 1 of (W, N, S) arrays.

NaN is what is unknown, and nothing else: where there is nothing to compare, the answer is 0.
"""

from functools import lru_cache

import numpy as np

from engine.market.view import BARS, Array, Flags, View

# Log prices leave rounding of about 1e-15 where nothing moved.
TINY = 1e-12
LEADER = "BTCUSDT"


def over(top: Array, bottom: Array) -> Array:
    """top / bottom; 0 where the bottom is 0 (nothing to compare), NaN only where one is unknown."""
    empty = np.abs(bottom) <= TINY
    if np.count_nonzero(empty):
        bottom = np.where(empty, np.inf, bottom)
    return top / bottom


def net(left: Array, right: Array) -> Array:
    """(left - right) / (left + right), -1..+1; 0 where both are empty."""
    return over(left - right, left + right)


def summed(x: Array | Flags) -> Array:
    """Sum along axis 1: a product with ones takes a quarter of the time of numpy's sum there."""
    out: Array = _ones(x.shape[1]) @ x
    return out


@lru_cache
def _ones(length: int) -> Array:
    return np.ones(length)


def rows(x: Array) -> Array:
    """(W, N, S) as one contiguous row of bars a lane, (W S, N)."""
    return np.ascontiguousarray(x.swapaxes(1, 2)).reshape(-1, x.shape[1])


@lru_cache(maxsize=1)
def bars_inside(view: View) -> Array:
    """How many bars each window spans, (W, 1)."""
    return np.array([[w.span // w.bar] for w in view.windows], dtype=np.float64)


def inside(view: View, x: Array) -> Array:
    """The bars of x (W, N, S) within the current window, (W, n, S); NaN before it."""
    gaps = _gaps(view)
    return x[:, -gaps.shape[1] :] + gaps


@lru_cache(maxsize=1)
def _gaps(view: View) -> Array:
    """0 for bars of the window, NaN for those before, (W, n, 1)."""
    lengths = bars_inside(view)
    age = np.arange(min(int(lengths.max()), BARS), 0, -1.0)
    return np.where(age <= lengths, 0.0, np.nan)[:, :, None]


def known_mean(x: Array, least: int = 1) -> Array:
    """Mean along axis 1 of what is known; NaN where that is fewer than `least` values."""
    known = x == x
    if np.count_nonzero(known) == known.size:
        return summed(x) / (x.shape[1] if x.shape[1] >= least else np.nan)
    count = summed(known)
    return summed(np.where(known, x, 0.0)) / np.where(count >= least, count, np.nan)


def usual(x: Array) -> Array:
    """Mean of x (W, H, S) over the windows before the current one, two at least, (W, S)."""
    return known_mean(x[:, :-1], least=2)


@lru_cache(maxsize=1)
def volume(view: View) -> Array:
    """Taker notional of both sides in each whole window, (W, H, S)."""
    return view.spans.buy + view.spans.sell


@lru_cache(maxsize=1)
def usual_volume(view: View) -> Array:
    """`usual` of the volume, (W, S)."""
    return usual(volume(view))


@lru_cache(maxsize=1)
def mean_volume(view: View) -> Array:
    """Mean volume of all windows known, (W, S)."""
    return known_mean(volume(view))


@lru_cache(maxsize=1)
def window_atr(view: View) -> Array:
    """Mean high-low range of the last 14 whole windows (as many as known, two at least), (W, S)."""
    spans = view.spans
    return known_mean(spans.high[:, -14:] - spans.low[:, -14:], least=2)


@lru_cache(maxsize=1)
def direction(view: View) -> Array:
    """The trend's side, -1..+1, smooth: tanh(return over the window / window ATR), 0 when flat."""
    spans = view.spans
    out: Array = np.tanh(over(spans.close[:, -1] - spans.open[:, -1], window_atr(view)))
    return out


def scaled(x: Array) -> Array:
    """z(x): the current whole window's value over the rms of the 60 before it; x (W, H, S).

    Two known ones at least; 0 where they never moved.
    """
    return over(x[:, -1], np.sqrt(known_mean(x[:, :-1] ** 2, least=2)))


def standing(x: Array) -> Array:
    """How far the current value is from its mean over the windows before, in their std; (W, S)."""
    before = x[:, :-1]
    mean = known_mean(before, least=2)
    spread = np.sqrt(known_mean((before - mean[:, None]) ** 2, least=2))
    return over(x[:, -1] - mean, spread)


def percentile(x: Array) -> Array:
    """Share of the windows before (10 known at least) below the current value, 0..1; (W, S)."""
    before, now = x[:, :-1], x[:, -1:]
    count = summed(before == before)
    below = (summed(before < now) + summed(before <= now)) / 2
    there = (count >= 10) & (now[:, 0] == now[:, 0])
    return np.where(there, below / np.maximum(count, 1.0), np.nan)


def clip(x: Array, low: float | Array, high: float | Array) -> Array:
    """x held within bounds; np.clip takes several times as long on small arrays."""
    out: Array = np.minimum(np.maximum(x, low), high)
    return out


def change(x: Array) -> Array:
    """Current whole window's value minus the one before, (W, S)."""
    return x[:, -1] - x[:, -2]


def outside(view: View, name: str) -> Array:
    """A named outside series at the end of each window, (W, H, S); NaN where nobody brings it."""
    found = view.outside.get(name)
    return np.full_like(view.spans.close, np.nan) if found is None else found


def market_leader(view: View) -> int | None:
    """Place of BTC among the symbols, None where it is not one of them."""
    return view.symbols.index(LEADER) if LEADER in view.symbols else None


@lru_cache(maxsize=1)
def others(view: View) -> Array:
    """(V, 1, 1): 1 for every venue but the reference, NaN for it; multiplied, leaves it out."""
    keep = np.ones(len(view.venues.names))
    if view.venues.reference >= 0:
        keep[view.venues.reference] = np.nan
    return keep[:, None, None]


def known_sum(x: Array) -> Array:
    """Sum over axis 0 of what is known; NaN where nothing is."""
    known = x == x
    total: Array = np.add.reduce(np.where(known, x, 0.0))
    return np.where(np.logical_or.reduce(known), total, np.nan)


def level(view: View, x: Array) -> Array:
    """A value per symbol (S,) as a card's result, the same in every window."""
    return np.full((len(view.windows), len(x)), x)
