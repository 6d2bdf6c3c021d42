"""The pushes and REST answers of Gate's USDT futures, as typed structs.

Sizes are contracts: strings where the handshake asked for decimals, else integers; both are read.
Times are ms on the stream and seconds elsewhere, told apart by magnitude where they changed.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from engine.feeds.parse import Levels, Millis, Price, Seq, Size

Signed = Annotated[float, Meta(ge=-1e15, le=1e15)]
Moment = Annotated[float, Meta(ge=0, le=9e12)]


class Push(Struct, tag_field="channel", gc=False, kw_only=True):
    """Any push; `time_ms` is when it was sent."""

    time: Millis = field(name="time_ms")


class BookRow(Struct, gc=False):
    """`full` replaces the book; a delta may hold no level and still advances `seq`."""

    name: str = field(name="s")
    first_seq: Seq = field(name="U")
    seq: Seq = field(name="u")
    time: Millis = field(name="t")
    full: bool = False
    bids: Levels = field(name="b", default_factory=list)
    asks: Levels = field(name="a", default_factory=list)


class Book(Push, tag="futures.obu", gc=False, kw_only=True):
    row: BookRow = field(name="result")


class QuoteRow(Struct, gc=False):
    contract: str = field(name="s")
    seq: Seq = field(name="u")
    time: Millis = field(name="t")
    bid: Price = field(name="b")
    bid_size: Size = field(name="B")
    ask: Price = field(name="a")
    ask_size: Size = field(name="A")


class Quote(Push, tag="futures.book_ticker", gc=False, kw_only=True):
    row: QuoteRow = field(name="result")


class TradeRow(Struct, gc=False):
    """A positive `size` is a taker's buy; `is_internal` are deals of the insurance fund and ADL."""

    contract: str
    id: Seq
    price: Price
    size: Signed
    time: Moment = field(name="create_time_ms")
    internal: bool = field(name="is_internal", default=False)


class Trades(Push, tag="futures.trades", gc=False, kw_only=True):
    rows: list[TradeRow] = field(name="result")


class TickerRow(Struct, gc=False):
    contract: str
    mark: Any = field(name="mark_price", default=None)
    index: Any = field(name="index_price", default=None)
    rate: Any = field(name="funding_rate", default=None)
    interval: Any = field(name="funding_interval", default=None)
    next_time: Any = field(name="funding_next_apply", default=None)
    interest: Any = field(name="total_size", default=None)


class Tickers(Push, tag="futures.tickers", gc=False, kw_only=True):
    rows: list[TickerRow] = field(name="result")


class LiquidationRow(Struct, gc=False):
    """`size` has the sign of the position; `time` was in seconds, beside `time_ms`, till 2026."""

    contract: str
    price: Price
    size: Signed
    time: Moment = 0.0
    time_ms: Moment = 0.0


class Liquidations(Push, tag="futures.public_liquidates", gc=False, kw_only=True):
    rows: list[LiquidationRow] = field(name="result")


class StatsRow(Struct, gc=False):
    """Positioning over one interval from `time`; a ratio of 0 says that there is none."""

    time: Moment
    contract: str = ""
    taker: Any = field(name="lsr_taker", default=None)
    accounts: Any = field(name="lsr_account", default=None)
    top_accounts: Any = field(name="top_lsr_account", default=None)
    top_positions: Any = field(name="top_lsr_size", default=None)
    interest: Any = field(name="open_interest", default=None)
    usd: Any = field(name="open_interest_usd", default=None)


class Stats(Push, tag="futures.contract_stats", gc=False, kw_only=True):
    row: StatsRow = field(name="result")


class SettledRow(Struct, gc=False):
    """A row of GET /futures/usdt/funding_rate, which names no contract."""

    time: Moment = field(name="t")
    rate: Annotated[float, Meta(ge=-10, le=10)] = field(name="r")


class Contract(Struct, gc=False):
    """A row of GET /futures/usdt/contracts; `kind` is empty for coins, else stocks, metals, ..."""

    name: str
    multiplier: Any = field(name="quanto_multiplier")
    form: str = field(name="type", default="direct")
    kind: str = field(name="contract_type", default="")
    status: str = "trading"
    ending: bool = field(name="in_delisting", default=False)
    interval: Any = field(name="funding_interval", default=None)
    next_time: Any = field(name="funding_next_apply", default=None)

    @property
    def trades(self) -> bool:
        coin = self.form == "direct" and self.kind in ("", "crypto")
        return coin and self.status == "trading" and not self.ending


PUSHES = msgspec.json.Decoder(Book | Quote | Trades | Tickers | Liquidations | Stats, strict=False)
CATALOGUES = msgspec.json.Decoder(list[Contract], strict=False)
CHANNELS = frozenset(
    kind.__struct_config__.tag for kind in (Book, Quote, Trades, Tickers, Liquidations, Stats)
)
