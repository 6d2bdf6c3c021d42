"""No bytes make the decoder raise anything but DecodeError, or give an event that is not sound."""

import json
import math
from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import AnyEvent, Event
from engine.feeds.binance.decode import Decoder
from engine.feeds.feed import Context, DecodeError

REST = "https://fapi.binance.com"
AGG = {"e": "aggTrade", "E": 6, "T": 5, "s": "BTCUSDT", "a": 7, "p": "2.5", "q": "4", "m": True}
TICKER = {"e": "bookTicker", "u": 9, "s": "BTCUSDT", "b": "1", "B": "2", "a": "3", "A": "4"}
TICKER |= {"E": 6, "T": 5}
DEPTH = {"e": "depthUpdate", "E": 6, "T": 5, "s": "BTCUSDT", "U": 2, "u": 4, "pu": 1}
DEPTH |= {"b": [["1.5", "2"]], "a": [["1.6", "0"]]}
MARK = {"e": "markPriceUpdate", "E": 6, "s": "BTCUSDT", "p": "10", "i": "11", "P": "9"}
MARK |= {"r": "0.0001", "T": 8_000}
FORCE = {"e": "forceOrder", "E": 6, "o": {"s": "BTCUSDT", "S": "SELL", "q": "9", "p": "8"}}
FORCE["o"] |= {"ap": "8.5", "X": "FILLED", "l": "1", "z": "3", "T": 5}
SHAPES = [AGG, TICKER, DEPTH, MARK, FORCE]


def valid_frames() -> list[bytes]:
    rest = [
        {"lastUpdateId": 5, "E": 6, "T": 5, "bids": [["1", "2"]], "asks": [["3", "4"]]},
        [[60_000, "1", "4", "0.5", "2", "100", 119_999, "200", 9, "40", "80", "0"]],
        {"openInterest": "3", "symbol": "BTCUSDT", "time": 5},
        [{"symbol": "BTCUSDT", "fundingIntervalHours": 4}],
        [{"longShortRatio": "1.5", "symbol": "BTCUSDT", "timestamp": "5"}],
        [{"buySellRatio": "1.5", "timestamp": 5}],
        {"symbols": []},
        {"result": None, "id": 1},
        {"error": {"code": 1, "msg": "x"}, "id": 1},
    ]
    combined = [{"stream": "x", "data": shape} for shape in SHAPES]
    return [msgspec.json.encode(raw) for raw in (*SHAPES, *combined, *rest)]


VALID = valid_frames()
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3)
)
URLS = st.sampled_from(
    ["", "http://[", f"{REST}/futures/data/topLongShortAccountRatio?symbol=BTCUSDT&interval=9x"]
)


def survives(data: bytes | str, url: str) -> None:
    """Events that can be printed, or a DecodeError; nothing else comes out."""
    events: Sequence[Event] = ()
    reason = "none"
    try:
        events = Decoder().decode(data, Context(recv=1, url=url, symbol="BTCUSDT"))
    except DecodeError as error:
        (reason,) = error.args
    assert 0 < len(reason) < 100
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
    survives(data, url)


@given(
    st.sampled_from(VALID), st.integers(0, 300), st.integers(0, 300), st.binary(max_size=4), URLS
)
@settings(deadline=None, max_examples=250)
def test_mutated_frames(frame, at, skip, patch, url):
    at %= len(frame) + 1
    survives(frame[:at], url)
    survives(frame[:at] + patch + frame[at + skip % 8 :], url)


@given(st.sampled_from([*SHAPES, FORCE["o"]]), st.data(), URLS)
@settings(deadline=None, max_examples=250)
def test_any_value_in_any_field(shape, data, url):
    key = data.draw(st.sampled_from(sorted(shape)))
    raw = {**shape, key: data.draw(VALUES)}
    if "S" in shape:
        raw = {**FORCE, "o": raw}
    for form in (raw, [raw], {"stream": "x", "data": raw}):
        survives(json.dumps(form), url)


@given(VALUES, URLS)
@settings(deadline=None)
def test_any_json(value, url):
    survives(json.dumps(value), url)
