"""How the cockpit fails: two plain lines on the terminal, the rest in a log."""

import contextlib
import logging
import sys
from pathlib import Path
from traceback import format_exception

from textual.app import App

from cockpit.settings import harmless

logger = logging.getLogger(__name__)


class Failing(App[None], inherit_bindings=False):
    """An App whose crash shows neither a traceback nor local variables."""

    _log_path: Path | None = None
    _crashed = ""

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
        self._crashed = harmless(f"{type(error).__name__}: {error}".splitlines()[0], 300)
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
