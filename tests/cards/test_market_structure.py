"""Market structure: against plain slow implementations, then hand-made paths."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.card import registry
from engine.cards.swing_points import last_break, swings
from engine.market.mirror import mirror
from engine.market.view import BARS, WINDOWS, Array, View

Make = Callable[..., View]
CARDS = {c.id: c for c in registry() if c.category == "market_structure"}
LEVELS = ("day_high", "week_high", "day_low", "week_low")


def value(name: str, view: View) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return CARDS[name].compute(view)


def lane(view: View, w: int, s: int, *names: str) -> list[list[float]]:
    return [list(map(float, getattr(view.bars, n)[w, :, s])) for n in names]


def bar_atr(view: View, w: int, s: int) -> float:
    high, low, close = (np.array(x) for x in lane(view, w, s, "high", "low", "close"))
    return float(talib.ATR(high, low, close, 14)[-1])


def window_atr(view: View, w: int, s: int) -> float:
    return float(np.mean((view.spans.high - view.spans.low)[w, -14:, s]))


def slow_peaks(x: list[float]) -> list[int]:
    return [
        i
        for i in range(2, len(x) - 2)
        if x[i] > max(x[i - 2 : i]) and x[i] >= max(x[i + 1 : i + 3])
    ]


def slow_breaks(high: list[float], low: list[float], close: list[float]) -> list[tuple]:
    """(bar, side, level) of each first close beyond the swing that counts at that bar."""
    peaks, troughs = slow_peaks(high), slow_peaks([-x for x in low])
    out, used = [], set()
    for bar in range(len(close)):
        events = []
        for side, points, price in ((1, peaks, high), (-1, troughs, low)):
            confirmed = [i for i in points if i + 2 <= bar]
            if not confirmed or (side, confirmed[-1]) in used:
                continue
            level = price[confirmed[-1]]
            if side * (close[bar] - level) > 0:
                used.add((side, confirmed[-1]))
                events.append((bar, side, level))
        if len(events) == 1:
            out += events
    return out


def slow_trend(view: View, w: int, s: int) -> float:
    high, low = lane(view, w, s, "high", "low")
    total, soft = 0.0, 0.1 * bar_atr(view, w, s)
    for points, x in ((slow_peaks(high), high), (slow_peaks([-p for p in low]), low)):
        for before, now in pairwise(points):
            rise = x[now] - x[before]
            total += rise / (abs(rise) + soft) * 0.5 ** ((BARS - 1 - now) / 20)
    return total


def slow_broken(view: View, w: int, s: int, wanted: int) -> float:
    high, low, close = lane(view, w, s, "high", "low", "close")
    found = slow_breaks(high, low, close)
    if len(found) < 2 or found[-1][1] * found[-2][1] != wanted:
        return 0.0
    bar, side, level = found[-1]
    window = view.windows[w]
    fade = max(1 - (BARS - 1 - bar) / (window.span // window.bar), 0)
    return side * max(side * (close[-1] - level), 0) * fade / bar_atr(view, w, s)


def slow_range(view: View, w: int, s: int) -> float:
    high, low, close = lane(view, w, s, "high", "low", "close")
    top, bottom = max(high[-30:]), min(low[-30:])
    path = sum(abs(b - a) for a, b in zip(close[-31:], close[-30:], strict=False))
    t = abs(close[-1] - close[-31]) * 30**0.5 / path
    return ((close[-1] - bottom) / (top - bottom) - 0.5) * min(max(t - 1, -1), 1)


def slow_gap(view: View, w: int, s: int) -> float:
    """Every three bars, every later bar: what is left of each gap."""
    high, low, close = lane(view, w, s, "high", "low", "close")
    best = {1: 0.0, -1: 0.0}
    for side in best:
        tops, bottoms = (high, low) if side > 0 else ([-x for x in low], [-x for x in high])
        for i in range(2, BARS):
            size = min(min(bottoms[i:]) - tops[i - 2], bar_atr(view, w, s))
            away = side * close[-1] - min(bottoms[i:])
            best[side] = max(best[side], size / (away + 0.1 * bar_atr(view, w, s)))
    return best[1] - best[-1]


def slow_block(view: View, w: int, s: int) -> float:
    opened, high, low, close = lane(view, w, s, "open", "high", "low", "close")
    buy, sell = lane(view, w, s, "buy", "sell")
    atr, best = bar_atr(view, w, s), {1: 0.0, -1: 0.0}
    for side in best:
        o, c = [side * x for x in opened], [side * x for x in close]
        top, bottom = (high, low) if side > 0 else ([-x for x in low], [-x for x in high])
        for i in range(BARS - 3):
            impulse = (max(c[i + 1 : i + 4]) - top[i]) / atr - 1
            last = c[i] < o[i] and not c[i + 1] < o[i + 1]
            if not last or impulse <= 0 or min(bottom[i + 1 :]) < bottom[i]:
                continue
            d = side * (sum(buy[i + 1 : i + 4]) - sum(sell[i + 1 : i + 4]))
            flow = max(d / (sum(buy[i + 1 : i + 4]) + sum(sell[i + 1 : i + 4])), 0)
            away = max(c[-1] - top[i], 0) / atr
            hold = (c[-1] - bottom[i]) / (top[i] - bottom[i] + 0.1 * atr)
            strength = min(impulse, 3) * flow / (1 + away**2) * min(hold, 1)
            best[side] = max(best[side], strength)
    return best[1] - best[-1]


def slow_extremes(view: View, w: int, s: int) -> float:
    spans, atr, total = view.spans, window_atr(view, w, s), 0.0

    def surely(x: float) -> float:
        return max(x, 0) / (max(x, 0) + 0.1 * atr)

    for name in LEVELS:
        side, reached = (1, spans.high) if name.endswith("high") else (-1, spans.low)
        level = getattr(view.calendar, name)[s]
        close, vwap, far = (
            side * (x[w, -1, s] - level) for x in (spans.close, spans.vwap, reached)
        )
        met = surely(close) * surely(vwap) - surely(far) * surely(-close)
        total += side * met * atr / (atr + abs(close))
    return total


REFERENCES = {
    "swing_trend": slow_trend,
    "structure_break": lambda view, w, s: slow_broken(view, w, s, 1),
    "character_change": lambda view, w, s: slow_broken(view, w, s, -1),
    "range_position": slow_range,
    "fair_value_gap": slow_gap,
    "order_block": slow_block,
    "prior_extremes": slow_extremes,
}


@pytest.mark.parametrize("name", CARDS)
def test_plain_reference(name: str, make_view: Make) -> None:
    seen = 0
    for seed in range(4):
        view = make_view(seed)
        want = [[REFERENCES[name](view, w, s) for s in range(3)] for w in range(6)]
        np.testing.assert_allclose(value(name, view), want, rtol=1e-9, atol=1e-12)
        seen += np.count_nonzero(want)
    assert seen > 10


@settings(deadline=None, max_examples=40)
@given(steps=st.lists(st.integers(-2, 2), min_size=BARS, max_size=BARS))
def test_swings_and_breaks_by_hand(steps: list[int], make_view: Make) -> None:
    """Coarse walks, full of equal highs."""
    close = np.cumsum(steps).astype(float)
    opened = close - steps
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    bars = {"open": opened, "high": high, "low": low, "close": close}
    view = make_view(symbols=1, windows=WINDOWS[:1], bars={n: x[:, None] for n, x in bars.items()})
    points = swings(view)
    above, below = points.bar[points.lane == 0], points.bar[points.lane == 1]
    assert above.tolist() == slow_peaks(high.tolist())
    assert below.tolist() == slow_peaks((-low).tolist())
    np.testing.assert_array_equal(points.price, np.append(high[above], -low[below]))
    found, want = last_break(view), slow_breaks(high.tolist(), low.tolist(), close.tolist())
    assert found.side[0, 0] == (want[-1][1] if want else 0)
    assert found.before[0, 0] == (want[-2][1] if len(want) > 1 else 0)
    if want:
        assert found.age[0, 0] == BARS - 1 - want[-1][0]
        assert found.level[0, 0] == want[-1][2]


def path(make_view: Make, points: list[float], each: int = 6, wick: float = 0.05) -> View:
    """One window's bars (30 s of 5 min) that go straight from point to point and end there."""
    at = np.arange(len(points)) * each
    line = np.interp(np.arange(at[-1] + 1), at, points)
    close = np.concatenate([np.full(BARS - len(line), line[0]), line])
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) + wick, np.minimum(opened, close) - wick
    bars = {"open": opened, "high": high, "low": low, "close": close}
    return make_view(symbols=1, windows=WINDOWS[2:3], bars={n: x[:, None] for n, x in bars.items()})


def test_higher_swings_trend_up(make_view: Make) -> None:
    rising = path(make_view, [0, 4, 2, 6, 4, 8, 6, 10, 8])
    assert value("swing_trend", rising) > 2
    assert value("swing_trend", mirror(rising)) < -2
    flat = path(make_view, [0, 4, 0, 4, 0, 4, 0, 4, 2])
    assert abs(value("swing_trend", flat)) < 0.2


def test_a_break_with_the_structure_and_one_against_it(make_view: Make) -> None:
    # up through 4 and 6, back, and through 8 with the last bar
    onwards = path(make_view, [0, 4, 2, 6, 4, 8, 6, 9])
    assert value("structure_break", onwards) > 0.5
    assert value("character_change", onwards) == 0
    # the same rise, then down through its last low at 6
    turned = path(make_view, [0, 4, 2, 6, 4, 8, 6, 10, 5])
    assert value("character_change", turned) < -0.5
    assert value("structure_break", turned) == 0
    # the next break down goes with the new structure
    lower = path(make_view, [0, 4, 2, 6, 4, 8, 6, 10, 5, 7, 4])
    assert value("structure_break", lower) < -0.5
    assert value("character_change", lower) == 0


def test_a_break_ends_with_its_window_and_where_price_comes_back(make_view: Make) -> None:
    assert value("structure_break", path(make_view, [0, 4, 2, 6, 4, 8, 6, 9, 7])) == 0
    held = [value("structure_break", path(make_view, [0, 4, 2, 6, 4, 8, 6, 9, *[9.0] * n], each=6))
            for n in range(3)]  # fmt: skip
    assert held[0] > held[1] > held[2] == 0


def test_range_position_turns_with_the_market(make_view: Make) -> None:
    ranging = path(make_view, [0, 1, 0, 1, 0, 1, 0, 1, 0, 0.9], each=4, wick=0)
    assert value("range_position", ranging) < -0.1
    trending = path(make_view, [0, 0, 5, 10], each=12)
    assert value("range_position", trending) > 0.3
    still = path(make_view, [3, 3, 3], wick=0)
    for name in CARDS.keys() - {"prior_extremes"}:
        assert value(name, still) == 0, name


def test_a_gap_holds_until_it_is_filled(make_view: Make, edit: Make) -> None:
    close = np.zeros(BARS)
    close[60:] = 1.8

    def scene(dip: float) -> View:
        opened = close.copy()
        opened[60] = 0.0
        bars = {"open": opened, "close": close}
        bars |= {"high": np.maximum(opened, close) + 0.5, "low": np.minimum(opened, close) - 0.5}
        bars["low"][90] = dip
        shaped = {name: x[:, None] for name, x in bars.items()}
        return make_view(symbols=1, windows=WINDOWS[2:3], bars=shaped)

    # bars 59 and 61 leave 0.5 .. 1.3 empty; ATR is 1 again
    whole, half = scene(1.3), scene(0.9)
    np.testing.assert_allclose(
        value("fair_value_gap", whole), 0.8 / (0.5 + 0.1 * bar_atr(whole, 0, 0))
    )
    np.testing.assert_allclose(
        value("fair_value_gap", half), 0.4 / (0.9 + 0.1 * bar_atr(half, 0, 0))
    )
    assert value("fair_value_gap", scene(0.4)) == 0
    low = whole.bars.low.copy()
    low[0, 60] = np.nan
    assert value("fair_value_gap", edit(whole, bars={"low": low})) == 0


def test_price_back_at_a_block_of_buyers(make_view: Make, edit: Make) -> None:
    def scene(end: float, buy: float) -> View:
        view = path(make_view, [1, 1, 0, 5, 8, end], each=4, wick=0.1)
        return edit(view, bars={"buy": buy, "sell": 1.0})

    far, near = value("order_block", scene(7.0, 3.0)), value("order_block", scene(0.3, 3.0))
    assert near > 5 * far > 0
    assert value("order_block", scene(0.3, 0.5)) <= 0
    assert value("order_block", scene(-0.3, 3.0)) <= 0
    np.testing.assert_allclose(value("order_block", mirror(scene(0.3, 3.0))), -near)


def test_acceptance_and_rejection_at_the_prior_high(make_view: Make) -> None:
    def scene(close: float, high: float, vwap: float) -> float:
        spans = dict.fromkeys(("open", "close", "high", "low", "vwap"), np.zeros((61, 1)))
        spans = {name: x.copy() for name, x in spans.items()}
        spans["high"][:-1], spans["low"][:] = 1.0, -1.0
        for name, x in (("close", close), ("high", high), ("vwap", vwap)):
            spans[name][-1] = x
        calendar = {"day_high": 2.0, "week_high": 50.0, "day_low": -50.0, "week_low": -90.0}
        view = make_view(symbols=1, windows=WINDOWS[3:4], spans=spans, calendar=calendar)
        return float(value("prior_extremes", view)[0, 0])

    assert scene(3.0, 3.2, 2.8) > 0.4
    assert scene(1.5, 3.2, 1.4) < -0.4
    assert abs(scene(0.0, 0.5, 0.1)) < 1e-12
    assert scene(3.0, 3.2, 1.0) == 0


def test_levels_that_are_not_known_yet_are_left_out(make_view: Make, edit: Make) -> None:
    view = make_view(2)
    week = dict.fromkeys(("week_high", "week_low"), np.nan)
    assert np.isfinite(value("prior_extremes", edit(view, calendar=week))).all()
    none = edit(view, calendar=dict.fromkeys(LEVELS, np.nan))
    assert np.isnan(value("prior_extremes", none)).all()


@pytest.mark.parametrize("known", [14, 15, 31, 60])
def test_short_history_is_that_of_the_known_bars(known: int, make_view: Make) -> None:
    """Nothing of the unknown bars in front becomes a swing, a gap or a block."""
    view = make_view(7, known_bars=known)
    for name in ("swing_trend", "structure_break", "fair_value_gap", "order_block"):
        assert np.isnan(value(name, view)).all() == (known < 15), name
    assert np.isnan(value("range_position", view)).all() == (known < 31)
    first = swings(view).bar.min() if known > 14 else BARS
    assert first >= BARS - known + 2
