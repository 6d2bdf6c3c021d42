"""The book's chain rules, on small cases, on random streams and on the recordings."""

import gzip
from bisect import bisect_right
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine.config
from engine.events import BookDelta, BookSnapshot, Quote, Trade
from engine.feeds.feed import Context, build_feed
from engine.market.book import MAX_WAITING, Book
from engine.market.market import Market

WIRE = Path(__file__).parents[2].parent / "shared" / "wire" / "binance_usdm"
SHARED = [HealthCheck.function_scoped_fixture]
LEVELS = ([(99.0, 1.0), (98.0, 2.0)], [(101.0, 1.0), (102.0, 2.0)])


def test_waiting_deltas_bridge_the_snapshot(make) -> None:
    book = Book()
    book.delta(make.delta(0, 1, 5, 0, bids=[(99.0, 7.0)]))
    book.delta(make.delta(1, 8, 12, 5, bids=[(99.0, 8.0)]))
    book.delta(make.delta(2, 13, 15, 12, asks=[(101.0, 0.0)]))
    assert not book.synced
    book.snapshot(make.snapshot(3, 10, *LEVELS))
    assert book.synced
    assert (book.seq, book.applied, book.stale_dropped, book.gaps) == (15, 2, 1, 0)
    assert book.bids == {99.0: 8.0, 98.0: 2.0}
    assert book.asks == {102.0: 2.0}


@pytest.mark.parametrize(
    ("first", "seq", "prev", "taken"),
    [
        (8, 12, 7, True),  # U <= s <= u
        (10, 12, 9, True),  # U == s
        (8, 10, 7, True),  # u == s
        (15, 18, 10, True),  # pu == s
        (5, 9, 4, None),  # u < s: dropped
        (11, 12, 9, False),  # starts after s, follows something else
    ],
)
def test_first_delta_after_a_snapshot(make, first, seq, prev, taken) -> None:
    book = Book()
    book.snapshot(make.snapshot(0, 10, *LEVELS))
    assert book.delta(make.delta(1, first, seq, prev)) is bool(taken)
    assert book.synced is (taken is not False)
    assert book.stale_dropped == (taken is None)


def test_break_of_the_chain_waits_for_a_new_snapshot(make) -> None:
    book = Book()
    book.snapshot(make.snapshot(0, 10, *LEVELS))
    assert book.delta(make.delta(1, 9, 12, 8))
    assert not book.delta(make.delta(2, 15, 16, 14, bids=[(97.0, 1.0)]))
    assert (book.synced, book.gaps) == (False, 1)
    assert not book.delta(make.delta(3, 17, 18, 16, bids=[(96.0, 1.0)]))
    book.snapshot(make.snapshot(4, 15, *LEVELS))
    assert book.synced
    assert book.seq == 18
    assert {97.0, 96.0} <= set(book.bids)


def test_too_old_snapshot_leaves_it_waiting(make) -> None:
    book = Book()
    book.delta(make.delta(0, 20, 25, 19))
    book.delta(make.delta(1, 26, 27, 25, bids=[(97.0, 3.0)]))
    book.snapshot(make.snapshot(2, 10, *LEVELS))
    assert not book.synced
    book.snapshot(make.snapshot(3, 22, *LEVELS))
    assert book.synced
    assert (book.seq, book.bids[97.0]) == (27, 3.0)


def test_repeats_are_dropped_and_counted(make) -> None:
    book = Book()
    book.snapshot(make.snapshot(0, 10, *LEVELS))
    assert book.delta(make.delta(1, 9, 12, 8, bids=[(99.0, 5.0)]))
    assert not book.delta(make.delta(2, 9, 12, 8, bids=[(99.0, 6.0)]))
    assert not book.delta(make.delta(3, 5, 8, 4))
    assert (book.synced, book.stale_dropped, book.bids[99.0]) == (True, 2, 5.0)


def test_older_snapshot_is_ignored_unless_the_deltas_since_are_kept(make) -> None:
    book = Book()
    book.snapshot(make.snapshot(0, 10, *LEVELS))
    book.delta(make.delta(1, 9, 12, 8, bids=[(99.0, 5.0)]))
    book.snapshot(make.snapshot(2, 11, [(50.0, 1.0)], [(150.0, 1.0)]))
    assert (book.stale_dropped, book.seq, book.bids[99.0]) == (1, 12, 5.0)
    book.expect()
    book.delta(make.delta(3, 13, 15, 12, bids=[(99.0, 6.0)]))
    book.delta(make.delta(4, 16, 18, 15, asks=[(101.0, 9.0)]))
    deep = [(99.0, 1.0), (50.0, 4.0)]
    book.snapshot(make.snapshot(5, 14, deep, [(101.0, 1.0), (150.0, 4.0)]))
    assert (book.synced, book.seq, book.applied, book.snapshots) == (True, 18, 3, 2)
    assert book.bids == {99.0: 6.0, 50.0: 4.0}
    assert book.asks == {101.0: 9.0, 150.0: 4.0}
    assert book.edges == (50.0, 150.0)
    assert book.delta(make.delta(6, 19, 20, 18))


def test_waiting_is_bounded_and_counted(make) -> None:
    book = Book()
    for n in range(MAX_WAITING + 7):
        book.delta(make.delta(n, n + 1, n + 1, n))
    assert book.waiting_dropped == 7


def test_book_without_sequences_takes_everything(make) -> None:
    book = Book()
    book.snapshot(make.snapshot(0, None, *LEVELS))
    assert book.delta(make.delta(1, None, None, None, bids=[(99.0, 0.0)]))
    assert book.bids == {98.0: 2.0}


@settings(deadline=None, max_examples=80, suppress_health_check=SHARED)
@given(st.integers(0, 2**32 - 1))
def test_while_synced_the_book_is_true(make, seed: int) -> None:
    """Deltas are lost and repeated, snapshots come late, sockets close."""
    rng = np.random.default_rng(seed)
    book, true, history = Book(), {99.0: 1.0, 101.0: 1.0}, [(0, {99.0: 1.0, 101.0: 1.0})]
    seq, synced = 0, 0
    for n in range(200):
        first, prev = seq + 1, seq
        seq += int(rng.integers(1, 4))
        price, size = float(rng.integers(90, 110)), float(rng.integers(0, 3))
        true[price] = size
        true = {p: q for p, q in true.items() if q}
        history.append((seq, dict(true)))
        side = "bids" if price < 100 else "asks"
        delta = make.delta(n, first, seq, prev, **{side: [(price, size)]})
        for _ in range(int(rng.choice([0, 1, 2], p=[0.03, 0.9, 0.07]))):
            book.delta(delta)
        if rng.random() < 0.1:
            book.expect()
        if rng.random() < 0.1:
            at, whole = history[-1 - int(rng.integers(0, min(len(history), 12)))]
            bids = [(p, q) for p, q in whole.items() if p < 100]
            book.snapshot(make.snapshot(n, at, bids, [(p, q) for p, q in whole.items() if p > 99]))
        if rng.random() < 0.01:
            book.lose()
        if book.synced:
            synced += 1
            assert {**book.bids, **book.asks} == dict(history)[book.seq]
    assert synced > 0


def test_closed_stream_loses_the_book(make) -> None:
    market = Market(["BTCUSDT", "ETHUSDT"])
    market.apply(make.snapshot(0, 10, *LEVELS))
    book = market.listed["binance", "BTCUSDT"].book
    market.apply(make.status(1, "closed", "trade"))
    assert book.synced
    market.apply(make.status(2, "closed", "depth"))
    assert not book.synced
    market.apply(make.snapshot(3, 10, *LEVELS))
    market.apply(make.status(4, "closed"))
    assert not book.synced


def test_resync_of_a_whole_book_keeps_what_comes(make) -> None:
    market = Market(["BTCUSDT"])
    market.apply(make.snapshot(0, 10, *LEVELS))
    market.apply(make.status(1, "resync", "depth", symbol="BTCUSDT"))
    market.apply(make.delta(2, 9, 14, 8))
    market.apply(make.snapshot(3, 12, [(40.0, 1.0)], [(160.0, 1.0)]))
    book = market.listed["binance", "BTCUSDT"].book
    assert (book.synced, book.seq, book.edges, book.stale_dropped) == (True, 14, (40.0, 160.0), 0)


@pytest.mark.wire
@pytest.mark.slow
@pytest.mark.parametrize(("name", "symbol", "deltas"), [("btcusdt", "BTCUSDT", 6547),
                                                        ("ethusdt", "ETHUSDT", 6581)])  # fmt: skip
def test_recorded_book_equals_the_quotes(name: str, symbol: str, deltas: int) -> None:
    path = WIRE / f"{name}_20240808.gz"
    if not path.exists():
        pytest.skip("no recordings beside the checkout")
    config, _ = engine.config.load()
    feed = build_feed("binance", config.feeds["binance"], config.instruments)
    book, trades, quotes = WatchedBook(), [], []
    context = Context(None, symbol=symbol)
    with gzip.open(path, "rb") as lines:
        for line in lines:
            recv, _, frame = line.partition(b" ")
            context.recv = int(recv)
            for event in feed.decode(frame.strip(), context):
                if isinstance(event, Quote):
                    quotes.append((event.seq, event.bid, event.ask))
                elif isinstance(event, Trade):
                    trades.append(event.id)
                elif isinstance(event, BookSnapshot):
                    book.snapshot(event)
                elif isinstance(event, BookDelta):
                    book.delta(event)
    quotes.sort()
    seqs = [seq for seq, _, _ in quotes]
    equal = [quotes[bisect_right(seqs, seq) - 1][1:] == touch for seq, touch in book.touches]
    assert (book.applied, sum(equal), book.gaps) == (deltas, deltas, 0)
    assert np.all(np.diff(trades) == 1)


class WatchedBook(Book):
    """Notes the best prices after every delta."""

    def __init__(self) -> None:
        super().__init__()
        self.touches: list[tuple[int | None, tuple[float, float]]] = []

    def delta(self, event: BookDelta) -> bool:
        applied = super().delta(event)
        if applied:
            touch = self.bid_side.arrays()[0].max(), self.ask_side.arrays()[0].min()
            self.touches.append((event.seq, touch))
        return applied


def test_whole_books_alone_are_updates_and_no_resyncs(make) -> None:
    book = Book()
    for n in range(5):
        book.snapshot(make.snapshot(float(n), 10 + n, [(99.0, 1.0 + n)], [(101.0, 1.0)]))
    assert (book.snapshots, book.resyncs, book.applied) == (1, 0, 4)
    assert (book.seq, book.bids) == (14, {99.0: 5.0})
    book.lose()
    book.snapshot(make.snapshot(9.0, 30, [(99.0, 1.0)], [(101.0, 1.0)]))
    assert (book.snapshots, book.resyncs, book.applied) == (2, 1, 4)
