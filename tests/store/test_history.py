import asyncio
import json
import shutil
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from engine.store.errors import StoreError
from engine.store.history import QUEUE, History
from engine.store.reader import Reader
from engine.store.records import (
    NONE,
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
STEP = 10 * NS
META = Meta(mode_of_data="live", program="0.1.0", opened=START)
CATALOGUE = Catalogue(
    symbols=("BTCUSDT", "ETHUSDT", "PEPEUSDT"),
    groups=("layer1", "layer1", "meme"),
    modes=("scalp", "day"),
    windows={"scalp": {"10s": 0.2, "1m": 0.5, "5m": 0.3}, "day": {"1m": 0.1, "1h": 0.9}},
    categories=("order_flow", "momentum"),
    cards=(
        CardFact("cvd", "order_flow"),
        CardFact("delta", "order_flow", prior=0.25, level=True),
        CardFact("rsi", "momentum", scope="market", role="context"),
    ),
    facts={"gain": {"scalp": 3.0, "day": 0.1 + 0.2}, "cuts": [20, 40]},
    weights=np.array([[1.0, 0.1, -1.0], [1 / 3, np.pi, 4.0]]),
    have=np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1]], bool),
)
RNG = np.random.default_rng(7)


def scores(catalogue: Catalogue = CATALOGUE) -> StepRecord:
    return StepRecord(0, RNG.integers(-128, 128, catalogue.shape).astype(np.int8))


def decision(ts: int, mode: int, catalogue: Catalogue = CATALOGUE) -> DecisionRecord:
    windows = len(catalogue.windows[catalogue.modes[mode]])
    _, cards, symbols = catalogue.shape
    bias = RNG.normal(0, 40, symbols)
    bias[1] = np.nan
    agreement = RNG.random(symbols)
    agreement[1] = np.nan
    return DecisionRecord(
        ts=ts,
        mode=mode,
        bias=bias,
        conviction=RNG.random(symbols) * 100,
        agreement=agreement,
        coverage=RNG.random(symbols),
        decision=("LEAN LONG", "WAIT", ""),
        state=("BULLISH", "NEUTRAL", ""),
        windows=RNG.choice(np.array([-1, 0, 1, NONE], np.int8), (windows, symbols)),
        available=np.arange(symbols),
        total=np.full(symbols, cards),
        confidence=RNG.integers(-128, 128, (cards, symbols)).astype(np.int8),
        conflicted=RNG.random((cards, symbols)) < 0.5,
        beta=np.array([127, 190, -3]),
        lines={"btc_stress": RNG.normal(size=symbols), "compression": RNG.normal(size=symbols)},
    )


def batch(k: int, catalogue: Catalogue = CATALOGUE) -> Batch:
    ts = START + k * STEP
    modes = [0] * (k % 3 == 0) + [1] * (k % 6 == 0)
    bar = np.array([100.0 + k, np.nan, 1e-5])
    flow = np.array([5.5, np.nan, np.nan])
    return Batch(
        step=StepRecord(ts, scores(catalogue).scores),
        decisions=tuple(decision(ts, mode, catalogue) for mode in modes),
        bars=(BarRecord(ts - 60 * NS, bar, bar, bar, bar, flow, flow, flow),) * (k % 6 == 0),
        health=(HealthRecord(ts, "binance", "ready", k, 1, 2, 3, 4, None if k else 0.25),),
    )


async def write(path: Path, batches: list[Batch], catalogue: Catalogue = CATALOGUE) -> None:
    history = await History.open(path, META, catalogue)
    for item in batches:
        assert history.put(item)
    await history.close()
    assert history.problems.errors == 0, history.problems


async def test_scores_come_back_bit_for_bit_from_chunks_and_the_one_under_way(
    tmp_path: Path,
) -> None:
    batches = [batch(k) for k in range(70)]
    await write(tmp_path / "h.db", batches)
    with sqlite3.connect(tmp_path / "h.db") as raw:
        counts = [
            raw.execute(f"SELECT count(*) FROM {t}").fetchone()[0]
            for t in ("score_chunks", "score_steps")
        ]
    raw.close()
    assert counts == [2, 10]
    written = np.array([b.step.scores for b in batches if b.step])
    with Reader(tmp_path / "h.db") as reader:
        for m, mode in enumerate(CATALOGUE.modes):
            for c, card in enumerate(CATALOGUE.cards):
                for s, symbol in enumerate(CATALOGUE.symbols):
                    times, found = reader.scores(symbol, mode, card.id, 0, 2**62)
                    assert times.tolist() == [b.ts for b in batches]
                    np.testing.assert_array_equal(found, written[:, m, c, s])
        times, _ = reader.scores("BTCUSDT", "day", "cvd", START + 25 * STEP, START + 65 * STEP)
        assert times.tolist() == [START + k * STEP for k in range(25, 65)]
        assert reader.newest() == START + 69 * STEP
        assert reader.symbols() == CATALOGUE.symbols


async def test_a_decision_has_all_it_was_made_of(tmp_path: Path) -> None:
    batches = [batch(k) for k in range(40)]
    await write(tmp_path / "h.db", batches)
    with Reader(tmp_path / "h.db") as reader:
        for k, place in ((0, 0), (14, 0), (39, 1), (36, 1)):
            symbol = CATALOGUE.symbols[place]
            made = batches[k // 6 * 6]
            step, truth = made.step, made.decisions[1]
            found = reader.decision(symbol, "day", START + k * STEP + 5)
            assert found is not None
            assert step is not None
            assert found.composite.ts == truth.ts
            np.testing.assert_array_equal(found.scores, step.scores[1, :, place])
            np.testing.assert_array_equal(found.confidence, truth.confidence[:, place])
            np.testing.assert_array_equal(found.conflicted, truth.conflicted[:, place])
            assert found.beta == truth.beta[place]
            assert found.lines == {name: line[place] for name, line in truth.lines.items()}
            np.testing.assert_array_equal(found.weights, CATALOGUE.weights[1])
            np.testing.assert_array_equal(found.have, CATALOGUE.have[:, place])
            assert found.version.created == START
        assert reader.decision("BTCUSDT", "day", START - 1) is None
        assert reader.decision("PEPEUSDT", "day", 2**62) is None
        assert reader.decision("XRPUSDT", "day", 2**62) is None


async def test_composites_keep_their_floats_and_their_gaps(tmp_path: Path) -> None:
    batches = [batch(k) for k in range(7)]
    await write(tmp_path / "h.db", batches)
    with Reader(tmp_path / "h.db") as reader:
        rows = reader.composites("BTCUSDT", "scalp", START, START + 6 * STEP)
        assert [row.ts for row in rows] == [START, START + 3 * STEP]
        first, truth = rows[0], batches[0].decisions[0]
        assert first.bias == truth.bias[0]
        assert first.conviction == truth.conviction[0]
        assert first.agreement == truth.agreement[0]
        assert first.coverage == truth.coverage[0]
        assert (first.decision, first.state) == ("LEAN LONG", "BULLISH")
        assert (first.available, first.total) == (0, 3)
        signs = [None if sign == NONE else sign for sign in truth.windows[:, 0].tolist()]
        assert first.windows == dict(zip(("10s", "1m", "5m"), signs, strict=True))
        other = reader.composites("ETHUSDT", "scalp", START, START + 1)[0]
        assert (other.bias, other.agreement, other.decision) == (None, None, "WAIT")
        assert reader.composites("PEPEUSDT", "scalp", START, 2**62) == []


async def test_bars_and_health_come_back(tmp_path: Path) -> None:
    batches = [batch(k) for k in range(13)]
    await write(tmp_path / "h.db", batches)
    with Reader(tmp_path / "h.db") as reader:
        bars = reader.bars("BTCUSDT", 0, 2**62)
        assert bars.ts.tolist() == [START + (6 * k - 6) * STEP for k in range(3)]
        assert bars.close.tolist() == [100.0, 106.0, 112.0]
        assert bars.buy.tolist() == [5.5] * 3
        assert len(reader.bars("ETHUSDT", 0, 2**62).ts) == 0
        assert np.isnan(reader.bars("PEPEUSDT", 0, 2**62).trades).all()
        health = reader.health(START, START + 2 * STEP)
        assert health == [batches[0].health[0], batches[1].health[0]]


async def test_a_version_comes_back_exactly_and_an_equal_one_is_not_kept_twice(
    tmp_path: Path,
) -> None:
    path = tmp_path / "h.db"
    await write(path, [batch(0)])
    await write(path, [batch(3)])
    with Reader(path) as reader:
        found = reader.version(1).catalogue
        rows = reader.composites("BTCUSDT", "scalp", 0, 2**62)
    assert [row.version for row in rows] == [1, 1]
    assert found.weights.tobytes() == CATALOGUE.weights.tobytes()
    np.testing.assert_array_equal(found.have, CATALOGUE.have)
    for name in ("symbols", "groups", "modes", "windows", "categories", "cards", "facts"):
        assert getattr(found, name) == getattr(CATALOGUE, name)


async def test_a_changed_catalogue_begins_a_version_and_a_chunk(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    later = Catalogue(
        symbols=("ETHUSDT", "BTCUSDT"),
        groups=("layer1", "layer1"),
        modes=("day", "scalp"),
        windows=CATALOGUE.windows,
        categories=CATALOGUE.categories,
        cards=(*CATALOGUE.cards[::-1], CardFact("macd", "momentum")),
        facts={},
        weights=np.ones((2, 4)),
        have=np.ones((4, 2), bool),
    )
    history = await History.open(path, META, CATALOGUE)
    history.put(batch(0))
    history.describe(later)
    plain = [Batch(step=StepRecord(START + k * STEP, scores(later).scores)) for k in range(1, 40)]
    for item in plain:
        history.put(item)
    await history.close()
    with Reader(path) as reader:
        times, found = reader.scores("BTCUSDT", "scalp", "cvd", 0, 2**62)
        assert len(times) == 40
        assert found[1:].tolist() == [b.step.scores[1, 2, 1] for b in plain if b.step]
        assert len(reader.scores("BTCUSDT", "scalp", "macd", 0, 2**62)[0]) == 39
        assert reader.scores("PEPEUSDT", "scalp", "cvd", 0, 2**62)[0].tolist() == [START]
    with sqlite3.connect(path) as raw:
        facts = raw.execute("SELECT facts FROM versions ORDER BY id").fetchall()
        assert [json.loads(text) for (text,) in facts] == [CATALOGUE.facts, {}]
    raw.close()


async def test_an_instant_written_again_replaces_itself(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    await write(path, [batch(k) for k in range(33)])
    again = [batch(k) for k in range(33)]
    await write(path, again)
    with Reader(path) as reader:
        times, found = reader.scores("BTCUSDT", "day", "delta", 0, 2**62)
        assert times.tolist() == [b.ts for b in again]
        assert found.tolist() == [b.step.scores[1, 1, 0] for b in again if b.step]
        bias = [row.bias for row in reader.composites("BTCUSDT", "day", 0, 2**62)]
        assert bias == [b.decisions[1].bias[0] for b in again[::6]]


async def test_reading_beside_the_writer_sees_whole_steps(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = await History.open(path, META, CATALOGUE)
    history.put(batch(0))
    await history.drain()
    with Reader(path) as reader:
        for k in range(1, 65):
            history.put(batch(k))
            times, _ = reader.scores("ETHUSDT", "day", "rsi", 0, 2**62)
            assert times.tolist() == [START + n * STEP for n in range(len(times))]
            await asyncio.sleep(0)
        await history.drain()
        assert len(reader.scores("ETHUSDT", "day", "rsi", 0, 2**62)[0]) == 65
    await history.close()


async def test_a_copied_file_reads_in_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    await write(tmp_path / "h.db", [batch(k) for k in range(4)])
    folder = tmp_path / "copy #1?"
    folder.mkdir()
    shutil.copy(tmp_path / "h.db", folder / "h.db")
    folder.chmod(0o555)
    try:
        with Reader(folder / "h.db") as reader:
            assert reader.newest() == START + 3 * STEP
            assert reader.meta == META
            assert reader.created == START
    finally:
        folder.chmod(0o755)


async def test_a_full_queue_drops_and_counts_and_never_waits(tmp_path: Path) -> None:
    history = await History.open(tmp_path / "h.db", META, CATALOGUE)
    item = Batch(health=batch(0).health)
    taken = [history.put(item) for _ in range(QUEUE + 5)]
    assert taken == [True] * QUEUE + [False] * 5
    assert history.problems.dropped == 5
    await history.close()
    assert not history.put(item)


async def test_a_batch_that_does_not_fit_is_lost_alone(tmp_path: Path) -> None:
    history = await History.open(tmp_path / "h.db", META, CATALOGUE)
    history.put(Batch(step=StepRecord(START, np.zeros((2, 3, 9), np.int8))))
    await history.drain()
    assert history.problems.lost == 1
    assert "scores (2, 3, 9) do not fit" in history.problems.last
    history.put(batch(1))
    await history.close()
    assert history.problems.last == ""
    with Reader(tmp_path / "h.db") as reader:
        assert reader.newest() == START + STEP


async def test_closing_releases_the_file_and_an_abandoned_writer_too(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = await History.open(path, META, CATALOGUE)
    history.put(batch(0))
    await history.drain()
    task = history._task
    assert task is not None
    task.cancel()
    await asyncio.wait([task])
    await history.close()
    await write(path, [batch(1)])


async def test_a_damaged_chunk_is_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    await write(path, [batch(k) for k in range(65)])
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE score_series SET data = x'0102' WHERE chunk = 1")
        raw.execute("UPDATE readings SET data = x'00'")
    raw.close()
    with Reader(path) as reader:
        assert len(reader.scores("BTCUSDT", "day", "cvd", 0, 2**62)[0]) == 35
        found = reader.decision("BTCUSDT", "day", START)
        assert found is not None
        assert (found.scores, found.confidence, found.beta, found.lines) == (None, None, None, {})
        assert reader.damaged == 3


async def test_the_event_loop_is_never_held(tmp_path: Path) -> None:
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            worst = max(worst, time.perf_counter() - before)

    history = await History.open(tmp_path / "h.db", META, CATALOGUE)
    watcher = asyncio.create_task(watch())
    for k in range(40):
        history.put(batch(k))
    await history.drain()
    watcher.cancel()
    await history.close()
    # Two busy cores can take a slice from anybody; a synchronous commit would show as more.
    assert worst < 0.1


async def test_only_the_same_mode_of_data_joins_a_file(tmp_path: Path) -> None:
    await write(tmp_path / "h.db", [batch(0)])
    demo = Meta(mode_of_data="demo", program="0.1.0", opened=START)
    with pytest.raises(StoreError, match="holds live data, which demo data must not join"):
        await History.open(tmp_path / "h.db", demo, CATALOGUE)
