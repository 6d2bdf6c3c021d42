"""The second pass: cards that read this step's other cards, and the little they remember."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from engine.cards.card import Card
from engine.clock import NS
from engine.config import MODES
from engine.decision.composite import Weights
from engine.decision.normalise import Lanes
from engine.decision.timeframes import STEPS, Readings
from engine.market.view import WINDOWS, Array, FirstPass, View

STEP_NS = 10 * NS
KEPT = 86_400 // 10 + 1


class SecondPass:
    """Shows the first pass to the cards that read it.

    `cards`: places of the second-pass cards in the catalogue.

    Breadth, the share of cards bullish minus the share bearish, is kept for a day of steps.
    """

    def __init__(self, lanes: Lanes, cards: Sequence[Card], symbols: int) -> None:
        self._lanes = lanes
        self._cards = tuple(cards)
        self._chosen = [n for n, card in enumerate(cards) if not card.second]
        self.cards = np.array([n for n, card in enumerate(cards) if card.second], dtype=np.int64)
        self._breadth = np.full((KEPT, len(MODES), symbols), np.nan)
        self._step = np.full(KEPT, -1, dtype=np.int64)

    def lanes(self, view: View, readings: Mapping[str, Readings], weights: Mapping[str, Weights],
              fails: Callable[[Card, Exception], None]) -> Array:  # fmt: skip
        """Raw measures of the second pass by (lane, one of `cards`, symbol).

        `fails` is told of a card that raises, which is NaN then.
        """
        symbols = self._breadth.shape[2]
        out = np.full((len(self._lanes.window), len(self.cards), symbols), np.nan)
        if not len(self.cards):
            return out
        seen = replace(view, first=self._first(view, readings, weights))
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for place, card in enumerate(self.cards):
                try:
                    found = self._cards[card].compute(seen)
                except Exception as error:
                    fails(self._cards[card], error)
                    continue
                out[:, place] = found[self._lanes.mode, self._lanes.window]
        return out

    def _first(self, view: View, readings: Mapping[str, Readings],
               weights: Mapping[str, Weights]) -> FirstPass:  # fmt: skip
        chosen, s = self._chosen, len(view.symbols)
        by_window = np.full((len(MODES), len(chosen), len(WINDOWS), s), np.nan)
        score = np.full((len(MODES), len(chosen), s), np.nan)
        sure, weight, category = (np.zeros_like(score) for _ in range(3))
        for m, mode in enumerate(MODES):
            got, table, lanes = readings[mode], weights[mode], self._lanes.slices[m]
            windows = self._lanes.window[lanes]
            by_window[m][:, windows] = got.by_window[:, chosen].swapaxes(0, 1)
            present = got.available[chosen]
            score[m] = np.where(present, got.score[chosen] / STEPS, np.nan)
            sure[m] = got.confidence[chosen] / STEPS
            weight[m] = table.card[chosen]
            category[m] = (table.member.T @ table.category)[chosen]
        breadth = _breadth(score)
        return FirstPass(
            modes=MODES,
            cards=tuple(self._cards[n].id for n in chosen),
            categories=tuple(self._cards[n].category for n in chosen),
            by_window=by_window,
            score=score,
            confidence=sure,
            weight=weight,
            category_weight=category,
            breadth=breadth,
            breadth_before=self._remember(view.now // STEP_NS, breadth),
        )

    def _remember(self, step: int, breadth: Array) -> Array:
        """Keep this step's breadth; that of a window ago, (modes, windows, symbols)."""
        self._breadth[step % KEPT], self._step[step % KEPT] = breadth, step
        ago = step - np.array([w.span * NS // STEP_NS for w in WINDOWS])
        there = self._step[ago % KEPT] == ago
        past = np.where(there[:, None, None], self._breadth[ago % KEPT], np.nan)
        return past.swapaxes(0, 1)


def _breadth(score: Array) -> Array:
    known = score == score
    count = known.sum(axis=1)
    lean = np.sign(np.where(known, score, 0.0)).sum(axis=1)
    return np.where(count > 0, lean / np.maximum(count, 1), np.nan)
