"""Published series against a plain list of what was said, and when it was known."""

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import NS
from engine.market.series import BAR_RING, SPAN_RING, Published
from engine.market.view import BARS, HISTORY, WINDOWS

STANDS = {"oi": 3600.0, "mark": 60.0, "daily": 4 * 86_400.0}
SYMBOLS = 2
BEGIN = 1_700_000_000 * NS
FINEST = 10


@dataclass
class Plain:
    """(time, value) of one column, rising; a value counts from its own time on."""

    said: list[tuple[int, float]] = field(default_factory=list)

    def at(self, instant: int, stands: float) -> float:
        place = bisect_right(self.said, (instant, np.inf))
        if not place or instant - self.said[place - 1][0] > stands * NS:
            return np.nan
        return self.said[place - 1][1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1, 60, 900]))
def test_every_end_of_every_window_is_what_was_known(seed: int, pace: int) -> None:
    rng = np.random.default_rng(seed)
    series = Published(STANDS, SYMBOLS)
    plain = {(name, s): Plain() for name in STANDS for s in range(SYMBOLS)}
    now = BEGIN
    series.advance(now)
    for (name, s), column in plain.items():
        # History of a month, on whole seconds that no live value has.
        for ago in rng.choice(30 * 86_400, 40, replace=False):
            at = BEGIN - (int(ago) + 1) * NS
            value = float(rng.random())
            series.put_past(name, s, at, value)
            column.said.append((at, value))
        column.said.sort()
    for _ in range(200):
        now += pace * NS
        for (name, s), column in plain.items():
            if rng.random() < 0.2:
                value = float(rng.random())
                series.put(name, s, now - NS // 2, value)
                column.said.append((now - NS // 2, value))
        series.advance(now)
    check(series.spans(now, WINDOWS), plain, now, [w.span for w in WINDOWS], SPAN_RING, HISTORY)
    check(series.bars(now, WINDOWS, 2), plain, now, [w.bar for w in WINDOWS], BAR_RING, BARS)


def check(found, plain, now, lengths, rings, count) -> None:
    names = list(STANDS)[: len(found)]
    for w, length in enumerate(lengths):
        for n in range(count):
            end = now - (count - 1 - n) * length * NS
            # The newest end is read in the finest ring, whole cells only.
            cell = (FINEST if n == count - 1 else rings[length]) * NS
            newest = series_end(end, cell, now)
            for i, name in enumerate(names):
                for s in range(SYMBOLS):
                    wanted = plain[name, s].at(newest, STANDS[name] - (end - newest) / NS)
                    assert found[i, w, n, s] == pytest.approx(wanted, nan_ok=True), (w, n, name)


def series_end(end: int, cell: int, now: int) -> int:
    """What a ring tells of an instant: the end of the last cell that was over by then.

    The newest cell counts as over at `now`.
    """
    last = (now - 1) // cell
    at = min(end // cell - 1, last)
    return now if at == last else (at + 1) * cell
