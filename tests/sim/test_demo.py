"""The demo: the whole engine on the simulated market, the same at any speed."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from msgspec.structs import replace

from engine.clock import NS
from engine.config import Config, load
from engine.jobs.demo import Demo, market_only
from engine.runtime import Engine, pipeline
from engine.sim.venues import base
from engine.snapshot import Snapshot
from engine.store.reader import Reader

TWO = [{"id": "BTCUSDT", "class": "layer1"}, {"id": "PEPEUSDT", "class": "meme"}]


def config_of(symbols: list[dict[str, str]] | None = TWO, **feed: Any) -> Config:
    """Binance alone."""
    others = {name: {"enabled": False} for name in load()[0].feeds}
    overrides: dict[str, Any] = {"feeds": {**others, "binance": {"enabled": True, **feed}}}
    if symbols:
        overrides["symbols"] = symbols
    return load(overrides=overrides)[0]


def steps_of(demo: Demo) -> list[Snapshot]:
    """A list that will hold the picture of every step of a demo."""
    out: list[Snapshot] = []
    pipeline = demo.engine.pipeline
    inner = pipeline._on_step

    def stepped(now: int, decisions: Any) -> None:
        inner(now, decisions)
        out.append(replace(demo.engine.latest(), speed=None))

    pipeline._on_step = stepped
    return out


async def play(
    speed: float | None, seed: int = 1, seconds: float = 32, **feed: Any
) -> tuple[Demo, list[Snapshot]]:
    demo = Demo(config_of(**feed), seed=seed, speed=speed, seconds=seconds)
    steps = steps_of(demo)
    await demo.run()
    assert demo.unsettled == 0
    return demo, steps


@pytest.mark.slow
async def test_the_same_seed_shows_the_same_in_real_time() -> None:
    """And beside it as fast as it goes."""
    runs = await asyncio.gather(*(play(s, seconds=22, backfill=False) for s in (1.0, None)))
    slow, fast = ([msgspec.json.encode(step) for step in steps] for _, steps in runs)
    assert len(slow) >= 2
    assert slow == fast


@pytest.mark.slow
async def test_with_history_it_shows_the_same_at_any_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fortieth of the past takes the path of the whole: candles, both warm-ups, every mode."""
    shorter = {window: reach // 40 for window, reach in pipeline.WARM_REACH.items()}
    monkeypatch.setattr(pipeline, "WARM_REACH", shorter)
    runs = await asyncio.gather(*(play(s, seconds=31) for s in (10.0, None)))
    slow, fast = ([msgspec.json.encode(step) for step in steps] for _, steps in runs)
    assert len(slow) >= 3
    assert slow == fast
    for demo, steps in runs:
        assert demo.engine.pipeline.warmed
        assert None not in {mode.bias for mode in steps[-1].symbols[0].modes.values()}


async def test_another_seed_shows_another_market() -> None:
    _, one = await play(None, seconds=12, backfill=False)
    _, two = await play(None, seed=2, seconds=12, backfill=False)
    assert one[-1].symbols[0].price.last != two[-1].symbols[0].price.last


async def test_speed_is_a_ceiling() -> None:
    loop = asyncio.get_running_loop()
    demo = Demo(config_of(backfill=False), speed=4.0, seconds=8)
    running = asyncio.create_task(demo.run())
    await demo.clock.used.wait()
    began = loop.time()
    await running
    assert loop.time() - began > 1.8
    assert 0 < (demo.latest().speed or 0) < 4.3


async def test_the_picture_is_there_before_the_market() -> None:
    demo = Demo(config_of())
    picture = demo.latest()
    assert picture.mode_of_data == demo.mode_of_data == "demo"
    assert [s.id for s in picture.symbols] == ["BTCUSDT", "PEPEUSDT"]
    assert picture.symbols[0].price.last is None
    assert demo.at(0) is None
    assert demo.detail("BTCUSDT", frozenset()).symbol == "BTCUSDT"
    demo.stop()
    await demo.run()
    assert demo.latest().finished


async def test_stop_ends_the_run_and_frees_the_ports() -> None:
    demo = Demo(config_of(backfill=False), speed=None)
    running = asyncio.create_task(demo.run())
    await demo.clock.sleep(3.0)
    assert demo.latest().symbols[0].price.last
    demo.stop()
    await asyncio.wait_for(running, 10)
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", demo.venue.ports.rest.number)


async def test_cancelling_leaves_nothing_behind() -> None:
    before = len(asyncio.all_tasks())
    running = asyncio.create_task(Demo(config_of(backfill=False), speed=None).run())
    await asyncio.sleep(2.0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0.1)
    assert len(asyncio.all_tasks()) == before


async def test_a_demo_is_labelled_in_its_database(tmp_path: Path) -> None:
    demo = Demo(config_of(backfill=False), speed=None, seconds=25, db=tmp_path / "demo.db")
    await demo.run()
    with Reader(tmp_path / "demo.db") as history:
        assert history.meta.mode_of_data == "demo"


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(KeyError):
        Demo(config_of(), scenario="moon")


@pytest.mark.slow
async def test_all_symbols_and_modes_have_a_bias_within_a_minute() -> None:
    demo = Demo(config_of(None), speed=None, seconds=61)
    await demo.run()
    picture = demo.latest()
    assert demo.unsettled == 0
    assert len(picture.symbols) == 21
    lacking = [
        (symbol.id, mode)
        for symbol in picture.symbols
        for mode, composite in symbol.modes.items()
        if composite.bias is None
    ]
    assert lacking == []
    feed = picture.feeds["binance"]
    assert feed.state == "ready"
    assert (feed.gaps, feed.reconnects) == (0, 0)
    assert 600 < feed.frames / 61 < 2500


def everything() -> Config:
    """A config of all feeds, without history."""
    feeds = {name: {"backfill": False} for name in load()[0].feeds}
    return load(overrides={"symbols": TWO, "feeds": feeds})[0]


def all_feeds(seconds: float, speed: float | None = None) -> Demo:
    """A demo of all feeds that does not wait for the warm-up, which other tests wait for."""
    demo = Demo(everything(), speed=speed, seconds=seconds)

    async def warmed(minutes: float) -> None:
        """As if it had been."""

    demo.engine._warm = warmed
    return demo


@pytest.mark.slow
async def test_all_feeds_run_and_follow_the_reference() -> None:
    """Each is up within 20 s, and its prices are about the reference's."""
    demo = all_feeds(31)
    running = asyncio.create_task(demo.run())
    await demo.clock.sleep(20.0)
    feeds = demo.latest().feeds
    assert set(demo.venues) == set(demo.config.feeds) == set(base.venue_names())
    assert {f.state for f in feeds.values()} <= {"ready", "partial"}, feeds
    assert all(f.frames and not (f.gaps or f.reconnects) for f in feeds.values())
    for name in ("bybit", "okx", "bitget", "gate"):
        assert feeds[name].state == "ready"
        venue, market = demo.venues[name], demo.engine.pipeline.market
        assert isinstance(venue, base.ShadowVenue)
        for contract, truth in zip(venue.shadow.contracts, venue.shadow.books, strict=True):
            book = market.listed[name, contract.id].book
            assert (book.synced, book.seq) == (True, truth.seq)
            assert len(book.bids) == len(truth.bids)
    await running
    assert demo.unsettled == 0


def without_receipts(picture: Snapshot) -> Snapshot:
    """Which of a venue's sockets brings its first frame is the machine's choice."""
    feeds = {
        name: replace(feed, offset_ms=None, lag_p50_ms=None, lag_p99_ms=None)
        for name, feed in picture.feeds.items()
    }
    return replace(picture, feeds=feeds)


@pytest.mark.slow
async def test_all_feeds_show_the_same_at_any_speed() -> None:
    runs = []
    for speed in (6.0, None):
        demo = all_feeds(32, speed)
        steps = steps_of(demo)
        await demo.run()
        assert demo.unsettled == 0
        runs.append([msgspec.json.encode(without_receipts(step)) for step in steps])
    assert len(runs[0]) >= 3
    assert runs[0] == runs[1]


@pytest.mark.slow
async def test_market_only_serves_a_cockpit_elsewhere() -> None:
    told: list[str] = []
    serving = asyncio.create_task(market_only(config_of(), announce=told.append))
    while not told:
        await asyncio.sleep(0.05)
        assert not serving.done()
    told_feeds = yaml.safe_load(told[0])["feeds"]
    assert [name for name, feed in told_feeds.items() if "urls" in feed] == ["binance"]
    assert not told_feeds["okx"]["enabled"]
    urls = told_feeds["binance"]["urls"]
    engine = Engine(config_of(urls=urls, backfill=False))
    running = asyncio.create_task(engine.run())
    for _ in range(200):
        await asyncio.sleep(0.05)
        if engine.latest().feeds["binance"].state == "ready":
            break
    picture = engine.latest()
    engine.stop()
    await running
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert picture.feeds["binance"].state == "ready"
    assert abs(picture.feeds["binance"].offset_ms or 0) < 2000
    assert all(symbol.price.last for symbol in picture.symbols)
    assert picture.ts > 1_700_000_000 * NS
