"""How old each input is for each symbol: what gates a card's freshness."""

from collections.abc import Iterable, Sequence

import numpy as np

from engine.clock import NS
from engine.feeds.feed import Feed
from engine.market.listed import Listed
from engine.market.market import Market
from engine.market.venues import SPOT
from engine.market.view import Array

DIRECT = ("trades", "mark", "funding", "oi", "ratio")
SHARED = ("trades", "book", "funding", "oi", "liq")
OWN = ("trades", "book", "mark", "funding", "oi", "liq", "ratio", "bars")
NEEDS = (*OWN, "options", "quotes", "onchain", "defi", "mood", "news")


def ages(market: Market, now: int) -> dict[str, Array]:
    """Input -> seconds since its last data, (symbols,); NaN for none.

    Plain needs are the reference venue's; `venues:NEED` is the age at the second freshest venue.
    A book counts only while it is whole. Bars are as old as their tape or their last candle. An
    open stream of liquidations is as old as what else its venue sends: they are rare by nature.
    """
    count = len(market.symbols)
    out = {need: np.full(count, np.nan) for need in (*DIRECT, "book", "bars", "liq")}
    shared = {need: np.full((2, count), np.inf) for need in SHARED}
    for (venue, _), listed in market.listed.items():
        place = listed.index
        known = _known(market, listed, now)
        if venue == market.reference:
            for need, age in known.items():
                out[need][place] = age
        if venue not in SPOT:
            for need in SHARED:
                _rank(shared[need][:, place], known.get(need, np.inf))
    for need, (_, second) in shared.items():
        out[f"venues:{need}"] = np.where(np.isfinite(second), second, np.nan)
    sealed = market.candles.sealed_until
    newest = np.where(sealed > 0, (now - sealed) / NS, np.nan)
    out["bars"] = np.fmax(np.fmin(out["trades"], newest), 0.0)
    for need, heard in market.outside.heard.items():
        out[need] = np.where(heard > 0, np.maximum(now - heard, 0) / NS, np.nan)
    return out


def _known(market: Market, listed: Listed, now: int) -> dict[str, float]:
    """Ages of what one venue brings for one symbol."""
    recv = listed.recv
    out = {need: _since(now, recv[need]) for need in DIRECT if need in recv}
    if listed.book.synced:
        out["book"] = _since(now, listed.book.recv)
    if listed.venue in market.liquidations_open:
        venue = max(listed.trade_at, listed.quote_at, listed.book.recv)
        if venue:
            out["liq"] = _since(now, venue)
    if "liq" in recv:
        out["liq"] = min(out.get("liq", np.inf), _since(now, recv["liq"]))
    return out


def _rank(best: Array, age: float) -> None:
    """Keep the two smallest."""
    if age < best[0]:
        best[0], best[1] = age, best[0]
    elif age < best[1]:
        best[1] = age


def _since(now: int, recv: int) -> float:
    return max(now - recv, 0) / NS


def fed_inputs(feeds: Iterable[Feed], symbols: Sequence[str],
               reference: str) -> dict[str, frozenset[str]]:  # fmt: skip
    """Inputs per symbol that the feeds can bring, named as in `ages`.

    What a venue tells of itself counts where the reference venue tells it, and as `venues:NEED`
    where two venues do.
    """
    listed = list(feeds)
    out = {}
    for symbol in symbols:
        tell = {
            need: {feed.venue for feed in listed if feed.carries(need, symbol)} for need in NEEDS
        }
        fed = {n for n, venues in tell.items() if venues & ({reference} if n in OWN else venues)}
        fed |= {f"venues:{need}" for need in SHARED if len(tell[need] - SPOT) > 1}
        out[symbol] = frozenset(fed)
    return out
