"""How long each stream may be silent: its own habit, within bounds around the configured limit.

A stream is looked at with every step. Its gaps, as seen at steps, move an estimate of their 99th
percentile up and down in proportion (stochastic approximation of a quantile, Robbins-Monro 1951).
Only ended gaps count, so that an outage does not teach the limit to wait for it.
"""

from collections.abc import Mapping, Sequence
from math import exp

from engine.clock import NS
from engine.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Funding,
    Liquidation,
    Mark,
    OpenInterest,
    OptionSummary,
    Quote,
    Ratio,
    Trade,
)
from engine.market.market import Listed
from engine.runtime.tally import FeedTally

QUANTILE = 0.99
TIMES = 6.0
MOST = 10.0
STEADY, EAGER, EAGER_GAPS = 0.1, 0.3, 20
UNNAMED_S = 60.0
Kinds = tuple[type[Event], ...]

# Channel -> the inputs it brings (the first names the configured limit) and their events.
INPUTS: dict[str, tuple[str, ...]] = {
    "depth": ("book",),
    "quote": ("quote",),
    "trade": ("trades",),
    "mark": ("mark",),
    "index": ("mark",),
    "funding": ("funding",),
    "oi": ("oi",),
    "ticker": ("mark", "funding", "oi"),
    "liquidation": ("liq",),
    "ratio": ("ratio",),
    "volatility": ("options",),
}
KINDS: dict[str, Kinds] = {
    "book": (BookDelta, BookSnapshot),
    "quote": (Quote,),
    "trades": (Trade,),
    "mark": (Mark,),
    "funding": (Funding,),
    "oi": (OpenInterest,),
    "liq": (Liquidation,),
    "ratio": (Ratio,),
    "options": (OptionSummary,),
}
# Channel -> the events it brings.
BROUGHT: dict[str, Kinds] = {
    channel: tuple(kind for need in needs for kind in KINDS[need])
    for channel, needs in INPUTS.items()
}
_LIMIT_OF = {"quote": "book"}
_NEVER: dict[str, int] = {}


class Receipts:
    """When each stream of a feed last brought something; `listed` by symbol.

    Two feeds may share a venue: what the feed itself never brought does not count as its own.
    """

    def __init__(self, tally: FeedTally, listed: Mapping[str, Listed]) -> None:
        self._heard = {symbol: x.recv | {"book": x.book.recv} for symbol, x in listed.items()}
        kinds = tally.kinds
        self._own = {
            need: max((kinds[kind].recv for kind in brought if kind in kinds), default=0)
            for need, brought in KINDS.items()
        }

    def of(self, channel: str, symbols: Sequence[str]) -> list[int]:
        """ns for each of the symbols, 0 for never."""
        needs = [need for need in INPUTS.get(channel, ()) if self._own[need]]
        if "options" in needs:
            return [self._own["options"]] * len(symbols)
        out = []
        for symbol in symbols:
            heard, last = self._heard.get(symbol, _NEVER), 0
            for need in needs:
                last = max(last, min(heard.get(need, 0), self._own[need]))
            out.append(last)
        return out


class Habit:
    """The gaps of one stream: `gap` s is the estimate of their 99th percentile.

    It stays within a tenth and ten times of what it begins with.
    """

    __slots__ = ("_age", "_bounds", "_cut", "_recv", "_seen", "gap")

    def __init__(self, gap: float) -> None:
        self.gap = gap
        self._bounds = (gap / MOST, gap * MOST)
        self._recv = self._seen = 0
        self._age = 0.0
        self._cut = False

    def look(self, recv: int, now: int) -> None:
        """Take in the age of the last event as of a step."""
        if recv != self._recv:
            if self._recv and not self._cut:
                self._learn(self._age)
            self._recv, self._cut = recv, False
        self._age = (now - recv) / NS

    def _learn(self, gap: float) -> None:
        pace = EAGER if self._seen < EAGER_GAPS else STEADY
        self._seen += 1
        if gap > self.gap:
            self.gap = min(gap, self.gap * exp(pace * QUANTILE))
        else:
            self.gap = self.gap * exp(-pace * (1 - QUANTILE))
        least, most = self._bounds
        self.gap = min(max(self.gap, least), most)

    def limit(self, floor: float) -> float:
        """Seconds of silence allowed, within bounds around the configured ones."""
        return min(max(floor, TIMES * self.gap), MOST * floor)

    def interrupt(self) -> None:
        """The stream was cut off: what it misses is no gap of its own."""
        self._cut = True


class Silence:
    """Silence limits of all streams; `floors` are the configured seconds by input."""

    def __init__(self, floors: Mapping[str, float]) -> None:
        self._floors = dict(floors)
        self._habits: dict[tuple[str, str, str], Habit] = {}

    def floor(self, channel: str) -> float:
        """The configured limit of a channel's first input, in s."""
        need = INPUTS.get(channel, (channel,))[0]
        return self._floors.get(_LIMIT_OF.get(need, need), UNNAMED_S)

    def limit(self, feed: str, channel: str, symbol: str) -> float:
        """Seconds of silence after which that stream counts as stale."""
        return self.limits(feed, channel, (symbol,))[0]

    def limits(self, feed: str, channel: str, symbols: Sequence[str]) -> list[float]:
        """The limit of each symbol's stream, in s."""
        floor, habits, out = self.floor(channel), self._habits, []
        for symbol in symbols:
            habit = habits.get((feed, channel, symbol))
            out.append(floor if habit is None else habit.limit(floor))
        return out

    def step(self, feed: str, tally: FeedTally, listed: Mapping[str, Listed], now: int) -> None:
        """Look at every stream of a feed; `listed` by symbol."""
        receipts = Receipts(tally, listed)
        for channel, symbols in tally.streams.items():
            floor = self.floor(channel)
            for symbol, recv in zip(symbols, receipts.of(channel, symbols), strict=True):
                if not recv:
                    continue
                habit = self._habits.get((feed, channel, symbol))
                if habit is None:
                    habit = self._habits[feed, channel, symbol] = Habit(floor / TIMES)
                habit.look(recv, now)

    def interrupt(self, feed: str, channel: str, symbol: str | None = None) -> None:
        """A channel's connection was lost, or the one that carried this symbol of it."""
        for (name, stream, place), habit in self._habits.items():
            if name == feed and stream == channel and symbol in (None, place):
                habit.interrupt()
