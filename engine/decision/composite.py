"""Readings into categories, one bias and its decomposition: pure functions of what is stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.decision.timeframes import ABSENT, STEPS, Readings, Small, agree
from engine.market.view import Array

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Weights:
    """One mode's weights: `card` (cards, symbols) in force, `prior` before learning.

    `category` (categories, symbols) with class priors, `member` (categories, cards) 0/1,
    `can_have` (cards, symbols). `own` (cards,): those that say something of the symbol itself, None
    for all; without enough of them there is no bias, whatever the market as a whole does.
    """

    card: Array
    prior: Array
    category: Array
    member: Array
    can_have: Mask
    own: Mask | None = None


def spread_weights(category: Array, card: Array, member: Array, can_have: Mask) -> Array:
    """Category weight x card weight / sum of |card weight| over the category's possible cards.

    `category` (categories, symbols), `card` (cards,); 0 where that sum is 0. So a category's say
    does not grow with its number of cards.
    """
    own = np.where(can_have, np.abs(card)[:, None], 0.0)
    total = member.T @ (member @ own)
    share = np.where(can_have, card[:, None], 0.0) / np.where(total > 0, total, 1.0)
    out: Array = np.where(total > 0, share * (member.T @ category), 0.0)
    return out


@dataclass(frozen=True, slots=True)
class Composition:
    """A bias taken apart, arrays over symbols unless said otherwise.

    `contribution` (cards, symbols) is score x strength damping x confidence x weight; `points`
    (categories, symbols) and `lines` (name -> symbols), the context, are bias points and add up to
    `bias`. NaN: not available.
    """

    bias: Array
    total: Array
    contribution: Array
    points: Array
    category_score: Array
    category_conflicted: Mask
    category_available: NDArray[np.int64]
    category_total: NDArray[np.int64]
    available: NDArray[np.int64]
    possible: NDArray[np.int64]
    coverage: Array
    lines: dict[str, Array] = field(default_factory=dict)


def contributions(score: Small, confidence: Small, conflicted: Mask, weight: Array) -> Array:
    """sign(score) x strength x confidence x weight per card; strength is halved in conflict."""
    present = score != ABSENT
    value = np.where(present, score.astype(float) / STEPS, 0.0)
    sure = np.where(present, confidence.astype(float) / STEPS, 0.0)
    out: Array = value * np.where(conflicted, 0.5, 1.0) * sure * weight
    return out


def enough(score: Small, weights: Weights, min_cards: int, min_coverage: float) -> Mask:
    """Symbols with so many cards of their own and so much of the prior weight covered by them."""
    present = (score != ABSENT) & weights.can_have
    if weights.own is not None:
        present = present & weights.own[:, None]
    known: Mask = present.sum(axis=0) >= min_cards
    return known & (coverage(present, weights) >= min_coverage)


def coverage(present: Mask, weights: Weights) -> Array:
    """Prior |weight| of the cards that are there / of all the symbol can have; 0..1."""
    prior = np.abs(weights.prior)
    return _divide(np.where(present, prior, 0.0).sum(axis=0), prior.sum(axis=0))


def category_lines(contribution: Array, weights: Weights) -> Array:
    """Each category's part of S, (categories, symbols)."""
    return _divide(weights.member @ contribution, np.abs(weights.prior).sum(axis=0))


def compose(score: Small, confidence: Small, conflicted: Mask, weights: Weights, gain: float,
            min_cards: int, min_coverage: float,
            context: Mapping[str, Array] | None = None) -> Composition:  # fmt: skip
    """Bias 100 tanh(gain x S'), S' = S + the lines of the `context` (name -> symbols).

    S = sum of contributions / sum of prior |weight| of possible cards. Missing, stale and
    conflicted cards shrink S and never inflate it. Fewer than `min_cards` available or less than
    `min_coverage` covered: bias and points are NaN.
    """
    lines = {name: np.nan_to_num(line) for name, line in (context or {}).items()}
    present = (score != ABSENT) & weights.can_have
    contribution = contributions(score, confidence, conflicted, weights.card)
    prior = np.abs(weights.prior)
    possible = prior.sum(axis=0)
    total = _divide(contribution.sum(axis=0), possible)
    for extra in lines.values():
        total = total + extra
    known = enough(score, weights, min_cards, min_coverage)
    bias = np.where(known, 100 * np.tanh(gain * total), np.nan)
    line = category_lines(contribution, weights)
    flat = np.abs(total) < 1e-9

    def in_points(part: Array) -> Array:
        return np.where(flat, 100 * gain * part, bias * part / np.where(flat, 1.0, total))

    points = in_points(line)
    own = weights.member @ np.abs(weights.card)
    there = weights.member @ present.astype(float)
    present_weight = weights.member @ np.where(present, np.abs(weights.card), 0.0)
    torn = weights.member @ np.where(present & conflicted, np.abs(weights.card), 0.0)
    # A category of weight 0 has no score: 0 over 0 is not known.
    scored = (there > 0) & (own > 0)
    category = np.where(scored, _divide(weights.member @ contribution, own), np.nan)
    return Composition(
        bias=bias,
        total=total,
        contribution=contribution,
        points=np.where(np.isnan(bias) | (there == 0), np.nan, points),
        category_score=category,
        category_conflicted=(present_weight > 0) & (torn >= 0.5 * present_weight),
        category_available=there.astype(np.int64),
        category_total=(weights.member @ weights.can_have.astype(float)).astype(np.int64),
        available=present.sum(axis=0),
        possible=weights.can_have.sum(axis=0),
        coverage=coverage(present, weights),
        lines={name: np.where(np.isnan(bias), np.nan, in_points(x)) for name, x in lines.items()},
    )


def window_bias(readings: Readings, weights: Weights, gain: float) -> Array:
    """tanh(gain x S) of each window alone, (windows, symbols); NaN where no card has it.

    On the scale of the bias, so that one dead band suits however many cards there are.
    """
    known = ~np.isnan(readings.by_window) & readings.available & weights.can_have
    value = np.where(known, readings.by_window * readings.quality_by_window, 0.0) * weights.card
    total = _divide(value.sum(axis=1), np.abs(weights.prior).sum(axis=0))
    return np.where(known.any(axis=1), np.tanh(gain * total), np.nan)


def window_agreement(bias: Array, by_window: Array, weights: Array, dead_band: float) -> tuple[
    Array, Mask, Array
]:  # fmt: skip
    """(agreement, conflicted, side of each window) of a bias with its windows alone."""
    agreement, conflicted, _ = agree(by_window, weights, np.sign(bias), dead_band)
    side = np.where(np.abs(by_window) > dead_band, np.sign(by_window), 0.0)
    return (
        np.where(np.isnan(bias), np.nan, agreement),
        conflicted & ~np.isnan(bias),
        np.where(np.isnan(by_window), np.nan, side),
    )


def conviction(readings: Readings, weights: Weights, parts: Composition,
               neutral_cut: float) -> Array:  # fmt: skip
    """0..100: mean card confidence x agreement across categories x sqrt(coverage).

    Agreement across categories is the weight of those with the bias's sign over the weight of
    all that take a side. A category short of `neutral_cut` counts in proportion, so that conviction
    does not hang on one category crossing it; conflicted ones count whole and take no side. With no
    bias, or a bias of 0, it is 0: there is nothing to be convinced of.
    """
    present = readings.available & weights.can_have
    own = np.where(present, np.abs(weights.card), 0.0)
    sure = np.where(present, readings.confidence.astype(float) / STEPS, 0.0)
    mean = _divide((own * sure).sum(axis=0), own.sum(axis=0))
    score = np.nan_to_num(parts.category_score)
    torn, sign = parts.category_conflicted, np.sign(np.nan_to_num(parts.bias))
    weight = weights.category * np.where(
        torn, 1.0, np.minimum(np.abs(score) * 100 / neutral_cut, 1)
    )
    same = ~torn & (np.sign(score) == sign) & (sign != 0)
    across = _divide((weight * same).sum(axis=0), weight.sum(axis=0))
    out: Array = 100 * mean * across * np.sqrt(parts.coverage)
    return out


def _divide(top: Array, bottom: Array) -> Array:
    out: Array = np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), 0.0)
    return out
