"""The screen as text, at three sizes, against files in tests/goldens/cockpit.

After a wanted change: `BLACKPERP_UPDATE_GOLDENS=1 pytest tests/cockpit`, then read the diff.
"""

from types import ModuleType

import pytest

SIZES = ((80, 24), (120, 40), (200, 50))
# name: snapshot, keys, settings
CASES = {
    "grid": ("full", (), {}),
    "grid_fed": ("fed", ("3", "G"), {}),
    "grid_ascii": ("full", (), {"glyphs": "ascii"}),
    "grid_sorted": (
        "full",
        ("greater_than_sign", "greater_than_sign", "greater_than_sign", "r"),
        {},
    ),
    "loading": ("loading", (), {}),
    "blocked": ("blocked", (), {}),
    "finished": ("finished", (), {}),
    "stale": ("stale", ("j",), {}),
    "empty": ("full", ("slash", "x", "y", "enter"), {}),
    "filtered": ("full", ("slash", "d", "o"), {}),
    "breakdown": ("full", ("j", "c"), {}),
    "breakdown_ascii": ("fed", ("j", "c"), {"glyphs": "ascii"}),
    "help": ("full", ("question_mark",), {}),
    "help_ascii": ("full", ("question_mark",), {"glyphs": "ascii"}),
    "notice": ("notice", (), {}),
    "symbol": ("full", ("j", "enter"), {}),
    "symbol_ascii": ("full", ("j", "enter"), {"glyphs": "ascii"}),
    "symbol_score": ("full", ("3", "enter", "o", "slash", "b", "o", "o", "k", "enter"), {}),
    "symbol_loading": ("loading", ("enter",), {}),
    "symbol_no_bias": ("full", ("G", "k", "k", "enter"), {}),
    "symbol_held": ("full", ("enter", "p", "right_square_bracket"), {}),
    "feeds": ("full", ("f",), {}),
    "feeds_ascii": ("limited", ("f",), {"glyphs": "ascii"}),
    "feeds_limited": ("limited", ("f",), {}),
    "feeds_partial": ("partial", ("f",), {}),
    "feeds_blocked": ("blocked", ("f",), {}),
    "feeds_loading": ("loading", ("f",), {}),
    "alerts": ("alerts", ("a",), {}),
    "alerts_ascii": ("alerts", ("a",), {"glyphs": "ascii"}),
    "alerts_none": ("full", ("a",), {}),
    "alerts_pane": ("alerts", (), {}),
}


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
        await lab.settle(pilot, *keys)
        shown = lab.screen_text(app)
        assert len(shown.splitlines()) == size[1]
        lab.compare(f"{case}_{size[0]}x{size[1]}", shown)


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_styles_of_the_new_screens(theme: str, lab: ModuleType) -> None:
    """Colours of the symbol's head, chart, heads and first cards; of feeds; of alerts."""
    app = lab.cockpit(lab.full(), theme=theme)
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "j", "enter")
        lab.compare(f"styles_symbol_{theme}", lab.screen_styles(app, range(1, 14)))
        app.source.snapshot = lab.picture("limited")
        await lab.settle(pilot, "f")
        lab.compare(f"styles_feeds_{theme}", lab.screen_styles(app, range(1, 9)))
        app.source.snapshot = lab.picture("alerts")
        await lab.settle(pilot, "escape", "a")
        lab.compare(f"styles_alerts_{theme}", lab.screen_styles(app, range(1, 7)))


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_styles(theme: str, lab: ModuleType) -> None:
    """Colours of the heads, the cursor's row, two plain rows and a stale one."""
    app = lab.cockpit(lab.full(), theme=theme)
    async with app.run_test(size=(160, 40)) as pilot:
        await lab.settle(pilot)
        rows = [*range(5), 13, 39]
        lab.compare(
            f"styles_{theme}", "".join(lab.screen_styles(app, range(y, y + 1)) for y in rows)
        )


@pytest.mark.parametrize("glyphs", ["braille", "ascii"])
@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
async def test_toast(size: tuple[int, int], glyphs: str, lab: ModuleType) -> None:
    """Over the lower right corner, the footer left free; five alerts in four lines."""
    app = lab.cockpit(lab.full(), glyphs=glyphs)
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot)
        app.source.snapshot = lab.picture("alerts")
        await lab.settle(pilot)
        name = "toast" if glyphs == "braille" else "toast_ascii"
        lab.compare(f"{name}_{size[0]}x{size[1]}", lab.screen_text(app))
        if size == (80, 24) and glyphs == "braille":
            lab.compare("styles_toast", lab.screen_styles(app, range(18, 24)))


async def test_80x24_holds_every_symbol(lab: ModuleType) -> None:
    """Header, heads, 21 rows, footer: exactly 24 lines, with a notice as without."""
    for name in ("full", "notice"):
        app = lab.cockpit(lab.picture(name))
        async with app.run_test(size=(80, 24)) as pilot:
            await lab.settle(pilot)
            lines = lab.screen_text(app).splitlines()
            assert lines[1].split()[0] == "price"
            assert [line[1:6].strip() for line in lines[2:23]] == list(lab.PRICES)
            assert lines[23].startswith(" DEMO")
