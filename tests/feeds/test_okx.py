"""What the OKX feed asks for, and every frame it takes as events."""

import json
from pathlib import Path

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
from engine.feeds.feed import Context, DecodeError, build_feed
from engine.feeds.okx import build
from engine.instruments import Instrument
from engine.market.book import Book

URL, REST = "wss://x:8443/ws/v5/public", "https://x/api/v5"
BTC = "BTC-USDT-SWAP"
NOW = 1_795_000_050 * NS
HOUR = 3_600_000
DOCS = Path(__file__).parents[2].parent / "shared" / "wire" / "docs_examples" / "OKX"


def contract(base: str, value: str, **more: str) -> dict:
    kind = {"instType": "SWAP", "ctType": "linear", "settleCcy": "USDT", "state": "live"}
    size = {"ctVal": value, "ctMult": "1", "ctValCcy": base, "ruleType": "normal"}
    return {"instId": f"{base}-USDT-SWAP", "instFamily": f"{base}-USDT", **kind, **size, **more}


CATALOGUE = {
    "code": "0",
    "msg": "",
    "data": [
        contract("BTC", "0.01", instCategory="1"),
        contract("SHIB", "1000000"),
        contract("ETH", "0.05", ctMult="2"),
        contract("SOL", "1", state="suspend"),
        contract("MUU", "1", instCategory="3"),
        contract("NEW", "1", ruleType="pre_market"),
        contract("BAD", ""),
        contract("BTC", "100", instId="BTC-USD-SWAP", ctType="inverse", ctValCcy="USD"),
    ],
}


def feed(*symbols: str, known: bool = True, **changes):
    instruments = [Instrument(id=s, group="x") for s in symbols or ("BTCUSDT", "SHIBUSDT")]
    config = load()[0].feeds["okx"]
    urls = {"public": URL, "rest": "https://x/"}
    made = build(msgspec.structs.replace(config, **{"urls": urls, **changes}), instruments)
    if known:
        assert made.decode(msgspec.json.encode(CATALOGUE), Context(recv=1)) == ()
    return made


def decode(raw: object, made=None, url: str = URL, recv: int | None = 99) -> list:
    data = raw if isinstance(raw, bytes | str) else msgspec.json.encode(raw)
    return list((made or feed()).decode(data, Context(recv=recv, url=url)))


def refused(raw: object, made=None, url: str = URL) -> str:
    with pytest.raises(DecodeError) as error:
        decode(raw, made, url)
    return error.value.args[0]


def common(symbol: str = "BTCUSDT", ts: int = 5_000_000, **more: object) -> dict:
    return {"venue": "okx", "market": "perp", "recv": 99, "symbol": symbol, "ts": ts, **more}


def push(channel: str, *rows: dict, name: str = BTC, **more: object) -> dict:
    return {"arg": {"channel": channel, "instId": name}, **more, "data": list(rows)}


def book(seq: int, prev: int, bids=(), asks=(), action: str = "update", name: str = BTC) -> dict:
    levels = {"asks": [[*a, "0", "1"] for a in asks], "bids": [[*b, "0", "1"] for b in bids]}
    row = {**levels, "ts": "5", "checksum": 0, "seqId": seq, "prevSeqId": prev}
    return push("books", row, name=name, action=action)


def touch(seq: int, bid: str = "1", ask: str | None = "3") -> dict:
    asks = [[ask, "4", "0", "1"]] if ask else []
    row = {"asks": asks, "bids": [[bid, "2", "0", "1"]], "ts": "5", "seqId": seq}
    return push("bbo-tbt", row)


def trade(name: str = BTC, **more: str) -> dict:
    row = {"instId": name, "tradeId": "7", "px": "2.5", "sz": "4", "side": "buy", "ts": "5"}
    return push("trades", {**row, "count": "3", "source": "0", "seqId": 9, **more}, name=name)


def mark(ts: str = "5", name: str = BTC, price: str = "10") -> dict:
    row = {"instType": "SWAP", "instId": name, "markPx": price, "ts": ts}
    return push("mark-price", row, name=name)


def index(ts: str = "5", name: str = "BTC-USDT") -> dict:
    return push("index-tickers", {"instId": name, "idxPx": "11", "ts": ts}, name=name)


def funding(name: str = BTC, **more: str) -> dict:
    row = {"instId": name, "fundingRate": "0.0001", "fundingTime": "14400000", "ts": "5"}
    row |= {"nextFundingTime": "28800000", "nextFundingRate": "", "method": "current_period"}
    return push("funding-rate", {**row, **more}, name=name)


def interest(name: str = BTC, **more: str) -> dict:
    row = {"instId": name, "oi": "500", "oiCcy": "5", "oiUsd": "50", "ts": "5", **more}
    return push("open-interest", row, name=name)


def forced(*names: str, **more: str) -> dict:
    detail = {"bkLoss": "0", "bkPx": "2.5", "posSide": "long", "side": "sell", "sz": "8.55"}
    detail |= {"ts": "5", "ccy": "", **more}
    rows = [{"details": [detail], "instId": n, "instType": "SWAP"} for n in names or (BTC,)]
    return {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": rows}


def test_trades_in_coins():
    expected = Trade(**common(), price=2.5, size=0.04, side="buy", id=7)
    assert decode(trade()) == [expected]
    assert decode(trade("SHIB-USDT-SWAP", px="0.00002", sz="0.5"))[0].size == 500_000.0
    assert decode(trade("ETH-USDT-SWAP"))[0].size == pytest.approx(0.4), "value times multiplier"


def test_nothing_in_contracts_before_the_catalogue():
    bare = feed(known=False)
    for raw in (trade(), book(2, 1), touch(1), forced()):
        assert refused(raw, bare) == "contract size unknown"
    for raw in (mark(), funding(), interest()):
        assert len(decode(raw, bare)) == 1
    assert bare.listed(msgspec.json.encode(CATALOGUE)) == {"BTCUSDT", "SHIBUSDT", "ETHUSDT"}
    assert len(decode(trade(), bare)) == 1


def test_book_chain():
    made, kept = feed(), Book()
    (whole,) = decode(book(10, -1, [["1", "2"]], [["3", "4"]], "snapshot"), made)
    assert whole == BookSnapshot(**common(), bids=[(1.0, 0.02)], asks=[(3.0, 0.04)], seq=10)
    (delta,) = decode(book(15, 10, [["1", "0"]]), made)
    numbers = {"first_seq": 11, "seq": 15, "prev_seq": 10}
    assert delta == BookDelta(**common(), bids=[(1.0, 0.0)], asks=[], **numbers)
    kept.snapshot(whole)
    assert kept.delta(delta)
    assert kept.delta(*decode(book(15, 15), made)), "a keepalive says that nothing changed"
    assert kept.delta(*decode(book(3, 15), made)), "a maintenance reset goes on from lower"
    assert kept.delta(*decode(book(5, 3, [["1", "9"]]), made))
    assert (kept.synced, kept.gaps, kept.bids) == (True, 0, {1.0: 0.09})
    assert not kept.delta(*decode(book(9, 7), made))
    assert (kept.synced, kept.gaps) == (False, 1)
    kept.snapshot(*decode(book(9, -1, [["1", "2"]], action="snapshot"), made))
    assert kept.synced, "what waited is in the snapshot already"
    assert kept.delta(*decode(book(12, 9), made))


def test_a_snapshot_that_begins_lower_replaces_the_book():
    made, kept = feed(), Book()
    kept.snapshot(*decode(book(900, -1, [["1", "2"]], action="snapshot"), made))
    empty, whole = decode(book(4, -1, [["5", "6"]], action="snapshot"), made)
    kept.delta(empty)
    kept.snapshot(whole)
    assert (kept.bids, kept.synced, kept.seq) == ({5.0: 0.06}, True, 4)


def test_quotes():
    made = feed()
    sizes = {"bid": 1.0, "bid_size": 0.02, "ask": 3.0, "ask_size": 0.04}
    assert decode(touch(9), made) == [Quote(**common(), **sizes, seq=9)]
    assert decode(touch(5), made)[0].seq is None, "numbers began lower"
    assert decode(touch(6), made)[0].seq == 6
    assert decode(touch(7, ask=None), made) == []


def test_the_index_waits_for_a_mark():
    made = feed()
    assert decode(mark(), made) == [Mark(**common(), mark=10.0, index=None)]
    assert decode(index(), made) == []
    assert decode(mark(), made)[0].index == 11.0
    assert decode(mark(ts="90005"), made)[0].index == 11.0
    assert decode(mark(ts="90006"), made)[0].index is None, "an old index is none"


def test_funding_interval_is_the_time_to_the_next():
    (event,) = decode(funding())
    rates = {"rate": 0.0001, "rate_8h": 0.0002, "interval_h": 4.0, "next_ts": 14_400 * NS}
    assert event == Funding(**common(), **rates)
    for following in ("", "14400000", "1440000000000"):
        (event,) = decode(funding(nextFundingTime=following))
        assert (event.rate, event.rate_8h, event.interval_h) == (0.0001, None, None)


def test_open_interest():
    assert decode(interest()) == [OpenInterest(**common(), base=5.0, usd=50.0)]
    assert decode(interest(oiUsd=""))[0].usd is None


def test_liquidations():
    expected = Liquidation(**common(), position="long", price=2.5, size=0.0855, usd=0.0855 * 2.5)
    assert decode(forced()) == [expected]
    sides = [("short", "buy"), ("net", "buy"), ("net", "sell"), ("short", "sell")]
    found = [decode(forced(posSide=p, side=s))[0].position for p, s in sides]
    assert found == ["short", "short", "long", "short"]
    others = forced("BTC-USD-SWAP", "CNPY-USDT-SWAP", "BTC-USDT-261225", BTC)
    assert len(decode(others)) == 1, "one subscription brings all contracts"
    assert len(decode(forced(BTC, "SHIB-USDT-SWAP"))) == 2


@pytest.mark.parametrize(
    ("path", "measure"),
    [
        ("contracts/long-short-account-ratio-contract", "global_accounts"),
        ("contracts/long-short-account-ratio-contract-top-trader", "top_accounts"),
        ("contracts/long-short-position-ratio-contract-top-trader", "top_positions"),
    ],
)
def test_ratios(path, measure):
    url = f"{REST}/rubik/stat/{path}?instId={BTC}&period=5m&limit=2"
    raw = {"code": "0", "msg": "", "data": [["5", "1.25"]]}
    expected = Ratio(**common(), history=True, measure=measure, value=1.25)
    assert decode(raw, url=url) == [expected]
    assert refused(raw, url=f"{REST}/rubik/stat/{path}") == "not a linear perpetual"


def test_taker_ratio_of_whole_periods_only():
    url = f"{REST}/rubik/stat/taker-volume-contract?instId={BTC}&period=5m&limit=2"
    raw = {"code": "0", "data": [["300000", "1", "9"], ["0", "4", "6"], ["0", "0", "6"]]}
    (event,) = decode(raw, url=url, recv=599 * NS)
    assert (event.measure, event.value, event.ts, event.history) == ("taker", 1.5, 0, True)
    assert len(decode(raw, url=url, recv=600 * NS)) == 2


def test_histories():
    url = f"{REST}/rubik/stat/contracts/open-interest-history?instId={BTC}&period=1H"
    (event,) = decode({"code": "0", "data": [["5", "500", "5", "50"]]}, url=url)
    assert event == OpenInterest(**common(), history=True, base=5.0, usd=50.0)
    rows = [
        {"instId": BTC, "fundingRate": "9", "realizedRate": "0.0002", "fundingTime": str(t)}
        for t in (8 * HOUR, 4 * HOUR)
    ]
    newest, oldest = decode({"code": "0", "data": rows})
    assert (newest.rate, newest.rate_8h, newest.history) == (0.0002, 0.0004, True)
    assert (oldest.rate, oldest.rate_8h) == (0.0002, None)


def test_acks_pongs_and_refusals():
    ack = '{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT-SWAP"},"connId":"a4"}'
    no = '{"event":"error","code":"60018","msg":"Wrong URL or channel","connId":"a4"}'
    notice = '{"event":"notice","code":"64008","msg":"The connection will soon be closed"}'
    assert [feed().is_ack(text) for text in (ack, ack.encode(), no, notice, "pong")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    for text in (ack, notice, "pong", b"pong", ack.replace('"subscribe"', '"unsubscribe"')):
        assert decode(text) == []
    assert refused(no) == "refused: Wrong URL or channel"
    assert refused('{"code":"50011","msg":"Too Many Requests"}') == "refused: Too Many Requests"
    for channel in ("books5", "trades-all", "candle1m", "mark-price-candle1D", "status"):
        assert refused(push(channel)) == "unknown channel"
    assert refused(json.dumps(push("books5"), indent=1)) == "unknown channel"
    assert decode(json.dumps(trade(), indent=1)) == decode(trade()), "written with spaces"
    assert refused({"arg": {"channel": "books"}, "event": "x"}) == "unknown event"


@pytest.mark.parametrize("name", ["BTC-USD-SWAP", "BTC-USDT", "BTC-USDT-261225", "", "x" * 50])
def test_other_contracts_are_refused(name):
    row = {"asks": [], "bids": [], "ts": "5", "seqId": 1, "prevSeqId": -1}
    frames = [trade(name), mark(name=name), funding(name), interest(name)]
    for raw in (*frames, push("books", row, name=name), push("bbo-tbt", row, name=name)):
        assert refused(raw) == "not a linear perpetual"
    assert refused(index(name=f"{name}-SWAP")) == "not a linear perpetual"


@pytest.mark.parametrize("bad", ["NaN", "inf", "-1", "1e999", "x", "", None, True, [], "1e20"])
def test_impossible_numbers_are_malformed(bad):
    assert refused(trade(px=bad)) == refused(trade(sz=bad)) == refused(mark(price=bad))
    assert refused(forced(bkPx=bad)) == refused(interest(oiCcy=bad)) == "malformed"
    assert refused(book(2, 1, [["1", "2"], [bad, "1"]])) == "malformed"


def test_the_catalogue_narrows_what_is_asked_for():
    made = feed("BTCUSDT", "SOLUSDT", "MUUUSDT", "NEWUSDT")
    assert len(made.connections()[0].streams) == 4 * 8
    assert made.listed(msgspec.json.encode(CATALOGUE)) == {"BTCUSDT", "SHIBUSDT", "ETHUSDT"}
    (connection,) = made.connections()
    assert {symbol for _, symbol in connection.streams} == {"BTCUSDT"}
    assert {poll.request.symbol for poll in made.polls()} == {"BTCUSDT"}
    assert {r.symbol for r in made.backfill(NOW, ["BTCUSDT", "SOLUSDT"])} == {"BTCUSDT"}
    assert made.carries("ratio", "BTCUSDT")
    assert not made.carries("ratio", "SOLUSDT")
    assert not made.carries("bars", "BTCUSDT")
    assert made.resubscribe("SOLUSDT") is None
    for nonsense in (b"", b"[]", b'{"code":"0","data":[]}', b'{"code":"1","msg":""}'):
        with pytest.raises(DecodeError):
            made.listed(nonsense)


def test_the_folder_lists_it_and_its_limits_hold():
    config, _ = load()
    made = build_feed("okx", config.feeds["okx"], config.instruments)
    (connection,) = made.connections()
    frames = [msgspec.json.decode(text) for text in connection.subscribe]
    args = [tuple(sorted(a.items())) for frame in frames for a in frame["args"]]
    assert len(args) == len(set(args)) == 7 * 21 + 1
    assert (("channel", "index-tickers"), ("instId", "PEPE-USDT")) in args
    assert frames[-1]["args"][-1] == {"channel": "liquidation-orders", "instType": "SWAP"}
    assert (connection.ping, connection.silence) == (("ping", 25.0), 45.0)
    identifier, texts = made.resubscribe("BTCUSDT")
    assert identifier == connection.id
    assert [msgspec.json.decode(t) for t in texts] == [
        {"op": op, "args": [{"channel": "books", "instId": BTC}]}
        for op in ("unsubscribe", "subscribe")
    ]
    crowd = feed(*(f"COIN{n:03}USDT" for n in range(100)))
    sockets = crowd.connections()
    assert [len([c for c, _ in s.streams if c == "depth"]) for s in sockets] == [30, 30, 30, 10]
    assert [len([c for c, _ in s.streams if c == "liquidation"]) for s in sockets] == [100, 0, 0, 0]
    assert all(sum(map(len, s.subscribe)) < 64_000 and len(s.subscribe) < 480 for s in sockets)
    assert crowd.resubscribe("COIN099USDT")[0] == sockets[3].id == "public-4"


def test_config_errors_name_the_key():
    with pytest.raises(ConfigError, match=r"feeds\.okx\.streams: no stream 'ticker'; allowed: "):
        feed(streams=["ticker"])
    with pytest.raises(ConfigError, match=r"feeds\.okx\.every: no poll 'x'; allowed: ratios"):
        feed(every={"x": 1.0})
    with pytest.raises(ConfigError, match=r"feeds\.okx\.urls\.rest: missing"):
        build(FeedConfig(urls={"public": URL}), [])
    (only,) = feed(streams=["liquidation"]).connections()
    assert only.streams == (("liquidation", "BTCUSDT"), ("liquidation", "SHIBUSDT"))
    assert len(only.subscribe) == 1
    assert feed(every={}).polls() == []
    assert feed(streams=["trade"]).resubscribe("BTCUSDT") is None


def test_history_is_asked_for_once_newest_first():
    requests = feed().backfill(NOW, ["BTCUSDT", "SHIBUSDT"])
    assert len(requests) <= 2 * (1 + 5 * 3)
    assert requests[0].url == f"{REST}/public/funding-rate-history?instId={BTC}&limit=100"
    for kind in ("account-ratio-contract?", "account-ratio-contract-top-trader?", "taker-volume"):
        end = NOW // 1_000_000
        for request in [r for r in requests if kind in r.url and r.symbol == "SHIBUSDT"]:
            query = dict(part.split("=") for part in request.url.partition("?")[2].split("&"))
            assert (int(query["end"]), query["instId"]) == (end, "SHIB-USDT-SWAP")
            assert 0 < end - int(query["begin"]) <= 100 * HOUR
            assert (int(query["begin"]) + 1) % HOUR == 0
            end = int(query["begin"])
        assert end + 1 == NOW // 1_000_000 // HOUR * HOUR - 192 * HOUR
    assert feed(backfill=False).backfill(NOW, ["BTCUSDT"]) == []
