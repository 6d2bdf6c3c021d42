"""The academy's screen: pages, links, search, back and forward; and the setting of its prose."""

import re
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cockpit import academy
from cockpit.app import CockpitApp
from cockpit.screens.academy import Academy
from cockpit.theme import Look
from cockpit.widgets.prose import MEASURE, Prose, lay, parse, plain
from cockpit.widgets.reader import Reader, contents, found_blocks, page_blocks
from engine.snapshot import Snapshot

SIZES = ((80, 24), (120, 40), (200, 50))
LOOK = Look()
CASES = {
    "academy": (("A",), {}),
    "academy_page": (("A", "o", "o", "o", "o", "o", "o", "tab"), {}),
    "academy_search": (("A", "slash", "c", "v", "d", "enter", "tab"), {}),
    "academy_none": (("A", "slash", "x", "x", "y"), {"glyphs": "ascii"}),
}


def reader(app: CockpitApp) -> Reader:
    return app.screen.query_one(Reader)


def shown(prose: Prose) -> list[str]:
    return ["".join(s.text for cell in line for s in cell) for line in prose.lines]


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("case", CASES)
async def test_screen(case: str, size: tuple[int, int], lab: ModuleType) -> None:
    keys, config = CASES[case]
    app = lab.cockpit(lab.full(), **config)
    async with app.run_test(size=size) as pilot:
        for key in keys:
            await lab.settle(pilot, key)
        text = lab.screen_text(app)
        assert len(text.splitlines()) == size[1]
        lab.compare(f"{case}_{size[0]}x{size[1]}", text)


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_styles(theme: str, lab: ModuleType) -> None:
    app = lab.cockpit(lab.full(), theme=theme)
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "A", "o")
        await lab.settle(pilot, "tab")
        lab.compare(f"styles_academy_{theme}", lab.screen_styles(app, range(1, 23)))


async def test_links_back_and_forward(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "A")
        screen = app.screen
        assert isinstance(screen, Academy)
        links = reader(app).prose.links
        for key, place in (("tab", 0), ("tab", 1), ("shift+tab", 0), ("shift+tab", len(links) - 1),
                           ("tab", 0), ("tab", 1)):  # fmt: skip
            await lab.settle(pilot, key)
            assert screen.here.chosen == place
            y = reader(app).prose.places[place] - reader(app).scroll_offset.y
            assert 0 <= y < reader(app).size.height
        where = reader(app).scroll_offset.y
        await lab.settle(pilot, "enter")
        assert screen.here.page == "guide-volume-imbalance"
        assert reader(app).scroll_offset.y == 0
        await lab.settle(pilot, "pagedown", "pagedown")
        left = reader(app).scroll_offset.y
        await lab.settle(pilot, "left")
        assert (screen.here.page, screen.here.chosen) == ("index", 1)
        assert reader(app).scroll_offset.y == where
        await lab.settle(pilot, "right")
        assert screen.here.page == "guide-volume-imbalance"
        assert reader(app).scroll_offset.y == left
        await lab.settle(pilot, "right", "h", "h")
        assert screen.here.page == "index"
        await lab.settle(pilot, "escape")
        assert app.screen is app.home


async def test_every_page_by_key(lab: ModuleType) -> None:
    """The list goes on with > and back with <, and knows where it is."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "A")
        seen = []
        for _ in contents():
            seen.append(app.screen.here.page)
            assert reader(app).page == seen[-1]
            await lab.settle(pilot, "greater_than_sign")
        assert tuple(seen) == contents()
        assert set(seen) == set(academy.pages())
        assert "▸Meta Signals" in lab.screen_text(app)
        await lab.settle(pilot, "less_than_sign", "less_than_sign")
        assert app.screen.here.page == contents()[-3]


async def test_search(lab: ModuleType) -> None:
    """Typed, kept, followed, gone back to, cleared."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "A", "slash", *"wall")
        hits = academy.search("wall")
        assert f"'wall' in {len(hits)} sections" in lab.screen_text(app)
        await lab.settle(pilot, "enter")
        screen = app.screen
        assert screen.here.words == "wall"
        await lab.settle(pilot, "tab", "tab")
        await lab.settle(pilot, "enter")
        assert (screen.here.page, screen.here.anchor) == (hits[1].page, hits[1].anchor)
        assert screen.filter == ""
        top = reader(app).scroll_offset.y
        assert top == min(reader(app).prose.anchors[hits[1].anchor], reader(app).max_scroll_y)
        await lab.settle(pilot, "left")
        assert (screen.here.words, screen.here.chosen) == ("wall", 1)
        await lab.settle(pilot, "escape")
        assert (screen.here.words, screen.here.page) == ("", "index")
        await lab.settle(pilot, "slash", "c", "v", "d", "enter")
        await lab.settle(pilot, "enter")
        assert screen.here.anchor == academy.search("cvd")[0].anchor
        await lab.settle(pilot, "escape")
        assert app.screen is app.home


async def test_what_is_typed_is_never_markup(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(
            pilot, "A", "slash", "left_square_bracket", "slash", "asterisk", "asterisk"
        )
        assert "Nothing holds '[/**'" in lab.screen_text(app)


async def test_nothing_is_painted_twice(lab: ModuleType) -> None:
    """Data goes on; a page stands still, and a link that is chosen costs two lines at most."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "A")
        await lab.settle(pilot, "o", "tab")
        seen: list[object] = []
        reader(app).refresh = lambda *regions, **_: seen.extend(regions)
        app.source.snapshot = lab.full(phase=1.0, number=8)
        app.paint()
        assert seen == []
        await lab.settle(pilot, "tab")
        assert 1 <= len({region.y for region in seen}) <= 4


async def test_loading_does_not_matter(lab: ModuleType) -> None:
    made: Snapshot = lab.loading()
    app = lab.cockpit(made)
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot, "A")
        assert "The academy explains what stands" in lab.screen_text(app)


@pytest.mark.parametrize("name", academy.pages())
@pytest.mark.parametrize("width", [56, 120])
def test_pages_are_set_whole(name: str, width: int) -> None:
    """Every word of a page, no line too long, every link and anchor in its place."""
    blocks = list(page_blocks(name))
    prose = lay(blocks, width, LOOK)
    lines = shown(prose)
    assert all(len(line) == width for line in lines)
    assert all(len(line.rstrip()) <= MEASURE for line in lines)
    own = academy.page(name)
    text = "\n\n".join([own.intro, *own.cards.values()])
    told = re.sub(r"\s+", "", "".join(lines))
    for paragraph in text.split("\n\n"):
        for line in paragraph.split("\n"):
            words = academy.plain(line).lstrip("#- ")
            assert re.sub(r"\s+", "", words) in told
    assert len(prose.links) == len(prose.places) == text.count("](")
    assert all(link.page in academy.pages() for link in prose.links)
    assert list(prose.places) == sorted(prose.places)
    for link, y in zip(prose.links, prose.places, strict=True):
        assert link.text.split()[0][:30] in lines[y]
    assert list(prose.anchors) == list(own.cards)


@given(st.text("ab []*`#-()\x1b漢", max_size=80), st.integers(12, 100))
@settings(deadline=None)
def test_any_text_keeps_to_its_width(text: str, width: int) -> None:
    """Also a word longer than a line, and Markdown that is none; nothing but marks is lost."""
    for blocks in ([plain(text)], list(parse(text)), list(found_blocks(text or "a"))):
        assert all(len(line) == width for line in shown(lay(blocks, width, LOOK)))
    said = "".join(shown(lay([plain(text)], width, LOOK)))
    cleaned = text.replace("\x1b", " ").replace("漢", "?")
    assert said.replace(" ", "") == cleaned.replace(" ", "")


@given(st.text("ab\n", max_size=40))
def test_runtime_text_is_not_parsed(text: str) -> None:
    marked = f"**{text}** [x](y) `z`"
    prose = lay([plain(marked)], 60, LOOK)
    assert not prose.links
    assert "**" in "".join(shown(prose))
