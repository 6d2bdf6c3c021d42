"""One writer per database or folder: an advisory lock whose file says who holds it."""

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from engine.clock import NS
from engine.store.errors import StoreError


class Holder(Struct, frozen=True):
    """The process that writes; `started` in ns."""

    pid: int
    started: int

    def __str__(self) -> str:
        if not self.started:
            return f"process {self.pid}"
        when = datetime.fromtimestamp(self.started // NS, UTC)
        return f"process {self.pid}, started {when:%Y-%m-%d %H:%M:%S} UTC"


class Locked(StoreError):
    """Another process writes; `holder` is None when it has not said who it is."""

    def __init__(self, path: Path, holder: Holder | None, advice: str) -> None:
        self.holder = holder
        super().__init__(f"{path} is being written by {holder or 'another process'}; {advice}")


class WriterLock:
    """The lock on `path`, held until `release` or the end of the process."""

    def __init__(self, path: Path, started: int, advice: str) -> None:
        """Take the lock. Raises Locked with `advice`, StoreError where locking is impossible."""
        self._file = _open(lock_path(path))
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = Holder(pid=os.getpid(), started=started)
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, msgspec.json.encode(mine), 0)
        except BlockingIOError:
            os.close(self._file)
            raise Locked(path, _read(lock_path(path)), advice) from None
        except OSError as error:
            os.close(self._file)
            raise StoreError(f"{path} cannot be locked ({error.strerror})") from None

    def release(self) -> None:
        """Let the next writer in; the file stays, so that nobody locks a deleted one."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def lock_path(path: Path) -> Path:
    """The sidecar of a database; inside a folder, a hidden file of it."""
    return path / ".lock" if path.is_dir() else path.with_name(path.name + ".lock")


def holder(path: Path) -> Holder | None:
    """Who writes `path` now; None when nobody does."""
    sidecar = lock_path(path)
    try:
        file = os.open(sidecar, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(sidecar)
    finally:
        os.close(file)
    return None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StoreError(f"{path} cannot be written ({error.strerror})") from None


def _read(path: Path) -> Holder | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None
