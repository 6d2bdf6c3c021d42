"""Published series: values that stand until the next one, read at any instant of the past.

Live values come in order and stand from their receipt; history comes in any order and stands from
its own time on, where nothing newer was known by then.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.market.view import BARS, HISTORY, Array, Window

Index = NDArray[np.int64]

# Cell length in seconds -> cells kept: 6 h, 10 days, 62 days.
KEPT = {10: 2200, 300: 3000, 3600: 1500}
SPAN_RING = {10: 10, 60: 10, 300: 10, 3600: 300, 14400: 300, 86400: 3600}
BAR_RING = {1: 10, 10: 10, 30: 10, 300: 300, 900: 300, 3600: 300}


class Stepped:
    """Value and time of it, known at the end of each of `size` cells; (size, columns)."""

    def __init__(self, seconds: int, size: int, columns: int) -> None:
        self.cell_ns = seconds * NS
        self.size = size
        self.head = -1
        self.values = np.full((size, columns), np.nan)
        self.since = np.zeros((size, columns), dtype=np.int64)

    def advance(self, end: int) -> None:
        """Make the cell before `end` the newest; the values known so far stand on."""
        cell = (end - 1) // self.cell_ns
        if self.head >= 0:
            row = self.head % self.size
            values, since = self.values[row].copy(), self.since[row].copy()
            for new in range(max(self.head + 1, cell - self.size + 1), cell + 1):
                self.values[new % self.size] = values
                self.since[new % self.size] = since
        self.head = max(self.head, cell)

    def set_newest(self, known: NDArray[np.bool_], values: Array, since: Index) -> None:
        """Values that stand from now on."""
        row = self.head % self.size
        self.values[row, known] = values[known]
        self.since[row, known] = since[known]

    def fill(self, column: int, times: Index, values: Array) -> None:
        """History of one column, times rising: each stands where nothing newer was known."""
        if self.head < 0:
            return
        cells = np.arange(max(self.head - self.size + 1, 0), self.head + 1)
        rows = cells % self.size
        found = np.searchsorted(times, (cells + 1) * self.cell_ns, "right") - 1
        newer = (found >= 0) & (times[found] > self.since[rows, column])
        self.values[rows[newer], column] = values[found[newer]]
        self.since[rows[newer], column] = times[found[newer]]

    def reaches(self, ends: Index) -> NDArray[np.bool_]:
        """Whether an instant lies within the cells kept, or after them."""
        out: NDArray[np.bool_] = ends // self.cell_ns - 1 > self.head - self.size
        return out

    def read(self, ends: Index, columns: int) -> tuple[Array, Index]:
        """(values, times) of the first columns, at each instant or the last whole cell before."""
        cells = np.minimum(ends // self.cell_ns - 1, self.head)
        held = (cells > self.head - self.size) & (cells >= 0) & (self.head >= 0)
        rows = np.where(held, cells, 0) % self.size
        values, since = self.values[rows, :columns], self.since[rows, :columns]
        if not held.all():
            values[~held], since[~held] = np.nan, 0
        return values, since


class Published:
    """Several series of the same symbols; `stands`: name -> seconds a value is good for."""

    def __init__(self, stands: Mapping[str, float], symbols: int,
                 kept: Mapping[int, int] = KEPT) -> None:  # fmt: skip
        self.names = tuple(stands)
        self._symbols = symbols
        columns = len(self.names) * symbols
        self._place = {name: n * symbols for n, name in enumerate(self.names)}
        self._stands = np.repeat([int(stands[n] * NS) for n in self.names], symbols)
        self._rings = {s: Stepped(s, size, columns) for s, size in kept.items()}
        self._value = np.full(columns, np.nan)
        self._time = np.zeros(columns, dtype=np.int64)
        self._new = np.zeros(columns, dtype=bool)
        self._past: dict[int, list[tuple[int, float]]] = defaultdict(list)

    def put(self, name: str, symbol: int, at: int, value: float) -> None:
        """A value known from `at` (ns) on; one older than the newest is history."""
        column = self._place[name] + symbol
        if at >= self._time[column]:
            self._value[column], self._time[column], self._new[column] = value, at, True
        else:
            self._past[column].append((at, value))

    def put_past(self, name: str, symbol: int, at: int, value: float) -> None:
        """A value of the past, whenever it came."""
        self._past[self._place[name] + symbol].append((at, value))

    def advance(self, end: int) -> None:
        """Open the cells up to `end`; what is new stands from there."""
        for ring in self._rings.values():
            ring.advance(end)
            ring.set_newest(self._new, self._value, self._time)
        self._new[:] = False
        self._settle()

    def _settle(self) -> None:
        """Fill in the history that waits."""
        past, self._past = self._past, defaultdict(list)
        for column, points in past.items():
            rising = sorted(points)
            times = np.array([at for at, _ in rising], dtype=np.int64)
            values = np.array([value for _, value in rising])
            for ring in self._rings.values():
                ring.fill(column, times, values)
            if times[-1] > self._time[column]:
                self._value[column], self._time[column] = values[-1], times[-1]

    def spans(self, now: int, windows: Sequence[Window], count: int = HISTORY) -> Array:
        """(names, W, H, S): the value at the end of each of the last `count` whole windows."""
        ends = [now - w.span * NS * np.arange(count - 1, -1, -1) for w in windows]
        return self._table(ends, [SPAN_RING[w.span] for w in windows], len(self.names))

    def bars(self, now: int, windows: Sequence[Window], names: int) -> Array:
        """(names, W, N, S): the first series' value at the end of each of the last 120 bars."""
        ends = [now - w.bar * NS * np.arange(BARS - 1, -1, -1) for w in windows]
        return self._table(ends, [BAR_RING[w.bar] for w in windows], names)

    def at(self, instants: Sequence[int]) -> Array:
        """(names, instants, S): the values known at instants of the past."""
        known = self._known(np.array(instants, dtype=np.int64), 300, len(self._value))
        return self._shaped(known)

    def _table(self, ends: list[Index], rings: list[int], names: int) -> Array:
        """The rings of windows side by side are read once for all of them."""
        if self._past:
            self._settle()
        columns = names * self._symbols
        out = np.empty((names, len(ends), len(ends[0]), self._symbols))
        for ring in sorted(set(rings)):
            first, last = rings.index(ring), len(rings) - rings[::-1].index(ring)
            known = self._known(np.concatenate(ends[first:last]), ring, columns)
            out[:, first:last] = self._shaped(known).reshape(names, last - first, -1, self._symbols)
        # The newest end, the same of all windows, as finely as it is known.
        newest = self._standing(min(self._rings), ends[0][-1:], columns)
        newest = newest.reshape(names, 1, self._symbols)
        np.copyto(out[:, :, -1], newest, where=newest == newest)
        return out

    def _shaped(self, x: Array) -> Array:
        return x.reshape(len(x), -1, self._symbols).swapaxes(0, 1)

    def _known(self, ends: Index, ring: int, columns: int) -> Array:
        """From the ring asked for, where there is one; what lies before it, from the coarsest."""
        ring = ring if ring in self._rings else max(self._rings)
        out = self._standing(ring, ends, columns)
        early = ~self._rings[ring].reaches(ends)
        if early.any() and ring != (coarsest := max(self._rings)):
            out[early] = self._standing(coarsest, ends[early], columns)
        return out

    def _standing(self, ring: int, ends: Index, columns: int) -> Array:
        """What is still good at each end."""
        values, since = self._rings[ring].read(ends, columns)
        values[since < ends[:, None] - self._stands[:columns]] = np.nan
        return values
