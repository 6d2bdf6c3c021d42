"""Statistical: what the shape of a price path says of its next step.

A bar is one of the last 120 of the window; trend = tanh(window return / window ATR), smooth so that
a move of next to nothing does not flip it.
"""

import numpy as np

from engine.cards.averages import at_least, candles
from engine.cards.basket import BPS, LEAST_BARS, bar_moves, dots, leader, not_leader
from engine.cards.card import card
from engine.cards.measure import LEADER, direction, over, percentile, summed
from engine.cards.path import HURST_BARS, pattern_counts, rescaled_slope, squares, steps, stretch
from engine.cards.positioning import beyond
from engine.market.view import Array, View

CATEGORY = "statistical"

# The trend must not vote once more with every measure that is signed with it.
PRIOR = 0.25
STRETCHED = 1.5
# Bars over which variance is compared with that of one.
TOGETHER = 4
LEAST = 60


@card(CATEGORY, "percentile_rank", "Percentile Rank", "bars", "trades")
def percentile_rank(view: View) -> Array:
    """(p(r) + p(d)) / 2 - 0.5, p = share of the 60 windows before below the current one.

    r: log return over the window, d: taker buy - taker sell notional; equal ones count half. Ten
    windows at least.

    Sign: a return and a delta that are high in their own history are bullish. Units: -0.5..+0.5.

    Source: George, Hwang, The 52-Week High and Momentum Investing (2004), on the place in one's own
    history; Wilcoxon, Individual Comparisons by Ranking Methods (1945).
    """
    spans = view.spans
    moved, bought = spans.close - spans.open, spans.buy - spans.sell
    return (percentile(moved) + percentile(bought)) / 2 - 0.5


@card(CATEGORY, "momentum_persistence", "Momentum Persistence", "bars")
def momentum_persistence(view: View) -> Array:
    """(VR(4) - 1) x trend, VR(q) = variance of q-bar returns / q times that of bar returns.

    Overlapping returns, unbiased variances about the mean return, of all bars known (60 at least);
    0 where price stands still.

    Sign: with the trend while returns persist (VR above 1), against it while they revert. Units:
    share of variance.

    Source: Lo, MacKinlay, Stock Market Prices Do Not Follow Random Walks (1988), eqs. 12 to 14.
    """
    bars = candles(view)
    q, n = TOGETHER, np.maximum(bars.known - 1, TOGETHER + 1)
    close = (bars.close - bars.close[:, -1:]) * BPS
    mean = -close[:, 0] / n
    whole = np.arange(close.shape[1] - q)[:, None] >= (close.shape[1] - bars.known)[:, None]
    jump = np.where(whole, close[:, q:] - close[:, :-q] - q * mean[:, None], 0.0)
    one = (squares(steps(view)) - n * mean**2) / (n - 1)
    many = squares(jump) / (q * (n - q + 1) * (1 - q / n))
    ratio = over(many, np.maximum(one, 0.0))
    found = np.where(one > 0, ratio - 1, 0.0) * direction(view)
    return at_least(LEAST, found, bars.known)


@card(CATEGORY, "zscore_reversion", "Z-Score Reversion", "bars")
def zscore_reversion(view: View) -> Array:
    """-(z - clip(z, -1.5, 1.5)), z = (log close - its mean) / its std over the last 20 bars.

    Sign: price stretched above its mean is bearish, below it bullish. Units: standard deviations
    beyond 1.5.

    Source: Bollinger on Bollinger Bands (2001), 20 bars; Poterba, Summers, Mean Reversion in Stock
    Prices (1988).
    """
    return -beyond(stretch(view), STRETCHED)


@card(CATEGORY, "hurst_state", "Hurst State", "bars", role="context", prior=PRIOR)
def hurst_state(view: View) -> Array:
    """(H - 0.5) x trend, H from rescaled ranges of the last 96 bar returns.

    H - 0.5: least-squares slope, on log n, of log R/S(n) - log of what independent returns would
    give, n = 12, 32, 96 bars, R/S the mean over the blocks that moved. 0 where price stood
    still at some n. Needs 97 bars.

    Sign: with the trend while the path persists (H above 0.5), against it while it reverts. Units:
    Hurst exponent.

    Source: Hurst (1951); Anis, Lloyd, The Expected Value of the Adjusted Rescaled Hurst Range of
    Independent Normal Summands (1976).
    """
    return at_least(HURST_BARS + 1, rescaled_slope(view) * direction(view),
                    candles(view).known)  # fmt: skip


@card(CATEGORY, "autocorrelation", "Autocorrelation", "bars")
def autocorrelation(view: View) -> Array:
    """rho x r / s, r the last bar's return, s the rms of all, rho their lag-1 autocorrelation.

    Both about zero, for bar returns have no mean to speak of; 60 bars at least.

    Sign: what the last return foretells: its own sign where returns follow each other, the other
    where they alternate. Units: standard deviations of a bar's return.

    Source: Campbell, Lo, MacKinlay, The Econometrics of Financial Markets (1997), chapter 2; Roll
    (1984), for bounce that alternates.
    """
    step = steps(view)
    energy = squares(step)
    rho = over(summed(step[:, 1:] * step[:, :-1]), energy)
    known = candles(view).known
    size = np.sqrt(energy / np.maximum(known - 1, 1))
    return at_least(LEAST, rho * over(step[:, -1], size), known)


@card(CATEGORY, "entropy", "Entropy", "bars", role="context", prior=PRIOR)
def entropy(view: View) -> Array:
    """(1 - h) x trend, h = permutation entropy of order 3 of the closes / log 6.

    Equal closes count half as rising and half as falling, so that the measure has no side of its
    own. 60 bars at least.

    Sign: with the trend, by how far the path is from disorder. Units: share of the largest entropy.

    Source: Bandt, Pompe, Permutation Entropy: A Natural Complexity Measure for Time Series (2002).
    """
    bars = candles(view)
    counts = pattern_counts(bars.close, bars.known)
    share = counts / np.maximum(counts.sum(axis=0), 1.0)
    order = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=0)
    return at_least(LEAST, (1 - order / np.log(6)) * direction(view), bars.known)


@card(CATEGORY, "residual_vs_btc", "Residual vs BTC", "bars", peers=True, lacks=LEADER)
def residual_vs_btc(view: View) -> Array:
    """-(s - clip(s, -1.5, 1.5)), s = (X - mean of X) / std of X, X = cumulated residual.

    Residual: a bar's return - beta x BTC's, beta the slope through the origin over all bars known
    to both (30 at least). X is read at the last bar, mean and std over all of them.

    Sign: ahead of what BTC explains is bearish, behind it bullish. Units: standard deviations
    beyond 1.5.

    Source: Avellaneda, Lee, Statistical Arbitrage in the US Equities Market (2010).
    """
    step = bar_moves(view)
    lead = leader(view, step)
    both = (step == step) & (lead == lead)
    x = np.where(lead == lead, lead, 0.0)[:, :, 0]
    y, there = np.where(both, step, 0.0), both.astype(np.float64)
    beta = over(dots(x, y), dots(x * x, there))
    path = np.cumsum(y - beta[:, None] * x[:, :, None] * there, axis=1)
    count = summed(there)
    size = np.maximum(count, 1.0)
    off = path - (summed(path * there) / size)[:, None]
    spread = np.sqrt(summed(off * off * there) / size)
    found = -beyond(over(off[:, -1], spread), STRETCHED)
    return not_leader(view, np.where((count >= LEAST_BARS) & both[:, -1], found, np.nan))
