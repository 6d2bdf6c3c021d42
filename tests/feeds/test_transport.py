"""The pieces under the session loop: refusals, budget, spacing, coalesced reads."""

import asyncio
from collections import deque
from email.utils import formatdate
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import NS, WallClock
from engine.feeds.budget import MINUTE, Budget, Spacing
from engine.feeds.transport import is_loopback, pump, race, refusal, within


def test_refusals():
    limited = refusal(418, {"Retry-After": "120"}, 0)
    assert (limited.state, limited.wait) == ("limited", 120.0)
    assert refusal(429, {}, 0).wait is None
    assert refusal(429, {"Retry-After": "soon"}, 0).wait is None
    at = {"Retry-After": formatdate(1_000_030, usegmt=True)}
    assert refusal(429, at, 1_000_000 * NS).wait == 30.0
    assert refusal(451, {}, 0).state == refusal(403, {}, 0).state == "blocked"
    assert refusal(500, {}, 0) is None


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("ws://127.0.0.1:1/x", True),
        ("http://localhost", True),
        ("ws://[::1]:1", True),
        ("https://fapi.binance.com", False),
        ("ws://10.0.0.1", False),
        ("", False),
    ],
)
def test_loopback(url, loopback):
    assert is_loopback(url) is loopback


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), max_size=60))
@settings(deadline=None)
def test_no_minute_exceeds_the_budget(asks):
    budget, now, spent = Budget(60), 0, []
    for pause, weight in asks:
        now += pause * NS
        while wait := budget.wait(now, weight):
            assert wait > 0
            now += wait
        budget.spend(now, weight)
        spent.append((now, weight))
        assert sum(w for at, w in spent if now - MINUTE < at) <= 60


def test_a_request_above_the_budget_waits_for_an_empty_minute():
    budget = Budget(10)
    assert budget.wait(0, 40) == 0
    budget.spend(0, 40)
    assert budget.wait(NS, 40) == 59 * NS
    assert budget.wait(MINUTE, 40) == 0


def test_spacing_doubles_and_is_forgotten():
    spacing, now, dues = Spacing(), 0, []
    for _ in range(8):
        now = spacing.due("BTCUSDT", now)
        dues.append(now)
    gaps = [(b - a) / NS for a, b in pairwise(dues)]
    assert gaps == [1, 2, 4, 8, 16, 30, 30]
    assert spacing.due("ETHUSDT", now) == now
    now += 61 * NS
    assert spacing.due("BTCUSDT", now) == now
    assert spacing.due("BTCUSDT", now) == now + NS


class Endless(Exception):
    pass


class Bare:
    """A socket without the attributes that coalescing leans on."""

    def __init__(self, messages: int) -> None:
        self.left = messages

    async def recv(self, decode: bool) -> bytes:
        if not self.left:
            raise Endless
        self.left -= 1
        return b"x"


class Pausable(Bare):
    """The same with them; counts how often reading was paused."""

    def __init__(self, messages: int) -> None:
        super().__init__(messages)
        self.recv_messages = self
        self.frames: deque[int] = deque()
        self.transport = self
        self.paused = self.resumed = 0

    async def recv(self, decode: bool) -> bytes:
        if not self.frames:
            await asyncio.sleep(0)
            self.frames.extend(range(min(10, self.left)))
        if self.frames:
            self.frames.popleft()
        return await super().recv(decode)

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.resumed += 1


async def test_pump_without_private_attributes_reads_on():
    got: list[bytes] = []
    with pytest.raises(Endless):
        await asyncio.wait_for(pump(Bare(500), WallClock(), 10.0, got.append), 1)
    assert len(got) == 500


async def test_pump_takes_what_is_buffered_in_one_pass():
    got: list[bytes] = []
    socket = Pausable(100)
    with pytest.raises(Endless):
        await pump(socket, WallClock(), 0.001, got.append)
    assert len(got) == 100
    assert socket.paused == socket.resumed == 10


async def test_a_cancelled_pause_resumes_reading():
    socket = Pausable(100)
    task = asyncio.create_task(pump(socket, WallClock(), 60.0, lambda data: None))
    while not socket.paused:  # noqa: ASYNC110
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert socket.resumed == socket.paused


async def test_within_and_race_leave_no_task():
    before = asyncio.all_tasks()

    async def answer() -> int:
        return 3

    async def fail() -> None:
        raise Endless

    assert await within(WallClock(), 5, answer()) == 3
    with pytest.raises(TimeoutError):
        await within(WallClock(), 0.01, asyncio.sleep(5))
    with pytest.raises(Endless):
        await race(fail(), asyncio.sleep(5))
    outer = asyncio.create_task(within(WallClock(), 5, asyncio.sleep(5)))
    await asyncio.sleep(0.01)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    assert asyncio.all_tasks() == before
