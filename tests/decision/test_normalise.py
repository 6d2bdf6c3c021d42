"""The rolling scale against its definition, written out sample by sample."""

from collections.abc import Callable
from math import exp, isnan, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cards.card import Card
from engine.clock import NS
from engine.config import Config
from engine.decision.normalise import Lanes, Normaliser
from engine.market.view import WINDOWS, Array

START = 1_750_000_000
MODE_LANES = {"scalp": ("10s", "1m", "5m"), "day": ("1m", "5m", "1h"), "swing": ("1h", "4h", "1d")}
SPANS = {w.name: w.span for w in WINDOWS}
LOOK_BACKS = {"scalp": 7200.0, "day": 86400.0, "swing": 604800.0}

# (seconds since the sample before, seconds it stands for, value): gaps are irregular.
samples = st.lists(
    st.tuples(
        st.integers(1, 60).map(lambda n: 10 * n),
        st.sampled_from((10.0, 30.0)),
        st.one_of(st.none(), st.integers(-16, 16).map(lambda n: n / 2)),
    ),
    min_size=1,
    max_size=40,
)


def look_back(mode: str, window: str, cadence: float) -> float:
    return max(LOOK_BACKS[mode], 30 * max(SPANS[window], cadence))


def reference(seen: list[tuple[float, float, float]], length: float, card: Card) -> float:
    """Normalised newest value of (time, seconds, value) under weights that fall with age.

    The mean age of a sample is half the look-back, as in a window of that length.
    """
    now, _, x = seen[-1]
    if isnan(x):
        return nan
    if card.scale == "fixed":
        return x / card.unit
    known = [(s * exp(-2 * (now - t) / length), v) for t, s, v in seen if not isnan(v)]
    total = sum(w for w, _ in known)
    mean = sum(w * v for w, v in known) / total if card.scale == "centred" else 0.0
    variance = sum(w * (v - mean) ** 2 for w, v in known) / total
    size = sum(w * v * v for w, v in known) / total
    return (x - mean) / sqrt(variance) if variance > 1e-20 * size else 0.0


def timed(drawn: list[tuple[int, float, float | None]]) -> list[tuple[int, float, float]]:
    out, at = [], START
    for gap, seconds, value in drawn:
        at += gap
        out.append((at, seconds, nan if value is None else value))
    return out


def whole(cards: int, value: float) -> Array:
    return np.full((len(WINDOWS), cards, 1), value)


@pytest.fixture(scope="module")
def cards(make_card: Callable[..., Card]) -> tuple[Card, ...]:
    return (
        make_card(0),
        make_card(1, scale="centred"),
        make_card(2, scale="fixed", unit=2.5),
        make_card(3, cadence=300.0),
        make_card(4, cadence=28800.0, scale="centred"),
    )


@given(drawn=samples)
@settings(deadline=None, max_examples=60)
def test_the_scale_is_its_definition(
    drawn: list[tuple[int, float, float | None]], config: Config, cards: tuple[Card, ...]
) -> None:
    normaliser = Normaliser(Lanes(config, cards), cards, 1)
    seen = timed(drawn)
    for n, (at, seconds, value) in enumerate(seen):
        got = normaliser.update(whole(len(cards), value), at * NS, seconds)[:, :, 0]
        for c, card in enumerate(cards):
            lane = 0
            for mode, windows in MODE_LANES.items():
                for window in windows:
                    length = look_back(mode, window, card.cadence)
                    exists = card.cadence <= SPANS[window]
                    want = reference(seen[: n + 1], length, card) if exists else nan
                    assert got[lane, c] == pytest.approx(want, rel=1e-8, abs=1e-8, nan_ok=True)
                    lane += 1


@given(drawn=samples, cut=st.integers(0, 40))
@settings(deadline=None, max_examples=60)
def test_history_and_live_together_are_one_continuous_run(
    drawn: list[tuple[int, float, float | None]],
    cut: int,
    config: Config,
    cards: tuple[Card, ...],
) -> None:
    lanes = Lanes(config, cards)
    past, live, one = (Normaliser(lanes, cards, 1) for _ in range(3))
    live.past = past
    seen = timed(drawn)
    for n, (at, seconds, value) in enumerate(seen):
        raw = whole(len(cards), value)
        want = one.update(raw, at * NS, seconds)
        got = (past if n < cut else live).update(raw, at * NS, seconds)
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(live.sufficiency(), one.sufficiency(), rtol=1e-9)


def test_the_look_back_spans_thirty_of_the_slower_of_window_and_input(
    config: Config, cards: tuple[Card, ...]
) -> None:
    found = Lanes(config, cards).look_back
    names = [(m, w) for m, ws in MODE_LANES.items() for w in ws]
    want = [[look_back(m, w, c.cadence) for c in cards] for m, w in names]
    np.testing.assert_array_equal(found, want)
    assert found[names.index(("scalp", "5m")), 0] == 9000
    assert found[names.index(("swing", "1d")), 0] == 30 * 86400


def test_sufficiency_counts_independent_samples_within_the_look_back(
    config: Config, cards: tuple[Card, ...]
) -> None:
    lanes = Lanes(config, cards)
    normaliser = Normaliser(lanes, cards, 1)
    for n in range(300):
        normaliser.update(whole(len(cards), nan if n % 3 == 0 else 1.0), (START + 10 * n) * NS, 10)
    seen = 200 * 10
    got = normaliser.sufficiency()[:, :, 0]
    assert got[0, 0] == pytest.approx(200 / 230)
    assert got[1, 0] == pytest.approx((seen / 60) / (seen / 60 + 30))
    assert got[2, 3] == pytest.approx((seen / 300) / (seen / 300 + 30))
    assert got[5, 3] == pytest.approx((seen / 3600) / (seen / 3600 + 30))
    for n in range(300, 2000):
        normaliser.update(whole(len(cards), 1.0), (START + 10 * n) * NS, 10)
    full = normaliser.sufficiency()[0, 0, 0]
    assert full == pytest.approx(720 / 750), "never more than the look-back holds"


def test_only_the_windows_shown_are_taken_in(config: Config, cards: tuple[Card, ...]) -> None:
    normaliser = Normaliser(Lanes(config, cards), cards, 1)
    some = np.arange(0, len(cards), 2)
    normaliser.update_window(2, some, np.full((len(some), 1), 3.0), START * NS, 30.0)
    known = [(m, w) for m, ws in MODE_LANES.items() for w in ws]
    for name, seen in zip(known, normaliser.seen[:, :, 0], strict=True):
        expected = 30.0 if name in (("scalp", "5m"), ("day", "5m")) else 0.0
        exists = normaliser.lanes.exists[known.index(name)]
        assert (seen[some][exists[some]] == expected).all()
        assert not np.delete(seen, some).any()


def test_taking_in_a_part_is_taking_in_the_whole(config: Config, cards: tuple[Card, ...]) -> None:
    rng = np.random.default_rng(1)
    lanes = Lanes(config, cards)
    whole_one, parts = Normaliser(lanes, cards, 3), Normaliser(lanes, cards, 3)
    some = np.array([1, 2, 4])
    for n in range(40):
        now = (START + 10 * n) * NS
        x = rng.normal(size=(len(WINDOWS), len(cards), 3))
        wanted = whole_one.update(x, now, 10.0)
        first = x.copy()
        first[:, some] = nan
        got = parts.update(first, now, 10.0)
        got[:, some] = parts.update_cards(some, x[lanes.window][:, some], now, 10.0)
        np.testing.assert_array_equal(got, wanted)


def test_a_level_that_never_moves_is_no_signal(config: Config, make_card) -> None:
    cards = (make_card(0, scale="centred"), make_card(1))
    normaliser = Normaliser(Lanes(config, cards), cards, 1)
    raw = np.full((len(WINDOWS), 2, 1), 0.1)
    raw[:, 1] = 0.0
    for n in range(5000):
        got = normaliser.update(raw, (START + 10 * n) * NS, 10)
        assert not got.any()


@given(drawn=samples)
@settings(deadline=None, max_examples=30)
def test_the_mirror_is_exact(
    drawn: list[tuple[int, float, float | None]], config: Config, cards: tuple[Card, ...]
) -> None:
    lanes = Lanes(config, cards)
    one, other = Normaliser(lanes, cards, 1), Normaliser(lanes, cards, 1)
    for at, seconds, value in timed(drawn):
        got = one.update(whole(len(cards), value), at * NS, seconds)
        turned = other.update(whole(len(cards), -value), at * NS, seconds)
        np.testing.assert_array_equal(got, -turned)
