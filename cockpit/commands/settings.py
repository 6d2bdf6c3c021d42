"""`config check|init|show|keymap`."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import click

from cockpit.actions import ACTIONS
from cockpit.keymap import Keymap
from cockpit.settings import Failure, Settings, print_json, settle
from engine.config import COMMAND_LINE, ConfigError, default_path, in_force, user_path


def check(settings: Settings, file: str | None) -> None:
    """Say whether a config is fine; raises ConfigError, which says what is not."""
    settings.config = file or settings.config
    try:
        layers = settings.layers()
        config = settle(layers)
    except ConfigError as error:
        if settings.json:
            print_json({"ok": False, "error": str(error)})
        raise
    files = [layer.name for layer in layers if layer.name != COMMAND_LINE]
    if settings.json:
        print_json({"ok": True, "files": files})
        return
    feeds = [name for name, feed in config.feeds.items() if feed.enabled]
    click.echo(
        f"{files[-1]}: fine ({len(config.symbols)} symbols, feeds {', '.join(feeds) or 'none'})"
    )


def init(settings: Settings) -> None:
    """Write the default config to where it will be found; an existing file is left alone."""
    asked = settings.config or os.environ.get("BLACKPERP_CONFIG")
    path = Path(asked).expanduser() if asked else user_path()
    try:
        write_new(path, default_path().read_bytes())
    except FileExistsError:
        raise Failure(
            f"{path} is there already and was left alone; edit it, or move it away"
        ) from None
    except OSError as error:
        raise Failure(
            f"{path} cannot be written ({error.strerror}); name another with --config"
        ) from None
    if settings.json:
        print_json({"path": str(path)})
    else:
        click.echo(f"wrote {path}")


def write_new(path: Path, data: bytes) -> None:
    """Create a file in one step, whole or not at all; raises FileExistsError, OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        raise FileExistsError(str(path))
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".config-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        # Unlike a rename, a link never replaces what someone else wrote meanwhile.
        Path(path).hardlink_to(name)
    finally:
        with suppress(OSError):
            Path(name).unlink()


def show(settings: Settings) -> None:
    """Every value in force by its key, with its origin."""
    layers = settings.layers()
    values = in_force(settle(layers), layers)
    if settings.json:
        print_json(
            {
                "files": [layer.name for layer in layers if layer.name != COMMAND_LINE],
                "values": {key: {"value": v, "from": o} for key, (v, o) in values.items()},
            }
        )
        return
    short = {layer.name: layer.name for layer in layers} | {str(default_path()): "default"}
    shown = [(key, _yaml(value), short.get(o, o)) for key, (value, o) in values.items()]
    key_width = max(len(key) for key, _, _ in shown)
    for key, value, origin in shown:
        click.echo(f"{key:<{key_width}}  {value:<24}  {origin}")
    for layer in layers:
        if short[layer.name] == "default":
            click.echo(f"# default: {layer.name}")


def keymap(settings: Settings) -> None:
    """Every action with its keys, its default keys and what it does."""
    config = settings.load()
    mine, default = Keymap(config.cockpit.keymap), Keymap()
    plain = config.cockpit.glyphs == "ascii"
    if settings.json:
        print_json([{"id": a.id, "keys": mine.of(a.id), "default": default.of(a.id),
                     "help": a.help} for a in ACTIONS])  # fmt: skip
        return
    rows = [("action", "keys", "default", "what it does")]
    for a in ACTIONS:
        own, usual = mine.shown(a.id, plain), default.shown(a.id, plain)
        rows.append((a.id, own or "-", usual or "-", a.help))
    widths = [max(len(row[n]) for row in rows) for n in range(3)]
    for row in rows:
        lead = "  ".join(f"{text:<{size}}" for text, size in zip(row, widths, strict=False))
        click.echo(f"{lead}  {row[3]}")
    click.echo("# change them by cockpit.keymap in the config; the palette does all of it without")


def _yaml(value: object) -> str:
    import yaml

    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
