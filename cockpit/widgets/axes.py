"""Where the marks of an axis stand: round prices at the side, round times below."""

from datetime import UTC, datetime, tzinfo
from math import ceil, floor, log10

NS = 1_000_000_000
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAY = 86_400
STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, DAY,
         2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY)  # fmt: skip
LEAST_COLUMNS = 9
LABEL = 5


def round_values(low: float, high: float, most: int) -> list[float]:
    """Round values from low to high, at most so many."""
    if not high > low or most < 1:
        return []
    rough = (high - low) / most
    size = 10.0 ** floor(log10(rough))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= rough * (1 - 1e-9))
    return [n * step for n in range(ceil(low / step), floor(high / step) + 1)]


def offset(ts: int, zone: tzinfo | None) -> int:
    """Seconds by which a zone's clock is ahead of UTC at an instant."""
    ahead = datetime.fromtimestamp(ts / 1e9, UTC).astimezone(zone).utcoffset()
    return int(ahead.total_seconds()) if ahead is not None else 0


def times(start: int, seconds: float, columns: int, zone: tzinfo | None) -> list[tuple[int, str]]:
    """(column, label) of round times; column n begins `seconds` after column n - 1, `start` ns.

    Labels are `14:30`, at midnight the day; none where it would not fit.
    """
    step = next((s for s in STEPS if s >= LEAST_COLUMNS * seconds), STEPS[-1])
    out: list[tuple[int, str]] = []
    before = None
    ends = [offset(ts, zone) for ts in (start, start + round(columns * seconds * NS))]
    for column in range(columns):
        ts = start + round(column * seconds * NS)
        ahead = ends[0] if ends[0] == ends[1] else offset(ts, zone)
        mark = (ts // NS + ahead) // step
        if before is not None and mark != before and column <= columns - LABEL:
            out.append((column, label((mark * step - ahead) * NS, zone, step)))
        before = mark
    return out


def label(ts: int, zone: tzinfo | None, step: int = 60) -> str:
    """`14:30`; the day where one begins, or steps are days."""
    local = datetime.fromtimestamp(ts / 1e9, UTC).astimezone(zone)
    if step >= DAY or (local.hour, local.minute) == (0, 0):
        return f"{local.day} {MONTHS[local.month - 1]}"
    return f"{local:%H:%M}"


def moment(ts: int, zone: tzinfo | None, now: int) -> str:
    """`14:30`, with the day where that is not today's."""
    local = datetime.fromtimestamp(ts / 1e9, UTC).astimezone(zone)
    today = datetime.fromtimestamp(now / 1e9, UTC).astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M}"
    return f"{local.day} {MONTHS[local.month - 1]} {local:%H:%M}"
