"""Jump mode: a letter on whatever a click would reach; typing it is that click."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from cockpit.screens.stage import Stage
from cockpit.theme import Look
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.text import Cell, Line

LETTERS = "asdfghjklqwertyuiopzxcvbnm"
# Panels that a click does nothing to, and the action that opens what they show.
PANELS = {"news": "alerts", "feeds": "feeds"}


@dataclass(frozen=True)
class Target:
    """A place of the screen: a click on `widget` at (x, y) of it, or an App's action."""

    column: int
    row: int
    widget: Widget
    x: int = 0
    y: int = 0
    action: str = ""


def targets(stage: Stage) -> tuple[Target, ...]:
    """What can be reached on a screen, lists first, so that their letters are single."""
    found = [t for widget in stage.query(Lines) if widget.display for t in _of(widget)]
    return tuple(sorted(found, key=lambda t: t.widget.size.height < 2))


def _of(widget: Lines) -> Iterator[Target]:
    left, top = widget.region.offset
    size = widget.size
    if action := PANELS.get(widget.id or ""):
        yield Target(left, top, widget, action=action)
    elif callable(getattr(widget, "on_click", None)):
        for y in range(size.height):
            words = widget.words_at(y)
            if size.height > 1:
                starts = [0] if words.strip() else []
            else:
                # A single line is a row of heads or tabs: each word is one.
                starts = [found.start() for found in re.finditer(r"\S+", words)]
            for x in starts:
                yield Target(left + x, top + y, widget, x, y)


def labels(count: int) -> tuple[str, ...]:
    """So many different labels, one letter each as far as that goes, none the start of another."""
    pairs = max(0, -(-(count - len(LETTERS)) // (len(LETTERS) - 1)))
    singles = len(LETTERS) - pairs
    first = LETTERS[:singles]
    seconds = (a + b for a in LETTERS[singles:] for b in LETTERS)
    return (*first, *seconds)[:count]


class Labelled(Lines):
    """A picture of the screen, dim, with the labels on it."""

    def put(self, picture: Sequence[Strip], marks: dict[tuple[int, int], str]) -> None:
        """Show the picture; `marks`: labels by column and row."""
        self.show_lines([self._line(strip, y, marks) for y, strip in enumerate(picture)])

    def _line(self, strip: Strip, y: int, marks: dict[tuple[int, int], str]) -> Line:
        words, x = strip.text, 0
        cells: list[Cell] = []
        for left, label in sorted((c, label) for (c, row), label in marks.items() if row == y):
            if left >= x:
                cells.append((Segment(words[x:left], self.ink["dim"]),))
                cells.append((Segment(label, self.ink["replay"]),))
                x = left + len(label)
        return (*cells, (Segment(words[x:], self.ink["dim"]),))


class Jump(Stage):
    """Over another screen for as long as a label is typed; Esc or any other key ends it."""

    kind = "jump"
    toasting = False

    class Chosen(Message):
        """The user typed the label of this target."""

        def __init__(self, target: Target) -> None:
            super().__init__()
            self.target = target

    def __init__(self, look: Look, picture: Sequence[Strip], found: Sequence[Target]) -> None:
        super().__init__(look)
        self._picture = picture
        self._targets = dict(zip(labels(len(found)), found, strict=True))
        self._typed = ""
        self._fits: tuple[int, int] | None = None

    def parts(self) -> ComposeResult:
        yield Labelled(self.look, id="whole")

    def shown(self) -> tuple[Widget, ...]:
        return ()

    def fit_to(self, width: int, height: int) -> None:
        # The picture is of another size now.
        if self._fits not in (None, (width, height)):
            self.app.pop_screen()
        self._fits = width, height

    def show(self, scene: Scene) -> None:
        super().show(scene)
        if self.is_mounted:
            marks = {
                (t.column, t.row): label[len(self._typed) :]
                for label, t in self._targets.items()
                if label.startswith(self._typed)
            }
            self.query_one("#whole", Labelled).put(self._picture, marks)  # fmt: skip

    def on_key(self, event: events.Key) -> None:
        if not event.is_printable or event.character is None:
            return
        event.stop()
        self._typed += event.character
        if target := self._targets.get(self._typed):
            self.post_message(self.Chosen(target))
        elif any(label.startswith(self._typed) for label in self._targets):
            self.again()
        else:
            self.app.pop_screen()
