"""Series and headlines from outside the market, by name and symbol, as of any instant."""

from collections import deque
from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np

from engine.clock import NS
from engine.events import Headline, Metric, OptionSummary
from engine.market.series import Published
from engine.market.view import Array, News, Window

DAY_S = 86_400.0
# Name -> (the need it serves, seconds a value stands). Daily values are known a day or two late.
SERIES: dict[str, tuple[str, float]] = {
    **dict.fromkeys(
        (
            *("exchange_inflow", "exchange_outflow", "exchange_reserves"),
            *("active_addresses", "mvrv", "whale_transfers"),
        ),
        ("onchain", 4 * DAY_S),
    ),
    **dict.fromkeys(
        ("tvl", "chain_stablecoins", "stablecoin_supply", "dex_volume"), ("defi", 4 * DAY_S)
    ),
    **dict.fromkeys(
        ("equity_index_daily", "dollar_index", "vix", "yield_10y"), ("quotes", 6 * DAY_S)
    ),
    **dict.fromkeys(("equity_index", "gold"), ("quotes", DAY_S)),
    "fear_greed": ("mood", 3 * DAY_S),
    **dict.fromkeys(("dvol", "skew_25d", "put_call_oi", "term_slope"), ("options", 3600.0)),
}
# The same for every symbol.
MARKET_WIDE = frozenset(
    {
        *("stablecoin_supply", "dex_volume", "fear_greed", "equity_index_daily", "dollar_index"),
        *("vix", "yield_10y", "equity_index", "gold"),
    }
)
OPTION_FIELDS = ("dvol", "skew_25d", "put_call_oi", "term_slope")
HALF_LIFE_S = 7200.0
NEWS_KEPT_NS = 3 * 86_400 * NS
# One headline alone does not make the tone as loud as it says.
SOLE = 0.5


class Outside:
    """Metrics, option surfaces and headlines; `heard` (need -> (symbols,) ns) says when last."""

    def __init__(self, places: Mapping[str, int]) -> None:
        self._places = places
        # Those of the whole market, and those of each symbol; made when the first value comes.
        self._series: dict[bool, Published] = {}
        self._known: set[str] = set()
        self._news: deque[tuple[int, int, float]] = deque()
        self._cached: tuple[tuple[int, tuple[Window, ...]], dict[str, Array]] = ((0, ()), {})
        self.heard: dict[str, np.ndarray] = {}

    def metric(self, event: Metric, now: int) -> bool:
        """Take in one value; False for a name or symbol nobody reads."""
        return self._put(event.name, event.symbol, event, event.value, now)

    def option(self, event: OptionSummary, now: int) -> bool:
        """Take in what is known of one currency's option surface."""
        values = {name: getattr(event, name) for name in OPTION_FIELDS}
        taken = [
            self._put(name, event.symbol, event, value, now)
            for name, value in values.items()
            if value is not None
        ]
        return any(taken)

    def headline(self, event: Headline, now: int) -> None:
        """Take in a headline; it counts for the symbols it names."""
        self._heard("news", slice(None), now)
        at = event.ts if event.history else now
        for symbol in event.symbols:
            place = self._places.get(symbol)
            if place is not None and isfinite(event.polarity):
                self._news.append((min(at, now), place, event.polarity))

    def _put(self, name: str, symbol: str | None, event: Metric | OptionSummary, value: float,
             now: int) -> bool:  # fmt: skip
        known, wide = SERIES.get(name), name in MARKET_WIDE
        place = self._places.get(symbol or "", 0 if wide else None)
        if known is None or place is None or wide != (symbol is None) or not isfinite(value):
            return False
        series = self._series.get(wide)
        if series is None:
            series = self._series[wide] = self._made(wide)
            series.advance(now)
        self._known.add(name)
        if event.history:
            series.put_past(name, place, event.ts, value)
        else:
            series.put(name, place, now, value)
        self._heard(known[0], slice(None) if symbol is None else place, now)
        return True

    def _made(self, wide: bool) -> Published:
        names = [name for name in SERIES if (name in MARKET_WIDE) == wide]
        stands = {name: SERIES[name][1] for name in names}
        return Published(stands, 1 if wide else len(self._places))

    def _heard(self, need: str, places: slice | int, now: int) -> None:
        at = self.heard.setdefault(need, np.zeros(len(self._places), dtype=np.int64))
        at[places] = now

    def advance(self, end: int) -> None:
        """Settle what came before `end` (ns)."""
        for series in self._series.values():
            series.advance(end)
        while self._news and self._news[0][0] < end - NEWS_KEPT_NS:
            self._news.popleft()

    def view(self, now: int, windows: tuple[Window, ...]) -> dict[str, Array]:
        """Name -> (W, H, S) at the end of each window; read anew once a minute."""
        key = (now // (60 * NS), windows)
        if self._cached[0] != key:
            found = {
                name: np.broadcast_to(x, (*x.shape[:2], len(self._places)))
                for series in self._series.values()
                for name, x in zip(series.names, series.spans(now, windows), strict=True)
                if name in self._known
            }
            self._cached = (key, found)
        return self._cached[1]

    def news(self, now: int, windows: Sequence[Window]) -> News:
        """Tone and mentions as of `now`; unknown while no headline has ever come."""
        count = len(self._places)
        if "news" not in self.heard:
            unknown = np.full((len(windows), count), np.nan)
            return News(np.full(count, np.nan), unknown, unknown)
        past = [item for item in self._news if item[0] <= now]
        age = np.array([(now - at) / NS for at, _, _ in past])
        place = np.array([p for _, p, _ in past], dtype=np.int64)
        polarity = np.array([p for _, _, p in past])
        fading = 0.5 ** (age / HALF_LIFE_S)
        loud = np.bincount(place, fading, count)
        tone = np.bincount(place, fading * polarity, count) / (loud + SOLE)
        spans = np.array([float(w.span) for w in windows])[:, None]
        recent = [np.bincount(place[age < w.span], minlength=count) for w in windows]
        mentions = np.array(recent, dtype=float).reshape(len(windows), count)
        total = np.bincount(place, minlength=count).astype(float)
        elapsed = max(NEWS_KEPT_NS / NS, 1.0)
        return News(tone, mentions, total * spans / elapsed)
