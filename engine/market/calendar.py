"""What the clock says: sessions, hours of the week, the day before, funding and releases.

Everything statistical comes from the ring of hours (180 days) and from hours that were over by
the instant asked for, so it is right for the past as well; it is made once an hour.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.events import Funding
from engine.market.fields import FLOW_AT
from engine.market.history import History
from engine.market.listed import Listed
from engine.market.view import Array, Calendar

Index = NDArray[np.int64]

HOUR_NS = 3600 * NS
DAY, WEEK = 24, 168
# The Unix epoch fell on a Thursday; weeks begin on Monday.
MONDAY = 4 * DAY
# Hours UTC at which sessions open: Tokyo's day (9:00 JST), London's, New York's with its data
# releases (8:30 to 9:30 EST are 13:30 to 14:30 UTC), and the gap between New York and Tokyo.
OPENS = (0, 8, 14, 22, 24)
DAYS = 180
WEEKS = DAYS // 7
# Volume has no level for half a year: its usual is the median of a month.
VOLUME_DAYS = 30
FEW = 4
KNOWN = 0.5
WHOLE = 0.95
HIGH, LOW = 1, 2
RATIOS = ("top_accounts", "top_positions")


class Almanac:
    """Makes the calendar of an instant; `releases`: known macro releases, ns, rising."""

    def __init__(self, history: History, releases: Sequence[int] = ()) -> None:
        self.releases = tuple(sorted(releases))
        self._history = history
        self._hour = -1
        self._told: Array = np.empty(0)
        self._kept: dict[str, Array] = {}

    def view(self, now: int, listings: Iterable[Listed]) -> Calendar:
        """The calendar at `now` (ns); `listings`: the symbols at the reference venue."""
        funding = np.full((2, self._history.symbols), np.nan)
        for listed in listings:
            funding[:, listed.index] = to_funding(listed.funding, now)
        to_release, since_release = self._release(now)
        opened = _opening(now // HOUR_NS)[0] * HOUR_NS
        series = self._history.series
        ratios = series.at([opened])[:, 0]
        accounts, positions = (ratios[series.names.index(name)] for name in RATIOS)
        return Calendar(
            **self._hourly(now // HOUR_NS),
            top_accounts_open=accounts,
            top_positions_open=positions,
            to_funding=funding[0],
            funding_interval=funding[1],
            to_release=to_release,
            since_release=since_release,
        )

    def _release(self, now: int) -> tuple[float, float]:
        """Seconds to the next release and from the last, inf where none is known."""
        place = bisect_right(self.releases, now)
        after, before = self.releases[place : place + 1], self.releases[:place][-1:]
        return ((after[0] - now) / NS if after else np.inf,
                (now - before[0]) / NS if before else np.inf)  # fmt: skip

    def _hourly(self, hour: int) -> dict[str, Array]:
        """What stays for the hour, made anew when candles changed what is behind it."""
        ring = self._history.flow[3600]
        # The sum of all that is held changes with whatever candle comes.
        reach = min(DAYS * DAY, hour - ring.head + ring.size - 2)
        told = ring.sums(np.array([hour]), max(reach, 1))
        if hour != self._hour or not np.array_equal(told, self._told, equal_nan=True):
            self._hour, self._told = hour, told
            self._kept = self._measure(hour)
        return self._kept

    def _measure(self, hour: int) -> dict[str, Array]:
        opened, length, sessions = _opening(hour)
        mean, error = _mean(self._returns(hour - WEEK * np.arange(WEEKS, 0, -1), 1))
        session = _mean(self._returns(opened - DAY * np.arange(sessions, 0, -1), length))
        day = hour // DAY * DAY
        week = (hour - MONDAY) // WEEK * WEEK + MONDAY
        day_high, day_low = self._extremes(day, DAY)
        week_high, week_low = self._extremes(week, WEEK)
        return {
            "hour_mean": mean,
            "hour_error": error,
            "session_mean": session[0],
            "session_error": session[1],
            "hour_volume": self._volume(hour),
            "day_high": day_high,
            "day_low": day_low,
            "week_high": week_high,
            "week_low": week_low,
        }

    def _covered(self, ends: Index, length: int) -> Array:
        """Share of the `length` hours before each end that is known, (ends, symbols)."""
        flow = self._history.flow[3600].sums(ends, length)
        return np.nan_to_num(flow[:, FLOW_AT["covered"]]) / (3600.0 * length)

    def _returns(self, first: Index, length: int) -> Array:
        """Log returns over the `length` hours from each first one, NaN where not known."""
        prices = self._history.prices[3600]
        opened = prices.stretches(first + 1, 1)[:, 0]
        closed = prices.stretches(first + length, 1)[:, 3]
        known = self._covered(first + length, length) >= KNOWN
        out: Array = np.where(known, np.log(closed / opened), np.nan)
        return out

    def _volume(self, hour: int) -> Array:
        """Median notional a second of this hour on the days before."""
        ends = hour + 1 - DAY * np.arange(VOLUME_DAYS, 0, -1)
        flow = self._history.flow[3600].sums(ends, 1)
        seconds = flow[:, FLOW_AT["covered"]]
        known = seconds >= KNOWN * 3600
        volume = flow[:, FLOW_AT["buy"]] + flow[:, FLOW_AT["sell"]]
        return _median(np.where(known, volume / np.where(known, seconds, 1.0), np.nan))

    def _extremes(self, end: int, hours: int) -> tuple[Array, Array]:
        """Log high and low of the hours before one, NaN unless nearly all of them are known."""
        cells = self._history.prices[3600].stretches(np.arange(end - hours, end) + 1, 1)
        known = self._covered(np.array([end]), hours)[0] >= WHOLE
        high = np.log(np.fmax.reduce(cells[:, HIGH], axis=0))
        low = np.log(np.fmin.reduce(cells[:, LOW], axis=0))
        return np.where(known, high, np.nan), np.where(known, low, np.nan)


def to_funding(funding: Funding | None, now: int) -> tuple[float, float]:
    """Seconds to the next funding and between two; NaN where the venue has not told.

    The schedule last told is carried on, and back, by its interval.
    """
    if funding is None:
        return np.nan, np.nan
    interval = funding.interval_h * 3600.0 if funding.interval_h else np.nan
    if funding.next_ts is None:
        return np.nan, interval
    left = funding.next_ts - now
    if interval > 0:
        every = round(interval * NS)
        left = left % every or every
    return (left / NS if left > 0 else np.nan), interval


def _opening(hour: int) -> tuple[int, int, int]:
    """The hour at which an hour's session opened, its length, and such sessions in the ring."""
    of_day = hour % DAY
    place = bisect_right(OPENS, of_day) - 1
    return hour - of_day + OPENS[place], OPENS[place + 1] - OPENS[place], DAYS - 1


def _mean(returns: Array) -> tuple[Array, Array]:
    """Mean and its standard error, NaN for fewer than four."""
    known = ~np.isnan(returns)
    count = known.sum(axis=0).astype(float)
    count[count < FEW] = np.nan
    mean = np.where(known, returns, 0.0).sum(axis=0) / count
    spread = np.where(known, returns - mean, 0.0)
    return mean, np.sqrt((spread**2).sum(axis=0) / (count - 1) / count)


def _median(values: Array) -> Array:
    """Median of the known values of each column, NaN for fewer than four."""
    known = (~np.isnan(values)).sum(axis=0)
    rising = np.sort(values, axis=0)
    columns = np.arange(values.shape[1])
    top = np.maximum(known, 1)
    middle = (rising[(top - 1) // 2, columns] + rising[top // 2, columns]) / 2
    out: Array = np.where(known >= FEW, middle, np.nan)
    return out
