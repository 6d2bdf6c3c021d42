"""What a source shows on the tabs of a symbol, from fixed numbers; conftest.py loads it."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from engine.snapshot import (
    BAR_SPANS,
    DEPTH_BPS,
    MODES,
    Bar,
    Cluster,
    Course,
    Decided,
    Footprint,
    FootprintCell,
    FootprintColumn,
    Level,
    Print,
    Swing,
    Transition,
    VenueBook,
    VenueFlow,
    VenuePosition,
    VenuePrice,
    Wall,
)

NS = 1_000_000_000
DAY_NS = 86_400 * NS
# bybit is stale, coinbase spot, dydx thin, okx out of reach.
VENUES = ("binance", "bitget", "bybit", "coinbase", "dydx", "okx")
OFTEN = (("scalp", 30), ("day", 60), ("swing", 300))
KINDS = ("directional", "flip", "conflict_begins", "deceleration", "exhaustion")
SUBJECTS = (("composite", ""), ("category", "order_flow"), ("card", "card_3"))
COURSES = (("oi", 82e3), ("funding", 4e-5), ("top_accounts", 1.4), ("global_accounts", 2.1))


@dataclass(frozen=True)
class Tabs:
    """Parts of symbol number `n` at `price`; `wave` makes numbers, `ts` (ns) is now."""

    n: int
    price: float
    wave: Callable[..., float]
    ts: int

    def made(self, parts: frozenset[str]) -> dict[str, object]:
        """Fields of a Detail for the parts that are asked for."""
        named = {p.partition(":")[0]: p.partition(":")[2] for p in parts}
        out: dict[str, object] = {}
        if named.get("bars"):
            span, _, end = named["bars"].partition("@")
            out |= {"bars": self.candles(BAR_SPANS[span], int(end) if end else None),
                    "bar_s": BAR_SPANS[span], "oldest": self.ts - 8 * DAY_NS}  # fmt: skip
        if "swings" in named:
            out["swings"] = tuple(
                Swing(b.ts, b.high if k % 2 else b.low, 1 if k % 2 else -1)
                for k, b in enumerate(out["bars"][::9])
            )
        if "levels" in named:
            out |= self.chart()
        if "footprint" in named:
            out["footprint"] = self.footprint(named["footprint"])
        if "cvd" in named:
            out["flows"] = tuple(map(self.flow, range(6)))
            out["tape"] = tuple(map(self.trade, range(90)))
        if "books" in named:
            out["books"] = tuple(map(self.book, range(6)))
            out["walls"] = (Wall("ask", self.price * 1.0008, 3.4e6, 840.0),
                            Wall("bid", self.price * 0.9993, 5.1e6, 12.0))  # fmt: skip
        if "positioning" in named:
            out["positions"] = tuple(self.position(v) for v in range(6) if v != 3)
            out["courses"] = tuple(
                Course(name, self.ts, 1800,
                       tuple(size * (1 + self.wave(self.n, k / 40) / 5) for k in range(48)))
                for name, size in COURSES
            )  # fmt: skip
        if "venues" in named:
            out["venues"] = tuple(map(self.venue, range(6)))
        if "history" in named:
            out["decisions"] = {m: self.decided(*pair) for m, *pair in
                                ((m, k, every) for k, (m, every) in enumerate(OFTEN))}  # fmt: skip
            out["transitions"] = tuple(map(self.turn, range(60)))
        return out

    def candles(self, seconds: int, end: int | None) -> tuple[Bar, ...]:
        """300 bars whose last is open, a dozen of them missing; taker flow and VWAP in all."""
        wave, n, price, length = self.wave, self.n, self.price, seconds * NS
        last, out = (self.ts if end is None else end - 1) // length, []
        for k in range(last - 299, last + 1):
            close, before = (price * (self.course(j) / self.course(last)) for j in (k, k - 1))
            spread = price * 0.0002 * (1 + abs(wave(k)))
            if not 40 <= last - k < 52:
                out.append(
                    Bar(k * length, before, max(before, close) + spread,
                        min(before, close) - spread, close, seconds * 2e3 * (2 + wave(n, k)),
                        seconds * 2e3 * (2 + wave(n, k, 3)), price * (1 + 0.001 * wave(k / 900)),
                        (k + 1) * length <= self.ts)
                )  # fmt: skip
        return tuple(out)

    def course(self, k: int) -> float:
        """A price that wanders."""
        sizes = ((0.004, 2900.0), (0.0015, 700.0), (0.0007, 130.0), (0.0002, 37.0))
        return 1.0 + sum(size * self.wave(self.n, k / length) for size, length in sizes)

    def chart(self) -> dict[str, object]:
        """Value area and liquidation map."""
        levels = (("poc", 1.001), ("val", 0.997), ("vah", 1.004))
        return {
            "levels": tuple(Level(kind, self.price * at, 24.0) for kind, at in levels),
            "clusters": tuple(
                Cluster(self.price * (1 + k / 1e3), self.price * (1 + (k + 1) / 1e3),
                        4e6 * abs(self.wave(self.n, k)), "short" if k > 0 else "long")
                for k in range(-60, 60) if k % 3
            ),
        }  # fmt: skip

    def footprint(self, window: str) -> Footprint:
        columns = []
        for c in range(10):
            cells = tuple(
                FootprintCell(9000 - k, 2e5 * abs(self.wave(c, k)), 1e5 * abs(self.wave(k, c, 2)),
                              (k + c) % 7 // 6 - (k + c) % 9 // 8)
                for k in range(c % 5, 14)
            )  # fmt: skip
            columns.append(FootprintColumn(self.ts - (9 - c) * 30 * NS, cells))
        return Footprint(window, math.log(self.price) / 8993.5, 30.0, tuple(columns))

    def heard(self, v: int) -> int:
        return self.ts - (400 if VENUES[v] == "bybit" else v) * NS

    def flow(self, v: int) -> VenueFlow:
        thin, wave = VENUES[v] == "dydx", self.wave
        buy, sell = (
            {w: None if thin and w == "1d" else s * 4e4 * (2 + wave(self.n, v, s + side))
             for w, s in (("1m", 1), ("5m", 5), ("1h", 60), ("4h", 240), ("1d", 1440))}
            for side in (0, 1)
        )  # fmt: skip
        course = tuple(
            None if thin and k < 30 else 4e6 * wave(self.n, v, k / 700) for k in range(61)
        )
        return VenueFlow(VENUES[v], v == 3, self.heard(v), buy, sell, course, not thin)

    def trade(self, k: int) -> Print:
        at, rank = self.price * (1 + self.wave(k) / 1e4), (k % 11 == 0) + (k % 22 == 0)
        size = 3e4 * (1 + self.wave(self.n, k)) ** 2 / self.price
        side = "buy" if k % 3 else "sell"
        return Print(self.ts - (90 - k) * NS // 4, at, size, side, VENUES[k % 6], rank)

    def book(self, v: int) -> VenueBook:
        price, whole, reach = self.price * (1 + self.wave(v) / 1e4), v != 5, 5 if v == 4 else 10
        bids, asks = (
            tuple(4e5 * (1.1 + self.wave(v + 1, k + side)) if whole and k < reach else None
                  for k in range(len(DEPTH_BPS)))
            for side in (0, 20)
        )  # fmt: skip
        return VenueBook(VENUES[v], v == 3, whole, self.heard(v), price * 0.99999,
                         price * 1.00001, bids, asks)  # fmt: skip

    def position(self, v: int) -> VenuePosition:
        wave, n = self.wave, self.n
        rate, hours = 1e-4 * (0.5 + wave(n, v)), 1.0 if VENUES[v] == "dydx" else 8.0
        told = VENUES[v] != "dydx"
        return VenuePosition(
            venue=VENUES[v], interest=2e9 * (1.2 + wave(n, v, 1)), change_1h=3 * wave(n, v, 2),
            change_24h=None if v == 1 else 9 * wave(n, v, 3), interest_ts=self.heard(v) - 7 * NS,
            rate=rate / 8 * hours, rate_8h=rate, interval_h=hours,
            next_ts=self.ts + (3 + v) * 1000 * NS, funding_ts=self.heard(v),
            long_liquidated=2e5 * abs(wave(n, v)) if told else None,
            short_liquidated=0.0 if told else None, liquidations_since=self.ts - DAY_NS,
        )  # fmt: skip

    def venue(self, v: int) -> VenuePrice:
        away = None if v in (0, 5) else 4 * self.wave(self.n, v)
        price = None if v == 5 else self.price * (1 + (away or 0.0) / 1e4)
        return VenuePrice(
            venue=VENUES[v], spot=v == 3, reference=v == 0, price=price, premium=away,
            premium_mean=None if away is None else away * 0.7,
            lead=None if away is None else abs(self.wave(v, self.n)),
            funding=None if v == 3 else 1e-4 * self.wave(self.n, v), trade_ts=self.heard(v),
            quote_ts=None if v == 4 else self.heard(v), book_ts=self.heard(v),
        )  # fmt: skip

    def decided(self, mode: int, every: int) -> tuple[Decided, ...]:
        return tuple(
            Decided(self.ts - (160 - k) * every * NS,
                    round(55 * self.wave(self.n, mode, k / 900), 2),
                    40 + 30 * self.wave(self.n, k / 500), None)
            for k in range(160)
        )  # fmt: skip

    def turn(self, k: int) -> Transition:
        subject, id = SUBJECTS[k % 5 % 3]
        size = 45.0 if subject == "composite" else 0.8
        return Transition(
            self.ts - k * 700 * NS, MODES[k % 3], "", subject, id, KINDS[k % 5],
            (1, -1, 0)[k % 4 % 3], self.price * (1 - k / 9e3), size * self.wave(k),
            size * self.wave(k, 2), 0.7, 0.4, 50.0,
        )  # fmt: skip
