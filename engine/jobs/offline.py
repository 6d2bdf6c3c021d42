"""The engine on a simulated market without sockets, for statistics over simulated days.

Everything but the network is the real thing: the same session, decoder and engine; frames and REST
answers come from the code of the simulated venue and are handed over as they are made.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from engine.clock import NS, Clock, SimulatedClock
from engine.config import Config
from engine.decision.decide import Decision
from engine.feeds.feed import Connection, Feed
from engine.feeds.session import Link, Session
from engine.jobs.demo import FEED, KEPT, TIMEOUT_S, TURNS, WARM_STEP
from engine.runtime import Engine
from engine.sim.market import SCENARIOS, SimulatedMarket, Switches
from engine.sim.market.market import TICK_S, Tick
from engine.sim.market.scenario import Scenario
from engine.sim.venues.binance import LATENCY_S, Command
from engine.sim.venues.binance.answers import Answers
from engine.sim.venues.binance.frames import Frames
from engine.sim.venues.sockets import wrap
from engine.snapshot import Detail, ModeOfData, Snapshot

FIRST_MINUTES = 8 * 60.0  # of the past, which the first warm-up sees
Told = Callable[[int, list[Decision]], None]


class Response:
    """What the session's REST worker reads of an HTTP answer."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status_code, self.content = status, body
        self.headers: dict[str, str] = {}

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")


class LocalVenue:
    """The simulated Binance as a call: `publish` to those who listen, `get` for REST.

    `held`: requests that wait for the venue's latency.
    """

    def __init__(self, market: SimulatedMarket, clock: Clock) -> None:
        self.market = market
        self.links: list[LocalLink] = []
        self.held = 0
        self._clock = clock
        self._frames = Frames(market.listings)
        self._answers = Answers(market, self._frames)
        self._readers: dict[str, list[LocalLink]] = {route: [] for route in self._frames.streams}

    @property
    def ready(self) -> bool:
        """Whether everybody who listens has subscribed and been sent something."""
        return bool(self.links) and all(link.ready.is_set() for link in self.links)

    def join(self, link: "LocalLink") -> None:
        self.links.append(link)
        self._readers[link.route].append(link)

    def leave(self, link: "LocalLink") -> None:
        self.links.remove(link)
        self._readers[link.route].remove(link)

    def known(self, route: str, streams: list[str]) -> set[str]:
        """Those of the streams that the route carries."""
        return set(streams) & self._frames.streams[route]

    def publish(self, tick: Tick) -> None:
        """Hand a tick's frames over, one route after the other."""
        for route, make in (("public", self._frames.public), ("market", self._frames.market)):
            messages = make(tick)
            for link in self._readers[route]:
                hear, wanted = link.hear, link.streams
                for stream, data in messages:
                    if stream in wanted:
                        hear(wrap(stream, data))

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Response:
        """Answer a request after the venue's latency."""
        target = urlsplit(url)
        if latency := LATENCY_S.get(target.path, 0.0):
            self.held += 1
            try:
                await self._clock.sleep(latency)
            finally:
                self.held -= 1
        query = {key: values[0] for key, values in parse_qs(target.query).items()}
        answer = self._answers.answer(target.path, query)
        return Response(answer.status, answer.body)

    async def aclose(self) -> None:
        """Nothing is open."""


class LocalSocket:
    """The client's end of a socket that carries commands alone; data goes past it."""

    def __init__(self, link: "LocalLink") -> None:
        self._link = link

    async def send(self, text: str) -> None:
        self._link.command(text)

    async def recv(self, decode: bool = False) -> bytes:
        never: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        return await never

    async def close(self) -> None:
        """Nothing is open."""


class LocalLink(Link):
    """The session's link over a `LocalSocket`; `hear` is the venue's way in."""

    def __init__(self, session: Session, connection: Connection, venue: LocalVenue) -> None:
        super().__init__(session, connection)
        self.route = urlsplit(connection.url).path.split("/")[1]
        self.streams: set[str] = set()
        self.hear = self._take
        self._venue = venue

    async def run(self) -> None:
        """Until cancelled."""
        self._session.emit("connecting", self._connection.id)
        self._venue.join(self)
        try:
            await self._carry(LocalSocket(self))
        finally:
            self._venue.leave(self)

    def command(self, text: str) -> None:
        """What the venue does with a frame from the client."""
        command = msgspec.json.decode(text, type=Command)
        if command.method == "SUBSCRIBE":
            self.streams |= self._venue.known(self.route, command.params)
        self.hear(msgspec.json.encode({"result": None, "id": command.id}))


class LocalSession(Session):
    """The real session; only what opens a socket or asks over HTTP is the venue's own."""

    def __init__(self, venue: LocalVenue, *what: Any) -> None:
        super().__init__(*what)
        self._venue = venue
        self._rest._clients = dict.fromkeys((True, False), venue)

    async def _keep(self, connection: Connection) -> None:
        link = self._links[connection.id] = LocalLink(self, connection, self._venue)
        await link.run()


class LocalEngine(Engine):
    """The real engine on local sessions.

    `warm_minutes`: how many minutes of the past the normalisers see, all at once; 0 asks for no
    history. None warms twice as the live engine does, which counts only for the first decisions.
    """

    def __init__(self, config: Config, venue: LocalVenue, clock: Clock, db: Path | None,
                 warm_minutes: float | None, told: Told) -> None:  # fmt: skip
        self._venue, self._warm_minutes, self._told = venue, warm_minutes, told
        super().__init__(config, mode_of_data="demo", clock=clock, db=db, warm_step=WARM_STEP)

    def _session(self, name: str, feed: Feed) -> Session:
        return LocalSession(self._venue, feed, self.config.feeds[name], self.config.connection,
                            self.pipeline.symbols, self.clock, self._frame,
                            self._status)  # fmt: skip

    def _stepped(self, now: int, decisions: list[Decision]) -> None:
        super()._stepped(now, decisions)
        self._told(now, decisions)

    async def _warm(self, minutes: float) -> None:
        wanted = self._warm_minutes
        if wanted is None:
            await super()._warm(minutes)
        elif (minutes > 60 * FIRST_MINUTES) == (wanted > FIRST_MINUTES):
            await super()._warm(min(minutes, 60 * wanted))


class Offline:
    """Runs the engine on a simulated market as fast as it goes; a SnapshotSource from the start.

    The decisions are those of the demo with the same scenario, seed and config. `rate` scales the
    market's activity, `dt` is the length of its ticks; a low rate and ticks of a second serve
    statistics over days. `seconds` of market time end the run. `told`: called with each step's
    instant and decisions. `kept`: executions kept a symbol, None all.
    """

    def __init__(self, config: Config, scenario: str | Scenario = "default", seed: int = 1,
                 seconds: float | None = None, *, rate: float = 1.0,
                 dt: float = TICK_S, switches: Switches | None = None,
                 warm_minutes: float | None = None,
                 db: Path | None = None, kept: int | None = KEPT,
                 told: Told = lambda now, decisions: None) -> None:  # fmt: skip
        self.scenario = SCENARIOS[scenario] if isinstance(scenario, str) else scenario
        self.finished = False
        self.market = SimulatedMarket(
            [instrument.id for instrument in config.instruments], self.scenario, seed, rate,
            switches, kept=kept, dt=dt,
        )  # fmt: skip
        self.clock = SimulatedClock(self.market.now, (TIMEOUT_S, 2 * TIMEOUT_S))
        self.venue = LocalVenue(self.market, self.clock)
        self.config = _alone(config, backfill=warm_minutes != 0)
        self.engine = LocalEngine(self.config, self.venue, self.clock, db, warm_minutes, told)
        self._end = None if seconds is None else self.market.now + int(seconds * NS)
        self._stopped = False
        self._last: Snapshot | None = None

    @property
    def mode_of_data(self) -> ModeOfData:
        return "demo"

    def stop(self) -> None:
        """End at the next tick; history is flushed."""
        self._stopped = True

    async def run(self) -> None:
        """Run until `stop`, `seconds` or cancellation. Raises StoreError as the engine does."""
        running = asyncio.create_task(self.engine.run())
        driving = asyncio.create_task(self._drive(running))
        try:
            await asyncio.wait((running, driving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The picture of the end is that of a feed that is up.
            self._last = self.latest()
            self.engine.stop()
            driving.cancel()
            ended = await asyncio.gather(driving, running, return_exceptions=True)
            self.finished = True
        for problem in ended:
            if isinstance(problem, Exception):
                raise problem

    async def _drive(self, running: "asyncio.Task[None]") -> None:
        """Tick after tick; whoever waits for time is served before the tick that brings it."""
        market, publish, settle = self.market, self.venue.publish, self._settle
        waiting = asyncio.create_task(self.clock.used.wait())
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await settle()
        ready = False
        while not self._stopped and (self._end is None or market.now < self._end):
            await self.clock.advance(market.now + market.tick_ns, settle)
            publish(market.tick())
            # Later frames wake nobody: what they bring is applied when they are handed over.
            if not ready:
                ready = self.venue.ready
                await settle()
            elif market.now % NS == 0:
                await asyncio.sleep(0)

    async def _settle(self) -> None:
        """Wait until nothing is under way but sleep."""
        quiet = 0
        while quiet < TURNS:
            await asyncio.sleep(0)
            quiet = 0 if self.clock.at_work > self.venue.held else quiet + 1

    # -- SnapshotSource --------------------------------------------------------------------

    def latest(self) -> Snapshot:
        """The picture as of the market's time; after the end, that of the end."""
        if self._last is not None:
            return msgspec.structs.replace(self._last, finished=self.finished)
        return self.engine.pictures.snapshot(self.clock.now(), finished=self.finished)

    def at(self, ns: int) -> Snapshot | None:
        """A running engine keeps no past pictures."""
        return None

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        """Readings, bars, tape, book of one symbol."""
        return self.engine.detail(symbol, parts)


def _alone(config: Config, backfill: bool) -> Config:
    """The config with the simulated venue as its only feed."""
    replace = partial(msgspec.structs.replace)
    feeds = {
        name: replace(feed, enabled=name == FEED, backfill=feed.backfill and backfill)
        for name, feed in config.feeds.items()
    }
    patience = replace(config.connection, connect_timeout=TIMEOUT_S, coalesce=0.0)
    return replace(config, feeds=feeds, connection=patience)
