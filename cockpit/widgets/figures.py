"""Figures of one card: each step from its raw measures to points of the bias, line by line."""

import math
from dataclasses import dataclass
from datetime import tzinfo

from rich.segment import Segment

from cockpit.theme import Look
from cockpit.widgets import keys, marks, text
from cockpit.widgets.ranks import points
from cockpit.widgets.scene import Scene, composite
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import Composite, Reading, Transition

LABEL = 14
VALUE = 9
WINDOW = 12
# A card's points are coloured and drawn as a bias ten times as large would be.
STRENGTH = 10.0
CHANGES = 5
KINDS = {
    "directional": "takes a side", "flip": "changes sides", "conflict_begins": "conflict begins",
    "conflict_ends": "conflict ends", "deceleration": "decelerates", "exhaustion": "exhausted",
}  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """One card and all its figures are drawn from; equal facts mean equal lines."""

    reading: Reading
    category: str
    symbol: str
    mode: str
    bias: float | None
    points: float | None
    place: str
    stale: bool
    needs: tuple[str, ...]
    changes: tuple[Transition, ...]
    zone: tzinfo | None


def facts_of(
    scene: Scene, card: str, place: str, needs: tuple[str, ...], stale: bool
) -> Facts | None:
    """Of a card of the scene's symbol and mode; None while there is no such reading."""
    state, detail = scene.current, scene.detail
    found = composite(state, scene.mode) if state else None
    readings = detail.readings.get(scene.mode, ()) if detail is not None else ()
    reading = next((r for r in readings if r.card == card), None)
    if state is None or found is None or detail is None or reading is None:
        return None
    names = {c.id: c.name for c in scene.snapshot.categories}
    own = (t for t in detail.transitions
           if (t.subject, t.id, t.mode) == ("card", card, scene.mode))  # fmt: skip
    return Facts(
        reading=reading, category=names.get(reading.category, reading.category), symbol=state.id,
        mode=scene.mode, bias=found.bias, points=_points(readings, found, reading), place=place,
        stale=stale, needs=needs, changes=tuple(own)[:CHANGES], zone=scene.zone,
    )  # fmt: skip


def _points(readings: tuple[Reading, ...], found: Composite, reading: Reading) -> float | None:
    return dict(zip((r.card for r in readings), points(readings, found), strict=True))[reading.card]


def figures(facts: Facts, width: int, look: Look) -> list[Line]:
    """The lines, each `width` wide."""
    form = _Form(facts, width, look)
    lines = [*form.title(), form.blank(), *form.windows(), form.blank()]
    lines += form.steps() if facts.reading.available else form.absent()
    return [*lines, form.blank(), *form.inputs(), *form.changes()]


class _Form:
    """Draws the lines of one card for one width."""

    def __init__(self, facts: Facts, width: int, look: Look) -> None:
        self.facts = facts
        self.card = facts.reading
        self.width = width
        self.glyphs = look.glyphs
        self.ink = look.ink("background", facts.stale)

    # Parts of a line

    def line(self, *cells: Cell) -> Line:
        used = sum(len(s.text) for c in cells for s in c)
        return (*cells, self.cell("", max(0, self.width - used)))

    def cell(self, words: str, width: int, ink: str = "text", align: str = "left") -> Cell:
        return cell(words, width, self.ink[ink], align, self.glyphs.ellipsis)

    def blank(self) -> Line:
        return self.line()

    def step(self, name: str, value: str | None, ink: str, said: str) -> Line:
        """A step's name, its figure and how the figure is made."""
        shown = value or self.glyphs.none
        room = max(0, self.width - LABEL - VALUE - 2)
        return self.line(
            self.cell(name, LABEL, "muted"),
            self.cell(shown, VALUE, ink if value else "faint", "right"),
            self.cell("  " + said, room + 2, "dim"),
        )

    # The lines

    def title(self) -> list[Line]:
        facts = self.facts
        right = f"{facts.place} "
        name = text.clean(self.card.name)
        where = f"{facts.symbol}  {facts.mode}  {facts.category}"
        room = max(0, self.width - len(right))
        word, tone = keys.state_text(self.card.state)
        if self.card.conflicted:
            word, tone = "conflict", "warn"
        said = word if self.card.available else "not available"
        return [
            self.line(self.cell(name, room, "strong"), self.cell(right, len(right), "dim")),
            self.line(
                self.cell(where + "  ", min(self.width, len(where) + 2), "muted"),
                self.cell(said, max(0, self.width - len(where) - 2), tone),
            ),
        ]

    def windows(self) -> list[Line]:
        """Raw measure, normalised, score and side of each window, shortest first."""
        card, none = self.card, self.glyphs.none
        scores = list(card.scores.values())
        raws = [text.short(raw) for raw in card.raws.values()]
        half = (WINDOW - 4) // 2
        bars = [
            (*self.cell("", WINDOW - 2 * half - 1), *marks.bar(s and 100 * s, half, self.glyphs,
                                                               self.ink))
            if s is not None else self.cell("", WINDOW) for s in scores
        ]  # fmt: skip
        return [
            self._row("window", [self.cell(w, WINDOW, "dim", "right") for w in card.scores]),
            self._row("raw", [self._figure(raw, "text") for raw in raws]),
            self._row("normalised", [self._figure(normalised(s), "muted") for s in scores],
                      "(raw - centre) / scale"),
            self._row("score", [self._figure(text.signed(s, 2), marks.tone(s and 100 * s))
                                for s in scores], "tanh(normalised / 2)"),
            self._row("", bars),
            self._row("side", [self._figure(*self._side(s)) if s is not None else
                               self.cell(none, WINDOW, "faint", "right") for s in scores]),
        ]  # fmt: skip

    def _row(self, name: str, cells: list[Cell], said: str = "") -> Line:
        used = LABEL + WINDOW * len(cells)
        note = self.cell("   " + said, max(0, self.width - used), "dim")
        fits = used + 3 + len(said) <= self.width
        return self.line(self.cell(name, LABEL, "muted"), *cells, *([note] if fits else []))

    def _figure(self, shown: str | None, ink: str) -> Cell:
        return self.cell(shown or self.glyphs.none, WINDOW, ink if shown else "faint", "right")

    def _side(self, score: float) -> tuple[str, str]:
        side = 0 if abs(score) <= marks.DEAD_BAND else (1 if score > 0 else -1)
        return marks.arrow(side, self.glyphs)

    def steps(self) -> list[Line]:
        """Agreement, score, strength, confidence, weight, contribution, points."""
        card = self.card
        torn = "conflict: windows oppose each other" if card.conflicted else ""
        agreed = torn or "of the windows' weight is on the score's side"
        halved = "half of |score|, as in conflict" if card.conflicted else "|score|"
        inverted = card.weight < 0
        return [
            self.step("agreement", f"{card.agreement:.0%}", "warn" if torn else "text", agreed),
            self.step("score", text.signed(card.score, 2), self._tone(card.score),
                      "the windows' mean by their weights"),
            self.step("strength", text.fraction(card.strength), "text", halved),
            self.step("confidence", text.fraction(card.confidence), "text", self._quality()),
            self.step("weight", text.fraction(card.weight, 3), "warn" if inverted else "text",
                      "inverted by its record" if inverted else "its share of its category's"),
            self.step("contribution", text.signed(card.contribution, 4),
                      self._tone(card.contribution * STRENGTH), self._product()),
            self._sum(),
        ]  # fmt: skip

    def _tone(self, score: float | None) -> str:
        return marks.tone(None if score is None else 100 * score)

    def _quality(self) -> str:
        """What a confidence is made of; the record acts through the weight alone."""
        card = self.card
        if not card.agreement:
            return "data quality x agreement"
        quality = min(1.0, card.confidence / card.agreement)
        return f"data quality {text.fraction(quality)} x agreement {text.fraction(card.agreement)}"

    def _product(self) -> str:
        card = self.card
        sign = "-" if (card.score or 0.0) < 0 else "+"
        return (f"{sign}{text.fraction(card.strength)} x {text.fraction(card.confidence)}"
                f" x {text.fraction(card.weight, 3)}")  # fmt: skip

    def _sum(self) -> Line:
        facts = self.facts
        if facts.points is None:
            return self.step("points", None, "faint", "no bias: too few cards")
        scaled = facts.points * STRENGTH
        bias = text.signed(facts.bias, 1)
        line = self.step("points", text.signed(facts.points, 2), marks.tone(scaled), "")
        drawn = marks.bar(scaled, 8, self.glyphs, self.ink)
        said = self.cell(f"  of bias {bias}", 20, "dim")
        rest = self.cell("", max(0, self.width - LABEL - VALUE - 2 - 17 - 20))
        return (*line[:2], self.cell("", 2), drawn, said, rest)

    def absent(self) -> list[Line]:
        reason = text.clean(self.card.reason) or "no reason is known"
        said = "It says nothing, and its weight still counts: what is missing shrinks the bias."
        rows = text.wrap(said, min(self.width - 1, LABEL + 64))
        named = self.line(
            self.cell("not available", LABEL + 1, "warn"),
            self.cell(reason, max(0, self.width - LABEL - 1)),
        )
        return [named, *(self.line(self.cell(row, len(row), "dim")) for row in rows)]

    def inputs(self) -> list[Line]:
        """Age of the oldest input, and what has to be fed."""
        card = self.card
        old, ink = text.age(card.age), "text"
        said = "of its oldest input"
        if not card.reliable:
            ink, said = "warn", "a gap in the feed lies in its windows: not reliable"
        needs = ", ".join(self.facts.needs) or self.glyphs.none
        return [
            self.step("age", old, ink, said),
            self.line(self.cell("needs", LABEL, "muted"),
                      self.cell("  " + needs, max(0, self.width - LABEL))),
        ]  # fmt: skip

    def changes(self) -> list[Line]:
        """Its own latest transitions in this mode."""
        if not self.facts.changes:
            return []
        return [self.blank(), *(self._change(found) for found in self.facts.changes)]

    def _change(self, found: Transition) -> Line:
        glyph, tone = marks.arrow(found.side, self.glyphs)
        before, after = text.signed(found.before, 2), text.signed(found.after, 2)
        return self.line(
            self.cell(text.clock(found.ts, self.facts.zone) or "", LABEL, "muted"),
            (Segment("  " + glyph + " ", self.ink[tone]),),
            self.cell(KINDS.get(found.kind, text.clean(found.kind)), 18),
            self.cell(f"score {before} to {after}", 24, "dim"),
        )


def normalised(score: float | None) -> str | None:
    """What tanh(x / 2) made the score of; beyond 38 floats no longer tell."""
    if score is None:
        return None
    if abs(score) >= 1.0:
        return "> +38" if score > 0 else "< -38"
    return text.signed(2 * math.atanh(score), 2)
