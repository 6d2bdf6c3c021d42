"""A small venue on the loopback, and a clock that runs faster than the wall."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from engine.config import ConnectionConfig, FeedConfig


class FastClock:
    """Wall time scaled up: a minute passes in a second or so."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._wall, self._mono = time.time_ns(), time.monotonic_ns()

    def now(self) -> int:
        return self._wall + int((time.monotonic_ns() - self._mono) * self.speed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)


class Venue:
    """Speaks enough of Binance USD-M: SUBSCRIBE with acks, ticking streams, REST answers.

    `refusals` are (status, headers) for the next handshakes, `faults` the same for REST paths;
    `silent` stops the data, `acks` the acknowledgements.
    """

    def __init__(self) -> None:
        self.sockets: list[ServerConnection] = []
        self.opened = 0
        self.alive: list[int] = []
        self.handshakes: list[str] = []
        self.commands: list[tuple[str, int, dict]] = []
        self.requests: list[tuple[int, str]] = []
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
                streams += command["params"]
                if self.acks:
                    await connection.send(f'{{"result":null,"id":{command["id"]}}}')
        except ConnectionClosed:
            pass
        finally:
            self.sockets.remove(connection)
            ticking.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await ticking

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
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            target = head.split(" ")[1]
            self.requests.append((self.clock(), target))
            status, headers, body = self._body(target)
            lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Connection: close"]
            lines += [f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    def _body(self, target: str) -> tuple[int, dict[str, str], bytes]:
        path = urlsplit(target).path.rpartition("/")[2]
        if self.faults[path]:
            status, headers = self.faults[path].pop(0)
            return status, headers, b'{"code":-1,"msg":"fault"}'
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


@pytest.fixture
async def venue() -> AsyncIterator[Venue]:
    server = Venue()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def clock() -> FastClock:
    return FastClock(speed=40)


@pytest.fixture
def patience() -> ConnectionConfig:
    return ConnectionConfig(
        connect_timeout=30.0, backoff=0.2, backoff_max=2.0, blocked_retry=30.0, coalesce=0.01
    )
