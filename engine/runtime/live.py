"""The live engine: sessions bring frames, a timer runs the steps that silence would delay."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from engine.clock import NS, Clock, WallClock
from engine.config import Config
from engine.decision.decide import Decision
from engine.events import FeedStatus
from engine.feeds.feed import Feed, Frame, Request, build_feed
from engine.feeds.session import Session
from engine.feeds.transport import race
from engine.runtime.backfill import REST, Backfill
from engine.runtime.checkpoint import Keeper, Resumed
from engine.runtime.pictures import Pictures
from engine.runtime.pipeline import STATUS, Pipeline
from engine.runtime.records import Archive
from engine.snapshot import Detail, ModeOfData, Notice, Snapshot
from engine.store.recordings import Recorder

log = logging.getLogger(__name__)
WARM_SLICE_NS = 8_000_000
WARM_PAUSE_S = 0.01
TICK_S = 0.05
CHECK_S = 1.0
TOP_UP_S = 20.0
MIN_COVER_BPS = 12.0
DAY_NS = 86_400 * NS
AGAIN_S = 10.0  # after a job has failed
MOST_SLICES = 1000  # of a step, and more than any has


class Engine:
    """Runs the feeds of the config; a SnapshotSource from before the first frame on.

    `warm_step`: instants of the warm-up between two pauses, for a clock that stands still while
    there is work; without it a pause comes every few milliseconds. `seed`: of the jitter between
    reconnects, for runs that are to repeat.
    """

    def __init__(self, config: Config, mode_of_data: ModeOfData = "live",
                 clock: Clock | None = None, db: Path | None = None,
                 recorder: Recorder | None = None,
                 warm_step: int | None = None, seed: int | None = None) -> None:  # fmt: skip
        self.config = config
        self.clock = clock or WallClock()
        feeds = {
            name: build_feed(name, feed, config.instruments)
            for name, feed in config.feeds.items()
            if feed.enabled
        }
        self.pipeline = Pipeline(config, feeds, on_step=self._stepped)
        self.pictures = Pictures(self.pipeline, mode_of_data)
        self._archive = Archive(config, self.pictures, db, self.clock.now()) if db else None
        self._keeper = Keeper(self.pictures, self._archive.keep) if self._archive else None
        self._resumed: Resumed | None = None
        self._recorder = recorder
        self._warm_step = warm_step
        self._seed = seed
        self._sessions = {name: self._session(name, feed) for name, feed in feeds.items()}
        self.pipeline.usage = {name: session.usage for name, session in self._sessions.items()}
        self._stop = asyncio.Event()
        # What was received during a step, None between steps.
        self._held: deque[Frame | FeedStatus] | None = None
        self._due = asyncio.Event()
        self._backfill = Backfill(self.pipeline, self._sessions, self.clock,
                                  config.connection.connect_timeout, self._frame,
                                  self.notice)  # fmt: skip
        self._problem = ""

    def _session(self, name: str, feed: Feed) -> Session:
        rng = None if self._seed is None else random.Random(f"{self._seed} {name}")
        return Session(feed, self.config.feeds[name], self.config.connection,
                       self.pipeline.symbols, self.clock, self._frame,
                       self._status, rng)  # fmt: skip

    def stop(self) -> None:
        """End the run; history and recording are flushed."""
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop` or cancellation. Raises StoreError when history cannot be opened."""
        if self._archive is not None:
            await self._archive.open()
            await self._resume(self._archive)
            kept = int(self.config.store.keep_days.bars * DAY_NS)
            await self._backfill.open(self._archive.path, self.clock.now() - kept)
        # Steps and seconds are counted from here, in the recording too.
        self._tell("started", self.clock.now())
        jobs = [
            *(session.run() for session in self._sessions.values()),
            self._keep("steps", self._tick),
            self._keep("mending of books", self._mend_books),
            self._keep("history", self._bring_history),
            *(
                self._keep(f"{name} candles", partial(self._top_up, name))
                for name in self._sessions if self.config.feeds[name].backfill
            ),
        ]  # fmt: skip
        tasks = [asyncio.create_task(job) for job in jobs]
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await self._watch(tasks, stopping)
        finally:
            await self._between_steps(tasks)
            running = (*tasks, stopping)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._backfill.close()
            if self._keeper is not None:
                await self._keeper.close()
            if self._archive is not None:
                await self._archive.close()
            if self._recorder is not None:
                await asyncio.to_thread(self._recorder.close)

    async def _resume(self, archive: Archive) -> None:
        """Take up what an earlier start knew; the seconds away pass without data.

        Not where frames are recorded: what they decide is to be found again from them alone.
        """
        if self._keeper is None or self._recorder is not None:
            return
        self._resumed = await self._keeper.resume(archive.path, self.clock.now())
        if self._resumed is not None and self._resumed.market:
            archive.go_on()
            for _ in self._keeper.catch_up(self.clock.now()):
                await asyncio.sleep(0)

    async def _between_steps(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Let the step that is under way come to its end, so that no half of one is kept."""
        for _ in range(MOST_SLICES):
            if not self.stepping or any(task.done() for task in tasks):
                return
            await asyncio.sleep(0)

    async def _watch(
        self, tasks: Sequence[asyncio.Task[None]], stopping: asyncio.Task[bool]
    ) -> None:
        """Wait for the stop; a job that fails ends the run with its error."""
        pending: set[asyncio.Task[None]] = set(tasks)
        while not stopping.done() and pending:
            done, _ = await asyncio.wait({*pending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()
                pending.discard(task)

    async def _keep(self, name: str, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A job until it is done; a failure is told, and it begins again after a while."""
        while True:
            try:
                return await job()
            except Exception as error:
                log.exception("%s", name)
                what = f"{type(error).__name__} {error}".strip()
                self.notice("error", f"{name} failed ({what}); begins again in {AGAIN_S:.0f} s")
            await self.clock.sleep(AGAIN_S)

    # -- what sessions bring ---------------------------------------------------------------

    def _frame(self, frame: Frame) -> None:
        if self._recorder is not None:
            self._recorder.put(frame)
        self._bring(frame, frame.recv)

    def _status(self, status: FeedStatus) -> None:
        if self._recorder is not None:
            data = msgspec.json.encode(status).decode()
            recv = status.recv or self.clock.now()
            self._recorder.put(Frame(recv, status.feed, STATUS, "", data))
        self._bring(status, status.recv or 0)
        if status.connection == "catalogue":
            # That a venue lacks a symbol is a fact, not a fault.
            self.notice("info", f"{status.feed}: {status.note}")
        elif status.state in ("blocked", "limited", "error"):
            text = f"{status.feed}: {status.state}, {status.note}"
            log.warning("%s", text)
            self.notice("warning", text)

    def _bring(self, item: Frame | FeedStatus, recv: int) -> None:
        """Apply it, or let it wait for the step that is under way or due before it."""
        if self._held is None and recv >= self.pipeline.next_due > 0:
            self._held = deque()
            self._due.set()
        if self._held is None:
            self._apply(item)
        else:
            self._held.append(item)

    def _apply(self, item: Frame | FeedStatus) -> None:
        if not isinstance(item, Frame):
            self.pipeline.on_status(item)
        elif item.connection != REST:
            self.pipeline.on_frame(item)
        else:
            tally = self.pipeline.tallies[item.feed]
            before = tally.events
            try:
                self.pipeline.on_frame(item)
            finally:
                self._backfill.heard(item, tally.events - before)

    @property
    def stepping(self) -> bool:
        """Whether a step is under way, for which everything received waits."""
        return self._held is not None

    def _stepped(self, now: int, decisions: list[Decision]) -> None:
        for decision in decisions:
            self.pictures.decided(decision)
        if self._archive is not None:
            self._archive.stepped(now, decisions)
            if self._archive.problem and self._archive.problem != self._problem:
                self.notice("error", self._archive.problem)
            self._problem = self._archive.problem

    def notice(self, severity: str, text: str) -> None:
        """A line for the trader."""
        self.pictures.notices.append(Notice(ts=self.clock.now(), severity=severity, text=text))

    # -- jobs ------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """Run the steps that are due, be it that no frame comes.

        A step takes turns with everybody else on the loop; what is received meanwhile waits, so
        that the step sees the market of its instant.
        """
        while True:
            self._held = deque() if self._held is None else self._held
            try:
                for _ in self.pipeline.running(self.clock.now()):
                    await asyncio.sleep(0)
                if self._keeper is not None and self._keeper.due:
                    for _ in self._keeper.gather():
                        await asyncio.sleep(0)
            finally:
                self._release()
            wait = (self.pipeline.next_due - self.clock.now()) / NS
            await race(self._due.wait(), self.clock.sleep(max(TICK_S, wait)))
            self._due.clear()

    def _release(self) -> None:
        """Bring in what waited for the step, in its order."""
        held, self._held = self._held or (), None
        for item in held:
            self._apply(item)

    async def _mend_books(self) -> None:
        """Ask for a fresh snapshot of every book that is broken, or whose known depth ran out."""
        market = self.pipeline.market
        while True:
            await self.clock.sleep(CHECK_S)
            for (venue, symbol), listed in market.listed.items():
                book = listed.book
                known = book.synced and venue == market.reference
                thin = known and market.cover(listed.index) < MIN_COVER_BPS
                worn = thin and self.clock.now() - book.snapshot_at > 60 * NS
                heard = book.recv or book.waiting
                if symbol is not None and heard and (not book.synced or worn):
                    for name, session in self._sessions.items():
                        if self.pipeline.feeds[name].venue == venue:
                            session.heal(symbol)

    async def _bring_history(self) -> None:
        """The warm-up when what a first bias needs is there, and again when the rest is."""
        names = [name for name in self._sessions if self.config.feeds[name].backfill]
        resumed = self._resumed
        if names and resumed is not None and resumed.whole:
            await self._backfill.gap(names, resumed.ts)
            if not resumed.warm:
                # The minutes away come with the top-ups.
                await self.clock.sleep(2 * TOP_UP_S)
                await self._warm(minutes=8 * 86400.0)
        elif names:
            await self._backfill.first(names)
            await self._warm(minutes=8 * 3600.0)
            await self._backfill.rest(names)
            await self._warm(minutes=8 * 86400.0)
        if self._keeper is not None:
            self._keeper.whole = True

    async def _top_up(self, name: str) -> None:
        """Whatever minutes turn out incomplete, for good."""
        feed, session = self.pipeline.feeds[name], self._sessions[name]
        await session.catalogued.wait()
        while True:
            await self.clock.sleep(TOP_UP_S)
            await session.fetch(self._missing(feed))

    def _missing(self, feed: Feed) -> list[Request]:
        holes = self.pipeline.market.holes(self.clock.now())
        return [r for symbol, start, end in holes for r in feed.top_up(start, end, [symbol])]

    async def _warm(self, minutes: float) -> None:
        """Warm the normalisers from candles, a few milliseconds at a time.

        History ends where the live steps begin, so that no stretch counts twice.
        """
        end = (self.pipeline.first_step or self.clock.now()) // (60 * NS) * 60 * NS
        taken = self.clock.now()
        for count, _ in enumerate(self.pipeline.warm_up(end, minutes), 1):
            if self._warm_step and count % self._warm_step == 0:
                await self.clock.sleep(WARM_PAUSE_S)
            elif self.clock.now() - taken > WARM_SLICE_NS:
                await asyncio.sleep(0)
                taken = self.clock.now()
        self._tell("warmed", end, str(minutes))

    def _tell(self, state: str, ts: int, note: str = "") -> None:
        """A status of the engine's own, for the recording and the pipeline alike."""
        self._status(
            FeedStatus(venue="", market="perp", symbol=None, ts=ts, recv=self.clock.now(),
                       feed="", connection="engine", state=state, note=note)
        )  # fmt: skip

    # -- SnapshotSource --------------------------------------------------------------------

    def latest(self) -> Snapshot:
        """The picture as of now."""
        return self.pictures.snapshot(self.clock.now())

    def at(self, ns: int) -> Snapshot | None:
        """A running engine keeps no past pictures; the history does."""
        return None

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        """Readings, bars, tape, book of one symbol."""
        return self.pictures.detail(symbol, parts)
