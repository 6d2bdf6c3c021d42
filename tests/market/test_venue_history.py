"""Open interest of the past at any venue: a window's change is known from the first minute on."""

import numpy as np
import pytest

from engine.events import OpenInterest
from engine.market.market import Market
from engine.market.view import WINDOWS

NS = 1_000_000_000
W = {window.name: n for n, window in enumerate(WINDOWS)}


def interest(make, venue: str, at: float, base: float, recv: float, history: bool) -> OpenInterest:
    return OpenInterest(venue=venue, market="perp", symbol="BTCUSDT", ts=make.at(at),
                        recv=make.at(recv), base=base, usd=None, history=history)  # fmt: skip


@pytest.mark.parametrize("venue", ["binance", "bybit"])
def test_a_day_of_history_tells_the_change_of_each_window(make, venue: str) -> None:
    market = Market(["BTCUSDT"])
    market.roll(make.at(0))
    for t in range(3):
        trade = make.trade(t + 0.5)
        market.apply(trade)
        market.apply(type(trade)(**{**fields(trade), "venue": "bybit", "id": t + 1}))
    for ago in range(0, 26 * 3600, 300):
        market.apply(interest(make, venue, -ago, 1000.0 - ago / 100, 3.0, True))
    market.apply(interest(make, venue, 3.2, 1010.0, 3.2, False))
    view = market.view(make.at(10.0))
    place = view.venues.names.index(venue)
    price = np.exp(view.venues.close[place, 0])
    assert view.venues.oi[place, 0] == pytest.approx(1010.0 * price)
    for name, seconds in (("1h", 3600), ("4h", 14400), ("1d", 86400)):
        # The newest value known by then; one comes every five minutes.
        before = view.venues.oi_before[place, W[name], 0] / price
        assert 1000 - (seconds + 600) / 100 <= before <= 1000 - (seconds - 300) / 100, name


def fields(struct) -> dict[str, object]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
