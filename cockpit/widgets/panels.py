"""What fills a tall terminal below the grid: alerts, notices, the state of every stream."""

from cockpit.widgets import news, text
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import FeedHealth, StreamHealth

GOOD = ("fresh", "synced")


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
            lines.append(self.row(cell("none yet", room, self.ink["faint"])))
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
    """Each feed, and each of its streams with what is missing from it."""

    def show(self, scene: Scene) -> None:
        if self.same(scene.feeds):
            return
        lines = self.title("feeds")
        for name, feed in scene.feeds.items():
            lines.append(self._feed(name, feed))
            lines += [self._stream(kind, s) for kind, s in feed.streams.items()]
        self.show_lines(lines[: max(1, self.size.height)])

    def _feed(self, name: str, feed: FeedHealth) -> Line:
        counts = f"dropped {feed.dropped}  gaps {feed.gaps}  resyncs {feed.resyncs}"
        said = f"{feed.note}  {counts}" if feed.note else counts
        good = feed.state == "ready"
        return self.row(
            cell(name, 14, self.ink["text"]),
            cell(feed.state, 12, self.ink["up2" if good else "warn"]),
            cell(said, max(0, self.size.width - 28), self.ink["muted"], "left",
                 self.look.glyphs.ellipsis),
        )  # fmt: skip

    def _stream(self, kind: str, stream: StreamHealth) -> Line:
        glyphs = self.look.glyphs
        good = stream.state in GOOD
        missing = "" if not stream.missing else "missing " + " ".join(
            text.base(symbol) for symbol in stream.missing
        )  # fmt: skip
        return self.row(
            cell(f"  {kind}", 14, self.ink["muted"]),
            cell(stream.state, 12, self.ink["up1" if good else "warn"]),
            cell(f"{stream.ready}/{stream.total}", 8, self.ink["muted"]),
            cell(text.age(stream.age) or glyphs.none, 6, self.ink["dim"]),
            cell(missing, max(0, self.size.width - 42), self.ink["dim"], "left", glyphs.ellipsis),
        )
