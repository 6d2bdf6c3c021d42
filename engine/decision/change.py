"""Why a bias moved: what each part gave now minus what it gave then.

The points of a part are bias x its share of S' (composite.py), and add up to the bias both now and
then; so the differences add up to the change of the bias exactly, tanh or no tanh. A part that says
the same as before can gain or lose points when the others move S' along the tanh.
"""

from collections.abc import Mapping

from msgspec import Struct


class Change(Struct, frozen=True):
    """A part's points now and then, None where it had none, and what it added in between."""

    id: str
    now: float | None
    then: float | None
    points: float


def changes(now: Mapping[str, float | None], then: Mapping[str, float | None]) -> list[Change]:
    """Every part of either, the largest change first; a part that was not there gave nothing."""
    ids = list(dict.fromkeys([*now, *then]))
    found = [
        Change(id, now.get(id), then.get(id), (now.get(id) or 0.0) - (then.get(id) or 0.0))
        for id in ids
    ]
    return sorted(found, key=lambda change: -abs(change.points))
