"""Herald: what is new among the alerts, told once: toast, bell, desktop."""

from collections.abc import Callable, Sequence
from time import monotonic

from cockpit.alerts.osc import BEL, osc9
from engine.config import AlertsConfig
from engine.snapshot import Alert

TOAST_S = 8.0
LOUD = frozenset({"warning", "error"})
NAME = "Blackperp"


class Herald:
    """Tells each alert once; `write` puts a sequence on the terminal, between two paints.

    Alerts that were there before the first look are history and are not told.
    """

    def __init__(self, config: AlertsConfig, write: Callable[[str], None], tmux: bool,
                 now: Callable[[], float] = monotonic) -> None:  # fmt: skip
        self._config = config
        self._write = write
        self._tmux = tmux
        self._now = now
        self._told: int | None = None
        self._standing: list[tuple[Alert, float]] = []

    def hear(self, alerts: Sequence[Alert], demo: bool = False) -> tuple[Alert, ...]:
        """Take in the alerts of a snapshot, latest first; returns those to be shown as toasts.

        `demo`: a notification says that its prices are invented.
        """
        newest = alerts[0].number if alerts else 0
        fresh = []
        if self._told is not None and newest > self._told:
            fresh = [a for a in alerts if a.number > self._told]
            self._ring([a for a in fresh if a.severity in LOUD], f"{NAME} DEMO" if demo else NAME)
        self._told = newest
        now = self._now()
        kept = [(a, at) for a, at in self._standing if now - at < TOAST_S]
        self._standing = [*((a, now) for a in fresh), *kept]
        return tuple(alert for alert, _ in self._standing)

    def _ring(self, loud: list[Alert], name: str) -> None:
        """One sequence however many there are: a burst must not become a storm."""
        if not loud:
            return
        out = ""
        if self._config.desktop == "osc9":
            out = osc9(f"{name}: {sentence(loud[0])}{_more(len(loud) - 1)}", self._tmux)
        if self._config.bell and not out.endswith("\\" + BEL):
            out += BEL
        if out:
            self._write(out)


def sentence(alert: Alert) -> str:
    """What it is about, and what happened."""
    return f"{alert.symbol} {alert.text}" if alert.symbol else alert.text


def _more(others: int) -> str:
    return f"; and {others} more" if others else ""
