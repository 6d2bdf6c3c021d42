"""States and the decision ladder, against a slow one written from the design."""

from math import nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.decision.ladder import climb, rung, states

CUTS = (20.0, 40.0)
LADDER = (20.0, 40.0, 60.0)
EDGES = (0.0, 4.0, 8.0)
HYSTERESIS = 5.0

bias = st.floats(-100, 100, allow_nan=False)
edge = st.one_of(st.none(), st.floats(-20, 20, allow_nan=False))
words = st.sampled_from(
    ("WAIT", "LEAN_LONG", "LONG", "STRONG_LONG", "LEAN_SHORT", "SHORT", "STRONG_SHORT")
)


def decide(x: float, before: str = "WAIT", gain: float | None = 99.0, capped: bool = False) -> str:
    return climb(x, before, LADDER, HYSTERESIS, EDGES, gain, capped)


def reference(x: float, before: str, gain: float | None, capped: bool) -> str:
    """WAIT < 20, LEAN, LONG/SHORT >= 40 and edge >= 4, STRONG >= 60 and edge >= 8."""
    side = "LONG" if x > 0 else "SHORT"
    names = ["WAIT", f"LEAN_{side}", side, f"STRONG_{side}"]
    held = names.index(before) if before in names else 0
    most = 1 if capped or gain is None else 3
    reached = 0
    for level in (1, 2, 3):
        cut = LADDER[level - 1] - (HYSTERESIS if level <= held else 0.0)
        if abs(x) < cut or (level > 1 and (gain is None or gain < EDGES[level - 1])):
            break
        reached = level
    return names[min(reached, most)]


@given(x=bias, before=words, gain=edge, capped=st.booleans())
def test_the_ladder_is_what_the_rules_say(
    x: float, before: str, gain: float | None, capped: bool
) -> None:
    assert decide(x, before, gain, capped) == reference(x, before, gain, capped)


@given(x=bias, before=words, gain=edge, capped=st.booleans())
def test_the_mirror(x: float, before: str, gain: float | None, capped: bool) -> None:
    assert decide(-x, _swap(before), gain, capped) == _swap(decide(x, before, gain, capped))


def _swap(word: str) -> str:
    if word.endswith("LONG"):
        return word.removesuffix("LONG") + "SHORT"
    return word.removesuffix("SHORT") + "LONG" if word.endswith("SHORT") else word


@given(low=bias, high=bias, before=words, gain=edge, capped=st.booleans())
def test_more_bias_on_a_side_never_lowers_the_rung(
    low: float, high: float, before: str, gain: float | None, capped: bool
) -> None:
    if low * high > 0 and abs(low) <= abs(high):
        assert rung(decide(low, before, gain, capped)) <= rung(decide(high, before, gain, capped))


@given(x=bias, gain=edge, capped=st.booleans(), one=words, other=words)
def test_a_higher_rung_before_never_lowers_the_one_after(
    x: float, gain: float | None, capped: bool, one: str, other: str
) -> None:
    side = "LONG" if x > 0 else "SHORT"
    if all(word == "WAIT" or word.endswith(side) for word in (one, other)):
        first, second = sorted((one, other), key=rung)
        assert rung(decide(x, first, gain, capped)) <= rung(decide(x, second, gain, capped))


@given(x=bias, before=words)
def test_uncalibrated_or_capped_goes_no_higher_than_lean(x: float, before: str) -> None:
    assert rung(decide(x, before, None)) <= 1
    assert rung(decide(x, before, 99.0, capped=True)) <= 1


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ((19.9, 20.0, 15.0, 14.9), ("WAIT", "LEAN_LONG", "LEAN_LONG", "WAIT")),
        ((41.0, 36.0, 34.0, 39.0), ("LONG", "LONG", "LEAN_LONG", "LEAN_LONG")),
        ((61.0, 55.0, 54.0, 59.0), ("STRONG_LONG", "STRONG_LONG", "LONG", "LONG")),
        ((-61.0, -55.0, 17.0, 20.0), ("STRONG_SHORT", "STRONG_SHORT", "WAIT", "LEAN_LONG")),
        ((41.0, nan, 36.0), ("LONG", "WAIT", "LEAN_LONG")),
        ((22.0, 0.0, -0.0), ("LEAN_LONG", "WAIT", "WAIT")),
    ],
)
def test_a_rung_is_left_five_points_below_where_it_was_entered(
    path: tuple[float, ...], want: tuple[str, ...]
) -> None:
    found, word = [], "WAIT"
    for x in path:
        word = decide(x, word)
        found.append(word)
    assert tuple(found) == want


def test_edges_hold_back_whatever_the_bias() -> None:
    assert decide(90.0, gain=3.9) == "LEAN_LONG"
    assert decide(90.0, gain=4.0) == "LONG"
    assert decide(90.0, gain=7.9) == "LONG"
    assert decide(-90.0, gain=8.0) == "STRONG_SHORT"


@pytest.mark.parametrize(
    ("score", "conflicted", "want"),
    [
        (0.0, False, "NEUTRAL"),
        (-19.999, False, "NEUTRAL"),
        (20.0, False, "BULLISH"),
        (-39.9, False, "BEARISH"),
        (40.0, False, "STRONG_BULLISH"),
        (-100.0, False, "STRONG_BEARISH"),
        (80.0, True, "CONFLICTED"),
    ],
)
def test_states(score: float, conflicted: bool, want: str) -> None:
    found = states(np.array([score]), np.array([conflicted]), CUTS)
    assert found == [want]
