"""What Deribit sends: JSON-RPC notifications by channel, and results of public methods.

Numbers are JSON floats; bounds are checked while decoding. Amounts are USD for inverse contracts
and base coins for linear ones.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct, field

from engine.feeds.parse import Millis, Price, Seq, Size

Rate = Annotated[float, Meta(ge=-10, le=10)]
Volatility = Annotated[float, Meta(gt=0, le=10_000)]
Level = tuple[Literal["new", "change", "delete"], Price, Size]


class Params(Struct, gc=False):
    channel: str
    data: Raw


class Notification(Struct, gc=False):
    """method `subscription`."""

    params: Params


class Book(Struct, gc=False):
    """book.{instrument}.100ms: a snapshot has no `prev_change_id`."""

    type: Literal["snapshot", "change"]
    timestamp: Millis
    change_id: Seq
    bids: list[Level]
    asks: list[Level]
    prev_change_id: Seq | None = None


class Print(Struct, gc=False):
    """A row of trades.{instrument}.100ms; `liquidation` tells which side was: M, T or MT."""

    timestamp: Millis
    price: Price
    amount: Price
    direction: Literal["buy", "sell"]
    trade_id: str
    liquidation: str | None = None
    block_trade_id: str | int | None = None
    combo_trade_id: str | int | None = None


class Ticker(Struct, gc=False):
    """ticker.{instrument}.100ms, whole each time; prices of an empty side are 0 or null."""

    timestamp: Millis
    mark: Price = field(name="mark_price")
    oi: Size = field(name="open_interest")
    index: Price | None = field(name="index_price", default=None)
    funding_8h: Rate | None = None
    bid: Size | None = field(name="best_bid_price", default=None)
    bid_amount: Size | None = field(name="best_bid_amount", default=None)
    ask: Size | None = field(name="best_ask_price", default=None)
    ask_amount: Size | None = field(name="best_ask_amount", default=None)


class VolatilityIndex(Struct, gc=False):
    """deribit_volatility_index.{index}: DVOL in % a year."""

    timestamp: Millis
    volatility: Volatility


class FundingRow(Struct, gc=False):
    """A row of public/get_funding_rate_history, hourly; `interest_8h` of the 8 h up to it."""

    timestamp: Millis
    interest_8h: Rate


class Candle(Struct, gc=False, array_like=True):
    """A row of public/get_volatility_index_data."""

    start: Millis
    open: Volatility
    high: Volatility
    low: Volatility
    close: Volatility


class Instrument(Struct, gc=False):
    """A row of public/get_instruments."""

    name: str = field(name="instrument_name")
    kind: str = ""
    period: str = field(name="settlement_period", default="")
    is_active: bool = True


class Instruments(Struct, gc=False):
    result: list[Instrument]


NOTIFICATIONS = msgspec.json.Decoder(Notification)
BOOKS = msgspec.json.Decoder(Book)
PRINTS = msgspec.json.Decoder(list[Print])
TICKERS = msgspec.json.Decoder(Ticker)
VOLATILITIES = msgspec.json.Decoder(VolatilityIndex)
CATALOGUES = msgspec.json.Decoder(Instruments)
