"""From a bias to a word: states by score, and the decision ladder with its hysteresis."""

from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOT_AVAILABLE = "NOT_AVAILABLE"
STATES = ("NEUTRAL", "BULLISH", "BEARISH", "STRONG_BULLISH", "STRONG_BEARISH", "CONFLICTED")
RUNGS = ("WAIT", "LEAN", "", "STRONG")
_WORDS = np.array([*STATES, NOT_AVAILABLE], dtype=object)
WAIT = RUNGS[0]
CAPPED = 1


def states(scores: NDArray[np.float64], conflicted: NDArray[np.bool_],
           cuts: tuple[float, float]) -> list[Any]:  # fmt: skip
    """States of scores on the -100..+100 scale, as a list of the same shape; NaN: not available."""
    size = np.abs(scores)
    level = np.where(size >= cuts[1], 3, np.where(size >= cuts[0], 1, 0))
    place = np.where(level > 0, level + (scores < 0), 0)
    place = np.where(conflicted, 5, place)
    out: list[Any] = _WORDS[np.where(np.isnan(scores), 6, place)].tolist()
    return out


def climb(bias: float, before: str, ladder: tuple[float, float, float], hysteresis: float,
          edges: tuple[float, float, float], edge: float | None, capped: bool) -> str:  # fmt: skip
    """The decision for a bias, given the one before it.

    A rung is entered at its cut and left `hysteresis` points below it. `edge` in points, None
    while confidence is not calibrated; then, or when `capped` (conflicted, thin coverage), the
    decision goes no higher than LEAN.
    """
    if isnan(bias) or bias == 0:
        return WAIT
    side = "LONG" if bias > 0 else "SHORT"
    held = rung(before) if before.endswith(side) else 0
    height = 0
    for level, cut in enumerate(ladder, start=1):
        reached = abs(bias) >= cut or (level <= held and abs(bias) >= cut - hysteresis)
        paid = edges[level - 1] <= 0 or (edge is not None and edge >= edges[level - 1])
        if reached and paid:
            height = level
        else:
            break
    if capped or edge is None:
        height = min(height, CAPPED)
    return WAIT if height == 0 else "_".join(filter(None, (RUNGS[height], side)))


def rung(decision: str) -> int:
    """0 WAIT, 1 LEAN, 2 LONG or SHORT, 3 STRONG."""
    if decision == WAIT:
        return 0
    return {"LEAN": 1, "STRONG": 3}.get(decision.split("_")[0], 2)
