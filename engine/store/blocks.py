"""Files of independent zstd frames ("blocks") with a time index; a cut or damage costs one block.

The index beside a file (`.idx`) holds pairs of int64, little-endian: everything before the block
at this offset was received no later than this instant. A missing pair only makes a seek land
earlier.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import zstandard
from msgspec import Struct
from numpy.typing import NDArray

from engine.store.frames import decode_frame

MAGIC = b"\x28\xb5\x2f\xfd"
FEED = 1 << 17


class Piece(Struct, gc=False):
    """Some decompressed bytes; `end` is the offset after the block they complete, if they do.

    `torn`: the block ends here because it is cut or damaged.
    """

    data: bytes
    end: int | None = None
    torn: bool = False


def walk(file: int, offset: int) -> Iterator[Piece]:
    """The blocks from `offset` on; after damage it goes on at the next block that can be found."""
    place: int | None = offset
    while place is not None and os.pread(file, 1, place):
        start, place = place, None
        for piece in _block(file, start):
            yield piece
            place = piece.end
            if piece.torn:
                place = _next_block(file, start + 1)


def _block(file: int, start: int) -> Iterator[Piece]:
    inflater = zstandard.ZstdDecompressor().decompressobj()
    place = start
    while chunk := os.pread(file, FEED, place):
        place += len(chunk)
        try:
            data = inflater.decompress(chunk)
        except zstandard.ZstdError:
            break
        if inflater.eof:
            yield Piece(data, place - len(inflater.unused_data))
            return
        if data:
            yield Piece(data)
    yield Piece(b"", torn=True)


def _next_block(file: int, place: int) -> int | None:
    while len(chunk := os.pread(file, FEED, place)) >= len(MAGIC):
        if (found := chunk.find(MAGIC)) >= 0:
            return place + found
        place += len(chunk) - len(MAGIC) + 1
    return None


def index_path(path: Path) -> Path:
    return path.with_name(path.name + ".idx")


def read_index(path: Path) -> NDArray[np.int64]:
    """The pairs (N, 2) of a file's index, none where there is no index."""
    try:
        raw = index_path(path).read_bytes()
    except OSError:
        raw = b""
    return np.frombuffer(raw[: len(raw) // 16 * 16], "<i8").reshape(-1, 2)


def seek(path: Path, file: int, start: int) -> int:
    """The offset of a block before which nothing was received at or after `start`."""
    pairs = read_index(path)
    before = int(np.searchsorted(pairs[:, 0], start, "left")) - 1
    offset = int(pairs[before, 1]) if before >= 0 else 0
    return offset if os.pread(file, len(MAGIC), offset) == MAGIC else 0


class BlockFile:
    """A file open for appending blocks; whoever opens it holds the folder's lock."""

    def __init__(self, path: Path) -> None:
        """Go on where an earlier recorder ended, without the torn rest it may have left.

        Raises OSError.
        """
        self._data = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._index = -1
        try:
            self._index = os.open(index_path(path), os.O_RDWR | os.O_CREAT, 0o644)
            self._end, self._newest, pairs = _resume(path, self._data)
            self._pairs = 16 * pairs
            os.ftruncate(self._data, self._end)
            os.ftruncate(self._index, self._pairs)
        except OSError:
            self.close()
            raise

    def append(self, block: bytes, newest: int) -> None:
        """Write a block whose newest frame is of that instant.

        Raises OSError, the file being as it was.
        """
        _write(self._data, block, self._end)
        # The data is safe without its index; a seek only takes longer.
        with suppress(OSError):
            _write(self._index, np.array([self._newest, self._end], "<i8").tobytes(), self._pairs)
            self._pairs += 16
        self._end += len(block)
        self._newest = max(self._newest, newest)

    def close(self) -> None:
        for file in (self._data, self._index):
            if file >= 0:
                os.close(file)


def _write(file: int, data: bytes, place: int) -> None:
    done = 0
    try:
        while done < len(data):
            done += os.pwrite(file, data[done:], place + done)
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, place)
        raise


def _resume(path: Path, file: int) -> tuple[int, int, int]:
    """Where the last whole block ends, the newest instant up to there, valid index pairs."""
    pairs = read_index(path)
    size = os.fstat(file).st_size
    pairs = pairs[pairs[:, 1] < size]
    newest = 0
    end = 0
    if len(pairs):
        newest, end = (int(value) for value in pairs[-1])
    tail = b""
    for piece in walk(file, end):
        lines = (tail + piece.data).split(b"\n")
        tail = b"" if piece.torn else lines.pop()
        newest = max(newest, _newest(lines))
        end = piece.end or end
    return end, newest, int(np.sum(pairs[:, 1] < end)) if end else 0


def _newest(lines: list[bytes]) -> int:
    newest = 0
    for line in lines:
        with suppress(ValueError):
            newest = max(newest, decode_frame(line).recv)
    return newest
