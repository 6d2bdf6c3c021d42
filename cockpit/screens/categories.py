"""The category breakdown as a screen of its own, for terminals too narrow for the side panel."""

from textual.app import ComposeResult
from textual.widget import Widget

from cockpit.screens.stage import Stage
from cockpit.theme import Look
from cockpit.widgets.bars import Footer, Header
from cockpit.widgets.breakdown import Breakdown


class Categories(Stage):
    """Breakdown of the row under the cursor; the cursor moves here too."""

    def __init__(self, look: Look, hints: tuple[tuple[str, str], ...]) -> None:
        super().__init__(look)
        self._hints = hints

    def parts(self) -> ComposeResult:
        yield Header(self.look, id="header")
        yield Breakdown(self.look, id="whole")
        yield Footer(self.look, self._hints, id="footer")

    def shown(self) -> tuple[Widget, ...]:
        return tuple(self.query_one(f"#{name}") for name in ("header", "whole", "footer"))

    def page(self, direction: int) -> bool:
        whole = self.query_one("#whole", Breakdown)
        whole.scroll_relative(y=direction * (whole.size.height - 1), animate=False)
        return True
