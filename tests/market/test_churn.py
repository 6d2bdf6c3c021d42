"""What came to rest and what left, against dicts of slots; nothing from a moving mid alone."""

from collections import defaultdict
from collections.abc import Sequence
from math import floor, log

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.market.churn import BPS, Churn
from engine.market.fields import LIVE, LIVE_AT
from engine.market.listed import Listed
from engine.market.market import Market
from engine.market.micro import Prints
from engine.market.side import Side
from engine.market.view import WINDOWS

SHARED = [HealthCheck.function_scoped_fixture]
PLACES = {"BTCUSDT": 0, "ETHUSDT": 1}
Levels = dict[float, float]
W = {window.name: n for n, window in enumerate(WINDOWS)}
FIELDS = ("bid_added", "ask_added", "bid_cancelled", "ask_cancelled")


def listed(bids: Levels, asks: Levels, place: int = 0) -> Listed:
    out = Listed("binance", list(PLACES)[place], place)
    out.book.bid_side, out.book.ask_side = Side(bids.items()), Side(asks.items())
    return out


def mid_of(bids: Levels, asks: Levels) -> float:
    return log((max(bids) + min(asks)) / 2)


class Watch:
    """One churn of two symbols, told second by second of the first."""

    def __init__(self) -> None:
        self.churn = Churn(2)

    def second(self, bids: Levels, asks: Levels, trades: Sequence = (), cover: float = 100.0,
               known: bool = True) -> dict[str, float]:  # fmt: skip
        out = np.zeros((len(LIVE), 2))
        mids = np.array([mid_of(bids, asks) if known else np.nan, np.nan])
        prints = Prints([(trade, None) for trade in trades], PLACES)
        self.churn.second(out, [listed(bids, asks)], mids, np.full(2, cover), prints)
        assert not out[:, 1].any()
        assert set(np.flatnonzero(out[:, 0])) <= {LIVE_AT[name] for name in FIELDS}
        return {name: float(out[LIVE_AT[name], 0]) for name in FIELDS}


def slot(price: float) -> int:
    return floor(log(price) * 1e4)


def plain(before: tuple[Levels, Levels], after: tuple[Levels, Levels],
          trades: list) -> dict[str, float]:  # fmt: skip
    """The definition, slot by slot."""
    out = dict.fromkeys(FIELDS, 0.0)
    mids = floor(mid_of(*before) * 1e4), floor(mid_of(*after) * 1e4)
    for side, name in enumerate(("bid", "ask")):
        change: dict[int, float] = defaultdict(float)
        for levels, sign in ((before[side], -1), (after[side], 1)):
            for price, size in levels.items():
                change[slot(price)] += sign * price * size
        for trade in trades:
            if (trade.side == "buy") == bool(side):
                change[slot(trade.price)] += trade.price * trade.size
        for at, amount in change.items():
            if max(abs(at - mid) for mid in mids) <= BPS:
                out[f"{name}_{'added' if amount > 0 else 'cancelled'}"] += abs(amount)
    return out


sizes = st.sampled_from([0.0, 1.0, 2.5, 4.0])


@st.composite
def books(draw) -> tuple[Levels, Levels]:
    """Levels of 0.05 around a touch near 100, some of them empty."""
    touch = draw(st.integers(-3, 3))
    bids = {round(100 - 0.05 * (k + touch), 2): draw(sizes) for k in range(1, 14)}
    asks = {round(100 + 0.05 * (k - touch), 2): draw(sizes) for k in range(1, 14)}
    bids[round(100 - 0.05 * (1 + touch), 2)] = 1.0
    asks[round(100 + 0.05 * (1 - touch), 2)] = 1.0
    return ({p: s for p, s in bids.items() if s}, {p: s for p, s in asks.items() if s})


@settings(deadline=None, max_examples=60, suppress_health_check=SHARED)
@given(books(), books(), st.lists(st.tuples(st.integers(-8, 8), st.booleans()), max_size=5))
def test_added_and_cancelled_are_those_of_a_plain_count(make, before, after, some) -> None:
    trades = [
        make.trade(1.0, round(100 + 0.05 * at, 2), 1.5, "buy" if buy else "sell")
        for at, buy in some
    ]
    watch = Watch()
    assert set(watch.second(*before).values()) == {0.0}
    got = watch.second(*after, trades)
    assert got == pytest.approx(plain(before, after, trades), abs=0.01)


def ladder(near: int = 60) -> tuple[Levels, Levels]:
    return ({round(100 - 0.01 * k, 2): 2.0 for k in range(1, 10 * near)},
            {round(100 + 0.01 * k, 2): 2.0 for k in range(1, 10 * near)})  # fmt: skip


def test_change_plus_traded_is_added_minus_cancelled(make) -> None:
    bids, asks = ladder()
    watch = Watch()
    watch.second(bids, asks)
    after = dict(asks)
    after[100.01], after[100.2] = 0.5, 9.0
    trades = [make.trade(0.5, 100.01, 4.0, "buy")]
    got = watch.second(bids, after, trades)
    # 4 traded where 1.5 are missing: 2.5 came to rest again.
    assert got["ask_added"] == pytest.approx(2.5 * 100.01 + 7 * 100.2, rel=1e-6)
    assert got["ask_cancelled"] == 0
    assert (got["bid_added"], got["bid_cancelled"]) == (0, 0)


def test_a_moving_mid_alone_changes_nothing() -> None:
    bids, asks = ladder()
    watch = Watch()
    watch.second(bids, asks)
    for step in range(1, 30):
        # The touch is eaten on one side only where nothing is known of it: by hand, no trades.
        moved = {p: s for p, s in asks.items() if p > 100 + 0.01 * step}
        got = watch.second(bids, moved)
        assert (got["ask_added"], got["bid_added"], got["bid_cancelled"]) == (0, 0, 0)
        assert got["ask_cancelled"] == pytest.approx(2 * (100 + 0.01 * step), rel=1e-6)


def test_a_book_that_was_not_known_is_compared_with_nothing() -> None:
    bids, asks = ladder()
    more = {price: 3 * size for price, size in bids.items()}
    watch = Watch()
    watch.second(bids, asks)
    assert set(watch.second(more, asks, known=False).values()) == {0.0}
    assert set(watch.second(more, asks).values()) == {0.0}
    assert watch.second(bids, asks)["bid_cancelled"] > 0


def test_beyond_what_is_truly_known_nothing_counts() -> None:
    bids, asks = ladder()
    watch = Watch()
    watch.second(bids, asks, cover=10.0)
    far = bids | {99.8: 50.0}
    assert watch.second(far, asks, cover=100.0)["bid_added"] == 0
    near = far | {99.95: 50.0}
    assert watch.second(near, asks, cover=100.0)["bid_added"] == pytest.approx(48 * 99.95, rel=1e-6)


def test_the_view_sums_it_and_knows_gaps(make) -> None:
    market = Market(["BTCUSDT"])
    bids, asks = ([(round(99.9 - n * 0.01, 2), 5.0) for n in range(150)],
                  [(round(100.1 + n * 0.01, 2), 5.0) for n in range(150)])  # fmt: skip
    market.apply(make.snapshot(-0.5, 1, bids, asks))
    for t in range(20):
        market.apply(make.trade(t + 0.2, 100.1, 1.0, "buy"))
        market.apply(make.quote(t + 0.4))
        size = 7.0 if t % 2 else 5.0
        market.apply(make.delta(t + 0.5, t + 2, t + 2, t + 1, bids=[(99.8, size)]))
    spans = market.view(make.at(20)).spans
    w = W["10s"]
    assert spans.bid_added[w, -1, 0] == pytest.approx(5 * 2 * 99.8, rel=1e-3)
    assert spans.bid_cancelled[w, -1, 0] == pytest.approx(5 * 2 * 99.8, rel=1e-3)
    # Bought every second, and the display stayed: it came to rest again.
    assert spans.ask_added[w, -1, 0] == pytest.approx(10 * 100.1, rel=1e-3)
    market.apply(make.status(20.5, "closed", "depth"))
    assert np.isnan(market.view(make.at(40)).spans.bid_added[w, -1, 0])
