"""Answers about the past that never change, kept so that the next start need not ask again.

They lie in the history's database, written over a connection of their own. Whatever the disk does,
nobody is held up: what cannot be read is not known, what cannot be written is asked for again.
"""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard
from msgspec import Struct

from engine.store.schema import BUSY_SECONDS, PRAGMAS

if TYPE_CHECKING:
    import aiosqlite

log = logging.getLogger(__name__)
LEVEL = 3
QUEUE = 2000
# One transaction holds so many at the most: some hundred kilobytes.
BATCH = 32
FAILURES = (sqlite3.Error, ValueError)  # the latter of a connection that is closed already
_INSERT = (
    "INSERT OR REPLACE INTO answers (feed, asked, final, asked_at, body) VALUES (?, ?, ?, ?, ?)"
)


class Answer(Struct, frozen=True, gc=False):
    """What a feed `asked`, the answer, since when it is final and when it came (ns)."""

    feed: str
    asked: str
    final: int
    asked_at: int
    body: bytes


class Answers:
    """The kept answers of an open history; `close` writes what waits.

    `problem` is the last failure as a sentence, empty when all is well; `lost` counts answers that
    could not be kept.
    """

    def __init__(self, database: "aiosqlite.Connection") -> None:
        self.problem = ""
        self.lost = 0
        self._database = database
        self._queue: deque[Answer] = deque()
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._closed = False
        self._task = asyncio.create_task(self._run(), name="answers")

    @classmethod
    async def open(cls, path: Path, since: int) -> "Answers":
        """Of a history that exists; those that came before `since` (ns) are given up.

        Raises sqlite3.Error.
        """
        import aiosqlite

        database = await aiosqlite.connect(path, timeout=BUSY_SECONDS)
        try:
            for pragma in PRAGMAS:
                await database.execute_fetchall(pragma)
            await database.execute_fetchall("SELECT feed, asked FROM answers LIMIT 0")
        except BaseException:
            await database.close()
            raise
        answers = cls(database)
        await answers._change("DELETE FROM answers WHERE asked_at < ?", [(since,)])
        return answers

    async def begin(self, feed: str, asked: Collection[str]) -> frozenset[str]:
        """Which of these are kept; what else is kept of that feed is not asked any more and goes.

        `asked` holds whatever the feed will ask for in this run.
        """
        try:
            rows = await self._database.execute_fetchall(
                "SELECT asked FROM answers WHERE feed = ?", (feed,)
            )
        except FAILURES as error:
            self._failed("read", error)
            return frozenset()
        kept = {row[0] for row in rows}
        wanted = kept & set(asked)
        if gone := sorted(kept - wanted):
            delete = "DELETE FROM answers WHERE feed = ? AND asked = ?"
            await self._change(delete, [(feed, key) for key in gone])
        return frozenset(wanted)

    async def read(self, feed: str, asked: Sequence[str]) -> dict[str, bytes]:
        """Bodies of those that are kept and whole; some dozen at once."""
        places = ", ".join("?" * len(asked))
        try:
            rows = await self._database.execute_fetchall(
                f"SELECT asked, body FROM answers WHERE feed = ? AND asked IN ({places})",
                (feed, *asked),
            )
        except FAILURES as error:
            self._failed("read", error)
            return {}
        return await asyncio.to_thread(_unpacked, [(row[0], row[1]) for row in rows])

    async def forget(self, feed: str) -> None:
        """Give up all answers of a feed."""
        await self._change("DELETE FROM answers WHERE feed = ?", [(feed,)])

    def put(self, answer: Answer) -> None:
        """Hand over an answer, from the event loop's thread; never waits."""
        if self._closed or len(self._queue) >= QUEUE:
            self.lost += 1
            return
        self._queue.append(answer)
        self._wake.set()

    async def close(self) -> None:
        """Write what waits and close the connection."""
        self._closed = True
        self._wake.set()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._queue or not self._closed:
                self._wake.clear()
                if self._queue:
                    await self._write()
                else:
                    await self._wake.wait()
        finally:
            # Also when the loop is torn down around it: the database's thread outlives nobody.
            self._closed = True
            await self._database.close()

    async def _write(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        rows = await asyncio.to_thread(_packed, batch)
        if not await self._change(_INSERT, rows):
            self.lost += len(batch)

    async def _change(self, sql: str, rows: Sequence[tuple[object, ...]]) -> bool:
        """One transaction; whether it took place."""
        async with self._turn:
            try:
                await self._database.executemany(sql, rows)
                await self._database.commit()
            except FAILURES as error:
                self._failed("kept", error)
                await self._undo()
                return False
        self.problem = ""
        return True

    async def _undo(self) -> None:
        try:
            await self._database.rollback()
        except FAILURES:
            # SQLite has rolled back by itself where it cannot even do that.
            return

    def _failed(self, what: str, error: Exception) -> None:
        if not self.problem:
            log.warning("answers not %s: %s", what, error)
        self.problem = f"answers not {what}: {error}"


def _packed(batch: Sequence[Answer]) -> list[tuple[object, ...]]:
    pack = zstandard.ZstdCompressor(level=LEVEL).compress
    return [(a.feed, a.asked, a.final, a.asked_at, pack(a.body)) for a in batch]


def _unpacked(rows: Sequence[tuple[str, bytes]]) -> dict[str, bytes]:
    """What is damaged is left out, to be asked for again."""
    unpack, out = zstandard.ZstdDecompressor().decompress, {}
    for asked, body in rows:
        try:
            out[asked] = unpack(body)
        except (zstandard.ZstdError, TypeError, MemoryError):
            log.warning("answer to %s is damaged", asked)
    return out
