"""A venue's flow after a gap: each window is known when enough of it was heard, no sooner."""

import numpy as np
import pytest

from engine.events import FeedStatus
from engine.market.market import Market
from engine.market.view import WINDOWS

NAMES = [window.name for window in WINDOWS]


@pytest.mark.parametrize(("missed", "known"), [(5, True), (170, False)])
def test_a_short_gap_leaves_a_venue_its_longer_windows(make, missed: int, known: bool) -> None:
    """Half of five minutes is enough, of one minute all."""
    market = Market(["BTCUSDT"])
    market.roll(make.at(0))

    def trades(first: int, end: int) -> None:
        for t in range(first, end):
            one = make.trade(t + 0.5)
            told = {name: getattr(one, name) for name in one.__struct_fields__}
            market.apply(type(one)(**{**told, "venue": "bybit", "id": f"{t}"}))

    trades(0, 130)
    market.apply(FeedStatus(venue="bybit", market="perp", symbol=None, ts=make.at(130),
                            recv=make.at(130), feed="bybit", connection="1", state="closed",
                            stream="trade"))  # fmt: skip
    trades(130 + missed, 150 + missed)
    view = market.view(make.at(150.0 + missed))
    flow = view.venues.buy + view.venues.sell
    place = view.venues.names.index("bybit")
    assert np.isnan(flow[place, NAMES.index("1m"), 0])
    assert np.isfinite(flow[place, NAMES.index("5m"), 0]) == known
    trades(150 + missed, 200 + missed)
    view = market.view(make.at(200.0 + missed))
    minute = (view.venues.buy + view.venues.sell)[place, NAMES.index("1m"), 0]
    assert minute > 0, "a whole minute has passed since"
