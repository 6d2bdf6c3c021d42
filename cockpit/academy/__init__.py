"""The academy: pages of Markdown beside this module, one a category, a few guides and an index.

A page tells what a card means; how it is computed comes from the card's own docstring and the
registry at run time, so nothing is written twice. Neither textual nor numpy is imported here
before a card is asked for.
"""

import re
from dataclasses import dataclass
from functools import cache
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.cards.card import Card

FOLDER = Path(__file__).parent
INDEX = "index"
GUIDE = "guide-"
EXCERPT = 100
_LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
_MARKS = re.compile(r"\*\*|`|^#+ |^- ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """One file: `intro` is what stands before its cards, for a guide or the index all of it.

    `cards`: text by card id, in the order of the file; Markdown of headings, bold, links, lists
    and code spans.
    """

    name: str
    title: str
    intro: str
    cards: dict[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A card's text and, from its docstring and the registry, how it is computed.

    `notes`: the docstring's paragraphs between formula and sign; `windows`: those it exists in;
    `text`: Markdown, empty where the card has none.
    """

    id: str
    name: str
    category: str
    text: str
    formula: str
    notes: tuple[str, ...]
    sign: str
    units: str
    needs: tuple[str, ...]
    windows: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Hit:
    """Where words were found: `anchor` is a card's id, empty for the page's own text."""

    page: str
    anchor: str
    heading: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Link:
    """`[text](page#anchor)`; the anchor, a card's id, may be empty."""

    text: str
    page: str
    anchor: str


def categories() -> tuple[str, ...]:
    """Ids of the categories that have a page, in the registry's order."""
    from engine.cards.card import CATEGORIES

    there = set(pages())
    return tuple(category.id for category in CATEGORIES if category.id in there)


@cache
def pages() -> tuple[str, ...]:
    """Names of all pages: the index first, then the guides, then the categories by name."""
    names = {path.stem for path in FOLDER.glob("*.md")}
    return tuple(sorted(names, key=lambda n: (n != INDEX, not n.startswith(GUIDE), n)))


@cache
def page(name: str) -> Page:
    """The page of that name; raises KeyError where there is none."""
    if name not in pages():
        raise KeyError(name)
    text = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    head, _, body = text.strip().partition("\n")
    title = head.removeprefix("# ").strip()
    if name == INDEX or name.startswith(GUIDE):
        return Page(name, title, body.strip(), {})
    intro, *sections = re.split(r"^## ", body, flags=re.MULTILINE)
    cards = {}
    for section in sections:
        id, _, words = section.partition("\n")
        if id.strip() in cards:
            raise ValueError(f"{name}.md: two sections {id.strip()}")
        cards[id.strip()] = words.strip()
    return Page(name, title, intro.strip(), cards)


def card(card_id: str) -> Entry:
    """A card's text beside its computed parts; raises KeyError for an id nobody registered."""
    return _entry(_registered()[card_id])


@cache
def _registered() -> dict[str, "Card"]:
    from engine.cards.card import registry

    return {card.id: card for card in registry()}


def _entry(card: "Card") -> Entry:
    from engine.market.view import WINDOWS

    shortest, longest = max(card.spans[0], card.cadence), card.spans[1]
    notes, sign, units = _told(getdoc(card.compute) or "")
    text = page(card.category).cards.get(card.id, "") if card.category in pages() else ""
    return Entry(
        id=card.id, name=card.name, category=card.category, text=text, formula=card.formula,
        notes=notes, sign=sign, units=units, needs=card.needs, source=card.source,
        windows=tuple(w.name for w in WINDOWS if shortest <= w.span <= longest),
    )  # fmt: skip


def _told(doc: str) -> tuple[tuple[str, ...], str, str]:
    """Notes, sign and units of a card's docstring; empty where it has none."""
    parts = [" ".join(part.split()) for part in doc.split("\n\n")]
    signs = [part for part in parts if part.startswith("Sign:")]
    notes = tuple(p for p in parts[1:] if not p.startswith(("Sign:", "Source:")))
    sign, _, units = "".join(signs[:1]).removeprefix("Sign:").partition("Units:")
    return notes, sign.strip(), units.strip()


def links(text: str) -> tuple[Link, ...]:
    """Every link of a text, in order."""
    return tuple(Link(m[1], m[2], m[3] or "") for m in _LINK.finditer(text))


def plain(text: str) -> str:
    """The words of a text without its Markdown."""
    return _MARKS.sub("", _LINK.sub(r"\1", text))


def search(words: str, limit: int = 20) -> list[Hit]:
    """Sections that hold all the words, best first: in a heading, a page's title, then the text.

    Words are matched from their beginning, whatever their case, with or without a plural's s.
    """
    asked = _Asked.of(words)
    if not asked.words:
        return []
    ranks = ((_rank(section, asked), section) for section in _sections())
    found = sorted((pair for pair in ranks if pair[0]), key=lambda pair: -pair[0])
    return [_hit(section, asked) for _, section in found[:limit]]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Words as they were asked for, and the beginnings that they are looked for by."""

    words: tuple[str, ...]
    stems: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "_Asked":
        words = tuple(_bare(text).split())
        return cls(words, tuple(" " + (w[:-1] if w[3:].endswith("s") else w) for w in words))

    @property
    def phrase(self) -> str:
        return " " + " ".join(self.words)

    def weigh(self, line: str) -> float:
        """How much of what was asked a line holds."""
        bare = _bare(line)
        return sum(stem in bare for stem in self.stems) + 0.5 * (self.phrase in bare)

    def place(self, line: str) -> int:
        """Where a line holds it first, the whole before a part."""
        low = line.lower().replace("_", " ")
        places = [low.find(x.strip()) for x in (self.phrase, *self.stems)]
        return next((n for n in places if n >= 0), 0)


@dataclass(frozen=True, slots=True)
class _Section:
    """`bare`: heading, page's title and text, each as `_bare`."""

    page: str
    anchor: str
    heading: str
    text: str
    bare: tuple[str, str, str]

    @classmethod
    def of(cls, page: Page, anchor: str, text: str) -> "_Section":
        heading, words = anchor or page.title, plain(text)
        return cls(page.name, anchor, heading, words, (_bare(heading), _bare(page.title),
                   _bare(words)))  # fmt: skip


@cache
def _sections() -> tuple[_Section, ...]:
    out = []
    for name in pages():
        own = page(name)
        out.append(_Section.of(own, "", own.intro))
        out += [_Section.of(own, id, text) for id, text in own.cards.items()]
    return tuple(out)


def _bare(text: str) -> str:
    """Words in lower case, a blank before each, so that one's beginning is found as ' word'."""
    return "".join(f" {word}" for word in re.findall(r"[^\W_]+", text.lower()))


def _rank(section: _Section, asked: _Asked) -> float:
    """0 where a word is missing."""
    heading, title, text = section.bare
    # Names are written with hyphens where ids are not: Vol Z-Score, vol_zscore.
    same = asked.phrase.replace(" ", "") == heading.replace(" ", "")
    rank = 20.0 * same + 8.0 * (asked.phrase in text)
    for word, stem in zip(asked.words, asked.stems, strict=True):
        own = 20.0 * (same or _named(heading, word, stem))
        own += 5.0 * (stem in title) + min(text.count(stem), 4)
        if not own:
            return 0.0
        rank += own
    # Of two headings that hold the words, the one with little else is meant; a card before a page.
    return rank + 10.0 / (1 + heading.count(" ")) + 5.0 * bool(section.anchor)


def _named(heading: str, word: str, stem: str) -> bool:
    """Whether the heading holds the word, or a short form of it as ids do: basis_trade_opp."""
    return stem in heading or any(
        len(name) > 2 and word.startswith(name) for name in heading.split()
    )


def _hit(section: _Section, asked: _Asked) -> Hit:
    lines = [line for line in section.text.split("\n") if line] or [""]
    named = asked.phrase in section.bare[0]
    best = lines[0] if named else max(lines, key=asked.weigh)
    return Hit(section.page, section.anchor, section.heading, _around(best, asked.place(best)))


def _around(line: str, place: int) -> str:
    """At most EXCERPT characters of a line about a place, cut at words."""
    if len(line) <= EXCERPT:
        return line
    start = line.rfind(" ", 0, max(place - EXCERPT // 4, 0)) + 1
    end = line.rfind(" ", start, start + EXCERPT - 6)
    end = len(line) if len(line) - start <= EXCERPT - 3 else end if end > start else start + 90
    return ("... " if start else "") + line[start:end] + (" ..." if end < len(line) else "")
