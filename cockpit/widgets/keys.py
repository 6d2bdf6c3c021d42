"""What the grid's columns take from a row: small values, rounded as they are shown."""

from collections.abc import Callable

from cockpit.widgets import text
from cockpit.widgets.scene import composite, is_stale
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
    """Bias in whole points of one mode, whichever is active."""

    def key(state: SymbolState, mode: str) -> object:
        found = composite(state, own)
        return None if found is None or found.bias is None else round(found.bias)

    return key


def conviction(state: SymbolState, mode: str) -> object:
    """`~58` until calibrated, then the confidence in per cent."""
    found = composite(state, mode)
    if found is None or found.bias is None:
        return None
    if found.calibrated and found.confidence is not None:
        return f"{found.confidence * 100:.0f}%"
    return f"~{found.conviction:.0f}"


def decision(state: SymbolState, mode: str) -> object:
    """Long form, five-letter form and ink of a decision."""
    found = composite(state, mode)
    if found is None or found.bias is None:
        return None
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
    found = composite(state, mode)
    if found is None or found.bias is None:
        return None
    return state_text(found.state)


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


def funding(state: SymbolState, mode: str) -> object:
    rate = state.funding_8h
    return None if rate is None else f"{rate * 100:+.4f}%"


def open_interest(state: SymbolState, mode: str) -> object:
    return text.percent(state.oi_change_1h)


def liquidated(state: SymbolState, mode: str) -> object:
    sides = text.usd(state.long_liquidated), text.usd(state.short_liquidated)
    return None if sides == (None, None) else sides


def age(state: SymbolState, mode: str) -> object:
    shown = text.age(state.price.age)
    return None if shown is None else (shown, is_stale(state))
