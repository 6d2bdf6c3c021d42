"""A venue's own market, which follows the reference: its books, tape, marks and open interest.

Price is the reference's of some tenths of a second ago with a premium that wanders; takers are a
share of the reference's, drawn anew, so that both lean the same way. By seed and venue alone.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import exp, floor, log10

import numpy as np
from msgspec import Struct

from engine.clock import NS
from engine.instruments import LOTS
from engine.sim.market.book import TrueBook
from engine.sim.market.chance import Array, Wave, stream
from engine.sim.market.listings import Listing
from engine.sim.market.market import SimulatedMarket, Tick
from engine.sim.market.marks import CAPS
from engine.sim.market.play import Closed, Diff, Played, Touch
from engine.sim.market.tape import Print, Tape

REFERENCE = "binance"
KEPT = 20_000  # executions a symbol
MEMORY_S = 12.0  # of the reference that shadows may look back
EVEN_S = (1, 2, 5, 10)  # between what a sparse market tells: parts of an engine's step
FUNDING_S = 8 * 3600
PREMIUM_S = 150.0
INTEREST_S = 3600.0
INTEREST_SPREAD = 0.02
SPREAD_S = 4 * 3600.0
SPREAD = 4e-5  # of funding rates between venues, per 8 h
LIKE = 0.88  # of the takers that take the reference's side
BODY = 0.8  # deviation of the log of a size drawn anew
STICKY = 0.75  # ticks the price may be off before the touch follows
CHURN = 3  # maker updates a turn
PRUNED = 0.08  # of the turns end with stray orders gone
NARROW = 0.5


class Contract(Listing, frozen=True):
    """A venue's contract: `name` there, `lot` coins its price is for, `coins` in a unit of size.

    `depth` is in units of price times size, as the book counts.
    """

    name: str = ""
    lot: float = 1.0
    coins: float = 1.0

    @property
    def worth(self) -> float:
        """USD of one step at a price of one tick."""
        return self.tick / self.lot * self.step * self.coins

    def base(self, steps: float) -> float:
        """Coins of so many steps."""
        return steps * self.step * self.coins


class Character(Struct, frozen=True):
    """How a venue differs from the reference.

    `lag` s behind it; `share` of its takers, `depth` and `interest` of its resting size and open
    interest; `premium` bps of deviation around `bias`; `lean` bps per unit of the takers' tilt,
    by which a venue leads; `every` s between turns of a book; `hours` between fundings.
    """

    lag: float = 0.2
    share: float = 0.3
    depth: float = 0.4
    interest: float = 0.4
    premium: float = 1.2
    bias: float = 0.0
    lean: float = 0.0
    every: float = 0.4
    hours: float = 8.0


class Reference:
    """The market and what shadows may see of its last seconds; `tick` advances it.

    `lags`: whether venues lag behind or lean ahead at all.
    """

    def __init__(self, market: SimulatedMarket, lags: bool = True) -> None:
        self.market, self.lags = market, lags
        kept = max(2, round(MEMORY_S / market.dt) + 1)
        self.deals: deque[dict[int, Played]] = deque(maxlen=kept)
        self.mids: deque[list[float]] = deque([market.mids.tolist()], maxlen=kept)

    def tick(self) -> Tick:
        """Advance by one tick and remember it."""
        tick = self.market.tick()
        traded = {n: p for n, p in enumerate(tick.played) if p.prints or p.closed}
        self.deals.append(traded)
        self.mids.append(self.market.mids.tolist())
        return tick

    def last(self, count: int) -> list[dict[int, Played]]:
        """What was traded in the last ticks, oldest first, by place."""
        return list(islice(self.deals, max(0, len(self.deals) - count), None))

    def mid(self, place: int, ago: int) -> float:
        """Middle of the touch so many ticks ago, in ticks."""
        return self.mids[max(-1 - ago, -len(self.mids))][place]


class Shadow:
    """One venue's market of the given contracts; `step` advances it by a tick of the reference.

    The truth: `books`, `tapes`, and once a second `mark`, `index` (ticks), `rate` (per 8 h) and
    `interest` (coins), each of one entry a contract. `next` funding in s UTC. `places`: where the
    contracts stand at the reference, `units`: coins in its steps, `scale`: own ticks in its ticks.
    `last`: price of the last execution. A sparse market's seconds come `pace` at a time.
    """

    def __init__(self, venue: str, reference: Reference, character: Character,
                 contracts: Sequence[Contract]) -> None:  # fmt: skip
        market, dt = reference.market, reference.market.dt
        self.venue, self.reference, self.character = venue, reference, character
        self.contracts = tuple(contracts)
        self._at = [market.place(contract.id) for contract in contracts]
        self.places = np.array(self._at, dtype=np.int64)
        self._luck = _endless(stream(market.seed, f"{venue} books").random)
        self._normal = _endless(stream(market.seed, f"{venue} sizes").standard_normal)
        self.books = tuple(TrueBook(contract, self._luck) for contract in contracts)
        self.tapes = tuple(Tape(KEPT) for _ in contracts)
        self.last = [contract.ticks for contract in contracts]
        self._last_ms = [0] * len(contracts)
        self._even = cadence(character.every, market.rate)
        pace = self._even or max(character.every, character.every / market.rate)
        self.every = max(1, round(pace / dt))
        self._lag = round(character.lag / dt) if reference.lags else 0
        self._behind = round(1000 * self._lag * dt)
        self._count = 0
        self.pace = cadence(1.0, market.rate)
        self._begin(market)

    def _begin(self, market: SimulatedMarket) -> None:
        listings = [market.listings[place] for place in self.places]
        self.scale = np.array([_scale(own, ref) for own, ref in zip(self.contracts, listings,
                                                                   strict=True)])  # fmt: skip
        self.units = np.array([ref.step * _lot(ref) for ref in listings])
        self._usd = [ref.tick * ref.step for ref in listings]
        count = len(self.contracts)
        waves = {"premium": PREMIUM_S, "interest": INTEREST_S, "spread": SPREAD_S}
        self._waves = {
            name: Wave(stream(market.seed, f"{self.venue} {name}"), count, tau, self.pace)
            for name, tau in waves.items()
        }
        self.premium: Array = np.zeros(count)
        self._second(market.now // NS)
        for place, book in enumerate(self.books):
            self._follow(place, book)
            book.told()

    def place(self, symbol: str) -> int | None:
        """Where a symbol of ours stands; None where it is not listed."""
        return next((n for n, c in enumerate(self.contracts) if c.id == symbol), None)

    def named(self, name: str) -> int | None:
        """Where a contract of the venue's name stands."""
        return next((n for n, c in enumerate(self.contracts) if c.name == name), None)

    def step(self, tick: Tick) -> list[tuple[int, Played]]:
        """The contracts whose turn it is, in order, and what happened since their last one."""
        if tick.mark is not None and tick.ts // NS % self.pace == 0:
            self._second(tick.ts // NS)
        self._count += 1
        turn = range(-self._count % self.every, len(self.books), self.every)
        if self._even:
            # All at once, so that a step of the engine sees every venue as of the same instant.
            turn = range(0 if tick.ts % (self._even * NS) else len(self.books))
        if not turn:
            return []
        recent = self.reference.last(self.every)
        return [(place, self._turn(place, tick.ts // 1_000_000, recent)) for place in turn]

    # -- once a second ---------------------------------------------------------------------

    def _second(self, second: int) -> None:
        """Premium, marks, funding and open interest as of `second` (UTC)."""
        market, character, places = self.reference.market, self.character, self.places
        tilt = market._process.tilt[places] if self.reference.lags else 0.0
        wave = self._waves["premium"].step()
        lean = character.lean * np.clip(tilt, -3, 3)
        self.premium = 1e-4 * (character.bias + character.premium * wave + lean)
        factor = self.scale * (1 + self.premium)
        if not character.interest:
            # A spot market has no part in what a scenario makes perpetuals cost over their index.
            factor = factor / (1 + market.premium[places])
        self._factor: list[float] = factor.tolist()
        self.index: Array = market.mark.index[places] * self.scale
        # Marks smooth the premium that trades show.
        self.mark: Array = market.mark.mark[places] * self.scale * (1 + 0.5 * self.premium)
        due = market.mark.due[places] + SPREAD * self._waves["spread"].step()
        cap = CAPS.get(self.venue, np.inf)
        self.rate: Array = np.clip(due, -cap, cap)
        wander = 1 + INTEREST_SPREAD * self._waves["interest"].step()
        held = market.positions.interest[places] * self.units
        self.interest: Array = character.interest * held * wander
        period = int(character.hours * 3600)
        self.next = (second // period + 1) * period

    # -- turns of a book -------------------------------------------------------------------

    def _turn(self, place: int, ms: int, recent: Sequence[dict[int, Played]]) -> Played:
        book, before = self.books[place], self.books[place].touch()
        self._follow(place, book)
        prints: list[Print] = []
        closed: list[Closed] = []
        at, luck, share = self._at[place], self._luck, self.character.share
        for played in [deals[at] for deals in recent if at in deals]:
            for fill in played.prints:
                if luck() < share:
                    prints += self._take(place, fill, ms)
            for forced in played.closed:
                if luck() < share:
                    closed += self._close(place, forced, ms, prints)
        book.mend()
        book.churn([luck() for _ in range(2 * CHURN)])
        if luck() < PRUNED:
            book.prune()
        after = book.touch()
        touches = [Touch(ms - 1, book.seq, *after)] if after != before else []
        return Played(prints, touches, Diff(*book.told()), closed)

    def _follow(self, place: int, book: TrueBook) -> None:
        """Move the touch to where the reference was, a little wider now and then."""
        mid = self.reference.mid(self._at[place], self._lag)
        core = (book.bid + book.ask - 1) // 2
        off = mid * self._factor[place] - 0.5 - core
        moves = round(off) if abs(off) > STICKY else 0
        width, luck = book.ask - book.bid, self._luck()
        if width == 1 and luck < 0.2 * book.listing.wide:
            width = 3
        elif width > 1 and luck > NARROW:
            width = 1
        if moves or width != book.ask - book.bid:
            book.move(moves, width)

    def _take(self, place: int, fill: Print, ms: int) -> list[Print]:
        """The order of a taker like the one that got this fill."""
        buy = fill.buy if self._luck() < LIKE else not fill.buy
        usd = fill.price * fill.size * self._usd[place]
        return self._execute(place, buy, usd, min(fill.ms + self._behind, ms - 1))

    def _execute(self, place: int, buy: bool, usd: float, ms: int) -> list[Print]:
        book, contract = self.books[place], self.contracts[place]
        size = exp(BODY * self._normal() - BODY**2 / 2)
        steps = max(1, int(usd * size / (contract.worth * book.bid)))
        at = self._last_ms[place] = max(ms, self._last_ms[place])
        tape, fills = self.tapes[place], book.take(buy, steps)
        if fills:
            self.last[place] = fills[-1][0]
        return [tape.add(at, price, done, buy) for price, done in fills]

    def _close(self, place: int, forced: Closed, ms: int, prints: list[Print]) -> list[Closed]:
        """A position liquidated here as one was at the reference, into this book."""
        usd = forced.size * forced.average * self._usd[place] * self.character.interest
        fills = self._execute(place, not forced.long, usd, ms - 1)
        prints += fills
        done = sum(fill.size for fill in fills)
        if not done:
            return []
        average = sum(fill.price * fill.size for fill in fills) / done
        return [Closed(fills[-1].ms, forced.long, done, fills[-1].price, average)]


def cadence(usual: float, rate: float) -> int:
    """Whole seconds between what a market of a low `rate` tells, `usual` s at the rate of 1.

    0 while that is less than one: then it is told as it comes about.
    """
    return max((even for even in EVEN_S if even <= usual / min(rate, 1.0)), default=0)


def contract_of(listing: Listing, name: str, *, lot: float = 1.0, coins: float = 1.0,
                decimals: int | None = None, step_decimals: int | None = None,
                depth: float = 0.4) -> Contract:  # fmt: skip
    """A contract on the coin of a listing; ticks and steps like the reference's unless stated.

    `lot` coins per priced unit, `coins` per unit of size (a contract of 0.01 BTC: 0.01), `depth`
    as a share of the reference's.
    """
    known = _lot(listing)
    if decimals is None:
        decimals = listing.decimals + round(log10(known / lot))
    if step_decimals is None:
        step_decimals = max(0, -floor(log10(listing.step * known / coins) + 1e-9))
    return Contract(
        listing.id, listing.price / known * lot, decimals, step_decimals, listing.rate,
        listing.mean, depth * listing.depth * lot / coins, listing.beta, listing.vol,
        listing.interest, listing.wide, name=name, lot=lot, coins=coins,
    )  # fmt: skip


def _endless(draw: Callable[[int], Array]) -> Callable[[], float]:
    """Numbers one by one, drawn a block at a time because a call costs more than a number."""

    def numbers() -> Iterator[float]:
        while True:
            yield from draw(4096).tolist()

    return numbers().__next__


def _lot(listing: Listing) -> float:
    """Coins per unit of the reference's contract."""
    return float(LOTS[REFERENCE].get(listing.id, 1))


def _scale(own: Contract, reference: Listing) -> float:
    """Own ticks per tick of the reference."""
    return reference.tick / _lot(reference) * own.lot / own.tick
