"""What the simulated venue lists: contract terms and character of each symbol.

Prices, ticks and steps are those of the venue's contract: 1000PEPE is priced per thousand.
"""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
from msgspec import Struct

from engine.sim.market.chance import Array


class Listing(Struct, frozen=True):
    """One contract: `price` where it starts, `vol` per year beside the common factor's `beta`.

    `rate` trades a second on average, `mean` their size and `depth` the resting size within
    10 bps of the mid on one side, both in USD; `interest` is the open interest in USD.
    """

    id: str
    price: float
    decimals: int
    step_decimals: int
    rate: float
    mean: float
    depth: float
    beta: float
    vol: float
    interest: float
    wide: float = 0.1

    @property
    def tick(self) -> float:
        return 10.0**-self.decimals

    @property
    def step(self) -> float:
        return 10.0**-self.step_decimals

    @property
    def ticks(self) -> int:
        """The starting price in ticks."""
        return round(self.price / self.tick)

    def price_text(self, ticks: int) -> str:
        return f"{ticks * self.tick:.{self.decimals}f}"

    def size_text(self, steps: int) -> str:
        return f"{steps * self.step:.{self.step_decimals}f}"


FACTOR_VOL = 0.52  # a year, of the common factor

LISTINGS = {
    listing.id: listing
    for listing in (
        Listing("BTCUSDT", 94_200.0, 1, 3, 24.0, 12_000, 1e7, 1.00, 0.10, 7.2e9, 0.06),
        Listing("ETHUSDT", 3_250.0, 2, 3, 20.0, 9_500, 7.5e6, 1.15, 0.22, 4.9e9, 0.06),
        Listing("SOLUSDT", 182.0, 2, 2, 13.0, 2_600, 3e6, 1.30, 0.38, 1.5e9, 0.06),
        Listing("XRPUSDT", 2.32, 4, 1, 11.0, 2_000, 2.4e6, 1.05, 0.42, 1.1e9),
        Listing("BNBUSDT", 702.0, 2, 2, 6.0, 1_700, 1.4e6, 0.80, 0.25, 5.5e8),
        Listing("ADAUSDT", 0.88, 4, 0, 5.0, 1_100, 9e5, 1.20, 0.45, 3.1e8),
        Listing("AVAXUSDT", 36.5, 3, 1, 4.5, 1_000, 7e5, 1.30, 0.45, 2.3e8, 0.15),
        Listing("SUIUSDT", 3.9, 4, 1, 6.0, 1_900, 9e5, 1.45, 0.60, 4.2e8, 0.15),
        Listing("NEARUSDT", 4.9, 3, 0, 3.0, 800, 6e5, 1.35, 0.50, 1.5e8),
        Listing("DOTUSDT", 6.6, 3, 1, 3.0, 800, 6e5, 1.20, 0.42, 1.7e8),
        Listing("TRXUSDT", 0.246, 5, 0, 2.5, 900, 7e5, 0.55, 0.30, 1.3e8, 0.15),
        Listing("APTUSDT", 8.9, 3, 1, 3.0, 800, 5e5, 1.30, 0.52, 1.2e8),
        Listing("LTCUSDT", 103.0, 2, 3, 3.0, 900, 7e5, 1.00, 0.40, 2.1e8),
        Listing("HYPEUSDT", 24.3, 3, 2, 5.0, 1_300, 7e5, 1.30, 0.75, 4.6e8, 0.2),
        Listing("DOGEUSDT", 0.335, 5, 0, 9.0, 1_700, 1.6e6, 1.40, 0.50, 9.8e8),
        Listing("PEPEUSDT", 0.0174, 6, 0, 6.0, 1_100, 8e5, 1.60, 0.70, 3.4e8),
        Listing("LINKUSDT", 21.3, 3, 2, 5.0, 1_000, 8e5, 1.25, 0.45, 3.3e8, 0.15),
        Listing("AAVEUSDT", 295.0, 2, 1, 3.0, 900, 5e5, 1.20, 0.55, 1.9e8, 0.2),
        Listing("ENAUSDT", 0.85, 4, 0, 4.0, 900, 6e5, 1.50, 0.80, 2.6e8),
        Listing("ARBUSDT", 0.72, 4, 1, 3.0, 800, 6e5, 1.35, 0.50, 1.6e8),
        Listing("FILUSDT", 5.2, 3, 1, 2.5, 700, 5e5, 1.25, 0.45, 1.1e8),
    )
}


def listing_of(symbol: str) -> Listing:
    """The listing of a symbol; one not in the table is a middling coin with its own price."""
    if symbol in LISTINGS:
        return LISTINGS[symbol]
    price = round(0.5 + crc32(symbol.encode()) % 10_000 / 1_000, 3)
    return Listing(symbol, price, 4, 1, 3.0, 900, 6e5, 1.2, 0.5, 1.5e8)


def column(listings: Sequence[Listing], name: str) -> Array:
    """(symbols,) of one attribute."""
    return np.array([float(getattr(listing, name)) for listing in listings])
