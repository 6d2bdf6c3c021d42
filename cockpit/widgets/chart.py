"""Charts of one symbol: its price by the minute, its bias by the decision."""

import numpy as np
from rich.segment import Segment

from cockpit.widgets import marks, raster, text
from cockpit.widgets.lines import Lines
from cockpit.widgets.raster import Values
from cockpit.widgets.scene import Scene, composite
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import Bar

LEAST_BIAS = 20.0
NO_VALUES: Values = np.zeros(0)


class Chart(Lines):
    """A title, a line of dots, and a scale at its right edge."""

    scale = 11

    def plot(self, title: Line, low: Values, high: Values, close: Values, span: tuple[float, float],
             names: dict[float, str], tinted: bool) -> None:  # fmt: skip
        """Draw values within `span`; `names` writes values at their rows of the scale."""
        width, rows = self.size.width - 1 - self.scale, self.size.height - 1
        fine, deep = raster.grain(self.look.glyphs)
        across, down = fine * width, deep * rows
        if width < 2 or rows < 1:
            self.show_lines([title])
            return
        bottom, top = raster.extents(low, high, close, across)
        dots = raster.mask(bottom, top, *span, down)
        drawn = raster.cells(dots, self.look.glyphs)
        with np.errstate(invalid="ignore"):
            middle = np.nan_to_num((bottom + top) / 2).reshape(width, -1).mean(axis=1)
        inks = [marks.tone(v).replace("3", "2") if tinted else "accent" for v in middle.tolist()]
        labels = self._labels(names, span, rows)
        zero = self._row(0.0, span, rows) if tinted and span[0] < 0 < span[1] else -1
        self.show_lines(
            [title, *(self._line(line, inks, labels.get(y, ""), y == zero)
                      for y, line in enumerate(drawn))]
        )  # fmt: skip

    def _line(self, drawn: str, inks: list[str], label: str, zero: bool) -> Line:
        rule = self.look.glyphs.rule if zero else " "
        each = (
            (c, ink) if c != " " else (rule, "faint") for c, ink in zip(drawn, inks, strict=True)
        )
        return (
            cell("", 1, self.ink["blank"]),
            marks.runs(each, self.ink),
            cell(label, self.scale, self.ink["muted" if label else "blank"], "right"),
        )

    def _row(self, value: float, span: tuple[float, float], rows: int) -> int:
        return int(raster.rows_of(np.array([value]), *span, rows)[0])

    def _labels(
        self, names: dict[float, str], span: tuple[float, float], rows: int
    ) -> dict[int, str]:
        """Row -> label; where two fall on one row the first named stays."""
        out: dict[int, str] = {}
        for value, name in names.items():
            out.setdefault(self._row(value, span, rows), name)
        return out

    def title(self, name: str, said: str) -> Line:
        words = f" {name}  "
        room = max(0, self.size.width - len(words))
        return (
            (Segment(words, self.ink["text"]),),
            cell(said, room, self.ink["dim"], "left", self.look.glyphs.ellipsis),
        )

    def empty(self, title: Line, said: str) -> None:
        """The title, and why there is nothing below it."""
        above: list[Line] = [()] * max(0, (self.size.height - 2) // 2)
        words: Cell = cell(said, self.size.width, self.ink["faint"], "centre")
        self.show_lines([title, *above, (words,)])


class PriceChart(Chart):
    """Closes by the minute, up to four hours, with their ranges while there are few."""

    def show(self, scene: Scene) -> None:
        state, detail = scene.current, scene.detail
        bars = detail.bars if detail is not None else ()
        if state is None or self.same(state.id, bars, detail is None, scene.zone):
            return
        if not bars:
            held = detail is None and scene.paused is not None
            said = "not kept; p lets go" if held else "no bars yet"
            self.empty(self.title("price", ""), said)
            return
        low, high, close = _columns(bars)
        if len(close) > self.size.width:
            # Ranges side by side would be a block: where it is dense the closes alone are drawn.
            low = high = close
        floor, ceiling = float(np.nanmin(low)), float(np.nanmax(high))
        places = state.price.decimals
        names = {close[-1]: "last", ceiling: "", floor: ""}
        names = {v: text.price(float(v), places, self.scale - 1) or "" for v in names}
        start, end = (text.clock(bar.ts, scene.zone) or "" for bar in (bars[0], bars[-1]))
        minutes = round((bars[-1].ts - bars[0].ts) / 60e9) + 1
        said = f"{start[:5]} to {end[:5]}"
        if minutes > len(bars):
            said += f", {minutes - len(bars)} missing"
        title = self.title("price by the minute" if self.size.width > 50 else "price", said)
        self.plot(title, low, high, close, (floor, ceiling), names, False)


def _columns(bars: tuple[Bar, ...]) -> tuple[Values, Values, Values]:
    """Low, high and close by the minute; minutes without a bar are NaN."""
    first = bars[0].ts
    places = [round((bar.ts - first) / 60e9) for bar in bars]
    out = np.full((3, places[-1] + 1), np.nan)
    out[:, places] = [[b.low for b in bars], [b.high for b in bars], [b.close for b in bars]]
    return out[0], out[1], out[2]


class BiasChart(Chart):
    """The last biases of the active mode around zero."""

    scale = 6

    def show(self, scene: Scene) -> None:
        state = scene.current
        found = composite(state, scene.mode) if state else None
        history = found.history if found else ()
        if self.same(scene.mode, history):
            return
        name = f"{scene.mode} bias"
        values: Values = np.array([np.nan if v is None else v for v in history], dtype=np.float64)
        known = values[~np.isnan(values)]
        if not known.size:
            self.empty(self.title(name, ""), "no decision yet")
            return
        low, high = min(float(known.min()), 0.0), max(float(known.max()), 0.0)
        spare = max(0.0, LEAST_BIAS - (high - low)) / 2
        span = low - spare, high + spare
        names = {float(known[-1]): "", 0.0: "", span[1]: "", span[0]: ""}
        names = {v: text.signed(v) or "" for v in names}
        self.plot(self.title(name, _decisions(history)), values, values, values, span, names, True)


def _decisions(history: tuple[float | None, ...]) -> str:
    return "one decision" if len(history) == 1 else f"the last {len(history)} decisions"
