"""The frames and REST answers of Bybit v5, as typed structs.

Times are ms, prices per venue unit (a lot of coins in `1000PEPEUSDT`), sizes in venue units.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from engine.feeds.parse import Levels, Millis, Price, Seq, Size

Side = Literal["Buy", "Sell"]
Kind = Literal["snapshot", "delta"]
TradeId = Annotated[str, Meta(min_length=1, max_length=64)]
Share = Annotated[float, Meta(ge=1e-6, le=1)]


class Depth(Struct, gc=False):
    """`update` rises by one per message of a topic, `seq` compares all depths of a contract."""

    symbol: str = field(name="s")
    bids: Levels = field(name="b")
    asks: Levels = field(name="a")
    update: Seq = field(name="u")
    seq: Seq


class BookFrame(Struct, gc=False):
    """orderbook.{depth}.{symbol}; `cts` is the matching engine's time."""

    topic: str
    type: Kind
    ts: Millis
    data: Depth
    cts: Millis = 0


class TradeRow(Struct, gc=False):
    """`side` is the taker's; `block` was agreed outside the book."""

    time: Millis = field(name="T")
    symbol: str = field(name="s")
    side: Side = field(name="S")
    size: Price = field(name="v")
    price: Price = field(name="p")
    id: TradeId = field(name="i")
    block: bool = field(name="BT", default=False)


class TradeFrame(Struct, gc=False):
    """publicTrade.{symbol}: up to 1,024 trades."""

    topic: str
    data: list[TradeRow]


class LiquidationRow(Struct, gc=False):
    """`side` is the position's, `price` where it went bankrupt."""

    time: Millis = field(name="T")
    symbol: str = field(name="s")
    side: Side = field(name="S")
    size: Price = field(name="v")
    price: Price = field(name="p")


class LiquidationFrame(Struct, gc=False):
    """allLiquidation.{symbol}: every liquidation of the last 500 ms."""

    topic: str
    data: list[LiquidationRow]


class Ticker(Struct, gc=False):
    """What of a ticker is used; a delta leaves out what did not change, "" is unknown.

    `openInterest` counts both sides: exactly twice `singleOpenInterest`.
    """

    symbol: str
    mark: Any = field(name="markPrice", default=None)
    index: Any = field(name="indexPrice", default=None)
    rate: Any = field(name="fundingRate", default=None)
    next_time: Any = field(name="nextFundingTime", default=None)
    hours: Any = field(name="fundingIntervalHour", default=None)
    oi: Any = field(name="singleOpenInterest", default=None)
    oi_usd: Any = field(name="singleOpenInterestValue", default=None)
    oi_both: Any = field(name="openInterest", default=None)
    oi_both_usd: Any = field(name="openInterestValue", default=None)
    bid: Any = field(name="bid1Price", default=None)
    bid_size: Any = field(name="bid1Size", default=None)
    ask: Any = field(name="ask1Price", default=None)
    ask_size: Any = field(name="ask1Size", default=None)


class TickerFrame(Struct, gc=False):
    """tickers.{symbol}; `cs` is the `seq` of the book it was made from."""

    topic: str
    type: Kind
    ts: Millis
    data: Ticker
    cs: Seq = 0


class Contract(Struct, gc=False):
    """A row of GET /v5/market/instruments-info; `minutes` between fundings."""

    symbol: str
    kind: str = field(name="contractType", default="")
    status: str = ""
    quote: str = field(name="quoteCoin", default="")
    sort: str = field(name="symbolType", default="")
    minutes: Annotated[int, Meta(ge=0, le=14_400)] = field(name="fundingInterval", default=0)


class RatioRow(Struct, gc=False):
    """A row of GET /v5/market/account-ratio: shares of accounts that are long and short."""

    symbol: str
    buy: Share = field(name="buyRatio")
    sell: Share = field(name="sellRatio")
    time: Millis = field(name="timestamp")


class OpenInterestRow(Struct, gc=False):
    """A row of GET /v5/market/open-interest; counts both sides as the ticker's does."""

    both: Size = field(name="openInterest")
    time: Millis = field(name="timestamp")


class FundingRow(Struct, gc=False):
    """A row of GET /v5/market/funding/history, newest first."""

    symbol: str
    rate: Annotated[float, Meta(ge=-10, le=10)] = field(name="fundingRate")
    time: Millis = field(name="fundingRateTimestamp")


class Rows(Struct, gc=False):
    """The result of most REST answers."""

    list: list[Any]
    category: str = ""
    symbol: str = ""
    cursor: str | None = field(name="nextPageCursor", default=None)


class Answer(Struct, gc=False):
    """Any REST answer; `code` 0 is success."""

    code: int = field(name="retCode")
    message: str = field(name="retMsg", default="")
    result: Any = None


ANSWERS = msgspec.json.Decoder(Answer, strict=False)
