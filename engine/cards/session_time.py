"""Session and time: what the clock alone says."""

import numpy as np

from engine.cards.card import card
from engine.cards.measure import clip, inside, known_mean, level, over
from engine.market.view import Array, View

CATEGORY = "session_time"

HOUR = 3600.0
# Share of the interval between fundings over which nearness falls to 1/e: an hour of eight.
NEAR = 0.125


@card(CATEGORY, "session_bias", "Session Bias", "bars", "calendar", level=True, cadence=HOUR)
def session_bias(view: View) -> Array:
    """Mean log return of this session (Asia, Europe, US) on the days before / its standard error.

    Sessions open at 00, 08, 14 and 22 UTC (the last is the gap before Asia), over the half year
    stored; 0 where returns never differed. A value stands for hours, so only windows from 1 h up
    have it; they repeat it.

    Sign: a session that used to rise is bullish. Units: t-statistic.

    Source: Heston, Korajczyk, Sadka, Intraday Patterns in the Cross-Section of Stock Returns
    (2010); Lou, Polk, Skouras, A Tug of War: Overnight Versus Intraday Expected Returns (2019).
    """
    calendar = view.calendar
    return level(view, over(calendar.session_mean, calendar.session_error) + _here(view))


@card(CATEGORY, "hourly_seasonality", "Hourly Seasonality", "bars", "calendar", level=True,
      cadence=HOUR)  # fmt: skip
def hourly_seasonality(view: View) -> Array:
    """Mean log return of this hour of the week in the weeks before / its standard error.

    Over the half year stored, four weeks at least; 0 where returns never differed. Only windows
    from 1 h up have it; they repeat it.

    Sign: an hour that used to rise is bullish. Units: t-statistic.

    Source: Heston, Korajczyk, Sadka (2010); Eross, McGroarty, Urquhart, Wolfe, The Intraday
    Dynamics of Bitcoin (2019).
    """
    calendar = view.calendar
    return level(view, over(calendar.hour_mean, calendar.hour_error) + _here(view))


def _here(view: View) -> Array:
    """0 for symbols whose price is known now in some window, NaN for the rest; (S,)."""
    there = (view.bars.close[:, -1] == view.bars.close[:, -1]).any(axis=0)
    return np.where(there, 0.0, np.nan)


@card(CATEGORY, "funding_clock", "Funding Clock", "funding", "calendar")
def funding_clock(view: View) -> Array:
    """-f x exp(-time to the next funding / (interval / 8)).

    f: mean funding per 8 h over the window, from the venue's neutral rate.

    Sign: longs about to pay are bearish, for those who can leave do so before; shorts about to pay
    are bullish. Units: rate per 8 h.

    Source: venue documentation of funding (paid by whoever holds the position at the time); He,
    Manela, Ross, von Wachter, Fundamentals of Perpetual Futures (2022).
    """
    calendar = view.calendar
    left = over(calendar.to_funding, NEAR * calendar.funding_interval)
    paid = known_mean(inside(view, view.bars.funding))
    return -paid * np.exp(-clip(left, 0.0, 50.0))
