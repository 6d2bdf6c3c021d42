"""The one connection loop of all feeds: connect, subscribe, watch, reconnect, rotate, resync.

Frames go to the sink as they came; nothing is decoded here. Every way a socket or a request can
fail ends in a FeedStatus and another try, never in an exception.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from engine.clock import NS, Clock
from engine.config import ConnectionConfig, FeedConfig
from engine.events import FeedStatus
from engine.feeds.budget import Budget, Counters, Spacing, Usage
from engine.feeds.feed import Connection, DecodeError, Feed, Frame, Poll, Request
from engine.feeds.link import Link as Link
from engine.feeds.link import describe
from engine.feeds.rest import LIMITED_WAIT, Rest
from engine.feeds.transport import Refused, race

log = logging.getLogger(__name__)

BOOKS = "depth"
CATALOGUE = "catalogue"
OVERLAP = 1.0  # seconds both sockets of a rotation deliver
CATALOGUE_EVERY = 6 * 3600.0
CATALOGUE_PATIENCE = 0.5  # of the connect timeout: how long sockets wait for it
SETTLING = 5 * NS  # in which a fresh subscription may still bring its books


class Session:
    """Carries one feed's data; `run` until cancelled.

    `sink` gets every frame, `status` every change of transport; both are called from the event
    loop and must not block. A feed that lists the venue's catalogue is asked for its connections
    after `listed`, so that it can leave out what the venue lacks.
    """

    def __init__(
        self,
        feed: Feed,
        config: FeedConfig,
        connection: ConnectionConfig,
        symbols: Sequence[str],
        clock: Clock,
        sink: Callable[[Frame], None],
        status: Callable[[FeedStatus], None],
        rng: random.Random | None = None,
    ) -> None:
        self.feed, self.clock, self.patience = feed, clock, connection
        self.counters = Counters()
        self.catalogued = asyncio.Event()
        self._symbols, self._sink, self._status = tuple(symbols), sink, status
        self._rng = rng or random.Random()
        self._carriers: Counter[tuple[str, str]] = Counter()
        self._open: Counter[str] = Counter()
        self._dark: dict[str, int] = {}
        self._links: dict[str, Link] = {}
        self._connects = Budget(config.connects)
        self._spacing = Spacing()
        self._unlisted: tuple[str, ...] = ()
        self._tried, self._replan = asyncio.Event(), asyncio.Event()
        self._rest = Rest(
            config.request_weight,
            connection,
            clock,
            self._rng,
            self._answer,
            self._tell_rest,
            self.counters,
            feed.headers,
        )

    async def run(self) -> None:
        """Carry the feed until cancelled; leaves no socket and no task behind."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forever("rest", self._rest.run))
                group.create_task(self._forever("streams", self._streams))
        finally:
            self._rest.close()
            self.catalogued.set()

    def heal(self, symbol: str) -> None:
        """Ask for that one book again, soon; more calls while it is under way change nothing.

        Nothing is asked for while no socket carries books: the snapshot would only grow old.
        """
        if not self._carriers[BOOKS, symbol]:
            return
        request = self.feed.book_request(symbol)
        if request is None:
            self._resubscribe(symbol)
        elif self._rest.heal(symbol, request):
            self.emit("resync", "rest", stream=BOOKS, symbol=symbol)

    def _resubscribe(self, symbol: str) -> None:
        """Make the stream send a whole book again; at most every second, then more rarely."""
        asked, now = self.feed.resubscribe(symbol), self.clock.now()
        link = self._links.get(asked[0]) if asked else None
        if asked is None or link is None or now - link.since < SETTLING:
            return
        if self._spacing.take(symbol, now):
            link.send(asked[1])
            self.emit("resync", asked[0], stream=BOOKS, symbol=symbol)

    async def fetch(self, requests: Sequence[Request]) -> int:
        """Answers to the sink, in order, within the budget; returns how many came.

        Ends when all were answered or given up, or with the session.
        """
        return await self._rest.fetch(requests)

    def usage(self) -> Usage:
        """What of the minute's allowances is used, and what was lost inside."""
        now, rest = self.clock.now(), self._rest.budget
        return Usage(
            requests=rest.used(now),
            request_budget=rest.weight,
            connects=self._connects.used(now),
            connect_budget=self._connects.weight,
            dropped=dict(self.counters.dropped),
        )

    async def _forever(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:
                log.exception("%s %s", self.feed.name, name)
                self.emit("error", name, note=describe(error))
            await self.clock.sleep(1.0)

    async def _streams(self) -> None:
        """The catalogue, then polls and sockets as the feed plans them, anew when it changes."""
        await self._check_catalogue()
        running: dict[str, tuple[Connection, asyncio.Task[None]]] = {}
        try:
            while True:
                self._replan.clear()
                self._rest.poll(self.feed.polls())
                self.catalogued.set()
                await self._plan(running)
                await self._replan.wait()
        finally:
            await _stop([task for _, task in running.values()])

    async def _plan(self, running: dict[str, tuple[Connection, asyncio.Task[None]]]) -> None:
        """Keep the wanted connections; those that stay as they are go on undisturbed."""
        wanted = {connection.id: connection for connection in self.feed.connections()}
        changed = [name for name, (old, _) in running.items() if wanted.get(name) != old]
        await _stop([running.pop(name)[1] for name in changed])
        for name, connection in wanted.items():
            if name not in running:
                keep = self._forever(name, partial(self._keep, connection))
                running[name] = (connection, asyncio.create_task(keep))

    async def _check_catalogue(self) -> None:
        """Learn what the venue lacks before connecting, unless that takes long: then all is tried.

        It is asked for again and again, soon where it failed; what changes is planned anew.
        """
        request = self.feed.catalogue_request()
        if request is None or self._tried.is_set():
            return
        self._rest.repeat(
            Poll(request, CATALOGUE_EVERY),
            partial(self._learn, request),
            lambda answered: self._tried.set(),
        )
        patience = CATALOGUE_PATIENCE * self.patience.connect_timeout
        await race(self._tried.wait(), self.clock.sleep(patience))
        self._tried.set()

    def _learn(self, request: Request, answer: bytes) -> None:
        """A catalogue goes to the sink as well: decoders and replays learn sizes from it."""
        self._answer(request, answer)
        listed = self.feed.listed(answer)
        if not listed:
            raise DecodeError("lists none of the symbols")
        unlisted = tuple(symbol for symbol in self._symbols if symbol not in listed)
        if unlisted and unlisted != self._unlisted:
            names, verb = ", ".join(unlisted), "is" if len(unlisted) == 1 else "are"
            symbol = unlisted[0] if len(unlisted) == 1 else None
            self.emit("error", CATALOGUE, symbol=symbol, note=f"{names} {verb} not listed")
        elif self._unlisted and not unlisted:
            self.emit("connected", CATALOGUE)
        self._unlisted = unlisted
        self._replan.set()

    def _link(self, connection: Connection) -> Link:
        return Link(self, connection)

    async def _keep(self, connection: Connection) -> None:
        """One connection for good: another socket when one ends, a fresh one at its age."""
        tasks: list[asyncio.Task[None]] = []
        failures = 0
        try:
            while True:
                await self._turn()
                link = self._link(connection)
                tasks.append(task := asyncio.create_task(link.run()))
                await race(link.ready.wait(), _ended(task))
                if link.ready.is_set() and not task.done():
                    await self._replace(tasks)
                    await self._live(task, connection.max_age)
                    if not task.done():
                        continue
                for ended in [task for task in tasks if task.done()]:
                    tasks.remove(ended)
                    ended.result()
                failures = 0 if link.healthy else failures
                await self.clock.sleep(self._pause(link.refused, failures))
                failures += 1
        finally:
            await _stop(tasks)

    async def _turn(self) -> None:
        """Wait until the venue's budget of new connections has room for one more."""
        while wait := self._connects.wait(self.clock.now(), 1):
            await self.clock.sleep(wait / NS)
        self._connects.spend(self.clock.now(), 1)

    async def _replace(self, tasks: list[asyncio.Task[None]]) -> None:
        """Retire the predecessors of the newest socket, which delivers now."""
        if len(tasks) > 1:
            await self.clock.sleep(OVERLAP)
            await _stop(tasks[:-1])
            del tasks[:-1]

    async def _live(self, task: asyncio.Task[None], seconds: float | None) -> None:
        if seconds is None:
            await _ended(task)
        else:
            await race(_ended(task), self.clock.sleep(seconds))

    def _pause(self, refused: Refused | None, failures: int) -> float:
        """Seconds until the next try: what the venue asked for, else full jitter."""
        if refused is None:
            longest = self.patience.backoff * 2.0 ** min(failures, 20)
            return self._rng.uniform(0, min(longest, self.patience.backoff_max))
        usual = LIMITED_WAIT if refused.state == "limited" else self.patience.blocked_retry
        return usual if refused.wait is None else refused.wait

    def opened(self, connection: Connection) -> None:
        """A socket of that connection is up."""
        self._open[connection.id] += 1
        self._carriers.update(connection.streams)
        self.each("connected", connection)

    def closed(self, link: Link, last: int, note: str) -> None:
        """It is gone; `last` is when it last delivered, 0 for never."""
        connection = link.connection
        if self._links.get(connection.id) is link:
            del self._links[connection.id]
        self._open[connection.id] -= 1
        self._carriers.subtract(connection.streams)
        if last and not self._open[connection.id]:
            self._dark[connection.id] = last
        lost = [stream for stream in connection.streams if not self._carriers[stream]]
        carried = {channel for (channel, _), count in self._carriers.items() if count}
        for channel in _channels(connection):
            if channel not in carried:
                self.emit("closed", connection.id, stream=channel, note=note)
        for channel, symbol in lost:
            if channel in carried:
                # Other sockets carry the channel's other symbols.
                self.emit("closed", connection.id, channel, symbol, note)

    def delivers(self, connection: Connection, now: int) -> None:
        """Its first data came; after a break the note says how long nothing did."""
        if connection.id in self._dark:
            blind = now - self._dark.pop(connection.id)
            self.counters.blind_ns += blind
            self.counters.reconnects += 1
            self.emit("connected", connection.id, note=f"{blind / NS:.3f} s blind")

    def subscribed(self, link: Link) -> None:
        """Deltas of all its books arrive, so a snapshot asked for now can be bridged.

        A rotation needs none: the old socket carried the chain up to here. Nor do streams that
        send whole books of their own.
        """
        connection = link.connection
        self._links[connection.id] = link
        if self._open[connection.id] <= 1:
            for channel, symbol in connection.streams:
                if channel == BOOKS and self.feed.book_request(symbol) is not None:
                    self.heal(symbol)

    def deliver(self, frame: Frame) -> None:
        """To the sink; what it cannot take is counted."""
        self.counters.frames += 1
        self.counters.bytes += len(frame.data)
        try:
            self._sink(frame)
        except Exception:
            self.drop("sink failed")

    def drop(self, reason: str) -> None:
        """Count a lost frame; the first and every thousandth of a reason are logged."""
        self.counters.dropped[reason] += 1
        if self.counters.dropped[reason] % 1000 == 1:
            log.exception("%s: %s", self.feed.name, reason)

    def each(self, state: str, connection: Connection, note: str = "") -> None:
        """A status for each channel of a connection."""
        for channel in _channels(connection):
            self.emit(state, connection.id, stream=channel, note=note)

    def emit(
        self,
        state: str,
        connection: str,
        stream: str | None = None,
        symbol: str | None = None,
        note: str = "",
    ) -> None:
        now = self.clock.now()
        event = FeedStatus(
            venue=self.feed.venue,
            market="perp",
            symbol=symbol,
            ts=now,
            recv=now,
            feed=self.feed.name,
            connection=connection,
            state=state,
            stream=stream,
            note=note,
        )
        try:
            self._status(event)
        except Exception:
            self.drop("status failed")

    def _answer(self, request: Request, body: bytes) -> None:
        now = self.clock.now()
        self.deliver(Frame(now, self.feed.name, "rest", _whole(request), body, request.symbol))

    def _tell_rest(self, state: str, request: Request | None, note: str) -> None:
        """What the requests meet; an answer without news is told by its url."""
        symbol = request.symbol if request else None
        stream = None
        if request and state == "acked":
            stream, note = request.purpose, _whole(request)
        self.emit(state, "rest", stream=stream, symbol=symbol, note=note)


def _whole(request: Request) -> str:
    """The url of a request's answers."""
    return request.url if request.body is None else f"{request.url}#{request.body}"


def _channels(connection: Connection) -> list[str]:
    return list(dict.fromkeys(channel for channel, _ in connection.streams))


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])


async def _stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
