"""Hyperliquid: what is subscribed, how the two depths become one book, what is refused."""

import gzip
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import NS
from engine.config import ConfigError, load
from engine.events import (
    BookSnapshot,
    Funding,
    Mark,
    OpenInterest,
    Quote,
    Trade,
)
from engine.feeds.feed import Context, DecodeError, build_feed
from engine.feeds.hyperliquid import Hyperliquid, build
from engine.instruments import Instrument
from engine.market.book import Book

WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
wire = [
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout"),
]
NOW = 1_795_000_050 * NS
RECV = 1_000_000 * NS
CONFIG = load()[0].feeds["hyperliquid"]
LEVELS = {"bids": [("100", "1"), ("99", "2")], "asks": [("101", "3"), ("102", "4")]}
TRADE = {"coin": "BTC", "side": "B", "px": "2.5", "sz": "4", "time": 5, "tid": 7}
TRADES = {"channel": "trades", "data": [TRADE]}
BBO = {"coin": "BTC", "time": 5, "bbo": [{"px": "1", "sz": "2", "n": 1}, {"px": "3", "sz": "4"}]}
BBO = {"channel": "bbo", "data": BBO}
CTX = {"funding": "0.0000125", "openInterest": "10", "oraclePx": "99", "markPx": "100"}
CTX |= {"premium": None, "midPx": None, "impactPxs": None, "dayNtlVlm": "1", "prevDayPx": "90"}
ASSET = {"channel": "activeAssetCtx", "data": {"coin": "BTC", "ctx": CTX}}
ROW = {"coin": "ETH", "fundingRate": "-0.0001", "premium": "0", "time": 5}


def book(bids: list[float], asks: list[float], time: int = 5, coin: str = "BTC", **more) -> dict:
    levels = [[{"px": str(p), "sz": str(p / 100), "n": 1} for p in side] for side in (bids, asks)]
    return {"channel": "l2Book", "data": {"coin": coin, "time": time, "levels": levels, **more}}


BOOK = book([100, 99], [101, 102])


def feed(*symbols: str, **changes) -> Hyperliquid:
    instruments = [Instrument(id=s, group="x") for s in symbols or ("BTCUSDT", "PEPEUSDT")]
    return build(msgspec.structs.replace(CONFIG, **changes), instruments)


def decode(raw: object, made: Hyperliquid | None = None, recv: int | None = RECV) -> list:
    data = raw if isinstance(raw, bytes | str) else json.dumps(raw)
    return list((made or feed()).decode(data, Context(recv=recv)))


def refused(raw: object, **more) -> str:
    with pytest.raises(DecodeError) as error:
        decode(raw, **more)
    return error.value.args[0]


def common(symbol: str = "BTCUSDT", ts: int = 5_000_000, **more) -> dict:
    kept = {"venue": "hyperliquid", "market": "perp", "symbol": symbol, "ts": ts, "recv": RECV}
    return {**kept, **more}


def ack(coin: str) -> dict:
    asked = {"method": "subscribe", "subscription": {"type": "trades", "coin": coin}}
    return {"channel": "subscriptionResponse", "data": asked}


# -- what is subscribed ----------------------------------------------------------------------


def test_two_sockets_because_both_depths_share_channel_and_coin():
    live, depth = feed().connections()
    assert (live.id, depth.id) == ("live", "depth")
    assert live.url == depth.url == "wss://api.hyperliquid.xyz/ws"
    asked = [msgspec.json.decode(frame)["subscription"] for frame in live.subscribe]
    assert [(a["type"], a["coin"], a.get("fast")) for a in asked] == [
        ("l2Book", "BTC", True),
        ("l2Book", "kPEPE", True),
        ("bbo", "BTC", None),
        ("bbo", "kPEPE", None),
        ("trades", "BTC", None),
        ("trades", "kPEPE", None),
        ("activeAssetCtx", "BTC", None),
        ("activeAssetCtx", "kPEPE", None),
    ]
    assert [msgspec.json.decode(f)["subscription"] for f in depth.subscribe] == [
        {"type": "l2Book", "coin": "BTC"},
        {"type": "l2Book", "coin": "kPEPE"},
    ]
    assert depth.streams == (("depth", "BTCUSDT"), ("depth", "PEPEUSDT"))
    assert live.ping == ('{"method":"ping"}', 30.0)
    assert live.sends_per_second * 60 <= 2000


def test_wanted_streams_and_urls():
    (only,) = feed(streams=["trade"]).connections()
    assert {channel for channel, _ in only.streams} == {"trade"}
    with pytest.raises(ConfigError, match=r"feeds\.hyperliquid\.streams: no stream 'mark'"):
        feed(streams=["mark"])
    with pytest.raises(ConfigError, match=r"feeds\.hyperliquid\.urls\.rest: missing"):
        feed(urls={"ws": "wss://x"})


def test_the_catalogue_leaves_out_what_would_close_the_socket():
    made = feed()
    request = made.catalogue_request()
    assert (request.url, request.body) == ("https://api.hyperliquid.xyz/info", '{"type":"meta"}')
    assert made.carries("trades", "BTCUSDT")
    rows = [{"name": "kPEPE"}, {"name": "BTC", "isDelisted": True}, {"name": "xyz:SP500"}]
    answer = msgspec.json.encode({"universe": rows})
    assert made.listed(answer) == {"PEPEUSDT"}
    assert {s for c in made.connections() for _, s in c.streams} == {"PEPEUSDT"}
    assert made.carries("book", "PEPEUSDT")
    assert not made.carries("book", "BTCUSDT")
    assert not made.carries("liq", "PEPEUSDT")
    assert {r.symbol for r in made.backfill(NOW, ["BTCUSDT", "PEPEUSDT"])} == {"PEPEUSDT"}
    assert decode(answer, made) == []
    for nonsense in (b"", b"[]", b'{"universe":[]}', b"null"):
        with pytest.raises(DecodeError):
            made.listed(nonsense)


def test_backfill_covers_thirty_days_of_hours_once():
    requests = feed().backfill(NOW, ["BTCUSDT", "PEPEUSDT"])
    bodies = [msgspec.json.decode(r.body) for r in requests if r.symbol == "PEPEUSDT"]
    assert {(b["type"], b["coin"]) for b in bodies} == {("fundingHistory", "kPEPE")}
    spans = sorted((b["startTime"], b["endTime"] + 1) for b in bodies)
    assert all(a[1] >= b[0] for a, b in pairwise(spans)), "no hole"
    assert spans[-1][1] - spans[0][0] == 30 * 24 * 3_600_000
    assert spans[-1][0] < NOW // 1_000_000 < spans[-1][1]
    assert max(end - start for start, end in spans) <= 500 * 3_600_000
    assert [r.purpose for r in requests] == ["funding first"] * 2 + ["funding"] * 4
    assert feed(backfill=False).backfill(NOW, ["BTCUSDT"]) == []
    assert feed().top_up(0, NOW, ["BTCUSDT"]) == []
    assert feed().polls() == []
    assert feed().book_request("BTCUSDT") is None
    assert feed().resubscribe("BTCUSDT") is None


@pytest.mark.parametrize(
    ("raw", "is_ack"), [(ack("BTC"), True), (BOOK, False), ({"channel": "pong"}, False)]
)
def test_acks(raw, is_ack):
    assert feed().is_ack(json.dumps(raw)) is is_ack
    assert feed().is_ack(msgspec.json.encode(raw)) is is_ack


# -- what comes ------------------------------------------------------------------------------


def test_first_trades_after_a_subscription_are_the_past():
    made = feed()
    first = Trade(**common(history=True), price=2.5, size=4.0, side="buy", id=7)
    assert decode(ack("BTC"), made) == []
    assert decode(TRADES, made) == [first]
    assert decode({**TRADES, "data": [{**TRADE, "side": "A"}]}, made)[0].side == "sell"
    assert not decode(TRADES, made)[0].history
    decode(ack("BTC"), made, recv=RECV)
    assert decode(TRADES, made, recv=RECV + NS)[0].history, "a reconnect replays again"
    decode(ack("BTC"), made, recv=RECV)
    late = decode(TRADES, made, recv=RECV + 6 * NS)
    assert not late[0].history, "the replay comes at once; six seconds later it is a trade"


def test_context_is_mark_funding_and_interest():
    mark, funding, interest = decode(ASSET)
    assert mark == Mark(**common(ts=RECV), mark=100.0, index=99.0)
    assert funding == Funding(
        **common(ts=RECV),
        rate_8h=0.0001,
        rate=0.0000125,
        interval_h=1.0,
        next_ts=(RECV // (3600 * NS) + 1) * 3600 * NS,
    )
    assert interest == OpenInterest(**common(ts=RECV), base=10.0, usd=1000.0)
    assert refused(ASSET, recv=None) == "no time"


def test_lots_are_resolved_here():
    made = feed()
    (trade,) = decode({**TRADES, "data": [{**TRADE, "coin": "kPEPE"}]}, made)
    assert (trade.symbol, trade.price, trade.size) == ("PEPEUSDT", 0.0025, 4000.0)
    mark, _, interest = decode({**ASSET, "data": {"coin": "kPEPE", "ctx": CTX}}, made)
    assert (mark.mark, mark.index) == (0.1, 0.099)
    assert (interest.base, interest.usd) == (10_000.0, 1000.0)
    (snapshot,) = decode(book([100], [200], coin="kPEPE"), made)
    assert (snapshot.bids, snapshot.asks) == ([(0.1, 1000.0)], [(0.2, 2000.0)])


def test_quote_needs_both_sides():
    expected = Quote(**common(), bid=1.0, ask=3.0, bid_size=2.0, ask_size=4.0, seq=5)
    assert decode(BBO) == [expected]
    one_sided = {**BBO["data"], "bbo": [None, BBO["data"]["bbo"][1]]}
    assert decode({"channel": "bbo", "data": one_sided}) == []


def test_a_book_is_five_levels_laid_over_twenty():
    made = feed()
    deep = book([100 - i for i in range(20)], [101 + i for i in range(20)], time=10)
    (whole,) = decode(deep, made)
    assert (len(whole.bids), len(whole.asks), whole.seq) == (20, 20, 10)
    fast = book([102, 101, 100, 99, 97], [103, 104, 105, 106, 107], time=540)
    (laid,) = decode(fast, made)
    assert [p for p, _ in laid.bids] == [102, 101, 100, 99, 97, *range(96, 80, -1)]
    assert [p for p, _ in laid.asks] == [*range(103, 108), *range(108, 121)]
    assert (laid.seq, laid.ts) == (540, 540_000_000)
    older = book([100 - i for i in range(6)], [101 + i for i in range(6)], time=500)
    (under,) = decode(older, made)
    assert [p for p, _ in under.bids] == [102, 101, 100, 99, 97, 96, 95]
    assert under.seq == 540, "the older twenty lie under the newer five"
    assert decode(book([90, 89, 88, 87, 86], [91, 92, 93, 94, 95], time=530), made) == []
    newer = book([100 - i for i in range(6)], [101 + i for i in range(6)], time=600)
    assert [p for p, _ in decode(newer, made)[0].bids] == [100, 99, 98, 97, 96, 95]
    assert decode(book([9, 8, 7, 6, 5], [11, 12, 13, 14, 15], time=599), made) == []


def test_depth_that_is_too_old_is_not_shown():
    made = feed()
    decode(book([100 - i for i in range(20)], [101 + i for i in range(20)], time=10), made)
    fast = book([100, 99, 98, 97, 96], [101, 102, 103, 104, 105], time=15_011)
    assert len(decode(fast, made)[0].bids) == 5


def test_fewer_than_five_levels_are_all_there_are():
    made = feed()
    decode(book([100 - i for i in range(20)], [101 + i for i in range(20)], time=10), made)
    (thin,) = decode(book([100, 99], [101, 102, 103, 104, 105], time=20), made)
    assert (len(thin.bids), len(thin.asks)) == (2, 20)
    (empty,) = decode(book([], [], time=30), made)
    assert empty.bids == empty.asks == []


def test_the_flag_decides_where_it_is_sent():
    made = feed()
    decode(book([100 - i for i in range(20)], [101 + i for i in range(20)], time=10), made)
    small = book([100, 99, 98, 97, 96], [101, 102, 103, 104, 105], time=20, fast=False)
    assert len(decode(small, made)[0].bids) == 5, "a whole book of five levels"


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(-9, 9)), max_size=20))
@settings(deadline=None)
def test_no_order_of_frames_crosses_the_book(frames):
    made, kept = feed(), Book()
    for fast, time, shift in frames:
        size = 5 if fast else 20
        bids = [100 + shift - i for i in range(size)]
        raw = book(bids, [bids[0] + 1 + i for i in range(size)], time=time * 100)
        for event in decode(raw, made):
            kept.snapshot(event)
            assert max(kept.bids) < min(kept.asks)
            assert kept.seq == event.seq
    assert kept.stale_dropped == 0


def test_past_funding():
    (row,) = decode([ROW])
    expected = Funding(
        **common("ETHUSDT", history=True), rate_8h=-0.0008, rate=-0.0001, interval_h=1.0,
        next_ts=None,
    )  # fmt: skip
    assert row == expected
    assert decode([]) == []


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"7", "unknown shape"),
        ({"channel": "candle", "data": {}}, "unknown channel"),
        ({"channel": ["trades"]}, "unknown channel"),
        ({"channel": "trades", "data": [{}]}, "malformed"),
        ({"channel": "error", "data": "Already subscribed"}, "refused: Already subscribed"),
        ({**TRADES, "data": [{**TRADE, "coin": "xyz:SP500"}]}, "not a linear perpetual"),
        ({**TRADES, "data": [{**TRADE, "coin": "@107"}]}, "not a linear perpetual"),
        ({**TRADES, "data": [{**TRADE, "coin": "PURR/USDC"}]}, "not a linear perpetual"),
        (book([101], [100]), "crossed book"),
        (book([100], [100]), "crossed book"),
        ([{"fundingRate": "x"}], "malformed"),
    ],
)
def test_reasons(raw, reason):
    assert refused(raw) == reason


@pytest.mark.parametrize("bad", ["NaN", "inf", "-1", "1e999", "x", "", None, "1e20", [], True])
@pytest.mark.parametrize("key", ["px", "sz"])
def test_impossible_numbers_are_malformed(key, bad):
    assert refused({**TRADES, "data": [{**TRADE, key: bad}]}) == "malformed"
    assert refused({**ASSET, "data": {"coin": "BTC", "ctx": {**CTX, "markPx": bad}}}) == "malformed"


# -- the recording and the documentation -----------------------------------------------------


class TestRecording:
    pytestmark = wire

    def test_every_line(self):
        made, kept = feed(), Book()
        kinds: Counter[tuple] = Counter()
        ids: list[int] = []
        with gzip.open(WIRE / "hyperliquid" / "btcusd_20250126.gz") as lines:
            rows = [line.rstrip().split(b" ", 1) for line in lines]
        assert len(rows) == 55
        for recv, data in rows:
            for event in made.decode(data, Context(recv=int(recv))):
                kinds[type(event), event.history] += 1
                assert event.symbol == "BTCUSDT"
                assert 0 < event.recv - event.ts < 60 * NS
                if isinstance(event, Trade):
                    ids.append(event.id)
                else:
                    kept.snapshot(event)
                    assert len(kept.bids) == len(kept.asks) == 20
                    assert max(kept.bids) < min(kept.asks)
        assert kinds[BookSnapshot, False] == 46
        assert (kept.snapshots, kept.applied, kept.resyncs) == (1, 45, 0)
        assert kinds[Trade, True] == 30
        assert kinds[Trade, False] == 34
        assert len(ids) == len(set(ids))


@pytest.mark.wire
@pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout")
def test_documented_answers():
    folder = WIRE / "docs_examples" / "HyperLiquid" / "Endpoints" / "Futures" / "ExchangeData"

    def answer(name: str) -> str:
        return (folder / f"{name}.txt").read_text().split("\n", 3)[3]

    (row,) = decode(answer("GetFundingRateHistory"))
    assert (row.symbol, row.rate, row.history) == ("ETHUSDT", -0.00022196, True)
    assert feed().listed(answer("GetExchangeInfo").encode()) == {"BTCUSDT", "ETHUSDT", "HPOSUSDT"}


def test_the_folder_lists_it():
    config, _ = load()
    made = build_feed("hyperliquid", config.feeds["hyperliquid"], config.instruments)
    assert made.provides == {"trades", "book", "mark", "funding", "oi"}
    subscriptions = sum(len(c.subscribe) for c in made.connections())
    assert subscriptions <= 1000
