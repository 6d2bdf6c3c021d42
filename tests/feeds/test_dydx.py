"""dYdX v4: books uncrossed and given up where messages are missing, liquidations from trades."""

import json
from itertools import pairwise

import msgspec
import pytest

from engine.clock import NS
from engine.config import ConfigError, load
from engine.events import (
    BookDelta,
    BookSnapshot,
    Funding,
    Liquidation,
    Mark,
    OpenInterest,
    Trade,
)
from engine.feeds.dydx import CHUNK, Dydx, build
from engine.feeds.feed import Context, DecodeError, build_feed
from engine.feeds.parse import NOT_OURS
from engine.instruments import Instrument
from engine.market.book import Book

CONFIG = load()[0].feeds["dydx"]
RECV = 1_795_000_050 * NS
NEXT_HOUR = (RECV // (3600 * NS) + 1) * 3600 * NS
LINK = "9011edff-d8f7-47fc-bbc6-0c7b5ba7dfae"
PRINT = {"id": "02b6148d0000000200000005", "side": "BUY", "size": "0.024", "price": "114581"}
PRINT |= {"type": "LIMIT", "createdAt": "2025-08-04T00:42:07.119Z", "createdAtHeight": "4548"}
PRINT_NS = 1_754_268_127_119_000_000


def feed(*symbols: str, **changes) -> Dydx:
    instruments = [Instrument(id=s, group="x") for s in symbols or ("BTCUSDT", "ETHUSDT")]
    return build(msgspec.structs.replace(CONFIG, **changes), instruments)


class Socket:
    """One connection as the venue numbers it: every message, whatever its channel, one higher."""

    def __init__(self, made: Dydx, link: str = LINK) -> None:
        self.made, self.link, self.number = made, link, 0
        assert self.say(type="connected") == []

    def say(self, recv: int | None = RECV, **frame) -> list:
        frame = {"connection_id": self.link, "message_id": self.number, **frame}
        self.number += 1
        return list(self.made.decode(json.dumps(frame), Context(recv=recv, url="wss://x")))

    def whole(self, bids: dict, asks: dict, market: str = "BTC-USD") -> list:
        sides = {"bids": bids, "asks": asks}
        contents = {
            side: [{"price": str(p), "size": str(s)} for p, s in levels.items()]
            for side, levels in sides.items()
        }
        return self.say(type="subscribed", channel="v4_orderbook", id=market, contents=contents)

    def change(self, bids: dict, asks: dict, market: str = "BTC-USD", **more) -> list:
        sides = {"bids": bids, "asks": asks}
        contents = {
            side: [[str(p), str(s)] for p, s in levels.items()]
            for side, levels in sides.items()
            if levels
        }
        frame = {"type": "channel_data", "channel": "v4_orderbook", "id": market}
        return self.say(**frame, version="1.0.0", contents=contents, **more)

    def markets(self, **contents) -> list:
        kind = "subscribed" if "markets" in contents else "channel_data"
        return self.say(type=kind, channel="v4_markets", contents=contents)

    def trades(self, *prints: dict, first: bool = False) -> list:
        kind = "subscribed" if first else "channel_data"
        contents = {"trades": list(prints)}
        return self.say(type=kind, channel="v4_trades", id="BTC-USD", contents=contents)


@pytest.fixture
def socket() -> Socket:
    return Socket(feed())


def common(ts: int = RECV, symbol: str = "BTCUSDT", **more) -> dict:
    return {"venue": "dydx", "market": "perp", "symbol": symbol, "ts": ts, "recv": RECV, **more}


def refused(raw: object, made: Dydx | None = None, recv: int | None = RECV) -> str:
    data = raw if isinstance(raw, bytes | str) else json.dumps(raw)
    with pytest.raises(DecodeError) as error:
        (made or feed()).decode(data, Context(recv=recv))
    return error.value.args[0]


def applied(events: list, book: Book) -> None:
    for event in events:
        (book.snapshot if isinstance(event, BookSnapshot) else book.delta)(event)


# -- what is subscribed ----------------------------------------------------------------------


def test_two_sockets_and_the_pace():
    books, tape = feed().connections()
    assert (books.id, tape.id) == ("books", "tape")
    assert msgspec.json.decode(books.subscribe[0]) == {
        "type": "subscribe",
        "channel": "v4_orderbook",
        "id": "BTC-USD",
        "batched": False,
    }
    asked = [msgspec.json.decode(frame) for frame in tape.subscribe]
    assert [(a["channel"], a.get("id")) for a in asked] == [
        ("v4_markets", None),
        ("v4_trades", "BTC-USD"),
        ("v4_trades", "ETH-USD"),
    ]
    assert tape.streams == (
        ("ticker", "BTCUSDT"),
        ("ticker", "ETHUSDT"),
        ("trade", "BTCUSDT"),
        ("trade", "ETHUSDT"),
    )
    assert {c.sends_per_second for c in (books, tape)} == {2.0}
    assert books.ping is None, "the venue pings by protocol"


def test_no_more_than_32_of_a_channel_on_a_connection():
    symbols = [f"C{n}USDT" for n in range(70)]
    made = feed(*symbols)
    connections = made.connections()
    assert [c.id for c in connections] == [
        "books", "tape", "books-2", "tape-2", "books-3", "tape-3",
    ]  # fmt: skip
    for connection in connections:
        channels = [msgspec.json.decode(f)["channel"] for f in connection.subscribe]
        assert max(channels.count(channel) for channel in set(channels)) <= CHUNK
    assert {s for c in connections for channel, s in c.streams if channel == "depth"} == set(
        symbols
    )
    assert made.resubscribe("C40USDT")[0] == "books-2"
    assert ("depth", "C40USDT") in connections[2].streams


def test_wanted_streams_and_urls():
    (only,) = feed(streams=["trade"]).connections()
    assert only.silence > 60, "thin markets trade rarely"
    assert feed(streams=["trade"]).resubscribe("BTCUSDT") is None
    with pytest.raises(ConfigError, match=r"feeds\.dydx\.streams: no stream 'quote'; allowed: "):
        feed(streams=["quote"])
    with pytest.raises(ConfigError, match=r"feeds\.dydx\.urls\.rest: missing"):
        feed(urls={"ws": "wss://x"})


def test_catalogue_and_healing():
    made = feed()
    assert made.catalogue_request().url == "https://indexer.dydx.trade/v4/perpetualMarkets"
    rows = {"ETH-USD": {"ticker": "ETH-USD", "status": "ACTIVE", "oraclePrice": None}}
    rows |= {"BTC-USD": {"status": "FINAL_SETTLEMENT"}, "A,B,9BB6-USD": {"status": "ACTIVE"}}
    answer = msgspec.json.encode({"markets": rows})
    assert made.listed(answer) == {"ETHUSDT"}
    assert list(made.decode(answer, Context(recv=RECV))) == []
    assert {s for c in made.connections() for _, s in c.streams} == {"ETHUSDT"}
    assert (made.carries("liq", "ETHUSDT"), made.carries("liq", "BTCUSDT")) == (True, False)
    assert not made.carries("ratio", "ETHUSDT")
    assert made.resubscribe("BTCUSDT") is None
    assert made.book_request("ETHUSDT") is None
    where, frames = made.resubscribe("ETHUSDT")
    assert where == "books"
    off, on = map(msgspec.json.decode, frames)
    assert off == {"type": "unsubscribe", "channel": "v4_orderbook", "id": "ETH-USD"}
    assert on["type"] == "subscribe"
    for nonsense in (b"", b"[]", b'{"markets":{}}', b'{"errors":[]}'):
        with pytest.raises(DecodeError):
            made.listed(nonsense)


def test_backfill():
    requests = feed().backfill(RECV, ["BTCUSDT", "ETHUSDT"])
    base = "https://indexer.dydx.trade/v4"
    assert [r.url for r in requests if r.symbol == "BTCUSDT"] == [
        f"{base}/historicalFunding/BTC-USD?limit=720",
        f"{base}/candles/perpetualMarkets/BTC-USD?resolution=1HOUR&limit=720",
    ]
    assert all(r.purpose.endswith(" first") for r in requests)
    assert feed(backfill=False).backfill(RECV, ["BTCUSDT"]) == []
    assert feed().polls() == feed().top_up(0, RECV, ["BTCUSDT"]) == []


@pytest.mark.parametrize(
    ("kind", "is_ack"),
    [("subscribed", True), ("connected", True), ("channel_data", False), ("unsubscribed", False)],
)
def test_acks(kind, is_ack):
    frame = {"type": kind, "connection_id": LINK, "message_id": 3, "channel": "v4_trades"}
    assert feed().is_ack(json.dumps(frame)) is is_ack
    assert feed().is_ack(msgspec.json.encode(frame)) is is_ack


# -- books -----------------------------------------------------------------------------------


def test_a_book_and_its_changes(socket):
    assert socket.whole({100: 1, 99: 2}, {101: 3}) == [
        BookSnapshot(**common(), bids=[(100.0, 1.0), (99.0, 2.0)], asks=[(101.0, 3.0)], seq=1)
    ]
    assert socket.change({100: 0}, {}) == [
        BookDelta(**common(), bids=[(100.0, 0.0)], asks=[], first_seq=2, seq=2, prev_seq=1)
    ]
    frame = {"type": "channel_batch_data", "channel": "v4_orderbook", "id": "BTC-USD"}
    parts = [{"bids": [["98", "1"]]}, {"asks": [["103", "1"]]}, {"bids": [["98", "5"]]}]
    (batch,) = socket.say(**frame, contents=parts)
    assert batch.bids == [(98.0, 1.0), (98.0, 5.0)]
    assert (batch.asks, batch.prev_seq, batch.seq) == ([(103.0, 1.0)], 2, 3)
    empty = {"type": "channel_data", "channel": "v4_orderbook", "id": "BTC-USD"}
    assert [e.seq for e in socket.say(**empty, contents=None)] == [4]


def test_the_older_of_two_crossing_levels_goes(socket):
    book = Book()
    applied(socket.whole({100: 1, 99: 2, 98: 3}, {101: 3, 102: 4}), book)
    applied(socket.change({}, {99: 7}), book)
    assert book.bids == {98.0: 3.0}
    assert book.asks == {99.0: 7.0, 101.0: 3.0, 102.0: 4.0}
    applied(socket.change({101: 5}, {}), book)
    assert book.bids == {101.0: 5.0, 98.0: 3.0}
    assert book.asks == {102.0: 4.0}
    assert (book.gaps, book.synced) == (0, True)


def test_a_missing_message_gives_up_every_book_of_the_connection(socket):
    books = {"BTC-USD": Book(), "ETH-USD": Book()}
    for market, book in books.items():
        applied(socket.whole({100: 1}, {101: 1}, market), book)
    other, far = Socket(socket.made, "another"), Book()
    applied(other.whole({10: 1}, {11: 1}, "SOL-USD"), far)
    socket.number += 1
    events = socket.trades(PRINT)
    assert [type(e) for e in events] == [BookDelta, BookDelta, Trade]
    for event in events[:2]:
        applied([event], books[event.symbol.replace("USDT", "-USD")])
    assert [(b.synced, b.gaps) for b in books.values()] == [(False, 1), (False, 1)]
    applied(other.change({10: 2}, {}, "SOL-USD"), far)
    assert far.synced, "another connection's book is not concerned"
    with pytest.raises(DecodeError, match="no whole book yet"):
        socket.change({100: 2}, {})
    assert socket.say(type="unsubscribed", channel="v4_orderbook", id="BTC-USD") == []
    applied(socket.whole({100: 3}, {101: 3}), books["BTC-USD"])
    applied(socket.change({100: 4}, {}), books["BTC-USD"])
    assert books["BTC-USD"].synced
    assert books["BTC-USD"].bids == {100.0: 4.0}
    assert not books["ETH-USD"].synced


def test_books_alone_on_their_socket_are_given_up_too(socket):
    """Nothing else comes there that could carry the news."""
    book = Book()
    applied(socket.whole({100: 1}, {101: 1}), book)
    socket.number += 1
    applied(socket.change({100: 2}, {}), book)
    assert (book.synced, book.gaps) == (False, 1)
    with pytest.raises(DecodeError, match="no whole book yet"):
        socket.change({100: 2}, {})
    applied(socket.whole({100: 1}, {101: 1}), book)
    with pytest.raises(DecodeError, match="malformed"):
        socket.change({100: "NaN"}, {})
    applied(socket.change({100: 2}, {}), book)
    assert (book.synced, book.gaps) == (False, 2)


def test_a_change_that_cannot_be_read_gives_up_its_book_alone(socket):
    book = Book()
    applied(socket.whole({100: 1}, {101: 1}), book)
    with pytest.raises(DecodeError, match="malformed"):
        socket.change({100: "NaN"}, {})
    applied([e for e in socket.trades(PRINT) if isinstance(e, BookDelta)], book)
    assert (book.synced, book.gaps) == (False, 1)


def test_a_new_connection_begins_its_books_anew(socket):
    book = Book()
    for _ in range(5):
        socket.say(type="pong")
    applied(socket.whole({100: 1}, {101: 1}), book)
    applied(socket.change({100: 2}, {}), book)
    again = Socket(socket.made, "another")
    with pytest.raises(DecodeError, match="no whole book yet"):
        again.change({100: 9}, {})
    applied(again.whole({100: 5}, {101: 5}), book)
    applied(again.change({100: 6}, {}), book)
    assert (book.synced, book.gaps, book.bids) == (True, 0, {100.0: 6.0})


# -- trades, markets, history ----------------------------------------------------------------


def test_trades_and_liquidations(socket):
    expected = {"price": 114581.0, "size": 0.024, "id": PRINT["id"]}
    (past,) = socket.trades(PRINT, first=True)
    assert past == Trade(**common(PRINT_NS, history=True), **expected, side="buy")
    sold = {**PRINT, "side": "SELL"}
    assert socket.trades(sold) == [Trade(**common(PRINT_NS), **expected, side="sell")]
    trade, forced = socket.trades({**sold, "type": "LIQUIDATED"})
    assert isinstance(trade, Trade)
    assert forced == Liquidation(
        **common(PRINT_NS), position="long", price=114581.0, size=0.024, usd=114581.0 * 0.024
    )
    (off_book,) = socket.trades({**PRINT, "type": "DELEVERAGED"})
    assert (off_book.position, type(off_book)) == ("short", Liquidation)
    past_liquidation = socket.trades({**sold, "type": "LIQUIDATED"}, first=True)
    assert all(event.history for event in past_liquidation)


def test_markets_say_only_what_is_said(socket):
    row = {"clobPairId": "0", "ticker": "BTC-USD", "status": "ACTIVE", "oraclePrice": "60000"}
    row |= {"nextFundingRate": "0.0000125", "openInterest": "600"}
    new = {"ticker": "NEW-USD", "status": "INITIALIZING", "oraclePrice": "0"}
    mark, funding, interest = socket.markets(markets={"BTC-USD": row, "NEW-USD": new})
    assert mark == Mark(**common(), mark=60000.0, index=60000.0)
    assert funding == Funding(
        **common(),
        rate_8h=0.0001,
        rate=0.0000125,
        interval_h=1.0,
        next_ts=NEXT_HOUR,
    )
    assert interest == OpenInterest(**common(), base=600.0, usd=36_000_000.0)
    (rate,) = socket.markets(trading={"BTC-USD": {"nextFundingRate": "-0.00001"}})
    assert rate.rate_8h == -0.00008
    oracle = {"oraclePrice": "61000", "effectiveAt": "2025-08-04T00:42:07.119Z", "marketId": 0}
    assert socket.markets(oraclePrices={"BTC-USD": oracle}) == [
        Mark(**common(PRINT_NS), mark=61000.0, index=61000.0)
    ]
    (interest,) = socket.markets(trading={"BTC-USD": {"openInterest": "1"}})
    assert interest.usd == 61000.0
    (unknown,) = Socket(feed()).markets(trading={"BTC-USD": {"openInterest": "1"}})
    assert unknown.usd is None
    assert socket.markets(trading={"BTC-USD": {"volume24H": "7"}, "SOL-USD": row}) == []


def test_answers():
    rate = {"ticker": "BTC-USD", "rate": "0.00001", "price": "1", "effectiveAtHeight": "4"}
    rate["effectiveAt"] = "2025-08-04T00:42:07.119Z"
    data = json.dumps({"historicalFunding": [rate]})
    (funding,) = feed().decode(data, Context(recv=RECV))
    assert (funding.ts, funding.rate_8h, funding.history) == (PRINT_NS, 0.00008, True)
    assert funding.next_ts is None
    candle = {"startedAt": "2025-08-04T00:42:07.119Z", "ticker": "BTC-USD", "resolution": "1HOUR"}
    candle |= {"open": "100", "low": "1", "high": "1", "close": "1", "startingOpenInterest": "500"}
    (interest,) = feed().decode(json.dumps({"candles": [candle]}), Context(recv=RECV))
    assert interest == OpenInterest(**common(PRINT_NS, history=True), base=500.0, usd=50_000.0)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "unknown shape"),
        ({"type": "error", "message": "Invalid id", "message_id": 4}, "refused: Invalid id"),
        ({"errors": [{"msg": "no"}]}, "refused: [{'msg': 'no'}]"),
        ({"type": "channel_data", "channel": "v4_candles", "message_id": 1}, "unknown channel"),
        ({"type": "channel_data", "channel": "v4_trades", "message_id": "x"}, "malformed"),
        ({"type": "channel_data", "channel": "v4_trades", "message_id": 1}, NOT_OURS),
        ({"candles": [{}]}, "malformed"),
        ({"x": 1}, "unknown shape"),
    ],
)  # fmt: skip
def test_reasons(raw, reason):
    assert refused(raw) == reason


def test_without_a_time_nothing_is_claimed():
    made = feed()
    with pytest.raises(DecodeError, match="no time"):
        Socket(made).say(
            type="subscribed", channel="v4_orderbook", id="BTC-USD", contents={}, recv=None
        )
    far = {**PRINT, "createdAt": "9999-12-31T23:59:59-14:00"}
    with pytest.raises(DecodeError, match="malformed"):
        Socket(made, "b").trades(far)
    with pytest.raises(DecodeError, match="malformed"):
        Socket(made, "c").trades({**PRINT, "createdAt": "2025-08-04T00:42:07"})


def test_the_folder_lists_it():
    config, _ = load()
    made = build_feed("dydx", config.feeds["dydx"], config.instruments)
    assert made.provides == {"trades", "book", "mark", "funding", "oi", "liq"}
    assert len(made.connections()) == 2
    assert all(a.id != b.id for a, b in pairwise(made.connections()))
