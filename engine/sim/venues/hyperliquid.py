"""Hyperliquid on the loopback: whole books of two depths, contexts, POST /info.

Shapes as recorded and documented. As at the venue the first trades of a subscription are of the
past, no liquidation is published, and an unknown coin ends the connection without a word.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any, ClassVar

import msgspec

from engine.clock import NS
from engine.sim.market.market import Tick
from engine.sim.market.play import Played
from engine.sim.market.shadow import Character, Contract, Reference, contract_of
from engine.sim.market.tape import Print, Tape
from engine.sim.venues.base import Replies, ShadowVenue, Turns, side
from engine.sim.venues.faults import Message
from engine.sim.venues.http import Answer
from engine.sim.venues.sockets import Client

KILO = frozenset(f"{coin}USDT" for coin in ("PEPE", "SHIB", "BONK", "LUNC", "FLOKI", "NEIRO"))
DEEP, FAST = "l2Book", "l2Book fast"
TOUCH, TRADES, STATE = "bbo", "trades", "activeAssetCtx"
DEEP_LEVELS, FAST_LEVELS = 20, 5
DEEP_EVERY_S = 5
HISTORY = 10
MOST_ROWS = 500
HOUR_MS = 3_600_000
LEVEL = '{"px":"%s","sz":"%s","n":1}'
encode = msgspec.json.encode
Query = dict[str, str]
Asked = dict[str, Any]


class Command(msgspec.Struct):
    """What a client asks on its socket."""

    method: str
    subscription: dict[str, Any] = {}


class Hyperliquid(ShadowVenue):
    """Hyperliquid's own perpetuals; stream names are `channel:coin`, of small books `FAST:coin`."""

    NAME = "hyperliquid"
    CHARACTER = Character(lag=0.4, share=0.35, depth=0.4, interest=0.45, premium=1.6, every=0.5,
                          hours=1.0)  # fmt: skip
    URLS: ClassVar = {"ws": "ws:/ws", "rest": "http:"}

    def __init__(self, *what: Any, **named: Any) -> None:
        super().__init__(*what, **named)
        self._places = {c.name: place for place, c in enumerate(self.shadow.contracts)}
        self._answers: dict[str, Callable[[Asked], Any]] = {
            "meta": self._universe,
            "fundingHistory": self._fundings,
        }

    def contracts(self, reference: Reference) -> list[Contract]:
        depth, out = self.CHARACTER.depth, []
        for listing in reference.market.listings:
            base, kilo = listing.id.removesuffix("USDT"), listing.id in KILO
            lot = 1000.0 if kilo else 1.0
            name = f"k{base}" if kilo else base
            out.append(contract_of(listing, name, lot=lot, coins=lot, depth=depth))
        return out

    # -- commands --------------------------------------------------------------------------

    def command(self, client: Client, text: bytes) -> Replies:
        try:
            asked = msgspec.json.decode(text, type=Command)
        except msgspec.DecodeError:
            return [_said("error", f"Error parsing JSON into valid websocket request: {text!r}")]
        if asked.method == "ping":
            return [b'{"channel":"pong"}']
        wanted = asked.subscription
        kind, coin = wanted.get("type"), wanted.get("coin")
        if coin not in self._places or kind not in (DEEP, TOUCH, TRADES, STATE):
            client.cut()
            return []
        fast = kind == DEEP and bool(wanted.get("fast"))
        name = f"{FAST if fast else kind}:{coin}"
        more = {"nSigFigs": None, "mantissa": None} if kind == DEEP else {}
        said = {"method": asked.method, "subscription": {**more, **wanted}}
        ack = _said("subscriptionResponse", said)
        if asked.method == "unsubscribe":
            client.streams.discard(name)
            return [ack]
        client.streams.add(name)
        return [ack, self._first(name.partition(":")[0], self._places[coin])]

    def _first(self, channel: str, place: int) -> bytes:
        if channel == TRADES:
            tape = self.shadow.tapes[place]
            past = list(islice(tape, max(0, len(tape) - HISTORY), None)) or [self._before(place)]
            return self._trades(place, past)
        if channel == TOUCH:
            return self._touch(place)
        if channel == STATE:
            return self._state(place)
        return self._book(place, FAST_LEVELS if channel == FAST else DEEP_LEVELS)

    def _before(self, place: int) -> Print:
        """What was traded last before the market begins, which the tape does not tell."""
        ms = self.market.start // 1_000_000 - 1000
        return Print(Tape.FIRST - 1, 0, 0, ms, self.shadow.last[place], 1, True)

    # -- frames ----------------------------------------------------------------------------

    def told(self, tick: Tick, turns: Turns) -> Sequence[Message]:
        out: list[Message] = []
        for place, played in turns:
            out += self._turn(place, played)
        if tick.mark is not None:
            second = tick.ts // NS
            for place, contract in enumerate(self.shadow.contracts):
                out.append((f"{STATE}:{contract.name}", self._state(place)))
                if self.due(second, place, DEEP_EVERY_S):
                    out.append((f"{DEEP}:{contract.name}", self._book(place, DEEP_LEVELS)))
        return out

    def _turn(self, place: int, played: Played) -> list[Message]:
        name, out = self.shadow.contracts[place].name, []
        if played.touches:
            out.append((f"{TOUCH}:{name}", self._touch(place)))
        if played.prints:
            out.append((f"{TRADES}:{name}", self._trades(place, played.prints)))
        if played.diff.last > played.diff.previous:
            out.append((f"{FAST}:{name}", self._book(place, FAST_LEVELS)))
        return out

    def _levels(self, place: int, levels: Mapping[int, int], descending: bool,
                most: int) -> msgspec.Raw:  # fmt: skip
        return side(self.shadow.contracts[place], levels, descending, most, LEVEL)

    def _book(self, place: int, most: int) -> bytes:
        book = self.shadow.books[place]
        levels = [self._levels(place, book.bids, True, most),
                  self._levels(place, book.asks, False, most)]  # fmt: skip
        name = self.shadow.contracts[place].name
        return _said("l2Book", {"coin": name, "time": self.ms, "levels": levels})

    def _touch(self, place: int) -> bytes:
        contract = self.shadow.contracts[place]
        bid, bid_size, ask, ask_size = self.shadow.books[place].touch()
        best = [
            {"px": contract.price_text(price), "sz": contract.size_text(size), "n": 1}
            for price, size in ((bid, bid_size), (ask, ask_size))
        ]
        return _said(TOUCH, {"coin": contract.name, "time": self.ms, "bbo": best})

    def _trades(self, place: int, prints: Sequence[Print]) -> bytes:
        contract = self.shadow.contracts[place]
        rows = []
        for fill in prints:
            mark = sha256(f"{contract.name} {fill.id}".encode()).hexdigest()
            users = [f"0x{mark[:40]}", f"0x{mark[24:]}"]
            rows.append({
                "coin": contract.name, "side": "B" if fill.buy else "A",
                "px": contract.price_text(fill.price), "sz": contract.size_text(fill.size),
                "time": fill.ms + self.faults.skew_ms, "hash": f"0x{mark}", "tid": fill.id,
                "users": users,
            })  # fmt: skip
        return _said(TRADES, rows)

    def _state(self, place: int) -> bytes:
        """`funding` is per hour, `openInterest` in contracts."""
        shadow, contract = self.shadow, self.shadow.contracts[place]
        bid, _, ask, _ = shadow.books[place].touch()
        index, mark = (float(x[place]) * contract.tick for x in (shadow.index, shadow.mark))
        more = contract.decimals + 1
        mid = (bid + ask) / 2 * contract.tick
        state = {
            "funding": f"{shadow.rate[place] / 8:.10f}",
            "openInterest": f"{shadow.interest[place] / contract.coins:.4f}",
            "prevDayPx": contract.price_text(contract.ticks), "dayNtlVlm": "0.0",
            "premium": f"{mid / index - 1:.10f}", "oraclePx": f"{index:.{more}f}",
            "markPx": f"{mark:.{more}f}", "midPx": f"{mid:.{more}f}",
            "impactPxs": [contract.price_text(bid), contract.price_text(ask)],
            "dayBaseVlm": "0.0",
        }  # fmt: skip
        return _said(STATE, {"coin": contract.name, "ctx": state})

    # -- REST ------------------------------------------------------------------------------

    def answer(self, path: str, query: Query, body: bytes | None) -> Answer:
        if path != "/info" or body is None:
            return Answer(b"null", 404)
        try:
            asked = msgspec.json.decode(body, type=dict[str, Any])
            return Answer(encode(self._answers[asked["type"]](asked)))
        except (KeyError, ValueError, TypeError, msgspec.DecodeError):
            return Answer(b"Failed to deserialize the JSON body into the target type", 422)

    def refused(self, status: int) -> bytes:
        return b"null"

    def _universe(self, asked: Asked) -> Asked:
        """Our markets and one that is not traded any more."""
        rows: list[Asked] = [
            {"szDecimals": contract.step_decimals, "name": contract.name, "maxLeverage": 40,
             "marginTableId": 40}
            for _, contract in self.listed
        ]  # fmt: skip
        rows.append({"szDecimals": 1, "name": "MATIC", "maxLeverage": 20, "marginTableId": 20,
                     "isDelisted": True})  # fmt: skip
        return {"universe": rows, "marginTables": [], "collateralToken": 0}

    def _fundings(self, asked: Asked) -> list[Any]:
        """Hours within [startTime, endTime], oldest first; the first of too many."""
        place = self._places[asked["coin"]]
        now = self.market.now // 1_000_000
        first = -(-int(asked["startTime"]) // HOUR_MS)
        last = min(int(asked.get("endTime", now)), now) // HOUR_MS
        last = min(last, first + MOST_ROWS - 1)
        if last < first:
            return []
        times, rates = self.positioning.settlements(place, last * 3600, last - first + 1)
        return [
            {"coin": asked["coin"], "fundingRate": f"{rate:.10f}",
             "premium": f"{rate * 8 - 1e-4:.10f}", "time": int(time) * 1000}
            for time, rate in zip(times, rates, strict=True)
        ]  # fmt: skip


def _said(channel: str, data: Any) -> bytes:
    return encode({"channel": channel, "data": data})


VENUE = Hyperliquid
