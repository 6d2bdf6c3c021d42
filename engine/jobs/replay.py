"""A recording through the same pipeline as live data, at any speed, to a picture at its end."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from engine.clock import RecordedClock, WallClock
from engine.config import Config
from engine.decision.decide import Decision
from engine.feeds.feed import Frame, build_feed
from engine.jobs.decode import Tally, decode_lines
from engine.jobs.lines import Line, read_lines
from engine.runtime.pictures import Pictures
from engine.runtime.pipeline import STATUS, Pipeline
from engine.runtime.records import Archive
from engine.snapshot import Detail, ModeOfData, Snapshot

SLICE_NS = 8_000_000


class Replay:
    """Plays PATH (file or folder); a SnapshotSource while it runs and after its end.

    `speed` is a ceiling on recorded over wall time, None for as fast as it goes. History is kept
    only where `db` is given.
    """

    def __init__(self, config: Config, path: Path, speed: float | None = None,
                 db: Path | None = None) -> None:  # fmt: skip
        feeds = {
            name: build_feed(name, feed, config.instruments)
            for name, feed in config.feeds.items()
            if feed.enabled
        }
        self.config = config
        self.pipeline = Pipeline(config, feeds, on_step=self._stepped, unheard="off")
        self.pictures = Pictures(self.pipeline, self.mode_of_data)
        self.tally = Tally()
        self.finished = False
        self._path = path
        self._clock = RecordedClock(speed)
        self._archive = Archive(config, self.pictures, db, WallClock().now()) if db else None
        self._stopped = False

    @property
    def mode_of_data(self) -> ModeOfData:
        return "replay"

    def stop(self) -> None:
        """End at the next frame."""
        self._stopped = True

    async def run(self) -> None:
        """Play to the end of the input; raises OSError when it cannot be opened."""
        if self._archive is not None:
            await self._archive.open()
        try:
            await self._play()
        finally:
            self.finished = True
            if self._archive is not None:
                await self._archive.close()

    async def _play(self) -> None:
        pipeline, clock = self.pipeline, self._clock
        default = self.config.market.reference_venue
        lines = self._without_status(read_lines(self._path))
        taken = clock.wall()
        for line, events in decode_lines(lines, pipeline.feeds, default, self.tally):
            recv = line.recv or (events[0].ts if events else pipeline.market.now)
            if clock.early(recv) or clock.wall() - taken > SLICE_NS:
                await clock.advance(recv)
                await asyncio.sleep(0)
                if self._archive is not None:
                    await self._archive.keep_up()
                taken = clock.wall()
            feed = line.feed or default
            pipeline.on_events(feed, recv, len(line.data), events, line.url)
            if self._stopped:
                break
        await clock.advance(pipeline.market.now)

    def _without_status(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Lines that carry data; those that tell of the transport are applied on the way."""
        for line in lines:
            if line.connection == STATUS and line.recv is not None and not line.bad:
                self.pipeline.on_frame(
                    Frame(line.recv, line.feed or "", STATUS, "", line.data, line.symbol)
                )
            else:
                yield line

    def _stepped(self, now: int, decisions: list[Decision]) -> None:
        for decision in decisions:
            self.pictures.decided(decision)
        if self._archive is not None:
            self._archive.stepped(now, decisions)

    # -- SnapshotSource --------------------------------------------------------------------

    def latest(self) -> Snapshot:
        """The picture at the last frame played."""
        return self.pictures.snapshot(
            self.pipeline.market.now, speed=self._clock.factor, finished=self.finished
        )

    def at(self, ns: int) -> Snapshot | None:
        """A replay keeps no past pictures."""
        return None

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        """Readings, bars, tape, book of one symbol."""
        return self.pictures.detail(symbol, parts)
