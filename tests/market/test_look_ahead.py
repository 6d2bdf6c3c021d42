"""A view is of its instant: what comes later changes nothing in it."""

import dataclasses
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.events import Event, Ratio
from engine.market.market import Market
from engine.market.view import WINDOWS, View

NS = 1_000_000_000
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def stream(make, seed: int, seconds: int) -> list[Event]:
    """Trades, quotes, book updates and candles of two symbols, in order of receipt."""
    rng = np.random.default_rng(seed)
    make.ids.clear()
    make.symbol = "BTCUSDT"
    bids = [(round(99.9 - n * 0.01, 2), 5.0) for n in range(150)]
    asks = [(round(100.1 + n * 0.01, 2), 5.0) for n in range(150)]
    out: list[Event] = [make.snapshot(0.01, 1, bids, asks)]
    seq = 1
    for t in np.sort(rng.uniform(0.05, seconds, seconds * 8)).tolist():
        kind, price = rng.random(), 100 + float(rng.normal(0, 0.05))
        if kind < 0.5:
            symbol = "BTCUSDT" if rng.random() < 0.7 else "ETHUSDT"
            side = "buy" if rng.random() < 0.5 else "sell"
            late = float(rng.exponential(0.1))
            size = float(rng.exponential(3)) + 1e-3
            out.append(make.trade(t, price, size, side, ts=t - late, symbol=symbol))
        elif kind < 0.8:
            out.append(make.quote(t, 99.9, 100.1, *rng.uniform(1, 9, 2).tolist()))
        else:
            level = bids[int(rng.integers(0, 99))][0], float(rng.uniform(0, 9))
            out.append(make.delta(t, seq + 1, seq + 1, seq, bids=[level]))
            seq += 1
    return out


def differences(one: View, two: View, footprint: bool = True) -> list[str]:
    out = [
        f"{part}.{f.name}"
        for part in ("bars", "spans")
        for f in fields(getattr(one, part))
        if not np.array_equal(getattr(getattr(one, part), f.name),
                              getattr(getattr(two, part), f.name), equal_nan=True)
    ]  # fmt: skip
    if footprint:
        out += [
            f"footprint.{name}"
            for name in ("buy", "sell", "step")
            if not np.array_equal(
                getattr(one.footprint, name), getattr(two.footprint, name), equal_nan=True
            )
        ]
    return out


@settings(deadline=None, max_examples=5, phases=[Phase.generate], suppress_health_check=SHARED)
@given(st.integers(0, 2**32 - 1))
def test_the_grace_leaks_nothing(make, seed: int) -> None:
    """Events received within the 0.25 s after an instant, of after it, are not in its view."""
    events = stream(make, seed, 70)
    now = make.at(60)
    before = [e for e in events if (e.recv or 0) < now]
    # What comes in the grace but happened before is rightly in; so let it all happen after.
    grace = [
        replace(e, ts=max(e.ts, now + NS // 5)) if not hasattr(e, "seq") else e
        for e in events
        if now <= (e.recv or 0) < now + NS // 4
    ]
    assume(grace)
    plain, early = Market(["BTCUSDT", "ETHUSDT"]), Market(["BTCUSDT", "ETHUSDT"])
    for event in before:
        plain.apply(event)
        early.apply(event)
    for event in grace:
        early.apply(event)
    assert differences(plain.view(now), early.view(now)) == []


@pytest.mark.slow
@settings(deadline=None, max_examples=5, phases=[Phase.generate], suppress_health_check=SHARED)
@given(st.integers(0, 2**32 - 1))
def test_later_events_change_no_past_view(make, seed: int) -> None:
    """Views at 10 s steps, taken live and taken again later; the footprint of the past is NaN."""
    events = stream(make, seed, 200)
    market = Market(["BTCUSDT", "ETHUSDT"])
    steps = [make.at(t) for t in (60, 90, 100, 120)]
    live: dict[int, View] = {}
    for event in events:
        for step in steps:
            if step not in live and (event.recv or 0) >= step + NS // 4:
                live[step] = market.view(step)
        # Late trades do belong to the past: hold them to what the step had seen.
        market.apply(replace(event, ts=max(event.ts, (event.recv or 0) - NS // 100)))
    fine = tuple(w for w in WINDOWS if w.name in ("10s", "1m"))
    for step in steps:
        again = market.view(step, fine)
        assert np.isnan(again.footprint.buy).all()
        first = view_of(live[step], fine)
        assert differences(first, again, footprint=False) == []


def view_of(view: View, windows: tuple) -> View:
    """The same view with some of its windows."""
    at = [WINDOWS.index(w) for w in windows]
    parts = [
        type(cells)(*(getattr(cells, f.name)[at] for f in fields(cells)))
        for cells in (view.bars, view.spans)
    ]
    return dataclasses.replace(view, windows=windows, bars=parts[0], spans=parts[1])


def flooded(events: list[Event], after: float) -> Market:
    """A market in which every trade later than a second after an instant is huge."""
    market = Market(["BTCUSDT", "ETHUSDT"])
    for event in events:
        late = event.ts > after + NS and hasattr(event, "side")
        market.apply(replace(event, size=1e6) if late else event)
    return market


@pytest.mark.slow
def test_no_window_of_a_past_instant_holds_its_future(make) -> None:
    """Whatever the ring of a window: a flood after the instant must not show in its view."""
    events = stream(make, 11, 200)
    quiet = flooded(events, np.inf)
    quiet.view(make.at(200))
    for at in (119.0, 120.0, 125.0, 150.0, 179.0):
        flood, now = flooded(events, make.at(at)), make.at(at)
        flood.view(make.at(200))
        assert differences(quiet.view(now), flood.view(now)) == [], at


def test_views_may_be_taken_at_any_time_without_a_trace(make) -> None:
    """Looking, at the present or the past, changes nothing that is seen later."""
    events = stream(make, 5, 120)
    seen, unseen = Market(["BTCUSDT", "ETHUSDT"]), Market(["BTCUSDT", "ETHUSDT"])
    for n, event in enumerate(events):
        seen.apply(event)
        unseen.apply(event)
        if n % 40 == 0:
            seen.view(seen.now)
            seen.view(seen.now - 30 * NS)
    now = make.at(120)
    assert differences(seen.view(now), unseen.view(now)) == []
    assert seen.offsets == unseen.offsets


def test_published_values_count_from_their_time_on(make) -> None:
    market = Market(["BTCUSDT"])
    market.apply(make.trade(0.5))
    rows = [
        Ratio(venue="binance", market="perp", symbol="BTCUSDT", ts=make.at(t), recv=make.at(900),
              history=True, measure="taker", value=value)
        for t, value in ((180, 2.0), (480, 3.0), (500, 7.0), (780, 4.0))
    ]  # fmt: skip
    for row in rows:
        market.apply(row)
    w = [w.name for w in WINDOWS].index("1m")
    for at, value in ((120, np.nan), (180, 2.0), (470, 2.0), (480, 3.0), (780, 4.0), (1600, 4.0)):
        got = market.view(make.at(at)).spans.taker_ratio[w, -1, 0]
        assert got == pytest.approx(np.log(value), nan_ok=True), at
    assert np.isnan(market.view(make.at(780 + 7300)).spans.taker_ratio[w, -1, 0])
