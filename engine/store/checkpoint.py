"""The newest state of an engine as one row: named arrays and values, compressed, nothing else.

It holds data alone: no class and no code is named in it, and what is read is checked against the
types and shapes that the reader expects. A row that does not fit is no state.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import zstandard
from msgspec import Struct
from numpy.typing import NDArray

from engine.store.schema import open_readonly

if TYPE_CHECKING:
    import aiosqlite

FORMAT = 1
LEVEL = 1
# Bytes of an array worked on at once.
BLOCK = 4 << 20
# More than any part of an engine's state; a damaged row must not ask for all memory.
LARGEST = 1 << 30
FEW_ROWS = 16
# How the rows of a block stand beside each other: differences to the row before, as numbers or,
# where those would be rounded, as bit patterns.
PLAIN, SUMS, BITS = "", "sums", "bits"
Part = NDArray[Any] | bytes
_INSERT = """INSERT OR REPLACE INTO checkpoint (id, ts, format, fingerprint, whole, body)
             VALUES (1, ?, ?, ?, ?, ?)"""


class Damaged(Exception):
    """What was read is no checkpoint, or one of something else."""


class Checkpoint(Struct, frozen=True, eq=False):
    """State as of `ts` (ns); `fingerprint` of what it was made with, `body` of `pack`.

    `whole`: all history that is asked for at a start had come by then.
    """

    ts: int
    fingerprint: str
    whole: bool
    body: bytes


class Entry(Struct, frozen=True, array_like=True):
    """A part in the body: its name, dtype ('' for bytes), shape, lengths of its blocks, how."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    blocks: tuple[int, ...]
    how: str = PLAIN


# -- body ----------------------------------------------------------------------------------


def pack(parts: Iterable[tuple[str, Part]]) -> bytes:
    """Parts as a body; takes them one by one, so that the caller may let go of each."""
    compress = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress
    entries, bodies = [], []
    for name, part in parts:
        if isinstance(part, bytes):
            blocks, entry = [compress(part)], ("", (len(part),), PLAIN)
        else:
            how = _how(name, part)
            blocks = [compress(_written(rows, how)) for rows in _blocks(part)]
            entry = part.dtype.str, part.shape, how
        dtype, shape, how = entry
        entries.append(Entry(name, dtype, shape, tuple(map(len, blocks)), how))
        bodies += blocks
    head = msgspec.msgpack.encode(entries)
    return b"".join([len(head).to_bytes(4, "little"), head, *bodies])


class Body:
    """Parts of a body by name. Raises Damaged."""

    def __init__(self, body: bytes) -> None:
        length = int.from_bytes(body[:4], "little")
        try:
            entries = msgspec.msgpack.decode(body[4 : 4 + length], type=list[Entry])
        except msgspec.DecodeError as error:
            raise Damaged(f"its index cannot be read ({error})") from None
        at, self._entries = 4 + length, {}
        for entry in entries:
            self._entries[entry.name] = entry, at
            at += sum(entry.blocks)
        if at != len(body) or any(n < 0 for e in entries for n in (*e.blocks, *e.shape)):
            raise Damaged(f"it is {len(body)} bytes long, not {at}")
        self._body = memoryview(body)
        self._unpack = zstandard.ZstdDecompressor().decompress

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        return list(self._entries)

    def data(self, name: str) -> bytes:
        """A part of bytes."""
        entry, at = self._find(name, "")
        blocks = list(self._read(entry, at, [prod(entry.shape)]))
        return blocks[0]

    def array(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...] | None) -> NDArray[Any]:
        """A part that is an array of this dtype and, where given, shape."""
        entry, at = self._find(name, dtype.str)
        if shape is not None and entry.shape != shape:
            raise Damaged(f"{name} is {entry.shape}, not {shape}")
        if prod(entry.shape) * dtype.itemsize > LARGEST:
            raise Damaged(f"{name} is too large")
        out = np.empty(entry.shape, dtype)
        rows = list(_blocks(out))
        for block, raw in zip(rows, self._read(entry, at, [b.nbytes for b in rows]), strict=True):
            _read_into(block, raw, entry.how)
        return out

    def dtype(self, name: str) -> np.dtype[Any]:
        """Of numbers alone: nothing else is ever read."""
        entry = self._entries[name][0]
        try:
            dtype = np.dtype(entry.dtype)
        except TypeError:
            raise Damaged(f"{name} is of no known type") from None
        if dtype.kind not in "biuf" or dtype.str != entry.dtype:
            raise Damaged(f"{name} is no array of numbers")
        return dtype

    def _find(self, name: str, dtype: str) -> tuple[Entry, int]:
        found = self._entries.get(name)
        if found is None:
            raise Damaged(f"it has no {name}")
        if found[0].dtype != dtype:
            raise Damaged(f"{name} is of type {found[0].dtype or 'bytes'}")
        return found

    def _read(self, entry: Entry, at: int, sizes: list[int]) -> Iterator[bytes]:
        if len(sizes) != len(entry.blocks) or any(size > LARGEST for size in sizes):
            raise Damaged(f"{entry.name} has {len(entry.blocks)} blocks, not {len(sizes)}")
        for length, size in zip(entry.blocks, sizes, strict=True):
            try:
                raw = self._unpack(self._body[at : at + length], max_output_size=size)
            except (zstandard.ZstdError, MemoryError) as error:
                raise Damaged(f"{entry.name} cannot be unpacked ({error})") from None
            if len(raw) != size and (entry.how == PLAIN or len(raw) != 8):
                raise Damaged(f"{entry.name} is cut short")
            yield raw
            at += length


def _how(name: str, part: NDArray[Any]) -> str:
    if part.dtype.itemsize != 8 or part.ndim < 2 or len(part) < FEW_ROWS or not part.size:
        return PLAIN
    return SUMS if name.endswith("_cum") and _sums_are_exact(part) else BITS


def _sums_are_exact(part: NDArray[Any]) -> bool:
    # What overflows is not exact, and that is all there is to say of it.
    with np.errstate(all="ignore"):
        return all(
            _is_blank(rows)
            or np.array_equal(np.cumsum(_steps(rows), axis=0).view(np.uint64), rows.view(np.uint64))
            for rows in map(np.ascontiguousarray, _blocks(part))
        )


def _steps(rows: NDArray[Any]) -> NDArray[Any]:
    out = rows.copy()
    np.subtract(rows[1:], rows[:-1], out=out[1:])
    return out


def _blocks(part: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Views of whole rows, some megabytes each; the whole of what has no rows."""
    if not part.ndim or part.nbytes <= BLOCK:
        yield part
        return
    rows = max(1, BLOCK * len(part) // part.nbytes)
    for first in range(0, len(part), rows):
        yield part[first : first + rows]


def _written(rows: NDArray[Any], how: str) -> bytes:
    rows = np.ascontiguousarray(rows)
    if how != PLAIN and _is_blank(rows):
        return rows.reshape(-1)[:1].tobytes()
    if how == SUMS:
        rows = _steps(rows)
    elif how == BITS:
        rows = _steps(rows.view(np.uint64))
    if rows.dtype.itemsize != 8:
        return rows.tobytes()
    # Bytes of the same place beside each other: signs and exponents hardly differ.
    return np.ascontiguousarray(rows.reshape(-1).view(np.uint8).reshape(-1, 8).T).tobytes()


def _is_blank(rows: NDArray[Any]) -> bool:
    """Whether all of it is one value, as what was never written to is."""
    bits = rows.reshape(-1).view(np.uint64)
    return bool(bits[0] == bits[-1]) and bool((bits == bits[0]).all())


def _read_into(rows: NDArray[Any], raw: bytes, how: str) -> None:
    if rows.dtype.itemsize != 8:
        rows[...] = np.frombuffer(raw, rows.dtype).reshape(rows.shape)
        return
    if len(raw) == 8 < rows.nbytes:
        rows.reshape(-1).view(np.uint64).fill(int.from_bytes(raw, "little"))
        return
    flat = rows.reshape(-1).view(np.uint8).reshape(-1, 8)
    flat[...] = np.frombuffer(raw, np.uint8).reshape(8, -1).T
    if how == SUMS:
        np.cumsum(rows, axis=0, out=rows)
    elif how == BITS:
        whole = rows.view(np.uint64)
        np.cumsum(whole, axis=0, dtype=np.uint64, out=whole)


# -- row -----------------------------------------------------------------------------------


async def write(database: "aiosqlite.Connection", checkpoint: Checkpoint) -> None:
    """Put it in the place of the one before, in one transaction; raises sqlite3.Error."""
    c = checkpoint
    await database.execute_fetchall(_INSERT, (c.ts, FORMAT, c.fingerprint, c.whole, c.body))
    await database.commit()


def read(path: Path) -> Checkpoint | None:
    """That of the history at `path`, None where there is none; raises Damaged, StoreError."""
    sql = "SELECT ts, format, fingerprint, whole, body FROM checkpoint"
    with open_readonly(path) as database:
        try:
            row = database.execute(sql).fetchone()
        except sqlite3.Error as error:
            raise Damaged(f"it cannot be read ({error})") from None
    if row is None:
        return None
    ts, known, fingerprint, whole, body = row
    if known != FORMAT:
        raise Damaged(f"it is of format {known}, not {FORMAT}")
    if not isinstance(body, bytes) or not isinstance(ts, int) or not isinstance(fingerprint, str):
        raise Damaged("its row is of other types")
    return Checkpoint(ts, fingerprint, bool(whole), body)


def sizes(body: bytes) -> Mapping[str, int]:
    """Compressed bytes by part, for measurements."""
    found = Body(body)
    return {name: sum(found._entries[name][0].blocks) for name in found.names()}
