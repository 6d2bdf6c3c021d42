"""The fault drill of tests/statistics in short: all venues, everything mended, nothing wrong.

Without sockets, on three symbols without BTC, whose tape costs as much as theirs together; what is
about sockets alone on the real ones, of two venues.
"""

import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from engine.clock import NS

pytestmark = pytest.mark.slow
SCRIPTS = Path(__file__).parents[1] / "statistics"
THREE = ("ETHUSDT", "PEPEUSDT", "ARBUSDT")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return import_module("faults")


def assert_mended(script: Any, drill: Any) -> None:
    sys.stdout.write("\n" + "\n".join(script.table(drill)) + "\n")
    assert script.problems(drill) == []
    ledger = drill.ledger
    assert all(ledger.taken[venue] > 20 for venue in ledger.truths)
    assert ledger.counted_twice() == 0


async def test_every_fault_of_every_venue_is_mended(script: Any) -> None:
    drill = script.Drill(THREE, seed=3, local=True, every=0.7)
    await drill.run(2.5)
    assert_mended(script, drill)
    venues, kinds = (Counter(key[n] for key in drill.injected.elements()) for n in (0, 1))
    assert venues.keys() == drill.venues.keys()
    assert kinds.keys() == drill.by_name.keys()
    assert drill.injected.total() > 60
    assert sum(looks["true"] for looks in drill.ledger.looks.values()) > 300
    lost = sum((drill.ledger.lost(venue) for venue in drill.ledger.truths), Counter[str]())
    assert lost["blind"] > 0
    assert lost["silent"] > 0


async def test_on_sockets_too(script: Any) -> None:
    drill = script.Drill(THREE, seed=4, every=1.0, feeds=("binance", "dydx"))
    await drill.run(1.0)
    assert_mended(script, drill)
    assert drill.demo.market.now - drill.began > 60 * NS
