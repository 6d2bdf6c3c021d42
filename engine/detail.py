"""What a Detail holds: bars, tape, footprint, books, positions, what moved; structs alone.

None is 'not available', as in engine.snapshot, where screens find all of them.
"""

from msgspec import Struct

# Bars that a chart can ask for, and their seconds.
BAR_SPANS = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400}
# Distances from the mid at which depth is counted.
DEPTH_BPS = (1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0)


class Bar(Struct, frozen=True, gc=False):
    """A candle of the cockpit's own making: prices, taker notional.

    `vwap`: of the UTC day up to the bar's end, None where too little of it is known; `closed`:
    whether its time is over.
    """

    ts: int
    open: float
    high: float
    low: float
    close: float
    buy: float
    sell: float
    vwap: float | None = None
    closed: bool = True


class Print(Struct, frozen=True, gc=False):
    """A trade on the tape, `size` in base units; `rank` 1 where larger than 99 % of the
    reference's trades by notional, 2 where larger than 99.5 %."""

    ts: int
    price: float
    size: float
    side: str
    venue: str = ""
    rank: int = 0


class Level(Struct, frozen=True, gc=False):
    """A price that volume made: `kind` poc, vah or val, of so many hours of minutes."""

    kind: str
    price: float
    hours: float


class Swing(Struct, frozen=True, gc=False):
    """A confirmed swing of the bars: `side` +1 a high, -1 a low."""

    ts: int
    price: float
    side: int


class Cluster(Struct, frozen=True, gc=False):
    """Estimated USD of one position (long, short) liquidated where price reaches `low` to `high`.

    An estimate from open interest, never a fact.
    """

    low: float
    high: float
    usd: float
    position: str


class FootprintCell(Struct, frozen=True, gc=False):
    """Taker notional at one price level; `mark` +1 or -1 where buys or sells dominate it.

    Dominate: three times the other side one level below (buys) or above (sells).
    """

    level: int
    buy: float
    sell: float
    mark: int


class FootprintColumn(Struct, frozen=True, gc=False):
    """A stretch of time from `ts` on; cells from the highest price down, none without a trade."""

    ts: int
    cells: tuple[FootprintCell, ...]


class Footprint(Struct, frozen=True, gc=False):
    """The reference venue's taker flow by price and time, oldest column first.

    Level n reaches from exp(n step) to exp((n + 1) step); a column is `seconds` long.
    """

    window: str
    step: float
    seconds: float
    columns: tuple[FootprintColumn, ...]


class VenueFlow(Struct, frozen=True, gc=False):
    """A venue's taker flow in USD: by window, and CVD over the last hour by the minute.

    `course` starts at 0, oldest first, None before the tape ran; it is not `reliable` where it
    does not reach the whole hour, or trades are known to be missing from it. `ts`: last trade.
    """

    venue: str
    spot: bool
    ts: int | None
    buy: dict[str, float | None]
    sell: dict[str, float | None]
    course: tuple[float | None, ...]
    reliable: bool


class VenueBook(Struct, frozen=True, gc=False):
    """A venue's book: touch, and notional by distance from its own mid.

    `bids`, `asks`: USD between one of DEPTH_BPS and the next, from 0 on; None beyond what is known
    of the book. `ts`: last update; a book that is not `synced` has nothing but that.
    """

    venue: str
    spot: bool
    synced: bool
    ts: int | None
    bid: float | None
    ask: float | None
    bids: tuple[float | None, ...]
    asks: tuple[float | None, ...]


class Wall(Struct, frozen=True, gc=False):
    """The nearest outsized resting size of a side (bid, ask) of the reference's book, USD.

    `seconds`: how long it has stood.
    """

    side: str
    price: float
    usd: float
    seconds: float


class VenuePosition(Struct, frozen=True, gc=False):
    """What is held, paid and liquidated at a venue.

    Open interest in USD at the present price, its change over 1 h and 24 h in %; funding as the
    venue states it for `interval_h` and on the scale of 8 h, due at `next_ts`; USD of longs and
    shorts liquidated in the last hour, None where nothing tells. `*_ts`: when it was heard.
    """

    venue: str
    interest: float | None
    change_1h: float | None
    change_24h: float | None
    interest_ts: int | None
    rate: float | None
    rate_8h: float | None
    interval_h: float | None
    next_ts: int | None
    funding_ts: int | None
    long_liquidated: float | None
    short_liquidated: float | None
    liquidations_since: int | None


class Course(Struct, frozen=True, gc=False):
    """A published series of the reference venue, every `seconds` up to `ts`, oldest first.

    `name`: oi (base), funding (per 8 h minus the neutral rate), taker_ratio, top_accounts,
    top_positions, global_accounts (long/short as ratios).
    """

    name: str
    ts: int
    seconds: int
    values: tuple[float | None, ...]


class VenuePrice(Struct, frozen=True, gc=False):
    """A venue's price beside the reference's.

    `premium` and its mean over two minutes, in bps, a dollar price through USDT/USD. `lead` 0..1:
    how much its 1 s returns run ahead of the reference's. `funding`: per 8 h. Times are when the
    last of a kind was heard.
    """

    venue: str
    spot: bool
    reference: bool
    price: float | None
    premium: float | None
    premium_mean: float | None
    lead: float | None
    funding: float | None
    trade_ts: int | None
    quote_ts: int | None
    book_ts: int | None


class Decided(Struct, frozen=True, gc=False):
    """One decision of a mode: bias, conviction 0..100, confidence 0..1 once calibrated."""

    ts: int
    bias: float | None
    conviction: float
    confidence: float | None


class Moved(Struct, frozen=True, gc=False):
    """A part of a bias: points now and then, None where it had none, and what it added between.

    `subject`: line, category or card, `id` which one.
    """

    subject: str
    id: str
    now: float | None
    then: float | None
    points: float


class Move(Struct, frozen=True):
    """Why a bias moved from the decision at `since` to that at `ts` (ns); largest parts first.

    Lines and categories add up to `after` - `before`, cards to their categories.
    """

    ts: int
    since: int
    before: float
    after: float
    parts: tuple[Moved, ...]
    cards: tuple[Moved, ...]
