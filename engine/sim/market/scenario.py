"""Scenarios: schedules of drift, flow, premium, spoofing laid over one and the same process."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from engine.sim.market.chance import Array, stream
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


class Wall(Struct, frozen=True):
    """A large order that is shown and not meant, `away` ticks behind the touch, of so many `usd`.

    It is taken away before the touch is within `near` ticks of it, at the latest after about
    `life` s; about `rest` s later the next one stands `away` ticks behind the touch of then.
    """

    buy: bool
    usd: float
    away: int
    near: int
    life: float = 40.0
    rest: float = 4.0


class Phase(Struct, frozen=True):
    """A stretch of the schedule in seconds from the start.

    `drift` bps over the whole stretch for `symbol`, beta-scaled by `spill` for the others (None:
    the common factor), of whom about half come up to `lag` s later; `tilt` of the takers, from
    its value at the start to that at the end; `vol` multiplies volatility. `premium` bps of the
    perpetual over its index, of `symbol` or all alike, likewise from start to end; `building` per
    cent of the open interest come on top in an hour, leveraged longs, below 0 shorts. `wall`:
    spoofing in `symbol`'s book at the reference. `stalled`: a feed whose sockets stay open and
    carry nothing.
    """

    start: float
    end: float
    drift: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    vol: float = 1.0
    symbol: str | None = None
    spill: float = 0.6
    lag: float = 0.0
    premium: tuple[float, float] = (0.0, 0.0)
    building: float = 0.0
    wall: Wall | None = None
    stalled: str | None = None


class Scenario(Struct, frozen=True):
    """A named schedule; `rate` scales activity, `crowded` the leverage of the longs.

    `crowded_shorts`: the same of the shorts, 0 for no more than goes with the longs'.
    `range_hours`: the past of that length was a calm range around the starting price.
    """

    name: str
    title: str
    phases: tuple[Phase, ...] = ()
    vol: float = 1.0
    rate: float = 1.0
    crowded: float = 1.0
    crowded_shorts: float = 0.0
    range_hours: float = 0.0
    start: str = "2026-01-14T13:00:00+00:00"
    switches: Switches = Switches()

    @property
    def sets_premium(self) -> bool:
        """Whether its phases say what premium is paid, so that no other is."""
        return any(any(phase.premium) for phase in self.phases)


def _minutes(start: float, end: float, **what: object) -> Phase:
    return Phase(start=start * MINUTE, end=end * MINUTE, **what)  # type: ignore[arg-type]


_BTC = "BTCUSDT"
_QUIET = Switches(episodes=0.0, regime_drift=False)
_WALL = Wall(buy=True, usd=9e6, away=500, near=160)
_LED: dict[str, object] = {"symbol": _BTC, "spill": 1.0, "lag": 25.0}

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
                _minutes(10, 15, drift=8, tilt=(2.0, 2.5), vol=0.5, symbol=_BTC),
                _minutes(15, 17, drift=40, tilt=(2.5, 2.5), vol=0.7, symbol=_BTC),
                _minutes(17, 25, drift=100, tilt=(2.5, 2.2), vol=0.7, symbol=_BTC),
                _minutes(25, 32, drift=50, tilt=(1.6, 0.0), vol=0.6, symbol=_BTC),
                _minutes(32, 38, drift=-18, tilt=(-0.2, -0.5), vol=0.6, symbol=_BTC),
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
        Scenario(
            "squeeze",
            "crowded shorts are liquidated one above the other",
            phases=(
                _minutes(
                    0, 6, drift=-14, tilt=(-0.4, -0.6), vol=0.6, premium=(0, -5), building=-12
                ),
                _minutes(6, 10, drift=90, tilt=(0.6, 1.2), vol=1.3, premium=(-5, -8)),
                _minutes(10, 14, drift=85, tilt=(1.4, 1.0), vol=2.0, premium=(-8, 2)),
                _minutes(14, 22, drift=-40, tilt=(-0.4, -0.8), vol=1.4, premium=(2, 0)),
            ),
            crowded_shorts=2.5,
            range_hours=3.0,
            switches=_QUIET,
        ),
        Scenario(
            "spoof",
            "a wall under BTC is taken away whenever price comes near, until price falls through",
            phases=(
                _minutes(0, 3, vol=0.5, symbol=_BTC),
                _minutes(3, 12, drift=6, tilt=(0.3, 0.8), vol=0.5, symbol=_BTC, wall=_WALL),
                _minutes(12, 18, drift=-45, tilt=(-0.6, -1.4), vol=0.7, symbol=_BTC, wall=_WALL),
                _minutes(18, 24, drift=-12, tilt=(-1.0, -0.2), vol=0.7, symbol=_BTC),
            ),
            range_hours=3.0,
            switches=_QUIET,
        ),
        Scenario(
            "stale",
            "Bybit goes stale: its sockets stay open and bring nothing for four minutes",
            phases=(_minutes(3, 7, stalled="bybit"),),
        ),
        Scenario(
            "funding",
            "crowded longs pay: premium and funding at the caps, open interest up, then relief",
            phases=(
                _minutes(0, 8, drift=25, tilt=(0.4, 1.0), vol=0.8, premium=(0, 25), building=15),
                _minutes(8, 18, drift=55, tilt=(1.0, 1.4), premium=(25, 80), building=20),
                _minutes(18, 24, drift=5, tilt=(1.0, 0.4), premium=(80, 80), building=8),
                _minutes(24, 34, drift=-95, tilt=(-0.8, -1.2), vol=1.4, premium=(80, -15)),
                _minutes(34, 44, drift=-10, tilt=(-0.4, 0.0), vol=0.8, premium=(-15, -10)),
                _minutes(44, 50, vol=0.8, premium=(-10, 0)),
            ),
            crowded=2.0,
            crowded_shorts=1.0,
            range_hours=3.0,
            start="2026-01-14T15:52:00+00:00",
            switches=_QUIET,
        ),
        Scenario(
            "stress",
            "BTC drops within minutes, the others follow by their beta, some of them later",
            phases=(
                _minutes(0, 5, vol=0.6),
                _minutes(5, 9, drift=-170, tilt=(-1.0, -1.8), vol=2.0, **_LED),
                _minutes(9, 12, drift=-60, tilt=(-1.6, -0.8), vol=1.8, **_LED),
                _minutes(12, 22, drift=50, tilt=(0.3, 0.6), vol=1.3, **_LED),
            ),
            range_hours=3.0,
            switches=_QUIET,
        ),
    )
}


class Schedule:
    """A scenario's phases by time, spread over the symbols."""

    def __init__(self, scenario: Scenario, listings: Sequence[Listing], seed: int = 0) -> None:
        self.scenario = scenario
        self._share = {phase: _share(phase, listings) for phase in scenario.phases}
        self._even = {phase: _even(phase, listings) for phase in scenario.phases}
        late = np.clip(2 * stream(seed, "late").random(len(listings)) - 1, 0, 1)
        led = {phase: [x.id != phase.symbol for x in listings] for phase in scenario.phases}
        self._late: dict[Phase, Array] = {phase: late * led[phase] for phase in led}
        self._place = {listing.id: place for place, listing in enumerate(listings)}
        self._zero: Array = np.zeros(len(listings))

    def at(self, seconds: float, dt: float) -> tuple[Array, Array, float]:
        """Drift of one tick as a fraction, tilt of the takers, and the volatility multiplier."""
        drift, tilt, vol = self._zero, self._zero, self.scenario.vol
        for phase in self.scenario.phases:
            if phase.start <= seconds < phase.end + phase.lag:
                share, done = self._running(phase, seconds)
                drift = drift + share * (phase.drift * 1e-4 * dt / (phase.end - phase.start))
                tilt = tilt + share * (phase.tilt[0] + done * (phase.tilt[1] - phase.tilt[0]))
            if phase.start <= seconds < phase.end:
                vol *= phase.vol
        return drift, tilt, vol

    def _running(self, phase: Phase, seconds: float) -> tuple[Array, Array | float]:
        """Each symbol's share in a phase and how far the phase has come for it, 0..1."""
        share, length = self._share[phase], phase.end - phase.start
        if not phase.lag:
            return share, (seconds - phase.start) / length
        done = (seconds - phase.lag * self._late[phase] - phase.start) / length
        return share * ((done >= 0) & (done < 1)), done

    def premium(self, seconds: float) -> Array:
        """(symbols,) premium of the perpetuals over their index beyond the usual, a fraction."""
        out = self._zero
        for phase in self.now(seconds):
            done = (seconds - phase.start) / (phase.end - phase.start)
            begun, ends = phase.premium
            out = out + self._even[phase] * (1e-4 * (begun + done * (ends - begun)))
        return out

    def building(self, seconds: float) -> float:
        """What a second adds to the open interest, a fraction of it; below 0 by shorts."""
        return sum(phase.building for phase in self.now(seconds)) / 100 / 3600

    def walls(self, seconds: float) -> list[tuple[int, Wall]]:
        """Walls to be shown, each with the place of its symbol."""
        wanted = [(self._place.get(str(p.symbol)), p.wall) for p in self.now(seconds)]
        return [(place, wall) for place, wall in wanted if place is not None and wall is not None]

    def stalled(self, seconds: float) -> frozenset[str]:
        """The feeds whose venues send nothing."""
        return frozenset(p.stalled for p in self.now(seconds) if p.stalled is not None)

    def now(self, seconds: float) -> list[Phase]:
        """The phases of an instant."""
        return [p for p in self.scenario.phases if p.start <= seconds < p.end]


def _share(phase: Phase, listings: Sequence[Listing]) -> Array:
    if phase.symbol is None:
        return np.array([listing.beta for listing in listings])
    return np.array([1.0 if x.id == phase.symbol else phase.spill * x.beta for x in listings])


def _even(phase: Phase, listings: Sequence[Listing]) -> Array:
    """What is a phase's of each symbol whatever its beta."""
    return np.array([1.0 if phase.symbol in (None, x.id) else 0.0 for x in listings])
