"""Tabs: the line of names above what a symbol's screen shows; a click on one chooses it."""

from rich.segment import Segment
from textual import events
from textual.message import Message

from cockpit.theme import Look
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.text import Cell, cell

NAMES = ("cards", "chart", "flow", "book", "positioning", "venues", "history")


class Tabs(Lines):
    """`chosen`: which is open; `hint`: what can be done with it, at the right."""

    class Chosen(Message):
        """The user wants this tab."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, surface="panel", id=id)
        self.chosen = 0
        self.hint = ""

    def show(self, scene: Scene) -> None:
        if self.same(self.chosen, self.hint):
            return
        here = self.look.ink("cursor")
        names: list[Cell] = [
            (Segment(f" {name} ", here["strong"] if n == self.chosen else self.ink["dim"]),)
            for n, name in enumerate(NAMES)
        ]
        room = self.size.width - sum(len(name) + 2 for name in NAMES)
        hint = self.hint if len(self.hint) + 2 <= room else ""
        self.show_lines([(*names, cell(f"{hint} ", room, self.ink["dim"], "right"))])

    def on_click(self, event: events.Click) -> None:
        left = 0
        for place, name in enumerate(NAMES):
            left += len(name) + 2
            if event.x < left:
                self.post_message(self.Chosen(place))
                return
