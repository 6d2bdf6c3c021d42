"""Faults on demand: what can go wrong between a venue and its clients, injected one by one."""

import re
from collections import Counter, deque
from collections.abc import Collection, Sequence
from typing import Literal

from msgspec import Struct

Message = tuple[str, bytes]  # stream, its data as JSON
FrameFault = Literal["gap", "duplicate", "reorder", "malformed"]
Place = Literal["ws", "rest"]
REMEMBERED = 1000
REPLAYED = 5  # frames of a stream
TIMES = re.compile(rb'"([ET])":(\d{13})')
SENT = re.compile(rb'"(E)":(\d{13})')


class Wanted(Struct):
    """A frame fault that waits for the next frame of a stream such as `btcusdt@aggTrade`.

    A spoilt answer waits for the next one of a path in the stream's place.
    """

    kind: FrameFault
    stream: str


class Refusal(Struct, frozen=True):
    """An HTTP status to answer with, and the seconds of its Retry-After."""

    status: int
    retry_after: float | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says of when to come back."""
        return {} if self.retry_after is None else {"Retry-After": f"{self.retry_after:g}"}


class Faults:
    """The faults of one venue; `done` counts those that took place, by kind.

    `spoilt`: kind and stream (or path) of the last frames and answers that something happened to;
    "lost" is one that was held back for its successor and went with its connection.
    """

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.spoilt: deque[tuple[str, str]] = deque(maxlen=REMEMBERED)
        self.stalled: set[str] = set()
        self.silent_acks = 0
        self.skew_ms = 0
        self._frames: list[Wanted] = []
        self._held: dict[str, Message] = {}
        self._refusals: dict[Place, deque[Refusal]] = {"ws": deque(), "rest": deque()}
        self._slow: deque[float] = deque()
        self._replays = 0

    # -- asking for them -------------------------------------------------------------------

    def frame(self, kind: FrameFault, stream: str) -> None:
        """Skip, repeat, swap with its successor or spoil the next frame of a stream."""
        self._frames.append(Wanted(kind, stream))

    def stall(self, route: str) -> None:
        """Send nothing on a route, though its sockets stay open, until `resume`.

        Given the name of a stream, nothing of that stream alone.
        """
        self.stalled.add(route)
        self.done["stall"] += 1

    def resume(self, route: str | None = None) -> None:
        """End the stall of a route or stream, or every stall."""
        if route is None:
            self.stalled.clear()
        self.stalled.discard(route or "")

    def withdraw(self, stream: str) -> bool:
        """Ask for no more frame faults of a stream; whether any was still to come."""
        left = [wanted for wanted in self._frames if wanted.stream != stream]
        some = len(left) < len(self._frames)
        self._frames = left
        return some

    def refuse(self, place: Place, status: int, retry_after: float | None = None) -> None:
        """Answer the next handshake or REST request with a status such as 429 or 451."""
        self._refusals[place].append(Refusal(status, retry_after))

    def slow_snapshot(self, seconds: float) -> None:
        """Let the next answer wait for so many seconds of the market's time.

        Of a venue whose books come by request it is the next book.
        """
        self._slow.append(seconds)

    def silent_ack(self, count: int = 1) -> None:
        """Acknowledge the subscriptions of the next connections but send them nothing."""
        self.silent_acks += count

    def replay(self, count: int = 1) -> None:
        """Tell the next connections what their streams told last once more, as if it were new."""
        self._replays += count

    def skew(self, ms: int) -> None:
        """Let the venue's clock run ahead by `ms` in all that its streams tell; 0 mends it."""
        self.skew_ms = ms
        self.done["clock skew"] += ms != 0

    # -- for the venue ---------------------------------------------------------------------

    def refusal(self, place: Place) -> Refusal | None:
        """The refusal that is due, taken off the list."""
        if not self._refusals[place]:
            return None
        refusal = self._refusals[place].popleft()
        self.done[str(refusal.status)] += 1
        return refusal

    def delay(self) -> float:
        """Seconds the present answer waits."""
        if not self._slow:
            return 0.0
        self.done["slow snapshot"] += 1
        return self._slow.popleft()

    def take_silence(self) -> bool:
        """Whether the connection that subscribes now is to hear nothing."""
        if not self.silent_acks:
            return False
        self.silent_acks -= 1
        self.done["silent ack"] += 1
        return True

    def take_replay(self) -> bool:
        """Whether the connection that subscribes now hears what was told last once more."""
        if not self._replays:
            return False
        self._replays -= 1
        self.done["replay"] += 1
        return True

    def spoil_answer(self, path: str, body: bytes) -> bytes:
        """An answer, cut off in the middle where that is asked for its path."""
        fault = self._due(path) if self._frames else None
        return body if fault is None else body[: len(body) // 2]

    def leave(self, streams: Collection[str]) -> None:
        """A connection has ended: what was held back of its streams went with it."""
        for stream in self._held.keys() & set(streams):
            del self._held[stream]
            self.spoilt.append(("lost", stream))

    def spoil(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages of a tick with the faults that wait for them."""
        if self.skew_ms:
            messages = [shifted(message, self.skew_ms) for message in messages]
        if self.stalled:
            messages = [message for message in messages if message[0] not in self.stalled]
        if not (self._frames or self._held):
            return messages
        out: list[Message] = []
        for message in messages:
            fault = self._due(message[0])
            if fault == "reorder":
                self._held[message[0]] = message
                continue
            if fault == "duplicate":
                out.append(message)
            if fault == "malformed":
                message = (message[0], message[1][: len(message[1]) // 2])
            if fault != "gap":
                out.append(message)
            if (held := self._held.pop(message[0], None)) is not None:
                out.append(held)
        return out

    def _due(self, stream: str) -> FrameFault | None:
        for place, wanted in enumerate(self._frames):
            if wanted.stream == stream and stream not in self._held:
                del self._frames[place]
                self.done[wanted.kind] += 1
                self.spoilt.append((wanted.kind, stream))
                return wanted.kind
        return None


class Recent:
    """The last frames of each stream, which a fault may send again."""

    def __init__(self) -> None:
        self._frames: dict[str, deque[bytes]] = {}

    def note(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Remember the messages of a tick, and give them back."""
        for stream, data in messages:
            if stream not in self._frames:
                self._frames[stream] = deque(maxlen=REPLAYED)
            self._frames[stream].append(data)
        return messages

    def of(self, streams: Collection[str]) -> list[Message]:
        """What those streams told last, one stream after the other."""
        known = sorted(self._frames.keys() & set(streams))
        return [(stream, data) for stream in known for data in self._frames[stream]]


def shifted(message: Message, ms: int) -> Message:
    """A message by a clock that is `ms` ahead; a mark's time of the next funding stays."""
    stream, data = message
    times = SENT if "@markPrice" in stream else TIMES
    return stream, times.sub(lambda m: b'"%b":%d' % (m[1], int(m[2]) + ms), data)
