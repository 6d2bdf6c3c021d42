"""The line a filter is typed into; it takes the footer's place."""

from textual.widgets import Input


class FilterLine(Input):
    """Hidden until it is asked for."""

    def __init__(self, placeholder: str) -> None:
        super().__init__(placeholder=placeholder, compact=True, id="filter")
        self.cursor_blink = False
