"""What a row measures, by name: numbers in the units shown, words; None where it is unknown."""

from collections.abc import Callable

from cockpit.widgets import text
from cockpit.widgets.scene import composite, is_warming
from engine.snapshot import MODES, Composite, SymbolState

Value = Callable[[SymbolState, str], float | None]
Word = Callable[[SymbolState, str], str | None]
# Funding is paid every 8 h in these units.
PERIODS_A_YEAR = 3 * 365


def decided(state: SymbolState, mode: str) -> Composite | None:
    """The composite of a mode, None without a bias."""
    found = composite(state, mode)
    return None if found is None or found.bias is None else found


def _of_decided(read: Callable[[Composite], float | None]) -> Value:
    def value(state: SymbolState, mode: str) -> float | None:
        found = decided(state, mode)
        return None if found is None else read(found)

    return value


def bias_of(own: str) -> Value:
    """The bias of one mode, whichever is active."""
    return lambda state, mode: None if (found := composite(state, own)) is None else found.bias


def points_of(category: str) -> Value:
    """A category's contribution to the bias of the active mode, in points."""

    def value(state: SymbolState, mode: str) -> float | None:
        found = decided(state, mode)
        line = found.categories.get(category) if found else None
        return None if line is None or line.score is None else line.contribution

    return value


def _confidence(found: Composite) -> float:
    """In per cent once calibrated, until then the conviction: what the column shows."""
    if found.calibrated and found.confidence is not None:
        return found.confidence * 100
    return found.conviction


def _sides(state: SymbolState, mode: str) -> float | None:
    found = composite(state, mode)
    sides = [s for s in found.agreement_by_window.values() if s is not None] if found else []
    return float(sum(sides)) if sides else None


def _percent(value: float | None) -> float | None:
    return None if value is None else value * 100


def _year(state: SymbolState, mode: str) -> float | None:
    rate = state.funding_8h
    return None if rate is None else rate * PERIODS_A_YEAR * 100


def _liquidated(state: SymbolState, mode: str) -> float | None:
    sides = [s for s in (state.long_liquidated, state.short_liquidated) if s is not None]
    return sum(sides) if sides else None


def liquidated_side(state: SymbolState, mode: str) -> float | None:
    """-100: only longs were liquidated, +100: only shorts; None where none or unknown."""
    longs, shorts = state.long_liquidated, state.short_liquidated
    if longs is None or shorts is None or longs + shorts <= 0:
        return None
    return (shorts - longs) / (shorts + longs) * 100


def _spread(state: SymbolState, mode: str) -> float | None:
    bid, ask = state.price.bid, state.price.ask
    if bid is None or ask is None or not 0 < bid <= ask:
        return None
    return (ask - bid) / (ask + bid) * 2e4


def _call(state: SymbolState, mode: str) -> str | None:
    found = decided(state, mode)
    if found is None:
        return None
    return "warming" if is_warming(found) else found.decision


def _state(state: SymbolState, mode: str) -> str | None:
    found = decided(state, mode)
    return None if found is None else found.state


NUMBERS: dict[str, Value] = {
    "price": lambda state, mode: state.price.last,
    "change": lambda state, mode: state.price.change_24h,
    "spread": _spread,
    "bias": _of_decided(lambda found: found.bias),
    **{mode: bias_of(mode) for mode in MODES},
    "conviction": _of_decided(_confidence),
    "agreement": _of_decided(lambda found: _percent(found.agreement)),
    "arrows": _sides,
    "coverage": _of_decided(lambda found: found.coverage * 100),
    "cards": _of_decided(lambda found: float(found.available)),
    "funding": lambda state, mode: _percent(state.funding_8h),
    "funding_year": _year,
    "oi": lambda state, mode: state.oi_change_1h,
    "liquidated": _liquidated,
    "liq_long": lambda state, mode: state.long_liquidated,
    "liq_short": lambda state, mode: state.short_liquidated,
    "liq_side": liquidated_side,
    "age": lambda state, mode: state.price.age,
}
WORDS: dict[str, Word] = {
    "symbol": lambda state, mode: text.base(state.id),
    "class": lambda state, mode: state.group,
    "decision": _call,
    "state": _state,
}
# Heads of columns, and what people type for them.
ALIASES = {
    "24h": "change", "conf": "conviction", "confidence": "conviction", "conv": "conviction",
    "call": "decision", "agree": "arrows", "agr": "arrows", "agr%": "agreement",
    "cov": "coverage", "cov%": "coverage",
    "fund": "funding", "fund8h": "funding", "year": "funding_year", "oi1h": "oi",
    "liq": "liquidated", "scp": "scalp", "swg": "swing",
}  # fmt: skip


def column_id(category: str) -> str:
    """The column of a category: its id, told apart from a column that has that name already."""
    return f"{category}_category" if category in NUMBERS or category in WORDS else category


def category_of(column: str) -> str:
    """The category of such a column."""
    plain = column.removesuffix("_category")
    return plain if column_id(plain) == column else column
