"""Frames and REST answers of dYdX v4 into events.

The only order is the message number of a connection. Where it jumps, every book of that connection
may have lost something: each gets a BookDelta that follows nothing (`prev_seq` is no number any
event of the book has), which makes the market give the book up until it is subscribed anew.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

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
    Trade,
)
from engine.feeds.dydx import wire
from engine.feeds.dydx.book import UncrossedBook
from engine.feeds.feed import Context, DecodeError
from engine.feeds.parse import FUNDING_HOURS, NOT_OURS, UNUSABLE, convert

Events = tuple[Event, ...]
HOUR = 3600 * NS
MAX_CONNECTIONS = 64
MAX_BOOKS = 1024
LONGEST = 2**63
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICKER = re.compile(r"([A-Z0-9]{1,20})-USD")
_QUIET = frozenset({"connected", "unsubscribed", "pong"})
_CHANNELS = frozenset({"v4_orderbook", "v4_trades", "v4_markets"})


class Decoder:
    """Decodes what the venue sends.

    Remembers each connection's last message number, a book per symbol (book.py says why) and the
    oracle prices that turn open interest into USD.
    """

    venue = "dydx"

    def __init__(self, symbols: Sequence[str]) -> None:
        self._wanted = frozenset(symbols)
        self._books: dict[str, UncrossedBook] = {}
        self._lost: list[UncrossedBook] = []
        self._last: dict[str, int] = {}
        self._oracles: dict[str, float] = {}
        self._handlers: dict[tuple[str, str], Callable[[wire.Envelope, Context], Events]] = {
            ("subscribed", "v4_orderbook"): self._snapshot,
            ("channel_data", "v4_orderbook"): self._change,
            ("channel_batch_data", "v4_orderbook"): self._change,
            ("subscribed", "v4_trades"): self._trades,
            ("channel_data", "v4_trades"): self._trades,
            ("channel_batch_data", "v4_trades"): self._trades,
            ("subscribed", "v4_markets"): self._markets,
            ("channel_data", "v4_markets"): self._markets,
            ("channel_batch_data", "v4_markets"): self._markets,
        }

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        """Events of a frame of the stream, or of a REST answer."""
        try:
            frame = wire.ENVELOPES.decode(data)
        except UNUSABLE:
            return self._decode_other(data, context)
        self._count(frame)
        handler = self._handlers.get((frame.type, frame.channel))
        if handler is None:
            return self._quiet(frame, context)
        try:
            events = handler(frame, context)
        except DecodeError:
            self._lose(frame)
            # What follows on a socket of given-up books is only their changes, all of no use.
            if self._lost and (breaks := self._breaks(context)):
                return breaks
            raise
        except UNUSABLE:
            self._lose(frame)
            raise DecodeError("malformed") from None
        return (*self._breaks(context), *events) if self._lost else events

    # -- order -----------------------------------------------------------------------------

    def _count(self, frame: wire.Envelope) -> None:
        """Give up the connection's books where its numbers jump."""
        connection, number = frame.connection_id, frame.message_id
        last = self._last.get(connection)
        self._last[connection] = number
        if last is None:
            if len(self._last) > MAX_CONNECTIONS:
                del self._last[next(iter(self._last))]
        elif number != last + 1:
            for book in self._books.values():
                if book.connection == connection:
                    self._give_up(book)

    def _lose(self, frame: wire.Envelope) -> None:
        """A frame of that book could not be used."""
        book = self._books.get(frame.id) if frame.channel == "v4_orderbook" else None
        if book is not None and book.connection == frame.connection_id:
            self._give_up(book)

    def _give_up(self, book: UncrossedBook) -> None:
        if not book.lost:
            book.lost = True
            self._lost.append(book)

    def _breaks(self, context: Context) -> Events:
        """The deltas that follow nothing, for the books given up since the last frame."""
        if context.recv is None:
            return ()
        out = []
        for book in self._lost:
            book.seq = seq = book.seq + 2
            common = self._common(book.symbol, context.recv, context)
            out.append(
                BookDelta(**common, bids=[], asks=[], first_seq=None, seq=seq, prev_seq=seq - 1)
            )
        self._lost.clear()
        return tuple(out)

    def _quiet(self, frame: wire.Envelope, context: Context) -> Events:
        if frame.type == "error":
            raise DecodeError(f"refused: {frame.message[:80]}")
        if frame.type in _QUIET:
            return self._breaks(context)
        raise DecodeError("unknown channel" if frame.channel not in _CHANNELS else "unknown shape")

    # -- the stream ------------------------------------------------------------------------

    def _snapshot(self, frame: wire.Envelope, context: Context) -> Events:
        symbol, ts = _resolve(frame.id), _received(context)
        whole = wire.BOOKS.decode(frame.contents)
        book = self._books.get(frame.id)
        if book is None:
            if len(self._books) >= MAX_BOOKS:
                raise DecodeError("too many books")
            book = self._books[frame.id] = UncrossedBook(symbol)
        bids, asks = book.replace(
            [(x.price, x.size) for x in whole.bids],
            [(x.price, x.size) for x in whole.asks],
            frame.message_id,
        )
        book.connection = frame.connection_id
        if book in self._lost:
            self._lost.remove(book)
        book.seq += 1
        return (
            BookSnapshot(**self._common(symbol, ts, context), bids=bids, asks=asks, seq=book.seq),
        )

    def _change(self, frame: wire.Envelope, context: Context) -> Events:
        book = self._books.get(frame.id)
        if book is None or book.lost or book.connection != frame.connection_id:
            _resolve(frame.id)
            raise DecodeError("no whole book yet")
        if frame.type == "channel_data":
            change = wire.CHANGES.decode(frame.contents) or wire.BookChange()
            bids, asks = change.bids or [], change.asks or []
        else:
            changes = wire.BATCHES.decode(frame.contents)
            bids = [level for change in changes for level in change.bids or ()]
            asks = [level for change in changes for level in change.asks or ()]
        ts = _received(context)
        bids, asks = book.apply(bids, asks, frame.message_id)
        before = book.seq
        book.seq = seq = before + 1
        return (
            BookDelta(
                venue="dydx",
                market="perp",
                symbol=book.symbol,
                ts=ts,
                recv=context.recv,
                bids=bids,
                asks=asks,
                first_seq=seq,
                seq=seq,
                prev_seq=before,
            ),
        )

    def _trades(self, frame: wire.Envelope, context: Context) -> Events:
        """The first frame is the past. Deleveraging happens off the book: no trade of anyone's."""
        symbol = _resolve(frame.id)
        if frame.type == "channel_batch_data":
            batches = wire.TRADE_BATCHES.decode(frame.contents)
        else:
            batches = [wire.TRADES.decode(frame.contents)]
        history = frame.type == "subscribed"
        out: list[Event] = []
        for t in [trade for batch in batches for trade in batch.trades]:
            ts = _ns(t.at)
            if t.type != "DELEVERAGED":
                out.append(
                    Trade(
                        venue="dydx",
                        market="perp",
                        symbol=symbol,
                        ts=ts,
                        recv=context.recv,
                        history=history,
                        price=t.price,
                        size=t.size,
                        side="buy" if t.side == "BUY" else "sell",
                        id=t.id,
                    )
                )
            if t.type in ("LIQUIDATED", "DELEVERAGED"):
                out.append(
                    Liquidation(
                        **self._common(symbol, ts, context, history),
                        position="long" if t.side == "SELL" else "short",
                        price=t.price,
                        size=t.size,
                        usd=t.price * t.size,
                    )
                )
        return tuple(out)

    def _markets(self, frame: wire.Envelope, context: Context) -> Events:
        if frame.type == "channel_batch_data":
            parts = wire.MARKET_BATCHES.decode(frame.contents)
        else:
            parts = [wire.MARKETS.decode(frame.contents)]
        out: list[Event] = []
        for part in parts:
            for rows in (part.oracles, part.markets, part.trading):
                for name, row in (rows or {}).items():
                    symbol = market_symbol(name)
                    if symbol in self._wanted:
                        out += self._market(symbol, row, context)
        return tuple(out)

    def _market(self, symbol: str, row: wire.Market, context: Context) -> list[Event]:
        """Only what is said; the oracle price is mark and index at once."""
        common = self._common(symbol, _ns(row.at) if row.at else _received(context), context)
        out: list[Event] = []
        if row.oracle:
            self._oracles[symbol] = row.oracle
            out.append(Mark(**common, mark=row.oracle, index=row.oracle))
        if row.rate is not None:
            out.append(_funding(common, row.rate))
        if row.oi is not None:
            oracle = self._oracles.get(symbol)
            usd = None if oracle is None else row.oi * oracle
            out.append(OpenInterest(**common, base=row.oi, usd=usd))
        return out

    # -- answers ---------------------------------------------------------------------------

    def _decode_other(self, data: bytes | str, context: Context) -> Events:
        try:
            raw = msgspec.json.decode(data)
            if isinstance(raw, dict):
                return self._answer(raw, context)
        except msgspec.ValidationError:
            raise DecodeError("malformed") from None
        except UNUSABLE:
            raise DecodeError("not JSON") from None
        raise DecodeError("unknown shape")

    def _answer(self, raw: dict[str, Any], context: Context) -> Events:
        if "type" in raw:
            raise DecodeError("malformed")
        if "markets" in raw:
            return ()
        if "historicalFunding" in raw:
            rates = convert(raw["historicalFunding"], list[wire.FundingRow])
            return tuple(
                _funding(self._common(_resolve(r.ticker), _ns(r.at), context, True), r.rate)
                for r in rates
            )
        if "candles" in raw:
            return self._past_interest(convert(raw["candles"], list[wire.Candle]), context)
        if "errors" in raw:
            raise DecodeError(f"refused: {str(raw['errors'])[:80]}")
        raise DecodeError("unknown shape")

    def _past_interest(self, rows: list[wire.Candle], context: Context) -> Events:
        return tuple(
            OpenInterest(
                **self._common(_resolve(row.ticker), _ns(row.at), context, True),
                base=row.oi,
                usd=row.oi * row.open,
            )
            for row in rows
        )

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


def market_symbol(name: str) -> str | None:
    found = _TICKER.fullmatch(name)
    return f"{found[1]}USDT" if found else None


def _resolve(name: str) -> str:
    """Our id; markets whose names hold more than a coin (`A,B,C-USD`) are refused."""
    symbol = market_symbol(name)
    if symbol is None:
        raise DecodeError(NOT_OURS)
    return symbol


def _received(context: Context) -> int:
    """Books and markets name no time, so their receipt stands for it."""
    if context.recv is None:
        raise DecodeError("no time")
    return context.recv


def _ns(at: datetime) -> int:
    try:
        past = at - EPOCH
    except OverflowError:
        raise DecodeError("malformed") from None
    ns = (past.days * 86_400 + past.seconds) * NS + past.microseconds * 1000
    if not 0 <= ns < LONGEST:
        raise DecodeError("malformed")
    return ns


def _funding(common: dict[str, Any], rate: float) -> Funding:
    """Paid at every full hour."""
    next_ts = None if common["history"] else (common["ts"] // HOUR + 1) * HOUR
    return Funding(
        **common, rate_8h=rate * FUNDING_HOURS, rate=rate, interval_h=1.0, next_ts=next_ts
    )
