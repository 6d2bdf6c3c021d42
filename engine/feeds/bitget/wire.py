"""The pushes and REST answers of Bitget's USDT futures, as typed structs.

Times are ms, prices per venue unit (a lot of coins in `1000BONKUSDT`), sizes in venue units.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from engine.feeds.parse import Levels, Millis, Price, Seq


class Arg(Struct, gc=False):
    """What a push answers to; some of the venue's examples name the symbol `instId`."""

    topic: str
    family: str = field(name="instType")
    symbol: str = ""
    other: str = field(name="instId", default="")


class Push(Struct, gc=False):
    """A push of any topic; its rows are decoded once the topic is known."""

    arg: Arg
    rows: msgspec.Raw = field(name="data")
    time: Millis = field(name="ts")
    action: str = "update"


class BookRow(Struct, gc=False):
    seq: Seq
    time: Millis = field(name="ts")
    asks: Levels = field(name="a")
    bids: Levels = field(name="b")
    prev_seq: Seq = field(name="pseq", default=0)


class TradeRow(Struct, gc=False):
    id: Seq = field(name="i")
    price: Price = field(name="p")
    size: Price = field(name="v")
    side: Literal["buy", "sell"] = field(name="S")
    time: Millis = field(name="T")


class TickerRow(Struct, gc=False):
    """Fields that are missing have not changed; "" where there is no such thing."""

    mark: Any = field(name="markPrice", default=None)
    index: Any = field(name="indexPrice", default=None)
    rate: Any = field(name="fundingRate", default=None)
    next_time: Any = field(name="nextFundingTime", default=None)
    interest: Any = field(name="openInterest", default=None)


class LiquidationRow(Struct, gc=False):
    """`side` is the position's, `amount` its value in USDT."""

    symbol: str
    side: Literal["buy", "sell"]
    price: Price
    amount: Price
    time: Millis = field(name="ts")


class FundingRow(Struct, gc=False):
    """A row of GET /api/v2/mix/market/current-fund-rate."""

    symbol: str
    rate: Any = field(name="fundingRate")
    hours: Any = field(name="fundingRateInterval", default=None)
    next_time: Any = field(name="nextUpdate", default=None)


class SettledRow(Struct, gc=False):
    """A row of GET /api/v3/market/history-fund-rate."""

    symbol: str
    rate: Annotated[float, Meta(ge=-10, le=10)] = field(name="fundingRate")
    time: Millis = field(name="fundingRateTimestamp")


class RatioRow(Struct, gc=False):
    """A row of GET /api/v2/mix/market/account-long-short, which names no symbol."""

    value: Price = field(name="longShortAccountRatio")
    time: Millis = field(name="ts")


class Contract(Struct, gc=False):
    """A row of GET /api/v3/market/instruments; equities, metals and indices are `isRwa`."""

    symbol: str
    quote: str = field(name="quoteCoin", default="")
    form: str = field(name="type", default="")
    kind: str = field(name="symbolType", default="")
    outside: str = field(name="isRwa", default="NO")
    status: str = ""
    hours: Any = field(name="fundInterval", default=None)

    @property
    def trades(self) -> bool:
        form = (self.quote, self.form, self.kind, self.status)
        return form == ("USDT", "perpetual", "crypto", "online") and self.outside != "YES"


class Contracts(Struct, gc=False):
    rows: list[Contract] = field(name="data")


class FundingNow(Struct, gc=False):
    rows: list[FundingRow] = field(name="data")
    time: Millis = field(name="requestTime")


class SettledPage(Struct, gc=False):
    rows: list[SettledRow] = field(name="resultList")


class Settled(Struct, gc=False):
    page: SettledPage = field(name="data")


class Ratios(Struct, gc=False):
    rows: list[RatioRow] = field(name="data")


PUSHES = msgspec.json.Decoder(Push, strict=False)
CATALOGUES = msgspec.json.Decoder(Contracts, strict=False)
