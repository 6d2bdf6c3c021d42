"""Binance's positioning data on the loopback: open interest, ratios and funding, with history.

Open interest is that of the simulated positions. The ratios are slow waves on which accounts lean
against the price of the last hours and large positions with it: they lag price and foretell none
of it, so that a martingale stays one.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np

from engine.clock import NS
from engine.instruments import LOTS
from engine.sim.market.chance import Array
from engine.sim.market.market import SimulatedMarket, Tick
from engine.sim.market.past import CLOSE
from engine.sim.market.positioning import Measure, Positioning
from engine.sim.market.shadow import Character, Reference, Shadow
from engine.sim.venues.base import REFERENCE, Venue, moments
from engine.sim.venues.binance.answers import Answers
from engine.sim.venues.binance.frames import Frames, Wire
from engine.sim.venues.faults import Message
from engine.sim.venues.http import Answer

DATA = "/futures/data/"
PERIODS_S = {"5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14400,
             "6h": 21600, "12h": 43200, "1d": 86400}  # fmt: skip
KEPT_S = 30 * 86400
MOST_ROWS, USUAL_ROWS = 500, 30
MOST_FUNDINGS, USUAL_FUNDINGS = 1000, 100
LEANING_HOURS = 8
# Change of a log ratio per log return of those hours.
LEANS: dict[Measure, float] = {"global_accounts": -3.0, "top_accounts": -1.5, "top_positions": 1.0}
RATIOS: dict[str, Measure] = {
    "topLongShortAccountRatio": "top_accounts",
    "topLongShortPositionRatio": "top_positions",
    "globalLongShortAccountRatio": "global_accounts",
}
encode = msgspec.json.encode
Query = dict[str, str]


class Own(Shadow):
    """The reference's own terms where a shadow's are asked for: the same places, the whole share.

    It has no books and no tape of its own.
    """

    def __init__(self, reference: Reference) -> None:
        market = reference.market
        self.venue, self.reference = REFERENCE, reference
        self.character = Character(lag=0.0, share=1.0, interest=1.0)
        self.places = np.arange(len(market.symbols))
        self.units = np.array([x.step * LOTS[REFERENCE].get(x.id, 1) for x in market.listings])
        self.follow()

    def follow(self) -> None:
        """Take over the market's open interest and funding of this second."""
        market = self.reference.market
        self.interest = market.positions.interest * self.units
        self.rate = market.mark.rate


class BinancePositioning(Venue):
    """The REST side of Binance that tells of positions; `shadow` is the truth of its history."""

    URLS: ClassVar = {"rest": "http:"}

    def __init__(self, *what: Any, **named: Any) -> None:
        super().__init__(*what, **named)
        self.shadow = Own(self.reference)
        self.positioning = Positioning(self.shadow)
        frames = Frames(self.market.listings)
        self._answers = Answers(self.market, frames, self.unlisted)
        self._wires: dict[str, tuple[int, Wire]] = {
            wire.name: (place, wire) for place, wire in enumerate(frames.wires)
        }
        self._paths: dict[str, Callable[[Query], Any]] = {
            "/fapi/v1/fundingRate": self._fundings,
            f"{DATA}openInterestHist": self._interest,
            f"{DATA}takerlongshortRatio": self._flow,
        }
        self._paths |= {DATA + name: self._ratio_of(RATIOS[name]) for name in RATIOS}

    def frames(self, tick: Tick) -> Sequence[Message]:
        if tick.mark is not None:
            self.shadow.follow()
            self.positioning.note(tick.ts // NS)
        return ()

    def answer(self, path: str, query: Query, body: bytes | None) -> Answer:
        handle = self._paths.get(path)
        if handle is None:
            return self._answers.answer(path, query)
        if query.get("symbol") not in self._wires:
            return _refusal(-1121, "Invalid symbol.")
        try:
            return Answer(encode(handle(query)))
        except (KeyError, ValueError):
            return _refusal(-1130, "Data sent for a parameter is not valid.")

    def refused(self, status: int) -> bytes:
        return encode({"code": -1003, "msg": "Too many requests."})

    def ratio(self, measure: Measure, place: int, times: Array) -> Array:
        """(times,) long over short as published at times in s UTC."""
        lean = LEANS[measure] * self._moves(place, times)
        out: Array = self.positioning.ratio(measure, place, times) * np.exp(lean)
        return out

    def _moves(self, place: int, times: Array) -> Array:
        """(times,) log returns of the whole hours before."""
        ends = times // 3600 * 3600
        back = LEANING_HOURS * 3600
        now, then = (_closes(self.market, place, x, 3600) for x in (ends, ends - back))
        out: Array = np.log(now / then)
        return out

    # -- answers ---------------------------------------------------------------------------

    def _times(self, query: Query) -> Array:
        """Ends of the periods that are asked for and kept, in s UTC; raises for a bad request."""
        period = PERIODS_S[query["period"]]
        count = _count(query, USUAL_ROWS, MOST_ROWS)
        now = self.market.now // NS
        last = min(int(query.get("endTime", now * 1000)) // 1000, now)
        first = max(-(-int(query.get("startTime", "0")) // 1000), now - KEPT_S)
        return moments(period, last, first, count)

    def _interest(self, query: Query) -> list[Any]:
        place, wire = self._wires[query["symbol"]]
        times = self._times(query)
        lot = LOTS[REFERENCE].get(wire.listing.id, 1)
        held = self.positioning.interest(place, times) / lot
        unit = 60 if PERIODS_S[query["period"]] < 3600 else 3600
        worth = held * _closes(self.market, place, times, unit) * wire.listing.tick
        return [
            {"symbol": wire.name, "sumOpenInterest": f"{size:.8f}",
             "sumOpenInterestValue": f"{usd:.8f}", "timestamp": int(time) * 1000}
            for time, size, usd in zip(times, held, worth, strict=True)
        ]  # fmt: skip

    def _ratio_of(self, measure: Measure) -> Callable[[Query], list[Any]]:
        def rows(query: Query) -> list[Any]:
            place, wire = self._wires[query["symbol"]]
            times = self._times(query)
            return [
                {"symbol": wire.name, "longAccount": f"{ratio / (1 + ratio):.4f}",
                 "longShortRatio": f"{ratio:.4f}", "shortAccount": f"{1 / (1 + ratio):.4f}",
                 "timestamp": int(time) * 1000}
                for time, ratio in zip(times, self.ratio(measure, place, times), strict=True)
            ]  # fmt: skip

        return rows

    def _flow(self, query: Query) -> list[Any]:
        """Taker volume of the period up to each time, in contracts."""
        place, wire = self._wires[query["symbol"]]
        period, times = PERIODS_S[query["period"]], self._times(query)
        if not len(times):
            return []
        bought, sold = self.positioning.flow(place, times - period, period)
        lot = LOTS[REFERENCE].get(wire.listing.id, 1)
        return [
            {"buySellRatio": f"{buy / sell:.4f}", "buyVol": f"{buy / lot:.4f}",
             "sellVol": f"{sell / lot:.4f}", "timestamp": int(time) * 1000}
            for time, buy, sell in zip(times, bought, sold, strict=True)
            if sell > 0
        ]  # fmt: skip

    def _fundings(self, query: Query) -> list[Any]:
        place, wire = self._wires[query["symbol"]]
        count = _count(query, USUAL_FUNDINGS, MOST_FUNDINGS)
        now = self.market.now // NS
        last = min(int(query.get("endTime", now * 1000)) // 1000, now)
        times, rates = self.positioning.settlements(place, last, count)
        prices = _closes(self.market, place, times, 3600) * wire.listing.tick
        first = int(query.get("startTime", "0")) / 1000
        return [
            {"symbol": wire.name, "fundingTime": int(time) * 1000, "fundingRate": f"{rate:.8f}",
             "markPrice": f"{price:.8f}"}
            for time, rate, price in zip(times, rates, prices, strict=True)
            if time >= first
        ]  # fmt: skip


def _closes(market: SimulatedMarket, place: int, times: Array, unit: int) -> Array:
    """(times,) last prices in ticks before times that are multiples of `unit` s.

    Before the history begins it is as at its beginning.
    """
    if not len(times):
        return np.empty(0)
    begin, rows = market.bars.select(place, unit, int(times.min()) - unit, int(times.max()) - unit)
    at = ((times - unit - begin) // unit).astype(int)
    out: Array = rows[np.clip(at, 0, len(rows) - 1), CLOSE].astype(float)
    return out


def _count(query: Query, usual: int, most: int) -> int:
    count = int(query.get("limit", usual))
    if not 1 <= count <= most:
        raise ValueError("limit")
    return count


def _refusal(code: int, message: str) -> Answer:
    return Answer(encode({"code": code, "msg": message}), 400)


VENUE = BinancePositioning
