"""On-chain: coins that move to exchanges and away, who uses the chain, and what holders paid.

Values are of a day and known after it, so these cards exist in the 1 d window only. Symbols whose
asset the source does not count have none.
"""

import numpy as np

from engine.cards.card import card
from engine.cards.elsewhere import DAILY, WEEK, everywhere, grown, market_wide
from engine.cards.measure import (
    direction,
    known_mean,
    net,
    outside,
    over,
    standing,
    usual,
)
from engine.market.view import Array, View

CATEGORY = "on_chain"

EXEMPT = "on-chain series come from outside, and the mirror leaves them as they are"
LEAST = 4


@card(CATEGORY, "exchange_reserves", "Exchange Reserves", "onchain", scope="some", scale="centred",
      cadence=DAILY, mirror_exempt=EXEMPT)  # fmt: skip
def exchange_reserves(view: View) -> Array:
    """-(growth over seven windows of the coins held on exchanges).

    Growth = 2 (after - before) / (after + before), of coins, so price does not enter.

    Sign: coins that leave exchanges are bullish, for they are not there to be sold. Units: growth
    in seven days.

    Source: Coin Metrics SplyExNtv; Hoang, Baur, Effects of Bitcoin Exchange Reserves on Bitcoin
    Returns and Volatility (2022).
    """
    return -grown(outside(view, "exchange_reserves"), WEEK)


@card(CATEGORY, "exchange_netflow", "Exchange Netflow", "onchain", scope="some", cadence=DAILY,
      mirror_exempt=EXEMPT)  # fmt: skip
def exchange_netflow(view: View) -> Array:
    """-(inflow - outflow) / mean of both together over the windows before, two at least.

    Flows are in coins and of a day.

    Sign: coins that move to exchanges are bearish, those that leave bullish. Units: share of the
    usual flow.

    Source: Coin Metrics FlowInExNtv, FlowOutExNtv; Ante, Bitcoin Transactions, Information
    Asymmetry and Trading Volume (2020), on transfers to exchanges as coming supply.
    """
    inflow, outflow = outside(view, "exchange_inflow"), outside(view, "exchange_outflow")
    return over(outflow[:, -1] - inflow[:, -1], usual(inflow + outflow))


@card(CATEGORY, "whale_transfers", "Whale Transfers", "onchain", scope="some", cadence=DAILY,
      mirror_exempt=EXEMPT)  # fmt: skip
def whale_transfers(view: View) -> Array:
    """-(2 (n - usual) / (n + usual)) x tanh(window return / window ATR), n = large transfers.

    Usual: their mean over the windows before, two at least. No source without a key counts large
    transfers, so the card is not available until one brings `whale_transfers`.

    Sign: against the trend: large holders who move coins in a rise get ready to sell. Units: log
    ratio to second order, -2..+2.

    Source: Ante, Fiedler, Market Reaction to Large Transfers on the Bitcoin Blockchain: Do Size and
    Motive Matter? (2021).
    """
    transfers = outside(view, "whale_transfers")
    return -2.0 * net(transfers[:, -1], usual(transfers)) * direction(view)


@card(CATEGORY, "stablecoin_supply", "Stablecoin Supply", "defi", scope="market", scale="centred",
      cadence=DAILY, mirror_exempt=EXEMPT)  # fmt: skip
def stablecoin_supply(view: View) -> Array:
    """Growth over seven windows of all stablecoins together, in USD.

    Growth = 2 (after - before) / (after + before).

    Sign: dollars that come in faster than usual are bullish. Units: growth in seven days.

    Source: DefiLlama, stablecoins of all chains; Griffin, Shams, Is Bitcoin Really Untethered?
    (2020); Ante, Fiedler, Strehle, The Influence of Stablecoin Issuances on Cryptocurrency Markets
    (2021).
    """
    return everywhere(view, grown(market_wide(view, "stablecoin_supply"), WEEK))


@card(CATEGORY, "active_addresses", "Active Addresses", "onchain", scope="some", scale="centred",
      cadence=DAILY, mirror_exempt=EXEMPT)  # fmt: skip
def active_addresses(view: View) -> Array:
    """2 (a - b) / (a + b), a = mean active addresses of the last seven windows, b of the seven
    before them.

    Means of whole weeks, for weekends have fewer; four days of each must be known.

    Sign: a network that is used more is bullish. Units: growth in seven days.

    Source: Coin Metrics AdrActCnt; Cong, Li, Wang, Tokenomics: Dynamic Adoption and Valuation
    (2021); Liu, Tsyvinski, Risks and Returns of Cryptocurrency (2021): returns move with active
    addresses and other measures of the network.
    """
    active = outside(view, "active_addresses")
    last, before = active[:, -WEEK:], active[:, -2 * WEEK : -WEEK]
    return np.where(
        np.isnan(active[:, -1]),
        np.nan,
        2.0 * net(known_mean(last, least=LEAST), known_mean(before, least=LEAST)),
    )


@card(CATEGORY, "valuation_ratio", "Valuation Ratio", "onchain", scope="some", scale="centred",
      cadence=DAILY, mirror_exempt=EXEMPT)  # fmt: skip
def valuation_ratio(view: View) -> Array:
    """-(MVRV - its mean over the windows before) / their standard deviation.

    MVRV: market value over what holders paid (realised value); up to 60 windows before, two at
    least.

    Sign: dear against what holders paid is bearish, cheap bullish. Units: standard deviations.

    Source: Coin Metrics CapMVRVCur; Mahmudov, Puell, Bitcoin Market-Value-to-Realized-Value (MVRV)
    Ratio (2018).
    """
    return -standing(outside(view, "mvrv"))
