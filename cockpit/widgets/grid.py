"""The grid: a row for each symbol, a cell redrawn only when what it shows has changed."""

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate

from rich.segment import Segment
from textual import events
from textual.message import Message

from cockpit.theme import Look
from cockpit.widgets.columns import COLUMNS, column_at, heads, layout
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene, is_stale
from cockpit.widgets.sorting import Order
from cockpit.widgets.states import empty_lines, waiting_lines
from cockpit.widgets.text import Cell, Line
from engine.snapshot import SymbolState


@dataclass
class _Row:
    """What a row showed last: the key and the cell of each of its columns."""

    style: tuple[object, ...] = ()
    keys: list[object] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    line: Line = ()


class Heads(Lines):
    """The line of column heads above the grid; a click on one sorts by it."""

    class Sorted(Message):
        """The user wants rows by this column."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.order = Order()
        self._mode = ""

    def show(self, scene: Scene) -> None:
        self._mode = scene.mode
        self.show_lines([heads(scene, self.size.width, self.ink, self.look.glyphs, self.order)])

    def on_click(self, event: events.Click) -> None:
        if column := column_at(event.x, self.size.width, self._mode):
            self.post_message(self.Sorted(column))


class Grid(Lines):
    """All symbols at a glance, or a sentence on why there is nothing to see."""

    class Picked(Message):
        """The user clicked on a row."""

        def __init__(self, symbol: str) -> None:
            super().__init__()
            self.symbol = symbol

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self._rows: dict[str, _Row] = {}
        self._scene: Scene | None = None
        self._places: tuple[tuple[str, int], ...] = ()

    def show(self, scene: Scene) -> None:
        self._scene = scene
        size = self.size
        if scene.waiting:
            self.show_lines(waiting_lines(scene, size.width, size.height, self.look, self.ink))
        elif not scene.rows:
            self.show_lines(empty_lines(scene, size.width, size.height, self.look, self.ink))
        else:
            places = layout(size.width, scene.mode)
            lines = [self._row(s, scene, places, n) for n, s in enumerate(scene.rows)]
            self.show_lines(lines, starts(places) if places == self._places else ())
            self._places = places
            self.reveal(scene.place)
            return
        self._places = ()

    def _row(
        self, state: SymbolState, scene: Scene, places: tuple[tuple[str, int], ...], n: int
    ) -> Line:
        """The row's line: the old one when nothing changed, old cells where they still hold."""
        row = self._rows.setdefault(state.id, _Row())
        cursor, stale = n == scene.place, is_stale(state)
        style = (cursor, stale, places)
        columns = [COLUMNS[name] for name, _ in places]
        keys = [column.key(state, scene.mode) for column in columns]
        if style == row.style and keys == row.keys:
            return row.line
        ink = self.look.ink("cursor" if cursor else "background", stale)
        gap = Segment(" ", ink["blank"])
        kept = row.cells if style == row.style else []
        row.cells = [
            kept[i]
            if kept and keys[i] == row.keys[i]
            else (*columns[i].draw(keys[i], size, self.look.glyphs, ink), gap)
            for i, (_, size) in enumerate(places)
        ]
        row.style, row.keys = style, keys
        mark = Segment(self.look.glyphs.cursor if cursor else " ", ink["accent"])
        used = 1 + sum(size + 1 for _, size in places)
        tail = Segment(" " * max(0, self.size.width - used), ink["blank"])
        row.line = ((mark,), *row.cells, (tail,))
        return row.line

    def on_click(self, event: events.Click) -> None:
        y = event.y + self.scroll_offset.y
        if self._scene and not self._scene.waiting and y < len(self._scene.rows):
            self.post_message(self.Picked(self._scene.rows[y].id))


@lru_cache(maxsize=16)
def starts(places: tuple[tuple[str, int], ...]) -> tuple[int, ...]:
    """Columns at which the cursor mark, each cell and the tail begin."""
    return (0, *accumulate((size + 1 for _, size in places), initial=1))
