"""TradFi cards: plain references, the sign of obvious cases, the confluence of the four."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engine.cards.card import registry

CARDS = {c.id: c for c in registry() if c.category == "tradfi"}
FOUR = ("equity_index", "dollar_index", "volatility_index", "gold")
DAY = 5


def value(name, view):
    with np.errstate(invalid="ignore", divide="ignore"):
        return CARDS[name].compute(view)


def course(view, values):
    return np.broadcast_to(np.asarray(values, float)[:, None], view.spans.close.shape)


def slow_z(view, name, w):
    x = [float(v) for v in view.outside[name][w, :, 0]]
    moves = [2 * (b - a) / (b + a) for a, b in pairwise(x)]
    return moves[-1] / np.sqrt(np.mean(np.square(moves[:-1]))), moves


def slow(name, view, w):
    if name == "equity_index":
        return slow_z(view, name, w)[0]
    if name == "dollar_index":
        return -slow_z(view, name, w)[0]
    if name == "gold":
        z, moves = slow_z(view, name, w)
        return z * np.corrcoef(moves, np.diff(view.spans.close[w, :, 0]))[0, 1]
    level = float(view.outside["vix"][w, -1, 0])
    extreme = max(level - 35, 0) / 5
    return extreme - max(1 - extreme, 0) * slow_z(view, "vix", w)[0]


@pytest.mark.parametrize("name", FOUR)
@pytest.mark.parametrize("seed", [2, 8])
def test_equals_the_plain_reference_for_every_symbol(name, seed, make_view):
    view = make_view(seed=seed)
    want = [[slow(name, view, w)] * 3 for w in range(6)]
    np.testing.assert_allclose(value(name, view), want, rtol=1e-8)


def test_what_is_published_daily_exists_in_the_day_alone():
    assert {n for n in FOUR if CARDS[n].cadence == 86_400} == {"dollar_index", "volatility_index"}


def quoted(view, edit, name, last):
    steps = np.where(np.arange(61) % 2, 100.0, 101.0)
    steps[-1] = steps[-2] * (1 + last)
    return edit(view, outside={name: course(view, steps)})


@pytest.mark.parametrize(("name", "side"), [("equity_index", 1), ("dollar_index", -1)])
def test_two_usual_moves_up(name, side, make_view, edit):
    out = value(name, quoted(make_view(), edit, name, 0.02))
    np.testing.assert_allclose(out, side * 2.0, rtol=0.02)


def test_a_rest_is_no_move(make_view, edit):
    for name in ("equity_index", "dollar_index", "gold"):
        np.testing.assert_array_equal(value(name, quoted(make_view(), edit, name, 0.0)), 0.0)


def test_the_contract_comes_before_the_published_index(make_view, edit):
    view = quoted(make_view(), edit, "equity_index", 0.02)
    view = quoted(view, edit, "equity_index_daily", -0.02)
    assert (value("equity_index", view) > 1.9).all()
    known = {n: x for n, x in view.outside.items() if n != "equity_index"}
    out = value("equity_index", replace(view, outside=known))
    assert (out[DAY] < -1.9).all()
    assert np.isnan(out[:DAY]).all()


@pytest.mark.parametrize(("level", "last", "want"), [
    (16.0, 20.0, -1), (20.0, 16.0, 1), (30.0, 34.9, -1), (30.0, 45.0, 1), (55.0, 45.0, 1),
])  # fmt: skip
def test_fear_is_bearish_until_it_is_too_much(level, last, want, make_view, edit):
    steps = level * np.where(np.arange(61) % 2, 1.0, 1.05)
    steps[-2:] = level, last
    view = edit(make_view(), outside={"vix": course(make_view(), steps)})
    assert (np.sign(value("volatility_index", view)) == want).all()


def test_fear_does_not_jump_at_its_mark(make_view, edit):
    view = make_view()
    steps = np.where(np.arange(61) % 2, 33.0, 34.0)
    found = []
    for last in np.arange(33.5, 42.0, 0.01):
        steps[-1] = last
        vix = edit(view, outside={"vix": course(view, steps)})
        found.append(value("volatility_index", vix)[DAY, 0])
    assert np.abs(np.diff(found)).max() < 0.05


def test_gold_counts_as_bitcoin_goes_with_it(make_view, edit):
    view = make_view()
    walk = np.cumsum(np.random.default_rng(6).normal(0, 1e-3, 61))
    walk[-1] = walk[-2] + 2e-3
    risen = {"gold": course(view, 2600 * np.exp(walk))}
    along = edit(view, spans={"close": course(view, 11 + walk)}, outside=risen)
    assert (value("gold", along) > 1.5).all()
    against = edit(view, spans={"close": course(view, 11 - walk)}, outside=risen)
    assert (value("gold", against) < -1.5).all()


# -- the second pass


def scored(view, **scores):
    """The view with these cards' scores in every mode and window, NaN for the rest of the four."""
    by_window = view.first.by_window.copy()
    for name in FOUR:
        by_window[:, view.first.cards.index(name)] = scores.get(name, np.nan)
    return replace(view, first=replace(view.first, by_window=by_window))


@pytest.mark.parametrize(("scores", "want"), [
    ((0.6, 0.6, 0.6, 0.6), 0.6), ((0.4, 0.8, 0.0, 0.4), 0.4), ((0.5, -0.5, 0.3, -0.3), 0.0),
    ((-0.4, -0.2, 0.2, 0.0), -0.1 * 0.5),
])  # fmt: skip
def test_the_four_count_as_they_agree(scores, want, make_view):
    view = scored(make_view(), **dict(zip(FOUR, scores, strict=True)))
    np.testing.assert_allclose(value("tradfi_confluence", view), want, atol=1e-12)


def test_two_must_be_known(make_view):
    assert np.isnan(value("tradfi_confluence", scored(make_view(), gold=0.5))).all()
    two = scored(make_view(), gold=0.5, equity_index=0.3)
    np.testing.assert_allclose(value("tradfi_confluence", two), 0.4)
    assert value("tradfi_confluence", replace(two, first=None)).shape == (0, 6, 3)


def test_any_subset_of_the_cards_is_enough(make_view):
    view = scored(make_view(), gold=0.5, equity_index=0.3, dollar_index=0.2)
    keep = [view.first.cards.index(n) for n in ("gold", "equity_index")]
    first = view.first
    few = replace(
        first,
        cards=tuple(first.cards[n] for n in keep),
        categories=tuple(first.categories[n] for n in keep),
        **{n: getattr(first, n)[:, keep]
           for n in ("by_window", "score", "confidence", "weight", "category_weight")},
    )  # fmt: skip
    out = value("tradfi_confluence", replace(view, first=few))
    np.testing.assert_allclose(out, 0.4)


def test_an_inverted_card_counts_the_other_way(make_view):
    view = scored(make_view(), gold=-0.5, equity_index=0.5)
    weight = view.first.weight.copy()
    weight[:, view.first.cards.index("gold")] *= -1
    view = replace(view, first=replace(view.first, weight=weight))
    np.testing.assert_allclose(value("tradfi_confluence", view), 0.5)
