"""Which executions of a tape closed a position by force, for venues that only tag them."""

from collections.abc import Sequence

from engine.sim.market.play import Closed
from engine.sim.market.tape import Print


def forced_ids(prints: Sequence[Print], closed: Sequence[Closed]) -> set[int]:
    """Ids of the executions among `prints` that the liquidations `closed` are made of."""
    found: set[int] = set()
    for one in closed:
        end = _last(prints, one, found)
        left = one.size
        while end >= 0 and left > 0:
            found.add(prints[end].id)
            left -= prints[end].size
            end -= 1
    return found


def _last(prints: Sequence[Print], one: Closed, taken: set[int]) -> int:
    """Where a liquidation's last execution stands; -1 where it is not among them."""
    told = one.ms, one.price, not one.long
    for at in range(len(prints) - 1, -1, -1):
        fill = prints[at]
        if (fill.ms, fill.price, fill.buy) == told and fill.id not in taken:
            run = [p for p in prints[: at + 1] if p.ms == one.ms and p.buy is not one.long]
            if _adds_up(run, one.size):
                return at
    return -1


def _adds_up(run: Sequence[Print], size: int) -> bool:
    """Whether the last executions of a run are of that size together."""
    total = 0
    for fill in reversed(run):
        total += fill.size
        if total >= size:
            break
    return total == size
