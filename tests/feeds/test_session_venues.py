"""What other venues need of the session: headers, resubscription, replies, budgets, catalogues."""

import asyncio
from itertools import pairwise

import pytest

from engine.clock import NS
from engine.feeds.feed import DecodeError


def times(venue, path: str) -> list[float]:
    """Seconds at which a path was asked for."""
    return [at / NS for at, target in venue.requests if target.partition("?")[0].endswith(path)]


async def test_headers_go_with_handshakes_and_requests(venue, plan):
    async with plan(of={"headers": {"X-Gate-Size-Decimal": "1"}}) as run:
        await run.until(lambda: run.on("public"))
    assert all(h.get("X-Gate-Size-Decimal") == "1" for h in venue.handshake_heads)
    assert all(h.get("x-gate-size-decimal") == "1" for h in venue.heads)
    assert venue.handshake_heads
    assert "blackperp-cockpit/" in venue.heads[0]["user-agent"]


def resubscriptions(venue) -> list[tuple[str, int, str, str]]:
    """(route, when, method, stream) of the commands that resubscribe."""
    return [
        (path, at, command["method"], command["params"][0])
        for path, at, command in venue.commands
        if command["id"] == 9
    ]


async def test_resubscribing_is_spaced_told_and_on_the_right_socket(venue, clock, plan):
    async with plan(of={"streaming": True, "catalogue": False}) as run:
        await run.until(lambda: run.states("connected", "public") and len(run.on("public")) > 5)
        run.session.heal("BTCUSDT")
        await asyncio.sleep(0.05)
        assert not resubscriptions(venue), "a fresh subscription is given time"
        await clock.sleep(6)
        for _ in range(50):
            run.session.heal("BTCUSDT")
            run.session.heal("ETHUSDT")
        await run.until(lambda: len(resubscriptions(venue)) == 4)
        await asyncio.sleep(0.05)
    sent = resubscriptions(venue)
    assert {path for path, *_ in sent} == {"/public/stream"}
    assert [(method, stream[:3]) for _, _, method, stream in sent] == [
        ("UNSUBSCRIBE", "btc"), ("SUBSCRIBE", "btc"), ("UNSUBSCRIBE", "eth"), ("SUBSCRIBE", "eth")
    ]  # fmt: skip
    assert sent[-1][1] - sent[0][1] >= 3 * 0.19 * NS, "5 messages a second, over both books"
    resyncs = [(s.connection, s.stream, s.symbol) for s in run.states("resync")]
    assert resyncs == [("public", "depth", "BTCUSDT"), ("public", "depth", "ETHUSDT")]


async def test_repeated_resubscribing_grows_apart(venue, clock, plan):
    async with plan(of={"streaming": True, "catalogue": False}, symbols=("BTCUSDT",)) as run:
        await run.until(lambda: len(run.on("public")) > 5)
        await clock.sleep(6)
        for _ in range(300):
            run.session.heal("BTCUSDT")
            await clock.sleep(0.1)
    asked = [at / NS for _, at, method, _ in resubscriptions(venue) if method == "SUBSCRIBE"]
    gaps = [b - a for a, b in pairwise(asked)]
    assert 4 <= len(asked) <= 6
    assert all(gap >= least - 0.3 for gap, least in zip(gaps, (1, 2, 4, 8, 16), strict=False))


async def test_a_failed_rotation_leaves_resubscribing_to_the_old_socket(venue, clock, plan):
    run = plan(of={"streaming": True, "catalogue": False}, symbols=("BTCUSDT",), streams=["depth"])
    run.feed.changes = {"max_age": 8.0}
    async with run:
        await run.until(lambda: len(run.on("public")) > 5)
        venue.refusals = [(503, {})] * 200
        await run.until(lambda: len(run.states("error", "public")) >= 2)
        run.session.heal("BTCUSDT")
        await run.until(lambda: len(resubscriptions(venue)) == 2)
        assert venue.opened == 1


async def test_nothing_is_resubscribed_without_a_socket(venue, plan):
    async with plan(of={"streaming": True, "catalogue": False}) as run:
        run.session.heal("BTCUSDT")
        venue.refusals = [(503, {})] * 100
        await run.until(lambda: len(run.on("public")) > 5 or len(run.states("error")) > 3)
        run.session.heal("BTCUSDT")
        await asyncio.sleep(0.05)
    assert not run.states("resync")


async def test_a_venues_ping_is_answered_at_once(venue, plan):
    """Even while a long list of subscriptions waits for its turn."""
    run = plan(streams=["trade"])
    answer = '{"method":"public/test","id":8}'
    run.feed.changes = {
        "reply": ('"test_request"', answer),
        "subscribe": ('{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":1}',) * 20,
        "sends_per_second": 0.5,
    }
    venue.extra = ['{"method":"heartbeat","params":{"type":"test_request"}}']
    async with run:
        await run.until(lambda: any(c["id"] == 8 for _, _, c in venue.commands))
    subscribed = [c for _, _, c in venue.commands if c["id"] == 1]
    assert len(subscribed) < 20


async def test_pings_begin_before_the_last_subscription(venue, plan):
    run = plan(streams=["trade"])
    run.feed.changes = {
        "ping": ('{"method":"ping","id":7}', 4.0),
        "subscribe": ('{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":1}',) * 20,
        "sends_per_second": 1.0,
    }
    async with run:
        await run.until(lambda: sum(c["id"] == 7 for _, _, c in venue.commands) >= 2)
    assert sum(c["id"] == 1 for _, _, c in venue.commands) < 20


async def test_pongs_are_no_data(venue, plan):
    run = plan(symbols=("BTCUSDT",), streams=["depth"])
    run.feed.changes = {"subscribe": ('{"method":"NONE","id":1}',)}
    venue.extra = ["pong", '{"op":"pong"}', '{"method":"heartbeat"}', '{"type":"connected"}']
    async with run:
        await run.until(lambda: len(run.on("public")) > 40)
        assert not times(venue, "depth"), "a book is asked for once its stream brings data"


async def test_a_reconnect_storm_is_held_by_the_budget(venue, clock, plan):
    async with plan(streams=["trade"], connects=4) as run:
        began = clock.now()
        while clock.now() - began < 150 * NS:
            for socket in list(venue.sockets):
                socket.transport.abort()
            await asyncio.sleep(0.01)
        usage = run.session.usage()
    assert len(venue.connected) >= 8
    begun = [status.ts for status in run.states("connecting")]
    assert max(sum(at - 59 * NS < other <= at for other in begun) for at in begun) <= 4
    assert (usage.connect_budget, usage.connects <= 4) == (4, True)


# -- the catalogue -----------------------------------------------------------------------------


async def test_a_refused_catalogue_does_not_delay_connecting(venue, clock, plan):
    venue.faults["exchangeInfo"] = [(403, {})] * 9
    began = clock.now()
    async with plan() as run:
        await run.until(lambda: venue.connected)
        assert venue.connected[0][0] - began < 8 * NS
        await run.until(lambda: len(run.on("public")) > 5)
    assert run.states("blocked", "rest")


async def test_a_hanging_catalogue_delays_connecting_a_little(venue, clock, plan, patience):
    venue.hung.add("exchangeInfo")
    clock.patience = 20
    began = clock.now()
    async with plan() as run:
        await run.until(lambda: venue.connected)
    assert venue.connected[0][0] - began < (0.5 * patience.connect_timeout + 5) * NS


async def test_a_failed_catalogue_is_asked_again_while_everything_is_tried(venue, plan):
    venue.listed = ["BTCUSDT"]
    venue.faults["exchangeInfo"] = [(500, {})] * 2
    async with plan() as run:
        await run.until(lambda: any("ethusdt" in str(c) for _, _, c in venue.commands))
        await run.until(lambda: run.states("error", "catalogue"))
        await run.until(lambda: len(venue.commands) == 4)
    assert len(venue.connected) == 4
    first, last = times(venue, "exchangeInfo")[1:3]
    assert 30 <= last - first < 40
    assert run.states("error", "catalogue")[0].note == "ETHUSDT is not listed"
    later = [param for _, _, command in venue.commands[2:] for param in command["params"]]
    assert later
    assert not any(param.startswith("ethusdt") for param in later)


async def test_an_unchanged_catalogue_disturbs_no_socket(venue, plan):
    async with plan() as run:
        await run.until(lambda: len(run.on("public")) > 5)
        answer = next(f.data for f in run.on("rest") if "exchangeInfo" in f.url)
        run.session._learn(run.feed.catalogue_request(), answer)
        seen = len(run.on("public"))
        await run.until(lambda: len(run.on("public")) > seen + 20)
    assert len(venue.connected) == 2
    assert sum("exchangeInfo" in f.url for f in run.on("rest")) == 2, "the sink learns it too"


async def test_a_catalogue_without_our_symbols_is_a_failure(venue, plan):
    async with plan() as run:
        await run.until(lambda: len(run.on("public")) > 5)
        run.feed.listed = lambda answer: frozenset()
        with pytest.raises(DecodeError):
            run.session._learn(run.feed.catalogue_request(), b"{}")


async def test_one_bad_symbol_kills_its_socket_until_the_catalogue_is_known(venue, plan):
    venue.listed, venue.fatal = ["BTCUSDT"], "ethusdt@depth"
    venue.faults["exchangeInfo"] = [(500, {})] * 2
    async with plan() as run:
        await run.until(lambda: len(run.states("closed", "public")) >= 4)
        carried = len(run.on("market"))
        assert carried > 0, "the other socket goes on"
        await run.until(lambda: len(run.on("market")) > carried)
        await run.until(lambda: len(run.on("public")) > 50)
        assert len(venue.connected) < 40
    killed = run.states("closed", "public")
    assert all("Closed" in s.note for s in killed[:2])
