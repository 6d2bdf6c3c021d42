"""What pictures, details and alerts remember of decisions, as leaves of the state."""

from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from msgspec import Struct

from engine.alerts.rules import Mark
from engine.alerts.watch import Watch
from engine.config import AlertRule
from engine.decision.composite import Composition
from engine.decision.decide import Decision
from engine.decision.outlook import Outlook
from engine.decision.timeframes import Readings
from engine.runtime.details import Details, Past
from engine.runtime.pictures import HISTORY, Pictures
from engine.runtime.state import Leaf, Leaves
from engine.snapshot import Alert, Composite, Transition

# The kind of an array whose shape is its own.
FREE = np.ndarray
DECISION = "decision"


def of_pictures(pictures: Pictures) -> Leaves:
    """Composites, their histories, transitions, alerts."""
    details = pictures.details
    for mode in pictures._composites:
        yield Leaf(f"composites.{mode}", pictures._composites, mode, list[Composite])
    histories = list[tuple[str, str, list[float | None]]]
    yield Leaf("histories", _Histories(pictures), "kept", histories)
    yield Leaf("transitions", pictures, "_transitions", tuple[Transition, ...])
    for symbol in details._transitions:
        yield Leaf(f"transitions.{symbol}", _Turns(details, symbol), "kept", list[Transition])
    for mode, past in details._past.items():
        yield Leaf(f"decided.{mode}", _Rows(past), "kept", FREE)
        yield Leaf(f"decided.{mode}.times", _Rows(past), "times", list[int])
    yield Leaf("alerts", _Watching(pictures._watch), "kept", Watching)


def decided_at(pictures: Pictures, mode: str) -> int:
    """When a mode last decided, ns; 0 for never."""
    return max((composite.ts for composite in pictures._composites[mode]), default=0)


def forget(pictures: Pictures, mode: str) -> None:
    """What a mode decided is too old to stand; its history stays."""
    composites, decisions = pictures._composites[mode], pictures.details._decisions
    for place in range(len(composites)):
        composites[place] = pictures._undecided(mode, place)
        decisions.pop((mode, place), None)


class _Histories:
    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures

    @property
    def kept(self) -> list[tuple[str, str, list[float | None]]]:
        return [(*key, list(values)) for key, values in self._pictures._history.items()]

    @kept.setter
    def kept(self, known: list[tuple[str, str, list[float | None]]]) -> None:
        self._pictures._history.clear()
        for mode, symbol, values in known:
            self._pictures._history[mode, symbol] = deque(values, maxlen=HISTORY)


class _Turns:
    def __init__(self, details: Details, symbol: str) -> None:
        self._turns = details._transitions[symbol]

    @property
    def kept(self) -> list[Transition]:
        return list(self._turns)

    @kept.setter
    def kept(self, known: list[Transition]) -> None:
        self._turns.clear()
        self._turns.extend(known)


class _Rows:
    """(decisions, 2, symbols): bias and conviction."""

    def __init__(self, past: Past) -> None:
        self._past = past

    @property
    def times(self) -> list[int]:
        return list(self._past._times)

    @times.setter
    def times(self, known: list[int]) -> None:
        self._past._times.clear()
        self._past._times.extend(known)

    @property
    def kept(self) -> np.ndarray:
        past = self._past
        return np.array([*past._rows]).reshape(len(past._rows), 2, past._symbols)

    @kept.setter
    def kept(self, known: np.ndarray) -> None:
        self._past._rows.clear()
        for bias, conviction in known:
            self._past._rows.append((array("d", bias.tolist()), array("d", conviction.tolist())))


class Watching(Struct):
    """What the rules of the config remember; of other rules it says nothing."""

    rules: list[AlertRule]
    memories: list[dict[tuple[str, str], Mark]]
    alerts: tuple[Alert, ...]
    count: int


class _Watching:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    @property
    def kept(self) -> Watching:
        w = self._watch
        return Watching(list(w.rules), [dict(m) for m in w._memories], w.alerts, w._count)

    @kept.setter
    def kept(self, known: Watching) -> None:
        w = self._watch
        w.alerts, w._count = known.alerts, known.count
        if tuple(known.rules) == w.rules:
            w._memories = list(known.memories)


# -- decisions that details show -----------------------------------------------------------


class Plain(Struct):
    """What of a decision is no array; `of`: (mode, place) of the symbols that it stands for."""

    of: list[tuple[str, int]]
    ts: int
    mode: str
    decision: tuple[str, ...]
    state: tuple[str, ...]
    category_state: tuple[tuple[str, ...], ...]
    transitions: tuple[Transition, ...]


class Decisions:
    """The newest decisions as flat tables of arrays, each decision once."""

    def __init__(self, details: Details, names: Iterable[str] | None = None) -> None:
        """Those of `details`, or room for those of a state with these names."""
        self._details = details
        self._tables: dict[str, dict[str, Any]] = {}
        if names is not None:
            for _, number, name in (n.split(".", 2) for n in names if n.startswith("decision.")):
                self._tables.setdefault(number, {})[name] = None
            return
        stands: dict[int, list[tuple[str, int]]] = {}
        for key, decision in details._decisions.items():
            stands.setdefault(id(decision), []).append(key)
        for place, keys in enumerate(stands.values()):
            decision = details._decisions[keys[0]]
            plain = {n: getattr(decision, n) for n in Plain.__struct_fields__ if n != "of"}
            self._tables[str(place)] = {"plain": Plain(of=keys, **plain), **_flat(decision)}

    def leaves(self) -> Leaves:
        for number, table in self._tables.items():
            for name in table:
                kind = Plain if name == "plain" else FREE
                yield Leaf(f"{DECISION}.{number}.{name}", table, name, kind)

    def put_back(self) -> None:
        """Show what was restored; raises TypeError, KeyError for what is no decision."""
        found: dict[tuple[str, int], Decision] = {}
        for table in self._tables.values():
            plain, arrays = table["plain"], {n: x for n, x in table.items() if n != "plain"}
            decision = _decision(plain, arrays)
            found.update(dict.fromkeys(plain.of, decision))
        self._details._decisions.clear()
        self._details._decisions.update(found)


def _flat(record: Any, path: str = "") -> dict[str, np.ndarray]:
    """Every array of a dataclass by its path; those in mappings as `mapping:key`."""
    out: dict[str, np.ndarray] = {}
    for f in fields(record):
        value = getattr(record, f.name)
        if isinstance(value, np.ndarray):
            out[path + f.name] = value
        elif is_dataclass(value):
            out |= _flat(value, f"{path}{f.name}.")
        elif isinstance(value, dict):
            out |= {f"{path}{f.name}:{key}": x for key, x in value.items()}
    return out


def _decision(plain: Plain, arrays: dict[str, np.ndarray]) -> Decision:
    known = {n: getattr(plain, n) for n in Plain.__struct_fields__ if n != "of"}
    return Decision(
        **known, **_own(arrays, ""), context=_mapping(arrays, "context:"),
        parts=Composition(**_own(arrays, "parts."), lines=_mapping(arrays, "parts.lines:")),
        readings=Readings(**_own(arrays, "readings.")),
        outlook=Outlook(**_own(arrays, "outlook.")),
    )  # fmt: skip


def _own(arrays: dict[str, np.ndarray], path: str) -> dict[str, Any]:
    names = {n.removeprefix(path): x for n, x in arrays.items() if n.startswith(path)}
    return {n: x for n, x in names.items() if "." not in n and ":" not in n}


def _mapping(arrays: dict[str, np.ndarray], path: str) -> dict[str, np.ndarray]:
    return {n.removeprefix(path): x for n, x in arrays.items() if n.startswith(path)}
