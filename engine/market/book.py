"""One venue's book of one symbol, and the rule by which it is known to be whole.

A delta extends the book when its prev_seq is the book's sequence. After a snapshot with sequence s,
deltas that end before s are dropped and the first one applied must contain s or follow it
(Binance USD-M 'How to manage a local order book correctly'; the other venues' chains map to the
same three numbers). While no snapshot is there, deltas are kept for it. Any break of the chain
empties the book's claim to be whole until a new snapshot bridges.
"""

from collections import deque
from itertools import pairwise
from math import inf

from engine.events import BookDelta, BookSnapshot

MAX_WAITING = 5000


class Book:
    """Price -> size per side; `synced` only while the chain of updates is unbroken."""

    __slots__ = (
        "_waiting",
        "applied",
        "asks",
        "bids",
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
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}
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
        self._waiting: deque[BookDelta] = deque(maxlen=MAX_WAITING)

    @property
    def resyncs(self) -> int:
        """Snapshots taken after the first."""
        return max(self.snapshots - 1, 0)

    def snapshot(self, event: BookSnapshot) -> None:
        """Replace the book, then apply what waited for it."""
        if event.seq is not None and self.synced and (self.seq or 0) > event.seq:
            self.stale_dropped += 1
            return
        self.bids = {price: size for price, size in event.bids if size}
        self.asks = {price: size for price, size in event.asks if size}
        self.seq = event.seq
        self.snapshots += 1
        self.snapshot_at = event.recv or event.ts
        self.recv = event.recv or event.ts
        self.edges = (min(self.bids, default=0.0), max(self.asks, default=inf))
        self.tick = _tick(self.bids, self.asks)
        self.bridging = event.seq is not None
        self.synced = True
        waiting, self._waiting = self._waiting, deque(maxlen=MAX_WAITING)
        for delta in waiting:
            self.delta(delta)

    def delta(self, event: BookDelta) -> bool:
        """Apply, keep or drop an update; True when the book has changed."""
        if not self.synced:
            self._keep(event)
            return False
        prev = event.prev_seq
        if prev != self.seq and not self._bridges(event):
            return False
        bids, asks = self.bids, self.asks
        for price, size in event.bids:
            if size:
                bids[price] = size
            else:
                bids.pop(price, None)
        for price, size in event.asks:
            if size:
                asks[price] = size
            else:
                asks.pop(price, None)
        self.seq = event.seq
        self.bridging = False
        self.recv = event.recv or event.ts
        self.applied += 1
        return True

    def lose(self) -> None:
        """The stream broke off: what comes next has to bridge a new snapshot."""
        self.synced = False
        self._waiting.clear()

    def _bridges(self, event: BookDelta) -> bool:
        known, seq = self.seq, event.seq
        if known is None or seq is None:
            return True
        if seq < known or (seq == known and not self.bridging):
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
