"""Pictures of the screen: whole, well-formed, without a font from elsewhere, the same each time."""

from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from rich.segment import Segment
from rich.style import Style

from cockpit.commands.screenshots import PICTURES, Still, shoot
from cockpit.svg import CELL_W, picture
from cockpit.theme import BRAILLE, DARK, LIGHT, hex_of
from engine.config import CockpitConfig

SVG = "{http://www.w3.org/2000/svg}"
FOLDER = Path(__file__).parents[2] / "screenshots"


@pytest.mark.parametrize("name", PICTURES)
async def test_each_picture_is_of_the_real_app(name: str, lab: ModuleType) -> None:
    size, keys, theme = PICTURES[name]
    source = Still(lab.Fixed(lab.picture("alerts")))
    config = CockpitConfig(theme=theme, timezone="UTC")
    made = await shoot(source, config, size, keys)
    assert made == await shoot(source, config, size, keys)
    tree = ElementTree.fromstring(made)
    words = [node.text or "" for node in tree.iter(f"{SVG}text")]
    assert words.count("DEMO") >= 2
    assert "FINISHED" not in words
    assert "http" not in made.replace("http://www.w3.org/2000/svg", "")
    ground = tree.find(f"{SVG}rect").get("fill")  # type: ignore[union-attr]
    assert ground == hex_of((LIGHT if theme == "light" else DARK)["panel"])


def test_letters_are_text_and_bars_are_shapes() -> None:
    style = Style(color="#ff0000", bgcolor="#000000", bold=True)
    made = picture([[Segment("a<b ━▲⠛ 12", style)]], 11, "x & y")
    tree = ElementTree.fromstring(made)
    found = {node.text: node for node in tree.iter(f"{SVG}text")}
    assert set(found) == {"a<b", "12"}
    assert float(found["a<b"].get("textLength", 0)) == 3 * CELL_W
    assert found["12"].get("class") == "b"
    (shapes,) = tree.findall(f"{SVG}path")
    assert shapes.get("d", "").count("M") == 1 + 1 + 4


def test_the_cockpit_s_own_marks_are_all_drawn() -> None:
    """None of them depends on the viewer's font, letters and points apart."""
    for glyph in BRAILLE.all():
        made = picture([[Segment(glyph, Style(color="#ffffff"))]], 1, "")
        assert ("<text" in made) == (glyph in "·…!"), glyph


def test_the_pictures_of_the_readme_are_there() -> None:
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    for name in PICTURES:
        path = FOLDER / f"{name}.svg"
        assert "DEMO" in path.read_text(encoding="utf-8")
        ElementTree.parse(path)
    shown = {part.partition(")")[0] for part in readme.split("](screenshots/")[1:]}
    assert shown <= {f"{name}.svg" for name in PICTURES}
    assert len(shown) >= 4
