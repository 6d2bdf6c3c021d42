"""One row of state: what goes in comes out to the bit, and what is no state is refused."""

import os
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.store import checkpoint
from engine.store.checkpoint import FORMAT, Body, Checkpoint, Damaged, Entry, pack
from engine.store.errors import StoreError
from engine.store.history import History
from engine.store.records import Catalogue, Meta
from engine.store.schema import MIGRATIONS, prepare

META = Meta(mode_of_data="live", program="0.1.0", opened=1_795_000_000_000_000_000)
CATALOGUE = Catalogue(
    symbols=(), groups=(), modes=(), windows={}, categories=(), cards=(), facts={},
    weights=np.ones((0, 0)), have=np.ones((0, 0), bool),
)  # fmt: skip
DTYPES = (np.float64, np.int64, np.int8, np.uint16, np.bool_)


def there_and_back(name: str, part: Any) -> Any:
    body = Body(pack([(name, part)]))
    if isinstance(part, bytes):
        return body.data(name)
    return body.array(name, part.dtype, part.shape)


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(max_dims=3, max_side=40))
    ),
    st.sampled_from(["values", "x._cum"]),
)
def test_any_array_comes_back_to_the_bit(part: Any, name: str) -> None:
    """NaN of every kind, infinities, sums that would be rounded."""
    assert there_and_back(name, part).tobytes() == part.tobytes()


@given(st.binary(max_size=2000))
def test_any_bytes_come_back(part: bytes) -> None:
    assert there_and_back("x", part) == part


def test_large_arrays_are_worked_on_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    totals = np.cumsum(np.round(rng.lognormal(8, 2, (500, 4, 3)) * 4096) / 4096, axis=0)
    prices = np.repeat(rng.normal(size=(50, 12)), 10, axis=0)
    whole = len(pack([("a._cum", totals), ("b", prices)]))
    monkeypatch.setattr(checkpoint, "BLOCK", 4000)
    body = Body(pack([("a._cum", totals), ("b", prices)]))
    for name, part in (("a._cum", totals), ("b", prices)):
        assert body.array(name, part.dtype, part.shape).tobytes() == part.tobytes()
    assert whole < 0.6 * (totals.nbytes + prices.nbytes)


def test_what_is_asked_for_otherwise_is_refused() -> None:
    body = Body(pack([("a", np.ones((3, 4))), ("b", b"text")]))
    for ask in (
        lambda: body.array("a", np.dtype(float), (4, 3)),
        lambda: body.array("a", np.dtype(np.int64), (3, 4)),
        lambda: body.array("b", np.dtype(float), None),
        lambda: body.array("c", np.dtype(float), (3, 4)),
        lambda: body.data("a"),
    ):
        with pytest.raises(Damaged):
            ask()


def read_all(body: bytes) -> None:
    found = Body(body)
    for name in found.names():
        if found._entries[name][0].dtype:
            found.array(name, found.dtype(name), None)
        else:
            found.data(name)


@given(st.data())
def test_a_body_that_was_cut_or_changed_is_refused(data: st.DataObject) -> None:
    body = pack([("a", np.arange(300.0).reshape(100, 3)), ("b", b"text" * 50)])
    if data.draw(st.booleans(), "cut"):
        spoilt = body[: data.draw(st.integers(0, len(body) - 1))]
    else:
        at = data.draw(st.integers(body.index(b"(\xb5/\xfd"), len(body) - 1))
        spoilt = body[:at] + bytes([body[at] ^ 1 << data.draw(st.integers(0, 7))]) + body[at + 1 :]
    try:
        read_all(spoilt)
    except Damaged:
        return
    assert [Body(spoilt).data("b"), Body(spoilt).array("a", np.dtype(float), (100, 3)).tobytes()] \
        == [b"text" * 50, np.arange(300.0).tobytes()], "a bit that says nothing"  # fmt: skip


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(Damaged):
        read_all(noise)


def test_a_part_that_asks_for_all_memory_is_refused() -> None:
    entry = Entry("a", "<f8", (1 << 40,), (10,))
    head = msgspec.msgpack.encode([entry])
    with pytest.raises(Damaged, match="too large"):
        read_all(b"".join([len(head).to_bytes(4, "little"), head, bytes(10)]))


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("exit 7",)


def test_a_pickle_is_never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a body is ever unpickled, neither as a whole nor as an array of objects."""

    def run(command: str) -> None:
        raise AssertionError("run")

    bomb = pickle.dumps(Bomb())
    monkeypatch.setattr(os, "system", run)
    with pytest.raises(Damaged):
        read_all(bomb)
    entry = Entry("a", "|O", (1,), (len(bomb),))
    head = msgspec.msgpack.encode([entry])
    with pytest.raises(Damaged, match="no array of numbers"):
        read_all(b"".join([len(head).to_bytes(4, "little"), head, bomb]))


# -- the row -------------------------------------------------------------------------------


def change(path: Path, sql: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


async def test_the_newest_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    history = await History.open(path, META, CATALOGUE)
    assert checkpoint.read(path) is None
    for ts in (1, 2, 3):
        assert history.keep(Checkpoint(ts, "print", ts > 1, pack([("a", b"x" * ts)])))
    await history.close()
    assert not history.keep(Checkpoint(4, "print", True, b""))
    found = checkpoint.read(path)
    assert found is not None
    assert (found.ts, found.fingerprint, found.whole) == (3, "print", True)
    assert Body(found.body).data("a") == b"xxx"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM checkpoint").fetchone() == (1,)


def test_an_older_database_gets_its_table(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    before = next(n for n, m in enumerate(MIGRATIONS) if "TABLE checkpoint" in m[0])
    prepare(path, META, MIGRATIONS[:before])
    with pytest.raises(Damaged, match="cannot be read"):
        checkpoint.read(path)
    prepare(path, META)
    assert checkpoint.read(path) is None


def test_a_foreign_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    prepare(path, META)
    insert = "INSERT OR REPLACE INTO checkpoint VALUES (1, ?, ?, ?, 1, ?)"
    for row, reason in (
        ((5, FORMAT + 1, "p", b"x"), f"of format {FORMAT + 1}"),
        ((5, FORMAT, "p", "text"), "other types"),
        (("then", FORMAT, "p", b"x"), "other types"),
    ):
        change(path, insert, *row)
        with pytest.raises(Damaged, match=reason):
            checkpoint.read(path)
    with pytest.raises(StoreError):
        checkpoint.read(tmp_path / "none.db")


async def test_a_full_disk_costs_the_state_and_nothing_else(tmp_path: Path) -> None:
    """It is told, the one before stays readable, and history goes on."""
    path = tmp_path / "h.db"
    history = await History.open(path, META, CATALOGUE)
    history.keep(Checkpoint(1, "p", True, pack([("a", b"first")])))
    await history.drain()
    pages = (await history._database.execute_fetchall("PRAGMA page_count"))[0][0]
    await history._database.execute_fetchall(f"PRAGMA max_page_count = {pages}")
    history.keep(Checkpoint(2, "p", True, os.urandom(1 << 20)))
    await history.drain()
    assert history.problems.errors == 1
    assert "state not kept" in history.problems.last
    await history._database.execute_fetchall("PRAGMA max_page_count = 1000000")
    assert (found := checkpoint.read(path)) is not None
    assert Body(found.body).data("a") == b"first"
    history.keep(Checkpoint(3, "p", True, pack([("a", b"third")])))
    await history.close()
    assert (found := checkpoint.read(path)) is not None
    assert found.ts == 3
