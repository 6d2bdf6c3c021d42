"""Dots: every value is drawn where it belongs, in the width asked for, without holes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.widgets import raster, text

SOME = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300)


@given(SOME, st.integers(2, 80), st.integers(1, 20))
@settings(deadline=None)
def test_shapes_and_no_column_is_empty(values: list[float], columns: int, rows: int) -> None:
    data = np.array(values)
    bottom, top = raster.extents(data, data, data, 2 * columns)
    assert len(bottom) == len(top) == 2 * columns
    assert (bottom <= top).all()
    dots = raster.mask(bottom, top, float(data.min()), float(data.max()), 4 * rows)
    assert dots.any(axis=0).all()
    drawn = raster.braille(dots)
    assert [len(line) for line in drawn] == [columns] * rows
    assert sum(bin(ord(c) - 0x2800).count("1") for line in drawn for c in line if c != " ") == (
        dots.sum()
    )
    plain = raster.ascii_lines(dots)
    assert [len(line) for line in plain] == [2 * columns] * 2 * rows


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=200), st.integers(10, 60))
@settings(deadline=None)
def test_neighbours_touch(values: list[float], columns: int) -> None:
    data = np.array(values)
    bottom, top = raster.extents(data, data, data, columns)
    assert (bottom[1:] <= top[:-1] + 1e-9).all()
    assert (top[1:] >= bottom[:-1] - 1e-9).all()


def test_extremes_are_on_the_edges() -> None:
    data = np.array([1.0, 5.0, 3.0])
    dots = raster.mask(*raster.extents(data, data, data, 20), 1.0, 5.0, 8)
    assert dots[0].any()
    assert dots[-1, 0]
    assert not dots[0, 0]


def test_gaps_stay_gaps() -> None:
    data = np.array([1.0, 1.0, np.nan, np.nan, 1.0, 1.0])
    dots = raster.mask(*raster.extents(data, data, data, 60), 0.0, 2.0, 8)
    assert dots[:, 0].any()
    assert not dots[:, 25:35].any()
    assert dots[:, -1].any()
    dense = raster.mask(*raster.extents(data, data, data, 3), 0.0, 2.0, 8)
    assert dense.any(axis=0).tolist() == [True, False, True]


def test_a_flat_line_is_in_the_middle() -> None:
    flat = np.array([7.0, 7.0])
    dots = raster.mask(*raster.extents(flat, flat, flat, 4), 7.0, 7.0, 8)
    assert dots.any(axis=1).tolist().index(True) in (3, 4)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, None), (0.0, "0"), (13_617_296.1, "13.6M"), (-5843.8, "-5.84k"), (999.7, "1.00k"),
     (-0.0009, "-9.0e-4"), (0.0421, "0.0421"), (114.526, "114.5"), (99.996, "100.0"),
     (9.9996, "10.00"), (1e-12, "1e-12"), (-2.5e14, "-250T"), (1e18, "1e18")],
)  # fmt: skip
def test_short_numbers(value: float | None, shown: str | None) -> None:
    assert text.short(value) == shown


@given(st.floats(-1e15, 1e15))
@settings(deadline=None)
def test_short_numbers_are_short_and_keep_their_sign(value: float) -> None:
    shown = text.short(value)
    assert shown is not None
    assert len(shown) <= 7
    assert (shown[0] == "-") == (value < 0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, ".00"), (0.421, ".42"), (0.999, "1.00"), (1.5, "1.50"), (-0.2, "-.20")],
)
def test_fractions(value: float, shown: str) -> None:
    assert text.fraction(value) == shown
