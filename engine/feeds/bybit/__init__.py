"""Bybit v5 linear perpetuals: one socket for all topics, positioning and history by REST.

Liquidations are complete here. Books come whole on the stream, so a lost chain is healed by
subscribing that one again.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from engine.config import FeedConfig
from engine.feeds.bybit import wire
from engine.feeds.bybit.answers import rows_of
from engine.feeds.bybit.decode import Decoder
from engine.feeds.feed import Connection, DecodeError, Poll, Request
from engine.feeds.pages import Stretch, stretches
from engine.feeds.parse import MS, UNUSABLE, convert
from engine.feeds.wanted import wanted_polls, wanted_streams, wanted_urls
from engine.instruments import Instrument

CHUNK = 10  # topics a request: one bad name refuses all of its request
DAYS_BACK = 30
MINUTES_5, HOUR = 300_000, 3_600_000
_TOPICS = {
    "depth": "orderbook.200",
    "quote": "orderbook.1",
    "trade": "publicTrade",
    "ticker": "tickers",
    "liquidation": "allLiquidation",
}
SETTLING = 900_000  # ms until the last row of a past hour is surely there


class _History(NamedTuple):
    """Which REST history there is: path, the key of its period, rows a page, and its hours.

    Hours are asked for up to a multiple of `slot`, as far as the newest page of 5 minutes reaches
    back, and cut at multiples of `cut`.
    """

    path: str
    key: str
    rows: int
    slot: int
    cut: int


_HISTORY = {
    "ratio": _History("account-ratio", "period", 500, 36, 240),
    "oi": _History("open-interest", "intervalTime", 200, 16, 200),
}
# Names in lots, for as long as no catalogue has told them.
_LOTS = {
    "PEPEUSDT": "1000PEPEUSDT",
    "BONKUSDT": "1000BONKUSDT",
    "FLOKIUSDT": "1000FLOKIUSDT",
    "SHIBUSDT": "SHIB1000USDT",
}


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Bybit":
    """The feed; raises ConfigError for a stream, poll or URL that does not fit."""
    return Bybit(config, instruments)


class Bybit(Decoder):
    """Feed of Bybit v5 linear (engine/feeds/feed.py)."""

    name = "bybit"
    provides = frozenset({"trades", "book", "mark", "funding", "oi", "liq", "ratio"})
    headers: Mapping[str, str] = {}

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        super().__init__()
        self.compression = config.compression
        self._streams = wanted_streams("bybit", config, _TOPICS)
        self._urls = wanted_urls("bybit", config, ("linear", "rest"))
        self._every = wanted_polls("bybit", config, ("ratios",))
        self._backfill = config.backfill
        self._symbols = [instrument.id for instrument in instruments]
        self._listed: frozenset[str] | None = None

    def connections(self) -> list[Connection]:
        """One socket: the topics of 100 symbols are far below the 21,000 characters it takes."""
        symbols = [s for s in self._symbols if self._lists(s)]
        streams = [(channel, symbol) for symbol in symbols for channel in self._streams]
        if not streams:
            return []
        topics = [self._topic(channel, symbol) for channel, symbol in streams]
        chunks = [topics[at : at + CHUNK] for at in range(0, len(topics), CHUNK)]
        return [
            Connection(
                id="linear",
                url=self._urls["linear"],
                subscribe=tuple(_command("subscribe", chunk) for chunk in chunks),
                streams=tuple(streams),
                ping=('{"op":"ping"}', 20.0),
                silence=45.0,
            )
        ]

    def is_ack(self, data: bytes | str) -> bool:
        """Whether a frame confirms a subscription."""
        head = data[:200] if isinstance(data, str) else data[:200].decode("latin-1")
        return '"success":true' in head and '"op":"subscribe"' in head

    def book_request(self, symbol: str) -> Request | None:
        return None

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        """Leaving and joining again brings a snapshot."""
        if "depth" not in self._streams or not self._lists(symbol):
            return None
        topics = [self._topic("depth", symbol)]
        return "linear", (_command("unsubscribe", topics), _command("subscribe", topics))

    def catalogue_request(self) -> Request | None:
        url = self._url("instruments-info", category="linear", status="Trading", limit=1000)
        return Request(url=url, weight=1, purpose="catalogue")

    def listed(self, answer: bytes) -> frozenset[str]:
        """Coin perpetuals in USDT that trade; the rest of a cut list counts as listed too.

        Raises DecodeError for what is no catalogue.
        """
        try:
            rows = rows_of(wire.ANSWERS.decode(answer))
            found = self._contracts.learn(convert(rows.list, list[wire.Contract]))
        except UNUSABLE:
            raise DecodeError("malformed") from None
        if not found:
            raise DecodeError("malformed")
        self._listed = found | frozenset(self._symbols) if rows.cursor else found
        return self._listed

    def carries(self, need: str, symbol: str) -> bool:
        return need in self.provides and self._lists(symbol)

    def polls(self) -> list[Poll]:
        """The newest account ratio of each symbol, new every 5 min."""
        if "ratios" not in self._every:
            return []
        query: dict[str, int | str] = {"category": "linear", "period": "5min", "limit": 1}
        return [
            Poll(self._get("account-ratio", "ratio", symbol, **query), self._every["ratios"])
            for symbol in self._symbols
            if self._lists(symbol)
        ]

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """30 days of funding, account ratios and open interest, the newest first.

        The newest page is of 5 min, those of 1 h are wholly past.
        """
        if not self._backfill:
            return []
        symbols = [symbol for symbol in symbols if self._lists(symbol)]
        end = now // MS
        out = [
            self._get("funding/history", "funding", s, category="linear", endTime=end, limit=200)
            for s in symbols
        ]
        for purpose, history in _HISTORY.items():
            span = "5min", end - history.rows * MINUTES_5 + 1, end
            out += [self._history(purpose, symbol, span) for symbol in symbols]
        hour = end // HOUR
        pages = [
            (piece, purpose)
            for purpose, h in _HISTORY.items()
            for piece in stretches(hour - DAYS_BACK * 24, hour // h.slot * h.slot, h.rows, h.cut)
        ]
        for piece, purpose in sorted(pages, key=lambda page: -page[0][1]):
            out += [self._hourly(purpose, symbol, piece) for symbol in symbols]
        return out

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        return []

    def _lists(self, symbol: str) -> bool:
        return self._listed is None or symbol in self._listed

    def _venue_name(self, symbol: str) -> str:
        return self._contracts.names.get(symbol) or _LOTS.get(symbol, symbol)

    def _topic(self, channel: str, symbol: str) -> str:
        return f"{_TOPICS[channel]}.{self._venue_name(symbol)}"

    def _hourly(self, purpose: str, symbol: str, piece: Stretch) -> Request:
        first, end = piece
        request = self._history(purpose, symbol, ("1h", first * HOUR, end * HOUR - 1))
        page = f"{symbol} 1h until {end} of {DAYS_BACK * 24}"
        return replace(request, final=(end * HOUR + SETTLING) * MS, page=page)

    def _history(self, purpose: str, symbol: str, span: tuple[str, int, int]) -> Request:
        history = _HISTORY[purpose]
        period, start, end = span
        query: dict[str, int | str] = {
            history.key: period,
            "startTime": start,
            "endTime": end,
            "limit": history.rows,
        }
        return self._get(history.path, purpose, symbol, category="linear", **query)

    def _get(self, path: str, purpose: str, symbol: str, **query: int | str) -> Request:
        url = self._url(path, **{"symbol": self._venue_name(symbol), **query})
        return Request(url=url, weight=1, purpose=purpose, symbol=symbol)

    def _url(self, path: str, **query: int | str) -> str:
        text = "&".join(f"{key}={value}" for key, value in query.items())
        return f"{self._urls['rest']}/v5/market/{path}?{text}"


def _command(op: str, topics: list[str]) -> str:
    return msgspec.json.encode({"op": op, "args": topics}).decode()
