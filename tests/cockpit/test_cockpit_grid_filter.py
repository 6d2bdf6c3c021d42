"""Filters: what the language means, how it refuses, and how it feels while it is typed."""

import sys
from types import ModuleType

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.expressions import COMPARE, DEEPEST, EXAMPLES, MOST, Fault, Known, parse
from cockpit.widgets.columns import COLUMNS
from cockpit.widgets.measures import ALIASES, NUMBERS, WORDS
from engine.snapshot import MODES, Snapshot


def passing(said: str, snapshot: Snapshot, mode: str = "day") -> list[str]:
    node = parse(said, Known.of(snapshot))
    states = snapshot.symbols
    return [s.id[:-4] for s in states if node is None or node.passes(s, mode)]


def fault(said: str, snapshot: Snapshot) -> str:
    with pytest.raises(Fault) as caught:
        parse(said, Known.of(snapshot))
    return str(caught.value)


def listed(lab: ModuleType, app: object) -> list[str]:
    lines = lab.screen_text(app).splitlines()[2:23]
    return [line[1:6].strip() for line in lines if line[1:6].strip()]


def test_a_comparison_is_of_what_the_columns_show(lab: ModuleType) -> None:
    made = lab.full()
    for said, wanted in (
        ("bias > 40", lambda s: (s.modes["day"].bias or 0) > 40),
        ("bias>40 and conf>60", lambda s: (s.modes["day"].bias or 0) > 40
         and s.modes["day"].conviction > 60),
        ("|bias| >= 20", lambda s: abs(s.modes["day"].bias or 0) >= 20),
        ("20 < |bias| < 50", lambda s: 20 < abs(s.modes["day"].bias or 0) < 50),
        ("day.bias < -20 and scalp.bias > 0", lambda s: (s.modes["day"].bias or 0) < -20
         and (s.modes["scalp"].bias or 0) > 0),
        ("swing > scalp", lambda s: s.modes["swing"].bias is not None
         and s.modes["swing"].bias > s.modes["scalp"].bias),
        ("oi1h > 1", lambda s: (s.oi_change_1h or 0) > 1),
        ("fund > 0.01", lambda s: (s.funding_8h or 0) * 100 > 0.01),
        ("liq > 2M", lambda s: (s.long_liquidated or 0) + (s.short_liquidated or 0) > 2e6),
        ("liq_long > 500k", lambda s: (s.long_liquidated or 0) > 500e3),
        ("age < 5", lambda s: s.price.age is not None and s.price.age < 5),
        ("order_flow >= 5", lambda s: (
            s.modes["day"].categories["order_flow"].contribution or 0) >= 5),
        ("cov = 31%", lambda s: s.modes["day"].bias is not None),
        ("call = lean", lambda s: s.modes["day"].bias is not None
         and s.modes["day"].decision.startswith("LEAN")),
        ("call = long", lambda s: s.modes["day"].bias is not None
         and s.modes["day"].decision.endswith("LONG")),
        ("call = \"lean short\"", lambda s: s.modes["day"].decision == "LEAN_SHORT"),
        ("state = conflict", lambda s: s.modes["day"].state == "CONFLICTED"),
        ("state = strong", lambda s: s.modes["day"].state.startswith("STRONG")),
        ("class = layer1", lambda s: s.group == "layer1"),
        ("symbol = doge", lambda s: s.id == "DOGEUSDT"),
        ("so or eth", lambda s: s.id in ("SOLUSDT", "ETHUSDT")),
        ("do and not doge", lambda s: s.id == "DOTUSDT"),
        ("not (btc or eth) and change > 4", lambda s: s.id not in ("BTCUSDT", "ETHUSDT")
         and (s.price.change_24h or 0) > 4),
    ):  # fmt: skip
        found = passing(said, made)
        assert found == [s.id[:-4] for s in made.symbols if wanted(s)], said
        assert found, said


def test_the_unknown_passes_neither_a_comparison_nor_its_negation(lab: ModuleType) -> None:
    made = lab.full()
    above, below = passing("bias > 0", made), passing("not bias > 0", made)
    assert not {"ENA", "FIL"} & {*above, *below}
    assert len(above) + len(below) == 19
    assert "FIL" not in passing("call = wait", made)
    assert "FIL" not in passing("call != wait", made)
    assert passing("bias > 0 or fil", made)[-1] == "FIL"
    assert "FIL" in passing("not (bias > 0 and eth)", made)
    assert "FIL" not in passing("not (bias > 0 and fil)", made)


def test_the_active_mode_is_meant_where_none_is_named(lab: ModuleType) -> None:
    made = lab.full()
    for mode in MODES:
        assert passing("bias > 20", made, mode) == passing(f"{mode}.bias > 20", made)
        assert passing(f"{mode} > 20", made, "day") == passing("bias > 20", made, mode)
        assert passing(f"{mode}.conf > 60", made) == passing("conf > 60", made, mode)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("bias", "'bias' at 1 is no part of a symbol; compare it, as in bias > 40"),
        ("bias >", "a number or a name is missing at the end"),
        ("bias > 40 and", "something is missing at the end"),
        ("bias > 40 conf > 3", "'conf' at 11 is too much; join with and, or"),
        ("(bias > 40", "a ')' is missing at the end"),
        ("bias > 40)", "')' at 10 is too much; join with and, or"),
        ("|bias > 40", "a '|' is missing before '>' at 7"),
        ("baas > 40", "'baas' at 1 is no column and no number; bias?"),
        ("bias > forty", "'forty' at 8 is no column and no number; ? lists the names"),
        ("call > 3", "'>' at 6: call is a word; use = or !="),
        ("bias > call", "'call' at 8 is a word; write call = and a word"),
        ("call =", "a word is missing at the end"),
        ("bias > -conf", "'-conf' at 8 cannot be turned; put the - before a number"),
        ("bias § 4", "'§' at 6 is not understood"),
        ("so and xyz", "'xyz' at 8 is no part of a symbol"),
        ("bias > 1 and or bias < 3", "something is missing before 'or' at 14"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_says_where(
    said: str, told: str, lab: ModuleType
) -> None:
    assert fault(said, lab.full()) == told


def test_every_example_of_the_help_is_a_filter(lab: ModuleType) -> None:
    for said, _ in EXAMPLES:
        assert parse(said, Known.of(lab.full()))


def test_every_column_that_has_a_number_or_a_word_can_be_named(lab: ModuleType) -> None:
    drawings = {"strip", "spark", "cards"}
    assert set(COLUMNS) - drawings <= {*NUMBERS, *WORDS}
    assert set(ALIASES.values()) <= {*NUMBERS, *WORDS}
    made = lab.full(all_fed=True)
    for name in (*NUMBERS, *ALIASES):
        if ALIASES.get(name, name) in NUMBERS:
            assert parse(f"{name} > 0", Known.of(made))
    for info in made.categories:
        if info.id != "funding":
            assert passing(f"{info.id} > 0", made)
    assert passing("funding_category > 0", made)


def test_nothing_is_evaluated_and_nothing_runs_away(lab: ModuleType) -> None:
    made = lab.full()
    for said in ("__import__('os')", "bias.__class__ > 1", "bias > 1; 2", "lambda: 1 > 2"):
        assert fault(said, made)
    assert fault("(" * (DEEPEST + 1) + "bias > 1", made).startswith("too deep")
    assert fault("not " * (DEEPEST + 1) + "bias > 1", made).startswith("too deep")
    assert fault("|" * 300 + "bias", made)
    assert fault("x" * (MOST + 1), made).startswith("too long")
    assert parse("(" * 30 + "bias > 1" + ")" * 30, Known.of(made))


WORD = st.sampled_from(
    ["bias", "conf", "|", "(", ")", "and", "or", "not", "40", "-2.5k", ">", "<=", "=", "call",
     "long", "btc", "day.bias", "x", '"a b"', "%", "§", "é", "", " "]
)  # fmt: skip


@given(st.one_of(st.text(max_size=40), st.lists(WORD, max_size=14).map(" ".join)))
@settings(deadline=None, max_examples=300)
def test_any_text_is_a_filter_or_a_fault(lab_snapshot: Snapshot, said: str) -> None:
    told, node = "", None
    try:
        node = parse(said, Known.of(lab_snapshot))
    except Fault as found:
        told = str(found)
        assert told
    assert len(told) < 200
    for state in lab_snapshot.symbols:
        assert node is None or node.passes(state, "day") in (True, False, None)


@given(
    st.sampled_from(sorted(COMPARE)),
    st.floats(-100, 100).map(lambda v: round(v, 2)),
    st.sampled_from(MODES),
)
@settings(deadline=None)
def test_a_comparison_and_its_opposite_share_out_what_is_known(
    lab_snapshot: Snapshot, op: str, level: float, mode: str
) -> None:
    said = f"bias {op} {level:f}"
    known = passing("bias >= -100", lab_snapshot, mode)
    both = passing(said, lab_snapshot, mode) + passing(f"not {said}", lab_snapshot, mode)
    assert sorted(both) == sorted(known)
    assert passing(f"{said} and not {said}", lab_snapshot, mode) == []


@pytest.fixture(scope="module")
def lab_snapshot() -> Snapshot:
    return next(m for n, m in sys.modules.items() if n.endswith("cockpit.conftest")).full()


async def test_the_last_valid_filter_stays_while_an_error_is_told(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 24)) as pilot:
        await lab.settle(pilot, "slash", *"bias", "greater_than_sign", "4", "0")
        held = listed(lab, app)
        assert held == passing("bias > 40", lab.full())
        assert "bias>40 " in lab.screen_text(app).splitlines()[0]
        await lab.settle(pilot, "space", *"and")
        shown = lab.screen_text(app).splitlines()
        assert shown[-1].endswith("something is missing at the end")
        assert listed(lab, app) == held
        await lab.settle(pilot, "space", *"conf", "greater_than_sign", *"70")
        shown = lab.screen_text(app).splitlines()
        assert "missing" not in shown[-1]
        assert listed(lab, app) == passing("bias > 40 and conf > 70", lab.full())
        await lab.settle(pilot, "space", "x", "enter")
        assert "bias>40 and conf>70" in lab.screen_text(app).splitlines()[0]
        await lab.settle(pilot, "slash")
        assert app.home.filter_line.value == "bias>40 and conf>70"
        await lab.settle(pilot, "escape")
        assert len(listed(lab, app)) == 21


async def test_the_beginning_of_a_name_filters_no_longer_than_it_may_be_a_symbol(
    lab: ModuleType,
) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 24)) as pilot:
        await lab.settle(pilot, "slash", "b")
        assert "ETH" not in listed(lab, app)
        await lab.settle(pilot, "i")
        assert len(listed(lab, app)) == 21
        assert "compare it" in lab.screen_text(app).splitlines()[-1]


async def test_a_filter_that_nothing_passes_says_so(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "slash", *"bias", "greater_than_sign", *"100", "enter")
        assert "No symbol passes 'bias>100'" in lab.screen_text(app)
        assert "0 of 21" in lab.screen_text(app)


async def test_a_long_filter_leaves_the_header_in_one_line(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        app.home.filter = " or ".join(["bias > 40 and conf > 60"] * 10)
        await lab.settle(pilot)
        head = lab.screen_text(app).splitlines()[0]
        assert len(head) <= 80
        assert "of 21" in head


@pytest.mark.parametrize("key", ["m", "enter", "a", "f"])
async def test_what_another_screen_shows_stays_though_it_passes_no_longer(
    key: str, lab: ModuleType
) -> None:
    """A symbol page does not turn to another symbol because a number has moved."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "slash", *"bias", "greater_than_sign", *"40", "enter", "j")
        chosen = app.scene().current.id
        assert chosen == "DOGEUSDT"
        await lab.settle(pilot, key)
        states = app.source.snapshot.symbols
        weaker = tuple(
            msgspec.structs.replace(s, modes=states[0].modes) if s.id == chosen else s
            for s in states
        )
        app.source.snapshot = msgspec.structs.replace(lab.full(), symbols=weaker, number=9)
        await lab.settle(pilot)
        assert app.scene().current.id == chosen
        await lab.settle(pilot, "escape")
        assert chosen[:-4] not in listed(lab, app)
