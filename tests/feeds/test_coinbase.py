"""Coinbase spot: what is subscribed, what its frames mean, and a real recording of it."""

import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zstandard

from engine.config import ConfigError, load
from engine.events import FeedStatus, Quote, Trade
from engine.feeds.coinbase import Coinbase, build, nanoseconds
from engine.feeds.feed import Context, DecodeError, build_feed
from engine.instruments import Instrument

RECORDING = Path(__file__).parents[2].parent / "shared" / "wire" / "coinbase"
CONFIG = load()[0].feeds["coinbase"]
TIME = "2026-08-09T21:05:48.228568804Z"
NS = 1786309548_228568804
TRADE = {"product_id": "BTC-USD", "trade_id": "7", "price": "65083.67", "size": "0.5"}
TRADE |= {"time": "2026-08-09T21:05:48.2Z", "side": "SELL"}
BEST = {"type": "ticker", "product_id": "ETH-USD", "price": "1919.41", "best_bid": "1919.42"}
BEST |= {"best_ask": "1919.49", "best_bid_quantity": "1.5", "best_ask_quantity": "0.07"}


def feed(*symbols: str, **changes: object) -> Coinbase:
    instruments = [Instrument(id=s, group="x") for s in symbols or ("BTCUSDT", "ETHUSDT")]
    return build(msgspec.structs.replace(CONFIG, **changes), instruments)


def message(channel: str, *events: object, seq: int = 0) -> bytes:
    frame = {"channel": channel, "timestamp": TIME, "sequence_num": seq, "events": events}
    return msgspec.json.encode(frame)


def trades(*rows: object, kind: str = "update", seq: int = 0) -> bytes:
    return message("market_trades", {"type": kind, "trades": rows}, seq=seq)


def decode(data: bytes | str, made: Coinbase | None = None, url: str = "wss://x") -> list:
    return list((made or feed()).decode(data, Context(recv=99, url=url)))


def refused(data: bytes | str) -> str:
    with pytest.raises(DecodeError) as error:
        decode(data)
    return error.value.args[0]


def test_trade_side_is_the_takers():
    (trade,) = decode(trades(TRADE))
    assert trade == Trade(
        venue="coinbase",
        market="spot",
        symbol="BTCUSDT",
        ts=1786309548_200000000,
        recv=99,
        price=65083.67,
        size=0.5,
        side="buy",
        id=7,
    )
    assert decode(trades({**TRADE, "side": "BUY"}))[0].side == "sell"
    assert refused(trades({**TRADE, "side": "UNKNOWN"})) == "malformed"


def test_the_first_trades_are_history_and_come_oldest_first():
    rows = [{**TRADE, "trade_id": str(n)} for n in (9, 8, 7)]
    first = decode(trades(*rows, kind="snapshot"))
    assert [(t.id, t.history) for t in first] == [(7, True), (8, True), (9, True)]
    assert [t.history for t in decode(trades(*rows))] == [False] * 3


def test_quote():
    (quote,) = decode(message("ticker", {"type": "update", "tickers": [BEST]}))
    assert quote == Quote(
        venue="coinbase",
        market="spot",
        symbol="ETHUSDT",
        ts=NS,
        recv=99,
        bid=1919.42,
        ask=1919.49,
        bid_size=1.5,
        ask_size=0.07,
        seq=None,
    )
    tether = {**BEST, "product_id": "USDT-USD", "best_bid": "0.9998", "best_ask": "0.9999"}
    assert decode(message("ticker", {"tickers": [tether]}))[0].symbol == "USDTUSD"
    for name in ("BTC-USDC", "BTC-EUR", "-USD", "BTC"):
        other = message("ticker", {"tickers": [{**BEST, "product_id": name}]})
        assert refused(other) == "not a spot product in USD"


def test_a_jump_of_the_sequence_is_told_once():
    made = feed()
    for seq in (0, 1, 2):
        assert decode(message("heartbeats", {}, seq=seq), made) == []
    status, trade = decode(trades(TRADE, seq=5), made)
    assert isinstance(status, FeedStatus)
    assert (status.feed, status.state, status.ts) == ("coinbase", "error", NS)
    assert status.note == "2 messages of the connection are missing"
    assert isinstance(trade, Trade)
    assert len(decode(trades(TRADE, seq=6), made)) == 1
    assert len(decode(trades(TRADE, seq=0), made)) == 1, "a new socket counts from 0"
    assert len(decode(trades(TRADE, seq=9), made, url="wss://y")) == 1, "another connection"


def test_a_jump_before_a_bad_frame_is_not_forgotten():
    made = feed()
    decode(message("heartbeats", {}, seq=1), made)
    for data in (trades({**TRADE, "price": "x"}, seq=3), message("candles", seq=4)):
        with pytest.raises(DecodeError):
            decode(data, made)
    (status,) = decode(message("heartbeats", {}, seq=6), made)
    assert status.note.startswith("2 ")


def test_times():
    assert nanoseconds(TIME) == NS
    assert nanoseconds("1970-01-01T00:00:01Z") == 1_000_000_000
    assert nanoseconds("1970-01-01T00:00:00.000000001Z") == 1
    for text in ("", "x", TIME[:-1], "2026-08-09T21:05:48.-1Z", "2026-13-09T21:05:48Z", "0" * 30):
        with pytest.raises(DecodeError):
            nanoseconds(text)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        ("\ud800", "not JSON"),
        (b"[1]", "unknown shape"),
        (b"{}", "unknown shape"),
        (b'{"type":"error","message":"no such product"}', "refused: no such product"),
        (message("l2_data", {}), "not asked for: l2_data"),
        (message("ticker", {"tickers": [{**BEST, "best_bid": "0"}]}), "malformed"),
        (message("ticker", {"tickers": [{**BEST, "best_ask": ""}]}), "malformed"),
        (trades({**TRADE, "size": "NaN"}), "malformed"),
        (trades({**TRADE, "time": "yesterday"}), "malformed"),
    ],
)
def test_reasons(data, reason):
    assert refused(data) == reason


def test_one_socket():
    made = build_feed("coinbase", CONFIG, [Instrument("BTCUSDT", "x"), Instrument("SOLUSDT", "x")])
    (connection,) = made.connections()
    products = ["BTC-USD", "SOL-USD", "USDT-USD"]
    assert [msgspec.json.decode(text) for text in connection.subscribe] == [
        {"type": "subscribe", "product_ids": products, "channel": channel}
        for channel in ("heartbeats", "market_trades", "ticker")
    ]
    assert connection.url == "wss://advanced-trade-ws.coinbase.com"
    assert connection.streams == tuple(
        (c, s) for c in ("trade", "quote") for s in ("BTCUSDT", "SOLUSDT", "USDTUSD")
    )
    assert connection.sends_per_second <= 8
    assert connection.ping is None
    assert made.backfill(0, ["BTCUSDT"]) == made.top_up(0, 1, ["BTCUSDT"]) == made.polls() == []
    assert made.book_request("BTCUSDT") is made.resubscribe("BTCUSDT") is None


def test_wanted_streams_only():
    (only,) = feed(streams=["quote"]).connections()
    assert {channel for channel, _ in only.streams} == {"quote"}
    assert not feed(streams=["quote"]).carries("trades", "BTCUSDT")
    with pytest.raises(ConfigError, match=r"feeds\.coinbase\.streams: no stream 'depth'; allowed"):
        feed(streams=["depth"])
    with pytest.raises(ConfigError, match=r"feeds\.coinbase\.urls\.rest: missing"):
        feed(urls={"ws": "wss://x"})


def test_listed_narrows_what_is_asked_for():
    made = feed("BTCUSDT", "ETHUSDT", "TRXUSDT")

    def row(name: str, **more: object) -> dict:
        base, quote = name.split("-")
        kind = {"product_type": "SPOT", "status": "online", "quote_currency_id": quote}
        return {"product_id": name, "base_currency_id": base, **kind, **more}

    rows = [
        row("BTC-USD"),
        row("USDT-USD"),
        row("ETH-USD", trading_disabled=True),
        row("TRX-USDC"),
        row("TRX-USD", product_type="FUTURE"),
    ]
    answer = msgspec.json.encode({"products": rows, "num_products": 5})
    assert made.listed(answer) == {"BTCUSDT", "USDTUSD"}
    assert decode(answer, made) == []
    (connection,) = made.connections()
    assert {s for _, s in connection.streams} == {"BTCUSDT", "USDTUSD"}
    assert made.carries("trades", "BTCUSDT")
    assert not made.carries("trades", "ETHUSDT")
    assert not made.carries("book", "BTCUSDT")
    for nonsense in (b"", b"[]", b'{"products":[]}', b'{"error":"x"}'):
        with pytest.raises(DecodeError):
            made.listed(nonsense)


def test_acks():
    made = feed()
    assert made.is_ack(message("subscriptions", {"subscriptions": {"ticker": ["BTC-USD"]}}))
    assert made.is_ack(message("subscriptions", {}).decode())
    assert not made.is_ack(trades(TRADE))
    assert not made.is_ack(b"")
    assert decode(message("subscriptions", {})) == []


def recorded() -> Iterator[dict]:
    with (RECORDING / "COINBASE.jsonl.zst").open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file)
        for line in io.TextIOWrapper(reader):
            yield json.loads(line)


@pytest.mark.wire
@pytest.mark.skipif(not RECORDING.is_dir(), reason="no recordings beside the checkout")
class TestRecording:
    def test_every_line(self):
        made, kinds, ids = feed(), Counter(), defaultdict(list)
        quotes: dict[str, Quote] = {}
        sides: Counter[tuple[str, str]] = Counter()
        for line in recorded():
            if line["t"] != "recv":
                continue
            try:
                events = decode(line["data"], made)
            except DecodeError as error:
                kinds[error.args[0]] += 1
                continue
            for event in events:
                kinds[type(event).__name__, event.symbol, event.history] += 1
                assert event.market == "spot"
                if isinstance(event, Quote):
                    assert event.bid < event.ask
                    quotes[event.symbol] = event
                    continue
                ids[event.symbol].append(event.id)
                best = None if event.history else quotes.get(event.symbol)
                if best and event.price >= best.ask:
                    sides["at the ask", event.side] += 1
                elif best and event.price <= best.bid:
                    sides["at the bid", event.side] += 1
        assert kinds == {
            ("Trade", "BTCUSDT", True): 100,
            ("Trade", "ETHUSDT", True): 100,
            ("Trade", "BTCUSDT", False): 47,
            ("Trade", "ETHUSDT", False): 32,
            ("Quote", "BTCUSDT", False): 73,
            ("Quote", "ETHUSDT", False): 87,
            # Channels that this feed does not subscribe to.
            "not asked for: l2_data": 775,
            "not asked for: candles": 6,
        }, "no sequence gap, nothing lost"
        for seen in ids.values():
            assert seen == list(range(seen[0], seen[0] + len(seen))), "each once, none missing"
        # One print is of a quote that moved between it and its batch 250 ms later.
        assert sides == {
            ("at the ask", "buy"): 49,
            ("at the bid", "sell"): 26,
            ("at the bid", "buy"): 1,
        }

    def test_catalogue(self):
        (answer,) = (line["data"].encode() for line in recorded() if line["t"] == "http")
        config, _ = load()
        made = build(CONFIG, config.instruments)
        found = made.listed(answer)
        assert len(found) == 397
        assert {i.id for i in config.instruments} - found == {"TRXUSDT"}
        assert "USDTUSD" in found
        assert decode(answer, made) == []
