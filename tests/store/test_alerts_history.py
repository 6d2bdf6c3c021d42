"""Alerts in the history: written, read back, followed, kept as long as decisions."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.config import AlertRule, AlertsConfig, KeepDays, StoreConfig, load
from engine.jobs.replay import Replay
from engine.snapshot import Alert
from engine.store.errors import StoreError
from engine.store.history import History
from engine.store.reader import Reader
from engine.store.records import Batch, CardFact, Catalogue, Meta
from engine.store.schema import MIGRATIONS, connect, prepare
from engine.store.upkeep import DAY

NS = 1_000_000_000
START = 1_795_000_200 * NS
META = Meta(mode_of_data="demo", program="0.1.0", opened=START)
CATALOGUE = Catalogue(
    symbols=("BTCUSDT",), groups=("layer1",), modes=("day",), windows={"day": {"1m": 1.0}},
    categories=("order_flow",), cards=(CardFact("cvd", "order_flow"),), facts={},
    weights=np.ones((1, 1)), have=np.ones((1, 1), bool),
)  # fmt: skip


def alert(number: int, ts: int = START, feed: str | None = None) -> Alert:
    symbol, mode = (None, None) if feed else ("BTCUSDT", "day")
    rule = "feed_down" if feed else "bias"
    return Alert(number, ts, rule, "warning", symbol, mode, feed, f"text [{number}] 'x'")


async def write(path: Path, *batches: Batch, config: StoreConfig | None = None) -> None:
    history = await History.open(path, META, CATALOGUE, config)
    for batch in batches:
        assert history.put(batch)
    await history.close()
    assert history.problems.errors == 0, history.problems


async def test_alerts_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    made = [alert(1), alert(2, feed="binance"), alert(3, START + 10 * NS)]
    await write(path, Batch(alerts=tuple(made[:2])), Batch(alerts=(made[2],)))
    with Reader(path) as reader:
        assert [found for _, found in reader.alerts()] == made
        assert [found for _, found in reader.alerts(last=2)] == made[1:]
        first = reader.alerts()[0][0]
        assert [found for _, found in reader.alerts(after=first)] == made[1:]
        assert reader.alerts(after=first + 2) == []
        assert reader.meta.mode_of_data == "demo"


async def test_a_batch_written_twice_is_there_once(tmp_path: Path) -> None:
    """A disk that failed in the commit lets the same batch be tried again."""
    path = tmp_path / "h.db"
    await write(path, Batch(alerts=(alert(1),)), Batch(alerts=(alert(1),)))
    with Reader(path) as reader:
        assert [found for _, found in reader.alerts()] == [alert(1)]


async def test_a_reader_sees_what_is_written_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = await History.open(path, META, CATALOGUE)
    with Reader(path) as reader:
        assert reader.alerts() == []
        history.put(Batch(alerts=(alert(1),)))
        await history.drain()
        ((seen, _),) = reader.alerts()
        history.put(Batch(alerts=(alert(2, START + NS),)))
        await history.drain()
        assert [found.number for _, found in reader.alerts(after=seen)] == [2]
    await history.close()


async def test_alerts_are_kept_as_long_as_decisions(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    config = StoreConfig(keep_days=KeepDays(decisions=2))
    old = tuple(alert(n, START + n) for n in range(1, 4))
    later = [Batch(alerts=(alert(n, START + 3 * DAY + n * NS),)) for n in range(4, 30)]
    await write(path, Batch(alerts=old), *later, config=config)
    with Reader(path) as reader:
        assert [found.number for _, found in reader.alerts()] == list(range(4, 30))


def test_a_history_of_the_first_version_gets_its_table(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    with closing(connect(path)) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA application_id = 1112556337")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("INSERT INTO symbols VALUES (1, 'BTCUSDT')")
        connection.execute("INSERT INTO meta VALUES ('mode_of_data', 'demo')")
    prepare(path, META)
    with Reader(path) as reader:
        assert reader.alerts() == []
        assert reader.symbols() == ("BTCUSDT",)


def test_a_history_of_an_older_cockpit_joins_no_other_mode_of_data(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    prepare(path, META)
    with pytest.raises(StoreError, match="holds demo data, which live data must not join"):
        prepare(path, msgspec.structs.replace(META, mode_of_data="live"))


async def test_the_rules_alerts_of_a_run_are_in_its_history(tmp_path: Path) -> None:
    """From trades over the pipeline and the rules into the file."""
    start = START // 1_000_000
    lines = []
    for n in range(240):
        ms = start + n * 500
        trade = {"e": "aggTrade", "E": ms, "T": ms, "s": "BTCUSDT", "a": n + 1, "m": n % 3 == 0}
        lines.append(f"{ms}000000 {json.dumps(trade | {'p': str(100 + n / 100), 'q': '1'})}\n")
    path = tmp_path / "in.log"
    path.write_text("".join(lines))
    rules = [AlertRule("price", level=level, symbols=["BTCUSDT"]) for level in (101, 102)]
    config = msgspec.structs.replace(load()[0], alerts=AlertsConfig(rules=rules))
    replay = Replay(config, path, db=tmp_path / "h.db")
    await replay.run()
    shown = replay.latest().alerts
    assert len(shown) == 2
    with Reader(tmp_path / "h.db") as reader:
        assert [found for _, found in reader.alerts()] == list(reversed(shown))
        assert reader.meta.mode_of_data == "replay"
    with closing(sqlite3.connect(tmp_path / "h.db")) as raw:
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
