"""`export`: the history as CSV for pandas, DuckDB, a spreadsheet."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

import click

from cockpit.instants import moment, read_ago, read_instant
from cockpit.settings import APP, Failure, Settings
from cockpit.zones import zone
from engine.jobs.export import Wanted
from engine.jobs.export import export as write
from engine.store.paths import history_path
from engine.store.reader import Reader


def export(settings: Settings, what: str, start: str | None, end: str | None,
           symbols: tuple[str, ...], modes: tuple[str, ...], out: str) -> None:  # fmt: skip
    """Rows of the history to a file, which appears once it is whole, or to standard output.

    Raises StoreError where there is no history, Failure, UsageError.
    """
    config = settings.load()
    path = settings.db or history_path(config.store)
    with Reader(path) as reader:
        newest = reader.newest() or 0
        known = reader.symbols()
        chosen = tuple(symbol.upper() for symbol in symbols)
        if unknown := set(chosen) - set(known):
            raise _wrong(f"no symbol {min(unknown)} in {path}; there are {', '.join(known)}")
        tz = zone(config.cockpit.timezone)
        live = reader.meta.mode_of_data == "live"

        def instant(text: str | None, option: str, default: int) -> int:
            if text is None:
                return default
            if (ago := read_ago(text)) is not None:
                return newest - ago
            try:
                now = datetime.now(tz) if live else moment(newest, tz)
                return read_instant(text, tz, now.date)
            except ValueError as error:
                raise _wrong(f"{option}: {error}") from None

        first, after = instant(start, "--from", 0), instant(end, "--to", newest + 1)
        try:
            with _opened(out) as file:
                written = write(reader, what, Wanted(first, after, chosen, modes), file)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Failure(f"{out}: {error.strerror or error}; name another file") from None
        damaged = reader.damaged
    if not written.rows:
        click.echo(f"{APP}: {path} holds no {what} of that time", err=True)
    for count, why in ((written.skipped, "decisions of an older cockpit"),
                       (damaged, "damaged pieces of the history")):  # fmt: skip
        if count:
            click.echo(f"{APP}: {count} {why} left out", err=True)


@contextmanager
def _opened(out: str) -> Iterator[TextIO]:
    """Standard output, or a file beside its final name until it is whole."""
    if out == "-":
        file = TextIOWrapper(sys.stdout.buffer, "utf-8", newline="", write_through=False)
        try:
            yield file
            file.flush()
        finally:
            file.detach()
        return
    path = Path(out).expanduser()
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            yield file
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _wrong(sentence: str) -> click.UsageError:
    return click.UsageError(sentence, ctx=click.get_current_context())
