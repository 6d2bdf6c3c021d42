"""Bitget USDT futures: the third generation of its topics, history and ratios by REST.

Only that generation has liquidations. No topic names a funding interval: it comes with the
catalogue and is asked for again. Source: venue documentation (v3, and v2 for ratios).
"""

from collections.abc import Mapping, Sequence

import msgspec

from engine.config import FeedConfig
from engine.feeds.bitget import wire
from engine.feeds.bitget.decode import FAMILY, Decoder
from engine.feeds.feed import Connection, Context, DecodeError, Poll, Request
from engine.feeds.parse import UNUSABLE
from engine.feeds.wanted import wanted_polls, wanted_streams, wanted_urls
from engine.instruments import Instrument

Args = tuple[dict[str, str], tuple[tuple[str, str], ...]]

ARGS = 10  # of one frame; the venue drops a socket over more than 20 books at once
EACH = 48  # channels of one socket; under 50 are advised
_TOPICS = {
    "depth": "books",
    "quote": "books1",
    "trade": "publicTrade",
    "ticker": "ticker",
    "liquidation": "liquidation",
}
_GROUPS = {"books": ("depth", "quote"), "market": ("trade", "ticker", "liquidation")}
_POLLS = ("ratios", "funding")


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Bitget":
    """The feed; raises ConfigError for a stream, poll or URL that does not fit."""
    return Bitget(config, instruments)


class Bitget(Decoder):
    """Feed of Bitget USDT futures (engine/feeds/feed.py)."""

    name = "bitget"
    provides = frozenset({"trades", "book", "mark", "funding", "oi", "liq", "ratio"})
    headers: Mapping[str, str] = {}

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        super().__init__([instrument.id for instrument in instruments])
        self.compression = config.compression
        self._streams = wanted_streams("bitget", config, _TOPICS)
        self._urls = wanted_urls("bitget", config, ("public", "rest"))
        self._every = wanted_polls("bitget", config, _POLLS)
        self._backfill = config.backfill

    def connections(self) -> list[Connection]:
        """As many sockets as the venue's advice of under 50 channels each makes."""
        return [c for group in _GROUPS for c in self._sockets(group) if c.streams]

    def _sockets(self, group: str) -> list[Connection]:
        wanted = [channel for channel in _GROUPS[group] if channel in self._streams]
        symbols = self._present(self._symbols)
        pairs = [(c, s) for c in wanted for s in symbols if c != "liquidation"]
        args: list[Args] = [(self._arg(c, s), ((c, s),)) for c, s in pairs]
        if "liquidation" in wanted:
            args.append((self._arg("liquidation"), tuple(("liquidation", s) for s in symbols)))
        chunks = [args[at : at + EACH] for at in range(0, len(args), EACH)]
        return [
            Connection(
                id=f"{group}-{at}" if at > 1 else group,
                url=self._urls["public"],
                subscribe=tuple(
                    _frame("subscribe", [arg for arg, _ in chunk[n : n + ARGS]])
                    for n in range(0, len(chunk), ARGS)
                ),
                streams=tuple(stream for _, streams in chunk for stream in streams),
                ping=("ping", 25.0),
                sends_per_second=1.0,
            )
            for at, chunk in enumerate(chunks, 1)
        ]

    def _arg(self, channel: str, symbol: str | None = None) -> dict[str, str]:
        arg = {"instType": FAMILY, "topic": _TOPICS[channel]}
        return arg if symbol is None else {**arg, "symbol": self._name(symbol)}

    def _name(self, symbol: str) -> str:
        return self._names.get(symbol, symbol)

    def _present(self, symbols: Sequence[str]) -> list[str]:
        return [s for s in symbols if not self._names or s in self._names]

    def is_ack(self, data: bytes | str) -> bool:
        """Whether a frame confirms a subscription; the venue confirms each topic of a frame."""
        head = data[:64] if isinstance(data, str) else data[:64].decode("latin-1")
        return '"event":"subscribe"' in head.replace(" ", "")

    def book_request(self, symbol: str) -> Request | None:
        return None

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        """The snapshot comes with a new subscription."""
        arg = [self._arg("depth", symbol)]
        for connection in self.connections():
            if ("depth", symbol) in connection.streams:
                return connection.id, (_frame("unsubscribe", arg), _frame("subscribe", arg))
        return None

    def catalogue_request(self) -> Request | None:
        return self._get("v3/market/instruments", "catalogue", category="USDT-FUTURES")

    def listed(self, answer: bytes) -> frozenset[str]:
        """Symbols trading as USDT perpetuals on coins; raises DecodeError for no catalogue."""
        try:
            contracts = wire.CATALOGUES.decode(answer)
        except UNUSABLE:
            raise DecodeError("malformed") from None
        self._catalogue(contracts, Context(recv=None))
        return frozenset(self._names)

    def carries(self, need: str, symbol: str) -> bool:
        return need in self.provides and bool(self._present([symbol]))

    def polls(self) -> list[Poll]:
        """Funding with its interval for all at once, the accounts' ratio one by one."""
        out = []
        if "funding" in self._every:
            now = self._get(
                "v2/mix/market/current-fund-rate", "funding", productType="USDT-FUTURES"
            )
            out.append(Poll(now, self._every["funding"]))
        if "ratios" in self._every:
            asked = [self._ratio(symbol, "5m", "ratio") for symbol in self._present(self._symbols)]
            out += [Poll(request, self._every["ratios"]) for request in asked]
        return out

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """Settlements of a month or so and hourly ratios, each path at most every other request.

        The venue answers one request a second to the path of the ratios, so a first bias does not
        wait for them. Neither path takes a stretch of time.
        """
        if not self._backfill:
            return []
        return [
            request
            for symbol in self._present(symbols)
            for request in (
                self._get(
                    "v3/market/history-fund-rate",
                    "funding",
                    symbol,
                    category="USDT-FUTURES",
                    limit=100,
                ),
                self._ratio(symbol, "1h", "ratio"),
            )
        ]

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        return []

    def _ratio(self, symbol: str, period: str, purpose: str) -> Request:
        return self._get("v2/mix/market/account-long-short", purpose, symbol, period=period)

    def _get(
        self, path: str, purpose: str, symbol: str | None = None, **query: int | str
    ) -> Request:
        named = {"symbol": self._name(symbol)} if symbol else {}
        text = "&".join(f"{key}={value}" for key, value in {**named, **query}.items())
        url = f"{self._urls['rest']}/api/{path}?{text}"
        return Request(url=url, weight=1, purpose=purpose, symbol=symbol)


def _frame(op: str, args: list[dict[str, str]]) -> str:
    return msgspec.json.encode({"op": op, "args": args}).decode()
