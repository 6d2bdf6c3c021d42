"""Tables of a few lines, and what a tab says where it has nothing to show."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cockpit.theme import Ink, Look
from cockpit.widgets import text
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import STALE_AFTER, Scene
from cockpit.widgets.states import Said, centred
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import Detail

NS = 1_000_000_000
Row = TypeVar("Row")
# (row, width, inks) -> the cell of a column.
Draw = Callable[[Row, int, Ink], Cell]


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column of a table; `rank` 0 is always there, greater ones go first where it is narrow."""

    head: str
    width: int
    draw: Draw[Row]
    align: str = "right"
    rank: int = 0


def fitting(columns: Sequence[Column[Row]], width: int) -> list[Column[Row]]:
    """As many columns as fit, those of the lowest ranks, in their own order."""
    room, kept = width - 1, set()
    for column in sorted(columns, key=lambda c: c.rank):
        if column.width + 1 > room:
            break
        room -= column.width + 1
        kept.add(column.head)
    return [c for c in columns if c.head in kept]


def heads(columns: Sequence[Column[Row]], width: int, ink: Ink) -> Line:
    """The line above a table."""
    cells = [cell("", 1, ink["blank"])]
    for column in columns:
        cells += [cell(column.head, column.width, ink["dim"], column.align), gap(ink)]
    return (*cells, _rest(columns, width, ink))


def row(item: Row, columns: Sequence[Column[Row]], width: int, ink: Ink) -> Line:
    """One line of a table."""
    cells = [cell("", 1, ink["blank"])]
    for column in columns:
        cells += [column.draw(item, column.width, ink), gap(ink)]
    return (*cells, _rest(columns, width, ink))


def gap(ink: Ink, width: int = 1) -> Cell:
    return cell("", width, ink["blank"])


def _rest(columns: Sequence[Column[Row]], width: int, ink: Ink) -> Cell:
    return cell("", max(0, width - 1 - sum(c.width + 1 for c in columns)), ink["blank"])


def heading(words: str, width: int, look: Look, note: str = "") -> Line:
    """A title with what there is to say of it."""
    ink, room = look.ink(), max(0, width - 1 - len(words) - 2)
    return (
        cell(f" {words}", len(words) + 3, ink["text"]),
        cell(note, room, ink["dim"], "left", look.glyphs.ellipsis),
    )


def blank(width: int, ink: Ink) -> Line:
    return (cell("", width, ink["blank"]),)


def sides(parts: Sequence[tuple[int, Sequence[Line]]], height: int, ink: Ink) -> list[Line]:
    """Blocks side by side, each (width, lines) of exactly that width; so many lines high."""
    return [
        tuple(
            one
            for width, lines in parts
            for one in (lines[y] if y < len(lines) else blank(width, ink))
        )
        for y in range(height)
    ]


def known(said: str | None, width: int, ink: Ink, tone: str = "text", align: str = "right",
          none: str = "·") -> Cell:  # fmt: skip
    """A value, or the dot of what is missing."""
    return cell(said or none, width, ink[tone if said else "faint"], align)


def old(ts: int | None, now: int) -> float | None:
    """Seconds since an instant; None for never."""
    return None if ts is None else max(0, now - ts) / NS


def is_old(seconds: float | None, limit: float = STALE_AFTER) -> bool:
    return seconds is None or seconds > limit


def said_age(seconds: float | None, width: int, ink: Ink, limit: float = STALE_AFTER,
             none: str = "·") -> Cell:  # fmt: skip
    """An age, a warning where it is beyond what counts as live."""
    shown = text.age(seconds)
    tone = "warn" if shown and is_old(seconds, limit) else "dim"
    return known(shown, width, ink, tone, none=none)


def note_of(detail: Detail | None, part: str) -> str | None:
    """What the source says of a part that it does not have."""
    found = (note for note in (detail.notes if detail else ()) if note.startswith(f"{part}:"))
    return next((text.clean(note.partition(":")[2].strip()) for note in found), None)


class Tab(Lines):
    """What a tab shows: lines made of the scene; `part` names what they need."""

    part = ""

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.none = look.glyphs.none

    def show(self, scene: Scene) -> None:
        detail = scene.detail
        state = scene.current
        second = scene.snapshot.ts // NS
        if self.same(state and state.id, scene.mode, detail, second, scene.zone,
                     scene.paused is None, *self.besides()):  # fmt: skip
            return
        if detail is not None and self.there(detail):
            self.show_lines(self.made(scene, detail))
            return
        self.show_lines(centred(self.missing(scene), *self.size, self.look, self.ink))

    def besides(self) -> Iterable[object]:
        """What else the lines depend on."""
        return ()

    def there(self, detail: Detail) -> bool:
        """Whether the detail has what is to be shown."""
        raise NotImplementedError

    def made(self, scene: Scene, detail: Detail) -> list[Line]:
        """The lines."""
        raise NotImplementedError

    def missing(self, scene: Scene) -> list[Said]:
        """Why there is nothing: held, not stored, not come yet."""
        note = note_of(scene.detail, self.part)
        if note:
            return [(note[0].upper() + note[1:], "strong")]
        if scene.paused is not None:
            return [("The picture is held", "strong"), ("", "text"),
                    ("this tab was not kept; p lets go", "muted")]  # fmt: skip
        return [("Nothing yet", "strong"), ("", "text"), ("it comes with the feeds", "muted")]

    @property
    def width(self) -> int:
        return self.size.width

    @property
    def height(self) -> int:
        return self.size.height
