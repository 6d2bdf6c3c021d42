"""Recordings: raw frames as received, in hourly files that a kill can cut anywhere.

`YYYYmmddTHH.jsonl.zst` (UTC hour of receipt) holds one JSON array a line: recv, feed, connection,
url, data, symbol as in engine.feeds.feed.Frame, and "base64" after them where the data was not
text. Any zstd tool reads it; `.idx` beside it is the time index.
"""

import os
import re
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import zstandard

from engine.clock import NS
from engine.feeds.feed import Frame
from engine.store.blocks import BlockFile, seek, walk
from engine.store.errors import StoreError
from engine.store.frames import decode_frame, encode_frame
from engine.store.lock import WriterLock
from engine.store.records import Problems

SUFFIX = ".jsonl.zst"
HOUR = 3600 * NS
BLOCK = 1 << 18
# A frame waits for at most TICK x (AGE + 1) seconds: a killed process loses less than its last one.
TICK = 0.2
AGE = 3
QUEUE_FRAMES = 200_000
QUEUE_BYTES = 64 << 20
# Times that a block which cannot be written is tried again, about two a tick.
RETRIES = 50
ADVICE = "stop it there, or name another folder with --out"


class Recorder:
    """Writes frames into `folder` from a thread of its own until `close`."""

    def __init__(self, folder: Path, level: int = 6, started: int = 0) -> None:
        """`started` (ns) lets a second recorder tell since when this one holds the folder.

        Raises Locked when another process records there, StoreError where it cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be made ({error.strerror})") from None
        self._lock = WriterLock(folder, started, ADVICE)
        self._queue: deque[Frame] = deque()
        self._put = self._taken = self._dropped = 0
        self._writer = _Writer(folder, level)
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def problems(self) -> Problems:
        """What could not be written so far, in frames (`errors`: failed writes)."""
        writer = self._writer
        return Problems(
            last=writer.last, errors=writer.errors, waiting=len(self._queue) + writer.waiting,
            lost=writer.lost, dropped=self._dropped,
        )  # fmt: skip

    @property
    def written(self) -> int:
        """Frames on disk."""
        return self._writer.written

    def put(self, frame: Frame) -> bool:
        """Hand over a frame, always from the same thread; never waits.

        False, and counted, when the queue is full or the recorder closed.
        """
        # Each side writes its own counter, so neither needs a lock.
        behind = self._put - self._taken
        if self._closed or behind >= QUEUE_BYTES or len(self._queue) >= QUEUE_FRAMES:
            self._dropped += 1
            return False
        self._put += len(frame.data)
        self._queue.append(frame)
        if behind > BLOCK:
            self._wake.set()
        return True

    def close(self) -> None:
        """Write what is queued and let the next recorder in."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        self._thread.join()
        self._lock.release()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(TICK)
            woken = self._wake.is_set()
            self._wake.clear()
            self._drain()
            if not woken:
                self._writer.tick()
        self._drain()
        self._writer.close(len(self._queue))

    def _drain(self) -> None:
        while self._queue and self._writer.add(self._queue[0]):
            self._taken += len(self._queue.popleft().data)


class _Writer:
    """Lines into blocks into hourly files; lives in the recorder's thread."""

    def __init__(self, folder: Path, level: int) -> None:
        self.last = ""
        self.errors = self.lost = self.written = 0
        self._folder = folder
        self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)
        self._file: BlockFile | None = None
        self._hour = -1
        self._lines: list[bytes] = []
        self._size = self._newest = self._age = self._tries = 0

    @property
    def waiting(self) -> int:
        return len(self._lines)

    def add(self, frame: Frame) -> bool:
        """Take a frame; False while a full block cannot be written."""
        # A clock that runs back does not reopen an earlier hour: the order of receipt stays.
        hour = max(frame.recv // HOUR, self._hour)
        full = self._lines and (hour != self._hour or self._size >= BLOCK)
        if full and not self._flush():
            return False
        if hour != self._hour:
            self._close_file()
            self._hour = hour
        try:
            line = encode_frame(frame)
        except ValueError as error:
            self._failed(f"a frame of {frame.feed} cannot be recorded ({error})", 1)
            return True
        self._lines.append(line)
        self._size += len(line)
        self._newest = max(self._newest, frame.recv)
        return True

    def tick(self) -> None:
        """Called once a TICK: no line grows old in memory."""
        if self._lines:
            self._age += 1
            if self._age >= AGE:
                self._flush()

    def close(self, behind: int) -> None:
        """Write the rest; `behind` frames could not even be taken from the queue."""
        if self._lines and not self._flush():
            behind += len(self._lines)
        self.lost += behind
        self._lines = []
        self._close_file()

    def _flush(self) -> bool:
        """Whether there is room for new lines: written, or given up after many tries."""
        try:
            if self._file is None:
                self._file = BlockFile(self._folder / file_name(self._hour * HOUR))
            block = self._compressor.compress(b"".join(self._lines))
            self._file.append(block, self._newest)
        except Exception as error:
            # Whatever it is, the thread lives on: the next frames may fare better.
            self._tries += 1
            given_up = self._tries > RETRIES
            reason = getattr(error, "strerror", None) or error
            self._failed(f"recording not written: {reason}", len(self._lines) * given_up)
            if not given_up:
                return False
        else:
            self.written += len(self._lines)
            self.last = ""
        self._lines = []
        self._size = self._newest = self._age = self._tries = 0
        return True

    def _failed(self, sentence: str, lost: int) -> None:
        self.last = sentence
        self.errors += 1
        self.lost += lost

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class FrameReader(Iterator[Frame]):
    """Frames of a recording in the order of receipt.

    `torn` counts blocks that are cut or damaged (what they still gave was used), `bad` lines that
    are no frames.
    """

    def __init__(self, paths: list[Path], start: int | None) -> None:
        self.torn = self.bad = 0
        self._frames = self._all(paths, start)

    def __next__(self) -> Frame:
        return next(self._frames)

    def _all(self, paths: list[Path], start: int | None) -> Iterator[Frame]:
        for path in paths:
            file = os.open(path, os.O_RDONLY)
            try:
                for line in self._lines(file, 0 if start is None else seek(path, file, start)):
                    try:
                        frame = decode_frame(line)
                    except ValueError:
                        self.bad += 1
                        continue
                    if start is None or frame.recv >= start:
                        yield frame
            finally:
                os.close(file)

    def _lines(self, file: int, offset: int) -> Iterator[bytes]:
        tail = b""
        for piece in walk(file, offset):
            *lines, tail = (tail + piece.data).split(b"\n")
            yield from lines
            if piece.torn:
                self.torn += 1
                tail = b""
        if tail:
            yield tail


def read(path: Path, start: int | None = None) -> FrameReader:
    """The frames of a file, or of a folder's files by hour, from `start` (ns) on.

    Raises StoreError when there is nothing to read.
    """
    if path.is_file():
        return FrameReader([path], start)
    paths = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else []
    if not paths:
        raise StoreError(f"{path}: no recording there; name a folder or a {SUFFIX} file")
    return FrameReader([p for p in paths if start is None or _may_hold(p, start)], start)


def file_name(ns: int) -> str:
    """The name of the hourly file for an instant."""
    return f"{datetime.fromtimestamp(ns // NS, UTC):%Y%m%dT%H}{SUFFIX}"


def _may_hold(path: Path, start: int) -> bool:
    """Whether a file may hold frames received at or after `start`, by its name."""
    stamp = path.name.removesuffix(SUFFIX)
    if not re.fullmatch(r"\d{8}T\d{2}", stamp):
        return True
    return file_name(start).removesuffix(SUFFIX) <= stamp
