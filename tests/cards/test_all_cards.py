"""What must hold of every card there is: mirror, scale, missing data, catalogue, docstring."""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from engine.cards.card import CATEGORIES, Card, registry
from engine.clock import NS
from engine.config import choose, load, read_layers
from engine.decision.decide import Decider
from engine.decision.timeframes import ABSENT
from engine.market.mirror import mirror
from engine.market.view import BARS, WINDOWS, Array, View

CARDS = registry()
PLACE = {card.id: n for n, card in enumerate(CARDS)}
INPUTS = (
    *("trades", "book", "mark", "funding", "oi", "liq", "ratio", "bars", "options"),
    *("quotes", "onchain", "defi", "mood", "news"),
)
NEEDS = (*INPUTS, "venues")
AGES = (*INPUTS, *(f"venues:{need}" for need in INPUTS))
CATALOGUE = Path(__file__).parents[2].parent / "shared" / "design" / "signals.yaml"
# It compares with a whole window ago, which a dozen steps do not reach.
AFTER_A_WINDOW = {"agreement_velocity"}
# The catalogue takes it for a flow; it is a level, on one side where a venue's rules are its own.
SCALED = {"funding_divergence": "centred"}
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
STEPS = 12
each = pytest.mark.parametrize("card", CARDS, ids=[card.id for card in CARDS])


def value(card: Card, view: View) -> Array:
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return card.compute(view)


@pytest.fixture(scope="module")
def views(make_view: Callable[..., View]) -> list[View]:
    """A dozen markets ten seconds apart."""
    return [
        replace(make_view(seed=seed), now=make_view(seed=0).now + seed * 10 * NS)
        for seed in range(STEPS)
    ]


@pytest.fixture(scope="module")
def run() -> Callable[[list[View]], Decider]:
    """A fresh decider that has seen these views, every input fed and new."""
    config = load(overrides=choose(read_layers(), SYMBOLS))[0]

    def through(views: list[View]) -> Decider:
        decider = Decider(config, CARDS, dict.fromkeys(SYMBOLS, frozenset(NEEDS)))
        for view in views:
            decider.step(view, dict.fromkeys(AGES, np.zeros(len(SYMBOLS))))
        return decider

    return through


@pytest.fixture(scope="module")
def kept_view(make_view: Callable[..., View]) -> Callable[..., View]:
    """make_view, each asked for only once."""
    return cache(make_view)


def torn(view: View, gaps: Array) -> View:
    """The view with `gaps` (symbols,) added to all that is known of a symbol: NaN tears it out."""

    def less(part: Any) -> Any:
        kept = {f.name: getattr(part, f.name) for f in fields(part)}
        return replace(part, **{
            n: x + gaps for n, x in kept.items()
            if isinstance(x, np.ndarray) and x.dtype == np.float64 and n != "step"
        })  # fmt: skip

    parts = ("bars", "spans", "footprint", "venues", "liquidations", "calendar", "news", "first")
    return replace(
        view,
        **{name: less(getattr(view, name)) for name in parts},
        outside={name: x + gaps for name, x in view.outside.items()},
    )


def partner(card: Card) -> int:
    return PLACE[card.twin or card.id]


def differing(one: Decider, other: Decider, mirrored: bool) -> list[str]:
    """Cards whose window scores are not the same to 1e-6, or their partner's with the sign turned.

    Cards that are exempt from the mirror count only outside it.
    """
    bad = []
    for mode in ("scalp", "day", "swing"):
        left, right = one.readings[mode].by_window, other.readings[mode].by_window
        for card in (c for c in CARDS if not (mirrored and c.mirror_exempt)):
            a = left[:, PLACE[card.id]]
            b = -right[:, partner(card)] if mirrored else right[:, PLACE[card.id]]
            if not np.allclose(a, b, rtol=0, atol=1e-6, equal_nan=True):
                bad.append(f"{mode} {card.id}: {np.nanmax(np.abs(a - b))}")
    return bad


@pytest.mark.slow
def test_scores_mirror_from_the_view_to_the_decision(
    views: list[View], run: Callable[[list[View]], Decider]
) -> None:
    one, other = run(views), run([mirror(view) for view in views])
    assert differing(one, other, mirrored=True) == []
    for mode in ("scalp", "day", "swing"):
        a, b = one.readings[mode], other.readings[mode]
        twins = [partner(card) for card in CARDS]
        exact = np.array([not card.mirror_exempt for card in CARDS])
        off = np.abs(a.score.astype(int) + b.score[twins])
        absent = (a.score == ABSENT) & (b.score[twins] == ABSENT)
        assert ((off <= 1) | absent)[exact].all()


@pytest.mark.slow
def test_scores_do_not_depend_on_the_unit_of_price(
    views: list[View],
    run: Callable[[list[View]], Decider],
    shift_prices: Callable[[View, float], View],
) -> None:
    """Prices x 1000, sizes / 1000: notional stays, logs move by ln 1000."""
    one, other = run(views), run([shift_prices(view, log(1000)) for view in views])
    assert differing(one, other, mirrored=False) == []


@pytest.mark.slow
def test_every_card_scores_in_every_window_that_it_has(
    views: list[View], run: Callable[[list[View]], Decider]
) -> None:
    decider = run(views)
    for mode, lanes in zip(("scalp", "day", "swing"), decider.lanes.slices, strict=True):
        by_window = decider.readings[mode].by_window
        assert (np.abs(by_window[~np.isnan(by_window)]) <= 1).all()
        has = np.array([[symbol != card.lacks for symbol in SYMBOLS] for card in CARDS])
        known = (~np.isnan(by_window) | ~has).all(axis=2)
        wrong = known != decider.lanes.exists[lanes]
        off = {card.id for card, bad in zip(CARDS, wrong.any(axis=0), strict=True) if bad}
        assert off <= AFTER_A_WINDOW


@each
def test_finite_where_the_data_is_whole(card: Card, views: list[View]) -> None:
    for view in views[:4]:
        found = value(card, view)
        shape = (len(WINDOWS), len(view.symbols))
        assert found.shape == ((3, *shape) if card.second else shape)
        assert found.dtype == np.float64
        spans = [card.spans[0] <= w.span <= card.spans[1] for w in WINDOWS]
        symbols = [symbol != card.lacks for symbol in view.symbols]
        assert np.isfinite(found[..., spans, :][..., symbols]).all()
        assert np.isnan(found[..., [not s for s in symbols]]).all()


@each
def test_not_one_number_is_made_up(card: Card, make_view: Callable[..., View]) -> None:
    view = torn(make_view(), np.full(3, np.nan))
    assert np.isnan(value(card, view)).all() or card.needs == ("calendar",)


@each
def test_a_symbol_stands_alone(card: Card, kept_view: Callable[..., View]) -> None:
    """Missing data of one symbol is its own and nobody else's."""
    whole = kept_view(seed=4)
    gaps = np.zeros(3)
    gaps[1] = np.nan
    one, other = value(card, whole), value(card, torn(whole, gaps))
    if not card.peers:
        np.testing.assert_array_equal(one[..., [0, 2]], other[..., [0, 2]])
    if card.scope != "market":
        assert np.isnan(other[..., 1]).all()


@each
@pytest.mark.parametrize("known", [0, 1, 2, 7, 8, 14, 15, 29, 56, 61, 90])
def test_short_history_is_unknown_or_finite(
    card: Card, known: int, kept_view: Callable[..., View]
) -> None:
    found = value(card, kept_view(known_bars=min(known, BARS), known_spans=min(known, 61)))
    assert not np.isinf(found).any()


@each
def test_two_calls_are_equal_and_leave_the_view_alone(
    card: Card, make_view: Callable[..., View]
) -> None:
    view, copy = make_view(seed=6), make_view(seed=6)
    one, other = value(card, view), value(card, view)
    assert one.tobytes() == other.tobytes()
    for part in ("bars", "spans", "footprint", "venues", "liquidations", "calendar", "first"):
        for field in fields(getattr(view, part)):
            np.testing.assert_array_equal(
                getattr(getattr(view, part), field.name), getattr(getattr(copy, part), field.name)
            )
    for name, series in view.outside.items():
        np.testing.assert_array_equal(series, copy.outside[name])


@each
def test_a_window_stands_alone(
    card: Card, kept_view: Callable[..., View], pick_windows: Callable[..., View]
) -> None:
    """Warm-up asks for one window at a time; only levels over all windows may differ."""
    view = kept_view(seed=8)
    whole = value(card, view)
    for place in range(len(WINDOWS)):
        alone = value(card, pick_windows(view, [place]))
        if card.level:
            assert alone.shape[-2:] == (1, 3)
        else:
            np.testing.assert_allclose(
                alone[..., 0, :], whole[..., place, :], rtol=1e-9, atol=1e-12
            )


@each
def test_the_docstring_tells_formula_sign_and_source(card: Card) -> None:
    text = " ".join((card.compute.__doc__ or "").split())
    assert len(card.formula) > 15
    assert "Sign:" in text
    assert "Units:" in text
    assert len(card.source) > 10
    assert text.index("Sign:") < text.index("Source:")


@each
def test_twins_and_exemptions_are_declared(card: Card) -> None:
    if card.twin:
        assert CARDS[PLACE[card.twin]].twin == card.id
    if card.mirror_exempt:
        assert len(card.mirror_exempt) > 10, "an exemption names its reason"


def test_the_categories_are_whole() -> None:
    assert len({card.id for card in CARDS}) == len({card.name for card in CARDS}) == len(CARDS)


@pytest.mark.skipif(not CATALOGUE.is_file(), reason="the catalogue is not beside the checkout")
def test_the_registry_is_the_catalogue() -> None:
    listed = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    facts = [(c["category"], c["name"], c["group"]) for c in listed]
    assert [(c.id, c.name, c.group) for c in CATEGORIES] == facts
    wanted = {
        entry["id"]: (category["category"], entry["name"], set(entry["needs"]),
                      entry.get("scope", "symbol"), entry.get("role", "direction"),
                      SCALED.get(entry["id"], entry.get("scale", "std")))
        for category in listed
        for entry in category["cards"]
        if entry["id"] in PLACE
    }  # fmt: skip
    found = {
        card.id: (card.category, card.name, set(card.needs), card.scope, card.role, card.scale)
        for card in CARDS
    }
    assert found == wanted
