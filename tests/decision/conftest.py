"""Cards that read their raw measure from a table, and a config of three symbols to run them in."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from engine.cards.card import Card
from engine.clock import NS
from engine.config import Config, choose, load, read_layers
from engine.decision.decide import STEP_S, Decider, Decision
from engine.market.view import WINDOWS, Array, Window

START = 1_750_000_010 * NS
SYMBOLS = ("BTCUSDT", "DOGEUSDT", "AAVEUSDT")


@dataclass(frozen=True, eq=False)
class NoPrices:
    """Whole windows of which no price is known."""

    close: Array = field(default_factory=lambda: np.full((len(WINDOWS), 61, 3), np.nan))


@dataclass(frozen=True, eq=False)
class Table:
    """What a table card sees of an instant: raw measures (windows, cards, symbols)."""

    now: int
    raw: Array
    windows: tuple[Window, ...] = WINDOWS
    symbols: tuple[str, ...] = SYMBOLS
    spans: NoPrices = field(default_factory=NoPrices)


def _card(place: int, category: str = "order_flow", **facts: object) -> Card:
    facts.setdefault("needs", ("trades",))
    return Card(id=f"card_{place}", name=f"Card {place}", category=category,
                compute=lambda table: table.raw[:, place], **facts)  # fmt: skip


def _decks() -> tuple[Card, ...]:
    """Twelve cards in three categories with everything a card may declare."""
    return (
        *(_card(n) for n in range(4)),
        _card(4, scale="centred"),
        _card(5, scale="fixed", unit=2.0),
        _card(6, "momentum", prior=0.25, needs=("bars",)),
        _card(7, "momentum", level=True, needs=("bars",)),
        _card(8, "momentum", needs=("bars", "trades")),
        _card(9, "order_book", needs=("book",)),
        _card(10, "order_book", needs=("book",), cadence=300.0),
        _card(11, "order_book", needs=("book",), cadence=3600.0, scale="centred"),
    )


@pytest.fixture(scope="session")
def make_card() -> Callable[..., Card]:
    """make_card(place, category="order_flow", **facts): reads row `place` of the table."""
    return _card


@pytest.fixture(scope="session")
def deck() -> tuple[Card, ...]:
    return _decks()


@pytest.fixture(scope="session")
def config() -> Config:
    """The packaged settings for three symbols of three classes."""
    return load(overrides=choose(read_layers(), SYMBOLS))[0]


@pytest.fixture
def make_decider(config: Config, deck: tuple[Card, ...]) -> Callable[..., Decider]:
    """make_decider(cards=deck, fed=(...)): every symbol is fed these inputs."""

    def make(
        cards: tuple[Card, ...] = deck, fed: tuple[str, ...] = ("trades", "bars", "book")
    ) -> Decider:
        return Decider(config, cards, dict.fromkeys(SYMBOLS, frozenset(fed)))

    return make


@pytest.fixture(scope="session")
def play() -> Callable[..., list[Decision]]:
    """play(decider, raws, start=START, ages=0.0): one step each 10 s, all decisions in order."""

    def run(
        decider: Decider, raws: list[Array], start: int = START, ages: float = 0.0
    ) -> list[Decision]:
        old = dict.fromkeys(("trades", "bars", "book"), np.full(len(decider.symbols), ages))
        return [
            decision
            for n, raw in enumerate(raws)
            for decision in decider.step(Table(start + n * STEP_S * NS, raw), old)
        ]

    return run


@pytest.fixture(scope="session")
def random_raws() -> Callable[..., list[Array]]:
    """random_raws(steps, cards=12, seed=0, missing=0.1): autocorrelated measures with holes."""

    def make(steps: int, cards: int = 12, seed: int = 0, missing: float = 0.1) -> list[Array]:
        rng = np.random.default_rng(seed)
        shape = (len(WINDOWS), cards, len(SYMBOLS))
        level, out = rng.normal(0, 1, shape), []
        for _ in range(steps):
            level = 0.8 * level + 0.6 * rng.normal(0, 1, shape)
            out.append(np.where(rng.random(shape) < missing, np.nan, level * 10.0))
        return out

    return make
