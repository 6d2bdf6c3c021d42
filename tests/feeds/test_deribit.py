"""Deribit: JSON-RPC, units of inverse and linear contracts, books by their chain, options."""

import json
from calendar import timegm

import msgspec
import pytest

from engine.clock import NS
from engine.config import ConfigError, load
from engine.events import (
    BookDelta,
    BookSnapshot,
    Funding,
    Liquidation,
    Mark,
    OpenInterest,
    OptionSummary,
    Quote,
    Trade,
)
from engine.feeds.deribit import Deribit, build
from engine.feeds.feed import Context, DecodeError, build_feed
from engine.feeds.parse import NOT_OURS
from engine.instruments import Instrument
from engine.market.book import Book

CONFIG = load()[0].feeds["deribit"]
REST = "https://www.deribit.com/api/v2/public"
NOW = timegm((2026, 11, 1, 12, 30, 0)) * NS
RECV = NOW + 50_000_000
TS = NOW // 1_000_000
BOOK = {"type": "snapshot", "timestamp": TS, "instrument_name": "BTC-PERPETUAL", "change_id": 10}
BOOK |= {"bids": [["new", 100.0, 500.0]], "asks": [["new", 200.0, 50.0], ["new", 250.0, 25.0]]}
CHANGE = {"type": "change", "timestamp": TS, "change_id": 13, "prev_change_id": 10}
CHANGE |= {"bids": [["change", 100.0, 300.0], ["delete", 90.0, 0.0]], "asks": []}
PRINT = {"trade_seq": 30, "trade_id": "219381310", "timestamp": TS, "tick_direction": 2}
PRINT |= {"price": 50_000.0, "mark_price": 50_000.5, "index_price": 50_001.0, "direction": "sell"}
PRINT |= {"instrument_name": "BTC-PERPETUAL", "amount": 1000.0, "contracts": 100.0}
TICKER = {"timestamp": TS, "mark_price": 100.0, "index_price": 99.0, "open_interest": 5000.0}
TICKER |= {"current_funding": 0.0003, "funding_8h": 0.0001, "state": "open", "stats": {}}
TICKER |= {"best_bid_price": 99.5, "best_bid_amount": 199.0, "best_ask_price": 100.5}
TICKER |= {"best_ask_amount": 201.0, "last_price": 100.0, "estimated_delivery_price": 99.0}
DVOL = {"timestamp": TS, "volatility": 45.5, "index_name": "btc_usd"}
OPTION = {"volume": 1.0, "underlying_index": "BTC-27NOV26", "interest_rate": 0.0, "mark_iv": 50.0}
OPTION |= {"underlying_price": 100_000.0, "open_interest": 10.0, "creation_timestamp": TS}


def feed(*symbols: str, **changes) -> Deribit:
    instruments = [Instrument(id=s, group="x") for s in symbols or ("BTCUSDT", "SOLUSDT")]
    return build(msgspec.structs.replace(CONFIG, **changes), instruments)


def said(channel: str, data: object) -> dict:
    params = {"channel": channel, "data": data}
    return {"jsonrpc": "2.0", "method": "subscription", "params": params}


def result(value: object, **more) -> dict:
    return {"jsonrpc": "2.0", "result": value, "usIn": 1, "usOut": NOW // 1000, "usDiff": 1, **more}


def decode(
    raw: object, made: Deribit | None = None, url: str = "", recv: int | None = RECV
) -> list:
    data = raw if isinstance(raw, bytes | str) else json.dumps(raw)
    return list((made or feed()).decode(data, Context(recv=recv, url=url)))


def refused(raw: object, **more) -> str:
    with pytest.raises(DecodeError) as error:
        decode(raw, **more)
    return error.value.args[0]


def common(symbol: str = "BTCUSDT", ts: int = NOW, **more) -> dict:
    kept = {"venue": "deribit", "market": "perp", "symbol": symbol, "ts": ts, "recv": RECV}
    return {**kept, **more}


# -- what is subscribed ----------------------------------------------------------------------


def test_one_socket():
    (main,) = feed().connections()
    heartbeat, subscribe = map(msgspec.json.decode, main.subscribe)
    assert (heartbeat["method"], heartbeat["params"]) == ("public/set_heartbeat", {"interval": 15})
    assert subscribe["method"] == "public/subscribe"
    assert subscribe["params"]["channels"] == [
        "book.BTC-PERPETUAL.100ms",
        "book.SOL_USDC-PERPETUAL.100ms",
        "trades.BTC-PERPETUAL.100ms",
        "trades.SOL_USDC-PERPETUAL.100ms",
        "ticker.BTC-PERPETUAL.100ms",
        "ticker.SOL_USDC-PERPETUAL.100ms",
        "deribit_volatility_index.btc_usd",
    ]
    assert main.streams[-1] == ("volatility", "BTCUSDT")
    assert len(main.streams) == len(subscribe["params"]["channels"])
    trigger, answer = main.reply
    assert trigger in '{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'
    assert msgspec.json.decode(answer)["method"] == "public/test"
    assert main.silence > 30


def test_many_symbols_in_calls_of_no_more_than_500_channels():
    (main,) = feed(*[f"C{n}USDT" for n in range(100)]).connections()
    calls = [msgspec.json.decode(f)["params"].get("channels", []) for f in main.subscribe]
    assert sum(map(len, calls)) == 300
    assert max(map(len, calls)) <= 500
    assert main.sends_per_second <= 3.3


def test_wanted_streams_and_urls():
    (only,) = feed(streams=["volatility"]).connections()
    assert only.streams == (("volatility", "BTCUSDT"),)
    assert feed("SOLUSDT", streams=["volatility"]).connections() == []
    assert feed(streams=["trade"]).polls() == []
    with pytest.raises(ConfigError, match=r"feeds\.deribit\.streams: no stream 'mark'; allowed: "):
        feed(streams=["mark"])
    with pytest.raises(ConfigError, match=r"feeds\.deribit\.urls\.ws: missing"):
        feed(urls={"rest": "https://x"})


def test_catalogue():
    made = feed("BTCUSDT", "SOLUSDT", "XRPUSDT")
    assert made.catalogue_request().url == f"{REST}/get_instruments?currency=any&kind=future"

    def row(name: str, **more) -> dict:
        kind = {"kind": "future", "settlement_period": "perpetual", "is_active": True}
        return {"instrument_name": name, **kind, **more}

    rows = [
        row("BTC-PERPETUAL"),
        row("BTC_USDC-PERPETUAL"),
        row("SOL_USDC-PERPETUAL", is_active=False),
        row("XRP_USDC-PERPETUAL"),
        row("ETH-27NOV26", settlement_period="month"),
    ]
    answer = json.dumps(result(rows)).encode()
    assert made.listed(answer) == {"BTCUSDT", "XRPUSDT"}
    assert decode(answer, made) == []
    assert made.carries("book", "XRPUSDT")
    assert not made.carries("book", "SOLUSDT")
    assert not made.carries("ratio", "BTCUSDT")
    assert made.carries("options", "BTCUSDT")
    assert not made.carries("options", "XRPUSDT")
    (main,) = made.connections()
    assert {s for _, s in main.streams} == {"BTCUSDT", "XRPUSDT"}
    assert made.resubscribe("SOLUSDT") is None
    for nonsense in (b"", b"[]", b'{"result":[]}', b'{"error":{}}'):
        with pytest.raises(DecodeError):
            made.listed(nonsense)


def test_healing_a_book_takes_it_off_first():
    made = feed()
    where, frames = made.resubscribe("SOLUSDT")
    off, on = map(msgspec.json.decode, frames)
    assert where == "main"
    assert (off["method"], on["method"]) == ("public/unsubscribe", "public/subscribe")
    assert off["params"] == on["params"] == {"channels": ["book.SOL_USDC-PERPETUAL.100ms"]}
    assert made.book_request("SOLUSDT") is None


def test_polls_and_backfill():
    made = feed("BTCUSDT", "ETHUSDT", "SOLUSDT", every={"options": 45})
    url = f"{REST}/get_book_summary_by_currency"
    assert [(p.request.url, p.every) for p in made.polls()] == [
        (f"{url}?currency=BTC&kind=option", 45),
        (f"{url}?currency=ETH&kind=option", 45),
    ]
    requests = made.backfill(NOW, ["BTCUSDT", "SOLUSDT"])
    end = NOW // (3600 * NS) * 3_600_000
    span = f"start_timestamp={end - 30 * 86_400_000}&end_timestamp={end}"
    assert [(r.url, r.symbol) for r in requests] == [
        (f"{REST}/get_volatility_index_data?currency=BTC&resolution=3600&{span}", "BTCUSDT"),
        (f"{REST}/get_funding_rate_history?instrument_name=BTC-PERPETUAL&{span}", "BTCUSDT"),
        (f"{REST}/get_funding_rate_history?instrument_name=SOL_USDC-PERPETUAL&{span}", "SOLUSDT"),
    ]
    assert {r.final for r in requests} == {end * 1_000_000 + 300 * NS}
    assert feed(backfill=False).backfill(NOW, ["BTCUSDT"]) == []
    assert made.top_up(0, NOW, ["BTCUSDT"]) == []


@pytest.mark.parametrize(
    ("raw", "is_ack"),
    [
        ({"jsonrpc": "2.0", "id": 2, "result": ["book.BTC-PERPETUAL.100ms"]}, True),
        ({"jsonrpc": "2.0", "id": 1, "result": "ok"}, True),
        (said("ticker.BTC-PERPETUAL.100ms", {"result": 1}), False),
        ({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "heartbeat"}}, False),
    ],
)
def test_acks(raw, is_ack):
    assert feed().is_ack(json.dumps(raw)) is is_ack
    assert feed().is_ack(msgspec.json.encode(raw)) is is_ack


def test_a_channel_left_out_of_the_confirmation_is_said():
    made = feed("BTCUSDT", streams=["trade", "ticker"])
    made.connections()
    assert refused(result(["trades.BTC-PERPETUAL.100ms"], id=2), made=made) == (
        "not subscribed: ticker.BTC-PERPETUAL.100ms"
    )
    whole = ["trades.BTC-PERPETUAL.100ms", "ticker.BTC-PERPETUAL.100ms"]
    assert decode(result(whole, id=2), made) == []
    assert decode(result(["anything"], id=1001), made) == []
    assert decode(result("ok", id=1), made) == decode(result({"version": "1.2.26"}), made) == []


# -- what comes ------------------------------------------------------------------------------


def test_books_in_base_coins():
    made, book = feed(), Book()
    (snapshot,) = decode(said("book.BTC-PERPETUAL.100ms", BOOK), made)
    asks = [(200.0, 0.25), (250.0, 0.1)]
    assert snapshot == BookSnapshot(**common(), bids=[(100.0, 5.0)], asks=asks, seq=10)
    book.snapshot(snapshot)
    (change,) = decode(said("book.BTC-PERPETUAL.100ms", CHANGE), made)
    bids = [(100.0, 3.0), (90.0, 0.0)]
    assert change == BookDelta(**common(), bids=bids, asks=[], first_seq=None, seq=13, prev_seq=10)
    assert book.delta(change)
    gap = {**CHANGE, "change_id": 20, "prev_change_id": 17}
    assert not book.delta(decode(said("book.BTC-PERPETUAL.100ms", gap), made)[0])
    assert (book.gaps, book.synced) == (1, False)
    again = {**BOOK, "change_id": 25}
    book.snapshot(decode(said("book.BTC-PERPETUAL.100ms", again), made)[0])
    after = {**CHANGE, "change_id": 26, "prev_change_id": 25}
    assert book.delta(decode(said("book.BTC-PERPETUAL.100ms", after), made)[0])
    (linear,) = decode(said("book.SOL_USDC-PERPETUAL.100ms", BOOK), made)
    assert (linear.symbol, linear.bids) == ("SOLUSDT", [(100.0, 500.0)])
    assert refused(said("book.BTC-PERPETUAL.100ms", {**CHANGE, "prev_change_id": None})) == (
        "malformed"
    )


def test_trades_in_base_coins():
    (trade,) = decode(said("trades.BTC-PERPETUAL.100ms", [PRINT]))
    expected = Trade(**common(), price=50_000.0, size=0.02, side="sell", id=219381310)
    assert trade == expected
    (linear,) = decode(said("trades.SOL_USDC-PERPETUAL.100ms", [{**PRINT, "trade_id": "USDC-7"}]))
    assert (linear.size, linear.id, linear.symbol) == (1000.0, "USDC-7", "SOLUSDT")


@pytest.mark.parametrize("key", ["block_trade_id", "combo_trade_id"])
def test_blocks_and_combos_are_no_flow(key):
    prints = [{**PRINT, key: "BLOCK-1"}, PRINT]
    assert len(decode(said("trades.BTC-PERPETUAL.100ms", prints))) == 1


@pytest.mark.parametrize(
    ("flag", "direction", "positions"),
    [
        ("T", "sell", ["long"]),
        ("T", "buy", ["short"]),
        ("M", "sell", ["short"]),
        ("M", "buy", ["long"]),
        ("MT", "sell", ["short", "long"]),
    ],
)
def test_liquidations_are_tagged_trades(flag, direction, positions):
    raw = {**PRINT, "liquidation": flag, "direction": direction}
    trade, *forced = decode(said("trades.BTC-PERPETUAL.100ms", [raw]))
    assert isinstance(trade, Trade)
    assert forced == [
        Liquidation(**common(), position=position, price=50_000.0, size=0.02, usd=1000.0)
        for position in positions
    ]


def test_linear_liquidation_in_usd():
    raw = {**PRINT, "liquidation": "T", "amount": 2.0, "price": 150.0}
    _, forced = decode(said("trades.SOL_USDC-PERPETUAL.100ms", [raw]))
    assert (forced.size, forced.usd) == (2.0, 300.0)


def test_tickers():
    mark, funding, interest, quote = decode(said("ticker.BTC-PERPETUAL.100ms", TICKER))
    assert mark == Mark(**common(), mark=100.0, index=99.0)
    assert funding == Funding(**common(), rate_8h=0.0001, rate=0.0001, interval_h=8.0, next_ts=None)
    assert interest == OpenInterest(**common(), base=50.0, usd=5000.0)
    assert quote == Quote(**common(), bid=99.5, ask=100.5, bid_size=2.0, ask_size=2.0, seq=None)
    linear = decode(said("ticker.SOL_USDC-PERPETUAL.100ms", TICKER))
    assert (linear[2].base, linear[2].usd) == (5000.0, 500_000.0)
    assert (linear[3].bid_size, linear[3].ask_size) == (199.0, 201.0)
    one_sided = {**TICKER, "best_bid_price": 0.0, "funding_8h": None}
    kinds = [type(e) for e in decode(said("ticker.BTC-PERPETUAL.100ms", one_sided))]
    assert kinds == [Mark, OpenInterest]


def summary(ts: int = NOW, **values) -> OptionSummary:
    unknown = dict.fromkeys(("dvol", "skew_25d", "put_call_oi", "term_slope"))
    history = {"history": values.pop("history", False)}
    return OptionSummary(
        **{**common(ts=ts, market="option"), **history}, currency="BTC", **{**unknown, **values}
    )


def options(*expiries: str) -> list[dict]:
    return [
        {**OPTION, "instrument_name": f"BTC-{e}-{k}-{kind}", "mark_iv": 60 - k / 10_000}
        for e in expiries
        for k in range(60_000, 161_000, 10_000)
        for kind in "CP"
    ]


def test_dvol_says_nothing_of_the_chain_and_the_chain_repeats_a_fresh_dvol():
    made = feed()
    assert decode(said("deribit_volatility_index.btc_usd", DVOL), made) == [summary(dvol=45.5)]
    rows = options("6NOV26", "27NOV26", "25DEC26", "26MAR27")
    (found,) = decode(result(rows), made)
    assert (found.symbol, found.market, found.ts, found.dvol) == ("BTCUSDT", "option", NOW, 45.5)
    assert found.put_call_oi == 1.0
    assert found.skew_25d < 0
    assert found.term_slope is not None
    later = result(rows, usOut=NOW // 1000 + 121_000_000)
    assert decode(later, made)[0].dvol is None, "a DVOL of two minutes ago is no state of now"
    (bare,) = decode({"result": options("27NOV26")[:1]})
    assert bare == summary(put_call_oi=0.0)
    sol = [{**OPTION, "instrument_name": "SOL-27NOV26-100-C"}]
    assert refused(result(sol)) == NOT_OURS
    assert refused(said("deribit_volatility_index.sol_usdc", DVOL)) == NOT_OURS


def test_dvol_history_tells_a_candle_at_its_end():
    rows = [[TS - 7_200_000, 40, 41, 39, 40.5], [TS - 3_600_000, 1, 1, 1, 46], [TS, 1, 1, 1, 47]]
    url = f"{REST}/get_volatility_index_data?currency=BTC&resolution=3600"
    answer = result({"data": rows, "continuation": None})
    assert decode(answer, url=url) == [
        summary(NOW - 3600 * NS, dvol=40.5, history=True),
        summary(NOW, dvol=46.0, history=True),
    ]
    assert refused(answer) == "no symbol"


def test_funding_history():
    rows = [{"timestamp": TS, "index_price": 1, "interest_8h": -0.0002, "interest_1h": -0.00001}]
    url = f"{REST}/get_funding_rate_history?instrument_name=SOL_USDC-PERPETUAL"
    assert decode(result(rows), url=url) == [
        Funding(
            **common("SOLUSDT", history=True),
            rate_8h=-0.0002,
            rate=-0.0002,
            interval_h=8.0,
            next_ts=None,
        )
    ]
    assert refused(result(rows)) == "no symbol"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "unknown shape"),
        ({"error": {"code": 13778, "message": "raw needs login"}}, "refused: raw needs login"),
        (said("user.changes", {}), "unknown channel"),
        (said("ticker.BTC_USDC-PERPETUAL.100ms", TICKER), NOT_OURS),
        (said("ticker.SOL-PERPETUAL.100ms", TICKER), NOT_OURS),
        (said("ticker.BTC-27NOV26.100ms", TICKER), NOT_OURS),
        (said("ticker.BTC-PERPETUAL.100ms", {}), "malformed"),
        (said("ticker.BTC-PERPETUAL.100ms", {**TICKER, "mark_price": 1e16}), "malformed"),
        (said("trades.BTC-PERPETUAL.100ms", [{**PRINT, "amount": 0}]), "malformed"),
        ({"method": "subscription", "params": {}}, "malformed"),
        (result([{"interest_8h": "x"}]), "malformed"),
        (result([[1]]), "unknown shape"),
        ({"x": 1}, "unknown shape"),
    ],
)
def test_reasons(raw, reason):
    assert refused(raw) == reason
    assert decode({"jsonrpc": "2.0", "method": "heartbeat", "params": {"type": "x"}}) == []


def test_the_folder_lists_it():
    config, _ = load()
    made = build_feed("deribit", config.feeds["deribit"], config.instruments)
    needs = {"trades", "book", "mark", "funding", "oi", "liq", "options"}
    assert made.provides == needs
