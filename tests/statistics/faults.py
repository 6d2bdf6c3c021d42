"""Every fault many times in one run of the demo: what recovers, how soon, and what stays true.

    python tests/statistics/faults.py [--times 50] [--kills 10] [--symbols 4|all] [--seed 1]

The demo's real feed runs on real sockets while faults come one after another in a random order,
each at a random moment. All along, at random times, every book that claims to be whole is
compared with the true one; at the end the tape is, trade by trade.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from engine.clock import NS
from engine.config import load
from engine.events import FeedStatus, Quote, Trade
from engine.jobs.demo import Demo
from engine.market.fields import FLOW_AT, TRADED

FEW = ("BTCUSDT", "ETHUSDT", "PEPEUSDT", "ARBUSDT")
LOTS = {"PEPEUSDT": 1000}
PATIENCE_S = 240.0
FRESH_NS = 2 * NS
CLOSING_SPEED = 4.0


class Ledger:
    """What the engine was given and what it could not see, beside the truth."""

    def __init__(self, demo: Demo) -> None:
        self.demo = demo
        self.market = demo.engine.pipeline.market
        self.trades: dict[str, dict[int, Trade]] = defaultdict(dict)
        self.looks: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.blind: list[tuple[int, int]] = []
        self.silent: list[tuple[int, int]] = []
        self.at_end: dict[str, str] = {}
        self.skews = {0}
        self.dark: dict[str, int] = {}
        self._apply = self.market.apply
        self.market.apply = self._note  # type: ignore[method-assign]
        self._status = demo.engine.pipeline.on_status
        demo.engine.pipeline.on_status = self._hear  # type: ignore[method-assign]

    def _note(self, event: Any) -> None:
        self._apply(event)
        if type(event) is Trade:
            self.trades[event.symbol].setdefault(event.id, event)
            if since := self.dark.pop("trade", 0):
                self.blind.append((since, self.market.now))
        elif type(event) is Quote:
            self.dark.pop("quote", None)

    def _hear(self, status: FeedStatus) -> None:
        """A closed socket was last heard of with its last event."""
        listed = self.market.listed.values()
        if status.state == "closed" and status.stream == "trade" and listed:
            last = max(max(x.trade_at, x.others_at.get("mark", 0)) for x in listed)
            self.dark.setdefault("trade", last)
        elif status.state == "closed" and status.stream == "quote":
            self.dark.setdefault("quote", self.market.now)
        self._status(status)

    def books(self) -> dict[str, str]:
        """Symbol -> how its book compares: true, behind, broken, or wrong, which must not be."""
        truth, out = self.demo.market, {}
        for listing, true in zip(truth.listings, truth.books, strict=True):
            found = self.market.listed.get(("binance", listing.id))
            if found is None or not found.book.synced:
                out[listing.id] = "broken"
            elif found.book.seq != true.seq:
                out[listing.id] = "behind"
            else:
                out[listing.id] = "true" if _same(found.book, true, listing) else "wrong"
        return out

    def look(self) -> None:
        """Compare all books now."""
        for symbol, state in self.books().items():
            self.looks[state] += 1
            if state == "wrong":
                self.wrong.append(symbol)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """A time in which the venue may say nothing on open sockets."""
        began = self.demo.clock.now()
        try:
            yield
        finally:
            self.silent.append((began, self.demo.clock.now()))

    def whole(self) -> bool:
        """Whether everything flows, every book is true and the feed says so."""
        now = self.demo.clock.now()
        if self.dark:
            return False
        for listed in self.market.listed.values():
            if now - min(listed.quote_at, listed.book.recv) > FRESH_NS:
                return False
        first = self.market.listed.get(("binance", self.demo.market.listings[0].id))
        if first is None or now - first.trade_at > FRESH_NS:
            return False
        if any(state != "true" for state in self.books().values()):
            return False
        return self.demo.latest().feeds["binance"].state == "ready"

    def tape(self) -> tuple[int, Counter[str]]:
        """The tape, trade by trade; ValueError where one was given wrongly.

        Missing trades by where: in blind seconds, in a silence on an open socket, elsewhere.
        """
        seen, lost = 0, Counter(dict.fromkeys(("blind", "silent", "elsewhere"), 0))
        for listing, tape in zip(self.demo.market.listings, self.demo.market.tapes, strict=True):
            given = self.trades[listing.id]
            first, last = min(given), max(given)
            for fill in tape:
                trade = given.get(fill.id)
                if trade is not None:
                    seen += 1
                    self._check(trade, fill, listing)
                elif first < fill.id < last:
                    lost[self._where(fill.ms * 1_000_000)] += 1
        return seen, lost

    def _where(self, ns: int) -> str:
        # A tick's trades are told at its end, up to 100 ms after they were made.
        for name, spans in (("blind", self.blind), ("silent", self.silent)):
            if any(a - NS // 10 <= ns <= b for a, b in spans):
                return name
        return "elsewhere"

    def _check(self, trade: Trade, fill: Any, listing: Any) -> None:
        lot = LOTS.get(listing.id, 1)
        good = (
            trade.price == float(listing.price_text(fill.price)) / lot
            and trade.size == float(listing.size_text(fill.size)) * lot
            and trade.side == ("buy" if fill.buy else "sell")
            and trade.ts // 1_000_000 - fill.ms in self.skews
        )
        if not good:
            raise ValueError(f"{listing.id}: {trade} given, {fill} true")

    def counted_twice(self) -> float:
        """Notional in the bars beyond that of the distinct trades, as a share of it."""
        waiting = {(t.symbol, t.id) for t in self.market._trades}
        ring = self.market.history.flow[60]
        held = ring.sums(np.array([ring.head + 1]), ring.size - 2)[0]
        counted = held[FLOW_AT["buy"]] + held[FLOW_AT["sell"]]
        given = np.zeros(len(counted))
        for symbol, trades in self.trades.items():
            prints = self.market.listed["binance", symbol].prints
            if prints != len(trades):
                raise ValueError(f"{symbol}: {prints} trades taken of {len(trades)}")
            for trade in trades.values():
                if (symbol, trade.id) not in waiting:
                    quanta = max(np.round(trade.price * trade.size / TRADED), 1.0)
                    given[self.market._place[symbol]] += quanta * TRADED
        return float(np.abs(counted / given - 1).max())


def _same(book: Any, true: Any, listing: Any) -> bool:
    lot = LOTS.get(listing.id, 1)
    for ours, theirs in ((book.bids, true.bids), (book.asks, true.asks)):
        wanted = {
            round(float(listing.price_text(p)) / lot, 12): float(listing.size_text(n)) * lot
            for p, n in theirs.items()
        }
        if {round(p, 12): n for p, n in ours.items()} != wanted:
            return False
    return True


class Drill:
    """A demo under faults; `run` injects them and returns the seconds each took to mend."""

    def __init__(self, symbols: tuple[str, ...] | None, seed: int = 1) -> None:
        others = {name: {"enabled": False} for name in load()[0].feeds}
        overrides: dict[str, Any] = {
            "feeds": {**others, "binance": {"enabled": True, "backfill": False}},
            "connection": {"blocked_retry": 10.0},
        }
        if symbols is not None:
            overrides["symbols"] = [{"id": s, "class": "layer1"} for s in symbols]
        self.demo = Demo(load(overrides=overrides)[0], seed=seed, speed=None, kept=None)
        self.ledger = Ledger(self.demo)
        self.rng = random.Random(seed)
        self.injected: Counter[str] = Counter()
        self.mended: dict[str, list[float]] = defaultdict(list)
        self.failed: list[str] = []
        self.spoilt = 0
        self.faults: dict[str, Callable[[], Awaitable[None]]] = {
            "drop": self._drop,
            "stall": self._stall,
            "half-open": self._half_open,
            **{k: lambda k=k: self._frame(k) for k in ("gap", "duplicate", "reorder", "malformed")},
            "429 handshake": lambda: self._refused("ws", 429),
            "451 handshake": lambda: self._refused("ws", 451),
            "429 request": lambda: self._refused("rest", 429),
            "451 request": lambda: self._refused("rest", 451),
            "slow snapshot": self._slow,
            "silent ack": self._silent_ack,
            "clock skew": self._skew,
            "server killed 10 s": self._kill,
        }

    @property
    def venue(self) -> Any:
        assert self.demo.venue is not None
        return self.demo.venue

    async def run(
        self, times: dict[str, int], tell: Callable[[str], None] = lambda _: None
    ) -> None:
        """Inject each kind so many times, in random order, each once the last is mended."""
        running = asyncio.create_task(self.demo.run())
        await self.demo.clock.used.wait()
        if not await self._until(self.ledger.whole):
            raise TimeoutError("the demo did not start")
        looking = asyncio.create_task(self._look())
        order = [kind for kind, count in times.items() for _ in range(count)]
        self.rng.shuffle(order)
        try:
            for count, kind in enumerate(order):
                await self._one(kind)
                if tell and count % 25 == 0:
                    tell(f"{count}/{len(order)} {self.simulated:.0f} s")
            await self._sleep(5.0)
            self.ledger.at_end = self.ledger.books()
        finally:
            looking.cancel()
            self.demo.stop()
            await asyncio.gather(running, looking, return_exceptions=True)

    @property
    def simulated(self) -> float:
        return (self.demo.clock.now() - self.demo.market.start) / NS

    async def _one(self, kind: str) -> None:
        await self._sleep(self.rng.uniform(0.5, 4.0))
        began = self.demo.clock.now()
        self.injected[kind] += 1
        await self.faults[kind]()
        if await self._until(self.ledger.whole):
            self.mended[kind].append((self.demo.clock.now() - began) / NS)
        else:
            states = Counter(self.ledger.books().values())
            health = self.demo.latest().feeds["binance"]
            self.failed.append(f"{kind} at {self.simulated:.0f} s: {dict(states)}, {health}")
        self.venue.faults.resume()

    async def _look(self) -> None:
        while True:
            await self._sleep(self.rng.uniform(0.1, 6.0))
            self.ledger.look()

    async def _sleep(self, seconds: float) -> None:
        await self.demo.clock.sleep(seconds)

    async def _until(self, true: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
        end = self.demo.clock.now() + seconds * NS
        while not true():
            if self.demo.clock.now() > end:
                return False
            await self._sleep(0.1)
        return True

    async def _done(self, kind: str, before: int) -> None:
        """Wait until the fault has taken place."""
        if not await self._until(lambda: self.venue.faults.done[kind] > before, 60):
            raise TimeoutError(f"{kind} did not take place")

    # -- the faults ------------------------------------------------------------------------

    def _stream(self, *suffixes: str) -> str:
        wire = self.rng.choice(self.venue._frames.wires)
        return str(getattr(wire, self.rng.choice(suffixes)))

    def _route(self) -> str:
        return self.rng.choice(("public", "market"))

    async def _drop(self) -> None:
        self.venue.drop(self.rng.choice(("public", "market", None)))
        await self._sleep(0.2)

    async def _stall(self) -> None:
        """Until the feed has found out and tried again, sometimes longer."""
        self.venue.faults.stall(self._route())
        with self.ledger.silence():
            await self._sleep(self.rng.uniform(5.0, 60.0))
        self.venue.faults.resume()

    async def _half_open(self) -> None:
        # The library waits a second of real time for the goodbye of a peer that is not there.
        self.venue.half_open(self._route())
        with self.ledger.silence():
            await self._sleep(29.0)
            self.demo._pace.limit(CLOSING_SPEED)
            await self._sleep(9.0)
            self.demo._pace.limit(None)

    async def _frame(self, kind: Any) -> None:
        stream = self._stream("depth", "depth", "quote", "trade", "mark")
        before = self.venue.faults.done[kind]
        self.venue.faults.frame(kind, stream)
        self.spoilt += stream.endswith("aggTrade") and kind in ("gap", "malformed")
        await self._done(kind, before)
        # A held frame follows its successor.
        await self._until(lambda: not self.venue.faults._held, 60)
        await self._sleep(0.3)

    async def _refused(self, place: Any, status: int) -> None:
        wait = 2.0 if status == 429 else None
        before = self.venue.faults.done[str(status)]
        self.venue.faults.refuse(place, status, wait)
        if place == "ws":
            self.venue.drop(self._route())
        else:
            self.venue.faults.frame("gap", self._stream("depth"))
        await self._done(str(status), before)

    async def _slow(self) -> None:
        before = self.venue.faults.done["slow snapshot"]
        self.venue.faults.slow_snapshot(self.rng.uniform(0.5, 8.0))
        self.venue.faults.frame("gap", self._stream("depth"))
        await self._done("slow snapshot", before)

    async def _silent_ack(self) -> None:
        before = self.venue.faults.done["silent ack"]
        self.venue.faults.silent_ack()
        self.venue.drop(self._route())
        await self._done("silent ack", before)

    async def _skew(self) -> None:
        """The engine has learned the venue's clock again once its estimate has followed."""
        ms = self.rng.choice((-1, 1)) * self.rng.randrange(500, 90_000)
        self.ledger.skews.add(ms)
        for shift in (ms, 0):
            self.venue.faults.skew(shift)
            wanted = -shift * 1_000_000
            await self._until(lambda w=wanted: abs(self._offset() - w) < NS // 2, 60)

    def _offset(self) -> int:
        return self.demo.engine.pipeline.market.offsets["binance"]

    async def _kill(self) -> None:
        await self.venue.stop()
        await self._sleep(10.0)
        await self.venue.start()


def memory_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def table(drill: Drill) -> list[str]:
    """What came of a run, in lines."""
    lines = [f"{'fault':22}{'injected':>9}{'recovered':>10}{'median s':>10}{'longest s':>10}"]
    for kind in drill.faults:
        if drill.injected[kind]:
            took = drill.mended[kind] or [float("nan")]
            lines.append(f"{kind:22}{drill.injected[kind]:9}{len(drill.mended[kind]):10}"
                         f"{statistics.median(took):10.1f}{max(took):10.1f}")  # fmt: skip
    ledger, health = drill.ledger, drill.demo.latest().feeds["binance"]
    seen, lost = ledger.tape()
    single = sum(health.dropped_by_reason.get(k, 0) for k in ("repeated trade", "repeated quote"))
    blind = sum(b - a for a, b in ledger.blind) / NS
    lines += [
        f"books at random times: {dict(ledger.looks)};"
        f" at the end: {dict(Counter(ledger.at_end.values()))}",
        f"trades: {seen} seen, each as on the true tape; {lost.total()} missing:"
        f" {lost['blind']} in {blind:.1f} s without a socket, {lost['silent']} in silences on an"
        f" open one, {lost['elsewhere']} of {drill.spoilt} frames skipped or spoilt;"
        f" the engine counts {health.dropped_by_reason.get('trades missed', 0)} missed",
        f"trades counted twice: {ledger.counted_twice():.1e} of the notional;"
        f" {single} repeated trades and quotes dropped",
        f"blind seconds by the engine: {health.blind_s:.1f}",
        f"dropped: {health.dropped_by_reason}; gaps {health.gaps}, resyncs {health.resyncs},"
        f" reconnects {health.reconnects}",
    ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--symbols", choices=("4", "all"), default="4")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    drill = Drill(FEW if options.symbols == "4" else None, options.seed)
    times = dict.fromkeys(drill.faults, options.times) | {"server killed 10 s": options.kills}
    say = sys.stdout.write

    def tell(text: str) -> None:
        sys.stderr.write(f"{text}, {memory_mb():.0f} MB\n")

    began = time.monotonic()
    asyncio.run(drill.run(times, tell))
    took = time.monotonic() - began
    count = len(drill.demo.market.listings)
    say(f"{count} symbols, {drill.simulated:.0f} simulated s in {took:.0f} s\n")
    say("\n".join([*table(drill), *drill.failed]) + "\n")
    sys.exit(1 if drill.failed or drill.ledger.wrong else 0)


if __name__ == "__main__":
    main()
