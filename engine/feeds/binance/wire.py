"""The frames and REST answers of Binance USD-M futures, as typed structs.

Times are ms, prices per venue unit (a lot of coins in `1000PEPEUSDT`), sizes in venue units.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from engine.feeds.parse import Levels, Millis, Price, Seq, Size


class Stream(Struct, tag_field="e", gc=False, kw_only=True):
    """Any stream event; `contracts` is 2 for COIN-M rows, `T` is absent on a few streams."""

    event_time: Millis = field(name="E")
    time: Millis = field(name="T", default=0)
    contracts: int = field(name="st", default=1)


class AggTrade(Stream, tag="aggTrade", gc=False, kw_only=True):
    symbol: str = field(name="s")
    id: Seq = field(name="a")
    price: Price = field(name="p")
    size: Price = field(name="q")
    buyer_is_maker: bool = field(name="m")


class RawTrade(Stream, tag="trade", gc=False, kw_only=True):
    """`origin` other than MARKET comes with price and size 0, so 0 is legal here."""

    symbol: str = field(name="s")
    id: Seq = field(name="t")
    price: Size = field(name="p")
    size: Size = field(name="q")
    buyer_is_maker: bool = field(name="m")
    origin: str = field(name="X", default="MARKET")


class BookTicker(Stream, tag="bookTicker", gc=False, kw_only=True):
    symbol: str = field(name="s")
    seq: Seq = field(name="u")
    bid: Price = field(name="b")
    bid_size: Size = field(name="B")
    ask: Price = field(name="a")
    ask_size: Size = field(name="A")


class DepthUpdate(Stream, tag="depthUpdate", gc=False, kw_only=True):
    symbol: str = field(name="s")
    first_seq: Seq = field(name="U")
    seq: Seq = field(name="u")
    prev_seq: Seq | None = field(name="pu", default=None)
    bids: Levels = field(name="b")
    asks: Levels = field(name="a")


class MarkPriceUpdate(Stream, tag="markPriceUpdate", gc=False, kw_only=True):
    """`T` is the next settlement here, not the event; the rate is "" where there is none."""

    symbol: str = field(name="s")
    mark: Price = field(name="p")
    index: Any = field(name="i", default=None)
    rate: Any = field(name="r", default=None)


class Order(Struct, gc=False):
    """The part of a liquidation order that was filled: average price and size so far."""

    symbol: str = field(name="s")
    side: str = field(name="S")
    average: Size = field(name="ap")
    filled: Size = field(name="z")
    time: Millis = field(name="T", default=0)


class ForceOrder(Stream, tag="forceOrder", gc=False, kw_only=True):
    order: Order = field(name="o")


Event = AggTrade | RawTrade | BookTicker | DepthUpdate | MarkPriceUpdate | ForceOrder
EVENTS = frozenset(
    {"aggTrade", "trade", "bookTicker", "depthUpdate", "markPriceUpdate", "forceOrder"}
)


class Envelope(Struct, gc=False):
    """The combined form, `/stream`."""

    data: Event | list[Event]


class Depth(Struct, gc=False):
    """GET /fapi/v1/depth."""

    seq: Seq = field(name="lastUpdateId")
    bids: Levels
    asks: Levels
    event_time: Millis = field(name="E")
    time: Millis = field(name="T", default=0)


class Premium(Struct, gc=False):
    """A row of GET /fapi/v1/premiumIndex."""

    symbol: str
    mark: Price = field(name="markPrice")
    index: Any = field(name="indexPrice")
    rate: Any = field(name="lastFundingRate")
    next_time: Millis = field(name="nextFundingTime")
    time: Millis


class Candle(Struct, gc=False, array_like=True):
    """A row of GET /fapi/v1/klines; volumes in base units."""

    open_time: Millis
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Size
    close_time: Millis
    quote_volume: Size
    trades: Seq
    taker_buy_volume: Size


class OpenInterestNow(Struct, gc=False):
    """GET /fapi/v1/openInterest, base units, one-sided."""

    symbol: str
    base: Size = field(name="openInterest")
    time: Millis


class OpenInterestRow(Struct, gc=False):
    """A row of GET /futures/data/openInterestHist."""

    symbol: str
    base: Size = field(name="sumOpenInterest")
    usd: Size = field(name="sumOpenInterestValue")
    time: Millis = field(name="timestamp")


class RatioRow(Struct, gc=False):
    """A row of the three long/short ratios under /futures/data/."""

    symbol: str
    value: Size = field(name="longShortRatio")
    time: Millis = field(name="timestamp")


class TakerRow(Struct, gc=False):
    """A row of GET /futures/data/takerlongshortRatio, which names no symbol."""

    value: Size = field(name="buySellRatio")
    time: Millis = field(name="timestamp")


class FundingInfo(Struct, gc=False):
    """A row of GET /fapi/v1/fundingInfo: contracts that do not settle every 8 h."""

    symbol: str
    hours: Annotated[float, Meta(gt=0, le=240)] = field(name="fundingIntervalHours")


class FundingRow(Struct, gc=False):
    """A row of GET /fapi/v1/fundingRate: what was paid at that time for the hours before it."""

    symbol: str
    rate: Annotated[float, Meta(ge=-10, le=10)] = field(name="fundingRate")
    time: Millis = field(name="fundingTime")


class Contract(Struct, gc=False):
    """A row of GET /fapi/v1/exchangeInfo."""

    symbol: str
    status: str = ""
    kind: str = field(name="contractType", default="")
    quote: str = field(name="quoteAsset", default="")


class ExchangeInfo(Struct, gc=False):
    """GET /fapi/v1/exchangeInfo."""

    symbols: list[Contract]


ENVELOPES = msgspec.json.Decoder(Envelope, strict=False)
CATALOGUES = msgspec.json.Decoder(ExchangeInfo, strict=False)
