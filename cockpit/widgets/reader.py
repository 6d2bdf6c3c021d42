"""Reader and Contents: a page of the academy, or what a search found, and the list of pages."""

from collections.abc import Iterator
from functools import cache

from cockpit import academy
from cockpit.academy import GUIDE, INDEX, Link
from cockpit.theme import Look
from cockpit.widgets.lines import Lines
from cockpit.widgets.prose import Block, Prose, Span, heading, lay, parse, plain
from cockpit.widgets.scene import Scene
from cockpit.widgets.sheet import computed, entry
from cockpit.widgets.text import Line, cell, clean


@cache
def contents() -> tuple[str, ...]:
    """Names of all pages: index and guides, then the categories as everywhere else."""
    first = (name for name in academy.pages() if name == INDEX or name.startswith(GUIDE))
    return (*first, *academy.categories())


@cache
def title(page: str) -> str:
    return academy.page(page).title


def page_blocks(name: str) -> Iterator[Block]:
    """A page as it is read: its text, and for each card how that is computed."""
    page = academy.page(name)
    yield heading(page.title)
    yield from parse(page.intro, name)
    for id, words in page.cards.items():
        found = entry(id)
        yield heading(found.name if found else id, id)
        yield from parse(words, name)
        if found is not None:
            yield from computed(found)


def found_blocks(words: str) -> Iterator[Block]:
    """What a search found, each with a link to it."""
    hits = academy.search(words)
    if not hits:
        yield heading(f"Nothing holds '{words}'")
        yield plain("Words are looked for by their beginning; Esc goes back.", "dim")
        return
    yield heading(f"'{words}' in {len(hits)} section{'s' * (len(hits) > 1)}, best first")
    for hit in hits:
        own = entry(hit.anchor) if hit.anchor else None
        name = own.name if own else hit.heading
        where = f"  {title(hit.page)}" if hit.anchor else ""
        link = Link(name, hit.page, hit.anchor)
        yield Block((Span(name, "accent", link), Span(where, "dim")), after=False)
        yield plain(hit.excerpt, "muted", indent=2)


class Reader(Lines):
    """The page `page`, or where `words` are set what they are found in."""

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.page = INDEX
        self.words = ""
        self.chosen = -1
        self.prose = Prose()

    def show(self, scene: Scene) -> None:
        if self.same(self.page, self.words, self.chosen):
            return
        blocks = found_blocks(self.words) if self.words else page_blocks(self.page)
        self.prose = lay(blocks, self.size.width - 3, self.look, self.chosen)
        blank = cell("", 2, self.ink["blank"])
        self.show_lines([(blank, *line) for line in self.prose.lines])


class Contents(Lines):
    """Every page, the open one marked."""

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, surface="panel", id=id)
        self.page = INDEX

    def show(self, scene: Scene) -> None:
        if self.same(self.page):
            return
        names = contents()
        self.show_lines([self._line(name) for name in names])
        self.reveal(names.index(self.page) if self.page in names else 0)

    def _line(self, name: str) -> Line:
        here, glyphs = name == self.page, self.look.glyphs
        ink = self.look.ink("cursor" if here else "panel")
        mark = glyphs.cursor if here else " "
        tone = "strong" if here else "muted" if name in academy.categories() else "text"
        return (
            cell(mark, 1, ink["accent"]),
            cell(clean(title(name)), max(0, self.size.width - 1), ink[tone], "left",
                 glyphs.ellipsis),
        )  # fmt: skip
