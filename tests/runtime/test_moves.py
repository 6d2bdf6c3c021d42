"""What moved a bias: parts add up to its change, cards to their categories, None says nothing."""

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from engine.clock import NS
from engine.config import MODES, Config
from engine.decision.decide import Decision
from engine.feeds.feed import Frame, build_feed
from engine.jobs.explain import Facts, moved
from engine.jobs.probe import taken
from engine.runtime.pictures import Pictures
from engine.runtime.pipeline import Pipeline
from engine.snapshot import Move, Moved

pytestmark = pytest.mark.slow
SYMBOLS = ("BTCUSDT", "ETHUSDT")
PART = frozenset({"moves"})
Told = Callable[[Pictures, list[Decision]], None]


def play(settings: Config, frames: list[Frame], told: Told) -> Pictures:
    """A run whose details are asked for after each step."""

    def stepped(now: int, decisions: list[Decision]) -> None:
        for decision in decisions:
            pictures.decided(decision)
        told(pictures, decisions)

    feed = build_feed("binance", settings.feeds["binance"], settings.instruments)
    pipeline = Pipeline(settings, {"binance": feed}, on_step=stepped)
    pictures = Pictures(pipeline, "replay")
    for frame in frames:
        pipeline.on_frame(frame)
    return pictures


@pytest.fixture(scope="module")
def run(settings: Config, frames: list[Frame]) -> Any:
    """(moves, facts) by symbol and mode, decision after decision."""
    moves: defaultdict[tuple[str, str], list[Move | None]] = defaultdict(list)
    facts: defaultdict[tuple[str, str], list[Facts]] = defaultdict(list)

    def told(pictures: Pictures, decisions: list[Decision]) -> None:
        for decision in decisions:
            for s, symbol in enumerate(pictures.details._pipeline.symbols):
                if decision.decision[s]:
                    found = pictures.detail(symbol, PART).moves
                    assert found is not None
                    moves[symbol, decision.mode].append(found.get(decision.mode))
                    facts[symbol, decision.mode].append(
                        taken(pictures.details._pipeline, decision, s)
                    )

    # What the frames are too short for is read from shorter windows.
    swing = replace(settings.modes["swing"], every=60, windows={"1m": 0.4, "5m": 0.6})
    quick = replace(settings, modes=replace(settings.modes, swing=swing))
    return play(quick, frames, told), moves, facts


def adds_up(move: Move, category: dict[str, str]) -> None:
    assert sum(p.points for p in move.parts) == pytest.approx(move.after - move.before, abs=1e-9)
    sums: defaultdict[str, float] = defaultdict(float)
    for card in move.cards:
        sums[category[card.id]] += card.points
    parts = {p.id: p.points for p in move.parts if p.subject == "category"}
    for id in {*sums, *parts}:
        assert sums[id] == pytest.approx(parts.get(id, 0.0), abs=1e-9)


def test_parts_add_up_for_every_symbol_mode_and_decision(run: Any) -> None:
    pictures, moves, _ = run
    category = {card.id: card.category for card in pictures.details._pipeline.decider.cards}
    counted = 0
    for found in moves.values():
        for move in filter(None, found):
            adds_up(move, category)
            counted += 1
    assert {key[0] for key in moves} >= set(SYMBOLS)
    assert {key[1] for key in moves} == set(MODES)
    assert counted >= 20


def test_each_is_the_largest_first_and_between_two_decisions(run: Any) -> None:
    _, moves, facts = run
    for key, found in moves.items():
        for move, (then, now) in zip(found[1:], pairwise(facts[key]), strict=True):
            if move is None:
                continue
            assert (move.since, move.ts) == (then.ts, now.ts)
            assert (move.before, move.after) == (then.bias, now.bias)
            for parts in (move.parts, move.cards):
                sizes = [abs(part.points) for part in parts]
                assert sizes == sorted(sizes, reverse=True)
                assert 0.0 not in sizes
                assert all(p.points == (p.now or 0.0) - (p.then or 0.0) for p in parts)


def test_they_are_what_explain_tells(run: Any) -> None:
    _, moves, facts = run
    compared = 0
    for key, found in moves.items():
        for move, (then, now) in zip(found[1:], pairwise(facts[key]), strict=True):
            said = moved(now, then, "replay", "")
            assert (move is None) == (said is None)
            if move is None or said is None:
                continue
            told = [*said.lines, *said.categories, *(c for own in said.cards.values() for c in own)]
            points = {c.id: c.points for c in told if c.points}
            shown = {p.id: p.points for p in (*move.parts, *move.cards)}
            assert shown == pytest.approx({**dict.fromkeys(shown, 0.0), **points}, abs=1e-9)
            assert points == pytest.approx({**dict.fromkeys(points, 0.0), **shown}, abs=1e-9)
            compared += 1
    assert compared >= 20


def test_nothing_moved_before_the_second_bias(run: Any) -> None:
    """None at the first decision, and whenever one of the two has no bias."""
    _, moves, facts = run
    for key, found in moves.items():
        assert found[0] is None
        for move, (then, now) in zip(found[1:], pairwise(facts[key]), strict=True):
            assert (move is None) == (then.bias is None or now.bias is None)


def test_a_part_that_was_not_there_is_none_not_zero(run: Any) -> None:
    _, moves, facts = run
    appeared = 0
    for key, found in moves.items():
        for move, (then, now) in zip(found[1:], pairwise(facts[key]), strict=True):
            s, ids = now.place, [id for id, _ in now.cards]
            for card in move.cards if move else ():
                n = ids.index(card.id)
                assert (card.then is None) == (then.score[n, s] == -128), card
                assert (card.now is None) == (now.score[n, s] == -128), card
                appeared += card.then is None
    assert appeared > 0


def test_of_a_symbol_without_decisions_there_is_none(settings: Config) -> None:
    feed = build_feed("binance", settings.feeds["binance"], settings.instruments)
    pictures = Pictures(Pipeline(settings, {"binance": feed}), "replay")
    assert pictures.detail("BTCUSDT", PART).moves == {}
    assert pictures.detail("BTCUSDT", frozenset()).moves is None


def test_weights_that_changed_in_between(settings: Config, frames: list[Frame]) -> None:
    """Points of the decision before are those it was made with, whatever can be had since."""
    seen: list[Move] = []
    wholes: set[float] = set()
    start = frames[0].recv

    def told(pictures: Pictures, decisions: list[Decision]) -> None:
        pipeline = pictures.details._pipeline
        wholes.add(float(np.abs(pipeline.decider.weights["scalp"].prior[:, 0]).sum()))
        if pipeline.step_ts - start < 100 * NS:
            return
        fed = Pipeline._fed(pipeline)
        less = {symbol: needs - {"book"} for symbol, needs in fed.items()}
        pipeline._fed = lambda: less  # type: ignore[method-assign]
        scalp = (pictures.detail("BTCUSDT", PART).moves or {}).get("scalp")
        if any(d.mode == "scalp" for d in decisions) and scalp is not None:
            seen.append(scalp)

    pictures = play(settings, [f for f in frames if f.recv - start < 170 * NS], told)
    category = {card.id: card.category for card in pictures.details._pipeline.decider.cards}
    assert len(wholes) == 2
    for move in seen:
        adds_up(move, category)
    gone = [p for move in seen for p in move.parts if p.id == "order_book"]
    assert any(isinstance(p, Moved) and p.now is None and p.then for p in gone)
