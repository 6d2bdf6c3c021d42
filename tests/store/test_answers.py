"""Kept answers in a real database: what is found again, what goes, what a bad disk may do."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from engine.store.answers import BATCH, QUEUE, Answer, Answers
from engine.store.records import Meta
from engine.store.schema import MIGRATIONS, prepare

NOW = 1_795_000_000_000_000_000
DAY = 86_400_000_000_000
META = Meta(mode_of_data="live", program="0.1.0", opened=NOW)


def answer(asked: str, feed: str = "binance", body: bytes = b"[1]", at: int = NOW) -> Answer:
    return Answer(feed, asked, NOW - DAY, at, body)


def rows(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT feed, asked FROM answers ORDER BY feed, asked").fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    prepare(tmp_path / "h.db", META)
    return tmp_path / "h.db"


@pytest.fixture
async def answers(path: Path) -> AsyncIterator[Answers]:
    opened = await Answers.open(path, 0)
    yield opened
    await opened.close()


async def again(path: Path, answers: Answers) -> Answers:
    """The next start."""
    await answers.close()
    return await Answers.open(path, 0)


async def test_what_was_put_is_read_at_the_next_start(path: Path, answers: Answers) -> None:
    bodies = {f"/klines?{n}": bytes(range(256)) * (n + 1) for n in range(3 * BATCH + 5)}
    for asked, body in bodies.items():
        answers.put(answer(asked, body=body))
    later = await again(path, answers)
    assert await later.begin("binance", bodies) == bodies.keys()
    assert await later.begin("okx", bodies) == frozenset()
    found = {}
    for asked in bodies:
        found |= await later.read("binance", [asked])
    assert found == bodies
    assert await later.read("okx", list(bodies)[:5]) == {}
    assert (later.problem, later.lost) == ("", 0)
    await later.close()


async def test_they_lie_there_compressed_with_their_times(path: Path, answers: Answers) -> None:
    answers.put(answer("/a", body=b"0123456789" * 1000))
    await answers.close()
    with closing(sqlite3.connect(path)) as connection:
        ((final, at, size),) = connection.execute(
            "SELECT final, asked_at, length(body) FROM answers"
        )
    assert (final, at) == (NOW - DAY, NOW)
    assert size < 200


async def test_what_is_not_asked_any_more_goes(path: Path, answers: Answers) -> None:
    for asked in ("/a", "/b", "/c"):
        answers.put(answer(asked))
        answers.put(answer(asked, feed="okx"))
    later = await again(path, answers)
    assert await later.begin("binance", ["/b", "/d"]) == {"/b"}
    await later.close()
    assert rows(path) == [("binance", "/b"), ("okx", "/a"), ("okx", "/b"), ("okx", "/c")]


async def test_a_newer_answer_replaces_an_older_one(path: Path, answers: Answers) -> None:
    answers.put(answer("/a", body=b"old"))
    answers.put(answer("/a", body=b"new"))
    later = await again(path, answers)
    assert await later.read("binance", ["/a"]) == {"/a": b"new"}
    assert len(rows(path)) == 1
    await later.close()


async def test_what_came_too_long_ago_goes(path: Path, answers: Answers) -> None:
    answers.put(answer("/old", at=NOW - 41 * DAY))
    answers.put(answer("/new", at=NOW - 39 * DAY))
    await answers.close()
    await (await Answers.open(path, NOW - 40 * DAY)).close()
    assert rows(path) == [("binance", "/new")]


async def test_a_feed_can_be_forgotten(path: Path, answers: Answers) -> None:
    answers.put(answer("/a"))
    answers.put(answer("/a", feed="okx"))
    later = await again(path, answers)
    await later.forget("binance")
    await later.close()
    assert rows(path) == [("okx", "/a")]


async def test_a_damaged_one_is_as_good_as_none(path: Path, answers: Answers) -> None:
    for asked in ("/a", "/b", "/c"):
        answers.put(answer(asked))
    await answers.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE answers SET body = x'00112233' WHERE asked = '/a'")
        connection.execute("UPDATE answers SET body = 'text' WHERE asked = '/b'")
        connection.commit()
    later = await Answers.open(path, 0)
    assert await later.read("binance", ["/a", "/b", "/c"]) == {"/c": b"[1]"}
    later.put(answer("/a", body=b"again"))
    later = await again(path, later)
    assert await later.read("binance", ["/a"]) == {"/a": b"again"}
    await later.close()


async def test_a_locked_database_loses_answers_and_nothing_else(
    path: Path, answers: Answers
) -> None:
    answers.put(answer("/a"))
    answers = await again(path, answers)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answers.put(answer("/b"))
        assert await answers.begin("binance", ["/x"]) == frozenset(), "reading goes on"
        while not answers.lost:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert "locked" in answers.problem
        other.execute("ROLLBACK")
    answers.put(answer("/c"))
    await answers.close()
    assert answers.problem == ""
    assert rows(path) == [("binance", "/a"), ("binance", "/c")]


async def test_a_full_disk_loses_answers_and_nothing_else(path: Path, answers: Answers) -> None:
    await answers._database.execute_fetchall("PRAGMA max_page_count = 1")
    ((pages,),) = await answers._database.execute_fetchall("PRAGMA page_count")
    answers.put(answer("/a", body=Random(1).randbytes(400_000)))
    while not answers.lost:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert "full" in answers.problem
    await answers._database.execute_fetchall(f"PRAGMA max_page_count = {pages + 1000}")
    answers.put(answer("/b"))
    await answers.close()
    assert rows(path) == [("binance", "/b")]


async def test_a_table_that_is_gone_is_told_and_asked_for_again(
    path: Path, answers: Answers
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE answers")
        connection.commit()
    assert await answers.begin("binance", ["/a"]) == frozenset()
    assert await answers.read("binance", ["/a"]) == {}
    assert "no such table" in answers.problem
    with pytest.raises(sqlite3.Error):
        await Answers.open(path, 0)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"no database at all" * 500)
    with pytest.raises(sqlite3.Error):
        await Answers.open(tmp_path / "x.db", 0)


async def test_more_than_the_queue_holds_is_counted(answers: Answers) -> None:
    for n in range(QUEUE + 10):
        answers.put(answer(f"/{n}"))
    assert answers.lost == 10
    await answers.close()
    answers.put(answer("/late"))
    assert answers.lost == 11
    assert await answers.begin("binance", ["/1"]) == frozenset()
    await answers.close()


async def test_cancelled_around_it_leaves_no_thread(path: Path) -> None:
    answers = await Answers.open(path, 0)
    answers.put(answer("/a"))
    answers._task.cancel()
    await answers.close()
    assert answers._task.done()
    assert not answers._database._running


def test_an_older_history_gets_the_table(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    prepare(path, META, MIGRATIONS[:2])
    prepare(path, META)
    assert rows(path) == []
