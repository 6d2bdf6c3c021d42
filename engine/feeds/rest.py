"""One venue's REST requests: a rolling budget, book snapshots first, then history in order."""

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from engine.clock import NS, Clock
from engine.config import ConnectionConfig
from engine.feeds.feed import Request
from engine.feeds.transport import is_loopback, race, refusal, within

log = logging.getLogger(__name__)

MINUTE = 60 * NS
LIMITED_WAIT = 60.0  # seconds, where the venue does not say
TRIES = 5
SPACING = (1.0, 30.0)  # seconds between two snapshots of one book: first, most
PEACE = 60 * NS
Notify = Callable[[str, str, str | None], None]


class Counters(Struct):
    """What a session has carried, lost and waited for since it started.

    `reconnects` leaves out rotations; `blind_ns` sums the time between a socket's last frame and
    its successor's first; `dropped` counts frames lost inside, by reason.
    """

    frames: int = 0
    bytes: int = 0
    reconnects: int = 0
    rest_requests: int = 0
    rest_failures: int = 0
    blind_ns: int = 0
    dropped: Counter[str] = msgspec.field(default_factory=Counter)


class Job(Struct, eq=False):
    """A request waiting for its turn; `tries` None never gives up."""

    request: Request
    deliver: Callable[[bytes], None]
    settled: Callable[[bool], None] = lambda answered: None
    tries: int | None = TRIES
    due: int = 0
    failures: int = 0


class Batch:
    """The requests of one `fetch`, in order."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = deque(jobs)
        self.done = asyncio.Event()
        self.answered = 0


class Budget:
    """Request weight of the last minute."""

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._spent: deque[tuple[int, int]] = deque()

    def wait(self, now: int, weight: int) -> int:
        """ns until `weight` fits; what never fits waits for an empty minute."""
        while self._spent and self._spent[0][0] <= now - MINUTE:
            self._spent.popleft()
        excess = sum(w for _, w in self._spent) + weight - self._weight
        if excess <= 0 or not self._spent:
            return 0
        for at, spent in self._spent:
            excess -= spent
            if excess <= 0:
                return at + MINUTE - now
        return self._spent[-1][0] + MINUTE - now

    def spend(self, now: int, weight: int) -> None:
        self._spent.append((now, weight))


class Spacing:
    """How soon one book may be asked for again: 1 s doubling to 30 s, forgotten after peace."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, float]] = {}

    def due(self, symbol: str, now: int) -> int:
        """The instant of the next request, which is taken as made."""
        first, most = SPACING
        last, gap = self._last.get(symbol, (None, first))
        if last is None or now - last > PEACE:
            self._last[symbol] = (now, first)
            return now
        at = max(now, last + int(gap * NS))
        self._last[symbol] = (at, min(2 * gap, most))
        return at


class Rest:
    """The worker all of a feed's REST requests go through, one at a time.

    Urgent jobs (books, the catalogue) precede history; of several fetches the one with the fewest
    requests left goes first, so that a join does not wait for a long backfill.
    """

    def __init__(
        self,
        weight: float,
        patience: ConnectionConfig,
        clock: Clock,
        rng: random.Random,
        answer: Callable[[Request, bytes], None],
        notify: Notify,
        counters: Counters,
    ) -> None:
        self._patience, self._clock, self._rng = patience, clock, rng
        self._answer, self._notify, self._counters = answer, notify, counters
        self._budget = Budget(weight)
        self._spacing = Spacing()
        self._urgent: list[Job] = []
        self._batches: list[Batch] = []
        self._healing: set[str] = set()
        self._wake = asyncio.Event()
        self._held_until = 0
        self._refused = False
        self._closed = False
        self._clients: dict[bool, Any] = {}

    def heal(self, symbol: str, request: Request) -> bool:
        """Ask for one book unless that is under way already; whether it was taken on."""
        if symbol in self._healing or self._closed:
            return False
        self._healing.add(symbol)
        self._add(
            Job(
                request=request,
                deliver=lambda body: self._answer(request, body),
                settled=lambda _: self._healing.discard(symbol),
                tries=None,
                due=self._spacing.due(symbol, self._clock.now()),
            )
        )
        return True

    async def ask(self, request: Request) -> bytes:
        """One answer for the caller alone; raises OSError when it cannot be had."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def deliver(body: bytes) -> None:
            if not future.done():
                future.set_result(body)

        def settled(answered: bool) -> None:
            if not (answered or future.done()):
                future.set_exception(OSError(f"no answer from {request.url}"))

        job = Job(request=request, deliver=deliver, settled=settled, tries=2)
        self._add(job)
        try:
            return await future
        finally:
            self._urgent = [other for other in self._urgent if other is not job]

    async def fetch(self, requests: Sequence[Request]) -> int:
        """Answers in order to the sink; returns how many came, once all came or were given up."""
        if not requests or self._closed:
            return 0
        batch = Batch([self._history(request) for request in requests])
        self._batches.append(batch)
        self._wake.set()
        try:
            await batch.done.wait()
        finally:
            self._batches = [other for other in self._batches if other is not batch]
        return batch.answered

    def _history(self, request: Request) -> Job:
        return Job(request=request, deliver=lambda body: self._answer(request, body))

    def _add(self, job: Job) -> None:
        self._urgent.append(job)
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                self._wake.clear()
                now = self._clock.now()
                job, wait = self._pick(now)
                if job is None:
                    await race(self._wake.wait(), self._clock.sleep(wait / NS))
                    continue
                self._budget.spend(now, job.request.weight)
                await self._perform(job)
        finally:
            clients, self._clients = list(self._clients.values()), {}
            for client in clients:
                await client.aclose()

    def close(self) -> None:
        """Give up whatever waits, so that nobody waits for it."""
        self._closed = True
        for job in self._urgent:
            job.settled(False)
        for batch in self._batches:
            batch.done.set()
        self._urgent, self._batches = [], []

    def _pick(self, now: int) -> tuple[Job | None, int]:
        """The job whose turn it is, or the ns until there may be one."""
        if now < self._held_until:
            return None, self._held_until - now
        batches = sorted((b for b in self._batches if b.jobs), key=lambda b: len(b.jobs))
        heads = [*self._urgent, *(batch.jobs[0] for batch in batches)]
        job = next((job for job in heads if job.due <= now), None)
        if job is None:
            return None, min((head.due for head in heads), default=now + MINUTE) - now
        wait = self._budget.wait(now, job.request.weight)
        return (None, wait) if wait else (job, 0)

    async def _perform(self, job: Job) -> None:
        self._counters.rest_requests += 1
        seconds = 2 * self._patience.connect_timeout
        try:
            response = await within(self._clock, seconds, self._get(job.request.url))
        except Exception as error:  # whatever network, TLS, proxy or a bad answer can raise
            self._failed(job, f"{type(error).__name__}: {error}"[:120])
            return
        status = response.status_code
        if refused := refusal(status, response.headers, self._clock.now()):
            self._hold(refused.state, refused.note, refused.wait)
        elif status == 200:
            self._recovered()
            job.deliver(response.content)
            self._settle(job, True)
        elif 400 <= status < 500 and status != 408:
            self._give_up(job, f"HTTP {status}: {response.text[:80]}")
        else:
            self._failed(job, f"HTTP {status}")

    async def _get(self, url: str) -> Any:
        direct = is_loopback(url)
        if direct not in self._clients:
            # Importing the library and reading the certificates would hold up the loop.
            self._clients[direct] = await asyncio.to_thread(_client, not direct)
        return await self._clients[direct].get(url)

    def _hold(self, state: str, note: str, wait: float | None) -> None:
        """Stop asking for as long as the venue wants; the job keeps its place."""
        usual = LIMITED_WAIT if state == "limited" else self._patience.blocked_retry
        seconds = usual if wait is None else wait
        self._held_until = self._clock.now() + int(seconds * NS)
        self._refused = True
        self._notify(state, f"{note}; next request in {seconds:g} s", None)

    def _recovered(self) -> None:
        if self._refused:
            self._refused = False
            self._notify("connected", "", None)

    def _failed(self, job: Job, note: str) -> None:
        job.failures += 1
        if job.failures == job.tries:
            self._give_up(job, note)
            return
        if job.failures == TRIES:
            self._count_failure(job, note)
        longest = self._patience.backoff * 2.0 ** min(20, job.failures)
        seconds = self._rng.uniform(0, min(longest, self._patience.backoff_max))
        job.due = self._clock.now() + int(seconds * NS)

    def _give_up(self, job: Job, note: str) -> None:
        self._count_failure(job, note)
        self._settle(job, False)

    def _count_failure(self, job: Job, note: str) -> None:
        self._counters.rest_failures += 1
        log.warning("%s: %s", job.request.url, note)
        self._notify("error", f"{job.request.purpose}: {note}", job.request.symbol)

    def _settle(self, job: Job, answered: bool) -> None:
        self._urgent = [other for other in self._urgent if other is not job]
        for batch in self._batches:
            if batch.jobs and batch.jobs[0] is job:
                batch.jobs.popleft()
                batch.answered += answered
                if not batch.jobs:
                    batch.done.set()
        job.settled(answered)


def _client(trust_env: bool) -> Any:
    import httpx

    return httpx.AsyncClient(trust_env=trust_env, timeout=None)
