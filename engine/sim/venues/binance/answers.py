"""REST answers of Binance USD-M futures, from the truth of the simulated market."""

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from engine.clock import NS
from engine.sim.market.market import SimulatedMarket
from engine.sim.venues.binance.frames import Frames, Wire, rows_text
from engine.sim.venues.http import Answer

INTERVALS = {"1m": 60, "1h": 3600}
MOST_ROWS = 1500
DEPTHS = (5, 10, 20, 50, 100, 500, 1000)
Query = dict[str, str]


class Refused(Exception):
    """A request the venue refuses: its code and message."""


class Answers:
    """Answers GET requests by path; what a request lacks is refused as the venue does.

    `unlisted`: symbols that the catalogue leaves out.
    """

    def __init__(self, market: SimulatedMarket, frames: Frames,
                 unlisted: Collection[str] = ()) -> None:  # fmt: skip
        self._market, self._frames, self._unlisted = market, frames, unlisted
        self._place = {wire.name: place for place, wire in enumerate(frames.wires)}
        self._paths: dict[str, Callable[[Query], Any]] = {
            "/fapi/v1/exchangeInfo": self._catalogue,
            "/fapi/v1/fundingInfo": self._funding_info,
            "/fapi/v1/premiumIndex": self._premium,
            "/fapi/v1/depth": self._depth,
            "/fapi/v1/klines": self._klines,
            "/fapi/v1/openInterest": self._interest,
            "/fapi/v1/time": lambda _: {"serverTime": self._ms},
            "/fapi/v1/ping": lambda _: {},
        }

    def answer(self, path: str, query: Query) -> Answer:
        """The answer to one request."""
        handle = self._paths.get(path)
        if handle is None:
            return _refusal(-5000, f"Path {path}, Method GET is invalid", 404)
        try:
            body = handle(query)
        except Refused as refused:
            return _refusal(*refused.args)
        except ValueError:
            return _refusal(-1102, "A mandatory parameter was not sent or is malformed.")
        return Answer(body if isinstance(body, bytes) else msgspec.json.encode(body))

    @property
    def _ms(self) -> int:
        return self._market.now // 1_000_000

    def _wire(self, query: Query) -> tuple[int, Wire]:
        place = self._place.get(query.get("symbol", ""))
        if place is None:
            raise Refused(-1121, "Invalid symbol.")
        return place, self._frames.wires[place]

    def _catalogue(self, query: Query) -> dict[str, Any]:
        listed = [wire for wire in self._frames.wires if wire.listing.id not in self._unlisted]
        limits = [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
             "limit": 2400},
        ]  # fmt: skip
        return {
            "timezone": "UTC",
            "serverTime": self._ms,
            "futuresType": "U_MARGINED",
            "rateLimits": limits,
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [_contract(wire) for wire in listed],
        }

    def _funding_info(self, query: Query) -> list[Any]:
        """Contracts whose interval is not the usual 8 h: none here."""
        return []

    def _premium(self, query: Query) -> Any:
        if "symbol" in query:
            return self._premium_row(*self._wire(query))
        return [self._premium_row(place, wire) for place, wire in enumerate(self._frames.wires)]

    def _premium_row(self, place: int, wire: Wire) -> dict[str, Any]:
        mark = self._market.mark
        return {
            "symbol": wire.name,
            "markPrice": wire.mark_text(mark.mark[place]),
            "indexPrice": wire.mark_text(mark.index[place]),
            "estimatedSettlePrice": wire.mark_text(mark.index[place]),
            "lastFundingRate": f"{mark.rate[place]:.8f}",
            "interestRate": "0.00010000",
            "nextFundingTime": mark.next * 1000,
            "time": self._ms,
        }

    def _depth(self, query: Query) -> bytes:
        place, wire = self._wire(query)
        limit = int(query.get("limit", "500"))
        if limit not in DEPTHS:
            raise Refused(-4021, f"{limit} is not valid depth limit.")
        book = self._market.books[place]
        bids = dict(sorted(book.bids.items(), reverse=True)[:limit])
        asks = dict(sorted(book.asks.items())[:limit])
        return (
            f'{{"lastUpdateId":{book.seq},"E":{self._ms},"T":{self._ms - 1},'
            f'"bids":[{wire.levels(bids, True)}],"asks":[{wire.levels(asks, False)}]}}'
        ).encode()

    def _klines(self, query: Query) -> bytes:
        """Candles that open in [startTime, endTime], the forming one included."""
        place, wire = self._wire(query)
        seconds = INTERVALS.get(query.get("interval", ""))
        if seconds is None:
            raise Refused(-1120, "Invalid interval.")
        limit = int(query.get("limit", "500"))
        if not 1 <= limit <= MOST_ROWS:
            raise Refused(-1130, "Data sent for parameter 'limit' is not valid.")
        now = self._market.now // NS
        last = min(int(query.get("endTime", self._ms)) // 1000, now)
        start = query.get("startTime")
        first = -(-int(start) // 1000) if start else last - limit * seconds + 1
        last = min(last, first + limit * seconds - 1)
        begin, rows = self._market.bars.select(place, seconds, first, last)
        return rows_text(wire, begin, seconds, rows[:limit])

    def _interest(self, query: Query) -> dict[str, Any]:
        place, wire = self._wire(query)
        steps = int(self._market.positions.interest[place])
        return {"symbol": wire.name, "openInterest": wire.listing.size_text(steps),
                "time": self._ms}  # fmt: skip


def _refusal(code: int, message: str, status: int = 400) -> Answer:
    return Answer(msgspec.json.encode({"code": code, "msg": message}), status)


def _contract(wire: Wire) -> dict[str, Any]:
    listing = wire.listing
    base = wire.name.removesuffix("USDT")
    return {
        "symbol": wire.name,
        "pair": wire.name,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": listing.decimals,
        "quantityPrecision": listing.step_decimals,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.010000",
        "marketTakeBound": "0.30",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": listing.price_text(1),
             "minPrice": listing.price_text(1),
             "maxPrice": listing.price_text(100 * listing.ticks)},
            {"filterType": "LOT_SIZE", "stepSize": listing.size_text(1),
             "minQty": listing.size_text(1), "maxQty": listing.size_text(10**9)},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "maxMoveOrderLimit": 10000,
        "permissionSets": ["GRID", "COPY"],
    }  # fmt: skip
