"""Calling: the palette and jump mode, and what only they can ask for."""

from textual import events

from cockpit import academy
from cockpit.actions import applicable, does
from cockpit.keymap import Keymap
from cockpit.palettes import THEMES
from cockpit.screens.academy import Academy
from cockpit.screens.card import CardPage
from cockpit.screens.jump import Jump, targets
from cockpit.screens.palette import Command, Palette
from cockpit.screens.symbol import Symbol
from cockpit.visits import Visits
from cockpit.widgets.scene import Scene
from cockpit.widgets.sheet import entry
from cockpit.widgets.states import TooSmall

# Screens on which another symbol is shown in the present one's place.
OF_A_SYMBOL = ("symbol", "card", "map", "moved", "categories")


class Calling(Visits, inherit_bindings=False):
    """An App whose every action can be called by name, or by a letter put on it."""

    keymap: Keymap
    _cursor: str | None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action does something on the screen on top."""
        return self.stage is None or does(action, self.stage.kind)

    # The palette

    def action_palette(self) -> None:
        if isinstance(self.screen, Palette):
            self.pop_screen()
        elif self.stage:
            plain = self.look.glyphs.plain
            self._push(
                Palette(self.look, commands(self.keymap, self.stage.kind, self.scene(), plain))
            )

    async def on_palette_chosen(self, event: Palette.Chosen) -> None:
        if isinstance(self.screen, Palette):
            self.pop_screen()
            await self.run_action(event.action)

    def action_go(self, symbol: str) -> None:
        """Put the cursor on a symbol and show it, whatever is filtered out."""
        self._cursor = symbol
        if symbol not in (state.id for state in self.scene().rows):
            self.home.clear_filter()
        # Painted first, for a screen that is left keeps the row it showed.
        self.paint()
        if not (self.stage and self.stage.kind in OF_A_SYMBOL):
            self._visit(Symbol)

    def action_card(self, card: str) -> None:
        """The page of a card, for the symbol under the cursor."""
        if isinstance(self.screen, CardPage):
            self.pop_screen()
        self._push(CardPage(self.look, card, card_ids()))

    def action_read(self, page: str) -> None:
        """A page of the academy."""
        if not isinstance(self.screen, Academy):
            self._visit(Academy)
        if isinstance(self.screen, Academy):
            self.screen.go((page, ""))
            self.paint()

    # Jump mode

    def action_jump(self) -> None:
        if self.stage is None or TooSmall.is_for(self.stage.size):
            return
        if found := targets(self.stage):
            picture = self.stage._compositor.render_strips()
            self._push(Jump(self.look, picture, found))

    async def on_jump_chosen(self, event: Jump.Chosen) -> None:
        if not isinstance(self.screen, Jump):
            return
        self.pop_screen()
        target = event.target
        if target.action:
            await self.run_action(target.action)
            return
        place = target.column, target.row
        click = events.Click(
            target.widget, target.x, target.y, 0, 0, 1, False, False, False, *place
        )
        # A screen would send on what comes up to it as if it were new.
        click.stop()
        target.widget.post_message(click)


def card_ids() -> tuple[str, ...]:
    """Every card the academy tells of, page by page."""
    return tuple(card for name in academy.categories() for card in academy.page(name).cards)


def commands(keymap: Keymap, kind: str, scene: Scene, plain: bool) -> tuple[Command, ...]:
    """What the palette offers over a kind of screen: its actions, then symbols, looks, pages."""
    out = [
        Command(a.name, a.help, keymap.shown(a.id, plain), a.action)
        for a in applicable(kind)
        if a.id != "palette"
    ]
    for state in scene.snapshot.symbols:
        out += _called(f"go to {state.id}", "this symbol", "go", state.id)
    for name in THEMES:
        out += _called(f"theme {name}", "to keep it: cockpit.theme in the config", "theme", name)
    for name in academy.pages():
        out += _called(f"read {academy.page(name).title}", "page of the academy", "read", name)
    if scene.current is not None:
        for id in card_ids():
            if found := entry(id):
                out += _called(f"card {found.name}", found.formula, "card", id)
    return tuple(out)


def _called(name: str, said: str, action: str, argument: str) -> tuple[Command]:
    return (Command(name, said, "", f"{action}({argument!r})"),)
