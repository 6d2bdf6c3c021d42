"""Requests that are repeated: their pace, failures, shares of the budget, hosts, versions."""

import asyncio
from itertools import pairwise

import pytest

from engine.clock import NS
from engine.feeds.budget import Budget
from engine.feeds.feed import Poll, Request

BARE = {"sockets": False, "catalogue": False}


@pytest.fixture
def poll(venue):
    """poll(path, every, weight=1, at=venue, **more): an answered path of a venue."""

    def make(path: str, every: float, weight: int = 1, at=venue, **more) -> Poll:
        at.answers.setdefault(path, path.encode())
        url = f"http://127.0.0.1:{at.rest_port}/{path}"
        return Poll(Request(url, weight, path, **more), every)

    return make


def times(venue, path: str) -> list[float]:
    """Seconds at which a path was asked for."""
    return [at / NS for at, target in venue.requests if target.partition("?")[0].endswith(path)]


def most_within_a_minute(seconds: list[float]) -> int:
    return max(sum(at - 60 < other <= at for other in seconds) for at in seconds)


def watch_spending(budget: Budget) -> list[tuple[float, str]]:
    """When and for what requests were begun: the venue sees them later, by its own latency."""
    spent, spend = [], budget.spend

    def noted(now: int, weight: int, kind: str = "") -> None:
        spent.append((now / NS, kind))
        spend(now, weight, kind)

    budget.spend = noted
    return spent


async def test_polls_repeat_at_their_own_pace(venue, plan, poll):
    async with plan(of=BARE, polls=[poll("quick", 4), poll("slow", 12)]) as run:
        await run.until(lambda: len(times(venue, "slow")) == 4)
    for path, every in (("quick", 4), ("slow", 12)):
        gaps = [b - a for a, b in pairwise(times(venue, path))]
        assert gaps == pytest.approx([every] * len(gaps), abs=1e-6)


async def test_answers_of_polls_come_as_frames(venue, plan, poll):
    async with plan(of=BARE, polls=[poll("oi", 5, symbol="ETHUSDT")]) as run:
        await run.until(lambda: len(run.on("rest")) == 2)
    assert {(f.symbol, f.data, f.url.rpartition("/")[2]) for f in run.on("rest")} == {
        ("ETHUSDT", b"oi", "oi")
    }


async def test_polls_survive_failures_and_say_when_they_are_over(venue, plan, poll):
    venue.faults["oi"] = [(500, {})] * 2 + [(200, {})]
    async with plan(of=BARE, polls=[poll("oi", 5)]) as run:
        await run.until(lambda: len(run.on("rest")) == 3)
        await run.until(lambda: run.states("connected", "rest"))
    assert [s.note for s in run.states("error")] == ["oi: HTTP 500"]
    assert run.session.counters.rest_failures == 1


async def test_a_poll_that_always_fails_is_told_once_and_asked_more_rarely(
    venue, clock, plan, poll
):
    clock.leap = 10.0
    venue.faults["oi"] = [(404, {})] * 4
    async with plan(of=BARE, polls=[poll("oi", 90)]) as run:
        await run.until(lambda: run.on("rest"))
    gaps = [b - a for a, b in pairwise(times(venue, "oi"))]
    assert len(gaps) == 4
    assert gaps == pytest.approx([30, 60, 90, 90], abs=1e-6)
    assert len(run.states("error")) == 1
    assert run.session.counters.rest_failures == 4


async def test_polls_and_history_share_the_budget(venue, clock, plan, poll):
    clock.leap = 10.0
    greedy = [poll(f"p{n}", 0.5) for n in range(10)]
    run = plan(of=BARE, polls=greedy, request_weight=40)
    history = [Request(poll(f"h{n}", 1).request.url, 1, "bars") for n in range(60)]
    spent = watch_spending(run.session._rest.budget)
    async with run:
        fetching = asyncio.create_task(run.session.fetch(history))
        await run.until(lambda: sum("/h" in target for _, target in venue.requests) >= 20)
        fetching.cancel()
    assert most_within_a_minute([at for at, _ in spent]) <= 40
    assert most_within_a_minute([at for at, kind in spent if kind == "poll"]) <= 24
    assert len(spent) >= len(venue.requests)
    assert {target for _, target in venue.requests} >= {f"/p{n}" for n in range(10)}


async def test_a_long_backfill_leaves_room_for_polls_and_books(venue, clock, plan, poll):
    # Between the rooms of history and of polls lie 60 a minute: two books, and as many polls.
    run = plan(("BTCUSDT",), [poll("oi", 10)], request_weight=600, streams=["depth"])
    history = [Request(poll(f"h{n}", 1).request.url, 10, "bars") for n in range(100)]
    async with run:
        fetching = asyncio.create_task(run.session.fetch(history))
        await run.until(lambda: run.session.usage().requests >= 470)
        run.session.heal("BTCUSDT")
        before, asked = clock.now(), len(times(venue, "depth"))
        await run.until(lambda: len(times(venue, "depth")) > asked)
        assert clock.now() - before < 20 * NS
        await run.until(lambda: len(times(venue, "oi")) >= 8)
        assert not fetching.done()
        fetching.cancel()
    gaps = [b - a for a, b in pairwise(times(venue, "oi"))]
    assert gaps == pytest.approx([10] * len(gaps), abs=1e-6)


async def test_nothing_new_delivers_nothing_but_is_told(venue, plan, poll):
    venue.tags["news"] = '"v1"'
    async with plan(of=BARE, polls=[poll("news", 5)]) as run:
        await run.until(lambda: len(run.states("acked", "rest")) >= 2)
        assert len(run.on("rest")) == 1
        venue.tags["news"], venue.answers["news"] = '"v2"', b"more"
        await run.until(lambda: len(run.on("rest")) == 2)
    assert run.on("rest")[1].data == b"more"
    told = run.states("acked", "rest")[0]
    assert (told.stream, told.note) == ("news", run.on("rest")[0].url)
    asked = [head.get("if-none-match") for head in venue.heads]
    assert asked[:2] == [None, '"v1"']
    assert not run.states("error")


async def test_a_refusing_host_holds_up_itself_alone(venue, other, clock, plan, poll):
    other.clock = clock.now
    other.faults["there"] = [(403, {}), (429, {"Retry-After": "20"})]
    polls = [poll("there", 5, at=other), poll("here", 5)]
    async with plan(of=BARE, polls=polls) as run:
        await run.until(lambda: len(times(other, "there")) == 3)
        await run.until(lambda: run.states("connected", "rest"))
    first, second, third = times(other, "there")
    assert second - first >= 30, "blocked_retry"
    assert third - second >= 20, "Retry-After"
    assert len(times(venue, "here")) >= 7
    assert [s.state for s in run.statuses if s.connection == "rest"] == [
        "blocked", "limited", "connected"
    ]  # fmt: skip


async def test_a_hanging_host_does_not_hold_up_another(venue, other, clock, plan, poll):
    clock.patience = 20
    other.hung.add("there")
    polls = [poll("there", 5, at=other), poll("here", 5)]
    async with plan(of=BARE, polls=polls) as run:
        await run.until(lambda: len(times(venue, "here")) >= 6)
    assert len(times(other, "there")) == 1


async def test_a_post_carries_its_body_and_its_url_says_so(venue, plan, poll):
    body = '{"type":"meta"}'
    async with plan(of=BARE, polls=[poll("info", 5, body=body)]) as run:
        await run.until(lambda: len(run.on("rest")) == 2)
    assert venue.bodies[0] == body.encode()
    assert venue.heads[0]["content-type"] == "application/json"
    assert run.on("rest")[0].url.endswith(f"/info#{body}")


async def test_polls_follow_the_feed_and_keep_their_pace(venue, plan, poll):
    """After a catalogue the feed may ask for others; those that stay are not asked at once."""
    run = plan(polls=[poll("stays", 30), poll("goes", 5)], streams=["trade"])
    async with run:
        await run.until(lambda: len(times(venue, "goes")) == 2)
        run.feed.wanted = [run.feed.wanted[0], poll("comes", 5)]
        run.session._replan.set()
        await run.until(lambda: len(times(venue, "comes")) == 2)
        gone = len(times(venue, "goes"))
        await run.until(lambda: len(times(venue, "comes")) == 4)
    assert len(times(venue, "goes")) == gone
    assert len(times(venue, "stays")) == 1 or times(venue, "stays")[1] >= (
        times(venue, "stays")[0] + 30
    )
