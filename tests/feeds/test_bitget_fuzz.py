"""No bytes make the decoder raise anything but DecodeError, or give an event that is not sound."""

import json
import math
from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import load
from engine.events import AnyEvent, Event
from engine.feeds.bitget import build
from engine.feeds.feed import Context, DecodeError
from engine.instruments import Instrument

CONFIG = load()[0].feeds["bitget"]
REST = "https://api.bitget.com/api"
BOOK = {"a": [["1.6", "0"]], "b": [["1.5", "2"]], "pseq": 4, "seq": 5, "ts": "5"}
TRADE = {"i": "9", "p": "2.5", "v": "4", "S": "sell", "T": "5", "isRPI": "no"}
TICKER = {"markPrice": "10", "indexPrice": "11", "fundingRate": "0.0001", "openInterest": "3"}
TICKER |= {"nextFundingTime": "8000", "bid1Price": "9"}
FORCED = {"symbol": "BTCUSDT", "side": "buy", "price": "2", "amount": "3", "ts": "5"}
LISTED = {"symbol": "BTCUSDT", "quoteCoin": "USDT", "type": "perpetual", "symbolType": "crypto"}
LISTED |= {"status": "online", "fundInterval": "8", "isRwa": "NO"}
NOW = {"symbol": "BTCUSDT", "fundingRate": "0.1", "fundingRateInterval": "8", "nextUpdate": "9"}
SETTLED = {"symbol": "BTCUSDT", "fundingRate": "0.1", "fundingRateTimestamp": "9"}
RATIO = {"longShortAccountRatio": "1.5", "ts": "9"}
PUSHES = {
    "books": BOOK, "books1": BOOK, "publicTrade": TRADE, "ticker": TICKER, "liquidation": FORCED,
}  # fmt: skip
ANSWERS = {
    "v3/market/instruments": LISTED,
    "v2/mix/market/current-fund-rate": NOW,
    "v3/market/history-fund-rate": SETTLED,
    "v2/mix/market/account-long-short": RATIO,
}


def push(topic: str, row: object) -> dict:
    arg = {"instType": "usdt-futures", "topic": topic, "symbol": "BTCUSDT"}
    return {"data": [row], "arg": arg, "action": "update", "ts": 6}


def answer(path: str, row: object) -> dict:
    data: object = {"resultList": [row]} if "history" in path else [row]
    return {"code": "00000", "msg": "success", "requestTime": 6, "data": data}


OTHERS = [
    {"event": "subscribe", "arg": {"instType": "usdt-futures", "topic": "books"}},
    {"event": "error", "code": 30001, "msg": "x"},
]

FRAMES = [push(name, row) for name, row in PUSHES.items()]
PAGES = [answer(path, row) for path, row in ANSWERS.items()]
VALID = [msgspec.json.encode(raw) for raw in (*FRAMES, *PAGES, *OTHERS)]
CATALOGUE = msgspec.json.encode(answer("v3/market/instruments", LISTED))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
HUGE = st.sampled_from(["NaN", "1e400", "-1", "1e308", "9" * 5000, 1e300, -(2**70), "1e-320", ""])
VALUES = st.recursive(
    SCALARS | HUGE,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
)
URLS = st.sampled_from(["", "http://[", *(f"{REST}/{path}?symbol=BTCUSDT" for path in ANSWERS)])


def survives(data: bytes | str, url: str, fresh: bool = False) -> None:
    """Events that can be printed, or a DecodeError; nothing else comes out."""
    made = build(CONFIG, [Instrument(id="BTCUSDT", group="x")])
    if not fresh:
        made.listed(CATALOGUE)
    events: Sequence[Event] = ()
    reason = "none"
    try:
        events = made.decode(data, Context(recv=1, url=url, symbol="BTCUSDT"))
    except DecodeError as error:
        (reason,) = error.args
    assert 0 < len(reason) < 100
    assert made.is_ack(data) in (True, False)
    for event in events:
        assert isinstance(event, AnyEvent)
        assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event
        assert event.symbol == "BTCUSDT"
        numbers = [v for v in msgspec.structs.asdict(event).values() if isinstance(v, float)]
        assert all(math.isfinite(value) for value in numbers)
        positive = [getattr(event, key, 1.0) for key in ("price", "size", "mark", "bid", "ask")]
        assert all(value > 0 for value in positive)


@given(st.binary(max_size=300) | st.text(max_size=100), URLS)
@settings(deadline=None)
def test_any_bytes(data, url):
    survives(data, url)


@given(
    st.sampled_from(VALID), st.integers(0, 400), st.integers(0, 400), st.binary(max_size=4), URLS
)
@settings(deadline=None, max_examples=250)
def test_mutated_frames(frame, at, skip, patch, url):
    at %= len(frame) + 1
    survives(frame[:at], url)
    survives(frame[:at] + patch + frame[at + skip % 8 :], url)


@given(st.sampled_from(sorted(PUSHES)), st.data(), URLS, st.booleans())
@settings(deadline=None, max_examples=250)
def test_any_value_in_any_field(name, data, url, fresh):
    key = data.draw(st.sampled_from(sorted(PUSHES[name])))
    survives(json.dumps(push(name, {**PUSHES[name], key: data.draw(VALUES)})), url, fresh)


@given(st.sampled_from(sorted(ANSWERS)), st.data(), st.booleans())
@settings(deadline=None, max_examples=150)
def test_any_value_in_any_answer(path, data, fresh):
    key = data.draw(st.sampled_from(sorted(ANSWERS[path])))
    raw = answer(path, {**ANSWERS[path], key: data.draw(VALUES)})
    survives(json.dumps(raw), f"{REST}/{path}?symbol=BTCUSDT", fresh)


@given(VALUES, URLS)
@settings(deadline=None)
def test_any_json(value, url):
    survives(json.dumps(value), url)
