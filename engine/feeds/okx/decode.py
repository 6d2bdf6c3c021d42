"""Frames of OKX v5 into events.

Sizes are counted in contracts, whose worth in coins the catalogue tells; frames that need it
before are refused. A maintenance reset starts the book's numbers lower, its chain goes on.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from engine.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Trade,
)
from engine.feeds.feed import Context, DecodeError
from engine.feeds.okx import wire
from engine.feeds.okx.answers import HOUR, Contracts, Events, State, common, funding
from engine.feeds.parse import MS, NOT_OURS, UNUSABLE, Levels, convert, number

INDEX_KEPT = 90_000  # ms; an index is restated every minute at least
_CHANNEL = b'"channel":"'
_EVENTS = frozenset(
    {"subscribe", "unsubscribe", "notice", "channel-conn-count", "channel-conn-count-error"}
)


class _Channel(NamedTuple):
    name: str
    decode: Callable[[bytes], Any]
    kind: type
    handle: Callable[[Any, Context], Events]


class Decoder:
    """Decodes what the venue sends; remembers contract sizes, indices and last numbers."""

    venue = "okx"

    def __init__(self, wanted: frozenset[str] = frozenset()) -> None:
        self._contracts = Contracts()
        self._find = self._contracts.find
        self._liquidations_of = wanted
        kinds: dict[str, tuple[type, Callable[[Any, Context], Events]]] = {
            "books": (wire.Books, self._book),
            "bbo-tbt": (wire.Books, self._quote),
            "trades": (wire.Trades, self._trades),
            "mark-price": (wire.Marks, self._marks),
            "index-tickers": (wire.Indices, self._indices),
            "funding-rate": (wire.Fundings, self._fundings),
            "open-interest": (wire.Interests, self._interests),
            "liquidation-orders": (wire.Liquidations, self._liquidations),
        }
        self._channels = {
            name: _Channel(name, msgspec.json.Decoder(kind, strict=False).decode, kind, handle)
            for name, (kind, handle) in kinds.items()
        }
        self._starts = {(name + '"')[:6].encode(): c for name, c in self._channels.items()}

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        """Events of a frame or of a REST answer."""
        try:
            raw = data.encode() if isinstance(data, str) else data
            at = raw.find(_CHANNEL, 0, 64) + 11
            channel = self._starts.get(raw[at : at + 6])
            if channel is None or at < 11:
                return self._decode_other(raw, context)
            frame = channel.decode(raw)
            if frame.event:
                return _event(msgspec.json.decode(raw))
        except msgspec.ValidationError:
            raise DecodeError("malformed") from None
        except UNUSABLE:
            raise DecodeError("not JSON") from None
        if frame.arg.channel != channel.name:
            raise DecodeError("unknown channel")
        return channel.handle(frame, context)

    def _decode_other(self, data: bytes, context: Context) -> Events:
        """Pongs, events, REST answers, and channels written with spaces."""
        if data == b"pong":
            return ()
        raw = msgspec.json.decode(data)
        if not isinstance(raw, dict):
            raise DecodeError("unknown shape")
        if "event" in raw:
            return _event(raw)
        if "code" in raw:
            return self._contracts.answer(convert(raw, wire.Answer), context)
        if "arg" not in raw:
            raise DecodeError("unknown shape")
        name = convert(raw["arg"], wire.Arg).channel
        channel = self._channels.get(name)
        if channel is None:
            raise DecodeError("unknown channel")
        return channel.handle(convert(raw, channel.kind), context)

    def _book(self, f: wire.Books, context: Context) -> Events:
        state = self._find(f.arg.name)
        coins = state.coins()
        out: list[Event] = []
        for d in f.data:
            bids, asks = _levels(d.bids, coins), _levels(d.asks, coins)
            seq, prev_seq = d.seq, d.prev_seq
            if prev_seq < 0 or f.action == "snapshot":
                out += _snapshot(d, bids, asks, state, context)
                continue
            state.seq = seq
            out.append(
                BookDelta(
                    venue="okx",
                    market="perp",
                    symbol=state.symbol,
                    ts=d.time * MS,
                    recv=context.recv,
                    bids=bids,
                    asks=asks,
                    first_seq=prev_seq + 1 if prev_seq < seq else seq,
                    seq=seq,
                    prev_seq=prev_seq,
                )
            )
        return tuple(out)

    def _quote(self, f: wire.Books, context: Context) -> Events:
        """The touch; nothing while a side is empty.

        Without a number where it falls, so that it is not taken for an old one.
        """
        state = self._find(f.arg.name)
        coins = state.coins()
        out = []
        for d in f.data:
            seq = d.seq if d.seq >= state.touch else None
            state.touch = d.seq
            if not (d.bids and d.asks):
                continue
            bid, ask = d.bids[0], d.asks[0]
            out.append(
                Quote(
                    venue="okx",
                    market="perp",
                    symbol=state.symbol,
                    ts=d.time * MS,
                    recv=context.recv,
                    bid=bid.price,
                    ask=ask.price,
                    bid_size=bid.size * coins,
                    ask_size=ask.size * coins,
                    seq=seq,
                )
            )
        return tuple(out)

    def _trades(self, f: wire.Trades, context: Context) -> Events:
        out = []
        for t in f.data:
            state = self._find(t.name)
            out.append(
                Trade(
                    venue="okx",
                    market="perp",
                    symbol=state.symbol,
                    ts=t.time * MS,
                    recv=context.recv,
                    price=t.price,
                    size=t.size * (state.size or state.coins()),
                    side=t.side,
                    id=t.id,
                )
            )
        return tuple(out)

    def _marks(self, f: wire.Marks, context: Context) -> Events:
        out = []
        for row in f.data:
            state = self._find(row.name)
            fresh = abs(row.time - state.index_at) <= INDEX_KEPT
            index = state.index if fresh else None
            out.append(Mark(**common(state, row.time, context), mark=row.mark, index=index))
        return tuple(out)

    def _indices(self, f: wire.Indices, context: Context) -> Events:
        """Remembered for the marks that follow; an index has no event of its own."""
        for row in f.data:
            state = self._contracts.pair(row.name)
            state.index, state.index_at = row.index, row.time
        return ()

    def _fundings(self, f: wire.Fundings, context: Context) -> Events:
        """The rate due at the coming settlement; its interval is the time to the one after."""
        out = []
        for row in f.data:
            state = self._find(row.name)
            following = number(row.following, 9e12)
            hours = (following - row.due) / HOUR if following is not None else 0.0
            event = common(state, row.time, context)
            out.append(funding(event, row.rate, hours, row.due * MS or None))
        return tuple(out)

    def _interests(self, f: wire.Interests, context: Context) -> Events:
        out = []
        for row in f.data:
            state, usd = self._find(row.name), number(row.usd, 1e15)
            known = usd if usd is not None and usd >= 0 else None
            out.append(OpenInterest(**common(state, row.time, context), base=row.base, usd=known))
        return tuple(out)

    def _liquidations(self, f: wire.Liquidations, context: Context) -> Events:
        """One subscription brings all contracts; those of other symbols are left out."""
        out = []
        for row in f.data:
            try:
                state = self._find(row.name)
            except DecodeError as error:
                if error.args[0] != NOT_OURS:
                    raise
                continue
            if self._liquidations_of and state.symbol not in self._liquidations_of:
                continue
            out += [_liquidation(d, state, context) for d in row.details]
        return tuple(out)


def _snapshot(
    d: wire.Depth, bids: Levels, asks: Levels, state: State, context: Context
) -> list[Event]:
    """A whole book.

    One that starts below the last follows a reset; an empty delta without numbers goes before
    it, else the market would take it for an old one.
    """
    event = common(state, d.time, context)
    restarted = d.seq < state.seq
    state.seq = d.seq
    empty = BookDelta(**event, bids=[], asks=[], first_seq=None, seq=None, prev_seq=None)
    snapshot = BookSnapshot(**event, bids=bids, asks=asks, seq=d.seq)
    return [empty, snapshot] if restarted else [snapshot]


def _liquidation(d: wire.Liquidated, state: State, context: Context) -> Liquidation:
    """`net` accounts name no position: there a sell closed a long."""
    long = d.position == "long" or (d.position != "short" and d.side == "sell")
    size = d.size * state.coins()
    return Liquidation(
        **common(state, d.time, context),
        position="long" if long else "short",
        price=d.price,
        size=size,
        usd=size * d.price,
    )


def _levels(levels: list[wire.Level], coins: float) -> Levels:
    return [(level.price, level.size * coins) for level in levels]


def _event(raw: dict[str, Any]) -> Events:
    event = str(raw.get("event"))
    if event == "error":
        raise DecodeError(f"refused: {str(raw.get('msg', raw.get('code')))[:80]}")
    if event not in _EVENTS:
        raise DecodeError("unknown event")
    return ()
