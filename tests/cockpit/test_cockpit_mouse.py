"""`--no-mouse` leaves the mouse to the terminal on live, demo and replay; clicks on the bars."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

MAIN = "import sys; from cockpit.cli import main; main()"
# Textual asks the terminal for its mouse with these.
TAKEN = (b"\x1b[?1000h", b"\x1b[?1003h", b"\x1b[?1015h", b"\x1b[?1006h")
FRAME = '5 {"e":"aggTrade","E":2,"T":1,"s":"BTCUSDT","a":1,"p":"1","q":"2","m":true}\n'
# Nobody listens there: the live market needs none for its screen.
NOWHERE = """\
feeds: {binance: {urls: {public: "ws://127.0.0.1:9", market: "ws://127.0.0.1:9",
        rest: "http://127.0.0.1:9"}}}
"""


def written_by(folder: Path, *arguments: str) -> bytes:
    """All that a cockpit on a pty of its own writes until it has shown its first picture."""
    (folder / "mine.yaml").write_text(NOWHERE, encoding="utf-8")
    everywhere = ("--config", str(folder / "mine.yaml"), "--log", str(folder / "log"),
                  "--db", str(folder / "history.db"))  # fmt: skip
    master, slave = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR",)}
    child = subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments, *everywhere],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env=env | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
    )  # fmt: skip
    os.close(slave)
    out = bytearray()
    end = time.monotonic() + 60
    try:
        while b"BLACKPERP" not in out and time.monotonic() < end:
            if select.select([master], [], [], 0.2)[0]:
                out += os.read(master, 65536)
        while select.select([master], [], [], 0.5)[0] and len(out) < 200_000:
            out += os.read(master, 65536)
            if b"feeds" in out:
                break
    finally:
        child.send_signal(signal.SIGTERM)
        stop = time.monotonic() + 20
        while child.poll() is None and time.monotonic() < stop:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    os.read(master, 65536)
                except OSError:
                    break
        child.wait(timeout=5)
        os.close(master)
    assert b"BLACKPERP" in out, bytes(out[-500:])
    return bytes(out)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["live", "demo", "replay"])
def test_no_mouse_is_asked_for(command: str, tmp_path: Path) -> None:
    recording = tmp_path / "in.log"
    recording.write_text(FRAME, encoding="utf-8")
    arguments = {"live": ["--feeds", "binance"], "demo": ["demo", "--rate", "0.05"],
                 "replay": ["replay", str(recording)]}[command]  # fmt: skip
    silent = written_by(tmp_path, *arguments, "--no-mouse")
    assert not [sequence for sequence in TAKEN if sequence in silent]
    if command == "replay":
        (tmp_path / "history.db").unlink(missing_ok=True)
        with_mouse = written_by(tmp_path, *arguments)
        assert TAKEN[0] in with_mouse


async def test_a_click_on_a_mode_and_on_a_key_of_the_footer(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot)
        head, foot = (lab.screen_text(app).splitlines()[n] for n in (0, -1))
        await pilot.click("#header", offset=(head.index("swing"), 0))
        await lab.settle(pilot)
        assert app.mode == "swing"
        await pilot.click("#footer", offset=(foot.index("m map") + 2, 0))
        await lab.settle(pilot)
        assert app.screen.kind == "map"
        foot = lab.screen_text(app).splitlines()[-1]
        await pilot.click("#footer", offset=(foot.index("Esc back"), 0))
        await lab.settle(pilot)
        assert app.screen is app.home
        await pilot.click("#footer", offset=(2, 0))
        await lab.settle(pilot)
        assert app.screen is app.home
