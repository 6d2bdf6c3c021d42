"""One bias from many cards, against plain loops written from the design, and its properties."""

from dataclasses import replace
from math import isnan, nan, sqrt, tanh

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decision.composite import (
    Composition,
    Weights,
    compose,
    contributions,
    conviction,
    enough,
    spread_weights,
    window_agreement,
    window_bias,
)
from engine.decision.timeframes import ABSENT, STEPS, Readings

GAIN = 3.0
CATEGORY = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
CARDS, CATEGORIES, SYMBOLS = len(CATEGORY), 5, 2

whole = st.one_of(st.just(ABSENT), st.integers(-STEPS, STEPS))
reading = st.tuples(whole, st.integers(0, STEPS), st.booleans())
readings = st.lists(reading, min_size=CARDS * SYMBOLS, max_size=CARDS * SYMBOLS)
weight = st.sampled_from((0.0, 0.25, 1.0, -0.5, 4.0))
settings_of_cards = st.tuples(
    st.lists(weight, min_size=CARDS, max_size=CARDS),
    st.lists(st.sampled_from((0.0, 0.25, 1.0, 4.0)), min_size=CATEGORIES, max_size=CATEGORIES),
    st.lists(st.booleans(), min_size=CARDS * SYMBOLS, max_size=CARDS * SYMBOLS),
)
MEMBER = np.array([[float(c == k) for c in CATEGORY] for k in range(CATEGORIES)])


def weights_of(drawn: tuple) -> Weights:
    card, category = np.array(drawn[0]), np.array(drawn[1])[:, None] * np.array([1.0, 0.5])
    have = np.array(drawn[2]).reshape(CARDS, SYMBOLS)
    table = spread_weights(category, card, MEMBER, have)
    return Weights(card=table, prior=table, category=category, member=MEMBER, can_have=have)


def parts_of(drawn: list[tuple], have: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """(score, confidence, conflicted); what a symbol cannot have is not there."""
    score = np.array([r[0] for r in drawn], dtype=np.int8).reshape(CARDS, SYMBOLS)
    if have is not None:
        score = np.where(have, score, ABSENT).astype(np.int8)
    there = score != ABSENT
    sure = np.array([r[1] for r in drawn], dtype=np.int8).reshape(CARDS, SYMBOLS)
    torn = np.array([r[2] for r in drawn]).reshape(CARDS, SYMBOLS)
    return score, np.where(there, sure, 0).astype(np.int8), torn & there


def made(parts: tuple[np.ndarray, ...], weights: Weights, gain: float = GAIN) -> Composition:
    return compose(*parts, weights, gain, 5, 0.05)


def weight_by_hand(drawn: tuple, c: int, s: int) -> float:
    card, category, have = drawn
    possible = [k for k in range(CARDS) if CATEGORY[k] == CATEGORY[c] and have[k * SYMBOLS + s]]
    total = sum(abs(card[k]) for k in possible)
    if c not in possible or total == 0:
        return 0.0
    return category[CATEGORY[c]] * (1.0, 0.5)[s] * card[c] / total


def reference(drawn: tuple, parts: tuple[np.ndarray, ...], s: int) -> dict:
    """Items 6 to 9 of DESIGN 4 for one symbol, in loops."""
    have = [c for c in range(CARDS) if drawn[2][c * SYMBOLS + s]]
    weight = {c: weight_by_hand(drawn, c, s) for c in have}
    line = {}
    for c in have:
        score, sure, torn = (int(p[c, s]) for p in parts)
        if score != ABSENT:
            sign, strength = np.sign(score), abs(score) / STEPS * (0.5 if torn else 1.0)
            line[c] = sign * strength * sure / STEPS * weight[c]
    possible = sum(abs(w) for w in weight.values())
    covered = sum(abs(weight[c]) for c in line)
    coverage = covered / possible if possible else 0.0
    total = sum(line.values()) / possible if possible else 0.0
    known = len(line) >= 5 and coverage >= 0.05 - 1e-15
    out = {"total": total, "coverage": coverage, "line": line,
           "bias": 100 * tanh(GAIN * total) if known else nan}  # fmt: skip
    for k in range(CATEGORIES):
        own = [c for c in have if CATEGORY[c] == k]
        there = [c for c in own if c in line]
        size = sum(abs(weight[c]) for c in own)
        torn = sum(abs(weight[c]) for c in there if parts[2][c, s])
        here = sum(abs(weight[c]) for c in there)
        out[k] = (sum(line[c] for c in there) / size if there and size else nan,
                  here > 0 and torn >= here / 2 - 1e-12)  # fmt: skip
    return out


@given(drawn=settings_of_cards, cards=readings)
@settings(deadline=None, max_examples=100)
def test_a_bias_is_what_the_rules_say(drawn: tuple, cards: list[tuple]) -> None:
    weights = weights_of(drawn)
    parts = parts_of(cards, weights.can_have)
    found = made(parts, weights)
    for s in range(SYMBOLS):
        want = reference(drawn, parts, s)
        assert found.total[s] == pytest.approx(want["total"], abs=1e-12)
        assert found.coverage[s] == pytest.approx(want["coverage"], abs=1e-12)
        assert found.bias[s] == pytest.approx(want["bias"], abs=1e-9, nan_ok=True)
        for c in range(CARDS):
            assert weights.card[c, s] == pytest.approx(weight_by_hand(drawn, c, s), abs=1e-12)
            assert found.contribution[c, s] == pytest.approx(want["line"].get(c, 0.0), abs=1e-12)
        for k in range(CATEGORIES):
            score, torn = want[k]
            assert found.category_score[k, s] == pytest.approx(score, abs=1e-12, nan_ok=True)
            assert bool(found.category_conflicted[k, s]) is torn


@given(drawn=settings_of_cards, cards=readings)
@settings(deadline=None, max_examples=100)
def test_points_add_up_to_the_bias(drawn: tuple, cards: list[tuple]) -> None:
    weights = weights_of(drawn)
    found = made(parts_of(cards, weights.can_have), weights)
    for s in range(SYMBOLS):
        points = found.points[:, s]
        if isnan(found.bias[s]):
            assert np.isnan(points).all()
        else:
            assert np.nansum(points) == pytest.approx(found.bias[s], abs=1e-9)


@pytest.mark.parametrize("rest", [0.0, 1e-14, 1e-11, 9e-10, 1.1e-9, 1e-8])
def test_points_add_up_when_lines_cancel(rest: float) -> None:
    """Two categories against each other, all but `rest` of S."""
    member = np.repeat(np.eye(2), 4, axis=1)
    weights = np.repeat([[1.0], [1.0 - 4 * rest]], 4, axis=0) / 4
    table = Weights(card=weights, prior=weights, category=np.ones((2, 1)), member=member,
                    can_have=np.ones((8, 1), dtype=bool))  # fmt: skip
    score = np.repeat([[90], [-90]], 4, axis=0).astype(np.int8)
    sure = np.full((8, 1), STEPS, dtype=np.int8)
    found = compose(score, sure, np.zeros((8, 1), dtype=bool), table, GAIN, 5, 0.05)
    assert abs(found.points[:, 0]).min() > 50
    assert abs(found.total[0]) < 2 * rest + 1e-15
    assert found.points[:, 0].sum() == pytest.approx(found.bias[0], abs=1e-9)


@given(drawn=settings_of_cards, cards=readings)
@settings(deadline=None, max_examples=100)
def test_negated_scores_give_exactly_the_negated_bias(drawn: tuple, cards: list[tuple]) -> None:
    weights = weights_of(drawn)
    score, sure, torn = parts_of(cards)
    turned = np.where(score == ABSENT, ABSENT, -score.astype(int)).astype(np.int8)
    one, other = made((score, sure, torn), weights), made((turned, sure, torn), weights)
    for name in ("bias", "total", "contribution", "points", "category_score"):
        np.testing.assert_array_equal(getattr(one, name), -getattr(other, name))
    for name in ("coverage", "available", "category_conflicted", "category_available"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.slow
@given(drawn=settings_of_cards, cards=readings, gone=st.sets(st.integers(0, CARDS - 1)))
@settings(deadline=None, max_examples=100)
def test_missing_cards_shrink_and_never_inflate(
    drawn: tuple, cards: list[tuple], gone: set[int]
) -> None:
    weights = weights_of(drawn)
    score, sure, torn = parts_of(cards, weights.can_have)
    less = score.copy()
    less[sorted(gone)] = ABSENT
    one, other = made((score, sure, torn), weights), made((less, sure, torn), weights)
    kept = [c for c in range(CARDS) if c not in gone]
    np.testing.assert_array_equal(one.contribution[kept], other.contribution[kept])
    assert not other.contribution[sorted(gone)].any()
    possible = np.abs(weights.prior).sum(axis=0)
    np.testing.assert_allclose(
        other.total * possible, one.contribution[kept].sum(axis=0), atol=1e-12
    )
    assert (other.coverage <= one.coverage).all()
    same = np.where(score == ABSENT, ABSENT, np.abs(score.astype(int))).astype(np.int8)
    positive = replace(weights, card=np.abs(weights.card))
    whole_side = made((same, sure, torn), positive).total
    same[sorted(gone)] = ABSENT
    assert (made((same, sure, torn), positive).total <= whole_side + 1e-15).all()


def even(count: int = 8) -> Weights:
    weights, have = np.full((count, 1), 1.0 / count), np.ones((count, 1), dtype=bool)
    return Weights(card=weights, prior=weights, category=np.ones((1, 1)),
                   member=np.ones((1, count)), can_have=have)  # fmt: skip


@pytest.mark.parametrize(("there", "known"), [(4, False), (5, True)])
def test_four_cards_are_no_bias_and_not_zero(there: int, known: bool) -> None:
    score = np.full((8, 1), ABSENT, dtype=np.int8)
    score[:there] = 100
    sure = np.full((8, 1), 100, dtype=np.int8)
    found = compose(score, sure, np.zeros((8, 1), dtype=bool), even(), GAIN, 5, 0.05)
    assert isnan(found.bias[0]) is not known
    assert isnan(found.points[0, 0]) is not known
    assert found.available[0] == there
    assert bool(enough(score, even(), 5, 0.05)[0]) is known


def test_thin_coverage_is_no_bias() -> None:
    weights = even()
    prior = weights.prior.copy()
    prior[:6], prior[6:] = 0.001, 0.5
    table = replace(weights, prior=prior, card=prior)
    score = np.full((8, 1), ABSENT, dtype=np.int8)
    score[:6] = 100
    sure = np.full((8, 1), 127, dtype=np.int8)
    assert isnan(compose(score, sure, score > 127, table, GAIN, 5, 0.05).bias[0])


def test_conflict_halves_and_confidence_scales() -> None:
    score, sure = np.array([[127], [127]], dtype=np.int8), np.array([[127], [64]], dtype=np.int8)
    torn = np.array([[True], [False]])
    lines = contributions(score, sure, torn, np.array([[0.5], [-1.0]]))
    np.testing.assert_allclose(lines[:, 0], [0.25, -64 / 127])


def test_a_category_of_weight_zero_has_no_score() -> None:
    table = replace(even(), card=np.zeros((8, 1)), prior=np.zeros((8, 1)))
    score = np.full((8, 1), 100, dtype=np.int8)
    found = compose(score, score, np.zeros((8, 1), dtype=bool), table, GAIN, 5, 0.05)
    assert isnan(found.category_score[0, 0])
    assert isnan(found.bias[0])


def test_a_category_s_say_does_not_grow_with_its_cards() -> None:
    category, card = np.array([[2.0], [1.0]]), np.array([1.0, 1.0, -2.0, 1.0])
    member = np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    have = np.array([[True], [True], [True], [True]])
    found = spread_weights(category, card, member, have)[:, 0]
    np.testing.assert_allclose(found, [0.5, 0.5, -1.0, 1.0])
    have[0] = False
    np.testing.assert_allclose(
        spread_weights(category, card, member, have)[:, 0], [0, 2 / 3, -4 / 3, 1]
    )


def windows_of(by_window: list[list[float]], quality: float = 1.0) -> Readings:
    """Eight cards that show these windows, (windows,) scores each."""
    table = np.array(by_window).T[:, :, None]
    score = np.where(np.isnan(table).all(axis=0), ABSENT, 50).astype(np.int8)
    flags = np.zeros(score.shape, dtype=bool)
    return Readings(score, np.full_like(score, 64), flags, flags, np.ones(score.shape),
                    np.full(score.shape, quality), table,
                    np.full(table.shape, quality))  # fmt: skip


def test_window_bias_is_the_bias_of_one_window_alone() -> None:
    found = windows_of([[0.5, -0.2, nan]] * 4 + [[0.1, nan, nan]] * 4, quality=0.5)
    alone = window_bias(found, even(), GAIN)[:, 0]
    want = [tanh(GAIN * 0.5 * (4 * 0.5 + 4 * 0.1) / 8), tanh(GAIN * 0.5 * 4 * -0.2 / 8), nan]
    np.testing.assert_allclose(alone, want)
    agreement, torn, side = window_agreement(
        np.array([10.0]), alone[:, None], np.array([0.2, 0.5, 0.3]), 0.05
    )
    assert (agreement[0], bool(torn[0])) == (pytest.approx(0.2 / 0.7), True)
    np.testing.assert_array_equal(side[:, 0], [1, -1, nan])


def test_without_a_bias_nothing_agrees() -> None:
    agreement, torn, _ = window_agreement(
        np.array([nan]), np.array([[0.5], [-0.5]]), np.array([0.5, 0.5]), 0.05
    )
    assert isnan(agreement[0])
    assert not torn[0]


def composed(scores: list[float], torn: list[bool], bias: float, coverage: float) -> Composition:
    column = np.array(scores)[:, None]
    count = np.zeros((len(scores), 1), dtype=np.int64)
    return Composition(
        bias=np.array([bias]), total=np.array([0.0]), contribution=column, points=column,
        category_score=column, category_conflicted=np.array(torn)[:, None],
        category_available=count, category_total=count, available=count[0], possible=count[0],
        coverage=np.array([coverage]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "torn", "bias", "across"),
    [
        ([0.5, 0.3, 0.1], [False] * 3, 30.0, 1.0),
        ([0.5, -0.3, 0.2], [False] * 3, 30.0, 2 / 4),
        ([0.5, -0.3, 0.1], [False] * 3, 30.0, 1.5 / 3.5),
        ([0.5, -0.3, -0.1], [False] * 3, -30.0, 2.5 / 3.5),
        ([0.5, 0.3, 0.2], [True, False, False], 30.0, 3 / 4),
        ([0.02, 0.3, 0.2], [True, False, False], 30.0, 3 / 4),
        ([0.1, 0.1, 0.1], [False] * 3, 30.0, 1.0),
        ([0.1, -0.02, 0.04], [False] * 3, 30.0, 7 / 9),
        ([0.5, nan, nan], [False] * 3, 30.0, 1.0),
        ([0.0, 0.0, 0.0], [False] * 3, 30.0, 0.0),
        ([0.5, 0.0, 0.1], [False] * 3, 0.0, 0.0),
        ([0.5, 0.3, 0.1], [False] * 3, nan, 0.0),
    ],
)
def test_conviction(scores: list[float], torn: list[bool], bias: float, across: float) -> None:
    """Category weights 1, 2, 1; confidence 64/127 for all cards; coverage one half."""
    weights = Weights(card=np.full((8, 1), 0.1), prior=np.full((8, 1), 0.1),
                      category=np.array([[1.0], [2.0], [1.0]]), member=np.zeros((3, 8)),
                      can_have=np.ones((8, 1), dtype=bool))  # fmt: skip
    found = conviction(windows_of([[0.5]] * 8), weights, composed(scores, torn, bias, 0.5), 20.0)
    assert found[0] == pytest.approx(100 * 64 / 127 * across * sqrt(0.5))


sides = st.floats(-1, 1, allow_nan=False)


def convinced(scores: list[float], torn: list[bool], bias: float) -> float:
    weights = Weights(card=np.full((8, 1), 0.1), prior=np.full((8, 1), 0.1),
                      category=np.array([[1.0], [2.0], [1.0]]), member=np.zeros((3, 8)),
                      can_have=np.ones((8, 1), dtype=bool))  # fmt: skip
    found = conviction(windows_of([[0.5]] * 8), weights, composed(scores, torn, bias, 1.0), 20.0)
    return float(found[0])


@given(
    scores=st.lists(sides, min_size=3, max_size=3),
    torn=st.lists(st.booleans(), min_size=3, max_size=3),
    bias=st.floats(-100, 100, allow_nan=False),
)
def test_conviction_is_continuous_bounded_and_the_same_in_the_mirror(
    scores: list[float], torn: list[bool], bias: float
) -> None:
    value = convinced(scores, torn, bias)
    assert 0 <= value <= 100 * 64 / 127 + 1e-9
    assert convinced([-s for s in scores], torn, -bias) == value
    weight = sum(
        w * (1.0 if t else min(abs(s) / 0.2, 1.0))
        for w, s, t in zip((1.0, 2.0, 1.0), scores, torn, strict=True)
    )
    if weight > 0.1:
        nearby = [s + 1e-9 * (1 if s > 0 else -1) for s in scores]
        assert convinced(nearby, torn, bias) == pytest.approx(value, abs=1e-4)
