"""Coinbase Advanced Trade, spot: trades and best quotes in USD, the US side of the premium.

Products `BTC-USD` are our `BTCUSDT` with market "spot"; `USDT-USD` is `USDTUSD`, the leg that turns
dollars into tethers. The venue publishes the maker's side, so the taker's is the other one. The
first trades of a product are history. `level2` is left out: 46,000 levels for one product.
Source: exchanges.md 11, the venue's Advanced Trade WebSocket documentation.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from engine.clock import NS
from engine.config import FeedConfig
from engine.events import Event, FeedStatus, Quote, Trade
from engine.feeds.feed import Connection, Context, DecodeError, Poll, Request
from engine.feeds.parse import UNUSABLE, Price, Seq, Size
from engine.feeds.wanted import wanted_streams, wanted_urls
from engine.instruments import Instrument

Events = Sequence[Event]
NAME = "coinbase"
TETHER = "USDTUSD"
NOT_OURS = "not a spot product in USD"
KEPT_URLS = 16
_CHANNELS = {"trade": "market_trades", "quote": "ticker"}
_TAKER: dict[str, Literal["buy", "sell"]] = {"BUY": "sell", "SELL": "buy"}
_CATALOGUE = "/api/v3/brokerage/market/products"


class Execution(Struct, gc=False):
    """`side` is the maker's."""

    product: str = field(name="product_id")
    id: Seq = field(name="trade_id")
    price: Price
    size: Price
    time: str
    side: Literal["BUY", "SELL"]


class Executions(Struct, gc=False):
    """Newest first; a snapshot is what was traded before the subscription."""

    type: str
    trades: list[Execution]


class Best(Struct, gc=False):
    product: str = field(name="product_id")
    bid: Price = field(name="best_bid")
    ask: Price = field(name="best_ask")
    bid_size: Size = field(name="best_bid_quantity")
    ask_size: Size = field(name="best_ask_quantity")


class Bests(Struct, gc=False):
    tickers: list[Best]


class Message(Struct, tag_field="channel", gc=False, kw_only=True):
    """What every message has; `sequence_num` counts those of the connection, whatever channel."""

    timestamp: str
    seq: Seq = field(name="sequence_num")


class MarketTrades(Message, tag="market_trades", gc=False, kw_only=True):
    events: list[Executions]


class Ticker(Message, tag="ticker", gc=False, kw_only=True):
    events: list[Bests]


class Heartbeat(Message, tag="heartbeats", gc=False, kw_only=True):
    pass


class Subscriptions(Message, tag="subscriptions", gc=False, kw_only=True):
    pass


class Product(Struct, gc=False):
    """A row of the catalogue."""

    name: str = field(name="product_id")
    kind: str = field(name="product_type", default="")
    status: str = ""
    quote: str = field(name="quote_currency_id", default="")
    disabled: bool = field(name="is_disabled", default=False)
    stopped: bool = field(name="trading_disabled", default=False)
    view_only: bool = False


class Products(Struct, gc=False):
    products: list[Product]


_MESSAGES = msgspec.json.Decoder(MarketTrades | Ticker | Heartbeat | Subscriptions, strict=False)
_PRODUCTS = msgspec.json.Decoder(Products, strict=False)


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Coinbase":
    """The feed; raises ConfigError for a stream or URL that does not fit."""
    return Coinbase(config, instruments)


class Coinbase:
    """Feed of Coinbase spot (engine/feeds/feed.py)."""

    name = NAME
    venue = NAME
    provides = frozenset({"trades"})
    headers: Mapping[str, str] = {}

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        self.compression = config.compression
        self._streams = wanted_streams(NAME, config, _CHANNELS)
        self._urls = wanted_urls(NAME, config, ("ws", "rest"))
        self._symbols = [*(instrument.id for instrument in instruments), TETHER]
        self._listed: frozenset[str] | None = None
        self._last: dict[str, int] = {}
        self._missing: dict[str, int] = {}
        self._handlers: dict[type, Callable[[Any, Context], list[Event]]] = {
            MarketTrades: self._trades,
            Ticker: self._quotes,
            Heartbeat: lambda message, context: [],
            Subscriptions: lambda message, context: [],
        }

    def connections(self) -> list[Connection]:
        """One socket; the heartbeats keep it open while nothing is traded."""
        symbols = [s for s in self._symbols if self._is_listed(s)]
        if not symbols:
            return []
        products = [product(s) for s in symbols]
        channels = ("heartbeats", *(_CHANNELS[stream] for stream in self._streams))
        return [
            Connection(
                id="spot",
                url=self._urls["ws"],
                subscribe=tuple(_subscribe(channel, products) for channel in channels),
                streams=tuple((stream, s) for stream in self._streams for s in symbols),
                silence=30.0,
            )
        ]

    def decode(self, data: bytes | str, context: Context) -> Events:
        """Events of a frame; a jump of the connection's sequence comes before them as a status."""
        try:
            message = _MESSAGES.decode(data)
        except UNUSABLE:
            return self._decode_other(data, context)
        self._count(message.seq, context.url)
        events = self._handlers[type(message)](message, context)
        missing = self._missing.pop(context.url, 0) if self._missing else 0
        return [_lost(missing, message.timestamp, context), *events] if missing else events

    def _decode_other(self, data: bytes | str, context: Context) -> Events:
        try:
            raw = msgspec.json.decode(data)
        except UNUSABLE:
            raise DecodeError("not JSON") from None
        if not isinstance(raw, dict):
            raise DecodeError("unknown shape")
        channel = raw.get("channel")
        if channel is not None:
            seq = raw.get("sequence_num")
            if type(seq) is int and 0 <= seq < 2**63:
                self._count(seq, context.url)
            known = channel in ("market_trades", "ticker", "heartbeats", "subscriptions")
            raise DecodeError("malformed" if known else f"not asked for: {str(channel)[:40]}")
        if "products" in raw:
            return ()
        if raw.get("type") == "error" or "error" in raw:
            said = raw.get("message") or raw.get("error")
            raise DecodeError(f"refused: {str(said)[:80]}")
        raise DecodeError("unknown shape")

    def _count(self, seq: int, url: str) -> None:
        """Note how many messages were lost before this one; a new socket counts from 0 again."""
        last = self._last.get(url, seq - 1)
        if len(self._last) > KEPT_URLS:
            self._last.clear()
            self._missing.clear()
        self._last[url] = seq
        if seq > last + 1:
            self._missing[url] = self._missing.get(url, 0) + seq - last - 1

    def _trades(self, message: MarketTrades, context: Context) -> list[Event]:
        out: list[Event] = []
        recv = context.recv
        for event in message.events:
            history = event.type == "snapshot"
            for trade in reversed(event.trades):
                out.append(  # noqa: PERF401 (a comprehension of this length hides the fields)
                    Trade(
                        venue=NAME,
                        market="spot",
                        symbol=symbol(trade.product),
                        ts=nanoseconds(trade.time),
                        recv=recv,
                        history=history,
                        price=trade.price,
                        size=trade.size,
                        side=_TAKER[trade.side],
                        id=trade.id,
                    )
                )
        return out

    def _quotes(self, message: Ticker, context: Context) -> list[Event]:
        """Without a sequence: theirs starts anew with each socket and is none of the book's."""
        ts = nanoseconds(message.timestamp)
        return [
            Quote(
                venue=NAME,
                market="spot",
                symbol=symbol(best.product),
                ts=ts,
                recv=context.recv,
                bid=best.bid,
                ask=best.ask,
                bid_size=best.bid_size,
                ask_size=best.ask_size,
                seq=None,
            )
            for event in message.events
            for best in event.tickers
        ]

    def is_ack(self, data: bytes | str) -> bool:
        """Whether a frame confirms a subscription; each one states all that are in force."""
        head = data[:64] if isinstance(data, str) else data[:64].decode("latin-1")
        return '"subscriptions"' in head

    def book_request(self, symbol: str) -> Request | None:
        return None

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        return None

    def catalogue_request(self) -> Request | None:
        url = f"{self._urls['rest']}{_CATALOGUE}?product_type=SPOT"
        return Request(url=url, weight=1, purpose="catalogue")

    def listed(self, answer: bytes) -> frozenset[str]:
        """Symbols with a USD product that trades, USDTUSD among them; raises DecodeError."""
        try:
            products = _PRODUCTS.decode(answer).products
        except UNUSABLE:
            raise DecodeError("malformed") from None
        found = frozenset(symbol(p.name) for p in products if _is_trading(p))
        if not found:
            raise DecodeError("malformed")
        self._listed = found
        return found

    def carries(self, need: str, symbol: str) -> bool:
        return need in self.provides and "trade" in self._streams and self._is_listed(symbol)

    def _is_listed(self, symbol: str) -> bool:
        return self._listed is None or symbol in self._listed

    def polls(self) -> list[Poll]:
        return []

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        return []

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        return []


@lru_cache(maxsize=4096)
def symbol(product: str) -> str:
    """Our id of a product such as `BTC-USD`; raises DecodeError for what is not sold in USD."""
    base, _, quote = product.partition("-")
    if quote != "USD" or not base.isalnum() or len(base) > 20:
        raise DecodeError(NOT_OURS)
    return TETHER if base == "USDT" else f"{base}USDT"


def product(symbol: str) -> str:
    """The venue's name of one of our symbols."""
    return "USDT-USD" if symbol == TETHER else f"{symbol.removesuffix('USDT')}-USD"


@lru_cache(maxsize=64)
def _second(text: str) -> int:
    """ns of `2026-08-09T21:05:48`, UTC."""
    return round(msgspec.convert(f"{text}Z", type=datetime).timestamp()) * NS


def nanoseconds(text: str) -> int:
    """ns of an RFC 3339 time in UTC with any number of decimals; raises DecodeError."""
    fraction = text[20:-1]
    if text[-1:] != "Z" or len(fraction) > 9 or (fraction and not fraction.isdecimal()):
        raise DecodeError("malformed")
    try:
        whole = _second(text[:19])
    except UNUSABLE:
        raise DecodeError("malformed") from None
    return whole + int(fraction.ljust(9, "0"))


def _lost(count: int, timestamp: str, context: Context) -> Event:
    return FeedStatus(
        venue=NAME,
        market="spot",
        symbol=None,
        ts=nanoseconds(timestamp),
        recv=context.recv,
        feed=NAME,
        connection="spot",
        state="error",
        note=f"{count} messages of the connection are missing",
    )


def _subscribe(channel: str, products: list[str]) -> str:
    frame = {"type": "subscribe", "product_ids": products, "channel": channel}
    return msgspec.json.encode(frame).decode()


def _is_trading(row: Product) -> bool:
    off = row.disabled or row.stopped or row.view_only
    if off or (row.kind, row.status, row.quote) != ("SPOT", "online", "USD"):
        return False
    base, _, quote = row.name.partition("-")
    return quote == "USD" and base.isalnum() and len(base) <= 20
