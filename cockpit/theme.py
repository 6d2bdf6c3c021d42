"""Themes and glyph sets; `Look` is what a widget draws with.

Every colour is written as its index of the 256-colour table, so a terminal with 256 colours shows
exactly what a better one shows; terminals with 16 have palettes of their own. Colour means state,
brightness strength.
"""

from dataclasses import dataclass, replace

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.color import Color as TextualColor
from textual.filter import LineFilter
from textual.theme import Theme

from cockpit.palettes import DARK as DARK
from cockpit.palettes import LIGHT as LIGHT
from cockpit.palettes import SURFACES as SURFACES
from cockpit.palettes import THEMES

Ink = dict[str, Style]
BADGES = ("live", "replay", "demo")
BOLD = frozenset(["strong", "up3", "down3", "error"])


@dataclass(frozen=True)
class Glyphs:
    """Every glyph of the cockpit, each one cell wide; `up` and `down` rise in strength."""

    none: str
    neutral: str
    conflict: str
    up: tuple[str, str]
    down: tuple[str, str]
    arrow_up: str
    arrow_down: str
    arrow_flat: str
    full: str
    half_left: str
    half_right: str
    axis: str
    rule: str
    cursor: str
    ellipsis: str
    dot: str
    warning: str
    levels: str

    @property
    def plain(self) -> bool:
        """Whether nothing but ASCII may be written."""
        return self.ellipsis.isascii()

    def all(self) -> tuple[str, ...]:
        """Each glyph once, for tests and the width probe."""
        parts = [v if isinstance(v, tuple) else (v,) for v in vars(self).values()]
        return tuple(dict.fromkeys(g for part in parts for text in part for g in text))


# Bars of the strip grow from the middle of the cell: dots above it are up, dots below are down.
BRAILLE = Glyphs(
    none="·", neutral="─", conflict="⠶", up=("⠒", "⠛"), down=("⠤", "⣤"),
    arrow_up="▲", arrow_down="▼", arrow_flat="─", full="━", half_left="╸", half_right="╺",
    axis="│", rule="─", cursor="▸", ellipsis="…", dot="●", warning="!", levels="",
)  # fmt: skip
# For fonts whose braille is poor: the cell's upper or lower edge, or half of it.
BLOCK = replace(BRAILLE, conflict="▒", up=("▔", "▀"), down=("▁", "▄"), levels="▁▂▃▄▅▆▇█")
ASCII = Glyphs(
    none=".", neutral="=", conflict="x", up=("+", "^"), down=("-", "v"),
    arrow_up="^", arrow_down="v", arrow_flat="=", full="#", half_left="-", half_right="-",
    axis="|", rule="-", cursor=">", ellipsis="~", dot="*", warning="!", levels="_.-=^",
)  # fmt: skip
GLYPHS = {"braille": BRAILLE, "block": BLOCK, "ascii": ASCII}


class Look:
    """Inks by surface and the glyphs; `colours` 256, 16, or 0 for bold, dim and reverse alone.

    One Look is shared by all widgets and stays the same object when its theme changes, and so do
    the inks it gave away.
    """

    def __init__(self, theme: str = "dark", glyphs: str = "braille", colours: int = 256) -> None:
        self.glyphs = GLYPHS[glyphs]
        self.colours = colours
        self._inks: dict[tuple[str, bool], Ink] = {
            (surface, stale): {} for surface in SURFACES for stale in (False, True)
        }
        self.become(theme)

    def become(self, theme: str) -> None:
        """Change to a theme; what is drawn already must be drawn anew."""
        self.theme = theme
        found = THEMES[theme]
        self.palette = found.few if self.colours == 16 else found.full
        for (surface, stale), ink in self._inks.items():
            ink.update(self._ink(surface, stale))

    def ink(self, surface: str = "background", stale: bool = False) -> Ink:
        """Styles by name on a surface; stale ones are dim whatever they mean."""
        return self._inks[surface, stale]

    def _ink(self, surface: str, stale: bool) -> Ink:
        styles = {name: self._style(name, surface) for name in self.palette if "@" not in name}
        styles |= {name: self._badge(name) for name in BADGES}
        styles["blank"] = self._style("text", surface)
        if stale:
            kept = {name: styles[name] for name in ("warn", "blank", "faint", *BADGES)}
            styles = dict.fromkeys(styles, styles["dim"]) | kept
        return styles

    def _style(self, name: str, surface: str) -> Style:
        bold = name in BOLD
        if not self.colours:
            faded = name in ("dim", "faint", "muted")
            return Style(bold=bold, dim=faded, reverse=surface == "cursor")
        front = self.palette.get(f"{name}@{surface}", self.palette[name])
        return Style(
            color=Color.from_ansi(front),
            bgcolor=Color.from_ansi(self.palette[surface]),
            bold=bold or None,
        )

    def _badge(self, name: str) -> Style:
        if not self.colours:
            return Style(bold=True, reverse=True)
        ground, paper = self.palette[name], self.palette["background"]
        return Style(color=Color.from_ansi(paper), bgcolor=Color.from_ansi(ground), bold=True)

    def textual_theme(self) -> Theme:
        """The same colours for the few widgets that Textual styles itself."""
        colour = {name: hex_of(index) for name, index in self.palette.items()}
        return Theme(
            name=f"blackperp-{self.theme}",
            primary=colour["accent"],
            secondary=colour["accent"],
            accent=colour["accent"],
            warning=colour["warn"],
            error=colour["error"],
            success=colour["up2"],
            foreground=colour["text"],
            background=colour["background"],
            surface=colour["panel"],
            panel=colour["panel"],
            boost=colour["cursor"],
            dark=THEMES[self.theme].dark,
            variables={
                "input-cursor-background": colour["accent"],
                "input-cursor-foreground": colour["background"],
                "input-selection-background": colour["cursor"],
                "screen-selection-background": colour["cursor"],
                "ink": colour["text"],
                "ink-dim": colour["dim"],
            },
        )


def hex_of(index: int) -> str:
    """`#rrggbb` of a colour of the 256-colour table."""
    return Color.from_ansi(index).get_truecolor().hex


class Indexed(LineFilter):
    """Turns the palette's colours, where Textual made them RGB, back into table indices.

    Rich quantises greys one step off; written as an index none is quantised at all.
    """

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._index = {Color.from_ansi(n).get_truecolor(): n for n in look.palette.values()}
        self._known: dict[Style, Style] = {}

    def apply(self, segments: list[Segment], background: TextualColor) -> list[Segment]:
        known, style_of = self._known, self._style
        return [
            Segment(text, style and (known.get(style) or style_of(style)), control)
            for text, style, control in segments
        ]

    def _style(self, style: Style) -> Style:
        if len(self._known) > 4096:
            self._known.clear()
        found = style + Style(color=self._of(style.color), bgcolor=self._of(style.bgcolor))
        self._known[style] = found
        return found

    def _of(self, colour: Color | None) -> Color | None:
        triplet: ColorTriplet | None = colour.triplet if colour else None
        index = self._index.get(triplet) if triplet else None
        return colour if index is None else Color.from_ansi(index)
