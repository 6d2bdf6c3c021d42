"""What the scenarios by name claim, measured from the truth and, of a stall, from the engine."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from engine.clock import NS, SimulatedClock
from engine.config import Config, load
from engine.decision.decide import Decision
from engine.jobs.demo import Demo
from engine.jobs.offline import Offline
from engine.sim.market import SimulatedMarket
from engine.sim.market.book import Order, TrueBook
from engine.sim.market.chance import Array, stream
from engine.sim.market.listings import listing_of
from engine.sim.market.marks import CAPS
from engine.sim.market.scenario import SCENARIOS, Phase, Scenario, Schedule, Wall
from engine.sim.market.shadow import Reference, Shadow
from engine.sim.venues.base import ShadowVenue, venue_class
from engine.snapshot import Snapshot

BTC = "BTCUSDT"
THREE = (BTC, "ETHUSDT", "PEPEUSDT")
BPS = 1e4


def run(market: SimulatedMarket, minutes: float) -> list[Any]:
    """Advance up to so many minutes since the start; the ticks of it."""
    ticks = []
    while market.elapsed < 60 * minutes:
        ticks.append(market.tick())
    return ticks


def tape_of(market: SimulatedMarket) -> list[list[tuple[int, ...]]]:
    return [[tuple(fill) for fill in tape] for tape in market.tapes]


# -- the knobs -----------------------------------------------------------------------------


def test_knobs_at_rest_change_nothing() -> None:
    plain = replace(SCENARIOS["default"], phases=())
    idle = Phase(start=0.0, end=1e6, lag=0.0, premium=(0.0, 0.0), building=0.0)
    markets = [
        SimulatedMarket((BTC,), scenario, seed=7, rate=0.3)
        for scenario in (plain, replace(plain, phases=(idle,)))
    ]
    for market in markets:
        run(market, 0.25)
    one, two = markets
    assert tape_of(one) == tape_of(two)
    assert len(one.tapes[0])
    np.testing.assert_array_equal(one.mark.rate, two.mark.rate)
    np.testing.assert_array_equal(one.positions.size, two.positions.size)


def test_shorts_of_their_own_leave_the_longs_as_they_were() -> None:
    one, two = (
        SimulatedMarket((BTC,), replace(SCENARIOS["default"], crowded_shorts=crowded), seed=3)
        for crowded in (0.0, 2.5)
    )
    for name in ("size", "entry", "liquidation"):
        np.testing.assert_array_equal(
            getattr(one.positions, name)[0], getattr(two.positions, name)[0]
        )
    room = [m.positions.liquidation[1] / m.positions.entry[1] - 1 for m in (one, two)]
    # Of twenty times and more: 27 % of the usual, 47 % of the crowded.
    usual, crowded = [float((near < 0.05).mean()) for near in room]
    assert (usual, crowded) == (pytest.approx(0.27, abs=0.1), pytest.approx(0.47, abs=0.1))


def test_a_lag_delays_some_and_takes_nothing_away() -> None:
    symbols = (BTC, "ETHUSDT", "SOLUSDT", "ARBUSDT", "DOGEUSDT", "ADAUSDT", "XRPUSDT", "LINKUSDT")
    listings = [listing_of(symbol) for symbol in symbols]
    phase = Phase(start=10.0, end=40.0, drift=-100.0, symbol=BTC, spill=1.0, lag=20.0)
    schedule = Schedule(Scenario("x", "x", phases=(phase,)), listings, seed=4)
    drift = np.array([schedule.at(float(second), 1.0)[0] for second in range(80)])
    betas = np.array([listing.beta for listing in listings])
    np.testing.assert_allclose(drift.sum(axis=0), -100e-4 * betas, rtol=0.06)
    first = (drift != 0).argmax(axis=0)
    assert first[0] == 10
    assert first.max() <= 30
    assert (first == 10).sum() > 2
    assert (first > 13).sum() > 1


# -- squeeze -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_squeeze_liquidates_shorts_one_above_the_other() -> None:
    market = SimulatedMarket(THREE, "squeeze", seed=1, rate=0.1, dt=1.0)
    forced: dict[bool, float] = {True: 0.0, False: 0.0}
    prices: list[int] = []
    run(market, 6)
    interest, begun = market.positions.interest.copy(), market.mids
    for tick in run(market, 14):
        for listing, played in zip(market.listings, tick.played, strict=True):
            for closed in played.closed:
                usd = closed.size * closed.average * listing.tick * listing.step
                forced[closed.long] += usd
                if listing.id == BTC and not closed.long:
                    prices.append(closed.price)
    assert forced[False] > 2e7
    assert forced[False] > 10 * forced[True]
    rise = BPS * (market.mids / begun - 1)
    assert (rise > 100).all(), rise
    assert (market.positions.interest < interest).all()
    quarter = len(prices) // 4
    assert quarter > 3
    assert BPS * (np.mean(prices[-quarter:]) / np.mean(prices[:quarter]) - 1) > 50


# -- spoof ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_spoofed_wall_is_gone_before_it_is_hit() -> None:
    market = SimulatedMarket((BTC,), "spoof", seed=1, rate=0.2, dt=0.5)
    book, listing = market.books[0], market.listings[0]
    kept = [dict(book.bids), dict(book.asks)]
    usual = np.median(list(book.bids.values()))
    heights: dict[int, int] = {}
    while market.elapsed < 18 * 60:
        played = market.tick().played[0]
        for side, changes in zip(kept, (played.diff.bids, played.diff.asks), strict=True):
            side.update(changes)
            for price in [price for price, size in side.items() if not size]:
                del side[price]
        if book.wall is not None:
            heights[len(market.walls)] = kept[0][book.wall.price]
            assert book.bid - book.wall.price > book.wall.near
        assert kept == [book.bids, book.asks]
    gone = [shown for shown in market.walls if shown.until is not None]
    assert len(gone) >= 12
    # As seen in what the book told: each stood out, none was traded at while it stood.
    assert len(heights) >= len(gone)
    assert min(heights.values()) > 20 * usual
    for shown in gone:
        assert shown.order.taken == 0
        fills = [p for p in market.tapes[0] if shown.since <= p.ms / 1e3 - market.start / NS]
        during = [p for p in fills if p.ms / 1e3 - market.start / NS < shown.until]
        assert shown.order.price not in {p.price for p in during}
    early = [s.order.price for s in gone if s.since < 12 * 60]
    assert market.mids[0] < min(early)
    assert BPS * (market.mids[0] / listing.ticks - 1) < -25


def book_with_wall(away: int = 40, near: int = 12) -> tuple[TrueBook, Order]:
    book = TrueBook(listing_of(BTC), stream(5, "test").random)
    order = Order(True, book.bid - away, 5000, near)
    book.show(order)
    return book, order


def test_a_wall_rests_beside_others_and_leaves_them() -> None:
    book, order = book_with_wall()
    there = book.bids[order.price]
    assert there >= order.size
    luck = stream(6, "churn")
    for _ in range(300):
        book.churn(luck.random(20).tolist())
        book.prune()
        assert book.bids[order.price] >= order.size
    book.hide()
    assert book.bids.get(order.price, 0) < order.size
    assert book.wall is None


def test_a_wall_goes_when_price_comes_near() -> None:
    book, order = book_with_wall()
    book.move(-20, 1)
    assert book.wall is order
    book.move(-10, 1)
    assert book.wall is None
    assert order.taken == 0
    book, order = book_with_wall()
    book.move(-500, 1)
    assert book.wall is None
    assert order.price not in book.bids


def test_a_wall_that_is_reached_is_filled_in_truth() -> None:
    book, order = book_with_wall(away=0, near=-1)
    others = book.bids[order.price] - order.size
    fills = book.take(False, others + 700)
    assert fills == [(order.price, others + 700)]
    assert (order.taken, order.left) == (700, 4300)
    assert book.bids[order.price] == 4300
    book.take(False, 4300)
    assert order.left == 0
    book.hide()
    assert order.price not in book.bids


# -- funding -------------------------------------------------------------------------------

VENUES = ("bybit", "okx", "gate", "deribit", "coinbase")


def shadows_of(reference: Reference) -> dict[str, Shadow]:
    clock, out = SimulatedClock(reference.market.now), {}
    for name in VENUES:
        venue = venue_class(name)(reference, clock)
        assert isinstance(venue, ShadowVenue)
        out[name] = venue.shadow
    return out


def play(reference: Reference, shadows: dict[str, Shadow], minutes: float) -> None:
    while reference.market.elapsed < 60 * minutes:
        tick = reference.tick()
        for shadow in shadows.values():
            shadow.step(tick)


@pytest.mark.slow
def test_crowded_longs_pay_what_the_venues_allow_and_are_relieved() -> None:
    market = SimulatedMarket((BTC,), "funding", seed=1, rate=0.05, dt=1.0)
    reference = Reference(market)
    shadows = shadows_of(reference)
    interest = market.positions.interest.copy()
    rates = {name: CAPS[name] for name in VENUES if name in CAPS}
    assert all((abs(shadows[name].rate) < 0.2 * cap).all() for name, cap in rates.items())
    play(reference, shadows, 24)
    at_cap = [name for name, cap in rates.items() if (shadows[name].rate > 0.99 * cap).all()]
    assert len(at_cap) >= 3
    assert all((shadows[name].rate <= cap).all() for name, cap in rates.items())
    assert (market.mark.rate == CAPS["binance"]).all()
    assert (market.mark.due > CAPS["bybit"]).all()
    premium = BPS * (market.mids / market.mark.index - 1)
    assert (premium > 70).all(), premium
    assert (market.positions.interest > 1.04 * interest).all()
    spot = np.array([(book.bid + book.ask) / 2 for book in shadows["coinbase"].books])
    assert (np.abs(BPS * (spot / shadows["coinbase"].index - 1)) < 15).all()
    play(reference, shadows, 46)
    assert all((shadows[name].rate < cap).all() for name, cap in rates.items())
    assert (market.mark.rate < CAPS["binance"]).all()
    assert (np.abs(market.mids / market.mark.index - 1) * BPS < 20).all()


# -- stress --------------------------------------------------------------------------------


@pytest.mark.slow
def test_in_stress_the_others_follow_btc_by_their_beta() -> None:
    market = SimulatedMarket((*THREE, "ARBUSDT"), "stress", seed=1, rate=0.1, dt=1.0)
    run(market, 5)
    start, logs = market.mids, [np.log(market.mids)]
    for minute in np.arange(5.5, 13.1, 0.5):
        run(market, float(minute))
        logs.append(np.log(market.mids))
    assert BPS * (market.mids[0] / start[0] - 1) < -180
    # Of a minute each, so that those who come a little later are in it too.
    returns: Array = np.diff(np.array(logs)[::2], axis=0)
    leader = returns[:, 0]
    slopes = (returns * leader[:, None]).sum(axis=0) / (leader**2).sum()
    betas = np.array([listing.beta for listing in market.listings])
    assert (np.abs(slopes / betas - 1) < 0.3).all(), slopes
    assert np.mean(slopes[1:] / betas[1:]) == pytest.approx(1.0, abs=0.15)


# -- stale ---------------------------------------------------------------------------------

STALL = (50.0, 150.0)


def stalling(feed: str, begin: float, end: float) -> Scenario:
    return Scenario("stalling", "", phases=(Phase(start=begin, end=end, stalled=feed),))


def config_of(*names: str) -> Config:
    feeds = {n: {"enabled": n in names, "backfill": False} for n in load()[0].feeds}
    symbols = [{"id": symbol, "class": "layer1"} for symbol in THREE[:2]]
    return load(overrides={"symbols": symbols, "feeds": feeds})[0]


def test_the_stale_venue_by_name_is_stale_for_minutes() -> None:
    schedule = Schedule(SCENARIOS["stale"], [listing_of(BTC)])
    silent = [second for second in range(900) if "bybit" in schedule.stalled(float(second))]
    assert (silent[0], silent[-1] + 1) == (180, 420)


@pytest.mark.slow
async def test_a_stale_venue_is_told_and_the_rest_goes_on() -> None:
    pictures: list[tuple[float, Snapshot]] = []

    def told(now: int, decisions: Sequence[Decision]) -> None:
        pictures.append(((now - run.market.start) / NS, run.latest()))

    run = Offline(config_of("binance", "bybit", "okx"), stalling("bybit", *STALL), seconds=195,
                  rate=0.1, dt=1.0, warm_minutes=0, told=told)  # fmt: skip
    await run.run()
    bybit = {at: picture.feeds["bybit"] for at, picture in pictures}
    silent = [at for at in bybit if STALL[0] <= at < STALL[1]]
    for at in silent:
        for name in ("depth", "quote", "trade", "ticker"):
            health = bybit[at].streams[name]
            assert health.limit is not None
            if at - STALL[0] > health.limit + 10:
                assert (health.state, health.ready) == ("stale", 0), (at, name)
                assert bybit[at].state != "ready"
    assert {bybit[at].state for at in silent[-5:]} == {"partial"}
    assert bybit[silent[-1]].frames - bybit[silent[1]].frames < 20
    for at, picture in pictures:
        if at >= 30:
            assert {picture.feeds[n].state for n in ("binance", "okx")} == {"ready"}, at
            assert all(s.modes["scalp"].bias is not None for s in picture.symbols), at
    end = pictures[-1][1].feeds["bybit"]
    assert end.state == "ready"
    assert end.reconnects >= 1
    assert run.network.venues["bybit"].faults.done["stall"] == 1
    assert whole(run, "bybit")


def whole(run: Offline, name: str) -> bool:
    """Whether the books kept of a venue were the true ones at the end."""
    venue, listed = run.network.venues[name], run.engine.pipeline.market.listed
    assert isinstance(venue, ShadowVenue)
    return all(
        listed[name, contract.id].book.seq == truth.seq
        for contract, truth in zip(venue.shadow.contracts, venue.shadow.books, strict=True)
    )


def pictures_of(run: Demo | Offline) -> list[bytes]:
    """A list that will hold what every step shows, without the counts of frames."""
    out: list[bytes] = []
    inner = run.engine.pipeline._on_step

    def stepped(now: int, decisions: list[Decision]) -> None:
        inner(now, decisions)
        out.append(msgspec.json.encode(replace(run.engine.latest(), feeds={}, speed=None)))

    run.engine.pipeline._on_step = stepped
    return out


@pytest.mark.slow
async def test_a_stall_covers_new_sockets_and_ends_by_itself() -> None:
    """Of the reference, over sockets; and without them the same is decided at each step."""
    config, scenario = config_of("binance", "bybit"), stalling("binance", 6.0, 45.0)
    demo = Demo(config, scenario, speed=None, rate=0.2, seconds=72)
    offline = Offline(config, scenario, seconds=72, rate=0.2, warm_minutes=0)
    there, here = pictures_of(demo), pictures_of(offline)
    running = asyncio.create_task(demo.run())
    await demo.clock.sleep(8.0)
    venue, first = demo.venues["binance"], demo.latest().feeds["binance"].frames
    sockets = list(venue.clients)
    assert [client.open for client in sockets] == [True, True]
    await demo.clock.sleep(36.5)
    assert not any(client in sockets or not client.open for client in venue.clients)
    health = demo.latest().feeds["binance"]
    # Acks and the books asked for by REST.
    assert health.frames - first < 20
    assert (health.state, health.streams["mark"].ready) != ("ready", 2)
    await running
    await offline.run()
    health = demo.latest().feeds["binance"]
    assert (health.state, demo.unsettled) == ("ready", 0)
    assert health.reconnects >= 2
    for listing, truth in zip(demo.market.listings, demo.market.books, strict=True):
        book = demo.engine.pipeline.market.listed["binance", listing.id].book
        assert book.seq == truth.seq
    assert len(here) == 8
    assert here == there


def test_a_wall_is_a_wall_of_data() -> None:
    """A scenario is data: one may be made of the knobs, of either side of any symbol."""
    wall = Wall(buy=False, usd=2e6, away=200, near=40, life=10.0, rest=1.0)
    phase = Phase(start=5.0, end=60.0, symbol="ETHUSDT", wall=wall)
    market = SimulatedMarket(THREE[:2], Scenario("x", "x", phases=(phase,)), seed=2, rate=0.2)
    run(market, 1.2)
    assert len(market.walls) >= 3
    assert {shown.symbol for shown in market.walls} == {1}
    assert not any(shown.order.buy for shown in market.walls)
    assert all(shown.until is not None and shown.until <= 60.1 for shown in market.walls)
    assert market.books[1].wall is None
