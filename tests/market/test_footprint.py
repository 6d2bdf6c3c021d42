"""The footprint against counting trades one by one; window slots, coverage, tick heights."""

from math import floor, log

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.market.footprint import LEVELS, SLOTS, STEPS, Footprints
from engine.market.market import Market
from engine.market.tape import Batch
from engine.market.view import WINDOWS

NS = 1_000_000_000
END = 1_750_032_000 * NS
SHARED = [HealthCheck.function_scoped_fixture]


def batch(rows: list[tuple[int, int, float, float, bool]]) -> Batch:
    """(symbol, bar time, price, size, bought) each."""
    s, at, price, size, buy = (np.array(c) for c in zip(*rows, strict=True))
    return Batch(s.astype(np.int64), at.astype(np.int64), at.astype(np.int64), price.astype(float),
                 size.astype(float), buy.astype(bool))  # fmt: skip


@settings(deadline=None, max_examples=25, suppress_health_check=SHARED)
@given(st.integers(0, 2**32 - 1), st.sampled_from(WINDOWS))
def test_levels_hold_the_trades_of_the_last_slots(seed: int, window) -> None:
    """Of nine to ten slots of a tenth of the window, whatever came before or came late."""
    rng = np.random.default_rng(seed)
    step, slot = STEPS[window.name], window.span * NS // SLOTS
    # A price that stays within the levels, so that none takes another's place.
    rows = []
    now = END - 3 * window.span * NS
    prints = Footprints(2)
    prints.roll(now)
    place = WINDOWS.index(window)
    while now < END - 1:
        now = min(now + int(rng.exponential(window.span * NS / 7)), END - 1)
        prints.roll(now)
        made = [
            (
                int(rng.integers(0, 2)),
                now - int(rng.choice([0, rng.integers(0, 2 * slot)])),
                float(np.exp(log(100) + step * rng.uniform(-50, 50))),
                float(rng.integers(1, 100)),
                bool(rng.integers(0, 2)),
            )
            for _ in range(int(rng.integers(1, 6)))
        ]
        prints.add(batch(made))
        rows += made
    centre = np.full((1, 2), log(100))
    got = prints.view((window,), centre, np.zeros((1, 2)), END)
    assert got.step[0].tolist() == [step] * 2
    wanted = np.zeros((2, LEVELS, 2))
    first = (END - 1) // slot - SLOTS + 1
    for s, at, price, size, buy in rows:
        if at // slot >= first:
            level = floor(log(price) / step) - floor(log(100) / step) + LEVELS // 2
            wanted[0 if buy else 1, level, s] += price * size
    np.testing.assert_allclose(got.buy[0], wanted[0], rtol=1e-9, atol=1e-2)
    np.testing.assert_allclose(got.sell[0], wanted[1], rtol=1e-9, atol=1e-2)
    assert wanted.sum() > 0
    assert place == WINDOWS.index(window)


def test_a_level_that_wraps_takes_the_place_of_the_old_one() -> None:
    prints = Footprints(1)
    prints.roll(END)
    step = STEPS["10s"]
    # In the middle of their levels, so that rounding cannot move them.
    low, high = (float(np.exp((n + 0.5) * step)) for n in (92_000, 92_000 + LEVELS))
    prints.add(batch([(0, END, low, 3.0, True), (0, END, high, 5.0, False)]))
    at_low = prints.view(WINDOWS[:1], np.full((1, 1), log(low)), np.zeros((1, 1)), END + 1)
    at_high = prints.view(WINDOWS[:1], np.full((1, 1), log(high)), np.zeros((1, 1)), END + 1)
    assert at_low.buy.sum() == at_low.sell.sum() == at_high.buy.sum() == 0
    assert at_high.sell.sum() == pytest.approx(5 * high, abs=0.01)


def test_levels_are_at_least_two_ticks_high_and_keep_their_height() -> None:
    prints = Footprints(2)
    prints.roll(END)
    prints.add(batch([(0, END, 100.0, 1.0, True), (1, END, 100.0, 1.0, True)]))
    prints.set_tick(0, 1e-4)
    step = prints.step[:, 0]
    assert (step >= 2e-4).all()
    assert prints.step[:, 1].tolist() == [STEPS[w.name] for w in WINDOWS]
    # What is high enough already goes on; the rest begins anew.
    got = prints.view(WINDOWS, np.full((6, 2), log(100)), np.zeros((6, 2)), END + 1)
    kept = step == [STEPS[w.name] for w in WINDOWS]
    assert (got.buy.sum(axis=1)[:, 0] > 0).tolist() == kept.tolist()
    assert (got.buy.sum(axis=1)[:, 1] > 0).all()
    before = step.copy()
    for tick in (0.9e-4, 0.6e-4, 1.2e-4):
        prints.set_tick(0, tick)
        assert step[:2].tolist() == before[:2].tolist()
    prints.set_tick(0, 1e-9)
    usual = np.array([STEPS[w.name] for w in WINDOWS])
    assert ((step >= usual) & (step < 4 * usual)).all()
    assert step[0] == usual[0]


def test_footprint_of_an_uncovered_window_is_nan(make) -> None:
    """The 10 s window after 30 s of tape, the rest once theirs is covered."""
    market = Market(["BTCUSDT", "ETHUSDT"])
    for n in range(300):
        market.apply(make.trade(n * 0.1, 100 + 0.001 * (n % 5)))
    view = market.view(make.at(30))
    known = ~np.isnan(view.footprint.buy)
    assert known.all(axis=1)[:, 0].tolist() == [True] + [False] * 5
    assert not known[:, :, 1].any()
    total = view.footprint.buy[0, :, 0].sum()
    assert total == pytest.approx(view.spans.buy[0, -1, 0], rel=1e-6)
    for n in range(300, 1600):
        market.apply(make.trade(n * 0.1, 100 + 0.001 * (n % 5)))
    known = ~np.isnan(market.view(make.at(160)).footprint.buy)
    assert known.all(axis=1)[:, 0].tolist() == [True, True, True, False, False, False]
    assert np.isnan(market.view(make.at(159)).footprint.buy).all()


@settings(deadline=None, max_examples=5, phases=[Phase.generate], suppress_health_check=SHARED)
@given(st.integers(0, 2**32 - 1))
def test_market_footprint_equals_the_tape(make, seed: int) -> None:
    """Through the market, with latency: 10 s and 1 m windows from the trades themselves."""
    make.ids.clear()
    rng = np.random.default_rng(seed)
    market = Market(["BTCUSDT"])
    rows = []
    for n in range(900):
        ts = n * 0.1 + 0.05
        price = float(np.exp(log(3000) + 5e-5 * rng.uniform(-30, 30)))
        side = "buy" if rng.random() < 0.5 else "sell"
        rows.append((ts, price, float(rng.uniform(0.1, 2)), side))
        market.apply(make.trade(ts, *rows[-1][1:]))
    now = 90.0
    view = market.view(make.at(now))
    for w, window in enumerate(WINDOWS[:2]):
        slot = window.span / SLOTS
        step = view.footprint.step[w, 0]
        centre = floor(view.spans.close[w, -1, 0] / step)
        wanted = {"buy": np.zeros(LEVELS), "sell": np.zeros(LEVELS)}
        for ts, price, size, side in rows:
            if ts >= now - SLOTS * slot:
                wanted[side][floor(log(price) / step) - centre + LEVELS // 2] += price * size
        for side in ("buy", "sell"):
            got = getattr(view.footprint, side)[w, :, 0]
            np.testing.assert_allclose(got, wanted[side], atol=0.01)
