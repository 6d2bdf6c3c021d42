"""Sentences for when there is no grid to show: loading, blocked, nothing matches, too small."""

from textual.geometry import Size

from cockpit.theme import Ink, Look
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.text import Line, cell, clean
from engine.snapshot import FeedHealth

Said = tuple[str, str]
SMALLEST = (80, 24)


def waiting_lines(scene: Scene, width: int, height: int, look: Look, ink: Ink) -> list[Line]:
    """What is awaited, feed by feed; where none can be reached, what still works."""
    feeds = scene.feeds
    stuck = bool(feeds) and all(unreached(f) for f in feeds.values())
    said: list[Said] = []
    if not feeds:
        said += [("No feed is switched on", "warn"), ("", "text")]
        said += [("enable one in the config: feeds", "muted")]
    else:
        title = "No feed can be reached" if stuck else "Waiting for market data"
        said += [(title, "warn" if stuck else "strong"), ("", "text")]
        said += [_feed(name, feed) for name, feed in feeds.items()]
    if stuck:
        said += [("", "text"), ("it is tried again by itself", "muted")]
    if stuck or not feeds:
        said += [("", "text"), *OFFERS]
    elif scene.snapshot.mode_of_data == "replay":
        said += [("", "text"), ("reading the recording", "muted")]
    return centred(said, width, height, look, ink)


OFFERS: tuple[Said, ...] = (
    ("what still works:", "muted"),
    ("blackperp-cockpit demo           a simulated market, without a network", "text"),
    ("blackperp-cockpit replay PATH    a recording, as if live", "text"),
    ("blackperp-cockpit doctor         what is wrong, and the mend", "text"),
)


def unreached(feed: FeedHealth) -> bool:
    """Refused by its venue, or failing and never heard; being tried again is no comfort."""
    if feed.state == "blocked" or feed.frames:
        return feed.state == "blocked"
    return feed.state == "limited" or (feed.state == "connecting" and bool(feed.note))


def _feed(name: str, feed: FeedHealth) -> Said:
    ready = sum(s.ready for s in feed.streams.values())
    total = sum(s.total for s in feed.streams.values())
    note = f", {clean(feed.note)}" if feed.note else ""
    count = f", {ready} of {total} streams ready" if total and feed.state != "blocked" else ""
    style = "warn" if unreached(feed) else "text"
    return f"{name}: {feed.state}{count}{note}", style


def empty_lines(scene: Scene, width: int, height: int, look: Look, ink: Ink) -> list[Line]:
    """No symbol passes the filter."""
    verb = "contains" if scene.filter.isalnum() else "passes"
    said = [
        (f"No symbol {verb} '{clean(scene.filter)}'", "strong"),
        ("", "text"),
        (f"{len(scene.snapshot.symbols)} symbols are hidden; Esc shows them again", "muted"),
    ]
    return centred(said, width, height, look, ink)


def centred(said: list[Said], width: int, height: int, look: Look, ink: Ink) -> list[Line]:
    """Lines in the middle of the space; each cut, never wrapped."""
    above = max(0, (height - len(said)) // 2)
    blank: Line = (cell("", width, ink["blank"]),)
    block = min(width, max((len(text) for text, _ in said), default=0))
    left = (width - block) // 2
    lines: list[Line] = [blank] * above
    for text, style in said:
        body = cell(text, width - left, ink[style], "left", look.glyphs.ellipsis)
        lines.append((cell("", left, ink["blank"]), body))
    return lines


class TooSmall(Lines):
    """Shown alone below 80x24."""

    @staticmethod
    def is_for(size: Size) -> bool:
        """Whether a screen of this size is too small."""
        return size.width < SMALLEST[0] or size.height < SMALLEST[1]

    demo = False

    def show(self, scene: Scene) -> None:
        if self.demo != (scene.snapshot.mode_of_data == "demo"):
            self.demo = not self.demo
            self.on_resize()

    def on_resize(self) -> None:
        width, height = self.size
        said = [
            (f"{SMALLEST[0]}x{SMALLEST[1]} needed", "strong"),
            (f"{width}x{height} now", "muted"),
            ("enlarge the window", "text"),
            ("or press q to quit", "muted"),
        ]
        if self.demo:
            said.insert(2, (" DEMO ", "demo"))
        self.show_lines(centred(said, width, height, self.look, self.ink))
