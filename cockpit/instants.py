"""Instants as people write and read them, in their own time zone."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo

import click

NS = 1_000_000_000
ALLOWED = "2026-11-23T14:32, 14:32 or -10m"
_AGO = re.compile(r"-?(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_ago(text: str) -> int | None:
    """`-10m`, `2h`: how many ns before the newest there is; None for another form."""
    found = _AGO.fullmatch(text.strip())
    return None if found is None else round(float(found[1]) * _UNITS[found[2]] * NS)


def read_instant(text: str, tz: tzinfo | None, today: Callable[[], date]) -> int:
    """ISO, or HH:MM of `today`, as ns UTC; what names no zone is in `tz` (None: the machine's).

    Raises ValueError with what is allowed.
    """
    try:
        words = text.strip()
        if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", words):
            clock = words if words[2] == ":" else f"0{words}"
            at = datetime.combine(today(), time.fromisoformat(clock))
        else:
            at = datetime.fromisoformat(words)
        if at.tzinfo is None:
            at = at.astimezone() if tz is None else at.replace(tzinfo=tz)
        return (at - _EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"'{text}' is no time; give {ALLOWED}") from None


def show(ns: int, tz: tzinfo | None) -> str:
    """Day, time and zone."""
    return f"{moment(ns, tz):%Y-%m-%d %H:%M:%S %Z}"


def moment(ns: int, tz: tzinfo | None) -> datetime:
    """An instant in a time zone, None for the machine's."""
    return (_EPOCH + timedelta(microseconds=ns // 1000)).astimezone(tz)


class Since(click.Command):
    """A command whose `--since -10m` is `--since 10m`.

    Of an option that may stand alone, click takes a value's dash for the next option's.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for n, word in enumerate(args):
            if word[:1] == "-" and word[1:2].isdigit() and args[n - 1 : n] == ["--since"]:
                args[n] = word[1:]
        return super().parse_args(ctx, args)
