"""What the sources of the context share: series of metrics, their end, their newest value."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import msgspec

from engine.clock import NS
from engine.events import Event, Metric
from engine.feeds.feed import DecodeError

VENUE = "context"
DAY = 86_400 * NS
KEPT = 60  # values of a series that an answer tells
LATEST = 9_000_000_000 * NS
_EPOCH = date(1970, 1, 1).toordinal()


def metrics(
    name: str,
    unit: str,
    source: str,
    points: Iterable[tuple[int, float]],
    recv: int | None,
    symbol: str | None = None,
) -> list[Event]:
    """The last values of a series as events, all but the newest one history.

    `points`: (ns at which the period the value is about has ended, value). Periods that still run
    at receipt are left out: their value is not known yet.
    """
    ended = dict(sorted(p for p in points if 0 <= p[0] <= (LATEST if recv is None else recv)))
    kept = list(ended.items())[-KEPT:]
    return [
        Metric(
            venue=VENUE,
            market="spot",
            symbol=symbol,
            ts=ts,
            recv=recv,
            history=at < len(kept),
            name=name,
            value=value,
            unit=unit,
            source=source,
        )
        for at, (ts, value) in enumerate(kept, 1)
    ]


def read(data: bytes | str, kind: Any) -> Any:
    """An answer in JSON as a type, numbers in strings allowed; raises msgspec's errors."""
    return msgspec.json.decode(data, type=kind, strict=False)


def day_ns(text: str) -> int:
    """ns at which a day such as `2026-11-22` begins, UTC; raises DecodeError."""
    try:
        return (date.fromisoformat(text[:10]).toordinal() - _EPOCH) * DAY
    except ValueError:
        raise DecodeError("malformed") from None
