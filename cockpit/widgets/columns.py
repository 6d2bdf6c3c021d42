"""The grid's columns: what each shows, how wide, which come first when there is room for few."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from rich.segment import Segment

from cockpit.theme import Glyphs, Ink
from cockpit.widgets import keys, marks, text
from cockpit.widgets.scene import Scene
from cockpit.widgets.sorting import OWN, SORTS, Order
from cockpit.widgets.text import Cell, cell, fit
from engine.snapshot import MODES, SymbolState

Draw = Callable[[object, int, Glyphs, Ink], Cell]


@dataclass(frozen=True)
class Column:
    """`key` takes from a row all that `draw` needs, so that equal keys mean equal cells."""

    id: str
    head: str
    key: Callable[[SymbolState, str], object]
    draw: Draw
    help: str
    align: str = "right"
    short: str = ""


# What is added or widened, most wanted first; a step that does not fit is passed over.
STEPS: tuple[tuple[str, int], ...] = (
    ("symbol", 5), ("price", 10), ("change", 6), ("active", 13), ("age", 4), ("decision", 5),
    ("conviction", 4), ("arrows", 3), ("other", 4), ("spark", 10), ("strip", 25),
    ("funding", 8), ("oi", 6), ("state", 8), ("liquidated", 13), ("arrows", 8), ("other", 10),
    ("spark", 20), ("active", 21), ("decision", 12),
)  # fmt: skip
SHORT_MODES = {"scalp": "scp", "swing": "swg"}
ORDER = (
    "symbol", "price", "change", *MODES, "conviction", "decision", "arrows", "state", "strip",
    "spark", "funding", "oi", "liquidated", "age",
)  # fmt: skip


@lru_cache(maxsize=64)
def layout(width: int, mode: str) -> tuple[tuple[str, int], ...]:
    """Column ids and widths, left to right, that fit into `width` with one cell between them."""
    taken: dict[str, int] = {}
    room = width - 1
    for name, size in STEPS:
        copies = len(MODES) - 1 if name == "other" else 1
        cost = copies * (size - taken[name] if name in taken else size + 1)
        if cost <= room:
            room -= cost
            taken[name] = size
    return tuple((name, found) for name in ORDER if (found := _width(taken, name, mode)))


def _width(taken: dict[str, int], name: str, mode: str) -> int:
    if name in MODES:
        return taken.get("active" if name == mode else "other", 0)
    return taken.get(name, 0)


def heads(scene: Scene, width: int, ink: Ink, glyphs: Glyphs, order: Order) -> tuple[Cell, ...]:
    """The line of column heads; the one that rows are sorted by is marked."""
    cells: list[Cell] = [(Segment(" ", ink["blank"]),)]
    for name, size in layout(width, scene.mode):
        column = COLUMNS[name]
        style = ink["accent" if name == scene.mode else "dim"]
        label = fit(_head(column, size, scene), size, column.align)
        if name == order.column and order != Order():
            label, style = _marked(column, size, glyphs, order), ink["strong"]
        cells.append((Segment(label + " ", style),))
    return tuple(cells)


def _marked(column: Column, size: int, glyphs: Glyphs, order: Order) -> str:
    """A head with the arrow of its order, by its short name where the long one leaves no room."""
    mark = glyphs.arrow_up if order.reverse else glyphs.arrow_down
    names = ("own" if column.id == OWN else column.head, column.short or column.head)
    name = next((n for n in names if len(n) < size), names[-1][: size - 1])
    return fit(f"{name}{mark}", size, column.align)


def sortable(width: int, mode: str) -> tuple[str, ...]:
    """Columns to sort by that there is room for, left to right; the own order is the first."""
    return tuple(n for n, _ in layout(width, mode) if n == OWN or n in SORTS)


def column_at(x: int, width: int, mode: str) -> str | None:
    """The column to sort by that stands at a place of the line; None where there is none."""
    left = 1
    for name, size in layout(width, mode):
        if left <= x <= left + size:
            return name if name == OWN or name in SORTS else None
        left += size + 1
    return None


def _head(column: Column, size: int, scene: Scene) -> str:
    if column.id == "arrows":
        return " ".join(fit(w, 2) for w in scene.windows) if size >= 8 else column.short
    if column.id == scene.mode:
        return fit(f"{column.head} bias", size, "centre")
    return column.head if len(column.head) <= size else column.short


def _missing(size: int, glyphs: Glyphs, ink: Ink, align: str = "right") -> Cell:
    return cell(glyphs.none, size, ink["faint"], align)


def _symbol(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    name, priced = key if isinstance(key, tuple) else (str(key), True)
    return cell(name, size, ink["strong" if priced else "dim"], "left", glyphs.ellipsis)


def _texted(ink_name: str, align: str = "right") -> Draw:
    """Draw a key that is a text or None in one ink."""

    def draw(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
        if key is None:
            return _missing(size, glyphs, ink, align)
        return cell(str(key), size, ink[ink_name], align)

    return draw


def _signed_text(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    if key is None:
        return _missing(size, glyphs, ink)
    shown = str(key)
    name = "down1" if shown[0] == "-" else "up1"
    return cell(shown, size, ink[name if shown.strip("+-0.%") else "muted"], "right")


def _bias(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    """Bar and number where both fit, else the number alone."""
    value = key if isinstance(key, int | float) else None
    shown = text.signed(value) or glyphs.none
    number = cell(shown, 4, ink[marks.tone(value)], "right")
    if size < 10:
        return number
    half = (size - 5) // 2
    drawn = marks.bar(value, half, glyphs, ink)
    spare = size - 4 - (2 * half + 1)
    return (*drawn, Segment(" " * spare, ink["blank"]), *number) if spare else (*drawn, *number)


def _decision(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    if not isinstance(key, tuple):
        return _missing(size, glyphs, ink, "left")
    long, short, name = key
    return cell(long if size >= 12 else short, size, ink[name], "left", glyphs.ellipsis)


def _state(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    if not isinstance(key, tuple):
        return _missing(size, glyphs, ink, "left")
    return cell(key[0], size, ink[key[1]], "left", glyphs.ellipsis)


def _arrows(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    found = [marks.arrow(d, glyphs) for d in key] if isinstance(key, tuple) else []
    if not found:
        return _missing(size, glyphs, ink, "left")
    gap = "  " if size >= 8 else ""
    drawn = [(glyph + (gap if n < len(found) - 1 else ""), name)
             for n, (glyph, name) in enumerate(found)]  # fmt: skip
    return _padded(marks.runs(drawn, ink), size, ink)


def _strip(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    lines = key.values() if isinstance(key, dict) else ()
    found = [marks.category(line.score, line.state, glyphs) for line in lines]
    return _padded(marks.runs(found[:size], ink), size, ink)


def _spark(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    history = key if isinstance(key, tuple) else ()
    return marks.runs(marks.sparkline(history, size, glyphs.levels), ink)


def _liquidated(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    if not isinstance(key, tuple):
        return _missing(size, glyphs, ink)
    longs, shorts = (glyphs.none if side is None else side for side in key)
    half = size // 2
    return (
        Segment(fit(longs, half, "right"), ink["muted" if key[0] else "faint"]),
        Segment("/", ink["faint"]),
        Segment(fit(shorts, size - half - 1), ink["muted" if key[1] else "faint"]),
    )


def _age(key: object, size: int, glyphs: Glyphs, ink: Ink) -> Cell:
    if not isinstance(key, tuple):
        return _missing(size, glyphs, ink)
    return cell(key[0], size, ink["warn" if key[1] else "dim"], "right")


def _padded(drawn: Cell, size: int, ink: Ink) -> Cell:
    used = sum(len(segment.text) for segment in drawn)
    return (*drawn, Segment(" " * (size - used), ink["blank"])) if used < size else drawn


_COLUMNS = (
    Column("symbol", "", keys.symbol, _symbol, "the coin; each is a USDT perpetual", "left"),
    Column("price", "price", keys.price, _texted("text"), "last trade"),
    Column("change", "24h", keys.change, _signed_text, "change over 24 h"),
    *(
        Column(mode, mode, keys.bias_of(mode), _bias,
               f"bias in mode {mode}, -100 to +100; the bar starts in the middle, plus is right",
               short=SHORT_MODES.get(mode, mode[:4]))
        for mode in MODES
    ),
    Column("conviction", "conv", keys.conviction, _texted("text"),
           "~58 is conviction, 0 to 100; a per cent figure is shown only once it is calibrated"),
    Column("decision", "call", keys.decision, _decision,
           "WAIT, lean, LONG or SHORT, STRG (strong); + and - are the side", "left"),
    Column("arrows", "agree", keys.windows, _arrows,
           "side of each window of the mode, shortest first: up, down, flat", "left", "agr"),
    Column("state", "state", keys.state_word, _state,
           "of the bias; CAPITALS are strong, 'conflict' when its windows disagree", "left"),
    Column("strip", "categories", keys.strip, _strip,
           "one cell for each of the 25 categories, in the order of the side panel", "left"),
    Column("spark", "trend", keys.history, _spark, "the last biases, newest right", "left"),
    Column("funding", "fund 8h", keys.funding, _texted("muted"), "per 8 h; plus: longs pay"),
    Column("oi", "OI 1h", keys.open_interest, _texted("muted"), "change of open interest over 1 h"),
    Column("liquidated", "liq L/S 1h", keys.liquidated, _liquidated,
           "longs / shorts liquidated over 1 h in USD", "centre"),
    Column("age", "age", keys.age, _age,
           "time since the last market data; a row older than 15 s is dim and says so here"),
)  # fmt: skip
COLUMNS = {column.id: column for column in _COLUMNS}
