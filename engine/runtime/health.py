"""How each feed does, stream by stream: transport says what is open, the market what arrives."""

from engine.clock import NS
from engine.market.market import Listed
from engine.runtime.pipeline import Pipeline
from engine.snapshot import FeedHealth, StreamHealth

# Channel -> the input whose silence limit applies.
INPUT = {"depth": "book", "quote": "book", "trade": "trades", "mark": "mark", "liquidation": "liq"}
ORDER = ("off", "connecting", "connected", "acked", "first_data", "stale", "fresh", "synced")
READY = frozenset({"fresh", "synced"})
GRAVITY = ("blocked", "limited", "error")


def feed_health(pipeline: Pipeline, name: str, now: int) -> FeedHealth:
    """Everything known of one feed as of `now` (ns)."""
    feed, tally = pipeline.feeds[name], pipeline.tallies[name]
    config = pipeline.config.feeds[name]
    listed = {s: x for (venue, s), x in pipeline.market.listed.items() if venue == feed.venue}
    streams = {channel: _stream(pipeline, name, channel, listed, now) for channel in config.streams}
    troubles = [t for (feed, _), t in pipeline.troubles.items() if feed == name]
    trouble = min(troubles, key=lambda t: GRAVITY.index(t.state), default=None)
    offset = pipeline.market.offsets.get(feed.venue)
    market_drops = pipeline.market.drops if feed.venue == pipeline.market.reference else {}
    drops = {**tally.dropped, **market_drops}
    return FeedHealth(
        state=_state(streams, trouble.state if trouble else None),
        note=trouble.note if trouble else "",
        streams=streams,
        frames=tally.frames,
        events_per_s=tally.rate,
        dropped=sum(drops.values()),
        dropped_by_reason=dict(sorted(drops.items())),
        gaps=sum(x.book.gaps + x.trade_gaps for x in listed.values()),
        resyncs=sum(x.book.resyncs for x in listed.values()),
        reconnects=pipeline.reconnects[name],
        blind_s=pipeline.market.blind_ns.get(feed.venue, 0) / NS,
        offset_ms=offset / 1e6 if offset is not None else None,
    )


def _state(streams: dict[str, StreamHealth], trouble: str | None) -> str:
    if trouble == "blocked":
        return trouble
    needed = [s for name, s in streams.items() if name != "liquidation"]
    if needed and all(s.ready == s.total for s in needed):
        return "ready"
    if any(s.ready for s in needed):
        return "partial"
    return "limited" if trouble == "limited" else "connecting"


def _stream(pipeline: Pipeline, name: str, channel: str, listed: dict[str | None, Listed],
            now: int) -> StreamHealth:  # fmt: skip
    status = pipeline.transport.get((name, channel))
    transport = status.state if status is not None and status.state in ORDER else pipeline.unheard
    limit = pipeline.config.freshness.get(INPUT.get(channel, channel), 60.0)
    states, ages = [], []
    for symbol in pipeline.symbols:
        state, age = _one(listed.get(symbol), channel, transport, limit, now)
        states.append(state)
        if age is not None:
            ages.append(age)
    ready = [s in READY for s in states]
    return StreamHealth(
        state=min(states, key=ORDER.index),
        age=min(ages, default=None),
        events=sum(x.events(channel) for x in listed.values()),
        ready=sum(ready),
        total=len(states),
        missing=tuple(s for s, r in zip(pipeline.symbols, ready, strict=True) if not r),
    )


def _one(listed: Listed | None, channel: str, transport: str, limit: float,
         now: int) -> tuple[str, float | None]:  # fmt: skip
    """State and age in s of one symbol's stream."""
    if listed is None:
        return transport, None
    if channel == "depth":
        recv = listed.book.recv
        if not recv:
            return transport, None
        age = (now - recv) / NS
        if age > limit:
            return "stale", age
        return ("synced" if listed.book.synced else "first_data"), age
    key = {"trade": "trades", "liquidation": "liq"}.get(channel, channel)
    if key not in listed.recv:
        # Liquidations are rare: an open, acknowledged stream without one is in order.
        rare = channel == "liquidation" and transport in ("acked", "connected")
        return ("fresh" if rare else transport), None
    age = (now - listed.recv[key]) / NS
    return ("fresh" if age <= limit else "stale"), age
