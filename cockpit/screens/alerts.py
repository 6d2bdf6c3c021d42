"""The latest alerts, newest first."""

from cockpit.screens.stage import Page
from cockpit.widgets import news, text
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.states import Said, centred
from cockpit.widgets.text import Line, cell

NONE: tuple[Said, ...] = (
    ("No alert so far", "strong"),
    ("", "text"),
    ("rules: alerts.rules in the config; 'config show' tells which are in force", "muted"),
    ("they look at every step, once in 10 s", "muted"),
)
CLOCK, MARK, ABOUT, RULE = 10, 3, 7, 15


class AlertList(Lines):
    """One line for each alert, below a line of heads."""

    def show(self, scene: Scene) -> None:
        alerts = scene.snapshot.alerts
        if self.same(alerts, scene.zone):
            return
        width, height = self.size
        if not alerts:
            self.show_lines(centred(list(NONE), width, height, self.look, self.ink))
            return
        lines = [self._heads()]
        lines += [self._line(news.of_alert(a), scene) for a in alerts]
        self.show_lines(lines)

    def _heads(self) -> Line:
        names = (("time", CLOCK), ("", MARK), ("about", ABOUT), ("rule", RULE))
        room = max(0, self.size.width - 1 - CLOCK - MARK - ABOUT - RULE)
        cells = [cell(name, size, self.ink["dim"]) for name, size in (*names, ("alert", room))]
        return (cell("", 1, self.ink["blank"]), *cells)

    def _line(self, item: news.Item, scene: Scene) -> Line:
        glyphs = self.look.glyphs
        room = max(0, self.size.width - 1 - CLOCK - MARK - ABOUT - RULE)
        return (
            cell("", 1, self.ink["blank"]),
            cell(text.clock(item.ts, scene.zone) or "", CLOCK, self.ink["muted"]),
            cell(item.mark(glyphs), MARK, self.ink[item.ink]),
            cell(item.about, ABOUT, self.ink["strong"], "left", glyphs.ellipsis),
            cell(item.rule.replace("_", " "), RULE - 1, self.ink["muted"], "left", glyphs.ellipsis),
            cell("", 1, self.ink["blank"]),
            cell(item.text, room, self.ink["text"], "left", glyphs.ellipsis),
        )


class Alerts(Page):
    """What the rules of the config have said; toasts would only say it twice."""

    kind = "alerts"
    toasting = False

    def body(self) -> Lines:
        return AlertList(self.look, id="whole")
