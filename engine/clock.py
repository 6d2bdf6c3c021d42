"""The injected clock: wall, recorded. Nobody else in the engine reads the time or waits."""

import asyncio
import time
from typing import Protocol

NS = 1_000_000_000


class Clock(Protocol):
    """Time for the engine: `now` in ns UTC, and a way to wait."""

    def now(self) -> int: ...

    async def sleep(self, seconds: float) -> None: ...


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
        return time.monotonic_ns()

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
