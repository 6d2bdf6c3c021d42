"""config.yaml as typed structs; a wrong file is one sentence: file, key, what is allowed."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from functools import reduce
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import platformdirs
from msgspec import Meta, Struct

from engine.alert_rules import AlertRule as AlertRule
from engine.alert_rules import AlertsConfig as AlertsConfig
from engine.instruments import Instrument
from engine.schema import ConfigError as ConfigError
from engine.schema import (
    Keys,
    NonNegative,
    Positive,
    SymbolId,
    dotted,
    find_fault,
    is_timezone,
    no_such_key,
    read,
)

APP = "blackperp-cockpit"
WINDOWS: dict[str, int] = {"10s": 10, "1m": 60, "5m": 300, "1h": 3600, "4h": 14400, "1d": 86400}
MODES = ("scalp", "day", "swing")
COMMAND_LINE = "command line"
BUILT_IN = "built in"
# Mappings whose keys are fixed by the default file, though their type would take any.
CLOSED = ("categories", "freshness", "feeds", "feeds.*.urls", "feeds.*.every")
_MISSING = object()

CategoryWeight = Annotated[float, Meta(ge=0, le=4)]
Url = Annotated[
    str,
    Meta(pattern="^(wss?|https?)://", description="a URL that begins with wss:// or https://"),
]

Instant = Annotated[
    datetime, Meta(tz=True, description="a time with its zone, as in 2026-12-09T19:00:00Z")
]


class SymbolEntry(Struct, frozen=True, forbid_unknown_fields=True):
    id: SymbolId
    group: str = msgspec.field(name="class", default="layer1")


class FeedConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One feed: where it is, what of it is wanted, how much of its budget may be used.

    `request_weight` and `connects` are per minute; `every`: seconds between polls, by their name.
    """

    urls: dict[str, Url]
    enabled: bool = True
    compression: bool = False
    streams: list[str] = []
    request_weight: Positive = 1200.0
    connects: Positive = 30.0
    every: dict[str, Positive] = {}
    backfill: bool = True


class ConnectionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    connect_timeout: Positive = 10.0
    backoff: Positive = 0.5
    backoff_max: Positive = 30.0
    blocked_retry: Positive = 900.0
    coalesce: NonNegative = 0.01


class ModeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    every: Annotated[int, Meta(ge=10, multiple_of=10)]
    windows: dict[Literal["10s", "1m", "5m", "1h", "4h", "1d"], Positive]
    lookback: Positive
    horizon: Positive
    gain: Positive

    def __post_init__(self) -> None:
        if not self.windows:
            raise ValueError("windows: empty; at least one is needed")


class RegimeConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Short over long volatility at which a regime begins, and what it then damps."""

    compression: Annotated[float, Meta(gt=0, lt=1)] = 0.7
    expansion: Annotated[float, Meta(gt=1, le=10)] = 1.5
    damping: Annotated[float, Meta(ge=0, le=1)] = 0.5
    compression_damps: tuple[str, ...] = ("momentum",)
    expansion_damps: tuple[str, ...] = ("statistical",)


class DecisionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    dead_band: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    state_cuts: tuple[Positive, Positive] = (20.0, 40.0)
    ladder: tuple[Positive, Positive, Positive] = (20.0, 40.0, 60.0)
    edges: tuple[NonNegative, NonNegative, NonNegative] = (0.0, 4.0, 8.0)
    hysteresis: NonNegative = 5.0
    min_cards: Annotated[int, Meta(ge=1)] = 5
    min_coverage: Annotated[float, Meta(ge=0, le=1)] = 0.05
    gain_note: str = ""
    regime: RegimeConfig = RegimeConfig()

    def __post_init__(self) -> None:
        for name in ("ladder", "state_cuts"):
            cuts = list(getattr(self, name))
            if cuts != sorted(cuts):
                raise ValueError(f"{name}: is {cuts}; must rise from one to the next")


class MarketConfig(Struct, frozen=True, forbid_unknown_fields=True):
    reference_venue: str = "binance"


class CostsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """`taker_bps`: fee of the reference venue in bps of notional, each way."""

    taker_bps: Annotated[float, Meta(ge=-10, le=100)] = 5.0


class CalendarConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Scheduled macro releases (FOMC, CPI, payrolls), with their time zone."""

    releases: list[Instant] = []


class KeepDays(Struct, frozen=True, forbid_unknown_fields=True):
    bars: Positive = 400.0
    decisions: Positive = 400.0
    scores: Positive = 60.0
    health: Positive = 30.0


class StoreConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """`checkpoint_minutes`: between states kept for a restart; 0, at a clean stop alone."""

    path: str | None = None
    keep_days: KeepDays = KeepDays()
    vacuum_hours: Positive = 24.0
    checkpoint_minutes: NonNegative = 15.0


class RecordingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    path: str | None = None
    level: Annotated[int, Meta(ge=1, le=19)] = 6


# Columns of the cockpit's grid; each category is one too, by its id.
GRID_COLUMNS = (
    "symbol", "price", "change", "bias", *MODES, "conviction", "decision", "arrows", "agreement",
    "coverage", "cards", "state", "strip", "spark", "spread", "funding", "funding_year", "oi",
    "liquidated", "liq_long", "liq_short", "liq_side", "class", "age",
)  # fmt: skip


def grid_columns(categories: Collection[str]) -> list[str]:
    """Every id a preset of columns may name; the category Funding is `funding_category`."""
    taken = [f"{c}_category" if c in GRID_COLUMNS else c for c in categories]
    return [*GRID_COLUMNS, *taken]


class CockpitConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """`presets`: columns by the name of a set, most wanted first; `flash`: bright new digits."""

    paint_hz: Annotated[float, Meta(ge=0.2, le=10)] = 4.0
    theme: Literal["dark", "light", "colour-blind", "colour-blind-light", "ansi-16"] = "dark"
    glyphs: Literal["braille", "block", "ascii"] = "braille"
    mouse: bool = True
    mode: Literal["scalp", "day", "swing"] = "day"
    timezone: str = "local"
    flash: bool = True
    presets: dict[
        Annotated[str, Meta(min_length=1, max_length=12, description="a name of 1 to 12 letters")],
        Annotated[list[str], Meta(min_length=1, description="a list of columns, one at least")],
    ] = {}
    # Keys by action; the cockpit knows which actions and keys there are.
    keymap: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not is_timezone(self.timezone):
            raise ValueError(
                f"timezone: is '{self.timezone}'; must be local, UTC or a name such as"
                " Europe/Berlin"
            )


class LogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    path: str | None = None


class Modes(Struct, frozen=True, forbid_unknown_fields=True):
    scalp: ModeConfig
    day: ModeConfig
    swing: ModeConfig

    def __getitem__(self, mode: str) -> ModeConfig:
        found: ModeConfig = getattr(self, mode)
        return found


class ModeWeights(Struct, frozen=True, forbid_unknown_fields=True):
    scalp: CategoryWeight = 1.0
    day: CategoryWeight = 1.0
    swing: CategoryWeight = 1.0


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in force; `sources` names the files it came from, least first."""

    symbols: Annotated[list[SymbolEntry], Meta(min_length=1, max_length=100)]
    feeds: dict[str, FeedConfig]
    modes: Modes
    categories: dict[str, CategoryWeight | ModeWeights]
    connection: ConnectionConfig = ConnectionConfig()
    decision: DecisionConfig = DecisionConfig()
    class_priors: dict[str, dict[str, CategoryWeight]] = {}
    freshness: dict[str, Positive] = {}
    market: MarketConfig = MarketConfig()
    costs: CostsConfig = CostsConfig()
    calendar: CalendarConfig = CalendarConfig()
    store: StoreConfig = StoreConfig()
    recording: RecordingConfig = RecordingConfig()
    cockpit: CockpitConfig = CockpitConfig()
    alerts: AlertsConfig = AlertsConfig()
    log: LogConfig = LogConfig()

    def __post_init__(self) -> None:
        ids = [entry.id for entry in self.symbols]
        if twice := {i for i in ids if ids.count(i) > 1}:
            raise ValueError(f"symbols: {min(twice)} is listed twice; keep one")
        columns = grid_columns(self.categories)
        for name, chosen in self.cockpit.presets.items():
            if strange := [c for c in chosen if c not in columns]:
                allowed = ", ".join(columns)
                raise ValueError(
                    f"cockpit.presets.{name}: '{strange[0]}' is no column; allowed are {allowed}"
                )
        named = {f"class_priors.{group}": list(p) for group, p in self.class_priors.items()}
        for n, rule in enumerate(self.alerts.rules):
            named[f"alerts.rules[{n}].categories"] = rule.categories
        for place, names in named.items():
            if unknown := set(names) - set(self.categories):
                allowed = no_such_key(sorted(self.categories))
                raise ValueError(f"{place}.{min(unknown)}: {allowed}")

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(Instrument(id=e.id, group=e.group) for e in self.symbols)

    @property
    def modes_in_order(self) -> tuple[ModeConfig, ...]:
        return tuple(self.modes[mode] for mode in MODES)

    def category_weight(self, category: str, mode: str) -> float:
        """Prior weight of a category in a mode; 1 where the config says nothing."""
        weight = self.categories.get(category, 1.0)
        return float(getattr(weight, mode)) if isinstance(weight, ModeWeights) else float(weight)


class Layer(Struct, frozen=True):
    """One origin of settings, such as a file; `name` is shown to the user."""

    name: str
    values: dict[str, Any]


def default_path() -> Path:
    """The packaged config.yaml; in an editable checkout the one at its top."""
    packaged = Path(__file__).parent / "config.yaml"
    return packaged if packaged.exists() else Path(__file__).parent.parent / "config.yaml"


def user_path() -> Path:
    """Where the user's own config lives, whether or not it exists."""
    return Path(platformdirs.user_config_dir(APP)) / "config.yaml"


def find_user_file(explicit: str | Path | None = None) -> Path | None:
    """--config, then $BLACKPERP_CONFIG, then the user's config; never the current folder.

    Raises ConfigError when a file that was asked for by name is not there.
    """
    asked = (("--config", explicit), ("BLACKPERP_CONFIG", os.environ.get("BLACKPERP_CONFIG")))
    for origin, value in asked:
        if value:
            path = Path(value).expanduser()
            if not path.is_file():
                raise ConfigError(f"{path}: no such file (from {origin}); name a YAML file")
            return path
    return user_path() if user_path().is_file() else None


def load(
    explicit: str | Path | None = None,
    overrides: dict[str, Any] | None = None,
    known_feeds: Collection[str] = (),
) -> tuple[Config, list[Path]]:
    """The config in force and the files it came from.

    The user's file is merged over the default key by key; lists replace lists. `overrides` come
    last (command line). `known_feeds`: names of feeds there are beside the default's. Raises
    ConfigError.
    """
    layers = read_layers(explicit, overrides)
    files = [Path(layer.name) for layer in layers if layer.name != COMMAND_LINE]
    return combine(layers, known_feeds), files


def read_layers(
    explicit: str | Path | None = None, overrides: dict[str, Any] | None = None
) -> list[Layer]:
    """The default, the user's file and the command line's settings, least first."""
    files = [default_path(), find_user_file(explicit)]
    layers = [Layer(str(path), read(path)) for path in files if path is not None]
    return [*layers, Layer(COMMAND_LINE, overrides)] if overrides else layers


def combine(layers: Sequence[Layer], known_feeds: Collection[str] = ()) -> Config:
    """One typed config of all layers; the first is the default and fixes which names there are."""
    for layer in layers[1:]:
        _check_closed(layer, layers[0].values, known_feeds)
    merged = reduce(merge, (layer.values for layer in layers))
    return _typed(merged, lambda keys: origin(layers, keys))


def choose(
    layers: Sequence[Layer], symbols: Sequence[str] = (), feeds: Sequence[str] = ()
) -> dict[str, Any]:
    """Overrides that keep only these symbols and feeds; a known symbol keeps its class.

    Raises ConfigError for a feed that is not in the config.
    """
    merged = reduce(merge, (layer.values for layer in layers))
    out: dict[str, Any] = {}
    if symbols:
        listed = merged.get("symbols") or []
        known = {e["id"]: e for e in listed if isinstance(e, dict) and "id" in e}
        out["symbols"] = [known.get(s.upper(), {"id": s.upper()}) for s in symbols]
    if feeds:
        there = merged.get("feeds") or {}
        if unknown := set(feeds) - set(there):
            raise ConfigError(f"--feeds: no feed {min(unknown)}; there is {', '.join(there)}")
        out["feeds"] = {name: {"enabled": name in feeds} for name in there}
    return out


def parse(raw: dict[str, Any], source: str) -> Config:
    """Typed config of plain data; raises ConfigError naming `source` and the key."""
    return _typed(raw, lambda keys: source)


def _typed(raw: dict[str, Any], source_of: Callable[[Keys], str]) -> Config:
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        fault = find_fault(Config, raw) or ((), str(error))
    except RecursionError:
        fault = (), "an alias refers to itself; write its values out"
    keys, sentence = fault
    raise ConfigError(f"{source_of(keys)}: {dotted(keys)}: {sentence}")


def origin(layers: Sequence[Layer], keys: Keys) -> str:
    """The last layer that says something about a key; the last file where none does.

    Lists replace lists, so what is in one comes from where the whole list does.
    """
    keys = tuple(takewhile(lambda key: isinstance(key, str), keys))
    for layer in reversed(layers):
        if _holds(layer.values, keys):
            return layer.name
    return [layer.name for layer in layers if layer.name != COMMAND_LINE][-1]


def in_force(config: Config, layers: Sequence[Layer]) -> dict[str, tuple[Any, str]]:
    """Every value by its dotted key, with the layer it came from."""
    out: dict[str, tuple[Any, str]] = {}

    def visit(value: Any, keys: Keys) -> None:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                visit(item, (*keys, key))
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for n, item in enumerate(value):
                visit(item, (*keys, n))
        else:
            said = any(_holds(layer.values, keys) for layer in layers)
            out[dotted(keys)] = value, origin(layers, keys) if said else BUILT_IN

    visit(msgspec.to_builtins(config), ())
    return out


def _holds(values: Any, keys: Keys) -> bool:
    return _find(values, keys) is not _MISSING


def _find(values: Any, keys: Keys) -> Any:
    for key in keys:
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            return _MISSING
    return values


def _check_closed(layer: Layer, default: dict[str, Any], extra: Collection[str]) -> None:
    """Refuse keys that the default does not have, in the mappings that CLOSED names."""
    for pattern in CLOSED:
        for keys in _places(layer.values, pattern.split(".")):
            own, known = _find(layer.values, keys), _find(default, keys)
            if not (isinstance(own, dict) and isinstance(known, dict)):
                continue
            allowed = sorted({*known, *(extra if keys == ("feeds",) else ())})
            for key in own:
                if key not in allowed:
                    place = dotted((*keys, str(key)))
                    raise ConfigError(f"{layer.name}: {place}: {no_such_key(allowed)}")


def _places(values: Any, pattern: Sequence[str], at: Keys = ()) -> Iterator[Keys]:
    """Where a pattern with '*' for any key leads in nested mappings."""
    if not pattern:
        yield at
    elif isinstance(values, dict):
        for key in values if pattern[0] == "*" else {pattern[0]} & values.keys():
            yield from _places(values[key], pattern[1:], (*at, key))


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, mappings key by key, everything else replaced.

    A mode's windows are replaced whole: their weights belong together.
    """
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        both = isinstance(old, dict) and isinstance(value, dict) and key != "windows"
        out[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return out
