"""The Feed protocol: where to connect, what to subscribe, how to decode; nothing else.

A feed holds no socket, no clock and no book. The session carries its frames, the market applies
its events; when a book loses its chain the runtime asks the session to heal that book alone.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

from msgspec import Struct

from engine.config import FeedConfig
from engine.events import Event
from engine.instruments import Instrument


class DecodeError(Exception):
    """A frame that cannot be used: `args[0]` is a short countable reason such as 'malformed'."""


class Context(Struct):
    """What is known about a frame beside its bytes; one object a connection, reused.

    `recv` ns or None, `url` it came from (a REST answer's url holds its request), `symbol` ours,
    for answers that do not name one.
    """

    recv: int | None
    url: str = ""
    symbol: str | None = None


class Frame(Struct, frozen=True, gc=False, array_like=True):
    """One message as received, which is also one line of a recording."""

    recv: int
    feed: str
    connection: str
    url: str
    data: str | bytes
    symbol: str | None = None


class Request(Struct, frozen=True):
    """A REST GET: absolute url, its weight in the venue's budget, the symbol it is about."""

    url: str
    weight: int
    purpose: str
    symbol: str | None = None


class Connection(Struct, frozen=True):
    """One socket: url, frames to send after connecting, (payload, seconds) of an application ping.

    `max_age`: seconds after which it is replaced with overlap. `streams`: (channel, symbol) pairs
    expected on it. `silence`: seconds without any frame after which it counts as dead.
    """

    id: str
    url: str
    subscribe: tuple[str, ...]
    streams: tuple[tuple[str, str], ...]
    ping: tuple[str, float] | None = None
    max_age: float | None = None
    silence: float = 60.0
    sends_per_second: float = 5.0


class Feed(Protocol):
    """One venue's public data."""

    name: str
    venue: str
    provides: frozenset[str]
    compression: bool

    def connections(self) -> list[Connection]:
        """The sockets that carry the wanted streams of the configured symbols."""

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        """Events of one frame, in order; empty for acks and pongs.

        Raises DecodeError for what cannot be used; never anything else.
        """

    def is_ack(self, data: bytes | str) -> bool:
        """Whether a frame confirms a subscription; an ack is no proof of data."""

    def book_request(self, symbol: str) -> Request | None:
        """The REST request that brings a whole book, None where the stream sends it."""

    def catalogue_request(self) -> Request | None:
        """The REST request that lists the venue's instruments."""

    def listed(self, answer: bytes) -> frozenset[str]:
        """Our symbols that the catalogue answer lists as trading."""

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """History requests as of `now`, the shortest needs first."""

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        """Requests for the one-minute candles between two instants (a join, a blind spell)."""


Build = Callable[[FeedConfig, Sequence[Instrument]], Feed]
_PLUMBING = {"feed", "session", "transport", "rest"}


def feed_names() -> tuple[str, ...]:
    """Every feed there is: the modules of this folder."""
    import engine.feeds as folder

    return tuple(sorted(m.name for m in iter_modules(folder.__path__) if m.name not in _PLUMBING))


def build_feed(name: str, config: FeedConfig, instruments: Sequence[Instrument]) -> Feed:
    """The feed of that module name; each module has a `build(config, instruments)`."""
    build: Build = import_module(f"engine.feeds.{name}").build
    return build(config, instruments)
