"""One symbol at one venue: its book, last quote and trade, and when each of its inputs came."""

from collections import Counter, deque

from engine.events import Funding, Liquidation, Mark, OpenInterest, Quote, Trade
from engine.market.book import Book
from engine.market.tape import GAPLESS_IDS, TradeIds

TAPE_KEPT = 400


class Listed:
    """What is known of one symbol at one venue."""

    __slots__ = (
        "book",
        "counts",
        "funding",
        "ids",
        "index",
        "last",
        "liquidations",
        "live",
        "live_from",
        "mark",
        "ofi",
        "oi",
        "others_at",
        "prints",
        "quote",
        "quote_at",
        "quotes",
        "symbol",
        "tape",
        "trade_at",
        "trade_gaps",
        "traded",
        "venue",
    )

    def __init__(self, venue: str, symbol: str, index: int) -> None:
        self.venue = venue
        self.symbol = symbol
        self.index = index
        self.book = Book()
        self.ids = TradeIds(venue in GAPLESS_IDS)
        self.quote: Quote | None = None
        self.last: Trade | None = None
        self.mark: Mark | None = None
        self.funding: Funding | None = None
        self.oi: deque[OpenInterest] = deque(maxlen=400)
        self.liquidations: deque[Liquidation] = deque(maxlen=2000)
        self.tape: deque[Trade] = deque(maxlen=TAPE_KEPT)
        self.trade_gaps = 0
        self.live = False
        self.live_from = 0
        self.quotes = 0
        self.prints = 0
        self.quote_at = 0
        self.trade_at = 0
        self.ofi = 0.0
        self.counts: Counter[str] = Counter()
        self.others_at: dict[str, int] = {}
        self.traded: list[float] | None = None

    def add_flow(self, place: int, notional: float) -> None:
        """Taker buys, sells, longs and shorts liquidated (0..3) since the last second."""
        if self.traded is None:
            self.traded = [0.0, 0.0, 0.0, 0.0]
        self.traded[place] += notional

    @property
    def recv(self) -> dict[str, int]:
        """Input -> when its last event came, ns; only those that ever came."""
        often = {"trades": self.trade_at, "quote": self.quote_at}
        return self.others_at | {need: at for need, at in often.items() if at}

    def events(self, channel: str) -> int:
        """Events taken from one of the symbol's streams."""
        if channel == "depth":
            return self.book.applied
        often = {"quote": self.quotes, "trade": self.prints}
        return often[channel] if channel in often else self.counts[channel]
