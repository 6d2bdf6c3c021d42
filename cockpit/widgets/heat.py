"""Heat: every symbol by every category, one cell for each score; and the heads of its columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message

from cockpit.theme import Look
from cockpit.widgets import marks, text
from cockpit.widgets.grid import Grid
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene, composite, is_stale
from cockpit.widgets.states import empty_lines, waiting_lines
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import CategoryInfo, CategoryLine, SymbolState

SYMBOL = 7
BIAS = 6
# Widths of a cell: 2 and 3 hold a glyph, 4 a number, 7 both.
SIZES = (7, 4, 3, 2)
FAMILY_GAP = 1
# Names of two, three and at most six letters.
SHORT = {
    "composite_alpha": "CA Cmp Compos", "order_flow": "OF Flw Flow", "order_book": "OB Bok Book",
    "smart_money": "SM Smt Smart", "liquidation": "LQ Liq Liquid", "derivatives": "DV Drv Deriv",
    "funding": "FU Fnd Fund", "cross_exchange": "XE XEx X-Exch", "volatility": "VO Vol Volat",
    "momentum": "MO Mom Moment", "market_structure": "MS Str Struct",
    "volume_profile": "VP Prf VolPrf", "microstructure": "MI Mic Micro",
    "sentiment": "SE Sen Sentim", "on_chain": "OC Chn Chain", "defi": "DF DeF DeFi",
    "macro": "MA Mac Macro", "tradfi": "TF TrF TradFi", "options": "OP Opt Option",
    "cross_asset": "XA XAs X-Asst", "statistical": "ST Sta Stats", "regime": "RE Reg Regime",
    "session_time": "TI Ses Time", "risk_management": "RM Rsk Risk", "meta_signals": "ME Met Meta",
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Columns left to right, the width of each, and the blanks before each where families part."""

    columns: tuple[CategoryInfo, ...]
    size: int
    gaps: tuple[int, ...]
    bias: bool

    @property
    def starts(self) -> tuple[int, ...]:
        """Where symbol, cells, bias and the rest begin."""
        sizes = (gap + self.size for gap in self.gaps)
        return (0, *accumulate(sizes, initial=SYMBOL))

    def at(self, x: int) -> CategoryInfo | None:
        """The column at a place of the line."""
        for n, column in enumerate(self.columns):
            left = self.starts[n + 1]
            if left + self.gaps[n] <= x < left + self.gaps[n] + self.size:
                return column
        return None


def ordered(columns: Sequence[CategoryInfo], families: bool) -> tuple[CategoryInfo, ...]:
    """The columns as they are listed, or those of a family side by side."""
    groups = list(dict.fromkeys(c.group for c in columns))
    return tuple(sorted(columns, key=lambda c: groups.index(c.group)) if families else columns)


def plan(columns: Sequence[CategoryInfo], width: int, families: bool) -> Plan:
    """The widest cells there is room for, and the bias beside them where there is more."""
    placed = ordered(columns, families)
    gaps = tuple(
        FAMILY_GAP * (families and n > 0 and placed[n - 1].group != column.group)
        for n, column in enumerate(placed)
    )
    room = width - SYMBOL - sum(gaps)
    size = next((s for s in SIZES if s * len(placed) <= room), SIZES[-1])
    return Plan(placed, size, gaps, room - size * len(placed) >= BIAS)


def least(columns: int, families: bool) -> int:
    """The width of a map with the narrowest cells; five families part in four places."""
    return SYMBOL + SIZES[-1] * columns + 4 * FAMILY_GAP * families


def short_name(info: CategoryInfo, size: int) -> str:
    """The longest short name that fits beside another."""
    told = SHORT.get(info.id)
    names = told.split() if told else [info.name[:n] for n in (2, 3, 6)]
    return next((n for n in reversed(names) if len(n) < max(size, 3)), names[0])


class MapHeads(Lines):
    """Short names of the columns; with room for two lines, the families above them."""

    families = False
    column = ""

    def show(self, scene: Scene) -> None:
        infos = scene.snapshot.categories
        if self.same(infos, self.families, self.column):
            return
        made = plan(infos, self.size.width, self.families)
        cells: list[Cell] = [cell("", SYMBOL, self.ink["blank"])]
        for n, (info, gap) in enumerate(zip(made.columns, made.gaps, strict=True)):
            # Where names of two letters touch, every other one is brighter.
            tone = "dim" if made.size > 2 or n % 2 else "text"
            ink = self.ink["accent" if info.id == self.column else tone]
            shown = cell(short_name(info, made.size), made.size, ink, "right")
            cells.append((Segment(" " * gap, self.ink["blank"]), *shown))
        if made.bias:
            cells.append(cell("bias", BIAS, self.ink["dim"], "right"))
        lines = [tuple(cells)]
        if self.size.height > 1:
            lines.insert(0, self._families(made))
        self.show_lines(lines)

    def _families(self, made: Plan) -> Line:
        if not self.families:
            return (cell("", self.size.width, self.ink["blank"]),)
        cells: list[Cell] = [cell("", SYMBOL, self.ink["blank"])]
        for group in dict.fromkeys(c.group for c in made.columns):
            own = [n for n, c in enumerate(made.columns) if c.group == group]
            width = made.size * len(own)
            pad = Segment(" " * made.gaps[own[0]], self.ink["blank"])
            name = group.replace("_", " ")
            cells.append((pad, *cell(" " + name, width, self.ink["muted"], "left",
                                     self.look.glyphs.ellipsis)))  # fmt: skip
        return tuple(cells)


class Heat(Lines):
    """The rows; `column` is the category under the cursor."""

    class Chosen(Message):
        """The user clicked on a cell of this category."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.families = False
        self.column = ""
        self._scene: Scene | None = None
        self._plan: Plan | None = None
        self._rows: dict[str, tuple[object, Line]] = {}

    def show(self, scene: Scene) -> None:
        self._scene = scene
        width, height = self.size
        if scene.waiting or not scene.rows:
            self._plan = None
            draw = waiting_lines if scene.waiting else empty_lines
            self.show_lines(draw(scene, width, height, self.look, self.ink))
            return
        made = plan(scene.snapshot.categories, width, self.families)
        lines = [self._row(s, scene, made, n == scene.place) for n, s in enumerate(scene.rows)]
        self.show_lines(lines)
        self._plan = made
        self.reveal(scene.place)

    def _row(self, state: SymbolState, scene: Scene, made: Plan, here: bool) -> Line:
        """The row's line: the old one when nothing that it shows has changed."""
        found = composite(state, scene.mode)
        lines = found.categories if found is not None else {}
        bias = found.bias if found is not None else None
        stale = is_stale(state)
        key = (lines, bias, stale, self.column if here else "", made)
        kept = self._rows.get(state.id)
        if kept is not None and kept[0] == key:
            return kept[1]
        ink = self.look.ink("background", stale)
        mark = self.look.glyphs.cursor if here else " "
        name = cell(text.base(state.id), SYMBOL - 1, ink["strong" if here else "text"], "left",
                    self.look.glyphs.ellipsis)  # fmt: skip
        cells: list[Cell] = [(Segment(mark, ink["accent"]), *name)]
        for info, gap in zip(made.columns, made.gaps, strict=True):
            chosen = here and info.id == self.column
            drawn = self._cell(lines.get(info.id), made.size, chosen, stale)
            cells.append((Segment(" " * gap, ink["blank"]), *drawn))
        if made.bias:
            shown = text.signed(bias) or self.look.glyphs.none
            cells.append(cell(shown, BIAS, ink[marks.tone(bias)], "right"))
        used = made.starts[-1] + BIAS * made.bias
        cells.append(cell("", max(0, self.size.width - used), ink["blank"]))
        self._rows[state.id] = key, tuple(cells)
        return tuple(cells)

    def _cell(self, line: CategoryLine | None, size: int, chosen: bool, stale: bool) -> Cell:
        """A score as glyph or number; from 20 up on a ground of its colour."""
        glyphs = self.look.glyphs
        ink = self.look.ink("cursor" if chosen else "background", stale)
        score = line.score if line is not None else None
        glyph, tone = marks.category(score, line.state if line else "", glyphs)
        shown = _shown(score, glyph, size, glyph == glyphs.conflict)
        if chosen:
            return (Segment(shown, ink["strong" if score is not None else "text"]),)
        if tone[-1] in "23" and not stale and self.look.colours:
            # The narrowest cells touch, so that they are squares; the others have their gap.
            gap = (len(shown) - len(shown.lstrip())) * (size > SIZES[-1])
            return Segment(shown[:gap], ink["blank"]), Segment(shown[gap:], self._ground(tone))
        return (Segment(shown, ink[tone]),)

    def _ground(self, tone: str) -> Style:
        """Paper on a ground of an ink."""
        palette = self.look.palette
        return Style(
            color=Color.from_ansi(palette["background"]),
            bgcolor=Color.from_ansi(palette[tone]),
            bold=tone[-1] == "3" or None,
        )

    def on_click(self, event: events.Click) -> None:
        y = event.y + self.scroll_offset.y
        if self._plan is None or self._scene is None or y >= len(self._scene.rows):
            return
        self.post_message(Grid.Picked(self._scene.rows[y].id))
        if found := self._plan.at(event.x):
            self.post_message(self.Chosen(found.id))


def _shown(score: float | None, glyph: str, size: int, torn: bool) -> str:
    """What stands in a cell of a size, always of that width; its gap is at the left."""
    if size < 4:
        return (glyph * (size - 1 if score is not None else 1)).rjust(size)
    number = text.signed(100 * score) if score is not None else None
    if number is None:
        return glyph.rjust(size - 1 - (size == 7)) + " " * (1 + (size == 7))
    if size == 4:
        return f"{glyph if torn else ''}{number:>3}".rjust(size)[:size]
    return f"  {glyph}{number:>4}"
