"""Derivatives: positions that open and close, who opens them, and what a future costs over spot.

Open interest is read in base units, so that price does not enter, and polled: cards of it exist
from the 1 m window on. Its growth is g = 2 (after - before) / (after + before) over the window,
z(g) in rms of the up to 59 windows before. The trend's side is tanh(return / window ATR), the
flow's tanh(z(d)).
"""

import numpy as np

from engine.cards.card import card
from engine.cards.measure import (
    bars_inside,
    inside,
    known_mean,
    net,
    over,
    standing,
    summed,
    volume,
)
from engine.cards.positioning import (
    beyond,
    crowd_score,
    flow_side,
    growth,
    growth_score,
    mild,
    stillness,
    trend_side,
)
from engine.market.view import Array, View

CATEGORY = "derivatives"
POLLED = 30.0
PUBLISHED = 300.0
# As volatility cards do, the regime votes with the trend and must not make up a trend's majority.
TREND_PRIOR = 0.25
EVENT = 3.0
SMALL = 0.01
# All bars of the longest window in bars, and some more.
RECENT_BARS = 30
HOUR = 3600.0
DAY = 86_400
# Windows that a day's volume is made of at most; the rest of the 60 is its norm.
MOST_WINDOWS = 24
# Funding per 8 h at which a side clearly pays.
PAYS = 1e-4


@card(CATEGORY, "open_interest", "Open Interest", "oi", "bars", cadence=POLLED)
def open_interest(view: View) -> Array:
    """max(g, 0) in % x tanh(return / window ATR), g the growth of open interest over the window.

    Sign: new positions carry the move on: growing open interest in a rise is bullish, in a fall
    bearish; nothing is said while positions close. Units: %.

    Source: Hong, Yogo, What Does Futures Market Interest Tell Us About the Macroeconomy and Asset
    Prices? (2012); Bessembinder, Seguin, Price Volatility, Trading Volume, and Market Depth (1993).
    """
    return 100.0 * np.maximum(growth(view)[:, -1], 0.0) * trend_side(view)


@card(CATEGORY, "oi_price_divergence", "OI Price Divergence", "oi", "bars", cadence=POLLED)
def oi_price_divergence(view: View) -> Array:
    """-tanh(return / window ATR) x max(-z(g), 0), g the growth of open interest over the window.

    Sign: a move on falling open interest is made by those who leave and ends with them: a rise is
    then bearish, a fall bullish. Units: sigma of g.

    Source: Murphy, Technical Analysis of the Financial Markets (1999), rules of price and open
    interest; Hong, Yogo (2012).
    """
    return -trend_side(view) * np.maximum(-growth_score(view), 0.0)


@card(CATEGORY, "oi_price_quadrant", "OI-Price Quadrant", "oi", "bars", cadence=POLLED)
def oi_price_quadrant(view: View) -> Array:
    """100 x sum over the window's bars of max(g, 0) tanh(r / s), r the bar's log return.

    g: growth of open interest over the bar, known in half of the bars at least; s: rms of r over
    the last 30 bars, those known. Bar by bar, unlike Open Interest: longs opened on the way up do
    not pass for shorts opened on the way back. Bars of falling open interest add 0.

    Sign: price and open interest up, new longs, +; price down and open interest up, new shorts, -.
    Units: % of open interest that new longs exceed new shorts by.

    Source: Murphy (1999), the four combinations of price and open interest.
    """
    bars = view.bars
    moves = (bars.close - bars.open)[:, -RECENT_BARS:]
    interest = bars.oi[:, -RECENT_BARS - 1 :]
    opened = np.maximum(2.0 * net(interest[:, 1:], interest[:, :-1]), 0.0)
    usual_move = np.sqrt(known_mean(moves * moves))[:, None]
    parts = inside(view, opened * np.tanh(over(moves, usual_move)))
    known = parts == parts
    total = 100.0 * summed(np.where(known, parts, 0.0))
    return np.where(2 * summed(known) >= bars_inside(view), total, np.nan)


@card(CATEGORY, "oi_rate_of_change", "OI Rate of Change", "oi", "trades", cadence=POLLED)
def oi_rate_of_change(view: View) -> Array:
    """g per hour in % x d/v, g the growth of open interest over the window.

    Sign: positions that buyers open are bullish, those that sellers open bearish; flow that closes
    positions is turned round, for it ends with them. Units: % an hour.

    Source: Hong, Yogo (2012); Chordia, Roll, Subrahmanyam, Order Imbalance, Liquidity, and Market
    Returns (2002), for the side.
    """
    hours = np.array([[window.span / HOUR] for window in view.windows])
    lean = net(view.spans.buy[:, -1], view.spans.sell[:, -1])
    out: Array = 100.0 * growth(view)[:, -1] / hours * lean
    return out


@card(CATEGORY, "oi_regime", "OI Regime", "oi", "bars", role="context", cadence=POLLED,
      prior=TREND_PRIOR)  # fmt: skip
def oi_regime(view: View) -> Array:
    """tanh(x / 2) x tanh(return / window ATR), x = open interest from its mean, in its std.

    Mean and std over the windows before, two at least: expansion above, contraction below.

    Sign: with the trend while open interest is expanded, for it is fed by new positions; against
    it while contracted. Units: -1..+1.

    Source: Bessembinder, Seguin (1993): moves on expected and unexpected open interest differ;
    Murphy (1999): rising open interest confirms a trend.
    """
    out: Array = np.tanh(standing(view.spans.oi) / 2) * trend_side(view)
    return out


@card(CATEGORY, "oi_spike", "OI Spike", "oi", "trades", scale="fixed", cadence=POLLED)
def oi_spike(view: View) -> Array:
    """max(z(g) - 3, 0) x tanh(z(d)), g the growth of open interest over the window.

    Sign: a jump that buyers opened is bullish, that sellers opened bearish. Units: sigma of g
    beyond three; 0 between jumps.

    Source: Bessembinder, Seguin (1993) on unexpected open interest; the taker's side as in
    Chordia, Roll, Subrahmanyam (2002).
    """
    return np.maximum(growth_score(view) - EVENT, 0.0) * flow_side(view)


@card(CATEGORY, "oi_flush", "OI Flush", "oi", "bars", scale="fixed", cadence=POLLED)
def oi_flush(view: View) -> Array:
    """-max(-z(g) - 3, 0) x tanh(return / window ATR), g the growth of open interest.

    Sign: against the move that flushed the positions out: bullish after a fall, bearish after a
    rise. Units: sigma of g beyond three; 0 between flushes.

    Source: Brunnermeier, Pedersen, Market Liquidity and Funding Liquidity (2009): forced closing
    overshoots and reverts.
    """
    return -np.maximum(-growth_score(view) - EVENT, 0.0) * trend_side(view)


@card(CATEGORY, "oi_buildup", "OI Buildup", "oi", "bars", "funding", cadence=POLLED)
def oi_buildup(view: View) -> Array:
    """-tanh(funding / 0.01 %) x max(z(g), 0) x stillness, g the growth of open interest.

    Funding per 8 h from its neutral rate; stillness = exp(-(return / half the window ATR)^2).

    Sign: against the side that pays while positions build up in a flat price: longs that pay are
    bearish. Units: sigma of g.

    Source: Schmeling, Schrimpf, Todorov, Crypto Carry (2023): carry crowded by leveraged longs
    foretells their liquidation.
    """
    paying = np.tanh(view.spans.funding[:, -1] / PAYS)
    return -paying * np.maximum(growth_score(view), 0.0) * stillness(view)


@card(CATEGORY, "leverage_ratio", "Leverage Ratio", "oi", "trades", "ratio", scale="centred",
      cadence=PUBLISHED)  # fmt: skip
def leverage_ratio(view: View) -> Array:
    """-max(log(open interest / volume) - its norm, 0) x tanh(z of the crowd's log long/short).

    Volume: of 24 h, or of 24 windows where those are shorter. Norm: mean open interest over mean
    volume of all windows known (61 at most), so that the price does not enter; volume counts as at
    least 1 % of its mean.

    Sign: more positions than the market turns over cannot all get out: bearish when the crowd is
    long, bullish when it is short. Units: log ratio.

    Source: Lucia, Pardo, On Measuring Speculative and Hedging Activities in Futures Markets from
    Volume and Open Interest Data (2010); Schmeling, Schrimpf, Todorov, Crypto Carry (2023), for
    what becomes of a crowded side. Market value, the other base, lacks a source for all symbols.
    """
    spans = view.spans
    taken = np.array([[min(DAY // window.span, MOST_WINDOWS)] for window in view.windows])
    recent = np.arange(spans.buy.shape[1], 0, -1) <= taken
    mean = known_mean(volume(view), least=2)
    now = over(known_mean(np.where(recent[:, :, None], volume(view), np.nan)), mean)
    held = over(spans.oi[:, -1], known_mean(spans.oi, least=2))
    excess = np.log(np.maximum(held, SMALL) / np.maximum(now, SMALL))
    excess = np.where(mean == 0, 0.0 * held, excess)
    return -np.maximum(excess, 0.0) * np.tanh(crowd_score(view))


@card(CATEGORY, "long_short_skew", "Long/Short Skew", "ratio", cadence=PUBLISHED)
def long_short_skew(view: View) -> Array:
    """-(z - clip(z, -1, 1)), z = log long/short of all accounts from its mean, in its std.

    Mean and std over the windows before, two at least; within one std it says nothing.

    Sign: a crowd that is unusually long is bearish. Units: standard deviations beyond one.

    Source: Binance USD-M globalLongShortAccountRatio; De Long, Shleifer, Summers, Waldmann, Noise
    Trader Risk in Financial Markets (1990): what the many push too far comes back.
    """
    return -beyond(crowd_score(view), 1.0)


@card(CATEGORY, "basis_state", "Basis State", "book", "mark", scale="centred")
def basis_state(view: View) -> Array:
    """sign(z) max(min(|z|, 2 - |z|), -2), z = log mid over index from its mean, in its std.

    Mean and std over the windows before, two at least. Strongest at one sigma, nothing at two,
    turned beyond, at most two.

    Sign: a future mildly dear over spot is demand and bullish; beyond two sigma it is crowded and
    bearish. Units: standard deviations.

    Source: He, Manela, Ross, von Wachter, Fundamentals of Perpetual Futures (2022): deviations
    from spot go with past returns and close; Schmeling, Schrimpf, Todorov (2023) for extremes.
    """
    return mild(standing(view.spans.mid - view.spans.index))
