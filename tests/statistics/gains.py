# ruff: noqa: T201
"""The gain of each mode in the simulated market: 1.5 times what puts the 95th percentile of |bias|
at 60.

python tests/statistics/gains.py [--seeds 4] [--hours 3] [--rate 0.2]

To be run again whenever cards or priors change; the values go into config.yaml, modes.*.gain.
Decisions are those of the default scenario, all symbols, from when a mode's normalisers have been
warmed; the bias is 100 tanh(g S), so that g = atanh(0.6) / (95th percentile of |S|). In brackets:
lowest and highest of the seeds.
"""

import argparse
import asyncio
import math
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np

from engine.clock import NS
from engine.config import MODES, load
from engine.decision.decide import Decision
from engine.jobs.offline import Offline

SAFETY = 1.5
TARGET = 60.0
WARMED_S = 120  # until history has come and the warm-up is in force, in the market's time
DAYS = 8 * 1440.0


def totals(rate: float, dt: float, hours: float, seed: int) -> dict[str, list[float]]:
    """|S| of every decision and symbol of a seed, by mode."""
    out: dict[str, list[float]] = defaultdict(list)

    def told(now: int, decisions: list[Decision]) -> None:
        if now - run.market.start >= WARMED_S * NS:
            for decision in decisions:
                known = ~np.isnan(decision.parts.bias)
                out[decision.mode] += np.abs(decision.parts.total[known]).tolist()

    config = load()[0]
    run = Offline(config, "default", seed, 3600 * hours, rate=rate, dt=dt, warm_minutes=DAYS,
                  told=told)  # fmt: skip
    asyncio.run(run.run())
    return dict(out)


def gain(totals: list[float]) -> float:
    """The gain with which |bias| is 60 at the 95th percentile of |S|."""
    return math.atanh(TARGET / 100) / float(np.quantile(totals, 0.95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--dt", type=float, default=0.5, help="seconds of a tick")
    parser.add_argument("--jobs", type=int, default=2)
    wanted = parser.parse_args()
    with ProcessPoolExecutor(wanted.jobs, get_context("spawn")) as pool:
        job = partial(totals, wanted.rate, wanted.dt, wanted.hours)
        runs = list(pool.map(job, range(1, wanted.seeds + 1)))
    config = load()[0]
    print(f"{'mode':8}{'gain':>7}{'x 1.5':>8}  {'of the seeds':18}{'decisions':>10}"
          f"{'|bias| at the present gain: 50 %':>34}{'95 %':>7}")  # fmt: skip
    for mode in MODES:
        pooled = [total for run in runs for total in run.get(mode, [])]
        if not pooled:
            print(f"{mode:8} no decision")
            continue
        each = [gain(run[mode]) for run in runs if run.get(mode)]
        value, present = gain(pooled), config.modes[mode].gain
        half, high = 100 * np.tanh(present * np.quantile(pooled, [0.5, 0.95]))
        spread = f"[{min(each):.2f} .. {max(each):.2f}]"
        print(f"{mode:8}{value:7.2f}{SAFETY * value:8.2f}  {spread:18}{len(pooled):10,}"
              f"{half:34.1f}{high:7.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
