"""CellPanel: the cell under the heat map's cursor in words, and the cards that weigh most in it."""

from rich.segment import Segment

from cockpit.widgets import keys, marks, text
from cockpit.widgets.lines import Lines
from cockpit.widgets.ranks import points
from cockpit.widgets.scene import Scene, composite
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import CategoryInfo, CategoryLine, Composite, Reading

STRONGEST = 3
POINTS = 7
NAME = 30
LEAST_FULL = 0.5


def strongest(scene: Scene, category: str) -> tuple[tuple[Reading, float], ...]:
    """The cards of a category with their points, the most first, whichever side they are on."""
    state, detail = scene.current, scene.detail
    found = composite(state, scene.mode) if state else None
    readings = detail.readings.get(scene.mode, ()) if detail is not None else ()
    if found is None or not readings:
        return ()
    pairs = zip(readings, points(readings, found), strict=True)
    own = [(r, p) for r, p in pairs if r.category == category and p is not None]
    return tuple(sorted(own, key=lambda pair: -abs(pair[1])))


class CellPanel(Lines):
    """Beside the map in a narrow column, or below it in four lines or more; `foot` says which."""

    column = ""
    foot = False

    def show(self, scene: Scene) -> None:
        state = scene.current
        found = composite(state, scene.mode) if state else None
        info = next((c for c in scene.snapshot.categories if c.id == self.column), None)
        line = found.categories.get(self.column) if found else None
        best = strongest(scene, self.column)
        if self.same(
            state and state.id, scene.mode, found and found.bias, info, line, best, self.foot
        ):
            return
        if scene.waiting or state is None or found is None or info is None or line is None:
            self.show_lines([])
            return
        draw = self._below if self.foot else self._beside
        self.show_lines(draw(f"{state.id}  {scene.mode}", found, info, line, best))

    def _words(self, words: str, width: int, ink: str = "text", align: str = "left") -> Cell:
        return cell(words, width, self.ink[ink], align, self.look.glyphs.ellipsis)

    def _line(self, *cells: Cell) -> Line:
        used = 1 + sum(len(s.text) for c in cells for s in c)
        rest = max(0, self.size.width - used)
        return (self._words("", 1), *cells, self._words("", rest))

    def _score(self, line: CategoryLine) -> Cell:
        """Glyph, score and state."""
        glyph, tone = marks.category(line.score, line.state, self.look.glyphs)
        if line.score is None:
            return Segment(f"{glyph} ", self.ink["dim"]), Segment("no data", self.ink["dim"])
        word, ink = keys.state_text(line.state)
        shown = text.signed(line.score, 2)
        side = marks.tone(100 * line.score)
        return (
            Segment(f"{glyph} ", self.ink[tone]),
            Segment(f"{shown}  ", self.ink[side]),
            Segment(word, self.ink[ink]),
        )

    def _points(self, line: CategoryLine) -> tuple[str, str]:
        there = line.score is not None
        shown = text.signed(line.contribution, 1) if there else None
        return shown or self.look.glyphs.none, marks.tone(line.contribution) if there else "faint"

    def _below(
        self, where: str, found: Composite, info: CategoryInfo, line: CategoryLine,
        best: tuple[tuple[Reading, float], ...],
    ) -> list[Line]:  # fmt: skip
        shown, tone = self._points(line)
        bias = text.signed(found.bias, 1) or self.look.glyphs.none
        first = self._line(
            self._words(where, len(where) + 3, "muted"),
            self._words(info.name, len(info.name) + 2, "strong"),
            self._score(line),
            self._words("   points ", 10, "dim"), self._words(shown, len(shown), tone),
            self._words(f" of bias {bias}   cards {line.available}/{line.total}", 40, "dim"),
        )  # fmt: skip
        rows = self.size.height - 5
        if rows > STRONGEST and best:
            full = max(LEAST_FULL, abs(best[0][1]))
            listed = [self._card(*pair, full) for pair in best[:rows]]
            return [self._line(), first, self._line(), *listed,
                    *self._fill(rows + 1 - len(listed)), self._legend()]  # fmt: skip
        cells: list[Cell] = [self._words("strongest  ", 11, "dim")]
        room = min(36, (self.size.width - 13) // STRONGEST - POINTS - 3)
        for reading, value in best[:STRONGEST]:
            name = text.clean(reading.name)[:room]
            cells.append(self._words(name, len(name) + 1))
            amount = text.signed(value, 2) or "0"
            cells.append(self._words(amount, len(amount) + 3, marks.tone(10 * value)))
        if not best:
            cells = [self._words(_none(line), 60, "dim")]
        lines = [self._line(), first, self._line(*cells)]
        return [*lines, *self._fill(self.size.height - 4), self._legend()]

    def _fill(self, count: int) -> list[Line]:
        return [self._line()] * max(0, count)

    def _card(self, reading: Reading, value: float, full: float) -> Line:
        """Name, points and their bar, score and the side of each window."""
        sides = [None if s is None else (abs(s) > marks.DEAD_BAND) * (1 if s > 0 else -1)
                 for s in reading.scores.values()]  # fmt: skip
        return self._line(
            self._words(reading.name, NAME),
            self._words(text.signed(value, 2) or "0", POINTS, marks.tone(10 * value), "right"),
            self._words("  ", 2),
            marks.bar(value, 8, self.look.glyphs, self.ink, full),
            self._words("  score ", 8, "dim"),
            self._words(text.signed(reading.score, 2) or "", 5,
                        marks.tone(100 * (reading.score or 0.0)), "right"),
            self._words("  ", 2),
            marks.runs([marks.arrow(side, self.look.glyphs) for side in sides], self.ink),
        )  # fmt: skip

    def _beside(
        self, where: str, found: Composite, info: CategoryInfo, line: CategoryLine,
        best: tuple[tuple[Reading, float], ...],
    ) -> list[Line]:  # fmt: skip
        room = max(0, self.size.width - 2)
        shown, tone = self._points(line)
        lines = [
            self._line(self._words(where, room, "muted")),
            self._pair("bias", text.signed(found.bias, 1), marks.tone(found.bias)),
            self._line(),
            self._line(self._words(info.name, room, "strong")),
            self._line(self._words(info.group.replace("_", " "), room, "dim")),
            self._line(self._score(line)),
            self._pair("points", shown, tone),
            self._pair("cards", f"{line.available}/{line.total}", "muted"),
            self._line(),
            self._line(self._words("strongest", room, "dim")),
        ]
        for reading, value in best[:STRONGEST]:
            name = self._words(reading.name, max(0, room - POINTS))
            amount = text.signed(value, 2) or "0"
            lines.append(
                self._line(name, self._words(amount, POINTS, marks.tone(10 * value), "right"))
            )
        if not best:
            lines.append(self._line(self._words(_none(line), room, "dim")))
        blanks = max(1, self.size.height - len(lines) - 5)
        return [*lines, *[self._line()] * blanks, *self._signs()]

    def _pair(self, name: str, value: str | None, ink: str) -> Line:
        room = max(0, self.size.width - 2)
        shown = value or self.look.glyphs.none
        return self._line(
            self._words(name, room - len(shown), "dim"), self._words(shown, len(shown), ink)
        )

    def _signs(self) -> list[Line]:
        return [
            self._line((Segment(glyph.ljust(4), self.ink["muted"]),),
                       self._words(said, max(0, self.size.width - 6), "dim"))
            for glyph, said in self._key()
        ]  # fmt: skip

    def _key(self) -> tuple[tuple[str, str], ...]:
        glyphs = self.look.glyphs
        return (
            (" ".join(glyphs.up), "up weak/strong"),
            (" ".join(glyphs.down), "down weak/strong"),
            (glyphs.neutral, "neutral"), (glyphs.conflict, "conflicted"),
            (glyphs.none, "not available"),
        )  # fmt: skip

    def _legend(self) -> Line:
        cells: list[Cell] = []
        for glyph, said in self._key():
            cells.append((Segment(f"{glyph} ", self.ink["muted"]),))
            cells.append(self._words(said, len(said) + 3, "dim"))
        return self._line(*cells)


def _none(line: CategoryLine) -> str:
    return "no card has data" if not line.available else "with the next step"
