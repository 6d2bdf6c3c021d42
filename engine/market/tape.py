"""The tape: trades collected as they come, worked off in arrays once a second.

Late trades widen the cells they belong to; repeated ones (by id) are dropped and counted; a jump
in the ids of a venue that numbers its trades without gaps is counted and makes cumulative
measures unreliable until their window has passed.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.events import Trade
from engine.market.view import Array

Index = NDArray[np.int64]

# Venues whose trade ids rise by exactly one; elsewhere a jump proves nothing.
GAPLESS_IDS = frozenset({"binance"})
BINS = 256
BIN_FLOOR = -6.0
BINS_PER_OCTAVE = 8.0
BIG = 0.99
BUNCH_NS = 5 * NS
MIN_PRINTS = 200
FORGET_S = 4 * 3600.0


class TradeIds:
    """Remembers which trades of one (venue, symbol) were seen."""

    __slots__ = ("_recent", "_seen", "gapless", "last")

    def __init__(self, gapless: bool) -> None:
        self.gapless = gapless
        self.last: int | None = None
        self._seen: set[str] = set()
        self._recent: deque[str] = deque()

    def missing(self, trade_id: int | str) -> int | None:
        """Trades skipped before this one, or None when it was seen before."""
        if isinstance(trade_id, str):
            return None if self._repeats(trade_id) else 0
        last = self.last
        if last is not None and trade_id <= last:
            return None
        self.last = trade_id
        return trade_id - last - 1 if self.gapless and last is not None else 0

    def _repeats(self, trade_id: str) -> bool:
        if trade_id in self._seen:
            return True
        self._seen.add(trade_id)
        self._recent.append(trade_id)
        if len(self._recent) > 5000:
            self._seen.discard(self._recent.popleft())
        return False


class SizeClasses:
    """Rolling size distribution per symbol: log histograms that forget over four hours.

    Thresholds are taken before a batch is added, so a trade never judges itself.
    """

    def __init__(self, symbols: int) -> None:
        self._counts = np.zeros((symbols, BINS))
        self._prints = np.zeros(symbols)
        self.big = np.full(symbols, np.inf)
        self.large = np.full(symbols, np.inf)
        self.small = np.zeros(symbols)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Symbols with enough prints to tell a big one."""
        return self._prints >= MIN_PRINTS

    def add(self, symbol: Index, notional: Array) -> None:
        """Count a batch of trades."""
        bins = np.clip((np.log2(notional) - BIN_FLOOR) * BINS_PER_OCTAVE, 0, BINS - 1)
        flat = symbol * BINS + bins.astype(np.int64)
        counts = np.bincount(flat, minlength=self._counts.size)
        self._counts += counts.reshape(self._counts.shape)
        self._prints += np.bincount(symbol, minlength=len(self._prints))

    def update(self, seconds: float) -> None:
        """Forget `seconds` worth and take new thresholds."""
        share = np.cumsum(self._counts, axis=1)
        total = np.maximum(share[:, -1:], 1e-9)
        share /= total
        edges = 2.0 ** (np.arange(1, BINS + 1) / BINS_PER_OCTAVE + BIN_FLOOR)
        known = self.known
        self.big = np.where(known, edges[(share < BIG).sum(axis=1).clip(max=BINS - 1)], np.inf)
        self.large = np.where(known, edges[(share < 0.75).sum(axis=1).clip(max=BINS - 1)], np.inf)
        self.small = np.where(known, edges[(share < 0.25).sum(axis=1).clip(max=BINS - 1)], 0.0)
        self._counts *= np.exp(-seconds / FORGET_S)


class Batch:
    """Trades of one second or so as arrays, ordered by symbol-independent arrival."""

    __slots__ = ("at", "buy", "notional", "price", "symbol", "ts")

    def __init__(self, trades: list[Trade], symbols: Index, at: Index) -> None:
        self.symbol = symbols
        self.at = at
        self.ts = np.array([t.ts for t in trades], dtype=np.int64)
        self.price = np.array([t.price for t in trades])
        self.notional = self.price * np.array([t.size for t in trades])
        self.buy = np.array([t.side == "buy" for t in trades], dtype=bool)

    def __len__(self) -> int:
        return len(self.at)


class Bunching:
    """How many big prints of a symbol came in the five seconds before each new one."""

    def __init__(self, symbols: int) -> None:
        self._recent: list[deque[int]] = [deque() for _ in range(symbols)]

    def weights(self, symbol: Index, at: Index) -> Array:
        """1 + big prints in the 5 s before, for big prints in order of arrival."""
        out = np.empty(len(symbol))
        for place, (s, t) in enumerate(zip(symbol.tolist(), at.tolist(), strict=True)):
            recent = self._recent[s]
            while recent and recent[0] < t - BUNCH_NS:
                recent.popleft()
            out[place] = 1.0 + len(recent)
            recent.append(t)
        return out
