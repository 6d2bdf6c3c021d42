"""The App: view state, actions, the engine's task, and leaving cleanly whatever happens."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from time import monotonic
from traceback import format_exception
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from textual.app import App
from textual.binding import BindingType
from textual.filter import LineFilter
from textual.widgets import Input

from cockpit import actions
from cockpit.paint import Painter, cap_colours, dismiss_writer, install_crop, mend_continue
from cockpit.screens.categories import Categories
from cockpit.screens.help import Help
from cockpit.screens.home import Home
from cockpit.screens.stage import Stage
from cockpit.theme import Indexed, Look
from cockpit.widgets.grid import Grid
from cockpit.widgets.scene import Scene
from engine.config import CockpitConfig
from engine.snapshot import Snapshot, SnapshotSource

logger = logging.getLogger(__name__)
SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


class CockpitApp(App[None], inherit_bindings=False):
    """The cockpit on a source of snapshots.

    `run` is the engine's coroutine function: started on mount, cancelled and awaited on exit; when
    it fails the last picture stays and the header says why. `log` is where details go.
    """

    CSS_PATH = Path(__file__).parent / "app.tcss"
    TITLE = "Blackperp Cockpit"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings()]

    def __init__(
        self,
        source: SnapshotSource,
        config: CockpitConfig,
        run: Callable[[], Awaitable[None]] | None = None,
        log: Path | None = None,
    ) -> None:
        # With NO_COLOR Textual drops colours only where it keeps the terminal's own.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.look = Look(config.theme, config.glyphs, cap_colours(self))
        self._indexed = Indexed(self.look)
        self.register_theme(self.look.textual_theme)
        self.theme = self.look.textual_theme.name
        self.source = source
        self.config = config
        self.mode = config.mode
        self.painter = Painter(self, self.paint, config.paint_hz)
        self._run_engine = run
        self._log_path = log
        self._engine: asyncio.Task[None] | None = None
        self._zone = zone(config.timezone)
        self._cursor: str | None = None
        self._filter = ""
        self._failure: str | None = None
        self._held: tuple[Snapshot, float] | None = None
        self._crashed = ""

    # The picture

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [self._indexed] if self.look.colours else super().get_line_filters()

    def get_default_screen(self) -> Home:
        return Home(self.look, actions.hints(), len(self.source.latest().symbols))

    @property
    def home(self) -> Home:
        found = self.screen_stack[0]
        assert isinstance(found, Home)
        return found

    def scene(self) -> Scene:
        """What to show now; the only reader of the source."""
        held = self._held
        return Scene(
            snapshot=held[0] if held else self.source.latest(),
            mode=self.mode,
            cursor=self._cursor,
            filter=self._filter,
            paused=monotonic() - held[1] if held else None,
            failure=self._failure,
            zone=self._zone,
        )

    def paint(self) -> None:
        """Show the scene on the top screen; screens beneath wait."""
        if self.is_running and self.screen_stack and isinstance(self.screen, Stage):
            self.screen.show(self.scene())

    # Start and end

    def on_mount(self) -> None:
        install_crop()
        mend_continue(self)
        self._listen()
        if self._run_engine is not None:
            self._engine = asyncio.create_task(self._supervise(self._run_engine), name="engine")
        self.painter.start()
        self.app_resume_signal.subscribe(self, lambda _: self.screen.refresh(layout=True))
        self.call_after_refresh(self.paint)

    def _listen(self) -> None:
        """A closed terminal or a stop request ends the app as `q` does."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, self.exit)

    async def _supervise(self, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except Exception as error:
            self._note("engine stopped", error)
            where = f"; details in {self._log_path}" if self._log_path else ""
            self._failure = f"engine stopped: {type(error).__name__}: {error}{where}"

    async def on_unmount(self) -> None:
        if self._engine is not None:
            self._engine.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._engine
        await dismiss_writer(self)

    # Failing

    def _note(self, what: str, error: BaseException) -> None:
        """The whole traceback, without local variables, to the log."""
        text = f"{what}\n{''.join(format_exception(error))}"
        if self._log_path is not None and not logger.hasHandlers():
            logger.addHandler(logging.FileHandler(self._log_path, delay=True))
            logger.propagate = False
        if logger.hasHandlers():
            logger.error(text)

    def _handle_exception(self, error: Exception) -> None:
        if not self._crashed:
            self._note("the cockpit crashed", error)
        self._crashed = f"{type(error).__name__}: {error}".splitlines()[0]
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        # Textual would render a traceback with local variables here.
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        """Two lines and no more, once the terminal is its own again."""
        failed = self._crashed or ("the terminal failed" if self._exit_renderables else "")
        self._exit_renderables.clear()
        if failed and not self.is_headless:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                where = self._log_path or "no log: start with --log PATH to keep one"
                sys.__stderr__.write(f"Blackperp Cockpit stopped: {failed}\nDetails: {where}\n")  # type: ignore[union-attr]

    # What the user does

    def action_mode(self, mode: Any) -> None:
        self.mode = mode
        self.paint()

    def action_move(self, rows: int) -> None:
        scene = self.scene()
        if scene.rows:
            place = max(0, min(len(scene.rows) - 1, scene.place + rows))
            self._cursor = scene.rows[place].id
            self.paint()

    def action_page(self, direction: int) -> None:
        if isinstance(self.screen, Stage) and not self.screen.page(direction):
            self.action_move(direction * max(1, self.home.query_one(Grid).size.height - 1))

    def on_grid_picked(self, event: Grid.Picked) -> None:
        self._cursor = event.symbol
        self.paint()

    def action_breakdown(self) -> None:
        if isinstance(self.screen, Categories):
            self.pop_screen()
        elif self.screen is self.home and not self.home.toggle_side():
            self.push_screen(Categories(self.look, actions.hints()))

    def action_help(self) -> None:
        if isinstance(self.screen, Help):
            self.pop_screen()
        else:
            self.push_screen(Help(self.look, actions.hints()))

    def action_pause(self) -> None:
        self._held = None if self._held else (self.source.latest(), monotonic())
        self.paint()

    def action_filter(self) -> None:
        while self.screen is not self.home:
            self.pop_screen()
        self.home.ask_filter(self._filter)

    def on_input_changed(self, event: Input.Changed) -> None:
        self._filter = event.value.strip()
        self.paint()

    def on_input_submitted(self) -> None:
        self.home.end_filter()

    async def action_back(self) -> None:
        if self.screen is not self.home:
            self.pop_screen()
            return
        if self.home.filter_line.display:
            self.home.filter_line.value = ""
            self.home.end_filter()
        self._filter = ""
        self.paint()

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self.paint)


def zone(name: str) -> tzinfo | None:
    """The configured time zone; None is the machine's own, as is a name nobody knows."""
    if name == "local":
        return None
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        logger.warning("time zone %r is not known here; using the machine's own", name)
        return None
