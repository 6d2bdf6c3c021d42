"""Binance USD-M positioning by REST: open interest, long/short and taker ratios, their history.

None of it is streamed. `/futures/data` keeps 30 days in periods of 5 minutes and more and allows
1,000 requests in 5 minutes; `openInterest` and the marks that price it count against the venue's
common weight instead. `request_weight` of the config counts requests.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from msgspec.structs import replace

from engine.clock import NS
from engine.config import ConfigError, FeedConfig
from engine.events import Event, Funding, Mark, Ratio
from engine.feeds.binance import wire
from engine.feeds.binance.decode import Decoder, Events, trading
from engine.feeds.feed import Connection, Context, Poll, Request
from engine.feeds.pages import Stretch, stretches
from engine.feeds.parse import FUNDING_HOURS, MS, convert, query
from engine.feeds.wanted import wanted_polls, wanted_urls
from engine.instruments import Instrument, venue_name

NAME = "binance_positioning"
POLLED = "3"  # rows of a polled ratio: an answer that is late by one period leaves no hole
MARKS_EVERY = 60.0  # seconds; all symbols come at once, and dollars need no finer price
PAGE = 500
HOUR = 3600 * NS
SETTLEMENTS = (1.0, 2.0, 4.0, 8.0)  # hours between two payments
HOURS_KEPT = 30 * 24 - 1
# Hours are asked for up to a multiple of so many; the rows of 5 minutes reach further back. Cut
# where they are, they come in two requests.
SLOT, CUT = 36, 240
SETTLING = 900 * NS  # until the last row of a past hour is surely there
FUNDINGS = 300  # 100 days at 8 h
DATA = "futures/data"
RATIOS = (
    "topLongShortAccountRatio",
    "topLongShortPositionRatio",
    "globalLongShortAccountRatio",
    "takerlongshortRatio",
)
_EVERY = {"oi": 15.0, "ratios": 150.0, "funding_info": 3600.0}


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Positioning":
    """The feed; raises ConfigError for a stream, poll or URL that does not fit."""
    return Positioning(config, instruments)


class Positioning(Decoder):
    """Feed of Binance's positioning data (engine/feeds/feed.py)."""

    name = NAME
    provides = frozenset({"oi", "ratio", "funding"})
    headers: Mapping[str, str] = {}
    compression = False

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        super().__init__()
        self._url, self._every = _settings(config)
        self._backfill = config.backfill
        self._symbols = [instrument.id for instrument in instruments]
        self._listed: frozenset[str] | None = None
        self._newest: dict[tuple[str | None, str], int] = {}

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        """Events of an answer; of a poll only what is new, its last row being no history."""
        events = super().decode(data, context)
        if not events:
            return events
        kind = type(events[0])
        if kind is Mark:
            return ()  # premiumIndex was asked for its marks; the streams bring the events
        if kind is Ratio and query(context.url).get("limit") == POLLED:
            return self._news([e for e in events if isinstance(e, Ratio)])
        return events

    def _array(self, raw: list[Any], context: Context) -> Events:
        if raw and isinstance(raw[0], dict) and "fundingTime" in raw[0]:
            return self._fundings(convert(raw, list[wire.FundingRow]), context)
        return super()._array(raw, context)

    def _fundings(self, rows: list[wire.FundingRow], context: Context) -> Events:
        """Payments of the past; one pays for the hours since the payment before it."""
        rows = sorted(rows, key=lambda row: (row.symbol, row.time))
        gaps: list[int | None] = [
            newer.time - older.time if newer.symbol == older.symbol else None
            for older, newer in pairwise(rows)
        ]
        before = [None, *gaps]
        return self._rows(
            lambda row, c: self._paid(row[0], row[1], c),
            list(zip(rows, before, strict=True)),
            context,
        )

    def _paid(self, row: wire.FundingRow, gap: int | None, context: Context) -> Events:
        symbol, _ = self._names.get(row.symbol) or self._resolve(row.symbol)
        hours = self._hours.get(row.symbol, FUNDING_HOURS)
        if gap is not None and (seen := float(round(gap * MS / HOUR))) in SETTLEMENTS:
            hours = seen
        common = self._common(symbol, row.time, context, history=True)
        rate_8h = row.rate * FUNDING_HOURS / hours
        return (Funding(**common, rate_8h=rate_8h, rate=row.rate, interval_h=hours, next_ts=None),)

    def _news(self, rows: list[Ratio]) -> list[Event]:
        """Rows later than those already told, in their order, the last one as of now."""
        key = rows[0].symbol, rows[0].measure
        known = self._newest.get(key, -1)
        news = sorted((r for r in rows if r.ts > known), key=lambda row: row.ts)
        if not news:
            return []
        if len(self._newest) > 4096:
            self._newest.clear()
        self._newest[key] = news[-1].ts
        return [*news[:-1], replace(news[-1], history=False)]

    def connections(self) -> list[Connection]:
        return []

    def is_ack(self, data: bytes | str) -> bool:
        return False

    def book_request(self, symbol: str) -> Request | None:
        return None

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        return None

    def catalogue_request(self) -> Request | None:
        return self._get("fapi/v1/exchangeInfo", "catalogue")

    def listed(self, answer: bytes) -> frozenset[str]:
        """Symbols trading as USDT perpetuals; raises DecodeError for what is no catalogue."""
        self._listed = trading(answer)
        return self._listed

    def carries(self, need: str, symbol: str) -> bool:
        return need in self.provides and (self._listed is None or symbol in self._listed)

    def polls(self) -> list[Poll]:
        """Funding intervals, marks, open interest and the newest rows of each ratio.

        Two polls of a ratio fall into each of its periods of 5 minutes.
        """
        oi, ratios = self._every["oi"], self._every["ratios"]
        symbols = self._kept(self._symbols)
        info = self._get("fapi/v1/fundingInfo", "funding intervals")
        marks = self._get("fapi/v1/premiumIndex", "marks")
        return [
            Poll(info, self._every["funding_info"]),
            Poll(marks, max(oi, MARKS_EVERY)),
            *(Poll(self._get("fapi/v1/openInterest", "open interest", s), oi) for s in symbols),
            *(
                Poll(self._get(f"{DATA}/{name}", "ratio", s, period="5m", limit=POLLED), ratios)
                for name in RATIOS
                for s in symbols
            ),
        ]

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """The last 41 h by 5 minutes and the fundings, then 30 days by the hour, newest first.

        The hours are wholly past.
        """
        if not self._backfill:
            return []
        kept = self._kept(symbols)
        info = self._get("fapi/v1/fundingInfo", "funding first")
        out = [info, *(self._series(n, "first", s, "5m", PAGE) for s in kept for n in _SERIES)]
        out += [
            self._get("fapi/v1/fundingRate", "funding history", s, limit=FUNDINGS) for s in kept
        ]
        hour = now // HOUR
        for span in stretches(hour - HOURS_KEPT, hour // SLOT * SLOT, PAGE, CUT):
            out += [self._hourly(n, s, span) for s in kept for n in _SERIES]
        return out

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        return []

    def _kept(self, symbols: Sequence[str]) -> list[str]:
        return [s for s in symbols if self._listed is None or s in self._listed]

    def _hourly(self, name: str, symbol: str, span: Stretch) -> Request:
        first, end = span
        times = {"startTime": first * HOUR // MS, "endTime": end * HOUR // MS - 1}
        request = self._series(name, "history", symbol, "1h", PAGE, **times)
        page = f"{symbol} 1h until {end} of {HOURS_KEPT}"
        return replace(request, final=end * HOUR + SETTLING, page=page)

    def _series(
        self, name: str, purpose: str, symbol: str, period: str, limit: int, **span: int
    ) -> Request:
        what = "open interest" if name == "openInterestHist" else "ratio"
        return self._get(
            f"{DATA}/{name}", f"{what} {purpose}", symbol, period=period, limit=limit, **span
        )

    def _get(
        self, place: str, purpose: str, symbol: str | None = None, **query: int | str
    ) -> Request:
        named = {"symbol": venue_name(self.venue, symbol)} if symbol else {}
        text = "&".join(f"{k}={v}" for k, v in {**named, **query}.items())
        url = f"{self._url}/{place}" + (f"?{text}" if text else "")
        return Request(url=url, weight=1, purpose=purpose, symbol=symbol)


_SERIES = ("openInterestHist", *RATIOS)


def _settings(config: FeedConfig) -> tuple[str, dict[str, float]]:
    """The REST address and the seconds between polls; raises ConfigError."""
    if config.streams:
        raise ConfigError(f"feeds.{NAME}.streams: it has none; leave the list empty")
    urls = wanted_urls(NAME, config, ("rest",))
    return urls["rest"], {**_EVERY, **wanted_polls(NAME, config, _EVERY)}
