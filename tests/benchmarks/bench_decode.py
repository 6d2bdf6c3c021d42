"""Decode and apply Binance USD-M frames, beside the bare minimum and two libraries.

    python tests/benchmarks/bench_decode.py [--frames N] [--rounds N] [--recording FILE]

All take the same frames of the BTCUSDT recording, in turn, round after round in one process; each
round starts from the snapshot, and making ready is not timed. Raw trades are given the shape of
aggTrade, because cryptofeed knows no other. Ratios are medians of the ratios within a round; the
absolute figures move with the machine.
"""

import argparse
import asyncio
import gc
import gzip
import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from engine.config import load
from engine.events import Event
from engine.feeds.feed import Context, build_feed

try:
    from engine.market.market import Market
except ImportError:
    Market = None  # type: ignore[assignment,misc]

RECORDING = Path(__file__).parents[2].parent / "shared/wire/binance_usdm/btcusdt_20240808.gz"
Frames = Sequence[tuple[int, bytes]]
Handle = Callable[[Frames], None]  # takes the frames of one run
Case = Callable[[bytes], Handle]  # makes ready, given the snapshot


def read(path: Path, limit: int) -> tuple[Frames, bytes]:
    """Stream frames that follow the REST snapshot, and the snapshot."""
    frames: list[tuple[int, bytes]] = []
    snapshot = b""
    with gzip.open(path) as lines:
        for number, line in enumerate(lines):
            recv, _, data = line.rstrip().partition(b" ")
            if data.startswith(b'{"lastUpdateId"'):
                snapshot = data
            else:
                frames.append((int(recv), _as_aggregate(data, number)))
    seq = msgspec.json.decode(snapshot)["lastUpdateId"]
    start = next(n for n, (_, data) in enumerate(frames) if _bridges(data, seq))
    return frames[start : start + limit], snapshot


def _as_aggregate(data: bytes, number: int) -> bytes:
    frame = msgspec.json.decode(data)
    event = frame["data"]
    if event["e"] != "trade":
        return data
    id = event.pop("t")
    event.pop("X", None)
    frame["stream"] = frame["stream"].replace("@trade", "@aggTrade")
    frame["data"] = {**event, "e": "aggTrade", "a": id, "f": id, "l": id}
    return msgspec.json.encode(frame)


def _bridges(data: bytes, seq: int) -> bool:
    event = msgspec.json.decode(data)["data"]
    return event["e"] == "depthUpdate" and event["U"] <= seq <= event["u"]


# Ours

CONFIG, _ = load()
SYMBOLS = [instrument.id for instrument in CONFIG.instruments]


def ours(snapshot: bytes) -> Handle:
    """feed.decode and Market.apply; decode alone where there is no market."""
    feed = build_feed("binance", CONFIG.feeds["binance"], CONFIG.instruments)
    apply = Market(SYMBOLS).apply if Market else _ignore
    decode, context = feed.decode, Context(recv=None, symbol="BTCUSDT")

    def handle(frames: Frames) -> None:
        context.recv = frames[0][0]
        for event in decode(snapshot, context):
            apply(event)
        for recv, data in frames:
            context.recv = recv
            for event in decode(data, context):
                apply(event)

    return handle


def decode_only(snapshot: bytes) -> Handle:
    feed = build_feed("binance", CONFIG.feeds["binance"], CONFIG.instruments)
    decode, context = feed.decode, Context(recv=None)

    def handle(frames: Frames) -> None:
        for recv, data in frames:
            context.recv = recv
            decode(data, context)

    return handle


def _ignore(event: Event) -> None:
    pass


# The bare minimum: typed decode, a dictionary a side, a deque of trades, the chain checked


class BareTrade(msgspec.Struct, tag_field="e", tag="aggTrade", gc=False):
    s: str
    p: float
    q: float
    m: bool
    T: int
    a: int


class BareQuote(msgspec.Struct, tag_field="e", tag="bookTicker", gc=False):
    s: str
    u: int
    b: float
    B: float
    a: float
    A: float


class BareDepth(msgspec.Struct, tag_field="e", tag="depthUpdate", gc=False):
    s: str
    u: int
    pu: int
    b: list[tuple[float, float]]
    a: list[tuple[float, float]]


class BareFrame(msgspec.Struct, gc=False):
    data: BareTrade | BareQuote | BareDepth


class BareSnapshot(msgspec.Struct, gc=False):
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]


def bare(snapshot: bytes) -> Handle:
    decode = msgspec.json.Decoder(BareFrame, strict=False).decode
    book = msgspec.json.decode(snapshot, type=BareSnapshot, strict=False)
    bids, asks = dict(book.bids), dict(book.asks)
    trades: deque[tuple[int, float, float, bool]] = deque(maxlen=1000)

    def handle(frames: Frames) -> None:
        quote = None
        last = gaps = 0
        for _, data in frames:
            event = decode(data).data
            kind = type(event)
            if kind is BareQuote:
                quote = event
            elif kind is BareTrade:
                trades.append((event.T, event.p, event.q, event.m))
            else:
                gaps += bool(last) and event.pu != last
                last = event.u
                for side, levels in ((bids, event.b), (asks, event.a)):
                    for price, size in levels:
                        if size:
                            side[price] = size
                        else:
                            side.pop(price, None)
        assert quote is not None
        assert gaps == 0

    return handle


# cryptofeed


def cryptofeed(snapshot: bytes) -> Handle:
    """Its Binance futures handler with one callback a channel."""
    from cryptofeed.defines import BINANCE_FUTURES, L2_BOOK, TICKER, TRADES
    from cryptofeed.exchanges import BinanceFutures
    from cryptofeed.symbols import Symbols
    from cryptofeed.types import OrderBook

    name = "BTC-USDT-PERP"
    Symbols.set(BINANCE_FUTURES, {name: "BTCUSDT"}, {"instrument_type": {name: "perpetual"}})
    seen = [0]

    async def callback(data: Any, recv: float) -> None:
        seen[0] += 1

    feed = BinanceFutures(
        symbols=[name],
        channels=[L2_BOOK, TICKER, TRADES],
        callbacks={L2_BOOK: callback, TICKER: callback, TRADES: callback},
    )
    answer = msgspec.json.decode(snapshot)
    levels = {side: {Decimal(p): Decimal(q) for p, q in answer[side]} for side in ("bids", "asks")}
    feed._l2_book[name] = OrderBook(feed.id, name, max_depth=0, **levels)
    feed.last_update_id[name] = answer["lastUpdateId"]

    async def read(frames: Frames) -> None:
        for recv, data in frames:
            await feed.message_handler(data.decode(), None, recv / 1e9)

    def handle(frames: Frames) -> None:
        asyncio.run(read(frames))
        assert seen[0] == len(frames), f"it passed on {seen[0]} of {len(frames)}"

    return handle


# ccxt.pro


class CcxtClient:
    """What its handlers touch of a websocket client; nobody waits for a future."""

    url = "wss://fstream.binance.com/ws/1"
    lastPong = 0

    def __init__(self) -> None:
        self.subscriptions: dict[str, Any] = {}
        self.futures: dict[str, Any] = {}

    def resolve(self, result: Any, key: str) -> Any:
        return result

    def reject(self, error: Any, key: str = "") -> None:
        raise error


def ccxt_pro(snapshot: bytes) -> Handle:
    """binanceusdm.handle_message after its own JSON reader; no pending watch: its cheapest path."""
    import ccxt.pro

    exchange: Any = asyncio.run(_built(ccxt.pro.binanceusdm))
    answer = msgspec.json.decode(snapshot)
    book = exchange.order_book({}, 1000)
    book.reset({k: [[float(p), float(q)] for p, q in answer[k]] for k in ("bids", "asks")})
    book["nonce"] = answer["lastUpdateId"]
    exchange.orderbooks["BTC/USDT:USDT"] = book
    client = CcxtClient()
    loads = _reader()

    def handle(frames: Frames) -> None:
        for _, data in frames:
            exchange.handle_message(client, loads(data)["data"])
        assert exchange.trades["BTC/USDT:USDT"]
        assert exchange.bidsasks["BTC/USDT:USDT"]
        assert book["nonce"] > answer["lastUpdateId"]

    return handle


async def _built(kind: type[Any]) -> Any:
    exchange = kind()
    exchange.set_markets(
        [
            exchange.safe_market_structure(
                {
                    "id": "BTCUSDT",
                    "symbol": "BTC/USDT:USDT",
                    "base": "BTC",
                    "quote": "USDT",
                    "settle": "USDT",
                    "baseId": "BTC",
                    "quoteId": "USDT",
                    "settleId": "USDT",
                    "type": "swap",
                    "swap": True,
                    "spot": False,
                    "contract": True,
                    "linear": True,
                    "inverse": False,
                    "contractSize": 1.0,
                    "precision": {"amount": 0.001, "price": 0.1},
                }
            )
        ]
    )
    await exchange.close()
    return exchange


def _reader() -> Callable[[bytes], Any]:
    """What ccxt reads with: orjson where it is installed."""
    try:
        import orjson
    except ImportError:
        import json

        return json.loads
    return orjson.loads


def measure(case: Case, frames: Frames, snapshot: bytes) -> float:
    """CPU us a message of one run."""
    handle = case(snapshot)
    gc.collect()
    began = time.process_time()
    handle(frames)
    return (time.process_time() - began) / len(frames) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--recording", type=Path, default=RECORDING)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    frames, snapshot = read(options.recording, options.frames)
    whole = "ours: decode + Market.apply" if Market else "ours: decode (there is no market)"
    cases: dict[str, Case] = {
        "bare msgspec decode + dict book": bare,
        whole: ours,
        "ours: decode alone": decode_only,
        "cryptofeed message_handler": cryptofeed,
        "ccxt.pro binanceusdm.handle_message": ccxt_pro,
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        measure(case, frames[:3000], snapshot)  # imports and caches
    for _ in range(options.rounds):
        for name, case in cases.items():
            times[name].append(measure(case, frames, snapshot))
    print(f"{len(frames):,} frames, {options.rounds} rounds, CPU time")
    print(f"{'':38}{'median us':>10}{'min us':>9}{'x bare':>8}{'x ours':>8}")
    for name, taken in times.items():
        to_bare, to_ours = _ratio(taken, times[next(iter(cases))]), _ratio(taken, times[whole])
        median = statistics.median(taken)
        print(f"{name:38}{median:10.2f}{min(taken):9.2f}{to_bare:8.2f}{to_ours:8.2f}")


def _ratio(taken: list[float], other: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(taken, other, strict=True))


if __name__ == "__main__":
    main()
