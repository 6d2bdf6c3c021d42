"""Lines drawn as dots by numpy: Braille, 2 x 4 dots a cell, or blocks and ASCII, 1 x 2."""

import numpy as np
from numpy.typing import NDArray

from cockpit.theme import Glyphs

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]
BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
ASCII = " '.:"
BLOCKS = " ▀▄█"


def stretch(values: Values, columns: int) -> Values:
    """Values as a line over more columns, straight between neighbours; NaN stays a gap."""
    at = np.linspace(0, len(values) - 1, columns)
    left = np.floor(at).astype(int)
    right = np.minimum(left + 1, len(values) - 1)
    share = at - left
    out: Values = np.where(
        share > 0, values[left] * (1 - share) + values[right] * share, values[left]
    )
    return out


def extents(low: Values, high: Values, close: Values, columns: int) -> tuple[Values, Values]:
    """(bottom, top) of what is drawn in each column; NaN where there is nothing.

    Many values in few columns show their whole range; few in many are joined by straight lines.
    """
    count = len(close)
    if count >= columns:
        edges = np.arange(columns) * count // columns
        return join(np.fmin.reduceat(low, edges), np.fmax.reduceat(high, edges))
    line = stretch(close, columns)
    bottom, top = line.copy(), line.copy()
    at = np.rint(np.linspace(0, columns - 1, count)).astype(int)
    bottom[at], top[at] = np.fmin(line[at], low), np.fmax(line[at], high)
    return join(bottom, top)


def join(bottom: Values, top: Values) -> tuple[Values, Values]:
    """Stretch each column to its left neighbour, so that the line has no holes."""
    low, high = bottom.copy(), top.copy()
    low[1:] = np.where(top[:-1] < bottom[1:], top[:-1], bottom[1:])
    high[1:] = np.where(bottom[:-1] > top[1:], bottom[:-1], top[1:])
    return low, high


def rows_of(values: Values, floor: float, ceiling: float, rows: int) -> Values:
    """Row of each value, 0 at the top, NaN for none; a flat range is drawn in the middle."""
    span = ceiling - floor
    share = (ceiling - values) / span if span > 0 else np.where(np.isnan(values), np.nan, 0.5)
    out: Values = np.rint(np.clip(share, 0, 1) * (rows - 1))
    return out


def mask(bottom: Values, top: Values, floor: float, ceiling: float, rows: int) -> Mask:
    """Dots (rows, columns), the first row on top."""
    first = rows_of(top, floor, ceiling, rows)
    last = rows_of(bottom, floor, ceiling, rows)
    row = np.arange(rows)[:, None]
    out: Mask = (row >= first) & (row <= last)
    return out


def braille(dots: Mask) -> list[str]:
    """(4 h, 2 w) dots as h lines of w cells; a cell without a dot is a space."""
    height, width = dots.shape[0] // 4, dots.shape[1] // 2
    cells = dots.reshape(height, 4, width, 2).astype(int)
    bits = (cells * BRAILLE[None, :, None, :]).sum(axis=(1, 3))
    return ["".join(chr(0x2800 + b) if b else " " for b in line) for line in bits.tolist()]


def ascii_lines(dots: Mask, marks: str = ASCII) -> list[str]:
    """(2 h, w) dots as h lines of w cells."""
    upper, lower = dots[::2].astype(int), dots[1::2].astype(int)
    return ["".join(marks[n] for n in line) for line in (upper + 2 * lower).tolist()]


def grain(glyphs: Glyphs) -> tuple[int, int]:
    """Dots of a cell across and down."""
    return (1, 2) if glyphs.levels else (2, 4)


def cells(dots: Mask, glyphs: Glyphs) -> list[str]:
    """Dots of that grain as lines of cells."""
    if not glyphs.levels:
        return braille(dots)
    return ascii_lines(dots, ASCII if glyphs.plain else BLOCKS)
