"""The grid: a row for each symbol, a cell redrawn only when what it shows has changed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate

from rich.segment import Segment
from textual import events
from textual.message import Message

from cockpit.theme import Ink, Look
from cockpit.widgets.columns import Column, column_at, column_of, heads, layout
from cockpit.widgets.flash import flashed
from cockpit.widgets.lines import Lines
from cockpit.widgets.presets import OVERVIEW, Places
from cockpit.widgets.scene import Scene, is_stale
from cockpit.widgets.sorting import Order
from cockpit.widgets.states import empty_lines, waiting_lines
from cockpit.widgets.text import Cell, Line
from engine.snapshot import SymbolState

# Beside the bias of the active mode: what a trader waits for to move.
FLASHING = ("price", "bias")


@dataclass
class _Row:
    """What a row showed last: the key and the cell of each of its columns.

    `plain`: the cells, without their flash, of those that flashed with the last paint.
    """

    style: tuple[object, ...] = ()
    ink: Ink | None = None
    keys: list[object] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    line: Line = ()
    plain: dict[int, Cell] = field(default_factory=dict)


@dataclass(frozen=True)
class _Form:
    """What all rows have in common: `tail` fills the line up, `flashing` are columns by id."""

    places: Places
    columns: tuple[Column, ...]
    tail: str
    flashing: frozenset[str]
    lit: bool


@lru_cache(maxsize=16)
def _form(places: Places, width: int, mode: str, lit: bool) -> _Form:
    columns = tuple(column_of(name) for name, _ in places)
    used = 1 + sum(size + 1 for _, size in places)
    return _Form(places, columns, " " * max(0, width - used), frozenset([*FLASHING, mode]), lit)


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
        self.preset = OVERVIEW
        self._places: Places = ()

    def show(self, scene: Scene) -> None:
        self._places = layout(self.size.width, scene.mode, self.preset)
        self.show_lines([heads(scene, self._places, self.ink, self.look.glyphs, self.order)])

    def on_click(self, event: events.Click) -> None:
        if column := column_at(event.x, self._places):
            self.post_message(self.Sorted(column))


class Grid(Lines):
    """All symbols at a glance, or a sentence on why there is nothing to see.

    `pins`: symbols that are marked; `flash`: whether digits that changed are bright for one paint.
    """

    class Picked(Message):
        """The user clicked on a row."""

        def __init__(self, symbol: str) -> None:
            super().__init__()
            self.symbol = symbol

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.preset = OVERVIEW
        self.pins: tuple[str, ...] = ()
        self.flash = False
        self._rested = True
        self._rows: dict[str, _Row] = {}
        self._scene: Scene | None = None
        self._places: Places = ()

    def show(self, scene: Scene) -> None:
        self._scene = scene
        size = self.size
        rested, self._rested = self._rested, False
        if scene.waiting:
            self.show_lines(waiting_lines(scene, size.width, size.height, self.look, self.ink))
        elif not scene.rows:
            self.show_lines(empty_lines(scene, size.width, size.height, self.look, self.ink))
        else:
            places = layout(size.width, scene.mode, self.preset)
            lit = self.flash and bool(self.look.colours) and not rested
            form = _form(places, size.width, scene.mode, lit)
            lines = [self._row(s, scene, form, n) for n, s in enumerate(scene.rows)]
            self.show_lines(lines, starts(places) if places == self._places else ())
            self._places = places
            self.reveal(scene.place)
            return
        self._places = ()

    def rest(self) -> None:
        """Nothing flashes with the next paint: what changed meanwhile is not news."""
        self._rested = True

    def _row(self, state: SymbolState, scene: Scene, form: _Form, n: int) -> Line:
        """The row's line: the old one when nothing changed, old cells where they still hold."""
        row = self._rows.setdefault(state.id, _Row())
        cursor, stale, pinned = n == scene.place, is_stale(state), state.id in self.pins
        ink, glyphs = self.look.ink("cursor" if cursor else "background", stale), self.look.glyphs
        style = (cursor, pinned, scene.mode, form.places)
        keys = [column.key(state, scene.mode) for column in form.columns]
        alike = style == row.style and ink is row.ink
        if alike and keys == row.keys and not row.plain:
            return row.line
        self._redraw(row, keys, ink, alike, form, form.lit and not stale)
        row.style, row.ink = style, ink
        mark = glyphs.cursor if cursor else glyphs.axis if pinned else " "
        tail = Segment(form.tail, ink["blank"])
        row.line = ((Segment(mark, ink["accent"]),), *row.cells, (tail,))
        return row.line

    def _redraw(
        self, row: _Row, keys: list[object], ink: Ink, alike: bool, form: _Form, lit: bool
    ) -> None:
        """Draw the cells whose keys are new; those that flashed before show their plain form."""
        gap, glyphs = Segment(" ", ink["blank"]), self.look.glyphs
        columns, places = form.columns, form.places
        changed: Iterable[int] = range(len(keys))
        cells: list[Cell] = [()] * len(keys)
        if alike:
            cells = row.cells.copy()
            for i, cell in row.plain.items():
                cells[i] = cell
            changed = [i for i, key in enumerate(keys) if key != row.keys[i]]
        row.plain = {}
        for i in changed:
            drawn = columns[i].draw(keys[i], places[i][1], glyphs, ink)
            before, cells[i] = cells[i], (*drawn, gap)
            if lit and before and columns[i].id in form.flashing:
                bright = flashed(before[:-1], drawn, ink["strong"])
                if bright is not drawn:
                    row.plain[i], cells[i] = cells[i], (*bright, gap)
        row.keys, row.cells = keys, cells

    def on_click(self, event: events.Click) -> None:
        y = event.y + self.scroll_offset.y
        if self._scene and not self._scene.waiting and y < len(self._scene.rows):
            self.post_message(self.Picked(self._scene.rows[y].id))


@lru_cache(maxsize=16)
def starts(places: Places) -> tuple[int, ...]:
    """Columns at which the cursor mark, each cell and the tail begin."""
    return (0, *accumulate((size + 1 for _, size in places), initial=1))
