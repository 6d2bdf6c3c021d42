"""Readings: every card of one symbol in one mode as a screen shows it, and why one is missing."""

from math import isnan

import numpy as np

from engine.cards.card import Card
from engine.clock import NS
from engine.config import Config
from engine.decision.decide import ALWAYS, VENUES, inputs_of, silence_limit
from engine.decision.timeframes import ABSENT, STEPS, Readings
from engine.market.view import WINDOWS, Array
from engine.runtime.inputs import ages
from engine.runtime.made import Made
from engine.runtime.pipeline import Pipeline
from engine.snapshot import Reading


def known(value: float) -> float | None:
    """None for NaN."""
    return None if isnan(value) else float(value)


def windows_of(config: Config, mode: str) -> list[str]:
    """Windows that a mode reads, shortest first."""
    chosen = config.modes[mode].windows
    return [w.name for w in WINDOWS if w.name in chosen]


def readings(pipeline: Pipeline, made: Made, s: int) -> tuple[Reading, ...]:
    """Cards as they were decided on, so that they add up to the bias; before that, as now."""
    decider, decision, mode = pipeline.decider, made.decision, made.mode
    found = decision.readings if decision is not None else decider.readings.get(mode)
    if found is None:
        return ()
    raw = decision.raw if decision is not None else decider.raw_of(mode)
    names = windows_of(pipeline.config, mode)
    at = [n for n, w in enumerate(WINDOWS) if w.name in names]
    old = ages(pipeline.market, pipeline.step_ts)
    gap = int(pipeline.market.gap_at[s])
    broken = gap > 0 and pipeline.step_ts - gap < WINDOWS[at[-1]].span * NS
    measured, points = _Measured(made, found, names, s), made.points(s)
    out = []
    for c, card in enumerate(decider.cards):
        there = bool(found.score[c, s] != ABSENT)
        score = float(found.score[c, s]) / STEPS if there else None
        torn = bool(found.conflicted[c, s])
        sufficiency, freshness = measured.quality(c) if there else (None, None)
        out.append(
            Reading(
                card=card.id, name=card.name, category=card.category, available=there,
                raws={n: known(raw[w, c, s]) for n, w in zip(names, at, strict=True)},
                scores={n: known(found.by_window[k, c, s]) for k, n in enumerate(names)},
                score=score,
                strength=abs(score or 0.0) * (0.5 if torn else 1.0),
                confidence=float(found.confidence[c, s]) / STEPS if there else 0.0,
                agreement=float(found.agreement[c, s]) if there else 0.0,
                state=_reading_state(score, torn, bool(found.neutral[c, s])),
                conflicted=torn,
                age=_oldest(inputs_of(card), old, s),
                reliable="trades" not in card.needs or not broken,
                weight=float(made.weights.card[c, s]),
                contribution=float(decision.parts.contribution[c, s]) if decision else 0.0,
                reason="" if there else _reason(pipeline, card, s, old, raw[at, c, s]),
                weights=measured.weights, centres=measured.column("centre", c),
                scales=measured.column("scale", c), samples=measured.column("samples", c),
                freshness=freshness, sufficiency=sufficiency, points=known(points[c]),
                whole=measured.whole, total=measured.total,
            )
        )  # fmt: skip
    return tuple(out)


class _Measured:
    """By window what raw measures were normalised with, for one symbol; empty where not kept."""

    def __init__(self, made: Made, found: Readings, names: list[str], s: int) -> None:
        self._names = names
        self._scales = made.scales(s)
        self._sufficiency = made.sufficiency(s, found.by_window)
        self._quality = found.quality[:, s]
        self.weights = dict(zip(names, made.window_weights.tolist(), strict=True))
        decided = made.decision
        self.whole = made.whole(s) if decided else None
        self.total = float(decided.parts.total[s]) if decided else None

    def column(self, what: str, c: int) -> dict[str, float | None]:
        """None where a window has seen nothing, a scale also while nothing has moved."""
        if self._scales is None:
            return {}
        seen, values = self._scales.seen[:, c], getattr(self._scales, what)[:, c]
        return {name: known(values[k]) if seen[k] else None for k, name in enumerate(self._names)}

    def quality(self, c: int) -> tuple[float | None, float | None]:
        """Sufficiency and freshness, whose product it is."""
        if self._sufficiency is None:
            return None, None
        enough = float(self._sufficiency[c])
        return known(enough), known(self._quality[c] / enough) if enough > 0 else None


def _reason(pipeline: Pipeline, card: Card, s: int, old: dict[str, Array], raw: Array) -> str:
    """Why a card is not available: the first thing that is missing on its way."""
    decider = pipeline.decider
    if card.id in decider.failed:
        return f"its computation failed: {decider.failed[card.id]}"
    wanted, fed = inputs_of(card), decider.fed[pipeline.symbols[s]]
    if unfed := [need for need in wanted if need not in fed | ALWAYS]:
        return f"no feed brings {', '.join(map(_named, unfed))}"
    if unheard := [n for n in wanted if n in old and np.isnan(old[n][s])]:
        return f"waiting for {', '.join(map(_named, unheard))}"
    limits = pipeline.config.freshness
    for need in wanted:
        if need in old and old[need][s] >= 3 * silence_limit(need, limits):
            return f"{_named(need)} is {old[need][s]:.0f} s old"
    return "too little history" if np.isnan(raw).all() else "normaliser is warming up"


def _named(need: str) -> str:
    """An input in words."""
    venue, _, what = need.partition(":")
    return f"{what} of a second venue" if venue == VENUES and what else need


def _reading_state(score: float | None, torn: bool, neutral: bool) -> str:
    if score is None:
        return "NOT_AVAILABLE"
    if torn:
        return "CONFLICTED"
    if neutral or score == 0:
        return "NEUTRAL"
    return "BULLISH" if score > 0 else "BEARISH"


def _oldest(needs: tuple[str, ...], old: dict[str, Array], symbol: int) -> float | None:
    """Age in s of a card's oldest input; None where one was never heard."""
    each = [old[n][symbol] if n in old else np.nan for n in needs]
    return known(float(np.max(each))) if each else None
