# ruff: noqa: T201
"""The simulated BTC beside the recorded one: the touch, depth, trades, and how returns behave.

python tests/statistics/realism.py [--hours 1] [--days 20] [--seeds 4]

Book and trades: hours of the live market a seed against 345 s of 2024-08-08. Minutes: days of the
process a seed, and the generated past, against 30 days of candles from 2025-05-04.
"""

import argparse
import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from engine.sim.market import SCENARIOS, SimulatedMarket
from engine.sim.market.listings import LISTINGS
from engine.sim.market.past import CLOSE, make_past
from engine.sim.market.process import Process
from engine.sim.market.scenario import MARTINGALE

Array = NDArray[np.float64]
WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
RECORDED = WIRE / "binance_usdm" / "btcusdt_20240808.gz"
CANDLES = WIRE / "candles" / "BTCUSDT-1m.csv.gz"
BTC = LISTINGS["BTCUSDT"]
YEAR_S = 365.25 * 86400
LAGS = (1, 5, 15, 60)


def kurtosis(returns: Array) -> float:
    """Fourth moment over the squared variance; 3 of a normal."""
    return float(((returns - returns.mean()) ** 4).mean() / returns.var() ** 2)


def memory(sizes: Array, lag: int) -> float:
    """Autocorrelation at a lag."""
    return float(np.corrcoef(sizes[:-lag], sizes[lag:])[0, 1])


def summed(returns: Array, count: int) -> Array:
    """Returns of `count` steps each."""
    return returns[: len(returns) // count * count].reshape(-1, count).sum(axis=1)


class Stretch:
    """What is compared of a stretch of book and tape; times in ms, sizes in USD."""

    def __init__(self) -> None:
        self.spreads: Counter[int] = Counter()
        self.touch: list[float] = []
        self.depth: list[float] = []
        self.quotes: list[tuple[int, float]] = []
        self.trades: list[tuple[int, float]] = []  # bought positive, sold negative

    def figures(self) -> dict[str, float]:
        """Name -> figure."""
        at, mid = np.array(self.quotes).T
        seconds = (at[-1] - at[0]) / 1000
        returns, balance = self._grid(at, mid, 1000)[0], self._grid(at, mid, 10_000)
        usd = np.abs([size for _, size in self.trades])
        return {
            "spread of one tick, share": self.spreads[1] / self.spreads.total(),
            "bid at the touch, median, k USD": float(np.median(self.touch)) / 1e3,
            "bids within 10 bps, median, M USD": float(np.median(self.depth)) / 1e6,
            "quotes a second": len(self.quotes) / seconds,
            "aggregate trades a second": len(usd) / seconds,
            "trade, median, USD": float(np.median(usd)),
            "trade, mean / median": float(usd.mean() / np.median(usd)),
            "trade, 99 % / median": float(np.quantile(usd, 0.99) / np.median(usd)),
            "trade, 99.9 % / median": float(np.quantile(usd, 0.999) / np.median(usd)),
            "volatility a year of 1 s, %": float(100 * returns.std() * np.sqrt(YEAR_S)),
            "kurtosis, 1 s": kurtosis(returns),
            "seconds without a move, share": float((returns == 0).mean()),
            "|return| 1 s, lag 1": memory(np.abs(returns), 1),
            "|return| 1 s, lag 10": memory(np.abs(returns), 10),
            "taker balance with return, 10 s": float(np.corrcoef(*balance)[0, 1]),
        }

    def _grid(self, at: Array, mid: Array, width: int) -> tuple[Array, Array]:
        """Returns over `width` ms and the takers' balance in each."""
        edges = np.arange(at[0], at[-1], width)
        returns = np.diff(np.log(mid[np.searchsorted(at, edges, side="right") - 1]))
        when, size = np.array(self.trades).T
        bought = np.histogram(when, edges, weights=size)[0]
        total = np.histogram(when, edges, weights=np.abs(size))[0]
        return returns, bought / np.maximum(total, 1.0)


def simulated(seed: int, seconds: float) -> Stretch:
    """A stretch of the live market with the default scenario."""
    market, out = SimulatedMarket(("BTCUSDT",), seed=seed, kept=10_000), Stretch()
    book, worth = market.books[0], BTC.tick * BTC.step
    for count in range(round(seconds * 10)):
        played = market.tick().played[0]
        for touch in played.touches:
            out.spreads[touch.ask - touch.bid] += 1
            out.touch.append(touch.bid * touch.bid_size * worth)
            out.quotes.append((touch.ms, (touch.bid + touch.ask) / 2))
        for fill in played.prints:
            usd = fill.price * fill.size * worth
            out.trades.append((fill.ms, usd if fill.buy else -usd))
        if count % 20 == 0:
            floor = 0.999 * book.bid
            out.depth.append(sum(p * n * worth for p, n in book.bids.items() if p > floor))
    return out


def _recorded_events() -> Iterator[dict]:
    with gzip.open(RECORDED) as lines:
        for line in lines:
            event = json.loads(line.split(b" ", 1)[1])
            yield event.get("data", event)


def recorded() -> Stretch:
    """The recording; trades of one instant, side and price as one, as an aggTrade has them."""
    out, bids, count, before = Stretch(), {}, 0, None
    for event in _recorded_events():
        kind = event.get("e")
        if kind is None:
            bids = {**{float(p): float(q) for p, q in event["bids"]}, **bids}
        elif kind == "bookTicker":
            bid, ask = float(event["b"]), float(event["a"])
            out.spreads[round((ask - bid) / BTC.tick)] += 1
            out.touch.append(bid * float(event["B"]))
            out.quotes.append((event["T"], (bid + ask) / 2))
        elif kind == "trade":
            usd = float(event["p"]) * float(event["q"]) * (-1 if event["m"] else 1)
            same = (event["T"], event["m"], event["p"]) == before
            usd += out.trades.pop()[1] if same else 0.0
            out.trades.append((event["T"], usd))
            before = (event["T"], event["m"], event["p"])
        elif kind == "depthUpdate":
            bids.update((float(p), float(q)) for p, q in event["b"])
            count += 1
            if count % 200 == 0 and count > 400 and out.quotes:
                bids = {p: q for p, q in bids.items() if q}
                floor = out.quotes[-1][1] * 0.999
                out.depth.append(sum(p * q for p, q in bids.items() if p > floor))
    return out


# -- minutes -------------------------------------------------------------------------------


def minute_figures(returns: Array) -> dict[str, float]:
    """Name -> figure of one-minute log returns."""
    hours = np.log((returns[: len(returns) // 60 * 60].reshape(-1, 60) ** 2).sum(axis=1))
    return {
        "volatility a year, %": float(100 * returns.std() * np.sqrt(YEAR_S / 60)),
        "kurtosis, 1 min": kurtosis(returns),
        "kurtosis, 5 min": kurtosis(summed(returns, 5)),
        "kurtosis, 1 h": kurtosis(summed(returns, 60)),
        "99.9 % of |return| in deviations": float(
            np.quantile(np.abs(returns), 0.999) / returns.std()
        ),
        **{f"|return|, lag {lag} min": memory(np.abs(returns), lag) for lag in LAGS},
        "deviation of the log variance of an hour": float(hours.std()),
        "return, lag 1 min": memory(returns, 1),
    }


def live_minutes(seed: int, days: float, step: float = 5.0) -> Array:
    """One-minute log returns of the live part's process in steps of so many seconds."""
    process = Process([BTC], replace(SCENARIOS["default"], switches=MARTINGALE), seed, step)
    shocks = [process.returns.step(1.0).shock[0] for _ in range(round(days * 86400 / step))]
    return np.log1p(summed(np.array(shocks), round(60 / step)))


def past_minutes(seed: int) -> Array:
    """One-minute log returns of the eight days behind a seed's live part."""
    past = make_past([BTC], SCENARIOS["default"], seed, 1_768_395_600, 1.0)
    return np.diff(np.log(past.minutes[:, CLOSE, 0].astype(float)))


def candle_minutes() -> Array:
    """One-minute log returns of the recorded candles."""
    with gzip.open(CANDLES, "rt") as lines:
        return np.diff(np.log([float(row["close"]) for row in csv.DictReader(lines)]))


def average(rows: list[dict[str, float]]) -> dict[str, float]:
    """The median over seeds of each figure."""
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}


def show(title: str, columns: dict[str, dict[str, float]]) -> None:
    print(f"\n{title}".ljust(45), *(name.rjust(18) for name in columns))
    for name in next(iter(columns.values())):
        print(name.ljust(44), *(f"{column[name]:18.2f}" for column in columns.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="of book and tape a seed")
    parser.add_argument("--days", type=float, default=10.0, help="of minutes a seed")
    parser.add_argument("--seeds", type=int, default=4)
    wanted = parser.parse_args()
    seeds = range(1, wanted.seeds + 1)
    books = {"simulated": average([simulated(s, 3600 * wanted.hours).figures() for s in seeds])}
    minutes = {
        "simulated": average([minute_figures(live_minutes(s, wanted.days)) for s in seeds]),
        "simulated past": average([minute_figures(past_minutes(s)) for s in range(1, 13)]),
    }
    if WIRE.is_dir():
        books["recorded"] = recorded().figures()
        minutes["candles"] = minute_figures(candle_minutes())
    show("BTCUSDT, book and trades", books)
    show("BTCUSDT, minutes", minutes)


if __name__ == "__main__":
    main()
