"""Desk: details of the symbol an open screen shows, asked for no oftener than they change."""

import msgspec

from cockpit.widgets.scene import Scene
from engine.snapshot import Detail, SnapshotSource

# What changes with steps alone, and costs most.
BY_STEP = frozenset({"readings"})


class Desk:
    """Keeps the last Detail; asks at most once a look, for readings only after a step."""

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source
        self._kept: Detail | None = None
        self._step: tuple[object, ...] = ()
        self._number = -1

    def look(self, scene: Scene, parts: frozenset[str]) -> Detail | None:
        """The detail for this scene; None where none is wanted, or none was kept when held.

        A held picture keeps its details: newer ones would not add up to its bias.
        """
        state = scene.current
        if not parts or state is None:
            return None
        kept, snapshot = self._kept, scene.snapshot
        if scene.paused is not None:
            return kept if kept is not None and kept.symbol == state.id else None
        step = (state.id, parts, snapshot.step)
        if kept is None or step != self._step:
            self._kept = self._source.detail(state.id, parts)
        elif snapshot.number != self._number:
            newer = self._source.detail(state.id, parts - BY_STEP)
            self._kept = msgspec.structs.replace(newer, readings=kept.readings)
        self._step, self._number = step, snapshot.number
        return self._kept
