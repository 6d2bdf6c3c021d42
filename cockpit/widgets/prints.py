"""Footprint: what takers sold and bought at each price, column by column of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from math import exp, floor, log

from cockpit.theme import Look
from cockpit.widgets import axes, text
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import Footprint, FootprintCell, FootprintColumn

SCALE = 11
LEAST, MOST = 10, 14
# Shares of the fullest cell from which on a side is drawn stronger.
STRONG = (0.25, 0.6)


@dataclass(frozen=True)
class Footing:
    """A footprint, the last price, and the decimals to write prices with."""

    found: Footprint
    last: float | None
    decimals: int


@dataclass
class Amount:
    """What was sold and bought in some levels of one column."""

    sell: float = 0.0
    buy: float = 0.0
    mark: int = 0


def lines(footing: Footing, width: int, height: int, zone: tzinfo | None,
          look: Look) -> list[Line]:  # fmt: skip
    """Times above, prices at the left, sells x buys in the cells, the delta below."""
    found, ink = footing.found, look.ink()
    room = width - SCALE - 1
    size = max(LEAST, min(MOST, room // max(1, len(found.columns))))
    columns = found.columns[-max(1, room // size) :]
    rows = max(1, height - 2)
    top, each, rows = _levels(columns, rows)
    tables = [_gather(column, top, each) for column in columns]
    full = max((max(a.sell, a.buy) for t in tables for a in t.values()), default=0.0)
    rest = cell("", max(0, width - SCALE - 1 - size * len(columns)), ink["blank"])
    head = [cell(_when(c, found, zone), size, ink["dim"], "centre") for c in columns]
    out: list[Line] = [(cell("", SCALE + 1, ink["blank"]), *head, rest)]
    here = None if footing.last is None else (top - _level(footing.last, found.step)) // each
    for y in range(rows):
        price = exp((top - y * each + 1 - each / 2) * found.step)
        at_last = y == here
        label = text.price(price, footing.decimals, SCALE - 1) or ""
        tone = look.ink("cursor")["strong"] if at_last else ink["dim"]
        cells = [_cell(table.get(y), size, full, look) for table in tables]
        out.append((cell(label, SCALE, tone, "right"), cell("", 1, ink["blank"]), *cells, rest))
    deltas = [_delta(column, size, look) for column in columns]
    out.append((cell("delta", SCALE, ink["dim"], "right"), cell("", 1, ink["blank"]),
                *deltas, rest))  # fmt: skip
    return out


def _when(column: FootprintColumn, found: Footprint, zone: tzinfo | None) -> str:
    if found.seconds < 60:
        return text.clock(column.ts, zone) or ""
    return axes.label(column.ts, zone)


def _level(price: float, step: float) -> int:
    return floor(log(price) / step)


def _levels(columns: Sequence[FootprintColumn], most: int) -> tuple[int, int, int]:
    """The highest level, levels a row, and rows: all that was traded is in view, and no more."""
    traded = [c.level for column in columns for c in column.cells]
    if not traded:
        return 0, 1, 1
    low, high = min(traded), max(traded)
    each = max(1, -(-(high - low + 1) // most))
    return high, each, -(-(high - low + 1) // each)


def _gather(column: FootprintColumn, top: int, each: int) -> dict[int, Amount]:
    """Row -> what was traded there."""
    out: dict[int, Amount] = {}
    for one in column.cells:
        amount = out.setdefault((top - one.level) // each, Amount())
        amount.sell += one.sell
        amount.buy += one.buy
        amount.mark = _stronger(amount.mark, one)
    return out


def _stronger(mark: int, one: FootprintCell) -> int:
    """Marks of both sides in one row cancel out."""
    return one.mark if not mark else mark if one.mark in (0, mark) else 0


def _tone(side: str, amount: float, full: float) -> str:
    share = amount / full if full else 0.0
    return f"{side}{1 + (share >= STRONG[0]) + (share >= STRONG[1])}"


def _cell(amount: Amount | None, size: int, full: float, look: Look) -> Cell:
    ink, glyphs = look.ink(), look.glyphs
    if amount is None or not amount.sell + amount.buy:
        return cell(glyphs.none, size, ink["faint"], "centre")
    half = (size - 2) // 2
    mark = {1: glyphs.arrow_up, -1: glyphs.arrow_down, 0: " "}[amount.mark]
    tone = {1: "up3", -1: "down3", 0: "dim"}[amount.mark]
    sold, bought = (text.usd(v) if v else glyphs.none for v in (amount.sell, amount.buy))
    return (
        *cell(sold or "", half, ink[_tone("down", amount.sell, full)], "right"),
        *cell(mark, 1, ink[tone]),
        *cell(bought or "", half, ink[_tone("up", amount.buy, full)]),
        *cell("", size - 2 * half - 1, ink["blank"]),
    )


def _delta(column: FootprintColumn, size: int, look: Look) -> Cell:
    """Buys less sells of the whole column."""
    value = sum(c.buy - c.sell for c in column.cells)
    volume = sum(c.buy + c.sell for c in column.cells)
    if not volume:
        return cell(look.glyphs.none, size, look.ink()["faint"], "centre")
    said = ("-" if value < 0 else "+") + (text.usd(abs(value)) or "")
    return cell(said, size, look.ink()["up2" if value > 0 else "down2"], "centre")
