"""The history as rows of text for CSV: composites, categories, cards; one page at a time.

Times are ISO 8601 in UTC, numbers as Python writes them (they read back bit for bit), flags true
or false, what is not known is empty. `mode_of_data` marks a demo or a replay in every row.
"""

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

import numpy as np
from msgspec import Struct

from engine.clock import NS
from engine.config import MODES, WINDOWS
from engine.decision.timeframes import ABSENT, STEPS
from engine.jobs.explain import card_points, category_points, facts_of
from engine.runtime.readings import known
from engine.store.errors import StoreError
from engine.store.reader import Reader
from engine.store.rebuild import Rebuilt, rebuild_all

PAGE = 1000
Value = str | float | int | bool | None
Row = list[Value]

_KEY = ("time", "symbol", "mode", "mode_of_data")
COLUMNS: dict[str, tuple[str, ...]] = {
    "composites": (
        *_KEY, "bias", "conviction", "decision", "state", "agreement", "coverage", "available",
        "possible", *(f"agreement_{window}" for window in WINDOWS), "version",
    ),
    "categories": (
        *_KEY, "category", "points", "score", "state", "weight", "available", "possible",
    ),
    "cards": (
        *_KEY, "category", "card", "available", "points", "contribution", "score", "strength",
        "conflicted", "confidence", "weight",
    ),
}  # fmt: skip


class Wanted(Struct, frozen=True):
    """Which part of the history: `start` <= time < `end`, ns; empty tuples mean all."""

    start: int
    end: int
    symbols: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()


class Written(Struct):
    """What an export came to; `skipped` decisions were written by an older cockpit."""

    rows: int = 0
    skipped: int = 0


def export(reader: Reader, what: str, wanted: Wanted, out: TextIO) -> Written:
    """Write CSV (RFC 4180) with a header; raises KeyError for an unknown `what`, OSError."""
    written = Written()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS[what])
    modes = [mode for mode in MODES if not wanted.modes or mode in wanted.modes]
    symbols = [s for s in reader.symbols() if not wanted.symbols or s in wanted.symbols]
    if what == "composites":
        rows = _composites(reader, symbols, modes, wanted)
    else:
        rows = _taken_apart(reader, what, symbols, modes, wanted, written)
    for row in rows:
        writer.writerow([_text(value) for value in row])
        written.rows += 1
    return written


def _composites(reader: Reader, symbols: Sequence[str], modes: Sequence[str],
                wanted: Wanted) -> Iterator[Row]:  # fmt: skip
    data = reader.meta.mode_of_data
    for symbol, mode in ((symbol, mode) for symbol in symbols for mode in modes):
        start = wanted.start
        while page := reader.composites(symbol, mode, start, wanted.end, PAGE):
            for row in page:
                yield [
                    iso(row.ts), symbol, mode, data, row.bias, row.conviction, row.decision,
                    row.state, row.agreement, row.coverage, row.available, row.total,
                    *(row.windows.get(window) for window in WINDOWS), row.version,
                ]  # fmt: skip
            start = page[-1].ts + 1


def _taken_apart(reader: Reader, what: str, symbols: Sequence[str], modes: Sequence[str],
                 wanted: Wanted, written: Written) -> Iterator[Row]:  # fmt: skip
    rows_of, data = {"categories": _categories, "cards": _cards}[what], reader.meta.mode_of_data
    for mode in modes:
        start = wanted.start
        while page := reader.instants(mode, start, wanted.end, PAGE):
            for ts in page:
                try:
                    found = rebuild_all(reader, mode, ts, symbols)
                except StoreError:
                    written.skipped += 1
                    continue
                for decision in found:
                    key: Row = [iso(ts), decision.symbol, mode, data]
                    yield from (key + row for row in rows_of(decision))
            start = page[-1] + 1


def _categories(found: Rebuilt) -> Iterator[Row]:
    s, parts = found.place, found.parts
    for n, (id, points) in enumerate(category_points(facts_of(found)).items()):
        yield [
            id, points, known(parts.category_score[n, s]), found.category_state[n],
            float(found.weights.category[n, s]), int(parts.category_available[n, s]),
            int(parts.category_total[n, s]),
        ]  # fmt: skip


def _cards(found: Rebuilt) -> Iterator[Row]:
    """Those that the symbol can have."""
    s, whole, weight = found.place, found.whole, found.weights.card
    points = card_points(facts_of(found))
    for n in np.flatnonzero(found.weights.can_have[:, s]):
        card, torn = whole.version.catalogue.cards[n], bool(whole.conflicted[n, s])
        there = bool(whole.scores[n, s] != ABSENT)
        score = int(whole.scores[n, s]) / STEPS if there else None
        yield [
            card.category, card.id, there, points[card.id],
            float(found.parts.contribution[n, s]), score,
            None if score is None else abs(score) * (0.5 if torn else 1.0), torn,
            int(whole.confidence[n, s]) / STEPS if there else None, float(weight[n, s]),
        ]  # fmt: skip


def iso(ns: int) -> str:
    """An instant as 2026-11-23T14:32:00Z, with a fraction where it has one."""
    seconds, rest = divmod(ns, NS)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _text(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
