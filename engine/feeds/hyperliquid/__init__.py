"""Hyperliquid: perpetuals on a chain of their own; books come as whole frames, of two depths.

The socket `live` carries the touch (`bbo`), trades, contexts and the five best levels twice a
second (`fast`), the socket `depth` twenty levels every five seconds: two sockets, because both
kinds of book share channel and coin. A book is the newest five laid over the newest twenty, so
every event is a whole one and nothing has to be chained or asked for again. Funding is hourly;
liquidations and ratios are not published. An unknown coin closes the whole socket.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from engine.clock import NS
from engine.config import FeedConfig
from engine.feeds.feed import Connection, DecodeError, Poll, Request
from engine.feeds.hyperliquid import wire
from engine.feeds.hyperliquid.decode import COIN, HOUR, Decoder, as_symbol
from engine.feeds.pages import Stretch, stretches
from engine.feeds.parse import MS, UNUSABLE
from engine.feeds.wanted import wanted_streams, wanted_urls
from engine.instruments import Instrument

# Hours of funding history: what a first bias needs, few enough for all symbols within a minute;
# all of it, behind the last multiple of that in requests of so many hours, cut where two will do.
FIRST, HOURS_BACK, PAGE, CUT = 24, 30 * 24, 500, 240
SETTLING = 900 * NS  # until the last row of a past hour is surely there
# Coins listed per thousand, for as long as the catalogue is unknown.
KILO = frozenset({"PEPE", "SHIB", "BONK", "LUNC", "FLOKI", "NEIRO"})
_CHANNELS = {"depth": "l2Book", "quote": "bbo", "trade": "trades", "ticker": "activeAssetCtx"}
Wanted = list[tuple[str, str, dict[str, bool]]]


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Hyperliquid":
    """The feed; raises ConfigError for a stream or URL that does not fit."""
    return Hyperliquid(config, instruments)


class Hyperliquid(Decoder):
    """Feed of Hyperliquid's perpetuals (engine/feeds/feed.py)."""

    name = "hyperliquid"
    provides = frozenset({"trades", "book", "mark", "funding", "oi"})
    headers: Mapping[str, str] = {}

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        super().__init__()
        self.compression = config.compression
        self._streams = wanted_streams("hyperliquid", config, _CHANNELS)
        self._urls = wanted_urls("hyperliquid", config, ("ws", "rest"))
        self._backfill = config.backfill
        self._symbols = [instrument.id for instrument in instruments]
        self._coins: dict[str, str] = {}

    def connections(self) -> list[Connection]:
        """`live`, and `depth` for the books of twenty levels."""
        live = [
            (channel, symbol, {"fast": True} if channel == "depth" else {})
            for channel in _CHANNELS
            if channel in self._streams
            for symbol in self._there()
        ]
        deep: Wanted = [(channel, symbol, {}) for channel, symbol, _ in live if channel == "depth"]
        both = [self._connection("live", live), self._connection("depth", deep)]
        return [connection for connection in both if connection.streams]

    def _connection(self, id: str, wanted: Wanted) -> Connection:
        return Connection(
            id=id,
            url=self._urls["ws"],
            subscribe=tuple(
                _json(
                    {
                        "method": "subscribe",
                        "subscription": {"type": _CHANNELS[channel], "coin": self._coin(s), **more},
                    }
                )
                for channel, s, more in wanted
            ),
            streams=tuple((channel, symbol) for channel, symbol, _ in wanted),
            ping=('{"method":"ping"}', 30.0),
            sends_per_second=20.0,
        )

    def _there(self) -> list[str]:
        """The configured symbols, without those the catalogue lacks."""
        return [s for s in self._symbols if not self._coins or s in self._coins]

    def _coin(self, symbol: str) -> str:
        base = symbol.removesuffix("USDT")
        return self._coins.get(symbol) or (f"k{base}" if base in KILO else base)

    def is_ack(self, data: bytes | str) -> bool:
        """Whether a frame confirms a subscription."""
        head = data[:64] if isinstance(data, str) else data[:64].decode("latin-1")
        return '"subscriptionResponse"' in head

    def book_request(self, symbol: str) -> Request | None:
        return None

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        """None: the next frame is a whole book anyway."""
        return None

    def catalogue_request(self) -> Request | None:
        return self._info("catalogue", 20, None, type="meta")

    def listed(self, answer: bytes) -> frozenset[str]:
        """Symbols that are not delisted, by the venue's names; raises DecodeError."""
        try:
            assets = wire.UNIVERSE.decode(answer).universe
        except UNUSABLE:
            raise DecodeError("malformed") from None
        names = [asset.name for asset in assets if not asset.delisted]
        found = {as_symbol(name)[0]: name for name in names if COIN.fullmatch(name)}
        if not found:
            raise DecodeError("malformed")
        self._coins = found
        return frozenset(found)

    def carries(self, need: str, symbol: str) -> bool:
        return need in self.provides and (not self._coins or symbol in self._coins)

    def polls(self) -> list[Poll]:
        return []

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """Hourly funding of 30 days, three requests a symbol, the last day of all first."""
        if not self._backfill:
            return []
        there = [s for s in symbols if not self._coins or s in self._coins]
        end = now // HOUR + 1
        out = [self._fundings("funding first", symbol, (end - FIRST, end)) for symbol in there]
        for span in stretches(end - HOURS_BACK, (end - 1) // FIRST * FIRST, PAGE, CUT):
            page = f"until {span[1]} of {HOURS_BACK}"
            final = span[1] * HOUR + SETTLING
            out += [
                replace(self._fundings("funding", s, span), final=final, page=f"{s} funding {page}")
                for s in there
            ]
        return out

    def _fundings(self, purpose: str, symbol: str, span: Stretch) -> Request:
        """Hours of funding; the venue charges by rows returned."""
        first, end = span
        times = {"startTime": first * HOUR // MS, "endTime": end * HOUR // MS - 1}
        what, coin = "fundingHistory", self._coin(symbol)
        weight = 20 + (end - first) // 20
        return self._info(purpose, weight, symbol, type=what, coin=coin, **times)

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        return []

    def _info(self, purpose: str, weight: int, symbol: str | None, **body: int | str) -> Request:
        url = f"{self._urls['rest']}/info"
        return Request(url=url, weight=weight, purpose=purpose, symbol=symbol, body=_json(body))


def _json(frame: object) -> str:
    return msgspec.json.encode(frame).decode()
