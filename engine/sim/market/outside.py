"""What happens outside the venues: chains, DeFi, traditional markets, mood, headlines.

Fixed functions of time by seed, so that any page of history fits any other. Neutral by default:
none knows anything of price. `follows` makes a series lag it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from math import exp
from zlib import crc32

import numpy as np
from msgspec import Struct

from engine.sim.market.chance import Array, stream
from engine.sim.market.market import SimulatedMarket
from engine.sim.market.past import CLOSE

DAY = 86_400
# From minutes to months, each twice as strong as one of a quarter of its length: a random walk.
PERIODS_S = 660.0 * 2.6 ** np.arange(11)
NOISE_DAYS = 1024


class Kind(Struct, frozen=True):
    """A series' usual level, deviation of its log a day, and of the noise of each day on top."""

    level: float
    vol: float
    noise: float = 0.0


class Follow(Struct, frozen=True):
    """How a series lags price: log change per log return of the `days` before."""

    weight: float
    days: int = 1


class Flash(Struct, frozen=True):
    """A headline: s UTC, title, a key that no other of its outlet has."""

    time: int
    title: str
    key: str


ONCHAIN = {
    "FlowInExNtv": Kind(0.0018, 0.04, 0.16),  # of the coins there are
    "FlowOutExNtv": Kind(0.0018, 0.04, 0.16),
    "SplyExNtv": Kind(0.11, 0.002),
    "AdrActCnt": Kind(650_000, 0.01, 0.05),
    "CapMVRVCur": Kind(1.9, 0.012),
}
FLOWS = frozenset({"FlowInExNtv", "FlowOutExNtv", "SplyExNtv"})
SUPPLY = {"BTC": 19.97e6, "ETH": 120.7e6}
MARKETS = {
    "VIXCLS": Kind(16.5, 0.05, 0.02),
    "DTWEXBGS": Kind(120.5, 0.003),
    "DGS10": Kind(4.2, 0.008),
    "SP500": Kind(6850.0, 0.007),
    "SPY": Kind(684.0, 0.007),
    "XAU": Kind(4150.0, 0.008),
}
SP500_OF = {"SPY": "SP500"}
DEFI = {
    "stable": Kind(308e9, 0.002),
    "dexs": Kind(14e9, 0.06, 0.15),
}
TVL = {"ETH": 78e9, "SOL": 9.6e9, "BNB": 7.8e9, "BTC": 7.1e9, "TRX": 5.2e9, "ARB": 3.1e9}
GREED = Kind(52.0, 0.16, 0.05)

OUTLETS = ("coindesk", "cointelegraph", "decrypt", "theblock", "bitcoinmagazine")
SLOT_S = 1200
ODDS = 0.35  # of a headline, a slot and outlet
NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "SOL": "Solana", "XRP": "XRP", "ADA": "Cardano",
         "DOGE": "Dogecoin", "LINK": "Chainlink", "SUI": "Sui", "AAVE": "Aave",
         "ARB": "Arbitrum", "HYPE": "Hyperliquid", "LTC": "Litecoin"}  # fmt: skip
GOOD = (
    "{} rallies as buyers return to spot markets",
    "{} jumps after fund reports record inflows",
    "{} rebounds from support, traders optimistic",
    "Asset manager wins approval for {} product",
    "{} network launches long-awaited upgrade",
)
PLAIN = (
    "What {} traders are watching this week",
    "{} options: where the open interest sits",
    "A guide to {} staking and custody",
    "{} developers publish meeting notes",
)
BAD = (
    "{} slides as sellers test support",
    "{} funds see outflows for a third day",
    "Regulator sues exchange over {} listing",
    "{} drops after macro data, longs liquidated",
    "Bridge exploit drains {} liquidity pools",
)


class Outside:
    """Every outside series of one market; times in s UTC.

    `follows`: by series' name, of `value` and of the headlines' tone ("tone").
    """

    def __init__(self, market: SimulatedMarket, follows: Mapping[str, Follow] = {}) -> None:
        self.market = market
        self.follows = dict(follows)
        self._phases: dict[str, Array] = {}
        self._noises: dict[str, Array] = {}

    def value(self, name: str, kind: Kind, seconds: float, symbol: str | None = None) -> float:
        """Of a series at an instant; `symbol`: whose price it may follow, else the first's."""
        key = name if symbol is None else f"{name} {symbol}"
        phases = self._phases.get(key)
        if phases is None:
            phases = 2 * np.pi * stream(self.market.seed, f"outside {key}").random(len(PERIODS_S))
            self._phases[key] = phases
        waves = np.sin(2 * np.pi * seconds / PERIODS_S + phases)
        log = 0.5 * kind.vol * float((np.sqrt(PERIODS_S / DAY) * waves).sum())
        log += kind.noise * self._noise(key, int(seconds) // DAY) if kind.noise else 0.0
        return kind.level * exp(log + self._followed(name, seconds, symbol))

    def mood(self, seconds: float) -> int:
        """Fear & Greed, 0 to 100."""
        return int(np.clip(round(self.value("mood", GREED, seconds)), 3, 97))

    def headlines(self, outlet: str, first: int, last: int) -> list[Flash]:
        """Of an outlet within [first, last], oldest first."""
        slots = range(first // SLOT_S - 1, last // SLOT_S + 1)
        found = [flash for slot in slots if (flash := self._flash(outlet, slot)) is not None]
        return [flash for flash in found if first <= flash.time <= last]

    def _flash(self, outlet: str, slot: int) -> Flash | None:
        rng = stream(self.market.seed, f"news {outlet} {slot}")
        if rng.random() > ODDS:
            return None
        time = slot * SLOT_S + int(rng.integers(SLOT_S))
        coins = [s.removesuffix("USDT") for s in self.market.symbols]
        weight = np.array([4.0 if coin in SUPPLY else 1.0 for coin in coins])
        coin = str(rng.choice(coins, p=weight / weight.sum()))
        lean = self._followed("tone", time, f"{coin}USDT")
        tone = rng.standard_normal() + lean
        kinds = GOOD if tone > 0.5 else BAD if tone < -0.5 else PLAIN
        title = str(rng.choice(kinds)).format(NAMES.get(coin, f"${coin}"))
        return Flash(time, title, f"{outlet}-{slot}-{crc32(title.encode()):08x}")

    def _followed(self, name: str, seconds: float, symbol: str | None) -> float:
        follow = self.follows.get(name)
        if follow is None:
            return 0.0
        if symbol is not None and symbol not in self.market.symbols:
            return 0.0
        place = 0 if symbol is None else self.market.place(symbol)
        hour = int(seconds) // 3600 * 3600
        first = hour - follow.days * DAY - 3600
        _, rows = self.market.bars.select(place, 3600, first, hour - 3600)
        if not len(rows):
            return 0.0
        return follow.weight * float(np.log(rows[-1, CLOSE] / rows[0, CLOSE]))

    def _noise(self, key: str, day: int) -> float:
        noise = self._noises.get(key)
        if noise is None:
            noise = stream(self.market.seed, f"outside noise {key}").standard_normal(NOISE_DAYS)
            self._noises[key] = noise
        return float(noise[day % NOISE_DAYS])


def day_text(day: int) -> str:
    """A day since 1970 as `2026-01-14`."""
    return datetime.fromtimestamp(day * DAY, UTC).date().isoformat()


def is_weekday(day: int) -> bool:
    """Monday to Friday."""
    return (day + 3) % 7 < 5
