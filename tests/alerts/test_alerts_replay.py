"""Alerts of a real recording: the same twice, and cards that add up to the bias that made them."""

from pathlib import Path

import msgspec
import pytest

from cockpit.widgets.ranks import points
from engine.config import AlertRule, AlertsConfig, Config, load
from engine.jobs.replay import Replay
from engine.snapshot import MODES

WIRE = Path(__file__).parents[2].parent / "shared" / "wire" / "binance_usdm"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire,
    pytest.mark.skipif(not WIRE.is_dir(), reason="no recordings beside the checkout"),
]
RULES = [
    AlertRule("bias", level=5, hysteresis=1, cooldown=30),
    AlertRule("state", cooldown=30),
    AlertRule("price", level=61_700, symbols=["BTCUSDT"]),
    AlertRule("feed_down", partial=True, seconds=60),
]


async def played(config: Config) -> Replay:
    replay = Replay(config, WIRE)
    await replay.run()
    return replay


async def test_the_recording_s_alerts_and_points() -> None:
    replace, config = msgspec.structs.replace, load()[0]
    # Enough gain for a state in the few minutes that the recordings hold.
    modes = {name: replace(config.modes[name], gain=12.0) for name in MODES}
    config = replace(config, alerts=AlertsConfig(rules=RULES), modes=replace(config.modes, **modes))
    one, other = await played(config), await played(config)
    alerts = one.latest().alerts
    assert msgspec.json.encode(alerts) == msgspec.json.encode(other.latest().alerts)
    assert {alert.rule for alert in alerts} == {"bias", "state", "price", "feed_down"}
    assert [alert.number for alert in alerts] == list(range(len(alerts), 0, -1))
    assert all(alert.ts % 10_000_000_000 == 0 for alert in alerts)
    for state in one.latest().symbols[:2]:
        detail = one.detail(state.id, frozenset({"readings"}))
        for mode in MODES:
            found = state.modes[mode]
            each = points(detail.readings[mode], found)
            known = [point for point in each if point is not None]
            if found.bias is None:
                assert known == []
            else:
                assert sum(known) == pytest.approx(found.bias, abs=1e-9)
            for reading in detail.readings[mode]:
                assert bool(reading.reason) == (not reading.available)
