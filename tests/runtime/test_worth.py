"""What a round trip costs, by hand; unknown where any part of it is."""

from types import SimpleNamespace
from typing import Any

import pytest

from engine.clock import NS
from engine.runtime.worth import cost_bps

NOW = 1_750_000_000 * NS


def listed(rate: float | None = 1e-4, age: float = 0.0) -> Any:
    quote = SimpleNamespace(bid=99.99, ask=100.01, recv=NOW - int(age * NS))
    funding = None if rate is None else SimpleNamespace(rate_8h=rate)
    return SimpleNamespace(quote=quote, funding=funding)


@pytest.mark.parametrize(("side", "carry"), [(1, 1.5), (0, 0.0), (-1, -1.5)])
def test_two_fees_the_spread_and_the_funding_in_between(side: int, carry: float) -> None:
    cost = cost_bps(listed(), side, 5.0, 12 * 3600, NOW)
    assert cost == pytest.approx(10 + 2 + carry)


def test_unknown_is_unknown() -> None:
    assert cost_bps(None, 1, 5.0, 3600, NOW) is None
    assert cost_bps(listed(rate=None), 1, 5.0, 3600, NOW) is None
    assert cost_bps(listed(age=61), 1, 5.0, 3600, NOW) is None
    assert cost_bps(listed(age=59), 1, 5.0, 3600, NOW) is not None
