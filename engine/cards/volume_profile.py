"""Volume profile: where the window's volume changed hands, and where price stands to it."""

import numpy as np

from engine.cards.card import card
from engine.cards.measure import clip, direction, known_mean, net, over
from engine.cards.profile import (
    drift,
    point_of_control,
    profile,
    quantiles,
    share_below,
    total,
)
from engine.market.view import Array, View

CATEGORY = "volume_profile"

VALUE_AREA = (0.15, 0.85)
SOFT = 0.1
TESTED = 0.1
HOUR = 3600
DAY = 86_400


@card(CATEGORY, "poc_distance", "POC Distance", "trades")
def poc_distance(view: View) -> Array:
    """(price - point of control) / ATR x (2 e - 1).

    Point of control: centre of volume of the fullest level and its neighbours. e: share of price's
    variance that lies between the window's halves (eta^2 of the profile), where value moved
    towards price, else 0; about a half in a random walk. No trade reads 0.

    Sign: in balance price is drawn back to the point of control, with value migrating it goes on:
    price above it is bearish first, bullish then. Units: ATR of the window.

    Source: Dalton, Mind over Markets (1990), on balance and initiative; CBOT, A Six-Part Study
    Guide to Market Profile (1996).
    """
    book = profile(view)
    shift, share = drift(book)
    away = book.price - point_of_control(book.volume)
    moving = np.where(shift * away > 0, share, 0.0 * share)
    return _traded(book.total, over(away, book.atr) * (2 * moving - 1))


@card(CATEGORY, "value_area_state", "Value Area State", "trades")
def value_area_state(view: View) -> Array:
    """Accepted above value - accepted below - rejected above x p + rejected below x (1 - p).

    Value: where the central 70 % of the volume of the window's older half lies, 15 % below and
    above it. a: share of the newer half's volume above it. Accepted above: a x how surely price
    is there. Rejected above: min(a / 0.1, 1) x how surely price is below the upper edge; p: place
    of price in the value area, 0 lower edge .. 1 upper, so it points to the far edge and ends
    there. Surely: distance / (distance + 0.1 ATR). A half without trades reads 0.

    Sign: price accepted above value is bullish, thrown back into it bearish. Units: shares, -1..+1.

    Source: Steidlmayer, Koy, Markets and Market Logic (1986): value as one standard deviation of
    volume; Dalton, Mind over Markets (1990), for acceptance, rejection and the far edge.
    """
    book = profile(view)
    bottom, top = quantiles(book.early, VALUE_AREA)
    above, below = 1 - share_below(book.late, top), share_below(book.late, bottom)
    reach, price = SOFT * book.atr, book.price
    place = clip(over(price - bottom, top - bottom), 0, 1)
    accepted = _surely(price - top, reach) * above - _surely(bottom - price, reach) * below
    fallen = np.minimum(above / TESTED, 1) * _surely(top - price, reach) * place
    risen = np.minimum(below / TESTED, 1) * _surely(price - bottom, reach) * (1 - place)
    return _traded(total(book.early) * total(book.late), accepted - fallen + risen)


@card(CATEGORY, "hvn_support", "HVN Support", "trades")
def hvn_support(view: View) -> Array:
    """Sum over high-volume levels of size x pull, those below price +, those above -.

    Size: volume beyond the mean of the levels traded at, as share of all. Pull: ATR x distance /
    (distance^2 + c^2), c^2 = (0.1 ATR)^2 + (half a level)^2: one over the distance, with nothing
    to tell at the price itself. No trade reads 0.

    Sign: volume just below holds price up, above holds it down. Units: shares of volume x ATR over
    distance.

    Source: Steidlmayer, Koy, Markets and Market Logic (1986); Osler, Support for Resistance (2000).
    """
    book = profile(view)
    volume = book.total
    norm = over(volume, np.count_nonzero(book.volume, axis=-1).astype(np.float64))
    size = np.maximum(book.volume - norm[..., None], 0.0)
    away = book.price[..., None] - (np.arange(size.shape[-1]) + 0.5)
    soft = (SOFT * book.atr) ** 2 + 0.25
    pull = np.einsum("wsl,wsl->ws", size, away / (away * away + soft[..., None]))
    return over(pull * book.atr, volume)


@card(CATEGORY, "lvn_slip", "LVN Slip", "trades")
def lvn_slip(view: View) -> Array:
    """tanh(window return / ATR) x thinness of the levels ahead.

    Thinness: mean of 1 - volume / mean of the levels traded at, not below 0, over the levels ahead,
    weighted down to 0 at one ATR (two levels at least). Only levels between the window's traded
    extremes can be thin: what lies beyond them is unknown, not empty. No trade reads 0.

    Sign: a thin pocket ahead of a rise is bullish, for price moves fast through it. Units: -1..+1.

    Source: Dalton, Mind over Markets (1990), on single prints; Farmer, Gillemot, Lillo, Mike, Sen,
    What Really Causes Large Price Changes? (2004).
    """
    book, trend = profile(view), direction(view)
    traded = book.volume > 0
    levels = np.arange(traded.shape[-1])
    lowest, highest = traded.argmax(axis=-1), levels[-1] - traded[..., ::-1].argmax(axis=-1)
    norm = over(book.total, traded.sum(axis=-1).astype(np.float64))[..., None]
    thin = np.maximum(norm - book.volume, 0.0)
    thin *= (levels > lowest[..., None]) & (levels < highest[..., None])
    ahead = np.sign(trend)[..., None] * (levels + 0.5 - book.price[..., None])
    weight = np.maximum(1 - ahead / np.maximum(book.atr, 2.0)[..., None], 0.0) * (ahead > 0)
    pocket = np.einsum("wsl,wsl->ws", thin, weight)
    return trend * over(pocket, weight.sum(axis=-1) * norm[..., 0])


@card(CATEGORY, "poc_migration", "POC Migration", "trades")
def poc_migration(view: View) -> Array:
    """(point of control of the window's newer half - that of the older half) / ATR.

    Point of control: centre of volume of the fullest level and its neighbours. A half without
    trades reads 0.

    Sign: value that moves up is bullish. Units: ATR of the window.

    Source: Dalton, Mind over Markets (1990), on migrating value; CBOT, A Six-Part Study Guide to
    Market Profile (1996).
    """
    book = profile(view)
    shift = over(point_of_control(book.late) - point_of_control(book.early), book.atr)
    return _traded(total(book.early) * total(book.late), shift)


@card(CATEGORY, "volume_anomaly", "Volume Anomaly", "trades", "calendar")
def volume_anomaly(view: View) -> Array:
    """max(log(v / norm), 0) x d / v; 0 without trades or without a norm.

    Norm: usual notional a second at this hour of the day x window; of windows above an hour, the
    mean of the whole windows that lay on the same hours of earlier days, two at least.

    Sign: more volume than this time of day brings has the side of its takers: heavy buying is
    bullish. Units: log ratio.

    Source: Karpoff, The Relation Between Price Changes and Trading Volume (1987); Admati,
    Pfleiderer, A Theory of Intraday Patterns (1988), for the time of day.
    """
    buy, sell = view.spans.buy[:, -1], view.spans.sell[:, -1]
    surplus = over(buy + sell, _norm(view))
    return np.log(np.maximum(surplus, 1.0)) * net(buy, sell)


def _norm(view: View) -> Array:
    """Usual notional of these hours of the day, (W, S)."""
    out = np.stack([window.span * view.calendar.hour_volume for window in view.windows])
    volume = view.spans.buy + view.spans.sell
    for place, window in enumerate(view.windows):
        if window.span > HOUR:
            same_hours = volume[place : place + 1, :: -(DAY // window.span)]
            out[place] = known_mean(same_hours[:, 1:], least=2)[0]
    return out


def _surely(distance: Array, reach: Array) -> Array:
    past = np.maximum(distance, 0.0)
    return over(past, past + reach)


def _traded(volume: Array, value: Array) -> Array:
    """`value`, 0 where nothing was traded."""
    return np.where(volume == 0, 0.0 * value, value)
