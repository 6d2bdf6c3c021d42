"""Numbers as short text of a known width; None is never a number."""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from unicodedata import bidirectional

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
Cell = tuple[Segment, ...]
Line = tuple[Cell, ...]


def fit(text: str, width: int, align: str = "left", ellipsis: str = "") -> str:
    """`text` in exactly `width` cells; what is cut off ends in the ellipsis."""
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        return set_cell_size(text, width - len(ellipsis)) + ellipsis if width > 0 else ""
    if align == "left":
        return text + " " * (width - length)
    pad = " " * (width - length)
    if align == "right":
        return pad + text
    if align == "centre":
        half = len(pad) // 2
        return pad[:half] + text + pad[half:]
    return text + pad


def cell(text: str, width: int, style: Style, align: str = "left", ellipsis: str = "") -> Cell:
    """One cell of one style."""
    return (Segment(fit(clean(text), width, align, ellipsis), style),)


def clean(text: str) -> str:
    """Text from outside as one-cell characters, so it can neither move the cursor nor the rest."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_one_cell(c) for c in text)


@lru_cache(maxsize=4096)
def _one_cell(character: str) -> str:
    if not character.isprintable():
        return " "
    # A terminal that knows right-to-left scripts would turn the numbers beside them around too.
    if bidirectional(character) in RIGHT_TO_LEFT:
        return "?"
    # Two of them make a flag, whose width terminals disagree on.
    if "\U0001f1e6" <= character <= "\U0001f1ff":
        return "?"
    return character if cell_len(character) == 1 else "?"


def wrap(said: str, width: int) -> list[str]:
    """A sentence on as many lines as it needs, broken between words; a longer word is cut."""
    lines, now = [], ""
    for word in clean(said).split(" "):
        if now and len(now) + 1 + len(word) > width:
            lines.append(now)
            now = ""
        now = f"{now} {word}" if now else word
        while len(now) > max(1, width):
            lines.append(now[: max(1, width)])
            now = now[max(1, width) :]
    return [*lines, now]


def price(value: float | None, decimals: int, width: int = 10) -> str | None:
    """`64,231.50`; commas go first when it is too long."""
    if value is None:
        return None
    text = f"{value:,.{decimals}f}"
    return text if len(text) <= width else text.replace(",", "")


def percent(value: float | None, digits: int = 2) -> str | None:
    """`+3.21%`, `+12.3%`, `+123%`."""
    if value is None:
        return None
    digits = max(0, digits - (abs(value) >= 9.995) - (abs(value) >= 99.95))
    return f"{value:+.{digits}f}%"


def signed(value: float | None, digits: int = 0) -> str | None:
    """`+46`, `-7`, `0`."""
    if value is None:
        return None
    text = f"{value:+.{digits}f}"
    return text[1:] if not text.strip("+-0.") else text


def usd(value: float | None) -> str | None:
    """`340`, `12k`, `1.2M`."""
    if value is None:
        return None
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size * 0.9995:
            return f"{value / size:.{1 if value < 9.95 * size else 0}f}{unit}"
    return f"{value:.0f}"


def short(value: float | None) -> str | None:
    """A measure of any size in at most seven characters: `-12.3M`, `0.0421`, `-1.2e-5`."""
    if value is None:
        return None
    size = abs(value)
    if size >= 999.5:
        for unit, step in (("k", 1e3), ("M", 1e6), ("B", 1e9), ("T", 1e12)):
            if size < 999.5 * step or unit == "T":
                break
        scaled = value / step
        if abs(scaled) < 999.5:
            return f"{scaled:.{2 - (abs(scaled) >= 9.995) - (abs(scaled) >= 99.95)}f}{unit}"
        return f"{value:.0e}".replace("e+", "e")
    if value == 0:
        return "0"
    if size < 0.001:
        return f"{value:.{1 if size >= 1e-9 else 0}e}".replace("e-0", "e-")
    return f"{value:.{4 if size < 1 else 3 - (size >= 9.9995) - (size >= 99.995)}f}"


def fraction(value: float, digits: int = 2) -> str:
    """`.42`, `1.00`: a share without its leading zero."""
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"


def age(seconds: float | None) -> str | None:
    """`now`, `45s`, `12m`, `5h`, `3d`."""
    if seconds is None:
        return None
    if seconds < 2:
        return "now"
    for unit, size, limit in (("s", 1, 60), ("m", 60, 3600), ("h", 3600, 172800)):
        if seconds < limit:
            return f"{int(seconds / size)}{unit}"
    return f"{int(min(seconds / 86400, 999))}d"


def clock(ns: int, zone: tzinfo | None) -> str | None:
    """Wall time of an instant, None before the first."""
    if not ns:
        return None
    return f"{datetime.fromtimestamp(ns / 1e9, UTC).astimezone(zone):%H:%M:%S}"


def base(symbol: str) -> str:
    """`BTC` of `BTCUSDT`."""
    return symbol.removesuffix("USDT") or symbol
