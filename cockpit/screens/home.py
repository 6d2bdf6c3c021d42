"""Home: the grid, the categories of the row under the cursor beside it, notices and feeds below."""

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input

from cockpit.screens.stage import Stage
from cockpit.theme import Look
from cockpit.widgets.bars import Footer, Header
from cockpit.widgets.breakdown import Breakdown
from cockpit.widgets.grid import Grid, Heads
from cockpit.widgets.panels import Feeds, Notices

SIDE_FROM = 120
SIDE = ((220, 50), (SIDE_FROM, 38))
LEAST_PANEL = 4
SIDE_BY_SIDE = 120


class Home(Stage):
    """The first screen; `side` is whether the user wants the side panel where there is room."""

    def __init__(self, look: Look, hints: tuple[tuple[str, str], ...], symbols: int) -> None:
        super().__init__(look)
        self._hints = hints
        self._symbols = symbols
        self.side = True

    def parts(self) -> ComposeResult:
        look = self.look
        yield Header(look, id="header")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Heads(look, id="heads")
                yield Grid(look, id="grid")
                with Container(id="below"):
                    yield Notices(look, id="notices")
                    yield Feeds(look, id="feeds")
            yield Breakdown(look, id="side")
        line = Input(
            placeholder="part of a symbol, Enter keeps, Esc clears", compact=True, id="filter"
        )
        line.cursor_blink = False
        yield line
        yield Footer(look, self._hints, id="footer")

    def on_mount(self) -> None:
        self.filter_line.display = False

    @property
    def filter_line(self) -> Input:
        return self.query_one("#filter", Input)

    @property
    def footer(self) -> Footer:
        return self.query_one("#footer", Footer)

    def shown(self) -> tuple[Widget, ...]:
        names = ("header", "heads", "grid", "notices", "feeds", "side", "footer")
        return tuple(self.query_one(f"#{name}") for name in names)

    def fit_to(self, width: int, height: int) -> None:
        side = next((size for least, size in SIDE if width >= least), 0)
        panel = self.query_one("#side")
        panel.display = bool(side) and self.side
        panel.styles.width = side or 1
        below = self.query_one("#below")
        room = height - 3 - self._symbols
        below.display = room >= LEAST_PANEL
        below.styles.height = max(0, room - 1)
        below.set_class(width - side < SIDE_BY_SIDE, "-stacked")

    def toggle_side(self) -> bool:
        """Show or hide the side panel; False where there is no room for one."""
        if self.size.width < SIDE_FROM:
            return False
        self.side = not self.side
        self.fit_to(*self.size)
        self.call_after_refresh(self._again)
        return True

    def ask_filter(self, present: str) -> None:
        """Put the filter line in the footer's place."""
        self.footer.display = False
        self.filter_line.value = present
        self.filter_line.display = True
        self.filter_line.focus()

    def end_filter(self) -> None:
        """Put the footer back."""
        self.set_focus(None)
        self.filter_line.display = False
        self.footer.display = True
        self.call_after_refresh(self._again)
