"""Macro: equities, the dollar, rates and gold, and the calendar of releases.

Published quotes are of a day and known after it, so what reads them exists in the 1 d window only;
they rest at weekends. The market is one: every symbol has the same value.
"""

import numpy as np

from engine.cards.card import card
from engine.cards.elsewhere import (
    DAILY,
    WEEK,
    agreed,
    correlation,
    equity_moves,
    everywhere,
    growth,
    leader_moves,
    market_wide,
)
from engine.cards.measure import change, direction, market_leader, scaled, standing
from engine.market.view import Array, View

CATEGORY = "macro"

EXEMPT = "quotes come from outside, and the mirror leaves them as they are"
QUOTED = 60.0
# Which way equities, the dollar, gold and the yield move as risk is taken.
RISK = np.array([1.0, -1.0, -1.0, -1.0])
LEAST_PARTS = 3
# Seconds for which a release casts its shadow, ahead and behind.
AHEAD, BEHIND = 7200.0, 1800.0
# As volatility cards do: what is signed with the trend must not make up a majority of it.
TREND_PRIOR = 0.25


@card(CATEGORY, "macro_regime", "Macro Regime", "quotes", scope="market", cadence=DAILY,
      mirror_exempt=EXEMPT)  # fmt: skip
def macro_regime(view: View) -> Array:
    """Mean of z(equities), -z(dollar), -z(10-year yield), -z(gold) x |their sum| / sum of sizes.

    z: the move over seven windows (percentage points of the yield, growth of the others) over the
    rms of those before; three of the four must be known. Parts that disagree are a transition and
    read next to 0.

    Sign: risk-on (equities up; dollar, yields and the haven down) is bullish, risk-off bearish.
    Units: standard deviations.

    Source: Adrian, Crump, Vogt, Nonlinearity and Flight-to-Safety in the Risk-Return Trade-Off
    (2019); Baur, Lucey, Is Gold a Hedge or a Safe Haven? (2010); Corbet, Larkin, Lucey, Meegan,
    Yarovaya, Cryptocurrency Reaction to FOMC Announcements (2020).
    """
    yields = market_wide(view, "yield_10y")
    names = ("equity_index_daily", "dollar_index", "gold")
    quotes = np.concatenate([market_wide(view, name) for name in names], axis=2)
    moves = [growth(quotes, WEEK), yields[:, WEEK:] - yields[:, :-WEEK]]
    parts = (scaled(np.concatenate(moves, axis=2)) * RISK).T[:, :, None]
    enough = (parts == parts).sum(axis=0) >= LEAST_PARTS
    return everywhere(view, np.where(enough, agreed(parts, np.ones_like(parts)), np.nan))


@card(CATEGORY, "equity_correlation", "Equity Correlation", "quotes", "bars", scope="market",
      cadence=QUOTED, peers=True, mirror_exempt=EXEMPT)  # fmt: skip
def equity_correlation(view: View) -> Array:
    """Correlation of BTC's window returns with the equity index's x z(its return).

    Over the last 60 windows, 20 known to both at least; z: over the rms of the returns before. The
    index is its round-the-clock contract; in the 1 d window the published index stands in until
    the contract has a history, with BTC's returns brought in step with the US close.

    Sign: a rise of equities that BTC moves with is bullish, one it moves against bearish. Units:
    standard deviations.

    Source: Iyer, Cryptic Connections: Spillovers between Crypto and Equity Markets (IMF, 2022).
    """
    moves, daily = equity_moves(view)
    return everywhere(view, correlation(leader_moves(view, daily), moves) * scaled(moves))


@card(CATEGORY, "liquidity_proxy", "Liquidity Proxy", "quotes", "defi", scope="market",
      cadence=DAILY, mirror_exempt=EXEMPT)  # fmt: skip
def liquidity_proxy(view: View) -> Array:
    """(-z(dollar) + z(stablecoins)) / 2, each the growth over seven windows.

    The dollar's over the rms of those before; the stablecoins', which nearly always grow, from
    the mean of those before in their standard deviations.

    Sign: a weaker dollar and more stablecoins than usual are bullish. Units: standard deviations.

    Source: Miranda-Agrippino, Rey, U.S. Monetary Policy and the Global Financial Cycle (2020);
    Ante, Fiedler, Strehle, The Influence of Stablecoin Issuances on Cryptocurrency Markets (2021).
    """
    dollar = scaled(growth(market_wide(view, "dollar_index"), WEEK))
    coins = standing(growth(market_wide(view, "stablecoin_supply"), WEEK))
    return everywhere(view, (coins - dollar) / 2)


@card(CATEGORY, "event_window", "Event Window", "calendar", scope="market", role="context",
      scale="fixed", unit=0.5, prior=TREND_PRIOR, peers=True)  # fmt: skip
def event_window(view: View) -> Array:
    """-nearness of the release x tanh(BTC's window return / window ATR), 0 between releases.

    Nearness: 1 at a scheduled release (FOMC, CPI, payrolls; dates in the config), falling evenly
    to 0 two hours before and half an hour after. Not known without a date to come.

    Sign: against the trend, for positions are taken off ahead of the news and what follows it is
    new. Units: share of an ATR, -1..+1.

    Source: Andersen, Bollerslev, Diebold, Vega, Micro Effects of Macro Announcements (2003): prices
    jump within minutes, volatility lasts longer; Lucca, Moench, The Pre-FOMC Announcement Drift
    (2015), on the calm before.
    """
    place = market_leader(view)
    times = view.calendar
    if place is None or np.isinf(times.to_release):
        return np.full((len(view.windows), len(view.symbols)), np.nan)
    near = max(1.0 - times.to_release / AHEAD, 1.0 - times.since_release / BEHIND, 0.0)
    return everywhere(view, -near * direction(view)[:, place : place + 1])


@card(CATEGORY, "rates_pressure", "Rates Pressure", "quotes", scope="market", cadence=DAILY,
      mirror_exempt=EXEMPT)  # fmt: skip
def rates_pressure(view: View) -> Array:
    """-(10-year Treasury yield now - a window ago).

    Sign: rising yields are bearish. Units: percentage points.

    Source: FRED DGS10; Corbet, Larkin, Lucey, Meegan, Yarovaya, Cryptocurrency Reaction to FOMC
    Announcements (2020); Benigno, Rosa, The Bitcoin-Macro Disconnect (2023), which finds little.
    """
    return everywhere(view, -change(market_wide(view, "yield_10y")))
