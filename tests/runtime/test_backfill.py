"""History at the start: equal to the simulator's truth, kept, and not asked for twice.

The venues and feeds are the real ones, the history a real file; a market goes on while engines
come and go, and in one test the first of them is killed.
"""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from engine.clock import NS
from engine.config import load
from engine.events import OptionSummary
from engine.feeds.feed import Frame
from engine.store.reader import Reader

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests" / "statistics"
_spec = spec_from_file_location("backfill_world", SCRIPTS / "backfill_world.py")
script = module_from_spec(_spec)
_spec.loader.exec_module(script)
HOUR, TWO, World = script.HOUR, script.TWO, script.World
config_of, kept, planned = script.config_of, script.kept, script.planned
wrong_minutes = script.wrong_minutes


@pytest.mark.slow
async def test_history_of_all_feeds_is_the_truth() -> None:
    """All 21 symbols; budgets wide enough that it comes within a minute."""
    symbols = tuple(i.id for i in load()[0].instruments)
    config = config_of(None, request_weight=1e5)
    world = World(config, rate=0.02)
    await world.start()
    began = world.run.clock.now()
    await world.filled(joined=False)
    for symbol in symbols:
        assert world.wrong_cells(symbol, 60, 8 * 1440 - 2, began) == []
        assert world.wrong_cells(symbol, 3600, 180 * 24 - 2, began) == []
    counts = script.check_points(world, symbols)
    for name in ("binance_positioning", "bybit", "okx", "gate"):
        assert counts[f"{name} OpenInterest"] > 20 * (190 if name == "okx" else 700)
        assert counts[f"{name} global_accounts"] > 20 * (190 if name == "okx" else 700)
    for name in ("bybit", "okx", "bitget", "gate", "binance_positioning"):
        assert counts[f"{name} Funding"] > 20 * 90
    for name in ("hyperliquid", "dydx"):
        assert counts[f"{name} Funding"] > 18 * 715
    assert counts["deribit Funding"] > 12 * 715
    for (kind, venue, symbol), events in world.past.items():
        if kind in ("OpenInterest", "global_accounts") and venue != "bitget":
            assert script.holes(events, HOUR) == 0, (kind, venue, symbol)
    assert script.check_takers(world, "BTCUSDT") > 2 * 600
    volatility = world.past["OptionSummary", "deribit", "BTCUSDT"]
    assert len(volatility) >= 718
    assert all(isinstance(e, OptionSummary) and e.dvol for e in volatility.values())
    await world.stop()


@pytest.mark.slow
async def test_the_market_holds_what_the_reference_venue_tells() -> None:
    """Its series, read at whole hours of the past, are the simulator's."""
    world = World(config_of(feeds=("binance", "binance_positioning"), request_weight=1e5))
    await world.start()
    await world.filled()
    market, venue = world.engine.pipeline.market, world.run.network.venues["binance_positioning"]
    hour = world.run.clock.now() // NS // HOUR * HOUR
    hours = [hour - n * HOUR for n in range(1, 40)]
    series = market.history.series
    known = dict(zip(series.names, series.at([h * NS for h in hours]), strict=True))
    times = np.array(hours, dtype=float)
    for place in range(len(TWO)):
        for name in ("top_accounts", "top_positions", "global_accounts"):
            true = venue.ratio(name, place, times)
            np.testing.assert_allclose(np.exp(known[name][:, place]), true, rtol=2e-3)
        np.testing.assert_allclose(
            known["oi"][:, place], venue.positioning.interest(place, times), rtol=1e-6
        )
        when, rates = venue.positioning.settlements(place, hour, 20)
        stands = np.array([rates[when <= h][-1] for h in hours])
        np.testing.assert_allclose(known["funding"][:, place] + 1e-4, stands, atol=2e-8)
    await world.stop()


# -- starts ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_the_next_start_asks_only_for_what_is_missing(tmp_path: Path) -> None:
    """And ends with the same market; live data joins on both sides of the break."""
    world = World(config_of(), tmp_path / "h.db")
    await world.start()
    await world.filled()
    first = Counter(world.asked)
    final = planned(world)
    await world.stop()
    stored = kept(tmp_path / "h.db")
    assert {f: {a for n, a in stored if n == f} for f in final} == final
    assert max(first.values()) == 1, "nothing was asked twice"

    await world.away(240)
    world.past.clear()
    await world.start()
    await world.filled()
    again = Counter(world.asked)
    repeated = [key for key in again if key in stored]
    assert Counter(feed for feed, _ in repeated) == Counter(f for f, keys in final.items() if keys)
    assert len(again) < 0.45 * len(first)
    for symbol in TWO:
        assert world.wrong_cells(symbol, 60, 8 * 1440) == []
        assert world.wrong_cells(symbol, 3600, 179 * 24) == []
    counts = script.check_points(world, TWO)
    assert counts["binance_positioning OpenInterest"] > 2 * 700
    assert script.check_takers(world, "BTCUSDT") > 2 * 600
    drops = world.engine.latest().feeds
    assert {name: f.dropped_by_reason for name, f in drops.items() if "malformed" in f.note} == {}
    await world.stop()


@pytest.mark.slow
async def test_cut_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """Two starts, each ended early, then one to the end: every page but the probes once."""
    db = tmp_path / "h.db"
    world = World(config_of(feeds=("binance",), request_weight=60), db)
    asked: Counter[tuple[str, str]] = Counter()
    sizes = []
    for _ in range(2):
        await world.start()
        await world.until(75)
        asked.update(world.asked)
        assert not world.done()
        await world.stop()
        sizes.append(len(kept(db)))
    assert 0 < sizes[0] < sizes[1]
    await world.start()
    began = world.run.clock.now()
    await world.filled(joined=False)
    asked.update(world.asked)
    final = planned(world)["binance"]
    pages = [count for (_, key), count in asked.items() if key in final]
    assert len(pages) == len(final)
    # One page is asked for again at each later start, to see whether the past is still the same.
    assert sum(pages) <= len(final) + 2
    assert wrong_minutes(world, began) == []
    await world.stop()


CHILD = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from backfill_world import World, config_of
async def main():
    world = World(config_of(feeds=("binance",), request_weight=100), Path(sys.argv[2]))
    await world.start()
    while True:
        await world.until(1)
        await asyncio.sleep(0.05)
asyncio.run(main())
"""


@pytest.mark.slow
async def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """The process is killed without a word; the next one is another process on the same file."""
    db = tmp_path / "h.db"
    command = [sys.executable, "-c", CHILD, str(SCRIPTS), str(db)]
    child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})  # noqa: ASYNC220
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline and (not db.exists() or _count(db) < 25):
            assert child.poll() is None
            await asyncio.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    stored = kept(db)
    world = World(config_of(feeds=("binance",)), db)
    await world.start()
    began = world.run.clock.now()
    await world.filled(joined=False)
    final = planned(world)["binance"]
    assert 25 <= len(stored) < len(final)
    asked = Counter(world.asked)
    assert len(asked.keys() & stored) == 1, "the probe"
    assert {key for _, key in asked} >= final - {key for _, key in stored}
    assert wrong_minutes(world, began) == []
    await world.stop()
    assert {key for _, key in kept(db)} == final


def _count(db: Path) -> int:
    try:
        return len(kept(db))
    except sqlite3.Error:
        return 0


async def test_another_market_under_the_same_name_is_not_believed(tmp_path: Path) -> None:
    """The same history, but of another seed: all of it is asked for again."""
    db = tmp_path / "h.db"
    feeds = ("binance", "bybit")
    world = World(config_of(feeds=feeds), db)
    await world.start()
    await world.filled(joined=False)
    await world.stop()
    stored = kept(db)
    other = World(config_of(feeds=feeds), db, seed=2)
    await other.start()
    await other.filled(joined=False)
    assert set(other.asked) >= stored
    assert wrong_minutes(other, other.truth.start) == []
    await other.stop()
    assert kept(db) == stored


async def test_a_damaged_answer_is_asked_for_again(tmp_path: Path) -> None:
    db = tmp_path / "h.db"
    world = World(config_of(feeds=("bybit",)), db)
    await world.start()
    await world.filled(joined=False)
    await world.stop()
    keys = sorted(key for _, key in kept(db))
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE answers SET body = x'00' WHERE asked = ?", (keys[3],))
        connection.execute(
            "UPDATE answers SET body = (SELECT body FROM answers WHERE asked = ?) WHERE asked = ?",
            (keys[0], keys[4]),
        )
        connection.commit()
    await world.start()
    await world.filled(joined=False)
    assert ("bybit", keys[3]) in world.asked
    await world.stop()


async def test_without_a_table_it_fetches_and_says_so(tmp_path: Path) -> None:
    db = tmp_path / "h.db"
    world = World(config_of(feeds=("bybit",)), db)
    await world.start()
    await world.filled(joined=False)
    asked = set(world.asked)
    await world.stop()
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("DROP TABLE answers")
        connection.commit()
    await world.start()
    await world.filled(joined=False)
    assert {key for _, key in asked if "until" in key} <= {key for _, key in world.asked}
    said = [n.text for n in world.engine.latest().notices if n.severity == "warning"]
    assert any("history cannot be kept" in text for text in said)
    await world.stop()


async def test_a_locked_history_holds_nobody_up(tmp_path: Path) -> None:
    db = tmp_path / "h.db"
    world = World(config_of(feeds=("bybit",)), db)
    await world.start()
    with closing(sqlite3.connect(db, isolation_level=None, check_same_thread=False)) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        await world.filled(joined=False)
        other.execute("ROLLBACK")
    await world.stop()
    await world.start()
    await world.filled(joined=False)
    await world.stop()
    assert {key for _, key in kept(db)} == planned(world)["bybit"]


async def test_progress_is_told_by_feed() -> None:
    world = World(config_of(feeds=("bybit", "dydx", "coinbase"), request_weight=20))
    await world.start()
    await world.until(30)
    seen = world.engine.latest().feeds
    done, total = seen["bybit"].history or (0, 0)
    assert 0 < done < total
    assert seen["dydx"].history == (4, 4)
    assert seen["coinbase"].history is None
    await world.filled(joined=False)
    assert world.engine.latest().feeds["bybit"].history == (total, total)
    await world.stop()


async def test_kept_answers_are_recorded_like_the_venue_s(tmp_path: Path) -> None:
    """So a replay of the second start sees the same past."""
    world = World(config_of(feeds=("bybit",)), tmp_path / "h.db")
    await world.start()
    await world.filled(joined=False)
    await world.stop()
    frames: list[Frame] = []

    class Tape:
        problem = ""

        def put(self, frame: Frame) -> None:
            frames.append(frame)

        def close(self) -> None:
            """Nothing is open."""

    await world.start(Tape())
    await world.filled(joined=False)
    told = {(f.url.partition("?")[2], f.connection) for f in frames if "/v5/market/" in f.url}
    wanted = {(r.url.partition("?")[2], "rest")
              for r in world.engine.pipeline.feeds["bybit"].backfill(
                  world.engine.pipeline.first_step or world.run.clock.now(), TWO)
              if r.final}  # fmt: skip
    assert len(wanted & told) == len(wanted)
    await world.stop()


async def test_a_finished_history_can_be_read(tmp_path: Path) -> None:
    """Answers beside steps: the reader is not disturbed."""
    world = World(config_of(feeds=("bybit",)), tmp_path / "h.db")
    await world.start()
    await world.filled(joined=False)
    await world.until(12)
    await world.stop()
    with Reader(tmp_path / "h.db") as reader:
        assert reader.newest() is not None
