"""How much may be asked of a venue, and how soon again; and what a session has counted."""

from collections import Counter, deque

import msgspec
from msgspec import Struct

from engine.clock import NS

MINUTE = 60 * NS
SPACING = (1.0, 30.0)  # seconds between two snapshots of one book: first, most
PEACE = 60 * NS


class Counters(Struct):
    """What a session has carried, lost and waited for since it started.

    `reconnects` leaves out rotations; `blind_ns` sums the time between a socket's last frame and
    its successor's first; `dropped` counts frames lost inside, by reason.
    """

    frames: int = 0
    bytes: int = 0
    reconnects: int = 0
    rest_requests: int = 0
    rest_failures: int = 0
    blind_ns: int = 0
    dropped: Counter[str] = msgspec.field(default_factory=Counter)


class Usage(Struct, frozen=True):
    """What of a minute's allowances is used: weight of requests, new connections.

    `dropped`: frames lost inside the session, by reason.
    """

    requests: float
    request_budget: float
    connects: float
    connect_budget: float
    dropped: dict[str, int]


class Budget:
    """What was spent within the last minute, and on which kind of thing."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self._spent: deque[tuple[int, int, str]] = deque()

    def wait(self, now: int, weight: int, share: float = 1.0, kind: str = "") -> int:
        """ns until `weight` fits into that share of the budget, 0 where it does.

        With a `kind` only what that kind spent counts. What exceeds its share may use the whole;
        what exceeds that too waits for an empty minute.
        """
        self._forget(now)
        limit = share * self.weight if weight <= share * self.weight else self.weight
        spent = [(at, w) for at, w, k in self._spent if not kind or k == kind]
        excess = sum(w for _, w in spent) + weight - limit
        if excess <= 0 or not spent:
            return 0
        for at, once in spent:
            excess -= once
            if excess <= 0:
                return at + MINUTE - now
        return spent[-1][0] + MINUTE - now

    def spend(self, now: int, weight: int, kind: str = "") -> None:
        self._spent.append((now, weight, kind))

    def used(self, now: int) -> float:
        """Weight spent within the last minute."""
        self._forget(now)
        return float(sum(weight for _, weight, _ in self._spent))

    def _forget(self, now: int) -> None:
        while self._spent and self._spent[0][0] <= now - MINUTE:
            self._spent.popleft()


class Spacing:
    """How soon one book may be asked for again: 1 s doubling to 30 s, forgotten after peace."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, float]] = {}

    def due(self, symbol: str, now: int) -> int:
        """The instant of the next request, which is taken as made."""
        first, most = SPACING
        last, gap = self._last.get(symbol, (None, first))
        if last is None or now - last > PEACE:
            self._last[symbol] = (now, first)
            return now
        at = max(now, last + int(gap * NS))
        self._last[symbol] = (at, min(2 * gap, most))
        return at

    def take(self, symbol: str, now: int) -> bool:
        """Whether it may be asked for at once, which is then taken as made."""
        last, gap = self._last.get(symbol, (0, 0.0))
        return now - last >= gap * NS and self.due(symbol, now) == now
