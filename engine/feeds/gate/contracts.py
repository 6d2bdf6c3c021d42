"""What the catalogue of Gate says of a contract, and the units that follow from it."""

from typing import Any

from msgspec import Struct

from engine.events import Levels
from engine.feeds.gate.wire import Contract
from engine.feeds.parse import number
from engine.instruments import parse_name


class Listed(Struct, frozen=True, gc=False):
    """A contract resolved: our id, coins per priced unit, coins per contract, funding schedule."""

    symbol: str
    lot: float
    coins: float
    hours: float | None
    next_s: float | None


def listed(row: Contract) -> Listed | None:
    """A contract on a coin that trades against USDT; the inverse ones have a multiplier of 0."""
    base, _, quote = row.name.rpartition("_")
    listing = parse_name(base + quote) if quote == "USDT" and len(row.name) <= 40 else None
    multiplier = number(row.multiplier, 1e12)
    if listing is None or not row.trades or not multiplier or multiplier < 1e-12:
        return None
    return Listed(
        symbol=listing.id,
        lot=listing.lot,
        coins=multiplier * listing.lot,
        hours=hours(row.interval),
        next_s=number(row.next_time, 9e9),
    )


def hours(seconds: Any) -> float | None:
    """An interval stated in seconds."""
    found = number(seconds, 864_000)
    return found / 3600 if found and found > 0 else None


def next_settlement(contract: Listed, now: float) -> float | None:
    """The first settlement from `now` on by the catalogue's schedule, seconds."""
    if not (contract.next_s and contract.hours):
        return None
    step = contract.hours * 3600
    return contract.next_s + max(0.0, -((contract.next_s - now) // step)) * step


def scaled(levels: Levels, contract: Listed) -> Levels:
    """Levels of contracts as prices per coin and coins."""
    coins, lot = contract.coins, contract.lot
    if lot == 1:
        return [(price, size * coins) for price, size in levels]
    return [(price / lot, size * coins) for price, size in levels]
