"""Parts of a Detail that a chart draws: bars, value area, swings, liquidation map, footprint."""

from math import exp
from typing import NamedTuple

import numpy as np

from engine.cards.order_flow import DOMINANCE, TRIVIAL
from engine.cards.profile import point_of_control, quantiles
from engine.cards.swing_points import peaks
from engine.cards.volume_profile import VALUE_AREA
from engine.clock import NS
from engine.market.fields import FLOW_AT
from engine.market.footprint import SLOT_NS, SLOTS
from engine.market.market import Market
from engine.market.rings import CLOSE, HIGH, LOW, OPEN, Index
from engine.market.view import WINDOWS, Array
from engine.runtime.readings import known
from engine.snapshot import (
    BAR_SPANS,
    Bar,
    Cluster,
    Footprint,
    FootprintCell,
    FootprintColumn,
    Level,
    Swing,
)

COUNT = 300
MINUTES = 240
DAY_S = 86_400
# Share of a stretch that must be covered before what is summed over it is shown.
ENOUGH = 0.5
LEAST_HOURS = 1.0
PROFILE_LEVELS = 128


class Drawn(NamedTuple):
    """Bars of `seconds`, and the first instant (ns) of which anything is kept."""

    bars: tuple[Bar, ...]
    seconds: int
    oldest: int | None


def wanted(asked: str) -> tuple[int, int, int | None]:
    """(seconds, count, end in ns or None for now) of `15m@NS`; the last minutes where empty."""
    span, _, end = asked.partition("@")
    if not span:
        return 60, MINUTES, None
    return BAR_SPANS[span], COUNT, int(end) if end else None


def bars(market: Market, place: int, seconds: int, count: int, end: int | None) -> Drawn:
    """The last bars that begin before `end`; stretches of which no price is known are left out."""
    ring = 60 if seconds < 3600 else 3600
    prices, each = market.history.prices[ring], seconds // ring
    if prices.head < 0:
        return Drawn((), seconds, None)
    newest = prices.head // each
    last = newest if end is None else min(newest, (end - 1) // (seconds * NS))
    first = last - count + 1
    cells = np.arange(first * each, (last + 1) * each)
    table = _cells(prices.cells, prices.size, prices.head, cells, place).reshape(count, each, 4)
    ends = np.minimum((np.arange(first, last + 1) + 1) * each, prices.head + 1)
    flow = market.history.flow[ring].sums(ends, ends - np.arange(first, last + 1) * each)
    buy, sell = flow[:, FLOW_AT["buy"], place], flow[:, FLOW_AT["sell"], place]
    columns = zip(
        range(first, last + 1), *_ohlc(table).T.tolist(), np.nan_to_num(buy).tolist(),
        np.nan_to_num(sell).tolist(), _vwap(market, place, ring, ends, first * each, each),
        strict=True,
    )  # fmt: skip
    length = seconds * NS
    made = tuple(
        Bar(ts=n * length, open=o, high=h, low=lo, close=c, buy=b, sell=s, vwap=v,
            closed=(n + 1) * length <= market.now)
        for n, o, h, lo, c, b, s, v in columns
        if o == o
    )  # fmt: skip
    kept = prices.cells[:, CLOSE, place]
    held = np.arange(prices.head - prices.size + 1, prices.head + 1)
    there = np.isfinite(kept[held % prices.size])
    oldest = int(held[there.argmax()]) * ring * NS if there.any() else None
    return Drawn(made, seconds, oldest)


def _cells(ring: Array, size: int, head: int, cells: Index, place: int) -> Array:
    """OHLC of one symbol's cells, (cells, 4); NaN where the ring does not hold them."""
    out = ring[cells % size, :, place]
    out[(cells > head) | (cells <= head - size) | (cells < 0)] = np.nan, -np.inf, np.inf, np.nan
    return out


def _ohlc(table: Array) -> Array:
    """(bars, 4) of (bars, cells, 4): the open of the first known cell, the close of the last."""
    there = np.isfinite(table[:, :, CLOSE])
    rows, last = np.arange(len(table)), table.shape[1] - 1
    out = np.empty((len(table), 4))
    out[:, OPEN] = table[rows, there.argmax(axis=1), OPEN]
    out[:, HIGH] = table[:, :, HIGH].max(axis=1)
    out[:, LOW] = table[:, :, LOW].min(axis=1)
    out[:, CLOSE] = table[rows, last - there[:, ::-1].argmax(axis=1), CLOSE]
    out[~there.any(axis=1)] = np.nan
    return out


def _vwap(market: Market, place: int, ring: int, ends: Index, first: int,
          each: int) -> list[float | None]:  # fmt: skip
    """VWAP of the UTC day up to each end; None where less than half of it was covered."""
    day = DAY_S // ring
    begins = first + each * np.arange(len(ends))
    length = ends - begins // day * day
    sums = market.history.flow[ring].sums(ends, length)[:, :, place]
    volume = sums[:, FLOW_AT["buy"]] + sums[:, FLOW_AT["sell"]]
    fine = (volume > 0) & (sums[:, FLOW_AT["covered"]] >= ENOUGH * length * ring)
    lean = sums[:, FLOW_AT["vwap"]] / np.where(fine, volume, 1.0)
    price = np.exp(np.where(fine, market.history.log_anchor[place] + lean, np.nan))
    return [known(value) for value in price.tolist()]


def levels(market: Market, place: int) -> tuple[Level, ...]:
    """Point of control and value area of the last 24 hours, from minutes; none of under an hour.

    A minute's notional stands at its VWAP.
    """
    ring = market.history.flow[60]
    ends = np.arange(ring.head - DAY_S // 60 + 2, ring.head + 2)
    flow = ring.sums(ends, 1)[:, :, place]
    volume = np.nan_to_num(flow[:, FLOW_AT["buy"]] + flow[:, FLOW_AT["sell"]])
    hours = float(np.nansum(flow[:, FLOW_AT["covered"]])) / 3600
    traded = volume > 0
    if hours < LEAST_HOURS or not traded.any():
        return ()
    price = market.history.log_anchor[place] + flow[traded, FLOW_AT["vwap"]] / volume[traded]
    floor, height = price.min(), max(float(np.ptp(price)) / PROFILE_LEVELS, 1e-9)
    level = np.minimum(((price - floor) / height).astype(int), PROFILE_LEVELS - 1)
    profile: Array = np.bincount(level, volume[traded], PROFILE_LEVELS).astype(np.float64)
    profile = profile[None, None]
    places = [point_of_control(profile), *quantiles(profile, VALUE_AREA)]
    return tuple(
        Level(kind, exp(floor + float(at[0, 0]) * height), hours)
        for kind, at in zip(("poc", "val", "vah"), places, strict=True)
    )


def swings(drawn: tuple[Bar, ...]) -> tuple[Swing, ...]:
    """Confirmed swings of the bars, as the cards of market structure find them, oldest first."""
    if not drawn:
        return ()
    both = np.array([[bar.high for bar in drawn], [-bar.low for bar in drawn]])
    found = peaks(both, np.zeros((2, 1), dtype=np.int64))
    made = [
        Swing(drawn[bar].ts, abs(price), -1 if lane else 1)
        for lane, bar, price in zip(
            found.lane.tolist(), found.bar.tolist(), found.price.tolist(), strict=True
        )
    ]
    return tuple(sorted(made, key=lambda swing: swing.ts))


def clusters(market: Market, place: int, notes: list[str]) -> tuple[Cluster, ...]:
    """The liquidation map around the last price, nearest first."""
    newest = market.history.prices[1]
    close = newest.close(newest.head) if newest.head >= 0 else np.full(len(market.symbols), np.nan)
    found = market.liquidation_map.view(np.log(close))
    above, below = found.above[:, place], found.below[:, place]
    if np.isnan(above).all():
        notes.append("liquidation_map: too little open interest seen")
        return ()
    # Buckets stand on a grid of absolute log price; the map says how far the first is.
    at = np.log(close[place]) / found.step - 0.5
    sides = (("short", above, np.floor(at) + 1, 1), ("long", below, np.ceil(at) - 1, -1))
    return tuple(
        Cluster(exp((first + way * k) * found.step), exp((first + way * k + 1) * found.step),
                float(side[k]), name)
        for name, side, first, way in sides
        for k in np.flatnonzero(side > 0).tolist()
    )  # fmt: skip


def footprint(market: Market, place: int, window: str, notes: list[str]) -> Footprint | None:
    """Taker flow by price and time of a window's ten slots."""
    w = next((n for n, each in enumerate(WINDOWS) if each.name == window), None)
    if w is None:
        notes.append(f"footprint: there is no window {window}")
        return None
    prints = market.flow.footprints
    newest, ids, flow = prints.slots(w, place)
    held = np.flatnonzero(ids != np.iinfo(np.int64).min)
    if newest < 0 or not len(held):
        notes.append("footprint: no trades yet")
        return None
    held = held[np.argsort(-ids[held])]
    made = []
    for slot in range(newest - SLOTS + 1, newest + 1):
        buy, sell = flow[:, slot % SLOTS]
        cells = _column(ids[held], buy[held], sell[held])
        made.append(FootprintColumn(slot * SLOT_NS[w], cells))
    return Footprint(window, float(prints.step[w, place]), SLOT_NS[w] / NS, tuple(made))


def _column(ids: Index, buy: Array, sell: Array) -> tuple[FootprintCell, ...]:
    """Cells of the levels traded at, highest first, marked by the diagonal rule of the cards."""
    both = buy + sell
    traded = both > 0
    if not traded.any():
        return ()
    least = TRIVIAL * both.sum() / traded.sum()
    bought = dict(zip(ids.tolist(), buy.tolist(), strict=True))
    sold = dict(zip(ids.tolist(), sell.tolist(), strict=True))
    out = []
    for n in ids[traded].tolist():
        b, s = bought[n], sold[n]
        up = b > 0 and b >= least and b >= DOMINANCE * sold.get(n - 1, 0.0)
        down = s > 0 and s >= least and s >= DOMINANCE * bought.get(n + 1, 0.0)
        out.append(FootprintCell(n, b, s, int(up) - int(down)))
    return tuple(out)
