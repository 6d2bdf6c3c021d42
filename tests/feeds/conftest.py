"""A small venue on the loopback, a clock that runs faster than the wall, frames to begin from."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import yaml
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from engine.clock import NS, SimulatedClock
from engine.config import ConnectionConfig, FeedConfig, load
from engine.events import FeedStatus
from engine.feeds.binance import Binance
from engine.feeds.feed import Connection, Context, Feed, Frame, Poll, build_feed
from engine.feeds.feed import Request as RestRequest
from engine.feeds.session import Session
from engine.instruments import Instrument

CONFIG, _ = load()
PAUSE_S = 0.001
TURNS = 25  # of the event loop without anything under way, after which everybody sleeps


class Seed(msgspec.Struct, frozen=True):
    """A frame of a venue and what it gives: kinds of events, or the reason it is refused with."""

    gives: list[str] | str
    data: bytes
    url: str


class Seeds:
    """The frames of seeds/NAME.yaml, of which fuzzed ones are made; none where there is no file.

    `only`: the symbols that may come out; `urls`: others to hand frames over with; `recv` ns.
    """

    def __init__(self, name: str) -> None:
        path = Path(__file__).parent / "seeds" / f"{name}.yaml"
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.name = name
        self.recv: int = raw.get("recv", 1)
        self.only = frozenset(raw.get("only", ()))
        self.frames = [self._seed(row) for row in raw.get("frames", ())]
        self.catalogue = self._seed(raw["catalogue"]) if raw else None
        self.urls = sorted({"", *raw.get("urls", ()), *(seed.url for seed in self.frames)})

    def _seed(self, row: dict) -> Seed:
        data = row["data"]
        text = data.encode() if isinstance(data, str) else msgspec.json.encode(data)
        return Seed(row.get("gives", []), text, row["url"])

    def feed(self, learned: bool = True) -> Feed:
        """A fresh feed of the default config, which has seen its catalogue or not."""
        made = build_feed(self.name, CONFIG.feeds[self.name], CONFIG.instruments)
        if learned and self.catalogue is not None:
            made.listed(self.catalogue.data)
            made.decode(self.catalogue.data, Context(recv=self.recv, url=self.catalogue.url))
        made.connections()
        return made


@pytest.fixture(scope="session")
def seeds() -> Callable[[str], Seeds]:
    """seeds(name): the frames to begin from of a feed."""
    return Seeds


class LeapClock(SimulatedClock):
    """Time that leaps to what is waited for once nothing is under way.

    A slow machine makes it no later: while a request or a handshake waits for its answer time
    stands still, `patience` moments of wall time at most. `leap`: seconds it goes on between two
    such moments, in which comes what sockets bring by themselves.
    """

    def __init__(self, timeouts: Collection[float]) -> None:
        super().__init__(time.time_ns(), timeouts)
        self.leap, self.patience = 0.2, 5000
        self._hopeless = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(PAUSE_S)
            await self._settle()
            await self.advance(self.now() + int(self.leap * NS), self._settle)

    async def _settle(self) -> None:
        """Until nothing is under way but sleep."""
        quiet, left = 0, self.patience
        while quiet < TURNS and left:
            await asyncio.sleep(0)
            self._hopeless = min(self._hopeless, self.at_work)
            if self.at_work > self._hopeless:
                quiet, left = 0, left - 1
                await asyncio.sleep(PAUSE_S)
            else:
                quiet += 1
        if not left:
            self._hopeless = self.at_work


class Venue:
    """Speaks enough of Binance USD-M: SUBSCRIBE with acks, ticking streams, REST answers.

    `refusals` are (status, headers) for the next handshakes, `faults` the same for REST paths;
    `silent` stops the data, `acks` the acknowledgements. `answers` are bodies by path, with
    `tags` as their ETags; `hung` paths are never answered. A subscription of a `fatal` stream
    kills its socket.
    """

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.opened = 0
        self.alive: list[int] = []
        self.handshakes: list[str] = []
        self.commands: list[tuple[str, int, dict]] = []
        self.requests: list[tuple[int, str]] = []
        self.heads: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.handshake_heads: list[dict[str, str]] = []
        self.connected: list[tuple[int, str]] = []
        self.answers: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.hung: set[str] = set()
        self.fatal = ""
        self.refusals: list[tuple[int, dict[str, str]]] = []
        self.faults: dict[str, list[tuple[int, dict[str, str]]]] = defaultdict(list)
        self.silent = False
        self.acks = True
        self.extra: list[str | bytes] = []
        self.listed = ["BTCUSDT", "ETHUSDT", "1000PEPEUSDT"]
        self.clock: Callable[[], int] = time.time_ns
        self.port = 0

    def config(self, **changes: object) -> FeedConfig:
        base = f"127.0.0.1:{self.port}"
        urls = {
            "public": f"ws://{base}/public",
            "market": f"ws://{base}/market",
            "rest": f"http://127.0.0.1:{self.rest_port}",
        }
        return FeedConfig(urls=urls, **changes)

    async def start(self) -> None:
        self._ws = await serve(
            self._talk, "127.0.0.1", 0, process_request=self._screen, ping_interval=None
        )
        self.port = self._ws.sockets[0].getsockname()[1]
        self._rest = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.rest_port = self._rest.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._ws.close()
        self._rest.close()
        await self._ws.wait_closed()
        await self._rest.wait_closed()

    def _screen(self, connection: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(request.path)
        self.connected.append((self.clock(), request.path))
        self.handshake_heads.append(dict(request.headers.raw_items()))
        if not self.refusals:
            return None
        status, headers = self.refusals.pop(0)
        response = connection.respond(HTTPStatus(status), "no\n")
        for key, value in headers.items():
            response.headers[key] = value
        return response

    async def _talk(self, connection: ServerConnection) -> None:
        self.sockets.append(connection)
        self.opened += 1
        streams: list[str] = []
        ticking = asyncio.create_task(self._tick(connection, streams))
        try:
            async for text in connection:
                command = msgspec.json.decode(text)
                self.commands.append((connection.request.path, self.clock(), command))
                self._subscribe(connection, command, streams)
                if self.acks:
                    await connection.send(f'{{"result":null,"id":{command["id"]}}}')
        except ConnectionClosed:
            pass
        finally:
            self.sockets.remove(connection)
            ticking.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await ticking

    def _subscribe(self, connection: ServerConnection, command: dict, streams: list[str]) -> None:
        """Add to the streams or take from them; anything but that is answered and no more."""
        params = command.get("params", [])
        if self.fatal and any(param.startswith(self.fatal) for param in params):
            connection.transport.abort()
        elif command["method"] == "UNSUBSCRIBE":
            streams[:] = [name for name in streams if name not in params]
        elif command["method"] == "SUBSCRIBE":
            streams += params

    async def _tick(self, connection: ServerConnection, streams: list[str]) -> None:
        seq = 1000
        while True:
            await asyncio.sleep(0.004)
            if self.silent:
                continue
            for name in list(streams):
                seq += 1
                with suppress(ConnectionClosed):
                    await connection.send(frame(name, seq))
            for data in self.extra:
                with suppress(ConnectionClosed):
                    await connection.send(data)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            target = first.split(" ")[1]
            head = dict(line.lower().split(": ", 1) for line in lines if line)
            self.requests.append((self.clock(), target))
            self.heads.append(head)
            self.bodies.append(await reader.readexactly(int(head.get("content-length", 0))))
            if _path(target) in self.hung:
                await reader.read()
            status, headers, body = self._body(target, head)
            lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Connection: close"]
            lines += [f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def _body(self, target: str, head: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        path = _path(target)
        if self.faults[path]:
            status, headers = self.faults[path].pop(0)
            return status, headers, b'{"code":-1,"msg":"fault"}'
        if path in self.answers:
            tag = {"ETag": self.tags[path]} if path in self.tags else {}
            if tag and head.get("if-none-match") == self.tags[path]:
                return 304, tag, b""
            return 200, tag, self.answers[path]
        if path == "exchangeInfo":
            rows = [
                {
                    "symbol": s,
                    "status": "TRADING",
                    "contractType": "PERPETUAL",
                    "quoteAsset": "USDT",
                }
                for s in self.listed
            ]
            return 200, {}, msgspec.json.encode({"symbols": rows})
        if path == "depth":
            book = {"lastUpdateId": 5, "E": 1, "T": 1, "bids": [["1", "2"]], "asks": [["3", "4"]]}
            return 200, {}, msgspec.json.encode(book)
        if path == "klines":
            row = [0, "1", "2", "1", "2", "9", 59_999, "9", 3, "4", "4", "0"]
            return 200, {}, msgspec.json.encode([row])
        return 404, {}, b"{}"

    def asked(self, path: str) -> list[dict[str, str]]:
        """Queries of the REST requests for one path, in order."""
        return [
            {k: v[0] for k, v in parse_qs(urlsplit(target).query).items()}
            for _, target in self.requests
            if urlsplit(target).path.endswith(path)
        ]


def _path(target: str) -> str:
    return urlsplit(target).path.rpartition("/")[2]


def frame(stream: str, seq: int) -> str:
    """A plausible event of a subscribed stream."""
    name, _, kind = stream.partition("@")
    common = {"E": seq, "T": seq, "s": name.upper()}
    data = {
        "depth@100ms": {"e": "depthUpdate", "U": seq, "u": seq, "pu": seq - 1, "b": [], "a": []},
        "bookTicker": {"e": "bookTicker", "u": seq, "b": "1", "B": "1", "a": "2", "A": "1"},
        "aggTrade": {"e": "aggTrade", "a": seq, "p": "1", "q": "1", "m": True},
        "markPrice@1s": {"e": "markPriceUpdate", "p": "1", "i": "1", "r": "0.0001"},
    }.get(kind, {"e": "forceOrder", "o": {"s": name.upper(), "S": "SELL", "ap": "1", "z": "1"}})
    return msgspec.json.encode({"stream": stream, "data": {**data, **common}}).decode()


class Planned(Binance):
    """Binance with what the others do differently, as each test says.

    `streaming`: books come by the stream alone. `changes` to every connection.
    """

    def __init__(self, config, symbols, *, sockets=True, catalogue=True, streaming=False,
                 headers=None) -> None:  # fmt: skip
        super().__init__(config, [Instrument(id=s, group="x") for s in symbols])
        self.wanted: list[Poll] = []
        self.changes: dict[str, object] = {}
        self.headers = headers or {}
        self._sockets, self._asks, self._streaming = sockets, catalogue, streaming

    def polls(self) -> list[Poll]:
        return self.wanted

    def catalogue_request(self) -> RestRequest | None:
        return super().catalogue_request() if self._asks else None

    def connections(self) -> list[Connection]:
        own = super().connections() if self._sockets else []
        return [msgspec.structs.replace(c, **self.changes) for c in own]

    def book_request(self, symbol: str) -> RestRequest | None:
        return None if self._streaming else super().book_request(symbol)

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        stream = [f"{symbol.lower()}@depth@100ms"]
        frames = [
            msgspec.json.encode({"method": m, "params": stream, "id": 9}).decode()
            for m in ("UNSUBSCRIBE", "SUBSCRIBE")
        ]
        return "public", tuple(frames)


class Carried:
    """A session that runs inside `async with`, and what came out of it."""

    def __init__(self, feed, config, patience, symbols, clock) -> None:
        self.frames: list[Frame] = []
        self.statuses: list[FeedStatus] = []
        self.feed = feed
        self.session = Session(feed, config, patience, symbols, clock, self.frames.append,
                               self.statuses.append, random.Random(7))  # fmt: skip

    async def __aenter__(self) -> "Carried":
        self._task = asyncio.create_task(self.session.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def states(self, state: str, connection: str | None = None) -> list[FeedStatus]:
        return [s for s in self.statuses if s.state == state and connection in (None, s.connection)]

    def on(self, connection: str) -> list[Frame]:
        return [f for f in self.frames if f.connection == connection]

    async def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        """Wait in wall time for something that must come."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
def plan(venue: Venue, clock: LeapClock, patience: ConnectionConfig) -> Callable[..., Carried]:
    """plan(symbols=..., polls=..., of={}, **config): a session with a `Planned` feed."""
    # The session imports it at the first request, which takes a while.
    pytest.importorskip("httpx")

    def make(symbols=("BTCUSDT", "ETHUSDT"), polls=(), of=None, **changes: object) -> Carried:
        venue.clock = clock.now
        config = venue.config(**changes)
        feed = Planned(config, symbols, **(of or {}))
        feed.wanted = list(polls)
        return Carried(feed, config, patience, symbols, clock)

    return make


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    server = Venue()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def other() -> AsyncIterator[Venue]:
    """Another host."""
    server = Venue()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def clock(patience: ConnectionConfig) -> AsyncIterator[LeapClock]:
    made = LeapClock((patience.connect_timeout, 2 * patience.connect_timeout))
    leaping = asyncio.create_task(made.run())
    yield made
    leaping.cancel()
    with suppress(asyncio.CancelledError):
        await leaping


@pytest.fixture
def patience() -> ConnectionConfig:
    # An unusual time-out, by which the clock tells a wait for an answer from other waits.
    return ConnectionConfig(
        connect_timeout=29.75, backoff=0.2, backoff_max=2.0, blocked_retry=30.0, coalesce=0.01
    )
