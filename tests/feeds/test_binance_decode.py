"""Every shape Binance USD-M sends, as events; whatever else comes is a DecodeError."""

from pathlib import Path

import msgspec
import pytest

from engine.events import (
    BookDelta,
    BookSnapshot,
    Funding,
    Kline,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Trade,
)
from engine.feeds.binance.decode import Decoder
from engine.feeds.feed import Context, DecodeError

WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
wire = [
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout"),
]
REST = "https://fapi.binance.com"
AGG = {"e": "aggTrade", "E": 6, "T": 5, "s": "BTCUSDT", "a": 7, "p": "2.5", "q": "4", "m": True}
TICKER = {"e": "bookTicker", "u": 9, "s": "BTCUSDT", "b": "1", "B": "2", "a": "3", "A": "4"}
TICKER |= {"E": 6, "T": 5}
DEPTH = {"e": "depthUpdate", "E": 6, "T": 5, "s": "BTCUSDT", "U": 2, "u": 4, "pu": 1}
DEPTH |= {"b": [["1.5", "2"]], "a": [["1.6", "0"]]}
MARK = {"e": "markPriceUpdate", "E": 6, "s": "BTCUSDT", "p": "10", "i": "11", "P": "9"}
MARK |= {"r": "0.0001", "T": 8_000}
FORCE = {"e": "forceOrder", "E": 6, "o": {"s": "BTCUSDT", "S": "SELL", "q": "9", "p": "8"}}
FORCE["o"] |= {"ap": "8.5", "X": "FILLED", "l": "1", "z": "3", "T": 5}
SHAPES = [AGG, TICKER, DEPTH, MARK, FORCE]


def decode(raw: object, decoder: Decoder | None = None, **context: object) -> list:
    data = raw if isinstance(raw, bytes | str) else msgspec.json.encode(raw)
    return list((decoder or Decoder()).decode(data, Context(**{"recv": 99, **context})))


def refused(raw: object, **context: object) -> str:
    with pytest.raises(DecodeError) as error:
        decode(raw, **context)
    return error.value.args[0]


def common(symbol: str = "BTCUSDT", ts: int = 5_000_000, **more: object) -> dict:
    return {"venue": "binance", "market": "perp", "symbol": symbol, "ts": ts, "recv": 99, **more}


def test_trade():
    expected = Trade(**common(), price=2.5, size=4.0, side="sell", id=7)
    assert decode({"stream": "btcusdt@aggTrade", "data": AGG}) == [expected]
    assert decode({**AGG, "m": False})[0].side == "buy"


def test_raw_trade():
    raw = {"e": "trade", "E": 6, "T": 5, "s": "BTCUSDT", "t": 7, "p": "2.5", "q": "4", "m": False}
    assert decode({**raw, "X": "MARKET"}) == [
        Trade(**common(), price=2.5, size=4.0, side="buy", id=7)
    ]
    assert refused({**raw, "X": "ADL"}) == "not a market trade: ADL"
    assert refused({**raw, "X": "NA", "p": "0", "q": "0"}) == "not a market trade: NA"
    assert refused({**raw, "X": "MARKET", "q": "0"}) == "malformed"


def test_quote_and_delta():
    assert decode(TICKER) == [
        Quote(**common(), bid=1.0, bid_size=2.0, ask=3.0, ask_size=4.0, seq=9)
    ]
    assert decode(DEPTH) == [
        BookDelta(**common(), bids=[(1.5, 2.0)], asks=[(1.6, 0.0)], first_seq=2, seq=4, prev_seq=1)
    ]


def test_mark_and_funding():
    mark, funding = decode(MARK)
    assert mark == Mark(**common(ts=6_000_000), mark=10.0, index=11.0)
    assert funding == Funding(
        **common(ts=6_000_000), rate_8h=0.0001, rate=0.0001, interval_h=8.0, next_ts=8_000_000_000
    )
    assert [type(e) for e in decode({**MARK, "r": ""})] == [Mark]
    assert decode({**MARK, "i": ""})[0].index is None


def test_funding_intervals_are_remembered():
    decoder = Decoder()
    info = [{"symbol": "BTCUSDT", "fundingIntervalHours": 4, "disclaimer": False}]
    assert decode(info, decoder, url=f"{REST}/fapi/v1/fundingInfo") == []
    funding = decode(MARK, decoder)[1]
    assert (funding.interval_h, funding.rate, funding.rate_8h) == (4.0, 0.0001, 0.0002)


def test_liquidation():
    expected = Liquidation(**common(), position="long", price=8.5, size=3.0, usd=25.5)
    assert decode(FORCE) == [expected]
    assert decode({**FORCE, "o": {**FORCE["o"], "S": "BUY"}})[0].position == "short"
    assert refused({**FORCE, "o": {**FORCE["o"], "z": "0"}}) == "malformed"


def test_snapshot_takes_its_symbol_from_the_request():
    book = {"lastUpdateId": 5, "E": 6, "T": 5, "bids": [["1", "2"]], "asks": [["3", "4"]]}
    expected = BookSnapshot(**common(), bids=[(1.0, 2.0)], asks=[(3.0, 4.0)], seq=5)
    assert decode(book, symbol="BTCUSDT") == [expected]
    url = f"{REST}/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    assert decode(book, url=url) == [expected]
    assert refused(book) == "no symbol"


def test_klines():
    row = [60_000, "1", "4", "0.5", "2", "100", 119_999, "200", 9, "40", "80", "0"]
    still_open = [120_000, *row[1:6], 179_999, *row[7:]]
    url = f"{REST}/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=2"
    recv = 130_000_000_000
    (kline,) = decode([row, still_open], url=url, recv=recv)
    assert kline == Kline(
        **{**common(ts=60_000_000_000), "recv": recv},
        history=True,
        interval_s=60,
        open=1.0,
        high=4.0,
        low=0.5,
        close=2.0,
        volume=100.0,
        taker_buy_volume=40.0,
    )
    both = decode([row, still_open], symbol="BTCUSDT", recv=None)
    assert [k.interval_s for k in both] == [60, 60]


def test_open_interest_in_usd_once_a_mark_is_known():
    decoder = Decoder()
    answer = {"openInterest": "3", "symbol": "BTCUSDT", "time": 5}
    assert decode(answer, decoder) == [OpenInterest(**common(), base=3.0, usd=None)]
    decode(MARK, decoder)
    assert decode(answer, decoder)[0].usd == 30.0


def test_lots_are_resolved_here():
    def of(raw: dict, **more: object) -> dict:
        return {**raw, "s": "1000PEPEUSDT", **more}

    (trade,) = decode(of(AGG))
    assert (trade.symbol, trade.price, trade.size) == ("PEPEUSDT", 0.0025, 4000.0)
    (quote,) = decode(of(TICKER))
    assert (quote.bid, quote.ask_size) == (0.001, 4000.0)
    (delta,) = decode(of(DEPTH))
    assert delta.bids == [(0.0015, 2000.0)]
    mark, _ = decode(of(MARK))
    assert (mark.mark, mark.index) == (0.01, 0.011)
    (liquidation,) = decode({**FORCE, "o": of(FORCE["o"])})
    assert (liquidation.price, liquidation.size, liquidation.usd) == (0.0085, 3000.0, 25.5)
    book = {"lastUpdateId": 5, "E": 6, "T": 5, "bids": [["1", "2"]], "asks": []}
    for context in ({"symbol": "PEPEUSDT"}, {"url": f"{REST}/depth?symbol=1000PEPEUSDT"}):
        (snapshot,) = decode(book, **context)
        assert (snapshot.symbol, snapshot.bids) == ("PEPEUSDT", [(0.001, 2000.0)])


@pytest.mark.parametrize("name", ["BTCUSDT_261225", "BTCUSD_PERP", "ETHBTC", ""])
@pytest.mark.parametrize("raw", SHAPES)
def test_other_contracts_are_refused(raw, name):
    other = {**raw, "o": {**raw["o"], "s": name}} if "o" in raw else {**raw, "s": name}
    assert refused(other) == "not a linear perpetual"


@pytest.mark.parametrize("raw", SHAPES)
def test_coin_margined_rows_are_refused_alone_and_skipped_in_arrays(raw):
    assert refused({**raw, "st": 2}) == "not a linear perpetual"
    rows = [{**raw, "st": 2}, {**raw, "st": 1}]
    assert decode(rows) == decode(raw)
    assert decode({"stream": "!x@arr", "data": rows}) == decode(raw)


def test_answers_to_subscriptions():
    assert decode('{"result":null,"id":1}') == []
    assert refused('{"error":{"code":2,"msg":"Invalid request"},"id":1}') == (
        "refused: Invalid request"
    )
    assert refused('{"code":-1121,"msg":"Invalid symbol."}') == "refused: Invalid symbol."


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"pong", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ("\ud800", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"3", "unknown shape"),
        (b"[3]", "unknown shape"),
        (b'{"x":1}', "unknown shape"),
        (b'{"e":"kline","E":1,"s":"BTCUSDT"}', "unknown event"),
        (b'{"e":["x"],"E":1}', "unknown event"),
        (b'{"e":"aggTrade","E":1,"s":"BTCUSDT"}', "malformed"),
        (b'[[1,2]]', "malformed"),
        (b'[{"longShortRatio":"1","symbol":"BTCUSDT","timestamp":5}]', "unknown shape"),
    ],
)  # fmt: skip
def test_reasons(data, reason):
    assert refused(data) == reason


@pytest.mark.parametrize("bad", ["NaN", "inf", "-1", "1e999", "x", "", None, "1e20", [], True])
@pytest.mark.parametrize(("raw", "key"), [(AGG, "p"), (TICKER, "b"), (MARK, "p"), (AGG, "q")])
def test_impossible_numbers_are_malformed(raw, key, bad):
    assert refused({**raw, key: bad}) == "malformed"
    assert refused({**DEPTH, "b": [["1", "2"], [bad, "1"]]}) == "malformed"


def test_a_candle_that_ends_before_it_begins_is_malformed():
    row = [60_000, "1", "4", "0.5", "2", "1", 19_999, "2", 9, "0", "0", "0"]
    url = "https://fapi.binance.com/fapi/v1/klines?symbol=BTCUSDT&interval=1m"
    assert refused([row], url=url) == "malformed"
    assert refused([[*row[:6], 60_500, *row[7:]]], url=url) == "malformed"
