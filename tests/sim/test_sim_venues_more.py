"""Simulated Hyperliquid, dYdX, Coinbase and Deribit under their real feeds and sessions.

Whole books, the true tape, states and history; the market waits for the session as in the demo.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from msgspec.structs import replace

from engine.clock import NS, SimulatedClock, wall
from engine.config import load
from engine.events import (
    Event,
    FeedStatus,
    Funding,
    Liquidation,
    Mark,
    OpenInterest,
    OptionSummary,
    Quote,
    Trade,
)
from engine.feeds.feed import Context, DecodeError, Frame, build_feed
from engine.feeds.session import Session
from engine.instruments import Instrument
from engine.market.market import Market
from engine.sim.market import SimulatedMarket
from engine.sim.market.play import Closed, Diff, Played
from engine.sim.market.shadow import Reference
from engine.sim.venues.base import ShadowVenue, venue_class

NAMES = ("hyperliquid", "dydx", "coinbase", "deribit")
THREE = ("BTCUSDT", "SOLUSDT", "PEPEUSDT")
PATIENCE_S = 9.75


class Bench:
    """A venue, the real feed's session on it, and what came of it."""

    def __init__(self, name: str, symbols: Sequence[str] = THREE, seed: int = 3) -> None:
        config = load()[0]
        self.name = name
        self.reference = Reference(SimulatedMarket(symbols, seed=seed))
        self.clock = SimulatedClock(self.reference.market.now, (PATIENCE_S, 2 * PATIENCE_S))
        venue = venue_class(name)(self.reference, self.clock, taken=self.settle)
        assert isinstance(venue, ShadowVenue)
        self.venue: Any = venue
        self.shadow = venue.shadow
        feed = replace(config.feeds[name], urls=venue.urls())
        self.feed = build_feed(name, feed, [Instrument(s, "x") for s in symbols])
        self.market = Market(symbols, "binance")
        self.frames: list[Frame] = []
        self.events: list[Event] = []
        self.refused: Counter[str] = Counter()
        patience = replace(config.connection, connect_timeout=PATIENCE_S, coalesce=0.0,
                           backoff=0.2, backoff_max=1.0)  # fmt: skip
        self.session = Session(self.feed, feed, patience, symbols, self.clock, self._frame,
                               self._status, random.Random(5))  # fmt: skip
        self._lost = 0

    def _frame(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.take(frame.data, Context(frame.recv, frame.url, frame.symbol))

    def take(self, data: bytes, context: Context) -> Sequence[Event]:
        try:
            events = self.feed.decode(data, context)
        except DecodeError as error:
            self.refused[str(error)] += 1
            return ()
        for event in events:
            self.events.append(event)
            self.market.apply(event)
        return events

    def _status(self, status: FeedStatus) -> None:
        self.market.apply(status)

    async def settle(self) -> None:
        """Until every frame has come and everybody sleeps; what a fault lost is given up."""
        quiet, since = 0, wall()
        while quiet < 30:
            await asyncio.sleep(0)
            working = self.clock.at_work > self.venue.held
            missing = self.venue.expected - self._lost > len(self.frames)
            quiet = 0 if working or (missing and wall() - since < NS // 2) else quiet + 1
        self._lost = self.venue.expected - len(self.frames)

    async def play(self, seconds: float) -> None:
        """Let so much market time pass, lost chains being healed once a second."""
        market = self.reference.market
        for _ in range(round(seconds * 10)):
            await self.clock.advance(market.now + market.tick_ns, self.settle)
            await self.venue.publish(self.reference.tick())
            await self.settle()
            if market.now % NS == 0 and "book" in self.feed.provides:
                for contract in self.shadow.contracts:
                    listed = self.market.listed.get((self.name, contract.id))
                    if listed is None or not listed.book.synced:
                        self.session.heal(contract.id)

    async def until(self, true: Callable[[], bool], seconds: float = 60.0) -> bool:
        """Whether something came true within so much market time."""
        for _ in range(round(seconds)):
            if true():
                break
            await self.play(1.0)
        return true()

    def fill(self) -> None:
        """Take in all the history the feed asks for."""
        now = self.reference.market.now
        ids = [contract.id for contract in self.shadow.contracts]
        for request in self.feed.backfill(now, ids):
            parts = urlsplit(request.url)
            body = None if request.body is None else request.body.encode()
            answer = self.venue.answer(parts.path, dict(parse_qsl(parts.query)), body)
            assert answer.status == 200, answer.body
            assert self.take(answer.body, Context(now, request.url, request.symbol))

    def kinds(self, kind: type, symbol: str = "BTCUSDT") -> list[Any]:
        return [e for e in self.events if type(e) is kind and e.symbol == symbol]

    def wrong_books(self) -> list[str]:
        """Contracts whose book is not the true one as far as the venue tells it."""
        return [c.id for n, c in enumerate(self.shadow.contracts) if not self._is_true(n)]

    def _is_true(self, place: int) -> bool:
        contract, truth = self.shadow.contracts[place], self.shadow.books[place]
        listed = self.market.listed.get((self.name, contract.id))
        if listed is None or not listed.book.synced:
            return False
        for ours, true, down in (
            (listed.book.bids, truth.bids, True),
            (listed.book.asks, truth.asks, False),
        ):
            most = 5 if self.name == "hyperliquid" else None
            mine = sorted(ours.items(), reverse=down)[:most]
            theirs = [
                (self.price(place, p), self.coins(place, n, p))
                for p, n in sorted(true.items(), reverse=down)[:most]
            ]
            if len(mine) != len(theirs) or not np.allclose(mine, theirs, rtol=1e-9, atol=0):
                return False
        return True

    def price(self, place: int, ticks: int) -> float:
        contract = self.shadow.contracts[place]
        return float(contract.price_text(ticks)) / contract.lot

    def coins(self, place: int, steps: int, ticks: int) -> float:
        contract = self.shadow.contracts[place]
        if self.name == "deribit" and contract.id == "BTCUSDT":
            return steps * 10 / self.price(place, ticks)
        return contract.base(steps)

    def missing_trades(self, since: int) -> list[int]:
        """Ids of the tape from `since` (ms) on that were not given live, each once and true."""
        out = []
        for place, contract in enumerate(self.shadow.contracts):
            live = [e for e in self.kinds(Trade, contract.id) if not e.history]
            given = {number(e.id): e for e in live}
            assert len(given) == len(live)
            tape = {fill.id: fill for fill in self.shadow.tapes[place]}
            assert given.keys() <= tape.keys()
            for fill in tape.values():
                trade = given.get(fill.id)
                if trade is None:
                    out += [fill.id] if fill.ms >= since else []
                    continue
                assert trade.price == pytest.approx(self.price(place, fill.price), 1e-9)
                size = self.coins(place, fill.size, fill.price)
                assert trade.size == pytest.approx(size, 1e-9)
                assert trade.side == ("buy" if fill.buy else "sell")
                assert trade.ts == fill.ms * 1_000_000
        return out


def number(trade_id: int | str) -> int:
    """The tape's id of a trade of any venue."""
    if isinstance(trade_id, int):
        return trade_id
    return int(trade_id[5:]) if trade_id.startswith("USDC-") else int(trade_id[8:], 16)


@asynccontextmanager
async def bench(name: str, symbols: Sequence[str] = THREE) -> AsyncIterator[Bench]:
    """A bench that has begun to hear of every contract."""
    one = Bench(name, symbols)
    await one.venue.start()
    running = asyncio.create_task(one.session.run())

    def begun() -> bool:
        if name == "coinbase":
            return all(one.kinds(Quote, c.id) for c in one.shadow.contracts)
        return not one.wrong_books()

    try:
        await one.settle()
        assert await one.until(begun, 30), (one.refused, one.wrong_books())
        yield one
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await one.venue.stop()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
async def test_books_and_tape_are_the_truth(name: str) -> None:
    async with bench(name) as b:
        began = b.reference.market.now // 1_000_000
        luck = random.Random(7)
        for _ in range(8):
            await b.play(luck.uniform(0.2, 2.5))
            if name != "coinbase":
                assert b.wrong_books() == []
        ended = b.reference.market.now // 1_000_000
        assert b.missing_trades(began) == []
        assert ended > began
        assert not b.refused
        # The thinnest of them trades once in some seconds.
        assert sum(len(b.kinds(Trade, c.id)) for c in b.shadow.contracts) >= 5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hyperliquid", "dydx", "deribit"])
async def test_states_and_history_are_the_truth(name: str) -> None:
    async with bench(name) as b:
        await b.play(21)
        b.fill()
        shadow = b.shadow
        for place, contract in enumerate(shadow.contracts):
            mark, held = b.kinds(Mark, contract.id)[-1], b.kinds(OpenInterest, contract.id)
            unit = contract.tick / contract.lot
            true = shadow.index if name == "dydx" else shadow.mark
            assert mark.mark == pytest.approx(true[place] * unit, 2e-4)
            assert mark.index == pytest.approx(shadow.index[place] * unit, 2e-4)
            live = [event for event in held if not event.history][-1]
            assert live.base == pytest.approx(shadow.interest[place], 2e-3)
            fundings = b.kinds(Funding, contract.id)
            now = [f for f in fundings if not f.history][-1]
            assert now.rate_8h == pytest.approx(shadow.rate[place], abs=2e-6)
            told = [f for f in fundings if f.history]
            # Pages may overlap; what is told twice is told alike.
            past = sorted({f.ts: f for f in told}.values(), key=lambda f: f.ts)
            assert len({(f.ts, f.rate_8h) for f in told}) == len(past)
            times = np.array([f.ts for f in past])
            assert len(past) >= 719
            assert (np.diff(times) == 3600 * NS).all()
            _, rates = b.venue.positioning.settlements(place, int(times[-1] // NS), len(times))
            assert np.allclose([f.rate_8h for f in past], rates * 8, atol=2e-9)


async def test_dydx_tells_past_open_interest() -> None:
    async with bench("dydx", ("BTCUSDT",)) as b:
        await b.play(5)
        b.fill()
        past = sorted((e for e in b.kinds(OpenInterest) if e.history), key=lambda e: e.ts)
        times = np.array([event.ts for event in past])
        truth = b.venue.positioning.interest(0, times / NS)
        assert len(past) == 720
        assert np.allclose([event.base for event in past], truth, rtol=1e-6)


async def test_deribit_options_are_the_surface() -> None:
    async with bench("deribit", ("BTCUSDT",)) as b:
        await b.play(3)
        b.fill()
        surface = b.venue.surfaces["BTC"]
        told = b.kinds(OptionSummary)
        live = [e for e in told if not e.history]
        assert live[-1].dvol == pytest.approx(surface.index, rel=1e-4)
        chain = next(e for e in live if e.skew_25d is not None)
        rows = surface.chain()
        puts, calls = (sum(r.interest for r in rows if r.call is side) for side in (False, True))
        assert chain.put_call_oi == pytest.approx(puts / calls, rel=0.02)
        slope = surface.atm(90 / 365) - surface.atm(7 / 365)
        assert chain.term_slope == pytest.approx(slope, abs=1.5)
        past = [e for e in told if e.history]
        assert len(past) > 700
        assert all(20 < e.dvol < 110 for e in past)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_seed_makes_the_same_frames(name: str) -> None:
    def frames(seed: int) -> list[Any]:
        reference = Reference(SimulatedMarket(THREE[:2], seed=seed))
        venue = venue_class(name)(reference, SimulatedClock(0))
        venue.ports.close()
        return [list(venue.frames(reference.tick())) for _ in range(40)]

    assert frames(1) == frames(1) != frames(2)


BOOKS = {
    "hyperliquid": "l2Book fast:BTC", "dydx": "v4_orderbook:BTC-USD",
    "deribit": "book.BTC-PERPETUAL.100ms",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", BOOKS)
async def test_every_fault_is_recovered_from(name: str) -> None:
    async with bench(name, ("BTCUSDT",)) as b:
        faults = b.venue.faults
        for kind in ("gap", "duplicate", "reorder", "malformed", "drop", "silent ack", "stall"):
            done = faults.done[kind]
            if kind == "drop":
                b.venue.drop()
            elif kind == "silent ack":
                faults.silent_ack()
                b.venue.drop()
            elif kind == "stall":
                faults.stall("ws")
            else:
                faults.frame(kind, BOOKS[name])
            await b.play(6)
            faults.resume()
            assert faults.done[kind] > done, kind
            assert await b.until(lambda: not b.wrong_books(), 120), kind
        assert b.refused.total() >= 1


@pytest.mark.parametrize("name", ["dydx", "coinbase"])
async def test_a_gap_in_a_connection_is_noticed(name: str) -> None:
    """The numbers of a connection count whatever its streams carry."""
    async with bench(name, ("BTCUSDT",)) as b:
        stream = "v4_orderbook:BTC-USD" if name == "dydx" else "heartbeats"
        b.venue.faults.frame("gap", stream)
        await b.play(4)
        assert b.venue.faults.done["gap"] == 1
        if name == "coinbase":
            lost = [e for e in b.events if type(e) is FeedStatus]
            assert [e.note for e in lost] == ["1 messages of the connection are missing"]
        else:
            assert await b.until(lambda: not b.wrong_books(), 20)
            assert b.market.listed["dydx", "BTCUSDT"].book.seq > 1


@pytest.mark.parametrize("name", ["dydx", "deribit"])
async def test_liquidations_are_tagged_trades(name: str) -> None:
    async with bench(name, ("BTCUSDT",)) as b:
        prints: list[Any] = []
        ms = b.reference.market.now // 1_000_000
        prints += b.shadow._execute(0, True, 30_000, ms - 2)
        fills = b.shadow._execute(0, False, 90_000, ms - 1)
        size = sum(fill.size for fill in fills)
        closed = Closed(fills[-1].ms, True, size, fills[-1].price, float(fills[-1].price))
        seq = b.shadow.books[0].seq
        played = Played([*prints, *fills], [], Diff(0, seq, seq, {}, {}), [closed])
        (_, data), *_ = b.venue._turn(0, played)
        data = data if name == "deribit" else data.replace(b'"message_id":0', b'"message_id":1')
        events = b.take(data, Context(recv=b.reference.market.now, url="x"))
        liquidated = [e for e in events if type(e) is Liquidation]
        assert [e.position for e in liquidated] == ["long"] * len(fills)
        true = sum(b.coins(0, fill.size, fill.price) for fill in fills)
        assert sum(e.size for e in liquidated) == pytest.approx(true, 1e-9)


async def test_an_unknown_coin_ends_the_connection_of_hyperliquid() -> None:
    async with bench("hyperliquid", ("BTCUSDT",)) as b:
        for client in list(b.venue.clients):
            text = json.dumps({"method": "subscribe", "subscription": {"type": "bbo", "coin": "X"}})
            assert b.venue.command(client, text.encode()) == []
            assert client.socket.transport.is_closing()
        assert await b.until(lambda: len(b.venue.clients) == 2, 20)


async def test_deribit_leaves_unknown_channels_out_and_repeats_no_book() -> None:
    async with bench("deribit", ("BTCUSDT",)) as b:
        client, channel = b.venue.clients[0], "book.BTC-PERPETUAL.100ms"
        for asked, frames in (([channel, "book.X.100ms"], 1), ([channel], 1)):
            call = {"id": 7, "method": "public/subscribe", "params": {"channels": asked}}
            replies = b.venue.command(client, json.dumps(call).encode())
            assert len(replies) == frames
            assert json.loads(replies[0])["result"] == [channel]
        client.streams.discard(channel)
        assert len(b.venue.command(client, json.dumps(call).encode())) == 2


@pytest.mark.slow
async def test_who_answers_no_test_request_is_cut_by_deribit() -> None:
    async with bench("deribit", ("BTCUSDT",)) as b:
        client = b.venue.clients[0]
        await b.play(40)
        assert not client.socket.transport.is_closing()
        b.venue._alive = b.venue._methods["public/test"] = lambda client, params: {}
        await b.play(30)
        assert client.socket.transport.is_closing()
