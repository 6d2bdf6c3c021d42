"""Mark, index and funding: a premium that wanders, leans with the takers and has its slow carry.

Funding follows from the premium: its mean over the period, pulled towards the interest rate by at
most the damper, within the bounds that each venue publishes.
"""

import numpy as np
from msgspec import Struct

from engine.sim.market.chance import Array, Wave, Waves, stream

FUNDING_S = 8 * 3600
PREMIUM_S = 900.0
PREMIUM = 2.0e-4
INTEREST = 1e-4  # the venue's interest rate component, per 8 h
DAMPER = 5e-4
SMOOTH_S = 30.0
# What holders pay for days on end: the deviation of the slow part of the premium. Funding is at the
# interest rate where it is small, about three quarters of the time.
CARRY, CARRY_WAVES, CARRY_EVERY_S = 4e-4, "carry", 60
# Largest funding rate, as for 8 h. Binance's is that of BTC and ETH, Gate's follows from its cap
# ratio, maintenance and leverage, dYdX's from its margins; Hyperliquid's is 4 % an hour.
CAPS = {"binance": 0.003, "bybit": 0.005, "okx": 0.00375, "bitget": 0.003, "gate": 0.00375,
        "deribit": 0.005, "dydx": 0.12, "hyperliquid": 0.32}  # fmt: skip
REFERENCE_CAP = CAPS["binance"]


def due(premium: Array) -> Array:
    """Funding per 8 h for a mean premium, before any venue's bounds."""
    out: Array = premium + np.clip(INTEREST - premium, -DAMPER, DAMPER)
    return out


class Mark(Struct, frozen=True, eq=False):
    """(symbols,) mark, index and moving average of the mark in ticks, funding rate; next in s.

    `due`: the funding rate before any venue's bounds.
    """

    mark: Array
    index: Array
    average: Array
    rate: Array
    next: int
    due: Array


class Marks:
    """Advances once a second from the mids; without `carry` the premium has no slow part."""

    def __init__(self, count: int, seed: int, start: int, carry: bool = True) -> None:
        self._waves = Waves(seed, f"{CARRY_WAVES} wave", count) if carry else None
        self._carry = self._carried(start, count)
        self._wave = Wave(stream(seed, "premium"), count, PREMIUM_S, 1.0)
        self._basis = PREMIUM * self._wave.value
        # As if the premium of this funding period so far had been the usual.
        self._sum = (0.5 * self._basis + self._carry) * (start % FUNDING_S)
        self._weight = float(start % FUNDING_S)
        self._average: Array | None = None

    def step(self, seconds: int, mid: Array, tilt: Array, more: Array) -> Mark:
        """Marks as of `seconds` (UTC) for (symbols,) mids in ticks; `more` premium, a fraction."""
        if seconds % CARRY_EVERY_S == 0:
            self._carry = self._carried(seconds, len(mid))
        premium = PREMIUM * (self._wave.step() + 0.5 * np.clip(tilt, -3, 3)) + self._carry + more
        index = mid / (1 + premium)
        self._basis = self._basis + (premium - self._basis) / SMOOTH_S
        mark = index * (1 + self._basis)
        if self._average is None:
            self._average = mark
        self._average = self._average + (mark - self._average) / SMOOTH_S
        if seconds % FUNDING_S == 0:
            self._sum, self._weight = np.zeros_like(mid), 0.0
        self._sum = self._sum + premium
        self._weight += 1
        unbound = due(self._sum / self._weight)
        rate = np.clip(unbound, -REFERENCE_CAP, REFERENCE_CAP)
        following = (seconds // FUNDING_S + 1) * FUNDING_S
        return Mark(mark, index, self._average, rate, following, unbound)

    def _carried(self, seconds: int, count: int) -> Array:
        return np.zeros(count) if self._waves is None else CARRY * self._waves.now(seconds)
