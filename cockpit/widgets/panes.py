"""Panes of a chart on one time axis: VWAP, liquidation map, taker flow, bias."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cockpit.theme import Glyphs
from cockpit.widgets import marks, raster, text
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.raster import Values
from cockpit.widgets.scene import Scene
from engine.snapshot import Bar, Cluster, Decided

LEAST_BIAS = 20.0
DAY_NS = 86_400 * 1_000_000_000
RISING, FALLING = "⣀⣤⣶⣿", "⠉⠛⠿⣿"
BLOCKS_UP, BLOCKS_DOWN = "▂▄▆█", "▔▀▀█"
ASCII_UP, ASCII_DOWN = "._-#", "'^-#"
Labels = dict[int, tuple[str, str]]


@dataclass(frozen=True)
class Frame:
    """What is in view: bars by column from `start` (ns) on, prices from `low` to `high`.

    `rows`, `flow` and `bias` are the heights of the panes.
    """

    bars: dict[int, Bar]
    start: int
    length: int
    columns: int
    low: float
    high: float
    rows: int
    flow: int
    bias: int
    decimals: int

    def halves(self, prices: Iterable[float]) -> list[int]:
        """Half rows at which prices stand, 0 at the top."""
        scale = 2 * self.rows / (self.high - self.low)
        return [min(max(int((self.high - p) * scale), 0), 2 * self.rows - 1) for p in prices]

    def row(self, price: float) -> int | None:
        """Row at which a price stands; None for one out of view."""
        if not self.low <= price <= self.high:
            return None
        return self.halves((price,))[0] // 2


def gaps(frame: Frame) -> int:
    """Bars that are missing between the first and the last in view."""
    return max(frame.bars) - min(frame.bars) + 1 - len(frame.bars)


def line(canvas: Canvas, x: int, y: int, values: Values, span: tuple[float, float], rows: int,
         glyphs: Glyphs, inks: list[str]) -> None:  # fmt: skip
    """Draw a value for each column as a line of dots, under what is there."""
    fine, deep = raster.grain(glyphs)
    each = np.repeat(values, fine)
    known = each[np.isfinite(each)]
    if not known.size or rows < 1:
        return
    bottom, top = raster.join(each, each)
    inside = (each >= span[0]) & (each <= span[1])
    dots = raster.mask(bottom, top, *span, deep * rows) & inside
    canvas.lay(x, y, raster.cells(dots, glyphs), inks)


def vwap(canvas: Canvas, frame: Frame, glyphs: Glyphs) -> None:
    """The VWAP as a line behind the candles."""
    values: Values = np.full(frame.columns, np.nan)
    for x, bar in frame.bars.items():
        # It begins anew with the day: nothing leads from one to the next.
        if bar.vwap is not None and bar.ts % DAY_NS:
            values[x] = bar.vwap
    if not glyphs.plain:
        inks = ["accent"] * frame.columns
        line(canvas, 0, 0, values, (frame.low, frame.high), frame.rows, glyphs, inks)
        return
    for x, value in enumerate(values.tolist()):
        y = frame.row(value) if value == value else None
        if y is not None:
            canvas.under(x, y, "~", "accent")


def pressure(frame: Frame, clusters: tuple[Cluster, ...] | None, width: int,
             glyphs: Glyphs) -> Canvas:  # fmt: skip
    """Estimated liquidations at their prices, as bars to the right; shorts above, longs below."""
    canvas = Canvas(width, frame.rows)
    if width < 3 or not clusters:
        return canvas
    height = (frame.high - frame.low) / frame.rows
    sums = {"long": [0.0] * frame.rows, "short": [0.0] * frame.rows}
    for cluster in clusters:
        share = cluster.usd / (cluster.high - cluster.low)
        top = (frame.high - cluster.high) / height
        bottom = (frame.high - cluster.low) / height
        for y in range(max(0, int(top)), min(frame.rows, int(bottom) + 1)):
            overlap = min(bottom, y + 1) - max(top, y)
            sums[cluster.position][y] += max(overlap, 0.0) * height * share
    full = max(max(side) for side in sums.values())
    for y in range(frame.rows):
        longs, shorts = sums["long"][y], sums["short"][y]
        steps = round((longs + shorts) / full * 2 * (width - 2)) if full else 0
        tone = "down1" if longs > shorts else "up1"
        whole, half = divmod(steps, 2)
        canvas.write(1, y, glyphs.full * whole + glyphs.half_left * half, tone)
    shorts = sum(c.usd for c in clusters if c.low >= frame.high)
    longs = sum(c.usd for c in clusters if c.high <= frame.low)
    _beyond(canvas, 0, glyphs.arrow_up, shorts, "up1")
    _beyond(canvas, frame.rows - 1, glyphs.arrow_down, longs, "down1")
    return canvas


def _beyond(canvas: Canvas, y: int, arrow: str, usd: float, tone: str) -> None:
    """What stands further away than the prices in view, where a row is free to say it."""
    said = f"{arrow} {text.usd(usd)}"
    if usd and all(canvas.free(x, y) for x in range(1, 1 + len(said))):
        canvas.write(1, y, said, tone)


def flow(frame: Frame, glyphs: Glyphs) -> tuple[Canvas, Labels]:
    """Taker buys upwards and sells downwards from the middle, in USD."""
    canvas = Canvas(frame.columns, frame.flow)
    half = frame.flow // 2
    top = max((max(bar.buy, bar.sell) for bar in frame.bars.values()), default=0.0)
    if not half or not top:
        return canvas, {0: ("no taker flow", "dim")} if half else {}
    up, down = (
        (ASCII_UP, ASCII_DOWN) if glyphs.plain
        else (BLOCKS_UP, BLOCKS_DOWN) if glyphs.levels else (RISING, FALLING)
    )  # fmt: skip
    for x, bar in frame.bars.items():
        for amount, steps, way, tone in ((bar.buy, up, -1, "up1"), (bar.sell, down, 1, "down1")):
            level = round(amount / top * half * len(steps))
            y = half - 1 if way < 0 else half
            while level > 0:
                canvas.put(x, y, steps[min(level, len(steps)) - 1], tone)
                level, y = level - len(steps), y + way
    return canvas, {
        0: (f"{text.usd(top)} bought", "dim"),
        frame.flow - 1: (f"{text.usd(top)} sold", "dim"),
    }


def bias(frame: Frame, scene: Scene, glyphs: Glyphs) -> tuple[Canvas, Labels]:
    """The active mode's bias as it stood at the end of each bar."""
    canvas = Canvas(frame.columns, frame.bias)
    if not frame.bias:
        return canvas, {}
    detail = scene.detail
    decided = (detail.decisions or {}).get(scene.mode, ()) if detail is not None else ()
    until = min(scene.snapshot.ts, frame.start + frame.columns * frame.length)
    values = standing(decided, frame, until)
    known = values[np.isfinite(values)]
    middle = frame.bias // 2
    if not known.size:
        return canvas, {middle: (f"no {scene.mode} bias here", "dim")}
    reach = max(LEAST_BIAS, float(np.abs(known).max()))
    inks = [marks.tone(None if v != v else v).replace("3", "2") for v in values.tolist()]
    line(canvas, 0, 0, values, (-reach, reach), frame.bias, glyphs, inks)
    canvas.rule(middle, glyphs.rule, "faint")
    last = float(known[-1])
    labels: Labels = {
        0: (f"+{reach:.0f}", "dim"),
        frame.bias - 1: (f"-{reach:.0f}", "dim"),
        middle: (f"{scene.mode} bias {text.signed(last)}", marks.tone(last)),
    }
    return canvas, labels


def standing(decided: tuple[Decided, ...], frame: Frame, until: int) -> Values:
    """Per column the bias in force at its end, NaN before the first and after `until`."""
    out: Values = np.full(frame.columns, np.nan)
    if not decided:
        return out
    times = np.array([d.ts for d in decided])
    values = np.array([np.nan if d.bias is None else d.bias for d in decided])
    ends = frame.start + (np.arange(frame.columns) + 1) * frame.length
    place = np.searchsorted(times, ends, "left") - 1
    told = (place >= 0) & (ends - frame.length < until)
    out[told] = values[place[told]]
    return out
