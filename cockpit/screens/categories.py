"""The category breakdown as a screen of its own, for terminals too narrow for the side panel."""

from cockpit.screens.stage import Page
from cockpit.widgets.breakdown import Breakdown
from cockpit.widgets.lines import Lines


class Categories(Page):
    """Breakdown of the row under the cursor; the cursor moves here too."""

    kind = "categories"

    def body(self) -> Lines:
        return Breakdown(self.look, id="whole")

    def move(self, rows: int) -> bool:
        return False
