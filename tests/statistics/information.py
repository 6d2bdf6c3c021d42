# ruff: noqa: T201
"""What each card's score knows of later prices in the simulated market, with honest intervals.

    python tests/statistics/information.py DAY.npz ...
    python tests/statistics/information.py --days 11 --folder DIR [--switches planted|martingale]
        [--rate 0.05] [--dt 1] [--seed 1] [--jobs 2] [--no-backfill]

DAY.npz: what cards_day.py --save keeps; --folder runs the days that are missing there. Per mode:
score at a step against the log return of the reference's mid from the next step on to the mode's
horizon; all symbols and instants pooled. Raw returns, and what is left of them without the mean
of all symbols at that instant (not for cards that say the same of all symbols).

Intervals by circular block bootstrap, all symbols of a stretch of time together. n_eff: as many
independent pairs would leave the same error, n x (1 - r^2)^2 / (n - 1) / error^2. B: found by
Benjamini and Hochberg at 10 %. Of chance: how many intervals would exclude 0 if no card knew
anything, mean and 95 % of the resamples. The truth: the takers' tilt, which no card sees.
"""

import argparse
import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from cards_day import SWITCHES, Day, collect
from numpy.typing import NDArray

from engine.clock import NS
from engine.config import MODES, load
from engine.decision.decide import STEP_NS, STEP_S
from engine.learning.scoring import (
    Coefficients,
    benjamini_hochberg,
    coefficients,
    forward_returns,
    found_by_chance,
    residuals,
)

Array = NDArray[np.float64]
RATE = 0.10
KINDS = ("raw", "residual")


def forward(day: Day, horizon: float) -> Array:
    """Log returns (looks, S) from the step after each look until `horizon` s after it."""
    place = (day.steps - day.steps[0]) // STEP_NS
    log_mid = np.full((place[-1] + 1, len(day.symbols)), np.nan)
    # Mids of a step that came late are not those of its instant.
    prompt = day.at - day.steps < STEP_NS
    log_mid[place[prompt]] = np.log(day.mid[prompt])
    ahead = forward_returns(log_mid, 1, round(horizon / STEP_S))
    out: Array = ahead[(day.looks - day.steps[0]) // STEP_NS]
    return out


def columns(days: list[Day], mode: str, kind: str) -> Iterator[Array]:
    """Each card's score (T, S), and the truth last."""
    scores = [day.scores(mode) for day in days]
    for place, scope in enumerate(days[0].scopes):
        score = np.concatenate([s[:, place] for s in scores]).astype(float)
        yield np.full_like(score, np.nan) if kind == "residual" and scope == "market" else score
    yield np.concatenate([
        day.tilt[np.searchsorted(day.steps, day.looks)].astype(float) for day in days
    ])  # fmt: skip


def judged(days: list[Day], mode: str, horizon: float, horizons: float, resamples: int) -> dict[
    str, dict[str, Coefficients]
]:  # fmt: skip
    """Kind of return -> Spearman's and Pearson's, cards and then the truth."""
    ahead = np.concatenate([forward(day, horizon) for day in days])
    runs = [len(day.looks) for day in days]
    every = days[0].about["every"]
    out = {}
    for kind in KINDS:
        returns = residuals(ahead) if kind == "residual" else ahead
        out[kind] = {
            name: coefficients(columns(days, mode, kind), returns, runs,
                               max(1, round(horizon / every)), horizons=horizons,
                               ranked=name == "spearman", resamples=resamples)
            for name in ("spearman", "pearson")
        }  # fmt: skip
    return out


# -- tables --------------------------------------------------------------------------------


def rows(days: list[Day], results: dict[str, dict[str, Coefficients]]) -> list[dict[str, Any]]:
    """One a card and one for the truth, by Spearman's t with raw returns, largest first."""
    first = days[0]
    names = [*first.cards, "(the truth)"]
    out: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        row: dict[str, Any] = {"card": name}
        row["category"] = [*first.categories, ""][place]
        for kind, of_kind in results.items():
            c = of_kind["spearman"]
            found = benjamini_hochberg(c.p[:-1], RATE)
            row[kind] = {
                "ic": c.value[place], "low": c.low[place], "high": c.high[place],
                "t": c.t[place], "p": c.p[place], "n": c.n[place], "n_eff": c.n_eff[place],
                "found": place < len(found) and bool(found[place]),
                "pearson": of_kind["pearson"].value[place],
                "pearson_t": of_kind["pearson"].t[place],
            }  # fmt: skip
        out.append(row)
    return sorted(out, key=lambda row: -np.nan_to_num(row["raw"]["t"], nan=-1e9))


def counts(result: Coefficients, resamples: int) -> dict[str, Any]:
    """How many cards were tested, found, and would be by chance; without the truth."""
    tested = ~np.isnan(result.t)
    tested[-1] = False
    outside = tested & ((result.low > 0) | (result.high < 0))
    chance = found_by_chance(result, tested)
    return {
        "cards": len(tested) - 1, "tested": int(tested.sum()), "outside": int(outside.sum()),
        "above": int((outside & (result.value > 0)).sum()), "expected": 0.05 * int(tested.sum()),
        "chance": float(chance.mean()), "chance 95 %": float(np.quantile(chance, 0.95)),
        "as many by chance": float((chance >= outside.sum()).mean()),
        "found": int(benjamini_hochberg(result.p[:-1], RATE).sum()), "blocks": result.blocks,
        "resamples": resamples,
    }  # fmt: skip


def show(mode: str, horizon: float, table: list[dict[str, Any]],
         told: dict[str, dict[str, Any]]) -> None:  # fmt: skip
    print(f"\n{mode}: score against the return until {horizon:g} s later")
    each = f"{'IC':>8}{'95 % interval':>17}{'t':>6}{'n_eff':>7} {'B':1}{'Pearson':>9}{'t':>6}"
    print(f"{'':27}{'raw':>42}{'without the common factor':>54}")
    print(f"{'card':27}{each} | {each}")
    for row in table:
        print(f"{row['card']:27}{_cells(row['raw'])} | {_cells(row['residual'])}")
    for kind, c in told.items():
        print(f"{kind}: {c['tested']} of {c['cards']} cards tested, {c['outside']} intervals "
              f"exclude 0 ({c['above']} above it); by chance {c['expected']:.1f} expected, "
              f"in resamples {c['chance']:.1f}, in 95 % of them at most {c['chance 95 %']:.0f}, "
              f"as many in {c['as many by chance']:.1%}; Benjamini-Hochberg at {RATE:.0%}: "
              f"{c['found']}; {c['blocks']} blocks, {c['resamples']} resamples")  # fmt: skip


def _cells(c: dict[str, Any]) -> str:
    if np.isnan(c["ic"]):
        return f"{'-':>8}{'':17}{'':6}{'':7}  {'':9}{'':6}"
    interval = f"{c['low']:+.3f} {c['high']:+.3f}"
    return (f"{c['ic']:+8.4f}{interval:>17}{c['t']:6.1f}{c['n_eff']:7.0f} "
            f"{'B' if c['found'] else ' '}{c['pearson']:+9.4f}{c['pearson_t']:6.1f}")  # fmt: skip


def plain(value: Any) -> Any:
    """As JSON has it: what is not a number is null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return None if np.isnan(value) else round(float(value), 6)
    return value


# -- runs ----------------------------------------------------------------------------------


def one(wanted: argparse.Namespace, seed: int) -> Path:
    """The file of a seed's day, made unless it is there and whole."""
    path = wanted.folder / f"{wanted.switches}-{wanted.rate:g}-{wanted.hours:g}h-{seed}.npz"
    if path.is_file() and "cpu" in Day.load(path).about:
        return Path(path)
    collect(wanted.hours, wanted.rate, wanted.dt, seed, backfill=not wanted.no_backfill,
            switches=wanted.switches, every=wanted.every, after=60 * wanted.after,
            save=path)  # fmt: skip
    return Path(path)


def paths(wanted: argparse.Namespace) -> list[Path]:
    """The files to judge: those named, and those of --days."""
    if not wanted.days:
        return list(wanted.files)
    wanted.folder.mkdir(parents=True, exist_ok=True)
    seeds = range(wanted.seed, wanted.seed + wanted.days)
    with ProcessPoolExecutor(wanted.jobs, get_context("spawn")) as pool:
        return [*wanted.files, *pool.map(partial(one, wanted), seeds)]


def gathered(files: list[Path]) -> list[Day]:
    """What they hold; ValueError where they are not of one kind."""
    days = [Day.load(path) for path in files]
    for path, day in zip(files, days, strict=True):
        same = (day.cards, day.symbols) == (days[0].cards, days[0].symbols)
        if not same or day.about["every"] != days[0].about["every"]:
            raise ValueError(f"{path}: other cards, symbols or looks than {files[0]}")
        if not len(day.looks):
            raise ValueError(f"{path}: ends before the first look")
        every = np.diff(day.looks) == day.about["every"] * NS
        if not every.all():
            raise ValueError(f"{path}: {(~every).sum()} looks are missing")
    return days


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("files", type=Path, nargs="*")
    parser.add_argument("--days", type=int, default=0, help="runs to make, a seed each")
    parser.add_argument("--folder", type=Path, default=Path("days"), help="where runs are kept")
    parser.add_argument("--hours", type=float, default=24.0, help="of a run")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--dt", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1, help="of the first run")
    parser.add_argument("--every", type=int, default=60)
    parser.add_argument("--after", type=float, default=30.0, help="minutes before the first look")
    parser.add_argument("--no-backfill", action="store_true")
    parser.add_argument("--switches", choices=SWITCHES, default="planted")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=("scalp", "day"))
    parser.add_argument("--horizons", type=float, default=4.0, help="of a block, at least 2")
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="the tables as JSON")
    wanted = parser.parse_args()
    if not wanted.files and not wanted.days:
        parser.error("name files, or --days to run")
    days, config, out = gathered(paths(wanted)), load()[0], {}
    for day in days:
        print(f"{day.about}, {len(day.looks)} looks")
    for mode in wanted.modes:
        horizon = config.modes[mode].horizon
        results = judged(days, mode, horizon, wanted.horizons, wanted.resamples)
        told = {kind: counts(of["spearman"], wanted.resamples) for kind, of in results.items()}
        table = rows(days, results)
        show(mode, horizon, table, told)
        out[mode] = {"horizon": horizon, "counts": told, "cards": table}
    if wanted.out:
        whole = {"runs": [day.about for day in days], "modes": plain(out)}
        wanted.out.write_text(json.dumps(whole, indent=1))


if __name__ == "__main__":
    main()
