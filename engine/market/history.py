"""The rings of all resolutions together, and the cells that views are made of."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.market.fields import (
    BOOK,
    BY_SIZE,
    FLOW,
    FLOW_AT,
    IN_BARS,
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
from engine.market.view import BARS, HISTORY, Array, Bars, Cells, Window

Index = NDArray[np.int64]

# Cell length in seconds -> cells kept: 10 min (and the 61st window), 6 h, 8 days, 180 days.
KEPT = {1: 640, 10: 2200, 60: 11_580, 3600: 4350}
LIVE_KEPT = {1: 640, 10: 2200, 60: 4400}
# The ring a window's bars come from, and the one its whole windows come from.
BAR_RING = {1: 1, 10: 10, 30: 10, 300: 60, 900: 60, 3600: 60}
SPAN_RING = {10: 1, 60: 10, 300: 10, 3600: 60, 14400: 60, 86400: 60}
# Field -> place in the table of a stretch; the table's order is that of Cells, which begins with
# what bars have.
AT = {name: place for place, name in enumerate(Cells.__dataclass_fields__)}
OHLC = slice(AT["open"], AT["close"] + 1)
CANDLE = [AT[n] for n in ("open", "high", "low", "close", "vwap", "buy", "sell", "covered")]


def _places(names: Iterable[str]) -> list[tuple[int, int]]:
    """Where fields stand in a view's table and in the live rings."""
    return [(AT[name], LIVE_AT[name]) for name in names]


FLOW_QUANTA, LIVE_QUANTA = quanta(FLOW)[:, None], quanta(LIVE)[:, None]


class Columns:
    """Where a table's fields stand in the live rings, by how they become known.

    `live`: how many of the live rings' fields the table reads, from the first on.
    """

    def __init__(self, kind: type[Bars]) -> None:
        names = [name for name in kind.__dataclass_fields__ if name in LIVE]
        self.fields = len(kind.__dataclass_fields__)
        self.live = len(IN_BARS) if kind is Bars else len(LIVE)
        self.counts = _places(n for n in names if n in TAPE and n not in (*BY_SIZE, *SECONDS))
        self.sized = _places(n for n in names if n in BY_SIZE)
        self.means = _places(n for n in names if n in SAMPLED)
        self.sums = _places(n for n in names if n in BOOK and n not in (*SAMPLED, *WALLED))
        self.walls = [name for name in ("bid", "ask") if f"{name}_wall_life" in names]


HOUR = 3600.0
# Published series of the reference venue, and the seconds for which a value of each is good;
# those that bars have come first.
STANDS = {
    "oi": HOUR,
    "funding": 9 * HOUR,
    "mark": 60.0,
    "index": 60.0,
    "taker_ratio": 2 * HOUR,
    "top_accounts": 2 * HOUR,
    "top_positions": 2 * HOUR,
    "global_accounts": 2 * HOUR,
}
BAR_COLUMNS, SPAN_COLUMNS = Columns(Bars), Columns(Cells)
BAR_SERIES = [AT[name] for name in STANDS if name in Bars.__dataclass_fields__]
SPAN_SERIES = [AT[name] for name in STANDS]


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

    def bars(self, now: int, windows: tuple[Window, ...]) -> Bars:
        """The last bars as of `now`; in the past, up to the last whole cell of each ring."""
        table = self._table(now, windows, BARS, BAR_COLUMNS)
        table[BAR_SERIES] = self.series.bars(now, windows, len(BAR_SERIES))
        return Bars(*table)

    def spans(self, now: int, windows: tuple[Window, ...]) -> Cells:
        """The last whole windows, as `bars`."""
        table = self._table(now, windows, HISTORY, SPAN_COLUMNS)
        table[SPAN_SERIES] = self.series.spans(now, windows)
        return Cells(*table)

    def _table(self, now: int, windows: tuple[Window, ...], count: int,
               columns: Columns) -> Array:  # fmt: skip
        """One (windows, count, symbols) array a field; what no ring holds is NaN."""
        table = np.full((columns.fields, len(windows), count, self.symbols), np.nan)
        bars = columns is BAR_COLUMNS
        rings = [BAR_RING[w.bar] if bars else SPAN_RING[w.span] for w in windows]
        for ring in sorted(set(rings)):
            first, last = rings.index(ring), len(rings) - rings[::-1].index(ring)
            lengths = [w.bar if bars else w.span for w in windows[first:last]]
            fill = self._bars if bars else self._spans
            fill(table[:, first:last], now, ring, np.array(lengths))
        return table

    def _bars(self, out: Array, now: int, ring: int, seconds: Index) -> None:
        each = seconds // ring
        ends = self._ends(now, ring, each, BARS)
        self._read(out, ring, ends, each, np.full(len(each), 0.5), BAR_COLUMNS)

    def _spans(self, out: Array, now: int, ring: int, seconds: Index) -> None:
        need = np.where(seconds <= 60, 0.999, 0.5)
        each = seconds // ring
        self._read(out, ring, self._ends(now, ring, each, HISTORY), each, need, SPAN_COLUMNS)
        if ring == 10:
            by = seconds >= 60
            minutes = seconds[by] // 60
            self._fill(out[:, by.argmax() :], 60, self._ends(now, 60, minutes, HISTORY), minutes,
                       need[by])  # fmt: skip
        elif (by := seconds > 3600).any():
            # Windows before the current one come from whole hours, which reach 180 days back.
            hours, part = seconds[by] // 3600, out[:, by.argmax() :, :-1]
            part[OHLC] = np.nan
            ends = now // (3600 * NS) - hours[:, None] * np.arange(HISTORY - 1, 0, -1)
            self._fill(part, 3600, ends, hours, need[by])

    def _fill(self, out: Array, ring: int, ends: Index, each: Index, need: Array) -> None:
        """Where the fine ring knows no price, take what candles told a coarser one."""
        missing = np.isnan(out[AT["close"], : len(each)])
        if not missing.any():
            return
        coarse = np.full((max(CANDLE) + 1, *missing.shape), np.nan)
        self._read_candles(coarse, ring, ends, each, need)
        missing &= ~np.isnan(coarse[AT["close"]])
        for place in CANDLE:
            np.copyto(out[place], coarse[place], where=missing)

    def _ends(self, now: int, ring: int, each: Index, count: int) -> Index:
        """Exclusive ends, in ring cells, of `count` consecutive stretches of `each`, up to now.

        The cell that `now` falls into counts while it is the newest; later, what it holds is
        the future of `now`.
        """
        present = self.prices[1].head <= (now - 1) // NS
        last = -(-now // (ring * NS)) if present else now // (ring * NS)
        out: Index = last - each[:, None] * np.arange(count - 1, -1, -1)
        return out

    def _read(self, out: Array, ring: int, ends: Index, each: Index, need: Array,
              columns: Columns) -> None:  # fmt: skip
        """Every field of the stretches of `each` (W,) ring cells before each end (W, n).

        `out` (fields, W, n, S); `need` (W,): share of a stretch without which it is not known.
        """
        self._read_candles(out, ring, ends, each, need)
        self._read_live(out, ring, ends, each, need, columns)
        # Log mid of the last second of each stretch; of the newest for one not yet over.
        seconds = np.minimum(ends * ring - 1, self.prices[1].head)
        out[AT["mid"]] = np.log(self.mids.read(seconds.ravel())).reshape(*ends.shape, -1)

    def _read_candles(self, out: Array, ring: int, ends: Index, each: Index,
                      need: Array) -> None:  # fmt: skip
        """Prices and flow of what is covered well enough to be known."""
        flow = _sums(self.flow[ring], ends, each)
        covered = flow[:, :, FLOW_AT["covered"]] / (ring * each)[:, None, None]
        known = covered >= need[:, None, None]
        out[AT["covered"]] = np.nan_to_num(covered)
        for w, length in enumerate(each):
            prices = self.prices[ring].stretches(ends[w], int(length))
            for place in range(4):
                np.log(prices[:, place], out=out[AT["open"] + place, w], where=known[w])
        buy, sell = flow[:, :, FLOW_AT["buy"]], flow[:, :, FLOW_AT["sell"]]
        np.copyto(out[AT["buy"]], buy, where=known)
        np.copyto(out[AT["sell"]], sell, where=known)
        volume = buy + sell
        traded = known & (volume > 0)
        above = flow[:, :, FLOW_AT["vwap"]] / np.where(traded, volume, 1.0)
        out[AT["vwap"]] = np.where(traded, self.log_anchor + above, out[AT["close"]])

    def _read_live(self, out: Array, ring: int, ends: Index, each: Index, need: Array,
                   columns: Columns) -> None:  # fmt: skip
        """Tape sums and book means, NaN where not enough of the stretch is known."""
        sums = _sums(self.live[ring], ends, each, columns.live)
        seconds, need = (ring * each)[:, None, None], need[:, None, None]
        samples = sums[:, :, LIVE_AT["samples"]]
        out[AT["book_covered"]] = np.nan_to_num(samples / seconds)
        whole = samples / seconds >= need
        taped = sums[:, :, LIVE_AT["taped"]] / seconds >= need
        share = 1.0 / np.where(whole, samples, np.nan)
        for target, source in columns.counts:
            np.copyto(out[target], sums[:, :, source], where=taped)
        for target, source in columns.means:
            np.multiply(sums[:, :, source], share, out=out[target])
        for target, source in columns.sums:
            np.copyto(out[target], sums[:, :, source], where=whole)
        if columns.sized:
            sized = sums[:, :, LIVE_AT["sized"]] / seconds >= need
            for target, source in columns.sized:
                np.copyto(out[target], sums[:, :, source], where=sized)
        for side in columns.walls:
            walls = sums[:, :, LIVE_AT[f"{side}_walls"]]
            walls = np.where(whole & (walls > 0), walls, np.nan)
            for name in (f"{side}_wall_distance", f"{side}_wall_life"):
                np.divide(sums[:, :, LIVE_AT[name]], walls, out=out[AT[name]])


def _sums(ring: Totals, ends: Index, each: Index, fields: int | None = None) -> Array:
    """Totals of `each` (W,) cells before each end (W, n): (W, n, fields, symbols)."""
    found = ring.sums(ends.ravel(), np.repeat(each, ends.shape[1]), fields)
    return found.reshape(*ends.shape, *found.shape[1:])
