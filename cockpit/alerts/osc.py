"""Sequences that make a terminal ring and notify: BEL and OSC 9, through tmux where need be."""

import unicodedata

BEL = "\a"
LONGEST = 200
# Control characters, and those that turn the direction of what follows.
UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain(text: str) -> str:
    """Text that can end no sequence and start none: each unsafe character becomes a space."""
    shown = "".join(" " if unicodedata.category(c) in UNSAFE else c for c in text)
    return " ".join(shown.split())[:LONGEST]


def osc9(text: str, tmux: bool = False) -> str:
    """A desktop notification (OSC 9, iTerm2's); in tmux wrapped for its passthrough.

    tmux passes it on only with `allow-passthrough on`, so there a BEL follows, which marks the
    window in any case. The text must not begin with `4;`, which some terminals read as progress.
    """
    sequence = f"\x1b]9;{plain(text)}{BEL}"
    if not tmux:
        return sequence
    escaped = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{escaped}\x1b\\{BEL}"
