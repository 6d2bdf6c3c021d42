"""Snapshots: the pipeline's state as the immutable structs that screens read."""

from collections import deque
from math import ceil, isnan, log10

import msgspec
import numpy as np

from engine.alerts.watch import Watch
from engine.cards.card import CATEGORIES
from engine.clock import NS
from engine.config import MODES
from engine.decision.decide import Decision
from engine.market.market import Listed
from engine.runtime.details import TRANSITIONS, Details
from engine.runtime.health import feed_health
from engine.runtime.pipeline import Pipeline
from engine.runtime.readings import known, windows_of
from engine.runtime.worth import worth
from engine.snapshot import (
    Alert,
    CategoryInfo,
    CategoryLine,
    Composite,
    Detail,
    FeedHealth,
    ModeOfData,
    Notice,
    Price,
    Snapshot,
    SymbolState,
    Transition,
)

HISTORY = 120
HEALTH_NS = NS
INFOS = tuple(CategoryInfo(id=c.id, name=c.name, group=c.group) for c in CATEGORIES)


# Context lines of less than this many points are none.
LEAST_POINTS = 1e-12


class Pictures:
    """Builds snapshots; keeps the bias histories that sparklines need, and watches for alerts."""

    def __init__(self, pipeline: Pipeline, mode_of_data: ModeOfData) -> None:
        self.pipeline = pipeline
        self.mode_of_data = mode_of_data
        self.notices: deque[Notice] = deque(maxlen=50)
        self._history: dict[tuple[str, str], deque[float | None]] = {}
        self._composites = {
            m: [self._undecided(m, s) for s in range(len(pipeline.symbols))] for m in MODES
        }
        self._transitions: tuple[Transition, ...] = ()
        self.details = Details(pipeline)
        self._watch = Watch(pipeline.config.alerts.rules)
        self._health: tuple[tuple[int, int], dict[str, FeedHealth]] = ((0, 0), {})
        pipeline.after_step.append(self._look)

    def _look(self, now: int) -> None:
        # Alerts are the same in a replay, whatever was painted when.
        self._health = ((0, 0), {})
        self._watch.step(self.snapshot(now))

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """The latest first."""
        return self._watch.alerts

    def decided(self, decision: Decision) -> None:
        """Take in a mode's new decision, for the symbols it decides."""
        for s, word in enumerate(decision.decision):
            if word:
                self._composites[decision.mode][s] = self._composite(decision, s)
        self.details.decided(decision)
        self._changed(decision.transitions)

    def _changed(self, new: tuple[Transition, ...]) -> None:
        wide = tuple(t for t in new if t.subject != "card")
        if wide:
            both = (*wide, *self._transitions)
            # However many a step brings, rules look at all of them.
            fresh = sum(t.ts == wide[0].ts for t in both)
            self._transitions = both[: max(TRANSITIONS, fresh)]

    def snapshot(self, now: int, speed: float | None = None, progress: float | None = None,
                 finished: bool = False) -> Snapshot:  # fmt: skip
        """The picture as of `now` (ns of the engine's clock)."""
        pipeline = self.pipeline
        market = pipeline.market
        symbols = []
        for place, instrument in enumerate(pipeline.config.instruments):
            listed = market.listed.get((market.reference, instrument.id))
            symbols.append(self._symbol(instrument.id, instrument.group, place, listed, now))
        return Snapshot(
            number=market.events + pipeline.steps + len(self.notices) + int(finished),
            step=pipeline.steps,
            mode_of_data=self.mode_of_data,
            ts=now,
            step_ts=pipeline.step_ts,
            symbols=tuple(symbols),
            categories=INFOS,
            feeds=self.feeds(now),
            speed=speed,
            progress=progress,
            finished=finished,
            notices=tuple(self.notices),
            alerts=self._watch.alerts,
            transitions=self._transitions,
        )

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        """What an open screen asks for of one symbol."""
        return self.details.detail(symbol, parts)

    def feeds(self, now: int) -> dict[str, FeedHealth]:
        """Health of every feed, looked at again after a second or what a connection did."""
        key = (now // HEALTH_NS, self.pipeline.statuses)
        if self._health[0] != key or not self._health[1]:
            names = self.pipeline.feeds
            self._health = key, {name: feed_health(self.pipeline, name, now) for name in names}
        return self._health[1]

    def _symbol(self, symbol: str, group: str, place: int, listed: Listed | None,
                now: int) -> SymbolState:  # fmt: skip
        recv = listed.recv if listed is not None else {}
        heard = max(recv.values(), default=0)
        if listed is not None and listed.book.synced:
            heard = max(heard, listed.book.recv)
        funding = listed.funding if listed is not None else None
        longs, shorts = _liquidated(listed, now)
        return SymbolState(
            id=symbol,
            group=group,
            price=self._price(place, listed, (now - heard) / NS if heard else None, now),
            modes={mode: self._composites[mode][place] for mode in MODES},
            funding_8h=funding.rate_8h if funding is not None else None,
            oi_change_1h=_interest_change(listed, now),
            long_liquidated=longs,
            short_liquidated=shorts,
            ages={need: max(now - at, 0) / NS for need, at in recv.items()},
        )

    def _price(self, place: int, listed: Listed | None, age: float | None, now: int) -> Price:
        last = listed.last.price if listed is not None and listed.last is not None else None
        quote = listed.quote if listed is not None else None
        change = None
        prices = self.pipeline.market.history.prices[60]
        cell = now // (60 * NS) - 1440
        if last is not None and prices.head - prices.size < cell <= prices.head:
            before = float(prices.close(cell)[place])
            change = None if isnan(before) else (last / before - 1) * 100
        tick = listed.book.tick if listed is not None else 0.0
        return Price(
            last=last,
            bid=quote.bid if quote is not None else None,
            ask=quote.ask if quote is not None else None,
            change_24h=change,
            age=max(age, 0.0) if age is not None else None,
            decimals=decimals(last, tick),
        )

    def _undecided(self, mode: str, s: int) -> Composite:
        weights = self.pipeline.decider.weights[mode]
        can_have = weights.can_have[:, s]
        totals = (weights.member @ can_have).astype(int).tolist()
        return Composite(
            ts=0, bias=None, conviction=0.0, confidence=None, base_rate=None, calibrated=False,
            decision="WAIT", state="NOT_AVAILABLE", agreement=None,
            agreement_by_window=dict.fromkeys(windows_of(self.pipeline.config, mode)),
            coverage=0.0, available=0, total=int(can_have.sum()),
            categories={
                c.id: CategoryLine(score=None, state="NOT_AVAILABLE", contribution=None,
                                   available=0, total=totals[n])
                for n, c in enumerate(CATEGORIES)
            },
            adjustments={}, history=(),
        )  # fmt: skip

    def _composite(self, d: Decision, s: int) -> Composite:
        history = self._history.setdefault(
            (d.mode, self.pipeline.symbols[s]), deque(maxlen=HISTORY)
        )
        bias = known(d.parts.bias[s])
        history.append(bias)
        sides = [known(side) for side in d.windows[:, s]]
        return Composite(
            ts=d.ts,
            bias=bias,
            conviction=float(d.conviction[s]),
            confidence=None,
            calibrated=False,
            decision=d.decision[s],
            state=d.state[s],
            agreement=known(d.agreement[s]),
            agreement_by_window={
                name: None if side is None else int(side)
                for name, side in zip(windows_of(self.pipeline.config, d.mode), sides, strict=True)
            },
            coverage=float(d.parts.coverage[s]),
            available=int(d.parts.available[s]),
            total=int(d.parts.possible[s]),
            categories={
                c.id: CategoryLine(
                    score=known(d.parts.category_score[n, s]),
                    state=d.category_state[n][s],
                    contribution=known(d.parts.points[n, s]),
                    available=int(d.parts.category_available[n, s]),
                    total=int(d.parts.category_total[n, s]),
                )
                for n, c in enumerate(CATEGORIES)
            },
            adjustments={
                name: float(points[s])
                for name, points in d.parts.lines.items()
                if abs(points[s]) >= LEAST_POINTS
            },
            history=tuple(history),
            **msgspec.structs.asdict(worth(self.pipeline, d, s)),
        )


def _liquidated(listed: Listed | None, now: int) -> tuple[float | None, float | None]:
    """USD of longs and shorts liquidated in the last hour; None where nothing ever told."""
    if listed is None or "liq" not in listed.recv:
        return None, None
    recent = [x for x in listed.liquidations if now - x.ts < 3600 * NS]
    return (
        sum(x.usd for x in recent if x.position == "long"),
        sum(x.usd for x in recent if x.position == "short"),
    )


def _interest_change(listed: Listed | None, now: int) -> float | None:
    """Change of open interest over the last hour in %; None without an hour of it."""
    if listed is None or not listed.oi or now - listed.oi[0].ts < 3600 * NS:
        return None
    before = max((x for x in listed.oi if now - x.ts >= 3600 * NS), key=lambda x: x.ts)
    return (listed.oi[-1].base / before.base - 1) * 100 if before.base > 0 else None


def decimals(price: float | None, tick: float) -> int:
    """Decimals to show a price with: those of its tick, else six significant digits."""
    if tick > 0:
        return min(max(0, ceil(-log10(tick) - 1e-9)), 12)
    if price is None or price <= 0:
        return 2
    return min(max(0, 5 - int(np.floor(log10(price)))), 12)
