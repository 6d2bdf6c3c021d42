"""Returns: one common factor and one of each symbol's own, under a volatility that clusters.

Variance is a product of slow and fast log-normal waves and of a market-wide regime, and comes in
bursts, between which price stands still. The shocks themselves are symmetric and independent of
the past, so that without drift prices are martingales. Level, tails and clustering are set to lie
near those of recorded BTC: tests/statistics/realism.py.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from engine.sim.market.chance import Array, Draws, Wave, stream
from engine.sim.market.listings import FACTOR_VOL, Listing, column

YEAR_S = 365.25 * 86400
REGIMES = ("calm", "trend", "expansion", "stress")
VOLATILITY = np.array([0.65, 0.91, 1.33, 2.03])
DWELL_S = np.array([2400.0, 1800.0, 900.0, 300.0])
NEXT = np.array(
    [
        [0.00, 0.65, 0.32, 0.03],
        [0.50, 0.00, 0.42, 0.08],
        [0.45, 0.35, 0.00, 0.20],
        [0.25, 0.15, 0.60, 0.00],
    ]
)
SHARE = np.array([0.465, 0.355, 0.16, 0.02])  # of the time
# (time scale s, deviation of log variance): the waves of volatility.
COMMON_WAVES = ((43200.0, 0.6), (3600.0, 0.5), (120.0, 0.4), (4.0, 0.8))
OWN_WAVES = ((900.0, 0.5), (4.0, 0.8))
SLOW_S = 3600.0  # waves that long are left out of a steady market
BURSTS = 0.4  # a second, of the common factor and of each symbol's own
JUMPS_A_DAY = 12.0
COMMON_JUMP = 14e-4
OWN_JUMP = 16e-4
TREND_DRIFT = 0.5  # of an hour's deviation, in an hour


class Moves(Struct, frozen=True, eq=False):
    """One tick: (symbols,) shocks, their deviation, and the variance over its long-run mean.

    `burst`: the tick's own variance over what it could be expected to be.
    """

    shock: Array
    sigma: Array
    heat: Array
    burst: Array
    drift: Array


class Returns:
    """Draws each tick's returns as fractions of price.

    `steady`: the regime stays calm and no slow wave carries volatility off.
    """

    def __init__(self, listings: Sequence[Listing], seed: int, dt: float,
                 steady: bool = False) -> None:  # fmt: skip
        count = len(listings)
        self._beta, own = column(listings, "beta"), column(listings, "vol")
        scale = np.sqrt(dt / YEAR_S)
        self._common, self._own = FACTOR_VOL * scale, own * scale
        self.typical = np.hypot(self._beta * self._common, self._own)
        self._dt = dt
        self._steady = steady
        self._common_waves = _waves(seed, "common", common_waves(steady), 1, dt)
        self._own_waves = _waves(seed, "own", OWN_WAVES, count, dt)
        self._expected = BURSTS * dt
        self._shocks = Draws(stream(seed, "shocks"), 2 * count + 1)
        self._bursts = stream(seed, "bursts")
        self._jumps = stream(seed, "jumps")
        self._jump_odds = JUMPS_A_DAY * dt / 86400
        self._regimes = stream(seed, "regimes")
        self.regime = 0 if steady else first_regime(self._regimes)
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
        if self._left <= 0 and not self._steady:
            self._enter(int(self._regimes.choice(4, p=NEXT[self.regime])))
        level = vol * VOLATILITY[self.regime]
        common = level**2 * _variance(self._common_waves)[0]
        own = _variance(self._own_waves)
        heat = common * own
        count = len(self._beta)
        burst = self._bursts.poisson(self._expected, count + 1) / self._expected
        z = self._shocks.row()
        shared, alone = common * (self._beta * self._common) ** 2, heat * self._own**2
        shock = np.sqrt(shared * burst[0]) * z[0] + np.sqrt(alone * burst[1:]) * z[1 : count + 1]
        self._jump(shock)
        variance = shared + alone
        bursts = (shared * burst[0] + alone * burst[1:]) / variance
        return Moves(shock, np.sqrt(variance), heat, bursts, self._trend(level))

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


def common_waves(steady: bool) -> list[tuple[float, float]]:
    """The waves of the common factor."""
    return [(tau, spread) for tau, spread in COMMON_WAVES if not steady or tau < SLOW_S]


def first_regime(rng: np.random.Generator) -> int:
    """The regime in which the live part begins and its past ends: each as often as it rules."""
    return int(rng.choice(4, p=SHARE))


def wave_stream(seed: int, name: str, tau: float) -> np.random.Generator:
    """Chance of one wave of volatility; its first number is where the live part begins."""
    return stream(seed, f"{name} volatility {tau}")


def _waves(seed: int, name: str, waves: Sequence[tuple[float, float]], width: int,
           dt: float) -> list[tuple[float, Wave]]:  # fmt: skip
    return [(spread, Wave(wave_stream(seed, name, tau), width, tau, dt)) for tau, spread in waves]


def _variance(waves: Sequence[tuple[float, Wave]]) -> Array:
    """Product of log-normals of mean one."""
    log = sum(spread * wave.step() - spread**2 / 2 for spread, wave in waves)
    return np.asarray(np.exp(log))
