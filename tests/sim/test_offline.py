"""The engine without sockets decides what it decides in the demo, whatever the feeds."""

import asyncio
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from engine.clock import NS
from engine.config import Config, load
from engine.decision.decide import Decision
from engine.jobs.demo import Demo
from engine.jobs.offline import Offline
from engine.runtime import pipeline
from engine.runtime.inputs import ages
from engine.sim.market import SimulatedMarket
from engine.sim.venues import base
from engine.snapshot import Snapshot
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


# -- all feeds -----------------------------------------------------------------------------

FOUR = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "PEPEUSDT")
# What a venue lacks, or tells of some coins alone.
RARE = {"options", "onchain"}


def everything(symbols: tuple[str, ...] = TWO, backfill: bool = False) -> Config:
    """All feeds; with history as far as they have one by default."""
    feeds = {n: {"backfill": backfill and f.backfill} for n, f in load()[0].feeds.items()}
    listed = [{"id": symbol, "class": "layer1"} for symbol in symbols]
    return load(overrides={"symbols": listed, "feeds": feeds})[0]


def pictures_of(run: Demo | Offline) -> list[Snapshot]:
    """A list that will hold the picture of every step.

    In which order a venue's connections bring their first frames is the network's business there,
    and the clocks' offset and the lag are told by the first frame of an instant.
    """
    out: list[Snapshot] = []
    inner = run.engine.pipeline._on_step

    def stepped(now: int, decisions: list[Decision]) -> None:
        inner(now, decisions)
        picture = run.engine.latest()
        feeds = {
            name: replace(feed, offset_ms=None, lag_p50_ms=None, lag_p99_ms=None)
            for name, feed in picture.feeds.items()
        }
        out.append(replace(picture, feeds=feeds, speed=None))

    run.engine.pipeline._on_step = stepped
    return out


@pytest.mark.slow
@pytest.mark.parametrize("backfill", [False, True])
async def test_all_feeds_show_the_same_as_over_sockets(
    backfill: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every picture of half a minute, to the byte; with history a short warm-up is in it."""
    shorter = {window: reach // 100 for window, reach in pipeline.WARM_REACH.items()}
    monkeypatch.setattr(pipeline, "WARM_REACH", shorter)
    config = everything(backfill=backfill)
    demo = Demo(config, speed=None, seconds=32)
    run = Offline(config, seconds=32, warm_minutes=None if backfill else 0)
    there, here = pictures_of(demo), pictures_of(run)
    await demo.run()
    await run.run()
    assert demo.unsettled == 0
    assert set(run.network.venues) == set(demo.venues) == set(base.venue_names())
    assert run.engine.pipeline.warmed == demo.engine.pipeline.warmed == backfill
    assert len(here) == 4
    assert [msgspec.json.encode(p) for p in here] == [msgspec.json.encode(p) for p in there]


@pytest.mark.slow
async def test_a_sparse_market_feeds_every_input() -> None:
    """About two and a half messages a second and symbol over all venues, and none is missing."""
    known: dict[str, Any] = {}
    broken: set[tuple[str, str]] = set()

    def told(now: int, made: list[Decision]) -> None:
        known.update(ages(run.engine.pipeline.market, now))
        listed = run.engine.pipeline.market.listed.items()
        broken.clear()
        broken.update(key for key, x in listed if x.book.waiting or x.book.gaps)

    run = Offline(everything(FOUR), seconds=300, rate=0.02, dt=1.0, warm_minutes=0, told=told)
    await run.run()
    frames = sum(tally.frames for tally in run.engine.pipeline.tallies.values())
    assert 1 < frames / 300 / len(FOUR) < 5
    assert {need for need, age in known.items() if np.isnan(age[0])} == set()
    assert {need for need, age in known.items() if np.isnan(age).any()} <= RARE
    for need in ("book", "mark", "funding", "venues:book", "venues:funding", "venues:oi"):
        assert np.nanmax(known[need]) <= 10.0, need
    assert broken == set()
    feeds = run.latest().feeds
    assert {(f.gaps, f.reconnects) for f in feeds.values()} == {(0, 0)}
    depth = {name: f.streams["depth"] for name, f in feeds.items() if "depth" in f.streams}
    assert len(depth) == 8
    assert all(stream.ready == stream.total for n, stream in depth.items() if n != "deribit")


@pytest.mark.slow
async def test_what_breaks_is_mended_as_over_sockets() -> None:
    """Broken connections, handshakes and requests turned away, an ack without data."""
    others = {name: {"enabled": name in ("binance", "bybit")} for name in load()[0].feeds}
    listed = [{"id": symbol, "class": "layer1"} for symbol in TWO]
    config = load(overrides={"symbols": listed, "feeds": others})[0]
    run = Offline(config, seconds=3600, warm_minutes=0)
    running = asyncio.create_task(run.run())

    async def until(seconds: float) -> None:
        while run.market.elapsed < seconds:  # noqa: ASYNC110
            await asyncio.sleep(0)

    def whole(name: str) -> bool:
        books = [run.engine.pipeline.market.listed[name, symbol].book for symbol in TWO]
        return all(book.synced for book in books)

    await until(5)
    for venue in run.network.venues.values():
        venue.faults.refuse("ws", 429, 2.0)
        venue.faults.refuse("rest", 429, 2.0)
        venue.drop()
    await until(9)
    assert all(venue.faults.done["429"] for venue in run.network.venues.values())
    await until(16)
    assert whole("binance")
    assert whole("bybit")
    run.network.venues["binance"].faults.silent_ack()
    run.network.venues["binance"].drop("public")
    await until(75)
    assert whole("binance")
    feeds = run.latest().feeds
    # Both sockets, then one of them, and that again for its silence.
    assert (feeds["binance"].reconnects, feeds["bybit"].reconnects) == (4, 1)
    run.stop()
    await running


# -- the run itself ------------------------------------------------------------------------


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
