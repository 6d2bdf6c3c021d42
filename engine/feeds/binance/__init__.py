"""Binance USD-M futures: two sockets since the split of April 2026, history by REST.

`/public` carries books and quotes, `/market` trades, marks and liquidations; the old route still
acknowledges subscriptions but sends nothing. Liquidations are a lower bound: the venue pushes the
largest one per symbol and second.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from engine.clock import NS
from engine.config import FeedConfig
from engine.feeds.binance import wire
from engine.feeds.binance.decode import Decoder
from engine.feeds.feed import Connection, DecodeError, Poll, Request
from engine.feeds.pages import Stretch, stretches
from engine.feeds.parse import MS
from engine.feeds.wanted import wanted_streams, wanted_urls
from engine.instruments import Instrument, parse_name, venue_name

CHUNK = 50
PAGE = 499  # the most rows for weight 2
GRACE = 2 * NS  # a candle is asked for once it is surely closed
SETTLING = 60 * NS  # until it surely stays as it is
MINUTES_BACK = 8 * 24 * 60
HOURS_BACK = 180 * 24
_ROUTES = {
    "public": {"depth": "depth@100ms", "quote": "bookTicker"},
    "market": {"trade": "aggTrade", "mark": "markPrice@1s", "liquidation": "forceOrder"},
}
_CHANNELS = [channel for route in _ROUTES.values() for channel in route]


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Binance":
    """The feed; raises ConfigError for a stream or URL that does not fit."""
    return Binance(config, instruments)


class Binance(Decoder):
    """Feed of Binance USD-M futures (engine/feeds/feed.py)."""

    name = "binance"
    provides = frozenset({"trades", "book", "mark", "funding", "liq", "bars"})
    headers: Mapping[str, str] = {}

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        super().__init__()
        self.compression = config.compression
        self._streams = wanted_streams("binance", config, _CHANNELS)
        self._urls = wanted_urls("binance", config, (*_ROUTES, "rest"))
        self._backfill = config.backfill
        self._symbols = [instrument.id for instrument in instruments]
        self._listed: frozenset[str] | None = None

    def connections(self) -> list[Connection]:
        """Up to two sockets; symbols that `listed` did not find are left out."""
        routes = [self._connection(route) for route in _ROUTES]
        return [connection for connection in routes if connection.streams]

    def _connection(self, route: str) -> Connection:
        channels = {c: s for c, s in _ROUTES[route].items() if c in self._streams}
        symbols = [s for s in self._symbols if self._listed is None or s in self._listed]
        params = [
            f"{venue_name(self.venue, symbol).lower()}@{suffix}"
            for suffix in channels.values()
            for symbol in symbols
        ]
        chunks = [params[at : at + CHUNK] for at in range(0, len(params), CHUNK)]
        return Connection(
            id=route,
            url=f"{self._urls[route]}/stream",
            subscribe=tuple(_subscribe(chunk, at + 1) for at, chunk in enumerate(chunks)),
            streams=tuple((channel, symbol) for channel in channels for symbol in symbols),
            max_age=23 * 3600.0,
            silence=900.0 if set(channels) == {"liquidation"} else 30.0,
        )

    def is_ack(self, data: bytes | str) -> bool:
        """Whether a frame confirms a subscription."""
        head = data[:64] if isinstance(data, str) else data[:64].decode("latin-1")
        return '"result"' in head and '"data"' not in head

    def book_request(self, symbol: str) -> Request | None:
        return self._get("depth", 20, "book", symbol, limit=1000)

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        return None

    def catalogue_request(self) -> Request | None:
        return self._get("exchangeInfo", 1, "catalogue")

    def listed(self, answer: bytes) -> frozenset[str]:
        """Symbols trading as USDT perpetuals; later `connections()` keep to them.

        Raises DecodeError for what is no catalogue.
        """
        try:
            contracts = wire.CATALOGUES.decode(answer).symbols
        except (ValueError, RecursionError):
            raise DecodeError("malformed") from None
        names = [c.symbol for c in contracts if _is_trading(c)]
        found = frozenset(listing.id for name in names if (listing := parse_name(name)))
        if not found:
            raise DecodeError("malformed")
        self._listed = found
        return found

    def carries(self, need: str, symbol: str) -> bool:
        return need in self.provides and (self._listed is None or symbol in self._listed)

    def polls(self) -> list[Poll]:
        return []

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """Funding intervals, the last 499 min, 180 d of hours, then 8 d of minutes.

        What a first bias needs has a purpose that ends with `first`. Pages that are full now are
        the same at any start; the last 499 min overlap the newest of those.
        """
        if not self._backfill:
            return []
        funding = self._get("fundingInfo", 1, "funding first")
        minute, hour = ((now - GRACE) // (seconds * NS) for seconds in (60, 3600))
        newest = self._candles(60, (minute - PAGE, minute), symbols, "bars first")
        hours, minutes = [], []
        for span in stretches(hour - HOURS_BACK, hour, PAGE, PAGE):
            back = HOURS_BACK if span[1] % PAGE == 0 else 0
            hours += self._candles(3600, span, symbols, "bars first", back)
        for span in stretches(minute - MINUTES_BACK, minute // PAGE * PAGE, PAGE, PAGE):
            minutes += self._candles(60, span, symbols, "bars", MINUTES_BACK)
        return [funding, *newest, *hours, *minutes]

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        """The minutes from the one `since` falls in that have ended by `now`."""
        span = since // (60 * NS), now // (60 * NS)
        return [
            request
            for piece in stretches(*span, PAGE, 1)
            for request in self._candles(60, piece, symbols, "bars")
        ]

    def _candles(
        self, interval: int, span: Stretch, symbols: Sequence[str], purpose: str, back: int = 0
    ) -> list[Request]:
        """One page of every symbol; of a history of `back` rows where it is final."""
        (first, end), step = span, interval * NS
        count, name = end - first, "1m" if interval == 60 else "1h"
        times = {"startTime": first * step // MS, "endTime": end * step // MS - 1}
        out = []
        for s in symbols:
            request = self._get(
                "klines", _weight(count), purpose, s, interval=name, limit=count, **times
            )
            if back:
                page = f"{s} {name} until {end} of {back}"
                request = replace(request, final=end * step + SETTLING, page=page)
            out.append(request)
        return out

    def _get(
        self, path: str, weight: int, purpose: str, symbol: str | None = None, **query: int | str
    ) -> Request:
        named = {"symbol": venue_name(self.venue, symbol)} if symbol else {}
        text = "&".join(f"{k}={v}" for k, v in {**named, **query}.items())
        url = f"{self._urls['rest']}/fapi/v1/{path}" + (f"?{text}" if text else "")
        return Request(url=url, weight=weight, purpose=purpose, symbol=symbol)


def _subscribe(params: list[str], number: int) -> str:
    frame = {"method": "SUBSCRIBE", "params": params, "id": number}
    return msgspec.json.encode(frame).decode()


def _is_trading(contract: wire.Contract) -> bool:
    """USDT perpetuals of coins: perpetuals on equities and metals have a kind of their own."""
    return (contract.status, contract.kind, contract.quote) == ("TRADING", "PERPETUAL", "USDT")


def _weight(rows: int) -> int:
    """What a page of candles costs (exchange documentation: under 100 rows 1, under 500 2)."""
    return 1 if rows < 100 else 2
