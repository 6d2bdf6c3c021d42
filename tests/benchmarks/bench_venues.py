"""Decode and apply the frames of every venue, beside the bare reading, cryptofeed and ccxt.pro.

    python tests/benchmarks/bench_venues.py [--rounds N] [--frames N] [--venues NAME ...]

Frames are recorded ones where there are any beside the checkout, else those of the simulated venue
as its feed subscribes to them; only streams that our feed uses. All cases run in turn, round after
round in one process, each time with fresh state, as if 2,000 frames came a second: the market's
work of a second is then a part of each frame's. CPU us a frame, medians. A library gets the frames
out of which it passes something on (`of all`), and x is its time over ours on just these, the
median of the rounds. Bare is msgspec without types.
"""

import argparse
import asyncio
import gc
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from bench_decode import RECORDING, CcxtClient, read
from bench_decode import _reader as ccxt_reader

from engine.clock import SimulatedClock
from engine.config import load
from engine.feeds.feed import Context, DecodeError, build_feed
from engine.jobs.lines import read_lines
from engine.market.market import Market
from engine.sim.market import SimulatedMarket
from engine.sim.market.shadow import Reference
from engine.sim.venues.base import venue_class

WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
CONFIG, _ = load()
SYMBOLS = [instrument.id for instrument in CONFIG.instruments]
RECORDED = {
    "binance": "binance_usdm/btcusdt_20240808.gz",
    "bybit": "bybit/BYBIT.jsonl.zst",
    "coinbase": "coinbase/COINBASE.jsonl.zst",
    "hyperliquid": "hyperliquid/btcusd_20250126.gz",
}
VENUES = (*RECORDED, "okx", "bitget", "gate", "dydx", "deribit")
BASES = ("BTC", "ETH", "SOL", "DOGE")
NS = 1_000_000_000
PACE_NS = NS // 2000
Frame = tuple[int, bytes, str]  # receive ns, data, url
Frames = Sequence[Frame]
Run = Callable[[Frames], int]  # returns how many frames it passed something on of
Case = Callable[[str], Run]


# Frames


def frames_of(name: str, limit: int) -> tuple[Frames, bytes | None, str]:
    """Frames, the catalogue they need, and where they come from."""
    if name in RECORDED and (WIRE / RECORDED[name]).is_file():
        return paced(recorded(name, limit)), None, "recorded"
    found, answer = simulated(name, limit)
    return paced(found), answer, "simulated"


def paced(frames: Frames) -> Frames:
    start = frames[0][0]
    return [(start + n * PACE_NS, data, url) for n, (_, data, url) in enumerate(frames)]


def recorded(name: str, limit: int) -> Frames:
    """What our feed does not refuse; a book's own snapshot by REST goes first."""
    if name == "binance":
        stream, snapshot = read(RECORDING, limit)
        url = "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT"
        return [(stream[0][0], snapshot, url), *((recv, data, "") for recv, data in stream)]
    feed = build_feed(name, CONFIG.feeds[name], CONFIG.instruments)
    found, context = [], Context(recv=None)
    for line in islice(read_lines(WIRE / RECORDED[name]), limit):
        context.recv, context.url = line.recv, line.url
        try:
            feed.decode(line.data, context)
        except DecodeError:
            continue
        if not line.url.startswith("http"):
            found.append((line.recv or 0, line.data, line.url))
    return found


class Listener:
    """A client of a simulated venue without a socket."""

    def __init__(self, route: str) -> None:
        self.route, self.silent = route, False
        self.streams: set[str] = set()

    def reply(self, data: bytes) -> int:
        """A heartbeat, which it does not answer."""
        return 0

    def cut(self) -> None:
        """For the heartbeats that it did not answer."""


def simulated(name: str, limit: int) -> tuple[Frames, bytes]:
    """Acks, first books and then what ticks bring to one client that wants what our feed wants."""
    reference = Reference(SimulatedMarket(("BTCUSDT", "ETHUSDT"), seed=3))
    venue: Any = venue_class(name)(reference, SimulatedClock(reference.market.now))
    venue.ports.close()
    feed = build_feed(name, CONFIG.feeds[name], CONFIG.instruments[:2])
    asked = feed.catalogue_request()
    assert asked is not None
    path, _, query = asked.url.partition("//")[2].partition("/")[2].partition("?")
    answer = catalogue(venue, "/" + path, query)
    feed.listed(answer)
    links = []
    found: list[Frame] = []
    for link in feed.connections():
        client = Listener(link.id)
        venue.clients.append(client)
        links.append((client, link.url))
        replies = [*venue.greet(client)]
        for text in link.subscribe:
            replies += venue.command(client, text.encode())
        found += [(reference.market.now, data, link.url) for data in replies]
    number = getattr(venue, "numbered", lambda client, data: data)
    while len(found) < limit:
        sent = venue.frames(reference.tick())
        for client, url in links:
            for stream, data in sent:
                if stream in client.streams:
                    found.append((reference.market.now, number(client, data), url))
    return found[:limit], answer


def catalogue(venue: Any, path: str, query: str) -> bytes:
    """The venue's list of contracts, at the path below whatever the real one puts before it."""
    pairs = dict(part.split("=") for part in query.split("&") if part)
    for start in range(path.count("/")):
        answer = venue.answer("/" + "/".join(path.split("/")[start + 1 :]), pairs, None)
        if answer.status == 200:
            return bytes(answer.body)
    raise LookupError(path)


# Cases


def bare(name: str) -> Run:
    decode = msgspec.json.Decoder().decode

    def run(frames: Frames) -> int:
        for _, data, _ in frames:
            decode(data)
        return len(frames)

    return run


def decoding(name: str, answer: bytes | None, market: Market | None) -> Run:
    feed = build_feed(name, CONFIG.feeds[name], CONFIG.instruments)
    if answer is not None:
        feed.listed(answer)
    feed.connections()
    decode, context = feed.decode, Context(recv=None, symbol="BTCUSDT")
    apply = market.apply if market is not None else None

    def run(frames: Frames) -> int:
        passed = 0
        for recv, data, url in frames:
            context.recv, context.url = recv, url
            events = decode(data, context)
            passed += bool(events)
            if apply is not None:
                for event in events:
                    apply(event)
        return passed

    return run


class Everything(dict[str, Any]):
    """Subscriptions to whatever is asked about."""

    def __contains__(self, key: object) -> bool:
        return True

    def __delitem__(self, key: str) -> None:
        self.pop(key, None)


class Passed(CcxtClient):
    """Counts the frames out of which something was passed on."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.seen = False
        self.subscriptions = Everything()

    def resolve(self, result: Any, key: str) -> Any:
        self.seen = True
        return result


# It keeps one book a symbol, whose chain the touch of the other channel would break.
LEFT_OUT = {("okx", "ccxt.pro"): b'"bbo-tbt"'}
CCXT = {
    "binance": "binanceusdm", "bybit": "bybit", "coinbase": "coinbase", "okx": "okx",
    "hyperliquid": "hyperliquid", "bitget": "bitget", "gate": "gate", "dydx": "dydx",
    "deribit": "deribit",
}  # fmt: skip
IDS = {
    "okx": "{0}-USDT-SWAP", "gate": "{0}_USDT", "dydx": "{0}-USD", "hyperliquid": "{0}",
    "deribit": "{0}-PERPETUAL", "coinbase": "{0}-USD",
}  # fmt: skip


def markets(exchange: Any, name: str) -> list[dict[str, Any]]:
    """The market structures that ccxt would have loaded, as far as its handlers look at them."""
    out = []
    for base in BASES:
        spot, usd = name == "coinbase", name in ("coinbase", "deribit", "dydx")
        quote = "USD" if usd else "USDC" if name == "hyperliquid" else "USDT"
        settle = base if name == "deribit" else "USDC" if name == "dydx" else quote
        one = {"id": IDS.get(name, "{0}USDT").format(base), "base": base, "quote": quote}
        one |= {"baseId": base, "quoteId": quote, "baseName": base, "active": True}
        one |= {"symbol": f"{base}/{quote}" + ("" if spot else f":{settle}"), "spot": spot}
        one |= {"type": "spot" if spot else "swap", "swap": not spot, "contract": not spot}
        one |= {"precision": {"amount": 1e-6, "price": 1e-6}, "contractSize": 1.0}
        if not spot:
            one |= {"settle": settle, "settleId": settle}
            one |= {"linear": name != "deribit", "inverse": name == "deribit"}
        out.append(exchange.safe_market_structure(one))
    if name == "bybit":
        spot_markets = [{**m, "symbol": m["symbol"].partition(":")[0], "spot": True} for m in out]
        out += [{**m, "type": "spot", "swap": False, "contract": False} for m in spot_markets]
    return out


def ccxt_pro(name: str) -> Run:
    """handle_message after its own JSON reader; no pending watch, which is its cheapest path."""
    import ccxt.pro

    exchange: Any = asyncio.run(opened(getattr(ccxt.pro, CCXT[name]), name))
    loads = ccxt_reader()
    clients: dict[str, Passed] = {}
    if name == "binance":
        symbol = "BTC/USDT:USDT"
        exchange.orderbooks[symbol] = exchange.order_book({}, 1000)

    def run(frames: Frames) -> int:
        passed = 0
        for _, data, url in frames:
            client = clients.get(url) or clients.setdefault(url, Passed(url))
            client.seen = False
            if url.startswith("http"):
                first_book(exchange, loads(data))
                continue
            raw = loads(data)
            exchange.handle_message(client, raw["data"] if name == "binance" else raw)
            passed += client.seen
        return passed

    return run


def first_book(exchange: Any, answer: Any) -> None:
    """What its watch would do with Binance's book by REST."""
    (book,) = exchange.orderbooks.values()
    book.reset({k: [[float(p), float(q)] for p, q in answer[k]] for k in ("bids", "asks")})
    book["nonce"] = answer["lastUpdateId"]


async def opened(kind: type[Any], name: str) -> Any:
    exchange = kind({"options": {"watchOrderBook": {"checksum": False}, "checksum": False}})
    exchange.set_markets(markets(exchange, name))
    for market in exchange.markets.values() if name == "deribit" else ():
        exchange.orderbooks[market["symbol"]] = exchange.counted_order_book({})
    for market in exchange.markets.values() if name in ("okx", "hyperliquid", "dydx") else ():
        exchange.orderbooks[market["symbol"]] = exchange.order_book({})
    await exchange.close()
    return exchange


CRYPTOFEED = {
    "binance": ("BinanceFutures", "{0}USDT", "{0}-USDT-PERP", "l2_book ticker trades"),
    "bybit": ("Bybit", "{0}USDT", "{0}-USDT-PERP",
              "l2_book trades ticker open_interest funding index"),
    "coinbase": ("Coinbase", "{0}-USD", "{0}-USD", "l2_book trades"),
    "okx": ("OKX", "{0}-USDT-SWAP", "{0}-USDT-PERP", "l2_book trades funding open_interest"),
    "deribit": ("Deribit", "{0}-PERPETUAL", "{0}-USD-PERP",
                "trades ticker"),
}  # fmt: skip


def cryptofeed(name: str) -> Run:
    """Its message handler with one callback a channel."""
    import cryptofeed.exchanges as exchanges
    from cryptofeed.symbols import Symbols

    kind, theirs, normal, channels = CRYPTOFEED[name]
    maker = getattr(exchanges, kind)
    names = {normal.format(base): theirs.format(base) for base in BASES}
    types = dict.fromkeys(names, "spot" if name == "coinbase" else "perpetual")
    if name == "bybit":
        spots = {f"{base}-USDT": f"{base}/USDT" for base in BASES}
        names, types = {**names, **spots}, {**types, **dict.fromkeys(spots, "spot")}
    Symbols.set(maker.id, names, {"instrument_type": types, "tick_size": {}})
    seen = [0]

    async def callback(*_: Any) -> None:
        seen[0] += 1

    wanted = channels.split()
    callbacks = dict.fromkeys({*wanted, "l2_book", "funding", "open_interest", "index"}, callback)
    feed = maker(symbols=list(types)[:1], channels=wanted, callbacks=callbacks)
    links: dict[str, Any] = {}

    async def consume(frames: Frames) -> int:
        passed = 0
        for recv, data, url in frames:
            if url.startswith("http"):
                start_book(feed, data)
                continue
            link = links.get(url)
            if link is None:
                link = links[url] = SimpleNamespace(
                    address=url, uuid=url, subscription=feed.subscription
                )
            before = seen[0]
            await feed.message_handler(data.decode(), link, recv / 1e9)
            passed += seen[0] > before
        return passed

    return lambda frames: asyncio.run(consume(frames))


def start_book(feed: Any, data: bytes) -> None:
    """What it would do with Binance's book by REST."""
    from decimal import Decimal

    from cryptofeed.types import OrderBook

    answer, name = msgspec.json.decode(data), "BTC-USDT-PERP"
    levels = {side: {Decimal(p): Decimal(q) for p, q in answer[side]} for side in ("bids", "asks")}
    feed._l2_book[name] = OrderBook(feed.id, name, max_depth=0, **levels)
    feed.last_update_id[name] = answer["lastUpdateId"]


# Measuring


class Bench:
    """The cases of one venue: us a frame by round; a library that cannot do it says why instead."""

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.frames, self._answer, self.source = frames_of(name, limit)
        self.own: dict[str, Case] = {
            "bare": bare,
            "decode": lambda name: decoding(name, self._answer, None),
            "whole": self._whole,
        }
        self.peers: dict[str, Case] = {"ccxt.pro": ccxt_pro}
        if name in CRYPTOFEED:
            self.peers["cryptofeed"] = cryptofeed
        self.times: dict[str, list[float]] = {}
        self.theirs: dict[str, Frames] = {}
        self.notes = [] if name in CRYPTOFEED else [f"{name}: cryptofeed has no present protocol"]

    def _whole(self, name: str) -> Run:
        """Ours, into a market that has run for some seconds, so that its memory is its own."""
        market, start = Market(SYMBOLS), self.frames[0][0]
        for second in range(5, -1, -1):
            market.roll(start - second * NS)
        return decoding(name, self._answer, market)

    def warm(self) -> None:
        """Imports and caches, and which frames the libraries can use."""
        for make in self.own.values():
            make(self.name)(self.frames)
        for peer, make in self.peers.items():
            used, refused = [], ""
            try:
                run = make(self.name)
            except ValueError as error:
                self.notes.append(f"{self.name}: {peer} does not begin, {error}")
                continue
            out = LEFT_OUT.get((self.name, peer))
            for frame in self.frames:
                if out is not None and out in frame[1]:
                    continue
                try:
                    if run([frame]) or frame[2].startswith("http"):
                        used.append(frame)
                except Exception as error:
                    refused = refused or f"{type(error).__name__}: {error}"[:70]
            if used:
                self.theirs[peer] = used
            if refused:
                self.notes.append(f"{self.name}: {peer} fails at some, {refused}")

    def round(self) -> None:
        for case, make in self.own.items():
            self._time(case, make, self.frames)
        for peer, frames in self.theirs.items():
            self._time(peer, self.peers[peer], frames)
            self._time(f"ours for {peer}", self._whole, frames)

    def _time(self, case: str, make: Case, frames: Frames) -> None:
        repeats, spent = max(1, 4000 // len(frames)), 0.0
        gc.collect()
        for _ in range(repeats):
            run = make(self.name)
            began = time.process_time()
            run(frames)
            spent += time.process_time() - began
        self.times.setdefault(case, []).append(spent / repeats / len(frames) * 1e6)

    def row(self) -> str:
        own = "".join(f"{statistics.median(self.times[case]):9.2f}" for case in self.own)
        both = "".join(map(self._peer, ("cryptofeed", "ccxt.pro")))
        return f"{self.name:12}{self.source:10}{len(self.frames):7}{own}{both}"

    def _peer(self, case: str) -> str:
        if case not in self.times:
            return f"{'-':>11}{'-':>7}{'-':>8}"
        taken, ours = self.times[case], self.times[f"ours for {case}"]
        ratio = statistics.median(a / b for a, b in zip(taken, ours, strict=True))
        share = len(self.theirs[case]) / len(self.frames)
        return f"{statistics.median(taken):11.2f}{ratio:6.1f}x{share * 100:7.0f}%"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--venues", nargs="+", choices=VENUES, default=VENUES)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(f"CPU us a frame, medians of {options.rounds} rounds")
    head = f"{'venue':12}{'frames':17}{'bare':>9}{'decode':>9}{'+ apply':>9}"
    print(head + f"{'cryptofeed':>11}{'x':>7}{'of all':>8}{'ccxt.pro':>11}{'x':>7}{'of all':>8}")
    notes = []
    for name in options.venues:
        bench = Bench(name, options.frames)
        bench.warm()
        for _ in range(options.rounds):
            bench.round()
        print(bench.row(), flush=True)
        notes += bench.notes
    print("\n".join(notes))


if __name__ == "__main__":
    main()
