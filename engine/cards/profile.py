"""The volume profile of the window, and what cards read from it; holds no card itself.

Places are counted in levels from the footprint's floor: level j reaches from j to j + 1.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from engine.cards.averages import Count
from engine.cards.measure import clip, over, window_atr
from engine.market.view import Array, View

Pair = tuple[Array, Array]


class Profile(NamedTuple):
    """Notional by price level, lowest first: all, the older half's and the newer half's (W, S, L).

    `price` and `atr` (W, S): place of the last price, and the window's ATR, in levels; `total`
    (W, S): the notional of all. A window without a tape is NaN throughout.
    """

    volume: Array
    early: Array
    late: Array
    price: Array
    atr: Array
    total: Array


@lru_cache(maxsize=1)
def profile(view: View) -> Profile:
    """The profile behind the view's footprint."""
    footprint = view.footprint
    volume = _lanes(footprint.buy + footprint.sell)
    late = _lanes(footprint.late)
    price = (view.spans.close[:, -1] - footprint.floor) / footprint.step
    return Profile(
        volume, np.maximum(volume - late, 0.0), late, price, window_atr(view) / footprint.step,
        total(volume),
    )  # fmt: skip


def _lanes(x: Array) -> Array:
    """(W, L, S) as (W, S, L), contiguous."""
    return np.ascontiguousarray(x.swapaxes(1, 2))


def total(volume: Array) -> Array:
    """All of a profile's notional, (W, S)."""
    out: Array = volume.sum(axis=-1)
    return out


def point_of_control(volume: Array) -> Array:
    """Place of the level with the most notional, leaning to the heavier neighbour; (W, S).

    The centre of notional of that level and the two beside it, so that it does not jump by whole
    levels; of equal levels the mean of the lowest and the highest. The middle of an empty profile.

    Source: Steidlmayer's Market Profile: CBOT, A Six-Part Study Guide to Market Profile (1996).
    """
    rows = volume.reshape(-1, volume.shape[-1])
    fullest = rows == rows.max(axis=1, keepdims=True)
    low, high = fullest.argmax(axis=1), rows.shape[1] - 1 - fullest[:, ::-1].argmax(axis=1)
    place = _centres(rows, np.stack([low, high])).sum(axis=0) / 2
    out: Array = place.reshape(volume.shape[:-1])
    return out


def _centres(rows: Array, level: Count) -> Array:
    """Centre of notional of levels (n, lanes) and their neighbours."""
    lane, last = np.arange(len(rows)), rows.shape[1] - 1
    left = rows[lane, np.maximum(level - 1, 0)] * (level > 0)
    right = rows[lane, np.minimum(level + 1, last)] * (level < last)
    out: Array = level + 0.5 + over(right - left, left + rows[lane, level] + right)
    return out


def quantiles(volume: Array, shares: tuple[float, ...]) -> list[Array]:
    """Places below which these shares of the notional lie, within a level in proportion; (W, S)."""
    rows = volume.reshape(-1, volume.shape[-1])
    lane, run = np.arange(len(rows)), np.cumsum(rows, axis=1)
    out = []
    for share in shares:
        target = share * run[:, -1]
        level = (run >= target[:, None]).argmax(axis=1)
        own = rows[lane, level]
        place = level + over(target - (run[lane, level] - own), own)
        out.append(place.reshape(volume.shape[:-1]))
    return out


def share_below(volume: Array, place: Array) -> Array:
    """Share of the notional below a place (W, S), within a level in proportion; 0 with none."""
    levels = np.arange(volume.shape[-1])
    part = np.minimum(np.maximum(place[..., None] - levels, 0.0), 1.0)
    return over(np.einsum("wsl,wsl->ws", volume, part), total(volume))


def drift(profile: Profile) -> Pair:
    """How far mean price moved between the halves, in levels, and its share of all variance.

    The share is the correlation ratio eta^2, 0..1: about 0.5 in a random walk, 0 in balance; (W, S)
    each, 0 where a half is empty.
    """
    levels = profile.volume.shape[-1]
    rows, powers = (profile.price.size, levels), _powers(levels)
    early, late = (x.reshape(rows) @ powers for x in (profile.early, profile.late))
    both = early + late
    mean = over(both[..., 1], both[..., 0])
    variance = over(both[..., 2], both[..., 0]) - mean**2
    shift = over(late[..., 1], late[..., 0]) - over(early[..., 1], early[..., 0])
    weight = over(early[..., 0] * late[..., 0], both[..., 0] ** 2)
    share = clip(over(weight * shift**2, variance), 0, 1)
    shift = np.where(weight == 0, 0.0, shift)
    return shift.reshape(profile.price.shape), share.reshape(profile.price.shape)


@lru_cache
def _powers(levels: int) -> Array:
    """Powers 0, 1 and 2 of the levels' places, counted from the middle, (L, 3)."""
    place = np.arange(levels) + 0.5 - levels / 2
    return np.stack([np.ones(levels), place, place**2], axis=-1)
