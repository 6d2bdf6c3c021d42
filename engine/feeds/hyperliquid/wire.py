"""What Hyperliquid sends: stream frames by their channel, and answers of POST /info.

Numbers come as JSON strings; bounds are checked while decoding, which also refuses NaN.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from engine.feeds.parse import Millis, Price, Seq, Size

Rate = Annotated[float, Meta(ge=-10, le=10)]


class Level(Struct, gc=False):
    px: Price
    sz: Size


class Print(Struct, gc=False):
    """One trade; `side` B: the taker buys, A: the taker sells."""

    coin: str
    side: Literal["B", "A"]
    px: Price
    sz: Price
    time: Millis
    tid: Seq


class BookData(Struct, gc=False):
    """Bids and asks; the flag `fast` is not always sent."""

    coin: str
    time: Millis
    levels: tuple[list[Level], list[Level]]
    fast: bool | None = None


class BboData(Struct, gc=False):
    coin: str
    time: Millis
    bbo: tuple[Level | None, Level | None]


class Ctx(Struct, gc=False):
    """`funding` is per hour, `oi` in contracts and one-sided."""

    funding: Rate
    oi: Size = field(name="openInterest")
    oracle: Price = field(name="oraclePx")
    mark: Price = field(name="markPx")


class CtxData(Struct, gc=False):
    coin: str
    ctx: Ctx


class Subscription(Struct, gc=False):
    type: str = ""
    coin: str = ""


class AckData(Struct, gc=False):
    subscription: Subscription
    method: str = ""


class Frame(Struct, tag_field="channel", gc=False):
    """Any frame of the stream."""


class Trades(Frame, tag="trades", gc=False):
    data: list[Print]


class L2Book(Frame, tag="l2Book", gc=False):
    data: BookData


class Bbo(Frame, tag="bbo", gc=False):
    data: BboData


class AssetCtx(Frame, tag="activeAssetCtx", gc=False):
    data: CtxData


class Ack(Frame, tag="subscriptionResponse", gc=False):
    data: AckData


class Pong(Frame, tag="pong", gc=False):
    pass


class Refusal(Frame, tag="error", gc=False):
    data: str = ""


class FundingRow(Struct, gc=False):
    """A row of `fundingHistory`."""

    coin: str
    rate: Rate = field(name="fundingRate")
    time: Millis


class Asset(Struct, gc=False):
    name: str
    delisted: bool = field(name="isDelisted", default=False)


class Universe(Struct, gc=False):
    """The answer to `meta`."""

    universe: list[Asset]


MESSAGES = msgspec.json.Decoder(
    Trades | L2Book | Bbo | AssetCtx | Ack | Pong | Refusal, strict=False
)
HISTORY = msgspec.json.Decoder(list[FundingRow], strict=False)
UNIVERSE = msgspec.json.Decoder(Universe)
