"""Stage: what every screen has in common."""

from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget

from cockpit.theme import Look
from cockpit.widgets.scene import Scene
from cockpit.widgets.states import SMALLEST, TooSmall


class Stage(Screen[None]):
    """A screen that is shown scenes; below 80x24 it says so and shows nothing else."""

    AUTO_FOCUS = ""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self.scene: Scene | None = None

    def compose(self) -> ComposeResult:
        yield TooSmall(self.look, id="small")
        yield from self.parts()

    def parts(self) -> ComposeResult:
        """The screen's own widgets."""
        raise NotImplementedError

    def show(self, scene: Scene) -> None:
        """Show a scene; only what differs from the last one is painted."""
        self.scene = scene
        if not self.is_mounted:
            return
        for widget in self.shown():
            if widget.display and widget.size.width:
                widget.show(scene)  # type: ignore[attr-defined]

    def shown(self) -> tuple[Widget, ...]:
        """Widgets with a `show(scene)`, top to bottom."""
        raise NotImplementedError

    def page(self, direction: int) -> bool:
        """Scroll by a page; False where there is nothing to scroll."""
        return False

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        self.set_class(width < SMALLEST[0] or height < SMALLEST[1], "-small")
        self.fit_to(width, height)
        if self.scene is not None:
            self.call_after_refresh(self._again)

    def fit_to(self, width: int, height: int) -> None:
        """Decide what there is room for."""

    def _again(self) -> None:
        if self.scene is not None and self.app.is_running:
            self.show(self.scene)
