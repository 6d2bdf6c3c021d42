"""How much a score knows of a later return, and how sure that is: pure functions of arrays.

Axes: T instants in order, S symbols, K cards. Missing data is NaN and leaves only its own pair out.
Symbols move together and overlapping returns repeat themselves, so errors come from resampling
stretches of time with all symbols in them, never from the number of pairs.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
SUMS = 6  # n, x, y, xx, yy, xy
# Resamples, cards and rows worked on at once, for the memory's sake.
CHUNK, CARDS, ROWS = 64, 32, 20_000
LEAST_PAIRS = 3
TWO_SIDED_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Correlations of K scores with one return; (K,) each, NaN where it has no value.

    `error`: standard error; `low`, `high`: 95 % interval; `t`: value over error; `p`: two-sided.
    `n`: pairs; `n_eff`: independent pairs that would leave the same error. `blocks`: how many
    stretches of time a resample is made of, which is what `t` has for degrees of freedom, plus 1.
    `found` (resamples, K): the correlations of the resamples.
    """

    value: Array
    error: Array
    low: Array
    high: Array
    t: Array
    p: Array
    n: Array
    n_eff: Array
    blocks: int
    found: Array


# -- returns -------------------------------------------------------------------------------


def forward_returns(log_price: Array, first: int, last: int) -> Array:
    """Log return from `first` to `last` steps after each step, (T, S); NaN where one is missing.

    What is decided at a step can be had at the next one: `first` below 1 raises ValueError.
    """
    if not 1 <= first < last:
        raise ValueError(f"a return from {first} to {last} steps ahead")
    out = np.full(log_price.shape, np.nan)
    if len(log_price) > last:
        out[:-last] = log_price[last:] - log_price[first : first - last]
    return out


def residuals(returns: Array) -> Array:
    """Returns without their mean over the symbols of the same instant: the common factor apart."""
    known = ~np.isnan(returns)
    count = known.sum(axis=1, keepdims=True)
    total = np.where(known, returns, 0.0).sum(axis=1, keepdims=True)
    out: Array = np.where(count > 1, returns - total / np.maximum(count, 1), np.nan)
    return out


# -- correlation ---------------------------------------------------------------------------


def mean_ranks(values: Array) -> Array:
    """Ranks from 1 of a vector, equal values sharing the mean of theirs; NaN keeps NaN."""
    out = np.full(values.shape, np.nan)
    known = ~np.isnan(values)
    _, place, count = np.unique(values[known], return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    out[known] = (last - (count - 1) / 2)[place]
    return out


def moments(x: Array, y: Array) -> Array:
    """What a correlation needs of each instant, over its symbols with both: (T, 6).

    Count, sums of x, y, their squares and product; of stretches they add up.
    """
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = np.where(both, x, 0.0), np.where(both, y, 0.0)
    parts = (both.astype(float), x, y, x * x, y * y, x * y)
    return np.stack([part.sum(axis=1) for part in parts], axis=-1)


def correlation(sums: Array) -> Array:
    """Pearson's r of sums of `moments` (..., 6); NaN of too few pairs or of a constant."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        across = xy - x * y / n
        spread_x, spread_y = xx - x * x / n, yy - y * y / n
        # What is left of a constant is rounding.
        varied = (spread_x > 1e-12 * xx) & (spread_y > 1e-12 * yy) & (n >= LEAST_PAIRS)
        r = np.clip(across / np.sqrt(spread_x * spread_y), -1.0, 1.0)
    out: Array = np.where(varied, r, np.nan)
    return out


def pairwise_correlation(columns: NDArray[np.floating], least: int = 100) -> Array:
    """Pearson's r of every two columns over the rows that have both, (K, K).

    NaN with fewer than `least` such rows and for a column that is constant in them.
    """
    # Sums of what is far from its mean would lose what differs.
    count = np.maximum((~np.isnan(columns)).sum(axis=0), 1)
    mean = np.nansum(columns, axis=0, dtype=np.float64) / count
    size = columns.shape[1]
    sums = np.zeros((size, size, SUMS))
    for begin in range(0, len(columns), ROWS):
        rows = columns[begin : begin + ROWS] - mean
        known = ~np.isnan(rows)
        x, there = np.where(known, rows, 0.0), known.astype(float)
        own, squares = x.T @ there, (x * x).T @ there
        parts = (there.T @ there, own, own.T, squares, squares.T, x.T @ x)
        sums += np.stack(parts, axis=-1)
    return np.where(sums[..., 0] >= least, correlation(sums), np.nan)


# -- the block bootstrap -------------------------------------------------------------------


def block_sums(sums: Array, runs: Sequence[int], block: int) -> Array:
    """Sums over `block` consecutive instants from each instant on, (T, ...).

    `runs`: lengths of stretches that do not continue one another, in order. A block stays in its
    run and goes on at the run's start, so that every instant is in as many blocks.
    Source: Politis & Romano (1992), A circular block-resampling procedure for stationary data.
    """
    if sum(runs) != len(sums) or block < 1:
        raise ValueError(f"blocks of {block} in runs of {sum(runs)} instants of {len(sums)}")
    out, begin = np.empty_like(sums), 0
    for length in runs:
        run, reach = sums[begin : begin + length], min(block, length)
        course = np.cumsum(np.concatenate([np.zeros_like(run[:1]), run, run[: reach - 1]]), axis=0)
        out[begin : begin + length] = course[reach:] - course[:-reach]
        begin += length
    return out


def resampled(sums: Array, runs: Sequence[int], block: int, resamples: int, seed: int = 1) -> Array:
    """Correlations of `resamples` pasts made of blocks of the real one, (resamples, K).

    `sums`: `moments` of K cards, (T, K, 6). All cards see the same resamples.
    Source: Künsch (1989), The jackknife and the bootstrap for general stationary observations.
    """
    out = np.empty((resamples, sums.shape[1]))
    for first in range(0, sums.shape[1], CARDS):
        group = block_sums(sums[:, first : first + CARDS], runs, block)
        table, begin = group.reshape(len(sums), -1), 0
        for times in _drawn(len(sums), blocks_of(len(sums), block), resamples, seed):
            totals = (times @ table).reshape(len(times), -1, SUMS)
            out[begin : begin + len(times), first : first + CARDS] = correlation(totals)
            begin += len(times)
    return out


def _drawn(length: int, blocks: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each block stands in each resample, (some resamples, blocks) at a time."""
    rng = np.random.default_rng(seed)
    for begin in range(0, resamples, CHUNK):
        rows = min(CHUNK, resamples - begin)
        starts = rng.integers(length, size=(rows, blocks)) + length * np.arange(rows)[:, None]
        times = np.bincount(starts.ravel(), minlength=rows * length)
        yield times.reshape(rows, length).astype(float)


def blocks_of(length: int, block: int) -> int:
    """How many blocks make a resample as long as the data."""
    return max(1, round(length / block))


def coefficients(
    scores: Iterable[Array],
    returns: Array,
    runs: Sequence[int],
    horizon: int,
    *,
    horizons: float = 4.0,
    ranked: bool = True,
    resamples: int = 1000,
    seed: int = 1,
) -> Coefficients:
    """Correlation of each card's score (T, S) with `returns` (T, S), pooled, with its interval.

    `horizon`: how many instants the returns reach; a block is `horizons` of them long, 2 at least
    (ValueError). Spearman's, or Pearson's unless `ranked`. Ranks are those among all pairs of the
    card and stay the same in every resample.
    """
    if horizons < 2 or horizon < 1:
        raise ValueError(f"blocks of {horizons:g} horizons of {horizon} instants")
    block = math.ceil(horizons * horizon)
    sums = np.stack([moments(*_prepared(score, returns, ranked)) for score in scores], axis=1)
    total = sums.sum(axis=0)
    found = resampled(sums, runs, block, resamples, seed)
    return _judged(correlation(total), found, total[:, 0], blocks_of(len(returns), block),
                   horizon / block)  # fmt: skip


def _prepared(score: Array, returns: Array, ranked: bool) -> tuple[Array, Array]:
    """Both over their common pairs, ranked or as they are, about zero and of unit size."""
    both = ~(np.isnan(score) | np.isnan(returns))
    x, y = np.where(both, score, np.nan), np.where(both, returns, np.nan)
    if ranked:
        x, y = (mean_ranks(v.ravel()).reshape(v.shape) for v in (x, y))
    return _unit(x, both), _unit(y, both)


def _unit(values: Array, known: Mask) -> Array:
    if not known.any():
        return values
    off = values - values[known].mean()
    size = float(np.sqrt((off[known] ** 2).mean()))
    # A constant leaves rounding, which must not become a score.
    constant = size <= 1e-12 * float(np.abs(values[known]).max())
    out: Array = off * 0.0 if constant else off / size
    return out


def errors(found: Array, blocks: int, overlap: float) -> Array:
    """Standard errors from `found` (resamples, K) of `blocks` blocks each; NaN of none.

    Blocks stray from their own mean, which knows one of them; and of the correlation that returns
    of a horizon have by overlapping, cutting into blocks loses up to overlap / 3, `overlap` being
    horizon over block (the bias of Bartlett's weights, Künsch 1989). Both are put back. A card
    missing in a resample lacks that resample alone.
    """
    known = ~np.isnan(found)
    count = known.sum(axis=0)
    mean = np.where(known, found, 0.0).sum(axis=0) / np.maximum(count, 1)
    variance = np.where(known, (found - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    error = np.sqrt(variance * blocks / max(blocks - 1, 1) / (1 - overlap / 3))
    out: Array = np.where((error > 0) & (blocks > 1), error, np.nan)
    return out


def _judged(value: Array, found: Array, n: Array, blocks: int, overlap: float) -> Coefficients:
    error = errors(found, blocks, overlap)
    t = value / error
    reach = t_of_normal(TWO_SIDED_95, blocks - 1) * error
    p = np.array([math.erfc(abs(z) / math.sqrt(2)) for z in normal_of_t(t, blocks - 1)])
    return Coefficients(value=value, error=error, low=value - reach, high=value + reach,
                        t=t, p=p, n=n, n_eff=effective(value, error, n), blocks=blocks,
                        found=found)  # fmt: skip


def effective(value: Array, error: Array, n: Array) -> Array:
    """n times the variance that n independent pairs would leave over the one found, at most n.

    The former is (1 - r^2)^2 / (n - 1), Fisher's; NaN where there is no error.
    """
    naive = (1 - value**2) ** 2 / np.maximum(n - 1, 1)
    out: Array = np.minimum(n * naive / error**2, n)
    return out


# -- tests ---------------------------------------------------------------------------------


def normal_of_t(t: Array, freedom: int) -> Array:
    """The normal deviate as far out as Student's t; Wallace (1959), within 0.3 % from 10 on."""
    v = max(freedom, 1)
    out: Array = np.sign(t) * (8 * v + 1) / (8 * v + 3) * np.sqrt(v * np.log1p(t**2 / v))
    return out


def t_of_normal(z: float, freedom: int) -> float:
    """The inverse of `normal_of_t` for z >= 0."""
    v = max(freedom, 1)
    return math.sqrt(v * math.expm1((z * (8 * v + 3) / (8 * v + 1)) ** 2 / v))


def found_by_chance(result: Coefficients, chosen: Mask) -> NDArray[np.int64]:
    """How many of the chosen intervals would exclude 0 if nothing were there, (resamples,).

    Each resample strays from the mean of all as an estimate would from zero, and for every card
    alike, so that cards that say the same err together.
    """
    found = result.found[:, chosen & ~np.isnan(result.error)]
    known = ~np.isnan(found)
    count = np.maximum(known.sum(axis=0), 1)
    off = np.where(known, found - np.where(known, found, 0.0).sum(axis=0) / count, 0.0)
    usual = np.sqrt((off**2).sum(axis=0) / count)
    out: NDArray[np.int64] = (np.abs(off) > TWO_SIDED_95 * usual).sum(axis=1)
    return out


def benjamini_hochberg(p: Array, rate: float) -> Mask:
    """Which tests are found, with at most `rate` of the found expected false; NaN is no test.

    Source: Benjamini & Hochberg (1995), Controlling the false discovery rate.
    """
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    passed = np.flatnonzero(p[order] <= rate * np.arange(1, len(order) + 1) / max(len(order), 1))
    out = np.zeros(p.shape, dtype=bool)
    if len(passed):
        out[order[: passed[-1] + 1]] = True
    return out
