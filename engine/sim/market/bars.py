"""Candles of the whole history: the past as it was made, the live part from the true tape."""

from collections.abc import Sequence

import numpy as np

from engine.sim.market.listings import Listing
from engine.sim.market.past import (
    CLOSE,
    COUNT,
    FIELDS,
    HIGH,
    LOW,
    OPEN,
    TAKEN,
    VOLUME,
    Past,
    Whole,
    merge,
)
from engine.sim.market.tape import Print

HOUR = 60  # minutes


class Bars:
    """One-minute candles up to now and the hours made of them, for every symbol."""

    def __init__(self, listings: Sequence[Listing], past: Past) -> None:
        self.past = past
        self._listings = listings
        self._past_minutes = len(past.minutes)
        last = past.minutes[-1, CLOSE]
        self._live: list[list[list[int]]] = [[] for _ in listings]
        self._last = [int(price) for price in last]

    @property
    def minutes(self) -> int:
        """Candles there are, the forming one included."""
        return self._past_minutes + (len(self._live[0]) if self._live else 0)

    def open_minute(self) -> None:
        """A new minute begins; without a trade it stays at the last price."""
        for rows, last in zip(self._live, self._last, strict=True):
            rows.append([last, last, last, last, 0, 0, 0])

    def add(self, symbol: int, fill: Print) -> None:
        """Count an execution into the minute that is open."""
        row = self._live[symbol][-1]
        price = fill.price
        if not row[VOLUME]:
            row[OPEN] = row[HIGH] = row[LOW] = price
        elif price > row[HIGH]:
            row[HIGH] = price
        elif price < row[LOW]:
            row[LOW] = price
        row[CLOSE] = self._last[symbol] = price
        row[VOLUME] += fill.size
        row[TAKEN] += fill.size if fill.buy else 0
        row[COUNT] += fill.last - fill.first + 1

    def select(self, symbol: int, interval: int, first: int, last: int) -> tuple[int, Whole]:
        """Bars whose opening lies in [first, last] (s UTC): the first opening and (n, FIELDS)."""
        if interval == 60:
            return self._cut(symbol, self.past.minutes_from, first, last)
        return self._hours(symbol, first, last)

    def _cut(self, symbol: int, origin: int, first: int, last: int) -> tuple[int, Whole]:
        begin = max(0, -(-(first - origin) // 60))
        end = min(self.minutes, (last - origin) // 60 + 1)
        split = self._past_minutes
        old = self.past.minutes[min(begin, split) : min(max(end, 0), split), :, symbol]
        new = self._live[symbol][max(begin - split, 0) : max(end - split, 0)]
        rows = np.array(new, dtype=np.int64).reshape(-1, FIELDS)
        return origin + 60 * begin, np.concatenate([old, rows])

    def _hours(self, symbol: int, first: int, last: int) -> tuple[int, Whole]:
        past = self.past
        begin = max(-(-first // 3600) * 3600, past.hours_from)
        old = past.hours[
            (begin - past.hours_from) // 3600 : max((last - past.hours_from) // 3600 + 1, 0),
            :,
            symbol,
        ]
        _, minutes = self._cut(
            symbol, past.minutes_from, max(begin, past.minutes_from), last // 3600 * 3600 + 3599
        )
        return begin, np.concatenate([old, merge(minutes, HOUR)]) if len(minutes) else old
