"""Watching a run for the decisions of one symbol in one mode, with all they rested on."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.cards.card import CATEGORIES
from engine.clock import NS
from engine.config import MODES, Config
from engine.decision.composite import Weights
from engine.decision.decide import (
    ALWAYS,
    VENUES,
    Decision,
    freshness,
    inputs_of,
    silence_limit,
)
from engine.decision.scales import scales_of
from engine.jobs.explain import Facts, Inner, Moment, NeedPart
from engine.jobs.offline import Offline
from engine.jobs.replay import Replay
from engine.market.listed import Listed
from engine.market.view import WINDOWS, Array
from engine.runtime.inputs import OWN, ages
from engine.runtime.pipeline import Pipeline
from engine.runtime.readings import known
from engine.runtime.worth import worth


class Probe:
    """Takes down decisions as they are made; `chosen` once the run is over.

    `at`: which one is explained, that in force then. `since`: with which it is compared, counted
    from that one; None for the one before.
    """

    def __init__(self, symbol: str, mode: str, at: Moment, since: Moment | None) -> None:
        self.symbol = symbol
        self.mode = mode
        self.newest = 0
        self.over = False
        self._at = at
        self._since = since
        self._kept: list[Facts] = []

    def step(self, pipeline: Pipeline, now: int, decisions: list[Decision]) -> None:
        """Called after each step, before anything else happens to the market."""
        if self._at.ns is not None and now > self._at.ns:
            self.over = True
            return
        self.newest = now
        place = pipeline.symbols.index(self.symbol)
        for decision in decisions:
            if decision.mode == self.mode and decision.decision[place]:
                self._kept.append(taken(pipeline, decision, place))
                self._prune()

    def _prune(self) -> None:
        """Forget what can no longer be asked for: all but the ends, or what is too long ago."""
        since = self._since or Moment(ago=1)
        if self._at.ns is not None or not self._at.ago:
            first = since.ns if since.ns is not None else self.newest - since.ago
        else:
            first = min(self.newest - self._at.ago - since.ago, since.ns or self.newest)
        while len(self._kept) > 2 and self._kept[1].ts <= first:
            del self._kept[0]
        if since.ns is not None and not self._at.ago:
            del self._kept[1:-2]

    def chosen(self) -> tuple[Facts | None, Facts | None]:
        """The decision asked for and the one it is compared with; None where there is none."""
        now = self._in_force(self._at.before(self.newest))
        if now is None:
            return None, None
        since = Moment(ago=1) if self._since is None else self._since
        return now, self._in_force(since.before(now.ts))

    def _in_force(self, at: int) -> Facts | None:
        return next((facts for facts in reversed(self._kept) if facts.ts <= at), None)


class ProbedReplay(Replay):
    """A replay that a probe watches, ended once the probe has what it wants."""

    def __init__(self, config: Config, path: Path, probe: Probe) -> None:
        super().__init__(config, path)
        self._probe = probe

    def _stepped(self, now: int, decisions: list[Decision]) -> None:
        super()._stepped(now, decisions)
        self._probe.step(self.pipeline, now, decisions)
        if self._probe.over:
            self.stop()


def probed_demo(config: Config, seed: int, seconds: float, probe: Probe) -> Offline:
    """The decisions of the demo, without its sockets, watched by a probe."""

    def told(now: int, decisions: list[Decision]) -> None:
        probe.step(run.engine.pipeline, now, decisions)
        if probe.over:
            run.stop()

    run = Offline(config, seed=seed, seconds=seconds, told=told)
    return run


def taken(pipeline: Pipeline, d: Decision, s: int) -> Facts:
    """A decision of the step just made, as the market still is as it was seen."""
    decider, config = pipeline.decider, pipeline.config
    mode = config.modes[d.mode]
    names = [w.name for w in WINDOWS if w.name in mode.windows]
    sides = [known(side) for side in d.windows[:, s]]
    table = decider.table(d.mode)
    return Facts(
        symbol=pipeline.symbols[s], mode=d.mode, ts=d.ts, place=s, parts=d.parts, weights=table,
        score=d.readings.score, confidence=d.readings.confidence,
        conflicted=d.readings.conflicted, gain=mode.gain, conviction=float(d.conviction[s]),
        decision=d.decision[s], state=d.state[s], agreement=known(d.agreement[s]),
        sides={n: None if x is None else int(x) for n, x in zip(names, sides, strict=True)},
        window_weights={name: mode.windows[name] for name in names},
        categories=tuple(c.id for c in CATEGORIES),
        category_state=tuple(row[s] for row in d.category_state),
        cards=tuple((card.id, card.category) for card in decider.cards),
        inner=_inner(pipeline, d, table, s), worth=worth(pipeline, d, s),
    )  # fmt: skip


def _inner(pipeline: Pipeline, d: Decision, table: Weights, s: int) -> Inner:
    decider = pipeline.decider
    lanes = decider.lanes.slices[MODES.index(d.mode)]
    scales = scales_of(decider.normaliser, lanes, s)
    raw = d.raw[decider.lanes.window[lanes]][..., s]
    by_window = d.readings.by_window[..., s]
    moved = np.where(np.isnan(scales.scale), 0.0, (raw - scales.centre) / scales.scale)
    never = scales.seen == 0
    columns = {
        "raw": raw,
        "centre": np.where(never, np.nan, scales.centre),
        "scale": np.where(never, np.nan, scales.scale),
        "normalised": np.where(np.isnan(by_window), np.nan, moved),
        "score": by_window,
        "seen": scales.seen,
        "samples": scales.samples,
        "sufficiency": scales.sufficiency,
    }
    needs = _needs(pipeline, d.ts, s)
    inputs = tuple(inputs_of(card) for card in decider.cards)
    fresh = np.array([_least([needs[need].freshness for need in own]) for own in inputs])
    quality = d.readings.quality[:, s]
    return Inner(
        windows={
            WINDOWS[window].name: {key: x[n].copy() for key, x in columns.items()}
            for n, window in enumerate(decider.lanes.window[lanes])
        },
        agreement=d.readings.agreement[:, s].copy(),
        freshness=fresh,
        sufficiency=np.where(fresh > 0, quality / np.where(fresh > 0, fresh, 1.0), np.nan),
        inputs=inputs,
        needs=needs,
    )


def _least(values: list[float | None]) -> float:
    return min((0.0 if value is None else value for value in values), default=1.0)


def _needs(pipeline: Pipeline, now: int, s: int) -> dict[str, NeedPart]:
    """Every input that a card reads, as old as it was at the step."""
    old, limits = ages(pipeline.market, now), pipeline.config.freshness
    wanted = {need for card in pipeline.decider.cards for need in inputs_of(card)}
    return {need: _need(pipeline, need, now, s, old, limits) for need in sorted(wanted)}


def _need(pipeline: Pipeline, need: str, now: int, s: int, old: Mapping[str, Array],
          limits: Mapping[str, float]) -> NeedPart:  # fmt: skip
    if need in ALWAYS:
        return NeedPart(need, freshness=1.0)
    age = np.asarray(old[need][s] if need in old else np.nan)
    limit = silence_limit(need, limits)
    fresh = float(freshness(age, limit))
    return NeedPart(need, known(float(age)), limit, fresh, _venues(pipeline, need, now, s))


def _venues(pipeline: Pipeline, need: str, now: int, s: int) -> dict[str, float | None]:
    """Who brings an input, and how many seconds ago each last did; None for not yet."""
    market, symbol = pipeline.market, pipeline.symbols[s]
    what = need.removeprefix(f"{VENUES}:")
    carriers = [feed for feed in pipeline.feeds.values() if feed.carries(what, symbol)]
    if what == need and need in OWN:
        carriers = [feed for feed in carriers if feed.venue == market.reference]
    if what not in OWN:
        heard = market.outside.heard.get(what)
        at = 0 if heard is None else int(heard[s])
        return {feed.name: _ago(at, now) for feed in carriers}
    listed = {feed.venue: market.listed.get((feed.venue, symbol)) for feed in carriers}
    return {venue: _ago(_heard(there, what), now) for venue, there in sorted(listed.items())}


def _heard(listed: Listed | None, need: str) -> int:
    """When a venue last brought an input, ns; 0 for never. Bars are made of the tape."""
    if listed is None:
        return 0
    if need == "book":
        return listed.book.recv if listed.book.synced else 0
    return listed.recv.get("trades" if need == "bars" else need, 0)


def _ago(at: int, now: int) -> float | None:
    return max(now - at, 0) / NS if at else None
