"""Health of feeds: stream states, lag and clock, silence limits, blind time, what is refused."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import NS
from engine.events import BookSnapshot, FeedStatus, Mark, OpenInterest, Trade
from engine.feeds.budget import Usage
from engine.feeds.feed import build_feed
from engine.market.listed import Listed
from engine.runtime.health import feed_health
from engine.runtime.inputs import fed_inputs
from engine.runtime.pipeline import Pipeline
from engine.runtime.silence import MOST, TIMES, Habit, Silence
from engine.runtime.tally import FeedTally, Offset
from engine.snapshot import Allowance

START = 1_750_000_000 * NS
MS = 1_000_000


class Stand:
    """A pipeline with these feeds, and hands to put things into it."""

    def __init__(self, settings, *names: str) -> None:
        symbols = [s for s in settings.symbols if s.id in ("BTCUSDT", "ETHUSDT")]
        self.config = msgspec.structs.replace(settings, symbols=symbols)
        feeds = {n: build_feed(n, self.config.feeds[n], self.config.instruments) for n in names}
        self.pipeline = Pipeline(self.config, feeds)
        self.ids = 0

    def health(self, now: int, name: str = "binance"):
        return feed_health(self.pipeline, name, now)

    def status(self, state: str, at: int, connection: str = "public", stream: str | None = None,
               note: str = "", feed: str = "binance",
               symbol: str | None = None) -> None:  # fmt: skip
        self.pipeline.on_status(
            FeedStatus(venue="binance", market="perp", symbol=symbol, ts=at, recv=at, feed=feed,
                       connection=connection, state=state, stream=stream, note=note)
        )  # fmt: skip

    def take(self, *events, size: int = 100, feed: str = "binance", url: str = "") -> None:
        self.pipeline.on_events(feed, events[0].recv, size, events, url)

    def trade(self, recv: int, late: int = 0, history: bool = False, symbol="BTCUSDT") -> None:
        self.ids += 1
        self.take(Trade(**common(recv, symbol, late, history), price=1.0, size=1.0, side="buy",
                        id=self.ids))  # fmt: skip

    def mark(self, recv: int, feed: str = "binance", symbol="BTCUSDT") -> None:
        self.take(Mark(**common(recv, symbol), mark=1.0, index=None), feed=feed)


def common(recv: int, symbol: str = "BTCUSDT", late: int = 0, history: bool = False) -> dict:
    return {"venue": "binance", "market": "perp", "symbol": symbol, "ts": recv - late,
            "recv": recv, "history": history}  # fmt: skip


@pytest.fixture
def stand(settings) -> Stand:
    return Stand(settings, "binance")


# -- states ------------------------------------------------------------------------------------


def test_a_stream_goes_through_its_states(stand):
    def trades(at: int):
        return stand.health(at).streams["trade"]

    assert trades(START).state == "connecting"
    stand.status("connected", START, "market", "trade")
    assert trades(START).state == "connected"
    stand.status("acked", START, "market", "trade")
    assert trades(START).state == "acked"
    stand.trade(START + NS)
    half = trades(START + 2 * NS)
    assert (half.state, half.states) == ("acked", {"fresh": 1, "acked": 1})
    assert (half.ready, half.total, half.missing) == (1, 2, ("ETHUSDT",))
    stand.trade(START + 2 * NS, symbol="ETHUSDT")
    assert trades(START + 3 * NS).state == "fresh"
    assert trades(START + 3 * NS).age == 1.0
    assert trades(START + 3 * NS).limit == 30.0
    assert trades(START + 40 * NS).state == "stale"


def test_a_book_is_synced_by_its_snapshot_and_lost_with_its_socket(stand):
    stand.status("connected", START, "public", "depth")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        stand.take(BookSnapshot(**common(START, symbol), bids=[(1.0, 1.0)], asks=[(2.0, 1.0)],
                                seq=5))  # fmt: skip
    assert stand.health(START + NS).streams["depth"].state == "synced"
    stand.status("closed", START + 2 * NS, "public", "depth")
    lost = stand.health(START + 2 * NS).streams["depth"]
    assert (lost.state, lost.ready, lost.age) == ("connecting", 0, 2.0)


def test_a_socket_that_carried_one_symbol_takes_that_one_alone(stand):
    stand.status("connected", START, "public", "depth")
    for symbol in ("BTCUSDT", "ETHUSDT"):
        stand.take(BookSnapshot(**common(START, symbol), bids=[(1.0, 1.0)], asks=[(2.0, 1.0)],
                                seq=5))  # fmt: skip
    stand.status("closed", START + 2 * NS, "public-2", "depth", symbol="ETHUSDT")
    half = stand.health(START + 2 * NS).streams["depth"]
    assert (half.states, half.missing) == ({"synced": 1, "connecting": 1}, ("ETHUSDT",))
    listed = stand.pipeline.market.listed
    assert listed["binance", "BTCUSDT"].book.synced
    assert not listed["binance", "ETHUSDT"].book.synced
    stand.take(BookSnapshot(**common(START + 3 * NS, "ETHUSDT"), bids=[(1.0, 1.0)],
                            asks=[(2.0, 1.0)], seq=9))  # fmt: skip
    assert stand.health(START + 3 * NS).streams["depth"].state == "synced"


def test_the_dollar_leg_counts_like_a_symbol(settings):
    stand = Stand(settings, "coinbase")
    stand.status("connected", START, "ticker", "trade", feed="coinbase")
    for n, symbol in enumerate(("BTCUSDT", "ETHUSDT", "USDTUSD")):
        trades = stand.health(START + NS, "coinbase").streams["trade"]
        assert (trades.ready, trades.total) == (n, 3)
        trade = Trade(**{**common(START, symbol), "venue": "coinbase", "market": "spot"},
                      price=1.0, size=1.0, side="buy", id=n)  # fmt: skip
        stand.take(trade, feed="coinbase")
    assert stand.health(START + NS, "coinbase").streams["trade"].state == "fresh"
    assert ("coinbase", "USDTUSD") not in stand.pipeline.market.listed


def test_silent_liquidations_are_in_order_while_the_socket_is_open(stand):
    stand.status("acked", START, "market", "liquidation")
    assert stand.health(START + 400 * NS).streams["liquidation"].state == "fresh"
    stand.status("closed", START + 401 * NS, "market", "liquidation")
    assert stand.health(START + 402 * NS).streams["liquidation"].state == "connecting"


def test_an_unlisted_symbol_is_not_expected(stand):
    feed = stand.pipeline.feeds["binance"]
    row = {"symbol": "ETHUSDT", "status": "TRADING", "contractType": "PERPETUAL",
           "quoteAsset": "USDT"}  # fmt: skip
    feed.listed(msgspec.json.encode({"symbols": [row]}))
    stand.trade(START)
    stand.pipeline.run_until(START + 11 * NS)
    assert stand.health(START + 12 * NS).streams["trade"].missing == ("ETHUSDT",)
    assert stand.health(START + 12 * NS).streams["trade"].total == 1


def test_refused_requests_do_not_hide_working_sockets(stand):
    stand.status("blocked", START, "rest", note="HTTP 403: refused from this place")
    assert stand.health(START).state == "blocked"
    stand.trade(START)
    health = stand.health(START + NS)
    assert health.state == "partial"
    assert health.refused == {"rest": "HTTP 403: refused from this place"}
    assert health.note == "HTTP 403: refused from this place"
    stand.status("connected", START + 2 * NS, "rest")
    assert stand.health(START + 3 * NS).refused == {}


def test_a_missing_symbol_is_told_after_graver_things(stand):
    stand.status("error", START, "catalogue", note="ETHUSDT is not listed")
    assert stand.health(START).note == "ETHUSDT is not listed"
    stand.status("error", START, "public", note="ConnectionRefusedError")
    assert stand.health(START).note == "ConnectionRefusedError"


# -- two feeds of one venue --------------------------------------------------------------------


def test_feeds_of_one_venue_count_their_own(settings):
    stand = Stand(settings, "binance", "binance_positioning")
    stand.mark(START, feed="binance_positioning")
    assert stand.health(START).streams["mark"].state == "connecting", "not by this feed"
    stand.mark(START + NS)
    assert stand.health(START + 2 * NS).streams["mark"].states == {"fresh": 1, "connecting": 1}
    listed = stand.pipeline.market.listed["binance", "BTCUSDT"]
    listed.book.gaps, listed.trade_gaps = 2, 3
    assert stand.health(START).gaps == 5
    assert stand.health(START, "binance_positioning").gaps == 0
    stand.pipeline.market.drops["repeated trade"] = 4
    assert stand.health(START).dropped == 4
    assert stand.health(START, "binance_positioning").dropped == 0


def test_polls_are_streams_by_their_purpose(settings):
    stand = Stand(settings, "binance_positioning")
    feed = stand.pipeline.feeds["binance_positioning"]
    polls = [p for p in feed.polls() if p.request.symbol]
    poll = polls[0]
    purpose, symbol = poll.request.purpose, poll.request.symbol

    def stream(at: int):
        return stand.health(at, "binance_positioning").streams[purpose]

    assert stream(START).state == "connecting"
    event = OpenInterest(**common(START, symbol), base=1.0, usd=None)
    stand.take(event, event, feed="binance_positioning", url=poll.request.url)
    told = stream(START + 2 * NS)
    assert (told.events, told.age, told.limit >= 3 * poll.every) == (2, 2.0, True)
    mates = [p for p in polls if p.request.purpose == purpose and p.request.symbol == symbol]
    for mate in mates:
        stand.take(event, feed="binance_positioning", url=mate.request.url)
    assert symbol not in stream(START + NS).missing
    later = START + int((told.limit + 5) * NS)
    assert symbol in stream(later).missing
    for mate in mates:
        stand.status("acked", later, "rest", purpose, mate.request.url, "binance_positioning")
    assert symbol not in stream(later).missing, "an answer without news is an answer"


# -- lag and clock -----------------------------------------------------------------------------


def test_lag_is_what_exceeds_the_clock_offset(stand):
    for n in range(200):
        stand.trade(START + n * NS, late=-300 * MS + (n % 100) * MS)
    health = stand.health(START + 200 * NS)
    assert health.offset_ms == -300
    assert health.lag_p50_ms == pytest.approx(49, abs=1)
    assert health.lag_p99_ms == pytest.approx(98, abs=1)


def test_history_and_impossible_times_tell_nothing_of_lag(stand):
    assert stand.health(START).lag_p50_ms is None
    assert stand.health(START).offset_ms is None
    stand.trade(START, late=-20 * NS, history=True)
    stand.trade(START + NS, late=2 * 3600 * NS)
    stand.take(OpenInterest(**common(START + 2 * NS, late=400 * NS), base=1.0, usd=None))
    assert stand.health(START + NS).offset_ms is None


def test_a_clock_set_back_is_noticed_and_a_queue_is_not_taken_for_it():
    offset = Offset()
    offset.add(START, -40 * NS)
    for second in range(1, 20):
        offset.add(START + second * NS, (second + 5) * NS - 40 * NS if second < 15 else -40 * NS)
    assert offset.value == -40 * NS, "late for a while, then in time again"
    for second in range(20, 40):
        offset.add(START + second * NS, 40 * NS + second)
        assert offset.value == (-40 * NS if second < 35 else 40 * NS + 20)


def test_the_clock_offset_forgets_after_ten_minutes():
    offset = Offset()
    offset.add(START, 5)
    for minute in range(1, 16):
        offset.add(START + minute * 60 * NS, 50 + minute)
        assert minute >= 5 or offset.value == 5
        assert minute < 10 or offset.value > 50
    offset.add(START + 3 * 3600 * NS, 90)
    assert offset.value == 90, "what was before a long silence is too old"


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(-1000, 1000)), min_size=1))
def test_the_clock_offset_is_the_least_of_the_last_minutes(samples):
    offset, now, seen = Offset(), START, []
    for pause, difference in samples:
        now += pause * NS
        offset.add(now, difference)
        seen.append((now, difference))
        assert offset.value <= min(d for at, d in seen if at // (300 * NS) == now // (300 * NS))
        assert offset.value in [d for at, d in seen if now - at < 600 * NS]


def test_one_frame_brings_one_sample_at_most():
    tally = FeedTally()
    for n in range(10_000):
        event = Trade(**common(START + n * MS, late=n), price=1.0, size=1.0, side="buy", id=n)
        tally.take(event.recv, 10, (event,) * 3)
    assert len(tally._lags) == 200
    assert tally.events == 30_000


# -- silence -----------------------------------------------------------------------------------


def test_a_thin_stream_earns_a_longer_limit(settings):
    """One print in 25 s: floor 10 s would call it stale most of the time."""
    habit, recv = Habit(10 / TIMES), 0
    for step in range(1, 200):
        now = START + step * 10 * NS
        recv = START + (step * 10 // 25) * 25 * NS
        habit.look(recv, now)
    assert 15 <= habit.gap <= 25


@pytest.mark.slow
def test_an_outage_does_not_teach_to_wait_for_it(stand):
    tally, silence = stand.pipeline.tallies["binance"], stand.pipeline.silence
    for second in range(300):
        stand.mark(START + second * NS)
    usual = silence.limit("binance", "mark", "BTCUSDT")
    assert usual == pytest.approx(10, rel=0.5)
    stand.mark(START + 600 * NS)
    stand.pipeline.run_until(START + 620 * NS)
    assert silence.limit("binance", "mark", "BTCUSDT") <= 1.4 * usual
    stand.status("closed", START + 630 * NS, "market", "mark")
    before = silence.limit("binance", "mark", "BTCUSDT")
    stand.mark(START + 930 * NS)
    stand.pipeline.run_until(START + 950 * NS)
    assert silence.limit("binance", "mark", "BTCUSDT") <= before
    assert tally.streams["mark"] == ("BTCUSDT", "ETHUSDT")


@given(st.lists(st.floats(0.01, 5000), max_size=200), st.floats(1, 100))
def test_limits_stay_within_their_bounds(gaps, floor):
    silence, tally = Silence({"mark": floor}), FeedTally()
    tally.streams = {"mark": ("BTCUSDT",)}

    listed, now = Listed("binance", "BTCUSDT", 0), START
    for gap in gaps:
        now += int(gap * NS)
        tally.take(now, 1, (Mark(**common(now), mark=1.0, index=None),))
        listed.others_at["mark"] = now
        silence.step("x", tally, {"BTCUSDT": listed}, now + 5 * NS)
        limit = silence.limit("x", "mark", "BTCUSDT")
        assert floor <= limit <= MOST * floor
    assert silence.limit("x", "mark", "UNKNOWN") == floor


# -- counts ------------------------------------------------------------------------------------


def test_rates_are_those_of_the_last_step(stand):
    for n in range(400):
        stand.trade(START + n * NS // 10, symbol=("BTCUSDT", "ETHUSDT")[n % 2])
    health = stand.health(START + 40 * NS)
    assert health.events_per_s == pytest.approx(10, rel=0.05)
    assert health.bytes_per_s == pytest.approx(1000, rel=0.05)
    assert health.streams["trade"].events_per_s == pytest.approx(10, rel=0.05)
    assert health.streams["trade"].events == 400


def test_blind_time_is_counted_once_and_runs_while_it_lasts(stand):
    for stream in ("depth", "quote"):
        stand.status("closed", START, "public", stream)
    assert stand.health(START + 4 * NS).blind_s == 4
    for stream in ("depth", "quote"):
        stand.status("connected", START + 5 * NS, "public", stream)
    assert stand.health(START + 60 * NS).blind_s == 5
    stand.status("connected", START + 6 * NS, "public", note="7.250 s blind")
    health = stand.health(START + 60 * NS)
    assert (health.blind_s, health.reconnects) == (7.25, 1)
    stand.status("connected", START + 7 * NS, "public", note="nonsense s blind")
    assert stand.health(START + 60 * NS).blind_s == 7.25


def test_limits_used_are_those_of_a_live_session_and_unknown_in_a_replay(stand):
    assert stand.health(START).requests is None
    assert stand.health(START).connects is None
    stand.pipeline.usage["binance"] = lambda: Usage(40.0, 1200.0, 2.0, 30.0, {"sink failed": 3})
    health = stand.health(START)
    assert health.requests == Allowance(40.0, 1200.0)
    assert health.connects == Allowance(2.0, 30.0)
    assert health.dropped_by_reason["sink failed"] == 3


def test_inputs_are_the_reference_venues_or_two_venues_own(settings):
    def fed(*names: str) -> frozenset[str]:
        feeds = [build_feed(n, settings.feeds[n], settings.instruments) for n in names]
        return fed_inputs(feeds, ["BTCUSDT"], "binance")["BTCUSDT"]

    assert {"trades", "book", "bars"} <= fed("binance")
    assert not any(need.startswith("venues:") for need in fed("binance", "coinbase"))
    assert fed("bybit", "okx") & {"trades", "book", "oi", "venues:trades", "venues:book"} == {
        "venues:trades",
        "venues:book",
    }
    assert "options" in fed("deribit")
