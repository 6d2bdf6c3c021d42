"""The option surface against brute force: smiles known in closed form, scipy's normal law."""

from calendar import timegm

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import norm

from engine.clock import NS
from engine.feeds.deribit.surface import (
    YEAR_S,
    ChainRow,
    Option,
    Surface,
    delta,
    interpolate,
    parse_option,
    summarise,
)

NOW = timegm((2026, 11, 1, 12, 0, 0)) * NS
FORWARD = 100_000.0
# Days of November 2026 to February 2027, around the tenors of 7, 30 and 90 days.
EXPIRIES = {"6NOV26": 4.83, "13NOV26": 11.83, "27NOV26": 25.83, "25DEC26": 53.83, "26MAR27": 144.83}
KINDS = ("C", "P")


def black_delta(kind: str, strike: float, days: float, vol: float) -> float:
    years = days * 86400 / YEAR_S
    d1 = (np.log(FORWARD / strike) + vol**2 * years / 2) / (vol * np.sqrt(years))
    return float(norm.cdf(d1)) if kind == "C" else float(norm.cdf(d1)) - 1.0


def days_to(expiry: str) -> float:
    option = parse_option(f"BTC-{expiry}-1-C")
    assert option is not None
    return (option.expiry - NOW / NS) / 86400


def smile(strike: float, days: float, level: float = 0.5, tilt: float = -0.1) -> float:
    """A volatility that falls with the strike and rises with time."""
    moneyness = np.log(strike / FORWARD) / np.sqrt(days / 365)
    return float(level + tilt * moneyness + 0.05 * moneyness**2 + 0.0005 * days)


def chain(strikes: list[float], vol=smile, oi=lambda kind, strike: 1.0) -> list[ChainRow]:
    return [
        ChainRow(
            name=f"BTC-{expiry}-{strike:g}-{kind}".replace("+", ""),
            oi=oi(kind, strike),
            time=NOW // 1_000_000,
            forward=FORWARD,
            iv=100 * vol(strike, days_to(expiry)),
        )
        for expiry in EXPIRIES
        for strike in strikes
        for kind in KINDS
    ]


def in_variance(days: float, atms: dict[float, float]) -> float:
    times = np.array(sorted(atms))
    total = np.array([atms[t] ** 2 * t for t in times])
    return float(np.sqrt(np.interp(days, times, total) / days))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BTC-27NOV26-100000-C", Option("BTC", timegm((2026, 11, 27, 8, 0, 0)), 100_000.0, "C")),
        ("ETH-1JAN27-2500-P", Option("ETH", timegm((2027, 1, 1, 8, 0, 0)), 2500.0, "P")),
        ("XRP-30JUN27-0d625-C", Option("XRP", timegm((2027, 6, 30, 8, 0, 0)), 0.625, "C")),
        ("BTC_USDC-27NOV26-100000-C", None),
        ("BTC-31NOV26-100000-C", None),
        ("BTC-27NOX26-100000-C", None),
        ("BTC-27NOV26-0-C", None),
        ("BTC-27NOV26", None),
        ("BTC-PERPETUAL", None),
    ],
)
def test_names(name, expected):
    assert parse_option(name) == expected


@given(st.floats(20_000, 500_000), st.floats(0.05, 300), st.floats(0.02, 3), st.sampled_from(KINDS))
@settings(deadline=None)
def test_deltas_are_blacks(strike, days, vol, kind):
    found = delta(kind, FORWARD, strike, days * 86400 / YEAR_S, vol)
    assert found == pytest.approx(black_delta(kind, strike, days, vol), abs=1e-12)
    other = "P" if kind == "C" else "C"
    assert abs(found - delta(other, FORWARD, strike, days * 86400 / YEAR_S, vol)) == pytest.approx(
        1
    )


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(1, 200)), min_size=2, max_size=30),
    st.floats(-1, 1),
)
@settings(deadline=None)
def test_interpolation_is_scipys(points, at):
    points = sorted({round(x, 6): y for x, y in points}.items())
    assume(len(points) > 1)
    x, y = zip(*points, strict=True)
    expected = interp1d(x, y, bounds_error=False)(at)
    found = interpolate(points, at)
    assert (found is None) == bool(np.isnan(expected))
    if found is not None:
        assert found == pytest.approx(float(expected), rel=1e-9)


def test_nothing_is_extrapolated():
    assert interpolate([], 0.5) is None
    assert interpolate([(0.3, 50.0)], 0.3) == 50.0
    assert interpolate([(0.3, 50.0), (0.6, 60.0)], 0.61) is None
    assert interpolate([(0.3, 50.0), (0.3, 60.0), (0.6, 70.0)], 0.45) == pytest.approx(65.0)


@pytest.mark.parametrize("tilt", [-0.1, 0.0, 0.15])
def test_skew_and_slope_against_root_finding(tilt):
    """With strikes close together the interpolation meets the smile itself."""

    def tilted(strike: float, days: float) -> float:
        return smile(strike, days, tilt=tilt)

    strikes = [float(k) for k in range(30_000, 300_000, 250)]
    found = summarise(chain(strikes, tilted), NOW)
    skews, atms = {}, {}
    for expiry in EXPIRIES:
        days = days_to(expiry)
        vols = {}
        for kind, wanted in (("C", 0.25), ("P", -0.25), ("C", 0.5)):

            def off(strike, kind=kind, wanted=wanted, days=days):
                return black_delta(kind, strike, days, tilted(strike, days)) - wanted

            root = brentq(off, 30_000, 299_000, xtol=1e-6)
            vols[wanted] = 100 * tilted(root, days)
        skews[days], atms[days] = vols[0.25] - vols[-0.25], vols[0.5]
    times = sorted(skews)
    skew = np.interp(30, times, [skews[t] for t in times])
    assert found.skew_25d == pytest.approx(skew, abs=0.01)
    slope = in_variance(90, atms) - in_variance(7, atms)
    assert found.term_slope == pytest.approx(slope, abs=0.01)
    assert found.put_call_oi == 1.0


def test_skew_and_slope_on_real_strikes_are_linear_in_delta():
    """With few strikes: exactly numpy's interpolation over the same deltas."""
    strikes = [
        50_000.0,
        70_000,
        80_000,
        90_000,
        95_000,
        100_000,
        105_000,
        115_000,
        140_000,
        200_000,
    ]
    found = summarise(chain(strikes), NOW)
    skews, atms = {}, {}
    for expiry in EXPIRIES:
        days = days_to(expiry)
        vols = [100 * smile(k, days) for k in strikes]
        calls = sorted(
            (black_delta("C", k, days, v / 100), v) for k, v in zip(strikes, vols, strict=True)
        )
        puts = sorted((d - 1, v) for d, v in calls)
        call = float(np.interp(0.25, *zip(*calls, strict=True)))
        put = float(np.interp(-0.25, *zip(*puts, strict=True)))
        skews[days], atms[days] = call - put, float(np.interp(0.5, *zip(*calls, strict=True)))
    times = sorted(skews)
    assert found.skew_25d == pytest.approx(np.interp(30, times, [skews[t] for t in times]))
    assert found.term_slope == pytest.approx(in_variance(90, atms) - in_variance(7, atms))


def test_the_sign_of_each():
    strikes = [float(k) for k in range(40_000, 250_000, 2_500)]
    puts_dear = summarise(chain(strikes), NOW)
    assert puts_dear.skew_25d is not None
    assert puts_dear.skew_25d < 0, "puts dearer than calls"
    stressed = summarise(chain(strikes, lambda k, days: 0.4 + 2 / days), NOW)
    assert stressed.term_slope is not None
    assert stressed.term_slope < 0, "inverted: the front is dearer"
    weighed = summarise(chain(strikes, oi=lambda kind, k: 3.0 if kind == "P" else 2.0), NOW)
    assert weighed.put_call_oi == 1.5


def test_what_is_missing_is_unknown():
    assert summarise([], NOW) == Surface(None, None, None)
    rows = [row for row in chain([90_000.0, 100_000, 110_000]) if "6NOV26" in row.name]
    alone = summarise(rows, NOW)
    assert (alone.skew_25d, alone.term_slope) == (None, None)
    assert alone.put_call_oi == 1.0
    for row in rows:
        row.iv = None
    assert summarise(rows, NOW).put_call_oi == 1.0
    puts = [row for row in rows if row.name.endswith("P")]
    assert summarise(puts, NOW).put_call_oi is None
    assert summarise(rows, NOW + 400 * 86400 * NS) == Surface(None, None, None), "all expired"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(EXPIRIES)),
            st.integers(1, 999_999_999),
            st.sampled_from(KINDS),
            st.floats(0, 1e15),
            st.none() | st.floats(0, 1e15),
            st.none() | st.floats(0, 1e15),
        ),
        max_size=40,
    ),
    st.integers(0, 9_000_000_000_000_000_000),
)
@settings(deadline=None)
def test_no_chain_breaks_it(rows, now):
    made = [
        ChainRow(name=f"BTC-{e}-{k}-{kind}", oi=oi, time=0, forward=forward, iv=iv)
        for e, k, kind, oi, forward, iv in rows
    ]
    found = summarise(made, now)
    assert all(
        value is None or np.isfinite(value)
        for value in (found.skew_25d, found.put_call_oi, found.term_slope)
    )
