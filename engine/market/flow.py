"""Trades that wait go into the cells they belong to: bars, taker flow, size classes, footprint.

A trade belongs to the bar of its exchange time plus the venue's clock offset, never later than
its receipt; the offset is the median of the last thirty one-second minima of receipt minus
exchange time, so that one bad timestamp cannot move it.
"""

from bisect import bisect_left
from collections import Counter, deque
from statistics import median_low

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.events import Trade
from engine.market.candles import Candles
from engine.market.fields import LIVE, LIVE_AT
from engine.market.footprint import Footprints
from engine.market.history import History
from engine.market.tape import Batch, Bunching, SizeClasses
from engine.market.view import Array

Index = NDArray[np.int64]

LATEST_S = 600
# A delay this much below the usual of its second is a wrong exchange time, not a fast trade.
ODD_NS = 5 * NS
FEW = 3


class Flow:
    """Works off the reference venue's tape; `waiting` is where trades are left for it."""

    def __init__(self, places: dict[str, int], history: History, candles: Candles,
                 drops: Counter[str]) -> None:  # fmt: skip
        count = len(places)
        self.waiting: list[Trade] = []
        self.footprints = Footprints(count)
        self.sizes = SizeClasses(count)
        self.offset: int | None = None
        self.taken = np.zeros((2, count))
        self._places = places
        self._history = history
        self._candles = candles
        self._drops = drops
        self._bunching = Bunching(count)
        self._minima: deque[int] = deque(maxlen=30)
        self._delays: list[int] = []
        self._heard = 0
        self._sized_at = 0

    def second(self, end: int) -> None:
        """Settle the second that ends at `end`, then learn the clock offset from it.

        So a trade's bar is the same whenever in its second it is settled; only the very first
        second has to judge itself.
        """
        self._hear()
        if self.offset is None:
            self._learn()
            self.settle(end)
        else:
            self.settle(end)
            self._learn()

    def _learn(self) -> None:
        if self._delays:
            delays = sorted(self._delays)
            middle = (delays[(len(delays) - 1) // 2] + delays[len(delays) // 2]) / 2
            self._minima.append(delays[bisect_left(delays, middle - ODD_NS)])
            self._delays.clear()
            known = self._minima
            self.offset = max(known) if len(known) < FEW else median_low(known)

    def settle(self, limit: int) -> None:
        """Put the waiting trades whose bar time is before `limit` into their cells."""
        self._hear()
        if self.offset is None or not self.waiting:
            return
        trades = self.waiting
        recv = np.array([t.recv or t.ts for t in trades], dtype=np.int64)
        ts = np.array([t.ts for t in trades], dtype=np.int64)
        offset = self.offset
        at = np.minimum(ts + offset, recv)
        ready = at < limit
        if ready.all():
            trades = trades.copy()
            self.waiting.clear()
        elif ready.any():
            trades = [t for t, r in zip(trades, ready, strict=True) if r]
            self.waiting[:] = [t for t, r in zip(self.waiting, ready, strict=True) if not r]
            at, ts = at[ready], ts[ready]
        else:
            return
        self._heard = len(self.waiting)
        self._add(self._usable(trades, at, np.minimum(ts, at - offset)))

    def classify(self, end: int) -> None:
        """Take new size thresholds every ten seconds."""
        if end - self._sized_at >= 10 * NS:
            self.sizes.update((end - self._sized_at) / NS if self._sized_at else 0.0)
            self._sized_at = end

    def _hear(self) -> None:
        """Note how long the trades that are new here took."""
        self._delays += [(t.recv or t.ts) - t.ts for t in self.waiting[self._heard :]]
        self._heard = len(self.waiting)

    def _usable(self, trades: list[Trade], at: Index, ts: Index) -> Batch:
        """The trades as a batch; those without a price, or older than any bar takes, are not in."""
        price = np.array([t.price for t in trades])
        size = np.array([t.size for t in trades])
        places = np.array([self._places[t.symbol or ""] for t in trades], dtype=np.int64)
        buy = np.array([t.side == "buy" for t in trades], dtype=bool)
        sound = np.isfinite(price) & np.isfinite(size) & (price > 0) & (size > 0)
        use = sound & (at // NS > self._history.prices[1].head - LATEST_S)
        if use.all():
            return Batch(places, at, ts, price, size, buy)
        lost = {"trade without price or size": ~sound, "trade too late for its bar": sound & ~use}
        self._drops.update({why: int(mask.sum()) for why, mask in lost.items() if mask.any()})
        return Batch(places[use], at[use], ts[use], price[use], size[use], buy[use])

    def _add(self, batch: Batch) -> None:
        if not len(batch):
            return
        self._history.anchor(batch.symbol, batch.log_price)
        batch.lean(self._history.log_anchor)
        big = batch.notional >= self.sizes.big[batch.symbol]
        batch.bunched[big] = self._bunching.weights(batch.symbol[big], batch.at[big])
        self._candles.note(batch)
        self.footprints.add(batch)
        cells = batch.at // NS
        for cell in sorted(set(cells.tolist())):
            alone = cells == cell
            self._add_cell(batch if alone.all() else batch.take(alone), cell * NS)
        self.sizes.add(batch.symbol, batch.notional)

    def _add_cell(self, batch: Batch, at: int) -> None:
        """Add the trades of one second to every ring."""
        flow = self._totals(batch)
        self.taken += flow[1::-1]
        counted = self._candles.counted(batch.symbol, batch.ts)
        parts = {s: batch.take(mask) for s, mask in counted.items()}
        self._history.add_flow(at, flow, {s: self._totals(part) for s, part in parts.items()})
        extent = _extent(batch)
        for seconds, prices in self._history.prices.items():
            part = _extent(parts[seconds]) if seconds in parts else extent
            if len(part[0]):
                prices.trade(at // prices.cell_ns, *part)
        self._history.add_live(at, self._classified(batch))

    def _totals(self, batch: Batch) -> Array:
        """Taker buys, sells, VWAP numerator and no coverage, (fields, symbols)."""
        s, notional, count = batch.symbol, batch.notional, len(self._places)
        sums = np.zeros((4, count))
        for place, values in enumerate((notional * batch.buy, notional * ~batch.buy,
                                        batch.leaning)):  # fmt: skip
            sums[place] = np.bincount(s, values, count)
        return sums

    def _classified(self, batch: Batch) -> Array:
        """Trade counts and notional by size class, (fields, symbols)."""
        s, notional, sizes = batch.symbol, batch.notional, self.sizes
        values = {
            "buys sells": np.ones(len(s)),
            "big_buy big_sell": notional * (batch.bunched > 0),
            "bunched_buy bunched_sell": notional * batch.bunched,
            "large_buy large_sell": notional * (notional >= sizes.large[s]),
            "small_buy small_sell": notional * (notional <= sizes.small[s]),
        }
        out, count = np.zeros((len(LIVE), len(self._places))), len(self._places)
        sides = np.where(batch.buy, s, s + count)
        for names, weights in values.items():
            rows = [LIVE_AT[name] for name in names.split()]
            out[rows] = np.bincount(sides, weights, 2 * count).reshape(2, count)
        return out


def _extent(batch: Batch) -> tuple[Index, Array, Index]:
    """Symbols traded, open, high, low, close by exchange time, times of first and last."""
    order = np.lexsort((batch.ts, batch.symbol))
    s, price, ts = batch.symbol[order], batch.price[order], batch.ts[order]
    starts = np.flatnonzero(np.diff(s, prepend=-1))
    if not len(starts):
        return s, np.empty((4, 0)), np.empty((2, 0), dtype=np.int64)
    ends = np.append(starts[1:], len(s)) - 1
    ohlc = np.stack([price[starts], np.maximum.reduceat(price, starts),
                     np.minimum.reduceat(price, starts), price[ends]])  # fmt: skip
    return s[starts], ohlc, np.stack([ts[starts], ts[ends]])
