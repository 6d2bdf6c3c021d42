"""Delivery: each alert once, one sequence for a burst, nothing from outside in a sequence."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit.alerts.herald import TOAST_S, Herald
from cockpit.alerts.osc import LONGEST, osc9, plain
from engine.config import AlertsConfig
from engine.snapshot import Alert


def alert(number: int, severity: str = "warning", text: str = "bias above +40: +43") -> Alert:
    return Alert(number, number, "bias", severity, "BTCUSDT", "day", None, text)


class Bench:
    """A herald with its time and what it wrote."""

    def __init__(self, tmux: bool = False, **config: object) -> None:
        self.time = 0.0
        self.written: list[str] = []
        self.herald = Herald(
            AlertsConfig(**config), self.written.append, tmux, now=lambda: self.time
        )


def test_what_was_there_before_is_not_told() -> None:
    bench = Bench()
    assert bench.herald.hear((alert(2), alert(1))) == ()
    assert bench.herald.hear((alert(3), alert(2), alert(1))) == (alert(3),)
    assert bench.written == ["\a"]


def test_each_alert_once_and_its_toast_for_some_seconds() -> None:
    bench = Bench()
    bench.herald.hear(())
    assert bench.herald.hear((alert(1),)) == (alert(1),)
    bench.time = TOAST_S - 1
    assert bench.herald.hear((alert(2), alert(1))) == (alert(2), alert(1))
    bench.time = TOAST_S + 1
    assert bench.herald.hear((alert(2), alert(1))) == (alert(2),)
    assert bench.written == ["\a", "\a"]


def test_a_burst_rings_once() -> None:
    bench = Bench(desktop="osc9", bell=True)
    bench.herald.hear(())
    bench.herald.hear(tuple(alert(n) for n in range(9, 0, -1)))
    assert bench.written == ["\x1b]9;Blackperp: BTCUSDT bias above +40: +43; and 8 more\a\a"]


def test_info_is_shown_and_no_more() -> None:
    bench = Bench(desktop="osc9")
    bench.herald.hear(())
    assert bench.herald.hear((alert(1, "info"),)) == (alert(1, "info"),)
    assert bench.written == []


def test_neither_bell_nor_desktop() -> None:
    bench = Bench(bell=False, desktop=False)
    bench.herald.hear(())
    bench.herald.hear((alert(1, "error"),))
    assert bench.written == []


def test_in_tmux_one_bell_whichever_way() -> None:
    for bell in (True, False):
        bench = Bench(tmux=True, bell=bell, desktop="osc9")
        bench.herald.hear(())
        bench.herald.hear((alert(1),))
        (written,) = bench.written
        assert written == ("\x1bPtmux;\x1b\x1b]9;Blackperp: BTCUSDT bias above +40: +43\a\x1b\\\a")


def test_a_new_run_is_heard_from_its_first_alert_on() -> None:
    """Numbers that start again are another run's."""
    bench = Bench()
    bench.herald.hear((alert(7),))
    bench.herald.hear(())
    assert bench.herald.hear((alert(1),)) == (alert(1),)


@given(st.text(max_size=300))
@settings(deadline=None)
def test_no_text_can_end_or_start_a_sequence(text: str) -> None:
    """Neither C0, C1, DEL nor direction marks pass; the sequence ends where it is meant to."""
    shown = plain(text)
    assert len(shown) <= LONGEST
    assert not re.search("[\x00-\x1f\x7f-\x9f‪-‮⁦-⁩]", shown)
    sequence = osc9(text)
    assert sequence.startswith("\x1b]9;")
    assert sequence.count("\a") == 1
    assert sequence.endswith("\a")
    wrapped = osc9(text, tmux=True)
    assert wrapped.startswith("\x1bPtmux;\x1b\x1b]9;")
    assert wrapped.endswith("\x1b\\\a")
    assert wrapped[len("\x1bPtmux;") : -3].replace("\x1b\x1b", "\x1b") == sequence


@pytest.mark.parametrize("text", ["a\x1b]0;x\ab", "a\x9c b", "a\r\nb", "a\u202eb", "a\x00b"])
def test_plain(text: str) -> None:
    assert plain(text) in ("a ]0;x b", "a b")
