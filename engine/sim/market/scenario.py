"""Scenarios: schedules of drift, taker tilt and volatility laid over one and the same process."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from engine.sim.market.chance import Array
from engine.sim.market.listings import Listing

MINUTE = 60.0


class Switches(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be predicted in this market; `MARTINGALE` is all of it off.

    `weak`: rank correlation of five minutes of taker imbalance with the next five minutes' return.
    `episodes`: flow turns a day and symbol, of which `follow` are followed by price and the rest
    are traps. `regime_drift`: whether a trend regime drifts. `cascade`: how far a forced close
    moves price, 1 being the usual.
    """

    weak: float = 0.045
    episodes: float = 2.0
    follow: float = 0.78
    regime_drift: bool = True
    cascade: float = 1.0


MARTINGALE = Switches(weak=0.0, episodes=0.0, regime_drift=False, cascade=0.0)


class Phase(Struct, frozen=True):
    """A stretch of the schedule in seconds from the start.

    `drift` bps over the whole stretch for `symbol`, beta-scaled by `spill` for the others (None:
    the common factor); `tilt` of the takers, from its value at the start to that at the end;
    `vol` multiplies volatility.
    """

    start: float
    end: float
    drift: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    vol: float = 1.0
    symbol: str | None = None
    spill: float = 0.6


class Scenario(Struct, frozen=True):
    """A named schedule; `rate` scales activity, `crowded` the leverage of the longs.

    `range_hours`: the past of that length was a calm range around the starting price.
    """

    name: str
    title: str
    phases: tuple[Phase, ...] = ()
    vol: float = 1.0
    rate: float = 1.0
    crowded: float = 1.0
    range_hours: float = 0.0
    start: str = "2026-01-14T13:00:00+00:00"
    switches: Switches = Switches()


def _minutes(start: float, end: float, **what: object) -> Phase:
    return Phase(start=start * MINUTE, end=end * MINUTE, **what)  # type: ignore[arg-type]


_BTC = "BTCUSDT"
_QUIET = Switches(episodes=0.0, regime_drift=False)

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("default", "the market of every day, regimes and all"),
        Scenario(
            "breakout",
            "BTC leaves a range: the flow turns before the price does",
            phases=(
                _minutes(0, 5, vol=0.45, symbol=_BTC),
                _minutes(5, 10, drift=2, tilt=(0.4, 2.0), vol=0.5, symbol=_BTC),
                _minutes(10, 15, drift=18, tilt=(2.0, 2.5), vol=0.6, symbol=_BTC),
                _minutes(15, 25, drift=140, tilt=(2.5, 2.2), vol=0.7, symbol=_BTC),
                _minutes(25, 30, drift=42, tilt=(1.6, 0.3), vol=0.6, symbol=_BTC),
                _minutes(30, 36, drift=-18, tilt=(-0.2, -0.5), vol=0.6, symbol=_BTC),
            ),
            range_hours=6.0,
            switches=_QUIET,
        ),
        Scenario(
            "trap",
            "BTC's flow turns and the price does not follow",
            phases=(
                _minutes(0, 6, vol=0.45, symbol=_BTC),
                _minutes(6, 14, drift=14, tilt=(0.2, 1.6), vol=0.5, symbol=_BTC),
                _minutes(14, 16, drift=-6, tilt=(1.6, -0.8), vol=0.6, symbol=_BTC),
                _minutes(16, 24, drift=-80, tilt=(-1.0, -1.4), vol=0.8, symbol=_BTC),
                _minutes(24, 32, drift=-8, tilt=(-0.5, 0.0), vol=0.6, symbol=_BTC),
            ),
            range_hours=6.0,
            switches=_QUIET,
        ),
        Scenario(
            "cascade",
            "crowded longs are liquidated one below the other",
            phases=(
                _minutes(0, 6, drift=6, tilt=(0.3, 0.5), vol=0.6),
                _minutes(6, 10, drift=-90, tilt=(-0.6, -1.2), vol=1.3),
                _minutes(10, 14, drift=-80, tilt=(-1.4, -1.0), vol=2.2),
                _minutes(14, 22, drift=45, tilt=(0.4, 0.8), vol=1.5),
            ),
            crowded=2.5,
            range_hours=3.0,
            switches=_QUIET,
        ),
        Scenario(
            "sunday",
            "a quiet Sunday: thin flow, small moves",
            vol=0.4,
            rate=0.35,
            start="2026-01-11T09:00:00+00:00",
            switches=Switches(episodes=0.3, regime_drift=False),
        ),
    )
}


class Schedule:
    """A scenario's phases by time, spread over the symbols."""

    def __init__(self, scenario: Scenario, listings: Sequence[Listing]) -> None:
        self.scenario = scenario
        self._share = {phase: _share(phase, listings) for phase in scenario.phases}
        self._zero: Array = np.zeros(len(listings))

    def at(self, seconds: float, dt: float) -> tuple[Array, Array, float]:
        """Drift of one tick as a fraction, tilt of the takers, and the volatility multiplier."""
        drift, tilt, vol = self._zero, self._zero, self.scenario.vol
        for phase in self.scenario.phases:
            if phase.start <= seconds < phase.end:
                done = (seconds - phase.start) / (phase.end - phase.start)
                share = self._share[phase]
                drift = drift + share * (phase.drift * 1e-4 * dt / (phase.end - phase.start))
                tilt = tilt + share * (phase.tilt[0] + done * (phase.tilt[1] - phase.tilt[0]))
                vol *= phase.vol
        return drift, tilt, vol


def _share(phase: Phase, listings: Sequence[Listing]) -> Array:
    if phase.symbol is None:
        return np.array([listing.beta for listing in listings])
    return np.array([1.0 if x.id == phase.symbol else phase.spill * x.beta for x in listings])
