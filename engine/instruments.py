"""The symbols: our ids, the venues' names for them, contract multipliers.

Ids are `BASE` + `USDT` per one unit of the base coin; a venue's `1000PEPEUSDT`, `SHIB1000USDT`,
`kPEPE` or `1MBABYDOGEUSDT` is the same coin in lots, so its price is divided and its size
multiplied by the lot. Nobody outside the feeds sees a lot.
"""

import re
from functools import lru_cache

from msgspec import Struct

QUOTES = ("USDT", "USDC", "USD", "PERP")
# 1INCH and 4 are coin names, so only lots of 1000 and more count as digits.
_PREFIX = re.compile(r"^(1M|1(?:000)+|10(?:000)+|100(?:000)+|k)(?=[A-Z]{2})")
_SUFFIX = re.compile(r"(?<=[A-Z])(1(?:000)+|10(?:000)+)$")


class Instrument(Struct, frozen=True):
    """One symbol of the cockpit; `group` is the class that changes category priors."""

    id: str
    group: str

    @property
    def base(self) -> str:
        return self.id.removesuffix("USDT")


class Listing(Struct, frozen=True, gc=False):
    """A venue's name resolved: our id, its base and quote, base coins per venue unit."""

    id: str
    base: str
    quote: str
    lot: float


@lru_cache(maxsize=4096)
def parse_name(name: str) -> Listing | None:
    """Resolve a linear contract's name such as `1000PEPEUSDT`; None for what is no such name.

    Dated contracts (`BTCUSDT_261225`) are not perpetuals and give None.
    """
    quote = next((q for q in QUOTES if name.endswith(q) and len(name) > len(q)), None)
    if quote is None or "_" in name:
        return None
    base, lot = split_lot(name.removesuffix(quote))
    settled = "USDC" if quote == "PERP" else quote
    return Listing(id=base + settled, base=base, quote=settled, lot=lot)


def split_lot(coin: str) -> tuple[str, float]:
    """`1000PEPE`, `SHIB1000`, `kBONK`, `1MBABYDOGE` as (coin, coins per unit)."""
    if found := _PREFIX.match(coin):
        text = found.group(1)
        lot = {"1M": 1e6, "k": 1e3}.get(text) or float(text)
        return coin[found.end() :], lot
    if found := _SUFFIX.search(coin):
        return coin[: found.start()], float(found.group(1))
    return coin, 1.0


# Coins that a venue lists only in lots; every other symbol keeps its own name.
LOTS: dict[str, dict[str, int]] = {
    "binance": {"PEPEUSDT": 1000, "SHIBUSDT": 1000, "BONKUSDT": 1000, "FLOKIUSDT": 1000},
}


def venue_name(venue: str, symbol: str) -> str:
    """The name under which a linear USDT perpetual of ours is listed at a venue."""
    lot = LOTS.get(venue, {}).get(symbol)
    return f"{lot}{symbol}" if lot else symbol
