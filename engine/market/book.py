"""One venue's book of one symbol, and the rule by which it is known to be whole.

A delta extends the book when its prev_seq is the book's sequence. After a snapshot with sequence s,
deltas that end before s are dropped and the first one applied must contain s or follow it
(Binance USD-M 'How to manage a local order book correctly'; the other venues' chains map to the
same three numbers). While no snapshot is there, deltas are kept for it. Any break of the chain
empties the book's claim to be whole until a new snapshot bridges. A snapshot asked for to renew a
whole book arrives older than the book: the deltas kept since it was asked for carry it to now.
"""

from collections import deque
from itertools import pairwise
from math import inf

from engine.events import BookDelta, BookSnapshot
from engine.market.side import Side

MAX_WAITING = 1000


class Book:
    """Price -> size per side; `synced` only while the chain of updates is unbroken."""

    __slots__ = (
        "_chained",
        "_keeping",
        "_waiting",
        "applied",
        "ask_side",
        "bid_side",
        "bridging",
        "edges",
        "gaps",
        "recv",
        "seq",
        "snapshot_at",
        "snapshots",
        "stale_dropped",
        "synced",
        "tick",
        "waiting_dropped",
    )

    def __init__(self) -> None:
        self.bid_side = Side()
        self.ask_side = Side()
        self.seq: int | None = None
        self.synced = False
        self.bridging = False
        self.recv = 0
        self.edges = (0.0, inf)
        self.tick = 0.0
        self.applied = 0
        self.gaps = 0
        self.snapshot_at = 0
        self.snapshots = 0
        self.stale_dropped = 0
        self.waiting_dropped = 0
        self._keeping = True
        self._chained = False
        self._waiting: deque[BookDelta] = deque(maxlen=MAX_WAITING)

    @property
    def waiting(self) -> bool:
        """Whether updates came that nothing could be made of without a snapshot."""
        return bool(self._waiting)

    @property
    def bids(self) -> dict[float, float]:
        """Price -> size, in no order; made anew at each call."""
        return self.bid_side.levels()

    @property
    def asks(self) -> dict[float, float]:
        """Price -> size, in no order; made anew at each call."""
        return self.ask_side.levels()

    @property
    def resyncs(self) -> int:
        """Snapshots taken after the first."""
        return max(self.snapshots - 1, 0)

    def snapshot(self, event: BookSnapshot) -> None:
        """Replace the book, then apply what waited for it."""
        applied, renewed = self.applied, False
        if self.synced and event.seq is not None and (self.seq or 0) > event.seq:
            if not self._carries(event.seq):
                self.stale_dropped += 1
                return
            renewed = True
        if self.synced and not (self._keeping or self._chained):
            # A venue that sends whole books alone: each is an update.
            self.applied += 1
        else:
            self.snapshots += 1
        self.bid_side, self.ask_side = Side(event.bids), Side(event.asks)
        self.seq = event.seq
        self.snapshot_at = event.recv or event.ts
        self.recv = event.recv or event.ts
        bids, asks = self.bids, self.asks
        self.edges = (min(bids, default=0.0), max(asks, default=inf))
        tick = _tick(bids, asks)
        self.tick = min(self.tick or tick, tick or self.tick)
        self.bridging = event.seq is not None
        self.synced = True
        self._keeping = False
        waiting, self._waiting = self._waiting, deque(maxlen=MAX_WAITING)
        for delta in waiting:
            self.delta(delta)
        if renewed:
            self.applied = applied

    def expect(self) -> None:
        """A snapshot was asked for: keep what comes until it is there."""
        self._keeping = True

    def delta(self, event: BookDelta) -> bool:
        """Apply, keep or drop an update; True when the book has changed."""
        if self._keeping:
            self._keep(event)
            if not self.synced:
                return False
        prev = event.prev_seq
        if prev != self.seq and not self._bridges(event):
            return False
        if event.bids:
            self.bid_side.update(event.bids)
        if event.asks:
            self.ask_side.update(event.asks)
        self.seq = event.seq
        self.bridging = False
        self._chained = True
        self.recv = event.recv or event.ts
        self.applied += 1
        return True

    def lose(self) -> None:
        """The stream broke off: what comes next has to bridge a new snapshot."""
        self.synced = False
        self._keeping = True
        self._waiting.clear()

    def _carries(self, seq: int) -> bool:
        """Whether the kept deltas lead from a snapshot's sequence to the book's own."""
        while self._waiting and (self._waiting[0].seq or 0) < seq:
            self._waiting.popleft()
        if not self._waiting:
            return False
        first = self._waiting[0]
        return first.prev_seq == seq or (first.first_seq or seq + 1) <= seq

    def _bridges(self, event: BookDelta) -> bool:
        known, seq = self.seq, event.seq
        if known is None or seq is None:
            return True
        told = self.bridging and event.first_seq is not None
        if seq < known or (seq == known and not told):
            self.stale_dropped += 1
            return False
        if self.bridging and event.first_seq is not None and event.first_seq <= known:
            return True
        self.gaps += 1
        self.lose()
        self._keep(event)
        return False

    def _keep(self, event: BookDelta) -> None:
        if len(self._waiting) == MAX_WAITING:
            self.waiting_dropped += 1
        self._waiting.append(event)


def _tick(bids: dict[float, float], asks: dict[float, float]) -> float:
    """Smallest step between neighbouring levels near the touch, 0 where there are too few."""
    near = sorted(bids, reverse=True)[:50], sorted(asks)[:50]
    steps = [abs(b - a) for side in near for a, b in pairwise(side)]
    return min(steps, default=0.0)
