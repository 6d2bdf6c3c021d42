"""Session and time cards: what hours were like, and how near funding is."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from engine.cards import session_time as cards
from engine.market.view import WINDOWS, Array, View

Make = Callable[..., View]


def value(name: str, view: View) -> Array:
    found: Array = getattr(cards, name)(view)
    return found


@pytest.mark.parametrize(
    ("name", "part"), [("session_bias", "session"), ("hourly_seasonality", "hour")]
)
def test_the_mean_over_its_error(name: str, part: str, make_view: Make, edit: Make) -> None:
    told = {f"{part}_mean": np.array([2e-4, -1e-4, 0.0]), f"{part}_error": 1e-4}
    found = value(name, edit(make_view(), calendar=told))
    np.testing.assert_allclose(found, np.tile([2.0, -1.0, 0.0], (6, 1)))


@pytest.mark.parametrize("name", ["session_bias", "hourly_seasonality"])
def test_the_clock_alone_is_not_enough(name: str, make_view: Make, edit: Make) -> None:
    """A symbol without a price, or without a history of the hour, has no such card."""
    view = make_view()
    close = view.bars.close.copy()
    close[:, -1, 1] = np.nan
    gone = np.array([0.0, 0.0, np.nan])
    errors = {"hour_error": 1.0 + gone, "session_error": 1.0 + gone}
    found = value(name, edit(view, bars={"close": close}, calendar=errors))
    assert np.isfinite(found[:, 0]).all()
    assert np.isnan(found[:, 1:]).all()


def test_funding_weighs_more_as_it_comes_near(make_view: Make, edit: Make) -> None:
    view = make_view(2)
    for left in (28_800.0, 3600.0, 60.0):
        found = value("funding_clock", edit(view, calendar={"to_funding": left}))
        for w, window in enumerate(WINDOWS):
            n = window.span // window.bar
            paid = view.bars.funding[w, -n:].mean(axis=0)
            np.testing.assert_allclose(found[w], -paid * math.exp(-left / 3600), rtol=1e-9)


def test_longs_about_to_pay_are_bearish(make_view: Make, edit: Make) -> None:
    soon = edit(make_view(), bars={"funding": 3e-4}, calendar={"to_funding": 30.0})
    late = edit(make_view(), bars={"funding": 3e-4}, calendar={"to_funding": 25_000.0})
    assert (value("funding_clock", soon) < -2.9e-4).all()
    assert (np.abs(value("funding_clock", late)) < 1e-6).all()
    hourly = {"to_funding": 450.0, "funding_interval": 3600.0}
    each_hour = edit(make_view(), bars={"funding": -3e-4}, calendar=hourly)
    np.testing.assert_allclose(value("funding_clock", each_hour), 3e-4 * math.exp(-1))


def test_an_unknown_schedule_is_unknown(make_view: Make, edit: Make) -> None:
    view = edit(make_view(), calendar={"to_funding": np.nan})
    assert np.isnan(value("funding_clock", view)).all()
