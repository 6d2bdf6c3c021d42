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
BAND_NAMES = ("10", "50", "100")
OUTWARD = np.array([[-1.0], [1.0]])
SIDES = np.arange(2)[:, None]
STEPS = np.arange(SLOTS)
MIN_COVER = 2.0
WALL = 5.0
THIN = 0.25
WALL_RING = 512
WALL_GRACE_NS = 2 * NS
HIT_SHARE = 0.05

MEASURES = (
    *(f"{side}_{band}" for side in ("bid", "ask", "band") for band in BAND_NAMES),
    *("bid_thin", "ask_thin", "tilt", "spread", "top"),
    *(f"{side}_wall{what}" for side in ("bid", "ask") for what in ("", "_life", "_distance")),
)

Mask = NDArray[np.bool_]
Places = NDArray[np.int64]


class Sample:
    """One second's measures, (MEASURES, symbols), by name in `fields`; 0 where not `known`."""

    __slots__ = ("cover", "known", "measures", "walled")

    def __init__(self, measures: Array, known: Mask, walled: Array, cover: Array) -> None:
        self.measures = measures
        self.known = known
        self.walled = walled
        self.cover = cover

    @property
    def fields(self) -> dict[str, Array]:
        """(symbols,) by name."""
        return dict(zip(MEASURES, self.measures, strict=True))


class DepthSampler:
    """Turns books into samples; remembers only how long walls have stood."""

    def __init__(self, symbols: int) -> None:
        self._wall_id = np.full((2, symbols, WALL_RING), -1, dtype=np.int64)
        self._wall_birth = np.zeros((2, symbols, WALL_RING), dtype=np.int64)
        self._wall_seen = np.zeros((2, symbols, WALL_RING), dtype=np.int64)

    def sample(self, books: list[Book | None], bid: Array, ask: Array, bid_size: Array,
               ask_size: Array, now: int) -> Sample:  # fmt: skip
        """Measure the given books; None stands for one that is not whole and fresh."""
        known = np.array([book is not None for book in books]) & (bid < ask)
        known &= bid_size + ask_size > 0
        places = np.flatnonzero(known)
        measures, walled = np.zeros((len(MEASURES), len(books))), np.zeros((2, len(books)))
        cover = np.full(len(books), np.nan)
        if len(places):
            there = [book for book in (books[s] for s in places.tolist()) if book is not None]
            touch = np.array([bid, ask, bid_size, ask_size])[:, places]
            fields, ok, walls, reach = self._measure(there, places, touch, now)
            measures[:, places] = np.array([fields[name] for name in MEASURES])
            known[places], walled[:, places] = ok, walls
            cover[places[ok]] = reach[ok]
        return Sample(measures, known, walled, cover)

    def _measure(self, books: list[Book], places: Places, touch: Array,
                 now: int) -> tuple[dict[str, Array], Mask, Array, Array]:  # fmt: skip
        """Fields, which are known, which sides have walls, covers; of whole books alone."""
        bid, ask, bid_size, ask_size = touch
        log_mid = np.log((bid + ask) / 2)
        base = np.floor(log_mid * 1e4).astype(np.int64)
        slots = Slots(len(books))
        mids, bases = log_mid.tolist(), base.tolist()
        for n, book in enumerate(books):
            slots.count(0, n, book.bid_side, -1.0, mids[n], bases[n])
            slots.count(1, n, book.ask_side, 1.0, mids[n], bases[n])
        with np.errstate(divide="ignore"):
            edges = np.log(np.array([book.edges for book in books]).T)
        reach = _cover(slots, OUTWARD * (edges - log_mid) * 1e4)
        known = reach >= MIN_COVER
        fields = _bands(slots, np.where(known, reach, MIN_COVER))
        fields["tilt"] = bid_size / (bid_size + ask_size) - 0.5
        fields["spread"] = (ask - bid) / np.exp(log_mid) * 1e4
        fields["top"] = (bid * bid_size + ask * ask_size) / 2
        walls = self._walls(fields, slots, places, base, known, now)
        return fields, known, walls, reach

    def _walls(self, fields: dict[str, Array], slots: "Slots", places: Places, base: Places,
               known: Mask, now: int) -> Array:  # fmt: skip
        """Nearest outsized slot of each side; returns which sides have one (2, books)."""
        inside = np.maximum(slots.cover, MIN_COVER)[:, None] > STEPS
        held = slots.fixed * inside
        filled = np.maximum(_both((held > 0).sum(axis=-1)), 1)
        usual = _both(held.sum(axis=-1)) / filled
        wall = (held >= WALL * np.maximum(usual, 1e-9)[:, None]) & known[:, None]
        found = wall.any(axis=-1)
        nearest = wall.argmax(axis=-1)
        life = np.zeros(found.shape)
        side, n, slot = np.nonzero(wall)
        if len(n):
            ids = base[n] + (2 * side - 1) * slot
            at = (side, places[n], ids % WALL_RING)
            same = (self._wall_id[at] == ids) & (now - self._wall_seen[at] <= WALL_GRACE_NS)
            self._wall_birth[at] = np.where(same, self._wall_birth[at], now)
            self._wall_id[at] = ids
            self._wall_seen[at] = now
            first = slot == nearest[side, n]
            life[side[first], n[first]] = (now - self._wall_birth[at][first]) / NS
        size = np.where(found, held[SIDES, np.arange(len(base)), nearest], 0.0)
        distance = np.where(found, (nearest + 0.5) * 1e-4, 0.0)
        for m, name in enumerate(("bid", "ask")):
            fields[f"{name}_wall"] = size[m]
            fields[f"{name}_wall_life"] = life[m]
            fields[f"{name}_wall_distance"] = distance[m]
        out: Array = found.astype(float)
        return out


class Slots:
    """Resting notional by slot of 1 bp, (2, books, SLOTS); `fixed`: in slots of fixed prices.

    `cover`: how far, in bps, both sides of each book are truly known.
    """

    __slots__ = ("counts", "cover", "fixed", "near")

    def __init__(self, books: int) -> None:
        self.near, self.counts, self.fixed = np.zeros((3, 2, books, SLOTS))
        self.cover = np.zeros(books)

    def count(self, side: int, n: int, levels: Side, sign: float, log_mid: float,
              base: int) -> None:  # fmt: skip
        """Count one side of one book."""
        prices, sizes, logs = levels.columns()
        away = sign * (logs - log_mid) * 1e4
        kept = np.flatnonzero((away >= 0) & (away < SLOTS) & (sizes > 0))
        slots, notional = away[kept].astype(np.int64), prices[kept] * sizes[kept]
        fixed = np.abs(np.floor(logs[kept] * 1e4).astype(np.int64) - base)
        self.near[side, n] = np.bincount(slots, notional, SLOTS)
        self.counts[side, n] = np.bincount(slots, minlength=SLOTS)
        self.fixed[side, n] = np.bincount(np.minimum(fixed, SLOTS - 1), notional, SLOTS)


def _both(sides: Array) -> Array:
    """The sum of both sides, the same however many books there are."""
    out: Array = sides[0] + sides[1]
    return out


def _cover(slots: Slots, edge: Array) -> Array:
    inside = np.maximum(edge, 1.0)[..., None] > STEPS
    usual = (slots.counts * inside).sum(axis=-1) / inside.sum(axis=-1)
    dense = inside | (slots.counts >= np.maximum(0.5 * usual, 0.5)[..., None])
    reach = np.where(dense.all(axis=-1), SLOTS, (~dense).argmax(axis=-1))
    slots.cover = np.minimum(np.maximum(edge, reach), SLOTS).min(axis=0)
    return slots.cover


def _bands(slots: Slots, cover: Array) -> dict[str, Array]:
    near = slots.near
    cumulative = np.zeros((*near.shape[:2], SLOTS + 1))
    np.cumsum(near, axis=-1, out=cumulative[..., 1:])
    band = np.minimum(BANDS[:, None], cover)
    whole = np.minimum(band.astype(np.int64), SLOTS - 1)
    low = cumulative[SIDES, np.arange(len(cover)), whole[:, None]]
    high = cumulative[SIDES, np.arange(len(cover)), whole[:, None] + 1]
    depth = low + (band - whole)[:, None] * (high - low)
    fields: dict[str, Array] = {}
    for place, name in enumerate(BAND_NAMES):
        fields["bid_" + name], fields["ask_" + name] = depth[place]
        fields["band_" + name] = band[place]
    # Only slots that are known as a whole: a part of one would look thin.
    inside = cover[:, None] >= STEPS + 1
    count = inside.sum(axis=-1)
    usual = _both((near * inside).sum(axis=-1)) / (2 * count)
    thin = ((near < THIN * usual[:, None]) & inside).sum(axis=-1) / count
    fields["bid_thin"], fields["ask_thin"] = thin
    return fields


def refill(before: Array, after: Array, taken: Array) -> tuple[Array, Array]:
    """Notional taken and come back on one side in a second in which takers hit it, else 0.

    `before`, `after`: depth within 10 bps at both ends of the second; `taken`: notional executed.
    """
    with np.errstate(invalid="ignore"):
        hit = taken >= HIT_SHARE * before
    back = np.clip(after - before + taken, -taken, 2 * taken)
    return np.where(hit, taken, 0.0), np.where(hit, back, 0.0)
