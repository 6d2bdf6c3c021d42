"""A sparse market whose venues go on while engines come and go, and the truth of its history.

Of the tests of the backfill and of the table of what it costs (backfill.py).
"""

import asyncio
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.clock import NS
from engine.config import Config, load
from engine.events import Event, Funding, OpenInterest, OptionSummary, Ratio
from engine.instruments import LOTS
from engine.jobs.offline import LocalEngine, Offline
from engine.market.fields import FLOW_AT
from engine.runtime.live import TOP_UP_S
from engine.sim.market.past import CLOSE, HIGH, LOW, OPEN, TAKEN, VOLUME
from engine.store.recordings import Recorder

TWO = ("BTCUSDT", "PEPEUSDT")
HOUR = 3600
POINTS = Funding | OpenInterest | Ratio | OptionSummary
Asked = tuple[str, str]


def config_of(symbols: tuple[str, ...] | None = TWO, feeds: tuple[str, ...] = (),
              **changes: Any) -> Config:  # fmt: skip
    """All feeds or some; `changes` to each of them."""
    names = list(load()[0].feeds)
    blocks = {n: {"enabled": n in (feeds or names), **changes} for n in names}
    listed = [{"id": symbol, "class": "layer1"} for symbol in symbols or ()]
    wanted = {"symbols": listed} if symbols else {}
    return load(overrides={**wanted, "feeds": blocks})[0]


class World:
    """A sparse market and its venues, which go on while engines come and go.

    `asked` holds every request for history that reached a venue: (feed, url without host); `spent`
    what of each feed's budget went for which kind of request: (when in ns, weight, kind); `past`
    the history but candles that reached the market, by kind, venue and symbol.
    """

    def __init__(self, config: Config, db: Path | None = None, seed: int = 1,
                 rate: float = 0.1) -> None:  # fmt: skip
        self.run = Offline(config, rate=rate, dt=1.0, seed=seed, kept=None)
        self.db = db
        self.asked: list[Asked] = []
        self.spent: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
        self.past: dict[tuple[str, str, str], dict[int, Event]] = defaultdict(dict)
        self._running: asyncio.Task[None] | None = None

    @property
    def engine(self) -> LocalEngine:
        return self.run.engine

    @property
    def truth(self) -> Any:
        return self.run.market

    async def start(self, recorder: Recorder | None = None) -> None:
        """A new engine on the same market and history."""
        run = self.run
        run.engine = LocalEngine(run.config, run.network, run.clock, self.db, None,
                                 lambda now, made: None, 1)  # fmt: skip
        run.engine._recorder = recorder
        # History is asked for anew; what the engine before knew is of another test.
        run.engine._keeper = None
        run.engine._warm = _nothing
        run._stopped, run.clock.used = False, asyncio.Event()
        market = run.engine.pipeline.market
        self._apply, market.apply = market.apply, self._note
        for name, session in run.engine._sessions.items():
            self._listen(name, session)
        self._running = asyncio.create_task(run.run())
        waiting = asyncio.create_task(run.clock.used.wait())
        await asyncio.wait({waiting, self._running}, return_when=asyncio.FIRST_COMPLETED)
        assert not self._running.done(), self._running.exception()

    def _listen(self, name: str, session: Any) -> None:
        rest = session._rest
        send, spend = rest._send, rest.budget.spend

        async def sent(job: Any) -> Any:
            if job.kind == "history":
                self.asked.append((name, job.request.asked))
            return await send(job)

        def spent(now: int, weight: int, kind: str = "") -> None:
            self.spent[name].append((now, weight, kind))
            spend(now, weight, kind)

        rest._send, rest.budget.spend = sent, spent

    def _note(self, event: Event) -> None:
        if event.history and isinstance(event, POINTS):
            kind = event.measure if isinstance(event, Ratio) else type(event).__name__
            self.past[kind, event.venue, event.symbol or ""][event.ts // NS] = event
        self._apply(event)

    async def stop(self) -> None:
        self.run.stop()
        if self._running is not None:
            await self._running
        self.asked.clear()
        self.spent.clear()

    async def until(self, seconds: float) -> None:
        """So much market time passes."""
        assert self._running is not None
        waiting = asyncio.create_task(self.run.clock.sleep(seconds))
        await asyncio.wait({waiting, self._running}, return_when=asyncio.FIRST_COMPLETED)
        assert not self._running.done()

    async def filled(self, joined: bool = True, seconds: float = 1200) -> None:
        """Until all history has come, and the minute of the join has been topped up."""
        end = self.run.clock.now() + seconds * NS
        while not self.done() and self.run.clock.now() < end:
            await self.until(1)
        assert self.done(), self.progress()
        await self.until(60 + 2 * TOP_UP_S if joined else 2)

    def progress(self) -> dict[str, tuple[int, int] | None]:
        return {name: t.history for name, t in self.engine.pipeline.tallies.items()}

    def done(self) -> bool:
        feeds = self.run.config.feeds
        told = [p for n, p in self.progress().items() if feeds[n].backfill]
        return all(p is not None and p[0] == p[1] for p in told)

    async def away(self, seconds: float) -> None:
        """The market goes on with nobody there."""
        run, end = self.run, self.run.market.now + int(seconds * NS)
        while run.market.now < end:
            await run.clock.advance(run.market.now + run.market.tick_ns, run._settle)
            await run.network.publish(run.reference.tick())

    # -- truth ------------------------------------------------------------------------------

    def candles(self, symbol: str, seconds: int, first: int, end: int) -> Any:
        """(rows, fields) of the reference venue in coins, open times in [first, end) s."""
        market = self.truth
        place = market.place(symbol)
        listing, lot = market.listings[place], LOTS["binance"].get(symbol, 1)
        begin, rows = market.bars.select(place, seconds, first, end - 1)
        out = rows.astype(float)
        out[:, [OPEN, HIGH, LOW, CLOSE]] *= listing.tick / lot
        out[:, [VOLUME, TAKEN]] *= listing.step * lot
        return begin, out

    def wrong_cells(self, symbol: str, seconds: int, count: int, until: int = 0) -> list[str]:
        """Cells of the market's ring that are neither the true candle nor the true tape.

        The last `count` before now, or `until` (ns).
        """
        market = self.engine.pipeline.market
        history, place = market.history, market.symbols.index(symbol)
        end = ((until or self.run.clock.now()) - 3 * NS) // (seconds * NS)
        cells = np.arange(end - count, end)
        ohlc = history.prices[seconds].stretches(cells + 1, 1)[:, :, place]
        flow = history.flow[seconds].sums(cells + 1, 1)[:, :, place]
        begin, true = self.candles(symbol, seconds, int(cells[0]) * seconds, end * seconds)
        assert (begin, len(true)) == (cells[0] * seconds, count)
        typical = true[:, [HIGH, LOW, CLOSE]].mean(axis=1)
        volume = flow[:, FLOW_AT["buy"]] + flow[:, FLOW_AT["sell"]]
        buys, paid = self.bounds(symbol, seconds, cells)
        checks = {
            "prices": np.isclose(ohlc, true[:, : CLOSE + 1], rtol=1e-9).all(axis=1),
            "buys": _either(flow[:, FLOW_AT["buy"]], true[:, TAKEN] * typical, *buys),
            "volume": _either(volume, true[:, VOLUME] * typical, *paid),
            "covered": np.isclose(flow[:, FLOW_AT["covered"]], seconds),
        }
        return [f"{name} {cells[n]}" for name, ok in checks.items() for n in np.flatnonzero(~ok)]

    def bounds(self, symbol: str, seconds: int, cells: Any) -> Any:
        """USD bought by takers and traded in each cell, least and most, made of minutes.

        A minute is a candle, or what the tape of the live part tells; of this the bars have trades
        by the venue's clock as it is estimated, so that those of its last second may be the next
        minute's.
        """
        first, count = int(cells[0]) * seconds // 60, len(cells) * seconds // 60
        begin, rows = self.candles(symbol, 60, first * 60, (first + count) * 60)
        typical = rows[:, [HIGH, LOW, CLOSE]].mean(axis=1)
        candle, tape, edge = np.full((2, count), np.nan), np.zeros((2, count)), np.zeros(count)
        candle[:, begin // 60 - first :] = rows[:, [TAKEN, VOLUME]].T * typical
        market, place = self.truth, self.truth.place(symbol)
        listing = market.listings[place]
        for fill in market.tapes[place]:
            at = fill.ms // 60_000 - first
            if 0 <= at < count:
                usd = fill.price * listing.tick * fill.size * listing.step
                tape[:, at] += usd * fill.buy, usd
                edge[at] += usd * (fill.ms % 60_000 >= 59_000)
        live = np.arange(first, first + count) >= market.start // (60 * NS)
        told = np.where(live, tape, candle)
        least, most = np.minimum(candle, told) - edge, np.maximum(candle, told)
        most[:, 1:] += edge[:-1]
        return np.stack([least, most], axis=1).reshape(2, 2, len(cells), -1).sum(axis=3)


def _either(found: Any, candle: Any, least: Any, most: Any) -> Any:
    near = 1e-6 * found + 0.01
    return (np.abs(found - candle) <= near) | (found >= least - near) & (found <= most + near)


def wrong_minutes(world: World, until: int = 0) -> list[str]:
    return [said for symbol in TWO for said in world.wrong_cells(symbol, 60, 8 * 1440 - 2, until)]


async def _nothing(minutes: float) -> None:
    """The warm-up is not what is tested here."""


def kept(db: Path) -> set[Asked]:
    with closing(sqlite3.connect(db)) as connection:
        return set(connection.execute("SELECT feed, asked FROM answers"))


def planned(world: World) -> dict[str, set[str]]:
    """What each feed's plan says is final, as of now."""
    feeds, symbols = world.engine.pipeline.feeds, world.engine.pipeline.symbols
    now = world.run.clock.now()
    return {
        name: {r.asked for r in feed.backfill(now, symbols) if r.final and r.final <= now}
        for name, feed in feeds.items()
    }


def check_points(world: World, symbols: tuple[str, ...]) -> Counter[str]:
    """Every point of history that came is true; how many of each kind and venue."""
    counts: Counter[str] = Counter()
    for name, venue in world.run.network.venues.items():
        known = getattr(venue, "positioning", None)
        if known is None:
            continue
        ids = [c.id for c in venue.shadow.contracts] if name != "binance_positioning" else symbols
        for place, symbol in enumerate(ids):
            at = place if name != "binance_positioning" else world.truth.place(symbol)
            points = {k: v for (k, of, s), v in world.past.items()
                      if (of, s) == (venue.shadow.venue, symbol)}  # fmt: skip
            for kind, events in points.items():
                if kind == "OptionSummary":
                    continue
                times = np.array(sorted(events), dtype=float)
                found = np.array([_value(events[int(t)]) for t in times])
                true = _true(name, venue, kind, at, times)
                if true is not None:
                    np.testing.assert_allclose(found, true, rtol=2e-3, atol=2e-8,
                                               err_msg=f"{name} {symbol} {kind}")  # fmt: skip
                    counts[f"{name} {kind}"] += len(times)
    return counts


def _value(event: Event) -> float:
    match event:
        case Funding(rate=rate):
            return rate
        case OpenInterest(base=base):
            return base
        case Ratio(value=value):
            return value
    raise AssertionError(event)


def _true(name: str, venue: Any, kind: str, place: int, times: Any) -> Any:
    known = venue.positioning
    if kind == "OpenInterest":
        return known.interest(place, times)
    if kind == "Funding":
        period = int(venue.shadow.character.hours * HOUR)
        count = int(times[-1] - times[0]) // period + 1
        when, rates = known.settlements(place, int(times[-1]), count)
        scale = 8 if name == "deribit" else 1
        table = dict(zip(when.tolist(), (rates * scale).tolist(), strict=True))
        return np.array([table[t] for t in times.tolist()])
    if kind == "taker":
        return None
    if name == "binance_positioning":
        return venue.ratio(kind, place, times)
    return known.ratio(kind, place, times)


def check_takers(world: World, symbol: str) -> int:
    """The hourly taker ratios are those of the candles."""
    count = 0
    for venue in ("binance", "okx", "gate"):
        events = world.past["taker", venue, symbol]
        now = world.run.clock.now() // NS
        for ts, event in events.items():
            begin = ts - HOUR if venue == "binance" else ts
            if ts % HOUR or begin + HOUR > now // HOUR * HOUR or begin + 40 * HOUR > now:
                continue
            _, rows = world.candles(symbol, HOUR, begin, begin + HOUR)
            (row,) = rows
            assert event.value == pytest.approx(row[TAKEN] / (row[VOLUME] - row[TAKEN]), rel=3e-3)
            count += 1
    return count


def holes(times: Any, step: int) -> int:
    return int((np.diff(np.unique(np.array(list(times)) // step)) > 1).sum())
