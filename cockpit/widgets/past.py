"""History: bias and conviction of the active mode over time, the other modes, what changed."""

import numpy as np

from cockpit.theme import Look
from cockpit.widgets import axes, marks, text
from cockpit.widgets.canvas import Canvas
from cockpit.widgets.lines import Drawn
from cockpit.widgets.panes import LEAST_BIAS, Frame, line, standing
from cockpit.widgets.scene import Scene
from cockpit.widgets.states import Said
from cockpit.widgets.tables import Tab, heading
from cockpit.widgets.text import Line, cell
from engine.snapshot import MODES, CategoryInfo, Decided, Detail, Transition

NS = 1_000_000_000
SCALE = 12
# Columns of the chart, in seconds: the shortest with which all that is kept fits.
STEPS = (30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
WORDS = {
    "directional": "takes a side", "flip": "turns over", "conflict_begins": "conflict begins",
    "conflict_ends": "conflict ends", "deceleration": "loses speed", "exhaustion": "is exhausted",
}  # fmt: skip


class Past(Tab):
    """The tab of history; `top` is the first transition in view."""

    part = "history"

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.top = 0

    def besides(self) -> tuple[object, ...]:
        return (self.top,)

    def there(self, detail: Detail) -> bool:
        return detail.decisions is not None and any(detail.decisions.values())

    def missing(self, scene: Scene) -> list[Said]:
        if scene.detail is not None and scene.detail.decisions is not None:
            return [("No decision yet", "strong"), ("", "text"),
                    ("the first comes when there are cards enough", "muted")]  # fmt: skip
        return super().missing(scene)

    def scroll_by(self, rows: int) -> None:
        self.top = max(0, self.top + rows)

    def made(self, scene: Scene, detail: Detail) -> list[Line]:
        decisions = detail.decisions or {}
        charts = max(8, self.height * 3 // 5)
        lines = self._charts(scene, decisions.get(scene.mode, ()), charts - 2)
        lines += [self._other(m, decisions.get(m, ())) for m in MODES if m != scene.mode]
        return [*lines, *self._turns(scene, detail, self.height - len(lines))][: self.height]

    # Charts

    def _charts(self, scene: Scene, decided: tuple[Decided, ...], height: int) -> list[Line]:
        width = self.width - 1 - SCALE
        lower = max(1, height // 4)
        upper = height - lower - 2
        frame = self._frame(scene, decided, width)
        bias = standing(decided, frame, scene.snapshot.ts)
        worth = standing(
            tuple(Decided(d.ts, d.conviction, 0.0, None) for d in decided), frame, scene.snapshot.ts
        )
        known = bias[np.isfinite(bias)]
        if not known.size:
            said = "no bias in this mode yet" if decided else "no decision in this mode yet"
            return [heading(f"{scene.mode} bias", self.width, self.look, said)]
        reach = max(LEAST_BIAS, float(np.abs(known).max()))
        canvas = Canvas(width, upper)
        inks = [marks.tone(None if v != v else v).replace("3", "2") for v in bias.tolist()]
        line(canvas, 0, 0, bias, (-reach, reach), upper, self.look.glyphs, inks)
        canvas.rule(upper // 2, self.look.glyphs.rule, "faint")
        last = float(known[-1])
        names = {0: (f"+{reach:.0f}", "dim"), upper - 1: (f"-{reach:.0f}", "dim"),
                 upper // 2: (f"bias {text.signed(last)}", marks.tone(last))}  # fmt: skip
        below = Canvas(width, lower)
        line(below, 0, 0, worth, (0.0, 100.0), lower, self.look.glyphs, ["accent"] * width)
        newest = decided[-1]
        odds = f", confidence {newest.confidence:.0%}" if newest.confidence is not None else \
            ", confidence not calibrated"  # fmt: skip
        note = f"{len(decided)} decisions{odds}"
        return [
            heading(f"{scene.mode} bias over conviction", self.width, self.look, note),
            *self._side(canvas, names),
            *self._side(below, {lower // 2: (f"conv ~{newest.conviction:.0f}", "accent")}),
            self._times(frame, scene),
        ]

    def _frame(self, scene: Scene, decided: tuple[Decided, ...], width: int) -> Frame:
        now = scene.snapshot.ts
        reach = (now - decided[0].ts) / NS if decided else 0.0
        seconds = next((s for s in STEPS if s * width >= reach), STEPS[-1])
        length = seconds * NS
        start = (now // length + 1 - width) * length
        return Frame({}, start, length, width, 0.0, 1.0, 1, 0, 0, 0)

    def _side(self, canvas: Canvas, names: dict[int, tuple[str, str]]) -> list[Line]:
        out: list[Line] = []
        for y in range(canvas.rows):
            said, ink = names.get(y, ("", "blank"))
            out.append((cell("", 1, self.ink["blank"]), canvas.row(y, self.ink),
                        cell(said, SCALE, self.ink[ink], "right")))  # fmt: skip
        return out

    def _times(self, frame: Frame, scene: Scene) -> Line:
        canvas = Canvas(frame.columns, 1)
        seconds = frame.length / NS
        for x, said in axes.times(frame.start, seconds, frame.columns, scene.zone):
            canvas.write(x, 0, said, "dim")
        return (cell("", 1, self.ink["blank"]), canvas.row(0, self.ink),
                cell("", SCALE, self.ink["blank"]))  # fmt: skip

    def _other(self, mode: str, decided: tuple[Decided, ...]) -> Line:
        """Another mode's course in one line."""
        width = max(10, self.width - 8 - 7 - 20)
        course = tuple(d.bias for d in decided)
        last = course[-1] if course else None
        drawn = marks.sparkline(course, width, self.look.glyphs.levels)
        return (
            cell(f" {mode}", 8, self.ink["dim"]),
            marks.runs(drawn, self.ink),
            cell(text.signed(last) or self.none, 7, self.ink[marks.tone(last)], "right"),
            cell(f"  {len(decided)} decisions", max(0, self.width - 15 - width), self.ink["dim"]),
        )

    # Transitions

    def _turns(self, scene: Scene, detail: Detail, height: int) -> list[Line]:
        turns = [t for t in detail.transitions if t.mode == scene.mode]
        self.top = min(self.top, max(0, len(turns) - max(1, height - 1)))
        shown = turns[self.top : self.top + max(0, height - 1)]
        said = f"{len(turns)} in {scene.mode}, newest first" if turns else "none yet in this mode"
        if turns and len(shown) < len(turns):
            said += f"; {self.top + 1} to {self.top + len(shown)}"
        infos = {c.id: c for c in scene.snapshot.categories}
        names = {r.card: r.name for r in detail.readings.get(scene.mode, ())}
        lines: list[Line] = [heading("transitions", self.width, self.look, said)]
        drawn = Drawn(len(shown), lambda y: self._turn(shown[y], scene, infos, names))
        return [*lines, *drawn][:height]

    def _turn(self, turn: Transition, scene: Scene, infos: dict[str, CategoryInfo],
              names: dict[str, str]) -> Line:  # fmt: skip
        glyphs = self.look.glyphs
        arrow, tone = marks.arrow(turn.side, glyphs)
        decimals = scene.current.price.decimals if scene.current else 2
        points = turn.subject == "composite"
        who = "bias" if points else names.get(turn.id, turn.id.replace("_", " "))
        if turn.id in infos:
            who = infos[turn.id].name
        course = " to ".join(
            text.signed(v, 0 if points else 2) or "" for v in (turn.before, turn.after)
        )
        dated = self.width >= 100
        when = axes.moment(turn.ts, scene.zone, scene.snapshot.ts)
        room = max(0, self.width - (15 if dated else 8) - 2 - 22 - 17 - 15 - 12)
        price = text.price(turn.price, decimals) or self.none
        return (
            cell(f" {when if dated else when[-5:]}", 15 if dated else 8, self.ink["dim"]),
            cell(arrow, 2, self.ink[tone]),
            cell(who, 22, self.ink["strong" if points else "text"], "left", glyphs.ellipsis),
            cell(WORDS.get(turn.kind, turn.kind), 17, self.ink[tone]),
            cell(course, 15, self.ink["muted"]),
            cell(price, 12, self.ink["dim"], "right"),
            cell("", room, self.ink["blank"]),
        )  # fmt: skip
