"""What is remembered of one contract of Bybit, and the events its merged ticker gives.

A delta leaves out what did not change, so it also says again what it leaves out. Prices are taken
only when they are written; the funding rate, which may stand for hours, also once in a while.
"""

from typing import Any

from msgspec import Struct, field
from msgspec.structs import astuple

from engine.events import Event, Funding, Mark, Market, OpenInterest, Quote
from engine.feeds.bybit import wire
from engine.feeds.feed import Context, DecodeError
from engine.feeds.parse import MS

RESTATED = 30_000  # ms after which a delta counts as stating an unchanged funding rate again
_FUNDING = frozenset({"rate", "next_time", "hours"})
_TOUCH = frozenset({"bid", "bid_size", "ask", "ask_size"})
_PRICE, _SIZE = (1e-15, 1e15), (0.0, 1e15)
# Each number of wire.Ticker in its order, with its least and greatest value.
_NUMBERS = (
    ("mark", _PRICE),
    ("index", _PRICE),
    ("rate", (-10.0, 10.0)),
    ("next_time", (0.0, 9e12)),
    ("hours", (0.1, 240.0)),
    ("oi", _SIZE),
    ("oi_usd", _SIZE),
    ("oi_both", _SIZE),
    ("oi_both_usd", _SIZE),
    ("bid", _PRICE),
    ("bid_size", _SIZE),
    ("ask", _PRICE),
    ("ask_size", _SIZE),
)


class State(Struct):
    """One contract: `update` and `seq` of its book, `touch` of its quotes, its merged ticker.

    `hours` between fundings as the catalogue says; `cs` and `funded` (ms) of the ticker's last
    frame and last funding.
    """

    symbol: str
    lot: float
    market: Market
    update: int = -1
    seq: int = -1
    touch: int = -1
    hours: float | None = None
    cs: int = -1
    funded: int = 0
    ticker: dict[str, float] = field(default_factory=dict)


def common(state: State, time: int, context: Context, history: bool = False) -> dict[str, Any]:
    """What every event of a contract carries; `time` in ms."""
    return {
        "venue": "bybit",
        "market": state.market,
        "symbol": state.symbol,
        "ts": time * MS,
        "recv": context.recv,
        "history": history,
    }


def ticker_events(f: wire.TickerFrame, state: State, context: Context) -> tuple[Event, ...]:
    """What a ticker says anew; deltas older than what is known are left out.

    A spot ticker has nothing of it. Raises DecodeError for an impossible number.
    """
    if state.market == "spot":
        return ()
    said = _said(f.data)
    if f.type == "snapshot":
        state.ticker = {}
    elif f.cs < state.cs:
        return ()
    state.cs = f.cs
    state.ticker.update(said)
    out: list[Event] = []
    if "mark" in said:
        out.append(_mark(f, state, context))
    if said.keys() & _FUNDING or f.ts - state.funded >= RESTATED:
        out += _funding(f, state, context)
    if "oi" in said or "oi_both" in said:
        out.append(_open_interest(f, state, context, said))
    # The quote stream is faster; the ticker speaks only where there is none.
    if state.touch < 0 and said.keys() & _TOUCH:
        out += _touch(f, state, context)
    return tuple(out)


def _said(ticker: wire.Ticker) -> dict[str, float]:
    """The numbers a frame holds; raises DecodeError for an impossible one."""
    out = {}
    try:
        for (name, (least, greatest)), raw in zip(_NUMBERS, astuple(ticker)[1:], strict=True):
            if raw is None or raw == "":
                continue
            out[name] = value = float(raw)
            # A NaN is within no bounds.
            if not least <= value <= greatest or isinstance(raw, bool):
                raise DecodeError("malformed")
    except (TypeError, ValueError, OverflowError):
        raise DecodeError("malformed") from None
    return out


def _mark(f: wire.TickerFrame, state: State, context: Context) -> Mark:
    index = state.ticker.get("index")
    return Mark(
        **common(state, f.ts, context),
        mark=state.ticker["mark"] / state.lot,
        index=None if index is None else index / state.lot,
    )


def _funding(f: wire.TickerFrame, state: State, context: Context) -> list[Event]:
    rate = state.ticker.get("rate")
    if rate is None:
        return []
    state.funded = f.ts
    hours = state.ticker.get("hours", state.hours)
    next_ts = int(state.ticker.get("next_time", 0)) * MS or None
    return [funding_event(common(state, f.ts, context), rate, hours, next_ts)]


def funding_event(
    common: dict[str, Any], rate: float, hours: float | None, next_ts: int | None
) -> Funding:
    """A rate for `hours`, on the common scale where they are known."""
    rate_8h = rate * 8 / hours if hours else None
    return Funding(**common, rate_8h=rate_8h, rate=rate, interval_h=hours, next_ts=next_ts)


def _open_interest(
    f: wire.TickerFrame, state: State, context: Context, said: dict[str, float]
) -> OpenInterest:
    units = said["oi"] if "oi" in said else said["oi_both"] / 2
    mark = state.ticker.get("mark")
    usd = None if mark is None else units * mark
    if "oi_usd" in said:
        usd = said["oi_usd"]
    elif "oi_both_usd" in said:
        usd = said["oi_both_usd"] / 2
    return OpenInterest(**common(state, f.ts, context), base=units * state.lot, usd=usd)


def _touch(f: wire.TickerFrame, state: State, context: Context) -> list[Event]:
    known, lot = state.ticker, state.lot
    if not known.keys() >= _TOUCH:
        return []
    return [
        Quote(
            venue="bybit",
            market=state.market,
            symbol=state.symbol,
            ts=f.ts * MS,
            recv=context.recv,
            bid=known["bid"] / lot,
            ask=known["ask"] / lot,
            bid_size=known["bid_size"] * lot,
            ask_size=known["ask_size"] * lot,
            seq=f.cs or None,
        )
    ]
