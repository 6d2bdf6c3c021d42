"""No bytes make Deribit's decoder raise anything but DecodeError, or give an unsound event."""

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
TS = 1_793_536_200_000
BOOK = {"type": "snapshot", "timestamp": TS, "change_id": 10, "bids": [["new", 100.0, 500.0]]}
BOOK |= {"asks": [["new", 200.0, 50.0]]}
CHANGE = {"type": "change", "timestamp": TS, "change_id": 13, "prev_change_id": 10, "asks": []}
CHANGE |= {"bids": [["change", 100.0, 300.0], ["delete", 90.0, 0.0]]}
PRINT = {"trade_id": "219381310", "timestamp": TS, "price": 50_000.0, "direction": "sell"}
PRINT |= {"amount": 1000.0, "liquidation": "MT"}
TICKER = {"timestamp": TS, "mark_price": 100.0, "index_price": 99.0, "open_interest": 5000.0}
TICKER |= {"funding_8h": 0.0001, "best_bid_price": 99.5, "best_bid_amount": 199.0}
TICKER |= {"best_ask_price": 100.5, "best_ask_amount": 201.0}
DVOL = {"timestamp": TS, "volatility": 45.5, "index_name": "btc_usd"}
OPTION = {"instrument_name": "BTC-27NOV26-100000-C", "mark_iv": 50.0, "open_interest": 10.0}
OPTION |= {"underlying_price": 100_000.0, "creation_timestamp": TS}
FUNDING = {"timestamp": TS, "interest_8h": -0.0002}


def said(channel: str, data: object) -> dict:
    return {"method": "subscription", "params": {"channel": channel, "data": data}}


STREAMS = [
    ("book.BTC-PERPETUAL.100ms", BOOK),
    ("book.BTC-PERPETUAL.100ms", CHANGE),
    ("ticker.BTC-PERPETUAL.100ms", TICKER),
    ("ticker.SOL_USDC-PERPETUAL.100ms", TICKER),
    ("deribit_volatility_index.btc_usd", DVOL),
]
ROWS = [OPTION, FUNDING, PRINT]
SHAPES = [
    *(said(channel, data) for channel, data in STREAMS),
    said("trades.BTC-PERPETUAL.100ms", [PRINT]),
    {"result": [OPTION], "usOut": TS * 1000},
    {"result": [FUNDING]},
    {"result": {"data": [[TS, 1, 1, 1, 46]]}},
    {"result": ["trades.BTC-PERPETUAL.100ms"], "id": 2},
    {"error": {"code": 1, "message": "no"}},
]
FRAMES = [json.dumps(shape).encode() for shape in SHAPES]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3)
)
URLS = st.sampled_from(
    ["", "http://[", "https://x?currency=BTC&resolution=3600&instrument_name=ETH-PERPETUAL"]
)


def survives(data: bytes | str, url: str) -> None:
    """Events that can be printed, or a DecodeError; nothing else comes out."""
    made = build_feed("deribit", CONFIG.feeds["deribit"], CONFIG.instruments)
    made.connections()
    events, reason = [], "none"
    try:
        events = made.decode(data, Context(recv=TS * 2_000_000, url=url))
    except DecodeError as error:
        (reason,) = error.args
    assert 0 < len(reason) < 100
    for event in events:
        assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event
        assert event.symbol
        numbers = [v for v in msgspec.structs.asdict(event).values() if isinstance(v, float)]
        assert all(math.isfinite(value) for value in numbers)


@given(st.binary(max_size=300) | st.text(max_size=100) | VALUES.map(json.dumps), URLS)
@settings(deadline=None)
def test_any_bytes(data, url):
    survives(data, url)


@given(st.sampled_from(FRAMES), st.integers(0, 500), st.integers(0, 8), st.binary(max_size=4), URLS)
@settings(deadline=None, max_examples=250)
def test_mutated_frames(frame, at, skip, patch, url):
    at %= len(frame) + 1
    survives(frame[:at], url)
    survives(frame[:at] + patch + frame[at + skip :], url)


@pytest.mark.slow
@given(st.sampled_from(STREAMS), st.data())
@settings(deadline=None, max_examples=250)
def test_any_value_in_any_field(stream, data):
    channel, row = stream
    row = {**row, data.draw(st.sampled_from(sorted(row))): data.draw(VALUES)}
    survives(json.dumps(said(channel, row)), "")
    survives(json.dumps(said(str(data.draw(VALUES)), row)), "")


@pytest.mark.slow
@given(st.sampled_from(ROWS), st.data(), URLS)
@settings(deadline=None, max_examples=250)
def test_any_value_in_any_row(row, data, url):
    row = {**row, data.draw(st.sampled_from(sorted(row))): data.draw(VALUES)}
    survives(json.dumps(said("trades.BTC-PERPETUAL.100ms", [row])), url)
    survives(json.dumps({"result": [row], "usOut": data.draw(SCALARS)}), url)
    survives(json.dumps({"result": {"data": [data.draw(VALUES)]}}), url)
