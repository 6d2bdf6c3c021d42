"""Outside series: what is polled, and what each source's answers mean."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import zstandard

from engine.clock import NS
from engine.config import ConfigError, load
from engine.events import Metric
from engine.feeds.context import Outside, build
from engine.feeds.feed import Context, DecodeError, build_feed

WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
CONFIG, _ = load()
BLOCK = CONFIG.feeds["context"]
DAY = 86_400 * NS
NOW = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()) * NS
TODAY = NOW // DAY * DAY
METRICS = "https://x/v4/timeseries/asset-metrics?assets=btc"
TVL = "https://x/v2/historicalChainTvl/"
STABLE = "https://x/stablecoincharts/"
DEXS = "https://x/overview/dexs?excludeTotalDataChartBreakdown=true"
FRED = "https://x/graph/fredgraph.csv?id="
MOOD = "https://x/fng/?limit=60"
CATALOGUE = "https://x/v5/market/instruments-info?category=linear"
TICKERS = "https://x/v5/market/tickers?category=linear&symbol=SPYUSDT"


def feed(**changes: object) -> Outside:
    return build(msgspec.structs.replace(BLOCK, **changes), CONFIG.instruments)


def decode(raw: object, url: str, made: Outside | None = None, recv: int | None = NOW) -> list:
    data = raw if isinstance(raw, bytes | str) else msgspec.json.encode(raw)
    return list((made or feed()).decode(data, Context(recv=recv, url=url)))


def refused(raw: object, url: str) -> str:
    with pytest.raises(DecodeError) as error:
        decode(raw, url)
    return error.value.args[0]


def told(events: list) -> list[tuple]:
    return [(e.symbol, e.name, e.value, e.unit, e.ts, e.history) for e in events]


def test_chain_metrics_end_with_their_day():
    first = {"asset": "btc", "time": "2026-11-20T00:00:00.000000000Z", "FlowInExNtv": "10"}
    second = {**first, "time": "2026-11-21T00:00:00.000000000Z", "FlowInExNtv": "11.5"}
    second |= {"CapMVRVCur": "2.1", "AdrActCnt": None, "AdrActCnt-status": "flash"}
    running = {**first, "time": "2026-11-22T00:00:00.000000000Z"}
    avalanche = {"asset": "avaxc", "time": first["time"], "AdrActCnt": "5"}
    other = {"asset": "nothing-of-ours", "time": first["time"], "AdrActCnt": "5"}
    answer = {"data": [second, first, running, avalanche, other], "next_page_token": "x"}
    made = feed()
    assert made.carries("onchain", "SOLUSDT")
    assert told(decode(answer, METRICS, made)) == [
        ("BTCUSDT", "exchange_inflow", 10.0, "BTC", TODAY - DAY, True),
        ("BTCUSDT", "exchange_inflow", 11.5, "BTC", TODAY, False),
        ("BTCUSDT", "mvrv", 2.1, "ratio", TODAY, False),
        ("AVAXUSDT", "active_addresses", 5.0, "addresses", TODAY - DAY, False),
    ]
    assert made.carries("onchain", "AVAXUSDT")
    assert not made.carries("onchain", "SOLUSDT"), "it had none"
    assert made.carries("defi", "SOLUSDT")
    error = {"error": {"type": "bad_parameter", "message": "Bad parameter 'metrics'."}}
    assert refused(error, METRICS) == "refused: Bad parameter 'metrics'."
    assert refused({"data": [{"asset": "btc", "time": "soon"}]}, METRICS) == "malformed"


def test_value_locked_and_stablecoins_are_as_of_their_date():
    today = TODAY // NS
    rows = [{"date": today - 86_400, "tvl": 1e9}, {"date": today, "tvl": 2e9}]
    assert told(decode(rows, TVL + "Hyperliquid%20L1")) == [
        ("HYPEUSDT", "tvl", 1e9, "USD", TODAY - DAY, True),
        ("HYPEUSDT", "tvl", 2e9, "USD", TODAY, False),
    ]
    coins = {"totalCirculating": {"peggedUSD": 9}, "totalCirculatingUSD": {"peggedUSD": 5.0,
             "peggedEUR": 1.5}}  # fmt: skip
    row = {"date": str(today), **coins}
    assert told(decode([row], STABLE + "Ethereum")) == [
        ("ETHUSDT", "chain_stablecoins", 6.5, "USD", TODAY, False)
    ]
    assert told(decode([row], STABLE + "all")) == [
        (None, "stablecoin_supply", 6.5, "USD", TODAY, False)
    ]
    assert refused(rows, TVL + "Ethereum Classic") == "no chain of ours"
    assert refused(rows, TVL + "all") == "no chain of ours"
    assert refused([{"date": today, "tvl": -1}], TVL + "Ethereum") == "malformed"
    old_and_broken = [{"date": "?"}, *[{"date": today - n, "tvl": 1} for n in range(60)]]
    assert len(decode(old_and_broken, TVL + "Ethereum")) == 60


def test_volume_of_a_day_is_known_at_its_end():
    today = TODAY // NS
    days = [[today - 2 * 86_400, 5], [today - 86_400, 6.5], [today, 1]]
    answer = {"totalDataChart": days, "protocols": [{"name": "Uniswap"}], "total24h": 7}
    assert told(decode(answer, DEXS)) == [
        (None, "dex_volume", 5.0, "USD", TODAY - DAY, True),
        (None, "dex_volume", 6.5, "USD", TODAY, False),
    ]
    assert len(decode(answer, DEXS, recv=None)) == 3


def test_daily_series_of_fred():
    text = "observation_date,DGS10\n2026-11-17,4.11\n2026-11-18,.\n2026-11-19,\n2026-11-20,-0.07\n"
    assert told(decode(text, FRED + "DGS10")) == [
        (None, "yield_10y", 4.11, "%", TODAY - 4 * DAY, True),
        (None, "yield_10y", -0.07, "%", TODAY - DAY, False),
    ]
    days = [datetime.fromtimestamp(n * 86_400, UTC).date() for n in range(9_000)]
    long = "DATE,VIXCLS\r\n" + "".join(f"{day},{n}\r\n" for n, day in enumerate(days))
    events = decode(long.encode(), FRED + "VIXCLS")
    assert len(events) == 60
    assert {e.name for e in events} == {"vix"}
    assert (events[-1].value, events[-1].ts) == (8999.0, 9_000 * DAY)
    names = {"DTWEXBGS": "dollar_index", "SP500": "equity_index_daily"}
    for series, name in names.items():
        (event,) = decode(f"observation_date,{series}\n2026-11-19,5\n", FRED + series)
        assert (event.name, event.source) == (name, f"FRED {series}")
    assert refused("observation_date,CPI\n2026-11-19,5\n", FRED + "CPI") == "no such series"
    assert refused("<html>busy</html>", FRED + "DGS10") == "no such series"
    assert refused("observation_date,DGS10\nx,1\n", FRED + "DGS10") == "malformed"
    assert refused(b"observation_date,DGS10\n\xff", FRED + "DGS10") == "malformed"


def test_mood():
    rows = [{"value": "40", "value_classification": "Fear", "timestamp": str(TODAY // NS)}]
    rows += [{"value": "25", "timestamp": str(TODAY // NS - 86_400), "time_until_update": "9"}]
    assert told(decode({"name": "Fear and Greed Index", "data": rows}, MOOD)) == [
        (None, "fear_greed", 25.0, "points", TODAY - DAY, True),
        (None, "fear_greed", 40.0, "points", TODAY, False),
    ]
    assert refused({"data": [{"value": "101", "timestamp": "5"}]}, MOOD) == "malformed"


def listing(name: str, base: str, kind: str, **more: str) -> dict:
    row = {"symbol": name, "baseCoin": base, "quoteCoin": "USDT", "symbolType": kind}
    return {**row, "status": "Trading", "contractType": "LinearPerpetual", **more}


def answered(*rows: dict, time: int = NOW // 1_000_000) -> dict:
    return {"retCode": 0, "retMsg": "OK", "result": {"list": rows}, "time": time}


def test_quotes_of_contracts_that_the_catalogue_calls_shares_or_metals():
    made = feed()
    ticker = answered({"symbol": "SPYUSDT", "markPrice": "660.5", "indexPrice": "660"})
    with pytest.raises(DecodeError, match="contract kind unknown"):
        decode(ticker, TICKERS, made)
    rows = [listing("SPYUSDT", "SPY", "stock"), listing("XAUUSDT", "XAU", "")]
    rows += [listing("BTCUSDT", "BTC", ""), listing("XAU-27NOV26", "XAU", "commodity")]
    rows[-1]["contractType"] = "LinearFutures"
    assert decode(answered(*rows), CATALOGUE, made) == []
    (event,) = decode(ticker, TICKERS, made)
    assert event == Metric(
        venue="context",
        market="perp",
        symbol=None,
        ts=NOW,
        recv=NOW,
        name="equity_index",
        value=660.5,
        unit="USD",
        source="bybit SPYUSDT",
    )
    with pytest.raises(DecodeError, match="not a traditional market"):
        decode(answered({"symbol": "BTCUSDT", "markPrice": "1"}), TICKERS, made)
    assert made.listed(msgspec.json.encode(answered(*rows))) == {i.id for i in CONFIG.instruments}
    assert [p.request.url for p in made.polls() if "tickers" in p.request.url] == [
        "https://api.bybit.com/v5/market/tickers?category=linear&symbol=SPYUSDT"
    ]
    limited = {"retCode": 10006, "retMsg": "Too many visits!", "result": []}
    assert refused(limited, CATALOGUE) == "refused: Too many visits!"
    with pytest.raises(DecodeError, match="refused: Too many visits!"):
        made.listed(msgspec.json.encode(limited))


@pytest.mark.wire
@pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout")
class TestRecordings:
    def test_the_recorded_catalogue_has_both_contracts(self):
        with (WIRE / "bybit" / "BYBIT.jsonl.zst").open("rb") as file:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file))
            answers = [r["data"] for r in map(json.loads, lines) if r["t"] == "http"]
        linear = next(text for text in answers if '"category":"linear"' in text)
        made = feed()
        assert decode(linear, CATALOGUE, made) == []
        mark = answered({"symbol": "XAUUSDT", "markPrice": "4000"})
        assert decode(mark, TICKERS, made)[0].name == "gold"
        urls = [p.request.url for p in made.polls() if "tickers" in p.request.url]
        assert [url.rpartition("=")[2] for url in urls] == ["SPYUSDT", "XAUUSDT"]


def test_polls():
    made = build_feed("context", BLOCK, CONFIG.instruments)
    polls = made.polls()
    urls = [p.request.url for p in polls]
    assert len(urls) == len(set(urls))
    assert sum(60 / p.every for p in polls) < BLOCK.request_weight / 10
    assert sum("coinmetrics.io" in url for url in urls) == 1, "10 requests in 6 s are allowed"
    assert "https://api.llama.fi/v2/historicalChainTvl/Hyperliquid%20L1" in urls
    outlets = [p.request.url for p in polls if p.every == 300.0]
    assert len(outlets) == 5
    assert made.provides == {"onchain", "defi", "quotes", "mood", "news"}
    assert made.catalogue_request().url.startswith("https://api.bybit.com/v5/market/instruments")
    assert made.connections() == made.backfill(NOW, ["BTCUSDT"]) == []
    assert made.top_up(0, NOW, ["BTCUSDT"]) == []
    for need in made.provides:
        assert made.carries(need, "BTCUSDT")
        assert not made.carries(need, "XYZUSDT")
    assert not made.carries("trades", "BTCUSDT")


def test_settings():
    made = feed(streams=["mood"], urls={"mood": "https://x/"}, every={"mood": 60.0})
    (poll,) = made.polls()
    assert (poll.request.url, poll.every) == ("https://x/fng/?limit=60", 60.0)
    assert made.provides == {"mood"}
    assert made.catalogue_request() is None
    with pytest.raises(ConfigError, match=r"feeds\.context\.streams: no stream 'x'; allowed: "):
        feed(streams=["x"])
    with pytest.raises(ConfigError, match=r"feeds\.context\.every: no poll 'x'; allowed: "):
        feed(every={"x": 1.0})
    with pytest.raises(ConfigError, match=r"feeds\.context\.urls\.fred: missing"):
        feed(urls={k: u for k, u in BLOCK.urls.items() if k != "fred"})


def test_a_source_that_is_none_of_the_configs_is_refused():
    rss = '<?xml version="1.0"?><rss version="2.0"><channel/></rss>'
    assert refused(rss, "") == refused(rss, "http://[") == "unknown source"
    assert decode(rss, "https://www.elsewhere.org/feed") == [], "any feed of headlines"
