"""The history's writer: one transaction a step, beside the event loop."""

import asyncio
import sqlite3
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import StoreConfig
from engine.store import checkpoint
from engine.store.checkpoint import Checkpoint
from engine.store.errors import StoreError
from engine.store.lock import WriterLock
from engine.store.names import Names
from engine.store.records import Batch, Catalogue, Meta, Problems
from engine.store.rows import encode, labels
from engine.store.schema import BUSY_SECONDS, PRAGMAS, prepare
from engine.store.upkeep import Upkeep

if TYPE_CHECKING:
    import aiosqlite

# One hour of steps that a disk too slow may fall behind.
QUEUE = 360
# A batch is tried again with each of so many batches after it, then given up.
RETRIES = 30
ADVICE = "run `blackperp-cockpit attach` to watch it, or name another file with --db"

Item = tuple[Catalogue, Batch]


class History:
    """The one writer of a database; open it with `History.open`, end it with `close`."""

    def __init__(
        self,
        database: "aiosqlite.Connection",
        lock: WriterLock,
        catalogue: Catalogue,
        config: StoreConfig,
    ) -> None:
        self._database = database
        self._lock = lock
        self._catalogue = catalogue
        self._names = Names()
        self._upkeep = Upkeep(database, self._names, config)
        self._queue: asyncio.Queue[Item | Checkpoint | None] = asyncio.Queue(QUEUE)
        self._waiting: deque[Item] = deque()
        self._last = ""
        self._errors = self._lost = self._dropped = 0
        self._closed = False
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, path: Path, meta: Meta, catalogue: Catalogue, config: StoreConfig | None = None
    ) -> "History":
        """Open or create the database at `path` for writing.

        Raises Locked when another process writes it, StoreError when it cannot be used; either is
        one sentence, and the file is as it was.
        """
        import aiosqlite

        lock = await asyncio.to_thread(_prepare, path, meta)
        database = None
        try:
            database = await aiosqlite.connect(path, timeout=BUSY_SECONDS)
            history = cls(database, lock, catalogue, config or StoreConfig())
            for pragma in PRAGMAS:
                await database.execute_fetchall(pragma)
            await history._names.load(database)
        except BaseException as error:
            if database is not None:
                await database.close()
            lock.release()
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"{path} cannot be opened ({error})") from None
            raise
        history._task = asyncio.create_task(history._run(), name="history")
        return history

    @property
    def problems(self) -> Problems:
        """What could not be written so far."""
        return Problems(
            last=self._last, errors=self._errors, waiting=len(self._waiting), lost=self._lost,
            dropped=self._dropped,
        )  # fmt: skip

    @property
    def backlog(self) -> int:
        """Batches not yet on disk; a replay lets it drain where a live engine must not wait."""
        return self._queue.qsize() + len(self._waiting)

    def describe(self, catalogue: Catalogue) -> None:
        """The catalogue of the batches put from now on."""
        self._catalogue = catalogue

    def put(self, batch: Batch) -> bool:
        """Hand over a step, from the event loop's thread; never waits.

        False, and counted, when the queue is full or the history closed.
        """
        if self._closed or self._queue.full():
            self._dropped += 1
            return False
        self._queue.put_nowait((self._catalogue, batch))
        return True

    def keep(self, state: Checkpoint) -> bool:
        """Hand over the engine's state, to take the place of the one before; as `put`.

        It is not tried again: the next one is newer.
        """
        if self._closed or self._queue.full():
            self._dropped += 1
            return False
        self._queue.put_nowait(state)
        return True

    async def drain(self) -> None:
        """Wait until everything put so far has been tried."""
        await self._queue.join()

    async def close(self) -> None:
        """Write what is queued, close the database and let the next writer in."""
        if self._closed:
            return
        self._closed = True
        if self._task is not None and not self._task.done():
            await self._queue.put(None)
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while (item := await self._queue.get()) is not None:
                await (self._save(item) if isinstance(item, Checkpoint) else self._take(item))
                self._queue.task_done()
            await self._write_waiting()
        finally:
            # Also when the loop is torn down around it: the database's thread outlives nobody.
            self._closed = True
            self._lost += len(self._waiting) + self._queue.qsize()
            self._waiting.clear()
            await self._database.close()
            self._lock.release()

    async def _take(self, item: Item) -> None:
        self._waiting.append(item)
        if not await self._write_waiting():
            if len(self._waiting) > RETRIES:
                self._waiting.popleft()
                self._lost += 1
            return
        try:
            await self._upkeep.turn(item[1].ts)
        except Exception as error:
            # A damaged old row must not end the writing of new ones.
            await self._failed(f"history not tidied: {error}")

    async def _save(self, state: Checkpoint) -> None:
        try:
            await checkpoint.write(self._database, state)
        except Exception as error:
            await self._failed(f"state not kept for a restart: {error}")

    async def _write_waiting(self) -> bool:
        """Write the oldest first; whether nothing is left waiting."""
        while self._waiting:
            try:
                await self._write(*self._waiting[0])
                self._last = ""
            except Exception as error:
                await self._failed(f"history not written: {error}")
                if _passing(error):
                    return False
                # The batch itself is at fault: trying it again would hold up all others.
                self._lost += 1
            self._waiting.popleft()
        return True

    async def _write(self, catalogue: Catalogue, batch: Batch) -> None:
        version = await self._names.version(self._database, catalogue, batch.ts)
        await self._names.add(self._database, "labels", labels(batch))
        rows = await asyncio.to_thread(encode, batch, catalogue, version, self._names.ids)
        for statement, values in rows.inserts():
            await self._database.executemany(statement, values)
        await self._database.commit()

    async def _failed(self, sentence: str) -> None:
        self._errors += 1
        self._last = sentence
        try:
            await self._database.rollback()
        except sqlite3.Error:
            # SQLite has rolled back by itself where it cannot even do that.
            return


def _passing(error: Exception) -> bool:
    """Whether it is the disk or another process that stands in the way, not the data."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def _prepare(path: Path, meta: Meta) -> WriterLock:
    """The lock and a database ready to be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be made ({error.strerror})") from None
    lock = WriterLock(path, meta.opened, ADVICE)
    try:
        prepare(path, meta)
    except BaseException:
        lock.release()
        raise
    return lock
