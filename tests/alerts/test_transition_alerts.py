"""Rules about transitions: which they mean, what they say, cool-downs, refusals in the config."""

from collections.abc import Sequence
from itertools import dropwhile
from pathlib import Path

import msgspec
import pytest
import yaml

from engine.alerts.watch import Watch
from engine.clock import NS
from engine.config import AlertRule, ConfigError, default_path, load
from engine.snapshot import (
    Alert,
    CategoryInfo,
    CategoryLine,
    Composite,
    Price,
    Snapshot,
    SymbolState,
    Transition,
)

START = 1_770_000_000 * NS
STEP = 10 * NS
RULES = ("flip", "conflict", "deceleration", "exhaustion")


def turn(kind: str, side: int = 1, before: float = -22.4, after: float = 24.1, *,
         symbol: str = "BTCUSDT", mode: str = "day", id: str = "") -> Transition:  # fmt: skip
    """A transition of the composite, or of the category `id`; its time comes with the picture."""
    return Transition(
        ts=0, mode=mode, symbol=symbol, subject="category" if id else "composite", id=id,
        kind=kind, side=side, price=94_200.0, before=before, after=after, agreement=1.0,
        coverage=0.9, conviction=55.0,
    )  # fmt: skip


def composite(bias: float | None, state: str) -> Composite:
    line = CategoryLine(score=bias and bias / 100, state=state, contribution=1.0, available=1,
                        total=1)  # fmt: skip
    return Composite(
        ts=START, bias=bias, conviction=50.0, confidence=None, base_rate=None, calibrated=False,
        decision="WAIT", state=state, agreement=1.0, agreement_by_window={}, coverage=0.5,
        available=10, total=20, categories={"order_flow": line}, adjustments={}, history=(),
    )  # fmt: skip


def play(rule: AlertRule, steps: Sequence[tuple[float | None, Sequence[Transition]]],
         state: str = "NEUTRAL") -> list[tuple[int, str, Alert]]:  # fmt: skip
    """(step, text, alert) of what a rule says; each step has its bias and what changed."""
    watch, kept, out = Watch([rule]), (), []
    for k, (bias, turns) in enumerate(steps):
        now = START + k * STEP
        kept = (*(msgspec.structs.replace(t, ts=now) for t in turns), *kept)
        modes = dict.fromkeys(("day", "swing"), composite(bias, state))
        symbols = tuple(
            SymbolState(
                id=id, group="layer1", price=Price(1.0, None, None, None, 0.1, 1), modes=modes,
                funding_8h=None, oi_change_1h=None, long_liquidated=None, short_liquidated=None,
                ages={},
            )
            for id in ("BTCUSDT", "ETHUSDT")
        )  # fmt: skip
        picture = Snapshot(
            number=k, step=k, mode_of_data="live", ts=now, step_ts=now, symbols=symbols,
            categories=(CategoryInfo("order_flow", "Order Flow", "momentum"),), feeds={},
            speed=None, progress=None, finished=False, notices=(), transitions=kept,
        )  # fmt: skip
        out += [(k, alert.text, alert) for alert in watch.step(picture)]
    return out


def quiet(bias: float | None, count: int) -> list[tuple[float | None, Sequence[Transition]]]:
    return [(bias, ())] * count


@pytest.mark.parametrize(
    ("rule", "event", "text"),
    [
        ("flip", turn("flip"), "day bias flipped to bullish: -22.4 to +24.1"),
        ("flip", turn("flip", -1, 30.0, -20.0), "day bias flipped to bearish: +30.0 to -20.0"),
        ("conflict", turn("conflict_begins"), "day bias conflicted at +24.1"),
        ("deceleration", turn("deceleration", 1, 60.0, 44.0),
         "day bias decelerates: +44.0 from a peak of +60.0"),
        ("exhaustion", turn("exhaustion", -1, -70.0, -72.0),
         "day bias exhausted at -72.0: order flow fades"),
        ("deceleration", turn("deceleration", 1, 0.51, 0.33, id="order_flow"),
         "day Order Flow decelerates: +33.0 from a peak of +51.0"),
    ],
)  # fmt: skip
def test_what_is_said(rule: str, event: Transition, text: str) -> None:
    chosen = [event.id] if event.id else []
    ((step, said, alert),) = play(
        AlertRule(rule, categories=chosen, severity="error"), [(0, ()), (24, [event]), (24, ())]
    )
    assert (step, said) == (1, text)
    assert (alert.rule, alert.severity, alert.symbol, alert.mode, alert.feed, alert.ts) == (
        rule, "error", "BTCUSDT", "day", None, START + STEP,
    )  # fmt: skip


def test_each_rule_means_its_own_kind() -> None:
    kinds = ("directional", "flip", "conflict_begins", "deceleration", "exhaustion")
    steps = [(24.0, [turn(kind) for kind in kinds])]
    for rule in RULES:
        ((_, text, _),) = play(AlertRule(rule), steps)
        assert {"flip": "flipped", "conflict": "conflicted", "deceleration": "decelerates",
                "exhaustion": "exhausted"}[rule] in text  # fmt: skip


def test_symbols_modes_categories_and_directions_are_chosen() -> None:
    turns = [
        turn("flip", side, symbol=symbol, mode=mode, id=id)
        for side, symbol in ((1, "BTCUSDT"), (-1, "ETHUSDT"))
        for mode in ("day", "swing")
        for id in ("", "order_flow")
    ]

    def who(**chosen: object) -> set[tuple[str | None, str | None, bool]]:
        found = play(AlertRule("flip", **chosen), [(0.0, turns)])
        return {(a.symbol, a.mode, "Order Flow" in text) for _, text, a in found}

    both = [("BTCUSDT", "day"), ("BTCUSDT", "swing"), ("ETHUSDT", "day"), ("ETHUSDT", "swing")]
    assert who() == {(*x, False) for x in both}
    assert who(categories=["order_flow"]) == {(*x, True) for x in both}
    assert who(symbols=["ETHUSDT"], modes=["day"]) == {("ETHUSDT", "day", False)}
    assert who(direction="up") == {("BTCUSDT", m, False) for m in ("day", "swing")}
    assert who(direction="down", modes=["swing"]) == {("ETHUSDT", "swing", False)}


def test_a_flip_within_the_cool_down_is_told_after_it_if_it_still_stands() -> None:
    rule = AlertRule("flip", cooldown=50)
    up, down = (24.0, [turn("flip")]), (-24.0, [turn("flip", -1, 24.1, -24.0)])
    found = play(rule, [up, down, *quiet(-24.0, 8)])
    assert [(k, text) for k, text, _ in found] == [
        (0, "day bias flipped to bullish: -22.4 to +24.1"),
        (5, "day bias flipped to bearish: +24.1 to -24.0, 40 s ago"),
    ]
    assert [k for k, *_ in play(rule, [up, down, *quiet(3.0, 8)])] == [0]
    assert [k for k, *_ in play(rule, [up, down, *quiet(None, 8)])] == [0]
    assert [k for k, *_ in play(rule, [up, down, up, *quiet(24.0, 8)])] == [0]
    assert [k for k, *_ in play(rule, [up, *quiet(0.0, 5), down])] == [0, 6]


def test_the_same_again_within_the_cool_down_is_told_once() -> None:
    slow = (40.0, [turn("deceleration", 1, 60.0, 44.0)])
    rule = AlertRule("deceleration", cooldown=50)
    assert [k for k, *_ in play(rule, [slow, slow, *quiet(40.0, 8)])] == [0]
    assert [k for k, *_ in play(rule, [slow, *quiet(40.0, 5), slow])] == [0, 6]


def test_one_symbol_s_cool_down_is_not_another_s() -> None:
    rule = AlertRule("flip")
    other = [turn("flip", symbol="ETHUSDT"), turn("flip", mode="swing")]
    assert [k for k, *_ in play(rule, [(24.0, [turn("flip")]), (24.0, other)])] == [0, 1, 1]


def test_the_end_of_a_conflict_is_told_where_its_beginning_was() -> None:
    begins, ends = (5.0, [turn("conflict_begins")]), (5.0, [turn("conflict_ends")])
    rule = AlertRule("conflict", cooldown=100)
    found = play(rule, [begins, *quiet(5.0, 11), ends])
    assert [(k, text, a.severity) for k, text, a in found] == [
        (0, "day bias conflicted at +24.1", "warning"),
        (12, "day bias no longer conflicted after 2 min", "info"),
    ]
    assert play(rule, [ends]) == []
    assert play(AlertRule("conflict", direction="down"), [begins, ends]) == []


def test_a_conflict_within_the_cool_down_is_told_if_it_lasts() -> None:
    begins, ends = (5.0, [turn("conflict_begins")]), (5.0, [turn("conflict_ends")])
    rule = AlertRule("conflict", cooldown=50)
    two = [begins, ends, begins]
    found = play(rule, [*two, *quiet(5.0, 6), ends], "CONFLICTED")
    assert [(k, text) for k, text, _ in found] == [
        (0, "day bias conflicted at +24.1"),
        (1, "day bias no longer conflicted after 10 s"),
        (5, "day bias conflicted at +24.1, 30 s ago"),
        (9, "day bias no longer conflicted after 70 s"),
    ]
    assert [k for k, *_ in play(rule, [*two, ends, *quiet(5.0, 6)], "CONFLICTED")] == [0, 1]
    # Over without an end: after an outage nobody saw it.
    assert [k for k, *_ in play(rule, [*two, *quiet(5.0, 6)], "NEUTRAL")] == [0, 1]


# -- the config ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("{rule: flip, level: 5}",
         "alerts.rules[0].level: not for rule flip,"
         " which takes direction, categories, symbols, modes"),
        ("{rule: bias, level: 5, categories: [momentum]}",
         "alerts.rules[0].categories: not for rule bias,"
         " which takes level, direction, hysteresis, symbols, modes"),
        ("{rule: exhaustion, direction: left}",
         "alerts.rules[0].direction: is the text 'left'; must be one of both, down, up"),
    ],
)  # fmt: skip
def test_refusals(rule: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"alerts: {{rules: [{rule}]}}")
    with pytest.raises(ConfigError) as error:
        load(path)
    assert str(error.value) == f"{path}: {sentence}"


def test_an_unknown_category_is_refused_with_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("alerts: {rules: [{rule: flip}, {rule: flip, categories: [order_flwo]}]}")
    with pytest.raises(ConfigError) as error:
        load(path)
    start = f"{path}: alerts.rules[1].categories.order_flwo: no such key; allowed here: composite_"
    assert str(error.value).startswith(start)


def test_the_examples_in_the_default_file_are_rules(tmp_path: Path) -> None:
    lines = default_path().read_text(encoding="utf-8").splitlines()
    below = dropwhile(lambda line: "For example:" not in line, lines)
    found = [line.partition("{")[2] for line in below if line.startswith("#") and "{" in line]
    path = tmp_path / "own.yaml"
    path.write_text("alerts:\n  rules:\n" + "".join(f"    - {{{rule}\n" for rule in found))
    rules = load(path)[0].alerts.rules
    assert {rule.rule for rule in rules} == {"price", "flip", "deceleration"}
    assert len(rules) == 3
    own = yaml.safe_load(default_path().read_text(encoding="utf-8"))["alerts"]["rules"]
    assert not {rule["rule"] for rule in own} & set(RULES), "off until asked for"
