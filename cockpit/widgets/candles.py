"""Candles: price by the bar with what matters to it, flow and bias below on the same time axis."""

from dataclasses import dataclass
from datetime import tzinfo

from rich.segment import Segment
from textual import events
from textual.message import Message

from cockpit.theme import Glyphs, Look
from cockpit.widgets import axes, text
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.lines import Lines
from cockpit.widgets.panes import Frame, bias, flow, gaps, pressure, vwap
from cockpit.widgets.scene import Scene, is_stale
from cockpit.widgets.tables import note_of
from cockpit.widgets.text import Line, cell
from engine.snapshot import BAR_SPANS, Bar, Detail, Swing

NS = 1_000_000_000
SPANS = tuple(BAR_SPANS)
SCALE = 14
# Space above and below the extremes, so that none of them sits on the edge.
SPARE = 0.04
# Swings of one side nearer than so many bars: only the furthest is marked.
CROWDED = 8
NAMES = {"poc": "POC", "vah": "VAH", "val": "VAL"}


@dataclass(frozen=True)
class Strokes:
    """What candles are drawn with: rising ones are hollow, falling ones full, in every colour."""

    wick: str
    upper: str
    lower: str
    rising: str
    falling: str
    flat: str
    level: str
    here: str


LINES = Strokes("│", "╵", "╷", "║", "┃", "┼", "╌", "◂")
ASCII = Strokes("|", "'", ".", "O", "#", "+", "-", "<")


def strokes(glyphs: Glyphs) -> Strokes:
    return ASCII if glyphs.plain else LINES


class Candles(Lines):
    """The chart. `span`: one of SPANS; `end`: the instant (ns) it is scrolled to, None for now.

    `whole`: with flow, bias and liquidations, else price and time alone.
    """

    class Wheeled(Message):
        """The wheel was turned: scroll in time by `step`, or zoom."""

        def __init__(self, step: int, zoom: bool) -> None:
            super().__init__()
            self.step = step
            self.zoom = zoom

    def __init__(self, look: Look, whole: bool = True, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.whole = whole
        self.span = SPANS[0]
        self.end: int | None = None

    @property
    def columns(self) -> int:
        """Bars that fit."""
        return max(0, self.size.width - 1 - SCALE - self._side)

    @property
    def _side(self) -> int:
        """Columns of the liquidation map."""
        if not self.whole:
            return 0
        return next((side for least, side in ((150, 20), (100, 14), (76, 9)) if
                     self.size.width >= least), 0)  # fmt: skip

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self.post_message(self.Wheeled(1 if event.ctrl else -1, event.ctrl))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self.post_message(self.Wheeled(-1 if event.ctrl else 1, event.ctrl))

    def show(self, scene: Scene) -> None:
        state, detail = scene.current, scene.detail
        if state is None:
            self.show_lines([])
            return
        # A chart that is drawn anew every second is quick enough, and calm.
        second = scene.snapshot.ts // NS, scene.snapshot.step
        what = None if detail is None else (detail.bar_s, len(detail.bars), detail.levels is None)
        if self.same(state.id, scene.mode, what, second, self.span, self.end, scene.zone,
                     is_stale(state), scene.paused is None):  # fmt: skip
            return
        ready = detail is not None and detail.bar_s == BAR_SPANS[self.span] and detail.bars
        if detail is None or not ready:
            self.show_lines(self._empty(scene))
            return
        frame = self._frame(scene, detail)
        if frame is None:
            self.show_lines(self._empty(scene))
            return
        self.show_lines([self._title(scene, frame), *self._drawn(scene, frame)])

    def _empty(self, scene: Scene) -> list[Line]:
        said = note_of(scene.detail, "bars") or "no bars yet"
        if scene.detail is None or scene.detail.bar_s != BAR_SPANS[self.span]:
            said = "not kept; p lets go" if scene.paused is not None else "loading"
        elif scene.detail.bars:
            said = "no bars in this stretch; . scrolls towards now"
        above: list[Line] = [()] * max(0, self.size.height // 2 - 1)
        words = cell(said, self.size.width, self.ink["dim"], "centre")
        return [self._heading([("text", f"{self.span} bars")], ""), *above, (words,)]

    # Where things stand

    def _frame(self, scene: Scene, detail: Detail) -> Frame | None:
        """What is in view: bars by column, the range of prices, the height of each pane."""
        length, columns = BAR_SPANS[self.span] * NS, self.columns
        last = ((self.end or scene.snapshot.ts + 1) - 1) // length
        first = last - columns + 1
        shown = {bar.ts // length - first: bar for bar in detail.bars}
        shown = {column: bar for column, bar in shown.items() if 0 <= column < columns}
        if not shown or columns < 2:
            return None
        low = min(bar.low for bar in shown.values())
        high = max(bar.high for bar in shown.values())
        spare = (high - low) * SPARE or high * 1e-4
        rows = self.size.height - 2
        below = self._below(rows)
        return Frame(
            bars=shown, start=first * length, length=length, columns=columns, low=low - spare,
            high=high + spare, rows=rows - sum(below), flow=below[0], bias=below[1],
            decimals=scene.current.price.decimals if scene.current else 2,
        )  # fmt: skip

    def _below(self, rows: int) -> tuple[int, int]:
        """Rows of taker flow and of bias, for so many below the title and above the times."""
        if not self.whole or rows < 9:
            return 0, 0
        return (2, 3) if rows < 20 else (4, 5) if rows < 34 else (6, 8)

    # Drawing

    def _drawn(self, scene: Scene, frame: Frame) -> list[Line]:
        detail = scene.detail
        assert detail is not None
        canvas = Canvas(frame.columns, frame.rows)
        stale = scene.current is not None and is_stale(scene.current)
        ink = self.look.ink(stale=stale)
        self._candles(canvas, frame)
        self._swings(canvas, frame, detail.swings or ())
        vwap(canvas, frame, self.look.glyphs)
        scale = self._scale(scene, frame, detail)
        for y, (_, ink_name, ruled) in scale.items():
            if ruled:
                canvas.rule(y, strokes(self.look.glyphs).level, ink_name)
        side = pressure(frame, detail.clusters, self._side, self.look.glyphs)
        lines: list[Line] = []
        for y in range(frame.rows):
            label, name, _ = scale.get(y, ("", "blank", False))
            here = name == "here"
            tone = self.look.ink("cursor" if here else "background", stale)["strong" if here
                                                                            else name]  # fmt: skip
            lines.append((self._edge, canvas.row(y, ink), side.row(y, ink),
                          cell(label, SCALE, tone, "right")))  # fmt: skip
        lines += self._panes(scene, frame)
        return [*lines, self._times(frame, scene.zone)]

    @property
    def _edge(self) -> tuple[Segment, ...]:
        return (Segment(" ", self.ink["blank"]),)

    def _candles(self, canvas: Canvas, frame: Frame) -> None:
        with_strokes = strokes(self.look.glyphs)
        for x, bar in frame.bars.items():
            rising = bar.close > bar.open
            tone = "up2" if rising else "down2" if bar.close < bar.open else "muted"
            tops = frame.halves((bar.high, max(bar.open, bar.close)))
            bottoms = frame.halves((min(bar.open, bar.close), bar.low))
            self._wick(canvas, x, tops[0], bottoms[1], tone, with_strokes)
            first, last = body(tops[1], bottoms[0])
            glyph = with_strokes.rising if rising else with_strokes.falling
            if bar.close == bar.open:
                glyph = with_strokes.flat
            for y in range(first, last + 1):
                canvas.put(x, y, glyph, tone)

    def _wick(self, canvas: Canvas, x: int, top: int, bottom: int, tone: str,
              drawn: Strokes) -> None:  # fmt: skip
        for y in range(top // 2, bottom // 2 + 1):
            upper, lower = top <= 2 * y, bottom >= 2 * y + 1
            glyph = drawn.wick if upper and lower else drawn.upper if upper else drawn.lower
            canvas.put(x, y, glyph, tone)

    def _swings(self, canvas: Canvas, frame: Frame, swings: tuple[Swing, ...]) -> None:
        """A mark just beyond the extremes that stand out among their neighbours."""
        glyphs = self.look.glyphs
        at = {}
        for swing in swings:
            x = (swing.ts - frame.start) // frame.length
            if 0 <= x < frame.columns:
                at[x, swing.side] = swing.side * swing.price
        for (x, side), price in at.items():
            near = [p for (other, s), p in at.items() if s == side and abs(other - x) < CROWDED]
            if price == max(near):
                (half,) = frame.halves((abs(price),))
                y = half // 2 - side
                if canvas.free(x, y):
                    canvas.put(x, y, glyphs.arrow_down if side > 0 else glyphs.arrow_up, "muted")

    def _scale(self, scene: Scene, frame: Frame,
               detail: Detail) -> dict[int, tuple[str, str, bool]]:  # fmt: skip
        """Row -> label, ink, whether a line runs at it; the last price before all others."""
        out: dict[int, tuple[str, str, bool]] = {}

        def mark(value: float, said: str, ink: str, ruled: bool) -> None:
            y = frame.row(value)
            if y is not None and y not in out:
                out[y] = said, ink, ruled

        last = scene.current.price.last if scene.current else None
        if last is not None and self.end is None:
            mark(last, self._price(last, frame), "here", False)
        for level in (detail.levels or ()) if self.end is None else ():
            name = NAMES[level.kind]
            price = self._price(level.price, frame)
            said = f"{name} {price}"
            mark(level.price, said if len(said) < SCALE else name, "dim", True)
        taken = set(out)
        for value in axes.round_values(frame.low, frame.high, max(2, frame.rows // 3)):
            y = frame.row(value)
            if y is not None and not {y - 1, y, y + 1} & taken:
                mark(value, self._price(value, frame), "dim", False)
        return out

    def _price(self, value: float, frame: Frame) -> str:
        return text.price(value, frame.decimals, SCALE - 1) or ""

    def _panes(self, scene: Scene, frame: Frame) -> list[Line]:
        """Taker flow, and the bias of the active mode, each under its bars."""
        out: list[Line] = []
        side = self._side
        for height, (canvas, labels) in (
            (frame.flow, flow(frame, self.look.glyphs)),
            (frame.bias, bias(frame, scene, self.look.glyphs)),
        ):  # fmt: skip
            for y in range(height):
                label, ink = labels.get(y, ("", "blank"))
                out.append((self._edge, canvas.row(y, self.ink),
                            cell(label, side + SCALE, self.ink[ink], "right")))  # fmt: skip
        return out

    def _times(self, frame: Frame, zone: tzinfo | None) -> Line:
        canvas = Canvas(frame.columns, 1)
        newest = max(frame.bars)
        open_bar = not frame.bars[newest].closed
        room = newest - 1 if open_bar else frame.columns
        for x, said in axes.times(frame.start, frame.length / NS, room, zone):
            canvas.write(x, 0, said, "dim")
        if open_bar:
            canvas.put(newest, 0, self.look.glyphs.arrow_up, "accent")
        rest = cell("", self._side + SCALE, self.ink["blank"])
        return self._edge, canvas.row(0, self.ink), rest

    # Words above

    def _heading(self, said: list[tuple[str, str]], right: str) -> Line:
        """Words with their inks as far as there is room, and a note at the right."""
        room = self.size.width - 1 - len(right)
        out = [Segment(" ", self.ink["blank"])]
        for ink, words in said:
            if len(words) + 2 > room:
                break
            out.append(Segment(f"{words}  ", self.ink[ink]))
            room -= len(words) + 2
        return tuple(out), cell("", room, self.ink["blank"]), cell(right, len(right),
                                                                   self.ink["dim"])  # fmt: skip

    def _title(self, scene: Scene, frame: Frame) -> Line:
        detail, now = scene.detail, scene.snapshot.ts
        assert detail is not None
        newest: Bar = frame.bars[max(frame.bars)]
        said = [("text", f"{self.span} bars")]
        if self.end is not None:
            begun, ended = (axes.moment(bar.ts, scene.zone, now)
                            for bar in (frame.bars[min(frame.bars)], newest))  # fmt: skip
            said.append(("warn", f"{begun} to {ended}"))
        elif not newest.closed:
            left = max(0, newest.ts + frame.length - now) / 1e9
            said.append(("accent", f"{self.look.glyphs.arrow_up} open {_left(left)}"))
        if missing := gaps(frame):
            said.append(("warn", f"{missing} missing"))
        if newest.vwap is not None and self.end is None:
            said.append(("accent", f"{vwap_glyph(self.look.glyphs)} day VWAP "
                                   f"{self._price(newest.vwap, frame)}"))  # fmt: skip
        if detail.levels and self.end is None:
            value = {level.kind: self._price(level.price, frame) for level in detail.levels}
            said.append(("dim", f"value {detail.levels[0].hours:.0f}h {value['val']} to "
                                f"{value['vah']}, POC {value['poc']}"))  # fmt: skip
        right = ""
        if self._side:
            right = "liquidations, est." if self.end is None else "liquidations now, est."
            right = right.ljust(self._side + SCALE)
            if detail.clusters is None or not detail.clusters:
                right = "no liquidation est.".ljust(self._side + SCALE)
        return self._heading(said, right[: self._side + SCALE])


def vwap_glyph(glyphs: Glyphs) -> str:
    return "~" if glyphs.plain else "⠒" if not glyphs.levels else "▔"


def body(top: int, bottom: int) -> tuple[int, int]:
    """First and last row of a candle's body from half rows: the whole ones, one at least."""
    first, last = (top + 1) // 2, (bottom - 1) // 2
    if first <= last:
        return first, last
    row = (top + bottom) // 4
    return row, row


def _left(seconds: float) -> str:
    """`closes in 42s`, `closes in 2h 5m`."""
    whole = int(seconds)
    if whole < 60:
        return f"closes in {whole}s"
    hours, minutes = divmod(whole // 60, 60)
    return f"closes in {hours}h {minutes}m" if hours else f"closes in {minutes}m {whole % 60}s"
