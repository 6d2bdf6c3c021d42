"""Drawings inside a cell: bias bars, category glyphs, arrows, sparklines."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby

from rich.segment import Segment

from cockpit.theme import Glyphs, Ink
from cockpit.widgets.text import Cell

# Points of bias (and |score| x 100) at which a colour grows stronger: the engine's state cuts.
CUTS = (20.0, 40.0)
DEAD_BAND = 0.05
UPS = ("up1", "up2", "up3")
DOWNS = ("down1", "down2", "down3")
LEFT_DOTS = (0x40, 0x44, 0x46, 0x47)
RIGHT_DOTS = (0x80, 0xA0, 0xB0, 0xB8)
LEAST_RANGE = 20.0


def tone(points: float | None) -> str:
    """Ink of a signed amount in points: up1..3, down1..3, dim without one."""
    if points is None:
        return "faint"
    size = abs(points)
    if size <= 0.5:
        return "muted"
    strength = (size >= CUTS[0]) + (size >= CUTS[1])
    return (UPS if points > 0 else DOWNS)[strength]


def bar(value: float | None, half: int, glyphs: Glyphs, ink: Ink, full: float = 100.0) -> Cell:
    """A bar from the middle of 2 x half + 1 cells, right for plus; half steps."""
    if value is None:
        return (Segment(" " * half + glyphs.none + " " * half, ink["faint"]),)
    steps = min(2 * half, round(abs(value) / full * 2 * half))
    whole, rest = divmod(steps, 2)
    style = ink[tone(value * 100.0 / full)]
    axis = Segment(glyphs.axis, ink["faint"])
    if steps == 0:
        return (Segment(" " * half, ink["faint"]), axis, Segment(" " * half, ink["faint"]))
    if value > 0:
        fill = glyphs.full * whole + glyphs.half_left * rest
        return (Segment(" " * half, ink["faint"]), axis, Segment(fill.ljust(half), style))
    fill = glyphs.half_right * rest + glyphs.full * whole
    return (Segment(fill.rjust(half), style), axis, Segment(" " * half, ink["faint"]))


def arrow(direction: int | None, glyphs: Glyphs) -> tuple[str, str]:
    """Glyph and ink name of a window's side."""
    if direction is None:
        return glyphs.none, "faint"
    if direction == 0:
        return glyphs.arrow_flat, "dim"
    return (glyphs.arrow_up, "up2") if direction > 0 else (glyphs.arrow_down, "down2")


def category(score: float | None, state: str, glyphs: Glyphs) -> tuple[str, str]:
    """Glyph and ink name of a category's cell: sign, strength, neutral, conflicted, none."""
    if score is None:
        return glyphs.none, "faint"
    if state.upper() == "CONFLICTED":
        return glyphs.conflict, "warn"
    if abs(score) < DEAD_BAND:
        return glyphs.neutral, "dim"
    strong = abs(score) * 100 >= CUTS[0]
    return (glyphs.up if score > 0 else glyphs.down)[strong], tone(score * 100)


def runs(marks: Iterable[tuple[str, str]], ink: Ink) -> Cell:
    """Glyphs with their inks as the fewest segments."""
    return tuple(
        Segment("".join(glyph for glyph, _ in group), ink[name])
        for name, group in groupby(marks, key=lambda mark: mark[1])
    )


@lru_cache(maxsize=2048)
def sparkline(
    values: tuple[float | None, ...], width: int, levels: str = ""
) -> tuple[tuple[str, str], ...]:
    """Columns of the last values with the ink of their sign: braille two a cell, `levels` one.

    Scaled to their own range, at least 20 points of it; a missing value leaves a gap.
    """
    each = 1 if levels else 2
    last = values[-width * each :]
    last = (None,) * (width * each - len(last)) + last
    known = [v for v in last if v is not None]
    if not known:
        return ((" ", "faint"),) * width
    low, high = min(known), max(known)
    middle, span = (low + high) / 2, max(high - low, LEAST_RANGE)
    return tuple(
        _column(last[n : n + each], middle - span / 2, span, levels)
        for n in range(0, len(last), each)
    )


def _column(
    pair: tuple[float | None, ...], low: float, span: float, levels: str
) -> tuple[str, str]:
    known = [v for v in pair if v is not None]
    if not known:
        return " ", "faint"
    # A trend is a background to the bias: it never shines as the strongest do.
    name = tone(sum(known) / len(known)).replace("3", "2")
    if levels:
        top = len(levels) - 1
        return levels[min(top, int((known[0] - low) / span * len(levels)))], name
    bits = 0
    for value, dots in zip(pair, (LEFT_DOTS, RIGHT_DOTS), strict=True):
        if value is not None:
            bits |= dots[min(3, max(0, int((value - low) / span * 4)))]
    return chr(0x2800 + bits), name
