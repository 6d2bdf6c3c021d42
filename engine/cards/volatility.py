"""Volatility: how much price moves, read with the trend it moves in.

All but range_expansion are context: the trend's side is tanh(window return / window ATR), smooth
so that a move of next to nothing does not flip them. sigma is the rolling Yang-Zhang volatility of
`averages.yang_zhang` over n = max(span / bar, 14) bars.
"""

import numpy as np

from engine.cards.averages import (
    WILDER,
    Count,
    Volatility,
    at_least,
    candles,
    latest,
    true_range,
    weighted,
    wilder_atr,
    wilder_norm,
    yang_zhang,
)
from engine.cards.card import card
from engine.cards.measure import clip, direction, over, summed
from engine.market.view import Array, View

CATEGORY = "volatility"

# The trend must not vote once more with every measure that is signed with it.
PRIOR = 0.25
COMPRESSION = 0.75
TIE = 1e-9
ROUNDING = 1e-12


@card(CATEGORY, "realized_vol", "Realized Volatility", "bars", role="context", prior=PRIOR)
def realized_vol(view: View) -> Array:
    """sigma / its mean at all earlier bars of the view x tanh(window return / window ATR).

    sigma: Yang-Zhang over n = max(span / bar, 14) bars; annualising it cancels out against its
    norm. Needs 2 n + 1 bars.

    Sign: that of the trend, as loud as the market is beside its norm; whether volatility is
    unusual is the question of vol_zscore. Units: the norm.

    Source: Yang, Zhang, Drift Independent Volatility Estimation Based on High, Low, Open and Close
    Prices (2000).
    """
    vol = yang_zhang(view)
    norm = summed(vol.sigma[:, :-1]) / np.maximum(vol.known - 1, 1)
    return at_least(vol.length + 1, over(vol.sigma[:, -1], norm), vol.known) * direction(view)


@card(CATEGORY, "vol_percentile", "Vol Percentile", "bars", role="context", prior=PRIOR)
def vol_percentile(view: View) -> Array:
    """(p - 0.5) x tanh(window return / window ATR), the sign turned where p > 0.95.

    p: share of the earlier bars of the view with a lower Yang-Zhang sigma, equal ones counted
    half. Needs 2 n + 1 bars, n = max(span / bar, 14).

    Sign: with the trend while volatility has room, against it at an extreme, where moves exhaust
    themselves. Units: -0.5..+0.5.

    Source: Yang, Zhang (2000); volatility reverts to its mean: Engle, Patton, What Good Is a
    Volatility Model? (2001).
    """
    vol = yang_zhang(view)
    now, past = vol.sigma[:, -1:], vol.sigma[:, :-1]
    unknown = past.shape[1] - (vol.known - 1)
    lower = summed(past < now * (1 - TIE)) - unknown * (now[:, 0] > 0)
    higher = summed(past > now * (1 + TIE))
    off = (lower - higher) / (2 * np.maximum(vol.known - 1, 1))
    turned = np.where(off > 0.45, -off, off)
    return at_least(vol.length + 1, turned, vol.known) * direction(view)


@card(CATEGORY, "vol_regime", "Vol Regime", "bars", role="context", prior=PRIOR)
def vol_regime(view: View) -> Array:
    """max(q - 1, 0) x clip((1 - tightest q)/0.25, 0, 1) x tanh(break / ATR(14)).

    q = sigma over n bars / its root mean square over 3 n, n = max(span / bar, 14): COMPRESSION
    below 0.75, EXPANSION above 1, NORMAL between. The tightest q is that of the n bars before the
    current one, the break the log return since that bar. Needs 4 n bars.

    Sign: expansion out of compression goes with the break, anything else reads 0. Units: share of
    the long volatility.

    Source: Yang, Zhang (2000); Crabel, Day Trading with Short Term Price Patterns and Opening
    Range Breakout (1990): contraction precedes expansion.
    """
    vol, bars = yang_zhang(view), candles(view)
    n, total = vol.length, vol.sigma.shape[1]
    shown = np.arange(total - n.max() - 1, total)
    q = over(vol.sigma[:, shown], _long_run(vol, shown))
    before = (shown >= total - 1 - n) & (shown < total - 1)
    tightest = np.where(before[:, :, None], q, np.inf).argmin(axis=1)
    lane = np.ogrid[: len(q), : q.shape[2]]
    lowest = q[lane[0], tightest, lane[1]]
    base = bars.close[lane[0], total - len(shown) + tightest, lane[1]]
    side = np.tanh(over(bars.close[:, -1] - base, wilder_atr(view)))
    compressed = clip((1 - lowest) / (1 - COMPRESSION), 0, 1)
    return at_least(4 * n, np.maximum(q[:, -1] - 1, 0) * compressed * side, bars.known)


@card(CATEGORY, "vol_of_vol", "Vol of Vol", "bars", role="context", prior=PRIOR)
def vol_of_vol(view: View) -> Array:
    """-std(sigma) / mean(sigma) over the last 2 n bars x tanh(window return / window ATR).

    sigma: Yang-Zhang over n = max(span / bar, 14) bars. Needs 3 n bars.

    Sign: unstable volatility works against the trend. Units: share of the mean volatility.

    Source: Baltussen, van Bekkum, van der Grient, Unknown Unknowns: Uncertainty About Risk and
    Stock Returns (2018): std over mean of volatility, negative for returns.
    """
    vol = yang_zhang(view)
    mean, std = _moments(vol, latest(2 * vol.length, vol.sigma.shape[1]), 2 * vol.length)
    return at_least(2 * vol.length, over(-std, mean), vol.known) * direction(view)


@card(CATEGORY, "vol_zscore", "Vol Z-Score", "bars", role="context", prior=PRIOR)
def vol_zscore(view: View) -> Array:
    """(sigma - mean) / std of sigma at all earlier bars x tanh(window return / window ATR).

    sigma: Yang-Zhang over n = max(span / bar, 14) bars. Needs 2 n + 1 bars; 0 while sigma never
    changed.

    Sign: unusually high volatility carries the trend on, unusually low doubts it. Units: standard
    deviations of volatility.

    Source: Yang, Zhang (2000); volatility clusters: Mandelbrot (1963), Engle (1982).
    """
    vol = yang_zhang(view)
    mean, std = _past(vol)
    return at_least(vol.length + 1, over(vol.sigma[:, -1] - mean, std), vol.known) * direction(view)


@card(CATEGORY, "atr_state", "ATR State", "bars", role="context", prior=PRIOR)
def atr_state(view: View) -> Array:
    """(ATR(14) / its mean at all earlier bars of the view - 1) x tanh(window return / window ATR).

    Wilder's smoothing, seeded with the mean of the first 14 true ranges. Needs 29 bars.

    Sign: ranges above their norm carry the trend on, below it the trend is doubted. Units: share
    of the norm.

    Source: Wilder, New Concepts in Technical Trading Systems (1978), on log prices.
    """
    bars = candles(view)
    norm = wilder_norm(true_range(view), bars.known)
    change = over(wilder_atr(view) - norm, norm)
    return at_least(2 * WILDER + 1, change, bars.known) * direction(view)


@card(CATEGORY, "vol_trend", "Vol Trend", "bars", role="context", prior=PRIOR)
def vol_trend(view: View) -> Array:
    """n x least-squares slope of sigma over the last n bars / its mean there x tanh(window return
    / window ATR).

    sigma: Yang-Zhang over n = max(span / bar, 14) bars. Needs 2 n bars.

    Sign: volatility that grows carries the trend on, that dies down doubts it. Units: relative
    change over n bars.

    Source: Yang, Zhang (2000); volatility clusters: Mandelbrot (1963), Engle (1982).
    """
    vol = yang_zhang(view)
    n, total = vol.length, vol.sigma.shape[1]
    inside = latest(n, total)
    time = inside * (np.arange(total) - (total - 1) + (n - 1) / 2)
    slope = weighted(time, vol.sigma) / (time * time).sum(axis=1, keepdims=True)
    mean = weighted(inside, vol.sigma) / n
    return at_least(n, over(n * slope, mean), vol.known) * direction(view)


@card(CATEGORY, "range_expansion", "Range Expansion", "bars")
def range_expansion(view: View) -> Array:
    """(2 close - high - low) / mean(high - low of the 14 bars before).

    The bar's range over the recent mean range, times where it closed in it (-1 low .. +1 high).
    Needs 15 bars.

    Sign: a wide bar that closes near its high is bullish. Units: mean ranges of a bar.

    Source: Crabel (1990) on range expansion; close location: Chaikin, after Williams.
    """
    bars = candles(view)
    high, low, close = bars.high[:, -1], bars.low[:, -1], bars.close[:, -1]
    before = slice(-1 - WILDER, -1)
    mean = summed(bars.high[:, before] - bars.low[:, before]) / WILDER
    return at_least(WILDER + 1, over((close - low) - (high - close), mean), bars.known)


def _past(vol: Volatility) -> tuple[Array, Array]:
    """Mean and std of sigma at all bars but the current one, (W, S) each."""
    before = 1 - latest(1, vol.sigma.shape[1])
    return _moments(vol, before, np.maximum(vol.known - 1, 1))


def _moments(vol: Volatility, weight: Array, number: Count) -> tuple[Array, Array]:
    """Mean and std of sigma over the bars of weight 1; a std lost in rounding is 0."""
    mean = weighted(weight, vol.sigma) / number
    variance = weighted(weight, vol.squares) / number - mean * mean
    return mean, np.sqrt(np.where(variance > ROUNDING * mean * mean, variance, 0.0))


def _long_run(vol: Volatility, shown: Count) -> Array:
    """Root mean square at these bars of the last 2 n sigmas (each over n bars, so 3 n in all)."""
    first = max(int(shown[0] - 2 * vol.length.max()), 0)
    squares = np.cumsum(vol.squares[:, first:], axis=1)
    before = np.maximum(shown - first - 2 * vol.length, 0)
    earlier = squares[np.arange(len(squares))[:, None], before]
    mean = (squares[:, shown - first] - earlier) / (2 * vol.length[:, :, None])
    out: Array = np.sqrt(np.maximum(mean, 0.0))
    return out
