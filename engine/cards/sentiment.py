"""Sentiment: the mood of the crowd, what it holds, what it reads, and where it is too sure."""

import numpy as np

from engine.cards.card import card
from engine.cards.elsewhere import everywhere
from engine.cards.measure import known_mean, level, net, outside, usual
from engine.cards.positioning import beyond, crowd_score, premium_score, together, trend_side
from engine.cards.unusual import funding_score
from engine.market.view import Array, View

CATEGORY = "sentiment"
PUBLISHED = 300.0
DAILY = 86_400.0
MIDDLE, WIDTH = 50.0, 25.0
WEEK = 7
# Points of the index over which the slope gives way to the extreme.
SEAM = 5.0


@card(CATEGORY, "fear_greed", "Fear & Greed", "mood", scope="market", cadence=DAILY,
      mirror_exempt="mood is an outside series, which the mirror leaves as it is")  # fmt: skip
def fear_greed(view: View) -> Array:
    """(1 - s) x (F - its mean of the 7 days before) / 25 - e / 25, F the index, 0..100.

    e = F - clip(F, 25, 75): how far it is in extreme fear or greed; s = min(|e| / 5, 1): the slope
    counts in between and fades out over five points. Two of the days before must be known.

    Sign: extreme fear is bullish, extreme greed bearish; in between rising mood is bullish. Units:
    share of the way from neutral to the extreme.

    Source: Crypto Fear & Greed Index (alternative.me); Baker, Wurgler, Investor Sentiment and the
    Cross-Section of Stock Returns (2006): extremes of sentiment reverse.
    """
    mood = outside(view, "fear_greed")
    slope = mood[:, -1] - known_mean(mood[:, -1 - WEEK : -1], least=2)
    extreme = beyond(mood[:, -1] - MIDDLE, WIDTH)
    between = 1.0 - np.minimum(np.abs(extreme) / SEAM, 1.0)
    return (between * slope - extreme) / WIDTH


@card(CATEGORY, "market_sentiment", "Market Sentiment", "ratio", "funding", scope="market",
      cadence=PUBLISHED, peers=True)  # fmt: skip
def market_sentiment(view: View) -> Array:
    """-m^3 / (1 + m^2), m = mean of the symbols' medians of z funding, z crowd and z premium.

    z: from the mean of the windows before, in their std; crowd: log long/short of all accounts;
    premium: log mark over index, where it is known. Next to nothing within half a sigma, as much
    as m at extremes.

    Sign: a market that is long and pays for it is bearish, contrarian. Units: standard deviations.

    Source: Baker, Wurgler (2006): a common sentiment from several proxies, high before low returns;
    Schmeling, Schrimpf, Todorov, Crypto Carry (2023).
    """
    scores = (funding_score(view), crowd_score(view), premium_score(view))
    funding, crowd, gap = (_median(z) for z in scores)
    known = gap == gap
    mean = (funding + crowd + np.where(known, gap, 0.0)) / (2.0 + known)
    value = -(mean**3) / (1.0 + mean * mean)
    return everywhere(view, value[:, None])


def _median(x: Array) -> Array:
    """Median over the symbols that are known, (W,); NaN where none is."""
    ordered = np.sort(x, axis=1)
    count = np.count_nonzero(x == x, axis=1)
    lane = np.arange(len(x))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, x.shape[1] - 1)
    out: Array = (ordered[lane, low] + ordered[lane, high]) / 2
    return out


@card(CATEGORY, "global_long_short", "Global Long/Short", "ratio", cadence=PUBLISHED)
def global_long_short(view: View) -> Array:
    """-(log long/short of all accounts - its mean over the windows before, two at least).

    Sign: more accounts long than usual is bearish, contrarian. Units: log ratio.

    Source: Binance USD-M globalLongShortAccountRatio; De Long, Shleifer, Summers, Waldmann, Noise
    Trader Risk in Financial Markets (1990): a common error of the many carries price away.
    """
    return usual(view.spans.global_accounts) - view.spans.global_accounts[:, -1]


@card(CATEGORY, "retail_crowding", "Retail Crowding", "ratio", "trades", cadence=PUBLISHED)
def retail_crowding(view: View) -> Array:
    """-together(d/v of the smallest quartile by trade size, z - clip(z, -1, 1)).

    z = log long/short of all accounts from its mean over the windows before, in their std;
    together(x, y) = |x y| with their sign where they have one sign, else 0.

    Sign: small traders who still buy where the crowd is already long beyond one sigma are bearish.
    Units: standard deviations beyond one.

    Source: Kumar, Lee, Retail Investor Sentiment and Return Comovements (2006); Barber, Odean, Zhu,
    Do Retail Trades Move Markets? (2009): small trades of one side, identified by size, reverse.
    """
    spans = view.spans
    small = net(spans.small_buy[:, -1], spans.small_sell[:, -1])
    return -together(small, beyond(crowd_score(view), 1.0))


@card(CATEGORY, "news_tone", "News Tone", "news", scope="some", level=True)
def news_tone(view: View) -> Array:
    """Mean polarity of the headlines that name the asset, each weighted by 0.5^(age / 2 h).

    The mean is taken with half a neutral headline added, so that a lone or an old one says less.

    Sign: good news is bullish. Units: -1..+1.

    Source: Tetlock, Giving Content to Investor Sentiment: The Role of Media in the Stock Market
    (2007); headlines from public RSS.
    """
    return level(view, view.news.tone)


@card(CATEGORY, "social_attention", "Social Attention", "news", scope="some")
def social_attention(view: View) -> Array:
    """max(n - u, 0) / sqrt(u + 1) x tanh(return / window ATR), n headlines that name the asset.

    u: their usual number in such a window; the root is the spread of a rare count. These are
    headlines of news feeds (RSS), not social media.

    Sign: unusual attention carries the window's move on: bullish in a rise. Units: standard
    deviations of a count.

    Source: Da, Engelberg, Gao, In Search of Attention (2011): attention pushes price on before it
    reverts; headlines from public RSS.
    """
    news = view.news
    surge = np.maximum(news.mentions - news.usual, 0.0) / np.sqrt(news.usual + 1.0)
    out: Array = surge * trend_side(view)
    return out
