"""Liquidations: those that happen, and the estimate of those that a move would set off.

The map is an estimate from open interest under a mixture of leverages, never a fact. Its buckets
hold shorts that a rise would close (above) and longs that a fall would close (below).
"""

import numpy as np

from engine.cards.card import card
from engine.cards.measure import TINY, bars_inside, clip, inside, level, net, over, summed
from engine.cards.unusual import SOFT, atr, liquidation_bursts, newest, swept_bursts
from engine.market.view import Array, View

CATEGORY = "liquidation"

# Seconds between new values of open interest.
OI = 30.0
FAR = 0.05
NEAR = 0.01
BPS = 1e-4
SMALL = 0.01
OUTSIZED = 2.0
CONSUMED = 2.0
BURST = 3.0
# Ranges of the window after which the chance that a cascade is set off has fallen by e.
TRIGGER = 3.0


@card(CATEGORY, "liquidation", "Liquidation", "liq")
def liquidation(view: View) -> Array:
    """(short liquidations - long liquidations) / v; 0 without trades.

    Sign: while it runs forced flow pushes price: shorts that must buy are bullish. Units: share of
    volume; a lower bound where the venue publishes a part.

    Source: Brunnermeier, Pedersen, Market Liquidity and Funding Liquidity (2009): loss spirals of
    forced closing.
    """
    spans = view.spans
    volume = spans.buy[:, -1] + spans.sell[:, -1]
    return over(spans.short_liq[:, -1] - spans.long_liq[:, -1], volume)


@card(CATEGORY, "magnet_gravity", "Magnet Gravity", "oi", "bars", cadence=OI)
def magnet_gravity(view: View) -> Array:
    """Sum of above / x^2 - sum of below / x^2, over the whole estimated map's notional.

    x = (distance of the bucket's middle + 0.1 ATR) / width of a bucket (0.1 %); an empty map
    reads 0.

    Sign: price is drawn to where stops fire: more and nearer notional above is bullish. Units:
    share of the map, weighted, -4..+4.

    Source: Osler, Stop-Loss Orders and Price Cascades in Currency Markets (2005): rates move fast
    through clustered stops; the inverse square is the catalogue's choice of a pull.
    """
    map = view.liquidations
    middle = (np.arange(len(map.above)) + 0.5)[:, None]
    x = middle + SOFT / map.step * atr(view)[:, None]
    pull = np.einsum("wks,ks->ws", 1 / (x * x), map.above - map.below)
    return over(pull, (map.above + map.below).sum(axis=0))


@card(CATEGORY, "cascade_risk", "Cascade Risk", "oi", "liq", "book", cadence=OI)
def cascade_risk(view: View) -> Array:
    """log(1 + above / asks) - log(1 + below / bids), all within one ATR of the price.

    Above, below: estimated liquidations. Asks, bids: resting notional, window means, between the
    known bands by their slope and beyond them at their mean density; a side counts as at least 1 %
    of both sides' mean.

    Sign: more forced buying than asks to meet it is bullish. Units: log ratio.

    Source: Brunnermeier, Pedersen, Market Liquidity and Funding Liquidity (2009); Thurner, Farmer,
    Geanakoplos, Leverage Causes Fat Tails and Clustered Volatility (2012).
    """
    map, reach = view.liquidations, atr(view)
    forced = np.stack([_within(x, reach / map.step) for x in (map.above, map.below)])
    depth = _resting(view, reach)
    depth = np.maximum(depth, SMALL * depth.mean(axis=0))
    up, down = np.log1p(over(forced, depth))
    out: Array = up - down
    return out


def _within(side: Array, reach: Array) -> Array:
    """Notional of the map's side (K, S) within so many buckets (W, S), the last one in part."""
    known = reach == reach
    place = np.minimum(np.where(known, reach, 0.0), len(side))
    whole = np.minimum(place.astype(np.int64), len(side) - 1)
    symbol = np.arange(side.shape[1])
    total, last = np.cumsum(side, axis=0)[whole, symbol], side[whole, symbol]
    return np.where(known, total - last * (whole + 1 - place), np.nan)


def _resting(view: View, reach: Array) -> Array:
    """Resting notional of the asks and the bids within this log distance, (2, W, S)."""
    spans = view.spans
    edges = [BPS * x[:, -1] for x in (spans.band_10, spans.band_50, spans.band_100)]
    depths = np.array([
        [x[:, -1] for x in (spans.ask_10, spans.ask_50, spans.ask_100)],
        [x[:, -1] for x in (spans.bid_10, spans.bid_50, spans.bid_100)],
    ])  # fmt: skip
    inner = np.stack([np.zeros_like(reach), *edges[:-1]])
    share = clip(over(reach - inner, np.stack(edges) - inner), 0, 1)
    steps = depths.copy()
    steps[:, 1:] -= depths[:, :-1]
    farther = over(depths[:, -1], edges[-1][None]) * np.maximum(reach - edges[-1], 0)
    out: Array = (steps * share).sum(axis=1) + farther
    return out


@card(CATEGORY, "liquidation_imbalance", "Liquidation Imbalance",
      "oi", "bars", cadence=OI, level=True)  # fmt: skip
def liquidation_imbalance(view: View) -> Array:
    """(above - below) / (above + below), estimated liquidations within 5 %; 0 with none.

    All windows repeat the one value.

    Sign: more shorts to be closed above than longs below is bullish. Units: -1..+1.

    Source: Osler, Stop-Loss Orders and Price Cascades in Currency Markets (2005), on the pull of
    clustered stops.
    """
    above, below = _far(view)
    return level(view, net(above.sum(axis=0), below.sum(axis=0)))


def _far(view: View) -> tuple[Array, Array]:
    """The map within 5 %, above and below."""
    map = view.liquidations
    buckets = round(FAR / map.step)
    return map.above[:buckets], map.below[:buckets]


@card(CATEGORY, "liquidation_pressure", "Liquidation Pressure", "liq")
def liquidation_pressure(view: View) -> Array:
    """(short - long liquidations of the window's second half - those of its first half) / v.

    Halves are means of their known bars, times the bars in a half; 0 without trades.

    Sign: short liquidations that gather pace, or long ones that fade, are bullish. Units: share of
    volume.

    Source: Brunnermeier, Pedersen, Market Liquidity and Funding Liquidity (2009): a spiral feeds
    itself, so its change of pace comes before its end.
    """
    spans, bars = view.spans, view.bars
    late, early = newest(view, bars.short_liq - bars.long_liq, 2)
    change = (late - early) * bars_inside(view) / 2
    return over(change, spans.buy[:, -1] + spans.sell[:, -1])


@card(CATEGORY, "liquidation_density", "Liquidation Density",
      "oi", "bars", cadence=OI, level=True)  # fmt: skip
def liquidation_density(view: View) -> Array:
    """(Mean density within 1 % above - that below) / mean density of the whole estimated map.

    An empty map reads 0. All windows repeat the one value.

    Sign: denser liquidations just above are bullish. Units: multiples of the map's density.

    Source: Osler, Stop-Loss Orders and Price Cascades in Currency Markets (2005), on the pull of
    clustered stops.
    """
    map = view.liquidations
    near = round(NEAR / map.step)
    ahead = (map.above[:near] - map.below[:near]).mean(axis=0)
    return level(view, over(ahead, (map.above + map.below).mean(axis=0) / 2))


@card(CATEGORY, "liquidation_sweep", "Liquidation Sweep", "liq", "bars", scale="fixed", unit=0.5)
def liquidation_sweep(view: View) -> Array:
    """Price back above swept longs x c - price back below swept shorts x c, 0 with neither.

    Swept: estimated clusters that price traded through. Back: the close beyond the middle of the
    bars that swept, weighted by notional, in ATR. c grows from 0 to 1 as the notional swept tops
    its usual by two to three sigma.

    Sign: that of the reversal: back above longs that were swept is bullish. Units: ATR of the
    window.

    Source: Osler, Stop-Loss Orders and Price Cascades in Currency Markets (2005): stops that fire
    feed a move, and nothing is left to feed it when they are gone.
    """
    bars = view.bars
    longs, shorts = swept_bursts(view)
    known = inside(view, bars.high)
    bar = slice(-known.shape[1], None)
    ahead = bars.close[:, -1:] - (known + bars.low[:, bar]) / 2
    up = np.maximum(_weighted(bars.long_swept[:, bar], ahead), 0)
    down = np.maximum(-_weighted(bars.short_swept[:, bar], ahead), 0)
    back = clip(longs - CONSUMED, 0, 1) * up - clip(shorts - CONSUMED, 0, 1) * down
    return over(back, atr(view))


def _weighted(weight: Array, x: Array) -> Array:
    """Mean of x (W, N, S) by weight over what is known, (W, S); 0 without any weight."""
    product = weight * x
    known = product == product
    top, bottom = (summed(np.where(known, y, 0.0)) for y in (product, weight))
    return np.where(summed(known) > 0, over(top, bottom), np.nan)


@card(CATEGORY, "liquidation_flush", "Liquidation Flush", "liq", scale="fixed", unit=2.0)
def liquidation_flush(view: View) -> Array:
    """max(0, burst of long liquidations - 3) x ended - the same of shorts, 0 with no burst.

    Burst: the window's liquidations of a side above their mean in the windows before, in standard
    deviations (at least 1 % of the usual volume). Ended: 1 - pace of the newest quarter over that
    of the three before, 0 where it is not slower.

    Sign: against the burst once it is over: longs flushed out are bullish. Units: standard
    deviations beyond three.

    Source: Coval, Stafford, Asset Fire Sales (and Purchases) in Equity Markets (2007): prices come
    back once forced selling ends.
    """
    longs, shorts = liquidation_bursts(view)
    bars = view.bars
    bought = np.maximum(longs - BURST, 0) * _ended(view, bars.long_liq)
    sold = np.maximum(shorts - BURST, 0) * _ended(view, bars.short_liq)
    return bought - sold


def _ended(view: View, side: Array) -> Array:
    """1 - pace of the newest quarter of the window over that of the rest, 0..1, (W, S)."""
    late, early = newest(view, side, 4)
    return 1 - over(late, np.maximum(early, late))


@card(CATEGORY, "cluster_distance", "Cluster Distance", "oi", "bars", cadence=OI)
def cluster_distance(view: View) -> Array:
    """(Distance to the nearest cluster below - distance to the nearest above) / ATR.

    A bucket of the estimated map is a cluster with probability y / (1 + y), y = (notional / twice
    the map's mean bucket)^4; the distance is the one expected on the way out, so it does not jump
    when a bucket passes the mark. A side without clusters ends where the map does (10 %).

    Sign: the nearer cluster draws price: nearer above is bullish. Units: ATR of the window.

    Source: Osler, Stop-Loss Orders and Price Cascades in Currency Markets (2005), on the pull of
    clustered stops.
    """
    map = view.liquidations
    outsized = OUTSIZED * (map.above + map.below).mean(axis=0) / 2
    above, below = (_first_cluster(x, outsized) for x in (map.above, map.below))
    return over((below - above) * map.step, atr(view))


def _first_cluster(side: Array, outsized: Array) -> Array:
    """Expected number of buckets before the first cluster, (S,)."""
    size = over(side, outsized) ** 2
    none = 1 / (1 + size * size)
    out: Array = np.cumprod(none, axis=0).sum(axis=0)
    return out


@card(CATEGORY, "cascade_asymmetry", "Cascade Asymmetry", "oi", "book", cadence=OI)
def cascade_asymmetry(view: View) -> Array:
    """log((cascade up + e) / (cascade down + e)), e = 1 % of their mean.

    Cascade: estimated liquidations within 5 %, each bucket by exp(-distance of its middle / three
    ATR), for something has to set it off, and by F / (F + D), the share of forced flow in what
    trades on the way there: F = liquidations up to the bucket, D = resting notional up to its
    middle at the mean density of the window's 100 bps band. No cascade either way reads 0.

    Sign: the larger cascade upwards is bullish. Units: log ratio.

    Source: Brunnermeier, Pedersen, Market Liquidity and Funding Liquidity (2009); Cont, Wagalath,
    Running for the Exit: Distressed Selling and Endogenous Correlation in Financial Markets (2013).
    """
    spans, (above, below) = view.spans, _far(view)
    width = BPS * spans.band_100[:, -1] / view.liquidations.step
    reach = np.maximum(TRIGGER * atr(view) / view.liquidations.step, TINY)
    up = _cascade(above, over(spans.ask_100[:, -1], width), reach)
    down = _cascade(below, over(spans.bid_100[:, -1], width), reach)
    small = SMALL * (up + down) / 2
    small = np.where(small == 0, 1.0, small)
    out: Array = np.log(up + small) - np.log(down + small)
    return out


def _cascade(side: Array, density: Array, reach: Array) -> Array:
    """Notional (K, S) by its share of forced flow and its chance to be reached, (W, S).

    `density`: resting notional a bucket, `reach` in buckets, (W, S) each.
    """
    forced, middle = np.cumsum(side, axis=0), (np.arange(len(side)) + 0.5)[:, None]
    share = np.exp(-middle / reach[:, None]) / np.maximum(forced + density[:, None] * middle, TINY)
    out: Array = np.einsum("ks,wks->ws", side * forced, share)
    return out
