"""What the Bybit feed asks for, and every frame it takes as events."""

import json

import msgspec
import pytest

from engine.clock import NS
from engine.config import ConfigError, FeedConfig, load
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
from engine.feeds.bybit import build
from engine.feeds.feed import Context, DecodeError, build_feed
from engine.instruments import Instrument
from engine.market.book import Book

LINEAR, SPOT = "wss://x/v5/public/linear", "wss://x/v5/public/spot"
REST = "https://x/v5/market"
NOW = 1_795_000_050 * NS
DAY, HOUR = 86_400_000, 3_600_000


def feed(*symbols: str, **changes):
    instruments = [Instrument(id=s, group="x") for s in symbols or ("BTCUSDT", "PEPEUSDT")]
    config = load()[0].feeds["bybit"]
    urls = {"linear": LINEAR, "rest": "https://x/"}
    return build(msgspec.structs.replace(config, **{"urls": urls, **changes}), instruments)


def decode(raw: object, made=None, url: str = LINEAR, recv: int | None = 99) -> list:
    data = raw if isinstance(raw, bytes | str) else msgspec.json.encode(raw)
    return list((made or feed()).decode(data, Context(recv=recv, url=url)))


def refused(raw: object, made=None, url: str = LINEAR) -> str:
    with pytest.raises(DecodeError) as error:
        decode(raw, made, url)
    return error.value.args[0]


def common(symbol: str = "BTCUSDT", ts: int = 5_000_000, **more: object) -> dict:
    fixed = {"venue": "bybit", "market": "perp", "recv": 99}
    return {**fixed, "symbol": symbol, "ts": ts, **more}


def book(kind: str, u: int, seq: int, bids=(), asks=(), name="BTCUSDT", depth=200) -> dict:
    data = {"s": name, "b": list(bids), "a": list(asks), "u": u, "seq": seq}
    topic = f"orderbook.{depth}.{name}"
    return {"topic": topic, "type": kind, "ts": 6, "data": data, "cts": 5}


def ticker(kind: str, cs: int, ts: int = 5, name: str = "BTCUSDT", **data: str) -> dict:
    data = {"symbol": name, **data}
    return {"topic": f"tickers.{name}", "type": kind, "data": data, "cs": cs, "ts": ts}


def trades(*rows: dict, name: str = "BTCUSDT") -> dict:
    row = {"T": 5, "s": name, "S": "Sell", "v": "4", "p": "2.5", "L": "MinusTick", "BT": False}
    data = [{**row, "i": "20f4-x", **more} for more in rows]
    return {"topic": f"publicTrade.{name}", "type": "snapshot", "ts": 6, "data": data}


def forced(name: str = "BTCUSDT", **more: str) -> dict:
    row = {"T": 5, "s": name, "S": "Buy", "v": "4", "p": "2.5", **more}
    return {"topic": f"allLiquidation.{name}", "type": "snapshot", "ts": 6, "data": [row]}


FULL = {
    "markPrice": "10", "indexPrice": "11", "fundingRate": "0.0001", "nextFundingTime": "8000",
    "fundingIntervalHour": "4", "openInterest": "60", "openInterestValue": "600",
    "singleOpenInterest": "30", "singleOpenInterestValue": "300", "bid1Price": "9",
    "bid1Size": "1", "ask1Price": "12", "ask1Size": "2", "preOpenPrice": "",
}  # fmt: skip


def answer(rows: list, **result: object) -> dict:
    return {"retCode": 0, "retMsg": "OK", "result": {"list": rows, **result}, "time": 5}


def contract(name: str, **more: object) -> dict:
    row = {"contractType": "LinearPerpetual", "status": "Trading", "baseCoin": "x"}
    return {"symbol": name, **row, "quoteCoin": "USDT", "fundingInterval": 480, **more}


CATALOGUE = answer(
    [
        contract("BTCUSDT"),
        contract("SHIB1000USDT", fundingInterval=240),
        contract("1000PEPEUSDT", symbolType="innovation"),
        contract("BTCPERP", quoteCoin="USDC"),
        contract("BTCUSDT-25DEC26", contractType="LinearFutures"),
        contract("AAPLUSDT", symbolType="stock"),
        contract("XAUUSDT", symbolType="commodity"),
        contract("SOLUSDT", status="PreLaunch"),
    ],
    category="linear",
    nextPageCursor="",
)


def test_trades():
    first, second = decode(trades({}, {"S": "Buy", "i": "2280000001739247417"}))
    assert first == Trade(**common(), price=2.5, size=4.0, side="sell", id="20f4-x")
    assert (second.side, second.id) == ("buy", 2280000001739247417)
    (pepe,) = decode(trades({}, name="1000PEPEUSDT"))
    assert (pepe.symbol, pepe.price, pepe.size) == ("PEPEUSDT", 0.0025, 4000.0)
    (shib,) = decode(trades({}, name="SHIB1000USDT"))
    assert (shib.symbol, shib.price, shib.size) == ("SHIBUSDT", 0.0025, 4000.0)


def test_block_trades_are_no_flow():
    assert len(decode(trades({}, {"BT": True}))) == 1
    assert refused(trades({"BT": True})) == "block trade"


def test_spot_is_told_by_the_connection_alone():
    made = feed()
    frames = [trades({}), book("snapshot", 7, 70, [["1", "2"]]), book("delta", 8, 71)]
    for url, market in ((LINEAR, "perp"), (SPOT, "spot")):
        events = [event for frame in frames for event in decode(frame, made, url)]
        assert [event.market for event in events] == [market] * 3
        assert events[2].prev_seq == 70, "each market has a chain of its own"
    assert decode(ticker("snapshot", 1, lastPrice="5"), made, SPOT) == []
    assert decode(trades({}), made, "ws://127.0.0.1:5/proxy")[0].market == "perp"
    assert refused(trades({}), made, "wss://x/v5/public/inverse") == "not a linear perpetual"


def test_book_chain():
    made, kept = feed(), Book()
    (whole,) = decode(book("snapshot", 7, 70, [["1", "2"]], [["3", "4"]]), made)
    assert whole == BookSnapshot(**common(), bids=[(1.0, 2.0)], asks=[(3.0, 4.0)], seq=70)
    (delta,) = decode(book("delta", 8, 75, [["1", "0"]]), made)
    numbers = {"first_seq": 71, "seq": 75, "prev_seq": 70}
    assert delta == BookDelta(**common(), bids=[(1.0, 0.0)], asks=[], **numbers)
    kept.snapshot(whole)
    assert kept.delta(delta)
    assert (kept.synced, kept.bids, kept.gaps) == (True, {}, 0)
    assert not kept.delta(*decode(book("delta", 8, 75), made)), "a repeated one changes nothing"
    assert kept.synced
    (jumped,) = decode(book("delta", 10, 90), made)
    assert not kept.delta(jumped)
    assert (kept.synced, kept.gaps) == (False, 1)
    kept.snapshot(*decode(book("snapshot", 10, 90, [["1", "2"]]), made))
    assert kept.synced, "the delta that waited is in the snapshot already"
    assert kept.delta(*decode(book("delta", 11, 91), made))


def test_a_restarted_service_begins_lower():
    made, kept = feed(), Book()
    kept.snapshot(*decode(book("snapshot", 900, 9000, [["1", "2"]]), made))
    empty, whole = decode(book("snapshot", 1, 10, [["5", "6"]]), made)
    kept.delta(empty)
    kept.snapshot(whole)
    assert (kept.bids, kept.synced, kept.seq) == ({5.0: 6.0}, True, 10)
    assert kept.delta(*decode(book("delta", 2, 11, [["4", "1"]]), made))
    (quote,) = decode(book("snapshot", 900, 9000, [["1", "2"]], [["3", "4"]], depth=1), made)
    assert quote == Quote(**common(), bid=1.0, bid_size=2.0, ask=3.0, ask_size=4.0, seq=9000)
    (again,) = decode(book("snapshot", 1, 10, [["1", "2"]], [["3", "4"]], depth=1), made)
    assert again.seq is None
    assert decode(book("snapshot", 2, 11, [["1", "2"]], depth=1), made) == []
    assert refused(book("delta", 3, 12, [["1", "2"]], depth=1), made) == "malformed"


def test_ticker_is_merged_and_says_only_what_is_new():
    made = feed()
    mark, funding, interest, quote = decode(ticker("snapshot", 100, **FULL), made)
    assert mark == Mark(**common(), mark=10.0, index=11.0)
    rates = {"rate": 0.0001, "rate_8h": 0.0002, "interval_h": 4.0, "next_ts": 8_000_000_000}
    assert funding == Funding(**common(), **rates)
    assert interest == OpenInterest(**common(), base=30.0, usd=300.0)
    sizes = {"bid": 9.0, "bid_size": 1.0, "ask": 12.0, "ask_size": 2.0, "seq": 100}
    assert quote == Quote(**common(), **sizes)
    assert decode(ticker("delta", 99, markPrice="1"), made) == [], "older than the snapshot"
    assert decode(ticker("delta", 101, indexPrice="10.5", lastPrice="3"), made) == []
    (mark,) = decode(ticker("delta", 102, markPrice="10.1"), made)
    assert (mark.mark, mark.index) == (10.1, 10.5)
    (quote,) = decode(ticker("delta", 103, bid1Price="9.5", bid1Size="3"), made)
    assert (quote.bid, quote.bid_size, quote.ask, quote.seq) == (9.5, 3.0, 12.0, 103)
    (funding,) = decode(ticker("delta", 104, fundingRate="0.0003"), made)
    assert (funding.rate, funding.interval_h) == (0.0003, 4.0)
    (interest,) = decode(ticker("delta", 105, singleOpenInterest="31"), made)
    assert (interest.base, interest.usd) == (31.0, pytest.approx(31 * 10.1))
    assert decode(ticker("delta", 106, openInterestValue="601"), made) == []
    assert decode(ticker("delta", 107, fundingRate="", markPrice=""), made) == []


def test_an_omitted_funding_rate_is_stated_again_once_in_a_while():
    made = feed()
    decode(ticker("snapshot", 100, ts=1_000, **FULL), made)
    assert decode(ticker("delta", 101, ts=30_999), made) == []
    (funding,) = decode(ticker("delta", 102, ts=31_000), made)
    assert (funding.rate, funding.ts) == (0.0001, 31_000_000_000)
    assert decode(ticker("delta", 103, ts=31_100), made) == []


def test_quotes_come_from_the_ticker_only_where_no_quote_stream_does():
    made = feed()
    decode(book("snapshot", 1, 10, [["1", "2"]], [["3", "4"]], depth=1), made)
    assert not any(isinstance(e, Quote) for e in decode(ticker("snapshot", 100, **FULL), made))


def test_doubled_open_interest_is_halved():
    made = feed()
    (event,) = decode(ticker("snapshot", 1, openInterest="60", openInterestValue="600"), made)
    assert (event.base, event.usd) == (30.0, 300.0)
    rows = [{"openInterest": "60", "timestamp": "5"}]
    (event,) = decode(answer(rows, category="linear", symbol="1000PEPEUSDT"), made)
    assert event == OpenInterest(**common("PEPEUSDT"), history=True, base=30_000.0, usd=None)


def test_ticker_in_lots_and_without_an_interval():
    made = feed()
    raw = ticker("snapshot", 1, name="1000PEPEUSDT", **FULL)
    del raw["data"]["fundingIntervalHour"]
    mark, funding, interest, quote = decode(raw, made)
    assert (mark.mark, mark.index) == (0.01, 0.011)
    assert (funding.rate, funding.rate_8h, funding.interval_h) == (0.0001, None, None)
    assert (interest.base, interest.usd) == (30_000.0, 300.0)
    assert (quote.bid, quote.bid_size) == (0.009, 1000.0)
    decode(CATALOGUE, made)
    assert decode(raw, made)[1].rate_8h == 0.0001, "the catalogue told the interval"


def test_liquidation_side_is_the_position():
    expected = Liquidation(**common(), position="long", price=2.5, size=4.0, usd=10.0)
    assert decode(forced()) == [expected]
    (short,) = decode(forced("1000PEPEUSDT", S="Sell"))
    assert (short.position, short.price, short.size, short.usd) == ("short", 0.0025, 4000.0, 10.0)


def test_ratio_and_funding_history():
    row = {"symbol": "BTCUSDT", "buyRatio": "0.6", "sellRatio": "0.4", "timestamp": "5"}
    (ratio,) = decode(answer([row]), url=f"{REST}/account-ratio?category=linear")
    assert ratio == Ratio(
        **common(), history=True, measure="global_accounts", value=pytest.approx(1.5)
    )
    assert refused(answer([row]), url=f"{REST}/account-ratio?category=inverse") == (
        "not a linear perpetual"
    )
    times = [28_800_000 + 14_400_000, 28_800_000, 0]
    rows = [
        {"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingRateTimestamp": str(t)}
        for t in times
    ]
    made = feed()
    newest, middle, oldest = decode(answer(rows, category="linear"), made)
    assert (newest.interval_h, newest.rate_8h, newest.history) == (4.0, 0.0002, True)
    assert (middle.interval_h, middle.rate_8h) == (8.0, 0.0001)
    assert (oldest.interval_h, oldest.rate_8h, oldest.rate) == (None, None, 0.0001)


def test_acks_pongs_and_refusals():
    ack = '{"success":true,"ret_msg":"","conn_id":"d8","req_id":"","op":"subscribe"}'
    pong = '{"success":true,"ret_msg":"pong","conn_id":"d8","op":"ping"}'
    no = '{"success":false,"ret_msg":"error:handler not found","op":"subscribe"}'
    assert [feed().is_ack(text) for text in (ack, ack.encode(), pong, no, "", b"\xff")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip
    assert decode(ack) == decode(pong) == []
    assert refused(no) == "refused: error:handler not found"
    assert refused('{"retCode":10006,"retMsg":"Too many visits!"}') == "refused: Too many visits!"
    assert refused('{"topic":"kline.1.BTCUSDT","data":[]}') == "unknown topic"
    assert refused(json.dumps(trades({"i": 5}))) == "malformed"
    assert decode(json.dumps(trades({}), indent=1)) == decode(trades({})), "written with spaces"


@pytest.mark.parametrize("name", ["BTCUSD", "BTCUSDT-25DEC26", "ETHBTC", "", "X" * 50 + "USDT"])
def test_other_contracts_are_refused(name):
    frames = [trades({}, name=name), forced(name), book("delta", 1, 1, name=name)]
    for raw in (*frames, ticker("snapshot", 1, name=name, **FULL)):
        assert refused(raw) == "not a linear perpetual"


@pytest.mark.parametrize("bad", ["NaN", "inf", "-1", "1e999", "x", True, [], "1e20"])
def test_impossible_numbers_are_malformed_and_change_nothing(bad):
    assert refused(trades({"p": bad})) == refused(forced(v=bad)) == "malformed"
    assert refused(book("delta", 1, 1, [["1", "2"], [bad, "1"]])) == "malformed"
    made = feed()
    decode(ticker("snapshot", 1, **FULL), made)
    assert refused(ticker("delta", 2, indexPrice="99", markPrice=bad), made) == "malformed"
    assert decode(ticker("delta", 3, markPrice="10"), made)[0].index == 11.0


def test_the_catalogue_narrows_what_is_asked_for():
    made = feed("BTCUSDT", "PEPEUSDT", "SOLUSDT", "AAPLUSDT")
    assert made._topic("depth", "PEPEUSDT") == "orderbook.200.1000PEPEUSDT", "before it is known"
    assert made.listed(msgspec.json.encode(CATALOGUE)) == {"BTCUSDT", "SHIBUSDT", "PEPEUSDT"}
    (connection,) = made.connections()
    assert {symbol for _, symbol in connection.streams} == {"BTCUSDT", "PEPEUSDT"}
    assert {poll.request.symbol for poll in made.polls()} == {"BTCUSDT", "PEPEUSDT"}
    assert {r.symbol for r in made.backfill(NOW, ["BTCUSDT", "SOLUSDT"])} == {"BTCUSDT"}
    assert made.carries("liq", "PEPEUSDT")
    assert not made.carries("liq", "SOLUSDT")
    assert not made.carries("options", "BTCUSDT")
    assert made.resubscribe("SOLUSDT") is None
    for nonsense in (b"", b"[]", b'{"retCode":0,"result":{"list":[]}}', b'{"retCode":1}'):
        with pytest.raises(DecodeError):
            made.listed(nonsense)
    cut = {**CATALOGUE, "result": {**CATALOGUE["result"], "nextPageCursor": "more"}}
    assert "SOLUSDT" in made.listed(msgspec.json.encode(cut)), "a cut list proves no absence"


def test_the_folder_lists_it_and_its_limits_hold():
    config, _ = load()
    made = build_feed("bybit", config.feeds["bybit"], config.instruments)
    (connection,) = made.connections()
    topics = [t for text in connection.subscribe for t in msgspec.json.decode(text)["args"]]
    assert len(topics) == len(set(topics)) == len(connection.streams) == 5 * 21
    assert "orderbook.200.SHIB1000USDT" in feed("SHIBUSDT").connections()[0].subscribe[0]
    crowd = feed(*(f"COIN{n:03}USDT" for n in range(100)))
    assert sum(map(len, crowd.connections()[0].subscribe)) < 21_000
    assert connection.ping == ('{"op":"ping"}', 20.0)
    identifier, frames = made.resubscribe("BTCUSDT")
    assert identifier == connection.id
    assert [msgspec.json.decode(f) for f in frames] == [
        {"op": op, "args": ["orderbook.200.BTCUSDT"]} for op in ("unsubscribe", "subscribe")
    ]


def test_config_errors_name_the_key():
    with pytest.raises(ConfigError, match=r"feeds\.bybit\.streams: no stream 'kline'; allowed: "):
        feed(streams=["kline"])
    with pytest.raises(ConfigError, match=r"feeds\.bybit\.every: no poll 'x'; allowed: ratios"):
        feed(every={"x": 1.0})
    with pytest.raises(ConfigError, match=r"feeds\.bybit\.urls\.rest: missing"):
        build(FeedConfig(urls={"linear": LINEAR}), [])
    assert feed(streams=["trade"]).connections()[0].subscribe == (
        '{"op":"subscribe","args":["publicTrade.BTCUSDT","publicTrade.1000PEPEUSDT"]}',
    )
    assert feed(every={}).polls() == []
    assert feed(streams=["trade"]).resubscribe("BTCUSDT") is None


@pytest.mark.parametrize(("path", "rows"), [("account-ratio", 500), ("open-interest", 200)])
def test_history_is_asked_for_once_newest_first(path, rows):
    requests = feed().backfill(NOW, ["PEPEUSDT"])
    assert len(requests) < 12
    assert "/funding/history?symbol=1000PEPEUSDT&" in requests[0].url
    begin = end = NOW // 1_000_000
    for request in [r for r in requests if f"/{path}?" in r.url]:
        query = dict(part.split("=") for part in request.url.partition("?")[2].split("&"))
        step = 300_000 if "5min" in request.url else 3_600_000
        assert begin - 1 <= int(query["endTime"]) <= end, "no hole"
        assert int(query["limit"]) == rows
        assert int(query["endTime"]) - int(query["startTime"]) < rows * step
        begin = int(query["startTime"])
        end = begin - 1 if step > 300_000 else end
    assert begin == NOW // 1_000_000 // HOUR * HOUR - 30 * DAY
    assert feed(backfill=False).backfill(NOW, ["PEPEUSDT"]) == []
