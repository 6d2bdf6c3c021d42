"""OKX's contracts by name, and its REST answers into events.

What a contract is worth is known only from the catalogue.
"""

import re
from itertools import pairwise
from typing import Any, Literal

from msgspec import Struct

from engine.clock import NS
from engine.events import Event, Funding, OpenInterest, Ratio
from engine.feeds.feed import Context, DecodeError
from engine.feeds.okx import wire
from engine.feeds.parse import MS, NOT_OURS, convert, number, path, query

Events = tuple[Event, ...]
Measure = Literal["top_accounts", "top_positions", "global_accounts", "taker"]

HOUR = 3_600_000
MAX_NAMES = 10_000
_NAME = re.compile(r"([A-Z0-9]{1,20})-(USDT|USDC)(-SWAP)?", re.ASCII)
_PERIOD = re.compile(r"([1-9][0-9]?)([mHD])", re.ASCII)
_UNITS = {"m": 60 * NS, "H": 3600 * NS, "D": 86400 * NS}
RATIOS: dict[str, Measure] = {
    "long-short-account-ratio-contract": "global_accounts",
    "long-short-account-ratio-contract-top-trader": "top_accounts",
    "long-short-position-ratio-contract-top-trader": "top_positions",
}
TAKER = "taker-volume-contract"
INTEREST = "open-interest-history"


class State(Struct):
    """One contract: coins per contract where known, the last numbers of its book and quotes.

    `index` with its time (ms), from a stream of its own.
    """

    symbol: str
    size: float | None = None
    seq: int = -1
    touch: int = -1
    index: float | None = None
    index_at: int = 0

    def coins(self) -> float:
        """Coins per contract; raises DecodeError while no catalogue has told them."""
        if self.size is None:
            raise DecodeError("contract size unknown")
        return self.size


def common(state: State, time: int, context: Context, history: bool = False) -> dict[str, Any]:
    """What every event of a contract carries; `time` in ms."""
    return {
        "venue": "okx",
        "market": "perp",
        "symbol": state.symbol,
        "ts": time * MS,
        "recv": context.recv,
        "history": history,
    }


class Contracts:
    """The states of contracts by the venue's names."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}

    def find(self, name: str) -> State:
        """The contract of a name such as `BTC-USDT-SWAP`."""
        return self._states.get(name) or self._resolve(name)

    def pair(self, name: str) -> State:
        """The contract of an index, whose name is the pair's, such as `BTC-USDT`."""
        if name.endswith("-SWAP"):
            raise DecodeError(NOT_OURS)
        return self.find(f"{name}-SWAP")

    def _resolve(self, name: str) -> State:
        found = _NAME.fullmatch(name)
        if found is None or found[3] is None:
            raise DecodeError(NOT_OURS)
        if len(self._states) > MAX_NAMES:
            raise DecodeError("too many names")
        self._states[name] = state = State(symbol=found[1] + found[2])
        return state

    def learn(self, contracts: list[wire.Contract]) -> frozenset[str]:
        """Remember contract sizes; our symbols of the coin perpetuals that trade.

        Equities and metals have a category of their own, pre-market and rebased contracts a rule.
        """
        found = set()
        for c in contracts:
            size, times = number(c.value, 1e12), number(c.multiplier or 1, 1e12)
            if not (_is_coin(c) and size and size > 0 and times and times > 0):
                continue
            state = self.find(c.name)
            state.size = size * times
            if c.state == "live":
                found.add(state.symbol)
        return frozenset(found)

    def answer(self, answer: wire.Answer, context: Context) -> Events:
        """Events of a REST answer, told by its path; a catalogue is remembered."""
        rows = rows_of(answer)
        name = path(context.url).rpartition("/")[2]
        if not rows:
            return ()
        if isinstance(rows[0], dict):
            return self._objects(rows, context)
        state = self.find(query(context.url).get("instId", ""))
        if name in RATIOS:
            return _ratios(convert(rows, list[wire.RatioRow]), RATIOS[name], state, context)
        if name == TAKER:
            return _takers(convert(rows, list[wire.TakerRow]), state, context)
        if name == INTEREST:
            return _interest(convert(rows, list[wire.PastInterest]), state, context)
        raise DecodeError("unknown answer")

    def _objects(self, rows: list[Any], context: Context) -> Events:
        if "ctVal" in rows[0]:
            self.learn(convert(rows, list[wire.Contract]))
            return ()
        if "fundingTime" in rows[0] and "ts" not in rows[0]:
            return self._fundings(convert(rows, list[wire.PastFunding]), context)
        raise DecodeError("unknown answer")

    def _fundings(self, rows: list[wire.PastFunding], context: Context) -> Events:
        """Settled rates, newest first; each is for the time since the one before it."""
        gaps = [(newer.time - older.time) / HOUR for newer, older in pairwise(rows)]
        out = []
        for row, gap in zip(rows, [*gaps, 0.0], strict=True):
            event = common(self.find(row.name), row.time, context, history=True)
            rate = number(row.realised, 10)
            out.append(funding(event, row.rate if rate is None else rate, gap, None))
        return tuple(out)


def funding(event: dict[str, Any], rate: float, hours: float, next_ts: int | None) -> Funding:
    """A rate for that many hours, on the common scale where they are a likely number."""
    known = hours if hours.is_integer() and 0 < hours <= 24 else None
    rate_8h = rate * 8 / known if known else None
    return Funding(**event, rate_8h=rate_8h, rate=rate, interval_h=known, next_ts=next_ts)


def rows_of(answer: wire.Answer) -> list[Any]:
    """The rows of a successful answer; raises DecodeError."""
    if answer.code != "0":
        raise DecodeError(f"refused: {answer.message[:80] or answer.code[:20]}")
    return answer.data


def _is_coin(c: wire.Contract) -> bool:
    found = _NAME.fullmatch(c.name)
    return (
        found is not None
        and found[3] is not None
        and (c.unit, c.settled, c.type) == (found[1], found[2], "linear")
        and c.category in ("", "1")
        and c.rule in ("", "normal")
    )


def _ratios(rows: list[wire.RatioRow], measure: Measure, state: State, context: Context) -> Events:
    return tuple(
        Ratio(**common(state, r.time, context, history=True), measure=measure, value=r.value)
        for r in rows
    )


def _takers(rows: list[wire.TakerRow], state: State, context: Context) -> Events:
    """Taker buys to sells of whole periods; the one still open is left to the next answer."""
    found = _PERIOD.fullmatch(query(context.url).get("period", "5m"))
    length = int(found[1]) * _UNITS[found[2]] if found else 0
    recv = context.recv
    return tuple(
        Ratio(**common(state, r.time, context, history=True), measure="taker", value=r.buy / r.sell)
        for r in rows
        if r.sell >= 1e-9 and (recv is None or r.time * MS + length <= recv)
    )


def _interest(rows: list[wire.PastInterest], state: State, context: Context) -> Events:
    return tuple(
        OpenInterest(**common(state, r.time, context, history=True), base=r.base, usd=r.usd)
        for r in rows
    )
