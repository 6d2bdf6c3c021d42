"""The past behind the live part: the same process at bar level, made backwards from its end.

180 days in steps of five minutes, the last eight in minutes; hours are sums of those. Extremes
within a step are those of a Brownian bridge between its ends.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.sim.market.chance import Array, stream, wave_path
from engine.sim.market.factor import (
    COMMON_WAVES,
    DWELL_S,
    NEXT,
    OWN_WAVES,
    SLOW_S,
    VOLATILITY,
    YEAR_S,
    first_regime,
    wave_stream,
)
from engine.sim.market.listings import FACTOR_VOL, Listing, column
from engine.sim.market.relations import REACH, SEEN, SHARED, TILT_S
from engine.sim.market.scenario import Scenario

Whole = NDArray[np.int64]
MINUTES = 8 * 1440
DAYS = 180
COARSE_S = 300
OPEN, HIGH, LOW, CLOSE, VOLUME, TAKEN, COUNT = range(7)
FIELDS = 7


class Past(Struct, frozen=True, eq=False):
    """(bars, FIELDS, symbols) of whole numbers: prices in ticks, volumes in steps.

    `minutes` begin at `minutes_from` (s UTC) and end where the live part begins; `hours` at
    `hours_from`, up to the hour in which the minutes begin.
    """

    minutes_from: int
    minutes: Whole
    hours_from: int
    hours: Whole


def make_past(listings: Sequence[Listing], scenario: Scenario, seed: int, end: int,
              rate: float) -> Past:  # fmt: skip
    """The past up to `end` (s UTC, a whole minute)."""
    minutes_from = (end - MINUTES * 60) // 3600 * 3600
    coarse_hours = (end - DAYS * 86400) // 3600 * 3600
    near = (end - minutes_from) // 60
    far = (minutes_from - coarse_hours) // COARSE_S
    levels = np.log(column(listings, "price"))
    fine = _stretch(listings, scenario, seed, "minutes", near, 60, rate, levels)
    opened = np.log(fine[0, OPEN] * column(listings, "tick"))
    coarse = _stretch(listings, scenario, seed, "hours", far, COARSE_S, rate, opened)
    return Past(minutes_from, fine, coarse_hours, merge(coarse, 3600 // COARSE_S))


def merge(bars: Whole, count: int) -> Whole:
    """Each `count` bars as one; the last may be of fewer."""
    starts = np.arange(0, len(bars), count)
    out = np.empty((len(starts), *bars.shape[1:]), dtype=np.int64)
    out[:, OPEN] = bars[starts, OPEN]
    out[:, HIGH] = np.maximum.reduceat(bars[:, HIGH], starts)
    out[:, LOW] = np.minimum.reduceat(bars[:, LOW], starts)
    out[:, CLOSE] = bars[np.minimum(starts + count, len(bars)) - 1, CLOSE]
    for field in (VOLUME, TAKEN, COUNT):
        out[:, field] = np.add.reduceat(bars[:, field], starts)
    return out


def _stretch(listings: Sequence[Listing], scenario: Scenario, seed: int, name: str, steps: int,
             seconds: int, rate: float, end: Array) -> Whole:  # fmt: skip
    """(steps, FIELDS, symbols) bars that end at the log prices `end`."""
    count = len(listings)
    rng = stream(seed, f"past {name}")
    near = name == "minutes"
    calm, pinned = _range(scenario, steps, seconds if near else 0)
    variance = _heat(rng, seed, steps, count, seconds, near, pinned)
    variance = variance * (scenario.vol * calm[:, None]) ** 2
    scale = np.sqrt(seconds / YEAR_S)
    common = FACTOR_VOL * scale * rng.standard_normal((steps, 1))
    noise = column(listings, "vol") * scale * rng.standard_normal((steps, count))
    deviation = np.sqrt(variance) * np.hypot(column(listings, "beta") * FACTOR_VOL,
                                             column(listings, "vol")) * scale  # fmt: skip
    shock = np.sqrt(variance) * (column(listings, "beta") * common + noise)
    tilt = _tilt(rng, steps, count, seconds)
    pull = scenario.switches.weak / (REACH * SEEN) * np.sqrt(seconds)
    returns = shock + pull * deviation * tilt
    if pinned:
        returns[-pinned:] -= returns[-pinned:].mean(axis=0)
    closes = end - np.flip(np.cumsum(np.flip(returns, 0), 0), 0) + returns
    opens = closes - returns
    high, low = _extremes(rng, opens, closes, deviation)
    move = returns / np.maximum(deviation, 1e-12)
    flow = _flow(rng, listings, scenario, variance, tilt, move, seconds, rate)
    return _whole(listings, np.stack([opens, high, low, closes], 1), *flow)


def _range(scenario: Scenario, steps: int, seconds: int) -> tuple[Array, int]:
    """Volatility multiplier of each step, and how many last steps begin and end at one level."""
    calm = np.ones(steps)
    pinned = min(steps, int(scenario.range_hours * 3600 / seconds)) if seconds else 0
    if pinned:
        calm[-pinned:] = 0.5
    return calm, pinned


def _heat(rng: np.random.Generator, seed: int, steps: int, count: int, seconds: int, near: bool,
          pinned: int) -> Array:  # fmt: skip
    """Variance over its long-run mean, (steps, symbols): regimes and waves as in the live part.

    The `near` stretch ends with the regime and the waves that the live part begins with; its last
    `pinned` steps are as steady as what follows them.
    """
    slow = VOLATILITY[_regimes(rng, seed, steps, seconds, near)][:, None] ** 2
    fast = np.ones((steps, count))
    for name, waves, width in (("common", COMMON_WAVES, 1), ("own", OWN_WAVES, count)):
        for tau, deviation in waves:
            # A wave faster than the step averages out within it.
            spread = deviation * min(1.0, float(np.sqrt(2 * tau / seconds)))
            last = wave_stream(seed, name, tau).standard_normal(width) if near else None
            path = wave_path(rng, steps, width, float(np.exp(-seconds / tau)), last)
            wave = np.exp(spread * path - spread**2 / 2)
            if tau < SLOW_S:
                fast = fast * wave
            else:
                slow = slow * wave
    if pinned:
        slow[-pinned:] = VOLATILITY[0] ** 2
    return slow * fast


def _regimes(rng: np.random.Generator, seed: int, steps: int, seconds: int,
             near: bool) -> NDArray[np.int64]:  # fmt: skip
    """The regime of each step, made backwards from the end."""
    out: list[int] = []
    regime = first_regime(stream(seed, "regimes")) if near else 0
    while len(out) < steps:
        dwell = max(1, round(rng.exponential(DWELL_S[regime]) / seconds))
        out += [regime] * dwell
        regime = int(rng.choice(4, p=NEXT[regime]))
    return np.array(out[:steps][::-1])


def _tilt(rng: np.random.Generator, steps: int, count: int, seconds: int) -> Array:
    rho = float(np.exp(-seconds / TILT_S))
    shared, own = wave_path(rng, steps, 1, rho), wave_path(rng, steps, count, rho)
    tilt: Array = SHARED * shared + np.sqrt(1 - SHARED**2) * own
    return tilt


def _extremes(rng: np.random.Generator, opens: Array, closes: Array,
              deviation: Array) -> tuple[Array, Array]:  # fmt: skip
    """Highest and lowest log price of a Brownian bridge, each with its own luck."""
    change, width = closes - opens, 2 * deviation**2
    up = (change + np.sqrt(change**2 + width * rng.standard_exponential(change.shape))) / 2
    down = (change - np.sqrt(change**2 + width * rng.standard_exponential(change.shape))) / 2
    return opens + up, opens + down


def _flow(rng: np.random.Generator, listings: Sequence[Listing], scenario: Scenario,
          variance: Array, tilt: Array, move: Array, seconds: int,
          rate: float) -> tuple[Array, Array, Array]:  # fmt: skip
    """USD volume, the takers' buys of it, and executions, (steps, symbols) each."""
    scale = column(listings, "rate") * (rate * scenario.rate * seconds)
    count = np.maximum(np.round(scale * variance**0.35), 1)
    spread = 1.2 * np.sqrt(60 / seconds)
    luck = np.exp(spread * 0.5 * rng.standard_normal(count.shape) - spread**2 / 8)
    usd = count * column(listings, "mean") * luck
    lean = 0.2 * tilt + 0.18 * np.clip(move, -3, 3) + 0.12 * rng.standard_normal(count.shape)
    return usd, usd * (0.5 + 0.5 * np.tanh(lean)), count


def _whole(listings: Sequence[Listing], logs: Array, usd: Array, taken: Array,
           count: Array) -> Whole:  # fmt: skip
    tick, step = column(listings, "tick"), column(listings, "step")
    out = np.empty((len(logs), FIELDS, len(listings)), dtype=np.int64)
    out[:, :VOLUME] = np.maximum(np.rint(np.exp(logs) / tick), 1)
    out[:, HIGH] = np.maximum(out[:, HIGH], np.maximum(out[:, OPEN], out[:, CLOSE]))
    out[:, LOW] = np.minimum(out[:, LOW], np.minimum(out[:, OPEN], out[:, CLOSE]))
    worth = out[:, CLOSE] * tick * step
    out[:, VOLUME] = np.maximum(np.rint(usd / worth), 1)
    out[:, TAKEN] = np.minimum(np.rint(taken / worth), out[:, VOLUME])
    out[:, COUNT] = count
    return out
