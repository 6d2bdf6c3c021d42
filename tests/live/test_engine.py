"""The live engine against a loopback venue that plays the real recordings as if they were now.

Also: what it records, replayed, decides the same bit for bit.
"""

import asyncio
import gzip
import heapq
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from engine.clock import NS
from engine.config import Config, load
from engine.jobs.replay import Replay
from engine.runtime import Engine
from engine.store.reader import Reader
from engine.store.recordings import Recorder

WIRE = Path(__file__).parents[2].parent / "shared" / "wire" / "binance_usdm"
FILES = {"BTCUSDT": "btcusdt_20240808.gz", "ETHUSDT": "ethusdt_20240808.gz"}
SPEED = 8.0
TIMES = re.compile(rb'"([ET])":(\d{13})')

pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout"),
]


class FastClock:
    """Wall time, faster."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._wall, self._mono = time.time_ns(), time.monotonic_ns()

    def now(self) -> int:
        return self._wall + int((time.monotonic_ns() - self._mono) * self.speed)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0) / self.speed)


def recorded(symbol: str) -> Iterator[tuple[int, str, bytes]]:
    """(receive ns, symbol, frame) of a recording."""
    with gzip.open(WIRE / FILES[symbol], "rb") as lines:
        for line in lines:
            recv, _, data = line.partition(b" ")
            yield int(recv), symbol, data.strip()


class Stage:
    """Plays both recordings on two routes, with REST snapshots and candles of its own past."""

    def __init__(self, clock: FastClock) -> None:
        self.clock = clock
        self.routes: dict[str, set[ServerConnection]] = {"public": set(), "market": set()}
        self.books: dict[str, dict[str, dict[bytes, bytes]]] = {
            s: {"b": {}, "a": {}} for s in FILES
        }
        self.seq = dict.fromkeys(FILES, 0)
        self.trades: list[tuple[str, int, float, float]] = []
        self.snapshots = 0
        self.started = clock.now()
        self._shift = 0

    async def start(self) -> None:
        self._ws = await serve(self._talk, "127.0.0.1", 0, ping_interval=None)
        self._rest = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self._play = asyncio.create_task(self._run())

    async def stop(self) -> None:
        self._play.cancel()
        with suppress(asyncio.CancelledError):
            await self._play
        self._ws.close()
        self._rest.close()
        await self._ws.wait_closed()
        await self._rest.wait_closed()

    def urls(self) -> dict[str, str]:
        ws = self._ws.sockets[0].getsockname()[1]
        rest = self._rest.sockets[0].getsockname()[1]
        return {
            "public": f"ws://127.0.0.1:{ws}/public",
            "market": f"ws://127.0.0.1:{ws}/market",
            "rest": f"http://127.0.0.1:{rest}",
        }

    async def drop(self) -> None:
        """Cut every socket."""
        for sockets in self.routes.values():
            for socket in list(sockets):
                socket.transport.abort()

    async def _run(self) -> None:
        frames = heapq.merge(*(recorded(s) for s in FILES))
        first = None
        for place, (recv, symbol, data) in enumerate(frames):
            # Four of five quotes are left out: playing them fast would starve the engine's half
            # of this process.
            if b"bookTicker" in data and place % 5:
                continue
            first = first or recv
            if place % 50 == 0:
                await asyncio.sleep(0)
            due = self.started + recv - first
            if due > self.clock.now():
                await self.clock.sleep((due - self.clock.now()) / NS)
            # The recorder's clock ran 1.27 s behind the venue's; here both are one.
            self._shift = (self.started - first) // 1_000_000 - 1272
            await self._send(symbol, data)

    async def _send(self, symbol: str, data: bytes) -> None:
        frame = TIMES.sub(lambda m: b'"%s":%d' % (m[1], int(m[2]) + self._shift), data)
        event = msgspec.json.decode(frame)
        if "lastUpdateId" in event:
            self._fill(symbol, event)
            return
        payload = event["data"]
        route = "public" if payload["e"] in ("depthUpdate", "bookTicker") else "market"
        if payload["e"] == "depthUpdate":
            self._apply(symbol, payload)
        if payload["e"] == "trade":
            side = -1.0 if payload["m"] else 1.0
            notional = float(payload["p"]) * float(payload["q"])
            self.trades.append((symbol, payload["T"], float(payload["p"]), side * notional))
        for socket in list(self.routes[route]):
            with suppress(ConnectionClosed):
                await socket.send(frame)

    def _fill(self, symbol: str, snapshot: dict) -> None:
        """The recorded snapshot shows what was resting before the recording began."""
        for side, name in (("b", "bids"), ("a", "asks")):
            self.books[symbol][side] = {**dict(snapshot[name]), **self.books[symbol][side]}

    def _apply(self, symbol: str, update: dict) -> None:
        for side in ("b", "a"):
            self.books[symbol][side].update(update[side])
        self.seq[symbol] = update["u"]

    async def _talk(self, socket: ServerConnection) -> None:
        route = "public" if socket.request.path.startswith("/public") else "market"
        self.routes[route].add(socket)
        try:
            async for text in socket:
                command = msgspec.json.decode(text)
                await socket.send(f'{{"result":null,"id":{command["id"]}}}')
        except ConnectionClosed:
            pass
        finally:
            self.routes[route].discard(socket)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            target = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
            body = msgspec.json.encode(self._body(urlsplit(target)))
            head = f"HTTP/1.1 {HTTPStatus.OK} OK\r\nConnection: close\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        writer.close()

    def _body(self, url) -> object:
        query = {k: v[0] for k, v in parse_qs(url.query).items()}
        if url.path.endswith("exchangeInfo"):
            return {
                "symbols": [
                    {"symbol": s, "status": "TRADING", "contractType": "PERPETUAL",
                     "quoteAsset": "USDT"}
                    for s in FILES
                ]
            }  # fmt: skip
        if url.path.endswith("depth"):
            return self._snapshot(query["symbol"])
        if url.path.endswith("klines"):
            return self._klines(query)
        return []

    def _snapshot(self, symbol: str) -> dict:
        self.snapshots += 1
        book = self.books[symbol]
        sides = {
            name: [
                [price, size]
                for price, size in sorted(
                    book[side].items(), key=lambda x: float(x[0]), reverse=side == "b"
                )
                if float(size)
            ][:1000]
            for side, name in (("b", "bids"), ("a", "asks"))
        }
        now = self.clock.now() // 1_000_000
        return {"lastUpdateId": self.seq[symbol], "E": now, "T": now, **sides}

    def _klines(self, query: dict) -> list[list]:
        """A quiet past whose prices end where the recording begins; the play's own minutes."""
        step = {"1m": 60_000, "1h": 3_600_000}[query["interval"]]
        price = {"BTCUSDT": 61_800.0, "ETHUSDT": 2_681.0}[query["symbol"]]
        rows = []
        for start in range(int(query["startTime"]), int(query["endTime"]), step):
            own = [
                (p, n)
                for s, t, p, n in self.trades
                if s == query["symbol"] and start <= t < start + step
            ]
            wave = price * (1 + 0.002 * np.sin(start / step / 7))
            prices = [p for p, _ in own] or [wave, wave * 1.0005, wave * 0.9995, wave * 1.0001]
            volume = sum(abs(n) for _, n in own) / prices[0] or step / 1000.0
            taker = sum(max(n, 0) for _, n in own) / prices[0] or 0.5 * volume
            row = [start, prices[0], max(prices), min(prices), prices[-1], volume]
            rows.append([*map(str, row), start + step - 1, "0", 1, str(taker), "0", "0"])
            rows[-1][0] = start
        return rows


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage(FastClock(SPEED))
    await stage.start()
    yield stage
    await stage.stop()


def config_for(stage: Stage) -> Config:
    others = {name: {"enabled": False} for name in load()[0].feeds}
    overrides = {
        "symbols": [{"id": s, "class": "layer1"} for s in FILES],
        "feeds": {**others, "binance": {"enabled": True, "urls": stage.urls()}},
    }
    return load(overrides=overrides)[0]


async def until(clock: FastClock, seconds: float, ready) -> bool:
    """Whether a condition came true within engine seconds."""
    end = clock.now() + seconds * NS
    while clock.now() < end:
        if ready():
            return True
        await asyncio.sleep(0.02)
    return False


async def test_live_then_the_recording_of_it(stage: Stage, tmp_path: Path) -> None:
    clock = stage.clock
    config = config_for(stage)
    recorder = Recorder(tmp_path / "frames", started=clock.now())
    engine = Engine(config, clock=clock, db=tmp_path / "h.db", recorder=recorder)
    decided = _watch(engine)
    running = asyncio.create_task(engine.run())

    def feed():
        return engine.latest().feeds["binance"]

    assert await until(clock, 30, lambda: feed().streams["depth"].state == "synced")
    assert await until(clock, 240, lambda: _biases(engine, "swing")), "a swing bias from candles"
    assert await until(clock, 240, lambda: _biases(engine, "scalp")), "a scalp bias from the tape"
    await stage.drop()
    assert await until(clock, 20, lambda: feed().reconnects >= 1)
    assert await until(clock, 30, lambda: feed().streams["depth"].state == "synced")
    await clock.sleep(30)
    books = _compare_books(engine, stage)
    snapshot = engine.latest()
    engine.stop()
    await running

    assert max(books) < 2e-3, books
    assert feed().blind_s < 30
    assert snapshot.symbols[0].price.last == pytest.approx(61_700, rel=0.01)
    assert recorder.problems.dropped == 0
    with Reader(tmp_path / "h.db") as history:
        rows = history.composites("BTCUSDT", "scalp", 0, 2**62)
    assert len(rows) >= 2

    replay = Replay(config, tmp_path / "frames")
    again = _watch(replay)
    await replay.run()
    assert replay.tally.bad == {}
    shared = [key for key in decided if key in again]
    assert len(shared) >= len(decided) - 1
    for key in shared:
        np.testing.assert_array_equal(decided[key], again[key], err_msg=str(key))


def _watch(source: Engine | Replay) -> dict[tuple[int, str], np.ndarray]:
    """Every decision's biases as they are made."""
    seen: dict[tuple[int, str], np.ndarray] = {}
    inner = source.pipeline._on_step

    def stepped(now, decisions):
        seen.update({(d.ts, d.mode): d.parts.bias.copy() for d in decisions})
        inner(now, decisions)

    source.pipeline._on_step = stepped
    return seen


def _biases(engine: Engine, mode: str) -> bool:
    return all(s.modes[mode].bias is not None for s in engine.latest().symbols)


def _compare_books(engine: Engine, stage: Stage) -> list[float]:
    """Relative distance of our best prices from the stage's true ones."""
    out = []
    for symbol in FILES:
        book = engine.pipeline.market.listed["binance", symbol].book
        true = {
            side: [float(p) for p, q in stage.books[symbol][side].items() if float(q)]
            for side in ("b", "a")
        }
        out.append(abs(max(book.bids) / max(true["b"]) - 1))
        out.append(abs(min(book.asks) / min(true["a"]) - 1))
    return out
