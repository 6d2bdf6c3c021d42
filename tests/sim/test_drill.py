"""The fault drill of tests/statistics in short: each fault in a random order, everything mended.

On three symbols, without BTC, whose tape costs as much as theirs together.
"""

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[1] / "statistics" / "faults.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fault_drill", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_every_fault_is_mended_and_nothing_is_wrong() -> None:
    script = load_script()
    symbols = script.FEW[1:]
    drill = script.Drill(symbols, seed=3)
    await drill.run(dict.fromkeys(drill.faults, 1))
    sys.stdout.write("\n" + "\n".join(script.table(drill)) + "\n")
    ledger = drill.ledger
    assert drill.failed == []
    assert {kind: len(times) for kind, times in drill.mended.items()} == drill.injected
    assert set(drill.injected.values()) == {1}
    assert ledger.wrong == []
    assert ledger.looks["true"] > 100
    assert Counter(ledger.at_end.values()) == {"true": len(symbols)}
    seen, lost = ledger.tape()
    assert seen > 1000
    assert lost["blind"] > 0
    assert lost["elsewhere"] == drill.spoilt
    counted = drill.demo.latest().feeds["binance"].dropped_by_reason["trades missed"]
    assert counted == lost.total()
    assert ledger.counted_twice() == 0
    assert drill.demo.unsettled == 0
