"""Parts of a View of which nothing is known: what the market shows before the data comes."""

import numpy as np

from engine.market.view import Liquidations, News, Venues

BUCKETS = 100
BUCKET = 1e-3
COURSE = 120


def no_venues(windows: int, symbols: int) -> Venues:
    """No venue at all."""
    flow = np.full((0, windows, symbols), np.nan)
    level = np.full((0, symbols), np.nan)
    return Venues(
        names=(),
        reference=-1,
        dex=np.zeros(0, dtype=bool),
        spot=np.zeros(0, dtype=bool),
        buy=flow,
        sell=flow,
        long_liq=flow,
        short_liq=flow,
        close=level,
        course=np.full((0, COURSE, symbols), np.nan),
        oi=level,
        oi_before=flow,
        funding=level,
        bid_50=level,
        ask_50=level,
    )


def no_liquidations(symbols: int) -> Liquidations:
    """A map without an estimate."""
    empty = np.full((BUCKETS, symbols), np.nan)
    return Liquidations(step=BUCKET, above=empty, below=empty)


def no_news(windows: int, symbols: int) -> News:
    """No headline, and no feed that could bring one."""
    return News(
        tone=np.full(symbols, np.nan),
        mentions=np.full((windows, symbols), np.nan),
        usual=np.full((windows, symbols), np.nan),
    )
