"""The one path from frames to decisions: live, replay and tests differ only in who brings frames.

Step k looks at k x 10 s and runs before the first frame received at or after k x 10 s + 0.25 s.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

import msgspec

from engine.cards.card import registry
from engine.clock import NS, finish
from engine.config import Config
from engine.decision.decide import STEP_NS, Decider, Decision
from engine.decision.normalise import Normaliser
from engine.events import Event, FeedStatus
from engine.feeds.budget import Usage
from engine.feeds.feed import Context, DecodeError, Feed, Frame
from engine.market.market import Listed, Market
from engine.market.view import WINDOWS
from engine.runtime.inputs import ages, fed_inputs
from engine.runtime.silence import Silence
from engine.runtime.tally import FeedTally

GRACE_NS = NS // 4
LONG_SILENCE_NS = 3600 * NS
STATUS = "status"
TROUBLE = frozenset({"blocked", "limited", "error"})
MOST_REASONS = 100
PLAN_STEPS = 6  # between two looks at what a feed expects
# How far back each window's normalisers are warmed, in seconds: about two look-backs, as far as
# candles of 8 and 180 days reach.
WARM_REACH = {"1m": 6 * 3600, "5m": 2 * 86400, "1h": 604800, "4h": 14 * 86400, "1d": 110 * 86400}
FROM_MINUTES = frozenset({"1m", "5m", "1h"})
# The newest windows are looked at twice each, what lies further back every fourth alone: older
# instants weigh less, and neighbours there tell the scale nothing new.
WARM_CLOSELY = 30
WARM_COARSELY = 4


class Pipeline:
    """Frames in, market and decisions kept; `on_step` is told of every step's decisions.

    `after_step`: called with the step's instant once `on_step` has returned.
    `unheard`: the state of a stream that nothing is known of yet. `usage`: what each live session
    uses of its venue's allowances.
    """

    def __init__(self, config: Config, feeds: Mapping[str, Feed],
                 on_step: Callable[[int, list[Decision]], None] | None = None,
                 unheard: str = "connecting") -> None:  # fmt: skip
        self.unheard = unheard
        self.config = config
        self.feeds = dict(feeds)
        self.symbols = tuple(i.id for i in config.instruments)
        releases = [round(at.timestamp()) * NS for at in config.calendar.releases]
        self.market = Market(self.symbols, config.market.reference_venue, releases)
        self.decider = Decider(config, registry(), self._fed())
        self.steps = self.statuses = 0
        self.step_ts = 0
        self.first_step = 0
        self.warmed = False
        self.tallies = {name: FeedTally(feed) for name, feed in feeds.items()}
        self.silence = Silence(config.freshness)
        self.usage: dict[str, Callable[[], Usage]] = {}
        self.transport: dict[tuple[str, str], FeedStatus] = {}
        # (feed, stream, symbol) -> when its socket went while others carried the stream on, ns.
        self.lost: dict[tuple[str, str, str], int] = {}
        self.troubles: dict[tuple[str, str], FeedStatus] = {}
        self.after_step: list[Callable[[int], None]] = []
        self._on_step = on_step
        self._next_step = 0
        self._contexts: dict[tuple[str, str], Context] = {}
        self._prepared: Normaliser | None = None
        # What normalisers knew before a restart, where history is to be taken in instead.
        self.before: Normaliser | None = None

    # -- frames ----------------------------------------------------------------------------

    def on_frame(self, frame: Frame) -> None:
        """Run the steps that are due, then decode the frame and apply its events."""
        recv = frame.recv
        if recv >= self._next_step + GRACE_NS:
            self.run_until(recv)
        if frame.connection == STATUS:
            self._recorded_status(frame)
            return
        feed = self.feeds.get(frame.feed)
        if feed is None:
            return
        context = self._contexts.get((frame.feed, frame.connection))
        if context is None:
            context = Context(recv)
            self._contexts[frame.feed, frame.connection] = context
        context.recv, context.url, context.symbol = recv, frame.url, frame.symbol
        try:
            events = feed.decode(frame.data, context)
        except DecodeError as error:
            self._drop(self.tallies[frame.feed], str(error), frame.data)
            events = ()
        self._take(frame.feed, recv, len(frame.data), events, frame.url)

    def on_events(self, feed: str, recv: int, size: int, events: Sequence[Event],
                  url: str = "") -> None:  # fmt: skip
        """A frame that was decoded elsewhere: run the steps that are due, then apply."""
        if recv >= self._next_step + GRACE_NS:
            self.run_until(recv)
        self._take(feed, recv, size, events, url)

    def _take(self, feed: str, recv: int, size: int, events: Sequence[Event],
              url: str = "") -> None:  # fmt: skip
        self.tallies[feed].take(recv, size, events, url)
        apply = self.market.apply
        for event in events:
            apply(event)

    def _drop(self, tally: FeedTally, reason: str, data: bytes | str) -> None:
        # Reasons may quote the venue, whose words have no end.
        known = reason in tally.dropped or len(tally.dropped) < MOST_REASONS
        tally.dropped[reason if known else "other reasons"] += 1
        text = data if isinstance(data, str) else data[:200].decode(errors="replace")
        tally.samples.append((reason, text[:200]))

    def _recorded_status(self, frame: Frame) -> None:
        try:
            status = msgspec.json.decode(frame.data, type=FeedStatus)
        except msgspec.DecodeError:
            if tally := self.tallies.get(frame.feed):
                self._drop(tally, "malformed status", frame.data)
            return
        if status.state == "warmed" and self._prepared is None:
            for _ in self.warm_up(status.ts, float(status.note)):
                pass
        self.on_status(status)

    def on_status(self, status: FeedStatus) -> None:
        """A change of transport: which stream, what happened; after the steps due before it."""
        if status.recv is not None:
            self.run_until(status.recv)
        self.statuses += 1
        if status.state == "warmed":
            self.decider.normaliser.past = self._prepared
            self._prepared = None
            self.warmed = True
            return
        if tally := self.tallies.get(status.feed):
            tally.status(status)
            if status.connection == "catalogue":
                # What is asked for from now on is answered before the next look at the plan.
                tally.plan(self.feeds[status.feed])
        if status.stream is None:
            self._trouble(status)
        elif status.state == "closed" and status.symbol is not None:
            self.lost[status.feed, status.stream, status.symbol] = status.recv or status.ts
            self.silence.interrupt(status.feed, status.stream, status.symbol)
        elif status.state != "resync" and status.connection != "rest":
            if status.state == "connected":
                # The connection speaks again: what troubled it is over.
                self.troubles.pop((status.feed, status.connection), None)
            elif status.state == "closed":
                self.silence.interrupt(status.feed, status.stream)
            self.transport[status.feed, status.stream] = status
        self.market.apply(status)

    def _trouble(self, status: FeedStatus) -> None:
        """What keeps a connection, or one symbol of it, from working; a success ends it."""
        key = (status.feed, status.connection)
        if status.state == "connected":
            self.troubles.pop(key, None)
        elif status.state in TROUBLE:
            self.troubles[key] = status

    # -- steps -----------------------------------------------------------------------------

    def run_until(self, now: int) -> None:
        """Run every step that was due before `now` (receive time).

        After a silence of over an hour, the night between two recordings, the steps in it are
        left out: with nothing heard they could decide nothing.
        """
        finish(self.running(now))

    def running(self, now: int) -> Generator[None, None, None]:
        """The same in slices of some milliseconds; nothing may be brought in between."""
        upcoming = (now - GRACE_NS) // STEP_NS * STEP_NS + STEP_NS
        if not self._next_step:
            self._next_step = self.first_step = upcoming
        elif now - self._next_step > LONG_SILENCE_NS:
            self._next_step = upcoming
        while now >= self._next_step + GRACE_NS:
            step, self._next_step = self._next_step, self._next_step + STEP_NS
            yield from self._step(step)

    @property
    def next_due(self) -> int:
        """When the next step is due, in ns of the engine's clock; 0 before the first frame."""
        return self._next_step + GRACE_NS if self._next_step else 0

    def _step(self, now: int) -> Generator[None, None, None]:
        self.decider.feed(self._fed())
        view = yield from self.market.look(now)
        decisions = yield from self.decider.steps(view, ages(self.market, now))
        yield
        self.steps += 1
        self.step_ts = now
        for name, tally in self.tallies.items():
            self._look_at(name, tally, now)
        if self._on_step is not None:
            self._on_step(now, decisions)
        yield
        for look in self.after_step:
            look(now)

    def _fed(self) -> dict[str, frozenset[str]]:
        return fed_inputs(self.feeds.values(), self.symbols, self.market.reference)

    def _look_at(self, name: str, tally: FeedTally, now: int) -> None:
        """Rates, and how silent each stream of a feed is."""
        feed = self.feeds[name]
        tally.step(now)
        if self.steps <= PLAN_STEPS or self.steps % PLAN_STEPS == 0:
            tally.plan(feed)
        self.silence.step(name, tally, self.listings(feed.venue), now)

    def listings(self, venue: str) -> dict[str, Listed]:
        """What is known of a venue's symbols."""
        listed = (*self.market.listed.items(), *self.market.legs.items())
        return {symbol: x for (place, symbol), x in listed if place == venue and symbol}

    # -- warm-up ---------------------------------------------------------------------------

    def warm_up(self, end: int, minutes: float) -> Iterator[None]:
        """Show history up to `end` (ns) to fresh normalisers, one instant a slice.

        The result comes into force with the status 'warmed', so that a replay of this run does
        the same at the same place. `minutes`: how many seconds the windows made of minutes reach.
        """
        fresh = self.decider.fresh_normaliser()
        for window in WINDOWS:
            reach = WARM_REACH.get(window.name, 0)
            if window.name in FROM_MINUTES:
                reach = min(reach, int(minutes))
            for ago, every in _looks(window.span, reach):
                at = end - ago * NS
                self.decider.warm(fresh, self.market.view(at, (window,)), every)
                yield
        if self.before is not None:
            fresh.fill(self.before)
        self._prepared = fresh


def _looks(span: int, reach: int) -> Iterator[tuple[int, int]]:
    """(seconds ago, seconds it stands for) of a window's instants in the warm-up, oldest first."""
    if not reach:
        return
    close, every = min(reach, WARM_CLOSELY * span), max(10, span // 2)
    for ago in range(reach, close, -WARM_COARSELY * span):
        yield ago, WARM_COARSELY * span
    for ago in range(close, -1, -every):
        yield ago, every
