"""Frames of a random market through feed, market, cards and decisions to the picture."""

import json
from collections.abc import Callable
from math import exp
from typing import Any

import numpy as np
import pytest

from engine.clock import NS
from engine.config import MODES, Config
from engine.decision.composite import Composition, compose
from engine.decision.decide import Decision
from engine.decision.timeframes import ABSENT, STEPS
from engine.feeds.feed import Frame
from engine.jobs.report import snapshot_json
from engine.runtime.pipeline import Pipeline

pytestmark = pytest.mark.slow

FED = ("BTCUSDT", "ETHUSDT")
CYCLES = {"scalp": 30, "day": 60, "swing": 300}
GRACE = NS // 4
SIDES = {"LONG": "SHORT", "SHORT": "LONG", "BULLISH": "BEARISH", "BEARISH": "BULLISH"}
# Read venues, symbols, days or outside series that the recording does not hold.
NOT_HEARD = {"dex_whale_net", "dominance_drift", "prior_extremes", "tradfi_confluence"}
# The micro-price weighs with sizes in coins, which differ from notional by the spread.
IN_COINS = {"microprice_tilt"}
# The arithmetic mean of a reciprocal touch is not the reciprocal mean, by the square of the spread.
AT_MID = {"basis_state", "effective_spread"}
# 1 bp slots and price levels are cut at whole multiples of log price, which move with the unit.
ON_A_GRID = {
    *("wall_proximity", "wall_persistence", "stacked_imbalance", "liquidity_authenticity"),
    *("hvn_support", "lvn_slip", "poc_distance", "poc_migration", "value_area_state"),
    "quote_flicker",
}
# A score in 127ths may round the other way; one 127th of one card is worth about 0.005 points.
ROUNDING_POINTS = 0.02

Frames = list[Frame]
Make = Callable[..., Frames]
Play = Callable[[Frames], Any]


def decoded(run: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.snapshots]


def test_every_frame_is_understood_and_every_symbol_alive(base: Any, frames: Frames) -> None:
    tally = base.pipeline.tallies["binance"]
    assert tally.frames == len(frames)
    assert not tally.dropped
    assert not base.pipeline.market.drops
    for symbol in FED:
        listed = base.pipeline.market.listed["binance", symbol]
        assert listed.book.synced
        assert listed.book.gaps == 0


def test_every_card_that_is_fed_moves(base: Any) -> None:
    """A card that reads the same number at every decision measures nothing."""
    decider = base.pipeline.decider
    have = decider.weights["scalp"].can_have[:, 0]
    seen = np.stack([d.raw[:3, :, :2] for d in base.decisions if d.mode == "scalp"])
    low, high = np.fmin.reduce(seen, axis=0), np.fmax.reduce(seen, axis=0)
    moving = np.nan_to_num(high - low).max(axis=(0, 2)) > 0
    heard = {"trades", "bars", "book", "cards"}
    still = [c for n, c in enumerate(decider.cards) if have[n] and not moving[n]]
    # Rare events may not have happened; what needs more than the recording holds is not known.
    usual = [c for c in still if set(c.needs) <= heard and c.scale != "fixed"]
    assert {c.id for c in usual} <= NOT_HEARD
    assert decider.failed == {}


def test_steps_are_ten_seconds_apart_and_run_before_the_first_frame_after_the_grace(
    base: Any, frames: Frames
) -> None:
    first = -(-(frames[0].recv - GRACE) // (10 * NS)) * 10 * NS
    assert base.steps == list(range(first, frames[-1].recv - GRACE + 1, 10 * NS))
    for now, (before, cause) in zip(base.steps, base.causes, strict=True):
        assert before < now + GRACE <= cause


def test_modes_decide_on_their_cycles(base: Any) -> None:
    for mode, every in CYCLES.items():
        for place in range(2):
            found = [d.ts for d in base.decisions if d.mode == mode and d.decision[place]]
            if mode == "swing":
                assert found == [], "an hour's window takes half an hour to fill"
                continue
            first = found[0]
            cycle = [t for t in base.steps if t > first and t % (every * NS) == 0]
            assert found == [first, *cycle]
            decision = next(d for d in base.decisions if d.ts == first and d.mode == mode)
            assert not np.isnan(decision.parts.bias[place])


def test_a_late_symbol_is_decided_at_once_and_disturbs_nobody(
    base: Any, frames: Frames, play_frames: Play
) -> None:
    """ETH is heard of a minute and a half later than BTC."""
    late = frames[0].recv + 87 * NS
    chosen = [f for f in frames if f.symbol == "BTCUSDT" or f.recv > late]
    run = play_frames([f for f in chosen if f.recv < late + 150 * NS])
    for mode in ("scalp", "day"):
        btc, eth = (
            [d.ts for d in run.decisions if d.mode == mode and d.decision[s]] for s in (0, 1)
        )
        assert btc == [d.ts for d in base.decisions if d.mode == mode and d.decision[0]][: len(btc)]
        assert eth[0] > late
        assert all(ts % (CYCLES[mode] * NS) == 0 for ts in eth[1:])
        shown = run.pictures.snapshot(run.steps[-1]).symbols
        assert [shown[s].modes[mode].ts for s in (0, 1)] == [btc[-1], eth[-1]]
    assert any(d.decision[1] and not d.decision[0] for d in run.decisions)


def test_the_first_bias_is_there_within_a_minute_and_a_half(base: Any) -> None:
    for mode, limit in (("scalp", 40), ("day", 90)):
        first = next(d.ts for d in base.decisions if d.mode == mode)
        assert (first - base.steps[0]) / NS <= limit


def test_all_symbols_and_categories_are_there_and_unfed_ones_are_null(
    base: Any, frames: Frames, settings: Config
) -> None:
    shown = snapshot_json(base.last(frames))
    assert list(shown["symbols"]) == [i.id for i in settings.instruments]
    assert len(shown["symbols"]) == 21
    for symbol, state in shown["symbols"].items():
        assert (state["price"] is not None) == (symbol in FED)
        for mode in MODES:
            line = state["modes"][mode]
            assert len(line["categories"]) == 25
            alive = symbol in FED and mode != "swing"
            assert (line["bias"] is not None) == alive
            assert (line["state"] == "NOT_AVAILABLE") != alive
            table = base.pipeline.decider.weights[mode]
            place = base.pipeline.symbols.index(symbol)
            assert line["cards"]["total"] == table.can_have[:, place].sum()
            assert line["confidence"] is line["base_rate"] is None
            assert line["calibrated"] is False
            if not alive:
                contributions = {c["contribution"] for c in line["categories"].values()}
                assert contributions == {None}
                assert line["agreement"] is None


def test_categories_without_cards_are_not_available(base: Any, frames: Frames) -> None:
    found = base.last(frames).symbols[0].modes["scalp"].categories
    for line in found.values():
        assert (line.state != "NOT_AVAILABLE") == (line.score is not None)
        assert (line.contribution is not None) == (line.available > 0)
        assert line.available <= line.total
    fed = {name for name, line in found.items() if line.available}
    assert fed >= {"order_flow", "order_book", "momentum", "volatility"}
    assert not fed & {"options", "on_chain", "tradfi", "defi"}


def test_the_price_is_the_last_trade(base: Any, frames: Frames) -> None:
    last = {}
    for frame in frames:
        payload = json.loads(frame.data)
        if payload.get("stream", "").endswith("aggTrade"):
            last[payload["data"]["s"]] = float(payload["data"]["p"])
    found = {s.id: s.price.last for s in base.last(frames).symbols if s.price.last is not None}
    assert found == last


def test_contributions_and_adjustments_add_up_to_the_bias_in_every_picture(base: Any) -> None:
    checked = 0
    for snapshot in decoded(base):
        for symbol in snapshot["symbols"]:
            for composite in symbol["modes"].values():
                points = [c["contribution"] for c in composite["categories"].values()]
                if composite["bias"] is None:
                    assert not any(p is not None for p in points)
                    continue
                total = sum(p for p in points if p is not None)
                total += sum(composite["adjustments"].values())
                assert total == pytest.approx(composite["bias"], abs=1e-9)
                checked += 1
    assert checked > 100


def test_card_lines_add_up_to_their_category(base: Any) -> None:
    """What detail shows of each card is what the shown bias was made of."""
    for symbol, place in (("BTCUSDT", 0), ("ETHUSDT", 1)):
        readings = base.pictures.detail(symbol, frozenset({"readings"})).readings
        for mode in ("scalp", "day"):
            decision = next(
                d for d in reversed(base.decisions) if d.mode == mode and d.decision[place]
            )
            rows = readings[mode]
            assert len(rows) == len(base.pipeline.decider.cards)
            total = sum(r.contribution for r in rows)
            possible = np.abs(base.pipeline.decider.weights[mode].prior[:, place]).sum()
            context = sum(line[place] for line in decision.context.values())
            whole = decision.parts.total[place]
            assert total / possible + context == pytest.approx(whole, abs=1e-12)
            for r in rows:
                side = np.sign(r.score or 0.0)
                line = side * r.strength * r.confidence * r.weight
                assert line == pytest.approx(r.contribution, abs=1e-12)
                known = [n for n, x in r.scores.items() if x is not None]
                assert all(r.raws[n] is not None for n in known)


def cancelled(base: Any, rest: float) -> Decision:
    """A scalp decision in which order book and order flow cancel but for `rest` of S."""
    decider = base.pipeline.decider
    table = decider.weights["scalp"]
    score = np.full(table.card.shape, ABSENT, dtype=np.int8)
    weight = np.zeros(table.card.shape)
    for sign, category in ((90, "order_flow"), (-90, "order_book")):
        rows = [n for n, c in enumerate(decider.cards) if c.category == category]
        rows = [n for n in rows if table.can_have[n, 0]][:4]
        score[rows] = sign
        weight[rows] = 0.25 * (1.0 - 4 * rest if sign < 0 else 1.0)
    like = next(d for d in base.decisions if d.mode == "scalp")
    kept = type(table)(weight, weight, table.category, table.member, table.can_have)
    sure = np.where(score == ABSENT, 0, STEPS).astype(np.int8)
    parts: Composition = compose(score, sure, np.zeros(score.shape, dtype=bool), kept, 3.0, 5, 0.05)
    names = {f: getattr(like, f) for f in like.__dataclass_fields__}
    return Decision(**{**names, "parts": parts, "decision": ("WAIT",) * 21})


@pytest.mark.parametrize("rest", [0.0, 1e-13, 1e-10, 1e-9, 1e-8])
def test_composites_add_up_even_when_everything_cancels(
    rest: float, base: Any, play_frames: Play, frames: Frames
) -> None:
    run = play_frames(frames[:2])
    decision = cancelled(base, rest)
    assert abs(decision.parts.total[0]) <= 2 * rest + 1e-16
    run.pictures.decided(decision)
    shown = run.pictures.snapshot(decision.ts).symbols[0].modes["scalp"]
    points = [c.contribution for c in shown.categories.values() if c.contribution is not None]
    assert max(points) > 50
    assert sum(points) + sum(shown.adjustments.values()) == pytest.approx(shown.bias, abs=1e-9)


def test_two_runs_are_equal_byte_for_byte(base: Any, frames: Frames, play_frames: Play) -> None:
    assert play_frames(frames).snapshots == base.snapshots


def test_the_future_changes_no_picture_of_the_past(
    base: Any, frames: Frames, play_frames: Play, make_frames: Make
) -> None:
    """Neither its absence nor another one: from the middle on a mirrored, wilder market."""
    middle = len(frames) // 2
    half = play_frames(frames[:middle])
    assert 15 < len(half.steps) < len(base.steps)
    assert half.snapshots == base.snapshots[: len(half.snapshots)]
    until = frames[middle].recv
    seconds = (until - frames[0].recv) // NS + 40
    other = make_frames(factor=exp(11.0), mirrored=True, seconds=seconds, seed=9)
    changed = play_frames(frames[:middle] + [f for f in other if f.recv > until])
    assert changed.snapshots[: len(half.snapshots)] == half.snapshots
    assert len(half.snapshots) < len(changed.snapshots) < len(base.snapshots)
    assert changed.snapshots[-1] != base.snapshots[len(changed.snapshots) - 1]


def compared(base: Any, other: Any, sign: float) -> tuple[float, dict[str, float]]:
    """Largest difference of biases in points, and of each card's window scores."""
    cards = base.pipeline.decider.cards
    place = {card.id: n for n, card in enumerate(cards)}
    partner = [place[c.twin or c.id] if sign < 0 else n for n, c in enumerate(cards)]
    assert [(d.mode, d.ts) for d in base.decisions] == [(d.mode, d.ts) for d in other.decisions]
    points, by_card = 0.0, dict.fromkeys(place, 0.0)
    for a, b in zip(base.decisions, other.decisions, strict=True):
        chosen = [n for n, word in enumerate(a.decision) if word]
        assert chosen == [n for n, word in enumerate(b.decision) if word]
        gap = np.abs(a.parts.bias[chosen] - sign * b.parts.bias[chosen])
        points = max(points, float(np.nanmax(gap)))
        one, two = a.readings.by_window, sign * b.readings.by_window[:, partner]
        np.testing.assert_array_equal(np.isnan(one), np.isnan(two))
        widest = np.nan_to_num(np.abs(one - two)).max(axis=(0, 2))
        by_card = {i: max(by_card[i], float(widest[n])) for i, n in place.items()}
    return points, by_card


def off(by_card: dict[str, float], tolerance: float) -> set[str]:
    return {card for card, gap in by_card.items() if gap > tolerance}


def readers(base: Any) -> set[str]:
    """Cards that read other cards, and with them what those are off by."""
    return {card.id for card in base.pipeline.decider.cards if card.second}


def exempt(base: Any) -> set[str]:
    return {card.id for card in base.pipeline.decider.cards if card.mirror_exempt}


def turned(word: str) -> str:
    head, _, tail = word.rpartition("_")
    return f"{head}_{SIDES.get(tail, tail)}" if head else SIDES.get(tail, tail)


def test_the_mirrored_market_is_the_mirrored_bias(
    base: Any, make_frames: Make, play_frames: Play
) -> None:
    """p -> e^11 / p with notional kept, sides swapped; e^11 keeps slots and levels whole.

    Reached: 0 points. Scores mirror to 1e-6 before rounding, the micro-price's to 3e-4.
    """
    other = play_frames(make_frames(factor=exp(11.0), mirrored=True))
    points, by_card = compared(base, other, -1.0)
    assert points < ROUNDING_POINTS
    apart = IN_COINS | AT_MID | readers(base) | exempt(base)
    assert off(by_card, 1e-6) <= apart
    assert off(by_card, 1e-3) <= readers(base) | exempt(base)
    for a, b in zip(base.decisions, other.decisions, strict=True):
        assert a.decision == tuple(turned(word) for word in b.decision)


def test_the_unit_of_price_changes_no_bias(base: Any, make_frames: Make, play_frames: Play) -> None:
    """Prices x e^7, a whole number of slots and levels, sizes divided by it.

    Reached: 0 points; scores agree to 1e-9 before rounding.
    """
    points, by_card = compared(base, play_frames(make_frames(factor=exp(7.0))), 1.0)
    assert points <= 1e-9
    assert off(by_card, 1e-8) == set()


def test_a_thousandfold_price_moves_only_what_is_cut_at_log_prices(
    base: Any, make_frames: Make, play_frames: Play
) -> None:
    """ln 1000 is no whole number of slots: walls and footprint levels are cut elsewhere.

    All of it from cards that are cut so, and from those that read them.
    """
    _, by_card = compared(base, play_frames(make_frames(factor=1000.0)), 1.0)
    assert off(by_card, 1e-8) <= ON_A_GRID | readers(base)


def test_a_night_between_recordings_takes_no_steps(settings: Config) -> None:
    steps: list[int] = []
    pipeline = Pipeline(settings, {}, on_step=lambda now, _: steps.append(now))
    start = 1_700_000_000 * NS
    pipeline.run_until(start)
    pipeline.run_until(start + 95 * NS)
    assert steps == [start + k * 10 * NS for k in range(10)]
    pipeline.run_until(start + 12 * 3600 * NS)
    assert len(steps) == 10
    assert pipeline.next_due == start + 12 * 3600 * NS + GRACE
