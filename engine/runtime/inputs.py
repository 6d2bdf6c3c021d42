"""How old each input is for each symbol: what gates a card's freshness."""

import numpy as np

from engine.clock import NS
from engine.market.market import Market
from engine.market.view import Array

DIRECT = ("trades", "mark", "funding", "oi", "liq", "ratio")


def ages(market: Market, now: int) -> dict[str, Array]:
    """Input -> seconds since its last data at the reference venue, (symbols,); NaN for none.

    A book counts only while it is whole. Bars are as old as their tape or their last candle.
    """
    count = len(market.symbols)
    out = {need: np.full(count, np.nan) for need in (*DIRECT, "book", "bars")}
    for (venue, _), listed in market.listed.items():
        if venue != market.reference:
            continue
        place = listed.index
        for need in DIRECT:
            if need in listed.recv:
                out[need][place] = _since(now, listed.recv[need])
        if listed.book.synced:
            out["book"][place] = _since(now, listed.book.recv)
    sealed = market.candles.sealed_until
    newest = np.where(sealed > 0, (now - sealed) / NS, np.nan)
    out["bars"] = np.fmax(np.fmin(out["trades"], newest), 0.0)
    return out


def _since(now: int, recv: int) -> float:
    return max(now - recv, 0) / NS
