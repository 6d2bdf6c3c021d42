"""Gate futures settled in USDT: books with their own snapshots, liquidations without omission.

`futures.public_liquidates` pushes every order since August 2026. Any contract is acknowledged, so
the catalogue decides what is asked for; it also tells the coins per contract. Source: venue
documentation (futures WebSocket v4, REST v4).
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from engine.clock import NS
from engine.config import FeedConfig
from engine.feeds.feed import Connection, Context, DecodeError, Poll, Request
from engine.feeds.gate import wire
from engine.feeds.gate.decode import CALLS, Decoder
from engine.feeds.pages import Stretch, stretches
from engine.feeds.parse import UNUSABLE
from engine.feeds.wanted import wanted_polls, wanted_streams, wanted_urls
from engine.instruments import Instrument

CHUNK = 50
DEPTH = 400  # levels, every 100 ms
HOURS_BACK = 30 * 24
PAGE = 100
SETTLEMENTS = 100
SETTLING = 900 * NS  # until the last row of a past hour is surely there
_CHANNELS = {
    "depth": "futures.obu",
    "quote": "futures.book_ticker",
    "trade": "futures.trades",
    "ticker": "futures.tickers",
    "ratio": "futures.contract_stats",
    "liquidation": "futures.public_liquidates",
}
_GROUPS = {"books": ("depth", "quote"), "market": ("trade", "ticker", "liquidation", "ratio")}
_POLLS = ("stats",)


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Gate":
    """The feed; raises ConfigError for a stream, poll or URL that does not fit."""
    return Gate(config, instruments)


class Gate(Decoder):
    """Feed of Gate futures settled in USDT (engine/feeds/feed.py)."""

    name = "gate"
    provides = frozenset({"trades", "book", "mark", "funding", "oi", "liq", "ratio"})
    # Without it sizes are whole contracts, and smaller trades come as 0.
    headers: Mapping[str, str] = {"X-Gate-Size-Decimal": "1"}

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        super().__init__([instrument.id for instrument in instruments])
        self.compression = config.compression
        self._streams = wanted_streams("gate", config, _CHANNELS)
        self._urls = wanted_urls("gate", config, ("usdt", "rest"))
        self._every = wanted_polls("gate", config, _POLLS)
        self._backfill = config.backfill

    def connections(self) -> list[Connection]:
        """Up to two sockets; symbols that the catalogue does not hold are left out."""
        return [c for c in map(self._connection, _GROUPS) if c.streams]

    def _connection(self, group: str) -> Connection:
        channels = [channel for channel in _GROUPS[group] if channel in self._streams]
        symbols = self._present(self._symbols)
        frames = [f for c in channels for f in self._subscriptions(c, symbols)]
        return Connection(
            id=group,
            url=self._urls["usdt"],
            subscribe=tuple(frames),
            streams=tuple((channel, symbol) for channel in channels for symbol in symbols),
            ping=(_call("futures.ping"), 15.0),
            silence=45.0,
        )

    def _subscriptions(self, channel: str, symbols: list[str]) -> list[str]:
        if channel == "liquidation":
            payloads = [["!all"]]
        elif channel == "ratio":
            payloads = [[self._name(symbol), "1m"] for symbol in symbols]
        else:
            names = [self._stream(channel, symbol) for symbol in symbols]
            payloads = [names[at : at + CHUNK] for at in range(0, len(names), CHUNK)]
        return [_call(_CHANNELS[channel], "subscribe", payload) for payload in payloads]

    def _stream(self, channel: str, symbol: str) -> str:
        name = self._name(symbol)
        return f"ob.{name}.{DEPTH}" if channel == "depth" else name

    def _name(self, symbol: str) -> str:
        return self._names.get(symbol, f"{symbol.removesuffix('USDT')}_USDT")

    def _present(self, symbols: Sequence[str]) -> list[str]:
        return [s for s in symbols if not self._names or s in self._names]

    def is_ack(self, data: bytes | str) -> bool:
        """Whether a frame confirms a subscription."""
        head = data[:400] if isinstance(data, str) else data[:400].decode("latin-1")
        if "subscribe" not in head:
            return False
        try:
            call = _CALL.decode(data)
        except UNUSABLE:
            return False
        return call.event == CALLS[0] and not call.error

    def book_request(self, symbol: str) -> Request | None:
        return None

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        """The whole book comes with a new subscription."""
        if "depth" not in self._streams or not self._present([symbol]):
            return None
        payload = [self._stream("depth", symbol)]
        return "books", tuple(
            _call(_CHANNELS["depth"], event, payload) for event in ("unsubscribe", "subscribe")
        )

    def catalogue_request(self) -> Request | None:
        return self._get("contracts", "catalogue")

    def listed(self, answer: bytes) -> frozenset[str]:
        """Symbols trading as perpetuals on coins; raises DecodeError for no catalogue."""
        try:
            rows = wire.CATALOGUES.decode(answer)
        except UNUSABLE:
            raise DecodeError("malformed") from None
        self._catalogue(rows, Context(recv=None))
        return frozenset(self._names)

    def carries(self, need: str, symbol: str) -> bool:
        return need in self.provides and bool(self._present([symbol]))

    def polls(self) -> list[Poll]:
        """The ratios of the newest intervals, which the venue has by REST alone for 5 minutes."""
        if "stats" not in self._every:
            return []
        return [
            Poll(
                self._get("contract_stats", "ratio", symbol, interval="5m", limit=3),
                self._every["stats"],
            )
            for symbol in self._present(self._symbols)
        ]

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """Settlements, then 30 d of hourly ratios and open interest, newest page first.

        Behind the newest, which ends now, pages are the same at any start.
        """
        if not self._backfill:
            return []
        present = self._present(symbols)
        out = [
            self._get("funding_rate", "funding first", symbol, limit=SETTLEMENTS)
            for symbol in present
        ]
        hour = now // (3600 * NS)
        out += [self._hourly("ratio first", symbol, (hour - PAGE, hour)) for symbol in present]
        for span in stretches(hour - HOURS_BACK, hour // PAGE * PAGE, PAGE, PAGE):
            page = f"until {span[1]} of {HOURS_BACK}"
            final = span[1] * 3600 * NS + SETTLING
            out += [
                replace(self._hourly("ratio", s, span), final=final, page=f"{s} {page}")
                for s in present
            ]
        return out

    def _hourly(self, purpose: str, symbol: str, span: Stretch) -> Request:
        """Hours of positioning."""
        first, end = span
        query: dict[str, int | str] = {"from": first * 3600, "limit": end - first}
        return self._get("contract_stats", purpose, symbol, interval="1h", **query)

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        return []

    def _get(
        self, path: str, purpose: str, symbol: str | None = None, **query: int | str
    ) -> Request:
        named = {"contract": self._name(symbol)} if symbol else {}
        text = "&".join(f"{key}={value}" for key, value in {**named, **query}.items())
        url = f"{self._urls['rest']}/futures/usdt/{path}" + (f"?{text}" if text else "")
        return Request(url=url, weight=1, purpose=purpose, symbol=symbol)


class _Call(msgspec.Struct, gc=False):
    event: str
    error: object = None


_CALL = msgspec.json.Decoder(_Call)


def _call(channel: str, event: str | None = None, payload: list[str] | None = None) -> str:
    """A frame to the venue; it reads `time` for signatures alone, so any will do."""
    frame = {"time": 1, "channel": channel}
    if event is not None:
        frame |= {"event": event, "payload": payload}
    return msgspec.json.encode(frame).decode()
