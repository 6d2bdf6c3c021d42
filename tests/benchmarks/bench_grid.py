"""CPU and bytes of one grid tick in a real terminal of 160x48, beside a DataTable of the same.

    python tests/benchmarks/bench_grid.py [TICKS]

35 % of the cells change per tick. Both run in turns on one machine, so the ratios hold where the
milliseconds do not. Then nobody reads the terminal for 6 s and the loop's worst lag is printed.
"""

import asyncio
import fcntl
import gc
import importlib.util
import json
import os
import pty
import random
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from rich.text import Text
from textual.app import App, ComposeResult
from textual.widgets import DataTable

from cockpit.app import CockpitApp
from cockpit.theme import Look
from cockpit.widgets.columns import COLUMNS, layout
from engine.config import CockpitConfig
from engine.snapshot import Composite, Detail, Snapshot, SymbolState

SIZE = (160, 48)
GRID = 122
SHARE = 0.35
HZ = 4
ROUNDS = 3


def lab() -> ModuleType:
    path = Path(__file__).parent.parent / "cockpit" / "conftest.py"
    spec = importlib.util.spec_from_file_location("lab", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def moved(state: SymbolState, chance: random.Random) -> SymbolState:
    """The row with each of its cells changed at a probability of 35 %."""
    change = msgspec.structs.replace

    def hit() -> bool:
        return chance.random() < SHARE

    price = state.price
    if hit():
        tick = 10**-price.decimals
        price = change(price, last=(price.last or 1) + chance.choice((-3, -1, 1, 2, 14)) * tick)
    if hit():
        price = change(price, change_24h=(price.change_24h or 0) + chance.choice((-0.01, 0.01)))
    if hit():
        price = change(price, age=chance.choice((0.2, 3.0, 4.0, 5.0)))
    modes = {mode: redecided(found, chance) for mode, found in state.modes.items()}
    state = change(state, price=price, modes=modes)
    if hit():
        state = change(state, funding_8h=chance.uniform(-3e-4, 3e-4))
    if hit():
        state = change(state, oi_change_1h=chance.uniform(-3, 3))
    return state


def redecided(found: Composite, chance: random.Random) -> Composite:
    """A composite with each of its cells changed at a probability of 35 %."""
    wanted: dict[str, Any] = {
        "bias": max(-95.0, min(95.0, (found.bias or 0.0) + chance.choice((-3, -1, 1, 3)))),
        "conviction": chance.randint(30, 80),
        "decision": chance.choice(("WAIT", "LEAN_LONG", "LEAN_SHORT")),
        "agreement_by_window": {w: chance.choice((-1, 0, 1)) for w in found.agreement_by_window},
        "history": (*found.history[1:], found.bias),
    }
    name = chance.choice(list(found.categories))
    line = msgspec.structs.replace(found.categories[name], score=chance.uniform(-1, 1))
    wanted["categories"] = found.categories | {name: line}
    kept = {key: value for key, value in wanted.items() if chance.random() < SHARE}
    return msgspec.structs.replace(found, **kept)


class Script:
    """A source that turns to its next picture when told to; all are made beforehand."""

    def __init__(self, ticks: int) -> None:
        chance = random.Random(7)
        now: Snapshot = lab().full(all_fed=True)
        self.pictures = [now]
        for number in range(ticks):
            rows = tuple(moved(s, chance) for s in now.symbols)
            now = msgspec.structs.replace(now, symbols=rows, number=8 + number)
            self.pictures.append(now)
        self.at_tick = 0
        self.moving = False

    def latest(self) -> Snapshot:
        if self.moving:
            self.at_tick += 1
        return self.pictures[self.at_tick % len(self.pictures)]

    def at(self, ns: int) -> Snapshot | None:
        return None

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        return Detail(symbol, {}, (), (), (), (), ())


async def watch(until: Callable[[], bool]) -> tuple[float, float, float]:
    """CPU, wall time and the loop's worst lag, in s, until something holds."""
    worst, before = 0.0, time.perf_counter()
    start, began = time.process_time(), before
    while not until():
        await asyncio.sleep(0.005)
        now = time.perf_counter()
        worst, before = max(worst, now - before - 0.005), now
    return time.process_time() - start, before - began, worst


async def measure(source: Script, report: Path, app: App[None]) -> None:
    """CPU and lag while ticking, less what the same loop takes while nothing moves."""

    def go() -> None:
        report.with_suffix(".go").touch()

    def tell(figures: dict[str, float]) -> None:
        report.write_text(json.dumps(figures))

    await asyncio.sleep(2)
    end = time.perf_counter() + 3
    idle, seconds, _ = await watch(lambda: time.perf_counter() > end)
    source.moving = True
    go()
    ticks = len(source.pictures) - 1
    first = source.at_tick
    cpu, wall, worst = await watch(lambda: source.at_tick - first >= ticks)
    cpu -= idle / seconds * wall
    tell({"ms": cpu / ticks * 1000, "lag": worst * 1000})
    source.moving = False
    await asyncio.sleep(1)
    app.exit()


class TableApp(App[None]):
    """The same cells in a DataTable, each updated only when its text or style has changed."""

    def __init__(self, source: Script) -> None:
        super().__init__()
        self.source = source
        self.report: Path | None = None
        self._look = Look()
        self._places = layout(GRID, "day")
        self._keys: dict[tuple[str, str], Any] = {}

    def compose(self) -> ComposeResult:
        yield DataTable(cursor_type="row")

    def on_mount(self) -> None:
        table = self.query_one(DataTable)
        for name, size in self._places:
            table.add_column(name, width=size, key=name)
        for state in self.source.pictures[0].symbols:
            table.add_row(*(["" for _ in self._places]), key=state.id)
        self.set_interval(1 / HZ, self.paint)
        assert self.report is not None
        self._task = asyncio.create_task(measure(self.source, self.report, self))

    def paint(self) -> None:
        table, ink = self.query_one(DataTable), self._look.ink()
        with self.batch_update():
            for state in self.source.latest().symbols:
                for name, size in self._places:
                    key = COLUMNS[name].key(state, "day")
                    if self._keys.get((state.id, name)) == key:
                        continue
                    self._keys[state.id, name] = key
                    cell = COLUMNS[name].draw(key, size, self._look.glyphs, ink)
                    table.update_cell(
                        state.id, name, Text.assemble(*((s.text, s.style or "") for s in cell))
                    )


def child(kind: str, ticks: int, report: Path) -> None:
    source = Script(ticks)
    gc.freeze()
    if kind == "table":
        table = TableApp(source)
        table.report = report
        table.run()
        return
    settings = CockpitConfig(paint_hz=10 if kind == "stall" else HZ, timezone="UTC")
    app = CockpitApp(source, settings, log=report.with_suffix(".log"))
    app._run_engine = lambda: measure(source, report, app)
    app.run()


def run(kind: str, ticks: int, folder: Path, stall: float = 0.0) -> dict[str, float]:
    """One child on a pty: its figures and the bytes it wrote per tick."""
    report = folder / f"{kind}.json"
    go = report.with_suffix(".go")
    for path in (report, go):
        path.unlink(missing_ok=True)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    env |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    argv = [sys.executable, __file__, "--child", kind, str(ticks), str(report)]
    running = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=env)
    written = 0
    stalled = not stall
    while running.poll() is None:
        if not stalled and go.exists():
            time.sleep(stall)
            stalled = True
        if select.select([master], [], [], 0.05)[0]:
            got = len(os.read(master, 65536))
            written += got if go.exists() and not report.exists() else 0
    os.close(master)
    os.close(slave)
    return {**json.loads(report.read_text()), "bytes": written / ticks}


def main(ticks: int) -> None:
    import statistics
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rounds = [(run("grid", ticks, folder), run("table", ticks, folder)) for _ in range(ROUNDS)]
        stall = run("stall", 100, folder, stall=6.0)
    middle = {
        key: [statistics.median(pair[side][key] for pair in rounds) for side in (0, 1)]
        for key in ("ms", "bytes", "lag")
    }
    ratio = {
        key: statistics.median(table[key] / ours[key] for ours, table in rounds)
        for key in ("ms", "bytes")
    }
    print(f"{SIZE[0]}x{SIZE[1]}, {SHARE:.0%} of the cells a tick, {ticks} ticks, {ROUNDS} rounds")
    print(f"{'':24}{'grid':>10}{'DataTable':>12}{'ratio':>8}")
    print(
        f"{'CPU ms a tick':24}{middle['ms'][0]:>10.1f}{middle['ms'][1]:>12.1f}{ratio['ms']:>8.1f}"
    )
    ours, table = middle["bytes"]
    print(f"{'bytes a tick':24}{ours:>10,.0f}{table:>12,.0f}{ratio['bytes']:>8.1f}")
    print(f"{'worst loop lag ms':24}{middle['lag'][0]:>10.0f}{middle['lag'][1]:>12.0f}")
    print(f"stalled terminal, 6 s: worst loop lag {stall['lag']:.0f} ms (budget 100)")
    good = middle["ms"][0] <= 8 and ours <= 4000 and stall["lag"] <= 100
    print("within budget (8 ms, 4 kB, 100 ms)" if good else "OVER BUDGET (8 ms, 4 kB, 100 ms)")


if __name__ == "__main__":
    if "--child" in sys.argv:
        child(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
