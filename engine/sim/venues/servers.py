"""A simulated venue's servers on the loopback: its websockets and its REST, on ports of its own."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from engine.sim.venues.faults import Refusal
from engine.sim.venues.http import Answer, HttpServer, Port
from engine.sim.venues.sockets import Client, SocketClient

PING_S = 180.0
PONG_S = 600.0


class Ports:
    """The ports of a venue, sockets and REST.

    `urls`: keys of `feeds.NAME.urls`, each as `ws:PATH` or `http:PATH`.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = dict(urls)
        self.sockets, self.rest = Port(), Port()

    def urls(self) -> dict[str, str]:
        """`feeds.NAME.urls` of a config that points here."""
        return urls_at(
            self._urls,
            {
                "ws": f"127.0.0.1:{self.sockets.number}",
                "http": f"127.0.0.1:{self.rest.number}",
            },
        )

    def close(self) -> None:
        """Give back what no server has taken."""
        self.sockets.close()
        self.rest.close()


class Served(Protocol):
    """What servers need of a venue."""

    def refusal(self, target: str) -> Refusal | None: ...
    def route(self, target: str) -> str | None: ...
    def join(self, client: Client) -> None: ...
    def leave(self, client: Client) -> None: ...
    async def heard(self, client: Client, data: bytes) -> None: ...
    async def asked(self, path: str, query: dict[str, str], body: bytes | None) -> Answer: ...


class Servers:
    """Carries a venue's frames and answers; `start` it, `stop` it, as often as wanted."""

    def __init__(self, venue: Served, ports: Ports, sockets: bool) -> None:
        self._venue, self._ports, self._with_sockets = venue, ports, sockets
        self.rest = HttpServer(self._get, ports.rest, venue.asked)
        self._sockets: Server | None = None

    async def start(self) -> None:
        """Listen on the loopback; after a `stop` on the same ports. Raises OSError."""
        if self._with_sockets:
            self._sockets = await serve(
                self._talk, sock=self._ports.sockets.take(), process_request=self._screen,
                compression=None, ping_interval=PING_S, ping_timeout=PONG_S,
            )  # fmt: skip
        await self.rest.start()

    async def stop(self) -> None:
        """Stop listening and end every connection."""
        server, self._sockets = self._sockets, None
        if server is not None:
            server.close()
            await server.wait_closed()
        await self.rest.stop()

    async def _talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        target, venue = socket.request.path, self._venue
        client = SocketClient(socket, venue.route(target) or "", target)
        try:
            venue.join(client)
            async for text in socket:
                await venue.heard(client, text.encode() if isinstance(text, str) else text)
        except ConnectionClosed:
            pass
        finally:
            venue.leave(client)

    def _screen(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a handshake that a fault or a wrong path forbids."""
        refusal = self._venue.refusal(request.path)
        if refusal is None:
            return None
        response = connection.respond(HTTPStatus(refusal.status), "refused\n")
        for name, value in refusal.headers.items():
            response.headers[name] = value
        return response

    async def _get(self, path: str, query: dict[str, str]) -> Answer:
        return await self._venue.asked(path, query, None)


def urls_at(urls: Mapping[str, str], hosts: Mapping[str, str]) -> dict[str, str]:
    """`feeds.NAME.urls` of urls such as `ws:PATH`, given the host of each scheme."""
    split = {name: url.partition(":") for name, url in urls.items()}
    return {name: f"{scheme}://{hosts[scheme]}{path}" for name, (scheme, _, path) in split.items()}
