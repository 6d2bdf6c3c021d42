"""Chance by purpose: each consumer has its own stream, so that a new one shifts no other."""

from typing import Literal
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PERIODS_S = np.array([2.7, 9.1, 31.0, 103.0]) * 3600
Kind = Literal["normal", "uniform"]


def stream(seed: int, purpose: str) -> np.random.Generator:
    """The generator of one purpose under a seed (PCG64 on a SeedSequence of both)."""
    key = (crc32(purpose.encode()),)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


class Draws:
    """Rows of random numbers, drawn a block at a time because a call costs more than a number."""

    ROWS = 64

    def __init__(self, rng: np.random.Generator, width: int, kind: Kind = "normal") -> None:
        self._rng, self._width, self._kind = rng, width, kind
        self._at = self.ROWS
        self._block: Array = np.empty((0, width))

    def row(self) -> Array:
        """The next (width,) numbers, standard normal or uniform 0..1."""
        if self._at == self.ROWS:
            shape = (self.ROWS, self._width)
            normal = self._kind == "normal"
            self._block = self._rng.standard_normal(shape) if normal else self._rng.random(shape)
            self._at = 0
        row: Array = self._block[self._at]
        self._at += 1
        return row


class Wave:
    """Stationary Ornstein-Uhlenbeck processes of unit variance, one a column."""

    def __init__(self, rng: np.random.Generator, width: int, tau: float, dt: float) -> None:
        self._rho = float(np.exp(-dt / tau))
        self._kick = float(np.sqrt(1 - self._rho**2))
        self._draws = Draws(rng, width)
        self.value: Array = rng.standard_normal(width)

    def step(self) -> Array:
        """Advance by dt; the value is kept too."""
        self.value = self._rho * self.value + self._kick * self._draws.row()
        return self.value


class Waves:
    """Sums of slow sines of unit variance, one a symbol, by seed and purpose."""

    def __init__(self, seed: int, purpose: str, count: int) -> None:
        self._phase = 2 * np.pi * stream(seed, purpose).random((count, len(PERIODS_S)))

    def at(self, place: int, seconds: Array) -> Array:
        """(times,) values at times in s UTC."""
        angle = 2 * np.pi * seconds[:, None] / PERIODS_S + self._phase[place]
        out: Array = np.sin(angle).sum(axis=1) * np.sqrt(2 / len(PERIODS_S))
        return out

    def now(self, second: float) -> Array:
        """(symbols,) values at one time."""
        angle = 2 * np.pi * second / PERIODS_S + self._phase
        out: Array = np.sin(angle).sum(axis=1) * np.sqrt(2 / len(PERIODS_S))
        return out


def wave_path(rng: np.random.Generator, steps: int, width: int, rho: float,
              last: Array | None = None) -> Array:  # fmt: skip
    """(steps, width) of a stationary unit-variance AR(1), a block of steps at a time.

    `last`: the value that comes after the last step, where it is known already.
    """
    block = 64
    lag = np.arange(block)
    powers = np.where(lag[:, None] >= lag, rho ** np.maximum(lag[:, None] - lag, 0), 0.0)
    fade = rho ** (lag + 1.0)
    noise = rng.standard_normal((-(-steps // block), block, width)) * np.sqrt(1 - rho**2)
    out: Array = powers @ noise
    # A stationary process is the same in either direction.
    before = rng.standard_normal(width) if last is None else last
    for piece in out:
        piece += fade[:, None] * before
        before = piece[-1]
    whole: Array = out.reshape(-1, width)[:steps]
    return whole if last is None else whole[::-1]
