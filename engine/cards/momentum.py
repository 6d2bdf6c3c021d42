"""Momentum: where price goes and how fast."""

from engine.cards.card import card
from engine.cards.measure import zscore
from engine.market.view import Array, View

CATEGORY = "momentum"


@card(CATEGORY, "price_momentum", "Price Momentum", "bars")
def price_momentum(view: View) -> Array:
    """Log return over the window / std of the 60 window returns before it.

    Sign: rising price is bullish. Units: standard deviations.

    Source: Moskowitz, Ooi, Pedersen, Time Series Momentum (2012): returns scaled by volatility.
    """
    return zscore(view.spans.close - view.spans.open)
