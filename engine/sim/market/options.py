"""An option surface of one currency: a smile by expiry, open interest by strike, an index.

Variance of an expiry is SVI-like (Gatheral 2004) in k, the log of strike over forward in units of
twice its deviation: w(k) = a (1 + r k + sqrt(k^2 + 1)) / 2 around `a` at the money. The index is
the volatility at the money of 30 days. It rises where the price falls and foretells nothing of it.
"""

from calendar import timegm
from datetime import UTC, datetime
from math import erfc, exp, hypot, log, sqrt

import numpy as np
from msgspec import Struct

from engine.sim.market.chance import Array, Wave, stream

DAY_S = 86_400
YEAR_S = 365.0 * DAY_S
SETTLES_S = 8 * 3600  # expiries are at 08:00 UTC
LEVEL = {"BTC": 46.0, "ETH": 66.0}  # % a year at 30 days
STEP = {"BTC": 1000.0, "ETH": 50.0}  # between strikes near the money
HELD = {"BTC": 330_000.0, "ETH": 1_900_000.0}  # coins of open interest in all
LEVEL_S, SKEW_S, SLOPE_S = 2 * 86_400.0, 86_400.0, 3 * 86_400.0
LEVEL_SPREAD, SKEW_SPREAD, SLOPE_SPREAD = 0.12, 0.18, 0.05
MONTH_DAYS = 30.0
LONG_DAYS = 90.0
SMILE = 0.9  # how soon the wings begin
MOVES = 1.5  # of the volatility's log per return of the price, against it
STRIKES = 17  # a side
PUTS = 0.62  # as many open as calls
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
PATH_HOURS = 40 * 24


class Row(Struct, frozen=True):
    """One option: `iv` in % a year, `interest` in coins, `forward` of its expiry in USD."""

    expiry: int
    strike: float
    call: bool
    iv: float
    interest: float
    forward: float


class Surface:
    """The options of one currency; `step` once a second, times in s UTC, prices in USD."""

    def __init__(self, currency: str, seed: int, now: int, price: float) -> None:
        self.currency, self._seed, self.now, self.price = currency, seed, now, price
        self._anchor = price
        name = f"options {currency}"
        self._waves = {
            "level": Wave(stream(seed, f"{name} level"), 1, LEVEL_S, 1.0),
            "skew": Wave(stream(seed, f"{name} skew"), 1, SKEW_S, 1.0),
            "slope": Wave(stream(seed, f"{name} slope"), 1, SLOPE_S, 1.0),
        }
        self._start, self._past = now, self._make_past()
        self._kept: dict[int, float] = {}
        self.index = self.atm(MONTH_DAYS * DAY_S / YEAR_S)

    def _make_past(self) -> Array:
        """The index at each whole hour before the start, backwards from it."""
        rng = stream(self._seed, f"options {self.currency} past")
        rho = exp(-3600 / LEVEL_S)
        wave = float(self._waves["level"].value[0])
        out = np.empty(PATH_HOURS)
        for at in range(PATH_HOURS):
            wave = rho * wave + sqrt(1 - rho**2) * float(rng.standard_normal())
            out[at] = LEVEL[self.currency] * exp(LEVEL_SPREAD * wave)
        return out

    def step(self, now: int, price: float) -> None:
        """The surface as of `now` with the coin at `price`."""
        self.now, self.price = now, price
        self._anchor += (price - self._anchor) / LEVEL_S
        for wave in self._waves.values():
            wave.step()
        self.index = self.atm(MONTH_DAYS * DAY_S / YEAR_S)
        if now % 3600 == 0:
            self._kept[now] = self.index

    # -- volatility ------------------------------------------------------------------------

    def atm(self, years: float) -> float:
        """Volatility at the money of a tenor, % a year; higher after the price has fallen."""
        wave = float(self._waves["level"].value[0])
        month = MONTH_DAYS * DAY_S / YEAR_S
        slope = 0.04 + SLOPE_SPREAD * float(self._waves["slope"].value[0])
        # One unit of it from 30 to 90 days, fading where tenors are short or long.
        tenor = min(max(log(years / month) / log(LONG_DAYS / MONTH_DAYS), -2.0), 1.5)
        fallen = MOVES * log(self.price / self._anchor)
        return LEVEL[self.currency] * exp(LEVEL_SPREAD * wave + slope * tenor - fallen)

    def iv(self, years: float, strike: float, forward: float) -> float:
        """Volatility of a strike, % a year."""
        atm = self.atm(years) / 100
        scaled = log(strike / forward) / (SMILE * 2 * atm * sqrt(years))
        tilt = -0.12 + SKEW_SPREAD * min(max(float(self._waves["skew"].value[0]), -2.5), 2.5)
        shape = 1 + 0.5 * (tilt * scaled + hypot(scaled, 1) - 1)
        return 100 * atm * sqrt(max(shape, 0.2))

    def forward(self, expiry: int) -> float:
        """Price for delivery at an expiry: 6 % a year over spot."""
        return self.price * exp(0.06 * (expiry - self.now) / YEAR_S)

    # -- the chain -------------------------------------------------------------------------

    def expiries(self) -> list[int]:
        """Three days, four Fridays, the ends of the next months and quarters, nearest first."""
        today = (self.now - SETTLES_S) // DAY_S + 1
        days = {today + n for n in range(3)}
        friday = today + (1 - today) % 7
        days |= {friday + 7 * n for n in range(4)}
        month = datetime.fromtimestamp(today * DAY_S, UTC)
        ends = [_last_friday(month.year, month.month + n) for n in range(13)]
        days |= {day for n, day in enumerate(ends) if n < 3 or (month.month + n) % 3 == 0}
        return [day * DAY_S + SETTLES_S for day in sorted(days) if day >= today]

    def chain(self) -> list[Row]:
        """Every listed option."""
        expiries = self.expiries()
        weights = [1 / sqrt(1 + 0.1 * n) for n in range(len(expiries))]
        out: list[Row] = []
        for expiry, weight in zip(expiries, weights, strict=True):
            held = HELD[self.currency] * weight / sum(weights)
            out += self._expiry(expiry, held)
        return out

    def strikes(self, expiry: int) -> list[float]:
        """Around where the price was at the start, wider apart the longer the expiry."""
        years = max(expiry - self.now, 3600) / YEAR_S
        wide = 2.4 * LEVEL[self.currency] / 100 * sqrt(years) * self._anchor / STRIKES
        step = STEP[self.currency] / 2 * max(1, round(2 * wide / STEP[self.currency]))
        middle = round(self._anchor / step)
        return [step * n for n in range(middle - STRIKES, middle + STRIKES + 1) if n > 0]

    def _expiry(self, expiry: int, held: float) -> list[Row]:
        years = max(expiry - self.now, 60) / YEAR_S
        forward, strikes = self.forward(expiry), self.strikes(expiry)
        rng = stream(self._seed, f"options {self.currency} {expiry}")
        luck = iter(np.exp(0.5 * rng.standard_normal(2 * len(strikes))).tolist())
        width = LEVEL[self.currency] / 100 * sqrt(max(years, 2 / 365))
        out: list[tuple[float, bool, float]] = []
        for strike in strikes:
            moved = log(strike / forward) / width
            for call in (True, False):
                # Calls are held above the money, puts below it.
                off = moved - 0.8 if call else moved + 0.8
                size = (1.0 if call else PUTS) * next(luck) * exp(-(off**2) / 2)
                out.append((strike, call, size))
        total = sum(size for _, _, size in out)
        ivs = {strike: self.iv(years, strike, forward) for strike in strikes}
        return [
            Row(expiry, strike, call, ivs[strike],
                round(held * size / total, 1), forward)
            for strike, call, size in out
        ]  # fmt: skip

    # -- history ---------------------------------------------------------------------------

    def candles(self, first: int, last: int) -> list[tuple[int, float, float, float, float]]:
        """Whole hours of the index that open in [first, last]: opening, o, h, l, c."""
        begin, end = -(-first // 3600) * 3600, min(last, self.now) // 3600 * 3600
        out = []
        for at in range(begin, end + 1, 3600):
            opened, closed = self._at(at), self._at(min(at + 3600, self.now))
            wick = 0.002 * (1 + (at // 3600) % 5)
            high, low = max(opened, closed) * (1 + wick), min(opened, closed) * (1 - wick)
            out.append((at, opened, high, low, closed))
        return out

    def _at(self, second: int) -> float:
        """The index at an instant; of the live part at whole hours, and now."""
        if second >= self.now:
            return self.index
        if second > self._start:
            return self._kept.get(second, self.index)
        back = (self._start - second) // 3600
        return float(self._past[min(back, PATH_HOURS - 1)])


def option_name(currency: str, row: Row) -> str:
    """As the venue writes it: `BTC-30JAN26-100000-C`."""
    day = datetime.fromtimestamp(row.expiry, UTC)
    strike = f"{row.strike:.4f}".rstrip("0").rstrip(".").replace(".", "d")
    date = f"{day.day}{MONTHS[day.month - 1]}{day.year % 100:02d}"
    return f"{currency}-{date}-{strike}-{'C' if row.call else 'P'}"


def option_price(row: Row, years: float) -> float:
    """Black-76 price in coins, as the venue quotes inverse options."""
    spread = row.iv / 100 * sqrt(years)
    d1 = log(row.forward / row.strike) / spread + spread / 2
    sign = 1 if row.call else -1
    inside, outside = (0.5 * erfc(-sign * d / sqrt(2)) for d in (d1, d1 - spread))
    return max(sign * (inside - row.strike / row.forward * outside), 0.0)


def _last_friday(year: int, month: int) -> int:
    """Day since 1970 of a month's last Friday; months count on beyond the year's end."""
    following = timegm((year + month // 12, month % 12 + 1, 1, 0, 0, 0)) // DAY_S
    return following - 1 - (following - 2) % 7
