"""Taker notional by price level over each window, in ten slots a window that roll over."""

import numpy as np

from engine.clock import NS
from engine.market.tape import Batch
from engine.market.view import WINDOWS, Array, Footprint, Window

LEVELS = 128
SLOTS = 10
# Level height in log price: near the size of a tick at the short end, a tenth of a usual day's
# range at the long one.
STEPS = {"10s": 5e-5, "1m": 1e-4, "5m": 2e-4, "1h": 5e-4, "4h": 1e-3, "1d": 2.5e-3}


class Footprints:
    """Buy and sell notional by (window, slot, symbol, level); level ids wrap at 128 levels."""

    def __init__(self, symbols: int) -> None:
        shape = (len(WINDOWS), SLOTS, symbols, LEVELS)
        self._flow = np.zeros((2, *shape))
        self._level = np.full((len(WINDOWS), symbols, LEVELS), np.iinfo(np.int64).min)
        self._slot = np.full(len(WINDOWS), -1, dtype=np.int64)
        self._newest = 0
        self.step = np.repeat(np.array([[STEPS[w.name]] for w in WINDOWS]), symbols, axis=1)

    def set_tick(self, symbol: int, relative_tick: float) -> None:
        """Keep levels at least two ticks high; a change of height starts the symbol anew.

        A height once needed stays until a quarter of it would do, so that price moving across a
        power of two does not empty the footprint again and again.
        """
        floor = 2.0 ** np.ceil(np.log2(2 * relative_tick)) if relative_tick > 0 else 0.0
        wanted = np.maximum([STEPS[w.name] for w in WINDOWS], floor)
        step = self.step[:, symbol]
        changed = (wanted > step) | (4 * wanted <= step)
        if changed.any():
            self.step[changed, symbol] = wanted[changed]
            self._flow[:, changed, :, symbol] = 0.0
            self._level[changed, symbol] = np.iinfo(np.int64).min

    def roll(self, now: int) -> None:
        """Empty the slots that `now` has moved beyond."""
        self._newest = max(self._newest, now)
        for w, window in enumerate(WINDOWS):
            slot = now // (window.span * NS // SLOTS)
            if self._slot[w] < 0:
                self._slot[w] = slot
            for passed in range(max(self._slot[w] + 1, slot - SLOTS + 1), slot + 1):
                self._flow[:, w, passed % SLOTS] = 0.0
            self._slot[w] = max(self._slot[w], slot)

    def add(self, batch: Batch) -> None:
        """Add trades; `roll` has been called for the newest of them."""
        log_price = np.log(batch.price)
        side = np.where(batch.buy, 0, 1)
        for w, window in enumerate(WINDOWS):
            slot = batch.at // (window.span * NS // SLOTS)
            fresh = slot > self._slot[w] - SLOTS
            s = batch.symbol[fresh]
            level = np.floor(log_price[fresh] / self.step[w, s]).astype(np.int64)
            place = level % LEVELS
            stale = self._level[w, s, place] != level
            self._flow[:, w, :, s[stale], place[stale]] = 0.0
            self._level[w, s[stale], place[stale]] = level[stale]
            # Of two levels of one batch that share a place, only the later one stays.
            kept = self._level[w, s, place] == level
            np.add.at(
                self._flow,
                (side[fresh][kept], w, slot[fresh][kept] % SLOTS, s[kept], place[kept]),
                batch.notional[fresh][kept],
            )

    def view(self, windows: tuple[Window, ...], log_price: Array, tape: Array,
             now: int) -> Footprint:  # fmt: skip
        """Levels around each symbol's price (W, S), lowest first, (W, 128, S).

        NaN where `tape` (W, S) is NaN, which says that it did not run over the window, and
        everywhere for an instant that is past: only the present is kept.
        """
        chosen = [WINDOWS.index(w) for w in windows]
        step = self.step[chosen]
        if now <= self._newest:
            empty = np.full((len(windows), LEVELS, step.shape[1]), np.nan)
            return Footprint(buy=empty, sell=empty, step=step)
        flow = self._flow[:, chosen].sum(axis=2)
        unknown = np.isnan(log_price) | np.isnan(tape)
        centre = np.floor(np.where(unknown, 0.0, log_price) / step).astype(np.int64)
        level = centre[..., None] + np.arange(-LEVELS // 2, LEVELS // 2)
        place = level % LEVELS
        known = np.take_along_axis(self._level[chosen], place, axis=-1) == level
        out = np.where(known, np.take_along_axis(flow, np.stack([place, place]), axis=-1), 0.0)
        out = np.where(unknown[..., None], np.nan, out)
        buy, sell = out.swapaxes(-1, -2)
        return Footprint(buy=buy, sell=sell, step=step)
