"""Bitget USDT futures on the loopback: the third generation of its topics, and REST.

Shapes as documented. As at the venue trades begin with a page of history, a wrong family is
acknowledged and stays silent, and more than 20 books in one frame end the connection.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, ClassVar

import msgspec

from engine.clock import NS
from engine.sim.market.market import Tick
from engine.sim.market.play import Played
from engine.sim.market.shadow import Character, Contract, Reference, contract_of
from engine.sim.market.tape import Print
from engine.sim.venues.base import Replies, ShadowVenue, Turns, moments, side
from engine.sim.venues.faults import Message
from engine.sim.venues.http import Answer
from engine.sim.venues.sockets import Client

FAMILY, CATEGORY = "usdt-futures", "USDT-FUTURES"
LOTS = {"BONKUSDT": ("1000BONKUSDT", 1000.0)}
BOOKS, TOUCH, TRADES, TICKER, FORCED = "books", "books1", "publicTrade", "ticker", "liquidation"
OF_SYMBOL = (BOOKS, TOUCH, TRADES, TICKER)
LEVELS = 1000
HISTORY = 50  # trades a subscription begins with
MOST_BOOKS = 20
PERIODS_S = {"5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14400, "1d": 86400}
RATIO_ROWS = 30
encode = msgspec.json.encode
Query = dict[str, str]


class Arg(msgspec.Struct):
    """One subscription."""

    instType: str = ""
    topic: str = ""
    symbol: str | None = None

    @property
    def stream(self) -> str:
        return f"{self.topic}:{self.symbol or ''}"


class Command(msgspec.Struct):
    """What a client asks on its socket."""

    op: str
    args: list[Arg] = []


class Bitget(ShadowVenue):
    """Bitget USDT futures; stream names are `topic:symbol`."""

    NAME = "bitget"
    CHARACTER = Character(lag=0.3, share=0.3, depth=0.4, interest=0.25, premium=1.3, every=0.5)
    URLS: ClassVar = {"public": "ws:/v3/ws/public", "rest": "http:"}

    def __init__(self, *what: Any, **named: Any) -> None:
        super().__init__(*what, **named)
        self._streams = {
            f"{topic}:{contract.name}": (topic, place)
            for place, contract in enumerate(self.shadow.contracts)
            for topic in OF_SYMBOL
        }
        self._paths: dict[str, Callable[[Query], Any]] = {
            "/api/v3/market/instruments": self._catalogue,
            "/api/v2/mix/market/current-fund-rate": self._funding_now,
            "/api/v3/market/history-fund-rate": self._settled,
            "/api/v2/mix/market/account-long-short": self._ratios,
        }

    def contracts(self, reference: Reference) -> list[Contract]:
        out = []
        for listing in reference.market.listings:
            name, lot = LOTS.get(listing.id, (listing.id, 1.0))
            out.append(contract_of(listing, name, lot=lot, depth=self.CHARACTER.depth))
        return out

    # -- commands --------------------------------------------------------------------------

    def command(self, client: Client, text: bytes) -> Replies:
        if text == b"ping":
            return [b"pong"]
        try:
            asked = msgspec.json.decode(text, type=Command)
        except msgspec.DecodeError:
            return [_error(30002, "Unrecognized request")]
        if asked.op not in ("subscribe", "unsubscribe"):
            return [_error(30002, f"Unrecognized op {asked.op}")]
        if sum(arg.topic == BOOKS for arg in asked.args) > MOST_BOOKS:
            client.cut()
            return []
        acks: list[bytes] = []
        first: list[bytes] = []
        for arg in asked.args:
            known = arg.stream in self._streams or arg.stream == f"{FORCED}:"
            if not known:
                acks.append(_error(30001, f"{arg.topic} {arg.symbol} doesn't exist"))
                continue
            acks.append(encode({"event": asked.op, "arg": _named(arg)}))
            if asked.op == "unsubscribe":
                client.streams.discard(arg.stream)
            elif arg.instType == FAMILY:
                client.streams.add(arg.stream)
                first += self._first(arg.stream)
        return [*acks, *first]

    def _first(self, stream: str) -> list[bytes]:
        topic, place = self._streams.get(stream, (FORCED, 0))
        if topic == BOOKS:
            return [self._book(place, "snapshot", self.shadow.books[place], 0)]
        if topic == TOUCH:
            return [self._quote(place)]
        if topic == TICKER:
            return [self._ticker(place)]
        tape = self.shadow.tapes[place]
        if topic == TRADES and len(tape):
            past = list(islice(tape, max(0, len(tape) - HISTORY), None))
            return [self._trades(place, past[::-1], "snapshot")]
        return []

    # -- frames ----------------------------------------------------------------------------

    def told(self, tick: Tick, turns: Turns) -> Sequence[Message]:
        out: list[Message] = []
        forced: list[dict[str, str]] = []
        for place, played in turns:
            out += self._turn(place, played)
            forced += self._forced(place, played)
        if forced:
            out.append((f"{FORCED}:", self._push(FORCED, None, forced, "update")))
        if tick.mark is not None:
            for place, contract in enumerate(self.shadow.contracts):
                out.append((f"{TICKER}:{contract.name}", self._ticker(place)))
        return out

    def _turn(self, place: int, played: Played) -> list[Message]:
        name, out = self.shadow.contracts[place].name, []
        if played.prints:
            out.append((f"{TRADES}:{name}", self._trades(place, played.prints, "update")))
        if played.diff.last > played.diff.previous:
            frame = self._book(place, "update", played.diff, played.diff.previous)
            out.append((f"{BOOKS}:{name}", frame))
        if played.touches:
            out.append((f"{TOUCH}:{name}", self._quote(place)))
        return out

    def _push(self, topic: str, name: str | None, rows: list[Any], action: str) -> bytes:
        symbol = {} if name is None else {"symbol": name}
        arg = {"instType": FAMILY, **symbol, "topic": topic}
        return encode({"data": rows, "arg": arg, "action": action, "ts": self.ms})

    def _book(self, place: int, action: str, book: Any, previous: int) -> bytes:
        """A whole book or what changed in one: both have `bids` and `asks`."""
        contract = self.shadow.contracts[place]
        most = LEVELS if action == "snapshot" else None
        row = {
            "a": side(contract, book.asks, False, most),
            "b": side(contract, book.bids, True, most),
            "pseq": previous,
            "seq": self.shadow.books[place].seq,
            "maxDepth": str(LEVELS),
            "ts": str(self.ms - 1),
        }
        return self._push(BOOKS, contract.name, [row], action)

    def _quote(self, place: int) -> bytes:
        contract, book = self.shadow.contracts[place], self.shadow.books[place]
        bid, bid_size, ask, ask_size = book.touch()
        row = {
            "a": side(contract, {ask: ask_size}, False),
            "b": side(contract, {bid: bid_size}, True),
            "pseq": 0,
            "seq": book.seq,
            "maxDepth": "1",
            "ts": str(self.ms - 1),
        }
        return self._push(TOUCH, contract.name, [row], "snapshot")

    def _trades(self, place: int, prints: list[Print], action: str) -> bytes:
        contract = self.shadow.contracts[place]
        rows = [
            {
                "p": contract.price_text(fill.price),
                "S": "buy" if fill.buy else "sell",
                "T": str(fill.ms + self.faults.skew_ms),
                "v": contract.size_text(fill.size),
                "i": str(fill.id),
                "L": str(fill.last),
                "isRPI": "no",
            }
            for fill in prints
        ]
        return self._push(TRADES, contract.name, rows, action)

    def _forced(self, place: int, played: Played) -> list[dict[str, str]]:
        """`side` is the position's, `amount` its value in USDT."""
        contract = self.shadow.contracts[place]
        return [
            {
                "symbol": contract.name,
                "side": "buy" if one.long else "sell",
                "price": contract.price_text(one.price),
                "amount": f"{one.size * contract.step * one.price * contract.tick:.8f}",
                "ts": str(one.ms + self.faults.skew_ms),
            }
            for one in played.closed
        ]

    def _ticker(self, place: int) -> bytes:
        shadow, contract = self.shadow, self.shadow.contracts[place]
        bid, bid_size, ask, ask_size = shadow.books[place].touch()
        more = contract.decimals + 1
        last = self.last_price(place)
        row = {
            "symbol": contract.name,
            "lastPrice": last,
            "bid1Price": contract.price_text(bid),
            "bid1Size": contract.size_text(bid_size),
            "ask1Price": contract.price_text(ask),
            "ask1Size": contract.size_text(ask_size),
            "markPrice": f"{shadow.mark[place] * contract.tick:.{more}f}",
            "indexPrice": f"{shadow.index[place] * contract.tick:.{more}f}",
            "fundingRate": f"{self._rate(place):.8f}",
            "nextFundingTime": str(shadow.next * 1000),
            "openInterest": f"{shadow.interest[place] / contract.lot:.4f}",
        }
        return self._push(TICKER, contract.name, [row], "snapshot")

    def _rate(self, place: int) -> float:
        return float(self.shadow.rate[place]) * self.CHARACTER.hours / 8

    # -- REST ------------------------------------------------------------------------------

    def answer(self, path: str, query: Query, body: bytes | None) -> Answer:
        handle = self._paths.get(path)
        if handle is None:
            return Answer(self._body("40404", "Request URL NOT FOUND", None), 404)
        try:
            return Answer(self._body("00000", "success", handle(query)))
        except (KeyError, ValueError):
            return Answer(self._body("40034", "Parameter does not exist", None), 400)

    def refused(self, status: int) -> bytes:
        return self._body("429", "Too Many Requests", None)

    def _body(self, code: str, message: str, data: Any) -> bytes:
        return encode({"code": code, "msg": message, "requestTime": self.ms, "data": data})

    def _asked(self, query: Query) -> int:
        place = self.shadow.named(query["symbol"])
        if place is None:
            raise ValueError("no such contract")
        return place

    def _catalogue(self, query: Query) -> list[Any]:
        if query["category"] != CATEGORY:
            raise ValueError("another market")
        return [_contract(contract, self.CHARACTER.hours) for _, contract in self.listed]

    def _funding_now(self, query: Query) -> list[Any]:
        return [
            {
                "symbol": contract.name,
                "fundingRate": f"{self._rate(place):.8f}",
                "fundingRateInterval": f"{self.CHARACTER.hours:g}",
                "nextUpdate": str(self.shadow.next * 1000),
                "minFundingRate": "-0.003",
                "maxFundingRate": "0.003",
            }
            for place, contract in self.listed
        ]

    def _settled(self, query: Query) -> dict[str, Any]:
        count = min(int(query.get("limit", "20")), 100)
        now = self.market.now // NS
        times, rates = self.positioning.settlements(self._asked(query), now, count)
        rows = [
            {"symbol": query["symbol"], "fundingRate": f"{rate:.8f}",
             "fundingRateTimestamp": str(int(time) * 1000)}
            for time, rate in zip(times[::-1], rates[::-1], strict=True)
        ]  # fmt: skip
        return {"resultList": rows}

    def _ratios(self, query: Query) -> list[Any]:
        place = self._asked(query)
        times = moments(PERIODS_S[query.get("period", "5m")], self.market.now // NS, None,
                        RATIO_ROWS)  # fmt: skip
        ratios = self.positioning.ratio("global_accounts", place, times)
        return [
            {"longAccountRatio": f"{ratio / (1 + ratio):.4f}",
             "shortAccountRatio": f"{1 / (1 + ratio):.4f}",
             "longShortAccountRatio": f"{ratio:.4f}", "ts": str(int(time) * 1000)}
            for time, ratio in zip(times, ratios, strict=True)
        ]  # fmt: skip


def _named(arg: Arg) -> dict[str, str]:
    symbol = {} if arg.symbol is None else {"symbol": arg.symbol}
    return {"instType": arg.instType, "topic": arg.topic, **symbol}


def _error(code: int, message: str) -> bytes:
    return encode({"event": "error", "code": code, "msg": message})


def _contract(contract: Contract, hours: float) -> dict[str, str]:
    step = contract.size_text(1)
    return {
        "symbol": contract.name, "category": CATEGORY,
        "baseCoin": contract.name.removesuffix("USDT"), "quoteCoin": "USDT", "isRwa": "NO",
        "buyLimitPriceRatio": "0.05", "sellLimitPriceRatio": "0.05", "feeRateUpRatio": "0.005",
        "makerFeeRate": "0.0002", "takerFeeRate": "0.0006", "openCostUpRatio": "0.01",
        "minOrderQty": step, "maxOrderQty": contract.size_text(10**6),
        "pricePrecision": str(contract.decimals), "quantityPrecision": str(contract.step_decimals),
        "quotePrecision": "", "priceMultiplier": contract.price_text(1),
        "quantityMultiplier": step, "type": "perpetual", "minOrderAmount": "5",
        "maxSymbolOrderNum": "", "maxProductOrderNum": "400", "maxPositionNum": "200",
        "status": "online", "offTime": "-1", "limitOpenTime": "-1", "deliveryTime": "",
        "deliveryStartTime": "", "deliveryPeriod": "", "launchTime": "0",
        "fundInterval": f"{hours:g}", "minLeverage": "1", "maxLeverage": "150",
        "maintainTime": "", "symbolType": "crypto", "maxMarketOrderQty": contract.size_text(10**5),
    }  # fmt: skip


VENUE = Bitget
