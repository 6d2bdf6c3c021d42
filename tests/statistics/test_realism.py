"""The simulated market lies in broad bands around what is recorded of BTC."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

LEVELS = {
    "spread of one tick, share": (0.88, 1.0),
    "bid at the touch, median, k USD": (60, 400),
    "bids within 10 bps, median, M USD": (4, 16),
    "quotes a second": (60, 400),
    "aggregate trades a second": (8, 80),
    "trade, median, USD": (600, 4000),
    "trade, mean / median": (4, 14),
    "trade, 99 % / median": (50, 220),
    "volatility a year of 1 s, %": (15, 150),
    "kurtosis, 1 s": (8, 120),
    "seconds without a move, share": (0.25, 0.65),
    "taker balance with return, 10 s": (0.2, 0.8),
}
MINUTES = {
    "volatility a year, %": (30, 75),
    "kurtosis, 1 min": (6, 25),
    "kurtosis, 5 min": (4.5, 20),
    "|return|, lag 1 min": (0.15, 0.36),
    "|return|, lag 15 min": (0.08, 0.26),
    "|return|, lag 60 min": (0.03, 0.2),
    "deviation of the log variance of an hour": (0.6, 1.1),
    "return, lag 1 min": (-0.05, 0.05),
}


@pytest.fixture(scope="module")
def realism() -> ModuleType:
    path = Path(__file__).with_name("realism.py")
    spec = spec_from_file_location("realism", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["realism"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def beyond(figures: dict[str, float], bands: dict[str, tuple[float, float]]) -> dict[str, float]:
    return {n: figures[n] for n, (low, high) in bands.items() if not low <= figures[n] <= high}


@pytest.mark.slow
def test_book_trades_and_seconds(realism: ModuleType) -> None:
    """Five minutes of each of three seeds, from which the figures' medians barely move."""
    runs = [realism.simulated(seed, 300).figures() for seed in (1, 2, 3)]
    assert beyond(realism.average(runs), LEVELS) == {}


def test_minutes_of_the_past(realism: ModuleType) -> None:
    runs = [realism.minute_figures(realism.past_minutes(seed)) for seed in range(1, 9)]
    assert beyond(realism.average(runs), MINUTES) == {}


@pytest.mark.slow
def test_minutes_of_the_live_part(realism: ModuleType) -> None:
    """Twelve days; steps of a quarter of a minute make the minutes that finer ones make."""
    returns = np.concatenate([realism.live_minutes(seed, 4, 15.0) for seed in (1, 2, 3)])
    assert beyond(realism.minute_figures(returns), MINUTES) == {}


@pytest.mark.wire
def test_the_recording_lies_in_the_bands_too(realism: ModuleType) -> None:
    if not realism.WIRE.is_dir():
        pytest.skip("no recordings beside the checkout")
    assert beyond(realism.minute_figures(realism.candle_minutes()), MINUTES) == {}
    assert beyond(realism.recorded().figures(), LEVELS) == {}
