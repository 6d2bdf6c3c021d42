"""Positions: open interest, and leveraged cohorts by entry price that are closed by force.

Each five minutes of flow opens one cohort of longs and one of shorts with a leverage of its own;
a mark beyond a cohort's liquidation price turns it into taker orders.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.sim.market.chance import Array, stream
from engine.sim.market.listings import Listing, column
from engine.sim.market.past import CLOSE, VOLUME, Past

COHORTS = 288
COHORT_S = 300.0
LEVERAGE = np.array([3.0, 5.0, 10.0, 20.0, 50.0, 100.0])
ODDS = np.array([0.20, 0.25, 0.28, 0.18, 0.07, 0.02])
MAINTENANCE = 0.004
OPENING = 0.03  # of the volume opens positions that stay
HALF_LIFE_S = 6 * 3600.0
LEVERAGED = 0.06  # of the open interest, at the start
LONG, SHORT = 0, 1
# The many without leverage: how much of the open interest they open or close in five minutes
# (standard deviation), for how long they keep at it, and how soon they make up for what left.
APPETITE, MOOD_S, RETURN_S = 8e-4, 1200.0, 3600.0
# Now and then many come, or go, at once: how often a symbol's do, within what time, and of the open
# interest how much at most.
RUSH_EVERY_S, RUSH_S, RUSH = 6 * 3600.0, 400.0, 0.04


class Forced(Struct, frozen=True):
    """A liquidation order to execute: place of symbol, whether longs are closed, steps."""

    symbol: int
    long: bool
    steps: int


class Positions:
    """Cohorts of all symbols in arrays (side, symbol, cohort), sizes in steps, prices in ticks."""

    def __init__(self, listings: Sequence[Listing], seed: int, past: Past, crowded: float,
                 crowded_shorts: float = 0.0) -> None:  # fmt: skip
        count = len(listings)
        self._rng, self._short_rng = stream(seed, "positions"), stream(seed, "shorts")
        self._crowded, self._crowded_shorts = crowded, crowded_shorts
        worth = column(listings, "price") * column(listings, "step")
        self.interest: Array = column(listings, "interest") / worth
        shape = (2, count, COHORTS)
        self.size: Array = np.zeros(shape)
        self.entry: Array = np.ones(shape)
        self.liquidation: Array = np.zeros(shape)
        self._next = 0
        self._forming = np.zeros((2, count))
        self._forming_since = 0.0
        self._many_rng = stream(seed, "holders")
        self._mood = self._many_rng.standard_normal(count)
        self._rush_rng, self._rush = stream(seed, "rushes"), np.zeros(count)
        self._held = self.interest.copy()
        self._fill(past)

    def _fill(self, past: Past) -> None:
        """Cohorts opened over the last day of the past, older ones smaller."""
        every = int(COHORT_S // 60)
        closes = past.minutes[-COHORTS * every :: every, CLOSE].astype(float)
        volume = past.minutes[-COHORTS * every :, VOLUME].reshape(COHORTS, every, -1).sum(1)
        mark = past.minutes[-1, CLOSE].astype(float)
        weight = volume * 0.5 ** (np.arange(COHORTS)[::-1, None] * COHORT_S / HALF_LIFE_S)
        weight = LEVERAGED * self.interest * weight / weight.sum(0)
        longs, shorts = min(self._crowded, 2.0), min(self._crowded_shorts or 1.0, 2.0)
        for price, sizes in zip(closes, weight, strict=True):
            self._open(price, np.stack([sizes * longs, sizes * shorts]))
        # What the past would have liquidated already is not there any more.
        self.size[self._broken(mark)] = 0

    def _open(self, price: Array, sizes: Array) -> None:
        """A cohort a side and symbol at (symbols,) prices; it takes the place of the oldest."""
        at = self._next
        leverage = self._rng.choice(LEVERAGE, sizes.shape, p=_odds(self._crowded))
        if self._crowded_shorts:
            odds = _odds(self._crowded_shorts)
            leverage[SHORT] = self._short_rng.choice(LEVERAGE, sizes.shape[1], p=odds)
        room = 1 / leverage - MAINTENANCE
        self.size[:, :, at], self.entry[:, :, at] = sizes, price
        self.liquidation[LONG, :, at] = price * (1 - room[LONG])
        self.liquidation[SHORT, :, at] = price * (1 + room[SHORT])
        self._next = (at + 1) % COHORTS

    def _broken(self, mark: Array) -> NDArray[np.bool_]:
        price = mark[:, None]
        beyond = [price <= self.liquidation[LONG], price >= self.liquidation[SHORT]]
        broken: NDArray[np.bool_] = (self.size > 0) & np.stack(beyond)
        return broken

    def trade(self, volume: Array, imbalance: Array, seconds: float, elapsed: float,
              price: Array, building: float = 0.0) -> None:  # fmt: skip
        """Taker flow of `elapsed` seconds up to `seconds`: (symbols,) steps, balance -1..+1.

        `building`: what leveraged longs, below 0 shorts, open beside it, of the open interest;
        who holds the other side needs no leverage.
        """
        opened = OPENING * volume
        self._forming[LONG] += opened * (0.5 + 0.5 * imbalance)
        self._forming[SHORT] += opened * (0.5 - 0.5 * imbalance)
        built = abs(building) * self.interest
        self._forming[SHORT if building < 0 else LONG] += built
        closed = 1 - 0.5 ** (elapsed / HALF_LIFE_S)
        lasting = built + self._rushing(elapsed)
        self._held = self._held + lasting
        self.interest = self.interest + lasting + self._others(elapsed)
        self.size *= 1 - closed
        if seconds - self._forming_since >= COHORT_S:
            self._open(price, self._forming)
            self._forming = np.zeros_like(self._forming)
            self._forming_since = seconds

    def _rushing(self, elapsed: float) -> Array:
        """What is opened, below 0 closed, in a rush, in steps; it stays."""
        begins = self._rush_rng.random(len(self._rush)) < elapsed / RUSH_EVERY_S
        if begins.any():
            size = self._rush_rng.uniform(0.25, 1.0, len(begins)) * RUSH * self.interest
            sign = self._rush_rng.choice((-1.0, 1.0), len(begins), p=(0.4, 0.6))
            self._rush = self._rush + np.where(begins, size * sign, 0.0)
        now: Array = self._rush * (1 - np.exp(-elapsed / RUSH_S))
        self._rush = self._rush - now
        return now

    def _others(self, elapsed: float) -> Array:
        """What those without leverage open, below 0 close, in steps; they hold both sides.

        Their mood is an Ornstein-Uhlenbeck process. Who comes and goes with leverage trades with
        them; what is closed by force they take up in time.
        """
        kept = np.exp(-elapsed / MOOD_S)
        noise = self._many_rng.standard_normal(len(self._mood))
        self._mood = kept * self._mood + np.sqrt(1 - kept * kept) * noise
        opening = APPETITE * self.interest * self._mood * elapsed / COHORT_S
        out: Array = opening + (self._held - self.interest) * elapsed / RETURN_S
        return out

    def liquidate(self, mark: Array) -> list[Forced]:
        """Close what the mark has gone through; the sizes leave the open interest."""
        broken = self._broken(mark)
        if not broken.any():
            return []
        sizes = np.where(broken, self.size, 0.0).sum(axis=2)
        self.size[broken] = 0.0
        self.interest = np.maximum(self.interest - sizes.sum(axis=0), 0.0)
        return [
            Forced(symbol=int(place), long=side == LONG, steps=int(sizes[side, place]))
            for side, place in np.argwhere(sizes >= 1)
        ]

    def clusters(self, symbol: int, long: bool) -> list[tuple[float, float]]:
        """(liquidation price in ticks, steps) of one side's cohorts, nearest price first."""
        side = LONG if long else SHORT
        held = self.size[side, symbol] > 0
        pairs = zip(self.liquidation[side, symbol, held], self.size[side, symbol, held],
                    strict=True)  # fmt: skip
        return sorted(((float(p), float(n)) for p, n in pairs), reverse=long)


def _odds(crowded: float) -> Array:
    """Chance of each leverage; the more crowded a side, the higher."""
    odds = ODDS * LEVERAGE ** (0.35 * (crowded - 1))
    out: Array = odds / odds.sum()
    return out
