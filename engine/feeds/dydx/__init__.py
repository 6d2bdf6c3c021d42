"""dYdX v4: perpetuals on a chain of their own, through the keyless indexer.

Sockets `books` and `tape` (trades, markets) of at most 32 markets each, subscribed one by one at
two a second. The first frame of a channel is its whole state: a book, past trades, all markets.
Liquidations are trades with a tag; funding is hourly; the oracle price is mark and index. Times of
books and markets are those of receipt, for the venue names none.
"""

from collections.abc import Mapping, Sequence

import msgspec

from engine.config import FeedConfig
from engine.feeds.dydx import wire
from engine.feeds.dydx.decode import Decoder, market_symbol
from engine.feeds.feed import Connection, DecodeError, Poll, Request
from engine.feeds.parse import UNUSABLE
from engine.feeds.wanted import wanted_streams, wanted_urls
from engine.instruments import Instrument

CHUNK = 32  # subscriptions a channel and connection
HOURS_BACK = 720  # 30 days; the indexer gives 1000 rows at once
_CHANNELS = {"depth": "v4_orderbook", "trade": "v4_trades", "ticker": "v4_markets"}


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Dydx":
    """The feed; raises ConfigError for a stream or URL that does not fit."""
    return Dydx(config, instruments)


class Dydx(Decoder):
    """Feed of dYdX's perpetuals (engine/feeds/feed.py)."""

    name = "dydx"
    provides = frozenset({"trades", "book", "mark", "funding", "oi", "liq"})
    headers: Mapping[str, str] = {}

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        super().__init__([instrument.id for instrument in instruments])
        self.compression = config.compression
        self._streams = wanted_streams("dydx", config, _CHANNELS)
        self._urls = wanted_urls("dydx", config, ("ws", "rest"))
        self._backfill = config.backfill
        self._symbols = [instrument.id for instrument in instruments]
        self._listed: frozenset[str] | None = None

    def connections(self) -> list[Connection]:
        """A pair of sockets for every 32 markets; the first `tape` has all markets' states."""
        there = self._there()
        out = []
        for at in range(0, max(len(there), 1), CHUNK):
            number = at // CHUNK
            chunk = there[at : at + CHUNK]
            books = [("depth", s) for s in chunk if "depth" in self._streams]
            tape = [("trade", s) for s in chunk if "trade" in self._streams]
            if number == 0 and "ticker" in self._streams:
                tape = [*(("ticker", s) for s in there), *tape]
            out += [self._connection(_id("books", number), books)]
            out += [self._connection(_id("tape", number), tape)]
        return [connection for connection in out if connection.streams]

    def _connection(self, id: str, streams: list[tuple[str, str]]) -> Connection:
        frames = dict.fromkeys(_frame("subscribe", channel, s) for channel, s in streams)
        only_trades = {channel for channel, _ in streams} == {"trade"}
        return Connection(
            id=id,
            url=self._urls["ws"],
            subscribe=tuple(frames),
            streams=tuple(streams),
            silence=600.0 if only_trades else 60.0,
            sends_per_second=2.0,
        )

    def _there(self) -> list[str]:
        return [s for s in self._symbols if self._listed is None or s in self._listed]

    def is_ack(self, data: bytes | str) -> bool:
        """Whether a frame confirms a subscription (with the state so far) or the connection."""
        head = data[:64] if isinstance(data, str) else data[:64].decode("latin-1")
        return '"subscribed"' in head or '"connected"' in head

    def book_request(self, symbol: str) -> Request | None:
        return None

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        there = self._there()
        if symbol not in there or "depth" not in self._streams:
            return None
        frames = _frame("unsubscribe", "depth", symbol), _frame("subscribe", "depth", symbol)
        return _id("books", there.index(symbol) // CHUNK), frames

    def catalogue_request(self) -> Request | None:
        return self._get("perpetualMarkets", "catalogue")

    def listed(self, answer: bytes) -> frozenset[str]:
        """Symbols of the active markets; raises DecodeError."""
        try:
            markets = wire.MARKETS.decode(answer).markets or {}
        except UNUSABLE:
            raise DecodeError("malformed") from None
        names = [name for name, market in markets.items() if market.status == "ACTIVE"]
        found = frozenset(symbol for name in names if (symbol := market_symbol(name)))
        if not found:
            raise DecodeError("malformed")
        self._listed = found
        return found

    def carries(self, need: str, symbol: str) -> bool:
        return need in self.provides and (self._listed is None or symbol in self._listed)

    def polls(self) -> list[Poll]:
        return []

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """30 days of hours: funding, then open interest (which the candles tell)."""
        if not self._backfill:
            return []
        there = self._there()
        symbols = [s for s in symbols if s in there]
        funding = [
            self._get(f"historicalFunding/{_ticker(s)}?limit={HOURS_BACK}", "funding first", s)
            for s in symbols
        ]
        interest = [
            self._get(
                f"candles/perpetualMarkets/{_ticker(s)}?resolution=1HOUR&limit={HOURS_BACK}",
                "oi first",
                s,
            )
            for s in symbols
        ]
        return [*funding, *interest]

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        return []

    def _get(self, path: str, purpose: str, symbol: str | None = None) -> Request:
        url = f"{self._urls['rest']}/{path}"
        return Request(url=url, weight=1, purpose=purpose, symbol=symbol)


def _id(kind: str, number: int) -> str:
    return f"{kind}-{number + 1}" if number else kind


def _ticker(symbol: str) -> str:
    return f"{symbol.removesuffix('USDT')}-USD"


def _frame(what: str, channel: str, symbol: str) -> str:
    frame = {"type": what, "channel": _CHANNELS[channel]}
    if channel != "ticker":
        frame["id"] = _ticker(symbol)
    if what == "unsubscribe":
        return msgspec.json.encode(frame).decode()
    return msgspec.json.encode({**frame, "batched": False}).decode()
