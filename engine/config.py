"""config.yaml as typed structs; a wrong file is one sentence: file, key, what is allowed."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import platformdirs
import yaml
from msgspec import Meta, Struct

from engine.instruments import Instrument

APP = "blackperp-cockpit"
WINDOWS: dict[str, int] = {"10s": 10, "1m": 60, "5m": 300, "1h": 3600, "4h": 14400, "1d": 86400}
MODES = ("scalp", "day", "swing")

Positive = Annotated[float, Meta(gt=0, le=1e9)]
NonNegative = Annotated[float, Meta(ge=0, le=1e9)]
CategoryWeight = Annotated[float, Meta(ge=0, le=4)]


class ConfigError(Exception):
    """One sentence: which file, which key, what is allowed."""


class SymbolEntry(Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(pattern="^[A-Z0-9]{1,20}USDT$")]
    group: str = msgspec.field(name="class", default="layer1")


class FeedConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One feed: where it is, what of it is wanted, how much of its budget may be used."""

    urls: dict[str, Annotated[str, Meta(pattern="^(wss?|https?)://")]]
    enabled: bool = True
    compression: bool = False
    streams: list[str] = []
    request_weight: Positive = 1200.0
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
            raise ValueError("at least one window is needed")


class DecisionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    dead_band: Annotated[float, Meta(ge=0, lt=1)] = 0.05
    state_cuts: tuple[Positive, Positive] = (20.0, 40.0)
    ladder: tuple[Positive, Positive, Positive] = (20.0, 40.0, 60.0)
    edges: tuple[NonNegative, NonNegative, NonNegative] = (0.0, 4.0, 8.0)
    hysteresis: NonNegative = 5.0
    min_cards: Annotated[int, Meta(ge=1)] = 5
    min_coverage: Annotated[float, Meta(ge=0, le=1)] = 0.05
    gain_note: str = ""

    def __post_init__(self) -> None:
        if list(self.ladder) != sorted(self.ladder) or list(self.state_cuts) != sorted(
            self.state_cuts
        ):
            raise ValueError("cuts must rise")


class MarketConfig(Struct, frozen=True, forbid_unknown_fields=True):
    reference_venue: str = "binance"


class KeepDays(Struct, frozen=True, forbid_unknown_fields=True):
    bars: Positive = 400.0
    decisions: Positive = 400.0
    scores: Positive = 60.0
    health: Positive = 30.0


class StoreConfig(Struct, frozen=True, forbid_unknown_fields=True):
    path: str | None = None
    keep_days: KeepDays = KeepDays()
    vacuum_hours: Positive = 24.0


class RecordingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    path: str | None = None
    level: Annotated[int, Meta(ge=1, le=19)] = 6


class CockpitConfig(Struct, frozen=True, forbid_unknown_fields=True):
    paint_hz: Annotated[float, Meta(ge=0.2, le=10)] = 4.0
    theme: Literal["dark", "light"] = "dark"
    glyphs: Literal["braille", "ascii"] = "braille"
    mouse: bool = True
    mode: Literal["scalp", "day", "swing"] = "day"
    timezone: str = "local"


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
    store: StoreConfig = StoreConfig()
    recording: RecordingConfig = RecordingConfig()
    cockpit: CockpitConfig = CockpitConfig()
    log: LogConfig = LogConfig()

    def __post_init__(self) -> None:
        ids = [entry.id for entry in self.symbols]
        if twice := {i for i in ids if ids.count(i) > 1}:
            raise ValueError(f"symbol {min(twice)} is listed twice")
        for group, priors in self.class_priors.items():
            if unknown := set(priors) - set(self.categories):
                raise ValueError(f"class_priors.{group}: no category named {min(unknown)}")

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(Instrument(id=e.id, group=e.group) for e in self.symbols)

    def category_weight(self, category: str, mode: str) -> float:
        """Prior weight of a category in a mode; 1 where the config says nothing."""
        weight = self.categories.get(category, 1.0)
        return float(getattr(weight, mode)) if isinstance(weight, ModeWeights) else float(weight)


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
    for origin, value in (("--config", explicit), ("BLACKPERP_CONFIG", _environment())):
        if value:
            path = Path(value).expanduser()
            if not path.is_file():
                raise ConfigError(f"{path}: no such file (from {origin}); name a YAML file")
            return path
    return user_path() if user_path().is_file() else None


def _environment() -> str | None:
    return os.environ.get("BLACKPERP_CONFIG")


def load(
    explicit: str | Path | None = None, overrides: dict[str, Any] | None = None
) -> tuple[Config, list[Path]]:
    """The config in force and the files it came from.

    The user's file is merged over the default key by key; lists replace lists. `overrides` come
    last (command line). Raises ConfigError.
    """
    base = default_path()
    files = [base]
    merged = _read(base)
    user = find_user_file(explicit)
    if user is not None:
        own = _read(user)
        merged = merge(merged, own)
        files.append(user)
    if overrides:
        merged = merge(merged, overrides)
    return parse(merged, str(files[-1])), files


def parse(raw: dict[str, Any], source: str) -> Config:
    """Typed config of plain data; raises ConfigError naming `source` and the key."""
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_sentence(str(error))}") from None


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, mappings key by key, everything else replaced."""
    out = dict(base)
    for key, value in over.items():
        old = out.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        out[key] = merge(old, value) if both else value  # type: ignore[arg-type]
    return out


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{path}:{where} {problem}; mend the YAML there") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: the top level must be keys with values, such as 'log:'")
    return raw


_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?$", re.DOTALL)


def _sentence(message: str) -> str:
    """msgspec's 'Expected ... - at `$.a.b`' as 'a.b: ...', with the keys that are allowed there."""
    found = _AT.match(message)
    what, path = (found["what"], found["path"]) if found else (message, None)
    path = path or ""
    if unknown := re.match(r"Object contains unknown field `(.*)`", what):
        key = f"{path}.{unknown[1]}".strip(".")
        return f"{key}: no such key; allowed here: {', '.join(_allowed(path))}"
    if missing := re.match(r"Object missing required field `(.*)`", what):
        return f"{path}.{missing[1]}".strip(".") + ": missing; add it"
    what = what[:1].lower() + what[1:]
    return f"{path or 'top level'}: {what}"


def _allowed(path: str) -> list[str]:
    """Field names of the struct at a dotted path of the config."""
    kind: Any = Config
    for part in [p for p in re.split(r"\.|\[.*?\]", path) if p]:
        fields = {f.encode_name: f.type for f in msgspec.structs.fields(kind)}
        kind = fields.get(part, FeedConfig if kind is Config else None)
        kind = {"symbols": SymbolEntry, "feeds": FeedConfig, "categories": ModeWeights}.get(
            part, kind
        )
        if not (isinstance(kind, type) and issubclass(kind, Struct)):
            return []
    return [f.encode_name for f in msgspec.structs.fields(kind)]
