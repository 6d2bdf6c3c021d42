"""Liquidation: against plain slow readings of the formulas, then cases worked by hand."""

import math
from collections.abc import Callable
from dataclasses import fields
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.card import registry
from engine.market.mirror import mirror
from engine.market.view import WINDOWS, View

CARDS = {card.id: card for card in registry() if card.category == "liquidation"}
HOUR = (WINDOWS[3],)
# symbols enough that the rare events happen in some of the lanes
MANY = 24
EVENTS = ("liquidation_sweep", "liquidation_flush")
MAP = (
    *("magnet_gravity", "cascade_risk", "liquidation_imbalance", "liquidation_density"),
    *("cluster_distance", "cascade_asymmetry"),
)
Make = Callable[..., View]


def value(id, view):
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return CARDS[id].compute(view)


def one(id, view):
    return float(value(id, view)[0, 0])


# -- the formulas once more, number by number


class Lane:
    """One window of one symbol as plain lists, oldest first; `bars` are the window's."""

    def __init__(self, view, w, s):
        window = view.windows[w]
        self.n = window.span // window.bar
        self.spans = {f.name: getattr(view.spans, f.name)[w, :, s].tolist()
                      for f in fields(view.spans)}  # fmt: skip
        self.bars = {f.name: getattr(view.bars, f.name)[w, -self.n :, s].tolist()
                     for f in fields(view.bars)}  # fmt: skip
        self.above = view.liquidations.above[:, s].tolist()
        self.below = view.liquidations.below[:, s].tolist()
        self.step = view.liquidations.step

    def now(self, name):
        return self.spans[name][-1]

    @property
    def volume(self):
        return self.now("buy") + self.now("sell")

    @property
    def atr(self):
        heights = [h - low for h, low in zip(self.spans["high"], self.spans["low"], strict=True)]
        known = [x for x in heights[-14:] if x == x]
        return sum(known) / len(known)

    def burst(self, name):
        before = [x for x in self.spans[name][:-1] if x == x]
        pairs = zip(self.spans["buy"][:-1], self.spans["sell"][:-1], strict=True)
        volume = [b + s for b, s in pairs if b + s == b + s]
        mean = sum(before) / len(before)
        variance = sum((x - mean) ** 2 for x in before) / len(before)
        return (self.now(name) - mean) / math.hypot(
            math.sqrt(variance), 0.01 * sum(volume) / len(volume)
        )


def liquidation(lane):
    return (lane.now("short_liq") - lane.now("long_liq")) / lane.volume


def magnet_gravity(lane):
    def pull(side):
        return sum(x / ((k + 0.5) + 0.1 * lane.atr / lane.step) ** 2 for k, x in enumerate(side))

    return (pull(lane.above) - pull(lane.below)) / (sum(lane.above) + sum(lane.below))


def resting(lane, side, reach):
    """Notional resting on this side within the reach, one stretch of the book after the other."""
    total, inner, before = 0.0, 0.0, 0.0
    for bps in (10, 50, 100):
        edge, depth = lane.now(f"band_{bps}") * 1e-4, lane.now(f"{side}_{bps}")
        if reach < edge:
            return total + (depth - before) * (reach - inner) / (edge - inner)
        total, inner, before = depth, edge, depth
    return total * reach / inner


def cascade_risk(lane):
    def forced(side):
        return sum(
            x * min(max(lane.atr / lane.step - k, 0.0), 1.0) for k, x in enumerate(side)
        )  # fmt: skip

    asks, bids = resting(lane, "ask", lane.atr), resting(lane, "bid", lane.atr)
    return math.log(1 + forced(lane.above) / asks) - math.log(1 + forced(lane.below) / bids)


def liquidation_imbalance(lane):
    above, below = sum(lane.above[:50]), sum(lane.below[:50])
    return (above - below) / (above + below)


def liquidation_pressure(lane):
    flow = [s - x for s, x in zip(lane.bars["short_liq"], lane.bars["long_liq"], strict=True)]
    half = lane.n // 2
    return (sum(flow[half:]) - sum(flow[:half])) / lane.volume


def liquidation_density(lane):
    whole = (sum(lane.above) + sum(lane.below)) / 200
    return (sum(lane.above[:10]) / 10 - sum(lane.below[:10]) / 10) / whole


def liquidation_sweep(lane):
    bars, close, out = lane.bars, lane.bars["close"][-1], 0.0
    for side, sign in (("long", 1), ("short", -1)):
        swept = bars[f"{side}_swept"]
        middles = [(a + b) / 2 for a, b in zip(bars["high"], bars["low"], strict=True)]
        if sum(swept) > 0:
            level = sum(x * m for x, m in zip(swept, middles, strict=True)) / sum(swept)
            part = min(max(lane.burst(f"{side}_swept") - 2, 0), 1)
            out += sign * part * max(sign * (close - level), 0) / lane.atr
    return out


def liquidation_flush(lane):
    out, quarter = 0.0, max(lane.n // 4, 1)
    for side, sign in (("long", 1), ("short", -1)):
        x = lane.bars[f"{side}_liq"]
        late, early = sum(x[-quarter:]) / quarter, sum(x[:-quarter]) / (lane.n - quarter)
        ended = 1 - min(late / early, 1) if early else float(late == 0)
        out += sign * max(lane.burst(f"{side}_liq") - 3, 0) * ended
    return out


def cluster_distance(lane):
    mean = (sum(lane.above) + sum(lane.below)) / 200

    def walk(side):
        none, steps = 1.0, 0.0
        for x in side:
            y = (x / (2 * mean)) ** 4
            none *= 1 - y / (1 + y)
            steps += none
        return steps * lane.step

    return (walk(lane.below) - walk(lane.above)) / lane.atr


def cascade_asymmetry(lane):
    def cascade(side, depth):
        forced, total = 0.0, 0.0
        for k, x in enumerate(side[:50]):
            forced += x
            away = (k + 0.5) * lane.step
            rests = depth * away / (lane.now("band_100") * 1e-4)
            total += math.exp(-away / (3 * lane.atr)) * x * forced / (forced + rests)
        return total

    up, down = cascade(lane.above, lane.now("ask_100")), cascade(lane.below, lane.now("bid_100"))
    e = 0.01 * (up + down) / 2
    return math.log((up + e) / (down + e))


REFERENCE = (
    *(liquidation, magnet_gravity, cascade_risk, liquidation_imbalance, liquidation_pressure),
    *(liquidation_density, liquidation_sweep, liquidation_flush, cluster_distance),
    cascade_asymmetry,
)


def eventful(view, edit):
    """The view with the last window's liquidations and swept clusters thirty times as large."""
    names = ("long_liq", "short_liq", "long_swept", "short_swept")
    spans = {name: getattr(view.spans, name).copy() for name in names}
    for x in spans.values():
        x[:, -1] *= 30
    return edit(view, spans=spans)


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


def test_narrow_bands_of_a_thin_book(make_view: Make, edit) -> None:
    bands = {"band_10": 8.0, "band_50": 8.0, "band_100": 8.0}
    depth = {f"{side}_{bps}": 5e5 for side in ("bid", "ask") for bps in (10, 50, 100)}
    view = edit(make_view(seed=5), spans=bands | depth)
    forced = [Lane(view, w, s) for w in range(6) for s in range(3)]
    got = value("cascade_risk", view).ravel()
    np.testing.assert_allclose(got, [cascade_risk(lane) for lane in forced], rtol=1e-6)


# -- cases


@pytest.fixture(scope="module")
def hour(make_view: Make) -> View:
    return make_view(symbols=1, windows=HOUR)


@pytest.fixture(scope="module")
def still(hour, edit) -> View:
    """Sixty hours from 9.99 to 10.01 with 50 bought and 50 sold, and nobody liquidated."""
    none = dict.fromkeys(("long_liq", "short_liq", "long_swept", "short_swept"), 0.0)
    flat = {"open": 10.0, "close": 10.0, "high": 10.01, "low": 9.99, "buy": 50.0, "sell": 50.0}
    return edit(hour, spans=flat | none, bars=flat | none)


def cells(*last, before=0.0, length=61):
    """(length, 1): `before`, then these."""
    return np.array([before] * (length - len(last)) + list(last))[:, None]


def bucket(*at):
    """One side of the map: 7 in each of these buckets."""
    out = np.zeros((100, 1))
    out[list(at)] = 7.0
    return out


def test_forced_buying_is_bullish_while_it_runs(still, edit) -> None:
    view = edit(still, spans={"short_liq": cells(30.0), "long_liq": cells(10.0)})
    assert one("liquidation", view) == pytest.approx(0.2)
    quiet = edit(view, spans={"buy": 0.0, "sell": 0.0})
    assert one("liquidation", quiet) == 0.0


def test_pressure_is_what_gathers_pace(still, edit) -> None:
    late = cells(*[5.0] * 6, length=120)
    assert one("liquidation_pressure", edit(still, bars={"short_liq": late})) == pytest.approx(0.3)
    assert one("liquidation_pressure", edit(still, bars={"long_liq": late})) == pytest.approx(-0.3)
    assert one("liquidation_pressure", edit(still, bars={"short_liq": 5.0})) == pytest.approx(0.0)


@pytest.mark.parametrize("id", MAP)
def test_the_nearer_and_larger_cluster_draws(id, still, edit) -> None:
    small = {"above": bucket(3), "below": 0.5 * bucket(3)}
    near = {"above": bucket(3), "below": bucket(25)}
    even = {"above": bucket(3), "below": bucket(3)}
    books = {f"{side}_{bps}": bps * 1.0 for side in ("bid", "ask") for bps in (10, 50, 100)}
    view = edit(still, spans=books)
    for map in (small, near):
        found = one(id, edit(view, liquidations=map))
        if map is near and id == "liquidation_imbalance":
            assert found == 0.0, "both are within its 5 %"
        else:
            assert found > 0
            assert one(id, mirror(edit(view, liquidations=map))) == pytest.approx(-found)
    assert one(id, edit(view, liquidations=even)) == pytest.approx(0.0, abs=1e-12)
    assert one(id, edit(view, liquidations={"above": 0.0, "below": 0.0})) == 0.0


def test_the_maps_figures_by_hand(still, edit) -> None:
    # ATR 0.02 is 20 buckets: two of them soften every distance
    view = edit(still, liquidations={"above": bucket(0, 60), "below": bucket(9)})
    gravity = (1 / 2.5**2 + 1 / 62.5**2 - 1 / 11.5**2) / 3
    assert one("magnet_gravity", view) == pytest.approx(gravity)
    assert one("liquidation_imbalance", view) == 0.0
    alone = edit(view, liquidations={"below": bucket(10)})
    assert one("liquidation_density", view) == 0.0
    assert one("liquidation_density", alone) == pytest.approx(0.7 / (21 / 200))
    # found for certain but for one part in a hundred thousand: 9 buckets farther below
    assert one("cluster_distance", view) == pytest.approx(9 * 0.001 / 0.02, rel=1e-4)


def test_cascades_by_hand(still, edit) -> None:
    depth = {f"{side}_{bps}": bps * 1.0 for side in ("bid", "ask") for bps in (10, 50, 100)}
    bands = {f"band_{bps}": float(bps) for bps in (10, 50, 100)}
    view = edit(still, spans=depth | bands, liquidations={"above": bucket(2, 30), "below": 0.0})
    # one ATR, 200 bps, reaches the first of the two; 1 a bps rests on the way
    assert one("cascade_risk", view) == pytest.approx(math.log(1 + 7 / 200))
    half = edit(view, spans={"high": 10.005, "low": 9.9925})
    # 125 bps: all of bucket 12 is behind, half of bucket 12.5 is not
    reached = edit(half, liquidations={"above": bucket(12)})
    assert one("cascade_risk", reached) == pytest.approx(math.log(1 + 3.5 / 125))
    both = edit(view, liquidations={"below": bucket(2)})
    near, far = math.exp(-2.5 / 60), math.exp(-30.5 / 60)  # three ATR are 60 buckets
    down = near * 7 * 7 / (7 + 25)
    up = down + far * 7 * 14 / (14 + 305)
    e = 0.01 * (up + down) / 2
    want = math.log((up + e) / (down + e))
    assert one("cascade_asymmetry", both) == pytest.approx(want)
    thin = edit(both, spans={"ask_100": 10.0})
    assert one("cascade_asymmetry", thin) > want, "less depth in the way, more of a cascade"


def test_longs_swept_and_price_back_above_them(still, edit) -> None:
    # three bars ago price went from 10 to 9.96 through clusters worth nine deviations
    swept = cells(9.0, 0.0, 0.0, length=120)
    low = cells(9.96, 9.99, 9.99, before=9.99, length=120)
    high = cells(10.0, 10.01, 10.01, before=10.01, length=120)
    view = edit(
        still, spans={"long_swept": cells(9.0), "low": cells(9.96, before=9.99)},
        bars={"long_swept": swept, "low": low, "high": high},
    )  # fmt: skip
    atr = (13 * 0.02 + 0.05) / 14
    assert one("liquidation_sweep", view) == pytest.approx(0.02 / atr)
    below = edit(view, bars={"close": 9.97})
    assert one("liquidation_sweep", below) == 0.0
    assert one("liquidation_sweep", mirror(view)) == pytest.approx(-0.02 / atr)
    usual = edit(view, spans={"long_swept": 9.0})
    assert one("liquidation_sweep", usual) == 0.0, "swept every hour is no event"


def test_a_flush_that_is_over_is_bullish(still, edit) -> None:
    burst = {"long_liq": cells(12.0)}
    over = edit(still, spans=burst, bars={"long_liq": cells(*[4.0] * 3, *[0.0] * 9, length=120)})
    # 12 of a usual 100 traded is twelve deviations of at least 1
    assert one("liquidation_flush", over) == pytest.approx(9.0)
    assert one("liquidation_flush", mirror(over)) == pytest.approx(-9.0)
    running = edit(over, bars={"long_liq": 1.0})
    starting = edit(over, bars={"long_liq": cells(12.0, length=120)})
    small = edit(over, spans={"long_liq": cells(2.0)})
    for view in (running, starting, small):
        assert one("liquidation_flush", view) == 0.0


def test_events_are_rare_and_zero_between(made: Make) -> None:
    for id in EVENTS:
        assert CARDS[id].scale == "fixed"
        assert np.mean(value(id, made(seed=3, symbols=MANY)) == 0) > 0.7


@pytest.mark.parametrize("id", MAP)
def test_no_map_is_unknown_and_not_empty(id, make_view: Make, edit) -> None:
    assert np.isnan(value(id, edit(make_view(), liquidations={"above": np.nan}))).all()


def test_level_cards_repeat_one_value() -> None:
    level = {id for id, card in CARDS.items() if card.level}
    assert level == {"liquidation_imbalance", "liquidation_density"}


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 10_000), size=st.sampled_from([0.0, 1e-6, 1e6]))
def test_finite_and_within_bounds(make_view: Make, edit, seed, size) -> None:
    view = make_view(seed=seed)
    map = {side: getattr(view.liquidations, side) * size for side in ("above", "below")}
    view = edit(view, liquidations=map)
    for id in CARDS:
        assert np.isfinite(value(id, view)).all()
    assert (np.abs(value("liquidation_imbalance", view)) <= 1).all()
    assert (np.abs(value("magnet_gravity", view)) <= 4).all()
