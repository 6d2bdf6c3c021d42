"""Figures of one card: each step from its raw measures to points of the bias, line by line."""

import math
from collections.abc import Mapping
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
# S' below which points are 100 x gain x part, as the engine has it.
FLAT = 1e-9
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
    told = reading.points if reading.points is not None else _points(readings, found, reading)
    return Facts(
        reading=reading, category=names.get(reading.category, reading.category), symbol=state.id,
        mode=scene.mode, bias=found.bias, points=told, place=place,
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
        """From the raw measure to the score of each window, shortest first."""
        card = self.card
        measured = bool(card.scales)
        rows = [self._row("window", [self.cell(w, WINDOW, "dim", "right") for w in card.scores])]
        if card.weights:
            rows.append(self._plain("weight", card.weights, "in the score"))
        rows.append(self._plain("raw", card.raws, "the measure itself", "text"))
        if measured:
            rows.append(self._plain("centre", card.centres, "what is usual"))
            rows.append(self._plain("scale", card.scales, "how far it usually strays"))
        scores = [self._score(s) for s in card.scores.values()]
        rows += [
            self._row("normalised", [self._figure(self._normalised(w), "muted")
                                     for w in card.scores], "(raw - centre) / scale"),
            self._row("score", scores, "tanh(normalised / 2)"),
            self._row("", [self._bar(s) for s in card.scores.values()]),
        ]  # fmt: skip
        if measured:
            samples = [None if n is None else f"{n:.1f}" for n in card.samples.values()]
            rows.append(self._row("samples n", [self._figure(n, "muted") for n in samples],
                                  "n / (n + 30) suffices"))  # fmt: skip
        return rows

    def _plain(self, name: str, values: Mapping[str, float | None], said: str,
               ink: str = "muted") -> Line:  # fmt: skip
        return self._row(
            name, [self._figure(exact(values.get(w)), ink) for w in self.card.scores], said
        )

    def _normalised(self, window: str) -> str | None:
        """As it was made; where that was not kept, what the score tells of it."""
        card = self.card
        score, raw = card.scores.get(window), card.raws.get(window)
        scale, centre = card.scales.get(window), card.centres.get(window)
        if score is None or raw is None or scale is None or centre is None:
            return normalised(score)
        value = (raw - centre) / scale
        return text.signed(value, 3) if abs(value) < 1000 else text.short(value)

    def _score(self, score: float | None) -> Cell:
        """With the glyph of its side before it."""
        if score is None:
            return self.cell(self.glyphs.none, WINDOW, "faint", "right")
        glyph, tone = self._side(score)
        shown = text.signed(score, 4) or ""
        return (
            *self.cell(glyph, WINDOW - 8, tone, "right"),
            *self.cell(shown, 8, marks.tone(100 * score), "right"),
        )

    def _bar(self, score: float | None) -> Cell:
        half = (WINDOW - 4) // 2
        if score is None:
            return self.cell("", WINDOW)
        drawn = marks.bar(100 * score, half, self.glyphs, self.ink)
        return (*self.cell("", WINDOW - 2 * half - 1), *drawn)

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
            self.step("agreement", text.fraction(card.agreement, 4), "warn" if torn else "text",
                      agreed),
            self.step("score", text.signed(card.score, 4), self._tone(card.score),
                      "the windows' mean by their weights, in 127ths"),
            self.step("strength", text.fraction(card.strength, 4), "text", halved),
            self.step("confidence", text.fraction(card.confidence, 4), "text", self._quality()),
            self.step("weight", text.fraction(card.weight, 6), "warn" if inverted else "text",
                      "inverted by its record" if inverted else "its share of its category's"),
            self.step("contribution", text.signed(card.contribution, 6),
                      self._tone(card.contribution * STRENGTH), self._product()),
            self._sum(),
        ]  # fmt: skip

    def _tone(self, score: float | None) -> str:
        return marks.tone(None if score is None else 100 * score)

    def _quality(self) -> str:
        """What a confidence is made of; the record acts through the weight alone."""
        card = self.card
        if card.freshness is not None and card.sufficiency is not None:
            parts = (("fresh", card.freshness), ("suff", card.sufficiency),
                     ("agree", card.agreement))  # fmt: skip
            return " x ".join(f"{name} {text.fraction(part, 4)}" for name, part in parts)
        if not card.agreement:
            return "data quality x agreement"
        quality = min(1.0, card.confidence / card.agreement)
        return f"data quality {text.fraction(quality)} x agreement {text.fraction(card.agreement)}"

    def _product(self) -> str:
        card = self.card
        sign = "-" if (card.score or 0.0) < 0 else "+"
        return (f"{sign}{text.fraction(card.strength, 4)} x {text.fraction(card.confidence, 4)}"
                f" x {text.fraction(card.weight, 6)}")  # fmt: skip

    def _sum(self) -> Line:
        """Points, and how they come of the contribution."""
        facts, card = self.facts, self.card
        if facts.points is None:
            return self.step("points", None, "faint", "no bias: too few cards")
        shown = text.signed(facts.points, 4)
        bias = text.signed(facts.bias, 4)
        said = f"of bias {bias}"
        if card.whole and card.total and abs(card.total) >= FLAT:
            whole, total = f"{card.whole:.6g}", f"{card.total:+.5g}"
            said = f"bias {bias} x contribution / {whole} / S' {total}"
        return self.step("points", shown, marks.tone(facts.points * STRENGTH), said)

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
        """Age of the oldest input, and what has to be fed; both as of now."""
        card = self.card
        old, ink = text.age(card.age), "text"
        needs = ", ".join(self.facts.needs) or self.glyphs.none
        said = f"now, of the oldest of its needs: {needs}"
        if not card.reliable:
            ink, said = "warn", f"a gap lies in its windows, not reliable; needs {needs}"
        return [self.step("age", old, ink, said)]

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


def exact(value: float | None) -> str | None:
    """A measure to five digits or more, so that what is made of it can be made again."""
    if value is None:
        return None
    if 1e3 <= abs(value) < 1e8:
        return f"{value:,.{0 if abs(value) >= 1e5 else 1}f}"
    return f"{value:.5g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def normalised(score: float | None) -> str | None:
    """What tanh(x / 2) made the score of; beyond 38 floats no longer tell."""
    if score is None:
        return None
    if abs(score) >= 1.0:
        return "> +38" if score > 0 else "< -38"
    return text.signed(2 * math.atanh(score), 2)
