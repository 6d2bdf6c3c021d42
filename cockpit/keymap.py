"""Which keys do what: the registry's own, or as the config remaps them.

A key is written as its character (`?`), by Textual's name (`question_mark`), or as `ctrl+k`.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING

from cockpit.actions import ACTIONS, BY_ID, FOOTERS, SCREENS, Action

if TYPE_CHECKING:
    from textual.binding import Binding

# Textual's names of keys that write no character, and how they are shown.
NAMED = {
    "up": "↑", "down": "↓", "left": "←", "right": "→", "enter": "Enter", "escape": "Esc",
    "tab": "Tab", "shift+tab": "S-Tab", "backspace": "Bksp", "delete": "Del", "insert": "Ins",
    "home": "Home", "end": "End", "pageup": "PgUp", "pagedown": "PgDn", "space": "Space",
    **{f"f{n}": f"F{n}" for n in range(1, 13)},
}  # fmt: skip
PLAIN = str.maketrans({"↓": "Down", "↑": "Up", "→": "Right", "←": "Left"})
# Names by which Textual departs from Unicode's.
_OWN_NAMES = {
    "solidus": "slash", "reverse_solidus": "backslash", "commercial_at": "at",
    "hyphen_minus": "minus", "plus_sign": "plus", "low_line": "underscore",
}  # fmt: skip
LEAVE = "ctrl+c"
# What terminals keep for themselves, or send for another key.
_TAKEN = {
    "ctrl+s": "stops the output of many terminals", "ctrl+q": "starts the output of many terminals",
    "ctrl+i": "is what terminals send for tab", "ctrl+m": "is what terminals send for enter",
    "ctrl+h": "is what terminals send for backspace", LEAVE: "always leaves the cockpit",
}  # fmt: skip


def name_of(character: str) -> str:
    """Textual's name of the key that writes a character."""
    if character.isalnum():
        return character
    name = unicodedata.name(character).lower().replace("-", "_").replace(" ", "_")
    return _OWN_NAMES.get(name, name)


CHARACTERS = {name_of(c): c for c in map(chr, range(0x21, 0x7F))}


class KeymapFault(ValueError):
    """What is wrong with the keys of one action: `id` as it was written, one sentence."""

    def __init__(self, id: str, sentence: str) -> None:
        super().__init__(f"{id}: {sentence}")
        self.id = id
        self.sentence = sentence


class Keymap:
    """Keys by action; raises KeymapFault where `chosen` (action: keys) cannot be followed."""

    def __init__(self, chosen: Mapping[str, str] | None = None) -> None:
        chosen = chosen or {}
        for id in chosen:
            if id not in BY_ID:
                raise KeymapFault(id, _unknown(id))
        read = {id: tuple(_read(id, keys)) for id, keys in chosen.items()}
        self._keys = {
            a.id: read.get(a.id, tuple(a.keys.split(",")) if a.keys else ()) for a in ACTIONS
        }
        if "quit" in read:
            if not read["quit"]:
                raise KeymapFault("quit", "needs a key; write one, such as q")
            self._keys["quit"] = (*read["quit"], LEAVE)
        for id in read:
            self._check_alone(BY_ID[id], read)

    def _check_alone(self, action: Action, chosen: Mapping[str, object]) -> None:
        """Refuse a key that does something else on one of the action's screens."""
        for other in ACTIONS:
            # Of two that were both chosen, the later one is told.
            if other.id == action.id or (other.id in chosen and _after(other, action, chosen)):
                continue
            both = action.on & other.on
            if both and (shared := set(self._keys[action.id]) & set(self._keys[other.id])):
                screen = next((s for s in SCREENS if s in both), min(both))
                raise KeymapFault(
                    action.id,
                    f"'{shown(min(shared))}' is the key of {other.id} too, and both act on the"
                    f" screen {screen}; give one of them another",
                )

    def of(self, id: str) -> tuple[str, ...]:
        """Textual's names of an action's keys, the first of which is the one to tell."""
        return self._keys[id]

    def shown(self, id: str, plain: bool = False) -> str:
        """An action's keys as they are told; `plain` writes ASCII."""
        said = " ".join(shown(key) for key in self._keys[id] if key != LEAVE)
        return said.translate(PLAIN) if plain else said

    @cached_property
    def hints(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Key and word of what the footer of each kind of screen tells; without a key, nothing."""
        return {
            kind: tuple((shown(self._keys[i][0]), BY_ID[i].hint) for i in ids if self._keys[i])
            for kind, ids in FOOTERS.items()
        }

    def bindings(self) -> list["Binding"]:
        """Textual bindings, one for each action that has a key."""
        from textual.binding import Binding

        return [
            Binding(",".join(self._keys[a.id]), a.action, a.hint or a.help, bool(a.hint), id=a.id)
            for a in ACTIONS
            if self._keys[a.id]
        ]


def shown(key: str) -> str:
    """`^P` of `ctrl+p`, `?` of `question_mark`, `PgDn` of `pagedown`."""
    if key.startswith("ctrl+"):
        return "^" + shown(key.removeprefix("ctrl+")).upper()
    return NAMED.get(key) or CHARACTERS.get(key, key)


def _read(id: str, keys: str) -> Iterator[str]:
    for written in keys.replace(",", " ").split():
        key = _key(written)
        if key is None:
            raise KeymapFault(
                id,
                f"'{written[:40]}' is no key; write a character such as ?, or a name such as f2,"
                " ctrl+k, pagedown, comma",
            )
        if key in _TAKEN and not (key == LEAVE and id == "quit"):
            raise KeymapFault(id, f"'{key}' {_TAKEN[key]}; take another")
        if key != LEAVE:
            yield key


def _key(written: str) -> str | None:
    """Textual's name of a key as a user writes it; None for what is none."""
    if len(written) == 1:
        return name_of(written) if written in CHARACTERS.values() else None
    name = written.lower()
    if name in NAMED or name in CHARACTERS:
        return name
    control = name.removeprefix("ctrl+").removeprefix("^")
    if control != name and len(control) == 1 and control.isascii() and control.isalpha():
        return f"ctrl+{control}"
    return None


def _after(one: Action, other: Action, chosen: Mapping[str, object]) -> bool:
    order = list(chosen)
    return order.index(one.id) > order.index(other.id)


def _unknown(id: str) -> str:
    near = get_close_matches(id.lower(), list(BY_ID), n=3, cutoff=0.5)
    said = f"nearest: {', '.join(near)}; " if near else ""
    return f"no such action; {said}'config keymap' lists all"
