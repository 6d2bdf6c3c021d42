"""One bias taken apart: context lines, categories, cards, and what each card rests on.

`Explanation` as JSON (msgspec.to_builtins), the same keys from every source, null for what is not
known:

- symbol, mode, ts (ns, when it was decided), at (ns, the instant asked for)
- mode_of_data: live, demo or replay; source: store, or run (a recording played, a demo); origin:
  which file or demo
- bias -100..+100, total (S'), gain, whole (sum of prior |weight|); conviction, decision, state,
  agreement, agreement_by_window, coverage, available, possible
- worth: {base_rate, expected_move_bps, cost_bps, peers, peers_agree}, null from the store
- lines: [{name, points}], the context
- categories: [{id, name, points, score, state, weight, available, possible, cards}], largest first
- cards of a category: {id, name, possible, available, points, contribution, score, strength,
  conflicted, confidence, agreement, freshness, sufficiency, weight, scale, formula, source,
  windows, needs}, largest first
- windows of a card: [{window, weight, raw, centre, scale, normalised, score, seen, samples,
  sufficiency}]; needs: [{need, age, limit, freshness, venues: {venue: age in s}}]
- notes: what is not known and how to come by it
- selected (by the command): {category, card}, the ids asked for; the tree is whole all the same

lines and categories add up to the bias, the cards of a category to its points.
"""

from typing import Literal

import numpy as np
from msgspec import Struct

from engine.cards.card import CATEGORIES, Card, registry
from engine.decision.change import Change, changes
from engine.decision.composite import Composition, Weights
from engine.decision.decide import inputs_of
from engine.decision.timeframes import ABSENT, STEPS, Mask, Small
from engine.market.view import Array
from engine.runtime.readings import known
from engine.runtime.worth import Worth
from engine.snapshot import ModeOfData
from engine.store.reader import Reader
from engine.store.rebuild import Rebuilt, rebuild

FLAT = 1e-9  # |S'| below which points are 100 x gain x part, as in composite.py
NOT_STORED = "not stored; replay the recording"
STORED = (
    "scores, contributions and bias are exact as decided; raw measures, normalisers, ages,"
    f" agreement, freshness and sufficiency: {NOT_STORED}"
)


class Moment(Struct, frozen=True):
    """An instant: `ns` UTC, or `ago` ns before the newest there is; with neither, the newest."""

    ns: int | None = None
    ago: int = 0

    def before(self, newest: int) -> int:
        """The instant itself, `newest` being known."""
        return newest - self.ago if self.ns is None else self.ns


class WindowPart(Struct, frozen=True):
    """One window of a card: normalised = (raw - centre) / scale, score = tanh(normalised / 2).

    `seen` in s, `samples` independent ones, of what the normaliser has seen.
    """

    window: str
    weight: float
    raw: float | None = None
    centre: float | None = None
    scale: float | None = None
    normalised: float | None = None
    score: float | None = None
    seen: float | None = None
    samples: float | None = None
    sufficiency: float | None = None


class NeedPart(Struct, frozen=True):
    """An input: its age and silence limit in s, who brings it and how long ago each did."""

    need: str
    age: float | None = None
    limit: float | None = None
    freshness: float | None = None
    venues: dict[str, float | None] = {}


class CardPart(Struct, frozen=True):
    """One card's say: points of the bias; contribution = +-strength x confidence x weight.

    `possible`: the symbol can have it in this mode. `weight` is that in force, by beta where the
    card is of the whole market.
    """

    id: str
    name: str
    possible: bool
    available: bool
    points: float | None
    contribution: float
    score: float | None
    strength: float | None
    conflicted: bool
    confidence: float | None
    agreement: float | None
    freshness: float | None
    sufficiency: float | None
    weight: float
    scale: str | None
    formula: str
    source: str
    windows: tuple[WindowPart, ...]
    needs: tuple[NeedPart, ...]


class CategoryPart(Struct, frozen=True):
    """A category's points and the cards that make them."""

    id: str
    name: str
    points: float | None
    score: float | None
    state: str
    weight: float
    available: int
    possible: int
    cards: tuple[CardPart, ...]


class LinePart(Struct, frozen=True):
    """A context line's points."""

    name: str
    points: float | None


class Explanation(Struct, frozen=True):
    """See the module: lines and categories add up to `bias`."""

    symbol: str
    mode: str
    ts: int
    at: int
    mode_of_data: ModeOfData
    source: Literal["store", "run"]
    origin: str
    bias: float | None
    total: float
    gain: float
    whole: float
    conviction: float
    decision: str
    state: str
    agreement: float | None
    agreement_by_window: dict[str, int | None]
    coverage: float
    available: int
    possible: int
    lines: tuple[LinePart, ...]
    categories: tuple[CategoryPart, ...]
    notes: tuple[str, ...]
    worth: Worth | None = None


class Inner(Struct, frozen=True, eq=False):
    """What only a run knows of a decision, for one symbol.

    `windows` by name: columns of `WindowPart` after the weight, (cards,) each. `agreement`,
    `freshness`, `sufficiency` (cards,). `inputs` of each card; `needs` says more of them.
    """

    windows: dict[str, dict[str, Array]]
    agreement: Array
    freshness: Array
    sufficiency: Array
    inputs: tuple[tuple[str, ...], ...]
    needs: dict[str, NeedPart]


class Facts(Struct, frozen=True, eq=False):
    """A decision as both sources know it; `place` is the symbol's in arrays over symbols.

    `categories` (ids) and `cards` (id, category) are in the order of `parts`.
    """

    symbol: str
    mode: str
    ts: int
    place: int
    parts: Composition
    weights: Weights
    score: Small
    confidence: Small
    conflicted: Mask
    gain: float
    conviction: float
    decision: str
    state: str
    agreement: float | None
    sides: dict[str, int | None]
    window_weights: dict[str, float]
    categories: tuple[str, ...]
    category_state: tuple[str, ...]
    cards: tuple[tuple[str, str], ...]
    inner: Inner | None = None
    worth: Worth | None = None

    @property
    def bias(self) -> float | None:
        return known(self.parts.bias[self.place])

    @property
    def whole(self) -> float:
        """Sum of prior |weight| over the cards the symbol can have."""
        return float(np.abs(self.weights.prior).sum(axis=0)[self.place])


def facts_of(found: Rebuilt) -> Facts:
    """What the store has of a decision."""
    row, catalogue = found.composite, found.whole.version.catalogue
    return Facts(
        symbol=found.symbol, mode=found.mode, ts=row.ts, place=found.place, parts=found.parts,
        weights=found.weights, score=found.whole.scores, confidence=found.whole.confidence,
        conflicted=found.whole.conflicted, gain=found.gain, conviction=row.conviction,
        decision=row.decision, state=row.state, agreement=row.agreement, sides=row.windows,
        window_weights=catalogue.windows[found.mode], categories=catalogue.categories,
        category_state=found.category_state,
        cards=tuple((card.id, card.category) for card in catalogue.cards),
    )  # fmt: skip


def stored(reader: Reader, symbol: str, mode: str, at: int) -> Facts | None:
    """The decision in force at `at`; None where there is none; raises StoreError as rebuild."""
    found = rebuild(reader, symbol, mode, at)
    return None if found is None else facts_of(found)


def card_points(facts: Facts) -> dict[str, float | None]:
    """Bias points by card that the symbol can have, by the rule of composite.py."""
    s, bias, whole = facts.place, facts.bias, facts.whole
    total = float(facts.parts.total[s])
    out: dict[str, float | None] = {}
    for n, (id, _) in enumerate(facts.cards):
        if not facts.weights.can_have[n, s]:
            continue
        part = float(facts.parts.contribution[n, s]) / whole if whole > 0 else 0.0
        if bias is None or facts.score[n, s] == ABSENT:
            out[id] = None
        else:
            out[id] = 100 * facts.gain * part if abs(total) < FLAT else bias * part / total
    return out


def line_points(facts: Facts) -> dict[str, float | None]:
    """Bias points by context line."""
    return {name: known(points[facts.place]) for name, points in facts.parts.lines.items()}


def category_points(facts: Facts) -> dict[str, float | None]:
    """Bias points by category."""
    points = facts.parts.points[:, facts.place]
    return {id: known(x) for id, x in zip(facts.categories, points, strict=True)}


def explain(facts: Facts, at: int, mode_of_data: ModeOfData, origin: str) -> Explanation:
    """The whole tree of a decision, `at` being the instant that was asked for."""
    s, parts = facts.place, facts.parts
    cards = _cards(facts)
    lines = (LinePart(name, points) for name, points in line_points(facts).items())
    return Explanation(
        symbol=facts.symbol, mode=facts.mode, ts=facts.ts, at=at, mode_of_data=mode_of_data,
        source="store" if facts.inner is None else "run", origin=origin, bias=facts.bias,
        total=float(parts.total[s]), gain=facts.gain, whole=facts.whole,
        conviction=facts.conviction, decision=facts.decision, state=facts.state,
        agreement=facts.agreement, agreement_by_window=facts.sides,
        coverage=float(parts.coverage[s]), available=int(parts.available[s]),
        possible=int(parts.possible[s]), lines=tuple(sorted(lines, key=_largest)),
        categories=_categories(facts, cards),
        notes=(STORED,) if facts.inner is None else (), worth=facts.worth,
    )  # fmt: skip


def _categories(facts: Facts, cards: dict[str, list[CardPart]]) -> tuple[CategoryPart, ...]:
    s, parts, names = facts.place, facts.parts, {c.id: c.name for c in CATEGORIES}
    found = [
        CategoryPart(
            id=id, name=names.get(id, id), points=points,
            score=known(parts.category_score[n, s]), state=facts.category_state[n],
            weight=float(facts.weights.category[n, s]),
            available=int(parts.category_available[n, s]),
            possible=int(parts.category_total[n, s]), cards=tuple(cards[id]),
        )
        for n, (id, points) in enumerate(category_points(facts).items())
    ]  # fmt: skip
    return tuple(sorted(found, key=_largest))


def _largest(part: CategoryPart | CardPart | LinePart) -> tuple[bool, float]:
    """What has points by their size, then what has none."""
    return part.points is None, -abs(part.points or 0.0)


def _cards(facts: Facts) -> dict[str, list[CardPart]]:
    """Each category's cards, the largest first."""
    points, there = card_points(facts), {card.id: card for card in registry()}
    out: dict[str, list[CardPart]] = {id: [] for id in facts.categories}
    for n, (id, category) in enumerate(facts.cards):
        out[category].append(_card(facts, n, points.get(id), there.get(id)))
    return {id: sorted(cards, key=_largest) for id, cards in out.items()}


def _card(facts: Facts, n: int, points: float | None, card: Card | None) -> CardPart:
    s, inner, id = facts.place, facts.inner, facts.cards[n][0]
    there = bool(facts.score[n, s] != ABSENT)
    torn = bool(facts.conflicted[n, s])
    score = float(facts.score[n, s]) / STEPS if there else None

    def of_run(name: str) -> float | None:
        return known(getattr(inner, name)[n]) if inner is not None and there else None

    return CardPart(
        id=id, name=card.name if card else id, possible=bool(facts.weights.can_have[n, s]),
        available=there, points=points,
        contribution=float(facts.parts.contribution[n, s]), score=score,
        strength=None if score is None else abs(score) * (0.5 if torn else 1.0), conflicted=torn,
        confidence=float(facts.confidence[n, s]) / STEPS if there else None,
        agreement=of_run("agreement"), freshness=of_run("freshness"),
        sufficiency=of_run("sufficiency"), weight=float(facts.weights.card[n, s]),
        scale=card.scale if card else None, formula=card.formula if card else "",
        source=card.source if card else "", windows=_windows(facts, n),
        needs=_needs(facts, n, card),
    )  # fmt: skip


def _windows(facts: Facts, n: int) -> tuple[WindowPart, ...]:
    if facts.inner is None:
        return tuple(WindowPart(name, weight) for name, weight in facts.window_weights.items())
    columns = facts.inner.windows
    return tuple(
        WindowPart(name, weight, **{key: known(x[n]) for key, x in columns[name].items()})
        for name, weight in facts.window_weights.items()
    )


def _needs(facts: Facts, n: int, card: Card | None) -> tuple[NeedPart, ...]:
    if facts.inner is None:
        return tuple(NeedPart(need) for need in (inputs_of(card) if card else ()))
    return tuple(facts.inner.needs[need] for need in facts.inner.inputs[n])


class Moves(Struct, frozen=True):
    """What each part gave now minus then; lines and categories add up to `points`.

    `cards` by category add up to its points. As JSON the fields are its keys; each change is
    {id, now, then, points}, the largest first.
    """

    symbol: str
    mode: str
    mode_of_data: ModeOfData
    source: Literal["store", "run"]
    origin: str
    ts: int
    since: int
    now: float
    then: float
    points: float
    rule: str
    lines: tuple[Change, ...]
    categories: tuple[Change, ...]
    cards: dict[str, tuple[Change, ...]]


RULE = "a part's points now minus its points then; points are bias x the part's share of S'"


def moved(now: Facts, then: Facts, mode_of_data: ModeOfData, origin: str) -> Moves | None:
    """Why the bias moved; None where one of the two had no bias."""
    if now.bias is None or then.bias is None:
        return None
    category = {**dict(then.cards), **dict(now.cards)}
    by_category: dict[str, list[Change]] = {id: [] for id in (*now.categories, *then.categories)}
    for change in changes(card_points(now), card_points(then)):
        by_category[category[change.id]].append(change)
    return Moves(
        symbol=now.symbol, mode=now.mode, mode_of_data=mode_of_data,
        source="store" if now.inner is None else "run", origin=origin, ts=now.ts,
        since=then.ts, now=now.bias, then=then.bias, points=now.bias - then.bias, rule=RULE,
        lines=tuple(changes(line_points(now), line_points(then))),
        categories=tuple(changes(category_points(now), category_points(then))),
        cards={id: tuple(found) for id, found in by_category.items()},
    )  # fmt: skip
