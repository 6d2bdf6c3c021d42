"""Simulated exchanges under the real feeds: whole books, the true tape, history, faults.

The session, its sockets and its decoder are the real ones; the market waits for them as in the
demo.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

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
    Quote,
    Ratio,
    Trade,
)
from engine.feeds.feed import Context, DecodeError, Frame, build_feed
from engine.feeds.session import Session
from engine.instruments import Instrument
from engine.market.market import Market
from engine.sim.market import SimulatedMarket
from engine.sim.market.play import Closed
from engine.sim.market.shadow import Contract, Reference
from engine.sim.venues.base import ShadowVenue, venue_class
from engine.sim.venues.bybit import trade_id

NAMES = ("bybit", "okx", "bitget", "gate")
FOUR = ("BTCUSDT", "ETHUSDT", "PEPEUSDT", "ARBUSDT")
PATIENCE_S = 9.75
BOOKS = {
    "bybit": "orderbook.200.BTCUSDT", "okx": "books:BTC-USDT-SWAP",
    "bitget": "books:BTCUSDT", "gate": "futures.obu:ob.BTC_USDT.400",
}  # fmt: skip


class Bench:
    """A venue, the real feed's session on it, and what came of it."""

    def __init__(self, name: str, symbols: Sequence[str] = FOUR, seed: int = 3) -> None:
        config = load()[0]
        self.name = name
        self.reference = Reference(SimulatedMarket(symbols, seed=seed))
        self.clock = SimulatedClock(self.reference.market.now, (PATIENCE_S, 2 * PATIENCE_S))
        venue = venue_class(name)(self.reference, self.clock, taken=self.taken)
        assert isinstance(venue, ShadowVenue)
        self.venue, self.shadow = venue, venue.shadow
        feed = replace(config.feeds[name], urls=venue.urls())
        self.feed = build_feed(name, feed, [Instrument(s, "x") for s in symbols])
        self.market = Market(symbols, "binance")
        self.frames: list[Frame] = []
        self.events: list[Event] = []
        self.states: list[FeedStatus] = []
        self.refused: Counter[str] = Counter()
        patience = replace(config.connection, connect_timeout=PATIENCE_S, coalesce=0.0,
                           backoff=0.2, backoff_max=1.0)  # fmt: skip
        self.session = Session(self.feed, feed, patience, symbols, self.clock, self._frame,
                               self._status, random.Random(5))  # fmt: skip
        # As of each whole second: mark, index, rate, interest of every contract, next funding.
        self.truth: dict[int, tuple[Any, ...]] = {}
        self._lost = 0
        self._note()

    def _note(self) -> None:
        s = self.shadow
        now = self.reference.market.now // NS
        self.truth[now] = (s.mark, s.index, s.rate, s.interest, s.next)

    def _frame(self, frame: Frame) -> None:
        self.frames.append(frame)
        try:
            events = self.feed.decode(frame.data, Context(frame.recv, frame.url, frame.symbol))
        except DecodeError as error:
            self.refused[str(error)] += 1
            return
        for event in events:
            self.events.append(event)
            self.market.apply(event)

    def _status(self, status: FeedStatus) -> None:
        self.states.append(status)
        self.market.apply(status)

    def _missing(self) -> int:
        return self.venue.expected - self._lost - len(self.frames)

    async def taken(self) -> None:
        """Until the frames under way have come; those that a fault lost are given up."""
        since = wall()
        while self._missing() > 0:
            await asyncio.sleep(0)
            if wall() - since > NS // 2:
                break
        self._lost += max(self._missing(), 0)

    async def settle(self) -> None:
        """Until every frame has come and everybody sleeps."""
        quiet = 0
        while quiet < 25:
            await asyncio.sleep(0)
            quiet = 0 if self.clock.at_work > self.venue.held else quiet + 1
            if quiet and self._missing() > 0:
                await self.taken()

    async def play(self, seconds: float) -> None:
        """Let so much market time pass, lost chains being healed once a second."""
        market = self.reference.market
        for _ in range(round(seconds * 10)):
            await self.clock.advance(market.now + market.tick_ns, self.settle)
            await self.venue.publish(self.reference.tick())
            await self.settle()
            if market.now % NS == 0:
                self._note()
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

    def kinds(self, kind: type, symbol: str = "BTCUSDT") -> list[Any]:
        return [e for e in self.events if type(e) is kind and e.symbol == symbol]

    def wrong_books(self) -> list[str]:
        """Contracts whose book is not the true one, or is not known to be whole."""
        out = []
        for contract, truth in zip(self.shadow.contracts, self.shadow.books, strict=True):
            book = self.market.listed[self.name, contract.id].book
            same = book.synced and book.seq == truth.seq
            for ours, true in ((book.bids, truth.bids), (book.asks, truth.asks)):
                theirs = {price(contract, p): base(contract, n) for p, n in true.items()}
                mine = {float(f"{p:.12g}"): n for p, n in ours.items()}
                same = same and mine.keys() == theirs.keys()
                same = same and all(mine[p] == pytest.approx(n, 1e-9) for p, n in theirs.items())
            if not same:
                out.append(contract.id)
        return out

    def missing_trades(self, since: int) -> list[int]:
        """Ids of the tape from `since` (ms) on that were not given; raises for a wrong one."""
        out = []
        for place, contract in enumerate(self.shadow.contracts):
            given = {e.id: e for e in self.kinds(Trade, contract.id)}
            tape = {fill.id: fill for fill in self.shadow.tapes[place]}
            ids = {trade_id(place, f) if self.name == "bybit" else f.id: f for f in tape.values()}
            assert given.keys() <= ids.keys()
            for number, fill in ids.items():
                trade = given.get(number)
                if trade is None:
                    out += [number] if fill.ms >= since else []
                    continue
                assert trade.price == pytest.approx(price(contract, fill.price), 1e-9)
                assert trade.size == pytest.approx(base(contract, fill.size), 1e-9)
                assert trade.side == ("buy" if fill.buy else "sell")
                assert trade.ts == fill.ms * 1_000_000
        return out


def price(contract: Contract, ticks: int) -> float:
    """Per coin."""
    return float(f"{float(contract.price_text(ticks)) / contract.lot:.12g}")


def base(contract: Contract, steps: int) -> float:
    """Coins."""
    return float(contract.size_text(steps)) * contract.coins * contract.lot


@asynccontextmanager
async def bench(name: str, symbols: Sequence[str] = FOUR) -> AsyncIterator[Bench]:
    """A bench whose books have all come."""
    one = Bench(name, symbols)
    await one.venue.start()
    running = asyncio.create_task(one.session.run())
    try:
        await one.settle()
        whole = lambda: len(one.market.listed) == len(symbols) and not one.wrong_books()  # noqa: E731
        assert await one.until(whole, 20), (one.refused, one.states[-5:])
        yield one
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await one.venue.stop()


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.slow
async def test_books_tape_and_states_are_the_truth(name: str) -> None:
    async with bench(name) as b:
        began = b.reference.market.now // 1_000_000
        luck = random.Random(7)
        for _ in range(12):
            await b.play(luck.uniform(0.2, 3.0))
            assert b.wrong_books() == []
        assert b.missing_trades(began) == []
        assert not b.refused
        assert sum(len(b.kinds(Trade, s)) for s in FOUR) > 40
        assert all(len(b.kinds(Quote, s)) > 5 for s in FOUR)
        for place, contract in enumerate(b.shadow.contracts):
            agrees(b, place, contract)


def agrees(b: Bench, place: int, contract: Contract) -> None:
    """The newest mark, funding and open interest are those of the venue's market."""
    per_coin = contract.tick / contract.lot
    mark, interest = newest(b, Mark, contract.id), newest(b, OpenInterest, contract.id)
    marks, indices, _, _, _ = b.truth[mark.ts // NS]
    digits = 10.0 ** -(contract.decimals + 1) / contract.lot
    assert mark.mark == pytest.approx(marks[place] * per_coin, abs=digits)
    assert mark.index == pytest.approx(indices[place] * per_coin, abs=digits)
    assert interest.base == pytest.approx(b.truth[interest.ts // NS][3][place], 1e-6)
    assert interest.usd == pytest.approx(interest.base * mark.mark, 2e-3)
    funding = newest(b, Funding, contract.id)
    _, _, rates, _, following = b.truth[funding.ts // NS]
    assert funding.rate_8h == pytest.approx(rates[place], abs=1e-8)
    assert funding.interval_h == b.shadow.character.hours
    assert funding.next_ts == following * NS
    quote = b.kinds(Quote, contract.id)[-1]
    reference = b.reference.market
    lot = 1000 if contract.id == "PEPEUSDT" else 1
    at = reference.place(contract.id)
    mid = reference.mids[at] * reference.listings[at].tick / lot
    assert (quote.bid + quote.ask) / 2 == pytest.approx(mid, 3e-3)


def newest(b: Bench, kind: type, symbol: str) -> Any:
    """The latest that is no history and of a second whose truth is known."""
    live = [e for e in b.kinds(kind, symbol) if not e.history and e.ts // NS in b.truth]
    return max(live, key=lambda e: e.ts)


@pytest.mark.slow
async def test_history_is_the_truth(name: str) -> None:
    """Funding, ratios and open interest of the past, as far as the venue has them."""
    async with bench(name, FOUR[:2]) as b:
        b.events.clear()
        asked = b.feed.backfill(b.clock.now(), FOUR[:2])
        fetching = asyncio.create_task(b.session.fetch(asked))
        assert await b.until(fetching.done, 150)
        assert fetching.result() == len(asked) > 3
        assert not b.refused
        for place, symbol in enumerate(FOUR[:2]):
            past = [f for f in b.kinds(Funding, symbol) if f.history]
            times = np.array([f.ts // NS for f in past], dtype=float)
            assert len(past) >= 90
            known = dict(zip(*b.venue.positioning.settlements(place, int(times.max()), 200),
                             strict=True))  # fmt: skip
            assert [f.rate for f in past] == pytest.approx([known[t] for t in times], abs=1e-8)
            ratios = [r for r in b.kinds(Ratio, symbol) if r.history]
            for measure in {r.measure for r in ratios} - {"taker"}:
                rows = [r for r in ratios if r.measure == measure]
                when = np.array([r.ts // NS for r in rows], dtype=float)
                true = b.venue.positioning.ratio(measure, place, when)
                assert [r.value for r in rows] == pytest.approx(true.tolist(), 2e-3)
            assert len({(r.measure, r.ts) for r in ratios}) >= 25
            held = [o for o in b.kinds(OpenInterest, symbol) if o.history]
            when = np.array([o.ts // NS for o in held], dtype=float)
            true = b.venue.positioning.interest(place, when) if held else np.array([])
            assert [o.base for o in held] == pytest.approx(true.tolist(), 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gap", "duplicate", "reorder", "malformed"])
async def test_a_book_gone_wrong_is_healed(name: str, kind: Any) -> None:
    async with bench(name, FOUR[:2]) as b:
        await b.play(6.0)
        for _ in range(2):
            b.venue.faults.frame(kind, BOOKS[name])
            await b.play(3.0)
            assert await b.until(lambda: not b.wrong_books(), 60)
        assert b.venue.faults.done[kind] == 2
        others = b.market.listed[name, "ETHUSDT"].book.gaps
        assert others == 0


@pytest.mark.slow
async def test_dropped_and_refused_connections_come_back(name: str) -> None:
    async with bench(name, FOUR[:2]) as b:
        for status in (429, 503):
            b.venue.faults.refuse("ws", status, 1.0 if status == 429 else None)
            b.venue.drop()
            await b.play(3.0)
            assert await b.until(lambda: not b.wrong_books(), 60)
        assert b.venue.faults.done["429"] == 1
        b.missing_trades(0)


@pytest.mark.slow
async def test_liquidations_are_of_the_position(name: str) -> None:
    """A forced close at the reference is one here too, and the right way round."""
    async with bench(name, FOUR[:2]) as b:
        b.shadow.character = replace(b.shadow.character, share=1.0)
        book = b.reference.market.books[0]
        forced = b.reference.market._forced[0]
        for long in (True, False):
            b.events.clear()
            forced.append((long, 900))
            await b.play(3.0)
            found: list[Liquidation] = b.kinds(Liquidation)
            assert found, b.name
            assert {e.position for e in found} == {"long" if long else "short"}
            mid = (book.bid + book.ask) / 2 * book.listing.tick
            assert all(e.price == pytest.approx(mid, 5e-3) for e in found)
            assert all(e.usd == pytest.approx(e.price * e.size, 1e-6) for e in found)


async def test_a_symbol_that_is_not_listed_is_left_out(name: str) -> None:
    one = Bench(name, FOUR[:2])
    one.venue.unlisted.add("ETHUSDT")
    await one.venue.start()
    running = asyncio.create_task(one.session.run())
    try:
        assert await one.until(lambda: bool(one.market.listed), 20)
        await one.play(3.0)
        assert {symbol for _, symbol in one.market.listed} == {"BTCUSDT"}
        assert [s.symbol for s in one.states if "not listed" in s.note] == ["ETHUSDT"]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await one.venue.stop()


@pytest.mark.slow
def test_lag_and_lean_are_as_stated() -> None:
    """A venue's mid follows the reference's of some ticks ago; without lags, that of now."""
    for lags, ago in ((True, 5), (False, 0)):
        reference = Reference(SimulatedMarket(FOUR[:1], seed=2), lags)
        venue = venue_class("gate")(reference, SimulatedClock(0))
        assert isinstance(venue, ShadowVenue)
        venue.ports.close()
        shadow, own, theirs = venue.shadow, [], []
        for _ in range(3000):
            for _, _ in shadow.step(reference.tick()):
                book = shadow.books[0]
                own.append((book.bid + book.ask) / 2 / (1 + shadow.premium[0]))
                theirs.append([reference.mid(0, n) for n in range(10)])
        gap = np.abs(np.array(theirs) - np.array(own)[:, None]).mean(axis=0)
        assert int(gap.argmin()) == ago


@pytest.mark.slow
def test_same_seed_same_venue() -> None:
    def tape(seed: int) -> list[Any]:
        reference = Reference(SimulatedMarket(FOUR[:2], seed=seed))
        venue = venue_class("okx")(reference, SimulatedClock(0))
        venue.ports.close()
        out: list[Any] = []
        for _ in range(20):
            out += venue.frames(reference.tick())
        return out

    assert tape(4) == tape(4)
    assert tape(4) != tape(5)


def test_a_forced_close_too_small_for_a_step_is_none() -> None:
    reference = Reference(SimulatedMarket(FOUR[:1], seed=3))
    venue = venue_class("gate")(reference, SimulatedClock(0))
    assert isinstance(venue, ShadowVenue)
    venue.ports.close()
    closed = venue.shadow._close(0, Closed(5, True, 1, 942_000, 942_000.0), 10, [])
    assert len(closed) == 1
    assert closed[0].size >= 1
