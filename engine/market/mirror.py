"""The same market with bulls and bears swapped: what the mirror test of the cards is built on.

log p -> -log p, buys <-> sells, bids <-> asks, longs <-> shorts, funding and log ratios negated;
notional and open interest stay. Outside series stay: cards that read them are exempt.
"""

from dataclasses import fields, replace
from typing import TypeVar

from engine.market.view import (
    Bars,
    Calendar,
    Cells,
    FirstPass,
    Footprint,
    News,
    Venues,
    View,
)

# Fields that change sign with the sides swapped, and those that trade places; the rest stay.
_NEGATED = (
    *("open", "close", "mid", "vwap", "mark", "index", "tilt", "ofi", "funding"),
    *("taker_ratio", "top_accounts", "top_positions", "global_accounts"),
)
_SIDES = (("buy", "sell"), ("buys", "sells"), ("bid", "ask"), ("long", "short"), ("up", "down"))
Part = TypeVar("Part", Bars, Cells, Venues)
Stretches = TypeVar("Stretches", Bars, Cells)


def mirror(view: View) -> View:
    """The view of the mirrored market."""
    return replace(
        view,
        bars=_cells(view.bars),
        spans=_cells(view.spans),
        footprint=_footprint(view.footprint),
        venues=_venues(view.venues),
        liquidations=replace(
            view.liquidations, above=view.liquidations.below, below=view.liquidations.above
        ),
        calendar=_calendar(view.calendar),
        news=News(-view.news.tone, view.news.mentions, view.news.usual),
        first=None if view.first is None else _first(view.first),
    )


def opposite(name: str) -> str:
    """The field that a field trades places with; itself where it has no other side."""
    for left, right in _SIDES:
        for one, other in ((left, right), (right, left)):
            if name == one:
                return other
            if name.startswith(f"{one}_"):
                return other + name.removeprefix(one)
            if name.endswith(f"_{one}"):
                return name.removesuffix(one) + other
    return name


def _cells(cells: Stretches) -> Stretches:
    out = _swapped(cells)
    return replace(out, high=-cells.low, low=-cells.high)


def _swapped(part: Part) -> Part:
    out = {f.name: getattr(part, opposite(f.name)) for f in fields(part)}
    return replace(part, **{n: -x if n in _NEGATED else x for n, x in out.items()})


def _footprint(footprint: Footprint) -> Footprint:
    """Levels upside down: the highest edge becomes the floor."""
    height = footprint.step * footprint.buy.shape[1]
    return Footprint(
        buy=footprint.sell[:, ::-1],
        sell=footprint.buy[:, ::-1],
        step=footprint.step,
        floor=-(footprint.floor + height),
        late=footprint.late[:, ::-1],
    )


def _venues(venues: Venues) -> Venues:
    return replace(_swapped(venues), course=-venues.course)


def _calendar(calendar: Calendar) -> Calendar:
    turned = ("hour_mean", "session_mean", "top_accounts_open", "top_positions_open")
    return replace(
        calendar,
        **{name: -getattr(calendar, name) for name in turned},
        day_high=-calendar.day_low,
        day_low=-calendar.day_high,
        week_high=-calendar.week_low,
        week_low=-calendar.week_high,
    )


def _first(first: FirstPass) -> FirstPass:
    turned = ("by_window", "score", "breadth", "breadth_before")
    return replace(first, **{name: -getattr(first, name) for name in turned})
