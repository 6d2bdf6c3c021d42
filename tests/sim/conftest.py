"""A simulated market run for a while, and the real engine in a drill against its venue."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.clock import NS
from engine.config import load
from engine.events import Trade
from engine.jobs.demo import Demo
from engine.sim.market import SimulatedMarket
from engine.sim.market.market import Tick
from engine.sim.market.tape import Print

FOUR = ("BTCUSDT", "ETHUSDT", "PEPEUSDT", "ARBUSDT")
LOTS = {"PEPEUSDT": 1000}


class Run:
    """A market advanced by some seconds, with every tick it told of."""

    def __init__(self, seconds: float, **how: Any) -> None:
        self.market = SimulatedMarket(**{"symbols": FOUR, **how})
        self.first_books = [(dict(b.bids), dict(b.asks), b.seq) for b in self.market.books]
        self.first_mids = self.market.mids
        self.ticks: list[Tick] = [self.market.tick() for _ in range(round(seconds * 10))]


@pytest.fixture(scope="session")
def minutes() -> Run:
    """Two and a half minutes of four symbols."""
    return Run(150)


class Drill:
    """The engine on a demo without history, with every trade it was given and what is true."""

    def __init__(self, symbols: tuple[str, ...] | None, **feed: Any) -> None:
        others = {name: {"enabled": False} for name in load()[0].feeds}
        overrides: dict[str, Any] = {
            "feeds": {**others, "binance": {"enabled": True, "backfill": False, **feed}},
            "connection": {"blocked_retry": 5.0, "backoff": 0.2, "backoff_max": 2.0},
        }
        if symbols is not None:
            overrides["symbols"] = [{"id": s, "class": "layer1"} for s in symbols]
        self.demo = Demo(load(overrides=overrides)[0], speed=None, kept=None)
        self.trades: dict[str, dict[int, Trade]] = defaultdict(dict)
        self._apply = self.demo.engine.pipeline.market.apply
        self.demo.engine.pipeline.market.apply = self._note  # type: ignore[method-assign]

    def _note(self, event: Any) -> None:
        if type(event) is Trade:
            self.trades[event.symbol][event.id] = event
        self._apply(event)

    async def play(self, seconds: float) -> None:
        """Let so much market time pass."""
        await self.demo.clock.sleep(seconds)

    async def until(self, true: Callable[[], bool], seconds: float = 60.0) -> bool:
        """Whether something came true within so much market time."""
        end = self.demo.clock.now() + seconds * NS
        while not true() and self.demo.clock.now() < end:
            await self.play(0.5)
        return true()

    def health(self) -> Any:
        return self.demo.latest().feeds["binance"]

    def ready(self) -> bool:
        return bool(self.health().state == "ready")

    def wrong_books(self) -> list[str]:
        """Symbols whose book is not the true one, or is not known to be whole."""
        market, out = self.demo.market, []
        for listing, truth in zip(market.listings, market.books, strict=True):
            lot = LOTS.get(listing.id, 1)
            book = self.demo.engine.pipeline.market.listed["binance", listing.id].book
            sides = ((book.bids, truth.bids), (book.asks, truth.asks))
            same = book.synced and book.seq == truth.seq
            for ours, true in sides:
                theirs = {
                    round(float(listing.price_text(p)) / lot, 12): float(listing.size_text(n)) * lot
                    for p, n in true.items()
                }
                same = same and {round(p, 12): n for p, n in ours.items()} == theirs
            if not same:
                out.append(listing.id)
        return out

    def missing_trades(self) -> list[tuple[str, Print]]:
        """Executions of the tape that were not given; raises where one was given wrongly."""
        market, out = self.demo.market, []
        for listing, tape in zip(market.listings, market.tapes, strict=True):
            lot, given = LOTS.get(listing.id, 1), self.trades[listing.id]
            fills = list(tape)
            assert given.keys() <= {fill.id for fill in fills}
            for fill in fills:
                trade = given.get(fill.id)
                if trade is None:
                    out.append((listing.id, fill))
                    continue
                assert trade.price == float(listing.price_text(fill.price)) / lot
                assert trade.size == float(listing.size_text(fill.size)) * lot
                assert trade.side == ("buy" if fill.buy else "sell")
                assert trade.ts == fill.ms * 1_000_000
        return out


OpenDrill = Callable[..., Any]


@pytest.fixture
def drill() -> OpenDrill:
    """An open drill as a context: `async with drill(symbols) as d`."""

    @asynccontextmanager
    async def opened(symbols: tuple[str, ...] | None = FOUR, **feed: Any) -> AsyncIterator[Drill]:
        one = Drill(symbols, **feed)
        running = asyncio.create_task(one.demo.run())
        try:
            await one.demo.clock.sleep(0.05)
            assert await one.until(one.ready), one.health()
            yield one
        finally:
            one.demo.stop()
            await _end(running)

    return opened


async def _end(running: Awaitable[None]) -> None:
    await running
