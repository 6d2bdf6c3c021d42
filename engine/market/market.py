"""State built from events: books, tape, bars, footprint; `view` is what cards see of it.

Time is receive time. Events are taken in one by one and only noted; once a second what waits is
worked off in arrays (flow.py, sampling.py). Repeated, late, crossed and foreign events are
counted in `drops` by reason.
"""

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS, finish
from engine.events import (
    BookDelta,
    BookSnapshot,
    Event,
    FeedStatus,
    Funding,
    Headline,
    Kline,
    Liquidation,
    Mark,
    Metric,
    OpenInterest,
    OptionSummary,
    Quote,
    Ratio,
    Trade,
)
from engine.market.calendar import Almanac
from engine.market.candles import Candles
from engine.market.churn import Churn
from engine.market.fields import FLOW_AT, LIVE_AT
from engine.market.flow import Flow
from engine.market.history import History
from engine.market.liquidation_map import LiquidationMap
from engine.market.listed import Listed as Listed
from engine.market.micro import Micro
from engine.market.outside import Outside
from engine.market.sampling import Sampling, order_flow
from engine.market.unknown import no_liquidations, no_news, no_venues
from engine.market.venues import DOLLAR, NEUTRAL, SPOT, VenueBoard
from engine.market.view import WINDOWS, Liquidations, View, Window

TAPE_FRESH_NS = 10 * NS
LONG_SILENCE_S = 120


class Market:
    """The market of the configured symbols; feed it events in order of receipt.

    `releases`: scheduled macro releases, ns.
    """

    def __init__(self, symbols: Sequence[str], reference: str = "binance",
                 releases: Sequence[int] = ()) -> None:  # fmt: skip
        self.symbols = tuple(symbols)
        self.reference = reference
        self.drops: Counter[str] = Counter()
        self.events = 0
        self.now = 0
        self.listed: dict[tuple[str, str | None], Listed] = {}
        # Pairs that turn spot prices into those of our symbols.
        self.legs: dict[tuple[str, str | None], Listed] = {}
        self.gap_at = np.zeros(len(self.symbols), dtype=np.int64)
        self.offsets: dict[str, int] = {}
        self.blind_ns: Counter[str] = Counter()
        self.history = History(len(self.symbols))
        self.candles = Candles(self.history)
        self._place = {s: n for n, s in enumerate(self.symbols)}
        self.flow = Flow(self._place, self.history, self.candles, self.drops)
        self._sampling = Sampling(self._place, self.history)
        self.board = VenueBoard(len(self.symbols), reference)
        self.outside = Outside(self._place)
        self.almanac = Almanac(self.history, releases)
        self.liquidation_map = LiquidationMap(self.history, self.board)
        self._micro = Micro(self._place, self.flow.sizes)
        self._churn = Churn(len(self.symbols))
        # Venue -> since when its liquidation stream is open, ns.
        self.liquidations_open: dict[str, int] = {}
        self._trades = self.flow.waiting
        self._arrivals = self._micro.waiting
        self._next = 0
        self._tape_at = 0
        self._blind_since: dict[str, int] = {}
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
            Metric: self._metric,
            OptionSummary: self._option,
            Headline: self._headline,
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
        handler = self._apply.get(type(event))
        if handler is not None:
            handler(event)

    def _find(self, event: Event) -> Listed | None:
        if event.market != "perp" and event.venue not in SPOT:
            self.drops["not a perpetual"] += 1
            return None
        found = self.listed.get((event.venue, event.symbol))
        if found is None:
            if event.symbol not in self._place:
                self._stranger(event)
                return None
            found = Listed(event.venue, event.symbol, self._place[event.symbol])
            self.listed[event.venue, event.symbol] = found
        return found

    def _stranger(self, event: Event) -> None:
        """What is about no symbol of ours; the price of USDT serves spot venues."""
        if event.symbol == DOLLAR and isinstance(event, Quote | Trade):
            leg = self.legs.get((event.venue, DOLLAR))
            if leg is None:
                leg = self.legs[event.venue, DOLLAR] = Listed(event.venue, DOLLAR, -1)
            if isinstance(event, Trade):
                mid, leg.trade_at, leg.prints = event.price, self.now, leg.prints + 1
            else:
                mid, leg.quote_at, leg.quotes = (
                    (event.bid + event.ask) / 2,
                    self.now,
                    leg.quotes + 1,
                )
            self.board.dollar(mid, self.now)
        else:
            self.drops["symbol not configured"] += 1

    def _trade(self, event: Trade) -> None:
        listed = self._find(event)
        if listed is None:
            return
        if event.history:
            self.drops["history trade"] += 1
            # The stream has brought data, though no flow.
            listed.trade_at = listed.trade_at or self.now
            return
        missing = listed.ids.missing(event.id)
        if missing is None:
            self.drops["repeated trade"] += 1
            return
        if missing:
            self._skipped(listed, missing)
        listed.last = event
        listed.prints += 1
        if not listed.live:
            listed.live = True
            listed.live_from = self.now
            self._seeing(event.venue)
        listed.trade_at = self.now
        listed.tape.append(event)
        listed.add_flow(0 if event.side == "buy" else 1, event.price * event.size)
        if event.venue == self.reference:
            self._tape_at = self.now
            self._trades.append(event)
            self._arrivals.append((event, listed.quote))

    def _skipped(self, listed: Listed, missing: int) -> None:
        """Trades before this one are missing, or (-1) this one was missing so far."""
        self.drops["trades missed"] += missing
        if missing > 0:
            listed.trade_gaps += 1
            self.gap_at[listed.index] = self.now

    def _quote(self, event: Quote) -> None:
        listed = self._find(event)
        if listed is None:
            return
        before = listed.quote
        if before is not None and event.seq is not None and event.seq <= (before.seq or 0):
            self.drops["repeated quote"] += 1
            return
        if not event.bid < event.ask:
            self.drops["crossed quote"] += 1
            return
        listed.quote = event
        listed.quotes += 1
        listed.quote_at = self.now
        if before is not None:
            listed.ofi += order_flow(before, event)

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
            self.flow.footprints.set_tick(listed.index, book.tick / max(book.bids))

    def _mark(self, event: Mark) -> None:
        listed = self._find(event)
        if listed is None:
            return
        listed.mark = event
        listed.counts["mark"] += 1
        listed.others_at["mark"] = self.now
        if event.venue == self.reference:
            self._tape_at = self.now
            self._publish("mark", listed, event, log(event.mark))
            if event.index:
                self._publish("index", listed, event, log(event.index))

    def _publish(self, name: str, listed: Listed, event: Event, value: float) -> None:
        """A value of the reference venue's series."""
        series = self.history.series
        if event.venue != self.reference:
            return
        if event.history:
            series.put_past(name, listed.index, event.ts, value)
        else:
            series.put(name, listed.index, self.now, value)

    def _funding(self, event: Funding) -> None:
        listed = self._find(event)
        if listed is None:
            return
        if not event.history:
            listed.funding = event
            listed.others_at["funding"] = self.now
        if event.rate_8h is not None:
            neutral = NEUTRAL.get(event.venue, 0.0)
            self._publish("funding", listed, event, event.rate_8h - neutral)

    def _interest(self, event: OpenInterest) -> None:
        listed = self._find(event)
        if listed is None:
            return
        if event.history:
            self.board.past_interest(event.venue, listed.index, event.ts, event.base)
        else:
            listed.oi.append(event)
            listed.others_at["oi"] = self.now
        self._publish("oi", listed, event, event.base)

    def _liquidation(self, event: Liquidation) -> None:
        listed = self._find(event)
        if listed is None or event.history:
            return
        listed.counts["liquidation"] += 1
        listed.others_at["liq"] = self.now
        listed.liquidations.append(event)
        listed.add_flow(2 if event.position == "long" else 3, event.usd)

    def _ratio(self, event: Ratio) -> None:
        listed = self._find(event)
        if listed is None:
            return
        if event.value > 0:
            name = "taker_ratio" if event.measure == "taker" else event.measure
            self._publish(name, listed, event, log(event.value))
        if not event.history or self.now - event.ts < 900 * NS:
            listed.others_at["ratio"] = self.now

    def _metric(self, event: Metric) -> None:
        if not self.outside.metric(event, self.now):
            self.drops["metric without a reader"] += 1

    def _option(self, event: OptionSummary) -> None:
        if not self.outside.option(event, self.now):
            self.drops["option summary without a reader"] += 1

    def _headline(self, event: Headline) -> None:
        self.outside.headline(event, self.now)

    def _kline(self, event: Kline) -> None:
        listed = self._find(event)
        if listed is not None and event.venue == self.reference:
            settled = self.now - self.offsets.get(event.venue, 0)
            if not self.candles.put(event, listed.index, settled):
                self.drops["candle not closed or without taker volume"] += 1

    def _status(self, event: FeedStatus) -> None:
        if event.stream == "liquidation":
            if event.state in ("connected", "acked"):
                self.liquidations_open.setdefault(event.venue, self.now)
            elif event.state == "closed" and event.symbol is None:
                self.liquidations_open.pop(event.venue, None)
        if event.state == "closed":
            for (venue, symbol), listed in self.listed.items():
                if venue == event.venue and event.symbol in (None, symbol):
                    self._closed(listed, event.stream)
        elif event.state == "resync":
            healing = self.listed.get((event.venue, event.symbol))
            if healing is not None:
                healing.book.expect()

    def _closed(self, listed: Listed, stream: str | None) -> None:
        """A stream of it ended, None for all of them."""
        if stream in (None, "depth"):
            listed.book.lose()
        if stream in (None, "quote"):
            listed.quote = None
        if stream in (None, "trade"):
            listed.live = False
            self._blind_since.setdefault(listed.venue, self.now)

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
            self.flow.footprints.roll(now)
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
        self._open(end)
        self.flow.second(end)
        if self.flow.offset is not None:
            self.offsets[self.reference] = self.flow.offset
        ran = self._ran(end)
        amounts = np.zeros((len(FLOW_AT), len(self.symbols)))
        amounts[FLOW_AT["covered"]] = ran
        sealed = self.candles.sealed_mask(end - 1)
        self.history.add_flow(end - 1, amounts, {s: amounts * ~m for s, m in sealed.items()})
        measures = self._sampling.sample(self._own(), self.flow.taken, end)
        self.flow.taken[:] = 0.0
        measures[LIVE_AT["taped"]] = ran
        measures[LIVE_AT["sized"]] = ran & self.flow.sizes.known
        self._liquidated(measures)
        own = self._own()
        prints = self._micro.second(measures, own, ran)
        mids = np.log(self.history.mids.read(np.array([end // NS - 1]))[0])
        cover = np.array([self._sampling.cover(s) for s in range(len(self.symbols))])
        self._churn.second(measures, own, mids, cover, prints)
        self.board.second(self.listed.values(), end)
        self.history.series.advance(end)
        self.outside.advance(end)
        self.liquidation_map.second(measures, end)
        self.history.add_live(end - 1, measures)
        self.flow.classify(end)

    def _liquidated(self, measures: NDArray[np.float64]) -> None:
        """The reference venue's liquidations of the second."""
        for listed in self._own():
            if listed.traded is not None:
                measures[LIVE_AT["long_liq"], listed.index] = listed.traded[2]
                measures[LIVE_AT["short_liq"], listed.index] = listed.traded[3]

    def _settle(self, limit: int) -> None:
        """Put what waits and belongs before `limit` into its cells, within a second."""
        self._open(limit)
        self.flow.settle(limit)

    def _open(self, limit: int) -> None:
        """Bring in candles and open the cells up to `limit`; live symbols keep their price."""
        self.candles.settle()
        carried = np.full(len(self.symbols), np.nan)
        live = self._live(limit)
        newest = self.history.prices[1]
        if newest.head >= 0:
            carried[live] = newest.close(newest.head)[live]
        self.history.advance(limit - 1, carried)
        self.flow.footprints.roll(limit - 1)

    def _own(self) -> list[Listed]:
        """The symbols as listed at the reference venue."""
        return [x for (venue, _), x in self.listed.items() if venue == self.reference]

    def _live(self, end: int) -> NDArray[np.bool_]:
        """Symbols whose tape at the reference venue runs at `end`.

        The tape as a whole must be heard of (marks come on its socket), not each symbol.
        """
        out = np.zeros(len(self.symbols), dtype=bool)
        if end - self._tape_at <= TAPE_FRESH_NS:
            for listed in self._own():
                out[listed.index] = listed.live
        return out

    def _ran(self, end: int) -> NDArray[np.bool_]:
        """Symbols whose tape ran through the whole second before `end`."""
        out = self._live(end)
        for listed in self._own():
            out[listed.index] &= listed.live_from <= end - NS
        return out

    # -- what others read ------------------------------------------------------------------

    def view(self, now: int, windows: tuple[Window, ...] = WINDOWS) -> View:
        """The market as of `now` (ns); trades whose bar time is earlier are in, no later ones."""
        return finish(self.look(now, windows))

    def look(self, now: int, windows: tuple[Window, ...] = WINDOWS) -> Generator[None, None, View]:
        """The same in slices of some milliseconds; nothing may be applied in between."""
        if now >= self._next:
            self.roll(now)
        present = now >= self._next - NS
        if present:
            self._settle(now)
        else:
            self.candles.settle()
        shape = len(windows), len(self.symbols)
        yield
        bars = self.history.bars(now, windows)
        yield
        spans = self.history.spans(now, windows)
        yield
        return View(
            now=now,
            symbols=self.symbols,
            windows=windows,
            bars=bars,
            spans=spans,
            footprint=self.flow.footprints.view(
                windows, spans.close[:, -1], spans.buys[:, -1], now
            ),
            venues=self.board.view(now, windows) if present else no_venues(*shape),
            liquidations=self._liquidations(present),
            calendar=self.almanac.view(now, self._own()),
            news=self.outside.news(now, windows) if present else no_news(*shape),
            outside=self.outside.view(now, windows),
        )

    def _liquidations(self, present: bool) -> Liquidations:
        """The map around the last prices; of the past it is not kept."""
        newest = self.history.prices[1]
        if not present or newest.head < 0:
            return no_liquidations(len(self.symbols))
        return self.liquidation_map.view(np.log(newest.close(newest.head)))

    def cover(self, place: int) -> float:
        """How far, in bps, both sides of a symbol's book are truly known; inf when not sampled."""
        return self._sampling.cover(place)

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
