"""From a bias to a word: states by score, and the decision ladder with its hysteresis."""

from math import isnan

STATES = ("NEUTRAL", "BULLISH", "BEARISH", "STRONG_BULLISH", "STRONG_BEARISH", "CONFLICTED")
RUNGS = ("WAIT", "LEAN", "", "STRONG")
WAIT = RUNGS[0]
CAPPED = 1


def state(score: float, conflicted: bool, cuts: tuple[float, float]) -> str:
    """State of a score on the -100..+100 scale."""
    if conflicted:
        return "CONFLICTED"
    if abs(score) < cuts[0]:
        return "NEUTRAL"
    side = "BULLISH" if score > 0 else "BEARISH"
    return f"STRONG_{side}" if abs(score) >= cuts[1] else side


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
