"""Time counted in volume: equal-volume buckets of taker flow, and VPIN from them."""

from functools import lru_cache

import numpy as np

from engine.cards.measure import rows
from engine.market.view import Array

# The paper's n.
BUCKETS = 50


def bucket_imbalance(buy: Array, sell: Array, buckets: int) -> Array:
    """(buys - sells) / volume of equal-volume buckets, oldest first, (W, S, buckets).

    The volume of all known bars (W, N, S) is cut into equal parts; a bar across a border is
    split in proportion. Without any volume every bucket is 0.
    """
    windows, bars, symbols = buy.shape
    volume = buy + sell
    known = volume == volume
    run = np.zeros((2, windows * symbols, bars + 1))
    for place, x in enumerate((volume, buy - sell)):
        np.cumsum(rows(np.where(known, x, 0.0)), axis=1, out=run[place, :, 1:])
    traded = run[0, :, -1:]
    run /= np.where(traded > 0, traded, 1.0)
    # One interpolation for all lanes: lane k owns the stretch 2k..2k+1 of the axis.
    start, borders = _axis(windows * symbols, buckets)
    at = np.interp(borders, (run[0] + start).ravel(), run[1].ravel()).reshape(len(start), -1)
    parts: Array = (at[:, 1:] - at[:, :-1]) * buckets
    return parts.reshape(windows, symbols, buckets)


@lru_cache
def _axis(lanes: int, buckets: int) -> tuple[Array, Array]:
    """Where each lane's stretch begins, (lanes, 1), and the borders of all buckets."""
    start = np.arange(0.0, 2.0 * lanes, 2.0)[:, None]
    return start, (np.linspace(0.0, 1.0, buckets + 1, dtype=np.float64) + start).ravel()


def rolling_vpin(imbalance: Array) -> Array:
    """Mean |imbalance| of 50 buckets as of each bucket from the 50th on, (W, S, buckets - 49)."""
    run = np.zeros((*imbalance.shape[:-1], imbalance.shape[-1] + 1))
    np.cumsum(np.abs(imbalance), axis=-1, out=run[..., 1:])
    out: Array = (run[..., BUCKETS:] - run[..., :-BUCKETS]) / BUCKETS
    return out
