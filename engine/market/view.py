"""What cards see: the market at one instant, as arrays over windows and symbols.

Axes: W windows (only those asked for; usually all six), S symbols, N bars, H whole windows,
L price levels. Prices are natural logs, flow and depth are USD notional, missing data is NaN.
`mirror` swaps bulls and bears; the mirror test of the cards is built on it.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

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
class Cells:
    """Consecutive stretches of time, oldest first, the last ending at the view's `now`.

    Shape (W, N or H, S) each. Flow and `ofi` are sums over the stretch, book fields are means of
    one sample a second, series are the last value. A stretch that is not covered is NaN; a
    covered one without a trade has zero flow and its open, high, low, close at the last price.
    """

    # log prices of trades; mid = log mid of the last book sample
    open: Array
    high: Array
    low: Array
    close: Array
    mid: Array
    vwap: Array
    # taker notional and trade counts
    buy: Array
    sell: Array
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
    # resting notional within 10, 50, 100 bps of mid, or as far as both sides truly reach
    # (band_*, bps)
    bid_10: Array
    ask_10: Array
    bid_50: Array
    ask_50: Array
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
    # published series, last value: log taker buy/sell ratio
    taker_ratio: Array
    # share of the stretch, 0..1, with a live tape (or candles), and with a synchronised book
    covered: Array
    book_covered: Array


@dataclass(frozen=True, slots=True)
class Footprint:
    """Taker notional by price level over each window, lowest price first; shape (W, L, S).

    Levels are `step` apart in log price (W, S); levels without a trade are 0.
    """

    buy: Array
    sell: Array
    step: Array


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class View:
    """The market as of `now` (ns); everything before it, nothing after it.

    `bars`: the last 120 bars of each window (N axis). `spans`: the last 61 whole windows, the
    current one last (H axis), so z(x) over 60 windows needs no state.
    """

    now: int
    symbols: tuple[str, ...]
    windows: tuple[Window, ...]
    bars: Cells
    spans: Cells
    footprint: Footprint


# Fields that change sign with the sides swapped, and those that trade places; the rest stay.
_NEGATED = ("open", "close", "mid", "vwap", "tilt", "ofi", "taker_ratio")
_PAIRS = (
    ("buy", "sell"),
    ("buys", "sells"),
    ("big_buy", "big_sell"),
    ("bunched_buy", "bunched_sell"),
    ("large_buy", "large_sell"),
    ("small_buy", "small_sell"),
)


def mirror(view: View) -> View:
    """The same market, bulls and bears swapped: log p -> -log p, buys <-> sells, bids <-> asks."""
    return View(
        now=view.now,
        symbols=view.symbols,
        windows=view.windows,
        bars=_mirror_cells(view.bars),
        spans=_mirror_cells(view.spans),
        footprint=Footprint(
            buy=view.footprint.sell[:, ::-1],
            sell=view.footprint.buy[:, ::-1],
            step=view.footprint.step,
        ),
    )


def _mirror_cells(cells: Cells) -> Cells:
    swapped = {"high": -cells.low, "low": -cells.high}
    for left, right in _PAIRS:
        swapped[left], swapped[right] = getattr(cells, right), getattr(cells, left)
    for field in fields(cells):
        name = field.name
        if name in _NEGATED:
            swapped[name] = -getattr(cells, name)
        elif name.startswith("bid_"):
            other = "ask_" + name.removeprefix("bid_")
            swapped[name], swapped[other] = getattr(cells, other), getattr(cells, name)
        elif name not in swapped and not name.startswith("ask_"):
            swapped[name] = getattr(cells, name)
    return Cells(**swapped)
