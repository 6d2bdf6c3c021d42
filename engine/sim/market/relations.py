"""The planted relations: what taker flow knows of later prices, and when it lies.

A slow tilt of the takers is there in any case, since real flow repeats itself; it foretells
returns only where the weak relation is switched on. Flow turns are rare: takers tilt for two
minutes, then price follows for ten, or the turn was a trap and price goes the other way.
"""

import numpy as np
from msgspec import Struct

from engine.sim.market.chance import Array, Wave, stream
from engine.sim.market.scenario import Switches

TILT_S = 600.0
SHARED = 0.4
# Correlation of a unit tilt with the next five minutes' return, per unit of drift in deviations
# a second; and the part of a tilt that five minutes of trades show.
REACH = 13.6
SEEN = 0.6
STEADY = 0.5
LEAD_S = 120.0
RUN_S = 600.0
TURN_TILT = 1.5
RUN = 2.5  # deviations of RUN_S that price runs
TRAP_RUN = 2.0


class Episode(Struct, frozen=True):
    """A flow turn of the truth: place of the symbol, start (s), +1 or -1, whether price follows."""

    symbol: int
    start: float
    direction: int
    follows: bool


class Relations:
    """Tilt of the takers and the drift it foretells, tick by tick.

    `steady`: the takers lean less than usual, as in a range.
    """

    def __init__(self, count: int, seed: int, dt: float, switches: Switches,
                 steady: bool = False) -> None:  # fmt: skip
        self._dt, self._switches = dt, switches
        self._size = STEADY if steady else 1.0
        self._shared = Wave(stream(seed, "tilt shared"), 1, TILT_S, dt)
        self._own = Wave(stream(seed, "tilt own"), count, TILT_S, dt)
        self._rng = stream(seed, "episodes")
        self._odds = switches.episodes * count * dt / 86400
        self._pull = switches.weak / (REACH * SEEN) * np.sqrt(dt)
        self._running: list[Episode] = []
        self.episodes: list[Episode] = []

    def step(self, seconds: float, typical: Array, sigma: Array) -> tuple[Array, Array]:
        """(tilt, drift) of the tick at `seconds`; drift as a fraction of price.

        `typical` and `sigma` are a tick's long-run and present deviation.
        """
        tilt = SHARED * self._shared.step() + np.sqrt(1 - SHARED**2) * self._own.step()
        tilt = self._size * tilt
        drift = self._pull * tilt * sigma
        if self._rng.random() < self._odds:
            self._turn(seconds, len(tilt))
        for episode in self._running:
            self._play(episode, seconds - episode.start, typical, tilt, drift)
        self._running = [e for e in self._running if seconds - e.start < LEAD_S + RUN_S]
        return tilt, drift

    def _turn(self, seconds: float, count: int) -> None:
        place = int(self._rng.integers(count))
        coin, luck = float(self._rng.random()), float(self._rng.random())
        if any(episode.symbol == place for episode in self._running):
            return
        episode = Episode(place, seconds, 1 if coin < 0.5 else -1, luck < self._switches.follow)
        self._running.append(episode)
        self.episodes.append(episode)

    def _play(self, episode: Episode, age: float, typical: Array, tilt: Array,
              drift: Array) -> None:  # fmt: skip
        place, way = episode.symbol, episode.direction
        if age < LEAD_S:
            tilt[place] += way * TURN_TILT * min(1.0, age / (LEAD_S / 2))
            return
        deviation = typical[place] * np.sqrt(RUN_S / self._dt)
        size = RUN if episode.follows else -TRAP_RUN
        drift[place] += way * size * deviation * self._dt / RUN_S
        lasting = episode.follows or age < LEAD_S + 60
        fade = 1 - (age - LEAD_S) / RUN_S
        tilt[place] += way * TURN_TILT * (fade if lasting else -0.6 * fade)
