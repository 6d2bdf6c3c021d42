"""The academy: complete, true to the registry, linked, searchable and cheap to import."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit import academy
from engine.cards.card import CATEGORIES, Card, Category, registry
from engine.decision.timeframes import read, scores

PARTS = ("**Measures.** ", "**Read it.** ", "**Misleads.** ", "**Source.** ")
CARD_WORDS = (70, 130)
INTRO_WORDS = (120, 250)
RUN = 8
CARDS = registry()
GUIDES = ("guide-key-terms", "guide-misconceptions", "guide-questions", "guide-volume-imbalance")
OBVIOUS = {
    "funding rate": "funding",
    "cvd": "order_flow",
    "cvd divergence": "order_flow",
    "volume imbalance": "guide-volume-imbalance",
    "rsi": "momentum",
    "liquidation": "liquidation",
    "conviction": "index",
    "misconceptions": "guide-misconceptions",
    "point of control": "volume_profile",
    "spoofing": "composite_alpha",
}


def texts() -> list[tuple[str, str]]:
    """Every page's name and its whole text."""
    found = [(name, academy.page(name)) for name in academy.pages()]
    return [(name, "\n\n".join([page.intro, *page.cards.values()])) for name, page in found]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", academy.plain(text).lower())


def count(text: str) -> int:
    return len(academy.plain(text).split())


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda c: c.id)
def test_every_category_has_its_page_and_no_orphans(category: Category) -> None:
    page = academy.page(category.id)
    assert page.title == category.name
    assert list(page.cards) == [c.id for c in CARDS if c.category == category.id]
    assert INTRO_WORDS[0] <= count(page.intro) <= INTRO_WORDS[1]


@pytest.mark.parametrize("card", CARDS, ids=lambda c: c.id)
def test_every_card_has_its_four_parts(card: Card) -> None:
    text = academy.page(card.category).cards[card.id]
    paragraphs = text.split("\n\n")
    assert len(paragraphs) == len(PARTS)
    for part, paragraph in zip(PARTS, paragraphs, strict=True):
        assert paragraph.startswith(part)
        assert paragraph[len(part) :].rstrip().endswith(".")
    assert CARD_WORDS[0] <= count(text) <= CARD_WORDS[1]


@pytest.mark.parametrize("card", CARDS, ids=lambda c: c.id)
def test_no_text_repeats_its_formula(card: Card) -> None:
    text, formula = words(academy.card(card.id).text), words(card.formula)
    runs = {tuple(formula[n : n + RUN]) for n in range(len(formula) - RUN + 1)}
    assert not runs & {tuple(text[n : n + RUN]) for n in range(len(text) - RUN + 1)}


def test_the_computed_parts_are_the_registry_s() -> None:
    for card in CARDS:
        entry = academy.card(card.id)
        assert entry.formula == card.formula
        assert entry.source == card.source
        assert entry.needs == card.needs
        assert entry.sign
        assert entry.units
        assert entry.windows
        assert entry.text == academy.page(card.category).cards[card.id]


def test_windows_leave_out_those_a_card_cannot_have() -> None:
    assert academy.card("volume_delta").windows == ("10s", "1m", "5m", "1h", "4h", "1d")
    assert academy.card("top_account_ratio").windows == ("5m", "1h", "4h", "1d")


def test_notes_and_units_are_read_from_the_docstring() -> None:
    entry = academy.card("order_flow_imbalance")
    assert entry.notes[0].startswith("A queue change is")
    assert entry.sign == "bids that grow and asks that shrink are bullish."
    assert entry.units == "top-of-book depths."


def test_every_link_leads_somewhere() -> None:
    for name, text in texts():
        for link in academy.links(text):
            target = academy.page(link.page or name)
            assert not link.anchor or link.anchor in target.cards, f"{name}: {link}"
        assert text.count("](") == len(academy.links(text)), name


def test_every_page_is_reached_from_the_index() -> None:
    seen, todo = set(), ["index"]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            page = academy.page(name)
            text = "\n".join([page.intro, *page.cards.values()])
            todo += [link.page for link in academy.links(text) if link.page]
    assert seen == set(academy.pages())


def test_order_flow_leads_to_its_guides() -> None:
    linked = {link.page for link in academy.links(academy.page("order_flow").intro)}
    assert linked >= set(GUIDES)


def test_markdown_is_of_the_plain_kind() -> None:
    odd = re.compile(r"^(\||```|    \S|<|>|#{3,} |\d+\. )|!\[|\*\*\*|https?://", re.MULTILINE)
    for name, text in texts():
        assert not odd.search(text), name
        assert text.count("**") % 2 == 0, name
        assert text.count("`") % 2 == 0, name
        assert max(text) < "\u2100", name


@pytest.mark.parametrize(("asked", "page"), OBVIOUS.items())
def test_search_finds_the_obvious(asked: str, page: str) -> None:
    assert page in [hit.page for hit in academy.search(asked)][:3]


def test_search_puts_the_card_first_that_bears_the_name() -> None:
    for card in CARDS:
        best = academy.search(card.id)[0]
        assert (best.page, best.anchor) == (card.category, card.id)
        assert academy.search(card.id.replace("_", " ").upper())[0] == best
        found = academy.search(card.name)
        assert (card.category, card.id) in [(hit.page, hit.anchor) for hit in found]


def test_search_needs_every_word_and_keeps_its_limit() -> None:
    assert academy.search("volume xyzzy") == []
    assert academy.search("   ") == []
    assert len(academy.search("price", limit=5)) == 5


@given(st.text(max_size=30))
@settings(deadline=None, max_examples=50)
def test_search_takes_anything(asked: str) -> None:
    for hit in academy.search(asked):
        page = academy.page(hit.page)
        assert not hit.anchor or hit.anchor in page.cards
        assert len(hit.excerpt) <= academy.EXCERPT + 8


def test_unknown_names_are_told() -> None:
    for name in ("nothing", "../academy/index", ""):
        with pytest.raises(KeyError):
            academy.page(name)
    with pytest.raises(KeyError):
        academy.card("nothing")


def test_a_section_twice_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twice.md").write_text("# Twice\n\nwords\n\n## a\n\nx\n\n## a\n\ny\n")
    monkeypatch.setattr(academy, "FOLDER", tmp_path)
    monkeypatch.setattr(academy, "pages", lambda: ("twice",))
    with pytest.raises(ValueError, match="two sections a"):
        academy.page("twice")


def test_reading_and_searching_load_neither_textual_nor_numpy() -> None:
    code = (
        "import sys; from cockpit import academy; academy.search('cvd'); academy.page('index');"
        "print([m for m in ('textual', 'numpy', 'engine.cards') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_worked_example_is_what_the_engine_computes() -> None:
    text = academy.page("guide-volume-imbalance").intro
    trades = [(1.2, 94_201), (-0.5, 94_200), (2, 94_205), (0.8, 94_207), (-0.9, 94_203)]
    notional = [size * price for size, price in [*trades, (0.4, 94_210)]]
    buy, sell = sum(x for x in notional if x > 0), -sum(x for x in notional if x < 0)
    delta = buy - sell
    normalised = np.array([delta / 240_000, 900 / 750, 1500 / 3000])
    weights = np.array([0.2, 0.4, 0.4])
    by_window = scores(normalised)[:, None, None]
    samples = np.array([1440.0, 288.0, 30.0])
    reading = read(
        by_window, (samples / (samples + 30))[:, None, None], weights, np.ones((1, 1)),
        np.zeros(1, dtype=bool), 0.05,
    )  # fmt: skip
    score, sure = int(reading.score[0, 0]), int(reading.confidence[0, 0])
    told = [
        *(f"{abs(x):,.0f} USD" for x in notional),
        f"{buy:,.0f} USD and sell volume {sell:,.0f} USD",
        f"{delta:,.0f} USD. As a share of everything traded that is {delta / (buy + sell):.2f}",
        f"{np.log((buy + 5000) / (sell + 5000)):.2f}",
        *(f"{x:.2f} times" for x in normalised),
        *(f"{x:.2f} for the" for x in by_window[:, 0, 0]),
        f"{float(weights @ by_window[:, 0, 0]):.2f}. Kept in steps of 1/127, it is {score}/127",
        f"confidence is {sure / 127:.2f}, kept as {sure}/127",
        f"1/13 = {score / 127 * sure / 127 / 13:.3f}",
    ]
    assert [words for words in told if words not in text] == []
    flow = [c for c in CARDS if c.category == "order_flow"]
    assert [c.prior for c in flow] == [1.0] * 13
    assert reading.agreement[0, 0] == 1
    assert not reading.conflicted[0, 0]
