"""The rings of all resolutions together, and the cells that views are made of."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.market.fields import (
    FLOW,
    FLOW_AT,
    LIVE,
    LIVE_AT,
    SAMPLED,
    TAPE,
    quanta,
)
from engine.market.rings import CLOSE, Prices, Totals
from engine.market.view import BARS, HISTORY, Array, Cells, Window

Index = NDArray[np.int64]
Known = NDArray[np.bool_]

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


def _places(names: Iterable[str]) -> tuple[list[int], list[int]]:
    """Where fields stand in a view's table and in the live rings."""
    listed = list(names)
    return [AT[n] for n in listed], [LIVE_AT[n] for n in listed]


COUNTS_OUT, COUNTS_IN = _places(("buys", "sells"))
SIZED_OUT, SIZED_IN = _places(n for n in TAPE if n not in ("buys", "sells", "sized"))
MEANS_OUT, MEANS_IN = _places(SAMPLED)
SUMS_OUT, SUMS_IN = _places(("ofi", "bid_taken", "ask_taken", "bid_refill", "ask_refill"))
SERIES_CELL = 300
SERIES_KEPT = 20_000


class History:
    """Every ring of every resolution; written by the market, read at an instant."""

    def __init__(self, symbols: int) -> None:
        self.symbols = symbols
        self.flow = {s: Totals(s * NS, n, quanta(FLOW), symbols) for s, n in KEPT.items()}
        self.live = {s: Totals(s * NS, n, quanta(LIVE), symbols) for s, n in LIVE_KEPT.items()}
        self.prices = {s: Prices(s * NS, n, symbols) for s, n in KEPT.items()}
        self.mids = Prices(NS, KEPT[1], symbols)
        self.taker_ratio = np.full((SERIES_KEPT, symbols), np.nan)

    def advance(self, at: int, carried: Array) -> None:
        """Open the cells that contain instant `at`; live symbols start at their last price."""
        for seconds, prices in self.prices.items():
            cell = at // prices.cell_ns
            if cell > prices.head:
                prices.advance(cell, carried)
                self.flow[seconds].advance(cell)
                if seconds in self.live:
                    self.live[seconds].advance(cell)

    def add_flow(self, at: int, amounts: Array, skip: dict[int, NDArray[np.bool_]]) -> None:
        """Add flow (fields, symbols) at an instant; `skip` masks symbols per resolution."""
        for seconds, ring in self.flow.items():
            mask = skip.get(seconds)
            ring.add(at // ring.cell_ns, np.where(mask, 0.0, amounts) if mask is not None
                     else amounts)  # fmt: skip

    def add_live(self, at: int, amounts: Array) -> None:
        """Add tape and book measures (fields, symbols) at an instant."""
        for ring in self.live.values():
            ring.add(at // ring.cell_ns, amounts)

    def set_candles(self, seconds: int, symbol: int, cells: Index, ohlc: Array,
                    flow: Array) -> None:  # fmt: skip
        """Set whole cells of the 1 min or 1 h ring from candles; those out of reach are left."""
        totals, prices = self.flow[seconds], self.prices[seconds]
        held = (cells > totals.head - totals.size + 1) & (cells <= totals.head)
        if held.any():
            totals.put(cells[held], symbol, flow[:, held])
            prices.put(cells[held], symbol, ohlc[:, held])

    def rebuild_hour(self, symbol: int, hour: int) -> None:
        """Make an hour cell of one symbol the sum of its minutes."""
        ends = np.array([(hour + 1) * 60])
        ohlc = self.prices[60].stretches(ends, 60)[0, :, symbol]
        flow = self.flow[60].sums(ends, 60)[0, :, symbol]
        if not np.isnan(ohlc).any():
            self.set_candles(3600, symbol, np.array([hour]), ohlc[:, None], flow[:, None])

    def cells(self, now: int, windows: tuple[Window, ...]) -> tuple[Cells, Cells]:
        """(bars, spans) as of `now`."""
        return _stack([self._bars(now, w) for w in windows]), _stack(
            [self._spans(now, w) for w in windows]
        )

    def _bars(self, now: int, window: Window) -> Array:
        ring = BAR_RING[window.bar]
        each = window.bar // ring
        return self._read(ring, _ends(now, ring, each, BARS), each, 0.5)

    def _spans(self, now: int, window: Window) -> Array:
        need = 0.999 if window.span <= 60 else 0.5
        ring = SPAN_RING[window.span]
        each = window.span // ring
        out = self._read(ring, _ends(now, ring, each, HISTORY), each, need)
        if ring == 10:
            minutes = window.span // 60
            _fill(out, self._read(60, _ends(now, 60, minutes, HISTORY), minutes, need, live=False))
        elif window.span > 3600:
            # Windows before the current one come from whole hours, which reach 180 days back.
            hours = window.span // 3600
            out[:-1, OHLC] = np.nan
            ends = now // (3600 * NS) - hours * np.arange(HISTORY - 1, 0, -1)
            _fill(out[:-1], self._read(3600, ends, hours, need, live=False))
        ends = now - window.span * NS * np.arange(HISTORY - 1, -1, -1)
        out[:, AT["taker_ratio"]] = self.taker_ratio[(ends // (SERIES_CELL * NS)) % SERIES_KEPT]
        return out

    def _read(self, ring: int, ends: Index, each: int, need: float, live: bool = True) -> Array:
        """Every field of the stretches of `each` ring cells before each end, (ends, fields, S)."""
        out = np.full((len(ends), len(AT), self.symbols), np.nan)
        flow = self.flow[ring].sums(ends, each)
        covered = flow[:, FLOW_AT["covered"]] / (ring * each)
        known = covered >= need
        out[:, AT["covered"]] = np.nan_to_num(covered)
        prices = self.prices[ring].stretches(ends, each)
        prices[~np.repeat(known[:, None], 4, axis=1)] = np.nan
        np.log(prices, out=out[:, OHLC])
        flow[~np.repeat(known[:, None], len(FLOW_AT), axis=1)] = np.nan
        buy, sell = flow[:, FLOW_AT["buy"]], flow[:, FLOW_AT["sell"]]
        out[:, AT["buy"]], out[:, AT["sell"]] = buy, sell
        volume = buy + sell
        traded = volume > 0
        out[:, AT["vwap"]] = np.where(
            traded, flow[:, FLOW_AT["vwap"]] / np.where(traded, volume, 1.0), out[:, AT["close"]]
        )
        if live and ring in self.live:
            self._read_live(out, self.live[ring].sums(ends, each), known, need, ring * each)
            out[:, AT["mid"]] = self._mids(ring, ends)
        return out

    def _read_live(self, out: Array, sums: Array, known: Known, need: float, seconds: int) -> None:
        """Tape sums and book means, NaN where not enough of the stretch is known."""
        samples = sums[:, LIVE_AT["samples"]]
        out[:, AT["book_covered"]] = np.nan_to_num(samples / seconds)
        whole = samples / seconds >= need
        sized = known & (sums[:, LIVE_AT["sized"]] / seconds >= need)
        divisor = np.where(whole, samples, np.nan)
        out[:, COUNTS_OUT] = np.where(known[:, None], sums[:, COUNTS_IN], np.nan)
        out[:, SIZED_OUT] = np.where(sized[:, None], sums[:, SIZED_IN], np.nan)
        out[:, MEANS_OUT] = sums[:, MEANS_IN] / divisor[:, None]
        out[:, SUMS_OUT] = np.where(whole[:, None], sums[:, SUMS_IN], np.nan)
        for side in ("bid", "ask"):
            walls = sums[:, LIVE_AT[f"{side}_walls"]]
            walls = np.where(whole & (walls > 0), walls, np.nan)
            for name in (f"{side}_wall_distance", f"{side}_wall_life"):
                out[:, AT[name]] = sums[:, LIVE_AT[name]] / walls

    def _mids(self, ring: int, ends: Index) -> Array:
        cells = ends * ring - 1
        held = (cells > self.mids.head - self.mids.size) & (cells <= self.mids.head)
        out = np.full((len(ends), self.symbols), np.nan)
        out[held] = np.log(self.mids.cells[cells[held] % self.mids.size, CLOSE])
        return out


def _ends(now: int, ring: int, each: int, count: int) -> Index:
    """Exclusive ends, in ring cells, of `count` consecutive stretches of `each`, up to now."""
    last = -(-now // (ring * NS))
    return last - each * np.arange(count - 1, -1, -1)


def _fill(out: Array, coarse: Array) -> None:
    """Where the fine ring knows no price, take what candles told the coarse one."""
    missing = np.isnan(out[:, AT["close"]])[:, None]
    out[:, CANDLE] = np.where(missing, coarse[:, CANDLE], out[:, CANDLE])


def _stack(parts: list[Array]) -> Cells:
    """Cells of all windows: one (windows, stretches, symbols) array a field."""
    table = np.ascontiguousarray(np.stack(parts).transpose(2, 0, 1, 3))
    return Cells(*table)
