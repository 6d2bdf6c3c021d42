"""Everything that decisions remember, as a list of named arrays and values.

The same list is read to keep a state and written to restore one. An attribute that is of no known
kind, and neither named here nor left out here, is an error: nothing is forgotten in silence. Left
out are books, quotes and what else belongs to a connection, counts since the start, and caches.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct

from engine.decision.decide import Decider
from engine.decision.normalise import Normaliser
from engine.decision.transitions import Detector
from engine.events import Funding, Kline, Liquidation, Mark, OpenInterest, Quote, Trade
from engine.market.flow import Flow
from engine.market.history import History
from engine.market.liquidation_map import LiquidationMap
from engine.market.listed import Listed
from engine.market.market import Market
from engine.market.micro import Course, Micro
from engine.market.outside import Outside
from engine.market.series import Published
from engine.market.venues import Venue, VenueBoard

# Trade ids remembered of a venue that does not number them without gaps.
IDS = 1000
COURSE = Course.__slots__
IN_PLACE = (list, deque, dict, set)


class Leaf(NamedTuple):
    """Where a part of the state is: attribute `name` of `owner`, or its item where that is a dict.

    `kind` is the type of a value, None for an array.
    """

    path: str
    owner: Any
    name: Any
    kind: Any = None

    def get(self) -> Any:
        if isinstance(self.owner, dict):
            return self.owner[self.name]
        return getattr(self.owner, self.name)

    def set(self, value: Any) -> None:
        """Containers are filled anew: others may hold them."""
        if isinstance(self.owner, dict):
            self.owner[self.name] = value
            return
        made = isinstance(getattr(type(self.owner), self.name, None), property)
        before = None if made else getattr(self.owner, self.name)
        if isinstance(before, IN_PLACE) and self.kind is not None:
            before.clear()
            (before.extend if isinstance(before, list | deque) else before.update)(value)
        else:
            setattr(self.owner, self.name, value)


Leaves = Iterator[Leaf]


def of(path: str, owner: Any, but: str = "", **kinds: Any) -> Leaves:
    """Leaves of an object: its arrays and numbers, and those of `kinds`; `but` is left out."""
    left = but.split()
    names = list(vars(owner)) if hasattr(owner, "__dict__") else list(owner.__slots__)
    for name in names:
        value = getattr(owner, name)
        if name in left or callable(value):
            continue
        if name in kinds:
            yield Leaf(f"{path}.{name}", owner, name, kinds[name])
        elif isinstance(value, np.ndarray):
            yield Leaf(f"{path}.{name}", owner, name)
        elif isinstance(value, bool | int | float):
            yield Leaf(f"{path}.{name}", owner, name, type(value))
        elif isinstance(value, np.integer):
            yield Leaf(f"{path}.{name}", owner, name, int)
        else:
            raise TypeError(f"{path}.{name} is neither kept nor left out")


# -- market --------------------------------------------------------------------------------


def of_market(market: Market) -> Leaves:
    """The market without its books and connections."""
    parts = (
        "history candles board outside almanac liquidation_map flow _sampling _micro _churn",
        "symbols reference drops events listed legs blind_ns liquidations_open _blind_since",
        "_place _trades _arrivals _apply",
    )
    yield from of("market", market, " ".join(parts), offsets=dict[str, int])
    yield from of_history(market.history)
    yield from _candles(market)
    yield from of_flow(market.flow)
    sampling = market._sampling
    yield from of("sampling", sampling, "_places _history _sampler")
    yield from of("walls", sampling._sampler)
    yield from of("churn", market._churn)
    yield from of_micro(market._micro)
    yield from of_board(market.board)
    yield from of_outside(market.outside)
    yield from of_map(market.liquidation_map)
    for (venue, symbol), listed in market.listed.items():
        shown = venue == market.reference
        yield Leaf(f"listed.{venue}.{symbol}", _Listed(listed, shown), "kept", Known)


def of_history(history: History) -> Leaves:
    yield from of("history", history, "symbols flow live prices mids series")
    for name in ("flow", "live", "prices"):
        for seconds, ring in getattr(history, name).items():
            left = "cell_ns size _quanta _unknown _rolling _fresh"
            yield from of(f"history.{name}.{seconds}", ring, left)
    yield from of("history.mids", history.mids, "_size")
    yield from _published("history.series", history.series)


def _published(path: str, series: Published) -> Leaves:
    past = dict[int, list[tuple[int, float]]]
    yield from of(path, series, "names _symbols _place _stands _rings", _past=past)
    for seconds, ring in series._rings.items():
        yield from of(f"{path}.{seconds}", ring, "cell_ns size")


def _candles(market: Market) -> Leaves:
    candles = market.candles
    waiting = dict[tuple[int, int], dict[int, Kline]]
    yield from of("candles", candles, "_history _sealed _astray", _hours=list[set[int]],
                  _waiting=waiting)  # fmt: skip
    for seconds in candles._sealed:
        yield Leaf(f"candles.sealed.{seconds}", candles._sealed, seconds)
    astray = dict[tuple[int, int], dict[int, list[float]]]
    yield Leaf("candles.astray", _Astray(candles._astray), "kept", astray)


def of_flow(flow: Flow) -> Leaves:
    yield from of("flow", flow, "footprints sizes _places _history _candles _drops _bunching",
                  waiting=list[Trade], offset=int | None, _minima=list[int],
                  _delays=list[int])  # fmt: skip
    yield from of("bunching", flow._bunching, _recent=list[list[int]])
    yield from of("footprints", flow.footprints)
    yield from of("sizes", flow.sizes)


def of_micro(micro: Micro) -> Leaves:
    arrivals, touch = list[tuple[Trade, Quote | None]], dict[int, Quote | None]
    yield from of("micro", micro, "_places _sizes _courses", waiting=arrivals, _touch=touch)
    courses = list[tuple[bool | None, float, float, float, int, int, bool, bool]]
    yield Leaf("micro.courses", _Courses(micro._courses), "kept", courses)


def of_board(board: VenueBoard) -> Leaves:
    yield from of("board", board, "reference _symbols venues")
    for name, venue in board.venues.items():
        yield from of(f"venue.{name}", venue, "name flow oi")
        for seconds, ring in venue.flow.items():
            yield from of(f"venue.{name}.{seconds}", ring, "cell_ns size _quanta")
        yield from _published(f"venue.{name}.oi", venue.oi)


def of_outside(outside: Outside) -> Leaves:
    yield from of("outside", outside, "_places _series _cached heard", _known=set[str],
                  _news=list[tuple[int, int, float]])  # fmt: skip
    for wide, series in outside._series.items():
        yield from _published(f"outside.{int(wide)}", series)
    for need in outside.heard:
        yield Leaf(f"heard.{need}", outside.heard, need)


def of_map(estimate: LiquidationMap) -> Leaves:
    yield from of("map", estimate, "_history _board _look _told", _stale=list[int])
    yield from of("look", estimate._look, "_history")


class Known(Struct, array_like=True):
    """What is kept of a symbol at a venue."""

    last: Trade | None
    mark: Mark | None
    funding: Funding | None
    oi: list[OpenInterest]
    liquidations: list[Liquidation]
    tape: list[Trade]
    ids: list[int | str]
    newest: int | None
    skipped: list[int]
    quote_at: int
    trade_at: int
    ofi: float
    others_at: dict[str, int]
    traded: list[float] | None


class _Listed:
    """A symbol at a venue; its executions are kept where they are shown."""

    def __init__(self, listed: Listed, shown: bool) -> None:
        self._listed, self._shown = listed, shown

    @property
    def kept(self) -> Known:
        x = self._listed
        return Known(
            x.last, x.mark, x.funding, list(x.oi), list(x.liquidations),
            list(x.tape) if self._shown else [], list(x.ids._recent)[-IDS:], x.ids.last,
            sorted(x.ids._skipped), x.quote_at, x.trade_at, x.ofi, x.others_at, x.traded,
        )  # fmt: skip

    @kept.setter
    def kept(self, known: Known) -> None:
        x = self._listed
        for name in ("last", "mark", "funding", "quote_at", "trade_at", "ofi", "others_at",
                     "traded"):  # fmt: skip
            setattr(x, name, getattr(known, name))
        x.oi.extend(known.oi)
        x.liquidations.extend(known.liquidations)
        x.tape.extend(known.tape)
        x.ids.last = known.newest
        x.ids._skipped.update(known.skipped)
        x.ids._recent.extend(known.ids)
        x.ids._seen.update(known.ids)


class _Astray:
    def __init__(self, astray: dict[tuple[int, int], dict[int, Any]]) -> None:
        self._astray = astray

    @property
    def kept(self) -> dict[tuple[int, int], dict[int, list[float]]]:
        return {
            key: {bar: flow.tolist() for bar, flow in found.items()}
            for key, found in self._astray.items()
        }

    @kept.setter
    def kept(self, known: dict[tuple[int, int], dict[int, list[float]]]) -> None:
        self._astray.clear()
        for key, found in known.items():
            self._astray[key] = {bar: np.array(flow) for bar, flow in found.items()}


class _Courses:
    def __init__(self, courses: list[Course]) -> None:
        self._courses = courses

    @property
    def kept(self) -> list[tuple[Any, ...]]:
        return [tuple(getattr(course, name) for name in COURSE) for course in self._courses]

    @kept.setter
    def kept(self, known: list[tuple[Any, ...]]) -> None:
        for course, values in zip(self._courses, known, strict=True):
            for name, value in zip(COURSE, values, strict=True):
                setattr(course, name, value)


def make_room(market: Market, paths: Iterable[str]) -> None:
    """Make the venues, symbols and outside series that a state knows; raises KeyError, ValueError.

    Raises where one of them is not of this market.
    """
    for path in paths:
        kind, _, rest = path.partition(".")
        name, _, symbol = rest.partition(".")
        if kind == "listed":
            place = market._place[symbol]
            market.listed.setdefault((name, symbol), Listed(name, symbol, place))
        elif kind == "venue" and name not in market.board.venues:
            market.board.venues[name] = Venue(name, len(market.symbols))
        elif kind == "outside" and name in ("0", "1"):
            series = market.outside._series
            series.setdefault(name == "1", market.outside._made(name == "1"))
        elif kind == "heard":
            empty = np.zeros(len(market.symbols), dtype=np.int64)
            market.outside.heard.setdefault(rest, empty)


def clear(market: Market) -> None:
    """As if nothing had been heard of any venue; for a market that has heard nothing."""
    for made in (market.listed, market.board.venues, market.outside._series,
                 market.outside.heard):  # fmt: skip
        made.clear()


def settle_in(market: Market) -> None:
    """Forget what was computed from the state before."""
    for prices in market.history.prices.values():
        prices._rolling.clear()
        prices._fresh.clear()
    market.outside._cached = ((0, ()), {})
    market.liquidation_map._told = None
    market.almanac._hour = -1


# -- decisions -----------------------------------------------------------------------------


def of_decider(decider: Decider) -> Leaves:
    """Normalisers, breadth of the last day, what transitions are told from."""
    yield Leaf("decider.beta", decider, "beta")
    for mode in decider._words:
        yield Leaf(f"words.{mode}", decider._words, mode, tuple[str, ...])
    yield from of_normaliser("normaliser", decider.normaliser)
    if decider.normaliser.past is not None:
        yield from of_normaliser("past", decider.normaliser.past)
    yield Leaf("breadth", decider.second, "_breadth")
    yield Leaf("breadth.step", decider.second, "_step")
    for mode, detector in decider._detectors.items():
        yield from of_detector(f"detector.{mode}", detector)


def of_normaliser(path: str, normaliser: Normaliser) -> Leaves:
    yield from of(path, normaliser, "lanes past _centred _fixed _unit")


def of_detector(path: str, detector: Detector) -> Leaves:
    yield from of(path, detector, "watched _every _sides _torn _height _seen")
    for name in ("_sides", "_torn", "_height"):
        yield from of(f"{path}.{name}", getattr(detector, name))
    yield from of(f"{path}.seen", detector._seen, "_length _first")
