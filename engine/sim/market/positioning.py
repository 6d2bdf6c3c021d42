"""The past of a venue's positioning: open interest, funding, long/short ratios, taker flow.

Before the live part they are fixed functions of time, slow waves by seed, venue and symbol, so
that any page of history fits any other; the live part is as it was.
"""

from typing import Literal

import numpy as np

from engine.clock import NS
from engine.sim.market.bars import Bars
from engine.sim.market.chance import Array, Waves
from engine.sim.market.marks import CARRY, CARRY_WAVES, due
from engine.sim.market.past import TAKEN, VOLUME
from engine.sim.market.shadow import Shadow

Measure = Literal["top_accounts", "top_positions", "global_accounts", "taker"]
# Mean and deviation of the log of each ratio: accounts lean long, positions less.
RATIOS: dict[Measure, tuple[float, float]] = {
    "top_accounts": (0.35, 0.16),
    "top_positions": (0.12, 0.08),
    "global_accounts": (0.45, 0.22),
}
OWN = 0.4  # of a wave that is the venue's alone
INTEREST = 0.05
SAMPLE_S = 300


class Positioning:
    """History of one shadow's contracts; `note` once a second keeps the live part.

    Times are in s UTC; `place` is the shadow's.
    """

    def __init__(self, shadow: Shadow) -> None:
        market = shadow.reference.market
        self._shadow, self._market = shadow, market
        self._start = market.start // NS
        names = (*RATIOS, "interest", CARRY_WAVES)
        self._shared = {n: Waves(market.seed, f"{n} wave", len(market.symbols)) for n in names}
        self._own = {
            n: Waves(market.seed, f"{shadow.venue} {n} wave", len(market.symbols)) for n in names
        }
        self._first = shadow.interest.copy()
        self._interest: dict[int, Array] = {}
        self._settled: dict[int, Array] = {}
        self._rate = shadow.rate

    def note(self, second: int) -> None:
        """Keep what history will tell of this second."""
        if second % SAMPLE_S == 0:
            self._interest[second] = self._shadow.interest
        if second % int(self._shadow.character.hours * 3600) == 0:
            self._settled[second] = self._rate
        self._rate = self._shadow.rate

    def interest(self, place: int, seconds: Array) -> Array:
        """(times,) open interest in coins, of the live part as of the last five minutes."""
        past = np.minimum(seconds, self._start)
        begin = np.array([float(self._start)])
        change = self._wave("interest", place, past) - self._wave("interest", place, begin)
        out: Array = self._first[place] * np.exp(INTEREST * change)
        for at in np.flatnonzero(seconds > self._start):
            known = self._interest.get(int(seconds[at]) // SAMPLE_S * SAMPLE_S)
            out[at] = self._first[place] if known is None else known[place]
        return out

    def settlements(self, place: int, last: int, count: int) -> tuple[Array, Array]:
        """(times, rates for the venue's interval) of the last settlements up to `last`, oldest
        first.
        """
        hours = self._shadow.character.hours
        period = int(hours * 3600)
        times = (last // period - np.arange(count - 1, -1, -1.0)) * period
        rates = due(CARRY * self._wave(CARRY_WAVES, place, times))
        for at in np.flatnonzero(times > self._start):
            known = self._settled.get(int(times[at]))
            rates[at] = rates[at] if known is None else known[place]
        return times, rates * hours / 8

    def ratio(self, measure: Measure, place: int, seconds: Array) -> Array:
        """(times,) long over short."""
        mean, deviation = RATIOS[measure]
        out: Array = np.exp(mean + deviation * self._wave(measure, place, seconds))
        return out

    def flow(self, place: int, begins: Array, seconds: int) -> tuple[Array, Array]:
        """(times,) coins bought and sold by takers in bars that open at `begins`.

        `seconds`: 300, or a multiple of an hour. The share of the reference's that is traded here.
        """
        shadow = self._shadow
        at = int(shadow.places[place])
        unit = 60 if seconds < 3600 else 3600
        rows = _rows(self._market.bars, at, unit, begins, seconds)
        coins = rows * shadow.units[place] * shadow.character.share
        return coins[:, 1], coins[:, 0] - coins[:, 1]

    def _wave(self, name: str, place: int, seconds: Array) -> Array:
        at = int(self._shadow.places[place])
        shared, own = self._shared[name].at(at, seconds), self._own[name].at(at, seconds)
        out: Array = np.sqrt(1 - OWN**2) * shared + OWN * own
        return out


def _rows(bars: Bars, symbol: int, unit: int, begins: Array, seconds: int) -> Array:
    """(times, 2) volume and taken, in steps, of bars made of `unit` seconds each."""
    first, last = int(begins[0]), int(begins[-1]) + seconds - unit
    begin, rows = bars.select(symbol, unit, first, last)
    total = np.zeros((len(begins), 2))
    opened = begin + unit * np.arange(len(rows))
    where = np.searchsorted(begins, opened, side="right") - 1
    inside = where >= 0
    np.add.at(total, where[inside], rows[inside][:, [VOLUME, TAKEN]])
    return total
