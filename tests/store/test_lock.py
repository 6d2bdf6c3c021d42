import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.store.errors import StoreError
from engine.store.lock import Holder, Locked, WriterLock, holder, lock_path

STARTED = 1_795_000_000_000_000_000
HOLD = """
import sys
from pathlib import Path
from engine.store.lock import WriterLock
lock = WriterLock(Path(sys.argv[1]), 1_795_000_000_000_000_000, "")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_writer_is_told_who_holds_it_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(Locked) as refused:
            WriterLock(path, STARTED, "run `attach`")
        assert holder(path) == Holder(other.pid, STARTED)
        other.kill()
    assert str(refused.value) == (
        f"{path} is being written by process {other.pid}, started 2026-11-18 11:06:40 UTC; "
        "run `attach`"
    )
    assert refused.value.holder == Holder(other.pid, STARTED)
    WriterLock(path, STARTED, "").release()


def test_the_same_process_cannot_write_twice_either(tmp_path: Path) -> None:
    first = WriterLock(tmp_path / "h.db", STARTED, "")
    with pytest.raises(Locked, match=f"process {os.getpid()}"):
        WriterLock(tmp_path / "h.db", STARTED, "")
    first.release()
    first.release()
    WriterLock(tmp_path / "h.db", STARTED, "").release()


def test_nobody_holds_what_was_released(tmp_path: Path) -> None:
    assert holder(tmp_path / "h.db") is None
    WriterLock(tmp_path / "h.db", STARTED, "").release()
    assert holder(tmp_path / "h.db") is None


def test_a_folder_is_locked_by_a_hidden_file(tmp_path: Path) -> None:
    assert lock_path(tmp_path) == tmp_path / ".lock"
    lock = WriterLock(tmp_path, 0, "stop it there")
    with pytest.raises(Locked, match=rf"by process {os.getpid()}; stop it there"):
        WriterLock(tmp_path, 0, "stop it there")
    lock.release()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        WriterLock(tmp_path / "none" / "h.db", 0, "")
