"""The documented examples of Gate, and its books through a real socket into the market's book."""

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
from engine.events import BookSnapshot
from engine.feeds.feed import Context, DecodeError, Frame
from engine.feeds.gate import build
from engine.feeds.session import Session
from engine.instruments import Instrument
from engine.market.book import Book

EXAMPLES = Path(__file__).parents[2].parent / "shared" / "wire" / "docs_examples" / "GateIo"
CONFIG = load()[0].feeds["gate"]
REST = "https://api.gateio.ws"
CONTRACT = {"name": "BTC_USDT", "quanto_multiplier": "0.0001", "type": "direct"}
CONTRACT |= {"status": "trading", "contract_type": "", "in_delisting": False}
CONTRACT |= {"funding_interval": 28800, "funding_next_apply": 1610035200}
CATALOGUE = json.dumps([CONTRACT, {**CONTRACT, "name": "ETH_USDT", "quanto_multiplier": "0.01"}])


def feed(listed: bool = True, **changes: object):
    made = build(msgspec.structs.replace(CONFIG, **changes), [Instrument("BTCUSDT", "x")])
    if listed:
        made.listed(CATALOGUE.encode())
    return made


@pytest.mark.wire
@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="no recordings beside the checkout")
class TestDocumentation:
    def test_a_documented_trade_that_is_none_of_the_venues_own(self):
        path = EXAMPLES / "Subscriptions" / "Futures" / "SubscribeToTradeUpdates.txt"
        example = path.read_text().partition("\n=")[2].replace('"is_internal": true', '"x": 1')
        (trade,) = feed().decode(example, Context(recv=None))
        assert (trade.side, trade.size, trade.price) == ("sell", pytest.approx(1.085), 96.4)
        assert trade.ts == 1545136464123 * 10**6

    def test_the_catalogue_is_learned(self):
        path = EXAMPLES / "Endpoints" / "PerpetualFutures" / "ExchangeData" / "GetContracts.txt"
        assert feed().listed(path.read_text().split("\n", 3)[3].encode()) == {"LABUSDT"}


class Venue:
    """Whole books with a subscription, then deltas, some of them empty; `skip` loses one."""

    def __init__(self) -> None:
        self.calls: list[dict] = []
        self.headers: list[str | None] = []
        self.skip = self.still = False
        self.seq = 2_517_661_101
        self.book: dict[str, dict[float, int]] = {"a": {}, "b": {}}
        self.rng = random.Random(5)

    def screen(self, socket, request):
        """The catalogue at the same port; every request has to ask for decimal sizes."""
        self.headers.append(request.headers.get("X-Gate-Size-Decimal"))
        if request.path == "/futures/usdt/contracts":
            return socket.respond(200, CATALOGUE)
        return None

    async def talk(self, socket) -> None:
        ticking = asyncio.create_task(self._tick(socket))
        try:
            async for text in socket:
                call = json.loads(text)
                if call["channel"] == "futures.ping":
                    await socket.send('{"time":1,"channel":"futures.pong","event":""}')
                    continue
                self.calls.append(call)
                await socket.send(json.dumps({**call, "result": {"status": "success"}}))
                if call["event"] == "subscribe":
                    await socket.send(self.push(self.seq - 9, self.book, full=True))
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await ticking

    def push(self, first: int, book: dict, **more: bool) -> str:
        sides = {k: [[repr(p), str(s)] for p, s in book[k].items()] for k in "ab" if book[k]}
        row = {"t": 1615366381417, "s": "ob.BTC_USDT.400", "U": first, "u": self.seq}
        frame = {"channel": "futures.obu", "event": "update", "time": 1, "time_ms": 1615366381123}
        return json.dumps({**frame, "result": {**row, **sides, **more}})

    def change(self) -> tuple[int, dict[str, dict[float, int]]]:
        """The next change and its first id."""
        first, self.seq = self.seq + 1, self.seq + self.rng.randint(1, 9)
        change: dict[str, dict[float, int]] = {"a": {}, "b": {}}
        if self.rng.random() < 0.8:
            price = self.rng.randint(1, 99)
            change["b" if price < 50 else "a"] = {price / 10: self.rng.choice((0, 15_000))}
        for side, levels in change.items():
            self.book[side] = {p: s for p, s in {**self.book[side], **levels}.items() if s}
        return first, change

    async def _tick(self, socket) -> None:
        while True:
            await asyncio.sleep(0.002)
            if self.still or not self.calls:
                continue
            first, change = self.change()
            if self.skip:
                self.skip = False
            else:
                await socket.send(self.push(first, change))

    def whole(self) -> tuple[dict[float, float], dict[float, float]]:
        """The book in coins."""
        bids, asks = ({p: s * 0.0001 for p, s in self.book[k].items()} for k in "ba")
        return bids, asks


async def until(condition, seconds: float = 8.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.slow
async def test_a_gap_heals_by_a_new_subscription(clock, patience):
    venue, book, drops = Venue(), Book(), []
    async with serve(
        venue.talk, "127.0.0.1", 0, ping_interval=None, process_request=venue.screen
    ) as server:
        port = server.sockets[0].getsockname()[1]
        urls = {"usdt": f"ws://127.0.0.1:{port}", "rest": f"http://127.0.0.1:{port}"}
        made = feed(listed=False, urls=urls, streams=["depth"], every={})

        def take(frame: Frame) -> None:
            try:
                events = made.decode(frame.data, Context(recv=frame.recv, url=frame.url))
            except DecodeError as error:
                drops.append(error.args[0])
                return
            for event in events:
                book.snapshot(event) if isinstance(event, BookSnapshot) else book.delta(event)

        config = msgspec.structs.replace(CONFIG, urls=urls)
        session = Session(
            made, config, patience, ["BTCUSDT"], clock, take, lambda s: None, random.Random(1)
        )
        task = asyncio.create_task(session.run())

        def healed() -> bool:
            """A book that came before its contract's size is asked for again as well."""
            if not book.synced:
                session.heal("BTCUSDT")
            return book.synced and book.applied > before + 50

        before = 0
        await until(healed)
        venue.skip, gaps = True, book.gaps
        await until(lambda: book.gaps > gaps)
        assert not book.synced
        before = book.applied
        await until(healed)
        venue.still = True
        await until(lambda: book.seq == venue.seq)
        assert (book.bids, book.asks) == venue.whole()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert set(venue.headers) == {"1"}
    assert set(drops) <= {"contract size unknown"}
    assert [call["event"] for call in venue.calls[-2:]] == ["unsubscribe", "subscribe"]
    assert venue.calls[0]["payload"] == ["ob.BTC_USDT.400"]


def test_a_long_chain_with_empty_deltas_stays_whole():
    venue, made, book = Venue(), feed(), Book()
    context = Context(recv=1)
    (whole,) = made.decode(venue.push(venue.seq - 9, venue.book, full=True), context)
    book.snapshot(whole)
    for _ in range(3000):
        first, change = venue.change()
        (delta,) = made.decode(venue.push(first, change), context)
        book.delta(delta)
    assert (book.synced, book.gaps, book.applied, book.seq) == (True, 0, 3000, venue.seq)
    assert (book.bids, book.asks) == venue.whole()
    assert max(book.bids) < min(book.asks)
