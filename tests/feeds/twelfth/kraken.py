"""Trades of Kraken Futures: a feed that ships with the tests alone, to add a venue by its file."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from engine.config import FeedConfig
from engine.events import Event, Trade
from engine.feeds.feed import Connection, Context, DecodeError, Poll, Request
from engine.feeds.parse import MS, NOT_OURS, UNUSABLE, Millis, Price
from engine.feeds.wanted import wanted_streams, wanted_urls
from engine.instruments import Instrument

NAME = "kraken"
NAMES = {"BTC": "XBT"}
QUIET = frozenset({"info", "subscribed", "heartbeat", "alert"})


class Print(Struct, gc=False):
    """One execution, of a contract of one coin."""

    product_id: str
    side: Literal["buy", "sell"]
    time: Millis
    qty: Price
    price: Price
    uid: str


class Frame(Struct, gc=False):
    """A frame of any feed, as far as needed to tell which."""

    event: str = ""
    feed: str = ""
    trades: list[Print] = []


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Kraken":
    """The feed; raises ConfigError for a stream or URL that does not fit."""
    return Kraken(config, instruments)


class Kraken:
    """Feed of Kraken Futures (engine/feeds/feed.py)."""

    name = venue = NAME
    provides = frozenset({"trades"})
    headers: Mapping[str, str] = {}

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        wanted_streams(NAME, config, ("trade",))
        self.compression = config.compression
        self._url = wanted_urls(NAME, config, ("ws",))["ws"]
        self._symbols = {product(i.id): i.id for i in instruments}

    def connections(self) -> list[Connection]:
        frames = [
            {"event": "subscribe", "feed": "heartbeat"},
            {"event": "subscribe", "feed": "trade", "product_ids": list(self._symbols)},
        ]
        return [
            Connection(
                id="futures",
                url=self._url,
                subscribe=tuple(msgspec.json.encode(frame).decode() for frame in frames),
                streams=tuple(("trade", symbol) for symbol in self._symbols.values()),
            )
        ]

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        try:
            frame = msgspec.json.decode(data, type=Frame)
            if frame.event in QUIET or frame.feed == "heartbeat":
                return ()
            if frame.feed == "trade_snapshot":
                return [self._trade(row, context, True) for row in reversed(frame.trades)]
            if frame.feed == "trade":
                return [self._trade(msgspec.json.decode(data, type=Print), context, False)]
        except UNUSABLE:
            raise DecodeError("malformed") from None
        raise DecodeError("unknown feed")

    def _trade(self, row: Print, context: Context, history: bool) -> Trade:
        if row.product_id not in self._symbols:
            raise DecodeError(NOT_OURS)
        return Trade(
            venue=NAME,
            market="perp",
            symbol=self._symbols[row.product_id],
            ts=row.time * MS,
            recv=context.recv,
            history=history,
            price=row.price,
            size=row.qty,
            side=row.side,
            id=row.uid,
        )

    def is_ack(self, data: bytes | str) -> bool:
        return (b'"subscribed"' if isinstance(data, bytes) else '"subscribed"') in data[:64]

    def book_request(self, symbol: str) -> Request | None:
        return None

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        return None

    def catalogue_request(self) -> Request | None:
        return None

    def listed(self, answer: bytes) -> frozenset[str]:
        raise DecodeError("malformed")

    def carries(self, need: str, symbol: str) -> bool:
        return need in self.provides and symbol in self._symbols.values()

    def polls(self) -> list[Poll]:
        return []

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        return []

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        return []


def product(symbol: str) -> str:
    """The venue's name of the linear perpetual of one of our symbols."""
    base = symbol.removesuffix("USDT")
    return f"PF_{NAMES.get(base, base)}USD"
