"""The cockpit in a terminal of its own, started by test_cockpit_pty and bench_grid; no test here.

`python child.py FOLDER` paints a busy source and obeys files in FOLDER: `freeze` stops the data and
writes what the compositor holds to `screen`. `run` measures the loop's lag into `lag` and writes
`flushed` when it is cancelled. With `crash` as second argument an exception is raised on `x`; with
`fail` the engine's coroutine does.
"""

import asyncio
import gc
import importlib.util
import sys
from pathlib import Path
from time import perf_counter
from types import ModuleType

import msgspec

from cockpit.app import CockpitApp
from engine.config import CockpitConfig
from engine.snapshot import Detail, Snapshot


def load_lab() -> ModuleType:
    path = Path(__file__).parent / "conftest.py"
    spec = importlib.util.spec_from_file_location("lab", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Busy:
    """Another picture at every look, until frozen."""

    def __init__(self, lab: ModuleType) -> None:
        self.pictures = [lab.full(phase=k / 7, number=k) for k in range(12)]
        self.looks = 0
        self.frozen = False

    def latest(self) -> Snapshot:
        self.looks += not self.frozen
        return self.pictures[self.looks % len(self.pictures)]

    def at(self, ns: int) -> Snapshot | None:
        return None

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        return Detail(symbol, {}, (), (), (), (), ())


class Crashing(CockpitApp):
    """Raises with a secret among its local variables."""

    def on_key(self, event: object) -> None:
        if getattr(event, "key", "") == "x":
            secret = "hunter2"
            raise RuntimeError(f"broken [/] on purpose, {len(secret)} letters")


async def engine(folder: Path, app: CockpitApp, source: Busy, lab: ModuleType) -> None:
    """Stands where the engine does: counts the loop's worst lag, flushes when cancelled."""
    worst, before, started = 0.0, perf_counter(), perf_counter()
    try:
        while True:
            await asyncio.sleep(0.005)
            now = perf_counter()
            if now - started > 2:
                worst = max(worst, now - before - 0.005)
            before = now
            if (folder / "freeze").exists() and not source.frozen:
                source.frozen = True
                await asyncio.sleep(1.0)
                (folder / "lag").write_text(f"{worst * 1000:.1f}")
                (folder / "screen").write_text(lab.screen_text(app))
    finally:
        await asyncio.sleep(0.2)
        (folder / "flushed").write_text("yes")


async def failing() -> None:
    await asyncio.sleep(0.2)
    token = "hunter2"
    raise ValueError(f"disk [full] after {len(token)} letters")


def main() -> None:
    folder = Path(sys.argv[1])
    how = sys.argv[2] if len(sys.argv) > 2 else ""
    lab = load_lab()
    source = Busy(lab)
    # The pictures are the test's, not the cockpit's: the collector need not walk them.
    gc.freeze()
    settings = msgspec.convert({"paint_hz": 10, "timezone": "UTC"}, CockpitConfig)
    kind = Crashing if how == "crash" else CockpitApp
    app = kind(source, settings, log=folder / "log")
    app._run_engine = failing if how == "fail" else lambda: engine(folder, app, source, lab)
    app.run()
    sys.exit(app.return_code or 0)


if __name__ == "__main__":
    main()
