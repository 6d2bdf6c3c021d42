"""Order flow imbalance against the definition of Cont, Kukanov and Stoikov, read literally."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.market.market import Market
from engine.market.view import WINDOWS

SHARED = [HealthCheck.function_scoped_fixture]
BIDS = [(99.9 - n * 0.01, 5.0) for n in range(200)]
ASKS = [(100.1 + n * 0.01, 5.0) for n in range(200)]


def event_flow(before, after) -> float:
    """e_n of eq. 2: I{P_n >= P_n-1} q_n - I{P_n <= P_n-1} q_n-1 for bids, the reverse for asks."""
    (b0, p0, a0, q0), (b1, p1, a1, q1) = before, after
    e = 0.0
    e += b1 * p1 if b1 >= b0 else 0.0
    e -= b0 * p0 if b1 <= b0 else 0.0
    e -= a1 * q1 if a1 <= a0 else 0.0
    e += a0 * q0 if a1 >= a0 else 0.0
    return e


def run(make, rng: np.random.Generator, mirrored: bool = False):
    """Twenty seconds of quotes; returns the market and the literal sum of each second."""
    make.ids.clear()
    market = Market(["BTCUSDT"])
    market.apply(make.snapshot(-0.9, 1, BIDS, ASKS))
    market.apply(make.trade(-0.8))
    seconds, last, seq = np.zeros(20), None, 1
    for t in np.sort(rng.uniform(-0.7, 20, 250)).tolist():
        bid = 100 + 0.01 * float(rng.integers(-5, 1))
        ask = 100 + 0.01 * float(rng.integers(1, 6))
        sizes = rng.integers(1, 50, 2).astype(float).tolist()
        touch = (bid, sizes[0], ask, sizes[1])
        if last is not None and t >= 0:
            seconds[int(t)] += event_flow(last, touch)
        market.apply(make.quote(t, bid, ask, *sizes))
        market.apply(make.delta(t, seq + 1, seq + 1, seq))
        market.apply(make.mark(t))
        last, seq = touch, seq + 1
    return market, seconds


@settings(deadline=None, max_examples=15, phases=[Phase.generate], suppress_health_check=SHARED)
@given(st.integers(0, 2**32 - 1))
def test_sums_are_those_of_the_definition(make, by_second, seed: int) -> None:
    market, seconds = run(make, np.random.default_rng(seed))
    view = market.view(make.at(20))
    got = by_second(market, view.now).ofi[0, -20:, 0]
    np.testing.assert_allclose(got, seconds, atol=0.1)
    assert view.spans.ofi[0, -1, 0] == pytest.approx(seconds[-10:].sum(), abs=0.5)
    assert view.spans.ofi[0, -2, 0] == pytest.approx(seconds[:10].sum(), abs=0.5)


@pytest.mark.parametrize(
    ("after", "flow"),
    [
        ((99.9, 15.0, 100.1, 20.0), 99.9 * 5),  # bids join
        ((99.9, 10.0, 100.1, 12.0), 100.1 * 8),  # asks leave
        ((100.0, 3.0, 100.1, 20.0), 100.0 * 3),  # a better bid
        ((99.8, 7.0, 100.1, 20.0), -99.9 * 10),  # the best bid is gone
        ((99.9, 10.0, 100.0, 4.0), -100.0 * 4),  # a better ask
        ((99.9, 10.0, 100.2, 6.0), 100.1 * 20),  # the best ask is gone
    ],
)
def test_each_kind_of_event(
    make, by_second, after: tuple[float, float, float, float], flow: float
) -> None:
    market = Market(["BTCUSDT"])
    market.apply(make.snapshot(0.1, 1, BIDS, ASKS))
    market.apply(make.quote(0.2, 99.9, 100.1, 10.0, 20.0))
    bid, bid_size, ask, ask_size = after
    market.apply(make.quote(1.5, bid, ask, bid_size, ask_size))
    assert by_second(market, make.at(2)).ofi[0, -1, 0] == pytest.approx(flow, abs=0.1)
    assert event_flow((99.9, 10.0, 100.1, 20.0), after) == pytest.approx(flow)


def test_nothing_is_chained_across_a_closed_stream(make, by_second) -> None:
    market = Market(["BTCUSDT"])
    market.apply(make.snapshot(0.1, 1, BIDS, ASKS))
    market.apply(make.quote(0.2, 99.9, 100.1, 10.0, 20.0))
    market.apply(make.status(1.2, "closed", "quote"))
    market.apply(make.quote(1.5, 100.0, 100.05, 10.0, 20.0))
    market.apply(make.quote(1.6, 100.0, 100.05, 11.0, 20.0))
    view = market.view(make.at(2))
    assert by_second(market, view.now).ofi[0, -1, 0] == pytest.approx(100.0, abs=0.1)
    assert view.windows == WINDOWS
