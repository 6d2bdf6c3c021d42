"""Names and versions as the small integers that rows carry."""

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine.store import codec
from engine.store.records import CardFact, Catalogue, Version

if TYPE_CHECKING:
    import aiosqlite

Groups = dict[str, dict[str, int]]
_TABLES = ("symbols", "modes", "categories", "cards", "labels")


class Layout(msgspec.Struct, frozen=True):
    """The part of a catalogue that is kept as JSON."""

    symbols: tuple[str, ...]
    groups: tuple[str, ...]
    modes: tuple[str, ...]
    windows: dict[str, dict[str, float]]
    categories: tuple[str, ...]
    cards: tuple[CardFact, ...]


def layout_of(catalogue: Catalogue) -> Layout:
    return Layout(**{name: getattr(catalogue, name) for name in Layout.__struct_fields__})


class Names:
    """Ids of one open database; what is new is written when it is first asked for."""

    def __init__(self) -> None:
        self.ids: Groups = {table: {} for table in _TABLES}
        self.symbols_of: dict[int, tuple[tuple[int, int, int], tuple[int, ...]]] = {}
        self._versions: dict[str, int] = {}
        self._latest: tuple[Catalogue, int] | None = None

    async def load(self, database: "aiosqlite.Connection") -> None:
        """Read every id there is."""
        for table in _TABLES:
            await self._read(database, table)
        rows = await database.execute_fetchall("SELECT digest, id, layout FROM versions")
        for digest, number, text in rows:
            self._versions[digest] = number
            self._shape(number, msgspec.json.decode(text, type=Layout))

    async def add(
        self, database: "aiosqlite.Connection", table: str, names: "set[str] | tuple[str, ...]"
    ) -> None:
        """Make sure that `names` have ids."""
        known = self.ids[table]
        new = [(name,) for name in sorted(names) if name not in known]
        if not new:
            return
        await database.executemany(f"INSERT OR IGNORE INTO {table} (name) VALUES (?)", new)
        await database.commit()
        await self._read(database, table)

    async def _read(self, database: "aiosqlite.Connection", table: str) -> None:
        rows = await database.execute_fetchall(f"SELECT name, id FROM {table}")
        self.ids[table].update((row[0], row[1]) for row in rows)

    async def version(
        self, database: "aiosqlite.Connection", catalogue: Catalogue, now: int
    ) -> int:
        """The version's id; a catalogue equal to an earlier one keeps that one's."""
        if self._latest is not None and self._latest[0] is catalogue:
            return self._latest[1]
        await self.add(database, "symbols", catalogue.symbols)
        await self.add(database, "modes", catalogue.modes)
        await self.add(database, "categories", catalogue.categories)
        await self.add(database, "cards", tuple(c.id for c in catalogue.cards))
        row = _version_row(catalogue)
        number = self._versions.get(row["digest"])
        if number is None:
            columns = ", ".join(row)
            inserted = await database.execute_insert(
                f"INSERT INTO versions (created, {columns}) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (now, *row.values()),
            )
            await database.commit()
            assert inserted is not None
            number = self._versions[row["digest"]] = int(inserted[0])
        self._shape(number, layout_of(catalogue))
        self._latest = (catalogue, number)
        return number

    def _shape(self, version: int, layout: Layout) -> None:
        shape = (len(layout.modes), len(layout.cards), len(layout.symbols))
        ids = self.ids["symbols"]
        self.symbols_of[version] = shape, tuple(ids[name] for name in layout.symbols)


def _version_row(catalogue: Catalogue) -> dict[str, Any]:
    modes, cards, symbols = catalogue.shape
    if catalogue.weights.shape != (modes, cards) or catalogue.have.shape != (cards, symbols):
        raise ValueError("the catalogue's weights or cards do not fit its modes and symbols")
    layout = msgspec.json.encode(layout_of(catalogue))
    facts = msgspec.json.encode(catalogue.facts)
    weights = np.ascontiguousarray(catalogue.weights, "<f8").tobytes()
    have = codec.pack_bits(catalogue.have)
    whole = hashlib.sha256()
    for part in (layout, facts, weights, have):
        whole.update(len(part).to_bytes(8, "little") + part)
    return {
        "digest": whole.hexdigest(),
        "catalogue": hashlib.sha256(layout).hexdigest(),
        "layout": layout.decode(),
        "facts": facts.decode(),
        "weights": weights,
        "have": have,
    }


def read_version(row: tuple[int, int, str, str, bytes, bytes]) -> Version:
    """A row of (id, created, layout, facts, weights, have)."""
    number, created, text, facts, weights, have = row
    layout = msgspec.json.decode(text, type=Layout)
    catalogue = Catalogue(
        **msgspec.structs.asdict(layout),
        facts=msgspec.json.decode(facts),
        weights=np.frombuffer(weights, "<f8").reshape(len(layout.modes), len(layout.cards)),
        have=codec.unpack_bits(have, (len(layout.cards), len(layout.symbols))),
    )
    return Version(id=number, created=created, catalogue=catalogue)
