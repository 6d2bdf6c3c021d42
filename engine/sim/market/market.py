"""The market itself: advances in ticks of simulated time and keeps the truth."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from engine.clock import NS
from engine.sim.market.bars import Bars
from engine.sim.market.book import TrueBook
from engine.sim.market.chance import Array, stream
from engine.sim.market.listings import column, listing_of
from engine.sim.market.marks import Mark, Marks
from engine.sim.market.past import make_past
from engine.sim.market.play import Deal, Played, Player
from engine.sim.market.positions import Positions
from engine.sim.market.process import Process
from engine.sim.market.relations import Episode
from engine.sim.market.scenario import SCENARIOS, Scenario, Schedule, Switches
from engine.sim.market.spoofing import Shown, Spoofer
from engine.sim.market.takers import Orders
from engine.sim.market.tape import Tape

TICK_S = 0.1
IMPACT = 0.25  # of the way a liquidation would move price through a book that is not refilled
LARGEST_IMPACT = 30e-4


class Tick(Struct, frozen=True, eq=False):
    """What one tick brought: `ts` its end in ns, one entry a symbol; `mark` on whole seconds."""

    ts: int
    played: tuple[Played, ...]
    mark: Mark | None


class SimulatedMarket:
    """A seeded market of the given symbols; `tick` advances it.

    `rate` scales activity, `dt` is a tick's length in s (a second or an even part of it): longer
    ones make a coarser market for statistics over days. `start` in ns (a whole minute), else the
    scenario's own; `kept`: executions kept a symbol, None all. The truth: `books`, `tapes`,
    `bars`, `positions`, `episodes`, `walls`.
    """

    def __init__(self, symbols: Sequence[str], scenario: str | Scenario = "default",
                 seed: int = 1, rate: float = 1.0, switches: Switches | None = None,
                 start: int | None = None, kept: int | None = None,
                 dt: float = TICK_S) -> None:  # fmt: skip
        chosen = SCENARIOS[scenario] if isinstance(scenario, str) else scenario
        if switches is not None:
            chosen = Scenario(**{f: getattr(chosen, f) for f in chosen.__struct_fields__}
                              | {"switches": switches})  # fmt: skip
        self.scenario, self.seed, self.rate = chosen, seed, rate
        self.symbols = tuple(symbols)
        self.listings = tuple(listing_of(symbol) for symbol in symbols)
        self.start = start_of(chosen) if start is None else start // (60 * NS) * 60 * NS
        self.now = self.start
        self.dt, self.tick_ns = dt, round(dt * NS)
        if NS % self.tick_ns:
            raise ValueError(f"a tick of {dt:g} s is no even part of a second")
        self.ticks = 0
        self._build(chosen, seed, kept)

    def _build(self, scenario: Scenario, seed: int, kept: int | None) -> None:
        listings, count = self.listings, len(self.listings)
        second = self.start // NS
        past = make_past(listings, scenario, seed, second, self.rate)
        self.bars = Bars(listings, past)
        self.positions = Positions(listings, seed, past, scenario.crowded,
                                   scenario.crowded_shorts)  # fmt: skip
        self.tapes = tuple(Tape(kept) for _ in listings)
        luck = stream(seed, "books")
        self.books = tuple(TrueBook(listing, luck.random) for listing in listings)
        self._player = Player(self.books, self.tapes, self.bars, seed, self.rate * scenario.rate,
                              self.dt)  # fmt: skip
        self._process = Process(listings, scenario, seed, self.dt, self.rate)
        self._spoofer = Spoofer(self.schedule, self.books, seed)
        self._marks = Marks(count, seed, second, carry=not scenario.sets_premium)
        self.premium = self.schedule.premium(0.0)
        self._volume, self._bought = np.zeros(count), np.zeros(count)
        self._depth = column(listings, "depth")
        self._worth = column(listings, "tick") * column(listings, "step")
        self._forced: list[list[tuple[bool, int]]] = [[] for _ in listings]
        self.mark = self._marks.step(second, self.mids, self._process.tilt, self.premium)

    @property
    def episodes(self) -> list[Episode]:
        """Flow turns so far, of the truth."""
        return self._process.relations.episodes

    @property
    def schedule(self) -> Schedule:
        """What the scenario has in store."""
        return self._process.schedule

    @property
    def walls(self) -> list[Shown]:
        """Spoofed walls so far, of the truth."""
        return self._spoofer.walls

    @property
    def regime(self) -> int:
        """Which of factor.REGIMES rules."""
        return self._process.returns.regime

    @property
    def mids(self) -> Array:
        """(symbols,) middle of the touch in ticks."""
        return np.array([(book.bid + book.ask) / 2 for book in self.books])

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.ticks * self.dt

    def place(self, symbol: str) -> int:
        """Where a symbol stands in every (symbols,) array."""
        return self.symbols.index(symbol)

    def tick(self) -> Tick:
        """Advance by one tick and tell what happened."""
        began = self.now
        if began % (60 * NS) == 0:
            self.bars.open_minute()
        whole, orders = self._process.step(self.elapsed, self.mids)
        self._spoofer.step(self.elapsed)
        self.books[self.ticks % len(self.books)].prune()
        self.ticks += 1
        self.now = self.start + self.ticks * self.tick_ns
        played = self._play(began // 1_000_000, whole, orders)
        mark = self._second(played) if self.now % NS == 0 else None
        return Tick(self.now, played, mark)

    def _play(self, ms: int, whole: NDArray[np.int64], orders: Orders) -> tuple[Played, ...]:
        deals: list[list[Deal]] = [[] for _ in self.books]
        for place, buy, usd, when in zip(orders.symbol.tolist(), orders.buy.tolist(),
                                         orders.usd.tolist(), orders.when.tolist(),
                                         strict=True):  # fmt: skip
            deals[place].append((ms + int(when * self._player.last_ms), buy, usd))
        out = []
        for place, (move, some) in enumerate(zip(whole.tolist(), deals, strict=True)):
            played = self._player.play(place, ms, move, some, self._forced[place])
            out.append(played)
            for fill in played.prints:
                self._volume[place] += fill.size
                self._bought[place] += fill.size if fill.buy else 0
        return tuple(out)

    def _second(self, played: Sequence[Played]) -> Mark:
        """What happens once a second: marks, positions, liquidations and what they push."""
        second, mids = self.now // NS, self.mids
        self.premium = self.schedule.premium(self.elapsed)
        self.mark = self._marks.step(second, mids, self._process.tilt, self.premium)
        balance = 2 * self._bought / np.maximum(self._volume, 1) - 1
        building = self.schedule.building(self.elapsed)
        self.positions.trade(self._volume / self.rate, balance, self.elapsed, 1.0, mids, building)
        self._volume, self._bought = np.zeros_like(mids), np.zeros_like(mids)
        for order in self.positions.liquidate(self.mark.mark):
            self._forced[order.symbol].append((order.long, order.steps))
            usd = order.steps * mids[order.symbol] * self._worth[order.symbol]
            reach = min(IMPACT * 10e-4 * usd / self._depth[order.symbol], LARGEST_IMPACT)
            way = -self.scenario.switches.cascade if order.long else self.scenario.switches.cascade
            self._process.push(order.symbol, way * reach)
        return self.mark


def start_of(scenario: Scenario) -> int:
    """Where a scenario begins, ns UTC."""
    return int(datetime.fromisoformat(scenario.start).timestamp()) * NS
