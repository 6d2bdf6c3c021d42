"""Glyphs are one cell, colours survive poorer terminals, drawings tell sign and strength."""

from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import Color, ColorSystem
from rich.segment import Segment

from cockpit.palettes import THEMES
from cockpit.theme import GLYPHS, SURFACES, Look
from cockpit.widgets import marks, text
from cockpit.widgets.columns import layout
from cockpit.widgets.lines import changed_spans
from engine.snapshot import MODES


@pytest.mark.parametrize("name", GLYPHS)
def test_every_glyph_is_one_cell(name: str) -> None:
    for glyph in GLYPHS[name].all():
        assert cell_len(glyph) == 1, glyph
        assert "\ufe0f" not in glyph
    assert all(cell_len(chr(0x2800 + bits)) == 1 for bits in range(256))


def test_ascii_glyphs_are_ascii() -> None:
    assert all(glyph.isascii() for glyph in GLYPHS["ascii"].all())
    spark = marks.sparkline(tuple(range(-50, 50)), 20, GLYPHS["ascii"].levels)
    assert all(glyph.isascii() for glyph, _ in spark)


@pytest.mark.parametrize("name", GLYPHS)
def test_sign_and_absence_are_told_without_colour(name: str) -> None:
    glyphs = GLYPHS[name]
    cells = {
        marks.category(score, state, glyphs)[0]
        for score, state in ((0.1, ""), (0.5, ""), (-0.1, ""), (-0.5, ""), (0.0, ""), (None, ""))
    }
    assert len(cells | {marks.category(0.5, "CONFLICTED", glyphs)[0]}) == 7
    assert len({marks.arrow(d, glyphs)[0] for d in (-1, 0, 1, None)}) == 4


@pytest.mark.parametrize("theme", THEMES)
def test_colours_are_the_table_s(theme: str) -> None:
    """256 colours show what truecolor shows: every ink is an index nobody redefines.

    Or, as is wanted there, one of the 16 that everybody does.
    """
    look = Look(theme)
    if theme == "ansi-16":
        assert max(look.palette.values()) < 16
    else:
        assert min(look.palette.values()) > 21
    for surface in SURFACES:
        for style in look.ink(surface).values():
            for colour in (style.color, style.bgcolor):
                assert colour is not None
                assert colour.downgrade(ColorSystem.EIGHT_BIT) == colour
                assert colour.number in look.palette.values()


@pytest.mark.parametrize("colours", [16, 256])
@pytest.mark.parametrize("theme", THEMES)
def test_what_is_to_be_read_stands_out(theme: str, colours: int) -> None:
    """WCAG contrast of 4.5 for every ink but the faint one, which only draws lines and dots.

    The 16 colours are the terminal's own: those of the table stand for them here.
    """
    look = Look(theme, colours=colours)
    for surface in SURFACES:
        for stale in (False, True):
            for name, style in look.ink(surface, stale).items():
                if name in (*SURFACES, "faint"):
                    continue
                found = contrast(style.color.number, style.bgcolor.number)
                assert found >= 4.5, f"{name} on {surface}: {found:.2f}"


@pytest.mark.parametrize("theme", [t for t in THEMES if t != "ansi-16"])
def test_strength_is_contrast(theme: str) -> None:
    """Brightness means strength, on the dark as on the light; the strongest is bold too."""
    look = Look(theme)
    for surface in SURFACES:
        ink = look.ink(surface)
        for side in ("up", "down"):
            rising = [ink[f"{side}{n}"] for n in "123"]
            found = [contrast(s.color.number, s.bgcolor.number) for s in rising]
            assert found == sorted(found), (surface, side, found)
            assert len(set(rising)) == 3, (surface, side)
            assert [bool(s.bold) for s in rising] == [False, False, True]


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
BLINDNESS = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
               (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
               (-0.011820, 0.042940, 0.968881)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BLINDNESS)
@pytest.mark.parametrize("theme", ["colour-blind", "colour-blind-light"])
def test_sides_differ_for_the_colour_blind(theme: str, kind: str) -> None:
    """What a protanope or deuteranope sees of up is blue, of down yellow, on every surface."""
    for surface in SURFACES:
        ink = Look(theme).ink(surface)
        for n in "123":
            assert blueness(ink[f"up{n}"].color.number, kind) > 0.02, (surface, n)
            assert blueness(ink[f"down{n}"].color.number, kind) < -0.01, (surface, n)


def blueness(index: int, kind: str) -> float:
    """Blue less the mean of red and green, in linear light as it is seen."""
    seen = [sum(a * b for a, b in zip(row, linear(index), strict=True)) for row in BLINDNESS[kind]]
    return seen[2] - (seen[0] + seen[1]) / 2


def linear(index: int) -> tuple[float, ...]:
    parts = (part / 255 for part in Color.from_ansi(index).get_truecolor())
    return tuple(p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)


def contrast(one: int, other: int) -> float:
    """Contrast ratio of two colours of the table, as WCAG 2 defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(index: int) -> float:
    red, green, blue = linear(index)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colours", [16, 256])
@pytest.mark.parametrize("theme", THEMES)
def test_ink_never_sinks_into_the_paper(theme: str, colours: int) -> None:
    """Every ink is seen on every surface, and up is not down."""
    look = Look(theme, colours=colours)
    for surface in SURFACES:
        for stale in (False, True):
            ink = look.ink(surface, stale)
            for name in set(ink) - set(SURFACES) - {"blank"}:
                assert ink[name].color != ink[name].bgcolor, (surface, name)
        ink = look.ink(surface)
        assert not {ink[f"up{n}"] for n in "123"} & {ink[f"down{n}"] for n in "123"}


@pytest.mark.parametrize(("term", "colours"), [("xterm-256color", 256), ("alacritty", 16)])
async def test_terminals_with_few_colours(
    term: str, colours: int, lab: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    app = lab.cockpit(lab.full())
    assert app.look.colours == colours
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        for strip in app.screen._compositor.render_strips():
            for _, style, _ in strip:
                assert {style.color.number, style.bgcolor.number} <= set(app.look.palette.values())


def test_no_colour_has_no_colour() -> None:
    for surface in SURFACES:
        for style in Look(colours=0).ink(surface).values():
            assert style.color is None
            assert style.bgcolor is None
    assert Look(colours=0).ink("cursor")["text"].reverse


async def test_no_color_variable(lab: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        for strip in app.screen._compositor.render_strips():
            for _, style, _ in strip:
                assert style is None or style.color is None or style.color.is_default
                assert style is None or style.bgcolor is None or style.bgcolor.is_default
        assert "▸BTC" in lab.screen_text(app)


@pytest.mark.parametrize("theme", THEMES)
async def test_every_colour_on_screen_is_the_palette_s(theme: str, lab: ModuleType) -> None:
    app = lab.cockpit(lab.full(), theme=theme)
    allowed = set(app.look.palette.values())
    async with app.run_test(size=(200, 50)) as pilot:
        for keys in ((), ("question_mark",), ("slash", "b"), ("escape", "colon", "t"),
                     ("escape", "J")):  # fmt: skip
            await lab.settle(pilot, *keys)
            for strip in app.screen._compositor.render_strips():
                for piece, style, _ in strip:
                    assert style.bgcolor.number in allowed, piece
                    if piece.strip():
                        assert style.color.number in allowed, piece


@given(st.integers(80, 260), st.sampled_from(MODES))
@settings(deadline=None)
def test_columns_fit_and_none_is_lost_when_wider(width: int, mode: str) -> None:
    placed = layout(width, mode)
    assert 1 + sum(size + 1 for _, size in placed) <= width
    assert {"symbol", "price", "change", "decision", "conviction", "arrows", "spark", "age",
            *MODES} <= set(dict(placed))  # fmt: skip
    assert dict(placed)[mode] > 10
    order = [name for name, _ in layout(400, mode)]
    assert [name for name, _ in placed] == [n for n in order if n in dict(placed)]


@given(
    st.one_of(st.none(), st.floats(-120, 120)), st.integers(1, 12), st.sampled_from(list(GLYPHS))
)
@settings(deadline=None)
def test_bar_keeps_its_width_and_side(value: float | None, half: int, name: str) -> None:
    glyphs = GLYPHS[name]
    drawn = "".join(s.text for s in marks.bar(value, half, glyphs, Look().ink()))
    assert len(drawn) == 2 * half + 1
    left, right = drawn[:half].strip(), drawn[half + 1 :].strip()
    assert not (left and right)
    if value is not None and abs(value) >= 100 / half:
        assert bool(right) == (value > 0)


@given(st.lists(st.one_of(st.none(), st.floats(-100, 100)), max_size=90), st.integers(1, 30))
@settings(deadline=None)
def test_sparkline_has_its_width(values: list[float | None], width: int) -> None:
    for levels in ("", GLYPHS["ascii"].levels):
        spark = marks.sparkline(tuple(values), width, levels)
        assert len(spark) == width
        assert all(cell_len(glyph) == 1 for glyph, _ in spark)


CELLS = st.lists(st.text("ab ", min_size=3, max_size=3), min_size=4, max_size=6)


@given(CELLS, CELLS)
@settings(deadline=None)
def test_changed_spans_repaint_all_that_changed(before: list[str], after: list[str]) -> None:
    """Painting the spans alone over the old line gives the new line."""
    width = 20
    lines = [tuple((Segment(part),) for part in parts) for parts in (before, after)]
    shown, wanted = ("".join(parts).ljust(width) for parts in (before, after))
    for x1, x2 in changed_spans(lines[0], lines[1], width):
        assert x1 < x2
        shown = shown[:x1] + wanted[x1:x2] + shown[x2:]
    assert shown == wanted


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (text.price(None, 2), None), (text.price(1234567.891, 2), "1234567.89"),
        (text.percent(None), None), (text.percent(9.999), "+10.0%"), (text.percent(-1e2), "-100%"),
        (text.signed(None), None), (text.signed(-0.2), "0"), (text.signed(0.04, 1), "0.0"),
        (text.usd(None), None), (text.usd(999.7), "1.0k"), (text.usd(12_345_678), "12M"),
        (text.age(None), None), (text.age(0.3), "now"), (text.age(59.9), "59s"),
        (text.age(3600), "1h"), (text.age(1e9), "999d"), (text.clock(0, None), None),
        (text.clean("a\x1b[2J\n漢"), "a [2J ?"), (text.fit("abcdef", 4, "left", "…"), "abc…"),
    ],
)  # fmt: skip
def test_texts(made: str | None, shown: str | None) -> None:
    assert made == shown
