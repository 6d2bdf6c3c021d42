"""Home: the grid, the categories of the row under the cursor beside it, alerts and feeds below."""

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.widget import Widget

from cockpit.ranking import Ranking
from cockpit.screens.stage import Stage
from cockpit.theme import Look
from cockpit.widgets.bars import Header
from cockpit.widgets.breakdown import Breakdown
from cockpit.widgets.columns import sortable
from cockpit.widgets.filter import FilterLine
from cockpit.widgets.grid import Grid, Heads
from cockpit.widgets.panels import Feeds, News
from cockpit.widgets.scene import Scene
from cockpit.widgets.sorting import Order
from engine.snapshot import MODES, Snapshot

SIDE_FROM = 120
SIDE = ((220, 50), (SIDE_FROM, 38))
LEAST_PANEL = 4
SIDE_BY_SIDE = 120


class Home(Stage):
    """The first screen; `side` is whether the user wants the side panel where there is room."""

    kind = "home"

    def __init__(self, look: Look, symbols: int) -> None:
        super().__init__(look)
        self._symbols = symbols
        self.side = True
        self.order = Order()
        self._ranking = Ranking()

    def parts(self) -> ComposeResult:
        look = self.look
        yield Header(look, id="header")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Heads(look, id="heads")
                yield Grid(look, id="grid")
                with Container(id="below"):
                    yield News(look, id="news")
                    yield Feeds(look, id="feeds")
            yield Breakdown(look, id="side")
        yield FilterLine("part of a symbol, Enter keeps, Esc clears")
        yield self.bar()

    def shown(self) -> tuple[Widget, ...]:
        names = ("header", "heads", "grid", "news", "feeds", "side", "footer")
        return tuple(self.query_one(f"#{name}") for name in names)

    def show(self, scene: Scene) -> None:
        if self.is_mounted:
            self.query_one(Heads).order = self.order
        super().show(scene)

    def on_heads_sorted(self, event: Heads.Sorted) -> None:
        self.order = self.order.by(event.column)

    def ranks(self, snapshot: Snapshot, mode: str) -> tuple[str, ...]:
        """Ids in the chosen order, empty for the config's own."""
        return self._ranking.order(snapshot, self.order, mode)

    def reorder(self, step: int) -> None:
        names = sortable(
            self.query_one(Grid).size.width, self.scene.mode if self.scene else MODES[0]
        )
        at = names.index(self.order.column) if self.order.column in names else 0
        self.order = Order(names[(at + step) % len(names)])

    def turn(self) -> None:
        self.order = self.order.by(self.order.column)

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
        self.call_after_refresh(self.again)
        return True
