"""`decode`: recorded frames to events, a JSON object a line; a replay reads its input so too."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from engine.config import Config, ConfigError, FeedConfig
from engine.events import Event
from engine.feeds.feed import Context, DecodeError, Feed, build_feed, feed_names
from engine.jobs.lines import STDIN, Line, read_lines

BATCH = 2048
SAMPLES = 5
HOLD = 1000
_SHOWN = 100
_STATUS = b'{"kind":"feed_status"'


class Tally(Struct):
    """What came of an input: lines that held a frame, events by kind, bad lines by reason.

    `skipped`: lines of other feeds or of none. `samples`: the first few bad lines, shortened.
    """

    lines: int = 0
    skipped: int = 0
    events: Counter[str] = msgspec.field(default_factory=Counter)
    bad: Counter[str] = msgspec.field(default_factory=Counter)
    samples: list[str] = msgspec.field(default_factory=list)

    def drop(self, reason: str, line: Line) -> None:
        """Count a line that cannot be used."""
        self.bad[reason] += 1
        if len(self.samples) < SAMPLES:
            shown = line.data[:_SHOWN].decode(errors="replace")
            printable = "".join(c if c.isprintable() else "?" for c in shown)
            self.samples.append(f"{line.source}: {reason}: {printable}")

    @property
    def usable(self) -> int:
        """Lines that a decoder took."""
        return self.lines - self.skipped - sum(self.bad.values())

    def problems(self) -> str:
        """Bad lines in words, empty without any."""
        if not self.bad:
            return ""
        reasons = ", ".join(f"{reason} {n}" for reason, n in self.bad.most_common())
        return f"{sum(self.bad.values())} of {self.lines} lines are bad ({reasons})"

    def summary(self, name: str) -> str:
        """One line for people: how much was read, what was bad and why."""
        text = f"{name}: {sum(self.events.values())} events from {self.lines} lines"
        if self.skipped:
            text += f", {self.skipped} lines skipped"
        return text + (f"; {self.problems()}" if self.bad else "")


class SymbolHint:
    """The only symbol seen in one file, for the answers in it that name none."""

    def __init__(self) -> None:
        self.symbol: str | None = None
        self.several = False
        self.held: list[tuple[Line, str]] = []

    @property
    def undecided(self) -> bool:
        """Nothing seen yet: what cannot be used now may be usable later."""
        return self.symbol is None and not self.several and len(self.held) < HOLD

    def see(self, events: Iterable[Event]) -> None:
        """Take note of the symbols of decoded events."""
        for event in events:
            if event.symbol is None or event.symbol == self.symbol:
                continue
            if self.symbol is not None:
                self.symbol, self.several = None, True
                return
            self.symbol = event.symbol

    def take(self) -> list[tuple[Line, str]]:
        """The lines held back, with the reason each was refused for; they are held no more."""
        held, self.held = self.held, []
        return held


def decode_lines(
    lines: Iterable[Line], feeds: Mapping[str, Feed], default: str | None, tally: Tally
) -> Iterator[tuple[Line, Sequence[Event]]]:
    """Each usable line with its events, in order; `default` names the feed of unmarked lines.

    A frame that names no symbol takes the only one seen in its file; before any is seen it waits,
    and comes just before the line that tells. Bad lines are counted, never raised.
    """
    hints: dict[str, SymbolHint] = defaultdict(SymbolHint)
    context = Context(recv=None)
    for line in lines:
        tally.lines += 1
        if line.bad:
            tally.drop(line.bad, line)
            continue
        feed = feeds.get(line.feed or default or "")
        if feed is None:
            tally.skipped += 1
            continue
        # Our own recordings always say which symbol a request was about.
        hint = hints[line.source] if line.feed is None else None
        events = _decode(feed, line, context, hint, tally)
        if events is None:
            continue
        if hint is not None and not hint.several:
            hint.see(events)
            if hint.held and not hint.undecided:
                yield from _release(feed, context, hint, tally)
        yield line, events
    for hint in hints.values():
        for line, reason in hint.take():
            tally.drop(reason, line)


def _release(
    feed: Feed, context: Context, hint: SymbolHint, tally: Tally
) -> Iterator[tuple[Line, Sequence[Event]]]:
    for line, _ in hint.take():
        if (events := _decode(feed, line, context, hint, tally)) is not None:
            yield line, events


def _decode(
    feed: Feed, line: Line, context: Context, hint: SymbolHint | None, tally: Tally
) -> Sequence[Event] | None:
    """Events of a line; None where it is held back or bad."""
    context.recv = line.recv
    context.url = line.url
    context.symbol = line.symbol or (hint.symbol if hint else None)
    try:
        return feed.decode(line.data, context)
    except DecodeError as error:
        reason = str(error.args[0]) if error.args else "malformed"
    except Exception as error:
        # A decoder's own mistake must not end a read loop either.
        reason = f"unexpected {type(error).__name__}"
    if hint is not None and hint.undecided:
        hint.held.append((line, reason))
    else:
        tally.drop(reason, line)
    return None


def feed_config(config: Config, name: str) -> FeedConfig:
    """The settings of a feed; raises ConfigError for a name that is none."""
    known = feed_names()
    if name not in known:
        raise ConfigError(f"no feed is named {name}; there is {', '.join(known)}")
    if name not in config.feeds:
        raise ConfigError(f"feeds.{name}: the config in force has no such entry; add it")
    return config.feeds[name]


def decode(name: str, source: str | Path, out: IO[bytes], config: Config) -> Tally:
    """Write every event of the input as a JSON line, as `engine.events` encodes it.

    Raises ConfigError for an unknown feed, OSError when the input cannot be opened or `out` no
    longer takes any.
    """
    feed = build_feed(name, feed_config(config, name), config.instruments)
    tally = Tally()
    encode = msgspec.json.Encoder().encode_lines
    # What is typed or followed should answer at once; files are written in blocks.
    limit = 1 if str(source) == STDIN else BATCH
    batch: list[Event] = []
    kinds: Counter[type[Event]] = Counter()
    lines = _frames(read_lines(source), tally)
    for _, events in decode_lines(lines, {name: feed}, name, tally):
        batch.extend(events)
        if len(batch) >= limit:
            _write(out, encode(batch))
            kinds.update(map(type, batch))
            batch.clear()
    _write(out, encode(batch))
    kinds.update(map(type, batch))
    for kind, count in kinds.items():
        tally.events[str(kind.__struct_config__.tag)] += count
    return tally


def _frames(lines: Iterable[Line], tally: Tally) -> Iterator[Line]:
    """The lines without what a recording tells of its own connections."""
    for line in lines:
        if line.feed is not None and line.data.startswith(_STATUS):
            tally.skipped += 1
        else:
            yield line


def _write(out: IO[bytes], data: bytes) -> None:
    out.write(data)
    out.flush()
