"""Every fault on every venue, many times in a simulated hour: what recovers, and what stays true.

    python tests/statistics/faults.py [--minutes 60] [--symbols few|all] [--seed 1] [--local]

All feeds run on their simulated venues while faults come at random moments on random venues and
streams, several at a time. All along, at random times, every book that claims to be whole is
compared with the true one, every trade with the true tape. `--local` does without sockets.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter

import numpy as np
from fault_drill import Drill, memory_mb
from fault_ledger import FATES, MUST_NOT

from engine.clock import NS

FEW = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "PEPEUSDT", "ARBUSDT")


def table(drill: Drill) -> list[str]:
    """What came of a run, in lines."""
    return [*mended(drill), "", *by_fault(drill), "", *books(drill), "", *trades(drill), ""]


def mended(drill: Drill) -> list[str]:
    """Venue by fault: injected, recovered, seconds until the venue was whole again."""
    lines = [f"{'venue':21}{'fault':19}{HEAD}"]
    for (venue, kind), count in sorted(drill.injected.items()):
        lines.append(f"{venue:21}{kind:19}{_row(count, drill.mended[venue, kind])}")
    return lines


HEAD = f"{'injected':>9}{'recovered':>10}{'median s':>10}{'p95 s':>8}{'max s':>8}"


def _row(count: int, took: list[float]) -> str:
    if not took:
        return f"{count:9}{0:10}"
    return (f"{count:9}{len(took):10}{statistics.median(took):10.2f}"
            f"{np.percentile(took, 95):8.1f}{max(took):8.1f}")  # fmt: skip


def by_fault(drill: Drill) -> list[str]:
    """All venues together."""
    lines = [f"{'all venues':40}{HEAD}"]
    for kind in drill.by_name:
        count = sum(n for (_, k), n in drill.injected.items() if k == kind)
        took = [s for (_, k), some in drill.mended.items() if k == kind for s in some]
        if count:
            lines.append(f"{kind:40}{_row(count, took)}")
    took = [s for some in drill.mended.values() for s in some]
    lines.append(f"{'every fault':40}{_row(drill.injected.total(), took)}")
    return lines


def books(drill: Drill) -> list[str]:
    """What books claimed at random times and at the end."""
    states = ("true", "behind", "broken", "wrong")
    head = "".join(f"{state:>9}" for state in states)
    lines = [f"{'books at random times':25}{head}   at the end"]
    for venue, looks in drill.ledger.looks.items():
        row = "".join(f"{looks[state]:9}" for state in states)
        lines.append(f"{venue:25}{row}   {dict(drill.at_end.get(venue, {}))}")
    return lines


def trades(drill: Drill) -> list[str]:
    """What was taken of each true tape, and where the rest went."""
    ledger, tallies = drill.ledger, drill.engine.pipeline.tallies
    head = "".join(f"{name:>10}" for name in FATES).replace("      sent", "      lost")
    lines = [f"{'trades':13}{'taken':>9}{'twice':>6}{'late':>6}{head}{'no socket s':>12}"
             f"{'engine blind s':>15}{'reconnects':>11}"]  # fmt: skip
    for venue in ledger.truths:
        lost = ledger.lost(venue)
        twice = sum(text.startswith(f"{venue} ") for text in ledger.twice)
        row = "".join(f"{lost[name]:10}" for name in FATES)
        tally = tallies[venue]
        lines.append(f"{venue:13}{ledger.taken[venue]:9}{twice:6}{ledger.late[venue]:6}{row}"
                     f"{ledger.uncovered[venue] / NS:12.0f}{tally.blind(drill.now):15.0f}"
                     f"{tally.reconnects:11}")  # fmt: skip
    drops = Counter(drill.engine.pipeline.market.drops)
    lines += [
        "late: taken over 2 s after they were told; not taken: blind, nobody had subscribed, as"
        " the engine knows (unnoticed: it does not); silent, an open socket said nothing; spoilt,"
        " left out or cut off; held, swapped with a successor that never came; lost, no reason",
        f"notional of the reference's bars beyond its trades: {ledger.counted_twice():.1e}",
        f"dropped by the market: {dict(drops)}",
        *(f"{n}: dropped {dict(t.dropped)}" for n, t in tallies.items() if t.dropped),
    ]
    return lines


def problems(drill: Drill) -> list[str]:
    """Whatever must not be."""
    ledger = drill.ledger
    found = [*drill.failed, *(f"wrong book: {text}" for text in ledger.wrong[:20])]
    found += [f"taken twice or never told: {text}" for text in ledger.twice[:20]]
    found += [f"not as told: {text}" for text in ledger.false[:20]]
    found += [f"{fate}: {text}" for fate in MUST_NOT for text in ledger.samples(fate)]
    found += [f"at the end, {venue}: {dict(states)}" for venue, states in drill.at_end.items()
              if set(states) - {"true"}]  # fmt: skip
    if drill.injected.total() != sum(map(len, drill.mended.values())):
        found.append("not every fault is mended")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--symbols", choices=("few", "all"), default="few")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=3.0, help="seconds between faults")
    parser.add_argument("--local", action="store_true", help="without sockets")
    options = parser.parse_args()
    drill = Drill(FEW if options.symbols == "few" else None, options.seed, options.local,
                  options.every)  # fmt: skip
    say = sys.stdout.write

    def tell(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    began, worked = time.monotonic(), time.process_time()
    asyncio.run(drill.run(options.minutes, tell))
    took, worked = time.monotonic() - began, time.process_time() - worked
    count, path = len(drill.market.symbols), "without sockets" if options.local else "on sockets"
    say(f"{count} symbols, {len(drill.venues)} feeds {path}, {drill.simulated:.0f} simulated s in"
        f" {took:.0f} s ({worked:.0f} s of CPU)\n\n")  # fmt: skip
    say("\n".join(table(drill)) + "\n")
    say(f"memory at start, middle, end: {', '.join(f'{mb:.0f} MB' for mb in drill.memory)}"
        f" ({memory_mb():.0f} MB now)\n")  # fmt: skip
    say("\n".join(["slowest, and what was lacking last:", *(t for _, t in drill.slowest)]) + "\n")
    found = problems(drill)
    say("\n".join(["", *(found or ["nothing wrong"])]) + "\n")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
