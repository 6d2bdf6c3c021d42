"""The grid: columns at every width, presets, pins, totals, what is said at the start."""

import re
from statistics import fmean, median
from types import ModuleType

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.widgets.columns import CATEGORY_HEADS, COLUMNS, column_of, layout
from cockpit.widgets.grid import Grid
from cockpit.widgets.measures import NUMBERS, WORDS, category_of, column_id
from cockpit.widgets.presets import BUILT_IN, OVERVIEW, Preset, all_presets
from cockpit.widgets.sorting import Order
from cockpit.widgets.totals import Totals, shares, tally
from engine.config import GRID_COLUMNS, CockpitConfig, ConfigError, grid_columns, parse, read_layers
from engine.snapshot import MODES, Composite, Snapshot

SIZES = ((80, 24), (120, 40), (160, 48), (200, 50))


def lines(lab: ModuleType, app: object) -> list[str]:
    return lab.screen_text(app).splitlines()


def coins(lab: ModuleType, app: object) -> list[str]:
    return [line[1:6].strip() for line in lines(lab, app)[2:23]]


# Columns and presets


@given(st.integers(40, 300), st.sampled_from(MODES), st.sampled_from(BUILT_IN))
@settings(deadline=None)
def test_no_preset_is_wider_than_the_grid(width: int, mode: str, preset: Preset) -> None:
    places = layout(width, mode, preset)
    assert 1 + sum(size + 1 for _, size in places) <= width
    assert places[0][0] == "symbol"
    assert all(size in column_of(name).sizes for name, size in places)
    assert [n for n, _ in places] == [n for n in preset.columns if n in dict(places)]


@given(st.integers(80, 299), st.sampled_from(MODES), st.sampled_from(BUILT_IN))
@settings(deadline=None)
def test_the_first_columns_stay_however_narrow(width: int, mode: str, preset: Preset) -> None:
    there = dict(layout(width, mode, preset))
    wanted = {
        "overview": {"price", "change", *MODES, "conviction", "decision", "age"},
        "flow": {"price", "bias", "order_flow", "order_book", "smart_money", "age"},
        "positioning": {"price", "bias", "funding", "oi", "liq_long", "liq_short", "age"},
        "decision": {*MODES, "decision", "conviction", "arrows", "coverage", "state", "age"},
    }
    assert wanted[preset.name] <= set(there)


@given(
    st.lists(st.sampled_from([*GRID_COLUMNS, *CATEGORY_HEADS]), min_size=1, max_size=30),
    st.integers(40, 300),
)
@settings(deadline=None)
def test_a_user_s_columns_come_in_his_order(chosen: list[str], width: int) -> None:
    preset = all_presets({"mine": chosen})[-1]
    assert preset.columns == tuple(dict.fromkeys(["symbol", *chosen]))
    places = layout(width, "day", preset)
    assert 1 + sum(size + 1 for _, size in places) <= width
    assert [n for n, _ in places] == [n for n in preset.columns if n in dict(places)]
    if 1 + sum(column_of(n).sizes[0] + 1 for n in preset.columns) <= width:
        assert len(places) == len(preset.columns)


def test_the_config_allows_exactly_the_columns_there_are() -> None:
    categories = read_layers()[0].values["categories"]
    assert set(GRID_COLUMNS) == set(COLUMNS)
    allowed = grid_columns(categories)
    assert allowed == [*GRID_COLUMNS, *(column_id(c) for c in categories)]
    assert [category_of(name) for name in allowed[len(GRID_COLUMNS) :]] == list(categories)
    assert set(CATEGORY_HEADS) <= set(allowed)
    for name in allowed:
        column = column_of(name)
        assert len(column.short or column.head) <= column.sizes[0], name
    for preset in BUILT_IN:
        assert set(preset.columns) <= set(allowed)


@pytest.mark.parametrize(
    ("presets", "told"),
    [
        ({"mine": ["price", "prize"]}, "cockpit.presets.mine: 'prize' is no column; allowed are "
         "symbol, price, change, bias, scalp, day, swing, conviction"),
        ({"mine": []}, "cockpit.presets.mine: is a list of 0; must be a list of columns,"
         " one at least"),
        ({"": ["price"]}, "cockpit.presets"),
        ({"a name that is too long": ["price"]}, "cockpit.presets"),
        ({"mine": "price"}, "cockpit.presets.mine: is the text 'price'; must be a list of columns"),
    ],
)  # fmt: skip
def test_a_wrong_preset_is_one_sentence(presets: dict[str, object], told: str) -> None:
    values = read_layers()[0].values
    with pytest.raises(ConfigError) as caught:
        parse(values | {"cockpit": {"presets": presets}}, "my.yaml")
    assert str(caught.value).startswith(f"my.yaml: {told}")


def test_a_preset_of_the_config_is_read() -> None:
    values = read_layers()[0].values | {"cockpit": {"presets": {"mine": ["price", "defi"]}}}
    assert parse(values, "my.yaml").cockpit.presets == {"mine": ["price", "defi"]}


async def test_v_goes_through_the_presets_and_their_name_is_shown(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full(), presets={"mine": ["price", "momentum", "age"]})
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        for name, head in (("flow", "micro"), ("positioning", "liq side"), ("decision", "cov%"),
                           ("mine", "mom  age"), ("overview", "trend")):  # fmt: skip
            await lab.settle(pilot, "v")
            shown = lines(lab, app)
            assert name == app.home.columns.name
            assert name == "overview" or f"  {name} " in shown[0]
            assert head in shown[1]
            assert coins(lab, app) == list(lab.PRICES)
        await lab.settle(pilot, "V")
        assert app.home.columns.name == "mine"
        assert lines(lab, app)[2] == "▸BTC     94,231.5 ⣤  -5.2  now"


async def test_a_preset_named_as_a_built_in_one_replaces_it(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full(), presets={"overview": ["bias", "age"]})
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        assert lines(lab, app)[1].split() == ["day", "bias", "age"]


@pytest.mark.parametrize("keys", [("v",), ("v", "v"), ("v", "v", "v")])
async def test_any_column_of_any_preset_sorts(keys: tuple[str, ...], lab: ModuleType) -> None:
    app = lab.cockpit(lab.full(all_fed=True))
    async with app.run_test(size=(200, 50)) as pilot:
        await lab.settle(pilot, *keys)
        before: set[str] = set()
        while app.home.order.column not in before:
            before.add(app.home.order.column)
            await lab.settle(pilot, "greater_than_sign")
            assert sorted(coins(lab, app)) == sorted(lab.PRICES)
        shown = {name for name, _ in layout(162, "day", app.home.columns)}
        assert before == shown - {"strip", "spark", "state", "class"}


async def test_an_order_that_no_head_tells_is_told_in_the_header(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 24)) as pilot:
        await lab.settle(pilot)
        app.home.order = Order("conviction", reverse=True)
        await lab.settle(pilot, "v")
        assert "  flow by conv▲ " in lines(lab, app)[0]
        await lab.settle(pilot, "V")
        assert " by " not in lines(lab, app)[0]


async def test_help_tells_the_columns_in_sight_first_and_what_can_be_filtered(
    lab: ModuleType,
) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "v")
        told = app.home.explains()
        shown = [name for name, _ in layout(80, "day", app.home.columns)]
        assert [name for name, _ in told[: len(shown)]] == [
            column_of(name).head or name for name in shown
        ]
        assert all(len(sentence) <= 63 for _, sentence in told), max(told, key=lambda p: len(p[1]))
        words = " ".join(sentence for name, sentence in told if name == "names").split()
        assert words == [*NUMBERS, *WORDS]


# Pins


async def test_pins_stay_above_whatever_the_order_and_are_marked(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "G", "P", "g", "j", "j", "P", "j")
        assert coins(lab, app)[:2] == ["FIL", "ETH"]
        assert app.scene().current.id == "BTCUSDT"
        for keys in ((), ("greater_than_sign",), ("r",), ("o", "o"), ("3",)):
            await lab.settle(pilot, *keys)
            assert coins(lab, app)[:2] == ["FIL", "ETH"]
            assert sorted(coins(lab, app)) == sorted(lab.PRICES)
            assert [line[0] for line in lines(lab, app)[2:4]] == ["│", "│"]
            assert sum(line[0] == "│" for line in lines(lab, app)[2:23]) == 2
        await lab.settle(pilot, "slash", "e", "enter")
        assert coins(lab, app)[0] == "ETH"
        await lab.settle(pilot, "escape", "g", "P")
        assert coins(lab, app)[0] == "ETH"
        assert app.home.pins == ("ETHUSDT",)


async def test_the_row_stays_linked_through_filter_order_and_pins(lab: ModuleType) -> None:
    """Side panel, symbol, heat map: one row, and going back keeps it."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, *"jjjP", "greater_than_sign", "greater_than_sign", "slash",
                         "bias", *"<0", "enter", "j", "j")  # fmt: skip
        chosen = app.scene().current.id
        assert f"▸{chosen[:-4]} " in lab.screen_text(app)
        assert re.search(rf"{chosen[:-4]}  day", lab.screen_text(app))
        for key in ("enter", "m", "a", "f"):
            await lab.settle(pilot, key)
            assert app.scene().current.id == chosen
            await lab.settle(pilot, "escape")
            assert app.screen is app.home
            assert f"▸{chosen[:-4]} " in lab.screen_text(app)


async def test_enter_keeps_the_row_the_filter_chose_and_escape_the_one_before(
    lab: ModuleType,
) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "j", "slash", "s", "o", "enter")
        await lab.settle(pilot, "escape")
        assert "▸SOL" in lab.screen_text(app)
        await lab.settle(pilot, "slash", "d", "o", "escape")
        assert "▸SOL" in lab.screen_text(app)


# Totals


def test_totals_are_of_the_listed_rows(lab: ModuleType) -> None:
    rows = lab.full(all_fed=True).symbols
    for mode in MODES:
        biases = [s.modes[mode].bias for s in rows if s.modes[mode].bias is not None]
        found = tally(rows, mode)
        assert (found.rows, found.biased) == (21, 19)
        assert found.down == len([b for b in biases if b < -20])
        assert found.up == len([b for b in biases if b > 20])
        assert found.median == median(biases)
        assert found.mean_size == fmean(abs(b) for b in biases)
        assert found.longs == sum(s.long_liquidated or 0 for s in rows)
        assert found.regime is not None
        word, count, total = found.regime
        assert total == 19
        assert (word == "mixed") == (count * 2 <= total)


def test_the_regime_is_left_out_where_nothing_says_it(lab: ModuleType) -> None:
    assert tally(lab.full().symbols, "day").regime is None
    nothing = tally(lab.loading().symbols, "day")
    assert (nothing.median, nothing.mean_size, nothing.longs, nothing.biased) == (None,) * 3 + (0,)


@given(st.lists(st.integers(0, 40), min_size=3, max_size=3))
def test_a_bar_is_as_wide_as_it_shall_be_and_hides_no_one(counts: list[int]) -> None:
    sizes = shares(counts, 21)
    assert sum(sizes) == (21 if any(counts) else 0)
    assert all((size > 0) == (count > 0) for size, count in zip(sizes, counts, strict=True))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["full", "fed"])
async def test_totals_stand_below_the_rows_where_there_is_a_line(
    name: str, size: tuple[int, int], lab: ModuleType
) -> None:
    app = lab.cockpit(lab.picture(name))
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot)
        there = app.screen.query_one(Totals).display
        assert there == (size[1] > 24)
        if there:
            line = lines(lab, app)[23]
            assert line.startswith(" ▼ 8 ━")
            assert "median bias" in line
            assert ("regime" in line) == (name == "fed" and size[0] > 120)


async def test_totals_follow_the_filter_and_say_what_is_unknown(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(160, 48)) as pilot:
        await lab.settle(pilot, "slash", *"bias", "greater_than_sign", *"20", "enter")
        line = lines(lab, app)[23]
        assert line.startswith(" ▼ 0 ━━━━━━━━━━━━━━━━━━━━━ 7 ▲   flat  0")
        assert "with a bias  7 of 7" in line
        await lab.settle(pilot, "slash", *"fil", "enter")
        line = lines(lab, app)[23]
        assert "median bias   ·" in line
        assert "with a bias  0 of 1" in line


# The start


def cold(found: Composite) -> Composite:
    """As of normalisers that have seen nothing: scores there, and worth nothing."""
    lines = {
        name: msgspec.structs.replace(line, score=0.0, contribution=0.0, state="NEUTRAL")
        if line.score is not None
        else line
        for name, line in found.categories.items()
    }
    return msgspec.structs.replace(
        found, bias=0.0, conviction=0.0, decision="WAIT", state="NEUTRAL", agreement=1.0,
        categories=lines, adjustments={}, history=(0.0,),
    )  # fmt: skip


def warming(made: Snapshot) -> Snapshot:
    rows = tuple(
        msgspec.structs.replace(
            s, modes={m: cold(c) if c.bias is not None else c for m, c in s.modes.items()}
        )
        for s in made.symbols
    )
    return msgspec.structs.replace(made, symbols=rows)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
async def test_a_bias_that_says_nothing_yet_is_called_warming(
    size: tuple[int, int], lab: ModuleType
) -> None:
    app = lab.cockpit(warming(lab.full()))
    async with app.run_test(size=size) as pilot:
        await lab.settle(pilot)
        shown = lines(lab, app)
        assert "warm" in shown[2]
        assert "~0" in shown[2]
        assert "warming 19" in shown[0]
        assert "long" not in shown[0]
        assert "WAIT" not in lab.screen_text(app)
        if size[0] >= 120:
            assert "warming" in "\n".join(line[size[0] - 38 :] for line in shown)
        await lab.settle(pilot, "slash", *"call=warming", "enter")
        assert len([c for c in coins(lab, app) if c]) == 19


async def test_a_calm_market_is_not_called_warming(lab: ModuleType) -> None:
    """A bias near 0 of categories that say something."""
    made = lab.full()
    calm = tuple(
        msgspec.structs.replace(
            s, modes={m: msgspec.structs.replace(c, bias=c.bias and 0.01, conviction=0.0)
                      for m, c in s.modes.items()}
        )
        for s in made.symbols
    )  # fmt: skip
    app = lab.cockpit(msgspec.structs.replace(made, symbols=calm))
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        assert "warm" not in lab.screen_text(app)


async def test_a_calibrated_confidence_shows_its_edge_where_there_is_room(lab: ModuleType) -> None:
    made = lab.full()
    rows = tuple(
        msgspec.structs.replace(s, modes={
            m: msgspec.structs.replace(c, calibrated=True, confidence=0.46, base_rate=0.40)
            for m, c in s.modes.items()})
        for s in made.symbols
    )  # fmt: skip
    app = lab.cockpit(msgspec.structs.replace(made, symbols=rows))
    async with app.run_test(size=(160, 30)) as pilot:
        await lab.settle(pilot)
        assert " 46% " in lines(lab, app)[2]
        await lab.settle(pilot, "c", "V")
        assert "46%  +6" in lines(lab, app)[2]


def test_what_the_config_says_by_default() -> None:
    assert CockpitConfig().flash
    assert all_presets(CockpitConfig().presets) == BUILT_IN
    assert BUILT_IN[0] is OVERVIEW
    assert isinstance(WORDS["symbol"], type(NUMBERS["price"]))
    assert Grid.Picked("BTCUSDT").symbol == "BTCUSDT"
