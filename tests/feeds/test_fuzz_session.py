"""Malformed input through the whole of a feed: sockets, requests, session, decoder, market.

No read loop ends of it, all of it is counted, and nothing false is in the market afterwards.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from math import isfinite

import msgspec
import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from engine.clock import NS
from engine.config import load
from engine.events import FeedStatus
from engine.feeds.feed import Context, DecodeError, Frame, build_feed, feed_names
from engine.feeds.session import Session
from engine.runtime.pipeline import Pipeline

CONFIG, _ = load(overrides={"symbols": [{"id": "BTCUSDT"}, {"id": "ETHUSDT"}]})
SYMBOLS = tuple(instrument.id for instrument in CONFIG.instruments)
JUNK = [b"", b"pong", b"not json", b"\xff\x00\xfe", b"[" * 500, b'{"data":NaN}', b"null", b"[[]]",
        b'{"channel":["x"],"topic":7,"e":{},"type":null}']  # fmt: skip


def mutated(seeds, rng: random.Random) -> tuple[bytes, str]:
    """A frame torn, bitten, doubled, or whole, with its url or another's."""
    seed = rng.choice(seeds.frames)
    data, at = seed.data, rng.randrange(len(seed.data))
    data = rng.choice([
        data,
        data[:at],
        data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :],
        data[:at] + data[at + rng.randrange(1, 9) :],
        data[:at] + rng.choice((b"-", b"9e9", b"NaN", b"null", b"[")) + data[at:],
        data + data,
        rng.choice(JUNK),
    ])  # fmt: skip
    return data, rng.choice(seeds.urls) if rng.random() < 0.1 else seed.url


def look(pipeline: Pipeline) -> None:
    """Whatever the market holds is a real number."""
    for listed in pipeline.market.listed.values():
        for side in (listed.book.bids, listed.book.asks):
            assert all(isfinite(p) and p > 0 for p in side)
            assert all(isfinite(size) and size > 0 for size in side.values())
        for event in (listed.last, listed.quote, listed.mark, listed.funding, *listed.oi):
            values = msgspec.structs.asdict(event).values() if event is not None else ()
            assert all(isfinite(v) for v in values if isinstance(v, float))
    for symbol in pipeline.market.view(pipeline.market.now).symbols:
        assert symbol in SYMBOLS


@pytest.mark.parametrize("name", feed_names())
def test_what_is_refused_is_counted_by_reason_and_the_rest_is_sound(seeds, name):
    """Against a twin of the decoder that sees the same frames."""
    found, rng = seeds(name), random.Random(f"fuzz {name}")
    made, twin = (build_feed(name, CONFIG.feeds[name], CONFIG.instruments) for _ in range(2))
    for feed in (made, twin):
        feed.listed(found.catalogue.data)
        feed.connections()
    pipeline = Pipeline(CONFIG, {name: made})
    expected: Counter[str] = Counter()
    taken, context = 0, Context(recv=None)
    for n in range(1500):
        data, url = mutated(found, rng)
        context.recv = recv = found.recv + n * NS // 100
        context.url = url
        try:
            taken += len(twin.decode(data, context))
        except DecodeError as error:
            expected[error.args[0]] += 1
        pipeline.on_frame(Frame(recv, name, "x", url, data))
        if n % 50 == 0:
            look(pipeline)
    pipeline.run_until(recv + 20 * NS)
    look(pipeline)
    tally = pipeline.tallies[name]
    assert tally.frames == 1500
    assert tally.dropped == expected
    assert tally.events == taken
    assert 300 < sum(expected.values()) < 1500
    assert len(tally.samples) <= 20


class Babble:
    """Sends every socket junk among real frames without end, answers requests with junk.

    After two that fail every other answer is a catalogue, without which some sizes mean nothing.
    """

    def __init__(self, seeds, rng: random.Random) -> None:
        self.seeds, self.rng = seeds, rng
        self.opened = self.requests = 0

    async def talk(self, socket) -> None:
        self.opened += 1
        with suppress(ConnectionClosed):
            await socket.recv()
            while True:
                data, _ = mutated(self.seeds, self.rng)
                text = data.decode(errors="replace") if self.rng.random() < 0.5 else data
                await socket.send(text)
                await asyncio.sleep(0.001)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            self.requests += 1
            junk = mutated(self.seeds, self.rng)[0] if self.requests > 2 else JUNK[2]
            body = junk if self.requests % 2 or self.requests == 2 else self.seeds.catalogue.data
            reply = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(reply.encode() + body)
            await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.fixture
async def babble(seeds, request) -> AsyncIterator[Babble]:
    one = Babble(seeds(request.param), random.Random(request.param))
    rest = await asyncio.start_server(one.answer, "127.0.0.1", 0)
    async with serve(one.talk, "127.0.0.1", 0, ping_interval=None) as sockets:
        one.ports = {
            "ws": sockets.sockets[0].getsockname()[1], "http": rest.sockets[0].getsockname()[1]
        }  # fmt: skip
        yield one
    rest.close()
    await rest.wait_closed()


@pytest.mark.parametrize("babble", feed_names(), indirect=True)
async def test_no_loop_ends_of_it(babble, clock, patience):
    pytest.importorskip("httpx")  # which the session imports at its first request, for a while
    name = babble.seeds.name
    config = CONFIG.feeds[name]
    urls = {}
    for key, url in config.urls.items():
        scheme = "ws" if url.startswith("ws") else "http"
        urls[key] = f"{scheme}://127.0.0.1:{babble.ports[scheme]}/{key}"
    config = msgspec.structs.replace(config, urls=urls, every=dict.fromkeys(config.every, 2.0))
    made = build_feed(name, config, CONFIG.instruments)
    pipeline = Pipeline(CONFIG, {name: made})
    statuses: list[FeedStatus] = []
    session = Session(made, config, patience, SYMBOLS, clock, pipeline.on_frame, statuses.append,
                      random.Random(7))  # fmt: skip
    tally = pipeline.tallies[name]
    running = asyncio.create_task(session.run())
    async with asyncio.timeout(20):
        while not (
            session.counters.rest_failures
            and babble.requests >= 3
            and sum(tally.dropped.values()) > 40
            and (tally.events > 20 or not made.connections())
        ):
            assert not running.done()
            await asyncio.sleep(0.005)
    opened = len({s.connection for s in statuses if s.state == "connected" and s.stream})
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    look(pipeline)
    assert tally.frames == session.counters.frames
    assert not session.counters.dropped, "the sink took every frame"
    assert session.counters.rest_requests >= 3
    assert any(s.connection == "rest" and s.state == "error" for s in statuses)
    # A catalogue that came through may have changed the plan, which opens a socket anew.
    assert not [s.note for s in statuses if s.state == "closed" and "Error" in s.note]
    assert opened == len({c.id for c in made.connections()})
