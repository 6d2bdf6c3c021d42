"""How the house is kept: what imports what, how long files are, that registries are folders."""

import ast
import json
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from engine.cards.card import CATEGORIES, registry
from engine.config import WINDOWS, default_path, load
from engine.feeds.feed import build_feed, feed_names
from engine.market import view

ROOT = Path(__file__).parent.parent
SOURCES = [p for folder in ("engine", "cockpit", "tests") for p in (ROOT / folder).rglob("*.py")]
LONGEST = 500
LONGEST_APP = 250
HEAVY = ("textual", "numpy", "httpx", "websockets", "aiosqlite", "zstandard", "asyncio")

REPORT = """
import json, sys
from cockpit.cli import run
code = run(json.loads(sys.argv[1]))
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def imported_by(*arguments: str) -> set[str]:
    """The modules in the process after one command line that went well."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "in.log"
    path.write_text('5 {"e":"aggTrade","E":2,"T":1,"s":"BTCUSDT","a":1,"p":"1","q":"2","m":true}\n')
    return path


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["replay", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    modules = imported_by(*arguments)
    assert not modules & set(HEAVY)
    assert not any(name.startswith("engine.") for name in modules)


@pytest.mark.parametrize("arguments", [["config", "check"], ["config", "show", "--json"]])
def test_config_needs_neither_numbers_nor_network(arguments: list[str]) -> None:
    assert not imported_by(*arguments) & {"textual", "numpy", "httpx", "websockets", "aiosqlite"}


def test_decode_needs_neither_a_screen_nor_a_network(recording: Path) -> None:
    modules = imported_by("decode", "binance", str(recording))
    assert not modules & {"textual", "numpy", "httpx", "websockets", "aiosqlite"}


@pytest.mark.slow
def test_plain_commands_never_import_textual(recording: Path) -> None:
    assert "textual" not in imported_by("cards", "--json")
    assert "textual" not in imported_by("doctor", "--json")
    assert "textual" not in imported_by("snapshot", "--replay", str(recording), "--json")
    assert "textual" not in imported_by("replay", str(recording), "--headless")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_too_long(path: Path) -> None:
    limit = LONGEST_APP if path == ROOT / "cockpit" / "app.py" else LONGEST
    assert len(path.read_text(encoding="utf-8").splitlines()) <= limit


def test_tests_are_no_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_every_module_of_the_engine_has_its_layer() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {name.strip(" ()") for layer in layers for name in layer.replace(":", "|").split("|")}
    there = {
        f"engine.{path.stem}"
        for path in (ROOT / "engine").iterdir()
        if path.stem != "__init__" and (path.suffix == ".py" or (path / "__init__.py").exists())
    }
    assert there <= named


def test_each_feed_has_its_module_and_its_config() -> None:
    config, _ = load()
    assert set(feed_names()) == set(config.feeds)
    for name in feed_names():
        assert build_feed(name, config.feeds[name], config.instruments).name == name


def test_each_cards_module_is_a_category_and_holds_its_cards() -> None:
    """Every card is defined in the module of its category; helpers beside them hold none."""
    for card in registry():
        assert card.compute.__module__ == f"engine.cards.{card.category}", card.id
        assert card.formula, card.id
    ids = [card.id for card in registry()]
    assert len(ids) == len(set(ids))


def test_categories_and_windows_are_the_same_everywhere() -> None:
    default = yaml.safe_load(default_path().read_text(encoding="utf-8"))
    assert list(default["categories"]) == [category.id for category in CATEGORIES]
    assert len(CATEGORIES) == 25
    assert {w.name: w.span for w in view.WINDOWS} == WINDOWS


def test_the_engine_reads_no_clock() -> None:
    """Only the clock itself, sessions, the runtime and the simulator may."""
    allowed = {"clock.py", "feeds/session.py", "runtime.py"}
    for path in (ROOT / "engine").rglob("*.py"):
        place = path.relative_to(ROOT / "engine").as_posix()
        if place in allowed or place.startswith(("sim/", "runtime/")):
            continue
        found = sorted(_clock_reads(ast.parse(path.read_text(encoding="utf-8"))))
        assert not found, f"{place}: {found}"


def _clock_reads(tree: ast.AST) -> set[str]:
    """Calls that read a clock or wait; giving way to others (`asyncio.sleep(0)`) does neither."""
    names = {
        "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter",
        "time.sleep", "datetime.now", "datetime.utcnow", "asyncio.sleep",
    }  # fmt: skip
    calls = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {call for call in calls - {"asyncio.sleep(0)"} if call.partition("(")[0] in names}


@pytest.mark.skipif(find_spec("importlinter") is None, reason="import-linter is in the dev extra")
def test_import_contracts_hold() -> None:
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [str(lint), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_the_readme_begins_with_its_two_commands() -> None:
    """The first runs the cockpit, the second the tests; CI runs the second word for word."""
    blocks = (ROOT / "README.md").read_text(encoding="utf-8").split("```")[1::2]
    for block in blocks[:2]:
        assert block.strip().startswith("python3 -m venv .venv && .venv/bin/pip install ")
        assert len(block.strip().splitlines()) == 1
    assert blocks[0].strip().endswith(".venv/bin/blackperp-cockpit demo")
    assert ".venv/bin/pytest" in blocks[1]
