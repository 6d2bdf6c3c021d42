"""Deribit: inverse perpetuals of BTC and ETH, linear USDC ones of other coins, and options.

One socket of JSON-RPC notifications; the option chain of BTC and of ETH is one request a minute.
The volatility index (DVOL) is streamed. Funding is continuous, so there is no next payment. The
venue answers a wrong channel by leaving it out of its confirmation. Re-subscribing without
unsubscribing brings no new book.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from engine.clock import NS
from engine.config import FeedConfig
from engine.feeds.deribit import wire
from engine.feeds.deribit.decode import CURRENCIES, Decoder, contract, resolve
from engine.feeds.feed import Connection, DecodeError, Poll, Request
from engine.feeds.parse import MS, UNUSABLE
from engine.feeds.wanted import wanted_streams, wanted_urls
from engine.instruments import Instrument

CHUNK = 250  # channels a call; the venue takes 500
HEARTBEAT = 15
DAYS_BACK = 30  # hourly rows; the venue gives 744 at once
HOUR = 3600 * NS
SETTLING = 300 * NS  # until the row of a past hour is surely there
HEAL_ID = 1000
TEST_ID = 9999
_CHANNELS = {"depth": "book", "trade": "trades", "ticker": "ticker"}
_STREAMS = (*_CHANNELS, "volatility")


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Deribit":
    """The feed; raises ConfigError for a stream or URL that does not fit."""
    return Deribit(config, instruments)


class Deribit(Decoder):
    """Feed of Deribit's perpetuals and options (engine/feeds/feed.py)."""

    name = "deribit"
    provides = frozenset({"trades", "book", "mark", "funding", "oi", "liq", "options"})
    headers: Mapping[str, str] = {}

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        super().__init__()
        self.compression = config.compression
        self._streams = wanted_streams("deribit", config, _STREAMS)
        self._urls = wanted_urls("deribit", config, ("ws", "rest"))
        self._backfill = config.backfill
        self._options_every = config.every.get("options", 60.0)
        self._symbols = [instrument.id for instrument in instruments]
        self._listed: frozenset[str] | None = None

    def connections(self) -> list[Connection]:
        """One socket; what it asked for is remembered, to be compared with what was confirmed."""
        channels = [
            f"{kind}.{contract(symbol)}.100ms"
            for channel, kind in _CHANNELS.items()
            if channel in self._streams
            for symbol in self._there()
        ]
        streams = [(c, s) for c in _CHANNELS if c in self._streams for s in self._there()]
        for currency in self._currencies():
            channels.append(f"deribit_volatility_index.{currency.lower()}_usd")
            streams.append(("volatility", f"{currency}USDT"))
        if not channels:
            return []
        chunks = [channels[at : at + CHUNK] for at in range(0, len(channels), CHUNK)]
        self._asked = {number: frozenset(chunk) for number, chunk in enumerate(chunks, 2)}
        heartbeat = _call(1, "set_heartbeat", interval=HEARTBEAT)
        calls = [_call(number, "subscribe", channels=c) for number, c in enumerate(chunks, 2)]
        return [
            Connection(
                id="main",
                url=self._urls["ws"],
                subscribe=(heartbeat, *calls),
                streams=tuple(streams),
                silence=3.0 * HEARTBEAT,
                sends_per_second=3.0,
                reply=("test_request", _call(TEST_ID, "test")),
            )
        ]

    def _there(self) -> list[str]:
        return [s for s in self._symbols if self._listed is None or s in self._listed]

    def _currencies(self) -> list[str]:
        """The currencies whose options are wanted; they do not hang on a perpetual."""
        wanted = CURRENCIES if "volatility" in self._streams else ()
        return [c for c in wanted if f"{c}USDT" in self._symbols]

    def is_ack(self, data: bytes | str) -> bool:
        """Whether a frame answers a call; notifications have a method instead."""
        head = data[:128] if isinstance(data, str) else data[:128].decode("latin-1")
        return '"result"' in head and '"method"' not in head

    def book_request(self, symbol: str) -> Request | None:
        return None

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        """Off and on again: without the former no new snapshot comes."""
        if symbol not in self._there() or "depth" not in self._streams:
            return None
        channels = [f"book.{contract(symbol)}.100ms"]
        number = HEAL_ID + 2 * self._symbols.index(symbol)
        off = _call(number, "unsubscribe", channels=channels)
        return "main", (off, _call(number + 1, "subscribe", channels=channels))

    def catalogue_request(self) -> Request | None:
        return self._get("get_instruments", "catalogue", currency="any", kind="future")

    def listed(self, answer: bytes) -> frozenset[str]:
        """Symbols with an active perpetual of the used kind; raises DecodeError."""
        try:
            rows = wire.CATALOGUES.decode(answer).result
        except UNUSABLE:
            raise DecodeError("malformed") from None
        found = set()
        for row in rows:
            if row.kind == "future" and row.period == "perpetual" and row.is_active:
                try:
                    found.add(resolve(row.name)[0])
                except DecodeError:
                    continue
        if not found:
            raise DecodeError("malformed")
        self._listed = frozenset(found)
        return self._listed

    def carries(self, need: str, symbol: str) -> bool:
        if need == "options":
            return symbol.removesuffix("USDT") in CURRENCIES
        return need in self.provides and (self._listed is None or symbol in self._listed)

    def polls(self) -> list[Poll]:
        """Each currency's whole option chain."""
        return [
            Poll(
                self._get(
                    "get_book_summary_by_currency",
                    "options",
                    f"{currency}USDT",
                    currency=currency,
                    kind="option",
                ),
                self._options_every,
            )
            for currency in self._currencies()
        ]

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """30 days of hours: the volatility index, then funding; the same within an hour."""
        if not self._backfill:
            return []
        end = now // HOUR * HOUR
        span = {"start_timestamp": (end - DAYS_BACK * 24 * HOUR) // MS, "end_timestamp": end // MS}
        volatility = [
            self._get(
                "get_volatility_index_data",
                "volatility first",
                f"{currency}USDT",
                currency=currency,
                resolution=3600,
                **span,
            )
            for currency in self._currencies()
            if f"{currency}USDT" in symbols
        ]
        there = self._there()
        funding = [
            self._get(
                "get_funding_rate_history",
                "funding first",
                symbol,
                instrument_name=contract(symbol),
                **span,
            )
            for symbol in symbols
            if symbol in there
        ]
        return [replace(r, final=end + SETTLING) for r in (*volatility, *funding)]

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        return []

    def _get(
        self, method: str, purpose: str, symbol: str | None = None, **query: int | str
    ) -> Request:
        text = "&".join(f"{k}={v}" for k, v in query.items())
        url = f"{self._urls['rest']}/public/{method}?{text}"
        return Request(url=url, weight=1, purpose=purpose, symbol=symbol)


def _call(number: int, method: str, **params: object) -> str:
    frame = {"jsonrpc": "2.0", "id": number, "method": f"public/{method}", "params": params}
    return msgspec.json.encode(frame).decode()
