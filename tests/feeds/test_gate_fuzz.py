"""No bytes make the decoder raise anything but DecodeError, or give an event that is not sound."""

import json
import math
from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config import load
from engine.events import AnyEvent, Event
from engine.feeds.feed import Context, DecodeError
from engine.feeds.gate import build
from engine.instruments import Instrument

CONFIG = load()[0].feeds["gate"]
REST = "https://api.gateio.ws/api/v4/futures/usdt"
BOOK = {"t": 5, "s": "ob.BTC_USDT.400", "U": 8, "u": 9, "full": False}
BOOK |= {"b": [["1.5", "2"]], "a": [["1.6", "0"]]}
TRADE = {"size": "-108.5", "id": 7, "create_time_ms": 5, "price": "2.5", "contract": "BTC_USDT"}
TICKER = {"contract": "BTC_USDT", "mark_price": "10", "index_price": "11", "total_size": "6.5"}
TICKER |= {"funding_rate": "0.0001", "funding_interval": 28800, "funding_next_apply": 5}
QUOTE = {"t": 5, "u": 9, "s": "BTC_USDT", "b": "1", "B": "2.5", "a": "3", "A": 4}
FORCED = {"price": "215.1", "size": "-124.5", "time": 1541486601123, "contract": "BTC_USDT"}
STATS = {"time": 1742812860, "contract": "BTC_USDT", "lsr_taker": 0.5, "lsr_account": 1.5}
STATS |= {"top_lsr_account": "2", "top_lsr_size": "3", "open_interest": "8"}
STATS |= {"open_interest_usd": 40}
LISTED = {"name": "BTC_USDT", "quanto_multiplier": "0.5", "type": "direct", "status": "trading"}
LISTED |= {"in_delisting": False, "contract_type": "", "funding_interval": 28800}
LISTED |= {"funding_next_apply": 28800}
PUSHES = {
    "obu": BOOK, "trades": TRADE, "tickers": TICKER, "book_ticker": QUOTE,
    "public_liquidates": FORCED, "contract_stats": STATS,
}  # fmt: skip
ANSWERS = {"contracts": LISTED, "contract_stats": STATS, "funding_rate": {"t": 5, "r": "0.1"}}


def push(channel: str, row: object) -> dict:
    single = channel in ("obu", "book_ticker", "contract_stats")
    frame = {"time": 1, "time_ms": 6, "channel": f"futures.{channel}", "event": "update"}
    return {**frame, "result": row if single else [row]}


def answer(path: str, row: object) -> list:
    return [row]


OTHERS = [
    {"channel": "futures.obu", "event": "subscribe", "result": {"status": "success"}},
    {"channel": "futures.obu", "event": "subscribe", "error": {"code": 2, "message": "x"}},
    {"channel": "futures.pong", "event": "", "result": None},
]

FRAMES = [push(name, row) for name, row in PUSHES.items()]
PAGES = [answer(path, row) for path, row in ANSWERS.items()]
VALID = [msgspec.json.encode(raw) for raw in (*FRAMES, *PAGES, *OTHERS)]
CATALOGUE = msgspec.json.encode(answer("contracts", LISTED))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
HUGE = st.sampled_from(["NaN", "1e400", "-1", "1e308", "9" * 5000, 1e300, -(2**70), "1e-320", ""])
VALUES = st.recursive(
    SCALARS | HUGE,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
)
URLS = st.sampled_from(["", "http://[", *(f"{REST}/{path}?contract=BTC_USDT" for path in ANSWERS)])


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
    survives(json.dumps(raw), f"{REST}/{path}?contract=BTC_USDT", fresh)


@given(VALUES, URLS)
@settings(deadline=None)
def test_any_json(value, url):
    survives(json.dumps(value), url)
