"""The documented examples of Bitget, and its books through a real socket into the market's book."""

import asyncio
import json
import random
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from engine.config import load
from engine.events import BookDelta, BookSnapshot, Trade
from engine.feeds.bitget import build
from engine.feeds.feed import Context, Frame
from engine.feeds.session import Session
from engine.instruments import Instrument
from engine.market.book import Book

EXAMPLES = Path(__file__).parents[2].parent / "shared" / "wire" / "docs_examples" / "Bitget"
CONFIG = load()[0].feeds["bitget"]
REST = "https://api.bitget.com"


def feed(**changes: object):
    instruments = [Instrument(id="BTCUSDT", group="x")]
    return build(msgspec.structs.replace(CONFIG, **changes), instruments)


@pytest.mark.wire
@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no recordings beside the checkout")
class TestDocumentation:
    def test_the_catalogue_and_what_it_says_of_funding(self):
        made = feed()
        text = (EXAMPLES / "Endpoints/Unified/ExchangeData/GetFuturesSymbols.txt").read_text()
        assert made.listed(text[text.index("\n{") :].encode()) == {"BTCUSDT"}
        path = "Endpoints/Unified/ExchangeData/GetFundingRateHistory.txt"
        text = (EXAMPLES / path).read_text()
        url = f"{REST}/api/v3/market/history-fund-rate"
        events = made.decode(text[text.index("\n{") :], Context(recv=None, url=url))
        assert [(e.interval_h, e.rate_8h) for e in events] == [(8.0, 0.0001)] * 2


class Venue:
    """Acks per topic, a whole book with a subscription, then deltas; `skip` loses one of them."""

    def __init__(self) -> None:
        self.calls: list[dict] = []
        self.pings = 0
        self.skip = self.still = False
        self.seq = 2**60
        self.book: dict[str, dict[float, float]] = {"a": {}, "b": {}}
        self.rng = random.Random(5)

    def screen(self, socket, request):
        """The catalogue at the same port."""
        if not request.path.startswith("/api/v3/market/instruments?"):
            return None
        row = {"symbol": "BTCUSDT", "quoteCoin": "USDT", "type": "perpetual", "isRwa": "NO"}
        row |= {"symbolType": "crypto", "status": "online", "fundInterval": "8"}
        return socket.respond(200, json.dumps({"code": "00000", "data": [row]}))

    async def talk(self, socket) -> None:
        ticking = asyncio.create_task(self._tick(socket))
        try:
            async for text in socket:
                if text == "ping":
                    self.pings += 1
                    await socket.send("pong")
                    continue
                call = json.loads(text)
                self.calls.append(call)
                for arg in call["args"]:
                    await socket.send(json.dumps({"event": call["op"], "arg": arg}))
                    if call["op"] == "subscribe" and arg["topic"] == "books":
                        await socket.send(self._push("snapshot", self.book, 0))
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await ticking

    def _push(self, action: str, book: dict, prev: int) -> str:
        sides = {k: [[repr(p), repr(s)] for p, s in book[k].items()] for k in ("a", "b")}
        row = {**sides, "seq": self.seq, "pseq": prev, "ts": "1746698732562", "maxdepth": "200"}
        arg = {"instType": "usdt-futures", "symbol": "BTCUSDT", "topic": "books"}
        return json.dumps({"data": [row], "arg": arg, "action": action, "ts": 1746698732563})

    async def _tick(self, socket) -> None:
        while True:
            await asyncio.sleep(0.002)
            if self.still:
                continue
            prev, self.seq = self.seq, self.seq + self.rng.randint(1, 9)
            low, high = self.rng.randint(1, 50), self.rng.randint(51, 99)
            change = {"b": {low / 10: self.rng.choice((0.0, 1.5))}, "a": {high / 10: 2.0}}
            for side, levels in change.items():
                for price, size in levels.items():
                    self.book[side][price] = size
                    if not size:
                        del self.book[side][price]
            if self.skip:
                self.skip = False
            elif any(call["op"] == "subscribe" for call in self.calls):
                await socket.send(self._push("update", change, prev))


async def until(condition, seconds: float = 8.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.slow
async def test_a_gap_heals_by_a_new_subscription(clock, patience):
    venue, book, frames = Venue(), Book(), []
    async with serve(
        venue.talk, "127.0.0.1", 0, ping_interval=None, process_request=venue.screen
    ) as server:
        port = server.sockets[0].getsockname()[1]
        urls = {"public": f"ws://127.0.0.1:{port}", "rest": f"http://127.0.0.1:{port}"}
        made = feed(urls=urls, streams=["depth"], every={})

        def take(frame: Frame) -> None:
            frames.append(frame.data)
            if frame.connection != "books":
                return
            for event in made.decode(frame.data, Context(recv=frame.recv, url=frame.url)):
                book.snapshot(event) if isinstance(event, BookSnapshot) else book.delta(event)

        config = msgspec.structs.replace(CONFIG, urls=urls)
        session = Session(
            made, config, patience, ["BTCUSDT"], clock, take, lambda s: None, random.Random(1)
        )
        task = asyncio.create_task(session.run())
        await until(lambda: book.applied > 50)
        assert book.gaps == 0
        venue.skip = True
        await until(lambda: book.gaps == 1)
        assert not book.synced
        await clock.sleep(20)
        session.heal("BTCUSDT")
        await until(lambda: book.synced and book.resyncs)
        venue.still = True
        await until(lambda: book.seq == venue.seq)
        assert (book.bids, book.asks) == (venue.book["b"], venue.book["a"])
        await until(lambda: venue.pings > 0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert [call["op"] for call in venue.calls] == ["subscribe", "unsubscribe", "subscribe"]
    assert any(data in ("pong", b"pong") for data in frames)


def test_books_and_trades_of_an_hour():
    """A chain with leaps of seq as the venue makes them, exact beyond 2**53."""
    venue, made, book = Venue(), feed(), Book()
    context = Context(recv=1)
    for n in range(3000):
        prev, venue.seq = venue.seq, venue.seq + venue.rng.randint(1, 99)
        text = venue._push("update" if n else "snapshot", {"a": {6.0: n + 1.0}, "b": {}}, prev)
        for event in made.decode(text, context):
            assert isinstance(event, BookDelta if n else BookSnapshot)
            book.delta(event) if n else book.snapshot(event)
    assert (book.synced, book.gaps, book.applied, book.seq) == (True, 0, 2999, venue.seq)
    rows = [{"i": str(n), "p": "2", "v": "1", "S": "buy", "T": "5"} for n in range(100)]
    arg = {"instType": "usdt-futures", "symbol": "BTCUSDT", "topic": "publicTrade"}
    for action, history in (("snapshot", True), ("update", False)):
        text = json.dumps({"data": rows, "arg": arg, "action": action, "ts": 6})
        events = made.decode(text, context)
        assert [e.id for e in events if isinstance(e, Trade)] == list(range(100))
        assert all(event.history is history for event in events)
