"""Coinbase Advanced Trade on the loopback: spot trades and best quotes, numbered a connection.

Shapes as recorded. As at the venue the maker's side is published, trades begin with a page of
history before the confirmation, and quotes come with trades only. Its premium leans with the
takers. `USDT-USD` has a small market of its own, of which prices here know nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
import numpy as np

from engine.clock import NS
from engine.sim.market.chance import Wave, stream
from engine.sim.market.market import Tick
from engine.sim.market.play import Played
from engine.sim.market.shadow import Character, Contract, Reference, contract_of
from engine.sim.market.tape import Print, Tape
from engine.sim.numbered import NumberedVenue
from engine.sim.venues.base import Day, Replies, Turns
from engine.sim.venues.faults import Message
from engine.sim.venues.http import Answer
from engine.sim.venues.sockets import Client

CATALOGUE = "/api/v3/brokerage/market/products"
TRADES, TICKER, BEATS = "market_trades", "ticker", "heartbeats"
CHANNELS = (TRADES, TICKER, BEATS)
LACKS = frozenset({"TRXUSDT"})
TETHER = "USDT-USD"
HISTORY = 50  # trades a subscription begins with
encode = msgspec.json.encode
Query = dict[str, str]


class Command(msgspec.Struct):
    """What a client asks on its socket."""

    type: str
    channel: str = ""
    product_ids: list[str] = []


class Tether:
    """The market of USDT in USD: a tick either way of a price that wanders by a basis point."""

    DECIMALS = 5
    TAU_S = 3600.0
    SPREAD = 1e-4

    def __init__(self, seed: int, rate: float) -> None:
        self._rng = stream(seed, "tether")
        self._wave = Wave(self._rng, 1, self.TAU_S, 1.0)
        self._odds = min(0.6 * rate, 0.9)
        self.tape = Tape(1000)
        self.bid, self.size = 99_999, 400_000

    def step(self, ms: int) -> list[Print]:
        """A second's trades, none or one."""
        price = 0.9999 + self.SPREAD * float(np.clip(self._wave.step()[0], -4, 4))
        self.bid = round(price * 10**self.DECIMALS)
        self.size = int(self._rng.integers(50_000, 900_000))
        if self._rng.random() > self._odds:
            return []
        buy = bool(self._rng.random() < 0.5)
        return [self.tape.add(ms, self.bid + buy, int(self._rng.integers(100, 90_000)), buy)]


class Coinbase(NumberedVenue):
    """Coinbase spot; stream names are `channel:product`, that of the heartbeats alone."""

    NAME = "coinbase"
    CHARACTER = Character(lag=0.0, share=0.3, depth=0.3, interest=0.0, premium=1.5, lean=1.0,
                          every=0.3)  # fmt: skip
    URLS: ClassVar = {"ws": "ws:", "rest": "http:"}

    def __init__(self, *what: Any, **named: Any) -> None:
        super().__init__(*what, **named)
        self.tether = Tether(self.market.seed, self.market.rate)
        self._names = [contract.name for contract in self.shadow.contracts]
        self._beats = 0
        self._tether_prints: list[Print] = []
        self._days: dict[int, tuple[int, Day]] = {}

    def contracts(self, reference: Reference) -> list[Contract]:
        return [
            contract_of(listing, f"{listing.id.removesuffix('USDT')}-USD", step_decimals=8,
                        depth=self.CHARACTER.depth)
            for listing in reference.market.listings
            if listing.id not in LACKS
        ]  # fmt: skip

    # -- commands --------------------------------------------------------------------------

    def command(self, client: Client, text: bytes) -> Replies:
        try:
            asked = msgspec.json.decode(text, type=Command)
        except msgspec.DecodeError:
            return [_error("failed to parse message")]
        products = [name for name in asked.product_ids if name in self._names or name == TETHER]
        if asked.channel not in CHANNELS:
            return [_error(f"channel {asked.channel} not found")]
        beats = asked.channel == BEATS
        names = {BEATS} if beats else {f"{asked.channel}:{name}" for name in products}
        first: list[bytes] = []
        if asked.type == "subscribe":
            client.streams |= names
            if not client.silent:
                first = [f for name in products if (f := self._first(asked.channel, name))]
        else:
            client.streams -= names
        return [self.numbered(client, frame) for frame in (*first, self._confirmed(client))]

    def _first(self, channel: str, name: str) -> bytes | None:
        if channel == TRADES:
            if name != TETHER:
                past = self.past(self._names.index(name), HISTORY)
            else:
                past = list(self.tether.tape)[-HISTORY:]
            return self._trades(name, past, "snapshot") if past else None
        return self._quote(name, "snapshot") if channel == TICKER else None

    def _confirmed(self, client: Client) -> bytes:
        """All that are in force, by channel."""
        said: dict[str, list[str]] = {}
        for name in sorted(client.streams):
            channel, _, product = name.partition(":")
            said.setdefault(channel, []).append(product or BEATS)
        return self._message("subscriptions", {"subscriptions": said})

    # -- frames ----------------------------------------------------------------------------

    def second(self, now: int) -> None:
        super().second(now)
        self._tether_prints += self.tether.step(now * 1000 - 1)

    def told(self, tick: Tick, turns: Turns) -> Sequence[Message]:
        out: list[Message] = []
        for place, played in turns:
            out += self._turn(self._names[place], played)
        if tick.mark is not None:
            out += self._tether()
            self._beats += 1
            now = datetime.fromtimestamp(tick.ts // NS, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
            beat = {"current_time": f"{now}000 +0000 UTC m=+{self._beats}.000000001",
                    "heartbeat_counter": self._beats}  # fmt: skip
            out.append((BEATS, self._message(BEATS, beat)))
        return out

    def _turn(self, name: str, played: Played) -> list[Message]:
        if played.prints:
            trades = (f"{TRADES}:{name}", self._trades(name, played.prints, "update"))
            return [trades, (f"{TICKER}:{name}", self._quote(name, "update"))]
        # A sparse market would leave its quotes without news for many minutes.
        news = self.every > 1 and played.touches
        return [(f"{TICKER}:{name}", self._quote(name, "update"))] if news else []

    def _tether(self) -> list[Message]:
        prints, self._tether_prints = self._tether_prints, []
        quote = (f"{TICKER}:{TETHER}", self._quote(TETHER, "update"))
        trades = [(f"{TRADES}:{TETHER}", self._trades(TETHER, prints, "update"))]
        return [*(trades if prints else []), quote]

    def _message(self, channel: str, event: Mapping[str, Any]) -> bytes:
        frame = {"channel": channel, "timestamp": f"{_time(self.ms)[:-1]}000000Z",
                 "sequence_num": 0, "events": [event]}  # fmt: skip
        return encode(frame)

    def _trades(self, name: str, prints: Sequence[Print], kind: str) -> bytes:
        """Newest first; `side` is the maker's."""
        form, size_form = self._forms(name)
        rows = [
            {"product_id": name, "trade_id": str(fill.id), "price": form(fill.price),
             "size": size_form(fill.size), "time": f"{_time(fill.ms + self.faults.skew_ms)}",
             "side": "SELL" if fill.buy else "BUY"}
            for fill in reversed(prints)
        ]  # fmt: skip
        return self._message(TRADES, {"type": kind, "trades": rows})

    def _forms(self, name: str) -> tuple[Callable[[int], str], Callable[[int], str]]:
        """How prices and sizes of a product are written."""
        if name == TETHER:
            return (lambda ticks: f"{ticks / 10**Tether.DECIMALS:.{Tether.DECIMALS}f}"), str
        contract = self.shadow.contracts[self._names.index(name)]
        return contract.price_text, contract.size_text

    def _touch(self, name: str) -> tuple[int, int, int, int]:
        if name == TETHER:
            tether = self.tether
            return tether.bid, tether.size, tether.bid + 1, tether.size
        return self.shadow.books[self._names.index(name)].touch()

    def _quote(self, name: str, kind: str) -> bytes:
        bid, bid_size, ask, ask_size = self._touch(name)
        form, size_form = self._forms(name)
        day = self._day(name)
        row = {
            "type": "ticker", "product_id": name, "price": day["last"], "volume_24_h":
            day["volume"], "low_24_h": day["low"], "high_24_h": day["high"], "low_52_w": "",
            "high_52_w": "", "price_percent_chg_24_h": day["change"], "best_bid": form(bid),
            "best_ask": form(ask), "best_bid_quantity": size_form(bid_size),
            "best_ask_quantity": size_form(ask_size),
        }  # fmt: skip
        return self._message(TICKER, {"type": kind, "tickers": [row]})

    def _day(self, name: str) -> dict[str, str]:
        """The last 24 h as the ticker tells them."""
        if name == TETHER:
            last = self._forms(name)[0](self.tether.bid)
            return {"last": last, "volume": "0", "low": last, "high": last, "change": "0"}
        place = self._names.index(name)
        minute = self.market.now // (60 * NS)
        known = self._days.get(place)
        if known is None or known[0] != minute:
            known = self._days[place] = minute, self.day(place)
        day, last = known[1], self.last_price(place)
        change = 100 * (float(last) / float(day.first) - 1)
        return {"last": last, "volume": f"{day.coins:.8f}", "low": day.low, "high": day.high,
                "change": f"{change:.14f}"}  # fmt: skip

    # -- REST ------------------------------------------------------------------------------

    def answer(self, path: str, query: Query, body: bytes | None) -> Answer:
        if path != CATALOGUE:
            return Answer(encode({"error": "NOT_FOUND", "message": "not found"}), 404)
        rows = [
            _product(contract.name, contract.price_text(1), self.last_price(place))
            for place, contract in self.listed
        ]
        if "BTCUSDT" not in self.unlisted:
            rows.append(_product("BTC-USDC", "0.01", ""))
        rows.append(_product(TETHER, "0.00001", self._forms(TETHER)[0](self.tether.bid)))
        return Answer(encode({"products": rows, "num_products": len(rows)}))

    def refused(self, status: int) -> bytes:
        return encode({"error": "rate_limit", "message": "too many requests"})


def _time(ms: int) -> str:
    """`2026-08-09T21:05:48.228Z`."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def _error(message: str) -> bytes:
    return encode({"type": "error", "message": message})


def _product(name: str, increment: str, price: str) -> dict[str, Any]:
    base, _, quote = name.partition("-")
    return {
        "product_id": name, "price": price, "base_increment": "0.00000001",
        "quote_increment": increment, "quote_min_size": "1", "quote_max_size": "150000000",
        "base_min_size": "0.00000001", "base_max_size": "3400", "base_name": base,
        "quote_name": quote, "watched": False, "is_disabled": False, "new": False,
        "status": "online", "cancel_only": False, "limit_only": False, "post_only": False,
        "trading_disabled": False, "auction_mode": False, "product_type": "SPOT",
        "quote_currency_id": quote, "base_currency_id": base, "alias": "", "alias_to": [],
        "base_display_symbol": base, "quote_display_symbol": quote, "view_only": False,
        "price_increment": increment, "display_name": name, "product_venue": "CBE",
    }  # fmt: skip


VENUE = Coinbase
