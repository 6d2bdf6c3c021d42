"""The simulated option surface and liquidations found on a tape: invariants over many seeds."""

from datetime import UTC, datetime
from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.feeds.deribit.surface import parse_option
from engine.sim.market.forced import forced_ids
from engine.sim.market.options import (
    LEVEL,
    YEAR_S,
    Row,
    Surface,
    option_name,
    option_price,
)
from engine.sim.market.play import Closed
from engine.sim.market.tape import Print

NOW = 1_768_395_600  # 2026-01-14 13:00 UTC


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from(["BTC", "ETH"]), st.integers(0, 400))
def test_the_chain_is_whole(seed: int, currency: str, days: int) -> None:
    price = 94_000.0 if currency == "BTC" else 3_200.0
    surface = Surface(currency, seed, NOW + days * 86_400, price)
    rows = surface.chain()
    expiries = sorted({row.expiry for row in rows})
    assert expiries == surface.expiries()
    assert all(surface.now < expiry for expiry in expiries)
    assert all(datetime.fromtimestamp(e, UTC).hour == 8 for e in expiries)
    assert (expiries[-1] - surface.now) / 86_400 > 170
    for row in rows:
        named = parse_option(option_name(currency, row))
        assert named is not None
        assert (named.expiry, named.strike, named.kind == "C") == (row.expiry, row.strike, row.call)
        assert 5 < row.iv < 300
        assert row.interest >= 0
    assert len({option_name(currency, row) for row in rows}) == len(rows)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_prices_of_an_expiry_are_free_of_arbitrage_near_the_money(seed: int) -> None:
    """Calls fall with the strike and are convex in it, within two deviations."""
    surface = Surface("BTC", seed, NOW, 94_000.0)
    for expiry in surface.expiries():
        years = (expiry - NOW) / YEAR_S
        reach = 2 * LEVEL["BTC"] / 100 * years**0.5
        forward = surface.forward(expiry)
        strikes = forward * np.exp(np.linspace(-reach, reach, 41))
        ivs = [surface.iv(years, float(strike), forward) for strike in strikes]
        prices = np.array([
            option_price(Row(expiry, float(k), True, iv, 0.0, forward), years)
            for k, iv in zip(strikes, ivs, strict=True)
        ])  # fmt: skip
        slopes = np.diff(prices) / np.diff(strikes)
        assert (slopes < 0).all()
        assert (np.diff(slopes) > -1e-12).all()


def test_puts_and_calls_agree() -> None:
    row = Row(NOW + 86_400 * 30, 100_000.0, True, 50.0, 0.0, 95_000.0)
    put = Row(row.expiry, row.strike, False, row.iv, 0.0, row.forward)
    years = 30 / 365
    parity = option_price(row, years) - option_price(put, years)
    assert parity == pytest.approx(1 - row.strike / row.forward, abs=1e-12)


def test_volatility_rises_where_the_price_falls() -> None:
    calm, fallen = (Surface("BTC", 1, NOW, 94_000.0) for _ in range(2))
    for second in range(60):
        calm.step(NOW + second, 94_000.0)
        fallen.step(NOW + second, 94_000.0 * exp(-0.001 * second))
    assert fallen.index > 1.05 * calm.index


def test_candles_join_the_live_index() -> None:
    surface = Surface("BTC", 4, NOW, 94_000.0)
    for second in range(1, 7_300):
        surface.step(NOW + second, 94_000.0)
    rows = surface.candles(NOW - 720 * 3600, NOW + 7_300)
    assert len(rows) == 723
    assert rows[-1][4] == surface.index
    for _, opened, high, low, closed in rows:
        assert low <= min(opened, closed) <= max(opened, closed) <= high
    ends = [row[4] for row in rows[:-1]]
    assert ends == [row[1] for row in rows[1:]]
    assert abs(np.diff(np.log(ends))).max() < 0.15


fills = st.lists(st.tuples(st.integers(1, 50), st.booleans()), max_size=12)


@settings(deadline=None)
@given(fills, st.lists(st.integers(1, 40), min_size=1, max_size=4), st.booleans(), fills)
def test_the_executions_of_a_liquidation_are_found(
    before: list[tuple[int, bool]], sizes: list[int], long: bool, after: list[tuple[int, bool]]
) -> None:
    prints = [Print(n, 0, 0, 5, 100, size, buy) for n, (size, buy) in enumerate(before)]
    own = [
        Print(len(prints) + n, 0, 0, 9, 100 - n if long else 100 + n, size, not long)
        for n, size in enumerate(sizes)
    ]
    first = len(prints) + len(own)
    later = [Print(first + n, 0, 0, 12, 100, size, buy) for n, (size, buy) in enumerate(after)]
    closed = Closed(9, long, sum(sizes), own[-1].price, 100.0)
    assert forced_ids([*prints, *own, *later], [closed]) == {fill.id for fill in own}
    assert forced_ids([*prints, *later], [closed]) == set()
