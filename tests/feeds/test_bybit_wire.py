"""Bybit's own frames: 44 s of linear and spot, and the examples of its documentation."""

from bisect import bisect_right
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from engine.config import load
from engine.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Funding,
    Mark,
    OpenInterest,
    Quote,
    Trade,
)
from engine.feeds.bybit import build
from engine.feeds.feed import Context, DecodeError
from engine.instruments import Instrument
from engine.jobs.lines import Line, read_lines
from engine.market.book import Book

WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
DOCS = WIRE / "docs_examples" / "Bybit"
pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout"),
]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT")
LINEAR = "wss://stream.bybit.com/v5/public/linear"


def feed(*symbols: str):
    return build(load()[0].feeds["bybit"], [Instrument(id=s, group="x") for s in symbols])


@cache
def lines() -> tuple[Line, ...]:
    return tuple(read_lines(WIRE / "bybit" / "BYBIT.jsonl.zst"))


@cache
def recording() -> tuple[list[tuple[Line, Event]], Counter[str]]:
    """Every event with its line, and the lines refused by reason."""
    made, context, bad = feed(*SYMBOLS), Context(recv=None), Counter()
    out: list[tuple[Line, Event]] = []
    for line in lines():
        context.recv, context.url = line.recv, line.url
        try:
            out += [(line, event) for event in made.decode(line.data, context)]
        except DecodeError as error:
            bad[error.args[0]] += 1
    return out, bad


def of(kind: type, market: str = "perp") -> list:
    return [e for _, e in recording()[0] if isinstance(e, kind) and e.market == market]


def test_markets_and_times_are_those_of_the_frames():
    events, bad = recording()
    assert bad == {"unknown topic": 96}, "one-minute candles, which are the reference venue's task"
    assert all((e.market == "spot") == line.url.endswith("/spot") for line, e in events)
    assert all(e.recv == line.recv and 0 < e.ts < e.recv + 10**9 for line, e in events)


def test_trades_are_there_once():
    for market, count in (("perp", 327), ("spot", 20)):
        ids = [event.id for event in of(Trade, market)]
        assert len(set(ids)) == len(ids) == count
    assert {type(e.id) for e in of(Trade)} == {str}
    assert {type(e.id) for e in of(Trade, "spot")} == {int}


@pytest.mark.parametrize("market", ["perp", "spot"])
def test_books_have_no_gap_and_never_cross(market):
    books: dict[str, Book] = defaultdict(Book)
    for _, event in recording()[0]:
        if event.market != market or not isinstance(event, BookSnapshot | BookDelta):
            continue
        book = books[event.symbol]
        if isinstance(event, BookSnapshot):
            book.snapshot(event)
        else:
            assert book.delta(event)
        assert max(book.bids) < min(book.asks)
        assert 0 < len(book.bids) <= 200
        assert 0 < len(book.asks) <= 200
    assert len(books) == (4 if market == "perp" else 2)
    assert all(b.synced and b.gaps == 0 and b.stale_dropped == 0 for b in books.values())


def touches(symbol: str) -> list[tuple[int, tuple[float, ...]]]:
    """(cross sequence, bid, bid size, ask, ask size) after every update of the rebuilt book."""
    book, out = Book(), []
    for _, event in recording()[0]:
        if (event.market, event.symbol) != ("perp", symbol):
            continue
        if isinstance(event, BookSnapshot):
            book.snapshot(event)
        elif isinstance(event, BookDelta):
            book.delta(event)
        else:
            continue
        bid, ask = max(book.bids), min(book.asks)
        out.append((event.seq, (bid, book.bids[bid], ask, book.asks[ask])))
    return out


def test_the_rebuilt_book_agrees_with_the_ticker():
    """At the ticker's cross sequence, which falls between two updates 100 ms apart."""
    compared = prices = enclosed = 0
    for symbol in SYMBOLS:
        found = touches(symbol)
        numbers = [number for number, _ in found]
        for quote in (q for q in of(Quote) if q.symbol == symbol):
            at = bisect_right(numbers, quote.seq)
            if not 0 < at < len(found):
                continue
            compared += 1
            before, after = found[at - 1][1], found[at][1]
            prices += (before[0], before[2]) == (quote.bid, quote.ask)
            enclosed += quote.bid in (before[0], after[0]) and quote.ask in (before[2], after[2])
    assert (compared, prices, enclosed) == (635, 631, 635)


def test_open_interest_and_funding_by_hand():
    interest = {e.symbol: e for e in reversed(of(OpenInterest))}
    funding = {e.symbol: e for e in reversed(of(Funding))}
    btc = next(m.data for m in lines() if b'"tickers.BTCUSDT","type":"snapshot"' in m.data)
    raw = msgspec.json.decode(btc)["data"]
    assert float(raw["openInterest"]) == 2 * float(raw["singleOpenInterest"])
    assert interest["BTCUSDT"].base == 29_945.866 == 59_891.732 / 2
    assert interest["BTCUSDT"].usd == 1_949_998_132.50
    assert interest["BTCUSDT"].usd == pytest.approx(29_945.866 * 65_117.44, rel=1e-9)
    first = funding["BTCUSDT"]
    assert (first.rate, first.interval_h, first.rate_8h) == (0.0001, 8.0, 0.0001)
    assert first.next_ts == 1_786_320_000_000 * 1_000_000
    for symbol in SYMBOLS:
        doubled = [
            float(frame["data"]["openInterest"])
            for m in lines()
            if f'"tickers.{symbol}"'.encode() in m.data and m.url.endswith("/linear")
            and "openInterest" in (frame := msgspec.json.decode(m.data))["data"]
        ]  # fmt: skip
        halves = [e.base for e in of(OpenInterest) if e.symbol == symbol]
        assert halves == pytest.approx([both / 2 for both in doubled], rel=1e-6)


def test_times_do_not_run_backwards():
    for kind in (BookDelta, Quote, Mark, OpenInterest):
        for symbol in SYMBOLS:
            times = [e.ts for e in of(kind) if e.symbol == symbol]
            assert all(a <= b for a, b in pairwise(times))


def test_the_catalogue_inside_the_recording():
    catalogue, spot = (m for m in lines() if b'"instruments-info' in m.data or "/market/" in m.url)
    made = feed(*SYMBOLS, "PEPEUSDT", "AAPLUSDT", "1INCHUSDT")
    assert made.decode(catalogue.data, Context(recv=1, url=catalogue.url)) == ()
    assert made.decode(spot.data, Context(recv=1, url=spot.url)) == ()
    listed = made.listed(catalogue.data)
    assert {*SYMBOLS, "PEPEUSDT", "SHIBUSDT", "MOGUSDT", "1INCHUSDT", "4USDT"} <= listed
    assert listed.isdisjoint({"AAPLUSDT", "XAGUSDT", "CLUSDT"})
    rows = msgspec.json.decode(catalogue.data)["result"]["list"]
    coins = [r for r in rows if r["symbolType"] in ("", "innovation")]
    usdt = [r for r in coins if r["symbol"].endswith("USDT")]
    assert len(listed) == len(usdt) == 514
    hours = {s: made._contracts.perp(s).hours for s in ("BTCUSDT", "0GUSDT", "1000PEPEUSDT")}
    assert hours == {"BTCUSDT": 8.0, "0GUSDT": 4.0, "1000PEPEUSDT": 8.0}


def test_documented_funding_history_is_of_a_usdc_perpetual():
    text = (DOCS / "Endpoints/V5Api/ExchangeData/GetFundingRateHistory.txt").read_text()
    (event,) = feed("ETHUSDT").decode(text.split("\n", 3)[3], Context(recv=1))
    assert (event.symbol, event.rate, event.history) == ("ETHUSDC", 0.0001, True)
