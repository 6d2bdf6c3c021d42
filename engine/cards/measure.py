"""Measures that several cards share; all along axis 1 of (W, N, S) arrays, NaN where unknown."""

import numpy as np

from engine.market.view import Array, View

TINY = 1e-12


def ratio(top: Array, bottom: Array) -> Array:
    """top / bottom, NaN where the bottom is zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.abs(bottom) > TINY, top / bottom, np.nan)


def zscore(x: Array) -> Array:
    """The last of x (W, H, S) over the std of the windows before it (W, S); needs eight of them."""
    past = x[:, :-1]
    known = np.sum(~np.isnan(past), axis=1) >= 8
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(past, axis=1) / np.sum(~np.isnan(past), axis=1)
        var = np.nansum((past - mean[:, None]) ** 2, axis=1) / np.sum(~np.isnan(past), axis=1)
        std = np.sqrt(var)
        return np.where(known & (std > TINY), x[:, -1] / std, np.nan)


def true_range(view: View) -> Array:
    """max(high, previous close) - min(low, previous close) per bar but the first, (W, N-1, S).

    Source: Wilder, New Concepts in Technical Trading Systems (1978), in log prices.
    """
    bars = view.bars
    before = bars.close[:, :-1]
    return np.maximum(bars.high[:, 1:], before) - np.minimum(bars.low[:, 1:], before)


def atr(view: View, length: int = 14) -> Array:
    """Mean true range of the last `length` bars in log price, (W, S)."""
    out: Array = true_range(view)[:, -length:].mean(axis=1)
    return out


def window_atr(view: View) -> Array:
    """Mean high-low range of the last 14 whole windows (as many as known, two at least), (W, S)."""
    spans = view.spans
    height = (spans.high - spans.low)[:, -14:]
    known = np.sum(~np.isnan(height), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known >= 2, np.nansum(height, axis=1) / known, np.nan)


def trend(view: View) -> Array:
    """The window's return over its ATR (W, S): sign and size of the move."""
    spans = view.spans
    return ratio(spans.close[:, -1] - spans.open[:, -1], window_atr(view))
