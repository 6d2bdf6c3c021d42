"""One side of a book: sizes by price, as cheap to change level by level as to read as arrays.

A price keeps its place in two flat arrays, so that a sample reads them without walking a dict;
a deleted level keeps it too, with size 0, until there are too many of those.
"""

from array import array
from collections.abc import Iterable

import numpy as np

from engine.market.view import Array

SPARE = 500


class Side:
    """Levels of one side in order of first appearance."""

    __slots__ = ("_logs", "_places", "_prices", "_sizes")

    def __init__(self, levels: Iterable[tuple[float, float]] = ()) -> None:
        self._places: dict[float, int] = {}
        self._prices = array("d")
        self._sizes = array("d")
        self._logs: Array = np.empty(0)
        self.update(levels)

    def update(self, levels: Iterable[tuple[float, float]]) -> None:
        """Set absolute sizes; 0 deletes."""
        places, sizes = self._places, self._sizes
        for price, size in levels:
            place = places.get(price)
            if place is not None:
                sizes[place] = size
            elif size:
                places[price] = len(sizes)
                self._prices.append(price)
                sizes.append(size)

    def arrays(self) -> tuple[Array, Array]:
        """(prices, sizes) of the levels there are; copies."""
        prices, sizes, _ = self.columns()
        held = sizes > 0
        return prices[held], sizes[held]

    def columns(self) -> tuple[Array, Array, Array]:
        """(prices, sizes, log prices) of every place, size 0 where it was deleted; to be read."""
        prices, sizes, known = np.array(self._prices), np.array(self._sizes), len(self._logs)
        if known < len(prices):
            self._logs = np.concatenate([self._logs, np.log(prices[known:])])
        if len(sizes) > 2 * np.count_nonzero(sizes) + SPARE:
            held = sizes > 0
            prices, sizes, self._logs = prices[held], sizes[held], self._logs[held]
            self._places = {price: place for place, price in enumerate(prices.tolist())}
            self._prices, self._sizes = array("d", prices), array("d", sizes)
        return prices, sizes, self._logs

    def levels(self) -> dict[float, float]:
        """Price -> size."""
        pairs = zip(self._prices, self._sizes, strict=True)
        return {price: size for price, size in pairs if size}
