"""Dressing: the theme in force, changed without a restart."""

from collections.abc import Sequence

from textual.filter import LineFilter

from cockpit.failing import Failing
from cockpit.palettes import THEMES
from cockpit.theme import Indexed, Look
from cockpit.widgets.lines import Lines


class Dressing(Failing, inherit_bindings=False):
    """An App that draws with one Look, whatever theme that is changed to."""

    look: Look
    _indexed: Indexed

    def paint(self) -> None:
        """Show the scene on the top screen."""
        raise NotImplementedError

    def dress(self, look: Look) -> None:
        """Draw with this look from now on; once, before anything is shown."""
        self.look = look
        self._put_on()

    def _put_on(self) -> None:
        self._indexed = Indexed(self.look)
        made = self.look.textual_theme()
        self.register_theme(made)
        self.theme = made.name

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [self._indexed] if self.look.colours else super().get_line_filters()

    def action_theme(self, name: str = "") -> None:
        """Change to a theme by its name, or to the next one."""
        names = list(THEMES)
        after = names[(names.index(self.look.theme) + 1) % len(names)]
        self.look.become(name if name in THEMES else after)
        self._put_on()
        for screen in self.screen_stack:
            for lines in screen.query(Lines):
                lines.forget()
        self.paint()
