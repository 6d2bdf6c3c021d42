"""What bends a bias beside its cards: the volatility regime and stress in BTC.

Lines are in units of S (composite.py), one value a symbol, and stand in the decomposition by name.
"""

from collections.abc import Sequence

import numpy as np

from engine.cards.card import CATEGORIES, Card
from engine.config import RegimeConfig
from engine.decision.composite import Weights, category_lines, contributions
from engine.decision.timeframes import STEPS, Readings
from engine.market.view import Array, View

SPILL = "btc_stress_spill"
# Short over long volatility of the last 6 and 60 hours.
SHORT = 6
LEAST = 30
BASE_SPAN = 3600


def volatility_ratio(view: View) -> Array:
    """Realised volatility of the last 6 hours over that of the last 60, (symbols,); NaN unknown."""
    spans = [window.span for window in view.windows]
    if BASE_SPAN not in spans:
        return np.full(len(view.symbols), np.nan)
    moves = np.diff(view.spans.close[spans.index(BASE_SPAN)], axis=0)
    short, long = _rms(moves[-SHORT:], SHORT), _rms(moves, LEAST)
    return np.where(long > 0, short / np.where(long > 0, long, 1.0), np.nan)


def _rms(moves: Array, least: int) -> Array:
    known = moves == moves
    count = known.sum(axis=0)
    total = np.where(known, moves**2, 0.0).sum(axis=0)
    out: Array = np.where(count >= least, np.sqrt(total / np.maximum(count, 1)), np.nan)
    return out


def multipliers(ratio: Array, rules: RegimeConfig) -> Array:
    """What the regime makes of each category's contribution, (categories, symbols); 1 unknown.

    From full at the edge of a regime to `damping` at its depth (edge squared), log-linear.
    """
    out = np.ones((len(CATEGORIES), len(ratio)))
    size = np.log(np.where(ratio > 0, ratio, 1.0))
    low, high = np.log(rules.compression), np.log(rules.expansion)
    for edge, depth, damped in (
        (low, np.clip((size - low) / low, 0.0, 1.0), rules.compression_damps),
        (high, np.clip((size - high) / high, 0.0, 1.0), rules.expansion_damps),
    ):
        assert edge != 0
        factor = 1.0 - (1.0 - rules.damping) * np.nan_to_num(depth)
        rows = [n for n, category in enumerate(CATEGORIES) if category.id in damped]
        out[rows] = factor
    return out


def lines(view: View, readings: Readings, table: Weights, cards: Sequence[Card], beta: Array,
          rules: RegimeConfig) -> dict[str, Array]:  # fmt: skip
    """Name -> (symbols,) in units of S.

    `regime`: (m - 1) x each damped category's line. `btc_stress`: bearish only, as strong as a
    whole category of weight 1, by the symbol's beta to BTC; the card itself has no weight.
    """
    contribution = contributions(
        readings.score, readings.confidence, readings.conflicted, table.card
    )
    factor = multipliers(volatility_ratio(view), rules)
    regime = ((factor - 1.0) * category_lines(contribution, table)).sum(axis=0)
    return {"regime": regime, "btc_stress": _stress(readings, table, cards, beta)}


def _stress(readings: Readings, table: Weights, cards: Sequence[Card], beta: Array) -> Array:
    place = next((n for n, card in enumerate(cards) if card.id == SPILL), None)
    nothing = np.zeros(readings.score.shape[1])
    if place is None:
        return nothing
    there = readings.available[place] & table.can_have[place]
    score = np.where(there, readings.score[place].astype(float) / STEPS, 0.0)
    sure = np.where(there, readings.confidence[place].astype(float) / STEPS, 0.0)
    whole = np.abs(table.prior).sum(axis=0)
    share = np.where(whole > 0, 1.0 / np.where(whole > 0, whole, 1.0), 0.0)
    out: Array = np.minimum(score, 0.0) * sure * beta * share
    return out
