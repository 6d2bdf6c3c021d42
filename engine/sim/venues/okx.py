"""OKX v5 swaps on the loopback: one public socket, statistics by REST.

Sizes are contracts; shapes as documented. State channels tell what is in force when subscribed.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np

from engine.clock import NS
from engine.sim.market.chance import Array
from engine.sim.market.market import Tick
from engine.sim.market.play import Closed, Played
from engine.sim.market.positioning import Measure
from engine.sim.market.shadow import Character, Contract, Reference, contract_of
from engine.sim.market.tape import Print
from engine.sim.venues.base import Replies, ShadowVenue, Turns, moments, side
from engine.sim.venues.faults import Message
from engine.sim.venues.http import Answer
from engine.sim.venues.sockets import Client

# Coins in a contract.
COINS = {
    "BTCUSDT": 0.01, "ETHUSDT": 0.1, "XRPUSDT": 100.0, "BNBUSDT": 0.01, "ADAUSDT": 100.0,
    "NEARUSDT": 10.0, "TRXUSDT": 1000.0, "HYPEUSDT": 0.1, "DOGEUSDT": 1000.0, "PEPEUSDT": 1e7,
    "AAVEUSDT": 0.1, "ENAUSDT": 10.0, "ARBUSDT": 10.0, "FILUSDT": 0.1,
}  # fmt: skip
BOOKS, TOUCH, TRADES = "books", "bbo-tbt", "trades"
MARK, INDEX, FUNDING, INTEREST = "mark-price", "index-tickers", "funding-rate", "open-interest"
FORCED = "liquidation-orders"
SWAP_CHANNELS = (BOOKS, TOUCH, TRADES, MARK, FUNDING, INTEREST)
EVERY_S = {MARK: 1, INDEX: 1, FUNDING: 60, INTEREST: 3}
LEVELS = 400
LEVEL = '["%s","%s","0","3"]'
PERIODS_S = {"5m": 300, "1H": 3600, "1D": 86400}
MOST_ROWS = 100
RUBIK = "/api/v5/rubik/stat"
RATIOS: dict[str, Measure] = {
    "long-short-account-ratio-contract": "global_accounts",
    "long-short-account-ratio-contract-top-trader": "top_accounts",
    "long-short-position-ratio-contract-top-trader": "top_positions",
}
encode = msgspec.json.encode
Query = dict[str, str]


class Arg(msgspec.Struct, omit_defaults=True):
    """One subscription."""

    channel: str
    instId: str = ""
    instType: str = ""

    @property
    def stream(self) -> str:
        return f"{self.channel}:{self.instId}"


class Command(msgspec.Struct):
    """What a client asks on its socket."""

    op: str
    args: list[Arg] = []


class Okx(ShadowVenue):
    """OKX v5 swaps; stream names are `channel:instId`."""

    NAME = "okx"
    CHARACTER = Character(lag=0.2, share=0.45, depth=0.5, interest=0.4, premium=1.0, every=0.4)
    URLS: ClassVar = {"public": "ws:/ws/v5/public", "rest": "http:"}

    def __init__(self, *what: Any, **named: Any) -> None:
        super().__init__(*what, **named)
        contracts = self.shadow.contracts
        # An index goes before the mark that stands beside it.
        self._streams = {f"{INDEX}:{pair(c)}": (INDEX, n) for n, c in enumerate(contracts)}
        self._streams |= {
            f"{channel}:{contract.name}": (channel, place)
            for place, contract in enumerate(contracts)
            for channel in SWAP_CHANNELS
        }
        self._states: dict[str, Callable[[int], dict[str, str]]] = {
            MARK: self._mark, INDEX: self._index, FUNDING: self._funding,
            INTEREST: self._interest,
        }  # fmt: skip
        self._paths: dict[str, Callable[[Query], list[Any]]] = {
            "/api/v5/public/instruments": self._catalogue,
            "/api/v5/public/funding-rate-history": self._fundings,
            f"{RUBIK}/taker-volume-contract": self._takers,
            f"{RUBIK}/contracts/open-interest-history": self._interests,
        }

    def contracts(self, reference: Reference) -> list[Contract]:
        out = []
        for listing in reference.market.listings:
            coins, name = COINS.get(listing.id, 1.0), f"{listing.id.removesuffix('USDT')}-USDT-SWAP"
            made = contract_of(listing, name, coins=coins, depth=self.CHARACTER.depth)
            decimals = min(made.step_decimals, 2)
            out.append(contract_of(listing, name, coins=coins, depth=self.CHARACTER.depth,
                                   step_decimals=decimals))  # fmt: skip
        return out

    # -- commands --------------------------------------------------------------------------

    def command(self, client: Client, text: bytes) -> Replies:
        if text == b"ping":
            return [b"pong"]
        try:
            asked = msgspec.json.decode(text, type=Command)
        except msgspec.DecodeError:
            return [_error("60012", f"Illegal request: {text[:200].decode(errors='replace')}")]
        if asked.op not in ("subscribe", "unsubscribe"):
            return [_error("60012", f"Illegal request: {asked.op}")]
        # Acks of a request come before its data, so that a silent ack is one.
        acks: list[bytes] = []
        first: list[bytes] = []
        for arg in asked.args:
            all_swaps = arg.channel == FORCED and arg.instType == "SWAP"
            if not all_swaps and arg.stream not in self._streams:
                acks.append(_error("60018", f"Wrong URL or {arg.stream} doesn't exist."))
            elif asked.op == "unsubscribe":
                client.streams.discard(arg.stream)
                acks.append(_ack(asked.op, arg))
            else:
                client.streams.add(arg.stream)
                acks.append(_ack(asked.op, arg))
                first += [] if all_swaps else self._first(arg.stream)
        return [*acks, *first]

    def _first(self, stream: str) -> list[bytes]:
        channel, place = self._streams[stream]
        if channel == BOOKS:
            return [self._book(place, "snapshot", self.shadow.books[place], -1)]
        if channel == TOUCH:
            return [self._quote(place)]
        return [self._state(stream)] if channel in self._states else []

    # -- frames ----------------------------------------------------------------------------

    def told(self, tick: Tick, turns: Turns) -> Sequence[Message]:
        out: list[Message] = []
        for place, played in turns:
            out += self._turn(place, played)
        if tick.mark is not None:
            second = tick.ts // NS
            due = {channel for channel, every in EVERY_S.items() if second % every == 0}
            out += [(s, self._state(s)) for s, (channel, _) in self._streams.items()
                    if channel in due]  # fmt: skip
        return out

    def _turn(self, place: int, played: Played) -> list[Message]:
        name, out = self.shadow.contracts[place].name, []
        if played.prints:
            out.append((f"{TRADES}:{name}", self._trades(place, played.prints)))
        if played.diff.last > played.diff.previous:
            frame = self._book(place, "update", played.diff, played.diff.previous)
            out.append((f"{BOOKS}:{name}", frame))
        if played.touches:
            out.append((f"{TOUCH}:{name}", self._quote(place)))
        if played.closed:
            out.append((f"{FORCED}:", self._forced(place, played.closed)))
        return out

    def _push(self, channel: str, name: str, rows: list[Any], **more: str) -> bytes:
        return encode({"arg": {"channel": channel, "instId": name}, **more, "data": rows})

    def _book(self, place: int, action: str, book: Any, previous: int) -> bytes:
        """A whole book or what changed in one: both have `bids` and `asks`."""
        contract = self.shadow.contracts[place]
        most = LEVELS if action == "snapshot" else None
        row = {
            "asks": side(contract, book.asks, False, most, LEVEL),
            "bids": side(contract, book.bids, True, most, LEVEL),
            "ts": str(self.ms),
            "checksum": 0,
            "seqId": self.shadow.books[place].seq,
            "prevSeqId": previous,
        }
        return self._push(BOOKS, contract.name, [row], action=action)

    def _quote(self, place: int) -> bytes:
        contract, book = self.shadow.contracts[place], self.shadow.books[place]
        bid, bid_size, ask, ask_size = book.touch()
        row = {
            "asks": side(contract, {ask: ask_size}, False, None, LEVEL),
            "bids": side(contract, {bid: bid_size}, True, None, LEVEL),
            "ts": str(self.ms),
            "seqId": book.seq,
        }
        return self._push(TOUCH, contract.name, [row])

    def _trades(self, place: int, prints: list[Print]) -> bytes:
        contract, seq = self.shadow.contracts[place], self.shadow.books[place].seq
        rows = [
            {
                "instId": contract.name,
                "tradeId": str(fill.id),
                "px": contract.price_text(fill.price),
                "sz": contract.size_text(fill.size),
                "side": "buy" if fill.buy else "sell",
                "ts": str(fill.ms + self.faults.skew_ms),
                "count": str(fill.last - fill.first + 1),
                "source": "0",
                "seqId": seq,
            }
            for fill in prints
        ]
        return self._push(TRADES, contract.name, rows)

    def _forced(self, place: int, closed: list[Closed]) -> bytes:
        contract = self.shadow.contracts[place]
        details = [
            {
                "bkLoss": "0",
                "bkPx": contract.price_text(one.price),
                "ccy": "",
                "posSide": "long" if one.long else "short",
                "side": "sell" if one.long else "buy",
                "sz": contract.size_text(one.size),
                "ts": str(one.ms + self.faults.skew_ms),
            }
            for one in closed
        ]
        named = {"instFamily": pair(contract), "instId": contract.name, "instType": "SWAP"}
        row = {"details": details, **named, "uly": pair(contract)}
        return encode({"arg": {"channel": FORCED, "instType": "SWAP"}, "data": [row]})

    def _state(self, stream: str) -> bytes:
        """A frame of a channel that tells a state."""
        channel, place = self._streams[stream]
        name = stream.partition(":")[2]
        kind = {} if channel == INDEX else {"instType": "SWAP"}
        row = {**kind, "instId": name, **self._states[channel](place), "ts": str(self.ms)}
        return self._push(channel, name, [row])

    def _price(self, place: int, ticks: float) -> str:
        contract = self.shadow.contracts[place]
        return f"{ticks * contract.tick:.{contract.decimals + 1}f}"

    def _mark(self, place: int) -> dict[str, str]:
        return {"markPx": self._price(place, self.shadow.mark[place])}

    def _index(self, place: int) -> dict[str, str]:
        now = self._price(place, self.shadow.index[place])
        names = ("high24h", "low24h", "open24h", "sodUtc0", "sodUtc8")
        return {"idxPx": now, **dict.fromkeys(names, now)}

    def _funding(self, place: int) -> dict[str, str]:
        """The rate due next; under `current_period` there is none for the one after."""
        shadow, hours = self.shadow, self.CHARACTER.hours
        following = shadow.next + int(hours * 3600)
        return {
            "method": "current_period",
            "fundingRate": f"{shadow.rate[place] * hours / 8:.16f}",
            "nextFundingRate": "",
            "fundingTime": str(shadow.next * 1000),
            "nextFundingTime": str(following * 1000),
            "minFundingRate": "-0.00375",
            "maxFundingRate": "0.00375",
            "premium": f"{shadow.premium[place]:.16f}",
            "settFundingRate": "",
            "settState": "settled",
        }

    def _interest(self, place: int) -> dict[str, str]:
        contract, coins = self.shadow.contracts[place], float(self.shadow.interest[place])
        usd = coins * self.shadow.mark[place] * contract.tick
        return {"oi": f"{coins / contract.coins:.4f}", "oiCcy": f"{coins:.4f}",
                "oiUsd": f"{usd:.4f}"}  # fmt: skip

    # -- REST ------------------------------------------------------------------------------

    def answer(self, path: str, query: Query, body: bytes | None) -> Answer:
        ratio = RATIOS.get(path.removeprefix(f"{RUBIK}/contracts/"))
        handle = self._paths.get(path)
        if handle is None and ratio is None:
            return Answer(_refusal("404", "Not Found"), 404)
        try:
            rows = handle(query) if handle else self._ratios(query, ratio or "global_accounts")
        except (KeyError, ValueError):
            return Answer(_refusal("51000", "Parameter error"))
        return Answer(encode({"code": "0", "msg": "", "data": rows}))

    def refused(self, status: int) -> bytes:
        return _refusal("50011", "Too Many Requests")

    def _asked(self, query: Query) -> int:
        place = self.shadow.named(query["instId"])
        if place is None:
            raise ValueError("no such contract")
        return place

    def _catalogue(self, query: Query) -> list[Any]:
        return [_contract(contract) for _, contract in self.listed]

    def _fundings(self, query: Query) -> list[Any]:
        place, count = self._asked(query), min(int(query.get("limit", "100")), MOST_ROWS)
        times, rates = self.positioning.settlements(place, self.market.now // NS, count)
        named = {"instId": query["instId"], "instType": "SWAP", "method": "current_period"}
        return [
            {**named, "fundingRate": f"{rate:.16f}", "realizedRate": f"{rate:.16f}",
             "fundingTime": str(int(time) * 1000)}
            for time, rate in zip(times[::-1], rates[::-1], strict=True)
        ]  # fmt: skip

    def _times(self, query: Query) -> Array:
        now = self.market.now // NS
        last = min(int(query["end"]) // 1000, now) if "end" in query else now
        first = int(query["begin"]) // 1000 if "begin" in query else None
        count = min(int(query.get("limit", "100")), MOST_ROWS)
        return moments(PERIODS_S[query["period"]], last, first, count)

    def _ratios(self, query: Query, measure: Measure) -> list[Any]:
        times = self._times(query)
        return rows_of(times, self.positioning.ratio(measure, self._asked(query), times))

    def _takers(self, query: Query) -> list[Any]:
        """Contracts sold and bought by takers."""
        place, times = self._asked(query), self._times(query)
        bought, sold = self.positioning.flow(place, times, PERIODS_S[query["period"]])
        coins = self.shadow.contracts[place].coins
        return rows_of(times, sold / coins, bought / coins)

    def _interests(self, query: Query) -> list[Any]:
        place, times = self._asked(query), self._times(query)
        contract, held = self.shadow.contracts[place], self.positioning.interest(place, times)
        usd = held * self.shadow.mark[place] * contract.tick
        return rows_of(times, held / contract.coins, held, usd)


def rows_of(times: Array, *columns: Array) -> list[list[str]]:
    """Rows of [ms, values], all text, newest first."""
    texts = [[str(int(time) * 1000) for time in times]]
    texts += [[f"{value:.4f}" for value in np.asarray(column).tolist()] for column in columns]
    return [list(row) for row in zip(*texts, strict=True)][::-1]


def pair(contract: Contract) -> str:
    """A contract's pair, which names its index."""
    return contract.name.removesuffix("-SWAP")


def _ack(op: str, arg: Arg) -> bytes:
    return encode({"event": op, "arg": arg, "connId": "51d0ea9e"})


def _error(code: str, message: str) -> bytes:
    return encode({"event": "error", "code": code, "msg": message, "connId": "51d0ea9e"})


def _refusal(code: str, message: str) -> bytes:
    return encode({"code": code, "msg": message, "data": []})


def _contract(contract: Contract) -> dict[str, str]:
    base = contract.name.partition("-")[0]
    step = contract.size_text(1)
    return {
        "alias": "", "baseCcy": "", "category": "1", "ctMult": "1", "ctType": "linear",
        "ctVal": f"{contract.coins:.10f}".rstrip("0").rstrip("."), "ctValCcy": base,
        "expTime": "", "instCategory": "1", "instFamily": pair(contract),
        "instId": contract.name, "instType": "SWAP", "lever": "100",
        "listTime": "1573557408000", "lotSz": step, "maxLmtSz": "100000000",
        "maxMktSz": "85000", "minSz": step, "optType": "", "quoteCcy": "",
        "ruleType": "normal", "settleCcy": "USDT", "state": "live", "stk": "",
        "tickSz": contract.price_text(1), "uly": pair(contract),
    }  # fmt: skip


VENUE = Okx
