"""Gate futures settled in USDT on the loopback: one socket path, statistics and history by REST.

Sizes are contracts, as text, which the venue sends to whom asks for decimals in the handshake.
Any contract is acknowledged, as at the venue; shapes as documented.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from engine.clock import NS
from engine.sim.market.chance import Array
from engine.sim.market.market import Tick
from engine.sim.market.play import Played
from engine.sim.market.shadow import Character, Contract, Reference, contract_of
from engine.sim.market.tape import Print
from engine.sim.venues.base import Replies, ShadowVenue, Turns, moments, side
from engine.sim.venues.faults import Message
from engine.sim.venues.http import Answer
from engine.sim.venues.sockets import Client

# Coins in a contract.
COINS = {
    "BTCUSDT": 0.0001, "ETHUSDT": 0.01, "XRPUSDT": 10.0, "BNBUSDT": 0.001, "ADAUSDT": 10.0,
    "TRXUSDT": 100.0, "LTCUSDT": 0.1, "HYPEUSDT": 0.1, "DOGEUSDT": 10.0, "PEPEUSDT": 1e7,
    "AAVEUSDT": 0.01, "ENAUSDT": 10.0, "FILUSDT": 0.01,
}  # fmt: skip
BOOK, QUOTE, TRADE = "futures.obu", "futures.book_ticker", "futures.trades"
TICKER, STATS, FORCED = "futures.tickers", "futures.contract_stats", "futures.public_liquidates"
CHANNELS = (BOOK, QUOTE, TRADE, TICKER, STATS, FORCED)
LEVELS = 400
STATS_S = 10
INTERVALS_S = {"1m": 60, "5m": 300, "1h": 3600}
MOST_ROWS = 2000
FOLDER = "/api/v4/futures/usdt"
encode = msgspec.json.encode
Query = dict[str, str]


class Command(msgspec.Struct):
    """What a client asks on its socket."""

    channel: str
    event: str = ""
    payload: list[str] = []
    id: int | None = None


class Gate(ShadowVenue):
    """Gate futures in USDT; stream names are `channel:contract`."""

    NAME = "gate"
    CHARACTER = Character(lag=0.5, share=0.25, depth=0.3, interest=0.2, premium=1.6, every=0.5)
    URLS: ClassVar = {"usdt": "ws:/v4/ws/usdt", "rest": "http:/api/v4"}

    def __init__(self, *what: Any, **named: Any) -> None:
        super().__init__(*what, **named)
        self._forced: list[dict[str, Any]] = []
        self._paths: dict[str, Callable[[Query], Any]] = {
            f"{FOLDER}/contracts": self._catalogue,
            f"{FOLDER}/contract_stats": self._stats_page,
            f"{FOLDER}/funding_rate": self._settled,
        }

    def contracts(self, reference: Reference) -> list[Contract]:
        return [
            contract_of(listing, f"{listing.id.removesuffix('USDT')}_USDT",
                        coins=COINS.get(listing.id, 1.0), step_decimals=0,
                        depth=self.CHARACTER.depth)
            for listing in reference.market.listings
        ]  # fmt: skip

    # -- commands --------------------------------------------------------------------------

    def command(self, client: Client, text: bytes) -> Replies:
        try:
            asked = msgspec.json.decode(text, type=Command)
        except msgspec.DecodeError:
            return [self._problem("", "", 1, "invalid argument")]
        if asked.channel == "futures.ping":
            return [encode({**self._sent("futures.pong", ""), "result": None})]
        if asked.channel not in CHANNELS or asked.event not in ("subscribe", "unsubscribe"):
            return [self._problem(asked.channel, asked.event, 2, "unknown channel or event")]
        streams = [f"{asked.channel}:{name}" for name in self._names(asked)]
        if asked.event == "unsubscribe":
            client.streams -= set(streams)
            return [self._ack(asked)]
        if client.streams & set(streams):
            return [self._problem(asked.channel, asked.event, 2, "Alert sub")]
        client.streams |= set(streams)
        return [self._ack(asked), *(frame for s in streams for frame in self._first(s))]

    def _names(self, asked: Command) -> list[str]:
        """The payload's contracts, or book streams, or `!all`."""
        return asked.payload[:1] if asked.channel == STATS else asked.payload

    def _sent(self, channel: str, event: str) -> dict[str, Any]:
        ms = self.ms
        return {"time": ms // 1000, "time_ms": ms, "channel": channel, "event": event}

    def _ack(self, asked: Command) -> bytes:
        more = {"conn_id": "28838ac31473dcbb", "payload": asked.payload}
        head = self._sent(asked.channel, asked.event)
        return encode({**head, **more, "result": {"status": "success"}})

    def _problem(self, channel: str, event: str, code: int, message: str) -> bytes:
        error = {"code": code, "message": message}
        return encode({**self._sent(channel, event), "error": error, "result": None})

    def _first(self, stream: str) -> list[bytes]:
        channel, _, name = stream.partition(":")
        book = channel == BOOK
        place = self.shadow.named(name.removeprefix("ob.").rpartition(".")[0] if book else name)
        if place is None:
            return []
        if book:
            return [self._book(place, True, self.shadow.books[place], self._seq(place))]
        if channel == QUOTE:
            return [self._quote(place)]
        if channel == TICKER:
            return [self._ticker(place)]
        return [self._stats(place)] if channel == STATS else []

    # -- frames ----------------------------------------------------------------------------

    def told(self, tick: Tick, turns: Turns) -> Sequence[Message]:
        out: list[Message] = []
        for place, played in turns:
            out += self._turn(place, played)
            self._forced += self._closed(place, played)
        if tick.mark is not None:
            out += self._second(tick.ts // NS)
        return out

    def _second(self, second: int) -> list[Message]:
        """Tickers, now and then statistics, and all liquidations of the cycle."""
        out: list[Message] = []
        for place, contract in enumerate(self.shadow.contracts):
            out.append((f"{TICKER}:{contract.name}", self._ticker(place)))
            if self.due(second, place, STATS_S * self.every):
                out.append((f"{STATS}:{contract.name}", self._stats(place)))
        if self._forced:
            out.append((f"{FORCED}:!all", self._push(FORCED, self._forced)))
            self._forced = []
        return out

    def _turn(self, place: int, played: Played) -> list[Message]:
        name, out = self.shadow.contracts[place].name, []
        if played.prints:
            out.append((f"{TRADE}:{name}", self._trades(place, played.prints)))
        if played.diff.last > played.diff.previous:
            frame = self._book(place, False, played.diff, played.diff.first)
            out.append((f"{BOOK}:ob.{name}.{LEVELS}", frame))
        if played.touches:
            out.append((f"{QUOTE}:{name}", self._quote(place)))
        return out

    def _push(self, channel: str, result: Any) -> bytes:
        return encode({**self._sent(channel, "update"), "result": result})

    def _seq(self, place: int) -> int:
        return self.shadow.books[place].seq

    def _book(self, place: int, full: bool, book: Any, first: int) -> bytes:
        """A whole book or what changed in one: both have `bids` and `asks`."""
        contract, most = self.shadow.contracts[place], LEVELS if full else None
        row = {
            "t": self.ms,
            **({"full": True} if full else {}),
            "U": first,
            "u": self._seq(place),
            "s": f"ob.{contract.name}.{LEVELS}",
            "b": side(contract, book.bids, True, most),
            "a": side(contract, book.asks, False, most),
        }
        return self._push(BOOK, row)

    def _quote(self, place: int) -> bytes:
        contract, book = self.shadow.contracts[place], self.shadow.books[place]
        bid, bid_size, ask, ask_size = book.touch()
        row = {
            "t": self.ms,
            "u": book.seq,
            "s": contract.name,
            "b": contract.price_text(bid),
            "B": contract.size_text(bid_size),
            "a": contract.price_text(ask),
            "A": contract.size_text(ask_size),
        }
        return self._push(QUOTE, row)

    def _trades(self, place: int, prints: list[Print]) -> bytes:
        """A positive size is a taker's buy."""
        contract = self.shadow.contracts[place]
        rows = [
            {
                "size": ("" if fill.buy else "-") + contract.size_text(fill.size),
                "id": fill.id,
                "create_time": (fill.ms + self.faults.skew_ms) // 1000,
                "create_time_ms": fill.ms + self.faults.skew_ms,
                "price": contract.price_text(fill.price),
                "contract": contract.name,
                "is_internal": False,
            }
            for fill in prints
        ]
        return self._push(TRADE, rows)

    def _closed(self, place: int, played: Played) -> list[dict[str, Any]]:
        """The size has the sign of the position."""
        contract = self.shadow.contracts[place]
        return [
            {
                "price": contract.price_text(one.price),
                "size": ("" if one.long else "-") + contract.size_text(one.size),
                "time": one.ms + self.faults.skew_ms,
                "contract": contract.name,
            }
            for one in played.closed
        ]

    def _ticker(self, place: int) -> bytes:
        shadow, contract = self.shadow, self.shadow.contracts[place]
        more = contract.decimals + 1
        rate = f"{self._rate(place):.8f}"
        row = {
            "contract": contract.name,
            "last": self.last_price(place),
            "funding_rate": rate,
            "funding_rate_indicative": rate,
            "funding_interval": int(self.CHARACTER.hours * 3600),
            "funding_next_apply": shadow.next,
            "mark_price": f"{shadow.mark[place] * contract.tick:.{more}f}",
            "index_price": f"{shadow.index[place] * contract.tick:.{more}f}",
            "total_size": f"{shadow.interest[place] / contract.coins:.4f}",
            "quanto_base_rate": "",
        }
        return self._push(TICKER, [row])

    def _rate(self, place: int) -> float:
        return float(self.shadow.rate[place]) * self.CHARACTER.hours / 8

    def _stats(self, place: int) -> bytes:
        """Positioning of the minute that is open, with the open interest of now."""
        contract, coins = self.shadow.contracts[place], float(self.shadow.interest[place])
        row = self._rows(place, moments(60, self.market.now // NS, None, 1), 300)[0]
        row["open_interest"] = f"{coins / contract.coins:.4f}"
        row["open_interest_usd"] = coins * float(self.shadow.mark[place]) * contract.tick
        return self._push(STATS, {"contract": contract.name, **row})

    # -- REST ------------------------------------------------------------------------------

    def answer(self, path: str, query: Query, body: bytes | None) -> Answer:
        handle = self._paths.get(path)
        if handle is None:
            return Answer(encode({"label": "NOT_FOUND", "message": path}), 404)
        try:
            return Answer(encode(handle(query)))
        except (KeyError, ValueError):
            problem = {"label": "INVALID_PARAM_VALUE", "message": "Invalid request parameter"}
            return Answer(encode(problem), 400)

    def refused(self, status: int) -> bytes:
        return encode({"label": "TOO_MANY_REQUESTS", "message": "Request Rate limit Exceeded"})

    def _asked(self, query: Query) -> int:
        place = self.shadow.named(query["contract"])
        if place is None:
            raise ValueError("no such contract")
        return place

    def _catalogue(self, query: Query) -> list[Any]:
        return [
            {
                **_contract(contract),
                "funding_rate": f"{self._rate(place):.8f}",
                "funding_interval": int(self.CHARACTER.hours * 3600),
                "funding_next_apply": self.shadow.next,
            }
            for place, contract in self.listed
        ]

    def _stats_page(self, query: Query) -> list[Any]:
        place, period = self._asked(query), INTERVALS_S[query.get("interval", "5m")]
        count = min(int(query.get("limit", "30")), MOST_ROWS)
        now = self.market.now // NS
        if (since := query.get("from")) is None:
            return self._rows(place, moments(period, now, None, count), period)
        first = -(-int(since) // period) * period
        last = min(now, first + (count - 1) * period)
        return self._rows(place, moments(period, last, first, count), period)

    def _rows(self, place: int, times: Array, period: int) -> list[dict[str, Any]]:
        """Positioning over intervals that begin at those times; 0 where nobody traded."""
        contract, known = self.shadow.contracts[place], self.positioning
        bought, sold = known.flow(place, times // 300 * 300, max(period, 300))
        mark = float(self.shadow.mark[place]) * contract.tick
        held = known.interest(place, times)
        ratios = [known.ratio(measure, place, times)
                  for measure in ("global_accounts", "top_accounts", "top_positions")]  # fmt: skip
        return [
            {
                "time": int(times[n]),
                "mark_price": mark,
                "lsr_taker": float(bought[n] / sold[n]) if sold[n] else 0,
                "lsr_account": float(ratios[0][n]),
                "long_liq_size": "0",
                "long_liq_amount": 0,
                "long_liq_usd": 0,
                "short_liq_size": "0",
                "short_liq_amount": 0,
                "short_liq_usd": 0,
                "open_interest": f"{held[n] / contract.coins:.4f}",
                "open_interest_usd": float(held[n] * mark),
                "top_lsr_account": float(ratios[1][n]),
                "top_lsr_size": float(ratios[2][n]),
            }
            for n in range(len(times))
        ]

    def _settled(self, query: Query) -> list[Any]:
        count = min(int(query.get("limit", "100")), 1000)
        now = self.market.now // NS
        times, rates = self.positioning.settlements(self._asked(query), now, count)
        pairs = zip(times[::-1], rates[::-1], strict=True)
        return [{"t": int(time), "r": f"{rate:.8f}"} for time, rate in pairs]


def _contract(contract: Contract) -> dict[str, Any]:
    return {
        "name": contract.name, "type": "direct",
        "quanto_multiplier": f"{contract.coins:.8f}".rstrip("0").rstrip("."),
        "ref_discount_rate": "0", "order_price_deviate": "0.5", "maintenance_rate": "0.005",
        "mark_type": "index", "mark_price_round": contract.price_text(1), "funding_offset": 0,
        "in_delisting": False, "risk_limit_base": "1000000", "interest_rate": "0.0003",
        "order_price_round": contract.price_text(1), "order_size_min": 1, "leverage_min": "1",
        "leverage_max": "100", "maker_fee_rate": "-0.00025", "taker_fee_rate": "0.00075",
        "order_size_max": 1000000, "orders_limit": 50, "enable_bonus": True,
        "enable_credit": True, "create_time": 1669688556, "funding_cap_ratio": "0.75",
        "contract_type": "", "status": "trading",
    }  # fmt: skip


VENUE = Gate
