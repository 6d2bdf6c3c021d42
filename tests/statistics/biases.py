# ruff: noqa: T201
"""How the bias is distributed over simulated days, mode by mode, and how long it stays anywhere.

    python tests/statistics/biases.py DAY.npz ... [--from 0] [--out TABLE.json]

DAY.npz: what cards_day.py --save keeps. All symbols pooled; the first `--from` hours are left out.
A state lasts from the decision that begins it to the one that ends it; those cut off by the run's
start or end are left out. A flip is a change of side of more than the neutral cut on both sides,
with at most five cycles between. Intervals: 95 %, bootstrap over the symbols and days.
Times the gain: what to multiply config.yaml's modes.*.gain with after a change of cards or priors,
so that it is 1.5 times what puts the 95th percentile of |bias| at 60; leave out the first two
hours, in which normalisers have seen little and biases are small.
"""

import argparse
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from cards_day import WORDS, Day
from numpy.typing import NDArray

from engine.clock import NS
from engine.config import MODES, load
from engine.decision.ladder import NOT_AVAILABLE, states

Array = NDArray[np.float64]
SAFETY, TARGET = 1.5, 60.0
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
PAUSE = 5
RESAMPLES = 2000


def lanes(day: Day, mode: str, after: float) -> tuple[Array, NDArray[np.int8]]:
    """Bias and place of the word, (decisions, symbols), of one mode from so many hours on."""
    late = day.decided - day.decided[0] >= after * 3600 * NS
    chosen = (day.mode == MODES.index(mode)) & late
    return day.bias[chosen].astype(float), day.word[chosen]


def flips(bias: Array, cut: float) -> int:
    """Changes of side of one symbol, both beyond the cut, at most PAUSE cycles apart."""
    side = np.where(np.abs(bias) >= cut, np.sign(bias), 0.0)
    at = np.flatnonzero(side)
    turned = side[at][1:] != side[at][:-1]
    return int((turned & (np.diff(at) <= PAUSE + 1)).sum())


def stays(names: list[str]) -> dict[str, list[int]]:
    """Cycles of each whole stay of one symbol, by state."""
    out: dict[str, list[int]] = {}
    begun = [n for n in range(1, len(names)) if names[n] != names[n - 1]]
    for start, end in pairwise(begun):
        out.setdefault(names[start], []).append(end - start)
    return out


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and its 95 % interval over runs of a symbol and day."""
    rng, own = np.random.default_rng(1), np.array(values)
    means = own[rng.integers(0, len(own), (RESAMPLES, len(own)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(own.mean()), float(low), float(high)


def table(days: list[Day], mode: str, after: float) -> dict[str, Any]:
    """What is told of one mode."""
    config = load()[0]
    every, rules = config.modes[mode].every, config.decision
    found = [lanes(day, mode, after) for day in days]
    biases = np.concatenate([bias.ravel() for bias, _ in found])
    words = np.concatenate([word.ravel() for _, word in found])
    biases = biases[~np.isnan(biases)]
    each = [column for bias, _ in found for column in bias.T]
    lasting: dict[str, list[int]] = {}
    for column in each:
        torn = np.zeros(len(column), dtype=bool)
        names = states(column, torn, rules.state_cuts)
        for state, cycles in stays(names).items():
            lasting.setdefault(state, []).extend(cycles)
    hours = [len(column) * every / 3600 for column in each]
    rate = [flips(c, rules.state_cuts[0]) / h for c, h in zip(each, hours, strict=True)]
    top = float(np.quantile(np.abs(biases), 0.95))
    straight = math.atanh(min(top / 100, 0.9999))
    return {
        "n": len(biases), "runs": len(each),
        "quantiles": {str(q): float(np.quantile(biases, q)) for q in QUANTILES},
        "|bias| 50 %": float(np.median(np.abs(biases))), "|bias| 95 %": top,
        "decisions": {w: float((words == n).mean()) for n, w in enumerate(WORDS)},
        "minutes in a state": {
            state: (float(np.mean(cycles)) * every / 60, len(cycles))
            for state, cycles in sorted(lasting.items()) if state != NOT_AVAILABLE
        },
        "flips an hour": interval(rate),
        "times the gain": SAFETY * math.atanh(TARGET / 100) / straight,
    }  # fmt: skip


def show(mode: str, told: dict[str, Any]) -> None:
    quantiles = "  ".join(
        f"{100 * float(q):g} % {value:+.0f}" for q, value in told["quantiles"].items()
    )
    print(f"\n{mode}: {told['n']:,} decisions of {told['runs']} symbols and days")
    print(f"  bias       {quantiles}")
    print(f"  |bias|     50 % {told['|bias| 50 %']:.0f}  95 % {told['|bias| 95 %']:.0f}")
    words = "  ".join(f"{w} {share:.1%}" for w, share in told["decisions"].items() if share)
    print(f"  decisions  {words}")
    for state, (minutes, count) in told["minutes in a state"].items():
        print(f"  {state:16}{minutes:7.1f} min a stay, {count:,} stays")
    middle, low, high = told["flips an hour"]
    print(f"  flips      {middle:.2f} an hour and symbol [{low:.2f} .. {high:.2f}]")
    print(f"  gain       times {told['times the gain']:.3f}")


def main() -> None:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--from", dest="after", type=float, default=0.0, help="hours left out")
    parser.add_argument("--out", type=Path, help="the tables as JSON")
    wanted = parser.parse_args()
    days = [Day.load(path) for path in wanted.files]
    for day in days:
        print(day.about)
    out = {mode: table(days, mode, wanted.after) for mode in MODES}
    for mode, told in out.items():
        show(mode, told)
    if wanted.out:
        wanted.out.write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
