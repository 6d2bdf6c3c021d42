"""Two themes and two glyph sets; `Look` is what a widget draws with.

Every colour is an index of the 256-colour table (never 0-21, which users redefine) and is written
as that index, so a terminal with 256 colours shows exactly what a better one shows; terminals with
16 have palettes of their own. Colour means state, brightness strength.
"""

from dataclasses import dataclass
from functools import cached_property

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.color import Color as TextualColor
from textual.filter import LineFilter
from textual.theme import Theme

Ink = dict[str, Style]

# Names and table indices; up and down rise in strength from 1 to 3.
DARK = {
    "background": 234, "panel": 235, "cursor": 237,
    "text": 252, "strong": 255, "muted": 247, "dim": 243, "faint": 239,
    "up1": 65, "up2": 72, "up3": 79, "down1": 131, "down2": 167, "down3": 209,
    "accent": 75, "warn": 179, "error": 203, "live": 72, "replay": 75, "demo": 179,
}  # fmt: skip
LIGHT = {
    "background": 255, "panel": 254, "cursor": 252,
    "text": 236, "strong": 232, "muted": 240, "dim": 242, "faint": 248,
    "up1": 65, "up2": 29, "up3": 22, "down1": 131, "down2": 160, "down3": 124,
    "accent": 25, "warn": 130, "error": 160, "live": 29, "replay": 25, "demo": 130,
}  # fmt: skip
DARK_16 = {
    "background": 0, "panel": 0, "cursor": 8,
    "text": 7, "strong": 15, "muted": 7, "dim": 7, "faint": 8,
    "up1": 2, "up2": 10, "up3": 10, "down1": 1, "down2": 9, "down3": 9,
    "accent": 14, "warn": 11, "error": 9, "live": 2, "replay": 6, "demo": 3,
}  # fmt: skip
LIGHT_16 = {
    "background": 15, "panel": 15, "cursor": 7,
    "text": 0, "strong": 0, "muted": 8, "dim": 8, "faint": 7,
    "up1": 2, "up2": 2, "up3": 2, "down1": 1, "down2": 1, "down3": 1,
    "accent": 4, "warn": 5, "error": 1, "live": 2, "replay": 4, "demo": 5,
}  # fmt: skip
PALETTES = {("dark", 256): DARK, ("light", 256): LIGHT, ("dark", 16): DARK_16,
            ("light", 16): LIGHT_16}  # fmt: skip
SURFACES = ("background", "panel", "cursor")
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
ASCII = Glyphs(
    none=".", neutral="=", conflict="x", up=("+", "^"), down=("-", "v"),
    arrow_up="^", arrow_down="v", arrow_flat="=", full="#", half_left="-", half_right="-",
    axis="|", rule="-", cursor=">", ellipsis="~", dot="*", warning="!", levels="_.-=^",
)  # fmt: skip
GLYPHS = {"braille": BRAILLE, "ascii": ASCII}


class Look:
    """Inks by surface and the glyphs; `colours` 256, 16, or 0 for bold, dim and reverse alone."""

    def __init__(self, theme: str = "dark", glyphs: str = "braille", colours: int = 256) -> None:
        self.theme = theme
        self.glyphs = GLYPHS[glyphs]
        self.colours = colours
        self.palette = PALETTES[theme, colours or 256]
        self._inks = {(surface, stale): self._ink(surface, stale)
                      for surface in SURFACES for stale in (False, True)}  # fmt: skip

    def ink(self, surface: str = "background", stale: bool = False) -> Ink:
        """Styles by name on a surface; stale ones are dim whatever they mean."""
        return self._inks[surface, stale]

    def _ink(self, surface: str, stale: bool) -> Ink:
        styles = {name: self._style(name, surface) for name in self.palette}
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
        front, back = self.palette[name], self.palette[surface]
        if front == back and name not in SURFACES:
            front = self.palette["dim"]
        return Style(
            color=Color.from_ansi(front),
            bgcolor=Color.from_ansi(back),
            bold=bold or None,
        )

    def _badge(self, name: str) -> Style:
        if not self.colours:
            return Style(bold=True, reverse=True)
        ground, paper = self.palette[name], self.palette["background"]
        return Style(color=Color.from_ansi(paper), bgcolor=Color.from_ansi(ground), bold=True)

    @cached_property
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
            dark=self.theme == "dark",
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
