"""The faults of the drill: how each is brought about at a venue, and when its cause is over."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from engine.clock import NS

DEPTH = "/fapi/v1/depth"
LOOK_S = 0.25
FRAMES = ("gap", "duplicate", "reorder", "malformed")
REQUESTS = ("429 request", "451 request", "slow answer", "malformed answer")
UNLISTED, GONE = "symbol not listed", "server gone 10 s"
# Causes that last: their mending counts from their end.
LASTING = frozenset({"stall", "clock skew", UNLISTED, GONE})


class Kinds:
    """Faults by name; each returns whether it took place, once its cause is over.

    A subclass brings the running engine and its venues.
    """

    venues: dict[str, Any]
    engine: Any

    def __init__(self, clock: Any, began: int, rng: random.Random) -> None:
        self.clock, self.began, self.rng = clock, began, rng
        self.wanted: dict[str, set[str]] = {}
        self.seen: dict[str, Counter[str]] = defaultdict(Counter)
        self.by_name: dict[str, Callable[[str], Coroutine[Any, Any, bool]]] = {
            "drop": self._drop, "stall": self._stall, "half-open": self._half_open,
            **{kind: partial(self._frame, kind) for kind in FRAMES},
            "429 handshake": partial(self._turned_away, 429),
            "451 handshake": partial(self._turned_away, 451),
            "429 request": partial(self._refused, 429),
            "451 request": partial(self._refused, 451),
            "slow answer": self._slow, "malformed answer": self._cut_off,
            "silent ack": self._silent_ack, "history replayed": self._replayed,
            "clock skew": self._skew, UNLISTED: self._unlisted, GONE: self._gone,
        }  # fmt: skip

    def kinds(self, venue: str) -> list[str]:
        """The faults that a venue can have."""
        if venue == "context":
            return list(REQUESTS)
        return list(self.by_name) if self.wanted[venue] else [*REQUESTS, UNLISTED]

    @property
    def now(self) -> int:
        return int(self.clock.now())

    @property
    def simulated(self) -> float:
        return (self.now - self.began) / NS

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep(seconds)

    async def until(self, true: Callable[[], Any], seconds: float) -> bool:
        """Whether something came true within so much market time."""
        end = self.now + seconds * NS
        while not true():
            if self.now > end:
                return False
            await self.sleep(LOOK_S)
        return True

    # -- the faults ------------------------------------------------------------------------

    def _route(self, name: str) -> str | None:
        routes = sorted({client.route for client in self.venues[name].clients})
        return self.rng.choice(routes) if routes else None

    def _stream(self, name: str, of: str = "") -> str:
        """A stream that speaks often, its kind chosen first."""
        spoken = self.seen[name]
        often = [s for s in sorted(self.wanted[name]) if spoken[s] * 10 > self.simulated]
        kinds = defaultdict(list)
        for stream in often:
            if of in stream:
                kinds[_kind(stream)].append(stream)
        return str(self.rng.choice(kinds[self.rng.choice(sorted(kinds))]))

    async def _drop(self, name: str) -> bool:
        self.venues[name].drop(self._route(name))
        return True

    async def _stall(self, name: str) -> bool:
        """Of a route, or of one stream alone."""
        what = self._route(name) if self.rng.random() < 0.5 else self._stream(name)
        if what is None:
            return False
        self.venues[name].faults.stall(what)
        await self.sleep(self.rng.uniform(3.0, 45.0))
        self.venues[name].faults.resume(what)
        return True

    async def _half_open(self, name: str) -> bool:
        route = self._route(name)
        self.venues[name].half_open(route)
        return route is not None

    async def _frame(self, kind: Any, name: str) -> bool:
        stream, faults = self._stream(name), self.venues[name].faults
        faults.frame(kind, stream)
        done = await self.until(lambda: all(w.stream != stream for w in faults._frames), 20)
        if not done:
            return not faults.withdraw(stream)
        # A held frame follows its successor.
        await self.until(lambda: stream not in faults._held, 20)
        return True

    async def _turned_away(self, status: int, name: str) -> bool:
        faults, wait = self.venues[name].faults, self.rng.choice((2.0, 10.0, None))
        faults.refuse("ws", status, wait if status == 429 else None)
        self.venues[name].drop(self._route(name))
        return await self.until(lambda: not faults._refusals["ws"], 120)

    async def _refused(self, status: int, name: str) -> bool:
        faults, wait = self.venues[name].faults, self.rng.choice((2.0, 10.0, None))
        faults.refuse("rest", status, wait if status == 429 else None)
        self._provoke(name)
        return await self.until(lambda: not faults._refusals["rest"], 180)

    async def _slow(self, name: str) -> bool:
        faults = self.venues[name].faults
        faults.slow_snapshot(self.rng.uniform(0.5, 8.0))
        self._provoke(name)
        return await self.until(lambda: not faults._slow, 180)

    async def _cut_off(self, name: str) -> bool:
        """An answer that ends in the middle: of a book where they are asked for."""
        faults = self.venues[name].faults
        path = DEPTH if name == "binance" else self._catalogue_path(name)
        faults.frame("malformed", path)
        self._provoke(name)
        return await self.until(lambda: all(w.stream != path for w in faults._frames), 180)

    async def _silent_ack(self, name: str) -> bool:
        faults = self.venues[name].faults
        faults.silent_ack()
        self.venues[name].drop(self._route(name))
        return await self.until(lambda: not faults.silent_acks, 120)

    async def _replayed(self, name: str) -> bool:
        faults = self.venues[name].faults
        faults.replay()
        self.venues[name].drop(self._route(name))
        return await self.until(lambda: not faults._replays, 120)

    async def _skew(self, name: str) -> bool:
        """Far enough to be told from a queue; the fault ends with the clock set right."""
        self.venues[name].faults.skew(self.rng.choice((-1, 1)) * self.rng.randrange(12_000, 90_000))
        await self.sleep(self.rng.uniform(20.0, 60.0))
        self.venues[name].faults.skew(0)
        return True

    async def _unlisted(self, name: str) -> bool:
        """The catalogue lacks a symbol for a while, and is looked at when it does and after."""
        venue = self.venues[name]
        symbol = self.rng.choice([i.id for i in self.engine.config.instruments])
        venue.unlisted.add(symbol)
        self._look_up(name)
        await self.sleep(self.rng.uniform(10.0, 30.0))
        venue.unlisted.discard(symbol)
        self._look_up(name)
        return True

    async def _gone(self, name: str) -> bool:
        await self.venues[name].stop()
        await self.sleep(10.0)
        await self.venues[name].start()
        return True

    def _provoke(self, name: str) -> None:
        """Make the feed ask for something: a book that is lost, else the catalogue."""
        if name == "binance":
            self.venues[name].faults.frame("gap", self._stream(name, "@depth"))
        else:
            self._look_up(name)

    def _look_up(self, name: str) -> None:
        """Let the catalogue's next round be due."""
        rest = self.engine._sessions[name]._rest
        for job in rest._standing:
            job.due = self.now
        rest._wake.set()

    def _catalogue_path(self, name: str) -> str:
        request = self.engine.pipeline.feeds[name].catalogue_request()
        return urlsplit(request.url).path


def _kind(stream: str) -> str:
    """What a stream's name says it brings: the part that is no contract's name."""
    if "@" in stream:
        return stream.partition("@")[2]
    return stream.partition(":")[0] if ":" in stream else stream.partition(".")[0]
