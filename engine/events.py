"""The vocabulary: one frozen struct per kind of market event.

Units: prices in quote currency per base unit, sizes in base units after contract multipliers,
notional in USD, `ts` (exchange) and `recv` (receipt) in int nanoseconds UTC, windows in seconds.
Encoding an event with msgspec gives the line `decode` prints: `kind` first, `history` only where
it is true.
"""

from typing import Literal

from msgspec import Struct

Side = Literal["buy", "sell"]
Position = Literal["long", "short"]
Market = Literal["perp", "spot", "option"]
Levels = list[tuple[float, float]]


class Event(Struct, frozen=True, gc=False, tag_field="kind", omit_defaults=True, kw_only=True):
    """What every event carries; `symbol` is None when it is market-wide."""

    venue: str
    market: Market
    symbol: str | None
    ts: int
    recv: int | None
    history: bool = False


class Trade(Event, frozen=True, gc=False, tag="trade", kw_only=True):
    """One execution; `side` is the taker's."""

    price: float
    size: float
    side: Side
    id: int | str


class Quote(Event, frozen=True, gc=False, tag="quote", kw_only=True):
    """Best bid and ask; `seq` compares with the book's sequence of the same venue."""

    bid: float
    ask: float
    bid_size: float
    ask_size: float
    seq: int | None


class BookSnapshot(Event, frozen=True, gc=False, tag="book_snapshot", kw_only=True):
    """A whole book; replaces what was known."""

    bids: Levels
    asks: Levels
    seq: int | None


class BookDelta(Event, frozen=True, gc=False, tag="book_delta", kw_only=True):
    """Absolute sizes per price, 0 deletes; covers updates first_seq..seq, follows prev_seq."""

    bids: Levels
    asks: Levels
    first_seq: int | None
    seq: int | None
    prev_seq: int | None


class Mark(Event, frozen=True, gc=False, tag="mark", kw_only=True):
    """Mark and index price."""

    mark: float
    index: float | None


class Funding(Event, frozen=True, gc=False, tag="funding", kw_only=True):
    """`rate` as the venue states it for `interval_h` hours; `rate_8h` on the common scale."""

    rate_8h: float | None
    rate: float
    interval_h: float | None
    next_ts: int | None


class OpenInterest(Event, frozen=True, gc=False, tag="open_interest", kw_only=True):
    """One-sided open interest in base units and USD."""

    base: float
    usd: float | None


class Liquidation(Event, frozen=True, gc=False, tag="liquidation", kw_only=True):
    """A forced close; `position` is the side that was liquidated."""

    position: Position
    price: float
    size: float
    usd: float


class Ratio(Event, frozen=True, gc=False, tag="ratio", kw_only=True):
    """Published positioning: long/short of accounts or positions, or taker buy/sell volume."""

    measure: Literal["top_accounts", "top_positions", "global_accounts", "taker"]
    value: float


class Kline(Event, frozen=True, gc=False, tag="kline", kw_only=True):
    """One candle from `ts` for `interval_s` seconds; volumes in base units."""

    interval_s: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    taker_buy_volume: float | None


class OptionSummary(Event, frozen=True, gc=False, tag="option_summary", kw_only=True):
    """State of one currency's option surface."""

    currency: str
    dvol: float | None
    skew_25d: float | None
    put_call_oi: float | None
    term_slope: float | None


class Metric(Event, frozen=True, gc=False, tag="metric", kw_only=True):
    """One value of a named outside series (on-chain, DeFi, mood, macro)."""

    name: str
    value: float
    unit: str
    source: str


class Headline(Event, frozen=True, gc=False, tag="headline", kw_only=True):
    """A news headline with its polarity -1..+1 and the symbols it names."""

    title: str
    outlet: str
    url: str
    polarity: float
    symbols: list[str]


class FeedStatus(Event, frozen=True, gc=False, tag="feed_status", kw_only=True):
    """A change of a feed's transport: which connection, which stream, what happened.

    `state`: connecting, connected, acked, closed, blocked, limited, resync, error; of the engine
    itself: started, warmed.
    """

    feed: str
    connection: str
    state: str
    stream: str | None = None
    note: str = ""


AnyEvent = (
    Trade
    | Quote
    | BookSnapshot
    | BookDelta
    | Mark
    | Funding
    | OpenInterest
    | Liquidation
    | Ratio
    | Kline
    | OptionSummary
    | Metric
    | Headline
    | FeedStatus
)
