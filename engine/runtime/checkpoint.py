"""A restart in the middle of a day: what the engine knows is kept, and taken up again.

The state is copied a few milliseconds at a time while everything received waits, right after a
step or at the end, so that it is that of one instant; it is packed beside the loop. After a start
it is put in place as a whole or not at all. The time away is a gap like any other: books and tape
are lost with the connections, and what they feed says so by the rules for a gap.
"""

import asyncio
import hashlib
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from engine.clock import NS, finish, wall
from engine.config import MODES, Config
from engine.decision.decide import STEP_NS
from engine.decision.normalise import Normaliser
from engine.events import FeedStatus
from engine.market.market import LONG_SILENCE_S
from engine.runtime import state
from engine.runtime.pictures import Pictures
from engine.runtime.pipeline import GRACE_NS
from engine.runtime.shown import FREE, Decisions, decided_at, forget, of_pictures
from engine.runtime.state import Leaf
from engine.store import checkpoint
from engine.store.checkpoint import Body, Checkpoint, Damaged, Part
from engine.store.errors import StoreError
from engine.version import VERSION

log = logging.getLogger(__name__)
SLICE_NS = 4_000_000
# Copied at once.
BLOCK = 2 << 20
# Beyond it normalisers alone are of use: the 10 s ring has moved on as a whole.
REACH_NS = 6 * 3600 * NS
# Up to it normalisers go on as after a gap; beyond it they take what candles tell of the time away.
SHORT_NS = 900 * NS
MISFIT = (Damaged, StoreError, msgspec.MsgspecError, LookupError, ValueError, TypeError,
          ArithmeticError, MemoryError)  # fmt: skip


class Resumed(Struct, frozen=True):
    """What was taken up: state as of `ts`; `market`: not of the normalisers alone.

    `whole`: no history from before `ts` is missing. `warm`: normalisers need none of it.
    """

    ts: int
    market: bool
    whole: bool
    warm: bool


class Keeper:
    """Keeps an engine's state in its history and takes it up at the next start.

    `whole`: all history asked for at the start has come.
    """

    def __init__(self, pictures: Pictures, put: Callable[[Checkpoint], None]) -> None:
        self.whole = False
        self._pictures = pictures
        self._pipeline = pictures.pipeline
        self._put = put
        self._every = int(self._pipeline.config.store.checkpoint_minutes * 60 * NS)
        self._last = 0
        self._packing: asyncio.Task[None] | None = None

    # -- keeping ---------------------------------------------------------------------------

    @property
    def due(self) -> bool:
        """Whether the newest state that was kept is old enough."""
        now = self._pipeline.step_ts
        self._last = self._last or now
        busy = self._packing is not None and not self._packing.done()
        return 0 < self._every <= now - self._last and not busy

    def gather(self) -> Generator[None, None, None]:
        """Copy the state in slices, in which nothing may be brought; it is kept soon after."""
        self._last = self._pipeline.step_ts
        try:
            found = yield from _copied(self._leaves())
        except Exception:
            # Nobody decides on it now: whatever is wrong with it must not end the steps.
            log.exception("state cannot be kept")
            return
        self._packing = asyncio.create_task(self._pack(found), name="state")

    async def close(self) -> None:
        """Keep the state as it is now; for an engine in which nothing happens any more."""
        if self._packing is not None:
            await asyncio.wait([self._packing])
        if self._pipeline.steps:
            finish(self.gather())
            if self._packing is not None:
                await self._packing

    async def _pack(self, found: list[tuple[str, Part]]) -> None:
        ts, whole = self._pipeline.market.now, self.whole
        try:
            body = await asyncio.to_thread(checkpoint.pack, _let_go(found))
        except Exception:
            log.exception("state not kept for a restart")
            return
        self._put(Checkpoint(ts, fingerprint(self._pipeline.config, self._pipeline.decider.cards),
                             whole, body))  # fmt: skip

    def _leaves(self) -> Iterator[Leaf]:
        pipeline = self._pipeline
        yield from state.of_market(pipeline.market)
        yield from state.of_decider(pipeline.decider)
        yield from of_pictures(self._pictures)
        yield from Decisions(self._pictures.details).leaves()

    # -- taking up -------------------------------------------------------------------------

    async def resume(self, path: Path, now: int) -> Resumed | None:
        """Take up what is kept at `path`; None where there is nothing, or nothing of use.

        What does not fit is told in one sentence, and leaves the engine as it was.
        """
        try:
            return await self._resume(path, now)
        except MISFIT as error:
            log.warning("the state kept before the restart is not used: %s", error)
            return None

    async def _resume(self, path: Path, now: int) -> Resumed | None:
        kept = await asyncio.to_thread(checkpoint.read, path)
        if kept is None:
            return None
        if kept.fingerprint != fingerprint(self._pipeline.config, self._pipeline.decider.cards):
            raise Damaged("it was made by another version, or with other settings")
        if kept.ts > now:
            raise Damaged(f"it is {(kept.ts - now) / NS:.0f} s ahead of the clock")
        body = await asyncio.to_thread(Body, kept.body)
        market = now - kept.ts <= REACH_NS
        warm = market and kept.whole and now - kept.ts <= SHORT_NS
        before = await (self._take_up(body) if market else self._normaliser(body))
        if not warm:
            self._pipeline.before = before.as_past(now)
            fresh = self._pipeline.decider.fresh_normaliser()
            fresh.past = self._pipeline.before
            self._pipeline.decider.normaliser = fresh
        if market:
            self._begin_anew(now)
            self._lose()
        self.whole = market and kept.whole
        return Resumed(kept.ts, market, kept.whole and market, warm)

    async def _take_up(self, body: Body) -> Normaliser:
        pipeline, names = self._pipeline, body.names()
        decider, market = pipeline.decider, pipeline.market
        shown = Decisions(self._pictures.details, names)
        try:
            state.make_room(market, names)
            if "past.seen" in body:
                decider.normaliser.past = decider.fresh_normaliser()
            leaves = [*state.of_market(market), *state.of_decider(decider),
                      *of_pictures(self._pictures), *shown.leaves()]  # fmt: skip
            values = await asyncio.to_thread(_read, body, leaves)
        except MISFIT:
            state.clear(market)
            decider.normaliser.past = None
            raise
        blank = [copy(leaf.get()) for leaf in leaves]
        try:
            _put(leaves, values)
            shown.put_back()
        except MISFIT:
            _put(leaves, blank)
            state.clear(market)
            decider.normaliser.past = None
            raise
        state.settle_in(market)
        return decider.normaliser

    async def _normaliser(self, body: Body) -> Normaliser:
        """The normalisers alone, beside those in use."""
        fresh = self._pipeline.decider.fresh_normaliser()
        leaves = [*state.of_normaliser("normaliser", fresh)]
        if "past.seen" in body:
            fresh.past = self._pipeline.decider.fresh_normaliser()
            leaves += state.of_normaliser("past", fresh.past)
        _put(leaves, await asyncio.to_thread(_read, body, leaves))
        return fresh

    def _begin_anew(self, now: int) -> None:
        """A mode that missed a cycle decides as soon as it can, as at a first start."""
        decider, pictures = self._pipeline.decider, self._pictures
        first = (now - GRACE_NS) // STEP_NS * STEP_NS + STEP_NS
        for mode in MODES:
            every = self._pipeline.config.modes[mode].every * NS
            if (first - STEP_NS) // every * every > decided_at(pictures, mode):
                decider._words[mode] = ("",) * len(decider.symbols)
                forget(pictures, mode)

    def _lose(self) -> None:
        """Every venue's connections are gone since the state was kept."""
        market = self._pipeline.market
        for venue in {venue for venue, _ in market.listed}:
            market.apply(FeedStatus(venue=venue, market="perp", symbol=None, ts=market.now,
                                    recv=market.now, feed="", connection="engine",
                                    state="closed"))  # fmt: skip

    def catch_up(self, now: int) -> Generator[None, None, None]:
        """Let the market's seconds pass up to `now` in slices, a long silence in one stride."""
        market = self._pipeline.market
        if now - market.now <= LONG_SILENCE_S * NS:
            for second in range(market.now // NS + 1, now // NS + 1):
                market.roll(second * NS)
                yield
        market.roll(now)


def _copied(leaves: Iterator[Leaf]) -> Generator[None, None, list[tuple[str, Part]]]:
    out: list[tuple[str, Part]] = []
    taken = wall()
    for leaf in leaves:
        value = leaf.get()
        if leaf.kind is not None and leaf.kind is not FREE:
            out.append((leaf.path, msgspec.msgpack.encode(value, enc_hook=_plain)))
        elif value.nbytes <= BLOCK:
            out.append((leaf.path, value.copy()))
        else:
            whole = np.empty(value.shape, value.dtype)
            out.append((leaf.path, whole))
            rows = max(1, BLOCK * len(value) // value.nbytes)
            for first in range(0, len(value), rows):
                whole[first : first + rows] = value[first : first + rows]
                if wall() - taken > SLICE_NS:
                    yield
                    taken = wall()
        if wall() - taken > SLICE_NS:
            yield
            taken = wall()
    return out


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, deque):
        return list(value)
    raise TypeError(f"{type(value).__name__} is no part of a state")


def _let_go(found: list[tuple[str, Part]]) -> Iterator[tuple[str, Part]]:
    """One after the other, each held no longer than it takes."""
    found.reverse()
    while found:
        yield found.pop()


def _read(body: Body, leaves: list[Leaf]) -> list[Any]:
    return [_value(body, leaf) for leaf in leaves]


def _put(leaves: list[Leaf], values: list[Any]) -> None:
    for leaf, value in zip(leaves, values, strict=True):
        leaf.set(value)


def _value(body: Body, leaf: Leaf) -> Any:
    if leaf.kind is None:
        expected = leaf.get()
        return body.array(leaf.path, expected.dtype, expected.shape)
    if leaf.kind is FREE:
        return body.array(leaf.path, body.dtype(leaf.path), None)
    return msgspec.msgpack.decode(body.data(leaf.path), type=leaf.kind)


def fingerprint(config: Config, cards: Any) -> str:
    """Of everything that gives the numbers of a state their meaning."""
    facts = {
        "program": VERSION,
        "symbols": [instrument.id for instrument in config.instruments],
        "reference": config.market.reference_venue,
        "modes": msgspec.to_builtins(config.modes),
        "decision": msgspec.to_builtins(config.decision),
        "cards": [
            [c.id, c.category, c.scale, c.unit, c.cadence, c.spans, c.level, c.scope, c.formula]
            for c in cards
        ],
    }
    return hashlib.sha256(msgspec.json.encode(facts, order="deterministic")).hexdigest()
