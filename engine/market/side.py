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

    __slots__ = ("_places", "_prices", "_sizes")

    def __init__(self, levels: Iterable[tuple[float, float]] = ()) -> None:
        self._places: dict[float, int] = {}
        self._prices = array("d")
        self._sizes = array("d")
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
        sizes = np.frombuffer(self._sizes)
        held = sizes > 0
        prices, sizes = np.frombuffer(self._prices)[held], sizes[held]
        if len(self._sizes) > 2 * len(sizes) + SPARE:
            self._places = {price: place for place, price in enumerate(prices.tolist())}
            self._prices, self._sizes = array("d", prices), array("d", sizes)
        return prices, sizes

    def levels(self) -> dict[float, float]:
        """Price -> size."""
        pairs = zip(self._prices, self._sizes, strict=True)
        return {price: size for price, size in pairs if size}
