"""The global options: what they override in the config, the log file, output in JSON."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.config import Config, Layer

APP = "blackperp-cockpit"
COLORS = ("auto", "truecolor", "256", "16", "mono")
GLYPHS = ("braille", "block", "ascii")
_COLOR_SYSTEMS = {"truecolor": "truecolor", "256": "256", "16": "standard"}
_LOG_BYTES = 5_000_000
_LOG_FILES = 3


class Failure(Exception):
    """The command could not do its work: one sentence with the mend; exit code 1."""


@dataclass(slots=True)
class Settings:
    """Global options as given; None where the config decides."""

    config: str | None = None
    db: Path | None = None
    log: str | None = None
    log_level: str | None = None
    symbols: str | None = None
    feeds: str | None = None
    color: str | None = None
    glyphs: str | None = None
    tz: str | None = None
    mouse: bool | None = None
    json: bool | None = None

    def layers(self) -> "list[Layer]":
        """Default, user's file, command line; raises ConfigError."""
        from engine.config import COMMAND_LINE, Layer, choose, read_layers

        files = read_layers(self.config)
        said = self._overrides() | choose(files, _names(self.symbols), _names(self.feeds))
        return [*files, Layer(COMMAND_LINE, said)] if said else files

    def load(self) -> "Config":
        """The config in force; raises ConfigError."""
        return settle(self.layers())

    def _overrides(self) -> dict[str, Any]:
        cockpit = {"glyphs": self.glyphs, "timezone": self.tz, "mouse": self.mouse}
        log = {"level": self.log_level, "path": self.log}
        groups: dict[str, dict[str, Any]] = {"cockpit": cockpit, "log": log}
        said = {g: {k: v for k, v in o.items() if v is not None} for g, o in groups.items()}
        return {group: options for group, options in said.items() if options}


def settle(layers: "list[Layer]") -> "Config":
    """One config of all layers, its keymap checked too; raises ConfigError."""
    from cockpit.keymap import Keymap, KeymapFault
    from engine.config import combine, origin
    from engine.feeds.feed import feed_names
    from engine.schema import ConfigError, dotted

    config = combine(layers, feed_names())
    try:
        Keymap(config.cockpit.keymap)
    except KeymapFault as fault:
        keys = ("cockpit", "keymap", fault.id)
        raise ConfigError(f"{origin(layers, keys)}: {dotted(keys)}: {fault.sentence}") from None
    return config


def _names(text: str | None) -> list[str]:
    return (text or "").replace(",", " ").split()


def harmless(said: str, most: int = 2000) -> str:
    """A line from outside without what could move a terminal's cursor, and of bearable length."""
    shown = said if said.isprintable() else "".join(c if c.isprintable() else " " for c in said)
    return shown if len(shown) <= most else f"{shown[:most]}..."


def apply_color(choice: str | None) -> None:
    """Tell Textual, which reads these when it is imported; TERM and COLORTERM stay the user's."""
    if choice == "mono":
        os.environ["NO_COLOR"] = "1"
    elif choice in _COLOR_SYSTEMS:
        os.environ.pop("NO_COLOR", None)
        os.environ["TEXTUAL_COLOR_SYSTEM"] = _COLOR_SYSTEMS[choice]


def log_path(chosen: str | None) -> Path:
    """The log file: as chosen, or in the platform's log folder."""
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_log_dir(APP)) / f"{APP}.log"


def start_log(config: "Config") -> Path:
    """Send all logging to a rotating file, nothing to the terminal; raises Failure."""
    import logging
    from logging.handlers import RotatingFileHandler

    path = log_path(config.log.path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(
            path, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES - 1, encoding="utf-8"
        )
    except OSError as error:
        raise Failure(
            f"the log file {path} cannot be written ({error.strerror}); name another with --log"
        ) from None
    form = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
    formatter = logging.Formatter(form, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = _utc
    handler.setFormatter(formatter)
    logging.basicConfig(level=config.log.level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    # A log that fails (a full disk) must not write over the screen.
    logging.raiseExceptions = False
    # One line a request would drown everything else.
    for name in ("httpx", "httpcore", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return path


def _utc(seconds: float | None) -> time.struct_time:
    return time.gmtime(seconds)


def print_json(value: Any) -> None:
    """One JSON document on standard output, indented; NaN becomes null."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    sys.stdout.buffer.write(text)
    sys.stdout.flush()
