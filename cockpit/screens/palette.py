"""The command palette: everything that can be done here, found by a few letters of its name."""

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from cockpit.fuzzy import match, tidy
from cockpit.screens.stage import Page
from cockpit.theme import Look
from cockpit.widgets.bars import Header
from cockpit.widgets.lines import Drawn, Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.states import centred
from cockpit.widgets.text import Cell, Line, cell, clean, fit

# Widths of name and keys; a wide screen has room for the longest card's name.
NAME, WIDE_NAME, WIDE, KEYS = 28, 40, 100, 14
# Names found by what they say come after those whose letters stand together, and before those
# whose letters are scattered about.
BY_WORDS, SCATTERED = -1_000_000, -2_000_000


@dataclass(frozen=True)
class Command:
    """A name to find it by, what it does, its keys, and the App's action that does it."""

    name: str
    said: str
    keys: str
    action: str


@dataclass(frozen=True)
class Found:
    """A command and where in its name the letters stand."""

    command: Command
    places: tuple[int, ...] = ()


def find(query: str, commands: tuple[Command, ...]) -> tuple[Found, ...]:
    """Commands whose name or sentence has the letters of a query, best first."""
    if not query.strip():
        return tuple(Found(c) for c in commands)
    ranked = []
    for command in commands:
        found = match(query, command.name)
        if found is not None and tidy(command.name, found[1]):
            ranked.append((found[0], Found(command, found[1])))
        elif query.strip().lower() in command.said.lower():
            ranked.append((BY_WORDS, Found(command)))
        elif found is not None:
            ranked.append((SCATTERED + found[0], Found(command, found[1])))
    # Stable: of equal ones the order of the list holds.
    ranked.sort(key=lambda pair: -pair[0])
    return tuple(found for _, found in ranked)


class Ask(Input):
    """Where the letters are typed."""

    def __init__(self) -> None:
        super().__init__(placeholder="a few letters; Enter does it", compact=True, id="ask")
        self.cursor_blink = False


class CommandList(Lines):
    """What was found, the one that Enter does marked."""

    class Picked(Message):
        """The user clicked on a command."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.query_said = ""
        self.found: tuple[Found, ...] = ()
        self.at = 0

    def show(self, scene: Scene) -> None:
        if self.same(self.found, self.at, self.query_said):
            return
        if self.found:
            self.show_lines(Drawn(len(self.found), self._line))
            self.reveal(self.at)
            return
        said = [(f"Nothing is called '{clean(self.query_said)}'", "strong"), ("", "text"),
                ("Esc goes back", "muted")]  # fmt: skip
        self.show_lines(centred(said, *self.size, self.look, self.ink))

    def _line(self, n: int) -> Line:
        found, here = self.found[n], n == self.at
        ink = self.look.ink("cursor" if here else "background")
        dots = self.look.glyphs.ellipsis
        wide = WIDE_NAME if self.size.width >= WIDE else NAME
        room = max(0, self.size.width - 1 - wide - KEYS)
        return (
            cell(self.look.glyphs.cursor if here else " ", 1, ink["accent"]),
            self._title(found, here, wide),
            cell(found.command.said, room, ink["muted"], "left", dots),
            cell(f"{found.command.keys} ", KEYS, ink["dim"], "right", dots),
        )

    def _title(self, found: Found, here: bool, width: int) -> Cell:
        """The name with the letters that were typed brighter."""
        ink = self.look.ink("cursor" if here else "background")
        name = fit(clean(found.command.name), width - 1, "left", self.look.glyphs.ellipsis) + " "
        marked = set(found.places)
        pieces: list[Cell] = []
        for n, letter in enumerate(name):
            tone = "accent" if n in marked else "strong" if here else "text"
            pieces.append(cell(letter, 1, ink[tone]))
        return tuple(segment for piece in pieces for segment in piece)

    def on_click(self, event: events.Click) -> None:
        at = event.y + self.scroll_offset.y
        if at < len(self.found):
            self.post_message(self.Picked(at))


class Palette(Page):
    """A line to type into and what it finds; Enter does what is marked, on the screen beneath."""

    kind = "palette"

    class Chosen(Message):
        """The user wants this action."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, look: Look, commands: tuple[Command, ...]) -> None:
        super().__init__(look)
        self._commands = commands
        self._at = 0
        self._asked = ""

    def parts(self) -> ComposeResult:
        yield Header(self.look, id="header")
        yield Ask()
        yield self.body()
        yield self.bar()

    def body(self) -> Lines:
        return CommandList(self.look, id="whole")

    def shown(self) -> tuple[Widget, ...]:
        return tuple(self.query_one(f"#{name}") for name in ("header", "whole", "footer"))

    def on_mount(self) -> None:
        self.query_one(Ask).focus()

    @property
    def found(self) -> tuple[Found, ...]:
        """What the letters typed so far find."""
        return find(self.filter, self._commands)

    def show(self, scene: Scene) -> None:
        if self.filter != self._asked:
            self._asked, self._at = self.filter, 0
        if self.is_mounted:
            body = self.query_one("#whole", CommandList)
            body.found, body.at, body.query_said = self.found, self._at, self.filter
        super().show(scene)

    def move(self, rows: int) -> bool:
        self._at = max(0, min(len(self.found) - 1, self._at + rows))
        self.again()
        return True

    def end_filter(self) -> None:
        """Enter in the line."""
        found = self.found
        if self._at < len(found):
            self.post_message(self.Chosen(found[self._at].command.action))

    def on_command_list_picked(self, event: CommandList.Picked) -> None:
        self._at = event.place
        self.end_filter()
