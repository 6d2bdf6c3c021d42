"""The alerts' part of config.yaml: the rules, and how alerts reach the terminal."""

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from engine.schema import NonNegative, SymbolId

Mode = Literal["scalp", "day", "swing"]
Severity = Literal["info", "warning", "error"]
State = Literal["NEUTRAL", "BULLISH", "BEARISH", "STRONG_BULLISH", "STRONG_BEARISH", "CONFLICTED"]
Turn = Literal["flip", "conflict", "deceleration", "exhaustion"]
# What each rule understands beside cooldown and severity.
RULE_KEYS: dict[str, tuple[str, ...]] = {
    "price": ("level", "direction", "hysteresis", "symbols"),
    "bias": ("level", "direction", "hysteresis", "symbols", "modes"),
    "state": ("states", "seconds", "symbols", "modes"),
    "feed_down": ("seconds", "partial", "feeds"),
    **dict.fromkeys(get_args(Turn), ("direction", "categories", "symbols", "modes")),
}


class AlertRule(Struct, frozen=True, forbid_unknown_fields=True):
    """One rule; empty lists mean all, of categories the composite itself.

    `hysteresis` in % of the level for a price, in points for a bias; `seconds` how long a state or
    a failure must stand; `cooldown` seconds between two alerts about the same thing.
    """

    rule: Literal["price", "bias", "state", "feed_down", Turn]
    level: Annotated[float, Meta(ge=-1e9, le=1e9)] | None = None
    direction: Literal["up", "down", "both"] = "both"
    hysteresis: NonNegative | None = None
    states: list[State] = []
    seconds: NonNegative | None = None
    partial: bool = False
    cooldown: NonNegative = 300.0
    severity: Severity = "warning"
    symbols: list[SymbolId] = []
    modes: list[Mode] = []
    feeds: list[str] = []
    categories: list[str] = []

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            name = field.name
            foreign = name not in ("rule", "cooldown", "severity", *RULE_KEYS[self.rule])
            if foreign and getattr(self, name) not in (None, [], False, "both"):
                keys = ", ".join(RULE_KEYS[self.rule])
                raise ValueError(f"{name}: not for rule {self.rule}, which takes {keys}")
        if self.rule in ("price", "bias") and self.level is None:
            raise ValueError("level: missing; add it")
        if self.rule == "price" and not self.symbols:
            raise ValueError("symbols: missing; a price level belongs to a symbol")
        if self.rule == "price" and (self.level or 0.0) <= 0:
            raise ValueError(f"level: is {self.level:g}; must be a price above 0")
        if self.rule == "bias" and abs(self.level or 0.0) > 100:
            raise ValueError(f"level: is {self.level:g}; must be from -100 to 100")


DEFAULT_RULES = (
    AlertRule("bias", level=40, direction="up", modes=["day", "swing"]),
    AlertRule("bias", level=-40, direction="down", modes=["day", "swing"]),
    AlertRule("state", states=["CONFLICTED"], seconds=120, cooldown=1800, modes=["day"],
              severity="info"),
    AlertRule("feed_down", seconds=30, severity="error"),
    AlertRule("feed_down", partial=True, seconds=300, cooldown=3600),
)  # fmt: skip


class AlertsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How alerts reach the terminal, and the rules; those of severity info are only shown."""

    bell: bool = True
    # YAML reads a bare `off` as false.
    desktop: Annotated[bool | Literal["off", "osc9"], Meta(description="off or osc9")] = False
    rules: list[AlertRule] = msgspec.field(default_factory=lambda: list(DEFAULT_RULES))

    def __post_init__(self) -> None:
        if self.desktop is True:
            raise ValueError("desktop: is true; must be off or osc9")
