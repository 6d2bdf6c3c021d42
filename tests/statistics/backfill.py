# ruff: noqa: T201
"""What history costs at each venue: from nothing, and at the next start a while later.

python tests/statistics/backfill.py [--symbols 21] [--away 3600] [--feeds binance,gate]

All feeds run on a sparse simulated market without sockets, within the budgets of the config. A
weight is the venue's own measure. `fullest` is the largest share of a minute's budget that was used
at all, books and polls included; `s` are seconds of the market's time until the last answer.
"""

import argparse
import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from backfill_world import World

from engine.clock import NS
from engine.config import Config, load
from engine.feeds.budget import MINUTE

RATE = 0.02
LONGEST_S = 3600


class Cost(NamedTuple):
    """What one start costs at one venue: requests and weight for history, the fullest minute."""

    requests: int
    weight: int
    fullest: int
    seconds: float


async def start(world: World) -> dict[str, Cost]:
    """Run an engine until all of its history is there."""
    await world.start()
    began = world.run.clock.now()
    done: dict[str, int] = {}
    while world.run.clock.now() < began + LONGEST_S * NS and not world.done():
        await world.until(1)
        for name, told in world.progress().items():
            if told is not None and told[0] == told[1]:
                done.setdefault(name, world.run.clock.now())
    out = {}
    for name, spent in world.spent.items():
        weights = [weight for _, weight, kind in spent if kind == "history"]
        took = (done[name] - began) / NS if name in done else float("nan")
        out[name] = Cost(len(weights), sum(weights), fullest(spent), took)
    await world.stop()
    return out


def fullest(spent: list[tuple[int, int, str]]) -> int:
    """The largest weight within a minute."""
    most = first = total = 0
    for at, weight, _ in spent:
        total += weight
        while spent[first][0] <= at - MINUTE:
            total -= spent[first][1]
            first += 1
        most = max(most, total)
    return most


def show(config: Config, starts: list[dict[str, Cost]]) -> None:
    head = f"{'requests':>11}{'weight':>8}{'fullest':>9}{'s':>6}"
    print(f"{'feed':20}" + head * len(starts))
    for name, feed in config.feeds.items():
        if not feed.enabled or not feed.backfill:
            continue
        cells = f"{name:20}"
        for costs in starts:
            cost = costs.get(name, Cost(0, 0, 0, 0.0))
            share = cost.fullest / feed.request_weight
            cells += f"{cost.requests:>11}{cost.weight:>8}{share:>9.0%}{cost.seconds:>6.0f}"
        print(cells)


async def play(config: Config, away: float) -> list[dict[str, Cost]]:
    """A cold start and a warm one."""
    with TemporaryDirectory() as folder:
        world = World(config, Path(folder) / "history.db", rate=RATE)
        cold = await start(world)
        await world.away(away)
        return [cold, await start(world)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--symbols", type=int, default=21)
    parser.add_argument("--away", type=float, default=3600.0, help="seconds between the starts")
    parser.add_argument("--feeds", default="", help="only these")
    options = parser.parse_args()
    config = load()[0]
    listed = [{"id": i.id, "class": i.group} for i in config.instruments[: options.symbols]]
    only = options.feeds.split(",") if options.feeds else list(config.feeds)
    feeds = {name: {"enabled": name in only} for name in config.feeds}
    config = load(overrides={"symbols": listed, "feeds": feeds})[0]
    began = time.perf_counter()
    starts = asyncio.run(play(config, options.away))
    print(f"{'':20}{'from nothing':>34}{f'{options.away:g} s later':>34}")
    show(config, starts)
    print(f"{time.perf_counter() - began:.0f} s of wall time, {options.symbols} symbols")


if __name__ == "__main__":
    main()
