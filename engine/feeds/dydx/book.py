"""dYdX's books cross: validators see orders at different moments; here they are uncrossed.

The venue's own procedure (docs.dydx.xyz, "Watch orderbook", uncrossing): of two crossing levels
the one that was stated earlier goes, by the number of its message; two of the same message net
each other out. Which is older only a whole book can tell, so one is kept per symbol: price ->
(size, message) of some hundred levels a side, nothing else.
"""

from math import inf

from engine.events import Levels

Sizes = dict[float, tuple[float, int]]


class UncrossedBook:
    """One symbol's book; never crossed after `replace` or `apply`.

    `seq` numbers the events made of it without a gap, since the venue's numbers count messages of
    the whole connection. `lost` once a message is missing, until the next snapshot.
    """

    __slots__ = ("asks", "best_ask", "best_bid", "bids", "connection", "lost", "seq", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.bids: Sizes = {}
        self.asks: Sizes = {}
        self.best_bid, self.best_ask = 0.0, inf
        self.connection = ""
        self.lost = True
        self.seq = 0

    def replace(self, bids: Levels, asks: Levels, message: int) -> tuple[Levels, Levels]:
        """Begin anew; returns the levels that are left."""
        self.bids, self.asks = {}, {}
        self.best_bid, self.best_ask = 0.0, inf
        self.lost = False
        self.apply(bids, asks, message)
        return _levels(self.bids), _levels(self.asks)

    def apply(self, bids: Levels, asks: Levels, message: int) -> tuple[Levels, Levels]:
        """Set absolute sizes, 0 deletes; returns all that changed thereby."""
        own = self.bids
        for price, size in bids:
            if size:
                own[price] = (size, message)
                if price > self.best_bid:
                    self.best_bid = price
            elif own.pop(price, None) is not None and price == self.best_bid:
                self.best_bid = max(own, default=0.0)
        own = self.asks
        for price, size in asks:
            if size:
                own[price] = (size, message)
                if price < self.best_ask:
                    self.best_ask = price
            elif own.pop(price, None) is not None and price == self.best_ask:
                self.best_ask = min(own, default=inf)
        if self.best_bid < self.best_ask:
            return bids, asks
        return self._uncross(dict(bids), dict(asks))

    def _uncross(self, bids: dict[float, float], asks: dict[float, float]) -> tuple[Levels, Levels]:
        while self.best_bid >= self.best_ask:
            bid, ask = self.best_bid, self.best_ask
            bid_size, bid_message = self.bids[bid]
            ask_size, ask_message = self.asks[ask]
            if bid_message != ask_message:
                older = bid_message < ask_message
                bid_size, ask_size = (0.0, ask_size) if older else (bid_size, 0.0)
            else:
                both = min(bid_size, ask_size)
                bid_size, ask_size = bid_size - both, ask_size - both
            bids[bid], asks[ask] = bid_size, ask_size
            _put(self.bids, bid, bid_size, bid_message)
            _put(self.asks, ask, ask_size, ask_message)
            self.best_bid = max(self.bids, default=0.0)
            self.best_ask = min(self.asks, default=inf)
        return list(bids.items()), list(asks.items())


def _put(side: Sizes, price: float, size: float, message: int) -> None:
    if size:
        side[price] = (size, message)
    else:
        del side[price]


def _levels(side: Sizes) -> Levels:
    return [(price, size) for price, (size, _) in side.items()]
