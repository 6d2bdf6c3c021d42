"""The sources outside the venues on the loopback, each in its own shape: REST and RSS.

Coin Metrics, DefiLlama, FRED's CSV, Fear & Greed, Bybit's quotes of shares and metals, headlines.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar
from urllib.parse import unquote
from xml.sax.saxutils import escape

import msgspec

from engine.clock import NS
from engine.sim.market.outside import (
    DAY,
    DEFI,
    FLOWS,
    MARKETS,
    ONCHAIN,
    OUTLETS,
    SP500_OF,
    SUPPLY,
    TVL,
    Kind,
    Outside,
    day_text,
    is_weekday,
)
from engine.sim.venues.base import Venue
from engine.sim.venues.http import Answer

KNOWN_AFTER_S = 2 * 3600  # the end of a day, until its on-chain values are told
DAYS = 90
NEWS_S = 36 * 3600
SHARE_OF_STABLES = {"TRX": 0.26, "ETH": 0.52, "SOL": 0.05, "BNB": 0.05, "ARB": 0.02}
CHAINS = {"Bitcoin": "BTC", "Ethereum": "ETH", "Solana": "SOL", "XRPL": "XRP", "BSC": "BNB",
          "Cardano": "ADA", "Avalanche": "AVAX", "Sui": "SUI", "Near": "NEAR",
          "Polkadot": "DOT", "Tron": "TRX", "Aptos": "APT", "Hyperliquid L1": "HYPE",
          "Arbitrum": "ARB", "Filecoin": "FIL"}  # fmt: skip
QUOTED = {"SPYUSDT": ("SPY", "stock"), "XAUUSDT": ("XAU", "commodity")}
# What the community tier has of the coins beside BTC and ETH.
PUBLIC = frozenset({"xrp", "ada", "ltc", "doge", "dot", "link", "aave", "bnb", "trx"})
MOODS = ((25, "Extreme Fear"), (46, "Fear"), (54, "Neutral"), (75, "Greed"))
encode = msgspec.json.encode
Query = dict[str, str]


class Context(Venue):
    """All outside sources on one port, told apart by the first part of the path."""

    URLS: ClassVar = {
        "coin_metrics": "http:/metrics/v4", "llama": "http:/llama", "stablecoins": "http:/stables",
        "fred": "http:/fred", "mood": "http:/mood", "quotes": "http:/quotes",
        **{outlet: f"http:/news/{outlet}/rss" for outlet in OUTLETS},
    }  # fmt: skip

    def __init__(self, *what: Any, **named: Any) -> None:
        super().__init__(*what, **named)
        self.outside = Outside(self.market)
        self._paths: dict[str, Callable[[Query], bytes]] = {
            "/metrics/v4/timeseries/asset-metrics": self._onchain,
            "/llama/overview/dexs": self._dexs,
            "/fred/graph/fredgraph.csv": self._fred,
            "/mood/fng/": self._mood,
            "/quotes/v5/market/instruments-info": self._catalogue,
            "/quotes/v5/market/tickers": self._ticker,
        }

    @property
    def now(self) -> int:
        """The market's time, s UTC."""
        return self.market.now // NS

    def answer(self, path: str, query: Query, body: bytes | None) -> Answer:
        handle = self._paths.get(path)
        try:
            if handle is not None:
                return Answer(handle(query))
            folder, _, name = unquote(path).rpartition("/")
            if folder == "/llama/v2/historicalChainTvl":
                return Answer(self._locked(name))
            if folder == "/stables/stablecoincharts":
                return Answer(self._stables(name))
            if folder.startswith("/news/") and name == "rss":
                return Answer(self._news(folder.removeprefix("/news/")))
        except (KeyError, ValueError):
            return Answer(encode({"error": "bad request"}), 400)
        return Answer(encode({"error": "not found"}), 404)

    def refused(self, status: int) -> bytes:
        return encode({"error": "too many requests"})

    # -- on-chain, DeFi --------------------------------------------------------------------

    def _onchain(self, query: Query) -> bytes:
        """Rows by asset, oldest first; metrics that the tier lacks are left out."""
        asked = query["metrics"].split(",")
        last = (self.now - KNOWN_AFTER_S) // DAY - 1
        days = range(last - int(query.get("limit_per_asset", "100")) + 1, last + 1)
        rows = []
        for asset in sorted(query["assets"].split(",")):
            coin = asset.upper()
            if asset not in PUBLIC and coin not in SUPPLY:
                continue
            metrics = [m for m in asked if m in ONCHAIN and (coin in SUPPLY or m not in FLOWS)]
            for day in days:
                values = {m: self._coin(m, coin, (day + 1) * DAY) for m in metrics}
                time = f"{day_text(day)}T00:00:00.000000000Z"
                rows.append({"asset": asset, "time": time, **values})
        return encode({"data": rows})

    def _coin(self, metric: str, coin: str, at: int) -> str:
        value = self.outside.value(metric, ONCHAIN[metric], at, f"{coin}USDT")
        if metric in FLOWS:
            return f"{value * SUPPLY[coin]:.8f}"
        return str(round(value)) if metric == "AdrActCnt" else f"{value:.12f}"

    def _locked(self, chain: str) -> bytes:
        coin = CHAINS[chain]
        kind = Kind(TVL.get(coin, 4e8), 0.03)
        symbol = f"{coin}USDT"
        rows = [(at, self.outside.value("tvl", kind, at, symbol)) for at in self._dates()]
        return encode([{"date": at, "tvl": round(value, 2)} for at, value in rows])

    def _stables(self, chain: str) -> bytes:
        """`all` or a chain; dates are strings, dollars by currency of the peg."""
        share = 1.0 if chain == "all" else SHARE_OF_STABLES.get(CHAINS[chain], 0.004)
        kind = Kind(DEFI["stable"].level * share, DEFI["stable"].vol)
        rows = []
        for at in self._dates():
            usd = round(self.outside.value(f"stable {chain}", kind, at))
            pegged = {"peggedUSD": usd}
            rows.append({"date": str(at), "totalCirculating": pegged, "totalUnreleased": {},
                         "totalCirculatingUSD": {**pegged, "peggedEUR": round(0.002 * usd)},
                         "totalMintedUSD": pegged, "totalBridgedToUSD": {}})  # fmt: skip
        return encode(rows)

    def _dexs(self, query: Query) -> bytes:
        """Volume by day, today's unfinished one included."""
        kind = DEFI["dexs"]
        chart = []
        for at in self._dates():
            done = min(self.now - at, DAY) / DAY
            chart.append([at, round(done * self.outside.value("dexs", kind, at))])
        total = chart[-1][1]
        return encode({"totalDataChart": chart, "totalDataChartBreakdown": [], "total24h": total,
                       "chain": None, "allChains": list(CHAINS), "protocols": []})  # fmt: skip

    def _dates(self) -> Iterable[int]:
        today = self.now // DAY
        return [day * DAY for day in range(today - DAYS + 1, today + 1)]

    # -- traditional markets, mood ---------------------------------------------------------

    def _fred(self, query: Query) -> bytes:
        """Weekdays up to the last that is over; a holiday has no value."""
        name = query["id"]
        kind, today = MARKETS[name], self.now // DAY
        lines = [f"observation_date,{name}"]
        for day in range(today - 2 * DAYS, today):
            if is_weekday(day):
                value = f"{self.outside.value(name, kind, (day + 1) * DAY):.2f}"
                lines.append(f"{day_text(day)},{'' if day % 97 == 0 else value}")
        return "\n".join([*lines, ""]).encode()

    def _mood(self, query: Query) -> bytes:
        """Newest first; the newest says when the next one comes."""
        today, count = self.now // DAY, int(query.get("limit", "1"))
        rows: list[dict[str, str]] = []
        for day in range(today, today - count, -1):
            value = self.outside.mood(day * DAY)
            words = next((word for most, word in MOODS if value <= most), "Extreme Greed")
            rows.append({"value": str(value), "value_classification": words,
                         "timestamp": str(day * DAY)})  # fmt: skip
        rows[0]["time_until_update"] = str((today + 1) * DAY - self.now)
        return encode({"name": "Fear and Greed Index", "data": rows, "metadata": {"error": None}})

    def quote(self, name: str) -> float:
        """The mark of a contract on a share or a metal."""
        asset = QUOTED[name][0]
        kind, series = MARKETS[asset], SP500_OF.get(asset, asset)
        return self.outside.value(series, kind, self.now)

    def _catalogue(self, query: Query) -> bytes:
        rows = [_instrument(name, *QUOTED[name]) for name in QUOTED]
        coins = [_instrument(x.id, x.id.removesuffix("USDT"), "") for x in self.market.listings]
        return self._said({"category": "linear", "list": coins + rows, "nextPageCursor": ""})

    def _ticker(self, query: Query) -> bytes:
        name = query["symbol"]
        mark = self.quote(name)
        bid, ask = f"{mark - 0.01:.2f}", f"{mark + 0.01:.2f}"
        row = {
            "symbol": name,
            "lastPrice": bid,
            "indexPrice": f"{mark:.2f}",
            "markPrice": f"{mark:.2f}",
            "openInterest": "51230.5",
            "fundingRate": "0.0001",
            "nextFundingTime": str((self.now // 28800 + 1) * 28_800_000),
            "bid1Price": bid,
            "bid1Size": "3.2",
            "ask1Price": ask,
            "ask1Size": "2.9",
        }
        return self._said({"category": "linear", "list": [row]})  # fmt: skip

    def _said(self, result: Any) -> bytes:
        return encode({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {},
                       "time": self.ms})  # fmt: skip

    # -- headlines -------------------------------------------------------------------------

    def _news(self, outlet: str) -> bytes:
        if outlet not in OUTLETS:
            raise KeyError(outlet)
        flashes = self.outside.headlines(outlet, self.now - NEWS_S, self.now)
        return rss(outlet, [(f.time, f.title, f.key) for f in flashes[::-1]])


def rss(outlet: str, items: Sequence[tuple[int, str, str]]) -> bytes:
    """RSS 2.0 of (s UTC, title, key) items."""
    parts = [
        f"<item><title>{escape(title)}</title><link>https://{outlet}.example/{key}</link>"
        f'<guid isPermaLink="false">{key}</guid>'
        f"<pubDate>{format_datetime(datetime.fromtimestamp(time, UTC))}</pubDate></item>"
        for time, title, key in items
    ]
    return (
        '<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>'
        f"<title>{outlet}</title><link>https://{outlet}.example/</link>"
        f"<description>Headlines</description>{''.join(parts)}</channel></rss>"
    ).encode()


def _instrument(name: str, base: str, kind: str) -> dict[str, str]:
    return {"symbol": name, "contractType": "LinearPerpetual", "status": "Trading",
            "baseCoin": base, "quoteCoin": "USDT", "settleCoin": "USDT",
            "symbolType": kind}  # fmt: skip


VENUE = Context
