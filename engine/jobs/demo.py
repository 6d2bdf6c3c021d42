"""The engine on a simulated market: the real feeds, real sockets, a clock the market drives.

The market waits at each tick until every frame has been applied, every request answered and
everybody sleeps again, so what the engine decides does not depend on how fast the machine is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

import msgspec

from engine.clock import NS, Clock, SimulatedClock, WallClock, wall
from engine.config import Config
from engine.runtime import Engine
from engine.sim.market import SCENARIOS, SimulatedMarket, Switches
from engine.sim.market.market import start_of
from engine.sim.market.scenario import Scenario
from engine.sim.market.shadow import Reference
from engine.sim.pace import Pace
from engine.sim.venues import base
from engine.snapshot import Detail, ModeOfData, Snapshot

FEED = base.REFERENCE
TICK_NS = NS // 10
# An unusual length, by which the clock tells a request's time-out from other sleeps.
TIMEOUT_S = 9.75
TURNS = 25  # of the event loop without anything under way, after which everybody sleeps
PATIENCE_NS = NS // 2  # for frames that a broken socket may have lost
STUCK_NS = 30 * NS
KEPT = 300_000
WARM_STEP = 2


class Demo:
    """Runs the engine on a simulated market; a SnapshotSource from the start.

    Those of the config's feeds run that have a simulated venue. `speed` is a ceiling on market
    over wall time, None for as fast as it goes; `seconds` of market time end the run. The same
    scenario and seed show the same at any speed. `rate` scales the market's activity. `venues`,
    once running, take faults; `lags`: whether they lag behind the reference at all.
    """

    def __init__(self, config: Config, scenario: str | Scenario = "default", seed: int = 1,
                 speed: float | None = 1.0, db: Path | None = None, *, rate: float = 1.0,
                 switches: Switches | None = None, seconds: float | None = None,
                 kept: int | None = KEPT, lags: bool = True) -> None:  # fmt: skip
        self.scenario = SCENARIOS[scenario] if isinstance(scenario, str) else scenario
        self.seed = seed
        self.finished = False
        self.unsettled = 0
        self.venues: dict[str, base.Venue] = {}
        self.reference: Reference | None = None
        self.clock = SimulatedClock(start_of(self.scenario), (TIMEOUT_S, 2 * TIMEOUT_S))
        symbols = [instrument.id for instrument in config.instruments]
        self._make: Callable[[], Reference] = lambda: Reference(
            SimulatedMarket(symbols, self.scenario, seed, rate, switches, kept=kept), lags
        )
        self._ports = {name: ports_of(name) for name in simulated(config)}
        self.config = _pointed_at(config, {n: ports.urls() for n, ports in self._ports.items()})
        self.engine = Engine(self.config, mode_of_data="demo", clock=self.clock, db=db,
                             warm_step=WARM_STEP, seed=seed)  # fmt: skip
        self._pace = Pace(speed)
        self._end = None if seconds is None else self.clock.now() + int(seconds * NS)
        self._lost = 0
        self._stopped = False
        self._last: Snapshot | None = None

    @property
    def mode_of_data(self) -> ModeOfData:
        return "demo"

    @property
    def market(self) -> SimulatedMarket:
        """The market and its truth; there once it runs."""
        assert self.reference is not None
        return self.reference.market

    @property
    def venue(self) -> base.Venue | None:
        """The venue that serves the market itself, where it runs."""
        return self.venues.get(FEED)

    def stop(self) -> None:
        """End at the next tick; history is flushed."""
        self._stopped = True

    async def run(self) -> None:
        """Run until `stop`, `seconds` or cancellation. Raises StoreError as the engine does."""
        try:
            self.reference, self.venues = await asyncio.to_thread(self._build)
            try:
                for venue in self.venues.values():
                    await venue.start()
                await self._run_engine()
            finally:
                for venue in self.venues.values():
                    await venue.stop()
        finally:
            self.finished = True
            for ports in self._ports.values():
                ports.close()

    def _build(self) -> tuple[Reference, dict[str, base.Venue]]:
        reference = self._make()
        return reference, {
            name: open_venue(name, reference, self.clock, ports, self._taken)
            for name, ports in self._ports.items()
        }

    async def _run_engine(self) -> None:
        running = asyncio.create_task(self.engine.run())
        driving = asyncio.create_task(self._drive(running))
        try:
            await asyncio.wait((running, driving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The picture of the end is that of open sockets and whole books.
            self._last = self.latest()
            self.stop()
            self.engine.stop()
            driving.cancel()
            ended = await asyncio.gather(driving, running, return_exceptions=True)
        for problem in ended:
            if isinstance(problem, Exception):
                raise problem

    # -- keeping in step -------------------------------------------------------------------

    async def _drive(self, running: "asyncio.Task[None]") -> None:
        """Tick after tick, each when the one before has been taken in."""
        assert self.reference is not None
        market = self.market
        waiting = asyncio.create_task(self.clock.used.wait())
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await self._settle()
        while not self._stopped and (self._end is None or market.now < self._end):
            await self.clock.advance(market.now + TICK_NS, self._settle)
            tick = self.reference.tick()
            base.keep_schedule(self.venues, market)
            for venue in self.venues.values():
                await venue.publish(tick)
            await self._settle()
            await self._pace.keep(market.now)

    def _missing(self) -> int:
        """Frames sent that the engine has not applied."""
        tallies = self.engine.pipeline.tallies
        sent = sum([venue.expected for venue in self.venues.values()])
        return sent - self._lost - sum([tally.frames for tally in tallies.values()])

    async def _taken(self) -> None:
        """Wait for the frames that are under way; those of a broken socket are given up."""
        since = wall()
        while self._missing() > 0:
            await asyncio.sleep(0)
            if wall() - since > PATIENCE_NS:
                break
        self._lost += self._missing()

    async def _settle(self) -> None:
        """Wait until nothing is under way but sleep."""
        quiet, lacked, since = 0, 0, wall()
        while quiet < TURNS:
            await asyncio.sleep(0)
            held = sum([venue.held for venue in self.venues.values()])
            working = self.clock.at_work > held or self.engine.stepping
            lacks = self._missing()
            if lacks != lacked:
                lacked, since = lacks, wall()
            quiet = 0 if working or lacks > 0 else quiet + 1
            if quiet == 0 and wall() - since > (STUCK_NS if working else PATIENCE_NS):
                self.unsettled += 1
                break
        self._lost += self._missing()

    # -- SnapshotSource --------------------------------------------------------------------

    def latest(self) -> Snapshot:
        """The picture as of the market's time; after the end, that of the end."""
        if self._last is not None:
            return msgspec.structs.replace(self._last, finished=self.finished)
        return self.engine.pictures.snapshot(
            self.clock.now(), speed=self._pace.factor, finished=self.finished
        )

    def at(self, ns: int) -> Snapshot | None:
        """A running engine keeps no past pictures."""
        return None

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        """Readings, bars, tape, book of one symbol."""
        return self.engine.detail(symbol, parts)


def simulated(config: Config) -> list[str]:
    """The enabled feeds that have a simulated venue, the reference first."""
    known = set(base.venue_names())
    names = [name for name, feed in config.feeds.items() if feed.enabled and name in known]
    return sorted(names, key=lambda name: name != FEED)


def ports_of(name: str) -> base.Ports:
    """The ports of a feed's venue, whose urls are known before it runs."""
    return base.Ports(base.venue_class(name).URLS)


def open_venue(name: str, reference: Reference, clock: Clock, ports: base.Ports,
               taken: Callable[[], Awaitable[None]] = base.nobody) -> base.Venue:  # fmt: skip
    """The venue of a feed on ports of its own; `start` it."""
    return base.venue_class(name)(reference, clock, ports, taken)


def _pointed_at(config: Config, urls: Mapping[str, dict[str, str]]) -> Config:
    """The config with the simulated venues as its only feeds."""
    replace = msgspec.structs.replace
    feeds = {
        name: replace(feed, urls=urls[name], enabled=True, compression=False)
        if name in urls
        else replace(feed, enabled=False)
        for name, feed in config.feeds.items()
    }
    # Reading is not held back: time passes only once everything has been read.
    patience = replace(config.connection, connect_timeout=TIMEOUT_S, coalesce=0.0)
    return replace(config, feeds=feeds, connection=patience)


async def market_only(config: Config, scenario: str = "default", seed: int = 1,
                      announce: Callable[[str], None] = lambda text: None, *,
                      rate: float = 1.0, kept: int | None = KEPT) -> None:  # fmt: skip
    """Only the market and its servers, in real time, until cancelled.

    `announce` is given the lines of a config that points another cockpit here.
    """
    clock = WallClock()
    symbols = [instrument.id for instrument in config.instruments]
    market = await asyncio.to_thread(
        SimulatedMarket, symbols, scenario, seed, rate, start=clock.now(), kept=kept
    )
    # The candle of the running minute is made of the tape as well.
    while market.now < clock.now():
        market.tick()
        await asyncio.sleep(0)
    reference = Reference(market)
    venues = {n: open_venue(n, reference, clock, ports_of(n)) for n in simulated(config)}
    try:
        for venue in venues.values():
            await venue.start()
        announce(snippet({name: venue.urls() for name, venue in venues.items()}, config.feeds))
        while True:
            ahead = (market.now + TICK_NS - clock.now()) / NS
            await clock.sleep(max(ahead, 0))
            tick = reference.tick()
            base.keep_schedule(venues, market)
            for venue in venues.values():
                await venue.publish(tick)
    finally:
        for venue in venues.values():
            await venue.stop()


def snippet(urls: Mapping[str, dict[str, str]], feeds: Collection[str]) -> str:
    """Lines of a config file that point `feeds` to these servers; the others of them are off."""
    lines = ["feeds:"]
    for name in feeds:
        lines.append(f"  {name}:")
        if name in urls:
            lines += ["    urls:", *(f"      {key}: {url}" for key, url in urls[name].items())]
        else:
            lines.append("    enabled: false")
    return "\n".join(lines)
