"""Faults any simulated venue can have, and what real sessions and decoders make of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from engine.clock import NS
from engine.config import load
from engine.events import BookSnapshot, Quote, Trade
from engine.feeds.feed import Context
from engine.feeds.hyperliquid.decode import Decoder
from engine.jobs.offline import Offline
from engine.runtime.health import feed_health
from engine.sim.venues.faults import Faults

TWO = ("BTCUSDT", "ETHUSDT")


class Bench:
    """One feed on its venue without sockets, and every trade that was counted."""

    def __init__(self, feed: str) -> None:
        feeds = {n: {"enabled": n == feed, "backfill": False} for n in load()[0].feeds}
        symbols = [{"id": symbol, "class": "layer1"} for symbol in TWO]
        config = load(overrides={"feeds": feeds, "symbols": symbols})[0]
        self.name, self.run = feed, Offline(config, warm_minutes=0)
        self.venue = self.run.network.venues[feed]
        self.market = self.run.engine.pipeline.market
        self.given: list[Any] = []
        self._apply = self.market.apply
        self.market.apply = self._note  # type: ignore[method-assign]

    def _note(self, event: Any) -> None:
        self._apply(event)
        if type(event) is Trade and event.symbol in TWO and not event.history:
            self.given.append(event)

    async def play(self, seconds: float) -> None:
        await self.run.clock.sleep(seconds)

    async def until(self, true: Callable[[], bool], seconds: float) -> bool:
        """Whether something came true within so much market time."""
        end = self.run.clock.now() + seconds * NS
        while not true() and self.run.clock.now() < end:
            await self.play(0.5)
        return true()

    def ready(self) -> bool:
        health = feed_health(self.run.engine.pipeline, self.name, self.run.clock.now())
        return health.state == "ready"

    def heard(self) -> bool:
        """Whether no client is deaf and all are subscribed to something."""
        clients = self.venue.clients
        return bool(clients) and all(c.streams and not c.silent for c in clients)


@asynccontextmanager
async def bench(feed: str) -> AsyncIterator[Bench]:
    one = Bench(feed)
    running = asyncio.create_task(one.run.run())
    try:
        await one.run.clock.used.wait()
        assert await one.until(one.ready, 60)
        yield one
    finally:
        one.run.stop()
        await running


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["bitget", "gate", "hyperliquid"])
async def test_a_venue_that_answers_pings_and_nothing_else_is_left(feed: str) -> None:
    async with bench(feed) as b:
        b.venue.faults.silent_ack()
        b.venue.drop()
        assert await b.until(lambda: b.venue.faults.done["silent ack"] == 1, 20)
        silent = [client for client in b.venue.clients if client.silent]
        assert len(silent) == 1
        assert await b.until(b.heard, 100)
        assert silent[0] not in b.venue.clients
        assert await b.until(b.ready, 60)


@pytest.mark.slow
async def test_a_half_open_line_is_replaced_without_sockets_too() -> None:
    async with bench("okx") as b:
        line = b.venue.clients[0]
        b.venue.half_open("public")
        assert line.frozen
        assert await b.until(lambda: line not in b.venue.clients, 60)
        assert await b.until(b.ready, 60)


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["binance", "bybit", "coinbase", "deribit"])
async def test_the_past_told_again_is_no_new_flow(feed: str) -> None:
    async with bench(feed) as b:
        await b.play(5.0)
        seen = {(trade.symbol, trade.id) for trade in b.given}
        b.given.clear()
        b.venue.faults.replay()
        b.venue.drop()
        assert await b.until(lambda: b.venue.faults.done["replay"] == 1, 20)
        await b.play(5.0)
        again = [trade for trade in b.given if (trade.symbol, trade.id) in seen]
        assert again
        for symbol in TWO:
            ids = {i for s, i in seen if s == symbol} | {
                trade.id for trade in b.given if trade.symbol == symbol
            }
            assert b.market.listed[feed, symbol].prints == len(ids)
        assert b.market.drops["repeated trade"] >= len(again)


async def test_one_stream_alone_may_stall() -> None:
    async with bench("bybit") as b:
        listed = b.market.listed["bybit", "BTCUSDT"]
        stream = "orderbook.200.BTCUSDT"
        b.venue.faults.stall(stream)
        before, marks = listed.book.recv, listed.counts["mark"]
        await b.play(3.0)
        assert listed.book.recv == before
        assert listed.counts["mark"] > marks
        b.venue.faults.resume(stream)
        assert await b.until(lambda: listed.book.synced and listed.book.recv > before, 10)
        assert listed.book.gaps == 1


async def test_answers_come_late_or_in_half() -> None:
    async with bench("deribit") as b:
        path = "/api/v2/public/get_instruments"
        query = {"currency": "any", "kind": "future"}
        b.venue.faults.slow_snapshot(3.0)
        began = b.run.clock.now()
        answer = await b.venue.asked(path, query, None)
        assert b.run.clock.now() - began >= 3 * NS
        whole = msgspec.json.decode(answer.body)
        assert whole["result"]
        b.venue.faults.frame("malformed", path)
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode((await b.venue.asked(path, query, None)).body)
        assert msgspec.json.decode((await b.venue.asked(path, query, None)).body)["result"]
        assert b.venue.faults.done["malformed"] == 1


def test_what_was_held_back_goes_with_its_connection() -> None:
    faults = Faults()
    faults.frame("reorder", "a")
    assert list(faults.spoil([("a", b"1"), ("b", b"2")])) == [("b", b"2")]
    faults.leave({"a", "b"})
    assert list(faults.spoil([("a", b"3")])) == [("a", b"3")]
    assert list(faults.spoilt) == [("reorder", "a"), ("lost", "a")]


def test_a_fault_that_does_not_come_is_withdrawn() -> None:
    faults = Faults()
    faults.frame("gap", "a")
    assert faults.withdraw("a")
    assert not faults.withdraw("a")
    assert list(faults.spoil([("a", b"1")])) == [("a", b"1")]


class TestHyperliquidsClockSetBack:
    """Its books and quotes carry a time for a number: an older one is late, or begins anew."""

    @staticmethod
    def book(decoder: Decoder, ms: int, at_s: float, price: int, levels: int) -> Any:
        sides = [
            [{"px": str(price - n), "sz": "1", "n": 1} for n in range(1, levels + 1)],
            [{"px": str(price + n), "sz": "1", "n": 1} for n in range(1, levels + 1)],
        ]
        data = {"coin": "BTC", "time": ms, "levels": sides}
        frame = msgspec.json.encode({"channel": "l2Book", "data": data})
        return decoder.decode(frame, Context(int(at_s * NS)))

    @staticmethod
    def quote(decoder: Decoder, ms: int, at_s: float) -> Quote:
        best = [{"px": "99", "sz": "1", "n": 1}, {"px": "101", "sz": "1", "n": 1}]
        frame = msgspec.json.encode(
            {"channel": "bbo", "data": {"coin": "BTC", "time": ms, "bbo": best}}
        )
        (found,) = decoder.decode(frame, Context(int(at_s * NS)))
        assert isinstance(found, Quote)
        return found

    def test_books_begin_anew_after_ten_seconds_of_older_times(self) -> None:
        decoder = Decoder()
        assert self.book(decoder, 100_000, 100.0, 50, 5)
        assert self.book(decoder, 40_000, 100.5, 60, 5) == ()
        assert self.book(decoder, 44_000, 104.5, 60, 20) == ()
        assert self.book(decoder, 50_400, 110.4, 60, 5) == ()
        (event,) = self.book(decoder, 50_600, 110.6, 60, 5)
        assert isinstance(event, BookSnapshot)
        assert event.seq is None
        assert max(event.bids)[0] == 59
        (event,) = self.book(decoder, 51_000, 111.0, 60, 5)
        assert event.seq == 51_000

    def test_a_late_book_is_left_out(self) -> None:
        decoder = Decoder()
        assert self.book(decoder, 100_000, 100.0, 50, 5)
        assert self.book(decoder, 99_500, 100.5, 60, 5) == ()
        assert self.book(decoder, 101_000, 101.0, 50, 5)
        assert self.book(decoder, 100_500, 111.5, 60, 5) == ()

    def test_quotes_too(self) -> None:
        decoder = Decoder()
        assert self.quote(decoder, 100_000, 100.0).seq == 100_000
        assert self.quote(decoder, 40_000, 100.5).seq == 40_000
        assert self.quote(decoder, 50_600, 110.6).seq is None
        assert self.quote(decoder, 51_000, 111.0).seq == 51_000
