"""What each way in costs before it does anything: `python tests/benchmarks/cold_start.py`.

Best of five fresh processes each, over the bare interpreter's own start; and modules loaded.
"""

import subprocess
import sys
import time

RUNS = 5
ENTRIES = {
    "--help": "from cockpit.cli import run; run(['--help'])",
    "config": "import cockpit.commands.settings",
    "decode": "import engine.jobs.decode, engine.feeds.binance",
    "cards": "from engine.cards.card import registry; registry()",
    "replay": "import engine.jobs.replay",
    "live": "import engine.runtime",
    "cockpit": "import cockpit.app, engine.runtime",
}
COUNT = "; import sys; print(len(sys.modules), file=sys.stderr)"


def measure(code: str) -> tuple[float, int]:
    """Best wall time in ms and the number of modules at the end."""
    best, modules = float("inf"), 0
    for _ in range(RUNS):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code + COUNT], capture_output=True, text=True, check=True
        )
        best = min(best, (time.perf_counter() - start) * 1000)
        modules = int(done.stderr)
    return best, modules


def main() -> None:
    bare, standard = measure("pass")
    print(f"{'entry':<10}{'ms':>8}{'modules':>9}")
    print(f"{'python':<10}{bare:>8.0f}{standard:>9}")
    for name, code in ENTRIES.items():
        took, modules = measure(code)
        print(f"{name:<10}{took - bare:>+8.0f}{modules:>9}")


if __name__ == "__main__":
    main()
