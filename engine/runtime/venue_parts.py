"""Parts of a Detail that set venues side by side: flow, books, walls, positions, prices."""

from functools import cached_property
from math import exp, isnan, nan

import numpy as np

from engine.cards.cross_exchange import FOLLOWS, leads
from engine.clock import NS
from engine.market.fields import LIVE_AT
from engine.market.listed import Listed
from engine.market.market import Market
from engine.market.unknown import COURSE
from engine.market.venues import COVERED, OI_STANDS_S, SILENT_NS, SPOT, Venue, window_sums
from engine.market.view import WINDOWS, Array
from engine.runtime.readings import known
from engine.snapshot import (
    DEPTH_BPS,
    Course,
    VenueBook,
    VenueFlow,
    VenuePosition,
    VenuePrice,
    Wall,
)

HOUR_NS = 3600 * NS
HOUR_S, DAY_S = 3600, 86_400
# Windows of the tables.
CHOSEN = WINDOWS[1:]
MINUTES = 60
# Seconds of a minute in which the tape must have run; the newest is not yet over.
ENOUGH_S = 45.0
BUY, SELL = 0, 1
# A day of published values, every half an hour.
EVERY_S, POINTS = 1800, 48
RATIOS = frozenset({"taker_ratio", "top_accounts", "top_positions", "global_accounts"})
SERIES = ("oi", "funding", "taker_ratio", "top_accounts", "top_positions", "global_accounts")


class Board:
    """One symbol over all its venues as of the market's clock."""

    def __init__(self, market: Market, symbol: str, place: int) -> None:
        self._market = market
        self._place = place
        self._now = market.now
        self._listed = {
            venue: listed for (venue, s), listed in sorted(market.listed.items()) if s == symbol
        }

    @cached_property
    def _venues(self) -> dict[str, Venue]:
        """What the market sums and samples of each venue that was heard of lately."""
        board = self._market.board
        return {
            name: venue
            for name, venue in board.venues.items()
            if self._now - venue.heard <= SILENT_NS
        }

    @cached_property
    def _courses(self) -> dict[str, Array]:
        """Log price of each venue at the end of each of the last 120 seconds, oldest first."""
        order = (self._now // NS + 1 + np.arange(COURSE)) % COURSE
        return {name: venue.course[order, self._place] for name, venue in self._venues.items()}

    # Flow

    def flows(self) -> tuple[VenueFlow, ...]:
        """Every venue's taker flow, the reference first."""
        return tuple(self._flow(venue, listed) for venue, listed in self._ordered())

    def _flow(self, name: str, listed: Listed) -> VenueFlow:
        venue = self._venues.get(name)
        sums: Array = np.full((2, len(CHOSEN)), np.nan)
        if venue is not None:
            sums = window_sums(venue, self._now, CHOSEN)[:2, :, self._place]
        buy, sell = (
            {w.name: known(value) for w, value in zip(CHOSEN, side, strict=True)}
            for side in sums.tolist()
        )
        course = self._course(venue)
        gap = name == self._market.reference and self._gap_within(HOUR_NS)
        whole = None not in course and not gap
        return VenueFlow(name, name in SPOT, listed.trade_at or None, buy, sell, course, whole)

    def _gap_within(self, ns: int) -> bool:
        gap = int(self._market.gap_at[self._place])
        return gap > 0 and self._now - gap < ns

    def _course(self, venue: Venue | None) -> tuple[float | None, ...]:
        """CVD by the minute from an hour ago; None at the end of a minute without the tape."""
        if venue is None:
            return (None,) * (MINUTES + 1)
        ring, each = venue.flow[10], 60 * NS // venue.flow[10].cell_ns
        end = -(-self._now // ring.cell_ns)
        ends = end - each * np.arange(MINUTES - 1, -1, -1)
        flow = ring.sums(ends, each)[:, :, self._place]
        whole = flow[:, COVERED] >= ENOUGH_S
        total = np.cumsum(np.where(whole, flow[:, BUY] - flow[:, SELL], 0.0))
        start = 0.0 if whole[0] else nan
        course = np.concatenate([[start], np.where(whole, total, np.nan)])
        return tuple(known(value) for value in course.tolist())

    def _ordered(self) -> list[tuple[str, Listed]]:
        reference = self._market.reference
        return sorted(self._listed.items(), key=lambda pair: pair[0] != reference)

    # Books

    def books(self) -> tuple[VenueBook, ...]:
        """Every venue's depth around its own mid, the reference first."""
        return tuple(self._book(venue, listed) for venue, listed in self._ordered())

    def _book(self, venue: str, listed: Listed) -> VenueBook:
        book, spot, nothing = listed.book, venue in SPOT, (None,) * len(DEPTH_BPS)
        heard = max(book.recv, 0) or None
        (bids, bid_sizes), (asks, ask_sizes) = book.bid_side.arrays(), book.ask_side.arrays()
        if not book.synced or not len(bids) or not len(asks):
            quote = listed.quote
            touch = (quote.bid, quote.ask) if quote is not None else (None, None)
            at = heard or (listed.quote_at or None)
            return VenueBook(venue, spot, False, at, touch[0], touch[1], nothing, nothing)
        bid, ask = float(bids.max()), float(asks.min())
        middle = (bid + ask) / 2
        below, above = (1 - bids / middle) * 1e4, (asks / middle - 1) * 1e4
        reach = self._reach(venue, listed, below, above)
        under = _by_distance(below, bids * bid_sizes, reach)
        over = _by_distance(above, asks * ask_sizes, reach)
        return VenueBook(venue, spot, True, heard, bid, ask, under, over)

    def _reach(self, venue: str, listed: Listed, below: Array, above: Array) -> float:
        """How far, in bps, both sides of a book are known."""
        if venue == self._market.reference:
            cover = self._market.cover(listed.index)
            if not np.isnan(cover):
                return cover
        return min(float(below.max()), float(above.max()))

    def walls(self) -> tuple[Wall, ...]:
        """The nearest wall of each side of the reference's book in the last second."""
        ring = self._market.history.live[1]
        if ring.head < 0:
            return ()
        second = ring.sums(np.array([ring.head]), 1)[0, :, self._place]
        mid = float(self._market.history.mids.read(np.array([ring.head - 1]))[0, self._place])
        out = []
        for side, sign in (("ask", 1.0), ("bid", -1.0)):
            usd, there, away, life = (
                float(second[LIVE_AT[name]])
                for name in (f"{side}_wall", f"{side}_walls", f"{side}_wall_distance",
                             f"{side}_wall_life")
            )  # fmt: skip
            if there > 0 and not isnan(mid):
                out.append(Wall(side, mid * exp(sign * away / there), usd, life / there))
        return tuple(out)

    # Positions

    def positions(self) -> tuple[VenuePosition, ...]:
        """Every perpetual venue's positions, the reference first."""
        return tuple(
            self._position(venue, listed) for venue, listed in self._ordered() if venue not in SPOT
        )

    def _position(self, venue: str, listed: Listed) -> VenuePosition:
        interest, hour, day = self._interest(venue)
        funding, recv = listed.funding, listed.recv
        since = self._market.liquidations_open.get(venue)
        told = since is not None or "liq" in recv
        recent = [x for x in listed.liquidations if self._now - x.ts < HOUR_NS] if told else []
        longs, shorts = (
            sum(x.usd for x in recent if x.position == side) if told else None
            for side in ("long", "short")
        )
        return VenuePosition(
            venue=venue,
            interest=known(interest),
            change_1h=_change(interest, hour),
            change_24h=_change(interest, day),
            interest_ts=recv.get("oi"),
            rate=funding.rate if funding else None,
            rate_8h=funding.rate_8h if funding else None,
            interval_h=funding.interval_h if funding else None,
            next_ts=funding.next_ts if funding else None,
            funding_ts=recv.get("funding"),
            long_liquidated=longs,
            short_liquidated=shorts,
            liquidations_since=since,
        )

    def _interest(self, name: str) -> tuple[float, float, float]:
        """USD of open interest now, an hour and a day ago, all at the present price."""
        venue = self._venues.get(name)
        if venue is None:
            return nan, nan, nan
        instants = [self._now - span * NS for span in (0, HOUR_S, DAY_S)]
        base = venue.oi.at(instants)[0, :, self._place]
        newest = self._listed[name].oi
        if newest and self._now - (newest[-1].recv or newest[-1].ts) <= OI_STANDS_S * NS:
            base[0] = newest[-1].base
        now, hour, day = (base * np.exp(self._courses[name][-1])).tolist()
        return now, hour, day

    def courses(self) -> tuple[Course, ...]:
        """A day of what the reference publishes; series of which nothing is known are left out."""
        series, end = self._market.history.series, self._now
        instants = [end - EVERY_S * NS * k for k in range(POINTS - 1, -1, -1)]
        table = series.at(instants)[:, :, self._place]
        out = []
        for name in SERIES:
            values = table[series.names.index(name)]
            if np.isfinite(values).any():
                values = np.exp(values) if name in RATIOS else values
                out.append(
                    Course(name, end, EVERY_S, tuple(known(v) for v in values.tolist()))
                )  # fmt: skip
        return tuple(out)

    # Prices

    def venues(self) -> tuple[VenuePrice, ...]:
        """Every venue's price against the reference's, the reference first."""
        return tuple(self._price(venue, listed) for venue, listed in self._ordered())

    def _price(self, venue: str, listed: Listed) -> VenuePrice:
        course, own = self._courses.get(venue), self._courses.get(self._market.reference)
        reference = venue == self._market.reference
        recv, funding = listed.recv, listed.funding
        apart = lead = None
        if course is not None and own is not None and not reference:
            apart, lead = (course - own) * 1e4, _lead(course, own)
        return VenuePrice(
            venue=venue,
            spot=venue in SPOT,
            reference=reference,
            price=_price(float(course[-1])) if course is not None else None,
            premium=None if apart is None else known(float(apart[-1])),
            premium_mean=None if apart is None else _mean(apart),
            lead=lead,
            funding=funding.rate_8h if funding else None,
            trade_ts=recv.get("trades"),
            quote_ts=recv.get("quote"),
            book_ts=listed.book.recv or None,
        )


def _lead(course: Array, own: Array) -> float | None:
    """How much a venue runs ahead of the reference, as the card of it measures."""
    rows = course[:-FOLLOWS, None]
    return known(float(leads(rows[None], own[:-FOLLOWS, None])[0, 0]))


def _change(now: float, before: float) -> float | None:
    return known((now / before - 1) * 100) if before > 0 else None


def _by_distance(away: Array, notional: Array, reach: float) -> tuple[float | None, ...]:
    """Notional between the distances of DEPTH_BPS; None where the book is not known so far."""
    slot = np.searchsorted(DEPTH_BPS, away, "left")
    sums = np.bincount(slot, notional, len(DEPTH_BPS) + 1).tolist()
    # What the book reaches but in part would look thin; something rests at the touch always.
    return tuple(
        usd if n == 0 or far <= reach else None
        for n, (usd, far) in enumerate(zip(sums, DEPTH_BPS, strict=False))
    )


def _mean(values: Array) -> float | None:
    told = values[np.isfinite(values)]
    return float(told.mean()) if len(told) else None


def _price(log_price: float) -> float | None:
    return None if isnan(log_price) else exp(log_price)
