"""The drill: faults at random moments on random venues, several at a time, and what is mended.

Its modules lie side by side and are imported by name from this folder.
"""

import asyncio
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fault_kinds import DEPTH, GONE, LASTING, LOOK_S, Kinds
from fault_ledger import WITHOUT_BOOKS, Ledger

from engine.clock import NS
from engine.config import Config, load
from engine.jobs.demo import Demo
from engine.jobs.offline import Offline
from engine.runtime.health import feed_health

PATIENCE_S = 400.0
EVERY_S = 3.0  # between faults, on average
AT_ONCE = 2  # at one venue
KEPT = 20_000
SLOWEST = 20  # faults of which is told what was lacking last
# Of these the estimate of the clock follows; others stamp some of their data at receipt.
CLOCKED = frozenset({"binance", "bybit", "okx", "bitget", "gate", "coinbase", "deribit"})
RARE = frozenset({"trade", "liquidation"})  # channels whose silence proves nothing


class Fault:
    """One that was injected: `over` is when its cause ended, from which its mending counts."""

    def __init__(self, venue: str, kind: str, began: int) -> None:
        self.venue, self.kind, self.began, self.over = venue, kind, began, 0
        self.lacked = ""


class Drill(Kinds):
    """A run under faults; `mended`: seconds each took until its venue was whole again."""

    def __init__(self, symbols: tuple[str, ...] | None, seed: int = 1, local: bool = False,
                 every: float = EVERY_S, feeds: tuple[str, ...] | None = None) -> None:  # fmt: skip
        config = _config(symbols, feeds)
        self.demo: Any = (
            Offline(config, seed=seed, warm_minutes=0, kept=KEPT)
            if local
            else Demo(config, seed=seed, speed=None, kept=KEPT)
        )
        clock = self.demo.clock
        super().__init__(clock, clock.now(), random.Random(seed))
        self.every, self.local = every, local
        if local:
            del self.by_name[GONE]
        self.injected: Counter[tuple[str, str]] = Counter()
        self.mended: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.failed: list[str] = []
        self.slowest: list[tuple[float, str]] = []
        self.at_end: dict[str, Counter[str]] = {}
        self.memory: list[float] = []
        self.unanswered: dict[str, dict[str, int]] = defaultdict(dict)
        self._open: list[Fault] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut: set[tuple[str, str]] = set()

    # -- the run ---------------------------------------------------------------------------

    async def run(self, minutes: float, say: Callable[[str], None] = lambda _: None) -> None:
        """So many simulated minutes of faults, then until all are mended."""
        running = asyncio.create_task(self.demo.run())
        drilling = asyncio.create_task(self._drill(minutes, say))
        try:
            await asyncio.wait((running, drilling), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Whichever has ended, the other would wait for good.
            for task in (drilling, *self._tasks):
                task.cancel()
            self.demo.stop()
            ended = await asyncio.gather(drilling, running, *self._tasks, return_exceptions=True)
        for problem in ended:
            if isinstance(problem, Exception):
                raise problem

    async def _drill(self, minutes: float, say: Callable[[str], None]) -> None:
        await self.clock.used.wait()
        self._begin()
        if not await self.until(self._ready, 120):
            raise TimeoutError(f"did not start: {self._states()}")
        self.wanted = {n: set().union(*(c.streams for c in v.clients)) for n, v in
                        self.venues.items()}  # fmt: skip
        self.memory.append(memory_mb())
        watching = [asyncio.create_task(job) for job in (self._watch(say), self._look(say))]
        self._tasks.update(watching)
        await self._inject(minutes, say)
        await self.until(lambda: not self._open, 2 * PATIENCE_S)
        self.failed += [f"{fault.venue}: {fault.kind} is still open" for fault in self._open]
        await self.until(self.whole, 60)
        self.ledger.sweep(self.now + 60 * NS)
        self.at_end = {n: Counter(self.ledger.books(n).values()) for n in self.ledger.truths}
        self.memory.append(memory_mb())

    def _begin(self) -> None:
        self.venues: dict[str, Any] = self.demo.network.venues if self.local else self.demo.venues
        self.engine = self.demo.engine
        self.ledger = Ledger(self.engine.pipeline.market, self.venues)
        for name, venue in self.venues.items():
            venue.asked = self._ask_noted(name, venue.asked)
            venue.frames = self._frames_noted(name, venue.frames)
            venue.faults.spoil_answer = self._cuts_noted(name, venue.faults.spoil_answer)
            if not self.local and venue.servers.rest._post is not None:
                venue.servers.rest._post = venue.asked

    @property
    def market(self) -> Any:
        """The simulated market."""
        return self.demo.market

    def _cuts_noted(self, name: str, spoil: Any) -> Any:
        def noted(path: str, body: bytes) -> bytes:
            out: bytes = spoil(path, body)
            if len(out) < len(body):
                self._cut.add((name, path))
            return out

        return noted

    def _ask_noted(self, name: str, asked: Any) -> Any:
        """Remember which requests were not answered well, until they are."""

        async def noted(path: str, query: dict[str, str], body: bytes | None) -> Any:
            key = f"{path} {sorted(query.items())} {body!r}"
            answer = await asked(path, query, body)
            cut = (name, path) in self._cut
            self._cut.discard((name, path))
            # A book is lost until an answer is whole, which need not be one to the same request.
            if answer.status != 200 or (cut and path != DEPTH):
                self.unanswered[name][key] = self.now
            else:
                self.unanswered[name].pop(key, None)
            return answer

        return noted

    def _frames_noted(self, name: str, frames: Any) -> Any:
        """Remember which streams speak."""

        def noted(tick: Any) -> Any:
            messages = frames(tick)
            self.seen[name].update([stream for stream, _ in messages])
            return messages

        return noted

    async def _inject(self, minutes: float, say: Callable[[str], None]) -> None:
        end, deck = self.now + minutes * 60 * NS, deque[tuple[str, str]]()
        half, told = self.now + minutes * 30 * NS, 0
        while self.now < end:
            if len(self.memory) == 1 and self.now > half:
                self.memory.append(memory_mb())
            if (passed := int(self.simulated) // 60) > told:
                told = passed
                open_ = ", ".join(f"{f.venue} {f.kind}" for f in self._open)
                say(f"{passed} min, {self.injected.total()} faults, {memory_mb():.0f} MB: {open_}")
            if len(deck) < len(self.venues):
                deck += self._shuffled()
            if card := self._draw(deck):
                task = asyncio.create_task(self._one(*card))
                self._tasks.add(task)
                task.add_done_callback(self._ended)
            await self.sleep(min(self.rng.expovariate(1 / self.every), 5 * self.every))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (problem := task.exception()):
            self.failed.append(repr(problem))

    def _shuffled(self) -> list[tuple[str, str]]:
        cards = [(venue, kind) for venue in self.venues for kind in self.kinds(venue)]
        self.rng.shuffle(cards)
        return cards

    def _draw(self, deck: deque[tuple[str, str]]) -> tuple[str, str] | None:
        """The first card whose venue has room and not that fault already."""
        busy = Counter(fault.venue for fault in self._open)
        there = {(fault.venue, fault.kind) for fault in self._open}
        room = AT_ONCE if self.rng.random() < 0.4 else 1
        for card in deck:
            if busy[card[0]] < room and card not in there:
                deck.remove(card)
                return card
        return None

    async def _one(self, venue: str, kind: str) -> None:
        fault = Fault(venue, kind, self.now)
        self._open.append(fault)
        if await self.by_name[kind](venue):
            self.injected[venue, kind] += 1
            fault.over = self.now if kind in LASTING else fault.began
        else:
            self._open.remove(fault)

    # -- watching --------------------------------------------------------------------------

    async def _watch(self, say: Callable[[str], None]) -> None:
        """Close faults whose venue is whole again."""
        while True:
            await self.sleep(LOOK_S)
            waiting = [fault for fault in self._open if fault.over]
            lacks = {name: self.lacking(name) for name in {fault.venue for fault in waiting}}
            for fault in waiting:
                took = (self.now - fault.over) / NS
                text = (f"{fault.venue}: {fault.kind} at {self.simulated - took:.0f} s,"
                        f" {took:.1f} s: {fault.lacked}")  # fmt: skip
                if not lacks[fault.venue]:
                    self.mended[fault.venue, fault.kind].append(took)
                    self.slowest = sorted([(took, text), *self.slowest], reverse=True)[:SLOWEST]
                elif took > PATIENCE_S:
                    self.failed.append(text)
                    say(text)
                fault.lacked = lacks[fault.venue]
                if not fault.lacked or took > PATIENCE_S:
                    self._open.remove(fault)

    async def _look(self, say: Callable[[str], None]) -> None:
        while True:
            await self.sleep(self.rng.uniform(0.1, 6.0))
            self.ledger.look(say)
            self.ledger.sweep(self.now)

    def whole(self) -> bool:
        """Whether everything of all venues flows and is true, and the feeds say so."""
        return not any(map(self.lacking, self.venues))

    def lacking(self, name: str) -> str:
        """What a venue lacks to be whole; nothing where it is."""
        venue, stalled = self.venues[name], self.venues[name].faults.stalled
        heard = [c for c in venue.clients if c.open and not c.silent and c.route not in stalled]
        carried = set().union(*(c.streams for c in heard)) - stalled
        if missing := self.wanted.get(name, set()) - carried:
            return f"not carried: {sorted(missing)[:3]}"
        if self.unanswered[name]:
            return f"not answered: {list(self.unanswered[name])[:2]}"
        if name in self.ledger.truths:
            books = self.ledger.books(name)
            if bad := {s: state for s, state in books.items() if state != "true"}:
                return f"books: {bad}"
        return self._unwell(name)

    def _unwell(self, name: str) -> str:
        """What the feed itself says is wrong."""
        pipeline = self.engine.pipeline
        health = feed_health(pipeline, name, self.now)
        rare = RARE | ({"quote"} if name in WITHOUT_BOOKS else set())
        silent = {s: h.missing for s, h in health.streams.items()
                  if h.missing and s not in rare}  # fmt: skip
        if silent or health.refused:
            return f"health: {silent} {health.refused}"
        offset = pipeline.tallies[name].offset
        skew = self.venues[name].faults.skew_ms * 1_000_000
        if name in CLOCKED and (offset is None or abs(offset + skew) > NS):
            return f"offset {offset} with a skew of {skew}"
        return ""

    def _ready(self) -> bool:
        return self.simulated > 15 and self.whole()

    def _states(self) -> dict[str, str]:
        return {name: lacks for name in self.venues if (lacks := self.lacking(name))}


def _config(symbols: tuple[str, ...] | None, feeds: tuple[str, ...] | None) -> Config:
    names = load()[0].feeds
    overrides: dict[str, Any] = {
        "feeds": {n: {"enabled": not feeds or n in feeds, "backfill": False} for n in names},
        "connection": {"blocked_retry": 10.0},
    }
    if symbols is not None:
        overrides["symbols"] = [{"id": s, "class": "layer1"} for s in symbols]
    return load(overrides=overrides)[0]


def memory_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
