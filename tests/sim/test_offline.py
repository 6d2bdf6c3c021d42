"""The engine without sockets decides what it decides in the demo."""

import asyncio
from typing import Any

import numpy as np
import pytest

from engine.clock import NS
from engine.config import Config, load
from engine.decision.decide import Decision
from engine.jobs.demo import Demo
from engine.jobs.offline import Offline
from engine.runtime import pipeline
from engine.sim.market import SimulatedMarket
from engine.store.reader import Reader

TWO = ("BTCUSDT", "PEPEUSDT")
Steps = list[tuple[int, list[Decision]]]


def config_of(symbols: tuple[str, ...] = TWO, **feed: Any) -> Config:
    listed = [{"id": symbol, "class": "layer1"} for symbol in symbols]
    others = {name: {"enabled": False} for name in load()[0].feeds}
    feeds = {**others, "binance": {"enabled": True, **feed}}
    return load(overrides={"symbols": listed, "feeds": feeds})[0]


def offline(seconds: float, **how: Any) -> tuple[Offline, Steps]:
    steps: Steps = []
    run = Offline(config_of(), seconds=seconds, told=lambda now, made: steps.append((now, made)),
                  **how)  # fmt: skip
    return run, steps


async def demo_steps(seconds: float, **feed: Any) -> tuple[Demo, Steps]:
    demo, steps = Demo(config_of(**feed), speed=None, seconds=seconds), []
    inner = demo.engine.pipeline._on_step

    def stepped(now: int, made: list[Decision]) -> None:
        inner(now, made)
        steps.append((now, made))

    demo.engine.pipeline._on_step = stepped
    await demo.run()
    assert demo.unsettled == 0
    return demo, steps


def assert_same(one: Steps, other: Steps) -> None:
    assert [(now, [d.mode for d in made]) for now, made in one] == [
        (now, [d.mode for d in made]) for now, made in other
    ]
    for (_, ours), (_, theirs) in zip(one, other, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert (a.decision, a.state) == (b.decision, b.state)
            for name in ("bias", "total", "contribution", "points", "coverage"):
                np.testing.assert_array_equal(getattr(a.parts, name), getattr(b.parts, name))
            for name in ("raw", "conviction", "agreement", "windows"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


async def test_without_history_it_decides_as_over_sockets() -> None:
    demo, there = await demo_steps(32, backfill=False)
    run, here = offline(32, warm_minutes=0)
    await run.run()
    assert len(here) == 4
    assert_same(there, here)
    assert demo.engine.pipeline.tallies["binance"].frames == (
        run.engine.pipeline.tallies["binance"].frames
    )


@pytest.mark.slow
async def test_with_history_it_decides_as_over_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute in which candles come, the warm-ups come into force and every mode decides.

    The whole of the past would be looked at for minutes; a tenth of it takes the same path.
    """
    shorter = {window: reach // 10 for window, reach in pipeline.WARM_REACH.items()}
    monkeypatch.setattr(pipeline, "WARM_REACH", shorter)
    _, there = await demo_steps(65)
    run, here = offline(65)
    await run.run()
    assert run.engine.pipeline.warmed
    assert {d.mode for _, made in here for d in made} == {"scalp", "day", "swing"}
    assert not np.isnan(here[-1][1][0].parts.bias).any()
    assert_same(there, here)


async def test_its_books_are_whole_and_its_feed_is_ready() -> None:
    run, _ = offline(3600, warm_minutes=0)
    running = asyncio.create_task(run.run())
    while run.market.elapsed < 12:  # noqa: ASYNC110
        await asyncio.sleep(0)
    for listing, truth in zip(run.market.listings, run.market.books, strict=True):
        book = run.engine.pipeline.market.listed["binance", listing.id].book
        assert book.synced
        assert book.seq == truth.seq
    run.stop()
    await running
    picture = run.latest()
    assert picture.finished
    assert picture.mode_of_data == "demo"
    assert picture.feeds["binance"].state == "ready"
    assert (picture.feeds["binance"].gaps, picture.feeds["binance"].reconnects) == (0, 0)
    assert run.detail("BTCUSDT", frozenset()).symbol == "BTCUSDT"
    assert run.at(0) is None


async def test_a_sparse_coarse_market_runs_the_same_path() -> None:
    run, steps = offline(60, warm_minutes=0, rate=0.1, dt=1.0)
    await run.run()
    frames = run.engine.pipeline.tallies["binance"].frames
    assert 60 < frames / 2 < 60 * 40
    assert run.market.now - run.market.start == 60 * NS
    assert any(made for _, made in steps)
    assert run.latest().feeds["binance"].state == "ready"


async def test_another_seed_decides_otherwise() -> None:
    biases = []
    for seed in (1, 2):
        run, steps = offline(32, warm_minutes=0, seed=seed)
        await run.run()
        biases.append(steps[-1][1][0].parts.bias)
    assert (biases[0] != biases[1]).any()


@pytest.mark.parametrize("dt", [0.3, 2.0])
def test_a_tick_is_an_even_part_of_a_second(dt: float) -> None:
    with pytest.raises(ValueError, match="even part"):
        SimulatedMarket(TWO, dt=dt)


async def test_it_can_be_stopped_and_cancelled() -> None:
    run, _ = offline(3600, warm_minutes=0)
    running = asyncio.create_task(run.run())
    await asyncio.sleep(0.2)
    run.stop()
    await asyncio.wait_for(running, 10)
    assert run.finished
    before = len(asyncio.all_tasks())
    run, _ = offline(3600, warm_minutes=0)
    running = asyncio.create_task(run.run())
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert len(asyncio.all_tasks()) == before


async def test_it_writes_history_when_asked(tmp_path: Any) -> None:
    run, _ = offline(25, warm_minutes=0, db=tmp_path / "offline.db")
    await run.run()
    with Reader(tmp_path / "offline.db") as history:
        assert history.meta.mode_of_data == "demo"
