"""What the rings sum: field names, their places and quanta. `trades` come with candles too."""

import numpy as np

from engine.market.view import Array

# Quanta of what is summed: notional traded, shares and seconds, notional resting.
TRADED = 2.0**-12
LEANING = 2.0**-14
FINE = 2.0**-24
COARSE = 2.0**-4

# Kept in every ring, and filled from candles: taker notional, notional x (log price - that of the
# symbol's first price), seconds. Fine enough that a small trade alone has an exact VWAP.
FLOW = {"buy": TRADED, "sell": TRADED, "vwap": LEANING, "covered": FINE}

# Only from a live tape.
TAPE = {
    "buys": 1.0,
    "sells": 1.0,
    "big_buy": TRADED,
    "big_sell": TRADED,
    "bunched_buy": TRADED,
    "bunched_sell": TRADED,
    "large_buy": TRADED,
    "large_sell": TRADED,
    "small_buy": TRADED,
    "small_sell": TRADED,
    "huge_buy": TRADED,
    "huge_sell": TRADED,
    "up_runs": 1.0,
    "down_runs": 1.0,
    "sweep_buy": TRADED,
    "sweep_sell": TRADED,
    "long_liq": TRADED,
    "short_liq": TRADED,
    "long_swept": TRADED,
    "short_swept": TRADED,
    "taped": FINE,
    "sized": FINE,
}
# Those that need to know what size is usual; the others only need the tape.
BY_SIZE = (
    *("big_buy", "big_sell", "bunched_buy", "bunched_sell", "huge_buy", "huge_sell"),
    *("large_buy", "large_sell", "small_buy", "small_sell"),
)
SECONDS = ("taped", "sized")

# Summed over one book sample a second, to be divided by the number of samples.
SAMPLED = {
    **dict.fromkeys(("bid_10", "ask_10", "bid_50", "ask_50", "bid_100", "ask_100"), COARSE),
    **dict.fromkeys(("band_10", "band_50", "band_100"), FINE),
    "tilt": FINE,
    "spread": FINE,
    "top": COARSE,
    "bid_wall": COARSE,
    "ask_wall": COARSE,
    "bid_thin": FINE,
    "ask_thin": FINE,
}

# Summed over the samples that had a wall.
WALLED = dict.fromkeys(
    ("bid_wall_distance", "ask_wall_distance", "bid_wall_life", "ask_wall_life"), FINE
)

BOOK = {
    **SAMPLED,
    **WALLED,
    "ofi": COARSE,
    "paid_buy": LEANING,
    "paid_sell": LEANING,
    **dict.fromkeys(
        (
            *("bid_taken", "ask_taken", "bid_refill", "ask_refill"),
            *("bid_added", "ask_added", "bid_cancelled", "ask_cancelled"),
            *("bid_hidden", "ask_hidden"),
        ),
        COARSE,
    ),
    "samples": 1.0,
    "bid_walls": 1.0,
    "ask_walls": 1.0,
}

# What bars have of the live rings comes first, so that reading it touches nothing else.
IN_BARS = (
    *("long_liq", "short_liq", "long_swept", "short_swept", "taped"),
    *("samples", "bid_50", "ask_50"),
)
LIVE = {**dict.fromkeys(IN_BARS, 0.0), **TAPE, **BOOK}
FLOW_AT = {name: place for place, name in enumerate(FLOW)}
LIVE_AT = {name: place for place, name in enumerate(LIVE)}
BOOK_AT = {name: LIVE_AT[name] for name in BOOK}


def quanta(table: dict[str, float]) -> Array:
    """The quanta of a table's fields, in order."""
    return np.array(list(table.values()))
