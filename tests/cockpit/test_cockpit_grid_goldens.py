"""The grid's presets, pins and filters as text, against files in tests/goldens/cockpit.

After a wanted change: `BLACKPERP_UPDATE_GOLDENS=1 pytest tests/cockpit`, then read the diff.
"""

from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

SIZES = ((80, 24), (120, 40), (160, 48), (200, 50))
PIN = ("j", "j", "P", "G", "P", "g", "greater_than_sign")
# name: snapshot, keys, settings
CASES = {
    "grid_overview": ("fed", (), {}),
    "grid_flow": ("fed", ("v",), {}),
    "grid_flow_ascii": ("fed", ("v",), {"glyphs": "ascii"}),
    "grid_positioning": ("fed", ("v", "v"), {}),
    "grid_positioning_ascii": ("fed", ("v", "v"), {"glyphs": "ascii"}),
    "grid_decision": ("fed", ("v", "v", "v"), {}),
    "grid_decision_ascii": ("fed", ("v", "v", "v"), {"glyphs": "ascii"}),
    "grid_pinned": ("full", PIN, {}),
    "grid_expression": ("full", ("slash", *"|bias|>40 and conf>50", "enter"), {}),
    "grid_fault": ("full", ("slash", *"bias>40 and "), {}),
}
NAMED = {" ": "space", "|": "vertical_line", ">": "greater_than_sign"}


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("case", CASES)
async def test_screen(
    case: str, size: tuple[int, int], lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trader sees exactly this; nothing wraps and no line is too long."""
    monkeypatch.setattr("cockpit.app.monotonic", lambda: 1000.0)
    snapshot, keys, settings = CASES[case]
    app = lab.cockpit(lab.picture(snapshot), **settings)
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, *(NAMED.get(key, key) for key in keys))
        shown = lab.screen_text(app)
        assert len(shown.splitlines()) == size[1]
        assert all(len(line) <= size[0] for line in shown.splitlines())
        lab.compare(f"{case}_{size[0]}x{size[1]}", shown)


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_styles_of_the_grid(theme: str, lab: ModuleType) -> None:
    """A pinned row, its neighbours and the totals; the header with a preset and a filter."""
    app = lab.cockpit(lab.full(all_fed=True), theme=theme)
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "j", "P", "j", "v")
        shown = [lab.screen_styles(app, range(y, y + 1)) for y in (1, 2, 3, 4, 23)]
        await lab.settle(pilot, "slash", "s", "enter")
        shown.append(lab.screen_styles(app, range(1)))
        lab.compare(f"styles_grid_{theme}", "".join(shown))
