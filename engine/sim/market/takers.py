"""Takers: a marked point process with clustered arrivals, heavy-tailed sizes, sides that repeat."""

from collections.abc import Sequence
from math import exp, factorial

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.sim.market.chance import Array, Wave, stream
from engine.sim.market.factor import BURSTS
from engine.sim.market.listings import FACTOR_VOL, Listing, column

BRANCHING = 0.45  # trades that one trade brings about, on average
EXCITED_S = 2.0
MOST = 400.0  # trades a second, beyond which arrivals saturate
BODY = 2.0  # deviation of the log of a trade's size
LARGEST = 300.0  # times the mean
HEAT = 0.35  # how activity follows variance
USUAL = 0.64  # mean of heat to that power
STILL = 0.35  # share of the trades that come whether price moves or not
TILTED = 0.33
CHASING = 0.7
ECHO = 0.8  # of a move, while what it excited comes in
RUNS_S = 3.0
RUNS = 0.45


class Orders(Struct, frozen=True, eq=False):
    """One tick's taker orders in order of arrival: place of symbol, buys, USD, when (0..1)."""

    symbol: NDArray[np.int64]
    buy: NDArray[np.bool_]
    usd: Array
    when: Array


class Takers:
    """Draws the taker orders of each tick."""

    def __init__(self, listings: Sequence[Listing], seed: int, dt: float, rate: float) -> None:
        self._base = column(listings, "rate") * (rate * dt * (1 - BRANCHING) / USUAL)
        self._rush = (1 - STILL) / _mean_root(listings, BURSTS * dt)
        self._mean = column(listings, "mean")
        self._most = MOST * dt
        self._excited = np.zeros(len(listings))
        self._echo = np.zeros(len(listings))
        self._fade = float(np.exp(-dt / EXCITED_S))
        self._spark = BRANCHING * (1 - self._fade)
        self._arrivals = stream(seed, "arrivals")
        self._marks = stream(seed, "marks")
        self._runs = Wave(stream(seed, "runs"), len(listings), RUNS_S, dt)

    def step(self, tilt: Array, move: Array, heat: Array, burst: Array) -> Orders:
        """Orders under a tilt, a move in deviations, a heat (variance over its mean), a burst."""
        own = self._base * heat**HEAT * (STILL + self._rush * np.sqrt(burst))
        intensity = np.minimum(own + self._excited, self._most)
        count = self._arrivals.poisson(intensity)
        self._excited = (self._excited + self._spark * count) * self._fade
        sharp = np.clip(move, -3, 3)
        chased = sharp + ECHO * self._echo
        self._echo = np.clip(self._echo + sharp, -3, 3) * self._fade
        lean = TILTED * tilt + CHASING * chased + RUNS * self._runs.step()
        total = int(count.sum())
        symbol = np.repeat(np.arange(len(count)), count)
        luck = self._marks.random((2, total))
        size = np.exp(BODY * self._marks.standard_normal(total) - BODY**2 / 2)
        return Orders(
            symbol=symbol,
            buy=luck[0] < (0.5 + 0.5 * np.tanh(lean))[symbol],
            usd=np.minimum(size, LARGEST) * self._mean[symbol],
            when=np.sort(luck[1]),
        )


def _mean_root(listings: Sequence[Listing], mean: float) -> Array:
    """(symbols,) mean square root of a burst: Poisson numbers of two causes over their mean."""
    count = np.arange(30)
    odds = np.array([exp(-mean) * mean**n / factorial(n) for n in count])
    shared = (column(listings, "beta") * FACTOR_VOL) ** 2
    share = (shared / (shared + column(listings, "vol") ** 2))[:, None, None]
    burst = (share * count[:, None] + (1 - share) * count) / mean
    out: Array = (np.sqrt(burst) * np.outer(odds, odds)).sum(axis=(1, 2))
    return out
