"""The books and trades of every venue as the engine has them, beside the simulator's truth.

Each execution is noted as its venue tells it, with what becomes of it on the way: `sent`, or
`blind` (nobody has subscribed to it), `silent` (an open socket says nothing), `spoilt` (its frame
was left out or cut off), `held` (swapped with its successor). Those sent must be taken, once each;
of those blind the engine must know.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import isclose
from typing import Any, NamedTuple

import numpy as np

from engine.clock import NS
from engine.events import Trade
from engine.instruments import LOTS
from engine.market.fields import FLOW_AT, TRADED
from engine.sim.market.tape import Print
from engine.sim.venues.deribit import INVERSE

STREAMS = {
    "binance": "{}@aggTrade", "bybit": "publicTrade.{}", "okx": "trades:{}",
    "bitget": "publicTrade:{}", "gate": "futures.trades:{}", "hyperliquid": "trades:{}",
    "dydx": "v4_trades:{}", "coinbase": "market_trades:{}", "deribit": "trades.{}.100ms",
}  # fmt: skip
WITHOUT_BOOKS = frozenset({"coinbase"})
TOP = {"hyperliquid": 5}  # levels that are of one instant, where a venue tells no more
SETTLED_NS = 5 * NS
LATE_NS = 2 * NS
KEPT_NS = 300 * NS
SAMPLES = 20
FATES = ("blind", "silent", "spoilt", "held", "unnoticed", "sent")
MUST_NOT = FATES[-2:]


class Told(NamedTuple):
    """An execution as it was told: at what time, by a clock how wrong, and its fate."""

    fill: Print
    at: int
    skew: int
    fate: str


class Truth:
    """One venue's own market: contracts, units, books, and through which streams it tells them."""

    def __init__(self, name: str, venue: Any) -> None:
        self.name, self.venue = name, venue
        own = name == "binance"
        self.contracts = venue.market.listings if own else venue.shadow.contracts
        self.books = venue.market.books if own else venue.shadow.books
        wires = [wire.name.lower() for wire in venue._frames.wires] if own else ()
        names = wires or [contract.name for contract in self.contracts]
        self.streams = [STREAMS[name].format(contract) for contract in names]
        # When what changed in a book was last told.
        self.told_at = [0] * len(self.contracts)

    def prices(self, place: int, ticks: Any) -> Any:
        """USD a coin."""
        contract = self.contracts[place]
        lot = LOTS["binance"].get(contract.id, 1) if self.name == "binance" else contract.lot
        return ticks * contract.tick / lot

    def coins(self, place: int, steps: Any, ticks: Any) -> Any:
        """Coins of so many steps, at a price where that matters."""
        contract = self.contracts[place]
        if self.name == "binance":
            return steps * contract.step * LOTS["binance"].get(contract.id, 1)
        if self.name == "deribit" and (usd := INVERSE.get(contract.id)):
            return steps * usd / self.prices(place, ticks)
        lot = contract.lot if self.name in ("bybit", "bitget") else 1.0
        return steps * contract.step * contract.coins * lot

    def same(self, place: int, book: Any) -> bool:
        """Whether the engine's book is the true one, as far as the venue tells it."""
        true, most = self.books[place], TOP.get(self.name)
        for ours, theirs, down in ((book.bids, true.bids, True), (book.asks, true.asks, False)):
            mine = np.array(sorted(ours.items(), reverse=down)[:most]).reshape(-1, 2)
            ticks, steps = np.array(sorted(theirs.items(), reverse=down)[:most], float).T
            wanted = np.stack((self.prices(place, ticks), self.coins(place, steps, ticks)), axis=1)
            if mine.shape != wanted.shape or not np.allclose(mine, wanted, rtol=1e-9, atol=0):
                return False
        return True

    def agrees(self, place: int, trade: Trade, told: Told) -> bool:
        """Whether a trade is that execution."""
        fill = told.fill
        return (
            isclose(trade.price, self.prices(place, fill.price), rel_tol=1e-9)
            and isclose(trade.size, self.coins(place, fill.size, fill.price), rel_tol=1e-9)
            and trade.side == ("buy" if fill.buy else "sell")
            and trade.ts // 1_000_000 - fill.ms == told.skew
        )

    def fate(self, stream: str) -> str:
        """What becomes of a frame that is sent now."""
        there = [c for c in self.venue.clients if c.open and stream in c.streams]
        stalled = self.venue.faults.stalled
        if not there:
            return "blind"
        heard = [c for c in there if not c.silent and c.route not in stalled]
        return "sent" if heard and stream not in stalled else "silent"


class Ledger:
    """What the engine was given of each venue and what it could not see, beside the truth."""

    def __init__(self, market: Any, venues: Mapping[str, Any]) -> None:
        self.market = market
        self.truths = {name: Truth(name, v) for name, v in venues.items() if name in STREAMS}
        self.looks: dict[str, Counter[str]] = defaultdict(Counter)
        self.wrong: list[str] = []
        self.taken: Counter[str] = Counter()
        self.late: Counter[str] = Counter()
        self.uncovered: Counter[str] = Counter()  # ns in which some trades had no subscriber
        self.twice: list[str] = []
        self.false: list[str] = []
        # Venue, symbol and number of those not taken of late; older ones are only counted.
        self.missing: dict[tuple[str, str, int], Told] = {}
        self._given_up: dict[str, Counter[str]] = defaultdict(Counter)
        self._pending: dict[tuple[str, str], dict[int, Told]] = defaultdict(dict)
        self._places = {
            (name, contract.id): place
            for name, truth in self.truths.items()
            for place, contract in enumerate(truth.contracts)
        }
        self._given: Counter[str] = Counter()  # quanta of the reference's trades taken
        self._now = 0
        self._apply = market.apply
        market.apply = self._note
        for truth in self.truths.values():
            self._follow(truth)

    # -- what venues tell ------------------------------------------------------------------

    def _follow(self, truth: Truth) -> None:
        """Hear of all a venue tells, and of the frames that faults spoil."""
        venue = truth.venue
        publish, frames = venue.publish, venue.frames
        turns: list[tuple[int, Any]] = []
        if truth.name != "binance":
            step = venue.shadow.step

            def stepped(tick: Any) -> Any:
                turns[:] = step(tick)
                return turns

            venue.shadow.step = stepped

        def told(tick: Any) -> Any:
            # While it makes its frames a venue may cut who has not answered its pings.
            before = [truth.fate(stream) for stream in truth.streams]
            messages = frames(tick)
            played = turns if truth.name != "binance" else enumerate(tick.played)
            self._register(truth, list(played), before)
            return messages

        async def published(tick: Any) -> None:
            self._now = tick.ts
            await publish(tick)
            self._spoil(truth)

        venue.frames, venue.publish = told, published

    def _register(self, truth: Truth, turns: Sequence[tuple[int, Any]],
                  before: Sequence[str]) -> None:  # fmt: skip
        fates = [truth.fate(stream) for stream in truth.streams]
        self.uncovered[truth.name] += ("blind" in fates) * NS // 10
        skew = truth.venue.faults.skew_ms
        for place, played in turns:
            symbol, fate = truth.contracts[place].id, fates[place]
            if played.diff.last > played.diff.previous:
                truth.told_at[place] = self._now
            listed = self.market.listed.get((truth.name, symbol))
            if fate == before[place] == "blind" and listed is not None and listed.live:
                fate = "unnoticed"
            for fill in played.prints:
                pending = self._pending[truth.name, symbol]
                pending[fill.id] = Told(fill, self._now, skew, fate)

    def _spoil(self, truth: Truth) -> None:
        """The trades of this tick whose frame something happened to."""
        spoilt = truth.venue.faults.spoilt
        for kind, stream in list(spoilt):
            if stream not in truth.streams or kind == "duplicate":
                continue
            place = truth.streams.index(stream)
            pending = self._pending[truth.name, truth.contracts[place].id]
            fate = "held" if kind in ("reorder", "lost") else "spoilt"
            for number, told in pending.items():
                if told.at == self._now and told.fate == "sent":
                    pending[number] = told._replace(fate=fate)
        spoilt.clear()

    # -- what the engine takes -------------------------------------------------------------

    def _note(self, event: Any) -> None:
        if type(event) is not Trade:
            self._apply(event)
            return
        key = event.venue, event.symbol
        before = self.market.listed[key].prints if key in self.market.listed else 0
        self._apply(event)
        if key in self._places and self.market.listed[key].prints > before:
            self._accept(event)

    def _accept(self, trade: Trade) -> None:
        """A trade was counted: it must be one of those told, and counted for the first time."""
        key, number = (trade.venue, trade.symbol or ""), number_of(trade.id)
        told = self._pending[key].pop(number, None) or self.missing.pop((*key, number), None)
        self.taken[trade.venue] += 1
        if trade.venue == "binance":
            quanta = max(round(trade.price * trade.size / TRADED), 1)
            self._given[trade.symbol or ""] += quanta
        if told is None:
            self.twice.append(f"{trade.venue} {trade.symbol} {trade.id}")
            return
        self.late[trade.venue] += self._now - told.at > LATE_NS
        if not self.truths[trade.venue].agrees(self._places[key], trade, told):
            self.false.append(f"{trade} given, {told} true")

    def sweep(self, now: int) -> None:
        """Give up those not taken for a while; they may come yet, replayed or held back."""
        for (venue, symbol), pending in self._pending.items():
            for number in [n for n, told in pending.items() if now - told.at > SETTLED_NS]:
                self.missing[venue, symbol, number] = pending.pop(number)
        for key in [k for k, told in self.missing.items() if now - told.at > KEPT_NS]:
            if self.missing[key].fate not in MUST_NOT:
                self._given_up[key[0]][self.missing.pop(key).fate] += 1

    def lost(self, venue: str) -> Counter[str]:
        """Trades not taken, by their fate; `sent` and `unnoticed` must be none."""
        fates = Counter(told.fate for (name, _, _), told in self.missing.items() if name == venue)
        return fates + self._given_up[venue]

    def samples(self, fate: str) -> list[str]:
        """Some of those not taken."""
        found = [f"{v} {s} {n} told at {told.at}" for (v, s, n), told in self.missing.items()
                 if told.fate == fate]  # fmt: skip
        return found[:SAMPLES]

    # -- books -----------------------------------------------------------------------------

    def books(self, venue: str) -> dict[str, str]:
        """Symbol -> true, behind (what was told last has not come), broken (known not to be
        whole), or wrong, which must not be."""
        truth, out = self.truths[venue], {}
        for place, contract in enumerate(truth.contracts):
            if venue in WITHOUT_BOOKS:
                break
            listed = self.market.listed.get((venue, contract.id))
            if listed is None or not listed.book.synced:
                out[contract.id] = "broken"
            elif listed.book.recv < truth.told_at[place]:
                out[contract.id] = "behind"
            else:
                out[contract.id] = "true" if truth.same(place, listed.book) else "wrong"
        return out

    def look(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Compare all books of all venues now."""
        for venue in self.truths:
            for symbol, state in self.books(venue).items():
                self.looks[venue][state] += 1
                if state == "wrong":
                    self.wrong.append(f"{venue} {symbol} at {self._now}")
                    say(self.wrong[-1])

    def counted_twice(self) -> float:
        """Notional in the reference's bars beyond that of the trades taken, as a share of it."""
        ring = self.market.history.flow[60]
        held = ring.sums(np.array([ring.head + 1]), ring.size - 2)[0]
        counted = held[FLOW_AT["buy"]] + held[FLOW_AT["sell"]]
        given = np.array([float(self._given[s]) for s in self.market.symbols])
        for trade in self.market._trades:
            quanta = max(round(trade.price * trade.size / TRADED), 1)
            given[self.market._place[trade.symbol]] -= quanta
        return float(np.abs(counted / np.maximum(given * TRADED, TRADED) - 1).max())


def number_of(trade_id: int | str) -> int:
    """The tape's number of a trade of any venue: UUIDs and hexadecimals end with it."""
    if isinstance(trade_id, int):
        return trade_id
    if trade_id.startswith("USDC-"):
        return int(trade_id[5:])
    return int(trade_id.rpartition("-")[2], 16) if "-" in trade_id else int(trade_id[8:], 16)
