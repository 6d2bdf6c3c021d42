"""Random but consistent Views: spans are sums and means of the very bars that `bars` ends with."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TypeVar

import numpy as np
import pytest

from engine.market.unknown import BUCKET, BUCKETS, COURSE
from engine.market.view import (
    BARS,
    HISTORY,
    WINDOWS,
    Array,
    Calendar,
    Cells,
    FirstPass,
    Footprint,
    Liquidations,
    News,
    Venues,
    View,
    Window,
)

Fields = Mapping[str, object]
Part = TypeVar("Part", Cells, Footprint, Venues, Liquidations, Calendar, News, FirstPass)
LEVELS = 32
NOW = 1_750_000_000 * 10**9

_FIRST = ("open",)
_SERIES = (
    *("taker_ratio", "top_accounts", "top_positions", "global_accounts"),
    *("oi", "funding", "mark", "index"),
)
_LAST = ("close", "mid", *_SERIES)
VENUES = ("binance", "bybit", "okx", "hyperliquid", "coinbase")
MODES = ("scalp", "day", "swing")
OUTSIDE = (
    *("exchange_inflow", "exchange_outflow", "exchange_reserves", "active_addresses", "mvrv"),
    *("whale_transfers", "tvl", "chain_stablecoins", "stablecoin_supply", "dex_volume"),
    *("equity_index", "equity_index_daily", "dollar_index", "vix", "gold", "yield_10y"),
    *("fear_greed", "dvol", "skew_25d", "put_call_oi", "term_slope"),
)
MARKET_WIDE = frozenset(OUTSIDE[8:17])
_SUMS = (
    *("buy", "sell", "buys", "sells", "big_buy", "big_sell", "bunched_buy", "bunched_sell"),
    *("large_buy", "large_sell", "small_buy", "small_sell", "ofi"),
    *("bid_taken", "ask_taken", "bid_refill", "ask_refill"),
    *("bid_added", "ask_added", "bid_cancelled", "ask_cancelled", "bid_hidden", "ask_hidden"),
    *("huge_buy", "huge_sell", "up_runs", "down_runs", "sweep_buy", "sweep_sell"),
    *("paid_buy", "paid_sell", "long_liq", "short_liq", "long_swept", "short_swept"),
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
        out[f"huge_{side}"] = big * rng.beta(4, 4, shape)
        out[f"sweep_{side}"] = out[side] * rng.beta(1, 12, shape)
        out[f"paid_{side}"] = out[side] * rng.lognormal(np.log(5e-5), 0.4, shape)
    for side, taken in (("up", "buy"), ("down", "sell")):
        out[f"{side}_runs"] = out[f"{taken}s"] * rng.uniform(0.2, 1.5, shape)
    for side in ("long", "short"):
        rare = rng.random(shape) < 0.2
        out[f"{side}_liq"] = np.where(rare, volume * rng.beta(1, 30, shape), 0.0)
        out[f"{side}_swept"] = np.where(rare, volume * rng.beta(1, 10, shape), 0.0)
    return out


def _published(rng: np.random.Generator, prices: dict[str, Array], bar: int) -> dict[str, Array]:
    """Series that venues publish: ratios that wander about a level, open interest, funding."""
    shape = prices["close"].shape
    names = ("taker_ratio", "top_accounts", "top_positions", "global_accounts")
    out = {
        name: rng.normal(0, 0.2, shape[1]) + np.cumsum(rng.normal(0, 0.01, shape), axis=0)
        for name in names
    }
    step = 2e-3 * np.sqrt(bar / 60)
    out["oi"] = rng.lognormal(12, 1, shape[1]) * np.exp(
        np.cumsum(rng.normal(0, step, shape), axis=0)
    )
    out["funding"] = np.cumsum(rng.normal(0, 3e-6, shape), axis=0) + rng.normal(0, 1e-4, shape[1])
    out["index"] = prices["close"] + rng.normal(0, 2e-4, shape)
    out["mark"] = out["index"] + rng.normal(0, 2e-4, shape[1]) + rng.normal(0, 1e-4, shape)
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
        out[f"{side}_added"] = rng.lognormal(13, 0.8, shape)
        out[f"{side}_cancelled"] = out[f"{side}_added"] * rng.lognormal(-0.2, 0.3, shape)
        out[f"{side}_hidden"] = out[f"{side}_taken"] * rng.beta(1, 6, shape)
    return out


def _touch(rng: np.random.Generator, shape: tuple[int, int], bar: int) -> dict[str, Array]:
    return {
        **{f"band_{bps}": np.full(shape, float(bps)) for bps in (10, 50, 100)},
        "tilt": rng.uniform(-0.5, 0.5, shape),
        "spread": rng.lognormal(0, 0.4, shape),
        "top": rng.lognormal(11, 0.3, shape),
        "ofi": rng.normal(0, 8e4 * np.sqrt(bar), shape),
        "covered": np.ones(shape),
        "book_covered": np.ones(shape),
    }


def _bars(rng: np.random.Generator, n: int, s: int, bar: int) -> dict[str, Array]:
    prices = _log_prices(rng, n, s, bar)
    own = prices | _flow(rng, prices, bar) | _published(rng, prices, bar)
    return own | _depth(rng, (n, s)) | _touch(rng, (n, s), bar)


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
    buy, sell = shares[0] * spans["buy"][-1], shares[1] * spans["sell"][-1]
    return {
        "buy": buy,
        "sell": sell,
        "step": np.maximum(height / LEVELS, 1e-6),
        "floor": spans["low"][-1],
        "late": (buy + sell) * rng.beta(3, 3, buy.shape),
    }


def _venues(rng: np.random.Generator, spans: Cells) -> Venues:
    """Five venues around the reference, the first; what is no perpetual has no funding."""
    v = len(VENUES)
    share = rng.dirichlet(np.ones(v), spans.buy.shape[2:]).T[:, None]
    buy, sell = (x[:, -1] * share / share[0] for x in (spans.buy, spans.sell))
    long_liq, short_liq = (x[:, -1] * share / share[0] for x in (spans.long_liq, spans.short_liq))
    spot = np.array([name == "coinbase" for name in VENUES])
    close = spans.close[0, -1] + rng.normal(0, 2e-4, (v, spans.close.shape[2]))
    steps = rng.normal(0, 5e-5, (v, COURSE, close.shape[1]))
    course = close[:, None] - np.cumsum(steps[:, ::-1], axis=1)[:, ::-1] + steps[:, -1:]
    oi = np.exp(spans.close[0, -1]) * spans.oi[0, -1] * share[:, 0] / share[0, 0]
    oi[spot] = np.nan
    change = rng.normal(0, 0.01, buy.shape)
    return Venues(
        names=VENUES,
        reference=0,
        dex=np.array([name == "hyperliquid" for name in VENUES]),
        spot=spot,
        buy=buy,
        sell=sell,
        long_liq=np.where(spot[:, None, None], np.nan, long_liq),
        short_liq=np.where(spot[:, None, None], np.nan, short_liq),
        close=close,
        course=course,
        oi=oi,
        oi_before=oi[:, None] * np.exp(change),
        funding=np.where(spot[:, None], np.nan, rng.normal(0, 1e-4, close.shape)),
        bid_50=rng.lognormal(14, 0.4, close.shape),
        ask_50=rng.lognormal(14, 0.4, close.shape),
    )


def _liquidations(rng: np.random.Generator, symbols: int) -> Liquidations:
    shape = (BUCKETS, symbols)
    sizes = rng.lognormal(13, 1.0, (2, *shape)) * (rng.random((2, *shape)) < 0.4)
    return Liquidations(step=BUCKET, above=sizes[0], below=sizes[1])


def _calendar(rng: np.random.Generator, spans: Cells) -> Calendar:
    symbols = spans.close.shape[2]
    close = spans.close[0, -1]
    reach = np.abs(rng.normal(0, 0.03, (4, symbols)))
    now = {name: getattr(spans, name)[0, -1] for name in ("top_accounts", "top_positions")}
    return Calendar(
        hour_mean=rng.normal(0, 1e-4, symbols),
        hour_error=rng.lognormal(np.log(1e-4), 0.3, symbols),
        session_mean=rng.normal(0, 1e-4, symbols),
        session_error=rng.lognormal(np.log(1e-4), 0.3, symbols),
        hour_volume=rng.lognormal(10, 0.5, symbols),
        day_high=close + reach[0],
        day_low=close - reach[1],
        week_high=close + reach[0] + reach[2],
        week_low=close - reach[1] - reach[3],
        top_accounts_open=now["top_accounts"] + rng.normal(0, 0.05, symbols),
        top_positions_open=now["top_positions"] + rng.normal(0, 0.05, symbols),
        to_funding=np.full(symbols, float(rng.uniform(0, 28_800))),
        funding_interval=np.full(symbols, 28_800.0),
        to_release=float(rng.uniform(600, 7200)),
        since_release=float(rng.uniform(600, 7200)),
    )


def _outside(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, Array]:
    """Every named series as a slow walk; market-wide ones are the same for all symbols."""
    out = {}
    for name in OUTSIDE:
        w, h, s = shape
        level = rng.lognormal(3, 1, (1, 1, 1 if name in MARKET_WIDE else s))
        walk = np.cumsum(rng.normal(0, 0.02, (w, h, level.shape[2])), axis=1)
        values = level * np.exp(walk)
        if name == "fear_greed":
            values = 100 / (1 + np.exp(-30 * walk))
        elif name in ("skew_25d", "term_slope"):
            values = 100 * walk
        out[name] = np.broadcast_to(values, shape)
    return out


def _first(rng: np.random.Generator, windows: int, symbols: int) -> FirstPass:
    """Forty cards of eight categories, every mode; symbols lean one way or the other."""
    categories = (
        *("order_flow", "smart_money", "derivatives", "momentum"),
        *("funding", "liquidation", "tradfi", "order_book"),
    )
    cards = [f"{category}_{n}" for category in categories for n in range(5)]
    cards[30:34] = ["equity_index", "dollar_index", "volatility_index", "gold"]
    shape = (len(MODES), len(cards), windows, symbols)
    lean = rng.normal(0, 0.8, (1, 1, 1, symbols))
    by_window = np.tanh(lean + rng.normal(0, 0.8, shape))
    return FirstPass(
        modes=MODES,
        cards=tuple(cards),
        categories=tuple(category for category in categories for _ in range(5)),
        by_window=by_window,
        score=by_window.mean(axis=2),
        confidence=rng.beta(4, 2, (shape[0], shape[1], symbols)),
        weight=np.full((shape[0], shape[1], symbols), 0.2),
        category_weight=np.ones((shape[0], shape[1], symbols)),
        breadth=rng.uniform(-1, 1, (shape[0], symbols)),
        breadth_before=rng.uniform(-1, 1, (shape[0], windows, symbols)),
    )


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
    **parts: Fields,
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
    known = _cells([lane[1] for lane in lanes], HISTORY, known_spans, {})
    rng = np.random.default_rng([seed, 1])
    names = ["BTCUSDT", *(f"S{n}USDT" for n in range(1, symbols))]
    view = View(
        now=NOW,
        symbols=tuple(names[:symbols]),
        windows=tuple(windows),
        bars=_cells([lane[0] for lane in lanes], BARS, known_bars, bars or {}),
        spans=_changed(known, spans or {}),
        footprint=_changed(Footprint(**prints), footprint or {}),
        venues=_venues(rng, known),
        liquidations=_liquidations(rng, symbols),
        calendar=_calendar(rng, known),
        news=News(
            tone=rng.uniform(-1, 1, symbols),
            mentions=rng.poisson(3.0, (len(windows), symbols)).astype(float),
            usual=rng.uniform(1, 4, (len(windows), symbols)),
        ),
        outside=_outside(rng, known.close.shape),
        first=_first(rng, len(windows), symbols),
    )
    return _edited(view, **parts)


def _edited(view: View, **parts: Fields) -> View:
    new: dict[str, object] = {}
    for name, changes in parts.items():
        if name == "outside":
            shape = view.spans.close.shape
            new[name] = {
                **view.outside,
                **{n: np.broadcast_to(np.asarray(x, float), shape) for n, x in changes.items()},
            }
        else:
            new[name] = _changed(getattr(view, name), changes)
    return replace(view, **new)


_LOG_PRICES = ("open", "high", "low", "close", "mid", "vwap", "mark", "index")
_LOG_LEVELS = ("day_high", "day_low", "week_high", "week_low")


def _shifted(view: View, by: float) -> View:
    """All log prices moved by a constant: prices times exp(by), sizes over it."""

    def moved(cells: Cells) -> Cells:
        names = {name: getattr(cells, name) + by for name in _LOG_PRICES}
        return replace(cells, **names, oi=cells.oi * np.exp(-by))

    levels = {name: getattr(view.calendar, name) + by for name in _LOG_LEVELS}
    venues = view.venues
    return replace(
        view,
        bars=moved(view.bars),
        spans=moved(view.spans),
        footprint=replace(view.footprint, floor=view.footprint.floor + by),
        venues=replace(venues, close=venues.close + by, course=venues.course + by),
        calendar=replace(view.calendar, **levels),
    )


def _picked(view: View, keep: list[int]) -> View:
    """The view of some of its windows only."""

    def cut(part: Cells | Footprint) -> dict[str, Array]:
        return {f.name: getattr(part, f.name)[keep] for f in fields(part)}

    venues, first = view.venues, view.first
    by_window = ("buy", "sell", "long_liq", "short_liq", "oi_before")
    return replace(
        view,
        windows=tuple(view.windows[n] for n in keep),
        bars=Cells(**cut(view.bars)),
        spans=Cells(**cut(view.spans)),
        footprint=Footprint(**cut(view.footprint)),
        venues=replace(venues, **{n: getattr(venues, n)[:, keep] for n in by_window}),
        news=replace(view.news, mentions=view.news.mentions[keep], usual=view.news.usual[keep]),
        outside={name: x[keep] for name, x in view.outside.items()},
        first=first
        and replace(
            first,
            by_window=first.by_window[:, :, keep],
            breadth_before=first.breadth_before[:, keep],
        ),
    )


@pytest.fixture(scope="session")
def make_view() -> Callable[..., View]:
    """make_view(seed=0, symbols=3, windows=WINDOWS, known_bars=120, known_spans=61, bars={...},
    spans={...}, footprint={...}, venues={...}, liquidations={...}, calendar={...}, news={...},
    outside={...}, first={...}): the dicts replace fields by anything that broadcasts to them;
    bars and spans older than the known ones are NaN. The first symbol is BTCUSDT."""
    return _view


@pytest.fixture(scope="session")
def edit() -> Callable[..., View]:
    """edit(view, bars={...}, spans={...}, venues={...}, ...) -> View with those fields replaced."""
    return _edited


@pytest.fixture(scope="session")
def shift_prices() -> Callable[[View, float], View]:
    """shift_prices(view, by): every log price moved by a constant, notional kept."""
    return _shifted


@pytest.fixture(scope="session")
def pick_windows() -> Callable[[View, list[int]], View]:
    """pick_windows(view, [1, 3]): the same view as if only these windows had been asked for."""
    return _picked
