"""Where positions would be liquidated: an estimate from open interest, price and taker flow.

Every five minutes the positions opened are booked at the prices traded then, as longs and shorts
in the proportion of taker buys and sells, over a mixture of leverages; those closed take their
share of everything held. A cluster is gone once price has traded at it. Only positions whose
opening was seen are on the map. It is an estimate and never a fact.

Open interest tells opened minus closed. Where a buyer who opens meets a seller who closes it stands
still, and yet a position has a new holder and a new entry, so some of the volume counts as both.

Liquidation of an isolated linear position with initial margin 1/L and maintenance rate m, fees
left out: entry x (1 - 1/L) / (1 - m) for a long, entry x (1 + 1/L) / (1 + m) for a short
(Binance, How to Calculate Liquidation Price of USD-M Futures Contracts, one position).
"""

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.market.fields import FLOW_AT, LIVE_AT
from engine.market.history import History
from engine.market.unknown import BUCKET, BUCKETS
from engine.market.venues import VenueBoard
from engine.market.view import WINDOWS, Array, Liquidations

Index = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Leverage and its share of open interest. Between an exchange of many small accounts (BitMEX, May
# 2019: 22x to 30x on average, a fifth above about 50x) and one where every position is public
# (Hyperliquid, December 2025: 36 % up to 3x, 48 % up to 7x, the rest above); mean 12x.
LEVERAGE = np.array([3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 75.0, 100.0])
SHARE = np.array([0.25, 0.22, 0.13, 0.13, 0.08, 0.08, 0.05, 0.035, 0.015, 0.01])
# Binance's second bracket of its large contracts.
MAINTENANCE = 0.005
# Share of the volume in which a position passes to somebody who keeps it. No venue tells: at most
# a half could, were every trade between one who opens and one who closes, and makers take the most
# of it. With a volume of two to four times the open interest a day, positions live for two and a
# half to five days.
PASSED = 0.1
LONG, SHORT = 0, 1
AWAY = np.log(np.stack([(1 - 1 / LEVERAGE) / (1 - MAINTENANCE),
                        (1 + 1 / LEVERAGE) / (1 + MAINTENANCE)]))  # fmt: skip
# Where in the range of five minutes entries are put.
POINTS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
CELL_NS, CELL_MINUTES = 300 * NS, 5
FIVE_MINUTES = next(w for w in WINDOWS if w.span == 300)
REACH = 8 * 288
# Cells of known open interest before anything is told: an hour.
FEW = 12
# Buckets kept around the price, half of them on each side.
SIZE = 1024
HALF = SIZE // 2
# Trades a little late still belong to the second that they were made in.
LATE = 3
HOUR_NS, HOURS = 3600 * NS, 190
LOOK_S = 10
BATCH = 4
HIGH, LOW = 1, 2
SWEPT = [LIVE_AT["long_swept"], LIVE_AT["short_swept"]]


class LiquidationMap:
    """Base units by side, symbol and bucket of 10 bps in absolute log price; ids wrap.

    A bucket stands at its middle. `cells`: how many cells of five minutes each symbol's estimate
    rests on.
    """

    def __init__(self, history: History, board: VenueBoard) -> None:
        count = history.symbols
        self.held = np.zeros((2, count, SIZE))
        self.cells = np.zeros(count, dtype=np.int64)
        self._history = history
        self._board = board
        self._centre = np.zeros(count, dtype=np.int64)
        # The bucket nearest to the price that may hold something.
        self._edge = np.repeat([[-np.inf], [np.inf]], count, axis=1)
        self._done = -1
        self._look = Look(history)
        self._stale: list[int] = []
        self._told: Told | None = None

    def second(self, out: Array, end: int) -> None:
        """Take in the second before `end`; what price went through is added to `out`.

        Every five minutes the newest open interest is booked; where history came in, the map of
        a symbol is made anew from it, a few symbols a second.
        """
        out[SWEPT] += self._sweep(*_extremes(self._history, 1, end // NS - LATE))
        cell = end // CELL_NS - 1
        if cell > self._done:
            if self._done >= 0:
                self._advance(cell)
            self._done, self._told = cell, None
        if end // NS % LOOK_S == 0:
            self._queue(np.flatnonzero(self._look.changed(end)).tolist())
        if self._stale:
            self._rebuild()

    def view(self, log_price: Array) -> Liquidations:
        """Notional around (symbols,) log prices; NaN where too little open interest was seen."""
        unknown = np.isnan(log_price) | (self.cells < FEW)
        place = np.where(unknown, 0.0, log_price) / BUCKET - 0.5
        parts = []
        for side, first, way in ((SHORT, np.floor(place) + 1, 1), (LONG, np.ceil(place) - 1, -1)):
            ids = first.astype(np.int64)[:, None] + way * np.arange(BUCKETS)
            base = np.take_along_axis(self.held[side], ids % SIZE, axis=1)
            notional = base * np.exp(_middle(ids)) * _inside(ids, self._centre[:, None])
            parts.append(np.where(unknown, np.nan, notional.T))
        return Liquidations(step=BUCKET, above=parts[0], below=parts[1])

    def _sweep(self, high: Array, low: Array) -> Array:
        """Take out what price traded at, or beyond; the notional of it, (2, symbols)."""
        out = np.zeros((2, len(high)))
        reached = np.ceil(low / BUCKET - 0.5), np.floor(high / BUCKET - 0.5)
        for side, way in ((LONG, -1), (SHORT, 1)):
            hit = way * reached[side] >= way * self._edge[side]
            for s in np.flatnonzero(hit).tolist():
                last = int(reached[side][s])
                count = min(abs(last - int(self._edge[side, s])) + 1, SIZE)
                ids = last - way * np.arange(count)
                out[side, s] = self.held[side, s, ids % SIZE] @ np.exp(_middle(ids))
                self.held[side, s, ids % SIZE] = 0.0
                self._edge[side, s] = last + way
        return out

    def _advance(self, cell: int) -> None:
        """Book the cells up to one; over a silence only what history tells is known."""
        if cell > self._done + 1:
            self._queue(list(range(self._history.symbols)))
            return
        told = Told(self._history, np.array([cell]))
        if not told.known.all():
            told.fill(self._board, (cell + 1) * CELL_NS)
        known = told.known[0]
        self.cells += known
        self.held *= told.left[0][:, None]
        for s in np.flatnonzero(known).tolist():
            self._follow(s, int(told.close[0, s] // BUCKET))
        opened = np.flatnonzero(told.opened[0] > 0)
        for side in (LONG, SHORT):
            base, ids = told.clusters(side, 0, opened)
            limits = (told.low if side == LONG else told.high)[0, opened]
            kept = _beyond(side, ids, limits) & _inside(ids, self._centre[opened, None, None])
            at = np.broadcast_to(opened[:, None, None], ids.shape)[kept]
            np.add.at(self.held[side], (at, ids[kept] % SIZE), base[kept])
        self._open(np.flatnonzero(known), told.close[0])

    def _follow(self, s: int, centre: int) -> None:
        """Keep the buckets around a price; those that it left behind are forgotten."""
        moved = centre - int(self._centre[s])
        new = np.arange(min(abs(moved), SIZE))
        entered = centre + HALF - 1 - new if moved > 0 else centre - HALF + 1 + new
        self.held[:, s, entered % SIZE] = 0.0
        self._centre[s] = centre

    def _open(self, symbols: Index, close: Array) -> None:
        """Something may be held from just beyond the price on."""
        place = close[symbols] / BUCKET - 0.5
        edge = self._edge
        edge[LONG, symbols] = np.maximum(edge[LONG, symbols], np.ceil(place) - 1)
        edge[SHORT, symbols] = np.minimum(edge[SHORT, symbols], np.floor(place) + 1)

    def _queue(self, symbols: list[int]) -> None:
        if symbols:
            self._stale += [s for s in symbols if s not in self._stale]
            self._told = None

    def _rebuild(self) -> None:
        """Make maps from history: read it in one second, book some symbols in each after it."""
        if self._told is None:
            cells = np.arange(self._done - REACH + 1, self._done + 1)
            self._told = Told(self._history, cells)
            return
        newest = _extremes(self._history, 60, (self._done + 1) * CELL_MINUTES)
        batch, self._stale = self._stale[:BATCH], self._stale[BATCH:]
        for s in batch:
            if self._told.known[:, s].any():
                self._replay(self._told, s, (newest[1][s], newest[0][s]))
        if not self._stale:
            self._told = None

    def _replay(self, told: "Told", s: int, newest: tuple[float, float]) -> None:
        """One symbol's map, the same as if its cells had been booked one by one.

        `newest`: the low and the high since the last cell.
        """
        rows = np.flatnonzero(told.known[:, s])
        close = told.close[rows[-1], s]
        centre = int(close // BUCKET)
        self.cells[s], self._centre[s] = len(rows), centre
        left = told.later_left(s)
        rows = np.flatnonzero(told.opened[:, s] > 0)
        for side in (LONG, SHORT):
            limits = told.limit(side, s, newest[side])
            base, ids = told.clusters(side, rows, s)
            kept = _beyond(side, ids, limits[rows]) & _inside(ids, centre)
            amounts = (base * left[rows, None, None])[kept]
            self.held[side, s] = np.bincount(ids[kept] % SIZE, amounts, SIZE)
        self._edge[:, s] = np.ceil(close / BUCKET - 0.5), np.floor(close / BUCKET - 0.5)


class Told:
    """What cells of five minutes tell, (cells, symbols): open interest and where it was traded.

    `opened`: base units; `left`: the share of what was there before that was not closed;
    `known`: whether open interest at both ends and price are; `longs`: share of taker buys;
    `passed`: base units that went from holder to holder.
    """

    __slots__ = ("close", "high", "known", "left", "longs", "low", "opened", "passed")

    def __init__(self, history: History, cells: Index) -> None:
        ends = (cells + 1) * CELL_MINUTES
        prices = np.log(history.prices[60].stretches(ends, CELL_MINUTES))
        self.high, self.low, self.close = prices[:, HIGH:].swapaxes(0, 1)
        flow = history.flow[60].sums(ends, CELL_MINUTES)
        buy, sell = flow[:, FLOW_AT["buy"]], flow[:, FLOW_AT["sell"]]
        both = buy + sell
        self.longs = np.where(both > 0, buy / np.where(both > 0, both, 1.0), 0.5)
        self.passed = PASSED * np.nan_to_num(both / np.exp(self.close))
        series = history.series
        instants = np.append(cells[0], cells + 1) * CELL_NS
        interest = series.at(instants.tolist())[series.names.index("oi")]
        self._set(interest[:-1], interest[1:])

    def _set(self, before: Array, after: Array) -> None:
        self.known = np.isfinite(before + after + self.close) & (before > 0)
        before, after = (np.where(self.known, x, 1.0) for x in (before, after))
        passed = np.where(self.known, np.minimum(self.passed, np.minimum(before, after)), 0.0)
        self.opened = np.maximum(after - before, 0.0) + passed
        self.left = (np.minimum(after, before) - passed) / before

    def fill(self, board: VenueBoard, end: int) -> None:
        """Where the reference venue tells none, take the other venues together; one cell only."""
        venues = board.view(end, (FIVE_MINUTES,))
        then, now = venues.oi_before[:, 0], venues.oi
        both = np.isfinite(then + now)
        before, after = (np.where(both, x, 0.0).sum(axis=0) for x in (then, now))
        own, opened, left = self.known, self.opened, self.left
        price = np.exp(self.close[0])
        self._set((before / price)[None], (after / price)[None])
        self.opened = np.where(own, opened, self.opened)
        self.left = np.where(own, left, self.left)
        self.known |= own

    def clusters(self, side: int, cells: Index | int,
                 symbols: Index | int) -> tuple[Array, Index]:  # fmt: skip
        """(base units, bucket ids) of the positions opened, (n, POINTS, LEVERAGE)."""
        low, high = self.low[cells, symbols][:, None], self.high[cells, symbols][:, None]
        longs = self.longs[cells, symbols]
        opened = self.opened[cells, symbols] * (longs if side == LONG else 1.0 - longs)
        prices = (low + (high - low) * POINTS)[..., None] + AWAY[side]
        base = np.broadcast_to((opened / len(POINTS))[:, None, None] * SHARE, prices.shape)
        return base, np.floor(prices / BUCKET).astype(np.int64)

    def later_left(self, s: int) -> Array:
        """Share of what each cell opened that the cells after it did not close."""
        through = np.cumprod(self.left[::-1, s])[::-1]
        return np.append(through[1:], 1.0)

    def limit(self, side: int, s: int, newest: float) -> Array:
        """How far price has come since each cell began: the lowest for longs, else the highest.

        What would have been liquidated within its own five minutes is not held.
        """
        reach = self.low if side == LONG else self.high
        furthest = np.fmin if side == LONG else np.fmax
        back = furthest.accumulate(np.append(reach[:, s], newest)[::-1])[::-1]
        out: Array = back[:-1]
        return out


class Look:
    """Tells where history came in: what is known of each hour against the last look."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._last = 0
        self._told = np.full((2, HOURS, history.symbols), np.nan)

    def changed(self, now: int) -> Flags:
        """Symbols with open interest whose past is not what it was."""
        last = now // HOUR_NS
        hours = np.arange(last - HOURS + 1, last + 1)
        series = self._history.series
        interest = series.at((hours * HOUR_NS).tolist())[series.names.index("oi")]
        covered = self._history.flow[60].sums(hours * 60, 60)[:, FLOW_AT["covered"]]
        told = np.stack([covered, interest])
        passed = min(last - self._last, HOURS)
        old, new = self._told[:, passed:], told[:, : HOURS - passed]
        if not self._last:
            old, new = self._told, told
        self._last, self._told = last, told
        same = (old == new) | (np.isnan(old) & np.isnan(new))
        out: Flags = ~same.all(axis=(0, 1)) & np.isfinite(interest).any(axis=0)
        return out


def _extremes(history: History, ring: int, first: int) -> tuple[Array, Array]:
    """Log high and low of a ring's cells from `first` on, NaN where nothing is known."""
    prices = history.prices[ring]
    rows = np.arange(max(first, prices.head - prices.size + 1), prices.head + 1) % prices.size
    high = prices.cells[rows, HIGH].max(axis=0, initial=-np.inf)
    low = prices.cells[rows, LOW].min(axis=0, initial=np.inf)
    known = np.isfinite(high)
    return np.log(np.where(known, high, np.nan)), np.log(np.where(known, low, np.nan))


def _middle(ids: Index) -> Array:
    """Log price at which a bucket stands."""
    out: Array = (ids.astype(np.float64) + 0.5) * BUCKET
    return out


def _beyond(side: int, ids: Index, limits: Array) -> Flags:
    """Buckets (n, ...) that price has not reached, with a limit for each of n."""
    middle, limit = _middle(ids), limits[:, None, None]
    out: Flags = middle < limit if side == LONG else middle > limit
    return out


def _inside(ids: Index, centre: Index | int) -> Flags:
    out: Flags = np.abs(ids - centre) < HALF
    return out
