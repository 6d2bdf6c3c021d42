# ruff: noqa: T201
"""The first scenario minute by minute, beside markets without its flow turn and flow traps.

python tests/statistics/timeline.py [--scenario breakout] [--seeds 10] [--mode day] [--dt 0.5]

A run leaves its range when the mid is half an ATR (14 bars of 5 min) beyond the high or low of the
hours before it. `max` and `min` are of the bias until then, `at exit` of the first decision after.
"""

import argparse
import asyncio
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from engine.cards.card import Card
from engine.clock import NS
from engine.config import load
from engine.decision.decide import Decision
from engine.jobs.offline import Offline
from engine.sim.market import SCENARIOS, SimulatedMarket
from engine.sim.market.past import CLOSE, HIGH, LOW, merge
from engine.sim.market.scenario import Scenario

SYMBOL = "BTCUSDT"
COINS = ("BTC", "ETH", "SOL", "XRP", "BNB", "LTC")
FLOW = ("order_flow", "microstructure")
WARM = 30 * 60.0  # minutes of the past: the look-back of the day mode's longest window
ARROWS = {1.0: "+", -1.0: "-", 0.0: "."}


class Minute(NamedTuple):
    """What one mode said of the symbol at a decision; `sides` of its windows, shortest first.

    `slows`: what of the composite and the order flow decelerates here.
    """

    minute: float
    price: float
    bias: float
    conviction: float
    agreement: float
    sides: str
    state: str
    slows: str


class Run(NamedTuple):
    """A run of a scenario: its decisions, and the prices beyond which the range is left."""

    seed: int
    minutes: list[Minute]
    low: float
    high: float

    def before_exit(self) -> tuple[list[Minute], Minute | None]:
        """The decisions inside the range, and the first outside it."""
        for place, minute in enumerate(self.minutes):
            if not self.low <= minute.price <= self.high:
                return self.minutes[:place], minute
        return self.minutes, None


def play(scenario: Scenario, mode: str, dt: float, minutes: float, muted: bool,
         seed: int) -> Run:  # fmt: skip
    """One run without sockets; `muted` makes every card fed by order flow not available."""
    symbols = [{"id": f"{coin}USDT", "class": "layer1"} for coin in COINS]
    out: list[Minute] = []

    def told(now: int, decisions: list[Decision]) -> None:
        out.extend(_minute(d, run.market) for d in decisions if d.mode == mode)

    config = load(overrides={"symbols": symbols})[0]
    run = Offline(config, scenario, seed, 60 * minutes, dt=dt, warm_minutes=WARM, told=told)
    if muted:
        decider = run.engine.pipeline.decider
        spoken = [n for n in decider._first if not _is_flow(decider.cards[n])]
        decider._first = np.array(spoken)
    low, high = _range(run.market, scenario.range_hours)
    asyncio.run(run.run())
    return Run(seed, out, low, high)


def _is_flow(card: Card) -> bool:
    return "trades" in card.needs or card.category in FLOW


def _minute(decision: Decision, market: SimulatedMarket) -> Minute:
    place = market.place(SYMBOL)
    sides = "".join(ARROWS.get(float(side), "?") for side in decision.windows[:, place])
    return Minute(
        minute=(decision.ts - market.start) / (60 * NS),
        price=float(market.mids[place] * market.listings[place].tick),
        bias=float(decision.parts.bias[place]),
        conviction=float(decision.conviction[place]),
        agreement=float(decision.agreement[place]),
        sides=sides,
        state=decision.state[place],
        slows=" ".join(
            change.id or change.subject for change in decision.transitions
            if change.symbol == SYMBOL and change.kind == "deceleration"
            and change.id in ("", "order_flow")
        ),
    )  # fmt: skip


def _range(market: SimulatedMarket, hours: float) -> tuple[float, float]:
    """Low and high of the hours before the start, each half an ATR further out."""
    place = market.place(SYMBOL)
    tick = market.listings[place].tick
    bars = market.bars.past.minutes[-round(60 * (hours or 6)) :, :, place] * tick
    five = merge(bars, 5)[-15:]
    before = five[:-1, CLOSE]
    true = np.maximum(five[1:, HIGH], before) - np.minimum(five[1:, LOW], before)
    half = float(true.mean()) / 2
    return float(bars[:, LOW].min()) - half, float(bars[:, HIGH].max()) + half


def without_turn(scenario: Scenario) -> Scenario:
    """The same prices and volatility with takers that know nothing of them."""
    return replace(
        scenario, phases=tuple(replace(phase, tilt=(0.0, 0.0)) for phase in scenario.phases)
    )


# -- tables --------------------------------------------------------------------------------


def show_minutes(run: Run, windows: str) -> None:
    print(f"range left below {run.low:,.0f} or above {run.high:,.0f}")
    print(f"{'min':>4}{'price':>10}{'bias':>7}{'conv':>6}{'agree':>7}  {windows:14} state")
    for m in run.minutes:
        print(f"{m.minute:4.0f}{m.price:10,.0f}{m.bias:+7.1f}{m.conviction:6.0f}"
              f"{100 * m.agreement:6.0f}%  {'  '.join(m.sides):14} {m.state:15} "
              f"{'slows: ' * bool(m.slows)}{m.slows}")  # fmt: skip


def rows(runs: list[Run]) -> Iterator[str]:
    """One line a run."""
    for run in runs:
        inside, outside = run.before_exit()
        biases = [m.bias for m in inside if not np.isnan(m.bias)]
        left = f"{outside.minute:5.0f}{outside.bias:+9.1f}" if outside else "    -        -"
        side = "" if outside is None else "up" if outside.price > run.high else "down"
        yield (f"{run.seed:5}{max(biases, default=np.nan):+8.1f}{min(biases, default=np.nan):+8.1f}"
               f"{left} {side:5}{run.minutes[-1].price:9,.0f}")  # fmt: skip


def show_runs(title: str, runs: list[Run]) -> None:
    print(f"\n{title}")
    print(f"{'seed':>5}{'max':>8}{'min':>8}{'exit':>5}{'at exit':>9} {'side':5}{'final':>9}")
    print("\n".join(rows(runs)))
    tops = [max(m.bias for m in run.before_exit()[0]) for run in runs]
    print(f"max before exit, median {np.median(tops):+.1f}, highest {max(tops):+.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", default="breakout", choices=sorted(SCENARIOS))
    parser.add_argument("--mode", default="day", choices=("scalp", "day", "swing"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--dt", type=float, default=0.5, help="seconds of a tick")
    parser.add_argument("--minutes", type=float, default=37.0)
    parser.add_argument("--jobs", type=int, default=2)
    wanted = parser.parse_args()
    scenario, seeds = SCENARIOS[wanted.scenario], range(1, wanted.seeds + 1)
    windows = "  ".join(load()[0].modes[wanted.mode].windows)
    with ProcessPoolExecutor(wanted.jobs, get_context("spawn")) as pool:

        def runs(of: Scenario, muted: bool = False) -> list[Run]:
            job = partial(play, of, wanted.mode, wanted.dt, wanted.minutes, muted)
            return list(pool.map(job, seeds))

        turned = runs(scenario)
        print(f"{scenario.title}; {SYMBOL}, {wanted.mode}, seed 1")
        show_minutes(turned[0], windows)
        show_runs(wanted.scenario, turned)
        show_runs(f"{wanted.scenario} with the cards muted that flow feeds",
                  runs(scenario, muted=True))  # fmt: skip
        show_runs("the same prices without the flow turn", runs(without_turn(scenario)))
        show_runs("flow traps", runs(SCENARIOS["trap"]))


if __name__ == "__main__":
    main()
