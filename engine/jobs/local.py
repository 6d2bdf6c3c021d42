"""Simulated venues without sockets: their clients and answers in the same process.

What a venue sends is handed to the session's link as it is made, and a request is answered by a
call. Session, link and REST worker are the real ones but for opening a socket.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from engine.clock import Clock
from engine.feeds.feed import Connection
from engine.feeds.link import Link
from engine.feeds.session import Session
from engine.feeds.transport import refusal
from engine.sim.market.market import Tick
from engine.sim.market.shadow import Reference
from engine.sim.venues import base
from engine.sim.venues.http import Answer
from engine.sim.venues.servers import urls_at
from engine.sim.venues.sockets import Client


class Network:
    """The venues of some feeds, and the way to them.

    `stirred`: something was handed over that somebody wakes up from, and will be until the next
    `publish`. `held`: requests that wait for a venue's latency.
    """

    def __init__(self, names: Sequence[str], reference: Reference, clock: Clock) -> None:
        self.venues = {name: base.venue_class(name)(reference, clock) for name in names}
        self.stirred = False

    @property
    def held(self) -> int:
        return sum([venue.held for venue in self.venues.values()])

    def urls(self, name: str) -> dict[str, str]:
        """`feeds.NAME.urls` of a config whose sessions are local."""
        return urls_at(self.venues[name].URLS, {"ws": name, "http": name})

    async def publish(self, tick: Tick) -> None:
        """Hand a tick's frames over, one venue after the other."""
        self.stirred = False
        for venue in self.venues.values():
            await venue.publish(tick)


class Response:
    """What the session's REST worker reads of an HTTP answer."""

    def __init__(self, answer: Answer) -> None:
        self.status_code, self.content, self.headers = answer.status, answer.body, answer.headers

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")


class LocalHttp:
    """Requests to one venue, as the REST worker's HTTP client makes them."""

    def __init__(self, venue: base.Venue) -> None:
        self._venue = venue

    async def get(self, url: str, headers: Mapping[str, str]) -> Response:
        return await self._ask(url, None)

    async def post(self, url: str, content: str, headers: Mapping[str, str]) -> Response:
        return await self._ask(url, content.encode())

    async def _ask(self, url: str, body: bytes | None) -> Response:
        target = urlsplit(url)
        query = dict(reversed(parse_qsl(target.query)))
        return Response(await self._venue.asked(target.path, query, body))

    async def aclose(self) -> None:
        """Nothing is open."""


class LocalClient(Client):
    """The venue's end of a connection: what it writes goes straight to the link."""

    def __init__(self, link: "LocalLink", network: Network, route: str, target: str) -> None:
        super().__init__(route, target)
        self.broken = asyncio.Event()
        self._link, self._network = link, network

    @property
    def open(self) -> bool:
        return not self.broken.is_set()

    def write(self, frames: Sequence[bytes]) -> None:
        link = self._link
        for data in frames:
            link.take(data)
        if not link.at_rest:
            self._network.stirred = True

    def cut(self) -> None:
        self.broken.set()
        self._network.stirred = True


class LocalSocket:
    """The session's end of a connection, which carries its commands; data goes past it."""

    def __init__(self, client: LocalClient, venue: base.Venue) -> None:
        self._client, self._venue = client, venue
        self._joined = False

    async def send(self, text: str) -> None:
        await self._venue.heard(self._client, text.encode())

    async def recv(self, decode: bool = False) -> bytes:
        """The venue learns of the connection when it is first read."""
        self._venue.join(self._client)
        self._joined = True
        await self._client.broken.wait()
        raise ConnectionError("cut by the venue")

    async def close(self) -> None:
        self._client.broken.set()
        if self._joined:
            self._venue.leave(self._client)


class LocalLink(Link):
    """The real link over a `LocalSocket`."""

    def __init__(self, session: Session, connection: Connection, venue: base.Venue,
                 network: Network) -> None:  # fmt: skip
        super().__init__(session, connection)
        self.take = self._take
        self._venue, self._network = venue, network

    @property
    def at_rest(self) -> bool:
        """Whether it only counts and hands on what comes now."""
        return self.ready.is_set() and self._replies.empty()

    async def _open(self) -> LocalSocket:
        url = self._connection.url
        target = urlsplit(url)._replace(scheme="", netloc="").geturl()
        if turned := self._venue.refusal(target):
            known = refusal(turned.status, turned.headers, self._session.clock.now())
            raise known or ConnectionError(f"HTTP {turned.status}")
        client = LocalClient(self, self._network, self._venue.route(target) or "", target)
        return LocalSocket(client, self._venue)


class LocalSession(Session):
    """The real session; only what opens a socket or asks over HTTP is the venue's own."""

    def __init__(self, venue: base.Venue, network: Network, *what: Any) -> None:
        super().__init__(*what)
        self._venue, self._network = venue, network
        self._rest._clients = dict.fromkeys((True, False), LocalHttp(venue))

    def _link(self, connection: Connection) -> Link:
        return LocalLink(self, connection, self._venue, self._network)
