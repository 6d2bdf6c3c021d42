"""Help: what the screen beneath shows, the keys that act there, then all others."""

from collections.abc import Iterable, Iterator

from cockpit.actions import ACTIONS, Action, applicable
from cockpit.screens.explained import Pairs
from cockpit.screens.stage import Page, Stage
from cockpit.theme import Glyphs, Look
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.text import Line, cell, wrap

KEY, MEASURE = 15, 90
TITLES = {"home": "grid", "map": "heat map"}
HONEST = (
    "A missing number is a dot, never a zero. Colour says the side, brightness the strength.",
    "Keys are yours to change: cockpit.keymap in the config; 'config keymap' lists them.",
    "Not financial advice; the cockpit places no orders.",
)


def legend(glyphs: Glyphs) -> Pairs:
    """Glyphs of the category strip and what they say."""
    return (
        (" ".join(glyphs.up), "category up, weak and strong"),
        (" ".join(glyphs.down), "category down, weak and strong"),
        (glyphs.neutral, "neutral: inside the dead band"),
        (glyphs.conflict, "conflicted: half of its weight disagrees"),
        (glyphs.none, "not available: no card has data"),
    )


class HelpText(Lines):
    """Figures, keys, glyphs: one line each; `blocks` are titles with their pairs."""

    blocks: tuple[tuple[str, Pairs], ...] = ()

    def show(self, scene: Scene) -> None:
        if self.same(self.blocks):
            return
        lines = [line for title, pairs in self.blocks for line in self._block(title, pairs)]
        self.show_lines([*lines, *(x for said in HONEST for x in self._told("", said, "muted"))])

    def _block(self, title: str, pairs: Pairs) -> list[Line]:
        head = (cell(f" {title}", self.size.width, self.ink["dim"]),)
        told = [line for pair in pairs for line in self._told(*pair)]
        return [head, *told, *self._told("", "")]

    def _told(self, key: str, said: str, ink: str = "text") -> Iterator[Line]:
        """A key and its sentence, on as many lines as that takes."""
        room = max(1, self.size.width - KEY - 2)
        for n, part in enumerate(wrap(said, min(room, MEASURE))):
            lead = cell(f"  {key if n == 0 else ''}", KEY + 2, self.ink["accent"], "left",
                        self.look.glyphs.ellipsis)  # fmt: skip
            yield lead, cell(part, room, self.ink[ink])


class Help(Page):
    """About the screen it was asked for on."""

    kind = "help"

    def __init__(self, look: Look, of: Stage) -> None:
        super().__init__(look)
        self._kind = of.kind
        self._explained = of.explains()

    def body(self) -> Lines:
        text = HelpText(self.look, id="whole")
        here = applicable(self._kind)
        blocks = (
            (f"{TITLES.get(self._kind, self._kind)}: how to read it", self._explained),
            ("keys here", self._keys(here)),
            ("keys on other screens", self._keys(a for a in ACTIONS if a not in here)),
            ("category cells", legend(self.look.glyphs)),
        )
        text.blocks = tuple(block for block in blocks if block[1])
        return text

    def _keys(self, actions: Iterable[Action]) -> Pairs:
        """Keys and sentence of each; what has no key is named, for the palette."""
        plain = self.look.glyphs.plain
        return tuple((self.keymap.shown(a.id, plain) or f"({a.name})", a.help) for a in actions)
