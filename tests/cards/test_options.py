"""Options cards: plain references, the sign of obvious cases, symbols without options."""

from dataclasses import replace

import numpy as np
import pytest

from engine.cards.card import registry

CARDS = {c.id: c for c in registry() if c.category == "options"}
SERIES = {
    "implied_vol": "dvol",
    "iv_premium": "dvol",
    "skew": "skew_25d",
    "put_call_ratio": "put_call_oi",
    "term_slope": "term_slope",
}
YEAR = 365 * 86_400


def value(name, view):
    with np.errstate(invalid="ignore", divide="ignore"):
        return CARDS[name].compute(view)


def course(view, values):
    return np.broadcast_to(np.asarray(values, float)[:, None], view.spans.close.shape)


def trend(view, w, s):
    spans = view.spans
    atr = np.mean(spans.high[w, -14:, s] - spans.low[w, -14:, s])
    return np.tanh((spans.close[w, -1, s] - spans.open[w, -1, s]) / atr)


def slow_premium(view, w, s):
    implied, premia = view.outside["dvol"][w, :, s], []
    for end in range(20, 62):
        height = view.spans.high[w, end - 20 : end, s] - view.spans.low[w, end - 20 : end, s]
        daily = np.mean(height**2) / (4 * np.log(2))
        realised = 100 * np.sqrt(daily * YEAR / view.windows[w].span)
        premia.append(2 * (implied[end - 1] - realised) / (implied[end - 1] + realised))
    return -(premia[-1] - np.mean(premia[:-1])) * trend(view, w, s)


def slow(name, view, w, s):
    if name == "iv_premium":
        return slow_premium(view, w, s)
    x = view.outside[SERIES[name]][w, :, s]
    if name == "implied_vol":
        return -2 * (x[-1] - x[-2]) / (x[-1] + x[-2])
    if name == "put_call_ratio":
        log = np.log(x)
        z = (log[-1] - log[:-1].mean()) / log[:-1].std()
        size = abs(z) if abs(z) < 1 else max(2 - abs(z), -2)
        return -np.sign(z) * size
    return view.outside[SERIES[name]][0, -1, s]


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("seed", [7, 9])
def test_equals_the_plain_reference(name, seed, make_view, edit):
    view = make_view(seed=seed)
    last = view.outside[SERIES[name]][0, -1]
    if CARDS[name].level:
        same = view.outside[SERIES[name]].copy()
        same[:, -1] = last
        view = edit(view, outside={SERIES[name]: same})
    want = [[slow(name, view, w, s) for s in range(3)] for w in range(6)]
    np.testing.assert_allclose(value(name, view), want, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", SERIES)
def test_symbols_without_options_have_none(name, make_view, edit):
    view = make_view()
    known = view.outside[SERIES[name]] * np.array([1.0, np.nan, 1.0])
    out = value(name, edit(view, outside={SERIES[name]: known}))
    np.testing.assert_array_equal(np.isnan(out), [[False, True, False]] * 6)
    np.testing.assert_array_equal(out[:, [0, 2]], value(name, view)[:, [0, 2]])
    assert np.isnan(value(name, replace(view, outside={}))).all()


def test_options_that_grow_dearer_are_bearish(make_view, edit):
    view = make_view()
    steps = np.full(61, 50.0)
    steps[-1] = 55.0
    out = value("implied_vol", edit(view, outside={"dvol": course(view, steps)}))
    np.testing.assert_allclose(out, -np.log(1.1), rtol=1e-3)


def ranged(view, edit, side):
    """Ranges of 1 % in every window and a move of half of it in the last."""
    opened, close = (10.0, 10.005) if side > 0 else (10.005, 10.0)
    return edit(view, spans={"open": opened, "close": close, "low": 9.998, "high": 10.008})


@pytest.mark.parametrize("side", [1, -1])
def test_dear_options_expect_the_turn(side, make_view, edit):
    steps = np.full(61, 40.0)
    steps[-1] = 80.0
    view = ranged(make_view(), edit, side)
    dear = value("iv_premium", edit(view, outside={"dvol": course(view, steps)}))
    assert (np.sign(dear) == -side).all()
    cheap = value("iv_premium", edit(view, outside={"dvol": course(view, 1600 / steps)}))
    assert (np.sign(cheap) == side).all()
    usual = value("iv_premium", edit(view, outside={"dvol": 40.0}))
    np.testing.assert_allclose(usual, 0.0, atol=1e-12)


def test_a_diffusion_priced_fairly_has_no_premium(make_view, edit):
    """Daily ranges of a Brownian path at 60 % a year against an index of 60."""
    rng = np.random.default_rng(0)
    steps = 0.6 / np.sqrt(365 * 1440) * rng.normal(size=(61, 1440))
    path = np.cumsum(steps.ravel()).reshape(61, 1440)
    close = course(make_view(), path[:, -1])
    view = edit(make_view(), spans={
        "open": np.roll(close, 1, axis=1), "close": close,
        "high": course(make_view(), path.max(axis=1)), "low": course(make_view(), path.min(axis=1)),
    }, outside={"dvol": 60.0})  # fmt: skip
    height = path.max(axis=1) - path.min(axis=1)
    realised = 100 * np.sqrt(np.mean(height**2) / (4 * np.log(2)) * 365)
    assert 54 < realised < 63
    assert (np.abs(value("iv_premium", view)[5]) < 0.25).all()


def test_calls_dearer_than_puts_are_bullish(make_view, edit):
    view = edit(make_view(), outside={"skew_25d": 3.5, "term_slope": -8.0})
    np.testing.assert_array_equal(value("skew", view), 3.5)
    np.testing.assert_array_equal(value("term_slope", view), -8.0)


@pytest.mark.parametrize(("sigmas", "want"), [
    (0.5, -0.5), (1.0, -1.0), (1.5, -0.5), (2.0, 0.0), (2.5, 0.5), (9.0, 2.0), (-1.0, 1.0),
    (-2.5, -0.5),
])  # fmt: skip
def test_puts_are_bearish_until_they_are_too_many(sigmas, want, make_view, edit):
    view = make_view()
    logs = np.where(np.arange(61) % 2, 0.05, -0.05) - 0.5
    logs[-1] = -0.5 + 0.05 * sigmas
    out = value("put_call_ratio", edit(view, outside={"put_call_oi": course(view, np.exp(logs))}))
    np.testing.assert_allclose(out, want, atol=1e-9)
