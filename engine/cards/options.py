"""Options: what the surface of Deribit's chain expects; symbols without options have none.

Volatilities are in per cent a year and polled once a minute.
"""

from functools import lru_cache

import numpy as np

from engine.cards.card import card
from engine.cards.elsewhere import grown
from engine.cards.measure import direction, level, net, outside, standing, usual
from engine.cards.positioning import mild
from engine.market.view import Array, View, Window

CATEGORY = "options"

EXEMPT = "the option surface comes from outside, and the mirror leaves it as it is"
POLLED = 60.0
# As volatility cards do: what is signed with the trend must not make up a majority of it.
TREND_PRIOR = 0.25
YEAR = 365 * 86_400.0
# Windows that the realised volatility is measured over.
REALISED = 20


@card(CATEGORY, "implied_vol", "Implied Volatility", "options", scope="some", role="context",
      cadence=POLLED, mirror_exempt=EXEMPT)  # fmt: skip
def implied_vol(view: View) -> Array:
    """-(growth of the volatility index over the window), 2 (after - before) / (after + before).

    Sign: neither with the trend nor against it: options that grow dearer are bearish in themselves,
    for protection is bought. Units: log change.

    Source: Deribit DVOL; Alexander, Imeraj, The Bitcoin VIX and Its Variance Risk Premium (2021);
    Whaley, The Investor Fear Gauge (2000).
    """
    return -grown(outside(view, "dvol"))


@card(CATEGORY, "iv_premium", "IV Premium", "options", "bars", scope="some", role="context",
      scale="centred", cadence=POLLED, prior=TREND_PRIOR)  # fmt: skip
def iv_premium(view: View) -> Array:
    """-(p - its mean over the windows before) x tanh(window return / window ATR).

    p = 2 (implied - realised) / (implied + realised): implied is the volatility index, realised the
    annual volatility of the last 20 windows by their ranges, sqrt(mean (high - low)^2 / (4 ln 2)).

    Sign: against the trend: options dearer than the market moves expect its turn; cheap ones go
    with it. Units: log ratio to second order, -2..+2 about its norm.

    Source: Bollerslev, Tauchen, Zhou, Expected Stock Returns and Variance Risk Premia (2009);
    Alexander, Imeraj, The Bitcoin VIX and Its Variance Risk Premium (2021); Parkinson, The Extreme
    Value Method for Estimating the Variance of the Rate of Return (1980).
    """
    spans = view.spans
    realised = np.sqrt(_lately((spans.high - spans.low) ** 2) * _per_year(view.windows))
    premium = 2.0 * net(outside(view, "dvol")[:, REALISED - 1 :], realised)
    return (usual(premium) - premium[:, -1]) * direction(view)


@lru_cache
def _per_year(windows: tuple[Window, ...]) -> Array:
    """What turns a sum of 20 squared ranges into a variance in %^2 a year, (W, 1, 1)."""
    year = np.array([100.0**2 * YEAR / window.span for window in windows])
    out: Array = (year / (4 * np.log(2) * REALISED))[:, None, None]
    return out


def _lately(x: Array) -> Array:
    """Sums of x (W, H, S) over 20 windows, at the end of each that has them before it."""
    four = _twice(_twice(x, 1), 2)
    return _twice(_twice(four, 4), 8)[:, 4:] + four[:, :-16]


def _twice(x: Array, windows: int) -> Array:
    """Each value and the one so many windows before it."""
    return x[:, windows:] + x[:, :-windows]


@card(CATEGORY, "skew", "Skew", "options", scope="some", scale="centred", cadence=POLLED,
      level=True, mirror_exempt=EXEMPT)  # fmt: skip
def skew(view: View) -> Array:
    """Implied volatility of the 25-delta call - that of the 25-delta put, 30 days out.

    Its mean is subtracted by the normaliser. All windows repeat the one value.

    Sign: calls dearer than usual against puts are bullish. Units: volatility points.

    Source: Deribit's option chain; Xing, Zhang, Zhao, What Does the Individual Option Volatility
    Smirk Tell Us About Future Equity Returns? (2010).
    """
    return level(view, outside(view, "skew_25d")[-1, -1])


@card(CATEGORY, "put_call_ratio", "Put/Call Ratio", "options", scope="some", scale="centred",
      cadence=POLLED, mirror_exempt=EXEMPT)  # fmt: skip
def put_call_ratio(view: View) -> Array:
    """-f(z), z = log put/call open interest from its mean over the windows before, in their std.

    f(z) = z to 1, falling to 0 at 2 and to the other side beyond, -2 at most.

    Sign: more puts than usual are bearish, contrarian beyond two sigma. Units: standard deviations.

    Source: Deribit's option chain; Pan, Poteshman, The Information in Option Volume for Future
    Stock Prices (2006); Billingsley, Chance, Put-Call Ratios and Market Timing Effectiveness
    (1988), for the contrarian reading of extremes.
    """
    ratio = outside(view, "put_call_oi")
    logs = np.log(ratio, out=np.full_like(ratio, np.nan), where=ratio > 0)
    return -mild(standing(logs))


@card(CATEGORY, "term_slope", "Term Slope", "options", scope="some", scale="centred",
      cadence=POLLED, level=True, mirror_exempt=EXEMPT)  # fmt: skip
def term_slope(view: View) -> Array:
    """Implied volatility at the money 90 days out - that of 7 days.

    Its mean is subtracted by the normaliser. All windows repeat the one value.

    Sign: an inverted term structure is stress, bearish; a steep one bullish. Units: volatility
    points.

    Source: Deribit's option chain; Vasquez, Equity Volatility Term Structures and the Cross Section
    of Option Returns (2017); Johnson, Risk Premia and the VIX Term Structure (2017).
    """
    return level(view, outside(view, "term_slope")[-1, -1])
