"""Drawings inside a cell: bias bars, category glyphs, arrows, sparklines."""

from collections.abc import Iterable
from functools import lru_cache

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
QUIET = {"up3": "up2", "down3": "down2"}


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
    if state == "CONFLICTED":
        return glyphs.conflict, "warn"
    size = abs(score)
    if size < DEAD_BAND:
        return glyphs.neutral, "dim"
    points = size * 100
    strong, strength = points >= CUTS[0], (points >= CUTS[0]) + (points >= CUTS[1])
    if score > 0:
        return glyphs.up[strong], UPS[strength]
    return glyphs.down[strong], DOWNS[strength]


def runs(marks: Iterable[tuple[str, str]], ink: Ink) -> Cell:
    """Glyphs with their inks as the fewest segments."""
    out: list[Segment] = []
    held, run = "", ""
    for glyph, name in marks:
        if name != held:
            if run:
                out.append(Segment(run, ink[held]))
            held, run = name, ""
        run += glyph
    if run:
        out.append(Segment(run, ink[held]))
    return tuple(out)


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
    span = max(high - low, LEAST_RANGE)
    low = (low + high - span) / 2
    if levels:
        return tuple(_step(value, (value - low) / span, levels) if value is not None
                     else (" ", "faint") for value in last)  # fmt: skip
    return tuple(
        _dots(left, right, low, span) for left, right in zip(last[::2], last[1::2], strict=True)
    )


def _step(value: float, share: float, levels: str) -> tuple[str, str]:
    return levels[min(len(levels) - 1, int(share * len(levels)))], _quiet(value)


def _dots(left: float | None, right: float | None, low: float, span: float) -> tuple[str, str]:
    """Two values as the dots of one braille cell."""
    bits = 0
    if left is not None:
        bits = LEFT_DOTS[min(3, int((left - low) / span * 4))]
    if right is not None:
        bits |= RIGHT_DOTS[min(3, int((right - low) / span * 4))]
    if left is None or right is None:
        known = right if left is None else left
        return (chr(0x2800 + bits), _quiet(known)) if known is not None else (" ", "faint")
    return chr(0x2800 + bits), _quiet((left + right) / 2)


def _quiet(points: float) -> str:
    """A trend is a background to the bias: it never shines as the strongest do."""
    return QUIET.get(found := tone(points), found)
