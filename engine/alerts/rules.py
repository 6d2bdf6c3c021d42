"""Rules as pure functions: what was told before and what is now give what is to be told.

A rule that is cooling down forgets nothing: it speaks afterwards if things still stand so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from engine.clock import NS
from engine.config import AlertRule
from engine.snapshot import Composite, FeedHealth, Snapshot, SymbolState, Transition

PRICE_HYSTERESIS = 0.05
BIAS_HYSTERESIS = 5.0
FEED_SECONDS = 30.0
UP = frozenset({"ready", "partial"})

# What a rule is about: symbol or feed, and mode ('' where it is about none).
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Mark:
    """What was last told of one thing.

    `told`: side (+1, -1) or state; `far`: a level was left by the hysteresis since; `seen` a state
    that differs from the told one and stands since `since`; `began`: since when the told one stood;
    `fired`: when an alert was last made (ns, 0 for never). `held`: what happened during a
    cool-down, to be told after it.
    """

    told: int | str
    far: bool = False
    seen: str = ""
    since: int = 0
    began: int = 0
    fired: int = 0
    held: Transition | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """An alert to be made."""

    severity: str
    text: str
    symbol: str | None = None
    mode: str | None = None
    feed: str | None = None


Memory = Mapping[Key, Mark]
Judged = tuple[Mark, Finding | None]


def judge(rule: AlertRule, memory: Memory, snapshot: Snapshot) -> tuple[Memory, list[Finding]]:
    """One rule over the next snapshot: what to remember of each thing, and what to tell."""
    marks, found = dict(memory), []
    judges = {"price": _prices, "bias": _biases, "state": _states, "feed_down": _feeds}
    for key, (mark, finding) in judges.get(rule.rule, _turns)(rule, memory, snapshot):
        marks[key] = mark
        if finding is not None:
            found.append(finding)
    return marks, found


def cross(mark: Mark | None, value: float, level: float, band: float) -> tuple[Mark, bool]:
    """A value against a level, and whether it crossed.

    A crossing counts at the level itself when the value comes from beyond the band, and at the
    band's far edge when it never left the band: neither late nor chattering.
    """
    if mark is None:
        return Mark(told=1 if value >= level else -1, far=abs(value - level) >= band), False
    side = int(mark.told)
    beyond = (value - level) * side
    if beyond >= band and (beyond > 0 or side > 0):
        return replace(mark, far=True), False
    over = beyond < 0 or (beyond == 0 and side < 0)
    if over and (mark.far or -beyond >= band):
        return replace(mark, told=-side, far=-beyond >= band), True
    return mark, False


def stand(mark: Mark, value: str, now: int, seconds: float) -> tuple[Mark, bool]:
    """A state against the told one, and whether another has stood for so long."""
    if value == mark.told:
        return replace(mark, seen="", since=0), False
    if value != mark.seen:
        mark = replace(mark, seen=value, since=now)
    return mark, now - mark.since >= seconds * NS


def cooling(rule: AlertRule, mark: Mark, now: int) -> bool:
    return bool(mark.fired) and now - mark.fired < rule.cooldown * NS


def _wanted(rule: AlertRule, snapshot: Snapshot) -> Iterator[SymbolState]:
    for state in snapshot.symbols:
        if not rule.symbols or state.id in rule.symbols:
            yield state


def _composites(
    rule: AlertRule, snapshot: Snapshot
) -> Iterator[tuple[SymbolState, str, Composite]]:
    """Decided composites with a bias, of the rule's symbols and modes."""
    for state in _wanted(rule, snapshot):
        for mode, composite in state.modes.items():
            if (not rule.modes or mode in rule.modes) and composite.bias is not None:
                yield state, mode, composite


def _crossed(
    rule: AlertRule, before: Mark | None, value: float, band: float, now: int
) -> tuple[Mark, str]:
    """What is remembered of a level, and 'above' or 'below' where that is to be told."""
    mark, over = cross(before, value, float(rule.level or 0.0), band)
    if not over or before is None:
        return mark, ""
    told = rule.direction in ("both", "up" if mark.told == 1 else "down")
    if not told:
        return mark, ""
    if cooling(rule, before, now):
        return before, ""
    return replace(mark, fired=now), "above" if mark.told == 1 else "below"


def _prices(rule: AlertRule, memory: Memory, snapshot: Snapshot) -> Iterator[tuple[Key, Judged]]:
    level = float(rule.level or 0.0)
    share = PRICE_HYSTERESIS if rule.hysteresis is None else rule.hysteresis
    for state in _wanted(rule, snapshot):
        last = state.price.last
        if last is None:
            continue
        key = (state.id, "")
        mark, word = _crossed(rule, memory.get(key), last, level * share / 100, snapshot.step_ts)
        text = f"price {word} {level:,.10g}: {last:,.{state.price.decimals}f}"
        yield key, (mark, Finding(rule.severity, text, symbol=state.id) if word else None)


def _biases(rule: AlertRule, memory: Memory, snapshot: Snapshot) -> Iterator[tuple[Key, Judged]]:
    band = BIAS_HYSTERESIS if rule.hysteresis is None else rule.hysteresis
    for state, mode, composite in _composites(rule, snapshot):
        key, bias = (state.id, mode), float(composite.bias or 0.0)
        mark, word = _crossed(rule, memory.get(key), bias, band, snapshot.step_ts)
        text = f"{mode} bias {word} {rule.level:+g}: {bias:+.1f}"
        yield key, (mark, Finding(rule.severity, text, state.id, mode) if word else None)


def _states(rule: AlertRule, memory: Memory, snapshot: Snapshot) -> Iterator[tuple[Key, Judged]]:
    now = snapshot.step_ts
    for state, mode, composite in _composites(rule, snapshot):
        key, value = (state.id, mode), composite.state
        before = memory.get(key, Mark(told=value))
        mark, stands = stand(before, value, now, rule.seconds or 0.0)
        finding = None
        if stands and rule.states and value not in rule.states:
            mark = Mark(told=value, fired=before.fired)
        elif stands and not cooling(rule, before, now):
            words = (str(word).replace("_", " ").lower() for word in (value, before.told))
            text = f"{mode} state {next(words)}, was {next(words)}"
            mark = Mark(told=value, fired=now)
            finding = Finding(rule.severity, text, state.id, mode)
        yield key, (mark, finding)


def _turns(rule: AlertRule, memory: Memory, snapshot: Snapshot) -> Iterator[tuple[Key, Judged]]:
    """Transitions of this step, and those that waited for the end of a cool-down."""
    new = {_about(t): t for t in snapshot.transitions if _meant(rule, t, snapshot.step_ts)}
    held = {key: mark.held for key, mark in memory.items() if mark.held is not None}
    names = {info.id: info.name for info in snapshot.categories}
    for key, turn in {**held, **new}.items():
        mark = memory.get(key, Mark(told=0))
        if turn.kind == "conflict_ends":
            yield key, _ended(mark, turn, names)
        elif cooling(rule, mark, snapshot.step_ts):
            # The same again within the cool-down is what it is there for.
            again = turn.side == mark.told and turn.kind != "conflict_begins"
            yield key, (replace(mark, held=None if again else turn), None)
        elif key not in new and not _stands(turn, snapshot):
            yield key, (replace(mark, held=None), None)
        else:
            text = _told(turn, names) + _late(snapshot.step_ts - turn.ts)
            made = Finding(rule.severity, text, turn.symbol, turn.mode)
            yield key, (Mark(told=turn.side, began=turn.ts, fired=snapshot.step_ts), made)


def _meant(rule: AlertRule, turn: Transition, now: int) -> bool:
    if turn.ts != now or turn.kind.partition("_")[0] != rule.rule:
        return False
    subject = turn.id in rule.categories if rule.categories else turn.subject == "composite"
    side = rule.direction in ("both", "up" if turn.side > 0 else "down")
    # The end of a conflict is told of whichever side it is on.
    side = side or turn.kind == "conflict_ends"
    chosen = not rule.symbols or turn.symbol in rule.symbols
    return subject and side and chosen and (not rule.modes or turn.mode in rule.modes)


def _about(turn: Transition) -> Key:
    return turn.symbol, f"{turn.mode} {turn.id}".rstrip()


def _stands(turn: Transition, snapshot: Snapshot) -> bool:
    """Whether the subject is still on the side, or in the conflict, that it was then."""
    state = next((s for s in snapshot.symbols if s.id == turn.symbol), None)
    composite = state.modes.get(turn.mode) if state is not None else None
    if composite is None:
        return False
    found = composite if turn.subject == "composite" else composite.categories[turn.id]
    if turn.kind == "conflict_begins":
        return found.state == "CONFLICTED"
    value = found.bias if isinstance(found, Composite) else found.score
    return (value or 0.0) * turn.side > 0


def _ended(mark: Mark, turn: Transition, names: Mapping[str, str]) -> Judged:
    """The end of a conflict: told where its beginning was."""
    if not mark.began:
        return replace(mark, held=None), None
    text = f"{_what(turn, names)} no longer conflicted after {_lasted(turn.ts - mark.began)}"
    return Mark(told=0, fired=mark.fired), Finding("info", text, turn.symbol, turn.mode)


def _told(turn: Transition, names: Mapping[str, str]) -> str:
    unit = 1.0 if turn.subject == "composite" else 100.0
    before, after = (f"{unit * value:+.1f}" for value in (turn.before, turn.after))
    side = "bullish" if turn.side > 0 else "bearish"
    said = {
        "flip": f"flipped to {side}: {before} to {after}",
        "conflict_begins": f"conflicted at {after}",
        "deceleration": f"decelerates: {after} from a peak of {before}",
        "exhaustion": f"exhausted at {after}: order flow fades",
    }
    return f"{_what(turn, names)} {said[turn.kind]}"


def _what(turn: Transition, names: Mapping[str, str]) -> str:
    return f"{turn.mode} {names.get(turn.id, turn.id) or 'bias'}"


def _late(ns: int) -> str:
    return f", {_lasted(ns)} ago" if ns else ""


def _feeds(rule: AlertRule, memory: Memory, snapshot: Snapshot) -> Iterator[tuple[Key, Judged]]:
    now = snapshot.step_ts
    seconds = FEED_SECONDS if rule.seconds is None else rule.seconds
    for name, feed in snapshot.feeds.items():
        value = _fitness(rule, feed)
        if not value or (rule.feeds and name not in rule.feeds):
            continue
        before = memory.get((name, ""), Mark(told="up"))
        mark, stands = stand(before, value, now, seconds if value == "down" else 0.0)
        finding = None
        if stands and value == "up":
            text = f"{name} ready again after {_lasted(now - before.began)}"
            finding = Finding("info", text, feed=name)
            mark = Mark(told="up", fired=before.fired)
        elif stands and not cooling(rule, before, now):
            text = f"{name} {_trouble(feed)} for {_lasted(now - mark.since)}{_why(feed)}"
            finding = Finding(rule.severity, text, feed=name)
            mark = Mark(told="down", began=mark.since, fired=now)
        yield (name, ""), (mark, finding)


def _fitness(rule: AlertRule, feed: FeedHealth) -> str:
    """'up', 'down', or '' where the rule has nothing to say of this state."""
    if feed.state == "off":
        return ""
    if rule.partial:
        return {"ready": "up", "partial": "down"}.get(feed.state, "")
    return "up" if feed.state in UP else "down"


def _trouble(feed: FeedHealth) -> str:
    return feed.state if feed.state in ("partial", "blocked", "limited") else "down"


def _why(feed: FeedHealth) -> str:
    if feed.note:
        return f": {feed.note}"
    short = [f"{kind} {s.ready}/{s.total}" for kind, s in feed.streams.items() if s.ready < s.total]
    return f": {', '.join(short)} ready" if short else ""


def _lasted(ns: int) -> str:
    seconds = ns // NS
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
