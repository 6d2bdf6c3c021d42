"""Transitions in the history: written, read back with their context, kept, replayed."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.config import Config, KeepDays, StoreConfig, choose, load, read_layers
from engine.jobs.replay import Replay
from engine.snapshot import MODES, Transition
from engine.store.history import History
from engine.store.reader import Reader
from engine.store.records import Batch, CardFact, Catalogue, DecisionRecord, Meta, StepRecord
from engine.store.schema import MIGRATIONS, connect, prepare
from engine.store.turns import _TRANSITIONS
from engine.store.upkeep import DAY

NS = 1_000_000_000
START = 1_795_000_200 * NS
META = Meta(mode_of_data="demo", program="0.1.0", opened=START)
SYMBOLS = ("BTCUSDT", "ETHUSDT")
CATALOGUE = Catalogue(
    symbols=SYMBOLS, groups=("layer1", "layer1"), modes=("day", "swing"),
    windows={"day": {"1m": 1.0}, "swing": {"1h": 1.0}}, categories=("order_flow",),
    cards=(CardFact("cvd", "order_flow"),), facts={}, weights=np.ones((2, 1)),
    have=np.ones((1, 2), bool),
)  # fmt: skip
WIRE = Path(__file__).parents[2].parent / "shared" / "wire" / "binance_usdm"


def turn(ts: int, subject: str = "composite", id: str = "", kind: str = "flip", *,
         symbol: str = "BTCUSDT", mode: str = "day", price: float | None = 94_200.5,
         context: tuple[float | None, ...] = (None, None, None)) -> Transition:  # fmt: skip
    return Transition(ts, mode, symbol, subject, id, kind, -1, price, 1 / 3, -2 / 7, *context)


def decided(ts: int) -> Batch:
    """A day decision of both symbols."""
    full, some = np.full(2, 0.75), np.array([0.3, 0.4])
    ones = np.ones(2, np.int64)
    decision = DecisionRecord(
        ts=ts, mode=0, bias=full, conviction=10 * some, agreement=np.array([0.9, np.nan]),
        coverage=some, decision=("WAIT", "WAIT"), state=("NEUTRAL", "NEUTRAL"),
        windows=np.zeros((1, 2), np.int8), available=ones, total=ones,
        confidence=np.ones((1, 2), np.int8), conflicted=np.zeros((1, 2), bool), beta=ones, lines={},
    )  # fmt: skip
    return Batch(step=StepRecord(ts, np.zeros((2, 1, 2), np.int8)), decisions=(decision,))


async def write(path: Path, *batches: Batch, config: StoreConfig | None = None) -> None:
    history = await History.open(path, META, CATALOGUE, config)
    for batch in batches:
        assert history.put(batch)
    await history.close()
    assert history.problems.errors == 0, history.problems


async def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    path, later = tmp_path / "h.db", START + 60 * NS
    one = [
        turn(START),
        turn(START, "category", "order_flow", "deceleration", price=None),
        turn(START, "card", "cvd", "exhaustion"),
    ]
    two = [turn(later, mode="swing"), turn(later, symbol="ETHUSDT"), turn(later, "card", "cvd")]
    await write(path, Batch(transitions=tuple(one)), Batch(transitions=tuple(two)))
    with Reader(path) as reader:
        end = later + 1
        assert reader.transitions("BTCUSDT", START, end) == [*one, two[0], two[2]]
        assert reader.transitions("BTCUSDT", START, later) == one
        assert reader.transitions("BTCUSDT", later, end) == [two[0], two[2]]
        assert reader.transitions("ETHUSDT", START, end) == [two[1]]
        assert reader.transitions("BTCUSDT", START, end, mode="swing") == [two[0]]
        assert reader.transitions("BTCUSDT", START, end, subject="card") == [one[2], two[2]]
        assert reader.transitions("BTCUSDT", START, end, "swing", "card") == []
        assert reader.transitions("NOUSDT", START, end) == []


async def test_their_context_is_the_decision_s_of_the_same_instant(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    made = (
        turn(START, context=(0.9, 0.3, 3.0)),
        turn(START, "card", "cvd", context=(0.9, 0.3, 3.0)),
        turn(START, symbol="ETHUSDT", context=(None, 0.4, 4.0)),
    )
    batch = msgspec.structs.replace(decided(START), transitions=made)
    await write(path, decided(START - 60 * NS), batch, batch)
    with Reader(path) as reader:
        for symbol in SYMBOLS:
            wanted = [t for t in made if t.symbol == symbol]
            assert reader.transitions(symbol, START - DAY, START + DAY) == wanted


async def test_those_of_cards_are_kept_as_scores_the_others_as_decisions(tmp_path: Path) -> None:
    path, now = tmp_path / "h.db", START + 5 * DAY
    config = StoreConfig(keep_days=KeepDays(decisions=4, scores=2))
    old = [
        turn(START + days * DAY, subject, id, kind)
        for days in (0, 2, 4)
        for subject, id in (("composite", ""), ("category", "order_flow"), ("card", "cvd"))
        for kind in ("flip", "conflict_ends")
    ]
    ticks = [Batch(transitions=(turn(now + n * NS, symbol="ETHUSDT"),)) for n in range(60)]
    await write(path, Batch(transitions=tuple(old)), *ticks, config=config)
    with Reader(path) as reader:
        kept = {(t.subject, (t.ts - START) // DAY) for t in reader.transitions("BTCUSDT", 0, now)}
    assert kept == {("composite", 2), ("composite", 4), ("category", 2), ("category", 4),
                    ("card", 4)}  # fmt: skip


def test_an_older_history_gets_its_table(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    place = next(n for n, each in enumerate(MIGRATIONS) if "TABLE transitions" in each[0])
    with closing(connect(path)) as connection:
        for statement in (x for each in MIGRATIONS[:place] for x in each):
            connection.execute(statement)
        connection.execute("PRAGMA application_id = 1112556337")
        connection.execute(f"PRAGMA user_version = {place}")
        connection.execute("INSERT INTO symbols VALUES (1, 'BTCUSDT')")
        connection.execute("INSERT INTO meta VALUES ('mode_of_data', 'demo')")
    prepare(path, META)
    with Reader(path) as reader:
        assert reader.transitions("BTCUSDT", 0, START) == []
        assert reader.symbols() == ("BTCUSDT",)


def test_a_stretch_is_found_by_the_key(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    prepare(path, META)
    with closing(sqlite3.connect(path)) as raw:
        plan = raw.execute(f"EXPLAIN QUERY PLAN {_TRANSITIONS}", ("BTCUSDT", 0, 0, 1)).fetchall()
    lines = [row[3] for row in plan]
    assert any("SEARCH t USING PRIMARY KEY (symbol=? AND level=? AND ts>?" in x for x in lines)
    assert not any(line.startswith("SCAN") for line in lines)


@pytest.mark.slow
@pytest.mark.wire
@pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout")
async def test_a_replay_makes_and_keeps_the_same_twice(folder: Path, tmp_path: Path) -> None:
    replace = msgspec.structs.replace
    config, _ = load(overrides=choose(read_layers(), SYMBOLS))
    # Enough gain, and cuts so low, that the few minutes of the recordings bring some.
    modes = {name: replace(config.modes[name], gain=12.0) for name in MODES}
    rules = replace(config.decision, state_cuts=(4.0, 10.0), hysteresis=1.0)
    config = replace(config, modes=replace(config.modes, **modes), decision=rules)
    one = await played(config, folder, tmp_path / "1.db")
    other = await played(config, folder, tmp_path / "2.db")
    assert one == other
    stored, shown, detail = one
    assert {t.subject for t in stored} == {"composite", "category", "card"}
    assert {t.kind for t in stored} >= {"directional", "flip", "deceleration", "conflict_begins"}
    assert all(t.price is not None and t.conviction is not None for t in stored)
    wide = [t for t in stored if t.subject != "card"]
    assert 0 < len(shown) <= 200
    assert [t.ts for t in shown] == sorted((t.ts for t in shown), reverse=True)
    assert set(shown) <= set(wide)
    assert set(shown) == {t for t in wide if t.ts > shown[-1].ts} | {
        t for t in shown if t.ts == shown[-1].ts
    }
    assert "card" in {t.subject for t in detail}
    assert set(detail) <= set(stored)


Found = tuple[list[Transition], tuple[Transition, ...], tuple[Transition, ...]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """BTC's recording; the other says nothing more."""
    made = tmp_path / "wire"
    made.mkdir()
    shutil.copy(WIRE / "btcusdt_20240808.gz", made)
    return made


async def played(config: Config, folder: Path, path: Path) -> Found:
    """What the history, the picture and the detail of a replay hold."""
    replay = Replay(config, folder, db=path)
    await replay.run()
    with Reader(path) as reader, closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
        stored = [t for s in reader.symbols() for t in reader.transitions(s, 0, 2**62)]
    detail = replay.detail("BTCUSDT", frozenset({"transitions"})).transitions
    assert replay.detail("BTCUSDT", frozenset({"bars"})).transitions == ()
    return stored, replay.latest().transitions, detail
