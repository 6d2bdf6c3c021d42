"""A screen as an SVG picture that needs no font of its own: bars, dots and arrows are shapes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape
from re import finditer

from rich.segment import Segment
from rich.style import Style

CELL_W, CELL_H, PAD = 8, 17, 12
FONT = "'DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono',monospace"
# Corners of a glyph in quarters of a cell's width and height: x1, y1, x2, y2.
BOXES = {
    "━": (0, 1.7, 4, 2.3), "╸": (0, 1.7, 2, 2.3), "╺": (2, 1.7, 4, 2.3), "─": (0, 1.9, 4, 2.1),
    "│": (1.8, 0, 2.2, 4),
}  # fmt: skip
SHAPES = {
    "▲": ((0.4, 2.9), (3.6, 2.9), (2, 1.1)), "▼": ((0.4, 1.1), (3.6, 1.1), (2, 2.9)),
    "▸": ((1, 1.1), (1, 2.9), (3.4, 2)),
}  # fmt: skip
# Bits of a braille cell, down the left column and down the right one.
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))


def picture(rows: Sequence[Iterable[Segment]], width: int, title: str) -> str:
    """An SVG of rows of segments, each `width` cells; the same rows give the same text."""
    size = (width * CELL_W + 2 * PAD, len(rows) * CELL_H + 2 * PAD)
    grounds: dict[str, list[str]] = defaultdict(list)
    shapes: dict[str, list[str]] = defaultdict(list)
    words: list[str] = []
    ground = "#000000"
    for y, row in enumerate(rows):
        x = 0
        for text, style, _ in row:
            front, back = _colours(style)
            if x == y == 0:
                ground = back
            if back != ground:
                grounds[back].append(_box(x, y, 0, 0, 4 * len(text), 4))
            words += _words(text, x, y, front, bool(style and style.bold))
            for n, glyph in enumerate(text):
                if drawn := _shape(glyph, x + n, y):
                    shapes[front].append(drawn)
            x += len(text)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" '
        f'width="{size[0]}" height="{size[1]}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
        f"<style>text{{font:13px {FONT};white-space:pre}}.b{{font-weight:bold}}</style>",
        f'<rect width="{size[0]}" height="{size[1]}" rx="8" fill="{ground}"/>',
        *(f'<path fill="{colour}" d="{"".join(parts)}"/>' for colour, parts in grounds.items()),
        *(f'<path fill="{colour}" d="{"".join(parts)}"/>' for colour, parts in shapes.items()),
        *words, "</svg>", "",
    ])  # fmt: skip


def _colours(style: Style | None) -> tuple[str, str]:
    """Foreground and background as `#rrggbb`."""
    found = [style and style.color, style and style.bgcolor]
    front, back = (
        colour.get_truecolor(foreground=n == 0).hex if colour else ("#d0d0d0", "#000000")[n]
        for n, colour in enumerate(found)
    )
    return (back, front) if style and style.reverse else (front, back)


def _words(text: str, x: int, y: int, colour: str, bold: bool) -> list[str]:
    """What is left to the viewer's font, word by word, each held to its width."""
    plain = "".join(" " if _shape(c, 0, 0) or c in "\u2800" else c for c in text)
    out = []
    for found in finditer(r"\S+(?: \S+)*", plain):
        word = found.group()
        left, base = PAD + (x + found.start()) * CELL_W, PAD + y * CELL_H + 13
        weight = ' class="b"' if bold else ""
        out.append(
            f'<text x="{left}" y="{base}" textLength="{len(word) * CELL_W}" fill="{colour}"'
            f"{weight}>{escape(word)}</text>"
        )
    return out


def _shape(glyph: str, x: int, y: int) -> str:
    """A glyph as a path; empty where it is a letter."""
    if glyph in BOXES:
        return _box(x, y, *BOXES[glyph])
    if glyph in SHAPES:
        points = (_point(x, y, *corner) for corner in SHAPES[glyph])
        return "M" + "L".join(points) + "z"
    if glyph == "●":
        return f"M{_point(x, y, 0.7, 2)}a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0 -5.2 0z"
    bits = ord(glyph) - 0x2800
    if not 0 < bits < 256:
        return ""
    return "".join(
        _box(x, y, 2 * column + 0.5, row + 0.25, 2 * column + 1.5, row + 0.75)
        for column, dots in enumerate(DOTS)
        for row, dot in enumerate(dots)
        if bits & dot
    )


def _box(x: int, y: int, x1: float, y1: float, x2: float, y2: float) -> str:
    wide, high = (x2 - x1) * CELL_W / 4, (y2 - y1) * CELL_H / 4
    return f"M{_point(x, y, x1, y1)}h{wide:g}v{high:g}h{-wide:g}z"


def _point(x: int, y: int, across: float, down: float) -> str:
    return f"{PAD + x * CELL_W + across * CELL_W / 4:g} {PAD + y * CELL_H + down * CELL_H / 4:g}"
