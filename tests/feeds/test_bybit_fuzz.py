"""No bytes make the Bybit decoder raise anything but DecodeError, or give an unsound event."""

import json
import math
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import load
from engine.events import AnyEvent, Event
from engine.feeds.bybit import build
from engine.feeds.feed import Context, DecodeError
from engine.instruments import Instrument

CONFIG = load()[0].feeds["bybit"]
SHAPES_START = b'{"topic":"tickers.BTCUSDT","x":'
LINEAR, REST = "wss://x/v5/public/linear", "https://x/v5/market"
TICKER = {"symbol": "BTCUSDT", "markPrice": "10", "indexPrice": "11", "fundingRate": "0.0001"}
TICKER |= {"nextFundingTime": "8000", "fundingIntervalHour": "4", "openInterest": "60"}
TICKER |= {"singleOpenInterest": "30", "singleOpenInterestValue": "300", "openInterestValue": "1"}
TICKER |= {"bid1Price": "9", "bid1Size": "1", "ask1Price": "12", "ask1Size": "2"}
TRADE = {"T": 5, "s": "BTCUSDT", "S": "Sell", "v": "4", "p": "2.5", "i": "77", "BT": False}
BOOK = {"s": "BTCUSDT", "b": [["1", "2"]], "a": [["3", "4"]], "u": 7, "seq": 70}
CONTRACT = {"symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading"}
CONTRACT |= {"baseCoin": "BTC", "quoteCoin": "USDT", "fundingInterval": 480, "symbolType": ""}


def push(topic: str, data: object, kind: str = "snapshot") -> dict:
    topic = f"{topic}.BTCUSDT"
    return {"topic": topic, "type": kind, "data": data, "ts": 6, "cts": 5, "cs": 70}


def rest(*rows: dict, category: str = "linear") -> dict:
    result = {"category": category, "symbol": "BTCUSDT", "list": list(rows), "nextPageCursor": ""}
    return {"retCode": 0, "retMsg": "OK", "result": result, "time": 5}


SHAPES = [
    push("orderbook.200", BOOK),
    push("orderbook.200", {**BOOK, "u": 8}, "delta"),
    push("orderbook.1", BOOK),
    push("publicTrade", [TRADE, TRADE]),
    push("allLiquidation", [TRADE]),
    push("tickers", TICKER),
    push("tickers", TICKER, "delta"),
    rest(CONTRACT),
    rest({"symbol": "BTCUSDT", "buyRatio": "0.6", "sellRatio": "0.4", "timestamp": "5"}),
    rest({"openInterest": "4", "timestamp": "5"}),
    rest({"symbol": "BTCUSDT", "fundingRate": "0.1", "fundingRateTimestamp": "5"}),
    {"success": False, "ret_msg": "no", "op": "subscribe"},
]
VALID = [msgspec.json.encode(raw) for raw in SHAPES]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NUMBERS = st.sampled_from(["NaN", "-1", "0", "1e400", "1e-400", "9" * 30, "BTCUSD", ""])
VALUES = st.recursive(
    SCALARS | NUMBERS,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
)
URLS = st.sampled_from(
    ["", "http://[", LINEAR, "wss://x/v5/public/spot", f"{REST}/x?category=option"]
)


def feed():
    return build(CONFIG, [Instrument(id="BTCUSDT", group="x")])


def survives(made, data: bytes | str, url: str) -> None:
    """Events that can be printed, or a DecodeError; nothing else comes out."""
    events: Sequence[Event] = ()
    reason = "none"
    try:
        events = made.decode(data, Context(recv=1, url=url))
    except DecodeError as error:
        (reason,) = error.args
    assert 0 < len(reason) < 100
    made.is_ack(data)
    for event in events:
        assert isinstance(event, AnyEvent)
        text = msgspec.json.encode(event)
        assert msgspec.json.decode(text, type=AnyEvent) == event
        assert event.symbol
        numbers = [v for v in msgspec.structs.asdict(event).values() if isinstance(v, float)]
        assert all(math.isfinite(value) for value in numbers)


@given(st.binary(max_size=300) | st.text(max_size=100), URLS)
@settings(deadline=None)
def test_any_bytes(data, url):
    survives(feed(), data, url)


@given(
    st.sampled_from(VALID), st.integers(0, 400), st.integers(0, 300), st.binary(max_size=4), URLS
)
@settings(deadline=None, max_examples=250)
def test_mutated_frames(frame, at, skip, patch, url):
    made = feed()
    at %= len(frame) + 1
    for data in (frame, frame[:at], frame[:at] + patch + frame[at + skip % 8 :], frame):
        survives(made, data, url)


@pytest.mark.slow
@given(st.sampled_from(SHAPES), st.data(), URLS)
@settings(deadline=None, max_examples=250)
def test_any_value_in_any_place(shape, data, url):
    made = feed()
    raw = json.loads(json.dumps(shape))
    place = raw
    while True:
        keys = sorted(place) if isinstance(place, dict) else range(len(place))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.integers(0, 4)) == 0:
            place[key] = data.draw(VALUES)
            break
        place = place[key]
    for form in (shape, raw, shape):
        survives(made, json.dumps(form, separators=(",", ":")), url)
    survives(made, json.dumps(raw), url)
    with suppress(DecodeError):
        made.listed(json.dumps(raw).encode())


@given(VALUES, URLS)
@settings(deadline=None)
def test_any_json(value, url):
    survives(feed(), json.dumps(value), url)


def test_depth_of_nesting_is_no_danger():
    deep = b'{"a":' * 50_000
    for data in (deep, SHAPES_START + deep, b"[" * 100_000, "\ud800", b"\xff"):
        survives(feed(), data, "")
