"""The simulated positioning data of Binance: the real feed's requests, the truth, the shapes."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest

from engine.clock import NS, SimulatedClock
from engine.config import load
from engine.events import Funding, OpenInterest, Ratio
from engine.feeds.binance_positioning import Positioning, build
from engine.feeds.feed import Context, Request
from engine.instruments import Instrument
from engine.sim.market import SimulatedMarket
from engine.sim.market.shadow import Reference
from engine.sim.venues.binance_positioning import VENUE, BinancePositioning

WIRE = Path(__file__).parents[2].parent / "shared" / "wire"
SYMBOLS = ("BTCUSDT", "PEPEUSDT")
BASE = "http://127.0.0.1:1"
recorded = [
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout"),
]


class Asked:
    """The real feed and the venue that answers its requests, some minutes into the market."""

    def __init__(self, seconds: int = 330, scenario: str = "default") -> None:
        self.reference = Reference(SimulatedMarket(SYMBOLS, scenario, seed=3, rate=0.2))
        self.market = self.reference.market
        self.venue: BinancePositioning = VENUE(self.reference, SimulatedClock(0))
        for _ in range(seconds * 10):
            self.venue.frames(self.reference.tick())
        config = load(overrides={"feeds": {"binance_positioning": {"urls": {"rest": BASE}}}})[0]
        instruments = [Instrument(id=s, group="x") for s in SYMBOLS]
        self.feed: Positioning = build(config.feeds["binance_positioning"], instruments)
        self.venue.ports.close()

    def raw(self, url: str) -> Any:
        parts = urlsplit(url)
        answer = self.venue.answer(parts.path, dict(parse_qsl(parts.query)), None)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def events(self, request: Request) -> list[Any]:
        data = json.dumps(self.raw(request.url)).encode()
        context = Context(recv=self.market.now, url=request.url, symbol=request.symbol)
        return list(self.feed.decode(data, context))

    def backfill(self, part: str) -> list[Request]:
        return [r for r in self.feed.backfill(self.market.now, SYMBOLS) if part in r.url]


@pytest.fixture(scope="module")
def asked() -> Asked:
    return Asked()


def test_every_poll_is_answered_and_decoded(asked: Asked) -> None:
    asked.venue.unlisted.clear()
    kinds = set()
    for poll in asked.feed.polls():
        for event in asked.events(poll.request):
            kinds.add(type(event))
            assert event.ts <= asked.market.now
    assert kinds == {OpenInterest, Ratio}


def test_open_interest_is_that_of_the_positions(asked: Asked) -> None:
    requests = [p.request for p in asked.feed.polls() if "openInterest" in p.request.url]
    found = {event.symbol: event.base for r in requests for event in asked.events(r)}
    for symbol, held in zip(SYMBOLS, asked.venue.shadow.interest, strict=True):
        assert found[symbol] == pytest.approx(held, rel=1e-6)


def test_history_is_the_same_in_every_page(asked: Asked) -> None:
    """What an hour's row says, the five-minute row of that moment says too."""
    for measure in ("openInterestHist", "globalLongShortAccountRatio"):
        url = f"{BASE}/futures/data/{measure}?symbol=BTCUSDT&limit=30"
        hours, fives = asked.raw(f"{url}&period=1h"), asked.raw(f"{url}0&period=5m")
        key = "sumOpenInterest" if measure == "openInterestHist" else "longShortRatio"
        fine = {row["timestamp"]: row[key] for row in fives}
        shared = [row for row in hours if row["timestamp"] in fine]
        assert len(shared) > 20
        assert all(fine[row["timestamp"]] == row[key] for row in shared)


def test_backfill_reaches_thirty_days_without_a_hole(asked: Asked) -> None:
    now = asked.market.now
    times = {
        event.ts
        for request in asked.backfill("openInterestHist?symbol=BTCUSDT&period=1h")
        for event in asked.events(request)
    }
    in_order = np.array(sorted(times)) // (3600 * NS)
    assert (np.diff(in_order) == 1).all()
    assert now // (3600 * NS) - in_order[0] == 719
    assert max(times) <= now


def test_open_interest_ends_where_the_live_part_goes_on(asked: Asked) -> None:
    rows = asked.raw(f"{BASE}/futures/data/openInterestHist?symbol=BTCUSDT&period=5m&limit=30")
    held = np.array([float(row["sumOpenInterest"]) for row in rows])
    assert abs(np.diff(np.log(held))).max() < 0.01
    value = float(rows[-1]["sumOpenInterestValue"]) / held[-1]
    assert value == pytest.approx(asked.market.mids[0] * 0.1, rel=0.02)


def test_taker_ratio_is_that_of_the_candles(asked: Asked) -> None:
    rows = asked.raw(f"{BASE}/futures/data/takerlongshortRatio?symbol=PEPEUSDT&period=5m".replace(
        "PEPE", "1000PEPE"))  # fmt: skip
    at, row = rows[-1]["timestamp"] // 1000, rows[-1]
    _, bars = asked.market.bars.select(1, 60, at - 300, at - 60)
    assert len(bars) == 5
    assert float(row["buyVol"]) == pytest.approx(bars[:, 5].sum())
    assert float(row["sellVol"]) == pytest.approx((bars[:, 4] - bars[:, 5]).sum())


def test_fundings_are_eight_hours_apart(asked: Asked) -> None:
    for request in asked.backfill("fundingRate"):
        events = asked.events(request)
        assert all(type(event) is Funding for event in events)
        times = np.array([event.ts for event in events])
        assert len(times) == 300
        assert (np.diff(times) == 8 * 3600 * NS).all()
        rates = np.array([event.rate_8h for event in events])
        assert abs(rates).max() < 1e-3
        assert 0 < rates.std() < 2e-4


def test_accounts_lean_against_the_price_and_large_positions_with_it(asked: Asked) -> None:
    hours = np.arange(asked.market.start // NS // 3600 - 600, asked.market.start // NS // 3600)
    times = hours * 3600.0
    moves = asked.venue._moves(0, times)
    for measure, sign in (("global_accounts", -1), ("top_positions", 1)):
        waves = asked.venue.positioning.ratio(measure, 0, times)
        leaning = np.log(asked.venue.ratio(measure, 0, times) / waves)
        assert np.sign(np.corrcoef(leaning, moves)[0, 1]) == sign


def test_ratios_foretell_nothing() -> None:
    """Their changes are not correlated with the returns that follow, over half a year."""
    market = SimulatedMarket(SYMBOLS, seed=8)
    venue = VENUE(Reference(market), SimulatedClock(0))
    venue.ports.close()
    end = market.start // NS // 3600 * 3600
    times = np.arange(end - 170 * 86400, end - 8 * 3600, 3600.0)
    ratio = np.diff(np.log(venue.ratio("global_accounts", 0, times)))
    later = venue._moves(0, times + 8 * 3600)[1:]
    assert abs(np.corrcoef(ratio, later)[0, 1]) < 4 / np.sqrt(len(times) / 8)


def test_bad_requests_are_refused(asked: Asked) -> None:
    place = "/futures/data/openInterestHist"
    good = {"symbol": "BTCUSDT", "period": "5m"}
    for change in ({"symbol": "XUSDT"}, {"period": "7m"}, {"limit": "501"}, {"limit": "x"}):
        assert asked.venue.answer(place, {**good, **change}, None).status == 400
    assert asked.venue.answer(place, good, None).status == 200


def test_the_catalogue_can_lack_a_symbol(asked: Asked) -> None:
    path = "/fapi/v1/exchangeInfo"
    asked.venue.unlisted.add("PEPEUSDT")
    assert asked.feed.listed(asked.venue.answer(path, {}, None).body) == {"BTCUSDT"}
    asked.venue.unlisted.clear()
    assert asked.feed.listed(asked.venue.answer(path, {}, None).body) == set(SYMBOLS)


class TestShapes:
    pytestmark = recorded

    @pytest.mark.parametrize(
        ("path", "new"),
        [
            ("/futures/data/openInterestHist", set()),
            ("/futures/data/topLongShortAccountRatio", set()),
            ("/futures/data/topLongShortPositionRatio", set()),
            ("/futures/data/globalLongShortAccountRatio", set()),
            ("/futures/data/takerlongshortRatio", set()),
            ("/fapi/v1/fundingRate", {"markPrice"}),
            ("/fapi/v1/openInterest", set()),
        ],
    )
    def test_rows_have_the_recorded_keys(self, asked: Asked, path: str, new: set[str]) -> None:
        routes = json.loads((WIRE / "rest" / "binance_usdm_rest.json").read_text())["routes"]
        answers = [answer["data"] for answer in routes[path]["GET"] if answer["data"]]
        rows = [a[0] if isinstance(a, list) else a for a in answers]
        real = next(row for row in rows if "pair" not in row)
        ours = asked.raw(f"{BASE}{path}?symbol=BTCUSDT&period=5m&limit=5")
        ours = ours[0] if isinstance(ours, list) else ours
        assert ours.keys() - new == real.keys()
        assert all(type(ours[key]) is type(real[key]) for key in real)
