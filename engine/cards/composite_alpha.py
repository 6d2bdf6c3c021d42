"""Composite alpha: crowd, flow, price and open interest read together."""

import numpy as np

from engine.cards.averages import window_return
from engine.cards.card import card
from engine.cards.first_pass import by_window, category_mean, nothing
from engine.cards.measure import (
    TINY,
    bars_inside,
    clip,
    inside,
    known_mean,
    net,
    over,
    standing,
    summed,
    volume,
)
from engine.cards.positioning import crowd_score, growth_score, growth_size, premium_score
from engine.cards.unusual import (
    SOFT,
    atr,
    beyond,
    flow,
    funding_score,
    liquidation_bursts,
    move,
    newest,
    oi_percentile,
    past_range,
    swept_bursts,
)
from engine.market.view import Array, View

CATEGORY = "composite_alpha"

# Seconds between new values of open interest, and of the long/short ratios.
OI = 30.0
RATIOS = 300.0
LEAST = 8
POCKET = 2.0
DEAD_BAND = 0.05
CONSENSUS = ("order_flow", "smart_money", "derivatives")


@card(CATEGORY, "liquidity_authenticity", "Liquidity Authenticity", "book", "trades")
def liquidity_authenticity(view: View) -> Array:
    """Authentic bid share - authentic ask share, within 50 bps of mid.

    Share = (traded + standing) / (traded + standing + cancelled): of the depth shown in the
    window, what was hit or still rests, against what left untraded. Nothing shown reads 0.

    Sign: bids that mean it, over asks that flicker, are bullish. Units: -1..+1.

    Source: Hasbrouck, Saar, Technology and Liquidity Provision: The Blurring of Traditional
    Definitions (2009), on fleeting orders; Cartea, Jaimungal, Wang, Spoofing and Price
    Manipulation in Order-Driven Markets (2020).
    """
    spans = view.spans
    bid = _stayed(spans.bid_taken[:, -1], spans.bid_50[:, -1], spans.bid_cancelled[:, -1])
    ask = _stayed(spans.ask_taken[:, -1], spans.ask_50[:, -1], spans.ask_cancelled[:, -1])
    return bid - ask


def _stayed(traded: Array, standing: Array, cancelled: Array) -> Array:
    kept = traded + standing
    return over(kept, kept + cancelled)


@card(CATEGORY, "trend_exhaustion", "Trend Exhaustion", "bars", "trades")
def trend_exhaustion(view: View) -> Array:
    """-trend x (1 - support), trend = window return / window ATR, support = (a + b + c) / 3.

    a = volume of the window's second half over the mean of both halves; b = z of d along the
    trend; c = twice the share of the return made in the second half. Each is cut to 0..1 and is 1
    while the trend is carried as well as an even one, so a sound trend reads next to nothing.

    Sign: a rise that loses volume, flow and speed is bearish. Units: ATR of the window.

    Source: Murphy, Technical Analysis of the Financial Markets (1999): volume and momentum confirm
    a trend or warn of its end; Gettleman, Marks, Acceleration Strategies (2006).
    """
    whole = window_return(view)
    trend = over(whole, atr(view))
    late, early = newest(view, view.bars.buy + view.bars.sell, 2)
    lane = np.arange(len(view.windows))
    half = np.array([w.span // w.bar // 2 for w in view.windows])
    recent = view.bars.close[:, -1] - view.bars.close[lane, -1 - half]
    support = (
        clip(over(2 * late, early + late), 0, 1)
        + clip(np.sign(trend) * flow(view), 0, 1)
        + clip(over(2 * recent, whole), 0, 1)
    )
    out: Array = -trend * (1 - support / 3)
    return out


@card(CATEGORY, "squeeze_setup", "Squeeze Setup",
      "funding", "ratio", "oi", "liq", "bars", cadence=RATIOS)  # fmt: skip
def squeeze_setup(view: View) -> Array:
    """Short-squeeze potential - long-squeeze potential.

    Potential = crowding of that side x OI percentile x nearness of its estimated liquidations.
    Crowding: mean of funding and log long/short of all accounts, each as standard deviations from
    its mean over the windows before, where it leans to that side. Percentile: against the 60
    windows before, ten at least. Nearness: mean of ATR / (distance + ATR) by notional, 0 with none.

    Sign: crowded shorts with their liquidations near above are bullish. Units: standard deviations.

    Source: Brunnermeier, Pedersen, Predatory Trading (2005), on traders who must close; Osler,
    Stop-Loss Orders and Price Cascades in Currency Markets (2005).
    """
    crowd = (funding_score(view) + crowd_score(view)) / 2
    above, below = _nearness(view)
    squeeze = np.maximum(-crowd, 0) * above - np.maximum(crowd, 0) * below
    return squeeze * oi_percentile(view)


def _nearness(view: View) -> tuple[Array, Array]:
    """How near the estimated liquidations of each side are, 0..1, (W, S)."""
    map = view.liquidations
    reach = atr(view)[:, None]
    distance = ((np.arange(len(map.above)) + 0.5) * map.step)[:, None]
    near = reach / (distance + reach)
    above, below = (np.einsum("wks,ks->ws", near, x) for x in (map.above, map.below))
    return over(above, map.above.sum(axis=0)), over(below, map.below.sum(axis=0))


@card(CATEGORY, "squeeze_exhaustion", "Squeeze Exhaustion",
      "oi", "liq", "bars", scale="fixed", cadence=OI)  # fmt: skip
def squeeze_exhaustion(view: View) -> Array:
    """max(long squeeze - 1, 0) - max(short squeeze - 1, 0).

    Squeeze = the least of three in standard deviations: the burst of that side's liquidations,
    the fall of open interest, the move of price against that side. Below one sigma in any of them
    there is no squeeze and it reads 0.

    Sign: against the squeeze, for the forced orders behind it are spent: shorts squeezed out in a
    rise are bearish. Units: standard deviations beyond one.

    Source: Coval, Stafford, Asset Fire Sales (and Purchases) in Equity Markets (2007): prices come
    back once forced trading ends.
    """
    longs, shorts = liquidation_bursts(view)
    closed, stretch = -growth_score(view), move(view)
    down = np.minimum(np.minimum(longs, closed), -stretch)
    up = np.minimum(np.minimum(shorts, closed), stretch)
    out: Array = np.maximum(down - 1, 0) - np.maximum(up - 1, 0)
    return out


@card(CATEGORY, "sweep_and_reverse", "Sweep and Reverse", "bars", "liq", scale="fixed", unit=0.5)
def sweep_and_reverse(view: View) -> Array:
    """Lower wick / ATR x low swept - upper wick / ATR x high swept, 0 with neither.

    Swept: the more certain of two. Swing: price passed the extreme of the 20 windows before and
    came back, each as distance / (distance + 0.1 ATR). Pocket: the estimated liquidations that
    price traded through top their usual by two to three sigma, and more than half of the window's
    range was taken back.

    Sign: a low swept and left again is bullish, a high bearish. Units: ATR of the window.

    Source: Raschke, Connors, Street Smarts (1995), Turtle Soup: false breaks of 20-bar extremes;
    Osler, Stop-Loss Orders and Price Cascades in Currency Markets (2005).
    """
    spans = view.spans
    opened, high, low, close = (x[:, -1] for x in (spans.open, spans.high, spans.low, spans.close))
    above, below_top, below, above_bottom = beyond(past_range(view))
    longs, shorts = swept_bursts(view)
    taken_back = over(2 * close - high - low, high - low)
    low_pocket = clip(longs - POCKET, 0, 1) * np.maximum(taken_back, 0)
    high_pocket = clip(shorts - POCKET, 0, 1) * np.maximum(-taken_back, 0)
    lower = (np.minimum(opened, close) - low) * np.maximum(below * above_bottom, low_pocket)
    upper = (high - np.maximum(opened, close)) * np.maximum(above * below_top, high_pocket)
    return over(lower - upper, atr(view))


@card(CATEGORY, "flow_price_divergence", "Flow-Price Divergence", "trades", "bars")
def flow_price_divergence(view: View) -> Array:
    """-sign(return) x max(0, |z of the return| - z of d along it, where that is positive).

    Sign: against a move that its flow does not carry: a rise without net buying is bearish. Units:
    standard deviations.

    Source: Chordia, Roll, Subrahmanyam, Order Imbalance, Liquidity, and Market Returns (2002):
    moves go with order imbalance; those without it tend to be taken back.
    """
    price = move(view)
    side = np.sign(price)
    carried = np.maximum(side * flow(view), 0)
    out: Array = -side * np.maximum(np.abs(price) - carried, 0)
    return out


@card(CATEGORY, "absorption", "Absorption", "trades", "bars")
def absorption(view: View) -> Array:
    """-d/v x clip((expected - made) / (expected + 0.1 sigma), 0, 1).

    Made: the window's return along d. Expected: |d| x the slope of returns on d through the origin
    over the 60 windows before (eight at least), 0 where it is negative. Sigma: root mean square of
    those returns; it keeps a market whose flow never moves price from dividing by nothing.

    Sign: heavy selling that does not move price is bullish. Units: share of volume, -1..+1.

    Source: Kyle, Continuous Auctions and Insider Trading (1985) for price impact as a slope;
    Bouchaud, Farmer, Lillo, How Markets Slowly Digest Changes in Supply and Demand (2009), on
    hidden liquidity that meets the flow.
    """
    spans = view.spans
    delta, moves = spans.buy - spans.sell, spans.close - spans.open
    known = (delta == delta) & (moves == moves)
    known[:, -1] = False
    x, y = np.where(known, delta, 0.0), np.where(known, moves, 0.0)
    count = summed(known)
    slope = over(summed(x * y), summed(x * x))
    sigma = np.sqrt(summed(y * y) / np.maximum(count, 1.0))
    now = delta[:, -1]
    expected = np.maximum(slope, 0) * np.abs(now)
    made = np.sign(now) * moves[:, -1]
    held = clip(over(expected - made, expected + SOFT * sigma), 0, 1)
    share = net(spans.buy[:, -1], spans.sell[:, -1])
    return np.where(count >= LEAST, -share * held, np.nan)


@card(CATEGORY, "breakout_quality", "Breakout Quality",
      "bars", "oi", "trades", scale="fixed", cadence=OI)  # fmt: skip
def breakout_quality(view: View) -> Array:
    """Direction of the break x max(0, mean of volume surge, OI growth and flow along it).

    Direction: the close beyond the range of the 20 windows before, as distance / (distance + 0.1
    ATR), 0 inside it. The three are in standard deviations: volume from its mean, growth of open
    interest and d from 0.

    Sign: an upward break with volume, new positions and buying is bullish. Units: standard
    deviations.

    Source: Blume, Easley, O'Hara, Market Statistics and Technical Analysis: The Role of Volume
    (1994); Bessembinder, Seguin, Price Volatility, Trading Volume, and Market Depth (1993), on
    open interest; the range is Donchian's.
    """
    _, below_top, _, above_bottom = past_range(view)
    side = beyond(-below_top) - beyond(-above_bottom)
    surge = standing(volume(view))
    carried = np.sign(side) * flow(view)
    out: Array = side * np.maximum((surge + growth_score(view) + carried) / 3, 0)
    return out


@card(CATEGORY, "trap_detector", "Trap Detector", "bars", "oi", scale="fixed", cadence=OI)
def trap_detector(view: View) -> Array:
    """Shorts trapped below the range - longs trapped above it, where the break has failed.

    Trapped: open interest added in the window's bars, each by the share of its range beyond the
    extreme of the 20 windows before, over the root mean square of a window's change. Failed: price
    went beyond and closed back inside, each as distance / (distance + 0.1 ATR). Half of the
    window's bars must be known.

    Sign: against the break, for those who joined it must get out: a failed break upwards is
    bearish. Units: standard deviations of the change of open interest.

    Source: Raschke, Connors, Street Smarts (1995), Turtle Soup; Bessembinder, Seguin, Price
    Volatility, Trading Volume, and Market Depth (1993), on open interest.
    """
    bars, end, size = view.bars, view.spans.close[:, -1:], atr(view)[:, None]
    past, lengths = past_range(view), bars_inside(view)
    above, below_top, below, above_bottom = beyond(past)
    bar = slice(-int(lengths.max()), None)
    before = slice(bar.start - 1, -1)
    added = inside(view, np.maximum(2 * net(bars.oi[:, bar], bars.oi[:, before]), 0))
    high, low = bars.high[:, bar] - end, bars.low[:, bar] - end
    top, bottom = past[1][:, None] * size, -past[3][:, None] * size
    shorts = (below * above_bottom)[:, None] * _share_above(-low, -high, -bottom)
    longs = (above * below_top)[:, None] * _share_above(high, low, top)
    trapped = added * (shorts - longs)
    enough = 2 * summed(trapped == trapped) >= lengths
    return np.where(enough, over(known_mean(trapped) * lengths, growth_size(view)), np.nan)


def _share_above(high: Array, low: Array, level: Array) -> Array:
    """Share of each bar's range above a level; a bar without a range is above it or not."""
    out: Array = clip((high - level) / np.maximum(high - low, TINY), 0, 1)
    return out


@card(CATEGORY, "positioning_crowding", "Positioning Crowding",
      "funding", "ratio", "oi", "mark", cadence=RATIOS)  # fmt: skip
def positioning_crowding(view: View) -> Array:
    """-(crowd beyond 1 sigma) x OI percentile, crowd = mean of funding, long/short and basis.

    Each of the three (funding, log long/short of all accounts, log mark / index) as standard
    deviations from its mean over the up to 60 windows before. Percentile: against the same
    windows, ten known at least. Within one sigma it reads 0.

    Sign: contrarian: crowded longs are bearish. Units: standard deviations beyond one.

    Source: Schmeling, Schrimpf, Todorov, Crypto Carry (2023): high carry, from trend-chasing
    leverage, foretells crashes and liquidations.
    """
    crowd = (funding_score(view) + crowd_score(view) + premium_score(view)) / 3
    excess = np.sign(crowd) * np.maximum(np.abs(crowd) - 1, 0)
    out: Array = -excess * oi_percentile(view)
    return out


@card(CATEGORY, "flow_consensus", "Flow Consensus", "cards")
def flow_consensus(view: View) -> Array:
    """Mean score of Order Flow, Smart Money and Derivatives where they agree in sign, else 0.

    A category's score is the mean of its cards' in that window by |weight|, inverted cards with
    their sign turned. One that is not available counts 0 in the mean; two must be there. A category
    within the dead band (0.05) shrinks the consensus in proportion, so that it does not jump.

    Sign: three kinds of flow that are bullish together are bullish. Units: -1..+1.

    Source: Timmermann, Forecast Combinations (2006): the mean of forecasts from different
    information.
    """
    if view.first is None:
        return nothing(view)
    scores = np.array([category_mean(view, category) for category in CONSENSUS])
    known = scores == scores
    mean = np.where(known, scores, 0.0).sum(axis=0) / len(CONSENSUS)
    weakest = np.where(known, np.sign(mean) * scores, np.inf).min(axis=0)
    agreed = mean * clip(weakest / DEAD_BAND, 0, 1)
    return by_window(view, np.where(known.sum(axis=0) >= 2, agreed, np.nan))
