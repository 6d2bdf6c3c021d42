"""A batch as the rows of its tables; pure, so that it can run beside the event loop."""

import math
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from engine.snapshot import Alert, Transition
from engine.store import codec
from engine.store.names import Groups
from engine.store.records import (
    BarRecord,
    Batch,
    Catalogue,
    DecisionRecord,
    Floats,
    HealthRecord,
    StepRecord,
)

Row = tuple[Any, ...]
# Subjects of transitions, each at its level.
LEVELS = ("composite", "category", "card")


class Rows(Struct):
    """Rows by table, empty where the batch has nothing for it."""

    score_steps: list[Row] = []
    composites: list[Row] = []
    readings: list[Row] = []
    bars: list[Row] = []
    feed_health: list[Row] = []
    alerts: list[Row] = []
    transitions: list[Row] = []

    def inserts(self) -> list[tuple[str, list[Row]]]:
        """Statements with their rows; the same instant written again replaces itself."""
        pairs = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return [(_INSERT[name], rows) for name, rows in pairs if rows]


def _insert(table: str, columns: int, named: str = "") -> str:
    marks = ", ".join("?" * columns)
    return f"INSERT OR REPLACE INTO {table} {named} VALUES ({marks})"


_INSERT = {
    "score_steps": _insert("score_steps", 3),
    "composites": _insert("composites", 13),
    "readings": _insert("readings", 5, "(mode, ts, version, lines, data)"),
    "bars": _insert("bars", 9),
    "feed_health": _insert("feed_health", 9),
    "alerts": _insert("alerts", 8, "(ts, number, rule, severity, symbol, mode, feed, text)"),
    "transitions": _insert("transitions", 10),
}


def labels(batch: Batch) -> set[str]:
    """Every text of a batch that rows carry as a number."""
    of_decisions = chain.from_iterable((*d.decision, *d.state) for d in batch.decisions)
    of_health = chain.from_iterable((h.feed, h.state) for h in batch.health)
    of_alerts = chain.from_iterable((a.rule, a.severity, a.feed) for a in batch.alerts)
    of_transitions = chain.from_iterable((t.id, t.kind) for t in batch.transitions)
    return {*of_decisions, *of_health, *filter(None, of_alerts), *of_transitions}


def encode(batch: Batch, catalogue: Catalogue, version: int, ids: Groups) -> Rows:
    """Raises ValueError for arrays that do not fit the catalogue."""
    symbols = [ids["symbols"][name] for name in catalogue.symbols]
    rows = Rows()
    if batch.step is not None:
        rows.score_steps = [_step(batch.step, catalogue, version)]
    for decision in batch.decisions:
        _check_decision(decision, catalogue)
        mode = ids["modes"][catalogue.modes[decision.mode]]
        rows.composites += _composites(decision, symbols, mode, version, ids["labels"])
        rows.readings.append(_readings(decision, mode, version))
    for bar in batch.bars:
        rows.bars += _bars(bar, symbols)
    rows.feed_health = [_health(h, ids["labels"]) for h in batch.health]
    rows.alerts = [_alert(a, ids) for a in batch.alerts]
    rows.transitions = [_transition(t, ids) for t in batch.transitions]
    return rows


def _step(step: StepRecord, catalogue: Catalogue, version: int) -> Row:
    if step.scores.shape != catalogue.shape or step.scores.dtype != np.int8:
        raise ValueError(f"scores {step.scores.shape} do not fit the catalogue {catalogue.shape}")
    return step.ts, version, step.scores.tobytes()


def _check_decision(decision: DecisionRecord, catalogue: Catalogue) -> None:
    modes, cards, symbols = catalogue.shape
    if not 0 <= decision.mode < modes:
        raise ValueError(f"no mode {decision.mode}")
    windows = len(catalogue.windows[catalogue.modes[decision.mode]])
    shapes: dict[str, tuple[int, ...]] = {
        "windows": (windows, symbols),
        "confidence": (cards, symbols),
        "conflicted": (cards, symbols),
    }
    for name in ("bias", "conviction", "agreement", "coverage", "available", "total", "beta"):
        shapes[name] = (symbols,)
    for name, shape in shapes.items():
        if getattr(decision, name).shape != shape:
            raise ValueError(f"{name} {getattr(decision, name).shape} where {shape} belongs")
    texts = (decision.decision, decision.state, *decision.lines.values())
    if any(len(values) != symbols for values in texts):
        raise ValueError(f"a decision's texts or lines are not {symbols} long")
    if decision.confidence.dtype != np.int8:
        raise ValueError("confidence is not int8")


def _composites(
    decision: DecisionRecord, symbols: list[int], mode: int, version: int, ids: dict[str, int]
) -> list[Row]:
    columns = zip(
        symbols,
        _nullable(decision.bias),
        decision.conviction.tolist(),
        decision.decision,
        decision.state,
        _nullable(decision.agreement),
        decision.windows.T.tolist(),
        decision.coverage.tolist(),
        decision.available.tolist(),
        decision.total.tolist(),
        strict=True,
    )
    return [
        (
            symbol, mode, decision.ts, bias, conviction, ids[text], ids[state], agreement,
            codec.pack_windows(windows), coverage, available, total, version,
        )
        for symbol, bias, conviction, text, state, agreement, windows, coverage, available, total
        in columns
        if text
    ]  # fmt: skip


def _readings(decision: DecisionRecord, mode: int, version: int) -> Row:
    lines = np.array(list(decision.lines.values()), np.float64)
    blob = codec.pack_readings(decision.confidence, decision.conflicted, decision.beta, lines)
    names = msgspec.json.encode(list(decision.lines)).decode()
    return mode, decision.ts, version, names, blob


def _bars(bar: BarRecord, symbols: list[int]) -> list[Row]:
    prices = [getattr(bar, name).tolist() for name in ("open", "high", "low", "close")]
    flows = [_nullable(getattr(bar, name)) for name in ("buy", "sell", "trades")]
    columns = zip(symbols, *prices, *flows, strict=True)
    return [
        (symbol, bar.ts, *values)
        for symbol, *values in columns
        if not any(math.isnan(price) for price in values[:4])
    ]


def _health(record: HealthRecord, ids: dict[str, int]) -> Row:
    return (
        record.ts, ids[record.feed], ids[record.state], record.frames, record.dropped,
        record.gaps, record.resyncs, record.reconnects, record.lag,
    )  # fmt: skip


def _alert(alert: Alert, ids: Groups) -> Row:
    labels = ids["labels"]
    return (
        alert.ts, alert.number, labels[alert.rule], labels[alert.severity],
        None if alert.symbol is None else ids["symbols"][alert.symbol],
        None if alert.mode is None else ids["modes"][alert.mode],
        None if alert.feed is None else labels[alert.feed], alert.text,
    )  # fmt: skip


def _transition(t: Transition, ids: Groups) -> Row:
    labels = ids["labels"]
    return (
        ids["symbols"][t.symbol], LEVELS.index(t.subject), t.ts, ids["modes"][t.mode],
        labels[t.id], labels[t.kind], t.side, t.price, t.before, t.after,
    )  # fmt: skip


def _nullable(values: Floats) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]
