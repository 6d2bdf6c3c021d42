"""No bytes make Hyperliquid's decoder raise anything but DecodeError, or give an unsound event."""

import json
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import load
from engine.events import AnyEvent
from engine.feeds.feed import Context, DecodeError, build_feed

CONFIG, _ = load()
TRADE = {"coin": "BTC", "side": "B", "px": "2.5", "sz": "4", "time": 5, "tid": 7}
TRADES = {"channel": "trades", "data": [TRADE]}
BBO = {"coin": "BTC", "time": 5, "bbo": [{"px": "1", "sz": "2", "n": 1}, {"px": "3", "sz": "4"}]}
BBO = {"channel": "bbo", "data": BBO}
CTX = {"funding": "0.0000125", "openInterest": "10", "oraclePx": "99", "markPx": "100"}
CTX |= {"premium": None, "midPx": None, "impactPxs": None, "dayNtlVlm": "1", "prevDayPx": "90"}
ASSET = {"channel": "activeAssetCtx", "data": {"coin": "BTC", "ctx": CTX}}
ROW = {"coin": "ETH", "fundingRate": "-0.0001", "premium": "0", "time": 5}
BOOK = {"coin": "BTC", "time": 5, "levels": [[{"px": "1", "sz": "2"}], [{"px": "3", "sz": "4"}]]}
BOOK = {"channel": "l2Book", "data": BOOK}
ACK = {"method": "subscribe", "subscription": {"type": "trades", "coin": "BTC"}}
ACK = {"channel": "subscriptionResponse", "data": ACK}
SHAPES = [TRADES, BOOK, BBO, ASSET, ACK, {"channel": "pong"}, [ROW], {"universe": []}]
FRAMES = [json.dumps(shape).encode() for shape in SHAPES]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3)
)


def survives(data: bytes | str) -> None:
    """Events that can be printed, or a DecodeError; nothing else comes out."""
    made = build_feed("hyperliquid", CONFIG.feeds["hyperliquid"], CONFIG.instruments)
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


@given(st.binary(max_size=300) | st.text(max_size=100) | VALUES.map(json.dumps))
@settings(deadline=None)
def test_any_bytes(data):
    survives(data)


@given(st.sampled_from(FRAMES), st.integers(0, 500), st.integers(0, 8), st.binary(max_size=4))
@settings(deadline=None, max_examples=250)
def test_mutated_frames(frame, at, skip, patch):
    at %= len(frame) + 1
    survives(frame[:at])
    survives(frame[:at] + patch + frame[at + skip :])


@pytest.mark.slow
@given(st.sampled_from(SHAPES[:5]), st.data())
@settings(deadline=None, max_examples=250)
def test_any_value_in_any_field(shape, data):
    inner = shape["data"][0] if shape is TRADES else shape["data"]
    inner = {**inner, data.draw(st.sampled_from(sorted(inner))): data.draw(VALUES)}
    survives(json.dumps({**shape, "data": [inner] if shape is TRADES else inner}))
