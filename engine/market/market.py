"""State built from events: books, tape, bars, footprint; `view` is what cards see of it.

Time is receive time. An event belongs to the bar of its exchange time plus the venue's clock
offset, never later than its receipt; the offset is the median of the last thirty one-second
minima of receipt minus exchange time, so that one bad timestamp cannot move it. Repeated, late,
crossed and foreign events are counted in `drops` by reason.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from math import inf, isnan
from statistics import median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.events import (
    BookDelta,
    BookSnapshot,
    Event,
    FeedStatus,
    Funding,
    Kline,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Ratio,
    Trade,
)
from engine.market.book import Book
from engine.market.candles import Candles
from engine.market.depth import DepthSampler, refill
from engine.market.fields import FLOW_AT, LIVE, LIVE_AT, SAMPLED
from engine.market.footprint import Footprints
from engine.market.history import SERIES_CELL, SERIES_KEPT, History
from engine.market.tape import GAPLESS_IDS, Batch, Bunching, SizeClasses, TradeIds
from engine.market.view import WINDOWS, Array, View, Window

BOOK_FRESH_NS = 10 * NS
VENUE_FRESH_NS = 10 * NS
LONG_SILENCE_S = 120
TAPE_KEPT = 400


class Listed:
    """What is known of one symbol at one venue."""

    __slots__ = (
        "book",
        "counts",
        "funding",
        "ids",
        "index",
        "last",
        "liquidations",
        "live",
        "mark",
        "oi",
        "quote",
        "quotes",
        "recv",
        "symbol",
        "tape",
        "trade_gaps",
        "venue",
    )

    def __init__(self, venue: str, symbol: str, index: int) -> None:
        self.venue = venue
        self.symbol = symbol
        self.index = index
        self.book = Book()
        self.ids = TradeIds(venue in GAPLESS_IDS)
        self.quote: Quote | None = None
        self.last: Trade | None = None
        self.mark: Mark | None = None
        self.funding: Funding | None = None
        self.oi: deque[OpenInterest] = deque(maxlen=400)
        self.liquidations: deque[Liquidation] = deque(maxlen=2000)
        self.tape: deque[Trade] = deque(maxlen=TAPE_KEPT)
        self.trade_gaps = 0
        self.live = False
        self.quotes = 0
        self.counts: Counter[str] = Counter()
        self.recv: dict[str, int] = {}

    def events(self, channel: str) -> int:
        """Events taken from one of the symbol's streams."""
        if channel == "depth":
            return self.book.applied
        return self.quotes if channel == "quote" else self.counts[channel]


class Market:
    """The market of the configured symbols; feed it events in order of receipt."""

    def __init__(self, symbols: Sequence[str], reference: str = "binance") -> None:
        self.symbols = tuple(symbols)
        self.reference = reference
        self.drops: Counter[str] = Counter()
        self.events = 0
        self.now = 0
        self.listed: dict[tuple[str, str | None], Listed] = {}
        self.gap_at = np.zeros(len(self.symbols), dtype=np.int64)
        self.offsets: dict[str, int] = {}
        self.history = History(len(self.symbols))
        self.candles = Candles(self.history)
        self._place = {s: n for n, s in enumerate(self.symbols)}
        self._footprints = Footprints(len(self.symbols))
        self._sizes = SizeClasses(len(self.symbols))
        self._bunching = Bunching(len(self.symbols))
        self._sampler = DepthSampler(len(self.symbols))
        self._next = 0
        self._trades: list[Trade] = []
        self._quotes: list[Quote] = []
        self._quote_before: dict[int, Quote] = {}
        self._depth_before = np.full((2, len(self.symbols)), np.nan)
        self._cover = np.full(len(self.symbols), np.nan)
        self._taken = np.zeros((2, len(self.symbols)))
        self._delays: dict[str, deque[int]] = {}
        self._heard: dict[str, int] = {}
        self._blind_since: dict[str, int] = {}
        self.blind_ns: Counter[str] = Counter()
        self._sized_at = 0
        self._apply: dict[type[Event], Callable[[Any], None]] = {
            Trade: self._trade,
            Quote: self._quote,
            BookDelta: self._delta,
            BookSnapshot: self._snapshot,
            Mark: self._mark,
            Funding: self._funding,
            OpenInterest: self._interest,
            Liquidation: self._liquidation,
            Ratio: self._ratio,
            Kline: self._kline,
            FeedStatus: self._status,
        }

    def apply(self, event: Event) -> None:
        """Take in one event; the clock follows its receipt and never runs backwards."""
        recv = event.recv or event.ts
        if recv >= self._next:
            self.roll(recv)
        if recv > self.now:
            self.now = recv
        self.events += 1
        self._heard[event.venue] = recv
        handler = self._apply.get(type(event))
        if handler is not None:
            handler(event)

    def _find(self, event: Event) -> Listed | None:
        found = self.listed.get((event.venue, event.symbol))
        if found is None:
            if event.symbol not in self._place:
                self.drops["symbol not configured"] += 1
                return None
            place = self._place[event.symbol]
            found = Listed(event.venue, event.symbol, place)
            self.listed[event.venue, event.symbol] = found
        if event.market != "perp":
            self.drops["not a perpetual"] += 1
            return None
        return found

    def _trade(self, event: Trade) -> None:
        listed = self._find(event)
        if listed is None:
            return
        if event.history:
            self.drops["history trade"] += 1
            return
        missing = listed.ids.missing(event.id)
        if missing is None:
            self.drops["repeated trade"] += 1
            return
        if missing:
            listed.trade_gaps += 1
            self.drops["trades missed"] += missing
            self.gap_at[listed.index] = self.now
        listed.last = event
        listed.counts["trade"] += 1
        if not listed.live:
            listed.live = True
            self._seeing(event.venue)
        listed.recv["trades"] = self.now
        listed.tape.append(event)
        if event.venue == self.reference:
            self._trades.append(event)

    def _quote(self, event: Quote) -> None:
        listed = self._find(event)
        if listed is None:
            return
        before = listed.quote
        if before is not None and event.seq is not None and event.seq <= (before.seq or 0):
            self.drops["repeated quote"] += 1
            return
        if event.bid >= event.ask:
            self.drops["crossed quote"] += 1
            return
        listed.quote = event
        listed.quotes += 1
        listed.recv["quote"] = self.now
        if event.venue == self.reference:
            self._quotes.append(event)

    def _delta(self, event: BookDelta) -> None:
        listed = self._find(event)
        if listed is not None:
            listed.book.delta(event)

    def _snapshot(self, event: BookSnapshot) -> None:
        listed = self._find(event)
        if listed is None:
            return
        book = listed.book
        book.snapshot(event)
        if book.tick and book.bids:
            self._footprints.set_tick(listed.index, book.tick / max(book.bids))

    def _mark(self, event: Mark) -> None:
        if listed := self._find(event):
            listed.mark = event
            listed.counts["mark"] += 1
            listed.recv["mark"] = self.now

    def _funding(self, event: Funding) -> None:
        if (listed := self._find(event)) and not event.history:
            listed.funding = event
            listed.recv["funding"] = self.now

    def _interest(self, event: OpenInterest) -> None:
        if (listed := self._find(event)) and not event.history:
            listed.oi.append(event)
            listed.recv["oi"] = self.now

    def _liquidation(self, event: Liquidation) -> None:
        if listed := self._find(event):
            listed.liquidations.append(event)
            listed.counts["liquidation"] += 1
            listed.recv["liq"] = self.now

    def _ratio(self, event: Ratio) -> None:
        listed = self._find(event)
        if listed is None:
            return
        if event.measure == "taker" and event.value > 0:
            first = event.ts // (SERIES_CELL * NS)
            last = max(first, self.now // (SERIES_CELL * NS))
            for cell in range(first, min(last, first + 3) + 1):
                self.history.taker_ratio[cell % SERIES_KEPT, listed.index] = np.log(event.value)
        if not event.history or self.now - event.ts < 900 * NS:
            listed.recv["ratio"] = self.now

    def _kline(self, event: Kline) -> None:
        listed = self._find(event)
        if listed is not None and event.venue == self.reference:
            settled = self.now - self.offsets.get(event.venue, 0)
            if not self.candles.put(event, listed.index, settled):
                self.drops["candle not closed or without taker volume"] += 1

    def _status(self, event: FeedStatus) -> None:
        if event.state != "closed":
            return
        for (venue, _), listed in self.listed.items():
            if venue == event.venue and event.stream in (None, "depth"):
                listed.book.lose()
            if venue == event.venue and event.stream in (None, "trade"):
                listed.live = False
                self._blind_since.setdefault(venue, self.now)

    def _seeing(self, venue: str) -> None:
        """Trades come again: the time without them is known now."""
        since = self._blind_since.pop(venue, None)
        if since is not None:
            self.blind_ns[venue] += self.now - since

    # -- the second hand -------------------------------------------------------------------

    def roll(self, now: int) -> None:
        """Work off everything up to `now`: one pass a second, long silences in one stride."""
        second = now // NS
        if not self._next:
            self._next = (second + 1) * NS
            self.now = max(self.now, now)
            self.history.advance(now, np.full(len(self.symbols), np.nan))
            self._footprints.roll(now)
            return
        if now // NS - self._next // NS > LONG_SILENCE_S:
            self._second(self._next)
            self._next = second * NS
            self.history.advance(self._next - NS, np.full(len(self.symbols), np.nan))
        while self._next <= now:
            self._second(self._next)
            self._next += NS

    def _second(self, end: int) -> None:
        """Close the second that ends at `end`."""
        self._settle(end)
        live = self._live(end)
        amounts = np.zeros((len(FLOW_AT), len(self.symbols)))
        amounts[FLOW_AT["covered"]] = live
        self.history.add_flow(end - 1, amounts, self.candles.sealed_mask(end - 1))
        measures = self._sample(end)
        measures[LIVE_AT["sized"]] = live & self._sizes.known
        self.history.add_live(end - 1, measures)
        if end - self._sized_at >= 10 * NS:
            self._sizes.update((end - self._sized_at) / NS if self._sized_at else 0.0)
            self._sized_at = end

    def _live(self, end: int) -> NDArray[np.bool_]:
        """Symbols whose tape at the reference venue ran through the second before `end`."""
        out = np.zeros(len(self.symbols), dtype=bool)
        heard = self._heard.get(self.reference, 0)
        if end - heard <= VENUE_FRESH_NS:
            for (venue, _), listed in self.listed.items():
                if venue == self.reference and listed.live:
                    out[listed.index] = True
        return out

    def _settle(self, limit: int) -> None:
        """Put what waits and belongs before `limit` into its cells."""
        self.candles.settle()
        carried = np.full(len(self.symbols), np.nan)
        live = self._live(limit)
        newest = self.history.prices[1]
        if newest.head >= 0:
            carried[live] = newest.close(newest.head)[live]
        self.history.advance(limit - 1, carried)
        self._footprints.roll(limit - 1)
        if self._trades:
            self._settle_trades(limit)
        if self._quotes:
            self._order_flow(limit)

    def _settle_trades(self, limit: int) -> None:
        trades = self._trades
        recv = np.array([t.recv or t.ts for t in trades], dtype=np.int64)
        ts = np.array([t.ts for t in trades], dtype=np.int64)
        at = np.minimum(ts + self._offset(self.reference, recv - ts), recv)
        ready = at < limit
        self._trades = [t for t, r in zip(trades, ready, strict=True) if not r]
        trades = [t for t, r in zip(trades, ready, strict=True) if r]
        if not trades:
            return
        symbols = np.array([self._place[t.symbol or ""] for t in trades], dtype=np.int64)
        batch = Batch(trades, symbols, at[ready])
        self._footprints.add(batch)
        cells = batch.at // NS
        for cell in np.unique(cells):
            self._add_cell(batch, cells == cell, int(cell))
        self._sizes.add(batch.symbol, batch.notional)

    def _offset(self, venue: str, delays: NDArray[np.int64]) -> int:
        minima = self._delays.setdefault(venue, deque(maxlen=30))
        minima.append(int(delays.min()))
        self.offsets[venue] = median_low(minima)
        return self.offsets[venue]

    def _add_cell(self, batch: Batch, mask: NDArray[np.bool_], cell: int) -> None:
        """Add the trades of one second to every ring."""
        s, notional, buy = batch.symbol[mask], batch.notional[mask], batch.buy[mask]
        price, ts = batch.price[mask], batch.ts[mask]
        at = cell * NS
        if cell <= self.history.prices[1].head - 600:
            self.drops["trade too late for its bar"] += len(s)
            return

        def total(weights: Array) -> Array:
            return np.bincount(s, weights, len(self.symbols)).astype(float)

        flow = np.stack([total(notional * buy), total(notional * ~buy),
                         total(notional * np.log(price)), np.zeros(len(self.symbols))])  # fmt: skip
        self._taken += flow[1::-1]
        skip = self.candles.sealed_trades(s, ts, len(self.symbols))
        self.history.add_flow(at, flow, skip)
        self._widen(s, price, at, skip)
        measures = np.zeros((len(LIVE), len(self.symbols)))
        big = notional >= self._sizes.big[s]
        weight = np.zeros(len(s))
        weight[big] = self._bunching.weights(s[big], batch.at[mask][big])
        large, small = notional >= self._sizes.large[s], notional <= self._sizes.small[s]
        for name, values in (
            ("s", np.ones(len(s))), ("big", notional * big), ("bunched", notional * weight),
            ("large", notional * large), ("small", notional * small),
        ):  # fmt: skip
            names = ("buys", "sells") if name == "s" else (f"{name}_buy", f"{name}_sell")
            measures[LIVE_AT[names[0]]] = total(values * buy)
            measures[LIVE_AT[names[1]]] = total(values * ~buy)
        self.history.add_live(at, measures)

    def _widen(self, s: NDArray[np.int64], price: Array, at: int,
               skip: dict[int, NDArray[np.bool_]]) -> None:  # fmt: skip
        order = np.argsort(s, kind="stable")
        s, price = s[order], price[order]
        starts = np.flatnonzero(np.r_[True, s[1:] != s[:-1]])
        ends = np.r_[starts[1:], len(s)] - 1
        symbols = s[starts]
        ohlc = np.stack([price[starts], np.maximum.reduceat(price, starts),
                         np.minimum.reduceat(price, starts), price[ends]])  # fmt: skip
        for seconds, prices in self.history.prices.items():
            cell = at // prices.cell_ns
            use = ~skip[seconds][symbols] if seconds in skip else np.ones(len(symbols), bool)
            late = cell < prices.head
            prices.trade(cell, symbols[use], ohlc[:, use], late)
            if late:
                prices.carry(cell, symbols[use])

    def _order_flow(self, limit: int) -> None:
        """Order flow imbalance of the waiting quotes, in notional, per symbol.

        Source: Cont, Kukanov, Stoikov, The Price Impact of Order Book Events (2014), eq. 2.
        """
        quotes = self._quotes
        self._quotes = [q for q in quotes if (q.recv or q.ts) >= limit]
        groups: dict[int, list[Quote]] = {}
        for quote in quotes[: len(quotes) - len(self._quotes)]:
            groups.setdefault(self._place[quote.symbol or ""], []).append(quote)
        measures = np.zeros((len(LIVE), len(self.symbols)))
        for s, group in groups.items():
            before = self._quote_before.get(s)
            self._quote_before[s] = group[-1]
            chain = [before, *group] if before is not None else group
            table = np.array([(q.bid, q.bid_size, q.ask, q.ask_size) for q in chain])
            measures[LIVE_AT["ofi"], s] = order_flow_imbalance(table)
        self.history.add_live(limit - 1, measures)

    def _sample(self, end: int) -> Array:
        """Measures of the second's book sample, (fields, symbols)."""
        count = len(self.symbols)
        books: list[Book | None] = [None] * count
        touch = np.full((4, count), np.nan)
        for (venue, _), listed in self.listed.items():
            book, quote = listed.book, listed.quote
            if venue != self.reference or not book.synced or end - book.recv > BOOK_FRESH_NS:
                continue
            if quote is None or end - (quote.recv or quote.ts) > BOOK_FRESH_NS:
                quote = _touch(listed)
            if quote is not None:
                books[listed.index] = book
                touch[:, listed.index] = quote.bid, quote.ask, quote.bid_size, quote.ask_size
        sample = self._sampler.sample(books, touch[0], touch[1], touch[2], touch[3], end)
        out = np.zeros((len(LIVE), count))
        for name in SAMPLED:
            out[LIVE_AT[name]] = np.where(sample.known, sample.fields[name], 0.0)
        for n, side in enumerate(("bid", "ask")):
            walled = sample.walled[n] * sample.known
            out[LIVE_AT[f"{side}_walls"]] = walled
            for name in (f"{side}_wall_distance", f"{side}_wall_life"):
                out[LIVE_AT[name]] = sample.fields[name] * walled
            depth = np.where(sample.known, sample.fields[f"{side}_10"], np.nan)
            taken, back = refill(self._depth_before[n], depth, self._taken[n])
            known = ~np.isnan(back)
            out[LIVE_AT[f"{side}_taken"]] = np.where(known, taken, 0.0)
            out[LIVE_AT[f"{side}_refill"]] = np.where(known, back, 0.0)
            self._depth_before[n] = depth
        self._taken[:] = 0.0
        self._cover = sample.cover
        out[LIVE_AT["samples"]] = sample.known
        self._store_mids(end, touch, sample.known)
        return out

    def _store_mids(self, end: int, touch: Array, known: NDArray[np.bool_]) -> None:
        mids = np.where(known, (touch[0] + touch[1]) / 2, np.nan)
        self.history.mids.advance((end - 1) // NS, mids)

    # -- what others read ------------------------------------------------------------------

    def view(self, now: int, windows: tuple[Window, ...] = WINDOWS) -> View:
        """The market as of `now` (ns); trades whose bar time is earlier are in, no later ones."""
        if now >= self._next:
            self.roll(now)
        else:
            self._settle(now)
        bars, spans = self.history.cells(now, windows)
        return View(
            now=now,
            symbols=self.symbols,
            windows=windows,
            bars=bars,
            spans=spans,
            footprint=self._footprints.view(windows, spans.close[:, -1], now),
        )

    def cover(self, place: int) -> float:
        """How far, in bps, both sides of a symbol's book are truly known; inf when not sampled."""
        cover = float(self._cover[place])
        return inf if isnan(cover) else cover

    def holes(self, now: int, back: int = 600) -> list[tuple[str, int, int]]:
        """(symbol, from, to) in ns: closed minutes of the last `back` known only in part.

        Only symbols with a live tape; what is older is the backfill's business.
        """
        last = (now - 2 * NS) // (60 * NS)
        ends = np.arange(last - back + 1, last + 1)
        covered = self.history.flow[60].sums(ends, 1)[:, FLOW_AT["covered"]]
        partial = (covered < 59.5) & self._live(now)
        found = []
        for s in np.flatnonzero(partial.any(axis=0)):
            minutes = ends[partial[:, s]] - 1
            found.append((self.symbols[s], int(minutes[0]) * 60 * NS,
                          int(minutes[-1] + 1) * 60 * NS))  # fmt: skip
        return found


def order_flow_imbalance(quotes: Array) -> float:
    """Sum of best-level queue changes of (bid, bid size, ask, ask size) rows, in notional."""
    bid, bid_size, ask, ask_size = quotes.T
    held, offered = bid * bid_size, ask * ask_size
    up = (bid[1:] >= bid[:-1]) * held[1:] - (bid[1:] <= bid[:-1]) * held[:-1]
    down = (ask[1:] <= ask[:-1]) * offered[1:] - (ask[1:] >= ask[:-1]) * offered[:-1]
    return float((up - down).sum())


def _touch(listed: Listed) -> Quote | None:
    """The book's own best prices, for a venue or moment without quotes."""
    book = listed.book
    if not book.bids or not book.asks:
        return None
    bid, ask = max(book.bids), min(book.asks)
    return Quote(venue=listed.venue, market="perp", symbol=listed.symbol, ts=book.recv,
                 recv=book.recv, bid=bid, ask=ask, bid_size=book.bids[bid],
                 ask_size=book.asks[ask], seq=book.seq)  # fmt: skip
