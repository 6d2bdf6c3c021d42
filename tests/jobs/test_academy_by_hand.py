"""Ten pages of the academy tried by hand: their formulas, from what explain shows to the points."""

import asyncio
import json
import math
from typing import Any

import msgspec
import pytest

from cockpit import academy
from cockpit.cli import run as command
from cockpit.widgets.sheet import computed
from engine.cards.card import registry
from engine.config import Config, load
from engine.decision.decide import Decision
from engine.jobs.explain import Moment, explain
from engine.jobs.offline import Offline
from engine.jobs.probe import Probe
from engine.runtime.pipeline import Pipeline
from engine.snapshot import Detail

pytestmark = pytest.mark.slow
SYMBOL, MODE = "BTCUSDT", "day"
DEAD_BAND = 0.05
CARDS = {
    "volume_delta": "order_flow", "depth_imbalance_near": "order_book",
    "funding_forecast": "funding", "price_momentum": "momentum",
    "liquidation_imbalance": "liquidation", "agg_volume_delta": "cross_exchange",
    "atr_state": "volatility", "long_short_skew": "derivatives",
    "percentile_rank": "statistical", "range_position": "market_structure",
}  # fmt: skip
PARTS = frozenset({"bars", "liquidation_map"})
Tree = dict[str, Any]


def small() -> Config:
    listed = [{"id": id, "class": "layer1"} for id in (SYMBOL, "ETHUSDT", "SOLUSDT")]
    return load(overrides={"symbols": listed})[0]


class Watch(Probe):
    """Keeps what the cockpit would have drawn at each decision too."""

    def __init__(self) -> None:
        super().__init__(SYMBOL, MODE, Moment(), None)
        self.details: dict[int, Detail] = {}
        self.market: Offline | None = None

    def told(self, now: int, decisions: list[Decision]) -> None:
        assert self.market is not None
        pipeline: Pipeline = self.market.engine.pipeline
        self.step(pipeline, now, decisions)
        if any(d.mode == MODE and d.decision[0] for d in decisions):
            self.details[now] = self.market.engine.pictures.detail(SYMBOL, PARTS)


@pytest.fixture(scope="module")
def seen() -> tuple[Tree, Detail]:
    """What `explain BTCUSDT --demo --json` prints, and the charts of that decision."""
    watch = Watch()
    watch.market = Offline(small(), seed=7, seconds=130, told=watch.told)
    asyncio.run(watch.market.run())
    facts, _ = watch.chosen()
    assert facts is not None
    tree = json.loads(msgspec.json.encode(explain(facts, facts.ts, "demo", "a demo")))
    return tree, watch.details[tree["ts"]]


@pytest.fixture(scope="module")
def tree(seen: tuple[Tree, Detail]) -> Tree:
    return seen[0]


def every(tree: Tree) -> dict[str, Tree]:
    return {card["id"]: card for category in tree["categories"] for card in category["cards"]}


def mean(values: list[tuple[float, float]]) -> float:
    """Of (value, weight)."""
    return sum(v * w for v, w in values) / sum(w for _, w in values)


def side(score: float) -> int:
    return 0 if abs(score) <= DEAD_BAND else (1 if score > 0 else -1)


def by_window(card: Tree) -> list[tuple[float, float]]:
    """Score and weight of each window: raw - centre, over the scale, bent by the tanh."""
    out = []
    for window in card["windows"]:
        # Where its input comes more rarely than the window is long, the card does not exist.
        if window["raw"] is None or not window["seen"]:
            assert window["score"] is None
            continue
        scale = window["scale"]
        x = 0.0 if scale is None else (window["raw"] - window["centre"]) / scale
        assert window["normalised"] == pytest.approx(x, abs=1e-12)
        score = (1 - math.exp(-x)) / (1 + math.exp(-x))
        assert window["score"] == pytest.approx(score, abs=1e-12)
        out.append((score, window["weight"]))
    return out


def own_agreement(scores: list[tuple[float, float]], sign: int) -> float:
    taking = [(side(s), w) for s, w in scores if side(s)]
    return mean([(float(at == sign), w) for at, w in taking]) if taking else 1.0


@pytest.mark.parametrize("id", CARDS)
def test_the_score_shown_is_that_of_its_windows(id: str, tree: Tree) -> None:
    card = every(tree)[id]
    assert card["available"]
    score = mean(by_window(card))
    assert abs(card["score"] - score) <= 0.5 / 127 + 1e-12
    assert card["score"] * 127 == pytest.approx(round(card["score"] * 127), abs=1e-9)


@pytest.mark.parametrize("id", CARDS)
def test_confidence_is_fresh_and_sufficient_data_that_agrees(id: str, tree: Tree) -> None:
    cards = every(tree)
    card, levels = cards[id], {c.id: c.level for c in registry()}
    known = [w for w in card["windows"] if w["score"] is not None]
    enough = mean([(w["samples"] / (w["samples"] + 30), w["weight"]) for w in known])
    assert card["sufficiency"] == pytest.approx(enough, abs=1e-12)
    fresh = min(
        min(1.0, max(0.0, (3 * need["limit"] - need["age"]) / (2 * need["limit"])))
        for need in card["needs"]
    )
    assert card["freshness"] == pytest.approx(fresh, abs=1e-12)
    sign = (card["score"] > 0) - (card["score"] < 0)
    agreement = own_agreement(by_window(card), sign)
    if levels[id]:
        # All its windows repeat one value: it takes the mean of the cards that have several.
        others = [c["agreement"] for c in cards.values() if c["available"] and not levels[c["id"]]]
        agreement = sum(others) / len(others)
    assert card["agreement"] == pytest.approx(agreement, abs=1e-12)
    assert abs(card["confidence"] - fresh * enough * agreement) <= 0.5 / 127 + 1e-12
    sides = [side(s) for s, _ in by_window(card)]
    torn = any(sides) and (sides[0] * sides[-1] < 0 or agreement < 0.5 - 1e-9)
    assert card["conflicted"] == torn
    assert card["strength"] == pytest.approx(abs(card["score"]) / (2 if torn else 1), abs=1e-12)


@pytest.mark.parametrize("id", CARDS)
def test_its_points_are_its_share_of_the_bias(id: str, tree: Tree) -> None:
    card = every(tree)[id]
    category = next(c for c in tree["categories"] if c["id"] == CARDS[id])
    priors = {c.id: c.prior for c in registry()}
    whole = sum(abs(priors[c["id"]]) for c in category["cards"] if c["possible"])
    weight = category["weight"] * priors[id] / whole
    assert card["weight"] == pytest.approx(weight, abs=1e-12)
    sign = -1 if card["score"] < 0 else 1
    contribution = sign * card["strength"] * card["confidence"] * weight
    assert card["contribution"] == pytest.approx(contribution, abs=1e-12)
    points = tree["bias"] * contribution / tree["whole"] / tree["total"]
    assert card["points"] == pytest.approx(points, abs=1e-9)
    own = sum(c["points"] or 0.0 for c in category["cards"])
    assert own == pytest.approx(category["points"], abs=1e-9)


def test_all_of_them_make_the_bias(tree: Tree) -> None:
    """S from the contributions, S' with the context lines, and the tanh of it."""
    cards = every(tree)
    share = sum(card["contribution"] for card in cards.values()) / tree["whole"]
    lines = sum(line["points"] for line in tree["lines"])
    bent = share + lines * tree["total"] / tree["bias"]
    assert tree["total"] == pytest.approx(bent, abs=1e-12)
    assert tree["bias"] == pytest.approx(100 * math.tanh(tree["gain"] * bent), abs=1e-9)
    shown = sum(c["points"] or 0.0 for c in tree["categories"]) + lines
    assert shown == pytest.approx(tree["bias"], abs=1e-9)
    assert abs(tree["bias"]) > 1
    assert sum(bool(cards[id]["points"]) for id in CARDS) >= 8


@pytest.mark.parametrize("id", CARDS)
def test_the_page_shows_formula_needs_and_sign(
    id: str, tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a reader finds on the card's page is what was computed, told once."""
    card, entry = every(tree)[id], academy.card(id)
    page = academy.page(CARDS[id])
    assert id in page.cards
    for heading in ("Measures.", "Read it.", "Misleads."):
        assert heading in page.cards[id].replace("**", "")
    assert command(["cards", "--json"]) == 0
    listed = next(c for c in json.loads(capsys.readouterr().out) if c["id"] == id)
    assert entry.formula == card["formula"] == listed["formula"]
    told = ["".join(span.words for span in block.spans) for block in computed(entry)]
    assert f"Formula. {card['formula']}" in told
    assert f"Needs. {', '.join(entry.needs)}" in told
    assert entry.sign
    assert f"Sign. {entry.sign}" in told
    fed = {need["need"].removeprefix("venues:") for need in card["needs"]}
    assert fed == set(entry.needs) - {"venues"}


# -- raw measures, from what the cockpit draws ------------------------------------------------


def raw(tree: Tree, id: str, window: str) -> float:
    found = next(w["raw"] for w in every(tree)[id]["windows"] if w["window"] == window)
    assert found is not None
    return float(found)


def test_volume_delta_from_the_bars(seen: tuple[Tree, Detail]) -> None:
    """Taker buy notional - taker sell notional of the window."""
    tree, detail = seen
    assert detail.bars[-1].ts + 60 * 10**9 == tree["ts"]
    for window, minutes in (("1m", 1), ("5m", 5), ("1h", 60)):
        bars = detail.bars[-minutes:]
        delta = sum(bar.buy - bar.sell for bar in bars)
        assert raw(tree, "volume_delta", window) == pytest.approx(delta, rel=1e-6)


def test_price_momentum_from_the_bars(seen: tuple[Tree, Detail]) -> None:
    """Log return over the window / root mean square of the 60 window returns before it."""
    tree, detail = seen
    moves = [math.log(bar.close / bar.open) for bar in detail.bars[-61:]]
    usual = math.sqrt(sum(x * x for x in moves[:-1]) / 60)
    assert raw(tree, "price_momentum", "1m") == pytest.approx(moves[-1] / usual, rel=1e-6)


def test_percentile_rank_from_the_bars(seen: tuple[Tree, Detail]) -> None:
    """(p(r) + p(d)) / 2 - 0.5, p = share of the 60 windows before below the current one."""
    tree, detail = seen
    bars = detail.bars[-61:]
    ranks = []
    for values in ([math.log(b.close / b.open) for b in bars], [b.buy - b.sell for b in bars]):
        *before, now = values
        below = sum(x < now for x in before) + sum(x == now for x in before) / 2
        ranks.append(below / len(before))
    assert raw(tree, "percentile_rank", "1m") == pytest.approx(sum(ranks) / 2 - 0.5, abs=1e-9)


def test_liquidation_imbalance_from_the_map(seen: tuple[Tree, Detail]) -> None:
    """(above - below) / (above + below), estimated liquidations within 5 %."""
    tree, detail = seen
    last = detail.bars[-1].close
    near = [c for c in detail.clusters or () if abs(math.log((c.low + c.high) / 2 / last)) < 0.05]
    above = sum(c.usd for c in near if c.low >= last * 0.999 and c.position == "short")
    below = sum(c.usd for c in near if c.high <= last * 1.001 and c.position == "long")
    shown = raw(tree, "liquidation_imbalance", "1m")
    assert shown == pytest.approx((above - below) / (above + below), rel=1e-6)
