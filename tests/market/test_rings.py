"""Rings against plain lists: any order of additions, wrap-around, replaced cells, late trades."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.market.rings import CLOSE, HIGH, LOW, OPEN, Prices, Series, Totals

SIZE = 13
SYMBOLS = 2
QUANTA = np.array([2.0**-12, 1.0])
amounts = st.floats(0, 1e9, allow_nan=False)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.integers(0, 2 * SIZE)),
        st.tuples(st.just("add"), st.integers(-SIZE - 2, 3), amounts, st.integers(0, 1)),
        st.tuples(st.just("put"), st.lists(st.integers(0, SIZE - 2), min_size=1), amounts,
                  st.integers(0, 1)),
    ),
    max_size=40,
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 10**9), steps)
def test_sums_equal_those_of_a_plain_table(start: int, sequence) -> None:
    ring = Totals(1, SIZE, QUANTA, SYMBOLS)
    ring.advance(start)
    head, first = start, start
    table: dict[tuple[int, int], np.ndarray] = {}
    for step in sequence:
        if step[0] == "advance":
            head += step[1]
            ring.advance(head)
        elif step[0] == "add":
            _, back, value, symbol = step
            cell = head + back
            if cell < first:
                continue
            wanted = np.zeros((2, SYMBOLS))
            wanted[:, symbol] = value, 1.0
            taken = ring.add(cell, wanted)
            head = max(head, cell)
            assert taken is (cell > head - SIZE)
            if taken:
                table[cell, symbol] = table.get((cell, symbol), 0) + _rounded(wanted[:, symbol])
        else:
            _, backs, value, symbol = step
            cells = np.array(sorted({head - b for b in backs if head - b > first}))
            if len(cells):
                page = np.tile([[value], [3.0]], len(cells))
                ring.put(cells, symbol, page)
                for cell in cells.tolist():
                    table[cell, symbol] = _rounded(page[:, 0])
    for length in (1, 2, 5, SIZE - 1):
        ends = np.arange(head - SIZE - 3, head + 3)
        sums = ring.sums(ends, length)
        for end, got in zip(ends.tolist(), sums, strict=True):
            if end - 1 - length <= head - SIZE:
                assert np.isnan(got).all()
            else:
                for s in range(SYMBOLS):
                    cells = range(end - length, end)
                    wanted = sum((table.get((c, s), 0) for c in cells), np.zeros(2))
                    np.testing.assert_array_equal(got[:, s], wanted)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.round(values / QUANTA) * QUANTA


def test_empty_stretches_sum_to_zero_after_billions() -> None:
    rng = np.random.default_rng(0)
    ring = Totals(1, 100, np.array([2.0**-12]), 1)
    for cell in range(1000):
        ring.add(cell, rng.uniform(0, 1e9, (1, 1)))
        ring.add(cell - int(rng.integers(0, 50)), rng.uniform(0, 1e9, (1, 1)))
    ring.advance(1060)
    assert ring.sums(np.array([1061]), 60)[0, 0, 0] == 0.0


class SlowPrices:
    """Cells as lists of (time, arrival, price); a plain dictionary of carried prices."""

    def __init__(self) -> None:
        self.trades: dict[tuple[int, int], list[tuple[int, int, float]]] = {}
        self.carried: dict[tuple[int, int], float] = {}
        self.whole: dict[tuple[int, int], tuple[float, float, float, float]] = {}

    def cell(self, cell: int, symbol: int, first: int) -> tuple[float, float, float, float] | None:
        if (cell, symbol) in self.whole:
            return self.whole[cell, symbol]
        found = sorted(self.trades.get((cell, symbol), []))
        if found:
            prices = [price for _, _, price in found]
            return prices[0], max(prices), min(prices), prices[-1]
        for before in range(cell - 1, first - 1, -1):
            known = self.cell(before, symbol, before)
            if known is not None:
                return (known[3],) * 4
        return None


trades = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 6), st.floats(1, 100), st.integers(0, 1)),
    min_size=1,
    max_size=60,
)


@settings(deadline=None, max_examples=150)
@given(trades, st.integers(1, SIZE - 1))
def test_cells_are_what_their_trades_make_of_them(stream, length: int) -> None:
    """Bars depend on the times of the trades alone, not on the order in which they arrive."""
    ring, slow, head = Prices(10, SIZE, SYMBOLS), SlowPrices(), 0
    ring.advance(0, np.full(SYMBOLS, np.nan))
    for n, (time, late, price, symbol) in enumerate(sorted(stream, key=lambda t: t[0] + t[1] * 7)):
        now = (time + 7 * late) // 10
        while head < now:
            head += 1
            ring.advance(head, ring.close(head - 1).copy())
            ring.stretches(np.array([head]), length)
        cell = time // 10
        if cell <= head - SIZE:
            continue
        ring.trade(cell, np.array([symbol]), np.full((4, 1), price), np.full((2, 1), time))
        slow.trades.setdefault((cell, symbol), []).append((time, n, price))
    ends = np.arange(head - SIZE - 2, head + 3)
    got = ring.stretches(ends, length)
    for end, stretch in zip(ends.tolist(), got, strict=True):
        for s in range(SYMBOLS):
            inside = end - length > head - SIZE and end - 1 <= head
            cells = [slow.cell(c, s, 0) for c in range(end - length, end) if c >= 0]
            known = [c for c in cells if c is not None]
            if not inside or not known:
                assert np.isnan(stretch[:, s]).all()
                continue
            assert stretch[OPEN, s] == known[0][0]
            assert stretch[HIGH, s] == max(c[1] for c in known)
            assert stretch[LOW, s] == min(c[2] for c in known)
            assert stretch[CLOSE, s] == known[-1][3]


def test_candles_put_in_the_past_show_in_every_length() -> None:
    ring = Prices(10, SIZE, 1)
    for cell in range(30):
        ring.advance(cell, np.array([100.0]))
    for length in (1, 4):
        ring.stretches(np.array([30]), length)
    ring.put(np.array([24, 25]), 0, np.array([[90, 91], [95, 96], [85, 80], [91, 92.0]]))
    np.testing.assert_array_equal(ring.stretches(np.array([28]), 4)[0, :, 0], [90, 100, 80, 100])
    np.testing.assert_array_equal(ring.stretches(np.array([26]), 1)[0, :, 0], [91, 96, 80, 92])


def test_late_first_trade_makes_later_cells_known() -> None:
    ring = Prices(10, SIZE, 1)
    for cell in range(4):
        ring.advance(cell, np.array([np.nan]))
    ring.trade(1, np.array([0]), np.full((4, 1), 50.0), np.full((2, 1), 15))
    np.testing.assert_array_equal(ring.cells[1:4, CLOSE, 0], [50, 50, 50])
    assert np.isnan(ring.cells[0, CLOSE, 0])


def test_series_hold_a_value_and_forget_the_last_round() -> None:
    series = Series(SIZE, 2)
    series.put(5, 0, 1.5)
    read = series.read(np.array([4, 5, 6, 5 + SIZE]))[:, 0]
    np.testing.assert_array_equal(read, [np.nan, 1.5, np.nan, np.nan])
    series.put(5 + SIZE, 0, 2.5)
    series.put(5, 0, 9.0)
    np.testing.assert_array_equal(series.read(np.array([5, 5 + SIZE]))[:, 0], [np.nan, 2.5])
    series.put(7, slice(None), np.array([7.0, 8.0]))
    np.testing.assert_array_equal(series.read(np.array([7])), [[7.0, 8.0]])


@pytest.mark.parametrize("jump", [SIZE - 1, SIZE, SIZE + 1, 10 * SIZE])
def test_jumps_leave_nothing_of_the_old_round(jump: int) -> None:
    ring, totals = Prices(1, SIZE, 1), Totals(1, SIZE, np.array([1.0]), 1)
    for cell in range(SIZE):
        ring.advance(cell, np.array([cell + 1.0]))
        totals.add(cell, np.ones((1, 1)))
    head = SIZE - 1 + jump
    ring.advance(head, np.array([np.nan]))
    totals.advance(head)
    ends = np.arange(head - SIZE + 2, head + 2)
    kept = (ends - 1 < SIZE).astype(float)
    np.testing.assert_array_equal(~np.isnan(ring.stretches(ends, 1)[:, CLOSE, 0]), kept)
    np.testing.assert_array_equal(totals.sums(ends[1:], 1)[:, 0, 0], kept[1:])
