"""What Gate's USDT futures send, as events; what the feed asks for."""

from itertools import pairwise

import msgspec
import pytest

from engine.config import ConfigError, load
from engine.events import (
    BookDelta,
    BookSnapshot,
    Funding,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Ratio,
    Trade,
)
from engine.feeds.feed import Context, DecodeError, build_feed
from engine.feeds.gate import build
from engine.instruments import Instrument

CONFIG = load()[0].feeds["gate"]
REST = "https://api.gateio.ws/api/v4/futures/usdt"
NOW = 1_795_000_050 * 10**9


def row(name: str, quanto: object = "0.5", **more: object) -> dict:
    kind = {"type": "direct", "in_delisting": False, "status": "trading", "contract_type": ""}
    schedule = {"funding_interval": 28800, "funding_next_apply": 28800}
    return {"name": name, "quanto_multiplier": quanto, **kind, **schedule, **more}


LISTED = msgspec.json.encode([row("BTC_USDT"), row("1000BONK_USDT", "10", funding_interval=14400)])


def feed(*symbols: str, listed: bytes | None = LISTED, **changes: object):
    instruments = [Instrument(id=s, group="x") for s in symbols or ("BTCUSDT", "BONKUSDT")]
    made = build(msgspec.structs.replace(CONFIG, **changes), instruments)
    if listed is not None:
        made.listed(listed)
    return made


def decode(raw: object, made=None, **context: object) -> list:
    data = raw if isinstance(raw, bytes | str) else msgspec.json.encode(raw)
    return list((made or feed()).decode(data, Context(**{"recv": 99, **context})))


def refused(raw: object, made=None, **context: object) -> str:
    with pytest.raises(DecodeError) as error:
        decode(raw, made, **context)
    return error.value.args[0]


def push(channel: str, result: object) -> dict:
    frame = {"time": 1, "time_ms": 6, "channel": f"futures.{channel}", "event": "update"}
    return {**frame, "result": result}


def common(symbol: str = "BTCUSDT", ts: int = 5_000_000, **more: object) -> dict:
    return {"venue": "gate", "market": "perp", "symbol": symbol, "ts": ts, "recv": 99, **more}


BOOK = {"t": 5, "s": "ob.BTC_USDT.400", "U": 8, "u": 9, "b": [["1.5", "2"]], "a": [["1.6", "0"]]}
TRADE = {"size": "-108.5", "id": 7, "create_time": 0, "create_time_ms": 5, "price": "2.5"}
TRADE |= {"contract": "BTC_USDT"}
TICKER = {"contract": "BTC_USDT", "last": "10", "mark_price": "10", "index_price": "11"}
TICKER |= {"funding_rate": "0.0001", "funding_rate_indicative": "0.5", "total_size": "6.5"}
QUOTE = {"t": 5, "u": 9, "s": "BTC_USDT", "b": "1", "B": "2.5", "a": "3", "A": 4}
FORCED = {"price": "215.1", "size": "-124.5", "time": 1541486601123, "contract": "BTC_USDT"}
STATS = {"time": 1742812860, "contract": "BTC_USDT", "lsr_taker": 0.5, "lsr_account": 1.5}
STATS |= {"top_lsr_account": "2", "top_lsr_size": "3", "open_interest": "8", "mark_price": 9}
STATS |= {"open_interest_usd": 40}


def test_a_book_begins_whole_and_goes_on_by_its_ids():
    (whole,) = decode(push("obu", {**BOOK, "full": True}))
    levels = {"bids": [(1.5, 1.0)], "asks": [(1.6, 0.0)]}
    assert whole == BookSnapshot(**common(), **levels, seq=9)
    chain = {"first_seq": 8, "seq": 9, "prev_seq": 7}
    assert decode(push("obu", BOOK)) == [BookDelta(**common(), **levels, **chain)]
    bare = {k: BOOK[k] for k in ("t", "s", "U", "u")}
    assert decode(push("obu", bare)) == [BookDelta(**common(), bids=[], asks=[], **chain)]


@pytest.mark.parametrize("size", ["-108.5", -108.5])
def test_the_sign_of_a_trade_is_its_takers_side(size):
    (sell,) = decode(push("trades", [{**TRADE, "size": size}]))
    assert sell == Trade(**common(), price=2.5, size=54.25, side="sell", id=7)
    assert decode(push("trades", [{**TRADE, "size": 3}]))[0].side == "buy"


def test_internal_deals_are_no_flow():
    internal = {**TRADE, "is_internal": True}
    assert refused(push("trades", [internal])) == "not a market trade"
    assert len(decode(push("trades", [internal, TRADE, {**TRADE, "size": 0}]))) == 1


def test_quote():
    expected = Quote(**common(), bid=1.0, bid_size=1.25, ask=3.0, ask_size=2.0, seq=9)
    assert decode(push("book_ticker", QUOTE)) == [expected]
    assert refused(push("book_ticker", {**QUOTE, "b": "", "B": 0})) == "one-sided quote"


def test_ticker():
    at = common(ts=6_000_000)
    mark, funding, interest = decode(push("tickers", [TICKER]))
    assert mark == Mark(**at, mark=10.0, index=11.0)
    assert funding == Funding(
        **at, rate_8h=0.0001, rate=0.0001, interval_h=8.0, next_ts=28800 * 10**9
    )
    assert interest == OpenInterest(**at, base=3.25, usd=32.5)
    stated = {**TICKER, "funding_interval": 3600, "funding_next_apply": 7200}
    funding = decode(push("tickers", [stated]))[1]
    assert (funding.interval_h, funding.rate_8h) == (1.0, 0.0008)
    assert funding.next_ts == 7200 * 10**9
    assert [type(e) for e in decode(push("tickers", [{**TICKER, "mark_price": ""}]))] == [
        Funding, OpenInterest,
    ]  # fmt: skip


@pytest.mark.parametrize(("hours", "expected"), [(0, 8), (7.9, 8), (8.1, 16), (100, 104)])
def test_the_next_settlement_follows_the_catalogue(hours, expected):
    frame = {**push("tickers", [TICKER]), "time_ms": int(hours * 3_600_000)}
    assert decode(frame)[1].next_ts == expected * 3600 * 10**9


@pytest.mark.parametrize(
    "more", [{}, {"time": 1541486601, "time_ms": 1541486601123}, {"size": -124.5}]
)
def test_liquidation_has_the_sign_of_the_position(more):
    (event,) = decode(push("public_liquidates", [{**FORCED, **more}]))
    at = common(ts=1541486601123 * 10**6)
    usd = pytest.approx(215.1 * 62.25)
    assert event == Liquidation(**at, position="short", price=215.1, size=62.25, usd=usd)


def test_liquidations_of_others_are_left_out():
    seconds = {**FORCED, "size": 5, "time": 1541486601}
    others = [{**FORCED, "contract": name} for name in ("TSLA_USDT", "BTC_USD", "x")]
    (event,) = decode(push("public_liquidates", [*others, seconds]))
    assert (event.position, event.ts) == ("long", 1541486601 * 10**9)


def test_stats_are_ratios_and_open_interest():
    at = common(ts=1742812860 * 10**9)
    expected = [
        Ratio(**at, measure="taker", value=0.5),
        Ratio(**at, measure="global_accounts", value=1.5),
        Ratio(**at, measure="top_accounts", value=2.0),
        Ratio(**at, measure="top_positions", value=3.0),
        OpenInterest(**at, base=4.0, usd=40.0),
    ]
    assert decode(push("contract_stats", STATS)) == expected
    assert decode(push("contract_stats", [STATS])) == expected
    none = {**STATS, "lsr_taker": 0, "open_interest_usd": 0}
    silent = decode(push("contract_stats", none))
    assert [e.measure for e in silent[:-1]] == ["global_accounts", "top_accounts", "top_positions"]
    assert silent[-1].usd is None


def test_pages_of_history_take_their_contract_from_the_request():
    page = [{k: v for k, v in STATS.items() if k != "contract"}]
    url = f"{REST}/contract_stats?contract=BTC_USDT&interval=1h"
    events = decode(page, url=url)
    assert len(events) == 5
    assert all(e.history and e.symbol == "BTCUSDT" for e in events)
    assert decode(page, url=f"{REST}/contract_stats", symbol="BTCUSDT") == events
    assert refused(page, url=f"{REST}/contract_stats") == "no symbol"
    hours = ((12, "0.0003"), (8, "0.0002"), (0, "0.0001"))
    rows = [{"t": 1_800_000_000 + at * 3600, "r": rate} for at, rate in hours]
    settled = decode(rows, url=f"{REST}/funding_rate?contract=1000BONK_USDT")
    assert [(e.symbol, e.rate, e.interval_h) for e in settled] == [
        ("BONKUSDT", 0.0001, 4.0), ("BONKUSDT", 0.0002, 8.0), ("BONKUSDT", 0.0003, 4.0),
    ]  # fmt: skip
    assert all(e.history and e.next_ts is None for e in settled)


def test_lots_are_resolved_here():
    def of(channel: str, raw: dict) -> list:
        named = {"s": "1000BONK_USDT"} if "s" in raw else {"contract": "1000BONK_USDT"}
        return decode(push(channel, {**raw, **named} if "s" in raw else [{**raw, **named}]))

    (delta,) = decode(push("obu", {**BOOK, "s": "ob.1000BONK_USDT.400"}))
    assert (delta.symbol, delta.bids) == ("BONKUSDT", [(0.0015, 20_000.0)])
    (trade,) = of("trades", TRADE)
    assert (trade.price, trade.size) == (0.0025, 1_085_000.0)
    (quote,) = of("book_ticker", QUOTE)
    assert (quote.ask, quote.ask_size) == (0.003, 40_000.0)
    mark, funding, interest = of("tickers", TICKER)
    assert (mark.mark, funding.interval_h, interest.base) == (0.01, 4.0, 65_000.0)
    assert interest.usd == 650.0


def test_nothing_with_a_size_is_read_before_the_catalogue():
    frames = [
        push("obu", BOOK), push("trades", [TRADE]), push("tickers", [TICKER]),
        push("book_ticker", QUOTE), push("public_liquidates", [FORCED]),
        push("contract_stats", STATS),
    ]  # fmt: skip
    made = feed(listed=None)
    for frame in frames:
        assert refused(frame, made) == "contract size unknown"
    assert decode(LISTED, made, url=f"{REST}/contracts") == []
    for frame in frames:
        assert decode(frame, made)
    assert made.carries("oi", "BTCUSDT")
    assert not made.carries("oi", "ETHUSDT")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"[1]", "unknown shape"),
        (b"{}", "unknown shape"),
        (b'{"channel":"futures.x","event":"subscribe","error":{"code":2,"message":"Alert sub"}}',
         "refused: Alert sub"),
        (b'{"label":"INVALID_PARAM_VALUE","message":"bad limit"}', "refused: bad limit"),
        (push("candlesticks", []), "unknown channel"),
        (push("obu", {**BOOK, "s": "ob.TSLA_USDT.400"}), "not a linear perpetual"),
        (push("obu", {**BOOK, "s": ""}), "not a linear perpetual"),
        (push("obu", {**BOOK, "U": 0, "u": -1}), "malformed"),
        (push("trades", [{**TRADE, "price": "0"}]), "malformed"),
        (push("trades", [{**TRADE, "size": "NaN"}]), "malformed"),
        (push("trades", [{**TRADE, "contract": "BTC_USD"}]), "not a linear perpetual"),
    ],
)  # fmt: skip
def test_reasons(data, reason):
    assert refused(data) == reason


def test_answers_to_calls_and_pings():
    made = feed()
    ack = {"time": 1, "time_ms": 1, "conn_id": "x" * 16, "trace_id": "y" * 32, "event": "subscribe"}
    ack |= {"channel": "futures.trades", "payload": ["BTC_USDT"] * 21, "error": None}
    ack = msgspec.json.encode({**ack, "result": {"status": "success"}})
    pong = {"time": 1, "channel": "futures.pong", "event": "", "result": None}
    notice = {"channel": "futures.system", "event": "update", "result": {"type": "upgrade"}}
    assert decode(ack) == decode(pong) == decode(notice) == []
    assert made.is_ack(ack)
    assert made.is_ack(ack.decode())
    failed = b'{"channel":"futures.obu","event":"subscribe","error":{"code":2,"message":"x"}}'
    for other in (failed, b"\xff subscribe", msgspec.json.encode(push("obu", BOOK)), b""):
        assert not made.is_ack(other)


def test_two_sockets():
    config, _ = load()
    made = build_feed("gate", CONFIG, config.instruments)
    assert made.headers == {"X-Gate-Size-Decimal": "1"}
    connections = {c.id: c for c in made.connections()}
    assert list(connections) == ["books", "market"]
    for connection in connections.values():
        assert connection.ping == ('{"time":1,"channel":"futures.ping"}', 15.0)
        assert connection.url == "wss://fx-ws.gateio.ws/v4/ws/usdt"
    calls = [msgspec.json.decode(t) for c in connections.values() for t in c.subscribe]
    assert {c["channel"]: len(c["payload"]) for c in calls} == {
        "futures.obu": 21,
        "futures.book_ticker": 21,
        "futures.trades": 21,
        "futures.tickers": 21,
        "futures.public_liquidates": 1,
    }
    assert calls[0]["payload"][:2] == ["ob.BTC_USDT.400", "ob.ETH_USDT.400"]
    assert calls[-1]["payload"] == ["!all"]
    streams = {stream for c in connections.values() for stream in c.streams}
    assert streams == {(c, s.id) for c in CONFIG.streams for s in config.instruments}
    (only,) = feed(streams=["ratio"]).connections()
    payloads = [msgspec.json.decode(text)["payload"] for text in only.subscribe]
    assert payloads == [["BTC_USDT", "1m"], ["1000BONK_USDT", "1m"]]


def test_a_lost_book_is_subscribed_anew():
    connection, frames = feed().resubscribe("BONKUSDT")
    calls = [msgspec.json.decode(text) for text in frames]
    assert connection == "books"
    assert [c["event"] for c in calls] == ["unsubscribe", "subscribe"]
    assert all(c["payload"] == ["ob.1000BONK_USDT.400"] for c in calls)
    assert feed().resubscribe("ETHUSDT") is None
    assert feed(streams=["trade"]).resubscribe("BTCUSDT") is None
    assert feed().book_request("BTCUSDT") is None


def test_the_catalogue_decides():
    rows = [
        row("PEPE_USDT", "10000000"),
        row("1000PEPE_USDT"),
        row("BTC_USDT", status="delisting"),
        row("ETH_USDT", in_delisting=True),
        row("TSLA_USDT", contract_type="stocks"),
        row("XAU_USDT", contract_type="metals"),
        row("LTC_USDT", "0"),
        row("BTC_USD", type="inverse"),
        row("BTC_USDT_20261225"),
    ]
    made = feed("BTCUSDT", "PEPEUSDT", "TSLAUSDT", listed=None)
    assert made.listed(msgspec.json.encode(rows)) == {"PEPEUSDT"}
    assert {s for c in made.connections() for _, s in c.streams} == {"PEPEUSDT"}
    assert [p.request.symbol for p in made.polls()] == ["PEPEUSDT"]
    for nonsense in (b"", b"{}", b"[]", b'[{"name":1}]'):
        with pytest.raises(DecodeError):
            made.listed(nonsense)
    (trade,) = decode(push("trades", [{**TRADE, "contract": "PEPE_USDT"}]), made)
    assert trade.size == 1_085_000_000.0


def test_requests():
    made = feed()
    assert made.catalogue_request().url == f"{REST}/contracts"
    (first, _) = made.polls()
    assert first.request.url == f"{REST}/contract_stats?contract=BTC_USDT&interval=5m&limit=3"
    assert first.every == 150
    asked = made.backfill(NOW, ["BTCUSDT", "BONKUSDT"])
    assert asked[0].url == f"{REST}/funding_rate?contract=BTC_USDT&limit=100"
    pages = [r.url for r in asked if r.symbol == "BTCUSDT" and "from=" in r.url]
    since = [int(url.split("from=")[1].split("&")[0]) for url in pages]
    limits = [int(url.split("limit=")[1]) for url in pages]
    hour = NOW // 10**9 // 3600 * 3600
    assert (since[0], limits[0], since[-1]) == (hour - 360_000, 100, hour - 30 * 86400)
    for (newer, _), (older, limit) in pairwise(zip(since, limits, strict=True)):
        assert newer <= older + limit * 3600, "no hole"
        assert limit <= 100
    assert sum(limits) < 820
    first = [r.purpose.endswith(" first") for r in asked]
    assert first == [True] * 4 + [False] * (len(asked) - 4)
    assert feed(backfill=False).backfill(NOW, ["BTCUSDT"]) == []
    assert feed(every={}).polls() == []
    assert made.top_up(0, NOW, ["BTCUSDT"]) == []


def test_a_wrong_config_names_its_key():
    with pytest.raises(ConfigError, match=r"feeds\.gate\.streams: no stream 'mark'; allowed: "):
        feed(streams=["mark"])
    with pytest.raises(ConfigError, match=r"feeds\.gate\.every: no poll 'oi'; allowed: stats"):
        feed(every={"oi": 5.0})
    with pytest.raises(ConfigError, match=r"feeds\.gate\.urls\.usdt: missing"):
        feed(urls={"rest": "https://x"})
