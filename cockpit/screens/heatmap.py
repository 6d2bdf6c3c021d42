"""The heat map: every symbol by every category in the active mode."""

from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widget import Widget

from cockpit.academy import pages
from cockpit.screens.stage import Stage
from cockpit.screens.symbol import Symbol
from cockpit.theme import Look
from cockpit.widgets.bars import Header
from cockpit.widgets.cellpanel import CellPanel
from cockpit.widgets.heat import Heat, MapHeads, least, ordered
from cockpit.widgets.ranks import WITHIN
from cockpit.widgets.scene import Scene

SYMBOLS = 21
FOOT = 4
# With header, footer, two lines of heads and the cell below, every symbol is still there.
FOOT_FROM = SYMBOLS + FOOT + 4
COLUMNS = 25


class HeatMap(Stage):
    """Rows are the grid's; left and right move over the categories, Enter opens a cell's cards."""

    kind = "map"

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.families = False
        self.column = ""
        self._bare = False

    @property
    def wants(self) -> frozenset[str]:
        return frozenset({"readings"})

    def parts(self) -> ComposeResult:
        yield Header(self.look, id="header")
        with Container(id="map-body"):
            with Vertical(id="map-left"):
                yield MapHeads(self.look, id="map-heads")
                yield Heat(self.look, id="map-rows")
            yield CellPanel(self.look, surface="panel", id="cell")
        yield self.bar()

    def shown(self) -> tuple[Widget, ...]:
        names = ("header", "map-heads", "map-rows", "cell", "footer")
        return tuple(self.query_one(f"#{name}") for name in names)

    def show(self, scene: Scene) -> None:
        infos = scene.snapshot.categories
        if self.column not in {c.id for c in infos} and infos:
            self.column = infos[0].id
        bare = scene.waiting or not scene.rows
        if bare != self._bare:
            self._bare = bare
            if self.is_mounted:
                self._refit()
        if self.is_mounted:
            for widget in (self.query_one(MapHeads), self.query_one(Heat)):
                widget.families, widget.column = self.families, self.column
            self.query_one(CellPanel).column = self.column
        super().show(scene)

    def _refit(self) -> None:
        self.fit_to(*self.size)
        self.call_after_refresh(self.again)

    def fit_to(self, width: int, height: int) -> None:
        """The cell's panel below the map, or beside it where the lines are needed for symbols."""
        panel, left, heads = (self.query_one(f"#{name}") for name in ("cell", "map-left",
                                                                      "map-heads"))  # fmt: skip
        foot = height >= FOOT_FROM
        self.query_one(CellPanel).foot = foot
        self.query_one("#map-body").set_class(foot, "-foot")
        panel.display = not self._bare
        rows = len(self.scene.snapshot.symbols) if self.scene else SYMBOLS
        above = rows + (2 if self.families else 1)
        # The list of a cell's cards takes what the symbols leave.
        panel.styles.height = max(FOOT, height - 2 - above) if foot else "1fr"
        beside = max(least(COLUMNS, self.families), (width - SYMBOLS) * 2 // 3)
        left.styles.width = "1fr" if foot or self._bare else beside
        heads.styles.height = 2 if foot and self.families else 1
        heads.display = not self._bare

    def aside(self, step: int) -> bool:
        if self.scene is not None:
            ids = [c.id for c in ordered(self.scene.snapshot.categories, self.families)]
            if self.column in ids:
                at = max(0, min(len(ids) - 1, ids.index(self.column) + step))
                self.column = ids[at]
        return True

    def reorder(self, step: int) -> None:
        self.families = not self.families
        self._refit()

    def on_heat_chosen(self, event: Heat.Chosen) -> None:
        self.column = event.column
        self.again()

    def topic(self) -> tuple[str, str] | None:
        return (self.column, "") if self.column in pages() else None

    def opens(self) -> Stage | None:
        """The symbol's cards of the category under the cursor."""
        if self.scene is None or self._bare:
            return None
        return Symbol(self.look, WITHIN + self.column)
