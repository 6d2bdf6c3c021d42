"""Frames and REST answers of Binance USD-M futures into events.

The stream events are the hot path: one typed decode, one dictionary look-up, one struct.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from engine.events import (
    BookDelta,
    BookSnapshot,
    Event,
    Funding,
    Kline,
    Liquidation,
    Mark,
    OpenInterest,
    Quote,
    Ratio,
    Trade,
)
from engine.feeds.binance import wire
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
from engine.instruments import parse_name, venue_name

Events = tuple[Event, ...]
Measure = Literal["top_accounts", "top_positions", "global_accounts", "taker"]
Row = TypeVar("Row")

_RATIOS: dict[str, Measure] = {
    "globalLongShortAccountRatio": "global_accounts",
    "topLongShortAccountRatio": "top_accounts",
    "topLongShortPositionRatio": "top_positions",
}
_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_INTERVAL = re.compile(r"([1-9][0-9]?)([mhdw])")


class Decoder:
    """Decodes what the venue sends; remembers funding intervals and the last marks."""

    venue = "binance"

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, float]] = {}
        self._hours: dict[str, float] = {}
        self._marks: dict[str, float] = {}
        self._handlers: dict[type, Callable[[Any, Context], Events]] = {
            wire.AggTrade: self._agg_trade,
            wire.RawTrade: self._raw_trade,
            wire.BookTicker: self._quote,
            wire.DepthUpdate: self._delta,
            wire.MarkPriceUpdate: self._mark,
            wire.ForceOrder: self._liquidation,
            list: self._many,
        }

    def decode(self, data: bytes | str, context: Context) -> Sequence[Event]:
        """Events of a frame, bare or in the `/stream` form, or of a REST answer."""
        try:
            payload = wire.ENVELOPES.decode(data).data
        except UNUSABLE:
            return self._decode_other(data, context)
        return self._handlers[type(payload)](payload, context)

    def _decode_other(self, data: bytes | str, context: Context) -> Events:
        """Whatever is no well-formed combined event: by its shape and the request's url."""
        try:
            raw = msgspec.json.decode(data)
            if isinstance(raw, dict) and "stream" in raw and "data" in raw:
                raw = raw["data"]
            if isinstance(raw, dict):
                return self._object(raw, context)
            if isinstance(raw, list):
                return self._array(raw, context)
        except msgspec.ValidationError:
            raise DecodeError("malformed") from None
        except UNUSABLE:
            raise DecodeError("not JSON") from None
        raise DecodeError("unknown shape")

    def _object(self, raw: dict[str, Any], context: Context) -> Events:
        if "e" in raw:
            return self._stream(raw, context)
        if "lastUpdateId" in raw:
            return self._snapshot(convert(raw, wire.Depth), context)
        if "openInterest" in raw:
            return self._open_interest(convert(raw, wire.OpenInterestNow), context)
        if "markPrice" in raw:
            return self._premium(convert(raw, wire.Premium), context)
        if "symbols" in raw or ("result" in raw and "id" in raw):
            return ()
        error = raw.get("error", raw)
        if isinstance(error, dict) and "code" in error:
            raise DecodeError(f"refused: {str(error.get('msg', error['code']))[:80]}")
        raise DecodeError("unknown shape")

    def _array(self, raw: list[Any], context: Context) -> Events:
        first = raw[0] if raw else None
        if first is None:
            return ()
        if isinstance(first, list):
            return self._klines(convert(raw, list[wire.Candle]), context)
        if not isinstance(first, dict):
            raise DecodeError("unknown shape")
        if "e" in first:
            return self._many([_event(row) for row in raw], context)
        if "pair" in first and "symbol" not in first:
            raise DecodeError(NOT_OURS)
        if "markPrice" in first:
            return self._rows(self._premium, convert(raw, list[wire.Premium]), context)
        if "sumOpenInterest" in first:
            rows = convert(raw, list[wire.OpenInterestRow])
            return self._rows(self._open_interest_row, rows, context)
        if "fundingIntervalHours" in first:
            self._hours.update((r.symbol, r.hours) for r in convert(raw, list[wire.FundingInfo]))
            return ()
        return self._ratios(first, raw, context)

    def _stream(self, raw: dict[str, Any], context: Context) -> Events:
        payload = _event(raw)
        return self._handlers[type(payload)](payload, context)

    def _many(self, payloads: list[Any], context: Context) -> Events:
        handlers = self._handlers
        return self._rows(lambda p, c: handlers[type(p)](p, c), payloads, context)

    def _rows(
        self, handle: Callable[[Row, Context], Events], rows: list[Row], context: Context
    ) -> Events:
        """Events of many rows; other contracts among them are no fault of the frame."""
        out: list[Event] = []
        for row in rows:
            try:
                out += handle(row, context)
            except DecodeError as error:
                if error.args[0] != NOT_OURS:
                    raise
        return tuple(out)

    def _resolve(self, name: str) -> tuple[str, float]:
        """Our id and coins per venue unit, remembered per name."""
        listing = parse_name(name)
        if listing is None or len(name) > 40:
            raise DecodeError(NOT_OURS)
        if len(self._names) > 4096:
            self._names.clear()
        self._names[name] = found = (listing.id, listing.lot)
        return found

    def _named(self, context: Context) -> tuple[str, float]:
        """The contract of an answer that does not name one."""
        name = query(context.url).get("symbol")
        if name is None and context.symbol:
            name = venue_name(self.venue, context.symbol)
        if name is None:
            raise DecodeError("no symbol")
        return self._names.get(name) or self._resolve(name)

    def _agg_trade(self, t: wire.AggTrade, context: Context) -> Events:
        if t.contracts == 2:
            raise DecodeError(NOT_OURS)
        symbol, lot = self._names.get(t.symbol) or self._resolve(t.symbol)
        return (
            Trade(
                venue="binance",
                market="perp",
                symbol=symbol,
                ts=(t.time or t.event_time) * MS,
                recv=context.recv,
                price=t.price / lot,
                size=t.size * lot,
                side="sell" if t.buyer_is_maker else "buy",
                id=t.id,
            ),
        )

    def _raw_trade(self, t: wire.RawTrade, context: Context) -> Events:
        if t.origin != "MARKET":
            raise DecodeError(f"not a market trade: {t.origin[:20]}")
        if not (t.price and t.size):
            raise DecodeError("malformed")
        return self._agg_trade(t, context)  # type: ignore[arg-type]

    def _quote(self, q: wire.BookTicker, context: Context) -> Events:
        if q.contracts == 2:
            raise DecodeError(NOT_OURS)
        symbol, lot = self._names.get(q.symbol) or self._resolve(q.symbol)
        return (
            Quote(
                venue="binance",
                market="perp",
                symbol=symbol,
                ts=(q.time or q.event_time) * MS,
                recv=context.recv,
                bid=q.bid / lot,
                ask=q.ask / lot,
                bid_size=q.bid_size * lot,
                ask_size=q.ask_size * lot,
                seq=q.seq,
            ),
        )

    def _delta(self, d: wire.DepthUpdate, context: Context) -> Events:
        if d.contracts == 2:
            raise DecodeError(NOT_OURS)
        symbol, lot = self._names.get(d.symbol) or self._resolve(d.symbol)
        return (
            BookDelta(
                venue="binance",
                market="perp",
                symbol=symbol,
                ts=(d.time or d.event_time) * MS,
                recv=context.recv,
                bids=d.bids if lot == 1 else per_coin(d.bids, lot),
                asks=d.asks if lot == 1 else per_coin(d.asks, lot),
                first_seq=d.first_seq,
                seq=d.seq,
                prev_seq=d.prev_seq,
            ),
        )

    def _snapshot(self, d: wire.Depth, context: Context) -> Events:
        symbol, lot = self._named(context)
        return (
            BookSnapshot(
                **self._common(symbol, d.time or d.event_time, context),
                bids=per_coin(d.bids, lot),
                asks=per_coin(d.asks, lot),
                seq=d.seq,
            ),
        )

    def _mark(self, m: wire.MarkPriceUpdate, context: Context) -> Events:
        if m.contracts == 2:
            raise DecodeError(NOT_OURS)
        row = wire.Premium(m.symbol, m.mark, m.index, m.rate, m.time, m.event_time)
        return self._premium(row, context)

    def _premium(self, p: wire.Premium, context: Context) -> Events:
        symbol, lot = self._names.get(p.symbol) or self._resolve(p.symbol)
        common = self._common(symbol, p.time, context)
        index, rate = number(p.index, 1e15), number(p.rate, 10)
        self._marks[symbol] = mark = p.mark / lot
        out: Events = (
            Mark(**common, mark=mark, index=index / lot if index and index > 0 else None),
        )
        if rate is None:
            return out
        hours = self._hours.get(p.symbol, FUNDING_HOURS)
        next_ts = p.next_time * MS or None
        return (
            *out,
            Funding(
                **common, rate_8h=rate * 8 / hours, rate=rate, interval_h=hours, next_ts=next_ts
            ),
        )

    def _liquidation(self, f: wire.ForceOrder, context: Context) -> Events:
        order = f.order
        if f.contracts == 2:
            raise DecodeError(NOT_OURS)
        symbol, lot = self._names.get(order.symbol) or self._resolve(order.symbol)
        if not (order.average and order.filled) or order.side not in ("BUY", "SELL"):
            raise DecodeError("malformed")
        return (
            Liquidation(
                **self._common(symbol, order.time or f.event_time, context),
                position="long" if order.side == "SELL" else "short",
                price=order.average / lot,
                size=order.filled * lot,
                usd=order.average * order.filled,
            ),
        )

    def _klines(self, rows: list[wire.Candle], context: Context) -> Events:
        """Closed candles; the one still open at receipt is left to the live trades."""
        symbol, lot = self._named(context)
        if any(row.close_time < row.open_time + 999 for row in rows):
            raise DecodeError("malformed")
        asked = _seconds(query(context.url).get("interval", ""))
        recv = context.recv
        return tuple(
            Kline(
                **self._common(symbol, row.open_time, context, history=True),
                interval_s=asked or (row.close_time - row.open_time + 1) // 1000,
                open=row.open / lot,
                high=row.high / lot,
                low=row.low / lot,
                close=row.close / lot,
                volume=row.volume * lot,
                taker_buy_volume=row.taker_buy_volume * lot,
            )
            for row in rows
            if recv is None or row.close_time * MS < recv
        )

    def _open_interest(self, o: wire.OpenInterestNow, context: Context) -> Events:
        symbol, lot = self._names.get(o.symbol) or self._resolve(o.symbol)
        base, mark = o.base * lot, self._marks.get(symbol)
        usd = None if mark is None else base * mark
        return (OpenInterest(**self._common(symbol, o.time, context), base=base, usd=usd),)

    def _open_interest_row(self, o: wire.OpenInterestRow, context: Context) -> Events:
        symbol, lot = self._names.get(o.symbol) or self._resolve(o.symbol)
        common = self._common(symbol, o.time, context, history=True)
        return (OpenInterest(**common, base=o.base * lot, usd=o.usd),)

    def _ratios(self, first: dict[str, Any], raw: list[Any], context: Context) -> Events:
        if "buySellRatio" in first:
            symbol, _ = self._named(context)
            taker = convert(raw, list[wire.TakerRow])
            return tuple(self._ratio("taker", symbol, r.value, r.time, context) for r in taker)
        measure = _RATIOS.get(path(context.url).rpartition("/")[2])
        if measure is None or "longShortRatio" not in first:
            raise DecodeError("unknown shape")
        rows = [(self._resolve(r.symbol)[0], r) for r in convert(raw, list[wire.RatioRow])]
        return tuple(self._ratio(measure, s, r.value, r.time, context) for s, r in rows)

    def _ratio(
        self, measure: Measure, symbol: str, value: float, time: int, context: Context
    ) -> Event:
        common = self._common(symbol, time, context, history=True)
        return Ratio(**common, measure=measure, value=value)

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


def trading(answer: bytes) -> frozenset[str]:
    """Our symbols that exchangeInfo lists as trading in USDT; raises DecodeError.

    Perpetuals on equities and metals have a kind of their own and are left out.
    """
    try:
        contracts = wire.CATALOGUES.decode(answer).symbols
    except UNUSABLE:
        raise DecodeError("malformed") from None
    kind = ("TRADING", "PERPETUAL", "USDT")
    names = [c.symbol for c in contracts if (c.status, c.kind, c.quote) == kind]
    found = frozenset(listing.id for name in names if (listing := parse_name(name)))
    if not found:
        raise DecodeError("malformed")
    return found


def _event(raw: Any) -> Any:
    try:
        return convert(raw, wire.Event)
    except msgspec.ValidationError:
        if isinstance(raw, dict) and str(raw.get("e")) not in wire.EVENTS:
            raise DecodeError("unknown event") from None
        raise


def _seconds(interval: str) -> int | None:
    found = _INTERVAL.fullmatch(interval)
    return int(found[1]) * _UNITS[found[2]] if found else None
