"""`explain`: a bias down to what it rests on, from the history, a recording or a demo."""

import asyncio
from collections.abc import Callable, Collection
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from msgspec import Struct

from cockpit.instants import moment, read_ago, read_instant, show
from cockpit.settings import APP, Failure, Settings, print_json, start_log
from cockpit.zones import zone
from engine.config import Config
from engine.jobs import explain_text
from engine.jobs.explain import (
    CardPart,
    CategoryPart,
    Explanation,
    Facts,
    Moment,
    explain,
    moved,
    stored,
)
from engine.snapshot import ModeOfData
from engine.store.paths import history_path
from engine.store.reader import Reader

if TYPE_CHECKING:
    from engine.jobs.probe import Probe

NS = 1_000_000_000
# A decision stands until the next one is due; one more cycle is allowed for.
CYCLES = 2


class Asked(Struct, frozen=True):
    """What to explain; `since` is None without --since, '' for the decision before."""

    symbol: str
    mode: str | None
    category: str | None
    card: str | None
    at: str | None
    since: str | None


class Question(Struct, frozen=True, eq=False):
    """The same, read: `since` None is the decision before, `compared` whether it was asked for."""

    config: Config
    symbol: str
    mode: str
    at: Moment
    since: Moment | None
    compared: bool
    tz: tzinfo | None


class Answer(Struct, frozen=True, eq=False):
    """The decision in force at `at`, the one to compare it with, and where they are from."""

    now: Facts | None
    then: Facts | None
    at: int
    newest: int
    mode_of_data: ModeOfData
    origin: str


def explain_stored(settings: Settings, asked: Asked) -> None:
    """Of the history; raises StoreError where there is none, Failure, UsageError."""
    config = settings.load()
    path = settings.db or history_path(config.store)
    tz = zone(config.cockpit.timezone)
    with Reader(path) as reader:
        newest, data = reader.newest(), reader.meta.mode_of_data
        if newest is None:
            raise Failure(f"{path} holds no decision yet; let the cockpit run for a minute")

        def today() -> date:
            return datetime.now(tz).date() if data == "live" else moment(newest, tz).date()

        question = _read(asked, config, reader.symbols(), today)
        at = question.at.before(newest)
        now = stored(reader, question.symbol, question.mode, at)
        then = None
        if now is not None and question.compared:
            before = _before(question, now)
            then = stored(reader, question.symbol, question.mode, before)
    _tell(Answer(now, then, at, newest, data, f"the history {path}"), question, asked, settings)


def explain_replay(settings: Settings, asked: Asked, path: Path) -> None:
    """Of a recording, played up to the instant; raises Failure, UsageError."""
    from engine.jobs.lines import data_files, read_lines
    from engine.jobs.probe import ProbedReplay

    config = settings.load()
    if path.is_dir() and not data_files(path):
        raise Failure(f"{path} holds no recording; name a folder with .zst, .gz or .jsonl files")
    start_log(config)

    def first_day() -> date:
        first = next((line.recv for line in read_lines(path) if line.recv), 0)
        return moment(first, zone(config.cockpit.timezone)).date()

    _check_ids(asked)
    question = _read(asked, config, [entry.id for entry in config.symbols], first_day)
    probe = _probe(question)
    source = ProbedReplay(config, path, probe)
    asyncio.run(source.run())
    problems = source.tally.problems()
    if not source.tally.usable:
        raise Failure(f"{path}: nothing in it could be used; {problems or 'it is empty'}")
    if problems:
        click.echo(f"{APP}: {path}: {problems}", err=True)
    _tell(_answer(question, probe, "replay", f"a replay of {path}"), question, asked, settings)


def explain_demo(settings: Settings, asked: Asked, seed: int, seconds: float) -> None:
    """Of a simulated market of so many `seconds`; raises Failure, UsageError."""
    from engine.jobs.probe import probed_demo
    from engine.sim.market import SCENARIOS
    from engine.sim.market.market import start_of

    config = settings.load()
    start_log(config)
    start, tz = start_of(SCENARIOS["default"]), zone(config.cockpit.timezone)
    symbols = [entry.id for entry in config.symbols]
    _check_ids(asked)
    question = _read(asked, config, symbols, lambda: moment(start, tz).date())
    probe = _probe(question)
    asyncio.run(probed_demo(config, seed, seconds, probe).run())
    origin = f"a demo of {seconds:g} s with seed {seed}"
    _tell(_answer(question, probe, "demo", origin), question, asked, settings)


def _read(asked: Asked, config: Config, symbols: Collection[str],
          today: Callable[[], date]) -> Question:  # fmt: skip
    if asked.card is not None and asked.since is not None:
        raise _wrong("--since compares whole decisions; leave --card out")
    tz = zone(config.cockpit.timezone)
    return Question(
        config=config, symbol=_symbol(asked.symbol, symbols),
        mode=asked.mode or config.cockpit.mode, at=_moment(asked.at or "0s", "--at", tz, today),
        since=_moment(asked.since, "--since", tz, today) if asked.since else None,
        compared=asked.since is not None, tz=tz,
    )  # fmt: skip


def _symbol(said: str, symbols: Collection[str]) -> str:
    """A symbol as the engine names it; a coin alone will do."""
    name = said.upper()
    found = next((x for x in (name, f"{name}USDT") if x in symbols), None)
    if found is None:
        raise _wrong(f"no symbol {said} here; there are {', '.join(symbols) or 'none'}")
    return found


def _moment(text: str, option: str, tz: tzinfo | None, today: Callable[[], date]) -> Moment:
    ago = read_ago(text)
    if ago is not None:
        return Moment(ago=ago)
    try:
        return Moment(ns=read_instant(text, tz, today))
    except ValueError as error:
        raise _wrong(f"{option}: {error}") from None


def _before(question: Question, now: Facts) -> int:
    """The instant to compare with."""
    before = now.ts - 1 if question.since is None else question.since.before(now.ts)
    if before >= now.ts:
        when = show(now.ts, question.tz)
        raise _wrong(f"--since has to lie before the decision explained, which is of {when}")
    return before


def _probe(question: Question) -> "Probe":
    from engine.jobs.probe import Probe

    return Probe(question.symbol, question.mode, question.at, question.since)


def _answer(question: Question, probe: "Probe", data: ModeOfData, origin: str) -> Answer:
    now, then = probe.chosen()
    if now is not None and question.compared:
        _before(question, now)
    at = question.at.before(probe.newest)
    return Answer(now, then, at, probe.newest, data, origin)


def _tell(answer: Answer, question: Question, asked: Asked, settings: Settings) -> None:
    now = _in_force(answer, question)
    if question.compared:
        _tell_change(answer, now, question, asked, bool(settings.json))
        return
    found = explain(now, answer.at, answer.mode_of_data, answer.origin)
    category, card = _category(found, asked.category), _card(found, asked.card)
    if settings.json:
        selected = {"category": category and category.id, "card": card and card.id}
        print_json({**msgspec.to_builtins(found), "selected": selected})
    elif card is not None:
        click.echo(explain_text.card_text(found, card, _instant(question)))
    elif category is not None:
        click.echo(explain_text.category_text(found, category, _instant(question)))
    else:
        click.echo(explain_text.overview(found, _instant(question)))


def _in_force(answer: Answer, question: Question) -> Facts:
    """The decision itself; raises Failure where none stood at that time."""
    every = question.config.modes[question.mode].every * NS
    what, when = f"{question.symbol} {question.mode}", show(answer.at, question.tz)
    if answer.now is None:
        raise Failure(f"no decision of {what} at {when} or before in {answer.origin};"
                      " name a later --at")  # fmt: skip
    if answer.at > answer.newest + CYCLES * every:
        end = show(answer.newest, question.tz)
        raise Failure(f"{answer.origin} ends at {end}; name an --at up to then")
    if answer.at - answer.now.ts > CYCLES * every:
        last = show(answer.now.ts, question.tz)
        raise Failure(f"no decision of {what} stood at {when} in {answer.origin};"
                      f" the last before it is of {last}")  # fmt: skip
    return answer.now


def _tell_change(answer: Answer, now: Facts, question: Question, asked: Asked,
                 as_json: bool) -> None:  # fmt: skip
    if answer.then is None:
        raise Failure(f"no earlier decision of {question.symbol} {question.mode} than that of"
                      f" {show(now.ts, question.tz)}; name a later --at")  # fmt: skip
    moves = moved(now, answer.then, answer.mode_of_data, answer.origin)
    if moves is None:
        raise Failure("one of the two decisions has no bias: too few cards were available;"
                      " name another --at or --since")  # fmt: skip
    category = _category(explain(now, answer.at, answer.mode_of_data, ""), asked.category)
    if as_json:
        print_json(moves)
    else:
        only = None if category is None else category.id
        click.echo(explain_text.moves_text(moves, _instant(question), only))


def _category(found: Explanation, id: str | None) -> CategoryPart | None:
    if id is None:
        return None
    for part in found.categories:
        if _bare(id) in (_bare(part.id), _bare(part.name)):
            return part
    raise _no_category(id, [part.id for part in found.categories])


def _card(found: Explanation, id: str | None) -> CardPart | None:
    if id is None:
        return None
    for category in found.categories:
        for card in category.cards:
            if _bare(id) in (_bare(card.id), _bare(card.name)):
                return card
    raise _no_card(id)


def _check_ids(asked: Asked) -> None:
    """Before a run that takes its time: raises UsageError for an id it cannot have."""
    from engine.cards.card import CATEGORIES, registry

    groups = (
        (asked.category, CATEGORIES, _no_category(str(asked.category), [c.id for c in CATEGORIES])),
        (asked.card, registry(), _no_card(str(asked.card))),
    )
    for id, known, error in groups:
        names = {_bare(name) for one in known for name in (one.id, one.name)}
        if id is not None and _bare(id) not in names:
            raise error


def _no_category(id: str, known: Collection[str]) -> click.UsageError:
    return _wrong(f"no category {id}; there are {', '.join(sorted(known))}")


def _no_card(id: str) -> click.UsageError:
    return _wrong(f"no card {id}; '{APP} cards' lists them")


def _bare(text: str) -> str:
    """What a name and an id have in common: Order Flow, order_flow."""
    return "".join(filter(str.isalnum, text.lower()))


def _instant(question: Question) -> explain_text.Instant:
    return lambda ns: show(ns, question.tz)


def _wrong(sentence: str) -> click.UsageError:
    return click.UsageError(sentence, ctx=click.get_current_context())
