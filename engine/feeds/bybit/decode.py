"""Frames of Bybit v5 into events.

Spot speaks the same topics with the same names; only the url of the connection tells it apart.
Books carry two numbers: the update id, which has no gaps but restarts with the service, and the
cross sequence, which compares all depths and the ticker of a contract. The chain is checked by
the first and told in the second.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from engine.events import BookDelta, BookSnapshot, Event, Liquidation, Quote, Trade
from engine.feeds.bybit import wire
from engine.feeds.bybit.answers import Contracts, Events
from engine.feeds.bybit.ticker import State, common, ticker_events
from engine.feeds.feed import Context, DecodeError
from engine.feeds.parse import MS, UNUSABLE, convert, per_coin

_TOPIC = b'"topic":"'
_QUOTE = "orderbook.1."


class _Topic(NamedTuple):
    start: str
    decode: Callable[[bytes], Any]
    kind: type
    handle: Callable[[Any, Context], Events]


class Decoder:
    """Decodes what the venue sends; remembers the last numbers of books and tickers."""

    venue = "bybit"

    def __init__(self) -> None:
        self._contracts = Contracts()
        self._find = self._contracts.find
        kinds: dict[str, tuple[type, Callable[[Any, Context], Events]]] = {
            "orderbook.": (wire.BookFrame, self._book),
            "publicTrade.": (wire.TradeFrame, self._trades),
            "tickers.": (wire.TickerFrame, self._ticker),
            "allLiquidation.": (wire.LiquidationFrame, self._liquidations),
        }
        self._topics = [
            _Topic(start, msgspec.json.Decoder(kind, strict=False).decode, kind, handle)
            for start, (kind, handle) in kinds.items()
        ]
        self._starts = {topic.start[:8].encode(): topic for topic in self._topics}

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        """Events of a frame or of a REST answer."""
        try:
            raw = data.encode() if isinstance(data, str) else data
            at = raw.find(_TOPIC) + 9
            topic = self._starts.get(raw[at : at + 8])
            if topic is None or at < 9:
                return self._decode_other(raw, context)
            frame = topic.decode(raw)
        except msgspec.ValidationError:
            raise DecodeError("malformed") from None
        except UNUSABLE:
            raise DecodeError("not JSON") from None
        if not frame.topic.startswith(topic.start):
            raise DecodeError("unknown topic")
        return topic.handle(frame, context)

    def _decode_other(self, data: bytes, context: Context) -> Events:
        """Answers to commands and requests, and topics written with spaces."""
        raw = msgspec.json.decode(data)
        if not isinstance(raw, dict):
            raise DecodeError("unknown shape")
        if "topic" in raw:
            name = str(raw["topic"])
            topic = next((t for t in self._topics if name.startswith(t.start)), None)
            if topic is None:
                raise DecodeError("unknown topic")
            return topic.handle(convert(raw, topic.kind), context)
        if "retCode" in raw:
            return self._contracts.answer(convert(raw, wire.Answer), context)
        if raw.get("success") is True or raw.get("op") in ("ping", "pong"):
            return ()
        if "success" in raw:
            raise DecodeError(f"refused: {str(raw.get('ret_msg'))[:80]}")
        raise DecodeError("unknown shape")

    def _book(self, f: wire.BookFrame, context: Context) -> Events:
        data = f.data
        state = self._find(data.symbol, context)
        if f.topic.startswith(_QUOTE):
            return self._quote(f, state, context)
        if f.type == "snapshot":
            return self._snapshot(f, state, context)
        lot, seq, known = state.lot, data.seq, state.seq
        follows = data.update == state.update + 1
        if follows or seq > known:
            state.update, state.seq = data.update, seq
        return (
            BookDelta(
                venue="bybit",
                market=state.market,
                symbol=state.symbol,
                ts=(f.cts or f.ts) * MS,
                recv=context.recv,
                bids=data.bids if lot == 1 else per_coin(data.bids, lot),
                asks=data.asks if lot == 1 else per_coin(data.asks, lot),
                first_seq=known + 1 if follows and known < seq else seq,
                seq=seq,
                prev_seq=known if follows else None,
            ),
        )

    def _snapshot(self, f: wire.BookFrame, state: State, context: Context) -> Events:
        """A whole book.

        One that starts below the last is of a restarted service; an empty delta without numbers
        goes before it, else the market would take it for an old one.
        """
        data, event = f.data, common(state, f.cts or f.ts, context)
        restarted = data.seq < state.seq
        state.update, state.seq = data.update, data.seq
        bids, asks = per_coin(data.bids, state.lot), per_coin(data.asks, state.lot)
        snapshot = BookSnapshot(**event, bids=bids, asks=asks, seq=data.seq)
        if not restarted:
            return (snapshot,)
        return (
            BookDelta(**event, bids=[], asks=[], first_seq=None, seq=None, prev_seq=None),
            snapshot,
        )

    def _quote(self, f: wire.BookFrame, state: State, context: Context) -> Events:
        """The touch, always sent whole; nothing while a side is empty.

        Without a number where it falls, so that it is not taken for an old one.
        """
        data, lot = f.data, state.lot
        if f.type != "snapshot":
            raise DecodeError("malformed")
        seq = data.seq if data.seq >= state.touch else None
        state.touch = data.seq
        if not (data.bids and data.asks):
            return ()
        (bid, bid_size), (ask, ask_size) = data.bids[0], data.asks[0]
        return (
            Quote(
                venue="bybit",
                market=state.market,
                symbol=state.symbol,
                ts=(f.cts or f.ts) * MS,
                recv=context.recv,
                bid=bid / lot,
                ask=ask / lot,
                bid_size=bid_size * lot,
                ask_size=ask_size * lot,
                seq=seq,
            ),
        )

    def _trades(self, f: wire.TradeFrame, context: Context) -> Events:
        """Executions of the book; block trades were agreed elsewhere and are no flow."""
        out = []
        for t in f.data:
            if t.block:
                continue
            state = self._find(t.symbol, context)
            lot = state.lot
            out.append(
                Trade(
                    venue="bybit",
                    market=state.market,
                    symbol=state.symbol,
                    ts=t.time * MS,
                    recv=context.recv,
                    price=t.price / lot,
                    size=t.size * lot,
                    side="buy" if t.side == "Buy" else "sell",
                    id=_id(t.id),
                )
            )
        if f.data and not out:
            raise DecodeError("block trade")
        return tuple(out)

    def _liquidations(self, f: wire.LiquidationFrame, context: Context) -> Events:
        out = []
        for row in f.data:
            state = self._find(row.symbol, context)
            out.append(
                Liquidation(
                    **common(state, row.time, context),
                    position="long" if row.side == "Buy" else "short",
                    price=row.price / state.lot,
                    size=row.size * state.lot,
                    usd=row.price * row.size,
                )
            )
        return tuple(out)

    def _ticker(self, f: wire.TickerFrame, context: Context) -> Events:
        return ticker_events(f, self._find(f.data.symbol, context), context)


def _id(text: str) -> int | str:
    return int(text) if len(text) < 20 and text.isascii() and text.isdigit() else text
