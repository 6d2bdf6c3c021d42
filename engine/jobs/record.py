"""Record the live feeds: raw frames as received, nothing decided, nothing shown."""

import asyncio
from pathlib import Path

from msgspec import Struct

from engine.clock import NS, Clock, WallClock
from engine.config import Config
from engine.runtime import Engine
from engine.store.recordings import Recorder


class Recorded(Struct, frozen=True):
    """What a recording holds: seconds, frames on disk, those that could not be kept and why."""

    seconds: float
    frames: int
    dropped: int
    problem: str


async def record(config: Config, out: Path, seconds: float | None = None,
                 clock: Clock | None = None) -> Recorded:  # fmt: skip
    """Record into `out` for `seconds`, or until cancelled; the files are whole either way.

    The engine runs along, since a book's snapshots are asked for when its chain breaks. Raises
    StoreError when the folder cannot be written or another process records there.
    """
    clock = clock or WallClock()
    recorder = Recorder(out, config.recording.level, started=clock.now())
    engine = Engine(config, clock=clock, recorder=recorder)
    started = clock.now()
    running = asyncio.create_task(engine.run())
    try:
        await asyncio.wait([running], timeout=seconds)
    except asyncio.CancelledError:
        # A signal is the usual end of a recording; what was counted is still wanted.
        pass
    finally:
        engine.stop()
        await running
    problems = recorder.problems
    return Recorded(
        seconds=(clock.now() - started) / NS,
        frames=recorder.written,
        dropped=problems.dropped + problems.lost,
        problem=problems.last,
    )
