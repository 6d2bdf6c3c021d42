"""The real engine against the simulated venue: whole books, the true tape, and every fault."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from engine.clock import NS, WallClock
from engine.sim.market import SimulatedMarket
from engine.sim.venues.binance import BinanceVenue
from engine.sim.venues.sockets import BACKLOG

pytestmark = pytest.mark.slow
TIMES = 3


async def test_all_symbols_are_synced_and_true(drill: Any) -> None:
    async with drill(None) as d:
        await d.play(10.0)
        assert len(d.demo.market.listings) == 21
        assert d.wrong_books() == []
        first = {s: min(trades) for s, trades in d.trades.items()}
        assert len(first) == 21
        late = [fill for s, fill in d.missing_trades() if fill.id >= first[s]]
        assert late == []
        health = d.health()
        assert health.state == "ready"
        assert (health.gaps, health.reconnects, health.dropped) == (0, 0, 0)
        assert d.demo.unsettled == 0


async def test_a_skipped_depth_frame_is_healed(drill: Any) -> None:
    async with drill() as d:
        for count in range(1, TIMES + 1):
            d.demo.venue.faults.frame("gap", "btcusdt@depth@100ms")
            book = d.demo.engine.pipeline.market.listed["binance", "BTCUSDT"].book
            assert await d.until(lambda n=count, b=book: b.gaps >= n, 10)
            assert await d.until(lambda: not d.wrong_books(), 60)
        assert d.demo.venue.faults.done["gap"] == TIMES
        others = [s for s in ("ETHUSDT", "PEPEUSDT", "ARBUSDT") if _book(d, s).gaps]
        assert others == []


@pytest.mark.parametrize("kind", ["gap", "duplicate", "reorder", "malformed"])
async def test_a_trade_frame_gone_wrong_costs_no_more_than_itself(drill: Any, kind: str) -> None:
    async with drill() as d:
        await d.play(1.0)
        before = {s: max(trades) for s, trades in d.trades.items()}
        for _ in range(TIMES):
            d.demo.venue.faults.frame(kind, "btcusdt@aggTrade")
            await d.play(3.0)
        missing = [(s, fill) for s, fill in d.missing_trades() if fill.id > before[s]]
        done = d.demo.venue.faults.done[kind]
        assert done == TIMES
        assert len(missing) == (done if kind in ("gap", "malformed") else 0)
        assert {s for s, _ in missing} <= {"BTCUSDT"}
        dropped = d.health().dropped_by_reason
        if kind == "malformed":
            assert sum(n for reason, n in dropped.items() if "JSON" in reason) == done
        if kind == "duplicate":
            assert dropped["repeated trade"] == done
        assert d.wrong_books() == []


@pytest.mark.parametrize("kind", ["duplicate", "reorder", "malformed"])
async def test_a_depth_frame_gone_wrong_is_healed(drill: Any, kind: str) -> None:
    async with drill() as d:
        for _ in range(TIMES):
            d.demo.venue.faults.frame(kind, "ethusdt@depth@100ms")
            await d.play(2.0)
            assert await d.until(lambda: not d.wrong_books(), 60)
        assert d.demo.venue.faults.done[kind] == TIMES


async def test_dropped_sockets_are_reopened(drill: Any) -> None:
    async with drill() as d:
        for count in range(1, TIMES + 1):
            d.demo.venue.drop()
            assert await d.until(lambda n=count: d.health().reconnects >= 2 * n, 60)
            assert await d.until(d.ready, 60)
            assert await d.until(lambda: not d.wrong_books(), 60)
        seen = max(max(trades) for trades in d.trades.values())
        await d.play(2.0)
        assert max(max(trades) for trades in d.trades.values()) > seen
        d.missing_trades()


async def test_a_server_gone_for_ten_seconds(drill: Any) -> None:
    async with drill() as d:
        await d.play(2.0)
        market = d.demo.market
        gone = market.now // 1_000_000
        await d.demo.venue.stop()
        await d.play(10.0)
        await d.demo.venue.start()
        assert await d.until(lambda: d.ready() and not d.wrong_books(), 90)
        back = market.now // 1_000_000
        await d.play(2.0)
        first = {s: min(trades) for s, trades in d.trades.items()}
        missing = [fill for s, fill in d.missing_trades() if fill.id > first[s]]
        assert missing
        assert all(gone - 200 <= fill.ms <= back for fill in missing)
        assert d.health().blind_s >= 9.0


async def test_a_silent_route_is_noticed(drill: Any) -> None:
    async with drill() as d:
        d.demo.venue.faults.stall("public")
        assert await d.until(lambda: d.health().streams["depth"].state == "stale", 60)
        await d.play(30.0)
        d.demo.venue.faults.resume()
        assert await d.until(lambda: d.ready() and not d.wrong_books(), 90)
        assert d.health().reconnects >= 1


@pytest.mark.parametrize(("status", "state"), [(429, "limited"), (451, "blocked")])
async def test_a_refused_handshake_is_tried_again(drill: Any, status: int, state: str) -> None:
    async with drill() as d:
        seen: list[str] = []
        tell = d.demo.engine.pipeline.on_status

        def note(event: Any) -> None:
            seen.append(event.state)
            tell(event)

        d.demo.engine.pipeline.on_status = note
        for count in range(1, TIMES + 1):
            d.demo.venue.faults.refuse("ws", status, 2.0)
            d.demo.venue.drop("market")
            assert await d.until(lambda n=count: seen.count(state) == n, 20)
            assert await d.until(lambda n=count: seen.count("acked") >= 3 * n and d.ready(), 60)
        assert seen.count(state) == TIMES
        assert d.wrong_books() == []


async def test_a_limited_snapshot_comes_later(drill: Any) -> None:
    async with drill() as d:
        for _ in range(TIMES):
            d.demo.venue.faults.refuse("rest", 429, 2.0)
            d.demo.venue.faults.frame("gap", "arbusdt@depth@100ms")
            await d.play(3.0)
            assert await d.until(lambda: not d.wrong_books(), 90)
        assert d.demo.venue.faults.done["429"] == TIMES


async def test_a_slow_snapshot_is_bridged(drill: Any) -> None:
    async with drill() as d:
        for _ in range(TIMES):
            d.demo.venue.faults.slow_snapshot(3.0)
            d.demo.venue.faults.frame("gap", "btcusdt@depth@100ms")
            await d.play(1.0)
            assert await d.until(lambda: not d.wrong_books(), 90)
        assert d.demo.venue.faults.done["slow snapshot"] == TIMES
        assert d.demo.unsettled == 0


async def test_an_ack_is_no_proof_of_data(drill: Any) -> None:
    async with drill() as d:
        d.demo.venue.faults.silent_ack()
        d.demo.venue.drop("market")
        assert await d.until(lambda: d.health().streams["mark"].state in ("acked", "stale"), 20)
        assert await d.until(d.ready, 120)
        assert d.demo.venue.faults.done["silent ack"] == 1


@pytest.mark.parametrize("route", ["public", "market"])
async def test_a_half_open_line_is_replaced(drill: Any, route: str) -> None:
    async with drill() as d:
        d.demo.venue.half_open(route)
        assert await d.until(lambda: d.health().reconnects >= 1, 120)
        assert await d.until(lambda: d.ready() and not d.wrong_books(), 90)
        assert d.demo.venue.faults.done["half-open"] == 1
        assert d.health().state == "ready"


async def test_a_clock_gone_wrong_moves_the_estimate_and_not_the_clock(drill: Any) -> None:
    async with drill() as d:
        market = d.demo.engine.pipeline.market
        for ms in (40_000, -40_000, 0):
            d.demo.venue.faults.skew(ms)
            await d.play(40.0)
            assert abs(d.health().offset_ms + ms) < 500
            assert abs(market.now - d.demo.clock.now()) < NS
            assert d.wrong_books() == []
            assert d.ready()
        late = market.drops["trade too late for its bar"]
        assert (late, d.demo.venue.faults.done["clock skew"]) == (0, 2)


async def test_a_client_that_does_not_read_is_cut() -> None:
    market = SimulatedMarket(("BTCUSDT",))
    venue = BinanceVenue(market, WallClock())
    await venue.start()
    try:
        url = f"{venue.urls()['public']}/ws/btcusdt@depth@100ms"
        async with connect(url, proxy=None, max_queue=1, ping_interval=None) as socket:
            client = venue.clients[0]
            big = ("btcusdt@depth@100ms", b"[%b]" % (b"1," * 500_000))
            for _ in range(BACKLOG // len(big[1]) + 20):
                client.send([big])
                await asyncio.sleep(0)
            assert client.send([big]) == 0
            with pytest.raises(ConnectionClosed):
                await read_to_the_end(socket)
    finally:
        await venue.stop()


async def read_to_the_end(socket: ClientConnection) -> None:
    while True:
        await socket.recv()


def _book(d: Any, symbol: str) -> Any:
    return d.demo.engine.pipeline.market.listed["binance", symbol].book
