"""Windows into one reading, against the rules written out in plain Python with exact weights."""

from fractions import Fraction
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decision.timeframes import ABSENT, STEPS, Readings, agree, read, scores

DEAD_BAND = 0.05
WEIGHTS = {
    "scalp": ("0.2", "0.5", "0.3"),
    "day": ("0.2", "0.4", "0.4"),
    "swing": ("0.3", "0.4", "0.3"),
    "thirds": ("0.1", "0.2", "0.3"),
}
score = st.one_of(
    st.none(), st.integers(-99, 99).map(lambda n: n / 100), st.sampled_from((0.04, -0.04, 0.0))
)
share = st.integers(0, 10).map(lambda n: n / 10)
cards = st.lists(
    st.tuples(score, score, score, share, share, share, share, st.booleans()),
    min_size=1,
    max_size=6,
)


def sides(windows: list[float], sign: int, weights: list[Fraction]) -> tuple[Fraction, bool, bool]:
    """(agreement, conflicted, neutral) as DESIGN 4.4 states them."""
    out = {k: (1 if x > 0 else -1) for k, x in enumerate(windows)
           if not isnan(x) and abs(x) > DEAD_BAND}  # fmt: skip
    if not out:
        return Fraction(1), False, True
    outside = sum(weights[k] for k in out)
    agreement = sum((weights[k] for k in out if out[k] == sign), Fraction(0)) / outside
    there = [k for k, x in enumerate(windows) if not isnan(x)]
    opposite = out.get(there[0], 0) * out.get(there[-1], 0) < 0
    return agreement, opposite or agreement < Fraction(1, 2), False


def reference(rows: list[tuple], weights: list[Fraction], card: int, whole: int) -> dict:
    """One card's reading; `whole` is the score in 127ths that the code rounded to."""
    windows = [nan if x is None else x for x in rows[card][:3]]
    enough, freshness, level = rows[card][3:6], rows[card][6], rows[card][7]
    there = [k for k in range(3) if not isnan(windows[k])]
    if not there or freshness == 0:
        return {"score": ABSENT, "confidence": 0, "conflicted": False}
    total = sum(weights[k] for k in there)
    mean = sum(weights[k] * Fraction(windows[k]) for k in there) / total
    assert abs(whole - mean * STEPS) <= 0.5 + 1e-9
    agreement, conflicted, neutral = sides(windows, int(np.sign(whole)), weights)
    sufficiency = sum(weights[k] * Fraction(enough[k]) for k in there) / total
    return {
        "score": whole,
        "level": level,
        "neutral": neutral,
        "agreement": agreement,
        "conflicted": conflicted,
        "quality": Fraction(freshness) * sufficiency,
    }


def taken(rows: list[dict]) -> list[dict]:
    """Level cards take the mean agreement of the windowed cards that are there."""
    windowed = [r["agreement"] for r in rows if r["score"] != ABSENT and not r["level"]]
    if windowed:
        mean = sum(windowed) / len(windowed)
        for row in rows:
            if row["score"] != ABSENT and row["level"]:
                row["agreement"] = mean
                row["conflicted"] |= not row["neutral"] and mean < Fraction(1, 2)
    return rows


def run(rows: list[tuple], mode: str) -> Readings:
    table = np.array([[nan if x is None else x for x in row[:3]] for row in rows], dtype=float)
    enough = np.array([row[3:6] for row in rows], dtype=float)
    fresh = np.array([[row[6]] for row in rows], dtype=float)
    weights = np.array([float(w) for w in WEIGHTS[mode]])
    level = np.array([row[7] for row in rows])
    return read(table.T[:, :, None], enough.T[:, :, None], weights, fresh, level, DEAD_BAND)


@given(rows=cards, mode=st.sampled_from(sorted(WEIGHTS)))
@settings(deadline=None, max_examples=150)
def test_readings_are_what_the_rules_say(rows: list[tuple], mode: str) -> None:
    found = run(rows, mode)
    weights = [Fraction(w) for w in WEIGHTS[mode]]
    whole = [int(x) for x in found.score[:, 0]]
    expected = taken([reference(rows, weights, c, whole[c]) for c in range(len(rows))])
    for c, want in enumerate(expected):
        assert found.score[c, 0] == want["score"]
        assert bool(found.conflicted[c, 0]) is want["conflicted"]
        if want["score"] == ABSENT:
            assert found.confidence[c, 0] == 0
            continue
        assert bool(found.neutral[c, 0]) is want["neutral"]
        assert found.agreement[c, 0] == pytest.approx(float(want["agreement"]), abs=1e-12)
        assert found.quality[c, 0] == pytest.approx(float(want["quality"]), abs=1e-12)
        sure = float(want["quality"] * want["agreement"]) * STEPS
        assert abs(found.confidence[c, 0] - sure) <= 0.5 + 1e-9


@given(rows=cards, mode=st.sampled_from(sorted(WEIGHTS)))
@settings(deadline=None, max_examples=100)
def test_negated_scores_give_the_same_reading_with_the_other_sign(
    rows: list[tuple], mode: str
) -> None:
    one = run(rows, mode)
    other = run([(*(None if x is None else -x for x in r[:3]), *r[3:]) for r in rows], mode)
    there = one.available
    np.testing.assert_array_equal(there, other.available)
    np.testing.assert_array_equal(one.score[there], -other.score[there])
    for name in ("confidence", "conflicted", "neutral", "agreement", "quality"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@given(rows=cards, mode=st.sampled_from(sorted(WEIGHTS)), gone=st.sets(st.integers(0, 5)))
@settings(deadline=None, max_examples=100)
def test_a_missing_card_changes_no_windowed_reading(
    rows: list[tuple], mode: str, gone: set[int]
) -> None:
    less = [(*row[:6], 0.0, row[7]) if c in gone else row for c, row in enumerate(rows)]
    one, other = run(rows, mode), run(less, mode)
    for c, row in enumerate(rows):
        if c in gone:
            assert other.score[c, 0] == ABSENT
        else:
            assert other.score[c, 0] == one.score[c, 0]
            if not row[7]:
                assert other.confidence[c, 0] == one.confidence[c, 0]
                assert other.conflicted[c, 0] == one.conflicted[c, 0]


@pytest.mark.parametrize(
    ("windows", "sign", "want"),
    [
        ((0.3, 0.4, 0.5), 1, (1.0, False, False)),
        ((0.05, -0.05, 0.04), 1, (1.0, False, True)),
        ((-0.3, 0.4, 0.5), 1, (0.8, True, False)),
        ((0.3, 0.4, 0.01), 1, (1.0, False, False)),
        ((0.01, 0.4, -0.3), 1, (0.625, False, False)),
        ((nan, 0.4, -0.3), 1, (0.625, True, False)),
        ((0.3, -0.4, nan), -1, (0.5 / 0.7, True, False)),
        ((0.3, -0.9, 0.3), 1, (0.5, False, False)),
        ((0.3, 0.9, 0.3), -1, (0.0, True, False)),
        ((nan, nan, nan), 0, (1.0, False, True)),
    ],
)
def test_agreement_cases(
    windows: tuple[float, ...], sign: int, want: tuple[float, bool, bool]
) -> None:
    table = np.array(windows)[:, None]
    agreement, conflicted, neutral = agree(
        table, np.array([0.2, 0.5, 0.3]), np.array([sign]), DEAD_BAND
    )
    assert agreement[0] == pytest.approx(want[0])
    assert (bool(conflicted[0]), bool(neutral[0])) == want[1:]


def test_half_of_weights_that_do_not_add_up_in_floats_is_half() -> None:
    table = np.array([0.3, 0.3, -0.4])[:, None]
    agreement, _, _ = agree(table, np.array([0.1, 0.2, 0.3]), np.array([-1]), DEAD_BAND)
    assert agreement[0] == pytest.approx(0.5)
    middle = np.array([0.3, -0.4, 0.3])[:, None]
    for weights in ((0.1, 0.3, 0.2), (0.2, 0.3, 0.1)):
        assert not agree(middle, np.array(weights), np.array([-1]), DEAD_BAND)[1][0]


def test_scores_are_half_the_logistic_odds() -> None:
    x = np.array([-np.inf, -2.0, 0.0, 1.0, nan])
    np.testing.assert_allclose(scores(x), [-1.0, np.tanh(-1.0), 0.0, np.tanh(0.5), nan])
