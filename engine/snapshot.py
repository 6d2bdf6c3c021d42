"""Snapshot, Detail, Reading: what the engine shows of itself; and SnapshotSource. Nothing else.

All structs are immutable. None is 'not available', never a zero in its place.
"""

from typing import Literal, Protocol

from msgspec import Struct

from engine.detail import BAR_SPANS as BAR_SPANS
from engine.detail import DEPTH_BPS as DEPTH_BPS
from engine.detail import Bar as Bar
from engine.detail import Cluster as Cluster
from engine.detail import Course as Course
from engine.detail import Decided as Decided
from engine.detail import Footprint as Footprint
from engine.detail import FootprintCell as FootprintCell
from engine.detail import FootprintColumn as FootprintColumn
from engine.detail import Level as Level
from engine.detail import Move as Move
from engine.detail import Moved as Moved
from engine.detail import Print as Print
from engine.detail import Swing as Swing
from engine.detail import VenueBook as VenueBook
from engine.detail import VenueFlow as VenueFlow
from engine.detail import VenuePosition as VenuePosition
from engine.detail import VenuePrice as VenuePrice
from engine.detail import Wall as Wall

ModeOfData = Literal["live", "demo", "replay", "store"]
MODES = ("scalp", "day", "swing")
TRANSITIONS = (
    "directional", "flip", "conflict_begins", "conflict_ends", "deceleration", "exhaustion",
)  # fmt: skip


class CategoryInfo(Struct, frozen=True):
    """Id, name and family of one of the 25 categories."""

    id: str
    name: str
    group: str


class Price(Struct, frozen=True):
    """Last trade, touch and 24 h change in %; `age` s since the last market data of the symbol."""

    last: float | None
    bid: float | None
    ask: float | None
    change_24h: float | None
    age: float | None
    decimals: int


class CategoryLine(Struct, frozen=True):
    """A category's say in one bias: score -1..+1, state, contribution in bias points."""

    score: float | None
    state: str
    contribution: float | None
    available: int
    total: int


class Composite(Struct, frozen=True):
    """One symbol in one mode, as last decided at `ts` (ns; 0 before the first decision).

    bias -100..+100; conviction 0..100; confidence 0..1 once calibrated; agreement and coverage
    0..1; `agreement_by_window` -1, 0, +1 per window, None where the window has no data;
    `history`: the last biases, oldest first. `base_rate`: how often a coin's call comes true by
    the normal law. `expected_move_bps`: mean size of a move by the mode's horizon as volatility is
    now, `cost_bps` of going in and out as taker with the funding in between, below 0 where that
    earns more. `peers`: the most correlated symbols; `peers_agree` 0..1 once |bias| is above 60.
    """

    ts: int
    bias: float | None
    conviction: float
    confidence: float | None
    base_rate: float | None
    calibrated: bool
    decision: str
    state: str
    agreement: float | None
    agreement_by_window: dict[str, int | None]
    coverage: float
    available: int
    total: int
    categories: dict[str, CategoryLine]
    adjustments: dict[str, float]
    history: tuple[float | None, ...]
    expected_move_bps: float | None = None
    cost_bps: float | None = None
    peers: tuple[str, ...] = ()
    peers_agree: float | None = None


class SymbolState(Struct, frozen=True):
    """A row of the grid.

    `funding_8h` is a rate (0.0001 = 0.01 %), `oi_change_1h` in %, liquidations in USD over the
    last hour; None where no feed tells.
    """

    id: str
    group: str
    price: Price
    modes: dict[str, Composite]
    funding_8h: float | None
    oi_change_1h: float | None
    long_liquidated: float | None
    short_liquidated: float | None
    ages: dict[str, float | None]


class StreamHealth(Struct, frozen=True):
    """One kind of stream of a feed over its symbols.

    `state` is the weakest of its symbols': off, connecting, connected, acked, first_data, stale,
    fresh, synced (books); `states` counts the symbols in each. `missing` names those that are not
    fresh and synced. `limit`: the longest silence in s that still counts as fresh. Requests that
    are repeated are streams too, one for each purpose.
    """

    state: str
    age: float | None
    events: int
    ready: int
    total: int
    missing: tuple[str, ...]
    events_per_s: float = 0.0
    limit: float | None = None
    states: dict[str, int] = {}


class Allowance(Struct, frozen=True):
    """What was used of a budget within the last minute."""

    used: float
    budget: float


class FeedHealth(Struct, frozen=True):
    """A feed and its streams; state: off, connecting, blocked, limited, partial, ready.

    `lag_p50_ms`, `lag_p99_ms`: receipt minus event time beyond the clock offset. `refused`: what
    turned us away, with its reason. `requests` (weight) and `connects` are those of a live
    session; None where there is none. `history`: requests for history that are done, of how many;
    None before that is known.
    """

    state: str
    note: str
    streams: dict[str, StreamHealth]
    frames: int
    events_per_s: float
    dropped: int
    dropped_by_reason: dict[str, int]
    gaps: int
    resyncs: int
    reconnects: int
    blind_s: float
    offset_ms: float | None
    bytes_per_s: float = 0.0
    lag_p50_ms: float | None = None
    lag_p99_ms: float | None = None
    refused: dict[str, str] = {}
    requests: Allowance | None = None
    connects: Allowance | None = None
    history: tuple[int, int] | None = None


class Notice(Struct, frozen=True):
    """A line for the trader: severity info, warning or error."""

    ts: int
    severity: str
    text: str


class Alert(Struct, frozen=True):
    """A rule that fired at step `ts`; `number` counts from 1, `rule` is the kind of rule.

    `symbol`, `mode` and `feed` are what it is about, None where it is about none.
    """

    number: int
    ts: int
    rule: str
    severity: str
    symbol: str | None
    mode: str | None
    feed: str | None
    text: str


class Transition(Struct, frozen=True):
    """What changed at a decision of `mode`: `kind` is one of TRANSITIONS, `side` -1, 0 or +1.

    `subject`: composite, category or card, `id` which one ('' for the composite). `price`: last
    trade of the reference venue. `before`, `after`: bias points of a composite, else a score, at
    the decision before and at this one; of a deceleration the smoothed peak and the smoothed value
    now. `agreement`, `coverage` and `conviction` are the composite's then.
    """

    ts: int
    mode: str
    symbol: str
    subject: str
    id: str
    kind: str
    side: int
    price: float | None
    before: float
    after: float
    agreement: float | None
    coverage: float | None
    conviction: float | None


class Snapshot(Struct, frozen=True):
    """The whole picture; `number` rises with every change, `step` with every engine step.

    `ts` is the engine's clock, `step_ts` the instant the last step looked at (ns, 0 before one).
    `alerts`: the latest first, some hundred of them; `transitions` of composites and categories
    likewise, and never fewer than all of the last step.
    """

    number: int
    step: int
    mode_of_data: ModeOfData
    ts: int
    step_ts: int
    symbols: tuple[SymbolState, ...]
    categories: tuple[CategoryInfo, ...]
    feeds: dict[str, FeedHealth]
    speed: float | None
    progress: float | None
    finished: bool
    notices: tuple[Notice, ...]
    alerts: tuple[Alert, ...] = ()
    transitions: tuple[Transition, ...] = ()


class Reading(Struct, frozen=True):
    """One card for one symbol in one mode; `scores` and `raws` by window.

    `reason`: why it is not available, as far as known. All but it, `age` and `reliable` is of the
    decision: by window `weights`, and `centres`, `scales`, `samples` (independent ones seen) of
    the normaliser, empty where they were not kept; `points` of the bias, which are
    bias x contribution / `whole` (sum of prior |weight|) / `total` (S').
    """

    card: str
    name: str
    category: str
    available: bool
    raws: dict[str, float | None]
    scores: dict[str, float | None]
    score: float | None
    strength: float
    confidence: float
    agreement: float
    state: str
    conflicted: bool
    age: float | None
    reliable: bool
    weight: float
    contribution: float
    reason: str = ""
    weights: dict[str, float] = {}
    centres: dict[str, float | None] = {}
    scales: dict[str, float | None] = {}
    samples: dict[str, float | None] = {}
    freshness: float | None = None
    sufficiency: float | None = None
    points: float | None = None
    whole: float | None = None
    total: float | None = None


class Detail(Struct, frozen=True):
    """What an open screen asked for of one symbol; `notes` say what is missing and why.

    Parts, and what each fills: readings; bars (the last minutes) or bars:W (W one of BAR_SPANS),
    bars:W@NS those that end at an instant: `bars` of `bar_s` seconds, `oldest` the first instant
    kept at all; levels; swings (of the bars asked for); liquidation_map (`clusters`);
    footprint:W (a window); cvd (`flows`); tape (all perpetual venues together, the large ones
    further back, oldest first); book (`bids` and `asks` of the reference); books; walls;
    positioning (`positions`, `courses`); venues; history (`decisions` by mode, oldest first);
    moves (by mode, since the decision before); transitions (the latest of composites, categories
    and cards, newest first). A part that was not asked for is None or empty; a note begins with
    the name of its part.
    """

    symbol: str
    readings: dict[str, tuple[Reading, ...]]
    bars: tuple[Bar, ...]
    tape: tuple[Print, ...]
    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]
    notes: tuple[str, ...]
    transitions: tuple[Transition, ...] = ()
    bar_s: int = 60
    oldest: int | None = None
    levels: tuple[Level, ...] | None = None
    swings: tuple[Swing, ...] | None = None
    clusters: tuple[Cluster, ...] | None = None
    footprint: Footprint | None = None
    flows: tuple[VenueFlow, ...] | None = None
    books: tuple[VenueBook, ...] | None = None
    walls: tuple[Wall, ...] | None = None
    positions: tuple[VenuePosition, ...] | None = None
    courses: tuple[Course, ...] | None = None
    venues: tuple[VenuePrice, ...] | None = None
    decisions: dict[str, tuple[Decided, ...]] | None = None
    moves: dict[str, Move] | None = None


class SnapshotSource(Protocol):
    """Where the cockpit looks: a running engine, a replay, a store."""

    def latest(self) -> Snapshot:
        """The newest picture; cheap, called at the paint rate."""

    def at(self, ns: int) -> Snapshot | None:
        """What was shown at an instant; None where it is not kept."""

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        """Readings, bars, tape, book, transitions: only the parts that are asked for."""
