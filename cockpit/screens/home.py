"""Home: the grid, the categories of the row under the cursor beside it, alerts and feeds below."""

from typing import Protocol

from textual.app import ComposeResult
from textual.containers import Container, Horizontal, Vertical
from textual.widget import Widget

from cockpit.expressions import EXAMPLES, Fault, Known, Node, Part, names, parse
from cockpit.ranking import Ranking
from cockpit.screens.stage import Stage
from cockpit.theme import Look
from cockpit.widgets.bars import Header
from cockpit.widgets.breakdown import Breakdown
from cockpit.widgets.columns import COLUMNS, column_of, layout, sortable
from cockpit.widgets.filter import FilterLine
from cockpit.widgets.grid import Grid, Heads
from cockpit.widgets.panels import Feeds, News, lines_of
from cockpit.widgets.presets import OVERVIEW, Places, Preset, all_presets
from cockpit.widgets.scene import Scene
from cockpit.widgets.sorting import Order
from cockpit.widgets.text import wrap
from cockpit.widgets.totals import Totals
from engine.snapshot import MODES, Snapshot

SIDE_FROM = 120
SIDE = ((220, 50), (SIDE_FROM, 38))
LEAST_PANEL = 4
SIDE_BY_SIDE = 120
# Cells of a line of names in the help.
NAMES = 60
ASKED = "part of a symbol, or bias > 40 and conf > 60; Enter keeps, Esc clears"


class Settings(Protocol):
    """What the config says of the grid."""

    flash: bool
    presets: dict[str, list[str]]


class Home(Stage):
    """The first screen.

    `side` is whether the user wants the side panel where there is room; `pins` are the symbols kept
    above the others, in the order they were pinned.
    """

    kind = "home"

    def __init__(self, look: Look, symbols: int) -> None:
        self._known = Known((), ())
        self._filter = self._before = ""
        self._node: Node | None = None
        super().__init__(look)
        self._symbols = symbols
        self.side = True
        self.order = Order()
        self.pins: tuple[str, ...] = ()
        self.presets: tuple[Preset, ...] = (OVERVIEW,)
        self.columns = OVERVIEW
        self._ranking = Ranking()
        self._feeds = (0, 1)

    def parts(self) -> ComposeResult:
        look = self.look
        yield Header(look, id="header")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Heads(look, id="heads")
                yield Grid(look, id="grid")
                yield Totals(look, id="totals")
                with Container(id="below"):
                    yield News(look, id="news")
                    yield Feeds(look, id="feeds")
            yield Breakdown(look, id="side")
        yield FilterLine(ASKED, look)
        yield self.bar()

    def on_mount(self) -> None:
        settings: Settings = self.app.config  # type: ignore[attr-defined]
        self.presets = all_presets(settings.presets)
        self.columns = self.presets[0]
        self.query_one(Grid).flash = settings.flash

    def shown(self) -> tuple[Widget, ...]:
        names = ("header", "heads", "grid", "totals", "news", "feeds", "side", "footer")
        return tuple(self.query_one(f"#{name}") for name in names)

    def show(self, scene: Scene) -> None:
        if self.is_mounted:
            heads, grid, header = (self.query_one(kind) for kind in (Heads, Grid, Header))
            assert isinstance(heads, Heads)
            assert isinstance(grid, Grid)
            assert isinstance(header, Header)
            heads.order, grid.pins = self.order, self.pins
            heads.preset = grid.preset = self.columns
            header.view, header.plain = self._view(scene), self.columns is self.presets[0]
            if self._feeds != (feeds := (len(scene.feeds), lines_of(scene.feeds))):
                self._feeds = feeds
                self.fit_to(*self.size)
        super().show(scene)

    def _places(self, mode: str) -> Places:
        return layout(self.query_one(Grid).size.width, mode, self.columns)

    def _view(self, scene: Scene) -> str:
        """The preset's name; and the order, where no head can tell it."""
        shown = [name for name, _ in self._places(scene.mode)]
        if self.order.column in shown:
            return self.columns.name
        glyphs, column = self.look.glyphs, column_of(self.order.column)
        mark = glyphs.arrow_up if self.order.reverse else glyphs.arrow_down
        return f"{self.columns.name} by {column.head}{mark}"

    def explains(self) -> tuple[tuple[str, str], ...]:
        """The columns that are shown, those of other presets, how to filter by them."""
        shown = [name for name, _ in self._places(self.scene.mode if self.scene else MODES[0])]
        rest = [name for name in COLUMNS if name not in shown]
        told = [column_of(name) for name in (*shown, *rest)]
        return (
            *((c.head or c.id, c.help) for c in told),
            ("totals", "biases below -20, between, above +20; of the listed rows"),
            *(("filter", f"{said}   {help}") for said, help in EXAMPLES),
            *(("names", line) for line in wrap(" ".join(names()), NAMES)),
        )

    # Rows

    def ranks(self, snapshot: Snapshot, mode: str) -> tuple[str, ...]:
        """Ids of the rows: those that pass the filter, the pinned first, in the chosen order."""
        if len(self._known.symbols) != len(snapshot.symbols):
            self._known = Known.of(snapshot)
        ids = self._ranking.order(snapshot, self.order, mode)
        if node := self._node:
            kept = self._away()
            states = {state.id: state for state in snapshot.symbols}
            ids = tuple(i for i in ids if i == kept or node.passes(states[i], mode))
        if not self.pins:
            return ids
        pinned = tuple(i for i in self.pins if i in ids)
        return pinned + tuple(i for i in ids if i not in pinned)

    def _away(self) -> str | None:
        """What another screen shows stays listed, or the screen would turn to another symbol."""
        top = self.app.screen
        if top is self or not isinstance(top, Stage):
            return None
        scene = top.scene or self.scene
        return scene.current.id if scene and scene.current else None

    def on_screen_suspend(self) -> None:
        self.query_one(Grid).rest()
        self._settle()

    def on_input_submitted(self) -> None:
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        """The row that is marked is the cursor's from now on, though the filter chose it."""
        if self.scene and self.scene.current:
            self.post_message(Grid.Picked(self.scene.current.id))

    # Filter

    @property
    def filter(self) -> str:
        """The filter in force: what was typed last that can be understood."""
        return self._filter

    @filter.setter
    def filter(self, said: str) -> None:
        note = ""
        try:
            self._node = parse(said, self._known)
            self._filter = said
        except Fault as fault:
            note = str(fault)
            self._turn_back(said)
        else:
            if not isinstance(self._node, Part):
                self._before = said
        if line := self.filter_line:
            line.tell(note)

    def _turn_back(self, said: str) -> None:
        """Where the filter in force was only the beginning of a name, the one before it holds."""
        first = said.split()[0].lower()
        if isinstance(self._node, Part) and first.startswith(self._filter.lower()):
            self._filter = self._before
            self._node = parse(self._filter, self._known)

    def ask_filter(self) -> None:
        self._before = self._filter
        super().ask_filter()

    def end_filter(self) -> None:
        if line := self.filter_line:
            line.tell("")
        super().end_filter()

    # Order, pins, columns

    def on_heads_sorted(self, event: Heads.Sorted) -> None:
        self.order = self.order.by(event.column)

    def reorder(self, step: int) -> None:
        names = sortable(self._places(self.scene.mode if self.scene else MODES[0]))
        at = names.index(self.order.column) if self.order.column in names else 0
        self.order = Order(names[(at + step) % len(names)])

    def turn(self) -> None:
        self.order = self.order.by(self.order.column)

    def pin(self, symbol: str) -> None:
        pinned = symbol in self.pins
        self.pins = tuple(p for p in self.pins if p != symbol) + (() if pinned else (symbol,))

    def preset(self, step: int) -> None:
        at = self.presets.index(self.columns) if self.columns in self.presets else 0
        self.columns = self.presets[(at + step) % len(self.presets)]

    # Room

    def fit_to(self, width: int, height: int) -> None:
        side = next((size for least, size in SIDE if width >= least), 0)
        panel = self.query_one("#side")
        panel.display = bool(side) and self.side
        panel.styles.width = side or 1
        grid, totals, below = (self.query_one(f"#{name}") for name in ("grid", "totals", "below"))
        room = height - 3 - self._symbols
        totals.display = room >= 1
        grid.styles.height = self._symbols if room >= 1 else "1fr"
        # The line of totals and one that is blank; without panels, all that is left.
        below.display = room - 2 >= LEAST_PANEL
        totals.styles.height = 2 if below.display else "1fr"
        below.styles.height = max(0, room - 2)
        stacked = width - side < SIDE_BY_SIDE
        below.set_class(stacked, "-stacked")
        self._share(room - 2, stacked)

    def _share(self, lines: int, stacked: bool) -> None:
        """Of the panels below each other, feeds take what they need, news at least half."""
        feeds = self.query_one(Feeds)
        count, whole = self._feeds
        wanted = whole if whole <= lines // 2 else 1 + count
        feeds.display = not stacked or lines > 2 * LEAST_PANEL
        feeds.styles.height = (
            min(wanted, max(lines - LEAST_PANEL, lines // 2)) if stacked else "1fr"
        )

    def toggle_side(self) -> bool:
        """Show or hide the side panel; False where there is no room for one."""
        if self.size.width < SIDE_FROM:
            return False
        self.side = not self.side
        self.fit_to(*self.size)
        self.call_after_refresh(self.again)
        return True
