"""Sentiment cards: against plain slow implementations, then scenes with known sign and size."""

import math
import statistics
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards import sentiment as cards
from engine.market.view import WINDOWS, Array, View

Make = Callable[..., View]
Slow = Callable[[View, int, int], float]
TIME = np.arange(61)[:, None]


def lane(view: View, field: str, w: int, s: int) -> list[float]:
    return [float(x) for x in getattr(view.spans, field)[w, :, s]]


def standing(x: list[float]) -> float:
    return (x[-1] - statistics.fmean(x[:-1])) / statistics.pstdev(x[:-1])


def soft(x: float, band: float) -> float:
    return math.copysign(max(abs(x) - band, 0.0), x)


def trend(view: View, w: int, s: int) -> float:
    highs, lows = lane(view, "high", w, s)[-14:], lane(view, "low", w, s)[-14:]
    atr = statistics.fmean(h - low for h, low in zip(highs, lows, strict=True))
    return math.tanh((lane(view, "close", w, s)[-1] - lane(view, "open", w, s)[-1]) / atr)


def mood(view: View, w: int, s: int) -> float:
    series = [float(x) for x in view.outside["fear_greed"][w, :, s]]
    now, week = series[-1], statistics.fmean(series[-8:-1])
    if 25 <= now <= 75:
        return (now - week) / 25
    extreme = now - 75 if now > 75 else now - 25
    return (max(1 - abs(extreme) / 5, 0) * (now - week) - extreme) / 25


def market(view: View, w: int, s: int) -> float:
    del s

    def gap(n: int) -> list[float]:
        pairs = zip(lane(view, "mark", w, n), lane(view, "index", w, n), strict=True)
        return [a - b for a, b in pairs]

    symbols = range(len(view.symbols))
    medians = [
        statistics.median(standing(lane(view, "funding", w, n)) for n in symbols),
        statistics.median(standing(lane(view, "global_accounts", w, n)) for n in symbols),
        statistics.median(standing(gap(n)) for n in symbols),
    ]
    m = statistics.fmean(medians)
    return -(m**3) / (1 + m**2)


def crowd(view: View, w: int, s: int) -> float:
    *before, now = lane(view, "global_accounts", w, s)
    return statistics.fmean(before) - now


def retail(view: View, w: int, s: int) -> float:
    buy, sell = lane(view, "small_buy", w, s)[-1], lane(view, "small_sell", w, s)[-1]
    lean = (buy - sell) / (buy + sell)
    extreme = soft(standing(lane(view, "global_accounts", w, s)), 1)
    return -lean * abs(extreme) if lean * extreme > 0 else 0.0


def attention(view: View, w: int, s: int) -> float:
    seen, usual = float(view.news.mentions[w, s]), float(view.news.usual[w, s])
    return max(seen - usual, 0) / math.sqrt(usual + 1) * trend(view, w, s)


REFERENCES: dict[str, Slow] = {
    "fear_greed": mood,
    "market_sentiment": market,
    "global_long_short": crowd,
    "retail_crowding": retail,
    "news_tone": lambda view, w, s: float(view.news.tone[s]),
    "social_attention": attention,
}


def value(name: str, view: View) -> Array:
    found: Array = getattr(cards, name)(view)
    return found


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.parametrize("symbols", [3, 4])
def test_plain_reference(name: str, symbols: int, make_view: Make) -> None:
    for seed in range(3):
        view = make_view(seed, symbols=symbols)
        want = [[REFERENCES[name](view, w, s) for s in range(symbols)] for w in range(6)]
        np.testing.assert_allclose(value(name, view), want, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("now", "week", "want"),
    [
        (60.0, 50.0, 0.4),  # in between: its slope
        (40.0, 50.0, -0.4),
        (90.0, 50.0, -0.6),  # extreme greed
        (10.0, 50.0, 0.6),
        (77.5, 67.5, (0.5 * 10 - 2.5) / 25),  # half-way over the seam
    ],
)
def test_extreme_mood_turns_and_mild_mood_goes_on(
    now: float, week: float, want: float, make_view: Make, edit: Make
) -> None:
    view = edit(make_view(), outside={"fear_greed": np.where(TIME == 60, now, week)})
    np.testing.assert_allclose(value("fear_greed", view), np.full((6, 3), want))


@settings(deadline=None, max_examples=30)
@given(now=st.floats(0, 100), week=st.floats(0, 100))
def test_mood_is_bounded_and_does_not_jump(
    now: float, week: float, make_view: Make, edit: Make
) -> None:
    view = make_view(symbols=1, windows=WINDOWS[:1])

    def at(x: float) -> float:
        series = np.where(TIME == 60, x, week)
        return float(value("fear_greed", edit(view, outside={"fear_greed": series}))[0, 0])

    assert abs(at(now)) <= 4
    assert abs(at(now + 1e-6) - at(now)) < 1e-5


def test_a_mood_that_nobody_brings_is_unknown(make_view: Make) -> None:
    view = replace(make_view(), outside={})
    assert np.isnan(value("fear_greed", view)).all()


def test_a_market_that_is_long_and_pays_is_bearish(make_view: Make, edit: Make) -> None:
    wave = np.where(TIME == 60, 3.0, (-1.0) ** TIME)
    crowded = {"funding": 1e-5 * wave, "global_accounts": 0.1 * wave}
    crowded |= {"index": 6.0, "mark": 6.0 + 1e-4 * wave}
    found = value("market_sentiment", edit(make_view(), spans=crowded))
    np.testing.assert_allclose(found, np.full((6, 3), -2.7), rtol=1e-6)
    calm = {n: x / np.where(TIME == 60, 10.0, 1.0) for n, x in crowded.items() if n != "index"}
    quiet = edit(make_view(), spans={**calm, "index": 6.0, "mark": 6.0 + 1e-4 * wave * 0})
    assert (np.abs(value("market_sentiment", quiet)) < 0.02).all()


def test_one_wild_symbol_does_not_move_the_market(make_view: Make, edit: Make) -> None:
    view = make_view()
    wild = np.where((TIME == 60) & (np.arange(3) == 2), 99.0, (-1.0) ** TIME)
    steady = {"funding": 1e-5 * wild, "global_accounts": wild, "index": 6.0, "mark": 6.0 + wild}
    # the other two stand one deviation up in the last window
    found = value("market_sentiment", edit(view, spans=steady))
    np.testing.assert_allclose(found, np.full((6, 3), -0.5), rtol=1e-6)


def test_the_market_is_read_from_those_that_are_known(make_view: Make, edit: Make) -> None:
    view = make_view(symbols=4)
    gone = np.array([0.0, np.nan, 0.0, 0.0])
    names = ("funding", "global_accounts", "mark", "index")
    some = edit(view, spans={n: getattr(view.spans, n) + gone for n in names})
    three = replace(
        some,
        symbols=("BTCUSDT", "S2USDT", "S3USDT"),
        spans=replace(some.spans, **{n: getattr(some.spans, n)[:, :, [0, 2, 3]] for n in names}),
    )
    one, other = value("market_sentiment", some)[:, :3], value("market_sentiment", three)
    # The layout of the arrays decides in which order they are summed.
    np.testing.assert_allclose(one, other, rtol=1e-12)
    no_mark = edit(view, spans={"mark": np.nan})
    assert np.isfinite(value("market_sentiment", no_mark)).all()
    assert np.isnan(value("market_sentiment", edit(view, spans={"funding": np.nan}))).all()


def test_more_longs_than_usual_are_bearish(make_view: Make, edit: Make) -> None:
    view = edit(make_view(), spans={"global_accounts": np.where(TIME == 60, 0.9, 0.6)})
    np.testing.assert_allclose(value("global_long_short", view), np.full((6, 3), -0.3))


@pytest.mark.parametrize(
    ("crowded", "lean", "want"),
    [(3.0, 0.5, -1.0), (-3.0, -0.5, 1.0), (3.0, -0.5, 0.0), (0.8, 0.5, 0.0)],
)
def test_small_traders_joining_a_crowd_are_faded(
    crowded: float, lean: float, want: float, make_view: Make, edit: Make
) -> None:
    ratio = np.where(TIME == 60, crowded, (-1.0) ** TIME)
    small = {"small_buy": 1e5 * (1 + lean), "small_sell": 1e5 * (1 - lean)}
    view = edit(make_view(), spans={"global_accounts": ratio, **small})
    np.testing.assert_allclose(value("retail_crowding", view), np.full((6, 3), want), atol=1e-12)
    nobody = edit(view, spans={"small_buy": 0.0, "small_sell": 0.0})
    np.testing.assert_array_equal(value("retail_crowding", nobody), np.zeros((6, 3)))


def test_tone_is_every_windows(make_view: Make, edit: Make) -> None:
    view = edit(make_view(), news={"tone": [0.5, -0.2, np.nan]})
    np.testing.assert_array_equal(value("news_tone", view), np.tile([0.5, -0.2, np.nan], (6, 1)))


def test_attention_carries_the_move(make_view: Make, edit: Make) -> None:
    prices = {"high": 10.01, "low": 10.0, "open": 10.005, "close": 10.015}
    view = edit(make_view(), spans=prices, news={"mentions": 9.0, "usual": 3.0})
    want = 3 * math.tanh(1.0)
    np.testing.assert_allclose(value("social_attention", view), np.full((6, 3), want))
    falling = edit(view, spans={"close": 9.995})
    np.testing.assert_allclose(value("social_attention", falling), np.full((6, 3), -want))
    ignored = edit(view, news={"mentions": 1.0})
    np.testing.assert_array_equal(value("social_attention", ignored), np.zeros((6, 3)))
