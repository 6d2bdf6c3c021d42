"""Canvas: a grid of one-cell glyphs that a drawing is put together on, layer over layer."""

from collections.abc import Sequence
from itertools import groupby

from rich.segment import Segment

from cockpit.theme import Ink
from cockpit.widgets.text import Cell, Line

BLANK = "blank"


class Canvas:
    """Glyphs with the names of their inks, (rows, columns); what is blank is nothing yet."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = max(columns, 0), max(rows, 0)
        self._glyphs = [[" "] * self.columns for _ in range(self.rows)]
        self._inks = [[BLANK] * self.columns for _ in range(self.rows)]

    def put(self, x: int, y: int, glyph: str, ink: str) -> None:
        """Draw over what is there; outside there is nothing to draw on."""
        if 0 <= x < self.columns and 0 <= y < self.rows:
            self._glyphs[y][x] = glyph
            self._inks[y][x] = ink

    def under(self, x: int, y: int, glyph: str, ink: str) -> None:
        """Draw where nothing is drawn yet."""
        if self.free(x, y):
            self._glyphs[y][x] = glyph
            self._inks[y][x] = ink

    def rule(self, y: int, glyph: str, ink: str) -> None:
        """A line all across, under what is there."""
        for x in range(self.columns):
            self.under(x, y, glyph, ink)

    def write(self, x: int, y: int, said: str, ink: str) -> None:
        """Put a text; what does not fit is left out."""
        for n, glyph in enumerate(said):
            self.put(x + n, y, glyph, ink)

    def lay(self, x: int, y: int, lines: Sequence[str], inks: Sequence[str]) -> None:
        """Put lines of glyphs under what is there, an ink for each column; spaces leave it."""
        for down, line in enumerate(lines):
            if line.isspace():
                continue
            for n, glyph in enumerate(line):
                if glyph != " ":
                    self.under(x + n, y + down, glyph, inks[n])

    def free(self, x: int, y: int) -> bool:
        """Whether a place is on the canvas and nothing is drawn there."""
        return 0 <= x < self.columns and 0 <= y < self.rows and self._inks[y][x] is BLANK

    def row(self, y: int, ink: Ink) -> Cell:
        """One row as the fewest segments."""
        out, start = [], 0
        glyphs = "".join(self._glyphs[y])
        for name, group in groupby(self._inks[y]):
            end = start + len(list(group))
            out.append(Segment(glyphs[start:end], ink[name]))
            start = end
        return tuple(out)

    def lines(self, ink: Ink) -> list[Line]:
        """All rows."""
        return [(self.row(y, ink),) for y in range(self.rows)]
