"""Blobs of the history: int8 series as compressed deltas, readings of a decision; all exact."""

import numpy as np
import zstandard
from numpy.typing import NDArray

from engine.store.records import Bytes, Flags, Floats, Integers

# Deltas of one chunk are a few kilobytes of near-noise: higher levels cost time and gain nothing.
LEVEL = 3
_FORMAT = b"\x01"


class CodecError(ValueError):
    """A blob that is not what was written."""


def pack_chunk(steps: Bytes) -> bytes:
    """int8 (T, ...) as wrapping differences along time, one series after the other."""
    series = np.ascontiguousarray(steps.reshape(len(steps), -1).T).view(np.uint8)
    delta = series.copy()
    delta[:, 1:] -= series[:, :-1]
    return _compress(delta.tobytes())


def unpack_chunk(blob: bytes, length: int) -> Bytes:
    """All series of a chunk of `length` steps, (T, series); raises CodecError."""
    delta = _deltas(blob, length)
    series = np.cumsum(delta, axis=1, dtype=np.uint8)
    return np.ascontiguousarray(series.T).view(np.int8)


def unpack_series(blob: bytes, length: int, place: int) -> Bytes:
    """One series of a chunk, (T,); raises CodecError."""
    delta = _deltas(blob, length)
    if not 0 <= place < len(delta):
        raise CodecError(f"no series {place} in a chunk of {len(delta)}")
    return np.cumsum(delta[place], dtype=np.uint8).view(np.int8)


def _deltas(blob: bytes, length: int) -> NDArray[np.uint8]:
    raw = _decompress(blob)
    if length < 1 or len(raw) % length:
        raise CodecError(f"{len(raw)} bytes are no chunk of {length} steps")
    return np.frombuffer(raw, np.uint8).reshape(-1, length)


def pack_times(times: list[int]) -> bytes:
    """Instants of a chunk's steps."""
    return _compress(np.diff(np.asarray(times, "<i8"), prepend=np.int64(0)).tobytes())


def unpack_times(blob: bytes) -> NDArray[np.int64]:
    """Raises CodecError."""
    raw = _decompress(blob)
    if len(raw) % 8:
        raise CodecError(f"{len(raw)} bytes are no times")
    return np.cumsum(np.frombuffer(raw, "<i8"), dtype=np.int64)


def pack_readings(confidence: Bytes, conflicted: Flags, beta: Integers, lines: Floats) -> bytes:
    """confidence, conflicted (C, S), beta (S,), lines (L, S) in one blob."""
    parts = (
        np.ascontiguousarray(confidence, np.int8).tobytes(),
        np.packbits(conflicted).tobytes(),
        np.ascontiguousarray(beta, "<i2").tobytes(),
        np.ascontiguousarray(lines, "<f8").tobytes(),
    )
    return _compress(b"".join(parts))


def unpack_readings(
    blob: bytes, cards: int, symbols: int, lines: int
) -> tuple[Bytes, Flags, NDArray[np.int16], Floats]:
    """What pack_readings was given; raises CodecError."""
    raw = _decompress(blob)
    cells = cards * symbols
    ends = np.cumsum([cells, -(-cells // 8), 2 * symbols, 8 * lines * symbols]).tolist()
    if len(raw) != ends[-1]:
        raise CodecError(f"{len(raw)} bytes of readings where {ends[-1]} belong")
    confidence = np.frombuffer(raw[: ends[0]], np.int8).reshape(cards, symbols)
    bits = np.frombuffer(raw[ends[0] : ends[1]], np.uint8)
    conflicted = np.unpackbits(bits, count=cells).astype(bool).reshape(cards, symbols)
    beta = np.frombuffer(raw[ends[1] : ends[2]], "<i2")
    return (
        confidence,
        conflicted,
        beta,
        np.frombuffer(raw[ends[2] :], "<f8").reshape(lines, symbols),
    )


_WINDOW = {0: 0, 1: 1, -1: 2}
_SIGN: tuple[int | None, ...] = (0, 1, -1, None)


def pack_windows(signs: list[int]) -> int:
    """Signs by window, two bits each; what is not -1, 0, +1 is no data."""
    packed = 0
    for place, sign in enumerate(signs):
        packed |= _WINDOW.get(sign, 3) << (2 * place)
    return packed


def unpack_windows(packed: int, count: int) -> list[int | None]:
    return [_SIGN[packed >> (2 * place) & 3] for place in range(count)]


def pack_bits(flags: Flags) -> bytes:
    return np.packbits(flags).tobytes()


def unpack_bits(blob: bytes, shape: tuple[int, int]) -> Flags:
    """Raises CodecError."""
    count = shape[0] * shape[1]
    if len(blob) != -(-count // 8):
        raise CodecError(f"{len(blob)} bytes where {-(-count // 8)} belong")
    return np.unpackbits(np.frombuffer(blob, np.uint8), count=count).astype(bool).reshape(shape)


def _compress(raw: bytes) -> bytes:
    return _FORMAT + zstandard.ZstdCompressor(level=LEVEL).compress(raw)


def _decompress(blob: bytes) -> bytes:
    if blob[:1] != _FORMAT:
        raise CodecError("unknown form of blob")
    try:
        raw: bytes = zstandard.ZstdDecompressor().decompress(blob[1:])
    except zstandard.ZstdError as error:
        raise CodecError(str(error)) from None
    return raw
