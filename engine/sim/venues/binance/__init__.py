"""Binance USD-M futures on the loopback: two socket routes and REST, in the real protocol.

`/public` carries books and quotes, `/market` trades, marks and liquidations. As at the venue, a
stream asked for on the wrong route is acknowledged and stays silent.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from engine.clock import Clock
from engine.sim.market import SimulatedMarket
from engine.sim.market.market import Tick
from engine.sim.market.shadow import Reference
from engine.sim.venues import base
from engine.sim.venues.binance.answers import Answers
from engine.sim.venues.binance.frames import Frames
from engine.sim.venues.faults import Faults, Message
from engine.sim.venues.http import Answer
from engine.sim.venues.sockets import Client

DEPTH, KLINES = "/fapi/v1/depth", "/fapi/v1/klines"
encode = msgspec.json.encode


class Command(msgspec.Struct):
    """What a client asks on its socket."""

    method: str
    id: int | str | None = None
    params: list[str] = []


class BinanceVenue(base.Venue):
    """Serves the market itself; stream names are the venue's."""

    URLS: ClassVar = {"public": "ws:/public", "market": "ws:/market", "rest": "http:"}
    FAULTS: ClassVar = Faults
    # So that the market moves on while history is fetched.
    LATENCY_S: ClassVar = {DEPTH: 0.02, KLINES: 0.02}
    SLOW: ClassVar = frozenset({DEPTH})

    def __init__(self, market: SimulatedMarket | Reference, clock: Clock,
                 ports: base.Ports | None = None,
                 taken: Callable[[], Awaitable[None]] = base.nobody) -> None:  # fmt: skip
        reference = market if isinstance(market, Reference) else Reference(market)
        super().__init__(reference, clock, ports, taken)
        self._frames = Frames(self.market.listings, self.market.rate)
        self._answers = Answers(self.market, self._frames, self.unlisted)

    # -- streams ---------------------------------------------------------------------------

    def route(self, target: str) -> str | None:
        """`/public` and `/market` are followed by `/ws` or `/stream`."""
        route, form = [*urlsplit(target).path.split("/"), "", ""][1:3]
        return route if route in self._frames.streams and form in ("ws", "stream") else None

    def greet(self, client: Client) -> base.Replies:
        """Streams may be named in the url, which brings no answer."""
        target = urlsplit(client.target)
        _, _, form, *names = target.path.split("/")
        client.combined = form == "stream"
        self._subscribe(client, parse_qs(target.query).get("streams", [""])[0].split("/"))
        self._subscribe(client, names)
        return ()

    def command(self, client: Client, text: bytes) -> base.Replies:
        try:
            command = msgspec.json.decode(text, type=Command)
        except msgspec.DecodeError:
            return [encode({"error": {"code": 3, "msg": "Invalid JSON"}})]
        result: list[str] | None = None
        if command.method == "SUBSCRIBE":
            self._subscribe(client, command.params)
        elif command.method == "UNSUBSCRIBE":
            client.streams -= set(command.params)
        elif command.method == "LIST_SUBSCRIPTIONS":
            result = sorted(client.streams)
        else:
            problem = {"code": 2, "msg": "Invalid request: unknown variant"}
            return [encode({"error": problem, "id": command.id})]
        return [encode({"result": result, "id": command.id})]

    def _subscribe(self, client: Client, streams: Sequence[str]) -> None:
        client.streams |= self._frames.streams[client.route].intersection(streams)

    def frames(self, tick: Tick) -> Sequence[Message]:
        return [*self._frames.public(tick), *self._frames.market(tick)]

    # -- REST ------------------------------------------------------------------------------

    def answer(self, path: str, query: dict[str, str], body: bytes | None) -> Answer:
        return self._answers.answer(path, query)

    def refused(self, status: int) -> bytes:
        return b'{"code":-1003,"msg":"Too many requests."}'


VENUE = BinanceVenue
