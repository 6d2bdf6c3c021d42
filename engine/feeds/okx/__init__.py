"""OKX v5 perpetual swaps: books, trades and prices on one socket per 30 symbols.

Liquidations come in one subscription for all contracts, at most one per contract and second, some
minutes late: a lower bound. Positioning ratios come by REST.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from engine.config import FeedConfig
from engine.feeds.feed import Connection, DecodeError, Poll, Request
from engine.feeds.okx import wire
from engine.feeds.okx.answers import INTEREST, RATIOS, TAKER, rows_of
from engine.feeds.okx.decode import Decoder
from engine.feeds.pages import Stretch, stretches
from engine.feeds.parse import MS, UNUSABLE, convert
from engine.feeds.wanted import wanted_polls, wanted_streams, wanted_urls
from engine.instruments import Instrument

SYMBOLS = 30  # deep books a connection, as the venue advises
CHUNK = 25  # arguments a request; 480 requests an hour are allowed
PAGE = 100
HOURS_BACK = 8 * 24
HOUR = 3_600_000
SETTLING = 900_000  # ms until the last row of a past hour is surely there
# Channel and whether its instrument is the index rather than the swap.
_CHANNELS = {
    "depth": ("books", False),
    "quote": ("bbo-tbt", False),
    "trade": ("trades", False),
    "mark": ("mark-price", False),
    "index": ("index-tickers", True),
    "funding": ("funding-rate", False),
    "oi": ("open-interest", False),
}
_ALL = "liquidation"
_LIQUIDATIONS = {"channel": "liquidation-orders", "instType": "SWAP"}
_STREAMS = (*_CHANNELS, _ALL)
_CONTRACTS = "rubik/stat/contracts"


def build(config: FeedConfig, instruments: Sequence[Instrument]) -> "Okx":
    """The feed; raises ConfigError for a stream, poll or URL that does not fit."""
    return Okx(config, instruments)


class Okx(Decoder):
    """Feed of OKX v5 swaps (engine/feeds/feed.py)."""

    name = "okx"
    provides = frozenset({"trades", "book", "mark", "funding", "oi", "liq", "ratio"})
    headers: Mapping[str, str] = {}

    def __init__(self, config: FeedConfig, instruments: Sequence[Instrument]) -> None:
        super().__init__(frozenset(instrument.id for instrument in instruments))
        self.compression = config.compression
        self._streams = wanted_streams("okx", config, _STREAMS)
        self._urls = wanted_urls("okx", config, ("public", "rest"))
        self._every = wanted_polls("okx", config, ("ratios",))
        self._backfill = config.backfill
        self._symbols = [instrument.id for instrument in instruments]
        self._listed: frozenset[str] | None = None

    def connections(self) -> list[Connection]:
        """A socket per 30 symbols; liquidations of all contracts on the first."""
        found = [self._connection(number, group) for number, group in enumerate(self._groups())]
        return [connection for connection in found if connection.streams]

    def _groups(self) -> list[list[str]]:
        symbols = [s for s in self._symbols if self._lists(s)]
        return [symbols[at : at + SYMBOLS] for at in range(0, len(symbols), SYMBOLS)]

    def _connection(self, number: int, symbols: list[str]) -> Connection:
        channels = [c for c in self._streams if c != _ALL]
        streams = [(channel, symbol) for symbol in symbols for channel in channels]
        args = [_arg(channel, symbol) for channel, symbol in streams]
        if number == 0 and _ALL in self._streams:
            args.append(_LIQUIDATIONS)
            streams += [(_ALL, symbol) for group in self._groups() for symbol in group]
        chunks = [args[at : at + CHUNK] for at in range(0, len(args), CHUNK)]
        return Connection(
            id=_id(number),
            url=self._urls["public"],
            subscribe=tuple(_command("subscribe", chunk) for chunk in chunks),
            streams=tuple(streams),
            ping=("ping", 25.0),
            silence=45.0,
            sends_per_second=3.0,
        )

    def is_ack(self, data: bytes | str) -> bool:
        """Whether a frame confirms a subscription; there is one for each argument."""
        head = data[:32] if isinstance(data, str) else data[:32].decode("latin-1")
        return '"event":"subscribe"' in head

    def book_request(self, symbol: str) -> Request | None:
        return None

    def resubscribe(self, symbol: str) -> tuple[str, tuple[str, ...]] | None:
        """Leaving and joining again brings a snapshot."""
        if "depth" not in self._streams:
            return None
        args = [_arg("depth", symbol)]
        for number, group in enumerate(self._groups()):
            if symbol in group:
                return _id(number), (_command("unsubscribe", args), _command("subscribe", args))
        return None

    def catalogue_request(self) -> Request | None:
        url = f"{self._urls['rest']}/api/v5/public/instruments?instType=SWAP"
        return Request(url=url, weight=1, purpose="catalogue")

    def listed(self, answer: bytes) -> frozenset[str]:
        """Linear perpetuals of coins that trade; raises DecodeError for what is no catalogue."""
        try:
            rows = convert(rows_of(wire.ANSWERS.decode(answer)), list[wire.Contract])
        except UNUSABLE:
            raise DecodeError("malformed") from None
        found = self._contracts.learn(rows)
        if not found:
            raise DecodeError("malformed")
        self._listed = found
        return found

    def carries(self, need: str, symbol: str) -> bool:
        return need in self.provides and self._lists(symbol)

    def polls(self) -> list[Poll]:
        """The newest positioning of each symbol, new every 5 min.

        By symbol, for each kind of answer has a limit of its own (5 requests in 2 s).
        """
        if "ratios" not in self._every:
            return []
        return [
            Poll(self._statistics(kind, symbol, "5m", 2), self._every["ratios"])
            for symbol in self._symbols
            if self._lists(symbol)
            for kind in (*RATIOS, TAKER)
        ]

    def backfill(self, now: int, symbols: Sequence[str]) -> list[Request]:
        """Funding of 100 settlements, then 8 days of positioning and open interest by the hour.

        8 days are the longest look-back, and more would be hundreds of requests of 100 rows. Pages
        that are full now are the same at any start.
        """
        if not self._backfill:
            return []
        symbols = [symbol for symbol in symbols if self._lists(symbol)]
        out = [self._funding(symbol) for symbol in symbols]
        hour = now // MS // HOUR
        full = hour // PAGE * PAGE
        kinds = (*RATIOS, TAKER, INTEREST)
        newest = full * HOUR, now // MS
        out += [self._hourly(kind, symbol, newest) for symbol in symbols for kind in kinds]
        for first, end in stretches(hour - HOURS_BACK, full, PAGE, PAGE):
            final, page = (end * HOUR + SETTLING) * MS, f"until {end} of {HOURS_BACK}"
            span = first * HOUR, end * HOUR - 1
            out += [
                replace(self._hourly(kind, s, span), final=final, page=f"{s} 1H {page}")
                for s in symbols
                for kind in kinds
            ]
        return out

    def top_up(self, since: int, now: int, symbols: Sequence[str]) -> list[Request]:
        return []

    def _lists(self, symbol: str) -> bool:
        return self._listed is None or symbol in self._listed

    def _funding(self, symbol: str) -> Request:
        query = f"instId={_pair(symbol)}-SWAP&limit={PAGE}"
        url = f"{self._urls['rest']}/api/v5/public/funding-rate-history?{query}"
        return Request(url=url, weight=1, purpose="funding", symbol=symbol)

    def _hourly(self, kind: str, symbol: str, span: Stretch) -> Request:
        """Rows of the hours from the first to the last ms, whichever of them count."""
        return self._statistics(kind, symbol, "1H", PAGE, f"&begin={span[0] - 1}&end={span[1]}")

    def _statistics(
        self, kind: str, symbol: str, period: str, limit: int, span: str = ""
    ) -> Request:
        folder = "rubik/stat" if kind == TAKER else _CONTRACTS
        query = f"instId={_pair(symbol)}-SWAP&period={period}&limit={limit}{span}"
        url = f"{self._urls['rest']}/api/v5/{folder}/{kind}?{query}"
        purpose = "oi" if kind == INTEREST else "ratio"
        return Request(url=url, weight=1, purpose=purpose, symbol=symbol)


def _id(number: int) -> str:
    return f"public-{number + 1}" if number else "public"


def _pair(symbol: str) -> str:
    return f"{symbol.removesuffix('USDT')}-USDT"


def _arg(channel: str, symbol: str) -> dict[str, str]:
    name, of_index = _CHANNELS[channel]
    return {"channel": name, "instId": _pair(symbol) + ("" if of_index else "-SWAP")}


def _command(op: str, args: list[dict[str, str]]) -> str:
    return msgspec.json.encode({"op": op, "args": args}).decode()
