"""What the Binance feed connects to, subscribes and asks for."""

from itertools import pairwise

import msgspec
import pytest

from engine.clock import NS
from engine.config import ConfigError, FeedConfig, load
from engine.feeds.binance import build
from engine.feeds.feed import DecodeError, Request, build_feed, feed_names
from engine.instruments import Instrument

URLS = {"public": "wss://x/public", "market": "wss://x/market/", "rest": "https://x"}
NOW = 1_795_000_050 * NS  # half past a minute


def feed(*symbols: str, **changes):
    instruments = [Instrument(id=s, group="x") for s in symbols or ("BTCUSDT", "PEPEUSDT")]
    return build(FeedConfig(**{"urls": URLS, **changes}), instruments)


def test_the_folder_lists_it():
    config, _ = load()
    assert "binance" in feed_names()
    made = build_feed("binance", config.feeds["binance"], config.instruments)
    assert made.provides == {"trades", "book", "mark", "funding", "liq", "bars"}
    for connection in made.connections():
        params = [p for text in connection.subscribe for p in msgspec.json.decode(text)["params"]]
        assert len(params) == len(set(params)) == len(connection.streams)
        assert all(len(msgspec.json.decode(t)["params"]) <= 50 for t in connection.subscribe)
        assert connection.max_age == 23 * 3600
        assert connection.sends_per_second <= 10


def test_two_sockets():
    public, market = feed().connections()
    assert (public.id, public.url) == ("public", "wss://x/public/stream")
    assert (market.id, market.url) == ("market", "wss://x/market/stream")
    assert msgspec.json.decode(public.subscribe[0]) == {
        "method": "SUBSCRIBE",
        "params": [
            "btcusdt@depth@100ms",
            "1000pepeusdt@depth@100ms",
            "btcusdt@bookTicker",
            "1000pepeusdt@bookTicker",
        ],
        "id": 1,
    }
    assert market.streams == (
        ("trade", "BTCUSDT"),
        ("trade", "PEPEUSDT"),
        ("mark", "BTCUSDT"),
        ("mark", "PEPEUSDT"),
        ("liquidation", "BTCUSDT"),
        ("liquidation", "PEPEUSDT"),
    )


def test_wanted_streams_only():
    (only,) = feed(streams=["trade"]).connections()
    assert only.id == "market"
    (quiet,) = feed(streams=["liquidation"]).connections()
    assert quiet.silence > 600, "no liquidation for minutes is no fault"
    with pytest.raises(ConfigError, match=r"feeds\.binance\.streams: no stream 'kline'; allowed: "):
        feed(streams=["kline"])
    with pytest.raises(ConfigError, match=r"feeds\.binance\.urls\.rest: missing"):
        feed(urls={"public": "ws://x", "market": "ws://x"})


def test_listed_narrows_what_is_asked_for():
    made = feed()

    def row(symbol: str, **more: str) -> dict[str, str]:
        kind = {"status": "TRADING", "contractType": "PERPETUAL", "quoteAsset": "USDT"}
        return {"symbol": symbol, **kind, **more}

    rows = [
        row("1000PEPEUSDT"),
        row("BTCUSDT", status="SETTLING"),
        row("BTCUSDT_261225", contractType="CURRENT_QUARTER"),
        row("TSLAUSDT", contractType="TRADIFI_PERPETUAL"),
        row("ETHUSDC", quoteAsset="USDC"),
    ]
    assert made.listed(msgspec.json.encode({"symbols": rows})) == {"PEPEUSDT"}
    assert {s for c in made.connections() for _, s in c.streams} == {"PEPEUSDT"}
    for nonsense in (b"", b"[]", b'{"symbols":[]}', b'{"code":-1}'):
        with pytest.raises(DecodeError):
            made.listed(nonsense)
    assert {s for c in made.connections() for _, s in c.streams} == {"PEPEUSDT"}


def test_single_requests():
    made = feed()
    assert made.book_request("PEPEUSDT") == Request(
        url="https://x/fapi/v1/depth?symbol=1000PEPEUSDT&limit=1000",
        weight=20,
        purpose="book",
        symbol="PEPEUSDT",
    )
    assert made.catalogue_request().url == "https://x/fapi/v1/exchangeInfo"


def spans(requests: list[Request], symbol: str, interval: str) -> list[tuple[int, int, int]]:
    """(start, end, limit) of a symbol's candle requests, ms."""
    out = []
    for request in requests:
        query = dict(p.split("=") for p in request.url.partition("?")[2].split("&") if p)
        if request.symbol == symbol and query.get("interval") == interval:
            out.append((int(query["startTime"]), int(query["endTime"]), int(query["limit"])))
    return out


def test_backfill_covers_everything_newest_first():
    symbols = ["BTCUSDT", "PEPEUSDT", "ETHUSDT"]
    requests = feed(*symbols).backfill(NOW, symbols)
    for interval, step, rows in (("1m", 60_000, 8 * 1440), ("1h", 3_600_000, 180 * 24)):
        end = (NOW - 2 * NS) // (step * 1_000_000) * step
        for symbol in symbols:
            found = spans(requests, symbol, interval)
            assert found == sorted(found, reverse=True)
            assert all((last + 1 - start) // step == limit for start, last, limit in found)
            assert found[0][1] + 1 == end
            assert found[-1][0] == end - rows * step
            for newer, older in pairwise(found):
                assert newer[0] <= older[1] + 1, "no hole"
            assert sum(limit for _, _, limit in found) < rows + 499
    first = [r.purpose.endswith("first") for r in requests]
    assert first == sorted(first, reverse=True)
    assert sum(first) <= 1 + (1 + 10) * len(symbols)
    assert all(r.weight == 2 for r in requests[1:4])
    assert [r.symbol for r in requests[1:4]] == symbols
    last_hour = max(i for i, r in enumerate(requests) if "interval=1h" in r.url)
    minutes = [i for i, r in enumerate(requests) if "interval=1m" in r.url]
    assert minutes[: len(symbols)] == [1, 2, 3]
    assert min(minutes[len(symbols) :]) > last_hour
    assert feed(backfill=False).backfill(NOW, symbols) == []


@pytest.mark.parametrize(("ago", "limit"), [(20, None), (61, 1), (100, 2), (3600, 60)])
def test_top_up_ends_with_the_last_closed_minute(ago, limit):
    requests = feed().top_up(NOW - ago * NS, NOW, ["BTCUSDT"])
    if limit is None:
        assert requests == []
        return
    ((start, end, rows),) = spans(requests, "BTCUSDT", "1m")
    assert rows == limit
    assert requests[0].weight == 1
    assert end == (NOW // (60 * NS)) * 60_000 - 1
    assert start <= (NOW - ago * NS) // 1_000_000 < start + 60_000


@pytest.mark.parametrize(
    ("data", "is_ack"),
    [
        ('{"result":null,"id":1}', True),
        ('{"id": 1, "result": null}', True),
        ('{"error":{"code":2,"msg":"x"},"id":1}', False),
        ('{"stream":"x","data":{"e":"aggTrade"}}', False),
        ("", False),
        ("\xff", False),
    ],
)
def test_acks(data, is_ack):
    assert feed().is_ack(data) is is_ack
    assert feed().is_ack(data.encode("latin-1")) is is_ack
