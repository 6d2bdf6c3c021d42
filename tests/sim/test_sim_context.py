"""The simulated outside sources: every request of the real feed, the truth, headlines, lags."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import numpy as np
import pytest

from engine.clock import NS, SimulatedClock
from engine.config import load
from engine.events import Headline, Metric
from engine.feeds.context import Outside as Feed
from engine.feeds.context import build
from engine.feeds.feed import Context, Request
from engine.instruments import Instrument
from engine.sim.market import SimulatedMarket
from engine.sim.market.outside import DAY, MARKETS, OUTLETS, Follow, Outside, is_weekday
from engine.sim.market.shadow import Reference
from engine.sim.venues.context import VENUE
from engine.sim.venues.context import Context as Venue

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "PEPEUSDT")
BASE = "http://127.0.0.1:1"


class Asked:
    """The real feed and the venue that answers its requests."""

    def __init__(self, seed: int = 3) -> None:
        self.market = SimulatedMarket(SYMBOLS, seed=seed)
        self.venue: Venue = VENUE(Reference(self.market), SimulatedClock(0))
        self.venue.ports.close()
        urls = {key: BASE + url.partition(":")[2] for key, url in Venue.URLS.items()}
        config = load(overrides={"feeds": {"context": {"urls": urls}}})[0].feeds["context"]
        self.feed: Feed = build(config, [Instrument(id=s, group="x") for s in SYMBOLS])

    def events(self, request: Request) -> list[Any]:
        parts = urlsplit(request.url)
        answer = self.venue.answer(parts.path, dict(parse_qsl(parts.query)), None)
        assert answer.status == 200, (request.url, answer.body)
        context = Context(recv=self.market.now, url=request.url, symbol=request.symbol)
        return list(self.feed.decode(answer.body, context))

    def listed(self) -> frozenset[str]:
        request = self.feed.catalogue_request()
        assert request is not None
        parts = urlsplit(request.url)
        query = dict(parse_qsl(parts.query))
        return self.feed.listed(self.venue.answer(parts.path, query, None).body)


@pytest.fixture(scope="module")
def asked() -> Asked:
    return Asked()


@pytest.fixture(scope="module")
def told(asked: Asked) -> list[Any]:
    """Events of all polls, the catalogue having come first."""
    asked.listed()
    return [event for poll in asked.feed.polls() for event in asked.events(poll.request)]


def test_every_series_comes_with_two_months_of_history(told: list[Any], asked: Asked) -> None:
    series: dict[tuple[str, str | None], list[Metric]] = {}
    for event in told:
        if type(event) is Metric:
            series.setdefault((event.name, event.symbol), []).append(event)
    shared = {name for name, symbol in series if symbol is None}
    assert shared >= {"stablecoin_supply", "dex_volume", "vix", "dollar_index", "yield_10y",
                      "equity_index_daily", "equity_index", "gold", "fear_greed"}  # fmt: skip
    for symbol in ("BTCUSDT", "ETHUSDT"):
        assert {n for n, s in series if s == symbol} == {
            "exchange_inflow", "exchange_outflow", "exchange_reserves", "active_addresses",
            "mvrv", "tvl", "chain_stablecoins"}  # fmt: skip
    assert {n for n, s in series if s == "SOLUSDT"} == {"tvl", "chain_stablecoins"}
    for (name, _), rows in series.items():
        assert len(rows) == (1 if name in ("equity_index", "gold") else 60), name
        assert all(row.value > 0 and row.ts <= asked.market.now for row in rows), name
        assert rows[-1].ts > asked.market.now - 4 * DAY * NS, name


def test_values_are_those_of_the_series(told: list[Any], asked: Asked) -> None:
    outside = asked.venue.outside
    vix = [event for event in told if getattr(event, "name", "") == "vix"]
    for event in vix:
        assert is_weekday(event.ts // NS // DAY - 1)
        truth = outside.value("VIXCLS", MARKETS["VIXCLS"], event.ts // NS)
        assert event.value == pytest.approx(truth, abs=0.006)
    quote = next(event for event in told if getattr(event, "name", "") == "equity_index")
    assert quote.value == pytest.approx(asked.venue.quote("SPYUSDT"), abs=0.006)
    assert quote.ts == asked.market.now


def test_series_wander_as_much_as_they_should(asked: Asked) -> None:
    outside = asked.venue.outside
    for name, kind in MARKETS.items():
        days = [outside.value(name, kind, 20_000 * DAY + d * DAY) for d in range(500)]
        daily = np.diff(np.log(days)).std()
        assert 0.4 * kind.vol < daily < 2.5 * np.hypot(kind.vol, kind.noise), name


def test_nothing_follows_price_unless_told_to() -> None:
    market = SimulatedMarket(SYMBOLS, seed=4)
    neutral = Outside(market)
    lagging = Outside(market, {"VIXCLS": Follow(weight=-2.0)})
    times = [market.start // NS // 3600 * 3600 - hours * 3600 for hours in range(24, 2400, 24)]
    kind = MARKETS["VIXCLS"]
    change = [
        np.log(lagging.value("VIXCLS", kind, t) / neutral.value("VIXCLS", kind, t)) for t in times
    ]
    moves = []
    for time in times:
        _, rows = market.bars.select(0, 3600, time - 25 * 3600, time - 3600)
        moves.append(np.log(rows[-1, 3] / rows[0, 3]))
    assert change == pytest.approx([-2.0 * move for move in moves])


def test_headlines_are_told_once_and_name_coins(asked: Asked, told: list[Any]) -> None:
    news = [event for event in told if type(event) is Headline]
    assert {event.outlet for event in news} == set(OUTLETS)
    assert len({event.url for event in news}) == len(news) > 100
    assert all(event.history and event.ts <= asked.market.now for event in news)
    assert sum(bool(event.symbols) for event in news) > 0.9 * len(news)
    tones = np.array([event.polarity for event in news])
    assert (tones > 0.2).mean() > 0.15
    assert (tones < -0.2).mean() > 0.15
    for poll in asked.feed.polls():
        if poll.request.purpose.startswith("news"):
            assert asked.events(poll.request) == []


def test_headlines_of_two_spans_agree(asked: Asked) -> None:
    outside, end = asked.venue.outside, asked.market.start // NS
    whole = outside.headlines("coindesk", end - 40_000, end)
    parts = outside.headlines("coindesk", end - 40_000, end - 20_001)
    parts += outside.headlines("coindesk", end - 20_000, end)
    assert whole == parts
    assert [flash.time for flash in whole] == sorted(flash.time for flash in whole)


def test_a_seed_has_its_own_world() -> None:
    one, same, other = (Outside(SimulatedMarket(SYMBOLS[:1], seed=s)) for s in (1, 1, 2))
    kind, at = MARKETS["XAU"], datetime(2026, 1, 14, tzinfo=UTC).timestamp()
    assert one.value("XAU", kind, at) == same.value("XAU", kind, at)
    assert one.value("XAU", kind, at) != other.value("XAU", kind, at)


def test_mood_has_its_words(asked: Asked) -> None:
    body = asked.venue.answer("/mood/fng/", {"limit": "60"}, None).body
    assert b'"time_until_update"' in body
    assert body.count(b'"value_classification"') == 60


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/llama/v2/historicalChainTvl/Nowhere", 400),
        ("/fred/graph/fredgraph.csv", 400),
        ("/news/nobody/rss", 400),
        ("/elsewhere", 404),
    ],
)
def test_what_is_not_there_is_refused(asked: Asked, path: str, status: int) -> None:
    assert asked.venue.answer(path, {}, None).status == status


async def test_it_is_served_and_a_fault_refuses() -> None:
    venue = VENUE(Reference(SimulatedMarket(SYMBOLS[:1])), SimulatedClock(0))
    await venue.start()
    try:
        async with httpx.AsyncClient(base_url=venue.urls()["mood"]) as client:
            assert (await client.get("/fng/?limit=2")).status_code == 200
            venue.faults.refuse("rest", 429, 3.0)
            refused = await client.get("/fng/?limit=2")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3")
        assert venue.expected == 1
    finally:
        await venue.stop()
        venue.ports.close()
