"""The process that prices and takers follow, without books: moves in whole ticks, taker orders.

Everything the market may know in advance is decided here, so this is what the martingale rests on.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.sim.market.chance import Array, Draws, stream
from engine.sim.market.factor import Moves, Returns
from engine.sim.market.listings import Listing
from engine.sim.market.relations import Relations
from engine.sim.market.scenario import Scenario, Schedule
from engine.sim.market.takers import Orders, Takers


class Process:
    """Steps of `dt` seconds under a scenario; `rate` scales the takers' activity."""

    def __init__(self, listings: Sequence[Listing], scenario: Scenario, seed: int, dt: float,
                 rate: float = 1.0) -> None:  # fmt: skip
        count = len(listings)
        self._dt, self._switches = dt, scenario.switches
        steady = scenario.range_hours > 0
        self.returns = Returns(listings, seed, dt, steady)
        self.relations = Relations(count, seed, dt, scenario.switches, steady)
        self._takers = Takers(listings, seed, dt, rate * scenario.rate)
        self.schedule = Schedule(scenario, listings, seed)
        self._rounding = Draws(stream(seed, "whole ticks"), count, "uniform")
        self._carry: Array = np.zeros(count)
        self._pushed: Array = np.zeros(count)
        self.tilt: Array = np.zeros(count)

    def push(self, place: int, fraction: float) -> None:
        """Move a price by a fraction with the next step, beside what chance brings."""
        self._pushed[place] += fraction

    def step(self, seconds: float, price: Array) -> tuple[NDArray[np.int64], Orders]:
        """(symbols,) moves in whole ticks from prices in ticks, and the takers' orders."""
        drift, tilt, vol = self.schedule.at(seconds, self._dt)
        moves = self.returns.step(vol)
        own, foretold = self.relations.step(seconds, self.returns.typical, moves.sigma)
        self.tilt = own + tilt
        total = drift + foretold + self._pushed
        if self._switches.regime_drift:
            total = total + moves.drift
        self._pushed = np.zeros_like(self._pushed)
        whole = self._whole(moves, total, price)
        sharp = moves.shock / np.maximum(moves.sigma, 1e-12)
        return whole, self._takers.step(self.tilt, sharp, moves.heat, moves.burst)

    def _whole(self, moves: Moves, drift: Array, price: Array) -> NDArray[np.int64]:
        """Moves in whole ticks: shocks keep their variance and symmetry, drift its sum.

        Carrying the rest of a rounded shock would make the mid of a coarse contract bounce. Drift
        shows when price moves in any case.
        """
        size = np.abs(moves.shock) * price
        low = np.floor(size)
        more = self._rounding.row() < (size**2 - low**2) / (2 * low + 1)
        self._carry += drift * price
        steady = np.where(moves.burst > 0, np.rint(self._carry), 0.0)
        self._carry -= steady
        whole: NDArray[np.int64] = np.sign(moves.shock) * (low + more) + steady
        return whole.astype(np.int64)
