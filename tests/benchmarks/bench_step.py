"""One engine step, part by part, beside TA-Lib's RSI of every lane in the same round.

    python tests/benchmarks/bench_step.py [ROUNDS]

A simulated market is run until all three modes decide at once; then that instant's step is taken
again and again, each time on a new view and with a TA-Lib RSI(14) a symbol and window beside it,
so the ratios hold where the milliseconds do not. Categories and cards are timed by themselves.
Milliseconds are CPU time.
"""

import asyncio
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import talib

from engine.cards.card import CATEGORIES, Card
from engine.clock import NS, finish
from engine.config import MODES
from engine.config import load as configured
from engine.decision.decide import Decider, Decision
from engine.jobs.offline import Offline
from engine.market.view import Array, View
from engine.runtime.inputs import ages
from engine.runtime.pipeline import Pipeline

SEED = 1
LEAST_STEPS = 12
TOGETHER = 300  # s, at whose multiples every mode decides
WARM_MINUTES = 60.0
DEAREST = 15
BUDGET_MS = 20.0
LONGEST = "longest slice of a step"
PEER = "TA-Lib RSI, 126 lanes"
Times = dict[str, list[float]]


def market() -> Pipeline:
    """The pipeline of a market that has run for some minutes, at a step where all modes decide."""

    def told(now: int, decisions: list[Decision]) -> None:
        if len(decisions) == len(MODES) and offline.engine.pipeline.steps >= LEAST_STEPS:
            offline.stop()

    offline = Offline(configured()[0], seed=SEED, warm_minutes=WARM_MINUTES, told=told)
    asyncio.run(offline.run())
    return offline.engine.pipeline


def timed(times: Times, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """`work`, whose milliseconds are noted."""

    def call(*what: Any) -> Any:
        before = time.thread_time()
        found = work(*what)
        times[name].append(1e3 * (time.thread_time() - before))
        return found

    return call


def sliced(work: Generator[None, None, Any], note: Callable[[float], None]) -> Any:
    """Every slice of the work, each noted in ms; yields as the work does."""
    while True:
        before = time.thread_time()
        try:
            next(work)
        except StopIteration as done:
            return done.value
        finally:
            note(1e3 * (time.thread_time() - before))
        yield


def summed(times: Times, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """Work in slices, the milliseconds of all of them noted as one."""

    def call(*what: Any) -> Any:
        own: list[float] = []
        found = yield from sliced(work(*what), own.append)
        times[name].append(sum(own))
        return found

    return call


def watch(decider: Decider, times: Times) -> None:
    """Note what the parts of the decider's steps take from now on."""
    decide, patched = decider._decide, vars(decider)
    patched["_computing"] = summed(times, "first pass", decider._computing)
    vars(decider.second)["lanes"] = timed(times, "second pass", decider.second.lanes)
    modes = {mode: timed(times, f"decisions, {mode}", decide) for mode in MODES}
    patched["_decide"] = lambda mode, *what: modes[mode](mode, *what)


def rsi(close: Array) -> None:
    """The peer: TA-Lib a symbol and window, (W, N, S)."""
    for window in close:
        for lane in np.ascontiguousarray(window.T):
            talib.RSI(lane, 14)


def kept(owner: object, name: str) -> list[Any]:
    """What a method last returned, from now on."""
    method, found = getattr(owner, name), [None]

    def call(*what: Any) -> Any:
        found[0] = method(*what)
        return found[0]

    vars(owner)[name] = call
    return found


def steps(pipeline: Pipeline, rounds: int) -> tuple[Times, View, View]:
    """What the parts of a step take; the view, and the one that the second pass saw."""
    now, decider = pipeline.step_ts, pipeline.decider
    times: Times = defaultdict(list)
    inputs = ages(pipeline.market, now)
    view = pipeline.market.view(now)
    first = kept(decider.second, "_first")
    decider.step(view, inputs)
    watch(decider, times)
    look = summed(times, "view", pipeline.market.look)
    peer = timed(times, PEER, rsi)

    def step() -> Generator[None, None, None]:
        yield from decider.steps((yield from look(now)), inputs)

    for _ in range(rounds):
        slices: list[float] = []
        finish(sliced(step(), slices.append))
        times["whole step"].append(sum(slices))
        times[LONGEST].append(max(slices))
        peer(np.nan_to_num(view.bars.close))
    return times, view, replace(view, first=first[0])


def by_card(cards: tuple[Card, ...], view: View, seen: View, rounds: int) -> Times:
    """What each card takes, all of them in turn on a new view."""
    times: Times = defaultdict(list)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for _ in range(rounds):
            fresh, after = replace(view), replace(seen)
            for card in cards:
                timed(times, card.id, card.compute)(after if card.second else fresh)
            timed(times, PEER, rsi)(np.nan_to_num(view.bars.close))
    return times


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def ratio(values: list[float], peer: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(values, peer, strict=False))


def print_parts(times: Times) -> None:
    parts = ("view", "first pass", "second pass", *(f"decisions, {mode}" for mode in MODES))
    whole = times["whole step"]
    rest = [all_ - sum(own) for all_, *own in zip(whole, *(times[n] for n in parts), strict=True)]
    both = [sum(x) for x in zip(times["first pass"], times["second pass"], strict=True)]
    rows = {name: times[name] for name in parts}
    rows |= {"both passes": both, "scores and the rest": rest, "whole step": whole}
    rows |= {LONGEST: times[LONGEST]}
    print(f"{'ms':24}{'median':>9}{'p99':>9}{'x RSI':>8}")
    for name, values in (*rows.items(), (PEER, times[PEER])):
        middle, high = statistics.median(values), percentile(values, 0.99)
        print(f"{name:24}{middle:9.2f}{high:9.2f}{ratio(values, times[PEER]):8.1f}")


def print_cards(cards: tuple[Card, ...], times: Mapping[str, list[float]]) -> None:
    peer = times[PEER]
    own = {card.id: statistics.median(times[card.id]) for card in cards}
    total = sum(own.values())
    print(f"\n{'category':24}{'us':>9}{'share':>8}")
    share = {c.name: sum(own[x.id] for x in cards if x.category == c.id) for c in CATEGORIES}
    for name, taken in sorted(share.items(), key=lambda item: -item[1]):
        print(f"{name:24}{1e3 * taken:9.0f}{taken / total:8.1%}")
    print(f"\n{'dearest cards':24}{'us':>9}{'x RSI':>8}")
    for name in sorted(own, key=lambda name: -own[name])[:DEAREST]:
        print(f"{name:24}{1e3 * own[name]:9.0f}{ratio(times[name], peer):8.3f}")


def main(rounds: int) -> None:
    pipeline = market()
    assert pipeline.step_ts % (TOGETHER * NS) == 0
    cards = pipeline.decider.cards
    times, view, seen = steps(pipeline, rounds)
    load = ", ".join(f"{x:.2f}" for x in os.getloadavg())
    size = f"{len(cards)} cards x {len(view.windows)} windows x {len(view.symbols)} symbols"
    print(f"{size} x {len(MODES)} modes, {rounds} rounds, load {load}")
    print_parts(times)
    print_cards(cards, by_card(cards, view, seen, rounds))
    whole = statistics.median(times["whole step"])
    verdict = "within" if whole <= BUDGET_MS else "OVER"
    print(f"\nwhole step {whole:.1f} ms: {verdict} budget ({BUDGET_MS:.0f} ms)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
