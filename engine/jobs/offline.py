"""The engine on a simulated market without sockets, for statistics over simulated days.

Everything but the network is the real thing: the same session, decoder and engine; frames and REST
answers come from the code of the simulated venues and are handed over as they are made.
"""

import asyncio
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from engine.clock import NS, Clock, SimulatedClock
from engine.config import Config
from engine.decision.decide import Decision
from engine.feeds.feed import Feed
from engine.feeds.session import Session
from engine.jobs.demo import KEPT, TIMEOUT_S, TURNS, WARM_STEP, simulated
from engine.jobs.local import LocalSession, Network
from engine.runtime import Engine
from engine.sim.market import SCENARIOS, SimulatedMarket, Switches
from engine.sim.market.market import TICK_S
from engine.sim.market.scenario import Scenario
from engine.sim.market.shadow import Reference
from engine.sim.venues.base import keep_schedule
from engine.snapshot import Detail, ModeOfData, Snapshot

FIRST_MINUTES = 8 * 60.0  # of the past, which the first warm-up sees
Told = Callable[[int, list[Decision]], None]


class LocalEngine(Engine):
    """The real engine on local sessions.

    `warm_minutes`: how many minutes of the past the normalisers see, all at once; 0 asks for no
    history. None warms twice as the live engine does, which counts only for the first decisions.
    """

    def __init__(self, config: Config, network: Network, clock: Clock, db: Path | None,
                 warm_minutes: float | None, told: Told, seed: int) -> None:  # fmt: skip
        self._network, self._warm_minutes, self._told = network, warm_minutes, told
        super().__init__(config, mode_of_data="demo", clock=clock, db=db, warm_step=WARM_STEP,
                         seed=seed)  # fmt: skip

    def _session(self, name: str, feed: Feed) -> Session:
        rng = random.Random(f"{self._seed} {name}")
        return LocalSession(self._network.venues[name], self._network, feed,
                            self.config.feeds[name], self.config.connection,
                            self.pipeline.symbols, self.clock, self._frame,
                            self._status, rng)  # fmt: skip

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

    Those of the config's feeds run that have a simulated venue. The decisions are those of the
    demo with the same scenario, seed and config. `rate` scales the market's activity, `dt` is the
    length of its ticks; a low rate and ticks of a second serve statistics over days. `seconds` of
    market time end the run. `told`: called with each step's instant and decisions. `kept`:
    executions kept a symbol, None all; `lags`: whether venues lag behind the reference at all.
    """

    def __init__(self, config: Config, scenario: str | Scenario = "default", seed: int = 1,
                 seconds: float | None = None, *, rate: float = 1.0,
                 dt: float = TICK_S, switches: Switches | None = None,
                 warm_minutes: float | None = None,
                 db: Path | None = None, kept: int | None = KEPT, lags: bool = True,
                 told: Told = lambda now, decisions: None) -> None:  # fmt: skip
        self.scenario = SCENARIOS[scenario] if isinstance(scenario, str) else scenario
        self.finished = False
        self.market = SimulatedMarket(
            [instrument.id for instrument in config.instruments], self.scenario, seed, rate,
            switches, kept=kept, dt=dt,
        )  # fmt: skip
        self.reference = Reference(self.market, lags)
        self.clock = SimulatedClock(self.market.now, (TIMEOUT_S, 2 * TIMEOUT_S))
        self.network = Network(simulated(config), self.reference, self.clock)
        self.config = _pointed_at(config, self.network, backfill=warm_minutes != 0)
        self._make = partial(LocalEngine, self.config, self.network, self.clock,
                             warm_minutes=warm_minutes, told=told, seed=seed)  # fmt: skip
        self.engine = self._make(db=db)
        self._end = None if seconds is None else self.market.now + int(seconds * NS)
        self._stopped = False
        self._last: Snapshot | None = None

    @property
    def mode_of_data(self) -> ModeOfData:
        return "demo"

    def stop(self) -> None:
        """End at the next tick; history is flushed."""
        self._stopped = True

    def restart(self, seconds: float | None, db: Path | None) -> None:
        """A new engine on the same market, which `run` then runs for so long."""
        self.engine = self._make(db=db)
        self.finished = self._stopped = False
        self._last, self.clock.used = None, asyncio.Event()
        self._end = None if seconds is None else self.market.now + int(seconds * NS)

    async def away(self, seconds: float) -> None:
        """The market goes on for so long with no engine there."""
        end = self.market.now + int(seconds * NS)
        while self.market.now < end:
            await self._tick()

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
        market, network, settle = self.market, self.network, self._settle
        waiting = asyncio.create_task(self.clock.used.wait())
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        await settle()
        while not self._stopped and (self._end is None or market.now < self._end):
            await self._tick()
            # Most frames wake nobody: what they bring is applied when they are handed over.
            if network.stirred:
                await settle()
            elif market.now % NS == 0:
                await asyncio.sleep(0)

    async def _tick(self) -> None:
        await self.clock.advance(self.market.now + self.market.tick_ns, self._settle)
        tick = self.reference.tick()
        keep_schedule(self.network.venues, self.market)
        await self.network.publish(tick)

    async def _settle(self) -> None:
        """Wait until nothing is under way but sleep.

        Nothing comes from outside, so that is when the loop has nothing else to call; where it
        does not tell, which is private to it, some turns must do.
        """
        pending = getattr(asyncio.get_running_loop(), "_ready", None)
        quiet = 0
        while quiet < TURNS:
            await asyncio.sleep(0)
            if self.engine.stepping or self.clock.at_work > self.network.held:
                quiet = 0
            elif pending is not None and not pending:
                break
            else:
                quiet += 1

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


def _pointed_at(config: Config, network: Network, backfill: bool) -> Config:
    """The config with the network's venues as its only feeds."""
    replace = msgspec.structs.replace
    feeds = {
        name: replace(feed, urls=network.urls(name), enabled=True, compression=False,
                      backfill=feed.backfill and backfill)
        if name in network.venues
        else replace(feed, enabled=False)
        for name, feed in config.feeds.items()
    }  # fmt: skip
    patience = replace(config.connection, connect_timeout=TIMEOUT_S, coalesce=0.0)
    return replace(config, feeds=feeds, connection=patience)
