"""Moves: why a bias is another than at the decision before, part by part, the largest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from textual import events
from textual.message import Message

from cockpit.theme import Glyphs, Ink, Look
from cockpit.widgets import marks, text
from cockpit.widgets.lines import Lines
from cockpit.widgets.prose import beside
from cockpit.widgets.scene import Scene, composite, is_stale
from cockpit.widgets.sheet import entry
from cockpit.widgets.states import Said, centred, empty_lines, waiting_lines
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import CategoryInfo, Move, Moved, SymbolState

NS = 1_000_000_000
WIDE = 120
LEFT, MOST_LEFT = 58, 80
GAP = 3
# Points below which a part is one of the others.
LEAST = 0.05
CARDS = 20
FIGURE = 8
CATEGORY = 17
# Lines above the rows of a table: what moved, a blank, the heads.
ABOVE = 3
# A change is coloured as a bias ten times as large would be.
STRENGTH = 10.0

Target = tuple[str, str]


@dataclass(frozen=True)
class Row:
    """A line of a table; `target` is what it opens, None for a sum."""

    name: str
    then: float | None
    now: float | None
    points: float
    target: Target | None = None
    category: str = ""
    ink: str = "text"


@dataclass(frozen=True)
class Told:
    """What a move is told in: its parts and its cards, both with their others and their sum."""

    parts: tuple[Row, ...]
    cards: tuple[Row, ...]

    @property
    def targets(self) -> tuple[Target, ...]:
        """What the cursor goes through, parts before cards."""
        return tuple(row.target for row in (*self.parts, *self.cards) if row.target)


def told(move: Move, infos: Sequence[CategoryInfo], possible: int, most: int) -> Told:
    """The rows of a move; `possible` parts have points, at most `most` cards are named."""
    names = {info.id: info.name for info in infos}
    large = [part for part in move.parts if abs(part.points) >= LEAST]
    parts = [Row(_part(p, names), p.then, p.now, p.points, (p.subject, p.id)) for p in large]
    bias = Row("bias", move.before, move.after, move.after - move.before, ink="strong")
    others = max(len(move.parts), possible) - len(large)
    named = [c for c in move.cards if abs(c.points) >= LEAST][:most]
    cards = [_card(moved, names) for moved in named]
    every = _sum("cards", move.cards)
    return Told(
        parts=(*parts, *_others(others, parts, bias), bias),
        cards=(*cards, *_others(len(move.cards) - len(named), cards, every), every),
    )


def _part(moved: Moved, names: dict[str, str]) -> str:
    """A line of the context can have the id of a category."""
    plain = moved.id.replace("_", " ")
    return f"{plain} (context)" if moved.subject == "line" else names.get(moved.id, plain)


def _card(moved: Moved, names: dict[str, str]) -> Row:
    found = entry(moved.id)
    category = names.get(found.category, found.category) if found else ""
    name = found.name if found else moved.id.replace("_", " ")
    return Row(name, moved.then, moved.now, moved.points, ("card", moved.id), category)


def _sum(name: str, moved: Sequence[Moved]) -> Row:
    """Of the cards that moved at all."""
    then, now = (sum(getattr(m, at) or 0.0 for m in moved) for at in ("then", "now"))
    return Row(name, then, now, now - then, ink="strong")


def _others(count: int, named: Sequence[Row], whole: Row) -> tuple[Row, ...]:
    """What is left of the sum, so that each column adds up."""
    if count <= 0:
        return ()
    then = (whole.then or 0.0) - sum(row.then or 0.0 for row in named)
    now = (whole.now or 0.0) - sum(row.now or 0.0 for row in named)
    name = f"{count} other" + ("s" if count > 1 else "")
    return (Row(name, then, now, now - then, ink="dim"),)


class Moves(Lines):
    """The move of the scene's symbol and mode; `cursor` is a part or a card, None for the first."""

    class Picked(Message):
        """The user clicked on a part or a card."""

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.cursor: Target | None = None
        self.told: Told | None = None
        self._followed: Target | None = None

    def show(self, scene: Scene) -> None:
        state, move = scene.current, move_of(scene)
        found = composite(state, scene.mode) if state else None
        why = _reason(scene, state) if state is not None and move is None else ()
        key = state and state.id, scene.mode, move, why, scene.zone, scene.waiting
        if self.same(*key, self.cursor, found, state and is_stale(state)):
            return
        if state is None or move is None:
            self.told = None
            self.show_lines(self._missing(scene, state))
            return
        parts = [c for c in found.categories.values() if c.available] if found else []
        possible = len(parts) + (len(found.adjustments) if found else 0)
        most = max(CARDS, self.size.height - ABOVE - 3)
        self.told = told(move, scene.snapshot.categories, possible, most)
        self._draw(scene, state, move, self.told)
        if self._at != self._followed:
            self._followed = self._at
            self._reveal()

    @property
    def _at(self) -> Target | None:
        """What is under the cursor."""
        targets = self.told.targets if self.told else ()
        return self.cursor if self.cursor in targets else next(iter(targets), None)

    def step(self, rows: int, targets: Sequence[Target]) -> None:
        """Put the cursor some rows further down, up where negative."""
        if targets:
            at = targets.index(self.cursor) if self.cursor in targets else 0
            self.cursor = targets[max(0, min(len(targets) - 1, at + rows))]

    def to_top(self) -> None:
        """Begin again with the first part."""
        self.cursor = self._followed = None
        self.to_line(0)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on what is under the pointer."""
        y, told = event.y + self.scroll_offset.y, self.told
        if told is None:
            return
        places = {place: target for target, place in self._places(told).items()}
        if target := places.get((y, self._wide and event.x > self._left)):
            self.cursor = target
            self.post_message(self.Picked())

    # Where things stand

    @property
    def _wide(self) -> bool:
        return self.size.width >= WIDE

    @property
    def _left(self) -> int:
        """Columns of the parts."""
        width = self.size.width
        return max(LEFT, min(MOST_LEFT, width * 2 // 5)) if self._wide else width

    def _places(self, told: Told) -> dict[Target, tuple[int, bool]]:
        """Line of each target, and whether it stands at the right."""
        below = 0 if self._wide else len(told.parts) + ABOVE
        out = {}
        for rows, first, right in ((told.parts, ABOVE, False), (told.cards, ABOVE + below,
                                                               self._wide)):  # fmt: skip
            for n, row in enumerate(rows):
                if row.target:
                    out[row.target] = first + n, right
        return out

    def _reveal(self) -> None:
        if self.told is None or self._at is None:
            return
        line, _ = self._places(self.told)[self._at]
        # With the first row whatever stands above it comes into view.
        self.reveal(0 if line == ABOVE else line)

    # Lines

    def _draw(self, scene: Scene, state: SymbolState, move: Move, told: Told) -> None:
        stale, glyphs, width = is_stale(state), self.look.glyphs, self.size.width
        inks = self.look.ink("background", stale), self.look.ink("cursor", stale)
        ink = inks[0]
        head = self._head(f"{state.id} {scene.mode}", move, scene.zone, ink)
        blank = (cell("", width, ink["blank"]),)
        left = self._left
        right = width - left - GAP if self._wide else width
        parts = _Table(left, glyphs, inks, self._at).lines("part", told.parts, False)
        cards = _Table(right, glyphs, inks, self._at).lines("card", told.cards, True)
        if self._wide:
            space = (cell("", GAP, ink["blank"]),)
            both = beside(parts, [(*space, *line) for line in cards], left, ink["blank"])
            self.show_lines([head, blank, *both])
        else:
            self.show_lines([head, blank, *parts, blank, *cards])

    def _head(self, who: str, move: Move, zone: tzinfo | None, ink: Ink) -> Line:
        """From which bias to which, and when."""
        seconds = (move.ts - move.since) / NS
        before, after, by = (
            text.signed(x, 1) or "" for x in (move.before, move.after, move.after - move.before)
        )
        times = f"{text.clock(move.since, zone)} -> {text.clock(move.ts, zone)}"
        cells = (
            cell(f" {who}  ", len(who) + 3, ink["strong"]),
            cell(before, len(before), ink[marks.tone(move.before)]),
            cell(" -> ", 4, ink["dim"]),
            cell(after, len(after), ink[marks.tone(move.after)]),
            cell(f"  ({by})", len(by) + 4, ink[marks.tone((move.after - move.before) * STRENGTH)]),
            cell(f" in {seconds:.0f} s, {times}", 38, ink["muted"]),
        )
        used = sum(len(segment.text) for c in cells for segment in c)
        return (*cells, cell("", max(0, self.size.width - used), ink["blank"]))

    def _missing(self, scene: Scene, state: SymbolState | None) -> list[Line]:
        """Why there is nothing to tell."""
        where = (*self.size, self.look, self.ink)
        if scene.waiting:
            return waiting_lines(scene, *where)
        if state is None:
            return empty_lines(scene, *where)
        return centred(_reason(scene, state), *where)


def move_of(scene: Scene) -> Move | None:
    """The last move of the scene's symbol in its mode; None where none is known of this picture."""
    moves = scene.detail.moves if scene.detail is not None else None
    move = moves.get(scene.mode) if moves else None
    if move is None or scene.paused is None:
        return move
    # Details that were kept before the picture was held can be older than it is.
    found = composite(scene.current, scene.mode) if scene.current else None
    return move if found is not None and found.ts == move.ts else None


def _reason(scene: Scene, state: SymbolState) -> list[Said]:
    detail, found = scene.detail, composite(state, scene.mode)
    where = f"{state.id} {scene.mode}"
    kept = None if detail is None else detail.moves
    if scene.paused is not None and (kept is None or scene.mode in kept):
        said = "The picture is held", "what moved was not kept for this symbol; p lets go"
    elif found is None or not found.ts:
        said = f"No decision of {where} yet", "the first comes when there are cards enough"
    elif found.bias is None:
        said = f"{where} has no bias", "too few cards: what moved is told between two biases"
    elif kept is None:
        said = "What moved is not kept here", f"blackperp-cockpit explain {state.id} --since"
    elif sum(bias is not None for bias in found.history) > 1:
        said = f"{where} had no bias before", "what moved is told between two biases"
    else:
        said = f"Only one decision of {where} so far", "what moved is told from the second on"
    return [(said[0], "strong"), ("", "text"), (said[1], "muted")]


class _Table:
    """Draws the rows of one table for one width; `inks`: elsewhere and under the cursor."""

    def __init__(self, width: int, glyphs: Glyphs, inks: tuple[Ink, Ink],
                 at: Target | None) -> None:  # fmt: skip
        self.width = width
        self.glyphs = glyphs
        self.inks = inks
        self.at = at

    def lines(self, head: str, rows: tuple[Row, ...], categories: bool) -> list[Line]:
        """Heads and rows, each as wide as the table."""
        category = CATEGORY if categories else 0
        # The names come first; bars grow with what is left, then and now go where nothing is.
        fixed = 1 + category + FIGURE + 2
        both = self.width >= fixed + 22 + 2 * FIGURE + 9
        fixed += 2 * FIGURE * both
        half = max(4, min(12, (self.width - fixed - 30) // 2))
        name = min(32, self.width - fixed - 2 * half - 1)
        full = max(1.0, *(abs(row.points) for row in rows if row.target), 0.0)
        columns = (head, name), ("category", category)
        words = [cell("", 1, self.inks[0]["dim"])]
        words += [cell(said, size, self.inks[0]["dim"]) for said, size in columns if size]
        words += [
            cell(said, FIGURE, self.inks[0]["dim"], "right")
            for said in (("then", "now") if both else ()) + ("change",)
        ]
        drawn = (self._row(row, name, category, both, half, full) for row in rows)
        return [self._filled(words, self.inks[0]), *drawn]

    def _row(self, row: Row, name: int, category: int, both: bool, half: int, full: float) -> Line:
        here = row.target is not None and row.target == self.at
        ink, glyphs = self.inks[here], self.glyphs
        cells = [cell(glyphs.cursor if here else " ", 1, ink["accent"]),
                 cell(row.name, name - 1, ink[row.ink], "left", glyphs.ellipsis),
                 cell("", 1, ink["blank"])]  # fmt: skip
        if category:
            cells.append(cell(row.category, category, ink["dim"], "left", glyphs.ellipsis))
        if both:
            plain = "text" if row.ink == "strong" else "muted"
            cells += [self._figure(value, ink, plain) for value in (row.then, row.now)]
        cells.append(self._figure(row.points, ink, marks.tone(row.points * STRENGTH)))
        cells.append(cell("", 2, ink["blank"]))
        if row.target is not None:
            cells.append(marks.bar(row.points, half, glyphs, ink, full))
        return self._filled(cells, ink)

    def _figure(self, value: float | None, ink: Ink, tone: str) -> Cell:
        shown = text.signed(value, 2)
        style = ink[tone if shown else "faint"]
        return cell(shown or self.glyphs.none, FIGURE, style, "right")

    def _filled(self, cells: Sequence[Cell], ink: Ink) -> Line:
        used = sum(len(segment.text) for c in cells for segment in c)
        return (*cells, cell("", max(0, self.width - used), ink["blank"]))
