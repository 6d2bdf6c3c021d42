"""The order of the grid's rows: by a column, either way round; the config's own to begin with."""

from collections.abc import Callable
from dataclasses import dataclass

from cockpit.widgets.scene import composite
from engine.snapshot import SymbolState

Value = Callable[[SymbolState, str], float | None]
# The column that stands for the config's own order.
OWN = "symbol"
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
    value = SORTS[order.column]
    pairs = [(value(state, mode), state.id) for state in symbols]
    known = [(v, id) for v, id in pairs if v is not None]
    # A stable sort with `reverse` keeps equal ones in their order.
    known.sort(key=lambda pair: pair[0], reverse=not order.reverse)
    return tuple(id for _, id in [*known, *(pair for pair in pairs if pair[0] is None)])


def _bias(own: str) -> Value:
    def value(state: SymbolState, mode: str) -> float | None:
        found = composite(state, own)
        return None if found is None else found.bias

    return value


def _conviction(state: SymbolState, mode: str) -> float | None:
    found = composite(state, mode)
    if found is None or found.bias is None:
        return None
    # Calibrated ones first: a probability says more than a conviction.
    return 1000 + found.confidence if found.calibrated and found.confidence else found.conviction


def _decision(state: SymbolState, mode: str) -> float | None:
    """Strong long first, strong short last, WAIT between them."""
    found = composite(state, mode)
    if found is None or found.bias is None:
        return None
    words = found.decision.upper()
    if words == "WAIT":
        return 0.0
    rung = next((size for word, size in RUNGS.items() if words.startswith(word)), 2.0)
    return -rung if "SHORT" in words else rung


def _arrows(state: SymbolState, mode: str) -> float | None:
    found = composite(state, mode)
    sides = (
        [] if found is None else [s for s in found.agreement_by_window.values() if s is not None]
    )
    return float(sum(sides)) if sides else None


def _liquidated(state: SymbolState, mode: str) -> float | None:
    sides = [s for s in (state.long_liquidated, state.short_liquidated) if s is not None]
    return sum(sides) if sides else None


# Columns that rows can be sorted by, beside their own order.
SORTS: dict[str, Value] = {
    "price": lambda state, mode: state.price.last,
    "change": lambda state, mode: state.price.change_24h,
    **{mode: _bias(mode) for mode in ("scalp", "day", "swing")},
    "conviction": _conviction,
    "decision": _decision,
    "arrows": _arrows,
    "funding": lambda state, mode: state.funding_8h,
    "oi": lambda state, mode: state.oi_change_1h,
    "liquidated": _liquidated,
    "age": lambda state, mode: state.price.age,
}
