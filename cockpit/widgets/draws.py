"""What stands in a cell of the grid: a key drawn at a width."""

from collections.abc import Callable

from rich.segment import Segment

from cockpit.theme import Glyphs, Ink
from cockpit.widgets import marks, text
from cockpit.widgets.text import Cell, cell, fit

Draw = Callable[[object, int, Glyphs, Ink], Cell]


def missing(size: int, glyphs: Glyphs, ink: Ink, align: str = "right") -> Cell:
    return cell(glyphs.none, size, ink["faint"], align)


def symbol(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    name, priced = key if isinstance(key, tuple) else (str(key), True)
    return cell(name, size, ink["strong" if priced else "dim"], "left", glyphs.ellipsis)


def texted(ink_name: str, align: str = "right") -> Draw:
    """Draw a key that is a text or None in one ink."""

    def draw(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
        if key is None:
            return missing(size, glyphs, ink, align)
        return cell(str(key), size, ink[ink_name], align)

    return draw


def signed_text(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    if key is None:
        return missing(size, glyphs, ink)
    shown = str(key)
    name = "down1" if shown[0] == "-" else "up1"
    return cell(shown, size, ink[name if shown.strip("+-0.%") else "muted"], "right")


def bias(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    """Bar and number where both fit, else the number alone; a text key is a 0 that says nothing."""
    value = key if isinstance(key, int | float) else None
    shown = text.signed(value) or (str(key) if key else glyphs.none)
    number = cell(shown, 4, ink["dim" if isinstance(key, str) else marks.tone(value)], "right")
    if size < 10:
        return number
    value = 0.0 if isinstance(key, str) else value
    half = (size - 5) // 2
    drawn = marks.bar(value, half, glyphs, ink)
    spare = size - 4 - (2 * half + 1)
    return (*drawn, Segment(" " * spare, ink["blank"]), *number) if spare else (*drawn, *number)


def decision(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    if not isinstance(key, tuple):
        return missing(size, glyphs, ink, "left")
    long, short, name = key
    return cell(long if size >= 12 else short, size, ink[name], "left", glyphs.ellipsis)


def conviction(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    if not isinstance(key, tuple):
        return missing(size, glyphs, ink)
    return cell(key[size >= 7], size, ink["text"], "right")


def points(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    """A category's glyph and its points."""
    if not isinstance(key, tuple):
        return missing(size, glyphs, ink)
    score, state, found = key
    glyph, tone = marks.category(score, state, glyphs)
    shown = cell(text.signed(found, 1) or glyphs.none, size - 2, ink[marks.tone(found)], "right")
    return (Segment(glyph + " ", ink[tone]), *shown)


def state(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    if not isinstance(key, tuple):
        return missing(size, glyphs, ink, "left")
    return cell(key[0], size, ink[key[1]], "left", glyphs.ellipsis)


def arrows(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    found = [marks.arrow(d, glyphs) for d in key] if isinstance(key, tuple) else []
    if not found:
        return missing(size, glyphs, ink, "left")
    # The config may give a mode more windows than the usual three.
    found = found[:size]
    gap = " " * max(0, min(2, (size - len(found)) // max(1, len(found) - 1)))
    drawn = [(glyph + gap, name) for glyph, name in found[:-1]]
    used = len(found) + len(gap) * len(drawn)
    return padded(marks.runs([*drawn, found[-1]], ink), size - used, ink)


def strip(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    lines = key.values() if isinstance(key, dict) else ()
    found = [marks.category(line.score, line.state, glyphs) for line in lines][:size]
    return padded(marks.runs(found, ink), size - len(found), ink)


def spark(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    history = key if isinstance(key, tuple) else ()
    return marks.runs(marks.sparkline(history, size, glyphs.levels), ink)


def liquidated(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    if not isinstance(key, tuple):
        return missing(size, glyphs, ink)
    longs, shorts = (glyphs.none if side is None else side for side in key)
    half = size // 2
    return (
        Segment(fit(longs, half, "right"), ink["muted" if key[0] else "faint"]),
        Segment("/", ink["faint"]),
        Segment(fit(shorts, size - half - 1), ink["muted" if key[1] else "faint"]),
    )


def age(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    if not isinstance(key, tuple):
        return missing(size, glyphs, ink)
    return cell(key[0], size, ink["warn" if key[1] else "dim"], "right")


def padded(drawn: Cell, spare: int, ink: Ink) -> Cell:
    return (*drawn, Segment(" " * spare, ink["blank"])) if spare else drawn
