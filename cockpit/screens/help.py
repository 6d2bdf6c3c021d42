"""Help, made from the actions and the columns themselves."""

from cockpit.actions import help_lines
from cockpit.screens.stage import Page
from cockpit.theme import Glyphs
from cockpit.widgets.columns import COLUMNS
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.text import Line, cell

KEY = 12
HONEST = (
    "A missing number is a dot, never a zero. Colour says the side, brightness the strength.",
    "Not financial advice; the cockpit places no orders.",
)


def legend(glyphs: Glyphs) -> tuple[tuple[str, str], ...]:
    """Glyphs of the category strip and what they say."""
    return (
        (" ".join(glyphs.up), "category up, weak and strong"),
        (" ".join(glyphs.down), "category down, weak and strong"),
        (glyphs.neutral, "neutral: inside the dead band"),
        (glyphs.conflict, "conflicted: half of its weight disagrees"),
        (glyphs.none, "not available: no card has data"),
    )


class HelpText(Lines):
    """Keys, columns, glyphs: one line each."""

    def show(self, scene: Scene) -> None:
        glyphs = self.look.glyphs
        keys = help_lines(arrows=glyphs.ellipsis == "…")
        columns = tuple((c.head or "symbol", c.help) for c in COLUMNS.values())
        lines = [*self._block("keys", keys), *self._block("columns", columns)]
        lines += self._block("category cells", legend(glyphs))
        lines += [self._line("", said, "muted") for said in HONEST]
        self.show_lines(lines)

    def _block(self, title: str, pairs: tuple[tuple[str, str], ...]) -> list[Line]:
        head = (cell(f" {title}", self.size.width, self.ink["dim"]),)
        return [head, *(self._line(*pair) for pair in pairs), self._line("", "")]

    def _line(self, key: str, said: str, ink: str = "text") -> Line:
        room = max(0, self.size.width - KEY - 2)
        return (
            cell("  " + key, KEY + 2, self.ink["accent"]),
            cell(said, room, self.ink[ink], "left", self.look.glyphs.ellipsis),
        )


class Help(Page):
    """Every key and how to read each column."""

    def body(self) -> Lines:
        return HelpText(self.look, id="whole")
