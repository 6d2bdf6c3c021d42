"""The line a filter is typed into; it takes the footer's place."""

from rich.cells import cell_len
from rich.segment import Segment
from textual.strip import Strip
from textual.widgets import Input

from cockpit.theme import Look
from cockpit.widgets.text import clean, fit

# A note shorter than this says nothing.
LEAST_NOTE = 16


class FilterLine(Input):
    """Hidden until it is asked for; says at its right end what is wrong with what is typed."""

    def __init__(self, placeholder: str, look: Look | None = None) -> None:
        super().__init__(placeholder=placeholder, compact=True, id="filter")
        self.cursor_blink = False
        self._note = ""
        self._look = look

    def tell(self, note: str) -> None:
        """Show a sentence behind what is typed, none where it is empty."""
        if note != self._note:
            self._note = note
            self.refresh()

    def render_line(self, y: int) -> Strip:
        strip = super().render_line(y)
        width = self.scrollable_content_region.width
        room = width - cell_len(self.value) - 4
        if y or not self._note or room < LEAST_NOTE:
            return strip
        said, look = clean(self._note), self._look
        said = fit(said, min(len(said), room), ellipsis=look.glyphs.ellipsis if look else "")
        left = strip.adjust_cell_length(width).crop(0, width - len(said))
        return Strip([*left, Segment(said, look.ink("panel")["warn"] if look else self.rich_style)])
