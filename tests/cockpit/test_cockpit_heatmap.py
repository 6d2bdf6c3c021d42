"""The heat map: every cell told by glyph, the cursor, drilling down and back, only changed rows."""

from types import ModuleType

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.app import CockpitApp
from cockpit.screens.academy import Academy
from cockpit.screens.heatmap import HeatMap
from cockpit.screens.symbol import Symbol
from cockpit.theme import GLYPHS
from cockpit.widgets.cards import Cards
from cockpit.widgets.cellpanel import CellPanel, strongest
from cockpit.widgets.heat import BIAS, SHORT, SIZES, Heat, plan, short_name
from engine.cards.card import CATEGORIES
from engine.snapshot import CategoryInfo, CategoryLine, Snapshot

SCREENS = ((80, 24), (120, 40), (200, 50))
INFOS = tuple(CategoryInfo(c.id, c.name, c.group) for c in CATEGORIES)


def grouped(made: Snapshot) -> Snapshot:
    """With the families the engine has."""
    return msgspec.structs.replace(made, categories=INFOS)


def app_of(lab: ModuleType, name: str = "full", **config: object) -> CockpitApp:
    made = lab.cockpit(grouped(lab.picture(name)), **config)
    assert isinstance(made, CockpitApp)
    return made


def heat(app: CockpitApp) -> Heat:
    return app.screen.query_one(Heat)


CASES = {
    "map": ("full", ("m",), {}),
    "map_fed": ("fed", ("m", "j", "l", "l"), {}),
    "map_families": ("fed", ("3", "m", "o", "G"), {}),
    "map_ascii": ("full", ("m", "l"), {"glyphs": "ascii"}),
    "map_loading": ("loading", ("m",), {}),
    "map_stale": ("stale", ("m", "l"), {}),
}


@pytest.mark.parametrize("size", SCREENS, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("case", CASES)
async def test_screen(case: str, size: tuple[int, int], lab: ModuleType) -> None:
    name, keys, config = CASES[case]
    app = app_of(lab, name, **config)
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, *keys)
        lab.compare(f"{case}_{size[0]}x{size[1]}", lab.screen_text(app))


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_styles(theme: str, lab: ModuleType) -> None:
    app = app_of(lab, theme=theme)
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "m", "j", "l")
        lab.compare(f"styles_map_{theme}", lab.screen_styles(app, range(1, 7)))


@pytest.mark.parametrize("size", SCREENS[:2], ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("families", [False, True])
async def test_every_symbol_and_category_is_there(
    families: bool, size: tuple[int, int], lab: ModuleType
) -> None:
    app = app_of(lab, "fed")
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, "m", *["o"] * families)
        lines = lab.screen_text(app).splitlines()
        names = [line[1:6].strip() for line in lines]
        assert [n for n in names if n in lab.PRICES] == list(lab.PRICES)
        made = plan(INFOS, heat(app).size.width, families)
        width = made.starts[-1] + BIAS * made.bias
        assert len(made.columns) == 25
        assert width <= heat(app).size.width


async def test_cursor_and_its_words(lab: ModuleType) -> None:
    """j k and arrows move over symbols, h l and brackets over categories; the panel tells."""
    app = app_of(lab, "fed")
    async with app.run_test(size=(200, 50)) as pilot:
        await lab.settle(pilot, "m")
        for key, symbol, category in (
            ("j", "ETH", 0), ("l", "ETH", 1), ("right", "ETH", 2), ("down", "SOL", 2),
            ("h", "SOL", 1), ("right_square_bracket", "SOL", 2), ("k", "ETH", 2),
            ("left", "ETH", 1), ("left_square_bracket", "ETH", 0), ("h", "ETH", 0), ("G", "FIL", 0),
            ("g", "BTC", 0),
        ):  # fmt: skip
            await lab.settle(pilot, key)
            assert app.screen.column == INFOS[category].id, key
            shown = lab.screen_text(app)
            assert f"▸{symbol} " in shown
            assert f"{symbol}USDT  day   {INFOS[category].name} " in shown
        await lab.settle(pilot, "l", "3")
        line = app.source.snapshot.symbols[0].modes["swing"].categories["order_flow"]
        shown = lab.screen_text(app)
        assert "BTCUSDT  swing   Order Flow" in shown
        assert f"{line.score:+.2f}" in shown
        assert f"points {line.contribution:+.1f}" in shown


@pytest.mark.parametrize("size", SCREENS[:2], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_the_strongest_are_spelled_out(size: tuple[int, int], lab: ModuleType) -> None:
    app = app_of(lab)
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, "m", "l")
        best = strongest(app.screen.scene, "order_flow")
        assert len(best) == 13
        sizes = [abs(points) for _, points in best]
        assert sizes == sorted(sizes, reverse=True)
        line = app.source.snapshot.symbols[0].modes["day"].categories["order_flow"]
        assert sum(points for _, points in best) == pytest.approx(line.contribution)
        for reading, points in best[:3]:
            assert reading.name[:12] in lab.screen_text(app)
            assert f"{points:+.2f}" in lab.screen_text(app)


@pytest.mark.parametrize("size", SCREENS[:2], ids=lambda s: f"{s[0]}x{s[1]}")
async def test_down_to_the_cards_and_back_to_the_cell(
    size: tuple[int, int], lab: ModuleType
) -> None:
    app = app_of(lab)
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot, "enter", "m", "j", "j", "l", "l")
        held = app.screen
        await lab.settle(pilot, "enter")
        assert isinstance(app.screen, Symbol)
        ranked = app.screen.query_one(Cards).ranked
        assert {card.category for card in ranked.cards} == {"order_book"}
        assert "SOLUSDT" in lab.screen_text(app)
        await lab.settle(pilot, "escape")
        assert app.screen is held
        assert app.screen.column == "order_book"
        assert "▸SOL" in lab.screen_text(app)
        # A filter of the user's own is cleared first, as everywhere.
        await lab.settle(pilot, "enter", "slash", "escape")
        assert len(app.screen.query_one(Cards).ranked.cards) == 39
        await lab.settle(pilot, "escape")
        assert app.screen is held
        await lab.settle(pilot, "A")
        assert isinstance(app.screen, Academy)
        assert app.screen.here.page == "order_book"
        await lab.settle(pilot, "m")
        assert app.screen is held
        await lab.settle(pilot, "m")
        assert isinstance(app.screen, Symbol)


async def test_only_the_row_that_changed_is_painted(lab: ModuleType) -> None:
    app = app_of(lab, "fed")
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "m")
        seen: list[object] = []
        heat(app).refresh = lambda *regions, **_: seen.extend(regions)
        app.paint()
        assert seen == []
        before = dict(heat(app)._rows)
        made = app.source.snapshot
        rows = list(made.symbols)
        day = rows[3].modes["day"]
        line = msgspec.structs.replace(day.categories["funding"], score=0.77)
        changed = msgspec.structs.replace(day, categories=day.categories | {"funding": line})
        rows[3] = msgspec.structs.replace(rows[3], modes=rows[3].modes | {"day": changed})
        app.source.snapshot = msgspec.structs.replace(made, symbols=tuple(rows), number=8)
        app.paint()
        assert {region.y for region in seen} == {3}
        assert sum(region.width for region in seen) <= 4
        assert [id for id, row in heat(app)._rows.items() if row is not before[id]] == [rows[3].id]
        seen.clear()
        await lab.settle(pilot, "j")
        assert {region.y for region in seen} == {0, 1}


@pytest.mark.parametrize("glyphs", GLYPHS)
@pytest.mark.parametrize("size", SIZES)
def test_states_differ_without_colour(size: int, glyphs: str, lab: ModuleType) -> None:
    """Sign, neutral, conflict and absence by what is written; the cursor's cell by its style."""
    from cockpit.theme import Look

    widget = Heat(Look("dark", glyphs, 0))
    kinds = {
        "up": CategoryLine(0.5, "STRONG_BULLISH", 1.0, 3, 3),
        "down": CategoryLine(-0.5, "STRONG_BEARISH", -1.0, 3, 3),
        "neutral": CategoryLine(0.0, "NEUTRAL", 0.0, 3, 3),
        "conflict": CategoryLine(0.5, "CONFLICTED", 1.0, 3, 3),
        "none": CategoryLine(None, "NEUTRAL", None, 0, 3),
    }
    drawn = {}
    for name, line in kinds.items():
        cells = [widget._cell(line, size, chosen, False) for chosen in (False, True)]
        words = ["".join(s.text for s in cell) for cell in cells]
        assert words[0] == words[1]
        assert len(words[0]) == size
        assert all(s.style.color is None for cell in cells for s in cell)
        assert not any(s.style.reverse for s in cells[0])
        assert all(s.style.reverse for s in cells[1])
        drawn[name] = words[0]
    assert len(set(drawn.values())) == len(kinds)


@given(st.floats(-1, 1), st.sampled_from(SIZES), st.sampled_from(list(GLYPHS)))
@settings(deadline=None)
def test_a_cell_keeps_its_width(score: float, size: int, glyphs: str) -> None:
    from cockpit.theme import Look

    widget = Heat(Look("light", glyphs, 256))
    for state in ("NEUTRAL", "CONFLICTED"):
        cell = widget._cell(CategoryLine(score, state, 0.0, 1, 1), size, False, False)
        assert sum(len(s.text) for s in cell) == size


def test_short_names_are_short_and_differ() -> None:
    assert set(SHORT) == {c.id for c in CATEGORIES}
    for size in SIZES:
        names = [short_name(info, size) for info in INFOS]
        assert len(set(names)) == 25
        assert all(len(name) <= max(2, size - 1) for name in names)
    assert short_name(CategoryInfo("own", "Own Thing", "x"), 7) == "Own Th"


async def test_nothing_to_show_and_no_such_symbol(lab: ModuleType) -> None:
    app = app_of(lab, "loading")
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "m", "enter")
        assert isinstance(app.screen, HeatMap)
        assert "Waiting for market data" in lab.screen_text(app)
        assert not app.screen.query_one(CellPanel).display
        app.source.snapshot = grouped(lab.full())
        await lab.settle(pilot)
        assert "▸BTC" in lab.screen_text(app)
        assert app.screen.query_one(CellPanel).display
        await lab.settle(pilot, "escape", "slash", "x", "x", "enter", "m")
        assert "No symbol contains 'xx'" in lab.screen_text(app)


async def test_click_on_a_cell(lab: ModuleType) -> None:
    """Mouse works too, but is never needed."""
    app = app_of(lab, "fed")
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "m")
        await pilot.click(Heat, offset=(7 + 4 * 6 + 2, 4))
        await lab.settle(pilot)
        assert app.screen.column == INFOS[6].id
        assert "▸BNB" in lab.screen_text(app)
