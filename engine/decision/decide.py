"""One engine step: cards over the view, scores, and each mode's decision on its own cycle."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.cards.card import CATEGORIES, Card
from engine.cards.peers import beta_to_leader
from engine.clock import NS
from engine.config import MODES, Config
from engine.decision import composite, context, ladder
from engine.decision.composite import Composition, Weights
from engine.decision.normalise import Lanes, Normaliser, Places
from engine.decision.second import SecondPass
from engine.decision.timeframes import STEPS, Readings, read, scores
from engine.market.view import WINDOWS, Array, View

log = logging.getLogger(__name__)
STEP_S = 10
STEP_NS = STEP_S * NS
# Nothing measured is beyond it; squares of what is would spoil a normaliser for good.
HUGE = 1e150
# Inputs with a history by REST, so that cards needing only these can be warmed from it.
BACKFILLED = frozenset(
    {"bars", "trades", "calendar", "oi", "funding", "ratio", "onchain", "defi", "quotes", "mood"}
)
# Inputs that need no feed.
ALWAYS = frozenset({"cards", "calendar"})
# A card of several venues is as fresh as the second of those that bring the input.
VENUES = "venues"
MOST_BETA = 1.5
# Coverage below which a decision goes no higher than LEAN.
THIN = 0.5
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Decision:
    """What one mode decided at `ts` (ns); arrays over symbols.

    `decision` is '' for a symbol that is not decided at this instant; `raw` (windows, cards,
    symbols) are the measures of the same step. `beta`: to BTC, in 127ths, 0 to 1.5. `context`:
    the lines that bend the bias, in units of S.
    """

    ts: int
    mode: str
    parts: Composition
    readings: Readings
    raw: Array
    conviction: Array
    agreement: Array
    windows: Array
    decision: tuple[str, ...]
    state: tuple[str, ...]
    category_state: tuple[tuple[str, ...], ...]
    beta: Array
    context: dict[str, Array]


class Decider:
    """Holds what decisions remember: normalisers, the decision before, the weights in force.

    `fed`: inputs that an enabled feed provides, per symbol; a card whose needs are not all fed
    is one the symbol cannot have.
    """

    def __init__(self, config: Config, cards: Sequence[Card],
                 fed: Mapping[str, frozenset[str]]) -> None:  # fmt: skip
        self.config = config
        self.cards = tuple(cards)
        self.symbols = tuple(i.id for i in config.instruments)
        self.lanes = Lanes(config, self.cards)
        self.normaliser = Normaliser(self.lanes, self.cards, len(self.symbols))
        self.second = SecondPass(self.lanes, self.cards, len(self.symbols))
        self.beta = np.ones(len(self.symbols))
        self.fed: Mapping[str, frozenset[str]] = {}
        self.feed(fed)
        nobody = ("",) * len(self.symbols)
        # Card -> how it last failed; it is not available from there on, as often as it does.
        self.failed: dict[str, str] = {}
        self._words: dict[str, tuple[str, ...]] = dict.fromkeys(MODES, nobody)
        self.readings: dict[str, Readings] = {}
        self.raw: Array = np.full((len(WINDOWS), len(self.cards), len(self.symbols)), np.nan)
        self._backfilled = _chosen(self.cards, lambda c: set(c.needs) <= BACKFILLED)
        self._first = _chosen(self.cards, lambda c: not c.second)
        self._gates = _Gates(self.cards)
        self._level = np.array([card.level for card in self.cards], dtype=bool)
        self._market_wide = np.array([card.scope == "market" for card in self.cards], dtype=bool)

    def feed(self, fed: Mapping[str, frozenset[str]]) -> None:
        """Take in which inputs each symbol can have; that decides which cards it can have."""
        if fed == self.fed:
            return
        self.fed = fed
        self.can_have = self._possible(fed)
        self.weights = {
            mode: self._weights(mode, lanes)
            for mode, lanes in zip(MODES, self.lanes.slices, strict=True)
        }

    def _possible(self, fed: Mapping[str, frozenset[str]]) -> Mask:
        return np.array(
            [[set(inputs_of(card)) <= fed.get(symbol, frozenset()) | ALWAYS
              and symbol != card.lacks
              for symbol in self.symbols]
             for card in self.cards], dtype=bool
        )  # fmt: skip

    def _weights(self, mode: str, lanes: slice) -> Weights:
        config = self.config
        can_have = self.can_have & np.logical_or.reduce(self.lanes.exists[lanes])[:, None]
        priors = [config.class_priors.get(i.group, {}) for i in config.instruments]
        category = np.array(
            [[config.category_weight(c.id, mode) * prior.get(c.id, 1.0) for prior in priors]
             for c in CATEGORIES]
        )  # fmt: skip
        member = np.array(
            [[float(card.category == c.id) for card in self.cards] for c in CATEGORIES]
        )
        card = np.array([c.prior for c in self.cards])
        weight = composite.spread_weights(category, card, member, can_have)
        own = np.array([_is_own(card) for card in self.cards], dtype=bool)
        return Weights(card=weight, prior=weight, category=category, member=member,
                       can_have=can_have, own=own)  # fmt: skip

    def fresh_normaliser(self) -> Normaliser:
        """An empty one of the same lanes, for `warm`."""
        return Normaliser(self.lanes, self.cards, len(self.symbols))

    def warm(self, normaliser: Normaliser, view: View, seconds: float) -> None:
        """Show it the candle-fed cards of a past instant, one window; decides nothing."""
        (window,) = view.windows
        raw = self._compute(view, self._backfilled)[0, self._backfilled]
        place = WINDOWS.index(window)
        normaliser.update_window(place, self._backfilled, raw, view.now, seconds)

    def step(self, view: View, ages: Mapping[str, Array]) -> list[Decision]:
        """Take one step; returns the decisions that were due, shortest mode first.

        `ages`: input -> seconds since its last data per symbol, NaN where there was none.
        """
        self.raw = self._compute(view, self._first)
        by_lane = scores(self.normaliser.update(self.raw, view.now, STEP_S))
        fresh = self._freshness(ages)
        self._read(by_lane, fresh)
        second = self.second
        own = second.lanes(view, self.readings, self.weights, self._fails)
        self._second_raw = own
        again = self.normaliser.update_cards(second.cards, own, view.now, STEP_S)
        by_lane[:, second.cards] = scores(again)
        self._read(by_lane, fresh)
        if self._market_wide.any():
            self.beta = _beta(view)
        made = []
        for mode, weights in zip(MODES, self.lanes.weights, strict=True):
            readings = self.readings[mode]
            due = self._due(mode, readings, view.now)
            if due.any():
                made.append(self._decide(mode, readings, weights, due, view))
        return made

    def _read(self, by_lane: Array, fresh: Array) -> None:
        enough = self.normaliser.sufficiency()
        for mode, lanes, weights in zip(MODES, self.lanes.slices, self.lanes.weights, strict=True):
            self.readings[mode] = read(by_lane[lanes], enough[lanes], weights, fresh, self._level,
                                       self.config.decision.dead_band)  # fmt: skip

    def raw_of(self, mode: str) -> Array:
        """The step's measures as that mode reads them, (windows, cards, symbols)."""
        lanes = self.lanes.slices[MODES.index(mode)]
        out = self.raw.copy()
        windows = np.array(self.lanes.window[lanes])
        out[windows[:, None], self.second.cards] = self._second_raw[lanes]
        return out

    def table(self, mode: str) -> Weights:
        """The mode's weights, those of market-wide cards by each symbol's beta to BTC."""
        table = self.weights[mode]
        scaled = np.where(self._market_wide[:, None], self.beta, 1.0)
        return replace(table, card=table.card * scaled)

    def _due(self, mode: str, readings: Readings, now: int) -> Mask:
        """Symbols to decide: all that ever had a bias on the mode's cycle, others once they do."""
        rules, table = self.config.decision, self.weights[mode]
        begun = np.array([word != "" for word in self._words[mode]])
        on_cycle = now % (self.config.modes[mode].every * NS) == 0
        first = composite.enough(readings.score, table, rules.min_cards, rules.min_coverage)
        return np.where(begun, on_cycle, first)

    def _compute(self, view: View, chosen: Places) -> Array:
        """Raw measures of the chosen cards, (windows, cards, symbols); NaN for the others."""
        out = np.full((len(view.windows), len(self.cards), len(self.symbols)), np.nan)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for place in chosen:
                try:
                    out[:, place] = self.cards[place].compute(view)
                except Exception as error:
                    # One card less is no reason to stop all the others.
                    self._fails(self.cards[place], error)
        out[~(np.abs(out) < HUGE)] = np.nan
        return out

    def _fails(self, card: Card, error: Exception) -> None:
        if card.id not in self.failed:
            log.exception("card %s", card.id)
        self.failed[card.id] = f"{type(error).__name__} {error}".strip()

    def _freshness(self, ages: Mapping[str, Array]) -> Array:
        """1 up to the input's silence limit, falling to 0 at three times it; least of its needs."""
        limits = self.config.freshness
        unknown = np.full(len(self.symbols), np.nan)
        fresh = np.ones((len(self._gates.needs) + 1, len(self.symbols)))
        for place, need in enumerate(self._gates.needs):
            limit = limits.get(need.removeprefix(f"{VENUES}:"), 60.0)
            value = np.clip((3 * limit - ages.get(need, unknown)) / (2 * limit), 0.0, 1.0)
            fresh[place] = np.nan_to_num(value)
        return np.where(self.can_have, fresh[self._gates.of_card].min(axis=1), 0.0)

    def _decide(self, mode: str, readings: Readings, weights: Array, due: Mask,
                view: View) -> Decision:  # fmt: skip
        rules, gain = self.config.decision, self.config.modes[mode].gain
        table = self.table(mode)
        lines = context.lines(view, readings, table, self.cards, self.beta, rules.regime)
        parts = composite.compose(readings.score, readings.confidence, readings.conflicted, table,
                                  gain, rules.min_cards, rules.min_coverage, lines)  # fmt: skip
        windows = composite.window_bias(readings, table, gain)
        agreement, conflicted, side = composite.window_agreement(
            parts.bias, windows, weights, rules.dead_band
        )
        capped = conflicted | (parts.coverage < THIN)
        before = self._words[mode]
        words = tuple(
            ladder.climb(float(bias), old or ladder.WAIT, rules.ladder, rules.hysteresis,
                         rules.edges, None, bool(cap)) if chosen else ""
            for bias, old, cap, chosen in zip(parts.bias, before, capped, due, strict=True)
        )  # fmt: skip
        self._words[mode] = tuple(new or old for new, old in zip(words, before, strict=True))
        return Decision(
            ts=view.now,
            mode=mode,
            parts=parts,
            readings=readings,
            raw=self.raw_of(mode),
            beta=self.beta,
            context=lines,
            conviction=composite.conviction(readings, table, parts, rules.state_cuts[0]),
            agreement=agreement,
            windows=side,
            decision=words,
            state=tuple(ladder.states(parts.bias, conflicted, rules.state_cuts)),
            category_state=_category_states(parts, rules.state_cuts),
        )  # fmt: skip


def _is_own(card: Card) -> bool:
    """Whether a card says something of the symbol itself, from data of it."""
    return card.scope != "market" and not card.second and set(card.needs) != {"calendar"}


class _Gates:
    """The inputs whose age gates each card: of several venues, the second freshest counts.

    `of_card` (cards, most needs of a card): places in `needs`; the place after the last one
    stands for what is always fresh.
    """

    def __init__(self, cards: Sequence[Card]) -> None:
        own = [inputs_of(card) for card in cards]
        self.needs = sorted({need for needs in own for need in needs} - ALWAYS)
        place = {need: n for n, need in enumerate(self.needs)}
        self.of_card = np.full((len(cards), max(map(len, own), default=1)), len(place))
        for row, needs in zip(self.of_card, own, strict=True):
            row[: len(needs)] = [place.get(need, len(place)) for need in needs]


def inputs_of(card: Card) -> tuple[str, ...]:
    """What feeds a card; of several venues, `venues:NEED`, the second that tells it counts."""
    if VENUES not in card.needs:
        return card.needs
    return tuple(f"{VENUES}:{need}" for need in card.needs if need != VENUES)


def _chosen(cards: Sequence[Card], which: Callable[[Card], bool]) -> Places:
    return np.array([n for n, card in enumerate(cards) if which(card)], dtype=np.int64)


def _beta(view: View) -> Array:
    """Beta to BTC within 0 and 1.5, as the store keeps it; 1 where it is not known."""
    beta = np.clip(np.nan_to_num(beta_to_leader(view), nan=1.0), 0.0, MOST_BETA)
    return np.rint(beta * STEPS) / STEPS


def _category_states(parts: Composition, cuts: tuple[float, float]) -> tuple[tuple[str, ...], ...]:
    """State of each category for each symbol, [category][symbol]."""
    found = ladder.states(100 * parts.category_score, parts.category_conflicted, cuts)
    return tuple(map(tuple, found))
