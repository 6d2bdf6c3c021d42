"""Deribit on the loopback: JSON-RPC, inverse and linear perpetuals, an option chain, DVOL.

Shapes as documented. As at the venue a channel it does not know is left out of the confirmation,
subscribing once more brings no new book, and who leaves a test request unanswered is cut.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np

from engine.clock import NS
from engine.sim.market.forced import forced_ids
from engine.sim.market.market import Tick
from engine.sim.market.options import YEAR_S, Row, Surface, option_name, option_price
from engine.sim.market.past import CLOSE
from engine.sim.market.play import Played
from engine.sim.market.shadow import Character, Contract, Reference, contract_of
from engine.sim.market.tape import Print
from engine.sim.venues.base import Replies, ShadowVenue, Turns
from engine.sim.venues.faults import Message
from engine.sim.venues.http import Answer
from engine.sim.venues.sockets import Client

INVERSE = {"BTCUSDT": 10.0, "ETHUSDT": 1.0}  # USD in a contract
LINEAR = frozenset(f"{coin}USDT" for coin in ("SOL", "XRP", "ADA", "AVAX", "BNB", "DOGE", "DOT",
                                              "LINK", "LTC", "NEAR", "TRX"))  # fmt: skip
CURRENCIES = ("BTC", "ETH")
BOOK, TRADES, TICKER = "book", "trades", "ticker"
BEAT = "heartbeat"
ANSWER_S = 10
MOST_ROWS = 744
HOUR_MS = 3_600_000
encode = msgspec.json.encode
Query = dict[str, str]


class Call(msgspec.Struct):
    """What a client asks on its socket."""

    method: str
    id: int | str | None = None
    params: dict[str, Any] = {}


class Deribit(ShadowVenue):
    """Deribit; stream names are its channels. `surfaces`: the options by currency."""

    NAME = "deribit"
    CHARACTER = Character(lag=0.3, share=0.12, depth=0.3, interest=0.15, premium=1.0, every=0.5,
                          hours=1.0)  # fmt: skip
    URLS: ClassVar = {"ws": "ws:/ws/api/v2", "rest": "http:/api/v2"}

    def __init__(self, *what: Any, **named: Any) -> None:
        super().__init__(*what, **named)
        self._channels = {
            f"{kind}.{contract.name}.100ms": (kind, place)
            for kind in (BOOK, TRADES, TICKER)
            for place, contract in enumerate(self.shadow.contracts)
        }
        self.surfaces = {
            currency: Surface(currency, self.market.seed, self.market.now // NS, self._spot(at))
            for currency in CURRENCIES
            if (at := self.shadow.place(f"{currency}USDT")) is not None
        }
        self._shown = [self._levels_of(place) for place in range(len(self.shadow.books))]
        self._beats: dict[Client, int] = {}
        self._tested: dict[Client, int] = {}
        self._methods: dict[str, Callable[[Client, dict[str, Any]], Any]] = {
            "public/subscribe": self._subscribe,
            "public/unsubscribe": self._unsubscribe,
            "public/set_heartbeat": self._beat,
            "public/test": self._alive,
        }
        self._paths: dict[str, Callable[[Query], Any]] = {
            "get_instruments": self._catalogue,
            "get_book_summary_by_currency": self._chain,
            "get_volatility_index_data": self._volatility,
            "get_funding_rate_history": self._fundings,
        }

    def contracts(self, reference: Reference) -> list[Contract]:
        depth = self.CHARACTER.depth
        out = []
        for listing in reference.market.listings:
            base = listing.id.removesuffix("USDT")
            if (usd := INVERSE.get(listing.id)) is not None:
                out.append(contract_of(listing, f"{base}-PERPETUAL", coins=usd / listing.price,
                                       step_decimals=0, depth=depth))  # fmt: skip
            elif listing.id in LINEAR:
                out.append(contract_of(listing, f"{base}_USDC-PERPETUAL", depth=depth))
        return out

    # -- calls -----------------------------------------------------------------------------

    def command(self, client: Client, text: bytes) -> Replies:
        try:
            call = msgspec.json.decode(text, type=Call)
        except msgspec.DecodeError:
            return [_error(None, -32700, "Parse error")]
        handle = self._methods.get(call.method)
        if handle is None:
            return [_error(call.id, -32601, "Method not found")]
        fresh: list[bytes] = []
        if call.method == "public/subscribe":
            asked = [c for c in call.params.get("channels", ()) if c not in client.streams]
            fresh = [self._whole(c) for c in asked if self._channels.get(c, ("", 0))[0] == BOOK]
        result = handle(client, call.params)
        return [self._result(result, id=call.id), *fresh]

    def _subscribe(self, client: Client, params: dict[str, Any]) -> list[str]:
        volatility = {_dvol(currency) for currency in self.surfaces}
        known = [c for c in params["channels"] if c in self._channels or c in volatility]
        client.streams.update(known)
        return known

    def _unsubscribe(self, client: Client, params: dict[str, Any]) -> list[str]:
        client.streams.difference_update(params["channels"])
        return list(params["channels"])

    def _beat(self, client: Client, params: dict[str, Any]) -> str:
        self._beats[client] = max(10, int(params["interval"]))
        client.streams.add(f"{BEAT} {self._beats[client]}")
        return "ok"

    def _alive(self, client: Client, params: dict[str, Any]) -> dict[str, str]:
        self._tested.pop(client, None)
        return {"version": "1.2.26"}

    # -- frames ----------------------------------------------------------------------------

    def second(self, now: int) -> None:
        super().second(now)
        for currency, surface in self.surfaces.items():
            at = self.shadow.place(f"{currency}USDT")
            assert at is not None
            surface.step(now, self._spot(at))

    def told(self, tick: Tick, turns: Turns) -> Sequence[Message]:
        out: list[Message] = []
        for place, played in turns:
            out += self._turn(place, played)
        if tick.mark is not None:
            for place in range(len(self.shadow.contracts)):
                out.append(self._ticker(place))
            for currency, surface in self.surfaces.items():
                out.append(self._index(currency, surface))
            out += self._heartbeats(tick.ts // NS)
        return out

    def _turn(self, place: int, played: Played) -> list[Message]:
        out = []
        if played.prints:
            out.append(self._trades(place, played))
        if played.diff.last > played.diff.previous:
            out.append(self._change(place, played))
        if played.touches:
            out.append(self._ticker(place))
        return out

    def _said(self, channel: str, data: Any) -> Message:
        params = {"channel": channel, "data": data}
        return channel, encode({"jsonrpc": "2.0", "method": "subscription", "params": params})

    def _whole(self, channel: str) -> bytes:
        place = self._channels[channel][1]
        book = self.shadow.books[place]
        sides = {
            "bids": [("new", *self._level(place, p, n)) for p, n in _ordered(book.bids, True)],
            "asks": [("new", *self._level(place, p, n)) for p, n in _ordered(book.asks, False)],
        }
        data = {"type": "snapshot", **self._stamped(place), "change_id": book.seq, **sides}
        return self._said(channel, data)[1]

    def _change(self, place: int, played: Played) -> Message:
        diff, sides = played.diff, {}
        after = self._levels_of(place)
        for side, changes, shown, there in zip(
            ("bids", "asks"), (diff.bids, diff.asks), self._shown[place], after, strict=True
        ):
            sides[side] = [
                (_action(price, shown, there), *self._level(place, price, size))
                for price, size in changes.items()
                if size or price in shown
            ]
        self._shown[place] = after
        ids = {"change_id": diff.last, "prev_change_id": diff.previous}
        data = {"type": "change", **self._stamped(place), **ids, **sides}
        return self._said(f"{BOOK}.{self.shadow.contracts[place].name}.100ms", data)

    def _levels_of(self, place: int) -> tuple[set[int], set[int]]:
        book = self.shadow.books[place]
        return set(book.bids), set(book.asks)

    def _stamped(self, place: int) -> dict[str, Any]:
        return {"timestamp": self.ms - 1, "instrument_name": self.shadow.contracts[place].name}

    def _price(self, place: int, ticks: float) -> float:
        contract = self.shadow.contracts[place]
        return round(float(ticks) * contract.tick, contract.decimals + 2)

    def _amount(self, place: int, steps: int) -> float:
        """USD of an inverse contract, coins of a linear one."""
        contract = self.shadow.contracts[place]
        usd = INVERSE.get(contract.id)
        return round(steps * contract.step, contract.step_decimals) * (usd or 1.0)

    def _level(self, place: int, price: int, steps: int) -> tuple[float, float]:
        return self._price(place, price), self._amount(place, steps)

    def _trades(self, place: int, played: Played) -> Message:
        forced = forced_ids(played.prints, played.closed)
        rows = [self._print(place, fill, fill.id in forced) for fill in played.prints]
        return self._said(f"{TRADES}.{self.shadow.contracts[place].name}.100ms", rows)

    def _print(self, place: int, fill: Print, forced: bool) -> dict[str, Any]:
        contract, amount = self.shadow.contracts[place], self._amount(place, fill.size)
        usd = INVERSE.get(contract.id)
        row = {
            "trade_seq": fill.id,
            "trade_id": str(fill.id) if usd else f"USDC-{fill.id}",
            "timestamp": fill.ms + self.faults.skew_ms,
            "tick_direction": 0 if fill.buy else 2,
            "price": self._price(place, fill.price),
            "mark_price": self._price(place, self.shadow.mark[place]),
            "index_price": self._price(place, self.shadow.index[place]),
            "instrument_name": contract.name,
            "direction": "buy" if fill.buy else "sell",
            "amount": amount,
            "contracts": amount / usd if usd else float(fill.size),
        }
        return {**row, "liquidation": "T"} if forced else row

    def _ticker(self, place: int) -> Message:
        shadow, contract = self.shadow, self.shadow.contracts[place]
        bid, bid_size, ask, ask_size = shadow.books[place].touch()
        mark = self._price(place, shadow.mark[place])
        held = float(shadow.interest[place])
        rate = round(float(shadow.rate[place]), 8)
        data = {
            "timestamp": self.ms, "state": "open", "stats": {},
            "settlement_price": mark, "open_interest": round(held * mark, 1)
            if contract.id in INVERSE else round(held, 4),
            "min_price": round(mark * 0.985, contract.decimals),
            "max_price": round(mark * 1.015, contract.decimals),
            "mark_price": mark, "last_price": self._price(place, shadow.last[place]),
            "interest_value": rate, "instrument_name": contract.name,
            "index_price": self._price(place, shadow.index[place]),
            "funding_8h": rate, "current_funding": rate,
            "estimated_delivery_price": self._price(place, shadow.index[place]),
            "best_bid_price": self._price(place, bid),
            "best_bid_amount": self._amount(place, bid_size),
            "best_ask_price": self._price(place, ask),
            "best_ask_amount": self._amount(place, ask_size),
        }  # fmt: skip
        return self._said(f"{TICKER}.{contract.name}.100ms", data)

    def _index(self, currency: str, surface: Surface) -> Message:
        name = f"{currency.lower()}_usd"
        data = {"volatility": round(surface.index, 4), "timestamp": self.ms, "index_name": name}
        return self._said(_dvol(currency), data)

    def _heartbeats(self, second: int) -> list[Message]:
        """Test requests at each client's own interval; those who did not answer are cut."""
        gone = [c for c in self._beats if c not in self.clients]
        for client in gone:
            del self._beats[client]
            self._tested.pop(client, None)
        due = set()
        for client, every in self._beats.items():
            if second % every == 0:
                due.add(every)
                self._tested.setdefault(client, second)
            elif second - self._tested.get(client, second) > ANSWER_S and not client.silent:
                client.cut()
        frame = encode({"jsonrpc": "2.0", "method": BEAT, "params": {"type": "test_request"}})
        return [(f"{BEAT} {every}", frame) for every in sorted(due)]

    # -- REST ------------------------------------------------------------------------------

    def answer(self, path: str, query: Query, body: bytes | None) -> Answer:
        handle = self._paths.get(path.removeprefix("/api/v2/public/"))
        if handle is None:
            return Answer(_error(None, -32601, "Method not found"), 404)
        try:
            return Answer(self._result(handle(query)))
        except (KeyError, ValueError):
            return Answer(_error(None, -32602, "Invalid params"), 400)

    def refused(self, status: int) -> bytes:
        return _error(None, 10028, "too_many_requests")

    def _result(self, result: Any, **more: Any) -> bytes:
        now = self.ms * 1000
        return encode({"jsonrpc": "2.0", **more, "result": result, "usIn": now - 90, "usOut": now,
                       "usDiff": 90, "testnet": False})  # fmt: skip

    def _catalogue(self, query: Query) -> list[Any]:
        if query["kind"] != "future":
            raise ValueError("another kind")
        return [_instrument(contract) for _, contract in self.listed]

    def _chain(self, query: Query) -> list[msgspec.Raw]:
        if query["kind"] != "option":
            raise ValueError("another kind")
        surface, ms = self.surfaces[query["currency"]], self.ms
        return [msgspec.Raw(_option(surface, row, ms)) for row in surface.chain()]

    def _volatility(self, query: Query) -> dict[str, Any]:
        if query["resolution"] != "3600":
            raise ValueError("another resolution")
        first, last = (int(query[key]) // 1000 for key in ("start_timestamp", "end_timestamp"))
        rows = self.surfaces[query["currency"]].candles(first, last)[-MOST_ROWS:]
        data = [[at * 1000, *(round(value, 4) for value in rest)] for at, *rest in rows]
        return {"data": data, "continuation": None}

    def _fundings(self, query: Query) -> list[Any]:
        place = self.shadow.named(query["instrument_name"])
        if place is None:
            raise KeyError("instrument")
        first, last = int(query["start_timestamp"]), int(query["end_timestamp"])
        end = min(last, self.market.now // 1_000_000) // HOUR_MS
        count = min(max(end - -(-first // HOUR_MS) + 1, 0), MOST_ROWS)
        times, rates = self.positioning.settlements(place, end * 3600, count)
        prices = self._past_prices(place, times)
        return [
            {"timestamp": int(time) * 1000, "index_price": now, "prev_index_price": before,
             "interest_8h": round(float(rate) * 8, 10), "interest_1h": round(float(rate), 10)}
            for time, rate, now, before in zip(times, rates, prices, prices[:1] + prices[:-1],
                                               strict=True)
        ]  # fmt: skip

    def _past_prices(self, place: int, times: np.ndarray) -> list[float]:
        """Last prices before whole hours."""
        if not len(times):
            return []
        at, scale = int(self.shadow.places[place]), float(self.shadow.scale[place])
        begin, rows = self.market.bars.select(at, 3600, int(times[0]) - 3600, int(times[-1]) - 3600)
        where = ((times - 3600 - begin) // 3600).astype(int)
        ticks = rows[np.clip(where, 0, len(rows) - 1), CLOSE] * scale
        return [self._price(place, price) for price in ticks.tolist()]

    def _spot(self, place: int) -> float:
        """The index, USD a coin."""
        return float(self.shadow.index[place]) * self.shadow.contracts[place].tick


def _ordered(levels: Mapping[int, int], descending: bool) -> list[tuple[int, int]]:
    return sorted(levels.items(), reverse=descending)


def _action(price: int, shown: set[int], there: set[int]) -> str:
    if price not in there:
        return "delete"
    return "change" if price in shown else "new"


def _option(surface: Surface, row: Row, ms: int) -> bytes:
    """One option's summary; a chain has hundreds, so that it is written as text."""
    mark = option_price(row, max(row.expiry - surface.now, 60) / YEAR_S)
    name, currency = option_name(surface.currency, row), surface.currency
    return (
        f'{{"instrument_name":"{name}","base_currency":"{currency}",'
        f'"quote_currency":"{currency}","mark_price":{mark:.6f},"mark_iv":{row.iv:.2f},'
        f'"open_interest":{row.interest},"underlying_price":{row.forward:.4f},'
        f'"underlying_index":"{name[: name.index("-", 4)]}",'
        f'"estimated_delivery_price":{surface.price:.2f},"interest_rate":0.0,'
        f'"bid_price":{mark * 0.98:.4f},"ask_price":{mark * 1.02:.4f},"mid_price":{mark:.4f},'
        f'"last":{mark:.4f},"high":null,"low":null,"price_change":null,"volume":0.0,'
        f'"volume_usd":0.0,"creation_timestamp":{ms}}}'
    ).encode()


def _dvol(currency: str) -> str:
    return f"deribit_volatility_index.{currency.lower()}_usd"


def _error(number: int | str | None, code: int, message: str) -> bytes:
    known = {} if number is None else {"id": number}
    return encode({"jsonrpc": "2.0", **known, "error": {"code": code, "message": message}})


def _instrument(contract: Contract) -> dict[str, Any]:
    usd, base = INVERSE.get(contract.id), contract.id.removesuffix("USDT")
    return {
        "kind": "future", "instrument_name": contract.name, "is_active": True, "state": "open",
        "settlement_period": "perpetual", "base_currency": base, "price_index":
        f"{base.lower()}_{'usd' if usd else 'usdc'}", "counter_currency": "USD" if usd else "USDC",
        "quote_currency": "USD" if usd else "USDC", "instrument_type": "reversed" if usd else
        "linear", "settlement_currency": base if usd else "USDC", "contract_size": usd or
        contract.step, "tick_size": contract.tick, "min_trade_amount": usd or contract.step,
        "expiration_timestamp": 32503708800000, "creation_timestamp": 1534167754000,
        "maker_commission": 0.0, "taker_commission": 0.0005, "max_leverage": 50,
        "rfq": False, "instrument_id": sum(contract.name.encode()), "tick_size_steps": [],
    }  # fmt: skip


VENUE = Deribit
