"""In a real terminal: a stalled reader, a closed session, a crash, job control.

Run with -s to see the lag that was measured.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

pytestmark = pytest.mark.slow
CHILD = Path(__file__).parent / "child.py"
SIZE = (160, 48)
# Private sequences that pyte would print: kitty keys, mode queries.
FOREIGN = re.compile(rb"\x1b\[[<>=]\d*u|\x1b\[\?\d+\$p")


class Terminal:
    """A child cockpit on a pty; the test is the terminal."""

    def __init__(self, folder: Path, *how: str, size: tuple[int, int] = SIZE) -> None:
        self.folder = folder
        self.master, slave = pty.openpty()
        self.resize(size, slave)
        self.attributes = termios.tcgetattr(slave)
        env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.child = subprocess.Popen(
            [sys.executable, str(CHILD), str(folder), *how],
            stdin=slave, stdout=slave, stderr=slave, env=env | {"TERM": "xterm-256color"},
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        self.slave = slave
        self.output = bytearray()

    def resize(self, size: tuple[int, int], fd: int) -> None:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def read(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Read what the child writes for a while, or until a condition holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.output += os.read(self.master, 65536)
                except OSError:
                    return

    def started(self) -> None:
        self.read(15, lambda: b"BTC" in self.output)
        assert b"BTC" in self.output

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def screen(self) -> str:
        """What a terminal shows after all that was read."""
        shown = pyte.Screen(*SIZE)
        pyte.ByteStream(shown).feed(FOREIGN.sub(b"", bytes(self.output)))
        return "\n".join(line.rstrip() for line in shown.display) + "\n"

    def close(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        for fd in (self.master, self.slave):
            try:
                os.close(fd)
            except OSError:
                continue


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def make(*how: str) -> Terminal:
        opened.append(Terminal(tmp_path, *how))
        opened[-1].started()
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def ends_within(terminal: Terminal, seconds: float) -> float:
    """Seconds until the child has gone; reads on meanwhile."""
    started = time.monotonic()
    terminal.read(seconds, lambda: terminal.child.poll() is not None)
    assert terminal.child.poll() is not None, "still running"
    return time.monotonic() - started


def test_stalled_reader_neither_stalls_the_loop_nor_spoils_the_screen(
    terminal: Callable[..., Terminal],
) -> None:
    """Nobody reads for 5 s under a busy source: lag stays under 100 ms, the screen comes right.

    Ten pictures a second fill Textual's queue of 30 writes in three.
    """
    one = terminal()
    one.read(1)
    time.sleep(5)
    one.read(2)
    (one.folder / "freeze").touch()
    one.read(10, (one.folder / "screen").exists)
    one.read(0.5)
    lag = float((one.folder / "lag").read_text())
    sys.stdout.write(f"\nstalled terminal: worst loop lag {lag:.0f} ms\n")
    assert one.screen() == (one.folder / "screen").read_text()
    assert lag < 100


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(number: int, terminal: Callable[..., Terminal]) -> None:
    one = terminal()
    one.child.send_signal(number)
    assert ends_within(one, 5) < 2
    assert one.child.returncode == 0
    assert (one.folder / "flushed").exists()
    assert b"Traceback" not in one.output


def test_closed_terminal_ends_it_and_flushes(terminal: Callable[..., Terminal]) -> None:
    """An SSH session that drops: no orphan, history on disk."""
    one = terminal()
    os.close(one.slave)
    os.close(one.master)
    assert one.child.wait(timeout=2) is not None
    assert (one.folder / "flushed").exists()


def test_stop_request_in_a_stalled_terminal(terminal: Callable[..., Terminal]) -> None:
    """Leaving does not wait for a terminal that reads no more."""
    one = terminal()
    time.sleep(2)
    one.child.send_signal(signal.SIGTERM)
    assert one.child.wait(timeout=3) == 0
    assert (one.folder / "flushed").exists()


def test_quit_restores_the_terminal(terminal: Callable[..., Terminal]) -> None:
    one = terminal()
    one.press(b"q")
    assert ends_within(one, 5) < 2
    assert termios.tcgetattr(one.slave)[:4] == one.attributes[:4]
    assert b"\x1b[?1049l" in one.output
    assert b"\x1b[?25h" in one.output


def test_crash_prints_two_lines_and_no_secret(terminal: Callable[..., Terminal]) -> None:
    one = terminal("crash")
    one.press(b"x")
    ends_within(one, 5)
    left = bytes(one.output).rpartition(b"\x1b[?1049l")[2]
    said = [s for s in re.sub(rb"\x1b\[[^a-zA-Z]*[a-zA-Z]", b"", left).splitlines() if s.strip()]
    assert len(said) == 2
    assert said[0] == b"Blackperp Cockpit stopped: RuntimeError: broken [/] on purpose, 7 letters"
    assert str(one.folder / "log").encode() in said[1]
    log = (one.folder / "log").read_text()
    assert "Traceback" in log
    assert "RuntimeError" in log
    for text in (log, one.output.decode(errors="replace")):
        assert "hunter2" not in text.replace('secret = "hunter2"', "")
    assert one.child.returncode == 1
    assert (one.folder / "flushed").exists()


def test_failed_engine_keeps_the_picture(terminal: Callable[..., Terminal]) -> None:
    one = terminal("fail")
    one.read(5, lambda: b"STOPPED" in one.output)
    one.read(0.3)
    shown = one.screen()
    assert "engine stopped: ValueError: disk [full] after 7 letters" in shown.splitlines()[0]
    assert "STOPPED" in shown.splitlines()[-1]
    assert "BTC" in shown
    assert "Traceback" in (one.folder / "log").read_text()
    one.press(b"q")
    ends_within(one, 5)
    assert one.child.returncode == 0


def test_suspend_and_resume(terminal: Callable[..., Terminal]) -> None:
    """ctrl-z gives the terminal back; `fg` repaints it whole."""
    one = terminal()
    one.press(b"\x1a")
    one.read(3, lambda: b"\x1b[?1049l" in one.output)
    assert b"\x1b[?1049l" in one.output
    one.read(0.3)
    one.output.clear()
    one.child.send_signal(signal.SIGCONT)
    one.read(5, lambda: b"FIL" in one.output)
    one.read(0.1)
    assert "BTC" in one.screen()
    assert "FIL" in one.screen()
    one.press(b"q")
    ends_within(one, 5)
