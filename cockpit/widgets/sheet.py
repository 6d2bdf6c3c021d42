"""Sheet: one card of one symbol, its figures and below or beside them its academy text."""

from collections.abc import Iterator
from functools import lru_cache

from cockpit import academy
from cockpit.academy import Entry, Link
from cockpit.theme import Look
from cockpit.widgets.figures import facts_of, figures
from cockpit.widgets.lines import Lines
from cockpit.widgets.prose import Block, Prose, Span, beside, heading, lay, parse, plain
from cockpit.widgets.scene import Scene, is_stale
from cockpit.widgets.states import Said, centred
from cockpit.widgets.text import Line, cell

WIDE = 160
LEFT = 78
GAP = 3


@lru_cache(maxsize=512)
def entry(card: str) -> Entry | None:
    """What the academy has of a card; None for one nobody registered."""
    try:
        return academy.card(card)
    except KeyError:
        return None


def computed(found: Entry) -> Iterator[Block]:
    """How a card is computed, from its own docstring; never parsed."""
    yield _told("Formula", found.formula)
    for note in found.notes:
        yield plain(note)
    for name, said in (
        ("Sign", found.sign), ("Units", found.units), ("Needs", ", ".join(found.needs)),
        ("Windows", ", ".join(found.windows)),
    ):  # fmt: skip
        if said:
            yield _told(name, said)


def _told(name: str, said: str) -> Block:
    return Block((Span(f"{name}. ", "muted"), Span(said, "text")))


def lesson(card: str) -> Iterator[Block]:
    """A card's academy text and its computed parts."""
    found = entry(card)
    if found is None:
        yield plain("The academy has no page for this card.", "dim")
        return
    yield from parse(found.text, found.category)
    yield heading("How it is computed")
    yield from computed(found)


class Sheet(Lines):
    """The card named `card`; `place` says where it stands in its list, `chosen` which link."""

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.card = ""
        self.place_said = ""
        self.chosen = -1
        self._prose = Prose()
        self._prose_key: tuple[object, ...] = ()
        self._above = 0

    @property
    def links(self) -> tuple[Link, ...]:
        return self._prose.links

    def line_of(self, link: int) -> int:
        """The line a link begins in."""
        return self._above + self._prose.places[link]

    def show(self, scene: Scene) -> None:
        state, found = scene.current, entry(self.card)
        needs = found.needs if found else ()
        stale = state is not None and is_stale(state)
        facts = facts_of(scene, self.card, self.place_said, needs, stale)
        held = scene.paused is not None and scene.detail is None
        if self.same(self.card, facts, self.chosen, held):
            return
        width, height = self.size
        if facts is None:
            self._prose, self._prose_key = Prose(), ()
            self.show_lines(centred(_nothing(held), width, height, self.look, self.ink))
            return
        wide = width >= WIDE
        left = LEFT if wide else width - 1
        self._set_prose(width - 1 - LEFT - GAP if wide else left)
        lines = figures(facts, left, self.look)
        blank = self.ink["blank"]
        if wide:
            self._above = 0
            gap = (cell("", GAP, blank),)
            right = [(*gap, *line) for line in self._prose.lines]
            lines = beside(lines, right, left, blank)
        else:
            rule = (cell(self.look.glyphs.rule * min(left, 90), left, self.ink["faint"]),)
            lines += [(cell("", left, blank),), rule]
            self._above = len(lines)
            lines += self._prose.lines
        self.show_lines([_inset(line, self.look) for line in lines])

    def _set_prose(self, width: int) -> None:
        key = (self.card, width, self.chosen, self.look.theme)
        if key != self._prose_key:
            self._prose_key = key
            self._prose = lay(lesson(self.card), width, self.look, self.chosen)


def _inset(line: Line, look: Look) -> Line:
    return (cell("", 1, look.ink()["blank"]), *line)


def _nothing(held: bool) -> list[Said]:
    if held:
        return [("The picture is held", "strong"), ("", "text"),
                ("cards of this symbol were not kept; p lets go", "muted")]  # fmt: skip
    return [("No reading of this card yet", "strong"), ("", "text"),
            ("readings come with the first step", "muted")]  # fmt: skip
