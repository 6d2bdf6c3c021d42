"""The recordings of Binance USD-M through the replay: repeatable, true, null where nothing is."""

import gzip
import json
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import msgspec
import pytest

from engine.clock import NS
from engine.config import Config, load
from engine.jobs.replay import Replay
from engine.jobs.report import snapshot_json
from engine.snapshot import Snapshot

WIRE = Path(__file__).parents[2].parent / "shared" / "wire" / "binance_usdm"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout"),
]
ALIVE = ("BTCUSDT", "ETHUSDT")


SECONDS = 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The first SECONDS of each recording; twice the whole would show nothing else."""
    for path in sorted(WIRE.glob("*.gz")):
        with gzip.open(path, "rb") as lines, gzip.open(tmp_path / path.name, "wb", 1) as kept:
            kept.writelines(_first(lines))
    return tmp_path


def _first(lines: Iterator[bytes]) -> Iterator[bytes]:
    first = next(lines)
    until = int(first.split(b" ", 1)[0]) + SECONDS * NS
    yield first
    yield from takewhile(lambda line: int(line.split(b" ", 1)[0]) < until, lines)


async def played(config: Config, folder: Path) -> Snapshot:
    replay = Replay(config, folder)
    await replay.run()
    return replay.latest()


def last_trades(folder: Path) -> dict[str, float]:
    """Price of the last trade line of each file."""
    found = {}
    for path in sorted(folder.glob("*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            trades = [line for line in lines if '"e":"trade"' in line]
        event = json.loads(trades[-1].split(" ", 1)[1])
        event = event.get("data", event)
        found[event["s"]] = float(event["p"])
    return found


async def test_the_recordings_twice(folder: Path) -> None:
    config = load()[0]
    one, other = await played(config, folder), await played(config, folder)
    same = [msgspec.structs.replace(s, speed=None) for s in (one, other)]
    assert msgspec.json.encode(same[0]) == msgspec.json.encode(same[1])
    assert json.dumps(snapshot_json(one)) == json.dumps(snapshot_json(other))
    assert one.finished
    shown = {s.id: s.price.last for s in one.symbols if s.price.last is not None}
    assert shown == last_trades(folder)
    assert len(one.symbols) == 21
    for state in one.symbols:
        for mode, line in state.modes.items():
            alive = state.id in ALIVE and mode != "swing"
            assert (line.bias is not None) == alive
            if alive:
                points = [c.contribution for c in line.categories.values()]
                total = sum(p for p in points if p is not None) + sum(line.adjustments.values())
                assert total == pytest.approx(line.bias, abs=1e-9)
            else:
                assert line.agreement is None
                assert {c.score for c in line.categories.values()} == {None}
                assert {c.contribution for c in line.categories.values()} == {None}
        if state.id not in ALIVE:
            price = state.price
            assert (price.last, price.bid, price.ask, price.age) == (None,) * 4
            assert state.funding_8h is state.long_liquidated is state.oi_change_1h is None
