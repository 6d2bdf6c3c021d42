"""Positioning: open interest, funding and liquidations by venue; how the accounts stand."""

from collections.abc import Sequence

from cockpit.theme import Ink
from cockpit.widgets import marks, text
from cockpit.widgets.flow import trend
from cockpit.widgets.scene import Scene
from cockpit.widgets.tables import (
    NS,
    Column,
    Tab,
    blank,
    fitting,
    heading,
    heads,
    is_old,
    known,
    old,
    row,
    said_age,
)
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import Course, Detail, VenuePosition

STALE = 900.0
# A funding of 0.05 % is coloured as strongly as a bias of 50.
FUNDING_SCALE = 1e5
NAMES = {
    "oi": "open interest", "funding": "funding 8h, over neutral", "taker_ratio": "taker buy/sell",
    "top_accounts": "top accounts long/short", "top_positions": "top positions long/short",
    "global_accounts": "all accounts long/short",
}  # fmt: skip


def countdown(next_ts: int | None, now: int) -> str | None:
    """`2h 14m`, `58s`; None where no time is known or it is past."""
    if next_ts is None or next_ts < now:
        return None
    seconds = (next_ts - now) // NS
    if seconds < 60:
        return f"{seconds}s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m"


def rate(value: float | None) -> str | None:
    """`+0.0100%`."""
    return None if value is None else f"{value * 100:+.4f}%"


def total(positions: Sequence[VenuePosition]) -> VenuePosition:
    """All venues together: interest, what it was, funding weighted by interest, liquidations."""
    held = [p for p in positions if p.interest is not None]
    paid = [p for p in held if p.rate_8h is not None]
    weight = sum(p.interest or 0.0 for p in paid)
    mean = sum((p.interest or 0.0) * (p.rate_8h or 0.0) for p in paid) / weight if weight else None
    return VenuePosition(
        venue="all", interest=sum(p.interest or 0.0 for p in held) if held else None,
        change_1h=_change(held, "change_1h"), change_24h=_change(held, "change_24h"),
        interest_ts=max((p.interest_ts or 0 for p in held), default=0) or None,
        rate=None, rate_8h=mean, interval_h=None, next_ts=None, funding_ts=None,
        long_liquidated=_sum([p.long_liquidated for p in positions]),
        short_liquidated=_sum([p.short_liquidated for p in positions]), liquidations_since=None,
    )  # fmt: skip


def _sum(values: Sequence[float | None]) -> float | None:
    told = [v for v in values if v is not None]
    return sum(told) if told else None


def _change(positions: Sequence[VenuePosition], field: str) -> float | None:
    """Of those that know both ends, together, in %."""
    told = [(p.interest or 0.0, getattr(p, field)) for p in positions]
    pairs = [(now, change) for now, change in told if change is not None and change > -100]
    before = sum(now / (1 + change / 100) for now, change in pairs)
    return (sum(now for now, _ in pairs) / before - 1) * 100 if before else None


class Positioning(Tab):
    """The tab of positions."""

    part = "positioning"

    def there(self, detail: Detail) -> bool:
        return bool(detail.positions)

    def made(self, scene: Scene, detail: Detail) -> list[Line]:
        positions, now = detail.positions or (), scene.snapshot.ts
        columns = fitting(self._columns(now, total(positions).interest), self.width)
        lines = [heads(columns, self.width, self.ink)]
        for position in (total(positions), *positions):
            stale = position.venue != "all" and is_old(old(position.interest_ts, now), STALE) \
                and is_old(old(position.funding_ts, now), STALE)  # fmt: skip
            lines.append(row(position, columns, self.width, self.look.ink(stale=stale)))
        room = self.height - len(lines) - 1
        if room >= 2:
            lines += [blank(self.width, self.ink), *self._courses(detail.courses or (), room)]
        return lines[: self.height]

    def _columns(self, now: int, whole: float | None) -> list[Column[VenuePosition]]:
        none = self.none

        def shown(field: str, head: str, size: int, rank: int) -> Column[VenuePosition]:
            def draw(p: VenuePosition, width: int, ink: Ink) -> Cell:
                return known(text.usd(getattr(p, field)), width, ink, none=none)

            return Column(head, size, draw, rank=rank)

        def change(field: str, head: str, rank: int) -> Column[VenuePosition]:
            def draw(p: VenuePosition, width: int, ink: Ink) -> Cell:
                value = getattr(p, field)
                tone = marks.tone(None if value is None else 10 * value)
                return known(text.percent(value), width, ink, tone, none=none)

            return Column(head, 7, draw, rank=rank)

        def share(p: VenuePosition, width: int, ink: Ink) -> Cell:
            there = p.interest is not None and bool(whole)
            said = f"{(p.interest or 0.0) / (whole or 1.0):.0%}" if there else None
            return known(said, width, ink, "muted", none=none)

        def funding(p: VenuePosition, width: int, ink: Ink) -> Cell:
            tone = marks.tone(None if p.rate_8h is None else p.rate_8h * FUNDING_SCALE)
            return known(rate(p.rate_8h), width, ink, tone, none=none)

        def every(p: VenuePosition, width: int, ink: Ink) -> Cell:
            said = None if p.interval_h is None else f"{p.interval_h:g}h"
            return known(said, width, ink, "muted", none=none)

        return [
            Column("venue", 11, _name, "left"),
            shown("interest", "OI", 6, 1), Column("share", 5, share, rank=5),
            change("change_1h", "1h", 1), change("change_24h", "24h", 4),
            Column("funding 8h", 10, funding, rank=2), Column("every", 5, every, rank=3),
            Column("due in", 7, lambda p, n, ink: known(countdown(p.next_ts, now), n, ink, "muted",
                                                        none=none), rank=3),
            shown("long_liquidated", "liq L 1h", 8, 2), shown("short_liquidated", "liq S 1h", 8, 2),
            Column("OI age", 6, lambda p, n, ink: said_age(old(p.interest_ts, now), n, ink, STALE,
                                                           none), rank=6),
            Column("fund age", 8, lambda p, n, ink: said_age(old(p.funding_ts, now), n, ink, STALE,
                                                             none), rank=7),
        ]  # fmt: skip

    def _courses(self, courses: Sequence[Course], room: int) -> list[Line]:
        """What the reference publishes: now, a day of it as a line, the change over it."""
        said = "the reference venue, 24 h" if courses else "nothing published yet"
        lines = [heading("crowd", self.width, self.look, said)]
        for course in courses[: room - 1]:
            told = [v for v in course.values if v is not None]
            now = told[-1] if told else None
            width = max(10, min(48, self.width - 27 - 10 - 12))
            drawn = trend(course.values, width, self.look)
            lines.append(
                (
                    cell(f" {NAMES[course.name]}", 27, self.ink["text"]),
                    cell(_value(course.name, now) or self.none, 9, self.ink["strong"], "right"),
                    cell("", 2, self.ink["blank"]),
                    marks.runs(drawn, self.ink),
                    cell(_since(course, told), max(0, self.width - 27 - 11 - width),
                         self.ink["dim"]),
                )
            )  # fmt: skip
        return lines


def _name(position: VenuePosition, size: int, ink: Ink) -> Cell:
    return cell(position.venue, size, ink["strong" if position.venue == "all" else "text"])


def _value(name: str, value: float | None) -> str | None:
    if value is None:
        return None
    if name == "funding":
        return rate(value)
    return text.short(value) if name == "oi" else f"{value:.2f}"


def _since(course: Course, told: Sequence[float]) -> str:
    """The change over what is known."""
    if len(told) < 2:
        return ""
    first, last = told[0], told[-1]
    if course.name == "funding":
        return f"  {(last - first) * 1e4:+.2f} bps"
    return f"  {(last / first - 1) * 100:+.1f}%" if first else ""
