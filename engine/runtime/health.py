"""How each feed does, stream by stream: transport says what is open, the market what arrives."""

from collections import Counter
from collections.abc import Mapping, Sequence

from engine.clock import NS
from engine.events import FeedStatus
from engine.feeds.budget import Usage
from engine.market.market import Listed
from engine.runtime.pipeline import Pipeline
from engine.runtime.silence import BROUGHT, Receipts
from engine.runtime.tally import Asked, FeedTally
from engine.snapshot import Allowance, FeedHealth, StreamHealth

ORDER = ("off", "connecting", "connected", "acked", "first_data", "stale", "fresh", "synced")
READY = frozenset({"fresh", "synced"})
GRAVITY = ("blocked", "limited", "error")
REFUSED = frozenset({"blocked", "limited"})
COUNTED = frozenset({"depth", "quote", "trade", "mark", "liquidation"})  # by the market itself
MISSED_POLLS = 3.0
POLL_GRACE = 30.0  # seconds an answer may take longer than its pace


def feed_health(pipeline: Pipeline, name: str, now: int) -> FeedHealth:
    """Everything known of one feed as of `now` (ns)."""
    feed, tally = pipeline.feeds[name], pipeline.tallies[name]
    listed = pipeline.listings(feed.venue)
    streams = _streams(pipeline, name, listed, now) | _polls(pipeline, tally, now)
    troubles = [t for (owner, _), t in pipeline.troubles.items() if owner == name]
    trouble = min(troubles, key=_gravity, default=None)
    usage = pipeline.usage[name]() if name in pipeline.usage else None
    drops = _drops(pipeline, name, usage)
    books, tape = "book" in feed.provides, "trades" in feed.provides
    median, worst = tally.lag(0.5, 0.99)
    offset = tally.offset
    return FeedHealth(
        state=_state(streams, trouble.state if trouble else None),
        note=trouble.note if trouble else "",
        streams=streams,
        frames=tally.frames,
        events_per_s=tally.rate,
        dropped=sum(drops.values()),
        dropped_by_reason=dict(sorted(drops.items())),
        gaps=sum(books * x.book.gaps + tape * x.trade_gaps for x in listed.values()),
        resyncs=sum(books * x.book.resyncs for x in listed.values()),
        reconnects=tally.reconnects,
        blind_s=tally.blind(now),
        offset_ms=offset / 1e6 if offset is not None else None,
        bytes_per_s=tally.bytes_rate,
        lag_p50_ms=median,
        lag_p99_ms=worst,
        refused={t.connection: t.note for t in troubles if t.state in REFUSED},
        requests=Allowance(usage.requests, usage.request_budget) if usage else None,
        connects=Allowance(usage.connects, usage.connect_budget) if usage else None,
        history=tally.history,
    )


def _gravity(trouble: FeedStatus) -> tuple[int, bool]:
    """Graver first; that a symbol is not listed only where nothing else is wrong."""
    return GRAVITY.index(trouble.state), trouble.connection == "catalogue"


def _drops(pipeline: Pipeline, name: str, usage: Usage | None) -> Counter[str]:
    """Lost frames and refused events; the market's own are told of the reference feed."""
    feed, market = pipeline.feeds[name], pipeline.market
    drops = Counter(pipeline.tallies[name].dropped)
    if feed.venue == market.reference and "trades" in feed.provides:
        drops.update(market.drops)
    if usage is not None:
        drops.update(usage.dropped)
    return drops


def _state(streams: Mapping[str, StreamHealth], trouble: str | None) -> str:
    """What still comes counts: requests may be refused while the sockets work."""
    needed = [s for name, s in streams.items() if name != "liquidation" and s.total]
    if needed and all(s.ready == s.total for s in needed):
        return "ready"
    if any(s.ready for s in needed):
        return "partial"
    return trouble if trouble in REFUSED else "connecting"


def _streams(pipeline: Pipeline, name: str, listed: Mapping[str, Listed],
             now: int) -> dict[str, StreamHealth]:  # fmt: skip
    """The channels that the feed's sockets carry, in the order of the config."""
    expected = pipeline.tallies[name].streams
    order = [c for c in pipeline.config.feeds[name].streams if c in expected]
    order += [c for c in expected if c not in order]
    receipts = Receipts(pipeline.tallies[name], listed)
    return {channel: _stream(pipeline, name, channel, listed, receipts, now) for channel in order}


def _stream(pipeline: Pipeline, name: str, channel: str, listed: Mapping[str, Listed],
            receipts: Receipts, now: int) -> StreamHealth:  # fmt: skip
    symbols = pipeline.tallies[name].streams[channel]
    status, tally = pipeline.transport.get((name, channel)), pipeline.tallies[name]
    transport = status.state if status is not None and status.state in ORDER else pipeline.unheard
    closed = status is not None and status.state == "closed"
    limits = pipeline.silence.limits(name, channel, symbols)
    states: dict[str, str] = {}
    ages = []
    for symbol, recv, limit in zip(symbols, receipts.of(channel, symbols), limits, strict=True):
        age = (now - recv) / NS if recv else None
        if age is not None:
            ages.append(age)
        whole = channel != "depth" or (symbol in listed and listed[symbol].book.synced)
        gone = closed or recv <= pipeline.lost.get((name, channel, symbol), -1)
        states[symbol] = "connecting" if gone else _one(channel, transport, age, limit, whole)
    kinds = [kind for k in BROUGHT.get(channel, ()) if (kind := tally.kinds.get(k))]
    if channel in COUNTED:
        events = sum(listed[s].events(channel) for s in symbols if s in listed)
    else:
        events = sum(kind.count for kind in kinds)
    return _summary(states, ages, transport, events, sum(kind.rate for kind in kinds),
                    max(limits, default=None))  # fmt: skip


def _one(channel: str, transport: str, age: float | None, limit: float, whole: bool) -> str:
    """State of one symbol's stream, `age` s after its last event."""
    if age is None:
        # Liquidations are rare: an open, acknowledged stream without one is in order.
        rare = channel == "liquidation" and transport in ("acked", "connected")
        return "fresh" if rare else transport
    if age > limit:
        return "stale"
    if channel == "depth":
        return "synced" if whole else "first_data"
    return "fresh"


def _polls(pipeline: Pipeline, tally: FeedTally, now: int) -> dict[str, StreamHealth]:
    """Repeated requests, by what they are for."""
    purposes: dict[str, list[Asked]] = {}
    for asked in tally.asked.values():
        purposes.setdefault(asked.purpose, []).append(asked)
    return {
        f"{purpose} poll" if purpose in tally.streams else purpose: _poll(pipeline, requests, now)
        for purpose, requests in purposes.items()
    }


def _poll(pipeline: Pipeline, requests: Sequence[Asked], now: int) -> StreamHealth:
    """An answer is fresh until the next ones are overdue."""
    states: dict[str, str] = {}
    ages, limits = [], []
    for asked in requests:
        limit = max(MISSED_POLLS * asked.every, asked.every + POLL_GRACE)
        limits.append(limit)
        if asked.recv:
            age = (now - asked.recv) / NS
            ages.append(age)
            state = "fresh" if age <= limit else "stale"
        else:
            state = pipeline.unheard
        known = states.get(asked.about, state)
        states[asked.about] = min(state, known, key=ORDER.index)
    return _summary(states, ages, pipeline.unheard, sum(a.events for a in requests),
                    sum(a.rate for a in requests), max(limits))  # fmt: skip


def _summary(states: Mapping[str, str], ages: Sequence[float], unheard: str, events: int,
             rate: float, limit: float | None) -> StreamHealth:  # fmt: skip
    missing = tuple(symbol for symbol, state in states.items() if state not in READY)
    counts = Counter(states.values())
    return StreamHealth(
        state=min(counts, key=ORDER.index, default=unheard),
        age=min(ages, default=None),
        events=events,
        ready=len(states) - len(missing),
        total=len(states),
        missing=missing,
        events_per_s=rate,
        limit=limit,
        states=dict(counts),
    )
