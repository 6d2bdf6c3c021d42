"""Details of a run: what a screen asks for, part by part, from frames through the real market."""

from itertools import pairwise
from math import exp, log
from statistics import median
from time import process_time
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.clock import NS
from engine.config import Config
from engine.decision.decide import Decision
from engine.feeds.feed import Frame, build_feed
from engine.market.fields import FLOW_AT
from engine.market.rings import CLOSE
from engine.runtime import charts, venue_parts
from engine.runtime.pictures import Pictures
from engine.runtime.pipeline import Pipeline
from engine.snapshot import BAR_SPANS, DEPTH_BPS, Detail

SYMBOL = "BTCUSDT"
PARTS = (
    "bars", *(f"bars:{span}" for span in BAR_SPANS), "levels", "liquidation_map", "footprint:1m",
    "footprint:5m", "cvd", "tape", "book", "books", "walls", "positioning", "venues", "history",
    "transitions",
)  # fmt: skip


def detail(base: Any, *parts: str) -> Detail:
    return base.pictures.detail(SYMBOL, frozenset(parts))


def test_only_what_is_asked_for_is_there(base: Any) -> None:
    empty = detail(base)
    filled = {"bars": "bars", "levels": "levels", "swings": "swings", "cvd": "flows",
              "liquidation_map": "clusters", "footprint": "footprint", "tape": "tape",
              "books": "books", "walls": "walls", "positioning": "positions", "venues": "venues",
              "history": "decisions"}  # fmt: skip
    known = {field for field in filled.values() if getattr(empty, field) not in (None, ())}
    assert known == set()
    assert empty.notes == ()
    for part in ("cvd", "books", "walls", "positioning", "venues", "history", "tape"):
        found = detail(base, part)
        others = [field for field in filled.values() if field != filled[part]]
        assert {getattr(found, field) for field in others} <= {None, ()}
        assert getattr(found, filled[part]) is not None


def test_the_last_minutes_as_ever(base: Any) -> None:
    """A chart that asks for no zoom has the last 240 minutes."""
    found = detail(base, "bars")
    assert found.bar_s == 60
    assert 0 < len(found.bars) <= 240
    prices, place = base.pipeline.market.history.prices[60], 0
    newest = prices.cells[prices.head % prices.size, :, place]
    last = found.bars[-1]
    assert (last.open, last.high, last.low, last.close) == tuple(newest)
    assert last.ts == prices.head * 60 * NS
    assert not last.closed
    assert all(bar.closed for bar in found.bars[:-1])


@pytest.mark.parametrize("span", BAR_SPANS)
def test_bars_of_every_span_are_made_of_the_same_minutes(base: Any, span: str) -> None:
    """Open of the first, close of the last, extremes and flow of all; hours from their own ring."""
    minutes = {bar.ts: bar for bar in detail(base, "bars:1m").bars}
    found = detail(base, f"bars:{span}")
    assert found.bar_s == BAR_SPANS[span]
    for bar in found.bars:
        inside = [minutes[t] for t in sorted(minutes) if 0 <= t - bar.ts < found.bar_s * NS]
        assert inside
        assert bar.open == inside[0].open
        assert bar.close == inside[-1].close
        assert bar.high == max(m.high for m in inside)
        assert bar.low == min(m.low for m in inside)
        assert bar.buy == pytest.approx(sum(m.buy for m in inside))
        assert bar.sell == pytest.approx(sum(m.sell for m in inside))


def test_bars_before_an_instant(base: Any) -> None:
    every = detail(base, "bars:1m").bars
    end = every[-3].ts
    found = detail(base, f"bars:1m@{end}")
    assert [b.ts for b in found.bars] == [b.ts for b in every if b.ts < end]
    assert found.oldest == every[0].ts
    assert detail(base, f"bars:1m@{every[0].ts - 3600 * NS}").bars == ()


def test_vwap_is_that_of_what_was_traded(base: Any) -> None:
    """The day began before the tape: until half of it is covered there is none."""
    market = base.pipeline.market
    assert all(bar.vwap is None for bar in detail(base, "bars:1m").bars)
    flow, head = market.history.flow[60], market.history.flow[60].head
    covered = flow.sums(np.array([head + 1]), head % 1440 + 1)[0, FLOW_AT["covered"], 0]
    assert covered < charts.ENOUGH * 60 * (head % 1440 + 1)


def test_gaps_stay_gaps() -> None:
    table = np.full((3, 2, 4), (np.nan, -np.inf, np.inf, np.nan))
    table[0, 1] = 5.0, 7.0, 4.0, 6.0
    table[2] = (6.0, 6.5, 6.0, 6.5), (6.5, 9.0, 3.0, 8.0)
    found = charts._ohlc(table)
    assert found[0].tolist() == [5.0, 7.0, 4.0, 6.0]
    assert np.isnan(found[1]).all()
    assert found[2].tolist() == [6.0, 9.0, 3.0, 8.0]


def test_swings_are_fractals_of_the_bars(base: Any) -> None:
    found = detail(base, "bars:1m", "swings")
    at = {bar.ts: n for n, bar in enumerate(found.bars)}
    for swing in found.swings or ():
        n = at[swing.ts]
        near = found.bars[n - 2 : n + 3]
        extreme = max(b.high for b in near) if swing.side > 0 else min(b.low for b in near)
        assert swing.price == pytest.approx(extreme)


def test_footprint_adds_up_to_the_taker_flow(base: Any) -> None:
    """Columns of the 5 min window hold what was traded; marks follow the rule of the cards."""
    market = base.pipeline.market
    found = detail(base, "footprint:5m").footprint
    assert found is not None
    assert found.seconds == 30.0
    assert [b.ts - a.ts for a, b in pairwise(found.columns)] == [30 * NS] * 9
    first = found.columns[0].ts
    ring = market.history.flow[10]
    cells = ring.head - first // (10 * NS) + 1
    flow = ring.sums(np.array([ring.head + 1]), cells)[0, :, 0]
    bought = sum(c.buy for column in found.columns for c in column.cells)
    sold = sum(c.sell for column in found.columns for c in column.cells)
    assert bought == pytest.approx(flow[FLOW_AT["buy"]], rel=1e-9)
    assert sold == pytest.approx(flow[FLOW_AT["sell"]], rel=1e-9)
    for column in found.columns:
        levels = [c.level for c in column.cells]
        assert levels == sorted(levels, reverse=True)
        below = {c.level: c.sell for c in column.cells}
        assert all(c.buy >= 3 * below.get(c.level - 1, 0.0) for c in column.cells if c.mark > 0)
    price = exp((found.columns[-1].cells[0].level + 0.5) * found.step)
    last = market.history.prices[1].close(market.history.prices[1].head)[0]
    assert abs(log(price / last)) < 0.02


def test_an_unknown_window_is_told(base: Any) -> None:
    found = detail(base, "footprint:7m")
    assert found.footprint is None
    assert found.notes == ("footprint: there is no window 7m",)


def test_cvd_is_buys_less_sells(base: Any) -> None:
    (flow,) = detail(base, "cvd").flows or ()
    assert flow.venue == "binance"
    course = [v for v in flow.course if v is not None]
    assert len(flow.course) == venue_parts.MINUTES + 1
    ring = base.pipeline.market.board.venues["binance"].flow[10]
    end = -(-base.pipeline.market.now // ring.cell_ns)
    total = ring.sums(np.array([end]), 6 * len(course))[0, :, 0]
    assert course[-1] == pytest.approx(total[0] - total[1])
    # The tape ran for some minutes of the hour.
    assert not flow.reliable
    assert flow.buy["1m"] is not None
    assert flow.buy["1d"] is None


def test_tape_is_in_order_and_large_prints_are_marked(base: Any) -> None:
    tape = detail(base, "tape").tape
    assert [p.ts for p in tape] == sorted(p.ts for p in tape)
    market = base.pipeline.market
    big = market.flow.sizes.big[0]
    assert all((p.rank > 0) == (p.price * p.size >= big) for p in tape)
    assert {p.venue for p in tape} == {"binance"}
    assert tape[-1].price == market.listed["binance", SYMBOL].last.price


def test_books_hold_what_the_levels_hold(base: Any) -> None:
    (book,) = detail(base, "books").books or ()
    assert book.synced
    whole = detail(base, "book")
    assert (book.bid, book.ask) == (whole.bids[0][0], whole.asks[0][0])
    mid = (book.bid + book.ask) / 2
    for side, levels, sign in ((book.bids, whole.bids, -1), (book.asks, whole.asks, 1)):
        near = [p * s for p, s in levels if 0 <= sign * (p / mid - 1) * 1e4 <= DEPTH_BPS[0]]
        assert side[0] == pytest.approx(sum(near))
        assert None not in side[:1]
        first = next((n for n, usd in enumerate(side) if usd is None), len(side))
        assert all(usd is None for usd in side[first:])


def test_walls_stand_on_their_sides(base: Any) -> None:
    walls = detail(base, "walls").walls or ()
    price = base.pipeline.market.listed["binance", SYMBOL].last.price
    for wall in walls:
        assert (wall.price > price) == (wall.side == "ask")
        assert wall.usd > 0
        assert wall.seconds >= 0


def test_positions_and_prices_of_the_only_venue(base: Any) -> None:
    (held,) = detail(base, "positioning").positions or ()
    assert (held.venue, held.interval_h) == ("binance", pytest.approx(held.interval_h))
    (price,) = detail(base, "venues").venues or ()
    assert price.reference
    assert price.premium is None
    assert price.lead is None
    market = base.pipeline.market
    close = market.history.prices[1].cells[market.history.prices[1].head
                                           % market.history.prices[1].size, CLOSE, 0]  # fmt: skip
    assert price.price == pytest.approx(close, rel=1e-3)


def test_history_is_what_was_decided(base: Any) -> None:
    """Every decision with a word for the symbol, at its instant, bias for bias."""
    found = detail(base, "history").decisions or {}
    for mode, decided in found.items():
        mine = [d for d in base.decisions if d.mode == mode and d.decision[0]]
        assert [d.ts for d in decided] == [d.ts for d in mine]
        for shown, made in zip(decided, mine, strict=True):
            bias = float(made.parts.bias[0])
            assert shown.bias == (None if np.isnan(bias) else bias)
            assert shown.conviction == float(made.conviction[0])
    shown = base.pictures.snapshot(base.steps[-1]).symbols[0].modes["scalp"]
    assert tuple(d.bias for d in found["scalp"])[-len(shown.history) :] == shown.history


def test_before_the_first_frame_there_is_nothing_and_it_says_so(play_frames: Any) -> None:
    run = play_frames([])
    found = run.pictures.detail(SYMBOL, frozenset({*PARTS, "swings", "readings"}))
    assert found.bars == found.tape == found.bids == ()
    assert found.levels == found.clusters == found.walls == found.swings == ()
    assert found.flows == found.books == found.positions == found.venues == ()
    assert {note.partition(":")[0] for note in found.notes} == {
        "book", "footprint", "liquidation_map"
    }  # fmt: skip


@pytest.mark.slow
def test_looking_changes_nothing(settings: Config, frames: list[Frame], base: Any) -> None:
    """A run that is looked at all the time decides what one decides that nobody looks at."""
    seen: list[bytes] = []

    def stepped(now: int, decisions: list[Decision]) -> None:
        for decision in decisions:
            pictures.decided(decision)
        seen.append(msgspec.json.encode(pictures.snapshot(now)))

    feed = build_feed("binance", settings.feeds["binance"], settings.instruments)
    pipeline = Pipeline(settings, {"binance": feed}, on_step=stepped)
    pictures = Pictures(pipeline, "replay")
    for n, frame in enumerate(frames):
        pipeline.on_frame(frame)
        if n % 300 == 0:
            pictures.detail(SYMBOL, frozenset({*PARTS, "swings", "readings"}))
    assert seen == base.snapshots


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_cheap(base: Any, part: str) -> None:
    """At most 5 ms of CPU, for a screen that asks four times a second."""
    detail(base, part)
    taken = []
    for _ in range(7):
        start = process_time()
        detail(base, part)
        taken.append(process_time() - start)
    assert median(taken) <= 0.005
