"""Raw measures into scores: each over its own rolling scale, whatever its unit.

State is one lane a (mode, window) pair, card and symbol; a step costs the same at any look-back.
"""

from collections.abc import Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from engine.cards.card import Card
from engine.clock import NS
from engine.config import Config
from engine.market.view import WINDOWS, Array

MIN_WINDOWS = 30
TINY = 1e-12
Places = NDArray[np.int64]
PLACE = {window.name: n for n, window in enumerate(WINDOWS)}


class Lanes:
    """The (mode, window) pairs of the config: which, how weighted, how far they look back."""

    def __init__(self, config: Config, cards: Sequence[Card]) -> None:
        self.window: list[int] = []
        self.slices: list[slice] = []
        self.weights: list[Array] = []
        look_back = []
        cadence = np.array([card.cadence for card in cards])
        for mode in config.modes_in_order:
            names = [w.name for w in WINDOWS if w.name in mode.windows]
            first = len(self.window)
            for name in names:
                self.window.append(PLACE[name])
                own = np.maximum(WINDOWS[PLACE[name]].span, cadence)
                look_back.append(np.maximum(mode.lookback, MIN_WINDOWS * own))
            self.slices.append(slice(first, len(self.window)))
            self.weights.append(np.array([mode.windows[n] for n in names]))
        spans = np.array([WINDOWS[w].span for w in self.window], dtype=float)
        self.look_back = np.stack(look_back)
        self.unit = np.maximum(spans[:, None], cadence)
        self.exists = (cadence <= spans[:, None]) & [
            [card.spans[0] <= span <= card.spans[1] for card in cards] for span in spans
        ]
        self.mode = np.repeat(np.arange(len(self.slices)), [s.stop - s.start for s in self.slices])


class Normaliser:
    """Rolling centre and scale per lane; DESIGN section 4 items 2 and 8.

    The scale is the root mean square (about the rolling mean for `centred` cards) under weights
    that fall exponentially with elapsed time, with the same mean age as a window of the look-back
    would have. Reads and updates are one step: a value is part of its own scale. `past`, where
    set, is the state that history left behind; it ages along and may be replaced.
    """

    def __init__(self, lanes: Lanes, cards: Sequence[Card], symbols: int) -> None:
        shape = (len(lanes.window), len(cards), symbols)
        self.lanes = lanes
        self.past: Normaliser | None = None
        self._weight = np.zeros(shape)
        self._sum = np.zeros(shape)
        self._square = np.zeros(shape)
        self._last = np.zeros(shape, dtype=np.int64)
        self.seen = np.zeros(shape)
        self._centred = np.array([c.scale == "centred" for c in cards])[:, None]
        self._fixed = np.array([c.scale == "fixed" for c in cards])[:, None]
        self._unit = np.array([c.unit for c in cards])[:, None]

    def update(self, raw: Array, now: int, seconds: float) -> Array:
        """Take in (windows, cards, symbols) seen at `now`, `seconds` after the ones before.

        Returns (lanes, cards, symbols) normalised values, NaN for lanes without a value.
        """
        return self._take(slice(None), slice(None), raw[self.lanes.window], now, seconds)

    def update_window(self, window: int, cards: Places, raw: Array, now: int,
                      seconds: float) -> None:  # fmt: skip
        """Take in some cards of one window alone, (cards given, symbols)."""
        lanes = np.flatnonzero(np.array(self.lanes.window) == window)
        if len(lanes):
            x = np.broadcast_to(raw, (len(lanes), *raw.shape))
            self._take(lanes[:, None], cards, x, now, seconds)

    def update_cards(self, cards: Places, x: Array, now: int, seconds: float) -> Array:
        """Take in some cards, by lane, (lanes, cards given, symbols); returns them normalised."""
        return self._take(slice(None), cards, x, now, seconds)

    def _take(self, lanes: Places | slice, cards: Places | slice, x: Array, now: int,
              seconds: float) -> Array:  # fmt: skip
        """What is NaN changes nothing."""
        at = lanes, cards
        x = np.where(self.lanes.exists[at][..., None], x, np.nan)
        known = ~np.isnan(x)
        value = np.where(known, x, 0.0)
        look_back, last = self.lanes.look_back[at][..., None], self._last[at]
        gap = np.where(last > 0, np.maximum(now - last, 0) / NS, 0.0)
        decay = np.where(known, np.exp(-2 * gap / look_back), 1.0)
        fresh = np.where(known, seconds, 0.0)
        self._weight[at] = self._weight[at] * decay + fresh
        self._sum[at] = self._sum[at] * decay + fresh * value
        self._square[at] = self._square[at] * decay + fresh * value * value
        self._last[at] = np.where(known, now, last)
        self.seen[at] = np.minimum(self.seen[at] + fresh, look_back)
        return self._normalise(x, lanes, cards)

    def _normalise(self, x: Array, lanes: Places | slice, cards: Places | slice) -> Array:
        centre, scale = self.scale(lanes, cards)
        usable = scale == scale
        flat = np.where(np.isnan(x), np.nan, 0.0)
        out: Array = np.where(usable, (x - centre) / np.where(usable, scale, 1.0), flat)
        return out

    def scale(self, lanes: Places | slice, cards: Places | slice) -> tuple[Array, Array]:
        """(centre, scale): normalised = (raw - centre) / scale; NaN while nothing has moved."""
        weight, total, square = self._with_past((lanes, cards))
        weight = np.maximum(weight, TINY)
        mean = total / weight
        centre = np.where(self._centred[cards], mean, 0.0)
        spread = square / weight - centre * (2 * mean - centre)
        # Rounding leaves a residue of the mean square; below it there is no scale to speak of.
        moved = np.where(spread > 1e-12 * square / weight, np.sqrt(np.maximum(spread, 0.0)), np.nan)
        return centre, np.where(self._fixed[cards], self._unit[cards], moved)

    def _with_past(self, at: tuple[Places | slice, Places | slice]) -> tuple[Array, Array, Array]:
        past = self.past
        if past is None:
            return self._weight[at], self._sum[at], self._square[at]
        gap = np.maximum(self._last[at] - past._last[at], 0) / NS
        both = (self._last[at] > 0) & (past._last[at] > 0)
        decay = np.where(both, np.exp(-2 * gap / self.lanes.look_back[at][..., None]), 1.0)
        return (
            self._weight[at] + decay * past._weight[at],
            self._sum[at] + decay * past._sum[at],
            self._square[at] + decay * past._square[at],
        )

    def as_past(self, now: int) -> "Normaliser":
        """Itself and its past as one, to be the past of another from `now` (ns) on.

        What has left a look-back by then no longer counts as seen.
        """
        everywhere = slice(None), slice(None)
        out, past = copy(self), self.past
        out.past = None
        out._weight, out._sum, out._square = map(np.array, self._with_past(everywhere))
        own = self._last > 0
        out._last = np.where(own, self._last, past._last if past is not None else 0)
        left = self.lanes.look_back[..., None] - np.maximum(now - out._last, 0) / NS
        out.seen = np.clip(self.total_seen(), 0.0, np.maximum(left, 0.0))
        return out

    def fill(self, other: "Normaliser") -> None:
        """Take the state of `other` wherever this one has seen nothing."""
        blank = self.seen == 0
        for name in ("_weight", "_sum", "_square", "_last", "seen"):
            np.copyto(getattr(self, name), getattr(other, name), where=blank)

    def total_seen(self, cards: Places | slice = slice(None)) -> Array:
        """Seconds each lane of the cards has seen, history included, at most its look-back."""
        seen, past = self.seen[:, cards], self.past
        if past is not None:
            seen = seen + past.seen[:, cards]
        out: Array = np.minimum(seen, self.lanes.look_back[:, cards, None])
        return out

    def sufficiency(self, cards: Places | slice = slice(None)) -> Array:
        """n / (n + 30) per lane of the cards, n independent samples seen."""
        n = self.total_seen(cards) / self.lanes.unit[:, cards, None]
        out: Array = n / (n + 30)
        return out
