"""`alerts`: what the rules have said, from the history; for a second session, and for programs."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

import click
import msgspec

from cockpit.alerts.herald import LOUD
from cockpit.alerts.osc import BEL, plain
from cockpit.settings import APP, Settings
from cockpit.zones import zone
from engine.snapshot import Alert
from engine.store.paths import history_path
from engine.store.reader import Reader

_POLL_S = 1.0
Show = Callable[[Alert], str]


def alerts(settings: Settings, follow: bool, last: int) -> None:
    """The `last` alerts written, oldest first; with `follow` also those to come, until Ctrl-C.

    Raises StoreError where there is no history.
    """
    config = settings.load()
    path = settings.db or history_path(config.store)
    with Reader(path) as reader:
        data = reader.meta.mode_of_data
        show = _json(data) if settings.json else _line(data, zone(config.cockpit.timezone))
        newest = _print(reader.alerts(last=last), show)
        if not newest and not settings.json:
            click.echo(f"{APP}: no alert in {path} so far", err=True)
        bell = config.alerts.bell and not settings.json and sys.stdout.isatty()
        if follow:
            _follow(reader, newest, show, bell)


def _follow(reader: Reader, newest: int, show: Show, bell: bool) -> None:
    """Print what comes; Ctrl-C is the usual end of it."""
    try:
        while True:
            time.sleep(_POLL_S)
            found = reader.alerts(after=newest)
            newest = _print(found, show) or newest
            if bell and any(alert.severity in LOUD for _, alert in found):
                click.echo(BEL, nl=False)
    except KeyboardInterrupt:
        return


def _print(found: list[tuple[int, Alert]], show: Show) -> int:
    """Print alerts; returns the last one's id, 0 for none."""
    for _, alert in found:
        click.echo(show(alert))
    sys.stdout.flush()
    return found[-1][0] if found else 0


def _json(data: str) -> Show:
    """One object a line, with the mode of data it belongs to."""

    def show(alert: Alert) -> str:
        return msgspec.json.encode({"mode_of_data": data, **msgspec.to_builtins(alert)}).decode()

    return show


def _line(data: str, tz: tzinfo | None) -> Show:
    """Day and time, severity, what it is about, what happened; what is not live says so."""
    label = "" if data == "live" else f"{data.upper()}  "

    def show(alert: Alert) -> str:
        at = datetime.fromtimestamp(alert.ts / 1e9, UTC).astimezone(tz)
        about = alert.symbol or alert.feed or "-"
        return (
            f"{label}{at:%Y-%m-%d %H:%M:%S}  {plain(alert.severity):<7}  {plain(about):<12}  "
            f"{plain(alert.text)}"
        )

    return show
