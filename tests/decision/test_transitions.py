"""Transitions: the exact cycle of each kind, a plain loop beside them, gaps, mirror, cost."""

import pickle
import sys
import time
from collections.abc import Callable, Sequence
from math import atanh, isnan, nan, tanh

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.cards.card import CATEGORIES, registry
from engine.clock import NS
from engine.decision.decide import Decider, Decision
from engine.decision.transitions import BINS, LEAST_SEEN, Detector, Subjects, subjects
from engine.snapshot import TRANSITIONS

CUTS, HYSTERESIS = (20.0, 40.0), 5.0
EVERY = 60 * NS
START = 1_750_000_020 * NS
WATCHED = subjects(["momentum", "order_flow"], ["card_a"], CUTS, HYSTERESIS)
COMPOSITE, MOMENTUM, FLOW, CARD = range(4)
Array = NDArray[np.float64]
# (cycle, row, symbol, kind, side)
Told = tuple[int, int, int, str, int]


def watch(values: Array, torn: Array | None = None, due: Array | None = None,
          times: Sequence[int] | None = None, watched: Subjects = WATCHED,
          look_back: int = 1000) -> list[Told]:  # fmt: skip
    """Everything a detector tells of `values` (cycles, subjects, symbols)."""
    cycles, _, symbols = values.shape
    detector = Detector(watched, symbols, EVERY, look_back)
    found: list[Told] = []
    for n in range(cycles):
        at = START + EVERY * (times[n] if times is not None else n)
        chosen = np.ones(symbols, bool) if due is None else due[n]
        strife = np.zeros(values.shape[1:], bool) if torn is None else torn[n].astype(bool)
        changes = detector.update(at, chosen, values[n], strife)
        found += [(n, c.subject, c.symbol, c.kind, c.side) for c in changes]
    return found


def of(row: int, series: Sequence[float], torn: Sequence[int] = (),
       times: Sequence[int] | None = None) -> list[tuple[int, str, int]]:  # fmt: skip
    """What is told of one subject of one symbol: (cycle, kind, side); torn[n]: conflicted."""
    values = np.full((len(series), WATCHED.count, 1), nan)
    values[:, row, 0] = series
    strife = np.zeros(values.shape, bool)
    strife[: len(torn), row, 0] = np.array(torn, bool)
    return [(n, kind, side) for n, _, _, kind, side in watch(values, strife, times=times)]


def signed(series: Sequence[float], sign: int) -> list[float]:
    return [sign * x for x in series]


# -- neutral to directional, flips ---------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("row", [COMPOSITE, MOMENTUM])
def test_a_side_is_taken_at_the_cut_and_left_the_hysteresis_below_it(row: int, sign: int) -> None:
    series = signed([0, 19.9, 20, 16, 15, 19, 14.9, 19.9, 20], sign)
    assert of(row, series) == [(2, "directional", sign), (8, "directional", sign)]


def test_dithering_at_the_cut_is_told_once() -> None:
    assert of(COMPOSITE, [0, *([21, 19] * 50)]) == [(1, "directional", 1)]


def test_the_first_value_is_what_it_is() -> None:
    assert of(COMPOSITE, [55, 55, 54]) == []
    assert of(COMPOSITE, [55, -55]) == [(1, "flip", -1)]
    assert of(COMPOSITE, [10, 55]) == [(1, "directional", 1)]


@pytest.mark.parametrize(("between", "kind"), [(0, "flip"), (5, "flip"), (6, "directional")])
def test_two_sides_with_a_short_pause_are_a_flip(between: int, kind: str) -> None:
    """At most five cycles at neutral make one flip; after more a side is taken anew."""
    assert of(COMPOSITE, [30, *([0] * between), -20, -25]) == [(1 + between, kind, -1)]
    assert of(COMPOSITE, [30, *([0] * between), 20, 25]) == (
        [] if between == 0 else [(1 + between, "directional", 1)]
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_card_turns_beyond_its_band_for_two_cycles(sign: int) -> None:
    def told(*series: float) -> list[tuple[int, str, int]]:
        return of(CARD, signed(series, sign))

    assert told(0, 39.9, 39.9, 39.9) == []
    assert told(0, 41, 10, 41, 10, 41) == []
    assert told(0, 40, 41) == [(2, "directional", sign)]
    assert told(0, 60, 60, -60, 60, -60, 60) == [(2, "directional", sign)]
    assert told(0, 60, 60, -45, -39) == [(2, "directional", sign)]
    assert told(0, 60, 60, -45, -40) == [(2, "directional", sign), (4, "flip", -sign)]


# -- conflicts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [COMPOSITE, MOMENTUM])
def test_a_conflict_begins_and_ends_in_its_second_cycle(row: int) -> None:
    assert of(row, [12] * 6, [0, 1, 0, 1, 0, 1]) == []
    assert of(row, [12] * 8, [0, 1, 1, 0, 1, 0, 0, 0]) == [
        (2, "conflict_begins", 1),
        (6, "conflict_ends", 1),
    ]
    assert of(row, [12] * 4, [1, 1, 0, 0]) == [(3, "conflict_ends", 1)]


def test_a_category_next_to_nothing_is_not_torn() -> None:
    assert of(MOMENTUM, [9] * 6, [0, 1, 1, 1, 1, 1]) == []
    assert of(COMPOSITE, [9] * 6, [0, 1, 1, 1, 1, 1]) == [(2, "conflict_begins", 1)]


def test_a_card_s_conflict_counts_beyond_its_band() -> None:
    assert of(CARD, [39] * 5, [0, 1, 1, 1, 1]) == []
    assert of(CARD, [45, 45, 39, 45, 45], [0, 1, 1, 1, 1]) == [(4, "conflict_begins", 1)]
    told = of(CARD, [45, 45, 45, 12, 12, 12], [0, 1, 1, 1, 0, 0])
    assert [x for x in told if x[1] != "deceleration"] == [
        (2, "conflict_begins", 1),
        (5, "conflict_ends", 1),
    ]


def test_what_is_conflicted_takes_no_side_until_it_is_over() -> None:
    told = of(COMPOSITE, [0, 30, 30, 30, 30], [0, 1, 1, 1, 0])
    assert told == [(2, "conflict_begins", 1), (4, "directional", 1)]
    told = of(COMPOSITE, [30, -30, -30, -30, -30, -30], [0, 1, 1, 0, 0, 0])
    assert told == [
        (2, "conflict_begins", -1),
        (3, "flip", -1),
        (4, "conflict_ends", -1),
    ]


# -- deceleration --------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_deceleration_in_the_third_falling_cycle(sign: int) -> None:
    """Smoothed: 64, 48, 40, 36; below 51.2 from the second on, and three falls at the fourth."""
    assert of(COMPOSITE, signed([64, 32, 32, 32, 32, 32], sign)) == [(3, "deceleration", sign)]


def test_deceleration_waits_for_a_fifth_of_the_peak() -> None:
    """Smoothed: 64, 62, 60, 58, 56, 54, 52, 50, and 51.2 is a fifth below the peak."""
    assert of(MOMENTUM, [64, *range(60, 30, -2)]) == [(7, "deceleration", 1)]


def test_a_composite_decelerates_before_the_tanh() -> None:
    """Before it smoothed 240, 200, 180, 170, a fifth below at 192: the bias falls from 98 to 92."""
    told = [100 * tanh(x / 100) for x in (240, 160, 160, 160, 160)]
    assert of(COMPOSITE, told) == [(3, "deceleration", 1)]
    assert of(MOMENTUM, told) == []


def test_a_rise_between_begins_the_count_anew() -> None:
    """Smoothed: 64, 48, 40, 52, 42, 37, 34.5: three falls in a row only at the last."""
    assert of(COMPOSITE, [64, 32, 32, 64, 32, 32, 32]) == [(6, "deceleration", 1)]


def test_what_was_never_directional_does_not_decelerate() -> None:
    assert of(COMPOSITE, [19, 9, 9, 9, 9, 9]) == []
    assert of(CARD, [39, 20, 20, 20, 20]) == []
    assert (3, "deceleration", 1) in of(CARD, [41, 20, 20, 20, 20])


def test_a_peak_belongs_to_its_sign() -> None:
    told = of(COMPOSITE, [64, -1, 15, 12, 9, 6, 3, 1])
    assert told == []


def test_deceleration_is_told_again_near_the_peak_only() -> None:
    """Recovered to 56 of 64 nothing new; to 60 (over nine tenths) the next fall is told."""
    fall = [32, 32, 32, 32]
    first = (3, "deceleration", 1)
    assert of(MOMENTUM, [64, *fall, 80, *fall]) == [first]
    assert of(MOMENTUM, [64, *fall, 86, *fall]) == [first, (8, "deceleration", 1)]


# -- exhaustion ----------------------------------------------------------------------------------


def market(bias: Sequence[float], flow: Sequence[float], sign: int = 1) -> list[tuple[int, str]]:
    values = np.full((len(bias), WATCHED.count, 1), nan)
    values[:, COMPOSITE, 0] = signed(bias, sign)
    values[:, FLOW, 0] = signed(flow, sign)
    told = [x for x in watch(values) if x[1] == COMPOSITE]
    assert {side for *_, side in told} <= {sign}
    return [(n, kind) for n, _, _, kind, _ in told if kind == "exhaustion"]


CALM = [21.0 + n % 9 for n in range(LEAST_SEEN)]


@pytest.mark.parametrize("sign", [1, -1])
def test_exhaustion_in_the_third_cycle_of_fading_flow(sign: int) -> None:
    flat = [15.0] * LEAST_SEEN
    high = [55.0, 56.0, 57.0, 58.0, 58.0]
    n = LEAST_SEEN
    assert market(CALM + high, [*flat, 14, 13, 12, 11, 10], sign) == [(n + 2, "exhaustion")]
    assert market(CALM + high, [*flat, 14, 13, 13, 12, 11], sign) == []
    assert market(CALM + high, [*flat, 14, 13, 13.5, 12, 11], sign) == []
    assert market(CALM + high, [*flat, 16, 17, 18, 19, 20], sign) == []
    assert market(CALM + high, [-15.0] * n + [-16, -17, -18, -19, -20], sign) == [
        (n + 2, "exhaustion")
    ]


def test_exhaustion_needs_the_top_of_a_history_that_is_long_enough() -> None:
    fading = [14, 13, 12, 11, 10]
    flat = [15.0] * LEAST_SEEN
    ordinary = [29.0] * 5
    assert market(CALM + ordinary, flat + fading) == []
    short = LEAST_SEEN - 3
    assert market(CALM[:short] + [55.0] * 5, flat[:short] + fading) == []
    assert market(CALM + [55.0] * 5, [nan] * LEAST_SEEN + [nan] * 5) == []
    # Two of a hundred and two before it are still the top 2 %, three of a hundred and three not.
    first = [(LEAST_SEEN + 2, "exhaustion")]
    assert market([*CALM, 55, 55, 55, 55], [*flat, 14, 13, 12, 11]) == first
    assert market([*CALM, 55, 55, 55, 55], [*flat, 16, 15, 14, 13]) == []


def test_exhaustion_is_told_again_after_a_fall() -> None:
    """Armed again a fifth below the peak, smoothed; and in the top of all that was since."""
    bias = [*CALM, 60, 60, 60, 60, 60, 60, 30, 30, 30, 30, *([25] * 200), 90, 90, 90]
    flow = [*([15.0] * len(CALM)), 14, 13, 12, *([15.0] * 207), 14, 13, 12]
    assert [n for n, _ in market(bias, flow)] == [LEAST_SEEN + 2, len(bias) - 1]


# -- gaps ----------------------------------------------------------------------------------------


def test_a_gap_ends_all_that_was_known() -> None:
    assert of(COMPOSITE, [30, nan, -30, -30]) == []
    assert of(COMPOSITE, [0, nan, 30]) == []
    assert of(COMPOSITE, [5, 5, 5, 5], [0, 1, 1, 1]) == [(2, "conflict_begins", 1)]
    assert of(COMPOSITE, [5, 5, nan, 5, 5], [0, 1, 0, 1, 1]) == []
    assert of(COMPOSITE, [64, 32, 32, nan, 32, 32, 30]) == []
    assert of(CARD, [0, 60, nan, 60, 60]) == []


def test_cycles_that_were_left_out_are_a_gap() -> None:
    """Nothing was decided for a while: what stood before says nothing of what is now."""
    assert of(COMPOSITE, [30, -30], times=[0, 1]) == [(1, "flip", -1)]
    assert of(COMPOSITE, [30, -30, 30], times=[0, 2, 3]) == [(2, "flip", 1)]
    assert of(COMPOSITE, [64, 32, 32, 32, 32], times=[0, 1, 2, 4, 5]) == []


def test_a_symbol_that_is_not_due_keeps_what_it_had() -> None:
    values = np.zeros((4, WATCHED.count, 2))
    values[:, COMPOSITE] = [[0, 0], [30, 0], [-30, 0], [-30, 30]]
    due = np.array([[1, 1], [1, 1], [0, 1], [1, 1]], bool)
    found = watch(values, due=due, times=[0, 1, 1, 2])
    assert found == [
        (1, COMPOSITE, 0, "directional", 1),
        (3, COMPOSITE, 0, "flip", -1),
        (3, COMPOSITE, 1, "directional", 1),
    ]


# -- any series ----------------------------------------------------------------------------------


def plain(series: Sequence[float], torn: Sequence[bool], cut: float, cycles: int,
          strife_from: float, bent: bool = False) -> list[tuple[int, str, int]]:  # fmt: skip
    """One subject cycle by cycle, in plain words; without exhaustion. `bent`: by the tanh."""

    def straight(points: float) -> float:
        return 100 * atanh(min(points / 100, 0.9999)) if bent else points

    out: list[tuple[int, str, int]] = []
    held = last = paused = waited = against = falling = 0
    seen, begun, ready, smooth, peak = 0, False, True, 0.0, 0.0
    before = nan
    for n, (value, strife) in enumerate(zip(series, torn, strict=True)):
        size, sign = abs(value), 0 if isnan(value) or value == 0 else 1 if value > 0 else -1
        height = straight(size)
        if isnan(value) or isnan(before):
            held = last = seen = sign if size >= cut else 0
            waited, paused, against = 1, 0 if held else 1, 0
            begun = strife and size >= strife_from
            falling, ready, smooth, peak = 0, True, height, height
            before = value
            continue
        now = sign if size >= cut or (size >= cut - HYSTERESIS and sign == held) else 0
        now = held if strife else now
        waited = waited + 1 if now == seen else 1
        seen = now
        if now != held and waited >= cycles:
            if now:
                out.append((n, "flip" if last == -now and paused <= 5 else "directional", sign))
            held = now
        last, paused = (held, 0) if held else (last, paused + 1)
        there = strife if begun else strife and size >= strife_from
        against = against + 1 if there != begun else 0
        if against == 2:
            begun, against = there, 0
            out.append((n, "conflict_begins" if there else "conflict_ends", sign))
        if sign and sign == (0 if before == 0 else 1 if before > 0 else -1):
            old, smooth = smooth, smooth + 0.5 * (height - smooth)
            falling, peak = falling + 1 if smooth < old else 0, max(peak, smooth)
            if ready and falling >= 3 and smooth <= 0.8 * peak and peak >= straight(cut):
                ready = False
                out.append((n, "deceleration", sign))
            ready = ready or smooth >= 0.9 * peak
        else:
            falling, ready, smooth, peak = 0, True, height, height
        before = value
    return out


points = st.one_of(
    st.just(nan), st.integers(-100, 100).map(float), st.sampled_from([-40.0, -20, -15, 0, 15, 20])
)
courses = st.lists(st.tuples(points, st.booleans()), min_size=1, max_size=60)
walks = st.lists(st.integers(-9, 9), min_size=1, max_size=80).map(
    lambda moves: [(float(x), False) for x in np.clip(np.cumsum(moves) * 2, -100, 100)]
)


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(st.one_of(courses, walks))
def test_as_in_plain_words(course: list[tuple[float, bool]]) -> None:
    series, torn = [x for x, _ in course], [t for _, t in course]
    assert of(COMPOSITE, series, torn) == plain(series, torn, 20, 1, 0, bent=True)
    assert of(MOMENTUM, series, torn) == plain(series, torn, 20, 1, 10)
    assert of(CARD, series, torn) == plain(series, torn, 40, 2, 40)


@st.composite
def tables(draw: Callable[..., int]) -> tuple[Array, Array]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(st.integers(2, 60)), WATCHED.count, 3)
    values = 60 * np.tanh(rng.normal(0, 1, shape).cumsum(axis=0) / 3)
    values[rng.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.3]))] = nan
    return values, rng.random(shape) < 0.3


@settings(deadline=None, max_examples=60)
@given(tables())
def test_the_mirror_gives_mirrored_transitions(table: tuple[Array, Array]) -> None:
    values, torn = table
    assert [(*x[:4], -x[4]) for x in watch(values, torn)] == watch(-values, torn)


@settings(deadline=None, max_examples=60)
@given(tables(), st.permutations(range(3)))
def test_the_order_of_symbols_does_not_matter(table: tuple[Array, Array], order: list[int]) -> None:
    values, torn = table
    moved = watch(values[:, :, order], torn[:, :, order])
    assert sorted((n, r, order[s], k, d) for n, r, s, k, d in moved) == sorted(watch(values, torn))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(tables(), st.integers(0, 2**32 - 1))
def test_symbols_know_nothing_of_each_other(table: tuple[Array, Array], seed: int) -> None:
    """Decided at other instants or not at all, the others tell the same."""
    values, torn = table
    due = np.random.default_rng(seed).random((len(values), 3)) < 0.7
    together = watch(values, torn, due)
    for s in range(3):
        alone = watch(values[:, :, [s]], torn[:, :, [s]], due[:, [s]])
        assert [(n, r, s, k, d) for n, r, _, k, d in alone] == [x for x in together if x[2] == s]


@settings(deadline=None, max_examples=60)
@given(tables())
def test_nothing_is_told_without_a_value_now_and_before(table: tuple[Array, Array]) -> None:
    values, torn = table
    for n, row, symbol, _, _ in watch(values, torn):
        assert n > 0
        assert not np.isnan(values[n - 1 : n + 1, row, symbol]).any()


# -- memory and cost -----------------------------------------------------------------------------


def test_memory_does_not_grow_and_counts_do_not_overflow() -> None:
    """Between one and two look-backs of history, however long it runs."""
    detector, lengths = Detector(WATCHED, 2, EVERY, 1), []
    for n in range(5 * LEAST_SEEN):
        values = np.full((WATCHED.count, 2), 30.0)
        detector.update(START + n * EVERY, np.ones(2, bool), values, values > 99)
        lengths.append(len(pickle.dumps(detector)))
        total = detector._seen._counts.sum(axis=(0, 3), dtype=int)
        kept = n % LEAST_SEEN + 1 + (LEAST_SEEN if n >= LEAST_SEEN else 0)
        assert (total == kept).all()
    assert max(lengths) - min(lengths) < 100
    assert detector._seen._counts.nbytes == 2 * WATCHED.count * 2 * BINS * 2


def test_cost_of_a_cycle_of_all_cards_and_symbols(capsys: pytest.CaptureFixture[str]) -> None:
    cards = [card.id for card in registry()]
    watched = subjects([c.id for c in CATEGORIES], cards, CUTS, HYSTERESIS)
    rng, symbols = np.random.default_rng(0), 21
    shape = (200, watched.count, symbols)
    quiet = np.clip(rng.normal(0, 1.0, shape).cumsum(axis=0), -100, 100)
    wild = 60 * np.tanh(rng.normal(0, 0.5, shape).cumsum(axis=0))
    torn = rng.random(shape) < 0.05
    for name, values in (("quiet", quiet), ("wild", wild)):
        detector = Detector(watched, symbols, EVERY, 1440)
        due, took, told = np.ones(symbols, bool), [], 0
        for n in range(len(values)):
            began = time.perf_counter()
            told += len(detector.update(START + n * EVERY, due, values[n], torn[n]))
            took.append(time.perf_counter() - began)
        median = 1e3 * float(np.median(took))
        with capsys.disabled():
            sys.stdout.write(
                f"\n{name}: {watched.count} subjects x {symbols} symbols, median {median:.2f} ms "
                f"a cycle, {told / len(values):.1f} told\n"
            )
        assert median < 20


# -- in the decisions ----------------------------------------------------------------------------


@pytest.mark.slow
def test_decisions_carry_them_with_their_context(
    make_decider: Callable[..., Decider],
    play: Callable[..., list[Decision]],
    random_raws: Callable[..., list[Array]],
) -> None:
    raws = [raw * 3 for raw in random_raws(400, seed=4, missing=0.02)]
    decider = make_decider()
    one, other = play(decider, raws), play(make_decider(), raws)
    assert [d.transitions for d in one] == [d.transitions for d in other]
    names = [c.id for c in CATEGORIES]
    found = [(d, t) for d in one for t in d.transitions]
    assert {t.kind for _, t in found} >= set(TRANSITIONS) - {"exhaustion"}
    assert {t.subject for _, t in found} == {"composite", "category", "card"}
    for d, t in found:
        s = decider.symbols.index(t.symbol)
        assert (t.ts, t.mode, t.price) == (d.ts, d.mode, None)
        assert d.decision[s]
        assert t.conviction == d.conviction[s]
        assert t.coverage == d.parts.coverage[s]
        if t.kind != "deceleration":
            now = {
                "composite": lambda d=d, s=s: d.parts.bias[s],
                "category": lambda d=d, s=s, t=t: d.parts.category_score[names.index(t.id), s],
                "card": lambda d=d, s=s, t=t: (
                    d.readings.score[[c.id for c in decider.cards].index(t.id), s] / 127
                ),
            }[t.subject]()
            assert t.after == pytest.approx(now, abs=1e-12)
            assert t.side == np.sign(t.after)
