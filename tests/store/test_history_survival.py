"""Kills, full disks, foreign locks, retention: what was written stays, what can resume does."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.config import KeepDays, StoreConfig
from engine.store import upkeep
from engine.store.history import RETRIES, History
from engine.store.lock import Locked
from engine.store.reader import Reader
from engine.store.records import (
    BarRecord,
    Batch,
    CardFact,
    Catalogue,
    DecisionRecord,
    HealthRecord,
    Meta,
    StepRecord,
)

NS = 1_000_000_000
START = 1_795_000_200 * NS
META = Meta(mode_of_data="live", program="0.1.0", opened=START)
CATALOGUE = Catalogue(
    symbols=("BTCUSDT", "ETHUSDT"),
    groups=("layer1", "layer1"),
    modes=("scalp",),
    windows={"scalp": {"10s": 1.0}},
    categories=("momentum",),
    cards=tuple(CardFact(f"card_{n}", "momentum") for n in range(50)),
    facts={},
    weights=np.ones((1, 50)),
    have=np.ones((50, 2), bool),
)


def step(k: int) -> Batch:
    """A step whose scores tell its number."""
    return Batch(step=StepRecord(START + 10 * k * NS, np.full((1, 50, 2), k % 100, np.int8)))


def full(ts: int) -> Batch:
    """A row for every table; noise, so that blobs have a size."""
    rng = np.random.default_rng(ts % 2**32)
    real = np.ones(2)
    decision = DecisionRecord(
        ts, 0, real, real, real, real, ("WAIT",) * 2, ("NEUTRAL",) * 2, np.ones((1, 2), np.int8),
        np.ones(2, int), np.ones(2, int), rng.integers(0, 127, (50, 2)).astype(np.int8),
        rng.random((50, 2)) < 0.5, np.ones(2, int), {},
    )  # fmt: skip
    return Batch(
        step=StepRecord(ts, rng.integers(-127, 127, (1, 50, 2)).astype(np.int8)),
        decisions=(decision,),
        bars=(BarRecord(ts, *[real] * 7),),
        health=(HealthRecord(ts, "binance", "ready", 1, 0, 0, 0, 0, 0.1),),
    )


def stored(path: Path) -> list[int]:
    """Numbers of the steps in a database, after checking that each holds its own scores."""
    with Reader(path) as reader:
        times, scores = reader.scores("ETHUSDT", "scalp", "card_49", 0, 2**62)
    numbers: list[int] = ((times - START) // (10 * NS)).tolist()
    assert scores.tolist() == [k % 100 for k in numbers]
    return numbers


def count(path: Path, sql: str) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchone()[0]


def child(path: Path, body: str) -> list[str]:
    """A Python process that imports this file and runs `body` on it."""
    script = f"""
import asyncio, importlib.util, sys
spec = importlib.util.spec_from_file_location("survival", {__file__!r})
survival = importlib.util.module_from_spec(spec)
spec.loader.exec_module(survival)
from engine.store.history import History
from pathlib import Path
async def main(path):
    history = await History.open(path, survival.META, survival.CATALOGUE)
{body}
asyncio.run(main(Path({str(path)!r})))
"""
    return [sys.executable, "-c", script]


ENDLESS = """
    k = 0
    while True:
        history.put(survival.step(k))
        await history.drain()
        print(k, flush=True)
        k += 1
"""


def kill_after(path: Path, steps: int) -> int:
    """Kill -9 a writer; the last step that it said was on disk."""
    with subprocess.Popen(child(path, ENDLESS), stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= steps:
                break
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
    return max([steps, *map(int, rest)])


@pytest.mark.slow
@pytest.mark.parametrize("steps", [3, 30, 97])
def test_a_killed_writer_leaves_every_step_it_had_committed(tmp_path: Path, steps: int) -> None:
    path = tmp_path / "h.db"
    last = kill_after(path, steps)
    numbers = stored(path)
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= last + 1
    assert count(path, "PRAGMA integrity_check") == "ok"


@pytest.mark.slow
async def test_the_next_writer_goes_on_where_a_killed_one_ended(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    kill_after(path, 40)
    before = stored(path)
    history = await History.open(path, META, CATALOGUE)
    for k in range(len(before), len(before) + 60):
        history.put(step(k))
    await history.close()
    assert stored(path) == list(range(len(before) + 60))
    slots = count(path, "SELECT count(DISTINCT ts / 300000000000) FROM score_steps")
    assert slots == 1


LIMITED = """
    import resource
    for k in range(5):
        history.put(survival.step(k))
    await history.drain()
    size = Path(str(path) + "-wal").stat().st_size
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, unlimited[1]))
    for k in range(5, 15):
        history.put(survival.step(k))
    await history.drain()
    stuck = history.problems
    assert stuck.errors and stuck.waiting and not stuck.lost, stuck
    assert stuck.last.startswith("history not written: "), stuck
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    history.put(survival.step(15))
    await history.close()
    assert history.problems.last == "" and history.problems.lost == 0, history.problems
"""


@pytest.mark.slow
def test_a_disk_that_was_full_loses_nothing_once_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    subprocess.run(child(path, LIMITED), check=True, timeout=60)
    assert stored(path) == list(range(16))


async def test_a_disk_that_stays_full_loses_the_oldest_and_says_how_many(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = await History.open(path, META, CATALOGUE)
    history.put(step(0))
    await history.drain()
    limit = await history._database.execute_fetchall("PRAGMA page_count")
    await history._database.execute_fetchall(f"PRAGMA max_page_count = {next(iter(limit))[0]}")
    fill = [full(START + 10 * k * NS) for k in range(1, 200)]
    for item in fill:
        history.put(item)
    await history.drain()
    assert history.problems.last == "history not written: database or disk is full"
    lost = history.problems.lost
    assert lost > 0
    assert history.problems.waiting == RETRIES
    await history._database.execute_fetchall("PRAGMA max_page_count = 100000")
    history.put(step(200))
    await history.close()
    assert history.problems.last == ""
    assert history.problems.lost == lost
    with Reader(path) as reader:
        times, _ = reader.scores("BTCUSDT", "scalp", "card_0", 0, 2**62)
    assert len(times) == 201 - lost
    assert times.tolist()[-RETRIES - 1 :] == [
        START + 10 * k * NS for k in range(200 - RETRIES, 201)
    ]


async def test_another_program_s_lock_is_waited_out(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = await History.open(path, META, CATALOGUE)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        history.put(step(0))
        await history.drain()
        assert history.problems.last == "history not written: database is locked"
        other.execute("COMMIT")
    history.put(step(1))
    await history.close()
    assert history.problems.lost == 0
    assert stored(path) == [0, 1]


async def test_a_database_that_turns_read_only_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = await History.open(path, META, CATALOGUE)
    await history._database.execute_fetchall("PRAGMA query_only = 1")
    history.put(step(0))
    await history.drain()
    assert "readonly" in history.problems.last
    await history._database.execute_fetchall("PRAGMA query_only = 0")
    history.put(step(1))
    await history.close()
    assert stored(path) == [0, 1]


async def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = await History.open(path, META, CATALOGUE)
    with pytest.raises(Locked) as refused:
        await History.open(path, META, CATALOGUE)
    sentence = str(refused.value)
    assert f"being written by process {os.getpid()}, started 2026-11-18" in sentence
    assert "`blackperp-cockpit attach`" in sentence
    history.put(step(0))
    await history.close()
    assert stored(path) == [0]


async def test_each_table_is_kept_for_its_days(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    keep = KeepDays(bars=0.5, decisions=0.25, scores=0.125, health=0.0625)
    history = await History.open(path, META, CATALOGUE, StoreConfig(keep_days=keep))
    last = START + 600 * 100 * NS
    for k in range(601):
        history.put(full(START + k * 100 * NS))
        if k % 300 == 0:
            await history.drain()
    await history.close()
    kept = {"bars": 0.5, "composites": 0.25, "readings": 0.125, "feed_health": 0.0625}
    for table, days in kept.items():
        age = (last - count(path, f"SELECT min(ts) FROM {table}")) / NS
        assert days * 86400 <= age <= days * 86400 + 2 * 3600, table
    age = (last - count(path, "SELECT min(first) FROM score_chunks")) / NS
    assert 0.125 * 86400 <= age <= 0.125 * 86400 + 2 * 3600
    orphans = "SELECT count(*) FROM score_series WHERE chunk NOT IN (SELECT id FROM score_chunks)"
    assert count(path, orphans) == 0


async def test_deleted_history_gives_its_space_back_in_slices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "SLACK_PAGES", 16)
    monkeypatch.setattr(upkeep, "PAGES_A_SLICE", 8)
    path = tmp_path / "h.db"
    keep = StoreConfig(keep_days=KeepDays(1, 1, 1, 1), vacuum_hours=1.0)
    history = await History.open(path, META, CATALOGUE, keep)
    for k in range(900):
        history.put(full(START + 10 * k * NS))
        if k % 300 == 299:
            await history.drain()
    before = count(path, "PRAGMA page_count")
    for k in range(200):
        history.put(step(200_000 + k))
    await history.close()
    assert count(path, "PRAGMA page_count") < before / 2
    assert count(path, "PRAGMA freelist_count") <= 32
    assert count(path, "PRAGMA integrity_check") == "ok"
