"""Stream frames of Binance USD-M futures in the shapes of 2026 (exchange documentation)."""

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from engine.clock import NS
from engine.instruments import venue_name
from engine.sim.market.listings import Listing
from engine.sim.market.market import Tick
from engine.sim.market.marks import Mark
from engine.sim.market.past import COUNT, TAKEN, VOLUME, Whole
from engine.sim.market.play import Closed, Diff, Touch
from engine.sim.market.shadow import cadence
from engine.sim.market.tape import Print
from engine.sim.venues.faults import Message

VENUE = "binance"
PUBLIC = ("depth@100ms", "bookTicker")
MARKET = ("aggTrade", "markPrice@1s", "forceOrder")
MARK_DECIMALS = 8


class Wire:
    """One contract's names and number formats, and its frames."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.name = venue_name(VENUE, listing.id)
        low = self.name.lower()
        self.depth, self.quote, self.trade, self.mark, self.force = (
            f"{low}@{suffix}" for suffix in (*PUBLIC, *MARKET)
        )
        self._tick, self._step = listing.tick, listing.step
        price, size = f"%.{listing.decimals}f", f"%.{listing.step_decimals}f"
        self._level = f'["{price}","{size}"]'
        # Most messages are quotes and trades: their format is made once.
        self._quote = (
            f'{{"e":"bookTicker","u":%d,"s":"{self.name}","ps":"{self.name}","b":"{price}",'
            f'"B":"{size}","a":"{price}","A":"{size}","T":%d,"E":%d,"st":1}}'
        ).encode()
        self._fill = (
            f'{{"e":"aggTrade","E":%d,"a":%d,"s":"{self.name}","p":"{price}","q":"{size}",'
            f'"nq":"{size}","f":%d,"l":%d,"T":%d,"m":%b,"st":1}}'
        ).encode()

    def levels(self, levels: Mapping[int, int], descending: bool) -> str:
        """A side as JSON, from the touch outwards."""
        tick, step, form = self._tick, self._step, self._level
        ordered = sorted(levels.items(), reverse=descending)
        return ",".join([form % (price * tick, size * step) for price, size in ordered])

    def depth_update(self, diff: Diff, ms: int) -> bytes:
        return (
            f'{{"e":"depthUpdate","E":{ms},"T":{ms - 1},"s":"{self.name}","U":{diff.first},'
            f'"u":{diff.last},"pu":{diff.previous},"b":[{self.levels(diff.bids, False)}],'
            f'"a":[{self.levels(diff.asks, False)}],"st":1}}'
        ).encode()

    def book_ticker(self, touch: Touch) -> bytes:
        tick, step = self._tick, self._step
        return self._quote % (touch.seq, touch.bid * tick, touch.bid_size * step,
                              touch.ask * tick, touch.ask_size * step, touch.ms,
                              touch.ms)  # fmt: skip

    def agg_trade(self, fill: Print) -> bytes:
        size, maker = fill.size * self._step, b"false" if fill.buy else b"true"
        return self._fill % (fill.ms, fill.id, fill.price * self._tick, size, size, fill.first,
                             fill.last, fill.ms, maker)  # fmt: skip

    def mark_price(self, mark: Mark, place: int, ms: int) -> bytes:
        row = {name: self.mark_text(getattr(mark, name)[place])
               for name in ("mark", "index", "average")}  # fmt: skip
        return (
            f'{{"e":"markPriceUpdate","E":{ms},"s":"{self.name}","p":"{row["mark"]}",'
            f'"ap":"{row["average"]}","i":"{row["index"]}","P":"{row["index"]}",'
            f'"r":"{mark.rate[place]:.8f}","T":{mark.next * 1000},"st":1}}'
        ).encode()

    def mark_text(self, ticks: float) -> str:
        return f"{ticks * self.listing.tick:.{MARK_DECIMALS}f}"

    def force_order(self, closed: Closed, ms: int) -> bytes:
        size = self.listing.size_text(closed.size)
        average = f"{closed.average * self.listing.tick:.{self.listing.decimals + 2}f}"
        side = "SELL" if closed.long else "BUY"
        return (
            f'{{"e":"forceOrder","E":{ms},"o":{{"s":"{self.name}","S":"{side}","o":"LIMIT",'
            f'"f":"IOC","q":"{size}","p":"{self.listing.price_text(closed.price)}",'
            f'"ap":"{average}","X":"FILLED","l":"{size}","z":"{size}","T":{closed.ms}}},"st":1}}'
        ).encode()


class Frames:
    """Turns ticks of the market into the messages of both routes, in the venue's order.

    The lower the market's `rate`, the less often quotes, books and marks are told.
    """

    def __init__(self, listings: Sequence[Listing], rate: float = 1.0) -> None:
        self.wires = [Wire(listing) for listing in listings]
        self.streams = {
            "public": {s for wire in self.wires for s in (wire.depth, wire.quote)},
            "market": {s for wire in self.wires for s in (wire.trade, wire.mark, wire.force)},
        }
        self._largest: list[Closed | None] = [None] * len(self.wires)
        self._books_every = cadence(0.1, rate)
        self._marks_every = cadence(1.0, rate)
        self._touches: dict[int, Touch] = {}
        self._diffs: dict[int, list[Diff]] = {}

    def public(self, tick: Tick) -> list[Message]:
        """Quotes as the touch changed, then what changed in the book."""
        if self._books_every:
            return self._gathered(tick)
        ms, out = tick.ts // 1_000_000, []
        for wire, played in zip(self.wires, tick.played, strict=True):
            out += [(wire.quote, wire.book_ticker(touch)) for touch in played.touches]
            if played.diff.last > played.diff.previous:
                out.append((wire.depth, wire.depth_update(played.diff, ms)))
        return out

    def _gathered(self, tick: Tick) -> list[Message]:
        """Of a sparse market now and then the newest quote, and all that changed since the last."""
        for place, played in enumerate(tick.played):
            if played.touches:
                self._touches[place] = played.touches[-1]
            if played.diff.last > played.diff.previous:
                self._diffs.setdefault(place, []).append(played.diff)
        if tick.ts % (self._books_every * NS):
            return []
        ms, out = tick.ts // 1_000_000, []
        for place, touch in self._touches.items():
            wire = self.wires[place]
            out.append((wire.quote, wire.book_ticker(touch._replace(ms=ms - 1))))
        for place, diffs in self._diffs.items():
            wire = self.wires[place]
            out.append((wire.depth, wire.depth_update(_joined(diffs), ms)))
        self._touches, self._diffs = {}, {}
        return out

    def market(self, tick: Tick) -> list[Message]:
        """Trades; on whole seconds the largest liquidation of each symbol, and the marks."""
        ms, out = tick.ts // 1_000_000, []
        for place, (wire, played) in enumerate(zip(self.wires, tick.played, strict=True)):
            out += [(wire.trade, wire.agg_trade(fill)) for fill in played.prints]
            for closed in played.closed:
                known = self._largest[place]
                if known is None or closed.size > known.size:
                    self._largest[place] = closed
        if tick.ts % NS == 0:
            out += self._forced(ms)
        if tick.mark is not None and tick.ts // NS % self._marks_every == 0:
            for place, wire in enumerate(self.wires):
                out.append((wire.mark, wire.mark_price(tick.mark, place, ms)))
        return out

    def _forced(self, ms: int) -> list[Message]:
        """The venue tells no more than the largest liquidation per symbol and second."""
        out = [
            (wire.force, wire.force_order(closed, ms))
            for wire, closed in zip(self.wires, self._largest, strict=True)
            if closed is not None
        ]
        self._largest = [None] * len(self.wires)
        return out


def _joined(diffs: Sequence[Diff]) -> Diff:
    """Changes in a row as one."""
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for diff in diffs:
        bids |= diff.bids
        asks |= diff.asks
    return Diff(diffs[0].first, diffs[-1].last, diffs[0].previous, bids, asks)


def rows_text(wire: Wire, begin: int, seconds: int, rows: Whole) -> bytes:
    """Kline rows as JSON; `rows` as of market.bars, opening at `begin` (s) and every `seconds`."""
    listing = wire.listing
    price, size = f'"%.{listing.decimals}f"', f'"%.{listing.step_decimals}f"'
    row = ",".join(["[%d", *[price] * 4, size, "%d", '"%.5f"', "%d", size, '"%.5f"', '"0"]'])
    prices, volume, taken = rows[:, :4] * listing.tick, rows[:, VOLUME], rows[:, TAKEN]
    opened = (begin + seconds * np.arange(len(rows))) * 1000
    typical = prices[:, 1:].mean(axis=1)
    columns = (
        opened, *prices.T, volume * listing.step, opened + seconds * 1000 - 1,
        volume * listing.step * typical, rows[:, COUNT], taken * listing.step,
        taken * listing.step * typical,
    )  # fmt: skip
    values = chain.from_iterable(zip(*(column.tolist() for column in columns), strict=True))
    return f"[{','.join([row] * len(rows)) % tuple(values)}]".encode()
