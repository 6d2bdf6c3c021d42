"""Books sampled once a second into depth bands, walls and thin spots, all symbols at once.

Depth is counted in slots of 1 bp from mid. A book fetched by REST ends somewhere; a band never
reaches further than both sides are truly known: to the edge of the last snapshot, and beyond it
only as far as the levels learned since are at least half as dense as inside.
"""

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.market.book import Book
from engine.market.side import Side
from engine.market.view import Array

SLOTS = 100
BANDS = np.array([10.0, 50.0, 100.0])
OUTWARD = np.array([-1.0, 1.0])
MIN_COVER = 2.0
WALL = 5.0
THIN = 0.25
WALL_RING = 512
WALL_GRACE_NS = 2 * NS
HIT_SHARE = 0.05

Mask = NDArray[np.bool_]


class Sample:
    """One second's measures by field, (symbols,); NaN-free where `known` is true."""

    __slots__ = ("cover", "fields", "known", "walled")

    def __init__(self, fields: dict[str, Array], known: Mask, walled: Array, cover: Array) -> None:
        self.fields = fields
        self.known = known
        self.walled = walled
        self.cover = cover


class DepthSampler:
    """Turns books into samples; remembers only how long walls have stood."""

    def __init__(self, symbols: int) -> None:
        shape = (2, symbols, SLOTS)
        self._sides, self._symbols = np.arange(2)[:, None], np.arange(symbols)
        self._near = np.zeros(shape)
        self._counts = np.zeros(shape)
        self._fixed = np.zeros(shape)
        self._wall_id = np.full((2, symbols, WALL_RING), -1, dtype=np.int64)
        self._wall_birth = np.zeros((2, symbols, WALL_RING), dtype=np.int64)
        self._wall_seen = np.zeros((2, symbols, WALL_RING), dtype=np.int64)

    def sample(self, books: list[Book | None], bid: Array, ask: Array, bid_size: Array,
               ask_size: Array, now: int) -> Sample:  # fmt: skip
        """Measure the given books; None stands for one that is not whole and fresh."""
        with np.errstate(invalid="ignore", divide="ignore"):
            log_mid = np.log((bid + ask) / 2)
        known = np.array([book is not None for book in books]) & (bid < ask)
        known &= bid_size + ask_size > 0
        edge = np.zeros((2, len(books)))
        base = np.floor(np.where(known, log_mid, 0.0) * 1e4).astype(np.int64)
        for s, book in enumerate(books):
            if book is not None and known[s]:
                self._count(0, s, book.bid_side, -1.0, log_mid[s], base[s])
                self._count(1, s, book.ask_side, 1.0, log_mid[s], base[s])
                with np.errstate(divide="ignore"):
                    edge[:, s] = OUTWARD * (np.log(book.edges) - log_mid[s]) * 1e4
        cover = self._cover(edge)
        known &= cover >= MIN_COVER
        fields = self._bands(np.where(known, cover, MIN_COVER))
        with np.errstate(invalid="ignore", divide="ignore"):
            fields["tilt"] = bid_size / (bid_size + ask_size) - 0.5
        fields["spread"] = (ask - bid) / np.exp(log_mid) * 1e4
        fields["top"] = (bid * bid_size + ask * ask_size) / 2
        walled = self._walls(fields, base, known, now, np.maximum(cover, MIN_COVER))
        return Sample(fields, known, walled, np.where(known, cover, np.nan))

    def _count(self, side: int, s: int, levels: Side, sign: float, log_mid: float,
               base: int) -> None:  # fmt: skip
        prices, sizes = levels.arrays()
        logs = np.log(prices)
        away = sign * (logs - log_mid) * 1e4
        keep = (away >= 0) & (away < SLOTS)
        slots, notional = away[keep].astype(np.int64), (prices * sizes)[keep]
        fixed = np.abs(np.floor(logs[keep] * 1e4).astype(np.int64) - base).clip(max=SLOTS - 1)
        self._near[side, s] = np.bincount(slots, notional, SLOTS)
        self._counts[side, s] = np.bincount(slots, minlength=SLOTS)
        self._fixed[side, s] = np.bincount(fixed, notional, SLOTS)

    def _cover(self, edge: Array) -> Array:
        inside = np.arange(SLOTS) < np.maximum(edge, 1.0)[..., None]
        usual = (self._counts * inside).sum(axis=-1) / inside.sum(axis=-1)
        dense = inside | (self._counts >= np.maximum(0.5 * usual, 0.5)[..., None])
        reach = np.where(dense.all(axis=-1), SLOTS, (~dense).argmax(axis=-1))
        out: Array = np.minimum(np.maximum(edge, reach), SLOTS).min(axis=0)
        return out

    def _bands(self, cover: Array) -> dict[str, Array]:
        cumulative = np.concatenate(
            [np.zeros((*self._near.shape[:2], 1)), np.cumsum(self._near, axis=-1)], axis=-1
        )
        band = np.minimum(BANDS[:, None], cover)
        whole = np.minimum(band.astype(np.int64), SLOTS - 1)
        low = cumulative[self._sides, self._symbols, whole[:, None]]
        high = cumulative[self._sides, self._symbols, whole[:, None] + 1]
        depth = low + (band - whole)[:, None] * (high - low)
        fields: dict[str, Array] = {}
        for place, width in enumerate(BANDS):
            name = f"{width:.0f}"
            fields[f"bid_{name}"], fields[f"ask_{name}"] = depth[place]
            fields[f"band_{name}"] = band[place]
        # Only slots that are known as a whole: a part of one would look thin.
        inside = np.arange(1, SLOTS + 1) <= cover[:, None]
        slots = inside.sum(axis=-1)
        usual = (self._near * inside).sum(axis=(0, 2)) / (2 * slots)
        thin = ((self._near < THIN * usual[:, None]) & inside).sum(axis=-1) / slots
        fields["bid_thin"], fields["ask_thin"] = thin
        return fields

    def _walls(self, fields: dict[str, Array], base: NDArray[np.int64], known: Mask, now: int,
               cover: Array) -> Array:  # fmt: skip
        """Nearest outsized slot of each side; returns which sides have one (2, symbols)."""
        inside = np.arange(SLOTS) < cover[:, None]
        held = self._fixed * inside
        filled = np.maximum((held > 0).sum(axis=(0, 2)), 1)
        usual = held.sum(axis=(0, 2)) / filled
        wall = (held >= WALL * np.maximum(usual, 1e-9)[:, None]) & known[:, None]
        steps = np.arange(SLOTS)
        slot_id = base[None, :, None] + np.stack([-steps, steps])[:, None, :]
        place = slot_id % WALL_RING
        side, s, slot = np.nonzero(wall)
        at = (side, s, place[side, s, slot])
        ids = slot_id[side, s, slot]
        same = (self._wall_id[at] == ids) & (now - self._wall_seen[at] <= WALL_GRACE_NS)
        self._wall_birth[at] = np.where(same, self._wall_birth[at], now)
        self._wall_id[at] = ids
        self._wall_seen[at] = now
        nearest = wall.argmax(axis=-1)
        found = wall.any(axis=-1)
        here = (self._sides, self._symbols)
        births = self._wall_birth[(*here, place[(*here, nearest)])]
        size = np.where(found, held[(*here, nearest)], 0.0)
        life = np.where(found, (now - births) / NS, 0.0)
        distance = np.where(found, (nearest + 0.5) * 1e-4, 0.0)
        for n, name in enumerate(("bid", "ask")):
            fields[f"{name}_wall"] = size[n]
            fields[f"{name}_wall_life"] = life[n]
            fields[f"{name}_wall_distance"] = distance[n]
        out: Array = found.astype(float)
        return out


def refill(before: Array, after: Array, taken: Array) -> tuple[Array, Array]:
    """Notional taken and come back on one side in a second in which takers hit it, else 0.

    `before`, `after`: depth within 10 bps at both ends of the second; `taken`: notional executed.
    """
    with np.errstate(invalid="ignore"):
        hit = taken >= HIT_SHARE * before
    back = np.clip(after - before + taken, -taken, 2 * taken)
    return np.where(hit, taken, 0.0), np.where(hit, back, 0.0)
