"""Holding a simulated market back to a multiple of real time, and telling what was reached."""

import asyncio
from collections import deque

from engine.clock import NS, wall

SLACK_NS = NS // 4
SPAN_NS = 5 * NS


class Pace:
    """`speed` is a ceiling on simulated over wall time, None for as fast as it goes."""

    def __init__(self, speed: float | None) -> None:
        self.speed = speed
        self._origin: tuple[int, int] | None = None
        self._marks: deque[tuple[int, int]] = deque()

    @property
    def factor(self) -> float | None:
        """Simulated over wall time of the last seconds; None before there are any."""
        if len(self._marks) < 2:
            return None
        (then, began), (now, ended) = self._marks[0], self._marks[-1]
        return (now - then) / max(ended - began, 1)

    def limit(self, speed: float | None) -> None:
        """Another ceiling from now on."""
        self.speed, self._origin = speed, None

    async def keep(self, now: int) -> None:
        """Wait while simulated time `now` runs ahead; time once lost is not made up for."""
        at = wall()
        if self._origin is None:
            self._origin = (now, at)
        if self.speed:
            simulated, real = self._origin
            ahead = (now - simulated) / self.speed - (at - real)
            if ahead > 0:
                await asyncio.sleep(ahead / NS)
            elif ahead < -SLACK_NS:
                self._origin = (now, at)
        self._marks.append((now, wall()))
        while self._marks[-1][1] - self._marks[0][1] > SPAN_NS and len(self._marks) > 2:
            self._marks.popleft()
