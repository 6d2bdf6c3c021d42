"""A restart in the middle of a day, on a market and venues that go on meanwhile."""

import asyncio
import os
import pickle
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.card import registry
from engine.clock import NS, finish
from engine.config import MODES, Config, load
from engine.decision.decide import Decision
from engine.decision.normalise import Lanes, Normaliser
from engine.jobs.offline import LocalEngine, Offline
from engine.market.tape import TradeIds
from engine.runtime import pipeline
from engine.runtime.checkpoint import _copied
from engine.runtime.inputs import ages
from engine.store import checkpoint
from engine.store.checkpoint import FORMAT, Body
from engine.store.reader import Reader

TWO = ("BTCUSDT", "ETHUSDT")
# All modes decide at the next step, which is ten seconds after the last one.
SECONDS = 293
HOUR = 3600
Made = dict[tuple[int, str], Decision]


def config_of(minutes: float = 5.0, backfill: bool = False) -> Config:
    feeds = {name: {"backfill": backfill and f.backfill} for name, f in load()[0].feeds.items()}
    listed = [{"id": symbol, "class": "layer1"} for symbol in TWO]
    store = {"checkpoint_minutes": minutes}
    return load(overrides={"symbols": listed, "feeds": feeds, "store": store})[0]


def offline(seconds: float, db: Path | None, minutes: float = 5.0, **how: Any) -> Offline:
    how = {"rate": 0.05, "dt": 1.0, "warm_minutes": 0} | how
    return Offline(config_of(minutes), seconds=seconds, db=db, **how)


def parts_of(engine: LocalEngine) -> dict[str, Any]:
    assert engine._keeper is not None
    return dict(finish(_copied(engine._keeper._leaves())))


class Stopped:
    """A run that was stopped: its engine, its history, everything that it knew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = offline(SECONDS, path)
        asyncio.run(self.run.run())
        self.engine = self.run.engine
        self.parts = parts_of(self.engine)
        self.normaliser = deepcopy(self.engine.pipeline.decider.normaliser)

    async def again(self, path: Path, later: float = 0.0) -> LocalEngine:
        """A new engine that has taken up what is kept at `path`, and does not run."""
        self.run.restart(None, path)
        engine = self.run.engine
        assert engine._archive is not None
        assert engine._keeper is not None
        await engine._archive.open()
        now = self.run.clock.now() + int(later * NS)
        engine._resumed = await engine._keeper.resume(path, now)
        await engine._archive.close()
        return engine


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return Stopped(tmp_path_factory.mktemp("restart") / "h.db")


@pytest.fixture
def copied(stopped: Stopped, tmp_path: Path) -> Path:
    return copy_of(stopped.path, tmp_path / "copy.db")


def copy_of(path: Path, to: Path) -> Path:
    """The files as they would be found after a kill."""
    for end in ("", "-wal"):
        if (held := path.with_name(path.name + end)).exists():
            shutil.copyfile(held, to.with_name(to.name + end))
    return to


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of parts that are not the same to the bit."""
    assert one.keys() == other.keys()
    return [
        name for name, part in one.items()
        if (part.tobytes() if isinstance(part, np.ndarray) else part)
        != (other[name].tobytes() if isinstance(part, np.ndarray) else other[name])
    ]  # fmt: skip


# -- nothing is lost -----------------------------------------------------------------------


@pytest.mark.slow
async def test_what_is_kept_comes_back_to_the_bit(
    stopped: Stopped, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.runtime.checkpoint.Keeper._lose", lambda self: None)
    engine = await stopped.again(copied)
    assert engine._resumed is not None
    assert (engine._resumed.market, engine._resumed.whole, engine._resumed.warm) == (True,) * 3
    # A set has no order.
    assert differing(stopped.parts, parts_of(engine)) in ([], ["outside._known"])
    assert len(stopped.parts) > 400
    before, after = (e.pictures for e in (stopped.engine, engine))
    now = stopped.run.clock.now()
    one, other = before.snapshot(now), after.snapshot(now)
    assert [s.modes for s in one.symbols] == [s.modes for s in other.symbols]
    assert (one.alerts, one.transitions) == (other.alerts, other.transitions)
    parts = frozenset({"readings", "transitions", "history"})
    one, other = (p.detail("ETHUSDT", parts) for p in (before, after))
    assert (one.transitions, one.decisions) == (other.transitions, other.decisions)
    for mode in MODES:
        contributions = [[r.contribution for r in d.readings[mode]] for d in (one, other)]
        assert contributions[0] == contributions[1]
        assert any(contributions[0]) or mode == "swing"


@pytest.mark.slow
async def test_with_nothing_missed_the_next_step_is_the_same_bit_for_bit(
    stopped: Stopped, copied: Path
) -> None:
    """Both deciders are shown the same next instant of the market."""
    after = (await stopped.again(copied)).pipeline
    before = stopped.engine.pipeline
    now = before.step_ts + 10 * NS
    view, old = before.market.view(now), ages(before.market, now)
    for decided, again in zip(
        before.decider.step(view, old), after.decider.step(view, old), strict=True
    ):
        assert decided.mode == again.mode
        assert not np.isnan(decided.parts.bias).any()
        for name in ("bias", "total", "contribution", "points", "category_score"):
            np.testing.assert_array_equal(getattr(decided.parts, name), getattr(again.parts, name))
        np.testing.assert_array_equal(decided.raw, again.raw)
        assert (decided.decision, decided.state) == (again.decision, again.state)
        assert decided.transitions == again.transitions
    assert now % (300 * NS) == 0, "all modes decide"


@pytest.mark.slow
async def test_the_time_away_is_a_gap_like_any_other(stopped: Stopped, copied: Path) -> None:
    engine = await stopped.again(copied)
    market = engine.pipeline.market
    assert market.listed.keys() == stopped.engine.pipeline.market.listed.keys()
    for listed in market.listed.values():
        assert not listed.live
        assert not listed.book.synced
        assert listed.quote is None
    later = stopped.run.clock.now() + 40 * NS
    list(engine._keeper.catch_up(later))  # type: ignore[union-attr]
    view = market.view(later)
    assert np.isnan(view.spans.close[0, -1]).all(), "10 s: nothing is known"
    assert np.isnan(view.spans.buys[1, -1]).all(), "1 min: not all of it was heard"
    assert np.isfinite(view.spans.close[2, -1]).all(), "5 min: most of it is known"
    assert np.isnan(view.footprint.buy[:2]).all()
    # The first trade after it tells by its number that others are missing.
    ids: TradeIds = market.listed["binance", "BTCUSDT"].ids
    assert isinstance(ids.last, int)
    assert ids.missing(ids.last + 5) == 4


# -- what does not fit ---------------------------------------------------------------------


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("exit 7",)


def change(path: Path, sql: str, *values: Any) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


def with_body(spoil: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoilt(path: Path) -> None:
        kept = checkpoint.read(path)
        assert kept is not None
        change(path, "UPDATE checkpoint SET body = ?", spoil(kept.body))

    return spoilt


def without(name: str) -> Callable[[bytes], bytes]:
    """A part less, another shape, another type of values."""

    def spoil(body: bytes) -> bytes:
        found = Body(body)
        parts = []
        for n in found.names():
            entry = found._entries[n][0]
            part = found.array(n, found.dtype(n), None) if entry.dtype else found.data(n)
            parts.append((n, part))
        changed = {
            "part": [p for p in parts if p[0] != "churn._held"],
            "shape": [(n, p[1:] if n == "churn._held" else p) for n, p in parts],
            "type": [(n, b"\xa4text" if n == "market._next" else p) for n, p in parts],
            "courses": [(n, b"\x90" if n == "micro.courses" else p) for n, p in parts],
            "decision": [p for p in parts if p[0] != "decision.0.raw"],
            "symbol": [*parts, ("listed.binance.NOSUCHUSDT", b"\x90")],
        }
        return checkpoint.pack(changed[name])

    return spoil


MISFITS: dict[str, Callable[[Path], None]] = {
    "cut": with_body(lambda body: body[: len(body) // 2]),
    "bit": with_body(lambda body: body[:-900] + bytes([body[-900] ^ 4]) + body[-899:]),
    "pickle": with_body(lambda body: pickle.dumps(Bomb())),
    "noise": with_body(lambda body: os.urandom(1000)),
    "empty": with_body(lambda body: b""),
    "part": with_body(without("part")),
    "shape": with_body(without("shape")),
    "type": with_body(without("type")),
    "courses": with_body(without("courses")),
    "decision": with_body(without("decision")),
    "symbol": with_body(without("symbol")),
    "settings": lambda path: change(path, "UPDATE checkpoint SET fingerprint = 'other'"),
    "format": lambda path: change(path, "UPDATE checkpoint SET format = ?", FORMAT + 1),
    "future": lambda path: change(path, "UPDATE checkpoint SET ts = ts + 3600000000000"),
    "table": lambda path: change(path, "DROP TABLE checkpoint"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MISFITS)
async def test_what_does_not_fit_is_refused_in_one_sentence(
    kind: str, stopped: Stopped, copied: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    ran: list[str] = []
    monkeypatch.setattr(os, "system", ran.append)
    MISFITS[kind](copied)
    engine = await stopped.again(copied)
    assert engine._resumed is None
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert "\n" not in caplog.records[0].getMessage()
    assert ran == []
    stopped.run.restart(None, None)
    fresh = offline(1, copied.with_name("other.db")).engine
    assert differing(parts_of(fresh), parts_of(engine)) == [], "as if there had been none"


@pytest.mark.slow
async def test_after_a_refusal_the_engine_starts(copied: Path) -> None:
    MISFITS["bit"](copied)
    run = offline(15, copied)
    await run.run()
    assert run.engine.pipeline.steps >= 1
    assert (kept := checkpoint.read(copied)) is not None
    assert kept.ts <= run.clock.now()
    with Reader(copied) as history:
        assert history.meta.mode_of_data == "demo"


# -- how long ago --------------------------------------------------------------------------


def test_history_before_and_after_a_restart_counts_once() -> None:
    """A normaliser that goes on from another is the one that saw all of it."""
    config = config_of()
    cards = registry()[:4]
    lanes = Lanes(config, cards)

    @settings(max_examples=25)
    @given(st.integers(1, 39), st.integers(0, 2**32), st.integers(0, 2))
    def check(cut: int, seed: int, pasts: int) -> None:
        rng = np.random.default_rng(seed)
        raw = rng.normal(size=(40, 6, len(cards), 2))
        raw[rng.random(raw.shape) < 0.2] = np.nan
        times = np.cumsum(rng.integers(10, 60, 40)) * NS
        whole, parts = (Normaliser(lanes, cards, 2) for _ in range(2))
        for n, (now, x) in enumerate(zip(times.tolist(), raw, strict=True)):
            if n == cut or (pasts and n % 13 == 12):
                fresh = Normaliser(lanes, cards, 2)
                fresh.past = parts.as_past(now)
                parts = fresh
            expected = whole.update(x, now, 10)
            np.testing.assert_allclose(parts.update(x, now, 10), expected, rtol=1e-9, atol=1e-12)
        assert (parts.total_seen() <= whole.total_seen() + 1e-9).all()

    check()


@pytest.mark.slow
async def test_after_an_hour_normalisers_await_what_candles_tell(
    stopped: Stopped, copied: Path
) -> None:
    """The market is taken up; what the normalisers knew stands until the warm-up, lane by lane."""
    engine = await stopped.again(copied, HOUR)
    assert engine._resumed is not None
    assert (engine._resumed.market, engine._resumed.warm) == (True, False)
    normaliser = engine.pipeline.decider.normaliser
    assert not normaliser.seen.any()
    assert normaliser.past is engine.pipeline.before
    before = stopped.normaliser
    everywhere = slice(None), slice(None)
    for one, other in zip(before.scale(*everywhere), normaliser.scale(*everywhere), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-12)
    assert not engine.pictures.snapshot(stopped.run.clock.now()).symbols[0].modes["day"].ts

    taught = engine.pipeline.decider.fresh_normaliser()
    lane = taught.lanes.slices[1].start
    place = int(np.flatnonzero(taught.lanes.exists[lane])[0])
    taught.update_cards(np.array([place]), np.ones((len(taught.lanes.window), 1, 2)), 10 * NS, 10)
    known = normaliser.past.seen.copy()
    taught.fill(normaliser.past)
    assert (taught.seen[lane, place] == 10).all(), "not twice"
    known[:, place] = taught.seen[:, place] = 0
    np.testing.assert_array_equal(taught.seen, known)


@pytest.mark.slow
async def test_after_a_night_normalisers_alone_are_taken_up(stopped: Stopped, copied: Path) -> None:
    engine = await stopped.again(copied, 7 * HOUR)
    assert engine._resumed is not None
    assert (engine._resumed.market, engine._resumed.whole) == (False, False)
    assert engine.pipeline.market.listed == {}
    seen = engine.pipeline.decider.normaliser.total_seen()
    lanes = engine.pipeline.decider.lanes
    before = stopped.normaliser.total_seen()
    gone = lanes.look_back[..., None] <= 7 * HOUR
    assert gone.any()
    assert not seen[np.broadcast_to(gone, seen.shape)].any(), "of the time before the look-back"
    # Who looks back a day has seen as much as before.
    kept = np.broadcast_to(lanes.look_back[..., None] >= 24 * HOUR, seen.shape)
    np.testing.assert_array_equal(seen[kept], before[kept])
    assert seen.any()


# -- whole runs ----------------------------------------------------------------------------


def decided(made: Made) -> Callable[[int, list[Decision]], None]:
    def told(now: int, decisions: list[Decision]) -> None:
        made.update({(now, d.mode): d for d in decisions})

    return told


@pytest.mark.slow
async def test_killed_it_goes_on_from_the_last_state_it_kept(tmp_path: Path) -> None:
    """The files are taken as they lie there while the engine runs."""
    made: Made = {}
    run = offline(3600, tmp_path / "h.db", minutes=1.0, told=decided(made))
    running = asyncio.create_task(run.run())
    while run.market.elapsed < 155:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert run.engine._archive is not None
    history = run.engine._archive._history
    assert history is not None
    await history.drain()
    left = copy_of(tmp_path / "h.db", tmp_path / "left.db")
    run.stop()
    await running
    kept = checkpoint.read(left)
    assert kept is not None
    assert 60 < (kept.ts - run.market.start) / NS < 145
    before = len(made)
    run.restart(35, left)
    await run.run()
    assert run.engine._resumed is not None
    assert run.engine._resumed.ts == kept.ts
    later = [d for (now, _), d in list(made.items())[before:]]
    assert {d.mode for d in later} >= {"scalp", "day"}
    assert not any(np.isnan(d.parts.bias).any() for d in later)
    assert (newest := checkpoint.read(left)) is not None
    assert newest.ts > kept.ts


@pytest.mark.slow
async def test_a_history_that_was_closed_does_not_stop_the_engine(tmp_path: Path) -> None:
    run = offline(3600, tmp_path / "h.db", minutes=1 / 3)
    running = asyncio.create_task(run.run())
    while run.market.elapsed < 15:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert run.engine._archive is not None
    assert run.engine._archive._history is not None
    await run.engine._archive._history.close()
    while run.market.elapsed < 75:  # noqa: ASYNC110
        await asyncio.sleep(0)
    run.stop()
    await running
    assert run.engine.pipeline.steps >= 7
    assert checkpoint.read(tmp_path / "h.db") is None


# Points of bias within which a restart and no restart agree, by the seconds away, the mode and
# the seconds since. What was missed cannot be known: until it has left it, a one-minute window
# (half of scalp's weight, a fifth of day's) is missing as a whole, and a longer one lacks so much
# of its tape; REST series are asked for at other instants. Swing reads hours alone.
TOLERANCES: dict[float, dict[str, tuple[float, float]]] = {
    5.0: {"scalp": (30.0, 12.0), "day": (12.0, 6.0), "swing": (1.0, 1.0)},
    300.0: {"scalp": (40.0, 40.0), "day": (25.0, 25.0), "swing": (3.0, 3.0)},
}
SETTLED = 120 * NS


@pytest.mark.slow
@pytest.mark.parametrize("away", TOLERANCES)
async def test_the_bias_after_a_restart_is_that_without_one(
    away: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """History by REST and a short warm-up, ten minutes of market, the restart, six minutes."""
    shorter = {window: reach // 40 for window, reach in pipeline.WARM_REACH.items()}
    monkeypatch.setattr(pipeline, "WARM_REACH", shorter)
    how: dict[str, Any] = {"rate": 0.3, "dt": 1.0, "seed": 3}
    without, restarted = Made(), Made()
    config, begun, after = config_of(backfill=True), 603.0, 320.0
    run = Offline(config, seconds=begun + away + after, told=decided(without), **how)
    await run.run()
    run = Offline(config, seconds=begun, db=tmp_path / "h.db", told=decided(restarted), **how)
    await run.run()
    stop = run.market.now
    await run.away(away)
    back = run.market.now
    run.restart(after, tmp_path / "h.db")
    await run.run()
    assert run.engine._resumed is not None
    assert run.engine._resumed.warm
    for key in (key for key in restarted if key[0] <= stop):
        np.testing.assert_array_equal(without[key].parts.bias, restarted[key].parts.bias)
    wrong, seen = [], []
    for (now, mode), again in restarted.items():
        if now <= stop or (now, mode) not in without:
            continue
        off = float(np.max(np.abs(again.parts.bias - without[now, mode].parts.bias)))
        if not off <= TOLERANCES[away][mode][now > back + SETTLED]:
            wrong.append((mode, (now - back) / NS, off))
        seen.append((mode, round((now - back) / NS), round(off, 2)))
    assert wrong == [], seen
    first = {m: min(now for now, mode in restarted if now > stop and mode == m) for m in MODES}
    assert max(first.values()) <= back + 300 * NS
