"""Cross-exchange: what the other venues trade, hold, pay and quote beside the reference.

Spot venues enter no perpetual flow, open interest or funding; a venue that falls silent is unknown
and leaves every sum at once.
"""

import numpy as np

from engine.cards.card import card
from engine.cards.elsewhere import only, rivals
from engine.cards.measure import clip, known_mean, known_sum, level, net, others, over
from engine.market.view import Array, Flags, View

CATEGORY = "cross_exchange"

POLLED = 30.0
LEAST_FUNDINGS = 3
# Seconds within which a venue follows another.
FOLLOWS = 5
# A price counts as if at least a dollar had been traded at it.
DOLLAR = 1.0


@card(CATEGORY, "agg_funding_rate", "Aggregate Funding Rate", "funding", "venues", level=True)
def agg_funding_rate(view: View) -> Array:
    """-(mean funding of the other venues, weighted by their open interest in USD).

    Each per 8 h and minus its venue's neutral rate. A venue whose open interest is not known
    weighs as much as the mean of those known. All windows repeat the one value.

    Sign: longs that pay are bearish, shorts that pay bullish. Units: rate per 8 h.

    Source: Schmeling, Schrimpf, Todorov, Crypto Carry (2023): high carry foretells crashes of
    crowded longs; Ackerer, Hugonnier, Jermann, Perpetual Futures Pricing (2024).
    """
    venues = view.venues
    funding = venues.funding * others(view)[:, 0]
    interest = np.where(funding == funding, venues.oi, np.nan)
    usual = known_mean(interest[None])[0]
    stand_in = np.where(usual > 0, usual, 1.0)
    weight = np.where(interest == interest, interest, stand_in)
    total = known_sum(np.where(funding == funding, weight, np.nan))
    equal = known_mean(funding[None])[0]
    return level(view, -np.where(total == 0, equal, over(known_sum(funding * weight), total)))


@card(CATEGORY, "funding_divergence", "Funding Divergence", "funding", "venues", level=True,
      scale="centred")  # fmt: skip
def funding_divergence(view: View) -> Array:
    """-(mean - median) of all venues' fundings, the reference among them; three at least.

    Each per 8 h and minus its venue's neutral rate. The mean leaves the median towards the venue
    that stands apart. Some venue always does, for its rules are its own: the normaliser subtracts
    the usual. All windows repeat the one value.

    Sign: an outlier whose longs pay more than elsewhere is bearish. Units: rate per 8 h.

    Source: Pearson, Contributions to the Mathematical Theory of Evolution II: Skew Variation
    (1895), for the measure of skew; Schmeling, Schrimpf, Todorov, Crypto Carry (2023), for what
    crowded longs foretell.
    """
    funding = view.venues.funding
    count = (funding == funding).sum(axis=0)
    in_order = np.sort(funding, axis=0)
    middle = np.maximum(np.stack([count - 1, count]), 0) // 2
    if not len(funding):
        return level(view, np.full(len(view.symbols), np.nan))
    median = in_order[middle, np.arange(len(view.symbols))].mean(axis=0)
    skew = known_mean(funding[None])[0] - median
    return level(view, np.where(count >= LEAST_FUNDINGS, -skew, np.nan))


@card(CATEGORY, "agg_open_interest", "Aggregate Open Interest", "oi", "venues", cadence=POLLED)
def agg_open_interest(view: View) -> Array:
    """(open interest now / a window ago - 1) x d/v, each summed over the other venues.

    A venue counts where all four are known; open interest is in USD.

    Sign: that of the takers who open it: growth under net buying is bullish; a fall under net
    buying is shorts closing, bearish. Units: growth x share of volume.

    Source: Bessembinder, Seguin, Price Volatility, Trading Volume, and Market Depth (1993); Hong,
    Yogo, What Does Futures Market Interest Tell Us About the Macroeconomy and Asset Prices? (2012).
    """
    venues = view.venues
    now = venues.oi[:, None] * rivals(view)
    flow = venues.buy + venues.sell
    before = venues.oi_before + 0.0 * (now + flow)
    grown = known_sum(now + 0.0 * before) - known_sum(before)
    bought, sold = (known_sum(x + 0.0 * before) for x in (venues.buy, venues.sell))
    return over(grown, known_sum(before)) * net(bought, sold)


@card(CATEGORY, "agg_volume_delta", "Aggregate Volume Delta", "trades", "venues")
def agg_volume_delta(view: View) -> Array:
    """d/v, taker buy and sell notional summed over the other perpetual venues; 0 without trades.

    Sign: net buying is bullish. Units: share of volume, -1..+1.

    Source: Chordia, Roll, Subrahmanyam, Order Imbalance, Liquidity, and Market Returns (2002);
    Albers, Cucuringu, Howison, Shestopaloff, Fragmentation, Price Formation and Cross-Impact in
    Bitcoin Markets (2021), on flow elsewhere.
    """
    venues = view.venues
    counted = rivals(view)
    return net(known_sum(venues.buy * counted), known_sum(venues.sell * counted))


@card(CATEGORY, "price_lead_lag", "Price Lead-Lag", "trades", "venues",
      level=True, spans=(0, 300))  # fmt: skip
def price_lead_lag(view: View) -> Array:
    """Sum of lead x (return of the venue - return of the reference) over the last 5 s / max(1,
    sum of leads), over the other venues, spot ones too.

    Lead = correlations of the reference's 1 s returns with the venue's of the 1..5 s before,
    summed, minus the same the other way round, over the rest of the last two minutes, all of them
    known; within 0..1. Who follows has lead 0. Windows to 5 m have it and repeat the one value.

    Sign: a leader above the reference is bullish, for the reference is to follow. Units: log
    return.

    Source: Huth, Abergel, High Frequency Lead/Lag Relationships: Empirical Facts (2014); Hoffmann,
    Rosenbaum, Yoshida, Estimation of the Lead-Lag Parameter from Non-Synchronous Data (2013).
    """
    venues = view.venues
    if venues.reference < 0:
        return np.full((len(view.windows), len(view.symbols)), np.nan)
    course = venues.course
    own = course[venues.reference]
    ahead = course[:, -1] - course[:, -1 - FOLLOWS] - (own[-1] - own[-1 - FOLLOWS])
    # A jump that nobody has followed yet tells nothing of who leads.
    lead = leads(course[:, :-FOLLOWS], own[:-FOLLOWS]) * others(view)[:, 0]
    return level(view, known_sum(lead * ahead) / np.maximum(known_sum(lead), 1.0))


def leads(course: Array, own: Array) -> Array:
    """How much each course (V, N, S) runs ahead of `own` (N, S) by 1..5 s, 0..1; (V, S)."""
    last = slice(FOLLOWS, -1)
    step, own_step = course[:, FOLLOWS + 1 :] - course[:, last], own[FOLLOWS + 1 :] - own[last]
    past, own_past = course[:, last] - course[:, : -1 - FOLLOWS], own[last] - own[: -1 - FOLLOWS]
    forward = np.einsum("vns,ns->vs", past, own_step)
    backward = np.einsum("vns,ns->vs", step, own_past)
    energy = np.einsum("vns,vns->vs", step, step) * np.einsum("ns,ns->s", own_step, own_step)
    lead = (forward - backward) / np.sqrt(np.where(energy == 0, 1.0, energy))
    out: Array = clip(lead, 0.0, 1.0)
    return out


@card(CATEGORY, "venue_premium_spread", "Venue Premium Spread",
      "trades", "venues", scale="centred")  # fmt: skip
def venue_premium_spread(view: View) -> Array:
    """Log price on the US spot venues - log price on the rest, each weighted by volume.

    A venue's price is its mean over the window, at most the last two minutes, in USDT (a price in
    dollars goes through USDT/USD); its weight what was traded there in the window, a dollar at
    least.

    Sign: spot buyers who pay above the perpetuals are bullish. Units: log price.

    Source: Makarov, Schoar, Trading and Arbitrage in Cryptocurrency Markets (2020): premiums follow
    net buying of a region; Augustin, Rubtsov, Shin, The Impact of Derivatives on Spot Markets
    (2023).
    """
    venues = view.venues
    price = _mean_price(view)
    weight = np.maximum(venues.buy + venues.sell, DOLLAR) + 0.0 * price
    return _weighted(price, weight, venues.spot) - _weighted(price, weight, ~venues.spot)


def _mean_price(view: View) -> Array:
    """Mean log price of each venue over the last seconds of the window, (V, W, S)."""
    course = view.venues.course
    age = np.arange(course.shape[1], 0, -1)
    recent = (age <= np.array([[w.span] for w in view.windows])).astype(np.float64)
    known = course == course
    total, count = recent @ np.where(known, course, 0.0), recent @ known.astype(np.float64)
    return np.where(count > 0, total / np.maximum(count, 1.0), np.nan)


def _weighted(price: Array, weight: Array, chosen: Flags) -> Array:
    """Weighted mean price of the chosen venues, (W, S)."""
    counted = weight * only(chosen)
    return over(known_sum(price * counted), known_sum(counted))


@card(CATEGORY, "oi_migration", "OI Migration", "oi", "venues", cadence=POLLED)
def oi_migration(view: View) -> Array:
    """Sum over venues of (share of open interest now - a window ago) x d/v there.

    Shares are those of the perpetual venues, the reference among them, where open interest of both
    instants and flow are known; two at least. Flow common to all cancels out.

    Sign: positions that move to where takers buy are bullish. Units: share of open interest x
    share of volume.

    Source: Chordia, Roll, Subrahmanyam, Order Imbalance, Liquidity, and Market Returns (2002), for
    the side; Bessembinder, Seguin, Price Volatility, Trading Volume, and Market Depth (1993), for
    open interest as the positions behind it.
    """
    venues = view.venues
    side = net(venues.buy, venues.sell) * only(~venues.spot)
    now = venues.oi[:, None] + 0.0 * (side + venues.oi_before)
    before = venues.oi_before + 0.0 * now
    moved = over(now, known_sum(now)) - over(before, known_sum(before))
    return np.where((now == now).sum(axis=0) >= 2, known_sum(moved * side), np.nan)


@card(CATEGORY, "agg_liquidations", "Aggregate Liquidations", "liq", "venues")
def agg_liquidations(view: View) -> Array:
    """(short liquidations - long liquidations) / v, summed over the other perpetual venues.

    0 without trades.

    Sign: while it runs forced flow pushes price: shorts that must buy are bullish. Units: share of
    volume; a lower bound where a venue publishes a part or none.

    Source: Brunnermeier, Pedersen, Market Liquidity and Funding Liquidity (2009): loss spirals of
    forced closing.
    """
    venues = view.venues
    forced = (venues.short_liq - venues.long_liq) * rivals(view)
    volume = venues.buy + venues.sell + 0.0 * forced
    return over(known_sum(forced + 0.0 * volume), known_sum(volume))
