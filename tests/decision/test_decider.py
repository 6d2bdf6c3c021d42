"""Decisions step by step: cycles, freshness, what is stored, mirror, caps; cards from tables."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isnan, nan

import numpy as np
import pytest
from msgspec.structs import replace

from engine.cards.card import CATEGORIES, Card
from engine.clock import NS
from engine.config import Config
from engine.decision.composite import compose
from engine.decision.decide import Decider, Decision
from engine.decision.timeframes import ABSENT
from engine.market.view import WINDOWS, Array, Window

CYCLES = {"scalp": 30, "day": 60, "swing": 300}
START = 1_750_000_010
SIDES = {"LONG": "SHORT", "SHORT": "LONG", "BULLISH": "BEARISH", "BEARISH": "BULLISH"}

Make = Callable[..., Decider]
Play = Callable[..., list[Decision]]
Raws = Callable[..., list[Array]]


def turned(word: str) -> str:
    head, _, tail = word.rpartition("_")
    return f"{head}_{SIDES.get(tail, tail)}" if head else SIDES.get(tail, tail)


def times(decisions: list[Decision], mode: str, symbol: int) -> list[int]:
    """Seconds since the first step at which a symbol was decided in a mode."""
    return [d.ts // NS - START for d in decisions if d.mode == mode and d.decision[symbol]]


def test_a_mode_decides_at_once_and_then_on_its_own_cycle(
    make_decider: Make, play: Play, random_raws: Raws
) -> None:
    decisions = play(make_decider(), random_raws(95, missing=0.0))
    for mode, every in CYCLES.items():
        found = times(decisions, mode, 0)
        cycle = [t for t in range(10, 950, 10) if (START + t) % every == 0]
        assert found == [0, *cycle]


def test_each_symbol_s_first_falls_on_the_first_step_at_which_it_has_a_bias(
    make_decider: Make, play: Play, random_raws: Raws
) -> None:
    raws = random_raws(70, missing=0.0)
    for n, raw in enumerate(raws):
        if n < 13:
            raw[:, :, 1] = nan
        raw[:, :, 2] = nan
        if n < 20:
            raw[:, 4:, 1] = nan
    decisions = play(make_decider(), raws)
    for mode, every in CYCLES.items():
        cycle = [t for t in range(0, 700, 10) if (START + t) % every == 0]
        assert times(decisions, mode, 0) == sorted({0, *cycle})
        assert times(decisions, mode, 1) == sorted({200, *(t for t in cycle if t > 200)})
        assert times(decisions, mode, 2) == []
        first = next(d for d in decisions if d.mode == mode and d.decision[1])
        assert not isnan(first.parts.bias[1])


def test_a_bias_that_goes_is_null_on_the_next_cycle_and_comes_back_on_one(
    make_decider: Make, play: Play, random_raws: Raws
) -> None:
    raws = random_raws(40, missing=0.0)
    for raw in raws[10:21]:
        raw[:, :, 0] = nan
    decisions = [d for d in play(make_decider(), raws) if d.mode == "scalp" and d.ts > START * NS]
    assert [d.ts // NS - START for d in decisions] == list(range(10, 400, 30))
    for d in decisions:
        step = (d.ts // NS - START) // 10
        gone = 10 <= step <= 20
        assert bool(np.isnan(d.parts.bias[0])) is gone
        assert d.decision[0] == "WAIT" or not gone
        assert (d.state[0] == "NOT_AVAILABLE") is gone


def test_what_is_stored_is_exactly_what_decides(
    make_decider: Make, play: Play, random_raws: Raws, config: Config
) -> None:
    decider = make_decider()
    for d in play(decider, random_raws(60)):
        readings, rules = d.readings, config.decision
        assert readings.score.dtype == readings.confidence.dtype == np.int8
        again = compose(readings.score.copy(), readings.confidence.copy(),
                        readings.conflicted.copy(), decider.weights[d.mode],
                        config.modes[d.mode].gain, rules.min_cards, rules.min_coverage)  # fmt: skip
        for name in ("bias", "points", "contribution", "category_score", "coverage"):
            np.testing.assert_array_equal(getattr(again, name), getattr(d.parts, name))


def test_scores_are_rounded_to_127ths(make_decider: Make, play: Play, random_raws: Raws) -> None:
    decider = make_decider()
    last = play(decider, random_raws(31, missing=0.0))[-1]
    weights = decider.lanes.weights[0]
    assert last.mode == "scalp"
    there = ~np.isnan(last.readings.by_window)
    total = np.tensordot(weights, there.astype(float), 1)
    mean = np.tensordot(weights, np.nan_to_num(last.readings.by_window), 1)
    want = np.rint(mean / np.where(total > 0, total, 1) * 127)
    known = last.readings.available
    np.testing.assert_allclose(last.readings.score[known], want[known])
    assert (last.readings.score[~known] == ABSENT).all()
    assert (last.readings.confidence[~known] == 0).all()


def test_the_mirror_is_exact(make_decider: Make, play: Play, random_raws: Raws) -> None:
    raws = random_raws(120, seed=3)
    one, other = (play(make_decider(), list(x)) for x in (raws, [-raw for raw in raws]))
    assert len(one) == len(other) > 40
    for a, b in zip(one, other, strict=True):
        for name in ("bias", "total", "contribution", "points", "category_score"):
            np.testing.assert_array_equal(getattr(a.parts, name), -getattr(b.parts, name))
        for name in ("conviction", "agreement"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        np.testing.assert_array_equal(a.windows, -b.windows)
        assert a.decision == tuple(turned(w) for w in b.decision)
        assert a.state == tuple(turned(w) for w in b.state)
        assert a.category_state == tuple(tuple(turned(w) for w in row) for row in b.category_state)


def test_the_same_input_gives_the_same_output(
    make_decider: Make, play: Play, random_raws: Raws
) -> None:
    one, other = (play(make_decider(), random_raws(60, seed=5)) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.parts.bias, b.parts.bias)
        np.testing.assert_array_equal(a.readings.confidence, b.readings.confidence)


@pytest.mark.parametrize(("age", "share"), [(0, 1.0), (30, 1.0), (60, 0.5), (75, 0.25), (90, 0.0)])
def test_freshness_falls_from_the_silence_limit_to_three_times_it(
    age: float, share: float, make_decider: Make, make_card, play: Play, random_raws: Raws
) -> None:
    """Inputs: trades are silent after 30 s, books after 10 s, bars after 90 s."""
    cards = tuple(make_card(n) for n in range(6))
    raws = random_raws(31, cards=6, missing=0.0)
    fresh, old = make_decider(cards=cards), make_decider(cards=cards)
    play(fresh, raws)
    play(old, raws, ages=age)
    one, other = fresh.readings["scalp"], old.readings["scalp"]
    if share == 0:
        assert not other.available.any()
    else:
        np.testing.assert_allclose(other.quality, one.quality * share)
        np.testing.assert_array_equal(other.score, one.score)


def test_the_stalest_input_of_a_card_counts(
    make_decider: Make, make_card, play: Play, random_raws: Raws
) -> None:
    cards = (make_card(0), make_card(1, needs=("trades", "book")))
    decider = make_decider(cards=cards)
    play(decider, random_raws(5, cards=2, missing=0.0), ages=20.0)
    quality = decider.readings["scalp"].quality
    np.testing.assert_allclose(quality[1], quality[0] / 2)


def test_an_input_that_no_feed_brings_takes_the_card_away(
    make_decider: Make, play: Play, random_raws: Raws
) -> None:
    decider = make_decider(fed=("trades", "bars"))
    last = play(decider, random_raws(31, missing=0.0))[-1]
    assert (last.parts.possible == 9).all()
    assert not decider.weights["scalp"].card[9:].any()
    assert last.parts.coverage == pytest.approx(1.0)


def test_a_card_slower_than_every_window_of_a_mode_is_not_one_of_it(make_decider: Make) -> None:
    decider = make_decider()
    have = {mode: decider.weights[mode].can_have[:, 0] for mode in CYCLES}
    assert [int(have[m].sum()) for m in ("scalp", "day", "swing")] == [11, 12, 12]
    assert not have["scalp"][11]
    order_book = decider.weights["scalp"].card[9:12, 0]
    whole = decider.config.category_weight("order_book", "scalp")
    np.testing.assert_allclose(order_book, [whole / 2, whole / 2, 0.0])


def test_windows_faster_than_a_card_s_input_do_not_exist(
    make_decider: Make, play: Play, random_raws: Raws
) -> None:
    decider = make_decider()
    play(decider, random_raws(5, missing=0.0))
    by_window = decider.readings["scalp"].by_window
    assert np.isnan(by_window[:2, 10]).all()
    assert not np.isnan(by_window[2, 10]).any()
    assert not np.isnan(by_window[:, 9]).any()


def test_the_class_of_a_symbol_changes_category_weights(make_decider: Make) -> None:
    decider = make_decider()
    weights, whole = decider.weights["day"], decider.config.category_weight
    for category, factors in (
        ("sentiment", [1.0, 1.25, 1.0]), ("on_chain", [1.0, 0.5, 1.0]), ("momentum", [1.0] * 3)
    ):  # fmt: skip
        found = weights.category[[c.id for c in CATEGORIES].index(category)]
        assert found.tolist() == [factor * whole(category, "day") for factor in factors]
    place = {c.id: n for n, c in enumerate(CATEGORIES)}
    assert make_decider().weights["swing"].category[place["momentum"], 0] == 1.0


def test_uncalibrated_decisions_go_no_higher_than_lean(
    make_decider: Make, play: Play, random_raws: Raws
) -> None:
    strong = [np.abs(raw) + 20 for raw in random_raws(200, missing=0.0)]
    decisions = play(make_decider(), strong)
    most = max(np.nanmax(d.parts.bias) for d in decisions)
    assert most > 40, "enough for LONG, were it calibrated"
    assert {w for d in decisions for w in d.decision} == {"WAIT", "LEAN_LONG"}


def test_readings_of_absent_values_stay_absent(
    make_decider: Make, play: Play, random_raws: Raws
) -> None:
    raws = random_raws(40, missing=0.0)
    for raw in raws:
        raw[:, 3] = nan
        raw[0, 2] = np.inf
        raw[1, 2] = 1e200
    decider = make_decider()
    last = play(decider, raws)[-1]
    assert not last.readings.available[3].any()
    assert np.isnan(last.readings.by_window[:2, 2]).all() or last.mode != "scalp"
    assert not np.isnan(decider.readings["scalp"].by_window[2, 2]).any()
    assert np.isfinite(last.parts.bias).all()


@dataclass
class Past:
    """What a table card sees of one window at a past instant."""

    now: int
    raw: Array
    windows: tuple[Window, ...]


def test_warming_takes_only_what_candles_can_feed(
    make_decider: Make, random_raws: Raws, play: Play
) -> None:
    decider = make_decider()
    fresh = decider.fresh_normaliser()
    for n, raw in enumerate(random_raws(50, missing=0.0)):
        decider.warm(fresh, Past((START - 3000 + 30 * n) * NS, raw[1:2], (WINDOWS[1],)), 30.0)
    seen = fresh.seen[:, :, 0]
    assert (seen[1, :9] == 1500).all()
    assert not seen[:, 9:].any()
    assert not seen[0].any()
    decider.normaliser.past = fresh
    play(decider, random_raws(1, missing=0.0))
    assert decider.normaliser.sufficiency()[1, 0, 0] == pytest.approx(
        (1510 / 60) / (1510 / 60 + 30)
    )


def test_a_card_that_fails_is_one_card_less(
    make_decider: Make, play: Play, random_raws: Raws, deck: tuple[Card, ...]
) -> None:
    def broken(view: object) -> Array:
        raise IndexError("out of range")

    raws = random_raws(40, missing=0.0)
    hurt = make_decider(tuple(replace(c, compute=broken) if c.id == "card_3" else c for c in deck))
    spared = [np.where(np.arange(raw.shape[1])[:, None] == 3, nan, raw) for raw in raws]
    found, wanted = play(hurt, raws), play(make_decider(), spared)
    assert hurt.failed == {"card_3": "IndexError out of range"}
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.parts.bias, other.parts.bias)
