"""Sockets for the session loop: opening, coalesced reading, and what a refusal means."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any, TypeVar
from urllib.parse import urlsplit

from engine.clock import NS, Clock

Answer = TypeVar("Answer")
LIMITED = (429, 418)
BLOCKED = (451, 403)
_LARGEST = 2**24
_CLOSING = 1.0  # seconds a peer may take to say goodbye
_KEEPALIVE = 30.0


class Refused(Exception):
    """The venue turned us away: `state` of FeedStatus, the reason, seconds to stay away.

    `wait` is None where the venue named none.
    """

    def __init__(self, state: str, note: str, wait: float | None) -> None:
        super().__init__(note)
        self.state, self.note, self.wait = state, note, wait


def refusal(status: int, headers: Mapping[str, str], now: int) -> Refused | None:
    """What an HTTP status says about us; None where it says nothing."""
    if status in LIMITED:
        return Refused("limited", f"HTTP {status}: too many requests", retry_after(headers, now))
    if status in BLOCKED:
        return Refused("blocked", f"HTTP {status}: refused from this place", None)
    return None


def retry_after(headers: Mapping[str, str], now: int) -> float | None:
    """Seconds of a Retry-After header in either of its forms (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text[:9])
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - now / NS)
    return None


def is_loopback(url: str) -> bool:
    """Whether a url stays on this machine, where no proxy belongs."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


async def race(*jobs: Coroutine[Any, Any, Any]) -> None:
    """Run until the first ends, end the others, raise what it raised."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def within(clock: Clock, seconds: float, job: Coroutine[Any, Any, Answer]) -> Answer:
    """The job's result; TimeoutError when `seconds` of the clock pass first."""
    task = asyncio.ensure_future(job)
    await race(_settled(task), clock.sleep(seconds))
    if task.cancelled():
        raise TimeoutError(f"no answer within {seconds:g} s")
    return task.result()


async def _settled(task: "asyncio.Future[Any]") -> None:
    """Ends when the task does; takes it along when cancelled."""
    try:
        await asyncio.wait([task])
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def open_socket(
    url: str, clock: Clock, *, compression: bool, patience: float, headers: Mapping[str, str]
) -> Any:
    """A connected websocket, `patience` seconds at the most.

    Raises Refused, OSError, TimeoutError or an error of the library's.
    The library answers the venue's protocol pings; ours find a dead line.
    """
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    opened: list[Any] = []

    async def handshake() -> None:
        socket = await connect(
            url,
            compression="deflate" if compression else None,
            additional_headers=headers,
            proxy=None if is_loopback(url) else True,
            open_timeout=None,
            close_timeout=_CLOSING,
            ping_interval=_KEEPALIVE,
            ping_timeout=_KEEPALIVE,
            max_size=_LARGEST,
            max_queue=(4096, 1024),
        )
        opened.append(socket)

    try:
        await within(clock, patience, handshake())
    except InvalidStatus as error:
        answer = error.response
        refused = refusal(answer.status_code, answer.headers, clock.now())
        raise (refused or error) from None
    except BaseException:
        # Cancelled in the very turn in which the handshake ended: nobody else knows the socket.
        for socket in opened:
            socket.transport.abort()
        raise
    return opened[0]


async def pump(socket: Any, clock: Clock, coalesce: float, take: Callable[[bytes], None]) -> None:
    """Hand every message to `take` until the socket closes.

    Wake-ups cost more than messages, so after each pass the transport stops reading for `coalesce`
    seconds and the kernel gathers what comes. That rests on two private attributes of the library;
    where one is missing every message is read as it comes.
    """
    queue = getattr(getattr(socket, "recv_messages", None), "frames", None)
    transport = getattr(socket, "transport", None)
    can_pause = hasattr(transport, "pause_reading") and hasattr(transport, "resume_reading")
    if not (coalesce > 0 and can_pause and hasattr(queue, "__len__")):
        while True:
            take(await socket.recv(decode=False))
    while True:
        take(await socket.recv(decode=False))
        while len(queue):  # type: ignore[arg-type]
            take(await socket.recv(decode=False))
        transport.pause_reading()  # type: ignore[union-attr]
        try:
            await clock.sleep(coalesce)
        finally:
            transport.resume_reading()  # type: ignore[union-attr]
