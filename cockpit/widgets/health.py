"""Health: every feed and stream as a list, with what each state means for the trader."""

from collections.abc import Sequence

from rich.segment import Segment

from cockpit.widgets import text
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import Scene
from cockpit.widgets.states import OFFERS, Said, centred, unreached
from cockpit.widgets.text import Cell, Line, cell
from engine.snapshot import FeedHealth, StreamHealth

GOOD = frozenset({"fresh", "synced", "ready"})
MEANING = {
    "off": "switched off in the config",
    "connecting": "no stream is ready yet; it keeps trying by itself",
    "blocked": "the venue refuses this address; it is tried again by itself",
    "limited": "the venue asks for fewer requests; they wait, live streams go on",
    "partial": "not every stream is ready; cards without their data are missing",
}
NO_FEED: tuple[Said, ...] = (
    ("No feed is switched on", "warn"),
    ("", "text"),
    ("enable one in the config: feeds", "muted"),
    ("", "text"),
)
SLOW_MS = 1000.0
NEARLY = 0.9  # of a limit, from where on it is shown in warning colours
NAME, STATE, READY, AGE, EVENTS = 14, 12, 8, 6, 12


class Health(Lines):
    """Feeds one below the other; a feed that is not ready says what that means."""

    def show(self, scene: Scene) -> None:
        feeds = scene.snapshot.feeds
        if self.same(feeds, scene.snapshot.finished):
            return
        if not feeds:
            self.show_lines(centred([*NO_FEED, *OFFERS], *self.size, self.look, self.ink))
            return
        lines: list[Line] = []
        for name, feed in feeds.items():
            lines += [*self._feed(name, feed, scene.snapshot.finished), self._row()]
        if all(unreached(feed) for feed in feeds.values() if feed.state != "off"):
            lines += [self._row(self._words(said, ink)) for said, ink in OFFERS]
        self.show_lines(lines)

    def _row(self, *cells: Cell) -> Line:
        return (self._cell("", 1), *cells)

    def _cell(self, words: str, width: int, ink: str = "text", align: str = "left") -> Cell:
        return cell(words, max(0, width), self.ink[ink], align, self.look.glyphs.ellipsis)

    def _words(self, said: str, ink: str = "text") -> Cell:
        return self._cell(said, self.size.width - 1, ink)

    def _feed(self, name: str, feed: FeedHealth, finished: bool) -> list[Line]:
        rate = f"{feed.events_per_s:,.0f} events/s   {feed.frames:,} frames"
        glyph, ink = self._sign(feed.state)
        lines = [
            self._row(
                self._cell(name, NAME, "strong"),
                self._cell(f"{glyph} {feed.state}", STATE + 2, ink),
                self._cell(rate, self.size.width - NAME - STATE - 3, "muted"),
            )
        ]
        meaning = "the recording has ended" if finished else MEANING.get(feed.state, "")
        if meaning:
            lines.append(self._said("", meaning, "dim" if finished else "muted"))
        if feed.note:
            lines.append(self._said("note", feed.note, "warn"))
        if feed.state != "off" or feed.frames:
            for connection, reason in feed.refused.items():
                lines.append(self._said("refused", f"{connection}: {reason}", "warn"))
            lines += [self._lost(feed), *self._line(feed), *self._drops(feed)]
            lines += self._streams(feed)
        return lines

    def _sign(self, state: str) -> tuple[str, str]:
        glyphs = self.look.glyphs
        if state in GOOD:
            return glyphs.dot, "up2"
        return (glyphs.none, "dim") if state == "off" else (glyphs.warning, "warn")

    def _said(self, name: str, said: str, ink: str) -> Line:
        return self._row(
            self._cell(f"  {name}", NAME, "dim"), self._cell(said, self.size.width - NAME - 1, ink)
        )

    def _lost(self, feed: FeedHealth) -> Line:
        """What went wrong so far; each figure is dim while it is nothing."""
        offset = text.signed(feed.offset_ms) if feed.offset_ms is not None else None
        clock = self.look.glyphs.none if offset is None else f"{offset} ms"
        figures = (
            ("gaps", f"{feed.gaps}", feed.gaps), ("resyncs", f"{feed.resyncs}", feed.resyncs),
            ("reconnects", f"{feed.reconnects}", feed.reconnects),
            ("blind", f"{feed.blind_s:.0f} s", feed.blind_s >= 0.5), ("clock", clock, 0),
        )  # fmt: skip
        return self._figures(figures)

    def _line(self, feed: FeedHealth) -> list[Line]:
        """Bytes, lag, what of the venue's limits is used, history under way; as far as known."""
        figures: list[tuple[str, str, float]] = []
        if feed.history is not None and feed.history[0] < feed.history[1]:
            figures.append(("history", "{:,}/{:,}".format(*feed.history), 0))
        if feed.bytes_per_s:
            figures.append(("bytes", f"{feed.bytes_per_s / 1000:,.1f} kB/s", 0))
        if feed.lag_p50_ms is not None and feed.lag_p99_ms is not None:
            lag = f"{feed.lag_p50_ms:,.0f} / {feed.lag_p99_ms:,.0f} ms"
            figures.append(("lag p50/p99", lag, feed.lag_p99_ms > SLOW_MS))
        for name, used in (("requests", feed.requests), ("connects", feed.connects)):
            if used is not None:
                full = used.used > NEARLY * used.budget
                figures.append((name, f"{used.used:,.0f}/{used.budget:,.0f} a min", full))
        return [self._figures(figures)] if figures else []

    def _figures(self, figures: Sequence[tuple[str, str, float]]) -> Line:
        cells: list[Cell] = [self._cell("", NAME)]
        for name, figure, bad in figures:
            cells.append((Segment(f"{name} ", self.ink["dim"]),))
            cells.append((Segment(f"{figure}   ", self.ink["warn" if bad else "muted"]),))
        return self._row(*cells)

    def _drops(self, feed: FeedHealth) -> list[Line]:
        if not feed.dropped:
            return [self._said("dropped", "nothing", "muted")]
        reasons = [f"{count:,} {reason}" for reason, count in feed.dropped_by_reason.items()]
        return self._wrapped("dropped", f"{feed.dropped:,}: {', '.join(reasons)}", "warn")

    def _streams(self, feed: FeedHealth) -> list[Line]:
        heads = (("  stream", NAME, "left"), ("state", STATE + 2, "left"), ("ready", READY, "left"),
                 ("age", AGE, "left"), ("events", EVENTS, "right"))  # fmt: skip
        if not feed.streams:
            return []
        lines = [self._row(*(self._cell(n, size, "dim", align) for n, size, align in heads))]
        for kind, stream in feed.streams.items():
            lines.append(self._stream(kind, stream, feed.state))
            if stream.missing and stream.ready:
                lines += self._wrapped("", "missing " + _names(stream.missing), "muted")
        return lines

    def _stream(self, kind: str, stream: StreamHealth, feed: str) -> Line:
        state = stream.state
        if state == "off" and feed != "off":
            # A recording says nothing of what it does not hold.
            state = "in part" if stream.ready else "not heard"
        glyph, ink = self._sign(state)
        none = self.look.glyphs.none
        return self._row(
            self._cell(f"  {kind}", NAME, "text"),
            self._cell(f"{glyph} {state.replace('_', ' ')}", STATE + 2, ink),
            self._cell(f"{stream.ready}/{stream.total}", READY,
                       "text" if stream.ready == stream.total else "warn"),
            self._cell(text.age(stream.age) or none, AGE, "muted"),
            self._cell(f"{stream.events:,}" if stream.events else none, EVENTS,
                       "text" if stream.events else "faint", "right"),
        )  # fmt: skip

    def _wrapped(self, name: str, said: str, ink: str) -> list[Line]:
        """A long sentence beside its name, on as many lines as it needs."""
        lines = text.wrap(said, max(10, self.size.width - NAME - 2))
        return [self._said(name if n == 0 else "", line, ink) for n, line in enumerate(lines)]


def _names(symbols: tuple[str, ...]) -> str:
    return " ".join(text.base(symbol) for symbol in symbols)
