"""What came to rest in the reference venue's books and what left them untraded, second by second.

Resting notional is counted in slots of 1 bp of absolute log price, so that a moving mid alone
changes nothing. Of a slot that both this second and the one before it know,

    change + traded = added - cancelled,

and whichever of the two has the sign gets it: a lower bound of both, for what came and went
within the second cancels out.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.market.fields import LIVE_AT
from engine.market.listed import Listed
from engine.market.micro import Prints
from engine.market.view import Array

Index = NDArray[np.int64]
Flags = NDArray[np.bool_]

BPS = 50
WIDTH = 2 * BPS + 1
SLOT = np.arange(WIDTH)
AWAY = np.abs(SLOT - BPS)
ADDED = [LIVE_AT["bid_added"], LIVE_AT["ask_added"]]
CANCELLED = [LIVE_AT["bid_cancelled"], LIVE_AT["ask_cancelled"]]


class Churn:
    """Compares each second's books with those of the second before."""

    def __init__(self, symbols: int) -> None:
        self._base = np.zeros(symbols, dtype=np.int64)
        self._reach = np.full(symbols, -1.0)
        self._held = np.zeros((2, symbols, WIDTH))

    def second(self, out: Array, listings: Sequence[Listed], mids: Array, cover: Array,
               prints: Prints) -> None:  # fmt: skip
        """Set what was added and cancelled in `out` (fields, symbols).

        `mids`: log mids of the books sampled at the second's end, NaN for the others; `cover`:
        how far, in bps, both sides of each are truly known.
        """
        known = np.isfinite(mids)
        base = np.where(known, np.floor(np.where(known, mids, 0.0) * 1e4), 0.0).astype(np.int64)
        # One slot less: the edge of what is known lies somewhere in the last.
        reach = np.where(known, np.minimum(cover - 1.0, BPS), -1.0)
        held = np.zeros_like(self._held)
        books = [x for x in listings if known[x.index]]
        if books:
            _count(held, books, base)
        moved = base - self._base
        source = SLOT + moved[:, None]
        both = (reach[:, None] >= AWAY) & (np.abs(source - BPS) <= self._reach[:, None])
        before = np.take_along_axis(self._held, source.clip(0, WIDTH - 1)[None], axis=-1)
        change = np.where(both, held - before + _traded(prints, base, len(base)), 0.0)
        out[ADDED] = np.maximum(change, 0.0).sum(axis=-1)
        out[CANCELLED] = np.maximum(-change, 0.0).sum(axis=-1)
        self._base, self._reach, self._held = base, reach, held


def _count(held: Array, books: Sequence[Listed], base: Index) -> None:
    """Resting notional by side, symbol and slot; `base`: the slots of the mids."""
    low, high = ((base - BPS) * 1e-4).tolist(), ((base + BPS + 1) * 1e-4).tolist()
    parts: list[tuple[Array, Array, Array]] = []
    # Level by level only what is near is touched: books may be a thousand levels deep.
    for listed in books:
        prices, sizes, logs = listed.book.bid_side.columns()
        near = np.flatnonzero(logs >= low[listed.index])
        parts.append((prices[near], sizes[near], logs[near]))
        prices, sizes, logs = listed.book.ask_side.columns()
        near = np.flatnonzero(logs < high[listed.index])
        parts.append((prices[near], sizes[near], logs[near]))
    prices, sizes, logs = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    symbols = np.array([x.index for x in books])
    rows = np.stack([symbols, len(base) + symbols], axis=1).reshape(-1)
    first = rows * WIDTH + BPS - np.repeat(base[symbols], 2)
    slots = np.floor(logs * 1e4).astype(np.int64)
    lengths = [len(part[0]) for part in parts]
    at = slots + np.repeat(first, lengths)
    rows = np.repeat(rows, lengths) * WIDTH
    # A rounding of the bounds, or a book crossed for the moment, may reach beyond.
    fine = (at >= rows) & (at < rows + WIDTH)
    notional = np.where(fine, prices * sizes, 0.0)
    counted = np.bincount(np.where(fine, at, 0), notional, held.size)
    held[:] = counted.reshape(held.shape)


def _traded(prints: Prints, base: Index, symbols: int) -> Array:
    """The second's trades by the side of the book they hit, symbol and slot."""
    size = 2 * symbols * WIDTH
    if not len(prints):
        return np.zeros((2, symbols, WIDTH))
    slot = np.floor(np.log(prints.price) * 1e4).astype(np.int64) - base[prints.symbol] + BPS
    near = (slot >= 0) & (slot < WIDTH)
    rows = (prints.symbol + symbols * prints.buy) * WIDTH + slot
    out: Array = np.zeros(size)
    out += np.bincount(rows[near], prints.notional[near], size)
    return out.reshape(2, symbols, WIDTH)
