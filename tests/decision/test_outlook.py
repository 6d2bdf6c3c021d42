"""What stands beside a bias: volatility by a plain loop, peers, who agrees."""

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.decision.outlook import COIN, MEAN_SIZE, PEERS, agreeing, deviation, nearest


def test_volatility_by_hand() -> None:
    rng = np.random.default_rng(3)
    moves = rng.normal(0, 1e-3, (60, 2))
    moves[5, 0] = moves[40, 0] = np.nan
    for s in range(2):
        top = bottom = 0.0
        for age, move in enumerate(moves[::-1, s]):
            if move == move:
                weight = exp(-age * 300 / 14_400)
                top, bottom = top + weight * move * move, bottom + weight
        assert deviation(moves, 3600)[s] == pytest.approx(sqrt(12 * top / bottom))


def test_steady_moves_grow_with_the_root_of_time() -> None:
    moves = np.full((60, 1), log(1.001)) * np.where(np.arange(60) % 2, 1, -1)[:, None]
    assert deviation(moves, 300)[0] == pytest.approx(log(1.001))
    assert deviation(moves, 4 * 300)[0] == pytest.approx(2 * log(1.001))


def test_eleven_closes_are_too_few() -> None:
    moves = np.full((60, 1), np.nan)
    moves[-11:] = 1e-3
    assert np.isnan(deviation(moves, 300)[0])
    moves[-12:] = 1e-3
    assert deviation(moves, 300)[0] == pytest.approx(1e-3)


def test_a_coin_by_the_normal_law() -> None:
    draws = np.random.default_rng(1).standard_normal(400_000)
    assert pytest.approx((draws > 0.2).mean(), abs=3e-3) == COIN
    assert pytest.approx(np.abs(draws).mean(), abs=5e-3) == MEAN_SIZE


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_peers_are_the_most_correlated_others(seed: int, symbols: int) -> None:
    rng = np.random.default_rng(seed)
    half = rng.uniform(-1, 1, (symbols, symbols))
    correlation = (half + half.T) / 2
    correlation[rng.random((symbols, symbols)) < 0.2] = np.nan
    found = nearest(correlation)
    assert found.shape == (PEERS, symbols)
    for s in range(symbols):
        known = [n for n in range(symbols) if n != s and correlation[n, s] > 0]
        best = sorted(known, key=lambda n: -correlation[n, s])[:PEERS]
        assert [n for n in found[:, s].tolist() if n >= 0] == best


def test_who_agrees() -> None:
    bias = np.array([80.0, 10.0, -5.0, np.nan, -70.0])
    peers = np.array([[1, 0, 0, 0, 2], [2, 2, 1, 1, 0], [3, 3, 3, 2, -1]])
    assert agreeing(bias, peers).tolist() == pytest.approx(
        [0.5, np.nan, np.nan, np.nan, 0.5], nan_ok=True
    )
    assert agreeing(-bias, peers)[[0, 4]].tolist() == [0.5, 0.5]
