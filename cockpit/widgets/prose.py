"""Prose: Markdown of the academy's own pages as lines of cells; nothing else is ever parsed.

Blocks are headings, paragraphs and lists; in them bold, code spans and links.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from rich.segment import Segment
from rich.style import Style

from cockpit.academy import Link, links
from cockpit.theme import Look
from cockpit.widgets.text import Cell, Line, clean

MEASURE = 90
BULLET = "- "
UNDERLINED = Style(underline=True)
_INLINE = re.compile(r"(\*\*[^*]+\*\*|`[^`]+`|\[[^\]]+\]\([^)\s]*\))")


@dataclass(frozen=True)
class Span:
    """Words of one ink; `link` is where they lead."""

    words: str
    ink: str = "text"
    link: Link | None = None


@dataclass(frozen=True)
class Block:
    """What is wrapped as one; `indent` of its lines, `mark` before the first, `anchor` its name."""

    spans: tuple[Span, ...]
    indent: int = 0
    mark: str = ""
    anchor: str = ""
    after: bool = True


@dataclass(frozen=True)
class Prose:
    """Lines of one width; `links` in order with the line each begins in, lines of the anchors."""

    lines: tuple[Line, ...] = ()
    links: tuple[Link, ...] = ()
    places: tuple[int, ...] = ()
    anchors: dict[str, int] = field(default_factory=dict)


def plain(words: str, ink: str = "text", indent: int = 0, after: bool = True) -> Block:
    """Text from anywhere, not parsed."""
    return Block((Span(words, ink),), indent, after=after)


def heading(words: str, anchor: str = "") -> Block:
    return Block((Span(words, "strong"),), anchor=anchor)


def parse(text: str, page: str = "") -> Iterator[Block]:
    """Blocks of a page's Markdown; `page` is where links with an anchor alone lead."""
    for part in text.split("\n\n"):
        lines = part.strip("\n").split("\n")
        if lines[0].startswith("#"):
            yield heading(lines.pop(0).lstrip("# ").strip())
        words: list[str] = []
        for n, line in enumerate(lines):
            if line.startswith(BULLET):
                last = not any(x.startswith(BULLET) for x in lines[n + 1 :])
                yield Block(tuple(_spans(line[2:], page)), 2, BULLET, after=last)
            elif line.strip():
                words.append(line.strip())
        if words:
            yield Block(tuple(_spans(" ".join(words), page)))


def _spans(text: str, page: str) -> Iterator[Span]:
    for part in _INLINE.split(text):
        if part.startswith("**"):
            yield Span(part[2:-2], "strong")
        elif part.startswith("`"):
            yield Span(part[1:-1], "muted")
        elif found := part.startswith("[") and links(part):
            link = found[0]
            yield Span(link.text, "accent", link if link.page else replace(link, page=page))
        elif part:
            yield Span(part)


def lay(blocks: Iterable[Block], width: int, look: Look, chosen: int = -1) -> Prose:
    """Blocks wrapped at `width`, at most MEASURE; the link of number `chosen` is marked."""
    setter = _Setter(min(width, MEASURE), width, look, chosen)
    for block in blocks:
        setter.add(block)
    while setter.lines and not any(s.text.strip() for cell in setter.lines[-1] for s in cell):
        setter.lines.pop()
    return Prose(tuple(setter.lines), tuple(setter.links), tuple(setter.places), setter.anchors)


class _Setter:
    """Sets words into lines, one block after the other."""

    def __init__(self, measure: int, width: int, look: Look, chosen: int) -> None:
        self.measure = measure
        self.width = width
        self.ink = look.ink()
        self.mark = look.ink("cursor")["strong"]
        self.chosen = chosen
        self.lines: list[Line] = []
        self.links: list[Link] = []
        self.places: list[int] = []
        self.anchors: dict[str, int] = {}

    def add(self, block: Block) -> None:
        if block.anchor:
            self.anchors[block.anchor] = len(self.lines)
        first = len(self.lines)
        rows = self._rows(block, max(8, self.measure - block.indent))
        for n, row in enumerate(rows):
            lead = block.mark if n == 0 else ""
            self.lines.append(self._line(lead.rjust(block.indent), row))
        for n, row in enumerate(rows):
            for _, _, number in row:
                if number is not None and number == len(self.places):
                    self.places.append(first + n)
        if block.after:
            self.lines.append(self._line("", []))

    def _rows(
        self, block: Block, room: int
    ) -> list[list[tuple[str, Style, int | None]]]:  # fmt: skip
        """Pieces of each line: words with their style and the number of their link."""
        rows: list[list[tuple[str, Style, int | None]]] = [[]]
        used = 0
        for word, gap, style, number in self._words(block.spans):
            # What is longer than a line is cut into as many as it needs.
            parts = [word[n : n + room] for n in range(0, len(word), room)]
            for n, part in enumerate(parts):
                glued = not gap or n > 0
                if used and used + len(part) + (not glued) > room:
                    rows.append([])
                    used = 0
                space = " " if used and not glued else ""
                if space:
                    inside = bool(rows[-1]) and rows[-1][-1][2] == number
                    rows[-1].append((space, style if inside else self.ink["text"], None))
                rows[-1].append((part, style, number))
                used += len(space) + len(part)
        return rows

    def _words(self, spans: Sequence[Span]) -> Iterator[tuple[str, bool, Style, int | None]]:
        """Each word, whether a space goes before it, its style and the number of its link."""
        gap = False
        for span in spans:
            style, number = self._style(span)
            words = clean(span.words)
            gap = gap or words.startswith(" ")
            for word in words.split():
                yield word, gap, style, number
                gap = True
            gap = words.endswith(" ")

    def _style(self, span: Span) -> tuple[Style, int | None]:
        if span.link is None:
            return self.ink[span.ink], None
        number = len(self.links)
        self.links.append(span.link)
        style = self.mark if number == self.chosen else self.ink[span.ink]
        return style + UNDERLINED, number

    def _line(self, lead: str, row: list[tuple[str, Style, int | None]]) -> Line:
        pieces = [Segment(lead, self.ink["dim"])] if lead else []
        pieces += [Segment(words, style) for words, style, _ in row]
        used = sum(len(piece.text) for piece in pieces)
        pieces.append(Segment(" " * max(0, self.width - used), self.ink["blank"]))
        return (tuple(pieces),)


def beside(left: Sequence[Line], right: Sequence[Line], width: int, blank: Style) -> list[Line]:
    """Two columns, the left one `width` wide."""
    empty: Cell = (Segment(" " * width, blank),)
    count = max(len(left), len(right))
    return [
        (*(left[n] if n < len(left) else (empty,)), *(right[n] if n < len(right) else ()))
        for n in range(count)
    ]
