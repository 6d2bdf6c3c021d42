"""The one connection loop of all feeds: connect, subscribe, watch, reconnect, rotate, resync.

Frames go to the sink as they came; nothing is decoded here. Every way a socket or a request can
fail ends in a FeedStatus and another try, never in an exception.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from engine.clock import NS, Clock
from engine.config import ConnectionConfig, FeedConfig
from engine.events import FeedStatus
from engine.feeds.feed import Connection, Feed, Frame, Request
from engine.feeds.rest import LIMITED_WAIT, Counters, Rest
from engine.feeds.transport import Refused, open_socket, pump, race, within

log = logging.getLogger(__name__)

BOOKS = "depth"
HEALTHY = 60 * NS  # of data, after which a loss starts the backoff anew
OVERLAP = 1.0  # seconds both sockets of a rotation deliver


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
        self._symbols, self._sink, self._status = tuple(symbols), sink, status
        self._rng = rng or random.Random()
        self._carriers: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._dark: dict[str, int] = {}
        self._rest = Rest(
            config.request_weight,
            connection,
            clock,
            self._rng,
            self._answer,
            lambda state, note, symbol: self.emit(state, "rest", symbol=symbol, note=note),
            self.counters,
        )

    async def run(self) -> None:
        """Carry the feed until cancelled; leaves no socket and no task behind."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._forever("rest", self._rest.run))
                group.create_task(self._forever("streams", self._streams))
        finally:
            self._rest.close()

    def heal(self, symbol: str) -> None:
        """Ask for that one book again, soon; more calls while it is under way change nothing.

        Nothing is asked for while no socket carries books: the snapshot would only grow old.
        """
        request = self.feed.book_request(symbol) if self._carriers[BOOKS] else None
        if request is not None and self._rest.heal(symbol, request):
            self.emit("resync", "rest", stream=BOOKS, symbol=symbol)

    async def fetch(self, requests: Sequence[Request]) -> int:
        """Answers to the sink, in order, within the budget; returns how many came.

        Ends when all were answered or given up, or with the session.
        """
        return await self._rest.fetch(requests)

    async def _forever(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:
                log.exception("%s %s", self.feed.name, name)
                self.emit("error", name, note=_describe(error))
            await self.clock.sleep(1.0)

    async def _streams(self) -> None:
        await self._check_catalogue()
        connections = self.feed.connections()
        if not connections:
            await asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(self._forever(connection.id, partial(self._keep, connection)))

    async def _check_catalogue(self) -> None:
        """Name what the venue lacks; without an answer everything is tried."""
        request = self.feed.catalogue_request()
        if request is None:
            return
        try:
            seconds = 2 * self.patience.connect_timeout
            answer = await within(self.clock, seconds, self._rest.ask(request))
            listed = self.feed.listed(answer)
        except Exception as error:
            self.emit("error", "rest", note=f"catalogue: {_describe(error)}")
            return
        for symbol in self._symbols:
            if symbol not in listed:
                self.emit("error", "rest", symbol=symbol, note=f"{symbol} is not listed")

    async def _keep(self, connection: Connection) -> None:
        """One connection for good: another socket when one ends, a fresh one at its age."""
        tasks: list[asyncio.Task[None]] = []
        failures = 0
        try:
            while True:
                link = Link(self, connection)
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
        self._carriers.update(_channels(connection))
        self.each("connected", connection)

    def closed(self, connection: Connection, last: int, note: str) -> None:
        """It is gone; `last` is when it last delivered, 0 for never."""
        self._open[connection.id] -= 1
        self._carriers.subtract(_channels(connection))
        if last and not self._open[connection.id]:
            self._dark[connection.id] = last
        for channel in _channels(connection):
            if not self._carriers[channel]:
                self.emit("closed", connection.id, stream=channel, note=note)

    def delivers(self, connection: Connection, now: int) -> None:
        """Its first data came."""
        if connection.id in self._dark:
            self.counters.blind_ns += now - self._dark.pop(connection.id)
            self.counters.reconnects += 1

    def subscribed(self, connection: Connection) -> None:
        """Deltas of all its books arrive, so a snapshot asked for now can be bridged.

        A rotation needs none: the old socket carried the chain up to here.
        """
        if self._open[connection.id] <= 1:
            for channel, symbol in connection.streams:
                if channel == BOOKS:
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
        self.deliver(Frame(now, self.feed.name, "rest", request.url, body, request.symbol))


class Link:
    """One socket from handshake to close.

    `ready` is set once everything is subscribed and data comes; `refused` says why the venue
    turned it away.
    """

    def __init__(self, session: Session, connection: Connection) -> None:
        self._session, self._connection = session, connection
        self.ready = asyncio.Event()
        self.refused: Refused | None = None
        self._first = self._last = 0
        self._acks = 0
        self._sent = False

    @property
    def healthy(self) -> bool:
        return bool(self._first) and self._last - self._first >= HEALTHY

    async def run(self) -> None:
        """Until the socket closes; raises nothing but the cancellation."""
        session, connection = self._session, self._connection
        session.emit("connecting", connection.id)
        try:
            socket = await open_socket(
                connection.url,
                session.clock,
                compression=session.feed.compression,
                patience=session.patience.connect_timeout,
            )
        except Refused as refused:
            self.refused = refused
            session.emit(refused.state, connection.id, note=refused.note)
        except Exception as error:  # whatever network, TLS or proxy can raise
            session.emit("error", connection.id, note=_describe(error))
        else:
            await self._carry(socket)

    async def _carry(self, socket: Any) -> None:
        session = self._session
        note = "stopped"
        self._last = session.clock.now()
        session.opened(self._connection)
        try:
            await race(
                pump(socket, session.clock, session.patience.coalesce, self._take),
                self._send(socket),
                self._watch(),
            )
        except Exception as error:
            note = _describe(error)
        finally:
            session.closed(self._connection, self._last if self._first else 0, note)
            with suppress(Exception):
                await socket.close()

    async def _send(self, socket: Any) -> None:
        """The subscriptions at the venue's pace, then its pings for as long as it lives."""
        connection, clock = self._connection, self._session.clock
        for frame in connection.subscribe:
            await socket.send(frame)
            await clock.sleep(1 / connection.sends_per_second)
        self._sent = True
        self._check_ready()
        if connection.ping is None:
            await asyncio.get_running_loop().create_future()
        else:
            payload, seconds = connection.ping
            while True:
                await clock.sleep(seconds)
                await socket.send(payload)

    async def _watch(self) -> None:
        """Raises TimeoutError once the socket has been silent for too long."""
        silence, clock = self._connection.silence, self._session.clock
        while clock.now() - self._last < silence * NS:
            await clock.sleep(silence / 4)
        raise TimeoutError(f"silent for {silence:g} s")

    def _take(self, data: bytes) -> None:
        session = self._session
        self._last = now = session.clock.now()
        if not self.ready.is_set() or self._acks < len(self._connection.subscribe):
            self._begin(data, now)
        connection = self._connection
        session.deliver(Frame(now, session.feed.name, connection.id, connection.url, data))

    def _begin(self, data: bytes, now: int) -> None:
        """Acks and the first data; an ack is no proof of data."""
        session, connection = self._session, self._connection
        if session.feed.is_ack(data):
            self._acks += 1
            if self._acks == len(connection.subscribe):
                session.each("acked", connection)
        elif not self._first:
            self._first = now
            session.delivers(connection, now)
            self._check_ready()

    def _check_ready(self) -> None:
        if self._sent and self._first and not self.ready.is_set():
            self.ready.set()
            self._session.subscribed(self._connection)


def _channels(connection: Connection) -> list[str]:
    return list(dict.fromkeys(channel for channel, _ in connection.streams))


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:160].removesuffix(": ")


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])


async def _stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
