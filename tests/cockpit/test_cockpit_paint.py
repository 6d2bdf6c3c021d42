"""The backlog guard, the two-sided crop, and that only changes are painted."""

import asyncio
import re
from types import ModuleType

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate
from textual.geometry import Region
from textual.strip import Strip

from cockpit.paint import BacklogGuard, Pen, backlog, install_crop
from cockpit.widgets.grid import Grid


async def test_guard_holds_at_six_and_lets_go_at_one(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        backlogs = [0, 5, 6, 9, 5, 2, 1, 5, 6, 0]
        guard = BacklogGuard(app, lambda _: backlogs.pop(0))
        held = []
        while backlogs:
            guard.check()
            held.append(guard.holding)
            assert bool(app._batch_count) == guard.holding
        assert held == [False, False, True, True, True, True, False, False, True, False]


async def test_what_changes_while_held_is_painted_after(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        guard = BacklogGuard(app, lambda _: 9)
        guard.check()
        app.source.snapshot = lab.full(phase=1.0)
        app.paint()
        await pilot.pause()
        grid = app.home.query_one(Grid)
        assert grid._repaint_regions
        guard.release()
        await lab.settle(pilot)
        assert not grid._repaint_regions


async def test_backlog_reads_the_writer_queue(lab: ModuleType) -> None:
    """0 without a writer thread; the private queue it reads is where Textual keeps it."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        assert backlog(app) == 0
    import io

    from textual.drivers._writer_thread import MAX_QUEUED_WRITES, WriterThread

    writer = WriterThread(io.StringIO())
    app._driver = type("Driver", (), {"_writer_thread": writer})()
    for _ in range(3):
        writer.write("x")
    assert backlog(app) == 3
    assert MAX_QUEUED_WRITES > 12


async def test_only_what_changed_is_dirty(lab: ModuleType) -> None:
    """One price moves by its last digit: one cell is painted; nothing moves: none is."""
    import msgspec

    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        grid = app.home.query_one(Grid)
        seen: list[Region] = []
        grid.refresh = lambda *regions, **_: seen.extend(regions)
        app.paint()
        assert seen == []
        made = app.source.snapshot
        row = made.symbols[1]
        price = msgspec.structs.replace(row.price, last=3312.48, age=0.9)
        rows = list(made.symbols)
        rows[1] = msgspec.structs.replace(row, price=price)
        app.source.snapshot = msgspec.structs.replace(made, symbols=tuple(rows), number=8)
        app.paint()
        assert seen == [Region(16, 1, 1, 1)]


async def test_nothing_but_the_paint_reads_the_source(lab: ModuleType) -> None:
    app = lab.cockpit(lab.full(), paint_hz=2)
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
        before = app.source.asked
        await asyncio.sleep(2.1)
        assert 2 <= app.source.asked - before <= 5


class Sink:
    """Colours of a terminal with 256 of them."""

    _color_system = ColorSystem.EIGHT_BIT


def test_crop_is_two_sided() -> None:
    """A span inside a strip is written alone, at its own column."""
    assert install_crop()
    assert ChopsUpdate.render_segments.__module__ == "cockpit.paint"
    chops = [{0: Strip([Segment("abcdef")]), 6: Strip([Segment("ghij")])}, {0: None}]
    update = ChopsUpdate(chops, [(0, 2, 4), (0, 5, 8), (1, 0, 3)], [[6, 10], [10]])
    assert update.render_segments(Sink()) == "\x1b[1;3Hcd\x1b[6Gf\x1b[7Ggh\x1b[0m"


TEXTS = st.lists(st.text("ab▲⠛漢", min_size=1, max_size=4), max_size=5)


@given(TEXTS, st.lists(st.integers(0, 30), max_size=8, unique=True), st.integers(0, 9))
@settings(deadline=None)
def test_parts_are_what_crop_gives(texts: list[str], edges: list[int], left: int) -> None:
    """Also across segments, through wide characters and with several parts of one strip."""
    strip = Strip([Segment(text, Style(bold=n % 2 == 0)) for n, text in enumerate(texts)])
    edges = sorted(e for e in edges if e <= strip.cell_length)
    parts = list(zip(edges[::2], edges[1::2], strict=False))
    if not parts:
        return
    pen = Pen(ColorSystem.EIGHT_BIT)
    pen.write(strip, left, 4, [(a + left, b + left) for a, b in parts])
    shown = re.sub(r"\x1b\[[0-9;]*m", "", pen.lift())
    moves = re.split(r"\x1b\[5;(\d+)H|\x1b\[(\d+)G", shown)
    columns = [int(a or b) - 1 - left for a, b in zip(moves[1::3], moves[2::3], strict=True)]
    assert columns == [a for a, _ in parts]
    assert moves[3::3] == [strip.crop(a, b).text for a, b in parts]


async def test_a_late_tick_while_leaving_is_harmless(lab: ModuleType) -> None:
    """The timer may fire while screens are already being taken down."""
    app = lab.cockpit(lab.full())
    async with app.run_test(size=(80, 24)) as pilot:
        await lab.settle(pilot)
    with app._context():
        app.paint()
    assert app.return_code in (0, None)
