"""`alerts`: from the database, in text and JSON, followed while another process writes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cockpit.cli import run
from engine.snapshot import Alert
from engine.store.history import History
from engine.store.records import Batch, CardFact, Catalogue, Meta

NS = 1_000_000_000
START = 1_795_000_200 * NS
REPORT = (
    "import sys; from cockpit.cli import run; code = run(sys.argv[1:]); "
    "print('textual' in sys.modules, file=sys.stderr); sys.exit(code)"
)
CATALOGUE = Catalogue(
    symbols=("BTCUSDT",), groups=("layer1",), modes=("day",), windows={"day": {"1m": 1.0}},
    categories=("order_flow",), cards=(CardFact("cvd", "order_flow"),), facts={},
    weights=np.ones((1, 1)), have=np.ones((1, 1), bool),
)  # fmt: skip
ALERTS = (
    Alert(1, START, "bias", "warning", "BTCUSDT", "day", None, "day bias above +40: +52.3"),
    Alert(2, START + 10 * NS, "feed_down", "error", None, None, "binance",
          "binance down for 30 s: \x1b]9;[x]\x07"),
    Alert(3, START + 20 * NS, "state", "info", "BTCUSDT", "day", None, "day state neutral"),
)  # fmt: skip


async def write(path: Path, *alerts: Alert, data: str = "demo") -> None:
    meta = Meta(mode_of_data=data, program="0.1.0", opened=START)
    history = await History.open(path, meta, CATALOGUE)
    history.put(Batch(alerts=alerts))
    await history.close()


@pytest.fixture
def db(tmp_path: Path) -> Path:
    asyncio.run(write(tmp_path / "h.db", *ALERTS))
    return tmp_path / "h.db"


def test_as_text_oldest_first_and_marked_as_demo(
    db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--db", str(db), "--tz", "UTC", "alerts"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "DEMO  2026-11-18 11:10:00  warning  BTCUSDT       day bias above +40: +52.3",
        "DEMO  2026-11-18 11:10:10  error    binance       binance down for 30 s: ]9;[x]",
        "DEMO  2026-11-18 11:10:20  info     BTCUSDT       day state neutral",
    ]


def test_live_ones_need_no_mark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(write(tmp_path / "h.db", ALERTS[0], data="live"))
    assert run(["--db", str(tmp_path / "h.db"), "--tz", "UTC", "alerts"]) == 0
    assert capsys.readouterr().out.startswith("2026-11-18 11:10:00  warning  BTCUSDT")


def test_as_json_one_object_a_line(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--db", str(db), "alerts", "--json", "-n", "2"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = [json.loads(line) for line in out.splitlines()]
    assert [alert["number"] for alert in found] == [2, 3]
    assert {alert["mode_of_data"] for alert in found} == {"demo"}
    assert found[0]["text"] == ALERTS[1].text
    assert (found[0]["symbol"], found[0]["feed"]) == (None, "binance")


def test_none_so_far_and_no_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(write(tmp_path / "h.db"))
    assert run(["--db", str(tmp_path / "h.db"), "alerts"]) == 0
    assert "no alert in" in capsys.readouterr().err
    assert run(["--db", str(tmp_path / "h.db"), "alerts", "--json"]) == 0
    assert capsys.readouterr() == ("", "")
    assert run(["--db", str(tmp_path / "none.db"), "alerts"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "no such history" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_followed_beside_a_writer_without_a_screen(db: Path) -> None:
    command = [sys.executable, "-c", REPORT, "--db", str(db), "--tz", "UTC", "alerts", "-f"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ}) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            first = [process.stdout.readline() for _ in ALERTS]
            assert first[-1].endswith("day state neutral\n")
            late = Alert(4, START + 30 * NS, "price", "info", "BTCUSDT", None, None, "above 1")
            asyncio.run(write(db, late))
            assert process.stdout.readline().endswith("BTCUSDT       above 1\n")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "", "False\n")
