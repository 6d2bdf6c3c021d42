"""Time counted in volume: equal-volume buckets of taker flow, and VPIN from them."""

import numpy as np

from engine.market.view import Array

# The paper's n.
BUCKETS = 50


def bucket_imbalance(buy: Array, sell: Array, buckets: int) -> Array:
    """(buys - sells) / volume of equal-volume buckets, oldest first, (W, S, buckets).

    The volume of all known bars (W, N, S) is cut into equal parts; a bar across a border is
    split in proportion. Without any volume every bucket is 0.
    """
    volume, delta = buy + sell, buy - sell
    known = volume == volume
    clock = _running(np.where(known, volume, 0.0))
    traded = clock[..., -1:]
    unit = np.where(traded > 0, traded, 1.0)
    lanes = clock.shape[0] * clock.shape[1]
    # One interpolation for all lanes: lane k owns the stretch 2k..2k+1 of the axis.
    start = 2.0 * np.arange(lanes)[:, None]
    points = (clock / unit).reshape(lanes, -1) + start
    values = (_running(np.where(known, delta, 0.0)) / unit).reshape(lanes, -1)
    borders = np.linspace(0.0, 1.0, buckets + 1) + start
    at = np.interp(borders.ravel(), points.ravel(), values.ravel())
    parts: Array = np.diff(at.reshape(*clock.shape[:2], -1), axis=-1) * buckets
    return parts


def rolling_vpin(imbalance: Array) -> Array:
    """Mean |imbalance| of 50 buckets as of each bucket from the 50th on, (W, S, buckets - 49)."""
    run = np.zeros((*imbalance.shape[:-1], imbalance.shape[-1] + 1))
    np.cumsum(np.abs(imbalance), axis=-1, out=run[..., 1:])
    out: Array = (run[..., BUCKETS:] - run[..., :-BUCKETS]) / BUCKETS
    return out


def _running(x: Array) -> Array:
    """Cumulative sums of (W, N, S) from 0, time last: (W, S, N + 1)."""
    windows, bars, symbols = x.shape
    out = np.zeros((windows, symbols, bars + 1))
    np.cumsum(x.transpose(0, 2, 1), axis=-1, out=out[..., 1:])
    return out
