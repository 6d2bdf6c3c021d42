"""Each recording through its feed into the market: what it holds, that nothing is missing in it.

That the rebuilt books are the venues' own is in tests/market/test_book.py (Binance, against its
quotes) and test_bybit_wire.py (against its ticker).
"""

from collections import Counter
from pathlib import Path

import pytest

from engine.config import load
from engine.events import BookDelta, BookSnapshot, Event, Trade
from engine.feeds.feed import Context, DecodeError, build_feed
from engine.jobs.lines import read_lines
from engine.market.market import Market

WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
CONFIG, _ = load()
SYMBOLS = tuple(instrument.id for instrument in CONFIG.instruments)
pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout"),
]


class Played:
    """A recording, event by event, in a market whose reference is its venue."""

    def __init__(self, name: str, file: str, symbol: str | None = None) -> None:
        feed = build_feed(name, CONFIG.feeds[name], CONFIG.instruments)
        self.market = Market(SYMBOLS, name)
        self.kinds: Counter[tuple] = Counter()
        self.refused: Counter[str] = Counter()
        self.trades: list[Trade] = []
        self.looked = 0
        context = Context(recv=None, symbol=symbol)
        for line in read_lines(WIRE / file):
            context.recv, context.url = line.recv, line.url
            try:
                events = feed.decode(line.data, context)
            except DecodeError as error:
                self.refused[str(error)] += 1
                continue
            for event in events:
                self._take(event)

    def _take(self, event: Event) -> None:
        kind = (event.market, type(event).__name__, event.history)
        self.kinds[kind] += 1
        self.market.apply(event)
        if isinstance(event, Trade):
            self.trades.append(event)
        listed = self.market.listed.get((event.venue, event.symbol))
        if isinstance(event, BookSnapshot | BookDelta) and listed and listed.book.synced:
            # Whole books of a thousand levels: one update in ten.
            self.looked += self.kinds[kind] % 10 == 1 and self._is_whole(listed.book)

    @staticmethod
    def _is_whole(book) -> bool:
        assert max(book.bids) < min(book.asks)
        return True

    def prints(self) -> dict[str, int]:
        return {symbol: x.prints for (_, symbol), x in self.market.listed.items() if x.prints}

    def sound(self, *, snapshots: int = 1) -> None:
        """Neither books nor tapes with a gap; each trade once, also when all are sent again."""
        for listed in self.market.listed.values():
            book = listed.book
            assert (book.gaps, book.resyncs, listed.trade_gaps) == (0, 0, 0)
            assert book.snapshots == snapshots
        before, drops = self.prints(), self.market.drops["repeated trade"]
        assert drops == 0
        again = [t for t in self.trades if not t.history]
        for trade in self.trades:
            self.market.apply(trade)
        foreign = sum(t.market != "perp" and t.venue != "coinbase" for t in again)
        assert self.market.drops["repeated trade"] == len(again) - foreign == sum(before.values())
        assert self.prints() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("symbol", "quotes", "deltas", "early", "trades"),
    [("BTCUSDT", 66_089, 6_551, 4, 21_313), ("ETHUSDT", 53_992, 6_586, 5, 14_076)],
)
def test_binance(symbol, quotes, deltas, early, trades):
    played = Played("binance", f"binance_usdm/{symbol.lower()}_20240808.gz", symbol)
    assert played.kinds == {
        ("perp", "Quote", False): quotes,
        ("perp", "BookDelta", False): deltas,
        ("perp", "Trade", False): trades,
        ("perp", "BookSnapshot", False): 1,
    }
    assert not played.refused
    assert not played.market.drops
    book = played.market.listed["binance", symbol].book
    assert (book.applied, book.stale_dropped) == (deltas - early, early)
    assert played.looked > 600
    played.sound()


def test_bybit_whose_spot_enters_no_perpetual_flow():
    played = Played("bybit", "bybit/BYBIT.jsonl.zst")
    assert played.kinds == {
        ("perp", "BookSnapshot", False): 4,
        ("perp", "BookDelta", False): 1594,
        ("perp", "Trade", False): 327,
        ("perp", "Quote", False): 638,
        ("perp", "Mark", False): 89,
        ("perp", "Funding", False): 10,
        ("perp", "OpenInterest", False): 20,
        ("spot", "BookSnapshot", False): 2,
        ("spot", "BookDelta", False): 548,
        ("spot", "Trade", False): 20,
    }
    assert played.refused == {"unknown topic": 96}
    assert played.market.drops == {"not a perpetual": 570}
    assert played.prints() == {"BTCUSDT": 56, "ETHUSDT": 23, "SOLUSDT": 165, "DOGEUSDT": 83}
    applied = {s: x.book.applied for (_, s), x in played.market.listed.items()}
    assert applied == {"BTCUSDT": 413, "ETHUSDT": 420, "SOLUSDT": 382, "DOGEUSDT": 379}
    played.sound()


def test_coinbase_whose_history_enters_no_flow():
    played = Played("coinbase", "coinbase/COINBASE.jsonl.zst")
    assert played.kinds == {
        ("spot", "Trade", True): 200,
        ("spot", "Trade", False): 79,
        ("spot", "Quote", False): 160,
    }
    assert played.refused == {"not asked for: l2_data": 775, "not asked for: candles": 6}
    assert played.market.drops == {"history trade": 200}
    assert played.prints() == {"BTCUSDT": 47, "ETHUSDT": 32}
    played.sound(snapshots=0)


def test_hyperliquid_whose_books_come_whole():
    played = Played("hyperliquid", "hyperliquid/btcusd_20250126.gz")
    assert played.kinds == {
        ("perp", "BookSnapshot", False): 46,
        ("perp", "Trade", True): 30,
        ("perp", "Trade", False): 34,
    }
    assert not played.refused
    assert played.market.drops == {"history trade": 30}
    assert played.market.listed["hyperliquid", "BTCUSDT"].book.applied == 45
    played.sound()
