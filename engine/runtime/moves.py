"""Why a bias moved since the decision before it, as a screen shows it."""

from collections.abc import Iterable

import numpy as np

from engine.cards.card import CATEGORIES, Card
from engine.decision.change import changes
from engine.decision.decide import Decision
from engine.market.view import Array
from engine.runtime.made import Made
from engine.snapshot import Move, Moved


def move(cards: tuple[Card, ...], now: Made, then: Made, s: int) -> Move | None:
    """Of one symbol between two decisions of a mode; None where either had no bias."""
    last, first = now.decision, then.decision
    if last is None or first is None:
        return None
    before, after = (float(d.parts.bias[s]) for d in (first, last))
    if np.isnan(before) or np.isnan(after):
        return None
    ids = [card.id for card in cards]
    categories = [category.id for category in CATEGORIES]
    parts = [
        *_moved("line", _lines(last, s), _lines(first, s)),
        *_moved("category", _known(categories, last.parts.points[:, s]),
                _known(categories, first.parts.points[:, s])),
    ]  # fmt: skip
    return Move(
        ts=last.ts, since=first.ts, before=before, after=after,
        parts=tuple(sorted(parts, key=lambda part: -abs(part.points))),
        cards=tuple(_moved("card", _known(ids, now.points(s)), _known(ids, then.points(s)))),
    )  # fmt: skip


def _lines(decision: Decision, s: int) -> dict[str, float]:
    return {name: float(x[s]) for name, x in decision.parts.lines.items()}


def _moved(subject: str, now: dict[str, float], then: dict[str, float]) -> Iterable[Moved]:
    return [Moved(subject, c.id, c.now, c.then, c.points) for c in changes(now, then) if c.points]


def _known(ids: list[str], points: Array) -> dict[str, float]:
    return {id: value for id, value in zip(ids, points.tolist(), strict=True) if value == value}
