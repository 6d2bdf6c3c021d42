"""The order of the grid's rows: by a column, either way round; the config's own to begin with."""

from dataclasses import dataclass

from cockpit.widgets.measures import NUMBERS, Value, category_of, decided, points_of
from engine.snapshot import SymbolState

# The column that stands for the config's own order.
OWN = "symbol"
# Columns that have no order.
DRAWINGS = ("strip", "spark", "state", "class")
RUNGS = {"LEAN": 1.0, "STRONG": 3.0}


@dataclass(frozen=True)
class Order:
    """What the user chose: `column` by which, largest first unless `reverse`."""

    column: str = OWN
    reverse: bool = False

    def by(self, column: str) -> "Order":
        """By this column; the other way round where it is by this one already."""
        return Order(column, not self.reverse) if column == self.column else Order(column)


def ranked(symbols: tuple[SymbolState, ...], order: Order, mode: str) -> tuple[str, ...]:
    """Ids in an order; rows that have no value come last, equal ones as in the config."""
    if order.column == OWN:
        own = tuple(state.id for state in symbols)
        return own[::-1] if order.reverse else own
    value = value_of(order.column)
    pairs = [(value(state, mode) if value else None, state.id) for state in symbols]
    known = [(v, id) for v, id in pairs if v is not None]
    # A stable sort with `reverse` keeps equal ones in their order.
    known.sort(key=lambda pair: pair[0], reverse=not order.reverse)
    return tuple(id for _, id in [*known, *(pair for pair in pairs if pair[0] is None)])


def value_of(column: str) -> Value | None:
    """What rows are sorted by in a column; None where it is a drawing or the own order."""
    if column in SORTS:
        return SORTS[column]
    return None if column in DRAWINGS or column == OWN else points_of(category_of(column))


def _conviction(state: SymbolState, mode: str) -> float | None:
    found = decided(state, mode)
    if found is None:
        return None
    # Calibrated ones first: a probability says more than a conviction.
    return 1000 + found.confidence if found.calibrated and found.confidence else found.conviction


def _decision(state: SymbolState, mode: str) -> float | None:
    """Strong long first, strong short last, WAIT between them."""
    found = decided(state, mode)
    if found is None:
        return None
    words = found.decision.upper()
    if words == "WAIT":
        return 0.0
    rung = next((size for word, size in RUNGS.items() if words.startswith(word)), 2.0)
    return -rung if "SHORT" in words else rung


# Columns that rows can be sorted by, beside their own order and the categories' points.
SORTS: dict[str, Value] = {
    **NUMBERS,
    "conviction": _conviction,
    "decision": _decision,
}
