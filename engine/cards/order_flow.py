"""Order flow: what takers buy and sell, how fast, in what sizes, and what the price makes of it."""

import numpy as np
from numpy.typing import NDArray

from engine.cards.card import card
from engine.cards.measure import (
    bars_inside,
    clip,
    inside,
    mean_volume,
    over,
    rows,
    summed,
    usual,
)
from engine.cards.volume_clock import BUCKETS, bucket_imbalance, rolling_vpin
from engine.market.view import Array, View

CATEGORY = "order_flow"

Flags = NDArray[np.bool_]

# A side of the market counts as at least this share of its usual notional, so that logs and
# ratios of a one-sided window stay finite.
SMALL = 0.01
LEAST_BARS = 30
RECENT_BARS = 60
DOMINANCE = 3.0
TRIVIAL = 0.25
# Below every price and every sum of flow.
NONE = -1e300


@card(CATEGORY, "buy_volume", "Buy Volume", "trades", twin="sell_volume")
def buy_volume(view: View) -> Array:
    """Taker buy notional / its mean over the windows before (60 at most, two at least) - 1.

    The mean is at least 1 % of the usual notional of both sides; without any trade the value is 0.

    Sign: more buying than usual is bullish. Units: multiples of the usual. In the mirror it trades
    places with sell_volume: buy_volume(mirror) = -sell_volume.

    Source: relative volume of taker flow; Karpoff, The Relation Between Price Changes and Trading
    Volume (1987), on volume and price moves of one sign.
    """
    return _surplus(view, view.spans.buy)


@card(CATEGORY, "sell_volume", "Sell Volume", "trades", twin="buy_volume")
def sell_volume(view: View) -> Array:
    """-(taker sell notional / its mean over the windows before (60 at most, two at least) - 1).

    The mean is at least 1 % of the usual notional of both sides; without any trade the value is 0.

    Sign: more selling than usual is bearish. Units: multiples of the usual. In the mirror it
    trades places with buy_volume: sell_volume(mirror) = -buy_volume.

    Source: relative volume of taker flow; Karpoff, The Relation Between Price Changes and Trading
    Volume (1987), on volume and price moves of one sign.
    """
    return -_surplus(view, view.spans.sell)


def _surplus(view: View, side: Array) -> Array:
    floor = SMALL * mean_volume(view)
    base = np.maximum(usual(side), floor)
    return np.where(base == 0, 0.0, over(side[:, -1], base) - 1.0)


@card(CATEGORY, "volume_delta", "Volume Delta", "trades")
def volume_delta(view: View) -> Array:
    """d = taker buy notional - taker sell notional of the window.

    Sign: net buying is bullish. Units: USD.

    Source: Chordia, Roll, Subrahmanyam, Order Imbalance, Liquidity, and Market Returns (2002);
    the taker side is published by the venue, not guessed from the tick.
    """
    return view.spans.buy[:, -1] - view.spans.sell[:, -1]


@card(CATEGORY, "volume_ratio", "Volume Ratio", "trades")
def volume_ratio(view: View) -> Array:
    """log((taker buy + e) / (taker sell + e)), e = 1 % of the mean notional of a window.

    e keeps a window with one side only finite; without any trade the value is 0.

    Sign: more buying than selling is bullish. Units: log ratio.

    Source: Chordia, Roll, Subrahmanyam, Order Imbalance, Liquidity, and Market Returns (2002).
    """
    spans = view.spans
    small = SMALL * mean_volume(view)
    small = np.where(small == 0, 1.0, small)
    out: Array = np.log(spans.buy[:, -1] + small) - np.log(spans.sell[:, -1] + small)
    return out


@card(CATEGORY, "order_flow_imbalance", "Order Flow Imbalance", "book")
def order_flow_imbalance(view: View) -> Array:
    """Sum of best-level queue changes over the window / mean notional of the best sizes.

    A queue change is +bid size added or bid raised, -bid size removed or bid lowered, and the
    opposite for the ask.

    Sign: bids that grow and asks that shrink are bullish. Units: top-of-book depths.

    Source: Cont, Kukanov, Stoikov, The Price Impact of Order Book Events (2014): price
    moves in proportion to the sum over depth.
    """
    return over(view.spans.ofi[:, -1], view.spans.top[:, -1])


@card(CATEGORY, "vpin", "VPIN", "trades", role="context")
def vpin(view: View) -> Array:
    """(VPIN - its median over the last 51 buckets) x sign(d of the last bucket).

    VPIN = mean of |d|/v over the last 50 of the 100 equal-volume buckets of the last 120 bars (30
    known at least), bars split exactly at a bucket's border; no trade at all reads 0.

    Sign: toxic flow is taken to go on, so it has the sign of the newest flow: toxic buying is
    bullish; below its median it reads the other way. Units: share of volume, -1..+1.

    Source: Easley, Lopez de Prado, O'Hara, Flow Toxicity and Liquidity in a High-Frequency World
    (2012): n = 50 buckets; the venue's taker side replaces bulk volume classification.
    """
    bars = view.bars
    parts = bucket_imbalance(bars.buy, bars.sell, 2 * BUCKETS)
    course = rolling_vpin(parts)
    middle = course.shape[-1] // 2
    median = np.partition(course, middle, axis=-1)[..., middle]
    value = (course[..., -1] - median) * np.sign(parts[..., -1])
    flow = bars.buy + bars.sell
    return np.where(summed(flow == flow) >= LEAST_BARS, value, np.nan)


@card(CATEGORY, "toxic_flow_index", "Toxic Flow Index", "trades", "book")
def toxic_flow_index(view: View) -> Array:
    """(VPIN + price impact + adverse selection) / 3 x sign(d of the window), from the last 60 bars.

    VPIN: mean |d|/v of 50 equal-volume buckets. Price impact: slope of bar returns on bar d, both
    standardised. Adverse selection: the same of the mid's move on the d of the bar before it, so
    what a maker loses in the bar after a fill. Both are cut to 0..1 and need 30 moves.

    Sign: flow that informs has the sign of its side: toxic buying is bullish. Units: -1..+1.

    Source: Easley, Lopez de Prado, O'Hara (2012) for VPIN; Kyle, Continuous Auctions and Insider
    Trading (1985) for lambda; Glosten, Milgrom, Bid, Ask and Transaction Prices in a Specialist
    Market with Heterogeneously Informed Traders (1985) for adverse selection.
    """
    bars = view.bars
    buy, sell = bars.buy[:, -RECENT_BARS:], bars.sell[:, -RECENT_BARS:]
    toxic = np.abs(bucket_imbalance(buy, sell, BUCKETS)).mean(axis=-1)
    delta = bars.buy[:, -RECENT_BARS - 1 :] - bars.sell[:, -RECENT_BARS - 1 :]
    price = np.concatenate([bars.close[:, -RECENT_BARS - 1 :], bars.mid[:, -RECENT_BARS - 1 :]])
    follows = _follows(price[:, 1:] - price[:, :-1], np.concatenate([delta[:, 1:], delta[:, :-1]]))
    impact, adverse = follows.reshape(2, *toxic.shape)
    out: Array = (toxic + impact + adverse) / 3 * np.sign(volume_delta(view))
    return out


def _follows(move: Array, flow: Array) -> Array:
    """Standardised slope of move on flow along axis 1, cut to 0..1; 0 where either stands still."""
    known = (move == move) & (flow == flow)
    seen = summed(known)
    count = np.maximum(seen, 1.0)
    x, y = np.where(known, flow, 0.0), np.where(known, move, 0.0)
    mean_x, mean_y, xx, yy, xy = (summed(z) for z in (x, y, x * x, y * y, x * y))
    mean_x, mean_y = mean_x / count, mean_y / count
    var_x, var_y = xx - count * mean_x**2, yy - count * mean_y**2
    cov = xy - count * mean_x * mean_y
    # Below rounding of the sums a series stands still.
    moves = (var_x > 1e-12 * xx) & (var_y > 1e-12 * yy)
    slope = cov / np.sqrt(np.where(moves, var_x, 1.0) * np.where(moves, var_y, 1.0))
    out = np.where(moves, clip(slope, 0.0, 1.0), 0.0)
    return np.where(seen >= LEAST_BARS, out, np.nan)


@card(CATEGORY, "large_trade_clustering", "Large Trade Clustering", "trades")
def large_trade_clustering(view: View) -> Array:
    """(bunched big buys - bunched big sells) / v; 0 without trades.

    Big prints lie above the 99th size percentile; each weighs 1 + big prints of the 5 s before it.

    Sign: clustered big buying is bullish. Units: share of volume, weighted (may exceed 1).

    Source: Barclay, Warner, Stealth Trading and Volatility (1993) on who moves prices; Hawkes,
    Spectra of Some Self-Exciting Point Processes (1971) for why bunched prints weigh more.
    """
    spans = view.spans
    volume = spans.buy[:, -1] + spans.sell[:, -1]
    return over(spans.bunched_buy[:, -1] - spans.bunched_sell[:, -1], volume)


@card(CATEGORY, "cvd", "CVD", "trades")
def cvd(view: View) -> Array:
    """Least-squares slope of cumulative delta (from 0) over the window's n bars x n / v.

    The same as n x sum of w_j d_j / v, w_j = 6 j (n + 1 - j) / (n (n + 1) (n + 2)). Bars that are
    not known are left out; half of the window's are needed.

    Sign: a rising cumulative delta is bullish. Units: share of volume, within -1.5..+1.5; steady
    one-sided buying reads +1.

    Source: cumulative volume delta as charted; the weights are those of ordinary least squares.
    """
    buy, sell = inside(view, view.bars.buy), inside(view, view.bars.sell)
    volume, delta = buy + sell, buy - sell
    known = volume == volume
    place = np.cumsum(known, axis=1)
    count = place[:, -1]
    weight = 6.0 * place * (count[:, None] + 1 - place)
    total = summed(np.where(known, weight * delta, 0.0))
    slope = over(total, (count + 1) * (count + 2) * summed(np.where(known, volume, 0.0)))
    return np.where(2 * count >= bars_inside(view), slope, np.nan)


@card(CATEGORY, "cvd_divergence", "CVD Divergence", "trades", "bars")
def cvd_divergence(view: View) -> Array:
    """Shortfall at a new low - shortfall at a new high, else 0, over the last 60 bars.

    New high: the window's high is above that of the bars before it. Shortfall: how far cumulative
    delta at the bar of the new high is below its own high before the window, over its range in the
    60 bars; lows likewise. Half of the window's bars, and as many before it as it has, must be
    known.

    Sign: against the price extreme that flow does not confirm. Units: shares of range, -1..+1.

    Source: divergence of price and cumulative delta as used by tape readers; Murphy, Technical
    Analysis of the Financial Markets (1999), on divergence of price and volume lines.
    """
    bars, shape = view.bars, view.bars.high[:, 0].shape
    high, low, buy, sell = (
        rows(x[:, -RECENT_BARS:]) for x in (bars.high, bars.low, bars.buy, bars.sell)
    )
    delta = buy - sell
    known = (delta == delta) & (high == high) & (low == low)
    line = np.cumsum(np.where(known, delta, 0.0), axis=1)
    lengths = np.repeat(bars_inside(view), shape[1], axis=0)
    new = np.arange(RECENT_BARS, 0, -1) <= lengths
    now, before = known & new, known & ~new
    top, highest = _unconfirmed(high, line, before, now)
    bottom, lowest = _unconfirmed(-low, -line, before, now)
    value = over(bottom - top, highest + lowest)
    enough = (2 * now.sum(axis=1) >= lengths[:, 0]) & (before.sum(axis=1) >= lengths[:, 0])
    return np.where(enough, value, np.nan).reshape(shape)


def _unconfirmed(price: Array, line: Array, before: Flags, now: Flags) -> tuple[Array, Array]:
    """How far the line stays below its earlier peak where price tops its own, else 0; its peak.

    All by lane, (n, N); the line's peak is that of all bars.
    """
    reached, earlier = np.where(now, price, NONE), np.where(before, line, NONE).max(axis=1)
    lane, bar = np.arange(len(price)), reached.argmax(axis=1)
    new = reached[lane, bar] > np.where(before, price, NONE).max(axis=1)
    short = np.where(new, np.maximum(earlier - line[lane, bar], 0.0), 0.0)
    return short, np.maximum(earlier, np.where(now, line, NONE).max(axis=1))


@card(CATEGORY, "taker_buy_sell_ratio", "Taker Buy/Sell Ratio", "ratio", cadence=300.0)
def taker_buy_sell_ratio(view: View) -> Array:
    """log(published taker buy / sell ratio) - its mean over the windows before, two at least.

    Sign: more taker buying than usual is bullish. Units: log ratio.

    Source: the venue's own five-minute series (Binance USD-M takerlongshortRatio); Chordia, Roll,
    Subrahmanyam, Order Imbalance, Liquidity, and Market Returns (2002).
    """
    return view.spans.taker_ratio[:, -1] - usual(view.spans.taker_ratio)


@card(CATEGORY, "stacked_imbalance", "Stacked Imbalance", "trades")
def stacked_imbalance(view: View) -> Array:
    """Longest run of adjacent price levels with a buy imbalance - longest with a sell imbalance.

    Diagonal rule: buys at a level >= 3 x sells one level below; sells at a level >= 3 x buys one
    level above. The leading side must hold a quarter of the mean traded level; beyond the outer
    levels counts as 0.

    Sign: stacked buying is bullish. Units: price levels.

    Source: footprint charts' stacked imbalances; Dalton, Mind over Markets (1990), for reading
    auctions by price level.
    """
    buy, sell = view.footprint.buy, view.footprint.sell
    level = buy + sell
    whole = summed(level)
    least = TRIVIAL * over(whole, summed(level > 0))[:, None]
    buys, sells = (buy > 0) & (buy >= least), (sell > 0) & (sell >= least)
    buys[:, 1:] &= buy[:, 1:] >= DOMINANCE * sell[:, :-1]
    sells[:, :-1] &= sell[:, :-1] >= DOMINANCE * buy[:, 1:]
    return _longest(buys) - _longest(sells) + 0.0 * whole


def _longest(flags: Flags) -> Array:
    """Length of the longest unbroken run of true along axis 1."""
    place = np.arange(flags.shape[1], dtype=np.int16)[:, None]
    broken = np.maximum.accumulate(np.where(flags, np.int16(-1), place), axis=1)
    out: Array = (place - broken).max(axis=1).astype(np.float64)
    return out


@card(CATEGORY, "trade_size_skew", "Trade Size Skew", "trades")
def trade_size_skew(view: View) -> Array:
    """d/v of the largest quartile by trade size - d/v of the smallest; 0 where either is empty.

    Sign: big traders buying what small ones sell is bullish. Units: -2..+2.

    Source: Barclay, Warner, Stealth Trading and Volatility (1993); Easley, O'Hara, Price, Trade
    Size, and Information in Securities Markets (1987): informed traders trade larger.
    """
    spans = view.spans
    large = spans.large_buy[:, -1] + spans.large_sell[:, -1]
    small = spans.small_buy[:, -1] + spans.small_sell[:, -1]
    big = over(spans.large_buy[:, -1] - spans.large_sell[:, -1], large)
    tiny = over(spans.small_buy[:, -1] - spans.small_sell[:, -1], small)
    return np.where((large == 0) | (small == 0), (big + tiny) * 0.0, big - tiny)
