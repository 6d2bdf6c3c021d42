"""A past decision from what was stored of it, bit for bit.

What decides is kept whole: scores, confidence and conflict in the steps they were rounded to, beta,
the context lines, and by version the cards a symbol can have, weights and gain. So the same
functions on the same arrays, over all symbols at once as when it was live, make the same bias.
"""

from collections.abc import Collection
from typing import Any

import numpy as np
from msgspec import Struct

from engine.decision.composite import Composition, Weights, compose, spread_weights
from engine.decision.ladder import states
from engine.decision.timeframes import STEPS
from engine.store.errors import StoreError
from engine.store.reader import Reader
from engine.store.records import Catalogue, CompositeRow, Floats, Whole


class Rebuilt(Struct, frozen=True, eq=False):
    """One symbol's decision taken apart again.

    Arrays of `weights`, `parts` and `whole` are over all symbols, `place` is that of this one.
    `category_state` (categories,). `gain`: what turned S' into the bias.
    """

    symbol: str
    mode: str
    place: int
    composite: CompositeRow
    whole: Whole
    weights: Weights
    parts: Composition
    gain: float
    category_state: tuple[str, ...]


def rebuild(reader: Reader, symbol: str, mode: str, at: int) -> Rebuilt | None:
    """The decision in force at `at` (ns); None where there is none.

    Raises StoreError where its readings are not kept any more, or were written by a cockpit that
    did not keep enough of them.
    """
    row = reader.composite(symbol, mode, at)
    if row is None:
        return None
    whole = reader.whole(mode, row.ts)
    if whole is None or whole.version.id != row.version:
        raise StoreError(
            f"{reader.path} keeps the bias of that decision but no longer its readings; ask for a "
            "later one, or raise store.keep_days.scores for those to come"
        )
    weights, parts = take_apart(whole)
    return _rebuilt(symbol, row, whole, weights, parts)


def rebuild_all(reader: Reader, mode: str, ts: int,
                symbols: Collection[str] | None = None) -> list[Rebuilt]:  # fmt: skip
    """Every symbol (of `symbols`) that the mode decided at exactly `ts`.

    None where the readings are gone; raises StoreError as `rebuild`.
    """
    whole = reader.whole(mode, ts)
    if whole is None:
        return []
    weights, parts = take_apart(whole)
    rows = [
        (symbol, row)
        for symbol in whole.version.catalogue.symbols
        if symbols is None or symbol in symbols
        for row in reader.composites(symbol, mode, ts, ts + 1)
        if row.version == whole.version.id
    ]
    return [_rebuilt(symbol, row, whole, weights, parts) for symbol, row in rows]


def _rebuilt(symbol: str, row: CompositeRow, whole: Whole, weights: Weights,
             parts: Composition) -> Rebuilt:  # fmt: skip
    catalogue = whole.version.catalogue
    place, rules = catalogue.symbols.index(symbol), catalogue.facts["decision"]
    cuts: tuple[float, float] = tuple(rules["state_cuts"])
    state = states(100 * parts.category_score[:, place], parts.category_conflicted[:, place], cuts)
    return Rebuilt(
        symbol=symbol, mode=whole.mode, place=place, composite=row, whole=whole, weights=weights,
        parts=parts, gain=_gain(catalogue, whole.mode), category_state=tuple(state),
    )  # fmt: skip


def take_apart(whole: Whole) -> tuple[Weights, Composition]:
    """The weights in force, market-wide cards by beta, and the composition of all symbols.

    Raises StoreError for readings of a cockpit that did not keep enough to do so.
    """
    catalogue, rules = whole.version.catalogue, whole.version.catalogue.facts.get("decision", {})
    if any(card.modes is None or card.own is None for card in catalogue.cards) or not rules:
        raise StoreError(
            "that decision was written by an older cockpit, which did not keep all it rests on; "
            "replay a recording of it with --replay"
        )
    weights = _weights(catalogue, whole.mode, whole.beta / STEPS)
    parts = compose(whole.scores, whole.confidence, whole.conflicted, weights,
                    _gain(catalogue, whole.mode), rules["min_cards"], rules["min_coverage"],
                    whole.lines)  # fmt: skip
    return weights, parts


def _gain(catalogue: Catalogue, mode: str) -> float:
    return float(catalogue.facts["modes"][mode]["gain"])


def _weights(catalogue: Catalogue, mode: str, beta: Floats) -> Weights:
    exists = np.array([mode in (card.modes or ()) for card in catalogue.cards])
    can_have = catalogue.have & exists[:, None]
    member = np.array(
        [[float(card.category == c) for card in catalogue.cards] for c in catalogue.categories]
    )
    category = _category_weights(catalogue, mode)
    prior = np.array([card.prior for card in catalogue.cards])
    learned = catalogue.weights[catalogue.modes.index(mode)]
    market_wide = np.array([card.scope == "market" for card in catalogue.cards])
    scaled = np.where(market_wide[:, None], beta, 1.0)
    return Weights(
        card=spread_weights(category, learned, member, can_have) * scaled,
        prior=spread_weights(category, prior, member, can_have),
        category=category,
        member=member,
        can_have=can_have,
        own=np.array([bool(card.own) for card in catalogue.cards]),
    )


def _category_weights(catalogue: Catalogue, mode: str) -> Floats:
    """(categories, symbols) with the priors of each symbol's class."""
    own: dict[str, Any] = catalogue.facts["categories"]
    priors = [catalogue.facts["class_priors"].get(group, {}) for group in catalogue.groups]

    def weight(category: str) -> float:
        said = own.get(category, 1.0)
        return float(said[mode] if isinstance(said, dict) else said)

    return np.array(
        [[weight(c) * prior.get(c, 1.0) for prior in priors] for c in catalogue.categories]
    )
