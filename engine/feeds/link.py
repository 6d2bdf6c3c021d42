"""One socket from handshake to close: what is sent on it, what comes, when it counts as dead."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from engine.clock import NS, Clock
from engine.config import ConnectionConfig
from engine.feeds.feed import Connection, Feed, Frame
from engine.feeds.transport import Refused, open_socket, pump, race

HEALTHY = 60 * NS  # of data, after which a loss starts the backoff anew
SHORT = 256  # characters; only frames as short as this may be a venue's ping
ACKS_WITHIN = 60 * NS  # of the first data; a venue that has not confirmed by then does not
# What a short frame that is no market data holds, in the protocols of all venues.
CHATTER = (b"pong", b"heartbeat", b'"connected"', b'"error"')
# Channels that every venue sends all the time, and how many times the limit of silence a socket
# of theirs may bring nothing but chatter.
STEADY = frozenset({"depth", "mark", "ticker", "index"})
CHATTING = 2.0


class Owner(Protocol):
    """What a link needs of its session."""

    feed: Feed
    clock: Clock
    patience: ConnectionConfig

    def emit(
        self,
        state: str,
        connection: str,
        stream: str | None = None,
        symbol: str | None = None,
        note: str = "",
    ) -> None: ...
    def each(self, state: str, connection: Connection, note: str = "") -> None: ...
    def opened(self, connection: Connection) -> None: ...
    def closed(self, link: "Link", last: int, note: str) -> None: ...
    def delivers(self, connection: Connection, now: int) -> None: ...
    def subscribed(self, link: "Link") -> None: ...
    def deliver(self, frame: Frame) -> None: ...


class Link:
    """One socket of a connection.

    `ready` is set once everything is subscribed and data comes, `since` says when; `refused` says
    why the venue turned it away.
    """

    def __init__(self, session: Owner, connection: Connection) -> None:
        self._session, self._connection = session, connection
        self.ready = asyncio.Event()
        self.since = 0
        self.refused: Refused | None = None
        self._first = self._last = 0
        self._newest: bytes = b""
        self._acks = 0
        self._sent = False
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._replies: asyncio.Queue[str] = asyncio.Queue()

    @property
    def connection(self) -> Connection:
        return self._connection

    @property
    def healthy(self) -> bool:
        return bool(self._first) and self._last - self._first >= HEALTHY

    async def run(self) -> None:
        """Until the socket closes; raises nothing but the cancellation."""
        session, connection = self._session, self._connection
        session.emit("connecting", connection.id)
        try:
            socket = await self._open()
        except Refused as refused:
            self.refused = refused
            session.emit(refused.state, connection.id, note=refused.note)
        except Exception as error:
            session.emit("error", connection.id, note=describe(error))
        else:
            await self._carry(socket)

    async def _open(self) -> Any:
        """The socket; raises Refused, or whatever network, TLS or proxy can raise."""
        session = self._session
        return await open_socket(
            self._connection.url,
            session.clock,
            compression=session.feed.compression,
            patience=session.patience.connect_timeout,
            headers=session.feed.headers,
        )

    async def _carry(self, socket: Any) -> None:
        session = self._session
        note = "stopped"
        self._last = session.clock.now()
        session.opened(self._connection)
        try:
            await race(
                pump(socket, session.clock, session.patience.coalesce, self._take),
                self._send(socket),
                self._ping(socket),
                self._answer(socket),
                self._watch(),
            )
        except Exception as error:
            note = describe(error)
        finally:
            session.closed(self, self._last if self._first else 0, note)
            with suppress(Exception):
                await socket.close()

    def send(self, frames: Sequence[str]) -> None:
        """Put frames in line behind those that wait, at the venue's pace; lost if it closes."""
        for frame in frames:
            self._waiting.put_nowait(frame)

    async def _send(self, socket: Any) -> None:
        """The subscriptions, then whatever is put in line, at the venue's pace."""
        connection, clock = self._connection, self._session.clock
        for frame in connection.subscribe:
            await socket.send(frame)
            await clock.sleep(1 / connection.sends_per_second)
        self._sent = True
        self._check_ready()
        while True:
            await socket.send(await self._waiting.get())
            await clock.sleep(1 / connection.sends_per_second)

    async def _ping(self, socket: Any) -> None:
        """The venue's own ping from the beginning: long subscriptions must not outlive a limit."""
        if self._connection.ping is None:
            await asyncio.get_running_loop().create_future()
            return
        payload, seconds = self._connection.ping
        while True:
            await self._session.clock.sleep(seconds)
            await socket.send(payload)

    async def _answer(self, socket: Any) -> None:
        """Answers to the venue's pings, past whatever waits to be sent."""
        while True:
            await socket.send(await self._replies.get())

    async def _watch(self) -> None:
        """Raises TimeoutError once the socket has been silent, or only chatted, for too long.

        A venue that answers pings but sends nothing would never be left else. What came last is
        looked at now and then: that it is chatter each time is no chance.
        """
        silence, clock = self._connection.silence, self._session.clock
        steady = any(channel in STEADY for channel, _ in self._connection.streams)
        spoke = clock.now()
        while (now := clock.now()) - self._last < silence * NS:
            if not self._is_chatter(self._newest):
                spoke = now
            patience = CHATTING * silence if self._first else silence
            if steady and now - spoke >= patience * NS:
                raise TimeoutError(f"no data for {patience:g} s")
            await clock.sleep(silence / 4)
        raise TimeoutError(f"silent for {silence:g} s")

    def _is_chatter(self, data: bytes) -> bool:
        """Acks, pongs and the like; nothing is no data either."""
        if len(data) < SHORT and (not data or any(word in data for word in CHATTER)):
            return True
        return self._session.feed.is_ack(data)

    def _take(self, data: bytes) -> None:
        session, connection = self._session, self._connection
        self._last = now = session.clock.now()
        self._newest = data
        if not self.ready.is_set() or self._acks < len(connection.subscribe):
            self._begin(data, now)
        reply = connection.reply
        if reply is not None and len(data) < SHORT and reply[0].encode() in data:
            self._replies.put_nowait(reply[1])
        session.deliver(Frame(now, session.feed.name, connection.id, connection.url, data))

    def _begin(self, data: bytes, now: int) -> None:
        """Acks and the first data; neither an ack nor a pong is a proof of data."""
        session, connection = self._session, self._connection
        if session.feed.is_ack(data):
            self._acks += 1
            if self._acks == len(connection.subscribe):
                session.each("acked", connection)
        elif not self._first:
            if self._is_chatter(data):
                return
            self._first = now
            session.delivers(connection, now)
            self._check_ready()
        elif now - self._first > ACKS_WITHIN:
            self._acks = len(connection.subscribe)

    def _check_ready(self) -> None:
        if self._sent and self._first and not self.ready.is_set():
            self.ready.set()
            self.since = self._session.clock.now()
            self._session.subscribed(self)


def describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:160].removesuffix(": ")
