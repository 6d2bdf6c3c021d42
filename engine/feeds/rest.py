"""One feed's REST requests: a rolling budget; book snapshots first, then polls, then history."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from engine.clock import NS, Clock
from engine.config import ConnectionConfig
from engine.feeds.budget import MINUTE, Budget, Counters, Spacing
from engine.feeds.feed import Poll, Request
from engine.feeds.transport import Refused, is_loopback, race, refusal, within
from engine.version import VERSION

log = logging.getLogger(__name__)

LIMITED_WAIT = 60.0  # seconds, where the venue does not say
TRIES = 5
POLL_TRIES = 2
AGAIN = (30.0, 600.0)  # seconds until a poll that failed is asked again: first, most
# How full the minute may be for each kind, so that books find room beside a long backfill, and
# what polls may take of it while history waits.
ROOM = {"urgent": 1.0, "poll": 0.9, "history": 0.8}
POLLS_SHARE = 0.6
Kind = Literal["urgent", "poll", "history"]
Notify = Callable[[str, Request | None, str], None]


class Job(Struct, eq=False):
    """A request waiting for its turn; `tries` None never gives up, `every` > 0 begins again.

    `known`: what the last answer said of its version, to be told of news alone (RFC 9110, 13);
    `lost`: rounds in a row that brought nothing.
    """

    request: Request
    kind: Kind
    deliver: Callable[[bytes], None]
    settled: Callable[[bool], None] = lambda answered: None
    tries: int | None = TRIES
    due: int = 0
    failures: int = 0
    lost: int = 0
    every: float = 0.0
    known: dict[str, str] = msgspec.field(default_factory=dict)
    host: str = ""

    def __post_init__(self) -> None:
        self.host = urlsplit(self.request.url).netloc


class Batch:
    """The requests of one `fetch`, in order."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = deque(jobs)
        self.done = asyncio.Event()
        self.answered = 0


class Rest:
    """The worker all of a feed's REST requests go through, one at a time for each host.

    Urgent jobs (books) precede polls, polls precede history, each within its room in the budget;
    of several fetches the one with the fewest requests left goes first, so that a join does not
    wait for a long backfill. A refusal holds up the host it came from alone.
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
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.budget = Budget(weight)
        self._headers = dict(headers or {})
        self._patience, self._clock, self._rng = patience, clock, rng
        self._answer, self._notify, self._counters = answer, notify, counters
        self._spacing = Spacing()
        self._urgent: list[Job] = []
        self._standing: list[Job] = []
        self._polls: list[Job] = []
        self._batches: list[Batch] = []
        self._healing: set[str] = set()
        self._wake = asyncio.Event()
        self._held: dict[str, int] = {}
        self._troubled: set[str] = set()
        self._busy: set[str] = set()
        self._closed = False
        self._clients: dict[bool, Any] = {}
        self._making = asyncio.Lock()

    def heal(self, symbol: str, request: Request) -> bool:
        """Ask for one book unless that is under way already; whether it was taken on."""
        if symbol in self._healing or self._closed:
            return False
        self._healing.add(symbol)
        job = Job(
            request=request,
            kind="urgent",
            deliver=partial(self._answer, request),
            settled=lambda _: self._healing.discard(symbol),
            tries=None,
            due=self._spacing.due(symbol, self._clock.now()),
        )
        self._urgent.append(job)
        self._wake.set()
        return True

    def repeat(
        self, poll: Poll, take: Callable[[bytes], None], settled: Callable[[bool], None]
    ) -> None:
        """A poll for good whose answers `take` gets; `settled` is told how each round went.

        An answer at which `take` raises counts as a failure.
        """
        job = self._poll(poll)
        job.deliver, job.settled = take, settled
        self._standing.append(job)
        self._wake.set()

    def poll(self, polls: Sequence[Poll]) -> None:
        """Ask these again and again from now on, and no others; those that stay keep their pace."""
        known = {(job.request, job.every): job for job in self._polls}
        self._polls = [known.get((p.request, p.every)) or self._poll(p) for p in polls]
        self._wake.set()

    async def fetch(self, requests: Sequence[Request]) -> int:
        """Answers in order to the sink; returns how many came, once all came or were given up."""
        if not requests or self._closed:
            return 0
        batch = Batch(
            [Job(request=r, kind="history", deliver=partial(self._answer, r)) for r in requests]
        )
        self._batches.append(batch)
        self._wake.set()
        try:
            await batch.done.wait()
        finally:
            self._batches = [other for other in self._batches if other is not batch]
        return batch.answered

    def _poll(self, poll: Poll) -> Job:
        return Job(
            request=poll.request,
            kind="poll",
            deliver=partial(self._answer, poll.request),
            tries=POLL_TRIES,
            every=poll.every,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._wake.clear()
                    now = self._clock.now()
                    job, wait = self._pick(now)
                    if job is None:
                        await race(self._wake.wait(), self._clock.sleep(wait / NS))
                        continue
                    self.budget.spend(now, job.request.weight, job.kind)
                    self._busy.add(job.host)
                    group.create_task(self._perform(job))
        finally:
            self._busy.clear()
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
        """The job whose turn it is, or the ns until there may be one.

        A job that waits for room in the budget holds those below it back, or they would take it
        away; only the share of the polls ends where history waits.
        """
        batches = sorted((b for b in self._batches if b.jobs), key=lambda b: len(b.jobs))
        urgent, waits = self._due(self._urgent, now)
        polls, later = self._due([*self._standing, *self._polls], now)
        history, last = self._due((batch.jobs[0] for batch in batches), now)
        waits += later + last
        polls.sort(key=lambda job: job.due)
        for job in (*urgent[:1], *polls[:1], *history[:1]):
            weight = job.request.weight
            wait = self.budget.wait(now, weight, ROOM[job.kind])
            if wait:
                return None, min(wait, *waits, MINUTE)
            share = POLLS_SHARE if job.kind == "poll" and history else 1.0
            wait = self.budget.wait(now, weight, share, job.kind)
            if not wait:
                return job, 0
            waits.append(wait)
        return None, min(waits, default=MINUTE)

    def _due(self, jobs: Iterable[Job], now: int) -> tuple[list[Job], list[int]]:
        """Those that may go now as far as time and host are concerned; ns until the others may."""
        ready, waits = [], []
        for job in jobs:
            host = job.host
            if host in self._busy:
                continue
            begin = max(job.due, self._held.get(host, 0))
            if begin <= now:
                ready.append(job)
            else:
                waits.append(begin - now)
        return ready, waits

    async def _perform(self, job: Job) -> None:
        """One request; whatever network, TLS, proxy or a bad answer can raise is a failure."""
        self._counters.rest_requests += 1
        seconds = 2 * self._patience.connect_timeout
        try:
            response = await within(self._clock, seconds, self._send(job))
            self._judge(job, response)
        except Exception as error:
            self._failed(job, f"{type(error).__name__}: {error}"[:120].removesuffix(": "))
        finally:
            self._busy.discard(job.host)
            self._wake.set()

    def _judge(self, job: Job, response: Any) -> None:
        status = response.status_code
        if refused := refusal(status, response.headers, self._clock.now()):
            self._hold(job, refused)
        elif status == 304 and job.known:
            self._recovered(job)
            self._notify("acked", job.request, "unchanged")
            self._settle(job, True)
        elif status == 200:
            job.deliver(response.content)
            job.known = _version(response.headers) if job.every else {}
            self._recovered(job)
            self._settle(job, True)
        elif 400 <= status < 500 and status != 408:
            self._give_up(job, f"HTTP {status}: {response.text[:80]}")
        else:
            self._failed(job, f"HTTP {status}")

    async def _send(self, job: Job) -> Any:
        url, body = job.request.url, job.request.body
        direct = is_loopback(url)
        async with self._making:
            if direct not in self._clients:
                # Importing the library and reading certificates would hold up the loop.
                self._clients[direct] = await asyncio.to_thread(_client, not direct, self._headers)
        client = self._clients[direct]
        if body is None:
            return await client.get(url, headers=job.known)
        return await client.post(url, content=body, headers={"Content-Type": "application/json"})

    def _hold(self, job: Job, refused: Refused) -> None:
        """Ask that host nothing for as long as the venue wants; the job keeps its place."""
        usual = LIMITED_WAIT if refused.state == "limited" else self._patience.blocked_retry
        seconds = usual if refused.wait is None else refused.wait
        self._held[job.host] = self._clock.now() + int(seconds * NS)
        self._troubled.add(job.host)
        self._notify(refused.state, None, f"{refused.note}; next request in {seconds:g} s")
        if job.kind == "poll":
            job.settled(False)

    def _recovered(self, job: Job) -> None:
        host = job.host
        self._held.pop(host, None)
        if host in self._troubled:
            self._troubled.discard(host)
            if not self._troubled:
                self._notify("connected", None, "")

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
        """Counted always, told only when it is news."""
        self._counters.rest_failures += 1
        log.warning("%s: %s", job.request.url, note)
        if not job.lost:
            self._troubled.add(job.host)
            self._notify("error", job.request, f"{job.request.purpose}: {note}")

    def _settle(self, job: Job, answered: bool) -> None:
        self._urgent = [other for other in self._urgent if other is not job]
        if job.every:
            self._next_round(job, answered)
        for batch in self._batches:
            if batch.jobs and batch.jobs[0] is job:
                batch.jobs.popleft()
                batch.answered += answered
                if not batch.jobs:
                    batch.done.set()
        job.settled(answered)

    def _next_round(self, job: Job, answered: bool) -> None:
        first, most = AGAIN
        again = min(first * 2.0 ** min(job.lost, 20), most, job.every)
        job.due = self._clock.now() + int((job.every if answered else again) * NS)
        job.failures, job.lost = 0, 0 if answered else job.lost + 1


def _version(headers: Mapping[str, str]) -> dict[str, str]:
    """What to ask with for a newer version alone."""
    asked = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}
    return {ask: headers[name] for name, ask in asked.items() if name in headers}


def _client(trust_env: bool, headers: Mapping[str, str]) -> Any:
    import httpx

    named = {"User-Agent": f"blackperp-cockpit/{VERSION}", **headers}
    return httpx.AsyncClient(
        trust_env=trust_env, timeout=None, headers=named, follow_redirects=True
    )
