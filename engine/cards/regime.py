"""Regime: which kind of market it is, read with the side that such a market favours."""

from typing import NamedTuple

import numpy as np

from engine.cards.averages import Count, at_least, candles, latest, weighted
from engine.cards.card import card
from engine.cards.measure import bars_inside, clip, direction, over, summed, usual
from engine.cards.path import steps, straightness, stretch
from engine.cards.positioning import flow_side
from engine.market.view import Array, View

CATEGORY = "regime"

# The trend must not vote once more with every measure that is signed with it.
PRIOR = 0.25
# R^2 to which a market ranges, and from which it trends.
RANGING, TRENDING = 0.2, 0.7
# Bars that speak for a state, and the newest ones that speak for a change of it.
STATE, NEWEST = 8, 3
LEAST = 60


@card(CATEGORY, "market_regime", "Market Regime", "bars", role="context", prior=PRIOR)
def market_regime(view: View) -> Array:
    """t x trend - (1 - t) x z/2, t = clip((R^2 - 0.2)/0.5, 0, 1).

    R^2: of the least-squares line through the last 20 log closes; trend: tanh(window return /
    window ATR); z: the close among the same 20, in their std. One gives way to the other.

    Sign: trending, with the trend; ranging, against the stretch. Units: -1..+1 trending, half
    standard deviations ranging.

    Source: Chande, Kroll, The New Technical Trader (1994), for R^2 as the measure of a trend (0.2
    is its 5 % level at 20 bars); Kaufman, Trading Systems and Methods (2013), on following trends
    and fading ranges.
    """
    trending = clip((straightness(view) - RANGING) / (TRENDING - RANGING), 0, 1)
    return trending * direction(view) - (1 - trending) * stretch(view) / 2


@card(CATEGORY, "regime_transition", "Regime Transition", "bars", role="context", prior=PRIOR)
def regime_transition(view: View) -> Array:
    """P(volatility has just left its state) x tanh(return of the last 3 bars / their usual size).

    Two states: bars are high where the mean square return of the 8 bars to them is above the mean
    of all, else low; a state is left with (changes + 1)/(bars + 2) a bar, and has the mean square
    of its bars. P: the state before the last 3 bars (high to the degree v^2/(v^2 + mean^2), v the
    mean square then), its chance to be left in 3 bars, and Bayes' rule on their three returns.
    Usual size: root of three times the mean square. Needs 60 bars.

    Sign: with the break: a move that ends one state begins the next. Units: probability, -1..+1.

    Source: Hamilton, A New Approach to the Economic Analysis of Nonstationary Time Series and the
    Business Cycle (1989), one step of whose filter it is.
    """
    step, known = steps(view), candles(view).known
    energy = step * step
    states = _states(energy, known)
    newest = summed(energy[:, -NEWEST:])
    odds = _odds(newest, states.calm, states.wild)
    rises = _after(states.leaves_calm, odds) * (1 - states.was_wild)
    falls = _after(states.leaves_wild, 1 / odds) * states.was_wild
    moved = over(summed(step[:, -NEWEST:]), np.sqrt(NEWEST * states.mean))
    return at_least(LEAST, (rises + falls) * np.tanh(moved), known)


class _States(NamedTuple):
    """The two states of volatility up to three bars ago, (W, S) each.

    Variance of a bar over all, in the calm and in the wild state; chance to leave either within
    three bars; degree to which the wild one held.
    """

    mean: Array
    calm: Array
    wild: Array
    leaves_calm: Array
    leaves_wild: Array
    was_wild: Array


def _states(energy: Array, known: Count) -> _States:
    local = energy[:, 1:-NEWEST]
    for bars in (1, 2, 4):  # sums over 2, 4 and 8, the bars of STATE
        local = local[:, bars:] + local[:, :-bars]
    local = local / STATE
    count = np.maximum(known - 1 - STATE - NEWEST, 1)
    there = (np.arange(local.shape[1])[:, None] >= (local.shape[1] - count)[:, None]) * 1.0
    mean = summed(local * there) / count
    high = (local > mean[:, None]) * there
    low = there - high
    highs = summed(high)
    wild = summed(high * energy[:, STATE:-NEWEST]) / np.maximum(highs, 1)
    calm = summed(low * energy[:, STATE:-NEWEST]) / np.maximum(count - highs, 1)
    rises, falls = summed(low[:, :-1] * high[:, 1:]), summed(high[:, :-1] * low[:, 1:])
    before = local[:, -1]
    return _States(
        mean=mean,
        calm=calm,
        wild=wild,
        leaves_calm=1 - (1 - (rises + 1) / (count - highs + 2)) ** NEWEST,
        leaves_wild=1 - (1 - (falls + 1) / (highs + 2)) ** NEWEST,
        was_wild=over(before**2, before**2 + mean**2),
    )


def _odds(newest: Array, calm: Array, wild: Array) -> Array:
    """Likelihood of the newest returns in the wild state over that in the calm one."""
    usable = (calm > 0) & (wild > calm)
    calm, wild = np.where(usable, calm, 1.0), np.where(usable, wild, 1.0)
    evidence = newest * (1 / calm - 1 / wild) / 2 - NEWEST * np.log(wild / calm) / 2
    out: Array = np.exp(clip(evidence, -30, 30))
    return out


def _after(prior: Array, odds: Array) -> Array:
    """Bayes' rule: the chance of a prior after evidence of these odds."""
    return prior * odds / (prior * odds + 1 - prior)


@card(CATEGORY, "liquidity_regime", "Liquidity Regime", "book", "trades", role="context",
      prior=PRIOR)  # fmt: skip
def liquidity_regime(view: View) -> Array:
    """tanh(log(spread / its mean) / 2 - log(depth / its mean) / 2) x tanh(z(d)).

    Depth: both sides within 50 bps; means over the windows before, two at least; ratios within
    1/100 to 100.

    Sign: with the takers in a thin book, which lets flow move price; against them in a thick one,
    which absorbs it. Units: -1..+1.

    Source: Kyle, Continuous Auctions and Insider Trading (1985), for depth as the inverse of
    impact; Amihud, Illiquidity and Stock Returns (2002).
    """
    spans = view.spans
    wide = _log_ratio(spans.spread)
    deep = _log_ratio(spans.bid_50 + spans.ask_50)
    out: Array = np.tanh((wide - deep) / 2) * flow_side(view)
    return out


def _log_ratio(x: Array) -> Array:
    """Log of the current value over its mean in the windows before; 0 where that is 0."""
    norm = usual(x)
    share = clip(over(x[:, -1], norm), 0.01, 100.0)
    out: Array = np.where(norm == 0, 0.0, np.log(share))
    return out


@card(CATEGORY, "trend_range_score", "Trend/Range Score", "bars")
def trend_range_score(view: View) -> Array:
    """Efficiency ratio with its sign: net change of the closes / sum of their absolute changes.

    Over the bars of the window (6 to 24); 0 where price stands still. Needs one bar more.

    Sign: a straight rise is bullish, a straight fall bearish, a range says nothing. Units: -1..+1.

    Source: Kaufman, Smarter Trading (1995).
    """
    bars = candles(view)
    length = bars_inside(view).astype(np.int64)
    step = steps(view)
    inside = latest(length, step.shape[1])
    net, path = weighted(inside, step), weighted(inside, np.abs(step))
    return at_least(length + 1, over(net, path), bars.known)
