"""Missing data never inflates: what is left says what it said, and the bias is made of it alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as with_facts
from numpy.typing import NDArray

from engine.cards.card import Card, registry
from engine.clock import NS
from engine.config import MODES, choose, load, read_layers
from engine.decision.decide import ALWAYS, Decider, Decision, inputs_of
from engine.market.view import Array, View

Mask = NDArray[np.bool_]
CARDS = registry()
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
INPUTS = tuple(sorted({need for card in CARDS for need in inputs_of(card)} - ALWAYS))
STEPS = 8
# Cards that say what they say whoever else is there: neither of the second pass nor levels, which
# take their agreement from the others.
ALONE = np.array([not card.second and not card.level for card in CARDS])


def silent(view: View) -> Array:
    return np.full((len(view.windows), len(view.symbols)), np.nan)


def silent_too(view: View) -> Array:
    """As cards of the second pass answer."""
    return np.full((len(MODES), len(view.windows), len(view.symbols)), np.nan)


class World:
    """The same market for any set of cards."""

    def __init__(self, views: list[View]) -> None:
        self._views = views
        self._config = load(overrides=choose(read_layers(), SYMBOLS))[0]
        self.whole = self.decide(np.zeros(len(CARDS), dtype=bool))

    def __repr__(self) -> str:
        return "World()"

    def decide(self, gone: Mask) -> dict[str, Decision]:
        """The last decision of each mode where the cards `gone` (cards,) have no data."""
        cards = [
            with_facts(card, compute=silent_too if card.second else silent) if missing else card
            for card, missing in zip(CARDS, gone, strict=True)
        ]
        fed = dict.fromkeys(SYMBOLS, frozenset(INPUTS))
        heard = dict.fromkeys(INPUTS, np.zeros(len(SYMBOLS)))
        decider, last = Decider(self._config, cards, fed), {}
        for view in self._views:
            last |= {made.mode: made for made in decider.step(view, heard)}
        return last


@pytest.fixture(scope="module")
def world(make_view: Callable[..., View]) -> World:
    start = make_view(seed=0).now // (300 * NS) * 300 * NS
    at = [start - (STEPS - 1 - n) * 10 * NS for n in range(STEPS)]
    return World([replace(make_view(seed=n), now=now) for n, now in enumerate(at)])


@pytest.mark.slow
@given(share=st.floats(0.02, 0.9), seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_no_remaining_line_changes(world: World, share: float, seed: int) -> None:
    gone = np.random.default_rng(seed).random(len(CARDS)) < share
    less, stays = world.decide(gone), ALONE & ~gone
    for mode, before in world.whole.items():
        after = less[mode].parts
        assert np.array_equal(after.contribution[stays], before.parts.contribution[stays])
        assert not after.contribution[gone].any()
        # What a card weighs is shared out over those that a symbol can have.
        assert np.array_equal(after.possible, before.parts.possible)
        assert (after.coverage <= before.parts.coverage + 1e-12).all()
        # The bias is made of the lines that are left.
        known = ~np.isnan(after.bias)
        made = np.nansum(after.points, axis=0) + sum(after.lines.values())
        assert np.allclose(made[known], after.bias[known], rtol=0, atol=1e-9)


@pytest.mark.parametrize("mode", ["scalp", "day"])
@pytest.mark.parametrize("side", [1, -1])
def test_without_the_cards_of_one_side_the_bias_leaves_it(
    world: World, mode: str, side: int
) -> None:
    before = world.whole[mode].parts
    gone = ALONE & (side * before.contribution[:, 0] > 0)
    assert gone.any()
    assert side * world.decide(gone)[mode].parts.bias[0] < side * before.bias[0]


def test_the_cards_that_stand_alone_are_most_of_them() -> None:
    cards: list[Card] = [card for card, alone in zip(CARDS, ALONE, strict=True) if alone]
    assert len(cards) > 120
