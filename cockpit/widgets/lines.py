"""Lines: a Line API widget that repaints only the spans of its lines that changed."""

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from rich.segment import Segment
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cockpit.theme import Look
from cockpit.widgets.text import Line

# A jump of the cursor and a new style cost more bytes than this many unchanged cells.
GAP = 4
DRAWN = ("_rows", "_kept", "_drawn")


class Drawn(Sequence[Line]):
    """Lines that are drawn when they are first looked at, so that a long list costs what it shows.

    `draw` makes the line of a number from 0 on.
    """

    def __init__(self, count: int, draw: Callable[[int], Line]) -> None:
        self._count = count
        self._draw = draw
        self._lines: dict[int, Line] = {}

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, y: int) -> Line: ...

    @overload
    def __getitem__(self, y: slice) -> list[Line]: ...

    def __getitem__(self, y: int | slice) -> Line | list[Line]:
        if isinstance(y, slice):
            return [self[n] for n in range(*y.indices(self._count))]
        if not 0 <= y < self._count:
            raise IndexError(y)
        line = self._lines.get(y)
        if line is None:
            line = self._lines[y] = self._draw(y)
        return line


class Lines(ScrollView, can_focus=False):
    """Text lines of cells; a cell that is the same object or equal is not painted again."""

    ALLOW_SELECT = False
    ALLOW_MAXIMIZE = False

    class Resized(Message):
        """What it shows was laid out for another size."""

    def __init__(self, look: Look, surface: str = "background", id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self.ink = look.ink(surface)
        self._lines: Sequence[Line] = ()
        self._strips: dict[int, Strip] = {}
        self._shown: tuple[object, ...] = ()

    def same(self, *shown: object) -> bool:
        """Whether this was shown last time, at this size; remembers it if not."""
        shown = (*shown, self.size)
        if shown == self._shown:
            return True
        self._shown = shown
        return False

    def show_lines(self, lines: Sequence[Line], starts: Sequence[int] = ()) -> None:
        """Show these lines instead of the present ones; only those in view are compared.

        `starts`: the column at which each cell begins, where that is so in the present lines too.
        """
        old, self._lines = self._lines, lines
        top, (width, height) = self.scroll_offset.y, self.size
        regions: list[Region] = []
        kept: dict[int, Strip] = {}
        for y in range(top, min(top + height, max(len(old), len(lines)))):
            before = old[y] if y < len(old) else ()
            after = lines[y] if y < len(lines) else ()
            spans = () if before is after else tuple(changed_spans(before, after, width, starts))
            if not spans and y in self._strips:
                kept[y] = self._strips[y]
            regions += [Region(x1, y - top, x2 - x1, 1) for x1, x2 in spans]
        self._strips = kept
        if len(old) != len(lines):
            self.virtual_size = Size(width, len(lines))
        if regions:
            self.refresh(*regions)

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    def forget(self) -> None:
        """Draw everything anew at the next scene, as after a change of theme.

        Mappings that a subclass keeps drawn rows in, by the names of DRAWN, are emptied too.
        """
        self._lines, self._shown = (), ()
        self._strips.clear()
        for name in DRAWN:
            if isinstance(kept := vars(self).get(name), dict):
                kept.clear()

    def words_at(self, y: int) -> str:
        """The text of a line of the widget as it is scrolled now."""
        y += self.scroll_offset.y
        cells = self._lines[y] if 0 <= y < len(self._lines) else ()
        return "".join(segment.text for cell in cells for segment in cell)

    @property
    def place(self) -> str:
        """`1-22 of 60` where there are more lines than fit, else nothing."""
        top, height, count = self.scroll_offset.y, self.size.height, len(self._lines)
        return "" if count <= height else f"{top + 1}-{min(top + height, count)} of {count}"

    def scroll_lines(self, lines: int) -> None:
        """Scroll down by some lines, up where negative."""
        self.scroll_relative(y=lines, animate=False, immediate=True)

    def reveal(self, y: int) -> None:
        """Scroll as little as it takes to have a line in view."""
        top, height = self.scroll_offset.y, self.size.height
        if height and not top <= y < top + height:
            self.to_line(y if y < top else y - height + 1)

    def to_line(self, y: int) -> None:
        """Scroll until a line is the first, as far as there are lines; at once, also where the
        lines have just become more than fit, of which Textual hears with the next layout."""
        self.scroll_to(y=y, animate=False, immediate=True, force=True)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines as they are: with neither border nor filter there is no style to add."""
        width, top = self.size.width, self.scroll_offset.y
        strips = [self._strip(y + top, width) for y in crop.line_range]
        x1, x2 = crop.column_span
        return strips if (x1, x2) == (0, width) else [strip.crop(x1, x2) for strip in strips]

    def _strip(self, y: int, width: int) -> Strip:
        strip = self._strips.get(y)
        if strip is None or strip.cell_length != width:
            segments = [s for cell in self._lines[y] for s in cell] if y < len(self._lines) else []
            # Every character is one cell wide (text.clean), so nothing needs measuring.
            strip = Strip(segments, width_of(segments))
            strip = strip.adjust_cell_length(width, self.ink["blank"])
            self._strips[y] = strip
        return strip


def width_of(cell: Sequence[Segment]) -> int:
    width = 0
    for text, _, _ in cell:
        width += len(text)
    return width


def changed_spans(
    before: Line, after: Line, width: int, starts: Sequence[int] = ()
) -> Iterator[tuple[int, int]]:
    """Columns [x1, x2) in which two lines differ, near ones joined.

    Cells are compared one by one as long as their widths agree; from the first that does not, the
    rest of the line counts as changed.
    """
    held: tuple[int, int] | None = None
    for span in _raw_spans(before, after, width, starts):
        if held and span[0] - held[1] <= GAP:
            held = (held[0], span[1])
            continue
        if held:
            yield held
        held = span
    if held:
        yield held


def _raw_spans(
    before: Line, after: Line, width: int, starts: Sequence[int]
) -> Iterator[tuple[int, int]]:
    if starts and len(before) == len(after):
        for x, was, now in zip(starts, before, after, strict=True):
            if was is not now and was != now:
                if width_of(was) != width_of(now):
                    # What fills the rest of a line, after a change of the terminal's width.
                    yield x, width
                    return
                yield from _trim(was, now, x)
        return
    x = 0
    for n in range(max(len(before), len(after))):
        was = before[n] if n < len(before) else ()
        now = after[n] if n < len(after) else ()
        size = width_of(now)
        if was is not now and was != now:
            if width_of(was) != size:
                yield x, width
                return
            yield from _trim(was, now, x)
        x += size


def _trim(was: Sequence[Segment], now: Sequence[Segment], x: int) -> Iterator[tuple[int, int]]:
    """From the first to the last column in which two cells of one width differ."""
    old = [(c, style) for text, style, _ in was for c in text]
    new = [(c, style) for text, style, _ in now for c in text]
    last = len(new) - 1
    first = 0
    while first <= last and old[first] == new[first]:
        first += 1
    if first > last:
        return
    while old[last] == new[last]:
        last -= 1
    yield x + first, x + last + 1
