"""How positions build up and whom they crowd; shared by cards of positioning, holds none itself.

Several cards ask the same of one view, so the last answer is kept; nobody writes into it.
"""

from functools import lru_cache

import numpy as np

from engine.cards.measure import clip, direction, known_mean, net, over, standing
from engine.cards.unusual import atr, flow
from engine.market.view import Array, View

# What a price counts as flat for: half its usual range of a window.
FLAT = 0.5


@lru_cache(maxsize=1)
def growth(view: View) -> Array:
    """Growth of open interest (base units) over each whole window, (W, 60, S).

    2 (after - before) / (after + before): the log growth to second order, bounded by 2.
    """
    interest = view.spans.oi
    return 2.0 * net(interest[:, 1:], interest[:, :-1])


@lru_cache(maxsize=1)
def growth_score(view: View) -> Array:
    """z of the current window's growth of open interest, (W, S)."""
    return over(growth(view)[:, -1], growth_size(view))


@lru_cache(maxsize=1)
def growth_size(view: View) -> Array:
    """Root mean square of the growth of open interest in the windows before, (W, S)."""
    return np.sqrt(known_mean(growth(view)[:, :-1] ** 2, least=2))


@lru_cache(maxsize=1)
def crowd_score(view: View) -> Array:
    """Log long/short of all accounts from its mean over 60 windows, in their std, (W, S)."""
    return standing(view.spans.global_accounts)


@lru_cache(maxsize=1)
def trend_side(view: View) -> Array:
    """`measure.direction`: tanh(return over the window / window ATR), (W, S)."""
    return direction(view)


@lru_cache(maxsize=1)
def flow_side(view: View) -> Array:
    """The takers' side, -1..+1, smooth: tanh(z(d)), (W, S)."""
    out: Array = np.tanh(flow(view))
    return out


@lru_cache(maxsize=1)
def stillness(view: View) -> Array:
    """exp(-(window return / half the window ATR)^2): 1 while price is flat, (W, S)."""
    spans = view.spans
    move = over(spans.close[:, -1] - spans.open[:, -1], FLAT * atr(view))
    out: Array = np.exp(-move * move)
    return out


@lru_cache(maxsize=1)
def premium(view: View) -> Array:
    """Log mark over log index price at the end of each whole window, (W, H, S)."""
    return view.spans.mark - view.spans.index


@lru_cache(maxsize=1)
def premium_score(view: View) -> Array:
    """The premium from its mean over 60 windows, in their std, (W, S)."""
    return standing(premium(view))


def beyond(x: Array, band: float) -> Array:
    """What of x lies beyond the band on either side, with its sign."""
    return x - clip(x, -band, band)


def together(x: Array, y: Array) -> Array:
    """|x y| with their sign where they have one sign, else 0."""
    return (x * np.abs(y) + np.abs(x) * y) / 2


def mild(x: Array) -> Array:
    """x to 1, falling to 0 at 2 and to the other side beyond, at most by 2."""
    size = np.abs(x)
    out: Array = np.sign(x) * np.maximum(np.minimum(size, 2 - size), -2)
    return out
