"""TradFi: what equities, the dollar, the VIX and gold did over the window.

The equity index and gold are round-the-clock contracts, the dollar and the VIX published daily: the
latter two exist in the 1 d window only. Every symbol has the same value.
"""

import numpy as np

from engine.cards.card import card
from engine.cards.elsewhere import (
    DAILY,
    agreed,
    correlation,
    equity_moves,
    everywhere,
    growth,
    leader_moves,
    market_wide,
)
from engine.cards.first_pass import members, nothing
from engine.cards.measure import scaled
from engine.market.view import Array, View

CATEGORY = "tradfi"

EXEMPT = "quotes come from outside, and the mirror leaves them as they are"
QUOTED = 60.0
# Points of the VIX from which fear is too much, and over which its changes cease to count.
FEAR, SEAM = 35.0, 5.0
MEMBERS = frozenset({"equity_index", "dollar_index", "volatility_index", "gold"})
LEAST_MEMBERS = 2


@card(CATEGORY, "equity_index", "Equity Index", "quotes", scope="market", cadence=QUOTED,
      mirror_exempt=EXEMPT)  # fmt: skip
def equity_index(view: View) -> Array:
    """z of the equity index's return over the window: over the rms of the returns before.

    The index is its round-the-clock contract; in the 1 d window the published index stands in
    until the contract has a history.

    Sign: rising equities are bullish. Units: standard deviations.

    Source: Bybit's contract on the S&P 500 fund, FRED SP500; Iyer, Cryptic Connections: Spillovers
    between Crypto and Equity Markets (IMF, 2022).
    """
    return everywhere(view, scaled(equity_moves(view)[0]))


@card(CATEGORY, "dollar_index", "Dollar Index", "quotes", scope="market", cadence=DAILY,
      mirror_exempt=EXEMPT)  # fmt: skip
def dollar_index(view: View) -> Array:
    """-z of the dollar index's return over the window: over the rms of the returns before.

    Sign: a rising dollar is bearish. Units: standard deviations.

    Source: FRED DTWEXBGS (broad dollar, published weekly for each day); Dyhrberg, Bitcoin, Gold and
    the Dollar: A GARCH Volatility Analysis (2016).
    """
    return everywhere(view, -scaled(growth(market_wide(view, "dollar_index"))))


@card(CATEGORY, "volatility_index", "Volatility Index", "quotes", scope="market", cadence=DAILY,
      mirror_exempt=EXEMPT)  # fmt: skip
def volatility_index(view: View) -> Array:
    """-(1 - min(e, 1)) x z(change of the VIX) + e, e = (VIX - 35) / 5 where it is above 35, else 0.

    z: growth over the window over the rms of those before. From 35 to 40 the change gives way to
    the level.

    Sign: rising fear is bearish, contrarian above 35, where the height of the fear is bullish.
    Units: standard deviations; above 35 steps of five points.

    Source: Cboe VIX by FRED VIXCLS; Whaley, The Investor Fear Gauge (2000); Giot, Relationships
    Between Implied Volatility Indexes and Stock Index Returns (2005): very high levels foretell
    gains.
    """
    vix = market_wide(view, "vix")
    extreme = np.maximum(vix[:, -1] - FEAR, 0.0) / SEAM
    between = 1.0 - np.minimum(extreme, 1.0)
    return everywhere(view, extreme - between * scaled(growth(vix)))


@card(CATEGORY, "gold", "Gold", "quotes", scope="market", cadence=QUOTED, peers=True,
      mirror_exempt=EXEMPT)  # fmt: skip
def gold(view: View) -> Array:
    """Correlation of BTC's window returns with gold's x z(gold's return).

    Over the last 60 windows, 20 known to both at least; z: over the rms of the returns before.

    Sign: that of the company BTC keeps: a rise of gold is bullish while BTC moves with it. Units:
    standard deviations.

    Source: Bybit's contract on gold; Dyhrberg, Bitcoin, Gold and the Dollar: A GARCH Volatility
    Analysis (2016); Klein, Thu, Walther, Bitcoin Is Not the New Gold (2018).
    """
    moves = growth(market_wide(view, "gold"))
    return everywhere(view, correlation(leader_moves(view), moves) * scaled(moves))


@card(CATEGORY, "tradfi_confluence", "TradFi Confluence", "cards", scope="market", cadence=QUOTED,
      mirror_exempt="it reads cards of quotes, which the mirror leaves as they are")  # fmt: skip
def tradfi_confluence(view: View) -> Array:
    """Mean score of the four cards of this category by |weight| x |their sum| / sum of sizes.

    In each window those that are known, two at least; inverted ones with their sign turned.

    Sign: traditional markets that agree on risk are bullish, on fear bearish. Units: -1..+1.

    Source: Timmermann, Forecast Combinations (2006): the mean of forecasts from different
    information, here shrunk by their disagreement.
    """
    first = view.first
    if first is None:
        return nothing(view)
    chosen = members(first.cards, MEMBERS)
    weight = first.weight[:, chosen][:, :, None]
    score = (first.by_window[:, chosen] * np.sign(weight)).swapaxes(0, 1)
    sizes = np.broadcast_to(np.abs(weight).swapaxes(0, 1), score.shape)
    known = (score == score).sum(axis=0)
    return np.where(known >= LEAST_MEMBERS, agreed(score, sizes), np.nan)
