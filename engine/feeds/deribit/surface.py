"""One currency's option surface from a whole chain: skew, term slope, put/call open interest.

Deltas are Black-76 (Black 1976) on each row's own forward, undiscounted as the venue states them.
Per expiry the volatility is interpolated linearly in delta between neighbouring strikes; between
expiries skew linearly in time and volatility in total variance, to fixed tenors, so that neither
jumps when an expiry passes. Nothing is extrapolated. Volatilities are in per cent a year.
"""

import re
from bisect import bisect_left
from calendar import monthrange, timegm
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import erfc, log, sqrt
from typing import Literal

from msgspec import Struct, field

from engine.clock import NS
from engine.feeds.parse import Millis, Size

YEAR_S = 365 * 86400.0
DAY_S = 86400.0
SETTLES_S = 8 * 3600  # expiries are at 08:00 UTC
FRONT_DAYS, SKEW_DAYS, BACK_DAYS = 7.0, 30.0, 90.0
IV_RANGE = (0.1, 1000.0)
LEAST_OI = 1e-6
Kind = Literal["C", "P"]
Points = list[tuple[float, float]]

_NAME = re.compile(r"([A-Z0-9]{2,10})-(\d{1,2})([A-Z]{3})(\d\d)-(\d{1,9}(?:d\d{1,6})?)-([CP])")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class ChainRow(Struct, gc=False):
    """A row of public/get_book_summary_by_currency; open interest in coins, mark_iv in %."""

    name: str = field(name="instrument_name")
    oi: Size = field(name="open_interest")
    time: Millis = field(name="creation_timestamp")
    forward: Size | None = field(name="underlying_price", default=None)
    iv: Size | None = field(name="mark_iv", default=None)


class Option(Struct, frozen=True, gc=False):
    """What an option's name says; `expiry` in s UTC."""

    currency: str
    expiry: int
    strike: float
    kind: Kind


class Surface(Struct, frozen=True, gc=False):
    """None for what the chain does not give; `skew_25d` and `term_slope` in volatility points."""

    skew_25d: float | None
    put_call_oi: float | None
    term_slope: float | None


class Expiry(Struct, gc=False):
    """(delta, volatility) of the calls and the puts of one expiry, `years` from now."""

    years: float
    calls: Points
    puts: Points

    def atm(self) -> float | None:
        """Volatility of the call of delta 0.5."""
        return interpolate(self.calls, 0.5)

    def skew(self) -> float | None:
        """Volatility of the 25-delta call minus that of the 25-delta put."""
        call, put = interpolate(self.calls, 0.25), interpolate(self.puts, -0.25)
        return None if call is None or put is None else call - put


@lru_cache(maxsize=8192)
def parse_option(name: str) -> Option | None:
    """`BTC-27NOV26-100000-C`; None for what is no inverse option's name."""
    found = _NAME.fullmatch(name)
    if found is None or found[3] not in _MONTHS:
        return None
    day, month, year = int(found[2]), _MONTHS.index(found[3]) + 1, 2000 + int(found[4])
    strike = float(found[5].replace("d", "."))
    if not 1 <= day <= monthrange(year, month)[1] or not strike:
        return None
    expiry = timegm((year, month, day, 0, 0, 0)) + SETTLES_S
    kind: Kind = "C" if found[6] == "C" else "P"
    return Option(currency=found[1], expiry=expiry, strike=strike, kind=kind)


def delta(kind: Kind, forward: float, strike: float, years: float, iv: float) -> float:
    """Black-76 delta per unit of the forward; `iv` as a fraction."""
    spread = iv * sqrt(years)
    d1 = log(forward / strike) / spread + spread / 2
    call = 0.5 * erfc(-d1 / sqrt(2))
    return call if kind == "C" else call - 1.0


def interpolate(points: Sequence[tuple[float, float]], at: float) -> float | None:
    """Linear between the neighbours of `at`; `points` rise. None outside of them."""
    place = bisect_left(points, at, key=lambda point: point[0])
    if place == len(points):
        return None
    right, value = points[place]
    if right == at:
        return value
    if place == 0:
        return None
    left, before = points[place - 1]
    return before + (value - before) * (at - left) / (right - left)


def summarise(rows: Iterable[ChainRow], now: int) -> Surface:
    """The surface of one currency's chain as of `now` (ns)."""
    expiries: dict[int, Expiry] = {}
    held: dict[Kind, float] = {"C": 0.0, "P": 0.0}
    low, high = IV_RANGE
    for row in rows:
        option = parse_option(row.name)
        if option is None or option.expiry * NS <= now:
            continue
        held[option.kind] += row.oi
        if not row.forward or row.iv is None or not low <= row.iv <= high:
            continue
        expiry = expiries.get(option.expiry)
        if expiry is None:
            years = (option.expiry * NS - now) / NS / YEAR_S
            expiry = expiries[option.expiry] = Expiry(years, [], [])
        at = delta(option.kind, row.forward, option.strike, expiry.years, row.iv / 100)
        (expiry.calls if option.kind == "C" else expiry.puts).append((at, row.iv))
    in_order = [expiries[key] for key in sorted(expiries)]
    for expiry in in_order:
        expiry.calls.sort()
        expiry.puts.sort()
    return Surface(
        skew_25d=_skew(in_order),
        put_call_oi=held["P"] / held["C"] if held["C"] > LEAST_OI else None,
        term_slope=_slope(in_order),
    )


def _skew(expiries: list[Expiry]) -> float | None:
    points = [(e.years, skew) for e in expiries if (skew := e.skew()) is not None]
    return interpolate(points, SKEW_DAYS * DAY_S / YEAR_S)


def _slope(expiries: list[Expiry]) -> float | None:
    """Back minus front volatility at the money; below 0 the term structure is inverted."""
    atms = [(e.years, e.atm()) for e in expiries]
    variance = [(years, atm * atm * years) for years, atm in atms if atm is not None]
    vols = []
    for days in (FRONT_DAYS, BACK_DAYS):
        years = days * DAY_S / YEAR_S
        total = interpolate(variance, years)
        if total is None:
            return None
        vols.append(sqrt(total / years))
    return vols[1] - vols[0]
