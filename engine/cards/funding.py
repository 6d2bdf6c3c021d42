"""Funding: who pays whom for holding a perpetual, and how dear it is over spot.

Rates are per 8 h and counted from the venue's neutral rate, the one it charges at no premium.
The premium is log mark over log index price.
"""

from functools import lru_cache

import numpy as np

from engine.cards.card import card
from engine.cards.measure import bars_inside, clip, inside, known_mean, over, scaled, summed
from engine.cards.positioning import beyond, premium, premium_score, together, trend_side
from engine.market.view import Array, View

CATEGORY = "funding"
# The regime votes with the trend and must not make up a trend's majority.
TREND_PRIOR = 0.25
DEAD_BAND = 1e-4
# Venues whose funding is the premium alone, without an interest part.
PREMIUM_ALONE = frozenset({"deribit", "dydx"})
CLAMP = 5e-4
MILD = 3e-4
FUNDINGS_A_YEAR = 3 * 365
DAYS_A_YEAR = 365
HURDLE = 0.20


def _mean(view: View, x: Array) -> Array:
    """Mean of the window's known bars of x (W, N, S), half of them at least; (W, S)."""
    bars = inside(view, x)
    enough = 2 * summed(bars == bars) >= bars_inside(view)
    return np.where(enough, known_mean(bars), np.nan)


@lru_cache(maxsize=1)
def _paid(view: View) -> Array:
    """Mean funding over the window, (W, S)."""
    return _mean(view, view.bars.funding)


@lru_cache(maxsize=1)
def _gap(view: View) -> Array:
    """Mean premium over the window, (W, S)."""
    return _mean(view, view.bars.mark - view.bars.index)


@card(CATEGORY, "funding_rate", "Funding Rate", "funding")
def funding_rate(view: View) -> Array:
    """-(f - clip(f, -b, b)), f = mean funding per 8 h over the window, from the neutral rate.

    b = 0.01 % where the venue's funding has an interest part, 0 where it is the premium alone. Half
    of the window's bars must be known.

    Sign: longs that pay are crowded, bearish; shorts that pay, bullish. Units: rate per 8 h.

    Source: venue documentation of funding (Binance USD-M: interest 0.01 % per 8 h); Schmeling,
    Schrimpf, Todorov, Crypto Carry (2023): high carry foretells falls.
    """
    place = view.venues.reference
    free = place >= 0 and view.venues.names[place] in PREMIUM_ALONE
    return -beyond(_paid(view), 0.0 if free else DEAD_BAND)


@card(CATEGORY, "funding_regime", "Funding Regime", "funding", "bars", role="context",
      prior=TREND_PRIOR)  # fmt: skip
def funding_regime(view: View) -> Array:
    """together(trend, tanh(z(change of funding))) x clip(2 - |f| / 0.03 %, -1, 1).

    together(x, y) = |x y| with their sign where they have one sign, else 0; trend = tanh(return /
    window ATR); f = funding per 8 h from the neutral rate. The last factor is 1 to 0.03 %, 0 at
    0.06 % and -1 from 0.09 % on.

    Sign: with the trend while funding follows it and is mild, for new money pays to join; against
    it once that is extreme; 0 where funding moves against the trend. Units: -1..+1.

    Source: He, Manela, Ross, von Wachter, Fundamentals of Perpetual Futures (2022): premia rise
    with past returns; Schmeling, Schrimpf, Todorov (2023): extremes end in liquidations.
    """
    funding = view.spans.funding
    rise = np.tanh(scaled(funding[:, 1:] - funding[:, :-1]))
    calm = clip(2.0 - np.abs(funding[:, -1]) / MILD, -1.0, 1.0)
    return together(trend_side(view), rise) * calm


@card(CATEGORY, "basis_trade_opp", "Basis Trade Opportunity", "funding", "mark")
def basis_trade_opp(view: View) -> Array:
    """-(c - clip(c, -20 %, 20 %)), c = 1095 x funding per 8 h + 365 x premium, means of the window.

    The yearly carry of being short the perpetual against spot: funding from its neutral rate, and
    a premium that closes within a day. The hurdle of 20 % a year stands for fees of both legs and
    the cost of margin.

    Sign: carry above the hurdle brings arbitrage that sells the perpetual, bearish; below minus
    the hurdle it buys. Units: per year.

    Source: He, Manela, Ross, von Wachter (2022) on arbitrage of perpetuals within trading costs;
    Schmeling, Schrimpf, Todorov (2023).
    """
    return -beyond(FUNDINGS_A_YEAR * _paid(view) + DAYS_A_YEAR * _gap(view), HURDLE)


@card(CATEGORY, "funding_forecast", "Funding Forecast", "mark", "funding")
def funding_forecast(view: View) -> Array:
    """-(1 - e^2) x (p - clip(p, -0.05 %, 0.05 %) - f), p = mean premium over the window.

    What the next settlement would add to the rate shown, f (from the neutral rate), if the premium
    stayed: it is the average premium to date, clamped, and the average weighs later minutes more,
    so e, the share of the interval that has passed, has settled e^2 of it. The interest part is
    left out of both.

    Sign: funding about to rise is bearish, longs will pay more. Units: rate per 8 h.

    Source: Binance USD-M, Introduction to Funding Rates: F = P + clamp(I - P, -0.05 %, 0.05 %), P
    the average premium index with weights 1, 2, ... n.
    """
    calendar = view.calendar
    passed = 1.0 - clip(over(calendar.to_funding, calendar.funding_interval), 0.0, 1.0)
    return (passed**2 - 1.0) * (beyond(_gap(view), CLAMP) - view.spans.funding[:, -1])


@card(CATEGORY, "perp_premium", "Perp Premium", "mark", scale="centred")
def perp_premium(view: View) -> Array:
    """(1 - x) z(change of the premium) - x z, x = clip(|z| - 1, 0, 1), z = premium from its mean.

    z in std of the windows before, two at least: the premium's momentum while it is within one
    sigma, its opposite beyond two, mixed between. The premium is the reference venue's.

    Sign: a small premium that grows is bullish, an extreme one bearish. Units: standard deviations.

    Source: He, Manela, Ross, von Wachter (2022): the gap to spot follows past returns and closes;
    Schmeling, Schrimpf, Todorov (2023) for its extremes.
    """
    gap = premium(view)
    z = premium_score(view)
    extreme = clip(np.abs(z) - 1.0, 0.0, 1.0)
    return (1.0 - extreme) * scaled(gap[:, 1:] - gap[:, :-1]) - extreme * z
