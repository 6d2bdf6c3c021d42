"""Returns: one common factor and one of each symbol's own, under a volatility that clusters.

Variance is a product of slow and fast log-normal waves and of a market-wide regime; the shocks
themselves are symmetric and independent of the past, so that without drift prices are martingales.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from engine.sim.market.chance import Array, Draws, Wave, stream
from engine.sim.market.listings import FACTOR_VOL, Listing, column

YEAR_S = 365.25 * 86400
REGIMES = ("calm", "trend", "expansion", "stress")
VOLATILITY = np.array([0.6, 0.9, 1.4, 2.3])
DWELL_S = np.array([2400.0, 1800.0, 900.0, 300.0])
NEXT = np.array(
    [
        [0.00, 0.65, 0.32, 0.03],
        [0.50, 0.00, 0.42, 0.08],
        [0.45, 0.35, 0.00, 0.20],
        [0.25, 0.15, 0.60, 0.00],
    ]
)
# (time scale s, deviation of log variance): the waves of volatility.
COMMON_WAVES = ((1800.0, 0.6), (90.0, 0.5), (4.0, 1.0))
OWN_WAVES = ((900.0, 0.5), (4.0, 1.1))
JUMPS_A_DAY = 10.0
COMMON_JUMP = 12e-4
OWN_JUMP = 16e-4
TREND_DRIFT = 0.5  # of an hour's deviation, in an hour


class Moves(Struct, frozen=True, eq=False):
    """One tick: (symbols,) shocks, their deviation, and the variance over its long-run mean."""

    shock: Array
    sigma: Array
    heat: Array
    drift: Array


class Returns:
    """Draws each tick's returns as fractions of price."""

    def __init__(self, listings: Sequence[Listing], seed: int, dt: float) -> None:
        count = len(listings)
        self._beta, own = column(listings, "beta"), column(listings, "vol")
        scale = np.sqrt(dt / YEAR_S)
        self._common, self._own = FACTOR_VOL * scale, own * scale
        self.typical = np.hypot(self._beta * self._common, self._own)
        self._dt = dt
        self._common_waves = _waves(seed, "common", COMMON_WAVES, 1, dt)
        self._own_waves = _waves(seed, "own", OWN_WAVES, count, dt)
        self._shocks = Draws(stream(seed, "shocks"), 2 * count + 1)
        self._bursts = stream(seed, "bursts")
        self._jumps = stream(seed, "jumps")
        self._jump_odds = JUMPS_A_DAY * dt / 86400
        self._regimes = stream(seed, "regimes")
        self.regime = int(self._regimes.choice(2))
        self.direction = 1.0
        self._left = 0.0
        self._enter(self.regime)

    def _enter(self, regime: int) -> None:
        self.regime = regime
        self._left = float(self._regimes.exponential(DWELL_S[regime]))
        self.direction = 1.0 if self._regimes.random() < 0.5 else -1.0

    def step(self, vol: float) -> Moves:
        """The next tick's moves under a scenario's volatility multiplier."""
        self._left -= self._dt
        if self._left <= 0:
            self._enter(int(self._regimes.choice(4, p=NEXT[self.regime])))
        level = vol * VOLATILITY[self.regime]
        common = level**2 * _variance(self._common_waves, COMMON_WAVES)[0]
        own = _variance(self._own_waves, OWN_WAVES)
        heat = common * own
        count = len(self._beta)
        # A tick's own burst of activity; square roots of gamma variates give the fat tails.
        burst = self._bursts.standard_gamma(0.5, count + 1) * 2.0
        z = self._shocks.row()
        factor = np.sqrt(common * burst[0]) * z[0] * self._common
        shock = self._beta * factor + np.sqrt(heat * burst[1:]) * z[1 : count + 1] * self._own
        self._jump(shock)
        sigma = np.sqrt(common) * np.hypot(self._beta * self._common, np.sqrt(own) * self._own)
        return Moves(shock, sigma, heat, self._trend(level))

    def _jump(self, shock: Array) -> None:
        odds = self._jumps.random(2)
        if odds[0] < self._jump_odds:
            shock += self._beta * COMMON_JUMP * self._jumps.standard_normal()
        if odds[1] < self._jump_odds * len(shock):
            place = int(self._jumps.integers(len(shock)))
            shock[place] += OWN_JUMP * self._jumps.standard_normal()

    def _trend(self, level: float) -> Array:
        """Drift of a trend regime, fraction a tick."""
        if REGIMES[self.regime] != "trend":
            return np.zeros(len(self._beta))
        hour = self._common * level * np.sqrt(3600 / self._dt)
        drift: Array = self._beta * (self.direction * TREND_DRIFT * hour * self._dt / 3600)
        return drift


def _waves(seed: int, name: str, waves: Sequence[tuple[float, float]], width: int,
           dt: float) -> list[Wave]:  # fmt: skip
    return [Wave(stream(seed, f"{name} volatility {tau}"), width, tau, dt) for tau, _ in waves]


def _variance(waves: Sequence[Wave], shape: Sequence[tuple[float, float]]) -> Array:
    """Product of log-normals of mean one."""
    log = sum(
        deviation * wave.step() - deviation**2 / 2
        for wave, (_, deviation) in zip(waves, shape, strict=True)
    )
    return np.asarray(np.exp(log))
