"""Pushes and REST answers of Gate's USDT futures into events.

Books, quotes and trades are the hot path: one typed decode, one dictionary look-up, one struct.
Contracts count multiples of a coin that only the catalogue tells, so nothing with a size can be
read before it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from engine.clock import NS
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
from engine.feeds.feed import Context, DecodeError
from engine.feeds.gate import wire
from engine.feeds.gate.contracts import Listed, hours, listed, next_settlement, scaled
from engine.feeds.parse import (
    FUNDING_HOURS,
    MS,
    NOT_OURS,
    UNUSABLE,
    convert,
    number,
    path,
    query,
)
from engine.instruments import parse_name

Events = Sequence[Event]
Row = Callable[[Any, int, Context], Events]
Measure = Literal["top_accounts", "top_positions", "global_accounts", "taker"]

CALLS = ("subscribe", "unsubscribe")
UNKNOWN_SIZE = "contract size unknown"
NOT_MARKET = "not a market trade"
_MILLIS_FROM = 9e9  # as seconds that is the year 2255
_LEAST = 1e-15  # contracts; less is none
_INTERVALS = (1.0, 2.0, 4.0, 8.0)  # hours between settlements


class Decoder:
    """Decodes what the venue sends; remembers the contracts and the last marks."""

    venue = "gate"

    def __init__(self, symbols: Sequence[str]) -> None:
        self._symbols = tuple(symbols)
        self._contracts: dict[str, Listed] = {}
        self._books: dict[str, Listed] = {}
        self._names: dict[str, str] = {}
        self._marks: dict[str, float] = {}
        self._handlers: dict[type, Callable[[Any, Context], Events]] = {
            wire.Book: self._book,
            wire.Quote: self._quote,
            wire.Trades: self._trades,
            wire.Tickers: self._tickers,
            wire.Liquidations: self._liquidations,
            wire.Stats: self._stats,
        }
        self._answers: dict[str, tuple[Any, Callable[[Any, Context], Events]]] = {
            "contracts": (list[wire.Contract], self._catalogue),
            "contract_stats": (list[wire.StatsRow], self._stats_page),
            "funding_rate": (list[wire.SettledRow], self._settled),
        }

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        """Events of a push or of a REST answer."""
        try:
            push = wire.PUSHES.decode(data)
        except UNUSABLE:
            return self._decode_other(data, context)
        return self._handlers[type(push)](push, context)

    def _decode_other(self, data: bytes | str, context: Context) -> Events:
        try:
            raw = msgspec.json.decode(data)
            if isinstance(raw, dict):
                return self._object(raw, context)
            answer = self._answers.get(path(context.url).rpartition("/")[2])
            if isinstance(raw, list) and answer is not None:
                kind, handle = answer
                return handle(convert(raw, kind), context)
        except msgspec.ValidationError:
            raise DecodeError("malformed") from None
        except UNUSABLE:
            raise DecodeError("not JSON") from None
        raise DecodeError("unknown shape")

    def _object(self, raw: dict[str, Any], context: Context) -> Events:
        if error := raw.get("error"):
            text = error.get("message", "") if isinstance(error, dict) else error
            raise DecodeError(f"refused: {str(text)[:80]}")
        if "label" in raw:
            raise DecodeError(f"refused: {str(raw.get('message') or raw['label'])[:80]}")
        channel, rows = raw.get("channel"), raw.get("result")
        if isinstance(rows, dict) and rows.get("status", "success") != "success":
            raise DecodeError("refused: no success")
        if raw.get("event") in CALLS or channel in ("futures.pong", "futures.system"):
            return ()
        if channel == "futures.contract_stats" and isinstance(rows, list):
            return tuple(
                event
                for row in convert(rows, list[wire.StatsRow])
                for event in self._positioning(row, row.contract, context, history=False)
            )
        if channel == "futures.book_ticker" and isinstance(rows, dict) and "" in rows.values():
            raise DecodeError("one-sided quote")
        if isinstance(channel, str) and rows is not None:
            known = channel in wire.CHANNELS
            raise DecodeError("malformed" if known else "unknown channel")
        raise DecodeError("unknown shape")

    def _unknown(self, name: str) -> Listed:
        """Why a contract cannot be used."""
        listing = parse_name(name.replace("_", "", 1)) if len(name) <= 40 else None
        if self._contracts or listing is None or not name.endswith("_USDT"):
            raise DecodeError(NOT_OURS)
        raise DecodeError(UNKNOWN_SIZE)

    def _wanted(self, name: str) -> Listed | None:
        """The contract of a row of a market-wide list; None for one nobody asked for."""
        if not self._contracts:
            self._unknown(name)
        found = self._contracts.get(name)
        return found if found and found.symbol in self._symbols else None

    def _book_of(self, stream: str) -> Listed:
        """The contract of `ob.BTC_USDT.400`, remembered per stream."""
        name = stream.removeprefix("ob.").rpartition(".")[0]
        found = self._contracts.get(name) or self._unknown(name)
        if len(self._books) > 4096:
            self._books.clear()
        self._books[stream] = found
        return found

    def _book(self, push: wire.Book, context: Context) -> Events:
        row = push.row
        c = self._books.get(row.name) or self._book_of(row.name)
        bids, asks = scaled(row.bids, c), scaled(row.asks, c)
        if row.full:
            common = self._common(c.symbol, row.time * MS, context)
            return (BookSnapshot(**common, bids=bids, asks=asks, seq=row.seq),)
        return (
            BookDelta(
                venue="gate",
                market="perp",
                symbol=c.symbol,
                ts=row.time * MS,
                recv=context.recv,
                bids=bids,
                asks=asks,
                first_seq=row.first_seq,
                seq=row.seq,
                prev_seq=row.first_seq - 1,
            ),
        )

    def _quote(self, push: wire.Quote, context: Context) -> Events:
        row = push.row
        c = self._contracts.get(row.contract) or self._unknown(row.contract)
        return (
            Quote(
                venue="gate",
                market="perp",
                symbol=c.symbol,
                ts=row.time * MS,
                recv=context.recv,
                bid=row.bid / c.lot,
                ask=row.ask / c.lot,
                bid_size=row.bid_size * c.coins,
                ask_size=row.ask_size * c.coins,
                seq=row.seq,
            ),
        )

    def _trades(self, push: wire.Trades, context: Context) -> Events:
        return self._rows(self._trade, push.rows, push.time, context)

    def _rows(self, handle: Row, rows: list[Any], time: int, context: Context) -> Events:
        """Events of many rows; others among them are no fault of the frame."""
        out: list[Event] = []
        for row in rows:
            try:
                out += handle(row, time, context)
            except DecodeError as error:
                if len(rows) == 1 or error.args[0] not in (NOT_OURS, NOT_MARKET):
                    raise
        return out

    def _trade(self, row: wire.TradeRow, _: int, context: Context) -> Events:
        if row.internal or abs(row.size) < _LEAST:
            raise DecodeError(NOT_MARKET)
        c = self._contracts.get(row.contract) or self._unknown(row.contract)
        return (
            Trade(
                venue="gate",
                market="perp",
                symbol=c.symbol,
                ts=int(row.time) * MS,
                recv=context.recv,
                price=row.price / c.lot,
                size=abs(row.size) * c.coins,
                side="buy" if row.size > 0 else "sell",
                id=row.id,
            ),
        )

    def _tickers(self, push: wire.Tickers, context: Context) -> Events:
        return self._rows(self._ticker, push.rows, push.time, context)

    def _ticker(self, row: wire.TickerRow, time: int, context: Context) -> Events:
        """Whatever the row states: mark and index, funding, open interest."""
        c = self._contracts.get(row.contract) or self._unknown(row.contract)
        common = self._common(c.symbol, time * MS, context)
        out: list[Event] = []
        mark, index = number(row.mark, 1e15), number(row.index, 1e15)
        if mark and mark > 0:
            self._marks[c.symbol] = mark / c.lot
            known = index / c.lot if index and index > 0 else None
            out.append(Mark(**common, mark=mark / c.lot, index=known))
        rate = number(row.rate, 10)
        if rate is not None:
            every = hours(row.interval) or c.hours
            next_s = number(row.next_time, 9e9) or next_settlement(c, time / 1000)
            out.append(self._funding(rate, every, next_s, common))
        interest = number(row.interest, 1e15)
        if interest is not None and interest >= 0:
            out.append(self._interest(c, interest, None, common))
        return out

    def _funding(
        self, rate: float, every: float | None, next_s: float | None, common: dict[str, Any]
    ) -> Event:
        return Funding(
            **common,
            rate_8h=rate * FUNDING_HOURS / every if every else None,
            rate=rate,
            interval_h=every,
            next_ts=int(next_s) * NS if next_s and next_s > 0 else None,
        )

    def _interest(
        self, c: Listed, contracts: float, stated: float | None, common: dict[str, Any]
    ) -> Event:
        base, mark = contracts * c.coins, self._marks.get(c.symbol)
        usd = stated or (None if mark is None else base * mark)
        return OpenInterest(**common, base=base, usd=usd)

    def _liquidations(self, push: wire.Liquidations, context: Context) -> Events:
        out: list[Event] = []
        for row in push.rows:
            c = self._wanted(row.contract)
            if c is None or abs(row.size) < _LEAST:
                continue
            time = _ns(row.time_ms or row.time) or push.time * MS
            size, price = abs(row.size) * c.coins, row.price / c.lot
            out.append(
                Liquidation(
                    **self._common(c.symbol, time, context),
                    position="long" if row.size > 0 else "short",
                    price=price,
                    size=size,
                    usd=price * size,
                )
            )
        return out

    def _stats(self, push: wire.Stats, context: Context) -> Events:
        return self._positioning(push.row, push.row.contract, context, history=False)

    def _stats_page(self, rows: list[wire.StatsRow], context: Context) -> Events:
        name = self._asked(context)
        return tuple(
            event for row in rows for event in self._positioning(row, name, context, history=True)
        )

    def _positioning(
        self, row: wire.StatsRow, name: str, context: Context, history: bool
    ) -> Events:
        c = self._contracts.get(name) or self._unknown(name)
        common = self._common(c.symbol, _ns(row.time), context, history)
        stated: tuple[tuple[Measure, Any], ...] = (
            ("taker", row.taker),
            ("global_accounts", row.accounts),
            ("top_accounts", row.top_accounts),
            ("top_positions", row.top_positions),
        )
        out: list[Event] = [
            Ratio(**common, measure=measure, value=value)
            for measure, text in stated
            if (value := number(text, 1e9)) and value > 0
        ]
        interest, usd = number(row.interest, 1e15), number(row.usd, 1e15)
        if interest is not None and interest >= 0:
            out.append(self._interest(c, interest, usd if usd and usd > 0 else None, common))
        return out

    def _settled(self, rows: list[wire.SettledRow], context: Context) -> Events:
        """Past settlements; the interval is the time since the one before, where both are there."""
        name = self._asked(context)
        c = self._contracts.get(name) or self._unknown(name)
        out: list[Event] = []
        before = 0.0
        for row in sorted(rows, key=lambda row: row.time):
            between, before = (row.time - before) / 3600, row.time
            every = between if between in _INTERVALS else c.hours
            common = self._common(c.symbol, _ns(row.time), context, history=True)
            out.append(self._funding(row.rate, every, None, common))
        return out

    def _asked(self, context: Context) -> str:
        """The contract of an answer that does not name one."""
        name = query(context.url).get("contract") or self._names.get(context.symbol or "")
        if not name:
            raise DecodeError("no symbol")
        return name

    def _catalogue(self, rows: list[wire.Contract], context: Context) -> Events:
        """What trades here; of two contracts on one coin the one in smaller lots."""
        found: dict[str, tuple[str, Listed]] = {}
        for row in rows:
            contract = listed(row)
            if contract is None:
                continue
            rival = found.get(contract.symbol)
            if rival is None or contract.lot < rival[1].lot:
                found[contract.symbol] = (row.name, contract)
        if not found:
            raise DecodeError("malformed")
        self._contracts = dict(found.values())
        self._names = {symbol: name for symbol, (name, _) in found.items()}
        self._books = {}
        return ()

    def _common(
        self, symbol: str, ts: int, context: Context, history: bool = False
    ) -> dict[str, Any]:
        return {
            "venue": self.venue,
            "market": "perp",
            "symbol": symbol,
            "ts": ts,
            "recv": context.recv,
            "history": history,
        }


def _ns(time: float) -> int:
    """Nanoseconds of a time in seconds or, if it is as large as that, milliseconds."""
    return int(time) * (MS if time >= _MILLIS_FROM else NS)
