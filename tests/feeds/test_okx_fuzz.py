"""No bytes make the OKX decoder raise anything but DecodeError, or give an unsound event."""

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
from engine.feeds.feed import Context, DecodeError
from engine.feeds.okx import build
from engine.instruments import Instrument

CONFIG = load()[0].feeds["okx"]
SHAPES_START = b'{"arg":{"channel":"trades","x":'
BTC = "BTC-USDT-SWAP"
STATS = "https://x/api/v5/rubik/stat"
DEPTH = {"asks": [["3", "4", "0", "1"]], "bids": [["1", "2", "0", "1"]], "ts": "5", "seqId": 9}
CONTRACT = {"instId": BTC, "instType": "SWAP", "ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC"}
CONTRACT |= {"ctType": "linear", "settleCcy": "USDT", "state": "live", "ruleType": "normal"}
FORCED = {"bkPx": "2.5", "posSide": "net", "side": "sell", "sz": "8.55", "ts": "5"}
FUNDING = {"instId": BTC, "fundingRate": "0.0001", "fundingTime": "14400000", "ts": "5"}


def push(channel: str, row: object, name: str = BTC, **more: object) -> dict:
    return {"arg": {"channel": channel, "instId": name}, **more, "data": [row]}


SHAPES = [
    push("books", {**DEPTH, "prevSeqId": -1}, action="snapshot"),
    push("books", {**DEPTH, "prevSeqId": 9}, action="update"),
    push("bbo-tbt", DEPTH),
    push("trades", {"instId": BTC, "tradeId": "7", "px": "2", "sz": "4", "side": "buy", "ts": "5"}),
    push("mark-price", {"instId": BTC, "markPx": "10", "ts": "5"}),
    push("index-tickers", {"instId": "BTC-USDT", "idxPx": "11", "ts": "5"}, "BTC-USDT"),
    push("funding-rate", {**FUNDING, "nextFundingTime": "28800000"}),
    push("open-interest", {"instId": BTC, "oi": "5", "oiCcy": "5", "oiUsd": "50", "ts": "5"}),
    push("liquidation-orders", {"instId": BTC, "details": [FORCED]}),
    {"code": "0", "msg": "", "data": [CONTRACT]},
    {"code": "0", "msg": "", "data": [["5", "1.25", "3", "4"], ["4", "1", "3", "4"]]},
    {"code": "0", "msg": "", "data": [{"instId": BTC, "fundingRate": "1", "fundingTime": "5"}]},
    {"event": "error", "code": "60018", "msg": "no", "arg": {"channel": "books"}},
]
VALID = [msgspec.json.encode(raw) for raw in SHAPES]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NUMBERS = st.sampled_from(["NaN", "-1", "0", "1e400", "1e-400", "9" * 30, "BTCUSD", ""])
VALUES = st.recursive(
    SCALARS | NUMBERS,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
)
URLS = st.sampled_from(
    [
        "",
        "http://[",
        f"{STATS}/contracts/long-short-account-ratio-contract?instId={BTC}",
        f"{STATS}/contracts/open-interest-history?instId={BTC}",
        f"{STATS}/taker-volume-contract?instId={BTC}&period=9x",
    ]
)


def feed():
    made = build(CONFIG, [Instrument(id="BTCUSDT", group="x")])
    made.listed(msgspec.json.encode({"code": "0", "data": [CONTRACT]}))
    return made


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
