"""What the pipeline counts of one feed: frames, events by kind, lag, answers, blind time."""

from collections import Counter, deque
from collections.abc import Sequence
from math import ceil

from msgspec import Struct

from engine.clock import NS
from engine.events import BookDelta, Event, FeedStatus, Mark, Quote, Trade
from engine.feeds.feed import Feed

SAMPLES = 20
LAGS = 512
LAG_EVERY = NS // 20
LAG_LIMIT = 3600 * NS  # beyond which a timestamp tells nothing of lag or clock
# Events whose exchange time is that of sending; others may be late or dated by their period.
TIMED = frozenset({Trade, Quote, BookDelta, Mark})
HALF_WINDOW = 300 * NS
# No queue holds every message back for so long over so much time; a clock that was set does.
STEPPED, STEPPED_FOR = 10 * NS, 15 * NS
BLIND = " s blind"


class Kind:
    """Events of one kind: how many, when the last came, how many a second of late."""

    __slots__ = ("count", "counted", "rate", "recv")

    def __init__(self) -> None:
        self.count = self.counted = self.recv = 0
        self.rate = 0.0


class Asked(Struct):
    """One request that is repeated: what for, how often, when it was last answered."""

    purpose: str
    about: str
    every: float
    recv: int = 0
    events: int = 0
    counted: int = 0
    rate: float = 0.0


class Offset:
    """Smallest receipt minus exchange time of the last five to ten minutes, in ns.

    It holds the difference of the clocks and the shortest way here. When the venue's clock is set
    back, the smallest one of a while ago says nothing any more.
    """

    def __init__(self) -> None:
        self._window = 0
        self._older: int | None = None
        self._newer: int | None = None
        self._odd: tuple[int, int] | None = None

    def add(self, now: int, difference: int) -> None:
        known = self.value
        if known is None or difference - known < STEPPED:
            self._odd = None
        else:
            since, least = self._odd or (now, difference)
            self._odd = since, min(least, difference)
            if now - since >= STEPPED_FOR:
                self._older = self._newer = self._odd = None
                difference = min(least, difference)
        window = now // HALF_WINDOW
        if window != self._window:
            self._older = self._newer if window == self._window + 1 else None
            self._newer, self._window = None, window
        if self._newer is None or difference < self._newer:
            self._newer = difference

    @property
    def value(self) -> int | None:
        return min((x for x in (self._older, self._newer) if x is not None), default=None)


class FeedTally:
    """What the pipeline counts of one feed.

    `kinds` by the type of event; `asked` by the url of a repeated request; `streams` are the
    channels that are expected, each with its symbols. `history`: requests for it that are done,
    and all of them; None before they are known.
    """

    __slots__ = ("_dark", "_lag_from", "_lags", "_offset", "_seen", "_taken", "asked", "blind_ns",
                 "bytes", "bytes_rate", "dropped", "events", "frames", "history", "kinds", "last",
                 "rate", "reconnects", "samples", "streams")  # fmt: skip

    def __init__(self, feed: Feed | None = None) -> None:
        self.frames = self.bytes = self.events = self.last = 0
        self.rate = self.bytes_rate = 0.0
        self.blind_ns = self.reconnects = 0
        self.kinds: dict[type[Event], Kind] = {}
        self.asked: dict[str, Asked] = {}
        self.streams: dict[str, tuple[str, ...]] = {}
        self.history: tuple[int, int] | None = None
        self.dropped: Counter[str] = Counter()
        self.samples: deque[tuple[str, str]] = deque(maxlen=SAMPLES)
        self._seen = (0, 0, 0)
        self._lags: deque[int] = deque(maxlen=LAGS)
        self._lag_from = 0
        self._offset = Offset()
        self._dark: dict[str, int] = {}
        self._taken: Counter[str] = Counter()
        if feed is not None:
            self.plan(feed)

    def plan(self, feed: Feed) -> None:
        """Take up what the feed now expects: streams, and requests that are repeated."""
        streams: dict[str, list[str]] = {}
        for connection in feed.connections():
            for channel, symbol in connection.streams:
                symbols = streams.setdefault(channel, [])
                if symbol not in symbols:
                    symbols.append(symbol)
        self.streams = {channel: tuple(symbols) for channel, symbols in streams.items()}
        asked = {}
        for poll in feed.polls():
            request = poll.request
            url = request.url if request.body is None else f"{request.url}#{request.body}"
            about = request.symbol or url.partition("//")[2].partition("/")[0]
            asked[url] = self.asked.get(url) or Asked(request.purpose, about, poll.every)
        self.asked = asked

    def take(self, recv: int, size: int, events: Sequence[Event], url: str = "") -> None:
        """Count a frame and its events; at most one lag sample."""
        self.frames += 1
        self.bytes += size
        self.last = recv
        self.events += len(events)
        kinds = self.kinds
        for event in events:
            kind = kinds.get(type(event))
            if kind is None:
                kind = kinds[type(event)] = Kind()
            kind.count += 1
            kind.recv = recv
        if recv - self._lag_from >= LAG_EVERY and events:
            self._sample(recv, events[0])
        if url in self.asked:
            self.answered(url, recv, len(events))

    def _sample(self, recv: int, event: Event) -> None:
        difference = recv - event.ts
        if type(event) in TIMED and not event.history and abs(difference) < LAG_LIMIT:
            self._lag_from = recv
            self._lags.append(difference)
            self._offset.add(recv, difference)

    def answered(self, url: str, recv: int, events: int = 0) -> None:
        """A repeated request was answered, be it with nothing new."""
        if asked := self.asked.get(url):
            asked.recv = recv
            asked.events += events

    @property
    def offset(self) -> int | None:
        """Clock offset in ns, None where no event tells."""
        return self._offset.value

    def lag(self, *shares: float) -> tuple[float | None, ...]:
        """Receive lag in ms beyond the clock offset, at the given percentiles (0..1)."""
        offset = self._offset.value
        if not self._lags or offset is None:
            return (None,) * len(shares)
        lags = sorted(self._lags)
        at = [max(0, ceil(share * len(lags)) - 1) for share in shares]
        return tuple(max(0, lags[n] - offset) / 1e6 for n in at)

    def step(self, now: int) -> None:
        """Rates since the last step."""
        since, events, size = self._seen
        seconds = (now - since) / NS
        if since:
            self.rate = (self.events - events) / seconds
            self.bytes_rate = (self.bytes - size) / seconds
        for kind in self.kinds.values():
            kind.rate = (kind.count - kind.counted) / seconds if since else 0.0
            kind.counted = kind.count
        for asked in self.asked.values():
            asked.rate = (asked.events - asked.counted) / seconds if since else 0.0
            asked.counted = asked.events
        self._seen = (now, self.events, self.bytes)

    # -- transport -------------------------------------------------------------------------

    def status(self, status: FeedStatus) -> None:
        """Follow the connections: reconnects, blind time, answers without news."""
        at, connection = status.recv or status.ts, status.connection
        if status.state == "closed":
            self._dark.setdefault(connection, at)
        elif status.state == "connected" and connection in self._dark:
            blind = max(0, at - self._dark.pop(connection))
            self.reconnects += 1
            self.blind_ns += blind
            self._taken[connection] += blind
        elif status.state == "connected" and status.note.endswith(BLIND):
            # From the last data to the next: the session knows better than open and closed do.
            self.blind_ns += max(0, _seconds(status.note) - self._taken.pop(connection, 0))
        elif status.state == "acked" and connection == "rest":
            self.answered(status.note, at)

    def blind(self, now: int) -> float:
        """Seconds without data after a connection was lost, the running one included."""
        running = sum(max(0, now - at) for at in self._dark.values())
        return (self.blind_ns + running) / NS


def _seconds(note: str) -> int:
    try:
        return int(float(note.removesuffix(BLIND)) * NS)
    except (ValueError, OverflowError):
        return 0
