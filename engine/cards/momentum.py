"""Momentum: where price goes and how fast."""

import numpy as np

from engine.cards.averages import (
    WILDER,
    at_least,
    candles,
    directional_movement,
    emas,
    latest,
    realised,
    weighted,
    wilder,
    wilder_atr,
    wilder_ratio,
    window_return,
)
from engine.cards.card import card
from engine.cards.measure import clip, over, summed, window_atr
from engine.market.view import Array, View

CATEGORY = "momentum"

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
STACK = (9, 21, 55)
DONCHIAN = 20
TURN = 5


@card(CATEGORY, "price_momentum", "Price Momentum", "bars")
def price_momentum(view: View) -> Array:
    """Log return over the window / root mean square of the 60 window returns before it.

    At least eight of the windows before must be known.

    Sign: rising price is bullish. Units: standard deviations.

    Source: Moskowitz, Ooi, Pedersen, Time Series Momentum (2012): returns scaled by volatility;
    realised volatility about zero as in Andersen, Bollerslev (1998).
    """
    return over(window_return(view), realised(view))


@card(CATEGORY, "momentum_acceleration", "Momentum Acceleration", "bars")
def momentum_acceleration(view: View) -> Array:
    """(Log return of the window's second half - that of its first half) / volatility.

    The halves are made of the window's bars; volatility is the root mean square of the 60 window
    returns before it, as in Price Momentum.

    Sign: a rise that gains speed, or a fall that loses it, is bullish. Units: standard deviations
    of the window's return.

    Source: Gettleman, Marks, Acceleration Strategies (2006): the change of momentum tells more than
    momentum alone.
    """
    bars = view.bars
    lane = np.arange(len(view.windows))
    half = np.array([w.span // w.bar // 2 for w in view.windows])
    middle = bars.close[lane, -1 - half]
    later = bars.close[:, -1] - middle
    earlier = middle - bars.open[lane, -2 * half]
    return over(later - earlier, realised(view))


@card(CATEGORY, "mtf_alignment", "MTF Alignment", "bars", level=True)
def mtf_alignment(view: View) -> Array:
    """Mean sign of the returns over all windows x the smallest |return / volatility| of them.

    Return / volatility is Price Momentum; windows without it are left out and stay NaN, all
    others repeat the one value.

    Sign: windows rising together are bullish. Units: standard deviations of the weakest window.

    Source: Elder, The Triple Screen Trading System (1986): a trade has the longer trends behind it.
    """
    moves = price_momentum(view)
    known = ~np.isnan(moves)
    number = np.maximum(known.sum(axis=0), 1)
    signs = np.sign(np.where(known, moves, 0.0)).sum(axis=0) / number
    weakest = np.where(known, np.abs(moves), np.inf).min(axis=0)
    return np.where(known, signs * np.where(np.isinf(weakest), 0.0, weakest), np.nan)


@card(CATEGORY, "trend_strength", "Trend Strength", "bars")
def trend_strength(view: View) -> Array:
    """(+DI - -DI)/(+DI + -DI) x ADX/100, all over 14 bars.

    The first factor is the signed DX of now, the second its smoothed size: how long it has held.
    Needs 28 bars; seeded at the first known one, as TA-Lib seeds it. No movement reads 0.

    Sign: upward directional movement that persists is bullish. Units: -1..+1.

    Source: Wilder, New Concepts in Technical Trading Systems (1978), on log prices.
    """
    bars = candles(view)
    plus, minus = directional_movement(bars)
    signed = wilder_ratio(plus - minus, plus + minus, bars.known, seed=WILDER - 1)
    adx = wilder(np.abs(signed), bars.known, start=WILDER)
    return at_least(2 * WILDER, signed[:, -1] * adx, bars.known)


@card(CATEGORY, "ma_stack", "MA Stack", "bars")
def ma_stack(view: View) -> Array:
    """(a + b) x |a + b| / (|a| + |b|), a = (EMA 9 - EMA 21)/ATR(14), b = (EMA 21 - EMA 55)/ATR(14).

    In order (a and b of one sign) it is the whole spacing; out of order it shrinks to nothing.
    EMA 2/(n + 1), seeded at the first known bar; needs 55 bars.

    Sign: the short average above the middle above the long one is bullish. Units: ATR of a bar.

    Source: Allen's triple crossover in Murphy, Technical Analysis of the Financial Markets (1999);
    Brock, Lakonishok, LeBaron (1992); ATR: Wilder (1978).
    """
    bars = candles(view)
    average = emas(bars, STACK)
    spacing = over(average[:, :-1] - average[:, 1:], wilder_atr(view)[:, None])
    whole, size = spacing.sum(axis=1), np.abs(spacing).sum(axis=1)
    return at_least(STACK[-1], over(whole * np.abs(whole), size), bars.known)


@card(CATEGORY, "vwap_distance", "VWAP Distance", "bars")
def vwap_distance(view: View) -> Array:
    """sign(x) max(min(|x|, 2 - |x|), -2), x = (log price - session VWAP) / ATR over the window.

    Session VWAP: notional-weighted mean log price of the bars since 00:00 UTC, or of all 120 bars
    where those reach less far back (2 min, 20 min and 1 h of the 10 s, 1 m and 5 m windows).
    Strongest at one ATR, nothing at two, against the stretch beyond, at most two.

    Sign: price up to two ATR above the VWAP is bullish, farther is bearish. Units: ATR of the
    window (mean range of the last 14 whole windows).

    Source: Berkowitz, Logue, Noser, The Total Cost of Transactions on the NYSE (1988).
    """
    bars = view.bars
    notional = bars.buy + bars.sell
    price = bars.close[:, -1]
    known = ~np.isnan(notional + bars.vwap + price[:, None])
    session = _session(view)
    weight = np.where(known, notional, 0.0) * session[:, :, None]
    ahead = np.where(known, price[:, None] - bars.vwap, 0.0)
    x = over(over(weighted(weight, ahead), summed(weight)), window_atr(view))
    size = np.abs(x)
    shaped = np.sign(x) * np.maximum(np.minimum(size, 2 - size), -2)
    return np.where(weighted(session, known) > 0, shaped, np.nan)


def _session(view: View) -> Array:
    """1 for bars (W, N) that end after the last midnight UTC and the current one, else 0."""
    total = view.bars.close.shape[1]
    bars = [max(1, -(-(view.now % DAY) // (w.bar * SECOND))) for w in view.windows]
    return latest(np.array(bars)[:, None], total)


@card(CATEGORY, "rsi_state", "RSI State", "bars")
def rsi_state(view: View) -> Array:
    """x = RSI(14) - 50 held within -20..+20; on the side it turns back from, x (1 - 2 t).

    t = clip((peak - 70)/5, 0, 1) x clip((peak - RSI)/5, 0, 1), peak the highest RSI of the last
    five bars and now; below, the same mirrored at 50. Beyond 70 and not turning it stays +20; five
    points back from 75 or more it reads -x. Needs 15 bars; no movement reads 0.

    Sign: RSI above 50 is bullish, coming back from above 70 is bearish. Units: points of RSI.

    Source: Wilder, New Concepts in Technical Trading Systems (1978), on log prices.
    """
    bars = candles(view)
    change = np.zeros_like(bars.close)
    change[:, 1:] = bars.close[:, 1:] - bars.close[:, :-1]
    rsi = 50 * wilder_ratio(change, np.abs(change), bars.known, bars=TURN + 1)
    now = rsi[:, -1]
    early = np.arange(TURN, -1, -1)[:, None] > (bars.known - WILDER - 1)[:, None]
    recent = np.where(early, now[:, None], rsi)
    above = _turned(now, recent.max(axis=1))
    below = _turned(-now, -recent.min(axis=1))
    state = clip(now, -20, 20) * (1 - 2 * np.where(now > 0, above, below))
    return at_least(WILDER + 1, state, bars.known)


def _turned(now: Array, peak: Array) -> Array:
    """How far (0..1) RSI - 50 has come back from a peak beyond +20."""
    out: Array = clip((peak - 20) / 5, 0, 1) * clip((peak - now) / 5, 0, 1)
    return out


@card(CATEGORY, "breakout_momentum", "Breakout Momentum", "bars")
def breakout_momentum(view: View) -> Array:
    """(close - highest high above it, or close - lowest low below it) / ATR(14), 0 in between.

    High and low are those of the 20 bars before the current one; needs 21 bars.

    Sign: above the range is bullish. Units: ATR of a bar.

    Source: Donchian's four-week rule as in Murphy, Technical Analysis of the Financial Markets
    (1999); ATR: Wilder (1978).
    """
    bars = candles(view)
    close = bars.close[:, -1]
    highest = bars.high[:, -1 - DONCHIAN : -1].max(axis=1)
    lowest = bars.low[:, -1 - DONCHIAN : -1].min(axis=1)
    beyond = np.maximum(close - highest, 0) - np.maximum(lowest - close, 0)
    return at_least(DONCHIAN + 1, over(beyond, wilder_atr(view)), bars.known)
