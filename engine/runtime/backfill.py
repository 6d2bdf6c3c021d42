"""History at the start: what earlier starts kept, the rest from the venues, all feeds at once."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from engine.clock import Clock
from engine.events import Event, OpenInterest
from engine.feeds.feed import Context, DecodeError, Feed, Frame, Request
from engine.feeds.session import Session
from engine.feeds.transport import within
from engine.runtime.pipeline import Pipeline
from engine.store.answers import Answer, Answers

log = logging.getLogger(__name__)
T = TypeVar("T")
AFTER_S = 1.0  # a trader sees prices first
FIRST_WAIT_S = 45.0
REST_WAIT_S = 900.0
READ = 20  # kept answers read at once
PAUSE_S = 0.05  # between two kept answers, which come no faster than those of a venue nearby
Key = tuple[str, str]
REST = "rest"  # the connection of answers
CANDLES = "bars"


class Backfill:
    """Brings the history of feeds: `first` what a first bias needs, then the `rest`.

    A kept answer reaches `deliver` as a frame, like one of the venue's. `patience`: seconds the
    database may take. Progress is told to the feeds' tallies.
    """

    def __init__(self, pipeline: Pipeline, sessions: Mapping[str, Session], clock: Clock,
                 patience: float, deliver: Callable[[Frame], None],
                 notice: Callable[[str, str], None]) -> None:  # fmt: skip
        self._pipeline, self._sessions = pipeline, sessions
        self._clock, self._patience = clock, patience
        self._deliver, self._notice = deliver, notice
        self._answers: Answers | None = None
        self._plans: dict[str, list[Request]] = {}
        self._kept: dict[str, frozenset[str]] = {}
        self._proved: set[str] = set()
        self._pending: dict[Key, Request] = {}
        self._recalled: dict[Key, Request] = {}
        self._barren: list[Request] = []
        self._probes: dict[Key, asyncio.Future[bytes | str]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, path: Path, since: int) -> None:
        """Use what is kept in the history at `path`, as far as it came from `since` (ns) on."""
        try:
            self._answers = await Answers.open(path, since)
        except sqlite3.Error as error:
            log.warning("answers: %s", error)
            self._notice("warning", f"history cannot be kept for the next start ({error})")

    async def close(self) -> None:
        """End what is under way and write what came."""
        await self._end()
        if self._answers is not None:
            await self._answers.close()

    async def first(self, names: Sequence[str]) -> None:
        """What a first bias needs, of all these feeds; the late ones go on."""
        await self._end()
        await self._clock.sleep(AFTER_S)
        await asyncio.gather(*(self._plan(name) for name in names))
        await self._all(names, True, FIRST_WAIT_S)

    async def gap(self, names: Sequence[str], since: int) -> None:
        """What came to pass after `since` (ns), where all history up to there is known.

        Not candles: the minutes that are missing are brought by the top-ups.
        """
        await self._end()
        await self._clock.sleep(AFTER_S)
        await asyncio.gather(*(self._plan(name) for name in names))
        for name, requests in self._plans.items():
            wanted = [r for r in requests if _is_news(r, since)]
            self._plans[name] = wanted
            self._pipeline.tallies[name].history = (0, len(wanted))
        await self._all(names, True, FIRST_WAIT_S)
        await self._all(names, False, REST_WAIT_S)

    async def rest(self, names: Sequence[str]) -> None:
        """The rest of it. A feed that cannot be reached keeps nobody waiting for good."""
        await self._all(names, False, REST_WAIT_S)
        if self._answers is not None and self._answers.problem:
            self._notice("warning", f"history: {self._answers.problem}")

    def heard(self, frame: Frame, events: int) -> None:
        """An answer was applied, and so many events came of it: keep it where it is final."""
        key = frame.feed, frame.url
        if request := self._recalled.pop(key, None):
            if events:
                self._count(frame.feed, 1)
            else:
                self._barren.append(request)
            return
        request = self._pending.pop(key, None)
        if request is None:
            return
        self._count(frame.feed, 1)
        if probe := self._probes.pop(key, None):
            probe.set_result(frame.data)
        final = request.final
        if self._answers is not None and events and final is not None and frame.recv >= final:
            body = frame.data.encode() if isinstance(frame.data, str) else frame.data
            self._answers.put(Answer(frame.feed, request.asked, final, frame.recv, body))

    # -- one feed --------------------------------------------------------------------------

    async def _plan(self, name: str) -> None:
        """What the feed asks for, and what of it is kept."""
        await self._sessions[name].catalogued.wait()
        feed = self._pipeline.feeds[name]
        requests = feed.backfill(self._clock.now(), self._pipeline.symbols)
        self._plans[name] = requests
        self._proved.discard(name)
        self._pipeline.tallies[name].history = (0, len(requests))
        asked = {request.asked for request in requests if request.final is not None}
        kept = await self._within(self._answers.begin(name, asked)) if self._answers else None
        self._kept[name] = kept or frozenset()

    async def _bring(self, name: str, requests: Sequence[Request]) -> None:
        """Kept answers and those of the venue side by side."""
        known = self._kept[name]
        kept = [r for r in requests if r.final is not None and r.asked in known]
        if kept and name not in self._proved:
            requests = [r for r in requests if r is not kept[0]]
            kept = kept[1:] if await self._prove(name, kept[0]) else []
        among = {request.asked for request in kept}
        asking = self._ask(name, [r for r in requests if r.asked not in among])
        lost, _ = await asyncio.gather(self._recall(name, kept), asking)
        await self._ask(name, lost)

    async def _prove(self, name: str, probe: Request) -> bool:
        """Whether the venue still tells the past as it was kept; asks for one page of it.

        Another venue may be served under the same name, such as a simulated market made anew:
        then nothing of what was kept is true.
        """
        before = await self._read(name, [probe])
        answer = self._probes[name, probe.whole] = asyncio.get_running_loop().create_future()
        now = await answer if await self._ask(name, [probe]) else None
        feed = self._pipeline.feeds[name]
        if now is not None and probe.asked in before:
            kept, told = (_past(feed, probe, body) for body in (before[probe.asked], now))
            if told and told <= kept:
                self._proved.add(name)
                return True
            log.warning("%s tells another past than the one that was kept", name)
            if self._answers is not None:
                await self._within(self._answers.forget(name))
        self._kept[name] = frozenset()
        return False

    async def _recall(self, name: str, kept: Sequence[Request]) -> list[Request]:
        """Deliver what is kept, little by little; those of which nothing came."""
        lost = []
        for at in range(0, len(kept), READ):
            part = kept[at : at + READ]
            bodies = await self._read(name, part)
            for request in part:
                body = bodies.get(request.asked)
                if body is None:
                    lost.append(request)
                    continue
                whole, now = request.whole, self._clock.now()
                self._recalled[name, whole] = request
                self._deliver(Frame(now, name, REST, whole, body, request.symbol))
                await self._clock.sleep(PAUSE_S)
        # What is received during a step is applied after it.
        while any(feed == name for feed, _ in self._recalled):
            await self._clock.sleep(PAUSE_S)
        barren = [request for request in kept if request in self._barren]
        self._barren = [request for request in self._barren if request not in barren]
        return lost + barren

    async def _ask(self, name: str, requests: Sequence[Request]) -> int:
        """Ask the venue, and tell how many answers came; the others count as done as well."""
        self._pending.update({(name, request.whole): request for request in requests})
        answered = await self._sessions[name].fetch(requests)
        self._count(name, len(requests) - answered)
        return answered

    async def _read(self, name: str, requests: Sequence[Request]) -> Mapping[str, bytes]:
        if self._answers is None:
            return {}
        asked = [request.asked for request in requests]
        return await self._within(self._answers.read(name, asked)) or {}

    async def _within(self, job: Coroutine[Any, Any, T]) -> T | None:
        """What the database says, unless that takes too long."""
        try:
            return await within(self._clock, self._patience, job)
        except TimeoutError:
            log.warning("answers: the database is too slow")
            return None

    def _count(self, name: str, answers: int) -> None:
        tally = self._pipeline.tallies[name]
        done, total = tally.history or (0, 0)
        tally.history = (min(done + answers, total), total)

    # -- all of them -----------------------------------------------------------------------

    async def _all(self, names: Collection[str], first: bool, seconds: float) -> None:
        """Until all feeds are done, or that time has passed; the late ones go on."""
        jobs = [self._bring(n, [r for r in self._plans[n] if _is_first(r) == first]) for n in names]
        tasks = [asyncio.create_task(job) for job in jobs]
        self._tasks += tasks
        enough = asyncio.create_task(self._clock.sleep(seconds))
        pending: set[asyncio.Task[None]] = set(tasks)
        try:
            while pending and not enough.done():
                done, _ = await asyncio.wait(
                    {*pending, enough}, return_when=asyncio.FIRST_COMPLETED
                )
                pending -= done
                for task in done - {enough}:
                    task.result()
        finally:
            enough.cancel()

    async def _end(self) -> None:
        tasks, self._tasks = self._tasks, []
        self._pending.clear()
        self._recalled.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_first(request: Request) -> bool:
    """Whether a first bias needs it."""
    return request.purpose.endswith("first")


def _is_news(request: Request, since: int) -> bool:
    """Whether it tells of what was after `since`, and is no candle."""
    after = request.final is None or request.final > since
    return after and not request.purpose.startswith(CANDLES)


def _past(feed: Feed, request: Request, body: bytes | str) -> set[Event]:
    """What an answer tells; without worth in dollars, which may be at today's price."""
    try:
        events = feed.decode(body, Context(None, request.whole, request.symbol))
    except DecodeError:
        return set()
    return {replace(e, usd=None) if isinstance(e, OpenInterest) else e for e in events}
