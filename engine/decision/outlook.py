"""What stands beside a bias: how far price may move by the horizon, and whether peers agree.

None of it is a probability of being right; that is earned by outcomes.
"""

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
from numpy.typing import NDArray

from engine.cards.peers import correlations, returns
from engine.market.view import Array, View

# The window whose closes tell of volatility, the time constant of the weights, the least closes.
SPAN_S, MEMORY_S, LEAST = 300, 4 * 3600.0, 12
# Less than this share of the expected deviation is no move.
NO_MOVE = 0.2
# Beyond so many points peers are asked, the most correlated ones.
LARGE, PEERS = 60.0, 3
# How often a coin's call comes true by a normal law: a move beyond the band, on the side called.
COIN = erfc(NO_MOVE / sqrt(2)) / 2
# Mean absolute deviation of a normal law over its standard deviation.
MEAN_SIZE = sqrt(2 / np.pi)


@dataclass(frozen=True, slots=True)
class Outlook:
    """Arrays over symbols: `deviation` of the log return by the horizon, NaN unknown; `peers`
    (PEERS, symbols), places of the most correlated symbols, most first, -1 for none; `agreeing`,
    share of those with a bias that is on the bias's side, NaN where |bias| is not LARGE.
    """

    deviation: Array
    peers: NDArray[np.int64]
    agreeing: Array


def outlook(view: View, bias: Array, horizon: float) -> Outlook:
    """Beside the biases (symbols,) of one mode whose horizon is `horizon` s."""
    symbols = len(view.symbols)
    spans = [window.span for window in view.windows]
    if SPAN_S not in spans:
        return Outlook(np.full(symbols, np.nan), np.full((PEERS, symbols), -1, dtype=np.int64),
                       np.full(symbols, np.nan))  # fmt: skip
    place = spans.index(SPAN_S)
    peers = nearest(correlations(view)[place])
    return Outlook(deviation(returns(view)[place], horizon), peers, agreeing(bias, peers))


def deviation(moves: Array, horizon: float) -> Array:
    """Of the log return over `horizon` s, from returns of SPAN_S (N, symbols), oldest first.

    Root of the mean square, weighted by exp(-age / 4 h), times the root of the horizon.
    Source: J.P. Morgan, RiskMetrics Technical Document (1996), ch. 5, weights by time.
    """
    age = np.arange(len(moves) - 1, -1, -1.0) * SPAN_S
    there = moves == moves
    weight = np.where(there, np.exp(-age / MEMORY_S)[:, None], 0.0)
    total = weight.sum(axis=0)
    square = (weight * np.where(there, moves, 0.0) ** 2).sum(axis=0)
    known = there.sum(axis=0) >= LEAST
    variance = np.where(known, square / np.where(known, total, 1.0), np.nan)
    out: Array = np.sqrt(variance * (horizon / SPAN_S))
    return out


def nearest(correlation: Array) -> NDArray[np.int64]:
    """Places of the most correlated others, (PEERS, symbols); -1 where none is known."""
    symbols = len(correlation)
    ranked = np.where(np.eye(symbols, dtype=bool), np.nan, correlation)
    ranked = np.where(ranked > 0, ranked, -np.inf)
    order = np.argsort(-ranked, axis=0, kind="stable")[:PEERS]
    out = np.full((PEERS, symbols), -1, dtype=np.int64)
    out[: len(order)] = np.where(np.isfinite(np.take_along_axis(ranked, order, axis=0)), order, -1)
    return out


def agreeing(bias: Array, peers: NDArray[np.int64]) -> Array:
    """Share of the peers that have a bias and have it on the same side, (symbols,)."""
    theirs = np.where(peers >= 0, bias[peers], np.nan)
    there = theirs == theirs
    same = there & (np.sign(theirs) == np.sign(bias))
    count = there.sum(axis=0)
    share = same.sum(axis=0) / np.maximum(count, 1)
    return np.where((np.abs(bias) > LARGE) & (count > 0), share, np.nan)
