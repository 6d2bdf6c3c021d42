"""The rings of all resolutions together, and the cells that views are made of."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.market.fields import (
    BOOK,
    BY_SIZE,
    FLOW,
    FLOW_AT,
    LIVE,
    LIVE_AT,
    SAMPLED,
    SECONDS,
    TAPE,
    WALLED,
    quanta,
)
from engine.market.rings import Prices, Series, Totals, to_quanta
from engine.market.series import Published
from engine.market.view import BARS, HISTORY, Array, Cells, Window

Index = NDArray[np.int64]

# Cell length in seconds -> cells kept: 10 min (and the 61st window), 6 h, 8 days, 180 days.
KEPT = {1: 640, 10: 2200, 60: 11_580, 3600: 4350}
LIVE_KEPT = {1: 640, 10: 2200, 60: 4400}
# The ring a window's bars come from, and the one its whole windows come from.
BAR_RING = {1: 1, 10: 10, 30: 10, 300: 60, 900: 60, 3600: 60}
SPAN_RING = {10: 1, 60: 10, 300: 10, 3600: 60, 14400: 60, 86400: 60}
# Field -> place in the table of a stretch; the table's order is that of Cells.
AT = {name: place for place, name in enumerate(Cells.__dataclass_fields__)}
OHLC = slice(AT["open"], AT["close"] + 1)
CANDLE = [AT[n] for n in ("open", "high", "low", "close", "vwap", "buy", "sell", "covered")]


def _places(names: Iterable[str]) -> list[tuple[int, int]]:
    """Where fields stand in a view's table and in the live rings."""
    return [(AT[name], LIVE_AT[name]) for name in names]


FLOW_QUANTA, LIVE_QUANTA = quanta(FLOW)[:, None], quanta(LIVE)[:, None]
COUNTS = _places(n for n in TAPE if n not in (*BY_SIZE, *SECONDS))
SIZED = _places(BY_SIZE)
MEANS = _places(SAMPLED)
SUMS = _places(n for n in BOOK if n in AT and n not in SAMPLED and n not in WALLED)
HOUR = 3600.0
# Published series of the reference venue, and the seconds for which a value of each is good.
STANDS = {
    "taker_ratio": 2 * HOUR,
    "top_accounts": 2 * HOUR,
    "top_positions": 2 * HOUR,
    "global_accounts": 2 * HOUR,
    "oi": HOUR,
    "funding": 9 * HOUR,
    "mark": 60.0,
    "index": 60.0,
}


class History:
    """Every ring of every resolution; written by the market, read at an instant."""

    def __init__(self, symbols: int) -> None:
        self.symbols = symbols
        self.flow = {s: Totals(s * NS, n, quanta(FLOW), symbols) for s, n in KEPT.items()}
        self.live = {s: Totals(s * NS, n, quanta(LIVE), symbols) for s, n in LIVE_KEPT.items()}
        self.prices = {s: Prices(s * NS, n, symbols) for s, n in KEPT.items()}
        self.mids = Series(KEPT[1], symbols)
        self.log_anchor = np.full(symbols, np.nan)
        self.series = Published(STANDS, symbols)

    def advance(self, at: int, carried: Array) -> None:
        """Open the cells that contain instant `at`; live symbols start at their last price."""
        for seconds, prices in self.prices.items():
            cell = at // prices.cell_ns
            if cell > prices.head:
                prices.advance(cell, carried)
                self.flow[seconds].advance(cell)
                if seconds in self.live:
                    self.live[seconds].advance(cell)

    def anchor(self, symbols: Index, log_prices: Array) -> None:
        """Fix what a symbol's log prices are counted from, the first time one is known."""
        new = np.isnan(self.log_anchor[symbols])
        if new.any():
            self.log_anchor[symbols[new]] = log_prices[new]

    def add_flow(self, at: int, amounts: Array, instead: dict[int, Array]) -> None:
        """Add flow (fields, symbols) at an instant; `instead`: other amounts for a resolution."""
        rounded = to_quanta(amounts, FLOW_QUANTA)
        for seconds, ring in self.flow.items():
            if seconds in instead:
                ring.add(at // ring.cell_ns, instead[seconds])
            else:
                ring.add_whole(at // ring.cell_ns, rounded)

    def take_flow(self, seconds: int, symbol: int, cell: int, amounts: Array) -> None:
        """Take flow (fields) of one symbol out of a cell again."""
        out = np.zeros((len(FLOW), self.symbols))
        out[:, symbol] = -amounts
        self.flow[seconds].add(cell, out)

    def add_live(self, at: int, amounts: Array) -> None:
        """Add tape and book measures (fields, symbols) at an instant."""
        rounded = to_quanta(amounts, LIVE_QUANTA)
        for ring in self.live.values():
            ring.add_whole(at // ring.cell_ns, rounded)

    def set_candles(self, seconds: int, symbol: int, cells: Index, ohlc: Array,
                    flow: Array) -> None:  # fmt: skip
        """Set whole cells of the 1 min or 1 h ring from candles; those out of reach are left."""
        totals, prices = self.flow[seconds], self.prices[seconds]
        held = (cells > totals.head - totals.size + 1) & (cells <= totals.head)
        if held.any():
            totals.put(cells[held], symbol, flow[:, held])
            prices.put(cells[held], symbol, ohlc[:, held])

    def rebuild_hour(self, symbol: int, hour: int, less: Array) -> None:
        """Make an hour of one symbol the sum of its minutes so far, `less` some flow (fields)."""
        end = min((hour + 1) * 60, self.flow[60].head + 1)
        ends, minutes = np.array([end]), end - hour * 60
        if minutes <= 0:
            return
        ohlc = self.prices[60].stretches(ends, minutes)[0, :, symbol]
        flow = self.flow[60].sums(ends, minutes)[0, :, symbol] - less
        if not np.isnan(ohlc).any() and not np.isnan(flow).any():
            self.set_candles(3600, symbol, np.array([hour]), ohlc[:, None], flow[:, None])

    def cells(self, now: int, windows: tuple[Window, ...]) -> tuple[Cells, Cells]:
        """(bars, spans) as of `now`; in the past, up to the last whole cell of each ring."""
        bars = self._table(now, windows, BARS, self._bars)
        spans = self._table(now, windows, HISTORY, self._spans)
        places = [AT[name] for name in self.series.names]
        bars[places], spans[places] = (
            self.series.bars(now, windows),
            self.series.spans(now, windows),
        )
        return Cells(*bars), Cells(*spans)

    def _table(self, now: int, windows: tuple[Window, ...], count: int,
               fill: Callable[[Array, int, Window], None]) -> Array:  # fmt: skip
        """One (windows, count, symbols) array a field; what no ring holds is NaN."""
        table = np.full((len(AT), len(windows), count, self.symbols), np.nan)
        for place, window in enumerate(windows):
            fill(table[:, place], now, window)
        return table

    def _bars(self, out: Array, now: int, window: Window) -> None:
        ring = BAR_RING[window.bar]
        each = window.bar // ring
        self._read(out, ring, self._ends(now, ring, each, BARS), each, 0.5)

    def _spans(self, out: Array, now: int, window: Window) -> None:
        need = 0.999 if window.span <= 60 else 0.5
        ring = SPAN_RING[window.span]
        each = window.span // ring
        self._read(out, ring, self._ends(now, ring, each, HISTORY), each, need)
        if ring == 10:
            minutes = window.span // 60
            self._fill(out, 60, self._ends(now, 60, minutes, HISTORY), minutes, need)
        elif window.span > 3600:
            # Windows before the current one come from whole hours, which reach 180 days back.
            hours = window.span // 3600
            out[OHLC, :-1] = np.nan
            ends = now // (3600 * NS) - hours * np.arange(HISTORY - 1, 0, -1)
            self._fill(out[:, :-1], 3600, ends, hours, need)

    def _fill(self, out: Array, ring: int, ends: Index, each: int, need: float) -> None:
        """Where the fine ring knows no price, take what candles told a coarser one."""
        missing = np.isnan(out[AT["close"]])
        if not missing.any():
            return
        coarse = np.full_like(out, np.nan)
        self._read_candles(coarse, ring, ends, each, need)
        missing &= ~np.isnan(coarse[AT["close"]])
        for place in CANDLE:
            np.copyto(out[place], coarse[place], where=missing)

    def _ends(self, now: int, ring: int, each: int, count: int) -> Index:
        """Exclusive ends, in ring cells, of `count` consecutive stretches of `each`, up to now.

        The cell that `now` falls into counts while it is the newest; later, what it holds is
        the future of `now`.
        """
        present = self.prices[1].head <= (now - 1) // NS
        last = -(-now // (ring * NS)) if present else now // (ring * NS)
        return last - each * np.arange(count - 1, -1, -1)

    def _read(self, out: Array, ring: int, ends: Index, each: int, need: float) -> None:
        """Every field of the stretches of `each` ring cells before each end, (fields, ends, S)."""
        self._read_candles(out, ring, ends, each, need)
        self._read_live(out, self.live[ring].sums(ends, each), need, ring * each)
        out[AT["mid"]] = self._mids(ring, ends)

    def _read_candles(self, out: Array, ring: int, ends: Index, each: int, need: float) -> None:
        """Prices and flow of what is covered well enough to be known."""
        flow = self.flow[ring].sums(ends, each)
        covered = flow[:, FLOW_AT["covered"]] / (ring * each)
        known = covered >= need
        out[AT["covered"]] = np.nan_to_num(covered)
        prices = self.prices[ring].stretches(ends, each)
        for place in range(4):
            np.log(prices[:, place], out=out[AT["open"] + place], where=known)
        buy, sell = flow[:, FLOW_AT["buy"]], flow[:, FLOW_AT["sell"]]
        np.copyto(out[AT["buy"]], buy, where=known)
        np.copyto(out[AT["sell"]], sell, where=known)
        volume = buy + sell
        traded = known & (volume > 0)
        above = flow[:, FLOW_AT["vwap"]] / np.where(traded, volume, 1.0)
        out[AT["vwap"]] = np.where(traded, self.log_anchor + above, out[AT["close"]])

    def _read_live(self, out: Array, sums: Array, need: float, seconds: int) -> None:
        """Tape sums and book means, NaN where not enough of the stretch is known."""
        samples = sums[:, LIVE_AT["samples"]]
        out[AT["book_covered"]] = np.nan_to_num(samples / seconds)
        whole = samples / seconds >= need
        taped = sums[:, LIVE_AT["taped"]] / seconds >= need
        sized = sums[:, LIVE_AT["sized"]] / seconds >= need
        share = 1.0 / np.where(whole, samples, np.nan)
        for target, source in COUNTS:
            np.copyto(out[target], sums[:, source], where=taped)
        for target, source in SIZED:
            np.copyto(out[target], sums[:, source], where=sized)
        for target, source in MEANS:
            np.multiply(sums[:, source], share, out=out[target])
        for target, source in SUMS:
            np.copyto(out[target], sums[:, source], where=whole)
        for side in ("bid", "ask"):
            walls = sums[:, LIVE_AT[f"{side}_walls"]]
            walls = np.where(whole & (walls > 0), walls, np.nan)
            for name in (f"{side}_wall_distance", f"{side}_wall_life"):
                np.divide(sums[:, LIVE_AT[name]], walls, out=out[AT[name]])

    def _mids(self, ring: int, ends: Index) -> Array:
        """Log mid of the last second of each stretch; of the newest for one not yet over."""
        seconds = np.minimum(ends * ring - 1, self.prices[1].head)
        out: Array = np.log(self.mids.read(seconds))
        return out
