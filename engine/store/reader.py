"""Reading a history: synchronous, read-only, beside a live writer or on a copied file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from engine.snapshot import Alert, Transition
from engine.store import codec
from engine.store.errors import StoreError
from engine.store.names import read_version
from engine.store.records import (
    BarSeries,
    Bytes,
    Catalogue,
    CompositeRow,
    Flags,
    HealthRecord,
    Meta,
    StoredDecision,
    Version,
    Whole,
)
from engine.store.schema import MIGRATIONS, check, connect_readonly, read_meta
from engine.store.scores import Matrix, Series
from engine.store.turns import read_transitions

_COMPOSITE = """SELECT ts, bias, conviction, d.name, s.name, agreement, agreement_by_window,
    coverage, available, total, version FROM composites
    JOIN labels d ON d.id = decision JOIN labels s ON s.id = state
    WHERE symbol = ? AND mode = ? AND """
_ALERTS = """SELECT a.id, a.number, a.ts, r.name, v.name, s.name, m.name, f.name, a.text
    FROM alerts a JOIN labels r ON r.id = a.rule JOIN labels v ON v.id = a.severity
    LEFT JOIN symbols s ON s.id = a.symbol LEFT JOIN modes m ON m.id = a.mode
    LEFT JOIN labels f ON f.id = a.feed WHERE a.id > ? ORDER BY a.id DESC LIMIT ?"""


class Reader:
    """An open history. Stretches of time are `start` <= ts < `end`, ns; one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Raises StoreError: no such file, not a history, older or newer than this program."""
        self.path = path
        self._connection = connect_readonly(path)
        try:
            version = check(self._connection, path)
            if version < len(MIGRATIONS):
                raise StoreError(f"{path} is of an older cockpit; start this one on it once")
            self._meta = read_meta(self._connection)
        except BaseException:
            self._connection.close()
            raise
        self._versions: dict[int, Version] = {}
        self._matrix = Matrix(self._connection, self.version)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def meta(self) -> Meta:
        """Whose data it holds, as of the last writer."""
        return msgspec.convert(
            {**self._meta, "opened": int(self._meta["opened"])}, type=Meta, strict=False
        )

    @property
    def damaged(self) -> int:
        """Blobs that could not be read and were left out."""
        return self._matrix.damaged

    @property
    def created(self) -> int:
        return int(self._meta["created"])

    def symbols(self) -> tuple[str, ...]:
        """Every symbol that the history knows, in the order of their first use."""
        rows = self._connection.execute("SELECT name FROM symbols ORDER BY id")
        return tuple(name for (name,) in rows)

    def version(self, number: int) -> Version:
        """The catalogue, settings and weights that rows of that version were made with."""
        if number not in self._versions:
            row = self._connection.execute(
                "SELECT id, created, layout, facts, weights, have FROM versions WHERE id = ?",
                (number,),
            ).fetchone()
            self._versions[number] = read_version(row)
        return self._versions[number]

    def newest(self) -> int | None:
        """The instant of the last step written."""
        with self._snapshot():
            row = self._connection.execute(
                "SELECT max(ts) FROM (SELECT max(ts) AS ts FROM score_steps "
                "UNION ALL SELECT max(last) FROM score_chunks)"
            ).fetchone()
            return None if row[0] is None else int(row[0])

    def composites(
        self, symbol: str, mode: str, start: int, end: int, limit: int = -1
    ) -> list[CompositeRow]:
        """The decisions of a symbol in a mode, oldest first; all, or the first `limit`."""
        with self._snapshot():
            rows = self._connection.execute(
                f"{_COMPOSITE} ts >= ? AND ts < ? ORDER BY ts LIMIT ?",
                (self._id("symbols", symbol), self._id("modes", mode), start, end, limit),
            ).fetchall()
            return [self._composite(row, mode) for row in rows]

    def scores(self, symbol: str, mode: str, card: str, start: int, end: int) -> Series:
        """One card's scores step by step: instants, whole 127ths (-128 where not available).

        Steps at which the catalogue had no such card, symbol or mode are left out.
        """
        with self._snapshot():
            key = self._id("symbols", symbol), symbol
            return self._matrix.series(key, mode, card, start, end)

    def decision(self, symbol: str, mode: str, ts: int) -> StoredDecision | None:
        """The newest decision at or before `ts`, None where there is none."""
        with self._snapshot():
            row = self._newest(symbol, mode, ts)
            return None if row is None else self._decision(symbol, mode, row)

    def composite(self, symbol: str, mode: str, ts: int) -> CompositeRow | None:
        """The newest decision at or before `ts` without its readings, None where there is none."""
        with self._snapshot():
            row = self._newest(symbol, mode, ts)
            return None if row is None else self._composite(row, mode)

    def _newest(self, symbol: str, mode: str, ts: int) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(
            f"{_COMPOSITE} ts <= ? ORDER BY ts DESC LIMIT 1",
            (self._id("symbols", symbol), self._id("modes", mode), ts),
        ).fetchone()
        return row

    def instants(self, mode: str, start: int, end: int, limit: int) -> list[int]:
        """The first `limit` instants of the mode's decisions whose readings are kept."""
        rows = self._connection.execute(
            "SELECT ts FROM readings WHERE mode = ? AND ts >= ? AND ts < ? ORDER BY ts LIMIT ?",
            (self._id("modes", mode), start, end, limit),
        )
        return [ts for (ts,) in rows]

    def whole(self, mode: str, ts: int) -> Whole | None:
        """The readings of all symbols at a decision's instant; None where they are not kept."""
        with self._snapshot():
            row = self._connection.execute(
                "SELECT version, lines, data FROM readings WHERE mode = ? AND ts = ?",
                (self._id("modes", mode), ts),
            ).fetchone()
            scores = None if row is None else self._matrix.whole(mode, ts, row[0])
            if scores is None:
                return None
            version = self.version(row[0])
            names = msgspec.json.decode(row[1], type=list[str])
            _, cards, symbols = version.catalogue.shape
            try:
                parts = codec.unpack_readings(row[2], cards, symbols, len(names))
            except codec.CodecError:
                self._matrix.damaged += 1
                return None
            confidence, conflicted, beta, lines = parts
            by_name = dict(zip(names, lines, strict=True))
            return Whole(ts, mode, version, scores, confidence, conflicted, beta, by_name)

    def bars(self, symbol: str, start: int, end: int) -> BarSeries:
        """One-minute bars; taker flow is NaN where it was not known."""
        rows = self._connection.execute(
            "SELECT ts, open, high, low, close, buy, sell, trades FROM bars "
            "WHERE symbol = ? AND ts >= ? AND ts < ? ORDER BY ts",
            (self._id("symbols", symbol), start, end),
        ).fetchall()
        times = np.array([row[0] for row in rows], np.int64)
        values = np.array([row[1:] for row in rows], np.float64).reshape(len(rows), 7)
        return BarSeries(times, *np.ascontiguousarray(values.T))

    def health(self, start: int, end: int) -> list[HealthRecord]:
        """Every feed's health, oldest first."""
        rows = self._connection.execute(
            "SELECT ts, f.name, s.name, frames, dropped, gaps, resyncs, reconnects, lag "
            "FROM feed_health JOIN labels f ON f.id = feed JOIN labels s ON s.id = state "
            "WHERE ts >= ? AND ts < ? ORDER BY ts, f.name",
            (start, end),
        )
        return [HealthRecord(*row) for row in rows]

    def alerts(self, after: int = 0, last: int = -1) -> list[tuple[int, Alert]]:
        """Alerts with their ids, oldest first: those of a greater id than `after`.

        Of these the `last` ones written, all where it is negative.
        """
        rows = self._connection.execute(_ALERTS, (after, last)).fetchall()
        return [(id, Alert(*fields)) for id, *fields in reversed(rows)]

    def transitions(
        self, symbol: str, start: int, end: int, mode: str | None = None, subject: str | None = None
    ) -> list[Transition]:
        """What changed for a symbol, oldest first; of one mode and kind of subject where given."""
        with self._snapshot():
            return read_transitions(self._connection, symbol, start, end, mode, subject)

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Several statements on one state of the database, whatever the writer does meanwhile."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def _id(self, table: str, name: str) -> int:
        row = self._connection.execute(f"SELECT id FROM {table} WHERE name = ?", (name,)).fetchone()
        return -1 if row is None else int(row[0])

    def _composite(self, row: tuple[Any, ...], mode: str) -> CompositeRow:
        names = self.version(row[10]).catalogue.windows[mode]
        signs = codec.unpack_windows(row[6], len(names))
        return CompositeRow(
            ts=row[0],
            bias=row[1],
            conviction=row[2],
            decision=row[3],
            state=row[4],
            agreement=row[5],
            windows=dict(zip(names, signs, strict=True)),
            coverage=row[7],
            available=row[8],
            total=row[9],
            version=row[10],
        )

    def _decision(self, symbol: str, mode: str, row: tuple[Any, ...]) -> StoredDecision:
        composite = self._composite(row, mode)
        version = self.version(composite.version)
        catalogue = version.catalogue
        place = catalogue.symbols.index(symbol)
        readings = self._readings(composite.ts, mode, catalogue, place)
        confidence, conflicted, beta, lines = readings or (None, None, None, {})
        return StoredDecision(
            symbol=symbol,
            mode=mode,
            composite=composite,
            version=version,
            weights=catalogue.weights[catalogue.modes.index(mode)],
            have=catalogue.have[:, place],
            scores=self._matrix.step((self._id("symbols", symbol), symbol), mode, composite.ts),
            confidence=confidence,
            conflicted=conflicted,
            beta=beta,
            lines=lines,
        )

    def _readings(
        self, ts: int, mode: str, catalogue: Catalogue, place: int
    ) -> tuple[Bytes, Flags, int, dict[str, float]] | None:
        """One symbol's confidence and conflicted (C,), beta and context lines."""
        row = self._connection.execute(
            "SELECT lines, data FROM readings WHERE mode = ? AND ts = ?",
            (self._id("modes", mode), ts),
        ).fetchone()
        if row is None:
            return None
        names = msgspec.json.decode(row[0], type=list[str])
        _, cards, symbols = catalogue.shape
        try:
            parts = codec.unpack_readings(row[1], cards, symbols, len(names))
        except codec.CodecError:
            self._matrix.damaged += 1
            return None
        confidence, conflicted, beta, lines = parts
        of_symbol = dict(zip(names, lines[:, place].tolist(), strict=True))
        return confidence[:, place], conflicted[:, place], int(beta[place]), of_symbol
