"""DeFi: books and flow of the decentralised venues, and what is locked on the asset's own chain."""

import numpy as np

from engine.cards.card import card
from engine.cards.elsewhere import DAILY, WEEK, grown, only
from engine.cards.measure import known_sum, level, net, outside, over
from engine.market.view import Array, Flags, View

CATEGORY = "defi"

EXEMPT = "DeFi series come from outside, and the mirror leaves them as they are"
# Seconds: the recent stretch, and the longer one that it ends.
RECENT, WHOLE = 3600, 14_400


@card(CATEGORY, "cross_venue_liquidity", "Cross-Venue Liquidity", "book", "venues", level=True)
def cross_venue_liquidity(view: View) -> Array:
    """Depth imbalance of the decentralised perpetual venues - that of the centralised ones.

    Imbalance = (bid - ask) / (bid + ask) notional within 50 bps of each venue's mid, summed over
    the venues; 0 with empty books. All windows repeat the one value.

    Sign: bids that are heavier on the decentralised venues are bullish. Units: -2..+2.

    Source: Cao, Hansch, Wang, The Information Content of an Open Limit-Order Book (2009), for the
    measure; Albers, Cucuringu, Howison, Shestopaloff, Fragmentation, Price Formation and
    Cross-Impact in Bitcoin Markets (2021), for books that tell different things.
    """
    venues = view.venues
    there, here = _leaning(view, venues.dex & ~venues.spot), _leaning(view, ~venues.dex)
    return level(view, there - here)


def _leaning(view: View, chosen: Flags) -> Array:
    venues = view.venues
    counted = only(chosen & ~venues.spot)[:, 0] + 0.0 * (venues.bid_50 + venues.ask_50)
    return net(known_sum(venues.bid_50 * counted), known_sum(venues.ask_50 * counted))


@card(CATEGORY, "tvl_flow_momentum", "TVL Flow Momentum", "defi", scope="some", scale="centred",
      cadence=DAILY, mirror_exempt=EXEMPT)  # fmt: skip
def tvl_flow_momentum(view: View) -> Array:
    """Growth over seven windows of the value locked on the asset's chain - that of its price.

    Growth = 2 (after - before) / (after + before); less the coin's log return it is in coin terms.
    Values are daily, so only the 1 d window has it.

    Sign: value that comes to the chain is bullish. Units: growth in seven days.

    Source: DefiLlama, value locked by chain; Metelski, Sobieraj, Decentralized Finance (DeFi)
    Projects: A Study of Key Performance Indicators in Terms of DeFi Protocols' Valuations (2022).
    """
    close = view.spans.close
    locked = grown(outside(view, "tvl"), WEEK)
    return locked - (close[:, -1] - close[:, -1 - WEEK])


@card(CATEGORY, "stablecoin_flow", "Stablecoin Flow", "defi", scope="some", scale="centred",
      cadence=DAILY, mirror_exempt=EXEMPT)  # fmt: skip
def stablecoin_flow(view: View) -> Array:
    """Growth over seven windows of the stablecoins on the asset's own chain.

    Growth = 2 (after - before) / (after + before). Values are daily, so only the 1 d window has it.

    Sign: dollars that come to the chain are bullish. Units: growth in seven days.

    Source: DefiLlama, stablecoins by chain; Ante, Fiedler, Strehle, The Influence of Stablecoin
    Issuances on Cryptocurrency Markets (2021).
    """
    return grown(outside(view, "chain_stablecoins"), WEEK)


@card(CATEGORY, "dex_volume_share", "DEX Volume Share", "trades", "venues", level=True)
def dex_volume_share(view: View) -> Array:
    """(Share of the last hour - share of the three hours before it) x d/v of the last hour.

    Share: of the decentralised venues in the volume of all perpetual venues; d/v: theirs. A venue
    counts where both stretches are known. All windows repeat the one value.

    Sign: volume that moves to where traders need no broker counts with the side they take: a
    growing share under net buying is bullish. Units: share of volume squared, -1..+1.

    Source: Chordia, Roll, Subrahmanyam, Order Imbalance, Liquidity, and Market Returns (2002), for
    the side; Blume, Easley, O'Hara, Market Statistics and Technical Analysis: The Role of Volume
    (1994), for volume as the weight of what it says.
    """
    spans = [window.span for window in view.windows]
    if RECENT not in spans or WHOLE not in spans:
        return np.full((len(view.windows), len(view.symbols)), np.nan)
    venues, recent, whole = view.venues, spans.index(RECENT), spans.index(WHOLE)
    volume = (venues.buy + venues.sell) * only(~venues.spot)
    late = volume[:, recent] + 0.0 * volume[:, whole]
    # The two sums end alike but begin on cells of different length.
    early = np.maximum(volume[:, whole] - late, 0.0)
    dex = only(venues.dex)[:, 0]
    change = _share(late, dex) - _share(early, dex)
    counted = dex + 0.0 * late
    bought, sold = (known_sum(x[:, recent] * counted) for x in (venues.buy, venues.sell))
    return level(view, change * net(bought, sold))


def _share(volume: Array, chosen: Array) -> Array:
    return over(known_sum(volume * chosen), known_sum(volume))
