"""What all simulated venues share: clients, keeping step, faults, a market of their own.

A venue's file says what its exchange does: what a command brings about, what a tick sends, what
a request is answered with.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from engine.clock import NS, Clock
from engine.sim.market.chance import Array
from engine.sim.market.market import SimulatedMarket, Tick
from engine.sim.market.past import HIGH, LOW, OPEN, VOLUME
from engine.sim.market.play import Played
from engine.sim.market.positioning import Positioning
from engine.sim.market.shadow import Character, Contract, Reference, Shadow
from engine.sim.venues.faults import Faults, Message, Recent, Refusal
from engine.sim.venues.http import Answer
from engine.sim.venues.servers import Ports as Ports
from engine.sim.venues.servers import Servers
from engine.sim.venues.sockets import Client, wrap

PLUMBING = {"base", "faults", "http", "servers", "sockets"}
REFERENCE = "binance"  # which serves the market itself
Turns = Sequence[tuple[int, Played]]
Replies = Sequence[bytes]


class OwnFaults(Faults):
    """Faults of a venue that stamps its frames by its own clock, a wrong one included."""

    def spoil(self, messages: Sequence[Message]) -> Sequence[Message]:
        skew, self.skew_ms = self.skew_ms, 0
        try:
            return super().spoil(messages)
        finally:
            self.skew_ms = skew


async def nobody() -> None:
    """Nobody is waited for."""


class Venue:
    """One simulated exchange; `publish` sends what a tick brought.

    `start` it to be served on the loopback; a client in the same process may `join` it without.
    `taken` is awaited after each client's frames: whoever keeps clients in step waits there.
    `expected`: frames that clients will hand to their decoders; `held`: answers kept back on
    purpose. A subclass states `URLS` and says what to `command`, `frames`, `answer`.
    """

    URLS: ClassVar[Mapping[str, str]] = {}
    FAULTS: ClassVar[type[Faults]] = OwnFaults
    # Of these paths' answers, in the market's time; a slow answer is one of whole books, or any
    # where there are no such paths.
    LATENCY_S: ClassVar[Mapping[str, float]] = {}
    SLOW: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, reference: Reference, clock: Clock, ports: Ports | None = None,
                 taken: Callable[[], Awaitable[None]] = nobody) -> None:  # fmt: skip
        self.reference, self.market = reference, reference.market
        self.faults = self.FAULTS()
        self.clients: list[Client] = []
        self.unlisted: set[str] = set()
        self.expected = 0
        self.held = 0
        self._clock, self._taken = clock, taken
        self._ports = ports
        self._servers: Servers | None = None
        self._routes = {
            path or "/": name
            for name, (scheme, _, path) in ((n, u.partition(":")) for n, u in self.URLS.items())
            if scheme == "ws"
        }
        self._stalled = False
        self._calm = asyncio.Event()
        self._calm.set()
        self.recent = Recent()

    # -- what a subclass says --------------------------------------------------------------

    def route(self, target: str) -> str | None:
        """The name of the socket that a request's target leads to."""
        return self._routes.get(urlsplit(target).path or "/")

    def greet(self, client: Client) -> Replies:
        """Frames to a client that has just connected."""
        return ()

    def command(self, client: Client, text: bytes) -> Replies:
        """Frames in answer to a client's frame: acks, then snapshots and history.

        Subscriptions go into `client.streams`; `frames` names the same streams.
        """
        return ()

    def frames(self, tick: Tick) -> Sequence[Message]:
        """What a tick sends, in order: (stream, frame)."""
        return ()

    def answer(self, path: str, query: dict[str, str], body: bytes | None) -> Answer:
        """The answer to a request; `body` of a POST."""
        return Answer(b"{}", 404)

    def refused(self, status: int) -> bytes:
        """The body of an answer that a fault refuses."""
        return b'{"code":"%d","msg":"refused"}' % status

    # -- servers ---------------------------------------------------------------------------

    @property
    def ports(self) -> Ports:
        """The venue's ports, bound when first asked for."""
        if self._ports is None:
            self._ports = Ports(self.URLS)
        return self._ports

    @property
    def servers(self) -> Servers:
        """The venue's servers, on its ports."""
        if self._servers is None:
            self._servers = Servers(self, self.ports, bool(self._routes))
        return self._servers

    async def start(self) -> None:
        """Listen on the loopback; after a `stop` on the same ports. Raises OSError."""
        await self.servers.start()

    async def stop(self) -> None:
        """Cut every connection and stop listening."""
        self.drop()
        await self.servers.stop()

    def urls(self) -> dict[str, str]:
        """`feeds.NAME.urls` of a config that points here."""
        return self.ports.urls()

    def stamp(self, ns: int) -> int:
        """An instant by the venue's own clock, ms."""
        return ns // 1_000_000 + self.faults.skew_ms

    @property
    def ms(self) -> int:
        """The market's time by the venue's own clock, ms."""
        return self.stamp(self.market.now)

    def drop(self, route: str | None = None) -> None:
        """Fault: break the sockets of a route, or all."""
        for client in list(self.clients):
            if route in (None, client.route):
                client.cut()
                self.faults.done["drop"] += 1

    def stall(self, wanted: bool) -> None:
        """Fault: stall every route, or let go of them; nothing where that is so already."""
        if wanted is not self._stalled:
            self._stalled = wanted
            for route in self._routes.values():
                (self.faults.stall if wanted else self.faults.resume)(route)

    def half_open(self, route: str) -> None:
        """Fault: leave the sockets of a route without a peer; new ones work."""
        for client in self.clients:
            if client.route == route and not client.silent:
                client.freeze()
                self.faults.done["half-open"] += 1

    # -- clients ---------------------------------------------------------------------------

    def refusal(self, target: str) -> Refusal | None:
        """Why a handshake is turned away, by a fault or for its path; None where it is not."""
        wrong = Refusal(404) if self.route(target) is None else None
        return self.faults.refusal("ws") or wrong

    def join(self, client: Client) -> None:
        """A connection is there."""
        client.silent = self.faults.take_silence()
        self.clients.append(client)
        self._reply(client, self.greet(client))
        self._replay(client, frozenset())

    def leave(self, client: Client) -> None:
        """A connection has ended."""
        self.clients.remove(client)
        self.faults.leave(client.streams)

    async def heard(self, client: Client, data: bytes) -> None:
        """A client's frame, dealt with between ticks."""
        await self._calm.wait()
        before = frozenset(client.streams)
        self._reply(client, self.command(client, data))
        self._replay(client, before)

    def again(self, client: Client, data: bytes) -> bytes:
        """A frame that was told before as it is sent to a client once more."""
        return data

    def _replay(self, client: Client, before: frozenset[str]) -> None:
        """What was told last of the streams just subscribed, where a fault wants that."""
        past = self.recent.of(client.streams - before)
        deaf = client.silent or client.route in self.faults.stalled
        if past and not deaf:
            client.retold = client.retold or self.faults.take_replay()
        for stream, data in past if client.retold and not deaf else ():
            again = self.again(client, data)
            self.expected += client.reply(wrap(stream, again) if client.combined else again)

    async def publish(self, tick: Tick) -> None:
        """Send a tick's frames, one client after the other, each taken before the next is sent.

        Commands and requests wait meanwhile: what they bring must not tell of frames not sent.
        """
        self._calm.clear()
        try:
            messages = self.faults.spoil(self.recent.note(self.frames(tick)))
            for client in list(self.clients):
                if client.route in self.faults.stalled:
                    continue
                sent = client.send(messages)
                self.expected += sent
                if sent:
                    await self._taken()
        finally:
            self._calm.set()

    def _reply(self, client: Client, replies: Replies) -> None:
        """One that is to hear nothing gets the first frame alone, which is an ack or a pong."""
        mute = client.silent or client.route in self.faults.stalled
        for data in replies[:1] if mute else replies:
            self.expected += client.reply(data)

    # -- REST ------------------------------------------------------------------------------

    async def asked(self, path: str, query: dict[str, str], body: bytes | None) -> Answer:
        """The answer to a request, after the venue's latency and between ticks."""
        if refusal := self.faults.refusal("rest"):
            return Answer(self.refused(refusal.status), refusal.status, refusal.headers)
        slow = self.faults.delay() if path in self.SLOW or not self.SLOW else 0.0
        if latency := self.LATENCY_S.get(path, 0.0) + slow:
            await self._hold(latency)
        await self._calm.wait()
        answer = self.answer(path, query, body)
        if answer.status == 200:
            self.expected += 1
            answer = replace(answer, body=self.faults.spoil_answer(path, answer.body))
        return answer

    async def _hold(self, seconds: float) -> None:
        self.held += 1
        try:
            await self._clock.sleep(seconds)
        finally:
            self.held -= 1


class Day(Struct, frozen=True):
    """24 h of trading: first, highest, lowest price as text, coins traded."""

    first: str
    high: str
    low: str
    coins: float


class ShadowVenue(Venue):
    """A venue whose market is a shadow of the reference; a subclass says `told`.

    `NAME`, `CHARACTER` and `contracts` make the shadow; `positioning` is its history.
    """

    NAME: ClassVar[str]
    CHARACTER: ClassVar[Character]

    def __init__(self, reference: Reference, clock: Clock, ports: Ports | None = None,
                 taken: Callable[[], Awaitable[None]] = nobody) -> None:  # fmt: skip
        super().__init__(reference, clock, ports, taken)
        self.shadow = Shadow(self.NAME, reference, self.CHARACTER, self.contracts(reference))
        self.every = self.shadow.pace
        self.positioning = Positioning(self.shadow)

    def contracts(self, reference: Reference) -> list[Contract]:
        """What the venue lists, in the reference's order; symbols that it lacks left out."""
        raise NotImplementedError

    def told(self, tick: Tick, turns: Turns) -> Sequence[Message]:
        """What a tick sends; `turns`: the contracts whose books have moved on.

        `tick.mark` is there when it is time to tell marks, funding and open interest: each whole
        second, of a sparse market every `every` of them.
        """
        raise NotImplementedError

    def second(self, now: int) -> None:
        """What happens on each whole second (UTC), told or not."""
        self.positioning.note(now)

    def frames(self, tick: Tick) -> Sequence[Message]:
        turns = self.shadow.step(tick)
        if tick.mark is not None:
            now = tick.ts // NS
            self.second(now)
            if now % self.every:
                tick = Tick(tick.ts, tick.played, None)
        return self.told(tick, turns)

    def due(self, second: int, place: int, period: int) -> bool:
        """Whether it is a contract's turn to tell what comes every `period` s, one by one."""
        return (second // self.every + place) % max(1, period // self.every) == 0

    def day(self, place: int) -> Day:
        """The last 24 h of a contract's trading, as its ticker tells them."""
        contract, now = self.shadow.contracts[place], self.market.now // NS
        at, scale = int(self.shadow.places[place]), float(self.shadow.scale[place])
        _, rows = self.market.bars.select(at, 3600, now - 86400, now)
        volume = float(rows[:, VOLUME].sum() * self.shadow.units[place])
        return Day(
            first=contract.price_text(round(rows[0, OPEN] * scale)),
            high=contract.price_text(round(rows[:, HIGH].max() * scale)),
            low=contract.price_text(round(rows[:, LOW].min() * scale)),
            coins=volume * self.shadow.character.share,
        )

    def last_price(self, place: int) -> str:
        """Where the last execution was."""
        return self.shadow.contracts[place].price_text(self.shadow.last[place])

    @property
    def listed(self) -> list[tuple[int, Contract]]:
        """Places and contracts of the catalogue, less those a fault takes out of it."""
        return [(n, c) for n, c in enumerate(self.shadow.contracts) if c.id not in self.unlisted]


def levels_text(contract: Contract, levels: Mapping[int, int], descending: bool,
                most: int | None = None, form: str = '["%s","%s"]') -> str:  # fmt: skip
    """One side of a book as the inside of a JSON array, from the touch outwards.

    `form`: how a level is written, given its price and size as text.
    """
    form = _level_form(form, contract.decimals, contract.step_decimals)
    tick, step = contract.tick, contract.step
    ordered = sorted(levels.items(), reverse=descending)[:most]
    return ",".join([form % (price * tick, size * step) for price, size in ordered])


def side(contract: Contract, levels: Mapping[int, int], descending: bool,
         most: int | None = None, form: str = '["%s","%s"]') -> msgspec.Raw:  # fmt: skip
    """One side of a book as a JSON array to put into a frame (see `levels_text`)."""
    return msgspec.Raw(f"[{levels_text(contract, levels, descending, most, form)}]".encode())


def moments(period: int, last: float, first: float | None, most: int) -> Array:
    """Multiples of `period` within [first, last], in s, the newest `most` of them, oldest first."""
    end = last // period
    begin = end - most + 1 if first is None else max(-(-first // period), end - most + 1)
    return np.arange(begin, end + 1) * float(period)


@lru_cache(maxsize=1024)
def _level_form(form: str, decimals: int, step_decimals: int) -> str:
    return form.replace("%s", f"%.{decimals}f", 1).replace("%s", f"%.{step_decimals}f", 1)


def keep_schedule(venues: Mapping[str, Venue], market: SimulatedMarket) -> None:
    """Stall the venues that the market's scenario has stalled now; called before `publish`.

    `venues` by feed. A stall covers sockets that are opened while it lasts.
    """
    stalled = market.schedule.stalled(market.elapsed)
    for name, venue in venues.items():
        venue.stall(name in stalled)


def venue_names() -> tuple[str, ...]:
    """Every feed that has a simulated venue: the modules of this folder."""
    import engine.sim.venues as folder

    return tuple(sorted(m.name for m in iter_modules(folder.__path__) if m.name not in PLUMBING))


def venue_class(name: str) -> type[Venue]:
    """The venue of a feed; each module but the reference's names it `VENUE`."""
    venue: type[Venue] = import_module(f"engine.sim.venues.{name}").VENUE
    return venue
