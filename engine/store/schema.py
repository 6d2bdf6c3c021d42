"""Tables of the history and how older databases reach the newest form."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from engine.store.errors import StoreError
from engine.store.records import Meta

APPLICATION = 0x42504331
BUSY_SECONDS = 1.0

# One tuple of statements a version; a released one is never changed, the next one is appended.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE symbols (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        "CREATE TABLE modes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        "CREATE TABLE categories (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        "CREATE TABLE cards (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        # decisions, states, feeds and their states
        "CREATE TABLE labels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        """CREATE TABLE versions (
            id INTEGER PRIMARY KEY, created INTEGER NOT NULL, digest TEXT NOT NULL UNIQUE,
            catalogue TEXT NOT NULL, layout TEXT NOT NULL, facts TEXT NOT NULL,
            weights BLOB NOT NULL, have BLOB NOT NULL)""",
        """CREATE TABLE composites (
            symbol INTEGER NOT NULL REFERENCES symbols, mode INTEGER NOT NULL REFERENCES modes,
            ts INTEGER NOT NULL, bias REAL, conviction REAL NOT NULL,
            decision INTEGER NOT NULL REFERENCES labels, state INTEGER NOT NULL REFERENCES labels,
            agreement REAL, agreement_by_window INTEGER NOT NULL, coverage REAL NOT NULL,
            available INTEGER NOT NULL, total INTEGER NOT NULL,
            version INTEGER NOT NULL REFERENCES versions,
            PRIMARY KEY (symbol, mode, ts)) WITHOUT ROWID""",
        # confidence, conflicted bits, beta and context lines of all symbols
        """CREATE TABLE readings (
            id INTEGER PRIMARY KEY, mode INTEGER NOT NULL REFERENCES modes, ts INTEGER NOT NULL,
            version INTEGER NOT NULL REFERENCES versions, lines TEXT NOT NULL, data BLOB NOT NULL,
            UNIQUE (mode, ts))""",
        # the chunk under way, one row a step; a kill leaves it readable
        """CREATE TABLE score_steps (
            ts INTEGER PRIMARY KEY, version INTEGER NOT NULL REFERENCES versions,
            data BLOB NOT NULL)""",
        """CREATE TABLE score_chunks (
            id INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,
            steps INTEGER NOT NULL, version INTEGER NOT NULL REFERENCES versions,
            times BLOB NOT NULL)""",
        "CREATE INDEX score_chunks_last ON score_chunks (last)",
        # a rowid table: kilobyte blobs in an index b-tree would each spill to an overflow page
        """CREATE TABLE score_series (
            id INTEGER PRIMARY KEY, chunk INTEGER NOT NULL REFERENCES score_chunks,
            symbol INTEGER NOT NULL REFERENCES symbols, data BLOB NOT NULL,
            UNIQUE (chunk, symbol))""",
        """CREATE TABLE bars (
            symbol INTEGER NOT NULL REFERENCES symbols, ts INTEGER NOT NULL,
            open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL,
            buy REAL, sell REAL, trades REAL, PRIMARY KEY (symbol, ts)) WITHOUT ROWID""",
        """CREATE TABLE feed_health (
            ts INTEGER NOT NULL, feed INTEGER NOT NULL REFERENCES labels,
            state INTEGER NOT NULL REFERENCES labels, frames INTEGER NOT NULL,
            dropped INTEGER NOT NULL, gaps INTEGER NOT NULL, resyncs INTEGER NOT NULL,
            reconnects INTEGER NOT NULL, lag REAL, PRIMARY KEY (ts, feed)) WITHOUT ROWID""",
    ),
    (
        # `number` counts a run's alerts; `id` never comes twice, so that a follower misses none
        """CREATE TABLE alerts (
            id INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER NOT NULL, number INTEGER NOT NULL,
            rule INTEGER NOT NULL REFERENCES labels, severity INTEGER NOT NULL REFERENCES labels,
            symbol INTEGER REFERENCES symbols, mode INTEGER REFERENCES modes,
            feed INTEGER REFERENCES labels, text TEXT NOT NULL, UNIQUE (ts, number))""",
    ),
    (
        # answers of venues about what is wholly past, zstd; a rowid table for the size of bodies
        """CREATE TABLE answers (
            id INTEGER PRIMARY KEY, feed TEXT NOT NULL, asked TEXT NOT NULL,
            final INTEGER NOT NULL, asked_at INTEGER NOT NULL, body BLOB NOT NULL,
            UNIQUE (feed, asked))""",
    ),
    (
        # level: 0 composite, 1 category, 2 card; the composite of the same instant has the context
        """CREATE TABLE transitions (
            symbol INTEGER NOT NULL REFERENCES symbols, level INTEGER NOT NULL,
            ts INTEGER NOT NULL, mode INTEGER NOT NULL REFERENCES modes,
            subject INTEGER NOT NULL REFERENCES labels, kind INTEGER NOT NULL REFERENCES labels,
            side INTEGER NOT NULL, price REAL, before REAL NOT NULL, after REAL NOT NULL,
            PRIMARY KEY (symbol, level, ts, mode, subject, kind)) WITHOUT ROWID""",
    ),
    (
        # the newest state of the engine, of which there is one; `whole`: all its history was there
        """CREATE TABLE checkpoint (
            id INTEGER PRIMARY KEY CHECK (id = 1), ts INTEGER NOT NULL, format INTEGER NOT NULL,
            fingerprint TEXT NOT NULL, whole INTEGER NOT NULL, body BLOB NOT NULL)""",
    ),
)


def prepare(path: Path, meta: Meta, migrations: Sequence[tuple[str, ...]] = MIGRATIONS) -> None:
    """Create the database or bring it to the newest form, in one transaction.

    Raises StoreError, having changed nothing, for a newer database, one of another program, one
    that holds another mode of data, and where the file cannot be written.
    """
    if path.exists() and path.stat().st_size:
        with open_readonly(path) as connection:
            check(connection, path, len(migrations))
            _check_mode(connection, path, meta)
    try:
        with closing(connect(path)) as connection:
            _migrate(connection, migrations)
            _sign(connection, meta)
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be written ({error}); free it or give --db") from None


def connect(path: Path) -> sqlite3.Connection:
    """A connection for the writer; transactions are left to the caller."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    # Has to precede the first table; it lets deleted history give its disk space back in slices.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for pragma in PRAGMAS:
        connection.execute(pragma).fetchall()
    return connection


PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 67108864",
    # Checkpoints are a chore between steps, not a surprise in one's commit.
    "PRAGMA wal_autocheckpoint = 0",
)


@contextmanager
def open_readonly(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that can change nothing; raises StoreError where there is no such database."""
    connection = connect_readonly(path)
    try:
        yield connection
    finally:
        connection.close()


def connect_readonly(path: Path) -> sqlite3.Connection:
    """As open_readonly, closed by the caller."""
    if not path.is_file():
        raise StoreError(f"{path}: no such history; start the cockpit once or name another file")
    uri = path.absolute().as_uri()
    # A copy in a folder that may not be written has no place for the WAL's index.
    modes = ["mode=ro"]
    if not path.with_name(path.name + "-wal").exists():
        modes.append("mode=ro&immutable=1")
    problem = ""
    for mode in modes:
        connection = sqlite3.connect(
            f"{uri}?{mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
        )
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return connection
        except sqlite3.Error as error:
            connection.close()
            problem = str(error)
    raise StoreError(f"{path} cannot be read as a history ({problem}); name another file")


def check(connection: sqlite3.Connection, path: Path, known: int = len(MIGRATIONS)) -> int:
    """The schema's version, 0 for an empty file; raises StoreError for one that is not ours."""
    version = _pragma(connection, "user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and _pragma(connection, "application_id") != APPLICATION:
        raise StoreError(f"{path} is a database of another program; name another file with --db")
    if version > known:
        raise StoreError(
            f"{path} was written by a newer cockpit (schema {version}, this one knows {known}); "
            "upgrade it or name another file with --db"
        )
    return version


def read_meta(connection: sqlite3.Connection) -> dict[str, str]:
    """created, opened (ns as text), mode_of_data, program."""
    return dict(connection.execute("SELECT key, value FROM meta"))


def _check_mode(connection: sqlite3.Connection, path: Path, meta: Meta) -> None:
    if not check(connection, path):
        return
    held = read_meta(connection).get("mode_of_data", meta.mode_of_data)
    if held != meta.mode_of_data:
        raise StoreError(
            f"{path} holds {held} data, which {meta.mode_of_data} data must not join; "
            "name another file with --db"
        )


def _migrate(connection: sqlite3.Connection, migrations: Sequence[tuple[str, ...]]) -> None:
    version = _pragma(connection, "user_version")
    if version == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statements in migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _sign(connection: sqlite3.Connection, meta: Meta) -> None:
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('created', ?)", (str(meta.opened),))
    facts = {
        "opened": str(meta.opened),
        "mode_of_data": meta.mode_of_data,
        "program": meta.program,
    }
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
