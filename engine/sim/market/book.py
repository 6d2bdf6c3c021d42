"""The true book of one symbol: whole ticks, whole steps, and what changed since it was last told.

Far from the touch orders rest on round prices only, so a book has about a hundred levels a side
out to 1.5 %. The touch is set from outside (`move`); takers eat into it and makers refill what
they ate within the tick, so that trading alone leaves no trace in the mid. A wall rests beside
what others have at its price, and is gone before the touch comes near.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence

from msgspec import Struct

from engine.sim.market.listings import Listing

REACH_BPS = 150.0
NEAR = 16  # ticks from the touch in which any price may hold an order
SWEPT = 4  # levels one order may eat
TOUCH = 2.0  # times what rests right behind it
UPDATES_AT = 9_000_000_000


_ROUND: list[int] = [m * 10**k for k in range(6) for m in (1, 2, 5)]
_FROM = [0, *(max(NEAR + 1, 8 * step) for step in _ROUND[1:])]


def grid_step(distance: int) -> int:
    """The round number of ticks on which orders at that distance rest: 1, 2, 5, 10, 20 ..."""
    return _ROUND[bisect_right(_FROM, distance) - 1]


class Order(Struct):
    """A wall as it rests: `size` steps at `price`, `taken` of it; `near` ticks are too near."""

    buy: bool
    price: int
    size: int
    near: int
    taken: int = 0

    @property
    def side(self) -> int:
        return 0 if self.buy else 1

    @property
    def left(self) -> int:
        return self.size - self.taken


class TrueBook:
    """Price in ticks -> size in steps, a dict a side; `bid` and `ask` are the touch.

    `wall`: the large order that is not meant, where there is one.
    """

    def __init__(self, listing: Listing, luck: Callable[[], float]) -> None:
        self.listing = listing
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.bid = listing.ticks
        self.ask = self.bid + 1
        self.seq = self._told = UPDATES_AT
        self.wall: Order | None = None
        self._luck = luck
        self._changed: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.reach = max(NEAR * 2, int(REACH_BPS * 1e-4 * listing.ticks))
        self.distances = self._grid()
        within = bisect_right(self.distances, int(10e-4 * listing.ticks))
        worth = listing.price * listing.step
        self._level = listing.depth / max(within, 1) / worth
        self._scale = max(8.0, 2e-4 * listing.ticks)
        for distance in self.distances:
            self._rest(distance)
        self.told()

    def _grid(self) -> list[int]:
        out, distance = [], 0
        while distance <= self.reach:
            out.append(distance)
            distance += grid_step(distance)
        return out

    def size_at(self, distance: int, luck: float) -> int:
        """Steps resting `distance` ticks behind the touch: more with distance, skewed by luck."""
        growth = min(1.0 + distance / self._scale, 6.0) ** 0.5 if distance else TOUCH
        return max(1, int(self._level * growth * (0.25 + 3.0 * luck**3.0)))

    def _rest(self, distance: int) -> None:
        """Orders on both sides at a distance."""
        step = grid_step(distance)
        low = (self.bid - distance) // step * step
        high = -(-(self.ask + distance) // step) * step
        self._set(0, low, self.size_at(distance, self._luck()))
        self._set(1, high, self.size_at(distance, self._luck()))

    def _set(self, side: int, price: int, size: int) -> None:
        levels = self.asks if side else self.bids
        wall = self.wall
        if wall is not None and price == wall.price and side == wall.side:
            size += wall.left
        if levels.get(price, 0) == size or price <= 0:
            return
        if size:
            levels[price] = size
        else:
            del levels[price]
        self._changed[side][price] = size
        self.seq += 1

    # -- makers ----------------------------------------------------------------------------

    def move(self, ticks: int, width: int) -> None:
        """Shift the touch by `ticks` with a spread of `width`; what stands in the way is gone."""
        core = (self.bid + self.ask - 1) // 2 + ticks
        self.bid, self.ask = core - (width - 1) // 2, core + 1 + width // 2
        if self.wall is not None and self._comes_near(self.wall):
            self.hide()
        for price in [price for price in self.bids if price > self.bid]:
            self._set(0, price, 0)
        for price in [price for price in self.asks if price < self.ask]:
            self._set(1, price, 0)
        if abs(ticks) > 1:
            self._crowd(0 if ticks > 0 else 1, min(abs(ticks), NEAR))
        self.mend()

    def _crowd(self, side: int, count: int) -> None:
        """Makers follow the touch into the empty prices behind it."""
        touch, away = (self.ask, 1) if side else (self.bid, -1)
        levels = self.asks if side else self.bids
        for distance in range(1, count):
            price, luck = touch + away * distance, self._luck()
            if price not in levels and luck < 0.4:
                self._set(side, price, self.size_at(distance, luck / 0.4))

    def mend(self) -> None:
        """Somebody always rests at the touch."""
        if self.bid not in self.bids:
            self._set(0, self.bid, self.size_at(0, self._luck()))
        if self.ask not in self.asks:
            self._set(1, self.ask, self.size_at(0, self._luck()))

    def churn(self, lucks: Sequence[float]) -> None:
        """Orders come, change and go: two numbers 0..1 each, one for where, one for what."""
        distances = self.distances
        span = 2 * len(distances)
        for where, what in zip(lucks[::2], lucks[1::2], strict=True):
            place = int(where * span)
            side, distance = place & 1, distances[place >> 1]
            step = grid_step(distance)
            if side:
                price = -(-(self.ask + distance) // step) * step
                there = price in self.asks
            else:
                price = (self.bid - distance) // step * step
                there = price in self.bids
            if there and what < 0.12 and distance:
                self._set(side, price, 0)
            elif there or what < 0.5:
                self._set(side, price, self.size_at(distance, (what * 7919.0) % 1.0))

    def flicker(self, luck: float) -> None:
        """A maker changes what rests at one side of the touch."""
        side, luck = (1, 2 * luck - 1) if luck >= 0.5 else (0, 2 * luck)
        self._set(side, self.ask if side else self.bid, self.size_at(0, luck))

    def prune(self) -> None:
        """Orders left far behind go: those off the round prices of their distance, most of all."""
        for side, levels in ((0, self.bids), (1, self.asks)):
            touch = self.ask if side else self.bid
            for price in list(levels):
                distance = abs(price - touch)
                stray = price % grid_step(distance) and self._luck() < 0.8
                if stray or distance > 1.1 * self.reach:
                    self._set(side, price, 0)

    def show(self, wall: Order) -> None:
        """Rest a wall; there must be none, and its price must be behind the touch."""
        there = (self.bids if wall.buy else self.asks).get(wall.price, 0)
        self.wall = wall
        self._set(wall.side, wall.price, there)

    def hide(self) -> None:
        """Take what is left of the wall away."""
        wall, self.wall = self.wall, None
        if wall is not None and wall.left:
            there = (self.bids if wall.buy else self.asks)[wall.price]
            self._set(wall.side, wall.price, there - wall.left)

    def _comes_near(self, wall: Order) -> bool:
        distance = self.bid - wall.price if wall.buy else wall.price - self.ask
        return distance <= wall.near

    # -- takers ----------------------------------------------------------------------------

    def take(self, buy: bool, steps: int) -> list[tuple[int, int]]:
        """Execute a taker's order: (price, size) of each fill, best first.

        What it wants beyond the levels it may sweep is not executed. Call `refill` when its
        effect on the touch has been told.
        """
        levels, side = (self.asks, 1) if buy else (self.bids, 0)
        price, away = (self.ask, 1) if buy else (self.bid, -1)
        fills: list[tuple[int, int]] = []
        for _ in range(SWEPT):
            if price not in levels:
                price = min(levels) if buy else max(levels)
            there = levels[price]
            # The deepest level swept keeps something, so that a book never runs empty.
            size = min(steps, there if len(levels) > SWEPT else there - 1)
            if size <= 0:
                break
            fills.append((price, size))
            self._set(side, price, self._others(side, price, there - size))
            steps -= size
            price += away
            if not steps:
                break
        return fills

    def _others(self, side: int, price: int, left: int) -> int:
        """What is left at a price without the wall, which stands last in its queue."""
        wall = self.wall
        if wall is None or price != wall.price or side != wall.side:
            return left
        wall.taken = wall.size - min(wall.left, left)
        return left - wall.left

    def touch(self) -> tuple[int, int, int, int]:
        """Best bid and its size, best ask and its size, as they are now."""
        bid = self.bid if self.bid in self.bids else max(self.bids)
        ask = self.ask if self.ask in self.asks else min(self.asks)
        return bid, self.bids[bid], ask, self.asks[ask]

    # -- telling ---------------------------------------------------------------------------

    def told(self) -> tuple[int, int, int, dict[int, int], dict[int, int]]:
        """(first id, last id, previous id, bids, asks) changed since the last call."""
        bids, asks = self._changed
        self._changed = ({}, {})
        before, self._told = self._told, self.seq
        return before + 1, self.seq, before, bids, asks
