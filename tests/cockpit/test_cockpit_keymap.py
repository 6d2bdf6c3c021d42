"""Keys as the config remaps them: refused in one sentence, or told and obeyed everywhere."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from textual.keys import _character_to_key

from cockpit.actions import ACTIONS, BY_ID, FOOTERS
from cockpit.cli import run
from cockpit.keymap import CHARACTERS, NAMED, Keymap, KeymapFault, name_of, shown


def test_names_are_textual_s() -> None:
    """The names are known without importing Textual; here they are held against it."""
    for name, character in CHARACTERS.items():
        assert _character_to_key(character) == name == name_of(character)
    assert len(CHARACTERS) == 94
    assert not set(NAMED) & set(CHARACTERS)


def test_the_registry_s_own_keys_stand_alone() -> None:
    """No key does two things on one screen, and writing the default down changes nothing."""
    chosen = {a.id: a.keys for a in ACTIONS}
    same, default = Keymap(chosen), Keymap()
    for action in ACTIONS:
        assert set(same.of(action.id)) == set(default.of(action.id))


@pytest.mark.parametrize(
    ("chosen", "id", "sentence"),
    [
        ({"puase": "x"}, "puase", "no such action; nearest: pause"),
        ({"zzzzzz": "x"}, "zzzzzz", "no such action; 'config keymap' lists all"),
        ({"pause": "hyper+x"}, "pause", "'hyper+x' is no key; write a character such as ?"),
        ({"pause": "é"}, "pause", "'é' is no key"),
        ({"pause": "ctrl+1"}, "pause", "'ctrl+1' is no key"),
        ({"pause": "ctrl+s"}, "pause", "'ctrl+s' stops the output"),
        ({"pause": "ctrl+c"}, "pause", "'ctrl+c' always leaves the cockpit"),
        ({"pause": "q"}, "pause", "'q' is the key of quit too, and both act on the screen home"),
        ({"zoom_in": ","}, "zoom_in", "needs"),
        ({"pin": "z", "preset": "x z"}, "preset", "'z' is the key of pin too"),
        ({"zoom_in": "n"}, "zoom_in", "'n' is the key of link too, and both act on the screen sym"),
        ({"quit": ""}, "quit", "needs a key"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_one_sentence(
    chosen: dict[str, str], id: str, sentence: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if chosen == {"zoom_in": ","}:
        assert Keymap(chosen).of("zoom_in") == ()
        return
    with pytest.raises(KeymapFault) as caught:
        Keymap(chosen)
    assert caught.value.id == id
    assert caught.value.sentence.startswith(sentence)
    file = tmp_path / "mine.yaml"
    file.write_text(json.dumps({"cockpit": {"keymap": chosen}}), encoding="utf-8")
    for command in (["config", "check"], ["config", "show"], ["config", "keymap"]):
        assert run([*command, "--config", str(file)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"{file}: cockpit.keymap.{id}: {sentence}" in said


@pytest.mark.parametrize(
    ("written", "keys", "told"),
    [
        ("?", ("question_mark",), "?"), ("F2, ctrl+K", ("f2", "ctrl+k"), "F2 ^K"),
        ("Question_Mark ^k", ("question_mark", "ctrl+k"), "? ^K"), ("", (), ""),
        ("comma", ("comma",), ","), ("PageUp", ("pageup",), "PgUp"), ("up", ("up",), "↑"),
        ("x X", ("x", "X"), "x X"), ("shift+tab", ("shift+tab",), "S-Tab"),
    ],
)  # fmt: skip
def test_ways_to_write_a_key(written: str, keys: tuple[str, ...], told: str) -> None:
    free = Keymap({a.id: "" for a in ACTIONS if a.id not in ("quit", "pause")} | {"pause": written})
    assert free.of("pause") == keys
    assert free.shown("pause") == told
    assert shown("ctrl+x") == "^X"


async def test_remapped_keys_are_obeyed_and_told(lab: ModuleType) -> None:
    """In the footer, in help, in the palette; the old key does nothing any more."""
    app = lab.cockpit(lab.full(), keymap={"pause": "ctrl+k", "quit": "Q", "help": "F1", "open": ""})
    async with app.run_test(size=(200, 50)) as pilot:
        await lab.settle(pilot, "p")
        assert "PAUSED" not in lab.screen_text(app)
        await lab.settle(pilot, "ctrl+k")
        foot = lab.screen_text(app).splitlines()[-1]
        assert "PAUSED" in foot
        assert "^K pause" in foot
        assert "Q quit" in foot
        assert "Enter open" not in foot
        await lab.settle(pilot, "f1", *["ctrl+d"] * 1)
        assert "  ^K             hold the picture; data keeps flowing" in lab.screen_text(app)
        await lab.settle(pilot, "f1", "colon", *"pause")
        assert lab.screen_text(app).splitlines()[2].split()[0::9] == ["▸pause"]
        assert lab.screen_text(app).splitlines()[2].rstrip().endswith("^K")
        await lab.settle(pilot, "escape", "q", "Q")
    assert app.return_code == 0


async def test_one_key_may_do_two_things_on_two_screens(lab: ModuleType) -> None:
    """What acts on the grid alone and what acts on a symbol alone never meet."""
    app = lab.cockpit(lab.full(), keymap={"zoom_in": "z", "pin": "z"})
    done: list[str] = []
    app.action_zoom = lambda step: done.append("zoom")  # type: ignore[method-assign]
    app.action_pin = lambda: done.append("pin")  # type: ignore[method-assign]
    async with app.run_test(size=(120, 40)) as pilot:
        await lab.settle(pilot, "z", "enter", "z", "f", "z", "escape", "escape", "z")
    assert done == ["pin", "zoom", "pin"]


def test_the_command_lists_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text('cockpit: {keymap: {pause: "ctrl+k", theme: T}}', encoding="utf-8")
    assert run(["config", "keymap", "--json", "--config", str(file)]) == 0
    told = {one["id"]: one for one in json.loads(capsys.readouterr().out)}
    assert list(told) == list(BY_ID)
    assert told["pause"] == {"id": "pause", "keys": ["ctrl+k"], "default": ["p"],
                             "help": BY_ID["pause"].help}  # fmt: skip
    assert told["theme"]["keys"] == ["T"]
    assert told["theme"]["default"] == []
    assert run(["config", "keymap", "--config", str(file), "--glyphs", "ascii"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["action", "keys", "default", "what", "it", "does"]
    assert len(lines) == len(ACTIONS) + 2
    assert all(line.isascii() for line in lines)
    assert next(line for line in lines if line.startswith("pause")).split()[1:3] == ["^K", "p"]
    assert set(FOOTERS) >= {kind for a in ACTIONS for kind in a.on}
