"""The first scenario, minute by minute: the flow turns, the bias follows, price comes last."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from engine.sim.market import SCENARIOS

MODE, SEED = "day", 1
MINUTES, TURN = 34.0, 5.0


@pytest.fixture(scope="module")
def run() -> Any:
    path = Path(__file__).with_name("timeline.py")
    spec = spec_from_file_location("timeline", path)
    assert spec is not None
    assert spec.loader is not None
    timeline = sys.modules["timeline"] = module_from_spec(spec)
    spec.loader.exec_module(timeline)
    return timeline.play(SCENARIOS["breakout"], MODE, 1.0, MINUTES, False, SEED)


def turned(minutes: list[Any], place: int) -> float:
    """The first minute of the turning flow at which a window is on its side."""
    return next(m.minute for m in minutes if m.minute >= TURN and m.sides[place] == "+")


@pytest.mark.slow
def test_the_bias_leads_and_the_exit_cue_comes_before_the_high(run: Any) -> None:
    inside, outside = run.before_exit()
    calm = [m.bias for m in inside if m.minute <= 10]
    assert max(map(abs, calm)) < 40
    # Beyond +40 before price is half an ATR out of its range, and beyond +50 once it is.
    assert outside is not None
    assert outside.price > run.high
    assert max(m.bias for m in inside) >= 40
    assert outside.bias >= 50
    turning = [m.conviction for m in inside if m.minute > 10 and m.bias < 20]
    after = [m for m in run.minutes if m.minute >= outside.minute]
    assert max(m.conviction for m in after) >= 10 + sum(turning) / len(turning)
    assert max(m.agreement for m in after) == 1.0
    assert turned(run.minutes, 0) < turned(run.minutes, 1) < turned(run.minutes, 2)
    high = max(run.minutes, key=lambda m: m.price)
    slow = [m for m in after if m.slows]
    assert slow
    assert slow[0].minute < high.minute
