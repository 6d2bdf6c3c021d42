"""Visits: where the user goes, from one screen to another and back."""

from cockpit.dressing import Dressing
from cockpit.screens.academy import Academy
from cockpit.screens.alerts import Alerts
from cockpit.screens.categories import Categories
from cockpit.screens.feeds import FeedsPage
from cockpit.screens.heatmap import HeatMap
from cockpit.screens.help import Help
from cockpit.screens.home import Home
from cockpit.screens.moved import MovedPage
from cockpit.screens.stage import Stage
from cockpit.screens.symbol import Symbol
from cockpit.widgets.scene import Scene


class Visits(Dressing, inherit_bindings=False):
    """An App whose screens open each other; what stands beneath is gone back to, never doubled."""

    def scene(self) -> Scene:
        """What to show now."""
        raise NotImplementedError

    @property
    def home(self) -> Home:
        found = self.screen_stack[0]
        assert isinstance(found, Home)
        return found

    @property
    def stage(self) -> Stage | None:
        """The screen on top."""
        return self.screen if isinstance(self.screen, Stage) else None

    def action_open(self) -> None:
        if isinstance(self.screen, Home | Categories):
            if self.scene().current:
                self._visit(Symbol)
        elif self.stage and (opened := self.stage.opens()):
            self._push(opened)

    def action_breakdown(self) -> None:
        sided = self.screen if isinstance(self.screen, Home | Symbol) else None
        if sided is None or not sided.toggle_side():
            self._visit(Categories)

    def action_help(self) -> None:
        """About the screen on top; help itself is left, and never stays beneath another."""
        if isinstance(self.screen, Help):
            self.pop_screen()
        elif self.stage:
            self._push(Help(self.look, self.stage))

    def action_feeds(self) -> None:
        self._visit(FeedsPage)

    def action_alerts(self) -> None:
        self._visit(Alerts)

    def action_heat(self) -> None:
        self._visit(HeatMap)

    def action_moved(self) -> None:
        self._visit(MovedPage)

    def action_academy(self) -> None:
        """At what is under the cursor; where that is nothing of its own, where it was left."""
        topic = self.stage.topic() if self.stage else None
        self._visit(Academy)
        if topic and isinstance(self.screen, Academy):
            self.screen.go(topic)

    def _visit(self, kind: type[Stage]) -> None:
        """Open a screen; from it go back, and to one that is open beneath go down."""
        helped = isinstance(self.screen, Help)
        if helped:
            self.pop_screen()
        if isinstance(self.screen, kind):
            if not helped:
                self.pop_screen()
        elif any(isinstance(screen, kind) for screen in self.screen_stack):
            while not isinstance(self.screen, kind):
                self.pop_screen()
        else:
            self._push(kind(self.look))

    def _push(self, screen: Stage) -> None:
        # Told the scene at once, so that keys typed ahead find something under the cursor.
        self.push_screen(screen)
        self.paint()

    def action_link(self, step: int) -> None:
        if self.stage:
            self.stage.link(step)

    def action_pin(self) -> None:
        if self.stage and (current := self.scene().current):
            self.stage.pin(current.id)
            self.paint()

    def action_preset(self, step: int) -> None:
        self._told("preset", step)

    def action_zoom(self, step: int) -> None:
        self._told("zoom", step)

    def action_pan(self, step: int) -> None:
        self._told("pan", step)

    def _told(self, what: str, step: int) -> None:
        if self.stage:
            getattr(self.stage, what)(step)
            self.paint()

    def action_half(self, direction: int) -> None:
        if self.stage and not self.stage.half(direction):
            self._step(direction * self.stage.half_page)

    def _step(self, rows: int) -> None:
        """Move the cursor of the grid."""
        raise NotImplementedError

    def action_filter(self) -> None:
        while not (self.stage and self.stage.filter_line):
            self.pop_screen()
        self.stage.ask_filter()

    async def action_back(self) -> None:
        if self.stage and self.stage.clear_filter():
            self.paint()
        elif self.screen is not self.home:
            self.pop_screen()
