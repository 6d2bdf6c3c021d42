# ruff: noqa: T201
"""Each card over a simulated day: how often it is there, how it varies, and which it copies.

    python tests/statistics/cards_day.py [--hours 24] [--rate 0.05] [--dt 1] [--seed 1]
        [--backfill] [--mode day] [--out TABLE.json] [--save SCORES.npz] [--load SCORES.npz ...]

All feeds and symbols, no sockets. Scores are looked at once a minute after the first half hour.
`--save` keeps them, with the reference's mids of every step, for this script and information.py.
Available: share of symbols and instants with a score, of the symbols that can have the card;
from: minutes from the start to the first look that found one, in the first run.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS
from engine.config import MODES, load
from engine.decision.decide import ALWAYS, Decider, Decision, inputs_of
from engine.decision.timeframes import ABSENT, STEPS
from engine.jobs.offline import Offline
from engine.learning.scoring import pairwise_correlation
from engine.market.view import WINDOWS
from engine.runtime.inputs import ages
from engine.sim.market.scenario import MARTINGALE, Switches

Array = NDArray[np.float64]
Said = tuple[int, int, Array, Array, Array]
WORDS = (
    "STRONG_SHORT", "SHORT", "LEAN_SHORT", "WAIT", "LEAN_LONG", "LONG", "STRONG_LONG",
)  # fmt: skip
DAYS = 8 * 1440.0  # minutes of the past that the normalisers see with --backfill
SATURATED = 0.95
COPY = 0.98
PLANTED = Switches()
SWITCHES = {"planted": PLANTED, "martingale": MARTINGALE}


@dataclass(slots=True)
class Day:
    """What one run said. T steps, N looks, M modes, C cards, S symbols.

    `steps`, `at` (T,): the step's instant and that of its `mid` (T, S), ns; `tilt` (T, S): the
    truth about the takers then. `looks` (N,): steps at which `score` (N, M, C, S) was taken, in
    127ths, -128 for none. `can_have` (C, S). `why` (M, C): what an absent card lacks. `decided`
    (D,): instants of decisions, of `mode`; `bias`, `conviction` and `word` (D, S) what they said,
    the place in WORDS, -1 for none. `changes`: 'mode subject kind' -> transitions.
    """

    about: dict[str, Any]
    cards: list[str]
    categories: list[str]
    scopes: list[str]
    symbols: list[str]
    steps: NDArray[np.int64]
    at: NDArray[np.int64]
    mid: Array
    tilt: NDArray[np.float32]
    looks: NDArray[np.int64]
    score: NDArray[np.int8]
    can_have: NDArray[np.bool_]
    why: list[list[str]]
    decided: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    mode: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, np.int8))
    bias: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    conviction: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    word: NDArray[np.int8] = field(default_factory=lambda: np.empty((0, 0), np.int8))
    changes: dict[str, int] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Keep it; the file is there whole or as it was before."""
        plain = {"about", "cards", "categories", "scopes", "symbols", "why", "changes"}
        words = {name: getattr(self, name) for name in plain}
        arrays = {name: getattr(self, name) for name in self.__slots__ if name not in plain}
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            np.savez_compressed(file, words=np.array(json.dumps(words)), **arrays)
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` kept."""
        with np.load(path) as kept:
            arrays = {name: kept[name] for name in kept.files if name != "words"}
            return cls(**json.loads(str(kept["words"])), **arrays)

    def scores(self, mode: str) -> NDArray[np.float32]:
        """(N, C, S) between -1 and 1, NaN for none."""
        score = self.score[:, MODES.index(mode)].astype(np.float32)
        score[score == ABSENT] = np.nan
        return score / np.float32(STEPS)


@dataclass(slots=True)
class Collector:
    """Told of every step of a run; remembers what `Day` holds."""

    every: int
    after: float
    steps: list[int] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    mid: list[Array] = field(default_factory=list)
    tilt: list[NDArray[np.float32]] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)
    score: list[NDArray[np.int8]] = field(default_factory=list)
    decided: list[Said] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    begun: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    oldest: dict[str, float] = field(default_factory=dict)

    def take(self, run: Offline, now: int, decisions: list[Decision]) -> None:
        """The step that the run's engine has just made, and what it decided."""
        market, decider = run.market, run.engine.pipeline.decider
        for made in decisions:
            self.decided.append(_slim(made))
            self.changes.update(f"{made.mode} {c.subject} {c.kind}" for c in made.transitions)
        self.steps.append(now)
        self.at.append(market.now)
        self.mid.append(market.mids)
        self.tilt.append(market._process.tilt.astype(np.float32))
        if now % (self.every * NS) or now - market.start < self.after * NS:
            return
        self.looks.append(now)
        self.score.append(np.stack([decider.readings[mode].score for mode in MODES]))
        self._note(decider, ages(run.engine.pipeline.market, now))

    def _note(self, decider: Decider, heard: dict[str, Array]) -> None:
        """How far each card came: a measure by (window, card), a normalised one by (mode, card)."""
        raw = np.zeros((len(WINDOWS), len(decider.cards)), dtype=bool)
        for mode in MODES:
            raw |= ~np.isnan(decider.raw_of(mode)).all(axis=2)
        score = [~np.isnan(decider.readings[m].by_window).all(axis=(0, 2)) for m in MODES]
        for name, now in (("raw", raw), ("score", np.stack(score))):
            self.begun[name] = self.begun.get(name, np.zeros_like(now)) | now
        for need, age in heard.items():
            if not np.isnan(age).all():
                self.oldest[need] = max(self.oldest.get(need, 0.0), float(np.nanmedian(age)))

    def day(self, run: Offline, about: dict[str, Any]) -> Day:
        """What was collected until now."""
        decider, market = run.engine.pipeline.decider, run.market
        symbols = len(decider.symbols)
        none = np.empty((0, len(MODES), len(decider.cards), symbols), dtype=np.int8)
        return Day(
            about=about,
            cards=[card.id for card in decider.cards],
            categories=[card.category for card in decider.cards],
            scopes=[card.scope for card in decider.cards],
            symbols=list(market.symbols),
            steps=np.array(self.steps),
            at=np.array(self.at),
            mid=np.array(self.mid),
            tilt=np.array(self.tilt),
            looks=np.array(self.looks),
            score=np.array(self.score) if self.score else none,
            can_have=decider.can_have.copy(),
            why=[[self._why(decider, m, c) for c in range(len(decider.cards))]
                 for m in range(len(MODES))],
            decided=np.array([said[0] for said in self.decided], dtype=np.int64),
            mode=np.array([said[1] for said in self.decided], dtype=np.int8),
            bias=_rows([said[2] for said in self.decided], symbols),
            conviction=_rows([said[3] for said in self.decided], symbols),
            word=_rows([said[4] for said in self.decided], symbols).astype(np.int8),
            changes=dict(self.changes),
        )  # fmt: skip

    def _why(self, decider: Decider, mode: int, place: int) -> str:
        """The first thing on the way to a score that card never got past; '' if none was seen."""
        card, lanes = decider.cards[place], decider.lanes
        if card.id in decider.failed:
            return f"fails: {decider.failed[card.id]}"
        if not decider.can_have[place].any():
            fed = frozenset().union(*decider.fed.values()) | ALWAYS
            missing = [need for need in inputs_of(card) if need not in fed]
            return f"no feed brings {', '.join(missing) or 'all it needs for one symbol'}"
        of_mode = lanes.slices[mode]
        read = [w for w, there in zip(lanes.window[of_mode], lanes.exists[of_mode, place],
                                      strict=True) if there]  # fmt: skip
        if not read:
            return f"exists in no window of {MODES[mode]}: cadence {card.cadence:g} s, " \
                   f"windows of {card.spans[0]} to {card.spans[1]} s"  # fmt: skip
        if not self.looks or self.begun["score"][mode, place]:
            return self._stale(inputs_of(card))
        names = " ".join(WINDOWS[w].name for w in read)
        if any(self.begun["raw"][w, place] for w in read):
            return f"its measure has no scale yet in {names}"
        unheard = [need for need in inputs_of(card) if need not in ALWAYS | self.oldest.keys()]
        said = f"never heard: {', '.join(unheard)}" if unheard else "all inputs heard"
        hours = (self.steps[-1] - self.steps[0]) / (3600 * NS)
        return f"no measure in {names} within {hours:.1f} h; {said}"

    def _stale(self, needs: Iterable[str]) -> str:
        old = {need: self.oldest[need] for need in needs if need in self.oldest}
        unheard = [need for need in needs if need not in ALWAYS and need not in old]
        if unheard:
            return f"stale, never heard: {', '.join(unheard)}"
        return "stale, ages up to " + ", ".join(f"{n} {age:.0f} s" for n, age in old.items())


def _slim(made: Decision) -> Said:
    """Instant, mode, and over symbols bias, conviction and place of the word."""
    word = np.array([WORDS.index(word) if word else -1 for word in made.decision])
    undecided = word < 0
    bias = np.where(undecided, np.nan, made.parts.bias)
    return made.ts, MODES.index(made.mode), bias, made.conviction, word


def _rows(rows: list[Array], width: int) -> NDArray[np.float32]:
    return np.array(rows, dtype=np.float32).reshape(len(rows), width)


def collect(hours: float, rate: float, dt: float, seed: int, *, backfill: bool,
            switches: str = "planted", every: int = 60, after: float = 1800.0,
            save: Path | None = None, scenario: str = "default") -> Day:  # fmt: skip
    """One run; told of on stderr and kept every simulated hour. All off means no lags as well."""
    about: dict[str, Any] = {
        "hours": hours, "rate": rate, "dt": dt, "seed": seed, "backfill": backfill,
        "switches": switches, "every": every, "after": after, "scenario": scenario,
    }  # fmt: skip
    collector, began = Collector(every, after), time.process_time()

    def told(now: int, decisions: list[Decision]) -> None:
        collector.take(run, now, decisions)
        if now % (3600 * NS) == 0:
            if save:
                collector.day(run, about).save(save)
            cpu, memory = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF)
            print(f"seed {seed}: {(now - run.market.start) / 3600 / NS:.2f} h, CPU {cpu:.0f} s, "
                  f"{memory.ru_maxrss >> 10} MB", file=sys.stderr, flush=True)  # fmt: skip

    run = Offline(load()[0], scenario, seed, 3600 * hours, rate=rate, dt=dt,
                  switches=SWITCHES[switches], warm_minutes=DAYS if backfill else 0.0,
                  lags=switches != "martingale", told=told)  # fmt: skip
    asyncio.run(run.run())
    day = collector.day(run, about | {"cpu": time.process_time() - began})
    if save:
        day.save(save)
    return day


# -- the table -----------------------------------------------------------------------------


def pooled(days: list[Day], mode: str) -> NDArray[np.float32]:
    """Scores of all looks and symbols by card, (N x S, C)."""
    score = np.concatenate([day.scores(mode) for day in days])
    return score.transpose(0, 2, 1).reshape(-1, score.shape[1])


def figures(days: list[Day], mode: str, score: NDArray[np.float32],
            correlations: Array) -> list[dict[str, Any]]:  # fmt: skip
    """One row a card, in the catalogue's order; None where there is nothing to tell."""
    first = days[0]
    symbols = first.can_have.sum(axis=1)
    since, (like, who) = first_seen(first, mode), nearest(correlations)
    rows: list[dict[str, Any]] = []
    for place, card in enumerate(first.cards):
        there = ~np.isnan(score[:, place])
        values = score[there, place].astype(np.float64)
        could = len(score) // len(first.symbols) * int(symbols[place])
        rows.append({
            "card": card, "category": first.categories[place], "scope": first.scopes[place],
            "symbols": int(symbols[place]), "from": since[place],
            "available": round(len(values) / could, 5) if could else None,
            **{name: _plain(of(values)) if len(values) else None for name, of in OF.items()},
            "correlation": _plain(like[place]),
            "like": first.cards[who[place]] if not np.isnan(like[place]) else None,
            "constant": len(values) > 0 and float(np.ptp(values)) == 0.0,
            "why": "" if len(values) else first.why[MODES.index(mode)][place],
        })  # fmt: skip
    return rows


def _skew(values: Array) -> float:
    off, std = values - values.mean(), values.std()
    return float((off**3).mean() / std**3) if std > 1e-9 else np.nan


OF: dict[str, Callable[[Array], float]] = {
    "mean": lambda x: float(x.mean()),
    "std": lambda x: float(x.std()),
    "skew": _skew,
    "saturated": lambda x: float((np.abs(x) > SATURATED).mean()),
    "zero": lambda x: float((x == 0).mean()),
}


def first_seen(day: Day, mode: str) -> list[float | None]:
    """Minutes from the first step to each card's first score of any symbol; None where none."""
    there = (day.score[:, MODES.index(mode)] != ABSENT).any(axis=2)
    minutes = (day.looks - day.steps[:1]) / (60 * NS)
    return [round(float(minutes[seen.argmax()]), 1) if seen.any() else None for seen in there.T]


def nearest(correlations: Array) -> tuple[Array, NDArray[np.int64]]:
    """Of each row the largest by size, without itself, and where it stands."""
    others = correlations.copy()
    np.fill_diagonal(others, np.nan)
    who = np.nan_to_num(np.abs(others), nan=-1.0).argmax(axis=1)
    return np.take_along_axis(others, who[:, None], axis=1)[:, 0], who


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 5)


def copies(cards: list[str], correlations: Array) -> list[tuple[float, str, str]]:
    """Pairs of cards whose scores correlate by more than COPY."""
    above = np.argwhere(np.triu(np.abs(np.nan_to_num(correlations)) > COPY, 1))
    return sorted(((float(correlations[a, b]), cards[a], cards[b]) for a, b in above),
                  reverse=True)  # fmt: skip


def show(rows: list[dict[str, Any]], pairs: list[tuple[float, str, str]], mode: str) -> None:
    print(f"\n{mode}: {len(rows)} cards")
    print(f"{'card':27}{'category':18}{'sym':>3}{'avail':>7}{'from':>6}{'mean':>7}{'std':>6}{'skew':>7}"
          f"{'satur':>7}{'zero':>6}{'corr':>7}  with")  # fmt: skip
    for row in rows:
        cells = [_cell(row[name], width, form) for name, width, form in (
            ("available", 7, ".3f"), ("from", 6, ".0f"), ("mean", 7, "+.2f"),
            ("std", 6, ".3f"), ("skew", 7, "+.2f"),
            ("saturated", 7, ".3f"), ("zero", 6, ".2f"), ("correlation", 7, "+.2f"))]  # fmt: skip
        print(f"{row['card']:27}{row['category']:18}{row['symbols']:3}{''.join(cells)}"
              f"  {row['like'] or ''}")  # fmt: skip
    absent = [row for row in rows if row["why"]]
    constant = [row["card"] for row in rows if row["constant"]]
    print(f"\nnever available in {mode}: {len(absent)}")
    for row in absent:
        print(f"  {row['card']:27}{row['why']}")
    print(f"constant: {len(constant)} {' '.join(constant)}")
    print(f"pairs with |correlation| above {COPY}: {len(pairs)}")
    for r, one, other in pairs:
        print(f"  {r:+.4f} {one} {other}")


def _cell(value: float | None, width: int, form: str) -> str:
    return "-".rjust(width) if value is None else format(value, form).rjust(width)


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--rate", type=float, default=0.05, help="of the market's activity")
    parser.add_argument("--dt", type=float, default=1.0, help="seconds of a tick")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=60, help="seconds between two looks")
    parser.add_argument("--after", type=float, default=30.0, help="minutes before the first look")
    parser.add_argument("--backfill", action="store_true", help="candles and series of the past")
    parser.add_argument("--switches", choices=SWITCHES, default="planted")
    parser.add_argument("--mode", choices=(*MODES, "all"), default="day")
    parser.add_argument("--out", type=Path, help="the table as JSON")
    parser.add_argument("--save", type=Path, help="scores and mids as npz")
    parser.add_argument("--load", type=Path, nargs="+", help="judge what was saved, run nothing")
    wanted = parser.parse_args()
    if wanted.load:
        days = [Day.load(path) for path in wanted.load]
    else:
        days = [collect(wanted.hours, wanted.rate, wanted.dt, wanted.seed,
                        backfill=wanted.backfill, switches=wanted.switches, every=wanted.every,
                        after=60 * wanted.after, save=wanted.save)]  # fmt: skip
    out: dict[str, dict[str, Any]] = {}
    for mode in MODES if wanted.mode == "all" else (wanted.mode,):
        score = pooled(days, mode)
        correlations = pairwise_correlation(score)
        rows, pairs = figures(days, mode, score, correlations), copies(days[0].cards, correlations)
        out[mode] = {"cards": rows, "copies": pairs}
        show(rows, pairs, mode)
    for day in days:
        print(f"\n{day.about}, {len(day.steps)} steps, {len(day.looks)} looks")
    if wanted.out:
        wanted.out.write_text(json.dumps({"runs": [d.about for d in days], "modes": out}, indent=1))


if __name__ == "__main__":
    main()
