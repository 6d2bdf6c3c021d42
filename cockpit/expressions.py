"""Filters of the grid: part of a symbol, or an expression such as `bias > 40 and conf > 60`.

    filter     = term {"or" term}
    term       = factor {"and" factor}
    factor     = "not" factor | "(" filter ")" | comparison | part of a symbol
    comparison = operand op operand {op operand},  op = < <= > >= = !=
    operand    = number | name | mode "." name | "|" name "|" | word

What is unknown is neither greater nor less nor equal: a row passes only where the whole is true,
and `not` of an unknown is unknown.
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from cockpit.widgets import text
from cockpit.widgets.measures import (
    ALIASES,
    NUMBERS,
    WORDS,
    Value,
    Word,
    category_of,
    column_id,
    points_of,
)
from engine.snapshot import MODES, Snapshot, SymbolState

DEEPEST = 40
MOST = 400
UNITS = {"": 1.0, "%": 1.0, "K": 1e3, "M": 1e6, "B": 1e9}
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
TOKEN = re.compile(r"\s*(<=|>=|==|!=|[<>=()|]|\"[^\"]*\"|[+-]?[\w.]+%?)")
NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([%KMB]?)", re.IGNORECASE)
EXAMPLES = (
    ("so or eth", "symbols that contain it"),
    ("bias > 40 and conf > 60", "columns, compared; not, ( )"),
    ("|bias| >= 20", "on either side"),
    ("day.bias < -20 < scalp.bias", "of a mode"),
    ("call = long", "begins so: lean, strong, wait, warming"),
    ("state != conflict", "bullish, bearish, neutral, strong"),
    ("class = meme or age > 15", "age in seconds"),
    ("liq > 1M and fund > 0.01", "in k, M, B; in per cent"),
    ("order_flow > 5", "points of a category, by its id"),
)


def names() -> tuple[str, ...]:
    """What can be compared beside the categories' ids, each by one of its names."""
    return (*NUMBERS, *WORDS)


class Fault(Exception):
    """What is wrong with a filter and where, as one sentence."""


@dataclass(frozen=True)
class Known:
    """What a filter may speak of."""

    symbols: tuple[str, ...]
    categories: tuple[str, ...]

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Known":
        return cls(tuple(s.id for s in snapshot.symbols), tuple(c.id for c in snapshot.categories))

    def number(self, name: str) -> Value | None:
        name = ALIASES.get(name, name)
        if name in NUMBERS:
            return NUMBERS[name]
        category = category_of(name)
        return points_of(category) if category in self.categories else None

    def word(self, name: str) -> Word | None:
        return WORDS.get(ALIASES.get(name, name))

    def is_part(self, word: str) -> bool:
        """Whether it is part of a symbol."""
        return any(contains(id, word) for id in self.symbols)

    @property
    def names(self) -> tuple[str, ...]:
        return (*NUMBERS, *WORDS, *ALIASES, *(column_id(c) for c in self.categories))


def contains(id: str, part: str) -> bool:
    """`do` is part of DOTUSDT, `us` is not: the quote currency is the same everywhere."""
    part = part.upper()
    return part in text.base(id) or id.startswith(part)


@dataclass(frozen=True)
class Part:
    """Symbols that contain a text."""

    text: str

    def passes(self, state: SymbolState, mode: str) -> bool | None:
        return contains(state.id, self.text)


@dataclass(frozen=True)
class Operand:
    """A number, or what is read from a row, in a mode of its own where it has one."""

    number: float | None = None
    read: Value | None = None
    mode: str = ""
    absolute: bool = False

    def value(self, state: SymbolState, mode: str) -> float | None:
        found = self.read(state, self.mode or mode) if self.read else self.number
        return abs(found) if found is not None and self.absolute else found


@dataclass(frozen=True)
class Comparison:
    """Two numbers of which one may be unknown."""

    left: Operand
    op: str
    right: Operand

    def passes(self, state: SymbolState, mode: str) -> bool | None:
        left, right = self.left.value(state, mode), self.right.value(state, mode)
        return None if left is None or right is None else COMPARE[self.op](left, right)


@dataclass(frozen=True)
class Spoken:
    """A word of a row that begins as it is asked for."""

    read: Word
    mode: str
    wanted: str
    equal: bool

    def passes(self, state: SymbolState, mode: str) -> bool | None:
        found = self.read(state, self.mode or mode)
        if found is None:
            return None
        words = _split(found)
        matched = all(any(w.startswith(part) for w in words) for part in _split(self.wanted))
        return matched == self.equal


@dataclass(frozen=True)
class Not:
    node: "Node"

    def passes(self, state: SymbolState, mode: str) -> bool | None:
        found = self.node.passes(state, mode)
        return None if found is None else not found


@dataclass(frozen=True)
class All:
    """`and`: false where one is false, unknown where one is unknown."""

    nodes: "tuple[Node, ...]"

    def passes(self, state: SymbolState, mode: str) -> bool | None:
        found = [node.passes(state, mode) for node in self.nodes]
        return False if False in found else None if None in found else True


@dataclass(frozen=True)
class Any:
    """`or`: true where one is true, unknown where one is unknown."""

    nodes: "tuple[Node, ...]"

    def passes(self, state: SymbolState, mode: str) -> bool | None:
        found = [node.passes(state, mode) for node in self.nodes]
        return True if True in found else None if None in found else False


Node = Part | Comparison | Spoken | Not | All | Any


@lru_cache(maxsize=64)
def parse(said: str, known: Known) -> Node | None:
    """The filter's tree, None of an empty one; raises Fault."""
    return _Parser(said, known).whole() if said.strip() else None


def _split(words: str) -> list[str]:
    return words.lower().replace("_", " ").split()


class _Parser:
    """Recursive descent over the tokens; a token is its text and its column from 1."""

    def __init__(self, said: str, known: Known) -> None:
        self._known = known
        self._tokens = _tokens(said)
        self._at = 0
        self._depth = 0

    @property
    def _now(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _take(self) -> tuple[str, int]:
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, *words: str) -> str:
        """The token that stands here, taken, if it is one of these."""
        return self._take()[0] if self._now and self._now.lower() in words else ""

    def whole(self) -> Node:
        found = self._filter()
        if self._now:
            said, at = self._take()
            raise Fault(f"'{said}' at {at} is too much; join with and, or")
        return found

    def _filter(self) -> Node:
        nodes = [self._term()]
        while self._takes("or"):
            nodes.append(self._term())
        return nodes[0] if len(nodes) == 1 else Any(tuple(nodes))

    def _term(self) -> Node:
        nodes = [self._factor()]
        while self._takes("and"):
            nodes.append(self._factor())
        return nodes[0] if len(nodes) == 1 else All(tuple(nodes))

    def _factor(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Fault(f"too deep; at most {DEEPEST} of ( and not within each other")
        if self._takes("not"):
            found: Node = Not(self._factor())
        elif self._takes("("):
            found = self._filter()
            if not self._takes(")"):
                raise self._missing("a ')' is")
        else:
            found = self._comparison()
        self._depth -= 1
        return found

    def _comparison(self) -> Node:
        if not self._now or self._now.lower() in ("and", "or", ")"):
            raise self._missing("something is")
        first = self._at
        if spoken := self._spoken():
            return spoken
        if not self._followed():
            return self._part()
        left = self._operand()
        nodes: list[Node] = []
        while self._now in COMPARE:
            op = self._take()[0]
            right = self._operand()
            nodes.append(Comparison(left, op, right))
            left = right
        if not nodes:
            raise self._missing(f"a comparison of '{self._tokens[first][0]}' is")
        return nodes[0] if len(nodes) == 1 else All(tuple(nodes))

    def _followed(self) -> bool:
        """Whether an operand and an operator stand here, or would with what is yet to come."""
        after = self._tokens[self._at + 1 : self._at + 2]
        return self._now == "|" or bool(after and after[0][0] in COMPARE)

    def _part(self) -> Node:
        said, at = self._take()
        word = said.strip('"')
        if self._known.is_part(word):
            return Part(word)
        begun = word.lower().rpartition(".")[2]
        if any(name.startswith(begun) for name in (*self._known.names, *MODES)):
            raise Fault(f"'{said}' at {at} is no part of a symbol; compare it, as in bias > 40")
        if len(self._tokens) == 1:
            return Part(word)
        raise Fault(f"'{said}' at {at} is no part of a symbol")

    def _spoken(self) -> Node | None:
        """A comparison of words; None where the name that stands here is not one of a word."""
        mode, name = self._mode(self._now.lower())
        read = self._known.word(name)
        if read is None or not self._followed():
            return None
        said, _ = self._take()
        op, at = self._take()
        if op not in ("=", "==", "!="):
            raise Fault(f"'{op}' at {at}: {said} is a word; use = or !=")
        if not self._now or self._now in COMPARE or self._now in "()|":
            raise self._missing("a word is")
        return Spoken(read, mode, self._take()[0].strip('"'), op != "!=")

    def _operand(self) -> Operand:
        if not self._takes("|"):
            return self._plain()
        found = self._plain()
        if not self._takes("|"):
            raise self._missing("a '|' is")
        return Operand(found.number, found.read, found.mode, absolute=True)

    def _plain(self) -> Operand:
        if not self._now or self._now in COMPARE or self._now in "()|":
            raise self._missing("a number or a name is")
        said, at = self._take()
        if number := NUMBER.fullmatch(said):
            return Operand(float(number[1]) * UNITS[number[2].upper()])
        sign, bare = (-1.0, said[1:]) if said[0] == "-" else (1.0, said.lstrip("+"))
        mode, name = self._mode(bare.lower())
        read = self._known.number(name)
        if read is None or sign < 0:
            raise Fault(f"'{said}' at {at} {self._mend(name, sign)}")
        return Operand(read=read, mode=mode)

    def _mode(self, name: str) -> tuple[str, str]:
        """`day.bias` as a mode and a name; a name alone is of the active mode."""
        mode, dot, rest = name.partition(".")
        return (mode, rest) if dot and mode in MODES else ("", name)

    def _mend(self, name: str, sign: float) -> str:
        if sign < 0:
            return "cannot be turned; put the - before a number"
        if self._known.word(name):
            return f"is a word; write {name} = and a word"
        near = get_close_matches(name, self._known.names, 1)
        return f"is no column and no number; {f'{near[0]}?' if near else '? lists the names'}"

    def _missing(self, what: str) -> Fault:
        if self._at < len(self._tokens):
            said, at = self._tokens[self._at]
            return Fault(f"{what} missing before '{said}' at {at}")
        return Fault(f"{what} missing at the end")


def _tokens(said: str) -> Sequence[tuple[str, int]]:
    out: list[tuple[str, int]] = []
    at, end = 0, len(said.rstrip())
    if end > MOST:
        raise Fault(f"too long; at most {MOST} characters")
    while at < end:
        found = TOKEN.match(said, at)
        if found is None:
            blank = len(said[at:]) - len(said[at:].lstrip())
            raise Fault(f"'{said[at + blank]}' at {at + blank + 1} is not understood")
        out.append((found[1], found.start(1) + 1))
        at = found.end()
    return out
