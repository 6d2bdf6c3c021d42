"""Bybit v5 linear on the loopback: one socket for all topics, positioning and history by REST.

Shapes as recorded in August 2026, liquidations and REST rows as documented. A request with one
bad topic is refused whole, as at the venue.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from engine.clock import NS
from engine.sim.market.market import Tick
from engine.sim.market.play import Closed, Played
from engine.sim.market.shadow import Character, Contract, Reference, contract_of
from engine.sim.market.tape import Print
from engine.sim.venues.base import Replies, ShadowVenue, Turns, moments, side
from engine.sim.venues.faults import Message
from engine.sim.venues.http import Answer
from engine.sim.venues.sockets import Client

LOTS = {"PEPEUSDT": ("1000PEPEUSDT", 1000.0), "SHIBUSDT": ("SHIB1000USDT", 1000.0),
        "BONKUSDT": ("1000BONKUSDT", 1000.0), "FLOKIUSDT": ("1000FLOKIUSDT", 1000.0)}  # fmt: skip
DEPTH, QUOTE = "orderbook.200", "orderbook.1"
TRADE, TICKER, FORCED = "publicTrade", "tickers", "allLiquidation"
TOPICS = (DEPTH, QUOTE, TRADE, TICKER, FORCED)
LEVELS = 200
UPDATES_AT = 15_000_000
PERIODS_S = {"5min": 300, "15min": 900, "30min": 1800, "1h": 3600, "4h": 14400, "1d": 86400}
MS = 1_000_000
encode = msgspec.json.encode


class Command(msgspec.Struct):
    """What a client asks on its socket."""

    op: str
    args: list[str] = []
    req_id: str = ""


class Bybit(ShadowVenue):
    """Bybit v5 linear; stream names are its topics."""

    NAME = "bybit"
    CHARACTER = Character(lag=0.1, share=0.5, depth=0.6, interest=0.55, premium=0.9, every=0.3)
    URLS: ClassVar = {"linear": "ws:/v5/public/linear", "rest": "http:"}

    def __init__(self, *what: Any, **named: Any) -> None:
        super().__init__(*what, **named)
        self._updates = [UPDATES_AT] * len(self.shadow.contracts)
        self._tickers = [self._ticker(place) for place in range(len(self.shadow.contracts))]
        self._topics = {
            f"{topic}.{contract.name}": (topic, place)
            for place, contract in enumerate(self.shadow.contracts)
            for topic in TOPICS
        }
        self._paths: dict[str, Callable[[dict[str, str]], dict[str, Any]]] = {
            "/v5/market/instruments-info": self._catalogue,
            "/v5/market/account-ratio": self._ratios,
            "/v5/market/open-interest": self._interests,
            "/v5/market/funding/history": self._fundings,
        }

    def contracts(self, reference: Reference) -> list[Contract]:
        out = []
        for listing in reference.market.listings:
            name, lot = LOTS.get(listing.id, (listing.id, 1.0))
            out.append(contract_of(listing, name, lot=lot, depth=self.CHARACTER.depth))
        return out

    # -- commands --------------------------------------------------------------------------

    def command(self, client: Client, text: bytes) -> Replies:
        try:
            asked = msgspec.json.decode(text, type=Command)
        except msgspec.DecodeError:
            return [_told(False, "Invalid JSON", "", "")]
        if asked.op == "ping":
            return [_told(True, "pong", asked.req_id, "ping")]
        if asked.op not in ("subscribe", "unsubscribe"):
            return [_told(False, "error:request err", asked.req_id, asked.op)]
        for topic in asked.args:
            if topic not in self._topics:
                problem = f"error:handler not found,topic:{topic}"
                return [_told(False, problem, asked.req_id, asked.op)]
        ack = _told(True, "", asked.req_id, asked.op)
        if asked.op == "unsubscribe":
            client.streams -= set(asked.args)
            return [ack]
        new = [topic for topic in asked.args if topic not in client.streams]
        client.streams |= set(new)
        return [ack, *(frame for topic in new for frame in self._first(topic))]

    def _first(self, name: str) -> list[bytes]:
        """What a subscription begins with: whole books and tickers."""
        topic, place = self._topics[name]
        if topic == DEPTH:
            return [self._book(place, "snapshot", self.shadow.books[place])]
        if topic == QUOTE:
            return [self._quote(place)]
        if topic == TICKER:
            return [self._tell_ticker(place, "snapshot", self._tickers[place])]
        return []

    # -- frames ----------------------------------------------------------------------------

    def told(self, tick: Tick, turns: Turns) -> Sequence[Message]:
        out: list[Message] = []
        for place, played in turns:
            out += self._turn(place, played)
        if tick.mark is not None:
            for place in range(len(self.shadow.contracts)):
                out.append((self._name(TICKER, place), self._ticker_delta(place)))
        return out

    def _name(self, topic: str, place: int) -> str:
        return f"{topic}.{self.shadow.contracts[place].name}"

    def _turn(self, place: int, played: Played) -> list[Message]:
        out = []
        if played.prints:
            out.append((self._name(TRADE, place), self._trades(place, played.prints)))
        if played.diff.last > played.diff.previous:
            self._updates[place] += 1
            out.append((self._name(DEPTH, place), self._book(place, "delta", played.diff)))
        if played.touches:
            out.append((self._name(QUOTE, place), self._quote(place)))
        if played.closed:
            out.append((self._name(FORCED, place), self._forced(place, played.closed)))
        return out

    def _book(self, place: int, kind: str, book: Any) -> bytes:
        """A whole book or what changed in one: both have `bids` and `asks`."""
        contract, ms = self.shadow.contracts[place], self.ms
        data = {
            "s": contract.name,
            "b": side(contract, book.bids, True, LEVELS if kind == "snapshot" else None),
            "a": side(contract, book.asks, False, LEVELS if kind == "snapshot" else None),
            "u": self._updates[place],
            "seq": self.shadow.books[place].seq,
        }
        frame = {"topic": self._name(DEPTH, place), "type": kind, "ts": ms, "data": data}
        return encode({**frame, "cts": ms - 1})

    def _quote(self, place: int) -> bytes:
        contract, book, ms = self.shadow.contracts[place], self.shadow.books[place], self.ms
        bid, bid_size, ask, ask_size = book.touch()
        data = {
            "s": contract.name,
            "b": [[contract.price_text(bid), contract.size_text(bid_size)]],
            "a": [[contract.price_text(ask), contract.size_text(ask_size)]],
            "u": book.seq - UPDATES_AT,
            "seq": book.seq,
        }
        frame = {"topic": self._name(QUOTE, place), "type": "snapshot", "ts": ms, "data": data}
        return encode({**frame, "cts": ms - 1})

    def _trades(self, place: int, prints: list[Print]) -> bytes:
        contract, seq = self.shadow.contracts[place], self.shadow.books[place].seq
        rows = [
            {
                "T": fill.ms + self.faults.skew_ms,
                "s": contract.name,
                "S": "Buy" if fill.buy else "Sell",
                "v": contract.size_text(fill.size),
                "p": contract.price_text(fill.price),
                "L": "PlusTick" if fill.buy else "MinusTick",
                "i": trade_id(place, fill),
                "BT": False,
                "RPI": False,
                "seq": seq,
            }
            for fill in prints
        ]
        topic = self._name(TRADE, place)
        return encode({"topic": topic, "type": "snapshot", "ts": self.ms, "data": rows})

    def _forced(self, place: int, closed: list[Closed]) -> bytes:
        """`S` is the side of the position that was liquidated."""
        contract = self.shadow.contracts[place]
        rows = [
            {
                "T": one.ms + self.faults.skew_ms,
                "s": contract.name,
                "S": "Buy" if one.long else "Sell",
                "v": contract.size_text(one.size),
                "p": contract.price_text(one.price),
            }
            for one in closed
        ]
        topic = self._name(FORCED, place)
        return encode({"topic": topic, "type": "snapshot", "ts": self.ms, "data": rows})

    def _ticker(self, place: int) -> dict[str, str]:
        """All a ticker says; `openInterest` counts both sides."""
        contract, day, last = self.shadow.contracts[place], self.day(place), self.last_price(place)
        return {
            "symbol": contract.name,
            "tickDirection": "ZeroPlusTick",
            "price24hPcnt": f"{float(last) / float(day.first) - 1:.6f}",
            "lastPrice": last,
            "prevPrice24h": day.first,
            "highPrice24h": day.high,
            "lowPrice24h": day.low,
            "prevPrice1h": day.first,
            **self._live(place),
            "turnover24h": f"{day.coins * float(last) / contract.lot:.4f}",
            "volume24h": f"{day.coins / contract.coins / contract.lot:.4f}",
            "fundingCap": "0.005",
            "preOpenPrice": "",
            "preQty": "",
            "curPreListingPhase": "",
        }

    def _live(self, place: int) -> dict[str, str]:
        """The part of a ticker that moves."""
        shadow, contract = self.shadow, self.shadow.contracts[place]
        mark = shadow.mark[place] * contract.tick
        units = shadow.interest[place] / contract.lot
        bid, bid_size, ask, ask_size = shadow.books[place].touch()
        more = contract.decimals + 1
        return {
            "markPrice": f"{mark:.{more}f}",
            "indexPrice": f"{shadow.index[place] * contract.tick:.{more}f}",
            "openInterest": f"{2 * units:.3f}",
            "openInterestValue": f"{2 * units * mark:.2f}",
            "fundingIntervalHour": f"{shadow.character.hours:g}",
            "singleOpenInterest": f"{units:.3f}",
            "singleOpenInterestValue": f"{units * mark:.2f}",
            "nextFundingTime": str(shadow.next * 1000),
            "fundingRate": f"{shadow.rate[place] * shadow.character.hours / 8:.8f}",
            "bid1Price": contract.price_text(bid),
            "bid1Size": contract.size_text(bid_size),
            "ask1Price": contract.price_text(ask),
            "ask1Size": contract.size_text(ask_size),
        }

    def _ticker_delta(self, place: int) -> bytes:
        """What of a ticker has changed since it was last told."""
        known = self._tickers[place]
        live = {**self._live(place), "lastPrice": self.last_price(place)}
        changed = {key: text for key, text in live.items() if known[key] != text}
        known.update(changed)
        return self._tell_ticker(place, "delta", {"symbol": known["symbol"], **changed})

    def _tell_ticker(self, place: int, kind: str, data: dict[str, str]) -> bytes:
        frame = {"topic": self._name(TICKER, place), "type": kind, "data": data}
        return encode({**frame, "cs": self.shadow.books[place].seq, "ts": self.ms})

    # -- REST ------------------------------------------------------------------------------

    def answer(self, path: str, query: dict[str, str], body: bytes | None) -> Answer:
        handle = self._paths.get(path)
        if handle is None:
            return Answer(b"404 page not found", 404)
        try:
            return self._result(0, "OK", handle(query))
        except (KeyError, ValueError, TypeError):
            return self._result(10001, "params error", {})

    def refused(self, status: int) -> bytes:
        return encode({"retCode": 10006, "retMsg": "Too many visits!", "time": self.ms})

    def _result(self, code: int, message: str, result: dict[str, Any]) -> Answer:
        body = {"retCode": code, "retMsg": message, "result": result, "retExtInfo": {}}
        return Answer(encode({**body, "time": self.ms}))

    def _asked(self, query: dict[str, str]) -> int:
        place = self.shadow.named(query["symbol"])
        if place is None or query["category"] != "linear":
            raise ValueError("no such contract")
        return place

    def _catalogue(self, query: dict[str, str]) -> dict[str, Any]:
        rows = [_contract(contract, self.CHARACTER.hours) for _, contract in self.listed]
        return {"category": "linear", "list": rows, "nextPageCursor": ""}

    def _ratios(self, query: dict[str, str]) -> dict[str, Any]:
        place = self._asked(query)
        times = self._times(query, PERIODS_S[query["period"]], 500)
        shares = 1 / (1 + 1 / self.positioning.ratio("global_accounts", place, times))
        rows = [
            {"symbol": query["symbol"], "buyRatio": f"{share:.4f}",
             "sellRatio": f"{1 - share:.4f}", "timestamp": str(int(time) * 1000)}
            for time, share in zip(times[::-1], shares[::-1], strict=True)
        ]  # fmt: skip
        return {"list": rows, "nextPageCursor": ""}

    def _interests(self, query: dict[str, str]) -> dict[str, Any]:
        place = self._asked(query)
        times = self._times(query, PERIODS_S[query["intervalTime"]], 200)
        units = self.positioning.interest(place, times) / self.shadow.contracts[place].lot
        rows = [
            {"openInterest": f"{2 * held:.8f}", "timestamp": str(int(time) * 1000)}
            for time, held in zip(times[::-1], units[::-1], strict=True)
        ]
        named = {"symbol": query["symbol"], "category": "linear"}
        return {**named, "list": rows, "nextPageCursor": ""}

    def _fundings(self, query: dict[str, str]) -> dict[str, Any]:
        place = self._asked(query)
        last = min(int(query.get("endTime", self.ms)) // 1000, self.market.now // NS)
        count = min(int(query.get("limit", "200")), 200)
        times, rates = self.positioning.settlements(place, last, count)
        rows = [
            {"symbol": query["symbol"], "fundingRate": f"{rate:.8f}",
             "fundingRateTimestamp": str(int(time) * 1000)}
            for time, rate in zip(times[::-1], rates[::-1], strict=True)
        ]  # fmt: skip
        return {"category": "linear", "list": rows}

    def _times(self, query: dict[str, str], period: int, most: int) -> Any:
        """The instants a page of history is of, oldest first."""
        last = min(int(query.get("endTime", self.ms)) // 1000, self.market.now // NS)
        start = query.get("startTime")
        first = None if start is None else -(-int(start) // 1000)
        return moments(period, last, first, min(int(query.get("limit", "50")), most))


def trade_id(place: int, fill: Print) -> str:
    """The venue's ids are UUIDs; ours hold contract and number."""
    return f"{place:08x}-0000-5000-8000-{fill.id:012x}"


def _told(success: bool, message: str, request: str, op: str) -> bytes:
    return encode({"success": success, "ret_msg": message, "conn_id": "simulated",
                   "req_id": request, "op": op})  # fmt: skip


def _contract(contract: Contract, hours: float) -> dict[str, Any]:
    tick, step = contract.price_text(1), contract.size_text(1)
    return {
        "symbol": contract.name,
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": contract.name.removesuffix("USDT"),
        "quoteCoin": "USDT",
        "launchTime": "1585526400000",
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(contract.decimals),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": tick, "maxPrice": contract.price_text(2 * contract.ticks),
                        "tickSize": tick},
        "lotSizeFilter": {"maxOrderQty": contract.size_text(10**6), "minOrderQty": step,
                          "qtyStep": step, "postOnlyMaxOrderQty": contract.size_text(10**6),
                          "maxMktOrderQty": contract.size_text(10**5), "minNotionalValue": "5"},
        "unifiedMarginTrade": True,
        "fundingInterval": int(hours * 60),
        "settleCoin": "USDT",
        "copyTrading": "both",
        "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
        "displayName": "",
        "symbolType": "",
    }  # fmt: skip


VENUE = Bybit
