"""Desk: details of the symbol an open screen shows, asked for no oftener than they change."""

import msgspec

from cockpit.widgets.scene import Scene
from engine.snapshot import Detail, SnapshotSource

# Parts that change with steps alone, and the field that each fills.
BY_STEP = {
    "readings": "readings", "levels": "levels", "liquidation_map": "clusters",
    "history": "decisions", "transitions": "transitions", "moves": "moves",
}  # fmt: skip


class Desk:
    """Keeps the last Detail; asks at most once a look, for what changes by the step after one."""

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source
        self._kept: Detail | None = None
        self._step: tuple[object, ...] = ()
        self._number = -1

    def look(self, scene: Scene, parts: frozenset[str]) -> Detail | None:
        """The detail for this scene; None where none is wanted, or none was kept when held.

        A held picture keeps its own details: others would not add up to its bias.
        """
        state = scene.current
        if not parts or state is None:
            return None
        kept, snapshot = self._kept, scene.snapshot
        if scene.paused is not None:
            own = kept is not None and kept.symbol == state.id and snapshot.number == self._number
            return kept if own else None
        step = (state.id, parts, snapshot.step)
        if kept is None or step != self._step:
            self._kept = self._source.detail(state.id, parts)
        elif snapshot.number != self._number and (moving := parts - BY_STEP.keys()):
            newer = self._source.detail(state.id, moving)
            held = {field: getattr(kept, field) for part, field in BY_STEP.items() if part in parts}
            notes = (*newer.notes, *(n for n in kept.notes if n.partition(":")[0] in BY_STEP))
            self._kept = msgspec.structs.replace(newer, **held, notes=notes)
        self._step, self._number = step, snapshot.number
        return self._kept
