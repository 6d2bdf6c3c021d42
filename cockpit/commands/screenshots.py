"""`screenshots`: pictures of the real cockpit on the seeded demo, for the README."""

import asyncio
import os
from pathlib import Path

import click
import msgspec

from cockpit.settings import Failure, Settings, apply_color, print_json
from engine.config import CockpitConfig, Config
from engine.snapshot import Detail, Snapshot, SnapshotSource

# name: columns and lines, keys, theme
PICTURES: dict[str, tuple[tuple[int, int], tuple[str, ...], str]] = {
    "grid": ((120, 40), (), "dark"),
    "symbol": ((120, 40), ("enter",), "dark"),
    "card": ((120, 40), ("enter", "enter"), "dark"),
    "map": ((120, 40), ("m", "l"), "dark"),
    "feeds": ((120, 40), ("f",), "dark"),
    "alerts": ((120, 40), ("a",), "dark"),
    "grid-80x24": ((80, 24), (), "dark"),
    "grid-light": ((120, 40), (), "light"),
}


class Still:
    """The end of a run as a source that moves no more; how fast the run was is not in it."""

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source

    def latest(self) -> Snapshot:
        return msgspec.structs.replace(self._source.latest(), finished=False, speed=None)

    def at(self, ns: int) -> Snapshot | None:
        return None

    def detail(self, symbol: str, parts: frozenset[str]) -> Detail:
        return self._source.detail(symbol, parts)


def screenshots(settings: Settings, out: Path, seed: int, seconds: float) -> None:
    """SVG files of every screen in `out`, of a demo `seconds` of its time old; raises Failure."""
    os.environ.pop("NO_COLOR", None)
    # Before the import of Textual, which reads it then.
    apply_color("256")
    config = settings.load()
    try:
        out.mkdir(parents=True, exist_ok=True)
        paths = asyncio.run(_make(config, out, seed, seconds))
    except OSError as error:
        raise Failure(f"{out}: {error.strerror or error}; name another with --out") from None
    if settings.json:
        print_json([str(path) for path in paths])
    else:
        click.echo("\n".join(str(path) for path in paths))


async def _make(config: Config, out: Path, seed: int, seconds: float) -> list[Path]:
    from engine.jobs.demo import Demo

    source = Demo(config, seed=seed, speed=None, seconds=seconds)
    await source.run()
    paths = []
    for name, (size, keys, theme) in PICTURES.items():
        look = msgspec.structs.replace(config.cockpit, theme=theme, glyphs="braille",
                                       timezone="UTC")  # fmt: skip
        path = out / f"{name}.svg"
        path.write_text(await shoot(Still(source), look, size, keys), "utf-8", newline="\n")
        paths.append(path)
    return paths


async def shoot(source: SnapshotSource, config: CockpitConfig, size: tuple[int, int],
                keys: tuple[str, ...]) -> str:  # fmt: skip
    """The real app, without a terminal, after some keys, as SVG."""
    from cockpit.app import CockpitApp
    from cockpit.svg import picture

    app = CockpitApp(source, config)
    async with app.run_test(size=size) as pilot:
        for key in ("", *keys):
            await pilot.press(*filter(None, [key]))
            await pilot.pause()
        app.paint()
        await pilot.pause()
        rows = app.screen._compositor.render_strips()
        screen = type(app.screen).__name__.lower()
        return picture(rows, size[0], f"Blackperp Cockpit, {screen}, DEMO")
