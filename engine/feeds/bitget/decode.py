"""Pushes and REST answers of Bitget's USDT futures into events.

Trades, quotes and books are the hot path: two typed decodes, as the topic stands after the rows.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from engine.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Funding,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Ratio,
    Trade,
)
from engine.feeds.bitget import wire
from engine.feeds.feed import Context, DecodeError
from engine.feeds.parse import (
    FUNDING_HOURS,
    MS,
    NOT_OURS,
    UNUSABLE,
    convert,
    number,
    path,
    per_coin,
    query,
)
from engine.instruments import parse_name

Events = Sequence[Event]
Handler = Callable[[Any, wire.Push, Context], Events]

FAMILY = "usdt-futures"
INTERVALS = (1.0, 2.0, 4.0, 8.0)  # hours between settlements


class Decoder:
    """Decodes what the venue sends; remembers contracts, funding intervals and last marks."""

    venue = "bitget"

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)
        self._contracts: dict[str, tuple[str, float]] = {}
        self._names: dict[str, str] = {}
        self._hours: dict[str, float] = {}
        self._marks: dict[str, float] = {}
        self._topics: dict[str, tuple[Callable[[msgspec.Raw], Any], Handler]] = {
            "books": (_rows_of(wire.BookRow), self._book),
            "books1": (_rows_of(wire.BookRow), self._quote),
            "publicTrade": (_rows_of(wire.TradeRow), self._trades),
            "ticker": (_rows_of(wire.TickerRow), self._ticker),
            "liquidation": (_rows_of(wire.LiquidationRow), self._liquidations),
        }
        self._answers: dict[str, tuple[type, Callable[[Any, Context], Events]]] = {
            "instruments": (wire.Contracts, self._catalogue),
            "current-fund-rate": (wire.FundingNow, self._funding_now),
            "history-fund-rate": (wire.Settled, self._settled),
            "account-long-short": (wire.Ratios, self._ratios),
        }

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        """Events of a push or of a REST answer."""
        try:
            push = wire.PUSHES.decode(data)
        except UNUSABLE:
            return self._decode_other(data, context)
        if push.arg.family != FAMILY:
            raise DecodeError(NOT_OURS)
        found = self._topics.get(push.arg.topic)
        if found is None:
            raise DecodeError("unknown topic")
        decode, handle = found
        try:
            rows = decode(push.rows)
        except UNUSABLE:
            raise DecodeError("malformed") from None
        return handle(rows, push, context)

    def _decode_other(self, data: bytes | str, context: Context) -> Events:
        if data in ("pong", b"pong"):
            return ()
        try:
            raw = msgspec.json.decode(data)
            if isinstance(raw, dict):
                return self._object(raw, context)
        except msgspec.ValidationError:
            raise DecodeError("malformed") from None
        except UNUSABLE:
            raise DecodeError("not JSON") from None
        raise DecodeError("unknown shape")

    def _object(self, raw: dict[str, Any], context: Context) -> Events:
        code = raw.get("code", "00000")
        if raw.get("event") == "error" or code not in ("00000", 0, "0"):
            raise DecodeError(f"refused: {str(raw.get('msg') or code)[:80]}")
        if raw.get("event") in ("subscribe", "unsubscribe"):
            return ()
        if "arg" in raw:
            raise DecodeError("malformed")
        answer = self._answers.get(path(context.url).rpartition("/")[2])
        if answer is None or "data" not in raw:
            raise DecodeError("unknown shape")
        kind, handle = answer
        return handle(convert(raw, kind), context)

    def _contract(self, name: str) -> tuple[str, float]:
        """Our id and coins per venue unit; by the catalogue alone once it is known."""
        listing = None if self._contracts or len(name) > 40 else parse_name(name)
        if listing is None or listing.quote != "USDT":
            raise DecodeError(NOT_OURS)
        return listing.id, listing.lot

    def _subject(self, push: wire.Push) -> tuple[str, float]:
        name = push.arg.symbol or push.arg.other
        return self._contracts.get(name) or self._contract(name)

    def _wanted(self, name: str) -> tuple[str, float] | None:
        """The contract of a row of a market-wide list; None for one nobody asked for."""
        try:
            symbol, lot = self._contracts.get(name) or self._contract(name)
        except DecodeError:
            return None
        return (symbol, lot) if symbol in self._symbols else None

    def _book(self, rows: list[wire.BookRow], push: wire.Push, context: Context) -> Events:
        symbol, lot = self._subject(push)
        whole = push.action == "snapshot"
        return [self._levels(row, symbol, lot, whole, context) for row in rows]

    def _levels(self, row: wire.BookRow, symbol: str, lot: float, whole: bool, c: Context) -> Event:
        bids = row.bids if lot == 1 else per_coin(row.bids, lot)
        asks = row.asks if lot == 1 else per_coin(row.asks, lot)
        if whole:
            return BookSnapshot(
                **self._common(symbol, row.time, c), bids=bids, asks=asks, seq=row.seq
            )
        return BookDelta(
            venue="bitget",
            market="perp",
            symbol=symbol,
            ts=row.time * MS,
            recv=c.recv,
            bids=bids,
            asks=asks,
            first_seq=row.prev_seq + 1,
            seq=row.seq,
            prev_seq=row.prev_seq,
        )

    def _quote(self, rows: list[wire.BookRow], push: wire.Push, context: Context) -> Events:
        symbol, lot = self._subject(push)
        for row in rows:
            if not (row.bids and row.asks):
                raise DecodeError("one-sided quote")
        return [
            Quote(
                venue="bitget",
                market="perp",
                symbol=symbol,
                ts=row.time * MS,
                recv=context.recv,
                bid=row.bids[0][0] / lot,
                ask=row.asks[0][0] / lot,
                bid_size=row.bids[0][1] * lot,
                ask_size=row.asks[0][1] * lot,
                seq=row.seq,
            )
            for row in rows
        ]

    def _trades(self, rows: list[wire.TradeRow], push: wire.Push, context: Context) -> Events:
        """Trades in order of time; a snapshot repeats those before the subscription."""
        symbol, lot = self._subject(push)
        history = push.action == "snapshot"
        if len(rows) > 1:
            rows.sort(key=lambda row: (row.time, row.id))
        return [
            Trade(
                venue="bitget",
                market="perp",
                symbol=symbol,
                ts=row.time * MS,
                recv=context.recv,
                history=history,
                price=row.price / lot,
                size=row.size * lot,
                side=row.side,
                id=row.id,
            )
            for row in rows
        ]

    def _ticker(self, rows: list[wire.TickerRow], push: wire.Push, context: Context) -> Events:
        """Mark, funding and open interest; the quote comes by its own topic, with a sequence."""
        symbol, lot = self._subject(push)
        name = push.arg.symbol or push.arg.other
        common = self._common(symbol, push.time, context)
        out: list[Event] = []
        for row in rows:
            mark, index = number(row.mark, 1e15), number(row.index, 1e15)
            if mark and mark > 0:
                self._marks[symbol] = mark / lot
                known = index / lot if index and index > 0 else None
                out.append(Mark(**common, mark=mark / lot, index=known))
            rate = number(row.rate, 10)
            if rate is not None:
                out.append(self._funding(name, rate, row.next_time, common))
            interest = number(row.interest, 1e15)
            if interest is not None and interest >= 0:
                out.append(self._interest(symbol, interest * lot, common))
        return out

    def _interest(self, symbol: str, base: float, common: dict[str, Any]) -> Event:
        mark = self._marks.get(symbol)
        return OpenInterest(**common, base=base, usd=None if mark is None else base * mark)

    def _funding(self, name: str, rate: float, next_time: Any, common: dict[str, Any]) -> Event:
        hours, time = self._hours.get(name), number(next_time, 9e12)
        return Funding(
            **common,
            rate_8h=rate * FUNDING_HOURS / hours if hours else None,
            rate=rate,
            interval_h=hours,
            next_ts=int(time) * MS if time and time > 0 else None,
        )

    def _liquidations(
        self, rows: list[wire.LiquidationRow], push: wire.Push, context: Context
    ) -> Events:
        out: list[Event] = []
        for row in rows:
            if (found := self._wanted(row.symbol)) is None:
                continue
            symbol, lot = found
            out.append(
                Liquidation(
                    **self._common(symbol, row.time, context),
                    position="long" if row.side == "buy" else "short",
                    price=row.price / lot,
                    size=row.amount / row.price * lot,
                    usd=row.amount,
                )
            )
        return out

    def _catalogue(self, answer: wire.Contracts, context: Context) -> Events:
        """What trades here; of two contracts on one coin the one in smaller lots."""
        found: dict[str, tuple[str, str, float]] = {}
        for row in answer.rows:
            listing = parse_name(row.symbol) if row.trades and len(row.symbol) <= 40 else None
            if listing and listing.lot < found.get(listing.id, ("", "", float("inf")))[2]:
                found[listing.id] = (row.symbol, listing.id, listing.lot)
        if not found:
            raise DecodeError("malformed")
        self._names = {symbol: name for name, symbol, _ in found.values()}
        self._contracts = {name: (symbol, lot) for name, symbol, lot in found.values()}
        for row in answer.rows:
            if row.symbol in self._contracts:
                self._learn_hours(row.symbol, row.hours)
        return ()

    def _learn_hours(self, name: str, stated: Any) -> None:
        hours = number(stated, 240)
        if hours and hours > 0:
            self._hours[name] = hours

    def _funding_now(self, answer: wire.FundingNow, context: Context) -> Events:
        out: list[Event] = []
        for row in answer.rows:
            found, rate = self._wanted(row.symbol), number(row.rate, 10)
            if found is None or rate is None:
                continue
            self._learn_hours(row.symbol, row.hours)
            common = self._common(found[0], answer.time, context)
            out.append(self._funding(row.symbol, rate, row.next_time, common))
        return out

    def _settled(self, answer: wire.Settled, context: Context) -> Events:
        """Past settlements; the interval is the time since the one before, where both are there."""
        rows = sorted(answer.page.rows, key=lambda row: row.time)
        out: list[Event] = []
        before = 0
        for row in rows:
            symbol, _ = self._contracts.get(row.symbol) or self._contract(row.symbol)
            between, before = (row.time - before) / 3_600_000, row.time
            hours = between if between in INTERVALS else self._hours.get(row.symbol)
            out.append(
                Funding(
                    **self._common(symbol, row.time, context, history=True),
                    rate_8h=row.rate * FUNDING_HOURS / hours if hours else None,
                    rate=row.rate,
                    interval_h=hours,
                    next_ts=None,
                )
            )
        return out

    def _ratios(self, answer: wire.Ratios, context: Context) -> Events:
        name = query(context.url).get("symbol") or self._names.get(context.symbol or "")
        if name is None:
            raise DecodeError("no symbol")
        symbol, _ = self._contracts.get(name) or self._contract(name)
        return [
            Ratio(
                **self._common(symbol, row.time, context, history=True),
                measure="global_accounts",
                value=row.value,
            )
            for row in answer.rows
        ]

    def _common(
        self, symbol: str, time: int, context: Context, history: bool = False
    ) -> dict[str, Any]:
        return {
            "venue": self.venue,
            "market": "perp",
            "symbol": symbol,
            "ts": time * MS,
            "recv": context.recv,
            "history": history,
        }


def _rows_of(row: type) -> Callable[[msgspec.Raw], Any]:
    return msgspec.json.Decoder(list[row], strict=False).decode  # type: ignore[valid-type]
