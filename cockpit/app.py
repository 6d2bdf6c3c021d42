"""The App: view state, actions, the engine's task, and leaving cleanly whatever happens."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from textual.binding import BindingsMap
from textual.widgets import Input

from cockpit.alerts.herald import Herald
from cockpit.calling import Calling
from cockpit.details import Desk
from cockpit.keymap import Keymap
from cockpit.paint import Painter, cap_colours, dismiss_writer, install_crop, mend_continue
from cockpit.screens.home import Home
from cockpit.screens.stage import Stage
from cockpit.theme import Look
from cockpit.widgets.grid import Grid
from cockpit.widgets.scene import Scene
from cockpit.zones import zone
from engine.config import AlertsConfig, CockpitConfig
from engine.snapshot import Snapshot, SnapshotSource

SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


class CockpitApp(Calling, inherit_bindings=False):
    """The cockpit on a source of snapshots.

    `run` is the engine's coroutine function: started on mount, cancelled and awaited on exit; when
    it fails the last picture stays and the header says why. `log` is where details go, `alerts`
    says how alerts reach the terminal.
    """

    CSS_PATH = Path(__file__).parent / "app.tcss"
    TITLE = "Blackperp Cockpit"
    ENABLE_COMMAND_PALETTE = False

    def __init__(
        self,
        source: SnapshotSource,
        config: CockpitConfig,
        run: Callable[[], Awaitable[None]] | None = None,
        log: Path | None = None,
        alerts: AlertsConfig | None = None,
    ) -> None:
        # With NO_COLOR Textual drops colours only where it keeps the terminal's own.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.dress(Look(config.theme, config.glyphs, cap_colours(self)))
        self.keymap = Keymap(config.keymap)
        # Not set_keymap: it takes a key from all but one action, though they act on other screens.
        self._bindings = BindingsMap(self.keymap.bindings())
        self.source = source
        self.config = config
        self.mode = config.mode
        self.painter = Painter(self, self.paint, config.paint_hz)
        self._run_engine = run
        self._log_path = log
        self._engine: asyncio.Task[None] | None = None
        self._zone = zone(config.timezone)
        self._cursor: str | None = None
        self._failure: str | None = None
        self._held: tuple[Snapshot, float] | None = None
        self._desk = Desk(source)
        tmux = bool(os.environ.get("TMUX"))
        self._herald = Herald(alerts or AlertsConfig(), self.write_terminal, tmux)

    # The picture

    def get_default_screen(self) -> Home:
        return Home(self.look, len(self.source.latest().symbols))

    def scene(self) -> Scene:
        """What to show now; the only reader of the source."""
        latest, held = self.source.latest(), self._held
        return Scene(
            snapshot=(shown := held[0] if held else latest),
            mode=self.mode,
            cursor=self._cursor,
            filter=self.home.filter,
            paused=monotonic() - held[1] if held else None,
            failure=self._failure,
            zone=self._zone,
            toasts=self._herald.hear(latest.alerts, shown.mode_of_data == "demo"),
            order=self.home.ranks(shown, self.mode),
        )

    def paint(self) -> None:
        """Show the scene on the top screen; screens beneath wait."""
        if self.is_running and self.screen_stack and isinstance(self.screen, Stage):
            scene = self.scene()
            detail = self._desk.look(scene, self.screen.wants)
            self.screen.show(replace(scene, detail=detail) if detail else scene)

    def write_terminal(self, sequence: str) -> None:
        """A sequence that moves nothing, such as a bell, by the way all output takes."""
        if self._driver is not None:
            self._driver.write(sequence)
            self._driver.flush()

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

    # What the user does

    def action_mode(self, mode: Any) -> None:
        self.mode = mode
        self.paint()

    def action_move(self, rows: int) -> None:
        if not (self.stage and self.stage.move(rows)):
            self._step(rows)

    def action_symbol(self, step: int) -> None:
        if self.stage and self.stage.aside(step):
            self.paint()
        else:
            self._step(step)

    def _step(self, rows: int) -> None:
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

    def on_heads_sorted(self) -> None:
        self.paint()

    def action_order(self, step: int) -> None:
        if isinstance(self.screen, Stage):
            self.screen.reorder(step)
            self.paint()

    def action_turn(self) -> None:
        if isinstance(self.screen, Stage):
            self.screen.turn()
            self.paint()

    def action_pause(self) -> None:
        # Painted first, so that the details held are those of the picture held.
        self.paint()
        self._held = None if self._held else (self.source.latest(), monotonic())
        self.paint()

    def on_input_changed(self, event: Input.Changed) -> None:
        if isinstance(self.screen, Stage):
            self.screen.filter = event.value.strip()
            self.paint()

    def on_input_submitted(self) -> None:
        if isinstance(self.screen, Stage):
            self.screen.end_filter()

    def on_screen_resume(self) -> None:
        self.call_after_refresh(self.paint)
