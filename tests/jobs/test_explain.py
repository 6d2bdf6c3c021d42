"""A bias taken apart: the run and the store tell the same, and everything adds up."""

import asyncio
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import load
from engine.decision.change import changes
from engine.decision.decide import Decision
from engine.jobs import explain_text
from engine.jobs.explain import (
    NOT_STORED,
    CardPart,
    Explanation,
    Facts,
    Moment,
    explain,
    moved,
    stored,
)
from engine.jobs.export import iso
from engine.jobs.offline import Offline
from engine.jobs.probe import Probe, taken
from engine.sim.market import SCENARIOS
from engine.snapshot import Detail
from engine.store.reader import Reader

NS = 1_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "DOGEUSDT")
SYMBOL = "ETHUSDT"


class Played:
    """A short run kept in a database, with every decision of one symbol as its probe saw it."""

    def __init__(self, db: Path) -> None:
        feeds = {name: {"enabled": name in ("binance", "bybit")} for name in load()[0].feeds}
        listed = [{"id": symbol, "class": "layer1"} for symbol in SYMBOLS]
        config = load(overrides={"symbols": listed, "feeds": feeds})[0]
        self.db = db
        self.every: dict[str, list[Facts]] = {"scalp": [], "day": [], "swing": []}
        self.probes: list[Probe] = []
        self.details: dict[int, Detail] = {}
        self.run = Offline(config, SCENARIOS["default"], 3, 200, rate=0.05, dt=1.0,
                           warm_minutes=0, db=db, told=self.told)  # fmt: skip
        start = self.run.market.now // (10 * NS) * 10 * NS
        self.moments = [
            (Moment(), None), (Moment(ago=65 * NS), None), (Moment(), Moment(ago=70 * NS)),
            (Moment(ns=start + 125 * NS), Moment(ns=start + 61 * NS)),
            (Moment(), Moment(ns=start + 95 * NS)), (Moment(ns=start - NS), None),
            (Moment(ago=30 * NS), Moment(ns=start + 95 * NS)),
        ]  # fmt: skip
        self.probes = [Probe(SYMBOL, "scalp", at, since) for at, since in self.moments]
        asyncio.run(self.run.run())

    def told(self, now: int, made: list[Decision]) -> None:
        place = SYMBOLS.index(SYMBOL)
        pipeline = self.run.engine.pipeline
        for decision in made:
            if decision.decision[place]:
                self.every[decision.mode].append(taken(pipeline, decision, place))
                self.details[now] = self.run.detail(SYMBOL, frozenset({"readings"}))
        for probe in self.probes:
            probe.step(pipeline, now, made)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return Played(tmp_path_factory.mktemp("played") / "h.db")


def shown(facts: Facts) -> Explanation:
    return explain(facts, facts.ts, "demo", "a demo")


def cards_of(found: Explanation) -> dict[str, CardPart]:
    return {card.id: card for category in found.categories for card in category.cards}


@pytest.mark.slow
def test_everything_adds_up_to_the_bias(played: Played) -> None:
    count = 0
    for facts in (f for every in played.every.values() for f in every):
        found = shown(facts)
        if found.bias is None:
            continue
        parts = [part.points or 0.0 for part in (*found.lines, *found.categories)]
        assert sum(parts) == pytest.approx(found.bias, abs=1e-9)
        for category in found.categories:
            own = sum(card.points or 0.0 for card in category.cards)
            assert own == pytest.approx(category.points or 0.0, abs=1e-9)
        assert found.bias == pytest.approx(100 * math.tanh(found.gain * found.total), abs=1e-9)
        count += 1
    assert count > 8


@pytest.mark.slow
def test_each_card_is_recomputed_from_its_figures(played: Played) -> None:
    """From raw measure to points, by the rules as they are told."""
    checked = 0
    facts = played.every["day"][-1]
    found = shown(facts)
    assert found.bias is not None
    for card in cards_of(found).values():
        if card.score is None or card.strength is None or card.confidence is None:
            assert card.points is None
            continue
        known = [w for w in card.windows if w.score is not None]
        for window in known:
            assert window.raw is not None
            assert window.centre is not None
            normal = 0.0 if window.scale is None else (window.raw - window.centre) / window.scale
            assert window.normalised == pytest.approx(normal, abs=1e-12)
            assert window.score == pytest.approx(math.tanh(normal / 2), abs=1e-12)
            assert window.samples is not None
            enough = window.samples / (window.samples + 30)
            assert window.sufficiency == pytest.approx(enough, abs=1e-12)
        weight = sum(w.weight for w in known)
        mean = sum(w.weight * (w.score or 0.0) for w in known) / weight
        assert card.score == pytest.approx(mean, abs=0.5 / 127 + 1e-9)
        assert card.freshness == min((n.freshness or 0.0 for n in card.needs), default=1.0)
        enough = sum(w.weight * (w.sufficiency or 0.0) for w in known) / weight
        assert card.sufficiency == pytest.approx(enough, abs=1e-9)
        product = card.freshness * card.sufficiency * (card.agreement or 0.0)
        assert card.confidence == pytest.approx(product, abs=0.5 / 127 + 1e-9)
        value = math.copysign(card.strength, card.score) * card.confidence * card.weight
        assert card.contribution == pytest.approx(value, abs=1e-12)
        points = found.bias * card.contribution / found.whole / found.total
        assert card.points == pytest.approx(points, abs=1e-9)
        checked += 1
    assert checked > 40


@pytest.mark.slow
def test_ages_and_venues_are_those_of_the_decision(played: Played) -> None:
    found = shown(played.every["day"][-1])
    cards = cards_of(found)
    readings = {r.card: r for r in played.details[found.ts].readings["day"]}
    for card in cards.values():
        ages = [need.age for need in card.needs if need.age is not None]
        if len(ages) == len(card.needs):
            assert max(ages) == readings[card.id].age
    (trades,) = cards["volume_delta"].needs
    assert list(trades.venues) == ["binance"]
    assert trades.age == trades.venues["binance"]
    shared = [need for card in cards.values() for need in card.needs if "venues:" in need.need]
    assert any(set(need.venues) == {"binance", "bybit"} for need in shared)
    assert {card.id: card.score for card in cards.values()} == {
        id: reading.score for id, reading in readings.items()
    }


@pytest.mark.slow
def test_the_store_tells_the_same_and_says_what_it_has_not(played: Played) -> None:
    with Reader(played.db) as reader:
        for mode, every in played.every.items():
            for live in every:
                kept = stored(reader, SYMBOL, mode, live.ts)
                assert kept is not None
                one, other = shown(kept), shown(live)
                assert (one.source, other.source) == ("store", "run")
                assert NOT_STORED in one.notes[0]
                assert one.worth is None
                assert other.worth is not None
                assert without_inner(one) == without_inner(other)
                for card in cards_of(one).values():
                    assert card.agreement is card.freshness is card.sufficiency is None
                    assert {w.raw for w in card.windows} == {None}


def without_inner(found: Explanation) -> dict[str, Any]:
    """All but what only a run knows."""
    tree: dict[str, Any] = msgspec.to_builtins(found)
    for card in (card for category in tree["categories"] for card in category["cards"]):
        for name in ("agreement", "freshness", "sufficiency"):
            del card[name]
        card["windows"] = [(w["window"], w["weight"]) for w in card["windows"]]
        card["needs"] = [need["need"] for need in card["needs"]]
    del tree["source"], tree["notes"], tree["worth"]
    return tree


@pytest.mark.slow
def test_a_change_adds_up_and_is_told_largest_first(played: Played) -> None:
    every = [facts for facts in played.every["scalp"] if facts.bias is not None]
    assert len(every) > 3
    for then, now in ((every[0], every[-1]), (every[1], every[2])):
        moves = moved(now, then, "demo", "a demo")
        assert moves is not None
        assert moves.points == moves.now - moves.then
        parts = [change.points for change in (*moves.lines, *moves.categories)]
        assert sum(parts) == pytest.approx(moves.points, abs=1e-9)
        for change in moves.categories:
            own = moves.cards[change.id]
            assert sum(card.points for card in own) == pytest.approx(change.points, abs=1e-9)
            sizes = [abs(card.points) for card in own]
            assert sizes == sorted(sizes, reverse=True)
    text = explain_text.moves_text(moves, str)
    assert len(text.splitlines()) < 60
    assert "by category" in text


@pytest.mark.slow
def test_a_probe_keeps_what_is_asked_for(played: Played) -> None:
    every, newest = played.every["scalp"], played.probes[0].newest

    def in_force(at: int) -> Facts | None:
        return next((facts for facts in reversed(every) if facts.ts <= at), None)

    for probe, (at, since) in zip(played.probes, played.moments, strict=True):
        now, then = probe.chosen()
        wanted = in_force(at.before(newest))
        assert (now and now.ts) == (wanted and wanted.ts)
        if wanted is not None:
            before = in_force(wanted.ts - 1 if since is None else since.before(wanted.ts))
            assert (then and then.ts) == (before and before.ts)
    assert [probe.over for probe in played.probes] == [
        at.ns is not None for at, _ in played.moments
    ]
    assert len(played.probes[0]._kept) == 2


@pytest.mark.slow
def test_texts_fit_eighty_columns(played: Played) -> None:
    with Reader(played.db) as reader:
        live = played.every["day"][-1]
        kept = stored(reader, SYMBOL, "day", live.ts)
        assert kept is not None
        for facts in (live, kept):
            found = shown(facts)
            texts = [explain_text.overview(found, iso)]
            texts += [explain_text.category_text(found, c, iso) for c in found.categories]
            texts += [explain_text.card_text(found, c, iso) for c in cards_of(found).values()]
            assert max(len(line) for text in texts for line in text.splitlines()) <= 80
            assert all(text.startswith("DEMO  ETHUSDT day: bias ") for text in texts)


@given(
    st.dictionaries(st.sampled_from("abcdefghij"), st.none() | st.floats(-100, 100)),
    st.dictionaries(st.sampled_from("abcdefghij"), st.none() | st.floats(-100, 100)),
)
def test_changes_add_up(now: dict[str, float | None], then: dict[str, float | None]) -> None:
    found = changes(now, then)
    whole = sum(x or 0.0 for x in now.values()) - sum(x or 0.0 for x in then.values())
    assert sum(change.points for change in found) == pytest.approx(whole, abs=1e-9)
    assert {change.id for change in found} == {*now, *then}
    sizes = [abs(change.points) for change in found]
    assert sizes == sorted(sizes, reverse=True)
