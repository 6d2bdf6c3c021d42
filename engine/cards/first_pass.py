"""What cards of the second pass make of the first; holds no card itself.

An inverted card (negative weight) counts with its sign turned, one of weight 0 has no vote.
"""

from functools import lru_cache

import numpy as np

from engine.cards.measure import over
from engine.market.view import Array, FirstPass, View

# Scores inside it take no side; sides grow to full at its edge, so that they do not jump.
DEAD_BAND = 0.05
EXEMPT = "it reads cards of outside series, which the mirror leaves as they are"

Votes = tuple[Array, Array]


def nothing(view: View) -> Array:
    """The answer of a card of the second pass when there is no first, (0, W, S)."""
    return np.full((0, len(view.windows), len(view.symbols)), np.nan)


@lru_cache(maxsize=1)
def votes(view: View) -> Votes:
    """Scores by window with inverted cards turned, 0 where unknown, and 1 where known.

    (M, C, W, S) both; all 0 without a first pass.
    """
    first = _first(view)
    sign = np.sign(first.weight)[:, :, None]
    turned = first.by_window * sign
    known = (turned == turned) & (sign != 0)
    return np.where(known, turned, 0.0), known.astype(np.float64)


def mean_scores(view: View) -> Array:
    """Mean score of a symbol's cards in each window by |weight|, (M, W, S); NaN without any."""
    return weighted_mean(view, np.abs(_first(view).weight))


def weighted_mean(view: View, weight: Array) -> Array:
    """Mean of the votes by a weight (M, C, S), (M, W, S); NaN where nobody votes."""
    score, known = votes(view)
    total = np.einsum("mcws,mcs->mws", score, weight)
    mean = over(total, np.einsum("mcws,mcs->mws", known, weight))
    return np.where(known.any(axis=1), mean, np.nan)


def sides(score: Array) -> Array:
    """-1..+1: the side a score takes, in proportion within the dead band."""
    return np.clip(score / DEAD_BAND, -1.0, 1.0)


def by_category(view: View) -> Votes:
    """Mean score by |weight| of each category in each window, and its weight there.

    (M, K, W, S) both, categories in order of appearance; a category that is not known has
    weight 0.
    """
    first = _first(view)
    names, member = _members(first.categories)
    score, known = votes(view)
    modes, cards, windows, symbols = score.shape
    weight = np.abs(first.weight)[:, :, None]
    flat = (modes, cards, windows * symbols)
    total = member @ (score * weight).reshape(flat)
    there = member @ (known * weight).reshape(flat)
    shape = (modes, len(names), windows, symbols)
    say = np.stack([first.category_weight[:, first.categories.index(n)] for n in names], axis=1)
    mean, reach = over(total, there).reshape(shape), there.reshape(shape)
    return mean, np.where(reach > 0, say[:, :, None], 0.0)


@lru_cache(maxsize=1)
def _members(categories: tuple[str, ...]) -> tuple[tuple[str, ...], Array]:
    """Categories in order of appearance, and 1 for each card of each, (K, C)."""
    names = tuple(dict.fromkeys(categories))
    return names, np.array([[float(c == name) for c in categories] for name in names])


def _first(view: View) -> FirstPass:
    assert view.first is not None
    return view.first
