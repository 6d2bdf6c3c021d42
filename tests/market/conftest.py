"""Events in few words for the tests of the market."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from engine.events import BookDelta, BookSnapshot, FeedStatus, Kline, Mark, Quote, Side, Trade
from engine.market.history import SPAN_COLUMNS
from engine.market.market import Market
from engine.market.view import BARS, Cells

NS = 1_000_000_000
START = 1_750_000_020 * NS  # a whole minute


@dataclass
class Maker:
    """Builds events; times in seconds from START, trade ids and quote sequences rise by one."""

    symbol: str = "BTCUSDT"
    ids: dict[str, int] = field(default_factory=dict)

    def at(self, seconds: float) -> int:
        return START + round(seconds * NS)

    def number(self, name: str) -> int:
        self.ids[name] = self.ids.get(name, 0) + 1
        return self.ids[name]

    def trade(self, recv: float, price: float = 100.0, size: float = 1.0, side: Side = "buy",
              ts: float | None = None, id: int | str | None = None,
              symbol: str | None = None) -> Trade:  # fmt: skip
        name = symbol or self.symbol
        number = self.number(name) if id is None else id
        return Trade(venue="binance", market="perp", symbol=name, price=price, size=size, side=side,
                     ts=self.at(recv if ts is None else ts), recv=self.at(recv),
                     id=number)  # fmt: skip

    def quote(self, recv: float, bid: float = 99.9, ask: float = 100.1, bid_size: float = 1.0,
              ask_size: float = 1.0) -> Quote:  # fmt: skip
        seq = self.number("quote")
        return Quote(venue="binance", market="perp", symbol=self.symbol, ts=self.at(recv),
                     recv=self.at(recv), bid=bid, ask=ask, bid_size=bid_size, ask_size=ask_size,
                     seq=seq)  # fmt: skip

    def snapshot(self, recv: float, seq: int | None, bids: list[tuple[float, float]],
                 asks: list[tuple[float, float]]) -> BookSnapshot:  # fmt: skip
        return BookSnapshot(venue="binance", market="perp", symbol=self.symbol, ts=self.at(recv),
                            recv=self.at(recv), bids=bids, asks=asks, seq=seq)  # fmt: skip

    def delta(self, recv: float, first: int | None, seq: int | None, prev: int | None,
              bids: list[tuple[float, float]] | None = None,
              asks: list[tuple[float, float]] | None = None) -> BookDelta:  # fmt: skip
        return BookDelta(venue="binance", market="perp", symbol=self.symbol, ts=self.at(recv),
                         recv=self.at(recv), bids=bids or [], asks=asks or [], first_seq=first,
                         seq=seq, prev_seq=prev)  # fmt: skip

    def mark(self, recv: float) -> Mark:
        return Mark(venue="binance", market="perp", symbol=self.symbol, ts=self.at(recv),
                    recv=self.at(recv), mark=100.0, index=None)  # fmt: skip

    def kline(self, ts: float, seconds: int, ohlc: tuple[float, float, float, float],
              volume: float, taker: float | None, recv: float) -> Kline:  # fmt: skip
        return Kline(venue="binance", market="perp", symbol=self.symbol, ts=self.at(ts),
                     recv=self.at(recv), history=True, interval_s=seconds, open=ohlc[0],
                     high=ohlc[1], low=ohlc[2], close=ohlc[3], volume=volume,
                     taker_buy_volume=taker)  # fmt: skip

    def status(self, recv: float, state: str, stream: str | None = None,
               symbol: str | None = None) -> FeedStatus:  # fmt: skip
        return FeedStatus(venue="binance", market="perp", symbol=symbol, ts=self.at(recv),
                          recv=self.at(recv), feed="binance", connection="public", state=state,
                          stream=stream)  # fmt: skip


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def by_second() -> Callable[[Market, int], Cells]:
    """Every measure of the last 120 s, second by second; (1, 120, symbols) each."""

    def read(market: Market, now: int) -> Cells:
        market.view(now)
        history, each = market.history, np.array([1])
        out = np.full((SPAN_COLUMNS.fields, 1, BARS, history.symbols), np.nan)
        ends = history._ends(now, 1, each, BARS)
        history._read(out, 1, ends, each, np.array([0.5]), SPAN_COLUMNS)
        return Cells(*out)

    return read
