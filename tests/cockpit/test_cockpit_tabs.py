"""The tabs of a symbol as text, at three sizes, in each set of glyphs and in every state.

After a wanted change: `BLACKPERP_UPDATE_GOLDENS=1 pytest tests/cockpit`, then read the diff.
"""

from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

SIZES = ((80, 24), (120, 40), (200, 50))
# Blocks are looked at in one size.
LOOKS = [
    *((size, glyphs) for size in SIZES for glyphs in ("braille", "ascii")),
    ((120, 40), "block"),
]
TABS = ("chart", "flow", "book", "positioning", "venues", "history")
DARK_ROWS = {"chart": range(4, 22), "flow": range(5, 22), "book": range(5, 22)}


def keys_to(tab: str) -> list[str]:
    """From the grid to a tab of the second symbol."""
    return ["j", "enter", *["tab"] * (1 + TABS.index(tab))]


@pytest.mark.parametrize(
    ("size", "glyphs"), LOOKS, ids=lambda x: x if isinstance(x, str) else f"{x[0]}x{x[1]}"
)
@pytest.mark.parametrize("tab", TABS)
async def test_tab(tab: str, size: tuple[int, int], glyphs: str, lab: ModuleType) -> None:
    """A trader sees exactly this; nothing wraps and no line is too long."""
    app = lab.cockpit(lab.full(), glyphs=glyphs)
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, *keys_to(tab))
        shown = lab.screen_text(app)
        assert len(shown.splitlines()) == size[1]
        assert glyphs != "ascii" or shown.isascii()
        named = f"tab_{tab}" if glyphs == "braille" else f"tab_{tab}_{glyphs}"
        lab.compare(f"{named}_{size[0]}x{size[1]}", shown)


@pytest.mark.parametrize("tab", DARK_ROWS)
async def test_styles(tab: str, lab: ModuleType) -> None:
    """Colours of a tab: state by colour, strength by brightness, the stale dim."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, *keys_to(tab))
        lab.compare(f"styles_tab_{tab}", lab.screen_styles(app, DARK_ROWS[tab]))


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("state", ["loading", "held", "stored", "stale"])
async def test_states(
    tab: str, state: str, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing yet, a held picture, a source that does not keep it, a market gone quiet."""
    monkeypatch.setattr("cockpit.app.monotonic", lambda: 1000.0)
    app = lab.cockpit(lab.picture("loading" if state == "loading" else "full"))
    if state == "stored":
        parts = {"chart": "bars", "flow": "cvd", "book": "books"}
        note = f"{parts.get(tab, tab)}: not stored; replay the recording"
        empty = lab.Detail("ETHUSDT", {}, (), (), (), (), (note,))
        app.source.detail = lambda symbol, parts: empty
    async with app.run_test(size=(80, 24)) as pilot:
        if state == "held":
            await lab.settle(pilot, "j", "enter", "p", *keys_to(tab)[2:])
        else:
            await lab.settle(pilot, *keys_to(tab))
        if state == "stale":
            app.source.snapshot = lab.picture("stale")
            await lab.settle(pilot)
        shown = lab.screen_text(app)
        if (tab, state) == ("chart", "held"):
            # The bars of the cards' own small chart were kept.
            return
        said = {"held": "p lets go", "stored": "replay the recording"}.get(state)
        assert said is None or said.casefold() in shown.casefold()
        if state != "stale":
            assert "Traceback" not in shown
            lab.compare(f"tab_{tab}_{state}", shown)
