"""Meta signals: what the cards of this step say together. All of the second pass.

Three have weight 0: they are inputs of the confidence map, and vote no second time.
"""

import numpy as np

from engine.cards.card import card
from engine.cards.first_pass import (
    EXEMPT,
    by_category,
    by_window,
    nothing,
    sides,
    voted,
    votes,
    weighted_mean,
)
from engine.cards.measure import over, summed
from engine.market.view import Array, View

CATEGORY = "meta_signals"


@card(CATEGORY, "confidence_ensemble", "Confidence Ensemble", "cards", prior=0.0,
      mirror_exempt=EXEMPT)  # fmt: skip
def confidence_ensemble(view: View) -> Array:
    """Mean score of all voting cards of the first pass in this window, weighted by confidence.

    Inverted cards count with their sign turned. Weight 0: an input of the confidence map.

    Sign: cards that are bullish with confidence are bullish. Units: -1..+1.

    Source: Bates, Granger, The Combination of Forecasts (1969): weights by precision; Timmermann,
    Forecast Combinations (2006).
    """
    if view.first is None:
        return nothing(view)
    sure = view.first.confidence
    return weighted_mean(view, np.where(sure == sure, sure, 0.0))


@card(CATEGORY, "signal_agreement", "Signal Agreement", "cards", prior=0.0,
      mirror_exempt=EXEMPT)  # fmt: skip
def signal_agreement(view: View) -> Array:
    """Share of voting cards that are bullish in this window - share that are bearish.

    Within the dead band (0.05) a card's side shrinks in proportion; inverted cards count with
    their sign turned. Weight 0: an input of the confidence map.

    Sign: more bullish than bearish cards are bullish. Units: -1..+1.

    Source: diffusion indexes: Moore, Statistical Indicators of Cyclical Revivals and Recessions
    (1950); Timmermann, Forecast Combinations (2006).
    """
    if view.first is None:
        return nothing(view)
    seen = votes(view)
    return by_window(view, voted(seen, summed(sides(seen.score)) / np.maximum(seen.voters, 1.0)))


@card(CATEGORY, "agreement_velocity", "Agreement Velocity", "cards",
      mirror_exempt=EXEMPT)  # fmt: skip
def agreement_velocity(view: View) -> Array:
    """Signal agreement now - signal agreement a window ago.

    Here agreement is that of the mode: cards whose score over all its windows is bullish minus
    bearish ones, as a share of those available.

    Sign: cards turning bullish are bullish. Units: share of cards, -2..+2.

    Source: Moore, Statistical Indicators of Cyclical Revivals and Recessions (1950), on the turn of
    diffusion indexes.
    """
    first = view.first
    if first is None:
        return nothing(view)
    return first.breadth[:, None] - first.breadth_before


@card(CATEGORY, "category_conflict", "Category Conflict", "cards", role="context", prior=0.0,
      mirror_exempt=EXEMPT)  # fmt: skip
def category_conflict(view: View) -> Array:
    """-side(mean) x sum of w x max(-side(mean) x side(category), 0) / sum of w.

    Categories' scores in this window (mean of their cards by |weight|) and their mean by category
    weight w. Side: score / 0.05 within -1..+1, so nothing jumps at a change of sign. Weight 0: an
    input of the confidence map.

    Sign: against the mean of the categories: the more weight opposes it, the less it holds. Units:
    share of weight, -1..+1.

    Source: Diether, Malloy, Scherbina, Differences of Opinion and the Cross Section of Stock
    Returns (2002): where opinions part, prices overshoot.
    """
    if view.first is None:
        return nothing(view)
    score, weight = by_category(view)
    whole = summed(weight)
    mean = sides(over(summed(score * weight), whole))
    against = np.maximum(sides(score) * -mean[:, None], 0.0)
    share = over(summed(against * weight), whole)
    return by_window(view, voted(votes(view), -np.sign(mean) * share))
