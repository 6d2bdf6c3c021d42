"""No bytes make a decoder raise anything but DecodeError, or give an event that is not sound.

All feeds alike; what the fuzzed frames are made of is in seeds/NAME.yaml, and where they are
beside the checkout in the recorded and documented frames as well.
"""

import json
import re
from contextlib import suppress
from functools import cache
from itertools import islice
from math import isfinite
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.events import (
    AnyEvent,
    BookDelta,
    BookSnapshot,
    Event,
    FeedStatus,
    Headline,
    Kline,
    Liquidation,
    Mark,
    Metric,
    OpenInterest,
    Quote,
    Ratio,
    Trade,
)
from engine.feeds.feed import Context, DecodeError, Feed, feed_names
from engine.jobs.lines import read_lines

WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
RECORDED = {
    "binance": "binance_usdm/btcusdt_20240808.gz",
    "bybit": "bybit/BYBIT.jsonl.zst",
    "coinbase": "coinbase/COINBASE.jsonl.zst",
    "hyperliquid": "hyperliquid/btcusd_20250126.gz",
}
LONGEST = 20_000  # bytes of a frame worth mutating

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NUMBERS = st.sampled_from(
    ["NaN", "inf", "-1", "0", "-0.0", "1e400", "1e308", "1e-400", "1e-320", "9" * 30, "9" * 5000,
     1e300, 1e-300, 0, -1, 2**63, -(2**70), "BTCUSD", ""]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS | NUMBERS,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3),
)
ABOVE_ZERO = {
    Trade: ("price", "size"),
    Quote: ("bid", "ask"),
    Mark: ("mark", "index"),
    Liquidation: ("price", "size", "usd"),
    Kline: ("open", "high", "low", "close", "interval_s"),
}
NOT_BELOW_ZERO = {
    Quote: ("bid_size", "ask_size"),
    OpenInterest: ("base", "usd"),
    Ratio: ("value",),
    Kline: ("volume", "taker_buy_volume"),
}
NAMELESS = (FeedStatus, Headline, Metric)  # those that may be about no symbol


@pytest.fixture(scope="session", params=feed_names())
def begin(request, seeds):
    return seeds(request.param)


def check(event: Event, only: frozenset[str] = frozenset()) -> None:
    """It can be printed, and nothing in it is false."""
    assert isinstance(event, AnyEvent)
    assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event
    assert event.symbol or isinstance(event, NAMELESS)
    assert event.symbol in only or not only
    assert 0 <= event.ts < 2**63
    numbers = [v for v in msgspec.structs.asdict(event).values() if isinstance(v, float)]
    assert all(isfinite(value) for value in numbers)
    known = {key: getattr(event, key) for key in ABOVE_ZERO.get(type(event), ())}
    assert all(value is None or value > 0 for value in known.values()), event
    known = {key: getattr(event, key) for key in NOT_BELOW_ZERO.get(type(event), ())}
    assert all(value is None or value >= 0 for value in known.values()), event
    if isinstance(event, BookSnapshot | BookDelta):
        for price, size in (*event.bids, *event.asks):
            assert isfinite(price)
            assert price > 0
            assert isfinite(size)
            assert size >= 0


def survives(made: Feed, data: bytes | str, url: str, recv: int | None,
             only: frozenset[str] = frozenset()) -> list[str] | str:  # fmt: skip
    """Kinds of sound events, or the reason of a DecodeError; nothing else comes out."""
    context = Context(recv=recv, url=url, symbol="BTCUSDT")
    try:
        events = made.decode(data, context)
    except DecodeError as error:
        (reason,) = error.args
        assert isinstance(reason, str)
        assert 0 < len(reason) < 100
        return reason
    finally:
        assert made.is_ack(data) in (True, False)
    for event in events:
        check(event, only)
    return [type(event).__name__ for event in events]


def instants(begin) -> st.SearchStrategy:
    return st.sampled_from([1, begin.recv, None])


def test_the_seeds_are_what_they_are_meant_for(begin):
    made = begin.feed()
    for seed in begin.frames:
        assert survives(made, seed.data, seed.url, begin.recv, begin.only) == seed.gives, seed.url


@given(st.data(), st.binary(max_size=300) | st.text(max_size=100) | VALUES.map(json.dumps))
@settings(max_examples=200)
def test_any_bytes(begin, data, frame):
    url = data.draw(st.sampled_from(begin.urls))
    made = begin.feed(learned=data.draw(st.booleans()))
    survives(made, frame, url, data.draw(instants(begin)), begin.only)
    with suppress(DecodeError):
        made.listed(frame if isinstance(frame, bytes) else frame.encode(errors="replace"))


@given(st.data(), st.integers(0, 2000), st.integers(0, 7), st.binary(max_size=4), st.booleans())
@settings(max_examples=250)
def test_mutated_frames(begin, data, at, skip, patch, foreign):
    """Torn, with a hole, with foreign bytes; between whole ones, on a feed that has a state."""
    if not begin.frames:
        pytest.skip("no seeds")
    seed = data.draw(st.sampled_from(begin.frames))
    url = data.draw(st.sampled_from(begin.urls)) if foreign else seed.url
    at %= len(seed.data) + 1
    torn = seed.data[:at]
    made, recv = begin.feed(), data.draw(instants(begin))
    for frame in (seed.data, torn, torn + patch + seed.data[at + skip :], seed.data):
        survives(made, frame, url, recv, begin.only)


@pytest.mark.slow
@given(st.data(), st.booleans(), st.booleans())
@settings(max_examples=250)
def test_any_value_in_any_place(begin, data, learned, foreign):
    frames = [seed for seed in begin.frames if seed.data[:1] in (b"{", b"[")]
    if not frames:
        pytest.skip("no seeds")
    seed = data.draw(st.sampled_from(frames))
    url = data.draw(st.sampled_from(begin.urls)) if foreign else seed.url
    raw = msgspec.json.decode(seed.data)
    changed = replaced(raw, data)
    made, recv = begin.feed(learned), data.draw(instants(begin))
    frame = json.dumps(changed, separators=(",", ":"))
    for form in (seed.data, frame, seed.data, json.dumps(changed), json.dumps([raw, changed])):
        survives(made, form, url, recv, begin.only)
    with suppress(DecodeError):
        made.listed(json.dumps(changed).encode())


def replaced(raw: object, data: st.DataObject) -> object:
    """The same with another value in one place."""
    if raw and isinstance(raw, dict | list) and data.draw(st.integers(0, 6)):
        key = data.draw(st.sampled_from(sorted(raw) if isinstance(raw, dict) else range(len(raw))))
        copy = raw.copy()
        copy[key] = replaced(raw[key], data)
        return copy
    return data.draw(VALUES)


@given(st.data())
@settings(max_examples=60)
def test_any_order_of_frames(begin, data):
    if not begin.frames:
        pytest.skip("no seeds")
    made = begin.feed(data.draw(st.booleans()))
    for seed in data.draw(st.lists(st.sampled_from(begin.frames), max_size=12)):
        survives(made, seed.data, seed.url, data.draw(instants(begin)), begin.only)


def test_depth_of_nesting_is_no_danger(begin):
    deep = b'{"a":' * 50_000
    heads = {seed.data[: len(seed.data) // 2] for seed in begin.frames}
    for data in (deep, b"[" * 100_000, "\ud800", b"\xff", *(head + deep for head in heads)):
        for url in begin.urls:
            survives(begin.feed(), data, url, 1, begin.only)


@cache
def real_frames(name: str) -> list[tuple[bytes, str]]:
    """Frames as they came, with their urls, and the examples of the documentation."""
    out = []
    if name in RECORDED:
        lines = islice(read_lines(WIRE / RECORDED[name]), 2500)
        found = [(line.data, line.url) for line in lines if len(line.data) < LONGEST]
        out += found[:: max(1, len(found) // 200)]
    table = yaml.safe_load((Path(__file__).parent / "documented.yaml").read_text(encoding="utf-8"))
    for folder, block in table.items():
        for file in block["used"].get(name, ()):
            path = WIRE / "docs_examples" / folder / f"{file}.txt"
            text = path.read_text(encoding="utf-8", errors="replace")
            body = re.search(r"^=?\s*([\[{].*)", text, re.MULTILINE | re.DOTALL)
            url = f"https://x{text.split()[1]}?symbol=BTCUSDT" if "Endpoints" in file else ""
            out.append((body[1].encode(), url))
    return out


@pytest.mark.wire
@pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout")
@given(st.data(), st.integers(0, LONGEST), st.integers(0, 7), st.binary(max_size=4))
@settings(max_examples=200)
def test_mutated_real_frames(begin, data, at, skip, patch):
    frames = real_frames(begin.name)
    if not frames:
        pytest.skip("neither recorded nor documented here")
    frame, url = data.draw(st.sampled_from(frames))
    at %= len(frame) + 1
    made, recv = begin.feed(), data.draw(instants(begin))
    for form in (frame, frame[:at], frame[:at] + patch + frame[at + skip :], frame):
        survives(made, form, url, recv)
