"""What cards see: the market at one instant, as arrays over windows and symbols.

Axes: W windows (only those asked for; usually all six), S symbols, N bars, H whole windows,
L price levels, V venues, K buckets, M modes, C cards. Prices are natural logs, flow and depth are
USD notional, missing data is NaN. `mirror` (mirror.py) swaps bulls and bears; the mirror test of
the cards is built on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

BARS = 120
HISTORY = 61


@dataclass(frozen=True, slots=True)
class Window:
    """A look-back: `span` seconds long, read by N-bar indicators in bars of `bar` seconds."""

    name: str
    span: int
    bar: int


WINDOWS = (
    Window("10s", 10, 1),
    Window("1m", 60, 10),
    Window("5m", 300, 30),
    Window("1h", 3600, 300),
    Window("4h", 14400, 900),
    Window("1d", 86400, 3600),
)


@dataclass(frozen=True, slots=True)
class Bars:
    """Consecutive stretches of time, oldest first, the last ending at the view's `now`.

    Shape (W, N or H, S) each. Flow is summed over the stretch, book fields are means of one sample
    a second, series are the last value. A stretch that is not covered is NaN; a covered one
    without a trade has zero flow and its open, high, low, close at the last price.
    """

    # log prices of trades; mid = log mid of the last book sample
    open: Array
    high: Array
    low: Array
    close: Array
    mid: Array
    vwap: Array
    # taker notional
    buy: Array
    sell: Array
    # liquidated positions, notional; a lower bound where the venue publishes a part
    long_liq: Array
    short_liq: Array
    # notional of estimated liquidation clusters that price traded through
    long_swept: Array
    short_swept: Array
    # resting notional within 50 bps of mid, or as far as both sides truly reach
    bid_50: Array
    ask_50: Array
    # published series, last value known: open interest (base), funding per 8 h minus the venue's
    # neutral rate, log mark and index price
    oi: Array
    funding: Array
    mark: Array
    index: Array
    # share of the stretch, 0..1, with a live tape (or candles), and with a synchronised book
    covered: Array
    book_covered: Array


@dataclass(frozen=True, slots=True)
class Cells(Bars):
    """Whole windows: what bars have, and the finer measures of tape and book."""

    # trade counts
    buys: Array
    sells: Array
    # prints above the 99th size percentile; bunched: each weighted by 1 + big prints of the 5 s
    # before it
    big_buy: Array
    big_sell: Array
    bunched_buy: Array
    bunched_sell: Array
    # the largest and the smallest quartile by trade size
    large_buy: Array
    large_sell: Array
    small_buy: Array
    small_sell: Array
    # resting notional as bid_50, within 10 and 100 bps; how far the three truly reach, bps
    bid_10: Array
    ask_10: Array
    bid_100: Array
    ask_100: Array
    band_10: Array
    band_50: Array
    band_100: Array
    # touch: (micro-price - mid)/spread in -0.5..+0.5, relative spread in bps, mean of both best
    # sizes in notional
    tilt: Array
    spread: Array
    top: Array
    # order flow imbalance at the best level (Cont, Kukanov, Stoikov 2014), notional
    ofi: Array
    # nearest outsized wall of a side: notional (0 with none), log distance and age in s
    # (NaN with none)
    bid_wall: Array
    ask_wall: Array
    bid_wall_distance: Array
    ask_wall_distance: Array
    bid_wall_life: Array
    ask_wall_life: Array
    # share of 1 bp slots within the 100 bps band that hold under a quarter of the usual depth
    bid_thin: Array
    ask_thin: Array
    # seconds in which takers hit a side: notional they took, notional that came back within the
    # next second
    bid_taken: Array
    ask_taken: Array
    bid_refill: Array
    ask_refill: Array
    # notional that came to rest and that left untraded, by 1 bp slot and second, within 50 bps
    bid_added: Array
    ask_added: Array
    bid_cancelled: Array
    ask_cancelled: Array
    # notional traded at a price beyond what was shown there (hidden size on that side of the book)
    bid_hidden: Array
    ask_hidden: Array
    # prints above the 99.5th size percentile
    huge_buy: Array
    huge_sell: Array
    # trades that moved the price up or down, each weighted by the length of its run so far
    up_runs: Array
    down_runs: Array
    # notional of takers that went through two price levels or more within 100 ms
    sweep_buy: Array
    sweep_sell: Array
    # notional x log distance from the mid at which takers traded (half the effective spread)
    paid_buy: Array
    paid_sell: Array
    # published as in bars: log taker buy/sell ratio, log long/short of top accounts, top positions
    # and all accounts
    taker_ratio: Array
    top_accounts: Array
    top_positions: Array
    global_accounts: Array


@dataclass(frozen=True, slots=True)
class Footprint:
    """Taker notional by price level over each window, lowest price first; shape (W, L, S).

    Levels are `step` apart in log price and the lowest begins at `floor` (W, S); levels without a
    trade are 0. `late`: both sides together over the newest half of the window.
    """

    buy: Array
    sell: Array
    step: Array
    floor: Array
    late: Array


@dataclass(frozen=True, slots=True)
class Venues:
    """Each venue by itself, the reference among them; NaN where it is silent, stale or lacks it.

    Notional in USD over the window that ends now: `buy`, `sell`, `long_liq`, `short_liq` (V, W, S).
    `close` (V, S): log price of the last trade; `course` (V, 120, S): the same at the end of each
    of the last 120 seconds, oldest first; a spot venue's in USDT. `oi` (V, S) and `oi_before`
    (V, W, S): open interest now and a window ago, both in USD at the present price. `funding`
    (V, S): per 8 h, minus the neutral rate. `bid_50`, `ask_50` (V, S): notional within 50 bps.
    """

    names: tuple[str, ...]
    reference: int
    dex: Flags
    spot: Flags
    buy: Array
    sell: Array
    long_liq: Array
    short_liq: Array
    close: Array
    course: Array
    oi: Array
    oi_before: Array
    funding: Array
    bid_50: Array
    ask_50: Array


@dataclass(frozen=True, slots=True)
class Liquidations:
    """Estimated notional that would be liquidated, by distance from the price; (K, S).

    Bucket k reaches from k to k + 1 times `step` in log price: `above`, shorts that a rise would
    close; `below`, longs that a fall would close. An estimate from open interest, never a fact.
    """

    step: float
    above: Array
    below: Array


@dataclass(frozen=True, slots=True)
class Calendar:
    """What the clock says, and what this hour was like before; (S,) but for the two releases.

    `hour_mean`, `hour_error`: mean log return of this hour of the week and its standard error;
    `session_*`: of this session (Asia, Europe, US); `hour_volume`: usual notional a second at this
    hour of the day. `day_high` ... `week_low`: log extremes of the UTC day and week before.
    `top_accounts_open`, `top_positions_open`: log ratios as this session opened. `to_funding`,
    `funding_interval`: seconds. `to_release`, `since_release`: seconds to the next and from the
    last scheduled macro release, inf where none is known.
    """

    hour_mean: Array
    hour_error: Array
    session_mean: Array
    session_error: Array
    hour_volume: Array
    day_high: Array
    day_low: Array
    week_high: Array
    week_low: Array
    top_accounts_open: Array
    top_positions_open: Array
    to_funding: Array
    funding_interval: Array
    to_release: float
    since_release: float


@dataclass(frozen=True, slots=True)
class News:
    """Headlines that name a symbol: `tone` -1..+1 (S,), decayed with a half-life of 2 h.

    `mentions` and `usual` (W, S): headlines in the window, and their mean over the windows before.
    """

    tone: Array
    mentions: Array
    usual: Array


@dataclass(frozen=True, slots=True)
class FirstPass:
    """This step's cards that read no cards, for those that do; C of them, all modes.

    `by_window` (M, C, W, S): scores per window, NaN where a mode does not read the window.
    `score`, `confidence`, `weight` (M, C, S) as in the readings; `category_weight` (M, C, S): that
    of the card's category. `breadth` (M, S): share of cards bullish minus share bearish;
    `breadth_before` (M, W, S): the same a window ago.
    """

    modes: tuple[str, ...]
    cards: tuple[str, ...]
    categories: tuple[str, ...]
    by_window: Array
    score: Array
    confidence: Array
    weight: Array
    category_weight: Array
    breadth: Array
    breadth_before: Array


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class View:
    """The market as of `now` (ns); everything before it, nothing after it.

    `bars`: the last 120 bars of each window (N axis). `spans`: the last 61 whole windows, the
    current one last (H axis), so z(x) over 60 windows needs no state. `outside`: named series of
    other sources, (W, H, S) each, the value known at the end of each window, market-wide ones the
    same for all symbols; names that no source brings are missing (`measure.outside` gives NaN).
    `first`: None in the first pass.
    """

    now: int
    symbols: tuple[str, ...]
    windows: tuple[Window, ...]
    bars: Bars
    spans: Cells
    footprint: Footprint
    venues: Venues
    liquidations: Liquidations
    calendar: Calendar
    news: News
    outside: Mapping[str, Array] = field(default_factory=dict)
    first: FirstPass | None = None
