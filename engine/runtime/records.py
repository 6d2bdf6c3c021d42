"""The pipeline's steps as history records, and the one writer that keeps them."""

from pathlib import Path

import msgspec
import numpy as np

from engine.cards.card import CATEGORIES
from engine.clock import NS
from engine.config import MODES, Config
from engine.decision.decide import Decision
from engine.decision.timeframes import ABSENT, STEPS
from engine.market.fields import LIVE_AT
from engine.runtime.health import feed_health
from engine.runtime.pictures import Pictures
from engine.runtime.pipeline import Pipeline
from engine.store.checkpoint import Checkpoint
from engine.store.history import History
from engine.store.records import (
    NONE,
    BarRecord,
    Batch,
    CardFact,
    Catalogue,
    DecisionRecord,
    Flags,
    HealthRecord,
    Meta,
    StepRecord,
)
from engine.version import VERSION

MINUTE_NS = 60 * NS
BACKLOG = 100


def catalogue(config: Config, pipeline: Pipeline) -> Catalogue:
    """Everything the decisions of this run rest on beside the readings."""
    decider = pipeline.decider
    facts = {
        "modes": msgspec.to_builtins(config.modes),
        "decision": msgspec.to_builtins(config.decision),
        "categories": msgspec.to_builtins(config.categories),
        "class_priors": config.class_priors,
    }
    own = decider.weights[MODES[0]].own
    assert own is not None
    exists = [decider.lanes.exists[lanes].any(axis=0) for lanes in decider.lanes.slices]
    return Catalogue(
        symbols=pipeline.symbols,
        groups=tuple(i.group for i in config.instruments),
        modes=MODES,
        windows={m: {str(w): v for w, v in config.modes[m].windows.items()} for m in MODES},
        categories=tuple(c.id for c in CATEGORIES),
        cards=tuple(
            CardFact(id=c.id, category=c.category, prior=c.prior, scope=c.scope, role=c.role,
                     level=c.level, own=bool(own[n]),
                     modes=tuple(m for m, there in zip(MODES, exists, strict=True) if there[n]))
            for n, c in enumerate(decider.cards)
        ),
        facts=facts,
        weights=np.array([[c.prior for c in decider.cards] for _ in MODES]),
        have=decider.can_have,
    )  # fmt: skip


class Archive:
    """Keeps each step of a pipeline, and the alerts its pictures made, in a database.

    It never holds the pipeline up.
    """

    def __init__(self, config: Config, pictures: Pictures, path: Path, opened: int) -> None:
        self.path = path
        self._opened = opened
        self._config = config
        self._pictures = pictures
        self._pipeline = pictures.pipeline
        self._mode_of_data = pictures.mode_of_data
        self._history: History | None = None
        self._have: Flags | None = None
        self._minute = 0
        self._alert = 0
        self._pipeline.after_step.append(self._alerted)

    async def open(self) -> None:
        """Raises StoreError, or Locked when another process writes the database."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        meta = Meta(mode_of_data=self._mode_of_data, program=VERSION, opened=self._opened)
        self._have = self._pipeline.decider.can_have
        self._history = await History.open(
            self.path, meta, catalogue(self._config, self._pipeline), self._config.store
        )

    async def close(self) -> None:
        """Write what waits and let the next writer in."""
        if self._history is not None:
            await self._history.close()

    @property
    def problem(self) -> str:
        """The last write error as a sentence, empty when all is well."""
        return self._history.problems.last if self._history is not None else ""

    async def keep_up(self) -> None:
        """Wait for the disk when it is far behind: for a replay, which can wait."""
        if self._history is not None and self._history.backlog > BACKLOG:
            await self._history.drain()

    def keep(self, state: Checkpoint) -> None:
        """Keep the engine's state in the place of the one before."""
        if self._history is not None:
            self._history.keep(state)

    def go_on(self) -> None:
        """The alerts there are, are known: they came with the engine's state."""
        self._alert = max((alert.number for alert in self._pictures.alerts), default=0)

    def stepped(self, now: int, decisions: list[Decision]) -> None:
        """Take down a step."""
        if self._history is None:
            return
        if self._pipeline.decider.can_have is not self._have:
            # A venue's catalogue came in and changed which cards a symbol can have.
            self._have = self._pipeline.decider.can_have
            self._history.describe(catalogue(self._config, self._pipeline))
        readings = self._pipeline.decider.readings
        bars, health = self._minutely(now)
        self._history.put(
            Batch(
                step=StepRecord(ts=now, scores=np.stack([readings[m].score for m in MODES])),
                decisions=tuple(_decision(d) for d in decisions),
                bars=bars,
                health=health,
                transitions=tuple(t for d in decisions for t in d.transitions),
            )
        )

    def _alerted(self, now: int) -> None:
        """Take down what the step's picture made known; it is made after the step."""
        new = [alert for alert in self._pictures.alerts if alert.number > self._alert]
        if new and self._history is not None:
            self._alert = new[0].number
            self._history.put(Batch(alerts=tuple(reversed(new))))

    def _minutely(self, now: int) -> tuple[tuple[BarRecord, ...], tuple[HealthRecord, ...]]:
        minute = now // MINUTE_NS
        if minute <= self._minute:
            return (), ()
        closed = minute - 1
        self._minute = minute
        health = []
        for name in self._pipeline.feeds:
            state = feed_health(self._pipeline, name, now)
            health.append(
                HealthRecord(ts=now, feed=name, state=state.state, frames=state.frames,
                             dropped=state.dropped, gaps=state.gaps, resyncs=state.resyncs,
                             reconnects=state.reconnects, lag=None)
            )  # fmt: skip
        return (self._bar(closed),), tuple(health)

    def _bar(self, cell: int) -> BarRecord:
        history = self._pipeline.market.history
        ends = np.array([cell + 1])
        ohlc = history.prices[60].stretches(ends, 1)[0]
        flow = history.flow[60].sums(ends, 1)[0]
        live = history.live[60].sums(ends, 1)[0]
        return BarRecord(
            ts=cell * MINUTE_NS, open=ohlc[0], high=ohlc[1], low=ohlc[2], close=ohlc[3],
            buy=flow[0], sell=flow[1], trades=live[LIVE_AT["buys"]] + live[LIVE_AT["sells"]],
        )  # fmt: skip


def _decision(d: Decision) -> DecisionRecord:
    sides = np.where(np.isnan(d.windows), NONE, d.windows).astype(np.int8)
    return DecisionRecord(
        ts=d.ts,
        mode=MODES.index(d.mode),
        bias=d.parts.bias,
        conviction=d.conviction,
        agreement=d.agreement,
        coverage=d.parts.coverage,
        decision=d.decision,
        state=d.state,
        windows=sides,
        available=d.parts.available,
        total=d.parts.possible,
        confidence=np.where(d.readings.score == ABSENT, ABSENT, d.readings.confidence).astype(
            np.int8
        ),
        conflicted=d.readings.conflicted,
        beta=np.rint(d.beta * STEPS).astype(np.int16),
        lines=d.context,
    )
