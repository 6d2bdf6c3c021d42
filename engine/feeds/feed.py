"""The Feed protocol: where to connect, what to subscribe, how to decode; nothing else.

A feed holds no socket, no clock and no book. The session carries its frames, the market applies
its events; when a book loses its chain the runtime asks the session to heal that book alone.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol
from urllib.parse import urlsplit

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
    """A REST request: absolute url, its weight in the venue's budget, the symbol it is about.

    With a `body` (JSON) it is a POST, and the answer's frame has the url `URL#BODY`. An answer
    that came at or after `final` (ns) never changes, so it may be kept for the next start; None is
    for what tells of now. `page` names the stretch of the past where the rest of the url is
    another at each start; an older answer under that name holds at least as much.
    """

    url: str
    weight: int
    purpose: str
    symbol: str | None = None
    body: str | None = None
    final: int | None = None
    page: str = ""

    @property
    def whole(self) -> str:
        """The url of its answers."""
        return self.url if self.body is None else f"{self.url}#{self.body}"

    @property
    def asked(self) -> str:
        """What is asked, wherever the venue is served: the url without scheme and host."""
        whole = urlsplit(self.whole)
        if self.page:
            return f"{whole.path}?{self.page}"
        return whole._replace(scheme="", netloc="").geturl()


class Poll(Struct, frozen=True):
    """A request repeated for good, its answers at least `every` seconds apart."""

    request: Request
    every: float


class Connection(Struct, frozen=True):
    """One socket: url, frames to send after connecting, (payload, seconds) of an application ping.

    `max_age`: seconds after which it is replaced with overlap. `streams`: (channel, symbol) pairs
    expected on it, books under "depth". `silence`: seconds without any frame after which it counts
    as dead. `reply`: (what a short frame of the venue's holds, the frame to answer it with).
    """

    id: str
    url: str
    subscribe: tuple[str, ...]
    streams: tuple[tuple[str, str], ...]
    ping: tuple[str, float] | None = None
    max_age: float | None = None
    silence: float = 60.0
    sends_per_second: float = 5.0
    reply: tuple[str, str] | None = None


class Feed(Protocol):
    """One venue's public data.

    `provides`: the inputs of cards (`Need`) it brings. `headers` go with handshakes and requests.
    """

    name: str
    venue: str
    provides: frozenset[str]
    compression: bool
    headers: Mapping[str, str]

    def connections(self) -> list[Connection]:
        """The sockets that carry the wanted streams of the configured symbols."""

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        """Events of one frame, in order; empty for acks, pongs and catalogues.

        A catalogue's contract sizes are remembered, so that a replay knows them too. Raises
        DecodeError for what cannot be used; never anything else.
        """

    def is_ack(self, data: bytes | str) -> bool:
        """Whether a frame confirms a subscription; an ack is no proof of data."""

    def book_request(self, symbol: str) -> Request | None:
        """The REST request that brings a whole book, None where the stream sends it."""

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        """The connection's id and the frames that make the stream send a whole book again."""

    def catalogue_request(self) -> Request | None:
        """The REST request that lists the venue's instruments."""

    def listed(self, answer: bytes) -> frozenset[str]:
        """Our symbols that the catalogue answer lists as trading; raises DecodeError.

        Later `connections`, `polls` and `backfill` keep to them.
        """

    def carries(self, need: str, symbol: str) -> bool:
        """Whether that input can come for that symbol, as far as the catalogue is known."""

    def polls(self) -> list[Poll]:
        """What is asked for again and again by REST."""

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """History requests as of `now`, the shortest needs first.

        What is wholly past is cut as at any other start (pages.py), and says when it is final.
        """

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        """Requests for the one-minute candles between two instants (a join, a blind spell).

        A minute that ends at the second of them is one of these.
        """


Build = Callable[[FeedConfig, Sequence[Instrument]], Feed]
_PLUMBING = {
    *("budget", "feed", "link", "pages", "parse", "rest", "session", "transport", "wanted"),
}


def feed_names() -> tuple[str, ...]:
    """Every feed there is: the modules of this folder."""
    import engine.feeds as folder

    return tuple(sorted(m.name for m in iter_modules(folder.__path__) if m.name not in _PLUMBING))


def build_feed(name: str, config: FeedConfig, instruments: Sequence[Instrument]) -> Feed:
    """The feed of that module name; each module has a `build(config, instruments)`."""
    build: Build = import_module(f"engine.feeds.{name}").build
    return build(config, instruments)
