"""Candles from history into the rings, so that a live tape joins without a hole or a double count.

A closed candle replaces its whole cell and seals it: trades whose exchange time lies before the
seal belong to the candle and are left out of the minute and hour rings. Everything after it is
counted live. So each minute comes from exactly one of the two.
"""

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.events import Kline
from engine.market.history import History
from engine.market.view import Array

Index = NDArray[np.int64]
MARGIN_NS = NS


class Candles:
    """Puts candles into the minute and hour rings and remembers how far each symbol is sealed."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._sealed = {s: np.zeros(history.symbols, dtype=np.int64) for s in (60, 3600)}
        self._hours: set[tuple[int, int]] = set()
        self._waiting: dict[tuple[int, int], dict[int, Kline]] = {}

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
        self._waiting.setdefault((seconds, symbol), {})[event.ts // (seconds * NS)] = event
        return True

    def settle(self) -> None:
        """Put the candles that wait into their cells, a page at a time, hours before minutes."""
        waiting, self._waiting = self._waiting, {}
        for (seconds, symbol), page in sorted(waiting.items(), key=lambda item: -item[0][0]):
            cells = np.array(sorted(page))
            self._history.set_candles(seconds, symbol, cells, *_columns(page, cells, seconds))
            sealed = self._sealed[seconds]
            sealed[symbol] = max(sealed[symbol], int(cells[-1] + 1) * seconds * NS)
            if seconds == 3600:
                self._hours.update((symbol, int(cell)) for cell in cells)
                continue
            for hour in np.unique(cells // 60):
                if (symbol, int(hour)) not in self._hours:
                    self._history.rebuild_hour(symbol, int(hour))

    def sealed_trades(self, symbols: Index, ts: Index,
                      count: int) -> dict[int, NDArray[np.bool_]]:  # fmt: skip
        """Per resolution, symbols whose trades of a second belong to a candle already there."""
        out: dict[int, NDArray[np.bool_]] = {}
        for seconds, sealed in self._sealed.items():
            inside = ts < sealed[symbols]
            if inside.any():
                mask = np.zeros(count, dtype=bool)
                mask[symbols[inside]] = True
                out[seconds] = mask
        return out

    def sealed_mask(self, at: int) -> dict[int, NDArray[np.bool_]]:
        """Per resolution, symbols whose cell at an instant is a candle's."""
        return {s: at < sealed for s, sealed in self._sealed.items() if (at < sealed).any()}


def _columns(page: dict[int, Kline], cells: Index, seconds: int) -> tuple[Array, Array]:
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
    return ohlc, np.stack([buy, both - buy, both * np.log(typical),
                           np.full(len(rows), float(seconds))])  # fmt: skip
