"""Flow: footprint by price and time, CVD by venue, large prints and the tape, side by side."""

from collections.abc import Sequence

import numpy as np

from cockpit.theme import Ink, Look
from cockpit.widgets import axes, marks, prints, text
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.panes import line
from cockpit.widgets.prints import Footing
from cockpit.widgets.scene import Scene
from cockpit.widgets.tables import (
    Column,
    Tab,
    blank,
    fitting,
    heading,
    heads,
    is_old,
    known,
    note_of,
    old,
    row,
    sides,
)
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import Detail, Print, VenueFlow

WINDOWS = ("1m", "5m", "1h", "4h", "1d")
# Width of the tape, by the width of the screen.
TAPES = ((120, 41), (0, 34))
# From this width on CVD stands beside the footprint, so wide.
WIDE = 170, 62
LEAST_CHART = 8
SCALE = 9
HOUR_NS = 3600 * 1_000_000_000
# A venue of which no trade was heard for so long is stale, s.
STALE = 60.0


def total(flows: Sequence[VenueFlow], now: int) -> VenueFlow:
    """All perpetual venues together; a minute or window counts those that know it."""
    perps = [f for f in flows if not f.spot and not is_old(old(f.ts, now), STALE)]
    sums: list[dict[str, float | None]] = []
    for field in ("buy", "sell"):
        each: dict[str, float | None] = {}
        for window in WINDOWS:
            told = [v for f in perps if (v := getattr(f, field).get(window)) is not None]
            each[window] = sum(told) if told else None
        sums.append(each)
    rows = [f.course for f in perps if f.course]
    course = tuple(
        sum(told) if (told := [v for v in minute if v is not None]) else None
        for minute in zip(*rows, strict=False)
    )
    newest = max((f.ts or 0 for f in perps), default=0)
    whole = bool(perps) and all(f.reliable for f in perps)
    return VenueFlow("perpetuals", False, newest or None, sums[0], sums[1], course, whole)


def delta(flow: VenueFlow, window: str) -> float | None:
    """Taker buys less sells."""
    buy, sell = flow.buy.get(window), flow.sell.get(window)
    return None if buy is None or sell is None else buy - sell


class Flow(Tab):
    """The tab of flow; `window` is that of the footprint."""

    part = "cvd"

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.window = "5m"

    def besides(self) -> tuple[object, ...]:
        return (self.window,)

    def there(self, detail: Detail) -> bool:
        return bool(detail.flows)

    def made(self, scene: Scene, detail: Detail) -> list[Line]:
        tape_width = next(size for least, size in TAPES if self.width >= least)
        left = self.width - tape_width - 1
        middle: list[tuple[int, list[Line]]] = []
        if self.width >= WIDE[0]:
            left -= WIDE[1] + 1
            middle = [(1, []), (WIDE[1], self._cvd(scene, detail, WIDE[1], self.height))]
            block = self._footprint(scene, detail, left, self._share(self.height))
        else:
            table = self._cvd(scene, detail, left, max(4, self.height * 2 // 5))
            room = self.height - len(table) - 1
            block = self._footprint(scene, detail, left, self._share(room))
            block += [blank(left, self.ink), *table]
        room = self.height - len(block) - 1
        if room >= LEAST_CHART:
            block += [blank(left, self.ink), *self._course(scene, detail, left, room)]
        tape = self._tape(scene, detail, tape_width, self.height)
        return sides([(left, block), *middle, (1, []), (tape_width, tape)], self.height, self.ink)

    def _share(self, room: int) -> int:
        """Of so many rows, those of the footprint at most, that a chart may stand below it."""
        return room if room < 2 * LEAST_CHART else max(LEAST_CHART, room * 3 // 5)

    # Footprint

    def _footprint(self, scene: Scene, detail: Detail, width: int, height: int) -> list[Line]:
        found = detail.footprint
        price = scene.current.price if scene.current else None
        title = f"footprint {self.window}"
        if found is None or not any(column.cells for column in found.columns):
            said = note_of(detail, "footprint") or "no trades in it yet"
            return [heading(title, width, self.look, said)]
        each = f"{text.age(found.seconds)} each" if found.seconds >= 2 else "1s each"
        footing = Footing(found, price.last if price else None, price.decimals if price else 2)
        glyphs = self.look.glyphs
        note = f"sells x buys, {each}"
        if width > 60:
            note += f", {glyphs.arrow_up}{glyphs.arrow_down} three to one"
        return [heading(title, width, self.look, note),
                *prints.lines(footing, width, height - 1, scene.zone, self.look)]  # fmt: skip

    # CVD

    def _cvd(self, scene: Scene, detail: Detail, width: int, height: int) -> list[Line]:
        flows, now = detail.flows or (), scene.snapshot.ts
        columns = fitting(self._columns(now, width), width)
        lines = [heads(columns, width, self.ink)]
        for flow in (total(flows, now), *flows)[: max(1, height - 1)]:
            ink = self.look.ink(stale=is_old(old(flow.ts, now), STALE))
            lines.append(row(flow, columns, width, ink))
        return lines

    def _columns(self, now: int, width: int) -> list[Column[VenueFlow]]:
        none = self.none

        def net(window: str, rank: int) -> Column[VenueFlow]:
            def draw(flow: VenueFlow, size: int, ink: Ink) -> Cell:
                value = delta(flow, window)
                said = None if value is None else signed_usd(value)
                volume = (flow.buy.get(window) or 0.0) + (flow.sell.get(window) or 0.0)
                tone = marks.tone(None if value is None else 100 * value / volume if volume else 0)
                return known(said, size, ink, tone, none=none)

            return Column(window, 7, draw, rank=rank)

        return [
            Column("CVD", 13, self._who, "left"),
            *(net(window, 1 + n) for n, window in enumerate(WINDOWS[:3])),
            Column("1 h", 12, self._spark, "left", rank=3),
            net("4h", 6), net("1d", 7),
        ]  # fmt: skip

    def _who(self, flow: VenueFlow, size: int, ink: Ink) -> Cell:
        named = f"{flow.venue} spot" if flow.spot else flow.venue
        return cell(named, size, ink["strong" if flow.venue == "perpetuals" else "text"], "left",
                    self.look.glyphs.ellipsis)  # fmt: skip

    def _spark(self, flow: VenueFlow, size: int, ink: Ink) -> Cell:
        """CVD of the last hour; a `!` where it is not the whole of it."""
        drawn = trend(flow.course, size - 2, self.look)
        mark = (" ", "dim") if flow.reliable else (self.look.glyphs.warning, "warn")
        return marks.runs([*drawn, (" ", "dim"), mark], ink)

    def _course(self, scene: Scene, detail: Detail, width: int, height: int) -> list[Line]:
        """CVD of all perpetual venues over the last hour, in USD."""
        flow = total(detail.flows or (), scene.snapshot.ts)
        told = [v for v in flow.course if v is not None]
        title = "CVD of all perpetual venues, last hour"
        if len(told) < 2:
            return [heading(title, width, self.look, "too short yet")]
        low, high = min(told), max(told)
        rows, columns = height - 2, width - 1 - SCALE
        last = len(flow.course) - 1
        at = [round(n * last / (columns - 1)) for n in range(columns)]
        values = np.array([np.nan if (v := flow.course[n]) is None else v for n in at])
        canvas = Canvas(columns, rows)
        tone = "up2" if told[-1] > told[0] else "down2"
        spare = (high - low) * 0.02 or 1.0
        span = low - spare, high + spare
        line(canvas, 0, 0, values, span, rows, self.look.glyphs, [tone] * columns)
        here = round((span[1] - told[-1]) / (span[1] - span[0]) * (rows - 1))
        names = {0: (signed_usd(high), "dim"), rows - 1: (signed_usd(low), "dim"),
                 here: (signed_usd(told[-1]), "strong")}  # fmt: skip
        note = "" if flow.reliable else f"{self.look.glyphs.warning} not the whole hour of all"
        lines = [heading(title, width, self.look, note)]
        for y in range(rows):
            said, ink = names.get(y, ("", "blank"))
            lines.append((cell("", 1, self.ink["blank"]), canvas.row(y, self.ink),
                          cell(said, SCALE, self.ink[ink], "right")))  # fmt: skip
        below = Canvas(columns, 1)
        start = scene.snapshot.ts - HOUR_NS
        for x, said in axes.times(start, 3600 / columns, columns, scene.zone):
            below.write(x, 0, said, "dim")
        return [*lines, (cell("", 1, self.ink["blank"]), below.row(0, self.ink),
                         cell("", SCALE, self.ink["blank"]))]  # fmt: skip

    # Tape

    def _tape(self, scene: Scene, detail: Detail, width: int, height: int) -> list[Line]:
        price = scene.current.price if scene.current else None
        decimals = price.decimals if price else 2
        large = [p for p in reversed(detail.tape) if p.rank]
        most = max(2, height // 3)
        said = "the top 1 % by size" if large else "none of late"
        lines = [heading("large", width, self.look, said)]
        lines += [self._print(p, scene, decimals, width) for p in large[:most]]
        lines.append(heading("tape", width, self.look, "all perpetual venues"))
        newest = reversed(detail.tape[-height:])
        lines += [self._print(p, scene, decimals, width) for p in newest]
        return lines[:height]

    def _print(self, trade: Print, scene: Scene, decimals: int, width: int) -> Line:
        glyphs, buy = self.look.glyphs, trade.side == "buy"
        tone = ("up" if buy else "down") + ("3" if trade.rank == 2 else "2" if trade.rank else "1")
        return (
            cell(f" {text.clock(trade.ts, scene.zone) or ''}", 10, self.ink["dim"]),
            cell(glyphs.arrow_up if buy else glyphs.arrow_down, 2, self.ink[tone]),
            cell(text.price(trade.price, decimals) or "", 10, self.ink["text"], "right"),
            cell(text.usd(trade.price * trade.size) or "", 6, self.ink[tone], "right"),
            cell(f" {trade.venue}", width - 28, self.ink["dim"]),
        )


def signed_usd(value: float) -> str:
    """`+1.2M`, `-340k`."""
    return ("-" if value < 0 else "+") + (text.usd(abs(value)) or "")


def trend(values: Sequence[float | None], width: int, look: Look) -> list[tuple[str, str]]:
    """A sparkline of any unit, in the colour of its change."""
    told = [v for v in values if v is not None]
    if len(told) < 2 or width < 2:
        return [(" ", "faint")] * max(0, width)
    low, high = min(told), max(told)
    size = (high - low) or 1.0
    scaled = tuple(
        None if v is None else (v - low) / size * 100 for v in _spread(values, width, look)
    )
    tone = "up2" if told[-1] > told[0] else "down2" if told[-1] < told[0] else "muted"
    drawn = marks.sparkline(scaled, width, look.glyphs.levels)
    return [(glyph, tone if name != "faint" else name) for glyph, name in drawn]


def _spread(values: Sequence[float | None], width: int, look: Look) -> list[float | None]:
    """As many values as there are columns of dots."""
    count = width * (1 if look.glyphs.levels else 2)
    last = len(values) - 1
    return [values[round(n * last / (count - 1))] for n in range(count)]
