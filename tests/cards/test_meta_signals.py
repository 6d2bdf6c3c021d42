"""Meta signals: against loops over cards, and first passes with a known answer."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.cards import meta_signals as cards
from engine.market.mirror import mirror
from engine.market.view import Array, FirstPass, View

Make = Callable[..., View]
NAMES = ("confidence_ensemble", "signal_agreement", "agreement_velocity", "category_conflict")


def value(name: str, view: View) -> Array:
    found: Array = getattr(cards, name)(view)
    return found


def first(view: View, scores: Sequence[float], categories: Sequence[str], **other: Any) -> View:
    """The view with a first pass of these cards, the same in all modes, windows and symbols."""
    assert view.first is not None
    n, (m, _, w, s) = len(scores), view.first.by_window.shape
    column = np.array(scores, dtype=float)[None, :, None]

    def wide(x: Any) -> Array:
        return np.broadcast_to(np.asarray(x, float).reshape(1, -1, 1), (m, n, s)).copy()

    made = FirstPass(
        modes=view.first.modes,
        cards=tuple(f"card_{k}" for k in range(n)),
        categories=tuple(categories),
        by_window=np.broadcast_to(column[..., None], (m, n, w, s)).copy(),
        score=wide(scores),
        confidence=wide(other.get("confidence", np.ones(n))),
        weight=wide(other.get("weight", np.ones(n))),
        category_weight=wide(other.get("category_weight", np.ones(n))),
        breadth=view.first.breadth,
        breadth_before=view.first.breadth_before,
    )
    return replace(view, first=made)


def test_confidence_weighs_the_scores(make_view: Make) -> None:
    sure = first(make_view(), [0.8, -0.4, 0.5], "aab", confidence=[0.9, 0.3, 0.0])
    np.testing.assert_allclose(value("confidence_ensemble", sure), (0.72 - 0.12) / 1.2)


def test_loops_over_the_cards(make_view: Make) -> None:
    view = make_view(2)
    rng = np.random.default_rng(0)
    assert view.first is not None
    gaps = np.where(rng.random(view.first.by_window.shape) < 0.3, np.nan, 1.0)
    weight = rng.choice([-0.5, 0.0, 0.2, 1.0], view.first.weight.shape)
    seen = replace(view.first, by_window=view.first.by_window * gaps, weight=weight)
    found = {name: value(name, replace(view, first=seen)) for name in NAMES}
    for m, w, s in np.ndindex(3, 6, 3):
        voting = [c for c in range(40) if weight[m, c, s] and gaps[m, c, w, s] == 1]
        score = {c: seen.by_window[m, c, w, s] * np.sign(weight[m, c, s]) for c in voting}
        sure = sum(seen.confidence[m, c, s] for c in voting)
        mean = sum(score[c] * seen.confidence[m, c, s] for c in voting) / sure
        assert found["confidence_ensemble"][m, w, s] == pytest.approx(mean)
        sides = [min(max(x / 0.05, -1), 1) for x in score.values()]
        assert found["signal_agreement"][m, w, s] == pytest.approx(sum(sides) / len(sides))
        whole, against = conflict(seen, voting, score, weight[m, :, s])
        assert found["category_conflict"][m, w, s] == pytest.approx(-np.sign(whole) * against)


def conflict(
    seen: FirstPass, voting: list[int], score: dict[int, float], weight: Array
) -> tuple[float, float]:
    """Mean of the category scores, and the share of (equal) categories that oppose it."""
    means = []
    for name in dict.fromkeys(seen.categories):
        own = [c for c in voting if seen.categories[c] == name]
        if own:
            total = sum(abs(weight[c]) for c in own)
            means.append(sum(score[c] * abs(weight[c]) for c in own) / total)
    side = [min(max(x / 0.05, -1), 1) for x in means]
    whole = sum(means) / len(means)
    lean = min(max(whole / 0.05, -1), 1)
    return whole, sum(max(-x * lean, 0.0) for x in side) / len(side)


def test_agreement_moves_with_the_votes(make_view: Make) -> None:
    votes = first(make_view(), [0.5, 0.6, -0.2, 0.0], "abcd")
    np.testing.assert_allclose(value("signal_agreement", votes), 0.25)
    inverted = first(make_view(), [0.5, 0.6, -0.2, 0.0], "abcd", weight=[-1, 1, 1, 1])
    np.testing.assert_allclose(value("signal_agreement", inverted), -0.25)


def test_velocity_is_the_change_over_the_window(make_view: Make) -> None:
    view = make_view()
    assert view.first is not None
    before = np.full_like(view.first.breadth_before, 0.1)
    before[:, 2] = np.nan
    now = replace(view.first, breadth=np.full((3, 3), 0.4), breadth_before=before)
    found = value("agreement_velocity", replace(view, first=now))
    assert np.isnan(found[:, 2]).all()
    np.testing.assert_allclose(found[:, [0, 1, 3, 4, 5]], 0.3)


def test_conflict_is_the_weight_that_opposes(make_view: Make) -> None:
    weights = {"category_weight": [2.0, 1.0, 1.0]}
    against = first(make_view(), [0.6, -0.5, 0.4], "abc", **weights)
    np.testing.assert_allclose(value("category_conflict", against), -0.25)
    agreed = first(make_view(), [0.6, 0.5, 0.4], "abc", **weights)
    np.testing.assert_allclose(value("category_conflict", agreed), 0.0)


def test_cards_that_are_not_there_have_no_say(make_view: Make) -> None:
    some = first(make_view(), [0.6, np.nan, 0.4], "abb", confidence=[1, 1, 1])
    np.testing.assert_allclose(value("confidence_ensemble", some), 0.5)
    np.testing.assert_allclose(value("signal_agreement", some), 1.0)
    none = first(make_view(), [np.nan, np.nan], "ab")
    for name in ("confidence_ensemble", "signal_agreement", "category_conflict"):
        assert np.isnan(value(name, none)).all(), name
    muted = first(make_view(), [0.5, 0.5], "ab", weight=[0.0, 0.0])
    assert np.isnan(value("signal_agreement", muted)).all()


@pytest.mark.parametrize("name", NAMES)
def test_without_a_first_pass_there_is_nothing(name: str, make_view: Make) -> None:
    assert value(name, replace(make_view(), first=None)).shape == (0, 6, 3)


@pytest.mark.parametrize("name", NAMES)
def test_a_mirrored_first_pass_gives_the_mirrored_answer(name: str, make_view: Make) -> None:
    view = make_view(3)
    np.testing.assert_allclose(value(name, mirror(view)), -value(name, view), atol=1e-12)
