"""Market structure: swings and breaks of them, ranges, and the levels that price left behind.

Swings are five-bar fractals of the window's bars (`swing_points`), ATR is Wilder's over 14 of them
where it is not that of the window.
"""

from functools import lru_cache

import numpy as np

from engine.cards.averages import WILDER, at_least, candles, wilder_atr
from engine.cards.card import card
from engine.cards.measure import bars_inside, clip, known_sum, net, over, summed, window_atr
from engine.cards.swing_points import (
    Places,
    both_sides,
    extremes_since,
    last_break,
    strongest,
    swings,
)
from engine.market.view import Array, View

CATEGORY = "market_structure"

# A distance this share of an ATR is half of a certain one.
SOFT = 0.1
HALF_LIFE = 20
RANGE = 30
IMPULSE = 3
STRONGEST = 3.0


@card(CATEGORY, "swing_trend", "Swing Trend", "bars")
def swing_trend(view: View) -> Array:
    """Higher highs and higher lows - lower highs and lower lows of the last 120 bars' swings.

    Each swing counts against the one of its kind before as x / (|x| + 0.1 ATR), x the difference,
    so that equal ones count next to nothing; a count halves every 20 bars. Needs 15 bars.

    Sign: higher swings are bullish. Units: swings.

    Source: Dow theory as in Edwards, Magee, Technical Analysis of Stock Trends (1948); fractals:
    Williams, Trading Chaos (1995).
    """
    points, reach = swings(view), wilder_atr(view)
    same = points.lane[1:] == points.lane[:-1]
    lane, bar = points.lane[1:][same], points.bar[1:][same]
    rise = (points.price[1:] - points.price[:-1])[same]
    count = over(rise, np.abs(rise) + SOFT * reach.ravel()[lane % reach.size])
    count *= _fade(view.bars.close.shape[1])[bar]
    highs, lows = np.bincount(lane, count, 2 * reach.size).reshape(2, *reach.shape) + 0.0
    return at_least(WILDER + 1, highs - lows, candles(view).known)


@lru_cache
def _fade(total: int) -> Array:
    """What each of so many bars counts by its age."""
    out: Array = 0.5 ** (np.arange(total)[::-1] / HALF_LIFE)
    return out


@card(CATEGORY, "structure_break", "Structure Break", "bars", scale="fixed")
def structure_break(view: View) -> Array:
    """Side x (close beyond the swing) / ATR x (1 - age / bars of the window), 0 between breaks.

    A break is the first close beyond the last confirmed swing; the trend is the side of the break
    before it, and this card reads breaks that go with it. It counts while the close stays beyond
    the swing and fades out over the window. Needs 15 bars.

    Sign: a break upwards in an upward structure is bullish. Units: ATR of a bar.

    Source: Dow theory as in Edwards, Magee, Technical Analysis of Stock Trends (1948): a trend is
    in force while it makes new extremes; Osler, Support for Resistance (2000).
    """
    return _broken(view, 1.0)


@card(CATEGORY, "character_change", "Character Change", "bars", scale="fixed")
def character_change(view: View) -> Array:
    """Side x (close beyond the swing) / ATR x (1 - age / bars of the window), 0 between breaks.

    As Structure Break, but of breaks against the trend: the first close beyond the last confirmed
    swing on the other side than the break before it. The two never read at the same time.

    Sign: the first break upwards in a downward structure is bullish. Units: ATR of a bar.

    Source: Dow theory as in Edwards, Magee, Technical Analysis of Stock Trends (1948): the failure
    of the last swing is the first sign of a reversal.
    """
    return _broken(view, -1.0)


def _broken(view: View, wanted: float) -> Array:
    """The newest break where its side times that of the one before is the wanted one."""
    bars, found = candles(view), last_break(view)
    beyond = np.maximum(found.side * (bars.close[:, -1] - found.level), 0.0)
    fade = np.maximum(1 - found.age / bars_inside(view), 0.0)
    held = np.where(found.side * found.before == wanted, found.side * beyond * fade, 0.0)
    return at_least(WILDER + 1, over(held, wilder_atr(view)), bars.known)


@card(CATEGORY, "range_position", "Range Position", "bars")
def range_position(view: View) -> Array:
    """(place - 0.5) x clip(t - 1, -1, 1), place = (close - low) / (high - low) of the last 30 bars.

    t = |return| x sqrt(30) / sum of |returns of the bars|: efficiency ratio over that of a random
    walk, 0 in a range, 1 in a random walk. Needs 31 bars; a flat range reads 0.

    Sign: while ranging the lower half is bullish, while trending the upper half. Units: share of
    the range, -0.5..+0.5.

    Source: Kaufman, Trading Systems and Methods (1995), for the efficiency ratio; %K: Lane, Lane's
    Stochastics (1984).
    """
    bars = candles(view)
    recent = bars.close[:, -RANGE - 1 :]
    high, low = bars.high[:, -RANGE:].max(axis=1), bars.low[:, -RANGE:].min(axis=1)
    close = recent[:, -1]
    place = over((close - low) - (high - close), 2 * (high - low))
    travelled = summed(np.abs(recent[:, 1:] - recent[:, :-1]))
    trending = over(np.abs(close - recent[:, 0]) * np.sqrt(RANGE), travelled)
    return at_least(RANGE + 1, place * clip(trending - 1, -1, 1), bars.known)


@card(CATEGORY, "fair_value_gap", "Fair Value Gap", "bars")
def fair_value_gap(view: View) -> Array:
    """Pull of the strongest unfilled three-bar gap below - pull of the strongest above.

    Pull = size, at most one ATR, / (distance + 0.1 ATR). A gap upwards: the low of a bar above the
    high of the second bar before it; what later lows have reached of it is filled. Distance: close
    to the near edge. The strongest and not the nearest, so that a gap of a tick hides no other.
    Bars next to missing ones make no gap. Needs 15 bars.

    Sign: a gap below holds as support, one above as resistance. Units: share of distance,
    -10..+10.

    Source: gaps as support and resistance: Murphy, Technical Analysis of the Financial Markets
    (1999); empty price ranges in the book: Farmer, Gillemot, Lillo, Mike, Sen (2004).
    """
    bars, reach = view.bars, wilder_atr(view)
    low, high, lowest, highest = (x.ravel() for x in (bars.low, bars.high, *extremes_since(view)))
    apart = len(view.symbols)
    below, above = np.zeros((2, *bars.low.shape), dtype=np.bool_)
    below.ravel()[: -2 * apart] = lowest[2 * apart :] > high[: -2 * apart]
    above.ravel()[: -2 * apart] = highest[2 * apart :] < low[: -2 * apart]
    below[:, -2:] = above[:, -2:] = False
    gaps = both_sides(below, above)
    third, up = gaps.at + 2 * apart, gaps.side > 0
    edge = np.where(up, lowest[third], highest[third])
    size = gaps.side * (edge - np.where(up, high[gaps.at], low[gaps.at]))
    distance = gaps.side * (bars.close[:, -1].ravel()[gaps.lane] - edge)
    most = reach.ravel()[gaps.lane]
    pull = over(np.minimum(size, most), distance + SOFT * most)
    whole = low[gaps.at + apart] + low[third]
    value = strongest(np.where(whole == whole, pull, 0.0), gaps, reach)
    return at_least(WILDER + 1, value, candles(view).known)


@card(CATEGORY, "order_block", "Order Block", "bars", "trades")
def order_block(view: View) -> Array:
    """Strongest block below that holds - strongest above: impulse x flow x nearness x hold.

    A block is the last falling bar before a close of one of the next three bars lies over one ATR
    above its high, until price trades below its low; above the same mirrored. Impulse: that rise in
    ATR - 1, at most 3. Flow: d/v of the three bars, 0 where against it. Nearness: 1 / (1 + x^2),
    x = ATR that the close is beyond the block. Hold: (close - low) / (height + 0.1 ATR) within
    0..1, so a reaction from the block counts and a break of it costs nothing. Needs 15 bars.

    Sign: price that returns to where buyers came from is bullish. Units: ATR, at most 3.

    Source: supply and demand zones as charted; Osler, Support for Resistance (2000), on clustered
    orders; Bouchaud, Farmer, Lillo, How Markets Slowly Digest Changes in Supply and Demand (2009),
    on large orders that are worked where they began.
    """
    bars, reach = view.bars, wilder_atr(view)
    lowest, highest = (x.ravel() for x in extremes_since(view))
    apart = len(view.symbols)
    falling, rising = bars.close < bars.open, bars.close > bars.open
    below, above = falling.copy(), rising.copy()
    for last, same in ((below, falling), (above, rising)):
        last[:, :-1] &= ~same[:, 1:]
        last[:, -IMPULSE:] = False
    below.ravel()[:-apart] &= lowest[apart:] >= bars.low.ravel()[:-apart]
    above.ravel()[:-apart] &= highest[apart:] <= bars.high.ravel()[:-apart]
    blocks = both_sides(below, above)
    value = strongest(_strength(view, blocks, reach), blocks, reach)
    return at_least(WILDER + 1, value, candles(view).known) + 0.0 * bars.buy[:, -1]


def _strength(view: View, blocks: Places, reach: Array) -> Array:
    """Impulse x flow x nearness x hold of each block, as seen from its side."""
    bars, (lane, at, side) = view.bars, blocks
    later = at + len(view.symbols) * np.arange(1, IMPULSE + 1)[:, None]
    buy, sell = bars.buy.ravel()[later].sum(axis=0), bars.sell.ravel()[later].sum(axis=0)
    high, low, size = side * bars.high.ravel()[at], side * bars.low.ravel()[at], reach.ravel()[lane]
    lid, floor = np.maximum(high, low), np.minimum(high, low)
    impulse = over((side * bars.close.ravel()[later]).max(axis=0) - lid, size) - 1
    price = side * bars.close[:, -1].ravel()[lane]
    away = over(np.maximum(price - lid, 0), size)
    hold = clip(over(price - floor, lid - floor + SOFT * size), 0, 1)
    flow = np.maximum(side * net(buy, sell), 0)
    out: Array = clip(impulse, 0, STRONGEST) * flow / (1 + away**2) * hold
    return out


@card(CATEGORY, "prior_extremes", "Prior Extremes", "bars")
def prior_extremes(view: View) -> Array:
    """Sum over prior day and week of (accepted - rejected at the high) - the same at the low.

    Accepted above a high: how surely the close is above it x how surely the window's VWAP is.
    Rejected: how surely the window's high was above it x how surely the close is below. Surely:
    distance / (distance + 0.1 ATR), 0 on the other side. Each counts by nearness, ATR / (ATR +
    |close - level|), ATR of the window. Levels that are not known yet are left out.

    Sign: acceptance above or rejection below is bullish. Units: levels, -4..+4.

    Source: Osler, Support for Resistance (2000); Dalton, Mind over Markets (1990), on acceptance
    and rejection of prior extremes.
    """
    calendar, reach = view.calendar, window_atr(view)
    highs = np.stack([calendar.day_high, calendar.week_high])
    lows = np.stack([calendar.day_low, calendar.week_low])
    levels = np.concatenate([highs, -lows])[:, None]
    side = np.repeat([1.0, -1.0], len(highs))[:, None, None]
    high, low, close, vwap = (
        x[:, -1] for x in (view.spans.high, view.spans.low, view.spans.close, view.spans.vwap)
    )
    reached = np.repeat(np.stack([high, -low]), len(highs), axis=0) - levels
    beyond = side * close - levels
    accepted = _surely(beyond, reach) * _surely(side * vwap - levels, reach)
    rejected = _surely(reached, reach) * _surely(-beyond, reach)
    near = over(reach, reach + np.abs(beyond))
    return known_sum(side * (accepted - rejected) * near)


def _surely(distance: Array, reach: Array) -> Array:
    past = np.maximum(distance, 0.0)
    return over(past, past + SOFT * reach)
