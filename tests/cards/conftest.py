"""Random but consistent Views: spans are sums and means of the very bars that `bars` ends with."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TypeVar

import numpy as np
import pytest

from engine.market.view import BARS, HISTORY, WINDOWS, Array, Cells, Footprint, View, Window

Fields = Mapping[str, object]
Part = TypeVar("Part", Cells, Footprint)
LEVELS = 32
NOW = 1_750_000_000 * 10**9

_FIRST = ("open",)
_LAST = ("close", "mid", "taker_ratio")
_SUMS = (
    *("buy", "sell", "buys", "sells", "big_buy", "big_sell", "bunched_buy", "bunched_sell"),
    *("large_buy", "large_sell", "small_buy", "small_sell", "ofi"),
    *("bid_taken", "ask_taken", "bid_refill", "ask_refill"),
)


def _log_prices(rng: np.random.Generator, n: int, s: int, bar: int) -> dict[str, Array]:
    """A random walk at 60 % a year; one bar in thirty has no trade."""
    sigma = 0.6 * np.sqrt(bar / (365 * 86400))
    traded = rng.random((n, s)) > 1 / 30
    moves = np.where(traded, sigma * rng.standard_t(5, (n, s)), 0.0)
    close = np.log(rng.uniform(0.1, 90_000, s)) + np.cumsum(moves, axis=0)
    opened = np.vstack([close[:1], close[:-1]])
    reach = np.where(traded, sigma * np.abs(rng.normal(0, 0.5, (2, n, s))), 0.0)
    high = np.maximum(opened, close) + reach[0]
    low = np.minimum(opened, close) - reach[1]
    return {
        "open": opened,
        "high": high,
        "low": low,
        "close": close,
        "mid": close + rng.normal(0, 2e-5, (n, s)),
        "vwap": low + (high - low) * rng.beta(4, 4, (n, s)),
    }


def _flow(rng: np.random.Generator, prices: dict[str, Array], bar: int) -> dict[str, Array]:
    """Taker notional that leans with the bar's return, and its shares by trade size."""
    shape = prices["close"].shape
    volume = rng.lognormal(np.log(2e4 * bar), 0.9, shape) * (prices["high"] > prices["low"])
    move = prices["close"] - prices["open"]
    lean = np.tanh(move / move.std(axis=0) * 0.5 + rng.normal(0, 0.6, shape))
    out = {"buy": volume * (1 + lean) / 2, "sell": volume * (1 - lean) / 2}
    count = np.ceil(volume / 3e3)
    out |= {"buys": np.round(count * (1 + lean) / 2), "sells": np.round(count * (1 - lean) / 2)}
    for side in ("buy", "sell"):
        big = out[side] * rng.beta(1, 8, shape)
        out[f"big_{side}"] = big
        out[f"bunched_{side}"] = big * (1 + rng.poisson(0.7, shape))
        out[f"large_{side}"] = out[side] * rng.beta(8, 3, shape)
        out[f"small_{side}"] = out[side] * rng.beta(1, 20, shape)
    return out


def _depth(rng: np.random.Generator, shape: tuple[int, int]) -> dict[str, Array]:
    """Resting notional of both sides, cumulative over the three bands, and walls (none: NaN)."""
    out = {}
    for side in ("bid", "ask"):
        drift = np.cumsum(rng.normal(0, 0.03, shape), axis=0)
        parts = np.exp(drift) * rng.lognormal(np.log([[[4e5]], [[2e6]], [[3e6]]]), 0.3, (3, *shape))
        for band, depth in zip((10, 50, 100), np.cumsum(parts, axis=0), strict=True):
            out[f"{side}_{band}"] = depth
        there = rng.random(shape) < 0.7
        out[f"{side}_wall"] = np.where(there, rng.lognormal(14, 0.5, shape), 0.0)
        out[f"{side}_wall_distance"] = np.where(there, rng.uniform(2e-4, 8e-3, shape), np.nan)
        out[f"{side}_wall_life"] = np.where(there, rng.exponential(300, shape), np.nan)
        out[f"{side}_thin"] = rng.beta(2, 6, shape)
        out[f"{side}_taken"] = rng.lognormal(11, 1, shape)
        out[f"{side}_refill"] = out[f"{side}_taken"] * rng.beta(4, 3, shape)
    return out


def _touch(rng: np.random.Generator, shape: tuple[int, int], bar: int) -> dict[str, Array]:
    return {
        **{f"band_{bps}": np.full(shape, float(bps)) for bps in (10, 50, 100)},
        "tilt": rng.uniform(-0.5, 0.5, shape),
        "spread": rng.lognormal(0, 0.4, shape),
        "top": rng.lognormal(11, 0.3, shape),
        "ofi": rng.normal(0, 8e4 * np.sqrt(bar), shape),
        "taker_ratio": np.cumsum(rng.normal(0, 0.05, shape), axis=0),
        "covered": np.ones(shape),
        "book_covered": np.ones(shape),
    }


def _bars(rng: np.random.Generator, n: int, s: int, bar: int) -> dict[str, Array]:
    prices = _log_prices(rng, n, s, bar)
    return prices | _flow(rng, prices, bar) | _depth(rng, (n, s)) | _touch(rng, (n, s), bar)


def _whole(bars: dict[str, Array], length: int) -> dict[str, Array]:
    """Stretches of `length` bars each, by the rules Cells states."""
    cut = {name: x.reshape(HISTORY, length, -1) for name, x in bars.items()}
    volume = cut["buy"] + cut["sell"]
    total = volume.sum(axis=1)
    at_vwap = np.sum(volume * cut["vwap"], axis=1) / np.where(total > 0, total, 1.0)
    out = {"vwap": np.where(total > 0, at_vwap, cut["close"][:, -1])}
    out |= {"high": cut["high"].max(axis=1), "low": cut["low"].min(axis=1)}
    for name, x in cut.items():
        if name in out:
            continue
        if name in _FIRST or name in _LAST:
            out[name] = x[:, 0 if name in _FIRST else -1]
        elif name in _SUMS:
            out[name] = x.sum(axis=1)
        else:
            known = np.sum(~np.isnan(x), axis=1)
            out[name] = np.where(known > 0, np.nansum(x, axis=1) / np.maximum(known, 1), np.nan)
    return out


def _footprint(rng: np.random.Generator, spans: dict[str, Array]) -> dict[str, Array]:
    """The current window's flow spread over the levels between its low and its high."""
    s = spans["buy"].shape[-1]
    shares = rng.dirichlet(np.full(LEVELS, 0.4), (2, s)).transpose(0, 2, 1)
    shares[shares < 1e-3] = 0.0
    height = spans["high"][-1] - spans["low"][-1]
    return {
        "buy": shares[0] * spans["buy"][-1],
        "sell": shares[1] * spans["sell"][-1],
        "step": np.maximum(height / LEVELS, 1e-6),
    }


def _cells(lanes: list[dict[str, Array]], keep: int, known: int, changes: Fields) -> Cells:
    stacked = {f.name: np.stack([lane[f.name][-keep:] for lane in lanes]) for f in fields(Cells)}
    for x in stacked.values():
        x[:, : max(keep - known, 0)] = np.nan
    return _changed(Cells(**stacked), changes)


def _changed(part: Part, changes: Fields) -> Part:
    new = {
        name: np.broadcast_to(np.asarray(x, dtype=float), getattr(part, name).shape).copy()
        for name, x in changes.items()
    }
    return replace(part, **new)


def _view(
    seed: int = 0,
    symbols: int = 3,
    windows: tuple[Window, ...] = WINDOWS,
    known_bars: int = BARS,
    known_spans: int = HISTORY,
    bars: Fields | None = None,
    spans: Fields | None = None,
    footprint: Fields | None = None,
) -> View:
    """A window's lane depends on the seed and the window alone, not on which others are asked."""
    lanes = []
    for window in windows:
        rng = np.random.default_rng([seed, window.span])
        length = window.span // window.bar
        fine = _bars(rng, HISTORY * length, symbols, window.bar)
        whole = _whole(fine, length)
        lanes.append((fine, whole, _footprint(rng, whole)))
    prints = {name: np.stack([lane[2][name] for lane in lanes]) for name in lanes[0][2]}
    return View(
        now=NOW,
        symbols=tuple(f"S{n}USDT" for n in range(symbols)),
        windows=tuple(windows),
        bars=_cells([lane[0] for lane in lanes], BARS, known_bars, bars or {}),
        spans=_cells([lane[1] for lane in lanes], HISTORY, known_spans, spans or {}),
        footprint=_changed(Footprint(**prints), footprint or {}),
    )


def _edited(
    view: View,
    bars: Fields | None = None,
    spans: Fields | None = None,
    footprint: Fields | None = None,
) -> View:
    return replace(
        view,
        bars=_changed(view.bars, bars or {}),
        spans=_changed(view.spans, spans or {}),
        footprint=_changed(view.footprint, footprint or {}),
    )


_LOG_PRICES = ("open", "high", "low", "close", "mid", "vwap")


def _shifted(view: View, by: float) -> View:
    """All log prices moved by a constant: prices times exp(by), sizes over it."""

    def moved(cells: Cells) -> Cells:
        return replace(cells, **{name: getattr(cells, name) + by for name in _LOG_PRICES})

    return replace(view, bars=moved(view.bars), spans=moved(view.spans))


def _picked(view: View, keep: list[int]) -> View:
    """The view of some of its windows only."""

    def cut(part: Cells | Footprint) -> dict[str, Array]:
        return {f.name: getattr(part, f.name)[keep] for f in fields(part)}

    return replace(
        view,
        windows=tuple(view.windows[n] for n in keep),
        bars=Cells(**cut(view.bars)),
        spans=Cells(**cut(view.spans)),
        footprint=Footprint(**cut(view.footprint)),
    )


@pytest.fixture(scope="session")
def make_view() -> Callable[..., View]:
    """make_view(seed=0, symbols=3, windows=WINDOWS, known_bars=120, known_spans=61, bars={...},
    spans={...}, footprint={...}): the dicts replace fields by anything that broadcasts to them;
    bars and spans older than the known ones are NaN."""
    return _view


@pytest.fixture(scope="session")
def edit() -> Callable[..., View]:
    """edit(view, bars={...}, spans={...}, footprint={...}) -> View with those fields replaced."""
    return _edited


@pytest.fixture(scope="session")
def shift_prices() -> Callable[[View, float], View]:
    """shift_prices(view, by): every log price moved by a constant, notional kept."""
    return _shifted


@pytest.fixture(scope="session")
def pick_windows() -> Callable[[View, list[int]], View]:
    """pick_windows(view, [1, 3]): the same view as if only these windows had been asked for."""
    return _picked
