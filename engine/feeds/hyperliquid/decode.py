"""Frames and answers of Hyperliquid into events.

A book is the newest five levels laid over the newest twenty: every event is a whole one. The
first trades after a subscription are a replay of the past.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from engine.clock import NS
from engine.events import BookSnapshot, Event, Funding, Levels, Mark, OpenInterest, Quote, Trade
from engine.feeds.feed import Context, DecodeError
from engine.feeds.hyperliquid import wire
from engine.feeds.parse import FUNDING_HOURS, MS, NOT_OURS, UNUSABLE, per_coin
from engine.instruments import split_lot

Events = tuple[Event, ...]
HOUR = 3600 * NS
FAST_LEVELS = 5
DEEP_LATE_MS = 2_000  # behind the small frames; later ones are by a clock that was set back
DEEP_KEPT_MS = 15_000  # three frames of twenty: older depth is worth nothing
REPLAY_NS = 5 * NS  # the replay of past trades comes at once after its ack
MAX_NAMES = 4096
# With nothing but older times for so long the venue's clock was set back: nothing comes that late.
SET_BACK_NS = 10 * NS
COIN = re.compile(r"(?:k(?=[A-Z]{2}))?[A-Z0-9]{1,20}")
_KNOWN = frozenset(
    {"l2Book", "bbo", "trades", "activeAssetCtx", "subscriptionResponse", "pong", "error"}
)


class Order(Struct, gc=False):
    """The newest of times (ms) that ought to rise; `behind`: since when they are older, ns."""

    newest: int = 0
    behind: int = 0

    def is_set_back(self, recv: int | None) -> bool:
        """Whether a time too old is that of a clock set back, rather than of a late frame."""
        if recv is None:
            return False
        self.behind = self.behind or recv
        return recv - self.behind >= SET_BACK_NS

    def numbered(self, time: int, recv: int | None) -> int | None:
        """The time as a number that rises; None where it begins anew."""
        if time < self.newest and not self.is_set_back(recv):
            return time
        before, self.newest, self.behind = self.newest, time, 0
        return time if time >= before else None


class Depths(Struct, gc=False):
    """The newest frame of each depth of one book, per coin: (time ms, bids, asks).

    `order` is that of the small ones.
    """

    order: Order
    top: tuple[int, Levels, Levels] | None = None
    deep: tuple[int, Levels, Levels] | None = None


class Decoder:
    """Decodes what the venue sends.

    Remembers the two depths of each book, and whose trades came since their subscription.
    """

    venue = "hyperliquid"

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, float]] = {}
        self._books: dict[str, Depths] = {}
        self._quoted: dict[str, Order] = {}
        self._heard: set[str] = set()
        self._acked: dict[str, int | None] = {}
        self._handlers: dict[type, Callable[[Any, Context], Events]] = {
            wire.Trades: self._trades,
            wire.L2Book: self._book,
            wire.Bbo: self._quote,
            wire.AssetCtx: self._ctx,
            wire.Ack: self._ack,
            wire.Pong: _nothing,
            wire.Refusal: _refuse,
        }

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        """Events of a frame of the stream, or of a REST answer."""
        try:
            message = wire.MESSAGES.decode(data)
        except UNUSABLE:
            return self._decode_other(data, context)
        return self._handlers[type(message)](message, context)

    def _decode_other(self, data: bytes | str, context: Context) -> Events:
        try:
            raw = msgspec.json.decode(data)
            if isinstance(raw, dict) and "universe" in raw:
                wire.UNIVERSE.decode(data)
                return ()
            if isinstance(raw, list) and (not raw or _is_funding(raw[0])):
                return tuple(self._past_funding(row, context) for row in wire.HISTORY.decode(data))
        except msgspec.ValidationError:
            raise DecodeError("malformed") from None
        except UNUSABLE:
            raise DecodeError("not JSON") from None
        if not isinstance(raw, dict) or "channel" not in raw:
            raise DecodeError("unknown shape")
        channel = raw["channel"]
        known = isinstance(channel, str) and channel in _KNOWN
        raise DecodeError("malformed" if known else "unknown channel")

    def _resolve(self, coin: str) -> tuple[str, float]:
        """Our id and coins per contract; markets of others (`xyz:SP500`, `@107`) are refused."""
        if not COIN.fullmatch(coin):
            raise DecodeError(NOT_OURS)
        if len(self._names) > MAX_NAMES:
            self._names.clear()
            self._books.clear()
            self._quoted.clear()
            self._heard.clear()
        self._names[coin] = found = as_symbol(coin)
        return found

    def _trades(self, message: wire.Trades, context: Context) -> Events:
        out = []
        past: dict[str, bool] = {}
        for t in message.data:
            symbol, lot = self._names.get(t.coin) or self._resolve(t.coin)
            history = past.get(t.coin)
            if history is None:
                past[t.coin] = history = self._is_replay(t.coin, context.recv)
            out.append(
                Trade(
                    venue="hyperliquid",
                    market="perp",
                    symbol=symbol,
                    ts=t.time * MS,
                    recv=context.recv,
                    history=history,
                    price=t.px / lot,
                    size=t.sz * lot,
                    side="buy" if t.side == "B" else "sell",
                    id=t.tid,
                )
            )
        return tuple(out)

    def _is_replay(self, coin: str, recv: int | None) -> bool:
        """Whether this frame is a coin's first since its subscription, which tells of the past."""
        if coin in self._heard:
            return False
        self._heard.add(coin)
        acked = self._acked.pop(coin, None)
        return acked is None or recv is None or recv - acked < REPLAY_NS

    def _ack(self, message: wire.Ack, context: Context) -> Events:
        asked = message.data.subscription
        if asked.type == "trades" and message.data.method == "subscribe":
            if len(self._acked) > MAX_NAMES:
                self._acked.clear()
            self._heard.discard(asked.coin)
            self._acked[asked.coin] = context.recv
        return ()

    def _quote(self, message: wire.Bbo, context: Context) -> Events:
        q = message.data
        symbol, lot = self._names.get(q.coin) or self._resolve(q.coin)
        bid, ask = q.bbo
        if bid is None or ask is None:
            return ()
        order = self._quoted.get(symbol)
        if order is None:
            order = self._quoted[symbol] = Order()
        return (
            Quote(
                venue="hyperliquid",
                market="perp",
                symbol=symbol,
                ts=q.time * MS,
                recv=context.recv,
                bid=bid.px / lot,
                ask=ask.px / lot,
                bid_size=bid.sz * lot,
                ask_size=ask.sz * lot,
                seq=order.numbered(q.time, context.recv),
            ),
        )

    def _book(self, message: wire.L2Book, context: Context) -> Events:
        frame = message.data
        symbol, lot = self._names.get(frame.coin) or self._resolve(frame.coin)
        bids, asks = (per_coin([(x.px, x.sz) for x in side], lot) for side in frame.levels)
        if bids and asks and max(bids)[0] >= min(asks)[0]:
            raise DecodeError("crossed book")
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = Depths(Order())
        fast = frame.fast
        if fast is None:
            fast = len(bids) <= FAST_LEVELS and len(asks) <= FAST_LEVELS
        kept, restarted = (frame.time, bids, asks), False
        if not _keep(book, fast, kept):
            if not (fast and book.order.is_set_back(context.recv)):
                return ()
            book.top = book.deep = None
            restarted = _keep(book, fast, kept)
        if fast:
            book.order.behind = 0
        time, bids, asks = _combined(book)
        # Without a number where it falls, so that it is not taken for an old one.
        seq = None if restarted else time
        return (
            BookSnapshot(**self._common(symbol, time * MS, context), bids=bids, asks=asks, seq=seq),
        )

    def _ctx(self, message: wire.AssetCtx, context: Context) -> Events:
        """The frame names no time, so its receipt stands for it."""
        symbol, lot = self._names.get(message.data.coin) or self._resolve(message.data.coin)
        ts, ctx = context.recv, message.data.ctx
        if ts is None:
            raise DecodeError("no time")
        common = self._common(symbol, ts, context)
        return (
            Mark(**common, mark=ctx.mark / lot, index=ctx.oracle / lot),
            _funding(common, ctx.funding),
            OpenInterest(**common, base=ctx.oi * lot, usd=ctx.oi * ctx.mark),
        )

    def _past_funding(self, row: wire.FundingRow, context: Context) -> Event:
        symbol, _ = self._names.get(row.coin) or self._resolve(row.coin)
        return _funding(self._common(symbol, row.time * MS, context, history=True), row.rate)

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


def as_symbol(coin: str) -> tuple[str, float]:
    base, lot = split_lot(coin)
    return f"{base}USDT", lot


def _nothing(message: wire.Pong, context: Context) -> Events:
    return ()


def _refuse(message: wire.Refusal, context: Context) -> Events:
    raise DecodeError(f"refused: {message.data[:80]}")


def _is_funding(row: object) -> bool:
    return isinstance(row, dict) and "fundingRate" in row


def _funding(common: dict[str, Any], rate: float) -> Funding:
    """Paid at every full hour."""
    next_ts = None if common["history"] else (common["ts"] // HOUR + 1) * HOUR
    return Funding(
        **common, rate_8h=rate * FUNDING_HOURS, rate=rate, interval_h=1.0, next_ts=next_ts
    )


def _keep(book: Depths, fast: bool, frame: tuple[int, Levels, Levels]) -> bool:
    """Remember a frame; False when it says nothing new."""
    top, deep = book.top, book.deep
    if fast:
        if (top and frame[0] < top[0]) or (deep and frame[0] < deep[0]):
            return False
        book.top = frame
    else:
        if (deep and frame[0] < deep[0]) or (top and top[0] - frame[0] > DEEP_LATE_MS):
            return False
        book.deep = frame
    return True


def _combined(book: Depths) -> tuple[int, Levels, Levels]:
    """The five best levels, and what lies beyond them as far as it is recent enough."""
    top, deep = book.top, book.deep
    if deep is None or (top and top[0] - deep[0] > DEEP_KEPT_MS):
        assert top is not None
        return top
    if top is None or top[0] < deep[0]:
        return deep
    bids, asks = top[1], top[2]
    # Fewer than five levels are all there are.
    if len(bids) >= FAST_LEVELS:
        edge = min(bids)[0]
        bids = bids + [level for level in deep[1] if level[0] < edge]
    if len(asks) >= FAST_LEVELS:
        edge = max(asks)[0]
        asks = asks + [level for level in deep[2] if level[0] > edge]
    return top[0], bids, asks
