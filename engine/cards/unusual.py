"""What stands out in the current window against those before it; holds no card itself.

Several cards ask the same of one view, so the last answer is kept; nobody writes into it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engine.cards import measure
from engine.cards.measure import (
    bars_inside,
    known_mean,
    over,
    scaled,
    standing,
    summed,
    usual_volume,
)
from engine.market.view import Array, View

EARLIER = 20
LEAST_EARLIER = 10
# Liquidations are no burst while their sigma is below this share of the usual volume.
SMALL = 0.01
# A level counts as half passed at this many ATR beyond it.
SOFT = 0.1

Both = tuple[Array, Array]


@lru_cache(maxsize=1)
def atr(view: View) -> Array:
    """`measure.window_atr`, (W, S)."""
    return measure.window_atr(view)


@lru_cache(maxsize=1)
def move(view: View) -> Array:
    """z of the window's log return, (W, S)."""
    return scaled(view.spans.close - view.spans.open)


@lru_cache(maxsize=1)
def flow(view: View) -> Array:
    """z of d, taker buy - taker sell notional of the window, (W, S)."""
    return scaled(view.spans.buy - view.spans.sell)


@lru_cache(maxsize=1)
def funding_score(view: View) -> Array:
    """Funding from its mean over 60 windows, in their std, (W, S)."""
    return standing(view.spans.funding)


@lru_cache(maxsize=1)
def oi_percentile(view: View) -> Array:
    """`measure.percentile` of open interest, (W, S)."""
    return measure.percentile(view.spans.oi)


@lru_cache(maxsize=1)
def past_range(view: View) -> Array:
    """How far, in ATR, price went past the range of the 20 windows before and came back.

    (4, W, S): high - top, top - close, bottom - low, close - bottom; top and bottom are the
    highest high and the lowest low of those windows, ten known at least.
    """
    spans = view.spans
    high, low = (x[:, -1 - EARLIER : -1] for x in (spans.high, spans.low))
    known = (high == high) & (low == low)
    gap = np.where(summed(known) >= LEAST_EARLIER, 0.0, np.nan)
    top = np.where(known, high, -1e300).max(axis=1)
    bottom = np.where(known, low, 1e300).min(axis=1)
    close = spans.close[:, -1] + gap
    past = (spans.high[:, -1] - top, top - close, bottom - spans.low[:, -1], close - bottom)
    return over(np.array(past) + gap, atr(view)[None])


def beyond(distance: Array) -> Array:
    """How surely a level is passed by so many ATR, 0..1: x / (x + 0.1), 0 on this side of it."""
    past = np.maximum(distance, 0.0)
    return past / (past + SOFT)


@lru_cache(maxsize=1)
def liquidation_bursts(view: View) -> Both:
    """Standard deviations by which liquidations of longs, and of shorts, top their mean; (W, S).

    Mean and deviation are those of the up to 60 windows before; the deviation counts as at least
    1 % of the usual volume, so that the first small liquidation of a quiet day is no burst.
    """
    floor = _floor(view)
    return _burst(view.spans.long_liq, floor), _burst(view.spans.short_liq, floor)


@lru_cache(maxsize=1)
def swept_bursts(view: View) -> Both:
    """The same of the estimated clusters of longs, and of shorts, that price traded through."""
    floor = _floor(view)
    return _burst(view.spans.long_swept, floor), _burst(view.spans.short_swept, floor)


@lru_cache(maxsize=1)
def _floor(view: View) -> Array:
    return SMALL * usual_volume(view)


def _burst(x: Array, floor: Array) -> Array:
    before = x[:, :-1]
    mean = known_mean(before, least=2)
    variance = known_mean(before * before) - mean * mean
    return over(x[:, -1] - mean, np.sqrt(np.maximum(variance, 0.0) + floor * floor))


def newest(view: View, x: Array, parts: int) -> Both:
    """Mean of the known bars in the newest 1/parts of the window, and of its others; (W, S) each.

    NaN where none of them is known; the newest part is one bar at least.
    """
    late, early = _split(view, parts)
    bars = x[:, -late.shape[-1] :]
    known = bars == bars
    filled = np.where(known, bars, 0.0)
    return _mean_of(late, filled, known), _mean_of(early, filled, known)


@lru_cache(maxsize=2)
def _split(view: View, parts: int) -> Both:
    """1 for bars in the newest 1/parts of the window, and for its others; (W, 1, n) each."""
    lengths = bars_inside(view)
    age = np.arange(int(lengths.max()), 0, -1)
    late = age <= np.maximum(lengths // parts, 1)
    both = np.array([late, ~late & (age <= lengths)], dtype=np.float64)[:, :, None]
    return both[0], both[1]


def _mean_of(chosen: Array, filled: Array, known: NDArray[np.bool_]) -> Array:
    """Mean of x (W, N, S) over the known of the chosen bars."""
    count = (chosen @ known)[:, 0]
    mean: Array = (chosen @ filled)[:, 0] / np.where(count > 0, count, np.nan)
    return mean
