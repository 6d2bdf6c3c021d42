"""Reading the transitions of a history."""

import sqlite3

from engine.snapshot import Transition
from engine.store.rows import LEVELS

# Of one level at a time, as the key runs; context is the composite's, while it is kept.
_TRANSITIONS = """SELECT t.ts, m.name, s.name, t.level, n.name, k.name, t.side, t.price,
    t.before, t.after, c.agreement, c.coverage, c.conviction
    FROM transitions t JOIN symbols s ON s.id = t.symbol JOIN modes m ON m.id = t.mode
    JOIN labels n ON n.id = t.subject JOIN labels k ON k.id = t.kind
    LEFT JOIN composites c ON c.symbol = t.symbol AND c.mode = t.mode AND c.ts = t.ts
    WHERE s.name = ? AND t.level = ? AND t.ts >= ? AND t.ts < ?"""


def read_transitions(
    connection: sqlite3.Connection, symbol: str, start: int, end: int,
    mode: str | None = None, subject: str | None = None,
) -> list[Transition]:  # fmt: skip
    """`start` <= ts < `end`, oldest first; composites before categories before cards."""
    found = []
    for level, name in enumerate(LEVELS):
        if subject in (None, name):
            rows = connection.execute(_TRANSITIONS, (symbol, level, start, end))
            found += [(*row[:3], name, *row[4:]) for row in rows if mode in (None, row[1])]
    return [Transition(*row) for row in sorted(found, key=lambda row: row[0])]
