"""Swing highs and lows of the bars and the breaks of them; holds no card itself.

A swing is a fractal: its high tops the two bars before it and is not topped by the two after it,
so it is confirmed two bars later. Source: Williams, Trading Chaos (1995).
Lanes are (window, symbol) pairs, flat; several cards ask the same of one view, so the last answer
is kept; nobody writes into it.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from engine.cards.averages import Count, candles
from engine.cards.measure import rows
from engine.market.view import Array, Flags, View

SIDE = 2


class Points(NamedTuple):
    """Swings of one kind, by lane and then by time: lane, bar (0..N-1) and log price, (n,) each."""

    lane: Count
    bar: Count
    price: Array


class Places(NamedTuple):
    """Bars that left a level: lane, flat place in (W, N, S), +1 below or -1 above, (n,) each."""

    lane: Count
    at: Count
    side: Array


class Break(NamedTuple):
    """The newest first close beyond a confirmed swing, (W, S) each.

    `side`: +1 above a swing high, -1 below a swing low, 0 with none. `before`: the side of the
    break before it, 0 with none. `age`: bars since. `level`: log price of the swing, 0 with none.
    """

    side: Array
    before: Array
    age: Array
    level: Array


@lru_cache(maxsize=1)
def swings(view: View) -> Points:
    """Confirmed swings of the view's bars, by lane.

    Highs come first; lows follow as highs of the mirrored lanes, counted on from theirs, with the
    sign of the price turned.
    """
    bars = candles(view)
    first = bars.close.shape[1] - bars.known.reshape(-1, 1)
    both = np.concatenate([rows(bars.high), -rows(bars.low)])
    return peaks(both, np.concatenate([first, first]))


@lru_cache(maxsize=1)
def last_break(view: View) -> Break:
    """The newest break of a swing; only the first close beyond a swing breaks it.

    The swing that counts at a bar is the last one confirmed by then.
    """
    close = rows(candles(view).close)
    broken, level = _first_beyond(np.concatenate([close, -close]), swings(view))
    fallen = np.searchsorted(broken, close.size)
    event = np.zeros(close.size)
    event[broken[:fallen]] += 1
    event[broken[fallen:] - close.size] -= 1
    lanes, total = close.shape
    at = np.flatnonzero(event)
    end = np.searchsorted(at, total * np.arange(lanes + 1))
    number = end[1:] - end[:-1]
    at = np.concatenate([at, [0, 0]])
    newest, earlier = at[end[1:] - 1], at[end[1:] - 2]
    side = np.where(number > 0, event[newest], 0.0)
    level = np.where(side > 0, level[newest], -level[newest + close.size])
    found = (
        side,
        np.where(number > 1, event[earlier], 0.0),
        (total - 1 - newest % total).astype(np.float64),
        np.where(side == 0, 0.0, level),
    )
    return Break(*(x.reshape(len(view.windows), -1) for x in found))


@lru_cache(maxsize=1)
def extremes_since(view: View) -> tuple[Array, Array]:
    """Lowest low and highest high from each bar until now, itself among them, (W, N, S)."""
    low = np.fmin.accumulate(view.bars.low[:, ::-1], axis=1)
    high = np.fmax.accumulate(view.bars.high[:, ::-1], axis=1)
    return np.ascontiguousarray(low[:, ::-1]), np.ascontiguousarray(high[:, ::-1])


def both_sides(below: Flags, above: Flags) -> Places:
    """Where (W, N, S) is true of what lies below the price, and of what lies above."""
    under = np.flatnonzero(below)
    at = np.concatenate([under, np.flatnonzero(above)])
    bars, symbols = below.shape[1:]
    side = np.ones(len(at))
    side[len(under) :] = -1.0
    return Places(at // (bars * symbols) * symbols + at % symbols, at, side)


def strongest(value: Array, places: Places, like: Array) -> Array:
    """Highest value below - highest above of each lane, 0 without any; shaped as `like` (W, S)."""
    out = np.zeros(2 * like.size)
    row = np.where(places.side > 0, places.lane, places.lane + like.size)
    np.maximum.at(out, row, np.where(value == value, value, 0.0))
    net: Array = out[: like.size] - out[like.size :]
    return net.reshape(like.shape)


def peaks(x: Array, first: Count) -> Points:
    """Where a row of x (lanes, N) has a swing high; no bar before `first` (lanes, 1) counts."""
    flat = x.ravel()
    above_last, above_second = flat[1:] > flat[:-1], flat[2:] > flat[:-2]
    found = np.zeros(x.shape, dtype=np.bool_)
    found.ravel()[2:-2] = (
        (above_last[1:-2] & above_second[:-2]) & ~(above_last[2:-1] | above_second[2:])
    )  # fmt: skip
    found[:, :SIDE] = found[:, -SIDE:] = False
    if first.any():
        found &= np.arange(x.shape[1]) >= first + SIDE
    at = np.flatnonzero(found)
    lane = at // x.shape[1]
    return Points(lane, at - lane * x.shape[1], flat[at])


def _first_beyond(close: Array, highs: Points) -> tuple[Count, Array]:
    """Flat places of the first closes above a swing high, and the swing that counts at each bar."""
    start = close.shape[1] * np.arange(len(close))
    confirmed = close.shape[1] * highs.lane + highs.bar + SIDE
    level = np.full(close.size, np.nan)
    level[start], level[confirmed] = np.inf, highs.price
    since = np.flatnonzero(level == level)
    length = np.concatenate([since[1:], [close.size]]) - since
    ceiling = np.repeat(level[since], length)
    beyond = np.flatnonzero(close.ravel() > ceiling)
    swing = np.repeat(np.arange(len(since)), length)[beyond]
    first = np.ones(len(beyond), dtype=np.bool_)
    first[1:] = swing[1:] != swing[:-1]
    return beyond[first], ceiling
