"""The history at full size (173 cards, 21 symbols, 3 modes) and the recorder: what they cost.

    python tests/benchmarks/bench_store.py [STEPS]

Writes smooth synthetic scores step by step, scales the file to a day, reads it back while the
writer holds it, and prints each figure beside its budget.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.feeds.feed import Frame
from engine.store.history import History
from engine.store.reader import Reader
from engine.store.recordings import Recorder, read
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
DAY_STEPS = 8640
M, C, S = 3, 173, 21
EVERY = (3, 6, 30)
WINDOWS = (
    {"10s": 0.2, "1m": 0.5, "5m": 0.3},
    {"1m": 0.2, "5m": 0.4, "1h": 0.4},
    {"1h": 0.3, "4h": 0.4, "1d": 0.3},
)
RNG = np.random.default_rng(1)
MODES = ("scalp", "day", "swing")


def catalogue() -> Catalogue:
    return Catalogue(
        symbols=tuple(f"SYM{n}USDT" for n in range(S)),
        groups=("layer1",) * S,
        modes=MODES,
        windows=dict(zip(MODES, WINDOWS, strict=True)),
        categories=tuple(f"category_{n}" for n in range(25)),
        cards=tuple(CardFact(f"card_{n}", f"category_{n % 25}") for n in range(C)),
        facts={"gain": dict.fromkeys(MODES, 3.0)},
        weights=RNG.normal(1, 0.3, (M, C)),
        have=np.ones((C, S), bool),
    )


class Walk:
    """Mean-reverting readings, memories from half a minute to two hours; one card in 20 dead."""

    def __init__(self) -> None:
        memory = RNG.choice([30.0, 120.0, 600.0, 7200.0], (M, C, S))
        self.keep = np.exp(-10 / memory)
        self.kick = np.sqrt(1 - self.keep**2)
        self.x = RNG.normal(size=(M, C, S))
        self.q = RNG.normal(size=(M, C, S))
        self.dead = RNG.random(C) < 0.05

    def batch(self, k: int) -> Batch:
        self.x = self.keep * self.x + self.kick * RNG.normal(size=self.x.shape)
        self.q = self.keep * self.q + self.kick * RNG.normal(size=self.x.shape)
        scores = np.rint(127 * np.tanh(self.x / 2)).astype(np.int8)
        scores[:, self.dead] = -128
        ts = START + k * 10 * NS
        modes = [m for m in range(M) if k % EVERY[m] == 0]
        price = RNG.normal(100, 1, S)
        bars = (BarRecord(ts - 60 * NS, *([price] * 7)),) if k % 6 == 0 else ()
        decisions = tuple(self.decide(ts, m) for m in modes)
        return Batch(StepRecord(ts, scores), decisions, bars, health(ts))

    def decide(self, ts: int, mode: int) -> DecisionRecord:
        agreement = RNG.choice(np.array([0.2, 0.5, 0.7, 0.8, 1.0]), (C, S))
        confidence = np.rint(127 * agreement * (0.9 + 0.1 * np.tanh(self.q[mode]))).astype(np.int8)
        real = RNG.random(S)
        return DecisionRecord(
            ts, mode, real * 100, real * 80, real, real, ("LEAN LONG",) * S, ("BULLISH",) * S,
            RNG.integers(-1, 2, (3, S)).astype(np.int8), np.full(S, 160), np.full(S, C),
            confidence, agreement < 0.5, RNG.integers(0, 190, S),
            {"btc_stress": RNG.normal(size=S), "compression": RNG.normal(size=S)},
        )  # fmt: skip


def health(ts: int) -> tuple[HealthRecord, ...]:
    return tuple(HealthRecord(ts, f"feed_{n}", "ready", 1, 0, 0, 0, 0, 0.1) for n in range(11))


def timed(times: int, work: Callable[[], object]) -> float:
    """Median milliseconds."""
    out = []
    for _ in range(times):
        before = time.perf_counter()
        work()
        out.append(1e3 * (time.perf_counter() - before))
    return statistics.median(out)


def percentiles(values: list[float]) -> str:
    ranked = sorted(values)
    return f"median {statistics.median(values):.2f}, p99 {ranked[int(0.99 * len(ranked))]:.2f}"


def watched(owner: Any, name: str) -> list[float]:
    """Milliseconds of every call of a coroutine method from now on."""
    work, out = getattr(owner, name), []

    async def call(*args: object) -> None:
        before = time.perf_counter()
        await work(*args)
        out.append(1e3 * (time.perf_counter() - before))

    setattr(owner, name, call)
    return out


async def watch(stalls: list[float]) -> None:
    """Milliseconds by which the loop came late to a timer."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        stalls.append(1e3 * (time.perf_counter() - before) - 1)


async def write(path: Path, steps: int) -> History:
    walk = Walk()
    history = await History.open(path, Meta("demo", "bench", START), catalogue())
    idle: list[float] = []
    stalls: list[float] = []
    watcher = asyncio.create_task(watch(idle))
    await asyncio.sleep(2)
    watcher.cancel()
    puts: list[float] = []
    writes = watched(history, "_write")
    chores = watched(history._upkeep, "turn")
    for k in range(steps):
        item = walk.batch(k)
        watcher = asyncio.create_task(watch(stalls))
        await asyncio.sleep(0)
        before = time.perf_counter()
        history.put(item)
        puts.append(1e6 * (time.perf_counter() - before))
        await history.drain()
        watcher.cancel()
    print(f"put                  {percentiles(puts)} us")
    print(f"step, off the loop   {percentiles(writes)} ms (budget 5)")
    print(f"upkeep after it      {percentiles(chores)} ms (p99: a chunk closes)")
    print(f"loop stall meanwhile {percentiles(stalls)}, worst {max(stalls):.1f} ms (budget 5)")
    print(f"loop stall idle      {percentiles(idle)}, worst {max(idle):.1f} ms")
    assert history.problems.errors == 0, history.problems
    return history


def sizes(path: Path, steps: int) -> None:
    pages = path.stat().st_size
    print(f"a day                {pages * DAY_STEPS / steps / 1e6:.0f} MB (budget 170)")


def reads(path: Path, steps: int) -> None:
    end = START + steps * 10 * NS
    hour = end - 3600 * NS
    with Reader(path) as reader:
        reader.scores("SYM3USDT", "day", "card_7", hour, end)
        one = timed(50, lambda: reader.scores("SYM3USDT", "day", "card_7", hour, end))
        rows = timed(50, lambda: reader.composites("SYM3USDT", "scalp", hour, end))
        found = timed(50, lambda: reader.decision("SYM3USDT", "day", hour + 1))
    print(f"one card's hour      {one:.2f} ms (budget 5)")
    print(f"an hour of biases    {rows:.2f} ms")
    print(f"one decision         {found:.2f} ms")


def record(folder: Path, count: int = 40_000) -> None:
    level = b'["%d.10","%d.335"],'
    data = [
        b'{"e":"depthUpdate","E":%d,"s":"BTCUSDT","b":[' % n
        + b"".join(level % (60000 + n % 977 - k, n * k % 1009) for k in range(12))
        + b'["1","0"]]}'
        for n in range(count)
    ]
    recorder = Recorder(folder)
    before = time.perf_counter()
    for n, payload in enumerate(data):
        recorder.put(Frame(START + n * 500_000, "binance", "public-1", "wss://fstream", payload))
    put = (time.perf_counter() - before) / count
    recorder.close()
    whole = time.perf_counter() - before
    size = sum(p.stat().st_size for p in folder.glob("*.zst"))
    raw = sum(map(len, data))
    print(f"recorder put         {1e6 * put:.2f} us; {count / whole:,.0f} frames/s to disk")
    print(f"recording            {size / raw:.3f} of {raw / count:.0f} B a frame")
    assert recorder.written == count, recorder.problems
    before = time.perf_counter()
    frames = sum(1 for _ in read(folder))
    print(f"reading back         {1e6 * (time.perf_counter() - before) / frames:.2f} us a frame")
    seek = timed(20, lambda: next(read(folder, START + (count - 100) * 500_000)))
    print(f"seek to near the end {seek:.2f} ms")


async def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 720
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        history = await write(path, steps)
        reads(path, steps)
        await history.close()
        sizes(path, steps)
        record(Path(folder) / "recordings")


if __name__ == "__main__":
    asyncio.run(main())
