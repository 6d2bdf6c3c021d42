"""The command line: exit codes, one sentence on stderr, JSON alone on stdout."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cockpit.cli import run
from cockpit.settings import Settings, apply_color, start_log
from engine.cards.card import registry
from engine.config import default_path, load, user_path

PROGRAM = [sys.executable, "-c", "from cockpit.cli import main; main()"]
TRADE = '{"e":"aggTrade","E":2,"T":1,"s":"BTCUSDT","a":1,"p":"10.5","q":"2","m":true}'


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "DATA", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))


@pytest.fixture(autouse=True)
def quiet_logging() -> Iterator[None]:
    """Undo what `start_log` does to the process."""
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising
    logging.captureWarnings(False)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["moon"], "No such command 'moon'; see blackperp-cockpit --help"),
        (["--moon"], "No such option"),
        (["replay"], "Missing argument 'PATH'; see blackperp-cockpit replay --help"),
        (["replay", "/no/such/file"], "Path '/no/such/file' does not exist; see"),
        (["replay", ".", "--speed", "0"], "give a number above 0, or max"),
        (["replay", ".", "--speed", "fast"], "give a number above 0, or max"),
        (["snapshot", "--seconds", "0"], "0 is not in the range x>0"),
        (["--color", "pink", "cards"], "'pink' is not one of"),
        (["config"], "Missing command; see blackperp-cockpit config --help"),
        (["--config", "/no/such.yaml", "config", "check"], "/no/such.yaml: no such file (from --"),
        (["--tz", "Mars", "config", "check"], "command line: cockpit.timezone: is 'Mars'; must be"),
        (
            ["--symbols", "moon", "config", "check"],
            "command line: symbols[0].id: is the text 'MOON",
        ),
        (["--feeds", "moon", "config", "check"], "--feeds: no feed moon; there is binance"),
        (["decode", "moon", os.devnull], "no feed is named moon; there is "),
        (["decode", "binance", "/no/such"], "Path '/no/such' does not exist; see"),
    ],
)
def test_usage_and_config_errors_are_one_sentence_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("blackperp-cockpit: ")
    assert sentence in err
    assert err.count("\n") == 1


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "--help")
    assert code == 0
    for name in (
        "alerts",
        "cards",
        "config",
        "decode",
        "demo",
        "doctor",
        "explain",
        "export",
        "record",
        "replay",
        "screenshots",
        "snapshot",
    ):
        assert f"\n  {name} " in out
    assert "..." not in out.partition("Commands:")[2]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "--version")
    assert code == 0
    assert out.startswith("blackperp-cockpit ")


@pytest.mark.parametrize("arguments", [["--json", "cards"], ["cards", "--json"]])
def test_cards_as_json(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, out, err = said(capsys, *arguments)
    assert (code, err) == (0, "")
    cards = json.loads(out)
    assert [c["id"] for c in cards] == [c.id for c in registry()]
    for card in cards:
        assert set(card) == {
            "id", "name", "category", "group", "needs", "scope", "role", "scale", "formula",
            "source",
        }  # fmt: skip
        assert card["formula"]


def test_cards_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "cards")
    assert code == 0
    assert len(out.splitlines()) == len(registry())


def test_config_check_init_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "config", "check")[1].startswith(f"{default_path()}: fine (21 symbols")
    assert said(capsys, "config", "init") == (0, f"wrote {user_path()}\n", "")
    assert user_path().read_bytes() == default_path().read_bytes()
    assert [p.name for p in user_path().parent.iterdir()] == ["config.yaml"]
    assert said(capsys, "config", "check")[1].startswith(f"{user_path()}: fine (21 symbols")
    code, out, err = said(capsys, "config", "init")
    assert (code, out) == (1, "")
    assert "is there already and was left alone" in err
    user_path().write_text("cockpit: {paint_hz: 2}")
    code, out, _ = said(capsys, "--no-mouse", "config", "show", "--json")
    shown = json.loads(out)
    assert code == 0
    assert shown["values"]["cockpit.paint_hz"] == {"value": 2.0, "from": str(user_path())}
    assert shown["values"]["cockpit.mouse"] == {"value": False, "from": "command line"}
    assert shown["files"] == [str(default_path()), str(user_path())]
    code, out, _ = said(capsys, "config", "show")
    lines = {line.split()[0]: line.split() for line in out.splitlines()}
    assert lines["cockpit.paint_hz"] == ["cockpit.paint_hz", "2.0", str(user_path())]
    assert lines["cockpit.theme"][-1] == "default"


def test_config_init_goes_where_it_will_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "deep" / "mine.yaml"
    assert said(capsys, "--config", str(asked), "config", "init")[0] == 0
    assert asked.exists()
    monkeypatch.setenv("BLACKPERP_CONFIG", str(tmp_path / "env.yaml"))
    assert said(capsys, "config", "init")[0] == 0
    assert (tmp_path / "env.yaml").exists()
    assert not user_path().exists()


def test_a_wrong_config_says_so_in_json_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("log: 5")
    code, out, err = said(capsys, "config", "check", str(path), "--json")
    assert code == 2
    assert json.loads(out)["ok"] is False
    assert "log: is 5; must be keys with values" in err


def test_settings_override_the_config() -> None:
    settings = Settings(glyphs="ascii", tz="UTC", mouse=False, log="/x/y.log", log_level="debug")
    settings.symbols, settings.feeds = "btcusdt,DOGEUSDT", "binance"
    config = settings.load()
    assert [s.id for s in config.symbols] == ["BTCUSDT", "DOGEUSDT"]
    assert (config.cockpit.glyphs, config.cockpit.timezone, config.cockpit.mouse) == (
        "ascii",
        "UTC",
        False,
    )
    assert (config.log.path, config.log.level) == ("/x/y.log", "debug")
    assert Settings().load() == load()[0]


def test_decode_prints_events_and_sums_up_on_stderr(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "in.log"
    path.write_text(f"5 {TRADE}\nrubbish\n")
    assert run(["decode", "binance", str(path)]) == 0
    out, err = capfdbinary.readouterr()
    assert json.loads(out)["kind"] == "trade"
    assert err.splitlines()[0] == (
        b"binance: 1 events from 2 lines; 1 of 2 lines are bad (not a frame 1)"
    )
    path.write_text("rubbish\n")
    assert run(["decode", "binance", str(path)]) == 1
    assert b"could be decoded; is it a recording of binance?" in capfdbinary.readouterr()[1]


def test_decode_reads_standard_input() -> None:
    done = subprocess.run(
        [*PROGRAM, "decode", "binance"], input=f"5 {TRADE}\n".encode(), capture_output=True
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["recv"] == 5


def test_without_a_terminal_the_cockpit_names_what_works(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = said(capsys)
    assert code == 1
    assert err == (
        "blackperp-cockpit: the cockpit needs a terminal; for text use 'blackperp-cockpit"
        " snapshot'\n"
    )
    (tmp_path / "a.log").write_text(f"5 {TRADE}\n")
    code, _, err = said(capsys, "replay", str(tmp_path / "a.log"))
    assert code == 1
    assert "add --headless" in err


@pytest.mark.slow
def test_doctor_fails_only_where_the_cockpit_cannot_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fine = ["--config", _nowhere()["BLACKPERP_CONFIG"]]
    code, out, err = said(capsys, *fine, "doctor", "--json")
    assert (code, err) == (0, "")
    found = {check["name"]: check for check in json.loads(out)}
    assert "connection refused" in found["binance"]["text"]
    assert not any(check["fatal"] for check in found.values())
    code, out, _ = said(capsys, *fine, "doctor")
    assert code == 0
    assert len(out.splitlines()) == len(found)
    (tmp_path / "file").write_text("")
    code, out, _ = said(capsys, *fine, "--db", str(tmp_path / "file" / "h.db"), "doctor")
    assert code == 1
    assert "\nFAIL  data: " in out


def test_a_crash_is_two_lines_and_a_log_without_variables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        secret = "hunter2"
        raise RuntimeError(f"broken {len(secret)}")

    monkeypatch.setattr("engine.cards.card.registry", fail)
    log = tmp_path / "deep" / "a.log"
    code, out, err = said(capsys, "--log", str(log), "cards")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "blackperp-cockpit: stopped by an unexpected RuntimeError: broken 7",
        f"the details are in {log}",
    ]
    assert "RuntimeError: broken 7" in log.read_text()
    assert "hunter2'" not in log.read_text()


def test_what_the_system_refuses_is_told_with_its_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.log").write_text(f"5 {TRADE}\n")
    (tmp_path / "file").write_text("")
    db = tmp_path / "file" / "h.db"
    arguments = ["--db", str(db), "snapshot", "--replay", str(tmp_path / "a.log")]
    code, out, err = said(capsys, *arguments)
    assert (code, out) == (1, "")
    assert str(db.parent) in err
    assert err.count("\n") == 1


def test_a_log_that_cannot_be_written_names_the_mend(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["--log", str(tmp_path / "file" / "a.log"), "snapshot", "--replay", str(tmp_path)]
    code, _, err = said(capsys, *arguments)
    assert code == 1
    assert "cannot be written" in err
    assert "--log" in err


def test_logs_go_to_a_rotating_file_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Settings(log=str(tmp_path / "a.log"), log_level="warning").load()
    assert start_log(config) == tmp_path / "a.log"
    logger = logging.getLogger("engine.test")
    logger.info("not this")
    for _ in range(3):
        logger.warning("x" * 4_000_000)
    names = sorted(p.name for p in tmp_path.glob("a.log*"))
    assert names == ["a.log", "a.log.1", "a.log.2"]
    assert "not this" not in (tmp_path / "a.log.2").read_text()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("choice", "no_color", "system"),
    [
        (None, "1", None),
        ("auto", "1", None),
        ("mono", "1", None),
        ("truecolor", None, "truecolor"),
        ("256", None, "256"),
        ("16", None, "standard"),
    ],
)
def test_colours_are_decided_before_textual(
    monkeypatch: pytest.MonkeyPatch, choice: str | None, no_color: str | None, system: str | None
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TEXTUAL_COLOR_SYSTEM", "x")
    monkeypatch.delenv("TEXTUAL_COLOR_SYSTEM")
    apply_color(choice)
    assert os.environ.get("NO_COLOR") == no_color
    assert os.environ.get("TEXTUAL_COLOR_SYSTEM") == system


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
