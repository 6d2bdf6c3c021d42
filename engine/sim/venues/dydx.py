"""dYdX v4's indexer on the loopback: numbered connections, books that cross, tagged liquidations.

Shapes as documented. As at the venue new orders are told before those they traded with are gone,
so that a book crosses for a moment; prices are of an oracle; a 33rd subscription is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
import numpy as np

from engine.clock import NS
from engine.sim.market.forced import forced_ids
from engine.sim.market.market import Tick
from engine.sim.market.past import CLOSE, COUNT, HIGH, LOW, OPEN, VOLUME
from engine.sim.market.play import Played
from engine.sim.market.shadow import Character, Contract, Reference, contract_of
from engine.sim.market.tape import Print
from engine.sim.numbered import NumberedVenue
from engine.sim.venues.base import Replies, Turns, moments, side
from engine.sim.venues.faults import Message
from engine.sim.venues.http import Answer
from engine.sim.venues.sockets import Client

BOOK, TRADES, MARKETS = "v4_orderbook", "v4_trades", "v4_markets"
MOST = 32  # subscriptions a channel and connection
HISTORY = 100
MOST_ROWS = 1000
TRADING_EVERY_S = 10
LEVEL = '{"price":"%s","size":"%s"}'
NOBODY = b'"connection_id":""'
encode = msgspec.json.encode
Query = dict[str, str]
Levels = Mapping[int, int]


class Command(msgspec.Struct):
    """What a client asks on its socket."""

    type: str
    channel: str = ""
    id: str = ""


class Dydx(NumberedVenue):
    """dYdX v4; stream names are `channel:market`, of the markets `v4_markets:`."""

    NAME = "dydx"
    CHARACTER = Character(lag=1.0, share=0.08, depth=0.12, interest=0.05, premium=2.5, every=0.8,
                          hours=1.0)  # fmt: skip
    URLS: ClassVar = {"ws": "ws:/v4/ws", "rest": "http:/v4"}
    MARK = b'"message_id":0'

    def __init__(self, *what: Any, **named: Any) -> None:
        super().__init__(*what, **named)
        self._places = {c.name: place for place, c in enumerate(self.shadow.contracts)}
        self._links: dict[Client, bytes] = {}
        self._linked = 0
        self._paths: dict[str, Callable[[str, Query], Any]] = {
            "perpetualMarkets": lambda name, query: {"markets": self._markets(listed=True)},
            "historicalFunding": self._fundings,
            "candles/perpetualMarkets": self._candles,
        }

    def contracts(self, reference: Reference) -> list[Contract]:
        depth = self.CHARACTER.depth
        return [
            contract_of(listing, f"{listing.id.removesuffix('USDT')}-USD", depth=depth)
            for listing in reference.market.listings
        ]

    def numbered(self, client: Client, data: bytes) -> bytes:
        """A frame with its connection's name and the next number of it."""
        link = self._links.get(client)
        if link is None:
            self._linked += 1
            text = f"{self.market.seed:08x}-d8f7-47fc-bbc6-{self._linked:012x}"
            link = self._links[client] = b'"connection_id":"%b"' % text.encode()
            for gone in self._links.keys() - {*self.clients, client}:
                del self._links[gone]
        return super().numbered(client, data.replace(NOBODY, link, 1))

    # -- commands --------------------------------------------------------------------------

    def greet(self, client: Client) -> Replies:
        return [self.numbered(client, _frame("connected"))]

    def command(self, client: Client, text: bytes) -> Replies:
        return [self.numbered(client, frame) for frame in self._replies(client, text)]

    def _replies(self, client: Client, text: bytes) -> Replies:
        try:
            asked = msgspec.json.decode(text, type=Command)
        except msgspec.DecodeError:
            return [_frame("error", message="Invalid websocket frame")]
        known = asked.id == "" if asked.channel == MARKETS else asked.id in self._places
        if asked.channel not in (BOOK, TRADES, MARKETS) or not known:
            return [_frame("error", message=f"Invalid channel or id: {asked.channel} {asked.id}")]
        name = f"{asked.channel}:{asked.id}"
        there = sum(stream.startswith(asked.channel) for stream in client.streams)
        topic = {"channel": asked.channel} | ({"id": asked.id} if asked.id else {})
        if asked.type == "unsubscribe":
            client.streams.discard(name)
            return [_frame("unsubscribed", **topic)]
        if name in client.streams or there >= MOST:
            why = "already subscribed" if name in client.streams else "limit of subscriptions"
            return [_frame("error", message=f"Invalid subscribe message: {why} ({name})")]
        client.streams.add(name)
        return [_frame("subscribed", **topic, contents=self._first(asked.channel, asked.id))]

    def _first(self, channel: str, name: str) -> Any:
        if channel == MARKETS:
            return {"markets": self._markets()}
        place = self._places[name]
        if channel == BOOK:
            book, contract = self.shadow.books[place], self.shadow.contracts[place]
            return {"bids": side(contract, book.bids, True, None, LEVEL),
                    "asks": side(contract, book.asks, False, None, LEVEL)}  # fmt: skip
        past = self.past(place, HISTORY)
        return {"trades": [self._print(place, fill, False) for fill in reversed(past)]}

    # -- frames ----------------------------------------------------------------------------

    def told(self, tick: Tick, turns: Turns) -> Sequence[Message]:
        out: list[Message] = []
        for place, played in turns:
            out += self._turn(place, played)
        if tick.mark is not None:
            now = {"effectiveAt": _instant(self.ms), "effectiveAtHeight": str(tick.ts // NS)}
            prices = {name: {"oraclePrice": self._oracle(place), **now, "marketId": place}
                      for name, place in self._places.items()}  # fmt: skip
            out.append(self._said(MARKETS, "", {"oraclePrices": prices}))
            if tick.ts // NS % TRADING_EVERY_S == 0:
                trading = {name: self._trading(place) for name, place in self._places.items()}
                out.append(self._said(MARKETS, "", {"trading": trading}))
        return out

    def _turn(self, place: int, played: Played) -> list[Message]:
        name, out = self.shadow.contracts[place].name, []
        if played.prints:
            forced = forced_ids(played.prints, played.closed)
            rows = [self._print(place, fill, fill.id in forced) for fill in played.prints]
            out.append(self._said(TRADES, name, {"trades": rows[::-1]}))
        diff = played.diff
        there = [{p: n for p, n in new.items() if n} for new in (diff.bids, diff.asks)]
        gone = [{p: n for p, n in new.items() if not n} for new in (diff.bids, diff.asks)]
        for bids, asks in (there, gone):
            if contents := self._sides(place, bids, asks):
                out.append(self._said(BOOK, name, contents))
        return out

    def _sides(self, place: int, bids: Levels, asks: Levels) -> dict[str, Any]:
        """The sides of which there is something to tell."""
        contract = self.shadow.contracts[place]
        both = {"bids": (bids, True), "asks": (asks, False)}
        return {name: side(contract, levels, down) for name, (levels, down) in both.items()
                if levels}  # fmt: skip

    def _said(self, channel: str, name: str, contents: Any) -> Message:
        topic = {"channel": channel} | ({"id": name} if name else {})
        frame = _frame("channel_data", **topic, version="1.0.0", contents=contents)
        return f"{channel}:{name}", frame

    def _print(self, place: int, fill: Print, forced: bool) -> dict[str, str]:
        contract = self.shadow.contracts[place]
        return {
            "id": f"{place:08x}{fill.id:016x}",
            "side": "BUY" if fill.buy else "SELL",
            "size": contract.size_text(fill.size),
            "price": contract.price_text(fill.price),
            "type": "LIQUIDATED" if forced else "LIMIT",
            "createdAt": _instant(fill.ms + self.faults.skew_ms),
            "createdAtHeight": str(fill.ms // 1000),
        }

    def _oracle(self, place: int) -> str:
        contract = self.shadow.contracts[place]
        return f"{self.shadow.index[place] * contract.tick:.{contract.decimals + 2}f}"

    def _trading(self, place: int) -> dict[str, Any]:
        """The rate is per hour, open interest in coins."""
        return {
            "nextFundingRate": f"{self.shadow.rate[place] / 8:.12f}",
            "openInterest": f"{self.shadow.interest[place]:.6f}",
        }

    def _markets(self, listed: bool = False) -> dict[str, dict[str, Any]]:
        """Every market's whole state; `listed`: as a fault lets the catalogue tell."""
        shown = self.listed if listed else list(enumerate(self.shadow.contracts))
        return {
            contract.name: {
                "clobPairId": str(place), "ticker": contract.name, "status": "ACTIVE",
                "oraclePrice": self._oracle(place), **self._trading(place),
                "priceChange24H": "0", "volume24H": "0", "trades24H": 0,
                "initialMarginFraction": "0.05", "maintenanceMarginFraction": "0.03",
                "tickSize": contract.price_text(1), "stepSize": contract.size_text(1),
                "atomicResolution": -9, "quantumConversionExponent": -9,
                "subticksPerTick": 100000, "stepBaseQuantums": 1000000, "marketType": "CROSS",
            }
            for place, contract in shown
        }  # fmt: skip

    # -- REST ------------------------------------------------------------------------------

    def answer(self, path: str, query: Query, body: bytes | None) -> Answer:
        place = path.removeprefix("/v4/")
        head, _, name = place.rpartition("/")
        handle = self._paths.get(head) or self._paths.get(place)
        if handle is None:
            return Answer(encode({"errors": [{"msg": "Not Found"}]}), 404)
        try:
            return Answer(encode(handle(name, query)))
        except (KeyError, ValueError):
            return Answer(encode({"errors": [{"msg": "not a valid parameter"}]}), 400)

    def refused(self, status: int) -> bytes:
        return encode({"errors": [{"msg": "Too many requests"}]})

    def _count(self, query: Query) -> int:
        count = int(query.get("limit", "100"))
        if not 1 <= count <= MOST_ROWS:
            raise ValueError("limit")
        return count

    def _fundings(self, name: str, query: Query) -> dict[str, Any]:
        """Newest first."""
        place, now = self._places[name], self.market.now // NS
        times, rates = self.positioning.settlements(place, now, self._count(query))
        rows = [
            {"ticker": name, "rate": f"{rate:.12f}", "price": self._oracle(place),
             "effectiveAt": _instant(int(time) * 1000), "effectiveAtHeight": str(int(time))}
            for time, rate in zip(times[::-1], rates[::-1], strict=True)
        ]  # fmt: skip
        return {"historicalFunding": rows}

    def _candles(self, name: str, query: Query) -> dict[str, Any]:
        """Hours, newest first; open interest as of their opening."""
        if query["resolution"] != "1HOUR":
            raise ValueError("resolution")
        place, shadow = self._places[name], self.shadow
        times = moments(3600, self.market.now // NS, None, self._count(query))
        at, scale = int(shadow.places[place]), float(shadow.scale[place])
        begin, rows = self.market.bars.select(at, 3600, int(times[0]), int(times[-1]))
        held = self.positioning.interest(
            place, begin + 3600.0 * np.arange(len(rows), dtype=np.float64)
        )
        share = shadow.character.share * shadow.units[place]
        out = []
        for number, (row, oi) in enumerate(zip(rows.tolist(), held, strict=True)):
            out.append(self._candle(name, begin + 3600 * number, row, scale, share, oi))
        return {"candles": out[::-1]}

    def _candle(self, name: str, second: int, row: list[int], scale: float, share: float,
                oi: float) -> dict[str, Any]:  # fmt: skip
        contract = self.shadow.contracts[self._places[name]]
        prices = {word: contract.price_text(round(row[field] * scale))
                  for word, field in (("open", OPEN), ("high", HIGH), ("low", LOW),
                                      ("close", CLOSE))}  # fmt: skip
        coins = row[VOLUME] * share
        return {
            "startedAt": _instant(second * 1000), "ticker": name, "resolution": "1HOUR", **prices,
            "baseTokenVolume": f"{coins:.6f}", "trades": row[COUNT],
            "usdVolume": f"{coins * float(prices['close']):.6f}",
            "startingOpenInterest": f"{oi:.6f}", "orderbookMidPriceOpen": prices["open"],
            "orderbookMidPriceClose": prices["close"],
        }  # fmt: skip


def _frame(kind: str, **more: Any) -> bytes:
    return encode({"type": kind, "connection_id": "", "message_id": 0, **more})


def _instant(ms: int) -> str:
    """`2026-08-09T21:05:48.228Z`."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


VENUE = Dydx
