"""Scene: one Snapshot and how the user looks at it; all a widget is shown."""

from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property

from engine.snapshot import Alert, Composite, Detail, FeedHealth, Snapshot, SymbolState

STALE_AFTER = 15.0
# Points below which nothing can be read from a bias, its conviction or a category.
NOTHING = 0.05
NOTICE_SECONDS = {"info": 20.0, "warning": 120.0}


@dataclass(frozen=True)
class Scene:
    """`paused` seconds of held picture, None while it moves; `failure` what stopped the engine.

    `order`: ids of the rows as the user wants them; None for all that contain the filter, in the
    config's order.
    `detail` is there only where the open screen asks for one; `toasts` are alerts just made.
    """

    snapshot: Snapshot
    mode: str
    cursor: str | None = None
    filter: str = ""
    paused: float | None = None
    failure: str | None = None
    zone: tzinfo | None = None
    detail: Detail | None = None
    toasts: tuple[Alert, ...] = ()
    order: tuple[str, ...] | None = None

    @cached_property
    def rows(self) -> tuple[SymbolState, ...]:
        """What is listed, first to last."""
        if self.order is None:
            wanted = self.filter.upper()
            return tuple(s for s in self.snapshot.symbols if wanted in s.id)
        states = {state.id: state for state in self.snapshot.symbols}
        return tuple(states[id] for id in self.order if id in states)

    @cached_property
    def place(self) -> int:
        """Index of the cursor among the rows, 0 when its symbol is filtered out."""
        ids = [s.id for s in self.rows]
        return ids.index(self.cursor) if self.cursor in ids else 0

    @property
    def current(self) -> SymbolState | None:
        return self.rows[self.place] if self.rows else None

    @property
    def waiting(self) -> bool:
        """Nothing to show yet: no price and no bias; steps are taken without data too."""
        return all(
            state.price.last is None and all(found.bias is None for found in state.modes.values())
            for state in self.snapshot.symbols
        )

    @property
    def feeds(self) -> dict[str, FeedHealth]:
        return {name: f for name, f in self.snapshot.feeds.items() if f.state != "off"}

    @property
    def windows(self) -> tuple[str, ...]:
        """Windows of the active mode, shortest first."""
        for state in self.snapshot.symbols:
            if found := state.modes.get(self.mode):
                return tuple(found.agreement_by_window)
        return ()


def composite(state: SymbolState, mode: str) -> Composite | None:
    return state.modes.get(mode)


def is_warming(found: Composite) -> bool:
    """Cards have data, but not one score is worth anything yet: the bias of 0 says nothing."""
    if found.bias is None or not found.available:
        return False
    if abs(found.bias) >= NOTHING or found.conviction >= NOTHING:
        return False
    return all(abs(c.contribution or 0.0) < NOTHING for c in found.categories.values())


def is_stale(state: SymbolState) -> bool:
    """Its data is older than the cockpit calls live."""
    return state.price.age is not None and state.price.age > STALE_AFTER
