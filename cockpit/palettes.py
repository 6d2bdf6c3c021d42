"""The colours of each theme, as indices of the 256-colour table.

Never 0-21, which users redefine, save in the tables for 16 colours, which are the terminal's own. A
colour with three numbers stands differently on background, panel and cursor. Whatever carries text
has a contrast of 4.5 on each of them (WCAG 2); `faint` draws lines and the dots of what is missing,
never words. From 1 to 3 `up` and `down` rise in strength, which is contrast.
"""

from dataclasses import dataclass

Spec = dict[str, int | tuple[int, int, int]]
Palette = dict[str, int]

SURFACES = ("background", "panel", "cursor")


def palette(spec: Spec, base: Palette | None = None) -> Palette:
    """Flat: `dim` is the colour on the background, `dim@cursor` another one on the cursor.

    What `spec` leaves out is as in `base`.
    """
    flat = {n: v for n, v in (base or {}).items() if n.partition("@")[0] not in spec}
    for name, value in spec.items():
        first, *others = (value,) if isinstance(value, int) else value
        flat[name] = first
        flat |= {f"{name}@{s}": v for s, v in zip(SURFACES[1:], others, strict=False)}
    return flat


DARK = palette({
    "background": 233, "panel": 234, "cursor": 236,
    "text": 252, "strong": 255, "muted": (248, 248, 249), "dim": (245, 245, 247),
    "faint": (240, 240, 242),
    "up1": 72, "up2": 79, "up3": 122,
    "down1": (138, 138, 174), "down2": (203, 203, 210), "down3": (209, 209, 216),
    "accent": 75, "warn": 179, "error": (204, 204, 211), "live": 72, "replay": 75, "demo": 179,
})  # fmt: skip
LIGHT = palette({
    "background": 231, "panel": 255, "cursor": 195,
    "text": 236, "strong": 232, "muted": 239, "dim": 241, "faint": 247,
    "up1": (28, 23, 23), "up2": 22, "up3": 22, "down1": 95, "down2": 124, "down3": 88,
    "accent": 25, "warn": (130, 94, 94), "error": 160, "live": 28, "replay": 25, "demo": 130,
})  # fmt: skip
# Blue and orange differ for every kind of colour-blindness; all else stays off both.
COLOUR_BLIND = palette(base=DARK, spec={
    "up1": (67, 67, 74), "up2": 75, "up3": 117, "down1": (137, 137, 173), "down2": 208,
    "down3": 214, "accent": 189, "warn": 229, "error": 211, "live": 75, "replay": 189, "demo": 229,
})  # fmt: skip
COLOUR_BLIND_LIGHT = palette(base=LIGHT, spec={
    "up1": 61, "up2": 26, "up3": 24, "down1": 95, "down2": 94, "down3": 88,
    "accent": 232, "warn": 90, "error": 89, "live": 26, "replay": 236, "demo": 90,
})  # fmt: skip
# Brightness says little among 16 colours, and the cursor's row is written in black on white.
DARK_16 = palette({
    "background": 0, "panel": 0, "cursor": 7,
    "text": (7, 7, 0), "strong": (15, 15, 0), "muted": (7, 7, 0), "dim": (7, 7, 0), "faint": 8,
    "up1": (10, 10, 0), "up2": (10, 10, 0), "up3": (10, 10, 0),
    "down1": (9, 9, 1), "down2": (9, 9, 1), "down3": (9, 9, 1),
    "accent": (14, 14, 4), "warn": (11, 11, 5), "error": (9, 9, 1),
    "live": 10, "replay": 14, "demo": 11,
})  # fmt: skip
LIGHT_16 = palette({
    "background": 15, "panel": 15, "cursor": 7,
    "text": 0, "strong": 0, "muted": 0, "dim": 0, "faint": 8,
    "up1": (2, 2, 0), "up2": (2, 2, 0), "up3": (2, 2, 0), "down1": 1, "down2": 1, "down3": 1,
    "accent": 4, "warn": 5, "error": 1, "live": 2, "replay": 4, "demo": 5,
})  # fmt: skip
COLOUR_BLIND_16 = palette(base=DARK_16, spec={
    "up1": (14, 14, 4), "up2": (14, 14, 4), "up3": (14, 14, 4),
    "down1": (11, 11, 1), "down2": (11, 11, 1), "down3": (11, 11, 1),
    "accent": (15, 15, 0), "warn": (13, 13, 5), "error": (13, 13, 5),
    "live": 14, "replay": 15, "demo": 13,
})  # fmt: skip
COLOUR_BLIND_LIGHT_16 = palette(base=LIGHT_16, spec={
    "up1": 4, "up2": 4, "up3": 4, "accent": 0, "error": 5,
    "live": 4, "replay": 0,
})  # fmt: skip


@dataclass(frozen=True)
class Colours:
    """A theme: its table for 256 colours and the one for 16; `dark` tells Textual which it is."""

    full: Palette
    few: Palette
    dark: bool = True


THEMES = {
    "dark": Colours(DARK, DARK_16),
    "light": Colours(LIGHT, LIGHT_16, dark=False),
    "colour-blind": Colours(COLOUR_BLIND, COLOUR_BLIND_16),
    "colour-blind-light": Colours(COLOUR_BLIND_LIGHT, COLOUR_BLIND_LIGHT_16, dark=False),
    "ansi-16": Colours(DARK_16, DARK_16),
}
