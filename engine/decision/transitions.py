"""Transitions: what changed from one decision of a mode to the next, as events.

Subjects are the composite, the categories and the cards, all on the scale of a bias: scores are
taken x 100. A gap (no value at a cycle, or a cycle left out) ends what was known of a subject; the
first value after it is taken in silently.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import tanh
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.market.view import Array
from engine.snapshot import TRANSITIONS, Transition

Mask = NDArray[np.bool_]
Side = NDArray[np.int8]
Columns = NDArray[np.int64] | slice
# Flow support is this category's score on the side of the subject; it fades while it is less than
# at the cycle before.
SUPPORT = "order_flow"
# A card takes or changes its side when it stands beyond its cut for so many cycles.
CARD_CYCLES = 2
# A conflict begins or ends when it is there or gone for so many cycles.
CONFLICT_CYCLES = 2
# Cycles at neutral that still make one flip of two sides.
PAUSE = 5
# Share of the newest |score| in the smoothed one (exponential, by cycles).
SMOOTHING = 0.5
# Cycles running that a height, or flow support, has to fall.
FALLING = 3
# A fall below the peak that is told of, and how near the peak it has to come to be told again.
FALL, NEAR = 0.2, 0.1
# A bias nearer to 100 is taken for this one.
MOST_BENT = 0.9999
# Exhaustion: the top share of its own history, once that is so long.
TOP, LEAST_SEEN, MOST_SEEN = 0.02, 100, 10_000
BINS = 128
MANY = np.int8(100)


@dataclass(frozen=True, slots=True)
class Subjects:
    """What is watched, one row each: composite first, then categories, then cards.

    (rows, 1) each: a side is taken at `enter` points and left below `leave`, once that stood for
    `cycles`; a conflict counts from `torn_from` points on. `bent`: rows that are told after a
    tanh; `peak_from`: `enter` before it. `support`: the row of the order flow category, None where
    there is none.
    """

    kinds: tuple[str, ...]
    ids: tuple[str, ...]
    enter: Array
    leave: Array
    cycles: Side
    torn_from: Array
    bent: NDArray[np.int64]
    peak_from: Array
    support: int | None

    @property
    def count(self) -> int:
        return len(self.ids)


def subjects(categories: Sequence[str], cards: Sequence[str], cuts: tuple[float, float],
             hysteresis: float) -> Subjects:  # fmt: skip
    """Composite and categories turn at the neutral cut, cards at the strong one, in two cycles.

    What is next to nothing can hardly be torn: a category's conflict counts from half its cut on.
    """
    groups = (("composite", [""]), ("category", categories), ("card", cards))
    kinds = tuple(kind for kind, names in groups for _ in names)
    ids = tuple(id for _, names in groups for id in names)
    kind_of = np.array(kinds)[:, None]
    of_card = kind_of == "card"
    enter = np.where(of_card, cuts[1], cuts[0])
    bent = np.flatnonzero(kind_of == "composite")
    return Subjects(
        kinds=kinds,
        ids=ids,
        enter=enter,
        leave=np.maximum(enter - hysteresis, 0.0),
        cycles=np.where(of_card, CARD_CYCLES, 1).astype(np.int8),
        torn_from=enter * np.select([of_card, kind_of == "category"], [1.0, 0.5], 0.0),
        bent=bent,
        peak_from=_unbent(enter, bent),
        support=1 + list(categories).index(SUPPORT) if SUPPORT in categories else None,
    )


class Change(NamedTuple):
    """A transition of row `subject` and column `symbol`.

    `before` and `after` in points: the values of this cycle and the one before; of a deceleration
    the smoothed peak and the smoothed value.
    """

    subject: int
    symbol: int
    kind: str
    side: int
    before: float
    after: float


@dataclass(slots=True)
class _Sides:
    """Side held, the one that shows and for how many cycles; last one taken, cycles since."""

    held: Side
    shown: Side
    stood: Side
    last: Side
    paused: Side


@dataclass(slots=True)
class _Torn:
    held: Mask
    stood: Side


@dataclass(slots=True)
class _Height:
    """Smoothed |value| since the sign began; `ready`, `fresh`: not told since it last recovered."""

    sign: Side
    smooth: Array
    peak: Array
    falling: Side
    ready: Mask
    fresh: Mask


Part = TypeVar("Part", _Sides, _Torn, _Height)


class _Now(NamedTuple):
    """Values of this cycle, 0 where `known` says there is none; `run`: known the cycle before.

    `height`: |value|, of the composite before the tanh.
    """

    value: Array
    size: Array
    height: Array
    sign: Side
    torn: Mask
    known: Mask
    run: Mask


class Detector:
    """Watches one mode's subjects; memory does not grow with time.

    `every` ns: the mode's cycle; `look_back` cycles: how long a subject's own history is.
    """

    def __init__(self, watched: Subjects, symbols: int, every: int, look_back: int) -> None:
        shape = (watched.count, symbols)
        self.watched = watched
        self._every = every
        self._at = np.zeros(symbols, dtype=np.int64)
        self._value = np.full(shape, np.nan)
        self._sides = _Sides(*(np.zeros(shape, np.int8) for _ in fields(_Sides)))
        self._torn = _Torn(np.zeros(shape, bool), np.zeros(shape, np.int8))
        self._height = _Height(
            np.zeros(shape, np.int8), np.zeros(shape), np.zeros(shape), np.zeros(shape, np.int8),
            np.ones(shape, bool), np.ones(shape, bool),
        )  # fmt: skip
        # Cycles that support was falling and rising, (symbols,).
        self._ebb, self._flood = np.zeros((2, symbols), np.int8)
        self._seen = Seen(shape, look_back)

    def update(self, now: int, due: Mask, values: Array, torn: Mask) -> list[Change]:
        """Take in what was decided at `now` (ns) for the symbols that are `due`.

        `values` in points, NaN unknown, and `torn`, conflicted, are (subjects, symbols). Returns
        what changed, by subject, then symbol. A composite's deceleration is looked for before
        the tanh, which hides it where the bias is large.
        """
        at: Columns = slice(None) if due.all() else np.flatnonzero(due)
        value, conflicted, before = values[:, at], torn[:, at], self._value[:, at]
        known = value == value
        run = known & (before == before) & (now - self._at[at] <= self._every)
        zeroed = np.where(known, value, 0.0)
        size = np.abs(zeroed)
        it = _Now(zeroed, size, _unbent(size, self.watched.bent), np.sign(zeroed).astype(np.int8),
                  conflicted, known, run)  # fmt: skip

        sides, turned = _turn(_columns(self._sides, at), it, self.watched)
        strife, ends = _strife(_columns(self._torn, at), it, self.watched)
        height, slows = _slow(_columns(self._height, at), it, self.watched)
        tired = self._exhausted(height, it, before, at)
        masks = (*turned, *ends, slows, tired)
        found = self._changes(masks, it, before, height, np.arange(values.shape[1])[at])

        _put(self._sides, at, sides)
        _put(self._torn, at, strife)
        _put(self._height, at, height)
        self._seen.add(it.size, known, at)
        self._value[:, at] = value
        self._at[at] = now
        return found

    def _exhausted(self, height: _Height, it: _Now, before: Array, at: Columns) -> Mask:
        """|value| in the top of its own history while flow support falls for three cycles."""
        self._tide(it, before, at)
        fading = np.where(it.sign > 0, self._ebb[at] >= FALLING, self._flood[at] >= FALLING)
        ripe = it.run & height.fresh & (it.size >= self.watched.enter) & fading
        rows, columns = np.nonzero(ripe)
        if len(rows):
            places = np.arange(self._value.shape[1])[at][columns]
            rank = self._seen.share_from(rows, places, it.size[rows, columns])
            ripe[rows, columns] = rank <= TOP
        height.fresh &= ~ripe
        return ripe

    def _tide(self, it: _Now, before: Array, at: Columns) -> None:
        row = self.watched.support
        if row is None:
            return
        run, value, old = it.run[row], it.value[row], before[row]
        for counts, moves in ((self._ebb, value < old), (self._flood, value > old)):
            counts[at] = np.where(run & moves, np.minimum(counts[at] + 1, MANY), 0)

    def _changes(self, masks: Sequence[Mask], it: _Now, before: Array, height: _Height,
                 places: NDArray[np.int64]) -> list[Change]:  # fmt: skip
        if not any(mask.any() for mask in masks):
            return []
        out = []
        for row, column, which in np.argwhere(np.stack(masks, axis=-1)).tolist():
            sign, kind = int(it.sign[row, column]), TRANSITIONS[which]
            old, new = float(before[row, column]), float(it.value[row, column])
            if kind == "deceleration":
                both = (float(x[row, column]) for x in (height.peak, height.smooth))
                old, new = (sign * self._bent(row, x) for x in both)
            out.append(Change(row, int(places[column]), kind, sign, old, new))
        return out

    def _bent(self, row: int, height: float) -> float:
        return 100 * tanh(height / 100) if row in self.watched.bent else height


def _unbent(size: Array, rows: NDArray[np.int64]) -> Array:
    """Sizes in points, those of `rows` before the tanh."""
    height = size.copy()
    height[rows] = 100 * np.arctanh(np.minimum(size[rows] / 100, MOST_BENT))
    return height


def _turn(old: _Sides, it: _Now, watched: Subjects) -> tuple[_Sides, tuple[Mask, Mask]]:
    """Sides taken; (neutral to directional, flips). What is conflicted keeps its side."""
    beyond = it.size >= watched.enter
    stays = (it.size >= watched.leave) & (it.sign == old.held)
    shown = np.where(beyond | stays, it.sign, np.int8(0))
    shown = np.where(it.torn, old.held, shown)
    stood = np.where(shown == old.shown, np.minimum(old.stood + 1, MANY), 1).astype(np.int8)
    taken = it.run & (shown != old.held) & (stood >= watched.cycles)
    turned = taken & (shown != 0)
    flip = turned & (old.last == -shown) & (old.paused <= PAUSE)
    # The first value of a run is what it is: no event, no waiting.
    first = np.where(beyond & it.known, it.sign, np.int8(0))
    held = np.where(it.run, np.where(taken, shown, old.held), first)
    paused = np.where(held == 0, np.minimum(old.paused + 1, MANY), 0).astype(np.int8)
    last = np.where(held != 0, held, np.where(it.run, old.last, np.int8(0)))
    shown = np.where(it.run, shown, first)
    stood = np.where(it.run, stood, np.int8(1))
    return _Sides(held, shown, stood, last, paused), (turned & ~flip, flip)


def _strife(old: _Torn, it: _Now, watched: Subjects) -> tuple[_Torn, tuple[Mask, Mask]]:
    """Conflicts held; (those that begin, those that end)."""
    large = it.torn & (it.size >= watched.torn_from)
    shown = np.where(old.held, it.torn, large)
    stood = np.where(it.run & (shown != old.held), old.stood + 1, 0).astype(np.int8)
    changed = stood >= CONFLICT_CYCLES
    held = np.where(it.run, np.where(changed, shown, old.held), large & it.known)
    stood[changed] = 0
    return _Torn(held, stood), (changed & shown, changed & ~shown)


def _slow(old: _Height, it: _Now, watched: Subjects) -> tuple[_Height, Mask]:
    """The height of each sign, and where it decelerates."""
    same = it.run & (it.sign == old.sign) & (it.sign != 0)
    smooth = np.where(same, old.smooth + SMOOTHING * (it.height - old.smooth), it.height)
    less = same & (smooth < old.smooth)
    falling = np.where(less, np.minimum(old.falling + 1, MANY), 0).astype(np.int8)
    peak = np.where(same, np.maximum(old.peak, smooth), smooth)
    low = smooth <= (1.0 - FALL) * peak
    slows = same & old.ready & (falling >= FALLING) & low & (peak >= watched.peak_from)
    ready = ~same | (old.ready & ~slows) | (smooth >= (1.0 - NEAR) * peak)
    fresh = ~same | old.fresh | low
    return _Height(it.sign, smooth, peak, falling, ready, fresh), slows


class Seen:
    """How large each subject was before: counts by size, of one to two look-backs.

    Two generations of counts; the older one goes when the newer is a look-back long.
    """

    def __init__(self, shape: tuple[int, int], look_back: int) -> None:
        self._length = int(np.clip(look_back, LEAST_SEEN, MOST_SEEN))
        self._counts = np.zeros((2, *shape, BINS), np.uint16)
        self._first = np.arange(shape[0] * shape[1]).reshape(shape) * BINS
        self._updates = 0

    def share_from(self, rows: NDArray[np.int64], columns: NDArray[np.int64], size: Array) -> Array:
        """Share of each cell's history of at least `size` points; 1 while there is too little."""
        own = self._counts[:, rows, columns].sum(axis=0, dtype=np.int64)
        upward = own[:, ::-1].cumsum(axis=1)[:, ::-1]
        total = upward[:, 0]
        share = upward[np.arange(len(rows)), _bins(size)] / np.maximum(total, 1)
        return np.where(total >= LEAST_SEEN, share, 1.0)

    def add(self, size: Array, known: Mask, at: Columns) -> None:
        """Take in the sizes of this cycle for the columns `at`."""
        if self._updates == self._length:
            self._counts[1] = self._counts[0]
            self._counts[0] = 0
            self._updates = 0
        self._updates += 1
        cells = self._first[:, at] + _bins(size)
        self._counts[0].reshape(-1)[cells[known]] += 1


def _bins(size: Array) -> NDArray[np.int64]:
    return np.minimum(size * ((BINS - 1) / 100.0), BINS - 1).astype(np.int64)


def _columns(part: Part, at: Columns) -> Part:
    if isinstance(at, slice):
        return part
    return type(part)(*(getattr(part, field.name)[:, at] for field in fields(part)))


def _put(part: Part, at: Columns, new: Part) -> None:
    for field in fields(part):
        getattr(part, field.name)[:, at] = getattr(new, field.name)


@dataclass(frozen=True, slots=True)
class Scene:
    """What stands beside a mode's changes: (symbols,) each, prices in quote currency."""

    ts: int
    mode: str
    symbols: tuple[str, ...]
    price: Array
    agreement: Array
    coverage: Array
    conviction: Array


def describe(changes: Sequence[Change], watched: Subjects, scene: Scene) -> tuple[Transition, ...]:
    """The changes as they are kept and shown, in the same order."""
    return tuple(_described(change, watched, scene) for change in changes)


def _described(change: Change, watched: Subjects, scene: Scene) -> Transition:
    s, kind = change.symbol, watched.kinds[change.subject]
    unit = 1.0 if kind == "composite" else 100.0
    return Transition(
        ts=scene.ts, mode=scene.mode, symbol=scene.symbols[s], subject=kind,
        id=watched.ids[change.subject], kind=change.kind, side=change.side,
        price=_price(scene.price[s]), before=change.before / unit, after=change.after / unit,
        agreement=_number(scene.agreement[s]), coverage=_number(scene.coverage[s]),
        conviction=_number(scene.conviction[s]),
    )  # fmt: skip


def _number(value: float) -> float | None:
    return float(value) if value == value else None


def _price(value: float) -> float | None:
    """Twelve digits: what comes out of a logarithm has no more."""
    return float(f"{value:.12g}") if value == value else None
