"""The simulated market's pace, and its BTC beside the recorded one.

python tests/benchmarks/bench_sim.py [--seconds 120]

Simulated over CPU seconds without sockets are of all symbols, feeds and cards, without history.
"""

import argparse
import asyncio
import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from websockets.asyncio.client import connect

from engine.clock import SimulatedClock, WallClock
from engine.config import load
from engine.jobs.demo import Demo
from engine.jobs.offline import Offline
from engine.sim.market import SimulatedMarket
from engine.sim.market.market import Tick
from engine.sim.market.shadow import Reference
from engine.sim.venues.base import venue_class, venue_names
from engine.sim.venues.binance import BinanceVenue
from engine.sim.venues.binance.frames import Frames

RECORDED = Path(__file__).parents[2].parent / "shared" / "wire" / "binance_usdm"
# Rate, length of a tick in s, share of the seconds asked for: the whole market and a sparse one.
MARKETS = ((1.0, 0.1, 0.25), (0.02, 1.0, 5.0))
SETTLED_S = 30
SYMBOLS = tuple(instrument.id for instrument in load()[0].instruments)


def alone(rate: float, dt: float, seconds: float) -> tuple[float, float]:
    """All venues' frames without anybody to hear them: simulated over CPU s, frames a second."""
    reference = Reference(SimulatedMarket(SYMBOLS, rate=rate, dt=dt))
    clock = SimulatedClock(reference.market.now)
    venues = [venue_class(name)(reference, clock) for name in venue_names()]
    began, frames = time.process_time(), 0
    for _ in range(round(seconds / dt)):
        tick = reference.tick()
        frames += sum([len(venue.frames(tick)) for venue in venues])
    return seconds / (time.process_time() - began), frames / seconds


def offline(rate: float, dt: float, seconds: float, steps: bool) -> float:
    """The engine on it, with its steps or without: simulated over CPU s once all has settled."""
    run = Offline(load()[0], seconds=seconds + SETTLED_S, rate=rate, dt=dt, warm_minutes=0)
    if not steps:
        run.engine.pipeline._step = lambda now: None  # type: ignore[method-assign]
    began, tick = 0.0, run.reference.tick

    def ticked() -> Tick:
        nonlocal began
        if run.market.elapsed <= SETTLED_S:
            began = time.process_time()
        return tick()

    run.reference.tick = ticked  # type: ignore[method-assign]
    asyncio.run(run.run())
    return seconds / (time.process_time() - began)


def without_sockets(seconds: float) -> None:
    """The two markets, each with more and more of the engine."""
    print("\nrate".ljust(9), *(name.rjust(20) for name in (
        "frames a second", "venues alone", "without steps", "whole")))  # fmt: skip
    for rate, dt, share in MARKETS:
        venues, frames = alone(rate, dt, share * seconds)
        factors = (venues, *(offline(rate, dt, share * seconds, steps) for steps in (False, True)))
        texts = (f"{frames:.0f}", *(f"{factor:.1f}x" for factor in factors))
        print(f"{rate:g}".ljust(8), *(text.rjust(20) for text in texts))


def socketless(seconds: float) -> None:
    """Ticks alone, and with the reference's frames made."""
    started = time.perf_counter()
    market = SimulatedMarket(SYMBOLS)
    print(f"past and books of {len(SYMBOLS)} symbols: {time.perf_counter() - started:.2f} s")
    count = round(seconds * 10)
    started = time.perf_counter()
    ticks = [market.tick() for _ in range(count)]
    taken = time.perf_counter() - started
    print(f"socketless: {count / taken:.0f} ticks/s, {seconds / taken:.0f}x real time")
    frames, made = Frames(market.listings), 0
    started = time.perf_counter()
    for tick in ticks:
        made += len(frames.public(tick)) + len(frames.market(tick))
    taken = time.perf_counter() - started
    print(f"frames: {made / seconds:.0f} a second of the market, {made / taken:.0f} made a second")


async def loopback(seconds: float) -> None:
    """Frames through real sockets to a client that only reads."""
    market = SimulatedMarket(SYMBOLS)
    venue = BinanceVenue(market, WallClock())
    await venue.start()
    read: Counter[str] = Counter()
    sockets = []
    for route, streams in venue._frames.streams.items():
        socket = await connect(f"{venue.urls()[route]}/stream", proxy=None, max_queue=None)
        await socket.send(json.dumps({"method": "SUBSCRIBE", "params": sorted(streams), "id": 1}))
        await socket.recv()
        sockets.append((route, socket))

    async def drain(route: str, socket: object) -> None:
        while True:
            await socket.recv(decode=False)  # type: ignore[attr-defined]
            read[route] += 1

    tasks = [asyncio.create_task(drain(*pair)) for pair in sockets]
    sent_before = venue.expected
    started = time.perf_counter()
    for _ in range(round(seconds * 10)):
        await venue.publish(market.tick())
        while read.total() < venue.expected - sent_before:  # noqa: ASYNC110
            await asyncio.sleep(0)
    taken = time.perf_counter() - started
    print(f"over loopback, market included: {read.total() / taken:.0f} frames/s,"
          f" {seconds / taken:.0f}x real time")  # fmt: skip
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _, socket in sockets:
        await socket.close()
    await venue.stop()


async def whole(seconds: float) -> None:
    """The engine on it, without history."""
    feeds = {name: {"backfill": False} for name in load()[0].feeds}
    demo = Demo(load(overrides={"feeds": feeds})[0], speed=None, seconds=seconds)
    running = asyncio.create_task(demo.run())
    await demo.clock.used.wait()
    started = time.perf_counter()
    await running
    taken = time.perf_counter() - started
    frames = sum([feed.frames for feed in demo.latest().feeds.values()])
    print(f"with the engine in step, all feeds: {frames / taken:.0f} frames/s,"
          f" {seconds / taken:.1f}x real time")  # fmt: skip


# -- BTC, simulated and recorded -----------------------------------------------------------


class Sample:
    """What is compared of a stretch of one symbol."""

    def __init__(self) -> None:
        self.spreads: Counter[int] = Counter()
        self.touch: list[float] = []
        self.depth: list[float] = []
        self.trades: list[float] = []
        self.mids: list[tuple[int, float]] = []
        self.seconds = 0.0

    def rows(self) -> dict[str, str]:
        low, half, high = np.percentile(self.trades, [50, 99, 99.9])
        quotes = self.spreads.total()
        at, mid = np.array(self.mids).T
        grid = np.arange(at[0], at[-1], 1000)
        returns = np.diff(np.log(mid[np.searchsorted(at, grid, side="right") - 1]))
        sizes = np.abs(returns)
        return {
            "spread of one tick": f"{self.spreads[1] / quotes:.1%}",
            "bid at the touch, median": f"{np.median(self.touch) / 1e3:.0f} k USD",
            "bids within 10 bps, median": f"{np.median(self.depth) / 1e6:.1f} M USD",
            "quotes a second": f"{quotes / self.seconds:.0f}",
            "trades a second": f"{len(self.trades) / self.seconds:.0f}",
            "trade, median": f"{low:.0f} USD",
            "trade, mean": f"{np.mean(self.trades):.0f} USD",
            "trade, 99 %": f"{half / 1e3:.0f} k USD",
            "trade, 99.9 %": f"{high / 1e3:.0f} k USD",
            "volatility a year, of 1 s": f"{returns.std() * np.sqrt(31_557_600):.0%}",
            "kurtosis of 1 s returns": f"{_kurtosis(returns):.1f}",
            "|return| 1 s, lag 1": f"{np.corrcoef(sizes[:-1], sizes[1:])[0, 1]:.2f}",
            "|return| 1 s, lag 10": f"{np.corrcoef(sizes[:-10], sizes[10:])[0, 1]:.2f}",
        }


def _kurtosis(returns: np.ndarray) -> float:
    return float(((returns - returns.mean()) ** 4).mean() / returns.var() ** 2)


def simulated(seconds: float) -> Sample:
    market, sample = SimulatedMarket(("BTCUSDT",)), Sample()
    book, listing = market.books[0], market.listings[0]
    worth = listing.tick * listing.step
    for count in range(round(seconds * 10)):
        played = market.tick().played[0]
        for touch in played.touches:
            sample.spreads[touch.ask - touch.bid] += 1
            sample.touch.append(touch.bid * touch.bid_size * worth)
            sample.mids.append((touch.ms, (touch.bid + touch.ask) / 2))
        sample.trades += [fill.price * fill.size * worth for fill in played.prints]
        if count % 20 == 0:
            floor = 0.999 * book.bid
            sample.depth.append(sum(p * n * worth for p, n in book.bids.items() if p > floor))
    sample.seconds = seconds
    return sample


def _recorded_events() -> Iterator[dict]:
    with gzip.open(RECORDED / "btcusdt_20240808.gz") as lines:
        for line in lines:
            event = json.loads(line.split(b" ", 1)[1])
            yield event.get("data", event)


def recorded() -> Sample:
    sample, bids, count = Sample(), {}, 0
    first = last = 0
    for event in _recorded_events():
        kind = event.get("e")
        if kind is None:
            bids = {**{float(p): float(q) for p, q in event["bids"]}, **bids}
        elif kind == "bookTicker":
            bid, ask = float(event["b"]), float(event["a"])
            sample.spreads[round((ask - bid) / 0.1)] += 1
            sample.touch.append(bid * float(event["B"]))
            sample.mids.append((event["T"], (bid + ask) / 2))
        elif kind == "trade":
            sample.trades.append(float(event["p"]) * float(event["q"]))
            first, last = first or event["T"], event["T"]
        elif kind == "depthUpdate":
            bids.update((float(p), float(q)) for p, q in event["b"])
            bids = {p: q for p, q in bids.items() if q} if count % 200 == 0 else bids
            count += 1
            if count % 200 == 0 and count > 400 and sample.mids:
                floor = sample.mids[-1][1] * 0.999
                sample.depth.append(sum(p * q for p, q in bids.items() if p > floor))
    sample.seconds = (last - first) / 1000
    return sample


def compare(seconds: float) -> None:
    columns = {"simulated": simulated(seconds).rows()}
    if RECORDED.is_dir():
        columns["recorded 2024-08-08"] = recorded().rows()
    print("\nBTCUSDT".ljust(30), *(name.rjust(20) for name in columns))
    for name in columns["simulated"]:
        print(name.ljust(29), *(column[name].rjust(20) for column in columns.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    seconds = parser.parse_args().seconds
    socketless(seconds)
    without_sockets(seconds)
    asyncio.run(loopback(seconds))
    asyncio.run(whole(seconds))
    compare(max(seconds, 345.0))


if __name__ == "__main__":
    main()
