"""Microstructure: what a trade does to price, how trades come, and what the book hides."""

import numpy as np

from engine.cards.card import card
from engine.cards.measure import mean_volume, net, over, summed, usual, usual_volume
from engine.market.view import Array, View

CATEGORY = "microstructure"

RECENT_BARS = 60
LEAST_BARS = 30
# How far the two slopes are held together: share of the size of flow that speaks for one.
RIDGE = 0.1
SMALL = 0.01
ROUNDING = 1e-12
BPS = 1e4


@card(CATEGORY, "price_impact", "Price Impact", "trades")
def price_impact(view: View) -> Array:
    """Kyle's lambda of net buying - that of net selling, x std(|d|) / std(r), of the last 60 bars.

    Least squares of a bar's return r = a + b d + c |d| on its taker delta d: the slope is b + c
    where d is positive and b - c where it is negative, so the difference is 2 c. Ridge: the
    variance of |d| counts 10 % more, which bounds the value where flow is one-sided and c cannot
    be told. Needs 30 moves; 0 where price or flow stands still.

    Sign: buying that moves price more than selling does is bullish. Units: standard deviations of
    returns per standard deviation of |d|.

    Source: Kyle, Continuous Auctions and Insider Trading (1985); asymmetric impact: Saar, Price
    Impact Asymmetry of Block Trades (2001).
    """
    bars = view.bars
    close = bars.close[:, -RECENT_BARS - 1 :]
    move = close[:, 1:] - close[:, :-1]
    delta = bars.buy[:, -RECENT_BARS:] - bars.sell[:, -RECENT_BARS:]
    known = (move == move) & (delta == delta)
    count = summed(known)
    bend = _bend(np.where(known, move, 0.0), np.where(known, delta, 0.0), np.maximum(count, 1.0))
    return np.where(count >= LEAST_BARS, 2 * bend, np.nan)


def _bend(r: Array, d: Array, count: Array) -> Array:
    """Standardised c of r = a + b d + c |d| along axis 1; 0 where either stands still."""
    size = np.abs(d)
    mean_r, mean_d, mean_size = (summed(x) / count for x in (r, d, size))
    squares_r, squares_d = summed(r * r), summed(d * d)
    rr, dd = squares_r - count * mean_r**2, squares_d - count * mean_d**2
    ss = squares_d - count * mean_size**2
    rd = summed(r * d) - count * mean_r * mean_d
    rs = summed(r * size) - count * mean_r * mean_size
    ds = summed(d * size) - count * mean_d * mean_size
    # Below rounding of the sums a series stands still.
    usable = (rr > ROUNDING * squares_r) & (np.minimum(dd, ss) > ROUNDING * squares_d)
    bottom = np.where(usable, dd * ss * (1 + RIDGE) - ds * ds, 1.0)
    bend = (rs * dd - rd * ds) / bottom * np.sqrt(np.where(usable, ss / np.where(usable, rr, 1), 0))
    out: Array = np.where(usable, bend, 0.0)
    return out


@card(CATEGORY, "trade_arrival_rate", "Trade Arrival Rate", "trades")
def trade_arrival_rate(view: View) -> Array:
    """(taker buys - taker sells) / mean number of both in the windows before, two at least.

    Counts, not notional: each arrival weighs the same.

    Sign: buyers that arrive faster are bullish. Units: usual windows of trades.

    Source: Jones, Kaul, Lipson, Transactions, Volume, and Volatility (1994): the number of trades
    tells what their size does not; Easley, Kiefer, O'Hara, Paperman (1996) on arrival rates.
    """
    spans = view.spans
    return over(spans.buys[:, -1] - spans.sells[:, -1], usual(spans.buys + spans.sells))


@card(CATEGORY, "tick_run", "Tick Run", "trades")
def tick_run(view: View) -> Array:
    """(up-ticks - down-ticks) / (up-ticks + down-ticks), each weighted by its run so far.

    A run is an unbroken row of trades that each moved the price the same way. No tick reads 0.

    Sign: runs of up-ticks are bullish. Units: -1..+1.

    Source: Lee, Ready, Inferring Trade Direction from Intraday Data (1991), for the tick test;
    Biais, Hillion, Spatt (1995): events come in runs of their kind.
    """
    return net(view.spans.up_runs[:, -1], view.spans.down_runs[:, -1])


@card(CATEGORY, "sweep_detector", "Sweep Detector", "trades")
def sweep_detector(view: View) -> Array:
    """(buy sweeps - sell sweeps) / mean notional of the windows before, two at least.

    A sweep: fills of one side through two price levels or more within 100 ms.

    Sign: buyers that take level after level are bullish. Units: usual volumes.

    Source: Chakravarty, Jain, Upson, Wood, Clean Sweep: Informed Trading through Intermarket Sweep
    Orders (2012): such orders carry more information.
    """
    spans = view.spans
    return over(spans.sweep_buy[:, -1] - spans.sweep_sell[:, -1], usual_volume(view))


@card(CATEGORY, "quote_flicker", "Quote Flicker", "book")
def quote_flicker(view: View) -> Array:
    """(ask flicker - bid flicker) / (ask flicker + bid flicker); 0 where neither flickers.

    Flicker of a side: the smaller of what came to rest and what left untraded within 50 bps, over
    its mean depth there; what only came, or only went, is no flicker.

    Sign: the flickering side is weak: asks that come and go are bullish. Units: -1..+1.

    Source: Hasbrouck, Saar, Technology and Liquidity Provision: The Blurring of Traditional
    Definitions (2009), on fleeting orders; Baruch, Glosten, Fleeting Orders (2013).
    """
    spans = view.spans
    bid = np.minimum(spans.bid_added[:, -1], spans.bid_cancelled[:, -1])
    ask = np.minimum(spans.ask_added[:, -1], spans.ask_cancelled[:, -1])
    return net(over(ask, spans.ask_50[:, -1]), over(bid, spans.bid_50[:, -1]))


@card(CATEGORY, "effective_spread", "Effective Spread", "trades", "book")
def effective_spread(view: View) -> Array:
    """Effective spread that buyers paid - that sellers paid, mean by notional.

    Effective spread: twice the log distance of the fill from the mid. Each side counts as if 1 %
    of the usual notional had paid the mean of both, so a side that hardly traded tells nothing.

    Sign: buyers who pay more are in a hurry to buy, bullish; sellers who do, bearish. Units: bps.

    Source: Huang, Stoll, Dealer versus Auction Markets (1996), for the effective spread;
    Bessembinder, Issues in Assessing Trade Execution Costs (2003).
    """
    spans = view.spans
    buy, sell = spans.buy[:, -1], spans.sell[:, -1]
    paid_buy, paid_sell = spans.paid_buy[:, -1], spans.paid_sell[:, -1]
    both = over(paid_buy + paid_sell, buy + sell)
    little = SMALL * mean_volume(view)
    bought = over(paid_buy + little * both, buy + little)
    sold = over(paid_sell + little * both, sell + little)
    return 2 * BPS * (bought - sold)


@card(CATEGORY, "iceberg_refill", "Iceberg Refill", "trades", "book")
def iceberg_refill(view: View) -> Array:
    """(notional filled by hidden bids - by hidden asks) / v; 0 without trades.

    Hidden: traded at a price beyond what was shown there, so refilled at the same price.

    Sign: bids larger than they show are bullish. Units: share of volume.

    Source: Frey, Sandas, The Impact of Iceberg Orders in Limit Order Books (2017); Bessembinder,
    Panayides, Venkataraman, Hidden Liquidity (2009).
    """
    spans = view.spans
    volume = spans.buy[:, -1] + spans.sell[:, -1]
    return over(spans.bid_hidden[:, -1] - spans.ask_hidden[:, -1], volume)
