"""A reading is of its decision: normaliser, weights and points, though all have moved on since."""

from time import perf_counter
from typing import Any

import numpy as np
import pytest

from engine.config import MODES, Config
from engine.decision.decide import Decision
from engine.feeds.feed import Frame, build_feed
from engine.jobs.explain import CardPart, Facts, explain
from engine.jobs.probe import taken
from engine.runtime.made import kept
from engine.runtime.pictures import Pictures
from engine.runtime.pipeline import Pipeline
from engine.snapshot import Reading

pytestmark = pytest.mark.slow
SYMBOL = "BTCUSDT"
PART = frozenset({"readings"})


@pytest.fixture(scope="module")
def run(settings: Config, frames: list[Frame]) -> Any:
    """Per step and mode: the readings, and what explain took down when that was decided."""
    facts: dict[str, Facts] = {}
    seen: list[tuple[str, Facts, tuple[Reading, ...]]] = []
    before: list[tuple[Reading, ...]] = []

    def stepped(now: int, decisions: list[Decision]) -> None:
        for decision in decisions:
            pictures.decided(decision)
            if decision.decision[0]:
                facts[decision.mode] = taken(pipeline, decision, 0)
        found = pictures.detail(SYMBOL, PART).readings
        seen.extend((mode, facts[mode], found[mode]) for mode in facts)
        before.extend(found[mode] for mode in MODES if mode not in facts)

    feed = build_feed("binance", settings.feeds["binance"], settings.instruments)
    pipeline = Pipeline(settings, {"binance": feed}, on_step=stepped)
    pictures = Pictures(pipeline, "replay")
    for frame in frames:
        pipeline.on_frame(frame)
    return pipeline, seen, before


def parts(facts: Facts) -> dict[str, CardPart]:
    tree = explain(facts, facts.ts, "replay", "")
    return {card.id: card for category in tree.categories for card in category.cards}


def test_readings_are_what_explain_tells_of_the_decision(run: Any) -> None:
    _, seen, _ = run
    late = compared = 0
    for mode, facts, found in seen[::7]:
        told = parts(facts)
        late += seen[-1][1].ts > facts.ts
        for reading in found:
            part = told[reading.card]
            assert (reading.available, reading.conflicted) == (part.available, part.conflicted)
            assert reading.points == (None if part.points is None else pytest.approx(part.points))
            for name in ("freshness", "sufficiency"):
                said = getattr(part, name)
                assert getattr(reading, name) == (said if said is None else pytest.approx(said))
            assert reading.weight == part.weight
            for window in part.windows:
                name = window.window
                assert reading.weights[name] == window.weight
                shown = (reading.raws[name], reading.scores[name], reading.centres[name],
                         reading.scales[name])  # fmt: skip
                assert shown == (window.raw, window.score, window.centre, window.scale), mode
                assert reading.samples[name] == (window.samples or None)
                compared += window.score is not None
    assert late > 3
    assert compared > 1000


def test_points_are_recomputed_from_a_reading_alone(run: Any) -> None:
    """Raw to points by the sums that the card's page tells."""
    _, seen, _ = run
    compared = 0
    for _, facts, found in seen[:: max(1, len(seen) // 20)]:
        bias = facts.bias
        for r in (r for r in found if r.available and bias is not None):
            sign = -1 if r.score < 0 else 1
            assert r.contribution == pytest.approx(sign * r.strength * r.confidence * r.weight)
            quality = r.freshness * r.sufficiency * r.agreement
            assert r.confidence == pytest.approx(quality, abs=0.51 / 127)
            assert r.points == pytest.approx(bias * r.contribution / r.whole / r.total, abs=1e-9)
            there = [w for w, s in r.scores.items() if s is not None]
            whole = sum(r.weights[w] for w in there)
            enough = sum(r.weights[w] * r.samples[w] / (r.samples[w] + 30) for w in there) / whole
            assert r.sufficiency == pytest.approx(enough)
            for w in there:
                scale = r.scales[w]
                x = 0.0 if scale is None else (r.raws[w] - r.centres[w]) / scale
                assert r.scores[w] == pytest.approx(np.tanh(x / 2))
            score = sum(r.weights[w] * r.scores[w] for w in there) / whole
            assert r.score == pytest.approx(score, abs=0.51 / 127)
            compared += 1
    assert compared > 200


def test_before_the_first_decision_they_are_as_now(run: Any) -> None:
    _, _, before = run
    assert before
    for found in before:
        for reading in found:
            assert reading.points is None
            assert reading.whole is None
            assert set(reading.samples) == set(reading.weights)


def test_what_is_kept_is_a_copy_and_cheap(run: Any) -> None:
    """At most 0.3 ms for all the modes of a step, which a loaded machine may double."""
    pipeline, _, _ = run
    decider = pipeline.decider
    own, copy = decider.normaliser, kept(decider)
    everywhere = slice(None), slice(None)
    for mine, theirs in zip(own.scale(*everywhere), copy.scale(*everywhere), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(own.sufficiency(), copy.sufficiency())
    first = copy.scale(*everywhere)[1].copy()
    raw = np.ones_like(decider.raw) * 1e6
    later = kept(decider)
    later.update(raw, pipeline.step_ts + 10**10, 10.0)
    np.testing.assert_array_equal(copy.scale(*everywhere)[1], first)
    taken = []
    for _ in range(31):
        start = perf_counter()
        kept(decider)
        taken.append(perf_counter() - start)
    assert min(taken) <= 0.0003
