"""Composite alpha: every card against a plain slow reading of its formula, number by number."""

import math
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.card import registry
from engine.market.view import WINDOWS, View

CARDS = {card.id: card for card in registry() if card.category == "composite_alpha"}
# symbols enough that the rare events happen in some of the lanes
MANY = 24
EVENTS = ("squeeze_exhaustion", "sweep_and_reverse", "breakout_quality", "trap_detector")
Make = Callable[..., View]


def value(id, view):
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return CARDS[id].compute(view)


class Lane:
    """One window of one symbol as plain lists; `spans.x` oldest first, `bars.x` the window's."""

    def __init__(self, view, w, s):
        window = view.windows[w]
        self.n = window.span // window.bar
        self.spans = {f.name: getattr(view.spans, f.name)[w, :, s].tolist()
                      for f in fields(view.spans)}  # fmt: skip
        self.bars = {f.name: getattr(view.bars, f.name)[w, -self.n - 1 :, s].tolist()
                     for f in fields(view.bars)}  # fmt: skip
        self.above = view.liquidations.above[:, s].tolist()
        self.below = view.liquidations.below[:, s].tolist()
        self.step = view.liquidations.step

    def now(self, name):
        return self.spans[name][-1]

    @property
    def atr(self):
        heights = [h - low for h, low in zip(self.spans["high"], self.spans["low"], strict=True)]
        known = [x for x in heights[-14:] if x == x]
        return sum(known) / len(known)

    def each(self, formula, *names):
        return [formula(*row) for row in zip(*(self.spans[n] for n in names), strict=True)]

    @property
    def moves(self):
        return self.each(lambda a, b: a - b, "close", "open")

    @property
    def deltas(self):
        return self.each(lambda a, b: a - b, "buy", "sell")

    @property
    def growths(self):
        oi = self.spans["oi"]
        return [2 * (b - a) / (b + a) for a, b in pairwise(oi)]

    def range_before(self):
        high, low = ([x for x in self.spans[n][-21:-1] if x == x] for n in ("high", "low"))
        return max(high), min(low)


def z(values):
    before = [x * x for x in values[:-1] if x == x]
    return values[-1] / math.sqrt(sum(before) / len(before))


def standing(values):
    before = [x for x in values[:-1] if x == x]
    mean = sum(before) / len(before)
    return (values[-1] - mean) / math.sqrt(sum((x - mean) ** 2 for x in before) / len(before))


def percentile(values):
    before = [x for x in values[:-1] if x == x]
    less = sum(x < values[-1] for x in before) + 0.5 * sum(x == values[-1] for x in before)
    return less / len(before)


def burst(lane, name):
    before = [x for x in lane.spans[name][:-1] if x == x]
    volume = [x for x in lane.each(lambda a, b: a + b, "buy", "sell")[:-1] if x == x]
    mean = sum(before) / len(before)
    variance = sum((x - mean) ** 2 for x in before) / len(before)
    floor = 0.01 * sum(volume) / len(volume)
    return (lane.now(name) - mean) / math.sqrt(variance + floor**2)


def sign(x):
    return float(x > 0) - float(x < 0)


def cut(x, low=0.0, high=1.0):
    return min(max(x, low), high)


def soft(x, atr):
    return max(x, 0.0) / (max(x, 0.0) + 0.1 * atr)


def liquidity_authenticity(lane):
    share = {}
    for side in ("bid", "ask"):
        kept = lane.now(f"{side}_taken") + lane.now(f"{side}_50")
        share[side] = kept / (kept + lane.now(f"{side}_cancelled"))
    return share["bid"] - share["ask"]


def trend_exhaustion(lane):
    whole, half = lane.moves[-1], lane.n // 2
    flow = [b + s for b, s in zip(lane.bars["buy"], lane.bars["sell"], strict=True)]
    early, late = sum(flow[-lane.n : -half]), sum(flow[-half:])
    a = cut(2 * late / (early + late))
    b = cut(sign(whole) * z(lane.deltas))
    c = cut(2 * (lane.bars["close"][-1] - lane.bars["close"][-1 - half]) / whole)
    return -whole / lane.atr * (1 - (a + b + c) / 3)


def squeeze_setup(lane):
    crowd = (standing(lane.spans["funding"]) + standing(lane.spans["global_accounts"])) / 2
    side = lane.above if crowd < 0 else lane.below
    near = [lane.atr / ((k + 0.5) * lane.step + lane.atr) for k in range(len(side))]
    nearness = sum(n * x for n, x in zip(near, side, strict=True)) / sum(side)
    return -crowd * nearness * percentile(lane.spans["oi"])


def squeeze_exhaustion(lane):
    closed, stretch = -z(lane.growths), z(lane.moves)
    down = min(burst(lane, "long_liq"), closed, -stretch)
    up = min(burst(lane, "short_liq"), closed, stretch)
    return max(down - 1, 0) - max(up - 1, 0)


def sweep_and_reverse(lane):
    opened, high, low, close = (lane.now(n) for n in ("open", "high", "low", "close"))
    (top, bottom), atr = lane.range_before(), lane.atr
    back = (close - (high + low) / 2) / ((high - low) / 2) if high > low else 0.0
    longs, shorts = (cut(burst(lane, f"{s}_swept") - 2) for s in ("long", "short"))
    up = max(soft(bottom - low, atr) * soft(close - bottom, atr), longs * max(back, 0))
    down = max(soft(high - top, atr) * soft(top - close, atr), shorts * max(-back, 0))
    return ((min(opened, close) - low) * up - (high - max(opened, close)) * down) / atr


def flow_price_divergence(lane):
    price, flow = z(lane.moves), z(lane.deltas)
    carried = abs(flow) if sign(flow) == sign(price) else 0.0
    return -sign(price) * max(0.0, abs(price) - carried)


def absorption(lane):
    pairs = [(d, r) for d, r in zip(lane.deltas, lane.moves, strict=True) if d == d and r == r]
    before, (d, r) = pairs[:-1], pairs[-1]
    slope = sum(x * y for x, y in before) / sum(x * x for x, _ in before)
    sigma = math.sqrt(sum(y * y for _, y in before) / len(before))
    expected = max(slope, 0.0) * abs(d)
    held = cut((expected - sign(d) * r) / (expected + 0.1 * sigma))
    volume = lane.now("buy") + lane.now("sell")
    return -d / volume * held if volume else 0.0


def breakout_quality(lane):
    (top, bottom), close = lane.range_before(), lane.now("close")
    side = soft(close - top, lane.atr) - soft(bottom - close, lane.atr)
    surge = standing(lane.each(lambda a, b: a + b, "buy", "sell"))
    return side * max(0.0, (surge + z(lane.growths) + sign(side) * z(lane.deltas)) / 3)


def trap_detector(lane):
    (top, bottom), atr = lane.range_before(), lane.atr
    high, low, close = (lane.now(n) for n in ("high", "low", "close"))
    failed_up = soft(high - top, atr) * soft(top - close, atr)
    failed_down = soft(bottom - low, atr) * soft(close - bottom, atr)
    longs = shorts = 0.0
    for k in range(1, lane.n + 1):
        a, b = lane.bars["oi"][k - 1 : k + 1]
        added = max(2 * (b - a) / (b + a), 0)
        up, down = lane.bars["high"][k], lane.bars["low"][k]
        if up == down:
            longs, shorts = longs + added * (up > top), shorts + added * (up < bottom)
        else:
            longs += added * cut((up - top) / (up - down))
            shorts += added * cut((bottom - down) / (up - down))
    before = [x * x for x in lane.growths[:-1] if x == x]
    rms = math.sqrt(sum(before) / len(before))
    return (failed_down * shorts - failed_up * longs) / rms


def positioning_crowding(lane):
    basis = lane.each(lambda a, b: a - b, "mark", "index")
    three = (lane.spans["funding"], lane.spans["global_accounts"], basis)
    crowd = sum(standing(x) for x in three) / 3
    return -sign(crowd) * max(abs(crowd) - 1, 0) * percentile(lane.spans["oi"])


REFERENCE = (
    *(liquidity_authenticity, trend_exhaustion, squeeze_setup, squeeze_exhaustion),
    *(sweep_and_reverse, flow_price_divergence, absorption, breakout_quality, trap_detector),
    positioning_crowding,
)


def eventful(view, edit):
    """The view with bursts of liquidations and swept clusters, open interest closed."""
    spans = {name: getattr(view.spans, name).copy()
             for name in ("long_liq", "short_liq", "long_swept", "short_swept", "oi")}  # fmt: skip
    for name, x in spans.items():
        x[:, -1] *= 0.97 if name == "oi" else 1.0
        x[:, -1] += 0.0 if name == "oi" else 0.2 * (view.spans.buy + view.spans.sell)[:, -1]
    close = view.spans.close.copy()
    close[:, -1] = 2 * close[:, -1] - view.spans.open[:, -1]
    high, low = view.spans.high.copy(), view.spans.low.copy()
    high[:, -1] = np.maximum(high, close)[:, -1]
    low[:, -1] = np.minimum(low, close)[:, -1]
    return edit(view, spans=spans | {"close": close, "high": high, "low": low})


@pytest.fixture(scope="module")
def made(make_view: Make) -> Make:
    """make_view, each asked for only once."""
    return cache(make_view)


@pytest.mark.parametrize("known", [61, 24])
@pytest.mark.parametrize("reference", REFERENCE, ids=lambda f: f.__name__)
def test_every_number_is_the_formulas(reference, known, made: Make, edit) -> None:
    plain = made(seed=known, symbols=MANY, known_spans=known)
    for view in (plain, eventful(plain, edit)):
        got = value(reference.__name__, view)
        want = [[reference(Lane(view, w, s)) for s in range(MANY)] for w in range(len(WINDOWS))]
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)
    if reference.__name__ in EVENTS:
        assert 0 < np.count_nonzero(got) < got.size, "a rare event happens, and not everywhere"


def test_between_events_it_is_exactly_zero(made: Make) -> None:
    for id in EVENTS:
        assert CARDS[id].scale == "fixed"
        found = value(id, made(seed=3, symbols=MANY))
        assert np.mean(found == 0) > 0.7, id


def test_consensus_is_a_plain_mean(make_view: Make) -> None:
    first = make_view(seed=2).first
    got = value("flow_consensus", make_view(seed=2))
    for m, w, s in np.ndindex(got.shape):
        means = []
        for category in ("order_flow", "smart_money", "derivatives"):
            cards = [c for c, name in enumerate(first.categories) if name == category]
            means.append(sum(first.by_window[m, c, w, s] for c in cards) / len(cards))
        mean = sum(means) / 3
        weakest = min(sign(mean) * x for x in means)
        assert got[m, w, s] == pytest.approx(mean * cut(weakest / 0.05), abs=1e-12)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000), size=st.sampled_from([1e-6, 1.0, 1e9]))
def test_shares_and_signs_stay_within_their_bounds(make_view: Make, edit, seed, size) -> None:
    view = make_view(seed=seed)
    big = {n: getattr(view.spans, n) * size for n in ("bid_cancelled", "bid_taken", "buy", "oi")}
    view = edit(view, spans=big)
    for id, bound in (("liquidity_authenticity", 1), ("absorption", 1), ("flow_consensus", 1)):
        assert (np.abs(value(id, view)) <= bound).all()
    for id in CARDS:
        assert np.isfinite(value(id, view)).all()
