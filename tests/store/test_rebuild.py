"""Past decisions of real engine runs, rebuilt from the file they left behind, bit for bit."""

import asyncio
import random
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from engine.config import Config, load
from engine.decision.decide import Decision
from engine.jobs.offline import Offline
from engine.sim.market import SCENARIOS
from engine.snapshot import MODES
from engine.store.errors import StoreError
from engine.store.reader import Reader
from engine.store.rebuild import Rebuilt, rebuild, rebuild_all

NS = 1_000_000_000
SYMBOLS = {"BTCUSDT": "layer1", "ETHUSDT": "layer1", "DOGEUSDT": "meme", "LINKUSDT": "defi"}
FEEDS = ("binance", "bybit")
LATER = "2026-01-14T16:00:00+00:00"
Steps = list[tuple[int, list[Decision]]]


def config_of(**more: object) -> Config:
    feeds = {name: {"enabled": name in FEEDS} for name in load()[0].feeds}
    listed = [{"id": symbol, "class": group} for symbol, group in SYMBOLS.items()]
    return load(overrides={"symbols": listed, "feeds": feeds, **more})[0]


async def played(config: Config, db: Path, seed: int, seconds: float, start: str = "",
                 warm: float = 0, delisted: str = "") -> Steps:  # fmt: skip
    """Minutes of the engine on a sparse market, kept in `db`.

    `delisted`: a symbol that the reference venue lists no more after two minutes.
    """
    steps: Steps = []
    scenario = SCENARIOS["default"]
    scenario = replace(scenario, start=start or scenario.start)

    def told(now: int, made: list[Decision]) -> None:
        steps.append((now, made))
        if delisted and len(steps) == 12:
            feed = run.engine.pipeline.feeds["binance"]
            feed._listed = feed._listed - {delisted}

    run = Offline(config, scenario, seed, seconds, rate=0.05, dt=1.0, warm_minutes=warm, db=db,
                  told=told)  # fmt: skip
    await run.run()
    return steps


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Steps]:
    """Two starts on one database, the second with other weights, gains, classes and cuts."""
    db = tmp_path_factory.mktemp("kept") / "h.db"

    async def both() -> Steps:
        first = await played(config_of(), db, seed=1, seconds=315, warm=60)
        modes = {m: {"gain": 3.3} for m in MODES}
        other = config_of(modes=modes, categories={"order_flow": 2.5, "momentum": 0.0},
                          class_priors={"meme": {"order_book": 0.3}},
                          decision={"state_cuts": [10, 30], "min_cards": 7})  # fmt: skip
        return first + await played(
            other, db, seed=2, seconds=315, start=LATER, delisted="LINKUSDT"
        )

    return db, asyncio.run(both())


def decided(steps: Steps) -> list[tuple[Decision, int]]:
    return [(d, s) for _, made in steps for d in made for s, word in enumerate(d.decision) if word]


def assert_same(found: Rebuilt, live: Decision, s: int) -> None:
    """Every figure of one symbol, to the last bit."""
    assert (found.composite.ts, found.place) == (live.ts, s)
    assert found.composite.decision == live.decision[s]
    for name in ("scores", "confidence", "conflicted"):
        there = getattr(live.readings, {"scores": "score"}.get(name, name))
        absent = found.whole.scores == -128
        np.testing.assert_array_equal(
            np.where(absent, 0, getattr(found.whole, name)), np.where(absent, 0, there)
        )
    for field in ("bias", "total", "coverage", "available", "possible"):
        np.testing.assert_array_equal(getattr(found.parts, field)[s], getattr(live.parts, field)[s])
    for field in ("contribution", "points", "category_score", "category_conflicted",
                  "category_available", "category_total"):  # fmt: skip
        np.testing.assert_array_equal(
            getattr(found.parts, field)[:, s], getattr(live.parts, field)[:, s]
        )
    assert {n: x[s] for n, x in found.parts.lines.items()} == (
        {n: x[s] for n, x in live.parts.lines.items()}
    ) or np.isnan(live.parts.bias[s])
    assert found.category_state == tuple(row[s] for row in live.category_state)
    assert found.composite.bias == (None if np.isnan(live.parts.bias[s]) else live.parts.bias[s])


@pytest.mark.slow
def test_a_hundred_past_decisions_are_rebuilt_bit_for_bit(kept: tuple[Path, Steps]) -> None:
    path, steps = kept
    every = decided(steps)
    chosen = random.Random(3).sample(every, 100)
    versions, modes = set(), set()
    with Reader(path) as reader:
        for live, s in chosen:
            found = rebuild(reader, tuple(SYMBOLS)[s], live.mode, live.ts + 5 * NS)
            assert found is not None
            assert_same(found, live, s)
            assert found.composite.bias is None or found.parts.contribution[:, s].any()
            versions.add(found.composite.version)
            modes.add(found.mode)
        assert len(versions) == 3
        assert modes == set(MODES)
        assert reader.damaged == 0
    with sqlite3.connect(path) as connection:
        chunks = connection.execute("SELECT count(*) FROM score_chunks").fetchone()[0]
    assert chunks >= 2


@pytest.mark.slow
def test_all_symbols_of_an_instant_are_rebuilt_at_once(kept: tuple[Path, Steps]) -> None:
    path, steps = kept
    with Reader(path) as reader:
        for live in [d for _, made in steps for d in made][::9]:
            found = rebuild_all(reader, live.mode, live.ts)
            assert [f.symbol for f in found] == [
                symbol for symbol, word in zip(SYMBOLS, live.decision, strict=True) if word
            ]
            for one in found:
                assert_same(one, live, one.place)
        assert rebuild_all(reader, "day", steps[0][0] + 1) == []
        assert [f.symbol for f in rebuild_all(reader, live.mode, live.ts, ["ETHUSDT"])] == [
            "ETHUSDT"
        ]


@pytest.mark.slow
def test_what_lacks_is_said(kept: tuple[Path, Steps], tmp_path: Path) -> None:
    path, steps = kept
    live, s = decided(steps)[-1]
    symbol = tuple(SYMBOLS)[s]
    with Reader(path) as reader:
        assert rebuild(reader, symbol, live.mode, steps[0][0] - 1) is None
        assert rebuild(reader, "NOPEUSDT", live.mode, live.ts) is None
    copy = tmp_path / "copy.db"
    with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
        layout = "UPDATE versions SET layout = replace(layout, '\"own\":', '\"once\":')"
        target.execute(layout)
    with Reader(copy) as reader, pytest.raises(StoreError, match=r"older cockpit.*--replay"):
        rebuild(reader, symbol, live.mode, live.ts)
    with sqlite3.connect(copy) as target:
        target.execute("DELETE FROM readings")
    with Reader(copy) as reader, pytest.raises(StoreError, match="no longer its readings"):
        rebuild(reader, symbol, live.mode, live.ts)


@pytest.mark.slow
def test_cards_a_symbol_can_have_are_those_of_the_moment(kept: tuple[Path, Steps]) -> None:
    """A venue that no longer lists a symbol takes its cards away, from then on."""
    path, steps = kept
    link, after = list(SYMBOLS).index("LINKUSDT"), steps[-1][0]
    with Reader(path) as reader:
        possible = [f.composite.total for live, s in decided(steps) if s == link
                    for f in [rebuild(reader, "LINKUSDT", live.mode, live.ts)] if f]  # fmt: skip
        last = rebuild(reader, "LINKUSDT", "scalp", after)
        assert last is not None
        assert last.composite.bias is None
        assert last.parts.possible[link] == last.composite.total == min(possible) < max(possible)
