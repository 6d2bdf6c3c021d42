"""What a decision was made with: the state of normalisers and the weights of its instant."""

from dataclasses import dataclass, field, replace

import numpy as np

from engine.config import MODES
from engine.decision.composite import Weights
from engine.decision.decide import Decider, Decision
from engine.decision.normalise import Normaliser
from engine.decision.scales import Scales, scales_of
from engine.decision.timeframes import weigh
from engine.market.view import Array

# S' below which points are those of the tanh's slope (composite.py).
FLAT = 1e-9


@dataclass(slots=True)
class Made:
    """A mode's decision, the weights in force then, and its normalisers as they were.

    `decision` is None before the first one; `normaliser` where its state then was not kept.
    """

    mode: str
    decision: Decision | None
    weights: Weights
    gain: float
    lanes: slice
    window_weights: Array
    normaliser: Normaliser | None
    _scales: dict[int, Scales] = field(default_factory=dict)

    @property
    def lean(self) -> "Made":
        """The same without the normaliser, which is large."""
        return replace(self, normaliser=None, _scales={})

    def scales(self, s: int) -> Scales | None:
        """Of one symbol, computed when it is first asked for."""
        if self.normaliser is None:
            return None
        if s not in self._scales:
            self._scales[s] = scales_of(self.normaliser, self.lanes, s)
        return self._scales[s]

    def sufficiency(self, s: int, by_window: Array) -> Array | None:
        """(cards,) means over the windows of `by_window` (windows, cards, symbols) that are there;
        NaN for a card without one."""
        scales = self.scales(s)
        if scales is None:
            return None
        there = ~np.isnan(by_window[..., s])
        return weigh(np.where(there, scales.sufficiency, np.nan), self.window_weights)

    def whole(self, s: int) -> float:
        """Sum of prior |weight| over the cards the symbol can have."""
        return float(np.abs(self.weights.prior[:, s]).sum())

    def points(self, s: int) -> Array:
        """(cards,) bias points by the rule of composite.py; NaN for what was not available."""
        if self.decision is None:
            return np.full(len(self.weights.card), np.nan)
        parts = self.decision.parts
        total, bias = float(parts.total[s]), float(parts.bias[s])
        unit = 100 * self.gain if abs(total) < FLAT else bias / total
        if np.isnan(bias):
            unit = np.nan
        there = self.decision.readings.available[:, s]
        share = unit / (self.whole(s) or 1.0)
        out: Array = np.where(there, parts.contribution[:, s] * share, np.nan)
        return out


def made(decider: Decider, mode: str, decision: Decision | None,
         normaliser: Normaliser | None) -> Made:  # fmt: skip
    """With the weights in force now."""
    place = MODES.index(mode)
    return Made(
        mode=mode, decision=decision, weights=decider.table(mode),
        gain=decider.config.modes[mode].gain, lanes=decider.lanes.slices[place],
        window_weights=decider.lanes.weights[place], normaliser=normaliser,
    )  # fmt: skip


def kept(decider: Decider) -> Normaliser:
    """The normalisers as they are now: those in force move on with the next step."""
    out = decider.fresh_normaliser()
    out.fill(decider.normaliser)
    # What history left behind is replaced as a whole, never changed.
    out.past = decider.normaliser.past
    return out
