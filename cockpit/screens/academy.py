"""The academy: what every category and card means, to read, to search and to walk through."""

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget

from cockpit.academy import INDEX
from cockpit.screens.stage import Page, Stage, step_link
from cockpit.theme import Look
from cockpit.widgets.bars import Header
from cockpit.widgets.filter import FilterLine
from cockpit.widgets.lines import Lines
from cockpit.widgets.reader import Contents, Reader, contents
from cockpit.widgets.scene import Scene

SIDE = ((160, 30), (100, 26), (0, 22))


@dataclass
class Visit:
    """A place that was read: `words` where it was a search; where it was scrolled to.

    `top` is None until its anchor has been gone to.
    """

    page: str
    anchor: str = ""
    words: str = ""
    top: int | None = None
    chosen: int = -1


class Academy(Page):
    """Pages at the left, text at the right; left and right go back and forward."""

    kind = "academy"

    def __init__(self, look: Look, topic: tuple[str, str] = (INDEX, "")) -> None:
        super().__init__(look)
        self._visits = [Visit(*topic)]
        self._at = 0

    def parts(self) -> ComposeResult:
        yield Header(self.look, id="header")
        with Horizontal(id="body"):
            yield Contents(self.look, id="contents")
            yield self.body()
        yield FilterLine("words to look for, Enter keeps, Esc clears")
        yield self.bar()

    def body(self) -> Lines:
        return Reader(self.look, id="whole")

    def shown(self) -> tuple[Widget, ...]:
        names = ("header", "contents", "whole", "footer")
        return tuple(self.query_one(f"#{name}") for name in names)

    def fit_to(self, width: int, height: int) -> None:
        self.query_one("#contents").styles.width = next(n for least, n in SIDE if width >= least)

    @property
    def here(self) -> Visit:
        """What is read now."""
        return self._visits[self._at]

    @property
    def _reader(self) -> Reader:
        return self.query_one("#whole", Reader)

    def show(self, scene: Scene) -> None:
        self._look_for(self.filter)
        if self.is_mounted:
            here, reader = self.here, self._reader
            reader.page, reader.words, reader.chosen = here.page, here.words, here.chosen
            self.query_one(Contents).page = here.page
        super().show(scene)
        if self.is_mounted and self._reader.size.width and self.here.top is None:
            self.here.top = self._reader.prose.anchors.get(self.here.anchor, 0)
            self._reader.to_line(self.here.top)
            super().show(scene)

    def _look_for(self, words: str) -> None:
        """A search is a place of its own, for as long as there are words."""
        if words == self.here.words:
            return
        if self.here.words:
            del self._visits[self._at :]
            self._at -= 1
        if words:
            self._open(Visit(self.here.page, words=words))

    def _open(self, visit: Visit) -> None:
        self._leave()
        del self._visits[self._at + 1 :]
        self._visits.append(visit)
        self._enter(self._at + 1)

    def _leave(self) -> None:
        if self.is_mounted and self.here.top is not None:
            self.here.top = self._reader.scroll_offset.y

    def _enter(self, at: int) -> None:
        self._at = at
        self.filter = self.here.words

    def go(self, topic: tuple[str, str]) -> None:
        """Read a page, from an anchor of it on; a screen not shown yet begins with it."""
        if self.here.top is None:
            self._visits[self._at] = Visit(*topic)
        else:
            self._open(Visit(*topic))

    def aside(self, step: int) -> bool:
        at = self._at + step
        if 0 <= at < len(self._visits) and self.is_mounted:
            self._leave()
            self._enter(at)
            self.again()
            self._reader.to_line(self.here.top or 0)
        return True

    def reorder(self, step: int) -> None:
        names = contents()
        at = names.index(self.here.page) + step if self.here.page in names else 0
        if 0 <= at < len(names):
            self.go((names[at], ""))

    def link(self, step: int) -> None:
        if not self.is_mounted:
            return
        here, reader = self.here, self._reader
        places = reader.prose.places
        if here.chosen < 0 < step:
            # The first link in view, so that a long page is not thrown back to its top.
            top, none = reader.scroll_offset.y, 0 if places else -1
            here.chosen = next((n for n, y in enumerate(places) if y >= top), none)
        else:
            here.chosen = step_link(here.chosen, step, len(places))
        self.again()
        if here.chosen >= 0:
            reader.reveal(places[here.chosen])
            self.again()

    def opens(self) -> Stage | None:
        links = self._reader.prose.links if self.is_mounted else ()
        chosen = max(self.here.chosen, 0 if self.here.words else -1)
        if 0 <= chosen < len(links):
            self.here.chosen = chosen
            self.go((links[chosen].page, links[chosen].anchor))
            self.again()
        return None
