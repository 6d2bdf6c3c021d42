"""Alerts and notices as one kind of line: when, how grave, what about, what."""

from dataclasses import dataclass

from cockpit.theme import Glyphs
from cockpit.widgets import text
from engine.snapshot import Alert, Notice

INKS = {"info": "accent", "warning": "warn", "error": "error"}


@dataclass(frozen=True)
class Item:
    """`about` is a coin, a feed, or nothing; `rule` the alert's, empty for a notice."""

    ts: int
    severity: str
    about: str
    mode: str
    rule: str
    text: str

    @property
    def ink(self) -> str:
        return INKS.get(self.severity, "text")

    def mark(self, glyphs: Glyphs) -> str:
        """Severity told without colour, in one or two cells."""
        signs = {"warning": glyphs.warning, "error": 2 * glyphs.warning}
        return signs.get(self.severity, glyphs.dot)


def of_alert(alert: Alert) -> Item:
    about = text.base(alert.symbol) if alert.symbol else "feed" if alert.feed else ""
    return Item(alert.ts, alert.severity, about, alert.mode or "", alert.rule, alert.text)


def of_notice(notice: Notice) -> Item:
    return Item(notice.ts, notice.severity, "", "", "", notice.text)


def latest(alerts: tuple[Alert, ...], notices: tuple[Notice, ...]) -> list[Item]:
    """Both together, latest first; of one instant alerts come first."""
    items = [of_alert(a) for a in alerts] + [of_notice(n) for n in reversed(notices)]
    return sorted(items, key=lambda item: -item.ts)
