"""Binance USD-M futures on the loopback: two socket routes and REST, in the real protocol.

`/public` carries books and quotes, `/market` trades, marks and liquidations. As at the venue, a
stream asked for on the wrong route is acknowledged and stays silent.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from engine.clock import Clock
from engine.sim.market import SimulatedMarket
from engine.sim.market.market import Tick
from engine.sim.venues.binance.answers import Answers
from engine.sim.venues.binance.frames import Frames
from engine.sim.venues.faults import Faults, Message
from engine.sim.venues.http import Answer, HttpServer, Port
from engine.sim.venues.sockets import Client

ROUTES = ("public", "market")
PING_S = 180.0
PONG_S = 600.0
# Of these answers, in the market's time, so that the market moves on while history is fetched.
LATENCY_S = {"/fapi/v1/depth": 0.02, "/fapi/v1/klines": 0.02}


class Command(msgspec.Struct):
    """What a client asks on its socket."""

    method: str
    id: int | str | None = None
    params: list[str] = []


class Ports:
    """The two ports of the venue, sockets and REST."""

    def __init__(self) -> None:
        self.sockets, self.rest = Port(), Port()

    def urls(self) -> dict[str, str]:
        """`feeds.binance.urls` of a config that points here."""
        sockets = f"ws://127.0.0.1:{self.sockets.number}"
        return {
            **{route: f"{sockets}/{route}" for route in ROUTES},
            "rest": f"http://127.0.0.1:{self.rest.number}",
        }

    def close(self) -> None:
        """Give back what no server has taken."""
        self.sockets.close()
        self.rest.close()


async def _nobody() -> None:
    """Nobody is waited for."""


class BinanceVenue:
    """Serves one simulated market; `publish` sends what a tick of it brought.

    `taken` is awaited after each route's frames: whoever keeps clients in step waits there.
    `expected`: frames that clients will hand to their decoders, streams, acks and REST answers
    alike; `held`: answers kept back on purpose. Both are for whoever keeps the market in step
    with its clients.
    """

    def __init__(self, market: SimulatedMarket, clock: Clock, ports: Ports | None = None,
                 taken: Callable[[], Awaitable[None]] = _nobody) -> None:  # fmt: skip
        self.market = market
        self.faults = Faults()
        self.clients: list[Client] = []
        self.expected = 0
        self.held = 0
        self._clock = clock
        self._frames = Frames(market.listings)
        self._answers = Answers(market, self._frames)
        self.ports = ports or Ports()
        self._rest = HttpServer(self._answer, self.ports.rest)
        self._server: Server | None = None
        self._taken = taken
        self._calm = asyncio.Event()
        self._calm.set()

    # -- servers ---------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen on the loopback; after a `stop` on the same ports. Raises OSError."""
        self._server = await serve(
            self._talk, sock=self.ports.sockets.take(), process_request=self._screen,
            compression=None, ping_interval=PING_S, ping_timeout=PONG_S,
        )  # fmt: skip
        await self._rest.start()

    async def stop(self) -> None:
        """Cut every connection and stop listening."""
        self.drop()
        server, self._server = self._server, None
        if server is not None:
            server.close()
            await server.wait_closed()
        await self._rest.stop()

    def urls(self) -> dict[str, str]:
        """`feeds.binance.urls` of a config that points here."""
        return self.ports.urls()

    def drop(self, route: str | None = None) -> None:
        """Fault: break the sockets of a route, or all."""
        for client in self.clients:
            if route in (None, client.route):
                client.cut()
                self.faults.done["drop"] += 1

    def half_open(self, route: str) -> None:
        """Fault: leave the sockets of a route without a peer; new ones work."""
        for client in self.clients:
            if client.route == route and not client.silent:
                client.freeze()
                self.faults.done["half-open"] += 1

    # -- streams ---------------------------------------------------------------------------

    async def publish(self, tick: Tick) -> None:
        """Send a tick's frames, one route after the other, each taken before the next is sent.

        REST answers wait meanwhile, so that a snapshot never tells of frames not sent yet.
        """
        self._calm.clear()
        try:
            for route, messages in (
                ("public", self._frames.public(tick)),
                ("market", self._frames.market(tick)),
            ):
                self._send(route, messages)
                await self._taken()
        finally:
            self._calm.set()

    def _send(self, route: str, messages: list[Message]) -> None:
        spoilt = self.faults.spoil(messages)
        if route in self.faults.stalled:
            return
        for client in self.clients:
            if client.route == route:
                self.expected += client.send(spoilt)

    async def _talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        target = urlsplit(socket.request.path)
        _, route, form, *names = target.path.split("/")
        client = Client(socket, route, combined=form == "stream")
        named = parse_qs(target.query).get("streams", [""])[0].split("/")
        self._subscribe(client, [name for name in (*named, *names) if name])
        client.silent = self.faults.take_silence()
        self.clients.append(client)
        try:
            async for text in socket:
                self._command(client, text)
        except ConnectionClosed:
            pass
        finally:
            self.clients.remove(client)

    def _command(self, client: Client, text: str | bytes) -> None:
        try:
            command = msgspec.json.decode(text, type=Command)
        except msgspec.DecodeError:
            self._reply(client, {"error": {"code": 3, "msg": "Invalid JSON"}})
            return
        result: list[str] | None = None
        if command.method == "SUBSCRIBE":
            self._subscribe(client, command.params)
        elif command.method == "UNSUBSCRIBE":
            client.streams -= set(command.params)
        elif command.method == "LIST_SUBSCRIPTIONS":
            result = sorted(client.streams)
        else:
            problem = {"code": 2, "msg": "Invalid request: unknown variant"}
            self._reply(client, {"error": problem, "id": command.id})
            return
        self._reply(client, {"result": result, "id": command.id})

    def _subscribe(self, client: Client, streams: list[str]) -> None:
        client.streams |= set(streams) & self._frames.streams[client.route]

    def _reply(self, client: Client, body: object) -> None:
        self.expected += client.reply(msgspec.json.encode(body))

    def _screen(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a handshake that a fault or a wrong path forbids."""
        if refusal := self.faults.refusal("ws"):
            response = connection.respond(HTTPStatus(refusal.status), "refused\n")
            if refusal.retry_after is not None:
                response.headers["Retry-After"] = f"{refusal.retry_after:g}"
            return response
        parts = urlsplit(request.path).path.split("/")
        if len(parts) < 3 or parts[1] not in ROUTES or parts[2] not in ("ws", "stream"):
            return connection.respond(HTTPStatus.NOT_FOUND, "no such path\n")
        return None

    # -- REST ------------------------------------------------------------------------------

    async def _answer(self, path: str, query: dict[str, str]) -> Answer:
        if refusal := self.faults.refusal("rest"):
            wait = refusal.retry_after
            headers = {} if wait is None else {"Retry-After": f"{wait:g}"}
            return Answer(b'{"code":-1003,"msg":"Too many requests."}', refusal.status, headers)
        slow = self.faults.delay() if path.endswith("/depth") else 0.0
        if latency := LATENCY_S.get(path, 0.0) + slow:
            await self._hold(latency)
        await self._calm.wait()
        answer = self._answers.answer(path, query)
        if answer.status == 200:
            self.expected += 1
        return answer

    async def _hold(self, seconds: float) -> None:
        self.held += 1
        try:
            await self._clock.sleep(seconds)
        finally:
            self.held -= 1
