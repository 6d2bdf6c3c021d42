"""Scores of several windows into one reading per card: agreement, conflict, confidence."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.market.view import Array

Mask = NDArray[np.bool_]
Small = NDArray[np.int8]
STEPS = 127
ABSENT = -128
# Sums of weights such as 0.1 + 0.2 must not decide whether half of them is half.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Readings:
    """Every card of one mode, (cards, symbols) each.

    `score` and `confidence` are in 127ths; where the card is not available they are -128 and 0.
    With `conflicted` they are all that decides, and what the store keeps. `by_window` and
    `quality_by_window` (windows, cards, symbols) are not rounded.
    """

    score: Small
    confidence: Small
    conflicted: Mask
    neutral: Mask
    agreement: Array
    quality: Array
    by_window: Array
    quality_by_window: Array

    @property
    def available(self) -> Mask:
        out: Mask = self.score != ABSENT
        return out


def scores(normalised: Array) -> Array:
    """tanh(normalised / 2), DESIGN section 4 item 3."""
    return np.tanh(normalised / 2)


def weigh(by_window: Array, weights: Array) -> Array:
    """Mean over the first axis under `weights`, missing windows left out; NaN with none."""
    known = ~np.isnan(by_window)
    total = np.tensordot(weights, known.astype(float), axes=1)
    value = np.tensordot(weights, np.where(known, by_window, 0.0), axes=1)
    out: Array = np.where(total > 0, value / np.where(total > 0, total, 1.0), np.nan)
    return out


def agree(by_window: Array, weights: Array, sign: Array, dead_band: float) -> tuple[
    Array, Mask, Mask
]:  # fmt: skip
    """(agreement, conflicted, neutral) of windows (first axis) with `sign`.

    Agreement is the weight of windows on the side of `sign` over the weight of those that take a
    side; with none of them it is 1, neutral and never conflicted. Conflicted: the shortest and
    the longest window that are there take opposite sides, or agreement is below one half.
    """
    side = np.where(np.abs(by_window) > dead_band, np.sign(by_window), 0.0)
    side = np.where(np.isnan(by_window), 0.0, side)
    outside = np.tensordot(weights, np.abs(side), axes=1)
    same = np.tensordot(weights, (side == sign) & (side != 0), axes=1)
    neutral = outside == 0
    agreement = np.where(neutral, 1.0, same / np.where(neutral, 1.0, outside))
    known = ~np.isnan(by_window)
    first = np.take_along_axis(side, known.argmax(axis=0)[None], axis=0)[0]
    last = np.take_along_axis(side, len(side) - 1 - known[::-1].argmax(axis=0)[None], axis=0)[0]
    conflicted = ~neutral & ((first * last < 0) | torn(agreement))
    return agreement, conflicted, neutral


def torn(agreement: Array) -> Mask:
    """Whether less than half of the weight agrees."""
    out: Mask = agreement < 0.5 - ROUNDING
    return out


def read(by_window: Array, sufficiency: Array, weights: Array, freshness: Array, level: Mask,
         dead_band: float) -> Readings:  # fmt: skip
    """Readings of one mode from (windows, cards, symbols) scores and sufficiency.

    `freshness` (cards, symbols) 0..1; a card without it is not available. `level` (cards,): cards
    whose windows repeat one value take the mean agreement of the windowed cards of the symbol.
    """
    return together(each(by_window, sufficiency, weights, freshness, dead_band), level)


def each(by_window: Array, sufficiency: Array, weights: Array, freshness: Array,
         dead_band: float) -> Readings:  # fmt: skip
    """Every card by itself: readings without a confidence yet (see `together`)."""
    score = weigh(by_window, weights)
    enough = weigh(np.where(np.isnan(by_window), np.nan, sufficiency), weights)
    there = ~np.isnan(score) & (freshness > 0)
    rounded = np.where(there, np.rint(np.where(there, score, 0.0) * STEPS), ABSENT).astype(np.int8)
    agreement, conflicted, neutral = agree(
        by_window, weights, np.sign(np.where(there, rounded, 0)), dead_band
    )
    quality = np.where(there, freshness * np.where(there, enough, 0.0), 0.0)
    return Readings(rounded, np.zeros_like(rounded), conflicted & there, neutral, agreement,
                    quality, by_window, freshness * sufficiency)  # fmt: skip


def instead(own: Readings, cards: NDArray[np.int64], others: Readings) -> Readings:
    """`own` readings with `others` in the place of some cards."""
    fields = {}
    for name in Readings.__dataclass_fields__:
        value = getattr(own, name).copy()
        value[..., cards, :] = getattr(others, name)
        fields[name] = value
    return Readings(**fields)


def together(own: Readings, level: Mask) -> Readings:
    """The readings with what cards take from each other: the agreement of level cards."""
    there = own.available
    windowed = there & ~level[:, None]
    count = windowed.sum(axis=0)
    mean = np.where(windowed, own.agreement, 0.0).sum(axis=0) / np.maximum(count, 1)
    taken = level[:, None] & (count > 0)
    agreement = np.where(taken, mean, own.agreement)
    conflicted = own.conflicted | (taken & ~own.neutral & torn(agreement) & there)
    confidence = np.rint(own.quality * agreement * STEPS).astype(np.int8)
    return replace(own, confidence=confidence, conflicted=conflicted, agreement=agreement)
