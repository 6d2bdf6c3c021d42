"""Volatility: against plain slow implementations and TA-Lib, then properties, then scenes."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.averages import yang_zhang
from engine.cards.card import Card, registry
from engine.market.mirror import mirror
from engine.market.view import BARS, HISTORY, WINDOWS, Array, Cells, View

Make = Callable[..., View]

CARDS = {card.id: card for card in registry() if card.category == "volatility"}
PRICES = ("open", "high", "low", "close")
LENGTHS = np.array([14, 14, 14, 14, 16, 24])
MINIMUM = {
    "realized_vol": 2 * LENGTHS + 1,
    "vol_percentile": 2 * LENGTHS + 1,
    "vol_regime": 4 * LENGTHS,
    "vol_of_vol": 3 * LENGTHS,
    "vol_zscore": 2 * LENGTHS + 1,
    "atr_state": np.full(6, 29),
    "vol_trend": 2 * LENGTHS,
    "range_expansion": np.full(6, 15),
}
PROPERTY = settings(deadline=None, max_examples=12)

each_card = pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
seeds = st.integers(0, 10_000)


def slow_yang_zhang(lane: list[Array], n: int) -> list[float]:
    """The paper's estimator at every bar that has n bars and a close before them."""
    opened, high, low, close = lane
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    out = []
    for t in range(n, len(close)):
        bars = range(t - n + 1, t + 1)
        gaps = [opened[i] - close[i - 1] for i in bars]
        bodies = [close[i] - opened[i] for i in bars]
        satchell = sum(
            (high[i] - close[i]) * (high[i] - opened[i])
            + (low[i] - close[i]) * (low[i] - opened[i])
            for i in bars
        )
        square = np.var(gaps, ddof=1) + k * np.var(bodies, ddof=1) + (1 - k) * satchell / n
        out.append(float(np.sqrt(square)))
    return out


def lane(view: View, w: int, s: int, known: int = BARS) -> list[Array]:
    return [np.ascontiguousarray(getattr(view.bars, n)[w, -known:, s]) for n in PRICES]


def side(view: View, w: int, s: int) -> float:
    spans = view.spans
    atr = np.mean((spans.high - spans.low)[w, -14:, s])
    return float(np.tanh((spans.close[w, -1, s] - spans.open[w, -1, s]) / atr))


def scene(view: View, moves: Array, wick: float = 0.0) -> View:
    """A view of one window and one symbol that made these log moves, bar by bar, at the end."""
    length = view.windows[0].span // view.windows[0].bar
    steps = np.zeros(HISTORY * length)
    steps[-len(moves) :] = moves
    close = np.log(100) + np.cumsum(steps)
    opened = close - steps
    reach = np.where(steps != 0, wick, 0.0)
    high, low = np.maximum(opened, close) + reach, np.minimum(opened, close) - reach

    def cells(old: Cells, keep: int, size: int) -> Cells:
        def cut(x: Array) -> Array:
            return x.reshape(-1, size)[-keep:]

        prices = {
            "open": cut(opened)[:, 0],
            "high": cut(high).max(axis=1),
            "low": cut(low).min(axis=1),
            "close": cut(close)[:, -1],
        }
        return replace(old, **{n: x.reshape(old.close.shape) for n, x in prices.items()})

    return replace(view, bars=cells(view.bars, BARS, 1), spans=cells(view.spans, HISTORY, length))


def rising(amplitude: Array) -> Array:
    """Moves up and down of that size, the ups one and a half times as large."""
    return amplitude * np.where(np.arange(len(amplitude)) % 2, 1.5, -1.0) * 1e-3


@pytest.fixture(scope="module")
def hour(make_view: Make) -> View:
    """One symbol, the 1 h window: 12 bars of 5 min, volatility over 14."""
    return make_view(symbols=1, windows=(WINDOWS[3],))


def value(id: str, view: View) -> float:
    return float(CARDS[id].compute(view)[0, 0])


def test_metadata_is_the_catalogue() -> None:
    facts = [
        ("realized_vol", "Realized Volatility", "context", 0.25),
        ("vol_percentile", "Vol Percentile", "context", 0.25),
        ("vol_regime", "Vol Regime", "context", 0.25),
        ("vol_of_vol", "Vol of Vol", "context", 0.25),
        ("vol_zscore", "Vol Z-Score", "context", 0.25),
        ("atr_state", "ATR State", "context", 0.25),
        ("vol_trend", "Vol Trend", "context", 0.25),
        ("range_expansion", "Range Expansion", "direction", 1.0),
    ]
    assert [(c.id, c.name, c.role, c.prior) for c in CARDS.values()] == facts
    for c in CARDS.values():
        assert (c.needs, c.scope, c.scale, c.level) == (("bars",), "symbol", "std", False)
        assert (c.cadence, c.twin, c.mirror_exempt) == (0.0, "", "")
        text = " ".join((c.compute.__doc__ or "").split())
        assert c.formula
        assert c.source
        assert "Sign: " in text
        assert "Units: " in text


@pytest.mark.parametrize("known", [20, 49, BARS])
def test_yang_zhang_against_the_plain_estimator(make_view: Make, known: int) -> None:
    view = make_view(seed=known, known_bars=known, symbols=2)
    got = yang_zhang(view)
    for w, n in enumerate(LENGTHS):
        for s in range(2):
            expected = slow_yang_zhang(lane(view, w, s, known), n)
            assert got.known[w, s] == len(expected)
            assert got.sigma[w, BARS - len(expected) :, s] == pytest.approx(expected, rel=1e-7)
            assert (got.sigma[w, : BARS - len(expected), s] == 0).all()


@pytest.mark.parametrize("seed", [1, 2])
def test_cards_against_plain_formulas(make_view: Make, seed: int) -> None:
    view = make_view(seed=seed, symbols=2)
    got = {id: card.compute(view) for id, card in CARDS.items()}
    for w, n in enumerate(LENGTHS):
        for s in range(2):
            trend = side(view, w, s)
            sigma = np.array(slow_yang_zhang(lane(view, w, s), n))
            now, past = sigma[-1], sigma[:-1]
            place = np.mean(past < now) - 0.5
            slope = np.polyfit(np.arange(n), sigma[-n:], 1)[0]
            recent = sigma[-2 * n :]
            expected = {
                "realized_vol": now / past.mean() * trend,
                "vol_percentile": (-place if place > 0.45 else place) * trend,
                "vol_of_vol": -recent.std() / recent.mean() * trend,
                "vol_zscore": (now - past.mean()) / past.std() * trend,
                "vol_trend": n * slope / sigma[-n:].mean() * trend,
            }
            for id, x in expected.items():
                assert got[id][w, s] == pytest.approx(x, rel=1e-6, abs=1e-9), id


def test_vol_regime_against_a_plain_formula(make_view: Make) -> None:
    fired = 0
    for seed in range(4):
        view = make_view(seed=seed, symbols=4)
        got = CARDS["vol_regime"].compute(view)
        for w, n in enumerate(LENGTHS):
            for s in range(4):
                bars = lane(view, w, s)
                sigma = slow_yang_zhang(bars, n)
                long = [
                    np.sqrt(np.mean(np.square(sigma[: -t or None][-2 * n :]))) for t in range(n + 1)
                ]
                q = [sigma[-1 - t] / long[t] for t in range(n + 1)]
                back = n - int(np.argmin(q[:0:-1]))
                atr = talib.ATR(*bars[1:], 14)[-1]
                broken = np.tanh((bars[3][-1] - bars[3][-1 - back]) / atr)
                expected = max(q[0] - 1, 0) * np.clip((1 - q[back]) / 0.25, 0, 1) * broken
                assert got[w, s] == pytest.approx(expected, rel=1e-6, abs=1e-9)
                fired += expected != 0
    assert fired > 10


# TA-Lib seeds its ATR as we do, with the mean of the first 14 ranges: equal to rounding.
@pytest.mark.parametrize("known", [29, 60, BARS])
def test_atr_state_is_talibs_atr_over_its_mean(make_view: Make, known: int) -> None:
    view = make_view(seed=known, known_bars=known)
    got = CARDS["atr_state"].compute(view)
    for w in range(6):
        for s in range(3):
            atr = talib.ATR(*lane(view, w, s, known)[1:], 14)[14:]
            expected = (atr[-1] / atr[:-1].mean() - 1) * side(view, w, s)
            assert got[w, s] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_range_expansion_by_hand(make_view: Make) -> None:
    view = make_view(seed=6)
    got = CARDS["range_expansion"].compute(view)
    for w in range(6):
        for s in range(3):
            _, high, low, close = lane(view, w, s)
            size = high[-1] - low[-1]
            if size == 0:
                assert got[w, s] == 0
                continue
            place = 2 * (close[-1] - low[-1]) / size - 1
            expected = size / np.mean(high[-15:-1] - low[-15:-1]) * place
            assert got[w, s] == pytest.approx(expected, rel=1e-7, abs=1e-9)


@PROPERTY
@given(seed=seeds, known=st.integers(0, BARS), spans=st.integers(0, HISTORY))
def test_mirror(make_view: Make, seed: int, known: int, spans: int) -> None:
    view = make_view(seed=seed, known_bars=known, known_spans=spans)
    turned = mirror(view)
    for id, card in CARDS.items():
        straight = card.compute(view)
        assert (straight.shape, straight.dtype) == ((6, 3), np.float64), id
        np.testing.assert_allclose(card.compute(turned), -straight, rtol=0, atol=1e-9, err_msg=id)


@PROPERTY
@given(seed=seeds, by=st.floats(-3, 3))
def test_scale_invariance(
    make_view: Make, shift_prices: Callable[[View, float], View], seed: int, by: float
) -> None:
    view = make_view(seed=seed)
    moved = shift_prices(view, by)
    for id, card in CARDS.items():
        got, expected = card.compute(moved), card.compute(view)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9, err_msg=id)


@PROPERTY
@given(seed=seeds, keep=st.sets(st.integers(0, 5), min_size=1), known=st.integers(0, BARS))
def test_a_subset_of_windows_is_a_slice(
    make_view: Make,
    pick_windows: Callable[[View, list[int]], View],
    seed: int,
    keep: set[int],
    known: int,
) -> None:
    view, some = make_view(seed=seed, known_bars=known), sorted(keep)
    subset = pick_windows(view, some)
    for id, card in CARDS.items():
        got, expected = card.compute(subset), card.compute(view)[some]
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12, err_msg=id)


@PROPERTY
@given(seed=seeds, known=st.integers(0, BARS), spans=st.integers(0, HISTORY))
def test_nan_only_where_data_is_missing(make_view: Make, seed: int, known: int, spans: int) -> None:
    view = make_view(seed=seed, known_bars=known, known_spans=spans)
    for id, card in CARDS.items():
        got = card.compute(view)
        trend_needed = id not in ("range_expansion", "vol_regime")
        there = (known >= MINIMUM[id]) & (spans >= 2 or not trend_needed)
        assert not np.isinf(got).any(), id
        assert (~np.isnan(got) == there[:, None]).all(), id


@each_card
def test_only_what_it_needs_is_read_and_nothing_written(make_view: Make, card: Card) -> None:
    view = make_view(seed=3)
    expected = card.compute(view)

    def bare(cells: Cells) -> Cells:
        out = {f.name: getattr(cells, f.name).copy() for f in fields(cells)}
        for name, x in out.items():
            if name not in PRICES:
                x[:] = np.nan
            x.flags.writeable = False
        return Cells(**out)

    view = replace(view, bars=bare(view.bars), spans=bare(view.spans))
    np.testing.assert_array_equal(card.compute(view), expected)
    np.testing.assert_array_equal(card.compute(view), expected)


@each_card
def test_missing_bars_are_closed_up(make_view: Make, edit: Callable[..., View], card: Card) -> None:
    view = make_view(seed=4, known_bars=110)
    whole = card.compute(view)
    holes = {n: getattr(view.bars, n).copy() for n in PRICES}
    for x in holes.values():
        x[:, 90, 0] = np.nan
        x[:, -1, 1] = np.nan
    got = card.compute(edit(view, bars=holes))
    closed = {n: np.delete(getattr(view.bars, n), 90, axis=1) for n in PRICES}
    closed = {n: np.concatenate([np.full((6, 1, 3), np.nan), x], 1) for n, x in closed.items()}
    expected = card.compute(edit(view, bars=closed))
    np.testing.assert_allclose(got[:, 0], expected[:, 0], atol=1e-12)
    assert np.isnan(got[:, 1]).all()
    np.testing.assert_allclose(got[:, 2], whole[:, 2], atol=1e-12)


@each_card
def test_flat_is_zero_not_missing(hour: View, card: Card) -> None:
    assert value(card.id, scene(hour, np.zeros(10))) == 0


@each_card
def test_flat_after_movement_is_finite(hour: View, card: Card) -> None:
    assert np.isfinite(value(card.id, scene(hour, np.append(rising(np.ones(60)), np.zeros(40)))))
    assert np.isfinite(value(card.id, scene(hour, np.array([1e-3]))))


def test_a_straight_line_has_no_volatility(hour: View) -> None:
    line = scene(hour, np.full(HISTORY * 12, 1e-3))
    for id in CARDS.keys() - {"range_expansion"}:
        assert value(id, line) == pytest.approx(0, abs=1e-9), id
    assert value("range_expansion", line) == pytest.approx(1)


WITH_THE_TREND = ("realized_vol", "vol_percentile", "vol_zscore", "atr_state", "vol_trend")


def test_growing_volatility_carries_the_trend_on(hour: View) -> None:
    growing = rising(np.concatenate([np.ones(100), np.linspace(1, 2, 20)]))
    for id in set(WITH_THE_TREND) - {"vol_percentile"}:
        assert value(id, scene(hour, growing, 2e-4)) > 0, id
        assert value(id, scene(hour, -growing, 2e-4)) < 0, id
    stormy = growing.copy()
    stormy[:20] *= 4  # so that now is high, but not the highest
    assert value("vol_percentile", scene(hour, stormy, 2e-4)) > 0.1
    assert value("vol_percentile", scene(hour, -stormy, 2e-4)) < -0.1
    dying = rising(np.concatenate([np.full(100, 2.0), np.linspace(2, 0.5, 20)]))
    for id in set(WITH_THE_TREND) - {"realized_vol"}:
        assert value(id, scene(hour, dying, 2e-4)) < 0, id
    loud, quiet = (value("realized_vol", scene(hour, x, 2e-4)) for x in (growing, dying))
    assert 0 < quiet < loud


def test_extreme_volatility_is_against_the_trend(hour: View) -> None:
    burst = rising(np.concatenate([np.ones(100), np.linspace(1, 3, 20)]))
    assert value("vol_percentile", scene(hour, burst, 2e-4)) < -0.2
    assert value("vol_percentile", scene(hour, -burst, 2e-4)) > 0.2


def test_unstable_volatility_is_against_the_trend(hour: View) -> None:
    stable = value("vol_of_vol", scene(hour, rising(np.ones(120)), 2e-4))
    unstable = rising(np.tile(np.repeat([0.5, 3.0], 10), 6))
    assert value("vol_of_vol", scene(hour, unstable, 2e-4)) < 10 * stable < 1e-6
    assert value("vol_of_vol", scene(hour, -unstable, 2e-4)) > 0


def test_expansion_out_of_compression_goes_with_the_break(hour: View) -> None:
    squeezed = np.concatenate([np.full(80, 2.0), np.full(30, 0.5)])
    sides = np.where(np.arange(110) % 2, 1.0, -1.0)
    jumps = np.array([3.0, 5, -1, 6, 4])
    for sign in (1, -1):
        moves = np.concatenate([squeezed * sides, sign * jumps]) * 1e-3
        assert sign * value("vol_regime", scene(hour, moves, 2e-4)) > 0.2
    normal = np.concatenate([np.full(110, 2.0) * sides, jumps]) * 1e-3
    assert abs(value("vol_regime", scene(hour, normal, 2e-4))) < 0.05
    assert value("vol_regime", scene(hour, squeezed * sides * 1e-3, 2e-4)) == 0


def test_a_move_of_next_to_nothing_flips_nothing(
    make_view: Make, edit: Callable[..., View]
) -> None:
    view = make_view(seed=8)
    for id in CARDS.keys() - {"range_expansion", "vol_regime"}:
        ends = [edit(view, spans={"close": view.spans.open + move}) for move in (-1e-9, 1e-9)]
        down, up = (CARDS[id].compute(v) for v in ends)
        assert np.abs(up - down).max() < 1e-3, id


def test_a_wide_bar_counts_by_where_it_closes(make_view: Make, edit: Callable[..., View]) -> None:
    high = np.full((6, BARS, 3), 0.001)
    high[:, -1] = 0.004
    view = make_view()
    for close, expected in ((0.004, 4.0), (0.003, 2.0), (0.002, 0.0), (0.0, -4.0)):
        shaped = edit(view, bars={"open": 0.0, "low": 0.0, "high": high, "close": close})
        assert CARDS["range_expansion"].compute(shaped) == pytest.approx(np.full((6, 3), expected))
