"""The calendar against plain loops over the hours, at instants of now and of the past."""

from datetime import UTC, datetime, timedelta
from statistics import mean, median, stdev

import numpy as np
import pytest

from engine.events import Funding, Kline, Ratio
from engine.market.calendar import OPENS, Almanac, to_funding
from engine.market.fields import TRADED
from engine.market.history import History
from engine.market.market import Market
from engine.market.view import Calendar

NS = 1_000_000_000
HOUR = 3600 * NS
NOW = int(datetime(2026, 3, 18, 15, 20, tzinfo=UTC).timestamp()) * NS  # a Wednesday
SYMBOLS = ("BTCUSDT", "ETHUSDT")
STATISTICS = ("hour_mean", "hour_error", "session_mean", "session_error", "hour_volume",
              "day_high", "day_low", "week_high", "week_low")  # fmt: skip
Bars = dict[int, tuple[float, float, float, float, float]]


def bars(seed: int = 0, hours: int = 4200, end: int = NOW) -> Bars:
    """Hour -> open, high, low, close, base volume; the last one is that before `end`."""
    rng = np.random.default_rng(seed)
    last = end // HOUR - 1
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, hours)))
    opened = np.append(100.0, close[:-1])
    high = np.maximum(opened, close) * (1 + rng.uniform(0, 0.01, hours))
    low = np.minimum(opened, close) * (1 - rng.uniform(0, 0.01, hours))
    volume = rng.lognormal(5, 1, hours)
    rows = zip(opened, high, low, close, volume, strict=True)
    first = last - hours + 1
    return {first + n: tuple(float(x) for x in row) for n, row in enumerate(rows)}


def filled(hours: Bars, now: int = NOW) -> Market:
    """A market that knows the hours of its first symbol."""
    market = Market(SYMBOLS)
    market.roll(now)
    tell(market, hours, now)
    market.roll(now + NS)
    return market


def tell(market: Market, hours: Bars, now: int) -> None:
    for hour, (o, h, low, c, volume) in hours.items():
        market.apply(Kline(venue="binance", market="perp", symbol="BTCUSDT", ts=hour * HOUR,
                           recv=now, history=True, interval_s=3600, open=o, high=h, low=low,
                           close=c, volume=volume, taker_buy_volume=volume / 2))  # fmt: skip


def at(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, UTC)


def session(hour: int) -> tuple[int, int]:
    """(first hour, hours) of the session an hour belongs to."""
    day = hour - at(hour).hour
    opens = [day + h for h in OPENS]
    first = max(h for h in opens if h <= hour)
    return first, opens[opens.index(first) + 1] - first


def plain(known: Bars, now: int) -> dict[str, float]:
    """The definitions, hour by hour."""
    here = now // HOUR
    past = {h: bar for h, bar in known.items() if here - 4320 <= h < here}
    same = [h for h in past if (at(h).weekday(), at(h).hour) == (at(here).weekday(), at(here).hour)]
    hourly = [np.log(past[h][3] / past[h][0]) for h in same]
    first, length = session(here)
    starts = [first - 24 * k for k in range(1, 180)]
    starts = [h for h in starts if all(h + n in past for n in range(length))]
    sessions = [np.log(past[h + length - 1][3] / past[h][0]) for h in starts]
    month = [h for h in (here - 24 * k for k in range(1, 31)) if h in past]
    typical = [(past[h][1] + past[h][2] + past[h][3]) / 3 * past[h][4] / 3600 for h in month]
    midnight = at(here).replace(hour=0)
    monday = midnight - timedelta(days=midnight.weekday())
    day = [past[h] for h in past if midnight - timedelta(days=1) <= at(h) < midnight]
    week = [past[h] for h in past if monday - timedelta(days=7) <= at(h) < monday]
    return {
        "hour_mean": mean(hourly), "hour_error": stdev(hourly) / len(hourly) ** 0.5,
        "session_mean": mean(sessions), "session_error": stdev(sessions) / len(sessions) ** 0.5,
        "hour_volume": median(typical),
        "day_high": np.log(max(b[1] for b in day)), "day_low": np.log(min(b[2] for b in day)),
        "week_high": np.log(max(b[1] for b in week)), "week_low": np.log(min(b[2] for b in week)),
    }  # fmt: skip


def assert_same(got: dict[str, float], want: dict[str, float]) -> None:
    """Equal to the last digits, volume to the quantum in which each side of it is kept."""
    quantum = TRADED / 3600
    assert got.pop("hour_volume") == pytest.approx(want.pop("hour_volume"), abs=quantum)
    assert got == pytest.approx(want, rel=1e-9)


def told(calendar: Calendar, place: int = 0) -> dict[str, float]:
    return {name: float(getattr(calendar, name)[place]) for name in STATISTICS}


@pytest.mark.parametrize("back", [0, 1, 7, 16, 24, 100, 24 * 30])
def test_statistics_are_those_of_a_plain_loop(back: int) -> None:
    """At now, and at instants that are past by some hours."""
    known = bars()
    market = filled(known)
    now = NOW - back * HOUR
    assert_same(told(market.view(now).calendar), plain(known, now))
    assert all(np.isnan(x) for x in told(market.view(now).calendar, 1).values())


def test_the_future_of_an_instant_changes_nothing() -> None:
    known = bars()
    then = NOW - 30 * HOUR
    later = {h: bar for h, bar in bars(seed=9).items() if h >= then // HOUR}
    one, two = filled(known), filled(known | later)
    assert told(one.view(then).calendar) == told(two.view(then).calendar)
    assert told(one.view(NOW).calendar) != told(two.view(NOW).calendar)


def test_what_is_kept_for_the_hour_gives_way_to_new_candles() -> None:
    known = bars()
    late = {h: bar for h, bar in known.items() if h < NOW // HOUR - 2000}
    market = filled({h: bar for h, bar in known.items() if h not in late})
    before = told(market.view(NOW + NS).calendar)
    tell(market, late, NOW + NS)
    after = told(market.view(NOW + 2 * NS).calendar)
    assert before["hour_mean"] != after["hour_mean"]
    assert_same(after, plain(known, NOW))


def test_holes_are_left_out_or_make_the_whole_unknown() -> None:
    known = bars()
    here = NOW // HOUR
    midnight = here - at(here).hour
    holes = {here - 168, here - 24, midnight - 5, midnight - 6}
    known = {h: bar for h, bar in known.items() if h not in holes}
    market = filled(known)
    got = told(market.view(NOW).calendar)
    want = plain(known, NOW)
    assert got["hour_mean"] == pytest.approx(want["hour_mean"])
    assert got["hour_volume"] == pytest.approx(want["hour_volume"])
    # Two of the day's 24 hours are missing: who knows what they were like.
    assert np.isnan(got["day_high"])
    assert np.isnan(got["day_low"])


def test_a_short_past_is_not_a_statistic() -> None:
    calendar = filled(bars(hours=24 * 16)).view(NOW).calendar
    got = told(calendar)
    assert np.isnan(got["hour_mean"])
    assert np.isnan(got["hour_error"])
    assert np.isfinite(got["session_mean"])
    assert np.isfinite(got["week_high"])


def test_ratios_as_the_session_opened() -> None:
    market = filled(bars(hours=48))
    opened = session(NOW // HOUR)[0] * HOUR
    for minutes, value in ((-30, 1.5), (-5, 2.0), (5, 3.0)):
        for measure in ("top_accounts", "top_positions"):
            scaled = value if measure == "top_accounts" else 2 * value
            market.apply(Ratio(venue="binance", market="perp", symbol="BTCUSDT",
                               ts=opened + minutes * 60 * NS, recv=NOW, history=True,
                               measure=measure, value=scaled))  # fmt: skip
    calendar = market.view(NOW + 2 * NS).calendar
    assert calendar.top_accounts_open[0] == pytest.approx(np.log(2.0))
    assert calendar.top_positions_open[0] == pytest.approx(np.log(4.0))
    assert np.isnan(calendar.top_accounts_open[1])


def funding(next_ts: int | None, interval: float | None) -> Funding:
    return Funding(venue="binance", market="perp", symbol="BTCUSDT", ts=NOW, recv=NOW,
                   rate_8h=1e-4, rate=1e-4, interval_h=interval, next_ts=next_ts)  # fmt: skip


@pytest.mark.parametrize(
    ("next_in", "interval", "left"),
    [(2.0, 8.0, 2.0), (-1.0, 8.0, 7.0), (0.0, 4.0, 4.0), (9.0, 8.0, 1.0),
     (2.0, None, 2.0), (-1.0, None, np.nan), (None, 8.0, np.nan)],
)  # fmt: skip
def test_funding_is_carried_on_by_its_interval(next_in, interval, left) -> None:
    next_ts = None if next_in is None else NOW + round(next_in * HOUR)
    got = to_funding(funding(next_ts, interval), NOW)
    whole = np.nan if interval is None else interval * 3600
    assert got == pytest.approx((left * 3600, whole), nan_ok=True)


def test_the_view_tells_funding_and_releases() -> None:
    market = Market(SYMBOLS, releases=(NOW + 600 * NS, NOW - 120 * NS))
    market.apply(funding(NOW + HOUR, 8.0))
    calendar = market.view(NOW + NS).calendar
    assert calendar.to_funding[0] == 3599
    assert calendar.funding_interval[0] == 28_800
    assert np.isnan(calendar.to_funding[1])
    assert (calendar.to_release, calendar.since_release) == (599, 121)
    # At an instant before, the second had not been.
    assert Almanac(History(1), (NOW,)).view(NOW - NS, ()).since_release == np.inf
    assert Almanac(History(1), (NOW,)).view(NOW, ()).to_release == np.inf
    assert Almanac(History(1)).view(NOW, ()).to_release == np.inf
