"""What Bitget's third generation sends, as events; what the feed asks for."""

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
from engine.feeds.bitget import build
from engine.feeds.feed import Context, DecodeError, build_feed
from engine.instruments import Instrument

CONFIG = load()[0].feeds["bitget"]
REST = "https://api.bitget.com/api"
NOW = 1_795_000_050 * 10**9


def feed(*symbols: str, **changes: object):
    instruments = [Instrument(id=s, group="x") for s in symbols or ("BTCUSDT", "BONKUSDT")]
    return build(msgspec.structs.replace(CONFIG, **changes), instruments)


def decode(raw: object, made=None, **context: object) -> list:
    data = raw if isinstance(raw, bytes | str) else msgspec.json.encode(raw)
    return list((made or feed()).decode(data, Context(**{"recv": 99, **context})))


def refused(raw: object, **context: object) -> str:
    with pytest.raises(DecodeError) as error:
        decode(raw, **context)
    return error.value.args[0]


def push(topic: str, *rows: dict, action: str = "update", symbol: str | None = "BTCUSDT") -> dict:
    arg = {"instType": "usdt-futures", "topic": topic}
    arg |= {"symbol": symbol} if symbol else {}
    return {"data": list(rows), "arg": arg, "action": action, "ts": 6}


def common(symbol: str = "BTCUSDT", ts: int = 5_000_000, **more: object) -> dict:
    return {"venue": "bitget", "market": "perp", "symbol": symbol, "ts": ts, "recv": 99, **more}


BOOK = {"a": [["1.6", "0"]], "b": [["1.5", "2"]], "pseq": 1304314508780744704, "ts": "5"}
BOOK |= {"seq": 1304314508780744705}
TRADE = {"i": "1260903622036942849", "p": "2.5", "v": "4", "S": "sell", "T": "5", "isRPI": "no"}
TICKER = {"markPrice": "10", "indexPrice": "11", "fundingRate": "0.0001", "openInterest": "3"}
TICKER |= {"nextFundingTime": "8000", "bid1Price": "9", "ask1Price": "11", "lastPrice": "10"}
FORCED = {"symbol": "BTCUSDT", "side": "buy", "price": "0.1649", "amount": "13.70319", "ts": "5"}


def row(symbol: str, **more: str) -> dict[str, str]:
    kind = {"category": "USDT-FUTURES", "baseCoin": "X", "quoteCoin": "USDT", "isRwa": "NO"}
    kind |= {"type": "perpetual", "symbolType": "crypto", "status": "online", "fundInterval": "8"}
    return {"symbol": symbol, **kind, **more}


def catalogue(*rows: dict) -> bytes:
    return msgspec.json.encode({"code": "00000", "data": list(rows), "requestTime": 5})


LISTED = catalogue(row("BTCUSDT", fundInterval="4"), row("1000BONKUSDT"))


def test_books_keep_their_exact_sequence():
    chain = {"seq": BOOK["seq"], "bids": [(1.5, 2.0)], "asks": [(1.6, 0.0)]}
    delta = BookDelta(**common(), first_seq=BOOK["seq"], prev_seq=BOOK["pseq"], **chain)
    assert decode(push("books", BOOK)) == [delta]
    whole = push("books", {**BOOK, "pseq": 0}, action="snapshot")
    assert decode(whole) == [BookSnapshot(**common(), **chain)]


def test_quote():
    best = {**BOOK, "a": [["3", "4"]], "b": [["1", "2"]]}
    expected = Quote(**common(), bid=1.0, bid_size=2.0, ask=3.0, ask_size=4.0, seq=BOOK["seq"])
    assert decode(push("books1", best, action="snapshot")) == [expected]
    assert refused(push("books1", {**BOOK, "b": []})) == "one-sided quote"


def test_the_first_trades_are_history():
    expected = Trade(**common(), price=2.5, size=4.0, side="sell", id=1260903622036942849)
    assert decode(push("publicTrade", TRADE)) == [expected]
    newest_first = ({**TRADE, "T": "7", "i": "9"}, TRADE)
    events = decode(push("publicTrade", *newest_first, action="snapshot"))
    assert [e.ts for e in events] == [5_000_000, 7_000_000]
    assert all(e.history for e in events)


def test_ticker_before_and_after_the_interval_is_known():
    made = feed()
    mark, funding, interest = decode(push("ticker", TICKER), made)
    at = common(ts=6_000_000)
    assert mark == Mark(**at, mark=10.0, index=11.0)
    assert funding == Funding(
        **at, rate_8h=None, rate=0.0001, interval_h=None, next_ts=8_000_000_000
    )
    assert interest == OpenInterest(**at, base=3.0, usd=30.0)
    assert decode(LISTED, made, url=f"{REST}/v3/market/instruments") == []
    funding = decode(push("ticker", TICKER), made)[1]
    assert (funding.interval_h, funding.rate_8h) == (4.0, 0.0002)


def test_a_ticker_states_only_what_it_holds():
    made = feed()
    decode(push("ticker", TICKER), made)
    assert [type(e) for e in decode(push("ticker", {"fundingRate": "0"}), made)] == [Funding]
    (interest,) = decode(push("ticker", {"openInterest": "2", "markPrice": ""}), made)
    assert interest.usd == 20.0
    assert decode(push("ticker", {"bid1Price": "9"}), made) == []
    (unknown,) = decode(push("ticker", {"openInterest": "2"}))
    assert unknown.usd is None


def test_liquidation_is_the_position_and_its_amount_usdt():
    (event,) = decode(push("liquidation", FORCED, symbol=None))
    expected = {"position": "long", "price": 0.1649, "usd": 13.70319}
    assert event == Liquidation(**common(), size=pytest.approx(83.1), **expected)
    short = push("liquidation", {**FORCED, "side": "sell"}, symbol=None)
    assert decode(short)[0].position == "short"
    others = [{**FORCED, "symbol": s} for s in ("TSLAUSDT", "ETHUSDT", "BTCPERP")]
    assert len(decode(push("liquidation", *others, FORCED, symbol=None))) == 1


def test_lots_are_resolved_here():
    made = feed()
    made.listed(LISTED)

    def of(topic: str, raw: dict) -> list:
        return decode(push(topic, raw, symbol="1000BONKUSDT"), made)

    assert of("books", BOOK)[0].bids == [(0.0015, 2000.0)]
    assert (of("publicTrade", TRADE)[0].price, of("publicTrade", TRADE)[0].size) == (0.0025, 4000)
    quote = of("books1", {**BOOK, "b": [["1", "2"]], "a": [["3", "4"]]})[0]
    assert (quote.symbol, quote.ask, quote.bid_size) == ("BONKUSDT", 0.003, 2000.0)
    mark, _, interest = of("ticker", TICKER)
    assert (mark.mark, interest.base, interest.usd) == (0.01, 3000.0, 30.0)
    forced = {**FORCED, "symbol": "1000BONKUSDT", "price": "2", "amount": "8"}
    (event,) = decode(push("liquidation", forced, symbol=None), made)
    assert (event.price, event.size, event.usd) == (0.002, 4000.0, 8.0)


def test_funding_of_all_contracts_at_once():
    made = feed()
    rows = [
        {"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingRateInterval": "2",
         "nextUpdate": "8000"},
        {"symbol": "ETHUSDT", "fundingRate": "0.1"},
        {"symbol": "BONKUSDT", "fundingRate": ""},
    ]  # fmt: skip
    answer = {"code": "00000", "requestTime": 6, "data": rows}
    (funding,) = decode(answer, made, url=f"{REST}/v2/mix/market/current-fund-rate?a=b")
    expected = {"rate": 0.0001, "rate_8h": 0.0004, "interval_h": 2.0, "next_ts": 8_000_000_000}
    assert funding == Funding(**common(ts=6_000_000), **expected)
    assert decode(push("ticker", TICKER), made)[1].interval_h == 2.0


def test_past_settlements_tell_their_own_interval():
    hour = 3_600_000
    rows = [
        {"symbol": "BTCUSDT", "fundingRate": rate, "fundingRateTimestamp": str(at * hour)}
        for rate, at in (("0.0003", 30), ("0.0002", 26), ("0.0001", 18))
    ]
    answer = {"code": "00000", "data": {"resultList": rows}}
    events = decode(answer, url=f"{REST}/v3/market/history-fund-rate?symbol=BTCUSDT")
    assert [(e.interval_h, e.rate, e.rate_8h) for e in events] == [
        (None, 0.0001, None),
        (8.0, 0.0002, 0.0002),
        (4.0, 0.0003, pytest.approx(0.0006)),
    ]
    assert all(e.history and e.next_ts is None for e in events)


def test_ratios_take_their_symbol_from_the_request():
    rows = [{"longAccountRatio": "0.6", "longShortAccountRatio": "1.5", "ts": "5"}]
    answer, path = {"code": "00000", "data": rows}, f"{REST}/v2/mix/market/account-long-short"
    expected = Ratio(**common(), history=True, measure="global_accounts", value=1.5)
    assert decode(answer, url=f"{path}?symbol=BTCUSDT&period=5m") == [expected]
    assert refused(answer, url=path) == "no symbol"
    assert decode({"code": "00000", "data": []}, url=f"{path}?symbol=BTCUSDT") == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"ping", "not JSON"),
        (b"[1]", "unknown shape"),
        (b"{}", "unknown shape"),
        (b'{"event":"error","code":30001,"msg":"doesn\'t exist"}', "refused: doesn't exist"),
        (b'{"code":"40034","msg":"no such symbol","data":null}', "refused: no such symbol"),
        (push("books5", BOOK), "unknown topic"),
        (push("books", {**BOOK, "seq": -1}), "malformed"),
        (push("books", {**BOOK, "b": [["NaN", "1"]]}), "malformed"),
        (push("publicTrade", {**TRADE, "S": "Buy"}), "malformed"),
        (push("publicTrade", {**TRADE, "v": "0"}), "malformed"),
        (push("publicTrade", TRADE, symbol="BTCPERP"), "not a linear perpetual"),
        (
            {"arg": {"instType": "spot", "topic": "books"}, "data": [], "ts": 6},
            "not a linear perpetual",
        ),
        ({"arg": {"instType": "usdt-futures"}, "data": [], "ts": 6}, "malformed"),
        ({k: v for k, v in push("ticker", TICKER).items() if k != "ts"}, "malformed"),
    ],
)
def test_reasons(data, reason):
    assert refused(data) == reason


def test_answers_to_calls_and_pings():
    arg = {"instType": "usdt-futures", "topic": "books", "symbol": "BTCUSDT"}
    ack = msgspec.json.encode({"event": "subscribe", "arg": arg, "connId": "x"})
    assert decode(ack) == decode("pong") == decode(b"pong") == []
    made = feed()
    assert made.is_ack(ack)
    assert made.is_ack(ack.decode())
    for other in (b"pong", b'{"event":"error"}', b"\xff", msgspec.json.encode(push("books", BOOK))):
        assert not made.is_ack(other)


def test_sockets_within_the_advice_of_the_venue():
    config, _ = load()
    made = build_feed("bitget", CONFIG, config.instruments)
    connections = made.connections()
    assert [c.id for c in connections] == ["books", "market"]
    for connection in connections:
        frames = [msgspec.json.decode(text) for text in connection.subscribe]
        args = [tuple(arg.values()) for frame in frames for arg in frame["args"]]
        assert len(args) == len(set(args)) < 50
        assert all(len(frame["args"]) <= 10 and frame["op"] == "subscribe" for frame in frames)
        assert connection.sends_per_second == 1
        assert connection.ping == ("ping", 25.0)
        assert connection.url == "wss://ws.bitget.com/v3/ws/public"
    streams = {stream for c in connections for stream in c.streams}
    assert streams == {(c, s.id) for c in CONFIG.streams for s in config.instruments}
    last = msgspec.json.decode(connections[1].subscribe[-1])["args"][-1]
    assert last == {"instType": "usdt-futures", "topic": "liquidation"}
    many = feed(*(f"A{n}USDT" for n in range(60)))
    assert [c.id for c in many.connections()] == [
        "books", "books-2", "books-3", "market", "market-2", "market-3",
    ]  # fmt: skip
    assert many.resubscribe("A50USDT")[0] == "books-2"


def test_a_lost_book_is_subscribed_anew():
    made = feed()
    made.listed(LISTED)
    arg = {"instType": "usdt-futures", "topic": "books", "symbol": "1000BONKUSDT"}
    connection, frames = made.resubscribe("BONKUSDT")
    assert connection == "books"
    assert [msgspec.json.decode(text) for text in frames] == [
        {"op": "unsubscribe", "args": [arg]},
        {"op": "subscribe", "args": [arg]},
    ]
    assert made.book_request("BTCUSDT") is None
    assert made.resubscribe("ETHUSDT") is None
    assert feed(streams=["trade"]).resubscribe("BTCUSDT") is None


def test_the_catalogue_decides():
    made = feed("BTCUSDT", "BONKUSDT", "TSLAUSDT")
    assert made.carries("ratio", "TSLAUSDT")
    rows = [
        row("1000BONKUSDT"),
        row("10000BONKUSDT"),
        row("BTCUSDT", status="offline"),
        row("TSLAUSDT", isRwa="YES", symbolType="stock"),
        row("XAUUSDT", symbolType="metal"),
        row("BTCUSDT_261225", type="delivery"),
        row("ETHPERP", quoteCoin="USDC"),
        row("龙虾USDT"),
    ]
    assert made.listed(catalogue(*rows)) == {"BONKUSDT", "龙虾USDT"}
    assert {s for c in made.connections() for _, s in c.streams} == {"BONKUSDT"}
    assert [p.request.symbol for p in made.polls()] == [None, "BONKUSDT"]
    assert {r.symbol for r in made.backfill(NOW, ["BTCUSDT", "BONKUSDT"])} == {"BONKUSDT"}
    assert made.carries("book", "BONKUSDT")
    assert not made.carries("book", "BTCUSDT")
    assert not made.carries("bars", "BONKUSDT")
    with pytest.raises(DecodeError, match="not a linear perpetual"):
        decode(push("publicTrade", TRADE, symbol="TSLAUSDT"), made)
    for nonsense in (b"", b"[]", catalogue(), b'{"code":"1","msg":"x"}'):
        with pytest.raises(DecodeError):
            made.listed(nonsense)
    assert made.carries("book", "BONKUSDT")


def test_requests():
    made = feed()
    made.listed(LISTED)
    assert made.catalogue_request().url == f"{REST}/v3/market/instruments?category=USDT-FUTURES"
    assert [(p.request.url.removeprefix(REST), p.every) for p in made.polls()] == [
        ("/v2/mix/market/current-fund-rate?productType=USDT-FUTURES", 300),
        ("/v2/mix/market/account-long-short?symbol=BTCUSDT&period=5m", 300),
        ("/v2/mix/market/account-long-short?symbol=1000BONKUSDT&period=5m", 300),
    ]
    asked = made.backfill(NOW, ["BTCUSDT", "BONKUSDT"])
    assert [r.url.removeprefix(REST) for r in asked[:2]] == [
        "/v3/market/history-fund-rate?symbol=BTCUSDT&category=USDT-FUTURES&limit=100",
        "/v2/mix/market/account-long-short?symbol=BTCUSDT&period=1h",
    ]
    assert [r.symbol for r in asked] == ["BTCUSDT", "BTCUSDT", "BONKUSDT", "BONKUSDT"]
    assert not any(r.purpose.endswith(" first") for r in asked), "a minute's budget is less"
    assert feed(backfill=False).backfill(NOW, ["BTCUSDT"]) == []
    assert feed(every={}).polls() == []
    assert made.top_up(0, NOW, ["BTCUSDT"]) == []


def test_a_wrong_config_names_its_key():
    with pytest.raises(ConfigError, match=r"feeds\.bitget\.streams: no stream 'mark'; allowed: "):
        feed(streams=["mark"])
    with pytest.raises(ConfigError, match=r"feeds\.bitget\.every: no poll 'oi'; allowed: "):
        feed(every={"oi": 5.0})
    with pytest.raises(ConfigError, match=r"feeds\.bitget\.urls\.public: missing"):
        feed(urls={"rest": "https://x"})
