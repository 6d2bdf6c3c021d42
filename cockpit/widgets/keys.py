"""What the grid's columns take from a row: small values, rounded as they are shown."""

from collections.abc import Callable
from functools import lru_cache

from cockpit.widgets import measures, text
from cockpit.widgets.measures import decided
from cockpit.widgets.scene import composite, is_stale, is_warming
from engine.snapshot import SymbolState

Key = Callable[[SymbolState, str], object]
STATE_WORDS = {"bullish": "bullish", "bearish": "bearish", "neutral": "neutral",
               "conflicted": "conflict"}  # fmt: skip


def symbol(state: SymbolState, mode: str) -> object:
    return text.base(state.id), state.price.last is not None


def price(state: SymbolState, mode: str) -> object:
    return text.price(state.price.last, state.price.decimals)


def change(state: SymbolState, mode: str) -> object:
    return text.percent(state.price.change_24h)


def bias_of(own: str) -> Key:
    """Of one mode, whichever is active."""
    return lambda state, mode: bias(state, own)


def bias(state: SymbolState, mode: str) -> object:
    """In whole points; a text where it says nothing yet."""
    found = state.modes.get(mode)
    if found is None or found.bias is None:
        return None
    points = round(found.bias)
    return points if points or not is_warming(found) else "~0"


def conviction(state: SymbolState, mode: str) -> object:
    """Short and long form: `~58` until calibrated, then `46%` and `46% +6`, the edge."""
    found = decided(state, mode)
    if found is None:
        return None
    if not (found.calibrated and found.confidence is not None):
        return (f"~{found.conviction:.0f}",) * 2
    shown = f"{found.confidence * 100:.0f}%"
    if found.base_rate is None:
        return shown, shown
    edge = text.signed((found.confidence - found.base_rate) * 100) or "0"
    return shown, f"{shown} {edge:>3}"


def decision(state: SymbolState, mode: str) -> object:
    """Long form, short form and ink of a decision."""
    found = decided(state, mode)
    if found is None:
        return None
    if is_warming(found):
        return "warming up", "warming", "dim"
    words = text.clean(found.decision).replace("_", " ").upper()
    if words == "WAIT":
        return words, words, "dim"
    side, mark = ("down", "-") if "SHORT" in words else ("up", "+")
    if words.startswith("LEAN"):
        return words, f"lean{mark}", f"{side}1"
    if words.startswith("STRONG"):
        return words, f"STRG{mark}", f"{side}3"
    return words, words[:5], f"{side}2"


def windows(state: SymbolState, mode: str) -> object:
    found = composite(state, mode)
    return None if found is None else tuple(found.agreement_by_window.values())


def state_word(state: SymbolState, mode: str) -> object:
    """One word and its ink; capitals mean strong."""
    found = decided(state, mode)
    return None if found is None else state_text(found.state)


@lru_cache(maxsize=64)
def state_text(name: str) -> tuple[str, str]:
    """Word and ink of an engine state such as STRONG_BULLISH."""
    words = text.clean(name).replace("_", " ").lower()
    plain = words.replace("strong", "").strip()
    word = STATE_WORDS.get(plain, plain)
    strong = "strong" in words
    ink = {"bullish": "up", "bearish": "down"}.get(plain)
    if ink:
        return (word.upper() if strong else word), f"{ink}{3 if strong else 2}"
    return word, "warn" if plain == "conflicted" else "dim"


def strip(state: SymbolState, mode: str) -> object:
    """The categories as they are: comparing them is cheaper than rounding them."""
    found = composite(state, mode)
    return None if found is None else found.categories


def history(state: SymbolState, mode: str) -> object:
    found = composite(state, mode)
    return None if found is None else found.history[-64:]


def agreement(state: SymbolState, mode: str) -> object:
    return _share(measures.NUMBERS["agreement"](state, mode))


def coverage(state: SymbolState, mode: str) -> object:
    return _share(measures.NUMBERS["coverage"](state, mode))


def _share(percent: float | None) -> str | None:
    return None if percent is None else f"{percent:.0f}%"


def cards(state: SymbolState, mode: str) -> object:
    found = composite(state, mode)
    return None if found is None or not found.total else f"{found.available}/{found.total}"


def points(category: str) -> Key:
    """Score, state and contribution in points of one category."""

    def key(state: SymbolState, mode: str) -> object:
        found = composite(state, mode)
        line = found.categories.get(category) if found else None
        if found is None or line is None or line.score is None:
            return None
        return line.score, line.state, None if found.bias is None else line.contribution

    return key


def group(state: SymbolState, mode: str) -> object:
    return text.clean(state.group)


def spread(state: SymbolState, mode: str) -> object:
    """In basis points of the middle."""
    found = measures.NUMBERS["spread"](state, mode)
    return None if found is None else f"{found:.{2 if found < 9.995 else 1}f}"


def funding(state: SymbolState, mode: str) -> object:
    rate = state.funding_8h
    return None if rate is None else f"{rate * 100:+.4f}%"


def funding_year(state: SymbolState, mode: str) -> object:
    return text.percent(measures.NUMBERS["funding_year"](state, mode))


def open_interest(state: SymbolState, mode: str) -> object:
    return text.percent(state.oi_change_1h)


def liquidated(state: SymbolState, mode: str) -> object:
    sides = text.usd(state.long_liquidated), text.usd(state.short_liquidated)
    return None if sides == (None, None) else sides


def long_liquidated(state: SymbolState, mode: str) -> object:
    return text.usd(state.long_liquidated)


def short_liquidated(state: SymbolState, mode: str) -> object:
    return text.usd(state.short_liquidated)


def liquidated_side(state: SymbolState, mode: str) -> object:
    found = measures.liquidated_side(state, mode)
    return None if found is None else round(found)


def age(state: SymbolState, mode: str) -> object:
    shown = text.age(state.price.age)
    return None if shown is None else (shown, is_stale(state))
