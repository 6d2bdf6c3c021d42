"""Volume profile: against brute force over levels and unit trades, then hand-made profiles."""

from collections.abc import Callable
from math import log, tanh

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.card import registry
from engine.cards.profile import drift, point_of_control, profile, quantiles, share_below
from engine.market.mirror import mirror
from engine.market.view import WINDOWS, Array, View

Make = Callable[..., View]
Levels = list[float]
CARDS = {c.id: c for c in registry() if c.category == "volume_profile"}
VOLUMES = st.lists(st.integers(0, 9), min_size=8, max_size=8)


def value(name: str, view: View) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return CARDS[name].compute(view)


def levels(
    view: View, w: int, s: int
) -> tuple[list[float], list[float], list[float], float, float]:
    """Volume by level: all, the older and the newer half's; place of the price, ATR in levels."""
    print_, spans = view.footprint, view.spans
    volume = [float(x) for x in (print_.buy + print_.sell)[w, :, s]]
    late = [float(x) for x in print_.late[w, :, s]]
    step = print_.step[w, s]
    atr = np.mean((spans.high - spans.low)[w, -14:, s]) / step
    early = [v - x for v, x in zip(volume, late, strict=True)]
    return volume, early, late, (spans.close[w, -1, s] - print_.floor[w, s]) / step, atr


def slow_poc(volume: list[float]) -> float:
    top = max(volume)
    full = [i for i, v in enumerate(volume) if v == top]
    centres = []
    for i in (full[0], full[-1]):
        near = {j: volume[j] for j in (i - 1, i, i + 1) if 0 <= j < len(volume)}
        centres.append(sum((j + 0.5) * v for j, v in near.items()) / sum(near.values()))
    return sum(centres) / 2


def slow_quantile(volume: list[float], share: float) -> float:
    left = share * sum(volume)
    for i, v in enumerate(volume):
        if v and left <= v:
            return i + left / v
        left -= v
    raise AssertionError


def slow_share_below(volume: list[float], place: float) -> float:
    below = sum(v * min(max(place - i, 0), 1) for i, v in enumerate(volume))
    return below / sum(volume)


def slow_drift(early: list[float], late: list[float]) -> tuple[float, float]:
    """Shift of the mean, and eta squared from its definition: variance between over all."""
    means = [sum((i + 0.5) * v for i, v in enumerate(x)) / sum(x) for x in (early, late)]
    both = sum(early) + sum(late)
    mean = (means[0] * sum(early) + means[1] * sum(late)) / both
    between = sum(early) * (means[0] - mean) ** 2 + sum(late) * (means[1] - mean) ** 2
    volume = [a + b for a, b in zip(early, late, strict=True)]
    spread = sum((i + 0.5 - mean) ** 2 * v for i, v in enumerate(volume))
    return means[1] - means[0], between / spread


def slow_distance(view: View, w: int, s: int) -> float:
    volume, early, late, price, atr = levels(view, w, s)
    shift, share = slow_drift(early, late)
    away = price - slow_poc(volume)
    return away / atr * (2 * (share if shift * away > 0 else 0) - 1)


def slow_state(view: View, w: int, s: int) -> float:
    _, early, late, price, atr = levels(view, w, s)
    low, high = slow_quantile(early, 0.15), slow_quantile(early, 0.85)
    above, below = 1 - slow_share_below(late, high), slow_share_below(late, low)
    place = min(max((price - low) / (high - low), 0), 1)

    def surely(x: float) -> float:
        return max(x, 0) / (max(x, 0) + 0.1 * atr)

    accepted = surely(price - high) * above - surely(low - price) * below
    fallen = min(above / 0.1, 1) * surely(high - price) * place
    return accepted - fallen + min(below / 0.1, 1) * surely(price - low) * (1 - place)


def slow_nodes(view: View, w: int, s: int) -> float:
    volume, _, _, price, atr = levels(view, w, s)
    mean = sum(volume) / sum(v > 0 for v in volume)
    total = 0.0
    for i, v in enumerate(volume):
        away = price - (i + 0.5)
        total += max(v - mean, 0) / sum(volume) * atr * away / (away**2 + (0.1 * atr) ** 2 + 0.25)
    return total


def slow_slip(view: View, w: int, s: int) -> float:
    volume, _, _, price, atr = levels(view, w, s)
    trend = tanh((view.spans.close - view.spans.open)[w, -1, s] / view.footprint.step[w, s] / atr)
    traded = [i for i, v in enumerate(volume) if v > 0]
    mean = sum(volume) / len(traded)
    top = bottom = 0.0
    for i, v in enumerate(volume):
        ahead = (i + 0.5 - price) * (1 if trend > 0 else -1)
        weight = max(1 - ahead / max(atr, 2), 0) if ahead > 0 else 0
        bottom += weight
        if traded[0] < i < traded[-1]:
            top += weight * max(1 - v / mean, 0)
    return trend * top / bottom if bottom else 0.0


def slow_migration(view: View, w: int, s: int) -> float:
    _, early, late, _, atr = levels(view, w, s)
    return (slow_poc(late) - slow_poc(early)) / atr


def slow_anomaly(view: View, w: int, s: int) -> float:
    span = view.windows[w].span
    buy, sell = view.spans.buy[w, :, s], view.spans.sell[w, :, s]
    norm = span * view.calendar.hour_volume[s]
    if span > 3600:
        days = range(-1 - 86400 // span, -62, -86400 // span)
        norm = np.mean([buy[n] + sell[n] for n in days])
    surplus = max(log((buy[-1] + sell[-1]) / norm), 0)
    return surplus * (buy[-1] - sell[-1]) / (buy[-1] + sell[-1])


REFERENCES = {
    "poc_distance": slow_distance,
    "value_area_state": slow_state,
    "hvn_support": slow_nodes,
    "lvn_slip": slow_slip,
    "poc_migration": slow_migration,
    "volume_anomaly": slow_anomaly,
}


@pytest.mark.parametrize("name", CARDS)
def test_plain_reference(name: str, make_view: Make) -> None:
    for seed in range(4):
        view = make_view(seed)
        want = [[REFERENCES[name](view, w, s) for s in range(3)] for w in range(6)]
        np.testing.assert_allclose(value(name, view), want, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=100)
@given(early=VOLUMES, late=VOLUMES, place=st.floats(-2, 10))
def test_profile_measures_by_brute_force(early: list[int], late: list[int], place: float) -> None:
    one = np.array(early, dtype=float)[None, None]
    if not sum(early):
        assert share_below(one, np.full((1, 1), place)) == 0
        assert point_of_control(one) == 4
        return
    np.testing.assert_allclose(point_of_control(one), slow_poc(early))
    np.testing.assert_allclose(
        share_below(one, np.full((1, 1), place)), slow_share_below(early, place), atol=1e-12
    )
    # ten prints of a tenth of the volume of a unit each, spread over its level
    prints = np.repeat(np.arange(8), np.array(early) * 10) + np.concatenate(
        [(np.arange(10 * v) + 0.5) / (10 * v) for v in early]
    )
    shares = (0.15, 0.5, 0.85)
    for share, found in zip(shares, quantiles(one, shares), strict=True):
        upto = np.searchsorted(prints, found[0, 0], side="right") / len(prints)
        assert abs(upto - share) <= 1 / len(prints) + 1e-9


@settings(deadline=None, max_examples=60)
@given(early=VOLUMES, late=VOLUMES)
def test_drift_is_the_correlation_ratio(early: list[int], late: list[int], make_view: Make) -> None:
    both = np.array(early) + np.array(late)
    half = np.array(late, dtype=float)[:, None]
    view = make_view(windows=WINDOWS[:1], symbols=1)
    levels = view.footprint.buy.shape[1]
    pad = ((0, levels - 8), (0, 0))
    shaped = {"buy": np.pad(both[:, None] * 1.0, pad), "sell": 0.0, "late": np.pad(half, pad)}
    view = make_view(windows=WINDOWS[:1], symbols=1, footprint=shaped)
    with np.errstate(invalid="ignore", divide="ignore"):
        shift, share = drift(profile(view))
    if not sum(early) or not sum(late):
        assert shift == share == 0
        return
    if np.count_nonzero(both) > 1:
        want = slow_drift(early, late)
        np.testing.assert_allclose([shift[0, 0], share[0, 0]], want, atol=1e-9)


def scene(make_view: Make, early: list[float], late: list[float], price: float,
          opened: float | None = None) -> View:  # fmt: skip
    """One window of 5 min, levels of 1, ATR 4, the price somewhere among the levels."""
    levels = 32
    pad = (levels - len(early)) // 2
    shape = np.pad(np.stack([early, late], axis=1), ((pad, levels - len(early) - pad), (0, 0)))
    start = price if opened is None else opened
    spans = {"high": 2.0, "low": -2.0, "close": pad + price, "open": pad + start}
    footprint = {"buy": shape.sum(axis=1)[:, None], "sell": 0.0, "late": shape[:, 1:],
                 "step": 1.0, "floor": 0.0}  # fmt: skip
    return make_view(symbols=1, windows=WINDOWS[2:3], spans=spans, footprint=footprint)


BELL = [1, 2, 4, 8, 10, 8, 4, 2, 1]


def test_in_balance_price_is_drawn_to_the_point_of_control(make_view: Make) -> None:
    view = scene(make_view, BELL, BELL, 6.5)
    np.testing.assert_allclose(value("poc_distance", view), -(6.5 - 4.5) / 4)
    np.testing.assert_allclose(value("poc_distance", mirror(view)), 2 / 4)
    np.testing.assert_allclose(value("poc_migration", view), 0, atol=1e-12)


def test_with_value_migrating_price_goes_on(make_view: Make) -> None:
    low, high = [8, 9, 8, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 8, 10, 8]
    view = scene(make_view, low, high, 8.5)
    assert value("poc_distance", view) > 0.2
    np.testing.assert_allclose(value("poc_migration", view), 6 / 4)


def test_value_accepted_above_and_thrown_back(make_view: Make) -> None:
    above = [0, 0, 0, 0, 0, 0, 0, 5, 9]
    assert value("value_area_state", scene(make_view, BELL, above, 8.5)) > 0.6
    back = scene(make_view, BELL, [0, 0, 0, 0, 2, 4, 4, 4, 1], 5.5)
    assert value("value_area_state", back) < -0.3
    nearer = scene(make_view, BELL, [0, 0, 0, 2, 2, 4, 4, 4, 1], 3.2)
    assert value("value_area_state", back) < value("value_area_state", nearer) < 0
    assert value("value_area_state", scene(make_view, BELL, [0, 0, 0, 0, 9, 0, 0, 0, 0], 4.5)) == 0


def test_volume_below_holds_price_up(make_view: Make) -> None:
    near = scene(make_view, [1, 1, 1, 20, 1, 1, 1], [0] * 7, 4.5)
    far = scene(make_view, [20, 1, 1, 1, 1, 1, 1], [0] * 7, 4.5)
    at = scene(make_view, [1, 1, 1, 20, 1, 1, 1], [0] * 7, 3.5)
    assert value("hvn_support", near) > 2 * value("hvn_support", far) > 0
    np.testing.assert_allclose(value("hvn_support", at), 0, atol=1e-12)
    even = scene(make_view, [3] * 7, [0] * 7, 3.0)
    np.testing.assert_allclose(value("hvn_support", even), 0, atol=1e-12)


def test_a_pocket_ahead_of_the_move(make_view: Make) -> None:
    pocket = [5, 5, 5, 5, 0, 0, 5, 5]
    up = scene(make_view, pocket, [0] * 8, 4.0, opened=0.0)
    assert value("lvn_slip", up) > 0.3
    down = scene(make_view, pocket, [0] * 8, 4.0, opened=8.0)
    np.testing.assert_allclose(value("lvn_slip", down), 0, atol=1e-12)
    unknown = scene(make_view, [5, 5, 5, 5], [0] * 4, 4.0, opened=0.0)
    np.testing.assert_allclose(value("lvn_slip", unknown), 0, atol=1e-12)


def test_volume_that_this_hour_does_not_bring(make_view: Make) -> None:
    def anomaly(buy: float, sell: float) -> Array:
        spans = {"buy": buy, "sell": sell}
        calendar = {"hour_volume": 1.0}
        return value("volume_anomaly", make_view(symbols=1, spans=spans, calendar=calendar))

    found = anomaly(3.0 * 300, 1.0 * 300)
    np.testing.assert_allclose(found[2], log(4) * 0.5)
    # far less than usual in an hour; of 4 h and 1 d every day is the same
    np.testing.assert_allclose(found[3:], 0)
    np.testing.assert_allclose(anomaly(0.0, 0.0), 0)


def test_no_trade_is_nothing_to_compare(make_view: Make) -> None:
    empty = make_view(footprint=dict.fromkeys(("buy", "sell", "late"), 0.0))
    for name in CARDS.keys() - {"volume_anomaly"}:
        np.testing.assert_array_equal(value(name, empty), np.zeros((6, 3)))


def test_no_tape_is_not_known(make_view: Make) -> None:
    gone = make_view(footprint=dict.fromkeys(("buy", "sell", "late", "floor"), np.nan))
    for name in CARDS.keys() - {"volume_anomaly"}:
        assert np.isnan(value(name, gone)).all(), name
