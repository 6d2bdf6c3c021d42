"""What the decoders of all venues share: bounded numbers, units, urls.

Bounds are checked while decoding, which also refuses NaN, infinities and negative sizes.
"""

import math
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Meta

# Not quite 0, so that a price in lots stays positive per coin.
Price = Annotated[float, Meta(gt=1e-15, le=1e15)]
Size = Annotated[float, Meta(ge=0, le=1e15)]
# The largest ms that still is an int64 of nanoseconds.
Millis = Annotated[int, Meta(ge=0, le=9_000_000_000_000)]
Seq = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Levels = list[tuple[Price, Size]]

MS = 1_000_000
FUNDING_HOURS = 8.0
UNUSABLE = (ValueError, RecursionError)  # msgspec's errors and Unicode's are ValueErrors
NOT_OURS = "not a linear perpetual"


def convert(raw: Any, kind: Any) -> Any:
    """JSON as a typed struct, numbers in strings allowed; raises msgspec.ValidationError."""
    return msgspec.convert(raw, kind, strict=False)


def number(text: Any, bound: float) -> float | None:
    """A finite number within the bound; None for a venue's "" and for nonsense."""
    try:
        value = float(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) and abs(value) <= bound else None


def per_coin(levels: list[tuple[float, float]], lot: float) -> list[tuple[float, float]]:
    """Levels of a contract in lots, per one coin."""
    return levels if lot == 1 else [(price / lot, size * lot) for price, size in levels]


@lru_cache(maxsize=64)
def query(url: str) -> dict[str, str]:
    """First value of each query key; nothing for a url that cannot be read."""
    try:
        return {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
    except ValueError:
        return {}


def path(url: str) -> str:
    """The path of a url; nothing for one that cannot be read."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""
