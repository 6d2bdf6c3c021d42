"""A deterministic random market of two symbols as the frames Binance would send, and its run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.clock import NS
from engine.config import Config, load
from engine.decision.decide import Decision
from engine.feeds.feed import Frame, build_feed
from engine.runtime.pictures import Pictures
from engine.runtime.pipeline import Pipeline
from engine.snapshot import Snapshot

START = 1_750_000_003 * NS + 120_000_000
SECONDS = 360
MS = 1_000_000
LATENCY_MS = 20
REACH = 3200
PUBLIC, MARKET = "wss://example.org/public/stream", "wss://example.org/market/stream"
PRICES = {"BTCUSDT": (262.0, 5e-4), "ETHUSDT": (41.0, 1e-4)}


@dataclass(frozen=True)
class Lens:
    """How prices and sides are shown: as they are, in another unit, or in the mirror.

    Notional is kept: sizes are divided by what prices are multiplied with.
    """

    factor: float = 1.0
    mirrored: bool = False

    def price(self, price: float) -> float:
        return self.factor / price if self.mirrored else self.factor * price

    def level(self, price: float, size: float) -> list[str]:
        shown = self.price(price)
        return [repr(shown), repr(price * size / shown)]

    def levels(self, pairs: Iterable[tuple[float, float]]) -> list[list[str]]:
        return [self.level(price, size) for price, size in pairs]


@dataclass
class Book:
    """Random levels, price in ticks -> size, around a mid in ticks."""

    bids: dict[int, float]
    asks: dict[int, float]
    seq: int = 1000

    def move(self, mid: int, rng: np.random.Generator) -> tuple[dict[int, float], dict[int, float]]:
        """Let the touch follow the mid and some levels change; returns what changed."""
        changed: tuple[dict[int, float], dict[int, float]] = ({}, {})
        for side, sign in ((0, -1), (1, 1)):
            levels = (self.bids, self.asks)[side]
            for price in [p for p in levels if (p - mid) * sign <= 0]:
                changed[side][price] = 0.0
            touch = mid + sign * int(rng.integers(1, 4))
            far = mid + sign * int(rng.integers(4, REACH))
            places = list(levels)
            for price in (touch, far, places[rng.integers(len(places))]):
                if (price - mid) * sign > 0:
                    changed[side][price] = round(float(rng.lognormal(3.5, 1.0)), 3)
            gone = places[rng.integers(len(places))]
            if abs(gone - mid) > 40 and len(levels) > 200:
                changed[side][gone] = 0.0
            levels.update(changed[side])
            for price, size in changed[side].items():
                if not size:
                    del levels[price]
        return changed


@dataclass
class Coin:
    """One symbol's market: what it does in each fifth of a second, as wire payloads."""

    symbol: str
    tick: float
    mid: int
    rng: np.random.Generator
    book: Book = field(init=False)
    trade_id: int = 500
    drift: float = 0.0

    def __post_init__(self) -> None:
        self.book = Book({}, {})
        for sign, levels in ((-1, self.book.bids), (1, self.book.asks)):
            for step in (1, 3, *self.rng.integers(4, REACH, 260).tolist()):
                levels[self.mid + sign * step] = round(float(self.rng.lognormal(3.5, 1.0)), 3)

    def pairs(self, levels: dict[int, float]) -> list[tuple[float, float]]:
        return [(price * self.tick, size) for price, size in sorted(levels.items())]

    def snapshot(self, time: int, lens: Lens) -> dict[str, Any]:
        bids, asks = (lens.levels(self.pairs(s)) for s in self.sides(lens))
        return {"lastUpdateId": self.book.seq, "E": time, "T": time, "bids": bids, "asks": asks}

    def sides(self, lens: Lens) -> tuple[dict[int, float], dict[int, float]]:
        book = self.book
        return (book.asks, book.bids) if lens.mirrored else (book.bids, book.asks)

    def step(self, time: int, lens: Lens) -> list[tuple[str, str, dict[str, Any]]]:
        """(url, stream, payload) of 200 ms."""
        self.drift = 0.97 * self.drift + float(self.rng.normal(0, 0.05))
        self.mid += round(float(self.rng.normal(self.drift, 5)))
        changed = self.book.move(self.mid, self.rng)
        out = [self._depth(changed, time, lens), self._quote(time, lens)]
        for _ in range(int(self.rng.poisson(1.2))):
            out += self._take(time, lens)
        return out

    def _depth(self, changed: tuple[dict[int, float], dict[int, float]], time: int,
               lens: Lens) -> tuple[str, str, dict[str, Any]]:  # fmt: skip
        before, self.book.seq = self.book.seq, self.book.seq + 3
        bids, asks = changed[::-1] if lens.mirrored else changed
        payload = {"e": "depthUpdate", "E": time, "T": time, "s": self.symbol, "U": before + 1,
                   "u": self.book.seq, "pu": before, "b": lens.levels(self.pairs(bids)),
                   "a": lens.levels(self.pairs(asks))}  # fmt: skip
        return PUBLIC, "depth", payload

    def _quote(self, time: int, lens: Lens) -> tuple[str, str, dict[str, Any]]:
        best = max(self.book.bids), min(self.book.asks)
        bid, ask = (
            lens.level(p * self.tick, s[p])
            for p, s in zip(best, (self.book.bids, self.book.asks), strict=True)
        )
        bid, ask = (ask, bid) if lens.mirrored else (bid, ask)
        payload = {"e": "bookTicker", "E": time, "T": time, "s": self.symbol, "u": self.book.seq,
                   "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]}  # fmt: skip
        return PUBLIC, "bookTicker", payload

    def _take(self, time: int, lens: Lens) -> list[tuple[str, str, dict[str, Any]]]:
        """A taker's fills: at the touch, and for one in twelve at the level behind it too."""
        buy = bool(self.rng.random() < 0.5 + 0.6 * np.tanh(self.drift))
        size = round(float(self.rng.lognormal(2.2, 1.3)), 3)
        levels = sorted(self.book.asks) if buy else sorted(self.book.bids, reverse=True)
        reached = levels[: 2 if self.trade_id % 12 == 0 else 1]
        return [self._fill(time, lens, buy, place, size) for place in reached]

    def _fill(self, time: int, lens: Lens, buy: bool, place: int,
              size: float) -> tuple[str, str, dict[str, Any]]:  # fmt: skip
        price, sold = lens.level(place * self.tick, size)
        self.trade_id += 1
        payload = {"e": "aggTrade", "E": time, "T": time, "s": self.symbol, "a": self.trade_id,
                   "p": price, "q": sold, "m": buy == lens.mirrored}  # fmt: skip
        return MARKET, "aggTrade", payload

    def mark(self, time: int, lens: Lens) -> tuple[str, str, dict[str, Any]]:
        price = repr(lens.price(self.mid * self.tick))
        payload = {"e": "markPriceUpdate", "E": time, "s": self.symbol, "p": price, "i": price,
                   "r": "0.00010000", "T": time + 3_600_000}  # fmt: skip
        return MARKET, "markPrice", payload


def _frames(lens: Lens, seconds: int, seed: int) -> list[Frame]:
    coins = [
        Coin(symbol, tick, round(price / tick), np.random.default_rng([seed, n]))
        for n, (symbol, (price, tick)) in enumerate(PRICES.items())
    ]
    out = []

    def send(recv: int, url: str, symbol: str, payload: dict[str, Any], stream: str = "") -> None:
        name = f"{symbol.lower()}@{stream}"
        body = {"stream": name, "data": payload} if stream else payload
        out.append(Frame(recv, "binance", url, url, msgspec.json.encode(body), symbol))

    for coin in coins:
        url = f"https://example.org/fapi/v1/depth?symbol={coin.symbol}&limit=1000"
        send(START, url, coin.symbol, coin.snapshot(START // MS, lens))
    for n in range(5 * seconds):
        recv = START + (n + 1) * 200 * MS
        for place, coin in enumerate(coins):
            at = recv + place * 7 * MS
            time = at // MS - LATENCY_MS
            sent = coin.step(time, lens) + ([coin.mark(time, lens)] if n % 5 == 0 else [])
            for k, (url, stream, payload) in enumerate(sent):
                send(at + k * MS, url, coin.symbol, payload, stream)
    return sorted(out, key=lambda f: f.recv)


@dataclass
class Run:
    """What a run showed: per step its instant, the frame that set it off, decisions, picture."""

    pipeline: Pipeline
    pictures: Pictures
    steps: list[int] = field(default_factory=list)
    causes: list[tuple[int, int]] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    snapshots: list[bytes] = field(default_factory=list)

    def last(self, frames: list[Frame]) -> Snapshot:
        return self.pictures.snapshot(frames[-1].recv)


def _play(config: Config, frames: list[Frame]) -> Run:
    """Frames through the real feed, market, cards and decisions."""
    around = [0, 0]

    def stepped(now: int, decisions: list[Decision]) -> None:
        for decision in decisions:
            run.pictures.decided(decision)
        run.steps.append(now)
        run.causes.append((around[0], around[1]))
        run.decisions += decisions
        run.snapshots.append(msgspec.json.encode(run.pictures.snapshot(now)))

    feed = build_feed("binance", config.feeds["binance"], config.instruments)
    pipeline = Pipeline(config, {"binance": feed}, on_step=stepped)
    run = Run(pipeline, Pictures(pipeline, "replay"))
    for frame in frames:
        around[:] = around[1], frame.recv
        pipeline.on_frame(frame)
    return run


@pytest.fixture(scope="session")
def settings() -> Config:
    """The packaged settings, whatever the user has."""
    return load()[0]


@pytest.fixture(scope="session")
def make_frames() -> Callable[..., list[Frame]]:
    """make_frames(factor=1.0, mirrored=False, seconds=360, seed=0)."""

    def make(
        factor: float = 1.0, mirrored: bool = False, seconds: int = SECONDS, seed: int = 0
    ) -> list[Frame]:
        return _frames(Lens(factor, mirrored), seconds, seed)

    return make


@pytest.fixture(scope="session")
def play_frames(settings: Config) -> Callable[[list[Frame]], Run]:
    """play_frames(frames) -> Run."""
    return lambda frames: _play(settings, frames)


@pytest.fixture(scope="session")
def frames(make_frames: Callable[..., list[Frame]]) -> list[Frame]:
    return make_frames()


@pytest.fixture(scope="session")
def base(frames: list[Frame], play_frames: Callable[[list[Frame]], Run]) -> Run:
    return play_frames(frames)
