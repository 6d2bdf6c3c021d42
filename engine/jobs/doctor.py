"""`doctor`: what of this machine, terminal, folders, clock and feeds works, and the mend if not."""

import asyncio
import os
import shutil
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from msgspec import Struct

from engine.clock import NS, Clock, WallClock
from engine.config import COMMAND_LINE, Config, ConfigError, Layer, combine
from engine.feeds.feed import build_feed, feed_names

if TYPE_CHECKING:
    import httpx

PATIENCE_S = 4.0
DISK_MB = 1000
SKEW_S = 2.0
COLUMNS, LINES = 80, 24
# The design of the wire formats is younger than this; a clock before it is not set.
_EARLIEST = 1_700_000_000 * NS
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_REFUSALS = {
    451: "blocked in your country; use another feed, or a proxy in the config's urls",
    403: "blocked for your address; use another feed, or a proxy in the config's urls",
    418: "banned for a while for too many requests; wait some minutes",
    429: "too many requests from your address; wait a minute",
}


class Check(Struct, frozen=True):
    """One finding. `fatal`: the cockpit cannot start while it is so."""

    name: str
    ok: bool
    text: str
    works: str = ""
    mend: str = ""
    fatal: bool = False

    def line(self) -> str:
        """For people: mark, name, what is wrong, what still works, the mend."""
        mark = "ok  " if self.ok else "FAIL" if self.fatal else "warn"
        rest = "".join(f"; {part}" for part in (self.works, self.mend) if part)
        return f"{mark}  {self.name}: {self.text}{rest}"


def examine(
    layers: Callable[[], Sequence[Layer]], db: Path | None, log: Path, clock: Clock | None = None
) -> list[Check]:
    """All checks, within about ten seconds even without a network.

    `layers` reads the config and may raise ConfigError, which is a finding as well; `db` and
    `log` are the files in force beside it.
    """
    clock = clock or WallClock()
    checks = [_python(), *_terminal(os.environ)]
    try:
        read = layers()
        config = combine(read, feed_names())
    except ConfigError as error:
        return [*checks, Check("config", False, str(error), mend="mend that line", fatal=True)]
    files = [layer.name for layer in read if layer.name != COMMAND_LINE]
    checks.append(Check("config", True, files[-1]))
    checks += _folders(config, db, log)
    return checks + asyncio.run(_network(config, clock))


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    mend = "" if fine else "install 3.11 or newer"
    return Check("python", fine, version, mend=mend, fatal=not fine)


def _terminal(environment: Mapping[str, str]) -> Iterator[Check]:
    term = environment.get("TERM", "")
    color = environment.get("COLORTERM", "not set")
    inside = ", inside tmux" if environment.get("TMUX") else ""
    shown = f"TERM {term or 'not set'}, COLORTERM {color}{inside}"
    if term in ("", "dumb"):
        yield Check("terminal", False, shown, "plain commands work", "run it in a terminal")
    else:
        yield Check("terminal", True, shown)
    if sys.stdout.isatty():
        size = shutil.get_terminal_size()
        fits = size.columns >= COLUMNS and size.lines >= LINES
        mend = "" if fits else f"enlarge it to {COLUMNS}x{LINES} or more"
        yield Check("size", fits, f"{size.columns}x{size.lines}", mend=mend)
    encoding = (sys.stdout.encoding or "unknown").lower()
    utf8 = encoding.replace("-", "") == "utf8"
    mend = "" if utf8 else "set LANG to a UTF-8 locale, or use --glyphs ascii"
    yield Check("encoding", utf8, encoding, mend=mend)


def _folders(config: Config, db: Path | None, log: Path) -> list[Check]:
    from engine.store.paths import history_path, recordings_folder

    history = db or history_path(config.store)
    return [
        _folder("data", history.parent, "name a file elsewhere with --db", fatal=True),
        _folder("recordings", recordings_folder(config.recording), "set recording.path"),
        _folder("log", log.parent, "name a file elsewhere with --log", fatal=True),
    ]


def _folder(name: str, folder: Path, mend: str, fatal: bool = False) -> Check:
    """Writable, itself or where it would be made, with room to spare."""
    there = next(p for p in (folder, *folder.parents) if p.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return Check(name, False, f"{folder} cannot be written", mend=mend, fatal=fatal)
    free = shutil.disk_usage(there).free // 1_000_000
    text = f"{folder}, {free / 1000:.1f} GB free"
    if free < DISK_MB:
        return Check(name, False, text, "it starts, but history will end", "free some space")
    return Check(name, True, text)


async def _network(config: Config, clock: Clock) -> list[Check]:
    enabled = [name for name, feed in config.feeds.items() if feed.enabled]
    if not enabled:
        works = "demo and replay work"
        return [Check("feeds", False, "all are off", works, "enable one in the config")]
    offsets: list[float] = []
    checks = await asyncio.gather(*(_feed(name, config, clock, offsets) for name in enabled))
    return [_clock(clock, offsets), *checks]


def _clock(clock: Clock, offsets: Sequence[float]) -> Check:
    if clock.now() < _EARLIEST:
        return Check("clock", False, "not set", mend="set the system's time")
    if not offsets:
        return Check("clock", True, "plausible; no feed to compare it with")
    offset = min(offsets, key=abs)
    text = f"{abs(offset):.1f} s {'ahead of' if offset > 0 else 'behind'} the feeds' servers"
    # HTTP dates are whole seconds, so a second either way says nothing.
    if abs(offset) > SKEW_S:
        works = "the cockpit corrects for it where it can"
        return Check("clock", False, text, works, "synchronise the system's time")
    return Check("clock", True, "agrees with the feeds' servers")


async def _feed(name: str, config: Config, clock: Clock, offsets: list[float]) -> Check:
    """One line for a feed: every host it talks to, by REST and by socket."""
    try:
        feed = build_feed(name, config.feeds[name], config.instruments)
    except ConfigError as error:
        return Check(name, False, str(error), mend="mend that key", fatal=True)
    targets: dict[str, tuple[str, Callable[..., object]]] = {}
    asked = [feed.catalogue_request(), *(poll.request for poll in feed.polls())]
    for request in asked:
        if request is not None and request.body is None:
            targets.setdefault(f"{_host(request.url)} by REST", (request.url, _get))
    for connection in feed.connections():
        targets.setdefault(f"{_host(connection.url)} by socket", (connection.url, _open))
    probes = (_probe(url, reach, clock, offsets) for url, reach in targets.values())
    wrong = dict(zip(targets, await asyncio.gather(*probes), strict=True))
    failed = {target: what for target, what in wrong.items() if what is not None}
    if not failed:
        return Check(name, True, f"{_listed(targets)} answer{'s' * (len(targets) == 1)}")
    reasons: dict[str, list[str]] = {}
    for target, what in failed.items():
        reasons.setdefault(what, []).append(target)
    text = ", ".join(
        f"{_listed(hosts)}: {what.partition('; ')[0]}" for what, hosts in reasons.items()
    )
    mend = next(iter(reasons)).partition("; ")[2]
    return Check(name, False, text, _without(name, config), mend)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _listed(targets: Iterable[str]) -> str:
    """Hosts, with both ways named once where both are meant."""
    ways: dict[str, list[str]] = {}
    for target in targets:
        host, _, way = target.partition(" by ")
        ways.setdefault(host, []).append(way)
    return ", ".join(f"{host} by {' and '.join(way)}" for host, way in ways.items())


def _without(name: str, config: Config) -> str:
    """What still works while a feed does not."""
    from engine.cards.card import registry
    from engine.decision.decide import ALWAYS, inputs_of
    from engine.runtime.inputs import fed_inputs

    feeds = [
        build_feed(other, feed, config.instruments)
        for other, feed in config.feeds.items()
        if feed.enabled and other != name
    ]
    cards, leader = registry(), config.instruments[0].id
    fed = fed_inputs(feeds, [leader], config.market.reference_venue)[leader] | ALWAYS
    fine = sum(set(inputs_of(card)) <= fed for card in cards)
    return f"{fine} of {len(cards)} cards keep their inputs without it, demo and replay work"


async def _probe(
    url: str, reach: Callable[..., object], clock: Clock, offsets: list[float]
) -> str | None:
    """What is wrong and, after a semicolon, the mend; None for nothing."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await _resolve(_next_hop(url))
            return await reach(url, clock, offsets)  # type: ignore[misc,no-any-return]
    except TimeoutError:
        return f"no answer within {PATIENCE_S:.0f} s; check the network or a firewall"
    except Exception as error:
        return _why(error)


def _next_hop(url: str) -> str:
    """The host to look up: the proxy's where one is in force, never for loopback."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    scheme = {"wss": "https", "ws": "http"}.get(parts.scheme, parts.scheme)
    proxy = getproxies().get(scheme)
    if proxy and host not in _LOOPBACK and not proxy_bypass(host):
        return urlsplit(proxy).hostname or host
    return host


async def _resolve(host: str) -> None:
    """Look a name up in a thread that nobody has to wait for; raises socket.gaierror."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: OSError | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(None)

    def look_up() -> None:
        error: OSError | None = None
        try:
            socket.getaddrinfo(host, None)
        except OSError as problem:
            error = problem
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=look_up, daemon=True).start()
    await done


async def _get(url: str, clock: Clock, offsets: list[float]) -> str | None:
    import httpx

    direct = urlsplit(url).hostname in _LOOPBACK
    async with (
        httpx.AsyncClient(trust_env=not direct, timeout=PATIENCE_S) as client,
        client.stream("GET", url) as response,
    ):
        _compare(response, clock, offsets)
        return _refusal(response.status_code)


def _compare(response: "httpx.Response", clock: Clock, offsets: list[float]) -> None:
    try:
        served = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return
    # The date is cut to the second, so its middle is the better guess.
    offsets.append(clock.now() / NS - served - 0.5)


async def _open(url: str, clock: Clock, offsets: list[float]) -> str | None:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus

    direct = urlsplit(url).hostname in _LOOPBACK
    try:
        async with connect(url, proxy=None if direct else True, open_timeout=PATIENCE_S):
            return None
    except InvalidStatus as error:
        return _refusal(error.response.status_code)


def _refusal(status: int) -> str | None:
    if status < 400:
        return None
    if status in _REFUSALS:
        return f"{status}, {_REFUSALS[status]}"
    return f"HTTP {status}; try later, or check the url in the config"


def _why(error: BaseException) -> str:
    """A connection's failure in words, from its innermost cause that tells."""
    causes: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in causes:
        causes.append(current)
        current = current.__cause__ or current.__context__
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            detail = getattr(cause, "verify_message", "") or cause.reason or "handshake failed"
            return f"TLS: {detail}; check the system's time, certificates and any proxy"
        if isinstance(cause, socket.gaierror):
            return "the name cannot be looked up; check the network"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused; check the url in the config, or a firewall"
    return f"{type(error).__name__} {error}".strip() + "; check the network"
