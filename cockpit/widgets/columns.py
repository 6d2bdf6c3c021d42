"""The grid's columns: what each shows and how wide it may be; and the line of their heads."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from rich.segment import Segment

from cockpit.theme import Glyphs, Ink
from cockpit.widgets import draws, keys
from cockpit.widgets.draws import Draw
from cockpit.widgets.measures import category_of
from cockpit.widgets.presets import OVERVIEW, Places, Preset, fitted
from cockpit.widgets.scene import Scene
from cockpit.widgets.sorting import OWN, Order, value_of
from cockpit.widgets.text import Cell, fit
from engine.snapshot import MODES, SymbolState


@dataclass(frozen=True)
class Column:
    """`key` takes from a row all that `draw` needs, so that equal keys mean equal cells.

    `sizes`: the widths it may have, narrow to wide.
    """

    id: str
    head: str
    key: Callable[[SymbolState, str], object]
    draw: Draw
    help: str
    sizes: tuple[int, ...]
    align: str = "right"
    short: str = ""


SHORT_MODES = {"scalp": "scp", "swing": "swg"}
_COLUMNS = (
    Column("symbol", "", keys.symbol, draws.symbol, "the coin; each is a USDT perpetual", (5,),
           "left"),
    Column("price", "price", keys.price, draws.texted("text"), "last trade", (10,)),
    Column("change", "24h", keys.change, draws.signed_text, "change over 24 h", (6,)),
    Column("bias", "bias", keys.bias, draws.bias,
           "in the active mode, -100 to +100; bars of plus go right", (4, 13, 21)),
    *(
        Column(mode, mode, keys.bias_of(mode), draws.bias, f"bias in mode {mode}, -100 to +100",
               (4, 10, 13, 21), short=SHORT_MODES.get(mode, mode[:4]))
        for mode in MODES
    ),
    Column("conviction", "conv", keys.conviction, draws.conviction,
           "~58 conviction, 0 to 100; once calibrated 46%, its edge +6", (4, 7)),
    Column("decision", "call", keys.decision, draws.decision,
           "WAIT, lean, LONG, SHORT, STRG: strong, + or -; warm: too early", (5, 12), "left"),
    Column("arrows", "agree", keys.windows, draws.arrows,
           "side of each window, shortest first: up, down, flat", (3, 8), "left", "agr"),
    Column("agreement", "agr%", keys.agreement, draws.texted("text"),
           "weight of the windows on the bias's side", (4,)),
    Column("coverage", "cov%", keys.coverage, draws.texted("text"),
           "weight of the cards that have data, of all", (4,)),
    Column("cards", "cards", keys.cards, draws.texted("muted"), "cards with data, of all", (7,)),
    Column("state", "state", keys.state_word, draws.state,
           "of the bias; CAPITALS: strong; conflict: its windows disagree", (8,), "left"),
    Column("strip", "categories", keys.strip, draws.strip,
           "the 25 categories, one cell each, as in the side panel", (25,), "left"),
    Column("spark", "trend", keys.history, draws.spark, "the last biases, newest right",
           (10, 20), "left"),
    Column("spread", "spread", keys.spread, draws.texted("muted"),
           "between bid and ask, in basis points", (6,)),
    Column("funding", "fund 8h", keys.funding, draws.texted("muted"), "per 8 h; plus: longs pay",
           (8,)),
    Column("funding_year", "a year", keys.funding_year, draws.texted("muted"),
           "funding at the present rate for a year, not compounded", (7,)),
    Column("oi", "OI 1h", keys.open_interest, draws.texted("muted"),
           "change of open interest over 1 h", (6,)),
    Column("liquidated", "liq L/S 1h", keys.liquidated, draws.liquidated,
           "longs / shorts liquidated within 1 h, in USD", (13,), "centre"),
    Column("liq_long", "liq L", keys.long_liquidated, draws.texted("muted"),
           "longs liquidated within 1 h, in USD", (5,)),
    Column("liq_short", "liq S", keys.short_liquidated, draws.texted("muted"),
           "shorts liquidated within 1 h, in USD", (5,)),
    Column("liq_side", "liq side", keys.liquidated_side, draws.bias,
           "of 1 h: +100 only shorts were liquidated, -100 only longs", (8, 13), "centre"),
    Column("class", "class", keys.group, draws.texted("muted", "left"),
           "layer1, layer2, meme, defi, storage", (7,), "left"),
    Column("age", "age", keys.age, draws.age,
           "since the last market data; a row is dim beyond 15 s", (4,)),
)  # fmt: skip
COLUMNS = {column.id: column for column in _COLUMNS}
# Heads of the categories' columns; the others are cut from their names.
CATEGORY_HEADS = {
    "composite_alpha": "alpha", "order_flow": "flow", "order_book": "book",
    "smart_money": "smart", "liquidation": "liq", "derivatives": "deriv",
    "funding_category": "funding", "cross_exchange": "xchg", "volatility": "vol",
    "momentum": "mom", "market_structure": "struct", "volume_profile": "profile",
    "microstructure": "micro",
    "sentiment": "mood", "on_chain": "chain", "cross_asset": "assets", "statistical": "stat",
    "session_time": "session", "risk_management": "risk", "meta_signals": "meta",
}  # fmt: skip


@cache
def column_of(name: str) -> Column:
    """A column by its id; any other id is a category's."""
    if name in COLUMNS:
        return COLUMNS[name]
    category = category_of(name)
    plain = category.replace("_", " ")
    return Column(name, CATEGORY_HEADS.get(name, plain[:8].strip()), keys.points(category),
                  draws.points, f"points of {plain} in the bias, and its state", (7,))  # fmt: skip


def layout(width: int, mode: str, preset: Preset = OVERVIEW) -> Places:
    """Column ids and widths, left to right, that fit into `width` with one cell between them."""
    return fitted(width, mode, preset, _sizes)


def _sizes(name: str) -> tuple[int, ...]:
    return column_of(name).sizes


def heads(scene: Scene, places: Places, ink: Ink, glyphs: Glyphs, order: Order) -> tuple[Cell, ...]:
    """The line of column heads; the one that rows are sorted by is marked."""
    cells: list[Cell] = [(Segment(" ", ink["blank"]),)]
    for name, size in places:
        column = column_of(name)
        style = ink["accent" if name in (scene.mode, "bias") else "dim"]
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


def sortable(places: Places) -> tuple[str, ...]:
    """Columns to sort by among these, left to right; the own order is the first."""
    return tuple(name for name, _ in places if name == OWN or value_of(name))


def column_at(x: int, places: Places) -> str | None:
    """The column to sort by that stands at a place of the line; None where there is none."""
    left = 1
    for name, size in places:
        if left <= x <= left + size:
            return name if name == OWN or value_of(name) else None
        left += size + 1
    return None


def _head(column: Column, size: int, scene: Scene) -> str:
    if column.id == "arrows":
        return " ".join(fit(w, 2) for w in scene.windows) if size >= 8 else column.short
    if column.id in (scene.mode, "bias") and size > 4:
        return fit(f"{scene.mode} bias", size, "centre")
    return column.head if len(column.head) <= size else column.short or column.head
