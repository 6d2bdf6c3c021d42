import sqlite3
from contextlib import closing
from pathlib import Path

import platformdirs
import pytest

from engine.config import APP, RecordingConfig, StoreConfig
from engine.store.errors import StoreError
from engine.store.paths import history_path, recordings_folder
from engine.store.reader import Reader
from engine.store.records import Meta
from engine.store.schema import APPLICATION, MIGRATIONS, connect, prepare, read_meta

META = Meta(mode_of_data="live", program="0.1.0", opened=1_795_000_000_000_000_000)
NEXT = ("ALTER TABLE bars ADD COLUMN note TEXT", "UPDATE bars SET note = 'old'")


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(sql).fetchall()
        connection.commit()
        return found


def test_a_new_database_is_of_the_newest_form(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    prepare(path, META)
    assert ask(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert ask(path, "PRAGMA application_id") == [(APPLICATION,)]
    assert ask(path, "PRAGMA journal_mode") == [("wal",)]
    assert ask(path, "PRAGMA auto_vacuum") == [(2,)]
    with closing(connect(path)) as connection:
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
        assert read_meta(connection) == {
            "created": str(META.opened),
            "opened": str(META.opened),
            "mode_of_data": "live",
            "program": "0.1.0",
        }


def test_opening_again_keeps_the_day_of_creation(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    prepare(path, META)
    prepare(path, Meta(mode_of_data="live", program="0.2.0", opened=META.opened + 5))
    with Reader(path) as reader:
        assert reader.created == META.opened
        assert reader.meta == Meta("live", "0.2.0", META.opened + 5)


def test_an_older_database_migrates_with_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    prepare(path, META)
    ask(path, "INSERT INTO symbols VALUES (1, 'BTCUSDT')")
    ask(path, "INSERT INTO bars VALUES (1, 0, 1, 2, 3, 4, 5, 6, 7)")
    prepare(path, META, (*MIGRATIONS, NEXT))
    assert ask(path, "PRAGMA user_version") == [(len(MIGRATIONS) + 1,)]
    assert ask(path, "SELECT high, note FROM bars") == [(2.0, "old")]


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    prepare(path, META)
    with pytest.raises(StoreError, match="cannot be written"):
        prepare(path, META, (*MIGRATIONS, NEXT, ("CREATE TABLE bars (x)",)))
    assert ask(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert "note" not in [row[1] for row in ask(path, "PRAGMA table_info(bars)")]


def test_a_newer_database_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    prepare(path, META, (*MIGRATIONS, NEXT))
    before, newer = path.read_bytes(), f"schema {len(MIGRATIONS) + 1}"
    for refuse in (lambda: prepare(path, META), lambda: Reader(path)):
        with pytest.raises(StoreError, match=rf"h\.db was written by a newer cockpit \({newer}"):
            refuse()
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    ask(path, "CREATE TABLE precious (x)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="database of another program"):
        prepare(path, META)
    assert path.read_bytes() == before


def test_what_is_no_database_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes, " * 1000)
    with pytest.raises(StoreError, match="cannot be read as a history"):
        prepare(path, META)
    assert path.read_text() == "my notes, " * 1000


def test_an_empty_file_becomes_a_history(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    path.touch()
    prepare(path, META)
    with Reader(path) as reader:
        assert reader.newest() is None


def test_a_reader_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such history"):
        Reader(tmp_path / "none.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreError, match="of an older cockpit"):
        Reader(tmp_path / "empty.db")


def test_paths_are_the_config_s_or_the_platform_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert history_path(StoreConfig(path=str(tmp_path / "h.db"))) == tmp_path / "h.db"
    assert recordings_folder(RecordingConfig(path=str(tmp_path))) == tmp_path
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name: str(tmp_path / name))
    assert history_path(StoreConfig()) == tmp_path / APP / "history.db"
    assert recordings_folder(RecordingConfig()) == tmp_path / APP / "recordings"
