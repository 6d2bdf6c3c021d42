"""A live step in slices: others take their turns in between, and it decides as one in one go."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from engine.clock import NS, SimulatedClock
from engine.config import Config, load
from engine.feeds.feed import Frame
from engine.runtime import Engine

Frames = list[Frame]
SECONDS = 65


def config() -> Config:
    others = {name: {"enabled": name == "binance"} for name in load()[0].feeds}
    return load(overrides={"feeds": others})[0]


class Stand:
    """A live engine without its sockets, to which frames are handed at their instants."""

    def __init__(self, start: int) -> None:
        self.clock = SimulatedClock(start)
        self.engine = Engine(config(), clock=self.clock)
        self.pictures: list[bytes] = []
        self.during = 0
        pipeline = self.engine.pipeline
        inner = pipeline._on_step
        assert inner is not None

        def stepped(now: int, decisions: list[Any]) -> None:
            inner(now, decisions)
            self.pictures.append(msgspec.json.encode(self.engine.pictures.snapshot(now)))

        pipeline._on_step = stepped

    async def play(self, frames: Frames, turns: int) -> None:
        """Each frame as it comes, the loop having `turns` turns between two of them."""

        async def settle() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        ticking = asyncio.create_task(self.engine._tick())
        await settle()
        for frame in frames:
            await self.clock.advance(frame.recv, settle)
            stepping, taken = self.engine.stepping, self.engine.pipeline.tallies["binance"].frames
            self.engine._frame(frame)
            if stepping:
                self.during += 1
                assert self.engine.pipeline.tallies["binance"].frames == taken
            await settle()
        for _ in range(100):
            await asyncio.sleep(0)
        assert not self.engine.stepping
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


async def test_what_comes_during_a_step_waits_and_changes_nothing(
    make_frames: Callable[..., Frames],
) -> None:
    frames = make_frames(seconds=SECONDS)
    slow, quick = Stand(frames[0].recv), Stand(frames[0].recv)
    await slow.play(frames, turns=1)
    await quick.play(frames, turns=60)
    assert slow.during > 50
    assert len(slow.pictures) == SECONDS // 10
    assert slow.pictures == quick.pictures
    assert slow.engine.pipeline.tallies["binance"].frames == len(frames)
    assert slow.engine.pipeline.market.now == quick.engine.pipeline.market.now


async def test_others_have_their_turns_during_a_step(make_frames: Callable[..., Frames]) -> None:
    stand = Stand(make_frames(seconds=1)[0].recv)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += stand.engine.stepping

    counting = asyncio.create_task(other())
    frames = make_frames(seconds=21)
    await stand.play([f for f in frames if f.recv - frames[0].recv < 21 * NS], turns=2)
    counting.cancel()
    assert len(stand.pictures) == 2
    assert turns > 2 * 12
