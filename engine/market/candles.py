"""Candles from history into the rings, so that a live tape joins without a hole or a double count.

A closed candle replaces its whole cell and seals it: a trade whose exchange time lies in a sealed
minute is the candle's, every other one is counted live, in the cell of its bar time. So each
trade comes from exactly one of the two, also where the venue's clock is ahead or behind and a
trade's minute and the minute of its bar are not the same.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.events import Kline
from engine.market.history import History
from engine.market.tape import Batch
from engine.market.view import Array

Index = NDArray[np.int64]
MARGIN_NS = NS
MINUTE_NS = 60 * NS
# Minutes for which trades between two minutes are remembered: as far as holes are looked for.
KEPT_MINUTES = 700


class Candles:
    """Puts candles into the minute and hour rings and remembers how far each symbol is sealed."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._sealed = {s: np.zeros(history.symbols, dtype=np.int64) for s in (60, 3600)}
        self._hours: list[set[int]] = [set() for _ in range(history.symbols)]
        self._waiting: dict[tuple[int, int], dict[int, Kline]] = {}
        # (symbol, minute of exchange time) -> minute of the bar -> flow of such trades.
        self._astray: dict[tuple[int, int], dict[int, Array]] = defaultdict(dict)

    @property
    def sealed_until(self) -> Index:
        """Exchange time up to which each symbol's minutes are candles, ns; 0 for none."""
        return self._sealed[60]

    def put(self, event: Kline, symbol: int, now: int) -> bool:
        """Keep a candle for `settle`; False when it is not closed at `now` or lacks taker volume.

        `now` is exchange time in ns.
        """
        seconds, taker = event.interval_s, event.taker_buy_volume
        end = event.ts + seconds * NS
        if seconds not in self._sealed or taker is None or end + MARGIN_NS > now:
            return False
        if event.ts % (seconds * NS) or not 0 < event.low <= event.high < np.inf:
            return False
        self._waiting.setdefault((seconds, symbol), {})[event.ts // (seconds * NS)] = event
        return True

    def settle(self) -> None:
        """Put the candles that wait into their cells, a page at a time, hours before minutes."""
        waiting, self._waiting = self._waiting, {}
        for (seconds, symbol), page in sorted(waiting.items(), key=lambda item: -item[0][0]):
            cells = np.array(sorted(page))
            opened = float(page[int(cells[0])].open)
            self._history.anchor(np.array([symbol]), np.log([opened]))
            ohlc, flow = _columns(page, cells, seconds, self._history.log_anchor[symbol])
            sealed = self._sealed[seconds]
            sealed[symbol] = max(sealed[symbol], int(cells[-1] + 1) * seconds * NS)
            if seconds == 60:
                self._put_minutes(symbol, cells, ohlc, flow)
            else:
                self._put_hours(symbol, cells, ohlc, flow)

    def note(self, batch: Batch) -> None:
        """Remember live trades whose minute by exchange time is not that of their bar."""
        minute, bar = batch.ts // MINUTE_NS, batch.at // MINUTE_NS
        astray = np.flatnonzero((minute != bar) & (batch.ts >= self._sealed[60][batch.symbol]))
        for n in astray.tolist():
            found = self._astray[int(batch.symbol[n]), int(minute[n])]
            buy, notional = batch.buy[n], batch.notional[n]
            flow = np.array([notional * buy, notional * ~buy, batch.leaning[n], 0.0])
            found[int(bar[n])] = found.get(int(bar[n]), 0.0) + flow
        if len(self._astray) > 2 * KEPT_MINUTES * self._history.symbols:
            oldest = max(minute for _, minute in self._astray) - KEPT_MINUTES
            for key in [key for key in self._astray if key[1] < oldest]:
                del self._astray[key]

    def counted(self, symbols: Index, ts: Index) -> dict[int, NDArray[np.bool_]]:
        """Per resolution, which of these trades are no candle's; without those that all are."""
        minute = self._sealed[60][symbols]
        # An hour is a candle or the sum of its minutes: what no minute counts, no hour does.
        sealed = {60: minute, 3600: np.maximum(minute, self._sealed[3600][symbols])}
        return {s: ts >= until for s, until in sealed.items() if (ts < until).any()}

    def sealed_mask(self, at: int) -> dict[int, NDArray[np.bool_]]:
        """Per resolution, symbols whose cell at an instant is a candle's."""
        minute = at < self._sealed[60]
        masks = {60: minute, 3600: minute | (at < self._sealed[3600])}
        return {s: mask for s, mask in masks.items() if mask.any()}

    def _put_minutes(self, symbol: int, cells: Index, ohlc: Array, flow: Array) -> None:
        hours = set(np.unique(cells // 60).tolist())
        for cell in cells.tolist():
            # In the candle now, so no longer in the cells of their bars.
            for bar, amounts in self._astray.pop((symbol, cell), {}).items():
                self._history.take_flow(60, symbol, bar, amounts)
                hours.add(bar // 60)
        for n, cell in enumerate(cells.tolist()):
            flow[:, n] += self._strangers(symbol, cell, cell + 1)
        self._history.set_candles(60, symbol, cells, ohlc, flow)
        self._rebuild(symbol, hours)

    def _put_hours(self, symbol: int, cells: Index, ohlc: Array, flow: Array) -> None:
        self._hours[symbol].update(cells.tolist())
        for n, cell in enumerate(cells.tolist()):
            flow[:, n] += self._strangers(symbol, 60 * cell, 60 * cell + 60)
        self._history.set_candles(3600, symbol, cells, ohlc, flow)
        self._rebuild(symbol, {int(cells[0]) - 1, int(cells[-1]) + 1})

    def _strangers(self, symbol: int, first: int, last: int) -> Array:
        """Flow of live trades from other minutes in the bars of [first, last)."""
        out = np.zeros(4)
        for minute in (first - 1, last):
            for bar, amounts in self._astray.get((symbol, minute), {}).items():
                if first <= bar < last:
                    out += amounts
        return out

    def _rebuild(self, symbol: int, hours: set[int]) -> None:
        """Hours that are no candles from their minutes, less what an hour's candle holds."""
        for hour in sorted(hours - self._hours[symbol]):
            held = np.zeros(4)
            for minute in (60 * hour - 1, 60 * hour + 60):
                if minute // 60 in self._hours[symbol]:
                    for bar, amounts in self._astray.get((symbol, minute), {}).items():
                        held += amounts * (bar // 60 == hour)
            self._history.rebuild_hour(symbol, hour, held)


def _columns(page: dict[int, Kline], cells: Index, seconds: int,
             anchor: float) -> tuple[Array, Array]:  # fmt: skip
    """(4, cells) open, high, low, close and (fields, cells) flow of a page of candles.

    A candle tells its taker volume in base units; its typical price (high + low + close) / 3
    turns that into notional.
    """
    rows = [page[int(cell)] for cell in cells]
    ohlc = np.array([[k.open, k.high, k.low, k.close] for k in rows]).T
    typical = ohlc[1:].mean(axis=0)
    volume = np.array([k.volume for k in rows])
    taker = np.minimum([k.taker_buy_volume or 0.0 for k in rows], volume)
    buy, both = taker * typical, volume * typical
    return ohlc, np.stack([buy, both - buy, both * (np.log(typical) - anchor),
                           np.full(len(rows), float(seconds))])  # fmt: skip
