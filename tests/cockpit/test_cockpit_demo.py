"""Invented prices are marked wherever they are shown; without a feed the demo is offered."""

from types import ModuleType

import msgspec
import pytest

from cockpit.alerts.herald import sentence
from engine.jobs.report import snapshot_json, snapshot_table

SCREENS = ((), ("enter",), ("f",), ("a",), ("question_mark",), ("c",), ("slash",),
           ("enter", "slash"), ("p",))  # fmt: skip


@pytest.mark.parametrize("keys", SCREENS, ids="-".join)
async def test_every_screen_says_demo(keys: tuple[str, ...], lab: ModuleType) -> None:
    """Also while a filter is typed, under a notice, and on a terminal that is too small."""
    for name in ("full", "notice", "loading"):
        made = msgspec.structs.replace(lab.picture(name), mode_of_data="demo")
        app = lab.cockpit(made)
        async with app.run_test(size=(80, 24)) as pilot:
            await lab.settle(pilot, *keys)
            for size in ((80, 24), (120, 40), (60, 20)):
                await pilot.resize_terminal(*size)
                await lab.settle(pilot)
                shown = lab.screen_text(app)
                assert "DEMO" in shown, (name, keys, size)
                if size < (80, 24):
                    assert set(shown.split()) == {"80x24", "needed", f"{size[0]}x{size[1]}", "now",
                                                  "enlarge", "the", "window", "or", "press", "q",
                                                  "to", "quit", "DEMO"}  # fmt: skip


@pytest.mark.parametrize("mode", ["live", "replay"])
async def test_other_data_never_does(mode: str, lab: ModuleType) -> None:
    made = msgspec.structs.replace(lab.full(), mode_of_data=mode)
    app = lab.cockpit(made)
    async with app.run_test(size=(80, 24)) as pilot:
        for keys in ((), ("enter",), ("slash",)):
            await lab.settle(pilot, *keys)
            assert "DEMO" not in lab.screen_text(app)
        await pilot.resize_terminal(60, 20)
        await lab.settle(pilot)
        assert "DEMO" not in lab.screen_text(app)


@pytest.mark.parametrize("keys", [(), ("f",)], ids=["grid", "feeds"])
async def test_the_demo_is_offered_where_no_feed_is_reached(
    keys: tuple[str, ...], lab: ModuleType
) -> None:
    nothing = msgspec.structs.replace(lab.loading(), feeds={})
    refused = lab.loading("connecting", "ConnectError: all connection attempts failed")
    # Steps are taken by the clock, with data or without.
    refused = msgspec.structs.replace(refused, step=12, step_ts=lab.TS)
    for made in (lab.picture("blocked"), nothing, refused):
        app = lab.cockpit(made)
        async with app.run_test(size=(80, 24)) as pilot:
            await lab.settle(pilot, *keys)
            shown = lab.screen_text(app)
            for command in ("demo", "replay PATH", "doctor"):
                assert f"blackperp-cockpit {command} " in shown


def test_exports_say_demo(lab: ModuleType) -> None:
    assert snapshot_json(lab.full())["mode_of_data"] == "demo"
    assert snapshot_table(lab.full()).startswith("DEMO")


async def test_a_notification_says_demo(lab: ModuleType) -> None:
    """It leaves the terminal, so the badge on the screen is not beside it."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        written: list[str] = []
        app._herald._write = written.append
        app._herald._config = msgspec.structs.replace(app._herald._config, desktop="osc9")
        app.source.snapshot = lab.picture("alerts")
        await lab.settle(pilot)
        assert f"Blackperp DEMO: {sentence(lab.ALERTS[1])}" in written[0]
