"""Correlations and their intervals against a library, plain loops, and noise of known kind."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal, stats

from engine.learning import scoring

Array = NDArray[np.float64]
numbers = st.one_of(st.just(math.nan), st.integers(-5, 5).map(lambda n: n / 2))


def market(seed: int, length: int, symbols: int, memory: float) -> tuple[Array, Array]:
    """Scores that repeat themselves (AR 1) and step returns, both half common to all symbols."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((2, length + 400, 1))
    own = rng.standard_normal((2, length + 400, symbols))
    noise = np.sqrt(0.5) * (common + own)
    gain = math.sqrt(1 - memory**2)
    score = signal.lfilter([gain], [1, -memory], noise[0], axis=0)
    return score[400:], noise[1, 400:]


def overlapping(steps: Array, horizon: int) -> Array:
    return scoring.forward_returns(np.cumsum(steps, axis=0), 1, 1 + horizon)


def holed(values: Array, seed: int, share: float = 0.2) -> Array:
    hole = np.random.default_rng(seed).random(values.shape) < share
    return np.where(hole, np.nan, values)


# -- returns -------------------------------------------------------------------------------


def test_returns_begin_after_the_decision() -> None:
    price = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    ahead = scoring.forward_returns(np.log2(price), 1, 3)
    np.testing.assert_array_equal(ahead[:, 0], [2.0, 2.0, np.nan, np.nan, np.nan])


@given(st.integers(0, 11), st.integers(1, 4), st.integers(1, 4))
def test_returns_know_nothing_of_the_present(step: int, first: int, more: int) -> None:
    """Of a price, only its place among the later ones changes a return."""
    price = np.cumsum(np.random.default_rng(1).standard_normal((12, 2)), axis=0)
    other = price.copy()
    other[: step + 1] += 100.0
    ours = scoring.forward_returns(price, first, first + more)
    theirs = scoring.forward_returns(other, first, first + more)
    np.testing.assert_array_equal(ours[step], theirs[step])


@pytest.mark.parametrize(("first", "last"), [(0, 3), (3, 3), (4, 2)])
def test_returns_from_the_decision_itself_are_refused(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="steps ahead"):
        scoring.forward_returns(np.zeros((5, 1)), first, last)


def test_residuals_leave_the_mean_of_the_symbols_out() -> None:
    nan = np.nan
    returns = np.array([[1.0, 2.0, 6.0], [1.0, nan, 3.0], [nan, nan, 5.0]])
    expected = [[-2.0, -1.0, 3.0], [-1.0, nan, 1.0], [nan, nan, nan]]
    np.testing.assert_array_equal(scoring.residuals(returns), expected)


# -- correlation ---------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(numbers, max_size=40))
def test_ranks_are_the_librarys(values: list[float]) -> None:
    given_, known = np.array(values, dtype=float), ~np.isnan(np.array(values, dtype=float))
    expected = np.full(len(values), np.nan)
    expected[known] = stats.rankdata(given_[known])
    np.testing.assert_array_equal(scoring.mean_ranks(given_), expected)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1000), st.booleans())
def test_coefficients_are_the_librarys(seed: int, tied: bool) -> None:
    """Over the pairs that are whole, with and without equal values."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, 30, 4))
    y += 0.3 * x
    if tied:
        x, y = np.round(x), np.round(y, 1)
    x, y = holed(x, seed), holed(y, seed + 1)
    both = ~(np.isnan(x) | np.isnan(y))
    spearman = scoring.coefficients([x], y, [30], 2, resamples=20)
    pearson = scoring.coefficients([x], y, [30], 2, resamples=20, ranked=False)
    assert spearman.value[0] == pytest.approx(stats.spearmanr(x[both], y[both])[0], abs=1e-12)
    assert pearson.value[0] == pytest.approx(stats.pearsonr(x[both], y[both])[0], abs=1e-12)
    assert spearman.n[0] == pearson.n[0] == both.sum()


def test_size_and_place_of_the_numbers_do_not_matter() -> None:
    score, steps = market(1, 300, 4, 0.9)
    ahead = overlapping(steps, 5)
    plain = scoring.coefficients([score], ahead, [300], 5, ranked=False, resamples=50)
    other = scoring.coefficients([1e6 + score], 1e-7 * ahead + 3.0, [300], 5, ranked=False,
                                 resamples=50)  # fmt: skip
    np.testing.assert_allclose([other.value, other.error], [plain.value, plain.error], rtol=1e-5)


def test_a_constant_and_an_absent_score_have_no_coefficient() -> None:
    score, steps = market(2, 200, 3, 0.9)
    absent, constant = np.full_like(score, np.nan), np.full_like(score, 0.1)
    for ranked in (True, False):
        found = scoring.coefficients([absent, score, constant], overlapping(steps, 5), [200], 5,
                                     ranked=ranked, resamples=50)  # fmt: skip
        for name in ("value", "error", "low", "high", "t", "p", "n_eff"):
            missing = np.isnan(getattr(found, name))
            np.testing.assert_array_equal(missing, [True, False, True], err_msg=name)
        assert found.n[0] == 0


def test_one_card_does_not_change_another() -> None:
    """Nor does it matter how many there are: more than are worked on at once."""
    score, steps = market(3, 150, 3, 0.9)
    cards = [holed(np.roll(score, n, axis=0), n, 0.1 * (n % 5)) for n in range(40)]
    ahead = overlapping(steps, 5)
    whole = scoring.coefficients(cards, ahead, [150], 5, resamples=70)
    alone = scoring.coefficients(cards[37:38], ahead, [150], 5, resamples=70)
    assert whole.value[37] == alone.value[0]
    np.testing.assert_allclose(whole.found[:, 37], alone.found[:, 0], rtol=1e-12)


def test_correlations_of_all_pairs_are_those_of_each() -> None:
    rng = np.random.default_rng(4)
    columns = rng.standard_normal((300, 6))
    columns[:, 1] = 1e4 - 2 * columns[:, 0]
    columns[:, 2] += columns[:, 0]
    columns[:, 4] = 7.0
    columns[20:, 5] = np.nan
    columns[:, :3] = holed(columns[:, :3], 5)
    found = scoring.pairwise_correlation(columns, least=50)
    for a in range(4):
        for b in range(4):
            both = ~(np.isnan(columns[:, a]) | np.isnan(columns[:, b]))
            expected = stats.pearsonr(columns[both, a], columns[both, b])[0]
            assert found[a, b] == pytest.approx(expected, abs=1e-9), (a, b)
    assert np.isnan(found[4]).all()
    assert np.isnan(found[5]).all()


# -- the bootstrap -------------------------------------------------------------------------


def slow_blocks(values: list[float], block: int) -> list[float]:
    length = len(values)
    return [
        sum(values[(start + n) % length] for n in range(min(block, length)))
        for start in range(length)
    ]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=9), min_size=1, max_size=4),
       st.integers(1, 12))  # fmt: skip
def test_blocks_stay_in_their_run(runs: list[list[int]], block: int) -> None:
    flat = np.array([value for run in runs for value in run], dtype=float)
    expected = [total for run in runs for total in slow_blocks(list(map(float, run)), block)]
    found = scoring.block_sums(flat[:, None], [len(run) for run in runs], block)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-9)


def test_blocks_of_other_lengths_than_the_data_are_refused() -> None:
    with pytest.raises(ValueError, match="instants"):
        scoring.block_sums(np.zeros((10, 6)), [4, 5], 3)
    with pytest.raises(ValueError, match="horizons"):
        scoring.coefficients([np.zeros((10, 2))], np.zeros((10, 2)), [10], 3, horizons=1.5)


def test_resamples_are_those_of_a_plain_loop() -> None:
    """Pairs put together block by block, holes and two runs and all, with the same draws."""
    score, steps = market(6, 90, 3, 0.8)
    x, y = holed(score, 7), overlapping(steps, 4)
    runs, block, resamples = [50, 40], 16, 80
    sums = scoring.moments(x, y)[:, None]
    found = scoring.resampled(sums, runs, block, resamples, seed=8)[:, 0]
    rng, expected = np.random.default_rng(8), []
    for rows in (64, 16):
        for starts in rng.integers(90, size=(rows, round(90 / block))):
            place = [_within(start, n, runs) for start in starts for n in range(block)]
            a, b = x[place], y[place]
            both = ~(np.isnan(a) | np.isnan(b))
            expected.append(stats.pearsonr(a[both], b[both])[0])
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def _within(start: int, ahead: int, runs: list[int]) -> int:
    first, second = runs
    if start < first:
        return (start + ahead) % first
    return first + (start - first + ahead) % second


def test_the_same_seed_gives_the_same_interval() -> None:
    score, steps = market(9, 400, 3, 0.9)
    ahead = overlapping(steps, 10)
    one, same, other = (
        scoring.coefficients([score], ahead, [400], 10, resamples=200, seed=seed)
        for seed in (1, 1, 2)
    )
    assert (one.low[0], one.high[0]) == (same.low[0], same.high[0])
    assert one.low[0] != other.low[0]
    assert other.error[0] == pytest.approx(one.error[0], rel=0.2)


def inside(seed: int, length: int, horizon: int, drift: float, truth: float) -> bool:
    """Whether the interval of one past has the truth in it."""
    score, steps = market(seed, length, 3, 0.95)
    moved = steps.copy()
    moved[1:] += drift * score[:-1]
    found = scoring.coefficients([score], overlapping(moved, horizon), [length], horizon,
                                 ranked=False, resamples=200, seed=seed)  # fmt: skip
    return bool(found.low[0] < truth < found.high[0])


@pytest.mark.slow
@pytest.mark.parametrize("drift", [0.0, 0.03])
def test_the_interval_covers_what_it_says(drift: float) -> None:
    """400 pasts of 200 horizons: 95 % of them, within 3 deviations of 400 draws and 1 % for the
    shortness of the past. The true coefficient of scores that move price follows from AR(1).
    """
    length, horizon, memory, pasts = 2000, 10, 0.95, 400
    # The return takes the score's drift from one step ahead on, `horizon` steps long.
    reach = memory ** np.arange(1, horizon + 1)
    across = drift * float(reach.sum())
    lags = np.abs(np.subtract.outer(np.arange(horizon), np.arange(horizon)))
    variance = horizon + drift**2 * float((memory**lags).sum())
    truth = across / math.sqrt(variance)
    share = np.mean([inside(seed, length, horizon, drift, truth) for seed in range(pasts)])
    assert abs(share - 0.95) < 3 * math.sqrt(0.95 * 0.05 / pasts) + 0.01


def test_independent_pairs_count_fully_and_repeated_ones_do_not() -> None:
    """n_eff of symbols that say the same is near the number of instants. A score held for 20
    instants beside returns of 20: the sum over a hold has 13.3 times the variance that 20 pairs
    by themselves would give it (two thirds of 20), so 4000 instants are worth 300."""
    rng = np.random.default_rng(10)
    score, ahead = rng.standard_normal((2, 4000, 4))
    free = scoring.coefficients([score], ahead, [4000], 1, resamples=400)
    assert free.n_eff[0] == pytest.approx(16_000, rel=0.2)
    copied = scoring.coefficients([score[:, [0] * 4]], ahead[:, [0] * 4], [4000], 1, resamples=400)
    assert copied.n[0] == 16_000
    assert copied.n_eff[0] == pytest.approx(4000, rel=0.2)
    held = np.repeat(rng.standard_normal((200, 1)), 20, axis=0)
    returns = overlapping(rng.standard_normal((4000, 1)), 20)
    repeated = scoring.coefficients([held], returns, [4000], 20, resamples=400)
    assert repeated.n_eff[0] == pytest.approx(300, rel=0.35)


# -- tests of many -------------------------------------------------------------------------


@pytest.mark.parametrize("freedom", [10, 30, 60, 500])
def test_students_t_is_the_librarys(freedom: int) -> None:
    t = np.linspace(-6, 6, 49)
    exact = stats.norm.isf(stats.t.sf(t, freedom))
    np.testing.assert_allclose(scoring.normal_of_t(t, freedom), exact, rtol=3e-3, atol=1e-9)
    for z in (0.5, 1.96, 3.0):
        back = scoring.normal_of_t(np.array([scoring.t_of_normal(z, freedom)]), freedom)
        assert back[0] == pytest.approx(z, rel=1e-12)


@settings(deadline=None)
@given(st.lists(st.one_of(st.just(math.nan), st.floats(0, 1)), max_size=30),
       st.sampled_from((0.05, 0.1, 0.3)))  # fmt: skip
def test_false_discovery_is_the_librarys(p: list[float], rate: float) -> None:
    values = np.array(p, dtype=float)
    known = ~np.isnan(values)
    expected = np.zeros(len(values), dtype=bool)
    if known.any():
        expected[known] = stats.false_discovery_control(values[known]) <= rate
    near = np.zeros(len(values), dtype=bool)
    if known.any():
        adjusted = stats.false_discovery_control(values[known])
        near[known] = np.abs(adjusted - rate) < 1e-12
    found = scoring.benjamini_hochberg(values, rate)
    np.testing.assert_array_equal(found[~near], expected[~near])


def test_chance_counts_cards_that_say_the_same_together() -> None:
    """One in twenty on average, whatever the cards; copies come all at once or not at all."""
    score, steps = market(11, 1500, 2, 0.9)
    cards = [np.roll(score, 60 * n, axis=0) for n in range(12)]
    ahead = overlapping(steps, 5)
    chosen = np.ones(12, dtype=bool)
    apart = scoring.coefficients(cards, ahead, [1500], 5, resamples=600)
    copies = scoring.coefficients([score] * 12, ahead, [1500], 5, resamples=600)
    counts = scoring.found_by_chance(apart, chosen)
    together = scoring.found_by_chance(copies, chosen)
    assert counts.mean() == pytest.approx(0.6, abs=0.25)
    assert set(together.tolist()) == {0, 12}
    assert together.mean() == pytest.approx(0.6, abs=0.35)
    assert np.quantile(together, 0.97) > np.quantile(counts, 0.97)
