"""Toast: alerts just made, over a corner of the screen for a few seconds."""

from textual.geometry import Size

from cockpit.theme import Look
from cockpit.widgets import news
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.states import TooSmall
from cockpit.widgets.text import Line, cell

WIDEST = 56
MOST = 4


class Toast(Lines):
    """Up to four lines above the footer, at the right edge; nothing where nothing is new."""

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, surface="cursor", id=id)
        self._place: tuple[int, int, int, int] | None = None

    def on_mount(self) -> None:
        self.display = False

    def announce(self, scene: Scene, screen: Size) -> None:
        """Show the scene's toasts on a screen of this size, or go away."""
        toasts = () if TooSmall.is_for(screen) else scene.toasts
        if not toasts:
            if self.display:
                self.display = False
            return
        width = min(WIDEST, screen.width - 4)
        shown = toasts if len(toasts) <= MOST else toasts[: MOST - 1]
        height = min(len(toasts), MOST)
        self._stand(screen.width - width - 1, screen.height - height - 1, width, height)
        if self.same(toasts, width):
            return
        lines = [self._line(news.of_alert(alert), width) for alert in shown]
        if len(toasts) > MOST:
            said = f" {len(toasts) - len(shown)} more; press a for all"
            lines.append((cell(said, width, self.ink["muted"]),))
        self.show_lines(lines)

    def _stand(self, x: int, y: int, width: int, height: int) -> None:
        place = (x, y, width, height)
        if place != self._place:
            self.styles.offset = (x, y)
            self.styles.width, self.styles.height = width, height
            self._place = place
        if not self.display:
            self.display = True

    def _line(self, item: news.Item, width: int) -> Line:
        glyphs = self.look.glyphs
        return (
            cell(f" {item.mark(glyphs)}", 4, self.ink[item.ink]),
            cell(item.about, 5, self.ink["strong"], "left", glyphs.ellipsis),
            cell(f" {item.text}", width - 9, self.ink["strong"], "left", glyphs.ellipsis),
        )
