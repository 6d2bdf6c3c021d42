"""The books' share of each second: one sample of the depth, the order flow of the quotes."""

from collections.abc import Iterable
from math import inf, isnan

import numpy as np

from engine.clock import NS
from engine.events import Quote
from engine.market.book import Book
from engine.market.depth import MEASURES, DepthSampler, Sample, refill
from engine.market.fields import LIVE, LIVE_AT, SAMPLED
from engine.market.history import History
from engine.market.listed import Listed
from engine.market.view import Array

BOOK_FRESH_NS = 10 * NS


def _rows(names: Iterable[str]) -> list[int]:
    return [LIVE_AT[name] for name in names]


SAMPLED_AT, SAMPLED_FROM = _rows(SAMPLED), [MEASURES.index(name) for name in SAMPLED]
DEPTH_FROM = [MEASURES.index("bid_10"), MEASURES.index("ask_10")]
WALLS_AT, TAKEN_AT, REFILL_AT = (
    _rows((f"bid_{what}", f"ask_{what}")) for what in ("walls", "taken", "refill")
)
WALL_PARTS = [
    (_rows(names), [MEASURES.index(name) for name in names])
    for names in (("bid_wall_distance", "ask_wall_distance"), ("bid_wall_life", "ask_wall_life"))
]


class Sampling:
    """Samples the reference venue's books once a second."""

    def __init__(self, places: dict[str, int], history: History) -> None:
        count = len(places)
        self._places = places
        self._history = history
        self._sampler = DepthSampler(count)
        self._depth_before = np.full((2, count), np.nan)
        self._cover = np.full(count, np.nan)

    def sample(self, listings: Iterable[Listed], taken: Array, end: int) -> Array:
        """Measures of the second that ends at `end`, (fields, symbols); `taken` (2, symbols)."""
        count = len(self._places)
        books: list[Book | None] = [None] * count
        touch = np.full((4, count), np.nan)
        flow = np.zeros(count)
        for listed in listings:
            flow[listed.index], listed.ofi = listed.ofi, 0.0
            quote = _fresh_touch(listed, end)
            if quote is not None:
                books[listed.index] = listed.book
                touch[:, listed.index] = quote.bid, quote.ask, quote.bid_size, quote.ask_size
        sample = self._sampler.sample(books, touch[0], touch[1], touch[2], touch[3], end)
        self._cover = sample.cover
        mids = np.where(sample.known, (touch[0] + touch[1]) / 2, np.nan)
        self._history.mids.put((end - 1) // NS, slice(None), mids)
        out = self._measures(sample, taken)
        out[LIVE_AT["ofi"]] = flow
        return out

    def _measures(self, sample: Sample, taken: Array) -> Array:
        out = np.zeros((len(LIVE), len(self._places)))
        known = sample.known
        out[SAMPLED_AT] = np.where(known, sample.measures[SAMPLED_FROM], 0.0)
        walled = sample.walled * known
        out[WALLS_AT] = walled
        for at, source in WALL_PARTS:
            out[at] = sample.measures[source] * walled
        depth = np.where(known, sample.measures[DEPTH_FROM], np.nan)
        hit, back = refill(self._depth_before, depth, taken)
        told = ~np.isnan(back)
        out[TAKEN_AT] = np.where(told, hit, 0.0)
        out[REFILL_AT] = np.where(told, back, 0.0)
        self._depth_before = depth
        out[LIVE_AT["samples"]] = sample.known
        return out

    def cover(self, place: int) -> float:
        """How far, in bps, both sides of a symbol's book are truly known; inf when not sampled."""
        cover = float(self._cover[place])
        return inf if isnan(cover) else cover


def order_flow(before: Quote, quote: Quote) -> float:
    """What one change of the touch adds to order flow imbalance, in notional.

    Source: Cont, Kukanov, Stoikov, The Price Impact of Order Book Events (2014), eq. 2.
    """
    flow = 0.0
    old, new = before.bid, quote.bid
    if new >= old:
        flow += new * quote.bid_size
    if new <= old:
        flow -= old * before.bid_size
    old, new = before.ask, quote.ask
    if new <= old:
        flow -= new * quote.ask_size
    if new >= old:
        flow += old * before.ask_size
    return flow


def _fresh_touch(listed: Listed, end: int) -> Quote | None:
    """Best prices of a whole, fresh book; None for any other."""
    book, quote = listed.book, listed.quote
    if not book.synced or end - book.recv > BOOK_FRESH_NS:
        return None
    if quote is None or end - (quote.recv or quote.ts) > BOOK_FRESH_NS:
        return _touch(listed)
    return quote


def _touch(listed: Listed) -> Quote | None:
    """The book's own best prices, for a venue or moment without quotes."""
    book = listed.book
    (bids, bid_sizes), (asks, ask_sizes) = book.bid_side.arrays(), book.ask_side.arrays()
    if not len(bids) or not len(asks):
        return None
    bid, ask = int(bids.argmax()), int(asks.argmin())
    return Quote(venue=listed.venue, market="perp", symbol=listed.symbol, ts=book.recv,
                 recv=book.recv, bid=float(bids[bid]), ask=float(asks[ask]),
                 bid_size=float(bid_sizes[bid]), ask_size=float(ask_sizes[ask]),
                 seq=book.seq)  # fmt: skip
