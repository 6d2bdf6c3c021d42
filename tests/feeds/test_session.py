"""The session loop against a real server on the loopback."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec
import pytest

from engine.clock import NS
from engine.config import FeedConfig
from engine.events import FeedStatus
from engine.feeds.binance import Binance, build
from engine.feeds.feed import Connection, Context, DecodeError, Frame
from engine.feeds.session import Session
from engine.instruments import Instrument

SYMBOLS = ("BTCUSDT", "ETHUSDT", "PEPEUSDT")


class Run:
    """A running session and what came out of it."""

    def __init__(self, feed, config, patience, symbols, clock) -> None:
        self.frames: list[Frame] = []
        self.statuses: list[FeedStatus] = []
        self.feed = feed
        self.session = Session(
            feed,
            config,
            patience,
            symbols,
            clock,
            self.frames.append,
            self.statuses.append,
            random.Random(7),
        )

    def states(self, state: str, connection: str | None = None) -> list[FeedStatus]:
        return [s for s in self.statuses if s.state == state and connection in (None, s.connection)]

    def on(self, connection: str) -> list[Frame]:
        """The frames of a connection, but for the catalogue."""
        return [
            f for f in self.frames if f.connection == connection and "exchangeInfo" not in f.url
        ]


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait in wall time for something that must come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(run: Run) -> AsyncIterator[Run]:
    task = asyncio.create_task(run.session.run())
    try:
        yield run
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def start(venue, clock, patience):
    """A session on the loopback venue, shaped by the test."""

    def make(
        symbols: tuple[str, ...] = SYMBOLS,
        kind: type[Binance] = Binance,
        coalesce: float = 0.01,
        **changes: object,
    ) -> Run:
        venue.clock = clock.now
        config = venue.config(**changes)
        feed = kind(config, [Instrument(id=s, group="x") for s in symbols])
        settings = msgspec.structs.replace(patience, coalesce=coalesce)
        return Run(feed, config, settings, symbols, clock)

    return make


class Impatient(Binance):
    """The same feed with short limits, so that they are reached."""

    silence = 4.0
    max_age: float | None = None

    def connections(self) -> list[Connection]:
        limits = {"silence": self.silence, "max_age": self.max_age}
        return [msgspec.structs.replace(c, **limits) for c in super().connections()]


class Rotating(Impatient):
    silence = 60.0
    max_age = 8.0


@pytest.mark.parametrize("coalesce", [0.0, 0.2])
async def test_connects_subscribes_and_delivers(venue, start, coalesce):
    async with running(start(coalesce=coalesce)) as run:
        await until(lambda: len(run.on("public")) > 50 and len(run.on("market")) > 50)
        await until(lambda: len(run.states("acked")) == 5)
    assert sorted(set(venue.handshakes)) == ["/market/stream", "/public/stream"]
    wanted = {p for _, _, command in venue.commands for p in command["params"]}
    assert {"1000pepeusdt@depth@100ms", "btcusdt@aggTrade", "ethusdt@forceOrder"} <= wanted
    assert len(wanted) == 15
    channels = {"depth", "quote", "trade", "mark", "liquidation"}
    assert {s.stream for s in run.states("connected")} == channels
    assert {s.stream for s in run.states("closed")} == channels
    events = [e for f in run.frames for e in run.feed.decode(f.data, Context(f.recv, f.url))]
    assert {type(e).__name__ for e in events} >= {
        "Quote", "BookDelta", "Trade", "Mark", "Funding", "Liquidation", "BookSnapshot"
    }  # fmt: skip
    recvs = [f.recv for f in run.on("public")]
    assert recvs == sorted(recvs)
    assert run.session.counters.frames == len(run.frames)
    assert run.session.counters.bytes == sum(len(f.data) for f in run.frames)


async def test_every_book_is_asked_for_once(venue, start):
    async with running(start()) as run:
        await until(lambda: len(venue.asked("/depth")) == 3)
        await until(lambda: len(run.on("rest")) == 3)
        await asyncio.sleep(0.1)
    asked = [query["symbol"] for query in venue.asked("/depth")]
    assert asked == ["BTCUSDT", "ETHUSDT", "1000PEPEUSDT"]
    assert [f.symbol for f in run.on("rest")] == list(SYMBOLS)
    assert all("limit=1000" in f.url for f in run.on("rest"))


async def test_subscribes_in_chunks_at_the_venues_pace(venue, start):
    symbols = tuple(f"C{a}{b}USDT" for a in "ABCDEFGHIJ" for b in "ABCDEF")
    venue.listed = list(symbols)
    async with running(start(symbols, streams=["trade", "mark", "liquidation"])) as run:
        await until(lambda: len(venue.commands) == 4)
        await until(lambda: run.states("acked"))
    assert [len(command["params"]) for _, _, command in venue.commands] == [50, 50, 50, 30]
    (opened, *_), (*_, last) = run.states("connected"), venue.commands
    assert last[1] - opened.ts >= 3 * 0.19 * NS, "5 messages a second"
    assert {path for path, _, _ in venue.commands} == {"/market/stream"}


async def test_heal_brings_one_book_and_does_not_repeat_itself(venue, start):
    async with running(start()) as run:
        await until(lambda: len(run.on("rest")) == 3)
        for _ in range(5):
            run.session.heal("ETHUSDT")
        await until(lambda: len(run.on("rest")) == 4)
        await asyncio.sleep(0.1)
    assert [q["symbol"] for q in venue.asked("/depth")][3:] == ["ETHUSDT"]
    resyncs = [s.symbol for s in run.states("resync")]
    assert resyncs == [*SYMBOLS, "ETHUSDT"]


async def test_heals_of_one_book_grow_apart(venue, clock, start):
    began = clock.now()
    async with running(start(("BTCUSDT",))) as run:
        for n in range(1, 6):
            await until(lambda n=n: len(run.on("rest")) == n)
            run.session.heal("BTCUSDT")
    times = [(at - began) / NS for at, target in venue.requests if "/depth" in target]
    assert len(times) == 5
    assert all(at >= least for at, least in zip(times, (0, 1, 3, 7, 15), strict=True))


async def test_reconnects_after_a_drop_and_counts_the_blind_time(venue, start):
    async with running(start()) as run:
        await until(lambda: len(run.on("public")) > 5 and len(run.on("market")) > 5)
        await until(lambda: len(venue.asked("/depth")) == 3)
        for socket in list(venue.sockets):
            socket.transport.abort()
        await until(lambda: run.session.counters.reconnects == 2)
        await until(lambda: len(venue.asked("/depth")) == 6)
    closed = [s.stream for s in run.states("closed")][:5]
    assert sorted(closed) == ["depth", "liquidation", "mark", "quote", "trade"]
    assert len([s for s in run.states("connected") if s.stream]) == 10
    told = [s.note for s in run.states("connected") if s.stream is None]
    assert sum(float(note.removesuffix(" s blind")) for note in told) == pytest.approx(
        run.session.counters.blind_ns / NS, abs=0.002
    )
    assert run.session.counters.blind_ns > 0


async def test_silence_is_a_dead_socket(venue, start):
    async with running(start(kind=Impatient)) as run:
        await until(lambda: len(run.on("public")) > 5)
        before = venue.opened
        venue.silent = True
        await until(lambda: venue.opened > before)
        assert any("silent for 4 s" in s.note for s in run.states("closed"))
        venue.silent = False
        await until(lambda: run.session.counters.reconnects >= 1)


async def test_rotation_overlaps(venue, start):
    async with running(start(kind=Rotating, streams=["depth"])) as run:
        await until(lambda: len(venue.sockets) == 2)
        await until(lambda: len(venue.sockets) == 1)
        assert len(run.states("connected", "public")) == venue.opened == 2
        assert not run.states("closed")
        assert run.session.counters.reconnects == 0
        assert run.session.counters.blind_ns == 0
        asked = len(venue.asked("/depth"))
    assert asked == 3, "the old socket carried the chain, so no book is asked for again"


async def test_a_failed_rotation_keeps_the_old_socket(venue, start):
    async with running(start(kind=Rotating, streams=["depth"])) as run:
        await until(lambda: run.on("public"))
        venue.refusals = [(503, {})] * 3
        await until(lambda: len(venue.handshakes) == 5)
        await until(lambda: venue.opened == 2)
        assert not run.states("closed")
        assert len(run.states("error", "public")) == 3


async def test_too_many_requests_waits_as_told(venue, clock, start):
    venue.refusals = [(429, {"Retry-After": "7"})]
    async with running(start(streams=["depth"])) as run:
        began = clock.now()
        await until(lambda: run.on("public"))
        assert clock.now() - began >= 7 * NS
    assert [s.note for s in run.states("limited")] == ["HTTP 429: too many requests"]


async def test_blocked_says_so_and_tries_rarely(venue, clock, start):
    venue.refusals = [(451, {})]
    async with running(start(streams=["trade"])) as run:
        began = clock.now()
        await until(lambda: run.states("blocked"))
        await until(lambda: run.on("market"))
        assert clock.now() - began >= 30 * NS
    assert run.states("blocked")[0].note == "HTTP 451: refused from this place"
    assert len(venue.handshakes) == 2


async def test_rest_limits_hold_all_requests_back(venue, clock, start):
    venue.faults["depth"] = [(429, {"Retry-After": "5"})]
    async with running(start(("BTCUSDT",), streams=["depth"])) as run:
        await until(lambda: run.on("rest"))
    times = [at for at, target in venue.requests if "/depth" in target]
    assert len(times) == 2
    assert times[1] - times[0] >= 5 * NS
    assert [s.connection for s in run.states("limited")] == ["rest"]
    assert run.states("connected", "rest")


async def test_fetch_keeps_order_and_the_budget(venue, clock, start):
    run = start(("BTCUSDT",), streams=["trade"], request_weight=10)
    requests = run.feed.backfill(clock.now(), ["BTCUSDT"])[1:9]
    async with running(run):
        assert await run.session.fetch(requests) == 8
    assert [f.url for f in run.on("rest")] == [r.url for r in requests]
    times = [at for at, target in venue.requests if "/klines" in target]
    for at in times:
        within = [t for t in times if at - 59 * NS < t <= at]
        assert len(within) * 2 <= 10
    assert times[-1] - times[0] > 55 * NS


async def test_books_precede_history_and_joins_precede_backfill(venue, clock, start):
    run = start(("BTCUSDT",), streams=["depth"], request_weight=60)
    backfill = run.feed.backfill(clock.now(), ["BTCUSDT"])[1:33]
    join = run.feed.top_up(clock.now() - 300 * NS, clock.now(), ["BTCUSDT"])
    async with running(run):
        await until(lambda: len(venue.asked("/depth")) == 1)
        long = asyncio.create_task(run.session.fetch(backfill))
        await until(lambda: len(venue.asked("/klines")) >= 2)
        short = asyncio.create_task(run.session.fetch(join))
        run.session.heal("BTCUSDT")
        assert await short == 1
        await until(lambda: len(venue.asked("/depth")) == 2)
        assert not long.done()
        assert len(venue.asked("/klines")) < 32
        long.cancel()


async def test_failed_requests_are_retried_then_counted(venue, clock, start):
    run = start(("BTCUSDT",), streams=["trade"])
    requests = run.feed.backfill(clock.now(), ["BTCUSDT"])[1:4]
    venue.faults["klines"] = [(500, {}), (502, {}), (200, {}), *[(503, {})] * 5]
    async with running(run):
        assert await run.session.fetch(requests) == 2
    assert run.session.counters.rest_failures == 1
    assert run.session.counters.rest_requests == 1 + 3 + 5 + 1
    assert [s.note for s in run.states("error")] == ["bars first: HTTP 503"]


async def test_a_refused_request_is_not_repeated(venue, clock, start):
    run = start(("BTCUSDT",), streams=["trade"])
    requests = run.feed.backfill(clock.now(), ["BTCUSDT"])[1:3]
    venue.faults["klines"] = [(400, {})]
    async with running(run):
        assert await run.session.fetch(requests) == 1
    assert len(venue.asked("/klines")) == 2
    assert run.session.counters.rest_failures == 1


async def test_an_unlisted_symbol_is_named_and_left_out(venue, start):
    venue.listed = ["BTCUSDT", "1000PEPEUSDT"]
    async with running(start()) as run:
        await until(lambda: len(run.on("public")) > 5)
    notes = [(s.symbol, s.note) for s in run.states("error")]
    assert notes == [("ETHUSDT", "ETHUSDT is not listed")]
    wanted = {p for _, _, command in venue.commands for p in command["params"]}
    assert not any(param.startswith("ethusdt") for param in wanted)


async def test_a_failing_catalogue_stops_nothing(venue, start):
    venue.faults["exchangeInfo"] = [(500, {})] * 2
    async with running(start()) as run:
        await until(lambda: len(run.on("public")) > 5)
    assert any(s.note.startswith("catalogue: ") for s in run.states("error"))
    assert len({p for _, _, c in venue.commands for p in c["params"]}) == 15


async def test_malformed_frames_and_a_failing_sink_are_harmless(venue, start):
    venue.extra = ["not json", b"\xff\x00\xfe", '{"stream":"x","data":{"e":"trade"}}', "[" * 500]
    run = start(("BTCUSDT",), streams=["quote"])
    seen = 0
    dropped = 0

    def sink(frame: Frame) -> None:
        nonlocal seen, dropped
        try:
            run.feed.decode(frame.data, Context(frame.recv, frame.url))
        except DecodeError:
            dropped += 1
        seen += 1
        if seen % 2:
            raise RuntimeError("a sink that fails")

    run.session._sink = sink
    async with running(run):
        await until(lambda: dropped > 40)
        assert venue.opened == 1
    counters = run.session.counters
    assert counters.dropped["sink failed"] == (seen + 1) // 2
    assert counters.frames == seen


async def test_acks_are_not_data(venue, start):
    venue.silent = True
    async with running(start(kind=Impatient, streams=["depth"])) as run:
        await until(lambda: run.states("acked"))
        await until(lambda: venue.opened >= 2)
    assert not venue.asked("/depth")
    assert run.session.counters.reconnects == 0


async def test_cancelling_leaves_nothing_behind(venue, clock, start):
    run = start()
    before = asyncio.all_tasks()
    task = asyncio.create_task(run.session.run())
    fetching = asyncio.create_task(run.session.fetch(run.feed.backfill(clock.now(), list(SYMBOLS))))
    await until(lambda: len(run.on("public")) > 5 and len(run.on("rest")) > 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 20.0)
    await asyncio.wait_for(fetching, 20.0)
    await until(lambda: not venue.sockets)
    left = {t for t in asyncio.all_tasks() - before if "Venue" not in repr(t)}
    left = {t for t in left if "engine/feeds" in repr(t) or "Session" in repr(t)}
    assert not left
    assert await run.session.fetch(run.feed.backfill(clock.now(), ["BTCUSDT"])) == 0


async def test_cancelling_while_nothing_answers(clock, patience):
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    urls = {k: f"ws://127.0.0.1:{port}/{k}" for k in ("public", "market")}
    config = FeedConfig(urls={**urls, "rest": f"http://127.0.0.1:{port}"})
    feed = build(config, [Instrument(id="BTCUSDT", group="x")])
    hasty = msgspec.structs.replace(patience, connect_timeout=8.0)
    run = Run(feed, config, hasty, ("BTCUSDT",), clock)
    async with running(run):
        await until(lambda: run.states("error", "public"))
        assert any("TimeoutError" in s.note for s in run.states("error", "public"))
    server.close()
    await server.wait_closed()
