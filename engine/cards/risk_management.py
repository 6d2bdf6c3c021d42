"""Risk management: which side the danger is on."""

import numpy as np

from engine.cards.averages import at_least, candles
from engine.cards.basket import breadth
from engine.cards.card import card
from engine.cards.elsewhere import everywhere
from engine.cards.measure import clip, known_mean, over, rows, summed, usual, window_atr
from engine.cards.path import squares, steps
from engine.cards.peers import returns
from engine.market.view import Array, View

CATEGORY = "risk_management"

TREND_PRIOR = 0.25
LEAST = 60
TAIL = 10
# Windows ahead in which a stop of so many ATR may be hit; windows that speak for volatility now.
AHEAD, STOP, RECENT = 4, 1.5, 10
# Bar returns beyond so many local standard deviations are jumps.
JUMP = 3.0
# The order whose cost is asked: this share of the usual depth of a side within 50 bps.
ORDER = 0.5
# What the shown book cannot fill is taken to cost so many times its reach.
BEYOND = 2.0


@card(CATEGORY, "tail_risk", "Tail Risk", "bars", role="context")
def tail_risk(view: View) -> Array:
    """Hill estimator of the right tail of bar returns - that of the left, 10 returns each.

    Hill: mean log of the 10 largest over the 11th, the inverse of the tail's exponent. A tail
    without 11 returns has none to compare: 0. 60 bars at least.

    Sign: its own, not the trend's: a fat left tail is bearish, a fat right one bullish. Units:
    inverse tail exponents.

    Source: Hill, A Simple General Approach to Inference About the Tail of a Distribution (1975);
    Kelly, Jiang, Tail Risk and Asset Prices (2014).
    """
    step, known = steps(view), candles(view).known
    rising = np.sort(rows(step), axis=1)
    right = _hill(rising[:, -TAIL:], rising[:, -TAIL - 1])
    left = _hill(-rising[:, :TAIL], -rising[:, TAIL])
    heavier = np.where((right > 0) & (left > 0), right - left, 0.0)
    return at_least(LEAST, heavier.reshape(known.shape), known)


def _hill(largest: Array, threshold: Array) -> Array:
    """Mean of log(x / threshold) over axis 1; 0 where the threshold is no positive return."""
    there = threshold > 0
    base = np.where(there, threshold, 1.0)
    ratio = np.where(there[:, None], largest, 1.0) / base[:, None]
    out: Array = np.log(ratio).mean(axis=1)
    return out


@card(CATEGORY, "max_drawdown_prob", "Max Drawdown Probability", "bars", "oi", role="context",
      cadence=30.0)  # fmt: skip
def max_drawdown_prob(view: View) -> Array:
    """P(run-up past the stop) - P(drawdown past it) within the next 4 windows.

    Brownian motion with drift m and volatility s a window; the stop is 1.5 window ATR away. m:
    mean of the last 60 window returns, shrunk by t^2/(1 + t^2). s^2: mean square of the last 10
    returns, times open interest over its mean (within 1/4 to 4), for leverage makes moves larger.
    Ten windows at least.

    Sign: its own: likelier drawdowns are bearish. Units: probability, -1..+1.

    Source: Harrison, Brownian Motion and Stochastic Flow Systems (1985), for the law of the
    maximum; Magdon-Ismail, Atiya, Maximum Drawdown (2004); Black (1976), on leverage.
    """
    move, interest = returns(view), view.spans.oi
    known = move == move
    filled, there = np.where(known, move, 0.0), known.astype(np.float64)
    count = summed(there)
    number = np.where(count >= RECENT, count, np.nan)
    drift = summed(filled) / number
    t2 = over(drift, np.sqrt(squares(filled) / number)) ** 2 * count
    drift *= t2 / (1 + t2)
    leverage = np.sqrt(clip(over(interest[:, -1], usual(interest)), 0.25, 4.0))
    lately = summed(there[:, -RECENT:])
    variance = squares(filled[:, -RECENT:]) / np.where(lately >= 2, lately, np.nan)
    now = np.sqrt(variance) * leverage
    stop = over(STOP * window_atr(view), now * np.sqrt(AHEAD))
    ahead = over(drift * np.sqrt(AHEAD), now)
    up, down = _reached(stop, np.stack([ahead, -ahead]))
    out: Array = up - down
    return out


def _reached(stop: Array, drift: Array) -> Array:
    """Chance that a Brownian motion with this drift has been `stop` above 0 by time 1."""
    factor = np.exp(clip(2 * drift * stop, -50, 50))
    straight, turned = _normal(np.stack([drift - stop, -drift - stop]))
    out: Array = clip(straight + factor * turned, 0.0, 1.0)
    return out


def _normal(x: Array) -> Array:
    """Normal distribution function to 1e-7 (Abramowitz, Stegun 1964, 26.2.17)."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    terms = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)
    total = np.zeros_like(t)
    for term in reversed(terms):
        total = (total + term) * t
    tail = np.exp(-np.minimum(x * x, 1400.0) / 2) / np.sqrt(2 * np.pi) * total
    out: Array = np.where(x < 0, tail, 1 - tail)
    return np.where(x == x, out, np.nan)


@card(CATEGORY, "liquidity_risk", "Liquidity Risk", "book")
def liquidity_risk(view: View) -> Array:
    """Slippage of buying the reference size at market - that of selling it, mean bps from the mid.

    Reference size: half the usual depth of a side within 50 bps (mean of the windows before, two
    at least). Depth is spread evenly between the bands of 10, 50 and 100 bps, or as far as both
    sides truly reach; what they cannot fill counts at twice that reach.

    Sign: dear buying, thin asks, is bullish; dear selling bearish. Units: bps.

    Source: Irvine, Benston, Kandel, Liquidity Beyond the Inside Spread (2000), cost of round trip;
    Gomber, Schweickert, Theissen, Liquidity Dynamics in an Electronic Open Limit Order Book (2015).
    """
    spans = view.spans
    size = ORDER * usual(spans.bid_50 + spans.ask_50) / 2
    reach = np.array([x[:, -1] for x in (spans.band_10, spans.band_50, spans.band_100)])
    asks, bids = (
        (spans.ask_10, spans.ask_50, spans.ask_100),
        (spans.bid_10, spans.bid_50, spans.bid_100),
    )
    depth = np.array([[ask[:, -1], bid[:, -1]] for ask, bid in zip(asks, bids, strict=True)])
    buying, selling = _slippage(size, reach[:, None], depth)
    out: Array = buying - selling
    return out


def _slippage(size: Array, reach: Array, depth: Array) -> Array:
    """Mean distance at which `size` fills on depth (3, ...) cumulated to `reach` (3, ...)."""
    inner = np.concatenate([np.zeros_like(reach[:1]), reach[:-1]])
    below = np.concatenate([np.zeros_like(depth[:1]), depth[:-1]])
    there = np.maximum(depth - below, 0.0)
    filled = clip(size - below, 0.0, there)
    paid = (filled * (inner + (reach - inner) * over(filled, there) / 2)).sum(axis=0)
    missing = np.maximum(size - depth[-1], 0.0)
    return over(paid + missing * BEYOND * reach[-1], size)


@card(CATEGORY, "gap_risk", "Gap Risk", "bars", role="context")
def gap_risk(view: View) -> Array:
    """(sum over up-jumps of r^2 - 9 s^2, less the same over down-jumps) / sum of r^2.

    Jump: a bar return r beyond 3 s, s^2 = pi/2 x mean |r| |r of the bar before|, the bipower
    variation, which jumps leave alone. 60 bars at least.

    Sign: its own: down-jumps that dominate are bearish. Units: share of variance, -1..+1.

    Source: Barndorff-Nielsen, Shephard, Power and Bipower Variation with Stochastic Volatility and
    Jumps (2004); Patton, Sheppard, Good Volatility, Bad Volatility: Signed Jumps (2015).
    """
    step, known = steps(view), candles(view).known
    size = np.abs(step)
    pairs = summed(size[:, 1:] * size[:, :-1]) / np.maximum(known - 2, 1)
    beyond = np.maximum(size * size - (JUMP**2 * np.pi / 2 * pairs)[:, None], 0.0)
    jumps = summed(beyond * np.sign(step))
    return at_least(LEAST, over(jumps, squares(step)), known)


@card(CATEGORY, "correlation_risk", "Correlation Risk", "bars", scope="market", role="context",
      prior=TREND_PRIOR, peers=True)  # fmt: skip
def correlation_risk(view: View) -> Array:
    """(Mean pair correlation of the last 10 windows - of the 50 before) x breadth.

    Returns over each symbol's rms; the mean over pairs of their product, over the mean square, both
    summed over the windows. Breadth: liquidity-weighted mean side of the symbols. Every symbol has
    the same value; two symbols, four recent windows and twenty before at least.

    Sign: with the market's side: symbols that move together more than usual move on one cause,
    which is bearish in a fall. Units: correlation, -2..+2.

    Source: Pollet, Wilson, Average Correlation and Stock Market Returns (2010); Longin, Solnik,
    Extreme Correlation of International Equity Markets (2001): correlation rises in falls.
    """
    move = returns(view)
    size = np.sqrt(known_mean(move * move, least=RECENT))[:, None]
    unit = over(move, size)
    known = unit == unit
    filled = np.where(known, unit, 0.0)
    energy, count = np.einsum("wns,wns->wn", filled, filled), known.sum(axis=2)
    pairs = np.maximum(count * (count - 1), 1)
    product = (filled.sum(axis=2) ** 2 - energy) / pairs
    square = energy / np.maximum(count, 1)
    there = count >= 2
    recent = _pooled(product[:, -RECENT:], square[:, -RECENT:], there[:, -RECENT:], 4)
    before = _pooled(product[:, :-RECENT], square[:, :-RECENT], there[:, :-RECENT], 20)
    return everywhere(view, (recent - before)[:, None] * breadth(view))


def _pooled(product: Array, square: Array, there: Array, least: int) -> Array:
    """Sum of products over sum of squares where both are there, (W,); NaN for too few."""
    total = np.where(there, product, 0.0).sum(axis=1)
    ratio = over(total, np.where(there, square, 0.0).sum(axis=1))
    return np.where(there.sum(axis=1) >= least, clip(ratio, -1.0, 1.0), np.nan)
