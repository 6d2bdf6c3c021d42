"""What fills a tall terminal below the grid: alerts, notices, the state of every stream."""

from collections.abc import Mapping

from cockpit.widgets import news, text
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import FeedHealth, StreamHealth

GOOD = ("fresh", "synced")
# Widths of the columns of the feeds.
NAME, STATE, COUNT, RATE = 20, 12, 9, 10
# Fewer cells of words than these say nothing.
LEAST_WORDS = 16


class Panel(Lines):
    """A titled list of lines."""

    def row(self, *cells: Cell) -> Line:
        return (cell("", 1, self.ink["blank"]), *cells)

    def title(self, words: str) -> list[Line]:
        return [self.row(cell(words, max(0, self.size.width - 1), self.ink["dim"]))]


class News(Panel):
    """The latest alerts and notices, newest first."""

    def show(self, scene: Scene) -> None:
        if self.same(scene.snapshot.alerts, scene.snapshot.notices, scene.zone):
            return
        lines = self.title("alerts and notices")
        items = news.latest(scene.snapshot.alerts, scene.snapshot.notices)
        lines += [self._item(item, scene) for item in items[: self.size.height]]
        if not items:
            room = max(0, self.size.width - 1)
            lines.append(self.row(cell("none yet", room, self.ink["dim"])))
        self.show_lines(lines[: max(1, self.size.height)])

    def _item(self, item: news.Item, scene: Scene) -> Line:
        glyphs = self.look.glyphs
        room = max(0, self.size.width - 1 - 9 - 3 - 6)
        return self.row(
            cell(text.clock(item.ts, scene.zone) or "", 9, self.ink["dim"]),
            cell(item.mark(glyphs), 3, self.ink[item.ink]),
            cell(item.about, 6, self.ink["strong"], "left", glyphs.ellipsis),
            cell(item.text, room, self.ink["text" if item.rule else "muted"], "left",
                 glyphs.ellipsis),
        )  # fmt: skip


class Feeds(Panel):
    """Each feed with its streams, or in one line where there is no room for all of them."""

    def show(self, scene: Scene) -> None:
        if self.same(scene.feeds):
            return
        lines = self.title("feeds")
        feeds, room = scene.feeds, max(1, self.size.height)
        brief = lines_of(feeds) > room
        names = list(feeds)
        if len(names) >= room:
            # Where not all have a line, those that are not well come first.
            names.sort(key=lambda name: feeds[name].state == "ready")
        for name in names:
            lines.append(self._feed(name, feeds[name], brief))
            if not brief:
                lines += [self._stream(kind, s) for kind, s in feeds[name].streams.items()]
        if len(lines) > room > 1:
            rest = f"and {len(lines) - room + 1} more; f shows all"
            lines[room - 1 :] = [self.row(cell(rest, self.size.width - 1, self.ink["dim"]))]
        self.show_lines(lines[:room])

    def _feed(self, name: str, feed: FeedHealth, brief: bool) -> Line:
        ready, total = (
            sum(getattr(s, n) for s in feed.streams.values()) for n in ("ready", "total")
        )
        good = feed.state == "ready"
        rate, room = self._room()
        return self.row(
            cell(name, NAME - 1, self.ink["text"], "left", self.look.glyphs.ellipsis),
            cell("", 1, self.ink["blank"]),
            cell(feed.state, STATE, self.ink["up2" if good else "warn"]),
            cell(f"{ready}/{total}" if total else "", COUNT, self.ink["muted"]),
            cell(f"{feed.events_per_s:,.0f}/s  ", rate, self.ink["dim"], "right"),
            cell(_told(feed, brief), room, self.ink["muted"], "left", self.look.glyphs.ellipsis),
        )

    def _room(self) -> tuple[int, int]:
        """Widths of a rate or an age, which a narrow panel leaves out, and of what is last."""
        room = max(0, self.size.width - 1 - NAME - STATE - COUNT)
        return (RATE, room - RATE) if room >= RATE + LEAST_WORDS else (0, room)

    def _stream(self, kind: str, stream: StreamHealth) -> Line:
        glyphs = self.look.glyphs
        good = stream.state in GOOD
        missing = "" if not stream.missing else "missing " + " ".join(
            text.base(symbol) for symbol in stream.missing
        )  # fmt: skip
        age, room = self._room()
        return self.row(
            cell(f"  {kind}", NAME - 1, self.ink["muted"], "left", glyphs.ellipsis),
            cell("", 1, self.ink["blank"]),
            cell(stream.state, STATE, self.ink["up1" if good else "warn"]),
            cell(f"{stream.ready}/{stream.total}", COUNT, self.ink["muted"]),
            cell(f"{text.age(stream.age) or glyphs.none}  ", age, self.ink["dim"], "right"),
            cell(missing, room, self.ink["dim"], "left", glyphs.ellipsis),
        )


def lines_of(feeds: Mapping[str, FeedHealth]) -> int:
    """Lines it takes to show feeds with all their streams, below a title."""
    return 1 + sum(1 + len(feed.streams) for feed in feeds.values())


def _told(feed: FeedHealth, brief: bool) -> str:
    """Its note, what it lost, and in brief which of its streams are ill."""
    said = [feed.note] if feed.note else []
    if brief and feed.state != "ready":
        said += [
            f"{kind} {s.state} {s.ready}/{s.total}"
            for kind, s in feed.streams.items()
            if s.state not in GOOD
        ]
    counts = (("dropped", feed.dropped), ("gaps", feed.gaps), ("resyncs", feed.resyncs))
    return "  ".join([*said, *(f"{name} {count:,}" for name, count in counts if count)])
