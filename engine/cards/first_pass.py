"""What cards of the second pass make of the first; holds no card itself.

An inverted card (negative weight) counts with its sign turned, one of weight 0 has no vote.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.cards.measure import clip, over, summed
from engine.market.view import Array, FirstPass, View

# Scores inside it take no side; sides grow to full at its edge, so that they do not jump.
DEAD_BAND = 0.05
EXEMPT = "it reads cards of outside series, which the mirror leaves as they are"

Count = NDArray[np.int64]


class Votes(NamedTuple):
    """What the first pass's cards say, by lane: a mode's window that any card has a score in.

    `mode` and `window` (L,) of each lane; `raw` (L, C, S): its scores, NaN where unknown; `score`:
    those that vote, inverted cards turned, 0 for the others; `there`: 1 for cards that vote;
    `voters` (L, S): how many those are.
    """

    mode: Count
    window: Count
    raw: Array
    score: Array
    there: Array
    voters: Array


def nothing(view: View) -> Array:
    """The answer of a card of the second pass when there is no first, (0, W, S)."""
    return np.full((0, len(view.windows), len(view.symbols)), np.nan)


@lru_cache(maxsize=1)
def votes(view: View) -> Votes:
    """The votes of the view's first pass."""
    first = _first(view)
    modes, cards, windows, symbols = first.by_window.shape
    known = summed((first.by_window == first.by_window).reshape(modes, cards, -1))
    mode, window = np.nonzero(known.reshape(modes, windows, symbols).any(axis=2))
    raw, sign = first.by_window[mode, :, window], np.sign(first.weight[mode])
    there = (raw == raw) & (np.abs(sign) > 0)
    score = np.where(there, raw * sign, 0.0)
    return Votes(mode, window, raw, score, there.astype(np.float64), summed(there))


def by_window(view: View, x: Array) -> Array:
    """What there is by lane (L, S) as a card's result, (M, W, S)."""
    seen = votes(view)
    out = np.full((len(_first(view).modes), len(view.windows), len(view.symbols)), np.nan)
    out[seen.mode, seen.window] = x
    return out


def voted(seen: Votes, x: Array) -> Array:
    """x (L, S) where somebody votes, NaN elsewhere."""
    return np.where(seen.voters > 0, x, np.nan)


def mean_scores(view: View) -> Array:
    """Mean score of a symbol's cards in each window by |weight|, (M, W, S); NaN without any."""
    return weighted_mean(view, np.abs(_first(view).weight))


def weighted_mean(view: View, weight: Array) -> Array:
    """Mean of the votes by a weight (M, C, S), (M, W, S); NaN where nobody votes."""
    seen = votes(view)
    own = weight[seen.mode]
    mean = over(summed(seen.score * own), summed(seen.there * own))
    return by_window(view, voted(seen, mean))


def sides(score: Array) -> Array:
    """-1..+1: the side a score takes, in proportion within the dead band."""
    return clip(score / DEAD_BAND, -1.0, 1.0)


def by_category(view: View) -> tuple[Array, Array]:
    """Mean score by |weight| of each category in each lane, and its weight there.

    (L, K, S) both, categories in order of appearance; a category that is not known has weight 0.
    """
    first, seen = _first(view), votes(view)
    places, member = _members(first.categories)
    weight = np.abs(first.weight)[seen.mode]
    there = member @ (seen.there * weight)
    say = first.category_weight[:, places][seen.mode]
    return over(member @ (seen.score * weight), there), np.where(there > 0, say, 0.0)


def category_mean(view: View, category: str) -> Array:
    """Mean score by |weight| of a category's cards in each lane, (L, S); NaN with none known."""
    first, seen = _first(view), votes(view)
    chosen = members(first.categories, frozenset({category}))
    raw, weight = seen.raw[:, chosen], first.weight[:, chosen][seen.mode]
    known = raw == raw
    mean = over(summed(np.where(known, raw * weight, 0.0)), summed(known * np.abs(weight)))
    return np.where(known.any(axis=1), mean, np.nan)


@lru_cache(maxsize=1)
def _members(categories: tuple[str, ...]) -> tuple[list[int], Array]:
    """The first card of each category, and 1 for each card of each, (K, C)."""
    names = tuple(dict.fromkeys(categories))
    member = np.array([[float(c == name) for c in categories] for name in names])
    return [categories.index(name) for name in names], member


@lru_cache
def members(names: tuple[str, ...], wanted: frozenset[str]) -> slice | list[int]:
    """Places of the wanted names, as a slice where they stand in one stretch."""
    chosen = [n for n, name in enumerate(names) if name in wanted]
    whole = chosen and chosen[-1] - chosen[0] + 1 == len(chosen)
    return slice(chosen[0], chosen[-1] + 1) if whole else chosen


def _first(view: View) -> FirstPass:
    assert view.first is not None
    return view.first
