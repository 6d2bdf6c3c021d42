"""One engine step: cards over the view, scores, and each mode's decision on its own cycle."""

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.cards.card import CATEGORIES, Card
from engine.cards.peers import beta_to_leader
from engine.clock import NS, finish
from engine.config import MODES, Config
from engine.decision import composite, context, ladder, transitions
from engine.decision.composite import Composition, Weights
from engine.decision.normalise import Lanes, Normaliser, Places
from engine.decision.outlook import Outlook, outlook
from engine.decision.second import SecondPass
from engine.decision.timeframes import STEPS, Readings, each, instead, scores, together
from engine.market.view import WINDOWS, Array, View
from engine.snapshot import Transition

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
UNNAMED_S = 60.0  # the silence limit of an input that the config does not name
MOST_BETA = 1.5
# Coverage below which a decision goes no higher than LEAN.
THIN = 0.5
CARDS_A_SLICE = 16
Mask = NDArray[np.bool_]
T = TypeVar("T")
Slices = Generator[None, None, T]


@dataclass(frozen=True, slots=True)
class Decision:
    """What one mode decided at `ts` (ns); arrays over symbols.

    `decision` is '' for a symbol that is not decided at this instant; `raw` (windows, cards,
    symbols) are the measures of the same step. `beta`: to BTC, in 127ths, 0 to 1.5. `context`:
    the lines that bend the bias, in units of S. `transitions`: what changed since the decision
    before, composites first, then categories, then cards.
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
    outlook: Outlook
    transitions: tuple[Transition, ...] = ()


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
        self._detectors = self._watching()
        self._level = np.array([card.level for card in self.cards], dtype=bool)
        self._market_wide = np.array([card.scope == "market" for card in self.cards], dtype=bool)

    def _watching(self) -> dict[str, transitions.Detector]:
        rules, modes = self.config.decision, self.config.modes
        watched = transitions.subjects([c.id for c in CATEGORIES], [c.id for c in self.cards],
                                       rules.state_cuts, rules.hysteresis)  # fmt: skip
        return {
            mode: transitions.Detector(watched, len(self.symbols), modes[mode].every * NS,
                                       int(modes[mode].lookback / modes[mode].every))
            for mode in MODES
        }  # fmt: skip

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
        return finish(self.steps(view, ages))

    def steps(self, view: View, ages: Mapping[str, Array]) -> Slices[list[Decision]]:
        """The same in slices of some milliseconds."""
        self.raw = yield from self._computing(view, self._first)
        by_lane = scores(self.normaliser.update(self.raw, view.now, STEP_S))
        yield
        fresh = self._freshness(ages)
        own = self._each(by_lane, fresh, slice(None))
        self._together(own)
        yield
        second = self.second
        self._second_raw = second.lanes(view, self.readings, self.weights, self._fails)
        again = scores(
            self.normaliser.update_cards(second.cards, self._second_raw, view.now, STEP_S)
        )
        for mode, others in self._each(again, fresh, second.cards).items():
            own[mode] = instead(own[mode], second.cards, others)
        self._together(own)
        if self._market_wide.any():
            self.beta = _beta(view)
        made = []
        for mode, weights in zip(MODES, self.lanes.weights, strict=True):
            yield
            readings = self.readings[mode]
            due = self._due(mode, readings, view.now)
            if due.any():
                made.append(self._decide(mode, readings, weights, due, view))
        return made

    def _each(self, by_lane: Array, fresh: Array, cards: Places | slice) -> dict[str, Readings]:
        """By mode, the cards of `by_lane` (lanes, these cards, symbols) each by itself."""
        enough, rules = self.normaliser.sufficiency(cards), self.config.decision
        return {
            mode: each(by_lane[lanes], enough[lanes], weights, fresh[cards], rules.dead_band)
            for mode, lanes, weights in zip(MODES, self.lanes.slices, self.lanes.weights,
                                            strict=True)
        }  # fmt: skip

    def _together(self, own: Mapping[str, Readings]) -> None:
        self.readings = {mode: together(own[mode], self._level) for mode in MODES}

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
        return finish(self._computing(view, chosen))

    def _computing(self, view: View, chosen: Places) -> Slices[Array]:
        """The same, a few cards a slice."""
        out = np.full((len(view.windows), len(self.cards), len(self.symbols)), np.nan)
        for some in (chosen[n : n + CARDS_A_SLICE] for n in range(0, len(chosen), CARDS_A_SLICE)):
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                for place in some:
                    try:
                        out[:, place] = self.cards[place].compute(view)
                    except Exception as error:
                        # One card less is no reason to stop all the others.
                        self._fails(self.cards[place], error)
            yield
        out[~(np.abs(out) < HUGE)] = np.nan
        return out

    def _fails(self, card: Card, error: Exception) -> None:
        if card.id not in self.failed:
            log.exception("card %s", card.id)
        self.failed[card.id] = f"{type(error).__name__} {error}".strip()

    def _freshness(self, ages: Mapping[str, Array]) -> Array:
        """1 up to the input's silence limit, falling to 0 at three times it; least of its needs."""
        needs, limits = self._gates.needs, self.config.freshness
        unknown = np.full(len(self.symbols), np.nan)
        fresh = np.ones((len(needs) + 1, len(self.symbols)))
        if needs:
            limit = np.array([[silence_limit(need, limits)] for need in needs])
            age = np.array([ages.get(need, unknown) for need in needs])
            fresh[:-1] = freshness(age, limit)
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
        conviction = composite.conviction(readings, table, parts, rules.state_cuts[0])
        scene = transitions.Scene(view.now, mode, self.symbols, _last_prices(view), agreement,
                                  parts.coverage, conviction)  # fmt: skip
        return Decision(
            ts=view.now,
            mode=mode,
            parts=parts,
            readings=readings,
            raw=self.raw_of(mode),
            beta=self.beta,
            context=lines,
            outlook=outlook(view, parts.bias, self.config.modes[mode].horizon),
            conviction=conviction,
            agreement=agreement,
            windows=side,
            decision=words,
            state=tuple(ladder.states(parts.bias, conflicted, rules.state_cuts)),
            category_state=_category_states(parts, rules.state_cuts),
            transitions=self._changes(scene, due, parts, readings, conflicted),
        )  # fmt: skip

    def _changes(self, scene: transitions.Scene, due: Mask, parts: Composition,
                 readings: Readings, conflicted: Mask) -> tuple[Transition, ...]:  # fmt: skip
        """What changed of composite, categories and cards, all on the scale of a bias."""
        scores = np.where(readings.available, readings.score * (100.0 / STEPS), np.nan)
        values = np.vstack((parts.bias[None], 100 * parts.category_score, scores))
        torn = np.vstack((conflicted[None], parts.category_conflicted, readings.conflicted))
        detector = self._detectors[scene.mode]
        found = detector.update(scene.ts, due, values, torn)
        return transitions.describe(found, detector.watched, scene)


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


def silence_limit(need: str, limits: Mapping[str, float]) -> float:
    """Seconds of silence that an input is allowed, whoever brings it."""
    return limits.get(need.removeprefix(f"{VENUES}:"), UNNAMED_S)


def freshness(age: Array, limit: Array | float) -> Array:
    """1 up to the limit, falling to 0 at three times it; 0 where the age (s) is not known."""
    value = np.clip((3 * limit - age) / (2 * limit), 0.0, 1.0)
    return np.where(value == value, value, 0.0)


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


def _last_prices(view: View) -> Array:
    """Last trades of the reference venue, in quote currency; NaN where none is known."""
    prices: Array = np.exp(view.spans.close[0, -1])
    return prices


def _category_states(parts: Composition, cuts: tuple[float, float]) -> tuple[tuple[str, ...], ...]:
    """State of each category for each symbol, [category][symbol]."""
    found = ladder.states(100 * parts.category_score, parts.category_conflicted, cuts)
    return tuple(map(tuple, found))
