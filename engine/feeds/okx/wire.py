"""The frames and REST answers of OKX v5, as typed structs; times ms, sizes in contracts.

A frame is a push with `arg` and `data`, or an event such as an ack, which has the same `arg`.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from engine.feeds.parse import Millis, Price, Seq, Size

Side = Literal["buy", "sell"]
Rate = Annotated[float, Meta(ge=-10, le=10)]
Ratio = Annotated[float, Meta(ge=0, le=1e6)]


class Arg(Struct, gc=False):
    channel: str
    name: str = field(name="instId", default="")


class Push(Struct, gc=False, kw_only=True):
    """What all frames share; `event` is empty in a push."""

    arg: Arg
    event: str = ""


class Level(Struct, gc=False, array_like=True):
    """[price, contracts, "0", orders]."""

    price: Price
    size: Size


class Depth(Struct, gc=False):
    """`prev_seq` is -1 on a whole book; the checksum has been a constant 0 since June 2026."""

    bids: list[Level]
    asks: list[Level]
    time: Millis = field(name="ts")
    seq: Seq = field(name="seqId")
    prev_seq: Annotated[int, Meta(ge=-1, le=2**63 - 1)] = field(name="prevSeqId", default=-1)


class Books(Push, gc=False, kw_only=True):
    """books: 400 levels, and bbo-tbt: the touch."""

    action: str = ""
    data: list[Depth] = []


class TradeRow(Struct, gc=False):
    """`side` is the taker's; fills of one order at one price come as one."""

    name: str = field(name="instId")
    id: Seq = field(name="tradeId")
    price: Price = field(name="px")
    size: Price = field(name="sz")
    side: Side
    time: Millis = field(name="ts")


class Trades(Push, gc=False, kw_only=True):
    """trades."""

    data: list[TradeRow] = []


class MarkRow(Struct, gc=False):
    name: str = field(name="instId")
    mark: Price = field(name="markPx")
    time: Millis = field(name="ts")


class Marks(Push, gc=False, kw_only=True):
    """mark-price."""

    data: list[MarkRow] = []


class IndexRow(Struct, gc=False):
    """`name` is the pair, without -SWAP."""

    name: str = field(name="instId")
    index: Price = field(name="idxPx")
    time: Millis = field(name="ts")


class Indices(Push, gc=False, kw_only=True):
    """index-tickers."""

    data: list[IndexRow] = []


class FundingRow(Struct, gc=False):
    """`rate` is settled at `due`, the one after it at `following`."""

    name: str = field(name="instId")
    rate: Rate = field(name="fundingRate")
    due: Millis = field(name="fundingTime")
    time: Millis = field(name="ts")
    following: Any = field(name="nextFundingTime", default=None)


class Fundings(Push, gc=False, kw_only=True):
    """funding-rate."""

    data: list[FundingRow] = []


class InterestRow(Struct, gc=False):
    """Open interest, one-sided, in coins and USD."""

    name: str = field(name="instId")
    base: Size = field(name="oiCcy")
    time: Millis = field(name="ts")
    usd: Any = field(name="oiUsd", default=None)


class Interests(Push, gc=False, kw_only=True):
    """open-interest."""

    data: list[InterestRow] = []


class Liquidated(Struct, gc=False):
    """`side` is the order's; `position` can be `net`. `price` is where it went bankrupt."""

    side: Side
    price: Price = field(name="bkPx")
    size: Price = field(name="sz")
    time: Millis = field(name="ts")
    position: str = field(name="posSide", default="")


class LiquidationRow(Struct, gc=False):
    name: str = field(name="instId")
    details: list[Liquidated]


class Liquidations(Push, gc=False, kw_only=True):
    """liquidation-orders, of all contracts."""

    data: list[LiquidationRow] = []


class Contract(Struct, gc=False):
    """A row of GET /api/v5/public/instruments; `category` 1 are coins."""

    name: str = field(name="instId")
    kind: str = field(name="instType", default="")
    value: Any = field(name="ctVal", default=None)
    multiplier: Any = field(name="ctMult", default=None)
    unit: str = field(name="ctValCcy", default="")
    type: str = field(name="ctType", default="")
    settled: str = field(name="settleCcy", default="")
    state: str = ""
    category: str = field(name="instCategory", default="")
    rule: str = field(name="ruleType", default="")


class PastFunding(Struct, gc=False):
    """A row of GET /api/v5/public/funding-rate-history, newest first."""

    name: str = field(name="instId")
    rate: Rate = field(name="fundingRate")
    time: Millis = field(name="fundingTime")
    realised: Any = field(name="realizedRate", default=None)


class RatioRow(Struct, gc=False, array_like=True):
    """A row of the long/short ratios under /api/v5/rubik/stat/contracts/."""

    time: Millis
    value: Ratio


class TakerRow(Struct, gc=False, array_like=True):
    """A row of GET /api/v5/rubik/stat/taker-volume-contract."""

    time: Millis
    sell: Size
    buy: Size


class PastInterest(Struct, gc=False, array_like=True):
    """A row of GET /api/v5/rubik/stat/contracts/open-interest-history."""

    time: Millis
    contracts: Size
    base: Size
    usd: Size


class Answer(Struct, gc=False):
    """Any REST answer; `code` "0" is success."""

    code: str
    message: str = field(name="msg", default="")
    data: list[Any] = []


ANSWERS = msgspec.json.Decoder(Answer, strict=False)
