"""A card: one pure function View -> (windows, symbols), and what the engine must know about it."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from engine.market.view import Array, View

Compute = Callable[[View], Array]
Need = Literal[
    "trades", "book", "mark", "funding", "oi", "liq", "ratio", "bars", "venues", "options",
    "quotes", "onchain", "defi", "mood", "news", "cards", "calendar",
]  # fmt: skip
Scope = Literal["symbol", "market", "some"]
Role = Literal["direction", "context"]
Scale = Literal["std", "centred", "fixed"]


class Category(Struct, frozen=True):
    """One of the 25; `group` is the family it is shown under."""

    id: str
    name: str
    group: str


CATEGORIES = tuple(
    Category(*line.split(" | "))
    for line in """\
composite_alpha | Composite Alpha | momentum
order_flow | Order Flow | momentum
order_book | Order Book | liquidity
smart_money | Smart Money | smart_money
liquidation | Liquidation | positioning
derivatives | Derivatives | positioning
funding | Funding | positioning
cross_exchange | Cross-Exchange | liquidity
volatility | Volatility | volatility
momentum | Momentum | momentum
market_structure | Market Structure | momentum
volume_profile | Volume Profile | liquidity
microstructure | Microstructure | liquidity
sentiment | Sentiment | positioning
on_chain | On-Chain | smart_money
defi | DeFi | liquidity
macro | Macro | volatility
tradfi | TradFi | volatility
options | Options | volatility
cross_asset | Cross-Asset | momentum
statistical | Statistical | momentum
regime | Regime | volatility
session_time | Session & Time | volatility
risk_management | Risk Management | volatility
meta_signals | Meta Signals | momentum""".splitlines()
)


class Card(Struct, frozen=True):
    """What is known of a card beside its value.

    `cadence`: seconds between new values of its input, 0 for live ones. `prior`: weight before
    anything is learned. `level`: its windows repeat one value. `twin`: the card it trades places
    with in the mirror. `mirror_exempt`: why it does not mirror, where it does not. `spans`: the
    shortest and the longest window it exists in, in seconds. `peers`: it reads other symbols too.
    `lacks`: the symbol that cannot have it. A card that needs cards is of the second pass: it gets
    a View with `first` and returns (modes, windows, symbols).
    """

    id: str
    name: str
    category: str
    needs: tuple[Need, ...]
    compute: Compute
    scope: Scope = "symbol"
    role: Role = "direction"
    scale: Scale = "std"
    unit: float = 1.0
    cadence: float = 0.0
    prior: float = 1.0
    level: bool = False
    twin: str = ""
    mirror_exempt: str = ""
    spans: tuple[int, int] = (0, 86_400)
    peers: bool = False
    lacks: str = ""

    @property
    def second(self) -> bool:
        return "cards" in self.needs

    @property
    def formula(self) -> str:
        """First paragraph of the docstring."""
        return self._paragraphs()[0]

    @property
    def source(self) -> str:
        """The docstring's 'Source:' paragraph, empty where it has none."""
        found = [p for p in self._paragraphs() if p.startswith("Source:")]
        return found[0].removeprefix("Source:").strip() if found else ""

    def _paragraphs(self) -> list[str]:
        text = self.compute.__doc__ or ""
        return [" ".join(p.split()) for p in text.split("\n\n") if p.strip()] or [""]


_registered: dict[str, Card] = {}


def card(
    category: str,
    id: str,
    name: str,
    *needs: Need,
    scope: Scope = "symbol",
    role: Role = "direction",
    scale: Scale = "std",
    unit: float = 1.0,
    cadence: float = 0.0,
    prior: float = 1.0,
    level: bool = False,
    twin: str = "",
    mirror_exempt: str = "",
    spans: tuple[int, int] = (0, 86_400),
    peers: bool = False,
    lacks: str = "",
) -> Callable[[Compute], Compute]:
    """Register the decorated function as a card; raises ValueError for an id taken twice."""
    if id in _registered or category not in {c.id for c in CATEGORIES}:
        raise ValueError(f"card {id}: id taken or no category {category}")

    def register(compute: Compute) -> Compute:
        _registered[id] = Card(
            id=id, name=name, category=category, needs=needs, compute=compute, scope=scope,
            role=role, scale=scale, unit=unit, cadence=cadence, prior=prior, level=level,
            twin=twin, mirror_exempt=mirror_exempt, spans=spans, peers=peers, lacks=lacks,
        )  # fmt: skip
        return compute

    return register


def registry() -> tuple[Card, ...]:
    """Every card of the modules in this folder, in the categories' order."""
    import engine.cards as folder

    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{folder.__name__}.{module.name}")
    place = {category.id: n for n, category in enumerate(CATEGORIES)}
    return tuple(sorted(_registered.values(), key=lambda c: place[c.category]))
