"""What happens outside the venues: chains, DeFi, traditional markets, mood, headlines; all by REST.

Every source has its own parser, interval and licence, told in its module: on-chain data is under
CC BY-NC and some indices of FRED are for personal use, so a commercial user leaves those streams
out. Each poll brings a series' last values as history and its newest one as of now.
"""

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from engine.config import ConfigError, FeedConfig
from engine.events import Event
from engine.feeds.context import defi, macro, onchain
from engine.feeds.context.news import News
from engine.feeds.context.series import VENUE
from engine.feeds.feed import Connection, Context, DecodeError, Poll, Request
from engine.feeds.parse import UNUSABLE, path, query
from engine.feeds.wanted import wanted_polls, wanted_streams
from engine.instruments import Instrument

Events = Sequence[Event]
# Seconds between polls, and the URLs each needs; every other URL is an outlet's headlines.
_EVERY = {"onchain": 3600.0, "defi": 3600.0, "macro": 3600.0}
_EVERY |= {"quotes": 60.0, "mood": 1800.0, "news": 300.0}
_SOURCES = {
    "onchain": ("coin_metrics",),
    "defi": ("llama", "stablecoins"),
    "macro": ("fred",),
    "quotes": ("quotes",),
    "mood": ("mood",),
    "news": (),
}
_NEEDS = {name: "quotes" if name == "macro" else name for name in _SOURCES}
_ANYONES = frozenset(key for keys in _SOURCES.values() for key in keys)


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Outside":
    """The feed; raises ConfigError for a stream, poll or URL that does not fit."""
    return Outside(config, instruments)


class Outside:
    """Feed of outside series (engine/feeds/feed.py)."""

    name = VENUE
    venue = VENUE
    compression = False
    headers: Mapping[str, str] = {}

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        self._streams = wanted_streams(VENUE, config, _SOURCES)
        self._every = {**_EVERY, **wanted_polls(VENUE, config, _EVERY)}
        self._urls = _urls(config, self._streams)
        self.provides = frozenset(_NEEDS[stream] for stream in self._streams)
        self._symbols = [instrument.id for instrument in instruments]
        self._assets = onchain.assets(self._symbols)
        bases = {s.removesuffix("USDT"): s for s in self._symbols}
        self._chains = {c: bases[b] for b, c in defi.CHAINS.items() if b in bases}
        self._outlets = {url: key for key, url in self._urls.items() if key not in _ANYONES}
        self._news = News(self._symbols)
        self._contracts: dict[str, str] | None = None
        self._with_chain_data: frozenset[str | None] | None = None

    def decode(self, data: bytes | str, context: Context) -> Events:
        """Events of an answer; which source it is of, its request's path tells."""
        try:
            return self._decode(data, context)
        except msgspec.ValidationError:
            raise DecodeError(_refusal(data) or "malformed") from None
        except UNUSABLE:
            raise DecodeError("not JSON") from None

    def _decode(self, data: bytes | str, context: Context) -> Events:
        place, recv = path(context.url), context.recv
        if place.endswith(onchain.PATH):
            events = onchain.decode(data, recv, self._assets)
            if events:
                self._with_chain_data = frozenset(event.symbol for event in events)
            return events
        if defi.LOCKED in place or defi.STABLE in place or place.endswith(defi.VOLUME):
            return defi.decode(data, place, recv, self._chains)
        if place.endswith(macro.FRED):
            return macro.fred(data, query(context.url).get("id", ""), recv)
        if place.endswith(macro.CATALOGUE):
            self._contracts = macro.contracts(data)
            return ()
        if place.endswith(macro.TICKERS):
            return macro.quotes(data, recv, self._contracts)
        if place.endswith(macro.MOOD):
            return macro.mood(data, recv)
        outlet = self._outlets.get(context.url) or _host(context.url)
        if outlet is None:
            raise DecodeError("unknown source")
        return self._news.decode(data, outlet, recv)

    def connections(self) -> list[Connection]:
        return []

    def is_ack(self, data: bytes | str) -> bool:
        return False

    def book_request(self, symbol: str) -> Request | None:
        return None

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        return None

    def catalogue_request(self) -> Request | None:
        """The venue's list that tells which of its perpetuals are on shares and metals."""
        if "quotes" not in self._streams:
            return None
        url = f"{macro.CATALOGUE}?category=linear&status=Trading&limit=1000"
        return self._get("quotes", url, "catalogue")

    def listed(self, answer: bytes) -> frozenset[str]:
        """All our symbols: this catalogue is of traditional markets. Raises DecodeError."""
        try:
            self._contracts = macro.contracts(answer)
        except UNUSABLE:
            raise DecodeError(_refusal(answer) or "malformed") from None
        return frozenset(self._symbols)

    def carries(self, need: str, symbol: str) -> bool:
        """On-chain series for the coins that have had some, market-wide ones for every symbol."""
        if need not in self.provides or symbol not in self._symbols:
            return False
        known = self._with_chain_data
        return need != "onchain" or known is None or symbol in known

    def polls(self) -> list[Poll]:
        """Every source's requests at its own interval."""
        asks: dict[str, Callable[[], list[Request]]] = {
            "onchain": self._ask_onchain,
            "defi": self._ask_defi,
            "macro": self._ask_macro,
            "quotes": self._ask_quotes,
            "mood": lambda: [self._get("mood", f"{macro.MOOD}?limit=60", "mood")],
            "news": lambda: [Request(url, 1, f"news {o}") for url, o in self._outlets.items()],
        }
        return [
            Poll(request, self._every[stream])
            for stream in self._streams
            for request in asks[stream]()
        ]

    def _ask_onchain(self) -> list[Request]:
        return [self._get("coin_metrics", onchain.query(list(self._assets)), "on-chain")]

    def _ask_defi(self) -> list[Request]:
        volume = f"{defi.VOLUME}?excludeTotalDataChart=false&excludeTotalDataChartBreakdown=true"
        out = [
            self._get("stablecoins", f"{defi.STABLE}all", "stablecoins"),
            self._get("llama", volume, "DEX volume"),
        ]
        for symbol in self._chains.values():
            locked, stable = defi.paths(symbol.removesuffix("USDT"))
            out.append(self._get("llama", locked, "value locked", symbol))
            out.append(self._get("stablecoins", stable, "chain stablecoins", symbol))
        return out

    def _ask_macro(self) -> list[Request]:
        return [self._get("fred", f"{macro.FRED}?id={s}", f"macro {s}") for s in macro.SERIES]

    def _ask_quotes(self) -> list[Request]:
        names = macro.USUAL if self._contracts is None else self._contracts
        place = f"{macro.TICKERS}?category=linear&symbol="
        return [self._get("quotes", place + name, f"quote {name}") for name in names]

    def _get(self, source: str, place: str, purpose: str, symbol: str | None = None) -> Request:
        return Request(f"{self._urls[source]}{place}", 1, purpose, symbol)

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """Nothing: each poll brings its series' last two months."""
        return []

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        return []


def _urls(config: FeedConfig, streams: Sequence[str]) -> dict[str, str]:
    """Bases of the APIs, whole addresses of the outlets; raises ConfigError."""
    for stream in streams:
        for key in _SOURCES[stream]:
            if key not in config.urls:
                raise ConfigError(f"feeds.{VENUE}.urls.{key}: missing; add it")
    return {k: u.rstrip("/") if k in _ANYONES else u for k, u in config.urls.items()}


def _host(url: str) -> str | None:
    """What to call an outlet that the config does not know, as in an older recording."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.").partition(".")[0] or None
    except ValueError:
        return None


def _refusal(data: bytes | str) -> str | None:
    """What a source says instead of an answer, if it says something."""
    try:
        raw = msgspec.json.decode(data)
    except UNUSABLE:
        return None
    said = (
        raw.get("error") or raw.get("retMsg") or raw.get("message") if type(raw) is dict else None
    )
    text = said.get("message") or said.get("type") if isinstance(said, dict) else said
    return f"refused: {str(text)[:80]}" if text and text != "OK" else None
