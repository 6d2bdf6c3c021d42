"""The first and the last line: mode and tally or a notice; where the data comes from, the keys."""

from rich.segment import Segment

from cockpit.theme import Look
from cockpit.widgets import text
from cockpit.widgets.lines import Lines
from cockpit.widgets.scene import NOTICE_SECONDS, Scene, composite, is_warming
from cockpit.widgets.text import Cell, cell, fit
from engine.snapshot import MODES, Notice

NAME = "BLACKPERP"
BADGES = {"live": ("LIVE", "live"), "demo": ("DEMO", "demo"), "replay": ("REPLAY", "replay"),
          "store": ("STORE", "replay")}  # fmt: skip
SEVERITY = {"info": "text", "warning": "warn", "error": "error"}


class Bar(Lines):
    """One line on the panel's surface, filled from both ends."""

    def __init__(self, look: Look, id: str | None = None) -> None:
        super().__init__(look, surface="panel", id=id)

    def words(self, said: str, ink: str = "text") -> Cell:
        return (Segment(text.clean(said), self.ink[ink]),)

    def spread(self, left: list[Cell], right: list[Cell]) -> None:
        """Show cells at both ends; the right ones go first when there is no room."""
        width = self.size.width
        while right and _width(left) + _width(right) > width:
            right = right[:-1]
        gap = width - _width(left) - _width(right)
        self.show_lines([(*left, cell("", gap, self.ink["blank"]), *right)])


def _width(cells: list[Cell]) -> int:
    return sum(len(segment.text) for c in cells for segment in c)


class Header(Bar):
    """Mode and tally of the calls; a notice takes the tally's place, never a line of its own.

    `modes`: the words of each mode, its key first. `view`: what the screen under it says of how it
    looks at the rows; `plain` where that is how it always does, which is told only where there is
    room.
    """

    modes = tuple(f" {n} {mode} " for n, mode in enumerate(MODES, 1))
    view = ""
    plain = True

    def show(self, scene: Scene) -> None:
        notice = standing(scene)
        if notice is None:
            modes = [
                self.words(told, "accent" if mode == scene.mode else "dim")
                for told, mode in zip(self.modes, MODES, strict=True)
            ]
            left, tally = [*self._brand(scene), *modes], self._tally(scene)
            view = self._view(self.size.width - _width(left) - _width(tally), bool(scene.filter))
            left += view
            self.spread([*left, *self._filter(scene, self.size.width - _width(left))], tally)
            return
        severity, said = notice
        left = [*self._brand(scene), self.words(f" {scene.mode} ", "accent")]
        room = self.size.width - _width(left) - 2
        glyphs = self.look.glyphs
        mark = f"{glyphs.warning} " if severity != "info" else ""
        shown = fit(text.clean(mark + said), max(0, room), "left", glyphs.ellipsis)
        self.spread([*left, self.words(f" {shown} ", SEVERITY.get(severity, "text"))], [])

    def _brand(self, scene: Scene) -> list[Cell]:
        """The name; invented prices are marked here too, as a filter hides the footer."""
        cells = [self.words(f" {NAME} ", "strong")]
        if scene.snapshot.mode_of_data == "demo":
            cells += [self.words(" DEMO ", "demo"), self.words(" ")]
        return cells

    def _view(self, room: int, filtered: bool) -> list[Cell]:
        words = f"  {self.view} "
        if not self.view or (self.plain and (filtered or len(words) > room)):
            return []
        return [self.words(words, "muted" if self.plain else "text")]

    def _filter(self, scene: Scene, room: int) -> list[Cell]:
        if not scene.filter:
            return []
        count = f"{len(scene.rows)} of {len(scene.snapshot.symbols)} "
        said = text.clean(scene.filter)
        room = max(0, room - len(count) - 4)
        said = fit(said, min(len(said), room), "left", self.look.glyphs.ellipsis)
        return [self.words(f"  /{said} ", "warn"), self.words(count, "muted")]

    def _tally(self, scene: Scene) -> list[Cell]:
        """How many calls stand on each side, in the active mode."""
        if scene.waiting or scene.snapshot.step == 0:
            return [self.words("waiting for the first step ", "muted")]
        up = down = wait = none = warming = 0
        for found in (composite(s, scene.mode) for s in scene.snapshot.symbols):
            if found is None or found.bias is None:
                none += 1
            elif is_warming(found):
                warming += 1
            elif found.decision.upper() in ("WAIT", ""):
                wait += 1
            else:
                up, down = up + (found.bias > 0), down + (found.bias <= 0)
        told = (("long", up, "up2"), ("short", down, "down2"), ("wait", wait, "muted"),
                ("warming", warming, "muted"), ("no bias", none, "dim"))  # fmt: skip
        calls = warming + none < len(scene.snapshot.symbols)
        shown = [
            (f"{name} {count}", ink if count else "dim")
            for name, count, ink in told
            if count or (calls and name in ("long", "short", "wait"))
        ]
        cells = [self.words(("  " if n else "") + said, ink) for n, (said, ink) in enumerate(shown)]
        return [*cells, self.words(" ")]


def standing(scene: Scene) -> tuple[str, str] | None:
    """Severity and text of what the header must say now; None when all is calm."""
    if scene.failure:
        return "error", scene.failure
    if scene.snapshot.notices:
        newest: Notice = scene.snapshot.notices[-1]
        seconds = (scene.snapshot.ts - newest.ts) / 1e9
        if seconds <= NOTICE_SECONDS.get(newest.severity, float("inf")):
            return newest.severity, newest.text
    return None


class Footer(Bar):
    """Source, feeds, rate and clock on the left; keys on the right."""

    def __init__(self, look: Look, hints: tuple[tuple[str, str], ...], id: str | None = None):
        super().__init__(look, id=id)
        self._hints = hints
        self.part = ""

    def show(self, scene: Scene) -> None:
        left = [*self._badge(scene), *self._feeds(scene), *self._clock(scene)]
        if self.part:
            left.append(self.words(f"{self.part}  ", "accent"))
        right = []
        for key, word in self._hints:
            right.append(self.words(f"{key} ", "accent") + self.words(f"{word}  ", "dim"))
        self.spread(left, right)

    def _badge(self, scene: Scene) -> list[Cell]:
        snapshot = scene.snapshot
        name, ink = BADGES[snapshot.mode_of_data]
        cells = [self.words(f" {name} ", ink), self.words(" ")]
        if scene.failure:
            cells.append(self.words("STOPPED ", "error"))
        elif scene.paused is not None:
            cells.append(self.words(f"PAUSED {scene.paused:.0f}s ", "warn"))
        if snapshot.finished:
            cells.append(self.words("FINISHED ", "strong"))
        elif snapshot.mode_of_data != "live":
            speed = "" if snapshot.speed is None else f"x{snapshot.speed:.3g} "
            done = "" if snapshot.progress is None else f"{snapshot.progress * 100:.0f}% "
            cells.append(self.words(speed + done, "muted"))
        return cells

    def _feeds(self, scene: Scene) -> list[Cell]:
        feeds = scene.feeds.values()
        ready = sum(f.state == "ready" for f in feeds)
        worst = next((f.state for f in feeds if f.state != "ready"), "")
        rate = sum(f.events_per_s for f in feeds)
        count = f"feeds {ready}/{len(feeds)} "
        note = f"{worst} " if worst and not scene.snapshot.finished else ""
        cells = [
            self.words(count + note, "warn" if note else "muted"),
            self.words(f" {rate:,.0f}/s " if feeds else " ", "muted"),
        ]
        told = [f.history for f in feeds if f.history is not None]
        done, total = sum(done for done, _ in told), sum(total for _, total in told)
        if done < total and not scene.snapshot.finished:
            cells.append(self.words(f"history {done:,}/{total:,} ", "muted"))
        return cells

    def _clock(self, scene: Scene) -> list[Cell]:
        now = text.clock(scene.snapshot.ts, scene.zone)
        return [self.words(f" {now or '--:--:--'}  ", "text" if now else "dim")]
