"""What the indexer of dYdX v4 sends: an envelope of one kind, contents by type and channel."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct, field

from engine.feeds.parse import Levels, Price, Seq, Size

Rate = Annotated[float, Meta(ge=-10, le=10)]
Instant = Annotated[datetime, Meta(tz=True)]


class Envelope(Struct, gc=False):
    """Any frame; `message_id` counts the messages of the connection, whatever their channel."""

    type: str
    message_id: Seq
    connection_id: str = ""
    channel: str = ""
    id: str = ""
    contents: Raw = Raw(b"null")
    message: str = ""


class Level(Struct, gc=False):
    """A level of the first book; later ones are pairs."""

    price: Price
    size: Size


class Book(Struct, gc=False):
    bids: list[Level] = []
    asks: list[Level] = []


class BookChange(Struct, gc=False):
    bids: Levels | None = None
    asks: Levels | None = None


class Print(Struct, gc=False):
    """One trade; `side` is the taker's, `type` tells liquidations and deleveraging."""

    id: str
    side: Literal["BUY", "SELL"]
    size: Price
    price: Price
    at: Instant = field(name="createdAt")
    type: str = "LIMIT"


class Trades(Struct, gc=False):
    trades: list[Print]


class Market(Struct, gc=False):
    """What is said of one market; a part of it in updates. The rate is per hour.

    A market just launched has an oracle price of 0.
    """

    oracle: Size | None = field(name="oraclePrice", default=None)
    rate: Rate | None = field(name="nextFundingRate", default=None)
    oi: Size | None = field(name="openInterest", default=None)
    at: Instant | None = field(name="effectiveAt", default=None)
    status: str = ""


class Markets(Struct, gc=False):
    """All markets at first, then either of the other two."""

    markets: dict[str, Market] | None = None
    trading: dict[str, Market] | None = None
    oracles: dict[str, Market] | None = field(name="oraclePrices", default=None)


class FundingRow(Struct, gc=False):
    """A row of GET /historicalFunding/{market}; the rate is per hour."""

    ticker: str
    rate: Rate
    at: Instant = field(name="effectiveAt")


class Candle(Struct, gc=False):
    """A row of GET /candles/perpetualMarkets/{market}, for its open interest in base coins."""

    ticker: str
    at: Instant = field(name="startedAt")
    open: Price
    oi: Size = field(name="startingOpenInterest")


ENVELOPES = msgspec.json.Decoder(Envelope)
BOOKS = msgspec.json.Decoder(Book, strict=False)
CHANGES = msgspec.json.Decoder(BookChange | None, strict=False)
BATCHES = msgspec.json.Decoder(list[BookChange], strict=False)
TRADES = msgspec.json.Decoder(Trades, strict=False)
TRADE_BATCHES = msgspec.json.Decoder(list[Trades], strict=False)
MARKETS = msgspec.json.Decoder(Markets, strict=False)
MARKET_BATCHES = msgspec.json.Decoder(list[Markets], strict=False)
