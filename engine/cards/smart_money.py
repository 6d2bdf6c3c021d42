"""Smart money: what the largest accounts hold, and on which side the largest prints are.

Top traders are, by the venue's definition, the fifth of its users with the most margin. Their
ratios come every five minutes, so cards of them exist from the 5 m window on.
"""

from engine.cards.card import card
from engine.cards.measure import change, known_sum, net, over, scaled, usual
from engine.cards.positioning import growth_score, stillness
from engine.market.view import Array, View

CATEGORY = "smart_money"
PUBLISHED = 300.0


@card(CATEGORY, "anchored_top_accounts", "Anchored Top Accounts", "ratio", cadence=PUBLISHED)
def anchored_top_accounts(view: View) -> Array:
    """(a - a as this session opened) + (a - a one window ago), a = log long/short of top accounts.

    The anchor tells where they have gone since the session (Asia, Europe, US) opened; the second
    part, the velocity, whether they are still going there.

    Sign: top accounts that turn long are bullish. Units: log ratio.

    Source: Binance USD-M topLongShortAccountRatio; Wang, Investor Sentiment and Return
    Predictability in Agricultural Futures Markets (2001): price follows large speculators.
    """
    return _anchored(view.spans.top_accounts, view.calendar.top_accounts_open)


@card(CATEGORY, "anchored_top_positions", "Anchored Top Positions", "ratio", cadence=PUBLISHED)
def anchored_top_positions(view: View) -> Array:
    """(p - p as this session opened) + (p - p one window ago), p = log long/short of top positions.

    As Anchored Top Accounts, with positions counted by size instead of by head.

    Sign: top positions that turn long are bullish. Units: log ratio.

    Source: Binance USD-M topLongShortPositionRatio; Wang (2001).
    """
    return _anchored(view.spans.top_positions, view.calendar.top_positions_open)


def _anchored(ratio: Array, anchor: Array) -> Array:
    return ratio[:, -1] - anchor + change(ratio)


@card(CATEGORY, "top_account_ratio", "Top Account Ratio", "ratio", cadence=PUBLISHED)
def top_account_ratio(view: View) -> Array:
    """log long/short of top accounts - its mean over the windows before, two at least.

    Sign: more top accounts long than usual is bullish. Units: log ratio.

    Source: Binance USD-M topLongShortAccountRatio; Wang (2001).
    """
    return view.spans.top_accounts[:, -1] - usual(view.spans.top_accounts)


@card(CATEGORY, "top_position_ratio", "Top Position Ratio", "ratio", cadence=PUBLISHED)
def top_position_ratio(view: View) -> Array:
    """log long/short of top positions - its mean over the windows before, two at least.

    Sign: top traders longer than usual are bullish. Units: log ratio.

    Source: Binance USD-M topLongShortPositionRatio; Wang (2001).
    """
    return view.spans.top_positions[:, -1] - usual(view.spans.top_positions)


@card(CATEGORY, "top_vs_global_gap", "Top vs Global Gap", "ratio", scale="centred",
      cadence=PUBLISHED)  # fmt: skip
def top_vs_global_gap(view: View) -> Array:
    """log long/short of top accounts - log long/short of all accounts.

    Heads against heads, like with like: what top traders hold by size is Account-Position Gap.

    Sign: top traders longer than the crowd are bullish. Units: log ratio.

    Source: Binance USD-M topLongShortAccountRatio and globalLongShortAccountRatio; Wang (2001):
    price follows large speculators and not small traders.
    """
    return view.spans.top_accounts[:, -1] - view.spans.global_accounts[:, -1]


@card(CATEGORY, "account_position_gap", "Account-Position Gap", "ratio", scale="centred",
      cadence=PUBLISHED)  # fmt: skip
def account_position_gap(view: View) -> Array:
    """log long/short of top positions - log long/short of top accounts.

    Sign: above its norm the larger of the top traders are the longer ones, bullish. Units: log
    ratio.

    Source: Binance USD-M topLongShortPositionRatio and topLongShortAccountRatio; Easley, O'Hara,
    Price, Trade Size, and Information in Securities Markets (1987): who knows more, trades larger.
    """
    return view.spans.top_positions[:, -1] - view.spans.top_accounts[:, -1]


@card(CATEGORY, "large_print_bias", "Large Print Bias", "trades")
def large_print_bias(view: View) -> Array:
    """(huge buys - huge sells) / (huge buys + huge sells + their usual sum), at the reference.

    Huge prints lie above the 99.5th size percentile. Their usual sum (mean over the windows before,
    two at least) keeps one lone print from reading as unanimity; with none ever the value is 0.

    Sign: large buyers are bullish. Units: share of large prints, -1..+1.

    Source: Easley, O'Hara (1987) for size as information; Barclay, Warner, Stealth Trading and
    Volatility (1993).
    """
    spans = view.spans
    both = spans.huge_buy + spans.huge_sell
    surplus = spans.huge_buy[:, -1] - spans.huge_sell[:, -1]
    return over(surplus, both[:, -1] + usual(both))


@card(CATEGORY, "dex_whale_net", "DEX Whale Net", "trades")
def dex_whale_net(view: View) -> Array:
    """x |x|, x = d/v of the decentralised venues' perpetuals taken together; 0 without trades.

    The net of prints on random sides has the expected square sum(size^2): (d/v)^2 estimates the
    share outsized prints have in the flow (its Herfindahl index), so small prints, which cancel
    out, leave next to nothing and one whale nearly all.

    Sign: outsized buying on-chain is bullish. Units: concentration of flow, -1..+1.

    Source: Easley, O'Hara (1987) for size as information; Rhoades, The Herfindahl-Hirschman Index
    (1993); venues: Hyperliquid and dYdX public trades.
    """
    venues = view.venues
    own = venues.dex & ~venues.spot
    lean = net(known_sum(venues.buy[own]), known_sum(venues.sell[own]))
    return lean * abs(lean)


@card(CATEGORY, "accumulation_distribution", "Accumulation/Distribution", "bars", "ratio", "oi",
      cadence=PUBLISHED)  # fmt: skip
def accumulation_distribution(view: View) -> Array:
    """z(change of log top positions) x max(z(growth of open interest), 0) x stillness.

    Over the window; stillness = exp(-(return / half the window ATR)^2). Positions that open while
    price stands still and the largest traders lean one way; none open while open interest falls.

    Sign: top traders who build longs in a flat price accumulate, bullish; shorts distribute.
    Units: sigma squared.

    Source: Wyckoff, The Richard D. Wyckoff Method of Trading and Investing in Stocks (1931), on
    accumulation and distribution; Bessembinder, Seguin, Price Volatility, Trading Volume, and
    Market Depth (1993), for open interest beside price.
    """
    drift = scaled(view.spans.top_positions[:, 1:] - view.spans.top_positions[:, :-1])
    opened = growth_score(view).clip(0.0)
    out: Array = drift * opened * stillness(view)
    return out
