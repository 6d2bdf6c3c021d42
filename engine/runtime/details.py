"""Details: what an open screen asks for of one symbol, part by part, and nothing besides."""

from array import array
from collections import deque
from math import isnan, nan

from engine.config import MODES
from engine.decision.decide import Decision
from engine.decision.normalise import Normaliser
from engine.market.tape import SizeClasses
from engine.market.venues import SPOT
from engine.runtime import charts, venue_parts
from engine.runtime.made import Made, kept, made
from engine.runtime.moves import move
from engine.runtime.pipeline import Pipeline
from engine.runtime.readings import known, readings
from engine.snapshot import Decided, Detail, Move, Print, Transition

TRANSITIONS = 200
# Decisions kept of each mode: half a day of scalp, a day of day, five of swing.
DECISIONS = 1440
# Trades of the tape, and large ones before them.
TAPE, LARGE = 100, 60
BOOK_LEVELS = 200


class Past:
    """The last decisions of one mode, all symbols together; NaN where there is no bias."""

    def __init__(self, symbols: int) -> None:
        self._symbols = symbols
        self._times: deque[int] = deque(maxlen=DECISIONS)
        self._rows: deque[tuple[array[float], array[float]]] = deque(maxlen=DECISIONS)

    def add(self, decision: Decision) -> None:
        """Take in a decision; a symbol that it does not decide is not in it."""
        said = [bool(word) for word in decision.decision]
        bias = (b if d else nan for b, d in zip(decision.parts.bias.tolist(), said, strict=True))
        conviction = (
            c if d else nan for c, d in zip(decision.conviction.tolist(), said, strict=True)
        )
        self._times.append(decision.ts)
        self._rows.append((array("d", bias), array("d", conviction)))

    def of(self, place: int) -> tuple[Decided, ...]:
        """One symbol's, oldest first."""
        return tuple(
            Decided(ts, known(bias[place]), conviction[place], None)
            for ts, (bias, conviction) in zip(self._times, self._rows, strict=True)
            if not isnan(conviction[place])
        )


class Details:
    """Answers details from a running pipeline; keeps what it decided for as long as screens ask."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._decisions: dict[tuple[str, int], Decision] = {}
        # What the newest decisions were made with, and those before them, where it is known.
        self._made: dict[tuple[str, int], Made] = {}
        self._before: dict[tuple[str, int], Made] = {}
        self._kept: tuple[int, Normaliser] | None = None
        self._past = {mode: Past(len(pipeline.symbols)) for mode in MODES}
        # By symbol, latest first, those of its cards among them.
        self._transitions: dict[str, deque[Transition]] = {
            symbol: deque(maxlen=TRANSITIONS) for symbol in pipeline.symbols
        }

    def decided(self, decision: Decision) -> None:
        """Take in a mode's new decision."""
        new = self._new(decision)
        for s, word in enumerate(decision.decision):
            if word:
                key = decision.mode, s
                if key in self._decisions:
                    self._before[key] = self._of(*key).lean
                self._decisions[key], self._made[key] = decision, new
        self._past[decision.mode].add(decision)
        for transition in reversed(decision.transitions):
            self._transitions[transition.symbol].appendleft(transition)

    def _new(self, decision: Decision) -> Made:
        """With the normalisers as they are at its step, kept once for all modes."""
        if self._kept is None or self._kept[0] != decision.ts:
            self._kept = decision.ts, kept(self._pipeline.decider)
        return made(self._pipeline.decider, decision.mode, decision, self._kept[1])

    def _of(self, mode: str, s: int) -> Made:
        """What stands for a symbol: its decision; before the first, the step just made.

        Of a decision from before a restart the normalisers are not known.
        """
        decider, decision = self._pipeline.decider, self._decisions.get((mode, s))
        found = self._made.get((mode, s))
        if found is not None and found.decision is decision:
            return found
        return made(decider, mode, decision, decider.normaliser if decision is None else None)

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        """The parts that are asked for; what is not known is told in the notes."""
        pipeline, place = self._pipeline, self._pipeline.symbols.index(symbol)
        market = pipeline.market
        notes: list[str] = []
        names = {part.partition(":")[0]: part.partition(":")[2] for part in parts}
        wanted = charts.wanted(names.get("bars", "")) if "bars" in names else None
        drawn = charts.bars(market, place, *wanted) if wanted is not None else None
        bids, asks = self._book(symbol, notes) if "book" in names else ((), ())
        boards = venue_parts.Board(market, symbol, place)
        positions = boards.positions() if "positioning" in names else None
        return Detail(
            symbol=symbol,
            readings=(
                {m: readings(pipeline, self._of(m, place), place) for m in MODES}
                if "readings" in names else {}
            ),
            bars=drawn.bars if drawn else (),
            tape=self._tape(symbol, place) if "tape" in names else (),
            bids=bids,
            asks=asks,
            transitions=tuple(self._transitions[symbol]) if "transitions" in names else (),
            bar_s=drawn.seconds if drawn else 60,
            oldest=drawn.oldest if drawn else None,
            levels=charts.levels(market, place) if "levels" in names else None,
            swings=charts.swings(drawn.bars) if drawn and "swings" in names else None,
            clusters=charts.clusters(market, place, notes) if "liquidation_map" in names else None,
            footprint=(
                charts.footprint(market, place, names["footprint"], notes)
                if "footprint" in names else None
            ),
            flows=boards.flows() if "cvd" in names else None,
            books=boards.books() if "books" in names else None,
            walls=boards.walls() if "walls" in names else None,
            positions=positions,
            courses=boards.courses() if "positioning" in names else None,
            venues=boards.venues() if "venues" in names else None,
            decisions={m: p.of(place) for m, p in self._past.items()} if "history" in names
            else None,
            moves=self._moves(place) if "moves" in names else None,
            notes=tuple(notes),
        )  # fmt: skip

    def _moves(self, place: int) -> dict[str, Move]:
        found = {
            mode: move(self._pipeline.decider.cards, self._of(mode, s), then, s)
            for (mode, s), then in self._before.items() if s == place
        }  # fmt: skip
        return {mode: said for mode, said in found.items() if said is not None}

    def _book(self, symbol: str, notes: list[str]) -> tuple[
        tuple[tuple[float, float], ...], tuple[tuple[float, float], ...]
    ]:  # fmt: skip
        """Levels of the reference's book, best first; none of one that is not whole."""
        market = self._pipeline.market
        listed = market.listed.get((market.reference, symbol))
        if listed is None or not listed.book.synced:
            notes.append("book: not synchronised")
            return (), ()
        book = listed.book
        return (
            tuple(sorted(book.bids.items(), reverse=True)[:BOOK_LEVELS]),
            tuple(sorted(book.asks.items())[:BOOK_LEVELS]),
        )

    def _tape(self, symbol: str, place: int) -> tuple[Print, ...]:
        """The last trades of all perpetual venues and the large ones before them, oldest first."""
        market = self._pipeline.market
        sizes: SizeClasses = market.flow.sizes
        big, huge = float(sizes.big[place]), float(sizes.huge[place])
        found = [
            trade
            for (venue, listed_symbol), listed in market.listed.items()
            if listed_symbol == symbol and venue not in SPOT
            for n, trade in enumerate(reversed(listed.tape))
            if n < TAPE or trade.price * trade.size >= big
        ]
        found.reverse()
        found.sort(key=lambda trade: trade.ts)
        older = [t for t in found[:-TAPE] if t.price * t.size >= big][-LARGE:]
        return tuple(
            Print(ts=t.ts, price=t.price, size=t.size, side=t.side, venue=t.venue,
                  rank=(t.price * t.size >= big) + (t.price * t.size >= huge))
            for t in (*older, *found[-TAPE:])
        )  # fmt: skip
