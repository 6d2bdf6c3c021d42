"""The simulated Binance: its shapes against the recorded ones, its routes and its answers."""

import gzip
import json
from collections.abc import AsyncIterator
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from engine.clock import NS, SimulatedClock
from engine.feeds.binance.decode import Decoder
from engine.feeds.feed import Context
from engine.sim.market import SimulatedMarket
from engine.sim.venues.binance import BinanceVenue
from engine.sim.venues.binance.frames import Frames

WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
DOCS = WIRE / "docs_examples" / "Binance"
# What the venue has added since the recordings were made (exchange documentation, 2026).
NEW = {"nq", "st", "ps", "ap"}
recorded = [
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout"),
]


@pytest.fixture(scope="module")
def frames() -> dict[str, list[dict[str, Any]]]:
    """Event name -> data of a cascade's frames, which has liquidations too."""
    market = SimulatedMarket(("BTCUSDT", "PEPEUSDT"), "cascade")
    make, out = Frames(market.listings), {}
    for _ in range(10 * 600):
        tick = market.tick()
        for _, data in (*make.public(tick), *make.market(tick)):
            event = json.loads(data)
            if len(kept := out.setdefault(event["e"], [])) < 2000:
                kept.append(event)
        if tick.ts > market.start + 60 * NS and "forceOrder" in out:
            break
    return out


def documented(name: str) -> dict[str, Any]:
    text = (DOCS / "Subscriptions" / "UsdFutures" / f"{name}.txt").read_text()
    return json.loads(text[text.index("\n= ") + 3 :])["data"]


class TestShapes:
    pytestmark = recorded

    @pytest.mark.parametrize("name", ["depthUpdate", "bookTicker"])
    def test_frames_have_the_recorded_keys(self, frames: Any, name: str) -> None:
        with gzip.open(WIRE / "binance_usdm" / "btcusdt_20240808.gz") as lines:
            events = (json.loads(line.split(b" ", 1)[1]) for line in islice(lines, 2000))
            real = next(e["data"] for e in events if e.get("data", {}).get("e") == name)
        assert frames[name][0].keys() - NEW == real.keys()
        for key in real:
            assert type(frames[name][0][key]) is type(real[key]), key

    @pytest.mark.parametrize(
        ("name", "file"),
        [
            ("aggTrade", "AggTrades"),
            ("markPriceUpdate", "MarkPrice"),
            ("forceOrder", "Liquidations"),
        ],
    )
    def test_frames_have_the_documented_keys(self, frames: Any, name: str, file: str) -> None:
        real, ours = documented(file), frames[name][0]
        assert ours.keys() - NEW == real.keys()
        if name == "forceOrder":
            assert ours["o"].keys() == real["o"].keys()
        for key in real:
            assert type(ours[key]) is type(real[key]), key

    @pytest.mark.parametrize("path", ["depth", "klines", "openInterest", "premiumIndex"])
    async def test_answers_have_the_recorded_keys(self, rest: Any, path: str) -> None:
        routes = json.loads((WIRE / "rest" / "binance_usdm_rest.json").read_text())["routes"]
        real = routes[f"/fapi/v1/{path}"]["GET"][0]["data"]
        query = {"symbol": "BTCUSDT", "interval": "1m", "limit": "5"}
        ours = (await rest(f"/fapi/v1/{path}", query)).json()
        if path == "klines":
            assert [type(x) for x in ours[0]] == [type(x) for x in real[0]]
        else:
            assert ours.keys() == real.keys()
            assert {k: type(v) for k, v in ours.items()} == {k: type(v) for k, v in real.items()}

    async def test_the_catalogue_has_the_recorded_keys(self, rest: Any) -> None:
        routes = json.loads((WIRE / "rest" / "binance_usdm_rest.json").read_text())["routes"]
        real = routes["/fapi/v1/exchangeInfo"]["GET"][0]["data"]
        ours = (await rest("/fapi/v1/exchangeInfo", {})).json()
        assert ours.keys() == real.keys()
        assert ours["symbols"][0].keys() == real["symbols"][0].keys()


def test_every_frame_is_decoded(frames: Any) -> None:
    decoder, context = Decoder(), Context(recv=1)
    for name, events in frames.items():
        for event in events[:200]:
            found = decoder.decode(json.dumps({"stream": "x", "data": event}), context)
            assert found, name


def test_liquidations_are_the_largest_of_a_symbol_and_second(frames: Any) -> None:
    seconds = [(e["o"]["s"], e["E"] // 1000) for e in frames["forceOrder"]]
    assert len(seconds) == len(set(seconds))
    assert all(e["E"] % 1000 == 0 for e in frames["forceOrder"])


def test_a_sparse_market_is_told_more_rarely_and_wholly() -> None:
    """Quotes and changes of the book come together every five seconds, trades one by one."""
    market = SimulatedMarket(("BTCUSDT", "PEPEUSDT"), rate=0.02, dt=1.0)
    make, told = Frames(market.listings, market.rate), []
    books = [(dict(b.bids), dict(b.asks)) for b in market.books]
    for _ in range(120):
        tick = market.tick()
        told += [json.loads(data) for _, data in (*make.public(tick), *make.market(tick))]
    for wire, book, truth in zip(make.wires, books, market.books, strict=True):
        own = [e for e in told if e.get("s") == wire.name]
        changes = [e for e in own if e["e"] == "depthUpdate"]
        assert {e["E"] // 1000 % 5 for e in own if e["e"] != "aggTrade"} == {0, 4}
        assert all(b["pu"] == a["u"] for a, b in pairwise(changes))
        assert changes[-1]["u"] == truth.seq
        for levels, true, side in ((book[0], truth.bids, "b"), (book[1], truth.asks, "a")):
            for change in changes:
                levels.update(
                    (round(float(p) / wire.listing.tick), round(float(n) / wire.listing.step))
                    for p, n in change[side]
                )
            assert {p: n for p, n in levels.items() if n} == true
    ids = [e["a"] for e in told if e["e"] == "aggTrade" and e["s"] == "BTCUSDT"]
    assert ids == [fill.id for fill in market.tapes[0]] != []
    assert len(told) < 120 * 3


# -- servers -------------------------------------------------------------------------------


class Served:
    """A venue whose market is advanced by hand."""

    def __init__(self) -> None:
        self.market = SimulatedMarket(("BTCUSDT", "PEPEUSDT"))
        self.clock = SimulatedClock(self.market.now)
        self.venue = BinanceVenue(self.market, self.clock)

    async def tick(self, count: int = 1) -> None:
        for _ in range(count):
            await self.venue.publish(self.market.tick())


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    # Nobody drives the clock here, so that no answer may wait for it.
    monkeypatch.setattr(BinanceVenue, "LATENCY_S", {})
    served = Served()
    await served.venue.start()
    yield served
    await served.venue.stop()


@pytest.fixture
async def rest(served: Served) -> AsyncIterator[Any]:
    base = served.venue.urls()["rest"]
    async with httpx.AsyncClient(trust_env=False) as client:

        async def get(path: str, query: dict[str, str]) -> httpx.Response:
            return await client.get(f"{base}{path}", params=query)

        await served.tick(700)
        yield get


async def subscribed(served: Served, route: str, *streams: str, form: str = "stream") -> Any:
    socket = await connect(f"{served.venue.urls()[route]}/{form}", proxy=None)
    await socket.send(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 7}))
    assert json.loads(await socket.recv()) == {"result": None, "id": 7}
    return socket


async def test_combined_and_bare_forms(served: Served) -> None:
    combined = await subscribed(served, "public", "btcusdt@bookTicker")
    bare = await subscribed(served, "public", "btcusdt@bookTicker", form="ws")
    await served.tick()
    wrapped, plain = json.loads(await combined.recv()), json.loads(await bare.recv())
    assert wrapped == {"stream": "btcusdt@bookTicker", "data": plain}
    await combined.close()
    await bare.close()


async def test_streams_named_in_the_url(served: Served) -> None:
    base = served.venue.urls()["market"]
    async with (
        connect(f"{base}/stream?streams=btcusdt@markPrice@1s/x@y", proxy=None) as combined,
        connect(f"{base}/ws/1000pepeusdt@markPrice@1s", proxy=None) as bare,
    ):
        await served.tick(10)
        assert json.loads(await combined.recv())["stream"] == "btcusdt@markPrice@1s"
        assert json.loads(await bare.recv())["s"] == "1000PEPEUSDT"


async def test_a_stream_on_the_wrong_route_is_acked_and_silent(served: Served) -> None:
    socket = await subscribed(served, "public", "btcusdt@aggTrade", "btcusdt@depth@100ms")
    await served.tick(20)
    seen = {json.loads(await socket.recv())["stream"] for _ in range(20)}
    assert seen == {"btcusdt@depth@100ms"}
    await socket.close()


async def test_commands_that_make_no_sense(served: Served) -> None:
    socket = await subscribed(served, "market", "btcusdt@aggTrade")
    await socket.send("{")
    assert "error" in json.loads(await socket.recv())
    await socket.send('{"method":"DANCE","id":2}')
    assert json.loads(await socket.recv())["id"] == 2
    await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":3}')
    assert json.loads(await socket.recv())["result"] == ["btcusdt@aggTrade"]
    await socket.send('{"method":"UNSUBSCRIBE","params":["btcusdt@aggTrade"],"id":4}')
    assert json.loads(await socket.recv()) == {"result": None, "id": 4}
    await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":5}')
    assert json.loads(await socket.recv())["result"] == []
    await socket.close()


@pytest.mark.parametrize("path", ["/ws", "/stream", "/public", "/private/ws", "/public/x"])
async def test_other_paths_are_refused(served: Served, path: str) -> None:
    base = served.venue.urls()["public"].removesuffix("/public")
    with pytest.raises(InvalidStatus):
        await connect(base + path, proxy=None)


async def test_the_snapshot_is_the_true_book_and_joins_the_diffs(served: Served, rest: Any) -> None:
    answer = (await rest("/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": "1000"})).json()
    book, listing = served.market.books[0], served.market.listings[0]
    assert answer["lastUpdateId"] == book.seq
    assert dict(answer["bids"]) == {
        listing.price_text(p): listing.size_text(n) for p, n in book.bids.items()
    }
    assert [float(p) for p, _ in answer["bids"]] == sorted(
        (float(p) for p, _ in answer["bids"]), reverse=True
    )
    assert [float(p) for p, _ in answer["asks"]] == sorted(float(p) for p, _ in answer["asks"])
    assert served.market.tick().played[0].diff.previous == answer["lastUpdateId"]


async def test_klines_by_range_and_with_the_forming_candle(served: Served, rest: Any) -> None:
    start = served.market.start // 1_000_000
    query = {"symbol": "1000PEPEUSDT", "interval": "1m", "limit": "3"}
    newest = (await rest("/fapi/v1/klines", query)).json()
    assert [row[0] for row in newest] == [start - 60_000, start, start + 60_000]
    assert newest[-1][6] > served.market.now // 1_000_000
    ranged = {**query, "startTime": str(start - 600_000), "endTime": str(start - 1), "limit": "99"}
    rows = (await rest("/fapi/v1/klines", ranged)).json()
    assert [row[0] for row in rows] == list(range(start - 600_000, start, 60_000))
    assert rows[-1][4] == newest[0][4]
    hours = {**query, "interval": "1h", "limit": "1500", "startTime": "0"}
    assert len((await rest("/fapi/v1/klines", hours)).json()) <= 1500
    none = {**ranged, "startTime": str(start + 3_600_000), "endTime": str(start + 7_200_000)}
    assert (await rest("/fapi/v1/klines", none)).json() == []


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("klines", {"symbol": "BTCUSDT"}, -1120),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "x"}, -1102),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "1501"}, -1130),
        ("depth", {"symbol": "NOSUCH"}, -1121),
        ("depth", {"symbol": "BTCUSDT", "limit": "7"}, -4021),
        ("order", {}, -5000),
    ],
)
async def test_bad_requests_are_refused(rest: Any, path: str, query: Any, code: int) -> None:
    answer = await rest(f"/fapi/v1/{path}", query)
    assert answer.status_code in (400, 404)
    assert answer.json()["code"] == code


async def test_a_connection_serves_many_requests(served: Served, rest: Any) -> None:
    for _ in range(5):
        assert (await rest("/fapi/v1/time", {})).json()["serverTime"] == (
            served.market.now // 1_000_000
        )
    assert len(served.venue.servers.rest._serving) == 1


async def test_refusals_name_their_status(served: Served, rest: Any) -> None:
    served.venue.faults.refuse("rest", 429, 3)
    answer = await rest("/fapi/v1/time", {})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3")
    served.venue.faults.refuse("ws", 451)
    with pytest.raises(InvalidStatus) as refused:
        await connect(served.venue.urls()["public"] + "/ws", proxy=None)
    assert refused.value.response.status_code == 451


async def test_the_ports_outlive_a_restart(served: Served) -> None:
    urls = served.venue.urls()
    await served.venue.stop()
    with pytest.raises(OSError, match="Connect call failed"):
        await connect(urls["public"] + "/ws", proxy=None)
    await served.venue.start()
    assert served.venue.urls() == urls
    socket = await subscribed(served, "public", "btcusdt@bookTicker")
    await socket.close()
