"""Each venue by itself: taker flow, liquidations, prices, open interest, depth, side by side.

A venue that falls silent is NaN at once, so that sums over venues leave it out.
"""

from collections.abc import Iterable, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.market.fields import TRADED
from engine.market.listed import Listed
from engine.market.rings import Totals
from engine.market.series import Published
from engine.market.unknown import COURSE
from engine.market.view import Array, Venues, Window

Flags = NDArray[np.bool_]

DEX = frozenset({"hyperliquid", "dydx"})
SPOT = frozenset({"coinbase"})
# Where funding has an interest part, its rate per 8 h at a premium of zero (venue documentation).
NEUTRAL = dict.fromkeys(("binance", "bybit", "okx", "bitget", "gate", "hyperliquid"), 1e-4)
FLOWS = ("buy", "sell", "long_liq", "short_liq")
COVERED = len(FLOWS)  # the place of the seconds in which the tape ran
# Cell length in seconds -> cells kept: one hour and a day.
KEPT = {10: 362, 60: 1442}
SERIES_KEPT = {10: 2200, 300: 300}
# A venue of which nothing came for so long is not counted.
SILENT_NS = 30 * NS
PRICE_STANDS_NS = 120 * NS
DEPTH = 50e-4
DEPTH_STANDS_NS = 30 * NS
OI_STANDS_S = 900.0
DOLLAR = "USDTUSD"


class Venue:
    """What is summed and sampled of one venue, (symbols,) each."""

    def __init__(self, name: str, symbols: int) -> None:
        self.name = name
        quanta = np.full(len(FLOWS) + 1, TRADED)
        self.flow = {s: Totals(s * NS, n, quanta, symbols) for s, n in KEPT.items()}
        self.oi = Published({"oi": OI_STANDS_S}, symbols, SERIES_KEPT)
        self.course = np.full((COURSE, symbols), np.nan)
        self.depth = np.full((2, symbols), np.nan)
        self.depth_at = np.zeros(symbols, dtype=np.int64)
        self.funding = np.full(symbols, np.nan)
        self.began = np.zeros(symbols, dtype=np.int64)
        self.heard = 0


class VenueBoard:
    """Sums and samples every venue once a second; `view` is what cards see of them."""

    def __init__(self, symbols: int, reference: str) -> None:
        self.reference = reference
        self._symbols = symbols
        self.venues: dict[str, Venue] = {}
        self._dollar = 1.0
        self._dollar_at = 0

    def dollar(self, price: float, now: int) -> None:
        """USDT in USD, for spot venues that quote in USD."""
        if 0.5 < price < 2.0:
            self._dollar, self._dollar_at = price, now

    def past_interest(self, name: str, place: int, at: int, value: float) -> None:
        """Open interest (base) of the past, so that a window's change is known from the start."""
        self._venue(name).oi.put_past("oi", place, at, value)

    def _venue(self, name: str) -> Venue:
        venue = self.venues.get(name)
        if venue is None:
            venue = self.venues[name] = Venue(name, self._symbols)
        return venue

    def second(self, listings: Iterable[Listed], end: int) -> None:
        """Close the second that ends at `end` for all (venue, symbol) pairs."""
        flows: dict[str, Array] = {}
        for listed in listings:
            venue = self._venue(listed.venue)
            venue.heard = max(venue.heard, listed.trade_at, listed.quote_at, listed.book.recv)
            if listed.traded is not None or listed.live:
                flow = flows.setdefault(listed.venue, np.zeros((len(FLOWS) + 1, self._symbols)))
                if listed.traded is not None:
                    flow[:COVERED, listed.index] = listed.traded
                    listed.traded = None
                # The second in which it began is known in part.
                flow[COVERED, listed.index] = listed.live and venue.began[listed.index] > 0
            self._levels(venue, listed, end)
        for name, venue in self.venues.items():
            amounts = flows.get(name)
            for ring in venue.flow.values():
                cell = (end - 1) // ring.cell_ns
                if amounts is None:
                    ring.advance(max(cell, ring.head))
                else:
                    ring.add(cell, amounts)
            venue.oi.advance(end)

    def _levels(self, venue: Venue, listed: Listed, end: int) -> None:
        place = listed.index
        if listed.live and not venue.began[place]:
            venue.began[place] = end
        elif not listed.live:
            venue.began[place] = 0
        venue.course[(end // NS) % COURSE, place] = self._price(listed, end)
        if (end // NS + place) % 10 == 0:
            venue.depth[:, place] = _near(listed)
            venue.depth_at[place] = listed.book.recv if listed.book.synced else 0
        if listed.oi:
            newest = listed.oi[-1]
            if newest.recv is not None:
                venue.oi.put("oi", place, newest.recv, newest.base)
        if listed.funding is not None and listed.funding.rate_8h is not None:
            neutral = NEUTRAL.get(venue.name, 0.0)
            venue.funding[place] = listed.funding.rate_8h - neutral

    def _price(self, listed: Listed, end: int) -> float:
        """Log price: the last trade's, or the mid of a newer quote; spot in USDT."""
        price, at = (listed.last.price, listed.trade_at) if listed.last else (np.nan, 0)
        quote = listed.quote
        if quote is not None and listed.quote_at > at:
            price, at = (quote.bid + quote.ask) / 2, listed.quote_at
        if end - at > PRICE_STANDS_NS or not price > 0:
            return np.nan
        if listed.venue in SPOT:
            if end - self._dollar_at > 10 * PRICE_STANDS_NS:
                return np.nan
            price /= self._dollar
        return log(price)

    def view(self, now: int, windows: Sequence[Window]) -> Venues:
        """Every venue as of `now` (ns), which is the present."""
        names = tuple(sorted(self.venues))
        venues = [self.venues[name] for name in names]
        count, symbols = len(names), self._symbols
        flow = np.full((len(FLOWS), count, len(windows), symbols), np.nan)
        level = np.full((5, count, symbols), np.nan)
        course = np.full((count, COURSE, symbols), np.nan)
        before = np.full((count, len(windows), symbols), np.nan)
        order = (now // NS + 1 + np.arange(COURSE)) % COURSE
        for place, venue in enumerate(venues):
            if now - venue.heard > SILENT_NS:
                continue
            flow[:, place] = window_sums(venue, now, windows)
            course[place] = venue.course[order]
            series = venue.oi.spans(now, windows, 2)[0]
            # Both in today's dollars: a move of the price is no change of the interest.
            price = np.exp(course[place, -1])
            before[place] = series[:, -2] * price
            fresh = now - venue.depth_at <= DEPTH_STANDS_NS
            level[0, place] = course[place, -1]
            level[1, place] = series[0, -1] * price
            level[2, place] = venue.funding
            level[3:, place] = np.where(fresh, venue.depth, np.nan)
        return Venues(
            names=names,
            reference=names.index(self.reference) if self.reference in names else -1,
            dex=np.array([name in DEX for name in names], dtype=bool),
            spot=np.array([name in SPOT for name in names], dtype=bool),
            buy=flow[0],
            sell=flow[1],
            long_liq=flow[2],
            short_liq=flow[3],
            close=level[0],
            course=course,
            oi=level[1],
            oi_before=before,
            funding=level[2],
            bid_50=level[3],
            ask_50=level[4],
        )


def window_sums(venue: Venue, now: int, windows: Sequence[Window]) -> Array:
    """(flows, W, S) over each window up to now; NaN where the tape ran for less than half."""
    spans = np.array([window.span for window in windows])
    found = []
    for rows, ring in ((spans <= 3600, venue.flow[10]), (spans > 3600, venue.flow[60])):
        if rows.any():
            end = np.array([-(-now // ring.cell_ns)])
            found.append(ring.sums(end, spans[rows] * NS // ring.cell_ns))
    need = np.where(spans <= 60, 0.999, 0.5) * (spans - 10)
    sums = np.concatenate(found)
    known = sums[:, COVERED:] >= need[:, None, None]
    out: Array = np.where(known, sums[:, :COVERED], np.nan).swapaxes(0, 1)
    return out


def _near(listed: Listed) -> tuple[float, float]:
    """Notional of bids and asks within 50 bps of the mid; NaN for a book that is not whole."""
    book = listed.book
    if not book.synced:
        return np.nan, np.nan
    (bids, bid_sizes), (asks, ask_sizes) = book.bid_side.arrays(), book.ask_side.arrays()
    if not len(bids) or not len(asks):
        return np.nan, np.nan
    mid = (bids.max() + asks.min()) / 2
    near_bids, near_asks = bids >= mid * (1 - DEPTH), asks <= mid * (1 + DEPTH)
    return (
        float(np.sum(bids[near_bids] * bid_sizes[near_bids])),
        float(np.sum(asks[near_asks] * ask_sizes[near_asks])),
    )
