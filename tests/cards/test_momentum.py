"""Momentum: against TA-Lib and brute force, then the properties every card holds, then scenes."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.averages import (
    candles,
    directional_movement,
    emas,
    true_range,
    wilder,
    wilder_atr,
    wilder_ratio,
)
from engine.cards.card import Card, registry
from engine.cards.measure import window_atr
from engine.market.mirror import mirror
from engine.market.view import BARS, HISTORY, WINDOWS, Array, Cells, View

Make = Callable[..., View]

CARDS = {card.id: card for card in registry() if card.category == "momentum"}
# Bars a lane must know; the others read whole windows, of which nine must be known.
MINIMUM = {"trend_strength": 28, "ma_stack": 55, "rsi_state": 15, "breakout_momentum": 21}
NEEDED = ("open", "high", "low", "close", "vwap", "buy", "sell")
PROPERTY = settings(deadline=None, max_examples=12)

each_card = pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
seeds = st.integers(0, 10_000)


def lanes(view: View, known: int) -> Iterator[tuple[int, int, tuple[Array, Array, Array, Array]]]:
    """Every lane's known open, high, low, close as contiguous arrays, the way TA-Lib wants them."""
    for w in range(len(view.windows)):
        for s in range(len(view.symbols)):
            bars = (view.bars.open, view.bars.high, view.bars.low, view.bars.close)
            yield w, s, tuple(np.ascontiguousarray(x[w, -known:, s]) for x in bars)


def scene(view: View, path: Array, wick: float = 0.0) -> View:
    """A view of one window and one symbol whose log price went this way, bar by bar."""
    length = view.windows[0].span // view.windows[0].bar
    past = np.full(HISTORY * length + 1, path[0])
    past[-len(path) :] = path
    opened, close = past[:-1], past[1:]
    high, low = np.maximum(opened, close) + wick, np.minimum(opened, close) - wick
    middle = (opened + close) / 2

    def cells(old: Cells, keep: int, size: int) -> Cells:
        def cut(x: Array) -> Array:
            return x.reshape(-1, size)[-keep:]

        shape = old.close.shape
        prices = {
            "open": cut(opened)[:, 0],
            "high": cut(high).max(axis=1),
            "low": cut(low).min(axis=1),
            "close": cut(close)[:, -1],
            "vwap": cut(middle).mean(axis=1),
            "buy": np.ones(keep),
            "sell": np.ones(keep),
        }
        return replace(old, **{name: x.reshape(shape) for name, x in prices.items()})

    return replace(view, bars=cells(view.bars, BARS, 1), spans=cells(view.spans, HISTORY, length))


@pytest.fixture(scope="module")
def hour(make_view: Make) -> View:
    """One symbol, the 1 h window: 12 bars of 5 min."""
    return make_view(symbols=1, windows=(WINDOWS[3],))


def value(id: str, view: View) -> float:
    return float(CARDS[id].compute(view)[0, 0])


def test_metadata_is_the_catalogue() -> None:
    facts = [
        ("price_momentum", "Price Momentum"),
        ("momentum_acceleration", "Momentum Acceleration"),
        ("mtf_alignment", "MTF Alignment"),
        ("trend_strength", "Trend Strength"),
        ("ma_stack", "MA Stack"),
        ("vwap_distance", "VWAP Distance"),
        ("rsi_state", "RSI State"),
        ("breakout_momentum", "Breakout Momentum"),
    ]
    assert [(c.id, c.name) for c in CARDS.values()] == facts
    for c in CARDS.values():
        assert (c.needs, c.scope, c.role, c.scale) == (("bars",), "symbol", "direction", "std")
        assert (c.prior, c.cadence, c.twin, c.mirror_exempt) == (1.0, 0.0, "", "")
        assert c.level == (c.id == "mtf_alignment")
        text = " ".join((c.compute.__doc__ or "").split())
        assert c.formula
        assert c.source
        assert "Sign: " in text
        assert "Units: " in text


# Seeded alike (Wilder: mean of the first 14; TA-Lib's directional movement: sum of the first 13),
# so the two agree to rounding at any length. Its EMA starts from a simple mean: led by copies of
# the first close, that mean is the first close, our seed.
@pytest.mark.parametrize("known", [28, 55, 90, BARS])
def test_wilder_smoothing_is_talibs(make_view: Make, known: int) -> None:
    view = make_view(seed=known, known_bars=known)
    bars = candles(view)
    atr, ranges = wilder_atr(view), true_range(view)
    plus, minus = directional_movement(bars)
    smooth = [wilder(x, bars.known, seed=13) for x in (plus, minus, ranges)]
    change = np.diff(bars.close, axis=1, prepend=bars.close[:, :1])
    rsi = 50 + 50 * wilder_ratio(change, np.abs(change), bars.known)[:, -1]
    for w, s, (_, high, low, close) in lanes(view, known):
        hlc = high, low, close
        assert atr[w, s] == pytest.approx(talib.ATR(*hlc, 14)[-1], rel=1e-9)
        assert ranges[w, 1 - known :, s] == pytest.approx(talib.TRANGE(*hlc)[1:], rel=1e-9)
        di = [100 * x[w, s] / smooth[2][w, s] for x in smooth[:2]]
        assert di[0] == pytest.approx(talib.PLUS_DI(*hlc, 14)[-1], rel=1e-7)
        assert di[1] == pytest.approx(talib.MINUS_DI(*hlc, 14)[-1], rel=1e-7)
        assert rsi[w, s] == pytest.approx(talib.RSI(close, 14)[-1], rel=1e-7)


@pytest.mark.parametrize("known", [28, 60, BARS])
def test_trend_strength_is_talibs_dx_times_adx(make_view: Make, known: int) -> None:
    view = make_view(seed=known, known_bars=known)
    got = CARDS["trend_strength"].compute(view)
    for w, s, (_, *hlc) in lanes(view, known):
        plus, minus = talib.PLUS_DI(*hlc, 14)[-1], talib.MINUS_DI(*hlc, 14)[-1]
        expected = (plus - minus) / (plus + minus) * talib.ADX(*hlc, 14)[-1] / 100
        assert got[w, s] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("known", [15, 17, 60, BARS])
def test_rsi_state_is_its_formula_on_talibs_rsi(make_view: Make, known: int) -> None:
    view = make_view(seed=known, known_bars=known, symbols=8)
    got = CARDS["rsi_state"].compute(view)
    for w, s, (*_, close) in lanes(view, known):
        off = talib.RSI(close, 14)[14:][-6:] - 50
        x, side = off[-1], 1 if off[-1] > 0 else -1
        peak = max(side * off)
        turn = np.clip((peak - 20) / 5, 0, 1) * np.clip((peak - side * x) / 5, 0, 1)
        assert got[w, s] == pytest.approx(np.clip(x, -20, 20) * (1 - 2 * turn), abs=1e-6)


@pytest.mark.parametrize("known", [55, 80, BARS])
def test_averages_and_their_stack_are_talibs(make_view: Make, known: int) -> None:
    view = make_view(seed=known, known_bars=known)
    bars = candles(view)
    average, got = emas(bars, (9, 21, 55)), CARDS["ma_stack"].compute(view)
    for w, s, (_, high, low, close) in lanes(view, known):
        led = {n: np.concatenate([np.full(n - 1, close[0]), close]) for n in (9, 21, 55)}
        expected = [talib.EMA(x, n)[-1] for n, x in led.items()]
        assert average[w, :, s] + close[0] == pytest.approx(expected, abs=1e-12)
        a, b = -np.diff(expected) / talib.ATR(high, low, close, 14)[-1]
        stack = (a + b) * abs(a + b) / (abs(a) + abs(b))
        assert got[w, s] == pytest.approx(stack, rel=1e-6)


def test_breakout_is_donchian_by_brute_force(make_view: Make) -> None:
    outside = 0
    for seed in range(6):
        view = make_view(seed=seed, symbols=6)
        got = CARDS["breakout_momentum"].compute(view)
        for w, s, (_, high, low, close) in lanes(view, BARS):
            top, bottom = max(high[-21:-1]), min(low[-21:-1])
            beyond = close[-1] - top if close[-1] > top else min(close[-1] - bottom, 0)
            atr = talib.ATR(high, low, close, 14)[-1]
            assert got[w, s] == pytest.approx(beyond / atr, rel=1e-7)
            outside += beyond != 0
    assert outside > 5


def test_window_momentum_by_hand(make_view: Make) -> None:
    view = make_view(seed=5)
    price, faster = (CARDS[n].compute(view) for n in ("price_momentum", "momentum_acceleration"))
    for w, window in enumerate(view.windows):
        half = window.span // window.bar // 2
        for s in range(len(view.symbols)):
            past = view.spans.close[w, :-1, s] - view.spans.open[w, :-1, s]
            vol = np.sqrt(np.mean(past**2))
            close, opened = view.bars.close[w, :, s], view.bars.open[w, :, s]
            now = close[-1] - opened[-2 * half]
            assert price[w, s] == pytest.approx(now / vol, rel=1e-7)
            second = close[-1] - close[-1 - half]
            first = close[-1 - half] - opened[-2 * half]
            assert faster[w, s] == pytest.approx((second - first) / vol, rel=1e-7)
    aligned = np.sign(price).mean(axis=0) * np.abs(price).min(axis=0)
    assert CARDS["mtf_alignment"].compute(view) == pytest.approx(np.tile(aligned, (6, 1)))


def test_vwap_of_the_session(make_view: Make) -> None:
    view = make_view(seed=2)
    since_midnight = view.now // 10**9 % 86400
    got, atr = CARDS["vwap_distance"].compute(view), window_atr(view)
    for w, window in enumerate(view.windows):
        bars = min(-(-since_midnight // window.bar), BARS)
        for s in range(len(view.symbols)):
            last = slice(BARS - bars, BARS)
            weight = view.bars.buy[w, last, s] + view.bars.sell[w, last, s]
            vwap = np.average(view.bars.vwap[w, last, s], weights=weight)
            x = (view.bars.close[w, -1, s] - vwap) / atr[w, s]
            expected = np.sign(x) * max(min(abs(x), 2 - abs(x)), -2)
            assert got[w, s] == pytest.approx(expected, abs=1e-6)


@PROPERTY
@given(seed=seeds, known=st.integers(0, BARS), spans=st.integers(0, HISTORY))
def test_mirror(make_view: Make, seed: int, known: int, spans: int) -> None:
    view = make_view(seed=seed, known_bars=known, known_spans=spans)
    turned = mirror(view)
    for id, card in CARDS.items():
        straight = card.compute(view)
        assert (straight.shape, straight.dtype) == ((6, 3), np.float64), id
        np.testing.assert_allclose(card.compute(turned), -straight, rtol=0, atol=1e-9, err_msg=id)


# Prices on a grid of 2^-44 moved by a multiple of it: the shift itself rounds nothing away.
@PROPERTY
@given(seed=seeds, by=st.sampled_from([-2.0, -0.5, 1.0, 3.0]))
def test_scale_invariance(
    make_view: Make, shift_prices: Callable[..., View], seed: int, by: float
) -> None:
    view = on_grid(make_view(seed=seed))
    moved = shift_prices(view, by)
    for id, card in CARDS.items():
        got, expected = card.compute(moved), card.compute(view)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-9, err_msg=id)


def on_grid(view: View) -> View:
    def rounded(cells: Cells) -> Cells:
        names = ("open", "high", "low", "close", "vwap")
        return replace(cells, **{n: np.round(getattr(cells, n) * 2.0**44) / 2.0**44 for n in names})

    return replace(view, bars=rounded(view.bars), spans=rounded(view.spans))


@PROPERTY
@given(seed=seeds, keep=st.sets(st.integers(0, 5), min_size=1), known=st.integers(0, BARS))
def test_a_subset_of_windows_is_a_slice(
    make_view: Make, pick_windows: Callable[..., View], seed: int, keep: set[int], known: int
) -> None:
    view, some = make_view(seed=seed, known_bars=known), sorted(keep)
    subset = pick_windows(view, some)
    for id, card in CARDS.items():
        got = card.compute(subset)
        expected = card.compute(view)[some]
        if id == "mtf_alignment":
            assert got == pytest.approx(np.tile(got[0], (len(some), 1)))
        else:
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12, err_msg=id)


@PROPERTY
@given(seed=seeds, known=st.integers(0, BARS), spans=st.integers(0, HISTORY))
def test_nan_only_where_data_is_missing(make_view: Make, seed: int, known: int, spans: int) -> None:
    view = make_view(seed=seed, known_bars=known, known_spans=spans)
    lengths = np.array([w.span // w.bar for w in WINDOWS])
    there = {
        "price_momentum": np.full(6, spans >= 9),
        "mtf_alignment": np.full(6, spans >= 9),
        "momentum_acceleration": (spans >= 9) & (known >= lengths),
        "vwap_distance": np.full(6, spans >= 2 and known >= 1),
    } | {id: np.full(6, known >= bars) for id, bars in MINIMUM.items()}
    for id, card in CARDS.items():
        got = card.compute(view)
        assert not np.isinf(got).any(), id
        assert (~np.isnan(got) == there[id][:, None]).all(), id


@each_card
def test_only_what_it_needs_is_read_and_nothing_written(make_view: Make, card: Card) -> None:
    view = make_view(seed=3)
    expected = card.compute(view)

    def bare(cells: Cells) -> Cells:
        out = {f.name: getattr(cells, f.name).copy() for f in fields(cells)}
        for name, x in out.items():
            if name not in NEEDED:
                x[:] = np.nan
            x.flags.writeable = False
        return Cells(**out)

    view = replace(view, bars=bare(view.bars), spans=bare(view.spans))
    np.testing.assert_array_equal(card.compute(view), expected)
    np.testing.assert_array_equal(card.compute(view), expected)


@pytest.mark.parametrize("id", MINIMUM)
def test_missing_bars(make_view: Make, edit: Callable[..., View], id: str) -> None:
    view, compute = make_view(seed=4, known_bars=100), CARDS[id].compute
    whole = compute(view)
    holes = {n: getattr(view.bars, n).copy() for n in NEEDED}
    for x in holes.values():
        x[:, 90, 0] = np.nan
        x[:, -1, 1] = np.nan
    got = compute(edit(view, bars=holes))
    closed = {n: np.delete(getattr(view.bars, n), 90, axis=1) for n in NEEDED}
    closed = {n: np.concatenate([np.full((6, 1, 3), np.nan), x], 1) for n, x in closed.items()}
    np.testing.assert_allclose(got[:, 0], compute(edit(view, bars=closed))[:, 0], atol=1e-12)
    assert np.isnan(got[:, 1]).all()
    np.testing.assert_allclose(got[:, 2], whole[:, 2], atol=1e-12)


def test_steady_rise_and_fall(hour: View) -> None:
    rise = np.log(100) + 1e-3 * np.arange(HISTORY * 12 + 1)
    expected = {
        "price_momentum": 1.0,
        "momentum_acceleration": 0.0,
        "mtf_alignment": 1.0,
        "trend_strength": 1.0,
        "rsi_state": 20.0,
        "breakout_momentum": 1.0,
        "vwap_distance": -2.0,  # ten hours up are five window ATR above their VWAP
    }
    for sign in (1, -1):
        view = scene(hour, sign * rise)
        for id, size in expected.items():
            assert value(id, view) == pytest.approx(sign * size, abs=1e-9), id
        assert sign * value("ma_stack", view) > 15


@each_card
def test_flat_is_zero_not_missing(hour: View, card: Card) -> None:
    view = scene(hour, np.full(HISTORY * 12 + 1, np.log(100)))
    assert value(card.id, view) == 0
    silent = np.zeros((1, BARS, 1))
    assert value(card.id, replace(view, bars=replace(view.bars, buy=silent, sell=silent))) == 0


def test_acceleration(hour: View) -> None:
    step = np.tile(np.repeat([1e-3, 3e-3], 6), HISTORY)
    assert value("momentum_acceleration", scene(hour, np.cumsum([0, *step]))) > 0
    assert value("momentum_acceleration", scene(hour, np.cumsum([0, *step[::-1]]))) < 0
    assert value("momentum_acceleration", scene(hour, -np.cumsum([0, *step]))) < 0


def test_rsi_turning_back_from_80_counts_against(hour: View) -> None:
    chop = np.tile([1.0, -1.0], 50)
    up = np.array([-0.2, 1.0, 1.0] * 8)
    over_bought = np.cumsum([0, *chop, *up]) * 1e-3
    back = np.cumsum([0, *chop, *up, -1.5, -1.5]) * 1e-3
    assert value("rsi_state", scene(hour, over_bought)) == 20
    assert value("rsi_state", scene(hour, back)) < -5
    assert value("rsi_state", scene(hour, -back)) > 5
    mild = np.cumsum([0, *chop, 1, 1, -0.5, 1]) * 1e-3
    assert 0 < value("rsi_state", scene(hour, mild)) < 20


@pytest.mark.parametrize(
    ("atrs", "expected"), [(0.5, 0.5), (1, 1), (1.5, 0.5), (2, 0), (3, -1), (10, -2), (-3, 1)]
)
def test_vwap_distance_turns_at_two(
    make_view: Make, edit: Callable[..., View], atrs: float, expected: float
) -> None:
    view = make_view(symbols=1, spans={"high": 0.01, "low": 0.0})
    view = edit(view, bars={"vwap": 0.0, "close": 0.01 * atrs, "buy": 1.0, "sell": 1.0})
    assert CARDS["vwap_distance"].compute(view) == pytest.approx(np.full((6, 1), expected))


def test_vwap_begins_anew_at_midnight(make_view: Make, edit: Callable[..., View]) -> None:
    early = np.where(np.arange(BARS) < BARS - 2, 0.0, 0.01)[None, :, None]
    view = make_view(symbols=1, spans={"high": 0.01, "low": 0.0})
    view = edit(view, bars={"vwap": early, "close": 0.015, "buy": 1.0, "sell": 1.0})
    midnight = view.now // (86400 * 10**9) * 86400 * 10**9
    got = CARDS["vwap_distance"].compute(replace(view, now=midnight + 12 * 10**9))
    assert got[1:] == pytest.approx(np.full((5, 1), 0.5))  # two bars of 10 s, one of the longer
    assert got[0] == pytest.approx(0.6667, abs=1e-4)  # twelve of 1 s, ten of them at 0


def test_breakout(hour: View) -> None:
    range_bound = np.tile([0.0, 1.0, 2.0, 1.0], 40) * 1e-3
    assert value("breakout_momentum", scene(hour, range_bound)) == 0
    assert value("breakout_momentum", scene(hour, np.append(range_bound, 4e-3))) > 0
    assert value("breakout_momentum", scene(hour, np.append(range_bound, -2e-3))) < 0


def test_stack_out_of_order_is_small(hour: View) -> None:
    rise = np.cumsum(np.full(130, 1e-3))
    back = np.append(rise, rise[-1] - 1e-3 * np.arange(1, 19))
    assert abs(value("ma_stack", scene(hour, back))) < 0.2 * value("ma_stack", scene(hour, rise))


def test_alignment_leaves_missing_windows_out(make_view: Make, edit: Callable[..., View]) -> None:
    opened = make_view().spans.open
    signs = np.array([1, 1, 1, 1, -1, 1])[:, None, None]
    close = opened + 1e-3 * signs
    got = CARDS["mtf_alignment"].compute(make_view(spans={"close": close}))
    assert got == pytest.approx(np.full((6, 3), 4 / 6))
    close[4] = np.nan
    got = CARDS["mtf_alignment"].compute(make_view(spans={"close": close}))
    assert got[[0, 1, 2, 3, 5]] == pytest.approx(np.ones((5, 3)))
    assert np.isnan(got[4]).all()
