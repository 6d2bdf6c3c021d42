"""Category breakdown: how the bias of one symbol adds up."""

from rich.segment import Segment

from cockpit.theme import Glyphs, Ink, Look
from cockpit.widgets import keys, marks, text
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene, composite
from cockpit.widgets.text import Cell, Line, cell, fit
from engine.snapshot import CategoryInfo, CategoryLine, Composite, SymbolState

NAME = 16
POINTS = 6
CARDS = 6
STATE = 9

# The line of each category as drawn last, with what it was drawn from.
Kept = dict[str, tuple[tuple[CategoryLine, float, int], Line]]


class Breakdown(Lines):
    """The 25 categories of the row under the cursor; a narrow one leaves out the state's word."""

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, surface="panel", id=id)
        self._kept: Kept = {}

    def show(self, scene: Scene) -> None:
        state = scene.current
        found = composite(state, scene.mode) if state else None
        if self.same(state and state.id, scene.mode, scene.waiting, found):
            return
        if state is None or found is None or scene.waiting:
            self.show_lines([])
            return
        form = _Form(self.size.width, self.look.glyphs, self.ink, self._kept)
        infos = scene.snapshot.categories
        lines = form.title(state, scene.mode, found)
        rest = form.sums(found)
        whole = len(lines) + 1 + len(infos) + len(rest) <= self.size.height
        lines += form.categories(infos, found, fold=not whole)
        self.show_lines(lines + rest)


class _Form:
    """Draws the panel's lines for one width."""

    def __init__(self, width: int, glyphs: Glyphs, ink: Ink, kept: Kept) -> None:
        self.kept = kept
        self.width = width
        self.glyphs = glyphs
        self.ink = ink
        fixed = 2 + 2 + NAME + 1 + POINTS + CARDS
        self.stated = width >= fixed + STATE + 12
        left = width - fixed - (STATE + 2 if self.stated else 0)
        self.half = max(2, min(12, (left - 1) // 2))

    def line(self, *cells: Cell) -> Line:
        used = sum(len(s.text) for c in cells for s in c)
        return (self.cell(" ", 1), *cells, self.cell("", max(0, self.width - used - 1)))

    def cell(self, words: str, width: int, ink: str = "text", align: str = "left") -> Cell:
        return cell(words, width, self.ink[ink], align, self.glyphs.ellipsis)

    def split(self, left: str, right: str, inks: tuple[str, str]) -> Line:
        """One text at each edge."""
        room = self.width - 2
        end = fit(right, min(len(right), room))
        return self.line(
            self.cell(left, room - len(end), inks[0]), (Segment(end, self.ink[inks[1]]),)
        )

    def blank(self) -> Line:
        return self.line()

    def title(self, state: SymbolState, mode: str, found: Composite) -> list[Line]:
        """Whose bias it is, how much it is worth, and what is not known about it."""
        call = keys.decision(state, mode)
        words, tone = (call[0], call[2]) if isinstance(call, tuple) else ("no decision", "dim")
        bias = text.signed(found.bias, 1) or "no bias"
        lines = [
            self.split(f"{text.base(state.id)}  {mode}", bias, ("strong", marks.tone(found.bias))),
            self.split(words, f"conviction ~{found.conviction:.0f}", (tone, "text")),
            self.split(
                f"coverage {found.coverage:.0%}, {found.available} of {found.total} cards",
                "",
                ("muted", "dim"),
            ),
            self._claim(found),
        ]
        if found.bias is None:
            lines.append(self.split("too few cards for a bias", "", ("warn", "dim")))
        return [*lines, self.blank()]

    def _claim(self, found: Composite) -> Line:
        """What may be said of its odds, and how far its windows agree."""
        shown = "agreement --" if found.agreement is None else f"agreement {found.agreement:.0%}"
        if not found.calibrated or found.confidence is None:
            return self.split("not calibrated", shown, ("warn", "muted"))
        words = f"confidence {found.confidence:.0%}"
        if found.base_rate is not None:
            words += f", edge {text.signed((found.confidence - found.base_rate) * 100, 1)}"
        return self.split(words, shown, ("text", "muted"))

    def categories(
        self, infos: tuple[CategoryInfo, ...], found: Composite, fold: bool
    ) -> list[Line]:
        """A head and a line for each category; `fold` names those without a card together."""
        shown = [(i, found.categories[i.id]) for i in infos if i.id in found.categories]
        largest = max((abs(c.contribution or 0.0) for _, c in shown), default=0.0)
        full = max(10.0, largest)
        lines = [self._heads()]
        lines += [self._category(i, c, full) for i, c in shown if c.available or not fold]
        missing = [i.name for i, c in shown if not c.available]
        if fold and missing:
            lines += self._wrapped(f"not available ({len(missing)}): " + ", ".join(missing))
        return lines

    def _heads(self) -> Line:
        cells = [self.cell(" ", 2), self.cell("category", NAME + 1, "dim")]
        cells.append(self.cell("points", 2 * self.half + 1 + POINTS, "dim", "right"))
        cells.append(self.cell("cards", CARDS, "dim", "right"))
        if self.stated:
            cells.append(self.cell("  state", STATE + 2, "dim"))
        return self.line(*cells)

    def _category(self, info: CategoryInfo, found: CategoryLine, full: float) -> Line:
        key = (found, full, self.width)
        if info.id in self.kept and self.kept[info.id][0] == key:
            return self.kept[info.id][1]
        line = self._draw(info, found, full)
        self.kept[info.id] = key, line
        return line

    def _draw(self, info: CategoryInfo, found: CategoryLine, full: float) -> Line:
        glyph, tone = marks.category(found.score, found.state, self.glyphs)
        there = found.score is not None
        points = text.signed(found.contribution, 1) if there else None
        bar = marks.bar(
            found.contribution if there else None, self.half, self.glyphs, self.ink, full
        )
        cells = [
            self.cell(glyph, 2, tone),
            self.cell(info.name, NAME + 1, "text" if there else "dim"),
            bar,
            self.cell(points or self.glyphs.none, POINTS,
                      marks.tone(found.contribution) if there else "faint", "right"),
            self.cell(f"{found.available}/{found.total}", CARDS,
                      "muted" if found.available else "dim", "right"),
        ]  # fmt: skip
        if self.stated:
            word, ink = keys.state_text(found.state) if there else ("no data", "dim")
            cells.append(self.cell("  " + word, STATE + 2, ink))
        return self.line(*cells)

    def sums(self, found: Composite) -> list[Line]:
        """Contributions, adjustments and their sum, the bias."""
        parts = [c.contribution for c in found.categories.values() if c.contribution is not None]
        if found.bias is None:
            return []
        lines = [self.line(self.cell(self.glyphs.rule * (self.width - 2), self.width - 2, "faint"))]
        lines.append(self._sum("categories", sum(parts)))
        lines += [self._sum(name.replace("_", " "), v) for name, v in found.adjustments.items()]
        if not found.adjustments:
            lines.append(self.split("adjustments", "none", ("muted", "dim")))
        total = text.signed(found.bias, 1) or "0.0"
        lines.append(self.split("bias", total, ("strong", marks.tone(found.bias))))
        return lines

    def _sum(self, name: str, points: float) -> Line:
        return self.split(name, text.signed(points, 1) or "", ("muted", marks.tone(points)))

    def _wrapped(self, words: str) -> list[Line]:
        """A long sentence on as many lines as it needs."""
        lines = text.wrap(words, self.width - 2)
        return [self.line(self.cell(line, self.width - 2, "dim")) for line in lines]
