"""A snapshot as JSON and as a table: the contract's keys, and nothing made up."""

import json
import math

import msgspec
import pytest

from engine.cards.card import CATEGORIES
from engine.jobs.report import silence, snapshot_json, snapshot_table
from engine.snapshot import (
    CategoryInfo,
    CategoryLine,
    Composite,
    FeedHealth,
    Price,
    Snapshot,
    StreamHealth,
    SymbolState,
)

COMPOSITE = Composite(
    ts=1,
    bias=-12.5,
    conviction=33.0,
    confidence=None,
    base_rate=None,
    calibrated=False,
    decision="LEAN SHORT",
    state="NEUTRAL",
    agreement=0.5,
    agreement_by_window={"1m": -1, "5m": 0, "1h": None},
    coverage=0.25,
    available=3,
    total=39,
    categories={"momentum": CategoryLine(-0.25, "BEARISH", -12.5, 1, 8)},
    adjustments={},
    history=(None, -12.5),
)


def feed(frames: int = 5, state: str = "ready", note: str = "") -> FeedHealth:
    stream = StreamHealth("fresh", math.nan, 5, 1, 2, ("ETHUSDT",))
    return FeedHealth(
        state, note, {"trade": stream}, frames, 1.0, 2, {"malformed": 2}, 0, 0, 0, 0.0, None
    )  # fmt: skip


def symbol(id: str, last: float | None, modes: dict[str, Composite]) -> SymbolState:
    return SymbolState(id, "layer1", Price(last, None, None, None, None, 2), modes,
                       None, None, None, None, {})  # fmt: skip


def snapshot(**changes: object) -> Snapshot:
    whole = Snapshot(
        number=1,
        step=1,
        mode_of_data="replay",
        ts=77,
        step_ts=70,
        symbols=(symbol("BTCUSDT", 61800.1, {"day": COMPOSITE}), symbol("ETHUSDT", None, {})),
        categories=tuple(CategoryInfo(c.id, c.name, c.group) for c in CATEGORIES),
        feeds={"binance": feed()},
        speed=None,
        progress=1.0,
        finished=True,
        notices=(),
    )
    return msgspec.structs.replace(whole, **changes)


def test_every_symbol_mode_and_category_is_an_object() -> None:
    report = snapshot_json(snapshot())
    assert (report["mode_of_data"], report["ts"]) == ("replay", 77)
    assert list(report["symbols"]) == ["BTCUSDT", "ETHUSDT"]
    for state in report["symbols"].values():
        assert set(state) == {"price", "modes"}
        assert list(state["modes"]) == ["scalp", "day", "swing"]
        for mode in state["modes"].values():
            assert set(mode) == {
                "bias", "conviction", "confidence", "base_rate", "calibrated", "decision",
                "state", "agreement", "agreement_by_window", "coverage", "cards", "categories",
                "adjustments",
            }  # fmt: skip
            assert list(mode["categories"]) == [c.id for c in CATEGORIES]
            assert set(mode["cards"]) == {"available", "total"}
            for line in mode["categories"].values():
                assert set(line) == {"score", "state", "contribution"}


def test_values_are_as_they_are() -> None:
    day = snapshot_json(snapshot())["symbols"]["BTCUSDT"]["modes"]["day"]
    assert (day["bias"], day["conviction"], day["calibrated"]) == (-12.5, 33.0, False)
    assert day["agreement_by_window"] == {"1m": -1, "5m": 0, "1h": None}
    assert day["cards"] == {"available": 3, "total": 39}
    assert day["categories"]["momentum"] == {
        "score": -0.25,
        "state": "BEARISH",
        "contribution": -12.5,
    }
    assert day["categories"]["macro"] == {
        "score": None,
        "state": "NOT_AVAILABLE",
        "contribution": None,
    }


def test_unknown_is_null_never_nan() -> None:
    report = snapshot_json(snapshot())
    empty = report["symbols"]["ETHUSDT"]
    assert empty["price"] is None
    assert empty["modes"]["day"]["bias"] is None
    assert report["feeds"]["binance"]["streams"]["trade"]["age"] is None
    text = json.dumps(report, allow_nan=False)
    assert json.loads(text) == report


def test_feeds() -> None:
    health = snapshot_json(snapshot())["feeds"]["binance"]
    assert (health["state"], health["dropped"]) == ("ready", 2)
    assert health["streams"]["trade"]["missing"] == ["ETHUSDT"]


def test_table_is_aligned_and_marks_what_is_unknown() -> None:
    title, _, head, btc, eth, *rest = snapshot_table(snapshot()).splitlines()
    assert title.startswith("REPLAY; conviction is no probability, not financial advice")
    assert head.split()[:2] == ["symbol", "price"]
    assert btc.split() == ["BTCUSDT", "61800.10", "-", "-", "-", "-12.5", "~33", "LEAN", "SHORT",
                           "-", "-", "-"]  # fmt: skip
    assert set(eth.split()[1:]) == {"-"}
    assert len(head) == len(btc) == len(eth)
    assert rest == ["", "binance: ready"]


@pytest.mark.parametrize(
    ("feeds", "begins"),
    [
        ({"binance": feed()}, None),
        ({"binance": feed(0, "off"), "other": feed(1)}, None),
        ({"binance": feed(0, "blocked", "451: blocked")}, "no feed sent anything (binance 451"),
        ({"binance": feed(0, "connecting")}, "no feed sent anything (binance connecting)"),
        ({"binance": feed(0, "off")}, "every feed is off"),
        ({}, "every feed is off"),
    ],
)
def test_silence_is_told_with_what_still_works(
    feeds: dict[str, FeedHealth], begins: str | None
) -> None:
    sentence = silence(snapshot(feeds=feeds))
    if begins is None:
        assert sentence is None
    else:
        assert sentence is not None
        assert sentence.startswith(begins)
        assert "replay PATH" in sentence
