"""`explain` and `export`: of a history and of a recording, in text, JSON and CSV."""

import asyncio
import csv
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from importlib.util import module_from_spec, spec_from_file_location
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from cockpit.cli import run
from cockpit.instants import read_ago, read_instant
from engine.config import load
from engine.jobs.offline import Offline
from engine.sim.market import SCENARIOS
from engine.store.frames import encode_frame
from engine.store.reader import Reader

NS = 1_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")
Captured = pytest.CaptureFixture[str]
Said = Callable[..., tuple[int, str, str]]


def imported(path: Path) -> Any:
    spec = spec_from_file_location("frames_of_a_random_market", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of a sparse demo."""
    path = tmp_path_factory.mktemp("cli") / "h.db"
    feeds = {name: {"enabled": name == "binance"} for name in load()[0].feeds}
    listed = [{"id": symbol, "class": "layer1"} for symbol in SYMBOLS]
    config = load(overrides={"symbols": listed, "feeds": feeds})[0]
    source = Offline(config, SCENARIOS["default"], 2, 125, rate=0.05, dt=1.0, warm_minutes=0,
                     db=path)  # fmt: skip
    asyncio.run(source.run())
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of a random market of BTC and ETH."""
    frames = imported(Path(__file__).parent / "runtime" / "conftest.py")
    path = tmp_path_factory.mktemp("cli") / "in.jsonl"
    path.write_bytes(b"".join(map(encode_frame, frames._frames(frames.Lens(), 110, 5))))
    return path


@pytest.fixture
def said(capsys: Captured) -> Said:
    """said(*arguments) -> exit code, standard output, standard error; times are UTC."""

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        code = run(["--tz", "UTC", "--symbols", ",".join(SYMBOLS), *map(str, arguments)])
        return code, *capsys.readouterr()

    return call


def adds_up(tree: dict[str, Any]) -> None:
    parts = [part["points"] or 0.0 for part in (*tree["lines"], *tree["categories"])]
    assert sum(parts) == pytest.approx(tree["bias"], abs=1e-9)
    for category in tree["categories"]:
        own = sum(card["points"] or 0.0 for card in category["cards"])
        assert own == pytest.approx(category["points"] or 0.0, abs=1e-9)


@pytest.mark.slow
def test_the_history_explained(db: Path, said: Said) -> None:
    code, out, err = said("--db", db, "explain", "btc", "--mode", "scalp", "--json")
    assert (code, err) == (0, "")
    tree = json.loads(out)
    assert (tree["symbol"], tree["mode"], tree["source"]) == ("BTCUSDT", "scalp", "store")
    assert tree["mode_of_data"] == "demo"
    assert tree["origin"] == f"the history {db}"
    assert "not stored; replay the recording" in tree["notes"][0]
    adds_up(tree)
    with Reader(db) as reader:
        rows = reader.composites("BTCUSDT", "scalp", 0, 2**62)
        newest = reader.newest()
    assert (tree["ts"], tree["bias"], tree["at"]) == (rows[-1].ts, rows[-1].bias, newest)
    at = datetime.fromtimestamp(rows[1].ts // NS, UTC)
    for text in (f"{at:%H:%M:%S}", at.isoformat(), f"-{(newest - rows[1].ts) // NS}s"):
        code, out, _ = said("--db", db, "explain", "BTC", "--mode=scalp", "--json", "--at", text)
        past = json.loads(out)
        assert (code, past["ts"], past["bias"]) == (0, rows[1].ts, rows[1].bias)
        adds_up(past)


@pytest.mark.slow
def test_the_text_leads_down_to_a_card(db: Path, said: Said) -> None:
    code, out, _ = said("--db", db, "explain", "BTCUSDT")
    assert code == 0
    assert out.startswith("DEMO  BTCUSDT day: bias ")
    assert f"from the history {db}" in out
    for line in ("regime", "btc_stress", "order_flow", "bias = 100 x tanh(gain", "Not available:"):
        assert line in out
    code, out, _ = said("--db", db, "explain", "BTCUSDT", "--category", "Order Flow")
    assert (code, "volume_delta" in out, "Order Flow" in out) == (0, True, True)
    code, out, _ = said("--db", db, "explain", "BTCUSDT", "--card", "volume_delta")
    assert code == 0
    assert "Raw measures and normalisers: not stored; replay the recording." in out
    assert "Formula: d = taker buy notional - taker sell notional of the window." in out
    code, out, _ = said("--db", db, "explain", "BTCUSDT", "--mode", "scalp", "--since")
    assert (code, "by category" in out, "By the rule:" in out) == (0, True, True)


@pytest.mark.slow
def test_what_changed_adds_up(db: Path, said: Said) -> None:
    with Reader(db) as reader:
        rows = reader.composites("ETHUSDT", "scalp", 0, 2**62)
    for more, then in ((["--since"], rows[-2]), (["--since", "-60s"], rows[-3])):
        code, out, err = said("--db", db, "explain", "--json", "ETH", "--mode", "scalp", *more)
        assert (code, err) == (0, "")
        moves = json.loads(out)
        assert (moves["since"], moves["then"]) == (then.ts, then.bias)
        assert (moves["ts"], moves["now"]) == (rows[-1].ts, rows[-1].bias)
        parts = [change["points"] for change in (*moves["lines"], *moves["categories"])]
        assert sum(parts) == pytest.approx(moves["now"] - moves["then"], abs=1e-9)
        cards = [change["points"] for own in moves["cards"].values() for change in own]
        lines = [change["points"] for change in moves["lines"]]
        assert sum(cards + lines) == pytest.approx(moves["points"], abs=1e-9)


@pytest.mark.slow
def test_a_recording_shows_everything(recording: Path, said: Said) -> None:
    arguments = ("explain", "BTC", "--mode", "scalp", "--replay", recording)
    code, out, err = said(*arguments, "--json")
    assert (code, err) == (0, "")
    tree = json.loads(out)
    assert (tree["source"], tree["mode_of_data"], tree["notes"]) == ("run", "replay", [])
    assert tree["origin"] == f"a replay of {recording}"
    adds_up(tree)
    cards = {card["id"]: card for c in tree["categories"] for card in c["cards"]}
    window = cards["volume_delta"]["windows"][1]
    normal = (window["raw"] - window["centre"]) / window["scale"]
    assert window["normalised"] == pytest.approx(normal, abs=1e-12)
    assert cards["volume_delta"]["needs"][0]["venues"].keys() == {"binance"}
    code, out, _ = said(*arguments, "--json", "--at", "-40s")
    earlier = json.loads(out)
    assert earlier["ts"] < tree["ts"]
    assert said(*arguments, "--at", "-40s", "--json")[1] == out
    at = datetime.fromtimestamp(earlier["at"] // NS, UTC)
    again = json.loads(said(*arguments, "--json", "--at", f"{at:%H:%M:%S}")[1])
    assert again == earlier
    code, out, _ = said(*arguments, "--card", "volume_delta")
    assert code == 0
    assert "normalised = (raw - centre) / scale [std]" in out
    assert "needs trades:" in out
    code, out, _ = said(*arguments, "--since")
    assert (code, "by card" in out) == (0, True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["ZZZ"], 2, "no symbol ZZZ here; there are BTCUSDT, ETHUSDT"),
        (["BTC", "--card", "zzz"], 2, "no card zzz; 'blackperp-cockpit cards' lists them"),
        (["BTC", "--category", "zzz"], 2, "no category zzz; there are composite_alpha, "),
        (["BTC", "--mode", "zzz"], 2, "'zzz' is not one of 'scalp', 'day', 'swing'"),
        (["BTC", "--at", "zzz"], 2, "--at: 'zzz' is no time; give 2026-11-23T14:32, 14:32 or"),
        (["BTC", "--since", "2030-01-01"], 2, "--since has to lie before the decision explained"),
        (["BTC", "--since", "--card", "cvd"], 2, "--since compares whole decisions"),
        (["BTC", "--at", "2020-01-01"], 1, "no decision of BTCUSDT day at 2020-01-01 00:00:00 UTC"),
        (["BTC", "--at", "2040-01-01"], 1, "ends at 2026-01-14 13:02:"),
        (["BTC", "--since", "2020-01-01"], 1, "no earlier decision of BTCUSDT day than"),
    ],
)
def test_errors_are_one_sentence(
    db: Path, said: Said, arguments: list[str], code: int, sentence: str
) -> None:
    found, out, err = said("--db", db, "explain", *arguments)
    assert (found, out) == (code, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_without_a_history_or_with_two_sources(tmp_path: Path, said: Said) -> None:
    code, out, err = said("--db", tmp_path / "none.db", "explain", "BTC")
    assert (code, out) == (1, "")
    assert "no such history; start the cockpit once or name another file" in err
    code, _, err = said("explain", "BTC", "--demo", "--replay", str(tmp_path))
    assert (code, "choose one" in err) == (2, True)
    for option, what in (("--card", "card"), ("--category", "category")):
        code, _, err = said("explain", "BTC", "--demo", option, "zzz")
        assert (code, f"no {what} zzz; " in err) == (2, True)
    code, _, err = said("explain", "BTC", "--replay", str(tmp_path))
    assert (code, "holds no recording" in err) == (1, True)


@pytest.mark.slow
def test_export_reads_back_bit_for_bit(db: Path, said: Said, tmp_path: Path) -> None:
    def rows_of(*arguments: str) -> list[dict[str, str]]:
        code, out, err = said("--db", db, "export", *arguments)
        assert (code, err) == (0, "")
        assert out.count("\n") == out.count("\r\n")
        return list(csv.DictReader(StringIO(out, newline="")))

    with Reader(db) as reader:
        for symbol in SYMBOLS:
            kept = reader.composites(symbol, "scalp", 0, 2**62)
            rows = rows_of("composites", "--symbol", symbol, "--mode", "scalp")
            assert [float(row["bias"]) for row in rows] == [one.bias for one in kept]
            times = [datetime.fromisoformat(row["time"]).timestamp() * 1e9 for row in rows]
            assert times == [one.ts for one in kept]
    assert {row["mode_of_data"] for row in rows} == {"demo"}
    assert {row["agreement_1d"] for row in rows} == {""}
    assert {row["agreement_1m"] for row in rows} <= {"-1", "0", "1", ""}
    _, out, _ = said("--db", db, "explain", "ETH", "--mode", "scalp", "--json")
    tree = json.loads(out)
    newest = f"{datetime.fromtimestamp(tree['ts'] // NS, UTC):%Y-%m-%dT%H:%M:%S}+00:00"
    where = ("--from", newest, "--symbol", "eth" + "usdt", "--mode", "scalp")
    points = {row["category"]: row["points"] for row in rows_of("categories", *where)}
    assert {id: float(x) for id, x in points.items() if x} == {
        part["id"]: part["points"] for part in tree["categories"] if part["points"] is not None
    }
    cards = {row["card"]: row for row in rows_of("cards", *where)}
    wanted = {card["id"]: card for c in tree["categories"] for card in c["cards"]
              if card["possible"]}  # fmt: skip
    assert set(cards) == set(wanted)
    for id, row in cards.items():
        for name in ("points", "contribution", "score", "strength", "confidence", "weight"):
            assert (float(row[name]) if row[name] else None) == wanted[id][name]
        assert row["conflicted"] == str(wanted[id]["conflicted"]).lower()
    out = tmp_path / "out.csv"
    assert said("--db", db, "export", "composites", "--out", out) == (0, "", "")
    assert out.read_bytes().startswith(b"time,symbol,mode,mode_of_data,bias,")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    code, _, err = said("--db", db, "export", "cards", "--out", tmp_path / "no" / "out.csv")
    assert (code, "name another file" in err) == (1, True)
    code, out, err = said("--db", db, "export", "cards", "--to", "2020-01-01")
    assert (code, len(out.splitlines())) == (0, 1)
    assert "holds no cards of that time" in err


@pytest.mark.slow
def test_a_pipe_that_closes_early_ends_an_export_quietly(db: Path) -> None:
    program = f"{sys.executable} -c 'from cockpit.cli import main; main()'"
    line = f"{program} --db {db} export cards | head -1"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.stdout.startswith("time,"), done.stderr) == (True, "")


@pytest.mark.slow
def test_help_and_work_import_no_screen(db: Path) -> None:
    report = (
        "import sys; from cockpit.cli import run; code = run(sys.argv[1:]); "
        "print(code, *(m for m in ('textual', 'numpy', 'engine.sim') if m in sys.modules), "
        "file=sys.stderr)"
    )
    for arguments, found in (
        (["explain", "--help"], "0"),
        (["export", "--help"], "0"),
        (["--db", str(db), "explain", "BTC"], "0 numpy"),
        (["--db", str(db), "export", "composites"], "0 numpy"),
    ):
        done = subprocess.run([sys.executable, "-c", report, *arguments], capture_output=True,
                              text=True, timeout=60)  # fmt: skip
        assert done.stderr == f"{found}\n"


def test_times_are_read_in_the_users_zone() -> None:
    def today() -> date:
        return date(2026, 11, 23)

    noon = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()) * NS
    for text in ("12:00", "12:00:00", "2026-11-23T12:00", "2026-11-23 12:00Z",
                 "2026-11-23T13:00:00+01:00"):  # fmt: skip
        assert read_instant(text, UTC, today) == noon
    assert read_instant("9:30", UTC, today) == noon - 150 * 60 * NS
    assert read_instant("2026-11-23", UTC, today) == noon - 12 * 3600 * NS
    assert [read_ago(x) for x in ("-10m", "2h", "1.5s", "-1d")] == [
        n * NS // 2 for n in (1200, 14_400, 3, 172_800)
    ]
    assert [read_ago(x) for x in ("", "-", "10", "10:00", "m", "10 m")] == [None] * 6
    for text in ("", "25:00", "1:2", "yesterday", "2026-13-01"):
        with pytest.raises(ValueError, match="is no time; give"):
            read_instant(text, UTC, today)
