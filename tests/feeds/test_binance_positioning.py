"""Binance's positioning data: what is polled and asked for, and what the answers mean."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from engine.clock import NS
from engine.config import ConfigError, load
from engine.events import Funding, OpenInterest, Ratio
from engine.feeds.binance_positioning import Positioning, build
from engine.feeds.feed import Context, DecodeError, Request, build_feed
from engine.feeds.parse import query
from engine.instruments import Instrument

WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
wire = [
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout"),
]
CONFIG, _ = load()
BLOCK = CONFIG.feeds["binance_positioning"]
REST = "https://fapi.binance.com"
NOW = 1_795_000_050 * NS
HOUR = 3_600_000
RATIO = f"{REST}/futures/data/globalLongShortAccountRatio?symbol=BTCUSDT&period=5m&limit="


def feed(*symbols: str, **changes: object) -> Positioning:
    instruments = [Instrument(id=s, group="x") for s in symbols or ("BTCUSDT", "PEPEUSDT")]
    return build(msgspec.structs.replace(BLOCK, **changes), instruments)


def decode(raw: object, made: Positioning | None = None, url: str = REST, **more: object) -> list:
    data = raw if isinstance(raw, bytes | str) else msgspec.json.encode(raw)
    return list((made or feed()).decode(data, Context(recv=99, url=url, **more)))


def common(ts: int, **more: object) -> dict:
    return {"venue": "binance", "market": "perp", "symbol": "BTCUSDT", "ts": ts, "recv": 99, **more}


def rows(*times: int) -> list[dict]:
    return [{"symbol": "BTCUSDT", "longShortRatio": "1.5", "timestamp": t} for t in times]


def test_open_interest_is_priced_by_the_mark():
    made = feed()
    now = {"openInterest": "3", "symbol": "BTCUSDT", "time": 5}
    assert decode(now, made) == [OpenInterest(**common(5_000_000), base=3.0, usd=None)]
    mark = {"symbol": "BTCUSDT", "markPrice": "10", "indexPrice": "9", "lastFundingRate": "0.1"}
    assert decode([{**mark, "nextFundingTime": 8, "time": 5}], made) == [], "the streams tell it"
    assert decode(now, made) == [OpenInterest(**common(5_000_000), base=3.0, usd=30.0)]
    lots = {"openInterest": "3", "symbol": "1000PEPEUSDT", "time": 5}
    assert decode(lots, made)[0].base == 3000.0


def test_a_poll_tells_what_is_new_and_its_last_row_is_no_history():
    made = feed()
    assert decode(rows(1, 2, 3), made, RATIO + "3") == [
        Ratio(**common(n * 1_000_000), history=n < 3, measure="global_accounts", value=1.5)
        for n in (1, 2, 3)
    ]
    assert decode(rows(1, 2, 3), made, RATIO + "3") == [], "the same again is no news"
    later = decode(rows(3, 4, 5), made, RATIO + "3")
    assert [(e.ts // 1_000_000, e.history) for e in later] == [(4, True), (5, False)]
    history = decode(rows(1, 2, 3), made, RATIO + "500")
    assert [e.history for e in history] == [True] * 3, "a page of the past stays one"
    taker = [{"buySellRatio": "1.2", "buyVol": "1", "sellVol": "2", "timestamp": 5}]
    url = f"{REST}/futures/data/takerlongshortRatio?symbol=BTCUSDT&period=5m&limit=3"
    assert decode(taker, made, url) == [Ratio(**common(5_000_000), measure="taker", value=1.2)]


def test_past_fundings_take_the_interval_that_was_in_force():
    made = feed()
    decode([{"symbol": "BTCUSDT", "fundingIntervalHours": 4}], made)
    times = (0, 8 * HOUR + 3, 16 * HOUR, 20 * HOUR + 9, 60 * HOUR)
    paid = [{"symbol": "BTCUSDT", "fundingTime": t, "fundingRate": "0.001"} for t in times]
    events = decode(paid, made)
    assert [(e.interval_h, e.rate_8h) for e in events] == [
        (4.0, 0.002), (8.0, 0.001), (8.0, 0.001), (4.0, 0.002), (4.0, 0.002)
    ]  # fmt: skip
    assert events[1] == Funding(
        **common((8 * HOUR + 3) * 1_000_000),
        history=True,
        rate_8h=0.001,
        rate=0.001,
        interval_h=8.0,
        next_ts=None,
    )
    priced = [{**paid[0], "markPrice": "34287.5"}]
    assert [type(e) for e in decode(priced, made)] == [Funding]


def asked(requests: list[Request]) -> Counter[str]:
    return Counter(r.url.partition("?")[0].rpartition("/")[2] for r in requests)


def test_polls_stay_within_the_budget():
    made = build_feed("binance_positioning", BLOCK, CONFIG.instruments)
    polls = made.polls()
    symbols = len(CONFIG.instruments)
    assert asked([p.request for p in polls]) == {
        "openInterest": symbols,
        "topLongShortAccountRatio": symbols,
        "topLongShortPositionRatio": symbols,
        "globalLongShortAccountRatio": symbols,
        "takerlongshortRatio": symbols,
        "fundingInfo": 1,
        "premiumIndex": 1,
    }
    a_minute = sum(60 / p.every for p in polls)
    assert a_minute < 0.75 * BLOCK.request_weight, "room for the backfill"
    data = sum(60 / p.every for p in polls if "/futures/data/" in p.request.url)
    assert data < 200, "the venue's own budget for these"
    assert made.connections() == []
    assert made.provides == {"oi", "ratio", "funding"}
    assert made.venue == "binance"


def test_backfill_covers_thirty_days_newest_first():
    symbols = ["BTCUSDT", "PEPEUSDT"]
    requests = feed(*symbols).backfill(NOW, symbols)
    first = [r.purpose.endswith(" first") for r in requests]
    assert first == sorted(first, reverse=True)
    assert sum(first) == 1 + 5 * len(symbols)
    assert len(requests) <= 1 + 16 * len(symbols)
    for name in ("openInterestHist", "takerlongshortRatio", "topLongShortPositionRatio"):
        pages = [query(r.url) for r in requests if name in r.url and "1000PEPEUSDT" in r.url]
        assert [p["period"] for p in pages] == ["5m", "1h", "1h"]
        assert all(p["limit"] == "500" for p in pages)
        newer, older = ((int(p["startTime"]), int(p["endTime"])) for p in pages[1:])
        assert older[1] + 1 == newer[0]
        assert NOW // 1_000_000 - newer[1] < 500 * 300_000, "rows of 5 min reach back that far"
        assert all(end + 1 - start <= 500 * HOUR for start, end in (newer, older))
        back = (NOW // 1_000_000 - older[0]) / HOUR
        assert 29 * 24 < back < 30 * 24, "older is refused"
    assert feed(backfill=False).backfill(NOW, symbols) == []
    assert feed().top_up(0, NOW, symbols) == []


def test_listed_narrows_what_is_asked_for():
    made = feed()
    kind = {"status": "TRADING", "contractType": "PERPETUAL", "quoteAsset": "USDT"}
    listing = [{"symbol": "1000PEPEUSDT", **kind}]
    listing += [{"symbol": "BTCUSDT", **kind, "contractType": "TRADIFI_PERPETUAL"}]
    answer = msgspec.json.encode({"symbols": listing})
    assert made.carries("oi", "BTCUSDT")
    assert made.listed(answer) == {"PEPEUSDT"}
    assert decode(answer, made) == []
    assert made.carries("ratio", "PEPEUSDT")
    assert not made.carries("ratio", "BTCUSDT")
    assert not made.carries("liq", "PEPEUSDT")
    named = {p.request.symbol for p in made.polls()}
    named |= {r.symbol for r in made.backfill(NOW, ["BTCUSDT", "PEPEUSDT"])}
    assert named == {None, "PEPEUSDT"}
    for nonsense in (b"", b"[]", b'{"symbols":[]}'):
        with pytest.raises(DecodeError):
            made.listed(nonsense)


def test_settings():
    slow = feed(every={"oi": 120.0}).polls()
    assert {p.every for p in slow if "openInterest" in p.request.url} == {120.0}
    with pytest.raises(ConfigError, match=r"feeds\.binance_positioning\.every: no poll 'x'"):
        feed(every={"x": 1.0})
    with pytest.raises(ConfigError, match=r"feeds\.binance_positioning\.streams: it has none"):
        feed(streams=["trade"])
    with pytest.raises(ConfigError, match=r"feeds\.binance_positioning\.urls\.rest: missing"):
        feed(urls={})
