"""Every feed and stream: what is up, what was lost, what is missing and why."""

from cockpit.screens.stage import Page
from cockpit.widgets.health import Health
from cockpit.widgets.lines import Lines


class FeedsPage(Page):
    """The state of each feed and each of its streams."""

    kind = "feeds"

    def body(self) -> Lines:
        return Health(self.look, id="whole")
