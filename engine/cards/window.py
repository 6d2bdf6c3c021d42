"""The current window's own bars, what was usual in the windows before it, and safe shares."""

import numpy as np

from engine.cards.measure import window_atr
from engine.market.view import BARS, Array, View


def over(top: Array, bottom: Array) -> Array:
    """top / bottom; 0 where the bottom is 0 (nothing to compare), NaN only where one is unknown."""
    empty = bottom == 0
    out: Array = np.where(empty, top * 0.0, top / np.where(empty, 1.0, bottom))
    return out


def net(left: Array, right: Array) -> Array:
    """(left - right) / (left + right), -1..+1; 0 where both are empty."""
    return over(left - right, left + right)


def bars_inside(view: View) -> Array:
    """How many bars each window spans, (W, 1)."""
    return np.array([[w.span // w.bar] for w in view.windows], dtype=np.float64)


def inside(view: View, x: Array) -> Array:
    """The bars of x (W, N, S) within the current window, (W, n, S); NaN before it."""
    lengths = bars_inside(view)
    most = min(int(lengths.max()), BARS)
    age = np.arange(most, 0, -1.0)
    out: Array = np.where((age <= lengths)[:, :, None], x[:, -most:], np.nan)
    return out


def known_mean(x: Array, least: int = 1) -> Array:
    """Mean along axis 1 of what is known; NaN where that is fewer than `least` values."""
    known = x == x
    count = known.sum(axis=1)
    total = np.where(known, x, 0.0).sum(axis=1)
    out: Array = np.where(count >= least, total / np.maximum(count, 1), np.nan)
    return out


def usual(x: Array) -> Array:
    """Mean of x (W, H, S) over the windows before the current one, two at least, (W, S)."""
    return known_mean(x[:, :-1], least=2)


def lean(view: View) -> Array:
    """The window's return over its ATR, cut to -1..+1: the trend's sign, fading to 0 with it."""
    spans = view.spans
    out: Array = np.clip(over(spans.close[:, -1] - spans.open[:, -1], window_atr(view)), -1, 1)
    return out
