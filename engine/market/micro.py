"""What the reference venue's tape tells beyond sums: runs, sweeps, prices paid, hidden size.

Trades are noted as they come, each with the quote that stood then, and worked off once a second.
A second is one of receipt here (bars go by exchange time), so a trade's share does not depend on
when within it somebody looks.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.events import Quote, Trade
from engine.market.fields import LIVE_AT, TRADED
from engine.market.listed import Listed
from engine.market.rings import to_quanta
from engine.market.tape import SizeClasses
from engine.market.view import Array

Index = NDArray[np.int64]
Flags = NDArray[np.bool_]
Arrival = tuple[Trade, Quote | None]

SWEEP_NS = NS // 10
QUOTE_STANDS_NS = 10 * NS


def _rows(names: str) -> list[int]:
    return [LIVE_AT[name] for name in names.split()]


HUGE, PAID = _rows("huge_buy huge_sell"), _rows("paid_buy paid_sell")
RUNS, SWEPT = _rows("up_runs down_runs"), _rows("sweep_buy sweep_sell")
# Takers that buy hit the asks.
HIDDEN = _rows("ask_hidden bid_hidden")


class Course:
    """Where one symbol's tape stands: its run of ticks, and the fills that may be one taker's.

    A run is broken by a tick the other way, not by a trade at the same price. Fills belong
    together while they are on one side, none of the other between them, within 100 ms of the
    first; they are a sweep once two of their prices differ.
    """

    __slots__ = ("buying", "held", "level", "price", "run", "since", "swept", "up")

    def __init__(self) -> None:
        self.price = 0.0
        self.up = True
        self.run = 0
        self.buying: bool | None = None
        self.since = 0
        self.level = 0.0
        self.held = 0.0
        self.swept = False

    def tick(self, price: float) -> int:
        """The run's length, signed with the tick; 0 where the price stayed or is the first."""
        last, self.price = self.price, price
        if price == last or not last:
            return 0
        up = price > last
        self.run = self.run + 1 if up is self.up else 1
        self.up = up
        return self.run if up else -self.run

    def fill(self, buy: bool, price: float, ts: int, notional: float) -> float:
        """Notional that is known to be part of a sweep now."""
        if buy is not self.buying or abs(ts - self.since) > SWEEP_NS:
            self.buying, self.since, self.level, self.held = buy, ts, price, notional
            self.swept = False
            return 0.0
        if self.swept:
            return notional
        if price == self.level:
            self.held += notional
            return 0.0
        self.swept = True
        return self.held + notional


class Micro:
    """Works off the trades left in `waiting`, once a second."""

    def __init__(self, places: dict[str, int], sizes: SizeClasses) -> None:
        self.waiting: list[Arrival] = []
        self._places = places
        self._sizes = sizes
        self._courses = [Course() for _ in places]
        self._touch: dict[int, Quote | None] = {}

    def second(self, out: Array, listings: Iterable[Listed], ran: Flags) -> "Prints":
        """Add the second's amounts to `out` (fields, symbols); what was traded in it.

        `ran`: symbols whose tape ran through all of it. For the others runs and sweeps begin
        anew: what happened in between is not known.
        """
        for place in np.flatnonzero(~ran).tolist():
            self._courses[place] = Course()
        touch = {x.index: x.quote for x in listings}
        prints = Prints(self.waiting, self._places)
        if len(prints):
            self._walk(out, prints)
            _add(out, HUGE, prints, prints.notional
                 * (prints.notional >= self._sizes.huge[prints.symbol]))  # fmt: skip
            _add(out, PAID, prints, _paid(prints))
            self._hidden(out, prints, touch)
        self.waiting.clear()
        self._touch = touch
        return prints

    def _walk(self, out: Array, prints: "Prints") -> None:
        """Runs and sweeps, trade by trade."""
        courses = self._courses
        runs, swept = [], []
        for s, buy, price, ts, notional in zip(
            prints.symbol.tolist(), prints.buy.tolist(), prints.price.tolist(),
            prints.ts, prints.notional.tolist(), strict=True,
        ):  # fmt: skip
            course = courses[s]
            runs.append(course.tick(price))
            swept.append(course.fill(buy, price, ts, notional))
        _add(out, SWEPT, prints, np.array(swept))
        run, count = np.array(runs, dtype=float), out.shape[1]
        out[RUNS[0]] += np.bincount(prints.symbol, np.maximum(run, 0.0), count)
        out[RUNS[1]] += np.bincount(prints.symbol, np.maximum(-run, 0.0), count)

    def _hidden(self, out: Array, prints: "Prints", touch: dict[int, Quote | None]) -> None:
        """Traded at a price, less what the display there lost from its first trade to the end.

        Displayed is the most that the quote at the first trade and that of the second's begin
        show, for a quote may be ahead of the trade that changed it; left is what the last quote
        shows. A price that no quote shows is not judged. A lower bound: a level that came back
        behind the touch counts as gone.
        """
        sums: dict[tuple[int, bool, float], list[float]] = {}
        for s, buy, (trade, quote) in zip(
            prints.symbol.tolist(), prints.buy.tolist(), prints.arrivals, strict=True
        ):
            found = sums.get((s, buy, trade.price))
            if found is not None:
                found[0] += trade.size
                continue
            shown = max(_shown(quote, buy, trade.price),
                        _shown(self._touch.get(s), buy, trade.price))  # fmt: skip
            if shown > 0:
                sums[s, buy, trade.price] = [trade.size, shown]
        for (s, buy, price), (traded, shown) in sums.items():
            last = touch.get(s)
            if last is not None:
                lost = max(shown - _shown(last, buy, price), 0.0)
                out[HIDDEN[not buy], s] += max(traded - lost, 0.0) * price


class Prints:
    """One second's sound trades as arrays, in order of arrival, with the quotes they met."""

    __slots__ = ("arrivals", "buy", "notional", "price", "symbol", "ts")

    def __init__(self, arrivals: list[Arrival], places: dict[str, int]) -> None:
        price = np.array([t.price for t, _ in arrivals], dtype=float)
        size = np.array([t.size for t, _ in arrivals], dtype=float)
        sound = np.isfinite(price) & np.isfinite(size) & (price > 0) & (size > 0)
        if sound.all():
            self.arrivals = arrivals.copy()
        else:
            self.arrivals = [x for x, fine in zip(arrivals, sound.tolist(), strict=True) if fine]
            price, size = price[sound], size[sound]
        self.price = price
        self.notional = np.maximum(to_quanta(price * size, TRADED), TRADED)
        self.symbol = np.array([places[t.symbol or ""] for t, _ in self.arrivals], dtype=np.int64)
        self.buy = np.array([t.side == "buy" for t, _ in self.arrivals], dtype=bool)
        self.ts = [t.ts for t, _ in self.arrivals]

    def __len__(self) -> int:
        return len(self.arrivals)


def _add(out: Array, rows: list[int], prints: Prints, values: Array) -> None:
    """Add the buyers' values to the first row, the sellers' to the second, by symbol."""
    count = out.shape[1]
    sides = np.where(prints.buy, prints.symbol, prints.symbol + count)
    out[rows] += np.bincount(sides, values, 2 * count).reshape(2, count)


def _paid(prints: Prints) -> Array:
    """Notional x log distance beyond the mid at arrival, positive for a cost; 0 without a quote.

    Half the effective spread times size, signed by taker: Hasbrouck, Empirical Market
    Microstructure (2007), 2.
    """
    mid = np.array([_mid(trade, quote) for trade, quote in prints.arrivals])
    out: Array = prints.notional * np.log(prints.price / mid) * np.where(prints.buy, 1.0, -1.0)
    return np.nan_to_num(out)


def _mid(trade: Trade, quote: Quote | None) -> float:
    if quote is None or (trade.recv or trade.ts) - (quote.recv or quote.ts) > QUOTE_STANDS_NS:
        return np.nan
    return (quote.bid + quote.ask) / 2 or np.nan


def _shown(quote: Quote | None, buy: bool, price: float) -> float:
    """Size that a quote shows at a price, on the side a taker hits."""
    if quote is None:
        return 0.0
    if buy:
        return quote.ask_size if quote.ask == price else 0.0
    return quote.bid_size if quote.bid == price else 0.0
