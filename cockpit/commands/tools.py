"""Commands that need no running engine: decode, cards, doctor."""

import sys

import click
from click.exceptions import Exit

from cockpit.settings import Failure, Settings, print_json


def decode(settings: Settings, feed: str, file: str) -> None:
    """Events as JSON lines on standard output, a summary on stderr; fails if there are none."""
    config = settings.load()
    from engine.jobs.decode import decode as decode_input

    try:
        tally = decode_input(feed, file, sys.stdout.buffer, config)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failure(f"{file}: {error.strerror or error}; name a readable recording") from None
    click.echo(tally.summary(feed), err=True)
    for sample in tally.samples:
        click.echo(f"  {sample}", err=True)
    if not tally.events:
        raise Failure(f"nothing in {file} could be decoded; is it a recording of {feed}?")


def cards(settings: Settings) -> None:
    """The registry as a table or as JSON."""
    from engine.cards.card import CATEGORIES, registry

    groups = {category.id: category.group for category in CATEGORIES}
    if settings.json:
        names = ("id", "name", "category", "needs", "scope", "role", "scale", "formula", "source")
        rows = [
            {name: getattr(card, name) for name in names} | {"group": groups[card.category]}
            for card in registry()
        ]
        print_json(rows)
        return
    for card in registry():
        needs = ",".join(card.needs)
        click.echo(f"{card.category:<17} {card.id:<26} {needs:<14} {card.formula}")


def doctor(settings: Settings) -> None:
    """One line a check; fails only when the cockpit cannot start at all."""
    from cockpit.settings import log_path
    from engine.jobs.doctor import examine

    checks = examine(settings.layers, settings.db, log_path(settings.log))
    if settings.json:
        print_json(checks)
    else:
        for check in checks:
            click.echo(check.line())
    if any(check.fatal for check in checks):
        raise Exit(1)
