"""What goes into the history and what comes out of it.

Arrays are over M modes, C cards, S symbols, W windows of one mode, in the order of the Catalogue
in force. Scores, confidences and betas are whole 127ths, -128 where there is none; times are int
nanoseconds UTC. Arrays handed over are not copied: do not change them afterwards.
"""

from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.snapshot import Alert, ModeOfData, Transition

Floats = NDArray[np.float64]
Bytes = NDArray[np.int8]
Integers = NDArray[np.integer[Any]]
Flags = NDArray[np.bool_]

NONE = -128


class CardFact(Struct, frozen=True):
    """What rebuilding a bias needs to know of a card.

    `own`: it says something of the symbol itself. `modes`: those that have a window it exists in.
    Both are None in a history written before they were kept.
    """

    id: str
    category: str
    prior: float = 1.0
    scope: str = "symbol"
    role: str = "direction"
    level: bool = False
    own: bool | None = None
    modes: tuple[str, ...] | None = None


class Catalogue(Struct, frozen=True, eq=False):
    """Everything a decision rests on beside the readings; a change of any of it is a new version.

    `windows`: weight by window name for each mode. `facts`: the settings in force (gains, category
    weights, class priors, cuts ...) as plain JSON data. `weights` (M, C): learned card weights.
    `have` (C, S): the cards each symbol can have.
    """

    symbols: tuple[str, ...]
    groups: tuple[str, ...]
    modes: tuple[str, ...]
    windows: dict[str, dict[str, float]]
    categories: tuple[str, ...]
    cards: tuple[CardFact, ...]
    facts: dict[str, Any]
    weights: Floats
    have: Flags

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.modes), len(self.cards), len(self.symbols)


class StepRecord(Struct, frozen=True, eq=False):
    """One engine step: scores (M, C, S)."""

    ts: int
    scores: Bytes


class DecisionRecord(Struct, frozen=True, eq=False):
    """One mode's decision for all symbols, made of the scores of the step with the same `ts`.

    `bias` and `agreement` are NaN where there is none; `windows` (W, S) -1, 0, +1 or NONE;
    `beta` (S,) in 127ths, so up to 190; `lines` (S,) by name. A symbol whose `decision` is ''
    has not been decided yet and gets no row.
    """

    ts: int
    mode: int
    bias: Floats
    conviction: Floats
    agreement: Floats
    coverage: Floats
    decision: tuple[str, ...]
    state: tuple[str, ...]
    windows: Bytes
    available: Integers
    total: Integers
    confidence: Bytes
    conflicted: Flags
    beta: Integers
    lines: dict[str, Floats]


class BarRecord(Struct, frozen=True, eq=False):
    """One minute from `ts`, (S,) each; taker notional in USD; NaN open where there is no bar."""

    ts: int
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    buy: Floats
    sell: Floats
    trades: Floats


class HealthRecord(Struct, frozen=True):
    """A feed at one instant; counts since its start, `lag` in seconds."""

    ts: int
    feed: str
    state: str
    frames: int
    dropped: int
    gaps: int
    resyncs: int
    reconnects: int
    lag: float | None


class Batch(Struct, frozen=True, eq=False):
    """What one step leaves behind; written whole or not at all."""

    step: StepRecord | None = None
    decisions: tuple[DecisionRecord, ...] = ()
    bars: tuple[BarRecord, ...] = ()
    health: tuple[HealthRecord, ...] = ()
    alerts: tuple[Alert, ...] = ()
    transitions: tuple[Transition, ...] = ()

    @property
    def ts(self) -> int:
        """The engine's instant it belongs to; 0 for an empty one."""
        if self.step is not None:
            return self.step.ts
        times = [d.ts for d in self.decisions] + [h.ts for h in self.health]
        times += [a.ts for a in self.alerts] + [t.ts for t in self.transitions]
        return max(times + [b.ts for b in self.bars], default=0)


class Meta(Struct, frozen=True):
    """Whose data a database holds; `opened` is when its writer started, ns."""

    mode_of_data: ModeOfData
    program: str
    opened: int


class Problems(Struct, frozen=True):
    """What a writer could not do; `last` is empty when all is well again.

    `errors` counts failed writes, `waiting` what will be tried again, `lost` what was given up,
    `dropped` what found the queue full.
    """

    last: str = ""
    errors: int = 0
    waiting: int = 0
    lost: int = 0
    dropped: int = 0


class Version(Struct, frozen=True, eq=False):
    """A Catalogue as stored; `created` is the instant of its first use."""

    id: int
    created: int
    catalogue: Catalogue


class CompositeRow(Struct, frozen=True):
    """One stored decision of a symbol in a mode; `windows` by name, None without data."""

    ts: int
    bias: float | None
    conviction: float
    decision: str
    state: str
    agreement: float | None
    windows: dict[str, int | None]
    coverage: float
    available: int
    total: int
    version: int


class StoredDecision(Struct, frozen=True, eq=False):
    """A decision and, while they are kept, the readings (C,) it was made of.

    `weights` (C,) and `have` (C,) are this mode's and symbol's part of the version.
    """

    symbol: str
    mode: str
    composite: CompositeRow
    version: Version
    weights: Floats
    have: Flags
    scores: Bytes | None
    confidence: Bytes | None
    conflicted: Flags | None
    beta: int | None
    lines: dict[str, float]


class Whole(Struct, frozen=True, eq=False):
    """The readings of one decision over all symbols: scores, confidence, conflicted (C, S).

    `beta` (S,) in 127ths; `lines` (S,) by name, in units of S.
    """

    ts: int
    mode: str
    version: Version
    scores: Bytes
    confidence: Bytes
    conflicted: Flags
    beta: NDArray[np.int16]
    lines: dict[str, Floats]


class BarSeries(Struct, frozen=True, eq=False):
    """One-minute bars of a symbol, oldest first; `ts` int64 ns, the rest float64."""

    ts: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    buy: Floats
    sell: Floats
    trades: Floats
