"""Notifications and results of Deribit into events.

One contract a coin: the inverse perpetual of BTC and ETH, the linear USDC one of every other. An
`OptionSummary` of the DVOL stream says nothing of the chain (its other fields are None), one of
the chain repeats the DVOL only if both are of the same two minutes.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from engine.clock import NS
from engine.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Funding,
    Levels,
    Liquidation,
    Mark,
    OpenInterest,
    OptionSummary,
    Position,
    Quote,
    Trade,
)
from engine.feeds.deribit import wire
from engine.feeds.deribit.surface import ChainRow, parse_option, summarise
from engine.feeds.feed import Context, DecodeError
from engine.feeds.parse import FUNDING_HOURS, MS, NOT_OURS, UNUSABLE, convert, number, query

Events = tuple[Event, ...]
INVERSE = frozenset({"BTC", "ETH"})
CURRENCIES = ("BTC", "ETH")  # those with a volatility index and a chain worth the name
DVOL_KEPT = 120 * NS
MAX_CHANNELS = 4096
US = 1000
_PERPETUAL = re.compile(r"([A-Z0-9]{1,20}?)(_USDC)?-PERPETUAL")


class Channel(Struct, frozen=True, gc=False):
    """What a channel's name says: how to read its data, our symbol, in which unit sizes are."""

    handle: Callable[["Channel", Raw, Context], Events]
    symbol: str
    inverse: bool


def contract(symbol: str) -> str:
    """The venue's name of the one contract of a symbol that is used."""
    base = symbol.removesuffix("USDT")
    return f"{base}-PERPETUAL" if base in INVERSE else f"{base}_USDC-PERPETUAL"


def resolve(name: str) -> tuple[str, bool]:
    """Our id and whether the contract is inverse; raises DecodeError for any other contract."""
    found = _PERPETUAL.fullmatch(name)
    if found is None or (found[1] in INVERSE) == bool(found[2]):
        raise DecodeError(NOT_OURS)
    return f"{found[1]}USDT", not found[2]


class Decoder:
    """Decodes what the venue sends; remembers channels by name and the last DVOL."""

    venue = "deribit"

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}
        self._asked: dict[int, frozenset[str]] = {}
        self._dvol: dict[str, tuple[int, float]] = {}
        self._kinds: dict[str, Callable[[Channel, Raw, Context], Events]] = {
            "book": self._book,
            "trades": self._trades,
            "ticker": self._ticker,
            "deribit_volatility_index": self._volatility,
        }

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        """Events of a notification, or of the result of a method."""
        try:
            params = wire.NOTIFICATIONS.decode(data).params
        except UNUSABLE:
            return self._decode_other(data, context)
        channel = self._channels.get(params.channel) or self._learn(params.channel)
        try:
            return channel.handle(channel, params.data, context)
        except UNUSABLE:
            raise DecodeError("malformed") from None

    def _learn(self, name: str) -> Channel:
        kind, _, rest = name.partition(".")
        handle = self._kinds.get(kind)
        if handle is None:
            raise DecodeError("unknown channel")
        if kind == "deribit_volatility_index":
            currency = rest.removesuffix("_usd").upper()
            if currency not in CURRENCIES:
                raise DecodeError(NOT_OURS)
            symbol, inverse = f"{currency}USDT", False
        else:
            symbol, inverse = resolve(rest.partition(".")[0])
        if len(self._channels) > MAX_CHANNELS:
            self._channels.clear()
        self._channels[name] = found = Channel(handle, symbol, inverse)
        return found

    # -- the stream ------------------------------------------------------------------------

    def _book(self, channel: Channel, data: Raw, context: Context) -> Events:
        b = wire.BOOKS.decode(data)
        bids, asks = _levels(b.bids, channel.inverse), _levels(b.asks, channel.inverse)
        common = self._common(channel.symbol, b.timestamp * MS, context)
        if b.type == "snapshot":
            return (BookSnapshot(**common, bids=bids, asks=asks, seq=b.change_id),)
        if b.prev_change_id is None:
            raise DecodeError("malformed")
        return (
            BookDelta(
                **common,
                bids=bids,
                asks=asks,
                first_seq=None,
                seq=b.change_id,
                prev_seq=b.prev_change_id,
            ),
        )

    def _trades(self, channel: Channel, data: Raw, context: Context) -> Events:
        out: list[Event] = []
        for t in wire.PRINTS.decode(data):
            price, amount, ts = t.price, t.amount, t.timestamp * MS
            size = amount / price if channel.inverse else amount
            if t.block_trade_id is None and t.combo_trade_id is None:
                out.append(
                    Trade(
                        venue="deribit",
                        market="perp",
                        symbol=channel.symbol,
                        ts=ts,
                        recv=context.recv,
                        price=price,
                        size=size,
                        side=t.direction,
                        id=_id(t.trade_id),
                    )
                )
            if t.liquidation is not None:
                common = self._common(channel.symbol, ts, context)
                usd = amount if channel.inverse else amount * price
                out += [
                    Liquidation(**common, position=position, price=price, size=size, usd=usd)
                    for position in _liquidated(t)
                ]
        return tuple(out)

    def _ticker(self, channel: Channel, data: Raw, context: Context) -> Events:
        """All of it is stated anew in every frame."""
        t = wire.TICKERS.decode(data)
        common = self._common(channel.symbol, t.timestamp * MS, context)
        base, usd = (t.oi / t.mark, t.oi) if channel.inverse else (t.oi, t.oi * t.mark)
        out: list[Event] = [Mark(**common, mark=t.mark, index=t.index)]
        if t.funding_8h is not None:
            out.append(_funding(common, t.funding_8h))
        out.append(OpenInterest(**common, base=base, usd=usd))
        if t.bid and t.ask:
            bid_size, ask_size = t.bid_amount or 0.0, t.ask_amount or 0.0
            if channel.inverse:
                bid_size, ask_size = bid_size / t.bid, ask_size / t.ask
            out.append(
                Quote(
                    **common,
                    bid=t.bid,
                    ask=t.ask,
                    bid_size=bid_size,
                    ask_size=ask_size,
                    seq=None,
                )
            )
        return tuple(out)

    def _volatility(self, channel: Channel, data: Raw, context: Context) -> Events:
        v = wire.VOLATILITIES.decode(data)
        ts = v.timestamp * MS
        currency = channel.symbol.removesuffix("USDT")
        self._dvol[currency] = ts, v.volatility
        return (self._summary(currency, ts, context, dvol=v.volatility),)

    # -- results ---------------------------------------------------------------------------

    def _decode_other(self, data: bytes | str, context: Context) -> Events:
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
        if "error" in raw:
            error = raw["error"]
            text = error.get("message", error.get("code")) if isinstance(error, dict) else error
            raise DecodeError(f"refused: {str(text)[:80]}")
        if raw.get("method") == "heartbeat":
            return ()
        if raw.get("method") == "subscription":
            raise DecodeError("malformed")
        result = raw.get("result")
        if isinstance(result, list):
            return self._list(result, raw, context)
        if isinstance(result, dict) and "data" in result:
            return self._candles(convert(result["data"], list[wire.Candle]), context)
        if result == "ok" or (isinstance(result, dict) and "version" in result):
            return ()
        raise DecodeError("unknown shape")

    def _list(self, result: list[Any], raw: dict[str, Any], context: Context) -> Events:
        first = result[0] if result else None
        if first is None or isinstance(first, str):
            return self._confirmed(raw, result)
        if not isinstance(first, dict):
            raise DecodeError("unknown shape")
        if "interest_8h" in first:
            return self._past_funding(convert(result, list[wire.FundingRow]), context)
        if "settlement_period" in first or "contract_size" in first:
            return ()
        if "creation_timestamp" in first:
            return self._chain(convert(result, list[ChainRow]), raw.get("usOut"), context)
        raise DecodeError("unknown shape")

    def _confirmed(self, raw: dict[str, Any], result: list[Any]) -> Events:
        """A channel the venue does not know is left out of its answer without a word."""
        call = raw.get("id")
        asked = self._asked.get(call) if isinstance(call, int) else None
        if missing := (asked or frozenset()).difference(x for x in result if isinstance(x, str)):
            raise DecodeError(f"not subscribed: {min(missing)[:60]}")
        return ()

    def _chain(self, rows: list[ChainRow], answered: Any, context: Context) -> Events:
        """`answered` (us) is when the venue made the answer; else the newest row's time stands."""
        names = (parse_option(row.name) for row in rows)
        currency = next((name.currency for name in names if name), None)
        if currency not in CURRENCIES:
            raise DecodeError(NOT_OURS)
        micros = number(answered, 9e15)
        newest = max(row.time for row in rows) * MS
        ts = int(micros) * US if micros and micros > 0 else newest
        found = summarise(rows, ts)
        at, dvol = self._dvol.get(currency, (0, None))
        return (
            self._summary(
                currency,
                ts,
                context,
                dvol=dvol if abs(ts - at) <= DVOL_KEPT else None,
                skew_25d=found.skew_25d,
                put_call_oi=found.put_call_oi,
                term_slope=found.term_slope,
            ),
        )

    def _candles(self, rows: list[wire.Candle], context: Context) -> Events:
        """DVOL at the end of each candle that was closed at receipt."""
        asked = query(context.url)
        currency, seconds = asked.get("currency"), number(asked.get("resolution"), 86400)
        if currency not in CURRENCIES or not seconds or seconds < 0:
            raise DecodeError("no symbol")
        ends = [(row.start * MS + int(seconds) * NS, row.close) for row in rows]
        return tuple(
            self._summary(currency, end, context, history=True, dvol=close)
            for end, close in ends
            if context.recv is None or end <= context.recv
        )

    def _past_funding(self, rows: list[wire.FundingRow], context: Context) -> Events:
        name = query(context.url).get("instrument_name")
        if name is None and context.symbol:
            name = contract(context.symbol)
        if name is None:
            raise DecodeError("no symbol")
        symbol, _ = resolve(name)
        return tuple(
            _funding(self._common(symbol, r.timestamp * MS, context, history=True), r.interest_8h)
            for r in rows
        )

    def _summary(
        self,
        currency: str,
        ts: int,
        context: Context,
        history: bool = False,
        **values: float | None,
    ) -> OptionSummary:
        said: dict[str, Any]
        said = {"dvol": None, "skew_25d": None, "put_call_oi": None, "term_slope": None, **values}
        common = self._common(f"{currency}USDT", ts, context, history)
        return OptionSummary(**{**common, "market": "option"}, currency=currency, **said)

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


def _levels(levels: list[wire.Level], inverse: bool) -> Levels:
    """Absolute sizes in base coins, 0 where the level is gone."""
    if inverse:
        return [(p, amount / p if action != "delete" else 0.0) for action, p, amount in levels]
    return [(p, amount if action != "delete" else 0.0) for action, p, amount in levels]


def _id(text: str) -> int | str:
    """`219381310` is a number, `USDC-2436803` is not."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def _liquidated(t: wire.Print) -> list[Position]:
    """The positions a trade closed by force: the taker's, the maker's or both."""
    taker: Position = "long" if t.direction == "sell" else "short"
    maker: Position = "short" if t.direction == "sell" else "long"
    by_flag: dict[str, list[Position]] = {"T": [taker], "M": [maker], "MT": [maker, taker]}
    return by_flag.get(t.liquidation or "", [])


def _funding(common: dict[str, Any], rate: float) -> Funding:
    """Funding is continuous: the rate is that of the last 8 h, and there is no next payment."""
    return Funding(**common, rate_8h=rate, rate=rate, interval_h=FUNDING_HOURS, next_ts=None)
