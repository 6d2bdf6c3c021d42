"""How the picture reaches the terminal: the paint timer, the backlog guard, the two-sided crop.

Textual queues at most 30 writes and then blocks the event loop, feeds and engine with it, for as
long as the terminal does not read. The guard holds painting before that happens.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from queue import Empty, Full
from threading import Thread
from time import monotonic
from types import FrameType
from typing import Any

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate
from textual.app import App
from textual.geometry import Size
from textual.screen import Screen
from textual.strip import Strip

HOLD_AT = 6
RELEASE_AT = 1
CHECK_HZ = 30
LONG_HOLD = 1.0
NOWHERE = 1 << 30


def backlog(app: App[Any]) -> int:
    """Writes that the terminal has not taken yet; 0 where there is no writer thread.

    The only reader of Textual's private writer queue.
    """
    queue = getattr(getattr(app._driver, "_writer_thread", None), "_queue", None)
    return 0 if queue is None else int(queue.qsize())


async def dismiss_writer(app: App[Any], patience: float = 0.5) -> None:
    """Let the writer thread finish, or cut it off where the terminal reads no more.

    Textual would join it for as long as its last write blocks.
    """
    writer = getattr(app._driver, "_writer_thread", None)
    if writer is None:
        return
    with contextlib.suppress(Full):
        writer._queue.put_nowait(None)
    if not await _ended(writer, patience):
        _cut_off(writer)
        await _ended(writer, patience)
        _send_output_nowhere(writer.fileno())
    _drain(writer)


def mend_continue(app: App[Any]) -> None:
    """SIGCONT without a suspension before it must not start the terminal a second time.

    The kernel sends one beside SIGHUP, and so does `kill -CONT`; Textual 8.2 takes each for `fg`.
    """
    driver: Any = app._driver

    def resume(number: int, frame: FrameType | None) -> None:
        if driver._must_signal_resume:
            driver._sigcont_application()

    if hasattr(driver, "_must_signal_resume") and hasattr(driver, "_sigcont_application"):
        signal.signal(signal.SIGCONT, resume)


async def _ended(thread: Thread, seconds: float) -> bool:
    end = monotonic() + seconds
    while thread.is_alive() and monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return not thread.is_alive()


def _cut_off(writer: Any) -> None:
    """Empty the queue and make the write that blocks fail: no waiting, then a signal to wake it."""
    _drain(writer)
    writer._queue.put_nowait(None)
    os.set_blocking(writer.fileno(), False)
    # A thread that ends by the failed write is what is wanted: nobody could read its complaint.
    threading.excepthook = lambda _: None
    signal.signal(signal.SIGUSR1, lambda *_: None)
    signal.pthread_kill(writer.ident, signal.SIGUSR1)


def _drain(writer: Any) -> None:
    with contextlib.suppress(Empty):
        while True:
            writer._queue.get_nowait()


def _send_output_nowhere(fd: int) -> None:
    """So that nothing at exit blocks; the terminal itself, shared with the shell, blocks again."""
    terminal, nowhere = os.dup(fd), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, fd)
    os.set_blocking(terminal, True)
    os.close(terminal)
    os.close(nowhere)


class BacklogGuard:
    """Holds repaints while the terminal does not keep up; dirty widgets stay dirty meanwhile."""

    def __init__(self, app: App[Any], measure: Callable[[App[Any]], int] = backlog) -> None:
        self._app = app
        self._measure = measure
        self._batch: contextlib.ExitStack | None = None
        self._since = 0.0
        self._picture: tuple[Size, Screen[Any]] | None = None

    @property
    def holding(self) -> bool:
        return self._batch is not None

    def check(self) -> None:
        """Hold at a backlog of 6, let go at 1."""
        waiting = self._measure(self._app)
        if self._batch is None and waiting >= HOLD_AT:
            self._batch = contextlib.ExitStack()
            self._batch.enter_context(self._app.batch_update())
            self._since = monotonic()
            self._picture = (self._app.size, self._app.screen)
        elif self._batch is not None and waiting <= RELEASE_AT:
            self.release()

    def release(self) -> None:
        """Let painting go on; after a long hold or another size, from a clean sheet."""
        if self._batch is None:
            return
        batch, self._batch = self._batch, None
        batch.close()
        moved = self._picture != (self._app.size, self._app.screen)
        if moved or monotonic() - self._since > LONG_HOLD:
            self._app.screen.refresh(layout=moved)


class Painter:
    """The one paint timer; `paint` runs at `hz` unless the terminal is behind."""

    def __init__(self, app: App[Any], paint: Callable[[], None], hz: float) -> None:
        self._app = app
        self._paint = paint
        self._hz = hz
        self.guard = BacklogGuard(app)

    def start(self) -> None:
        self._app.set_interval(1 / CHECK_HZ, self.guard.check, name="backlog guard")
        self._app.set_interval(1 / self._hz, self.tick, name="paint")

    def tick(self) -> None:
        if not self.guard.holding:
            self._paint()


def cap_colours(app: App[Any]) -> int:
    """How many colours to draw with: 256 at most, 16, or 0 with NO_COLOR.

    A truecolor terminal is written 256-colour codes: the same colours in half the bytes.
    """
    console = app.console
    if app.no_color or console._color_system is None:
        return 0
    if console._color_system is ColorSystem.TRUECOLOR:
        console._color_system = ColorSystem.EIGHT_BIT
    return 256 if console._color_system is ColorSystem.EIGHT_BIT else 16


def install_crop() -> bool:
    """Make partial updates write dirty spans only; False where Textual is not the one we know.

    Textual 8.2 crops a span on the right alone and writes the row's left part again with each.
    """
    fields = set(ChopsUpdate.__init__.__annotations__)
    known = {"chops", "spans", "chop_ends"} <= fields and hasattr(ChopsUpdate, "render_segments")
    if known:
        ChopsUpdate.render_segments = _render_spans  # type: ignore[method-assign, assignment]
    return known


def _render_spans(update: ChopsUpdate, console: Console) -> str:
    pen = Pen(console._color_system or ColorSystem.TRUECOLOR)
    for y, spans in groupby(update.spans, key=itemgetter(0)):
        pairs = [(x1, x2) for _, x1, x2 in spans]
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            parts = [(max(x, a), min(end, b)) for a, b in pairs if a < end and b > x]
            if strip is not None and parts:
                pen.write(strip, x, y, parts)
    return pen.lift()


class Pen:
    """Writes parts of strips; a style is written only where it differs from the last."""

    def __init__(self, system: ColorSystem) -> None:
        self._out: list[str] = []
        self._system = system
        self._style: Style | None = None
        self._row = -1

    def write(self, strip: Strip, left: int, y: int, parts: list[tuple[int, int]]) -> None:
        """The columns of some rising parts of a strip that stands at (left, y)."""
        waiting = iter(parts)
        start, end = next(waiting)
        x, placed = left, False
        for text, style, _ in strip:
            cells = len(text) if text.isascii() else cell_len(text)
            after = x + cells
            while after > start:
                if not placed:
                    self._move(start, y)
                    placed = True
                self._put(_slice(text, cells, start - x, end - x), style)
                if after < end:
                    break
                start, end = next(waiting, (NOWHERE, NOWHERE))
                placed = False
            if start == NOWHERE:
                return
            x = after

    def _move(self, x: int, y: int) -> None:
        self._out.append(f"\x1b[{x + 1}G" if y == self._row else f"\x1b[{y + 1};{x + 1}H")
        self._row = y

    def _put(self, text: str, style: Style | None) -> None:
        if style is not self._style:
            self._style = style
            ansi = Strip.render_ansi(style, self._system) if style else ""
            self._out.append(f"\x1b[0;{ansi}m" if ansi else "\x1b[0m")
        self._out.append(text)

    def lift(self) -> str:
        """All that was written, the terminal's style reset."""
        self._out.append("\x1b[0m")
        return "".join(self._out)


def _slice(text: str, cells: int, start: int, end: int) -> str:
    """Cells [start, end) of a text; half of a wide character becomes a space."""
    if start <= 0 and end >= cells:
        return text
    if cells == len(text):
        return text[max(0, start) : end]
    return Strip([Segment(text)]).crop(max(0, start), min(cells, end)).text
