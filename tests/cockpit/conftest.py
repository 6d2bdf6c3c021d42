"""A frozen picture of 21 symbols, a source that serves it, and a way to read the screen.

Everything is computed from fixed numbers; nothing reads a clock or a random state.
"""

import importlib.util
import math
import os
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from textual.pilot import Pilot

from cockpit.app import CockpitApp
from engine.config import AlertsConfig, CockpitConfig
from engine.snapshot import (
    MODES,
    Alert,
    Bar,
    CategoryInfo,
    CategoryLine,
    Composite,
    Detail,
    FeedHealth,
    Notice,
    Price,
    Reading,
    Snapshot,
    StreamHealth,
    SymbolState,
)

GOLDENS = Path(__file__).parent.parent / "goldens" / "cockpit"
SIZES = ((80, 24), (120, 40), (200, 50))
NS = 1_000_000_000
TS = 1_770_000_000 * NS
WINDOWS = {
    "scalp": ("10s", "1m", "5m"),
    "day": ("1m", "5m", "1h"),
    "swing": ("1h", "4h", "1d"),
}
PRICES = {
    "BTC": (94231.5, 1), "ETH": (3312.47, 2), "SOL": (187.532, 3), "XRP": (2.1874, 4),
    "BNB": (642.18, 2), "ADA": (0.81234, 5), "AVAX": (34.517, 3), "SUI": (3.8912, 4),
    "NEAR": (4.9821, 4), "DOT": (6.7012, 4), "TRX": (0.26114, 5), "APT": (8.9113, 4),
    "LTC": (103.42, 2), "HYPE": (24.873, 3), "DOGE": (0.31872, 5), "PEPE": (0.0000178, 7),
    "LINK": (21.342, 3), "AAVE": (312.07, 2), "ENA": (0.91273, 5), "ARB": (0.72114, 5),
    "FIL": (5.1873, 4),
}  # fmt: skip
NAMES = (
    "Composite Alpha", "Order Flow", "Order Book", "Smart Money", "Liquidation", "Derivatives",
    "Funding", "Cross-Exchange", "Volatility", "Momentum", "Market Structure", "Volume Profile",
    "Microstructure", "Sentiment", "On-Chain", "DeFi", "Macro", "TradFi", "Options", "Cross-Asset",
    "Statistical", "Regime", "Session & Time", "Risk Management", "Meta Signals",
)  # fmt: skip
CATEGORIES = tuple(
    CategoryInfo(name.lower().replace(" & ", "_").replace("-", "_").replace(" ", "_"), name, "all")
    for name in NAMES
)
FED = {"order_flow": 13, "order_book": 10, "volatility": 8, "momentum": 8}
TOTALS = (11, 13, 10, 9, 10, 8, 6, 7, 8, 8, 7, 6, 7, 6, 5, 5, 5, 5, 6, 7, 6, 5, 4, 6, 5)


FACTORS = (12.9, 78.2, 37.7)


def wave(*numbers: float) -> float:
    """A fixed number in -1..1 that looks unplanned."""
    phase = sum(
        number * factor for number, factor in zip(numbers, (12.9, 78.2, 37.7), strict=False)
    )
    return math.sin(phase) * 0.7 + math.sin(phase * 2.3 + 1) * 0.3


def state_of(points: float) -> str:
    if abs(points) < 20:
        return "NEUTRAL"
    side = "BULLISH" if points > 0 else "BEARISH"
    return side if abs(points) < 40 else f"STRONG_{side}"


def composite(n: int, m: int, mode: str, phase: float = 0.0, all_fed: bool = False) -> Composite:
    """Symbol n in mode m; one line is conflicted, most categories have no card."""
    lines, bias = {}, 0.0
    for c, info in enumerate(CATEGORIES):
        if info.id not in FED and not all_fed:
            lines[info.id] = CategoryLine(None, "NEUTRAL", None, 0, TOTALS[c])
            continue
        score = wave(n + 1, m + phase, c)
        points = round(score * (18 if info.id in FED else 3), 2)
        bias += points
        state = "CONFLICTED" if (n + c) % 11 == 0 else state_of(score * 100)
        lines[info.id] = CategoryLine(round(score, 3), state, points, TOTALS[c] - n % 3, TOTALS[c])
    bias = round(bias + 1.5, 2)
    past = (bias - (40 - k) * wave(n, m, 2) + 9 * math.sin(n + m + k / 5) for k in range(40))
    history = (*(round(point, 1) for point in past), bias)
    sign = 0 if abs(bias) < 4 else (1 if bias > 0 else -1)
    windows = [sign, sign if n % 3 else 0, sign if n % 4 else -sign]
    side = "LONG" if bias > 0 else "SHORT"
    return Composite(
        ts=TS - 10 * NS, bias=bias, conviction=round(58 + 30 * wave(n, m)), confidence=None,
        base_rate=0.42, calibrated=False, decision="WAIT" if abs(bias) < 20 else f"LEAN_{side}",
        state="CONFLICTED" if n % 9 == 4 else state_of(bias),
        agreement=round(0.75 + wave(n) / 5, 2),
        agreement_by_window=dict(zip(WINDOWS[mode], windows, strict=True)),
        coverage=0.31 if not all_fed else 0.93, available=36, total=173, categories=lines,
        adjustments={"btc_stress": 1.5}, history=history,
        expected_move_bps=24.0 + 3 * n, cost_bps=10.0 + n / 4, peers=("ETHUSDT", "SOLUSDT"),
        peers_agree=0.5 if abs(bias) > 60 else None,
    )  # fmt: skip


def nothing(mode: str) -> Composite:
    """Before the first decision."""
    lines = {
        info.id: CategoryLine(None, "NEUTRAL", None, 0, TOTALS[c])
        for c, info in enumerate(CATEGORIES)
    }
    return Composite(
        ts=0, bias=None, conviction=0, confidence=None, base_rate=None, calibrated=False,
        decision="WAIT", state="NEUTRAL", agreement=None,
        agreement_by_window=dict.fromkeys(WINDOWS[mode]), coverage=0.0, available=0, total=173,
        categories=lines, adjustments={}, history=(),
    )  # fmt: skip


def symbol(n: int, phase: float = 0.0, all_fed: bool = False) -> SymbolState:
    """Row n; FIL (20) has no data at all, APT (11) is stale, ENA (18) has a price but no bias."""
    base, (last, decimals) = list(PRICES.items())[n]
    blank, stale = n == 20, n == 11
    touch = 10**-decimals
    price = Price(last, last - touch, last + touch, round(wave(n + 3) * 6, 2), 0.4, decimals)
    if blank:
        price = Price(None, None, None, None, None, decimals)
    elif stale:
        price = msgspec.structs.replace(price, age=94.0)
    modes = {
        mode: nothing(mode) if blank or n == 18 else composite(n, m, mode, phase, all_fed)
        for m, mode in enumerate(MODES)
    }
    return SymbolState(
        id=f"{base}USDT", group="layer1", price=price, modes=modes,
        funding_8h=None if blank else round(wave(n, 5) * 0.0003, 6),
        oi_change_1h=None if n % 5 == 3 or blank else round(wave(n, 7) * 2.4, 2),
        long_liquidated=None if blank else round(abs(wave(n, 8)) ** 3 * 4e6),
        short_liquidated=None if blank else round(abs(wave(n, 9)) ** 3 * 3e6),
        ages={"trades": price.age, "book": price.age},
    )  # fmt: skip


def feed(state: str = "ready", note: str = "") -> FeedHealth:
    ready = 0 if state in ("blocked", "connecting") else 21
    kinds = {"depth": "synced", "quote": "fresh", "trade": "fresh", "mark": "fresh"}
    streams = {
        kind: StreamHealth(good if ready else state, 0.2 if ready else None, 1000 * ready,
                           ready, 21, () if ready else ("BTCUSDT", "ETHUSDT"))
        for kind, good in kinds.items()
    }  # fmt: skip
    return FeedHealth(
        state=state, note=note, streams=streams, frames=80_000 if ready else 0,
        events_per_s=1240.0 if ready else 0.0, dropped=3, dropped_by_reason={"malformed": 3},
        gaps=1, resyncs=1, reconnects=0, blind_s=0.0, offset_ms=12.0,
    )  # fmt: skip


def full(phase: float = 0.0, number: int = 7, all_fed: bool = False) -> Snapshot:
    """Everything running, as a demo; other phases are other biases."""
    return Snapshot(
        number=number, step=412, mode_of_data="demo", ts=TS, step_ts=TS - 4 * NS,
        symbols=tuple(symbol(n, phase, all_fed) for n in range(21)), categories=CATEGORIES,
        feeds={"binance": feed()}, speed=1.0, progress=None, finished=False,
        notices=(Notice(TS - 300 * NS, "info", "history warmed: 8 days of bars for 21 symbols"),
                 Notice(TS - 200 * NS, "warning", "binance: book of SOLUSDT resynced [gap 3]")),
    )  # fmt: skip


CARDS = (
    "Buy Volume", "Sell Volume", "Volume Delta", "Volume Ratio", "Order Flow Imbalance", "VPIN",
    "CVD", "CVD Divergence", "Large Trade Clustering", "Trade Size Skew", "Stacked Imbalance",
    "Absorption", "Aggressor Runs", "Spread State", "Depth Imbalance Near", "Depth Imbalance Wide",
    "Wall Proximity", "Wall Persistence", "Liquidity Vacuum", "Book Resilience", "Micro-price Tilt",
    "Global Combined Book", "Depth Trend", "ATR State", "Vol Regime", "Vol of Vol", "Vol Trend",
    "Range Expansion", "Squeeze", "Gap State", "Realised Skew", "RSI State", "Price Momentum",
    "MTF Alignment", "MA Stack", "Trend Strength", "VWAP Distance", "Breakout Momentum",
    "Momentum Acceleration",
)  # fmt: skip
FROM_CARD = {"order_flow": 0, "order_book": 13, "volatility": 23, "momentum": 31}
RAW_SIZES = (1.0, 40.0, 0.002, 13e6, 5200.0)


def readings(state: SymbolState, mode: str) -> tuple[Reading, ...]:
    """39 cards whose contributions have the categories' points as sums, up to one factor."""
    found = state.modes[mode]
    out = []
    for category, first in FROM_CARD.items():
        line = found.categories[category]
        total = TOTALS[[c.id for c in CATEGORIES].index(category)]
        shares = [1.3 + wave(first, k, 4) for k in range(line.available)]
        for k in range(total):
            there = k < line.available
            part = (line.contribution or 0.0) / 125 * shares[k] / sum(shares) if there else 0.0
            out.append(reading(first + k, category, mode, part if there else None))
    return tuple(out)


def reading(n: int, category: str, mode: str, contribution: float | None) -> Reading:
    """Card n; None: not available, for one of three reasons."""
    there, windows = contribution is not None, WINDOWS[mode]
    size = RAW_SIZES[n % len(RAW_SIZES)]
    raws = [wave(n, w) * size if there and (n + w) % 7 else None for w in range(3)]
    scores = [None if raw is None else math.tanh(raw / size) for raw in raws]
    known = [score for score in scores if score is not None]
    reasons = ("no feed brings venues", "waiting for trades", "too little history")
    score = round(sum(known) / len(known), 3) if there else None
    return Reading(
        card=f"card_{n}", name=CARDS[n], category=category, available=there,
        raws=dict(zip(windows, raws, strict=True)), scores=dict(zip(windows, scores, strict=True)),
        score=score, strength=abs(score or 0.0), confidence=0.6 + 0.3 * wave(n) if there else 0.0,
        agreement=1.0, state=state_of(100 * (score or 0.0)) if there else "NOT_AVAILABLE",
        conflicted=False, age=0.5, reliable=n != 6, weight=round(0.1 + 0.05 * wave(n, 3), 3),
        contribution=contribution or 0.0, reason="" if there else reasons[n % 3],
    )  # fmt: skip


def bars(n: int, count: int = 240) -> tuple[Bar, ...]:
    """Minutes up to TS, ending at the symbol's price; nine are missing."""
    last = list(PRICES.values())[n][0]
    path = [
        last * (1 + 0.004 * (wave(n, k / 900) - wave(n, (count - 1) / 900))) for k in range(count)
    ]
    out = []
    for k, close in enumerate(path):
        before, spread = path[max(0, k - 1)], last * 0.0003 * (1 + abs(wave(k)))
        if not 60 <= k < 69:
            out.append(Bar(TS - (count - k) * 60 * NS, before, max(before, close) + spread,
                           min(before, close) - spread, close, 1e5, 9e4))  # fmt: skip
    return tuple(out)


def _tabs() -> ModuleType:
    """What the tabs of a symbol are shown, from the file beside this one."""
    spec = importlib.util.spec_from_file_location(
        "tabs", Path(__file__).with_name("tab_details.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABS = _tabs()


ALERTS = (
    Alert(5, TS - 12 * NS, "state", "info", "BNBUSDT", "day", None,
          "day state conflicted, was bearish"),
    Alert(4, TS - 70 * NS, "bias", "warning", "HYPEUSDT", "day", None, "day bias above +40: +52.3"),
    Alert(3, TS - 250 * NS, "feed_down", "info", None, None, "binance",
          "binance ready again after 45 s"),
    Alert(2, TS - 300 * NS, "feed_down", "error", None, None, "binance",
          "binance down for 30 s: [connection] refused"),
    Alert(1, TS - 900 * NS, "price", "warning", "BTCUSDT", None, None,
          "price above 94,000: 94,012.5"),
)  # fmt: skip


def loading(state: str = "connecting", note: str = "", mode: str = "live") -> Snapshot:
    """Before the first step: no price, no bias."""
    symbols = tuple(
        msgspec.structs.replace(
            symbol(20), id=f"{base}USDT", price=Price(None, None, None, None, None, decimals)
        )
        for base, (_, decimals) in PRICES.items()
    )
    return msgspec.structs.replace(
        full(), number=0, step=0, step_ts=0, mode_of_data=mode, symbols=symbols, speed=None,
        feeds={"binance": feed(state, note)}, notices=(),
    )  # fmt: skip


class Fixed:
    """A SnapshotSource that serves what it is given and counts how often it was asked."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.asked = 0
        self.details: list[tuple[str, frozenset[str]]] = []

    def latest(self) -> Snapshot:
        self.asked += 1
        return self.snapshot

    def at(self, ns: int) -> Snapshot | None:
        return self.snapshot if ns >= self.snapshot.ts else None

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        self.details.append((symbol, parts))
        ids = [s.id for s in self.snapshot.symbols]
        state = self.snapshot.symbols[ids.index(symbol)]
        started = self.snapshot.step > 0 and state.price.last is not None
        made = {mode: readings(state, mode) for mode in MODES} if started else {}
        found = Detail(symbol, made, (), (), (), (), ())
        if not started:
            return found
        n = ids.index(symbol)
        shown = TABS.Tabs(n, list(PRICES.values())[n][0], wave, TS).made(parts)
        return msgspec.structs.replace(found, **{"bars": bars(n), **shown})


def cockpit(snapshot: Snapshot, log: Path | None = None, alerts: AlertsConfig | None = None,
            **config: object) -> CockpitApp:  # fmt: skip
    """The app on a fixed source, in UTC."""
    settings = msgspec.convert({"timezone": "UTC", "paint_hz": 4, **config}, CockpitConfig)
    return CockpitApp(Fixed(snapshot), settings, log=log, alerts=alerts)


def screen_text(app: CockpitApp) -> str:
    """The screen as plain lines, as the compositor has it."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


def screen_styles(app: CockpitApp, rows: range) -> str:
    """Each run of one style on some rows: column, text, style."""
    lines = []
    strips = app.screen._compositor.render_strips()
    for y in rows:
        x = 0
        for segment in strips[y].simplify():
            lines.append(f"{y:>2} {x:>3} {segment.text!r} {segment.style}")
            x += segment.cell_length
    return "\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """One terminal for all tests, whatever the developer's is."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLORTERM", raising=False)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Textual takes the process for idle after 20 ms of little work; 4 ms of none tell it too."""
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", 0.004)
    monkeypatch.setattr("textual._wait.SLEEP_IDLE", 0.0004)


@pytest.fixture
def lab() -> ModuleType:
    """This module: test files cannot import a conftest by name."""
    return sys.modules[__name__]


def picture(name: str) -> Snapshot:
    """A snapshot by name: the states a cockpit can be in."""
    made = full(all_fed=name == "fed")
    change = msgspec.structs.replace
    if name == "loading":
        return loading()
    if name == "blocked":
        return loading("blocked", "HTTP 451 from fapi.binance.com")
    if name == "finished":
        return change(made, mode_of_data="replay", speed=10.0, progress=1.0, finished=True)
    if name == "notice":
        text = "binance: 451 [blocked] in your country; replay and doctor still work"
        return change(made, notices=(Notice(TS - 5 * NS, "warning", text),))
    if name == "alerts":
        return change(made, alerts=ALERTS)
    if name == "limited":
        ill = change(feed("limited", "429, retry after 12 s"), gaps=3, blind_s=41.0, dropped=15,
                     dropped_by_reason={"malformed": 3, "unknown stream": 12})  # fmt: skip
        off = change(feed(), state="off", streams={}, frames=0, events_per_s=0.0, dropped=0)
        return change(made, feeds={"binance": ill, "bybit": off})
    if name == "partial":
        streams = dict(feed().streams)
        gone = tuple(f"{base}USDT" for base in list(PRICES)[2:])
        streams["depth"] = StreamHealth("connecting", 0.4, 512, 2, 21, gone)
        streams["mark"] = StreamHealth("stale", 64.0, 900, 0, 21, gone)
        return change(made, feeds={"binance": change(feed(), state="partial", streams=streams)})
    if name == "stale":
        rows = (change(s, price=change(s.price, age=s.price.age and 400.0)) for s in made.symbols)
        return change(made, symbols=tuple(rows), feeds={"binance": feed("partial", "no answer")})
    return made


def compare(name: str, shown: str) -> None:
    """With a file of tests/goldens/cockpit; BLACKPERP_UPDATE_GOLDENS=1 writes it."""
    path = GOLDENS / f"{name}.txt"
    if os.environ.get("BLACKPERP_UPDATE_GOLDENS") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shown, encoding="utf-8", newline="\n")
    assert shown == path.read_text(encoding="utf-8")


async def settle(pilot: Pilot[None], *keys: str) -> None:
    """Press keys and let the screen come to rest."""
    await pilot.pause()
    for key in keys:
        await pilot.press(key)
        await pilot.pause()
    pilot.app.paint()  # type: ignore[attr-defined]
    await pilot.pause()
    await pilot.pause()
