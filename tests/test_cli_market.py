"""Commands that run the engine, as processes: replays, snapshots, recordings."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cockpit.cli import SCENARIOS as TOLD
from cockpit.cli import run
from engine.sim.market.scenario import SCENARIOS

PROGRAM = [sys.executable, "-c", "from cockpit.cli import main; main()"]
TRADE = '{"e":"aggTrade","E":2,"T":1,"s":"BTCUSDT","a":1,"p":"10.5","q":"2","m":true}'


def write_recording(folder: Path) -> Path:
    """Two minutes of trades, a bar's worth apart."""
    start = 1_700_000_000_000
    lines = []
    for n in range(240):
        ms = start + n * 500
        trade = {"e": "aggTrade", "E": ms, "T": ms, "s": "BTCUSDT", "a": n + 1, "m": n % 3 == 0}
        lines.append(f"{ms}000000 {json.dumps(trade | {'p': str(100 + n / 100), 'q': '1'})}\n")
    path = folder / "in.log"
    path.write_text("".join(lines))
    return path


def snapshot_of(path: Path, *more: str) -> dict[str, Any]:
    done = subprocess.run(
        [*PROGRAM, *more, "--replay", str(path), "--json"], capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.slow
def test_snapshot_of_a_replay(tmp_path: Path) -> None:
    path = write_recording(tmp_path)
    report = snapshot_of(path, "snapshot")
    assert report["mode_of_data"] == "replay"
    assert report["symbols"]["BTCUSDT"]["price"] == 102.39
    assert report["symbols"]["ETHUSDT"]["price"] is None
    assert len(report["symbols"]) == 21
    assert snapshot_of(path, "snapshot") == report


def said(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_a_replay_tells_what_it_could_not_use(tmp_path: Path) -> None:
    path = tmp_path / "in.log"
    path.write_text(f"5 {TRADE}\nrubbish\n")
    code, out, err = said("snapshot", "--replay", str(path), "--json")
    assert code == 0
    assert json.loads(out)["symbols"]["BTCUSDT"]["price"] == 10.5
    assert err == f"blackperp-cockpit: {path}: 1 of 2 lines are bad (not a frame 1)\n"
    path.write_text("rubbish\n")
    code, out, err = said("replay", str(path), "--headless")
    assert (code, out) == (1, "")
    assert "nothing in it could be used" in err
    (tmp_path / "empty").mkdir()
    code, _, err = said("snapshot", "--replay", str(tmp_path / "empty"))
    assert code == 1
    assert "holds no recording" in err


@pytest.mark.slow
def test_headless_replay_prints_the_table(tmp_path: Path) -> None:
    path = write_recording(tmp_path)
    done = subprocess.run(
        [*PROGRAM, "replay", str(path), "--headless"], capture_output=True, timeout=60, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("REPLAY; ")
    assert "102.39" in done.stdout


@pytest.mark.slow
def test_a_live_snapshot_without_a_network_offers_replay() -> None:
    done = subprocess.run(
        [*PROGRAM, "snapshot", "--seconds", "2", "--json"],
        capture_output=True,
        timeout=60,
        env={**os.environ, "BLACKPERP_CONFIG": ""} | _nowhere(),
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["mode_of_data"] == "live"
    assert b"blackperp-cockpit replay PATH" in done.stderr
    assert b"blackperp-cockpit demo" in done.stderr


def _nowhere() -> dict[str, str]:
    """A config whose feed points at a port where nobody listens."""
    folder = Path(os.environ["XDG_CONFIG_HOME"])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "nowhere.yaml"
    url = "http://127.0.0.1:9"
    socket = url.replace("http", "ws")
    path.write_text(f"feeds: {{binance: {{urls: {{rest: '{url}', public: '{socket}', "
                    f"market: '{socket}'}}}}}}")  # fmt: skip
    return {"BLACKPERP_CONFIG": str(path)}


@pytest.mark.slow
def test_recording_ends_cleanly_on_a_signal(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "record", "--out", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ} | _nowhere(),
    ) as process:
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=3)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
    assert out.startswith(b"recorded to ")


# -- the simulated market ------------------------------------------------------------------


def test_the_help_of_the_demo_tells_the_scenarios(capsys: pytest.CaptureFixture[str]) -> None:
    assert {name: scenario.title for name, scenario in SCENARIOS.items()} == TOLD
    assert run(["demo", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 100 for line in lines)
    told = [line.split(maxsplit=1) for line in lines[-len(SCENARIOS) :]]
    assert told == [[name, scenario.title] for name, scenario in SCENARIOS.items()]


@pytest.mark.parametrize("rate", ["0.001", "5.1", "-1", "nan", "inf", "much"])
@pytest.mark.parametrize("command", ["demo", "demo --market-only", "snapshot --demo"])
def test_an_impossible_rate_is_one_sentence(
    command: str, rate: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command.split(), "--rate", rate]) == 2
    name = command.split()[0]
    assert capsys.readouterr() == (
        "",
        "blackperp-cockpit: Invalid value for '--rate': give a number from 0.01 to 5; "
        f"see blackperp-cockpit {name} --help\n",
    )


def test_a_rate_is_of_the_simulated_market(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["snapshot", "--rate", "0.5"]) == 2
    assert "--rate is of the simulated market: add --demo" in capsys.readouterr().err


ALONE = ("--symbols", "BTCUSDT", "--feeds", "binance")


@pytest.mark.slow
def test_a_low_rate_makes_a_sparse_market(tmp_path: Path) -> None:
    config = tmp_path / "brief.yaml"
    config.write_text("feeds: {binance: {backfill: false}}")
    frames = []
    for rate in ("0.05", "1"):
        code, out, err = said("--config", str(config), *ALONE, "snapshot", "--demo", "--seconds",
                              "8", "--rate", rate, "--json")  # fmt: skip
        assert (code, err) == (0, "")
        frames.append(json.loads(out)["feeds"]["binance"]["frames"])
    assert 0 < 3 * frames[0] < frames[1]


@pytest.mark.slow
def test_the_market_alone_takes_a_scenario_and_a_rate() -> None:
    arguments = [*ALONE, "demo", "--market-only", "--scenario", "spoof", "--rate", "0.05"]
    with subprocess.Popen([*PROGRAM, *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "feeds:\n"
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0
