"""Silence, broken streams and coverage: what was not seen is NaN, nothing is invented."""

import time

import msgspec
import numpy as np
import pytest

from engine.market.candles import Candles
from engine.market.fields import FLOW, FLOW_AT, LIVE, LIVE_AT
from engine.market.history import History
from engine.market.market import LONG_SILENCE_S, TAPE_FRESH_NS, Market
from engine.market.view import WINDOWS, Cells

NS = 1_000_000_000
W = {window.name: n for n, window in enumerate(WINDOWS)}
FRESH = TAPE_FRESH_NS // NS
BIDS, ASKS = (
    [(99.9 - n * 0.01, 5.0) for n in range(200)],
    [(100.1 + n * 0.01, 5.0) for n in range(200)],
)


def steady(market: Market, make, start: int, end: int, book: bool = True) -> None:
    """A trade, a quote and a book update in the middle of each second."""
    for t in range(start, end):
        market.apply(make.trade(t + 0.5, 100.0, 1.0, "buy" if t % 2 else "sell"))
        if book:
            market.apply(make.quote(t + 0.5))
            seq = market.listed["binance", "BTCUSDT"].book.seq
            market.apply(make.delta(t + 0.5, (seq or 0) + 1, (seq or 0) + 1, seq))


def started(make, seconds: int) -> Market:
    market = Market(["BTCUSDT", "ETHUSDT"])
    market.apply(make.snapshot(-0.5, 1, BIDS, ASKS))
    market.apply(make.trade(-0.5))
    steady(market, make, 0, seconds)
    return market


def seconds(cells: Cells, field: str) -> list[float]:
    """The last 120 s of the first symbol, second by second."""
    return getattr(cells, field)[0, :, 0].tolist()


@pytest.mark.parametrize("silence", [5, 30, 119, 125, 600, 3 * 3600])
def test_silence_is_not_covered(make, by_second, silence: int) -> None:
    market = started(make, 120)
    now = make.at(120 + silence)
    begun = time.perf_counter()
    view = market.view(now)
    assert time.perf_counter() - begun < 0.5
    # The last trade came at 119.5; the tape counts as live for ten seconds after it.
    alive = min(120 + silence, int(119.5 + FRESH)) if silence <= LONG_SILENCE_S else 121
    fine = by_second(market, view.now)
    covered, buys = seconds(fine, "covered"), seconds(fine, "buys")
    for n in range(120):
        second = silence + n
        if 0 <= second < alive:
            assert covered[n] == 1, second
            assert buys[n] == (second % 2 if second < 120 else 0), second
        else:
            assert covered[n] == 0, second
            assert np.isnan(buys[n]), second
            assert np.isnan([seconds(fine, f)[n] for f in ("open", "close", "vwap", "sell")]).all()
    for field in ("ofi", "spread", "bid_10", "mid"):
        known = ~np.isnan(seconds(fine, field))
        assert known[max(0, 120 - silence) :].sum() <= (FRESH if silence <= LONG_SILENCE_S else 1)
    assert np.isnan(view.bars.close[:, :, 1]).all()
    assert (view.bars.covered[:, :, 1] == 0).all()


def test_coming_back_invents_nothing_for_the_time_between(make, by_second) -> None:
    for silence in (40, 400, 4000):
        make.ids.clear()
        market = started(make, 60)
        back = 60 + silence
        market.apply(make.status(back + 0.1, "connected", "trade"))
        steady(market, make, back, back + 60)
        view = market.view(make.at(back + 60))
        fine = by_second(market, view.now)
        covered, close, mid = (np.array(seconds(fine, f)) for f in ("covered", "close", "mid"))
        assert covered[60:].tolist() == [1] * 60
        gap = slice(max(0, 60 - silence + FRESH + 1), 60)
        assert covered[gap].sum() == 0
        assert np.isnan(close[gap]).all()
        assert np.isnan(mid[gap]).all()
        assert view.spans.covered[W["1h"], -1, 0] < 0.05 + 60 / 3600


def test_other_streams_do_not_vouch_for_the_tape(make, by_second) -> None:
    """Depth and quotes run on while the socket of the trades hangs; marks are on that socket."""
    market = started(make, 30)
    for t in range(30, 60):
        market.apply(make.quote(t + 0.5))
    assert np.array(seconds(by_second(market, make.at(60)), "covered"))[-20:].sum() == 0
    market = started(make, 30)
    for t in range(30, 60):
        market.apply(make.mark(t + 0.5))
    view = market.view(make.at(60))
    fine = by_second(market, view.now)
    assert seconds(fine, "covered")[-60:] == [1] * 60
    assert seconds(fine, "buy")[-20:] == [0] * 20
    assert seconds(fine, "close")[-20:] == [np.log(100.0)] * 20


def test_closed_tape_ends_at_once_and_is_told(make, by_second) -> None:
    market = started(make, 20)
    market.apply(make.status(20.2, "closed", "trade"))
    steady(market, make, 27, 40)
    covered = seconds(by_second(market, make.at(40)), "covered")
    # The second of the first trade after the gap was seen in part only.
    assert covered[-40:] == [1] * 20 + [0] * 8 + [1] * 12
    assert market.blind_ns["binance"] == round(7.3 * NS)


def test_book_samples_stop_with_the_book(make, by_second) -> None:
    market = started(make, 20)
    steady(market, make, 20, 40, book=False)
    samples = seconds(by_second(market, make.at(40)), "book_covered")[-40:]
    assert samples == [1] * (20 + FRESH - 1) + [0] * (21 - FRESH)
    market = started(make, 20)
    market.apply(make.delta(20.1, 900, 901, 899))
    steady(market, make, 20, 30, book=False)
    view = market.view(make.at(30))
    fine = by_second(market, view.now)
    assert seconds(fine, "book_covered")[-30:] == [1] * 20 + [0] * 10
    assert np.isnan(seconds(fine, "spread")[-10:]).all()


def test_ages_of_what_came(make) -> None:
    market = started(make, 10)
    market.apply(make.mark(9.8))
    listed = market.listed["binance", "BTCUSDT"]
    ages = {need: (make.at(100) - at) / NS for need, at in listed.recv.items()}
    assert ages == pytest.approx({"trades": 90.5, "quote": 90.5, "mark": 90.2})
    assert (make.at(100) - listed.book.recv) / NS == 90.5


@pytest.mark.parametrize(
    ("window", "share", "known"),
    [
        ("10s", 0.9, False), ("10s", 1.0, True), ("1m", 0.97, False), ("1m", 1.0, True),
        ("5m", 0.49, False), ("5m", 0.5, True), ("1h", 0.49, False), ("1h", 0.5, True),
        ("4h", 0.49, False), ("4h", 0.5, True), ("1d", 0.49, False), ("1d", 0.5, True),
    ],
)  # fmt: skip
def test_short_windows_need_all_of_their_span_longer_ones_half(window: str, share: float,
                                                               known: bool) -> None:  # fmt: skip
    """Tape and book seconds of that share of the span, then of all but that share."""
    span = WINDOWS[W[window]].span
    history, end = History(1), 1_750_032_000 * NS
    history.advance(end - span * NS - NS, np.full(1, 50.0))
    flow, live = np.zeros((len(FLOW), 1)), np.zeros((len(LIVE), 1))
    flow[FLOW_AT["covered"]] = 1
    live[[LIVE_AT["samples"], LIVE_AT["sized"], LIVE_AT["taped"]]] = 1
    live[LIVE_AT["spread"]] = 2.0
    ring = 1 if span == 10 else 10 if span <= 300 else 60
    for at in range(0, span, ring):
        history.advance(end - (span - at) * NS, np.full(1, 50.0))
        amount = min(max(share * span - at, 0), ring)
        history.add_flow(end - (span - at) * NS, flow * amount, {})
        history.add_live(end - (span - at) * NS, live * amount)
    spans = history.spans(end, (WINDOWS[W[window]],))
    for field in ("close", "buy", "buys", "big_buy", "spread", "ofi"):
        assert np.isnan(getattr(spans, field)[0, -1, 0]) != known, field
    assert spans.covered[0, -1, 0] == pytest.approx(share, abs=0.01)


def test_candles_cover_a_window_before_the_tape_does(make) -> None:
    """The first bias stands on candles: price and flow, but no counts and no book."""
    market = Market(["BTCUSDT"])
    for n in range(10, 30):
        market.apply(make.kline(60.0 * n, 60, (100, 101, 99, 100), 10.0, 6.0, 1900.0))
    view = market.view(make.at(1900) // (60 * NS) * 60 * NS)
    for name, known in (("5m", True), ("1h", False)):
        assert np.isnan(view.spans.close[W[name], -1, 0]) != known
        assert np.isnan(view.spans.buys[W[name], -1, 0])
        assert np.isnan(view.footprint.buy[W[name], :, 0]).all()
    assert view.spans.buy[W["5m"], -2, 0] == pytest.approx(5 * 600, abs=0.01)
    assert isinstance(market.candles, Candles)


def test_past_trades_at_a_subscription_tell_that_the_stream_lives_and_nothing_else(make) -> None:
    market = Market(["BTCUSDT"])
    market.roll(make.at(0))
    market.apply(msgspec.structs.replace(make.trade(1.0), history=True))
    listed = market.listed["binance", "BTCUSDT"]
    assert listed.recv["trades"] == make.at(1.0)
    assert not listed.live
    assert listed.last is None
    assert listed.prints == 0
    market.apply(make.trade(5.0))
    market.apply(msgspec.structs.replace(make.trade(9.0), history=True))
    assert listed.recv["trades"] == make.at(5.0)
    assert listed.prints == 1
