"""The true tape: every execution, in columns, as far back as is asked for."""

from array import array
from collections.abc import Iterator
from typing import NamedTuple


class Print(NamedTuple):
    """One execution: its id, first and last trade id, time in ms, ticks, steps, taker buys."""

    id: int
    first: int
    last: int
    ms: int
    price: int
    size: int
    buy: bool


class Tape:
    """The executions of one symbol; ids are without gaps, also across what was let go.

    `limit`: executions that are kept at least; None keeps all.
    """

    FIRST = 1_000_001

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._next = self.FIRST
        self._trade = 5 * self.FIRST
        self._ms, self._price = array("q"), array("q")
        self._size, self._count = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._ms)

    def add(self, ms: int, price: int, size: int, buy: bool) -> Print:
        """Note an execution and give it its ids."""
        trades = 1 + (size * 7 + price) % 3
        out = Print(self._next, self._trade, self._trade + trades - 1, ms, price, size, buy)
        self._next += 1
        self._trade += trades
        self._ms.append(ms)
        self._price.append(price)
        self._size.append(size if buy else -size)
        self._count.append(trades)
        if self._limit is not None and len(self._ms) > 2 * self._limit:
            for column in (self._ms, self._price, self._size, self._count):
                del column[: self._limit]
        return out

    def __iter__(self) -> Iterator[Print]:
        number = self._next - len(self._ms)
        first = self._trade - sum(self._count)
        for ms, price, size, count in zip(
            self._ms, self._price, self._size, self._count, strict=True
        ):
            yield Print(number, first, first + count - 1, ms, price, abs(size), size > 0)
            number += 1
            first += count
