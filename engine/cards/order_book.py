"""Order book: what rests on either side, how it leans, holds and comes back."""

import numpy as np

from engine.cards.card import card
from engine.cards.measure import (
    direction,
    inside,
    known_mean,
    net,
    over,
    usual,
    window_atr,
)
from engine.cards.unusual import newest
from engine.market.view import Array, View

CATEGORY = "order_book"

SMALL = 0.01
FULL_REFILL = 2.0


@card(CATEGORY, "depth_imbalance_near", "Depth Imbalance Near", "book")
def depth_imbalance_near(view: View) -> Array:
    """(bid - ask) / (bid + ask) notional within 10 bps of mid, window means; 0 with an empty book.

    The band ends where either side's known depth does.

    Sign: more resting bids are bullish. Units: -1..+1.

    Source: Cao, Hansch, Wang, The Information Content of an Open Limit-Order Book (2009);
    Gould, Bonart, Queue Imbalance as a One-Tick-Ahead Price Predictor (2016).
    """
    return net(view.spans.bid_10[:, -1], view.spans.ask_10[:, -1])


@card(CATEGORY, "depth_imbalance_wide", "Depth Imbalance Wide", "book", scale="centred")
def depth_imbalance_wide(view: View) -> Array:
    """(bid - ask) / (bid + ask) notional within 100 bps of mid, window means; 0 with an empty book.

    The band ends where either side's known depth does.

    Sign: more resting bids than usual are bullish. Units: -1..+1.

    Source: Cao, Hansch, Wang, The Information Content of an Open Limit-Order Book (2009): depth
    behind the best quotes adds to what they tell.
    """
    return net(view.spans.bid_100[:, -1], view.spans.ask_100[:, -1])


@card(CATEGORY, "microprice_tilt", "Micro-price Tilt", "book")
def microprice_tilt(view: View) -> Array:
    """(micro-price - mid) / spread, mean over the window's seconds.

    Micro-price: both best prices weighted by the size of the other side.

    Sign: a heavier best bid is bullish. Units: spreads, -0.5..+0.5.

    Source: Stoikov, The Micro-Price: A High-Frequency Estimator of Future Prices (2018), with the
    size-weighted mid as the estimator.
    """
    return view.spans.tilt[:, -1].copy()


@card(CATEGORY, "spread_state", "Spread State", "book", role="context")
def spread_state(view: View) -> Array:
    """log(mean spread / its mean over the windows before, two at least) x trend.

    Trend: tanh(return over the window / window ATR). The spread counts as at least 1 % of the
    usual; a book that never had one reads 0.

    Sign: with the trend, for makers step back from a move they expect to go on: a wide spread in a
    rise is bullish; a narrow one reads against the trend. Units: log ratio.

    Source: Glosten, Milgrom (1985): the spread widens with informed flow; Foucault, Kadan, Kandel,
    Limit Order Book as a Market for Liquidity (2005).
    """
    norm = usual(view.spans.spread)
    share = np.maximum(over(view.spans.spread[:, -1], norm), SMALL)
    out: Array = np.log(np.where(norm == 0, 1.0, share)) * direction(view)
    return out


@card(CATEGORY, "book_resilience", "Book Resilience", "book", "trades")
def book_resilience(view: View) -> Array:
    """Bid refill / bid taken - ask refill / ask taken; 0 unless both sides were hit.

    Taken: notional takers hit; refill: what came back within the next second, at most twice that.

    Sign: bids that come back faster than asks are bullish. Units: share of what was taken, -2..+2.

    Source: Kyle (1985) for resiliency; Large, Measuring the Resiliency of an Electronic Limit Order
    Book (2007).
    """
    spans = view.spans
    bid_taken, ask_taken = spans.bid_taken[:, -1], spans.ask_taken[:, -1]
    bid = np.minimum(over(spans.bid_refill[:, -1], bid_taken), FULL_REFILL)
    ask = np.minimum(over(spans.ask_refill[:, -1], ask_taken), FULL_REFILL)
    return np.where((bid_taken == 0) | (ask_taken == 0), (bid + ask) * 0.0, bid - ask)


@card(CATEGORY, "global_combined_book", "Global Combined Book", "book", "venues", scale="centred")
def global_combined_book(view: View) -> Array:
    """(bid - ask) / (bid + ask) notional within 50 bps of mid, summed over all venues fed.

    The band ends where either side's known depth does; 0 with an empty book.

    Sign: more resting bids than usual are bullish. Units: -1..+1.

    Source: Cao, Hansch, Wang, The Information Content of an Open Limit-Order Book (2009), summed
    over venues because bitcoin's books are fragmented: Albers, Cucuringu, Howison, Shestopaloff,
    Fragmentation, Price Formation and Cross-Impact in Bitcoin Markets (2021).
    """
    return net(view.spans.bid_50[:, -1], view.spans.ask_50[:, -1])


@card(CATEGORY, "wall_proximity", "Wall Proximity", "book")
def wall_proximity(view: View) -> Array:
    """Pull of the nearest outsized bid wall - pull of the ask wall; no wall pulls 0.

    Pull = wall notional / usual depth of a side within 100 bps x ATR / (distance + 0.1 ATR), ATR
    being the mean range of the last windows (14 at most, two at least).

    Sign: a near bid wall is bullish. Units: usual depths per ATR.

    Source: Osler, Support for Resistance (2000), on clustered orders as support and resistance;
    Cont, Kukanov, Stoikov (2014) for depth as the unit of impact.
    """
    spans = view.spans
    depth = known_mean((spans.bid_100 + spans.ask_100) / 2)
    reach = window_atr(view)
    bid = _pull(spans.bid_wall[:, -1], spans.bid_wall_distance[:, -1], reach)
    ask = _pull(spans.ask_wall[:, -1], spans.ask_wall_distance[:, -1], reach)
    return over(bid - ask, depth)


def _pull(wall: Array, distance: Array, reach: Array) -> Array:
    return np.where(wall == 0, 0.0 * reach, wall * over(reach, distance + 0.1 * reach))


@card(CATEGORY, "wall_persistence", "Wall Persistence", "book")
def wall_persistence(view: View) -> Array:
    """(Age of the nearest outsized bid wall - age of the ask wall) / window; no wall counts 0.

    Sign: bids that stay are bullish. Units: windows.

    Source: Biais, Hillion, Spatt, An Empirical Analysis of the Limit Order Book (1995), on what
    standing orders reveal; a wall that flickers is no support.
    """
    spans = view.spans
    bid = _age(spans.bid_wall[:, -1], spans.bid_wall_life[:, -1])
    ask = _age(spans.ask_wall[:, -1], spans.ask_wall_life[:, -1])
    return (bid - ask) / np.array([[window.span] for window in view.windows], dtype=np.float64)


def _age(wall: Array, life: Array) -> Array:
    return np.where(wall == 0, 0.0, np.where(np.isnan(wall), np.nan, life))


@card(CATEGORY, "depth_trend", "Depth Trend", "book")
def depth_trend(view: View) -> Array:
    """log(bid depth of the window's second half / first half) - the same of the ask, 50 bps.

    Halves are means of the window's known bars. A depth counts as at least 1 % of the mean of all;
    an empty book reads 0.

    Sign: bids that grow faster than asks are bullish. Units: log growth.

    Source: Cao, Hansch, Wang, The Information Content of an Open Limit-Order Book (2009); growth
    is a difference of sides, so a change of the band itself cancels.
    """
    bid, ask = view.bars.bid_50, view.bars.ask_50
    floor = SMALL * known_mean(inside(view, bid + ask)) / 2
    floor = np.where(floor == 0, 1.0, floor)

    def growth(depth: Array) -> Array:
        late, early = newest(view, depth, 2)
        out: Array = np.log(np.maximum(late, floor) / np.maximum(early, floor))
        return out

    return growth(bid) - growth(ask)


@card(CATEGORY, "liquidity_vacuum", "Liquidity Vacuum", "book")
def liquidity_vacuum(view: View) -> Array:
    """Thin share of the ask side - thin share of the bid side within 100 bps of mid.

    Thin: price slots of 1 bp that hold under a quarter of their usual depth.

    Sign: thin asks are bullish, for price moves into thin air. Units: -1..+1.

    Source: Farmer, Gillemot, Lillo, Mike, Sen, What Really Causes Large Price Changes? (2004): gaps
    in the book, not large orders.
    """
    return view.spans.ask_thin[:, -1] - view.spans.bid_thin[:, -1]
