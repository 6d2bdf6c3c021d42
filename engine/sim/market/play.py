"""One tick of one symbol: the touch moves, takers trade, makers come and go; told as it happens."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.sim.market.bars import Bars
from engine.sim.market.book import TrueBook
from engine.sim.market.chance import Draws, stream
from engine.sim.market.tape import Print, Tape

Deal = tuple[int, bool, float]  # time in ms, whether it buys, USD
QUOTES = 40  # told a tick and symbol, the last one always
FLICKERS = 0.3  # changes of the touch in 0.1 s, per trade a second
STIRRED = 2  # more of them for each order that takes
FLICKERS_MOST = 24
CHURN = 0.9  # maker updates in 0.1 s, per trade a second
CHURN_MOST = 24


class Touch(NamedTuple):
    """The best prices after an update: time in ms, update id, bid, its size, ask, its size."""

    ms: int
    seq: int
    bid: int
    bid_size: int
    ask: int
    ask_size: int


class Diff(NamedTuple):
    """Changes of the book in one tick: first, last and previous update id, price -> new size."""

    first: int
    last: int
    previous: int
    bids: dict[int, int]
    asks: dict[int, int]


class Closed(NamedTuple):
    """A liquidation as executed: time in ms, longs closed, steps, worst and average price."""

    ms: int
    long: bool
    size: int
    price: int
    average: float


class Played(NamedTuple):
    """A symbol's tick."""

    prints: list[Print]
    touches: list[Touch]
    diff: Diff
    closed: list[Closed]


def _seq(touch: Touch) -> int:
    return touch.seq


class Player:
    """Plays ticks of `dt` seconds on the true books, tapes and bars.

    `last_ms`: the last millisecond of a tick, counted from its beginning.
    """

    def __init__(self, books: Sequence[TrueBook], tapes: Sequence[Tape], bars: Bars, seed: int,
                 activity: float, dt: float) -> None:  # fmt: skip
        self._books, self._tapes, self._bars = books, tapes, bars
        self.last_ms = round(1000 * dt) - 1
        activity *= 10 * dt
        self._churn = [
            max(3, min(CHURN_MOST, round(CHURN * activity * book.listing.rate))) for book in books
        ]
        self._flickers = [
            1 + min(FLICKERS_MOST - 1, round(FLICKERS * activity * book.listing.rate))
            for book in books
        ]
        width = 2 * sum(self._churn) + (FLICKERS_MOST + 2) * len(books)
        self._draws = Draws(stream(seed, "makers"), width, "uniform")
        self._luck: list[float] = []
        self._used = 0
        self._worth = [book.listing.tick * book.listing.step for book in books]

    def play(self, place: int, ms: int, move: int, deals: Sequence[Deal],
             forced: list[tuple[bool, int]]) -> Played:  # fmt: skip
        """The tick that begins at `ms`; `forced` liquidations are taken off the list as executed.

        Symbols are played in order, the first one first.
        """
        if place == 0:
            self._luck = self._draws.row().tolist()
            self._used = 0
        book = self._books[place]
        began = book.seq
        prints: list[Print] = []
        touches: list[Touch] = []
        self._shift(book, ms, move, touches)
        for when, buy, usd in deals:
            steps = max(1, int(usd / (book.bid * self._worth[place])))
            self._deal(place, when, buy, steps, prints, touches)
        closed = self._force(place, ms + self.last_ms, forced, prints, touches)
        self._make(place, ms, len(deals), touches)
        # Only changes are told, in the order of the book's updates.
        told = {touch.seq: touch for touch in sorted(touches, key=_seq) if touch.seq > began}
        touches = list(told.values())
        if len(touches) > QUOTES:
            touches = [*touches[: QUOTES - 1], touches[-1]]
        return Played(prints, touches, Diff(*book.told()), closed)

    def _shift(self, book: TrueBook, ms: int, move: int, touches: list[Touch]) -> None:
        """Move the touch; the spread opens now and then and closes again."""
        wide, narrow = self._lucks(2)
        width = book.ask - book.bid
        if width == 1 and wide < 0.02 * book.listing.wide * 10:
            width = 3
        elif width > 1 and narrow < 0.35:
            width = 1
        if move or width != book.ask - book.bid:
            book.move(move, width)
            touches.append(Touch(ms, book.seq, *book.touch()))

    def _lucks(self, count: int) -> list[float]:
        self._used += count
        return self._luck[self._used - count : self._used]

    def _make(self, place: int, ms: int, taken: int, touches: list[Touch]) -> None:
        """What makers do: changes of the touch, each of them told, and orders behind it."""
        book = self._books[place]
        count = min(self._flickers[place] + STIRRED * taken, FLICKERS_MOST)
        flickers = self._lucks(FLICKERS_MOST)[:count]
        for count, luck in enumerate(flickers, 1):
            book.flicker(luck)
            touches.append(
                Touch(ms + self.last_ms * count // len(flickers), book.seq, *book.touch())
            )
        before = book.touch()
        book.churn(self._lucks(2 * self._churn[place]))
        if book.touch() != before:
            touches.append(Touch(ms + self.last_ms, book.seq, *book.touch()))

    def _deal(self, place: int, ms: int, buy: bool, steps: int, prints: list[Print],
              touches: list[Touch]) -> list[tuple[int, int]]:  # fmt: skip
        book = self._books[place]
        fills = book.take(buy, steps)
        for price, size in fills:
            done = self._tapes[place].add(ms, price, size, buy)
            self._bars.add(place, done)
            prints.append(done)
        touches.append(Touch(ms, book.seq, *book.touch()))
        book.mend()
        return fills

    def _force(self, place: int, ms: int, forced: list[tuple[bool, int]], prints: list[Print],
               touches: list[Touch]) -> list[Closed]:  # fmt: skip
        """Execute what is due, as much as the book bears in a tick; the rest waits."""
        out: list[Closed] = []
        if not forced:
            return out
        long, steps = forced.pop(0)
        fills = self._deal(place, ms, not long, steps, prints, touches)
        done = sum(size for _, size in fills)
        if done:
            average = sum(price * size for price, size in fills) / done
            out.append(Closed(ms, long, done, fills[-1][0], average))
        if steps > done:
            forced.insert(0, (long, steps - done))
        return out
