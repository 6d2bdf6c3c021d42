"""Rules: when they speak, when they keep quiet, and that they remember across a cool-down."""

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.alerts.rules import Mark, cross, stand
from engine.alerts.watch import Watch
from engine.clock import NS
from engine.config import AlertRule
from engine.snapshot import (
    Alert,
    Composite,
    FeedHealth,
    Price,
    Snapshot,
    StreamHealth,
    SymbolState,
)

START = 1_770_000_000 * NS
STEP = 10 * NS


def composite(bias: float | None, state: str = "NEUTRAL") -> Composite:
    return Composite(
        ts=START, bias=bias, conviction=50.0, confidence=None, base_rate=None, calibrated=False,
        decision="WAIT", state=state if bias is not None else "NOT_AVAILABLE", agreement=1.0,
        agreement_by_window={}, coverage=0.5, available=10, total=20, categories={},
        adjustments={}, history=(),
    )  # fmt: skip


def symbol(id: str, price: float | None, day: Composite, swing: Composite) -> SymbolState:
    return SymbolState(
        id=id, group="layer1", price=Price(price, None, None, None, 0.1, 1),
        modes={"day": day, "swing": swing}, funding_8h=None, oi_change_1h=None,
        long_liquidated=None, short_liquidated=None, ages={},
    )  # fmt: skip


def feed(state: str, note: str = "", ready: int = 2) -> FeedHealth:
    stream = StreamHealth("fresh", 0.1, 10, ready, 2, ())
    return FeedHealth(
        state=state, note=note, streams={"trade": stream}, frames=1, events_per_s=1.0, dropped=0,
        dropped_by_reason={}, gaps=0, resyncs=0, reconnects=0, blind_s=0.0, offset_ms=None,
    )  # fmt: skip


def picture(k: int, symbols: tuple[SymbolState, ...] = (),
            feeds: dict[str, FeedHealth] | None = None) -> Snapshot:  # fmt: skip
    now = START + k * STEP
    return Snapshot(
        number=k, step=k, mode_of_data="live", ts=now, step_ts=now, symbols=symbols, categories=(),
        feeds=feeds or {}, speed=None, progress=None, finished=False, notices=(),
    )  # fmt: skip


def biases(values: Sequence[float | None], rule: AlertRule) -> list[tuple[int, str]]:
    """(step, text) of the alerts of one symbol's day biases."""
    watch = Watch([rule])
    out = []
    for k, value in enumerate(values):
        made = watch.step(picture(k, (symbol("BTCUSDT", None, composite(value), composite(None)),)))
        out += [(k, alert.text) for alert in made]
    return out


def test_bias_crosses_once_at_the_level_and_does_not_chatter() -> None:
    """Inside the band nothing is said twice; beyond its far edge the return is."""
    rule = AlertRule("bias", level=40, hysteresis=5, cooldown=0)
    found = biases([10, 39, 41, 39, 40.5, 36, 34, 39, 40, 46, 39.5], rule)
    assert found == [
        (2, "day bias above +40: +41.0"),
        (6, "day bias below +40: +34.0"),
        (8, "day bias above +40: +40.0"),
        (10, "day bias below +40: +39.5"),
    ]


def test_bias_that_is_not_there_says_nothing_and_forgets_nothing() -> None:
    rule = AlertRule("bias", level=40, cooldown=0)
    assert biases([None, 50, None, 50], rule) == []
    assert [k for k, _ in biases([10, None, None, 45], rule)] == [3]


@pytest.mark.parametrize(
    ("direction", "steps"), [("up", [1, 3]), ("down", [2]), ("both", [1, 2, 3])]
)
def test_direction(direction: str, steps: list[int]) -> None:
    rule = AlertRule("bias", level=-20, direction=direction, hysteresis=1, cooldown=0)
    assert [k for k, _ in biases([-40, 0, -40, 0], rule)] == steps


def test_a_cool_down_delays_and_loses_nothing() -> None:
    """Crossed back during the cool-down: told after it if still so, never if it returned."""
    rule = AlertRule("bias", level=0, hysteresis=1, cooldown=50)
    assert [k for k, _ in biases([-9, 9, -9, -9, -9, -9, -9, -9], rule)] == [1, 6]
    assert [k for k, _ in biases([-9, 9, -9, 9, 9, 9, 9, 9], rule)] == [1]


def test_modes_and_symbols_are_chosen() -> None:
    def states(k: int) -> tuple[SymbolState, ...]:
        far = composite(-50.0 if k == 0 else 50.0)
        return symbol("BTCUSDT", None, far, far), symbol("ETHUSDT", None, far, far)

    def who(rule: AlertRule) -> list[tuple[str | None, str | None]]:
        watch = Watch([rule])
        watch.step(picture(0, states(0)))
        return [(a.symbol, a.mode) for a in watch.step(picture(1, states(1)))]

    both = ("BTCUSDT", "ETHUSDT")
    assert who(AlertRule("bias", level=0)) == [(s, m) for s in both for m in ("day", "swing")]
    assert who(AlertRule("bias", level=0, modes=["swing"], symbols=["ETHUSDT"])) == [
        ("ETHUSDT", "swing")
    ]


def test_price_level_with_its_hysteresis_in_per_cent() -> None:
    rule = AlertRule("price", level=100.0, symbols=["BTCUSDT"], hysteresis=1.0, cooldown=0)
    watch = Watch([rule])
    texts = []
    for k, price in enumerate([99.0, 99.9, 100.4, 99.5, 98.9, None, 100.0]):
        state = symbol("BTCUSDT", price, composite(None), composite(None))
        other = symbol("ETHUSDT", 50.0 if k % 2 else 150.0, composite(None), composite(None))
        texts += [(k, a.text) for a in watch.step(picture(k, (state, other)))]
    assert texts == [
        (2, "price above 100: 100.4"), (4, "price below 100: 98.9"), (6, "price above 100: 100.0"),
    ]  # fmt: skip


def states(words: Sequence[str | None], rule: AlertRule) -> list[tuple[int, str]]:
    watch = Watch([rule])
    out = []
    for k, word in enumerate(words):
        found = composite(None) if word is None else composite(30.0, word)
        made = watch.step(picture(k, (symbol("BTCUSDT", None, found, composite(None)),)))
        out += [(k, alert.text) for alert in made]
    return out


def test_state_must_stand_and_the_first_one_is_no_change() -> None:
    rule = AlertRule("state", seconds=20, cooldown=0)
    words = ["BULLISH", "NEUTRAL", "BULLISH", "NEUTRAL", "NEUTRAL", "NEUTRAL", None, "NEUTRAL"]
    assert states(words, rule) == [(5, "day state neutral, was bullish")]


def test_state_of_interest_alone_is_told() -> None:
    """Others are taken note of in silence, so that `was` is true."""
    rule = AlertRule("state", states=["STRONG_BULLISH"], cooldown=0)
    words = ["NEUTRAL", "BULLISH", "STRONG_BULLISH", "BULLISH", "NEUTRAL", "STRONG_BULLISH"]
    assert states(words, rule) == [
        (2, "day state strong bullish, was bullish"), (5, "day state strong bullish, was neutral"),
    ]  # fmt: skip


def feeds(words: Sequence[str], rule: AlertRule, note: str = "") -> list[tuple[int, str, str]]:
    watch = Watch([rule])
    out = []
    for k, word in enumerate(words):
        health = feed(word, note if word not in ("ready", "off") else "", 2 * (word == "ready"))
        out += [(k, a.severity, a.text) for a in watch.step(picture(k, feeds={"binance": health}))]
    return out


def test_feed_down_and_back() -> None:
    rule = AlertRule("feed_down", seconds=30, severity="error", cooldown=0)
    words = ["connecting", "connecting", "ready", *["blocked"] * 6, "partial", "ready"]
    assert feeds(words, rule, "HTTP 451") == [
        (6, "error", "binance blocked for 30 s: HTTP 451"),
        (9, "info", "binance ready again after 60 s"),
    ]


def test_feed_that_is_off_is_not_down() -> None:
    assert feeds(["off"] * 9, AlertRule("feed_down", seconds=10)) == []


def test_feed_that_never_came_is_down() -> None:
    found = feeds(["connecting"] * 9, AlertRule("feed_down", seconds=30))
    assert found == [(3, "warning", "binance down for 30 s: trade 0/2 ready")]


def test_partial_is_a_rule_of_its_own() -> None:
    rule = AlertRule("feed_down", seconds=20, partial=True)
    words = ["connecting"] * 5 + ["partial"] * 4 + ["ready"]
    assert feeds(words, rule) == [
        (7, "warning", "binance partial for 20 s: trade 0/2 ready"),
        (9, "info", "binance ready again after 40 s"),
    ]


def test_latest_first_numbered_and_bounded() -> None:
    watch = Watch([AlertRule("bias", level=0, hysteresis=0, cooldown=0)], kept=5)
    for k in range(20):
        found = composite(9.0 if k % 2 else -9.0)
        watch.step(picture(k, (symbol("BTCUSDT", None, found, composite(None)),)))
    assert [alert.number for alert in watch.alerts] == [19, 18, 17, 16, 15]
    assert watch.alerts[0].ts == START + 19 * STEP
    assert isinstance(watch.alerts[0], Alert)


VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=60)


@given(VALUES, st.floats(-50, 50), st.floats(0, 20))
@settings(deadline=None)
def test_told_side_is_true_outside_the_band(values: list[float], level: float, band: float) -> None:
    """Whatever the path: beyond the band the side told last is the side there is."""
    mark: Mark | None = None
    for value in values:
        before = mark
        mark, fired = cross(mark, value, level, band)
        assert fired == (before is not None and before.told != mark.told)
        if abs(value - level) > band:
            assert mark.told == (1 if value > level else -1)


@given(VALUES, st.floats(-50, 50), st.floats(0, 20))
@settings(deadline=None)
def test_crossings_mirror(values: list[float], level: float, band: float) -> None:
    """Up and down are treated alike, but for a value that is exactly the level."""
    one: Mark | None = None
    other: Mark | None = None
    for value in (v for v in values if v != level):
        one, fired = cross(one, value, level, band)
        other, mirrored = cross(other, -value, -level, band)
        assert fired == mirrored


@given(VALUES, st.integers(1, 4), st.integers(0, 300))
@settings(deadline=None)
def test_never_two_within_a_cool_down(values: list[float], band: int, cooldown: int) -> None:
    found = biases(values, AlertRule("bias", level=0, hysteresis=band, cooldown=cooldown))
    steps = [k for k, _ in found]
    assert all(10 * (b - a) >= cooldown for a, b in pairwise(steps))


@given(VALUES)
@settings(deadline=None)
def test_the_same_steps_make_the_same_alerts(values: list[float]) -> None:
    rule = AlertRule("bias", level=10, cooldown=20)
    assert msgspec.json.encode(biases(values, rule)) == msgspec.json.encode(biases(values, rule))


def test_stand_starts_anew_when_the_state_returns() -> None:
    mark, fires = stand(Mark(told="a"), "b", START, 10)
    assert (mark.seen, fires) == ("b", False)
    mark, _ = stand(mark, "a", START + STEP, 10)
    assert not mark.seen
    mark, fires = stand(mark, "b", START + 2 * STEP, 10)
    assert not fires
    assert stand(mark, "b", START + 3 * STEP, 10)[1]
