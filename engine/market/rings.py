"""Rings of fixed-length time cells per symbol: prices, and running totals of everything summed.

Totals are kept cumulatively, so the sum over any stretch is one subtraction whatever its length.
Each addition is first rounded to its field's quantum (a power of two), which makes the running
totals exact: a stretch without flow sums to exactly zero, weeks later too. Rows are cells, so
that reading a stretch touches whole cache lines.
"""

import numpy as np
from numpy.typing import NDArray

from engine.market.view import Array

Index = NDArray[np.int64]

OPEN, HIGH, LOW, CLOSE = range(4)
NEVER = np.iinfo(np.int64).min


def to_quanta(amounts: Array, quanta: Array | float) -> Array:
    """Amounts rounded to whole quanta, so that their sums are exact."""
    out: Array = np.round(amounts / quanta) * quanta
    return out


class Totals:
    """Running totals in `size` cells of `cell_ns`, shape (size, fields, symbols)."""

    def __init__(self, cell_ns: int, size: int, quanta: Array, symbols: int) -> None:
        self.cell_ns = cell_ns
        self.size = size
        self.head = -1
        self._quanta = quanta[:, None]
        self._cum = np.zeros((size, len(quanta), symbols))

    def advance(self, cell: int) -> None:
        """Make `cell` the newest, empty so far."""
        if self.head >= 0:
            newest = self._cum[self.head % self.size].copy()
            for new in range(max(self.head + 1, cell - self.size + 1), cell + 1):
                self._cum[new % self.size] = newest
        self.head = max(self.head, cell)

    def add(self, cell: int, amounts: Array) -> bool:
        """Add (fields, symbols) to a cell; False when the ring no longer holds it."""
        return self.add_whole(cell, to_quanta(amounts, self._quanta))

    def add_whole(self, cell: int, amounts: Array) -> bool:
        """The same for amounts that are whole quanta already."""
        if cell > self.head:
            self.advance(cell)
        if cell <= self.head - self.size:
            return False
        for later in range(cell, self.head + 1):
            self._cum[later % self.size] += amounts
        return True

    def put(self, cells: Index, symbol: int, amounts: Array) -> None:
        """Set whole cells (rising, all held) of one symbol; amounts (fields, cells)."""
        first = int(cells[0])
        rows = np.arange(first - 1, self.head + 1) % self.size
        column = self._cum[rows, :, symbol]
        change = np.zeros_like(column[1:])
        at = cells - first
        wanted = to_quanta(amounts, self._quanta).T
        change[at] = wanted - np.diff(column, axis=0)[at]
        self._cum[rows[1:], :, symbol] = column[1:] + np.cumsum(change, axis=0)

    def sums(self, ends: Index, length: int | Index, fields: int | None = None) -> Array:
        """Totals of the `length` cells before each exclusive end, (ends, fields, symbols).

        `fields`: only so many of the first ones. NaN for stretches that begin before the ring
        does; the future of the head is empty.
        """
        last = np.minimum(ends - 1, self.head)
        first = ends - 1 - length
        held = (first > self.head - self.size) & (self.head >= 0)
        # Cells from before the first advance hold zeros: nothing had happened yet.
        until, since = last % self.size, np.minimum(first, self.head) % self.size
        out: Array = self._cum[until, :fields] - self._cum[since, :fields]
        if not held.all():
            out[~held] = np.nan
        return out


class Prices:
    """Open, high, low, close in `size` cells of `cell_ns`, (size, 4, symbols).

    A cell with trades is what those trades make of it, in whatever order they come; one without
    is flat at the last price before it. Unknown cells hold NaN open and close, high -inf and
    low +inf.
    """

    def __init__(self, cell_ns: int, size: int, symbols: int) -> None:
        self.cell_ns = cell_ns
        self.size = size
        self.head = -1
        self._unknown = np.array([np.nan, -np.inf, np.inf, np.nan])[:, None]
        self.cells = np.repeat(np.tile(self._unknown, (size, 1, 1)), symbols, axis=2)
        # Times of the first and last trade of each cell; NEVER where there is none.
        self._times = np.full((size, 2, symbols), NEVER)
        self._rolling: dict[int, Array] = {}
        self._fresh: dict[int, int] = {}

    def close(self, cell: int) -> Array:
        """Last prices of a held cell, (symbols,)."""
        out: Array = self.cells[cell % self.size, CLOSE]
        return out

    def advance(self, cell: int, carried: Array) -> None:
        """Make `cell` the newest, starting at `carried` (symbols), NaN where nothing is live."""
        if self.head < 0:
            self.head = cell - 1
        start = np.where(np.isnan(carried), self._unknown, carried)
        for new in range(max(self.head + 1, cell - self.size + 1), cell + 1):
            self.cells[new % self.size] = start
            self._times[new % self.size] = NEVER
        self.head = max(self.head, cell)

    def trade(self, cell: int, symbols: Index, ohlc: Array, times: Index) -> None:
        """Add trades to a held cell; `ohlc` (4, symbols given), times of first and last (2, ...).

        The newest price becomes that of the cells after it in which nothing was traded.
        """
        self._changed(cell)
        row, seen = self.cells[cell % self.size], self._times[cell % self.size]
        empty = seen[1, symbols] == NEVER
        first = empty | (times[0] < seen[0, symbols])
        last = empty | (times[1] >= seen[1, symbols])
        high = np.maximum(row[HIGH, symbols], ohlc[HIGH])
        low = np.minimum(row[LOW, symbols], ohlc[LOW])
        row[OPEN, symbols] = np.where(first, ohlc[OPEN], row[OPEN, symbols])
        row[HIGH, symbols] = np.where(empty, ohlc[HIGH], high)
        row[LOW, symbols] = np.where(empty, ohlc[LOW], low)
        row[CLOSE, symbols] = np.where(last, ohlc[CLOSE], row[CLOSE, symbols])
        seen[0, symbols] = np.where(first, times[0], seen[0, symbols])
        seen[1, symbols] = np.where(last, times[1], seen[1, symbols])
        self._carry(cell, symbols[last])

    def _carry(self, cell: int, symbols: Index) -> None:
        price = self.cells[cell % self.size, CLOSE]
        for later in range(cell + 1, self.head + 1):
            symbols = symbols[self._times[later % self.size, 1, symbols] == NEVER]
            if not len(symbols):
                return
            self.cells[later % self.size][:, symbols] = price[symbols]

    def put(self, cells: Index, symbol: int, ohlc: Array) -> None:
        """Set whole cells of one symbol; ohlc (4, cells)."""
        self._changed(int(cells[0]))
        self.cells[cells % self.size, :, symbol] = ohlc.T
        self._times[cells % self.size, 0, symbol] = cells * self.cell_ns
        self._times[cells % self.size, 1, symbol] = (cells + 1) * self.cell_ns - 1

    def stretches(self, ends: Index, length: int) -> Array:
        """OHLC of the `length` cells before each end, (ends, 4, symbols).

        Open is that of the first known cell, close that of the last; NaN where none is known.
        """
        first, last = ends - length, ends - 1
        held = (first > self.head - self.size) & (last <= self.head)
        out = self.cells[last % self.size]
        out[:, OPEN] = self.cells[first % self.size, OPEN]
        if length > 1:
            out[:, HIGH : LOW + 1] = self._extremes(length)[last % self.size]
        if not held.all():
            out[~held] = self._unknown
        known = np.isfinite(out[:, HIGH])
        if not known.all():
            np.copyto(out[:, HIGH : LOW + 1], np.nan, where=~known[:, None])
        for place, step in ((OPEN, 1), (CLOSE, -1)):
            odd = np.isnan(out[:, place]) & known
            if odd.any():
                n, s = np.nonzero(odd)
                rows = (first[n, None] + np.arange(length)[::step]) % self.size
                values = self.cells[rows, place, s[:, None]]
                out[n, place, s] = values[np.arange(len(n)), (~np.isnan(values)).argmax(axis=1)]
        return out

    def _extremes(self, length: int) -> Array:
        """High and low over the `length` cells up to each held one, (size, 2, symbols).

        Kept from call to call; only rows from the first changed cell on are made anew, by
        doubling the reach (1, 2, 4 ... cells), whatever the length.
        """
        kept = self._rolling.get(length)
        if kept is None:
            kept = self._rolling[length] = np.empty((self.size, 2, self.cells.shape[2]))
            self._fresh[length] = self.head - self.size
        start = max(self._fresh[length] + 1, self.head - self.size + 1)
        if start <= self.head:
            reach = np.arange(start - length + 1, self.head + 1)
            taken = self.cells[reach % self.size, HIGH : LOW + 1]
            taken[:, 1] *= -1.0
            done = 1
            while done < length:
                hop = min(done, length - done)
                taken[hop:] = np.maximum(taken[hop:], taken[:-hop])
                done += hop
            rows = taken[length - 1 :]
            rows[:, 1] *= -1.0
            kept[reach[length - 1 :] % self.size] = rows
        # The newest cell still moves; everything before it is done.
        self._fresh[length] = self.head - 1
        return kept

    def _changed(self, cell: int) -> None:
        for length, fresh in self._fresh.items():
            self._fresh[length] = min(fresh, cell - 1)


class Series:
    """Values by cell, each with the cell it was set for; unset ones are NaN."""

    def __init__(self, size: int, symbols: int) -> None:
        self._values = np.full((size, symbols), np.nan)
        self._cells = np.full((size, symbols), NEVER)
        self._size = size

    def put(self, cell: int, symbols: int | slice, values: float | Array) -> None:
        """Set one symbol's value in a cell, or all of them; newer ones stay."""
        row = cell % self._size
        newer = self._cells[row, symbols] <= cell
        self._values[row, symbols] = np.where(newer, values, self._values[row, symbols])
        self._cells[row, symbols] = np.where(newer, cell, self._cells[row, symbols])

    def read(self, cells: Index) -> Array:
        """The values set in each cell, (cells, symbols)."""
        row = cells % self._size
        there = self._cells[row] == cells[:, None]
        return np.where(there, self._values[row], np.nan)
