"""What cards read beside the reference venue: other venues and outside series; holds no card.

An outside series stands until its next value, so a daily one moves once a day and rests where its
market does. Market-wide ones are the same for all symbols and read from the first column.
"""

from functools import lru_cache

import numpy as np

from engine.cards.measure import clip, market_leader, net, others, outside, over, scaled, summed
from engine.cards.peers import returns
from engine.market.view import Array, Flags, View

DAILY = 86_400.0
# A week of days has every weekday once.
WEEK = 7
LEAST = 20  # windows that both of a correlated pair must know
NS = 10**9
# The US cash market has closed so long before its daily value is dated, 00:00 UTC.
CLOSED = 3 / 24


def only(venues: Flags) -> Array:
    """(V, 1, 1): 1 for these venues, NaN for the rest; multiplied, leaves the rest out."""
    return np.where(venues, 1.0, np.nan)[:, None, None]


def market_wide(view: View, name: str) -> Array:
    """A market-wide series at the end of each window, (W, H, 1)."""
    return outside(view, name)[:, :, :1]


def everywhere(view: View, x: Array) -> Array:
    """A value per window (W, 1) as a card's result, the same for every symbol."""
    return np.full((len(x), len(view.symbols)), x)


def growth(x: Array, windows: int = 1) -> Array:
    """Growth of x (W, H, S) over so many windows, at the end of each: (W, H - windows, S).

    2 (after - before) / (after + before): the log growth to second order, within -2..+2, and 0
    where both are 0.
    """
    return 2.0 * net(x[:, windows:], x[:, :-windows])


def grown(x: Array, windows: int = 1) -> Array:
    """The same at the end of the current window alone, (W, S)."""
    return 2.0 * net(x[:, -1], x[:, -1 - windows])


@lru_cache(maxsize=1)
def rivals(view: View) -> Array:
    """(V, 1, 1): 1 for every perpetual venue but the reference, NaN for the rest."""
    return others(view) * only(~view.venues.spot)


@lru_cache(maxsize=1)
def equity_moves(view: View) -> tuple[Array, Flags]:
    """Return of the equity index over each of the last 60 windows (W, 60, 1), where it is daily.

    That of the round-the-clock contract; in windows of a day the published daily index stands in
    until the contract has been watched for long enough to tell what is usual.
    """
    live = growth(market_wide(view, "equity_index"))
    days = np.array([w.span >= DAILY for w in view.windows])
    daily = days & np.isnan(scaled(live))[:, 0]
    published = growth(market_wide(view, "equity_index_daily"))
    return np.where(daily[:, None, None], published, live), daily


def leader_moves(view: View, daily: Flags | None = None) -> Array:
    """BTC's log return over each of the last 60 windows (W, 60, 1); NaN without BTC.

    Windows in `daily` are brought in step with values of a day that ended at the US close, by
    their share in it: late in the UTC day the newest value is about the window before.
    """
    place = market_leader(view)
    if place is None:
        return np.full((len(view.windows), view.spans.close.shape[1] - 1, 1), np.nan)
    moves = returns(view)[:, :, place : place + 1]
    if daily is None or not daily.any():
        return moves
    before = np.concatenate([np.full_like(moves[:, :1], np.nan), moves[:, :-1]], axis=1)
    share = min(view.now / NS % DAILY / DAILY + CLOSED, 1.0)
    return np.where(daily[:, None, None], (1 - share) * moves + share * before, moves)


def correlation(x: Array, y: Array) -> Array:
    """Correlation along axis 1 over what both know, 20 at least; 0 where either stands still."""
    pair = np.stack([x + 0.0 * y, y + 0.0 * x])
    known = pair == pair
    n = summed(known[0])
    mean = np.where(known, pair, 0.0).sum(axis=2) / np.maximum(n, 1)
    pair = np.where(known, pair - mean[:, :, None], 0.0)
    # Of magnitude one before squaring, so that small returns are not taken for none.
    pair = over(pair, np.abs(pair).max(axis=2, keepdims=True))
    a, b = pair
    scale = np.sqrt(summed(a * a) * summed(b * b))
    out = clip(over(summed(a * b), scale), -1.0, 1.0)
    return np.where(n >= LEAST, out, np.nan)


def agreed(x: Array, weight: Array) -> Array:
    """Weighted mean along axis 0 of what is known x its agreement |sum| / sum of sizes.

    0 where the parts cancel, the mean where they share a sign; NaN where nothing is known.
    """
    known = (x == x) & (weight == weight)
    parts = np.where(known, x * weight, 0.0)
    total, size = parts.sum(axis=0), np.abs(parts).sum(axis=0)
    mean = over(total, np.where(known, weight, 0.0).sum(axis=0))
    return np.where(known.any(axis=0), mean * over(np.abs(total), size), np.nan)
