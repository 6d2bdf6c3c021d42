"""What the cockpit costs on a busy market: CPU, memory, bytes to the terminal, loop lag.

    python tests/benchmarks/bench_cockpit.py [--rate R] [--seconds 60] [--warm 60] [--profile]
        [--screens]

The simulated exchange runs in a process of its own (`--serve`, market_only), the cockpit in
another on a pty of each size, then the engine alone. CPU is the process's own, of one core.
`--profile` profiles the stretch that is measured, which makes it dearer. `--screens` goes through
the screens of one cockpit instead, each measured for so long; the engine's share is in every row.
"""

import argparse
import asyncio
import cProfile
import fcntl
import json
import os
import pstats
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

SIZES = ((120, 40), (200, 60))
EVERY_S = 0.05
TICKS = os.sysconf("SC_CLK_TCK")
# Screens in the order of a tour, and the keys that lead there from the one before.
TOUR_SIZE = (160, 48)
TOUR = (
    ("grid", ""), ("heat map", "m"), ("what moved", "ew"), ("symbol", "e\r"), ("card", "\r"),
    ("chart", "e\t"), ("flow", "\t"), ("book", "\t"), ("positions", "\t"), ("venues", "\t"),
    ("history", "\t"), ("feeds", "ef"), ("alerts", "ea"), ("academy", "eA"), ("help", "e?"),
)  # fmt: skip
ESCAPE = "e"


# -- the children --------------------------------------------------------------------------


def serve(rate: float) -> None:
    """The market and its servers until a signal; prints the config that points to them."""
    from engine.config import load
    from engine.jobs.demo import market_only

    def announce(text: str) -> None:
        print(text, flush=True)
        print(flush=True)

    with suppress(KeyboardInterrupt):
        others = {name: {"enabled": name == "binance"} for name in load()[0].feeds}
        config = load(overrides={"feeds": others})[0]
        asyncio.run(market_only(config, announce=announce, rate=rate))


class Watcher:
    """Counts the frames of an engine and how late its loop is, twenty times a second."""

    def __init__(self, out: Path, profiled: tuple[float, float] | None) -> None:
        self._out, self._profiled = out, profiled
        self._rows: list[tuple[float, float, int]] = []
        self._profile = cProfile.Profile()

    async def watch(self, engine: Any) -> None:
        began = time.monotonic()
        tally = engine.pipeline.tallies["binance"]
        try:
            while True:
                before = time.monotonic()
                await asyncio.sleep(EVERY_S)
                now = time.monotonic()
                self._rows.append((now, now - before - EVERY_S, tally.frames))
                self._switch(now - began)
        finally:
            self._profile.disable()
            self._out.write_text(json.dumps(self._rows))

    def _switch(self, since: float) -> None:
        """Profile from the first to the second instant, in seconds since the start."""
        if self._profiled is None:
            return
        begin, end = self._profiled
        if since > end:
            self._profile.disable()
            self._profile.dump_stats(self._out.with_suffix(".prof"))
            self._profiled = None
        elif since > begin:
            self._profile.enable()
            self._profiled = (float("inf"), end)


def child(config: Path, out: Path, screen: bool, profiled: tuple[float, float] | None) -> None:
    """The cockpit as its command runs it, or the engine alone; watched."""
    from cockpit.cli import main as command
    from engine.config import load
    from engine.runtime import Engine

    run = Engine.run

    async def watched(engine: Engine) -> None:
        watching = asyncio.create_task(Watcher(out, profiled).watch(engine))
        try:
            await run(engine)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    Engine.run = watched  # type: ignore[method-assign]
    db = out.with_suffix(".db")
    if screen:
        sys.argv = ["blackperp-cockpit", "--config", str(config), "--db", str(db)]
        command()
    else:
        asyncio.run(_headless(Engine(load(config)[0], db=db)))


async def _headless(engine: Any) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, engine.stop)
    await engine.run()


# -- the measurement -----------------------------------------------------------------------


class Process:
    """A child, on a pty where it has a size."""

    def __init__(self, size: tuple[int, int] | None, *how: str) -> None:
        self.master: int | None = None
        slave = None
        if size is not None:
            self.master, slave = pty.openpty()
            fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
        env |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "OPENBLAS_NUM_THREADS": "1"}
        self.popen = subprocess.Popen(
            [sys.executable, __file__, *how], stdin=slave, stdout=slave, stderr=slave, env=env,
            start_new_session=True,
        )  # fmt: skip
        self.written = 0

    def read(self, seconds: float) -> None:
        """Be a terminal that keeps up."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.master is None:
                time.sleep(left)
            elif select.select([self.master], [], [], left)[0]:
                self.written += len(os.read(self.master, 1 << 16))

    def press(self, keys: str) -> None:
        """Keys one by one, as a hand does; `e` is Escape."""
        assert self.master is not None
        for key in keys:
            os.write(self.master, b"\x1b" if key == ESCAPE else key.encode())
            self.read(0.5)

    def cpu(self) -> float:
        return cpu_of(self.popen.pid)

    def memory(self) -> float:
        status = Path(f"/proc/{self.popen.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def stop(self) -> None:
        self.popen.terminate()
        with suppress(OSError):
            self.read(2.0)
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        if self.master is not None:
            os.close(self.master)


def cpu_of(pid: int) -> float:
    """Seconds of CPU a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(name: str, size: tuple[int, int] | None, config: Path, market: int,
            options: argparse.Namespace) -> dict[str, Any]:  # fmt: skip
    """One row of the table."""
    out = config.parent / f"{name}.json"
    how = ["--child", str(config), str(out), "1" if size else "0"]
    if options.profile:
        how += [str(options.warm), str(options.warm + options.seconds)]
    process = Process(size, *how)
    try:
        process.read(options.warm)
        row = stretch(process, name, market, options.seconds)
        process.read(2.0)
    finally:
        process.stop()
    return lateness(row, out)


def stretch(process: Process, name: str, market: int, seconds: float) -> dict[str, Any]:
    """What a process costs from now on."""
    began, busy, market_busy = time.monotonic(), process.cpu(), cpu_of(market)
    written, memory = process.written, process.memory()
    process.read(seconds)
    took = time.monotonic() - began
    return {
        "name": name,
        "at": (began, began + took),
        "cpu": (process.cpu() - busy) / took,
        "market": (cpu_of(market) - market_busy) / took,
        "memory": (memory, process.memory()),
        "bytes": (process.written - written) / took,
    }


def lateness(row: dict[str, Any], out: Path) -> dict[str, Any]:
    """The row with what the watcher saw meanwhile."""
    began, ended = row["at"]
    rows = [r for r in json.loads(out.read_text()) if began <= r[0] <= ended]
    lags = sorted(lag for _, lag, _ in rows)
    row["lag"] = (lags[len(lags) // 2], lags[int(len(lags) * 0.99)], lags[-1])
    row["messages"] = (rows[-1][2] - rows[0][2]) / (rows[-1][0] - rows[0][0])
    return row


def tour(config: Path, market: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each screen of one cockpit."""
    out = config.parent / "tour.json"
    process, rows = Process(TOUR_SIZE, "--child", str(config), str(out), "1"), []
    try:
        process.read(options.warm)
        for name, keys in TOUR:
            process.press(keys)
            process.read(2.0)
            rows.append(stretch(process, name, market, options.seconds))
        process.read(2.0)
    finally:
        process.stop()
    return [lateness(row, out) for row in rows]


def market_at(rate: float) -> tuple[subprocess.Popen[str], str]:
    """The exchange, and the lines of the config that points to it."""
    popen = subprocess.Popen([sys.executable, __file__, "--serve", str(rate)],
                             stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert popen.stdout is not None
    lines = []
    while line := popen.stdout.readline().rstrip():
        lines.append(line)
    if not lines:
        raise SystemExit("the market did not start")
    return popen, "\n".join(lines)


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(float(sys.argv[2]))
        return
    if sys.argv[1:2] == ["--child"]:
        config, out, screen, *profiled = sys.argv[2:]
        span = (float(profiled[0]), float(profiled[1])) if profiled else None
        child(Path(config), Path(out), screen == "1", span)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=7.0, help="7: 2,000 messages a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--warm", type=float, default=60.0)
    parser.add_argument("--only", help="one row: 120x40, 200x60 or headless")
    parser.add_argument("--no-history", action="store_true", help="neither backfill nor warm-up")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--screens", action="store_true", help="each screen at 160x48")
    options = parser.parse_args()
    run(options)


def run(options: argparse.Namespace) -> None:
    """All rows on one market."""
    popen, snippet = market_at(options.rate)
    print(snippet)
    with tempfile.TemporaryDirectory() as name:
        config = Path(name) / "config.yaml"
        # The exchange of the bench has no limits: history is there before the measurement.
        settings = yaml.safe_load(snippet)
        settings["feeds"]["binance"] |= {"request_weight": 100_000,
                                         "backfill": not options.no_history}  # fmt: skip
        config.write_text(yaml.safe_dump(settings | {"recording": {"path": name}}))
        cases = [(f"{w}x{h}", (w, h)) for w, h in SIZES] + [("headless", None)]
        print(f"{'':10}{'messages/s':>11}{'CPU':>8}{'RSS MB':>14}{'kB/s out':>10}"
              f"{'lag p50':>9}{'p99':>7}{'worst ms':>10}{'market CPU':>12}")  # fmt: skip
        try:
            for row in tour(config, popen.pid, options) if options.screens else ():
                show(row)
            for label, size in () if options.screens else cases:
                if options.only in (None, label):
                    show(measure(label, size, config, popen.pid, options))
                    if options.profile:
                        profile(config.parent / f"{label}.prof")
        finally:
            popen.send_signal(signal.SIGINT)
            popen.wait(10)


def show(row: dict[str, Any]) -> None:
    before, after = row["memory"]
    typical, most, worst = (1000 * lag for lag in row["lag"])
    print(f"{row['name']:10}{row['messages']:11.0f}{row['cpu']:8.1%}{before:7.0f}{after:7.0f}"
          f"{row['bytes'] / 1000:10.1f}{typical:9.1f}{most:7.1f}{worst:10.1f}"
          f"{row['market']:12.1%}", flush=True)  # fmt: skip


def profile(path: Path) -> None:
    stats = pstats.Stats(str(path))
    for order in ("tottime", "cumtime"):
        stats.sort_stats(order).print_stats(30)


if __name__ == "__main__":
    main()
