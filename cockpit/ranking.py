"""Ranking: keeps a chosen order of rows still, so that they do not jump under the reader's eye."""

from collections.abc import Callable
from time import monotonic

from cockpit.widgets.sorting import OWN, Order, ranked
from engine.snapshot import Snapshot

AGAIN_S = 10.0


class Ranking:
    """Ranks at once when the choice changes, and then every ten seconds."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._kept: tuple[str, ...] = ()
        self._choice: tuple[object, ...] = ()
        self._at = 0.0

    def order(self, snapshot: Snapshot, order: Order, mode: str) -> tuple[str, ...]:
        """Ids of the snapshot's symbols, first to last."""
        if order == Order(OWN):
            return tuple(state.id for state in snapshot.symbols)
        now = self._now()
        choice = (order, mode, snapshot.step > 0, len(snapshot.symbols))
        if choice != self._choice or now - self._at >= AGAIN_S:
            self._kept = ranked(snapshot.symbols, order, mode)
            self._choice, self._at = choice, now
        return self._kept
