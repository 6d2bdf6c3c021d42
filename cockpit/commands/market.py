"""Commands that run the engine: live, replay, record, snapshot."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click
from click.exceptions import Exit

from cockpit.settings import APP, Failure, Settings, apply_color, print_json, start_log
from engine.config import Config
from engine.snapshot import Snapshot, SnapshotSource

if TYPE_CHECKING:
    from engine.jobs.decode import Tally
    from engine.jobs.replay import Replay

T = TypeVar("T")
_PROGRESS_S = 0.5


class Running(SnapshotSource, Protocol):
    """An engine or a replay."""

    async def run(self) -> None: ...

    def stop(self) -> None: ...


def live(settings: Settings) -> None:
    """The cockpit on the live market."""
    config = settings.load()
    _need_terminal("for text use 'blackperp-cockpit snapshot'")
    log = start_log(config)
    apply_color(settings.color)
    from engine.runtime import Engine
    from engine.store.paths import history_path

    engine = Engine(config, db=settings.db or history_path(config.store))
    _show(engine, config, log)
    _warn_if_silent(engine.latest())


def replay(settings: Settings, path: Path, speed: float | None) -> None:
    """The cockpit on a recording."""
    config = settings.load()
    _need_terminal("add --headless to replay without a screen")
    log = start_log(config)
    apply_color(settings.color)
    _show(_replay(config, path, speed, settings), config, log)


def replay_headless(settings: Settings, path: Path, speed: float | None) -> None:
    """A recording to its end without a screen; prints what the cockpit would show then."""
    config = settings.load()
    start_log(config)
    source = _replay(config, path, speed, settings)
    asyncio.run(_to_end(source, progress=sys.stderr.isatty()))
    _check_input(path, source.tally)
    _print_snapshot(source.latest(), bool(settings.json))


def snapshot(settings: Settings, path: Path | None, seconds: float) -> None:
    """One picture: of a recording's end, or of the live market after `seconds`."""
    config = settings.load()
    start_log(config)
    if path is not None:
        source = _replay(config, path, None, settings)
        asyncio.run(_to_end(source, progress=False))
        _check_input(path, source.tally)
        _print_snapshot(source.latest(), bool(settings.json))
        return
    from engine.runtime import Engine

    engine = Engine(config, db=settings.db)
    asyncio.run(_to_end(engine, progress=False, seconds=seconds))
    _print_snapshot(engine.latest(), bool(settings.json))
    if _warn_if_silent(engine.latest()):
        raise Exit(1)


def demo(settings: Settings, scenario: str, seed: int, speed: float | None,
         rate: float = 1.0) -> None:  # fmt: skip
    """The cockpit on a simulated market."""
    config = settings.load()
    _need_terminal("for text use 'blackperp-cockpit snapshot --demo'")
    log = start_log(config)
    apply_color(settings.color)
    from engine.jobs.demo import Demo

    _show(Demo(config, scenario, seed, speed, db=settings.db, rate=rate), config, log)


def snapshot_of_demo(settings: Settings, seed: int, seconds: float, rate: float = 1.0) -> None:
    """One picture of the simulated market after `seconds` of its time."""
    config = settings.load()
    start_log(config)
    from engine.jobs.demo import Demo

    source = Demo(config, seed=seed, speed=None, db=settings.db, rate=rate, seconds=seconds)
    asyncio.run(_to_end(source, progress=False))
    _print_snapshot(source.latest(), bool(settings.json))


def market_only(settings: Settings, scenario: str, seed: int, rate: float = 1.0) -> None:
    """The simulated exchange alone, until a signal; its addresses go to standard output."""
    config = settings.load()
    start_log(config)
    from engine.jobs.demo import market_only as serve

    asyncio.run(_until_signalled(serve(config, scenario, seed, click.echo, rate=rate)))


def record(settings: Settings, out: Path | None, seconds: float | None) -> None:
    """Raw frames to files until `seconds` have passed or a signal asks to stop."""
    config = settings.load()
    start_log(config)
    import msgspec

    from engine.jobs.record import record as record_frames
    from engine.store.paths import recordings_folder

    folder = out or recordings_folder(config.recording)
    try:
        tally = asyncio.run(_until_signalled(record_frames(config, folder, seconds)))
    except OSError as error:
        raise Failure(
            f"{folder}: {error.strerror or error}; name another folder with --out"
        ) from None
    result = {"out": str(folder), **msgspec.to_builtins(tally)} if tally is not None else {}
    if settings.json:
        print_json(result)
        return
    counted = ", ".join(f"{name} {value}" for name, value in result.items() if name != "out")
    click.echo(f"recorded to {folder}" + (f": {counted}" if counted else ""))


def _replay(config: Config, path: Path, speed: float | None, settings: Settings) -> "Replay":
    from engine.jobs.lines import data_files
    from engine.jobs.replay import Replay

    if path.is_dir() and not data_files(path):
        raise Failure(f"{path} holds no recording; name a folder with .zst, .gz or .jsonl files")
    return Replay(config, path, speed=speed, db=settings.db)


def _check_input(path: Path, tally: "Tally") -> None:
    """Tell of bad lines; fail where there is nothing but them."""
    problems = tally.problems()
    if not tally.usable:
        raise Failure(f"{path}: nothing in it could be used; {problems or 'it is empty'}")
    if problems:
        click.echo(f"{APP}: {path}: {problems}", err=True)


def _need_terminal(instead: str) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Failure(f"the cockpit needs a terminal; {instead}")
    if os.environ.get("TERM", "dumb") == "dumb":
        raise Failure(f"the terminal says it can show no screen (TERM); {instead}")


def _show(source: Running, config: Config, log: Path) -> None:
    from cockpit.app import CockpitApp

    app = CockpitApp(source, config.cockpit, run=source.run, log=log, alerts=config.alerts)
    app.run(mouse=config.cockpit.mouse)
    if app.return_code:
        raise Exit(1)


async def _to_end(source: Running, progress: bool, seconds: float | None = None) -> None:
    """Run a source to its end, for `seconds`, or until a signal; it stops cleanly in each case."""
    task = asyncio.create_task(source.run())
    _on_signals(source.stop)
    deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
    while not task.done():
        left = None if deadline is None else deadline - asyncio.get_running_loop().time()
        if left is not None and left <= 0:
            source.stop()
            break
        waits = [w for w in (left, _PROGRESS_S if progress else None) if w is not None]
        await asyncio.wait({task}, timeout=min(waits, default=None))
        if progress:
            _show_progress(source.latest())
    if progress:
        click.echo(err=True)
    await task


def _show_progress(snapshot: Snapshot) -> None:
    done = "" if snapshot.progress is None else f"{snapshot.progress:.0%} "
    speed = "" if snapshot.speed is None else f"at {snapshot.speed:.0f}x real time"
    click.echo(f"\rreplaying {done}{speed}".ljust(50), nl=False, err=True)


async def _until_signalled(work: Coroutine[Any, Any, T]) -> T | None:
    """The result; None where a signal ended the work before it had one."""
    task = asyncio.create_task(work)
    _on_signals(task.cancel)
    with suppress(asyncio.CancelledError):
        return await task
    return None


def _on_signals(stop: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)


def _print_snapshot(snapshot: Snapshot, as_json: bool) -> None:
    from engine.jobs.report import snapshot_json, snapshot_table

    if as_json:
        print_json(snapshot_json(snapshot))
    else:
        click.echo(snapshot_table(snapshot))


def _warn_if_silent(snapshot: Snapshot) -> bool:
    from engine.jobs.report import silence

    sentence = silence(snapshot)
    if sentence:
        offer = f"'{APP} demo' a simulated market"
        click.echo(f"{APP}: {sentence}, {offer}", err=True)
    return sentence is not None
