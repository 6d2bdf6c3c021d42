"""Taker notional by price level over each window, in ten slots a window that roll over."""

import numpy as np

from engine.clock import NS
from engine.market.tape import Batch, Index
from engine.market.view import WINDOWS, Array, Footprint, Window

LEVELS = 128
SLOTS = 10
# Level height in log price: near the size of a tick at the short end, a tenth of a usual day's
# range at the long one.
STEPS = {"10s": 5e-5, "1m": 1e-4, "5m": 2e-4, "1h": 5e-4, "4h": 1e-3, "1d": 2.5e-3}
SLOT_NS = [window.span * NS // SLOTS for window in WINDOWS]


class Footprints:
    """Buy and sell notional by (window, slot, symbol, level); level ids wrap at 128 levels."""

    def __init__(self, symbols: int) -> None:
        shape = (len(WINDOWS), SLOTS, symbols, LEVELS)
        self._flow = np.zeros((2, *shape))
        self._level = np.full((len(WINDOWS), symbols, LEVELS), np.iinfo(np.int64).min)
        self._slot = np.full(len(WINDOWS), -1, dtype=np.int64)
        self._newest = 0
        self._due = 0
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
        if now < self._due:
            return
        for w, length in enumerate(SLOT_NS):
            slot, last = now // length, int(self._slot[w])
            last = slot if last < 0 else last
            for passed in range(max(last + 1, slot - SLOTS + 1), slot + 1):
                self._flow[:, w, passed % SLOTS] = 0.0
            self._slot[w] = max(last, slot)
        self._due = min((now // length + 1) * length for length in SLOT_NS)

    def add(self, batch: Batch) -> None:
        """Add trades; `roll` has been called for the newest of them."""
        slot = batch.at // np.array(SLOT_NS)[:, None]
        w, n = np.nonzero(slot > self._slot[:, None] - SLOTS)
        s = batch.symbol[n]
        level = np.floor(batch.log_price[n] / self.step[w, s]).astype(np.int64)
        place = level % LEVELS
        # Flat places of (window, symbol, level): one index is taken far faster than three.
        levels = self._level.reshape(-1)
        at = (w * self._level.shape[1] + s) * LEVELS + place
        stale = levels[at] != level
        if stale.any():
            self._flow[:, w[stale], :, s[stale], place[stale]] = 0.0
            levels[at[stale]] = level[stale]
            # Of two levels of one batch that share a place, only the later one stays.
            kept = levels[at] == level
            w, n, s, place = w[kept], n[kept], s[kept], place[kept]
        flow = self._flow
        side = np.where(batch.buy, 0, 1)[n]
        row = ((side * flow.shape[1] + w) * SLOTS + slot[w, n] % SLOTS) * flow.shape[3] + s
        np.add.at(flow.reshape(-1), row * LEVELS + place, batch.notional[n])

    def slots(self, window: int, symbol: int) -> tuple[int, Index, Array]:
        """Newest slot, ids of the levels (L,), taker notional (side, SLOTS, L); slots go round."""
        levels, flow = self._level[window, symbol], self._flow[:, window, :, symbol]
        return int(self._slot[window]), levels, flow

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
            unplaced = np.full(step.shape, np.nan)
            return Footprint(buy=empty, sell=empty, step=step, floor=unplaced, late=empty)
        flow, newest = self._summed(chosen)
        unknown = np.isnan(log_price) | np.isnan(tape)
        centre = np.floor(np.where(unknown, 0.0, log_price) / step).astype(np.int64)
        level = centre[..., None] + np.arange(-LEVELS // 2, LEVELS // 2)
        place = level % LEVELS
        known = np.take_along_axis(self._level[chosen], place, axis=-1) == level
        out = np.where(known, np.take_along_axis(flow, np.stack([place, place]), axis=-1), 0.0)
        out = np.where(unknown[..., None], np.nan, out)
        buy, sell = out.swapaxes(-1, -2)
        late = np.where(known, np.take_along_axis(newest, place, axis=-1), 0.0)
        late = np.where(unknown[..., None], np.nan, late).swapaxes(-1, -2)
        floor = np.where(unknown, np.nan, (centre - LEVELS // 2) * step)
        return Footprint(buy=buy, sell=sell, step=step, floor=floor, late=late)

    def _summed(self, chosen: list[int]) -> tuple[Array, Array]:
        """(sides, W, S, levels) of all slots; (W, S, levels) of both sides, the newest half."""
        _, _, slots, symbols, levels = self._flow.shape
        weights = np.ones((len(chosen), 2, slots))
        age = (self._slot[chosen, None] - np.arange(slots)) % slots
        weights[:, 1] = age < slots // 2
        flow = self._flow if len(chosen) == len(WINDOWS) else self._flow[:, chosen]
        sums = weights @ flow.reshape(2, len(chosen), slots, symbols * levels)
        sums = sums.reshape(2, len(chosen), 2, symbols, levels)
        return sums[:, :, 0], sums[0, :, 1] + sums[1, :, 1]
