"""Flash: digits that changed are bright for one paint."""

from rich.segment import Segment
from rich.style import Style

from cockpit.widgets.text import Cell


def flashed(before: Cell, after: Cell, bright: Style) -> Cell:
    """The cell with those digits bright that were another character before.

    Only the last run of the cell, its number, is looked at; the cell itself where none changed.
    """
    if not before or not after:
        return after
    was, (now, style, _) = before[-1].text, after[-1]
    if len(was) != len(now):
        return after
    lit = [new != old and new.isdigit() for old, new in zip(was, now, strict=True)]
    if True not in lit:
        return after
    parts, start = [], 0
    for at in range(1, len(lit) + 1):
        if at == len(lit) or lit[at] != lit[start]:
            parts.append(Segment(now[start:at], bright if lit[start] else style))
            start = at
    return (*after[:-1], *parts)
