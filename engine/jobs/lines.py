"""Recorded input of any form as lines in receive order; knows no venue.

Accepted, line by line: `<receive ns> <json>`, our recordings (a JSON array of
`engine.feeds.feed.Frame`), cryptofeed's `{"t": ...}` and bare JSON; plain, gzip or zstd, from a
file, a folder or standard input. What cannot be read comes as a line whose `bad` says why.
"""

import base64
import heapq
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Protocol

import msgspec
import zstandard
from msgspec import Raw, Struct

STDIN = "-"
SUFFIXES = frozenset({".gz", ".zst", ".jsonl", ".ndjson", ".log"})
CHUNK = 1 << 18
# The largest frame known is a whole spot book of some megabytes.
LONGEST = 1 << 26
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


class Line(Struct, gc=False):
    """One received frame: `recv` ns or None, its bytes, and where it came from as far as known.

    `source` is the file it was read from; `bad` is the reason why it cannot be used, else empty.
    """

    recv: int | None
    data: bytes
    url: str = ""
    symbol: str | None = None
    feed: str | None = None
    connection: str = ""
    source: str = ""
    bad: str = ""


class _Recorded(Struct, gc=False, array_like=True):
    """A line of our recordings; `coding` is base64 where the data was not text."""

    recv: int
    feed: str
    connection: str
    url: str
    data: Raw
    symbol: str | None = None
    coding: str | None = None


class _Taped(Struct, gc=False):
    """A cryptofeed line; `ts` stays text because seconds as a float lose the nanoseconds."""

    t: str
    conn: str = ""
    ts: Raw = Raw(b"0")
    url: str = ""
    addr: str = ""
    data: str = ""


class _Torn(Exception):
    """The compressed stream ends early or is damaged."""


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


_recorded = msgspec.json.Decoder(_Recorded).decode
_taped = msgspec.json.Decoder(_Taped).decode
_text = msgspec.json.Decoder(str).decode


def data_files(folder: Path) -> list[Path]:
    """The recordings below a folder, by name: what ends in .gz, .zst, .jsonl, .ndjson, .log."""
    found = (p for p in folder.rglob("*") if p.suffix in SUFFIXES and not p.name.startswith("."))
    return sorted(p for p in found if p.is_file())


def read_lines(source: str | Path) -> Iterator[Line]:
    """The lines of a file, of a folder (merged by receive time) or of standard input ('-').

    Raises OSError at once when the source cannot be opened, and nothing later.
    """
    if str(source) == STDIN:
        return _lines(sys.stdin.buffer, STDIN)
    path = Path(source)
    if path.is_dir():
        return merge(data_files(path))
    return _lines(path.open("rb"), str(path))


def merge(paths: Iterable[Path]) -> Iterator[Line]:
    """The lines of several files by receive time; a line without one follows its predecessor.

    A file is opened when its first line is due, so a month of hourly files is never all open.
    """
    starts = sorted((_first_time(path), n, path) for n, path in enumerate(paths))
    waiting = starts[::-1]
    heap: list[tuple[int, int, Line, Iterator[Line]]] = []
    while waiting or heap:
        while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
            _, place, path = waiting.pop()
            lines = read_lines(path)
            if (first := next(lines, None)) is not None:
                heapq.heappush(heap, (first.recv or 0, place, first, lines))
        if heap:
            yield from _advance(heap)


def _advance(heap: list[tuple[int, int, Line, Iterator[Line]]]) -> Iterator[Line]:
    """The earliest line; its file takes its next place in the heap."""
    time, place, line, lines = heap[0]
    yield line
    following = next(lines, None)
    if following is None:
        heapq.heappop(heap)
    else:
        # A clock set back within a file must not let it overtake its own earlier lines.
        due = max(time, following.recv or 0)
        heapq.heapreplace(heap, (due, place, following, lines))


def _first_time(path: Path) -> int:
    for line in read_lines(path):
        if line.recv is not None:
            return line.recv
        if not line.bad:
            break
    return 0


def _lines(handle: IO[bytes], source: str) -> Iterator[Line]:
    addresses: dict[str, str] = {}
    try:
        for raw in _split(_chunks(handle)):
            text = raw.strip()
            if text and (line := _parse(text, addresses)) is not None:
                line.source = source
                yield line
    except _Torn as torn:
        yield Line(recv=None, data=b"", source=source, bad=str(torn))
    finally:
        if source != STDIN:
            handle.close()


def _chunks(handle: IO[bytes]) -> Iterator[bytes]:
    """Decompressed stretches; the form is told by its first bytes, so a pipe may carry any."""
    raw = _raw_chunks(handle)
    head = next(raw, b"")
    while 0 < len(head) < 4 and (more := next(raw, b"")):
        head += more
    if head.startswith(_GZIP):
        return _inflate(_gzip, head, raw)
    if head.startswith(_ZSTD):
        return _inflate(_zstd, head, raw)
    return _chain(head, raw)


def _raw_chunks(handle: IO[bytes]) -> Iterator[bytes]:
    # read1 hands over what a pipe has instead of waiting for a full chunk.
    read: Callable[[int], bytes] = getattr(handle, "read1", handle.read)
    try:
        while chunk := read(CHUNK):
            yield chunk
    except OSError as error:
        raise _Torn(f"unreadable ({error.strerror})") from None


def _chain(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from rest


def _gzip() -> _Inflater:
    return zlib.decompressobj(wbits=31)


def _zstd() -> _Inflater:
    inflater: _Inflater = zstandard.ZstdDecompressor().decompressobj()
    return inflater


def _inflate(make: Callable[[], _Inflater], head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """Every member or frame in turn; raises _Torn at the damage, after what precedes it."""
    inflater = make()
    for chunk in _chain(head, rest):
        while chunk:
            if inflater.eof:
                if not chunk.strip(b"\0"):
                    break
                inflater = make()
            try:
                yield inflater.decompress(chunk)
            except (zlib.error, zstandard.ZstdError):
                raise _Torn("damaged compression") from None
            chunk = inflater.unused_data if inflater.eof else b""
    if not inflater.eof:
        raise _Torn("torn tail")


def _split(chunks: Iterator[bytes]) -> Iterator[bytes]:
    tail = b""
    try:
        for chunk in chunks:
            lines = (tail + chunk).split(b"\n")
            tail = lines.pop()
            yield from lines
            if len(tail) > LONGEST:
                yield tail
                tail = b""
    except _Torn:
        if tail:
            yield tail
        raise
    if tail:
        yield tail


def _parse(text: bytes, addresses: dict[str, str]) -> Line | None:
    """One line; None for one that carries no data. `addresses`: urls of cryptofeed's sockets."""
    first = text[0]
    if 0x30 <= first <= 0x39:
        stamp, _, data = text.partition(b" ")
        if stamp.isdigit() and len(stamp) < 20 and data:
            return Line(recv=int(stamp), data=data)
        return _bad("no frame after the time", text)
    if first == 0x5B:
        return _parse_array(text)
    if first == 0x7B:
        return _parse_taped(text, addresses) if b'"t"' in text else Line(recv=None, data=text)
    return _bad("not a frame", text)


def _parse_array(text: bytes) -> Line:
    if not text[1:2].isdigit():
        return Line(recv=None, data=text)
    try:
        frame = _recorded(text)
        data = bytes(frame.data)
        if data[:1] == b'"':
            data = _text(data).encode()
        if frame.coding is not None:
            data = base64.b64decode(data, validate=True)
    except msgspec.ValidationError:
        return Line(recv=None, data=text)
    except ValueError:
        return _bad("torn frame", text)
    return Line(frame.recv, data, frame.url, frame.symbol, frame.feed, frame.connection)


def _parse_taped(text: bytes, addresses: dict[str, str]) -> Line | None:
    """Cryptofeed's tape, told from bare JSON that happens to have a key `t`."""
    try:
        taped = _taped(text)
        recv = _nanoseconds(bytes(taped.ts))
    except msgspec.ValidationError:
        return Line(recv=None, data=text)
    except msgspec.DecodeError:
        return _bad("torn frame", text)
    except ValueError:
        return _bad("no time", text)
    if taped.t in ("recv", "http"):
        url = taped.url or addresses.get(taped.conn, "")
        return Line(recv, taped.data.encode(), url, connection=taped.conn)
    if taped.t == "connect":
        addresses[taped.conn] = taped.addr
    return None if taped.t in ("header", "connect", "send") else Line(recv=None, data=text)


def _nanoseconds(seconds: bytes) -> int:
    whole, _, fraction = seconds.partition(b".")
    return int(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, b"0"))


def _bad(reason: str, text: bytes) -> Line:
    return Line(recv=None, data=text, bad=reason)
