"""Cross-asset: what BTC and the other symbols say about this one.

Beta is the least-squares slope of a symbol's window returns on BTC's over the last 60 windows.
"""

import numpy as np

from engine.cards.basket import (
    LEAST_BARS,
    bar_moves,
    breadth,
    dots,
    followed,
    leader,
    not_leader,
    rest,
)
from engine.cards.card import card
from engine.cards.elsewhere import everywhere
from engine.cards.first_pass import EXEMPT, mean_scores, nothing
from engine.cards.measure import LEADER, clip, market_leader, over, scaled, summed
from engine.cards.peers import betas, correlations, returns
from engine.cards.unusual import liquidation_bursts, move
from engine.market.view import Array, View

CATEGORY = "cross_asset"

PEERS = 5
MOST_BETA = 3.0
# Standard deviations of long liquidations at which a fall counts half as much again.
FORCED = 3.0


@card(CATEGORY, "btc_beta", "BTC Beta", "bars", spans=(0, 300), peers=True,
      lacks=LEADER)  # fmt: skip
def btc_beta(view: View) -> Array:
    """max(c, 0) x (1 - 1/t^2 where t > 1, else 0) x sum over age a of (k - a) x BTC's return.

    c: slope of a bar's return on BTC's return over the k bars before it, through the origin, over
    the view's bars (30 at least), t its t-statistic: the lagged beta, counted by what exceeds its
    own error. A return of BTC a bars old (0 to k - 1) is still followed in the k - a bars to come.
    k bars: the last 10 s, 60 s and 60 s of the three windows.

    Sign: that of BTC's move that is still to be followed. Units: bps.

    Source: Dimson, Risk Measurement When Shares Are Subject to Infrequent Trading (1979), for the
    lagged beta; Lo, MacKinlay, When Are Contrarian Profits Due to Stock Market Overreaction?
    (1990), for large ones that lead; shrinkage: James, Stein (1961).
    """
    step = bar_moves(view)
    lead = leader(view, step)[:, :, 0]
    span = followed(view.windows)
    before = _before(lead, span)
    known = before == before
    both = (step == step) & known[:, :, None]
    x, y = np.where(known, before, 0.0), np.where(both, step, 0.0)
    count, squares, product = dots(known * 1.0, both * 1.0), dots(x * x, both * 1.0), dots(x, y)
    explained = over(product * product, squares)
    left = np.maximum(summed(y * y) - explained, 0.0)
    sure = np.maximum(1.0 - over(left, np.maximum(count - 1.0, 1.0) * explained), 0.0)
    to_come = _to_come(lead, span) + 0.0 * step[:, -1]
    found = np.maximum(over(product, squares), 0.0) * sure * to_come
    return not_leader(view, np.where(count >= LEAST_BARS, found, np.nan))


def _before(lead: Array, span: Array) -> Array:
    """BTC's return over the `span` (W, 1) bars before each bar, (W, N); NaN unless all known."""
    known = lead == lead
    row, first = np.arange(len(lead))[:, None], np.maximum(np.arange(lead.shape[1]) - span, 0)
    path = np.zeros((2, len(lead), lead.shape[1] + 1))
    np.cumsum([np.where(known, lead, 0.0), known], axis=2, out=path[:, :, 1:])
    total, there = path[:, :, :-1] - path[:, row, first]
    return np.where(there == span, total, np.nan)


def _to_come(lead: Array, span: Array) -> Array:
    """Sum of (span - age) x BTC's return over the newest `span` bars, (W, 1)."""
    most = min(int(span.max()), lead.shape[1])
    left = np.maximum(span - np.arange(most - 1, -1, -1), 0)
    parts = np.where(left > 0, lead[:, -most:] * left, 0.0)
    out: Array = parts.sum(axis=1, keepdims=True)
    return out


@card(CATEGORY, "btc_stress_spill", "BTC Stress Spill", "bars", "liq", prior=0.0, peers=True,
      lacks=LEADER, mirror_exempt="bearish only by its nature: a rise of BTC is no stress",
      )  # fmt: skip
def btc_stress_spill(view: View) -> Array:
    """-clip(beta, 0, 3) x max(-z - 1, 0) x (1 + l/(l + 3)).

    z: BTC's return over the rms of its 60 window returns before; l: standard deviations by which
    BTC's long liquidations top their mean, 0 below it. Weight 0: it feeds the context line.

    Sign: asymmetric, negative only: a fall of BTC spills over, the more so while longs are forced
    out. Units: standard deviations of BTC beyond one.

    Source: Ang, Chen, Asymmetric Correlations of Equity Portfolios (2002): downside moves are
    shared more; Brunnermeier, Pedersen, Market Liquidity and Funding Liquidity (2009), for spirals
    of forced selling.
    """
    place = market_leader(view)
    if place is None:
        return np.full((len(view.windows), len(view.symbols)), np.nan)
    fall = np.maximum(-move(view)[:, place] - 1.0, 0.0)
    burst = np.maximum(liquidation_bursts(view)[0][:, place], 0.0)
    stress = fall * (1.0 + burst / (burst + FORCED))
    here = 0.0 * (view.spans.close[:, -1] + view.spans.long_liq[:, -1])
    return not_leader(view, here - clip(betas(view), 0.0, MOST_BETA) * stress[:, None])


@card(CATEGORY, "relative_strength", "Relative Strength", "bars", spans=(3600, 86_400),
      peers=True, lacks=LEADER)  # fmt: skip
def relative_strength(view: View) -> Array:
    """z(window return - beta x BTC's window return): over the rms of the 60 before.

    Beta over the same windows, 20 known to both at least.

    Sign: stronger than BTC explains is bullish. Units: standard deviations.

    Source: Blitz, Huij, Martens, Residual Momentum (2011); Jegadeesh, Titman (1993).
    """
    own = returns(view) - betas(view)[:, None] * leader(view, returns(view))
    return not_leader(view, scaled(own))


@card(CATEGORY, "breadth", "Breadth", "bars", scope="market", peers=True)
def market_breadth(view: View) -> Array:
    """Sum of w x tanh(window return / window ATR) over the symbols / sum of w.

    w: root of the symbol's usual notional in such windows, so that BTC weighs more and is not all
    of it. Two symbols at least; every symbol has the same value.

    Sign: symbols that rise together are bullish. Units: -1..+1.

    Source: Zweig's breadth as in Murphy, Technical Analysis of the Financial Markets (1999);
    Zaremba, Szyszka, Karathanasopoulos, Mikutowski, Herding for Profits: Market Breadth and the
    Cross-Section of Global Equity Returns (2021).
    """
    return everywhere(view, breadth(view))


@card(CATEGORY, "correlated_confirmation", "Correlated Confirmation", "bars", "cards",
      peers=True, mirror_exempt=EXEMPT)  # fmt: skip
def correlated_confirmation(view: View) -> Array:
    """Mean of the five most correlated peers' mean scores in this window, weighted by correlation.

    A peer's mean score: that of its cards by |weight|, inverted ones with their sign turned.
    Correlation of window returns over the last 60, 20 at least; peers without a positive one have
    no say, and none with one reads 0.

    Sign: peers that are bullish confirm a rise. Units: -1..+1.

    Source: Moskowitz, Grinblatt, Do Industries Explain Momentum? (1999); Ali, Hirshleifer, Shared
    Analyst Coverage: Unifying Momentum Spillover Effects (2020).
    """
    if view.first is None:
        return nothing(view)
    score = mean_scores(view)
    alike = correlations(view)
    own = np.arange(len(view.symbols))
    alike[:, own, own] = np.where(np.isnan(alike[:, own, own]), np.nan, 0.0)
    weight = np.fmax(alike, 0.0)
    if len(own) > PEERS:
        weight *= weight >= np.partition(weight, -PEERS, axis=1)[:, -PEERS, None]
    known = score == score
    mean = over(np.where(known, score, 0.0)[:, :, None] @ weight, known[:, :, None] * 1.0 @ weight)
    there = known.any(axis=2, keepdims=True) & ~np.isnan(alike[:, own, own])
    return np.where(there, mean[:, :, 0], np.nan)


@card(CATEGORY, "dominance_drift", "Dominance Drift", "bars", peers=True)
def dominance_drift(view: View) -> Array:
    """z(BTC's window return - mean window return of the others) for BTC, minus it for the others.

    z: over the rms of the 60 windows before. The drift of BTC's share of a basket that holds it
    and, in equal parts, the other symbols.

    Sign: a rising share of BTC is bearish for the others, bullish for BTC. Units: standard
    deviations.

    Source: Borri, Shakhnov, The Cross-Section of Cryptocurrency Returns (2022); Liu, Tsyvinski, Wu,
    Common Risk Factors in Cryptocurrency (2022), for BTC against the rest.
    """
    drift = scaled(leader(view, returns(view)) - rest(view))
    side = np.where([symbol == LEADER for symbol in view.symbols], 1.0, -1.0)
    return drift * side + 0.0 * returns(view)[:, -1]
