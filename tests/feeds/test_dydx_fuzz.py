"""No bytes make dYdX's decoder raise anything but DecodeError, or give an unsound event."""

import json
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import load
from engine.events import AnyEvent, BookDelta, BookSnapshot
from engine.feeds.feed import Context, DecodeError, build_feed
from engine.market.book import Book

CONFIG, _ = load()
PRINT = {"id": "02b6", "side": "BUY", "size": "0.024", "price": "114581", "type": "LIQUIDATED"}
PRINT |= {"createdAt": "2025-08-04T00:42:07.119Z"}
WHOLE = {"bids": [{"price": "99", "size": "1"}], "asks": [{"price": "101", "size": "2"}]}
ROW = {"oraclePrice": "60000", "nextFundingRate": "0.00001", "openInterest": "600"}
ORACLE = {"oraclePrice": "61000", "effectiveAt": "2025-08-04T00:42:07.119Z"}
CANDLE = {"startedAt": "2025-08-04T00:00:00.000Z", "ticker": "BTC-USD", "open": "1"}
CANDLE |= {"startingOpenInterest": "5"}
RATE = {"ticker": "BTC-USD", "rate": "0.00001", "effectiveAt": "2025-08-04T00:00:00.000Z"}


def frame(kind: str, channel: str, contents: object, number: int = 1) -> dict:
    link = {"connection_id": "c", "message_id": number, "id": "BTC-USD"}
    return {"type": kind, **link, "channel": channel, "contents": contents}


SHAPES = [
    frame("subscribed", "v4_orderbook", WHOLE),
    frame("channel_data", "v4_orderbook", {"bids": [["100", "1"]], "asks": [["100", "0"]]}),
    frame("channel_batch_data", "v4_orderbook", [{"bids": [["102", "1"]]}]),
    frame("subscribed", "v4_trades", {"trades": [PRINT]}),
    frame("channel_data", "v4_trades", {"trades": [PRINT]}),
    frame("subscribed", "v4_markets", {"markets": {"BTC-USD": ROW}}),
    frame("channel_data", "v4_markets", {"trading": {"BTC-USD": ROW}}),
    frame("channel_data", "v4_markets", {"oraclePrices": {"BTC-USD": ORACLE}}),
    {"type": "connected", "connection_id": "c", "message_id": 0},
    {"type": "error", "message": "no", "connection_id": "c", "message_id": 1},
    {"candles": [CANDLE]},
    {"historicalFunding": [RATE]},
    {"markets": {}},
]
FRAMES = [json.dumps(shape).encode() for shape in SHAPES]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3)
)


def survives(*frames: bytes | str) -> None:
    """Events that can be printed and a book never crossed, or DecodeErrors; nothing else."""
    made = build_feed("dydx", CONFIG.feeds["dydx"], CONFIG.instruments)
    book = Book()
    for data in (FRAMES[8], FRAMES[0], *frames):
        events, reason = [], "none"
        try:
            events = made.decode(data, Context(recv=1))
        except DecodeError as error:
            (reason,) = error.args
        assert 0 < len(reason) < 100
        for event in events:
            assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event
            assert event.symbol
            numbers = [v for v in msgspec.structs.asdict(event).values() if isinstance(v, float)]
            assert all(math.isfinite(value) for value in numbers)
            if isinstance(event, BookSnapshot) and event.symbol == "BTCUSDT":
                book.snapshot(event)
            elif isinstance(event, BookDelta) and event.symbol == "BTCUSDT":
                book.delta(event)
        assert max(book.bids, default=0.0) < min(book.asks, default=math.inf)


@given(st.binary(max_size=300) | st.text(max_size=100) | VALUES.map(json.dumps))
@settings(deadline=None)
def test_any_bytes(data):
    survives(data)


@given(st.sampled_from(FRAMES), st.integers(0, 500), st.integers(0, 8), st.binary(max_size=4))
@settings(deadline=None, max_examples=250)
def test_mutated_frames(frame, at, skip, patch):
    at %= len(frame) + 1
    survives(frame[:at], frame[:at] + patch + frame[at + skip :], *FRAMES[1:3])


@pytest.mark.slow
@given(st.sampled_from(SHAPES), st.data())
@settings(deadline=None, max_examples=250)
def test_any_value_in_any_field(shape, data):
    key = data.draw(st.sampled_from(sorted(shape)))
    survives(json.dumps({**shape, key: data.draw(VALUES)}), *FRAMES[1:3])


@pytest.mark.slow
@given(st.sampled_from([PRINT, ROW, ORACLE, CANDLE, RATE]), st.data())
@settings(deadline=None, max_examples=250)
def test_any_value_in_any_row(row, data):
    row = {**row, data.draw(st.sampled_from(sorted(row))): data.draw(VALUES)}
    survives(
        json.dumps(frame("channel_data", "v4_trades", {"trades": [row]}, 2)),
        json.dumps(frame("channel_data", "v4_markets", {"trading": {"BTC-USD": row}}, 3)),
        json.dumps({"candles": [row], "x": 1}),
        json.dumps({"historicalFunding": [row]}),
    )


@given(st.lists(st.tuples(st.sampled_from(SHAPES[:5]), st.integers(0, 6)), max_size=12))
@settings(deadline=None)
def test_any_order_of_messages(frames):
    survives(*[json.dumps({**shape, "message_id": number}) for shape, number in frames])
