"""The injected clock: wall, recorded, simulated. Nobody else reads the time or waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Generator
from heapq import heappop, heappush
from typing import Protocol, TypeVar, cast

NS = 1_000_000_000
T = TypeVar("T")


class Clock(Protocol):
    """Time for the engine: `now` in ns UTC, and a way to wait."""

    def now(self) -> int: ...

    async def sleep(self, seconds: float) -> None: ...


def wall() -> int:
    """Monotonic wall time in ns, for slicing work; on a clock that stands still too."""
    return time.monotonic_ns()


def finish(work: Generator[None, None, T]) -> T:
    """All slices of a piece of work at once; returns its result."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            return cast(T, done.value)


class WallClock:
    """The machine's UTC clock, kept monotonic within the process."""

    def __init__(self) -> None:
        self._base = time.time_ns() - time.monotonic_ns()

    def now(self) -> int:
        return self._base + time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class RecordedClock:
    """Time as a recording tells it; `speed` is a ceiling on how fast it may pass, None is unpaced.

    `factor` is recorded time over wall time since the first frame.
    """

    def __init__(self, speed: float | None = None) -> None:
        self.speed = speed
        self.factor = 0.0
        self._now = 0
        self._origin: tuple[int, int] | None = None

    def now(self) -> int:
        return self._now

    def wall(self) -> int:
        """Monotonic wall time in ns, for slicing work."""
        return wall()

    def early(self, ns: int) -> bool:
        """Whether a frame of that time must wait for wall time x speed."""
        if self._origin is None or not self.speed:
            return False
        recorded, wall = self._origin
        return (ns - recorded) / self.speed > self.wall() - wall

    async def advance(self, ns: int) -> None:
        """Move to `ns`, never backwards, waiting while the recording runs ahead."""
        if self._origin is None:
            self._origin = (ns, self.wall())
        self._now = max(self._now, ns)
        recorded = self._now - self._origin[0]
        if self.speed:
            ahead = recorded / self.speed - (self.wall() - self._origin[1])
            if ahead > 0:
                await asyncio.sleep(ahead / NS)
        elapsed = self.wall() - self._origin[1]
        if elapsed > 0:
            self.factor = recorded / elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of recorded time."""
        await asyncio.sleep(seconds / self.speed if self.speed else 0)


class SimulatedClock:
    """Time that a simulated market drives; between its ticks time stands still.

    `guards`: lengths of sleeps that are time-outs of work under way, such as a request. `at_work`
    counts those that are pending: whoever drives the clock ought to wait for them. `used` is set
    once somebody sleeps.
    """

    def __init__(self, start: int, guards: Collection[float] = ()) -> None:
        self._now = start
        self._guards = frozenset(guards)
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0
        self.at_work = 0
        self.used = asyncio.Event()

    def now(self) -> int:
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Until time has been moved so far."""
        waiter = asyncio.get_running_loop().create_future()
        self._count += 1
        due = self._now + round(max(seconds, 0) * NS)
        heappush(self._sleepers, (due, self._count, waiter))
        self.used.set()
        guard = seconds in self._guards
        self.at_work += guard
        try:
            await waiter
        finally:
            self.at_work -= guard

    async def advance(self, to: int, settle: Callable[[], Awaitable[None]]) -> None:
        """Move on to `to`; sleepers wake one by one in their order, each followed by `settle`."""
        while self._sleepers and self._sleepers[0][0] <= to:
            due, _, waiter = heappop(self._sleepers)
            if not waiter.done():
                self._now = max(self._now, due)
                waiter.set_result(None)
                await settle()
        self._now = max(self._now, to)
