"""The tape: trades collected as they come, worked off in arrays once a second.

Late trades widen the cells they belong to; repeated ones (by id) are dropped and counted; a jump
in the ids of a venue that numbers its trades without gaps is counted and makes cumulative
measures unreliable until their window has passed.
"""

from bisect import bisect_left, bisect_right
from collections import deque

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.market.fields import LEANING, TRADED
from engine.market.rings import to_quanta
from engine.market.view import Array

Index = NDArray[np.int64]

# Venues whose trade ids rise by exactly one; elsewhere a jump proves nothing.
GAPLESS_IDS = frozenset({"binance"})
BINS = 256
BIN_FLOOR = -6.0
BINS_PER_OCTAVE = 8.0
EDGES = 2.0 ** (np.arange(1, BINS + 1) / BINS_PER_OCTAVE + BIN_FLOOR)
BIG = 0.99
HUGE = 0.995
BUNCH_NS = 5 * NS
BUNCH_KEPT_NS = 20 * NS
MIN_PRINTS = 200
FORGET_S = 4 * 3600.0
MAX_SKIPPED = 1000


class TradeIds:
    """Remembers which trades of one (venue, symbol) were seen.

    Gapless ids need only the last one and those skipped before it, which may still come (two
    sockets overlap while one replaces the other).
    """

    __slots__ = ("_recent", "_seen", "_skipped", "gapless", "last")

    def __init__(self, gapless: bool) -> None:
        self.gapless = gapless
        self.last: int | None = None
        self._skipped: set[int] = set()
        self._seen: set[int | str] = set()
        self._recent: deque[int | str] = deque()

    def missing(self, trade_id: int | str) -> int | None:
        """Trades skipped before this one, -1 when it is one of those, None when seen before."""
        if not self.gapless or isinstance(trade_id, str):
            return None if self._repeats(trade_id) else 0
        last = self.last
        if last is None or trade_id == last + 1:
            self.last = trade_id
            return 0
        if trade_id <= last:
            return self._fills(trade_id)
        self.last = trade_id
        missing = trade_id - last - 1
        self._skipped.update(range(max(last + 1, trade_id - MAX_SKIPPED), trade_id))
        if len(self._skipped) > 2 * MAX_SKIPPED:
            self._skipped = set(sorted(self._skipped)[-MAX_SKIPPED:])
        return missing

    def _fills(self, trade_id: int) -> int | None:
        if trade_id not in self._skipped:
            return None
        self._skipped.remove(trade_id)
        return -1

    def _repeats(self, trade_id: int | str) -> bool:
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
        self.huge = np.full(symbols, np.inf)
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
        self.big = self._size(share, BIG, np.inf)
        self.huge = self._size(share, HUGE, np.inf)
        self.large = self._size(share, 0.75, np.inf)
        self.small = self._size(share, 0.25, 0.0)
        self._counts *= np.exp(-seconds / FORGET_S)

    def _size(self, share: Array, quantile: float, unknown: float) -> Array:
        """The upper edge of the bin that holds a quantile of each symbol's prints."""
        bins = (share < quantile).sum(axis=1).clip(max=BINS - 1)
        out: Array = np.where(self.known, EDGES[bins], unknown)
        return out


class Batch:
    """Trades as arrays: place of the symbol, bar time `at` and exchange time `ts` in ns.

    An exchange time later than receipt allows is replaced by the one that fits the bar time.
    Notional is in whole quanta, so that sums are the same in whatever parts they are made.
    """

    __slots__ = ("at", "bunched", "buy", "leaning", "log_price", "notional", "price", "symbol",
                 "ts")  # fmt: skip

    def __init__(self, symbol: Index, at: Index, ts: Index, price: Array, size: Array,
                 buy: NDArray[np.bool_]) -> None:  # fmt: skip
        self.symbol = symbol
        self.at = at
        self.ts = ts
        self.price = price
        self.log_price = np.log(price)
        self.notional = np.maximum(to_quanta(price * size, TRADED), TRADED)
        self.buy = buy
        self.bunched = np.zeros(len(at))
        self.leaning = np.zeros(len(at))

    def lean(self, log_anchor: Array) -> None:
        """Weigh by notional how far each price is above its symbol's anchor, for VWAPs."""
        above = self.log_price - log_anchor[self.symbol]
        self.leaning = to_quanta(self.notional * above, LEANING)

    def __len__(self) -> int:
        return len(self.at)

    def take(self, chosen: Index | NDArray[np.bool_]) -> "Batch":
        """The chosen trades, in the order given."""
        out = object.__new__(Batch)
        for name in Batch.__slots__:
            setattr(out, name, getattr(self, name)[chosen])
        return out


class Bunching:
    """How many big prints of a symbol fell into the five seconds before each new one."""

    def __init__(self, symbols: int) -> None:
        self._recent: list[list[int]] = [[] for _ in range(symbols)]

    def weights(self, symbol: Index, at: Index) -> Array:
        """1 + big prints, of those that came before, in the 5 s up to it; in order of arrival.

        Late ones find the prints around them for as long as BUNCH_KEPT_NS.
        """
        out = np.empty(len(symbol))
        for place, (s, t) in enumerate(zip(symbol.tolist(), at.tolist(), strict=True)):
            recent = self._recent[s]
            until = bisect_right(recent, t)
            out[place] = 1.0 + until - bisect_left(recent, t - BUNCH_NS, 0, until)
            recent.insert(until, t)
            del recent[: bisect_left(recent, recent[-1] - BUNCH_KEPT_NS)]
        return out
