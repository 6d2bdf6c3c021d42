"""Cards of one symbol in one mode: their points of the bias, their order, those that match."""

from collections import defaultdict
from dataclasses import dataclass

from cockpit.widgets.scene import Scene, composite
from engine.snapshot import Composite, Reading

ORDERS = ("contribution", "score", "name", "category")
WITHIN = "in:"


@dataclass(frozen=True)
class Ranked:
    """Cards to be listed, best first, those not available last; sums in bias points.

    `cards` and `points` go together; `total` is over all cards, `shown` over the listed ones.
    """

    cards: tuple[Reading, ...]
    points: tuple[float | None, ...]
    total: float | None
    shown: float | None
    count: int


def rank(scene: Scene, order: str, search: str, reverse: bool = False) -> Ranked | None:
    """The cards of the scene's symbol, the last of the order first where `reverse`.

    Cards that are not available stay last; None where there are no cards at all.
    """
    state, detail = scene.current, scene.detail
    found = composite(state, scene.mode) if state else None
    readings = detail.readings.get(scene.mode, ()) if detail is not None else ()
    if found is None or not readings:
        return None
    each = points(readings, found)
    names = {c.id: c.name for c in scene.snapshot.categories}
    pairs = [(r, p) for r, p in zip(readings, each, strict=True) if matches(r, names, search)]
    pairs.sort(key=lambda pair: sort_key(pair[0], pair[1], order))
    if reverse:
        pairs.sort(key=lambda pair: pair[0].available)
        pairs.reverse()
    known = [p for p in each if p is not None]
    shown = [p for _, p in pairs if p is not None]
    return Ranked(
        cards=tuple(r for r, _ in pairs),
        points=tuple(p for _, p in pairs),
        total=sum(known) if found.bias is not None else None,
        shown=sum(shown) if found.bias is not None else None,
        count=len(readings),
    )


def points(readings: tuple[Reading, ...], found: Composite) -> tuple[float | None, ...]:
    """Each card's contribution in bias points; None without a bias or a reading.

    One factor turns contributions into points, the same for all cards. It is taken from the
    categories' points, which holds also where the contributions cancel out.
    """
    if found.bias is None:
        return (None,) * len(readings)
    sums: defaultdict[str, float] = defaultdict(float)
    for reading in readings:
        sums[reading.category] += reading.contribution if reading.available else 0.0
    above = below = 0.0
    for category, line in found.categories.items():
        above += (line.contribution or 0.0) * sums[category]
        below += sums[category] ** 2
    factor = above / below if below else 0.0
    return tuple(r.contribution * factor if r.available else None for r in readings)


def matches(reading: Reading, names: dict[str, str], search: str) -> bool:
    """Whether a card's name, id or category contains a text; `in:ID` is one category alone."""
    wanted = search.casefold()
    if wanted.startswith(WITHIN):
        return reading.category.casefold().startswith(wanted.removeprefix(WITHIN))
    fields = (reading.name, reading.card, reading.category, names.get(reading.category, ""))
    return any(wanted in field.casefold() for field in fields)


def sort_key(reading: Reading, points: float | None, order: str) -> tuple[bool, float, str]:
    """Available cards first, then the largest whatever its sign, then the name."""
    size = 0.0
    if order == "category":
        return not reading.available, size, f"{reading.category} {1e9 - abs(points or 0.0):020.9f}"
    if order == "contribution":
        size = -abs(points or 0.0)
    elif order == "score":
        size = -abs(reading.score or 0.0)
    return not reading.available, size, reading.name.casefold()
