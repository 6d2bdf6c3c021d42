"""Keeping the database small: closed chunks, retention, vacuum; always a slice at a time."""

import asyncio
from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.clock import NS
from engine.config import StoreConfig
from engine.store import codec
from engine.store.names import Names
from engine.store.rows import LEVELS, Row

if TYPE_CHECKING:
    import aiosqlite

CHUNK = 300 * NS
DAY = 86_400 * NS
SWEEP_EVERY = 3600 * NS
# What one turn may take on, so that none holds the writer up for more than some milliseconds.
ROWS_A_SLICE = 500
CHUNKS_A_SLICE = 4
CHORES_A_TURN = 8
PAGES_A_SLICE = 256
# Steps between checkpoints: a write-ahead log of about two megabytes.
STEPS_A_CHECKPOINT = 12
# Free pages that stay, because the chunk under way keeps filling and emptying some.
SLACK_PAGES = 1024

Statement = tuple[str, tuple[Any, ...]]
Chore = tuple[Statement, ...]


class Upkeep:
    """The chores of one writer, done between its steps."""

    def __init__(self, database: "aiosqlite.Connection", names: Names, config: StoreConfig) -> None:
        self._database = database
        self._names = names
        self._config = config
        self._turns = 0
        self._slot: int | None = None
        self._compacting = True
        self._swept: int | None = None
        self._vacuumed: int | None = None
        self._vacuuming = False
        self._chores: deque[Chore] = deque()

    async def turn(self, now: int) -> None:
        """One slice of whatever is due as of the engine's `now`; raises sqlite3.Error."""
        self._turns += 1
        if self._turns % STEPS_A_CHECKPOINT == 0:
            # Passive: what a reader still needs waits for the next one.
            await self._database.execute_fetchall("PRAGMA wal_checkpoint(PASSIVE)")
            return
        if now // CHUNK != self._slot:
            self._slot = now // CHUNK
            self._compacting = True
        if self._compacting:
            self._compacting = await self._compact()
        elif self._chores or now - (self._swept or 0) >= SWEEP_EVERY:
            await self._sweep(now)
        elif self._vacuuming or self._vacuum_due(now):
            await self._vacuum()

    async def _compact(self) -> bool:
        """Turn the oldest closed run of step rows into a chunk; whether there was one."""
        assert self._slot is not None
        first, after = self._slot * CHUNK, (self._slot + 1) * CHUNK
        rows = await self._database.execute_fetchall(
            "SELECT ts, version, data FROM score_steps WHERE ts < ? OR ts >= ? ORDER BY ts LIMIT ?",
            (first, after, CHUNK // NS),
        )
        run = _first_run([tuple(row) for row in rows])
        if not run:
            return False
        version = run[0][1]
        shape, symbols = self._names.symbols_of[version]
        times = [row[0] for row in run]
        blobs = await asyncio.to_thread(_pack, [row[2] for row in run], shape)
        inserted = await self._database.execute_insert(
            "INSERT INTO score_chunks (first, last, steps, version, times) VALUES (?, ?, ?, ?, ?)",
            (times[0], times[-1], len(times), version, codec.pack_times(times)),
        )
        assert inserted is not None
        await self._database.executemany(
            "INSERT INTO score_series (chunk, symbol, data) VALUES (?, ?, ?)",
            [(inserted[0], symbol, blob) for symbol, blob in zip(symbols, blobs, strict=True)],
        )
        await self._database.execute_fetchall(
            "DELETE FROM score_steps WHERE ts BETWEEN ? AND ?", (times[0], times[-1])
        )
        await self._database.commit()
        return True

    async def _sweep(self, now: int) -> None:
        """Delete one slice of what has been kept long enough."""
        if not self._chores:
            self._swept = now
            self._chores.extend(self._plan(now))
        for _ in range(min(CHORES_A_TURN, len(self._chores))):
            before = self._database.total_changes
            for sql, values in self._chores[0]:
                await self._database.execute_fetchall(sql, values)
            await self._database.commit()
            if self._database.total_changes > before:
                return
            self._chores.popleft()

    def _plan(self, now: int) -> list[Chore]:
        keep = self._config.keep_days
        cut = {name: now - int(getattr(keep, name) * DAY) for name in keep.__struct_fields__}
        symbols = self._names.ids["symbols"].values()
        modes = self._names.ids["modes"].values()
        chores = [_chunks(cut["scores"]), _oldest("feed_health", {}, cut["health"])]
        # An alert says how things stood, and stays as long as the decision it came from.
        chores.append(_oldest("alerts", {}, cut["decisions"]))
        # Confidences say nothing without the scores they belong to.
        chores += [_oldest("readings", {"mode": mode}, cut["scores"]) for mode in modes]
        for symbol in symbols:
            chores.append(_oldest("bars", {"symbol": symbol}, cut["bars"]))
            for level, subject in enumerate(LEVELS):
                # Those of cards are as many, and say as little without them, as scores.
                until = cut["scores" if subject == "card" else "decisions"]
                chores.append(_oldest("transitions", {"symbol": symbol, "level": level}, until))
            for mode in modes:
                key = {"symbol": symbol, "mode": mode}
                chores.append(_oldest("composites", key, cut["decisions"]))
        return chores

    def _vacuum_due(self, now: int) -> bool:
        hours = int(self._config.vacuum_hours * 3600) * NS
        due = self._vacuumed is None or now - self._vacuumed >= hours
        if due:
            self._vacuumed = now
            self._vacuuming = True
        return due

    async def _vacuum(self) -> None:
        """Give one slice of free pages back to the file system."""
        free = [tuple(r) for r in await self._database.execute_fetchall("PRAGMA freelist_count")]
        self._vacuuming = free[0][0] > SLACK_PAGES
        if self._vacuuming:
            await self._database.execute_fetchall(f"PRAGMA incremental_vacuum({PAGES_A_SLICE})")


def _oldest(table: str, key: dict[str, int], cut: int) -> Chore:
    """Delete a slice of the rows of `key` that are older than `cut`, the oldest first."""
    where = "".join(f"{name} = ? AND " for name in key)
    newest = f"SELECT ts FROM {table} WHERE {where}ts < ? ORDER BY ts LIMIT {ROWS_A_SLICE}"
    values = tuple(key.values())
    sql = f"DELETE FROM {table} WHERE {where}ts <= (SELECT max(ts) FROM ({newest}))"
    return ((sql, (*values, *values, cut)),)


def _chunks(cut: int) -> Chore:
    old = "(SELECT id FROM score_chunks WHERE last < ? ORDER BY last LIMIT ?)"
    return (
        (f"DELETE FROM score_series WHERE chunk IN {old}", (cut, CHUNKS_A_SLICE)),
        (f"DELETE FROM score_chunks WHERE id IN {old}", (cut, CHUNKS_A_SLICE)),
    )


def _first_run(rows: list[Row]) -> list[Row]:
    """The rows up to the first change of version or slot."""
    if not rows:
        return []
    head = rows[0][1], rows[0][0] // CHUNK
    return list(takewhile(lambda row: (row[1], row[0] // CHUNK) == head, rows))


def _pack(steps: list[bytes], shape: tuple[int, int, int]) -> list[bytes]:
    """One chunk a symbol of step rows (M, C, S)."""
    block = np.frombuffer(b"".join(steps), np.int8).reshape(len(steps), *shape)
    return [codec.pack_chunk(block[..., symbol]) for symbol in range(shape[2])]
