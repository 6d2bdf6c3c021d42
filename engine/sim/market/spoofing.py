"""Spoofing: walls shown behind the touch and taken away before they are hit, again and again."""

from collections.abc import Sequence

from msgspec import Struct

from engine.sim.market.book import Order, TrueBook, grid_step
from engine.sim.market.chance import stream
from engine.sim.market.scenario import Schedule, Wall


class Shown(Struct):
    """A wall of the truth: place of its symbol, the order, when it came and went in s."""

    symbol: int
    order: Order
    since: float
    until: float | None = None


class Spoofer:
    """Shows and hides the walls of a schedule in the true books; `walls` are all there were."""

    def __init__(self, schedule: Schedule, books: Sequence[TrueBook], seed: int) -> None:
        self._schedule, self._books = schedule, books
        self._rng = stream(seed, "walls")
        self._standing: dict[int, tuple[Shown, float]] = {}
        self._next: dict[int, float] = {}
        self.walls: list[Shown] = []

    def step(self, seconds: float) -> None:
        """Deal with the walls of an instant, before anything else happens in the tick."""
        wanted = dict(self._schedule.walls(seconds))
        for place, (shown, end) in list(self._standing.items()):
            if place not in wanted or seconds >= end or self._books[place].wall is None:
                self._end(shown, seconds, wanted.get(place))
        for place, wall in wanted.items():
            if place not in self._standing and seconds >= self._next.get(place, 0.0):
                self._begin(place, wall, seconds)

    def _begin(self, place: int, wall: Wall, seconds: float) -> None:
        book = self._books[place]
        step = grid_step(wall.away)
        if wall.buy:
            price = (book.bid - wall.away) // step * step
        else:
            price = -(-(book.ask + wall.away) // step) * step
        worth = book.listing.tick * book.listing.step * price
        order = Order(wall.buy, price, round(wall.usd / worth), wall.near)
        book.show(order)
        shown = Shown(place, order, seconds)
        self.walls.append(shown)
        self._standing[place] = shown, seconds + self._about(wall.life)

    def _end(self, shown: Shown, seconds: float, wall: Wall | None) -> None:
        shown.until = seconds
        del self._standing[shown.symbol]
        if self._books[shown.symbol].wall is shown.order:
            self._books[shown.symbol].hide()
        self._next[shown.symbol] = seconds + (self._about(wall.rest) if wall else 0.0)

    def _about(self, seconds: float) -> float:
        return seconds * (0.5 + float(self._rng.random()))
